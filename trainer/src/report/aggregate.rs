//! Methods compared over several tasks and seeds, as Agarwal, Schwarzer, Castro, Courville &
//! Bellemare do, *Deep Reinforcement Learning at the Edge of the Statistical Precipice* (NeurIPS
//! 2021): point estimates over all runs of all tasks, with 95 % intervals by a bootstrap that is
//! stratified by task.
//!
//! A method's scores are `[task][run]`, each task's on a scale of its own from 0 to 1.

use super::statistics::{Interval, interquartile_mean};
use crate::rng::Stream;

/// Scores of one method, `[task][run]`; every task has a run.
pub type Scores = Vec<Vec<f64>>;

/// Resamples of a bootstrap.
const RESAMPLES: usize = 2_000;

/// An estimate and its interval.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// On the sample itself.
    pub value: f64,
    /// The middle 95 % of the estimate over resamples.
    pub interval: Interval,
}

/// The interquartile mean over all runs of all tasks.
pub fn overall(scores: &Scores, stream: &mut Stream) -> Estimate {
    estimate([scores], stream, |[scores]| pooled(scores))
}

/// P(X > Y): the probability that a run of one method does better than a run of the other on the
/// same task, equal runs counting half, on average over tasks (Mann & Whitney 1947).
pub fn improvement(one: &Scores, other: &Scores, stream: &mut Stream) -> Estimate {
    estimate([one, other], stream, |[one, other]| better(one, other))
}

/// The performance profile: the share of runs that score more than each of `levels`, on average
/// over tasks.
pub fn profile(scores: &Scores, levels: &[f64], stream: &mut Stream) -> Vec<Estimate> {
    let at = |&level: &f64| {
        estimate([scores], stream, |[scores]| {
            let share = |runs: &Vec<f64>| {
                let above = runs.iter().filter(|&&score| score > level).count();
                above as f64 / runs.len() as f64
            };
            mean(scores.iter().map(share))
        })
    };
    levels.iter().map(at).collect()
}

fn pooled(scores: &Scores) -> f64 {
    interquartile_mean(&scores.concat())
}

fn better(one: &Scores, other: &Scores) -> f64 {
    let of_task = |(one, other): (&Vec<f64>, &Vec<f64>)| {
        let wins = one.iter().flat_map(|a| {
            other.iter().map(move |b| match a.total_cmp(b) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            })
        });
        wins.sum::<f64>() / (one.len() * other.len()) as f64
    };
    mean(std::iter::zip(one, other).map(of_task))
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// A statistic of some methods' scores, and its interval: each method's runs are drawn anew within
/// each task.
fn estimate<const M: usize>(
    methods: [&Scores; M],
    stream: &mut Stream,
    statistic: impl Fn([&Scores; M]) -> f64,
) -> Estimate {
    let mut resamples = methods.map(Scores::clone);
    let mut statistics: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            for (resample, scores) in resamples.iter_mut().zip(methods) {
                for (drawn, runs) in resample.iter_mut().zip(scores) {
                    let count = runs.len() as f64;
                    drawn.fill_with(|| runs[(stream.uniform() * count) as usize]);
                }
            }
            statistic(resamples.each_ref())
        })
        .collect();
    statistics.sort_by(f64::total_cmp);
    let cut = RESAMPLES / 40;
    Estimate {
        value: statistic(methods),
        interval: Interval {
            low: statistics[cut],
            high: statistics[RESAMPLES - 1 - cut],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Stream {
        Stream::new(0, "bootstrap", 0)
    }

    /// Eight runs of two tasks in one pool: a quarter is cut from either end.
    #[test]
    fn the_middle_half_is_of_all_runs_of_all_tasks() {
        let scores = vec![vec![0.0, 0.1, 0.2, 0.3], vec![0.4, 0.5, 0.6, 1.0]];
        let found = overall(&scores, &mut stream());
        // .2, .3, .4 and .5 are left.
        assert!((found.value - 0.35).abs() < 1e-12);
        assert_eq!(found, overall(&scores, &mut stream()));
        // The strata keep their sizes, so neither task can vanish from a resample: were they drawn
        // from one pool, one in 2⁸ of them would hold none of a task. At the least the pool is four
        // zeros and four .4s.
        assert!(found.interval.low >= 0.2 - 1e-12 && found.interval.high <= 0.65);
        assert!(found.interval.low < found.value && found.value < found.interval.high);
    }

    /// Task 0: of four pairs (3, 1), (3, 3), (2, 1), (2, 3) two are won and one is even: 2.5/4.
    /// Task 1: all are lost.
    #[test]
    fn improvement_is_the_mean_over_tasks_of_the_pairs_that_are_won() {
        let one = vec![vec![3.0, 2.0], vec![0.0]];
        let other = vec![vec![1.0, 3.0], vec![1.0]];
        let found = improvement(&one, &other, &mut stream());
        assert!((found.value - 0.5 * 0.625).abs() < 1e-12);
        let back = improvement(&other, &one, &mut stream());
        assert!((found.value + back.value - 1.0).abs() < 1e-12);
    }

    #[test]
    fn profiles_fall_from_the_lowest_to_the_highest_score() {
        let scores = vec![vec![0.2, 0.8], vec![0.5, 1.0, 1.0]];
        let levels = [0.0, 0.2, 0.5, 1.0];
        let found = profile(&scores, &levels, &mut stream());
        let values: Vec<f64> = found.iter().map(|estimate| estimate.value).collect();
        // Above .2: ½ and 1; above .5: ½ and ⅔; above 1: none.
        for (found, expected) in values.iter().zip([1.0, 0.75, 7.0 / 12.0, 0.0]) {
            assert!((found - expected).abs() < 1e-12, "{values:?}");
        }
    }

    /// A method without spread has an interval without width.
    #[test]
    fn certainty_has_no_interval() {
        let found = overall(&vec![vec![0.7; 5]; 3], &mut stream());
        for end in [found.value, found.interval.low, found.interval.high] {
            assert!((end - 0.7).abs() < 1e-12);
        }
    }
}
