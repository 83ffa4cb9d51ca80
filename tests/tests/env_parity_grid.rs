//! Level-based foraging and the warehouse ≈ the Python packages they follow: recordings of those
//! (`tests/recordings/lbf.py` and `rware.py`), played again.

use std::path::Path;

use consort_trainer::env::lbf::{self, Item, LevelBasedForaging};
use consort_trainer::env::rware::{self, Chance, Direction, Robot, Warehouse};
use consort_trainer::env::{Environment, JointAction};
use consort_trainer::rng::Stream;
use serde_json::Value;

/// The recording of `task`, line by line, without the first.
fn recording(task: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("recordings/data/{task}.jsonl"));
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["task"], task);
    lines[1..].to_vec()
}

fn numbers(value: &Value) -> Vec<i64> {
    let list = value.as_array().unwrap();
    list.iter().map(|number| number.as_i64().unwrap()).collect()
}

fn actions(line: &Value) -> Vec<u32> {
    numbers(&line["act"])
        .into_iter()
        .map(|action| action as u32)
        .collect()
}

/// The common reward of a recorded step: the sum of the agents'.
fn reward(line: &Value) -> f64 {
    let rewards = line["reward"].as_array().unwrap();
    rewards.iter().map(|reward| reward.as_f64().unwrap()).sum()
}

/// Numbers of one digit each, base 36; `-` is −1.
fn digits(value: &Value) -> Vec<i16> {
    let digit = |c: char| c.to_digit(36).map_or(-1, |digit| digit as i16);
    value.as_str().unwrap().chars().map(digit).collect()
}

fn items(value: &Value) -> Vec<Item> {
    let item = |part: &[i16]| Item {
        row: part[0] as u8,
        column: part[1] as u8,
        level: part[2] as u8,
    };
    digits(value).chunks_exact(3).map(item).collect()
}

/// Which actions the original calls valid, of every agent.
fn valid(line: &Value) -> Vec<bool> {
    let bits = numbers(&line["may"]);
    let of = |bits: i64| (0..6).map(move |action| bits >> action & 1 == 1);
    bits.into_iter().flat_map(of).collect()
}

/// Plays the recording of `task` and gives (steps, foods loaded). What the original calls valid is the mask
/// of the task of that name that has one, and no other rule of it differs.
fn replay_foraging(task: &str) -> (usize, usize) {
    let parameters = lbf::Parameters::parse(&format!("{task}-masked")).unwrap();
    let mut field = LevelBasedForaging::new(parameters);
    let mut seen = vec![f32::NAN; field.spec().joint_observation()];
    let mut stream = Stream::new(0, "unused", 0);
    let (mut steps, mut loaded) = (0, 0);
    for (number, line) in recording(task).iter().enumerate() {
        if let Some(reset) = line.get("reset") {
            let state = lbf::State {
                players: items(&reset[1]),
                foods: items(&reset[2]),
                spawned: reset[0].as_u64().unwrap() as u32,
                step: 0,
            };
            field = LevelBasedForaging::from_state(parameters, state).unwrap();
            field.observe(&mut seen);
        } else {
            let before = field.current().foods.len();
            let actions = actions(line);
            let transition = field.step(JointAction::Discrete(&actions), &mut stream, &mut seen);
            let off = f64::from(transition.reward) - reward(line);
            assert!(off.abs() < 1e-6, "{task}, entry {number}: reward");
            let done = transition.terminated || transition.truncated;
            assert_eq!(
                u64::from(done),
                line["done"],
                "{task}, entry {number}: done"
            );
            // The original has one word for both ends; food that is gone is the first.
            assert_eq!(
                transition.terminated,
                line["state"][1] == "",
                "{task}, entry {number}"
            );
            steps += 1;
            loaded += before - field.current().foods.len();
            assert_eq!(
                field.current().players,
                items(&line["state"][0]),
                "{task}, entry {number}"
            );
            assert_eq!(
                field.current().foods,
                items(&line["state"][1]),
                "{task}, entry {number}"
            );
        }
        let expected = line["obs"].as_array().unwrap().iter().flat_map(digits);
        let expected: Vec<f32> = expected.map(f32::from).collect();
        assert_eq!(seen, expected, "{task}, entry {number}: observations");
        let mut mask = vec![false; field.spec().joint_actions()];
        field.mask(&mut mask);
        assert_eq!(mask, valid(line), "{task}, entry {number}: valid actions");
    }
    (steps, loaded)
}

#[test]
fn foraging_plays_as_the_original() {
    for (task, least) in [
        ("lbf-8x8-2p-2f-coop", 1_000),
        ("lbf-2s-8x8-2p-2f-coop", 1_000),
        ("lbf-15x15-3p-5f", 1_000),
        ("lbf-15x15-4p-3f", 1_000),
        ("lbf-2s-6x6-6p-2f", 600),
    ] {
        let (steps, loaded) = replay_foraging(task);
        assert!(
            steps >= least && loaded >= 20,
            "{task}: {steps} steps, {loaded} loaded"
        );
    }
}

/// What the original drew within a step.
struct Recorded {
    /// Shelves requested anew, the next one last.
    drawn: Vec<usize>,
    /// Which robots moved.
    moved: Vec<bool>,
    /// Ties, and those of them that went another way than our rule has it.
    ties: usize,
    others: usize,
}

impl Chance for Recorded {
    fn request(&mut self, requested: &[bool], _: usize) -> usize {
        let drawn = self.drawn.pop().expect("a request that the original made");
        assert!(!requested[drawn], "a shelf that was not wanted");
        drawn
    }

    fn queue(&mut self, tied: u32, first: usize) -> usize {
        let moved = |robot: &usize| tied & (1 << robot) != 0 && self.moved[*robot];
        let mut winners = (0..self.moved.len()).filter(moved);
        let winner = winners.next().expect("one of those that tie moves");
        assert_eq!(winners.next(), None, "one alone");
        self.ties += 1;
        self.others += usize::from(winner != first);
        winner
    }
}

fn robots(value: &Value) -> Vec<Robot> {
    let robot = |part: &[i64]| Robot {
        x: part[0] as u8,
        y: part[1] as u8,
        direction: Direction::ALL[part[2] as usize],
        carrying: (part[3] as u16).checked_sub(1),
    };
    numbers(value).chunks_exact(4).map(robot).collect()
}

/// Shelves count from 1 in the original.
fn requests(value: &Value) -> Vec<u16> {
    numbers(value)
        .into_iter()
        .map(|shelf| shelf as u16 - 1)
        .collect()
}

/// One robot's 71 values from x, y and the bits of the others.
fn flattened(observation: &Value) -> Vec<f32> {
    let coordinate = |index: usize| observation[index].as_u64().unwrap() as f32;
    let bits = u128::from_str_radix(observation[2].as_str().unwrap(), 16).unwrap();
    let bit = |place: u32| f32::from((bits >> place & 1) as u8);
    let own = [coordinate(0), coordinate(1)];
    own.into_iter().chain((0..69).rev().map(bit)).collect()
}

/// Plays the recording of `task` and gives (steps, shelves delivered, ties, ties that went another
/// way).
fn replay_warehouse(task: &str) -> (usize, u32, usize, usize) {
    let parameters = rware::Parameters::parse(task).unwrap();
    let mut warehouse = Warehouse::new(parameters);
    let mut seen = vec![f32::NAN; warehouse.spec().joint_observation()];
    let (mut steps, mut total, mut ties, mut others) = (0, 0, 0, 0);
    for (number, line) in recording(task).iter().enumerate() {
        if let Some(reset) = line.get("reset") {
            let shelves = numbers(&reset[1]);
            let state = rware::State {
                robots: robots(&reset[0]),
                shelves: shelves
                    .chunks_exact(2)
                    .map(|at| (at[0] as u8, at[1] as u8))
                    .collect(),
                requests: requests(&reset[2]),
                step: 0,
            };
            assert_eq!(
                state.shelves,
                warehouse_at_home(task),
                "{task}: shelves in their places"
            );
            warehouse = Warehouse::from_state(parameters, state).unwrap();
        } else {
            let after = robots(&line["robots"]);
            let before = warehouse.current().robots.iter();
            let moved = before.zip(&after).map(|(a, b)| (a.x, a.y) != (b.x, b.y));
            let drawn = requests(&line["drawn"]).into_iter().rev();
            let mut recorded = Recorded {
                moved: moved.collect(),
                drawn: drawn.map(usize::from).collect(),
                ties: 0,
                others: 0,
            };
            let delivered = warehouse.advance(&actions(line), &mut recorded);
            assert!(
                recorded.drawn.is_empty(),
                "{task}, entry {number}: requests left over"
            );
            assert_eq!(
                f64::from(delivered),
                reward(line),
                "{task}, entry {number}: reward"
            );
            assert_eq!(warehouse.current().robots, after, "{task}, entry {number}");
            let wanted = requests(&line["requests"]);
            assert_eq!(
                warehouse.current().requests,
                wanted,
                "{task}, entry {number}"
            );
            let done = warehouse.current().step == rware::HORIZON;
            assert_eq!(
                u64::from(done),
                line["done"],
                "{task}, entry {number}: done"
            );
            steps += 1;
            total += delivered;
            ties += recorded.ties;
            others += recorded.others;
        }
        warehouse.observe(&mut seen);
        let observations = line["obs"].as_array().unwrap();
        let expected: Vec<f32> = observations.iter().flat_map(flattened).collect();
        assert_eq!(seen, expected, "{task}, entry {number}: observations");
    }
    (steps, total, ties, others)
}

fn warehouse_at_home(task: &str) -> Vec<(u8, u8)> {
    let fresh = Warehouse::new(rware::Parameters::parse(task).unwrap());
    fresh.current().shelves.clone()
}

#[test]
fn the_warehouse_runs_as_the_original() {
    // Ties, and those in which the hash table of the original's graph decides otherwise than our rule. Two robots
    // that tie are all of the graph, so that nothing is left to it.
    for (task, least, expected) in [
        ("rware-tiny-2ag", 1_000, (2, 0)),
        ("rware-tiny-4ag", 1_000, (16, 1)),
        ("rware-small-4ag", 1_000, (11, 0)),
        ("rware-tiny-12ag", 350, (35, 16)),
    ] {
        let (steps, delivered, ties, others) = replay_warehouse(task);
        assert!(
            steps >= least && delivered >= 20,
            "{task}: {steps} steps, {delivered} delivered"
        );
        assert_eq!((ties, others), expected, "{task}");
    }
}
