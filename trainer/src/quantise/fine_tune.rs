//! Fine-tuning under quantisation: a network that keeps to itself once it is rounded.
//!
//! The rounded network is the student, the network as it was trained the teacher (Hinton, Vinyals and Dean,
//! arXiv:1503.02531). At what the team's own agents saw, in whole episodes where they remember, Adam (Kingma and Ba,
//! arXiv:1412.6980) moves the weights behind the whole numbers so that the student acts as the teacher does: by KL(teacher ‖
//! student) of the actions' distributions, or half the squared distance of vectors. Before every update weights are rounded as
//! for an image, and the gradient of the [rounded network](super::gradient) is that of the weights behind it. Ranges are
//! calibrated anew before every pass.
//!
//! An update is counted in the digits of whole numbers: a row's weights, whatever their size, move by the same part of what
//! its last digit stands for.

use std::ops::Range;

use super::forward::{self, Ranges};
use super::{IntegerNetwork, QuantiseError};
use crate::net::{HeadWeights, LayerWeights, NetworkWeights};
use crate::rng::Stream;
use crate::team::Seen;

/// Passes over all that was seen.
const PASSES: usize = 30;
/// Steps of an update, or a little more: episodes are not cut.
const BATCH: usize = 64;
/// How far a weight moves in the first updates, in its digits; it falls to 0 with the passes.
const RATE: f64 = 0.1;
/// Adam's decay of the mean and of the mean square, and what keeps its quotient finite.
const DECAYS: [f32; 2] = [0.9, 0.999];
const EPSILON: f32 = 1e-10;

/// The weights of `network`, moved so that their rounded ones act as `network` does at `seen`. `seed` and `agent` decide the
/// order of what is seen, and nothing else is left to chance.
///
/// # Errors
/// [`QuantiseError`], where `network` itself cannot be rounded.
pub fn fine_tune(
    network: &NetworkWeights,
    seen: &[Seen],
    seed: u64,
    agent: usize,
) -> Result<NetworkWeights, QuantiseError> {
    IntegerNetwork::new(network, seen)?;
    let lesson = Lesson {
        seen,
        targets: forward::outputs(network, seen),
        order: episodes(network, seen),
    };
    let mut stream = Stream::new(seed, "fine-tune", agent as u64);
    let mut adam = Adam::new(network);
    let mut tuned = network.clone();
    for pass in 0..PASSES {
        let rate = RATE * (1.0 - pass as f64 / PASSES as f64);
        let mut next = tuned.clone();
        // Weights that grow out of whole numbers end the tuning before that pass.
        if lesson
            .pass(&mut next, &mut adam, rate as f32, &mut stream)
            .and_then(|()| IntegerNetwork::new(&next, seen))
            .is_err()
        {
            break;
        }
        tuned = next;
    }
    Ok(tuned)
}

/// What is learnt.
struct Lesson<'a> {
    seen: &'a [Seen],
    /// What the teacher gives at each step.
    targets: Vec<Vec<f32>>,
    /// Steps that are learnt together.
    order: Vec<Range<usize>>,
}

impl Lesson<'_> {
    /// Goes through everything once, in an order of its own.
    fn pass(
        &self,
        tuned: &mut NetworkWeights,
        adam: &mut Adam,
        rate: f32,
        stream: &mut Stream,
    ) -> Result<(), QuantiseError> {
        let ranges = Ranges::of(tuned, self.seen);
        let mut order = self.order.clone();
        for last in (1..order.len()).rev() {
            order.swap(last, (stream.uniform() * (last + 1) as f64) as usize);
        }
        let mut rest = &order[..];
        while !rest.is_empty() {
            let mut steps = 0;
            let mut count = 0;
            while steps < BATCH && count < rest.len() {
                steps += rest[count].len();
                count += 1;
            }
            let (batch, others) = rest.split_at(count);
            rest = others;
            let rounded = IntegerNetwork::within(tuned, &ranges)?.real();
            let mut gradient = zeros(tuned);
            for episode in batch {
                let (mut states, mut traces) = (rounded.states(), Vec::new());
                let mut derivatives = Vec::with_capacity(episode.len());
                for index in episode.clone() {
                    let (step, target) = (&self.seen[index], &self.targets[index]);
                    let outputs = rounded.step(&step.observation, &mut states, &mut traces);
                    let mask = step.mask.as_deref();
                    derivatives.push(derivative(&tuned.head, &outputs, target, mask));
                }
                rounded.back(&traces, &derivatives, &mut gradient);
            }
            let mut digits = rounded.digits;
            adam.update(tuned, &mut gradient, &mut digits, rate);
        }
        Ok(())
    }
}

/// Steps that are learnt together: a whole episode of an agent that remembers, one step of another.
fn episodes(network: &NetworkWeights, seen: &[Seen]) -> Vec<Range<usize>> {
    let remembers = (network.layers.iter()).any(|layer| matches!(layer, LayerWeights::Gru(_)));
    let starts = (0..seen.len()).filter(|&step| !remembers || seen[step].start || step == 0);
    let starts: Vec<usize> = starts.collect();
    let ends = starts.iter().skip(1).copied().chain([seen.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(&from, to)| from..to)
        .collect()
}

/// The derivative of a step's loss with respect to the student's outputs.
pub(super) fn derivative(
    head: &HeadWeights,
    outputs: &[f32],
    target: &[f32],
    mask: Option<&[bool]>,
) -> Vec<f32> {
    match head {
        // Of KL(teacher ‖ student): the student's probabilities less the teacher's.
        HeadWeights::Categorical => {
            let [student, teacher] = [outputs, target].map(|logits| probabilities(logits, mask));
            student.iter().zip(teacher).map(|(p, q)| p - q).collect()
        }
        HeadWeights::MultiDiscrete { sizes } => {
            let mut start = 0;
            let mut whole = Vec::with_capacity(outputs.len());
            for &size in sizes {
                let group = start..start + size as usize;
                start = group.end;
                let own = mask.map(|mask| &mask[group.clone()]);
                let of = |logits: &[f32]| probabilities(&logits[group.clone()], own);
                let (student, teacher) = (of(outputs), of(target));
                whole.extend(student.iter().zip(teacher).map(|(p, q)| p - q));
            }
            whole
        }
        HeadWeights::Gaussian { .. } => (outputs.iter().zip(target))
            .map(|(own, target)| (own.tanh() - target.tanh()) * (1.0 - own.tanh().powi(2)))
            .collect(),
        HeadWeights::Deterministic => outputs.iter().zip(target).map(|(a, b)| a - b).collect(),
    }
}

/// softmax of the logits that the mask allows.
fn probabilities(logits: &[f32], mask: Option<&[bool]>) -> Vec<f32> {
    let allowed = |action: usize| mask.is_none_or(|mask| mask[action]);
    let largest = (logits.iter().enumerate())
        .filter(|&(action, _)| allowed(action))
        .fold(f32::MIN, |most, (_, &logit)| most.max(logit));
    let weight = |(action, &logit): (usize, &f32)| match allowed(action) {
        true => (logit - largest).exp(),
        false => 0.0,
    };
    let weights: Vec<f32> = logits.iter().enumerate().map(weight).collect();
    let total: f32 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

/// Adam, with a step's length in the digits of every weight.
struct Adam {
    mean: NetworkWeights,
    square: NetworkWeights,
    updates: i32,
}

impl Adam {
    fn new(network: &NetworkWeights) -> Self {
        Self {
            mean: zeros(network),
            square: zeros(network),
            updates: 0,
        }
    }

    fn update(
        &mut self,
        network: &mut NetworkWeights,
        gradient: &mut NetworkWeights,
        digits: &mut NetworkWeights,
        rate: f32,
    ) {
        self.updates += 1;
        let [first, second] = DECAYS;
        // Both averages begin at 0: what they lack so far.
        let [mean_bias, square_bias] = DECAYS.map(|decay| 1.0 - decay.powi(self.updates));
        let blocks = blocks(network)
            .into_iter()
            .zip(blocks(gradient))
            .zip(blocks(digits))
            .zip(blocks(&mut self.mean))
            .zip(blocks(&mut self.square));
        for ((((weights, gradient), digits), mean), square) in blocks {
            for (place, weight) in weights.iter_mut().enumerate() {
                let slope = gradient[place];
                mean[place] = first * mean[place] + (1.0 - first) * slope;
                square[place] = second * square[place] + (1.0 - second) * slope * slope;
                let direction =
                    mean[place] / mean_bias / ((square[place] / square_bias).sqrt() + EPSILON);
                *weight -= rate * digits[place] * direction;
            }
        }
    }
}

/// All weights and biases, in one order for all networks of one shape.
pub(super) fn blocks(network: &mut NetworkWeights) -> Vec<&mut [f32]> {
    let mut blocks: Vec<&mut [f32]> = Vec::new();
    for layer in &mut network.layers {
        match layer {
            LayerWeights::Dense(dense, _) => {
                blocks.extend([&mut dense.weights[..], &mut dense.biases]);
            }
            LayerWeights::Gru(gru) => blocks.extend([
                &mut gru.input[..],
                &mut gru.recurrent,
                &mut gru.input_bias,
                &mut gru.recurrent_bias_n,
            ]),
        }
    }
    blocks
}

pub(super) fn zeros(network: &NetworkWeights) -> NetworkWeights {
    let mut zeros = network.clone();
    for block in blocks(&mut zeros) {
        block.fill(0.0);
    }
    zeros
}
