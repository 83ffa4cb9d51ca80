//! Why plain policy gradient fails on assurance, and how often.
//!
//! Payoffs [[0, −5], [−5, 10]]; let p and q be the agents' probabilities of action 0, and d_1 and
//! d_2 their logits of action 0 minus those of action 1, so that p = σ(d_1), q = σ(d_2). Then
//!
//! ```text
//! J = 10 − 15 p − 15 q + 20 p q,    ∂J/∂p = 20 q − 15,    ∂J/∂q = 20 p − 15:
//! ```
//!
//! each agent moves towards the bad action 0 exactly while the other plays it more often than 3
//! times in 4, that is while the other's d exceeds ln 3. In the quadrant where both do, the team
//! ends at 0; where neither does, at 10; in the other two it is a race, decided by how fast a
//! logit moves for a given slope: by the optimiser ([`Flow`]). The saddle is d_1 = d_2 = ln 3.

use anyhow::Result;
use consort_trainer::config::Config;
use consort_trainer::env::Task;
use consort_trainer::export::actors;
use consort_trainer::train::train;
use serde::Serialize;

use super::cells::{Cell, Cells, Run};
use super::design::{
    Column, FACTORED, FACTORED_LARGE, MIXTURE_ALONE, MIXTURE_ALONE_LARGE, MIXTURE_ONLY, Row,
};
use consort_trainer::report::statistics::{Count, Interval, normal_cdf};

/// ln 3, where the other agent's preference turns an agent around.
pub(crate) const TURN: f64 = 1.098_612_288_668_109_8;

/// The policy gradient as an optimiser follows it, in continuous time and without noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// ḋ_1 = sign(20 q − 15): Adam, which moves every logit at one speed.
    ///
    /// Where Adam divides by the noise of sampled gradients instead of by their size, speeds are
    /// √(p (1−p)) · |20 q − 15|, since √(p (1−p)) is the deviation of ∂ log π_1. Then E is
    /// 20 √3 cosh((d − ln 3)/2): symmetric about ln 3 as |d − ln 3| is, so the basin is the same.
    Adam,
    /// ḋ_1 = p (1−p) · (20 q − 15): the gradient itself.
    Gradient,
}

impl Flow {
    pub(crate) const ALL: [Self; 2] = [Self::Adam, Self::Gradient];

    /// Whether the team that starts at (d_1, d_2) ends at the optimum.
    ///
    /// Every flow is ḋ_1 = s(d_1) g(d_2), ḋ_2 = s(d_2) g(d_1) with g < 0 below ln 3 and > 0 above:
    /// so E(d_1) − E(d_2) is conserved, with E' = g/s, and a path's end is that of the agent which
    /// reaches ln 3 first. E is least at ln 3; whoever is nearer to it in E gets there first.
    pub(crate) fn succeeds(self, [a, b]: [f64; 2]) -> bool {
        let (low, high) = (a.min(b), a.max(b));
        high < TURN || (low < TURN && self.energy(high) < self.energy(low))
    }

    /// E(d) = ∫ g/s: |d − ln 3| and 5 e^d − 10 d + 15 e^(−d).
    fn energy(self, d: f64) -> f64 {
        match self {
            Self::Adam => (d - TURN).abs(),
            Self::Gradient => 5.0 * d.exp() - 10.0 * d + 15.0 * (-d).exp(),
        }
    }

    /// The probability of success where all four logits are drawn from N(0, spread²).
    ///
    /// For [`Flow::Adam`] it is Φ(ln 3 / spread): its basin is d_1 + d_2 < 2 ln 3, and the
    /// variance of d_1 + d_2 is 4 spread².
    pub(crate) fn expected(self, spread: f64) -> f64 {
        const CELLS: u32 = 4_000;
        if spread == 0.0 {
            return 1.0;
        }
        // ∫ φ(z) P(d_2 < boundary(d_1)) dz by the midpoint rule, d_1 = deviation · z.
        let deviation = spread * std::f64::consts::SQRT_2;
        let width = 16.0 / f64::from(CELLS);
        let slice = |cell| {
            let z = (f64::from(cell) + 0.5) * width - 8.0;
            let density = (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
            density * normal_cdf(self.boundary(deviation * z) / deviation)
        };
        (0..CELLS).map(slice).sum::<f64>() * width
    }

    /// The d_2 below which a team that starts at d_1 succeeds.
    fn boundary(self, d: f64) -> f64 {
        // Success at (d, x) turns into failure as x rises: bisect.
        let (mut low, mut high) = (-200.0, 200.0);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if self.succeeds([d, middle]) {
                low = middle;
            } else {
                high = middle;
            }
        }
        0.5 * (low + high)
    }
}

/// Methods set beside each other: the first is plain policy gradient, at two sizes of batch.
pub(crate) static MEASURED: [(&Column, &[&Column]); 2] = [
    (&FACTORED, &[&MIXTURE_ALONE, &MIXTURE_ONLY]),
    (&FACTORED_LARGE, &[&MIXTURE_ALONE_LARGE]),
];

/// Theory beside what was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Basin {
    /// Standard deviation of the first logits.
    pub(crate) spread: f64,
    pub(crate) predictions: Vec<Prediction>,
    pub(crate) measured: Vec<Measured>,
}

/// What one flow says of plain policy gradient.
#[derive(Debug, Serialize)]
pub(crate) struct Prediction {
    pub(crate) flow: &'static str,
    pub(crate) description: &'static str,
    /// Probability of success over all starts.
    pub(crate) expected: f64,
    /// Starts of these very seeds that lie in the basin.
    pub(crate) predicted: Count,
    /// Seeds of each plain policy gradient in [`MEASURED`] that end as their start says.
    pub(crate) agreement: Vec<Count>,
}

/// How often a method succeeded.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) method: &'static str,
    pub(crate) description: &'static str,
    /// Samples an update.
    pub(crate) batch: usize,
    pub(crate) success: Count,
    pub(crate) interval: Interval,
    /// Seeds that end as plain policy gradient does with batches of that size.
    pub(crate) as_factored: Count,
}

impl Basin {
    /// Sets theory beside what the methods in [`MEASURED`] come to on `row`, which is assurance.
    pub(crate) fn new(
        cells: &Cells,
        row: &Row,
        cell: impl Fn(&Column) -> Result<Cell>,
    ) -> Result<Self> {
        let ends = |column: &Column| -> Result<Vec<bool>> {
            Ok(cell(column)?.runs.iter().map(Run::succeeded).collect())
        };
        let (mut measured, mut factored_ends) = (Vec::new(), Vec::new());
        for (factored, others) in MEASURED {
            let reference = ends(factored)?;
            for column in std::iter::once(&factored).chain(others) {
                let ends = ends(column)?;
                let success = Count::of(ends.iter().copied());
                measured.push(Measured {
                    method: column.name,
                    description: column.description,
                    batch: column.config(cells.steps).batch,
                    success,
                    interval: success.interval(),
                    as_factored: agreement(&ends, &reference),
                });
            }
            factored_ends.push(reference);
        }

        let (tasks, seeds) = row.runs(cells.seeds)?;
        let starts = starts(&FACTORED.config(cells.steps), &tasks, &seeds, cells.threads)?;
        let spread = FACTORED.config(cells.steps).network.output_spread;
        let prediction = |flow: Flow| {
            let predicted: Vec<bool> = starts.iter().map(|&start| flow.succeeds(start)).collect();
            let agreement = factored_ends.iter().map(|ends| agreement(&predicted, ends));
            Prediction {
                flow: flow.name(),
                description: flow.description(),
                expected: flow.expected(spread),
                agreement: agreement.collect(),
                predicted: Count::of(predicted.iter().copied()),
            }
        };
        Ok(Self {
            spread,
            predictions: Flow::ALL.map(prediction).into(),
            measured,
        })
    }
}

fn agreement(some: &[bool], others: &[bool]) -> Count {
    Count::of(std::iter::zip(some, others).map(|(one, other)| one == other))
}

/// (d_1, d_2) of every run's first policies on assurance: those of a run of one update that moves
/// nothing.
pub(crate) fn starts(
    config: &Config,
    tasks: &[Task],
    seeds: &[u64],
    threads: usize,
) -> Result<Vec<[f64; 2]>> {
    let spec = tasks[0].spec();
    let mut config = Config {
        steps: (config.parallel(&spec) * config.rollout_length(&spec)) as u64,
        ..config.clone()
    };
    config.factored.learning_rate = 0.0;
    config.annealed.learning_rate = 0.0;
    config.coma.get_or_insert_default().learning_rate = 0.0;
    let maddpg = config.maddpg.get_or_insert_default();
    maddpg.off_policy.gradient_steps = 0.0;
    let device = config.device.open()?;
    let outcomes = train(&config, tasks, seeds, &device, threads, &|_| {})?;
    let start = |networks| {
        let team = actors(networks)?;
        let difference = |agent| -> Result<f64> {
            // The constant that an agent sees who has nothing to see.
            let (logits, _) = team.logits(agent, &[1.0])?;
            Ok(f64::from(logits[0]) - f64::from(logits[1]))
        };
        Ok([difference(0)?, difference(1)?])
    };
    outcomes
        .iter()
        .map(|outcome| start(&outcome.best().marginals))
        .collect()
}

impl Flow {
    fn name(self) -> &'static str {
        match self {
            Self::Adam => "adam",
            Self::Gradient => "gradient",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Adam => "Adam, every logit at one speed",
            Self::Gradient => "the gradient itself",
        }
    }
}

#[cfg(test)]
mod tests {
    use consort_trainer::rng::Stream;

    use super::*;

    fn sigmoid(d: f64) -> f64 {
        1.0 / (1.0 + (-d).exp())
    }

    /// How fast a logit moves, s, at slope `pull` and with probability `p` of action 0.
    type Speed = fn(pull: f64, p: f64) -> f64;

    /// Both flows from their definitions, and the one that has the basin of Adam's.
    const FLOWS: [(Flow, Speed); 3] = [
        (Flow::Adam, |pull, _| pull.signum()),
        (Flow::Adam, |pull, p| pull * (p * (1.0 - p)).sqrt()),
        (Flow::Gradient, |pull, p| pull * p * (1.0 - p)),
    ];

    /// Follows a flow until its end is certain: Runge and Kutta's fourth-order method.
    fn integrate(speed: Speed, mut d: [f64; 2]) -> bool {
        const H: f64 = 0.005;
        let slope = |own, other| speed(20.0 * sigmoid(other) - 15.0, sigmoid(own));
        let field = |d: [f64; 2]| [slope(d[0], d[1]), slope(d[1], d[0])];
        let step = |d: [f64; 2], k: [f64; 2], h: f64| [d[0] + h * k[0], d[1] + h * k[1]];
        for _ in 0..4_000_000 {
            if d[0].max(d[1]) < TURN - H {
                return true;
            }
            if d[0].min(d[1]) > TURN + H {
                return false;
            }
            let k_1 = field(d);
            let k_2 = field(step(d, k_1, H / 2.0));
            let k_3 = field(step(d, k_2, H / 2.0));
            let k_4 = field(step(d, k_3, H));
            for i in 0..2 {
                d[i] += H / 6.0 * (k_1[i] + 2.0 * k_2[i] + 2.0 * k_3[i] + k_4[i]);
            }
        }
        panic!("{d:?} stays between the quadrants");
    }

    #[test]
    fn basins_are_those_of_the_integrated_flows() {
        let mut stream = Stream::new(0, "starts", 0);
        for (flow, speed) in FLOWS {
            let mut compared = 0;
            while compared < 200 {
                let d = [2.0 * stream.normal(), 2.0 * stream.normal()];
                // On the separatrix itself the integrator's step decides.
                if (d[1] - flow.boundary(d[0])).abs() > 0.05 {
                    assert_eq!(flow.succeeds(d), integrate(speed, d), "{flow:?} {d:?}");
                    compared += 1;
                }
            }
        }
    }

    #[test]
    fn the_diagonal_parts_at_three_quarters_and_agents_are_alike() {
        let logit = |p: f64| (p / (1.0 - p)).ln();
        let mut stream = Stream::new(1, "starts", 0);
        for flow in Flow::ALL {
            assert!(flow.succeeds([logit(0.749); 2]) && !flow.succeeds([logit(0.751); 2]));
            for _ in 0..1_000 {
                let [a, b] = [2.0 * stream.normal(), 2.0 * stream.normal()];
                assert_eq!(flow.succeeds([a, b]), flow.succeeds([b, a]));
            }
        }
    }

    #[test]
    fn adams_separatrix_is_a_line() {
        for d in [-3.0, 0.0, TURN, 2.0, 5.0] {
            assert!((Flow::Adam.boundary(d) - (2.0 * TURN - d)).abs() < 1e-12);
        }
        for spread in [0.25, 1.0, 3.0] {
            let expected = normal_cdf(TURN / spread);
            assert!(
                (Flow::Adam.expected(spread) - expected).abs() < 1e-6,
                "{spread}"
            );
        }
        // Φ(1.0986), from a table.
        assert!((Flow::Adam.expected(1.0) - 0.8640).abs() < 1e-4);
        assert_eq!(Flow::Adam.expected(0.0), 1.0);
    }

    #[test]
    fn expectations_are_the_fractions_of_drawn_starts() {
        let mut stream = Stream::new(2, "starts", 0);
        let mut draw = || std::f64::consts::SQRT_2 * stream.normal();
        let starts: Vec<[f64; 2]> = (0..40_000).map(|_| [draw(), draw()]).collect();
        for flow in Flow::ALL {
            let found = Count::of(starts.iter().map(|&start| flow.succeeds(start))).fraction();
            // Standard error at most √(.16·.84/40000) = .0018; four of them.
            assert!(
                (found - flow.expected(1.0)).abs() < 0.0075,
                "{flow:?} {found}"
            );
        }
    }
}
