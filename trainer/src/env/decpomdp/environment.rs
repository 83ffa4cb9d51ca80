//! Episodes in a Dec-POMDP.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::FiniteHorizon;
use crate::env::{AgentSpec, Environment, JointAction, TeamSpec, Transition};
use crate::rng::Stream;

/// Episodes of h steps. The last step ends an episode for good: there is no future to value.
///
/// Agent i sees, `[A_i + O_i + 1]`: its last action one-hot, its last observation one-hot (both
/// zeros before the first step), and the share t / h of the episode that is over. What it saw
/// before is its own to remember. The state, for critics, is one-hot, `[|S|]`.
pub struct DecPomdpEnvironment {
    problem: Arc<FiniteHorizon>,
    spec: TeamSpec,
    episode: Option<Episode>,
}

/// Where an episode is.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Episode {
    state: u32,
    /// Steps taken.
    step: u32,
}

impl DecPomdpEnvironment {
    /// Episodes in `problem`. Many environments can share one.
    pub fn new(problem: Arc<FiniteHorizon>) -> Self {
        let model = &problem.model;
        let sizes = std::iter::zip(model.actions().sizes(), model.observations().sizes());
        let agents =
            sizes.map(|(&actions, &seen)| AgentSpec::discrete(actions + seen + 1, actions));
        let spec = TeamSpec {
            state: model.states(),
            ..TeamSpec::new(agents.collect(), problem.horizon)
        };
        Self {
            problem,
            spec,
            episode: None,
        }
    }
}

impl Environment for DecPomdpEnvironment {
    fn spec(&self) -> &TeamSpec {
        &self.spec
    }

    /// Draws the first state. Nobody sees anything yet.
    fn reset(&mut self, rng: &mut Stream, observations: &mut [f32]) {
        let state = rng.categorical(self.problem.model.start()) as u32;
        self.episode = Some(Episode { state, step: 0 });
        observations.fill(0.0);
    }

    /// Draws s' from T, o from O, and pays R(s, a, s', o).
    ///
    /// # Panics
    /// When no episode is under way: after the last step comes a reset.
    fn step(
        &mut self,
        action: JointAction<'_>,
        rng: &mut Stream,
        mut observations: &mut [f32],
    ) -> Transition {
        let (model, horizon) = (&self.problem.model, self.problem.horizon);
        let actions = action.discrete();
        let episode = self.episode.as_mut();
        let episode = episode
            .filter(|episode| (episode.step as usize) < horizon)
            .expect("a reset before every episode");
        let joint = (model.actions()).join(actions.iter().map(|&action| action as usize));
        let state = episode.state as usize;
        let successors = model.transition(state, joint);
        let successor = successors.outcomes[rng.categorical(successors.probabilities)];
        let row = model.observation(joint, successor as usize);
        let seen = row.outcomes[rng.categorical(row.probabilities)] as usize;
        episode.state = successor;
        episode.step += 1;

        let parts = actions.iter().zip(model.observations().split(seen));
        for (agent, (&action, seen)) in parts.enumerate() {
            let (own, rest) = observations.split_at_mut(self.spec.agents[agent].observation);
            own.fill(0.0);
            own[action as usize] = 1.0;
            own[model.actions().sizes()[agent] + seen] = 1.0;
            own[own.len() - 1] = episode.step as f32 / horizon as f32;
            observations = rest;
        }
        Transition {
            reward: model.reward(state, joint, successor as usize, seen) as f32,
            terminated: episode.step as usize == horizon,
            truncated: false,
        }
    }

    /// One-hot; zeros before the first reset.
    fn state(&self, state: &mut [f32]) {
        state.fill(0.0);
        if let Some(episode) = self.episode {
            state[episode.state as usize] = 1.0;
        }
    }

    fn save(&self) -> Vec<u8> {
        postcard::to_stdvec(&self.episode).expect("two numbers are serialised")
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), postcard::Error> {
        let episode: Option<Episode> = postcard::from_bytes(saved)?;
        let fits = |episode: &Episode| {
            (episode.state as usize) < self.spec.state
                && episode.step as usize <= self.problem.horizon
        };
        if !episode.iter().all(fits) {
            return Err(postcard::Error::SerdeDeCustom);
        }
        self.episode = episode;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
