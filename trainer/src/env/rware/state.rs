//! What an episode in the warehouse consists of.

use serde::{Deserialize, Serialize};

use super::layout::{Floor, Layout};
use super::{HORIZON, Parameters};

/// Where a robot faces; numbered as in observations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// North, towards y = 0.
    Up,
    /// South.
    Down,
    /// West, towards x = 0.
    Left,
    /// East.
    Right,
}

impl Direction {
    /// By number.
    pub const ALL: [Self; 4] = [Self::Up, Self::Down, Self::Left, Self::Right];

    pub(super) fn turned_left(self) -> Self {
        match self {
            Self::Up => Self::Left,
            Self::Left => Self::Down,
            Self::Down => Self::Right,
            Self::Right => Self::Up,
        }
    }

    pub(super) fn turned_right(self) -> Self {
        match self {
            Self::Up => Self::Right,
            Self::Right => Self::Down,
            Self::Down => Self::Left,
            Self::Left => Self::Up,
        }
    }
}

/// One robot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Robot {
    /// Counted from 0 in the west.
    pub x: u8,
    /// Counted from 0 in the north.
    pub y: u8,
    /// Where it faces.
    pub direction: Direction,
    /// The shelf on it.
    pub carrying: Option<u16>,
}

/// Everything that changes while an episode is played.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// One entry an agent.
    pub robots: Vec<Robot>,
    /// x and y of every shelf; a carried one is where its robot is.
    pub shelves: Vec<(u8, u8)>,
    /// The shelves that are wanted, all different.
    pub requests: Vec<u16>,
    /// Steps played.
    pub step: u32,
}

impl State {
    /// Whether a warehouse with these parameters can be in this state.
    pub(super) fn check(&self, parameters: &Parameters, layout: &Layout) -> Result<(), String> {
        let counts = [
            ("robots", self.robots.len(), parameters.robots),
            ("shelves", self.shelves.len(), layout.places.len()),
            ("requests", self.requests.len(), parameters.requests),
        ];
        for (what, found, expected) in counts {
            if found != expected {
                return Err(format!("found {found} {what}, expected {expected}"));
            }
        }
        let (width, height) = (layout.width, layout.height);
        let inside = |x: u8, y: u8| usize::from(x) < width && usize::from(y) < height;
        let mut carried = vec![false; self.shelves.len()];
        for (index, robot) in self.robots.iter().enumerate() {
            if !inside(robot.x, robot.y) {
                return Err(format!(
                    "robot {index}: found {robot:?}, expected x below {width} and y below {height}"
                ));
            }
            let at = |other: &super::Robot| (other.x, other.y);
            if self.robots[..index]
                .iter()
                .any(|other| at(other) == at(robot))
            {
                return Err(format!("robot {index}: found another in its cell"));
            }
            if let Some(shelf) = robot.carrying {
                let shelf = usize::from(shelf);
                if self.shelves.get(shelf) != Some(&at(robot)) {
                    return Err(format!(
                        "robot {index}: expected shelf {shelf} to be with it"
                    ));
                }
                carried[shelf] = true;
            }
        }
        let mut occupied = vec![false; layout.floor.len()];
        for (index, &(x, y)) in self.shelves.iter().enumerate() {
            let is_place = inside(x, y) && {
                let cell = layout.cell(x, y);
                let free = !std::mem::replace(&mut occupied[cell], true);
                free && (carried[index] || layout.floor[cell] == Floor::Storage)
            };
            if !is_place {
                return Err(format!(
                    "shelf {index}: found it at {x}, {y}, expected a place of its own off the highways, or a robot"
                ));
            }
        }
        for (index, &shelf) in self.requests.iter().enumerate() {
            let known = usize::from(shelf) < self.shelves.len();
            if !known || self.requests[..index].contains(&shelf) {
                return Err(format!(
                    "request {index}: found shelf {shelf}, expected different ones of {}",
                    self.shelves.len()
                ));
            }
        }
        if self.step > HORIZON {
            let step = self.step;
            return Err(format!("found step {step}, expected at most {HORIZON}"));
        }
        Ok(())
    }
}
