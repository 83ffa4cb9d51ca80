//! The search's queue, what is put into it and what is taken out.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::rc::Rc;

use super::heuristic::Heuristic;
use super::stage::{self, Stage};
use crate::env::decpomdp::policy::{JointController, Node};
use crate::env::decpomdp::{DecPomdp, FiniteHorizon};

/// A policy as far as it is decided.
pub(super) struct Partial {
    /// No completion earns more.
    pub(super) bound: f64,
    /// The bound in units of the search's slack: what the queue is ordered by.
    rank: i64,
    /// Complete policies up to this stage …
    stage: Rc<Stage>,
    /// … and the decisions made in it.
    prefix: Box<[u16]>,
    /// All decisions are made, and the bound is that of the stage they lead to. That stage takes
    /// much more room than this, so it is built again when its turn comes.
    pub(super) leads_on: bool,
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

pub(super) struct Search<'a> {
    model: &'a DecPomdp,
    horizon: usize,
    budget: u64,
    pub(super) heuristic: Heuristic<'a>,
    pub(super) queue: BinaryHeap<Partial>,
    /// The most that was earned on the way to each stage there was.
    visited: HashMap<stage::Key, f64>,
    pub(super) best: f64,
    /// The last stage of the best policy, and the decisions made there.
    pub(super) best_end: Option<(Rc<Stage>, Vec<u16>)>,
    /// Bounds that exceed the best value by less are rounding, not hope.
    slack: f64,
    /// A stage was too large to hold.
    pub(super) overflow: bool,
    pub(super) nodes: u64,
    numbers: u64,
    work: u64,
}

impl<'a> Search<'a> {
    pub(super) fn new(problem: &'a FiniteHorizon, budget: u64) -> Self {
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

    pub(super) fn root(&mut self) -> Partial {
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

    pub(super) fn is_spent(&self) -> bool {
        self.work + self.heuristic.work > self.budget
    }

    pub(super) fn is_hopeful(&self, bound: f64) -> bool {
        bound > self.best + self.slack
    }

    pub(super) fn push(&mut self, node: Partial) {
        if self.is_hopeful(node.bound) {
            self.queue.push(node);
        }
    }

    /// The partial policies that decide one thing more. Complete ones are noted, not given.
    pub(super) fn children(&mut self, node: &Partial) -> Vec<Partial> {
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
    pub(super) fn dive(&mut self, from: &Partial) {
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
    pub(super) fn policy(&self) -> JointController {
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
