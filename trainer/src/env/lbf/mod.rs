//! Level-based foraging: players of various levels gather food that may take several of them.
//!
//! The task of Albrecht & Ramamoorthy (AAMAS 2013), as it is played in Papoudakis, Christianos,
//! Schäfer & Albrecht, *Benchmarking Multi-Agent Deep Reinforcement Learning Algorithms in
//! Cooperative Tasks* (NeurIPS Datasets and Benchmarks 2021): the rules, registered arguments and
//! observations of the Python package lbforaging 2.0.0, step for step (recorded and compared in
//! `tests/tests/env_parity_grid.rs`). It differs where the original
//!
//! - says `done` for both ends: here food that is all gone terminates an episode, and the limit of
//!   50 steps truncates it;
//! - pays every player its share: here the team is paid the sum of the shares, the level of the
//!   food that was loaded over that of all food of the episode, so a perfect episode returns 1;
//! - keeps new players off the cells where players stood when the last episode ended: here an
//!   episode owes nothing to the one before it;
//! - refuses fields that are not square, and registers 1 to 4 foods: here the same rules hold;
//! - knows which actions are valid and lets players try the others, which do nothing: here a task
//!   whose name ends in `-masked` forbids them.

mod names;
mod observe;
mod spawn;
mod state;

pub use names::{FAMILY, Parameters};
pub use state::{Item, State};

use super::{AgentSpec, Environment, JointAction, TeamSpec, Transition};
use crate::rng::Stream;

/// Steps after which an episode is cut off.
pub const HORIZON: u32 = 50;

/// Actions of a player: none, north, south, west, east, load.
const ACTIONS: usize = 6;
const LOAD: u32 = 5;

/// What the field holds where nothing can go: around it, so that no step looks beyond its arrays.
const WALL: u8 = u8::MAX;

/// One field and the players on it.
pub struct LevelBasedForaging {
    parameters: Parameters,
    spec: TeamSpec,
    state: State,
    /// Levels of the food, 0 where there is none: `[rows + 2, columns + 2]` with a rim of
    /// [`WALL`].
    field: Vec<u8>,
    /// How many players want to be in a cell after this step, laid out as `field`; zeros between
    /// steps.
    arrivals: Vec<u8>,
    /// The cell each player wants to be in, `[N]`.
    targets: Vec<u16>,
    /// The cells of players that load in this step and whose food has not been looked at, `[N]`;
    /// 0, a wall, for the others.
    loading: Vec<u16>,
}

impl LevelBasedForaging {
    /// An empty field; an episode begins with a reset.
    pub fn new(parameters: Parameters) -> Self {
        let (players, foods) = (parameters.players, parameters.foods);
        let agent = AgentSpec::discrete(3 * (foods + players), ACTIONS);
        let cells = (parameters.rows + 2) * (parameters.columns + 2);
        let mut field = vec![WALL; cells];
        for row in 0..parameters.rows {
            let first = cell(&parameters, row, 0);
            field[first..first + parameters.columns].fill(0);
        }
        Self {
            spec: TeamSpec {
                state: 3 * (foods + players) + 2,
                common: 1 + 3 * (foods + players),
                masked: parameters.masked,
                ..TeamSpec::new(vec![agent; players], HORIZON as usize)
            },
            state: State {
                players: vec![
                    Item {
                        level: 1,
                        ..Item::default()
                    };
                    players
                ],
                foods: Vec::with_capacity(foods),
                spawned: 0,
                step: 0,
            },
            field,
            arrivals: vec![0; cells],
            targets: vec![0; players],
            loading: vec![0; players],
            parameters,
        }
    }

    /// A field in the middle of an episode.
    ///
    /// # Errors
    /// What of `state` could not be, such as a player outside the field or food beside food.
    pub fn from_state(parameters: Parameters, state: State) -> Result<Self, String> {
        state.check(&parameters)?;
        let mut environment = Self::new(parameters);
        environment.adopt(state);
        Ok(environment)
    }

    /// Where everything is.
    pub fn current(&self) -> &State {
        &self.state
    }

    /// Whether `action` of `player` can do something, as the original's `_is_valid_action` has it: a move onto a
    /// free cell, loading beside food (of any level), and, always, nothing.
    fn is_valid(&self, player: &Item, action: u32) -> bool {
        let here = cell(&self.parameters, player.row.into(), player.column.into());
        match action {
            0 => true,
            LOAD => self.food_beside(here).is_some(),
            _ => self.field[self.beside(here)[action as usize - 1]] == 0,
        }
    }

    /// The cells north, south, west and east of one.
    fn beside(&self, here: usize) -> [usize; 4] {
        let stride = self.parameters.columns + 2;
        [here - stride, here + stride, here - 1, here + 1]
    }

    /// The food beside a cell: one at most, so far apart they lie.
    fn food_beside(&self, here: usize) -> Option<usize> {
        let is_food = |&at: &usize| !matches!(self.field[at], 0 | WALL);
        self.beside(here).into_iter().find(is_food)
    }

    /// Moves every player whose target no one else shares. A player that stays has its own cell
    /// as target, so a cell that a player fails to leave can be entered, and then holds two.
    fn walk(&mut self, actions: &[u32]) {
        let stride = self.parameters.columns + 2;
        for (index, &action) in actions.iter().enumerate() {
            let player = self.state.players[index];
            let here = cell(&self.parameters, player.row.into(), player.column.into());
            let there = match action {
                0 | LOAD => here,
                _ => self.beside(here)[action as usize - 1],
            };
            // Moves onto food or off the field are no moves; neither is loading without food.
            let target = if self.field[there] == 0 { there } else { here };
            self.targets[index] = target as u16;
            self.arrivals[target] += 1;
            self.loading[index] = if action == LOAD { here as u16 } else { 0 };
        }
        for (player, &target) in self.state.players.iter_mut().zip(&self.targets) {
            if self.arrivals[usize::from(target)] == 1 {
                player.row = (usize::from(target) / stride - 1) as u8;
                player.column = (usize::from(target) % stride - 1) as u8;
            }
        }
        for &target in &self.targets {
            self.arrivals[usize::from(target)] = 0;
        }
    }

    /// Loads the foods whose players load at once and are together up to their level; returns
    /// the sum of these foods' levels.
    ///
    /// Foods lie so far apart that no cell is beside two of them: the order of players, which is
    /// arbitrary in the original, does not matter.
    fn load(&mut self) -> u32 {
        let stride = self.parameters.columns + 2;
        let mut loaded = 0;
        for index in 0..self.loading.len() {
            let here = usize::from(self.loading[index]);
            if here == 0 {
                continue;
            }
            let Some(food) = self.food_beside(here) else {
                continue;
            };
            let around = self.beside(food);
            let mut strength = 0;
            for (player, from) in self.state.players.iter().zip(&mut self.loading) {
                if *from != 0 && around.contains(&usize::from(*from)) {
                    strength += u32::from(player.level);
                    *from = 0;
                }
            }
            let level = u32::from(self.field[food]);
            if strength >= level {
                loaded += level;
                self.field[food] = 0;
                let (row, column) = (food / stride - 1, food % stride - 1);
                let is_left = |item: &Item| {
                    (usize::from(item.row), usize::from(item.column)) != (row, column)
                };
                self.state.foods.retain(is_left);
            }
        }
        loaded
    }

    /// Plays on from `state`, which can be.
    fn adopt(&mut self, state: State) {
        self.clear();
        for food in &state.foods {
            let at = cell(&self.parameters, food.row.into(), food.column.into());
            self.field[at] = food.level;
        }
        self.state.players.copy_from_slice(&state.players);
        self.state.foods.extend_from_slice(&state.foods);
        (self.state.spawned, self.state.step) = (state.spawned, state.step);
    }

    /// Takes all food off the field.
    fn clear(&mut self) {
        for food in self.state.foods.drain(..) {
            let at = cell(&self.parameters, food.row.into(), food.column.into());
            self.field[at] = 0;
        }
    }
}

impl Environment for LevelBasedForaging {
    fn spec(&self) -> &TeamSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, observations: &mut [f32]) {
        self.spawn(rng);
        self.observe(observations);
    }

    fn step(
        &mut self,
        action: JointAction<'_>,
        _: &mut Stream,
        observations: &mut [f32],
    ) -> Transition {
        self.walk(action.discrete());
        let loaded = self.load();
        self.state.step += 1;
        self.observe(observations);
        let terminated = self.state.foods.is_empty();
        Transition {
            reward: match loaded {
                0 => 0.0,
                loaded => loaded as f32 / self.state.spawned as f32,
            },
            terminated,
            truncated: !terminated && self.state.step >= HORIZON,
        }
    }

    /// Foods, players (row, column, level each; −1, −1, 0 for foods that are gone), the level of
    /// all food of the episode, and the share of the 50 steps that is over: `[3 (M + N) + 2]`.
    fn state(&self, state: &mut [f32]) {
        let (foods, rest) = state.split_at_mut(3 * self.parameters.foods);
        let (players, rest) = rest.split_at_mut(3 * self.parameters.players);
        let mut places = foods.chunks_exact_mut(3);
        for (food, place) in self.state.foods.iter().zip(&mut places) {
            food.write(0, 0, place);
        }
        places.for_each(observe::unseen);
        for (player, place) in self.state.players.iter().zip(players.chunks_exact_mut(3)) {
            player.write(0, 0, place);
        }
        rest[0] = self.state.spawned as f32;
        rest[1] = self.state.step as f32 / HORIZON as f32;
    }

    /// What can do something, in tasks whose names end in `-masked`; the others allow everything.
    fn mask(&self, mask: &mut [bool]) {
        for (player, allowed) in self
            .state
            .players
            .iter()
            .zip(mask.chunks_exact_mut(ACTIONS))
        {
            for (action, allowed) in allowed.iter_mut().enumerate() {
                *allowed = !self.parameters.masked || self.is_valid(player, action as u32);
            }
        }
    }

    /// Whether the members all see each other and, if they do, what lies in all their views: foods,
    /// then players, as row and column counted from the first member, level; zeros for others:
    /// `[1 + 3 (M + N)]`. Players are taken to know each other by sight.
    fn common_knowledge(&self, group: &[usize], features: &mut [f32]) {
        self.share(group, features);
    }

    fn save(&self) -> Vec<u8> {
        postcard::to_stdvec(&self.state).expect("numbers are serialised")
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), postcard::Error> {
        let state: State = postcard::from_bytes(saved)?;
        if state.check(&self.parameters).is_err() {
            return Err(postcard::Error::SerdeDeCustom);
        }
        self.adopt(state);
        Ok(())
    }
}

/// The index in the field, which has a rim, of a cell of the task, which has none.
fn cell(parameters: &Parameters, row: usize, column: usize) -> usize {
    (row + 1) * (parameters.columns + 2) + column + 1
}

#[cfg(test)]
mod tests;
