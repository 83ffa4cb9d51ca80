//! The built-in one-shot games, and generators of random ones.
//!
//! Actions count from 0. Where agents see something, their observations x, y are independent
//! fair bits. Each game is there because some method fails on it.

use super::Game;
use crate::rng::Stream;

/// A game that ships with the trainer.
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    /// What it is called.
    pub name: &'static str,
    /// What it asks of a team, in one line.
    pub description: &'static str,
    payoffs: Payoffs,
}

/// How a built-in game's payoffs are defined.
#[derive(Clone, Copy, Debug)]
enum Payoffs {
    /// Everything is common knowledge: sizes of the action sets, R(a).
    Common(&'static [usize], fn(&[usize]) -> f64),
    /// Two agents with as many actions each, who see a bit each: R(x, y, a_0, a_1).
    Bits(usize, fn(usize, usize, usize, usize) -> f64),
    /// The same of agents who also see a bit c together, each 2 c + its own: R(c, x, y, a_0, a_1).
    CommonBit(usize, fn(usize, usize, usize, usize, usize) -> f64),
}

/// Every built-in game, in the order in which they are listed.
pub static BUILTINS: [Builtin; 10] = [
    Builtin {
        name: "assurance",
        description: "both dare for 10 or both stay safe for 0; daring alone costs 5",
        payoffs: Payoffs::Common(&[2, 2], |a| [[0.0, -5.0], [-5.0, 10.0]][a[0]][a[1]]),
    },
    Builtin {
        name: "climbing",
        description: "the best joint action, worth 11, is fenced in by penalties of 30",
        payoffs: Payoffs::Common(&[3, 3], |a| CLIMBING[a[0]][a[1]]),
    },
    Builtin {
        name: "penalty",
        description: "two equally good joint actions, and -100 for mixing them up",
        payoffs: Payoffs::Common(&[3, 3], |a| PENALTY[a[0]][a[1]]),
    },
    Builtin {
        name: "weak-link-10",
        description: "ten levels of effort: the lowest is paid, and every gap above it costs 3",
        payoffs: Payoffs::Common(&[10, 10], weak_link),
    },
    Builtin {
        name: "weak-link-3x4",
        description: "three levels of effort for four agents: the lowest is paid, gaps cost 3",
        payoffs: Payoffs::Common(&[3, 3, 3, 3], weak_link),
    },
    Builtin {
        name: "xor-safe",
        description: "10 for both naming x XOR y, which neither can know; both safe pays 3",
        payoffs: Payoffs::Bits(3, xor_safe),
    },
    Builtin {
        name: "climbing-private",
        description: "climbing, each agent's actions permuted by a bit that it alone sees",
        payoffs: Payoffs::Bits(3, climbing_private),
    },
    Builtin {
        name: "climbing-xor",
        description: "climbing-private and xor-safe at once: one can be coordinated, one cannot",
        payoffs: Payoffs::Bits(9, |x, y, a, b| {
            climbing_private(x, y, a / 3, b / 3) + xor_safe(x, y, a % 3, b % 3)
        }),
    },
    Builtin {
        name: "chsh",
        description: "the actions' xor should be x AND y: apart, no team earns more than .75",
        payoffs: Payoffs::Bits(2, |x, y, a, b| f64::from((a ^ b) == (x & y))),
    },
    Builtin {
        name: "common-private",
        description: "climbing, shifted by a bit that both see, for who each names a bit of its own",
        payoffs: Payoffs::CommonBit(6, common_private),
    },
];

/// Claus & Boutilier, *The Dynamics of Reinforcement Learning in Cooperative Multiagent
/// Systems*, AAAI 1998.
const CLIMBING: [[f64; 3]; 3] = [[11.0, -30.0, 0.0], [-30.0, 7.0, 6.0], [0.0, 0.0, 5.0]];

/// As above, with k = −100.
const PENALTY: [[f64; 3]; 3] = [[-100.0, 0.0, 10.0], [0.0, 2.0, 0.0], [10.0, 0.0, -100.0]];

/// Van Huyck, Battalio & Beil, *Tacit Coordination Games*, American Economic Review 1990, as a
/// team game: min(a) + 1 − 3 (max(a) − min(a)).
fn weak_link(a: &[usize]) -> f64 {
    let (least, most) = a.iter().fold((usize::MAX, 0), |(least, most), &effort| {
        (least.min(effort), most.max(effort))
    });
    (least + 1) as f64 - 3.0 * (most - least) as f64
}

/// 10 if a = b = x ⊕ y, 3 if both play it safe (action 2), else −10.
fn xor_safe(x: usize, y: usize, a: usize, b: usize) -> f64 {
    match (a, b) {
        (2, 2) => 3.0,
        (a, b) if a == b && a == x ^ y => 10.0,
        _ => -10.0,
    }
}

/// An action is (e, s) = (a div 2, a mod 2). Climbing of the e, both shifted by c, where each s is
/// the agent's own bit; else −10.
fn common_private(c: usize, x: usize, y: usize, a: usize, b: usize) -> f64 {
    match (a % 2, b % 2) == (x, y) {
        true => CLIMBING[(a / 2 + c) % 3][(b / 2 + c) % 3],
        false => -10.0,
    }
}

/// Climbing with rows shifted by x and columns by 2y.
fn climbing_private(x: usize, y: usize, a: usize, b: usize) -> f64 {
    CLIMBING[(a + x) % 3][(b + 2 * y) % 3]
}

impl Builtin {
    /// The game itself.
    pub fn game(&self) -> Game {
        let game = match self.payoffs {
            Payoffs::Common(actions, payoff) => Game::from_fn(
                self.name,
                actions,
                &vec![1; actions.len()],
                vec![1.0],
                |_, a| payoff(a),
            ),
            Payoffs::Bits(actions, payoff) => {
                let quarter = vec![0.25; 4];
                Game::from_fn(self.name, &[actions; 2], &[2; 2], quarter, |o, a| {
                    payoff(o[0], o[1], a[0], a[1])
                })
            }
            Payoffs::CommonBit(actions, payoff) => {
                let (one, other) = ((0..16).map(|o| o / 4), (0..16).map(|o| o % 4));
                let agree = std::iter::zip(one, other).map(|(one, other)| one / 2 == other / 2);
                let probability = agree
                    .map(|agree| f64::from(u8::from(agree)) / 8.0)
                    .collect();
                Game::from_fn(self.name, &[actions; 2], &[4; 2], probability, |o, a| {
                    payoff(o[0] / 2, o[0] % 2, o[1] % 2, a[0], a[1])
                })
            }
        };
        game.expect("the built-in games are well formed")
    }
}

/// Random games of one shape: one for every seed.
#[derive(Clone, Copy, Debug)]
pub struct RandomFamily {
    /// What the family is called; its game number s is called `<name>-<s>`.
    pub name: &'static str,
    /// What its games are like, in one line.
    pub description: &'static str,
    agents: usize,
    /// Observations and actions of every agent.
    observations: usize,
    actions: usize,
    payoff: fn(&mut Stream) -> f64,
}

/// Every family of random games.
pub static RANDOM_FAMILIES: [RandomFamily; 3] = [
    RandomFamily {
        name: "random-heavy",
        description: "two agents, three observations, three actions; few good outcomes, many bad",
        agents: 2,
        observations: 3,
        actions: 3,
        payoff: heavy,
    },
    RandomFamily {
        name: "random-normal",
        description: "two agents, three observations, three actions; standard normal payoffs",
        agents: 2,
        observations: 3,
        actions: 3,
        payoff: Stream::normal,
    },
    RandomFamily {
        name: "random-three-agents",
        description: "three agents, two observations, three actions; few good outcomes, many bad",
        agents: 3,
        observations: 2,
        actions: 3,
        payoff: heavy,
    },
];

impl RandomFamily {
    /// Game number `seed`: P(o) in proportion to uniform(.2, 1.2), then R(o, a) drawn one by one.
    pub fn game(&self, seed: u64) -> Game {
        let mut stream = Stream::new(seed, self.name, 0);
        let joint = self.observations.pow(self.agents as u32);
        let weights: Vec<f64> = (0..joint).map(|_| 0.2 + stream.uniform()).collect();
        let total: f64 = weights.iter().sum();
        let game = Game::from_fn(
            format!("{}-{seed}", self.name),
            &vec![self.actions; self.agents],
            &vec![self.observations; self.agents],
            weights.iter().map(|weight| weight / total).collect(),
            |_, _| (self.payoff)(&mut stream),
        );
        game.expect("random games are well formed")
    }
}

/// 3 |N(0, 1)| with probability .2, else −|N(0, 1)|.
fn heavy(stream: &mut Stream) -> f64 {
    let good = stream.uniform() < 0.2;
    let size = stream.normal().abs();
    if good { 3.0 * size } else { -size }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Game {
        BUILTINS
            .iter()
            .find(|builtin| builtin.name == name)
            .unwrap()
            .game()
    }

    #[test]
    fn tables_match_their_definitions() {
        assert_eq!(named("assurance").payoffs(0), [0.0, -5.0, -5.0, 10.0]);
        assert_eq!(named("climbing").payoffs(0)[..3], [11.0, -30.0, 0.0]);
        assert_eq!(named("penalty").payoffs(0)[6..], [10.0, 0.0, -100.0]);
        // Efforts 9 and 7: 8 − 3·2. Efforts 2, 2, 0, 1: 1 − 3·2.
        let pair = named("weak-link-10");
        assert_eq!(pair.payoff(0, pair.actions().join([9, 7])), 2.0);
        let four = named("weak-link-3x4");
        assert_eq!(four.payoff(0, four.actions().join([2, 2, 0, 1])), -5.0);
        // chsh at x = y = 1: the actions must differ.
        assert_eq!(named("chsh").payoffs(3), [0.0, 1.0, 1.0, 0.0]);
        assert_eq!(named("chsh").payoffs(2), [1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn private_games_shift_and_add_as_defined() {
        let (cpriv, xor, both) = (
            named("climbing-private"),
            named("xor-safe"),
            named("climbing-xor"),
        );
        // x = 1, y = 1, a = (2, 1): C[(2 + 1) mod 3][(1 + 2) mod 3] = C[0][0].
        assert_eq!(cpriv.payoff(3, cpriv.actions().join([2, 1])), 11.0);
        // x = 0, y = 1: x ⊕ y = 1.
        assert_eq!(
            xor.payoffs(1),
            [-10.0, -10.0, -10.0, -10.0, 10.0, -10.0, -10.0, -10.0, 3.0]
        );
        for o in 0..4 {
            for a in 0..81 {
                let [a_0, a_1] = [both.actions().part(a, 0), both.actions().part(a, 1)];
                let climb = cpriv.payoff(o, cpriv.actions().join([a_0 / 3, a_1 / 3]));
                let signal = xor.payoff(o, xor.actions().join([a_0 % 3, a_1 % 3]));
                assert_eq!(both.payoff(o, a), climb + signal);
            }
        }
    }

    #[test]
    fn random_games_repeat_by_seed_and_differ_between_seeds() {
        for family in RANDOM_FAMILIES {
            assert_eq!(family.game(7), family.game(7));
            assert_ne!(family.game(7).payoffs(0), family.game(8).payoffs(0));
        }
    }

    #[test]
    fn random_games_have_their_distributions() {
        let [heavy, normal, three] = RANDOM_FAMILIES;
        let draws = |family: RandomFamily| -> Vec<f64> {
            let games = (0..200).map(|seed| family.game(seed));
            games.flat_map(|game| game.table().to_vec()).collect()
        };
        let mean = |draws: &[f64]| draws.iter().sum::<f64>() / draws.len() as f64;

        // 200·81 draws. A fifth is positive: standard error √(.16/16200) = .0031, five of them.
        let payoffs = draws(heavy);
        let good = payoffs.iter().filter(|&&r| r > 0.0).count() as f64 / payoffs.len() as f64;
        assert!((good - 0.2).abs() < 0.016, "{good}");
        // E = (.2·3 − .8)·√(2/π) = −.1596; E[R²] = .2·9 + .8 = 2.6: standard error .0126.
        assert!(
            (mean(&payoffs) + 0.1596).abs() < 0.063,
            "{}",
            mean(&payoffs)
        );
        // Standard error 1/√16200 = .0079.
        assert!(mean(&draws(normal)).abs() < 0.04);

        let game = three.game(0);
        assert_eq!(
            (game.actions().sizes(), game.observations().sizes()),
            (&[3; 3][..], &[2; 3][..])
        );
        // uniform(.2, 1.2): no weight is more than six times another.
        let (least, most) = game
            .probability()
            .iter()
            .fold((1.0_f64, 0.0_f64), |(low, high), &p| {
                (low.min(p), high.max(p))
            });
        assert!(most / least <= 6.0);
    }
}
