//! Rows of weights in whole numbers.

use super::Unit;

/// A row in real numbers of lanes: what a lane more changes, and what none gives.
#[derive(Clone, Debug)]
pub(super) struct Row {
    weights: Vec<f64>,
    bias: f64,
}

/// Rows in whole numbers, `[rows][weights of a row]`.
#[derive(Clone, Debug)]
pub(super) struct Scaled {
    pub(super) shift: u8,
    pub(super) weights: Vec<i8>,
    pub(super) biases: Vec<i32>,
    pub(super) multipliers: Vec<u8>,
}

/// The limits of `docs/image.md`: what a sum with every lane at 256 stays below, what its product does.
const SUM_LIMIT: f64 = 8_388_608.0;
const PRODUCT_LIMIT: f64 = 2_147_483_648.0;

impl Row {
    /// The row of a bias and of weights on values in these units, matrix after matrix.
    pub(super) fn new<const PARTS: usize>(bias: f64, parts: [(&[f32], &[Unit]); PARTS]) -> Self {
        let mut row = Self {
            weights: Vec::new(),
            bias,
        };
        for (weights, units) in parts {
            for (&weight, Unit { unit, zero }) in weights.iter().zip(units) {
                let weight = f64::from(weight) * unit;
                row.bias += weight * zero;
                row.weights.push(weight);
            }
        }
        row
    }

    /// The least α in which its weights have 8 bits and its sums, rounded, 24.
    pub(super) fn least_unit(&self) -> f64 {
        let largest = self
            .weights
            .iter()
            .fold(0.0_f64, |most, weight| most.max(weight.abs()));
        let sum: f64 = self.weights.iter().map(|weight| weight.abs()).sum();
        let most = 256.0 * sum + self.bias.abs();
        // Rounding may add half a unit a weight.
        let room = SUM_LIMIT - 128.0 * self.weights.len() as f64 - 2.0;
        (largest / 127.0)
            .max(most / room.max(1.0))
            .max(f64::MIN_POSITIVE.sqrt())
    }
}

/// Rows in whole numbers, such that row j's product with its multiplier, shifted down, counts `units[j]`.
/// `None` where no shift from 8 to 30 will do.
pub(super) fn scale(rows: &[Row], units: &[f64]) -> Option<Scaled> {
    let ratios: Vec<f64> = (rows.iter().zip(units))
        .map(|(row, unit)| row.least_unit() / unit)
        .collect();
    let largest = ratios.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let finest = (255.0 / largest).log2().floor();
    if finest < 8.0 {
        return None;
    }
    // A coarser shift has smaller products: where the finest lets one overflow, the next is tried.
    (8..=finest.min(30.0) as u8)
        .rev()
        .find_map(|shift| at(rows, units, &ratios, shift))
}

fn at(rows: &[Row], units: &[f64], ratios: &[f64], shift: u8) -> Option<Scaled> {
    let step = (-f64::from(shift)).exp2();
    let mut scaled = Scaled {
        shift,
        weights: Vec::new(),
        biases: Vec::new(),
        multipliers: Vec::new(),
    };
    for ((row, unit), ratio) in rows.iter().zip(units).zip(ratios) {
        let multiplier = (ratio / step).ceil().clamp(1.0, 255.0);
        let own = multiplier * step * unit;
        let weights: Vec<f64> = (row.weights.iter())
            .map(|weight| (weight / own).round().clamp(-127.0, 127.0))
            .collect();
        let bias = (row.bias / own).round();
        let most = 256.0 * weights.iter().map(|weight| weight.abs()).sum::<f64>() + bias.abs();
        if most >= SUM_LIMIT || most * multiplier + 0.5 / step >= PRODUCT_LIMIT {
            return None;
        }
        scaled
            .weights
            .extend(weights.iter().map(|&weight| weight as i8));
        scaled.biases.push(bias as i32);
        scaled.multipliers.push(multiplier as u8);
    }
    Some(scaled)
}
