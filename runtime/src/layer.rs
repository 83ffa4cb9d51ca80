//! Layers: slices in, slices out.
//!
//! A dense layer computes `y_j = activation(b_j + Σ_k w_jk x_k)`, the sum taken from left to right
//! over ascending `k`, every product and every sum rounded to `f32` (never fused).
//!
//! Its outputs are cut into *panels*: as many of 8 as fit, and the rest into at most one each of 4,
//! of 2 and of 1. A panel's parameters are its biases, then for every input the weights from it to
//! the panel's outputs. So one pointer walks through flash from the first parameter to the last,
//! while a panel's sums stay in registers.

use crate::math;

/// The widths a layer's outputs are cut into, each taken as often as it fits.
pub(crate) const PANEL_WIDTHS: [usize; 4] = [8, 4, 2, 1];

/// What a layer's outputs go through, element by element. NaN stays NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// y = x
    Identity,
    /// y = 0 where x < 0, else x
    Relu,
    /// y = tanh x, as [`math::tanh`] computes it
    Tanh,
}

impl Activation {
    /// Applies the activation in place.
    pub fn apply(self, values: &mut [f32]) {
        match self {
            Activation::Identity => {}
            Activation::Relu => values.iter_mut().for_each(|value| *value = relu(*value)),
            Activation::Tanh => values
                .iter_mut()
                .for_each(|value| *value = math::tanh(*value)),
        }
    }
}

/// Not `max(x, 0)`, which would turn NaN into a respectable zero.
fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

/// A dense layer of a checked image: `parameters.len() == outputs * (inputs + 1)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dense<'a> {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) activation: Activation,
    pub(crate) parameters: &'a [f32],
}

impl Dense<'_> {
    pub(crate) const EMPTY: Self = Dense {
        inputs: 0,
        outputs: 0,
        activation: Activation::Identity,
        parameters: &[],
    };
}

/// The affine part of a dense layer: `output_j = b_j + Σ_k w_jk input_k`, without the activation.
///
/// `parameters` are in panels (see the [module](self)), `output.len() * (input.len() + 1)` of them;
/// outputs whose parameters are missing are left as they were.
pub fn dense(parameters: &[f32], input: &[f32], output: &mut [f32]) {
    let (parameters, output) = panels_of_8(parameters, input, output);
    let (parameters, output) = panels_of_4(parameters, input, output);
    let (parameters, output) = panels_of_2(parameters, input, output);
    panels_of_1(parameters, input, output);
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
        for activation in [Activation::Identity, Activation::Relu, Activation::Tanh] {
            let mut values = [f32::NAN, 0.0];
            activation.apply(&mut values);
            assert!(values[0].is_nan() && values[1] == 0.0, "{activation:?}");
        }
        let mut values = [-2.0, 3.0];
        Activation::Relu.apply(&mut values);
        assert_eq!(values, [0.0, 3.0]);
    }
}
