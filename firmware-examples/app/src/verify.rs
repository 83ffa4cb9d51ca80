//! Replays a golden sequence and compares, on the device.

use core::fmt::{self, Display, Write};
use core::hint::black_box;

use consort_runtime::{Image, TeamId};

use crate::play::play;
use crate::{Clock, Expected, ReplayError, Sequence, Stack, embedded};

/// A replay whose every action and every bit was as on the workstation.
#[derive(Debug, Clone, Copy)]
pub struct Verdict {
    /// The image's team.
    pub team: TeamId,
    /// The image's agent.
    pub agent: u16,
    /// How many agents its team has.
    pub agents: u16,
    /// Steps that were compared.
    pub steps: usize,
    /// What the slowest step took, from observation to action, in the clock's ticks.
    pub ticks: u32,
    /// The most bytes of stack that a step had in use; none where it was more than is watched.
    pub stack: Option<usize>,
}

impl Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict {
            team,
            agent,
            agents,
            steps,
            ticks,
            stack,
        } = self;
        write!(
            f,
            "agent {agent} of {agents} of team {team}: {steps} steps, every bit as on the workstation; \
             at most {ticks} ticks"
        )?;
        match stack {
            Some(bytes) => write!(f, " and {bytes} bytes of stack a step"),
            None => f.write_str(" a step, and more stack than is watched"),
        }
    }
}

/// Replays `sequence` through `image`, greedily, and compares each step with `expected`.
///
/// `memory` is what the board lends the policy, at least `memory_len()` values.
///
/// # Errors
///
/// When the image, an observation or the memory is refused, and at the first step that is not as expected.
pub fn verify<C: Clock, S: Stack>(
    clock: &mut C,
    stack: &mut S,
    image: &[u8],
    sequence: Sequence<'_>,
    expected: Expected<'_>,
    memory: &mut [f32],
) -> Result<Verdict, ReplayError> {
    let image = Image::new_checked(black_box(image)).map_err(ReplayError::Image)?;
    let mut slowest = 0;
    let whole = play(clock, stack, image, sequence, memory, |step| {
        slowest = slowest.max(step.ticks);
        match expected.is(step.t, step.actions, step.values) {
            true => Ok(()),
            false => Err(ReplayError::Mismatch { step: step.t }),
        }
    })?;
    Ok(Verdict {
        team: image.team(),
        agent: image.agent(),
        agents: image.agents(),
        steps: whole.steps,
        ticks: slowest,
        stack: whole.stack,
    })
}

/// [Verifies](verify) the agent this firmware was built for and says to `out` what came of it: whether all was well.
pub fn report<W: Write, C: Clock, S: Stack>(
    out: &mut W,
    clock: &mut C,
    stack: &mut S,
    memory: &mut [f32],
) -> bool {
    let verdict = verify(
        clock,
        stack,
        embedded::IMAGE,
        embedded::SEQUENCE,
        embedded::EXPECTED,
        memory,
    );
    let said = match &verdict {
        Ok(verdict) => writeln!(out, "PASS {verdict}"),
        Err(error) => writeln!(out, "FAIL {error}"),
    };
    verdict.is_ok() && said.is_ok()
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::{String, ToString};
    use std::vec;

    use super::*;
    use crate::clock::tests::Counter;
    use crate::stack::tests::Growing;

    fn verified(image: &[u8], expected: Expected<'_>) -> Result<Verdict, ReplayError> {
        let mut memory = [0.0; 64];
        verify(
            &mut Counter(0),
            &mut Growing(96, 4),
            image,
            embedded::SEQUENCE,
            expected,
            &mut memory,
        )
    }

    #[test]
    fn the_embedded_agent_does_what_its_golden_sequence_says() {
        let verdict = verified(embedded::IMAGE, embedded::EXPECTED).unwrap();
        let steps = embedded::EXPECTED.actions.len();
        assert_eq!((verdict.steps, verdict.agent), (steps, 0));
        assert!(steps > 1);
        let mut out = String::new();
        let stack = &mut Growing(96, 0);
        assert!(report(&mut out, &mut Counter(0), stack, &mut [0.0; 64]));
        let (agents, team) = (verdict.agents, verdict.team);
        let expected = std::format!(
            "PASS agent 0 of {agents} of team {team}: {steps} steps, every bit as on the workstation; \
             at most 0 ticks and 96 bytes of stack a step\n"
        );
        assert_eq!(out, expected);
        assert!(!report(&mut out, &mut Counter(0), stack, &mut []));
        assert!(out.lines().last().unwrap().starts_with("FAIL step 0: "));
    }

    #[test]
    fn another_bit_another_action_and_a_missing_step_are_noticed() {
        let Expected { actions, values } = embedded::EXPECTED;
        let step = |expected| match verified(embedded::IMAGE, expected) {
            Err(ReplayError::Mismatch { step }) => step,
            other => panic!("{other:?}"),
        };
        let outputs = values.len() / actions.len();
        let mut changed = values.to_vec();
        changed[3 * outputs + 1] ^= 1;
        let expected = Expected {
            actions,
            values: &changed,
        };
        assert_eq!(step(expected), 3);
        let mut changed = actions.to_vec();
        changed[2] += 1;
        let expected = Expected {
            actions: &changed,
            values,
        };
        assert_eq!(step(expected), 2);
        for expected in [
            Expected {
                actions: &actions[1..],
                values: &values[outputs..],
            },
            Expected {
                actions,
                values: &values[..values.len() - 1],
            },
            Expected {
                actions: &[],
                values,
            },
        ] {
            step(expected);
        }
        let mut image = vec![0; embedded::IMAGE.len() + 4];
        let start = image.as_ptr().align_offset(4);
        let image = &mut image[start..][..embedded::IMAGE.len()];
        image.copy_from_slice(embedded::IMAGE);
        image[40] ^= 1;
        let refused = verified(image, embedded::EXPECTED).unwrap_err().to_string();
        assert!(refused.starts_with("image: "), "{refused}");
    }
}
