//! The committed teams: their images, their golden sequences, and what the host makes of them.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use consort_runtime::head::{greedy, greedy_masked, parts};
use consort_runtime::{Action, Head, Image, Policy};
use serde::Deserialize;

/// One agent of a team's folder.
pub(crate) struct Agent {
    /// The team's folder.
    pub(crate) folder: PathBuf,
    /// The agent's index in its team.
    pub(crate) index: u16,
    image: Aligned,
    golden: Golden,
}

/// A golden sequence, as `consort export` writes it; every `f32` by its bits.
#[derive(Deserialize)]
struct Golden {
    command: String,
    agent: u16,
    observation_len: usize,
    output_len: usize,
    /// Of a team whose agents share a seed.
    shared_seed: Option<GoldenSeed>,
    steps: Vec<GoldenStep>,
}

#[derive(Deserialize)]
struct GoldenSeed {
    /// 32 hexadecimal digits.
    key: String,
}

#[derive(Deserialize)]
struct GoldenStep {
    observation: Vec<u32>,
    /// Whether an episode begins; of one-shot games not written, as every step is one.
    #[serde(default = "yes")]
    start: bool,
    /// Which actions were allowed, where some were not.
    mask: Option<Vec<bool>>,
    /// Episode and tick, where agents share a seed.
    moment: Option<(u64, u32)>,
    #[serde(flatten)]
    outcome: Outcome,
}

fn yes() -> bool {
    true
}

/// What an agent made of one observation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "GoldenOutcome")]
pub(crate) struct Outcome {
    /// The greedy action, or one a group; none where actions are vectors.
    pub(crate) actions: Vec<usize>,
    /// The bits of its logits, or of the action's vector.
    pub(crate) values: Vec<u32>,
}

#[derive(Deserialize)]
struct GoldenOutcome {
    action: GoldenAction,
    logits: Option<Vec<u32>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum GoldenAction {
    Number(usize),
    List(Vec<u32>),
}

impl TryFrom<GoldenOutcome> for Outcome {
    type Error = &'static str;

    fn try_from(golden: GoldenOutcome) -> Result<Self, Self::Error> {
        match (golden.action, golden.logits) {
            (GoldenAction::Number(action), Some(values)) => Ok(Outcome {
                actions: vec![action],
                values,
            }),
            (GoldenAction::List(actions), Some(values)) => Ok(Outcome {
                actions: actions.iter().map(|&action| action as usize).collect(),
                values,
            }),
            (GoldenAction::List(values), None) => Ok(Outcome {
                actions: Vec::new(),
                values,
            }),
            _ => Err("expected `action` as a number or a list with `logits`, or as a list without"),
        }
    }
}

/// Every agent of every team in the folder `models`, in order.
pub(crate) fn all(models: &Path) -> Result<Vec<Agent>> {
    let mut folders = Vec::new();
    // Absolute, because the firmware is built from another folder.
    let context = || models.display().to_string();
    for entry in
        fs::read_dir(fs::canonicalize(models).with_context(context)?).with_context(context)?
    {
        folders.push(entry?.path());
    }
    folders.retain(|path| path.is_dir());
    folders.sort();
    ensure!(
        !folders.is_empty(),
        "{}: no team; `consort export` writes one",
        models.display()
    );
    let mut agents = Vec::new();
    for folder in folders {
        agents.extend(team(&folder)?);
    }
    Ok(agents)
}

/// Every agent of the team in `folder`: as many as agent 0's image says there are.
fn team(folder: &Path) -> Result<Vec<Agent>> {
    let first = Agent::read(folder, 0)?;
    let agents = first.view()?.agents();
    std::iter::once(Ok(first))
        .chain((1..agents).map(|index| Agent::read(folder, index)))
        .collect()
}

impl Agent {
    fn read(folder: &Path, index: u16) -> Result<Agent> {
        let path = |kind: &str| folder.join(format!("agent-{index}.{kind}"));
        let read = |path: &Path| fs::read(path).with_context(|| path.display().to_string());
        let (image, golden) = (path("image"), path("golden.json"));
        let agent = Agent {
            folder: folder.to_owned(),
            index,
            image: Aligned::copy(&read(&image)?),
            golden: serde_json::from_slice(&read(&golden)?)
                .with_context(|| golden.display().to_string())?,
        };
        agent
            .check()
            .with_context(|| golden.display().to_string())?;
        Ok(agent)
    }

    /// The golden sequence is one of this image.
    fn check(&self) -> Result<()> {
        let image = self.view()?;
        let Golden {
            agent,
            observation_len,
            output_len,
            steps,
            shared_seed,
            command: _,
        } = &self.golden;
        let moments = steps.iter().filter(|step| step.moment.is_some()).count();
        let expected = if image.seeding().is_some() {
            steps.len()
        } else {
            0
        };
        ensure!(
            moments == expected && shared_seed.is_some() == image.seeding().is_some(),
            "{moments} moments, expected {expected}, and a key if there are some"
        );
        ensure!(
            image.agent() == self.index,
            "its image is of agent {}",
            image.agent()
        );
        ensure!(
            *agent == self.index,
            "`agent` is {agent}, expected {}",
            self.index
        );
        let lens = (image.observation_len(), image.output_len());
        ensure!(
            (*observation_len, *output_len) == lens,
            "lengths {observation_len} and {output_len}, image {lens:?}"
        );
        ensure!(!steps.is_empty(), "the sequence has no step");
        for (t, step) in steps.iter().enumerate() {
            let found = (step.observation.len(), step.outcome.values.len());
            ensure!(
                found == lens,
                "step {t}: {found:?} observations and outputs, expected {lens:?}"
            );
            let masked = step.mask.as_ref().map_or(*output_len, Vec::len);
            ensure!(
                masked == *output_len,
                "step {t}: a mask of {masked} values, expected {output_len}"
            );
        }
        Ok(())
    }

    /// The image's bytes.
    pub(crate) fn image(&self) -> &[u8] {
        self.image.bytes()
    }

    /// The image, checked.
    pub(crate) fn view(&self) -> Result<Image<'_>> {
        Image::new_checked(self.image()).with_context(|| format!("{self}"))
    }

    /// The command that made the golden sequence.
    pub(crate) fn command(&self) -> &str {
        &self.golden.command
    }

    /// What the golden sequence shows the agent, step by step: the observation's bits, whether an episode begins, the mask.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (&[u32], bool, Option<&[bool]>)> {
        (self.golden.steps.iter())
            .map(|step| (&step.observation[..], step.start, step.mask.as_deref()))
    }

    /// The key of its team's shared seed, and the moments of the golden sequence, where it has one.
    pub(crate) fn shared(&self) -> Option<(&str, Vec<(u64, u32)>)> {
        let seed = self.golden.shared_seed.as_ref()?;
        let moments = self.golden.steps.iter().filter_map(|step| step.moment);
        Some((&seed.key, moments.collect()))
    }

    /// What the golden sequence says the agent does.
    pub(crate) fn golden(&self) -> Vec<Outcome> {
        self.golden
            .steps
            .iter()
            .map(|step| step.outcome.clone())
            .collect()
    }

    /// What the host's runtime makes of the golden observations now.
    pub(crate) fn host(&self) -> Result<Vec<Outcome>> {
        let mut player = Player::new(self.image())?;
        let play = |step: &GoldenStep| {
            let observation: Vec<_> = step
                .observation
                .iter()
                .map(|&bits| f32::from_bits(bits))
                .collect();
            player.step(&observation, step.start, step.mask.as_deref())
        };
        self.golden.steps.iter().map(play).collect()
    }
}

/// An agent that acts on the host.
pub(crate) struct Player<'a> {
    policy: Policy<'a>,
    memory: Vec<f32>,
}

impl<'a> Player<'a> {
    /// The agent of `image`.
    pub(crate) fn new(image: &'a [u8]) -> Result<Self> {
        let policy = Policy::new(Image::new_checked(image)?);
        Ok(Player {
            memory: vec![0.0; policy.image().memory_len()],
            policy,
        })
    }

    /// One step, greedily, at the start of an episode or within one.
    pub(crate) fn step(
        &mut self,
        observation: &[f32],
        start: bool,
        mask: Option<&[bool]>,
    ) -> Result<Outcome> {
        let Player { policy, memory } = self;
        if start {
            policy.reset(memory)?;
        }
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect();
        if policy.image().head().is_continuous() {
            let Action::Continuous(action) = policy.step(observation, memory)? else {
                bail!("a number from a policy whose actions are vectors")
            };
            return Ok(Outcome {
                actions: Vec::new(),
                values: bits(action),
            });
        }
        let whole = [policy.image().output_len() as u32];
        let sizes = match policy.image().head() {
            Head::MultiDiscrete { sizes } => sizes,
            _ => &whole,
        };
        let logits = policy.logits(observation, memory)?;
        let mut masks = mask.map(|mask| parts(sizes, mask));
        let choose = |logits: &[f32]| match masks.as_mut().and_then(Iterator::next) {
            None => Ok(greedy(logits)),
            Some(mask) => greedy_masked(logits, mask).context("a mask that allows no action"),
        };
        Ok(Outcome {
            actions: parts(sizes, logits).map(choose).collect::<Result<_>>()?,
            values: bits(logits),
        })
    }
}

impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let team = self.folder.file_name().unwrap_or(self.folder.as_os_str());
        write!(f, "{}/agent-{}", team.to_string_lossy(), self.index)
    }
}

/// Bytes that start where a weight may: an image is refused elsewhere, and a `Vec<u8>` promises nothing.
pub(crate) struct Aligned {
    words: Vec<u32>,
    len: usize,
}

impl Aligned {
    pub(crate) fn copy(bytes: &[u8]) -> Aligned {
        let mut words = vec![0; bytes.len().div_ceil(4)];
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
        Aligned {
            words,
            len: bytes.len(),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.len]
    }
}

/// Checks that two replays are the same, bit for bit.
///
/// # Errors
///
/// The first difference: its step, whose it is, what was found and what was expected.
pub(crate) fn compare(
    expected_by: &str,
    expected: &[Outcome],
    found_by: &str,
    found: &[Outcome],
) -> Result<()> {
    if expected.len() != found.len() {
        bail!(
            "{found_by} has {} steps, {expected_by} {}",
            found.len(),
            expected.len()
        );
    }
    for (t, (expected, found)) in expected.iter().zip(found).enumerate() {
        if expected.values != found.values {
            let bits = |values: &Vec<u32>| {
                values
                    .iter()
                    .map(|bits| format!("{bits:08x}"))
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            let [expected, found] = [&expected.values, &found.values].map(bits);
            bail!("step {t}: {found_by} has outputs {found}, {expected_by} {expected}");
        }
        if expected.actions != found.actions {
            let word = |actions: &Vec<usize>| match &actions[..] {
                [] => "a vector".to_owned(),
                [action] => action.to_string(),
                several => format!("{several:?}"),
            };
            let [expected, found] = [&expected.actions, &found.actions].map(word);
            bail!("step {t}: {found_by} has action {found}, {expected_by} {expected}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_runtime::{Activation, DenseRepr, Head, ImageRepr, LayerRepr, TeamId};

    /// A folder with a team of `agents`, each of which observes x and gives the logits x and 2 − x.
    fn write_team(agents: u16) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for agent in 0..agents {
            let layers = [LayerRepr::Dense(DenseRepr {
                inputs: 1,
                outputs: 2,
                activation: Activation::Identity,
                weights: &[1.0, -1.0],
                biases: &[0.0, 2.0],
            })];
            let repr = ImageRepr {
                team: TeamId([1; 16]),
                agent,
                agents,
                revision: 1,
                period_us: 0,
                seeding: None,
                head: Head::Categorical { actions: 2 },
                layers: &layers,
            };
            let mut image = vec![0; repr.emitted_len().unwrap()];
            repr.emit(&mut image).unwrap();
            fs::write(folder.path().join(format!("agent-{agent}.image")), image).unwrap();
            let step = |x: f32, action: usize| {
                let logits = [x.to_bits(), (2.0 - x).to_bits()];
                serde_json::json!({ "observation": [x.to_bits()], "logits": logits, "action": action })
            };
            let golden = serde_json::json!({
                "command": "consort export", "team": "x", "agent": agent, "observation_len": 1, "output_len": 2,
                "steps": [step(0.5, 1), step(1.5, 0), step(1.0, 0)],
            });
            fs::write(
                folder.path().join(format!("agent-{agent}.golden.json")),
                golden.to_string(),
            )
            .unwrap();
        }
        folder
    }

    #[test]
    fn the_host_agrees_with_a_golden_sequence_worked_by_hand() {
        let folder = write_team(2);
        let agents = team(folder.path()).unwrap();
        assert_eq!(
            agents.iter().map(|agent| agent.index).collect::<Vec<_>>(),
            [0, 1]
        );
        for agent in &agents {
            compare("golden", &agent.golden(), "host", &agent.host().unwrap()).unwrap();
        }
    }

    #[test]
    fn a_missing_agent_and_a_swapped_image_are_named() {
        let folder = write_team(2);
        let [zero, one] = [0, 1].map(|agent| folder.path().join(format!("agent-{agent}.image")));
        fs::copy(&zero, &one).unwrap();
        let error = format!("{:#}", team(folder.path()).map(|_| ()).unwrap_err());
        assert!(
            error.ends_with("agent-1.golden.json: its image is of agent 0"),
            "{error}"
        );
        fs::remove_file(&one).unwrap();
        let error = format!("{:#}", team(folder.path()).map(|_| ()).unwrap_err());
        assert!(error.contains("agent-1.image: No such file"), "{error}");
    }

    #[test]
    fn the_first_difference_is_said() {
        let outcome = |action, logit: f32| Outcome {
            actions: vec![action],
            values: vec![logit.to_bits()],
        };
        let golden = [outcome(0, 1.0), outcome(0, 0.0)];
        let message = |found: &[Outcome]| {
            compare("golden", &golden, "host", found)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(message(&golden[..1]), "host has 1 steps, golden 2");
        assert_eq!(
            message(&[outcome(1, 1.0), outcome(0, 0.0)]),
            "step 0: host has action 1, golden 0"
        );
        // −0 equals 0, but not bit for bit.
        assert_eq!(
            message(&[outcome(0, 1.0), outcome(0, -0.0)]),
            "step 1: host has outputs 80000000, golden 00000000"
        );
    }
}
