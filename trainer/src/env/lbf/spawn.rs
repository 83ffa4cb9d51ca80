//! Where and how strong players and foods are when an episode begins.

use super::state::too_near;
use super::{Item, LevelBasedForaging, cell};
use crate::rng::Stream;

/// How often a place for food is drawn in one episode, as in the original.
const ATTEMPTS: usize = 1000;

impl LevelBasedForaging {
    /// Begins an episode.
    pub(super) fn spawn(&mut self, rng: &mut Stream) {
        self.clear();
        self.spawn_players(rng);
        self.spawn_foods(rng);
        self.state.spawned = (self.state.foods.iter())
            .map(|food| u32::from(food.level))
            .sum();
        self.state.step = 0;
    }

    /// Players, one after another, in any free cell, each of level 1 or 2.
    fn spawn_players(&mut self, rng: &mut Stream) {
        for index in 0..self.state.players.len() {
            let (before, _) = self.state.players.split_at(index);
            // At most 9 players on at least 25 cells: a free one is soon found.
            let (row, column) = loop {
                let row = below(rng, self.parameters.rows) as u8;
                let column = below(rng, self.parameters.columns) as u8;
                if !before
                    .iter()
                    .any(|other| (other.row, other.column) == (row, column))
                {
                    break (row, column);
                }
            };
            self.state.players[index] = Item {
                row,
                column,
                level: 1 + below(rng, 2) as u8,
            };
        }
    }

    /// Foods, none on the rim, on a player, beside another food (diagonally included) or two
    /// cells from one in its row or column. Levels lie between 1 and the sum of the three lowest
    /// levels of players, and are always that sum where cooperation is forced. A field too narrow
    /// for all foods has fewer.
    fn spawn_foods(&mut self, rng: &mut Stream) {
        let most = self.lowest_three();
        for _ in 0..ATTEMPTS {
            if self.state.foods.len() == self.parameters.foods {
                break;
            }
            let mut food = Item {
                row: 1 + below(rng, self.parameters.rows - 2) as u8,
                column: 1 + below(rng, self.parameters.columns - 2) as u8,
                level: most,
            };
            if !self.is_place_for_food(&food) {
                continue;
            }
            if !self.parameters.cooperative {
                food.level = 1 + below(rng, most.into()) as u8;
            }
            let at = cell(&self.parameters, food.row.into(), food.column.into());
            self.field[at] = food.level;
            self.state.foods.push(food);
        }
        (self.state.foods).sort_unstable_by_key(|food| (food.row, food.column));
    }

    fn lowest_three(&self) -> u8 {
        let players = &self.state.players;
        let ones = players.iter().filter(|player| player.level == 1).count();
        let counted = players.len().min(3);
        (2 * counted - ones.min(counted)) as u8
    }

    fn is_place_for_food(&self, place: &Item) -> bool {
        let taken = |player: &Item| (player.row, player.column) == (place.row, place.column);
        !self.state.players.iter().any(taken)
            && !self.state.foods.iter().any(|food| too_near(food, place))
    }
}

/// Uniform in 0..`end`.
fn below(rng: &mut Stream, end: usize) -> usize {
    (rng.uniform() * end as f64) as usize
}
