//! From an observation to an action.

use rand_core::Rng;

use crate::compute::{dense, gru};
use crate::error::StepError;
use crate::head::{self, Action, Head};
use crate::image::Image;
use crate::layer::Layer;
use crate::quantised;

/// A policy ready to act.
///
/// Every step takes an observation (`[O]`, finite, O = [`Image::observation_len`]) and lent memory
/// (at least [`Image::memory_len`] values).
///
/// # State
///
/// A recurrent policy ([`Image::state_len`] above 0) remembers: its state is the *first*
/// `state_len` values of the memory. So
///
/// - call [`reset`](Self::reset) before the first step of every episode;
/// - pass *the same memory* to each step, its first `state_len` values untouched in between. What
///   lies behind them may be overwritten: a step does not care what it holds.
///
/// Every call but `reset` that takes an observation is a step: [`logits`](Self::logits) too moves
/// the state on. A step that ends in an error has left the state as it was. Two policies, or two
/// copies of one, need a memory each.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    image: Image<'a>,
}

impl<'a> Policy<'a> {
    /// The policy of a checked image.
    pub fn new(image: Image<'a>) -> Self {
        Policy { image }
    }

    /// The image the policy acts from.
    pub fn image(&self) -> &Image<'a> {
        &self.image
    }

    /// Values of state; none in a build without recurrent layers, which so has no code for them.
    fn states(&self) -> usize {
        if cfg!(any(feature = "gru", feature = "int8")) {
            self.image.state_len()
        } else {
            0
        }
    }

    /// Begins an episode: the state, the first [`Image::state_len`] values of `memory`, becomes 0.
    ///
    /// # Errors
    ///
    /// [`StepError::Memory`] when `memory` is too short for a step.
    pub fn reset(&self, memory: &mut [f32]) -> Result<(), StepError> {
        let expected = self.image.memory_len();
        let found = memory.len();
        let state = memory
            .get_mut(..self.states())
            .filter(|_| found >= expected)
            .ok_or(StepError::Memory { expected, found })?;
        state.iter_mut().for_each(|value| *value = 0.0);
        Ok(())
    }

    /// A step with any head: the action without chance, by [`Head::act_greedy`].
    ///
    /// # Errors
    ///
    /// As [`outputs`](Self::outputs).
    pub fn step<'m>(
        &self,
        observation: &[f32],
        memory: &'m mut [f32],
    ) -> Result<Action<'m>, StepError> {
        let outputs = self.outputs(observation, memory)?;
        Ok(self.image.head().act_greedy(outputs))
    }

    /// A step with any head: an action drawn by [`Head::act_sampled`].
    ///
    /// # Errors
    ///
    /// As [`outputs`](Self::outputs); nothing is then drawn.
    pub fn step_sampled<'m>(
        &self,
        observation: &[f32],
        memory: &'m mut [f32],
        rng: &mut impl Rng,
    ) -> Result<Action<'m>, StepError> {
        let outputs = self.outputs(observation, memory)?;
        Ok(self.image.head().act_sampled(outputs, rng))
    }

    /// The action with the largest logit, the lowest of them where several tie.
    ///
    /// # Errors
    ///
    /// As [`outputs`](Self::outputs), and [`StepError::Kind`] when the policy's actions are not one
    /// number each.
    pub fn act_greedy(&self, observation: &[f32], memory: &mut [f32]) -> Result<usize, StepError> {
        self.check_number()?;
        self.outputs(observation, memory)
            .map(|logits| head::greedy(logits))
    }

    /// An action drawn with the policy's probabilities by [`head::sample`]: one `u32` from `rng`.
    ///
    /// # Errors
    ///
    /// As [`act_greedy`](Self::act_greedy); nothing is then drawn.
    pub fn act_sampled(
        &self,
        observation: &[f32],
        memory: &mut [f32],
        rng: &mut impl Rng,
    ) -> Result<usize, StepError> {
        self.check_number()?;
        self.outputs(observation, memory)
            .map(|logits| head::sample(logits, rng))
    }

    /// The action with the largest logit among those that `mask`, `[A]`, allows; the lowest of them
    /// where several tie.
    ///
    /// # Errors
    ///
    /// As [`act_greedy`](Self::act_greedy), and when the mask has the wrong length or allows no action.
    pub fn act_greedy_masked(
        &self,
        observation: &[f32],
        mask: &[bool],
        memory: &mut [f32],
    ) -> Result<usize, StepError> {
        self.check_number()?;
        self.check_mask(mask)?;
        let logits = self.outputs(observation, memory)?;
        head::greedy_masked(logits, mask).ok_or(StepError::EmptyMask)
    }

    /// An action drawn by [`head::sample_masked`] among those that `mask`, `[A]`, allows: one `u32`
    /// from `rng`.
    ///
    /// # Errors
    ///
    /// As [`act_greedy_masked`](Self::act_greedy_masked); nothing is then drawn.
    pub fn act_sampled_masked(
        &self,
        observation: &[f32],
        mask: &[bool],
        memory: &mut [f32],
        rng: &mut impl Rng,
    ) -> Result<usize, StepError> {
        self.check_number()?;
        self.check_mask(mask)?;
        let logits = self.outputs(observation, memory)?;
        head::sample_masked(logits, mask, rng).ok_or(StepError::EmptyMask)
    }

    /// A step with any head that chooses: the action without chance that `mask`, one truth value a logit,
    /// allows, by [`Head::act_greedy_masked`].
    ///
    /// # Errors
    ///
    /// As [`logits`](Self::logits), and when the mask has the wrong length or allows no action, be it in
    /// one group only.
    pub fn step_masked<'m>(
        &self,
        observation: &[f32],
        mask: &[bool],
        memory: &'m mut [f32],
    ) -> Result<Action<'m>, StepError> {
        self.check_mask(mask)?;
        let logits = self.outputs(observation, memory)?;
        let head = self.image.head();
        head.act_greedy_masked(logits, mask)
            .ok_or(StepError::EmptyMask)
    }

    /// A step with any head that chooses: an action drawn among those that `mask` allows, by
    /// [`Head::act_sampled_masked`]: one `u32` from `rng` a group.
    ///
    /// # Errors
    ///
    /// As [`step_masked`](Self::step_masked); nothing is then drawn.
    pub fn step_sampled_masked<'m>(
        &self,
        observation: &[f32],
        mask: &[bool],
        memory: &'m mut [f32],
        rng: &mut impl Rng,
    ) -> Result<Action<'m>, StepError> {
        self.check_mask(mask)?;
        let logits = self.outputs(observation, memory)?;
        let head = self.image.head();
        head.act_sampled_masked(logits, mask, rng)
            .ok_or(StepError::EmptyMask)
    }

    /// Before the step, so that an error leaves the state as it was.
    fn check_number(&self) -> Result<(), StepError> {
        match self.image.head() {
            Head::Categorical { .. } => Ok(()),
            _ => Err(StepError::Kind),
        }
    }

    /// Before the step, so that a bad mask leaves the state as it was.
    fn check_mask(&self, mask: &[bool]) -> Result<(), StepError> {
        let head = self.image.head();
        let (expected, found) = (self.image.output_len(), mask.len());
        if head.is_continuous() {
            return Err(StepError::Kind);
        }
        if found != expected {
            return Err(StepError::MaskLength { expected, found });
        }
        match head.is_open(mask) {
            true => Ok(()),
            false => Err(StepError::EmptyMask),
        }
    }

    /// The logits, `[A]`, of a multi-discrete head one group's after another's, all finite; they lie in
    /// `memory`, behind the state.
    ///
    /// # Errors
    ///
    /// As [`outputs`](Self::outputs), and [`StepError::Kind`] when the policy has none as its
    /// actions are vectors of real numbers.
    pub fn logits<'m>(
        &self,
        observation: &[f32],
        memory: &'m mut [f32],
    ) -> Result<&'m mut [f32], StepError> {
        match self.image.head().is_continuous() {
            false => self.outputs(observation, memory),
            true => Err(StepError::Kind),
        }
    }

    /// What the last layer gives, all finite: logits, means or values, as the head has it. They lie
    /// in `memory`, behind the state.
    ///
    /// # Errors
    ///
    /// A [`StepError`] when the observation has the wrong length or a value that is not finite, when
    /// it lacks the symbol of a shared seed that the policy expects, when
    /// `memory` is too short or its state not finite, or when an output or a state overflows: a bad
    /// number never becomes an action. The state is then what it was.
    pub fn outputs<'m>(
        &self,
        observation: &[f32],
        memory: &'m mut [f32],
    ) -> Result<&'m mut [f32], StepError> {
        let expected = self.image.observation_len();
        if observation.len() != expected {
            return Err(StepError::ObservationLength {
                expected,
                found: observation.len(),
            });
        }
        if let Some(index) = not_finite(observation) {
            return Err(StepError::NonFiniteObservation { index });
        }
        if let Some(seeding) = self.image.seeding() {
            seeding.check_tail(observation)?;
        }
        let short = StepError::Memory {
            expected: self.image.memory_len(),
            found: memory.len(),
        };
        if cfg!(feature = "int8") && self.image.is_integer() {
            return self.integer_outputs(observation, memory).ok_or(short);
        }
        let states = self.states();
        let [even, odd] = self.image.memory().regions;
        let (state, rest) = memory.split_at_mut_checked(states).ok_or(short)?;
        let (next, rest) = rest.split_at_mut_checked(states).ok_or(short)?;
        let (mut target, source) = rest.split_at_mut_checked(even).ok_or(short)?;
        let mut source = source.get_mut(..odd).ok_or(short)?;
        if let Some(index) = not_finite(state) {
            return Err(StepError::NonFiniteState { index });
        }

        // Dense layers write to the two regions in turn, recurrent ones to their part of `next`;
        // each reads what the one before it wrote.
        let (mut last, mut len, mut stepped) = (Place::Observation, 0, 0);
        let mut parameters = self.image.parameters();
        for &layer in self.image.network() {
            let (before, after) = next.split_at_mut_checked(stepped).ok_or(short)?;
            let input = match last {
                Place::Observation => observation,
                Place::Region => source.get(..len).ok_or(short)?,
                Place::State(start) => before.get(start..).ok_or(short)?,
            };
            match layer {
                Layer::Dense {
                    outputs,
                    activation,
                } => {
                    let outputs = usize::from(outputs);
                    let output = target.get_mut(..outputs).ok_or(short)?;
                    parameters = dense(parameters, input, output);
                    activation.apply(output);
                    (last, len) = (Place::Region, outputs);
                }
                Layer::Gru { hidden } if cfg!(feature = "gru") => {
                    let hidden = usize::from(hidden);
                    let (_, own) = state.split_at_checked(stepped).ok_or(short)?;
                    let own = own.get(..hidden).ok_or(short)?;
                    let output = after.get_mut(..hidden).ok_or(short)?;
                    parameters = gru(parameters, input, own, output);
                    (last, len) = (Place::State(stepped), hidden);
                    stepped += hidden;
                }
                // No checked image has one in a build that leaves them out, nor beside a layer in f32.
                Layer::Gru { .. }
                | Layer::Quantise
                | Layer::IntegerDense { .. }
                | Layer::IntegerGru { .. } => return Err(short),
            }
            (target, source) = (source, target);
        }

        if let Some(index) = not_finite(next) {
            return Err(StepError::StateOverflow { index });
        }
        let outputs = match last {
            // A copy of the state that recurrent layers leave behind it, all finite.
            Place::State(start) => {
                keep(state, next);
                next.get_mut(start..).ok_or(short)?
            }
            Place::Region | Place::Observation => {
                let outputs = source.get_mut(..len).ok_or(short)?;
                if let Some(index) = not_finite(outputs) {
                    return Err(StepError::NonFiniteOutput { index });
                }
                keep(state, next);
                outputs
            }
        };
        Ok(outputs)
    }

    /// As [`outputs`](Self::outputs), of an integer image and a finite observation; none where the memory
    /// is too short.
    ///
    /// Whatever bits the state has, they are one: no step of an integer image can fail once it has begun.
    fn integer_outputs<'m>(
        &self,
        observation: &[f32],
        memory: &'m mut [f32],
    ) -> Option<&'m mut [f32]> {
        let memory_of = self.image.memory();
        let (states, [even, _]) = (memory_of.state, memory_of.regions);
        let words: &mut [i32] =
            bytemuck::cast_slice_mut(memory.get_mut(..self.image.memory_len())?);
        let (state, rest) = words.split_at_mut_checked(states)?;
        let (even, odd) = rest.split_at_mut_checked(even)?;
        let (region, len) = quantised::step(
            self.image.network(),
            bytemuck::cast_slice(self.image.parameters()),
            observation,
            state,
            [&mut *even, &mut *odd],
        )?;
        let outputs = if region == 0 { even } else { odd };
        Some(bytemuck::cast_slice_mut(outputs.get_mut(..len)?))
    }
}

/// Where the outputs of the last layer lie.
#[derive(Clone, Copy)]
enum Place {
    Observation,
    /// At the start of a region.
    Region,
    /// In the next state, from this place on.
    State(usize),
}

/// The step succeeded: its state is the state.
fn keep(state: &mut [f32], next: &[f32]) {
    state
        .iter_mut()
        .zip(next)
        .for_each(|(value, &next)| *value = next);
}

/// The first value that is an infinity or NaN.
///
/// Finding out whether there is one takes as many instructions wherever it lies, and fewer than asking
/// each value: one more in an exponent of nothing but ones overflows into the sign.
fn not_finite(values: &[f32]) -> Option<usize> {
    const SIGN: u32 = 1 << 31;
    const EXPONENT_ONE: u32 = 1 << 23;
    let seen = (values.iter()).fold(0, |seen, value| {
        seen | ((value.to_bits() & !SIGN) + EXPONENT_ONE)
    });
    match seen & SIGN {
        0 => None,
        _ => values.iter().position(|value| !value.is_finite()),
    }
}
