//! A team acting from its images: each agent alone, by `consort-runtime`.

use std::fmt;

use consort_runtime::{Image, ImageError, StepError};
use serde::{Deserialize, Serialize};

use super::actor::{Actor, Decision};
use crate::env::{ActionSpace, Game, JointAction, Task, TeamSpec};
use crate::rng::Stream;

/// How an agent turns its outputs into an action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// It takes the most probable one, or the middle of the distribution of vectors.
    #[default]
    Greedy,
    /// It draws one.
    Sampled,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Greedy => "greedy",
            Self::Sampled => "sampled",
        })
    }
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

    /// The time between two steps that their images state, in µs; 0 where the task is not periodic.
    pub fn period_us(&self) -> u32 {
        self.images
            .first()
            .map_or(0, |image| image.view().period_us())
    }

    /// The highest revision of any image; 0 without one.
    pub fn revision(&self) -> u32 {
        let revisions = self.images.iter().map(|image| image.view().revision());
        revisions.max().unwrap_or_default()
    }

    /// Whether any image is signed.
    pub fn is_signed(&self) -> bool {
        let mut images = self.images.iter();
        images.any(|image| image.view().signature().is_some())
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
        let mut actors = self.actors();
        let mut dice: Vec<Stream> = (0..actors.len())
            .map(|agent| Stream::new(seed, "agent", agent as u64))
            .collect();
        let mut observations = vec![0.0; spec.joint_observation()];
        let mut mask = vec![true; spec.joint_actions()];
        let mut actions = JointChoice::new(&spec);
        let mut moments = Moments::default();
        let mut env_steps = 0;
        for episode in 0..episodes as u64 {
            // One stream an episode: what a team does in one must not shift what nature does in the next.
            let mut nature = Stream::new(seed, "episodes", episode);
            environment.reset(&mut nature, &mut observations);
            actors.iter_mut().for_each(Actor::reset);
            let mut sum = 0.0;
            loop {
                if spec.masked {
                    environment.mask(&mut mask);
                }
                let (mut seen, mut may) = (observations.as_slice(), mask.as_slice());
                for (agent, actor) in actors.iter_mut().enumerate() {
                    let (observation, others) = seen.split_at(spec.agents[agent].observation);
                    let (allowed, others_may) = may.split_at(spec.agents[agent].actions.size());
                    (seen, may) = (others, others_may);
                    let allowed = spec.masked.then_some(allowed);
                    actions.choose(agent, actor, observation, allowed, choice, &mut dice[agent])?;
                }
                let transition = environment.step(actions.joint(), &mut nature, &mut observations);
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

    /// What agent `agent` makes of the first observation of an episode: its logits and its most
    /// probable action.
    ///
    /// # Errors
    /// [`StepError::Kind`] when its actions are vectors or products, or what a step gives.
    pub fn logits(
        &self,
        agent: usize,
        observation: &[f32],
    ) -> Result<(Vec<f32>, usize), StepError> {
        match self.actor(agent).decide(observation, None)? {
            Decision::Discrete { action, logits } => Ok((logits, action)),
            Decision::Groups { .. } | Decision::Continuous(_) => Err(StepError::Kind),
        }
    }
}

/// A joint action in the making.
pub(super) enum JointChoice {
    /// Each agent's space, and the actions.
    Discrete(Vec<ActionSpace>, Vec<u32>),
    /// Where each agent's vector starts, and the vectors.
    Continuous(Vec<usize>, Vec<f32>),
}

impl JointChoice {
    pub(super) fn new(spec: &TeamSpec) -> Self {
        if !spec.is_continuous() {
            let spaces = spec.agents.iter().map(|agent| agent.actions);
            return Self::Discrete(spaces.collect(), vec![0; spec.agents.len()]);
        }
        let mut start = 0;
        let starts = spec.agents.iter().map(|agent| {
            start += agent.actions.size();
            start - agent.actions.size()
        });
        Self::Continuous(starts.collect(), vec![0.0; spec.joint_actions()])
    }

    /// Lets agent `agent` take its next step.
    pub(super) fn choose(
        &mut self,
        agent: usize,
        actor: &mut Actor<'_>,
        observation: &[f32],
        allowed: Option<&[bool]>,
        choice: Choice,
        dice: &mut Stream,
    ) -> Result<(), StepError> {
        match self {
            Self::Discrete(spaces, actions) => {
                actions[agent] = actor.act(spaces[agent], observation, allowed, choice, dice)?;
                Ok(())
            }
            Self::Continuous(starts, vectors) => {
                let len = actor.output_len();
                let own = &mut vectors[starts[agent]..][..len];
                actor.act_vector(observation, choice, dice, own)
            }
        }
    }

    pub(super) fn joint(&self) -> JointAction<'_> {
        match self {
            Self::Discrete(_, actions) => JointAction::Discrete(actions),
            Self::Continuous(_, vectors) => JointAction::Continuous(vectors),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Factors;
    use crate::net::HeadWeights;
    use crate::team::episodes;

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

    /// Action 1 while the state is above 0.1, so until before the last step; a third action, worse
    /// than both, under a mask.
    fn recalling(masked: bool) -> (Task, Actors) {
        let actions = if masked { 3 } else { 2 };
        let (weights, biases) = ([0.0, 1.0, 0.0], [0.0, -0.1, -0.004]);
        (
            episodes::task(ActionSpace::Discrete(actions), masked),
            episodes::actors(
                &weights[..actions],
                &biases[..actions],
                HeadWeights::Categorical,
            ),
        )
    }

    #[test]
    fn a_state_is_carried_within_an_episode_and_reset_before_it() {
        for masked in [false, true] {
            let (task, team) = recalling(masked);
            let returns = team.play(&task, 20, 0, Choice::Greedy).unwrap();
            // Two agents, three right actions each.
            assert_eq!((returns.mean, returns.env_steps), (6.0, 60), "{masked}");
            assert_eq!(returns.variance, Some(0.0));
        }
    }

    #[test]
    fn a_mask_holds_where_actions_are_drawn() {
        let (task, team) = recalling(true);
        let returns = team.play(&task, 4_000, 0, Choice::Sampled).unwrap();
        // logits 0, h − 0.1, −0.004 with h = .381, .190, .095 (the last without the first).
        let exp = |x: f64| x.exp();
        let p = |h: f64| exp(h - 0.1) / (1.0 + exp(h - 0.1) + exp(-0.004));
        let h = 0.5 * 1_f64.tanh();
        let last = exp(-0.004) / (exp(h / 4.0 - 0.1) + exp(-0.004));
        let expected = 2.0 * (p(h) + p(h / 2.0) + last);
        // Five standard errors of a mean of 4,000 returns, each a sum of six with variance below 1/4.
        let bound = 5.0 * (1.5_f64 / 4_000.0).sqrt();
        assert!(
            (returns.mean - expected).abs() < bound,
            "{returns:?} {expected}"
        );
    }

    #[test]
    fn choices_of_factors_reach_the_environment_as_one_action() {
        // 1 is choice 1 of the first factor and 0 of the second, 0 both 0. The first group as the two
        // actions of `recalling`; of the second, choice 1 is never the best and at times drawn.
        let space = ActionSpace::Product(Factors::new(&[2, 2]).unwrap());
        let task = episodes::task(space, false);
        let head = HeadWeights::MultiDiscrete { sizes: vec![2, 2] };
        let team = episodes::actors(&[0.0, 1.0, 0.0, 0.0], &[0.0, -0.1, 0.0, -1.0], head);
        let returns = team.play(&task, 20, 0, Choice::Greedy).unwrap();
        assert_eq!((returns.mean, returns.env_steps), (6.0, 60));
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let h = 0.5 * 1_f64.tanh();
        let first = sigmoid(h - 0.1) + sigmoid(h / 2.0 - 0.1) + sigmoid(0.1 - h / 4.0);
        let expected = 2.0 * first * sigmoid(1.0);
        let returns = team.play(&task, 4_000, 0, Choice::Sampled).unwrap();
        // Five standard errors of a mean of 4,000 returns, each a sum of six with variance below 1/4.
        let bound = 5.0 * (1.5_f64 / 4_000.0).sqrt();
        assert!(
            (returns.mean - expected).abs() < bound,
            "{returns:?} {expected}"
        );
    }

    #[test]
    fn vectors_reach_the_environment() {
        let task = episodes::task(ActionSpace::Continuous(2), false);
        let head = HeadWeights::Gaussian {
            log_std: vec![-1.0, 0.0],
        };
        let team = episodes::actors(&[1.0, -2.0], &[0.0, 0.5], head);
        let h = 0.5 * 1_f64.tanh();
        let states = [h, h / 2.0, h / 4.0];
        let vector = |h: f64| h.tanh() + (0.5 - 2.0 * h).tanh();
        let expected: f64 = states.iter().map(|&h| 2.0 * vector(h)).sum();
        let returns = team.play(&task, 5, 0, Choice::Greedy).unwrap();
        assert!((returns.mean - expected).abs() < 1e-5);
        assert_eq!(returns.variance, Some(0.0));

        let drawn = |seed| team.play(&task, 50, seed, Choice::Sampled).unwrap();
        assert!(drawn(0).variance.unwrap() > 0.1);
        assert_eq!(drawn(0), drawn(0));
        assert_ne!(drawn(0), drawn(1));
        // Every number is within [−1, 1].
        assert!(drawn(0).mean.abs() < 12.0);
    }
}
