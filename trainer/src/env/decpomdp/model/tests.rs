use super::*;

/// One agent that stays or swaps two rooms, and hears which one it is in, mostly.
fn rooms(values: Values, rewards: Rewards) -> Result<DecPomdp, ModelError> {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let spaces = Spaces::new(Names {
        agents: names(&["walker"]),
        states: names(&["left", "right"]),
        actions: vec![names(&["stay", "swap"])],
        observations: vec![names(&["hum", "hiss"])],
    })?;
    let tables = Tables {
        start: vec![1.0, 0.0],
        transitions: vec![1.0, 0.0, 0.0, 1.0, 0.25, 0.75, 0.75, 0.25],
        observations: [0.9, 0.1, 0.2, 0.8].repeat(2),
        rewards,
    };
    DecPomdp::new(spaces, 0.9, values, tables)
}

#[test]
fn rewards_are_averaged_over_what_they_depend_on() {
    let by_state = rooms(Values::Reward, Rewards::State(vec![1.0, 2.0, 3.0, 4.0])).unwrap();
    assert_eq!(by_state.expected_reward(1, 0), 2.0);
    assert_eq!(by_state.expected_reward(0, 1), 3.0);
    assert_eq!(by_state.reward(0, 1, 1, 1), 3.0);
    assert_eq!(by_state.reward_range(), (1.0, 4.0));

    let table = (0..8).map(f64::from).collect();
    let by_successor = rooms(Values::Reward, Rewards::Successor(table)).unwrap();
    // Swap in the left room: .25·R(left) + .75·R(right), entries 4 and 5.
    assert_eq!(by_successor.expected_reward(0, 1), 4.75);
    assert_eq!(by_successor.reward(0, 1, 1, 0), 5.0);

    let table = (0..16).map(f64::from).collect();
    let by_seen = rooms(Values::Cost, Rewards::Observation(table)).unwrap();
    // The same with entries 8 to 11: .25 (.9·8 + .1·9) + .75 (.2·10 + .8·11), as a cost.
    let expected = -(0.25 * 8.1 + 0.75 * 10.8);
    assert!((by_seen.expected_reward(0, 1) - expected).abs() < 1e-12);
    assert_eq!(by_seen.reward(0, 1, 1, 0), -10.0);
}

#[test]
fn rows_keep_only_what_can_happen() {
    let model = rooms(Values::Reward, Rewards::State(vec![0.0; 4])).unwrap();
    let stay = model.transition(1, 0);
    assert_eq!((stay.outcomes, stay.probabilities), (&[1][..], &[1.0][..]));
    let seen: Vec<_> = model.observation(1, 1).iter().collect();
    assert_eq!(seen, [(0, 0.2), (1, 0.8)]);
}

#[test]
fn what_is_no_model_says_why() {
    let message = |rewards| rooms(Values::Reward, rewards).unwrap_err().to_string();
    let short = message(Rewards::State(vec![0.0; 3]));
    assert_eq!(short, "R: found 3 entries, expected 4");
    let huge = message(Rewards::State(vec![0.0, f64::NAN, 0.0, 0.0]));
    assert!(
        huge.contains("found NaN, expected a finite number"),
        "{huge}"
    );

    let model = rooms(Values::Reward, Rewards::State(vec![0.0; 4])).unwrap();
    let spaces = model.spaces().clone();
    let tables = |transitions: Vec<f64>| Tables {
        start: vec![0.5, 0.5],
        transitions,
        observations: [0.9, 0.1, 0.2, 0.8].repeat(2),
        rewards: Rewards::State(vec![0.0; 4]),
    };
    let make =
        |transitions| DecPomdp::new(spaces.clone(), 1.0, Values::Reward, tables(transitions));
    let error = make(vec![1.0, 0.0, 0.0, 1.0, 0.25, 0.75, 0.75, 0.2]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "T: swap : right: found probabilities that sum to 0.950000, expected a sum of 1 \
         (within 1e-4)"
    );
    let error = make(vec![1.0, 0.0, 0.0, 1.0, 1.25, -0.25, 0.75, 0.25]).unwrap_err();
    assert!(error.to_string().starts_with("T: swap : left: found -0.25"));
    // A third in four digits: normalised.
    let model = make(vec![1.0, 0.0, 0.0, 1.0, 0.3333, 0.6667, 0.3333, 0.6666]).unwrap();
    let row = model.transition(1, 1);
    assert!((row.probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-15);

    let mut large = spaces.names.clone();
    large.states = (0..4097).map(|state| state.to_string()).collect();
    let error = Spaces::new(large.clone()).unwrap_err().to_string();
    assert_eq!(error, "states: found 4097, expected 1 to 4096");
    large.states.truncate(4096);
    let error = Spaces::new(large).unwrap_err().to_string();
    assert!(error.starts_with("T: found about 3.4e7 entries"), "{error}");
}
