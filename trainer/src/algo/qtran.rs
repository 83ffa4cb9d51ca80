//! QTRAN-base: agents' values that add up to the team's only where it counts.
//!
//! ```text
//! L_td   = E[ (Q(x, a) − y)² ]                                   y = r + γ Q⁻(x', a⁺)
//! L_opt  = E[ (Q'(ā) − Q̂(x, ā) + V(x))² ]
//! L_nopt = E[ min(Q'(a) − Q̂(x, a) + V(x), 0)² ]
//! L      = L_td + λ_opt L_opt + λ_nopt L_nopt
//! ```
//!
//! Son et al. 2019, equations 4, 6 and 7. Q'(a) = Σ_i Q_i(h_i, a_i); ā and a⁺ are what every
//! agent values most, now and next; Q is a value of joint actions and V of what the team sees; Q̂ is
//! Q held constant. Where both conditions hold for all actions, what every agent values most is
//! what the team should do, whatever Q is like (their theorem 1): V makes up for what Q' misses at
//! ā, and nowhere else need Q' + V do more than not fall below Q.

use candle_core::{D, Result, Tensor, Var};
use serde::{Deserialize, Serialize};

use super::explore::{Exploration, best, explore, of_actions};
use super::off_policy::{Loss, Making, OffPolicy, Rule, Shown, weighted};
use super::sample::{Central, Sample};
use super::value::{ValueConfig, from_zero};
use super::{Algorithm, JointValues, streams};
use crate::net::choices::one_hot;
use crate::net::critic::View;
use crate::net::{ActionCritic, Choices, Critic, Marginals, Rows};
use crate::rng::Stream;

/// What QTRAN is set to beside what value-based learners have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QtranConfig {
    /// λ_opt: weight of the condition on what is best.
    pub optimal: f64,
    /// λ_nopt: weight of the condition on what is done.
    pub other: f64,
}

impl Default for QtranConfig {
    fn default() -> Self {
        Self {
            optimal: 1.0,
            other: 1.0,
        }
    }
}

/// The rule.
struct Qtran {
    config: QtranConfig,
    trace: f64,
    exploration: Exploration,
    /// A as the widest set of an agent's actions: of the team N·A.
    actions: usize,
    /// Q and V.
    team: ActionCritic,
    baseline: Critic,
    late_team: ActionCritic,
}

/// A learner for every seed.
pub(super) fn make(
    value: &ValueConfig,
    config: &QtranConfig,
    making: &Making<'_>,
) -> Result<Box<dyn Algorithm>> {
    let network = &from_zero(making.network);
    let making = Making { network, ..*making };
    let rule = Qtran::new(value, config, &making)?;
    let marginals = making.marginals("marginals")?;
    let learner = OffPolicy::new(rule, marginals, &value.off_policy, &making)?;
    Ok(Box::new(learner))
}

impl Qtran {
    fn new(value: &ValueConfig, config: &QtranConfig, making: &Making<'_>) -> Result<Self> {
        let Making { spec, network, .. } = *making;
        let actions = spec.widest_actions();
        let flat = spec.agents.len() * actions;
        let team = || {
            let mut streams = streams(making.seeds, "team value");
            ActionCritic::new(spec, network, flat, &mut streams, making.device)
        };
        let mut of_baseline = streams(making.seeds, "critic");
        Ok(Self {
            config: config.clone(),
            trace: value.trace,
            exploration: value.exploration,
            actions,
            team: team()?,
            late_team: team()?,
            baseline: Critic::new(
                spec,
                network,
                View::Central,
                &mut of_baseline,
                making.device,
            )?,
        })
    }
}

/// The three errors of steps, before they are squared, `[R, S]` each: of the team's values
/// `taken` of what was done and `ideal` of what the agents value most; the sums of the agents'
/// values of both, and V.
struct Errors {
    temporal: Tensor,
    optimal: Tensor,
    other: Tensor,
}

impl Errors {
    fn new(
        [taken, ideal]: [&Tensor; 2],
        [sum_taken, sum_ideal]: [&Tensor; 2],
        baseline: &Tensor,
        target: &Tensor,
    ) -> Result<Self> {
        let missing = |sum: &Tensor, value: &Tensor| (sum - value.detach())? + baseline;
        Ok(Self {
            temporal: (taken - target)?,
            optimal: missing(sum_ideal, ideal)?,
            other: missing(sum_taken, taken)?.minimum(0.0)?,
        })
    }
}

impl Rule for Qtran {
    const CENTRAL: Central = Central::Everything;

    fn moved(&self, marginals: &Marginals) -> Vec<Vec<Var>> {
        vec![
            [
                marginals.variables(),
                self.team.variables(),
                self.baseline.variables(),
            ]
            .concat(),
        ]
    }

    fn copied(&self, _: &Marginals) -> [Vec<Var>; 2] {
        [self.team.variables(), self.late_team.variables()]
    }

    fn loss(
        &self,
        _: usize,
        marginals: &Marginals,
        sample: &Sample,
        _: &mut [Stream],
    ) -> Result<Loss> {
        let (rows, agents) = (&sample.rows, marginals.agents());
        let values = marginals.scores_through(&sample.own, rows, &[])?;
        // What is best in every row: the first rows' for the conditions, the last ones' for y.
        let ideal = best(&values, &sample.forbidden, agents)?;
        let hot = one_hot(&ideal, self.actions)?;
        let values = sample.before(&values)?;
        let sums = [
            of_actions(&values, &sample.actions, agents)?.sum(D::Minus1)?,
            of_actions(&values, &sample.before(&ideal)?, agents)?.sum(D::Minus1)?,
        ];

        let late = self.late_team.features(&sample.central, rows)?;
        let next = (self.late_team).values(&sample.after(&late)?, &sample.after(&hot)?)?;
        let target = sample.returns(&next.detach().unsqueeze(2)?, self.trace)?;
        let target = target.squeeze(2)?;

        let seen = sample.before(&sample.central)?;
        let acted = rows.until(rows.time - 1);
        let features = self.team.features(&seen, &acted)?;
        let taken = one_hot(&sample.actions, self.actions)?;
        let taken = self.team.values(&features, &taken)?;
        let ideal = self.team.values(&features, &sample.before(&hot)?)?;
        let (baseline, _) = self.baseline.forward(&[seen], &acted, &[])?;

        let errors = Errors::new([&taken, &ideal], [&sums[0], &sums[1]], &baseline, &target)?;
        let error = errors.temporal.sqr()?;
        let conditions = ((errors.optimal.sqr()? * self.config.optimal)?
            + (errors.other.sqr()? * self.config.other)?)?;
        Ok(Loss {
            total: weighted(&(&error + conditions)?, &sample.weights)?,
            measured: Some([error, taken]),
        })
    }

    fn explore(
        &self,
        marginals: &Marginals,
        features: &[Tensor],
        rows: &Rows,
        forbidden: Option<&Tensor>,
        time: f64,
        dice: &mut [Stream],
    ) -> Result<Choices> {
        let epsilon = self.epsilon(time);
        explore(marginals, features, rows, forbidden, epsilon, dice)
    }

    fn worth(
        &self,
        marginals: &Marginals,
        shown: &Shown,
        actions: &Tensor,
    ) -> Result<Option<JointValues>> {
        let Shown { rows, own, central } = shown;
        let values = marginals.scores_through(own, rows, &[])?;
        let sum = of_actions(&values, actions, marginals.agents())?.sum(D::Minus1)?;
        let (baseline, _) = self
            .baseline
            .forward(std::slice::from_ref(central), rows, &[])?;
        let features = self.team.features(central, rows)?;
        let team = (self.team).values(&features, &one_hot(actions, self.actions)?)?;
        Ok(Some(JointValues {
            team,
            apart: (sum + baseline)?,
        }))
    }

    fn epsilon(&self, time: f64) -> f64 {
        self.exploration.at(time)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::config::{Config, Method};
    use crate::env::Task;
    use crate::train::train;

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::from_slice(values, (1, values.len()), &Device::Cpu).unwrap()
    }

    /// The sum of the squares of each error over assurance's four joint actions, with agents'
    /// values `own` = [[Q_0(0), Q_0(1)], [Q_1(0), Q_1(1)]] and V.
    fn losses(own: [[f32; 2]; 2], v: f32) -> [f32; 3] {
        let payoffs = [0.0_f32, -5.0, -5.0, 10.0];
        let best = own.map(|[a, b]| usize::from(b > a));
        let sum = |a: usize, b: usize| own[0][a] + own[1][b];
        let sums = [sum(0, 0), sum(0, 1), sum(1, 0), sum(1, 1)];
        let ideal = 2 * best[0] + best[1];
        // A Q that knows the table.
        let errors = Errors::new(
            [&tensor(&payoffs), &tensor(&[payoffs[ideal]; 4])],
            [&tensor(&sums), &tensor(&[sums[ideal]; 4])],
            &tensor(&[v; 4]),
            &tensor(&payoffs),
        )
        .unwrap();
        [errors.temporal, errors.optimal, errors.other]
            .map(|error| error.sqr().unwrap().sum_all().unwrap().to_scalar().unwrap())
    }

    /// Q_i = (−5, 5) and V = 0: Q' = −10, 0, 0, 10. At ā = (1, 1) Q' + V = 10 = Q. Elsewhere
    /// Q' + V − Q is −10 at (0, 0), 5 at the mixed ones: the first violates the second condition by
    /// 10. Q_i = (0, 5) and V = 0: Q' = 0, 5, 5, 10 is never below 0, −5, −5, 10, and equals it at
    /// ā: both conditions hold and the loss is 0, though Q' is wrong by 10 twice. Agents that value
    /// safety more, Q_i = (0, −5): ā = (0, 0), where Q' = Q = 0; but at (1, 1) Q' + V = −10 is 20
    /// below Q = 10, and no V helps: V = 20 mends that and is 20 too much at ā.
    #[test]
    fn both_conditions_hold_at_the_optimum_of_a_table_and_only_there() {
        assert_eq!(losses([[0.0, 5.0]; 2], 0.0), [0.0, 0.0, 0.0]);
        // Shifted between agents and V, nothing changes.
        assert_eq!(losses([[3.0, 8.0], [-1.0, 4.0]], -2.0), [0.0, 0.0, 0.0]);
        assert_eq!(losses([[-5.0, 5.0]; 2], 0.0), [0.0, 0.0, 100.0]);
        assert_eq!(losses([[0.0, -5.0]; 2], 0.0), [0.0, 0.0, 400.0]);
        assert_eq!(losses([[0.0, -5.0]; 2], 20.0), [0.0, 1600.0, 0.0]);
    }

    /// At ā ≠ optimum no agents' values and no V meet both conditions: (ii) at the optimum a* says
    /// Q'(a*) + V ≥ Q(a*), (i) at ā says Q'(ā) + V = Q(ā) < Q(a*), so Q'(a*) > Q'(ā), though ā is
    /// what every agent values most. A grid of them never comes near 0.
    #[test]
    fn no_values_that_miss_the_optimum_meet_both() {
        let steps = || (-6..=6).map(|x| 2.0 * x as f32);
        for (a, b) in steps().flat_map(|a| steps().map(move |b| (a, b))) {
            for v in steps() {
                let [_, optimal, other] = losses([[a, b], [0.0, -1.0]], v);
                assert!(optimal + other > 1.0, "{a} {b} {v}: {optimal} {other}");
            }
        }
    }

    /// Gradients go where the paper says: the conditions move agents' values and V, never Q.
    #[test]
    fn conditions_do_not_move_the_teams_value() {
        let var = |values: &[f32]| Var::from_tensor(&tensor(values)).unwrap();
        let (taken, ideal, own, v) = (var(&[3.0]), var(&[2.0]), var(&[1.0]), var(&[0.5]));
        let errors = Errors::new(
            [taken.as_tensor(), ideal.as_tensor()],
            [own.as_tensor(), own.as_tensor()],
            v.as_tensor(),
            &tensor(&[0.0]),
        )
        .unwrap();
        let both = (errors.optimal.sqr().unwrap() + errors.other.sqr().unwrap()).unwrap();
        let gradients = both.sum_all().unwrap().backward().unwrap();
        assert!(gradients.get(&taken).is_none() && gradients.get(&ideal).is_none());
        // (1 − 2 + .5) = −.5 and min(1 − 3 + .5, 0) = −1.5: d/dV = 2 (−.5 − 1.5) = −4.
        for variable in [&own, &v] {
            let slope: Vec<f32> = gradients
                .get(variable)
                .unwrap()
                .flatten_all()
                .unwrap()
                .to_vec1()
                .unwrap();
            assert_eq!(slope, [-4.0]);
        }
    }

    /// Climbing has no additive or monotonic fit whose best cell is the table's; QTRAN's
    /// conditions can be met there.
    #[test]
    fn qtran_climbs() {
        let task = Task::find("climbing").unwrap();
        let mut value = ValueConfig::default();
        value.exploration.end = 1.0;
        value.off_policy.learning_rate = 0.005;
        let config = Config {
            method: Method::Qtran,
            steps: 16_000,
            value: Some(value),
            ..Config::default()
        };
        let outcomes = train(&config, &[task], &[0], &Device::Cpu, 1, &|_| ()).unwrap();
        assert_eq!(outcomes[0].best().values.unwrap().greedy, 11.0);
    }
}
