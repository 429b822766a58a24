//! argon2id in memory that is kept: whoever hashes next takes the blocks of whoever is done, instead of 19 MiB of new
//! pages that each thread's allocator holds on to.

use std::sync::{Mutex, MutexGuard, PoisonError};

use argon2::{
    Algorithm, Argon2, Block, CustomizedPasswordHasher, Params, PasswordHash, Version,
    password_hash::{
        Error, Result,
        phc::{Output, ParamsString, Salt},
    },
};

/// Hashes with these parameters, and verifies what was hashed with any.
pub(crate) struct Argon {
    params: Params,
    /// As many as ever hashed at once.
    memory: Mutex<Vec<Vec<Block>>>,
}

impl Argon {
    pub(crate) fn with(params: Params) -> Self {
        Self { params, memory: Mutex::default() }
    }

    fn memory(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn hash(&self, password: &[u8], salt: &[u8]) -> Result<PasswordHash> {
        self.hash_password_customized(password, salt, None, None, self.params.clone())
    }
}

impl CustomizedPasswordHasher<PasswordHash> for Argon {
    type Params = Params;

    fn hash_password_customized(
        &self,
        password: &[u8],
        salt: &[u8],
        algorithm: Option<&str>,
        version: Option<u32>,
        params: Params,
    ) -> Result<PasswordHash> {
        let algorithm = algorithm.map(Algorithm::try_from).transpose()?.unwrap_or_default();
        let version = version.map(Version::try_from).transpose()?.unwrap_or_default();
        let (salt, mut buffer) = (Salt::new(salt)?, [0; Output::MAX_LENGTH]);
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let out = buffer.get_mut(..length).ok_or(Error::OutputSize)?;
        let argon2 = Argon2::new(algorithm, version, params);
        let taken = self.memory().pop();
        let mut blocks = taken.unwrap_or_default();
        blocks.resize(argon2.params().block_count(), Block::default());
        argon2.hash_password_into_with_memory(password, &salt, out, &mut blocks)?;
        self.memory().push(blocks);
        Ok(PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: ParamsString::try_from(argon2.params())?,
            salt: Some(salt),
            hash: Some(Output::new(out)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use argon2::{PasswordHasher, PasswordVerifier};

    use super::*;

    #[test]
    fn used_memory_gives_what_new_memory_gives() {
        let params = Params::new(64, 2, 1, None).unwrap();
        let (argon, plain) = (Argon::with(params.clone()), Argon2::new(Algorithm::Argon2id, Version::V0x13, params));
        for password in [b"one".as_slice(), b"another", b"one"] {
            let hash = argon.hash(password, b"some salt").unwrap();
            assert_eq!(hash, plain.hash_password_with_salt(password, b"some salt").unwrap());
            argon.verify_password(password, &hash).unwrap();
            argon.verify_password(b"other", &hash).unwrap_err();
            // Of other parameters.
            let larger = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(128, 1, 1, None).unwrap());
            let hash = larger.hash_password_with_salt(password, b"some salt").unwrap();
            argon.verify_password(password, &hash).unwrap();
        }
        assert_eq!(argon.memory().len(), 1, "one at a time needs one");
    }
}
