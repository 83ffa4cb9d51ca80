//! A seed that a team shares: a symbol that every agent derives for itself, and nobody else can.
//!
//! Agents that act apart cannot toss one coin. Given one key, they can: the symbol of a
//! [moment](Moment) is a keyed hash of it, so equal keys and equal moments give equal symbols
//! without a word between the agents. `docs/shared-seed.md` specifies the draw.

use core::fmt;
use core::hash::Hasher as _;

use rand_core::Rng;
use siphasher::sip::SipHasher24;

use crate::error::{ShapeError, StepError};
use crate::seed_clock::Moment;

/// How often a team draws a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// One for every step.
    Step,
    /// One for a whole episode.
    Episode,
}

/// The shared seed that a policy was trained with: its observation ends with a [`Symbol`]'s one-hot
/// vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeding {
    /// Symbols that there are, 2 to 255: values of the observation.
    pub symbols: u8,
    /// How often one is drawn.
    pub per: Per,
}

impl Seeding {
    /// Reads the two bytes of an image's prefix.
    pub(crate) fn from_bytes([symbols, per]: [u8; 2]) -> Option<Self> {
        let per = match per {
            1 => Per::Step,
            2 => Per::Episode,
            _ => return None,
        };
        (symbols >= 2).then_some(Seeding { symbols, per })
    }

    pub(crate) fn to_bytes(self) -> [u8; 2] {
        let per = match self.per {
            Per::Step => 1,
            Per::Episode => 2,
        };
        [self.symbols, per]
    }

    /// Whether a policy that sees `observations` values can have it.
    pub(crate) fn check(self, observations: usize) -> Result<(), ShapeError> {
        let symbols = self.symbols;
        if symbols >= 2 && usize::from(symbols) <= observations {
            return Ok(());
        }
        Err(ShapeError::Symbols {
            symbols,
            observations,
        })
    }

    /// Whether an observation ends as a symbol does: zeros, of which a caller that forgot the seed
    /// has left nothing else, are no symbol.
    pub(crate) fn check_tail(self, observation: &[f32]) -> Result<(), StepError> {
        let symbols = usize::from(self.symbols);
        let own = observation.len().saturating_sub(symbols);
        let tail = observation.get(own..).unwrap_or_default();
        let count = |bits: u32| tail.iter().filter(|value| value.to_bits() == bits).count();
        // Both counts are taken, so that the work depends on nothing that is seen.
        let (ones, zeros) = (count(1.0_f32.to_bits()), count(0));
        match ones == 1 && zeros + 1 == symbols {
            true => Ok(()),
            false => Err(StepError::NoSymbol { symbols }),
        }
    }
}

/// A symbol of a shared seed: what all agents of a team see alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbol {
    index: u8,
    symbols: u8,
}

impl Symbol {
    /// A symbol that no other agent knows, from the agent's own generator: for an agent that has lost
    /// [count](crate::SeedClock) and must act all the same. With it, it plays independently of the
    /// others.
    pub fn private(seeding: Seeding, rng: &mut impl Rng) -> Self {
        draw(seeding.symbols, |_| rng.next_u32())
    }

    /// Which symbol, below the number of symbols.
    pub fn index(self) -> usize {
        usize::from(self.index)
    }

    /// Writes its one-hot vector to the end of an observation, where the policy expects it.
    ///
    /// # Errors
    ///
    /// [`StepError::ObservationLength`] when the observation is shorter than the vector; it is then
    /// unchanged.
    pub fn write(self, observation: &mut [f32]) -> Result<(), StepError> {
        let (expected, found) = (usize::from(self.symbols), observation.len());
        let tail = (found.checked_sub(expected))
            .and_then(|own| observation.get_mut(own..))
            .ok_or(StepError::ObservationLength { expected, found })?;
        for (index, value) in tail.iter_mut().enumerate() {
            *value = if index == self.index() { 1.0 } else { 0.0 };
        }
        Ok(())
    }
}

/// A team's key, by which its agents derive the same symbols.
///
/// Whoever has it can foresee them all: it belongs neither in an image nor in a log, and `Debug` does
/// not show it. It has no state, so an agent that lost count needs to learn the moment and nothing
/// else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SharedSeed {
    key: [u8; 16],
}

impl SharedSeed {
    /// The shared seed of a team with this key: 128 bits from a generator that nobody can foresee.
    pub fn new(key: [u8; 16]) -> Self {
        SharedSeed { key }
    }

    /// The symbol of a moment, the same for every agent with this key and each as probable as the
    /// others. Where there is one an episode, the moment's tick plays no part.
    pub fn draw(&self, seeding: Seeding, moment: Moment) -> Symbol {
        let tick = match seeding.per {
            Per::Step => moment.tick,
            Per::Episode => 0,
        };
        let hasher = SipHasher24::new_with_key(&self.key);
        draw(seeding.symbols, |attempt| {
            let mut hasher = hasher;
            hasher.write(&moment.episode.to_le_bytes());
            hasher.write(&tick.to_le_bytes());
            hasher.write(&attempt.to_le_bytes());
            (hasher.finish() >> 32) as u32
        })
    }
}

impl fmt::Debug for SharedSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSeed(..)")
    }
}

/// Attempts at a number that favours no symbol. One fails with a probability below 2⁻²⁴, all with one
/// below 2⁻⁹⁶: then the last one counts.
const ATTEMPTS: u32 = 4;

/// One of so many symbols, from 32 random bits an attempt (Lemire, ACM TOMACS 29, 2019).
fn draw(symbols: u8, mut word: impl FnMut(u32) -> u32) -> Symbol {
    let count = u32::from(symbols.max(1));
    // 2³² mod count, the share of the words that would favour some symbols.
    let unfair = count.wrapping_neg() % count;
    let mut product = 0;
    for attempt in 0..ATTEMPTS {
        product = u64::from(word(attempt)) * u64::from(count);
        if product as u32 >= unfair {
            break;
        }
    }
    Symbol {
        index: (product >> 32) as u8,
        symbols,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    const TWO: Seeding = Seeding {
        symbols: 2,
        per: Per::Step,
    };

    #[test]
    fn the_hash_gives_the_published_value() {
        // The example in appendix A of Aumasson and Bernstein 2012: key 00 to 0f, message 00 to 0e.
        let key: [u8; 16] = core::array::from_fn(|index| index as u8);
        let message: [u8; 15] = core::array::from_fn(|index| index as u8);
        let mut hasher = SipHasher24::new_with_key(&key);
        hasher.write(&message);
        assert_eq!(hasher.finish(), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn a_word_that_would_favour_some_symbols_is_not_used() {
        // 2³² = 3 · 1431655765 + 1: of all words only 0 must be passed over.
        let mut words = [0, u32::MAX].into_iter();
        let symbol = draw(3, |_| words.next().unwrap());
        assert_eq!(symbol.index(), 2);
        // Where the symbols divide 2³², every word counts.
        assert_eq!(draw(2, |_| 0).index(), 0);
        assert_eq!(draw(2, |_| 1 << 31).index(), 1);
        assert_eq!(draw(255, |_| u32::MAX).index(), 254);
        // A generator that gives nothing else ends, too.
        assert_eq!(draw(3, |_| 0).index(), 0);
    }

    #[test]
    fn symbols_are_equally_probable_and_of_one_step_or_one_episode() {
        let seed = SharedSeed::new([7; 16]);
        for symbols in [2, 3, 7, 255_u8] {
            for per in [Per::Step, Per::Episode] {
                let seeding = Seeding { symbols, per };
                let mut counts: Vec<u32> = std::vec![0; usize::from(symbols)];
                let draws = 20_000;
                for number in 0..draws {
                    let moment = match per {
                        Per::Step => Moment::new(number / 100, (number % 100) as u32),
                        Per::Episode => Moment::new(number, 5),
                    };
                    let symbol = seed.draw(seeding, moment);
                    counts[symbol.index()] += 1;
                    let later = seed.draw(seeding, Moment::new(moment.episode, 6));
                    assert!(per == Per::Step || later == symbol);
                }
                // χ² has symbols − 1 degrees of freedom: five of its deviations beyond its mean.
                let mean = draws as f64 / f64::from(symbols);
                let square = |&count: &u32| (f64::from(count) - mean).powi(2) / mean;
                let chi: f64 = counts.iter().map(square).sum();
                let freedom = f64::from(symbols) - 1.0;
                // √2 needs std here as everywhere.
                assert!(chi < freedom + 5.0 * std::primitive::f64::sqrt(2.0 * freedom));
            }
        }
    }

    #[test]
    fn keys_and_moments_tell_draws_apart() {
        let moments = || (0..64).map(|tick| Moment::new(u64::MAX, tick));
        let of = |key: u8| {
            let seed = SharedSeed::new([key; 16]);
            let draws = moments().map(|moment| seed.draw(TWO, moment).index());
            draws.collect::<Vec<_>>()
        };
        assert_eq!(of(1), of(1));
        // 64 fair bits agree with a probability of 2⁻⁶⁴.
        assert_ne!(of(1), of(2));
        let seed = SharedSeed::new([1; 16]);
        let other = moments().map(|moment| seed.draw(TWO, Moment::new(0, moment.tick)).index());
        assert_ne!(of(1), other.collect::<Vec<_>>());
    }

    #[test]
    fn the_key_is_not_shown() {
        assert_eq!(
            std::format!("{:?}", SharedSeed::new([0x5a; 16])),
            "SharedSeed(..)"
        );
    }

    #[test]
    fn a_symbol_is_the_end_of_an_observation() {
        let three = Seeding {
            symbols: 3,
            per: Per::Step,
        };
        let symbol = draw(3, |_| 1 << 31);
        let mut observation = [9.0; 5];
        symbol.write(&mut observation).unwrap();
        assert_eq!(observation, [9.0, 9.0, 0.0, 1.0, 0.0]);
        assert_eq!(three.check_tail(&observation), Ok(()));
        let short = StepError::ObservationLength {
            expected: 3,
            found: 2,
        };
        assert_eq!(symbol.write(&mut [0.0; 2]), Err(short));
        let refused = Err(StepError::NoSymbol { symbols: 3 });
        for tail in [
            [0.0, 0.0, 0.0],
            [1.0, 1.0, 0.0],
            [0.5, 0.5, 0.0],
            [1.0, -0.0, 0.0],
            [2.0, 0.0, 0.0],
        ] {
            assert_eq!(three.check_tail(&tail), refused, "{tail:?}");
        }
    }
}
