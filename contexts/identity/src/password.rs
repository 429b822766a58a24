//! Passwords: argon2id (RFC 9106), a bounded number at once, so that a storm of sign-ins cannot starve the rest.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use kernel::{Cx, Problem, ProblemKind};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

/// OWASP's minimum for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
/// The shortest password (NIST SP 800-63B-4, section 3.1.1.2, for one used with a second factor at choice).
pub(crate) const SHORTEST: usize = 10;
const LONGEST: usize = 256;
/// How many may wait before others are sent away.
const WAITING: usize = 64;

/// Hashes and checks, off the runtime's threads.
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).expect("the parameters are in argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

impl Passwords {
    /// At most so many at once.
    pub(crate) fn new(at_once: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new(at_once)), queue: Arc::new(Semaphore::new(at_once + WAITING)) }
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let busy = || {
            Problem::new(ProblemKind::Unavailable, "identity.busy", "too many people sign in at this moment")
                .hint("try again in a few seconds")
                .retry_after(2)
        };
        let place = Arc::clone(&self.queue).try_acquire_owned().map_err(|_| busy())?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| busy())?;
        let done = tokio::task::spawn_blocking(work).await.map_err(Problem::internal);
        drop((place, turn));
        done
    }

    /// The hash of a new password, which must be long enough.
    pub(crate) async fn hash(&self, password: SecretString, cx: &Cx) -> Result<String, Problem> {
        let length = password.expose_secret().chars().count();
        if !(SHORTEST..=LONGEST).contains(&length) {
            return Err(Problem::invalid_field("/password", format!("expected {SHORTEST} to {LONGEST} characters")));
        }
        let salt = cx.random::<16>();
        let hash = move || {
            let hash = argon2().hash_password_with_salt(password.expose_secret().as_bytes(), &salt);
            hash.map(|hash: PasswordHash| hash.to_string()).map_err(Problem::internal)
        };
        self.run(hash).await?
    }

    /// Whether a password is the one of a hash. Without a hash it takes as long, and is not.
    pub(crate) async fn verify(&self, password: SecretString, hash: Option<String>) -> Result<bool, Problem> {
        if password.expose_secret().len() > LONGEST * 4 {
            return Ok(false);
        }
        let verify = move || {
            // Of no password: what somebody types never matches it in practice.
            const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5LW5vYm9keQ$\
                                  NQv2yWwXB9GmX0C0ksEHIJUsJxWn3mOmYHVZjxfxDO4";
            let known = hash.is_some();
            let hash = hash.unwrap_or_else(|| NOBODY.to_owned());
            argon2().verify_password(password.expose_secret().as_bytes(), hash.as_str()).is_ok() && known
        };
        self.run(verify).await
    }
}
