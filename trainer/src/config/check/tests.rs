use super::*;
use crate::returns::Earned;
use crate::schedule::{Anneal, AnnealSchedule};

/// The configuration of a task with settings, or what is wrong with it.
fn resolve(task: &str, settings: &[&str]) -> Result<(Config, Task), String> {
    let mut layers = crate::config::Layers::new();
    layers.task(task).unwrap();
    for setting in settings {
        layers.assignment(setting).unwrap();
    }
    layers.resolve().map_err(|error| error.to_string())
}

/// The last update of the shortest run that passes acts with the pure product, even when the
/// gate opens as late as it can.
#[test]
fn every_accepted_ramp_ends_before_the_run() {
    for (warmup_limit, ramp) in [
        (0.3_f64, 0.6),
        (0.35, 0.6),
        (0.0, 0.95),
        (0.9, 0.05),
        (0.2, 0.1),
    ] {
        let mut config = Config::default();
        let schedule = &mut config.annealed.schedule;
        schedule.warmup = warmup_limit.min(schedule.warmup);
        (schedule.warmup_limit, schedule.ramp) = (warmup_limit, ramp);
        check_annealed("annealed", &config.annealed).unwrap();
        let updates = updates_of_a_ramp(&config);
        let led = AnnealSchedule {
            beta_start: 0.5,
            full_lead: 0.1,
            unled_ramp: 0.3 * ramp,
            ..config.annealed.schedule.clone()
        };
        for (schedule, leads) in [
            (&config.annealed.schedule, [0.0, 0.0]),
            (&led, [0.2, 0.2]),
            (&led, [1.0, -1.0]),
        ] {
            let mut anneal = Anneal::new(schedule);
            let mut used = anneal.coefficients(0.0);
            let mut next = used;
            for update in 0..updates {
                used = next;
                let time = update as f64 / updates as f64;
                // A return that never rests.
                let earned = Earned {
                    fresh: true,
                    mean: 100.0 * time,
                    range: 1.0,
                    ..Earned::default()
                };
                anneal.observe(time, earned, 0.0, leads[update as usize % 2]);
                next = anneal.coefficients(time);
            }
            assert_eq!(used.beta, 1.0, "{schedule:?}, {leads:?}, {updates} updates");
        }
    }
}

/// What the refusal asks for is enough, and one step less is not.
#[test]
fn the_steps_that_are_asked_for_are_the_least_that_suffice() {
    for (task, arms) in [
        ("assurance", 20),
        ("dec-tiger-h4", 2),
        ("dec-tiger-h4", 1),
        ("lbf-8x8-2p-2f-coop", 2),
    ] {
        let task = Task::find(task).unwrap();
        let mut config = Config::for_kind(task.kind());
        let factored = ArmName::ExploreStrong;
        config.portfolio.arms.resize(arms, factored);
        config.steps = 1;
        let mut check = |steps| {
            config.steps = steps;
            check_steps(&config, &task).map_err(|error| error.to_string())
        };
        let message = check(1).unwrap_err();
        let least = message.split("at least ").nth(1).unwrap();
        let least: u64 = least.split(':').next().unwrap().parse().unwrap();
        assert_eq!(check(least), Ok(()), "{message}");
        assert!(check(least - 1).is_err(), "{message}");
    }
}

#[test]
fn spreads_that_drown_everything_else_are_refused() {
    for (spread, passes) in [
        (0.0, true),
        (100.0, true),
        (-1.0, false),
        (101.0, false),
        (f64::NAN, false),
    ] {
        for at in ["hidden_spread", "output_spread"] {
            let mut config = Config::default();
            let network = &mut config.network;
            match at {
                "hidden_spread" => network.hidden_spread = spread,
                _ => network.output_spread = spread,
            }
            let checked = check_network(&config).map_err(|error| error.to_string());
            assert_eq!(checked.is_ok(), passes, "{at} {spread}: {checked:?}");
            if let Err(message) = checked {
                assert!(message.contains(&format!("network.{at}")), "{message}");
            }
        }
    }
}

#[test]
fn entropy_that_must_be_left_is_a_share() {
    for (share, per_entropy, floor, named) in [
        (0.2, 0.2, 0.02, None),
        (1.1, 0.2, 0.02, Some("least_entropy")),
        (f64::NAN, 0.2, 0.02, Some("least_entropy")),
        (0.2, -0.1, 0.02, Some("temperature_per_entropy")),
        // Above the limit, .15, where that leaves no room, and where none is needed.
        (0.2, 0.2, 0.2, Some("temperature_limit")),
        (0.0, 0.2, 0.2, None),
        (0.2, 0.0, 0.2, None),
    ] {
        let mut config = Config::default();
        let schedule = &mut config.annealed.schedule;
        schedule.least_entropy = share;
        schedule.temperature_per_entropy = per_entropy;
        schedule.temperature_floor = floor;
        let checked = check_annealed("annealed", &config.annealed);
        match (checked.map_err(|error| error.to_string()), named) {
            (Ok(()), None) => (),
            (Err(message), Some(key)) => assert!(message.contains(key), "{message}"),
            (checked, named) => panic!("{checked:?}, expected {named:?}"),
        }
    }
}

#[test]
fn a_mask_over_products_is_refused() {
    use crate::env::Factors;
    use crate::team::episodes::task;

    let product = ActionSpace::Product(Factors::new(&[3, 1]).unwrap());
    let config = Config {
        task: "recall".to_owned(),
        ..Config::for_kind(task(product, false).kind())
    };
    check_spaces(&config, &task(product, false)).unwrap();
    check_spaces(&config, &task(ActionSpace::Discrete(3), true)).unwrap();
    let error = check_spaces(&config, &task(product, true)).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("task: found `recall`, which at times forbids actions, of which agent 0's"),
        "{text}"
    );
}

#[test]
fn teams_of_too_many_weights_are_refused() {
    // 4,096 units of memory have 3 · 4,096 · 4,097 weights for the last step alone; features of 4,096, of which
    // every agent's conditional makes as many, 3 · 4,096².
    let resolve = |settings: &[&str]| resolve("mpe-spread", settings);
    for settings in [
        &["network.memory=4096"][..],
        &[
            "network.hidden=[4096]",
            "network.joint.sees='joint-history'",
            "network.joint.head='autoregressive'",
            "network.share=false",
        ],
        &[
            "network.hidden=[4096]",
            "network.joint.sees='joint-history'",
            "network.share=false",
            "method='magpo'",
        ],
    ] {
        let error = resolve(settings).unwrap_err();
        let expected = "weights in all for `mpe-spread`, expected at most 16777216";
        assert!(error.contains(expected), "{settings:?}: {error}");
    }
    resolve(&["network.hidden=[512]", "network.memory=256"]).unwrap();
}

#[test]
fn an_order_is_for_who_is_asked_in_turn() {
    let shuffled = "network.joint.order='shuffled'";
    for (task, settings, accepted) in [
        ("mpe-spread", &[shuffled][..], true),
        (
            "recycling-h4",
            &[shuffled, "network.joint.head='autoregressive'"],
            true,
        ),
        ("recycling-h4", &[shuffled], false),
        ("mpe-spread-continuous", &[shuffled], false),
        ("mpe-spread", &[shuffled, "method='magpo'"], false),
        // No joint policy: nobody is asked.
        ("mpe-spread", &[shuffled, "method='mappo'"], true),
    ] {
        let result = resolve(task, settings);
        assert_eq!(result.is_ok(), accepted, "{task} {settings:?}");
        if let Err(error) = result {
            let expected = "network.joint.order: found `shuffled`, expected `fixed`";
            assert!(error.contains(expected), "{error}");
        }
    }
}

#[test]
fn nobody_can_lead_where_only_one_acts() {
    let resolve = |settings: &[&str]| resolve("climbing", settings).map(|_| ());
    let lead = "annealed.schedule.full_lead=0.1";
    let error = resolve(&[lead]).unwrap_err();
    assert!(
        error.contains("annealed.schedule.full_lead: found 0.1, expected 0"),
        "{error}"
    );
    assert_eq!(resolve(&[lead, "annealed.schedule.beta_start=0.5"]), Ok(()));
    let error = resolve(&["annealed.schedule.beta_start=1.0"]).unwrap_err();
    assert!(
        error.contains("beta_start: found 1, expected from 0 to below 1"),
        "{error}"
    );
    // Whose lead is not followed has no ramp of its own where it does not lead.
    let error = resolve(&["annealed.schedule.unled_ramp=0.1"]).unwrap_err();
    assert!(
        error.contains("unled_ramp: found 0.1, expected 0 where full_lead is 0"),
        "{error}"
    );
    let error = resolve(&["annealed.schedule.temperature_led=0.03"]).unwrap_err();
    assert!(
        error.contains("temperature_led: found 0.03, expected 0 where full_lead is 0"),
        "{error}"
    );
    let both = ["annealed.schedule.beta_start=0.5", lead];
    for (decay, accepted) in [("0.95", true), ("0.6", true), ("0.59", false)] {
        let decay = format!("annealed.schedule.gap_decay={decay}");
        let errors = "annealed.schedule.lead_errors=2.0";
        let result = resolve(&[both[0], both[1], errors, &decay]);
        assert_eq!(result.is_ok(), accepted, "{decay}: {result:?}");
    }
    for (unled, accepted) in [("0.6", true), ("0.61", false), ("-0.1", false)] {
        let unled = format!("annealed.schedule.unled_ramp={unled}");
        let result = resolve(&[both[0], both[1], &unled]);
        assert_eq!(result.is_ok(), accepted, "{unled}: {result:?}");
    }
}

#[test]
fn a_joint_policy_that_is_one_distribution_has_one_history() {
    let own = "network.joint.sees='own-history'";
    let enumerated = "network.joint.head='enumerated'";
    let message = "network.joint.sees: found `own-history`, expected `joint-history` or `auto`";
    for (task, settings) in [
        ("mpe-spread-continuous", &[own][..]),
        ("mpe-spread", &[own, enumerated]),
    ] {
        let error = resolve(task, settings).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
    // Under a time limit `auto` is the default: of its own history where agents are asked one by one.
    for (task, settings, expected) in [
        ("mpe-spread-continuous", &[][..], false),
        ("mpe-spread", &[enumerated], false),
        ("mpe-spread", &["network.joint.sees='joint-history'"], false),
        ("mpe-spread", &[], true),
        ("rware-tiny-4ag", &[], true),
        ("recycling-h4", &[], false),
        ("climbing", &[], false),
    ] {
        let (config, task) = resolve(task, settings).unwrap();
        let joint = &config.network.joint;
        assert_eq!(joint.sees_own(&task.spec()), expected, "{}", task.name());
        assert!(!(expected && joint.enumerates(&task.spec())));
    }
}
