//! What is trained and taught: every experiment's cells, and the settings of every method.
//!
//! One-shot games: every method has the same environment steps on the same game. Off-policy methods
//! take a gradient step every four of them (`gradient_steps = 0.25`; EPyMARL, whose matrix games last
//! 25 steps, takes one every 25).

use consort_trainer::config::Method;

use super::cells::{Trained, Wanted};
use super::taught::Lesson;

/// How large the study is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sizes {
    /// Runs where theory speaks of every one: the basins.
    pub(crate) seeds: usize,
    /// Runs of everything else, at most.
    pub(crate) few: usize,
    /// Environment steps of every run on a game.
    pub(crate) steps: u64,
}

/// Deviation of the first logits where basins are measured: wide, so that many teams begin on the
/// wrong side.
pub(crate) const SPREAD: f64 = 2.0;

pub(crate) fn owned(settings: &[&str]) -> Vec<String> {
    settings.iter().map(|&setting| setting.to_owned()).collect()
}

fn trained(task: &'static str, method: Method, settings: Vec<String>, sizes: Sizes) -> Trained {
    Trained {
        task,
        method,
        settings,
        steps: sizes.steps,
        first_seed: 0,
        seeds: sizes.few,
        starts: false,
    }
}

/// The one annealed arm, with all the steps.
const ONE_ARM: &str = "portfolio.arms=['annealed']";

/// The proposal word for word: no entropy bonus, and the divergence as one.
const AS_WRITTEN: [&str; 5] = [
    ONE_ARM,
    "annealed.schedule.temperature_start=0",
    "annealed.schedule.temperature_floor=0",
    "annealed.schedule.temperature_per_gap=0",
    "annealed.schedule.total_correlation=1",
];

/// Policy gradients on assurance in large batches, from wide starts.
pub(crate) struct Basins {
    pub(crate) factored: Trained,
    pub(crate) coma: Trained,
    pub(crate) joint: Trained,
    pub(crate) maddpg: Trained,
}

pub(crate) fn basins(sizes: Sizes) -> Basins {
    let cell = |method: Method, settings: &[&str], steps: u64| {
        let spread = format!("network.output_spread={SPREAD}");
        Trained {
            settings: [vec![spread], owned(settings)].concat(),
            steps,
            seeds: sizes.seeds,
            starts: true,
            ..trained("assurance", method, Vec::new(), sizes)
        }
    };
    // Large batches show the gradient's own flow; few of them are many steps.
    let steps = 5 * sizes.steps;
    Basins {
        factored: cell(
            Method::Factored,
            &["batch=256", "factored.learning_rate=0.02"],
            steps,
        ),
        coma: cell(
            Method::Coma,
            &[
                "batch=256",
                "coma.learning_rate=0.02",
                "coma.temperature={shape='none'}",
            ],
            steps,
        ),
        joint: cell(
            Method::Joint,
            &[
                "batch=256",
                "annealed.learning_rate=0.02",
                "annealed.schedule.temperature_start=0",
                "annealed.schedule.temperature_floor=0",
                "annealed.schedule.temperature_per_gap=0",
            ],
            steps,
        ),
        maddpg: cell(
            Method::Maddpg,
            &[
                "maddpg.off_policy.learning_rate=0.005",
                "maddpg.off_policy.gradient_steps=0.25",
            ],
            sizes.steps,
        ),
    }
}

/// How often the others in the replay stay safe.
pub(crate) const REPLAYS: [f64; 6] = [0.5, 0.6, 0.7, 0.8, 0.85, 0.9];

const TAUGHT: [&str; 3] = [
    "value.off_policy.learning_rate=0.005",
    "value.off_policy.gradient_steps=0.25",
    "network.output_spread=0",
];
const MADDPG_TAUGHT: [&str; 3] = [
    "maddpg.off_policy.learning_rate=0.005",
    "maddpg.off_policy.gradient_steps=0.25",
    "network.output_spread=0",
];

fn lesson(task: &'static str, method: Method, first: f64, sizes: Sizes) -> Lesson {
    let settings: &[&str] = match method {
        Method::Maddpg => &MADDPG_TAUGHT,
        _ => &TAUGHT,
    };
    Lesson {
        task,
        method,
        settings: owned(settings),
        first,
        batches: usize::try_from(sizes.steps).unwrap_or(usize::MAX) / super::taught::EPISODES,
        seeds: sizes.few,
    }
}

/// MADDPG, and independent Q-learning beside it, taught by teams that stay safe so often.
pub(crate) fn replay(method: Method, sizes: Sizes) -> Vec<Lesson> {
    let of = |&first: &f64| lesson("assurance", method, first, sizes);
    REPLAYS.iter().map(of).collect()
}

/// Value decomposition of one table under one behaviour.
pub(crate) fn decomposed(sizes: Sizes) -> Vec<Lesson> {
    let tables = [
        ("assurance", 0.5),
        ("assurance", 0.9),
        ("climbing", 1.0 / 3.0),
    ];
    let both = |(task, first)| {
        [Method::Vdn, Method::Qmix].map(|method| lesson(task, method, first, sizes))
    };
    tables.into_iter().flat_map(both).collect()
}

/// The same methods by their own play, from ε = 1, on games with a local optimum.
pub(crate) fn decomposed_play(sizes: Sizes) -> Vec<Trained> {
    let settings = || owned(&["value.off_policy.gradient_steps=0.25"]);
    let games = ["assurance", "climbing", "penalty"];
    let both = |task| [Method::Vdn, Method::Qmix].map(|m| trained(task, m, settings(), sizes));
    games.into_iter().flat_map(both).collect()
}

/// The two-step game under even play, as Rashid et al. 2018 have it.
pub(crate) fn two_step(sizes: Sizes) -> [Trained; 2] {
    [Method::Vdn, Method::Qmix].map(|method| Trained {
        steps: 12_000,
        seeds: sizes.few.min(10),
        ..trained(
            "two-step",
            method,
            owned(&[
                "value.exploration.end=1",
                "value.off_policy.learning_rate=0.003",
                "value.off_policy.target.interval=100",
                "batch=16",
                "network.hidden=[32]",
                "network.memory=0",
            ]),
            sizes,
        )
    })
}

/// QTRAN's weights, (λ_opt, λ_nopt).
pub(crate) const WEIGHTS: [(f64, f64); 5] =
    [(1.0, 1.0), (0.1, 1.0), (1.0, 0.1), (10.0, 1.0), (1.0, 10.0)];
pub(crate) const QTRAN_GAMES: [&str; 3] = ["climbing", "penalty", "xor-safe"];

/// QTRAN taught by even play, by weights and games.
pub(crate) fn qtran(sizes: Sizes) -> Vec<((f64, f64), Vec<Lesson>)> {
    let with = |weights: (f64, f64)| {
        let of = |task| {
            let mut lesson = lesson(task, Method::Qtran, 1.0 / 3.0, sizes);
            lesson.settings.extend([
                format!("qtran.optimal={}", weights.0),
                format!("qtran.other={}", weights.1),
            ]);
            lesson
        };
        (weights, QTRAN_GAMES.map(of).to_vec())
    };
    WEIGHTS.map(with).to_vec()
}

/// MACKRL where all is common, and where one decision needs both kinds of knowledge; the annealed
/// arm and plain policy gradient beside it.
pub(crate) fn common(sizes: Sizes) -> [Trained; 4] {
    let sizes = Sizes {
        steps: 2 * sizes.steps,
        ..sizes
    };
    [
        trained("climbing", Method::Mackrl, Vec::new(), sizes),
        trained("common-private", Method::Mackrl, Vec::new(), sizes),
        trained("common-private", Method::Factored, Vec::new(), sizes),
        trained("common-private", Method::Annealed, owned(&[ONE_ARM]), sizes),
    ]
}

/// Methods where every place looks the same, without memory.
pub(crate) const MEMORYLESS: [Method; 8] = [
    Method::Factored,
    Method::Mappo,
    Method::Coma,
    Method::Annealed,
    Method::Iql,
    Method::Vdn,
    Method::Qmix,
    Method::Qtran,
];

/// Episodes have sixteen steps, so runs have more.
const ALIAS_STEPS: u64 = 4;

pub(crate) fn alias(sizes: Sizes) -> Vec<Trained> {
    let cell = |method, settings| Trained {
        steps: ALIAS_STEPS * sizes.steps,
        seeds: sizes.few.min(4),
        ..trained("alias-h16", method, settings, sizes)
    };
    let memoryless = |method| {
        let mut settings = owned(&["network.hidden=[16]", "network.memory=0"]);
        if method == Method::Annealed {
            settings.push(ONE_ARM.to_owned());
        }
        cell(method, settings)
    };
    let mut cells: Vec<Trained> = MEMORYLESS.into_iter().map(memoryless).collect();
    cells.push(remembering(sizes));
    cells
}

/// VDN with a small memory on the same task: then values suffice.
pub(crate) fn remembering(sizes: Sizes) -> Trained {
    let settings = owned(&["network.hidden=[16]", "network.memory=16"]);
    Trained {
        steps: ALIAS_STEPS * sizes.steps,
        seeds: sizes.few.min(4),
        ..trained("alias-h16", Method::Vdn, settings, sizes)
    }
}

/// Games on which a local optimum is in the way.
pub(crate) const TRAPS: [&str; 7] = [
    "assurance",
    "climbing",
    "penalty",
    "weak-link-10",
    "climbing-private",
    "xor-safe",
    "climbing-xor",
];

/// The annealed arm as it comes, the proposal word for word, and plain policy gradient.
pub(crate) fn own(sizes: Sizes) -> Vec<[Trained; 3]> {
    let sizes = Sizes {
        steps: 2 * sizes.steps,
        seeds: sizes.seeds,
        few: 2 * sizes.few,
    };
    let of = |task| {
        [
            trained(task, Method::Annealed, owned(&[ONE_ARM]), sizes),
            trained(task, Method::Annealed, owned(&AS_WRITTEN), sizes),
            trained(task, Method::Factored, Vec::new(), sizes),
        ]
    };
    TRAPS.into_iter().map(of).collect()
}

/// A method of the comparison, and what is tried of it: two step sizes, each with less and more
/// exploration.
pub(crate) struct Contender {
    pub(crate) method: Method,
    pub(crate) candidates: Vec<Vec<String>>,
}

/// Every method the proposal discusses, and their nearest relatives.
pub(crate) fn contenders() -> Vec<Contender> {
    let gradient = |method: Method, rates: [f64; 2], mild: &str| {
        let table = method.name();
        let strong = "{shape='geometric', start=0.5, end=0.01, until=0.9}";
        let all = rates.iter().flat_map(|rate| {
            [mild, strong].map(|temperature| {
                vec![
                    format!("{table}.learning_rate={rate}"),
                    format!("{table}.temperature={temperature}"),
                ]
            })
        });
        Contender {
            method,
            candidates: all.collect(),
        }
    };
    let constant = "{shape='constant', value=0.01}";
    let off_policy = |method: Method, table: &str, explores: [&str; 2]| {
        let all = [0.0005, 0.005].into_iter().flat_map(|rate| {
            explores.map(|exploration| {
                vec![
                    format!("{table}.off_policy.gradient_steps=0.25"),
                    format!("{table}.off_policy.learning_rate={rate}"),
                    exploration.to_owned(),
                ]
            })
        });
        Contender {
            method,
            candidates: all.collect(),
        }
    };
    let values = ["value.exploration.end=0.05", "value.exploration.end=1"];
    let annealed = [0.007, 0.02].into_iter().flat_map(|rate| {
        [0.15, 0.5].map(|start| {
            vec![
                ONE_ARM.to_owned(),
                format!("annealed.learning_rate={rate}"),
                format!("annealed.schedule.temperature_start={start}"),
            ]
        })
    });
    vec![
        Contender {
            method: Method::Annealed,
            candidates: annealed.collect(),
        },
        gradient(Method::Factored, [0.005, 0.02], "{shape='none'}"),
        gradient(Method::Ippo, [0.005, 0.02], constant),
        gradient(Method::Mappo, [0.005, 0.02], constant),
        gradient(Method::Coma, [0.005, 0.02], constant),
        gradient(Method::Mackrl, [0.005, 0.02], constant),
        gradient(Method::Magpo, [0.005, 0.02], constant),
        off_policy(
            Method::Maddpg,
            "maddpg",
            ["maddpg.regularisation=0.001", "maddpg.regularisation=0.1"],
        ),
        off_policy(Method::Iql, "value", values),
        off_policy(Method::Vdn, "value", values),
        off_policy(Method::Qmix, "value", values),
        off_policy(Method::Qtran, "value", values),
    ]
}

/// Games on which settings are chosen, and others, on which methods are compared.
pub(crate) const SEARCHED: [&str; 2] = ["weak-link-10", "climbing-private"];
pub(crate) const COMPARED: [&str; 5] = [
    "assurance",
    "climbing",
    "penalty",
    "xor-safe",
    "climbing-xor",
];
/// Runs of a candidate on a game, from seeds that the comparison does not use.
const SEARCH_SEEDS: usize = 4;
const FIRST_SEARCH_SEED: u64 = 1_000;

/// A candidate's cells.
pub(crate) fn search(method: Method, settings: &[String], sizes: Sizes) -> Vec<Trained> {
    let of = |task| Trained {
        first_seed: FIRST_SEARCH_SEED,
        seeds: SEARCH_SEEDS.min(sizes.few),
        ..trained(task, method, settings.to_vec(), sizes)
    };
    SEARCHED.map(of).to_vec()
}

/// The cells of a method with the settings that were chosen.
pub(crate) fn compared(method: Method, settings: &[String], sizes: Sizes) -> Vec<Trained> {
    let of = |task| trained(task, method, settings.to_vec(), sizes);
    COMPARED.map(of).to_vec()
}

/// Every cell of the claims.
pub(crate) fn plan(sizes: Sizes) -> Vec<Wanted> {
    let Basins {
        factored,
        coma,
        joint,
        maddpg,
    } = basins(sizes);
    let mut trained = vec![factored, coma, joint, maddpg];
    trained.extend(decomposed_play(sizes));
    trained.extend(two_step(sizes));
    trained.extend(common(sizes));
    trained.extend(alias(sizes));
    trained.extend(own(sizes).into_iter().flatten());
    let mut lessons = [Method::Maddpg, Method::Iql]
        .map(|method| replay(method, sizes))
        .concat();
    lessons.extend(decomposed(sizes));
    lessons.extend(qtran(sizes).into_iter().flat_map(|(_, lessons)| lessons));
    let mut plan: Vec<Wanted> = Vec::new();
    let all =
        (lessons.into_iter().map(Wanted::Taught)).chain(trained.into_iter().map(Wanted::Trained));
    for wanted in all {
        if !plan.contains(&wanted) {
            plan.push(wanted);
        }
    }
    plan
}

/// Every cell of the search before the comparison.
pub(crate) fn searches(sizes: Sizes) -> Vec<Wanted> {
    let of = |contender: Contender| -> Vec<Wanted> {
        let candidates = contender.candidates.iter();
        let cells = candidates.flat_map(|candidate| search(contender.method, candidate, sizes));
        cells.map(Wanted::Trained).collect()
    };
    contenders().into_iter().flat_map(of).collect()
}
