//! `docs/image.md` is normative, so its numbers are tested.

mod common;

use common::{EXAMPLE, GROUPS, RECURRENT, emit};
use consort_runtime::{Action, Image, Policy, include_image, math};

fn document() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/image.md");
    std::fs::read_to_string(path).unwrap()
}

/// The bytes of the documented images, in order.
fn examples() -> Vec<Vec<u8>> {
    let document = document();
    let blocks = document.split("```hex\n").skip(1);
    let bytes = |block: &str| {
        let (example, _) = block.split_once("```").unwrap();
        let digits = example
            .lines()
            .flat_map(|line| line.split('#').next().unwrap().split(' '));
        digits
            .filter(|digits| !digits.is_empty())
            .map(|digits| u8::from_str_radix(digits, 16).unwrap())
            .collect()
    };
    blocks.map(bytes).collect()
}

#[test]
fn worked_example() {
    let bytes = examples().swap_remove(0);
    assert_eq!(emit(&EXAMPLE).bytes(), bytes);
    assert_eq!(include_image!("example.image"), bytes);

    let policy = Policy::new(Image::new_checked(include_image!("example.image")).unwrap());
    let mut memory = [f32::NAN; 4];
    assert_eq!(
        policy.logits(&[1.0, 0.25], &mut memory),
        Ok(&mut [1.0, 1.0, 3.0][..])
    );
    assert_eq!(policy.act_greedy(&[1.0, 0.25], &mut memory), Ok(2));
}

/// Every step of the recurrent example: state and action, bit for bit.
#[test]
fn recurrent_example() {
    let bytes = emit(&RECURRENT);
    assert_eq!(bytes.bytes(), examples()[1]);
    let policy = Policy::new(Image::new_checked(bytes.bytes()).unwrap());
    let mut memory = [f32::NAN; 4];
    policy.reset(&mut memory).unwrap();
    let document = document().replace('−', "-");
    let (_, table) = document.split_once("## Worked example, recurrent").unwrap();
    let mut rows = 0;
    for line in table.lines() {
        let cells: Vec<&str> = line
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        let [_, observation, _, state, _, first, _, second, _] = cells[..] else {
            continue;
        };
        let Ok(observation) = observation.parse::<f32>() else {
            continue;
        };
        let action = match policy.step(&[observation], &mut memory) {
            Ok(Action::Continuous(&[first, second])) => [first, second],
            other => panic!("{other:?}"),
        };
        let found =
            [memory[0], action[0], action[1]].map(|value| format!("{:08x}", value.to_bits()));
        assert_eq!(found, [state, first, second]);
        rows += 1;
    }
    assert_eq!(rows, 3);
}

/// Observing (1, −2) gives logits 1, −2; 5; −1, 3 and 1.
#[test]
fn multi_discrete_example() {
    let bytes = emit(&GROUPS);
    assert_eq!(bytes.bytes(), examples()[2]);
    let policy = Policy::new(Image::new_checked(bytes.bytes()).unwrap());
    let mut memory = [f32::NAN; 6];
    let action = policy.step(&[1.0, -2.0], &mut memory);
    assert_eq!(action, Ok(Action::MultiDiscrete(&[0, 0, 1])));
}

/// Every decimal that is followed by its bits, such as 962.67664 `4470ab4e`.
#[test]
fn constants_have_the_bits_beside_them() {
    let document = document().replace('−', "-");
    let mut texts = document.split('`');
    let mut found = 0;
    while let (Some(text), Some(code)) = (texts.next(), texts.next()) {
        let number = text
            .split_whitespace()
            .last()
            .and_then(|word| word.parse::<f32>().ok());
        if let (Some(number), 8, Ok(bits)) = (number, code.len(), u32::from_str_radix(code, 16)) {
            assert_eq!(number.to_bits(), bits, "{number}");
            found += 1;
        }
    }
    assert_eq!(found, 21, "8 for tanh, 8 for exp, 5 for normal numbers");
}

#[test]
fn table_of_functions() {
    let document = document().replace('−', "-");
    let mut rows = 0;
    for line in document.lines() {
        let cells: Vec<&str> = line
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        let [_, x, y, bits, _, exp_x, exp_y, exp_bits, _] = cells[..] else {
            continue;
        };
        let (Ok(x), Ok(exp_x)) = (x.parse(), exp_x.parse()) else {
            continue;
        };
        for (y, decimal, bits) in [
            (math::tanh(x), y, bits),
            (math::exp(exp_x), exp_y, exp_bits),
        ] {
            assert_eq!(format!("{:08x}", y.to_bits()), bits);
            assert_eq!(decimal.parse(), Ok(y));
        }
        rows += 1;
    }
    assert_eq!(rows, 6);
}
