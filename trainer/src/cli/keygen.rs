//! `consort keygen`: a key to sign images with.

use std::path::PathBuf;

use consort_trainer::error::Error;
use consort_trainer::keys::Signer;
use serde_json::json;

use super::Page;

/// Make a key to sign images with: a secret file, and a public one that firmware includes
#[derive(clap::Args)]
pub(super) struct Args {
    /// The secret key's file, a new one; the public key goes to the same name with .pub behind it
    file: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<Page, Error> {
    let (public_file, public) = Signer::generate(&args.file)?;
    let hex: String = public.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Page {
        text: format!(
            "secret key, for `consort sign`: {}\npublic key, for firmware:        {}\n{hex}\n",
            args.file.display(),
            public_file.display()
        ),
        json: json!({
            "secret_key_file": args.file,
            "public_key_file": public_file,
            "public_key": hex,
        }),
    })
}
