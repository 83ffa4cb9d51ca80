//! A task for tests: short, partly seen, with whatever spaces, masks and ends are asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::env::{
    ActionSpace, AgentSpec, Environment, JointAction, Simulation, Task, TeamSpec, Transition,
};
use crate::rng::Stream;

/// Every agent is shown a sign, −1 or 1, in an episode's first step and must act on it in every
/// step: by action 0 or 1, or by numbers near half the sign. It pays 1 for each agent that does
/// (minus the squared distances of vectors).
#[derive(Clone)]
pub(crate) struct Signs {
    pub(crate) spec: TeamSpec,
    /// Whether episodes end for good at the horizon, or are cut off there.
    pub(crate) terminates: bool,
    /// Chance that an episode ends for good earlier, each step.
    pub(crate) early: f64,
    /// Steps of all environments of the task.
    pub(crate) taken: Arc<AtomicU64>,
    now: Now,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Now {
    step: usize,
    signs: Vec<f32>,
}

impl Signs {
    /// Agents with these observations' lengths and action spaces, for `horizon` steps.
    pub(crate) fn new(agents: &[(usize, ActionSpace)], horizon: usize) -> Self {
        let agent = |&(observation, actions)| AgentSpec {
            observation,
            actions,
        };
        Self {
            spec: TeamSpec::new(agents.iter().map(agent).collect(), horizon),
            terminates: false,
            early: 0.0,
            taken: Arc::default(),
            now: Now::default(),
        }
    }

    /// Two kinds of agents in turns, discrete actions: 0 and 2 alike, 1 and 3 alike.
    pub(crate) fn mixed(horizon: usize) -> Self {
        let (a, b) = ((3, ActionSpace::Discrete(3)), (2, ActionSpace::Discrete(5)));
        Self::new(&[a, b, a, b], horizon)
    }

    /// Three agents with vectors, of two kinds.
    pub(crate) fn vectors(horizon: usize) -> Self {
        let (a, b) = (
            (3, ActionSpace::Continuous(2)),
            (2, ActionSpace::Continuous(1)),
        );
        Self::new(&[a, b, a], horizon)
    }

    /// The same, forbidding an action of each agent that has three or more, another every step.
    pub(crate) fn masked(mut self) -> Self {
        self.spec.masked = true;
        self
    }

    /// The same, with a state: the step and the signs.
    pub(crate) fn with_state(mut self) -> Self {
        self.spec.state = 1 + self.spec.agents.len();
        self
    }

    /// The same, with episodes that end for good: at the horizon, and before it with a chance of
    /// `early` each step.
    pub(crate) fn ending(mut self, early: f64) -> Self {
        (self.terminates, self.early) = (true, early);
        self
    }

    /// As a task.
    pub(crate) fn task(self) -> Task {
        Task::simulated(Simulation::new("signs", "to remember signs", move || {
            self.clone()
        }))
    }

    fn show(&self, observations: &mut [f32]) {
        let mut rest = observations;
        for (agent, &sign) in self.spec.agents.iter().zip(&self.now.signs) {
            let (own, others) = rest.split_at_mut(agent.observation);
            rest = others;
            own.fill(1.0);
            own[0] = if self.now.step == 0 { sign } else { 0.0 };
            own[1..].iter_mut().for_each(|x| *x = self.now.step as f32);
        }
    }

    fn forbidden(&self, agent: usize) -> Option<usize> {
        let actions = self.spec.agents[agent].actions.size();
        (self.spec.masked && actions > 2).then_some((self.now.step + agent) % actions)
    }
}

impl Environment for Signs {
    fn spec(&self) -> &TeamSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, observations: &mut [f32]) {
        let sign = |_| if rng.uniform() < 0.5 { -1.0 } else { 1.0 };
        self.now = Now {
            step: 0,
            signs: (0..self.spec.agents.len()).map(sign).collect(),
        };
        self.show(observations);
    }

    fn step(
        &mut self,
        action: JointAction<'_>,
        rng: &mut Stream,
        observations: &mut [f32],
    ) -> Transition {
        self.taken.fetch_add(1, Ordering::Relaxed);
        let mut reward = 0.0;
        match action {
            JointAction::Discrete(actions) => {
                for (agent, (&action, &sign)) in actions.iter().zip(&self.now.signs).enumerate() {
                    let size = self.spec.agents[agent].actions.size();
                    assert!((action as usize) < size, "agent {agent} has {size} actions");
                    assert_ne!(Some(action as usize), self.forbidden(agent), "{agent}");
                    reward += f32::from(u8::from(action == u32::from(sign > 0.0)));
                }
            }
            JointAction::Continuous(mut numbers) => {
                for (agent, &sign) in self.spec.agents.iter().zip(&self.now.signs) {
                    let (own, others) = numbers.split_at(agent.actions.size());
                    numbers = others;
                    reward -= own.iter().map(|x| (x - sign / 2.0).powi(2)).sum::<f32>();
                }
            }
        }
        self.now.step += 1;
        let early = self.early > 0.0 && rng.uniform() < self.early;
        let over = self.now.step == self.spec.horizon;
        self.show(observations);
        Transition {
            reward,
            terminated: early || (over && self.terminates),
            truncated: over && !early && !self.terminates,
        }
    }

    fn state(&self, state: &mut [f32]) {
        if let [step, signs @ ..] = state {
            *step = self.now.step as f32;
            signs.copy_from_slice(&self.now.signs);
        }
    }

    fn mask(&self, mut mask: &mut [bool]) {
        mask.fill(true);
        for (agent, spec) in self.spec.agents.iter().enumerate() {
            let (own, others) = mask.split_at_mut(spec.actions.size());
            mask = others;
            if let Some(forbidden) = self.forbidden(agent) {
                own[forbidden] = false;
            }
        }
    }

    fn save(&self) -> Vec<u8> {
        postcard::to_stdvec(&self.now).expect("numbers")
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), postcard::Error> {
        self.now = postcard::from_bytes(saved)?;
        Ok(())
    }
}
