//! Choosing between arms by what their images earn.
//!
//! Every arm's marginals become policy images, act through `consort-runtime` as the exported team
//! will ([`Choice`]), and are judged by their returns in evaluation episodes: what is compared is what would be flashed, and
//! only what the environment paid decides. All arms of a run face the same episodes, so what
//! differs between their returns is what differs between their policies. Two rounds spend the
//! episodes where they matter: a few on every arm, the rest on the finalists.

use rand_core::Rng;

use crate::env::Task;
use crate::export::actors_for;
use crate::rng::Stream;
use crate::team::Choice;
use crate::train::Snapshot;

/// What one arm's team earned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Episodes played.
    pub episodes: u64,
    /// Mean return; −∞ for a network that diverged and can be no image.
    pub mean: f64,
}

/// How a team was chosen among the arms.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// The arm that did best in the last round; of equals, the one that was ahead in the first.
    pub chosen: usize,
    /// The last evaluation of every arm, in order (none where there was nothing to choose).
    pub evaluations: Vec<Option<Evaluation>>,
    /// Every round's evaluations, an entry an arm (none of those that did not stand in it). Only
    /// those of one round compare: the episodes are other ones in the next.
    pub rounds: Vec<Vec<Option<Evaluation>>>,
    env_steps: u64,
}

impl Selection {
    /// Environment steps that the evaluation took.
    pub fn env_steps(&self) -> u64 {
        self.env_steps
    }
}

/// A team that stands for selection.
#[derive(Clone, Debug)]
pub struct Entrant {
    /// The arm it comes from.
    pub arm: usize,
    /// Its networks.
    pub snapshot: Snapshot,
}

/// A selection under way.
pub(crate) struct Selector<'a> {
    task: &'a Task,
    act: Choice,
    seed: u64,
    rounds: Vec<Vec<Option<Evaluation>>>,
    /// Entrants of the last round, best first.
    ranking: Vec<Entrant>,
    evaluations: Vec<Option<Evaluation>>,
    env_steps: u64,
}

impl<'a> Selector<'a> {
    /// Among `arms` arms of the run seeded with `seed`, whose teams act as `act` says.
    pub(crate) fn new(task: &'a Task, act: Choice, seed: u64, arms: usize) -> Self {
        Self {
            task,
            act,
            seed,
            rounds: Vec::new(),
            ranking: Vec::new(),
            evaluations: vec![None; arms],
            env_steps: 0,
        }
    }

    /// Ranks `entrants` by `episodes` episodes each.
    pub(crate) fn round(&mut self, entrants: &[Entrant], episodes: usize) {
        let seed = Stream::new(self.seed, "evaluation", self.rounds.len() as u64).next_u64();
        let mut of_round: Vec<Option<f64>> = vec![None; self.evaluations.len()];
        let mut scored: Vec<(f64, &Entrant)> = Vec::with_capacity(entrants.len());
        for entrant in entrants {
            let played = actors_for(&entrant.snapshot.marginals, self.task.seeding())
                .ok()
                .and_then(|team| team.play(self.task, episodes, seed, self.act).ok());
            let mean = played.map_or(f64::NEG_INFINITY, |returns| returns.mean);
            self.env_steps += played.map_or(0, |returns| returns.env_steps);
            let best = of_round[entrant.arm].get_or_insert(mean);
            *best = best.max(mean);
            scored.push((mean, entrant));
        }
        let episodes = episodes as u64;
        let evaluation = |mean: Option<f64>| mean.map(|mean| Evaluation { episodes, mean });
        let round: Vec<Option<Evaluation>> = of_round.into_iter().map(evaluation).collect();
        for (last, now) in self.evaluations.iter_mut().zip(&round) {
            *last = now.or(*last);
        }
        self.rounds.push(round);
        // A stable sort: of equals, the earlier stays ahead.
        scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        self.ranking = scored
            .into_iter()
            .map(|(_, entrant)| entrant.clone())
            .collect();
    }

    /// The best `count` arms of the last round, each by its best entrant.
    pub(crate) fn finalists(&self, count: usize) -> Vec<Entrant> {
        let mut finalists: Vec<Entrant> = Vec::new();
        for entrant in &self.ranking {
            if finalists.len() < count && finalists.iter().all(|other| other.arm != entrant.arm) {
                finalists.push(entrant.clone());
            }
        }
        finalists
    }

    /// Environment steps that the evaluation took so far.
    pub(crate) fn env_steps(&self) -> u64 {
        self.env_steps
    }

    /// The winner of the last round (`only` of the first arm, where there was none), and how it
    /// came to be chosen.
    pub(crate) fn close(mut self, only: impl Fn(usize) -> Entrant) -> (Entrant, Selection) {
        let best = match self.ranking.is_empty() {
            true => only(0),
            false => self.ranking.swap_remove(0),
        };
        let selection = Selection {
            chosen: best.arm,
            evaluations: self.evaluations,
            rounds: self.rounds,
            env_steps: self.env_steps,
        };
        (best, selection)
    }
}
