//! The optimiser that every network here is trained with.

use candle_core::{Result, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};

/// Adam without weight decay. β₂ = .99 forgets gradients of the past 100 updates: the losses
/// here change while they are being followed.
pub fn adam(variables: Vec<Var>, learning_rate: f64) -> Result<AdamW> {
    AdamW::new(
        variables,
        ParamsAdamW {
            lr: learning_rate,
            beta1: 0.9,
            beta2: 0.99,
            eps: 1e-8,
            weight_decay: 0.0,
        },
    )
}
