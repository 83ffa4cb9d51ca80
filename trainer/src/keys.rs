//! Keys that sign images: made from the system's randomness, kept in files.
//!
//! The secret key is PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` writes it too; the public key, which a firmware
//! includes, is its 32 bytes. The one place where randomness is not a named stream: a key that could be drawn again would be
//! none.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use consort_runtime::{Ed25519, Image, SIGNATURE_LEN, VerifyError};
use ed25519_compact::{KeyPair, PublicKey, SecretKey};

use crate::atomic::{self, WriteError};

/// Why there is no key, or why an image is not signed by it.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not a secret key.
    #[error(
        "{}: found no Ed25519 secret key, expected PKCS#8 in PEM, as `consort keygen` and `openssl genpkey -algorithm ed25519` write it",
        path.display()
    )]
    NotSecret {
        /// The file.
        path: PathBuf,
    },
    /// A file is not a public key.
    #[error("{}: found {found} bytes, expected the 32 of a public key, as `consort keygen` writes them beside the secret one", path.display())]
    NotPublic {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: usize,
    },
    /// A key is there already.
    #[error("{}: found something there already, expected a new name: a lost key cannot be made again", path.display())]
    Taken {
        /// The file.
        path: PathBuf,
    },
    /// An image is not signed with a key.
    #[error("{}: {source}", path.display())]
    Image {
        /// The image's file.
        path: PathBuf,
        /// Why not.
        source: VerifyError,
    },
    /// The machine refused to write.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl KeyError {
    /// Whether what was given is at fault, not the machine.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Write(error) => error.is_bad_path(),
            _ => true,
        }
    }
}

/// A key that signs.
pub struct Signer {
    secret: SecretKey,
}

impl Signer {
    /// Makes a key pair: the secret key in a new file called `path` that its owner alone may read, the public one in `path`
    /// with `.pub` behind it. Returns the latter's name and the public key.
    ///
    /// # Errors
    ///
    /// When there is a file of either name, or they cannot be written.
    pub fn generate(path: &Path) -> Result<(PathBuf, [u8; 32]), KeyError> {
        let public_path = public_path(path);
        for path in [path, &public_path] {
            if path.symlink_metadata().is_ok() {
                return Err(KeyError::Taken {
                    path: path.to_owned(),
                });
            }
        }
        let pair = KeyPair::generate();
        atomic::write_secret(path, pair.sk.to_pem().as_bytes())?;
        atomic::write(&public_path, &*pair.pk)?;
        Ok((public_path, *pair.pk))
    }

    /// Reads a secret key.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is none.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let bytes = read(path)?;
        let secret = str::from_utf8(&bytes)
            .ok()
            .and_then(|text| SecretKey::from_pem(text).ok());
        secret
            .map(|secret| Self { secret })
            .ok_or_else(|| KeyError::NotSecret {
                path: path.to_owned(),
            })
    }

    /// Its public key.
    pub fn public(&self) -> [u8; 32] {
        *self.secret.public_key()
    }

    /// The signature of a message: the same one every time.
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        *self.secret.sign(message, None)
    }
}

/// Reads a public key: 32 bytes.
///
/// # Errors
///
/// When the file cannot be read or has another length.
pub fn read_public(path: &Path) -> Result<PublicKey, KeyError> {
    let bytes = read(path)?;
    let found = bytes.len();
    let key: Result<[u8; 32], _> = bytes.try_into();
    key.map(PublicKey::new).map_err(|_| KeyError::NotPublic {
        path: path.to_owned(),
        found,
    })
}

/// Checks that the image in the file called `path` was signed with the key.
///
/// # Errors
///
/// When it has no signature, or another's.
pub fn verify(path: &Path, image: &Image<'_>, key: PublicKey) -> Result<(), KeyError> {
    match Image::new_verified(image.as_bytes(), &mut Ed25519::new(*key)) {
        Ok(_) => Ok(()),
        Err(source) => Err(KeyError::Image {
            path: path.to_owned(),
            source,
        }),
    }
}

fn public_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".pub");
    name.into()
}

fn read(path: &Path) -> Result<Vec<u8>, KeyError> {
    fs::read(path).map_err(|source| KeyError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_read_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("team.key");
        let (public, key) = Signer::generate(&path).unwrap();
        assert_eq!(public, folder.path().join("team.key.pub"));
        let signer = Signer::read(&path).unwrap();
        assert_eq!(
            (signer.public(), *read_public(&public).unwrap()),
            (key, key)
        );
        let signature = ed25519_compact::Signature::new(signer.sign(b"message"));
        assert!(PublicKey::new(key).verify(b"message", &signature).is_ok());
        assert!(PublicKey::new(key).verify(b"massage", &signature).is_err());

        let taken = |result: Result<_, KeyError>| {
            assert!(matches!(result.map(|_| ()), Err(KeyError::Taken { .. })));
        };
        taken(Signer::generate(&path));
        fs::remove_file(&path).unwrap();
        taken(Signer::generate(&path));
        assert_eq!(*read_public(&public).unwrap(), key);
        let other = folder.path().join("other.key");
        assert_ne!(Signer::generate(&other).unwrap().1, key);
    }

    /// What OpenSSL 3 writes for the secret key of RFC 8032's first test.
    #[test]
    fn openssls_keys_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let pem = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
                   -----END PRIVATE KEY-----\n";
        fs::write(&path, pem).unwrap();
        let public = Signer::read(&path).unwrap().public();
        assert_eq!(public[..4], [0xd7, 0x5a, 0x98, 0x01]);
        assert_eq!(public[28..], [0xf7, 0x07, 0x51, 0x1a]);

        for wrong in ["", "not a key", &pem[..60], &pem.replace("MC4C", "MC4D")] {
            fs::write(&path, wrong).unwrap();
            let error = Signer::read(&path).map(|_| ()).unwrap_err();
            assert!(
                error.to_string().contains("expected PKCS#8 in PEM"),
                "{error}"
            );
        }
        fs::write(&path, [0xff; 48]).unwrap();
        assert!(Signer::read(&path).is_err());
        let error = read_public(&path).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("found 48 bytes, expected the 32"),
            "{error}"
        );
    }
}
