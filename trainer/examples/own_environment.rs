//! A team in an environment of one's own: two carriers on a ring must come to a crate and lift it together.
//!
//! `cargo run --release --example own_environment` trains for some seconds and plays with the images that microcontrollers
//! would act from.

use candle_core::Device;
use consort_trainer::config::Config;
use consort_trainer::env::{
    AgentSpec, Environment, JointAction, Simulation, Task, TeamSpec, Transition,
};
use consort_trainer::export::actors;
use consort_trainer::rng::Stream;
use consort_trainer::train::train;

/// Places on the ring.
const PLACES: u32 = 7;
/// Steps after which an episode is cut off: three to walk and some to err.
const STEPS: usize = 12;

struct Lift {
    spec: TeamSpec,
    crate_at: u32,
    carriers: [u32; 2],
    step: u32,
}

impl Lift {
    fn new() -> Self {
        // Each sees how far on the crate is, one-hot, and goes back, stays or goes on.
        let agent = AgentSpec::discrete(PLACES as usize, 3);
        Self {
            spec: TeamSpec::new(vec![agent; 2], STEPS),
            crate_at: 0,
            carriers: [0; 2],
            step: 0,
        }
    }

    fn observe(&self, observations: &mut [f32]) {
        observations.fill(0.0);
        let own = observations.chunks_exact_mut(PLACES as usize);
        for (own, at) in own.zip(self.carriers) {
            own[((self.crate_at + PLACES - at) % PLACES) as usize] = 1.0;
        }
    }
}

impl Environment for Lift {
    fn spec(&self) -> &TeamSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, observations: &mut [f32]) {
        let mut place = || (rng.uniform() * f64::from(PLACES)) as u32;
        (self.crate_at, self.carriers, self.step) = (place(), [place(), place()], 0);
        self.observe(observations);
    }

    fn step(
        &mut self,
        action: JointAction<'_>,
        _: &mut Stream,
        observations: &mut [f32],
    ) -> Transition {
        for (at, &go) in self.carriers.iter_mut().zip(action.discrete()) {
            *at = (*at + PLACES + go - 1) % PLACES;
        }
        self.step += 1;
        self.observe(observations);
        let lifted = self.carriers == [self.crate_at; 2];
        Transition {
            reward: f32::from(u8::from(lifted)),
            terminated: lifted,
            truncated: !lifted && self.step as usize == STEPS,
        }
    }

    // What a checkpoint keeps of an environment.
    fn save(&self) -> Vec<u8> {
        let now = (self.crate_at, self.carriers, self.step);
        postcard::to_stdvec(&now).expect("numbers are serialised")
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), postcard::Error> {
        let (crate_at, carriers, step): (u32, [u32; 2], u32) = postcard::from_bytes(saved)?;
        let fits = crate_at < PLACES && carriers.iter().all(|&at| at < PLACES);
        if !fits || step as usize > STEPS {
            return Err(postcard::Error::DeserializeBadEncoding);
        }
        (self.crate_at, self.carriers, self.step) = (crate_at, carriers, step);
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let lift = Simulation::new("lift", "two carriers lift a crate together", Lift::new);
    let task = Task::from_simulation(lift)?;
    // The defaults of tasks that end when they are done or are cut off.
    let config = Config {
        steps: 200_000,
        ..Config::for_kind(task.kind())
    };
    let seed = 0;
    let outcome = &train(
        &config,
        std::slice::from_ref(&task),
        &[seed],
        &Device::Cpu,
        1,
        &|_steps| (),
    )?[0];
    let team = actors(&outcome.best().marginals)?;
    let returns = team.play(&task, 2_000, seed, config.act)?;
    let bytes: usize = team.images().iter().map(|image| image.bytes().len()).sum();
    println!(
        "lifted in {:.1} % of {} episodes, by images of {bytes} bytes in all",
        100.0 * returns.mean,
        returns.episodes
    );
    Ok(())
}
