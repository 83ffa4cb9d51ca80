//! A step of an integer image.

use super::arithmetic::{
    LANE, ONE, float, held, lane, lane_held, quantise, rounded, sigmoid, sigmoid_lane, silu_lane,
    tanh, tanh_lane,
};
use super::layers::{IntegerDense, IntegerGru, gru_words, lane_words, whole_rows};
use super::panel::{pair, quads, tanh_quads, word};
use crate::layer::{Activation, Layer};

/// Runs `layers`, whose parameters are `words`, on a finite observation: moves `state` on and leaves the outputs, as the bits of `f32`
/// values, at the start of one of the regions; which one (0 or 1), and how many they are.
///
/// Layers at even places write to region 0, those at odd places to region 1. None where the memory is
/// too short, which a checked image's own memory never is; the state may then be half a step ahead.
pub(crate) fn step(
    layers: &[Layer],
    mut words: &[i32],
    observation: &[f32],
    mut state: &mut [i32],
    [even, odd]: [&mut [i32]; 2],
) -> Option<(usize, usize)> {
    let (mut target, mut source) = (even, odd);
    let (mut inputs, mut written) = (observation.len(), (0, 0));
    for (place, &layer) in layers.iter().enumerate() {
        let last = place + 1 == layers.len();
        match layer {
            Layer::Quantise => {
                let (scales, rest) = words.split_at_checked(inputs)?;
                words = rest;
                quantised(scales, observation, target);
            }
            Layer::IntegerDense {
                outputs,
                activation,
                shift,
                exponent,
            } => {
                let layer = IntegerDense {
                    outputs: outputs.into(),
                    activation,
                    shift: shift.into(),
                    exponent: exponent.into(),
                };
                let lanes = source.get(..lane_words(inputs))?;
                if last {
                    layer.finish(words, lanes, target)?;
                    written = (place % 2, layer.outputs);
                } else {
                    words = layer.run(words, lanes, target)?;
                }
                inputs = layer.outputs;
            }
            Layer::IntegerGru { hidden, shifts } => {
                let layer = IntegerGru {
                    inputs,
                    hidden: hidden.into(),
                    shifts: shifts.map(u32::from),
                };
                let (own, others) = state.split_at_mut_checked(lane_words(layer.hidden))?;
                state = others;
                words = layer.run(words, source, own, target)?;
                inputs = layer.hidden;
            }
            Layer::Dense { .. } | Layer::Gru { .. } => return None,
        }
        (target, source) = (source, target);
    }
    Some(written)
}

/// The observation as lanes, two a word.
fn quantised(scales: &[i32], observation: &[f32], target: &mut [i32]) {
    let (scales, scale) = scales.as_chunks::<2>();
    let (pairs, single) = observation.as_chunks::<2>();
    let mut slots = target.iter_mut();
    for ((&[s0, s1], &[x0, x1]), slot) in scales.iter().zip(pairs).zip(&mut slots) {
        *slot = word(quantise(x0, s0), quantise(x1, s1));
    }
    for ((&s, &x), slot) in scale.iter().zip(single).zip(slots) {
        *slot = word(quantise(x, s), 0);
    }
}

/// Panels whose products wait for their activation at a time: 64 bytes of stack.
const BLOCK: usize = 4;

impl IntegerDense {
    /// A layer between others, whose parameters come first in `words`; the words behind them.
    fn run<'w>(
        &self,
        mut words: &'w [i32],
        lanes: &[i32],
        target: &mut [i32],
    ) -> Option<&'w [i32]> {
        let (pairs, rest) = target
            .get_mut(..lane_words(self.outputs))?
            .as_chunks_mut::<2>();
        let tanh = self.activation == Activation::Tanh;
        if !(tanh && tanh_quads(pairs, &mut words, lanes, self.shift)) {
            let mut block = [[0; 4]; BLOCK];
            for slots in pairs.chunks_mut(BLOCK) {
                let products = block.get_mut(..slots.len())?;
                quads(products, &mut words, lanes, self.shift)?;
                self.activate(products, slots);
            }
        }
        for slot in rest {
            let [y0, y1] = pair(&mut words, lanes, self.shift)?;
            let mut slots = [[0; 2]];
            self.activate(&[[y0, y1, 0, 0]], &mut slots);
            let [[first, _]] = slots;
            *slot = first;
        }
        Some(words)
    }

    /// Products through the activation, two lanes a word.
    fn activate(&self, products: &[[i32; 4]], slots: &mut [[i32; 2]]) {
        match self.activation {
            Activation::Identity => each(products, slots, lane_held),
            Activation::Relu => each(products, slots, |y| held(y, 0, LANE - 1)),
            Activation::Tanh => each(products, slots, tanh_lane),
            Activation::Sigmoid => each(products, slots, sigmoid_lane),
            Activation::Silu => each(products, slots, |y| silu_lane(y, self.exponent)),
        }
    }

    /// The last layer: every row as the bits of an `f32`.
    fn finish(&self, mut words: &[i32], lanes: &[i32], target: &mut [i32]) -> Option<()> {
        let rows = target.get_mut(..whole_rows(self.outputs))?;
        let (fours, rest) = rows.as_chunks_mut::<4>();
        quads(fours, &mut words, lanes, self.shift)?;
        if let Some(two) = rest.first_chunk_mut::<2>() {
            *two = pair(&mut words, lanes, self.shift)?;
        }
        let outputs = rows.iter_mut().take(self.outputs);
        outputs.for_each(|slot| *slot = float(*slot, self.exponent).to_bits() as i32);
        Some(())
    }
}

#[inline(always)]
fn each(products: &[[i32; 4]], slots: &mut [[i32; 2]], activation: impl Fn(i32) -> i32) {
    for (&products, slots) in products.iter().zip(slots) {
        let [y0, y1, y2, y3] = products.map(&activation);
        *slots = [word(y0, y1), word(y2, y3)];
    }
}

impl IntegerGru {
    /// `source` holds the inputs, and behind them has room for the state's lanes; the parameters come first in `words`,
    /// and those behind them are returned.
    ///
    /// Not inlined: among a step's other values its own would not stay in registers.
    #[inline(never)]
    fn run<'w>(
        &self,
        words: &'w [i32],
        source: &mut [i32],
        state: &mut [i32],
        target: &mut [i32],
    ) -> Option<&'w [i32]> {
        let input_words = lane_words(self.inputs);
        let lanes = source.get_mut(..input_words + state.len())?;
        // The matrices see the old state, which the loop below replaces unit by unit.
        let old = lanes.get_mut(input_words..)?;
        old.iter_mut()
            .zip(&*state)
            .for_each(|(slot, &units)| *slot = as_lanes(units));
        let lanes = &*lanes;
        let (from_input, from_state) = lanes.split_at_checked(input_words)?;

        let [of_gates, of_new, of_recurrent] = self.shifts;
        let len = gru_words(self.inputs, self.hidden);
        let (mut words, rest) = words.split_at_checked(len)?;
        for (units, slot) in state.iter_mut().zip(target.get_mut(..from_state.len())?) {
            let mut gates = [[0; 4]];
            quads(&mut gates, &mut words, lanes, of_gates)?;
            let [n0, n1] = pair(&mut words, from_input, of_new)?;
            let [q0, q1] = pair(&mut words, from_state, of_recurrent)?;
            let [[r0, z0, r1, z1]] = gates;
            let h0 = unit(r0, z0, n0, q0, i32::from(*units as i16));
            let h1 = unit(r1, z1, n1, q1, *units >> 16);
            *units = word(h0, h1);
            *slot = word(lane(h0), lane(h1));
        }
        Some(rest)
    }
}

/// What a unit's two gates, the two parts of n's argument and its state make its next state.
#[inline(never)]
fn unit(reset: i32, update: i32, new: i32, recurrent: i32, state: i32) -> i32 {
    let (r, z) = (sigmoid(reset), sigmoid(update));
    let n = tanh(new.wrapping_add(rounded(r.wrapping_mul(held(recurrent, -ONE, ONE)), 15)));
    n.wrapping_add(rounded(z.wrapping_mul(state.wrapping_sub(n)), 15))
}

/// Two states as lanes.
#[inline(always)]
fn as_lanes(units: i32) -> i32 {
    word(lane(i32::from(units as i16)), lane(units >> 16))
}
