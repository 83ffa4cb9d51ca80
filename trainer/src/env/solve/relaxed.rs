//! The relaxation behind the solver's bound: see [`super`] for the formula.

use crate::env::Game;
use crate::env::game_value::max;

/// A game prepared for bounding: who decides what in which order, and the tables to look up what
/// the undecided could earn.
pub(super) struct Relaxed {
    responder: usize,
    /// A_r: the responder's number of actions.
    pub(super) replies: usize,
    /// In the order in which they are made.
    pub(super) decisions: Vec<Decision>,
    /// `best[k]`: P(o) max R(o, a) over the actions of all deciders but the first k,
    /// `[joint o, a of the first k deciders, a_r]`.
    best: Vec<Vec<f64>>,
}

/// One agent's choice of an action for one observation.
pub(super) struct Decision {
    agent: usize,
    observation: usize,
    /// The agent's number of actions.
    pub(super) actions: usize,
    /// The agent's place among the deciders.
    pub(super) rank: usize,
    /// The possible joint observations with this part, and the responder's part of each.
    pub(super) outcomes: Vec<(usize, usize)>,
}

impl Relaxed {
    pub(super) fn new(game: &Game) -> Self {
        let sizes = game.actions().sizes();
        // The agent with the most policies replies: those are the ones never enumerated. The
        // others decide in the same order, for with more observations each decision costs less.
        let mut agents: Vec<usize> = (0..game.agents()).collect();
        agents.sort_by(|&i, &j| policies_log10(game, j).total_cmp(&policies_log10(game, i)));
        let responder = agents[0];
        // Whoever has a single action has nothing to decide.
        let deciders: Vec<usize> = agents.drain(1..).filter(|&i| sizes[i] > 1).collect();

        let replies = sizes[responder];
        let mut table = weighted_table(game, &deciders, responder);
        let mut best = Vec::new();
        for &agent in deciders.iter().rev() {
            let smaller = maximise(&table, sizes[agent], replies);
            best.push(std::mem::replace(&mut table, smaller));
        }
        best.push(table);
        best.reverse();

        let ranks = deciders.iter().enumerate();
        let decisions = ranks.flat_map(|(rank, &agent)| decisions_of(game, agent, rank, responder));
        Self {
            responder,
            replies,
            decisions: decisions.collect(),
            best,
        }
    }

    /// What the undecided could earn at joint observation `o` for each reply, `[A_r]`, once the
    /// first `rank` deciders' actions there are `prefix` (row-major, the first decider slowest).
    pub(super) fn row(&self, rank: usize, o: usize, prefix: usize) -> &[f64] {
        let table = &self.best[rank];
        let prefixes = table.len() / self.best[0].len();
        // best[0] has one row for each joint observation.
        &table[(o * prefixes + prefix) * self.replies..][..self.replies]
    }

    /// The responder's prospects, `[|O_r|, A_r]`, before anything is decided.
    pub(super) fn root(&self, game: &Game) -> Vec<f64> {
        let observations = game.observations();
        let mut totals = vec![0.0; observations.sizes()[self.responder] * self.replies];
        for o in 0..observations.count() {
            let o_r = observations.part(o, self.responder);
            let totals = &mut totals[o_r * self.replies..][..self.replies];
            for (total, value) in totals.iter_mut().zip(self.row(0, o, 0)) {
                *total += value;
            }
        }
        totals
    }

    /// The value of the responder's best replies: Σ_{o_r} max_{a_r}.
    pub(super) fn value(&self, totals: &[f64]) -> f64 {
        totals.chunks_exact(self.replies).map(max).sum()
    }

    /// The policies, `[N][|O_i|]`, with these decisions and the best replies to them. What is
    /// never seen is answered with action 0.
    pub(super) fn assemble(
        &self,
        game: &Game,
        chosen: &[usize],
        totals: &[f64],
    ) -> Vec<Vec<usize>> {
        let sizes = game.observations().sizes();
        let mut actions: Vec<Vec<usize>> = sizes.iter().map(|&size| vec![0; size]).collect();
        for (decision, &action) in self.decisions.iter().zip(chosen) {
            actions[decision.agent][decision.observation] = action;
        }
        let replies = totals.chunks_exact(self.replies);
        actions[self.responder] = replies.map(first_best).collect();
        actions
    }
}

/// The decisions of one agent, those that weigh most first.
fn decisions_of(game: &Game, agent: usize, rank: usize, responder: usize) -> Vec<Decision> {
    let (observations, probability) = (game.observations(), game.probability());
    let new = |observation| Decision {
        agent,
        observation,
        actions: game.actions().sizes()[agent],
        rank,
        outcomes: Vec::new(),
    };
    let mut decisions: Vec<Decision> = (0..observations.sizes()[agent]).map(new).collect();
    for o in (0..observations.count()).filter(|&o| probability[o] > 0.0) {
        let outcome = (o, observations.part(o, responder));
        decisions[observations.part(o, agent)]
            .outcomes
            .push(outcome);
    }
    decisions.retain(|decision| !decision.outcomes.is_empty());
    let weight = |decision: &Decision| decision.outcomes.iter().map(|&(o, _)| probability[o]).sum();
    decisions.sort_by(|a, b| f64::total_cmp(&weight(b), &weight(a)));
    decisions
}

/// P(o) R(o, a), reordered to `[joint o, a of the deciders, a_r]`.
fn weighted_table(game: &Game, deciders: &[usize], responder: usize) -> Vec<f64> {
    let actions = game.actions();
    let order = || deciders.iter().chain([&responder]);
    let mut table = vec![0.0; game.table().len()];
    let rows = std::iter::zip(table.chunks_exact_mut(actions.count()), game.probability());
    for (o, (row, probability)) in rows.enumerate() {
        for (a, payoff) in game.payoffs(o).iter().enumerate() {
            let place = order().fold(0, |place, &i| {
                place * actions.sizes()[i] + actions.part(a, i)
            });
            row[place] = probability * payoff;
        }
    }
    table
}

/// `[…, actions, replies]` → `[…, replies]`, by the greatest over the actions.
fn maximise(table: &[f64], actions: usize, replies: usize) -> Vec<f64> {
    let blocks = table.chunks_exact(actions * replies);
    let rows = blocks.flat_map(|block| {
        (0..replies).map(move |reply| {
            let column = block[reply..].iter().step_by(replies);
            column.copied().fold(f64::NEG_INFINITY, f64::max)
        })
    });
    rows.collect()
}

fn first_best(values: &[f64]) -> usize {
    let best = max(values);
    values.iter().position(|&value| value == best).unwrap_or(0)
}

/// log₁₀ of the number of deterministic policies of one agent, A_i^|O_i|.
pub(super) fn policies_log10(game: &Game, agent: usize) -> f64 {
    let (observations, actions) = (game.observations(), game.actions());
    observations.sizes()[agent] as f64 * (actions.sizes()[agent] as f64).log10()
}
