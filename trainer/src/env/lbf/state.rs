//! What an episode of foraging consists of.

use serde::{Deserialize, Serialize};

use super::{HORIZON, Parameters};

/// A player or a food: where it is and its level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Counted from 0 in the north.
    pub row: u8,
    /// Counted from 0 in the west.
    pub column: u8,
    /// 1 or 2 for a player; of a food, how many levels of players it takes.
    pub level: u8,
}

impl Item {
    /// Writes row, column (as counted from `north` and `west`) and level into `place`, `[3]`.
    pub(super) fn write(self, north: u8, west: u8, place: &mut [f32]) {
        place.copy_from_slice(&[
            f32::from(self.row) - f32::from(north),
            f32::from(self.column) - f32::from(west),
            f32::from(self.level),
        ]);
    }
}

/// Everything that changes while an episode is played.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// One entry an agent. Two can be in one cell: see docs/tasks.md.
    pub players: Vec<Item>,
    /// The food that is left, row by row.
    pub foods: Vec<Item>,
    /// The sum of the levels of all food that the episode began with.
    pub spawned: u32,
    /// Steps played.
    pub step: u32,
}

impl State {
    /// Whether a field with these parameters can be in this state.
    pub(super) fn check(&self, parameters: &Parameters) -> Result<(), String> {
        let (rows, columns) = (parameters.rows, parameters.columns);
        let found = self.players.len();
        if found != parameters.players {
            let expected = parameters.players;
            return Err(format!("found {found} players, expected {expected}"));
        }
        let found = self.foods.len();
        if found > parameters.foods {
            let expected = parameters.foods;
            return Err(format!("found {found} foods, expected at most {expected}"));
        }
        let inside = |item: &Item, rim: usize| {
            let within = |at: u8, size: usize| (rim..size - rim).contains(&at.into());
            within(item.row, rows) && within(item.column, columns)
        };
        for (index, player) in self.players.iter().enumerate() {
            if !inside(player, 0) || !(1..=2).contains(&player.level) {
                return Err(format!(
                    "player {index}: found {player:?}, expected level 1 or 2 within {rows} rows and {columns} columns"
                ));
            }
        }
        for (index, food) in self.foods.iter().enumerate() {
            if !inside(food, 1) || !(1..=6).contains(&food.level) {
                return Err(format!(
                    "food {index}: found {food:?}, expected a level of 1 to 6 off the rim of {rows} rows and {columns} columns"
                ));
            }
            let at = |item: &Item| (item.row, item.column);
            if self.players.iter().any(|player| at(player) == at(food)) {
                return Err(format!("food {index}: found a player on it"));
            }
            for other in &self.foods[..index] {
                if at(other) >= at(food) {
                    return Err(format!("food {index}: expected foods row by row"));
                }
                if too_near(other, food) {
                    return Err(format!(
                        "food {index}: found {other:?} near {food:?}, expected no food beside it, diagonally included, nor two cells away in its row or column"
                    ));
                }
            }
        }
        let left: u32 = self.foods.iter().map(|food| u32::from(food.level)).sum();
        if self.spawned < left {
            let spawned = self.spawned;
            return Err(format!(
                "found {spawned} levels of food spawned, expected at least the {left} that are left"
            ));
        }
        if self.step > HORIZON {
            let step = self.step;
            return Err(format!("found step {step}, expected at most {HORIZON}"));
        }
        Ok(())
    }
}

/// Whether two foods are nearer to each other than the rules of spawning let them be.
pub(super) fn too_near(a: &Item, b: &Item) -> bool {
    let (rows, columns) = (a.row.abs_diff(b.row), a.column.abs_diff(b.column));
    rows.max(columns) <= 1 || rows + columns == 2 && rows.min(columns) == 0
}
