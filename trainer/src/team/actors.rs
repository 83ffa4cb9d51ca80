//! A team acting from its images: each agent alone, by `consort-runtime`.

use consort_runtime::{Image, ImageError, Policy, StepError, head};

use crate::env::{Game, JointAction, Task};
use crate::rng::Stream;

/// How an agent turns its logits into an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It takes the most probable one.
    Greedy,
    /// It draws one.
    Sampled,
}

/// A checked image, held where its weights can be used as they lie.
#[derive(Clone, Debug)]
pub struct AlignedImage {
    words: Vec<u32>,
    len: usize,
}

impl AlignedImage {
    /// Copies and checks an image.
    pub fn new(bytes: &[u8]) -> Result<Self, ImageError> {
        let mut words = vec![0_u32; bytes.len().div_ceil(size_of::<u32>())];
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
        let image = Self {
            words,
            len: bytes.len(),
        };
        Image::new_checked(image.bytes())?;
        Ok(image)
    }

    /// The image's bytes.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.len]
    }

    /// The image, to look into.
    pub fn view(&self) -> Image<'_> {
        Image::new_checked(self.bytes()).expect("checked when it was made")
    }
}

/// A team's agents, in agent order.
pub struct Actors {
    images: Vec<AlignedImage>,
}

impl Actors {
    /// Agents that act from `images`.
    pub fn new(images: Vec<AlignedImage>) -> Self {
        Self { images }
    }

    /// Their images.
    pub fn images(&self) -> &[AlignedImage] {
        &self.images
    }

    /// Agent `agent`, ready to act.
    pub fn actor(&self, agent: usize) -> Actor<'_> {
        Actor::new(&self.images[agent])
    }

    fn actors(&self) -> Vec<Actor<'_>> {
        self.images.iter().map(Actor::new).collect()
    }

    /// The team's exact expected return in `game`, by summing over every joint observation and,
    /// where actions are drawn, over every joint action.
    pub fn exact(&self, game: &Game, choice: Choice) -> Result<f64, StepError> {
        let spec = game.spec();
        let mut policies = Vec::new();
        for (agent, actor) in self.actors().iter_mut().enumerate() {
            let spec = spec.agents[agent];
            let mut observation = vec![0.0; spec.observation];
            let mut policy: Vec<f64> = Vec::with_capacity(spec.observation * spec.actions.size());
            for number in 0..game.observations().sizes()[agent] {
                game.encode_observation(agent, number, &mut observation);
                policy.extend(actor.probabilities(&observation, choice)?);
            }
            policies.push(policy);
        }
        Ok(game.product_value(&policies))
    }

    /// What `episodes` episodes of `task` return. Each agent throws its own dice; `seed` decides
    /// every draw.
    pub fn play(
        &self,
        task: &Task,
        episodes: usize,
        seed: u64,
        choice: Choice,
    ) -> Result<EpisodeReturns, StepError> {
        let spec = task.spec();
        let mut environment = task.make_environment();
        let mut nature = Stream::new(seed, "episodes", 0);
        let mut actors = self.actors();
        let mut dice: Vec<Stream> = (0..actors.len())
            .map(|agent| Stream::new(seed, "agent", agent as u64))
            .collect();
        let mut observations = vec![0.0; spec.joint_observation()];
        let mut actions = vec![0_u32; actors.len()];
        let mut moments = Moments::default();
        let mut env_steps = 0;
        for _ in 0..episodes {
            environment.reset(&mut nature, &mut observations);
            let mut sum = 0.0;
            loop {
                let mut rest = observations.as_slice();
                for (agent, actor) in actors.iter_mut().enumerate() {
                    let (own, others) = rest.split_at(spec.agents[agent].observation);
                    rest = others;
                    actions[agent] = actor.act(own, choice, &mut dice[agent])? as u32;
                }
                let transition = environment.step(
                    JointAction::Discrete(&actions),
                    &mut nature,
                    &mut observations,
                );
                env_steps += 1;
                sum += f64::from(transition.reward);
                if transition.terminated || transition.truncated {
                    break;
                }
            }
            moments.add(sum);
        }
        Ok(EpisodeReturns {
            episodes: moments.count,
            env_steps,
            mean: moments.mean(),
            variance: moments.variance(),
        })
    }

    /// What agent `agent` makes of an observation: its logits and its most probable action.
    pub fn logits(
        &self,
        agent: usize,
        observation: &[f32],
    ) -> Result<(Vec<f32>, usize), StepError> {
        self.actor(agent).logits(observation)
    }
}

/// What episodes returned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpisodeReturns {
    /// Episodes played.
    pub episodes: u64,
    /// Environment steps in them.
    pub env_steps: u64,
    /// Mean return.
    pub mean: f64,
    /// Unbiased variance of one return, where two or more give one.
    pub variance: Option<f64>,
}

impl EpisodeReturns {
    /// Half the width of the mean's 95 % interval, by the normal approximation.
    pub fn interval(&self) -> Option<f64> {
        let variance = self.variance?;
        Some(1.96 * (variance / self.episodes as f64).sqrt())
    }
}

/// Mean and variance of values that are not kept.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    count: u64,
    sum: f64,
    /// The mean so far, and the sum of squares about it (Welford, Technometrics 1962).
    centre: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        let before = value - self.centre;
        self.centre += before / self.count as f64;
        self.squares += before * (value - self.centre);
    }

    /// The plain sum's: teams that earn the same compare equal.
    fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }

    fn variance(&self) -> Option<f64> {
        (self.count > 1).then(|| self.squares / (self.count - 1) as f64)
    }
}

/// One agent, ready to act.
pub struct Actor<'a> {
    policy: Policy<'a>,
    memory: Vec<f32>,
}

impl<'a> Actor<'a> {
    fn new(image: &'a AlignedImage) -> Self {
        let policy = Policy::new(image.view());
        Self {
            memory: vec![0.0; policy.image().memory_len()],
            policy,
        }
    }

    /// What it makes of an observation: its logits, `[A]`, and its most probable action.
    pub fn logits(&mut self, observation: &[f32]) -> Result<(Vec<f32>, usize), StepError> {
        let logits = self.policy.logits(observation, &mut self.memory)?.to_vec();
        let action = head::greedy(&logits);
        Ok((logits, action))
    }

    fn act(
        &mut self,
        observation: &[f32],
        choice: Choice,
        dice: &mut Stream,
    ) -> Result<usize, StepError> {
        match choice {
            Choice::Greedy => self.policy.act_greedy(observation, &mut self.memory),
            Choice::Sampled => self.policy.act_sampled(observation, &mut self.memory, dice),
        }
    }

    /// The probability of every action at an observation, `[A]`.
    fn probabilities(
        &mut self,
        observation: &[f32],
        choice: Choice,
    ) -> Result<Vec<f64>, StepError> {
        let logits = self.policy.logits(observation, &mut self.memory)?;
        let mut probabilities = vec![0.0_f32; logits.len()];
        match choice {
            Choice::Greedy => probabilities[head::greedy(logits)] = 1.0,
            Choice::Sampled => head::probabilities(logits, &mut probabilities),
        }
        // In f32 they sum to one only roughly, and a team would seem to beat the optimum.
        let total: f64 = probabilities.iter().copied().map(f64::from).sum();
        Ok(probabilities
            .into_iter()
            .map(|p| f64::from(p) / total)
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_by_hand() {
        let of = |values: &[f64]| {
            let mut moments = Moments::default();
            values.iter().for_each(|&value| moments.add(value));
            EpisodeReturns {
                episodes: moments.count,
                env_steps: moments.count,
                mean: moments.mean(),
                variance: moments.variance(),
            }
        };
        // Mean 5, sample variance (4·25)/3, over 4 values: 1.96·√(100/12).
        let returns = of(&[0.0, 10.0, 0.0, 10.0]);
        assert_eq!(returns.mean, 5.0);
        assert!((returns.interval().unwrap() - 1.96 * (100.0_f64 / 12.0).sqrt()).abs() < 1e-12);
        assert_eq!((of(&[3.0]).mean, of(&[3.0]).interval()), (3.0, None));
        // A large offset costs no digits: squares of 1e9 would lose the variance of 1.
        assert_eq!(of(&[1e9, 1e9 + 1.0, 1e9 + 2.0]).variance, Some(1.0));
    }
}
