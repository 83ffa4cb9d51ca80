//! What a call came to.

use core::ffi::{CStr, c_char};

use consort_runtime::{ImageError, StepError, VerifyError};

/// `consort_status_t`: a number of fixed size, as C's enumerations have none.
pub type Status = i32;

macro_rules! statuses {
    ($($name:ident = $value:literal, $text:literal;)+) => {
        $(#[doc = $text] pub const $name: Status = $value;)+

        /// Every status: its name in the header, its number, its text.
        pub const STATUSES: &[(&str, Status, &CStr)] = &[
            $((concat!("CONSORT_", stringify!($name)), $value, match CStr::from_bytes_with_nul(concat!($text, "\0").as_bytes()) {
                Ok(text) => text,
                Err(_) => panic!("a status's text holds no zero"),
            }),)+
        ];
    };
}

statuses! {
    OK = 0, "done";
    ERR_NULL = 1, "a pointer is null";
    ERR_ALIGNMENT = 2, "a pointer is not aligned for what it points to";
    ERR_LENGTH = 3, "a length is larger than any object";
    ERR_OVERLAP = 4, "what is written to overlaps the policy, its image, or something else that the call uses";
    ERR_HANDLE = 5, "the policy or the clock was not initialised, or the image was refused";
    ERR_NUMBER = 6, "a number is 0 that must not be";
    ERR_IMAGE_MAGIC = 16, "the image does not start like one";
    ERR_IMAGE_VERSION = 17, "the image is of another format version";
    ERR_IMAGE_LENGTH = 18, "the image does not have the length it says";
    ERR_IMAGE_CHECKSUM = 19, "the image is damaged: its checksum does not fit";
    ERR_IMAGE_ALIGNMENT = 20, "the image does not lie at a multiple of 4";
    ERR_IMAGE_UNKNOWN = 21, "the image has a layer, an activation or a head that this build does not know";
    ERR_IMAGE_MALFORMED = 22, "the image contradicts itself";
    ERR_IMAGE_UNSIGNED = 23, "the image is not signed";
    ERR_IMAGE_SIGNATURE = 24, "the image's signature does not fit";
    ERR_OBSERVATION_LENGTH = 32, "the observation does not have the policy's length";
    ERR_OBSERVATION_VALUE = 33, "a value of the observation is infinite or not a number";
    ERR_MEMORY_LENGTH = 34, "the memory is shorter than the policy needs";
    ERR_STATE_VALUE = 35, "the state is infinite or not a number: it was not reset, or was changed";
    ERR_OVERFLOW = 36, "an output or a state overflowed: the observation is out of all proportion";
    ERR_MASK_LENGTH = 37, "the mask does not have a value for each action";
    ERR_MASK_VALUE = 38, "a value of the mask is neither 0 nor 1";
    ERR_MASK_EMPTY = 39, "the mask allows no action, or none of a group";
    ERR_KIND = 40, "the policy's actions are of another kind: a number, a number a group, a vector";
    ERR_OUTPUT_LENGTH = 41, "the place for the result does not have the policy's output length";
    ERR_SYMBOL = 42, "the policy expects a shared seed: the observation does not end with a symbol's one-hot vector";
    ERR_SEED = 43, "the policy expects no shared seed";
    ERR_PACE = 48, "the step came earlier or later than the training period allows";
    ERR_CLOCK_LOST = 49, "the clock was never told where the team is";
    ERR_CLOCK_EXPIRED = 50, "the clock was told where the team is too long ago: its lease is over";
    ERR_CLOCK_STALE = 51, "the moment is one that was used already, or before it";
    ERR_LAYOUT = 64, "the slots cannot lie there: they are too short, or they or their length are no multiple of what is erased at once";
    ERR_NO_IMAGE = 65, "no slot holds an image that may act";
    ERR_NOT_BOOTED = 66, "the slots were not booted, or nothing was";
    ERR_UNCONFIRMED = 67, "the image in use is on trial: the other one is what remains if it fails";
    ERR_NO_UPDATE = 68, "no update is under way, or it failed";
    ERR_SLOT_FULL = 69, "the image is longer than a slot";
    ERR_UNSUITABLE = 70, "the image is another device's";
    ERR_ROLLBACK = 71, "the image is older than one that was confirmed";
    ERR_FLASH = 72, "the flash failed or is worn out";
    ERR_COUNTER = 73, "the revision counter failed";
}

/// What a status means, in English, for ever valid; of any other number that it is unknown.
#[unsafe(no_mangle)]
pub extern "C" fn consort_status_string(status: Status) -> *const c_char {
    let known = STATUSES.iter().find(|&&(_, value, _)| value == status);
    known
        .map_or(c"unknown status", |&(_, _, text)| text)
        .as_ptr()
}

/// `OK`, or the error's number.
pub(crate) fn of(result: Result<(), Status>) -> Status {
    result.err().unwrap_or(OK)
}

pub(crate) fn of_image(error: ImageError) -> Status {
    match error {
        ImageError::Magic { .. } => ERR_IMAGE_MAGIC,
        ImageError::Version { .. } => ERR_IMAGE_VERSION,
        ImageError::Truncated { .. } | ImageError::TrailingBytes { .. } => ERR_IMAGE_LENGTH,
        ImageError::Checksum { .. } => ERR_IMAGE_CHECKSUM,
        ImageError::Misaligned { .. } => ERR_IMAGE_ALIGNMENT,
        ImageError::HeadTag { .. }
        | ImageError::LayerTag { .. }
        | ImageError::LeftOut { .. }
        | ImageError::ActivationTag { .. } => ERR_IMAGE_UNKNOWN,
        ImageError::SignatureLength { .. }
        | ImageError::Seeding { .. }
        | ImageError::HeaderLength { .. }
        | ImageError::Padding { .. }
        | ImageError::Header
        | ImageError::LayerRecord { .. }
        | ImageError::HeaderTrailing { .. }
        | ImageError::Shape(_)
        | ImageError::Memory { .. }
        | ImageError::MissingWeights { .. }
        | ImageError::MissingHead { .. }
        | ImageError::NonFiniteLogStd { .. }
        | ImageError::TrailingWeights { .. }
        | ImageError::NonFiniteWeight { .. }
        | ImageError::IntegerParameter { .. }
        | ImageError::IntegerShift { .. }
        | ImageError::IntegerOverflow { .. } => ERR_IMAGE_MALFORMED,
        // A later runtime's: until it has a line above, the image is none for this library.
        _ => ERR_IMAGE_MALFORMED,
    }
}

pub(crate) fn of_verified(error: VerifyError) -> Status {
    match error {
        VerifyError::Image(error) => of_image(error),
        VerifyError::Unsigned => ERR_IMAGE_UNSIGNED,
        VerifyError::Signature => ERR_IMAGE_SIGNATURE,
        // As above.
        _ => ERR_IMAGE_SIGNATURE,
    }
}

pub(crate) fn of_step(error: StepError) -> Status {
    match error {
        StepError::ObservationLength { .. } => ERR_OBSERVATION_LENGTH,
        StepError::NonFiniteObservation { .. } => ERR_OBSERVATION_VALUE,
        StepError::NoSymbol { .. } => ERR_SYMBOL,
        StepError::Memory { .. } => ERR_MEMORY_LENGTH,
        StepError::NonFiniteState { .. } => ERR_STATE_VALUE,
        StepError::NonFiniteOutput { .. } | StepError::StateOverflow { .. } => ERR_OVERFLOW,
        StepError::MaskLength { .. } => ERR_MASK_LENGTH,
        StepError::EmptyMask => ERR_MASK_EMPTY,
        StepError::Kind => ERR_KIND,
        // As above: of something that this library does not know.
        _ => ERR_IMAGE_UNKNOWN,
    }
}
