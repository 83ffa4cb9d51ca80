//! What a team's greedy images are exactly worth in a Dec-POMDP, where its histories can be listed.

use std::sync::Arc;

use consort_runtime::StepError;

use super::actor::{Actor, Decision};
use super::actors::{Actors, Choice};
use crate::env::decpomdp::FiniteHorizon;
use crate::env::decpomdp::policy::{Controller, JointController, Node};
use crate::env::{Adversarial, Task};

/// Most joint observation histories that are listed.
const MOST_HISTORIES: f64 = 65_536.0;

impl Actors {
    /// The team's exact expected return in `task`, where it can be had: of a game it is summed up,
    /// where there is an adversary it is what the team is certain of,
    /// of a Dec-POMDP with few enough histories [`exact_in`](Self::exact_in) computes it for greedy
    /// actions.
    ///
    /// # Errors
    /// What a step of a policy gives.
    pub fn exact_value(&self, task: &Task, choice: Choice) -> Result<Option<f64>, StepError> {
        if let Some(adversarial) = task.adversarial() {
            return self.guaranteed(task, adversarial, choice).map(Some);
        }
        match (task.game(), task.problem(), choice) {
            (Some(game), _, _) => self.exact(game, choice).map(Some),
            (None, Some(problem), Choice::Greedy) => self.exact_in(problem),
            _ => Ok(None),
        }
    }

    /// What the team is certain of, whatever the adversary does, in a game of one step in which agents
    /// see a constant 1 and a symbol, if they share a seed.
    fn guaranteed(
        &self,
        task: &Task,
        adversarial: &Adversarial,
        choice: Choice,
    ) -> Result<f64, StepError> {
        let symbols = task
            .seeding()
            .map_or(0, |seeding| usize::from(seeding.symbols));
        let agents = 0..self.images().len();
        let of_symbol = |symbol: usize| -> Result<Vec<Vec<f64>>, StepError> {
            let mut observation = vec![0.0; 1 + symbols];
            observation[0] = 1.0;
            if let Some(value) = observation.get_mut(1 + symbol) {
                *value = 1.0;
            }
            let own = |agent| self.actor(agent).probabilities(&observation, choice);
            agents.clone().map(own).collect()
        };
        let policies = (0..symbols.max(1)).map(of_symbol);
        let policies: Vec<_> = policies.collect::<Result<_, _>>()?;
        Ok((adversarial.guaranteed)(&policies))
    }

    /// The expected return of the team in `problem`, every agent taking its most probable action:
    /// each image is unrolled into a table of what it does after every history of observations, and
    /// the tables are evaluated on the model. `None` where there are too many histories.
    ///
    /// # Errors
    /// What a step of a policy gives.
    pub fn exact_in(&self, problem: &Arc<FiniteHorizon>) -> Result<Option<f64>, StepError> {
        let joint = problem.model.observations().count() as f64;
        if joint.powi(problem.horizon as i32 - 1) > MOST_HISTORIES {
            return Ok(None);
        }
        let agents = (0..self.images().len())
            .map(|agent| controller(self.actor(agent), problem, agent))
            .collect::<Result<_, _>>()?;
        Ok(Some(JointController { agents }.value(&problem.model)))
    }
}

/// One agent's table, by letting it see every history.
fn controller(
    first: Actor<'_>,
    problem: &FiniteHorizon,
    agent: usize,
) -> Result<Controller, StepError> {
    let (model, horizon) = (&problem.model, problem.horizon);
    let actions = model.actions().sizes()[agent];
    let seen = model.observations().sizes()[agent];
    let mut stages: Controller = Vec::with_capacity(horizon);
    let mut histories = vec![(first, vec![0.0_f32; actions + seen + 1])];
    for stage in 0..horizon {
        let last = stage + 1 == horizon;
        let mut nodes = Vec::with_capacity(histories.len());
        let mut longer = Vec::new();
        for (mut actor, observation) in histories {
            let Decision::Discrete { action, .. } = actor.decide(&observation, None)? else {
                return Err(StepError::Kind);
            };
            let mut next = Vec::new();
            for part in (0..seen).filter(|_| !last) {
                let mut observation = vec![0.0; actions + seen + 1];
                observation[action] = 1.0;
                observation[actions + part] = 1.0;
                observation[actions + seen] = (stage + 1) as f32 / horizon as f32;
                next.push(Some(longer.len()));
                longer.push((actor.clone(), observation));
            }
            nodes.push(Node { action, next });
        }
        stages.push(nodes);
        histories = longer;
    }
    Ok(stages)
}
