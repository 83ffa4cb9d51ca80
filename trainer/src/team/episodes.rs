//! What the tests of acting share: an episodic task, and agents that remember for it.

use consort_runtime::Activation;

use crate::env::{
    ActionSpace, AgentSpec, Environment, JointAction, Simulation, Task, TeamSpec, Transition,
};
use crate::export;
use crate::net::{DenseWeights, GruWeights, HeadWeights, LayerWeights, NetworkWeights};
use crate::rng::Stream;
use crate::team::Actors;

/// Steps of an episode.
pub(crate) const HORIZON: usize = 3;

/// Two agents see 1 in an episode's first step and 0 after it. It pays 1 for every agent that takes
/// action 1 in the first two steps and action 0 (under a mask: 2) in the last; or, where actions are
/// vectors of two, the sum of all their numbers.
#[derive(Clone)]
struct Recall {
    spec: TeamSpec,
    step: usize,
}

impl Environment for Recall {
    fn spec(&self) -> &TeamSpec {
        &self.spec
    }

    fn reset(&mut self, _: &mut Stream, observations: &mut [f32]) {
        self.step = 0;
        observations.fill(1.0);
    }

    fn step(
        &mut self,
        action: JointAction<'_>,
        _: &mut Stream,
        observations: &mut [f32],
    ) -> Transition {
        let last = self.step == HORIZON - 1;
        let wanted = match (last, self.spec.masked) {
            (false, _) => 1,
            (true, false) => 0,
            (true, true) => 2,
        };
        let reward = match action {
            JointAction::Discrete(actions) => {
                let right = actions.iter().filter(|&&action| action == wanted);
                right.count() as f32
            }
            JointAction::Continuous(vectors) => vectors.iter().sum(),
        };
        self.step += 1;
        observations.fill(0.0);
        Transition {
            reward,
            terminated: false,
            truncated: last,
        }
    }

    fn mask(&self, mask: &mut [bool]) {
        mask.fill(true);
        // In the last step what is best without a mask is forbidden, and so are vectors' numbers.
        for own in mask.chunks_exact_mut(3) {
            own[0] = self.step < HORIZON - 1;
        }
    }

    fn save(&self) -> Vec<u8> {
        vec![self.step as u8]
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), postcard::Error> {
        let [step] = saved else {
            return Err(postcard::Error::DeserializeUnexpectedEnd);
        };
        self.step = usize::from(*step);
        Ok(())
    }
}

/// The task, of one kind of action or the other, with or without a mask.
pub(crate) fn task(actions: ActionSpace, masked: bool) -> Task {
    let agent = AgentSpec {
        observation: 1,
        actions,
    };
    let spec = TeamSpec {
        masked,
        ..TeamSpec::new(vec![agent; 2], HORIZON)
    };
    let make = move || Recall {
        spec: spec.clone(),
        step: 0,
    };
    Task::simulated(Simulation::new(
        "recall",
        "to remember the first step",
        make,
    ))
}

/// Two agents with one unit each whose gates are half open: its state is tanh(x)/2 + h/2, so 0.381,
/// 0.190 and 0.095 in an episode, and 0.109 at the end of one that did not begin with a reset. Its
/// outputs are `weights` × state + `biases`.
pub(crate) fn actors(weights: &[f32], biases: &[f32], head: HeadWeights) -> Actors {
    let unit = GruWeights {
        inputs: 1,
        hidden: 1,
        input: vec![0.0, 0.0, 1.0],
        recurrent: vec![0.0; 3],
        input_bias: vec![0.0; 3],
        recurrent_bias_n: vec![0.0],
    };
    let last = DenseWeights {
        inputs: 1,
        outputs: weights.len(),
        weights: weights.to_vec(),
        biases: biases.to_vec(),
    };
    let network = NetworkWeights {
        layers: vec![
            LayerWeights::Gru(unit),
            LayerWeights::Dense(last, Activation::Identity),
        ],
        head,
    };
    export::actors(&[network.clone(), network]).unwrap_or_else(|error| panic!("{error}"))
}
