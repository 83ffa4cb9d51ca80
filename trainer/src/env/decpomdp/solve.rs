//! The exact best decentralised policy for a finite horizon, by best-first search.
//!
//! Some deterministic policy is the best of all. Finding it is complete for nondeterministic
//! exponential time (Bernstein et al. 2002), hence a search with a budget: multi-agent A*
//! (Szer, Charpillet & Zilberstein, *MAA\*: A Heuristic Search Algorithm for Solving Decentralized
//! POMDPs*, UAI 2005) over joint decision rules, stage by stage, with the lossless clustering of
//! histories of Oliehoek, Spaan, Amato & Whiteson, *Incremental Clustering and Expansion for
//! Faster Optimal Planning in Dec-POMDPs*, JAIR 46, 2013. Instead of enumerating the joint rules
//! of a stage in order, as their incremental expansion does, every single decision of one type of
//! one agent is a step of the search (as in Koops, Jansen, Junges & Simão, *Recursive Small-Step
//! Multi-Agent A\* for Dec-POMDPs*, IJCAI 2023): the same order, from one queue.
//!
//! Two plans that lead to the same stage, seen up to what makes no difference, have the same
//! future: the one that earned less is dropped.

mod cluster;
mod heuristic;
mod search;
mod stage;

use super::FiniteHorizon;
use super::policy::JointController;
use heuristic::Heuristic;
use search::Search;

/// A budget of about ten seconds.
pub const DEFAULT_BUDGET: u64 = 1_000_000_000;

/// Additions of the preparation that take as long as a step of the search.
const EASE: f64 = 20.0;

/// A best decentralised policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// What it earns, undiscounted: the greatest expected return of agents that act apart, up to
    /// a billionth of the range of returns.
    pub value: f64,
    /// The bound that the search began with: agents that share what they see, a step late.
    pub bound: f64,
    /// The policy.
    pub policy: JointController,
    /// How many partial policies were expanded.
    pub nodes: u64,
}

/// Why there is no solution.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "`{name}` is too large to solve exactly: it has {states} states, {actions} joint actions and \
     {observations} joint observations over {horizon} steps, and after {nodes} nodes (of a budget \
     of {budget} steps) the best value is known to be {}at most {bound:.6}",
    found.map(|found| format!("at least {found:.6} and ")).unwrap_or_default()
)]
pub struct TooLarge {
    /// The problem's name.
    pub name: String,
    /// |S|.
    pub states: usize,
    /// Joint actions.
    pub actions: usize,
    /// Joint observations.
    pub observations: usize,
    /// h.
    pub horizon: usize,
    /// How many partial policies were expanded.
    pub nodes: u64,
    /// The budget, in steps.
    pub budget: u64,
    /// The value of the best policy found, if there was room and time for one.
    pub found: Option<f64>,
    /// A value that no policy exceeds.
    pub bound: f64,
}

/// The best decentralised policy for `problem`, or a refusal once `budget` steps (about as many
/// additions) are spent or there is no room for what agents may have seen.
///
/// # Errors
/// [`TooLarge`].
pub fn solve(problem: &FiniteHorizon, budget: u64) -> Result<Solution, TooLarge> {
    let model = &problem.model;
    let refused = |nodes, found, bound| TooLarge {
        name: problem.name.clone(),
        states: model.states(),
        actions: model.actions().count(),
        observations: model.observations().count(),
        horizon: problem.horizon,
        nodes,
        budget,
        found,
        bound,
    };
    if Heuristic::cost(model, problem.horizon) > EASE * budget as f64 {
        let (_, high) = model.reward_range();
        return Err(refused(0, None, high * problem.horizon as f64));
    }
    let mut search = Search::new(problem, budget);
    let root = search.root();
    let first = root.bound;
    search.dive(&root);
    search.push(root);
    let mut stages: u64 = 0;
    let open = loop {
        let Some(node) = search.queue.pop() else {
            break None;
        };
        if !search.is_hopeful(node.bound) {
            break None;
        }
        if search.is_spent() {
            break Some(node.bound);
        }
        if node.leads_on {
            stages += 1;
            // A better policy found early keeps the queue short.
            if stages.is_power_of_two() {
                search.dive(&node);
            }
        }
        for child in search.children(&node) {
            search.push(child);
        }
        if search.overflow {
            break Some(node.bound);
        }
    };
    match open {
        None => Ok(Solution {
            value: search.best,
            bound: first,
            policy: search.policy(),
            nodes: search.nodes,
        }),
        Some(bound) => {
            let found = search.best_end.as_ref().map(|_| search.best);
            Err(refused(search.nodes, found, bound))
        }
    }
}

#[cfg(test)]
mod tests;
