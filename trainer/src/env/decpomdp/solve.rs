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

mod heuristic;
mod stage;

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::rc::Rc;

use super::policy::{JointController, Node};
use super::{DecPomdp, FiniteHorizon};
use heuristic::Heuristic;
use stage::Stage;

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

/// A policy as far as it is decided.
struct Partial {
    /// No completion earns more.
    bound: f64,
    /// The bound in units of the search's slack: what the queue is ordered by.
    rank: i64,
    /// Complete policies up to this stage …
    stage: Rc<Stage>,
    /// … and the decisions made in it.
    prefix: Box<[u16]>,
    /// All decisions are made, and the bound is that of the stage they lead to. That stage takes
    /// much more room than this, so it is built again when its turn comes.
    leads_on: bool,
    /// Earlier ones first among equals.
    number: u64,
}

impl Partial {
    fn order(&self) -> (i64, usize, usize, std::cmp::Reverse<u64>) {
        let number = std::cmp::Reverse(self.number);
        (self.rank, self.stage.time, self.prefix.len(), number)
    }
}

impl PartialEq for Partial {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Partial {}

impl PartialOrd for Partial {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Partial {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

struct Search<'a> {
    model: &'a DecPomdp,
    horizon: usize,
    budget: u64,
    heuristic: Heuristic<'a>,
    queue: BinaryHeap<Partial>,
    /// The most that was earned on the way to each stage there was.
    visited: HashMap<stage::Key, f64>,
    best: f64,
    /// The last stage of the best policy, and the decisions made there.
    best_end: Option<(Rc<Stage>, Vec<u16>)>,
    /// Bounds that exceed the best value by less are rounding, not hope.
    slack: f64,
    /// A stage was too large to hold.
    overflow: bool,
    nodes: u64,
    numbers: u64,
    work: u64,
}

impl<'a> Search<'a> {
    fn new(problem: &'a FiniteHorizon, budget: u64) -> Self {
        let (low, high) = problem.model.reward_range();
        let size = (high - low).max(1e-3 * high.abs().max(low.abs()));
        Self {
            model: &problem.model,
            horizon: problem.horizon,
            budget,
            heuristic: Heuristic::new(&problem.model, problem.horizon),
            queue: BinaryHeap::new(),
            visited: HashMap::new(),
            best: f64::NEG_INFINITY,
            best_end: None,
            slack: (1e-9 * size * problem.horizon as f64).max(f64::MIN_POSITIVE),
            overflow: false,
            nodes: 0,
            numbers: 0,
            work: 0,
        }
    }

    fn root(&mut self) -> Partial {
        let stage = Stage::first(self.model, self.horizon, &mut self.heuristic);
        let bound = stage
            .bounds(self.model, &self.heuristic.parts, &[])
            .branches;
        let bound = bound.into_iter().fold(f64::NEG_INFINITY, f64::max);
        self.partial(bound, Rc::new(stage), Box::default())
    }

    fn partial(&mut self, bound: f64, stage: Rc<Stage>, prefix: Box<[u16]>) -> Partial {
        self.numbers += 1;
        Partial {
            bound,
            rank: (bound / self.slack).round() as i64,
            stage,
            prefix,
            leads_on: false,
            number: self.numbers,
        }
    }

    fn is_spent(&self) -> bool {
        self.work + self.heuristic.work > self.budget
    }

    fn is_hopeful(&self, bound: f64) -> bool {
        bound > self.best + self.slack
    }

    fn push(&mut self, node: Partial) {
        if self.is_hopeful(node.bound) {
            self.queue.push(node);
        }
    }

    /// The partial policies that decide one thing more. Complete ones are noted, not given.
    fn children(&mut self, node: &Partial) -> Vec<Partial> {
        let stage = &node.stage;
        let decisions = stage.types.sizes().iter().sum::<usize>();
        if node.prefix.len() == decisions && !node.leads_on {
            return self.look_ahead(node).into_iter().collect();
        }
        if node.leads_on {
            let Some(next) = self.next_stage(node) else {
                return Vec::new();
            };
            let first = self.partial(node.bound, Rc::new(next), Box::default());
            return self.children(&first);
        }
        self.nodes += 1;
        self.work += stage.cost(self.model);
        let bounds = stage.bounds(self.model, &self.heuristic.parts, &node.prefix);
        let responder = stage.order[stage.order.len() - 1];
        let last = stage.time + 1 == self.horizon;
        if last && node.prefix.len() + stage.types.sizes()[responder] == decisions {
            // Nothing comes after: the responder's best replies are the best completion.
            let value = node.bound;
            if value > self.best {
                self.best = value;
                let chosen = [&node.prefix[..], &bounds.replies].concat();
                self.best_end = Some((Rc::clone(stage), chosen));
            }
            return Vec::new();
        }
        let children = bounds.branches.into_iter().enumerate();
        let children = children.map(|(action, bound)| {
            let bound = node.bound.min(stage.earned + bound);
            let prefix = node.prefix.iter().copied().chain([action as u16]).collect();
            self.partial(bound, Rc::clone(stage), prefix)
        });
        children.collect()
    }

    /// The stage that a complete joint rule leads to.
    fn next_stage(&mut self, node: &Partial) -> Option<Stage> {
        let (stage, model) = (&node.stage, self.model);
        let rule = stage.rule(&node.prefix);
        let next = stage.after(model, rule, self.horizon, &mut self.heuristic);
        self.overflow |= next.is_none();
        let next = next?;
        self.work += stage.cost(model) * model.observations().count() as u64 + next.cost(model);
        Some(next)
    }

    /// A complete joint rule with the bound of the stage it leads to, unless another plan led
    /// there and earned as much.
    fn look_ahead(&mut self, node: &Partial) -> Option<Partial> {
        let next = self.next_stage(node)?;
        let earned = self.visited.entry(next.key()).or_insert(f64::NEG_INFINITY);
        if next.earned <= *earned + 1e-3 * self.slack {
            return None;
        }
        *earned = next.earned;
        let ahead = next.bounds(self.model, &self.heuristic.parts, &[]).branches;
        let ahead = ahead.into_iter().fold(f64::NEG_INFINITY, f64::max);
        let bound = node.bound.min(next.earned + ahead);
        let same = self.partial(bound, Rc::clone(&node.stage), node.prefix.clone());
        Some(Partial {
            leads_on: true,
            ..same
        })
    }

    /// Follows the most promising decisions to some complete policy, as far as the budget goes.
    fn dive(&mut self, from: &Partial) {
        let visited = std::mem::take(&mut self.visited);
        let start = self.partial(from.bound, Rc::clone(&from.stage), from.prefix.clone());
        let mut next = Some(Partial {
            leads_on: from.leads_on,
            ..start
        });
        while let Some(node) = next.filter(|_| !self.is_spent()) {
            next = self.children(&node).into_iter().max();
        }
        self.visited = visited;
    }

    /// The best policy found.
    fn policy(&self) -> JointController {
        let agents = self.model.agents();
        let mut controllers = vec![Vec::new(); agents];
        let Some((last, chosen)) = &self.best_end else {
            return JointController {
                agents: controllers,
            };
        };
        let rule = last.rule(chosen);
        for (agent, controller) in controllers.iter_mut().enumerate() {
            let node = |&action: &usize| Node {
                action,
                next: Vec::new(),
            };
            controller.push(rule[agent].iter().map(node).collect::<Vec<Node>>());
        }
        let mut stage = last;
        while let Some(origin) = &stage.origin {
            for (agent, controller) in controllers.iter_mut().enumerate() {
                let seen = self.model.observations().sizes()[agent];
                let next = origin.next[agent].chunks_exact(seen);
                let nodes = origin.rule[agent].iter().zip(next);
                let nodes = nodes.map(|(&action, next)| Node {
                    action,
                    next: next.to_vec(),
                });
                controller.push(nodes.collect());
            }
            stage = &origin.stage;
        }
        controllers.iter_mut().for_each(|stages| stages.reverse());
        JointController {
            agents: controllers,
        }
    }
}

#[cfg(test)]
mod tests;
