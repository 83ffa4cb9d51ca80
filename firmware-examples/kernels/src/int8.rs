//! Rows in whole numbers: random words, and those at which 16 and 32 bits end.

use consort_kernels::int8;
use consort_runtime::integer;

use crate::{Difference, Numbers};

/// Cases of each kind of panel.
pub(crate) const CASES: u32 = 3_000;
/// The most words of lanes: several turns of every loop there is, and rests of every length.
const LANES: usize = 37;
/// The most panels of one call.
const PANELS: usize = 3;

pub(crate) fn check(numbers: &mut Numbers) -> Result<(), Difference> {
    let mut panels = [0; PANELS * (5 + 2 * LANES)];
    let mut lanes = [0; LANES];
    for case in 0..CASES {
        let words = numbers.next() as usize % (LANES + 1);
        let count = numbers.next() as usize % (PANELS + 1);
        let shift = numbers.next() % 31 + 1;
        let lanes = fill(numbers, &mut lanes, words, case);
        let needed = count * (5 + 2 * words);
        let panels = short(numbers, &mut panels, needed, case);
        quads(case, [panels, lanes], count, shift)?;
        let mut panel = [0; 3 + LANES];
        let panel = short(numbers, &mut panel, 3 + words, case);
        pair(case, [panel, lanes], shift)?;
    }
    Ok(())
}

/// Four rows a panel, as they are and through tanh.
fn quads(
    case: u32,
    [panels, lanes]: [&[i32]; 2],
    count: usize,
    shift: u32,
) -> Result<(), Difference> {
    let [mut expected, mut found] = [[[7; 4]; PANELS]; 2];
    let mut curved = [[7; 2]; PANELS];
    let (expected, found, curved) = (
        expected.get_mut(..count).unwrap_or_default(),
        found.get_mut(..count).unwrap_or_default(),
        curved.get_mut(..count).unwrap_or_default(),
    );
    let done = integer::quads(expected, panels, lanes, shift);
    let kernels = [
        int8::quads(found, panels, lanes, shift),
        int8::quads_by_chords(curved, panels, lanes, shift, integer::tanh_chords()),
    ];
    same("quads: whether", case, [done.into(), kernels[0].into()])?;
    same(
        "quads by chords: whether",
        case,
        [done.into(), kernels[1].into()],
    )?;
    for ((expected, found), curved) in expected.iter().zip(found).zip(curved) {
        for (&expected, &mut found) in expected.iter().zip(found) {
            same("quads", case, [expected, found])?;
        }
        let lane = |row: usize| integer::tanh_lane(expected.get(row).copied().unwrap_or_default());
        let word = |first: usize| (lane(first) & 0xffff) | lane(first + 1) << 16;
        // Where nothing was done, nothing was written.
        let words = if done { [word(0), word(2)] } else { [7; 2] };
        for (&expected, &mut found) in words.iter().zip(curved) {
            same("quads by chords", case, [expected, found])?;
        }
    }
    Ok(())
}

fn pair(case: u32, [panel, lanes]: [&[i32]; 2], shift: u32) -> Result<(), Difference> {
    let rows = [
        integer::pair(panel, lanes, shift),
        int8::pair(panel, lanes, shift),
    ];
    let [expected, found] = rows.map(|rows| i32::from(rows.is_some()));
    same("pair: whether", case, [expected, found])?;
    let [expected, found] = rows.map(Option::unwrap_or_default);
    for (expected, found) in expected.into_iter().zip(found) {
        same("pair", case, [expected, found])?;
    }
    Ok(())
}

fn same(what: &'static str, case: u32, [expected, found]: [i32; 2]) -> Result<(), Difference> {
    match expected == found {
        true => Ok(()),
        false => Err(Difference {
            what,
            case,
            expected: expected as u32,
            found: found as u32,
        }),
    }
}

/// As many words as needed, or now and then fewer.
fn short<'m>(numbers: &mut Numbers, memory: &'m mut [i32], needed: usize, case: u32) -> &'m [i32] {
    let given = match numbers.next() % 8 {
        0 => numbers.next() as usize % (needed + 1),
        _ => needed,
    };
    fill(numbers, memory, given, case)
}

/// So many words: what an image may hold in a third of the cases (weights of 8 bits in pairs, lanes of 9, biases of 23), any
/// bits in another, and in the rest the least and the greatest that halves and words can be.
fn fill<'m>(numbers: &mut Numbers, memory: &'m mut [i32], len: usize, case: u32) -> &'m [i32] {
    const EDGES: [u32; 10] = [
        0,
        0x8000_8000,
        0x7fff_7fff,
        0x7fff_8000,
        0x8000_7fff,
        0x7f80_807f,
        0xffff_ffff,
        0x8000_0000,
        0x7fff_ffff,
        0x0100_ff00,
    ];
    let values = memory.get_mut(..len).unwrap_or_default();
    for value in values.iter_mut() {
        let any = numbers.next() << 16 ^ numbers.next();
        *value = match case % 3 {
            0 => (any & 0x01ff_01ff).wrapping_sub(0x0100_0100) as i32,
            1 => any as i32,
            _ => EDGES
                .get(any as usize % EDGES.len())
                .copied()
                .unwrap_or_default() as i32,
        };
    }
    values
}
