//! Where call instructions lead: calls within one section leave no relocation.

/// An architecture's calls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Thumb,
    RiscV32,
}

impl Code {
    /// Where the call at the start of `bytes`, which lie at `place`, leads; none where there is no direct call.
    pub(crate) fn call(self, bytes: &[u8], place: u64) -> Option<u64> {
        let offset = match self {
            Code::Thumb => thumb(bytes),
            Code::RiscV32 => riscv(bytes),
        }?;
        Some(u64::from((place as u32).wrapping_add_signed(offset)))
    }
}

/// `BL` (Armv6-M and Armv7-M reference manuals, A6.7.13 and A7.7.18, encoding T1).
fn thumb(bytes: &[u8]) -> Option<i32> {
    let [a, b, c, d] = *bytes.first_chunk()?;
    let (first, second) = (
        u32::from(u16::from_le_bytes([a, b])),
        u32::from(u16::from_le_bytes([c, d])),
    );
    if first >> 11 != 0b11110 || second & 0xd000 != 0xd000 {
        return None;
    }
    let sign = first >> 10 & 1;
    let [i1, i2] = [13, 11].map(|bit| 1 ^ sign ^ (second >> bit & 1));
    let parts = sign << 24 | i1 << 23 | i2 << 22 | (first & 0x3ff) << 12 | (second & 0x7ff) << 1;
    Some(4 + extend(parts, 25))
}

/// `JAL` and `AUIPC` with `JALR`, both leaving the way back in `ra`, and `C.JAL` (RISC-V unprivileged specification, RV32I and C).
fn riscv(bytes: &[u8]) -> Option<i32> {
    let half = u32::from(u16::from_le_bytes(*bytes.first_chunk()?));
    let field = |word: u32, from: u32, bits: u32, to: u32| (word >> from & ((1 << bits) - 1)) << to;
    if half & 0xe003 == 0x2001 {
        // imm[11|4|9:8|10|6|7|3:1|5]
        let parts = [
            (12, 1, 11),
            (11, 1, 4),
            (9, 2, 8),
            (8, 1, 10),
            (7, 1, 6),
            (6, 1, 7),
            (3, 3, 1),
            (2, 1, 5),
        ];
        let parts = parts.map(|(from, bits, to)| field(half, from, bits, to));
        return Some(extend(parts.iter().sum(), 12));
    }
    let word = u32::from_le_bytes(*bytes.first_chunk()?);
    match word & 0xfff {
        // JAL ra: imm[20|10:1|11|19:12]
        0x0ef => {
            let parts = [(31, 1, 20), (21, 10, 1), (20, 1, 11), (12, 8, 12)];
            let parts = parts.map(|(from, bits, to)| field(word, from, bits, to));
            Some(extend(parts.iter().sum(), 21))
        }
        // AUIPC ra, then JALR ra, ra.
        0x097 => {
            let next = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?);
            (next & 0xf_ffff == 0x0_80e7)
                .then(|| ((word & 0xffff_f000) as i32).wrapping_add(extend(next >> 20, 12)))
        }
        _ => None,
    }
}

/// The number of so many `bits`, in two's complement.
fn extend(value: u32, bits: u32) -> i32 {
    (value << (32 - bits)) as i32 >> (32 - bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_lead_where_assemblers_say() {
        let thumb = |words: [u16; 2]| {
            let bytes = words.map(u16::to_le_bytes).concat();
            Code::Thumb.call(&bytes, 0x1000)
        };
        // `bl .`, and the furthest way back: as GNU as encodes them.
        assert_eq!(thumb([0xf7ff, 0xfffe]), Some(0x1000));
        assert_eq!(thumb([0xf000, 0xf800]), Some(0x1004));
        assert_eq!(thumb([0xf400, 0xd000]), Some(0xff00_1004));
        // `b.w .` is a jump, `movw` neither.
        assert_eq!(thumb([0xf7ff, 0xbffe]), None);
        assert_eq!(thumb([0xf240, 0x0000]), None);

        let riscv = |bytes: &[u8]| Code::RiscV32.call(bytes, 0x1000);
        assert_eq!(riscv(&0x0000_00ef_u32.to_le_bytes()), Some(0x1000));
        assert_eq!(riscv(&0xffdf_f0ef_u32.to_le_bytes()), Some(0xffc));
        assert_eq!(riscv(&0x0010_00ef_u32.to_le_bytes()), Some(0x1800));
        // `jal zero` is a jump.
        assert_eq!(riscv(&0x0000_006f_u32.to_le_bytes()), None);
        assert_eq!(riscv(&0x2001_u16.to_le_bytes()), Some(0x1000));
        assert_eq!(riscv(&0x3ffd_u16.to_le_bytes()), Some(0xffe));
        let far = [0x0000_1097_u32, 0xffc0_80e7]
            .map(u32::to_le_bytes)
            .concat();
        assert_eq!(riscv(&far), Some(0x1ffc));
        assert_eq!(riscv(&0x0000_1097_u32.to_le_bytes()), None);
    }
}
