//! Estimates along trajectories.
//!
//! ```text
//! δ_t = r_t + γ V_{t+1} − V_t         V_{t+1} = 0 where the step terminated the episode
//! A_t = δ_t + γλ A_{t+1}              A_{t+1} = 0 where the episode ended either way
//! ```
//!
//! A_t + V_t is the λ-return r_t + γ ((1−λ) V_{t+1} + λ G_{t+1}): with the values of the actions
//! taken in the place of V it is the target of TD(λ) for a critic of actions.

/// Generalised advantages of one replica's rows, `[T·B]`; 0 where nobody acted. `values` and
/// `valid`: `[(T+1)·B]`; `[gamma, lambda]`.
pub(crate) fn advantages(
    rewards: &[f32],
    values: &[f32],
    terminated: &[bool],
    valid: &[bool],
    parallel: usize,
    [gamma, lambda]: [f32; 2],
) -> Vec<f32> {
    let mut advantages = vec![0.0_f32; rewards.len()];
    for row in (0..rewards.len()).rev() {
        if !valid[row] {
            continue;
        }
        let next = row + parallel;
        advantages[row] = if terminated[row] {
            rewards[row] - values[row]
        } else {
            let goes_on = next < rewards.len() && valid[next];
            let later = if goes_on { advantages[next] } else { 0.0 };
            rewards[row] + gamma * values[next] - values[row] + gamma * lambda * later
        };
    }
    advantages
}

/// What `of` makes of every column of a table of `width` columns, laid out as the table; columns may
/// become shorter.
pub(crate) fn by_column(
    table: &[f32],
    width: usize,
    mut of: impl FnMut(Vec<f32>) -> Vec<f32>,
) -> Vec<f32> {
    let column = |index: usize| table[index..].iter().step_by(width).copied().collect();
    let columns: Vec<Vec<f32>> = (0..width).map(|index| of(column(index))).collect();
    let rows = columns.first().map_or(0, Vec::len);
    let row = |row: usize| columns.iter().map(move |column| column[row]);
    (0..rows).flat_map(row).collect()
}

/// Shifts and scales the valid ones to mean 0 and deviation 1.
pub(crate) fn standardise(mut advantages: Vec<f32>, valid: &[bool]) -> Vec<f32> {
    let of_valid = || std::iter::zip(&advantages, valid).filter(|(_, valid)| **valid);
    let count = of_valid().count().max(1) as f64;
    let mean = of_valid().map(|(&a, _)| f64::from(a)).sum::<f64>() / count;
    let variance = of_valid()
        .map(|(&a, _)| (f64::from(a) - mean).powi(2))
        .sum::<f64>()
        / count;
    let deviation = variance.sqrt() + LEAST_DEVIATION;
    for (advantage, &valid) in advantages.iter_mut().zip(valid) {
        if valid {
            *advantage = ((f64::from(*advantage) - mean) / deviation) as f32;
        }
    }
    advantages
}

/// 1 − Var(A) / Var(A + V) over the valid ones: 1 where critics say the very λ-returns A + V, 0 where they do no better than their mean, below 0
/// where worse; 0 too where these do not vary. All values are of one length.
pub(crate) fn explained_variance(advantages: &[f32], returns: &[f32], valid: &[bool]) -> f64 {
    let variance = |values: &[f32]| {
        let (mut count, mut mean, mut scatter) = (0.0, 0.0, 0.0);
        for (&value, _) in std::iter::zip(values, valid).filter(|(_, valid)| **valid) {
            count += 1.0;
            let before = f64::from(value) - mean;
            mean += before / count;
            scatter += before * (f64::from(value) - mean);
        }
        scatter / f64::max(count, 1.0)
    };
    match variance(returns) {
        0.0 => 0.0,
        of_returns => 1.0 - variance(advantages) / of_returns,
    }
}

/// Where all advantages are alike, rounding errors must not become signals.
const LEAST_DEVIATION: f64 = 1e-5;

/// 1/(rows in which somebody acted), 0 where nobody did. `valid`: of one replica.
pub(crate) fn weights(valid: &[bool]) -> Vec<f32> {
    let count = valid.iter().filter(|&&valid| valid).count().max(1) as f32;
    let weight = |&valid: &bool| if valid { 1.0 / count } else { 0.0 };
    valid.iter().map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advantages_by_hand_through_both_kinds_of_end() {
        // One sequence, γ = .5, λ = .5. Rows: 0 goes on, 1 terminates, 2 goes on and is truncated
        // after, 3 shows its last observation, 4 goes on beyond the batch; 5 is only valued.
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let rewards = [1.0, 1.0, 1.0, 0.0, 1.0];
        let terminated = [false, true, false, false, false];
        let valid = [true, true, true, false, true, true];
        let found = advantages(&rewards, &values, &terminated, &valid, 1, [0.5, 0.5]);
        // A_4 = 1 + .5·6 − 5 = −1. Nobody acts in 3. A_2 = 1 + .5·4 − 3 = 0. A_1 = 1 − 2 = −1.
        // A_0 = 1 + .5·2 − 1 + .25·(−1) = .75.
        assert_eq!(found, [0.75, -1.0, 0.0, 0.0, -1.0]);
    }

    /// A + V is the λ-return, from its own recursion: G_t = r + γ ((1−λ) V_{t+1} + λ G_{t+1}), where
    /// nothing comes after a termination, and G is V after a truncation and beyond the batch.
    #[test]
    fn advantages_over_values_are_lambda_returns() {
        let values = [0.5, -1.0, 2.0, 0.25, 1.5, -0.5];
        let rewards = [1.0, 2.0, -1.0, 0.0, 3.0];
        let terminated = [false, true, false, false, false];
        let valid = [true, true, true, false, true, true];
        let (gamma, lambda) = (0.9_f32, 0.8_f32);
        let found = advantages(&rewards, &values, &terminated, &valid, 1, [gamma, lambda]);
        let step = |t: usize, later: f32| {
            rewards[t] + gamma * ((1.0 - lambda) * values[t + 1] + lambda * later)
        };
        let (g_4, g_2, g_1) = (step(4, values[5]), step(2, values[3]), rewards[1]);
        for (t, expected) in [(4, g_4), (2, g_2), (1, g_1), (0, step(0, g_1))] {
            assert!(
                (found[t] + values[t] - expected).abs() < 1e-6,
                "{t}: {expected}"
            );
        }
    }

    #[test]
    fn variance_is_explained_by_critics_that_know() {
        let valid = [true, true, true, true, false];
        let returns = [1.0, 2.0, 3.0, 4.0, 9.0];
        // Variance 1.25. What is said is 1, 2, 3, 4; 2.5 throughout; 4, 3, 2, 1, which leaves −3, −1, 1, 3: variance 5.
        let explained = |said: [f32; 4]| {
            let left = |t: usize| returns[t] - said.get(t).unwrap_or(&0.0);
            explained_variance(&[0, 1, 2, 3, 4].map(left), &returns, &valid)
        };
        assert_eq!(explained([1.0, 2.0, 3.0, 4.0]), 1.0);
        assert_eq!(explained([2.5; 4]), 0.0);
        assert_eq!(explained([4.0, 3.0, 2.0, 1.0]), -3.0);
        assert_eq!(explained_variance(&[1.0, 2.0], &[5.0; 2], &[true; 2]), 0.0);
    }

    #[test]
    fn columns_are_taken_apart_and_put_together() {
        let table = [1.0, 10.0, 2.0, 20.0, 3.0, 30.0];
        let found = by_column(&table, 2, |column| {
            column[..2].iter().map(|x| 2.0 * x).collect()
        });
        assert_eq!(found, [2.0, 20.0, 4.0, 40.0]);
    }

    #[test]
    fn parallel_sequences_do_not_mix() {
        // Two sequences of two steps; γ = λ = 1, all values 0: advantages are rewards to come.
        let rewards = [1.0, 10.0, 2.0, 20.0];
        let found = advantages(&rewards, &[0.0; 6], &[false; 4], &[true; 6], 2, [1.0, 1.0]);
        assert_eq!(found, [3.0, 30.0, 2.0, 20.0]);
    }
}
