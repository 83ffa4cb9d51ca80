//! A task with a shared seed: every agent's observation ends with one symbol that all of them see.
//!
//! So the joint policy, the marginals and the critic see it too, and nothing else of the trainer
//! needs to know: what is annealed is KL(π_J(· | x, z) ‖ ∏ π_i(· | h_i, z)).

use consort_runtime::{Moment, Per, Seeding, SharedSeed};
use serde::{Deserialize, Serialize};

use super::{Environment, JointAction, TeamSpec, Transition};
use crate::rng::Stream;

/// What a team sees of a task once it shares a seed: `symbols` numbers more an agent.
pub(super) fn spec(spec: TeamSpec, seeding: Seeding) -> TeamSpec {
    let mut spec = spec;
    for agent in &mut spec.agents {
        agent.observation += usize::from(seeding.symbols);
    }
    spec.common += usize::from(seeding.symbols);
    spec
}

/// An environment whose observations end with symbols.
pub(super) struct Seeded {
    inner: Box<dyn Environment>,
    spec: TeamSpec,
    seeding: Seeding,
    /// The team's own, by which its devices draw; without one, symbols come from the stream that
    /// drives the environment.
    key: Option<SharedSeed>,
    now: Now,
    /// What the environment itself shows.
    own: Vec<f32>,
}

/// Where the episode is, and what is drawn for it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Now {
    /// Episodes begun.
    begun: u64,
    tick: u32,
    symbol: u8,
}

impl Seeded {
    pub(super) fn new(
        inner: Box<dyn Environment>,
        seeding: Seeding,
        key: Option<SharedSeed>,
    ) -> Self {
        Self {
            own: vec![0.0; inner.spec().joint_observation()],
            spec: spec(inner.spec().clone(), seeding),
            inner,
            seeding,
            key,
            now: Now {
                begun: 0,
                tick: 0,
                symbol: 0,
            },
        }
    }

    /// Draws the moment's symbol where it is due.
    fn draw(&mut self, rng: &mut Stream) {
        if self.seeding.per == Per::Episode && self.now.tick > 0 {
            return;
        }
        self.now.symbol = match &self.key {
            Some(key) => {
                let moment = Moment::new(self.now.begun - 1, self.now.tick);
                key.draw(self.seeding, moment).index() as u8
            }
            None => (rng.uniform() * f64::from(self.seeding.symbols)) as u8,
        };
    }

    /// Writes each agent's own observation and the symbol behind it.
    fn show(&self, observations: &mut [f32]) {
        let symbols = usize::from(self.seeding.symbols);
        let (mut own, mut rest) = (self.own.as_slice(), observations);
        for agent in &self.spec.agents {
            let (vector, others) = rest.split_at_mut(agent.observation);
            let (seen, others_own) = own.split_at(agent.observation - symbols);
            (rest, own) = (others, others_own);
            let (front, tail) = vector.split_at_mut(seen.len());
            front.copy_from_slice(seen);
            tail.fill(0.0);
            tail[usize::from(self.now.symbol)] = 1.0;
        }
    }
}

impl Environment for Seeded {
    fn spec(&self) -> &TeamSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, observations: &mut [f32]) {
        self.inner.reset(rng, &mut self.own);
        self.now.begun += 1;
        self.now.tick = 0;
        self.draw(rng);
        self.show(observations);
    }

    fn step(
        &mut self,
        action: JointAction<'_>,
        rng: &mut Stream,
        observations: &mut [f32],
    ) -> Transition {
        let transition = self.inner.step(action, rng, &mut self.own);
        self.now.tick += 1;
        self.draw(rng);
        self.show(observations);
        transition
    }

    fn state(&self, state: &mut [f32]) {
        self.inner.state(state);
    }

    fn mask(&self, mask: &mut [bool]) {
        self.inner.mask(mask);
    }

    /// What the environment knows of, and the symbol, which is for all to see.
    fn common_knowledge(&self, group: &[usize], features: &mut [f32]) {
        let symbols = usize::from(self.seeding.symbols);
        let (own, symbol) = features.split_at_mut(features.len() - symbols);
        self.inner.common_knowledge(group, own);
        symbol.fill(0.0);
        symbol[usize::from(self.now.symbol)] = 1.0;
    }

    fn save(&self) -> Vec<u8> {
        postcard::to_stdvec(&(self.now, &self.own, self.inner.save()))
            .expect("numbers are serialised")
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), postcard::Error> {
        let (now, own, inner): (Now, Vec<f32>, Vec<u8>) = postcard::from_bytes(saved)?;
        if own.len() != self.own.len() || now.symbol >= self.seeding.symbols {
            return Err(postcard::Error::DeserializeBadEncoding);
        }
        self.inner.restore(&inner)?;
        (self.now, self.own) = (now, own);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Task;

    const KEY: [u8; 16] = [5; 16];

    fn seeding(symbols: u8, per: Per) -> Seeding {
        Seeding { symbols, per }
    }

    /// The symbol that ends every agent's observation: all see the same.
    fn symbol(spec: &TeamSpec, symbols: usize, observations: &[f32]) -> usize {
        let mut rest = observations;
        let mut found = None;
        for agent in &spec.agents {
            let (own, others) = rest.split_at(agent.observation);
            rest = others;
            let tail = &own[own.len() - symbols..];
            assert!(tail.iter().all(|&value| value == 0.0 || value == 1.0));
            assert_eq!(tail.iter().sum::<f32>(), 1.0);
            let index = tail.iter().position(|&value| value == 1.0);
            assert!(found.is_none() || found == index, "{observations:?}");
            found = index;
        }
        found.unwrap()
    }

    /// Symbols of 40 episodes, the environment restored into another one before every step.
    fn symbols(task: &Task, count: u8, seed: u64) -> Vec<Vec<usize>> {
        let spec = task.spec();
        let mut stream = Stream::new(seed, "play", 0);
        let mut observations = vec![f32::NAN; spec.joint_observation()];
        let mut environment = task.make_environment();
        let mut episodes = Vec::new();
        for _ in 0..40 {
            environment.reset(&mut stream, &mut observations);
            let mut seen = Vec::new();
            loop {
                seen.push(symbol(&spec, usize::from(count), &observations));
                let mut next = task.make_environment();
                next.restore(&environment.save()).unwrap();
                environment = next;
                let zeros = vec![0; spec.agents.len()];
                let still = vec![0.0; spec.joint_actions()];
                let action = match spec.is_continuous() {
                    true => JointAction::Continuous(&still),
                    false => JointAction::Discrete(&zeros),
                };
                let transition = environment.step(action, &mut stream, &mut observations);
                if transition.terminated || transition.truncated {
                    break;
                }
            }
            episodes.push(seen);
        }
        episodes
    }

    /// Of every family: what is shown grows by the symbols, and the rest of the contract holds.
    #[test]
    fn every_kind_of_task_can_have_a_shared_seed() {
        for name in [
            "climbing-private",
            "two-step",
            "dec-tiger-h3",
            "lbf-8x8-2p-2f-coop",
            "mpe-spread-continuous",
        ] {
            let Ok(bare) = Task::find(name) else {
                panic!("{name} is a task");
            };
            for per in [Per::Step, Per::Episode] {
                let task = bare.clone().with_shared_seed(seeding(3, per));
                let (spec, bare) = (task.spec(), bare.spec());
                assert_eq!(
                    spec.joint_observation(),
                    bare.joint_observation() + 3 * bare.agents.len()
                );
                assert_eq!((spec.state, spec.masked), (bare.state, bare.masked));
                let drawn = symbols(&task, 3, 1);
                assert_eq!(drawn, symbols(&task, 3, 1));
                assert_ne!(drawn, symbols(&task, 3, 2));
                let constant = |episode: &Vec<usize>| episode.windows(2).all(|w| w[0] == w[1]);
                let one_shot = bare.horizon == 1;
                let all_constant = drawn.iter().all(constant);
                assert_eq!(all_constant, one_shot || per == Per::Episode, "{name}");
            }
        }
    }

    /// With a team's key, what the environment shows is what the devices draw.
    #[test]
    fn with_a_key_the_symbols_are_the_devices() {
        let key = SharedSeed::new(KEY);
        for per in [Per::Step, Per::Episode] {
            let seeding = seeding(2, per);
            let task = Task::find("two-step").unwrap().with_shared_seed(seeding);
            let task = task.with_team_key(key);
            for (episode, seen) in symbols(&task, 2, 0).into_iter().enumerate() {
                for (tick, index) in seen.into_iter().enumerate() {
                    let moment = Moment::new(episode as u64, tick as u32);
                    assert_eq!(index, key.draw(seeding, moment).index());
                }
            }
        }
    }
}
