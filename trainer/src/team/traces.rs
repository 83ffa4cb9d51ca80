//! What a team's agents see while they act: by which networks are calibrated and compared.

use consort_runtime::StepError;

use super::actors::{Actors, Choice, JointChoice};
use crate::env::Task;
use crate::rng::Stream;

/// One step as one agent saw it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// What it observed, `[O]`.
    pub observation: Vec<f32>,
    /// Whether an episode began.
    pub start: bool,
    /// Which actions were allowed, `[A]`, where some are at times not.
    pub mask: Option<Vec<bool>>,
}

impl Actors {
    /// Whole episodes of `task` until there are `steps` steps, as every agent saw them. Each agent throws
    /// its own dice; `seed` decides every draw.
    ///
    /// # Errors
    /// What a step of a policy gives.
    pub fn traces(
        &self,
        task: &Task,
        steps: usize,
        seed: u64,
        choice: Choice,
    ) -> Result<Vec<Vec<Seen>>, StepError> {
        let spec = task.spec();
        let mut environment = task.make_environment();
        let mut nature = Stream::new(seed, "traces", 0);
        let mut actors: Vec<_> = (0..spec.agents.len())
            .map(|agent| self.actor(agent))
            .collect();
        let mut dice: Vec<Stream> = (0..actors.len())
            .map(|agent| Stream::new(seed, "traces agent", agent as u64))
            .collect();
        let mut observations = vec![0.0; spec.joint_observation()];
        let mut mask = vec![true; spec.joint_actions()];
        let mut actions = JointChoice::new(&spec);
        let mut traces = vec![Vec::new(); actors.len()];
        while traces
            .first()
            .is_some_and(|trace: &Vec<Seen>| trace.len() < steps)
        {
            environment.reset(&mut nature, &mut observations);
            actors.iter_mut().for_each(|actor| actor.reset());
            let mut start = true;
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
                    traces[agent].push(Seen {
                        observation: observation.to_vec(),
                        start,
                        mask: allowed.map(<[bool]>::to_vec),
                    });
                    actions.choose(agent, actor, observation, allowed, choice, &mut dice[agent])?;
                }
                let transition = environment.step(actions.joint(), &mut nature, &mut observations);
                start = false;
                if transition.terminated || transition.truncated {
                    break;
                }
            }
        }
        Ok(traces)
    }
}
