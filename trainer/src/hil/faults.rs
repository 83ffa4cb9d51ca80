//! What goes wrong on purpose: drawn from a seed, so that a run that fails fails again.

use std::str::FromStr;

use crate::rng::Stream;

/// Which faults are injected, and how often: probabilities.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// A frame is lost, either way.
    pub drop: f64,
    /// A frame comes late: a request behind the next one, an answer behind the request that was sent again.
    pub delay: f64,
    /// Bits of a frame are flipped.
    pub corrupt: f64,
    /// A frame comes twice.
    pub duplicate: f64,
    /// The device loses power before a step.
    pub reset: f64,
    /// A value of an observation is not a number: the sensor's fault, so the agent is to act safely.
    pub nan: f64,
    /// The agent is told a wrong moment before a step.
    pub desync: f64,
    /// Agents that are dead from a step of the whole run on.
    pub kill: Vec<Kill>,
}

/// An agent that dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    /// Which.
    pub agent: usize,
    /// From this step on, counted over all episodes from 0.
    pub step: u64,
}

impl Faults {
    /// The names of those that have a probability, and theirs.
    fn fields(&mut self) -> [(&'static str, &mut f64); 7] {
        [
            ("drop", &mut self.drop),
            ("delay", &mut self.delay),
            ("corrupt", &mut self.corrupt),
            ("duplicate", &mut self.duplicate),
            ("reset", &mut self.reset),
            ("nan", &mut self.nan),
            ("desync", &mut self.desync),
        ]
    }
}

impl FromStr for Faults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut faults = Self::default();
        for part in text.split(',') {
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| format!("fault `{part}`: expected NAME=VALUE"))?;
            if name == "kill" {
                let kill = value.split_once('@').and_then(|(agent, step)| {
                    let (agent, step) = (agent.parse().ok()?, step.parse().ok()?);
                    Some(Kill { agent, step })
                });
                let expected = || format!("fault `{part}`: expected kill=AGENT@STEP");
                faults.kill.push(kill.ok_or_else(expected)?);
                continue;
            }
            let mut fields = faults.fields();
            let field = fields.iter_mut().find(|(known, _)| *known == name);
            let (_, field) = field.ok_or_else(|| {
                format!(
                    "fault `{name}`: expected drop, delay, corrupt, duplicate, reset, nan, desync or kill"
                )
            })?;
            **field = value
                .parse()
                .ok()
                .filter(|p| (0.0..=0.5).contains(p))
                .ok_or_else(|| format!("fault `{part}`: expected a probability from 0 to 0.5"))?;
        }
        let of_frames = faults.drop + faults.delay + faults.corrupt + faults.duplicate;
        match of_frames <= 0.5 {
            true => Ok(faults),
            false => Err(format!(
                "faults of frames: found {of_frames} in all, expected at most 0.5"
            )),
        }
    }
}

/// What becomes of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It arrives.
    Arrives,
    Dropped,
    Delayed,
    Corrupted,
    Doubled,
}

/// One agent's bad luck.
pub(super) struct Luck {
    faults: Faults,
    /// Of frames.
    wire: Stream,
    /// Of steps.
    steps: Stream,
}

impl Luck {
    pub(super) fn new(faults: &Faults, seed: u64, agent: usize) -> Self {
        Self {
            faults: faults.clone(),
            wire: Stream::new(seed, "hil wire", agent as u64),
            steps: Stream::new(seed, "hil steps", agent as u64),
        }
    }

    /// What becomes of the next request, and of its answer.
    pub(super) fn frame(&mut self) -> [Fate; 2] {
        let mut draw = || {
            let mut rest = self.wire.uniform();
            for (probability, fate) in [
                (self.faults.drop, Fate::Dropped),
                (self.faults.delay, Fate::Delayed),
                (self.faults.corrupt, Fate::Corrupted),
                (self.faults.duplicate, Fate::Doubled),
            ] {
                if rest < probability {
                    return fate;
                }
                rest -= probability;
            }
            Fate::Arrives
        };
        [draw(), draw()]
    }

    /// A frame with one to three bits flipped.
    pub(super) fn corrupt(&mut self, frame: &[u8]) -> Vec<u8> {
        let mut bytes = frame.to_vec();
        let flips = 1 + (self.wire.uniform() * 3.0) as usize;
        // Different bits: two flips of one would be none.
        let first = (self.wire.uniform() * (8 * bytes.len()) as f64) as usize;
        for bit in (0..flips).map(|flip| first + 3 * flip) {
            let place = bit / 8 % bytes.len();
            bytes[place] ^= 1 << (bit % 8);
        }
        bytes
    }

    /// Whether the power fails before this step.
    pub(super) fn reset(&mut self) -> bool {
        self.steps.uniform() < self.faults.reset
    }

    /// By how many steps the agent's count is put off before this step.
    pub(super) fn desync(&mut self) -> Option<u32> {
        let by = 1 + (self.steps.uniform() * 3.0) as u32;
        (self.steps.uniform() < self.faults.desync).then_some(by)
    }

    /// Which of an observation's values fails at this step.
    pub(super) fn nan(&mut self, values: usize) -> Option<usize> {
        let place = (self.steps.uniform() * values as f64) as usize;
        (self.steps.uniform() < self.faults.nan && values > 0).then_some(place)
    }

    /// Whether the agent is dead at a step of the whole run.
    pub(super) fn dead(&self, agent: usize, step: u64) -> bool {
        let mut kills = self.faults.kill.iter();
        kills.any(|kill| kill.agent == agent && step >= kill.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_and_what_is_wrong_is_named() {
        let faults: Faults = "drop=0.01,nan=0.5,kill=1@50,kill=0@7".parse().unwrap();
        assert_eq!((faults.drop, faults.nan, faults.kill.len()), (0.01, 0.5, 2));
        assert_eq!(faults.kill[0], Kill { agent: 1, step: 50 });
        for (text, part) in [
            ("drop", "expected NAME=VALUE"),
            ("drip=0.1", "fault `drip`: expected drop, delay"),
            ("drop=2", "expected a probability"),
            ("drop=nan", "expected a probability"),
            ("kill=1", "expected kill=AGENT@STEP"),
            ("drop=0.4,delay=0.4", "expected at most 0.5"),
        ] {
            let error = text.parse::<Faults>().unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_corrupted_frame_is_another_one() {
        let mut luck = Luck::new(&Faults::default(), 1, 0);
        let frame: Vec<u8> = (0..40).collect();
        for _ in 0..1000 {
            let changed = luck.corrupt(&frame);
            let bits = |bytes: &[u8]| -> u32 { bytes.iter().map(|byte| byte.count_ones()).sum() };
            let flipped: Vec<u8> = frame.iter().zip(&changed).map(|(a, b)| a ^ b).collect();
            assert!((1..=3).contains(&bits(&flipped)));
        }
    }

    #[test]
    fn frames_meet_their_fates_as_often_as_they_should() {
        let faults: Faults = "drop=0.1,delay=0.1,corrupt=0.1,duplicate=0.1"
            .parse()
            .unwrap();
        let mut luck = Luck::new(&faults, 3, 1);
        let arrived = (0..10_000)
            .filter(|_| luck.frame()[1] == Fate::Arrives)
            .count();
        // 10,000 draws at 0.6: standard deviation 49; five of them.
        assert!(arrived.abs_diff(6_000) < 245, "{arrived}");
    }
}
