//! The arithmetic of one group of recurrent units, on slices.

use consort_runtime::math;

use super::GruShape;
use crate::net::fused::buffers::Buffer;
use crate::net::fused::gemm::{Into, Matrix, multiply};
use crate::net::fused::{add_column_sums, part, part_mut, vectorised};

/// Buffers that groups share.
pub(super) struct Scratch {
    /// States before a row, zero where it begins an episode: `[B, H]`; backward of all rows.
    before: Buffer,
    /// `[B, 3H]`: h W; backward its gradient, of all rows.
    sums: Buffer,
    /// `[B, H]`: the gradient that comes from later rows.
    carry: Buffer,
}

impl Scratch {
    pub(super) fn forward(shape: &GruShape) -> Self {
        Self::new(shape, shape.batch)
    }

    pub(super) fn backward(shape: &GruShape) -> Self {
        Self::new(shape, shape.samples())
    }

    fn new(shape: &GruShape, rows: usize) -> Self {
        Self {
            before: Buffer::new(rows * shape.hidden),
            sums: Buffer::new(rows * 3 * shape.hidden),
            carry: Buffer::new(shape.batch * shape.hidden),
        }
    }
}

/// One group, forward: writes every state and, unless `kept` is empty, every activation.
#[allow(clippy::too_many_arguments, reason = "one slice for each tensor")]
pub(super) fn forward(
    shape: &GruShape,
    gates: &[f32],
    recurrent: &[f32],
    start: &[f32],
    first: &[bool],
    states: &mut [f32],
    kept: &mut [f32],
    scratch: &mut Scratch,
) {
    let GruShape { batch, hidden, .. } = *shape;
    let (weights, bias) = recurrent.split_at(hidden * 3 * hidden);
    let weights = Matrix::new(weights, hidden, 3 * hidden);
    let size = batch * hidden;
    for t in 0..shape.rows {
        let (past, now) = states.split_at_mut(t * size);
        let previous = if t == 0 {
            start
        } else {
            &past[(t - 1) * size..]
        };
        let flags = part(first, t, batch);
        copy_masked(previous, flags, hidden, &mut scratch.before);
        let before = Matrix::new(&scratch.before, batch, hidden);
        multiply(before, weights, &mut scratch.sums, Into::Replace);
        let gates = part(gates, t, 3 * size);
        let now = &mut now[..size];
        now.copy_from_slice(&scratch.before);
        vectorised(Advance {
            gates,
            sums: &scratch.sums,
            bias,
            states: now,
            kept: match kept.len() {
                0 => &mut [],
                _ => part_mut(kept, t, 4 * size),
            },
            hidden,
        });
    }
}

/// A row of every sequence, forward.
pub(super) struct Advance<'a> {
    /// `[B, 3H]`: the part of the input.
    pub(super) gates: &'a [f32],
    /// `[B, 3H]`: h W.
    pub(super) sums: &'a [f32],
    /// `[3H]`.
    pub(super) bias: &'a [f32],
    /// `[B, H]`: states before the row, which become those after it.
    pub(super) states: &'a mut [f32],
    /// `[B, 4H]`: becomes r, z, n and h W_n + b_n; or empty, where nobody needs them.
    pub(super) kept: &'a mut [f32],
    /// H.
    pub(super) hidden: usize,
}

impl pulp::NullaryFnOnce for Advance<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let hidden = self.hidden;
        let rows = self.states.chunks_exact_mut(hidden).enumerate();
        for (b, state) in rows {
            let gates = part(self.gates, b, 3 * hidden);
            let sums = part(self.sums, b, 3 * hidden);
            if self.kept.is_empty() {
                advance(gates, sums, self.bias, state);
            } else {
                let kept = part_mut(self.kept, b, 4 * hidden);
                advance_and_keep(gates, sums, self.bias, state, kept);
            }
        }
    }
}

/// One sequence's row: `state` before becomes `state` after.
#[inline(always)]
fn advance(gates: &[f32], sums: &[f32], bias: &[f32], state: &mut [f32]) {
    let hidden = state.len();
    let [g_r, g_z, g_n] = thirds(gates, hidden);
    let [s_r, s_z, s_n] = thirds(sums, hidden);
    let [b_r, b_z, b_n] = thirds(bias, hidden);
    for i in 0..hidden {
        let r = math::sigmoid(g_r[i] + (s_r[i] + b_r[i]));
        let z = math::sigmoid(g_z[i] + (s_z[i] + b_z[i]));
        let n = math::tanh(g_n[i] + r * (s_n[i] + b_n[i]));
        state[i] = (1.0 - z) * n + z * state[i];
    }
}

/// [`advance`], which also writes r, z, n and the candidate's recurrent sum.
#[inline(always)]
fn advance_and_keep(
    gates: &[f32],
    sums: &[f32],
    bias: &[f32],
    state: &mut [f32],
    kept: &mut [f32],
) {
    let hidden = state.len();
    let [g_r, g_z, g_n] = thirds(gates, hidden);
    let [s_r, s_z, s_n] = thirds(sums, hidden);
    let [b_r, b_z, b_n] = thirds(bias, hidden);
    let (k_r, rest) = kept.split_at_mut(hidden);
    let (k_z, rest) = rest.split_at_mut(hidden);
    let (k_n, k_s) = rest.split_at_mut(hidden);
    let k_s = &mut k_s[..hidden];
    for i in 0..hidden {
        let r = math::sigmoid(g_r[i] + (s_r[i] + b_r[i]));
        let z = math::sigmoid(g_z[i] + (s_z[i] + b_z[i]));
        let s = s_n[i] + b_n[i];
        let n = math::tanh(g_n[i] + r * s);
        state[i] = (1.0 - z) * n + z * state[i];
        k_r[i] = r;
        k_z[i] = z;
        k_n[i] = n;
        k_s[i] = s;
    }
}

/// One group, backward through time: writes the gradients of the gates and of the recurrent
/// weights and biases.
#[allow(clippy::too_many_arguments, reason = "one slice for each tensor")]
pub(super) fn backward(
    shape: &GruShape,
    recurrent: &[f32],
    start: &[f32],
    first: &[bool],
    states: &[f32],
    kept: &[f32],
    gradient: &[f32],
    d_gates: &mut [f32],
    d_recurrent: &mut [f32],
    scratch: &mut Scratch,
) {
    let GruShape { batch, hidden, .. } = *shape;
    let weights = &recurrent[..hidden * 3 * hidden];
    let weights = Matrix::new(weights, hidden, 3 * hidden).transposed();
    let (d_weights, d_bias) = d_recurrent.split_at_mut(hidden * 3 * hidden);
    let size = batch * hidden;
    let Scratch {
        before: befores,
        sums: d_sums,
        carry,
    } = scratch;
    carry.fill(0.0);
    for t in (0..shape.rows).rev() {
        let previous = match t {
            0 => start,
            _ => part(states, t - 1, size),
        };
        let flags = part(first, t, batch);
        let before = part_mut(befores, t, size);
        copy_masked(previous, flags, hidden, before);
        let kept = part(kept, t, 4 * size);
        let gradient = part(gradient, t, size);
        let d_gates = part_mut(d_gates, t, 3 * size);
        let d_sums = part_mut(d_sums, t, 3 * size);
        vectorised(Retreat {
            kept,
            before,
            gradient,
            carry,
            d_gates,
            d_sums,
            hidden,
        });
        let d_sums = Matrix::new(d_sums, batch, 3 * hidden);
        multiply(d_sums, weights, carry, Into::Add);
        for (carry, &flag) in carry.chunks_exact_mut(hidden).zip(flags) {
            if flag {
                carry.fill(0.0);
            }
        }
    }
    add_column_sums(d_sums, d_bias);
    // One product for all rows: row by row it would go through the weights T times.
    multiply(
        Matrix::new(befores, shape.samples(), hidden).transposed(),
        Matrix::new(d_sums, shape.samples(), 3 * hidden),
        d_weights,
        Into::Replace,
    );
}

/// A row of every sequence, backward: the arguments of [`retreat`], with a leading B.
struct Retreat<'a> {
    kept: &'a [f32],
    before: &'a [f32],
    gradient: &'a [f32],
    carry: &'a mut [f32],
    d_gates: &'a mut [f32],
    d_sums: &'a mut [f32],
    hidden: usize,
}

impl pulp::NullaryFnOnce for Retreat<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let hidden = self.hidden;
        for (b, carry) in self.carry.chunks_exact_mut(hidden).enumerate() {
            retreat(
                part(self.kept, b, 4 * hidden),
                part(self.before, b, hidden),
                part(self.gradient, b, hidden),
                carry,
                part_mut(self.d_gates, b, 3 * hidden),
                part_mut(self.d_sums, b, 3 * hidden),
            );
        }
    }
}

/// One sequence's row, backward. `carry` is the gradient from later rows of the state after this
/// row, and becomes the direct part, z ∘ dh', of that of the state before it.
///
/// ```text
/// dn = dh' (1 − z) (1 − n²)      dz = dh' (h − n) z (1 − z)      dr = dn s r (1 − r)
/// ```
///
/// with s = h W_n + b_n: these are the gradients of the gates; those of the recurrent sums differ
/// in the last third, r ∘ dn.
#[inline(always)]
fn retreat(
    kept: &[f32],
    before: &[f32],
    gradient: &[f32],
    carry: &mut [f32],
    d_gates: &mut [f32],
    d_sums: &mut [f32],
) {
    let hidden = carry.len();
    let [k_r, k_z, k_n] = thirds(kept, hidden);
    let k_s = &kept[3 * hidden..][..hidden];
    let (before, gradient) = (&before[..hidden], &gradient[..hidden]);
    let [dg_r, dg_z, dg_n] = thirds_mut(d_gates, hidden);
    let [ds_r, ds_z, ds_n] = thirds_mut(d_sums, hidden);
    for i in 0..hidden {
        let (r, z, n) = (k_r[i], k_z[i], k_n[i]);
        let dh = gradient[i] + carry[i];
        let dn = dh * (1.0 - z) * (1.0 - n * n);
        let dz = dh * (before[i] - n) * (z * (1.0 - z));
        let dr = dn * k_s[i] * (r * (1.0 - r));
        carry[i] = dh * z;
        dg_r[i] = dr;
        dg_z[i] = dz;
        dg_n[i] = dn;
        ds_r[i] = dr;
        ds_z[i] = dz;
        ds_n[i] = dn * r;
    }
}

/// Copies states, zero where an episode begins.
fn copy_masked(states: &[f32], flags: &[bool], hidden: usize, to: &mut [f32]) {
    let rows = states.chunks_exact(hidden).zip(to.chunks_exact_mut(hidden));
    for ((from, to), &flag) in rows.zip(flags) {
        if flag {
            to.fill(0.0);
        } else {
            to.copy_from_slice(from);
        }
    }
}

#[inline(always)]
fn thirds(row: &[f32], hidden: usize) -> [&[f32]; 3] {
    [
        &row[..hidden],
        &row[hidden..2 * hidden],
        &row[2 * hidden..3 * hidden],
    ]
}

#[inline(always)]
fn thirds_mut(row: &mut [f32], hidden: usize) -> [&mut [f32]; 3] {
    let (a, rest) = row.split_at_mut(hidden);
    let (b, c) = rest.split_at_mut(hidden);
    [a, b, &mut c[..hidden]]
}
