//! The floor of a warehouse.

use super::Parameters;

/// Height of a block of shelves.
const BLOCK: usize = 8;

/// What a cell of the floor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Floor {
    /// Off the floor.
    Wall,
    /// Robots drive here; no shelf is put down.
    Highway,
    /// A place for a shelf.
    Storage,
}

/// The floor, with a rim of walls so that nothing looks beyond its arrays.
///
/// Blocks of shelves, two wide and eight high, stand between highways one cell wide. The middle
/// block of the last row makes room for a queue in front of the two goals, which lie in the middle
/// of the southern edge.
pub(super) struct Layout {
    /// Cells from west to east.
    pub(super) width: usize,
    /// Cells from north to south.
    pub(super) height: usize,
    /// `[height + 2, width + 2]`.
    pub(super) floor: Vec<Floor>,
    /// Cells where shelves are delivered, west first.
    pub(super) goals: [usize; 2],
    /// x and y of every place for a shelf, row by row: shelf i begins in place i.
    pub(super) places: Vec<(u8, u8)>,
}

impl Layout {
    pub(super) fn new(parameters: &Parameters) -> Self {
        let (rows, columns) = parameters.size.blocks();
        let (width, height) = (3 * columns + 1, (BLOCK + 1) * rows + 2);
        let (west_goal, east_goal) = (width / 2 - 1, width / 2);
        let is_highway = |x: usize, y: usize| {
            let queue = y + BLOCK + 3 > height && (x == west_goal || x == east_goal);
            x.is_multiple_of(3) || y.is_multiple_of(BLOCK + 1) || y == height - 1 || queue
        };
        let mut layout = Self {
            width,
            height,
            floor: vec![Floor::Wall; (width + 2) * (height + 2)],
            goals: [0; 2],
            places: Vec::new(),
        };
        for y in 0..height {
            for x in 0..width {
                let cell = layout.cell(x as u8, y as u8);
                if is_highway(x, y) {
                    layout.floor[cell] = Floor::Highway;
                } else {
                    layout.floor[cell] = Floor::Storage;
                    layout.places.push((x as u8, y as u8));
                }
            }
        }
        layout.goals = [west_goal, east_goal].map(|x| layout.cell(x as u8, height as u8 - 1));
        layout
    }

    /// The index of the cell at x, y.
    pub(super) fn cell(&self, x: u8, y: u8) -> usize {
        (usize::from(y) + 1) * self.stride() + usize::from(x) + 1
    }

    /// Distance between the indices of a cell and of the one south of it.
    pub(super) fn stride(&self) -> usize {
        self.width + 2
    }
}
