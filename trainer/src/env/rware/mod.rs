//! The multi-robot warehouse: robots drive under shelves, bring those that are wanted to the goals
//! and put them back where there is room.
//!
//! The task of Papoudakis, Christianos, Schäfer & Albrecht, *Benchmarking Multi-Agent Deep
//! Reinforcement Learning Algorithms in Cooperative Tasks* (NeurIPS Datasets and Benchmarks 2021):
//! the rules, registered arguments (500 steps, sensors that reach one cell, flattened
//! observations) and observations of the Python package rware 2.0.0, step for step (recorded and
//! compared in `tests/tests/env_parity_grid.rs`). It differs where the original
//!
//! - says `done`, as of an end, at its limit of 500 steps: here the limit truncates an episode,
//!   and nothing terminates one;
//! - pays a shelf to the robot that delivers it: here the team is paid 1 for each;
//! - lets the order of a hash table choose, now and then, between two queues of one length for one
//!   cell: here the rule is always the one that the original has for the other cases (see
//!   [`Chance::queue`]).

mod layout;
mod motion;
mod names;
mod observe;
mod spawn;
mod state;

pub use names::{FAMILY, Parameters, Size};
pub use state::{Direction, Robot, State};

use self::layout::{Floor, Layout};
use self::motion::Motion;
use super::{AgentSpec, Environment, JointAction, TeamSpec, Transition};
use crate::rng::Stream;

/// Steps after which an episode is cut off.
pub const HORIZON: u32 = 500;

/// Actions of a robot: none, forward, turn left, turn right, load or unload.
const ACTIONS: usize = 5;
const FORWARD: u32 = 1;
const LEFT: u32 = 2;
const RIGHT: u32 = 3;
const TOGGLE: u32 = 4;

/// What the rules leave open within a step.
pub trait Chance {
    /// The shelf to request next: one that is not `requested` (`[shelves]`), of which there are
    /// `free`.
    fn request(&mut self, requested: &[bool], free: usize) -> usize;

    /// Which robot of the set `tied` (robot i is bit i) moves, when each is the head of a queue of
    /// the same length for the same cell; `first` is the one that the rules prefer: its cell is
    /// named first when the robots, in their order, each name their cell and then the cell they
    /// want.
    fn queue(&mut self, tied: u32, first: usize) -> usize;
}

/// Requests are uniform, ties are as the rules prefer.
impl Chance for Stream {
    fn request(&mut self, requested: &[bool], free: usize) -> usize {
        let rank = (self.uniform() * free as f64) as usize;
        let shelves = requested.iter().enumerate();
        let free = shelves.filter(|&(_, &requested)| !requested);
        let chosen = free.map(|(shelf, _)| shelf).nth(rank);
        chosen.expect("fewer requests than shelves")
    }

    fn queue(&mut self, _: u32, first: usize) -> usize {
        first
    }
}

/// One warehouse and the robots in it.
pub struct Warehouse {
    parameters: Parameters,
    layout: Layout,
    spec: TeamSpec,
    state: State,
    /// The robot in each cell, from 1, laid out as the layout's floor; 0 where there is none.
    robots: Vec<u8>,
    /// The shelf in each cell, standing or carried, from 1; 0 where there is none.
    shelves: Vec<u16>,
    /// Which shelves are wanted, `[shelves]`.
    requested: Vec<bool>,
    /// What sensors say of each cell, a row of [`observe::SENSED`].
    sensed: Vec<u8>,
    motion: Motion,
}

impl Warehouse {
    /// A warehouse with all shelves in their places; an episode begins with a reset.
    pub fn new(parameters: Parameters) -> Self {
        let layout = Layout::new(&parameters);
        let agent = AgentSpec::discrete(observe::LENGTH, ACTIONS);
        let (cells, shelves) = (layout.floor.len(), layout.places.len());
        let robot = |index: usize| Robot {
            x: (index % layout.width) as u8,
            y: (index / layout.width) as u8,
            direction: Direction::Up,
            carrying: None,
        };
        let state = State {
            robots: (0..parameters.robots).map(robot).collect(),
            shelves: layout.places.clone(),
            requests: (0..parameters.requests as u16).collect(),
            step: 0,
        };
        let mut warehouse = Self {
            spec: TeamSpec {
                state: 7 * parameters.robots + 3 * shelves + 1,
                ..TeamSpec::new(vec![agent; parameters.robots], HORIZON as usize)
            },
            state,
            robots: vec![0; cells],
            shelves: vec![0; cells],
            requested: vec![false; shelves],
            sensed: vec![0; cells],
            motion: Motion::new(parameters.robots),
            layout,
            parameters,
        };
        warehouse.lay_out();
        warehouse
    }

    /// A warehouse in the middle of an episode.
    ///
    /// # Errors
    /// What of `state` could not be, such as two robots in one cell.
    pub fn from_state(parameters: Parameters, state: State) -> Result<Self, String> {
        let mut warehouse = Self::new(parameters);
        state.check(&parameters, &warehouse.layout)?;
        warehouse.state = state;
        warehouse.lay_out();
        Ok(warehouse)
    }

    /// Where everything is.
    pub fn current(&self) -> &State {
        &self.state
    }

    /// Plays one joint action (`[N]`) with what `chance` decides; returns the number of shelves
    /// delivered.
    pub fn advance(&mut self, actions: &[u32], chance: &mut impl Chance) -> u32 {
        self.want(actions);
        self.motion.resolve(&self.robots, chance);
        self.drive();
        for (robot, &action) in actions.iter().enumerate() {
            match action {
                LEFT | RIGHT => self.turn(robot, action),
                TOGGLE => self.toggle(robot),
                _ => {}
            }
        }
        self.state.step += 1;
        self.deliver(chance)
    }

    /// The cell each robot wants to be in: the one in front of it, if it drives, there is floor,
    /// and no standing shelf in the way of one that it carries.
    fn want(&mut self, actions: &[u32]) {
        let stride = self.layout.stride();
        for (index, (robot, &action)) in self.state.robots.iter().zip(actions).enumerate() {
            let here = self.layout.cell(robot.x, robot.y);
            let mut there = here;
            if action == FORWARD {
                there = match robot.direction {
                    Direction::Up => here - stride,
                    Direction::Down => here + stride,
                    Direction::Left => here - 1,
                    Direction::Right => here + 1,
                };
                let shelf_stands = || {
                    let carrier = usize::from(self.robots[there]).checked_sub(1);
                    let carried = carrier.and_then(|carrier| self.state.robots[carrier].carrying);
                    self.shelves[there] != 0 && carried.is_none()
                };
                if self.layout.floor[there] == Floor::Wall
                    || robot.carrying.is_some() && shelf_stands()
                {
                    there = here;
                }
            }
            (self.motion.cells[index], self.motion.targets[index]) = (here, there);
        }
    }

    /// Moves the robots that can, and what they carry: first all off their cells, then all onto
    /// the next, since one may follow another.
    fn drive(&mut self) {
        for index in 0..self.state.robots.len() {
            if self.motion.moves[index] {
                let here = self.motion.cells[index];
                self.robots[here] = 0;
                if self.state.robots[index].carrying.is_some() {
                    self.shelves[here] = 0;
                }
                self.sense(here);
            }
        }
        for index in 0..self.state.robots.len() {
            if self.motion.moves[index] {
                let robot = &mut self.state.robots[index];
                match robot.direction {
                    Direction::Up => robot.y -= 1,
                    Direction::Down => robot.y += 1,
                    Direction::Left => robot.x -= 1,
                    Direction::Right => robot.x += 1,
                }
                let there = self.motion.targets[index];
                self.robots[there] = index as u8 + 1;
                if let Some(shelf) = robot.carrying {
                    self.shelves[there] = shelf + 1;
                    self.state.shelves[usize::from(shelf)] = (robot.x, robot.y);
                }
                self.sense(there);
            }
        }
    }

    fn turn(&mut self, index: usize, action: u32) {
        let robot = &mut self.state.robots[index];
        robot.direction = match action {
            LEFT => robot.direction.turned_left(),
            _ => robot.direction.turned_right(),
        };
        self.sense(self.motion.cells[index]);
    }

    /// Takes up the shelf above the robot, or puts down the one it carries where there is room.
    fn toggle(&mut self, index: usize) {
        let here = self.motion.cells[index];
        let robot = &mut self.state.robots[index];
        match robot.carrying {
            None => robot.carrying = self.shelves[here].checked_sub(1),
            Some(_) if self.layout.floor[here] == Floor::Storage => robot.carrying = None,
            Some(_) => {}
        }
    }

    /// Counts the wanted shelves that are at a goal, and requests another for each.
    fn deliver(&mut self, chance: &mut impl Chance) -> u32 {
        let mut delivered = 0;
        for goal in self.layout.goals {
            let Some(shelf) = self.shelves[goal].checked_sub(1) else {
                continue;
            };
            if !self.requested[usize::from(shelf)] {
                continue;
            }
            delivered += 1;
            let free = self.requested.len() - self.state.requests.len();
            let next = chance.request(&self.requested, free);
            for request in &mut self.state.requests {
                if *request == shelf {
                    *request = next as u16;
                }
            }
            self.requested[usize::from(shelf)] = false;
            self.requested[next] = true;
            self.sense(goal);
            let (x, y) = self.state.shelves[next];
            self.sense(self.layout.cell(x, y));
        }
        delivered
    }
}

impl Environment for Warehouse {
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
        rng: &mut Stream,
        observations: &mut [f32],
    ) -> Transition {
        let delivered = self.advance(action.discrete(), rng);
        self.observe(observations);
        Transition {
            reward: delivered as f32,
            terminated: false,
            truncated: self.state.step >= HORIZON,
        }
    }

    /// Robots (x, y, whether it carries a shelf, direction one-hot), shelves (x, y, whether it is
    /// wanted) and the share of the 500 steps that is over: `[7 N + 3 shelves + 1]`.
    fn state(&self, state: &mut [f32]) {
        let (robots, rest) = state.split_at_mut(7 * self.parameters.robots);
        for (robot, place) in self.state.robots.iter().zip(robots.chunks_exact_mut(7)) {
            observe::write_robot(robot, place);
        }
        let (shelves, rest) = rest.split_at_mut(3 * self.requested.len());
        let each = self.state.shelves.iter().zip(&self.requested);
        for ((&(x, y), &requested), place) in each.zip(shelves.chunks_exact_mut(3)) {
            place.copy_from_slice(&[x.into(), y.into(), f32::from(u8::from(requested))]);
        }
        rest[0] = self.state.step as f32 / HORIZON as f32;
    }

    fn save(&self) -> Vec<u8> {
        postcard::to_stdvec(&self.state).expect("numbers are serialised")
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), postcard::Error> {
        let state: State = postcard::from_bytes(saved)?;
        if state.check(&self.parameters, &self.layout).is_err() {
            return Err(postcard::Error::SerdeDeCustom);
        }
        self.state = state;
        self.lay_out();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
