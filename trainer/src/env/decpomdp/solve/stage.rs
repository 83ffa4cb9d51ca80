//! One stage of a plan: who may know what, and what each choice would be worth.

use std::rc::Rc;

use sha2::{Digest, Sha256};

use super::cluster::cluster;
use super::heuristic::{self, Heuristic, successors};
use crate::env::decpomdp::DecPomdp;
use crate::env::decpomdp::model::MAX_ENTRIES;
use crate::env::joint::JointSpace;

/// The situation of a team after some decision rules: what each agent may have seen, up to what
/// makes no difference.
///
/// The *types* of an agent are clusters of its histories. Two histories are one type where they
/// say the same about the state and the others' types, P(s, c_{−i} | x) = P(s, c_{−i} | y): there
/// is a best policy that treats them alike (Oliehoek, Whiteson & Spaan, *Lossless Clustering of
/// Histories in Decentralized POMDPs*, AAMAS 2009).
pub(super) struct Stage {
    /// Stages before this one.
    pub(super) time: usize,
    /// What the rules before this stage earn.
    pub(super) earned: f64,
    /// Joint types.
    pub(super) types: JointSpace,
    /// P(c, s), `[C, S]`.
    occupancy: Vec<f64>,
    /// P(c) Q̂(b_c, a) of the joint types that can be, `[possible, A]`.
    payoffs: Vec<f64>,
    /// Those joint types …
    possible: Vec<usize>,
    /// … by their parts, `[possible, N]`.
    parts: Vec<usize>,
    /// Agents in the order in which they decide.
    pub(super) order: Vec<usize>,
    /// Where this stage comes from.
    pub(super) origin: Option<Origin>,
}

/// A digest of time, numbers of types and occupancy, which would take a thousand times the room.
pub(super) type Key = [u8; 32];

/// A stage's past.
pub(super) struct Origin {
    pub(super) stage: Rc<Stage>,
    /// The decision rules there, `[N][types]`.
    pub(super) rule: Vec<Vec<usize>>,
    /// The type that an agent has now, by its type there and what it saw, `[N][types, O_i]`.
    pub(super) next: Vec<Vec<Option<usize>>>,
}

impl Stage {
    /// Before anything is done or seen.
    pub(super) fn first(model: &DecPomdp, horizon: usize, heuristic: &mut Heuristic<'_>) -> Self {
        let types = JointSpace::new(&vec![1; model.agents()], 1).expect("one joint type");
        Self::new(
            0,
            0.0,
            types,
            model.start().to_vec(),
            None,
            horizon,
            heuristic,
        )
    }

    /// What follows on `rule`, `[N][types]`; `None` where it is too large to hold.
    pub(super) fn after(
        self: &Rc<Self>,
        model: &DecPomdp,
        rule: Vec<Vec<usize>>,
        horizon: usize,
        heuristic: &mut Heuristic<'_>,
    ) -> Option<Self> {
        let (states, agents) = (model.states(), model.agents());
        let seen = model.observations();
        let sizes = self.types.sizes().iter().zip(seen.sizes());
        let sizes: Vec<usize> = sizes.map(|(types, seen)| types * seen).collect();
        let types = JointSpace::new(&sizes, MAX_ENTRIES / states)?;
        let mut occupancy = vec![0.0; types.count() * states];
        let mut earned = self.earned;
        for &c in &self.possible {
            let belief = &self.occupancy[c * states..][..states];
            let own: Vec<usize> = self.types.split(c).collect();
            let action = model.actions().join((0..agents).map(|i| rule[i][own[i]]));
            let now = belief.iter().enumerate();
            earned += now
                .map(|(s, p)| p * model.expected_reward(s, action))
                .sum::<f64>();
            for (o, after) in successors(model, belief, action) {
                let parts = seen.split(o).enumerate();
                let next = types.join(parts.map(|(i, part)| own[i] * seen.sizes()[i] + part));
                let target = &mut occupancy[next * states..][..states];
                target.iter_mut().zip(after).for_each(|(sum, p)| *sum += p);
            }
        }
        let (types, occupancy, next) = cluster(types, occupancy, states);
        let origin = Origin {
            stage: Rc::clone(self),
            rule,
            next,
        };
        let time = self.time + 1;
        Some(Self::new(
            time,
            earned,
            types,
            occupancy,
            Some(origin),
            horizon,
            heuristic,
        ))
    }

    fn new(
        time: usize,
        earned: f64,
        types: JointSpace,
        occupancy: Vec<f64>,
        origin: Option<Origin>,
        horizon: usize,
        heuristic: &mut Heuristic<'_>,
    ) -> Self {
        let states = occupancy.len() / types.count();
        let (mut possible, mut payoffs) = (Vec::new(), Vec::new());
        for (c, belief) in occupancy.chunks_exact(states).enumerate() {
            let p: f64 = belief.iter().sum();
            if p > 0.0 {
                let belief: Vec<f64> = belief.iter().map(|q| q / p).collect();
                let values = heuristic.values(&belief, horizon - time);
                possible.push(c);
                payoffs.extend(values.iter().map(|value| p * value));
            }
        }
        // Whoever has most to decide replies: see `Partial`.
        let mut order: Vec<usize> = (0..types.sizes().len()).collect();
        order.sort_by_key(|&agent| types.sizes()[agent]);
        Self {
            time,
            earned,
            parts: possible.iter().flat_map(|&c| types.split(c)).collect(),
            types,
            occupancy,
            payoffs,
            possible,
            order,
            origin,
        }
    }

    /// Whatever two stages must share for the same rules to earn the same from here on.
    pub(super) fn key(&self) -> Key {
        let mut digest = Sha256::new();
        let sizes = std::iter::once(&self.time).chain(self.types.sizes());
        sizes.for_each(|size| digest.update(size.to_le_bytes()));
        for (outcome, grains) in heuristic::key(&self.occupancy) {
            digest.update(outcome.to_le_bytes());
            digest.update(grains.to_le_bytes());
        }
        digest.finalize().into()
    }

    /// Additions that [`Self::bounds`] takes, about.
    pub(super) fn cost(&self, model: &DecPomdp) -> u64 {
        (self.payoffs.len() * model.agents() + self.occupancy.len()) as u64
    }

    /// Decisions to make: (agent, type), in order.
    pub(super) fn decisions(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let types = |&agent: &usize| (0..self.types.sizes()[agent]).map(move |own| (agent, own));
        self.order.iter().flat_map(types)
    }

    /// Bounds on what remains to be earned from this stage on, one for each action of the next
    /// decision, when the decisions before it were taken as `prefix`. The agents that have not
    /// decided are let see everything, but the last one, the *responder*, is held to its own type:
    ///
    /// ```text
    /// Σ_{c_r} max_{a_r} Σ_{c_−r} max_{a of the undecided} P(c) Q̂(b_c, a)
    /// ```
    ///
    /// as for one-shot games ([`crate::env::solve`]). Also gives the responder's best replies to
    /// the prefix. `joint`: the parts of every joint action, `[A, N]`.
    pub(super) fn bounds(&self, model: &DecPomdp, joint: &[usize], prefix: &[u16]) -> Bounds {
        let actions = model.actions();
        let agents = actions.sizes().len();
        let responder = self.order[agents - 1];
        let replies = actions.sizes()[responder];
        let decisions: Vec<(usize, usize)> = self.decisions().collect();
        let mut decided: Vec<Vec<Option<u16>>> = (self.types.sizes().iter())
            .map(|&types| vec![None; types])
            .collect();
        for (&(agent, own), &action) in decisions.iter().zip(prefix) {
            decided[agent][own] = Some(action);
        }
        let next = decisions.get(prefix.len()).copied();
        let branches = next.map_or(0, |(agent, _)| actions.sizes()[agent]);

        // By the responder's type and reply: what is common to all branches, and what each adds.
        let width = self.types.sizes()[responder] * replies;
        let mut common = vec![0.0; width];
        let mut own = vec![0.0; width * branches];
        let mut row = vec![f64::NEG_INFINITY; replies];
        let mut rows = vec![f64::NEG_INFINITY; replies * branches];
        let mut fixed = Vec::with_capacity(agents);
        let payoffs = self.payoffs.chunks_exact(actions.count());
        for (types, payoffs) in self.parts.chunks_exact(agents).zip(payoffs) {
            fixed.clear();
            for agent in (0..agents).filter(|&agent| agent != responder) {
                fixed.extend(decided[agent][types[agent]].map(|action| (agent, action as usize)));
            }
            let at = types[responder] * replies;
            let branching = next.filter(|&(agent, own)| agent != responder && types[agent] == own);
            row.fill(f64::NEG_INFINITY);
            rows.fill(f64::NEG_INFINITY);
            for (parts, &payoff) in joint.chunks_exact(agents).zip(payoffs) {
                if fixed.iter().any(|&(agent, action)| parts[agent] != action) {
                    continue;
                }
                let target = match branching {
                    Some((agent, _)) => &mut rows[parts[agent] * replies + parts[responder]],
                    None => &mut row[parts[responder]],
                };
                *target = target.max(payoff);
            }
            if branching.is_some() {
                for (branch, rows) in rows.chunks_exact(replies).enumerate() {
                    let target = &mut own[branch * width + at..][..replies];
                    target
                        .iter_mut()
                        .zip(rows)
                        .for_each(|(sum, value)| *sum += value);
                }
            } else {
                let target = &mut common[at..][..replies];
                target
                    .iter_mut()
                    .zip(&row)
                    .for_each(|(sum, value)| *sum += value);
            }
        }
        let best = |own: Option<&[f64]>, forced: Option<(usize, usize)>| -> f64 {
            let types = (0..self.types.sizes()[responder]).map(|kind| {
                let value = |reply: usize| {
                    let at = kind * replies + reply;
                    common[at] + own.map_or(0.0, |own| own[at])
                };
                let forced = forced.filter(|(of, _)| *of == kind).map(|(_, reply)| reply);
                match forced.or(decided[responder][kind].map(usize::from)) {
                    Some(reply) => value(reply),
                    None => (0..replies).map(value).fold(f64::NEG_INFINITY, f64::max),
                }
            });
            types.sum()
        };
        let branches = (0..branches).map(|branch| match next {
            Some((agent, own)) if agent == responder => best(None, Some((own, branch))),
            _ => best(Some(&own[branch * width..][..width]), None),
        });
        Bounds {
            branches: branches.collect(),
            replies: common
                .chunks_exact(replies)
                .map(|values| first_best(values) as u16)
                .collect(),
        }
    }

    /// The decision rules, `[N][types]`, that these decisions make.
    pub(super) fn rule(&self, decisions: &[u16]) -> Vec<Vec<usize>> {
        let mut rule: Vec<Vec<usize>> = self.types.sizes().iter().map(|&n| vec![0; n]).collect();
        for ((agent, own), &action) in self.decisions().zip(decisions) {
            rule[agent][own] = action as usize;
        }
        rule
    }
}

/// What [`Stage::bounds`] finds.
pub(super) struct Bounds {
    /// A bound for each action of the next decision.
    pub(super) branches: Vec<f64>,
    /// The responder's best reply by its type, once the others have decided.
    pub(super) replies: Vec<u16>,
}

fn first_best(values: &[f64]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}
