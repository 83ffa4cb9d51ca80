//! A team once more, its images signed.

use std::path::Path;

use consort_runtime::{SIGNATURE_LEN, reissue_signed};

use super::{ExportError, card, golden_name, taken};
use crate::atomic::PendingFolder;
use crate::keys::Signer;
use crate::team::{Actors, AlignedImage, CONFIG, KEY, MANIFEST, Team, WEIGHTS, part, read};

/// The most bytes that issuing an image anew adds beside the signature: its revision may take more of the header.
const MORE: usize = 16;

/// Writes the team at `source` to `destination` with images signed by `signer`, of `revision` or their own; its other
/// files, those that do not speak of the images, are copied as they are.
pub fn sign(
    source: &Path,
    destination: &Path,
    signer: &Signer,
    revision: Option<u32>,
) -> Result<Team, ExportError> {
    let Team {
        folder,
        mut manifest,
        task,
        actors,
        key,
    } = Team::load(source)?;
    let mut images = Vec::new();
    for (agent, image) in actors.images().iter().enumerate() {
        let wrong = |source| ExportError::Emit { agent, source };
        let revision = revision.unwrap_or_else(|| image.view().revision());
        let mut bytes = vec![0; image.bytes().len() + SIGNATURE_LEN + MORE];
        let sign = |message: &[u8]| signer.sign(message);
        let len = reissue_signed(image.bytes(), revision, &mut bytes, sign).map_err(wrong)?;
        bytes.truncate(len);
        images.push(AlignedImage::new(&bytes).expect("an emitted image passes its own checks"));
    }
    let actors = Actors::new(images);
    for (entry, image) in manifest.agents.iter_mut().zip(actors.images()) {
        entry.crc = format!("{:08x}", image.view().crc());
    }

    let card_name = "README.md";
    let mut pending = PendingFolder::new(destination).map_err(taken)?;
    // What a team consists of, not what else may lie beside it, such as a secret.
    for (name, role) in [(CONFIG, "its settings"), (WEIGHTS, "its weights")] {
        let bytes = part(read(&folder.join(name)), || role.to_owned())?;
        pending.write(name, &bytes)?;
    }
    let goldens = (0..manifest.agents.len()).map(golden_name);
    for name in goldens.chain(key.map(|_| KEY.to_owned())) {
        let bytes = part(read(&folder.join(&name)), || "a golden sequence".to_owned())?;
        match key {
            // The key, or a sequence that quotes it.
            Some(_) => pending.write_secret(&name, &bytes)?,
            None => pending.write(&name, &bytes)?,
        }
    }
    for (entry, image) in manifest.agents.iter().zip(actors.images()) {
        pending.write(&entry.image, image.bytes())?;
    }
    let card = card::write(&manifest, &task, &actors);
    pending.write(card_name, card.as_bytes())?;
    // The manifest last: where it is, the team is whole.
    pending.write(MANIFEST, manifest.to_toml().as_bytes())?;
    pending.commit().map_err(taken)?;
    Ok(Team {
        folder: destination.to_owned(),
        manifest,
        task,
        actors,
        key,
    })
}
