//! Multi-discrete heads: an action of every group.

mod common;

use std::convert::Infallible;

use common::{EXAMPLE, GROUPS, emit, seal};
use consort_runtime::{
    Action, EmitError, Fault, Guarded, Head, Image, ImageError, ImageRepr, Policy, SafeError,
    ShapeError, StepError, head,
};
use rand_core::{Rng, TryRng};

/// Offsets of the header's head size and of the head's words, behind a layer of 6 × 3 parameters.
const HEAD_SIZE: usize = 41;
const SIZES: usize = 48 + 4 * 18;

/// Counts up in large steps, and tells how often it was asked.
#[derive(Clone, PartialEq, Debug)]
struct Counter(u32);

impl TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0 = self.0.wrapping_add(0x3210_fedc);
        Ok(self.0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("policies take numbers of 32 bits")
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
        unreachable!("policies take numbers of 32 bits")
    }
}

#[test]
fn the_best_action_of_every_group_is_taken() {
    let bytes = emit(&GROUPS);
    let image = Image::new_checked(bytes.bytes()).unwrap();
    assert_eq!(image.head(), Head::MultiDiscrete { sizes: &[2, 1, 3] });
    assert_eq!((image.output_len(), image.memory_len()), (6, 6));
    let policy = Policy::new(image);
    let mut memory = [0.0; 6];
    // Logits 1, 2; 5; 3, −1, 1.
    let action = policy.step(&[1.0, 2.0], &mut memory).unwrap();
    assert_eq!(action, Action::MultiDiscrete(&[1, 0, 0]));
    // Logits 0.5, −4; 5; −3.5, 4.5, 1.
    let action = policy.step(&[0.5, -4.0], &mut memory).unwrap();
    assert_eq!(action, Action::MultiDiscrete(&[0, 0, 1]));
    // Equal ones: the lowest.
    let action = policy.step(&[0.0, 0.0], &mut memory).unwrap();
    assert_eq!(action, Action::MultiDiscrete(&[0, 0, 2]));
    let logits = policy.logits(&[1.0, 2.0], &mut memory).unwrap();
    assert_eq!(logits, [1.0, 2.0, 5.0, 3.0, -1.0, 1.0]);
}

#[test]
fn every_group_is_drawn_from_in_turn() {
    let bytes = emit(&GROUPS);
    let policy = Policy::new(Image::new_checked(bytes.bytes()).unwrap());
    let (mut memory, mut rng, mut own) = ([0.0; 6], Counter(1), Counter(1));
    let mask = [true, true, true, true, false, true];
    for step in 0..2_000 {
        let observation = [1.5 * (own.clone().next_u32() as f32 / 4e9), 0.25];
        let logits = policy.logits(&observation, &mut memory).unwrap().to_vec();
        let drawn = match step % 2 {
            0 => policy.step_sampled(&observation, &mut memory, &mut rng),
            _ => policy.step_sampled_masked(&observation, &mask, &mut memory, &mut rng),
        };
        let expected = [0..2, 2..3, 3..6].map(|group| match step % 2 {
            0 => head::sample(&logits[group], &mut own) as u32,
            _ => {
                head::sample_masked(&logits[group.clone()], &mask[group], &mut own).unwrap() as u32
            }
        });
        assert_eq!(drawn, Ok(Action::MultiDiscrete(&expected)));
        // One number a group, whatever its size.
        assert_eq!(rng, own);
    }
}

#[test]
fn a_mask_holds_in_every_group_and_must_leave_each_an_action() {
    let bytes = emit(&GROUPS);
    let policy = Policy::new(Image::new_checked(bytes.bytes()).unwrap());
    let mut memory = [0.0; 6];
    // Logits 1, 2; 5; 3, −1, 1.
    let mut act = |mask: &[bool]| {
        let action = policy.step_masked(&[1.0, 2.0], mask, &mut memory)?;
        match action {
            Action::MultiDiscrete(actions) => Ok(actions.to_vec()),
            other => panic!("{other:?}"),
        }
    };
    let (yes, no) = (true, false);
    assert_eq!(act(&[yes, no, yes, no, yes, yes]), Ok(vec![0, 0, 2]));
    assert_eq!(act(&[no, yes, yes, no, yes, no]), Ok(vec![1, 0, 1]));
    assert_eq!(
        act(&[yes, yes, no, yes, yes, yes]),
        Err(StepError::EmptyMask)
    );
    assert_eq!(
        act(&[no, no, yes, yes, yes, yes]),
        Err(StepError::EmptyMask)
    );
    let (expected, found) = (6, 5);
    let short = Err(StepError::MaskLength { expected, found });
    assert_eq!(act(&[yes; 5]), short);
}

#[test]
fn one_number_is_not_what_it_gives() {
    let bytes = emit(&GROUPS);
    let policy = Policy::new(Image::new_checked(bytes.bytes()).unwrap());
    let (mut memory, mut rng, o) = ([0.5; 6], Counter(1), [1.0, 2.0]);
    for refused in [
        policy.act_greedy(&o, &mut memory),
        policy.act_sampled(&o, &mut memory, &mut rng),
        policy.act_greedy_masked(&o, &[true; 6], &mut memory),
        policy.act_sampled_masked(&o, &[true; 6], &mut memory, &mut rng),
    ] {
        assert_eq!(refused, Err(StepError::Kind));
    }
    assert_eq!((memory, rng), ([0.5; 6], Counter(1)));

    // A categorical policy steps by the same call as the others.
    let bytes = emit(&EXAMPLE);
    let policy = Policy::new(Image::new_checked(bytes.bytes()).unwrap());
    let mask = [true, true, false];
    let stepped = policy.step_masked(&[1.0, 0.25], &mask, &mut memory);
    assert_eq!(stepped, Ok(Action::Discrete(0)));
}

#[test]
fn a_safe_action_has_a_number_for_every_group() {
    let bytes = emit(&GROUPS);
    let guard = |safe| Guarded::new(Image::new_checked(bytes.bytes()), safe);
    let mut memory = [0.0; 6];
    let guarded = guard(Action::MultiDiscrete(&[1, 0, 2]));
    let acted = guarded.step(&[f32::NAN, 0.0], &mut memory);
    assert_eq!(acted.action, Action::MultiDiscrete(&[1, 0, 2]));
    assert_eq!(
        acted.fault,
        Some(Fault::Step(StepError::NonFiniteObservation { index: 0 }))
    );
    let acted = guarded.step_masked(&[1.0, 2.0], &[true; 6], &mut memory);
    assert_eq!(acted.action, Action::MultiDiscrete(&[1, 0, 0]));
    let fault = |safe| guard(safe).policy().map(|_| ()).unwrap_err();
    let (group, actions, found) = (1, 1, 1);
    for (safe, error) in [
        (Action::Discrete(0), SafeError::Kind),
        (Action::Continuous(&[0.0; 3]), SafeError::Kind),
        (
            Action::MultiDiscrete(&[0, 0]),
            SafeError::Dimensions {
                expected: 3,
                found: 2,
            },
        ),
        (
            Action::MultiDiscrete(&[1, 1, 2]),
            SafeError::Group {
                group,
                actions,
                found,
            },
        ),
    ] {
        assert_eq!(fault(safe), Fault::Safe(error));
    }
}

#[test]
fn every_refusal_says_what_and_where() {
    let forged = |offset: usize, bytes: &[u8]| {
        let mut image = emit(&GROUPS);
        image.bytes_mut()[offset..][..bytes.len()].copy_from_slice(bytes);
        seal(image.bytes_mut());
        Image::new_checked(image.bytes()).map(|_| ()).unwrap_err()
    };
    let shape = ImageError::Shape;
    let (expected, found) = (4, 3);
    assert_eq!(
        forged(HEAD_SIZE, &[4]),
        ImageError::MissingHead { expected, found }
    );
    assert_eq!(
        forged(SIZES + 4, &[0]),
        shape(ShapeError::Group { group: 1, found: 0 })
    );
    let found = 0x0001_0001;
    assert_eq!(
        forged(SIZES + 4, &[1, 0, 1]),
        shape(ShapeError::Group { group: 1, found })
    );
    let (expected, found) = (7, 6);
    assert_eq!(
        forged(SIZES, &[3]),
        shape(ShapeError::Head { expected, found })
    );
    // Two groups of which the sizes are right, and a word that no one takes.
    let mut image = emit(&GROUPS);
    image.bytes_mut()[HEAD_SIZE] = 2;
    image.bytes_mut()[SIZES + 4] = 4;
    seal(image.bytes_mut());
    let refused = Image::new_checked(image.bytes()).map(|_| ());
    assert_eq!(refused, Err(ImageError::TrailingWeights { found: 4 }));
}

#[test]
fn emitting_refuses_groups_that_no_image_may_hold() {
    let refused = |sizes| {
        let repr = ImageRepr {
            head: Head::MultiDiscrete { sizes },
            ..GROUPS
        };
        repr.emitted_len().unwrap_err()
    };
    let group = |group, found| EmitError::Shape(ShapeError::Group { group, found });
    assert_eq!(refused(&[3, 0, 3]), group(1, 0));
    let (expected, found) = (5, 6);
    assert_eq!(
        refused(&[2, 3]),
        EmitError::Shape(ShapeError::Head { expected, found })
    );
    let (expected, found) = (0, 6);
    assert_eq!(
        refused(&[]),
        EmitError::Shape(ShapeError::Head { expected, found })
    );
}
