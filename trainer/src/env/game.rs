//! One-shot team games, with or without private observations.
//!
//! Nature draws a joint observation o = (o_0 … o_{N−1}) from P; agent i sees o_i alone and picks
//! a_i; the team is paid R(o, a). This is the one-step Dec-POMDP, or *team decision problem*
//! (Marschak & Radner, *Economic Theory of Teams*, 1972).

use super::joint::JointSpace;
use super::{AgentSpec, TeamSpec};

/// The most entries a payoff table may have (joint observations × joint actions): 128 MiB.
pub const MAX_ENTRIES: usize = 1 << 24;
/// The most agents a game may have. Nested tables of more would exceed what TOML readers accept.
pub const MAX_AGENTS: usize = 32;

/// The largest payoff in size. Rewards are f32: payoffs that differ by less than 6e-8 of their size
/// are the same to a learner.
pub const LARGEST_PAYOFF: f64 = 1e37;

/// How far from 1 the probabilities may sum: a hair above 1e-6, so that thrice 0.333333 passes.
const SUM_TOLERANCE: f64 = 1.000_001e-6;
/// Sums nearer to 1 than this are left alone. It exceeds what rounding can add up to over
/// [`MAX_ENTRIES`] terms, so normalising twice changes nothing and a game that is written out
/// reads back as itself.
const SUM_ROUNDING: f64 = 1e-8;

/// A one-shot team game. Checked when made: every table has its shape and finite entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Game {
    name: String,
    actions: JointSpace,
    observations: JointSpace,
    probability: Vec<f64>,
    payoff: Vec<f64>,
}

/// Why numbers do not make a game.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GameError {
    /// The name cannot serve as one: run folders are called after it.
    #[error(
        "name: found {found:?}, expected 1 to 64 characters, none of them '/', '\\' or a control \
         character, the first not '.'"
    )]
    Name {
        /// The name given.
        found: String,
    },
    /// No agents, or more than [`MAX_AGENTS`].
    #[error(
        "actions: found a list of {found}, expected one of 1 to {MAX_AGENTS}, an entry per agent"
    )]
    Agents {
        /// Entries given.
        found: usize,
    },
    /// There is not one observation set per agent.
    #[error(
        "observations: found a list of {found}, expected a list of {expected}, an entry per agent as in actions"
    )]
    Observations {
        /// Entries given.
        found: usize,
        /// The number of agents.
        expected: usize,
    },
    /// An agent has nothing to choose, or nothing to see.
    #[error("{field}[{agent}]: found 0, expected at least 1")]
    EmptySet {
        /// `actions` or `observations`.
        field: &'static str,
        /// The agent's index.
        agent: usize,
    },
    /// The table would be too large to hold.
    #[error(
        "payoff: found about {entries:.1e} entries (joint observations × joint actions), expected \
         at most {MAX_ENTRIES}"
    )]
    TooLarge {
        /// Joint observations × joint actions.
        entries: f64,
    },
    /// A flat table has the wrong length.
    #[error("{field}: found {found} entries, expected {expected}")]
    Length {
        /// `probability` or `payoff`.
        field: &'static str,
        /// Entries given.
        found: usize,
        /// Entries that the sizes call for.
        expected: usize,
    },
    /// A payoff is not finite, or so large that the range of rewards, which are f32, would
    /// overflow.
    #[error("{at}: found {found:?}, expected a finite number of at most 1e37 in size")]
    Payoff {
        /// Where, as in `payoff[1][0]`.
        at: String,
        /// The payoff given.
        found: f64,
    },
    /// A probability is negative or not finite.
    #[error("{at}: found {found:?}, expected a probability (a number from 0 to 1)")]
    Probability {
        /// Where, as in `probability[1][0]`.
        at: String,
        /// The probability given.
        found: f64,
    },
    /// The probabilities do not sum to 1.
    #[error("probability: found entries that sum to {sum}, expected a sum of 1 (within 1e-6)")]
    ProbabilitySum {
        /// Their sum.
        sum: f64,
    },
}

impl Game {
    /// A game called `name` with `actions[i]` actions and `observations[i]` observations for
    /// agent i (all 1 when there is nothing to see).
    ///
    /// `probability`: P(o), `[joint observations]`; `payoff`: R(o, a),
    /// `[joint observations, joint actions]`; both row-major with agent 0 slowest. Probabilities
    /// that were typed with few digits are normalised to sum to 1.
    pub fn new(
        name: impl Into<String>,
        actions: &[usize],
        observations: &[usize],
        mut probability: Vec<f64>,
        payoff: Vec<f64>,
    ) -> Result<Self, GameError> {
        let name = checked_name(name.into())?;
        let (actions, observations) = checked_spaces(actions, observations)?;
        let joint = observations.count();
        check_length("probability", probability.len(), joint)?;
        check_length("payoff", payoff.len(), joint * actions.count())?;

        if let Some(index) = probability
            .iter()
            .position(|&p| !(p.is_finite() && p >= 0.0))
        {
            return Err(GameError::Probability {
                at: entry("probability", observations.sizes(), index),
                found: probability[index],
            });
        }
        let sum: f64 = probability.iter().sum();
        if (sum - 1.0).abs() > SUM_TOLERANCE {
            return Err(GameError::ProbabilitySum { sum });
        }
        if (sum - 1.0).abs() > SUM_ROUNDING {
            probability.iter_mut().for_each(|p| *p /= sum);
        }
        let game = Self {
            name,
            actions,
            observations,
            probability,
            payoff,
        };
        match game
            .payoff
            .iter()
            .position(|&r| !r.is_finite() || r.abs() > LARGEST_PAYOFF)
        {
            Some(index) => Err(GameError::Payoff {
                at: entry("payoff", &game.payoff_shape(), index),
                found: game.payoff[index],
            }),
            None => Ok(game),
        }
    }

    /// As [`Game::new`], with the payoff given by `payoff(o, a)` (both `[N]`), which is called
    /// once for every entry, in order.
    pub fn from_fn(
        name: impl Into<String>,
        actions: &[usize],
        observations: &[usize],
        probability: Vec<f64>,
        mut payoff: impl FnMut(&[usize], &[usize]) -> f64,
    ) -> Result<Self, GameError> {
        let (joint_actions, joint_observations) = checked_spaces(actions, observations)?;
        let mut table = Vec::with_capacity(joint_observations.count() * joint_actions.count());
        for o in 0..joint_observations.count() {
            let o: Vec<usize> = joint_observations.split(o).collect();
            for a in 0..joint_actions.count() {
                let a: Vec<usize> = joint_actions.split(a).collect();
                table.push(payoff(&o, &a));
            }
        }
        Self::new(name, actions, observations, probability, table)
    }

    /// What the game is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// N: the number of agents.
    pub fn agents(&self) -> usize {
        self.actions.sizes().len()
    }

    /// The joint actions: sizes `[N]`, indices of `a` everywhere.
    pub fn actions(&self) -> &JointSpace {
        &self.actions
    }

    /// The joint observations: sizes `[N]` (all 1 when there is nothing to see), indices of `o`
    /// everywhere.
    pub fn observations(&self) -> &JointSpace {
        &self.observations
    }

    /// P(o), `[joint observations]`.
    pub fn probability(&self) -> &[f64] {
        &self.probability
    }

    /// R(o, ·), `[joint actions]`.
    pub fn payoffs(&self, o: usize) -> &[f64] {
        let width = self.actions.count();
        &self.payoff[o * width..][..width]
    }

    /// R(o, a).
    pub fn payoff(&self, o: usize, a: usize) -> f64 {
        self.payoffs(o)[a]
    }

    /// R as one table, `[joint observations, joint actions]`.
    pub(super) fn table(&self) -> &[f64] {
        &self.payoff
    }

    /// How the payoff is nested when written: by o_0 … o_{N−1} if anyone sees anything, then by
    /// a_0 … a_{N−1}.
    pub(super) fn payoff_shape(&self) -> Vec<usize> {
        let seen = self.observations.count() > 1;
        let observations = self.observations.sizes().iter().filter(|_| seen);
        observations.chain(self.actions.sizes()).copied().collect()
    }

    /// Agents, spaces and horizon. An observation is one-hot, of length |O_i|: an agent that has
    /// nothing to see gets the constant 1.
    pub fn spec(&self) -> TeamSpec {
        let sizes = std::iter::zip(self.observations.sizes(), self.actions.sizes());
        let agents = sizes.map(|(&seen, &actions)| AgentSpec::discrete(seen, actions));
        TeamSpec {
            common: super::common::width(self),
            ..TeamSpec::new(agents.collect(), 1)
        }
    }

    /// Writes the vector of `agent`'s observation number `observation` (`vector`: `[|O_i|]`).
    pub fn encode_observation(&self, agent: usize, observation: usize, vector: &mut [f32]) {
        debug_assert_eq!(vector.len(), self.observations.sizes()[agent]);
        vector.fill(0.0);
        vector[observation] = 1.0;
    }
}

fn checked_name(name: String) -> Result<String, GameError> {
    let forbidden = |c: char| c.is_control() || c == '/' || c == '\\';
    if (1..=64).contains(&name.chars().count())
        && !name.contains(forbidden)
        && !name.starts_with('.')
    {
        Ok(name)
    } else {
        Err(GameError::Name { found: name })
    }
}

/// Joint actions and joint observations, small enough for a table.
pub(super) fn checked_spaces(
    actions: &[usize],
    observations: &[usize],
) -> Result<(JointSpace, JointSpace), GameError> {
    if !(1..=MAX_AGENTS).contains(&actions.len()) {
        return Err(GameError::Agents {
            found: actions.len(),
        });
    }
    if observations.len() != actions.len() {
        return Err(GameError::Observations {
            found: observations.len(),
            expected: actions.len(),
        });
    }
    for (field, sizes) in [("actions", actions), ("observations", observations)] {
        if let Some(agent) = sizes.iter().position(|&size| size == 0) {
            return Err(GameError::EmptySet { field, agent });
        }
    }
    let spaces = JointSpace::new(observations, MAX_ENTRIES).and_then(|observations| {
        let limit = MAX_ENTRIES / observations.count();
        Some((JointSpace::new(actions, limit)?, observations))
    });
    spaces.ok_or_else(|| GameError::TooLarge {
        entries: actions
            .iter()
            .chain(observations)
            .map(|&n| n as f64)
            .product(),
    })
}

fn check_length(field: &'static str, found: usize, expected: usize) -> Result<(), GameError> {
    if found == expected {
        Ok(())
    } else {
        Err(GameError::Length {
            field,
            found,
            expected,
        })
    }
}

/// The place of entry `index` in a nested table, as in `payoff[1][0]`.
fn entry(field: &str, shape: &[usize], mut index: usize) -> String {
    let mut stride: usize = shape.iter().product();
    shape.iter().fold(field.to_owned(), |path, size| {
        stride /= size;
        let here = index / stride;
        index %= stride;
        format!("{path}[{here}]")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn game(
        actions: &[usize],
        observations: &[usize],
        probability: &[f64],
        payoff: &[f64],
    ) -> Result<Game, GameError> {
        Game::new(
            "test",
            actions,
            observations,
            probability.to_vec(),
            payoff.to_vec(),
        )
    }

    #[test]
    fn payoffs_are_indexed_by_observation_then_action() {
        let payoff: Vec<f64> = (0..12).map(f64::from).collect();
        let game = game(&[2, 3], &[1, 2], &[0.5, 0.5], &payoff).unwrap();
        // o = (0, 1) is joint observation 1; a = (1, 2) is joint action 5: entry 1·6 + 5.
        assert_eq!(game.observations().join([0, 1]), 1);
        assert_eq!(game.payoff(1, game.actions().join([1, 2])), 11.0);
        assert_eq!(game.payoffs(1), &payoff[6..]);
    }

    #[test]
    fn observations_are_one_hot() {
        let game = game(&[2, 2], &[1, 3], &[0.5, 0.25, 0.25], &[0.0; 12]).unwrap();
        let spec = game.spec();
        assert_eq!(spec.agents[0].observation, 1);
        assert_eq!((spec.joint_observation(), spec.horizon), (4, 1));
        let mut vector = [7.0; 3];
        game.encode_observation(1, 2, &mut vector);
        assert_eq!(vector, [0.0, 0.0, 1.0]);
        game.encode_observation(0, 0, &mut vector[..1]);
        assert_eq!(vector[0], 1.0);
    }

    #[test]
    fn short_decimals_are_normalised_and_exact_probabilities_kept() {
        let third = game(&[1], &[3], &[0.333333; 3], &[0.0; 3]).unwrap();
        assert!((third.probability().iter().sum::<f64>() - 1.0).abs() < 1e-15);
        let tenth = game(&[1], &[10], &[0.1; 10], &[0.0; 10]).unwrap();
        assert_eq!(tenth.probability(), [0.1; 10]);
    }

    #[test]
    fn defects_are_named_with_their_place() {
        let nan = f64::NAN;
        let wide = [1 << 13, 1 << 13];
        let cases: &[(Result<Game, GameError>, &str)] = &[
            (game(&[], &[], &[1.0], &[0.0]), "actions: found a list of 0"),
            (
                game(&[1; 33], &[1; 33], &[1.0], &[0.0]),
                "found a list of 33, expected one of 1 to 32",
            ),
            (
                game(&[2], &[1, 1], &[1.0], &[0.0; 2]),
                "observations: found a list of 2, expected a list of 1",
            ),
            (game(&[2, 0], &[1, 1], &[1.0], &[]), "actions[1]: found 0"),
            (game(&[2, 2], &[0, 1], &[], &[]), "observations[0]: found 0"),
            (game(&wide, &[1, 1], &[1.0], &[]), "about 6.7e7 entries"),
            (
                game(&[usize::MAX; 2], &[1, 1], &[1.0], &[]),
                "about 3.4e38 entries",
            ),
            (
                game(&[2], &[2], &[1.0], &[0.0; 4]),
                "probability: found 1 entries, expected 2",
            ),
            (
                game(&[2], &[2], &[0.5; 2], &[0.0; 3]),
                "payoff: found 3 entries, expected 4",
            ),
            (
                game(&[2, 2], &[1, 1], &[1.0], &[0.0, 0.0, nan, 0.0]),
                "payoff[1][0]: found NaN",
            ),
            (
                game(&[2], &[2], &[0.5; 2], &[0.0, 2e37, 0.0, 0.0]),
                "payoff[0][1]: found 2e37",
            ),
            (
                game(&[1, 1], &[1, 2], &[1.5, -0.5], &[0.0; 2]),
                "probability[0][1]: found -0.5",
            ),
            (
                game(&[1], &[2], &[nan, 1.0], &[0.0; 2]),
                "probability[0]: found NaN",
            ),
            (
                game(&[1], &[2], &[0.5, 0.49], &[0.0; 2]),
                "sum to 0.99, expected a sum of 1",
            ),
        ];
        for (result, expected) in cases {
            let message = result.as_ref().unwrap_err().to_string();
            assert!(message.contains(expected), "{message:?} lacks {expected:?}");
        }
    }

    #[test]
    fn names_that_cannot_name_a_folder_are_refused() {
        for name in ["", "a/b", "a\\b", "..", "a\nb", &"x".repeat(65)] {
            let error = Game::new(name, &[1], &[1], vec![1.0], vec![0.0]).unwrap_err();
            assert!(error.to_string().starts_with("name: found"), "{error}");
        }
        assert!(Game::new("Prüfung 2", &[1], &[1], vec![1.0], vec![0.0]).is_ok());
    }
}
