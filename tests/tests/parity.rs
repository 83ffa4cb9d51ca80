//! candle ≈ runtime: what the trainer believes of a policy is what its image does.

use candle_core::Device;
use consort_runtime::head;
use consort_tests::task;
use consort_trainer::config::Config;
use consort_trainer::env::{ActionSpace, AgentSpec, Factors, TeamSpec};
use consort_trainer::export;
use consort_trainer::net::{
    HeadWeights, MarginalOutput, Marginals, NetworkConfig, NetworkWeights, Normalisation, Rows,
};
use consort_trainer::rng::Stream;
use consort_trainer::team::{Actor, Actors, Decision};

/// Largest difference of a probability, or of a number of a vector. Both sides sum f32 products of
/// at most 64 terms in another order, which moves a logit of size 10 by some 1e-5.
const TOLERANCE: f32 = 2e-5;

/// Of a batch: steps, sequences, teams.
const TIME: usize = 20;
const PARALLEL: usize = 3;
const REPLICAS: usize = 2;

fn agent(observation: usize, actions: ActionSpace) -> AgentSpec {
    AgentSpec {
        observation,
        actions,
    }
}

/// A team whose agents all differ, one of two kinds in turns, one of vectors, and one of products beside a
/// plain choice.
fn teams() -> [TeamSpec; 4] {
    let discrete = |o, a| agent(o, ActionSpace::Discrete(a));
    let product =
        |o, factors: &[usize]| agent(o, ActionSpace::Product(Factors::new(factors).unwrap()));
    let vectors = |o, d| agent(o, ActionSpace::Continuous(d));
    [
        vec![discrete(5, 3), discrete(1, 9), discrete(13, 2)],
        vec![
            discrete(5, 3),
            discrete(2, 4),
            discrete(5, 3),
            discrete(2, 4),
        ],
        vec![vectors(4, 2), vectors(3, 1), vectors(4, 2)],
        vec![
            product(5, &[3, 4]),
            discrete(2, 14),
            product(5, &[3, 4]),
            product(3, &[2, 1, 5]),
        ],
    ]
    .map(|agents| TeamSpec::new(agents, 10))
}

/// Networks of every make, on observations that are nothing like one-hot: with and without hidden
/// layers, memory, sharing and normalisation; sequences with episodes that begin anywhere.
#[test]
fn images_act_as_the_trainer_says() {
    for (case, spec) in teams().into_iter().enumerate() {
        for (hidden, memory) in [
            (vec![], 0),
            (vec![7], 0),
            (vec![64, 33], 0),
            (vec![], 6),
            (vec![12], 17),
        ] {
            for share in [false, true] {
                for normalised in [false, true] {
                    let network = NetworkConfig {
                        hidden: hidden.clone(),
                        memory,
                        share,
                        output_spread: 2.0,
                        ..NetworkConfig::default()
                    };
                    let worst = compare(case as u64, &spec, &network, normalised);
                    let what = format!("team {case}, normalised {normalised}, {network:?}");
                    assert!(worst < TOLERANCE, "{what}: {worst}");
                }
            }
        }
    }
}

/// The largest difference between what the networks say of whole sequences and what the images do
/// step by step.
fn compare(seed: u64, spec: &TeamSpec, network: &NetworkConfig, normalised: bool) -> f32 {
    let mut streams: Vec<Stream> = (0..REPLICAS as u64)
        .map(|replica| Stream::new(seed, "weights", replica))
        .collect();
    let marginals = Marginals::new(spec, network, &mut streams, &Device::Cpu).unwrap();
    // Nothing stays as it starts: biases, deviations, what tells agents apart.
    for variable in marginals.variables() {
        let moved: Vec<f32> = (0..variable.elem_count())
            .map(|_| 0.1 * streams[0].normal() as f32)
            .collect();
        let moved = candle_core::Tensor::from_vec(moved, variable.shape(), &Device::Cpu).unwrap();
        variable
            .set(&(variable.as_tensor() + moved).unwrap())
            .unwrap();
    }
    let (width, samples) = (spec.joint_observation(), TIME * PARALLEL);
    let mut stream = Stream::new(seed, "observations", 0);
    let observations: Vec<f32> = (0..REPLICAS * samples * width)
        .map(|i| (2.0 * stream.normal() + (i % width) as f64) as f32)
        .collect();
    let begins = |row: usize| row % samples < PARALLEL;
    let first = (0..REPLICAS * samples)
        .map(|row| begins(row) || stream.uniform() < 0.2)
        .collect();
    let rows = Rows {
        replicas: REPLICAS,
        time: TIME,
        parallel: PARALLEL,
        first,
    };
    let mut normalisation = Normalisation::default();
    if normalised {
        normalisation = Normalisation::measured(spec, REPLICAS);
        normalisation.include(&observations);
    }
    let mut presented = observations.clone();
    normalisation.apply(&mut presented);
    let own = marginals.pack(&presented, &rows, &Device::Cpu).unwrap();
    let features = marginals.features(&own, &rows, &[]).unwrap();
    let output = marginals.output(&features, &rows, None).unwrap();
    let (expected, spreads) = match &output {
        MarginalOutput::Categorical { log_probs, .. } => (log_probs.exp().unwrap(), None),
        MarginalOutput::Gaussian { mean, log_std } => (mean.clone(), Some(log_std)),
    };
    let expected: Vec<Vec<Vec<f32>>> = expected.to_vec3().unwrap();
    let spreads: Option<Vec<Vec<Vec<f32>>>> = spreads.map(|spreads| spreads.to_vec3().unwrap());

    let mut worst = 0.0_f32;
    for replica in 0..REPLICAS {
        let networks = networks(&marginals, spec, replica, &normalisation);
        if let Some(spreads) = &spreads {
            let of = |network: &NetworkWeights| match &network.head {
                HeadWeights::Gaussian { log_std } => log_std.clone(),
                HeadWeights::Categorical
                | HeadWeights::MultiDiscrete { .. }
                | HeadWeights::Deterministic => Vec::new(),
            };
            let exported: Vec<f32> = networks.iter().flat_map(of).collect();
            assert_eq!(exported, spreads[replica][0]);
        }
        let actors = export::actors(&networks).unwrap();
        for sequence in 0..PARALLEL {
            let mut team = team(&actors, spec);
            for step in 0..TIME {
                let row = step * PARALLEL + sequence;
                let expected = &expected[replica][row];
                let index = replica * samples + row;
                if rows.first[index] {
                    team.iter_mut().for_each(Actor::reset);
                }
                let seen = &observations[index * width..][..width];
                let difference = step_difference(&mut team, spec, seen, expected);
                worst = worst.max(difference);
            }
        }
    }
    worst
}

fn team<'a>(actors: &'a Actors, spec: &TeamSpec) -> Vec<Actor<'a>> {
    (0..spec.agents.len())
        .map(|agent| actors.actor(agent))
        .collect()
}

/// Every agent's network, normalisation folded in.
fn networks(
    marginals: &Marginals,
    spec: &TeamSpec,
    replica: usize,
    normalisation: &Normalisation,
) -> Vec<NetworkWeights> {
    let mut start = 0;
    let mut networks = Vec::new();
    for (agent, own) in spec.agents.iter().enumerate() {
        let mut network = marginals.weights(replica, agent).unwrap();
        if let Some(normaliser) = normalisation.of(replica) {
            network.fold_in(normaliser, start);
        }
        start += own.observation;
        networks.push(network);
    }
    networks
}

/// The team's next step against what the trainer expects: probabilities, `[N·A]`, or means before
/// squashing, `[Σ dimensions]`.
fn step_difference(
    team: &mut [Actor<'_>],
    spec: &TeamSpec,
    mut seen: &[f32],
    expected: &[f32],
) -> f32 {
    let (mut worst, mut dimension) = (0.0_f32, 0);
    for (index, (actor, own)) in team.iter_mut().zip(&spec.agents).enumerate() {
        let (observation, others) = seen.split_at(own.observation);
        seen = others;
        let (found, expected): (Vec<f32>, Vec<f32>) = match actor.decide(observation, None).unwrap()
        {
            Decision::Discrete { logits, .. } => {
                let mut probabilities = vec![0.0; logits.len()];
                head::probabilities(&logits, &mut probabilities);
                let start = index * spec.widest_actions();
                (probabilities, expected[start..][..logits.len()].to_vec())
            }
            Decision::Groups { choices, logits } => {
                let ActionSpace::Product(factors) = own.actions else {
                    panic!("an agent of products")
                };
                let sizes = factors.sizes().iter().map(|&size| size as u32);
                let mut probabilities = vec![1.0; own.actions.size()];
                let groups = sizes.collect::<Vec<_>>();
                for (place, logits) in head::parts(&groups, &logits).enumerate() {
                    let mut of_group = vec![0.0; logits.len()];
                    head::probabilities(logits, &mut of_group);
                    assert_eq!(head::greedy(logits), choices[place] as usize);
                    for (action, probability) in probabilities.iter_mut().enumerate() {
                        *probability *= of_group[factors.choices(action).nth(place).unwrap()];
                    }
                }
                let start = index * spec.widest_actions();
                let expected = expected[start..][..probabilities.len()].to_vec();
                // The action that is made of the likeliest choices is the likeliest.
                let chosen = expected[factors.action(&choices) as usize];
                let most = expected.iter().copied().fold(0.0, f32::max);
                assert!(most - chosen < TOLERANCE);
                (probabilities, expected)
            }
            Decision::Continuous(action) => {
                let means = &expected[dimension..][..action.len()];
                dimension += action.len();
                (action, means.iter().map(|mean| mean.tanh()).collect())
            }
        };
        assert_eq!(found.len(), own.actions.size());
        for (a, b) in found.iter().zip(&expected) {
            worst = worst.max((a - b).abs());
        }
    }
    worst
}

/// Training with normalisation on still ends at the optimum through the exported images.
#[test]
fn a_team_trained_on_normalised_observations_acts_on_raw_ones() {
    let config = Config {
        normalise_observations: true,
        steps: 80_000,
        ..Config::default()
    };
    let task = task("climbing-private");
    let outcome = &consort_tests::run(&config, &task, &[0])[0];
    let actors = export::actors(&outcome.best().marginals).unwrap();
    let game = task.game().unwrap();
    let exported = actors
        .exact(game, consort_trainer::team::Choice::Greedy)
        .unwrap();
    let trained = outcome.best().values.unwrap().greedy;
    assert_eq!(exported, trained);
    assert!((exported - 11.0).abs() < 1e-9, "{exported}");
}
