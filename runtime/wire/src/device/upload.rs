//! An image, part by part, into the slot that is not in use.

use consort_runtime::VerifyError;
use consort_update::{Admit, Refusal, RevisionCounter, Slots, Update, UpdateError, View};
use embedded_io::{Read, Write};

use super::link::Link;
use crate::hash::Hash;
use crate::message::{Refused, Reply, Request};

/// Receives an image of `length` bytes: whether it began. Then it ends when the image is committed or refused, or when another
/// request gives it up.
pub(super) fn receive<S, F, A, C, const N: usize>(
    link: &mut Link<'_, S, N>,
    slots: &mut Slots<F, A, C>,
    length: u32,
    room: u32,
) -> Result<bool, S::Error>
where
    S: Read + Write,
    F: View,
    A: Admit,
    C: RevisionCounter,
{
    let begun = match length > room {
        true => Err(Refused::TooLong { room }),
        false => slots.begin().map_err(|error| refused(&error)),
    };
    match begun {
        Ok(update) => {
            link.reply(&Reply::Done)?;
            parts(link, update, length).map(|()| true)
        }
        Err(why) => link.reply(&Reply::Refused(why)).map(|()| false),
    }
}

/// The image's parts, and its end.
fn parts<S, F, A, C, const N: usize>(
    link: &mut Link<'_, S, N>,
    mut update: Update<'_, F, A, C>,
    length: u32,
) -> Result<(), S::Error>
where
    S: Read + Write,
    F: View,
    A: Admit,
    C: RevisionCounter,
{
    let (mut written, mut sum) = (0_u32, Hash::new());
    loop {
        if !link.wait()? {
            return Ok(());
        }
        let reply = match link.request() {
            Request::Chunk { offset, .. } if offset != written => {
                Reply::Refused(Refused::Offset { expected: written })
            }
            Request::Chunk { bytes, .. } => {
                let whole = u32::try_from(bytes.len()).ok();
                match whole.and_then(|len| written.checked_add(len)) {
                    Some(end) if end <= length => match update.write(bytes) {
                        Ok(()) => {
                            sum.bytes(bytes);
                            written = end;
                            Reply::Done
                        }
                        Err(error) => return link.reply(&Reply::Refused(refused(&error))),
                    },
                    _ => return link.reply(&Reply::Refused(Refused::Upload)),
                }
            }
            Request::Commit { hash } if written == length && hash == sum.finish() => {
                let reply = match update.commit() {
                    Ok(()) => Reply::Done,
                    Err(error) => Reply::Refused(refused(&error)),
                };
                return link.reply(&reply);
            }
            Request::Commit { .. } => return link.reply(&Reply::Refused(Refused::Upload)),
            _ => {
                link.keep();
                return Ok(());
            }
        };
        link.reply(&reply)?;
    }
}

fn refused<F: core::fmt::Debug, C: core::fmt::Debug>(error: &UpdateError<F, C>) -> Refused {
    match *error {
        UpdateError::Unconfirmed => Refused::Unconfirmed,
        UpdateError::TooLong { room } => Refused::TooLong { room },
        UpdateError::Refused(Refusal::Unsuitable) => Refused::Unsuitable,
        UpdateError::Refused(Refusal::Image(VerifyError::Unsigned | VerifyError::Signature)) => {
            Refused::Signature
        }
        UpdateError::Refused(_) => Refused::Image,
        UpdateError::Rollback { least, .. } => Refused::Rollback { least },
        // A boot gives none, only where the counter cannot be read.
        UpdateError::Counter(_) | UpdateError::NotBooted => Refused::Counter,
        _ => Refused::Flash,
    }
}
