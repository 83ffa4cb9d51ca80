//! The functions as C calls them: the runtime's results, and every refusal, after which nothing has changed.

mod common;

use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

use common::{Counter, flash, init, policy, random};
use consort_c::*;
use consort_runtime::{
    Action, Activation, AlignedBytes, DenseRepr, GruRepr, Head, Image, ImageRepr, LayerRepr,
    Policy, TeamId,
};

/// Logits x₀, x₁ and 1.
const DISCRETE: ImageRepr<'_> = ImageRepr {
    team: TeamId([7; 16]),
    agent: 1,
    agents: 2,
    revision: 9,
    period_us: 1_000,
    seeding: None,
    head: Head::Categorical { actions: 3 },
    layers: &[LayerRepr::Dense(DenseRepr {
        inputs: 2,
        outputs: 3,
        activation: Activation::Identity,
        weights: &[1.0, 0.0, 0.0, 1.0, 0.0, 0.0],
        biases: &[0.0, 0.0, 1.0],
    })],
};

/// A recurrent unit and its negative.
const VECTOR: ImageRepr<'_> = ImageRepr {
    head: Head::Gaussian {
        log_std: &[-1.0, 0.0],
    },
    layers: &[
        LayerRepr::Gru(GruRepr {
            inputs: 1,
            hidden: 1,
            input: &[0.0, 0.0, 1.0],
            recurrent: &[0.0, 0.0, 2.0],
            input_bias: &[0.0; 3],
            recurrent_bias_n: &[0.5],
        }),
        LayerRepr::Dense(DenseRepr {
            inputs: 1,
            outputs: 2,
            activation: Activation::Identity,
            weights: &[1.0, -1.0],
            biases: &[0.0; 2],
        }),
    ],
    ..DISCRETE
};

#[test]
fn the_image_is_described() {
    let policy = policy(&VECTOR);
    let mut info = MaybeUninit::<ConsortInfo>::zeroed();
    // SAFETY: both are valid; zeros are numbers.
    let info = unsafe {
        assert_eq!(
            consort_policy_info(&raw const *policy, info.as_mut_ptr()),
            OK
        );
        info.assume_init()
    };
    let expected = ConsortInfo {
        team: [7; 16],
        agent: 1,
        agents: 2,
        revision: 9,
        period_us: 1_000,
        observation_len: 1,
        output_len: 2,
        memory_len: 4,
        state_len: 1,
        continuous: 1,
        groups: 0,
        symbols: 0,
        symbol_per: 0,
        has_signature: 0,
    };
    assert_eq!(info, expected);
    // SAFETY: null is refused.
    let refused = unsafe { consort_policy_info(&raw const *policy, null_mut()) };
    assert_eq!(refused, ERR_NULL);
}

#[test]
fn numbers_are_the_runtimes() {
    let (policy, own) = (
        policy(&DISCRETE),
        Policy::new(Image::new_checked(flash(&DISCRETE)).unwrap()),
    );
    let mut memory = [f32::NAN; 3];
    let (mut counter, mut same) = (1u32, Counter(1));
    for step in 0..200u8 {
        let observation = [f32::from(step % 5) - 2.0, f32::from(step % 7) - 3.0];
        let mask = [step % 2, 1 - step % 2, u8::from(step % 3 == 0)];
        let truth = mask.map(|byte| byte == 1);
        let (o, m, k) = (observation.as_ptr(), memory.as_mut_ptr(), mask.as_ptr());
        let p = &raw const *policy;
        let context = (&raw mut counter).cast();
        let mut actions = [u32::MAX; 4];
        // SAFETY: all pointers lead to as many values as said.
        unsafe {
            assert_eq!(consort_act_greedy(p, o, 2, m, 3, &raw mut actions[0]), OK);
            assert_eq!(
                consort_act_sampled(p, o, 2, m, 3, Some(random), context, &raw mut actions[1]),
                OK
            );
            assert_eq!(
                consort_act_greedy_masked(p, o, 2, k, 3, m, 3, &raw mut actions[2]),
                OK
            );
            assert_eq!(
                consort_act_sampled_masked(
                    p,
                    o,
                    2,
                    k,
                    3,
                    m,
                    3,
                    Some(random),
                    context,
                    &raw mut actions[3]
                ),
                OK
            );
        }
        let expected = [
            own.act_greedy(&observation, &mut memory),
            own.act_sampled(&observation, &mut memory, &mut same),
            own.act_greedy_masked(&observation, &truth, &mut memory),
            own.act_sampled_masked(&observation, &truth, &mut memory, &mut same),
        ];
        assert_eq!(actions.map(|action| Ok(action as usize)), expected);
        let mut outputs = [0.0; 3];
        // SAFETY: as above.
        let status =
            unsafe { consort_outputs(p, o, 2, memory.as_mut_ptr(), 3, outputs.as_mut_ptr(), 3) };
        assert_eq!(status, OK);
        assert_eq!(own.logits(&observation, &mut memory), Ok(&mut outputs[..]));
    }
}

#[test]
fn vectors_are_the_runtimes_and_the_state_is_carried() {
    let (policy, own) = (
        policy(&VECTOR),
        Policy::new(Image::new_checked(flash(&VECTOR)).unwrap()),
    );
    let (mut memory, mut own_memory) = ([f32::NAN; 4], [0.0; 4]);
    let p = &raw const *policy;
    // SAFETY: all pointers lead to as many values as said, here and below.
    assert_eq!(unsafe { consort_reset(p, memory.as_mut_ptr(), 4) }, OK);
    let (mut counter, mut same) = (1u32, Counter(1));
    for step in 0..100u8 {
        let observation = [f32::from(step % 5) - 2.0];
        let o = observation.as_ptr();
        let mut action = [0.0; 2];
        // SAFETY: as above.
        let status =
            unsafe { consort_step(p, o, 1, memory.as_mut_ptr(), 4, action.as_mut_ptr(), 2) };
        assert_eq!(status, OK);
        let expected = own.step(&observation, &mut own_memory);
        assert_eq!(expected, Ok(Action::Continuous(&action)));
        let context = (&raw mut counter).cast();
        // SAFETY: as above.
        let status = unsafe {
            consort_step_sampled(
                p,
                o,
                1,
                memory.as_mut_ptr(),
                4,
                Some(random),
                context,
                action.as_mut_ptr(),
                2,
            )
        };
        assert_eq!(status, OK);
        let expected = own.step_sampled(&observation, &mut own_memory, &mut same);
        assert_eq!(expected, Ok(Action::Continuous(&action)));
        assert_eq!(memory[0].to_bits(), own_memory[0].to_bits());
    }
}

/// The result may lie in the memory itself, behind the state or even on it.
#[test]
fn a_result_may_be_written_into_the_memory() {
    let policy = policy(&VECTOR);
    let mut memory = [0.0; 4];
    let mut expected = [0.0; 2];
    let p = &raw const *policy;
    // SAFETY: all pointers lead to as many values as said.
    unsafe {
        assert_eq!(
            consort_step(
                p,
                [0.5].as_ptr(),
                1,
                memory.as_mut_ptr(),
                4,
                expected.as_mut_ptr(),
                2
            ),
            OK
        );
        for place in 0..3 {
            memory = [0.0; 4];
            let start = memory.as_mut_ptr();
            assert_eq!(
                consort_step(p, [0.5].as_ptr(), 1, start, 4, start.add(place), 2),
                OK
            );
            assert_eq!(memory[place..place + 2], expected);
        }
    }
}

#[test]
fn every_refused_step_leaves_state_and_safe_action() {
    let (numbers, vectors) = (policy(&DISCRETE), policy(&VECTOR));
    let (n, v) = (&raw const *numbers, &raw const *vectors);
    let blank = ConsortPolicyBytes::default();
    let mut memory = [0.25, 9.0, 9.0, 9.0];
    let kept = memory;
    let (mut action, mut vector) = (77u32, [0.5f32, -0.5]);
    let (m, a, w) = (memory.as_mut_ptr(), &raw mut action, vector.as_mut_ptr());
    let (good, bad, mask) = ([1.0f32, 2.0], [1.0f32, f32::NAN], [0u8, 1, 0]);
    let (o, k) = (good.as_ptr(), mask.as_ptr());
    let context = null_mut();
    // SAFETY: whatever is not refused leads to as many values as said.
    let statuses = unsafe {
        [
            (consort_act_greedy(null(), o, 2, m, 4, a), ERR_NULL),
            (
                consort_act_greedy(blank.pointer(), o, 2, m, 4, a),
                ERR_HANDLE,
            ),
            (
                consort_act_greedy(n.byte_add(1), o, 2, m, 4, a),
                ERR_ALIGNMENT,
            ),
            (consort_act_greedy(n, null(), 2, m, 4, a), ERR_NULL),
            (
                consort_act_greedy(n, o.byte_add(1), 2, m, 4, a),
                ERR_ALIGNMENT,
            ),
            (consort_act_greedy(n, o, 2, null_mut(), 4, a), ERR_NULL),
            (
                consort_act_greedy(n, o, 2, m.byte_add(2), 3, a),
                ERR_ALIGNMENT,
            ),
            (consort_act_greedy(n, o, 2, m, 4, null_mut()), ERR_NULL),
            (
                consort_act_greedy(n, o, 2, m, 4, a.byte_add(1)),
                ERR_ALIGNMENT,
            ),
            (
                consort_act_greedy(n, o, usize::MAX / 2, m, 4, a),
                ERR_LENGTH,
            ),
            (consort_act_greedy(n, m.add(2), 2, m, 3, a), ERR_OVERLAP),
            (
                consort_act_greedy(n, n.cast(), 2, n.cast_mut().cast(), 3, a),
                ERR_OVERLAP,
            ),
            (
                consort_act_greedy(n, o, 2, n.cast_mut().cast(), 3, a),
                ERR_OVERLAP,
            ),
            (consort_act_greedy(n, o, 1, m, 4, a), ERR_OBSERVATION_LENGTH),
            (
                consort_act_greedy(n, null(), 0, m, 4, a),
                ERR_OBSERVATION_LENGTH,
            ),
            (
                consort_act_greedy(n, bad.as_ptr(), 2, m, 4, a),
                ERR_OBSERVATION_VALUE,
            ),
            (consort_act_greedy(n, o, 2, m, 2, a), ERR_MEMORY_LENGTH),
            (consort_act_greedy(v, o, 1, m, 4, a), ERR_KIND),
            (
                consort_act_sampled(n, o, 2, m, 4, None, context, a),
                ERR_NULL,
            ),
            (
                consort_act_greedy_masked(n, o, 2, null(), 3, m, 4, a),
                ERR_NULL,
            ),
            (
                consort_act_greedy_masked(n, o, 2, k, 2, m, 4, a),
                ERR_MASK_LENGTH,
            ),
            (
                consort_act_greedy_masked(n, o, 2, [0, 2, 0].as_ptr(), 3, m, 4, a),
                ERR_MASK_VALUE,
            ),
            (
                consort_act_greedy_masked(n, o, 2, [0; 3].as_ptr(), 3, m, 4, a),
                ERR_MASK_EMPTY,
            ),
            (
                consort_act_greedy_masked(n, o, 2, m.cast(), 3, m, 4, a),
                ERR_OVERLAP,
            ),
            (
                consort_act_sampled_masked(n, o, 2, k, 3, m, 4, None, context, a),
                ERR_NULL,
            ),
            (consort_step(v, o, 1, m, 4, w, 1), ERR_OUTPUT_LENGTH),
            (consort_step(v, o, 1, m, 4, null_mut(), 2), ERR_NULL),
            (consort_step(v, o, 1, m, 3, w, 2), ERR_MEMORY_LENGTH),
            (
                consort_step(v, bad.as_ptr().add(1), 1, m, 4, w, 2),
                ERR_OBSERVATION_VALUE,
            ),
            (consort_step(n, o, 2, m, 4, w, 2), ERR_KIND),
            (
                consort_step_sampled(v, o, 1, m, 4, None, context, w, 2),
                ERR_NULL,
            ),
            (consort_outputs(n, o, 2, m, 4, w, 2), ERR_OUTPUT_LENGTH),
            (consort_reset(v, m, 3), ERR_MEMORY_LENGTH),
            (consort_reset(v, null_mut(), 4), ERR_NULL),
        ]
    };
    for (case, (found, expected)) in statuses.into_iter().enumerate() {
        assert_eq!(found, expected, "case {case}");
    }
    assert_eq!((memory, action, vector), (kept, 77, [0.5, -0.5]));

    // A state that is not one, and outputs that overflow: twice the largest number there is.
    let steep = [LayerRepr::Dense(DenseRepr {
        inputs: 2,
        outputs: 3,
        activation: Activation::Identity,
        weights: &[2.0, 0.0, 0.0, 2.0, 0.0, 0.0],
        biases: &[0.0; 3],
    })];
    let steep = policy(&ImageRepr {
        layers: &steep,
        ..DISCRETE
    });
    let large = [f32::MAX; 2];
    // SAFETY: as above.
    unsafe {
        let (s, l) = (&raw const *steep, large.as_ptr());
        assert_eq!(consort_act_greedy(s, l, 2, m, 4, a), ERR_OVERFLOW);
        *m = f32::NAN;
        assert_eq!(consort_step(v, o, 1, m, 4, w, 2), ERR_STATE_VALUE);
    }
    assert_eq!((action, vector), (77, [0.5, -0.5]));
}

/// Memory for a policy that nothing was initialised in.
struct ConsortPolicyBytes(Box<[usize; POLICY_WORDS]>);

impl Default for ConsortPolicyBytes {
    fn default() -> Self {
        ConsortPolicyBytes(Box::new([0; POLICY_WORDS]))
    }
}

impl ConsortPolicyBytes {
    fn pointer(&self) -> *const ConsortPolicy {
        (&raw const *self.0).cast()
    }
}

#[test]
fn a_refused_image_never_runs() {
    let good = flash(&DISCRETE);
    let mut damaged = AlignedBytes([0; 256]);
    damaged.0[..good.len()].copy_from_slice(good);
    damaged.0[good.len() - 10] ^= 1;
    let mut version = damaged;
    version.0[4] = 9;
    let damaged = &damaged.0[..good.len()];
    let mut moved = AlignedBytes([0; 256]);
    moved.0[1..=good.len()].copy_from_slice(good);
    for (bytes, expected) in [
        (damaged, ERR_IMAGE_CHECKSUM),
        (&version.0[..good.len()], ERR_IMAGE_VERSION),
        (&good[..good.len() - 1], ERR_IMAGE_LENGTH),
        (&[], ERR_IMAGE_LENGTH),
        (&[0; 64][..], ERR_IMAGE_MAGIC),
        (&moved.0[1..=good.len()], ERR_IMAGE_ALIGNMENT),
    ] {
        let (mut policy, status) = init(bytes);
        assert_eq!(status, expected);
        let (mut memory, mut action) = ([0.0; 3], 77);
        // SAFETY: all pointers lead to as many values as said.
        unsafe {
            let p = &raw const *policy;
            let status = consort_act_greedy(
                p,
                [0.0; 2].as_ptr(),
                2,
                memory.as_mut_ptr(),
                3,
                &raw mut action,
            );
            assert_eq!((status, action), (ERR_HANDLE, 77));
            // A policy that was good is refused as well once its memory was given to a bad image.
            let p = &raw mut *policy;
            assert_eq!(consort_policy_init(p, good.as_ptr().cast(), good.len()), OK);
            assert_eq!(
                consort_policy_init(p, bytes.as_ptr().cast(), bytes.len()),
                expected
            );
            assert_eq!(consort_reset(p, memory.as_mut_ptr(), 3), ERR_HANDLE);
        }
    }
    // SAFETY: null is refused.
    unsafe {
        assert_eq!(
            consort_policy_init(null_mut(), good.as_ptr().cast(), good.len()),
            ERR_NULL
        );
        let mut policy = policy(&DISCRETE);
        assert_eq!(consort_policy_init(&raw mut *policy, null(), 64), ERR_NULL);
        assert_eq!(
            consort_reset(&raw const *policy, [0.0; 3].as_mut_ptr(), 3),
            ERR_HANDLE
        );
    }
}

unsafe extern "C" fn accept(
    context: *mut c_void,
    _: *const u8,
    len: usize,
    signature: *const u8,
) -> bool {
    // SAFETY: the test gives a number, the library 64 bytes.
    unsafe {
        *context.cast::<usize>() = len;
        *signature == 0x5a && *signature.add(63) == 0x5a
    }
}

#[test]
fn signed_images_are_asked_for() {
    let pair = ed25519_compact::KeyPair::from_seed([3; 32].into());
    let mut key: [u8; 32] = *pair.pk;
    let emit = |sign: &dyn Fn(&[u8]) -> [u8; 64]| {
        let mut bytes = Box::new(AlignedBytes([0; 256]));
        let len = DISCRETE.emit_signed(&mut bytes.0, sign).unwrap();
        (bytes, len)
    };
    let signed = emit(&|message| *pair.sk.sign(message, None));
    let marked = emit(&|_| [0x5a; 64]);
    let unsigned = flash(&DISCRETE);
    let mut seen = 0usize;
    let mut policy = policy(&DISCRETE);
    let mut check = |bytes: &[u8], verify: Option<Verify>, context: *mut c_void| {
        // SAFETY: the policy may be written, the images live until the end of the test, the contexts are what is asked for.
        unsafe {
            consort_policy_init_verified(
                &raw mut *policy,
                bytes.as_ptr().cast(),
                bytes.len(),
                verify,
                context,
            )
        }
    };
    let (signed, marked) = (&signed.0.0[..signed.1], &marked.0.0[..marked.1]);
    let ed25519: Option<Verify> = Some(consort_verify_ed25519);
    assert_eq!(check(signed, ed25519, key.as_mut_ptr().cast()), OK);
    assert_eq!(
        check(marked, ed25519, key.as_mut_ptr().cast()),
        ERR_IMAGE_SIGNATURE
    );
    assert_eq!(
        check(unsigned, ed25519, key.as_mut_ptr().cast()),
        ERR_IMAGE_UNSIGNED
    );
    assert_eq!(
        check(signed, ed25519, null_mut()),
        ERR_IMAGE_SIGNATURE,
        "no key"
    );
    assert_eq!(check(marked, Some(accept), (&raw mut seen).cast()), OK);
    assert_eq!(seen, marked.len() - 68);
    assert_eq!(
        check(signed, Some(accept), (&raw mut seen).cast()),
        ERR_IMAGE_SIGNATURE
    );
    assert_eq!(check(signed, None, null_mut()), ERR_NULL);
}

#[test]
fn the_pace_is_watched() {
    let policy = policy(&DISCRETE);
    let mut pace = MaybeUninit::<ConsortPace>::zeroed();
    let p = pace.as_mut_ptr();
    let mut measured = 99;
    // SAFETY: both are valid; zeros are numbers.
    unsafe {
        assert_eq!(consort_pace_init(p, &raw const *policy, 100), OK);
        for (now, status, since) in [
            (4_294_967_000, OK, 0),
            (804, OK, 1_100),
            (1_703, ERR_PACE, 899),
            (2_703, OK, 1_000),
            (3_804, ERR_PACE, 1_101),
        ] {
            assert_eq!(consort_pace_tick(p, now, &raw mut measured), status);
            assert_eq!(measured, since);
        }
        assert_eq!(consort_pace_tick(p, 4_804, null_mut()), OK);
        assert_eq!(consort_pace_tick(null_mut(), 0, null_mut()), ERR_NULL);
    }
}

#[test]
fn what_is_written_beside_the_policy_must_not_lie_in_it() {
    let image = flash(&DISCRETE);
    let (mut policy, status) = init(image);
    assert_eq!(status, OK);
    let p = &raw mut *policy;
    let mut memory = [0.0f32; 3];
    let mut pace = MaybeUninit::<[ConsortPace; 2]>::zeroed();
    let w = pace.as_mut_ptr().cast::<ConsortPace>();
    let m = memory.as_mut_ptr();
    // SAFETY: whatever is not refused leads to as many values as said; nothing here is written to.
    unsafe {
        assert_eq!(consort_policy_info(p, p.cast()), ERR_OVERLAP);
        let inside = image.as_ptr().cast_mut();
        assert_eq!(consort_policy_info(p, inside.cast()), ERR_OVERLAP);
        assert_eq!(consort_pace_init(p.cast(), p, 100), ERR_OVERLAP);
        assert_eq!(consort_pace_init(inside.cast(), p, 100), ERR_OVERLAP);
        let act = |action: *mut u32| consort_act_greedy(p, [0.0; 2].as_ptr(), 2, m, 3, action);
        assert_eq!(act(p.cast()), ERR_OVERLAP);
        assert_eq!(act(inside.cast()), ERR_OVERLAP);
        assert_eq!(consort_pace_init(w, p, 100), OK);
        assert_eq!(consort_pace_tick(w, 5, null_mut()), OK);
        let kept = *w;
        // Nothing has passed after an error: not even the pace.
        assert_eq!(consort_pace_tick(w, 9_000, w.cast()), ERR_OVERLAP);
        let odd = w.add(1).byte_add(1).cast();
        assert_eq!(consort_pace_tick(w, 9_000, odd), ERR_ALIGNMENT);
        assert_eq!(*w, kept);
        assert_eq!(consort_pace_tick(w, 1_005, null_mut()), OK);
    }
}

#[test]
fn every_status_has_its_own_text() {
    let mut texts = Vec::new();
    for &(_, status, text) in STATUSES {
        // SAFETY: texts live for ever and end in a zero.
        let found = unsafe { CStr::from_ptr(consort_status_string(status)) };
        assert_eq!(found, text);
        texts.push(found);
    }
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), STATUSES.len());
    for unknown in [-1, 7, 1000] {
        // SAFETY: as above.
        let text = unsafe { CStr::from_ptr(consort_status_string(unknown)) };
        assert_eq!(text, c"unknown status");
    }
}
