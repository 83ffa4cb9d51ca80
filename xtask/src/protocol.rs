//! Reads the line protocol of `firmware-examples/app`, which documents it.

use anyhow::{Context, Result, bail, ensure};

use crate::team::Outcome;

/// A whole replay: its `done` line came and agrees.
#[derive(Debug)]
pub(crate) struct Replay {
    /// The id of the image's team.
    pub(crate) team: String,
    /// The image's agent.
    pub(crate) agent: u16,
    /// Ticks of the device's counter per instruction.
    pub(crate) ticks_per_instruction: f64,
    /// What the agent did, one entry a step.
    pub(crate) outcomes: Vec<Outcome>,
    /// Ticks of each step.
    pub(crate) ticks: Vec<u32>,
    /// The most bytes of stack in use.
    pub(crate) stack: Depths,
}

/// The most bytes of stack in use.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Depths {
    /// While the image was checked.
    pub(crate) check: u32,
    /// During any step.
    pub(crate) step: u32,
    /// During any step whose action is drawn.
    pub(crate) sampled: u32,
}

impl Replay {
    /// Instructions of each step, the fewest and the most.
    pub(crate) fn instructions(&self) -> Option<(u64, u64)> {
        let instructions =
            |ticks: &u32| (f64::from(*ticks) / self.ticks_per_instruction).round() as u64;
        Some((
            instructions(self.ticks.iter().min()?),
            instructions(self.ticks.iter().max()?),
        ))
    }
}

/// Reads what a device printed.
///
/// # Errors
///
/// The device's own error, an unexpected line (with its number), a replay cut short.
pub(crate) fn parse(text: &str) -> Result<Replay> {
    let mut lines = text.lines().enumerate().map(|(index, line)| Line {
        number: index + 1,
        text: line,
    });
    let mut next = |word: &str| match lines.next() {
        Some(line) => Ok(line),
        None => bail!("the replay was cut short: it ended before its `{word}` line"),
    };

    next("consort-replay")?.read("consort-replay", |words| {
        ensure!(words == ["2"], "expected version 2");
        Ok(())
    })?;
    let (team, agent, output_len) = next("image")?.read("image", |words| {
        let [team, agent, _observation_len, output_len] = words else {
            bail!("expected 4 words")
        };
        Ok((
            team.to_string(),
            agent.parse()?,
            output_len.parse::<usize>()?,
        ))
    })?;
    let ticks_per_instruction = next("calibration")?.read("calibration", |words| {
        let [instructions, ticks] = words else {
            bail!("expected 2 words")
        };
        let [instructions, ticks] = [instructions.parse::<u32>()?, ticks.parse::<u32>()?];
        ensure!(instructions > 0 && ticks > 0, "expected a clock that runs");
        Ok(f64::from(ticks) / f64::from(instructions))
    })?;

    let mut replay = Replay {
        team,
        agent,
        ticks_per_instruction,
        outcomes: Vec::new(),
        ticks: Vec::new(),
        stack: Depths::default(),
    };
    loop {
        let line = next("done")?;
        if line.text.starts_with("stack ") {
            replay.stack = line.read("stack", |words| {
                let [check, step, sampled] = words else {
                    bail!("expected 3 words")
                };
                Ok(Depths {
                    check: check.parse()?,
                    step: step.parse()?,
                    sampled: sampled.parse()?,
                })
            })?;
            break;
        }
        let (outcome, ticks) =
            line.read("step", |words| step(words, replay.ticks.len(), output_len))?;
        replay.outcomes.push(outcome);
        replay.ticks.push(ticks);
    }
    let steps = replay.ticks.len();
    next("done")?.read("done", |words| {
        ensure!(
            words == [steps.to_string()],
            "expected {steps}, the number of `step` lines"
        );
        Ok(())
    })?;
    match lines.next() {
        None => Ok(replay),
        Some(line) => bail!(
            "line {}: `{}` after the `done` line",
            line.number,
            line.text
        ),
    }
}

/// The words of a `step` line.
fn step(words: &[&str], expected: usize, output_len: usize) -> Result<(Outcome, u32)> {
    let [t, action, ticks, values @ ..] = words else {
        bail!("expected 3 words and the outputs")
    };
    ensure!(*t == expected.to_string(), "expected step {expected}");
    ensure!(values.len() == output_len, "expected {output_len} outputs");
    let values = values.iter().map(|bits| {
        ensure!(
            bits.len() == 8,
            "`{bits}`: expected eight hexadecimal digits"
        );
        Ok(u32::from_str_radix(bits, 16)?)
    });
    Ok((
        Outcome {
            actions: match *action {
                "-" => Vec::new(),
                numbers => (numbers.split(','))
                    .map(str::parse)
                    .collect::<Result<_, _>>()?,
            },
            values: values.collect::<Result<_>>()?,
        },
        ticks.parse()?,
    ))
}

/// One line of the protocol.
struct Line<'a> {
    number: usize,
    text: &'a str,
}

impl Line<'_> {
    /// Reads what follows the line's first word, `word`.
    fn read<T>(&self, word: &str, read: impl FnOnce(&[&str]) -> Result<T>) -> Result<T> {
        let words: Vec<_> = self.text.split(' ').collect();
        match words[0] {
            first if first == word => {
                read(&words[1..]).with_context(|| format!("line {}: `{}`", self.number, self.text))
            }
            "error" => bail!(
                "the device refused: {}",
                &self.text["error".len()..].trim_start()
            ),
            _ => bail!(
                "line {}: `{}`: expected a `{word}` line",
                self.number,
                self.text
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "consort-replay 2\nimage 00ff 1 1 2\ncalibration 1000 1600\n\
                         step 0 1 160 3f800000 c0000000\nstep 1 0 320 00000000 80000000\nstack 700 90 96\n\
                         done 2\n";

    #[test]
    fn a_whole_replay_is_read() {
        let replay = parse(WHOLE).unwrap();
        assert_eq!((replay.team.as_str(), replay.agent), ("00ff", 1));
        let [first, second] = &replay.outcomes[..] else {
            panic!("two steps")
        };
        assert_eq!(
            *first,
            Outcome {
                actions: vec![1],
                values: vec![1f32.to_bits(), (-2f32).to_bits()]
            }
        );
        // The sign of a zero is a bit like any other.
        assert_eq!(second.values, [0, 0x8000_0000]);
        // 1.6 ticks an instruction.
        assert_eq!(replay.instructions(), Some((100, 200)));
        let Depths {
            check,
            step,
            sampled,
        } = replay.stack;
        assert_eq!((check, step, sampled), (700, 90, 96));
    }

    #[test]
    fn a_vector_has_no_number_and_groups_have_one_each() {
        let actions = |word: &str| {
            let replay = parse(&WHOLE.replace("step 1 0", &format!("step 1 {word}"))).unwrap();
            replay.outcomes[1].actions.clone()
        };
        assert_eq!(actions("-"), [0; 0]);
        assert_eq!(actions("3,0"), [3, 0]);
    }

    #[test]
    fn every_truncation_is_noticed() {
        for end in 0..WHOLE.len() - 1 {
            assert!(parse(&WHOLE[..end]).is_err(), "{:?}", &WHOLE[..end]);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let message = |from: &str, to: &str| {
            format!("{:#}", parse(&WHOLE.replacen(from, to, 1)).unwrap_err())
        };
        assert_eq!(
            message("image 00ff 1 1 2", "error image: bad magic"),
            "the device refused: image: bad magic"
        );
        assert_eq!(
            message("step 1 ", "step 2 "),
            "line 5: `step 2 0 320 00000000 80000000`: expected step 1"
        );
        assert_eq!(
            message("done 2", "done 3"),
            "line 7: `done 3`: expected 2, the number of `step` lines"
        );
        assert_eq!(
            message(" c0000000", ""),
            "line 4: `step 0 1 160 3f800000`: expected 2 outputs"
        );
        assert_eq!(
            message("stack 700 90 96\n", ""),
            "line 6: `done 2`: expected a `step` line"
        );
        assert_eq!(
            message("done 2\n", "done 2\nstep"),
            "line 8: `step` after the `done` line"
        );
        assert_eq!(
            message(
                "step 1 0 320 00000000 80000000\nstack 700 90 96\ndone 2\n",
                ""
            ),
            "the replay was cut short: it ended before its `done` line"
        );
    }
}
