//! Why plain policy gradient fails on assurance, and how often.
//!
//! Payoffs [[0, −5], [−5, 10]]; let p and q be the agents' probabilities of action 0, and d_1 and
//! d_2 their logits of action 0 minus those of action 1, so that p = σ(d_1), q = σ(d_2). Then
//!
//!     J = 10 − 15 p − 15 q + 20 p q,    ∂J/∂p = 20 q − 15,    ∂J/∂q = 20 p − 15:
//!
//! each agent moves towards the bad action 0 exactly while the other plays it more often than 3
//! times in 4, that is while the other's d exceeds ln 3. In the quadrant where both do, the team
//! ends at 0; where neither does, at 10; in the other two it is a race, decided by how fast a
//! logit moves for a given slope: by the optimiser ([`Flow`]). The saddle is d_1 = d_2 = ln 3.

use anyhow::Result;
use consort_trainer::train::train;
use serde::Serialize;

use super::cells::{Cell, Cells};
use super::design::{FACTORED, Row};
use super::export::actors;
use crate::statistics::{Count, Interval, normal_cdf};

/// ln 3, where the other agent's preference turns an agent around.
const TURN: f64 = 1.098_612_288_668_109_8;

/// The policy gradient as an optimiser follows it, in continuous time and without noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// ḋ_1 = sign(20 q − 15): Adam, which moves every logit at one speed.
    Adam,
    /// ḋ_1 = √(p (1−p)) · (20 q − 15): Adam where it divides by noise, since the deviation of
    /// ∂ log π_1 is √(p (1−p)).
    AdamInNoise,
    /// ḋ_1 = p (1−p) · (20 q − 15): the gradient itself.
    Gradient,
}

impl Flow {
    pub(crate) const ALL: [Self; 3] = [Self::Adam, Self::AdamInNoise, Self::Gradient];

    /// Whether the team that starts at (d_1, d_2) ends at the optimum.
    ///
    /// Every flow is ḋ_1 = s(d_1) g(d_2), ḋ_2 = s(d_2) g(d_1) with g < 0 below ln 3 and > 0 above:
    /// so E(d_1) − E(d_2) is conserved, with E' = g/s, and a path's end is that of the agent which
    /// reaches ln 3 first. E is least at ln 3; whoever is nearer to it in E gets there first.
    pub(crate) fn succeeds(self, [a, b]: [f64; 2]) -> bool {
        let (low, high) = (a.min(b), a.max(b));
        high < TURN || (low < TURN && self.energy(high) < self.energy(low))
    }

    /// E(d) = ∫ g/s: |d − ln 3|; 10 e^(d/2) + 30 e^(−d/2); 5 e^d − 10 d + 15 e^(−d).
    fn energy(self, d: f64) -> f64 {
        match self {
            Self::Adam => (d - TURN).abs(),
            Self::AdamInNoise => 10.0 * (d / 2.0).exp() + 30.0 * (-d / 2.0).exp(),
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
    /// Seeds that end as their start says.
    pub(crate) agreement: Count,
}

/// How often a method succeeded.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) method: String,
    pub(crate) success: Count,
    pub(crate) interval: Interval,
    /// Seeds that end as plain policy gradient does.
    pub(crate) as_factored: Count,
}

impl Basin {
    /// Sets theory beside `factored`, a cell of assurance, and that beside `others`.
    pub(crate) fn new(cells: &Cells, row: &Row, factored: &Cell, others: &[Cell]) -> Result<Self> {
        let starts = starts(cells, row)?;
        let ends: Vec<bool> = factored.runs.iter().map(|run| run.succeeded()).collect();
        let spread = FACTORED.config(cells.steps).network.output_spread;
        let prediction = |flow: Flow| {
            let predicted: Vec<bool> = starts.iter().map(|&start| flow.succeeds(start)).collect();
            Prediction {
                flow: flow.name(),
                description: flow.description(),
                expected: flow.expected(spread),
                agreement: agreement(&predicted, &ends),
                predicted: Count::of(predicted),
            }
        };
        let measured = |cell: &Cell| {
            let other: Vec<bool> = cell.runs.iter().map(|run| run.succeeded()).collect();
            let success = Count::of(other.iter().copied());
            Measured {
                method: cell.facts.column.clone(),
                success,
                interval: success.interval(),
                as_factored: agreement(&other, &ends),
            }
        };
        Ok(Self {
            spread,
            predictions: Flow::ALL.into_iter().map(prediction).collect(),
            measured: std::iter::once(factored)
                .chain(others)
                .map(measured)
                .collect(),
        })
    }
}

fn agreement(some: &[bool], others: &[bool]) -> Count {
    Count::of(std::iter::zip(some, others).map(|(one, other)| one == other))
}

/// (d_1, d_2) of every run's first policies. A run of no steps is the team as it starts.
fn starts(cells: &Cells, row: &Row) -> Result<Vec<[f64; 2]>> {
    let config = FACTORED.config(0);
    let (tasks, seeds) = row.runs(cells.seeds)?;
    let device = config.device.open()?;
    let outcomes = train(&config, &tasks, &seeds, &device, cells.threads, &|_| {})?;
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
            Self::AdamInNoise => "adam-in-noise",
            Self::Gradient => "gradient",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Adam => "Adam, every logit at one speed",
            Self::AdamInNoise => "Adam, dividing by the noise of sampled gradients",
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

    /// ḋ_1, from the definition of the flow.
    fn slope(flow: Flow, own: f64, other: f64) -> f64 {
        let pull = 20.0 * sigmoid(other) - 15.0;
        let variance = sigmoid(own) * (1.0 - sigmoid(own));
        match flow {
            Flow::Adam => pull.signum(),
            Flow::AdamInNoise => variance.sqrt() * pull,
            Flow::Gradient => variance * pull,
        }
    }

    /// Follows a flow until its end is certain: Runge and Kutta's fourth-order method.
    fn integrate(flow: Flow, mut d: [f64; 2]) -> bool {
        let field = |d: [f64; 2]| [slope(flow, d[0], d[1]), slope(flow, d[1], d[0])];
        let step = |d: [f64; 2], k: [f64; 2], h: f64| [d[0] + h * k[0], d[1] + h * k[1]];
        const H: f64 = 0.005;
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
        panic!("{flow:?} stays between the quadrants at {d:?}");
    }

    #[test]
    fn basins_are_those_of_the_integrated_flows() {
        let mut stream = Stream::new(0, "starts", 0);
        for flow in Flow::ALL {
            let mut compared = 0;
            while compared < 200 {
                let d = [2.0 * stream.normal(), 2.0 * stream.normal()];
                // On the separatrix itself the integrator's step decides.
                if (d[1] - flow.boundary(d[0])).abs() > 0.05 {
                    assert_eq!(flow.succeeds(d), integrate(flow, d), "{flow:?} {d:?}");
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
