use super::*;
use crate::algo::temperature::Temperature;

#[test]
fn later_layers_go_over_earlier_ones_key_by_key() {
    let mut layers = Layers::new();
    let file = "task = 'chsh'\nseed = 1\n[network]\nhidden = [8]\noutput_spread = 2";
    layers.text("file", file).unwrap();
    layers.assignment("network.output_spread = 3").unwrap();
    layers.assignment("method = joint").unwrap();
    layers.value("seed", 9).unwrap();
    layers.task("climbing").unwrap();
    let (config, task) = layers.resolve().unwrap();
    assert_eq!(
        (config.task.as_str(), task.name()),
        ("climbing", "climbing")
    );
    assert_eq!((config.seed, config.method), (9, Method::Joint));
    assert_eq!(
        (config.network.hidden, config.network.output_spread),
        (vec![8], 3.0)
    );
    assert_eq!(config.batch, Config::default().batch);
}

#[test]
fn a_schedule_of_before_chance_counted_is_repeated_as_it_was() {
    let found = |file: &str| {
        let mut layers = Layers::new();
        layers.text("config.toml", file).unwrap();
        let schedule = layers.resolve().unwrap().0.annealed.schedule;
        [
            schedule.beta_start,
            schedule.full_lead,
            schedule.lead_errors,
            schedule.least_entropy,
            schedule.temperature_per_entropy,
            schedule.temperature_led,
        ]
    };
    let today = [0.5, 0.1, 2.0, 0.2, 0.2, 0.03];
    // Of before the product acted from the start; of before chance counted; with a few settings only.
    let foraging = include_str!("../../../../models/foraging/config.toml");
    assert_eq!(found(foraging), [0.0; 6]);
    let reference = include_str!("../../../../models/reference/config.toml");
    assert_eq!(found(reference), [0.5, 0.1, 0.0, 0.0, 0.0, 0.0]);
    let some = "task = 'lbf-8x8-2p-2f-coop'\n[annealed.schedule]\nramp = 0.5\n";
    assert_eq!(found(some), today);
    // What a run writes today it reads as it was.
    let mut layers = Layers::new();
    layers.task("lbf-8x8-2p-2f-coop").unwrap();
    let written = layers.resolve().unwrap().0.to_toml();
    assert_eq!(found(&written), today);
}

#[test]
fn a_number_needs_no_digit_beside_its_point() {
    let mut layers = Layers::new();
    layers.task("climbing").unwrap();
    layers.assignment("annealed.learning_rate=.003").unwrap();
    layers.assignment("network.output_spread=2.").unwrap();
    let (config, _) = layers.clone().resolve().unwrap();
    assert_eq!(config.annealed.learning_rate, 0.003);
    assert_eq!(config.network.output_spread, 2.0);
    for wrong in [".", "+infinity", "007.5", "-"] {
        let said = format!("network.output_spread={wrong}");
        let error = Layers::new().assignment(&said).unwrap_err().to_string();
        assert!(error.contains("network.output_spread"), "{error}");
    }
    let error = layers.assignment("seed=5.").unwrap_err().to_string();
    assert!(
        error.contains("seed: found 5.0, expected a whole number"),
        "{error}"
    );
}

#[test]
fn values_are_learned_otherwise_under_a_time_limit() {
    let value = |task: &str, method: &str| {
        let mut layers = Layers::new();
        layers.task(task).unwrap();
        layers.value("method", method).unwrap();
        layers.assignment("value.double=false").unwrap();
        let value = layers.resolve().unwrap().0.value.unwrap();
        assert!(!value.double);
        (value.trace, value.off_policy.target.interval)
    };
    let mut earlier = Layers::new();
    let wrote = "[value]\ndouble = true\nexploration = { start = 1.0, end = 0.05, until = 0.1 }\n\
                 mixer = { embedding = 32, hypernetwork = 64 }\noff_policy = { learning_rate = 0.0005 }";
    earlier.task("lbf-8x8-2p-2f-coop").unwrap();
    earlier.value("method", "qmix").unwrap();
    earlier.text("config.toml", wrote).unwrap();
    assert_eq!(earlier.resolve().unwrap().0.value.unwrap().trace, 0.0);
    for method in ["iql", "vdn", "qmix", "qtran"] {
        assert_eq!(value("lbf-8x8-2p-2f-coop", method), (0.6, 1), "{method}");
        assert_eq!(value("two-step", method), (0.0, 200), "{method}");
        assert_eq!(value("climbing", method), (0.0, 200), "{method}");
    }
}

#[test]
fn observations_are_normalised_under_a_time_limit_where_nothing_is_remembered() {
    let normalised = |task: &str, method: &str, said: Option<&str>| {
        let mut layers = Layers::new();
        layers.task(task).unwrap();
        layers.value("method", method).unwrap();
        said.iter()
            .for_each(|said| layers.assignment(said).unwrap());
        layers.resolve().unwrap().0.normalise_observations
    };
    let said = "normalise_observations=true";
    for method in ["annealed", "factored", "mappo", "coma", "magpo", "mackrl"] {
        assert!(normalised("lbf-8x8-2p-2f-coop", method, None), "{method}");
        assert!(!normalised("dec-tiger-h3", method, None), "{method}");
    }
    for method in ["iql", "vdn", "qmix", "qtran", "maddpg"] {
        assert!(!normalised("lbf-8x8-2p-2f-coop", method, None), "{method}");
        assert!(
            normalised("lbf-8x8-2p-2f-coop", method, Some(said)),
            "{method}"
        );
    }
}

#[test]
fn a_setting_that_is_gone_may_stand_where_it_did_nothing() {
    let mut layers = Layers::new();
    let with = |polish: &str| format!("task = 'climbing'\n[portfolio]\npolish = {polish}");
    layers.text("file", &with("0.0")).unwrap();
    let (config, _) = layers.clone().resolve().unwrap();
    assert!(!config.to_toml().contains("polish"));
    let error = layers.text("file", &with("0.5")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "file: portfolio.polish: found 0.5, expected 0, as there is no such setting any more"
    );
}

#[test]
fn only_what_is_trained_is_set() {
    let resolve = |method: &str| {
        let mut layers = Layers::new();
        layers.task("dec-tiger-h3").unwrap();
        layers.value("method", method).unwrap();
        layers.assignment("coma.trace=0.5").unwrap();
        layers.resolve().unwrap().0
    };
    let coma = resolve("coma");
    let settings = coma.coma.as_ref().unwrap();
    assert_eq!((settings.trace, settings.learning_rate), (0.5, 0.003));
    assert!(coma.ippo.is_none() && coma.to_toml().contains("[coma]"));
    let factored = resolve("factored").to_toml();
    for table in ["[coma", "[ippo", "[mappo", "[magpo", "[mackrl"] {
        assert!(!factored.contains(table), "{table}");
    }
}

#[test]
fn a_methods_own_defaults_lie_under_what_is_said() {
    let resolve = |method: &str, assignment: &str| {
        let mut layers = Layers::new();
        layers.task("alias-h8").unwrap();
        layers.value("method", method).unwrap();
        layers.assignment(assignment).unwrap();
        layers.resolve().unwrap().0
    };
    let found = |config: Config| (config.act, config.network.memory, config.network.hidden);
    use crate::team::Choice;
    let seed = "seed=1";
    assert_eq!(
        found(resolve("factored", seed)),
        (Choice::Sampled, 0, vec![128, 128])
    );
    assert_eq!(found(resolve("qmix", seed)), (Choice::Greedy, 64, vec![64]));
    assert_eq!(
        found(resolve("qmix", "network.memory=0")),
        (Choice::Greedy, 0, vec![64])
    );
    assert_eq!(
        found(resolve("maddpg", seed)),
        (Choice::Greedy, 0, vec![64, 64])
    );
    assert_eq!(
        found(resolve("maddpg", "act=sampled")),
        (Choice::Sampled, 0, vec![64, 64])
    );
    // Only what is trained is set.
    let config = resolve("qmix", seed);
    assert!(config.value.is_some() && config.qtran.is_none() && config.maddpg.is_none());
    assert!(resolve("factored", "value.double=false").value.is_none());
}

#[test]
fn a_temperature_is_replaced_by_shape_and_changed_by_key() {
    let resolve = |assignment| {
        let mut layers = Layers::new();
        layers.task("chsh").unwrap();
        layers.assignment(assignment).unwrap();
        layers
            .resolve()
            .unwrap()
            .0
            .portfolio
            .explore_strong
            .temperature
    };
    let Temperature::Geometric { start, end, until } =
        Config::default().portfolio.explore_strong.temperature
    else {
        panic!("the test changes one value of a geometric temperature");
    };
    assert_eq!(
        resolve("portfolio.explore-strong.temperature.start=1"),
        Temperature::Geometric {
            start: 1.0,
            end,
            until
        }
    );
    assert_ne!(start, 1.0);
    assert_eq!(
        resolve("portfolio.explore-strong.temperature={shape='none'}"),
        Temperature::None
    );
}

#[test]
fn a_later_task_drops_an_embedded_game() {
    let own = "task = 'mine'\n[game]\nname = 'mine'\nactions = [2]\npayoff = [1, 2]";
    let mut layers = Layers::new();
    layers.text("file", own).unwrap();
    let (config, task) = layers.clone().resolve().unwrap();
    assert_eq!(config.game.as_ref(), task.own_game());
    assert!(config.game.is_some());
    for lay in [
        |layers: &mut Layers| layers.assignment("task=chsh"),
        |layers: &mut Layers| layers.task("chsh"),
    ] {
        let mut layers = layers.clone();
        lay(&mut layers).unwrap();
        let (config, task) = layers.resolve().unwrap();
        assert_eq!((config.game, task.name()), (None, "chsh"));
    }
}

/// Two agents in one state; the second is paid for its action 1.
const MODEL: &str = "agents: 2\ndiscount: 1\nvalues: reward\nstates: 1\nstart: 0\nactions:\n1\n2\n\
                     observations:\n1\n1\nT: * : identity\nO: * : uniform\nR: * 1 : * : * : * : 2";

#[test]
fn a_model_from_a_file_is_embedded_with_its_horizon() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pair.dpomdp");
    std::fs::write(&path, MODEL).unwrap();
    let mut layers = Layers::new();
    layers.task(path.to_str().unwrap()).unwrap();
    let message = layers.clone().resolve().unwrap_err().to_string();
    assert!(message.contains("horizon: found nothing"), "{message}");
    layers.value("horizon", 1).unwrap();
    let (config, task) = layers.resolve().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!((config.task.as_str(), config.horizon), ("pair-h1", Some(1)));
    assert_eq!(config.model.as_deref(), Some(MODEL));
    assert_eq!(task.optimum(), Some(2.0));
    assert_eq!(config.command(), "consort train --config config.toml");

    // Written, it resolves to itself; another task takes model and horizon with it.
    let mut again = Layers::new();
    again.text("config.toml", &config.to_toml()).unwrap();
    let mut other = again.clone();
    assert_eq!(again.resolve().unwrap().0, config);
    other.task("chsh").unwrap();
    let (config, _) = other.resolve().unwrap();
    assert_eq!((config.model, config.horizon), (None, None));
}

#[test]
fn models_and_horizons_that_do_not_fit_are_refused() {
    let embedded = format!("horizon = 1\nmodel = '''{MODEL}'''");
    let cases = [
        (
            "task = 'chsh'\nhorizon = 2",
            "found 2, expected none: only a `.dpomdp` file",
        ),
        (
            "task = 'chsh'\nhorizon = 'two'",
            "horizon: found the text \"two\", expected a whole number",
        ),
        ("model = 3", "model: found 3, expected text in quotes"),
        (
            "model = ''",
            "horizon: found nothing, expected the steps of an episode in `model`",
        ),
        (
            "model = 'x'\nhorizon = 1",
            "model: line 1: entry: found `x`, expected one of agents",
        ),
        (
            "horizon = 1\n[game]\nname = 'g'\nactions = [2]\npayoff = [1, 2]",
            "game: found a game beside a model",
        ),
        ("task = 'dec-tiger-h1'\nhorizon = 1", "expected none"),
        (
            &format!("task = 'dec-tiger'\n{embedded}"),
            "found `dec-tiger-h1`, which is a task that ships",
        ),
    ];
    for (text, expected) in cases {
        let mut layers = Layers::new();
        let result = layers.text("file", text).and_then(|()| layers.resolve());
        let message = result.unwrap_err().to_string();
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }
    let message = Layers::new().assignment("model=x").unwrap_err().to_string();
    assert!(message.contains("which comes whole"), "{message}");
}

#[test]
fn a_game_in_disguise_is_refused() {
    let mut layers = Layers::new();
    let own = "[game]\nname = 'climbing'\nactions = [2]\npayoff = [1, 2]";
    layers.text("file", own).unwrap();
    let message = layers.resolve().unwrap_err().to_string();
    assert!(message.contains("found `climbing`"), "{message}");
}

#[test]
fn an_assignment_sets_one_key_and_no_game() {
    for (assignment, expected) in [
        ("batch=1\nseed=5", "expected one key=value"),
        ("batch=1\n[network]", "expected one key=value"),
        ("game.name=mine", "expected a game's file as the task"),
        ("game={}", "expected a game's file as the task"),
    ] {
        let message = Layers::new()
            .assignment(assignment)
            .unwrap_err()
            .to_string();
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
        assert_eq!(message.lines().count(), 1);
    }
}

#[test]
fn a_written_configuration_resolves_to_itself() {
    let mut layers = Layers::new();
    layers.task("random-heavy-3").unwrap();
    let (config, _) = layers.resolve().unwrap();
    assert_eq!(config.game, None, "a task with a name needs no table");
    let mut again = Layers::new();
    again.text("config.toml", &config.to_toml()).unwrap();
    assert_eq!(again.resolve().unwrap().0, config);
}
