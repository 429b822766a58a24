//! How someone shows who they are: one set of rules for people and operators.

use kernel::{Problem, ProblemKind};
use serde::{Deserialize, Serialize};

use crate::factor::Factor;

/// What is kept to know someone again.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Proofs {
    /// The hash of the password; none before one was chosen.
    pub password: Option<String>,
    /// The second factor.
    pub totp: Factor,
    /// Part of every link; a new one makes all links of before void.
    pub stamp: String,
    /// What sessions and grants began under; once it is raised, none of before is good any more.
    pub epoch: u64,
}

/// What whoever follows a link that is not good is told.
pub fn link_refused() -> Problem {
    Problem::new(ProblemKind::Refused, "identity.link_refused", "this link was used before, or is too old")
        .hint("ask for a new one")
}

impl Proofs {
    /// None yet; what is to come is chosen by a link with this stamp.
    pub fn none(stamp: String) -> Self {
        Self { stamp, ..Self::default() }
    }

    /// A link was followed and a password chosen.
    pub fn choose_password(&mut self, used: &str, hash: String, stamp: String) -> Result<(), Problem> {
        if self.stamp != used {
            return Err(link_refused());
        }
        self.change_password(hash, stamp);
        Ok(())
    }

    /// A new password ends what was begun with the old one.
    pub fn change_password(&mut self, hash: String, stamp: String) {
        (self.password, self.stamp) = (Some(hash), stamp);
        self.end_sessions();
    }

    /// Ends all sessions and grants at once, also those that no list shows.
    pub fn end_sessions(&mut self) {
        self.epoch += 1;
    }

    /// The proof was made under `epoch`: one that ended meanwhile proves nothing.
    pub fn proven(&self, epoch: u64) -> Result<(), Problem> {
        if self.epoch != epoch {
            return Err(Problem::new(
                ProblemKind::Conflict,
                "identity.ended_meanwhile",
                "the password was changed, or all sessions ended, at the same moment",
            )
            .hint("sign in again"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_good_once() {
        let mut it = Proofs::none("s1".to_owned());
        assert!(it.choose_password("other", "h".to_owned(), "s2".to_owned()).is_err());
        assert!(it.choose_password("s1", "h".to_owned(), "s2".to_owned()).is_ok());
        assert!(it.choose_password("s1", "h".to_owned(), "s3".to_owned()).is_err());
    }

    #[test]
    fn what_began_before_a_new_password_is_over_and_so_is_a_proof_of_then() {
        let mut it = Proofs::none("s1".to_owned());
        let before = it.epoch;
        assert!(it.proven(before).is_ok());
        it.change_password("h".to_owned(), "s2".to_owned());
        assert_ne!(it.epoch, before);
        assert_eq!(it.proven(before).unwrap_err().code(), "identity.ended_meanwhile");
    }

    #[test]
    fn what_an_earlier_release_wrote_is_read() {
        let written = serde_json::json!({
            "password": "h", "totp": null, "stamp": "s", "failures": 2, "locked_until": "2026-01-01T00:00:00Z",
        });
        let it: Proofs = serde_json::from_value(written).unwrap();
        assert_eq!((it.epoch, it.stamp.as_str(), it.totp.needed()), (0, "s", false));
    }
}
