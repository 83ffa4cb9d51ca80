//! Between the team and its agents: each one's own part of what all see, and all that they do as one.

use consort_runtime::Seeding;

use super::device::Sight;
use super::reference::Acted;
use crate::env::{ActionSpace, AgentSpec, JointAction, TeamSpec};

/// What one agent is shown at a step.
pub(super) struct Own<'o> {
    pub(super) observation: &'o [f32],
    pub(super) mask: Option<&'o [bool]>,
}

impl Own<'_> {
    /// As it goes over the wire; the symbol with it, where the device cannot draw it.
    pub(super) fn sight(&self, seeding: Option<Seeding>, keyed: bool) -> (Sight, Option<u8>) {
        let symbols = seeding.map_or(0, |seeding| usize::from(seeding.symbols));
        let (own, tail) = self.observation.split_at(self.observation.len() - symbols);
        let symbol = tail
            .iter()
            .position(|&value| value == 1.0)
            .map(|index| index as u8);
        let mut mask = vec![0; self.mask.map_or(0, |mask| mask.len().div_ceil(8))];
        for (action, _) in self
            .mask
            .iter()
            .flat_map(|mask| mask.iter().enumerate().filter(|(_, allowed)| **allowed))
        {
            mask[action / 8] |= 1 << (action % 8);
        }
        let sight = Sight {
            values: own.to_vec(),
            mask,
            symbol: symbol.filter(|_| !keyed),
        };
        (sight, symbol)
    }
}

/// Each agent's own part of a joint observation and a joint mask.
pub(super) fn own<'o>(spec: &TeamSpec, observations: &'o [f32], mask: &'o [bool]) -> Vec<Own<'o>> {
    let (mut seen, mut may) = (observations, mask);
    let part = |agent: &AgentSpec| {
        let (observation, others) = seen.split_at(agent.observation);
        let (allowed, others_may) = may.split_at(agent.actions.size());
        (seen, may) = (others, others_may);
        Own {
            observation,
            mask: spec.masked.then_some(allowed),
        }
    };
    spec.agents.iter().map(part).collect()
}

/// All agents' actions as one.
pub(super) struct Joint {
    numbers: Vec<u32>,
    vectors: Vec<f32>,
    continuous: bool,
}

impl Joint {
    pub(super) fn new(spec: &TeamSpec, acted: &[Acted]) -> Self {
        let (mut numbers, mut vectors) = (Vec::new(), Vec::new());
        for (action, agent) in acted.iter().zip(&spec.agents) {
            match (action, agent.actions) {
                (Acted::Number(number), _) => numbers.push(*number),
                (Acted::Numbers(choices), ActionSpace::Product(factors)) => {
                    numbers.push(factors.action(choices));
                }
                (Acted::Vector(vector), _) => vectors.extend(vector),
                (Acted::Numbers(_), _) => unreachable!("a team's heads are its task's"),
            }
        }
        Self {
            numbers,
            vectors,
            continuous: spec.is_continuous(),
        }
    }

    pub(super) fn action(&self) -> JointAction<'_> {
        match self.continuous {
            true => JointAction::Continuous(&self.vectors),
            false => JointAction::Discrete(&self.numbers),
        }
    }
}
