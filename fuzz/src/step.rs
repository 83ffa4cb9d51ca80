//! Any policy with any observation, memory and mask, of any length: the error that is due and an untouched state, or finite
//! numbers.

use std::convert::Infallible;

use chacha20::ChaCha8Rng;
use consort_runtime::head::parts;
use consort_runtime::{
    Acted, Action, Fault, Guarded, Head, Image, ImageError, Moment, Policy, SharedSeed, StepError,
};
use rand_core::{Rng, TryRng};

use crate::image::{Aligned, mutate_image};
use crate::policies::policy;
use crate::{Target, awkward, below, scramble, tame};

/// `image length, u16 │ image │ steps`, where a step is `kind, observation length, memory length, mask length │ values`,
/// and lengths are differences from those that are right.
pub const TARGET: Target = Target {
    name: "step",
    run,
    seed,
    mutate,
};

fn run(data: &[u8]) {
    let mut reader = Reader(data);
    let len = usize::from(u16::from_le_bytes(reader.array()));
    let aligned = Aligned::copy(reader.take(len), 0);
    let Ok(image) = Image::new_checked(aligned.bytes()) else {
        return;
    };
    if image.memory_len() > 4096 || image.observation_len() > 4096 {
        return;
    }
    let policy = Policy::new(image);
    let mut memory: Vec<f32> = vec![0.0; image.memory_len()];
    for _ in 0..16 {
        if reader.0.is_empty() {
            return;
        }
        let [kind, observation_len, memory_len, mask_len] = reader.array();
        let mut observation = reader.floats(near(image.observation_len(), observation_len));
        if kind & 0x40 != 0
            && let Some(seeding) = image.seeding()
        {
            // As a device that knows its team's key does; an observation too short stays as it is.
            let drawn = SharedSeed::new([kind; 16]).draw(seeding, Moment::new(0, kind.into()));
            let _ = drawn.write(&mut observation);
        }
        let mask: Vec<bool> = (0..near(image.output_len(), mask_len))
            .map(|_| reader.array::<1>()[0] & 1 == 1)
            .collect();
        memory.resize(near(image.memory_len(), memory_len), 0.0);
        if kind & 0x80 != 0 {
            // Whatever else runs on the device wrote to the memory.
            let values = reader.floats(memory.len());
            memory.copy_from_slice(&values);
        }
        step(&policy, kind & 0x3f, &observation, &mask, &mut memory);
    }
}

/// The right length, most of the time.
fn near(right: usize, byte: u8) -> usize {
    match byte {
        0xf8..=0xff => right.saturating_sub(usize::from(256 - u16::from(byte))),
        0xf0..=0xf7 => right + usize::from(byte - 0xef),
        _ => right,
    }
}

fn step(policy: &Policy<'_>, kind: u8, observation: &[f32], mask: &[bool], memory: &mut [f32]) {
    let image = policy.image();
    let before: Vec<u32> = memory.iter().map(|value| value.to_bits()).collect();
    let mut rng = Counter(u32::from(kind) << 24);
    let masked = matches!(kind % 10, 4 | 5 | 8 | 9);
    let asked = match kind % 10 {
        2..=5 => Asked::Number,
        8 | 9 => Asked::Choice,
        _ => Asked::Any,
    };
    let due = due(image, observation, masked.then_some(mask), asked, memory);
    let acted: Result<Vec<f32>, StepError> = match kind % 10 {
        0 => policy.step(observation, memory).map(entries),
        1 => policy
            .step_sampled(observation, memory, &mut rng)
            .map(entries),
        2 => policy.act_greedy(observation, memory).map(index),
        3 => policy.act_sampled(observation, memory, &mut rng).map(index),
        4 => policy
            .act_greedy_masked(observation, mask, memory)
            .map(index),
        5 => (policy.act_sampled_masked(observation, mask, memory, &mut rng)).map(index),
        6 => policy
            .outputs(observation, memory)
            .map(|outputs| outputs.to_vec()),
        8 => policy.step_masked(observation, mask, memory).map(entries),
        9 => policy
            .step_sampled_masked(observation, mask, memory, &mut rng)
            .map(entries),
        _ => guarded(image, observation, memory),
    };
    let state = image.state_len().min(memory.len());
    match acted {
        Ok(values) => {
            assert_eq!(due, None, "a step that should have failed");
            assert!(values.iter().all(|value| value.is_finite()));
            assert!(image.is_integer() || memory[..state].iter().all(|value| value.is_finite()));
            if masked {
                let whole = [image.output_len() as u32];
                let sizes = sizes(image).unwrap_or(&whole);
                for (group, &action) in parts(sizes, mask).zip(&values) {
                    assert!(group[action as usize], "a forbidden action");
                }
            }
        }
        Err(error) => {
            let overflow = matches!(
                error,
                StepError::NonFiniteOutput { .. } | StepError::StateOverflow { .. }
            );
            assert!(
                due == Some(error) || (due.is_none() && overflow),
                "{error}, due was {due:?}"
            );
            let after = memory.iter().map(|value| value.to_bits());
            assert!(
                after.take(state).eq(before.iter().copied().take(state)),
                "{error} changed the state"
            );
            // Only an overflow is found after anything was drawn from or written.
            if !overflow {
                assert!(memory.iter().map(|value| value.to_bits()).eq(before));
            }
            assert_eq!(rng.0, u32::from(kind) << 24, "{error} drew something");
        }
    }
}

/// What a step is asked for.
#[derive(Clone, Copy, PartialEq)]
enum Asked {
    /// One number.
    Number,
    /// A number, or one a group.
    Choice,
    /// Whatever the policy gives.
    Any,
}

/// Sizes of the groups of a policy that has several.
fn sizes<'a>(image: &Image<'a>) -> Option<&'a [u32]> {
    match image.head() {
        Head::MultiDiscrete { sizes } => Some(sizes),
        _ => None,
    }
}

/// The error that the inputs must give, in the order of the documents; an overflow is not among them.
fn due(
    image: &Image<'_>,
    observation: &[f32],
    mask: Option<&[bool]>,
    asked: Asked,
    memory: &[f32],
) -> Option<StepError> {
    let number = matches!(image.head(), Head::Categorical { .. });
    if (asked == Asked::Number && !number)
        || (asked == Asked::Choice && image.head().is_continuous())
    {
        return Some(StepError::Kind);
    }
    if let Some(mask) = mask {
        let (expected, found) = (image.output_len(), mask.len());
        if expected != found {
            return Some(StepError::MaskLength { expected, found });
        }
        let whole = [expected as u32];
        let mut groups = parts(sizes(image).unwrap_or(&whole), mask);
        if groups.any(|group| !group.contains(&true)) {
            return Some(StepError::EmptyMask);
        }
    }
    let (expected, found) = (image.observation_len(), observation.len());
    if expected != found {
        return Some(StepError::ObservationLength { expected, found });
    }
    if let Some(index) = observation.iter().position(|value| !value.is_finite()) {
        return Some(StepError::NonFiniteObservation { index });
    }
    if let Some(seeding) = image.seeding() {
        let symbols = usize::from(seeding.symbols);
        let tail = &observation[observation.len() - symbols..];
        let is = |number: f32| move |value: &&f32| value.to_bits() == number.to_bits();
        let [ones, zeros] = [1.0, 0.0].map(|number| tail.iter().filter(is(number)).count());
        if (ones, zeros) != (1, symbols - 1) {
            return Some(StepError::NoSymbol { symbols });
        }
    }
    let (expected, found) = (image.memory_len(), memory.len());
    if found < expected {
        return Some(StepError::Memory { expected, found });
    }
    if image.is_integer() {
        return None;
    }
    let state = memory[..image.state_len()].iter();
    let index = state.clone().position(|value| !value.is_finite());
    index.map(|index| StepError::NonFiniteState { index })
}

/// A guarded step: always an action, and the safe one if and only if there is a fault.
fn guarded(
    image: &Image<'_>,
    observation: &[f32],
    memory: &mut [f32],
) -> Result<Vec<f32>, StepError> {
    let rest = vec![0.25; image.output_len()];
    let last: Vec<u32> = (sizes(image).into_iter().flatten())
        .map(|size| size - 1)
        .collect();
    let safe = match image.head() {
        Head::Categorical { actions } => Action::Discrete(actions - 1),
        Head::MultiDiscrete { .. } => Action::MultiDiscrete(&last),
        Head::Deterministic { .. } | Head::Gaussian { .. } => Action::Continuous(&rest),
    };
    let guarded = Guarded::new(Ok::<_, ImageError>(*image), safe);
    let Acted { action, fault } = guarded.step(observation, memory);
    match fault {
        None => Ok(entries(action)),
        Some(Fault::Step(error)) => {
            assert_eq!(action, safe);
            Err(error)
        }
        Some(fault) => panic!("{fault}"),
    }
}

fn entries(action: Action<'_>) -> Vec<f32> {
    match action {
        Action::Discrete(action) => index(action),
        Action::Continuous(action) => action.to_vec(),
        Action::MultiDiscrete(actions) => actions.iter().map(|&action| action as f32).collect(),
    }
}

fn index(action: usize) -> Vec<f32> {
    vec![action as f32]
}

/// A generator that shows whether it was asked.
struct Counter(u32);

impl TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Ok(self.0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("policies take 32 bits at a time")
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
        unreachable!("policies take 32 bits at a time")
    }
}

/// Bytes, and zeros after them.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.take(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count)
            .map(|_| f32::from_le_bytes(self.array()))
            .collect()
    }
}

fn seed(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let numbers = if below(rng, 2) == 0 { tame } else { awkward };
    let image = policy(rng, numbers);
    let mut data = (image.len() as u16).to_le_bytes().to_vec();
    data.extend(image);
    for _ in 0..1 + below(rng, 6) {
        let lengths = if below(rng, 4) == 0 { 0xffff_ffff } else { 0 };
        data.push(rng.next_u32() as u8);
        data.extend((rng.next_u32() & lengths).to_le_bytes().iter().take(3));
        for _ in 0..below(rng, 60) {
            data.extend(numbers(rng).to_le_bytes());
        }
    }
    data
}

fn mutate(data: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    let len = data
        .first_chunk()
        .map_or(0, |len| usize::from(u16::from_le_bytes(*len)));
    if data.len() < len + 2 || len < 24 || below(rng, 30) == 0 {
        *data = seed(rng);
        return;
    }
    let mut steps = data.split_off(2 + len);
    if below(rng, 4) == 0 {
        let mut image = data.split_off(2);
        mutate_image(&mut image, rng);
        *data = (image.len().min(65_535) as u16).to_le_bytes().to_vec();
        data.extend(image);
    } else if below(rng, 2) == 0 && steps.len() >= 4 {
        let (words, _) = steps.as_chunks_mut::<4>();
        let place = below(rng, words.len());
        words[place] = awkward(rng).to_le_bytes();
    } else {
        scramble(&mut steps, rng);
    }
    data.extend(steps);
}
