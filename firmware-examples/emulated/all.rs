//! Calls everything a policy can do, sampled actions and masks included: nothing of it may link a way to panic.

#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

use core::num::NonZeroU32;

use board::{MEMORY, entry};
use consort_replay::{Dice, embedded, safety};
use consort_runtime::{Cadence, Image, Policy, SeedClock, SharedSeed, Symbol};

#[entry]
fn main() -> ! {
    let mut memory = [0.0; MEMORY];
    let mut rng = Dice(1);
    loop {
        let Ok(image) = Image::new_checked(black_box(embedded::IMAGE)) else {
            continue;
        };
        let cadence = black_box(Cadence {
            period_us: NonZeroU32::MIN,
            ticks: NonZeroU32::MIN,
        });
        let mut clock = black_box(SeedClock::new(cadence.ticks, 1));
        black_box(&clock.resync(cadence.moment(black_box(1))));
        if let (Some(seeding), Ok(moment)) = (image.seeding(), black_box(clock.step())) {
            clock.begin_episode();
            let symbol = SharedSeed::new(black_box([0; 16])).draw(seeding, moment);
            let mut observation = black_box([0.0; 8]);
            black_box(&symbol.write(&mut observation).ok());
            black_box(
                &Symbol::private(seeding, &mut rng)
                    .write(&mut observation)
                    .ok(),
            );
        }
        let policy = Policy::new(image);
        let memory = black_box(&mut memory);
        let (observation, mask) = (
            black_box(embedded::SEQUENCE).observations,
            black_box(embedded::SEQUENCE).masks,
        );
        black_box(&policy.reset(memory).ok());
        black_box(&policy.step(observation, memory).ok());
        black_box(&policy.step_sampled(observation, memory, &mut rng).ok());
        black_box(&policy.act_greedy(observation, memory).ok());
        black_box(&policy.act_sampled(observation, memory, &mut rng).ok());
        black_box(&policy.act_greedy_masked(observation, mask, memory).ok());
        black_box(
            &policy
                .act_sampled_masked(observation, mask, memory, &mut rng)
                .ok(),
        );
        black_box(&policy.logits(observation, memory).ok());
        black_box(&policy.outputs(observation, memory).ok());
        black_box(safety::guarded(
            embedded::IMAGE,
            observation,
            mask,
            memory,
            &mut rng,
        ));
        black_box(safety::updated(black_box(embedded::IMAGE)));
    }
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    loop {}
}
