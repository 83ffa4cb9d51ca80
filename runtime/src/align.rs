//! Bytes placed so that an image's weights can be used where they lie.

/// `N` bytes aligned to 16, for an image in a `static` or on the stack.
///
/// A plain `include_bytes!` or `Vec<u8>` promises no alignment, and
/// [`Image::new_checked`](crate::Image::new_checked) refuses weights it would have to read
/// misaligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct AlignedBytes<const N: usize>(
    /// The bytes.
    pub [u8; N],
);

/// Includes a file as a `&'static [u8]` aligned for an image: `include_bytes!`, aligned.
///
/// ```
/// use consort_runtime::{Image, include_image};
///
/// // The path is relative to the file that names it.
/// static IMAGE: &[u8] = include_image!("../tests/example.image");
///
/// let image = Image::new_checked(IMAGE)?;
/// assert_eq!(image.agent(), 1);
/// # Ok::<(), consort_runtime::ImageError>(())
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
    fn bytes_are_aligned_wherever_they_lie() {
        static INCLUDED: &[u8] = include_image!("align.rs");
        let on_the_stack = (0u8, AlignedBytes([1u8; 5]));
        assert_eq!(INCLUDED.as_ptr().addr() % 16, 0);
        assert!(INCLUDED.starts_with(b"//! Bytes placed"));
        assert_eq!(on_the_stack.1.0.as_ptr().addr() % 16, 0);
    }
}
