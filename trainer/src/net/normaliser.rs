//! Observation normalisation: zero mean and unit variance, measured while training.
//!
//! The running moments follow Welford (1962). At export the shift and scale are folded into the
//! first layer of each agent's network, so a device never sees them.

use serde::{Deserialize, Serialize};

use super::DenseWeights;
use crate::env::TeamSpec;

/// Running mean and variance of every component of one replica's joint observation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normaliser {
    count: f64,
    mean: Vec<f64>,
    /// Sum of squared distances from the mean.
    scatter: Vec<f64>,
}

/// How the observations of R replicas are normalised.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Normalisation {
    /// One a replica; empty: observations pass unchanged.
    replicas: Vec<Normaliser>,
}

impl Normalisation {
    /// Moments to be measured from here on.
    pub fn measured(spec: &TeamSpec, replicas: usize) -> Self {
        Self {
            replicas: vec![Normaliser::new(spec.joint_observation()); replicas],
        }
    }

    /// The normaliser of one replica, if there is one.
    pub fn of(&self, replica: usize) -> Option<&Normaliser> {
        self.replicas.get(replica)
    }

    /// Takes rows of joint observations in (`[R, S, Σ observation]`).
    pub fn include(&mut self, rows: &[f32]) {
        if self.replicas.is_empty() {
            return;
        }
        let share = rows.len() / self.replicas.len();
        for (normaliser, rows) in self.replicas.iter_mut().zip(rows.chunks_exact(share)) {
            let width = normaliser.mean.len();
            rows.chunks_exact(width)
                .for_each(|row| normaliser.include(row));
        }
    }

    /// Normalises rows of joint observations in place, `[R, S, Σ observation]`.
    pub fn apply(&self, rows: &mut [f32]) {
        if self.replicas.is_empty() {
            return;
        }
        let share = rows.len() / self.replicas.len();
        for (normaliser, rows) in self.replicas.iter().zip(rows.chunks_exact_mut(share)) {
            normaliser.apply(rows);
        }
    }
}

/// A component that varies less than this is only shifted: dividing by its deviation would blow
/// rounding errors up to the size of signals.
const LEAST_DEVIATION: f64 = 1e-4;

impl Normaliser {
    /// Nothing measured yet: observations pass unchanged. `width`: Σ observation.
    pub fn new(width: usize) -> Self {
        Self {
            count: 0.0,
            mean: vec![0.0; width],
            scatter: vec![0.0; width],
        }
    }

    /// Takes one joint observation in, `[Σ observation]`.
    pub fn include(&mut self, row: &[f32]) {
        self.count += 1.0;
        for ((mean, scatter), &x) in self.mean.iter_mut().zip(&mut self.scatter).zip(row) {
            let before = f64::from(x) - *mean;
            *mean += before / self.count;
            *scatter += before * (f64::from(x) - *mean);
        }
    }

    /// (μ, σ) of component `index`, as applied.
    pub fn shift_and_scale(&self, index: usize) -> (f64, f64) {
        let deviation = (self.scatter[index] / self.count.max(1.0)).sqrt();
        let scale = if deviation < LEAST_DEVIATION {
            1.0
        } else {
            deviation
        };
        (self.mean[index], scale)
    }

    /// Replaces each x of the rows, `[…, Σ observation]`, by (x − μ)/σ.
    pub fn apply(&self, rows: &mut [f32]) {
        let width = self.mean.len();
        let moments: Vec<_> = (0..width)
            .map(|index| self.shift_and_scale(index))
            .collect();
        for row in rows.chunks_exact_mut(width) {
            for (x, (shift, scale)) in row.iter_mut().zip(&moments) {
                *x = ((f64::from(*x) - shift) / scale) as f32;
            }
        }
    }

    /// Folds the normalisation of the components from `start` on into a first layer that reads
    /// them: W (x − μ)/σ + b = (W/σ) x + (b − (W/σ) μ).
    pub fn fold_into(&self, first: &mut DenseWeights, start: usize) {
        let DenseWeights {
            inputs,
            weights,
            biases,
            ..
        } = first;
        self.fold_into_rows(weights, biases, *inputs, start);
    }

    /// The same for the rows, `[outputs][inputs]`, and biases of any layer.
    pub(crate) fn fold_into_rows(
        &self,
        weights: &mut [f32],
        biases: &mut [f32],
        inputs: usize,
        start: usize,
    ) {
        for (row, bias) in weights.chunks_exact_mut(inputs).zip(biases) {
            let mut sum = f64::from(*bias);
            for (offset, weight) in row.iter_mut().enumerate() {
                let (shift, scale) = self.shift_and_scale(start + offset);
                let folded = f64::from(*weight) / scale;
                sum -= folded * shift;
                *weight = folded as f32;
            }
            *bias = sum as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Normaliser {
        let mut normaliser = Normaliser::new(3);
        for row in [[1.0, 5.0, 0.0], [3.0, 5.0, 1.0], [5.0, 5.0, 8.0]] {
            normaliser.include(&row);
        }
        normaliser
    }

    #[test]
    fn moments_are_those_of_the_rows() {
        // Means 3, 5, 3; population variances 8/3, 0, 38/3; the constant is only shifted.
        let normaliser = measured();
        let expected = [
            (3.0, (8.0_f64 / 3.0).sqrt()),
            (5.0, 1.0),
            (3.0, (38.0_f64 / 3.0).sqrt()),
        ];
        for (index, (mean, deviation)) in expected.into_iter().enumerate() {
            let (shift, scale) = normaliser.shift_and_scale(index);
            assert!((shift - mean).abs() < 1e-12 && (scale - deviation).abs() < 1e-12);
        }
    }

    #[test]
    fn a_folded_layer_on_raw_rows_equals_the_layer_on_normalised_rows() {
        let normaliser = measured();
        let layer = DenseWeights {
            inputs: 2,
            outputs: 2,
            weights: vec![0.5, -1.5, 2.0, 0.25],
            biases: vec![0.1, -0.2],
        };
        // The layer of an agent whose observation is components 1 and 2.
        let mut folded = layer.clone();
        normaliser.fold_into(&mut folded, 1);
        let apply = |layer: &DenseWeights, x: &[f32]| -> Vec<f32> {
            let rows = layer.weights.chunks_exact(2).zip(&layer.biases);
            rows.map(|(w, b)| b + w[0] * x[0] + w[1] * x[1]).collect()
        };
        let raw = [9.0, 7.0, -4.0];
        let mut normalised = raw;
        normaliser.apply(&mut normalised);
        let (a, b) = (apply(&layer, &normalised[1..]), apply(&folded, &raw[1..]));
        for (a, b) in a.iter().zip(&b) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
}
