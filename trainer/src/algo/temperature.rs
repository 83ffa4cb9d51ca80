//! The entropy bonus of policy gradients in time.

use serde::{Deserialize, Serialize};

/// How the entropy bonus fades. Times are fractions of the arm's updates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "shape", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Temperature {
    /// No bonus: plain policy gradient.
    None,
    /// The same bonus throughout.
    Constant {
        /// τ at all times.
        value: f64,
    },
    /// From `start` geometrically to `end` at time `until`, then none.
    Geometric {
        /// τ at time 0.
        start: f64,
        /// τ at `until`.
        end: f64,
        /// When the bonus ends.
        until: f64,
    },
    /// `start` until `hold`, then linearly to none at `until`.
    Linear {
        /// τ at time 0.
        start: f64,
        /// How long τ stays there.
        hold: f64,
        /// When the bonus ends.
        until: f64,
    },
}

impl Temperature {
    /// τ at `time`.
    pub fn at(&self, time: f64) -> f64 {
        match *self {
            Self::None => 0.0,
            Self::Constant { value } => value,
            Self::Geometric { start, end, until } if time < until => {
                start * (end / start).powf(time / until)
            }
            Self::Linear { start, hold, until } if time < until => {
                start * ((until - time) / (until - hold)).min(1.0)
            }
            Self::Geometric { .. } | Self::Linear { .. } => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperatures_have_the_shapes_they_are_called_after() {
        let geometric = Temperature::Geometric {
            start: 0.5,
            end: 0.005,
            until: 0.8,
        };
        // Half way to `until`, half way in the exponent: √(.5 · .005) = .05.
        assert!((geometric.at(0.4) - 0.05).abs() < 1e-12);
        assert_eq!((geometric.at(0.0), geometric.at(0.8)), (0.5, 0.0));
        let linear = Temperature::Linear {
            start: 0.1,
            hold: 0.2,
            until: 0.8,
        };
        assert_eq!(
            (linear.at(0.1), linear.at(0.2), linear.at(0.9)),
            (0.1, 0.1, 0.0)
        );
        assert!((linear.at(0.5) - 0.05).abs() < 1e-12);
        assert_eq!(Temperature::None.at(0.0), 0.0);
        assert_eq!(Temperature::Constant { value: 0.2 }.at(0.9), 0.2);
    }
}
