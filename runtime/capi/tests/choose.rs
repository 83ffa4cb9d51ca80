//! Policies that choose a number of every group, as C calls them.

mod common;

use std::ptr::null_mut;

use common::{Counter, flash, policy, random};
use consort_c::*;
use consort_runtime::{
    Action, Activation, DenseRepr, Head, Image, ImageRepr, LayerRepr, Policy, TeamId,
};

/// Groups of two and three actions, with logits x₀, x₁; x₀ + x₁, x₀ − x₁ and 1.
const GROUPS: ImageRepr<'_> = ImageRepr {
    team: TeamId([7; 16]),
    agent: 0,
    agents: 1,
    revision: 1,
    period_us: 0,
    seeding: None,
    head: Head::MultiDiscrete { sizes: &[2, 3] },
    layers: &[LayerRepr::Dense(DenseRepr {
        inputs: 2,
        outputs: 5,
        activation: Activation::Identity,
        weights: &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, -1.0, 0.0, 0.0],
        biases: &[0.0, 0.0, 0.0, 0.0, 1.0],
    })],
};

#[test]
fn groups_are_the_runtimes() {
    let (policy, own) = (
        policy(&GROUPS),
        Policy::new(Image::new_checked(flash(&GROUPS)).unwrap()),
    );
    let p = &raw const *policy;
    let (mut memory, mut own_memory) = ([f32::NAN; 5], [0.0; 5]);
    let (mut counter, mut same) = (1u32, Counter(1));
    let mut sizes = [0; 2];
    // SAFETY: all pointers lead to as many values as said, here and below.
    let status = unsafe { consort_policy_groups(p, sizes.as_mut_ptr(), 2) };
    assert_eq!(status, OK);
    assert_eq!(sizes, [2, 3]);
    for step in 0..200u8 {
        let observation = [f32::from(step % 5) - 2.0, f32::from(step % 7) - 3.0];
        let mask = [step % 2, 1, 1 - step % 2, u8::from(step % 3 == 0), step % 2];
        let truth = mask.map(|byte| byte == 1);
        let (o, m, k) = (observation.as_ptr(), memory.as_mut_ptr(), mask.as_ptr());
        let context = (&raw mut counter).cast();
        let mut chosen = [[u32::MAX; 2]; 4];
        let [greedy, masked, drawn, drawn_masked] = &mut chosen;
        // SAFETY: as above.
        let statuses = unsafe {
            [
                consort_choose(p, o, 2, m, 5, greedy.as_mut_ptr(), 2),
                consort_choose_masked(p, o, 2, k, 5, m, 5, masked.as_mut_ptr(), 2),
                consort_choose_sampled(p, o, 2, m, 5, Some(random), context, drawn.as_mut_ptr(), 2),
                consort_choose_sampled_masked(
                    p,
                    o,
                    2,
                    k,
                    5,
                    m,
                    5,
                    Some(random),
                    context,
                    drawn_masked.as_mut_ptr(),
                    2,
                ),
            ]
        };
        assert_eq!(statuses, [OK; 4]);
        let m = &mut own_memory;
        let expect = |found: [u32; 2], expected: Result<Action<'_>, _>| {
            assert_eq!(expected, Ok(Action::MultiDiscrete(&found)));
        };
        expect(chosen[0], own.step(&observation, m));
        expect(chosen[1], own.step_masked(&observation, &truth, m));
        expect(chosen[2], own.step_sampled(&observation, m, &mut same));
        let drawn = own.step_sampled_masked(&observation, &truth, m, &mut same);
        expect(chosen[3], drawn);
        assert_eq!(counter, same.0);
    }
}

#[test]
fn one_group_is_a_group_too_and_a_result_may_lie_in_the_memory() {
    let (groups, one) = (
        policy(&GROUPS),
        policy(&ImageRepr {
            head: Head::Categorical { actions: 5 },
            ..GROUPS
        }),
    );
    let o = [1.0f32, -2.0];
    let mut memory = [0.0f32; 5];
    let m = memory.as_mut_ptr();
    let mut action = [u32::MAX; 1];
    // SAFETY: all pointers lead to as many values as said; 3 = 1 − −2 is the largest logit.
    unsafe {
        let p = &raw const *one;
        assert_eq!(consort_policy_groups(p, action.as_mut_ptr(), 1), OK);
        assert_eq!(action, [5]);
        assert_eq!(
            consort_choose(p, o.as_ptr(), 2, m, 5, action.as_mut_ptr(), 1),
            OK
        );
        assert_eq!(action, [3]);
        let p = &raw const *groups;
        assert_eq!(
            consort_choose(p, o.as_ptr(), 2, m, 5, m.add(1).cast(), 2),
            OK
        );
        assert_eq!([*m.add(1), *m.add(2)].map(f32::to_bits), [0, 1]);
    }
}

#[test]
fn every_refused_choice_leaves_the_safe_one() {
    let (groups, vectors) = (
        policy(&GROUPS),
        policy(&ImageRepr {
            head: Head::Deterministic { outputs: 5 },
            ..GROUPS
        }),
    );
    let (g, v) = (&raw const *groups, &raw const *vectors);
    let (mut memory, mut chosen) = ([0.5f32; 5], [7u32, 8, 9]);
    let (m, a) = (memory.as_mut_ptr(), chosen.as_mut_ptr());
    let good = [1.0f32, 2.0];
    let o = good.as_ptr();
    // SAFETY: whatever is not refused leads to as many values as said.
    let statuses = unsafe {
        [
            (consort_choose(g, o, 2, m, 5, a, 3), ERR_OUTPUT_LENGTH),
            (consort_choose(g, o, 2, m, 5, null_mut(), 2), ERR_NULL),
            (
                consort_choose(g, o, 2, m, 5, g.cast_mut().cast(), 2),
                ERR_OVERLAP,
            ),
            (consort_choose(g, o, 1, m, 5, a, 2), ERR_OBSERVATION_LENGTH),
            (consort_choose(v, o, 2, m, 5, a, 2), ERR_KIND),
            (consort_act_greedy(g, o, 2, m, 5, a), ERR_KIND),
            (consort_step(g, o, 2, m, 5, m, 5), ERR_KIND),
            (
                consort_choose_masked(g, o, 2, [1, 1, 0, 0, 0].as_ptr(), 5, m, 5, a, 2),
                ERR_MASK_EMPTY,
            ),
            (
                consort_choose_masked(g, o, 2, [1; 5].as_ptr(), 4, m, 5, a, 2),
                ERR_MASK_LENGTH,
            ),
            (
                consort_choose_sampled(g, o, 2, m, 5, None, null_mut(), a, 2),
                ERR_NULL,
            ),
            (consort_policy_groups(g, a, 3), ERR_OUTPUT_LENGTH),
            (consort_policy_groups(v, a, 2), ERR_KIND),
            (
                consort_policy_groups(g, g.cast_mut().cast(), 2),
                ERR_OVERLAP,
            ),
        ]
    };
    for (case, (found, expected)) in statuses.into_iter().enumerate() {
        assert_eq!(found, expected, "case {case}");
    }
    assert_eq!((memory, chosen), ([0.5; 5], [7, 8, 9]));
}
