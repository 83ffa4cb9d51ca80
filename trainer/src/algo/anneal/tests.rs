use candle_core::Var;

use super::*;
use crate::env::{AgentSpec, Factors, Task};
use crate::net::Normalisation;
use crate::net::joint::{HeadChoice, JointConfig, Sees, TrunkChoice};
use crate::returns::Units;
use crate::rollout::Runner;
use crate::rollout::testing::Signs;
use crate::target::Targets;

#[test]
fn the_surrogate_has_the_value_and_the_gradient_of_the_mixture() {
    // d log π_β / d log π_J = (1−β) π_J / π_β. With π_J = .2, ∏π = .5, β = .25:
    // .15 / (.15 + .125) = .545455, and the rest goes to the product.
    let device = Device::Cpu;
    let beta = Tensor::new(&[[0.25_f32]], &device).unwrap();
    let log_joint = Var::new(&[[0.2_f32.ln()]], &device).unwrap();
    let log_product = Var::new(&[[0.5_f32.ln()]], &device).unwrap();
    let surrogate = mixture(&beta, &log_joint, &log_product).unwrap().log_prob;
    let value = surrogate.to_vec2::<f32>().unwrap()[0][0];
    assert!((value - 0.275_f32.ln()).abs() < 1e-6);
    let gradients = surrogate.sum_all().unwrap().backward().unwrap();
    let of = |var: &Var| gradients.get(var).unwrap().to_vec2::<f32>().unwrap()[0][0];
    assert!((of(&log_joint) - 0.545_455).abs() < 1e-5);
    assert!((of(&log_product) - 0.454_545).abs() < 1e-5);
}

#[test]
fn at_either_end_one_policy_has_the_whole_gradient() {
    // However much likelier the other finds the action: e^−199 is 0 in f32.
    let device = Device::Cpu;
    let beta = Tensor::new(&[[0.0_f32], [1.0]], &device).unwrap();
    let log_joint = Var::new(&[[-200.0_f32], [-1.0]], &device).unwrap();
    let log_product = Var::new(&[[-1.0_f32], [-200.0]], &device).unwrap();
    let surrogate = mixture(&beta, &log_joint, &log_product).unwrap().log_prob;
    let values: Vec<f32> = surrogate.flatten_all().unwrap().to_vec1().unwrap();
    assert_eq!(values, [-200.0, -200.0]);
    let gradients = surrogate.sum_all().unwrap().backward().unwrap();
    let of = |var: &Var| gradients.get(var).unwrap().flatten_all().unwrap();
    assert_eq!(of(&log_joint).to_vec1::<f32>().unwrap(), [1.0, 0.0]);
    assert_eq!(of(&log_product).to_vec1::<f32>().unwrap(), [0.0, 1.0]);
}

#[test]
fn entropy_has_a_largest_value_where_the_same_can_always_be_chosen() {
    let spec = |actions: &[ActionSpace]| {
        let agent = |&actions: &ActionSpace| AgentSpec {
            observation: 1,
            actions,
        };
        TeamSpec::new(actions.iter().map(agent).collect(), 1)
    };
    let moves_and_words = ActionSpace::Product(Factors::new(&[5, 10]).unwrap());
    let found = largest_entropy(&spec(&[ActionSpace::Discrete(3), moves_and_words])).unwrap();
    assert!((found - 150_f64.ln()).abs() < 1e-12, "{found}");
    // Nothing to choose; no largest; another in every state.
    assert_eq!(largest_entropy(&spec(&[ActionSpace::Discrete(1)])), None);
    assert_eq!(largest_entropy(&spec(&[ActionSpace::Continuous(2)])), None);
    let masked = TeamSpec {
        masked: true,
        ..spec(&[ActionSpace::Discrete(3)])
    };
    assert_eq!(largest_entropy(&masked), None);
}

/// β = ¼. The joint policy finds the first action three times as likely as the product does, the second
/// half as likely: ρ = ¾·3 / (¾·3 + ¼) = .9 and ¾ / (¾ + ¼·2) = .6. With A = 1 and −1 it has earned
/// (.9 − .6) / 1.5 = .2 an action and the product (.1 − .4) / .5 = −.6.
#[test]
fn the_joint_policy_leads_by_what_its_actions_earned_more() {
    let device = Device::Cpu;
    let row = |values: [f32; 2]| Tensor::new(&[values], &device).unwrap();
    let beta = Tensor::new(&[[0.25_f32]], &device).unwrap();
    let [of_joint, of_product] = [[0.3_f32, 0.2], [0.1, 0.4]].map(|p| row(p.map(f32::ln)));
    let joint = mixture(&beta, &of_joint, &of_product)
        .unwrap()
        .responsibility;
    let found = joint.to_vec2::<f32>().unwrap().remove(0);
    assert!(
        (found[0] - 0.9).abs() < 1e-6 && (found[1] - 0.6).abs() < 1e-6,
        "{found:?}"
    );
    let product = (1.0 - &joint).unwrap();
    let advantages = row([1.0, -1.0]);
    let mean = |of: &Tensor| f64::from(of.mean_all().unwrap().to_scalar::<f32>().unwrap());
    let earned = |by: &Tensor| mean(&(by * &advantages).unwrap());
    let measured = [
        earned(&joint),
        mean(&joint),
        earned(&product),
        mean(&product),
    ];
    assert!((lead(measured) - 0.8).abs() < 1e-6, "{}", lead(measured));
    // Alone nobody leads.
    assert_eq!(lead([0.3, 1.0, 0.0, 0.0]), 0.0);
}

/// As the update reports it, of the batch before anything is learned from it.
#[test]
fn the_lead_that_is_measured_is_that_of_the_batch() {
    let task = Signs::mixed(4).with_state().ending(0.2).task();
    let network = network(5, true, JointConfig::default());
    let [alone, both] = beginnings();
    let unfollowed = AnnealConfig {
        schedule: AnnealSchedule {
            full_lead: 0.0,
            unled_ramp: 0.0,
            lead_errors: 0.0,
            ..both.schedule.clone()
        },
        ..both.clone()
    };
    for (config, follows) in [(&both, true), (&unfollowed, false), (&alone, false)] {
        let (mut learner, mut runner) = set_up(config, &task, &network, 1);
        let mut led = 0;
        for time in TIMES {
            let batch = runner.collect(7, |seen| learner.act(seen)).unwrap();
            let (mut twin, _) = set_up(config, &task, &network, 1);
            twin.restore(&learner.save().unwrap()).unwrap();
            let horizon = task.spec().horizon;
            let (targets, _) = twin.baseline.targets(&batch, &update(1), horizon).unwrap();
            let (marginals, start) = (&learner.duo.marginals, learner.duo.start());
            let packed = Packed::new(&batch, &targets, marginals, start, &Device::Cpu).unwrap();
            let (of_joint, of_product) = opinions(&learner, &packed);
            let rows = |tensor: &Tensor| tensor.to_vec2::<f32>().unwrap();
            let of_joint = of_joint.map(|of| rows(&of));
            let of_product = rows(&of_product);
            let betas: Vec<f64> = learner.state.coefficients.iter().map(|c| c.beta).collect();
            let metrics = learner.update(&batch, time).unwrap();
            for (r, beta) in betas.into_iter().enumerate() {
                let mut expected = 0.0;
                if let Some(of_joint) = of_joint.as_ref().filter(|_| follows && beta < 1.0) {
                    let mut sums = [0.0; 4];
                    for s in 0..of_product[r].len() {
                        let likelihood = |of: &[Vec<f32>]| f64::from(of[r][s]).exp();
                        let joint = (1.0 - beta) * likelihood(of_joint);
                        let by_joint = joint / (joint + beta * likelihood(&of_product));
                        let at = r * of_product[r].len() + s;
                        let weight = f64::from(targets.weights[at]);
                        let advantage = weight * f64::from(targets.advantages[at]);
                        let weighed =
                            [advantage, weight].map(|of| [by_joint * of, (1.0 - by_joint) * of]);
                        let [[a, b], [c, d]] = weighed;
                        for (sum, part) in sums.iter_mut().zip([a, c, b, d]) {
                            *sum += part;
                        }
                    }
                    let [of_joint, joint, of_product, product] = sums;
                    expected = of_joint / joint - of_product / product;
                    led += usize::from(expected.abs() > 1e-3);
                }
                let found = metrics[r].lead;
                assert!(
                    (found - expected).abs() < 1e-4,
                    "{time}: {found} {expected}"
                );
            }
        }
        assert_eq!(led > 0, follows);
    }
}

/// τ (1 − β) H(π_J) + τ H(∏ π_i) where both act from the start, else τ of both while the joint policy acts.
#[test]
fn the_joint_policys_entropy_counts_by_its_share_in_acting() {
    let task = Signs::mixed(4).task();
    let network = network(0, true, JointConfig::default());
    for (config, shares) in std::iter::zip(beginnings(), [[1.0, 1.0, 0.0], [1.0, 0.3, 0.0]]) {
        let (mut learner, _) = set_up(&config, &task, &network, 1);
        for (beta, share) in std::iter::zip([0.0, 0.7, 1.0], shares) {
            for coefficients in &mut learner.state.coefficients {
                (coefficients.beta, coefficients.tau) = (beta, 0.5);
            }
            let entropies = [3.0_f32, 2.0].map(|h| Tensor::new(&[[h], [h]], &Device::Cpu).unwrap());
            let bonus = learner.bonus(&entropies[0], &entropies[1]).unwrap();
            let found = bonus.to_vec2::<f32>().unwrap();
            let expected = (0.5 * (share * 3.0 + 2.0)) as f32;
            assert!(
                found.iter().all(|row| (row[0] - expected).abs() < 1e-6),
                "{beta}: {found:?}"
            );
        }
    }
}

#[test]
fn ablations_drop_what_their_names_say() {
    let all = Coefficients {
        beta: 0.5,
        lambda: 2.0,
        fit: 0.5,
        tau: 0.1,
    };
    let of = |variant: Variant| {
        let kept = variant.keep(all);
        (kept.beta, kept.lambda, kept.fit, kept.tau)
    };
    assert_eq!(of(Variant::Annealed), (0.5, 2.0, 0.5, 0.1));
    assert_eq!(of(Variant::Joint), (0.0, 0.0, 1.0, 0.1));
    assert_eq!(of(Variant::MixtureOnly), (0.5, 0.0, 0.0, 0.1));
    assert_eq!(of(Variant::KlOnly), (0.0, 2.0, 1.0, 0.1));
}

fn update(minibatches: usize) -> UpdateConfig {
    UpdateConfig {
        epochs: 2,
        minibatches,
        discount: 0.9,
        trace: 0.8,
        units: Units::Deviation,
        max_gradient_norm: 1.0,
        ..UpdateConfig::default()
    }
}

fn network(memory: usize, share: bool, joint: JointConfig) -> NetworkConfig {
    NetworkConfig {
        hidden: vec![9],
        memory,
        share,
        joint,
        ..NetworkConfig::default()
    }
}

/// log π_J, where it still acts, and log ∏ π_i of a part's actions, `[R, S]`, as a step would compute them.
fn opinions(learner: &Annealed, part: &Packed) -> (Option<Tensor>, Tensor) {
    let marginals = &learner.duo.marginals;
    let (rows, own, forbidden) = (&part.rows, &part.own, part.forbidden.as_ref());
    let of_marginals = marginals.features(own, rows, &part.memory[0]).unwrap();
    let output = marginals.output(&of_marginals, rows, forbidden).unwrap();
    let of_joint = learner.joint_matters().then(|| {
        let (joint, memory) = (&learner.duo.joint, &part.memory[1]);
        let features = joint.features(&part.joint, own, marginals, &of_marginals, rows, memory);
        let (features, _) = features.unwrap();
        let head = joint.head();
        head.log_prob(&features, forbidden, &part.actions).unwrap()
    });
    (of_joint, output.log_prob(&part.actions).unwrap())
}

/// Likelihood ratios of a batch before anything is learned from it, as a step would compute them:
/// the largest distance from 1 where somebody acted.
fn worst_ratio(learner: &Annealed, batch: &Batch, minibatches: usize) -> f32 {
    let rows = batch.rows.until(batch.rows.time - 1);
    let none = vec![0.0; rows.replicas * rows.samples()];
    let targets = Targets {
        advantages: none.clone(),
        values: none.clone(),
        // Here: who acted.
        weights: (0..rows.replicas)
            .flat_map(|r| &batch.valid[r * batch.rows.samples()..][..rows.samples()])
            .map(|&valid| f32::from(u8::from(valid)))
            .collect(),
        earned: Vec::new(),
        explained_variance: Vec::new(),
    };
    let (marginals, device) = (&learner.duo.marginals, &learner.device);
    let packed = Packed::new(batch, &targets, marginals, learner.duo.start(), device).unwrap();
    let mut worst = 0.0_f32;
    for (_, part) in packed.parts(minibatches).unwrap() {
        let (of_joint, mut log_prob) = opinions(learner, &part);
        if let Some(of_joint) = of_joint {
            let beta = learner.column(|c| c.beta).unwrap();
            log_prob = mixture(&beta, &of_joint, &log_prob).unwrap().log_prob;
        }
        let ratio = (log_prob - &part.log_prob).unwrap().exp().unwrap();
        let off = ((ratio - 1.0).unwrap().abs().unwrap() * part.weights.sign().unwrap()).unwrap();
        let off: Vec<f32> = off.flatten_all().unwrap().to_vec1().unwrap();
        worst = off.into_iter().fold(worst, f32::max);
    }
    worst
}

/// Times of updates that lead from the start through the ramp to its end.
const TIMES: [f64; 7] = [0.0, 0.1, 0.31, 0.5, 0.7, 0.85, 0.99];

fn cases() -> Vec<(&'static str, Task, NetworkConfig)> {
    let joint = JointConfig::default;
    let autoregressive = || JointConfig {
        head: HeadChoice::Autoregressive,
        order: Order::Shuffled,
        ..joint()
    };
    let own = JointConfig {
        sees: Sees::OwnHistory,
        ..autoregressive()
    };
    let default_of_long_tasks = JointConfig {
        sees: Sees::Auto,
        ..joint()
    };
    let on_marginals = JointConfig {
        trunk: TrunkChoice::Shared,
        ..autoregressive()
    };
    let pair = || Signs::new(&[(3, ActionSpace::Discrete(3)); 2], 4);
    vec![
        ("no memory", pair().task(), network(0, false, joint())),
        ("truncated", pair().task(), network(6, false, joint())),
        (
            "masked, shared, enumerated",
            pair().masked().with_state().ending(0.2).task(),
            network(6, true, joint()),
        ),
        (
            "mixed, masked, shared",
            Signs::mixed(5).masked().ending(0.2).task(),
            network(5, true, autoregressive()),
        ),
        (
            "mixed, apart",
            Signs::mixed(3).masked().task(),
            network(5, false, autoregressive()),
        ),
        (
            "own histories",
            Signs::mixed(3).masked().task(),
            network(5, true, own),
        ),
        (
            "alike, own histories",
            pair().masked().with_state().ending(0.2).task(),
            network(6, true, default_of_long_tasks.clone()),
        ),
        (
            "own histories, no layers",
            Signs::mixed(3).task(),
            NetworkConfig {
                hidden: Vec::new(),
                ..network(0, true, default_of_long_tasks.clone())
            },
        ),
        (
            "on the marginals' trunk",
            Signs::mixed(4).task(),
            network(5, true, on_marginals),
        ),
        (
            "vectors, shared",
            Signs::vectors(4).with_state().task(),
            network(6, true, joint()),
        ),
        (
            "vectors, apart",
            Signs::vectors(4).task(),
            network(0, false, default_of_long_tasks),
        ),
    ]
}

/// Settings under which the joint policy acts alone at first, and both do.
fn beginnings() -> [AnnealConfig; 2] {
    let mut both = AnnealConfig::default();
    both.schedule.beta_start = 0.5;
    both.schedule.full_lead = 0.1;
    both.schedule.unled_ramp = 0.4;
    both.schedule.lead_errors = 1.0;
    both.schedule.least_entropy = 1.0;
    both.schedule.temperature_per_entropy = 0.1;
    [AnnealConfig::default(), both]
}

/// A learner of two replicas and its environments: two sequences of a team in which every rollout
/// cuts episodes somewhere else.
fn set_up(
    config: &AnnealConfig,
    task: &Task,
    network: &NetworkConfig,
    minibatches: usize,
) -> (Annealed, Runner) {
    let spec = task.spec();
    let learner = Annealed::new(
        config,
        Variant::Annealed,
        &spec,
        network,
        &update(minibatches),
        &[5, 6],
        &Device::Cpu,
    );
    let streams = vec![Stream::new(1, "test", 0), Stream::new(2, "test", 0)];
    let normalisation = Normalisation::measured(&spec, 2);
    let runner = Runner::new(&[task.clone(), task.clone()], 3, streams, normalisation);
    (learner.unwrap(), runner)
}

#[test]
fn acting_and_learning_find_the_same_probabilities() {
    for (name, task, network) in cases() {
        for (minibatches, config) in std::iter::zip([1, 2, 2], beginnings().iter().cycle()) {
            let (mut learner, mut runner) = set_up(config, &task, &network, minibatches);
            let mut betas = Vec::new();
            for time in TIMES {
                let batch = runner.collect(7, |seen| learner.act(seen)).unwrap();
                let worst = worst_ratio(&learner, &batch, minibatches);
                assert!(worst < 1e-4, "{name}, at {time}: {worst}");
                let metrics = learner.update(&batch, time).unwrap();
                betas.push(metrics[0].beta);
                let finite = |m: &Metrics| m.total_correlation.is_finite();
                assert!(metrics.iter().all(finite), "{name}: {metrics:?}");
            }
            let start = config.schedule.beta_start;
            assert!(betas[0] == start && betas.iter().any(|&b| b > start && b < 1.0));
        }
    }
}

#[test]
fn what_was_saved_goes_on_bit_for_bit() {
    let beginnings = beginnings();
    let crossed = cases().into_iter().flat_map(|case| {
        let with = |config| (case.clone(), config);
        beginnings.iter().map(with).collect::<Vec<_>>()
    });
    for ((name, task, network), config) in crossed {
        let (mut learner, mut runner) = set_up(config, &task, &network, 2);
        for (index, &time) in TIMES.iter().enumerate() {
            // Another learner, and other environments, take over.
            let (mut other, mut others) = set_up(config, &task, &network, 2);
            other.restore(&learner.save().unwrap()).unwrap();
            others.restore(runner.save()).unwrap();
            let step = |learner: &mut Annealed, runner: &mut Runner| {
                let batch = runner.collect(5, |seen| learner.act(seen)).unwrap();
                let metrics = learner.update(&batch, time).unwrap();
                (metrics, learner.save().unwrap())
            };
            let one = step(&mut learner, &mut runner);
            assert!(one == step(&mut other, &mut others), "{name}, {index}");
        }
    }
}

/// τ is the floor and what entropy lacks, of those who act: of the joint policy, of both by β, of the product.
#[test]
fn tau_rises_by_what_the_acting_policies_lack() {
    let pair = Signs::new(&[(3, ActionSpace::Discrete(3)); 2], 4).task();
    let network = network(0, false, JointConfig::default());
    for beta_start in [0.0, 0.5] {
        let mut config = AnnealConfig::default();
        config.schedule = AnnealSchedule {
            beta_start,
            temperature_start: 0.0,
            temperature_floor: 0.01,
            temperature_per_gap: 0.0,
            temperature_per_entropy: 1.0,
            temperature_limit: 1.0,
            temperature_until: 1.0,
            least_entropy: 1.0,
            ..config.schedule
        };
        let schedule = &config.schedule;
        let (mut learner, mut runner) = set_up(&config, &pair, &network, 1);
        let mut average = 1.0;
        for time in TIMES {
            let batch = runner.collect(5, |seen| learner.act(seen)).unwrap();
            let measured = learner.update(&batch, time).unwrap()[0];
            let acting = match measured.beta {
                0.0 => measured.joint_entropy,
                1.0 => measured.product_entropy,
                beta => beta * measured.product_entropy + (1.0 - beta) * measured.joint_entropy,
            };
            average += (1.0 - schedule.gap_decay) * (acting / 9_f64.ln() - average);
            let left = ((1.0 - time) / (1.0 - schedule.warmup)).min(1.0);
            let expected = (0.01 + 1.0 - average) * left;
            let tau = learner.state.coefficients[0].tau;
            assert!((tau - expected).abs() < 1e-9, "{time}: {tau} {expected}");
            assert!(average < 1.0);
        }
        assert_eq!(learner.state.coefficients[0].beta, 1.0);
    }
}

/// Replica 0 of two and the same alone, though its neighbour's ramp starts at another time.
#[test]
fn a_replica_learns_alone_as_beside_another() {
    let task = Signs::mixed(3).ending(0.2).task();
    for (memory, config) in std::iter::zip([0, 5, 5, 0], beginnings().iter().cycle()) {
        let joint = JointConfig {
            head: HeadChoice::Autoregressive,
            ..JointConfig::default()
        };
        let network = network(memory, true, joint);
        let learn = |seeds: &[u64]| {
            let (mut config, spec) = (config.clone(), task.spec());
            // Only a window that falls far behind the best before it is a plateau: by chance.
            config.schedule.plateau_gain = -0.1;
            let update = update(1);
            let (annealed, device) = (Variant::Annealed, &Device::Cpu);
            let learner = Annealed::new(&config, annealed, &spec, &network, &update, seeds, device);
            let mut learner = learner.unwrap();
            let streams = seeds.iter().map(|&s| Stream::new(s, "test", 0)).collect();
            let tasks = vec![task.clone(); seeds.len()];
            let mut runner = Runner::new(&tasks, 3, streams, Normalisation::default());
            let all: Vec<Vec<Metrics>> = (0..100)
                .map(|update| {
                    let batch = runner.collect(4, |seen| learner.act(seen)).unwrap();
                    learner.update(&batch, f64::from(update) / 100.0).unwrap()
                })
                .collect();
            let first: Vec<Metrics> = all.iter().map(|of| of[0]).collect();
            let last_beta: Vec<f64> = all.iter().map(|of| of[seeds.len() - 1].beta).collect();
            (
                first,
                learner.duo.marginals.weights(0, 1).unwrap(),
                last_beta,
            )
        };
        let (metrics, weights, betas) = learn(&[1]);
        let mut apart = 0;
        for neighbour in 2..10 {
            let beside = learn(&[1, neighbour]);
            assert!(metrics == beside.0, "memory {memory}, beside {neighbour}");
            assert!(weights == beside.1, "memory {memory}, beside {neighbour}");
            apart += usize::from(betas != beside.2);
        }
        assert!(apart > 0, "all ramps start at once");
    }
}
