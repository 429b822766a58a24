//! The local keyring: the key-encryption key in a file that only its owner can read.

use std::{io::Write, path::Path};

use kernel::entropy::Entropy;
use zeroize::Zeroizing;

use crate::{DataKey, KeyError};

/// Holds the key-encryption key of the installation.
pub struct Keyring(Zeroizing<[u8; 32]>);

fn unavailable(error: impl std::fmt::Display) -> KeyError {
    KeyError::Unavailable(error.to_string())
}

impl Keyring {
    /// Opens the keyring in a file, or makes a new one.
    pub fn open(file: &Path, entropy: &dyn Entropy) -> Result<Self, KeyError> {
        match std::fs::read_to_string(file).map(Zeroizing::new) {
            Ok(text) => {
                let bytes = data_encoding::HEXLOWER.decode(text.trim().as_bytes()).map(Zeroizing::new);
                let bytes = bytes.map_err(|_| unavailable("the keyring is not a line of 64 hexadecimal digits"))?;
                let bytes = <[u8; 32]>::try_from(bytes.as_slice()).map_err(unavailable)?;
                Ok(Self(Zeroizing::new(bytes)))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::create(file, entropy),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// A keyring that stands in no file: whoever has the bytes keeps them.
    pub fn of(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }

    fn create(file: &Path, entropy: &dyn Entropy) -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        entropy.fill(bytes.as_mut());
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut created = options.open(file).map_err(unavailable)?;
        let line = Zeroizing::new(format!("{}\n", data_encoding::HEXLOWER.encode(bytes.as_ref())));
        // A keyring that is lost takes everything with it: it is on the disk before anything is sealed.
        created.write_all(line.as_bytes()).and_then(|()| created.sync_all()).map_err(unavailable)?;
        Ok(Self(bytes))
    }

    /// What wraps the keys of scopes.
    pub(crate) fn wrapping(&self) -> DataKey {
        DataKey::new(self.0.as_ref()).expect("a keyring has 32 bytes")
    }
}
