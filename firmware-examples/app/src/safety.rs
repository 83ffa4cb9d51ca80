//! Everything that keeps an agent safe: guarded steps, the pace, and an update in two slots. For the binary that must
//! link no way to panic, and small enough to read as an example.

use consort_runtime::{Acted, Action, Fault, Guarded, Image, Pace};
use consort_update::{NoCounter, Refusal, Slots};
use consort_wire::Ram;
use rand_core::Rng;

/// What the agent does when it does not know what to do.
const STAND_STILL: Action<'static> = Action::Discrete(0);

/// Whether a step of each kind was the policy's own, and in time.
pub fn guarded(
    image: &[u8],
    observation: &[f32],
    mask: &[bool],
    memory: &mut [f32],
    rng: &mut impl Rng,
) -> bool {
    let own = |acted: Acted<'_>| acted.fault.is_none();
    // A stand-in for hardware that verifies.
    let mut verifier = |message: &[u8], signature: &[u8; 64]| message.first() == signature.first();
    let signed = Guarded::new(Image::new_verified(image, &mut verifier), STAND_STILL);
    let guarded = Guarded::new(Image::new_checked(image), STAND_STILL);
    let period = guarded
        .policy()
        .map_or(0, |policy| policy.image().period_us());
    let mut pace = Pace::new(period, 100);
    let reset: Result<(), Fault> = guarded.reset(memory);
    reset.is_ok()
        & pace.tick(0).is_ok()
        & own(guarded.step(observation, memory))
        & own(guarded.step_sampled(observation, memory, rng))
        & own(guarded.step_masked(observation, mask, memory))
        & own(guarded.step_sampled_masked(observation, mask, memory, rng))
        & own(signed.step(observation, memory))
        & pace.tick(period).is_ok()
}

/// Installs an image in flash that forgets, boots it, and confirms it; whether what was booted is the image.
pub fn updated(image: &[u8]) -> bool {
    update(image).unwrap_or(false)
}

fn update(image: &[u8]) -> Option<bool> {
    let admit = |bytes: &[u8]| match Image::new_checked(bytes) {
        Ok(image) if image.agent() < image.agents() => Ok(image.revision()),
        Ok(_) => Err(Refusal::Unsuitable),
        Err(error) => Err(error.into()),
    };
    let slot_len = (LEN / 2) as u32;
    // On a board with flash this is its driver.
    let mut slots = Slots::new(Ram::<LEN>::new(), 0, slot_len, admit, NoCounter).ok()?;
    slots.boot().ok()?;
    let mut update = slots.begin().ok()?;
    for chunk in image.chunks(100) {
        update.write(chunk).ok()?;
    }
    update.commit().ok()?;
    let boot = slots.boot().ok()??;
    slots.confirm().ok()?;
    let same = slots.bytes(&boot).ok()? == image;
    Some(same)
}

/// Bytes of the flash: 4 KB a slot.
const LEN: usize = 8192;

#[cfg(test)]
mod tests {
    use core::convert::Infallible;

    use rand_core::TryRng;

    use super::*;
    use crate::embedded::{IMAGE, SEQUENCE};

    struct Zero;

    impl TryRng for Zero {
        type Error = Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            Ok(0)
        }
        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            Ok(0)
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            bytes.fill(0);
            Ok(())
        }
    }

    #[test]
    fn an_update_ends_in_the_image_that_was_sent() {
        assert!(updated(IMAGE));
        assert!(!updated(&IMAGE[1..]));
    }

    #[test]
    fn an_unsigned_image_is_a_fault_and_the_rest_is_not() {
        let image = Image::new_checked(IMAGE).unwrap();
        let observation = &SEQUENCE.observations[..image.observation_len()];
        let mut memory = [0.0; 256];
        let mask = [true; 2];
        assert!(!guarded(IMAGE, observation, &mask, &mut memory, &mut Zero));
        let guarded = Guarded::new(Image::new_checked(IMAGE), STAND_STILL);
        assert_eq!(guarded.step(observation, &mut memory).fault, None);
    }
}
