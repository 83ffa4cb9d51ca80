use std::collections::HashMap;

use super::*;
use crate::env::AgentSpec;
use crate::net::joint::Sees;

const ACTIONS: [usize; 3] = [2, 4, 3];
const WIDTH: usize = 4;
const FEATURES: usize = 5;

/// Three agents with 2, 4 and 3 actions, asked 2, 0, 1, whose answers depend strongly on each other;
/// `replicas` heads.
fn head(replicas: u64, sees: Sees) -> Autoregressive {
    let spec = TeamSpec::new(ACTIONS.map(|a| AgentSpec::discrete(1, a)).to_vec(), 1);
    let mut network = NetworkConfig {
        hidden: vec![6],
        ..NetworkConfig::default()
    };
    network.joint.sees = sees;
    let mut streams: Vec<Stream> = (0..replicas).map(|r| Stream::new(r, "test", 0)).collect();
    let mut head =
        Autoregressive::new(&spec, FEATURES, &network, &mut streams, &Device::Cpu).unwrap();
    let weight = &head.output.variables()[0];
    weight.set(&(weight.as_tensor() * 12.0).unwrap()).unwrap();
    let spread = (head.embedding.as_tensor() / EMBEDDING_SPREAD).unwrap();
    head.embedding.set(&spread).unwrap();
    let weight = &head.marginal.variables()[0];
    weight.set(&(weight.as_tensor() * 20.0).unwrap()).unwrap();
    head.set_order(&[2, 0, 1]);
    head
}

/// The same features in each of `samples` rows of every replica.
fn features(replicas: usize, samples: usize, sees: Sees) -> Features {
    let mut stream = Stream::new(7, "features", 0);
    let wide = match sees {
        Sees::JointHistory => FEATURES,
        Sees::Auto | Sees::OwnHistory => FEATURES * ACTIONS.len(),
    };
    let mut rows = Vec::new();
    for _ in 0..replicas {
        let row: Vec<f32> = (0..wide).map(|_| stream.normal() as f32).collect();
        rows.extend(row.repeat(samples));
    }
    let table = Tensor::from_vec(rows, (replicas, samples, wide), &Device::Cpu).unwrap();
    match sees {
        Sees::JointHistory => Features::Joint(table),
        Sees::Auto | Sees::OwnHistory => {
            let shape = (replicas, samples, ACTIONS.len(), FEATURES);
            Features::Own(table.reshape(shape).unwrap())
        }
    }
}

/// Every joint action, `[24][3]`.
fn all() -> Vec<[u32; 3]> {
    let mut all = Vec::new();
    for a in 0..ACTIONS[0] as u32 {
        for b in 0..ACTIONS[1] as u32 {
            all.extend((0..ACTIONS[2] as u32).map(|c| [a, b, c]));
        }
    }
    all
}

fn host(tensor: &Tensor) -> Vec<f64> {
    let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
    values.into_iter().map(f64::from).collect()
}

/// log π_J of every joint action, replica after replica.
fn table(head: &Autoregressive, replicas: usize, sees: Sees, mask: Option<&Tensor>) -> Vec<f64> {
    let all = all();
    let actions: Vec<u32> = all.concat().repeat(replicas);
    let actions = Tensor::from_vec(actions, (replicas, all.len(), 3), &Device::Cpu).unwrap();
    let features = features(replicas, all.len(), sees);
    host(&head.log_prob(&features, mask, &actions).unwrap())
}

/// Forbids agent 1's action 2 and agent 2's action 0, beside the padding.
fn mask(rows: usize) -> Tensor {
    let mut row = [FORBIDDEN; 3 * WIDTH];
    for (agent, &actions) in ACTIONS.iter().enumerate() {
        row[agent * WIDTH..][..actions].fill(0.0);
    }
    row[WIDTH + 2] = FORBIDDEN;
    row[2 * WIDTH] = FORBIDDEN;
    Tensor::from_vec(row.repeat(rows), (1, rows, 3 * WIDTH), &Device::Cpu).unwrap()
}

#[test]
fn conditionals_multiply_to_a_distribution_that_dice_follow() {
    for sees in [Sees::JointHistory, Sees::OwnHistory] {
        for masked in [false, true] {
            let replicas = if masked { 1 } else { 2 };
            let head = head(replicas as u64, sees);
            let forbidden = masked.then(|| mask(24));
            let logs = table(&head, replicas, sees, forbidden.as_ref());
            let draws = 20_000;
            let mut streams: Vec<Stream> = (0..replicas as u64)
                .map(|r| Stream::new(r, "dice", 0))
                .collect();
            let forbidden = masked.then(|| mask(draws));
            let features = features(replicas, draws, sees);
            let drawn = head.choose(&features, forbidden.as_ref(), &mut streams, false);
            let Choices::Discrete(drawn) = drawn.unwrap() else {
                panic!("discrete actions")
            };
            for replica in 0..replicas {
                let probs: Vec<f64> = logs[replica * 24..][..24].iter().map(|l| l.exp()).collect();
                assert!((probs.iter().sum::<f64>() - 1.0).abs() < 1e-5);
                let mut counts = HashMap::new();
                for action in drawn[replica * draws * 3..][..draws * 3].chunks_exact(3) {
                    *counts.entry([action[0], action[1], action[2]]).or_insert(0) += 1;
                }
                assert_eq!(counts.values().sum::<i32>(), draws as i32);
                for (action, p) in all().iter().zip(probs) {
                    let count = f64::from(counts.remove(action).unwrap_or(0));
                    // Five standard deviations of a binomial count.
                    let allowed = 5.0 * (draws as f64 * p * (1.0 - p)).sqrt();
                    let expected = draws as f64 * p;
                    assert!((count - expected).abs() <= allowed + 1e-3, "{action:?}");
                    let barred = action[1] == 2 || action[2] == 0;
                    assert_eq!(masked && barred, p == 0.0, "{action:?}: {p}");
                }
                assert!(counts.is_empty(), "padding was chosen: {counts:?}");
            }
        }
    }
}

/// Three agents alike, asked 1, 2, 0, share all weights but what their actions say to each other: dice
/// follow the distribution, and who is asked first says what another would in its place.
#[test]
fn agents_alike_speak_with_one_voice() {
    const ALIKE: usize = 3;
    let spec = TeamSpec::new(vec![AgentSpec::discrete(1, ALIKE); 3], 1);
    let mut network = NetworkConfig {
        hidden: vec![6],
        share: true,
        ..NetworkConfig::default()
    };
    network.joint.head = crate::net::joint::HeadChoice::Autoregressive;
    let mut streams = [Stream::new(0, "test", 0)];
    let mut head =
        Autoregressive::new(&spec, FEATURES, &network, &mut streams, &Device::Cpu).unwrap();
    for variable in head.variables() {
        variable
            .set(&(variable.as_tensor() * 10.0).unwrap())
            .unwrap();
    }
    head.set_order(&[1, 2, 0]);
    let mut stream = Stream::new(7, "features", 0);
    let row: Vec<f32> = (0..3 * FEATURES).map(|_| stream.normal() as f32).collect();
    let features = |row: &[f32], samples: usize| {
        let shape = (1, samples, 3, FEATURES);
        Features::Own(Tensor::from_vec(row.repeat(samples), shape, &Device::Cpu).unwrap())
    };
    let all: Vec<[u32; 3]> = (0..27).map(|k| [k / 9, k / 3 % 3, k % 3]).collect();
    let actions = Tensor::from_vec(all.concat(), (1, 27, 3), &Device::Cpu).unwrap();
    let logs = host(&head.log_prob(&features(&row, 27), None, &actions).unwrap());
    let probs: Vec<f64> = logs.iter().map(|log| log.exp()).collect();
    assert!((probs.iter().sum::<f64>() - 1.0).abs() < 1e-5);

    let draws = 20_000;
    let mut dice = [Stream::new(1, "dice", 0)];
    let drawn = head.choose(&features(&row, draws), None, &mut dice, false);
    let Choices::Discrete(drawn) = drawn.unwrap() else {
        panic!("discrete actions")
    };
    for (action, p) in all.iter().zip(&probs) {
        let count = drawn
            .chunks_exact(3)
            .filter(|drawn| drawn == action)
            .count();
        // Five standard deviations of a binomial count.
        let allowed = 5.0 * (draws as f64 * p * (1.0 - p)).sqrt();
        assert!(
            (count as f64 - draws as f64 * p).abs() <= allowed + 1e-3,
            "{action:?}"
        );
    }

    let first = |head: &mut Autoregressive, row: &[f32], agent: usize| {
        head.set_order(&[agent as u32, (agent as u32 + 1) % 3, (agent as u32 + 2) % 3]);
        let z = head.spoken(&features(row, 1)).unwrap();
        let nothing = Tensor::zeros((1, 1, 3), candle_core::DType::U32, &Device::Cpu).unwrap();
        host(&head.conditionals(&z, None, &nothing).unwrap())[agent * ALIKE..][..ALIKE].to_vec()
    };
    let mut swapped = row.clone();
    swapped.rotate_left(FEATURES);
    assert_eq!(first(&mut head, &row, 1), first(&mut head, &swapped, 0));
    assert_ne!(first(&mut head, &row, 1), first(&mut head, &row, 0));
}

#[test]
fn the_order_decides_who_hears_whom() {
    // The agent asked first has one distribution, whatever the others do.
    let mut head = head(1, Sees::JointHistory);
    for order in [[0, 1, 2], [1, 2, 0], [2, 0, 1]] {
        head.set_order(&order);
        let z = head.spoken(&features(1, 24, Sees::JointHistory)).unwrap();
        let actions = Tensor::from_vec(all().concat(), (1, 24, 3), &Device::Cpu).unwrap();
        let conditionals = host(&head.conditionals(&z, None, &actions).unwrap());
        for (place, &agent) in order.iter().enumerate() {
            let start = agent as usize * WIDTH;
            let of = |row: usize| conditionals[row * 3 * WIDTH + start];
            let spread = (0..24)
                .map(|row| (of(row) - of(0)).abs())
                .fold(0.0, f64::max);
            assert_eq!(
                place == 0,
                spread < 1e-6,
                "{order:?}, agent {agent}: {spread}"
            );
        }
    }
}

/// What the marginals say, `[1, S, N·A]`.
fn marginals(samples: usize) -> (Vec<f64>, Var) {
    let mut stream = Stream::new(3, "marginals", 0);
    let mut row = vec![f64::from(FORBIDDEN); 3 * WIDTH];
    for (agent, &actions) in ACTIONS.iter().enumerate() {
        let weights: Vec<f64> = (0..actions).map(|_| 0.2 + stream.uniform()).collect();
        let sum: f64 = weights.iter().sum();
        for (log, weight) in row[agent * WIDTH..].iter_mut().zip(weights) {
            *log = (weight / sum).ln();
        }
    }
    let values: Vec<f32> = row.iter().map(|&x| x as f32).collect();
    let shape = (1, samples, 3 * WIDTH);
    (
        row,
        Var::from_vec(values.repeat(samples), shape, &Device::Cpu).unwrap(),
    )
}

/// TC, IG, H, fit, auxiliary of the head as it is, summed over all joint actions; `q`: the fitted
/// marginals' logarithms as they were.
fn exact(head: &Autoregressive, own: &[f64], q: &[f64]) -> [f64; 5] {
    let mut sums = [0.0; 5];
    for (action, log) in all().iter().zip(table(head, 1, Sees::JointHistory, None)) {
        let of = |table: &[f64]| -> f64 {
            let parts = action.iter().enumerate();
            parts.map(|(i, &a)| table[i * WIDTH + a as usize]).sum()
        };
        let terms = [log - of(q), of(q) - of(own), -log, -of(own), -of(q)];
        for (sum, term) in sums.iter_mut().zip(terms) {
            *sum += log.exp() * term;
        }
    }
    sums
}

/// Estimates along drawn prefixes, averaged over many, and the mean of their gradients along a
/// random direction in each layer, against sums over all joint actions and their differences:
/// within five standard errors, measured over forty batches.
#[test]
fn estimates_and_their_gradients_are_those_of_the_expectation() {
    const BATCHES: usize = 40;
    const DRAWS: usize = 400;
    let head = head(1, Sees::JointHistory);
    let features = features(1, DRAWS, Sees::JointHistory);
    let (own, own_logs) = marginals(DRAWS);
    let output = MarginalOutput::Categorical {
        log_probs: own_logs.as_tensor().clone(),
        agents: 3,
    };
    let q = head.fitted(&head.spoken(&features).unwrap(), None).unwrap();
    let q = host(&q)[..3 * WIDTH].to_vec();
    let expected = exact(&head, &own, &q);

    // Directions in W, its biases, E, V and c.
    let variables = head.variables();
    let layers = &variables[..5];
    let mut stream = Stream::new(11, "directions", 0);
    let directions: Vec<Tensor> = layers
        .iter()
        .map(|layer| {
            let values: Vec<f32> = (0..layer.elem_count())
                .map(|_| stream.normal() as f32)
                .collect();
            let norm = values.iter().map(|x| x * x).sum::<f32>().sqrt();
            let values = values.iter().map(|x| x / norm).collect();
            Tensor::from_vec(values, layer.shape(), &Device::Cpu).unwrap()
        })
        .collect();

    let mut dice = [Stream::new(5, "dice", 0)];
    let mut values = vec![Vec::new(); 5];
    let mut slopes = vec![vec![Vec::new(); layers.len()]; 3];
    for _ in 0..BATCHES {
        let drawn = head.choose(&features, None, &mut dice, false).unwrap();
        let drawn = drawn.tensor(1, DRAWS, &Device::Cpu).unwrap();
        // The actions taken are others: estimates go along what was drawn.
        let taken = drawn.zeros_like().unwrap();
        let evaluation = head
            .evaluate(&features, &output, None, &taken, Some(&drawn))
            .unwrap();
        let first = evaluation.log_prob.narrow(1, 0, 1).unwrap();
        let log_prob = table(&head, 1, Sees::JointHistory, None)[0];
        assert!((host(&first)[0] - log_prob).abs() < 1e-5);
        let auxiliary = evaluation.auxiliary.as_ref().unwrap();
        let quantities = [
            &evaluation.total_correlation,
            &evaluation.information_gap,
            &evaluation.entropy,
            &evaluation.marginal_fit,
            auxiliary,
        ];
        for (quantity, (tensor, values)) in quantities.iter().zip(&mut values).enumerate() {
            let mean = tensor.mean_all().unwrap();
            values.push(host(&mean)[0]);
            let gradients = mean.backward().unwrap();
            // Each term moves only its own side.
            assert_eq!(gradients.get(&own_logs).is_some(), quantity == 3);
            let own_part = gradients.get(&variables[5]).is_some();
            assert_eq!(own_part, quantity == 4);
            for (layer, direction) in directions.iter().enumerate() {
                let Some(gradient) = gradients.get(&layers[layer]) else {
                    assert!(quantity >= 3);
                    continue;
                };
                let along = (gradient * direction).unwrap().sum_all().unwrap();
                slopes[quantity][layer].push(host(&along)[0]);
            }
        }
    }
    let within = |samples: &[f64], expected: f64, slack: f64, what: &str| {
        let count = samples.len() as f64;
        let mean = samples.iter().sum::<f64>() / count;
        let variance = samples.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let allowed = 5.0 * (variance / count).sqrt() + slack;
        assert!(
            (mean - expected).abs() < allowed,
            "{what}: {mean} {expected} ± {allowed}"
        );
    };
    for (index, samples) in values.iter().enumerate() {
        within(samples, expected[index], 1e-5, &format!("quantity {index}"));
    }
    let divergence: Vec<f64> = std::iter::zip(&values[0], &values[1])
        .map(|(a, b)| a + b)
        .collect();
    within(&divergence, expected[0] + expected[1], 1e-5, "KL");

    let step = 0.02;
    let mut steepest = 0.0_f64;
    for (layer, (variable, direction)) in layers.iter().zip(&directions).enumerate() {
        let before = variable.as_tensor().copy().unwrap();
        let at = |step: f64| {
            variable
                .set(&(&before + (direction * step).unwrap()).unwrap())
                .unwrap();
            exact(&head, &own, &q)
        };
        let (up, down) = (at(step), at(-step));
        variable.set(&before).unwrap();
        for quantity in 0..3 {
            let slope = (up[quantity] - down[quantity]) / (2.0 * step);
            steepest = steepest.max(slope.abs());
            let what = format!("slope of quantity {quantity} along layer {layer}");
            // Differences err by about step²: .0004.
            within(&slopes[quantity][layer], slope, 2e-3, &what);
        }
    }
    assert!(steepest > 0.1, "nothing to see: {steepest}");
}

/// Two samples are enough for a baseline that changes no expectation: with the mean of both, the
/// score would count half.
#[test]
fn few_samples_do_not_shrink_the_gradient() {
    let head = head(1, Sees::JointHistory);
    // Scores of two samples are independent; values of agent 1 (asked last) are 1 and 0.
    let f = Tensor::new(&[[[0.0_f32, 1.0, 0.0], [0.0, 0.0, 0.0]]], &Device::Cpu).unwrap();
    let log_taken = Var::zeros((1, 2, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
    let sum = head.expectation(&f, &log_taken).unwrap().sum_all().unwrap();
    let gradients = sum.backward().unwrap();
    // Agents 2 and 0 are asked before agent 1: 1 − 0 and 0 − 1 for them, nothing for agent 1.
    let found = host(gradients.get(&log_taken).unwrap());
    assert_eq!(found, [1.0, 0.0, 1.0, -1.0, 0.0, -1.0]);
}
