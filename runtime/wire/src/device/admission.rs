//! Which images may act on a device.

use consort_runtime::{Image, Verifier};
use consort_update::{Admit, NoCounter, Refusal, RevisionCounter};

/// Which images may act on a device, besides that they must fit it; asked before an image is committed and again at every start.
///
/// ```
/// # use consort_runtime::Verifier;
/// # use consort_update::RevisionCounter;
/// # use consort_wire::Admission;
/// # fn firmware(verifier: impl Verifier, fuses: impl RevisionCounter) {
/// // Signed images, none older than one that was confirmed, on flash that is erased by 4 KiB.
/// let admission = Admission::signed(verifier).counted_by(fuses).erased_by(4096);
/// # drop(admission.into_parts()) }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Admission<A, C> {
    admit: A,
    counter: C,
    erase_size: Option<usize>,
}

/// Admits every image that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Anyone;

impl Admit for Anyone {
    fn admit(&mut self, image: &[u8]) -> Result<u32, Refusal> {
        Ok(Image::new_checked(image)?.revision())
    }
}

/// Admits images whose signature a verifier finds to be the key holder's.
#[derive(Debug, Clone, Copy)]
pub struct Signed<V>(pub V);

impl<V: Verifier> Admit for Signed<V> {
    fn admit(&mut self, image: &[u8]) -> Result<u32, Refusal> {
        Ok(Image::new_verified(image, &mut self.0)?.revision())
    }
}

impl Admission<Anyone, NoCounter> {
    /// Every image that is whole and fits; an update may not be older than the image in use.
    pub const ANYONE: Self = Admission::of(Anyone);
}

impl<V: Verifier> Admission<Signed<V>, NoCounter> {
    /// Images that are signed, by what `verifier` says.
    pub const fn signed(verifier: V) -> Self {
        Admission::of(Signed(verifier))
    }
}

impl<A: Admit> Admission<A, NoCounter> {
    /// Images that `admit` takes: every function of an image's bytes to its revision or a refusal is one.
    pub const fn of(admit: A) -> Self {
        Admission {
            admit,
            counter: NoCounter,
            erase_size: None,
        }
    }
}

impl<A, C> Admission<A, C> {
    /// With a counter that keeps the device from being turned back to an image before one that was confirmed.
    pub fn counted_by<D: RevisionCounter>(self, counter: D) -> Admission<A, D> {
        Admission {
            admit: self.admit,
            counter,
            erase_size: self.erase_size,
        }
    }

    /// On flash that is erased by so many bytes where the slots lie, a multiple of what its driver says.
    pub fn erased_by(self, erase_size: usize) -> Self {
        Admission {
            erase_size: Some(erase_size),
            ..self
        }
    }

    /// Who admits, what counts, and by how many bytes flash is erased where that is not the driver's own number.
    pub fn into_parts(self) -> (A, C, Option<usize>) {
        (self.admit, self.counter, self.erase_size)
    }
}
