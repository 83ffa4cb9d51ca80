//! Bytes placed so that an image's weights can be used where they lie.

/// `N` bytes aligned to 16, for images in a `static`, on the stack or in a linker section.
///
/// A plain `include_bytes!` or `Vec<u8>` promises no alignment, and [`Image::new_checked`](crate::Image::new_checked) refuses an
/// image whose weights would be read misaligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct AlignedBytes<const N: usize>(pub [u8; N]);

/// Includes a file as a `&'static [u8]` aligned for [`Image::new_checked`](crate::Image::new_checked): `include_bytes!`, aligned.
///
/// The path is relative to the file that names it.
///
/// ```ignore
/// use consort_runtime::{Image, ImageError, include_image};
///
/// static IMAGE: &[u8] = include_image!("../models/assurance/agent-0.image");
///
/// fn main() -> Result<(), ImageError> {
///     let image = Image::new_checked(IMAGE)?;
///     # let _ = image;
///     Ok(())
/// }
/// ```
#[macro_export]
macro_rules! include_image {
    ($path:expr $(,)?) => {
        const { &$crate::AlignedBytes(*include_bytes!($path)) }
            .0
            .as_slice()
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_aligned() {
        let odd = [0u8; 3];
        let stack = AlignedBytes([1u8; 5]);
        static INCLUDED: &[u8] = include_image!("align.rs");
        assert_eq!(stack.0.as_ptr().addr() % 16, 0);
        assert_eq!(INCLUDED.as_ptr().addr() % 16, 0);
        assert!(INCLUDED.starts_with(b"//! Bytes placed"));
        assert_eq!(odd.len(), 3);
    }
}
