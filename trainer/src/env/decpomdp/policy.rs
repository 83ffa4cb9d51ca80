//! Deterministic joint policies with finite memory, and exactly what they earn.

use std::collections::BTreeMap;

use serde::Serialize;

use super::DecPomdp;

/// What an agent does in one state of its memory, and what it remembers next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Its action.
    pub action: usize,
    /// The node of the next stage for each observation, `[O_i]`; `None` for what cannot be seen,
    /// and empty at the last stage.
    pub next: Vec<Option<usize>>,
}

/// One agent's policy: the nodes of every stage, `[h][nodes]`. It starts in node 0 of stage 0.
pub type Controller = Vec<Vec<Node>>;

/// A joint policy: a controller an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct JointController {
    /// `[N]`, all with as many stages.
    pub agents: Vec<Controller>,
}

impl JointController {
    /// The expected undiscounted return over all stages, by pushing the distribution of (state,
    /// nodes) forward:
    ///
    /// ```text
    /// μ_0(s, 0 … 0) = P(s),  μ_{t+1}(s', next(n, o)) = Σ_s μ_t(s, n) T(s, a, s') O(a, s', o),
    /// V = Σ_t Σ_{s, n} μ_t(s, n) R(s, a)  with a = a(n)
    /// ```
    ///
    /// Agents whose controllers lead nowhere on something they see earn nothing from there on.
    pub fn value(&self, model: &DecPomdp) -> f64 {
        let stages = self.agents.first().map_or(0, Vec::len);
        let mut occupancy: BTreeMap<(Vec<usize>, usize), f64> = BTreeMap::new();
        for (state, &p) in model.start().iter().enumerate().filter(|&(_, &p)| p > 0.0) {
            occupancy.insert((vec![0; self.agents.len()], state), p);
        }
        let mut value = 0.0;
        for stage in 0..stages {
            let mut after = BTreeMap::new();
            for ((nodes, state), p) in occupancy {
                let own = |(agent, &node): (usize, &usize)| &self.agents[agent][stage][node];
                let chosen = nodes.iter().enumerate().map(|agent| own(agent).action);
                let action = model.actions().join(chosen);
                value += p * model.expected_reward(state, action);
                if stage + 1 == stages {
                    continue;
                }
                for (successor, q) in model.transition(state, action).iter() {
                    for (seen, r) in model.observation(action, successor).iter() {
                        let parts = model.observations().split(seen);
                        let next = nodes.iter().enumerate().zip(parts);
                        let next: Option<Vec<usize>> =
                            next.map(|(agent, part)| own(agent).next[part]).collect();
                        if let Some(next) = next {
                            *after.entry((next, successor)).or_insert(0.0) += p * q * r;
                        }
                    }
                }
            }
            occupancy = after;
        }
        value
    }
}

/// What a team earns in `horizon` steps that plays at random.
pub fn uniform_value(model: &DecPomdp, horizon: usize) -> f64 {
    let joint = model.actions().count();
    let mut belief = model.start().to_vec();
    let mut value = 0.0;
    for _ in 0..horizon {
        let mut after = vec![0.0; belief.len()];
        for (state, p) in belief.iter().enumerate().filter(|&(_, &p)| p > 0.0) {
            for action in 0..joint {
                let p = p / joint as f64;
                value += p * model.expected_reward(state, action);
                for (successor, q) in model.transition(state, action).iter() {
                    after[successor] += p * q;
                }
            }
        }
        belief = after;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::decpomdp::problems::DEC_TIGER;

    fn node(action: usize, next: &[usize]) -> Node {
        Node {
            action,
            next: next.iter().copied().map(Some).collect(),
        }
    }

    #[test]
    fn controllers_earn_what_they_do_by_hand() {
        let model = DEC_TIGER.model();
        let both = |controller: Controller| JointController {
            agents: vec![controller; 2],
        };
        // Listening costs 2 a step.
        let listen = both(vec![
            vec![node(0, &[0, 0])],
            vec![node(0, &[0, 0])],
            vec![node(0, &[])],
        ]);
        assert!((listen.value(&model) + 6.0).abs() < 1e-12);
        // Listen, then open the other door: both right .7225, both wrong .0225, apart .255.
        let trust = both(vec![
            vec![node(0, &[0, 1])],
            vec![node(2, &[]), node(1, &[])],
        ]);
        let expected = -2.0 + 0.7225 * 20.0 - 0.0225 * 50.0 - 0.255 * 100.0;
        assert!((trust.value(&model) - expected).abs() < 1e-12);
    }

    #[test]
    fn random_play_earns_the_mean_reward() {
        // Over nine joint actions, the tiger being left: −2 − 2·101 + 2·9 − 50 + 20 − 2·100 = −416.
        let value = uniform_value(&DEC_TIGER.model(), 3);
        assert!((value + 3.0 * 416.0 / 9.0).abs() < 1e-9, "{value}");
    }
}
