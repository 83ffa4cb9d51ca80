//! QTRAN's weights, and what a condition costs that is not met.

use anyhow::{Context, Result};
use consort_trainer::report::statistics::Count;
use consort_trainer::rng::Stream;

use super::super::cells::Cells;
use super::super::design::{self, QTRAN_GAMES, Sizes};
use super::super::taught::Pupil;
use super::{Check, Claim, mean, mean_of, number, rows, share};

/// What one learner's conditions lack, and what its team lacks, in units of payoff.
struct Kept {
    weights: (f64, f64),
    game: &'static str,
    /// |Q'(ā) + V − Q(ā)|, the largest over joint observations.
    optimal: f64,
    /// Q(a) − Q'(a) − V where that is positive, the largest over joint observations and actions.
    other: f64,
    /// max_a Q(a) − Q(ā), the largest over joint observations: what ā lacks by its own Q.
    regret: f64,
    /// What the greedy team earns less than the best that agents apart can.
    loss: f64,
}

fn look(cells: &Cells, sizes: Sizes) -> Result<Vec<Kept>> {
    let mut all = Vec::new();
    for (weights, lessons) in design::qtran(sizes) {
        for lesson in lessons {
            let best = lesson.config()?.1.optimum();
            let best = best.context("a small game's optimum is known")?;
            for pupil in cells.pupils(&lesson)? {
                all.push(Kept::new(weights, lesson.task, best, &pupil)?);
            }
        }
    }
    Ok(all)
}

impl Kept {
    fn new(weights: (f64, f64), game: &'static str, best: f64, pupil: &Pupil) -> Result<Self> {
        let tables = pupil.team.as_ref().zip(pupil.apart.as_ref());
        let (team, apart) = tables.context("QTRAN says what it has learned")?;
        let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
        let rows = || std::iter::zip(team, apart).zip(&pupil.greedy);
        Ok(Self {
            weights,
            game,
            optimal: largest(&mut rows().map(|((q, sum), &a)| (sum[a] - q[a]).abs())),
            other: largest(
                &mut rows()
                    .flat_map(|((q, sum), _)| std::iter::zip(q, sum).map(|(q, sum)| q - sum)),
            ),
            regret: largest(&mut rows().flat_map(|((q, _), &a)| q.iter().map(move |&x| x - q[a]))),
            loss: best - pupil.value,
        })
    }

    /// Both conditions, within half a unit of payoff.
    fn met(&self) -> bool {
        self.optimal + self.other < 0.5
    }

    fn best(&self) -> bool {
        self.loss < 0.01
    }
}

fn of(all: &[Kept], weights: (f64, f64), game: &str) -> Count {
    let chosen = all
        .iter()
        .filter(|one| one.weights == weights && one.game == game);
    Count::of(chosen.map(Kept::best))
}

pub(super) fn weights(cells: &Cells, sizes: Sizes) -> Result<Claim> {
    let all = look(cells, sizes)?;
    let checks = QTRAN_GAMES.map(|game| {
        let counts = design::WEIGHTS.map(|weights| (weights, of(&all, weights, game)));
        let by = |a: &&((f64, f64), Count), b: &&((f64, f64), Count)| a.1.fraction().total_cmp(&b.1.fraction());
        let first = counts[0];
        let (best, worst) = (counts.iter().max_by(by).unwrap_or(&first), counts.iter().min_by(by).unwrap_or(&first));
        let chance = chance_of_spread(&counts.map(|(_, count)| count));
        Check {
            expected: format!(
                "`{game}`: the best weights reach the optimum more often than the worst, by more than if weights did not matter (p < .05, permutations of \
                 all learners, as best and worst are found by looking)"
            ),
            found: format!(
                "(λ_opt, λ_nopt) = {:?} {:.0} %, {:?} {:.0} %: {:+.0} points, p = {chance:.3}",
                best.0,
                100.0 * best.1.fraction(),
                worst.0,
                100.0 * worst.1.fraction(),
                100.0 * (best.1.fraction() - worst.1.fraction()),
            ),
            held: chance < 0.05,
            by_definition: false,
        }
    });
    let lines = design::WEIGHTS.map(|weights| {
        let cells = QTRAN_GAMES.map(|game| share(of(&all, weights, game)));
        [
            vec![format!("{}, {}", weights.0, weights.1)],
            cells.to_vec(),
        ]
        .concat()
    });
    let lesson = &design::qtran(sizes)[0].1[0];
    Ok(Claim {
        title: "It is not clear how to choose QTRAN's two weights: what comes out depends on them",
        why: "L = L_td + λ_opt L_opt + λ_nopt L_nopt",
        test: format!(
            "`qtran` is shown {} batches of 64 episodes of even play, {} learners for each pair of weights and game.",
            lesson.batches, lesson.seeds,
        ),
        checks: checks.into(),
        settings: Vec::new(),
        figures: rows(&[&["λ_opt, λ_nopt"], &QTRAN_GAMES[..]].concat(), lines),
    })
}

/// The chance that shares of successes are at least as far apart as these where nothing tells their learners
/// from one another: of 10,000 ways to deal all of them out again, those whose best and worst are.
fn chance_of_spread(counts: &[Count]) -> f64 {
    const DEALS: usize = 10_000;
    let spread = |counts: &[Count]| {
        let shares = || counts.iter().map(|count| count.fraction());
        shares().fold(f64::MIN, f64::max) - shares().fold(f64::MAX, f64::min)
    };
    let of = |count: &Count| {
        let Count { successes, trials } = *count;
        (0..trials).map(move |trial| trial < successes)
    };
    let mut learners: Vec<bool> = counts.iter().flat_map(of).collect();
    let (found, mut dice) = (spread(counts), Stream::new(0, "permutations", 0));
    let as_far = (0..DEALS).filter(|_| {
        for last in (1..learners.len()).rev() {
            let other = (dice.uniform() * (last + 1) as f64) as usize;
            learners.swap(last, other);
        }
        let mut rest = learners.as_slice();
        let dealt: Vec<Count> = (counts.iter())
            .map(|count| {
                let (own, others) = rest.split_at(count.trials);
                rest = others;
                Count::of(own.iter().copied())
            })
            .collect();
        spread(&dealt) >= found - 1e-9
    });
    (1 + as_far.count()) as f64 / (1 + DEALS) as f64
}

pub(super) fn conditions(cells: &Cells, sizes: Sizes) -> Result<Claim> {
    let all = look(cells, sizes)?;
    let bounded = Count::of(
        all.iter()
            .map(|one| one.regret <= one.optimal + one.other + 1e-3),
    );
    let (met, unmet): (Vec<&Kept>, Vec<&Kept>) = all.iter().partition(|one| one.met());
    let best = |some: &[&Kept]| Count::of(some.iter().map(|one| one.best()));
    let missed = Count {
        successes: best(&unmet).trials - best(&unmet).successes,
        ..best(&unmet)
    };
    let lost: Vec<f64> = unmet.iter().map(|one| one.loss).collect();
    let lines = QTRAN_GAMES.map(|game| {
        let own: Vec<&Kept> = all.iter().filter(|one| one.game == game).collect();
        let figure = |of: fn(&Kept) -> f64| {
            number(mean(&own.iter().map(|one| of(one)).collect::<Vec<f64>>()))
        };
        let met = Count::of(own.iter().map(|one| one.met()));
        let losses: Vec<f64> = own
            .iter()
            .filter(|one| !one.met())
            .map(|one| one.loss)
            .collect();
        vec![
            format!("`{game}`"),
            figure(|one| one.optimal),
            figure(|one| one.other),
            share(met),
            figure(|one| one.regret),
            if losses.is_empty() {
                "–".to_owned()
            } else {
                mean_of(&losses)
            },
        ]
    });
    Ok(Claim {
        title: "It is not clear whether QTRAN's conditions are met, and a policy may be bad where they are not",
        why: "the conditions are losses, and are never met exactly",
        test: "The learners of the last claim, whose Q, Q' and V are read out for every joint observation and action. With δ₁ the most that \
               |Q'(ā) + V − Q(ā)| comes to and δ₂ the most by which Q exceeds Q' + V, Q(a*) ≤ Q'(a*) + V + δ₂ ≤ Q'(ā) + V + δ₂ ≤ Q(ā) + δ₁ + δ₂: so what \
               the team lacks by its own Q is at most δ₁ + δ₂, and that can be computed wherever joint actions can be enumerated. Conditions count as met \
               where δ₁ + δ₂ < .5."
            .to_owned(),
        checks: vec![
            Check::at_least("learners that lack no more than δ₁ + δ₂ by their own Q", bounded, 1.0).by_definition(),
            Check::at_least("learners that end with a condition unmet", Count::of(all.iter().map(|one| !one.met())), 0.5),
            Check::at_least("of those, teams that earn less than agents apart can", missed, 0.5),
            Check {
                expected: "they lose something on average".to_owned(),
                found: if lost.is_empty() { "none are unmet".to_owned() } else { mean_of(&lost) },
                held: !lost.is_empty() && mean(&lost) > 0.01,
                by_definition: false,
            },
        ],
        settings: Vec::new(),
        figures: rows(
            &["game", "mean δ₁", "mean δ₂", "conditions met", "mean lack by its own Q", "mean loss of return where unmet"],
            lines,
        ) + &format!("Of the teams whose conditions are met, {} are optimal.\n\n", share(best(&met))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two cells of four, all of one and none of the other: of the 70 ways to choose who belongs to the
    /// first, two are as far apart.
    #[test]
    fn best_and_worst_are_found_by_chance_as_often_as_counted() {
        let of = |successes| Count {
            successes,
            trials: 4,
        };
        let chance = chance_of_spread(&[of(4), of(0)]);
        assert!((chance - 2.0 / 70.0).abs() < 0.005, "{chance}");
        assert_eq!(chance_of_spread(&[of(2), of(2)]), 1.0);
    }

    fn pupil(apart: [f64; 4], greedy: usize, value: f64) -> Pupil {
        Pupil {
            value,
            greedy: vec![greedy],
            policy: Vec::new(),
            team: Some(vec![vec![0.0, -5.0, -5.0, 10.0]]),
            apart: Some(vec![apart.to_vec()]),
        }
    }

    /// Assurance as Q. Q' + V = 0, 5, 5, 10 is never below it and equal at ā = (1, 1): both hold. From
    /// 0, −5, −5, −10 the agents stay, where Q' + V is right, and it is 20 too little at (1, 1): they lack
    /// 10 by Q, of the 20 that they may.
    #[test]
    fn conditions_are_read_off_the_tables() {
        let look = |pupil| Kept::new((1.0, 1.0), "assurance", 10.0, &pupil).unwrap();
        let good = look(pupil([0.0, 5.0, 5.0, 10.0], 3, 10.0));
        assert_eq!((good.optimal, good.other, good.regret), (0.0, 0.0, 0.0));
        assert!(good.met() && good.best());
        let bad = look(pupil([0.0, -5.0, -5.0, -10.0], 0, 0.0));
        assert_eq!((bad.optimal, bad.other, bad.regret), (0.0, 20.0, 10.0));
        assert!(!bad.met() && !bad.best() && bad.loss == 10.0);
        // Right everywhere but 2 too much at ā, which is not the best.
        let off = look(pupil([2.0, -5.0, -5.0, 1.5], 0, 0.0));
        assert_eq!((off.optimal, off.other, off.regret), (2.0, 8.5, 10.0));
    }
}
