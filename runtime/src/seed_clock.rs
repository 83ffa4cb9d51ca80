//! Which moment it is: what agents that share a seed must agree upon, and how one rejoins that has
//! lost count.

use core::num::NonZeroU32;

use thiserror::Error;

/// A step of an episode, as the whole team counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    /// Episodes before this one.
    pub episode: u64,
    /// Steps of it before this one.
    pub tick: u32,
}

impl Moment {
    /// Step `tick` of episode `episode`, both counted from 0.
    pub const fn new(episode: u64, tick: u32) -> Self {
        Moment { episode, tick }
    }
}

/// How a clock that all agents share (GNSS, PTP, a beacon) becomes a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    /// The time between two steps, in µs.
    pub period_us: NonZeroU32,
    /// Steps of an episode.
    pub ticks: NonZeroU32,
}

impl Cadence {
    /// The moment that is, so many µs after the moment (0, 0).
    pub fn moment(self, elapsed_us: u64) -> Moment {
        let steps = elapsed_us / u64::from(self.period_us.get());
        let ticks = u64::from(self.ticks.get());
        Moment {
            episode: steps / ticks,
            tick: (steps % ticks) as u32,
        }
    }
}

/// One agent's count of the moments, which says so when it does not know.
///
/// An agent counts its own steps by [`step`](Self::step), and is told where the team is by
/// [`resync`](Self::resync): by a message, by a [`Cadence`] and a common clock, or by whatever lets
/// it infer that. It never gives a moment twice, and none once it has gone unheard for longer than
/// its *lease*: the steps after which its own timer may have slipped against the others'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeedClock {
    /// Steps of an episode.
    ticks: NonZeroU32,
    /// Steps that a resynchronisation is good for.
    lease: u32,
    count: Option<Count>,
    /// The last moment given out.
    used: Option<Moment>,
}

/// Where the agent believes the team to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Count {
    /// The moment of the next step.
    next: Moment,
    /// Steps since it was told.
    age: u32,
}

/// How far an agent's count was off when it was told where the team is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drift {
    /// It had none to compare.
    Unknown,
    /// It was right.
    None,
    /// The team is further: so many steps were missed (`u64::MAX`: more than that).
    Behind {
        /// Steps missed.
        steps: u64,
    },
    /// The agent had counted too far: until the team has caught up, [`SeedClock::step`] refuses
    /// the moments that the agent has used already.
    Ahead {
        /// Steps too many.
        steps: u64,
    },
}

/// Why an agent does not know a moment at which it may use the shared seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SeedClockError {
    /// It was never told where the team is, or not since it restarted.
    #[error("the agent does not know where the team is: resynchronise it")]
    Lost,
    /// It was told too long ago.
    #[error("the agent was told where the team is {steps} steps ago: its lease is over")]
    Expired {
        /// Steps since then.
        steps: u32,
    },
    /// The moment is one that the agent has used already, or one before it.
    #[error(
        "the moment ({}, {}) is stale: the agent has used the seed up to ({}, {})",
        moment.episode, moment.tick, used.episode, used.tick
    )]
    Stale {
        /// The moment that it is.
        moment: Moment,
        /// The last one used.
        used: Moment,
    },
}

impl SeedClock {
    /// A clock that does not know where the team is, for episodes of `ticks` steps (the most there
    /// are, where an episode may end [sooner](Self::begin_episode)). `lease`: steps that one
    /// resynchronisation is good for.
    pub const fn new(ticks: NonZeroU32, lease: u32) -> Self {
        SeedClock {
            ticks,
            lease,
            count: None,
            used: None,
        }
    }

    /// The agent is told, or infers, that the team's next step is `now`; how far off it was.
    pub fn resync(&mut self, now: Moment) -> Drift {
        let drift = match self.count {
            None => Drift::Unknown,
            Some(Count { next, .. }) if next == now => Drift::None,
            Some(Count { next, .. }) if next < now => Drift::Behind {
                steps: self.between(next, now),
            },
            Some(Count { next, .. }) => Drift::Ahead {
                steps: self.between(now, next),
            },
        };
        self.count = Some(Count { next: now, age: 0 });
        drift
    }

    /// The moment of the step that the agent takes now. Call it once a step, whatever it gives: time
    /// passes after an error as well.
    ///
    /// # Errors
    ///
    /// A [`SeedClockError`] when the agent does not know it, or has used it before. It can then act
    /// with a [private symbol](crate::Symbol::private), or not at all.
    pub fn step(&mut self) -> Result<Moment, SeedClockError> {
        let Count { next: moment, age } = self.count.ok_or(SeedClockError::Lost)?;
        self.count = Some(Count {
            next: self.after(moment),
            age: age.saturating_add(1),
        });
        if age >= self.lease {
            return Err(SeedClockError::Expired { steps: age });
        }
        if let Some(used) = self.used.filter(|&used| moment <= used) {
            return Err(SeedClockError::Stale { moment, used });
        }
        self.used = Some(moment);
        Ok(moment)
    }

    /// An episode ended before its time, for all agents: the next step is another's first.
    pub fn begin_episode(&mut self) {
        if let Some(count) = &mut self.count
            && count.next.tick > 0
        {
            count.next = Moment::new(count.next.episode.saturating_add(1), 0);
        }
    }

    fn after(&self, moment: Moment) -> Moment {
        match moment.tick.checked_add(1) {
            Some(tick) if tick < self.ticks.get() => Moment { tick, ..moment },
            _ => Moment::new(moment.episode.saturating_add(1), 0),
        }
    }

    /// Steps from an earlier moment to a later one.
    fn between(&self, earlier: Moment, later: Moment) -> u64 {
        let episodes = later.episode.saturating_sub(earlier.episode);
        (episodes.checked_mul(u64::from(self.ticks.get())))
            .and_then(|steps| steps.checked_add(u64::from(later.tick)))
            .map_or(u64::MAX, |steps| {
                steps.saturating_sub(u64::from(earlier.tick))
            })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    fn clock(ticks: u32, lease: u32) -> SeedClock {
        SeedClock::new(NonZeroU32::new(ticks).unwrap(), lease)
    }

    #[test]
    fn a_common_clock_gives_the_moment() {
        let cadence = Cadence {
            period_us: NonZeroU32::new(20_000).unwrap(),
            ticks: NonZeroU32::new(50).unwrap(),
        };
        // A second is an episode; 1.019999 s are 50 periods and most of another.
        assert_eq!(cadence.moment(19_999), Moment::new(0, 0));
        assert_eq!(cadence.moment(999_999), Moment::new(0, 49));
        assert_eq!(cadence.moment(1_019_999), Moment::new(1, 0));
        assert_eq!(
            cadence.moment(u64::MAX).tick,
            (u64::MAX / 20_000 % 50) as u32
        );
    }

    #[test]
    fn a_count_goes_on_over_the_ends_of_episodes() {
        let mut clock = clock(2, 100);
        assert_eq!(clock.step(), Err(SeedClockError::Lost));
        assert_eq!(clock.resync(Moment::new(4, 1)), Drift::Unknown);
        for (episode, tick) in [(4, 1), (5, 0), (5, 1), (6, 0)] {
            assert_eq!(clock.step(), Ok(Moment::new(episode, tick)));
        }
        clock.begin_episode();
        assert_eq!(clock.step(), Ok(Moment::new(7, 0)));
        // At its beginning another one has not begun.
        assert_eq!(clock.step(), Ok(Moment::new(7, 1)));
        clock.begin_episode();
        assert_eq!(clock.step(), Ok(Moment::new(8, 0)));
        assert_eq!(clock.resync(Moment::new(8, 1)), Drift::None);
    }

    #[test]
    fn what_was_missed_is_counted() {
        let mut clock = clock(10, 100);
        clock.resync(Moment::new(0, 3));
        // From (0, 3) to (2, 1): 7 + 10 + 1 steps.
        assert_eq!(clock.resync(Moment::new(2, 1)), Drift::Behind { steps: 18 });
        assert_eq!(clock.resync(Moment::new(1, 9)), Drift::Ahead { steps: 2 });
        let far = clock.resync(Moment::new(u64::MAX, 0));
        assert_eq!(far, Drift::Behind { steps: u64::MAX });
        assert_eq!(clock.step(), Ok(Moment::new(u64::MAX, 0)));
    }

    #[test]
    fn no_moment_is_given_twice() {
        let mut clock = clock(10, 100);
        clock.resync(Moment::new(0, 0));
        for _ in 0..3 {
            clock.step().unwrap();
        }
        // It was two steps too far: the team has yet to come to (0, 1).
        assert_eq!(clock.resync(Moment::new(0, 1)), Drift::Ahead { steps: 2 });
        for tick in [1, 2] {
            let stale = SeedClockError::Stale {
                moment: Moment::new(0, tick),
                used: Moment::new(0, 2),
            };
            assert_eq!(clock.step(), Err(stale));
        }
        assert_eq!(clock.step(), Ok(Moment::new(0, 3)));
    }

    #[test]
    fn a_count_that_nobody_confirms_expires() {
        let mut clock = clock(10, 2);
        clock.resync(Moment::new(0, 0));
        assert!(clock.step().is_ok() && clock.step().is_ok());
        assert_eq!(clock.step(), Err(SeedClockError::Expired { steps: 2 }));
        assert_eq!(clock.step(), Err(SeedClockError::Expired { steps: 3 }));
        // It went on counting all the while.
        assert_eq!(clock.resync(Moment::new(0, 4)), Drift::None);
        assert_eq!(clock.step(), Ok(Moment::new(0, 4)));
    }
}
