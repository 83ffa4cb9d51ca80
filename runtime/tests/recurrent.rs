//! Policies that remember, masks, and actions that are vectors.

mod common;

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use common::{EXAMPLE, RECURRENT, emit};
use consort_runtime::{
    Action, Activation, DenseRepr, GruRepr, Head, Image, ImageRepr, LayerRepr, Policy, StepError,
    head, math,
};

/// Numbers in (−1, 1).
fn numbers(rng: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    let mut draw = || (rng.next_u32() >> 8) as f32 / 8_388_608.0 - 1.0;
    (0..count).map(|_| draw()).collect()
}

/// A recurrent layer and its state, in the plainest way.
struct Unit {
    inputs: usize,
    hidden: usize,
    input: Vec<f32>,
    recurrent: Vec<f32>,
    input_bias: Vec<f32>,
    recurrent_bias_n: Vec<f32>,
    state: Vec<f32>,
}

impl Unit {
    fn new(rng: &mut ChaCha8Rng, inputs: usize, hidden: usize) -> Self {
        Unit {
            inputs,
            hidden,
            input: numbers(rng, 3 * hidden * inputs),
            recurrent: numbers(rng, 3 * hidden * hidden),
            input_bias: numbers(rng, 3 * hidden),
            recurrent_bias_n: numbers(rng, hidden),
            state: vec![0.0; hidden],
        }
    }

    fn repr(&self) -> LayerRepr<'_> {
        LayerRepr::Gru(GruRepr {
            inputs: self.inputs,
            hidden: self.hidden,
            input: &self.input,
            recurrent: &self.recurrent,
            input_bias: &self.input_bias,
            recurrent_bias_n: &self.recurrent_bias_n,
        })
    }

    /// What `docs/image.md` specifies.
    fn step(&mut self, x: &[f32]) -> Vec<f32> {
        let sum = |start: f32, row: &[f32], values: &[f32]| {
            std::iter::zip(row, values).fold(start, |sum, (weight, value)| sum + weight * value)
        };
        let from_x = |gate: usize, j: usize| {
            let row = gate * self.hidden + j;
            sum(
                self.input_bias[row],
                &self.input[row * self.inputs..][..self.inputs],
                x,
            )
        };
        let from_h = |start: f32, gate: usize, j: usize| {
            let row = gate * self.hidden + j;
            sum(
                start,
                &self.recurrent[row * self.hidden..][..self.hidden],
                &self.state,
            )
        };
        let next = |j: usize| {
            let r = math::sigmoid(from_h(from_x(0, j), 0, j));
            let z = math::sigmoid(from_h(from_x(1, j), 1, j));
            let q = from_h(self.recurrent_bias_n[j], 2, j);
            let n = math::tanh(from_x(2, j) + r * q);
            (1.0 - z) * n + z * self.state[j]
        };
        self.state = (0..self.hidden).map(next).collect();
        self.state.clone()
    }
}

fn policy_of<T>(head: Head<'_>, layers: &[LayerRepr<'_>], test: impl FnOnce(Policy<'_>) -> T) -> T {
    let bytes = emit(&ImageRepr {
        agent: 0,
        agents: 1,
        head,
        layers,
        ..EXAMPLE
    });
    test(Policy::new(Image::new_checked(bytes.bytes()).unwrap()))
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn every_width_of_a_recurrent_layer_gives_the_specified_bits_over_many_steps() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for hidden in 1..=9 {
        for inputs in 1..=5 {
            let mut unit = Unit::new(&mut rng, inputs, hidden);
            let steps: Vec<_> = (0..20).map(|_| numbers(&mut rng, inputs)).collect();
            let expected: Vec<_> = steps.iter().map(|x| bits(&unit.step(x))).collect();
            let head = Head::Categorical { actions: hidden };
            policy_of(head, &[unit.repr()], |policy| {
                let mut memory = vec![f32::NAN; policy.image().memory_len()];
                assert_eq!(memory.len(), 2 * hidden);
                policy.reset(&mut memory).unwrap();
                for (x, expected) in steps.iter().zip(&expected) {
                    let outputs = policy.logits(x, &mut memory).unwrap();
                    assert_eq!(bits(outputs), *expected, "{inputs} to {hidden}");
                    assert_eq!(bits(&memory[..hidden]), *expected);
                }
            });
        }
    }
}

/// Dense, recurrent, recurrent, dense, recurrent, dense: every place a layer can read from.
#[test]
fn recurrent_layers_may_stand_anywhere() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut units = [(4, 6), (6, 3), (5, 7)].map(|(i, h)| Unit::new(&mut rng, i, h));
    let dense = [(2, 4), (3, 5), (7, 3)].map(|(i, o)| (numbers(&mut rng, i * o), i, o));
    let zeros = [0.0; 8];
    let layer = |index: usize| {
        let (weights, inputs, outputs) = &dense[index];
        LayerRepr::Dense(DenseRepr {
            inputs: *inputs,
            outputs: *outputs,
            activation: Activation::Tanh,
            weights,
            biases: &zeros[..*outputs],
        })
    };
    let forward = |index: usize, x: &[f32]| -> Vec<f32> {
        let (weights, inputs, _) = &dense[index];
        let rows = weights.chunks(*inputs);
        let sum = |row: &[f32]| std::iter::zip(row, x).fold(0.0, |sum, (w, x)| sum + w * x);
        rows.map(|row| math::tanh(sum(row))).collect()
    };
    let steps: Vec<_> = (0..300).map(|_| numbers(&mut rng, 2)).collect();
    // Two episodes: the second begins where the first did.
    let expected: Vec<_> = (0..2)
        .flat_map(|_| {
            units.iter_mut().for_each(|unit| unit.state.fill(0.0));
            let mut step = |x: &Vec<f32>| {
                let h = units[0].step(&forward(0, x));
                let h = units[1].step(&h);
                let h = units[2].step(&forward(1, &h));
                bits(&forward(2, &h))
            };
            steps.iter().map(&mut step).collect::<Vec<_>>()
        })
        .collect();
    let layers = [
        layer(0),
        units[0].repr(),
        units[1].repr(),
        layer(1),
        units[2].repr(),
        layer(2),
    ];
    policy_of(Head::Categorical { actions: 3 }, &layers, |policy| {
        let image = policy.image();
        // Layer 0 has 4 outputs, layers 3 and 5 have 5 and 3.
        assert_eq!((image.state_len(), image.memory_len()), (16, 32 + 4 + 5));
        let mut memory = vec![f32::NAN; 50];
        for (t, (x, expected)) in steps.iter().cycle().zip(&expected).enumerate() {
            if t % 300 == 0 {
                policy.reset(&mut memory).unwrap();
            }
            assert_eq!(bits(policy.logits(x, &mut memory).unwrap()), *expected);
            // Only the state is kept.
            memory[16..].fill(f32::NAN);
        }
    });
}

#[test]
fn a_step_that_fails_leaves_the_state_as_it_was() {
    let unit = GruRepr {
        inputs: 2,
        hidden: 2,
        input: &[3.0, -3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0],
        recurrent: &[0.5; 12],
        input_bias: &[0.0; 6],
        recurrent_bias_n: &[0.0; 2],
    };
    let last = DenseRepr {
        inputs: 2,
        outputs: 2,
        activation: Activation::Identity,
        weights: &[3.4e38, 3.4e38, 0.0, 1.0],
        biases: &[1e38, 0.0],
    };
    let layers = [LayerRepr::Gru(unit), LayerRepr::Dense(last)];
    policy_of(Head::Categorical { actions: 2 }, &layers, |policy| {
        let mut memory = vec![0.0; policy.image().memory_len()];
        assert_eq!(policy.act_greedy(&[0.5, -0.5], &mut memory), Ok(0));
        let state = memory[..2].to_vec();
        assert_ne!(state, [0.0; 2]);
        let fails = |memory: &mut Vec<f32>, observation: &[f32], expected: StepError| {
            let result = policy.act_greedy(observation, memory);
            assert_eq!(result, Err(expected));
            assert_eq!(bits(&memory[..2]), bits(&state));
        };
        fails(
            &mut memory,
            &[0.5],
            StepError::ObservationLength {
                expected: 2,
                found: 1,
            },
        );
        let nan = StepError::NonFiniteObservation { index: 1 };
        fails(&mut memory, &[0.5, f32::NAN], nan);
        // ∞ − ∞ in the reset gate of unit 0.
        let overflow = StepError::StateOverflow { index: 0 };
        fails(&mut memory, &[3e38, 3e38], overflow);
        // A fine state, but 1e38 + 3.4e38 (h₀ + h₁) is not finite.
        let output = StepError::NonFiniteOutput { index: 0 };
        fails(&mut memory, &[9.0, 9.0], output);
        for mask in [&[false, false][..], &[true]] {
            let result = policy.act_greedy_masked(&[0.5, -0.5], mask, &mut memory);
            let expected = match mask.len() {
                2 => StepError::EmptyMask,
                found => StepError::MaskLength { expected: 2, found },
            };
            assert_eq!(result, Err(expected));
            assert_eq!(bits(&memory[..2]), bits(&state));
        }
        for found in 0..memory.len() {
            let short = StepError::Memory {
                expected: memory.len(),
                found,
            };
            let mut memory = memory[..found].to_vec();
            assert_eq!(policy.reset(&mut memory), Err(short));
            assert_eq!(policy.act_greedy(&[0.5, -0.5], &mut memory), Err(short));
            assert_eq!(bits(&memory[..found.min(2)]), bits(&state[..found.min(2)]));
        }
        memory[1] = f32::INFINITY;
        let result = policy.act_greedy(&[0.5, -0.5], &mut memory);
        assert_eq!(result, Err(StepError::NonFiniteState { index: 1 }));
        policy.reset(&mut memory).unwrap();
        assert_eq!(policy.act_greedy(&[0.5, -0.5], &mut memory), Ok(0));
        assert_eq!(bits(&memory[..2]), bits(&state));
    });
}

#[test]
fn a_mask_forbids_actions() {
    let bytes = emit(&EXAMPLE);
    let policy = Policy::new(Image::new_checked(bytes.bytes()).unwrap());
    let mut memory = [0.0; 4];
    // Logits 1, 1 and 3.
    let mut greedy = |mask: [bool; 3]| policy.act_greedy_masked(&[1.0, 0.25], &mask, &mut memory);
    assert_eq!(greedy([true, true, true]), Ok(2));
    assert_eq!(greedy([true, true, false]), Ok(0));
    assert_eq!(greedy([false, true, false]), Ok(1));
    assert_eq!(greedy([false; 3]), Err(StepError::EmptyMask));
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut counts = [0; 3];
    for _ in 0..20_000 {
        let mask = [true, false, true];
        let drawn = policy.act_sampled_masked(&[1.0, 0.25], &mask, &mut memory, &mut rng);
        counts[drawn.unwrap()] += 1;
    }
    // 1 / (1 + e²) = .1192; five standard deviations of 20,000 draws are 229.
    assert_eq!(counts[1], 0);
    assert!((counts[0] - 2_384_i32).abs() < 229, "{counts:?}");
    // With nothing forbidden, the very draws of the policy without a mask.
    let [mut plain, mut masked] = [5, 5].map(ChaCha8Rng::seed_from_u64);
    for _ in 0..100 {
        let one = policy.act_sampled(&[1.5, 0.0], &mut memory, &mut plain);
        let other = policy.act_sampled_masked(&[1.5, 0.0], &[true; 3], &mut memory, &mut masked);
        assert_eq!(one, other);
    }
    let before = plain.next_u32();
    let refused = policy.act_sampled_masked(&[1.5, 0.0], &[false; 3], &mut memory, &mut masked);
    assert_eq!(refused, Err(StepError::EmptyMask));
    assert_eq!(masked.next_u32(), before, "nothing was drawn");
}

#[test]
fn heads_of_either_kind_act_through_a_step() {
    let bytes = emit(&EXAMPLE);
    let policy = Policy::new(Image::new_checked(bytes.bytes()).unwrap());
    let mut memory = [0.0; 4];
    let action = policy.step(&[1.0, 0.25], &mut memory);
    assert_eq!(action, Ok(Action::Discrete(2)));

    let ImageRepr { layers, .. } = EXAMPLE;
    let head = Head::Deterministic { outputs: 3 };
    policy_of(head, layers, |policy| {
        let mut memory = [0.0; 4];
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let expected = Ok(Action::Continuous(&[1.0, 1.0, 3.0]));
        assert_eq!(policy.step(&[1.0, 0.25], &mut memory), expected);
        let sampled = policy.step_sampled(&[1.0, 0.25], &mut memory, &mut rng);
        assert_eq!(sampled, expected);
        let none = Err(StepError::Kind);
        let mask = [true; 3];
        assert_eq!(policy.act_greedy(&[1.0, 0.25], &mut memory), none);
        assert_eq!(
            policy.act_greedy_masked(&[1.0, 0.25], &mask, &mut memory),
            none
        );
        assert_eq!(
            policy.act_sampled(&[1.0, 0.25], &mut memory, &mut rng),
            none
        );
        assert!(policy.logits(&[1.0, 0.25], &mut memory).is_err());
    });
    let log_std = [-1.0, 0.5, 100.0];
    policy_of(Head::Gaussian { log_std: &log_std }, layers, |policy| {
        let mut memory = [0.0; 4];
        let means = [1.0, 1.0, 3.0];
        let greedy = means.map(math::tanh);
        let action = policy.step(&[1.0, 0.25], &mut memory);
        assert_eq!(action, Ok(Action::Continuous(&greedy)));
        let [mut rng, mut own] = [6, 6].map(ChaCha8Rng::seed_from_u64);
        for _ in 0..100 {
            let expected: Vec<f32> = std::iter::zip(means, log_std)
                .map(|(mean, log_std)| {
                    math::tanh(mean + math::exp(log_std) * head::normal(&mut own))
                })
                .collect();
            let action = policy.step_sampled(&[1.0, 0.25], &mut memory, &mut rng);
            assert_eq!(action, Ok(Action::Continuous(&expected)));
            assert!(expected.iter().all(|value| value.abs() <= 1.0));
        }
    });
}

#[test]
fn a_failed_step_of_a_recurrent_vector_policy_draws_nothing() {
    let bytes = emit(&RECURRENT);
    let policy = Policy::new(Image::new_checked(bytes.bytes()).unwrap());
    let [mut rng, mut untouched] = [7, 7].map(ChaCha8Rng::seed_from_u64);
    let mut memory = [0.0; 4];
    let result = policy.step_sampled(&[f32::NAN], &mut memory, &mut rng);
    assert_eq!(result, Err(StepError::NonFiniteObservation { index: 0 }));
    assert_eq!(rng.next_u32(), untouched.next_u32());
}

/// Moments, tails and the greatest distance between the distribution functions (Kolmogorov and
/// Smirnov), of a million draws.
#[test]
fn normal_numbers_are_normal() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let count = 1_000_000_usize;
    let mut draws: Vec<f64> = (0..count)
        .map(|_| f64::from(head::normal(&mut rng)))
        .collect();
    let moment = |power: i32| draws.iter().map(|x| x.powi(power)).sum::<f64>() / count as f64;
    // Five standard errors: √(1, 2, 15, 96) / 10³.
    assert!(moment(1).abs() < 0.005);
    assert!((moment(2) - 1.0).abs() < 0.007);
    assert!(moment(3).abs() < 0.0194);
    assert!((moment(4) - 3.0).abs() < 0.049);
    draws.sort_by(f64::total_cmp);
    // Φ at whole numbers; five standard errors of a frequency.
    for (x, exact) in [
        (-3.0, 0.001_349_898),
        (-2.0, 0.022_750_132),
        (-1.0, 0.158_655_254),
        (0.0, 0.5),
        (1.0, 0.841_344_746),
        (2.0, 0.977_249_868),
        (3.0, 0.998_650_102),
    ] {
        let found = draws.partition_point(|&draw| draw < x) as f64 / count as f64;
        let bound = 5.0 * (exact * (1.0 - exact) / count as f64).sqrt();
        assert!((found - exact).abs() < bound, "Φ({x}): {found} {exact}");
    }
    assert_eq!(draws.len(), count);
}

#[test]
fn the_extreme_normal_numbers() {
    struct Fixed(u32);
    impl rand_core::TryRng for Fixed {
        type Error = core::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            Ok(self.0)
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            Ok(u64::from(self.0))
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
            bytes.fill(self.0 as u8);
            Ok(())
        }
    }
    let [low, high] = [0, u32::MAX].map(|number| head::normal(&mut Fixed(number)));
    assert_eq!(low.to_bits(), (-high).to_bits());
    assert!((8.6..8.7).contains(&high), "{high}");
    // Halves of 32,767 and 32,768 average to the middle.
    assert_eq!(head::normal(&mut Fixed(0x7fff_8000)), 0.0);
}
