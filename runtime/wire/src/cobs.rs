//! Consistent overhead byte stuffing (Cheshire and Baker 1999): bytes without a zero among them, of which a block's first says how
//! many follow. By hand, as here nothing may panic.

use postcard::Error::SerializeBufferFull;
use postcard::Result;
use postcard::ser_flavors::Flavor;

/// Bytes of the longest block, with the one that says so: behind it stands no zero.
const LONGEST: u8 = u8::MAX;

/// Encodes bytes as they come to the start of a place, and a zero behind them.
pub(crate) struct Encoder<'p> {
    place: &'p mut [u8],
    /// Where the block begins.
    start: usize,
    /// Bytes of it, with its first.
    len: u8,
}

impl<'p> Encoder<'p> {
    pub(crate) fn new(place: &'p mut [u8]) -> Self {
        Encoder {
            place,
            start: 0,
            len: 1,
        }
    }

    fn put(&mut self, index: usize, byte: u8) -> Result<()> {
        let place = self.place.get_mut(index).ok_or(SerializeBufferFull)?;
        *place = byte;
        Ok(())
    }

    /// Ends the block.
    fn close(&mut self) -> Result<()> {
        self.put(self.start, self.len)?;
        self.start = self.start.saturating_add(usize::from(self.len));
        self.len = 1;
        Ok(())
    }
}

impl Flavor for Encoder<'_> {
    /// How many bytes there are, with the zero.
    type Output = usize;

    fn try_push(&mut self, byte: u8) -> Result<()> {
        if self.len == LONGEST {
            self.close()?;
        }
        if byte == 0 {
            return self.close();
        }
        self.put(self.start.saturating_add(usize::from(self.len)), byte)?;
        self.len = self.len.saturating_add(1);
        Ok(())
    }

    fn finalize(mut self) -> Result<usize> {
        self.close()?;
        self.put(self.start, 0)?;
        Ok(self.start.saturating_add(1))
    }
}

/// Decodes bytes, without the zero behind them, where they lie: how many there are then; none where they are no encoding.
pub(crate) fn decode_in_place(bytes: &mut [u8]) -> Option<usize> {
    let (mut from, mut to) = (0_usize, 0_usize);
    while let Some(&len) = bytes.get(from) {
        let end = from.checked_add(usize::from(len))?;
        if len == 0 || end > bytes.len() {
            return None;
        }
        from = from.saturating_add(1);
        while from < end {
            let byte = *bytes.get(from)?;
            *bytes.get_mut(to)? = byte;
            (from, to) = (from.saturating_add(1), to.saturating_add(1));
        }
        if len < LONGEST && from < bytes.len() {
            *bytes.get_mut(to)? = 0;
            to = to.saturating_add(1);
        }
    }
    Some(to)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec;
    use std::vec::Vec;

    use super::*;

    fn encoded(bytes: &[u8], room: usize) -> Option<Vec<u8>> {
        let mut place = vec![0x5a; room];
        let mut encoder = Encoder::new(&mut place);
        for &byte in bytes {
            encoder.try_push(byte).ok()?;
        }
        let len = encoder.finalize().ok()?;
        place.truncate(len);
        Some(place)
    }

    /// Bytes with zeros at other places each time, and runs around the longest block.
    fn samples() -> Vec<Vec<u8>> {
        let mut samples = Vec::new();
        for len in (0..20).chain(250..260).chain(505..515).chain([1000]) {
            for zeros in [0_usize, 1, 2, 7, 254, 255] {
                let byte = |index: usize| match zeros > 0 && index % zeros == zeros - 1 {
                    true => 0,
                    false => 1 + (index % 255) as u8,
                };
                samples.push((0..len).map(byte).collect());
            }
        }
        samples
    }

    #[test]
    fn it_is_what_another_implementation_makes_of_it() {
        // Of nothing, which no frame is, the other makes nothing.
        for bytes in samples().into_iter().filter(|bytes| !bytes.is_empty()) {
            let mut expected = cobs::encode_vec(&bytes);
            expected.push(0);
            let found = encoded(&bytes, expected.len());
            assert_eq!(found.as_ref(), Some(&expected), "{bytes:?}");
            assert_eq!(encoded(&bytes, expected.len() - 1), None);
            expected.pop();
            let len = decode_in_place(&mut expected);
            assert_eq!(len.and_then(|len| expected.get(..len)), Some(&bytes[..]));
        }
    }

    #[test]
    fn what_is_no_encoding_is_none_for_both() {
        for mut bytes in samples() {
            // Without their encoding: lengths that lead anywhere, and zeros.
            let theirs = cobs::decode_vec(&bytes).ok();
            let ours = decode_in_place(&mut bytes);
            let ours = ours.and_then(|len| bytes.get(..len)).map(<[u8]>::to_vec);
            if !bytes.is_empty() && !bytes.contains(&0) {
                assert_eq!(ours, theirs);
            }
        }
        assert_eq!(decode_in_place(&mut [3, 1]), None);
        assert_eq!(decode_in_place(&mut [0]), None);
        assert_eq!(decode_in_place(&mut [2, 7, 0, 1]), None);
    }
}
