//! What operations in software floating point cost on a board, and the most that a step can cost because of it.
//!
//! All else that a step does is the same work whatever is observed. So two steps of a policy differ by no more than, for every
//! operation, its calls times the difference between its dearest and its cheapest operands, and a few instructions where an
//! activation compares and goes one way or another.

use anyhow::{Context, Result, bail, ensure};
use consort_runtime::{Activation, Head, Image, LayerKind};

use crate::board::Board;
use crate::team::Agent;
use crate::toolchain::Toolchain;

/// Instructions by which the ways through one evaluation of an activation differ, beside its calls.
const WAYS: u64 = 16;

/// Instructions of one operation, call and all.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Cost {
    least: u64,
    most: u64,
}

/// Of every operation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Costs {
    add: Cost,
    multiply: Cost,
    divide: Cost,
    compare: Cost,
}

/// How often a step calls each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Calls {
    add: u64,
    multiply: u64,
    divide: u64,
    compare: u64,
    /// Evaluations of an activation.
    ways: u64,
}

impl Costs {
    /// Measures them in the emulator, over the operands of `firmware-examples/app/src/operations.rs`.
    pub(crate) fn measure(toolchain: &Toolchain, board: &Board, agent: &Agent) -> Result<Self> {
        let binaries = board.build(toolchain, &agent.folder, agent.index, &["operations"])?;
        let finished = board.emulate(&binaries["operations"])?;
        ensure!(
            finished.status.success(),
            "the emulator ended with {}",
            finished.status
        );
        Self::parse(&finished.stdout)
    }

    fn parse(text: &str) -> Result<Self> {
        let (mut costs, mut ticks_per_instruction, mut done) = (Self::default(), 0.0, false);
        for line in text.lines() {
            let unexpected = || format!("found `{line}`");
            let words: Vec<&str> = line.split(' ').collect();
            let number = |word: &str| word.parse::<u32>().with_context(unexpected);
            match words[..] {
                ["consort-operations", "1"] => {}
                ["calibration", instructions, ticks] => {
                    ticks_per_instruction =
                        f64::from(number(ticks)?) / f64::from(number(instructions)?);
                }
                ["operation", name, least, most] => {
                    let [least, most] = [number(least)?, number(most)?]
                        .map(|ticks| (f64::from(ticks) / ticks_per_instruction).round() as u64);
                    *match name {
                        "add" => &mut costs.add,
                        "multiply" => &mut costs.multiply,
                        "divide" => &mut costs.divide,
                        "compare" => &mut costs.compare,
                        _ => bail!(unexpected()),
                    } = Cost { least, most };
                }
                ["done", _] => done = true,
                _ => bail!(unexpected()),
            }
        }
        ensure!(done, "the measurement was cut short");
        Ok(costs)
    }

    /// The most instructions of a greedy step, by the fewest that one was seen to take; none of an integer image, which
    /// calls next to nothing.
    pub(crate) fn bound(&self, image: &Image<'_>, fewest: u64) -> Option<u64> {
        let calls = (!image.is_integer()).then(|| Calls::of(image))?;
        let spread = |cost: Cost, calls: u64| calls * (cost.most - cost.least);
        // A comparison may be left out where the one before it decided.
        let compare = calls.compare * self.compare.most;
        Some(
            fewest
                + spread(self.add, calls.add)
                + spread(self.multiply, calls.multiply)
                + spread(self.divide, calls.divide)
                + compare
                + calls.ways * WAYS,
        )
    }

    /// The table's words: least to most of each.
    pub(crate) fn words(&self) -> String {
        let Self {
            add,
            multiply,
            divide,
            compare,
        } = self;
        let word = |name: &str, cost: &Cost| format!("{name} {} – {}", cost.least, cost.most);
        [
            word("add", add),
            word("multiply", multiply),
            word("divide", divide),
            word("compare", compare),
        ]
        .join(", ")
    }
}

impl Calls {
    /// By the definitions in `docs/image.md`.
    fn of(image: &Image<'_>) -> Self {
        let mut calls = Self::default();
        for layer in image.layers() {
            let (inputs, outputs) = (layer.inputs as u64, layer.outputs as u64);
            match layer.kind {
                LayerKind::Dense(activation) => {
                    calls.add += inputs * outputs;
                    calls.multiply += inputs * outputs;
                    calls.activation(activation, outputs);
                }
                LayerKind::Gru => {
                    let products = 3 * (inputs + outputs) * outputs;
                    // r × q, (1 − z) × n + z × h: three products, and as many sums and differences.
                    calls.add += products + 3 * outputs;
                    calls.multiply += products + 3 * outputs;
                    calls.activation(Activation::Sigmoid, 2 * outputs);
                    calls.activation(Activation::Tanh, outputs);
                }
                LayerKind::Quantise | LayerKind::IntegerDense(_) | LayerKind::IntegerGru => {}
            }
        }
        if let Head::Gaussian { log_std } = image.head() {
            calls.activation(Activation::Tanh, log_std.len() as u64);
        }
        calls
    }

    fn activation(&mut self, activation: Activation, count: u64) {
        // tanh: c × c, three steps of n, three of d, c × n; three sums of n and four of d; a quotient.
        let [add, multiply, divide, compare] = match activation {
            Activation::Identity => [0; 4],
            Activation::Relu => [0, 0, 0, 1],
            Activation::Tanh => [7, 8, 1, 2],
            Activation::Sigmoid => [8, 10, 1, 2],
            Activation::Silu => [8, 11, 1, 2],
        };
        self.add += add * count;
        self.multiply += multiply * count;
        self.divide += divide * count;
        self.compare += compare * count;
        self.ways += count * u64::from(activation != Activation::Identity);
    }
}

#[cfg(test)]
mod tests {
    use consort_runtime::{DenseRepr, ImageRepr, LayerRepr, TeamId};

    use super::*;
    use crate::team::Aligned;

    const TEXT: &str = "consort-operations 1\ncalibration 1000 2000\noperation add 20 60\noperation multiply 30 50\n\
                        operation divide 100 140\noperation compare 10 12\ndone 9\n";

    #[test]
    fn a_bound_by_hand() {
        let costs = Costs::parse(TEXT).unwrap();
        assert_eq!(
            costs.words(),
            "add 10 – 30, multiply 15 – 25, divide 50 – 70, compare 5 – 6"
        );
        let layers = [LayerRepr::Dense(DenseRepr {
            inputs: 3,
            outputs: 2,
            activation: Activation::Tanh,
            weights: &[0.0; 6],
            biases: &[0.0; 2],
        })];
        let repr = ImageRepr {
            team: TeamId([1; 16]),
            agent: 0,
            agents: 1,
            revision: 1,
            period_us: 0,
            seeding: None,
            head: Head::Deterministic { outputs: 2 },
            layers: &layers,
        };
        let mut bytes = vec![0; repr.emitted_len().unwrap()];
        repr.emit(&mut bytes).unwrap();
        let aligned = Aligned::copy(&bytes);
        let image = Image::new_checked(aligned.bytes()).unwrap();
        // 6 + 14 sums of 20 more, 6 + 16 products of 10 more, two quotients of 20 more, four comparisons of 6, and 2 × 16.
        let expected = 1_000 + 20 * 20 + 22 * 10 + 2 * 20 + 4 * 6 + 32;
        assert_eq!(costs.bound(&image, 1_000), Some(expected));
    }

    #[test]
    fn what_is_cut_short_or_unknown_is_refused() {
        assert!(Costs::parse(TEXT.strip_suffix("done 9\n").unwrap()).is_err());
        assert!(Costs::parse(&TEXT.replace("divide", "root")).is_err());
    }
}
