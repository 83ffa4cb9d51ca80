//! A team acting from its images: each agent alone, by `consort-runtime`.

use consort_runtime::{Image, ImageError, Policy, StepError, head};

use crate::env::{Game, Task};
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

    fn actors<'a>(&'a self) -> Vec<Actor<'a>> {
        let actor = |image: &'a AlignedImage| Actor {
            memory: vec![0.0; image.view().memory_len()],
            policy: Policy::new(image.view()),
        };
        self.images.iter().map(actor).collect()
    }

    /// The team's exact expected return in `game`, by summing over every joint observation and,
    /// where actions are drawn, over every joint action.
    pub fn exact(&self, game: &Game, choice: Choice) -> Result<f64, StepError> {
        let spec = game.spec();
        let mut policies = Vec::new();
        for (agent, actor) in self.actors().iter_mut().enumerate() {
            let spec = spec.agents[agent];
            let mut observation = vec![0.0; spec.observation];
            let mut policy: Vec<f64> = Vec::with_capacity(spec.observation * spec.actions);
            for number in 0..game.observations().sizes()[agent] {
                game.encode_observation(agent, number, &mut observation);
                policy.extend(actor.probabilities(&observation, choice)?);
            }
            policies.push(policy);
        }
        Ok(game.product_value(&policies))
    }

    /// Returns of `episodes` episodes of `task`. Each agent throws its own dice; `seed` decides
    /// every draw.
    pub fn play(
        &self,
        task: &Task,
        episodes: usize,
        seed: u64,
        choice: Choice,
    ) -> Result<Vec<f64>, StepError> {
        let spec = task.spec();
        let mut environment = task.make_environment();
        let mut nature = Stream::new(seed, "episodes", 0);
        let mut actors = self.actors();
        let mut dice: Vec<Stream> = (0..actors.len())
            .map(|agent| Stream::new(seed, "agent", agent as u64))
            .collect();
        let mut observations = vec![0.0; spec.joint_observation()];
        let mut actions = vec![0_u32; actors.len()];
        let mut returns = Vec::with_capacity(episodes);
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
                let transition = environment.step(&actions, &mut nature, &mut observations);
                sum += f64::from(transition.reward);
                if transition.terminated || transition.truncated {
                    break;
                }
            }
            returns.push(sum);
        }
        Ok(returns)
    }

    /// What agent `agent` makes of an observation: its logits and its most probable action.
    pub fn logits(
        &self,
        agent: usize,
        observation: &[f32],
    ) -> Result<(Vec<f32>, usize), StepError> {
        let policy = Policy::new(self.images[agent].view());
        let mut memory = vec![0.0; policy.image().memory_len()];
        let logits = policy.logits(observation, &mut memory)?.to_vec();
        let action = head::greedy(&logits);
        Ok((logits, action))
    }
}

/// One agent, ready to act.
struct Actor<'a> {
    policy: Policy<'a>,
    memory: Vec<f32>,
}

impl Actor<'_> {
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
        Ok(probabilities.into_iter().map(f64::from).collect())
    }
}
