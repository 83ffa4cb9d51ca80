//! A slot's records: one that commits its image, then for every trial a mark that it has begun and a place to confirm.
//!
//! ```text
//! commit │ trial 0 │ confirm 0 │ trial 1 │ confirm 1 │ trial 2 │ confirm 2        32 bytes each
//! ```
//!
//! Each is written once between two erasures, and only read as a whole: a power cut while it is written leaves anything in
//! it, which a CRC finds out, and nothing anywhere else. A trial's mark counts as soon as it is not blank.

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use embedded_storage::nor_flash::NorFlash;

/// Boots that a new image is given to be confirmed in. More than one, as a reset may have causes of its own.
pub const TRIALS: u32 = 3;

/// The largest unit that common microcontrollers write flash by.
pub(crate) const RECORD_LEN: usize = 32;
pub(crate) const TRAILER_LEN: u32 = RECORD_LEN as u32 * (1 + 2 * TRIALS);

const BLANK: u8 = 0xff;
const MAGIC: [u8; 4] = *b"CNSR";
const COMMIT: u32 = 1;
const CONFIRM: u32 = 2;

/// What is said of an image when it is committed, and again when it is confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Counts updates; the larger one is the newer.
    pub(crate) sequence: u32,
    pub(crate) len: u32,
    pub(crate) revision: u32,
}

/// What a slot's records say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trailer {
    pub(crate) entry: Entry,
    pub(crate) confirmed: bool,
    /// The first trial that has not begun: [`TRIALS`] when all have.
    pub(crate) next_trial: u32,
}

impl Trailer {
    /// Reads the records at `offset`; none where no image was committed. A record that cannot be read counts as one that
    /// was cut short.
    pub(crate) fn read<F: NorFlash>(flash: &mut F, offset: u32) -> Option<Self> {
        let mut confirmed = None;
        let mut next_trial = 0;
        for trial in 0..TRIALS {
            if !is_blank(flash, trial_offset(offset, trial)) {
                next_trial = trial + 1;
            }
            let entry = read_entry(flash, confirm_offset(offset, trial), CONFIRM);
            confirmed = confirmed.or(entry);
        }
        // A confirmation stands by itself: the commit's record may have been cut short, and yet been readable then.
        let entry = confirmed.or_else(|| read_entry(flash, offset, COMMIT))?;
        Some(Trailer {
            entry,
            confirmed: confirmed.is_some(),
            next_trial,
        })
    }
}

/// Marks that a trial begins, in the first place from `first` on that takes it; the trial after that, or none.
pub(crate) fn begin_trial<F: NorFlash>(flash: &mut F, offset: u32, first: u32) -> Option<u32> {
    (first..TRIALS).find_map(|trial| {
        let place = trial_offset(offset, trial);
        // An error may have written something all the same: what counts is what is there now.
        let _ = flash.write(place, &[0; RECORD_LEN]);
        (!is_blank(flash, place)).then_some(trial + 1)
    })
}

/// Commits an image; whether that can be read back.
pub(crate) fn commit<F: NorFlash>(
    flash: &mut F,
    offset: u32,
    entry: Entry,
) -> Result<bool, F::Error> {
    flash.write(offset, &encode(entry, COMMIT))?;
    Ok(read_entry(flash, offset, COMMIT) == Some(entry))
}

/// Confirms an image, in the first place that takes it; whether there was one.
pub(crate) fn confirm<F: NorFlash>(flash: &mut F, offset: u32, entry: Entry) -> bool {
    (0..TRIALS).any(|trial| {
        let place = confirm_offset(offset, trial);
        if is_blank(flash, place) {
            let _ = flash.write(place, &encode(entry, CONFIRM));
        }
        read_entry(flash, place, CONFIRM) == Some(entry)
    })
}

fn trial_offset(offset: u32, trial: u32) -> u32 {
    offset.saturating_add(RECORD_LEN as u32 * (1 + 2 * trial))
}

fn confirm_offset(offset: u32, trial: u32) -> u32 {
    offset.saturating_add(RECORD_LEN as u32 * (2 + 2 * trial))
}

fn is_blank<F: NorFlash>(flash: &mut F, offset: u32) -> bool {
    let mut bytes = [0; RECORD_LEN];
    flash.read(offset, &mut bytes).is_ok() && bytes == [BLANK; RECORD_LEN]
}

fn read_entry<F: NorFlash>(flash: &mut F, offset: u32, kind: u32) -> Option<Entry> {
    let mut bytes = [0; RECORD_LEN];
    flash.read(offset, &mut bytes).ok()?;
    let (words, _) = bytes.as_chunks::<4>();
    let [_, _, sequence, len, revision, ..] = *words else {
        return None;
    };
    let [sequence, len, revision] = [sequence, len, revision].map(u32::from_le_bytes);
    let entry = Entry {
        sequence,
        len,
        revision,
    };
    (bytes == encode(entry, kind)).then_some(entry)
}

fn encode(entry: Entry, kind: u32) -> [u8; RECORD_LEN] {
    const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);
    let [k, s, l, r] = [kind, entry.sequence, entry.len, entry.revision].map(u32::to_le_bytes);
    let fields = [MAGIC, k, s, l, r, [BLANK; 4], [BLANK; 4]];
    let mut bytes = [0; RECORD_LEN];
    put(&mut bytes, fields.as_flattened());
    let sum = CRC.checksum(fields.as_flattened()).to_le_bytes();
    if let Some(last) = bytes.last_chunk_mut() {
        *last = sum;
    }
    bytes
}

fn put(place: &mut [u8], bytes: &[u8]) {
    place
        .iter_mut()
        .zip(bytes)
        .for_each(|(slot, &byte)| *slot = byte);
}
