use super::*;
use crate::env::{ActionSpace, AgentSpec};

const FEATURES: usize = 4;

/// A head over the vectors of agents with so many dimensions each, with strong correlations.
fn head(dimensions: &[usize]) -> JointGaussian {
    let agent = |&size: &usize| AgentSpec {
        observation: 1,
        actions: ActionSpace::Continuous(size),
    };
    let spec = TeamSpec::new(dimensions.iter().map(agent).collect(), 1);
    let (network, mut streams) = (NetworkConfig::default(), [Stream::new(2, "test", 0)]);
    let head = JointGaussian::new(&spec, FEATURES, &network, &mut streams, &Device::Cpu).unwrap();
    let weight = &head.output.variables()[0];
    weight.set(&(weight.as_tensor() * 8.0).unwrap()).unwrap();
    head
}

/// The same features in every row.
fn features(samples: usize) -> Features {
    let row = [0.4_f32, -1.1, 0.7, 0.2].repeat(samples);
    Features::Joint(Tensor::from_vec(row, (1, samples, FEATURES), &Device::Cpu).unwrap())
}

fn host(tensor: &Tensor) -> Vec<f64> {
    let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
    values.into_iter().map(f64::from).collect()
}

/// μ and Σ of the first row, in f64.
fn moments(head: &JointGaussian) -> (Vec<f64>, Vec<Vec<f64>>) {
    let parameters = head.parameters(&features(1)).unwrap();
    let (mean, l) = (host(&parameters.mean), host(&parameters.factor));
    let p = mean.len();
    let entry = |i: usize, j: usize| (0..p).map(|k| l[i * p + k] * l[j * p + k]).sum();
    let covariance = (0..p).map(|i| (0..p).map(|j| entry(i, j)).collect());
    (mean, covariance.collect())
}

/// ln N(u; m, v).
fn log_normal(u: f64, m: f64, v: f64) -> f64 {
    -0.5 * ((u - m).powi(2) / v + v.ln() + std::f64::consts::TAU.ln())
}

/// (Σ⁻¹, det Σ) by Gauss–Jordan.
fn inverse(matrix: &[Vec<f64>]) -> (Vec<Vec<f64>>, f64) {
    let p = matrix.len();
    let mut rows: Vec<Vec<f64>> = matrix.to_vec();
    for (i, row) in rows.iter_mut().enumerate() {
        row.extend((0..p).map(|j| f64::from(u8::from(i == j))));
    }
    let mut determinant = 1.0;
    for pivot in 0..p {
        let scale = rows[pivot][pivot];
        determinant *= scale;
        rows[pivot].iter_mut().for_each(|x| *x /= scale);
        let line = rows[pivot].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(i, _)| *i != pivot) {
            let factor = row[pivot];
            row.iter_mut()
                .zip(&line)
                .for_each(|(x, y)| *x -= factor * y);
        }
    }
    (
        rows.iter().map(|row| row[p..].to_vec()).collect(),
        determinant,
    )
}

/// The marginals' side: means and ln σ of `p` dimensions in every row.
fn marginals(p: usize, samples: usize) -> (Vec<f64>, Vec<f64>, Var, Var) {
    let mean: Vec<f64> = (0..p).map(|d| 0.3 - 0.2 * d as f64).collect();
    let log_std: Vec<f64> = (0..p).map(|d| -0.4 + 0.1 * d as f64).collect();
    let f32s = |values: &[f64]| values.iter().map(|&x| x as f32).collect::<Vec<f32>>();
    let means = f32s(&mean).repeat(samples);
    let means = Var::from_vec(means, (1, samples, p), &Device::Cpu).unwrap();
    let spreads = Var::from_vec(f32s(&log_std), (1, 1, p), &Device::Cpu).unwrap();
    (mean, log_std, means, spreads)
}

#[test]
fn densities_are_those_of_the_formula() {
    for dimensions in [&[1][..], &[1, 1], &[2, 1]] {
        let head = head(dimensions);
        let (mean, covariance) = moments(&head);
        let p = mean.len();
        let mut stream = Stream::new(0, "points", 0);
        let points: Vec<f32> = (0..20 * p).map(|_| stream.normal() as f32).collect();
        let actions = Tensor::from_slice(&points, (1, 20, p), &Device::Cpu).unwrap();
        let found = host(&head.log_prob(&features(20), None, &actions).unwrap());
        let (inverse, determinant) = inverse(&covariance);
        assert!(p == 1 || covariance[1][0].abs() > 0.05, "{covariance:?}");
        for (point, found) in points.chunks_exact(p).zip(found) {
            let off: Vec<f64> = point
                .iter()
                .zip(&mean)
                .map(|(&u, m)| f64::from(u) - m)
                .collect();
            let square: f64 = (0..p)
                .flat_map(|i| (0..p).map(move |j| (i, j)))
                .map(|(i, j)| off[i] * inverse[i][j] * off[j])
                .sum();
            let tau = std::f64::consts::TAU;
            let expected = -0.5 * (square + determinant.ln() + p as f64 * tau.ln());
            let allowed = 1e-5 * (1.0 + expected.abs());
            assert!((found - expected).abs() < allowed, "{found} {expected}");
        }
    }
}

/// Closed forms against averages over samples: within five standard errors.
#[test]
fn divergences_and_entropy_are_averages_over_samples() {
    const DRAWS: usize = 40_000;
    let head = head(&[2, 1]);
    let (mu, covariance) = moments(&head);
    let p = mu.len();
    let features = features(DRAWS);
    let drawn = head
        .choose(&features, None, &mut [Stream::new(4, "dice", 0)], false)
        .unwrap();
    let actions = drawn.tensor(1, DRAWS, &Device::Cpu).unwrap();
    let (mean, log_std, means, spreads) = marginals(p, DRAWS);
    let output = MarginalOutput::Gaussian {
        mean: means.as_tensor().clone(),
        log_std: spreads.as_tensor().clone(),
    };
    let evaluation = head
        .evaluate(&features, &output, None, &actions, None)
        .unwrap();
    let log_joint = host(&evaluation.log_prob);
    let points = host(&actions);
    let mut terms = vec![Vec::new(); 4];
    for (u, &log) in points.chunks_exact(p).zip(&log_joint) {
        let of_joint: f64 = (0..p)
            .map(|d| log_normal(u[d], mu[d], covariance[d][d]))
            .sum();
        let own = |d: usize| log_normal(u[d], mean[d], (2.0 * log_std[d]).exp());
        let own: f64 = (0..p).map(own).sum();
        for (terms, term) in terms
            .iter_mut()
            .zip([log - of_joint, of_joint - own, -log, -own])
        {
            terms.push(term);
        }
    }
    let quantities = [
        &evaluation.total_correlation,
        &evaluation.information_gap,
        &evaluation.entropy,
        &evaluation.marginal_fit,
    ];
    for (index, (terms, quantity)) in terms.iter().zip(quantities).enumerate() {
        let count = DRAWS as f64;
        let average = terms.iter().sum::<f64>() / count;
        let variance = terms.iter().map(|x| (x - average).powi(2)).sum::<f64>() / count;
        let closed = host(quantity)[0];
        let allowed = 5.0 * (variance / count).sqrt() + 1e-5;
        assert!(
            (closed - average).abs() < allowed,
            "{index}: {closed} {average} ± {allowed}"
        );
    }
    // The samples' covariance: an entry's variance is (Σii Σjj + Σij²) / S.
    for i in 0..p {
        for j in 0..p {
            let products = points
                .chunks_exact(p)
                .map(|u| (u[i] - mu[i]) * (u[j] - mu[j]));
            let found = products.sum::<f64>() / DRAWS as f64;
            let expected = covariance[i][j];
            let variance = covariance[i][i] * covariance[j][j] + expected.powi(2);
            let allowed = 5.0 * (variance / DRAWS as f64).sqrt();
            assert!(
                (found - expected).abs() < allowed,
                "{i}, {j}: {found} {expected}"
            );
        }
    }
}

/// l of 4 tanh 1 − ½ = 2.55 in both dimensions counts as 0: two times ½ ln 2πe, and nothing is gained by more.
#[test]
fn deviations_beyond_one_earn_no_bonus() {
    let head = head(&[1, 1]);
    let variables = head.output.variables();
    let set = |index: usize, value: f64| {
        let filled = variables[index].ones_like().unwrap().affine(value, 0.0);
        variables[index].set(&filled.unwrap()).unwrap();
    };
    let (_, _, means, spreads) = marginals(2, 3);
    let output = MarginalOutput::Gaussian {
        mean: means.as_tensor().clone(),
        log_std: spreads.as_tensor().clone(),
    };
    let actions = Tensor::zeros((1, 3, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
    let moved = |bias: f64| {
        set(0, 0.0);
        set(1, bias);
        let evaluation = head.evaluate(&features(3), &output, None, &actions, None);
        let entropy = evaluation.unwrap().entropy;
        let gradients = entropy.sum_all().unwrap().backward().unwrap();
        let slopes = host(gradients.get(&variables[1]).unwrap());
        (host(&entropy)[0], slopes.iter().any(|&slope| slope != 0.0))
    };
    let one = (std::f64::consts::TAU.ln() + 1.0) / 2.0;
    let (entropy, slope) = moved(4.0);
    assert!((entropy - 2.0 * one).abs() < 1e-5 && !slope, "{entropy}");
    // Below, each nat of l counts in full: 4 tanh(−¼) − ½.
    let (entropy, slope) = moved(-1.0);
    let expected = 2.0 * (one + 4.0 * (-0.25_f64).tanh() - 0.5);
    assert!((entropy - expected).abs() < 1e-5 && slope, "{entropy}");
}

#[test]
fn each_term_moves_its_own_policy_only() {
    let head = head(&[2, 1]);
    let (_, _, means, spreads) = marginals(3, 2);
    let output = MarginalOutput::Gaussian {
        mean: means.as_tensor().clone(),
        log_std: spreads.as_tensor().clone(),
    };
    let actions = Tensor::zeros((1, 2, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
    let evaluation = head
        .evaluate(&features(2), &output, None, &actions, None)
        .unwrap();
    for (quantity, joint_moves, marginals_move) in [
        (&evaluation.log_prob, true, false),
        (&evaluation.entropy, true, false),
        (&evaluation.total_correlation, true, false),
        (&evaluation.information_gap, true, false),
        (&evaluation.marginal_fit, false, true),
    ] {
        let gradients = quantity.sum_all().unwrap().backward().unwrap();
        for variable in head.variables() {
            assert_eq!(gradients.get(&variable).is_some(), joint_moves);
        }
        for variable in [&means, &spreads] {
            assert_eq!(gradients.get(variable).is_some(), marginals_move);
        }
    }
}
