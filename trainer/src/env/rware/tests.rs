use super::*;
use crate::env::Task;

const NONE: u32 = 0;

/// What is done to a state.
type Change<'a> = &'a dyn Fn(&mut State);

fn warehouse(name: &str) -> Warehouse {
    Warehouse::new(Parameters::parse(name).unwrap())
}

fn robot(x: u8, y: u8, direction: Direction, carrying: Option<u16>) -> Robot {
    Robot {
        x,
        y,
        direction,
        carrying,
    }
}

/// `rware-tiny-2ag` with shelves in their places but for those that these robots carry, and shelves
/// 0 and 1 wanted.
fn tiny(robots: [Robot; 2]) -> Warehouse {
    let parameters = Parameters::parse("rware-tiny-2ag").unwrap();
    let mut state = Warehouse::new(parameters).state;
    for robot in robots {
        if let Some(shelf) = robot.carrying {
            state.shelves[usize::from(shelf)] = (robot.x, robot.y);
        }
    }
    state.robots = robots.to_vec();
    Warehouse::from_state(parameters, state).unwrap()
}

/// Requests the first free shelf of those from `0` on; never asked about queues.
struct From(usize);

impl Chance for From {
    fn request(&mut self, requested: &[bool], free: usize) -> usize {
        assert_eq!(
            requested.iter().filter(|&&requested| !requested).count(),
            free
        );
        let chosen = (self.0..requested.len()).find(|&shelf| !requested[shelf]);
        chosen.unwrap()
    }
    fn queue(&mut self, tied: u32, _: usize) -> usize {
        panic!("no tie expected: {tied:b}")
    }
}

/// What `advance` gives, and where the robots are.
fn play(warehouse: &mut Warehouse, actions: &[u32]) -> (u32, Vec<(u8, u8)>) {
    let delivered = warehouse.advance(actions, &mut From(5));
    let state = &warehouse.state;
    state
        .check(&warehouse.parameters, &warehouse.layout)
        .unwrap();
    // The grids are kept as they would be laid out anew.
    let fresh = Warehouse::from_state(warehouse.parameters, state.clone()).unwrap();
    assert_eq!(warehouse.robots, fresh.robots);
    assert_eq!(warehouse.shelves, fresh.shelves);
    assert_eq!(warehouse.sensed, fresh.sensed);
    assert_eq!(warehouse.requested, fresh.requested);
    let robots = state.robots.iter();
    (delivered, robots.map(|robot| (robot.x, robot.y)).collect())
}

#[test]
fn floors_have_their_shelves_and_goals() {
    // Blocks of 2 × 8, without the middle one of the last row: 16 (rows · columns − 1).
    for (name, width, height, shelves) in [
        ("rware-tiny-2ag", 10, 11, 32),
        ("rware-small-2ag", 10, 20, 80),
        ("rware-medium-2ag", 16, 20, 144),
        ("rware-large-2ag", 16, 29, 224),
    ] {
        let layout = warehouse(name).layout;
        assert_eq!((layout.width, layout.height), (width, height));
        assert_eq!(layout.places.len(), shelves);
        let goals = [width / 2 - 1, width / 2].map(|x| layout.cell(x as u8, height as u8 - 1));
        assert_eq!(layout.goals, goals);
        assert!(
            goals
                .iter()
                .all(|&goal| layout.floor[goal] == Floor::Highway)
        );
    }
    assert_eq!(
        warehouse("rware-tiny-2ag").layout.places[..4],
        [(1, 1), (2, 1), (7, 1), (8, 1)]
    );
}

#[test]
fn robots_turn_drive_and_stop_at_walls() {
    let mut pair = tiny([
        robot(0, 0, Direction::Up, None),
        robot(5, 5, Direction::Up, None),
    ]);
    let (_, robots) = play(&mut pair, &[FORWARD, FORWARD]);
    assert_eq!(robots, [(0, 0), (5, 4)]);
    let faces = |warehouse: &Warehouse| warehouse.state.robots[0].direction;
    for (turn, directions) in [
        (
            LEFT,
            [
                Direction::Left,
                Direction::Down,
                Direction::Right,
                Direction::Up,
            ],
        ),
        (
            RIGHT,
            [
                Direction::Right,
                Direction::Down,
                Direction::Left,
                Direction::Up,
            ],
        ),
    ] {
        for direction in directions {
            play(&mut pair, &[turn, NONE]);
            assert_eq!(faces(&pair), direction);
        }
    }
}

#[test]
fn a_shelf_is_carried_around_others_and_put_down_off_the_highways() {
    // Under shelf 1, at (2, 1); shelf 5 is south of it, at (2, 2); (3, 1) is a highway.
    let mut pair = tiny([
        robot(2, 1, Direction::Down, None),
        robot(9, 9, Direction::Up, None),
    ]);
    play(&mut pair, &[TOGGLE, TOGGLE]);
    let carrying =
        |warehouse: &Warehouse| [0, 1].map(|index: usize| warehouse.state.robots[index].carrying);
    assert_eq!(carrying(&pair), [Some(1), None]);
    let (_, robots) = play(&mut pair, &[FORWARD, NONE]);
    assert_eq!(robots[0], (2, 1), "a standing shelf is in the way");
    play(&mut pair, &[LEFT, NONE]);
    let (_, robots) = play(&mut pair, &[FORWARD, NONE]);
    assert_eq!((robots[0], pair.state.shelves[1]), ((3, 1), (3, 1)));
    play(&mut pair, &[TOGGLE, NONE]);
    assert_eq!(carrying(&pair)[0], Some(1), "no shelf stays on a highway");
    for turn in [LEFT, LEFT, FORWARD, TOGGLE] {
        play(&mut pair, &[turn, NONE]);
    }
    assert_eq!((carrying(&pair)[0], pair.state.shelves[1]), (None, (2, 1)));
    // Unloaded, it drives under the shelves.
    let (_, robots) = play(&mut pair, &[FORWARD, NONE]);
    assert_eq!(robots[0], (1, 1));
}

#[test]
fn a_loaded_robot_may_follow_another_loaded_one_but_not_enter_a_standing_shelf() {
    // Both on the highway of column 3, loaded, facing south, one behind the other.
    let mut both = tiny([
        robot(3, 4, Direction::Down, Some(0)),
        robot(3, 5, Direction::Down, Some(1)),
    ]);
    let (_, robots) = play(&mut both, &[FORWARD, FORWARD]);
    assert_eq!(robots, [(3, 5), (3, 6)]);
    let (_, robots) = play(&mut both, &[FORWARD, NONE]);
    assert_eq!(robots, [(3, 5), (3, 6)]);
    // An unloaded robot under a shelf leaves the shelf behind: it stands.
    let mut under = tiny([
        robot(3, 2, Direction::Left, Some(0)),
        robot(2, 2, Direction::Left, None),
    ]);
    let (_, robots) = play(&mut under, &[FORWARD, FORWARD]);
    assert_eq!(robots, [(3, 2), (1, 2)]);
}

#[test]
fn a_wanted_shelf_at_a_goal_pays_once_and_another_is_wanted() {
    // The goals are (4, 10) and (5, 10). Shelves 0 and 1 are wanted, 2 is not.
    let mut pair = tiny([
        robot(4, 9, Direction::Down, Some(1)),
        robot(5, 9, Direction::Down, Some(2)),
    ]);
    let (delivered, _) = play(&mut pair, &[FORWARD, FORWARD]);
    assert_eq!((delivered, &pair.state.requests[..]), (1, &[0, 5][..]));
    let (delivered, _) = play(&mut pair, &[NONE, NONE]);
    assert_eq!(delivered, 0);

    // Two at once pay two. The first draw can want the shelf at the second goal, and it counts.
    let both = [
        robot(4, 9, Direction::Down, Some(1)),
        robot(5, 9, Direction::Down, Some(0)),
    ];
    let mut pair = tiny(both);
    let (delivered, _) = play(&mut pair, &[FORWARD, FORWARD]);
    assert_eq!((delivered, &pair.state.requests[..]), (2, &[6, 5][..]));
    let mut pair = tiny([both[0], robot(5, 9, Direction::Down, Some(5))]);
    let (delivered, _) = play(&mut pair, &[FORWARD, FORWARD]);
    assert_eq!((delivered, &pair.state.requests[..]), (2, &[0, 6][..]));
}

#[test]
fn observations_show_the_robot_and_the_cells_around_it() {
    // Robot 0 at the north-west corner faces down; east of it is robot 1, facing left; shelf 0, at
    // (1, 1), is wanted.
    let pair = tiny([
        robot(0, 0, Direction::Down, None),
        robot(1, 0, Direction::Left, None),
    ]);
    let mut observations = vec![f32::NAN; 2 * 71];
    pair.observe(&mut observations);
    let own = [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0];
    let nothing = [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let mut cells = [nothing; 9];
    cells[4] = [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0];
    cells[5] = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0];
    cells[8] = [0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0];
    assert_eq!(observations[..8], own);
    assert_eq!(observations[8..71], *cells.as_flattened());

    let mut state = vec![f32::NAN; pair.spec.state];
    Environment::state(&pair, &mut state);
    assert_eq!(state.len(), 2 * 7 + 32 * 3 + 1);
    assert_eq!(state[7..14], [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    assert_eq!(state[14..23], [1.0, 1.0, 1.0, 2.0, 1.0, 1.0, 7.0, 1.0, 0.0]);
    assert_eq!(state[state.len() - 1], 0.0);
}

#[test]
fn episodes_begin_anywhere_and_are_cut_off() {
    let mut warehouse = warehouse("rware-tiny-4ag-hard");
    let mut stream = Stream::new(1, "spawn", 0);
    let mut observations = vec![0.0; 4 * 71];
    let (mut cells, mut directions, mut requests) = ([0; 110], [0; 4], [0; 32]);
    let draws = 10_000;
    for _ in 0..draws {
        warehouse.reset(&mut stream, &mut observations);
        let state = &warehouse.state;
        state
            .check(&warehouse.parameters, &warehouse.layout)
            .unwrap();
        assert_eq!((state.step, &state.shelves), (0, &warehouse.layout.places));
        for robot in &state.robots {
            cells[usize::from(robot.y) * 10 + usize::from(robot.x)] += 1;
            directions[robot.direction as usize] += 1;
            assert_eq!(robot.carrying, None);
        }
        for &request in &state.requests {
            requests[usize::from(request)] += 1;
        }
    }
    // 4 of 110 cells, a quarter of 4 robots, 2 of 32 shelves an episode; five standard deviations
    // of a binomial count.
    let even = |counts: &[i32], probability: f64, draws: f64| {
        let limit = 5.0 * (draws * probability * (1.0 - probability)).sqrt();
        let off = |&count: &i32| (f64::from(count) - draws * probability).abs();
        assert!(counts.iter().all(|count| off(count) <= limit), "{counts:?}");
    };
    even(&cells, 4.0 / 110.0, draws.into());
    even(&directions, 0.25, 4.0 * f64::from(draws));
    even(&requests, 2.0 / 32.0, draws.into());

    for step in 1..=HORIZON {
        let still = JointAction::Discrete(&[NONE; 4]);
        let transition = warehouse.step(still, &mut stream, &mut observations);
        let ends = (transition.terminated, transition.truncated);
        assert_eq!(ends, (false, step == HORIZON));
    }
}

#[test]
fn requests_are_uniform_among_the_shelves_that_are_not_wanted() {
    let mut stream = Stream::new(2, "requests", 0);
    let requested = [true, false, false, true, false];
    let mut counts = [0_i32; 5];
    for _ in 0..9_000 {
        counts[stream.request(&requested, 3)] += 1;
    }
    assert_eq!((counts[0], counts[3]), (0, 0));
    // √(9000 · 1/3 · 2/3) = 45; five of them.
    assert!(
        [1, 2, 4]
            .iter()
            .all(|&shelf| (counts[shelf] - 3_000).abs() < 225),
        "{counts:?}"
    );
}

#[test]
fn states_that_cannot_be_are_refused() {
    let parameters = Parameters::parse("rware-tiny-2ag").unwrap();
    let good = Warehouse::new(parameters).state;
    let refusal = |change: Change<'_>| {
        let mut state = good.clone();
        change(&mut state);
        Warehouse::from_state(parameters, state).err()
    };
    assert_eq!(refusal(&|_| ()), None);
    let cases: [(Change<'_>, &str); 9] = [
        (&|s| s.robots.truncate(1), "found 1 robots, expected 2"),
        (&|s| s.robots[1].x = 10, "robot 1"),
        (&|s| s.robots[1] = s.robots[0], "another in its cell"),
        (&|s| s.robots[1].carrying = Some(3), "shelf 3 to be with it"),
        (
            &|s| s.robots[1].carrying = Some(99),
            "shelf 99 to be with it",
        ),
        (&|s| s.shelves[4] = s.shelves[5], "shelf 5"),
        (&|s| s.shelves[4] = (0, 0), "off the highways"),
        (&|s| s.requests[1] = s.requests[0], "request 1"),
        (&|s| s.step = 501, "at most 500"),
    ];
    for (change, expected) in cases {
        let message = refusal(change).unwrap();
        assert!(message.contains(expected), "{message}");
    }
    let mut warehouse = Warehouse::new(parameters);
    let mut bad = good.clone();
    bad.requests[0] = 32;
    assert!(
        warehouse
            .restore(&postcard::to_stdvec(&bad).unwrap())
            .is_err()
    );
    assert!(warehouse.restore(&[]).is_err());
    assert_eq!(warehouse.state, good);
}

#[test]
fn names_say_what_is_wrong_with_them() {
    let spec = Task::find("rware-medium-19ag-hard").unwrap().spec();
    assert_eq!((spec.agents.len(), spec.horizon), (19, 500));
    assert_eq!(spec.agents[0], AgentSpec::discrete(71, 5));
    let requests = |name| Parameters::parse(name).unwrap().requests;
    assert_eq!(requests("rware-tiny-5ag"), 5);
    assert_eq!(requests("rware-tiny-5ag-easy"), 10);
    assert_eq!(requests("rware-tiny-5ag-hard"), 2);
    for (name, expected) in [
        ("rware", "expected rware-<"),
        ("rware-tiny", "expected rware-<"),
        ("rware-tiny-4ag-easy-hard", "expected rware-<"),
        ("rware-tiny-4", "expected rware-<"),
        ("rware-huge-4ag", "size: found `huge`"),
        (
            "rware-tiny-20ag",
            "number of robots N: found `20`, expected 1 to 19",
        ),
        ("rware-tiny-+2ag", "found `+2`"),
        ("rware-tiny-4ag-soft", "difficulty: found `soft`"),
        (
            "rware-tiny-1ag-hard",
            "found 0 requests at a time, expected 1 to 31",
        ),
        ("rware-tiny-16ag-easy", "found 32 requests at a time"),
    ] {
        let message = Task::find(name).unwrap_err().to_string();
        assert!(
            message.contains(expected) && message.contains(name),
            "{message}"
        );
    }
}
