use super::*;
use crate::algo::UpdateConfig;
use crate::config::{Config, Method};
use crate::env::{ActionSpace, AgentSpec, Task, TaskKind};
use crate::export::actors;
use crate::net::{HeadWeights, NetworkConfig};
use crate::rollout::Batch;
use crate::rollout::testing::Signs;
use crate::team::Choice;
use crate::train::train;

fn normal(name: &str, count: usize) -> Vec<f32> {
    let mut stream = Stream::new(11, name, 0);
    (0..count).map(|_| stream.normal() as f32).collect()
}

/// Twelve steps of four episodes of a team with vectors of 1 and 2 numbers.
fn sample(marginals: &Marginals) -> Sample {
    let rows = Rows {
        replicas: 1,
        time: 4,
        parallel: 4,
        first: [vec![true; 4], vec![false; 12]].concat(),
    };
    let device = &Device::Cpu;
    let joint = normal("joint", 16 * 5);
    let table = |values: Vec<f32>| Tensor::from_vec(values, (1, 12), device).unwrap();
    Sample {
        own: marginals.pack(&joint, &rows, device).unwrap(),
        central: Tensor::from_vec(joint, (1, 16, 5), device).unwrap(),
        forbidden: marginals.padding().clone(),
        actions: Tensor::from_vec(normal("actions", 36), (1, 12, 3), device).unwrap(),
        rewards: table(normal("rewards", 12)),
        discounts: table(vec![0.9; 12]),
        weights: table(vec![1.0 / 12.0; 12]),
        rows,
    }
}

/// The actor's gradient through the critic, memory and squashing included, against central
/// differences of the loss in every parameter; nothing else has a say in them.
#[test]
fn the_actors_gradient_is_that_of_its_loss() {
    let agent = |observation, numbers| AgentSpec {
        observation,
        actions: ActionSpace::Continuous(numbers),
    };
    let spec = TeamSpec::new(vec![agent(2, 1), agent(3, 2)], 3);
    let network = NetworkConfig {
        hidden: vec![4],
        memory: 3,
        ..NetworkConfig::default()
    };
    let making = Making {
        spec: &spec,
        network: &network,
        update: &UpdateConfig::default(),
        seeds: &[5],
        device: &Device::Cpu,
    };
    let config = MaddpgConfig {
        regularisation: 0.1,
        ..MaddpgConfig::default()
    };
    let rule = Maddpg::new(&config, &making).unwrap();
    // A critic with something to say.
    for variable in rule.critic.variables() {
        let count = variable.elem_count();
        let values = Tensor::from_vec(normal("critic", count), variable.shape(), &Device::Cpu);
        variable.set(&values.unwrap()).unwrap();
    }
    let marginals = making.marginals("marginals").unwrap();
    let sample = sample(&marginals);
    let loss = || rule.loss(1, &marginals, &sample, &mut []).unwrap().total;
    let gradients = loss().backward().unwrap();
    let mut compared = 0;
    for variable in marginals.variables() {
        let values: Vec<f32> = variable.flatten_all().unwrap().to_vec1().unwrap();
        let Some(gradient) = gradients.get(&variable) else {
            // The noise's deviation explores, and is not learned.
            assert_eq!(variable.dims(), [2, 1, 2]);
            continue;
        };
        let slopes: Vec<f32> = gradient.flatten_all().unwrap().to_vec1().unwrap();
        for (index, &slope) in slopes.iter().enumerate() {
            let at = |by: f32| {
                let mut moved = values.clone();
                moved[index] += by;
                let moved = Tensor::from_vec(moved, variable.shape(), &Device::Cpu).unwrap();
                variable.set(&moved).unwrap();
                loss().to_scalar::<f32>().unwrap()
            };
            // An error of order 10⁻⁴ from third derivatives, of 10⁻⁴ from f32 at values near 1;
            // relu's kinks are crossed by few of the rows.
            let difference = (at(2e-3) - at(-2e-3)) / 4e-3;
            assert!(
                (slope - difference).abs() < 4e-3 + 0.03 * slope.abs(),
                "{slope} {difference}"
            );
            compared += 1;
        }
        let restored = Tensor::from_vec(values, variable.shape(), &Device::Cpu).unwrap();
        variable.set(&restored).unwrap();
    }
    assert!(compared > 150, "{compared}");
    // Of the critic's loss the policies have no gradient.
    let of_critic = rule.loss(0, &marginals, &sample, &mut []).unwrap().total;
    let of_critic = of_critic.backward().unwrap();
    assert!(
        marginals
            .variables()
            .iter()
            .all(|v| of_critic.get(v).is_none())
    );
}

/// Two actions with logits 1 and 0 and no noise at temperature ½: the first one forward; backward
/// softmax(2, 0) = (.880797, .119203), whose slope for the first's share is 2 · .880797 · .119203.
#[test]
fn one_action_goes_forward_and_the_softmaxs_slope_backward() {
    let logits = Var::new(&[[[1.0_f32, 0.0, -3.0, 4.0]]], &Device::Cpu).unwrap();
    let action = straight_through(&logits, 2, 0.5).unwrap();
    assert_eq!(
        action.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
        [1.0, 0.0, 0.0, 1.0]
    );
    let first = action.narrow(2, 0, 1).unwrap().sum_all().unwrap();
    let slopes = first.backward().unwrap();
    let slopes: Vec<f32> = slopes
        .get(&logits)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap();
    for (slope, expected) in slopes.iter().zip([0.209_987, -0.209_987, 0.0, 0.0]) {
        assert!((slope - expected).abs() < 1e-5, "{slopes:?}");
    }
}

/// The largest of logits under Gumbel noise is a draw from their softmax: logits ln 3 and 0, three
/// times in four. 20,000 draws: deviation √(20000·3/16) = 61; five of them.
#[test]
fn gumbel_noise_draws_from_the_softmax() {
    let mut dice = [Stream::new(2, "dice", 0)];
    let noise = gumbel((1, 20_000, 2), &mut dice, &Device::Cpu).unwrap();
    let noise: Vec<f32> = noise.flatten_all().unwrap().to_vec1().unwrap();
    let wins = noise.chunks_exact(2).filter(|n| n[0] + 3.0_f32.ln() > n[1]);
    assert!(wins.count().abs_diff(15_000) < 306);
}

/// One-shot episodes of assurance in which each agent stays safe with chance `safe`.
fn episodes(safe: f64, stream: &mut Stream) -> Batch {
    let count = 512;
    let act = |_| u32::from(stream.uniform() >= safe);
    let actions: Vec<u32> = (0..2 * count).map(act).collect();
    let paid = |a: &[u32]| [[0.0, -5.0], [-5.0, 10.0]][a[0] as usize][a[1] as usize];
    let rewards: Vec<f32> = actions.chunks_exact(2).map(paid).collect();
    Batch {
        rows: Rows {
            replicas: 1,
            time: 2,
            parallel: count,
            first: vec![true; 2 * count],
        },
        joint: vec![1.0; 4 * count],
        common: Vec::new(),
        state: Vec::new(),
        forbidden: Vec::new(),
        actions: Choices::Discrete(actions),
        drawn: None,
        log_prob: vec![0.0; count],
        returns: vec![rewards.clone()],
        rewards,
        terminated: vec![true; count],
        valid: vec![true; 2 * count],
    }
}

/// The probability of daring of both agents after learning from what others did.
fn daring(safe: f64) -> Vec<f32> {
    let spec = Task::find("assurance").unwrap().spec();
    let network = NetworkConfig {
        output_spread: 0.0,
        ..NetworkConfig::default()
    };
    let making = Making {
        spec: &spec,
        network: &network,
        update: &UpdateConfig::default(),
        seeds: &[1],
        device: &Device::Cpu,
    };
    let mut config = MaddpgConfig::default();
    config.off_policy.learning_rate = 0.005;
    let mut learner = learner(&config, &making).unwrap();
    let mut stream = Stream::new(8, "behaviour", 0);
    for _ in 0..3 {
        learner.update(&episodes(safe, &mut stream), 0.0).unwrap();
    }
    let rows = Rows::unrelated(1, 1);
    let marginals = learner.marginals();
    let own = marginals.pack(&[1.0, 1.0], &rows, &Device::Cpu).unwrap();
    let MarginalOutput::Categorical { log_probs, .. } = marginals.forward(&own, &rows).unwrap()
    else {
        panic!("assurance is discrete");
    };
    let probs: Vec<f32> = log_probs
        .exp()
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap();
    vec![probs[1], probs[3]]
}

/// Where the others in the replay stayed safe with chance q, daring is worth −5 q + 10 (1 − q) and
/// safety −5 (1 − q): 15 − 20 q more or less. From even policies MADDPG dares where the replay is
/// even (+5), and stays where q = .9 (−3), though its critic may know that daring together pays 10.
#[test]
fn maddpg_stays_where_its_replay_is_uncooperative() {
    let cooperative = daring(0.5);
    assert!(cooperative.iter().all(|&p| p > 0.8), "{cooperative:?}");
    let uncooperative = daring(0.9);
    assert!(uncooperative.iter().all(|&p| p < 0.2), "{uncooperative:?}");
}

/// Three agents' vectors come near half the sign each is shown in the first of two steps, and stay
/// at 0 in the second, where networks without memory no longer know it: −Σ (a − s/2)² of five
/// numbers is −1.25 there, and in both steps for a team that always stays.
#[test]
fn vectors_are_learned() {
    let mut maddpg = MaddpgConfig::default();
    maddpg.off_policy.learning_rate = 0.003;
    let config = Config {
        method: Method::Maddpg,
        steps: 12_000,
        maddpg: Some(maddpg),
        ..Config::for_kind(TaskKind::OneShot)
    };
    let task = Signs::vectors(2).ending(0.0).task();
    let tasks = [task.clone()];
    let outcomes = train(&config, &tasks, &[0], &Device::Cpu, 1, &|_| ()).unwrap();
    let best = outcomes[0].best();
    assert!(best.values.unwrap().greedy > -1.4, "{:?}", best.values);
    // What leaves has no dice: drawing and taking the middle are one, bit for bit.
    let heads = best.marginals.iter().map(|network| &network.head);
    assert!(
        heads
            .into_iter()
            .all(|head| *head == HeadWeights::Deterministic)
    );
    let team = actors(&best.marginals).unwrap();
    let earned = |choice| team.play(&task, 500, 9, choice).unwrap().mean;
    assert_eq!(earned(Choice::Greedy), earned(Choice::Sampled));
    assert!(earned(Choice::Greedy) > -1.4);
}
