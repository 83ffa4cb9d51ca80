//! Where everything is when an episode begins.

use super::{Chance, Direction, Warehouse};
use crate::rng::Stream;

impl Warehouse {
    /// Begins an episode: shelves in their places, robots in different cells anywhere, facing
    /// anywhere, requests all different; each uniform.
    pub(super) fn spawn(&mut self, rng: &mut Stream) {
        self.state.shelves.copy_from_slice(&self.layout.places);
        self.state.step = 0;
        self.robots.fill(0);
        for robot in &mut self.state.robots {
            // At most 19 robots on at least 110 cells: a free one is soon found.
            (robot.x, robot.y) = loop {
                let x = (rng.uniform() * self.layout.width as f64) as u8;
                let y = (rng.uniform() * self.layout.height as f64) as u8;
                let cell = self.layout.cell(x, y);
                if std::mem::replace(&mut self.robots[cell], 1) == 0 {
                    break (x, y);
                }
            };
            robot.direction = Direction::ALL[(rng.uniform() * 4.0) as usize];
            robot.carrying = None;
        }
        self.requested.fill(false);
        for (index, request) in self.state.requests.iter_mut().enumerate() {
            let shelf = rng.request(&self.requested, self.requested.len() - index);
            self.requested[shelf] = true;
            *request = shelf as u16;
        }
        self.lay_out();
    }

    /// Fills the grids, which follow from the state.
    pub(super) fn lay_out(&mut self) {
        self.robots.fill(0);
        self.shelves.fill(0);
        self.requested.fill(false);
        for (index, robot) in self.state.robots.iter().enumerate() {
            self.robots[self.layout.cell(robot.x, robot.y)] = index as u8 + 1;
        }
        for (index, &(x, y)) in self.state.shelves.iter().enumerate() {
            self.shelves[self.layout.cell(x, y)] = index as u16 + 1;
        }
        for &request in &self.state.requests {
            self.requested[usize::from(request)] = true;
        }
        for cell in 0..self.sensed.len() {
            self.sense(cell);
        }
    }
}
