//! Meeting on a 2 × 2 grid.

use crate::env::decpomdp::DecPomdp;
use crate::env::decpomdp::model::{Names, Rewards, Spaces, Tables, Values};

/// Cells are counted row by row from the top left: column = cell mod 2, row = cell div 2.
const CELLS: usize = 4;
const MOVES: [&str; 5] = ["up", "down", "left", "right", "stay"];
const STAY: usize = 4;
/// A robot goes where it wants to with this probability …
const INTENDED: f64 = 0.6;
/// … and with this one for each of the four other moves, standing still among them. Who wants to
/// stand still does.
const SLIP: f64 = 0.1;

/// State: (cell of robot 0, cell of robot 1), robot 0 slowest. They start in opposite corners, top
/// right and bottom left. Each sees only whether the wall is to its left or to its right, that is
/// its column. They earn 1 for every step at whose end they share a cell.
pub(super) fn model() -> DecPomdp {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let pairs = || (0..CELLS * CELLS).map(|state| (state / CELLS, state % CELLS));
    let names = Names {
        agents: own(&["0", "1"]),
        states: pairs().map(|(a, b)| format!("{a}-{b}")).collect(),
        actions: vec![own(&MOVES); 2],
        observations: vec![own(&["wall-left", "wall-right"]); 2],
    };
    let (mut transitions, mut observations, mut rewards) = (Vec::new(), Vec::new(), Vec::new());
    for action in 0..MOVES.len() * MOVES.len() {
        let (move_a, move_b) = (action / MOVES.len(), action % MOVES.len());
        for (a, b) in pairs() {
            let (to_a, to_b) = (arrivals(a, move_a), arrivals(b, move_b));
            transitions.extend(pairs().map(|(c, d)| to_a[c] * to_b[d]));
            rewards.extend(pairs().map(|(c, d)| f64::from(c == d)));
            let columns = (a % 2) * 2 + b % 2;
            observations.extend((0..4).map(|seen| f64::from(seen == columns)));
        }
    }
    let tables = Tables {
        start: pairs().map(|cells| f64::from(cells == (1, 2))).collect(),
        transitions,
        observations,
        rewards: Rewards::Successor(rewards),
    };
    let spaces = Spaces::new(names).expect("a small model");
    DecPomdp::new(spaces, 0.9, Values::Reward, tables).expect("rows that sum to 1")
}

/// P(cell after) of one robot.
fn arrivals(cell: usize, wanted: usize) -> [f64; CELLS] {
    let mut p = [0.0; CELLS];
    if wanted == STAY {
        p[cell] = 1.0;
        return p;
    }
    for step in 0..MOVES.len() {
        p[arrival(cell, step)] += if step == wanted { INTENDED } else { SLIP };
    }
    p
}

/// Where a move leads: against a wall, nowhere.
fn arrival(cell: usize, step: usize) -> usize {
    let (row, column) = (cell / 2, cell % 2);
    match step {
        0 => column,
        1 => 2 + column,
        2 => row * 2,
        3 => row * 2 + 1,
        _ => cell,
    }
}
