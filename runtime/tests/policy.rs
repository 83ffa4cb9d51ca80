//! From observations to actions.

mod common;

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use common::{EXAMPLE, emit};
use consort_runtime::{
    Activation, DenseRepr, Head, Image, ImageRepr, LayerRepr, Policy, StepError, head, math,
};

/// Numbers in (−1, 1) from a linear congruential generator.
struct Numbers(u32);

impl Numbers {
    fn take(&mut self, count: usize) -> Vec<f32> {
        (0..count)
            .map(|_| {
                self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (self.0 >> 8) as f32 / 8_388_608.0 - 1.0
            })
            .collect()
    }
}

/// A layer with parameters of its own.
struct Layer {
    activation: Activation,
    weights: Vec<f32>,
    biases: Vec<f32>,
}

impl Layer {
    fn new(numbers: &mut Numbers, inputs: usize, outputs: usize, activation: Activation) -> Self {
        let (weights, biases) = (numbers.take(inputs * outputs), numbers.take(outputs));
        Layer {
            activation,
            weights,
            biases,
        }
    }

    fn repr(&self) -> LayerRepr<'_> {
        LayerRepr::Dense(DenseRepr {
            inputs: self.weights.len() / self.biases.len(),
            outputs: self.biases.len(),
            activation: self.activation,
            weights: &self.weights,
            biases: &self.biases,
        })
    }

    /// What `docs/image.md` specifies, in the plainest way.
    fn forward(&self, input: &[f32]) -> Vec<f32> {
        let rows = self.weights.chunks(input.len()).zip(&self.biases);
        rows.map(|(row, &bias)| {
            let sum = row
                .iter()
                .zip(input)
                .fold(bias, |sum, (weight, x)| sum + weight * x);
            match self.activation {
                Activation::Identity => sum,
                Activation::Relu => sum.max(0.0),
                Activation::Tanh => math::tanh(sum),
                Activation::Sigmoid => math::sigmoid(sum),
                Activation::Silu => sum * math::sigmoid(sum),
            }
        })
        .collect()
    }
}

/// Emits layers as agent 0 of 1 and runs `test` with the policy that comes back.
fn with_policy(layers: &[Layer], test: impl FnOnce(Policy<'_>)) {
    let actions = layers.last().unwrap().biases.len();
    let layers: Vec<_> = layers.iter().map(Layer::repr).collect();
    let head = Head::Categorical { actions };
    let bytes = emit(&ImageRepr {
        agent: 0,
        agents: 1,
        head,
        layers: &layers,
        ..EXAMPLE
    });
    test(Policy::new(Image::new_checked(bytes.bytes()).unwrap()));
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn every_panel_width_gives_the_specified_bits() {
    let mut numbers = Numbers(1);
    for outputs in 1..=17 {
        for inputs in 1..=9 {
            let layer = Layer::new(&mut numbers, inputs, outputs, Activation::Identity);
            let observation = numbers.take(inputs);
            let expected = layer.forward(&observation);
            with_policy(&[layer], |policy| {
                let mut memory = vec![f32::NAN; outputs];
                let logits = policy.logits(&observation, &mut memory).unwrap();
                assert_eq!(bits(logits), bits(&expected), "{inputs} to {outputs}");
            });
        }
    }
}

#[test]
fn layers_alternate_between_two_regions() {
    use Activation::{Identity, Relu, Sigmoid, Silu, Tanh};
    let mut numbers = Numbers(2);
    let shapes = [
        (3, 5, Tanh),
        (5, 20, Relu),
        (20, 11, Sigmoid),
        (11, 2, Silu),
        (2, 6, Identity),
    ];
    let layers = shapes.map(|(i, o, activation)| Layer::new(&mut numbers, i, o, activation));
    let observation = numbers.take(3);
    let expected = layers
        .iter()
        .fold(observation.clone(), |x, layer| layer.forward(&x));
    with_policy(&layers, |policy| {
        assert_eq!(policy.image().memory_len(), 11 + 20);
        // Whatever the memory held, and however much longer it is.
        for (len, filling) in [(31, f32::NAN), (100, 3.0)] {
            let mut memory = vec![filling; len];
            let logits = policy.logits(&observation, &mut memory).unwrap();
            assert_eq!(bits(logits), bits(&expected));
        }
    });
}

#[test]
fn a_bad_step_gives_no_action() {
    let bytes = emit(&EXAMPLE);
    let policy = Policy::new(Image::new_checked(bytes.bytes()).unwrap());
    let mut memory = [0.0; 4];
    let mut act = |observation: &[f32]| policy.act_greedy(observation, &mut memory);
    assert_eq!(
        act(&[]),
        Err(StepError::ObservationLength {
            expected: 2,
            found: 0
        })
    );
    assert_eq!(
        act(&[0.0; 3]),
        Err(StepError::ObservationLength {
            expected: 2,
            found: 3
        })
    );
    assert_eq!(
        act(&[0.0, f32::NAN]),
        Err(StepError::NonFiniteObservation { index: 1 })
    );
    assert_eq!(
        act(&[f32::INFINITY, 0.0]),
        Err(StepError::NonFiniteObservation { index: 0 })
    );
    // h = 0.5 + 3e38 is finite, 2 h is not.
    assert_eq!(
        act(&[3e38, 0.0]),
        Err(StepError::NonFiniteOutput { index: 1 })
    );
    for found in 0..4 {
        let short = policy.act_greedy(&[0.0; 2], &mut [0.0; 4][..found]);
        assert_eq!(short, Err(StepError::Memory { expected: 4, found }));
    }
    assert_eq!(policy.act_greedy(&[0.0; 2], &mut memory), Ok(2));
}

/// A hidden sum of ∞ − ∞ must not become a number again, whatever the activation.
#[test]
fn not_a_number_reaches_the_logits() {
    for activation in Activation::ALL {
        let hidden = Layer {
            activation,
            weights: vec![3.0, -3.0],
            biases: vec![0.0],
        };
        let last = Layer {
            activation,
            weights: vec![0.0, 0.0],
            biases: vec![1.0, 2.0],
        };
        with_policy(&[hidden, last], |policy| {
            let result = policy.act_greedy(&[2e38, 2e38], &mut [0.0; 3]);
            assert_eq!(result, Err(StepError::NonFiniteOutput { index: 0 }));
        });
    }
}

/// Draws that never change within a format version, whatever the machine.
#[test]
fn golden_draws() {
    let bytes = emit(&EXAMPLE);
    let policy = Policy::new(Image::new_checked(bytes.bytes()).unwrap());
    let mut memory = [0.0; 4];
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut numbers = ChaCha8Rng::seed_from_u64(2);
    // Logits 2, 3 and 2.
    let mut draw = || {
        policy
            .act_sampled(&[1.5, 0.0], &mut memory, &mut rng)
            .unwrap()
    };
    let draws: [usize; 24] = std::array::from_fn(|_| draw());
    let golden = [
        0, 2, 1, 1, 0, 2, 1, 2, 0, 1, 2, 1, 0, 2, 1, 0, 1, 0, 0, 1, 1, 1, 1, 2,
    ];
    assert_eq!(draws, golden);
    // The same from the definition: probabilities 1 : e : 1, and u from 23 bits.
    let e = std::f64::consts::E;
    let definition = || {
        let u = f64::from((numbers.next_u32() >> 9) * 2 + 1) / 16_777_216.0 * (2.0 + e);
        if u < 1.0 {
            0
        } else if u < 1.0 + e {
            1
        } else {
            2
        }
    };
    assert_eq!(
        std::iter::repeat_with(definition)
            .take(24)
            .collect::<Vec<_>>(),
        golden
    );
}

#[test]
fn sampling_follows_the_networks_probabilities() {
    let bytes = emit(&EXAMPLE);
    let policy = Policy::new(Image::new_checked(bytes.bytes()).unwrap());
    let mut memory = [0.0; 4];
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut expected = [0.0; 3];
    head::probabilities(
        policy.logits(&[1.5, 0.0], &mut memory).unwrap(),
        &mut expected,
    );
    let (draws, mut counts) = (50_000, [0u32; 3]);
    for _ in 0..draws {
        counts[policy
            .act_sampled(&[1.5, 0.0], &mut memory, &mut rng)
            .unwrap()] += 1;
    }
    for (&probability, &count) in expected.iter().zip(&counts) {
        // Five standard deviations of a frequency around .21 or .58.
        assert!((count as f32 / draws as f32 - probability).abs() < 5.0 * 0.0022);
    }
}
