//! candle ≈ runtime: what the trainer believes of a policy is what its image does.

use candle_core::Device;
use consort_runtime::head;
use consort_tests::task;
use consort_trainer::config::Config;
use consort_trainer::env::{AgentSpec, TeamSpec};
use consort_trainer::export;
use consort_trainer::net::{Marginals, NetworkConfig, NetworkWeights, Normalisation};
use consort_trainer::rng::Stream;
use consort_trainer::rollout::pack;

/// Largest difference of a probability. Both sides sum f32 products of at most 64 terms in
/// another order, which moves a logit of size 10 by some 1e-5.
const TOLERANCE: f32 = 2e-5;

/// A team whose agents differ in their spaces, with and without hidden layers, on observations
/// that are nothing like one-hot, normalised and not.
#[test]
fn images_act_as_the_trainer_says() {
    let agent = AgentSpec::discrete;
    let spec = TeamSpec::new(vec![agent(5, 3), agent(1, 9), agent(13, 2)], 1);
    for (case, hidden) in [vec![], vec![7], vec![64, 33]].into_iter().enumerate() {
        for normalised in [false, true] {
            let network = NetworkConfig {
                hidden: hidden.clone(),
                output_spread: 2.0,
            };
            let mut weights = [Stream::new(case as u64, "weights", 0)];
            let marginals = Marginals::new(&spec, &network, &mut weights, &Device::Cpu).unwrap();
            let width = spec.joint_observation();
            let mut stream = Stream::new(case as u64, "observations", 0);
            let rows: Vec<f32> = (0..50 * width)
                .map(|i| (3.0 * stream.normal() + (i % width) as f64) as f32)
                .collect();

            let mut normalisation = Normalisation::default();
            if normalised {
                normalisation = Normalisation::measured(&spec, 1);
                normalisation.include(&rows);
            }
            let mut presented = rows.clone();
            normalisation.apply(&mut presented);
            let seen = pack(&presented, 1, &spec, &Device::Cpu).unwrap();
            let output = marginals.forward(&seen.own).unwrap();
            let expected: Vec<Vec<Vec<f32>>> = output.log_probs.exp().unwrap().to_vec3().unwrap();

            let mut start = 0;
            let mut networks = Vec::new();
            for (index, own) in spec.agents.iter().enumerate() {
                let mut layers = marginals.weights(0, index).unwrap();
                if let Some(normaliser) = normalisation.of(0) {
                    normaliser.fold_into(&mut layers[0], start);
                }
                start += own.observation;
                networks.push(NetworkWeights::mlp(layers));
            }
            let actors = export::actors(&networks).unwrap();
            let mut worst = 0.0_f32;
            for (row, expected) in rows.chunks_exact(width).zip(&expected[0]) {
                let mut start = 0;
                for (index, own) in spec.agents.iter().enumerate() {
                    let observation = &row[start..start + own.observation];
                    start += own.observation;
                    let (logits, _) = actors.logits(index, observation).unwrap();
                    let mut probabilities = vec![0.0; logits.len()];
                    head::probabilities(&logits, &mut probabilities);
                    let trained = &expected[index * spec.widest_actions()..];
                    for (a, b) in probabilities.iter().zip(trained) {
                        worst = worst.max((a - b).abs());
                    }
                }
            }
            assert!(
                worst < TOLERANCE,
                "hidden {hidden:?}, normalised {normalised}: {worst}"
            );
        }
    }
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
