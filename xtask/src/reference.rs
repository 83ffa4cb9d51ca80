//! Policies that no one trained: one of every kind that an image can hold, to be replayed beside the teams, and shapes
//! whose costs are compared with other programs'.

mod shape;

use std::fs;
use std::path::Path;

use anyhow::Result;
use consort_runtime::{Activation, Head, ImageRepr, InputScale, LayerRepr, QuantiseRepr, TeamId};
use serde_json::{Value, json};

use crate::team::{Aligned, Outcome, Player};
use shape::{Numbers, Shape};

/// Steps of a golden sequence, and of its first episode; the second is cut short.
const STEPS: [usize; 2] = [500, 400];

/// A policy to make.
struct Reference {
    name: &'static str,
    inputs: usize,
    layers: &'static [Shape],
    output: Output,
    /// Whether some of its actions are at times forbidden.
    masked: bool,
    /// Whether it computes in whole numbers.
    integer: bool,
}

/// The kind of head.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    Categorical,
    Deterministic,
    Gaussian,
    MultiDiscrete(&'static [u32]),
}

use Activation::{Identity, Relu, Sigmoid, Silu, Tanh};
use Shape::{Dense, Gru};

const REFERENCES: [Reference; 13] = [
    Reference {
        name: "reference-dense-13-64-64-4",
        inputs: 13,
        layers: &[Dense(64, Tanh), Dense(64, Tanh), Dense(4, Identity)],
        output: Output::Categorical,
        masked: false,
        integer: false,
    },
    Reference {
        name: "reference-gru-13-32-4",
        inputs: 13,
        layers: &[Gru(32), Dense(4, Identity)],
        output: Output::Categorical,
        masked: false,
        integer: false,
    },
    Reference {
        name: "reference-gaussian",
        inputs: 8,
        layers: &[Dense(16, Silu), Gru(7), Gru(5), Dense(3, Identity)],
        output: Output::Gaussian,
        masked: false,
        integer: false,
    },
    Reference {
        name: "reference-masked",
        inputs: 5,
        layers: &[
            Dense(7, Sigmoid),
            Gru(6),
            Dense(5, Relu),
            Dense(6, Identity),
        ],
        output: Output::Categorical,
        masked: true,
        integer: false,
    },
    Reference {
        name: "reference-dense-13-64-64-4-i8",
        inputs: 13,
        layers: &[Dense(64, Tanh), Dense(64, Tanh), Dense(4, Identity)],
        output: Output::Categorical,
        masked: false,
        integer: true,
    },
    Reference {
        name: "reference-gru-13-32-4-i8",
        inputs: 13,
        layers: &[Gru(32), Dense(4, Identity)],
        output: Output::Categorical,
        masked: false,
        integer: true,
    },
    Reference {
        name: "reference-gaussian-i8",
        inputs: 8,
        layers: &[Dense(16, Silu), Gru(7), Gru(5), Dense(3, Identity)],
        output: Output::Gaussian,
        masked: false,
        integer: true,
    },
    Reference {
        name: "reference-masked-i8",
        inputs: 5,
        layers: &[
            Dense(7, Sigmoid),
            Gru(6),
            Dense(5, Relu),
            Dense(6, Identity),
        ],
        output: Output::Categorical,
        masked: true,
        integer: true,
    },
    Reference {
        name: "reference-multi-discrete",
        inputs: 6,
        layers: &[Dense(9, Tanh), Gru(5), Dense(8, Identity)],
        output: Output::MultiDiscrete(&[5, 1, 2]),
        masked: true,
        integer: false,
    },
    Reference {
        name: "reference-multi-discrete-i8",
        inputs: 6,
        layers: &[Dense(9, Tanh), Gru(5), Dense(8, Identity)],
        output: Output::MultiDiscrete(&[5, 1, 2]),
        masked: true,
        integer: true,
    },
    // The shape of TensorFlow Lite Micro's first example, which MicroFlow ships too.
    Reference {
        name: "reference-sine-1-16-16-1",
        inputs: 1,
        layers: &[Dense(16, Relu), Dense(16, Relu), Dense(1, Identity)],
        output: Output::Deterministic,
        masked: false,
        integer: false,
    },
    Reference {
        name: "reference-sine-1-16-16-1-i8",
        inputs: 1,
        layers: &[Dense(16, Relu), Dense(16, Relu), Dense(1, Identity)],
        output: Output::Deterministic,
        masked: false,
        integer: true,
    },
    // Between the others in size: what an integer image is expected to cost is fitted to all of them.
    Reference {
        name: "reference-dense-24-32-24-6-i8",
        inputs: 24,
        layers: &[Dense(32, Silu), Dense(24, Sigmoid), Dense(6, Identity)],
        output: Output::Categorical,
        masked: false,
        integer: true,
    },
];

/// What a reference policy is made to observe.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Observations {
    /// Moderate numbers, in episodes.
    Moderate,
    /// Numbers that might make some steps longer than others: zeros of both signs, subnormal, tiny, huge and saturating ones,
    /// each kind alone and all together.
    Adversarial,
    /// The first few of the moderate ones.
    Few,
}

impl Observations {
    /// Steps of the sequence, and of its first episode; the second is cut short.
    fn steps(self) -> [usize; 2] {
        match self {
            Observations::Moderate => STEPS,
            Observations::Adversarial => [320, 300],
            Observations::Few => [3, 3],
        }
    }

    /// Observation `t`.
    fn next(self, t: usize, numbers: &mut Numbers, len: usize) -> Vec<f32> {
        let moderate = numbers.take(len, 3.0);
        if self != Observations::Adversarial {
            return moderate;
        }
        let kinds = numbers.take(len, 1.0);
        let kinds = kinds.iter().map(|kind| ((kind + 1.0) * 5.0) as usize);
        moderate
            .iter()
            .zip(kinds)
            .map(|(&value, kind)| match if t < 160 { t / 16 } else { kind } {
                0 => 0.0,
                1 => -0.0,
                2 => f32::from_bits(value.to_bits() & 0x807f_ffff),
                3 => value * f32::MIN_POSITIVE,
                4 => value * 1e-20,
                5 => value.signum(),
                6 => value * 1e3,
                7 => value * 1e10,
                8 => value * 1e20,
                // As large as these policies take without an overflow that would end in an error.
                _ => value.signum() * 1e35,
            })
            .collect()
    }
}

/// Writes every reference policy as a team of one agent: `<folder>/<name>`.
pub(crate) fn write(folder: &Path, observations: Observations) -> Result<()> {
    for reference in &REFERENCES {
        let folder = folder.join(reference.name);
        fs::create_dir(&folder)?;
        let mut numbers = Numbers(1);
        let image = reference.image(&mut numbers)?;
        let golden = reference.golden(&image, &mut numbers, observations)?;
        fs::write(folder.join("agent-0.image"), image)?;
        fs::write(folder.join("agent-0.golden.json"), golden.to_string())?;
    }
    Ok(())
}

impl Reference {
    fn outputs(&self) -> usize {
        self.layers.last().map_or(self.inputs, Shape::outputs)
    }

    fn image(&self, numbers: &mut Numbers) -> Result<Vec<u8>> {
        let mut inputs = self.inputs;
        let mut parameters = Vec::new();
        for layer in self.layers {
            parameters.push(layer.parameters(inputs, numbers));
            inputs = layer.outputs();
        }
        let mut integers = Vec::new();
        inputs = self.inputs;
        for (layer, parameters) in self.layers.iter().zip(&parameters) {
            integers.push(layer.integers(inputs, parameters));
            inputs = layer.outputs();
        }
        // 3 is the greatest input, 255 its lane: 85 = 2 × 85 × 2^(149 − 150).
        let scale = InputScale {
            multiplier: 85,
            base: 149,
            zero: 0,
        };
        let scales = vec![scale; self.inputs];
        let log_std = vec![-0.5; self.outputs()];
        inputs = self.inputs;
        let mut layers = Vec::new();
        if self.integer {
            layers.push(LayerRepr::Quantise(QuantiseRepr { scales: &scales }));
        }
        for (place, layer) in self.layers.iter().enumerate() {
            let last = place + 1 == self.layers.len();
            layers.push(if self.integer {
                layer.integer_repr(inputs, &integers[place], last)
            } else {
                layer.repr(inputs, &parameters[place])
            });
            inputs = layer.outputs();
        }
        let repr = ImageRepr {
            team: TeamId(*b"reference policy"),
            agent: 0,
            agents: 1,
            revision: 1,
            period_us: 0,
            seeding: None,
            head: match self.output {
                Output::Categorical => Head::Categorical {
                    actions: self.outputs(),
                },
                Output::Deterministic => Head::Deterministic {
                    outputs: self.outputs(),
                },
                Output::Gaussian => Head::Gaussian { log_std: &log_std },
                Output::MultiDiscrete(sizes) => Head::MultiDiscrete { sizes },
            },
            layers: &layers,
        };
        let mut image = vec![0; repr.emitted_len()?];
        repr.emit(&mut image)?;
        Ok(image)
    }

    fn golden(
        &self,
        image: &[u8],
        numbers: &mut Numbers,
        observations: Observations,
    ) -> Result<Value> {
        let image = Aligned::copy(image);
        let mut player = Player::new(image.bytes())?;
        let [count, episode] = observations.steps();
        let mut steps = Vec::new();
        for t in 0..count {
            let observation = observations.next(t, numbers, self.inputs);
            let start = t % episode == 0;
            let mask = self.masked.then(|| {
                let mut mask: Vec<bool> = (numbers.take(self.outputs(), 1.0).iter())
                    .map(|&number| number > 0.0)
                    .collect();
                let whole = [self.outputs() as u32];
                let sizes = match self.output {
                    Output::MultiDiscrete(sizes) => sizes,
                    _ => &whole,
                };
                let mut group = &mut mask[..];
                for &size in sizes {
                    let (own, others) = group.split_at_mut(size as usize);
                    own[t % size as usize] = true;
                    group = others;
                }
                mask
            });
            let Outcome { actions, values } = player.step(&observation, start, mask.as_deref())?;
            let observation: Vec<u32> = observation.iter().map(|value| value.to_bits()).collect();
            let mut step = json!({ "observation": observation, "start": start });
            if actions.is_empty() {
                step["action"] = json!(values);
            } else {
                step["action"] = match self.output {
                    Output::MultiDiscrete(_) => json!(actions),
                    _ => json!(actions[0]),
                };
                step["logits"] = json!(values);
            }
            if let Some(mask) = mask {
                step["mask"] = json!(mask);
            }
            steps.push(step);
        }
        Ok(json!({
            "command": "cargo xtask qemu",
            "agent": 0,
            "observation_len": self.inputs,
            "output_len": self.outputs(),
            "steps": steps,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::team::{all, compare};

    #[test]
    fn reference_policies_hold_on_the_host_and_do_more_than_one_thing() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), Observations::Moderate).unwrap();
        let agents = all(folder.path()).unwrap();
        assert_eq!(agents.len(), REFERENCES.len());
        for agent in agents {
            let (golden, host) = (agent.golden(), agent.host().unwrap());
            compare("golden", &golden, "host", &host).unwrap();
            assert_eq!(golden.len(), STEPS[0]);
            let mut actions: Vec<_> = golden.iter().map(|outcome| &outcome.actions).collect();
            actions.sort();
            actions.dedup();
            let vectors = actions[0].is_empty() && golden[0].values != golden[1].values;
            assert!(vectors || actions.len() > 1, "{agent}");
        }
    }
}
