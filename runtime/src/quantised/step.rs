//! A step of an integer image.

use super::arithmetic::{LANE, ONE, float, held, lane, quantise, rounded, sigmoid, tanh};
use super::layers::{IntegerDense, IntegerGru, Quantise, lane_words};
use super::panel::{Panel, take, word};
use crate::layer::{Activation, Layer};

/// Runs `layers` on a finite observation: moves `state` on and leaves the outputs, as the bits of `f32`
/// values, at the start of one of the regions; which one (0 or 1), and how many they are.
///
/// Layers at even places write to region 0, those at odd places to region 1. None where the memory is
/// too short, which a checked image's own memory never is; the state may then be half a step ahead.
pub(crate) fn step(
    layers: &[Layer<'_>],
    observation: &[f32],
    mut state: &mut [i32],
    [even, odd]: [&mut [i32]; 2],
) -> Option<(usize, usize)> {
    let (mut target, mut source) = (even, odd);
    let mut written = (0, 0);
    for (place, layer) in layers.iter().enumerate() {
        let last = place + 1 == layers.len();
        match layer {
            Layer::Quantise(layer) => layer.run(observation, target),
            Layer::IntegerDense(layer) => {
                let lanes = source.get(..lane_words(layer.inputs))?;
                if last {
                    layer.finish(lanes, target)?;
                    written = (place % 2, layer.outputs);
                } else {
                    layer.run(lanes, target)?;
                }
            }
            Layer::IntegerGru(layer) => {
                let (own, others) = state.split_at_mut_checked(lane_words(layer.hidden))?;
                state = others;
                layer.run(source, own, target)?;
            }
            Layer::Dense(_) | Layer::Gru(_) => return None,
        }
        (target, source) = (source, target);
    }
    Some(written)
}

impl Quantise<'_> {
    fn run(&self, observation: &[f32], target: &mut [i32]) {
        let (scales, scale) = self.words.as_chunks::<2>();
        let (pairs, single) = observation.as_chunks::<2>();
        let mut slots = target.iter_mut();
        for ((&[s0, s1], &[x0, x1]), slot) in scales.iter().zip(pairs).zip(&mut slots) {
            *slot = word(quantise(x0, s0), quantise(x1, s1));
        }
        for ((&s, &x), slot) in scale.iter().zip(single).zip(slots) {
            *slot = word(quantise(x, s), 0);
        }
    }
}

impl IntegerDense<'_> {
    fn run(&self, lanes: &[i32], target: &mut [i32]) -> Option<()> {
        let (shift, exponent) = (self.shift, self.exponent);
        match self.activation {
            Activation::Identity => {
                self.rows(lanes, target, |y| held(rounded(y, shift), -LANE, LANE))
            }
            Activation::Relu => self.rows(lanes, target, |y| held(rounded(y, shift), 0, LANE)),
            Activation::Tanh => self.rows(lanes, target, |y| lane(tanh(rounded(y, shift)))),
            Activation::Sigmoid => self.rows(lanes, target, |y| lane(sigmoid(rounded(y, shift)))),
            Activation::Silu => self.rows(lanes, target, |y| {
                let p = held(rounded(y, shift), -4096, 4095);
                held(rounded(p.wrapping_mul(sigmoid(p)), exponent), -LANE, LANE)
            }),
        }
    }

    /// Every row's product through `activation`, two lanes a word.
    #[inline(always)]
    fn rows(
        &self,
        lanes: &[i32],
        target: &mut [i32],
        activation: impl Fn(i32) -> i32,
    ) -> Option<()> {
        let mut words = self.words;
        let (quads, rest) = target
            .get_mut(..lane_words(self.outputs))?
            .as_chunks_mut::<2>();
        for slots in quads {
            let panel: Panel<'_, 4> = take(&mut words, lanes.len())?;
            let [y0, y1, y2, y3] = panel.products(lanes).map(&activation);
            *slots = [word(y0, y1), word(y2, y3)];
        }
        for slot in rest {
            let panel: Panel<'_, 2> = take(&mut words, lanes.len())?;
            let [y0, y1] = panel.products(lanes).map(&activation);
            *slot = word(y0, y1);
        }
        Some(())
    }

    /// The last layer: every row as an `f32`.
    fn finish(&self, lanes: &[i32], target: &mut [i32]) -> Option<()> {
        let mut words = self.words;
        let value = |y| float(rounded(y, self.shift), self.exponent).to_bits() as i32;
        let (quads, rest) = target.get_mut(..self.outputs)?.as_chunks_mut::<4>();
        for slots in quads {
            let panel: Panel<'_, 4> = take(&mut words, lanes.len())?;
            *slots = panel.products(lanes).map(value);
        }
        // Three outputs are a panel of four rows, one or two a panel of two: what has no slot is padding.
        let products = match rest.len() {
            0 => return Some(()),
            3 => take::<4>(&mut words, lanes.len())?.products(lanes),
            _ => {
                let [first, second] = take::<2>(&mut words, lanes.len())?.products(lanes);
                [first, second, 0, 0]
            }
        };
        rest.iter_mut()
            .zip(products)
            .for_each(|(slot, product)| *slot = value(product));
        Some(())
    }
}

impl IntegerGru<'_> {
    /// `source` holds the inputs, and behind them has room for the state's lanes.
    fn run(&self, source: &mut [i32], state: &mut [i32], target: &mut [i32]) -> Option<()> {
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
        let mut words = self.words;
        for (units, slot) in state.iter_mut().zip(target.get_mut(..from_state.len())?) {
            let gates: Panel<'_, 4> = take(&mut words, lanes.len())?;
            let new: Panel<'_, 2> = take(&mut words, from_input.len())?;
            let recurrent: Panel<'_, 2> = take(&mut words, from_state.len())?;
            let [r0, z0, r1, z1] = gates.products(lanes).map(|y| sigmoid(rounded(y, of_gates)));
            let [n0, n1] = new.products(from_input).map(|y| rounded(y, of_new));
            let [q0, q1] = recurrent
                .products(from_state)
                .map(|y| held(rounded(y, of_recurrent), -ONE, ONE));
            let h0 = unit(r0, z0, n0, q0, i32::from(*units as i16));
            let h1 = unit(r1, z1, n1, q1, *units >> 16);
            *units = word(h0, h1);
            *slot = word(lane(h0), lane(h1));
        }
        Some(())
    }
}

/// What a unit's gates, the two parts of its argument and its state make its next state.
#[inline(always)]
fn unit(reset: i32, update: i32, new: i32, recurrent: i32, held: i32) -> i32 {
    let n = tanh(new.wrapping_add(rounded(reset.wrapping_mul(recurrent), 15)));
    n.wrapping_add(rounded(update.wrapping_mul(held.wrapping_sub(n)), 15))
}

/// Two states as lanes.
#[inline(always)]
fn as_lanes(units: i32) -> i32 {
    word(lane(i32::from(units as i16)), lane(units >> 16))
}
