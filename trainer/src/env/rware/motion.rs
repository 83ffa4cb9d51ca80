//! Which robots get where they want to go.

use super::Chance;

/// No robot.
const NONE: usize = usize::MAX;

/// The robots' wishes in one step, and which of them come true.
///
/// Every robot names the cell it wants to be in, its own if it stays. Robots that want each
/// other's cells in a ring of three or more move on together; two never swap. Of robots that queue
/// up for a free cell, one behind the other, all move; where several queues compete for it, the
/// longest does, and of the others none. Whoever queues behind a robot that stays, stays.
pub(super) struct Motion {
    /// The cell each robot is in, `[N]`.
    pub(super) cells: Vec<usize>,
    /// The cell each robot wants to be in, `[N]`.
    pub(super) targets: Vec<usize>,
    /// Which robots move, `[N]`: the answer.
    pub(super) moves: Vec<bool>,
    /// The robot in the cell that a robot wants, if that is another's.
    ahead: Vec<usize>,
    /// The length of the longest queue that a robot is the head of.
    lengths: Vec<usize>,
}

impl Motion {
    pub(super) fn new(robots: usize) -> Self {
        Self {
            cells: vec![0; robots],
            targets: vec![0; robots],
            moves: vec![false; robots],
            ahead: vec![NONE; robots],
            lengths: vec![1; robots],
        }
    }

    /// Fills `moves`, from `cells`, `targets` and `robots`, the robot of each cell (from 1; 0
    /// where there is none).
    pub(super) fn resolve(&mut self, robots: &[u8], chance: &mut impl Chance) {
        let count = self.cells.len();
        self.lengths.fill(1);
        for robot in 0..count {
            self.moves[robot] = false;
            self.ahead[robot] = match robots[self.targets[robot]] {
                0 => NONE,
                _ if self.stays(robot) => NONE,
                other => usize::from(other) - 1,
            };
        }
        for robot in 0..count {
            self.walk_ahead(robot);
        }
        for robot in 0..count {
            if !self.stays(robot) && robots[self.targets[robot]] == 0 {
                let target = self.targets[robot];
                if !self.targets[..robot].contains(&target) {
                    self.move_longest_queue(target, chance);
                }
            }
        }
    }

    fn stays(&self, robot: usize) -> bool {
        self.targets[robot] == self.cells[robot]
    }

    /// Tells the robots ahead of `robot` how long the queue behind them is at least, and moves it
    /// if it comes back to itself in a ring.
    fn walk_ahead(&mut self, robot: usize) {
        let mut at = robot;
        // A walk that has not come back after N robots goes round a ring ahead.
        for length in 2..=self.cells.len() + 1 {
            at = self.ahead[at];
            if at == NONE || self.stays(at) {
                return;
            }
            if at == robot {
                self.moves[robot] = length > 3;
                return;
            }
            self.lengths[at] = self.lengths[at].max(length);
        }
    }

    /// Moves the longest of the queues for the free cell `target`.
    fn move_longest_queue(&mut self, mut target: usize, chance: &mut impl Chance) {
        loop {
            let (mut longest, mut tied) = (0, 0_u32);
            for robot in 0..self.cells.len() {
                if self.targets[robot] == target && !self.stays(robot) {
                    let length = self.lengths[robot];
                    if length > longest {
                        (longest, tied) = (length, 0);
                    }
                    if length == longest {
                        tied |= 1 << robot;
                    }
                }
            }
            let head = match tied.count_ones() {
                0 => return,
                1 => tied.trailing_zeros() as usize,
                _ => chance.queue(tied, self.first_named(tied)),
            };
            self.moves[head] = true;
            target = self.cells[head];
        }
    }

    /// The robot of the set `tied` whose cell is named first when the robots, in their order, each
    /// name the cell they are in and then the cell they want.
    fn first_named(&self, tied: u32) -> usize {
        let named = |robot: &usize| {
            let wanted = self.targets.iter().position(|&t| t == self.cells[*robot]);
            let wanted = wanted.map_or(usize::MAX, |by| 2 * by + 1);
            wanted.min(2 * robot)
        };
        let robots = (0..self.cells.len()).filter(|robot| tied & (1 << robot) != 0);
        robots.min_by_key(named).expect("a tie is between robots")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Never asked.
    struct Certain;

    impl Chance for Certain {
        fn request(&mut self, _: &[bool], _: usize) -> usize {
            unreachable!("motion requests nothing")
        }
        fn queue(&mut self, tied: u32, _: usize) -> usize {
            panic!("no tie expected: {tied:b}")
        }
    }

    /// Which of the robots with these cells and targets, of ten cells, move.
    fn moves(wishes: &[(usize, usize)], chance: &mut impl Chance) -> Vec<bool> {
        let mut robots = [0; 10];
        let mut motion = Motion::new(wishes.len());
        for (robot, &(cell, target)) in wishes.iter().enumerate() {
            robots[cell] = robot as u8 + 1;
            (motion.cells[robot], motion.targets[robot]) = (cell, target);
        }
        motion.resolve(&robots, chance);
        motion.moves
    }

    #[test]
    fn rings_turn_and_pairs_do_not_swap() {
        assert_eq!(moves(&[(1, 2), (2, 3), (3, 1)], &mut Certain), [true; 3]);
        assert_eq!(moves(&[(1, 2), (2, 1)], &mut Certain), [false; 2]);
        // Those who queue behind a ring, or behind a pair that is stuck, stay.
        let behind = moves(&[(5, 4), (4, 1), (1, 2), (2, 3), (3, 1)], &mut Certain);
        assert_eq!(behind, [false, false, true, true, true]);
        assert_eq!(moves(&[(3, 2), (1, 2), (2, 1)], &mut Certain), [false; 3]);
    }

    #[test]
    fn queues_move_unless_their_head_stays() {
        assert_eq!(moves(&[(1, 2), (2, 3), (3, 4)], &mut Certain), [true; 3]);
        assert_eq!(moves(&[(1, 2), (2, 3), (3, 3)], &mut Certain), [false; 3]);
    }

    #[test]
    fn the_longest_queue_wins_a_cell_and_branches_of_it_lose() {
        // For cell 9: robot 0 alone, robots 1 and 2 in a row. Robot 3 wants robot 1's cell too
        // and is behind it as robot 2 is, with robot 4 behind: 4, 3, 1 is the longest.
        let all = [(1, 9), (2, 9), (3, 2), (4, 2), (5, 4)];
        assert_eq!(moves(&all[..3], &mut Certain), [false, true, true]);
        assert_eq!(moves(&all, &mut Certain), [false, true, false, true, true]);
    }

    #[test]
    fn a_tie_is_the_first_named_cells_unless_chance_says_otherwise() {
        /// Records what it was asked, and lets the last robot win.
        struct Last(Vec<(u32, usize)>);
        impl Chance for Last {
            fn request(&mut self, _: &[bool], _: usize) -> usize {
                unreachable!("motion requests nothing")
            }
            fn queue(&mut self, tied: u32, first: usize) -> usize {
                self.0.push((tied, first));
                31 - tied.leading_zeros() as usize
            }
        }
        let mut last = Last(Vec::new());
        assert_eq!(moves(&[(1, 9), (2, 9)], &mut last), [false, true]);
        // Robot 2's cell is named by robot 0, before robot 1 names its own.
        let queues = [(1, 2), (3, 9), (2, 9), (4, 3)];
        assert_eq!(moves(&queues, &mut last), [true, false, true, false]);
        assert_eq!(last.0, [(0b11, 0), (0b110, 2)]);
    }
}
