//! Passwords: argon2id (RFC 9106), a bounded number at once, in fair turns.

use std::{
    collections::HashSet,
    sync::{Arc, LazyLock},
};

use argon2::{Params, PasswordHash, PasswordVerifier};
use kernel::{Cx, Problem, Scope};
use secrecy::{ExposeSecret, SecretString};

use crate::{argon::Argon, turns::Turns};

/// OWASP's minimum for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
/// The shortest password, where it may be the only factor (NIST SP 800-63B-4, section 3.1.1.2).
pub(crate) const SHORTEST: usize = 15;
const LONGEST: usize = 256;
/// Parts of a name or address that are shorter are in many words.
const PART: usize = 4;
/// The commonest passwords; its licence stands beside it.
const COMMON: &str = include_str!("../data/common_passwords.txt");
static COMMONEST: LazyLock<HashSet<&str>> = LazyLock::new(|| COMMON.lines().collect());

/// How passwords are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hashing {
    /// As people's passwords must be, off the runtime's threads.
    Argon2id {
        /// How many at once.
        at_once: usize,
    },
    /// At once and in place, so that a run can be repeated from its seed: for the simulation alone, which has no people.
    /// No setting leads here.
    Simulated,
}

/// Hashes and checks.
#[derive(Clone)]
pub struct Passwords {
    hashing: Hashing,
    argon: Arc<Argon>,
    turns: Arc<Turns>,
}

impl Hashing {
    fn params(self) -> Params {
        let (memory, passes) = match self {
            Self::Argon2id { .. } => (MEMORY_KIB, PASSES),
            Self::Simulated => (Params::MIN_M_COST, Params::MIN_T_COST),
        };
        Params::new(memory, passes, 1, None).expect("the parameters are in argon2's bounds")
    }

    /// Runs long work where nobody waits behind it.
    pub async fn aside<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        match self {
            Self::Argon2id { .. } => tokio::task::spawn_blocking(work).await.map_err(Problem::internal),
            Self::Simulated => Ok(work()),
        }
    }
}

/// The shortest text whose repetition this is.
fn unit(text: &str) -> &str {
    let cut = |at: usize| text.split_at_checked(at).filter(|(_, rest)| text.starts_with(rest)).map(|(head, _)| head);
    (1..text.len()).find_map(cut).unwrap_or(text)
}

/// Whether each letter follows the one before in the alphabet or among the digits, up or down.
fn counts(text: &str) -> bool {
    let bytes = text.as_bytes();
    let steps = |by: u8| {
        bytes.windows(2).all(|pair| matches!(pair, [one, next] if one.wrapping_add(by) == *next || (by == 1 && *one == b'9' && *next == b'0')))
    };
    text.len() >= PART && text.is_ascii() && (steps(1) || steps(1_u8.wrapping_neg()))
}

/// Why a password is refused, if it is (NIST SP 800-63B-4, section 3.1.1.2: length, the commonest, what is known of the
/// holder; no rules on which characters it has).
fn weakness(password: &str, about: &[&str]) -> Option<String> {
    if !(SHORTEST..=LONGEST).contains(&password.chars().count()) {
        return Some(format!("expected {SHORTEST} to {LONGEST} characters; a few words that you remember are good"));
    }
    let lower = password.to_lowercase();
    let core = lower.trim_matches(|letter: char| !letter.is_alphabetic());
    let bare = unit(core);
    let tried = [&lower, core, unit(&lower), bare, bare.trim_matches(|letter: char| !letter.is_alphabetic())];
    if unit(&lower).chars().count() < PART || tried.iter().any(|it| COMMONEST.contains(it) || counts(it)) {
        return Some("this is one of the passwords that are tried first: choose another".to_owned());
    }
    let known = about.iter().map(|text| text.to_lowercase()).collect::<Vec<_>>();
    let parts = known.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
    // What remains beside a name must be a password by itself.
    let rest =
        parts.filter(|part| part.chars().count() >= PART).fold(lower.clone(), |rest, part| rest.replace(part, ""));
    let told = rest != lower && rest.chars().count() < SHORTEST - PART;
    told.then(|| "this is made of your name or address: choose other words".to_owned())
}

impl Passwords {
    /// Hashes in this way.
    pub fn new(hashing: Hashing) -> Self {
        let at_once = match hashing {
            Hashing::Argon2id { at_once } => at_once,
            Hashing::Simulated => 1,
        };
        Self { hashing, argon: Arc::new(Argon::with(hashing.params())), turns: Turns::new(at_once) }
    }

    async fn run<T: Send + 'static>(
        &self,
        (scope, source): (Scope, &str),
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = self.turns.take(scope, source).await?;
        // The turn ends with the work, also where nobody waits for it any more.
        self.hashing.aside(move || (work(), drop(turn)).0).await
    }

    /// The hash of a new password, which must be one that nobody guesses; `about` is what is known of its holder.
    pub async fn hash(&self, password: SecretString, about: &[&str], cx: &Cx) -> Result<String, Problem> {
        if let Some(weak) = weakness(password.expose_secret(), about) {
            return Err(Problem::invalid_field("/password", weak));
        }
        let (salt, argon) = (cx.random::<16>(), Arc::clone(&self.argon));
        let hash = move || {
            let hash = argon.hash(password.expose_secret().as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(Problem::internal)
        };
        self.run((cx.scope(), &cx.caller().to_string()), hash).await?
    }

    /// Whether a password is the one of a hash. Without a hash it takes as long, and is not.
    pub async fn verify(
        &self,
        password: SecretString,
        hash: Option<String>,
        of: (Scope, &str),
    ) -> Result<bool, Problem> {
        if password.expose_secret().len() > LONGEST * 4 {
            return Ok(false);
        }
        let (hashing, argon) = (self.hashing, Arc::clone(&self.argon));
        let verify = move || {
            // Of no password: what somebody types never matches it in practice.
            const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5LW5vYm9keQ$\
                                  NQv2yWwXB9GmX0C0ksEHIJUsJxWn3mOmYHVZjxfxDO4";
            let known = hash.is_some();
            if !known && hashing == Hashing::Simulated {
                return false;
            }
            let hash = hash.unwrap_or_else(|| NOBODY.to_owned());
            let hash = PasswordHash::new(&hash);
            hash.is_ok_and(|it| argon.verify_password(password.expose_secret().as_bytes(), &it).is_ok()) && known
        };
        self.run(of, verify).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_first_is_refused() {
        let about = ["ada.lovelace@example.com", "Ada Lovelace", "Analytical Engines"];
        for refused in [
            "short",
            "fourteen chars",
            "Password1234567",
            "passwordpassword",
            "qwertyqwertyqwerty!",
            "aaaaaaaaaaaaaaaa",
            "abcabcabcabcabcabc",
            "123456789012345",
            "abcdefghijklmnopq",
            "9876543210987654"[..10].repeat(2).as_str(),
            "Lovelace-Lovelace-1815",
            "ada.lovelace@example.com",
            "analytical2026!!",
            &"x y z ".repeat(50),
        ] {
            assert!(weakness(refused, &about).is_some(), "{refused}");
        }
    }

    #[test]
    fn what_nobody_guesses_is_taken_whatever_characters_it_has() {
        let about = ["ada.lovelace@example.com", "Ada Lovelace", "Analytical Engines"];
        for taken in [
            "correct horse battery",
            "another fine password",
            "ein schöner langer Satz",
            "lovelace walks on water at noon",
        ] {
            assert_eq!(weakness(taken, &about), None, "{taken}");
        }
    }

    #[test]
    fn the_list_is_sorted_and_in_lower_case() {
        assert!(COMMON.lines().is_sorted() && COMMON.lines().all(|line| line == line.to_lowercase()));
        assert!(COMMONEST.len() > 3_000);
    }
}
