//! Holds the kernels in assembly to the portable functions that define the bits: dense layers and recurrent units of random
//! shapes, whole and cut short, tanh and sigmoid over a million numbers, and rows in whole numbers, on inputs of every kind.
//! Prints how many of each it compared; the first difference ends it with a failure.

#![no_std]
#![no_main]

mod int8;

use core::panic::PanicInfo;

use consort_kernels::float;
use consort_runtime::{layer, math};
use cortex_m_rt::entry;
use semihosting::println;
use semihosting::process::exit;

/// Shapes of each kind of layer.
const SHAPES: u32 = 1_500;
/// The most inputs, and outputs or units, of a shape: several turns of every loop there is, and rests of every length.
const SIDE: u32 = 37;
const LONGEST: usize = SIDE as usize * (4 + 6 * SIDE as usize);

#[entry]
fn main() -> ! {
    let mut numbers = Numbers(1);
    let mut memory = Memory {
        parameters: [0.0; LONGEST],
        input: [0.0; SIDE as usize],
        state: [0.0; SIDE as usize],
        outputs: [[0.0; SIDE as usize]; 2],
    };
    let checked = dense(&mut numbers, &mut memory)
        .and_then(|()| gru(&mut numbers, &mut memory))
        .and_then(|()| int8::check(&mut numbers))
        .and_then(|()| elementwise());
    match checked {
        Ok(values) => {
            println!("same {SHAPES} {SHAPES} {values} {}", int8::CASES);
            exit(0)
        }
        Err(Difference {
            what,
            case,
            expected,
            found,
        }) => {
            println!("error {what}: case {case}: {found:08x}, expected {expected:08x}");
            exit(1)
        }
    }
}

/// The first bits that differ.
struct Difference {
    what: &'static str,
    case: u32,
    expected: u32,
    found: u32,
}

/// Every NaN is one: which it is, the format does not say.
fn compare(
    what: &'static str,
    case: u32,
    [expected, found]: [&[f32]; 2],
) -> Result<(), Difference> {
    for (expected, found) in expected.iter().zip(found) {
        let same = expected.to_bits() == found.to_bits() || expected.is_nan() && found.is_nan();
        if !same {
            return Err(Difference {
                what,
                case,
                expected: expected.to_bits(),
                found: found.to_bits(),
            });
        }
    }
    Ok(())
}

struct Memory {
    parameters: [f32; LONGEST],
    input: [f32; SIDE as usize],
    state: [f32; SIDE as usize],
    /// The portable function's and the kernel's.
    outputs: [[f32; SIDE as usize]; 2],
}

fn dense(numbers: &mut Numbers, memory: &mut Memory) -> Result<(), Difference> {
    for case in 0..SHAPES {
        let [inputs, outputs] = [numbers.side(), numbers.side()];
        let parameters = numbers.parameters(&mut memory.parameters, outputs * (inputs + 1), case);
        let input = numbers.fill(&mut memory.input, inputs, case);
        let [expected, found] = memory.outputs.each_mut().map(|output| {
            output.fill(9.0);
            output.get_mut(..outputs).unwrap_or_default()
        });
        layer::dense(parameters, input, expected);
        float::dense(parameters, input, found);
        compare("dense", case, [expected, found])?;
    }
    Ok(())
}

fn gru(numbers: &mut Numbers, memory: &mut Memory) -> Result<(), Difference> {
    for case in 0..SHAPES {
        let [inputs, hidden] = [numbers.side(), numbers.side()];
        let len = hidden * (4 + 3 * (inputs + hidden));
        let parameters = numbers.parameters(&mut memory.parameters, len, case);
        let input = numbers.fill(&mut memory.input, inputs, case);
        let state = numbers.fill(&mut memory.state, hidden, case);
        let [expected, found] = memory.outputs.each_mut().map(|output| {
            output.fill(9.0);
            output.get_mut(..hidden).unwrap_or_default()
        });
        layer::gru(parameters, input, state, expected);
        float::gru(parameters, input, state, found);
        compare("gru", case, [expected, found])?;
    }
    Ok(())
}

/// tanh and sigmoid of numbers all over the range, and of every one near where something changes; how many.
fn elementwise() -> Result<u32, Difference> {
    /// Prime, so that the last bits differ too.
    const STRIDE: usize = 4099;
    const NEAR: u32 = 2_000;
    let limit = 7.9f32.to_bits();
    let edges = [
        0,
        f32::MIN_POSITIVE.to_bits(),
        limit,
        2 * limit - 1.0f32.to_bits(),
        f32::INFINITY.to_bits(),
    ];
    let near = edges.into_iter().flat_map(|edge| {
        let around = edge.wrapping_sub(NEAR)..edge.wrapping_add(NEAR);
        (0..2 * NEAR).map(move |offset| around.start.wrapping_add(offset))
    });
    let near = near.flat_map(|bits| [bits, bits ^ 1 << 31]);
    let mut bits = (0..=u32::MAX).step_by(STRIDE).chain(near);
    let mut count = 0;
    loop {
        // Lengths 1 to 9: whole groups of lanes, and rests.
        let mut values = [0.0; 9];
        let len = count as usize % 9 + 1;
        let mut filled = 0;
        for (value, bits) in values.iter_mut().take(len).zip(&mut bits) {
            *value = f32::from_bits(bits);
            filled += 1;
        }
        let values = values.get(..filled).unwrap_or_default();
        if values.is_empty() {
            return Ok(count);
        }
        for (what, kernel, portable) in [
            (
                "tanh",
                float::tanh as fn(&mut [f32]),
                math::tanh as fn(f32) -> f32,
            ),
            ("sigmoid", float::sigmoid, math::sigmoid),
        ] {
            let [mut expected, mut found] = [[0.0; 9]; 2];
            for (expected, &value) in expected.iter_mut().zip(values) {
                *expected = portable(value);
            }
            let found = found.get_mut(..filled).unwrap_or_default();
            found.copy_from_slice(values);
            kernel(found);
            compare(what, count, [&expected, found])?;
        }
        count += filled as u32;
    }
}

/// A linear congruential generator: the same cases for ever.
struct Numbers(u32);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }

    /// Anything from nothing to `SIDE`.
    fn side(&mut self) -> usize {
        (self.next() % (SIDE + 1)) as usize
    }

    /// As many parameters, or now and then fewer.
    fn parameters<'m>(&mut self, memory: &'m mut [f32], len: usize, case: u32) -> &'m [f32] {
        let given = match self.next() % 8 {
            0 => self.next() as usize % (len + 1),
            _ => len,
        };
        self.fill(memory, given, case)
    }

    /// So many numbers: of moderate size in half of the cases, of every kind in the others.
    fn fill<'m>(&mut self, memory: &'m mut [f32], len: usize, case: u32) -> &'m [f32] {
        let values = memory.get_mut(..len).unwrap_or_default();
        for value in values.iter_mut() {
            let moderate = self.next() as f32 / 8_388_608.0 - 1.0;
            let kind = if case.is_multiple_of(2) {
                0
            } else {
                self.next() % 16
            };
            *value = match kind {
                1 => 0.0,
                2 => -0.0,
                // Subnormal numbers, and numbers whose products are.
                3 => f32::from_bits(self.next() >> 2),
                4 => moderate * 1e-25,
                5 => moderate * 1e19,
                6 if case % 8 == 1 => f32::from_bits(self.next() << 8 | self.next() >> 16),
                _ => moderate,
            };
        }
        values
    }
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    exit(1)
}
