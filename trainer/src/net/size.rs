//! How many weights networks will have, so that what is too large can be refused before it is made.
//!
//! Counts are in f64: widths that anyone may ask for multiply to more than an integer holds.

use super::NetworkConfig;
use super::critic::Critic;
use super::joint::TrunkChoice;
use super::marginal::members;
use crate::env::TeamSpec;

/// Of one dense layer.
fn dense(inputs: usize, outputs: f64) -> f64 {
    (inputs as f64 + 1.0) * outputs
}

/// Of one trunk, and the length of its features.
fn trunk(inputs: usize, network: &NetworkConfig) -> (f64, usize) {
    let (mut weights, mut width) = (0.0, inputs);
    for &next in &network.hidden {
        weights += dense(width, next as f64);
        width = next;
    }
    if network.memory > 0 {
        let gates = 3.0 * network.memory as f64;
        weights += dense(width, gates) + dense(network.memory, gates);
        width = network.memory;
    }
    (weights, width)
}

/// Of a team's marginals.
struct Marginals {
    trunks: f64,
    heads: f64,
    /// Length of the longest features.
    features: usize,
}

fn of_marginals(spec: &TeamSpec, network: &NetworkConfig) -> Marginals {
    let mut all = Marginals {
        trunks: 0.0,
        heads: 0.0,
        features: 0,
    };
    for members in members(spec, network.share) {
        let agents = || members.iter().map(|&agent| spec.agents[agent]);
        let seen = agents().map(|agent| agent.observation).max();
        let outputs = agents().map(|agent| agent.actions.outputs()).max();
        let (seen, outputs) = (seen.unwrap_or(0), outputs.unwrap_or(0));
        let shared = network.share && members.len() > 1;
        let (networks, whom) = match shared {
            true => (1.0, members.len()),
            false => (members.len() as f64, 0),
        };
        let (weights, features) = trunk(seen + whom, network);
        let spreads = match spec.is_continuous() {
            true => outputs as f64,
            false => 0.0,
        };
        all.trunks += networks * weights;
        all.heads += networks * (dense(features, outputs as f64) + spreads);
        all.features = all.features.max(features);
    }
    all
}

/// Weights of a team's marginals.
pub fn marginals(spec: &TeamSpec, network: &NetworkConfig) -> f64 {
    let Marginals { trunks, heads, .. } = of_marginals(spec, network);
    trunks + heads
}

/// Weights of a central critic.
pub fn critic(spec: &TeamSpec, network: &NetworkConfig) -> f64 {
    let (weights, features) = trunk(Critic::inputs(spec, network), network);
    weights + dense(features, 1.0)
}

/// Weights of a joint policy that it does not share with the marginals.
pub fn joint(spec: &TeamSpec, network: &NetworkConfig) -> f64 {
    let config = &network.joint;
    let (alike, own) = (config.speaks_alike(network, spec), config.sees_own(spec));
    let agents = spec.agents.len();
    let by_agent = of_marginals(spec, network);
    let all = match (own, alike) {
        (true, _) => by_agent.features,
        (_, true) => 2 * by_agent.features,
        _ => agents * by_agent.features,
    };
    let (trunk, features) = match config.trunk {
        TrunkChoice::Shared => (0.0, all),
        TrunkChoice::Separate if own || alike => (by_agent.trunks, all),
        TrunkChoice::Separate => trunk(spec.joint_observation(), network),
    };
    let sizes = spec.agents.iter().map(|agent| agent.actions.size() as f64);
    let head = if spec.is_continuous() {
        let dimensions = spec.joint_actions() as f64;
        dense(features, dimensions * (dimensions + 3.0) / 2.0)
    } else if config.enumerates(spec) {
        dense(features, sizes.product())
    } else {
        let last = network.hidden.last().copied().unwrap_or(features);
        let (hidden, actions) = (last.max(network.memory), spec.widest_actions() as f64);
        let (speakers, listeners) = match (alike, own) {
            (true, _) => (1.0, 1.0),
            (_, true) => (agents as f64, agents as f64),
            // One layer that speaks to all of them.
            _ => (agents as f64, 1.0),
        };
        let told = match own || alike {
            true => hidden as f64,
            false => agents as f64 * hidden as f64,
        };
        let embedding = agents as f64 * actions * hidden as f64;
        listeners * dense(features, told) + embedding + 2.0 * speakers * dense(hidden, actions)
    };
    trunk + head
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::env::ActionSpace;
    use crate::net::critic::View;
    use crate::net::joint::{HeadChoice, Sees};
    use crate::net::{Joint, JointConfig};
    use crate::rng::Stream;
    use crate::rollout::testing::Signs;

    fn count(variables: Vec<Var>) -> f64 {
        let sizes = variables.iter().map(|variable| variable.elem_count());
        sizes.sum::<usize>() as f64
    }

    /// What is counted is what is made, whatever a network is put together from.
    #[test]
    fn counted_weights_are_those_that_are_made() {
        let pair = || Signs::new(&[(3, ActionSpace::Discrete(3)); 2], 4);
        let teams = [
            pair().task(),
            Signs::mixed(4).with_state().task(),
            Signs::vectors(4).with_state().task(),
        ];
        let device = Device::Cpu;
        let mut made = 0;
        for task in teams {
            let spec = task.spec();
            for (hidden, memory) in [(vec![9, 7], 0), (vec![9], 5), (Vec::new(), 6), (vec![], 0)] {
                for share in [true, false] {
                    for (head, sees) in [
                        (HeadChoice::Auto, Sees::JointHistory),
                        (HeadChoice::Autoregressive, Sees::JointHistory),
                        (HeadChoice::Auto, Sees::Auto),
                    ] {
                        for trunk in [TrunkChoice::Separate, TrunkChoice::Shared] {
                            let network = NetworkConfig {
                                hidden: hidden.clone(),
                                memory,
                                share,
                                joint: JointConfig {
                                    head,
                                    sees,
                                    trunk,
                                    ..JointConfig::default()
                                },
                                ..NetworkConfig::default()
                            };
                            let mut streams = [Stream::new(1, "test", 0)];
                            let own =
                                crate::net::Marginals::new(&spec, &network, &mut streams, &device)
                                    .unwrap();
                            assert_eq!(marginals(&spec, &network), count(own.variables()));
                            let of_joint =
                                Joint::new(&spec, &network, &own, &mut streams, &device).unwrap();
                            let found = joint(&spec, &network);
                            assert_eq!(found, count(of_joint.variables()), "{network:?}");
                            let of_critic =
                                Critic::new(&spec, &network, View::Central, &mut streams, &device)
                                    .unwrap();
                            assert_eq!(critic(&spec, &network), count(of_critic.variables()));
                            made += 1;
                        }
                    }
                }
            }
        }
        assert_eq!(made, 3 * 4 * 2 * 3 * 2);
    }
}
