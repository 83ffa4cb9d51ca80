//! Layers: slices in, slices out.
//!
//! A dense layer computes `y_j = activation(b_j + Σ_k w_jk x_k)`, the sum taken from left to right over ascending `k`, every
//! product and every sum rounded to `f32` (never fused). Its parameters are stored in *panels* of [`PANEL`] outputs (the last one
//! narrower): the panel's biases, then for every input the panel's weights. One pointer walks through flash from the first
//! parameter to the last, and a panel's sums stay in registers.

use crate::math;

/// Outputs computed together: eight sums, eight weights and an input leave registers to spare on a Cortex-M4F, and fill one AVX register.
pub const PANEL: usize = 8;

/// What a layer's outputs go through, element by element. NaN stays NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// y = x
    Identity,
    /// y = max(x, 0)
    Relu,
    /// y = tanh x, as [`math::tanh`] computes it
    Tanh,
}

impl Activation {
    /// Applies the activation in place.
    pub fn apply(self, values: &mut [f32]) {
        match self {
            Activation::Identity => {}
            // Not `max`, which would turn NaN into a respectable zero.
            Activation::Relu => values
                .iter_mut()
                .for_each(|value| *value = if *value < 0.0 { 0.0 } else { *value }),
            Activation::Tanh => values
                .iter_mut()
                .for_each(|value| *value = math::tanh(*value)),
        }
    }
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
/// `parameters` are in panels (see the [module](self)), `output.len() * (input.len() + 1)` of them. With another number of
/// parameters, outputs whose panel is missing are left as they were.
pub fn dense(parameters: &[f32], input: &[f32], output: &mut [f32]) {
    let (panels, tail) = output.as_chunks_mut::<PANEL>();
    let mut parameters = parameters.chunks(PANEL * (input.len() + 1));
    for (sums, parameters) in panels.iter_mut().zip(&mut parameters) {
        panel(parameters, input, sums);
    }
    if let Some(parameters) = parameters.next() {
        narrow_panel(parameters, input, tail);
    }
}

fn panel<const WIDTH: usize>(parameters: &[f32], input: &[f32], output: &mut [f32; WIDTH]) {
    let (rows, _) = parameters.as_chunks::<WIDTH>();
    let Some((biases, columns)) = rows.split_first() else {
        return;
    };
    let mut sums = *biases;
    for (column, &x) in columns.iter().zip(input) {
        for (sum, &weight) in sums.iter_mut().zip(column) {
            *sum += weight * x;
        }
    }
    *output = sums;
}

/// The last panel of a layer whose outputs are no multiple of [`PANEL`], with its own code for every width.
fn narrow_panel(parameters: &[f32], input: &[f32], output: &mut [f32]) {
    fn at<const WIDTH: usize>(parameters: &[f32], input: &[f32], output: &mut [f32]) {
        if let Some(output) = output.first_chunk_mut::<WIDTH>() {
            panel(parameters, input, output);
        }
    }
    match output.len() {
        1 => at::<1>(parameters, input, output),
        2 => at::<2>(parameters, input, output),
        3 => at::<3>(parameters, input, output),
        4 => at::<4>(parameters, input, output),
        5 => at::<5>(parameters, input, output),
        6 => at::<6>(parameters, input, output),
        _ => at::<7>(parameters, input, output),
    }
}
