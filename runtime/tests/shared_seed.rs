//! A shared seed from the image to the action: what is refused, and what agents that disagree earn.

mod common;

use std::num::NonZeroU32;

use chacha20::ChaCha8Rng;
use common::{EXAMPLE, emit};
use consort_runtime::{
    Activation, DenseRepr, EmitError, Head, Image, ImageRepr, LayerRepr, Moment, Per, Policy,
    SeedClock, SeedClockError, Seeding, ShapeError, SharedSeed, StepError, Symbol,
};
use rand_core::SeedableRng;

const SEEDING: Seeding = Seeding {
    symbols: 2,
    per: Per::Step,
};

/// Sees a constant and a symbol of two, and does what the symbol says.
const REPR: ImageRepr<'_> = ImageRepr {
    seeding: Some(SEEDING),
    head: Head::Categorical { actions: 2 },
    layers: &[LayerRepr::Dense(DenseRepr {
        inputs: 3,
        outputs: 2,
        activation: Activation::Identity,
        weights: &[0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        biases: &[0.0; 2],
    })],
    ..EXAMPLE
};

#[test]
fn an_image_says_which_seed_it_expects() {
    for per in [Per::Step, Per::Episode] {
        for symbols in [2, 3] {
            let seeding = Some(Seeding { symbols, per });
            let bytes = emit(&ImageRepr { seeding, ..REPR });
            let image = Image::new_checked(bytes.bytes()).unwrap();
            assert_eq!(image.seeding(), seeding);
            assert_eq!(image.observation_len(), 3);
        }
    }
    assert_eq!(
        Image::new_checked(emit(&EXAMPLE).bytes())
            .unwrap()
            .seeding(),
        None
    );
    for symbols in [0, 1, 4] {
        let seeding = Some(Seeding { symbols, ..SEEDING });
        let refused = ShapeError::Symbols {
            symbols,
            observations: 3,
        };
        let repr = ImageRepr { seeding, ..REPR };
        assert_eq!(repr.emitted_len(), Err(EmitError::Shape(refused)));
    }
}

#[test]
fn no_step_is_taken_without_a_symbol() {
    let bytes = emit(&REPR);
    let policy = Policy::new(Image::new_checked(bytes.bytes()).unwrap());
    let mut memory = [0.0; 8];
    let mut rng = ChaCha8Rng::from_seed([0; 32]);
    let refused = StepError::NoSymbol { symbols: 2 };
    let forgotten = [1.0, 0.0, 0.0];
    assert_eq!(policy.act_greedy(&forgotten, &mut memory), Err(refused));
    assert_eq!(
        policy.act_sampled(&forgotten, &mut memory, &mut rng),
        Err(refused)
    );
    assert_eq!(policy.step(&forgotten, &mut memory).unwrap_err(), refused);
    assert_eq!(policy.logits(&forgotten, &mut memory).unwrap_err(), refused);
    let short = StepError::ObservationLength {
        expected: 3,
        found: 1,
    };
    assert_eq!(policy.act_greedy(&[1.0], &mut memory), Err(short));
    let seed = SharedSeed::new([3; 16]);
    for tick in 0..64 {
        let symbol = seed.draw(SEEDING, Moment::new(9, tick));
        let mut observation = [1.0; 3];
        symbol.write(&mut observation).unwrap();
        assert_eq!(
            policy.act_greedy(&observation, &mut memory),
            Ok(symbol.index())
        );
    }
}

/// The draws that `docs/derivations/shared_seed.py` lists, which has a hash of its own.
#[test]
fn draws_are_those_of_the_document() {
    let document = include_str!("../../docs/shared-seed.md");
    let key: [u8; 16] = core::array::from_fn(|index| index as u8);
    let seed = SharedSeed::new(key);
    let mut checked = 0;
    for line in document
        .lines()
        .filter(|line| line.starts_with("| vector |"))
    {
        let words: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, _, symbols, per, episode, tick, expected, _] = words[..] else {
            panic!("{line}");
        };
        let per = if per == "step" {
            Per::Step
        } else {
            Per::Episode
        };
        let symbols = symbols.parse().unwrap();
        let moment = Moment::new(episode.parse().unwrap(), tick.parse().unwrap());
        let found = seed.draw(Seeding { symbols, per }, moment).index();
        assert_eq!(found.to_string(), expected, "{line}");
        checked += 1;
    }
    assert!(checked >= 12, "{checked} vectors in the document");
}

/// What the team of `docs/shared-seed.md` gets for certain: both agents do what their symbol says,
/// and the adversary forbids the action that they agree upon more often. `steps` steps, in which agent
/// 1's clock is `clock`, and agent 0 always knows the moment.
fn guaranteed(clock: &mut SeedClock, steps: u32) -> f64 {
    let seed = SharedSeed::new([8; 16]);
    let mut rng = ChaCha8Rng::from_seed([1; 32]);
    let mut agreed = [0_u32; 2];
    for number in 0..steps {
        let now = Moment::new(u64::from(number / 50), number % 50);
        let one = seed.draw(SEEDING, now);
        let other = match clock.step() {
            Ok(moment) => seed.draw(SEEDING, moment),
            Err(_) => Symbol::private(SEEDING, &mut rng),
        };
        if one == other {
            agreed[one.index()] += 1;
        }
    }
    f64::from(agreed[0].min(agreed[1])) / f64::from(steps)
}

/// An agent that has lost count plays independently of the others, and so for 1/4; once it is told
/// the moment it plays for 1/2 again.
#[test]
fn disagreement_costs_what_independence_costs_until_the_agent_rejoins() {
    let (steps, ticks) = (10_000, NonZeroU32::new(50).unwrap());
    // Five standard deviations of a share of 10,000 fair decisions.
    let close = |found: f64, expected: f64| (found - expected).abs() < 5.0 * 0.5 / 100.0;
    let mut in_step = SeedClock::new(ticks, u32::MAX);
    in_step.resync(Moment::new(0, 0));
    let together = guaranteed(&mut in_step, steps);
    assert!(close(together, 0.5), "{together}");

    // Restarted: it knows that it does not know.
    let mut lost = SeedClock::new(ticks, u32::MAX);
    assert_eq!(lost.step(), Err(SeedClockError::Lost));
    let alone = guaranteed(&mut lost, steps);
    assert!(close(alone, 0.25), "{alone}");
    lost.resync(Moment::new(0, 0));
    assert_eq!(guaranteed(&mut lost, steps), together);

    // One step off without knowing it: other draws, no worse than none in common.
    let mut off = SeedClock::new(ticks, u32::MAX);
    off.resync(Moment::new(0, 1));
    let off = guaranteed(&mut off, steps);
    assert!(close(off, 0.25), "{off}");
}
