//! What robots see.

use super::layout::Floor;
use super::{Robot, Warehouse};

/// Length of a robot's observation: itself, then the nine cells around and under it.
pub(super) const LENGTH: usize = 8 + 9 * CELL;

/// What a sensor says of one cell: whether a robot is there, its direction one-hot (up, where there
/// is none), whether a shelf is, and whether that is wanted.
const CELL: usize = 7;

/// Every such answer: row 3·d + s for a robot with direction d − 1 (d = 0: none) and no shelf, a
/// shelf, or a wanted one (s).
pub(super) const SENSED: [[f32; CELL]; 15] = {
    let mut answers = [[0.0; CELL]; 15];
    let mut row = 0;
    while row < 15 {
        let (robot, shelf) = (row / 3, row % 3);
        if robot == 0 {
            answers[row][1] = 1.0;
        } else {
            answers[row][0] = 1.0;
            answers[row][robot] = 1.0;
        }
        if shelf > 0 {
            answers[row][5] = 1.0;
        }
        if shelf == 2 {
            answers[row][6] = 1.0;
        }
        row += 1;
    }
    answers
};

impl Warehouse {
    /// Writes every robot's observation, `[N · 71]`: x, y, whether it carries a shelf, its
    /// direction one-hot, whether it is on a highway, and what it senses of the cells around it,
    /// row by row.
    pub fn observe(&self, observations: &mut [f32]) {
        let robots = self.state.robots.iter();
        for (robot, observation) in robots.zip(observations.chunks_exact_mut(LENGTH)) {
            let (own, around) = observation.split_at_mut(8);
            write_robot(robot, &mut own[..7]);
            let here = self.layout.cell(robot.x, robot.y);
            own[7] = f32::from(u8::from(self.layout.floor[here] == Floor::Highway));

            let stride = self.layout.stride();
            for (row, places) in around.chunks_exact_mut(3 * CELL).enumerate() {
                let west = here + row * stride - stride - 1;
                let cells = &self.sensed[west..west + 3];
                for (&cell, place) in cells.iter().zip(places.chunks_exact_mut(CELL)) {
                    place.copy_from_slice(&SENSED[usize::from(cell)]);
                }
            }
        }
    }

    /// Brings up to date what sensors say of `cell`.
    pub(super) fn sense(&mut self, cell: usize) {
        let robot = match self.robots[cell] {
            0 => 0,
            robot => 1 + self.state.robots[usize::from(robot) - 1].direction as u8,
        };
        let shelf = match self.shelves[cell] {
            0 => 0,
            shelf => 1 + u8::from(self.requested[usize::from(shelf) - 1]),
        };
        self.sensed[cell] = 3 * robot + shelf;
    }
}

/// Writes x, y, whether it carries a shelf and its direction one-hot into `place`, `[7]`.
pub(super) fn write_robot(robot: &Robot, place: &mut [f32]) {
    let carries = f32::from(u8::from(robot.carrying.is_some()));
    place.copy_from_slice(&[robot.x.into(), robot.y.into(), carries, 0.0, 0.0, 0.0, 0.0]);
    place[3 + robot.direction as usize] = 1.0;
}
