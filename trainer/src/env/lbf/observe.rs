//! What players see.

use super::{Item, LevelBasedForaging};

impl LevelBasedForaging {
    /// Writes every player's observation, `[N · 3 (M + N)]`.
    pub fn observe(&self, observations: &mut [f32]) {
        let width = 3 * (self.parameters.foods + self.parameters.players);
        for (player, observation) in observations.chunks_exact_mut(width).enumerate() {
            self.observe_from(player, observation);
        }
    }

    /// What `player` sees: foods, itself, then the others, each as row, column, level; rows and
    /// columns count from the first ones in sight, and −1, −1, 0 fills the places of the unseen.
    ///
    /// The window of foods reaches `sight` cells in each direction. As in the original, that of
    /// players is always 2·`sight` + 1 cells, so where a wall cuts it on the north or west, it
    /// reaches further south or east.
    fn observe_from(&self, player: usize, observation: &mut [f32]) {
        let (foods, players) = observation.split_at_mut(3 * self.parameters.foods);
        let sight = self.parameters.sight;
        let own = self.state.players[player];
        let (north, west) = (
            own.row.saturating_sub(sight),
            own.column.saturating_sub(sight),
        );

        let mut places = foods.chunks_exact_mut(3);
        for &food in &self.state.foods {
            if food.row.abs_diff(own.row) <= sight
                && food.column.abs_diff(own.column) <= sight
                && let Some(place) = places.next()
            {
                food.write(north, west, place);
            }
        }
        places.for_each(unseen);

        let mut places = players.chunks_exact_mut(3);
        if let Some(place) = places.next() {
            own.write(north, west, place);
        }
        let within = |at: u8, first: u8| at >= first && at - first <= sight.saturating_mul(2);
        for (index, &other) in self.state.players.iter().enumerate() {
            if index != player
                && within(other.row, north)
                && within(other.column, west)
                && let Some(place) = places.next()
            {
                other.write(north, west, place);
            }
        }
        places.for_each(unseen);
    }
}

impl LevelBasedForaging {
    /// Writes what `group` has in common. `sight` cells in each direction count, for players too: how
    /// much further another one's window reaches at a wall is not seen from inside one's own.
    pub(super) fn share(&self, group: &[usize], features: &mut [f32]) {
        features.fill(0.0);
        let players = &self.state.players;
        let near = |one: &Item, other: &Item| {
            let sight = self.parameters.sight;
            one.row.abs_diff(other.row) <= sight && one.column.abs_diff(other.column) <= sight
        };
        let seen_by_all = |item: &Item| group.iter().all(|&agent| near(&players[agent], item));
        if !group.iter().all(|&agent| seen_by_all(&players[agent])) {
            return;
        }
        let (mutual, places) = features.split_at_mut(1);
        mutual[0] = 1.0;
        let first = players[group[0]];
        let items = self.state.foods.iter().filter(|food| seen_by_all(food));
        let mut write = |item: &Item, place: usize| {
            let place = &mut places[3 * place..][..3];
            place[0] = f32::from(item.row) - f32::from(first.row);
            place[1] = f32::from(item.column) - f32::from(first.column);
            place[2] = f32::from(item.level);
        };
        for (place, food) in items.enumerate() {
            write(food, place);
        }
        let others = players.iter().enumerate();
        for (player, item) in others.filter(|(_, item)| seen_by_all(item)) {
            write(item, self.parameters.foods + player);
        }
    }
}

/// What stands for an item that is not seen.
pub(super) fn unseen(place: &mut [f32]) {
    place.copy_from_slice(&[-1.0, -1.0, 0.0]);
}
