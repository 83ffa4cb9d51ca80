//! A test that runs on the board: the embedded agent does what its golden sequence says, and a damaged image is refused.
//!
//! `cargo test --release` here flashes the board and reports as any test does; by `probe-rs` and `embedded-test`.

#![no_std]
#![no_main]

#[cfg(test)]
#[embedded_test::tests]
mod tests {
    use consort_probes::{Painted, SysTick};
    use consort_replay::{Expected, Sequence, embedded, verify};
    use consort_runtime::{AlignedBytes, Image};
    use cortex_m::Peripherals;
    // For its interrupts, which the start-up code asks for.
    use embassy_nrf as _;

    #[init]
    fn init() -> SysTick {
        SysTick::new(Peripherals::take().expect("taken once").SYST)
    }

    #[test]
    fn the_agent_does_what_its_golden_sequence_says(mut clock: SysTick) {
        let (sequence, expected): (Sequence<'_>, Expected<'_>) =
            (embedded::SEQUENCE, embedded::EXPECTED);
        let memory = &mut [0.0; 4096];
        let verdict = verify(
            &mut clock,
            &mut Painted,
            embedded::IMAGE,
            sequence,
            expected,
            memory,
        );
        assert!(verdict.is_ok_and(|verdict| verdict.steps > 0));
    }

    #[test]
    fn a_damaged_image_is_refused(_: SysTick) {
        let mut image = AlignedBytes([0; 512]);
        let whole = embedded::IMAGE.len().min(image.0.len());
        image.0[..whole].copy_from_slice(&embedded::IMAGE[..whole]);
        image.0[whole / 2] ^= 1;
        assert!(Image::new_checked(&image.0[..whole]).is_err());
    }
}
