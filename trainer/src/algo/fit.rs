//! What a mixer can represent of a payoff table of two agents: the best fit of its class by least
//! squares, cell by cell weighted with how often the cell is played.
//!
//! - *Additive*, R(a, b) ≈ u(a) + v(b): all that VDN can say of one state.
//! - *Monotonic*, R(a, b) ≈ f(q(a), p(b)) with f rising in both: all that QMIX can say of one
//!   state. Some order of each agent's actions makes such a fit rise along rows and columns; for
//!   given orders it is an isotonic regression.
//!
//! A team that maximises such a fit plays its best cell, whatever the table says there.

use std::fmt;

/// A fit of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// `[A][B]`.
    pub values: Vec<Vec<f64>>,
    /// Σ w (R − fit)².
    pub error: f64,
}

/// Why a table has no fit here.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FitError {
    /// The rows are not of one length, or there is none.
    #[error("found a {0} whose rows differ in length or are none, expected A rows of B numbers")]
    Shape(&'static str),
    /// Table and weights are of different sizes.
    #[error("found {found} weights, expected {expected}, one for each payoff")]
    Sizes {
        /// As they came.
        found: Size,
        /// As the table is.
        expected: Size,
    },
    /// A number that cannot be fitted.
    #[error("found {0} among payoffs and weights, expected finite payoffs and weights above 0")]
    Number(f64),
    /// More actions than orders of them can be tried.
    #[error("found {0} actions, expected at most {MOST_ACTIONS} of each agent")]
    TooLarge(Size),
}

/// A × B.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub usize, pub usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {}", self.0, self.1)
    }
}

/// The most actions of an agent for which all orders are tried: 4!² · 70² sets of cells.
pub const MOST_ACTIONS: usize = 4;

/// The additive fit of `table`, `[A][B]`, under `weights`, `[A][B]`. With weights that are all
/// alike, row mean + column mean − mean of all.
///
/// # Errors
/// See [`FitError`].
pub fn additive(table: &[Vec<f64>], weights: &[Vec<f64>]) -> Result<Fit, FitError> {
    let Size(rows, columns) = check(table, weights)?;
    let (mut u, mut v) = (vec![0.0; rows], vec![0.0; columns]);
    // Turn by turn each side is what is best beside the other. That never makes a convex quadratic
    // larger, and comes to its minimum because every cell has weight.
    for _ in 0..100_000 {
        let mut moved = 0.0_f64;
        for a in 0..rows {
            let cells = (0..columns).map(|b| (weights[a][b], table[a][b] - v[b]));
            moved = moved.max(settle(&mut u[a], cells));
        }
        for b in 0..columns {
            let cells = (0..rows).map(|a| (weights[a][b], table[a][b] - u[a]));
            moved = moved.max(settle(&mut v[b], cells));
        }
        if moved == 0.0 {
            break;
        }
    }
    let sum = |a: usize| v.iter().map(|v| u[a] + v).collect();
    Ok(judged((0..rows).map(sum).collect(), table, weights))
}

/// The best monotonic fit of `table`, `[A][B]`, under `weights`, `[A][B]`: over all orders of both
/// agents' actions the best isotonic regression, which is at every cell x
///
/// ```text
/// f(x) = max over upper sets U ∋ x of min over lower sets L ∋ x of the mean over U ∩ L
/// ```
///
/// (Robertson, Wright & Dykstra, *Order Restricted Statistical Inference*, 1988, theorem 1.4.4).
///
/// # Errors
/// See [`FitError`].
pub fn monotonic(table: &[Vec<f64>], weights: &[Vec<f64>]) -> Result<Fit, FitError> {
    let size @ Size(rows, columns) = check(table, weights)?;
    if rows.max(columns) > MOST_ACTIONS {
        return Err(FitError::TooLarge(size));
    }
    let sets = upper_sets(rows, columns);
    let mut best: Option<Fit> = None;
    for first in orders(rows) {
        for second in orders(columns) {
            let mut values = vec![vec![0.0; columns]; rows];
            for (i, &a) in first.iter().enumerate() {
                for (j, &b) in second.iter().enumerate() {
                    let mean = |cells: u32| mean(cells, table, weights, &first, &second);
                    values[a][b] = isotonic(1 << (i * columns + j), &sets, mean);
                }
            }
            let fit = judged(values, table, weights);
            if best.as_ref().is_none_or(|best| fit.error < best.error) {
                best = Some(fit);
            }
        }
    }
    Ok(best.expect("there is at least one order"))
}

/// The size of both.
fn check(table: &[Vec<f64>], weights: &[Vec<f64>]) -> Result<Size, FitError> {
    let size = |table: &[Vec<f64>], what| {
        let columns = table.first().map_or(0, Vec::len);
        let even = columns > 0 && table.iter().all(|row| row.len() == columns);
        even.then_some(Size(table.len(), columns))
            .ok_or(FitError::Shape(what))
    };
    let expected = size(table, "table")?;
    let found = size(weights, "table of weights")?;
    if found != expected {
        return Err(FitError::Sizes { found, expected });
    }
    let unusable = |&&number: &&f64| !number.is_finite();
    let payoff = table.iter().flatten().find(unusable);
    let weight = (weights.iter().flatten()).find(|&&weight| !(weight.is_finite() && weight > 0.0));
    match payoff.or(weight) {
        Some(&number) => Err(FitError::Number(number)),
        None => Ok(expected),
    }
}

/// Makes `value` the weighted mean of `cells`; how far it moved, 0 where only rounding would.
fn settle(value: &mut f64, cells: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (mut sum, mut weight, mut size) = (0.0, 0.0, 0.0_f64);
    for (w, x) in cells {
        sum += w * x;
        weight += w;
        size = size.max(x.abs());
    }
    let moved = (sum / weight - *value).abs();
    *value = sum / weight;
    if moved > 1e-15 * size { moved } else { 0.0 }
}

fn judged(values: Vec<Vec<f64>>, table: &[Vec<f64>], weights: &[Vec<f64>]) -> Fit {
    let rows = values.iter().zip(table).zip(weights);
    let cells = rows.flat_map(|((fit, table), weights)| fit.iter().zip(table).zip(weights));
    let error = cells
        .map(|((fit, r), weight)| weight * (r - fit).powi(2))
        .sum();
    Fit { values, error }
}

/// The sets of cells, as bits by row and column, that hold with a cell all that are above it.
fn upper_sets(rows: usize, columns: usize) -> Vec<u32> {
    // (cells of the rows so far, the first column of the last row): it never grows.
    let mut sets = vec![(0_u32, columns)];
    for row in 0..rows {
        sets = sets
            .iter()
            .flat_map(|&(cells, before)| {
                let most = if row == 0 { columns } else { before };
                (0..=most).map(move |from| {
                    let own = ((1_u32 << columns) - 1) & !((1 << from) - 1);
                    (cells | own << (row * columns), from)
                })
            })
            .collect();
    }
    sets.into_iter().map(|(cells, _)| cells).collect()
}

/// The regression's value at `cell`, one bit.
fn isotonic(cell: u32, sets: &[u32], mean: impl Fn(u32) -> f64) -> f64 {
    let upper = sets.iter().filter(|&&set| set & cell != 0);
    let least = |&upper: &u32| {
        // A lower set is what an upper one leaves.
        let lower = sets.iter().filter(|&&set| set & cell == 0);
        lower
            .map(|&left_out| mean(upper & !left_out))
            .fold(f64::INFINITY, f64::min)
    };
    upper.map(least).fold(f64::NEG_INFINITY, f64::max)
}

/// The weighted mean of the table over `cells`, bits by places in both orders.
fn mean(
    cells: u32,
    table: &[Vec<f64>],
    weights: &[Vec<f64>],
    first: &[usize],
    second: &[usize],
) -> f64 {
    let (mut sum, mut weight) = (0.0, 0.0);
    for (i, &a) in first.iter().enumerate() {
        for (j, &b) in second.iter().enumerate() {
            if cells >> (i * second.len() + j) & 1 == 1 {
                sum += weights[a][b] * table[a][b];
                weight += weights[a][b];
            }
        }
    }
    sum / weight
}

/// All orders of `count` things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    (0..count).fold(vec![Vec::new()], |orders, next| {
        let longer = |order: &Vec<usize>| {
            (0..=order.len())
                .map(|place| {
                    let mut longer = order.clone();
                    longer.insert(place, next);
                    longer
                })
                .collect::<Vec<_>>()
        };
        orders.iter().flat_map(longer).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASSURANCE: [[f64; 2]; 2] = [[0.0, -5.0], [-5.0, 10.0]];

    fn table<const A: usize, const B: usize>(rows: [[f64; B]; A]) -> Vec<Vec<f64>> {
        rows.iter().map(|row| row.to_vec()).collect()
    }

    fn assert_close(fit: &Fit, expected: [[f64; 2]; 2], error: f64) {
        for (found, expected) in fit.values.iter().flatten().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 1e-9, "{fit:?}");
        }
        assert!((fit.error - error).abs() < 1e-9, "{fit:?}");
    }

    /// Row means −2.5 and 2.5, columns' the same, mean 0: −5, 0, 0, 5. Every cell is 5 off:
    /// 4 · 25 = 100.
    #[test]
    fn no_sum_is_assurance() {
        let even = table([[1.0; 2]; 2]);
        let fit = additive(&table(ASSURANCE), &even).unwrap();
        assert_close(&fit, [[-5.0, 0.0], [0.0, 5.0]], 100.0);
    }

    /// Played evenly, the best order puts daring above safety for both: 0, −5, −5 must not fall
    /// below one another and pool at −10/3; 10 stays. (10/3)² + 2 (5/3)² = 150/9. The other
    /// orders: both reversed pool 10, −5, −5 at 0, error 150; one reversed pools 10, −5 at 2.5,
    /// error 2 · 7.5² = 112.5.
    #[test]
    fn no_monotonic_function_is_assurance() {
        let even = table([[1.0; 2]; 2]);
        let fit = monotonic(&table(ASSURANCE), &even).unwrap();
        let pool = -10.0 / 3.0;
        assert_close(&fit, [[pool, pool], [pool, 10.0]], 150.0 / 9.0);
    }

    /// Both stay safe nine times in ten: weights .81, .09, .09, .01. Safety above daring pools 10,
    /// −5, −5 at (.1 − .9)/.19 = −80/19, and 0 stays: error .01 (10 + 80/19)² + .18 (5 − 80/19)²
    /// = 2.13. Daring above safety: pool −.9/.99 = −10/11, error .81 (10/11)² + .18 (45/11)² =
    /// 3.68. So what fits best is best at (0, 0), which pays 0. The sum is, too: with d the
    /// slope both share, u and v give 0 ≈ c, −5 ≈ c + d, 10 ≈ c + 2 d at these weights, and d < 0.
    #[test]
    fn where_teams_play_it_safe_the_fits_say_so() {
        let weights = table([[0.81, 0.09], [0.09, 0.01]]);
        let fit = monotonic(&table(ASSURANCE), &weights).unwrap();
        let pool = -80.0 / 19.0;
        let error = 0.01 * (10.0_f64 - pool).powi(2) + 0.18 * (-5.0_f64 - pool).powi(2);
        assert_close(&fit, [[0.0, pool], [pool, pool]], error);
        // The number of agents that dare is 0, 1, 2 with .81, .18, .01: mean .2, variance .18.
        // Mean payoff −.8; covariance .01·2·10 − .18·5 + .2·.8 = −.54: d = −3, c = −.8 + .6.
        let fit = additive(&table(ASSURANCE), &weights).unwrap();
        let [c, d] = [-0.2, -3.0];
        let error = 0.81 * 0.04
            + 0.18 * (-5.0_f64 - c - d).powi(2)
            + 0.01 * (10.0_f64 - c - 2.0 * d).powi(2);
        assert_close(&fit, [[c, c + d], [c + d, c + 2.0 * d]], error);
    }

    /// Climbing, which QTRAN's paper and many others take: both fits are largest at (2, 2), which
    /// pays 5, not at (0, 0), which pays 11. Row means −19/3, −17/3, 5/3, columns' the same.
    #[test]
    fn the_fits_of_climbing_are_best_elsewhere() {
        let even = table([[1.0; 3]; 3]);
        let climbing = table([[11.0, -30.0, 0.0], [-30.0, 7.0, 6.0], [0.0, 0.0, 5.0]]);
        for fit in [additive(&climbing, &even), monotonic(&climbing, &even)] {
            let fit = fit.unwrap();
            let best = fit.values[2][2];
            let others = fit.values.iter().flatten().filter(|&&value| value >= best);
            assert_eq!(others.count(), 1, "{fit:?}");
        }
    }

    /// The matrix game of QTRAN's paper. With action 0 above the others for both, −12 four times and
    /// 0 four times pool at −6 and 8 stays: error 8 · 36 = 288. With it below, 8 and four −12 pool
    /// at −8: 16² + 4 · 4² = 320. So QMIX could find 8 there; that it is reported to end at 0 is
    /// a matter of training.
    #[test]
    fn the_matrix_game_of_qtran_has_a_monotonic_fit_that_is_best_at_its_optimum() {
        let game = table([[8.0, -12.0, -12.0], [-12.0, 0.0, 0.0], [-12.0, 0.0, 0.0]]);
        let fit = monotonic(&game, &table([[1.0; 3]; 3])).unwrap();
        assert!((fit.error - 288.0).abs() < 1e-9 && (fit.values[0][0] - 8.0).abs() < 1e-9);
        assert!(
            fit.values
                .iter()
                .flatten()
                .skip(1)
                .all(|&value| (value + 6.0).abs() < 1e-9)
        );
    }

    /// What is monotonic after some reordering fits exactly; a sum exactly, too.
    #[test]
    fn what_is_in_the_class_is_fitted_exactly() {
        let even = table([[1.0; 3]; 3]);
        let rising = table([[5.0, 1.0, 7.0], [2.0, -1.0, 4.0], [9.0, 2.0, 9.5]]);
        let fit = monotonic(&rising, &even).unwrap();
        assert!(fit.error < 1e-20 && fit.values == rising);
        let sum = table([[1.0, 5.0, -2.0], [0.0, 4.0, -3.0], [3.0, 7.0, 0.0]]);
        assert!(additive(&sum, &even).unwrap().error < 1e-20);
        assert!(monotonic(&sum, &even).unwrap().error < 1e-20);
    }

    #[test]
    fn what_cannot_be_fitted_is_refused() {
        let one = table([[1.0; 2]; 2]);
        let refused = |table: &[Vec<f64>], weights: &[Vec<f64>], expected: &str| {
            let error = monotonic(table, weights).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        refused(
            &one,
            &table([[1.0; 3]; 2]),
            "found 2 × 3 weights, expected 2 × 2",
        );
        refused(&one, &table([[1.0, 0.0], [1.0, 1.0]]), "found 0");
        refused(&table([[1.0, f64::NAN], [1.0, 1.0]]), &one, "found NaN");
        refused(&[], &one, "a table whose rows");
        refused(&table([[0.0; 5]; 2]), &table([[1.0; 5]; 2]), "at most 4");
    }
}
