//! Exact values of policies in one-shot games: sums over the whole table, no sampling.

use super::Game;

impl Game {
    /// The best joint value, Σ_o P(o) max_a R(o, a): what a team could earn whose members see
    /// all observations.
    pub fn joint_value(&self) -> f64 {
        self.expectation(|o| max(self.payoffs(o)))
    }

    /// The value of play uniformly at random.
    pub fn uniform_value(&self) -> f64 {
        self.expectation(|o| self.payoffs(o).iter().sum::<f64>() / self.actions().count() as f64)
    }

    /// The value of the product policy ∏ π_i(a_i | o_i), where `policies[i]` holds agent i's
    /// probabilities, `[|O_i|, A_i]` row-major.
    pub fn product_value(&self, policies: &[impl AsRef<[f64]>]) -> f64 {
        let mut values = Vec::new();
        self.expectation(|o| {
            values.clear();
            values.extend_from_slice(self.payoffs(o));
            // Averages out one agent at a time, the last first: [a_0 … a_i] → [a_0 … a_{i−1}].
            for (agent, &actions) in self.actions().sizes().iter().enumerate().rev() {
                let row = self.observations().part(o, agent) * actions;
                let policy = &policies[agent].as_ref()[row..][..actions];
                for prefix in 0..values.len() / actions {
                    let outcomes = &values[prefix * actions..][..actions];
                    values[prefix] = std::iter::zip(policy, outcomes).map(|(p, r)| p * r).sum();
                }
                values.truncate(values.len() / actions);
            }
            values[0]
        })
    }

    /// The value of the deterministic policies that play `actions[i][o_i]`.
    pub fn greedy_value(&self, actions: &[impl AsRef<[usize]>]) -> f64 {
        self.expectation(|o| {
            let seen = self.observations().split(o);
            let chosen = seen.zip(actions).map(|(o_i, policy)| policy.as_ref()[o_i]);
            self.payoff(o, self.actions().join(chosen))
        })
    }

    /// The least and the greatest payoff that can occur.
    pub fn payoff_range(&self) -> (f64, f64) {
        let possible = (0..self.probability().len()).filter(|&o| self.probability()[o] > 0.0);
        possible
            .flat_map(|o| self.payoffs(o))
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &r| {
                (low.min(r), high.max(r))
            })
    }

    /// Σ_o P(o) value(o).
    fn expectation(&self, mut value: impl FnMut(usize) -> f64) -> f64 {
        let possible = self
            .probability()
            .iter()
            .enumerate()
            .filter(|(_, p)| **p > 0.0);
        possible.map(|(o, p)| p * value(o)).sum()
    }
}

/// The greatest of some numbers.
pub(super) fn max(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two agents, agent 1 sees a biased bit y: both must play y for 4 and else get 0, except
    /// that (0, 1) pays 1 when y = 1.
    fn follow() -> Game {
        let payoff = vec![4.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 4.0];
        Game::new("follow", &[2, 2], &[1, 2], vec![0.75, 0.25], payoff).unwrap()
    }

    #[test]
    fn values_by_hand() {
        let game = follow();
        assert_eq!(game.joint_value(), 4.0);
        // .75·(4/4) + .25·((1 + 4)/4)
        assert_eq!(game.uniform_value(), 1.0625);
        // Agent 0 plays 0, agent 1 plays y: .75·4 + .25·1.
        assert_eq!(game.greedy_value(&[vec![0], vec![0, 1]]), 3.25);
        assert_eq!(game.payoff_range(), (0.0, 4.0));
    }

    #[test]
    fn product_value_by_hand() {
        let game = follow();
        // Agent 0 plays 0 with .8; agent 1 plays y with .9 when y = 0, always when y = 1:
        // .75·(.8·.9·4) + .25·(.8·1·1 + .2·1·4) = 2.16 + .4.
        let value = game.product_value(&[vec![0.8, 0.2], vec![0.9, 0.1, 0.0, 1.0]]);
        assert!((value - 2.56).abs() < 1e-12, "{value}");
    }

    #[test]
    fn impossible_observations_do_not_count() {
        let payoff = vec![1.0, 2.0, -1e9, 1e9];
        let game = Game::new("sure", &[2], &[2], vec![1.0, 0.0], payoff).unwrap();
        assert_eq!(game.payoff_range(), (1.0, 2.0));
        assert_eq!(game.joint_value(), 2.0);
    }
}
