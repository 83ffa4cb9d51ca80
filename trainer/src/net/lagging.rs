//! Target networks: copies that follow the networks that learn, late (Mnih et al. 2015) or slowly
//! (Lillicrap et al. 2016), so that bootstrapped targets hold still.
//!
//! ```text
//! every `interval` steps:   θ⁻ ← θ⁻ + rate · (θ − θ⁻)
//! ```

use candle_core::{Result, Var, bail};
use serde::{Deserialize, Serialize};

/// How target networks follow.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetConfig {
    /// Gradient steps between two moves.
    pub interval: usize,
    /// How far a move goes: 1 copies the networks.
    pub rate: f64,
}

impl TargetConfig {
    /// A copy every 200 gradient steps.
    pub fn hard() -> Self {
        Self {
            interval: 200,
            rate: 1.0,
        }
    }

    /// A hundredth of the way at every gradient step.
    pub fn soft() -> Self {
        Self {
            interval: 1,
            rate: 0.01,
        }
    }
}

impl Default for TargetConfig {
    fn default() -> Self {
        Self::hard()
    }
}

/// Variables and their copies.
pub struct Lagging {
    config: TargetConfig,
    /// (θ, θ⁻).
    pairs: Vec<(Var, Var)>,
    steps: u64,
}

impl Lagging {
    /// Makes `copies` what `variables` are now, and lets them lag from here on.
    ///
    /// # Errors
    /// When they are not of the same shapes.
    pub fn new(variables: Vec<Var>, copies: Vec<Var>, config: TargetConfig) -> Result<Self> {
        if variables.len() != copies.len() {
            let (found, expected) = (copies.len(), variables.len());
            bail!("found {found} variables of target networks, expected {expected}");
        }
        for (variable, copy) in variables.iter().zip(&copies) {
            copy.set(variable)?;
        }
        Ok(Self {
            config,
            pairs: variables.into_iter().zip(copies).collect(),
            steps: 0,
        })
    }

    /// A gradient step was made.
    pub fn follow(&mut self) -> Result<()> {
        self.steps += 1;
        if !self.steps.is_multiple_of(self.config.interval as u64) {
            return Ok(());
        }
        for (variable, copy) in &self.pairs {
            if self.config.rate == 1.0 {
                copy.set(variable)?;
            } else {
                let way = (variable.as_detached_tensor() - copy.as_detached_tensor())?;
                copy.set(&(copy.as_detached_tensor() + (way * self.config.rate)?)?)?;
            }
        }
        Ok(())
    }

    /// The copies, in order.
    pub fn copies(&self) -> Vec<Var> {
        self.pairs.iter().map(|(_, copy)| copy.clone()).collect()
    }

    /// Gradient steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Goes on after `steps` gradient steps; the copies are restored like other variables.
    pub fn restore(&mut self, steps: u64) {
        self.steps = steps;
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    fn lagging(config: TargetConfig) -> (Var, Lagging) {
        let variable = Var::new(&[0.0_f32, 8.0], &Device::Cpu).unwrap();
        let copy = Var::new(&[5.0_f32, 5.0], &Device::Cpu).unwrap();
        let lagging = Lagging::new(vec![variable.clone()], vec![copy], config).unwrap();
        (variable, lagging)
    }

    fn copy(lagging: &Lagging) -> Vec<f32> {
        lagging.copies()[0].to_vec1().unwrap()
    }

    #[test]
    fn hard_targets_jump_every_interval() {
        let config = TargetConfig {
            interval: 3,
            rate: 1.0,
        };
        let (variable, mut lagging) = lagging(config);
        assert_eq!(copy(&lagging), [0.0, 8.0]);
        let seen: Vec<f32> = (1..=7)
            .map(|step| {
                let value = Tensor::new(&[step as f32, 0.0], &Device::Cpu).unwrap();
                variable.set(&value).unwrap();
                lagging.follow().unwrap();
                copy(&lagging)[0]
            })
            .collect();
        assert_eq!(seen, [0.0, 0.0, 3.0, 3.0, 3.0, 6.0, 6.0]);
        // Counting goes on where it was.
        lagging.restore(8);
        lagging.follow().unwrap();
        assert_eq!((copy(&lagging)[0], lagging.steps()), (7.0, 9));
    }

    /// θ = 1, θ⁻ = 0 at first: 1 − (1 − ¼)ⁿ after n steps.
    #[test]
    fn soft_targets_go_a_share_of_the_way() {
        let config = TargetConfig {
            interval: 1,
            rate: 0.25,
        };
        let (variable, mut lagging) = lagging(config);
        let value = Tensor::new(&[1.0_f32, 8.0], &Device::Cpu).unwrap();
        variable.set(&value).unwrap();
        for expected in [0.25, 0.4375, 0.578_125] {
            lagging.follow().unwrap();
            assert_eq!(copy(&lagging), [expected, 8.0]);
        }
    }
}
