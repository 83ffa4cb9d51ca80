//! The exact best decentralised policy of a one-shot game, by branch and bound.
//!
//! The value of a product policy is linear in each π_i(· | o_i) while the others are held, so
//! some deterministic policy is the best of all; a coin, even a shared one, adds nothing. Finding
//! it is NP-hard (Tsitsiklis & Athans, *On the Complexity of Decentralized Decision Making and
//! Detection Problems*, IEEE TAC 1985), hence a search with a budget.
//!
//! Every agent but one, the *responder*, decides on an action for each of its observations, one
//! decision at a time. The bound lets the undecided agents see everything, the responder's action
//! included, but holds the responder to its own observation:
//!
//!   bound = Σ_{o_r} max_{a_r} Σ_{o_−r} P(o) max_{a of the undecided} R(o, a)
//!
//! This never falls short of what a completion can earn, and with everything decided it is the
//! value of the responder's best reply. Search over such partial policies is that of Oliehoek,
//! Spaan, Dibangoye & Amato, *Heuristic Search for Identical Payoff Bayesian Games*, AAMAS 2010.
//! Children are tried best bound first, which finds the optimum so early that being told it in
//! advance would save less than a tenth of the nodes on random games: no other heuristic is used.

mod relaxed;

use std::fmt;

use super::Game;
use relaxed::{Relaxed, policies_log10};

/// A budget of about ten seconds: 10^8 steps take half a second or less.
pub const DEFAULT_BUDGET: u64 = 2_000_000_000;

/// A best decentralised policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// What it earns: the greatest expected payoff of agents that act apart, up to a billionth
    /// of the payoffs' range.
    pub value: f64,
    /// What a team would earn whose members see all observations.
    pub joint_value: f64,
    /// The action of each agent for each of its observations, `[N][|O_i|]`.
    pub actions: Vec<Vec<usize>>,
    /// How many partial policies were expanded.
    pub nodes: u64,
    /// How many deterministic decentralised policies there are.
    pub policies: PolicyCount,
}

/// Why there is no solution.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SolveError {
    /// The budget ran out before the search was over.
    #[error(
        "`{game}` is too large to solve exactly: it has {policies} decentralised policies, and \
         after {nodes} nodes ({budget} steps) the best value lies between {found:.6} (found) \
         and {bound:.6} (bound)"
    )]
    Budget {
        /// The game's name.
        game: String,
        /// How many deterministic decentralised policies there are.
        policies: PolicyCount,
        /// How many partial policies were expanded.
        nodes: u64,
        /// The budget, in steps.
        budget: u64,
        /// The value of the best policy found.
        found: f64,
        /// A value that no policy exceeds.
        bound: f64,
    },
}

/// The number of deterministic decentralised policies, Π A_i^|O_i|, kept as its logarithm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PolicyCount {
    /// log₁₀ of the number.
    pub log10: f64,
}

impl fmt::Display for PolicyCount {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.log10 < 9.0 {
            write!(f, "{:.0}", 10_f64.powf(self.log10))
        } else {
            let mantissa = 10_f64.powf(self.log10.fract());
            write!(f, "about {mantissa:.1}e{}", self.log10.trunc())
        }
    }
}

/// The best decentralised policy of `game`, or a refusal once `budget` steps (additions to a
/// bound) are spent. Some policy is always found.
pub fn solve(game: &Game, budget: u64) -> Result<Solution, SolveError> {
    let relaxed = Relaxed::new(game);
    let mut search = Search::new(game, &relaxed, budget);
    search.expand(0, relaxed.value(&search.totals[0]));

    let actions = relaxed.assemble(game, &search.best, &search.best_totals);
    let value = game.greedy_value(&actions);
    let agents = 0..game.agents();
    let policies = PolicyCount {
        log10: agents.map(|agent| policies_log10(game, agent)).sum(),
    };
    if search.is_hopeful(search.open) {
        return Err(SolveError::Budget {
            game: game.name().to_owned(),
            policies,
            nodes: search.nodes,
            budget,
            found: value,
            bound: search.open,
        });
    }
    Ok(Solution {
        value,
        joint_value: game.joint_value(),
        actions,
        nodes: search.nodes,
        policies,
    })
}

/// A depth-first search through partial policies.
struct Search<'a> {
    relaxed: &'a Relaxed,
    budget: u64,
    /// The action of each decision made so far, `[decisions]`.
    chosen: Vec<usize>,
    /// For each joint observation, the decided actions as one index: see [`Relaxed::row`].
    prefix: Vec<usize>,
    /// What the responder can expect after each number of decisions, `[decisions + 1]`, by its
    /// observation and reply: `[|O_r|, A_r]`.
    totals: Vec<Vec<f64>>,
    /// The best policy found: its value, decisions and the responder's prospects under it.
    best_value: f64,
    best: Vec<usize>,
    best_totals: Vec<f64>,
    /// The greatest bound of a node that was left unexpanded for want of budget.
    open: f64,
    /// Bounds that exceed the best value by less are rounding, not hope.
    slack: f64,
    nodes: u64,
    steps: u64,
}

impl<'a> Search<'a> {
    fn new(game: &Game, relaxed: &'a Relaxed, budget: u64) -> Self {
        let decisions = relaxed.decisions.len();
        let root = relaxed.root(game);
        let (low, high) = game.payoff_range();
        Self {
            relaxed,
            budget,
            chosen: vec![0; decisions],
            prefix: vec![0; game.observations().count()],
            totals: vec![root; decisions + 1],
            best_value: f64::NEG_INFINITY,
            best: Vec::new(),
            best_totals: Vec::new(),
            open: f64::NEG_INFINITY,
            slack: 1e-9 * (high - low) + 1e-12 * low.abs().max(high.abs()),
            nodes: 0,
            steps: 0,
        }
    }

    fn is_hopeful(&self, bound: f64) -> bool {
        bound > self.best_value + self.slack
    }

    /// Looks at all policies that make the first `depth` decisions as chosen.
    fn expand(&mut self, depth: usize, bound: f64) {
        if !self.is_hopeful(bound) {
            return;
        }
        let Some(decision) = self.relaxed.decisions.get(depth) else {
            self.best_value = bound;
            self.best.clone_from(&self.chosen);
            self.best_totals.clone_from(&self.totals[depth]);
            return;
        };
        // The first descent is always finished, so that there is a policy to show.
        if self.steps >= self.budget && self.best_value.is_finite() {
            self.open = self.open.max(bound);
            return;
        }
        self.nodes += 1;
        let mut children: Vec<(f64, usize)> = (0..decision.actions)
            .map(|action| (self.decide(depth, action), action))
            .collect();
        children.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        for (bound, action) in children {
            self.decide(depth, action);
            self.chosen[depth] = action;
            for &(o, _) in &decision.outcomes {
                self.prefix[o] = self.prefix[o] * decision.actions + action;
            }
            self.expand(depth + 1, bound);
            for &(o, _) in &decision.outcomes {
                self.prefix[o] /= decision.actions;
            }
        }
    }

    /// Fills `totals[depth + 1]` for decision `depth` taken as `action`, and gives its bound.
    fn decide(&mut self, depth: usize, action: usize) -> f64 {
        let relaxed = self.relaxed;
        let decision = &relaxed.decisions[depth];
        let (before, after) = self.totals.split_at_mut(depth + 1);
        let totals = &mut after[0];
        totals.clone_from(&before[depth]);
        for &(o, o_r) in &decision.outcomes {
            let undecided = relaxed.row(decision.rank, o, self.prefix[o]);
            let decided = self.prefix[o] * decision.actions + action;
            let decided = relaxed.row(decision.rank + 1, o, decided);
            let totals = &mut totals[o_r * relaxed.replies..][..relaxed.replies];
            for (total, (new, old)) in totals.iter_mut().zip(decided.iter().zip(undecided)) {
                *total += new - old;
            }
        }
        self.steps += (decision.outcomes.len() * relaxed.replies + totals.len()) as u64;
        relaxed.value(totals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::builtin::{BUILTINS, RANDOM_FAMILIES};
    use crate::env::joint::JointSpace;
    use crate::rng::Stream;

    /// Every deterministic policy in turn: the best value.
    fn enumerate(game: &Game) -> f64 {
        let observations = game.observations().sizes();
        let local = std::iter::zip(observations, game.actions().sizes());
        let per_pair: Vec<usize> = local.flat_map(|(&o, &a)| vec![a; o]).collect();
        let policies = JointSpace::new(&per_pair, 1 << 20).unwrap();
        let values = (0..policies.count()).map(|index| {
            let mut parts = policies.split(index);
            let policy = observations
                .iter()
                .map(|&o| parts.by_ref().take(o).collect());
            game.greedy_value(&policy.collect::<Vec<Vec<usize>>>())
        });
        values.fold(f64::NEG_INFINITY, f64::max)
    }

    fn random(seed: u64, actions: &[usize], observations: &[usize]) -> Game {
        let mut stream = Stream::new(seed, "test", 0);
        // A quarter of the joint observations is impossible.
        let draw = |stream: &mut Stream| (stream.uniform() - 0.25).max(0.0);
        let joint: usize = observations.iter().product();
        let mut weights: Vec<f64> = (0..joint).map(|_| draw(&mut stream)).collect();
        weights[0] += 0.1;
        let total: f64 = weights.iter().sum();
        let probability = weights.iter().map(|weight| weight / total).collect();
        let payoff = |_: &[usize], _: &[usize]| stream.normal();
        Game::from_fn("random", actions, observations, probability, payoff).unwrap()
    }

    #[test]
    fn built_in_games_have_their_known_optima() {
        let known = [
            ("assurance", 10.0, 10.0),
            ("climbing", 11.0, 11.0),
            ("penalty", 10.0, 10.0),
            ("weak-link-10", 10.0, 10.0),
            ("weak-link-3x4", 3.0, 3.0),
            ("xor-safe", 3.0, 10.0),
            ("climbing-private", 11.0, 11.0),
            ("climbing-xor", 14.0, 21.0),
            ("chsh", 0.75, 1.0),
            ("common-private", 11.0, 11.0),
        ];
        assert_eq!(known.len(), BUILTINS.len());
        for (builtin, (name, value, joint)) in BUILTINS.iter().zip(known) {
            let game = builtin.game();
            let solution = solve(&game, DEFAULT_BUDGET).unwrap();
            assert_eq!(builtin.name, name);
            assert_eq!(
                (solution.value, solution.joint_value),
                (value, joint),
                "{name}"
            );
            assert_eq!(game.greedy_value(&solution.actions), value);
        }
    }

    #[test]
    fn agrees_with_enumeration() {
        let shapes: [(&[usize], &[usize]); 7] = [
            (&[4], &[5]),
            (&[3, 3], &[3, 3]),
            (&[2, 4], &[4, 2]),
            (&[1, 3], &[4, 3]),
            (&[2, 3, 2], &[2, 2, 3]),
            (&[3, 1, 2], &[2, 3, 4]),
            (&[2, 2, 2, 2], &[2, 1, 3, 2]),
        ];
        for (actions, observations) in shapes {
            for seed in 0..20 {
                let game = random(seed, actions, observations);
                let (found, best) = (
                    solve(&game, DEFAULT_BUDGET).unwrap().value,
                    enumerate(&game),
                );
                assert!(
                    (found - best).abs() < 1e-8,
                    "{actions:?} {seed}: {found} {best}"
                );
            }
        }
        for family in RANDOM_FAMILIES {
            let game = family.game(0);
            let value = solve(&game, DEFAULT_BUDGET).unwrap().value;
            assert!((value - enumerate(&game)).abs() < 1e-8, "{}", family.name);
        }
    }

    #[test]
    fn ties_everywhere_cost_one_descent() {
        let payoff = |_: &[usize], _: &[usize]| 0.1;
        let third = vec![1.0 / 216.0; 216];
        let game = Game::from_fn("flat", &[4; 3], &[6; 3], third, payoff).unwrap();
        let solution = solve(&game, DEFAULT_BUDGET).unwrap();
        // Two deciders with six observations each.
        assert_eq!(solution.nodes, 12);
        assert!((solution.value - 0.1).abs() < 1e-12);
    }

    #[test]
    fn bounds_replace_enumeration_on_a_large_game() {
        let game = random(1, &[5; 3], &[4; 3]);
        let solution = solve(&game, DEFAULT_BUDGET).unwrap();
        // 5^12 policies; 5^8 even with best replies.
        assert_eq!(solution.policies.to_string(), "244140625");
        assert!(solution.nodes < 100_000, "{}", solution.nodes);
        // No agent alone can do better: every unilateral change of one action loses.
        for agent in 0..3 {
            for observation in 0..4 {
                for action in 0..5 {
                    let mut other = solution.actions.clone();
                    other[agent][observation] = action;
                    assert!(game.greedy_value(&other) <= solution.value + 1e-12);
                }
            }
        }
    }

    #[test]
    fn a_spent_budget_is_a_refusal_with_the_size_and_what_is_known() {
        let game = random(2, &[5; 3], &[4; 3]);
        let value = solve(&game, DEFAULT_BUDGET).unwrap().value;
        for budget in [0, 1_000, 100_000] {
            let error = solve(&game, budget).unwrap_err();
            let SolveError::Budget { found, bound, .. } = &error;
            assert!(*found <= value && value <= *bound && *bound <= game.joint_value() + 1e-9);
            let message = error.to_string();
            assert!(
                message.contains("244140625 decentralised policies"),
                "{message}"
            );
        }
    }

    #[test]
    fn huge_counts_are_rounded() {
        let count = |log10| PolicyCount { log10 }.to_string();
        assert_eq!(count(6.0 * 3_f64.log10()), "729");
        assert_eq!(count(40.0 * 2_f64.log10()), "about 1.1e12");
        assert_eq!(count(1000.0), "about 1.0e1000");
    }
}
