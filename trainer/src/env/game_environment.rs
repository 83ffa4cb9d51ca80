//! A one-shot game, played: one draw of the observations, one joint action, one reward.

use std::sync::{Arc, OnceLock};

use super::{Environment, Game, JointAction, TeamSpec, Transition, common};
use crate::rng::Stream;

/// Episodes of one step in a [`Game`]. Many of them can share one table.
pub struct GameEnvironment {
    game: Arc<Game>,
    spec: TeamSpec,
    /// The joint observation of the episode under way.
    drawn: Option<usize>,
    /// Cells of common knowledge, by group, once somebody has asked.
    cells: OnceLock<Vec<(Vec<usize>, Vec<usize>)>>,
}

impl GameEnvironment {
    /// Episodes in `game`.
    pub fn new(game: Arc<Game>) -> Self {
        let spec = game.spec();
        Self {
            game,
            spec,
            drawn: None,
            cells: OnceLock::new(),
        }
    }

    /// An episode in which the joint observation `o` was drawn.
    pub fn showing(game: Arc<Game>, o: usize) -> Self {
        Self {
            drawn: Some(o),
            ..Self::new(game)
        }
    }
}

impl Environment for GameEnvironment {
    fn spec(&self) -> &TeamSpec {
        &self.spec
    }

    /// Draws o ~ P and shows each agent its own part, one-hot.
    fn reset(&mut self, rng: &mut Stream, mut observations: &mut [f32]) {
        let drawn = rng.categorical(self.game.probability());
        for (agent, observation) in self.game.observations().split(drawn).enumerate() {
            let (vector, rest) = observations.split_at_mut(self.spec.agents[agent].observation);
            self.game.encode_observation(agent, observation, vector);
            observations = rest;
        }
        self.drawn = Some(drawn);
    }

    /// Pays R(o, a) and ends the episode.
    ///
    /// # Panics
    /// When no episode is under way: each step takes a reset before it.
    fn step(&mut self, action: JointAction<'_>, _: &mut Stream, _: &mut [f32]) -> Transition {
        let drawn = self
            .drawn
            .take()
            .expect("a reset before every step of a one-shot game");
        let joint = self
            .game
            .actions()
            .join(action.discrete().iter().map(|&action| action as usize));
        Transition {
            reward: self.game.payoff(drawn, joint) as f32,
            terminated: true,
            truncated: false,
        }
    }

    /// The cell of the joint observation, one-hot ([`common`]); once a decision is taken, nothing.
    fn common_knowledge(&self, group: &[usize], features: &mut [f32]) {
        features.fill(0.0);
        let (false, Some(drawn)) = (features.is_empty(), self.drawn) else {
            return;
        };
        let all = self.cells.get_or_init(|| {
            let of = |group: Vec<usize>| (group.clone(), common::cells(&self.game, &group));
            common::groups(self.game.agents())
                .into_iter()
                .map(of)
                .collect()
        });
        if let Some((_, cells)) = all.iter().find(|(known, _)| known == group) {
            features[cells[drawn]] = 1.0;
        }
    }

    fn save(&self) -> Vec<u8> {
        postcard::to_stdvec(&self.drawn).expect("a number is serialised")
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), postcard::Error> {
        self.drawn = postcard::from_bytes(saved)?;
        Ok(())
    }
}
