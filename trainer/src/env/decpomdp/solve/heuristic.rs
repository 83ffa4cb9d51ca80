//! Upper bounds on what is still to be earned from a joint belief.

use std::collections::HashMap;
use std::rc::Rc;

use crate::env::decpomdp::DecPomdp;
use crate::env::joint::JointSpace;

/// Distinct joint beliefs up to which the look-ahead goes to the end.
const MOST_BELIEFS: usize = 3_000;
/// Joint decision rules of all agents but one that are tried for one exchange of observations.
const MOST_RULES: usize = 1_024;
/// Beliefs nearer to each other than this, in every state, are the same.
const GRAIN: f64 = 1e-12;

/// Q̂_k(b, a): no less than what a team can earn in k steps that begin with the joint action a in
/// the joint belief b.
///
/// To a given depth it is the value of agents that share their observations one step late, Q_BG
/// of Oliehoek, Spaan & Vlassis, *Optimal and Approximate Q-value Functions for Decentralized
/// POMDPs*, JAIR 32, 2008:
///
/// ```text
/// Q_1(b, a) = R(b, a)
/// Q_k(b, a) = R(b, a) + max_β Σ_o P(o | b, a) Q_{k−1}(b^{ao}, β_0(o_0) … β_{N−1}(o_{N−1}))
/// ```
///
/// below it the fast informed bound of Hauskrecht, *Value-Function Approximations for Partially
/// Observable Markov Decision Processes*, JAIR 13, 2000:
///
/// ```text
/// α_k^a(s) = R(s, a) + Σ_o max_{a'} Σ_{s'} T(s, a, s') O(a, s', o) α_{k−1}^{a'}(s')
/// ```
pub(super) struct Heuristic<'a> {
    model: &'a DecPomdp,
    /// Exchanges of observations that are looked ahead.
    depth: usize,
    /// α_k by k − 1, each `[A, S]`.
    vectors: Vec<Vec<f64>>,
    /// Q̂_k(b, ·) by (k, depth) and by the belief's key.
    known: HashMap<(usize, usize, Key), Rc<[f64]>>,
    /// Parts of every joint action, `[A, N]`.
    pub(super) parts: Vec<usize>,
    /// Decision rules of all agents but the last, as one number; `None` where they are too many.
    rules: Option<JointSpace>,
    /// Additions made.
    pub(super) work: u64,
}

/// A belief in whole grains, without its zeros.
pub(super) type Key = Box<[(u32, u64)]>;

/// The key of a distribution.
pub(super) fn key(distribution: &[f64]) -> Key {
    let grains = distribution.iter().enumerate();
    let grains = grains.map(|(outcome, p)| (outcome as u32, (p / GRAIN).round() as u64));
    grains.filter(|&(_, grains)| grains > 0).collect()
}

/// Everything seen jointly after joint action `action` in the (weighted) belief `belief`: each
/// joint observation with P(s', o), `[S]`.
pub(super) fn successors(
    model: &DecPomdp,
    belief: &[f64],
    action: usize,
) -> Vec<(usize, Vec<f64>)> {
    let mut moved = vec![0.0; belief.len()];
    for (state, &p) in belief.iter().enumerate().filter(|&(_, &p)| p > 0.0) {
        for (successor, q) in model.transition(state, action).iter() {
            moved[successor] += p * q;
        }
    }
    let mut seen: Vec<Option<Vec<f64>>> = vec![None; model.observations().count()];
    for (successor, &p) in moved.iter().enumerate().filter(|&(_, &p)| p > 0.0) {
        for (o, q) in model.observation(action, successor).iter() {
            seen[o].get_or_insert_with(|| vec![0.0; belief.len()])[successor] += p * q;
        }
    }
    let seen = seen.into_iter().enumerate();
    seen.filter_map(|(o, belief)| belief.map(|belief| (o, belief)))
        .collect()
}

impl<'a> Heuristic<'a> {
    /// For problems of `horizon` steps in `model`.
    pub(super) fn new(model: &'a DecPomdp, horizon: usize) -> Self {
        let sizes = std::iter::zip(model.actions().sizes(), model.observations().sizes());
        let mut rules: Vec<usize> = sizes
            .flat_map(|(&actions, &seen)| std::iter::repeat_n(actions, seen))
            .collect();
        let last = model.observations().sizes()[model.agents() - 1];
        rules.truncate(rules.len() - last);
        let joint = model.actions();
        Self {
            depth: depth(model, horizon),
            vectors: informed(model, horizon),
            known: HashMap::new(),
            parts: (0..joint.count()).flat_map(|a| joint.split(a)).collect(),
            rules: JointSpace::new(&rules, MOST_RULES),
            model,
            work: 0,
        }
    }

    /// Additions that the preparation takes, at most about.
    pub(super) fn cost(model: &DecPomdp, horizon: usize) -> f64 {
        let (rows, seen) = (
            model.spaces().rows() as f64,
            model.observations().count() as f64,
        );
        let vectors = horizon as f64 * rows * rows * seen;
        // Finding out how far to look ahead: every belief is moved by every action.
        let beliefs = MOST_BELIEFS as f64 * rows * (model.states() as f64 + seen);
        vectors + beliefs
    }

    /// Q̂_k(b, ·), `[A]`, for `steps` = k ≥ 1.
    pub(super) fn values(&mut self, belief: &[f64], steps: usize) -> Rc<[f64]> {
        self.ahead(belief, steps, self.depth.min(steps - 1))
    }

    fn ahead(&mut self, belief: &[f64], steps: usize, depth: usize) -> Rc<[f64]> {
        let at = (steps, depth, key(belief));
        if let Some(known) = self.known.get(&at) {
            return Rc::clone(known);
        }
        let model = self.model;
        let states = model.states();
        let actions = model.actions().count();
        let values: Rc<[f64]> = if depth == 0 {
            self.work += (actions * states) as u64;
            let vectors = self.vectors[steps - 1].chunks_exact(states);
            vectors.map(|vector| dot(belief, vector)).collect()
        } else {
            (0..actions)
                .map(|action| {
                    let now = belief.iter().enumerate();
                    let now: f64 = now.map(|(s, p)| p * model.expected_reward(s, action)).sum();
                    now + self.exchange(belief, action, steps - 1, depth - 1)
                })
                .collect()
        };
        self.known.insert(at, Rc::clone(&values));
        values
    }

    /// max_β Σ_o P(o | b, a) Q̂(b^{ao}, β(o)): the agents know b and a, and each its own part of o.
    fn exchange(&mut self, belief: &[f64], action: usize, steps: usize, depth: usize) -> f64 {
        let mut seen = Vec::new();
        for (o, mut next) in successors(self.model, belief, action) {
            let p: f64 = next.iter().sum();
            next.iter_mut().for_each(|q| *q /= p);
            let values = self.ahead(&next, steps, depth);
            seen.push((
                o,
                values.iter().map(|value| p * value).collect::<Vec<f64>>(),
            ));
        }
        self.work += (belief.len() * belief.len()) as u64;
        match self.rules.as_ref() {
            Some(rules) => {
                self.work += (rules.count() * seen.len()) as u64;
                self.best_rule(rules, &seen)
            }
            None => self.relaxed(&seen),
        }
    }

    /// Every decision rule of all agents but the last, with the last one's best replies.
    fn best_rule(&self, rules: &JointSpace, seen: &[(usize, Vec<f64>)]) -> f64 {
        let observations = self.model.observations();
        let last = self.model.agents() - 1;
        let replies = self.model.actions().sizes()[last];
        // Where each agent's part of a rule begins.
        let starts: Vec<usize> = (observations.sizes().iter())
            .scan(0, |start, size| {
                Some(std::mem::replace(start, *start + size))
            })
            .collect();
        let places: Vec<Vec<usize>> = (seen.iter())
            .map(|(o, _)| {
                (0..last)
                    .map(|i| starts[i] + observations.part(*o, i))
                    .collect()
            })
            .collect();
        let own: Vec<usize> = seen
            .iter()
            .map(|(o, _)| observations.part(*o, last))
            .collect();
        let mut totals = vec![0.0; observations.sizes()[last] * replies];
        let mut best = f64::NEG_INFINITY;
        for rule in 0..rules.count() {
            totals.fill(0.0);
            for (((_, values), places), own) in seen.iter().zip(&places).zip(&own) {
                let parts = places.iter().map(|&place| rules.part(rule, place));
                let first = self.model.actions().join(parts);
                let totals = &mut totals[own * replies..][..replies];
                for (total, value) in totals.iter_mut().zip(&values[first..]) {
                    *total += value;
                }
            }
            best = best.max(totals.chunks_exact(replies).map(max).sum());
        }
        best
    }

    /// The last agent is held to its own observation, the others see everything.
    fn relaxed(&self, seen: &[(usize, Vec<f64>)]) -> f64 {
        let last = self.model.agents() - 1;
        let sizes = (
            self.model.observations().sizes()[last],
            self.model.actions().sizes()[last],
        );
        let mut totals = vec![0.0; sizes.0 * sizes.1];
        for (o, values) in seen {
            let mut best = vec![f64::NEG_INFINITY; sizes.1];
            for (parts, value) in self.parts.chunks_exact(last + 1).zip(values) {
                best[parts[last]] = best[parts[last]].max(*value);
            }
            let own = self.model.observations().part(*o, last);
            for (total, best) in totals[own * sizes.1..].iter_mut().zip(best) {
                *total += best;
            }
        }
        totals.chunks_exact(sizes.1).map(max).sum()
    }
}

/// How far to look ahead: to the end where few enough beliefs can be reached, else a few steps.
fn depth(model: &DecPomdp, horizon: usize) -> usize {
    let mut layer = vec![model.start().to_vec()];
    let mut count = 1;
    for depth in 0..horizon.saturating_sub(1) {
        let mut next: HashMap<Key, ()> = HashMap::new();
        let mut beliefs = Vec::new();
        for belief in &layer {
            for action in 0..model.actions().count() {
                for (_, mut after) in successors(model, belief, action) {
                    let p: f64 = after.iter().sum();
                    after.iter_mut().for_each(|q| *q /= p);
                    if next.insert(key(&after), ()).is_none() {
                        beliefs.push(after);
                    }
                }
                if count + beliefs.len() > MOST_BELIEFS {
                    return depth.max(1);
                }
            }
        }
        count += beliefs.len();
        layer = beliefs;
    }
    horizon
}

/// α_1 … α_h, each `[A, S]`.
fn informed(model: &DecPomdp, horizon: usize) -> Vec<Vec<f64>> {
    let (states, actions) = (model.states(), model.actions().count());
    let reward = |row: usize| model.expected_reward(row % states, row / states);
    let mut vectors: Vec<Vec<f64>> = vec![(0..actions * states).map(reward).collect()];
    while vectors.len() < horizon {
        let before = &vectors[vectors.len() - 1];
        let vector = (0..actions * states).map(|row| {
            let mut certain = vec![0.0; states];
            certain[row % states] = 1.0;
            let best = |after: Vec<f64>| {
                let choices = before
                    .chunks_exact(states)
                    .map(|vector| dot(&after, vector));
                choices.fold(f64::NEG_INFINITY, f64::max)
            };
            let seen = successors(model, &certain, row / states).into_iter();
            reward(row) + seen.map(|(_, after)| best(after)).sum::<f64>()
        });
        let vector = vector.collect();
        vectors.push(vector);
    }
    vectors
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn max(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}
