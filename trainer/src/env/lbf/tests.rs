use super::*;
use crate::env::Task;

const NONE: u32 = 0;
const NORTH: u32 = 1;
const SOUTH: u32 = 2;
const WEST: u32 = 3;
const EAST: u32 = 4;

/// What is done to a state.
type Change<'a> = &'a dyn Fn(&mut State);

fn item(row: u8, column: u8, level: u8) -> Item {
    Item { row, column, level }
}

/// An episode of `name` that is in the given state at step 0.
fn at(name: &str, players: &[Item], foods: &[Item]) -> LevelBasedForaging {
    let state = State {
        players: players.to_vec(),
        foods: foods.to_vec(),
        spawned: foods.iter().map(|food| u32::from(food.level)).sum(),
        step: 0,
    };
    LevelBasedForaging::from_state(Parameters::parse(name).unwrap(), state).unwrap()
}

/// Plays `actions`; gives the transition and where the players are.
fn play(environment: &mut LevelBasedForaging, actions: &[u32]) -> (Transition, Vec<(u8, u8)>) {
    let mut observations = vec![f32::NAN; environment.spec.joint_observation()];
    let mut stream = Stream::new(0, "play", 0);
    let action = JointAction::Discrete(actions);
    let transition = environment.step(action, &mut stream, &mut observations);
    assert!(observations.iter().all(|value| value.is_finite()));
    let players = environment.state.players.iter();
    (
        transition,
        players.map(|player| (player.row, player.column)).collect(),
    )
}

#[test]
fn players_collide_swap_and_share_cells_as_in_the_original() {
    let food = [item(6, 6, 1)];
    let name = "lbf-8x8-3p-1f";
    // Two for one cell: neither gets there. The third enters the cell that the first fails to
    // leave, and they share it.
    let mut three = at(name, &[item(2, 2, 1), item(2, 4, 1), item(3, 2, 1)], &food);
    let (_, players) = play(&mut three, &[EAST, WEST, NORTH]);
    assert_eq!(players, [(2, 2), (2, 4), (2, 2)]);
    // From a shared cell both can leave, or one.
    let (_, players) = play(&mut three, &[NONE, NONE, SOUTH]);
    assert_eq!(players, [(2, 2), (2, 4), (3, 2)]);

    // Two swap; a player that stays keeps others out.
    let mut swap = at(name, &[item(2, 2, 1), item(2, 3, 1), item(2, 4, 1)], &food);
    let (_, players) = play(&mut swap, &[EAST, WEST, NONE]);
    assert_eq!(players, [(2, 3), (2, 2), (2, 4)]);
    let (_, players) = play(&mut swap, &[EAST, NONE, LOAD]);
    assert_eq!(players, [(2, 3), (2, 2), (2, 4)]);

    // Walls and food are no way; whoever runs against them still claims its own cell.
    let mut wall = at(name, &[item(0, 0, 1), item(1, 0, 1), item(6, 5, 1)], &food);
    let (_, players) = play(&mut wall, &[WEST, NORTH, EAST]);
    assert_eq!(players, [(0, 0), (1, 0), (6, 5)]);
}

#[test]
fn food_takes_the_levels_of_those_who_load_it_at_once() {
    let foods = [item(2, 2, 3), item(5, 5, 1)];
    let players = [item(2, 1, 1), item(1, 2, 2), item(5, 6, 1)];
    let mut field = at("lbf-8x8-3p-2f", &players, &foods);
    // Level 1, and level 2, alone are too weak for level 3; and loading elsewhere adds nothing.
    for actions in [[LOAD, NONE, NONE], [NONE, LOAD, NONE], [LOAD, SOUTH, NONE]] {
        let (transition, _) = play(&mut field, &actions);
        assert_eq!(transition.reward, 0.0);
        assert_eq!(field.current().foods, foods);
    }
    // 3 of 4 levels, then 1 of 4: the end, with all in all a return of 1.
    let (transition, _) = play(&mut field, &[LOAD, LOAD, NONE]);
    assert_eq!((transition.reward, transition.terminated), (0.75, false));
    assert_eq!(field.current().foods, foods[1..]);
    let (transition, players) = play(&mut field, &[EAST, NONE, LOAD]);
    assert_eq!((transition.reward, transition.terminated), (0.25, true));
    assert!(!transition.truncated);
    // The loaded food's cell is free.
    assert_eq!(players[0], (2, 2));
}

#[test]
fn the_limit_truncates_unless_the_last_food_is_loaded_then() {
    let parameters = Parameters::parse("lbf-8x8-2p-1f").unwrap();
    let last = State {
        players: vec![item(3, 2, 1), item(0, 0, 1)],
        foods: vec![item(3, 3, 1)],
        spawned: 1,
        step: HORIZON - 1,
    };
    let ends = |action| {
        let mut field = LevelBasedForaging::from_state(parameters, last.clone()).unwrap();
        let (transition, _) = play(&mut field, &[action, NONE]);
        (transition.terminated, transition.truncated)
    };
    assert_eq!(ends(NONE), (false, true));
    assert_eq!(ends(LOAD), (true, false));
}

#[test]
fn windows_are_cut_by_walls_and_those_of_players_reach_on() {
    // Player 0 at row 1, column 4, sight 2: its window of foods has rows 0 to 3 and columns 2 to
    // 6, counted from (0, 2); that of players has rows 0 to 4.
    let players = [item(1, 4, 2), item(4, 2, 1), item(5, 4, 1)];
    let foods = [item(3, 6, 3), item(4, 4, 2)];
    let field = at("lbf-2s-8x8-3p-2f", &players, &foods);
    let mut observations = vec![f32::NAN; 3 * 15];
    field.observe(&mut observations);
    let own = [3, 4, 3, -1, -1, 0, 1, 2, 2, 4, 0, 1, -1, -1, 0].map(|value| value as f32);
    assert_eq!(observations[..15], own);

    let mut state = vec![f32::NAN; field.spec.state];
    Environment::state(&field, &mut state);
    let all = [3, 6, 3, 4, 4, 2, 1, 4, 2, 4, 2, 1, 5, 4, 1, 5, 0].map(|value| value as f32);
    assert_eq!(state, all);
}

/// Counts that differ from `expected` by more than five standard deviations of a binomial count.
fn assert_counts(counts: &[u32], expected: &[f64], draws: u32) {
    for (&count, &probability) in counts.iter().zip(expected) {
        let mean = probability * f64::from(draws);
        let limit = 5.0 * (mean * (1.0 - probability)).sqrt();
        let off = (f64::from(count) - mean).abs();
        assert!(off <= limit, "{counts:?}, expected {expected:?} of {draws}");
    }
}

#[test]
fn episodes_begin_as_the_rules_of_spawning_say() {
    let draws = 20_000;
    let mut stream = Stream::new(1, "spawn", 0);
    let mut observations = vec![0.0; 4 * 3 * 7];
    let mut field = LevelBasedForaging::new(Parameters::parse("lbf-6x7-4p-3f").unwrap());
    let (mut places, mut foods, mut levels) = ([0; 42], [0_u32; 42], [0; 2]);
    let mut food_levels = [0; 6];
    for _ in 0..draws {
        field.reset(&mut stream, &mut observations);
        let state = field.current();
        state.check(&field.parameters).unwrap();
        assert_eq!(state.step, 0);
        for (index, player) in state.players.iter().enumerate() {
            let cell = |item: &Item| usize::from(item.row) * 6 + usize::from(item.column);
            let shared = |other: &Item| cell(other) == cell(player);
            assert!(!state.players[..index].iter().any(shared));
            places[cell(player)] += 1;
            levels[usize::from(player.level) - 1] += 1;
        }
        for food in &state.foods {
            foods[usize::from(food.row) * 6 + usize::from(food.column)] += 1;
        }
        // The first food found, whatever its place in the list, has a level of uniform 1 to most;
        // so have all of them.
        let mut own: Vec<u8> = state.players.iter().map(|player| player.level).collect();
        own.sort_unstable();
        let most = own[0] + own[1] + own[2];
        assert!(state.foods.iter().all(|food| food.level <= most));
        if most == 3 {
            for food in &state.foods {
                food_levels[usize::from(food.level) - 1] += 1;
            }
        }
    }
    assert_counts(&places, &[4.0 / 42.0; 42], draws);
    assert_counts(&levels, &[0.5; 2], 4 * draws);
    let seen: u32 = food_levels.iter().sum();
    assert_counts(
        &food_levels,
        &[1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 0.0, 0.0, 0.0],
        seen,
    );
    // Food is everywhere off the rim, symmetrically, and nowhere on it.
    for row in 0..7 {
        for column in 0..6 {
            let on_rim = row % 6 == 0 || column % 5 == 0;
            assert_eq!(foods[row * 6 + column] == 0, on_rim);
            let mirrored = foods[(6 - row) * 6 + 5 - column];
            // The difference of two counts, each of a variance below its mean.
            let limit = 5.0 * f64::from(foods[row * 6 + column] + mirrored).sqrt();
            assert!(f64::from(foods[row * 6 + column].abs_diff(mirrored)) <= limit);
        }
    }
}

#[test]
fn crowded_food_lies_as_often_where_it_does_in_the_original() {
    // Sums over 20,000 starts of lbforaging 2.0.0, as tests/recordings/lbf.py prints them: foods in
    // the corners, edges and centre of the 4 × 4 cells off the rim; starts with 2, 3 and 4 foods;
    // levels of food.
    let recorded = [25_440, 31_116, 9_162, 369, 13_544, 6_087, 180_555].map(f64::from);
    let draws = 20_000;
    let mut field = LevelBasedForaging::new(Parameters::parse("lbf-6x6-3p-4f").unwrap());
    let mut stream = Stream::new(4, "spawn", 0);
    let mut observations = vec![0.0; field.spec.joint_observation()];
    let (mut sums, mut squares) = ([0.0; 7], [0.0; 7]);
    for _ in 0..draws {
        field.reset(&mut stream, &mut observations);
        let mut start = [0.0; 7];
        for food in &field.current().foods {
            let central = [food.row, food.column].map(|at| usize::from((2..=3).contains(&at)));
            start[central[0] + central[1]] += 1.0;
            start[6] += f64::from(food.level);
        }
        start[1 + field.current().foods.len()] = 1.0;
        for ((sum, square), value) in sums.iter_mut().zip(&mut squares).zip(start) {
            *sum += value;
            *square += value * value;
        }
    }
    let draws = f64::from(draws);
    for ((sum, square), recorded) in sums.into_iter().zip(squares).zip(recorded) {
        // Five standard deviations of the difference of two such sums.
        let variance = square / draws - (sum / draws).powi(2);
        let limit = 5.0 * (2.0 * draws * variance).sqrt();
        assert!(
            (sum - recorded).abs() <= limit,
            "{sums:?}, recorded {recorded}"
        );
    }
}

#[test]
fn forced_cooperation_takes_the_three_weakest() {
    let mut stream = Stream::new(2, "spawn", 0);
    for (name, agents) in [("lbf-8x8-2p-2f-coop", 2), ("lbf-12x12-5p-2f-coop", 5)] {
        let mut field = LevelBasedForaging::new(Parameters::parse(name).unwrap());
        let mut observations = vec![0.0; field.spec.joint_observation()];
        for _ in 0..200 {
            field.reset(&mut stream, &mut observations);
            let state = field.current();
            let mut levels: Vec<u8> = state.players.iter().map(|player| player.level).collect();
            levels.sort_unstable();
            let most: u8 = levels[..agents.min(3)].iter().sum();
            assert_eq!(state.foods.len(), 2);
            assert!(state.foods.iter().all(|food| food.level == most));
            assert_eq!(state.spawned, 2 * u32::from(most));
        }
    }
}

#[test]
fn a_field_too_narrow_for_all_food_has_less() {
    // Off the rim of 5 × 5 are 3 × 3 cells, where only opposite corners and knight's moves are far
    // enough apart; no three cells are so pairwise.
    let mut field = LevelBasedForaging::new(Parameters::parse("lbf-5x5-2p-16f").unwrap());
    let mut stream = Stream::new(3, "spawn", 0);
    let mut observations = vec![0.0; field.spec.joint_observation()];
    for _ in 0..20 {
        field.reset(&mut stream, &mut observations);
        assert!((1..=2).contains(&field.current().foods.len()));
    }
}

#[test]
fn states_that_cannot_be_are_refused() {
    let parameters = Parameters::parse("lbf-8x8-2p-2f").unwrap();
    let good = State {
        players: vec![item(0, 0, 1), item(7, 7, 2)],
        foods: vec![item(1, 1, 1), item(3, 4, 2)],
        spawned: 3,
        step: 0,
    };
    let refusal = |change: Change<'_>| {
        let mut state = good.clone();
        change(&mut state);
        LevelBasedForaging::from_state(parameters, state).err()
    };
    assert_eq!(refusal(&|_| ()), None);
    let cases: [(Change<'_>, &str); 8] = [
        (&|s| s.players.truncate(1), "found 1 players, expected 2"),
        (&|s| s.players[1].row = 8, "within 8 rows and 8 columns"),
        (&|s| s.foods[0].row = 0, "off the rim"),
        (&|s| s.foods[1] = item(2, 2, 1), "no food beside it"),
        (&|s| s.foods.swap(0, 1), "row by row"),
        (&|s| s.players[0] = item(3, 4, 1), "a player on it"),
        (&|s| s.spawned = 2, "at least the 3"),
        (&|s| s.step = 51, "at most 50"),
    ];
    for (change, expected) in cases {
        let message = refusal(change).unwrap();
        assert!(message.contains(expected), "{message}");
    }

    let mut field = LevelBasedForaging::from_state(parameters, good.clone()).unwrap();
    let mut bad = good.clone();
    bad.step = 51;
    assert!(field.restore(&postcard::to_stdvec(&bad).unwrap()).is_err());
    assert!(field.restore(&[]).is_err());
    assert_eq!(field.current(), &good);
}

#[test]
fn names_say_what_is_wrong_with_them() {
    let spec = Task::find("lbf-3s-9x7-3p-4f-coop").unwrap().spec();
    assert_eq!((spec.agents.len(), spec.horizon), (3, 50));
    assert_eq!(spec.agents[0], AgentSpec::discrete(21, 6));
    let parameters = Parameters::parse("lbf-3s-9x7-3p-4f-coop").unwrap();
    assert_eq!(
        (parameters.rows, parameters.columns, parameters.sight),
        (7, 9, 3)
    );

    let masked = Parameters::parse("lbf-3s-9x7-3p-4f-coop-masked").unwrap();
    assert_eq!(
        masked,
        Parameters {
            masked: true,
            ..parameters
        }
    );

    for (name, expected) in [
        ("lbf", "expected lbf-["),
        ("lbf-8x8-2p-2f-masked-coop", "expected lbf-["),
        ("lbf-8x8-2p-2f-masked-masked", "expected lbf-["),
        ("lbf-8x8", "expected lbf-["),
        ("lbf-8x8-2p-2g", "expected lbf-["),
        ("lbf-8x8-2p-2f-coop-coop", "expected lbf-["),
        ("lbf-4x8-2p-2f", "width: found `4`, expected 5 to 32"),
        ("lbf-8x08-2p-2f", "height: found `08`"),
        (
            "lbf-8x8-1p-2f",
            "number of players N: found `1`, expected 2 to 9",
        ),
        ("lbf-8x8-2p-0f", "number of foods M: found `0`"),
        ("lbf-7s-8x8-2p-2f", "sight S: found `7`, expected 1 to 6"),
    ] {
        let message = Task::find(name).unwrap_err().to_string();
        assert!(
            message.contains(expected) && message.contains(name),
            "{message}"
        );
    }
}

/// Sight of two cells: both players see the first food, agent 1 alone the second.
#[test]
fn two_have_in_common_what_lies_in_both_views() {
    let name = "lbf-2s-8x8-2p-2f";
    let foods = [item(4, 4, 1), item(5, 2, 2)];
    let shared = |other: Item| {
        let environment = at(name, &[item(2, 2, 1), other], &foods);
        let mut features = vec![f32::NAN; environment.spec.common];
        environment.common_knowledge(&[0, 1], &mut features);
        features
    };
    let place = |row: f32, column: f32, level: f32| [row, column, level];
    // From agent 0's place: the food, no second one, itself, agent 1.
    let expected = [
        place(2.0, 2.0, 1.0),
        place(0.0, 0.0, 0.0),
        place(0.0, 0.0, 1.0),
        place(1.0, 1.0, 2.0),
    ];
    let seen = shared(item(3, 3, 2));
    assert_eq!((seen[0], &seen[1..]), (1.0, expected.as_flattened()));
    // Three cells away they do not see each other: nothing is common, though both see the food.
    assert_eq!(shared(item(5, 4, 2)), [0.0; 13]);
}
