//! Layers: slices in, slices out.
//!
//! A *dense* layer computes `y_j = activation(b_j + Σ_k w_jk x_k)`, the sum taken from left to right
//! over ascending `k`, every product and every sum rounded to `f32` (never fused).
//!
//! Its outputs are cut into *panels*: as many of 8 as fit, and the rest into at most one each of 4,
//! of 2 and of 1. A panel's parameters are its biases, then for every input the weights from it to
//! the panel's outputs. So one pointer walks through flash from the first parameter to the last,
//! while a panel's sums stay in registers.
//!
//! A *gated recurrent unit* (Cho et al. 2014, in the variant of cuDNN, whose reset gate acts behind
//! the recurrent product) has a state h and computes
//!
//! ```text
//! r = σ(b_r + W_r x + U_r h)      n = tanh((b_n + W_n x) + r ∘ (c_n + U_n h))
//! z = σ(b_z + W_z x + U_z h)      h' = (1 − z) ∘ n + z ∘ h
//! ```
//!
//! in panels of 4 units, and the rest into at most one each of 2 and of 1. A panel's parameters are
//! its b_r, b_z, b_n and c_n, then for every input the W_r, W_z and W_n from it, then for every
//! value of h the U_r, U_z and U_n from it: one walk again, with four sums a unit in registers.

use crate::compute;
use crate::math;

/// The widths a dense layer's outputs are cut into, each taken as often as it fits.
pub(crate) const PANEL_WIDTHS: [usize; 4] = [8, 4, 2, 1];
/// The widths a recurrent layer's units are cut into: a unit has four sums where an output has one.
pub(crate) const UNIT_PANEL_WIDTHS: [usize; 3] = [4, 2, 1];

/// What a layer's outputs go through, element by element. NaN stays NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// y = x
    Identity,
    /// y = 0 where x < 0, else x
    Relu,
    /// y = tanh x, as [`math::tanh`] computes it
    Tanh,
    /// y = 1 / (1 + e⁻ˣ), as [`math::sigmoid`] computes it
    Sigmoid,
    /// y = x / (1 + e⁻ˣ), as [`math::silu`] computes it
    Silu,
}

impl Activation {
    /// Every activation there is.
    pub const ALL: [Self; 5] = [
        Self::Identity,
        Self::Relu,
        Self::Tanh,
        Self::Sigmoid,
        Self::Silu,
    ];

    /// Applies the activation in place.
    pub fn apply(self, values: &mut [f32]) {
        match self {
            Activation::Identity => {}
            Activation::Relu => values.iter_mut().for_each(|value| *value = relu(*value)),
            Activation::Tanh => compute::tanh(values),
            Activation::Sigmoid => compute::sigmoid(values),
            Activation::Silu => compute::silu(values),
        }
    }
}

/// Not `max(x, 0)`, which would turn NaN into a respectable zero.
fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

/// A layer of a checked image, in as few bytes as there is to know.
///
/// What its place says is not in it: its inputs are what the layer before it gives, its parameters lie behind that
/// layer's. So a table of them is small enough to move without a call of `memcpy`, which a small firmware then need not have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Layer {
    Dense {
        outputs: u16,
        activation: Activation,
    },
    Gru {
        hidden: u16,
    },
    Quantise,
    IntegerDense {
        outputs: u16,
        activation: Activation,
        shift: u8,
        exponent: u8,
    },
    IntegerGru {
        hidden: u16,
        /// Of the gates, of n and of q.
        shifts: [u8; 3],
    },
}

/// The affine part of a dense layer: `output_j = b_j + Σ_k w_jk input_k`, without the activation.
///
/// `parameters` are in panels (see the [module](self)), `output.len() * (input.len() + 1)` of them, and returned are those
/// behind them; outputs whose parameters are missing are left as they were.
pub fn dense<'p>(parameters: &'p [f32], input: &[f32], output: &mut [f32]) -> &'p [f32] {
    let (parameters, output) = panels_of_8(parameters, input, output);
    let (parameters, output) = panels_of_4(parameters, input, output);
    let (parameters, output) = panels_of_2(parameters, input, output);
    let (parameters, _) = panels_of_1(parameters, input, output);
    parameters
}

/// Defines a function that computes as many panels of one width as `output` holds, and returns the
/// parameters and the outputs that are left.
///
/// The lanes are spelled out because a compiler told to save space does not unroll a loop over
/// them, and would then keep the sums in memory: three times the instructions.
macro_rules! panels {
    ($name:ident, $width:literal, $($sum:ident += $weight:ident),+) => {
        fn $name<'p, 'o>(
            mut parameters: &'p [f32],
            input: &[f32],
            output: &'o mut [f32],
        ) -> (&'p [f32], &'o mut [f32]) {
            let (panels, rest) = output.as_chunks_mut::<$width>();
            let panel_len = $width * (input.len() + 1);
            for panel in panels {
                let Some((own, others)) = parameters.split_at_checked(panel_len) else { break };
                parameters = others;
                let (rows, _) = own.as_chunks::<$width>();
                let Some((&[$(mut $sum),+], columns)) = rows.split_first() else { break };
                for (&[$($weight),+], &x) in columns.iter().zip(input) {
                    $($sum += $weight * x;)+
                }
                *panel = [$($sum),+];
            }
            (parameters, rest)
        }
    };
}

panels!(
    panels_of_8,
    8,
    y0 += w0,
    y1 += w1,
    y2 += w2,
    y3 += w3,
    y4 += w4,
    y5 += w5,
    y6 += w6,
    y7 += w7
);
panels!(panels_of_4, 4, y0 += w0, y1 += w1, y2 += w2, y3 += w3);
panels!(panels_of_2, 2, y0 += w0, y1 += w1);
panels!(panels_of_1, 1, y0 += w0);

/// A step of a gated recurrent unit: the next state from `input`, `[I]`, and `state`, `[H]`.
///
/// `parameters` are in panels (see the [module](self)), `H * (4 + 3 * (I + H))` of them, and returned are those behind them;
/// units whose parameters are missing are left as they were in `next`, `[H]`; all are where `state` has another
/// length.
pub fn gru<'p>(parameters: &'p [f32], input: &[f32], state: &[f32], next: &mut [f32]) -> &'p [f32] {
    if state.len() != next.len() {
        return parameters;
    }
    let (parameters, held, next) = units_of_4(parameters, input, state, state, next);
    let (parameters, held, next) = units_of_2(parameters, input, state, held, next);
    let (parameters, _, _) = units_of_1(parameters, input, state, held, next);
    parameters
}

/// What a unit's four sums and its state make its next state.
///
/// Not inlined: three functions of 30 instructions at every place would double a firmware.
#[inline(never)]
fn unit(reset: f32, update: f32, new: f32, recurrent: f32, held: f32) -> f32 {
    let (r, z) = (math::sigmoid(reset), math::sigmoid(update));
    let n = math::tanh(new + r * recurrent);
    (1.0 - z) * n + z * held
}

/// Defines a function that steps as many panels of one width as `next` holds, and returns the
/// parameters, the units' own states and the next states that are left.
///
/// Every unit has its sums r, z, n and q (the recurrent part of n), spelled out for the reason that
/// [`panels`] gives.
macro_rules! units {
    ($name:ident, $width:literal, $($r:ident $z:ident $n:ident $q:ident: $wr:ident $wz:ident $wn:ident),+) => {
        fn $name<'p, 's, 'o>(
            mut parameters: &'p [f32],
            input: &[f32],
            state: &[f32],
            held: &'s [f32],
            next: &'o mut [f32],
        ) -> (&'p [f32], &'s [f32], &'o mut [f32]) {
            let (panels, rest) = next.as_chunks_mut::<$width>();
            let (holding, held_rest) = held.as_chunks::<$width>();
            let panel_len = $width * (4 + 3 * (input.len() + state.len()));
            for (panel, held) in panels.iter_mut().zip(holding) {
                let Some((own, others)) = parameters.split_at_checked(panel_len) else { break };
                parameters = others;
                let Some((biases, weights)) = own.split_first_chunk::<{ 4 * $width }>() else { break };
                let &[$(mut $r,)+ $(mut $z,)+ $(mut $n,)+ $(mut $q),+] = biases;
                let (columns, _) = weights.as_chunks::<{ 3 * $width }>();
                let Some((from_input, from_state)) = columns.split_at_checked(input.len()) else { break };
                for (&[$($wr,)+ $($wz,)+ $($wn),+], &x) in from_input.iter().zip(input) {
                    $($r += $wr * x;)+
                    $($z += $wz * x;)+
                    $($n += $wn * x;)+
                }
                for (&[$($wr,)+ $($wz,)+ $($wn),+], &h) in from_state.iter().zip(state) {
                    $($r += $wr * h;)+
                    $($z += $wz * h;)+
                    $($q += $wn * h;)+
                }
                let sums = [$([$r, $z, $n, $q]),+];
                for ((value, [r, z, n, q]), &held) in panel.iter_mut().zip(sums).zip(held) {
                    *value = unit(r, z, n, q, held);
                }
            }
            (parameters, held_rest, rest)
        }
    };
}

units!(
    units_of_4,
    4,
    r0 z0 n0 q0: a0 b0 c0,
    r1 z1 n1 q1: a1 b1 c1,
    r2 z2 n2 q2: a2 b2 c2,
    r3 z3 n3 q3: a3 b3 c3
);
units!(units_of_2, 2, r0 z0 n0 q0: a0 b0 c0, r1 z1 n1 q1: a1 b1 c1);
units!(units_of_1, 1, r0 z0 n0 q0: a0 b0 c0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_outputs_are_a_panel_of_two_and_one_of_one() {
        // Outputs 0 and 1 have biases 1, 2 and weights 3, 4 from input 0 and 5, 6 from input 1;
        // output 2 has bias 7 and weights 8, 9.
        let parameters = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
        let mut output = [0.0; 3];
        dense(&parameters, &[10.0, 100.0], &mut output);
        assert_eq!(
            output,
            [1.0 + 30.0 + 500.0, 2.0 + 40.0 + 600.0, 7.0 + 80.0 + 900.0]
        );
    }

    #[test]
    fn sums_run_upwards_from_the_bias_and_are_not_fused() {
        // From left to right 2²⁴ swallows each 1; in any other order the ones add up first.
        let mut output = [0.0];
        dense(
            &[16_777_216.0, 1.0, 1.0, -1.0],
            &[1.0, 1.0, 16_777_216.0],
            &mut output,
        );
        assert_eq!(output, [0.0]);
        // (1 + 2⁻¹²)² = 1 + 2⁻¹¹ + 2⁻²⁴: rounding the product drops the last term, fusing keeps it.
        let near_one = 1.0 + 1.0 / 4096.0;
        dense(&[-1.0 - 1.0 / 2048.0, near_one], &[near_one], &mut output);
        assert_eq!(output, [0.0]);
    }

    #[test]
    fn missing_parameters_touch_nothing() {
        let mut output = [9.0; 9];
        dense(&[1.0; 17], &[1.0], &mut output);
        assert_eq!(output, [2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 9.0]);
    }

    #[test]
    fn activations_keep_nan_and_zero() {
        for activation in Activation::ALL {
            let mut values = [f32::NAN, 0.0];
            activation.apply(&mut values);
            let zero = if activation == Activation::Sigmoid {
                0.5
            } else {
                0.0
            };
            assert!(values[0].is_nan() && values[1] == zero, "{activation:?}");
        }
        let mut values = [-2.0, 3.0];
        Activation::Relu.apply(&mut values);
        assert_eq!(values, [0.0, 3.0]);
    }

    #[test]
    fn a_unit_by_hand() {
        // Biases r, z, n, q; then r, z, n from the input; then r, z, q from the state.
        let parameters = [0.0, 0.0, 0.25, 0.5, 0.0, 0.0, 1.0, 0.0, 0.0, 2.0];
        let mut next = [9.0];
        gru(&parameters, &[3.0], &[0.5], &mut next);
        // Gates of sum 0 are exactly half open: n = tanh(0.25 + 3 + 0.5 (0.5 + 2 · 0.5)).
        assert_eq!(next, [0.5 * math::tanh(4.0) + 0.5 * 0.5]);
    }

    #[test]
    fn missing_parameters_or_states_touch_no_unit() {
        // Of three units, a panel of 2 has 2 (4 + 3 (1 + 3)) = 32 parameters, one of 1 has 16.
        let mut next = [9.0; 3];
        gru(&[0.0; 47], &[1.0], &[1.0; 3], &mut next);
        assert_eq!(next, [0.5, 0.5, 9.0]);
        let mut next = [9.0; 3];
        gru(&[0.0; 48], &[1.0], &[1.0; 3], &mut next);
        assert_eq!(next, [0.5; 3]);
        let mut next = [9.0; 3];
        gru(&[0.0; 100], &[1.0], &[1.0], &mut next);
        assert_eq!(next, [9.0; 3]);
    }
}
