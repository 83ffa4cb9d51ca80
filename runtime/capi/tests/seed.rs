//! The shared seed as C calls it: the runtime's symbols and moments, and rejoining.

mod common;

use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

use common::{Counter, policy, random};
use consort_c::*;
use consort_runtime::{
    Activation, DenseRepr, Head, ImageRepr, LayerRepr, Moment, Per, Seeding, SharedSeed, Symbol,
    TeamId,
};

const SEEDING: Seeding = Seeding {
    symbols: 3,
    per: Per::Step,
};

/// Sees one number and one of three symbols, and takes the symbol's action.
const SEEDED: ImageRepr<'_> = ImageRepr {
    team: TeamId([7; 16]),
    agent: 0,
    agents: 2,
    revision: 1,
    period_us: 20_000,
    seeding: Some(SEEDING),
    head: Head::Categorical { actions: 3 },
    layers: &[LayerRepr::Dense(DenseRepr {
        inputs: 4,
        outputs: 3,
        activation: Activation::Identity,
        weights: &[0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0],
        biases: &[0.0; 3],
    })],
};

const KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

#[test]
fn symbols_are_the_runtimes_and_the_policy_acts_by_them() {
    let policy = policy(&SEEDED);
    let p = &raw const *policy;
    let mut info = MaybeUninit::<ConsortInfo>::zeroed();
    // SAFETY: both are valid; zeros are numbers.
    let info = unsafe {
        assert_eq!(consort_policy_info(p, info.as_mut_ptr()), OK);
        info.assume_init()
    };
    assert_eq!((info.groups, info.symbols, info.symbol_per), (1, 3, 1));
    let (mut observation, mut memory) = ([0.25f32, 0.0, 0.0, 0.0], [0.0f32; 3]);
    let (mut symbol, mut action) = (9u32, 9u32);
    let (o, m) = (observation.as_mut_ptr(), memory.as_mut_ptr());
    let mut counts = [0; 3];
    for step in 0..300u32 {
        let moment = ConsortMoment {
            episode: u64::from(step / 7) << 31,
            tick: step % 7,
        };
        let expected = SharedSeed::new(KEY).draw(SEEDING, Moment::new(moment.episode, moment.tick));
        // SAFETY: all pointers lead to as many values as said.
        unsafe {
            let written =
                consort_seed_write(p, KEY.as_ptr(), &raw const moment, o, 4, &raw mut symbol);
            assert_eq!((written, symbol as usize), (OK, expected.index()));
            assert_eq!(consort_act_greedy(p, o, 4, m, 3, &raw mut action), OK);
        }
        assert_eq!(action, symbol);
        counts[action as usize] += 1;
    }
    assert!(counts.iter().all(|&count| count > 60), "{counts:?}");

    let (mut counter, mut same) = (1u32, Counter(1));
    for _ in 0..50 {
        let context = (&raw mut counter).cast();
        // SAFETY: as above.
        unsafe {
            let written =
                consort_seed_write_private(p, Some(random), context, o, 4, &raw mut symbol);
            assert_eq!(written, OK);
            assert_eq!(consort_act_greedy(p, o, 4, m, 3, &raw mut action), OK);
        }
        let expected = Symbol::private(SEEDING, &mut same).index();
        assert_eq!([symbol, action].map(|found| found as usize), [expected; 2]);
    }
    assert_eq!(observation[0], 0.25);
}

/// An agent restarts, is told, counts on, is left alone too long, and had counted too far.
#[test]
fn an_agent_rejoins() {
    let mut clock = MaybeUninit::<ConsortClock>::zeroed();
    let c = clock.as_mut_ptr();
    let mut now = ConsortMoment {
        episode: 77,
        tick: 77,
    };
    let n = &raw mut now;
    let at = |episode, tick| ConsortMoment { episode, tick };
    let mut drift = 99i64;
    let d = &raw mut drift;
    // SAFETY: all are valid; zeros are numbers.
    unsafe {
        assert_eq!(consort_clock_step(c, n), ERR_HANDLE);
        assert_eq!(consort_clock_init(c, 0, 4), ERR_NUMBER);
        assert_eq!(consort_clock_init(c, 3, 4), OK);
        assert_eq!(consort_clock_step(c, n), ERR_CLOCK_LOST);
        assert_eq!(*n, at(77, 77));
        assert_eq!(consort_clock_resync(c, &at(5, 1), d), OK);
        assert_eq!(*d, 0);
        for expected in [at(5, 1), at(5, 2), at(6, 0)] {
            assert_eq!((consort_clock_step(c, n), *n), (OK, expected));
        }
        // Two steps behind, then told the truth; one too far, which must not be used twice.
        assert_eq!(consort_clock_resync(c, &at(7, 0), d), OK);
        assert_eq!(*d, 2);
        assert_eq!((consort_clock_step(c, n), *n), (OK, at(7, 0)));
        assert_eq!(consort_clock_resync(c, &at(7, 0), d), OK);
        assert_eq!(*d, -1);
        assert_eq!(consort_clock_step(c, n), ERR_CLOCK_STALE);
        assert_eq!((consort_clock_step(c, n), *n), (OK, at(7, 1)));
        assert_eq!(consort_clock_begin_episode(c), OK);
        assert_eq!((consort_clock_step(c, n), *n), (OK, at(8, 0)));
        assert_eq!((consort_clock_step(c, n), *n), (OK, at(8, 1)));
        assert_eq!(consort_clock_step(c, n), ERR_CLOCK_EXPIRED);
        // By a clock in common: 31 steps of 20 ms are ten episodes and a step.
        assert_eq!(consort_moment_at(20_000, 3, 639_999, n), OK);
        assert_eq!(*n, at(10, 1));
        assert_eq!(consort_clock_resync(c, n, null_mut()), OK);
        assert_eq!((consort_clock_step(c, n), *n), (OK, at(10, 1)));
    }
}

#[test]
fn every_refusal_leaves_everything_as_it_was() {
    let (seeded, plain) = (
        policy(&SEEDED),
        policy(&ImageRepr {
            seeding: None,
            ..SEEDED
        }),
    );
    let (p, q) = (&raw const *seeded, &raw const *plain);
    let mut observation = [0.5f32; 4];
    let mut symbol = 9u32;
    let (o, s) = (observation.as_mut_ptr(), &raw mut symbol);
    let moment = ConsortMoment {
        episode: 1,
        tick: 2,
    };
    let (k, t) = (KEY.as_ptr(), &raw const moment);
    let mut clock = MaybeUninit::<ConsortClock>::zeroed();
    let c = clock.as_mut_ptr();
    // SAFETY: whatever is not refused leads to as many values as said.
    let statuses = unsafe {
        assert_eq!(consort_clock_init(c, 3, 4), OK);
        [
            (consort_seed_write(null(), k, t, o, 4, s), ERR_NULL),
            (consort_seed_write(p, null(), t, o, 4, s), ERR_NULL),
            (consort_seed_write(p, k, null(), o, 4, s), ERR_NULL),
            (consort_seed_write(p, k, t, null_mut(), 4, s), ERR_NULL),
            (consort_seed_write(p, k, t, o, 3, s), ERR_OBSERVATION_LENGTH),
            (
                consort_seed_write(p, k, t, o, 4, s.byte_add(1)),
                ERR_ALIGNMENT,
            ),
            (consort_seed_write(p, k, t, o, 4, o.cast()), ERR_OVERLAP),
            (consort_seed_write(p, o.cast(), t, o, 4, s), ERR_OVERLAP),
            (
                consort_seed_write(p, k, t, p.cast_mut().cast(), 4, s),
                ERR_OVERLAP,
            ),
            (
                consort_seed_write(p, k, t, o, 4, p.cast_mut().cast()),
                ERR_OVERLAP,
            ),
            (consort_seed_write(q, k, t, o, 4, s), ERR_SEED),
            (
                consort_seed_write_private(p, None, null_mut(), o, 4, s),
                ERR_NULL,
            ),
            (
                consort_seed_write_private(q, Some(random), null_mut(), o, 4, s),
                ERR_SEED,
            ),
            (consort_clock_step(c, null_mut()), ERR_NULL),
            (consort_clock_step(c, c.cast()), ERR_OVERLAP),
            (consort_clock_resync(c, c.cast(), null_mut()), ERR_OVERLAP),
            (consort_clock_resync(c, t, c.cast()), ERR_OVERLAP),
            (consort_clock_begin_episode(null_mut()), ERR_NULL),
            (consort_moment_at(0, 3, 1, t.cast_mut()), ERR_NUMBER),
            (consort_moment_at(1, 3, 1, null_mut()), ERR_NULL),
        ]
    };
    for (case, (found, expected)) in statuses.into_iter().enumerate() {
        assert_eq!(found, expected, "case {case}");
    }
    assert_eq!((observation, symbol), ([0.5; 4], 9));
}
