//! A person of a tenant, as far as signing in goes.

use contracts::identity::{LinkPurpose, LinkRequested, MFAEnabled, RoleAssigned, UserActivated, UserRegistered};
use kernel::{
    Aggregate, AnyEvent, Claim, DefaultRole, Personal, Problem, ProblemKind, ScopeKind, Term, Timestamp, UserId,
    text::{DisplayName, EmailAddress},
};
use serde::{Deserialize, Serialize};

/// Where a person is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// Has a link to come in by, and has not used it.
    Invited,
    /// Can sign in.
    Active,
    /// Can sign in no more.
    Deactivated,
}

/// A second factor by time (RFC 6238).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Totp {
    /// The shared secret, in base32.
    pub(crate) secret: String,
    /// Asked for only once it was shown to work.
    pub(crate) confirmed: bool,
    /// The time step of the code that was used last: each is good once.
    pub(crate) last_step: u64,
}

/// A person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) id: UserId,
    pub(crate) email: EmailAddress,
    pub(crate) name: DisplayName,
    pub(crate) standing: Standing,
    pub(crate) password: Option<String>,
    pub(crate) roles: Vec<DefaultRole>,
    pub(crate) totp: Option<Totp>,
    /// Part of every link; a new one makes all links of before void.
    pub(crate) stamp: String,
    /// What sessions and grants began under; once it is raised, none of before is good any more.
    #[serde(default)]
    pub(crate) epoch: u64,
    failures: u32,
    locked_until: Option<Timestamp>,
    /// When a link was last asked for by somebody who had not signed in.
    #[serde(default)]
    recovery_asked: Option<Timestamp>,
}

/// Between two links that anybody can have mailed to a person.
const RECOVERY_PAUSE: std::time::Duration = std::time::Duration::from_mins(1);

/// Failed attempts before a pause.
const FAILURES: u32 = 5;

impl User {
    /// Someone who comes in by a link.
    pub(crate) fn invite(
        id: UserId,
        (email, name): (EmailAddress, DisplayName),
        roles: Vec<DefaultRole>,
        stamp: String,
    ) -> (Self, UserRegistered) {
        let registered =
            UserRegistered { user: id, email: Personal::Known(email.clone()), name: Personal::Known(name.clone()) };
        let standing = Standing::Invited;
        let it = Self {
            id,
            email,
            name,
            standing,
            password: None,
            roles,
            totp: None,
            stamp,
            epoch: 0,
            failures: 0,
            locked_until: None,
            recovery_asked: None,
        };
        (it, registered)
    }

    pub(crate) fn link(&self, purpose: LinkPurpose, link: String) -> LinkRequested {
        LinkRequested {
            user: self.id,
            purpose,
            email: Personal::Known(self.email.clone()),
            name: Personal::Known(self.name.clone()),
            link: Personal::Known(link),
        }
    }

    /// Somebody who says to be this person asks for a new password: at most one mail a minute, and none to whom it was
    /// closed.
    pub(crate) fn recover(&mut self, link: String, now: Timestamp) -> Option<LinkRequested> {
        let again = self.recovery_asked.is_some_and(|asked| now < asked + RECOVERY_PAUSE);
        if again || self.standing == Standing::Deactivated {
            return None;
        }
        self.recovery_asked = Some(now);
        let purpose = if self.standing == Standing::Invited { LinkPurpose::Verify } else { LinkPurpose::Recover };
        Some(self.link(purpose, link))
    }

    /// The link was followed and a password chosen.
    pub(crate) fn choose_password(
        &mut self,
        used: &str,
        hash: String,
        stamp: String,
    ) -> Result<Vec<AnyEvent>, Problem> {
        if self.stamp != used || self.standing == Standing::Deactivated {
            return Err(link_refused());
        }
        let was = self.standing;
        (self.password, self.stamp, self.standing) = (Some(hash), stamp, Standing::Active);
        (self.failures, self.locked_until) = (0, None);
        self.end_sessions();
        Ok(if was == Standing::Invited { vec![UserActivated { user: self.id }.into()] } else { Vec::new() })
    }

    pub(crate) fn can_sign_in(&self, now: Timestamp) -> bool {
        self.standing == Standing::Active && self.locked_until.is_none_or(|until| until <= now)
    }

    /// A wrong password or code: after five the account pauses, twice as long each time, up to an hour.
    pub(crate) fn failed(&mut self, now: Timestamp) {
        // A pause is not made longer by whoever keeps trying: its owner could be kept out for ever.
        if self.locked_until.is_some_and(|until| now < until) {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            let doubled = 30_u64 << (self.failures - FAILURES).min(7);
            self.locked_until = Some(now + std::time::Duration::from_secs(doubled.min(3_600)));
        }
    }

    /// Ends all sessions and grants at once, also those that no list shows.
    pub(crate) fn end_sessions(&mut self) {
        self.epoch += 1;
    }

    /// Whether what began under an epoch is good now.
    pub(crate) fn honours(&self, epoch: u64) -> bool {
        self.standing == Standing::Active && self.epoch == epoch
    }

    /// The proof was made under `epoch`: one that ended meanwhile proves nothing.
    pub(crate) fn signed_in(&mut self, epoch: u64) -> Result<(), Problem> {
        if !self.honours(epoch) {
            return Err(Problem::new(
                ProblemKind::Conflict,
                "identity.ended_meanwhile",
                "the password was changed, or the account closed, at the same moment",
            )
            .hint("sign in again"));
        }
        (self.failures, self.locked_until) = (0, None);
        Ok(())
    }

    pub(crate) fn assign(&mut self, roles: Vec<DefaultRole>) -> Result<RoleAssigned, Problem> {
        if roles.is_empty() || !roles.iter().all(|role| role.assignable()) {
            return Err(Problem::invalid_field("/roles", "expected at least one of: member, admin, owner"));
        }
        self.roles = roles;
        let names = self.roles.iter().map(|role| role.name().to_owned()).collect();
        Ok(RoleAssigned { user: self.id, roles: names })
    }

    pub(crate) fn needs_code(&self) -> bool {
        self.totp.as_ref().is_some_and(|totp| totp.confirmed)
    }

    pub(crate) fn begin_totp(&mut self, secret: String) -> Result<(), Problem> {
        if self.needs_code() {
            return Err(Problem::new(
                ProblemKind::Conflict,
                "identity.totp_enabled",
                "a second factor is in use already",
            )
            .hint("use the codes of the app that you have"));
        }
        self.totp = Some(Totp { secret, confirmed: false, last_step: 0 });
        Ok(())
    }

    /// Takes a code once. Confirms the factor the first time.
    pub(crate) fn use_code(&mut self, code: &str, now: Timestamp) -> Result<Option<MFAEnabled>, Problem> {
        let refused = || {
            Problem::new(ProblemKind::Refused, "identity.code_refused", "this code is not right, or was used before")
                .hint("enter the code that the app shows now")
        };
        let totp = self.totp.as_mut().ok_or_else(refused)?;
        let step = matching_step(&totp.secret, code, now).filter(|step| *step > totp.last_step).ok_or_else(refused)?;
        totp.last_step = step;
        let first = !totp.confirmed;
        totp.confirmed = true;
        Ok(first.then(|| MFAEnabled { user: self.id, method: "totp".to_owned() }))
    }
}

pub(crate) fn link_refused() -> Problem {
    Problem::new(ProblemKind::Refused, "identity.link_refused", "this link was used before, or is too old")
        .hint("ask for a new one")
}

/// The step of 30 seconds whose code it is: the present one, or one before or after.
fn matching_step(secret: &str, code: &str, now: Timestamp) -> Option<u64> {
    let secret = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).ok()?;
    let present = u64::try_from(now.as_second()).ok()? / 30;
    [present, present.saturating_sub(1), present + 1].into_iter().find(|step| {
        let shown = hotp(&secret, *step);
        bool::from(subtle::ConstantTimeEq::ct_eq(shown.as_bytes(), code.as_bytes()))
    })
}

/// A code of six digits (RFC 4226, section 5.3).
pub(crate) fn hotp(secret: &[u8], counter: u64) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = ring::hmac::sign(&key, &counter.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag.last().copied().unwrap_or_default() & 15);
    let four = tag.iter().skip(offset).take(4).fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
    format!("{:06}", (four & 0x7fff_ffff) % 1_000_000)
}

impl Aggregate for User {
    type Id = UserId;
    const KIND: &'static str = "identity.user";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> UserId {
        self.id
    }

    fn owner(&self) -> Option<UserId> {
        Some(self.id)
    }

    fn subject(&self) -> Option<UserId> {
        Some(self.id)
    }

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::new("email", self.email.as_str())]
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::new("all", "")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Id;

    fn ada() -> User {
        let person = ("ada@example.com".parse().unwrap(), "Ada".parse().unwrap());
        User::invite(Id::from_uuid(uuid::Uuid::max()), person, vec![DefaultRole::Member], "s1".to_owned()).0
    }

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 4226, appendix D.
        let expected = ["755224", "287082", "359152", "969429", "338314"];
        for (counter, code) in (0..).zip(expected) {
            assert_eq!(hotp(b"12345678901234567890", counter), code);
        }
    }

    #[test]
    fn a_stranger_cannot_flood_a_mailbox() {
        let mut it = ada();
        let now = Timestamp::UNIX_EPOCH;
        assert!(it.recover("l".to_owned(), now).is_some());
        assert!(it.recover("l".to_owned(), now + std::time::Duration::from_secs(59)).is_none());
        assert!(it.recover("l".to_owned(), now + RECOVERY_PAUSE).is_some());
        it.standing = Standing::Deactivated;
        assert!(it.recover("l".to_owned(), now + RECOVERY_PAUSE * 5).is_none());
    }

    #[test]
    fn a_link_is_good_once() {
        let mut it = ada();
        assert!(it.choose_password("other", "h".to_owned(), "s2".to_owned()).is_err());
        assert_eq!(it.choose_password("s1", "h".to_owned(), "s2".to_owned()).unwrap().len(), 1);
        assert!(it.choose_password("s1", "h".to_owned(), "s3".to_owned()).is_err());
    }

    #[test]
    fn what_began_before_a_new_password_is_over_and_so_is_a_proof_of_then() {
        let mut it = ada();
        it.choose_password("s1", "h".to_owned(), "s2".to_owned()).unwrap();
        let before = it.epoch;
        assert!(it.honours(before) && it.signed_in(before).is_ok());
        it.choose_password("s2", "h".to_owned(), "s3".to_owned()).unwrap();
        assert!(!it.honours(before) && it.honours(it.epoch));
        assert_eq!(it.signed_in(before).unwrap_err().code(), "identity.ended_meanwhile");
    }

    #[test]
    fn a_code_is_good_once_and_a_storm_of_failures_pauses() {
        let mut it = ada();
        it.choose_password("s1", "h".to_owned(), "s2".to_owned()).unwrap();
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        it.begin_totp(data_encoding::BASE32_NOPAD.encode(b"12345678901234567890")).unwrap();
        assert!(!it.needs_code(), "not before it was shown to work");
        let code = hotp(b"12345678901234567890", 1_800_000_000 / 30);
        assert!(it.use_code(&code, now).unwrap().is_some());
        assert!(it.needs_code() && it.use_code(&code, now).is_err(), "the same code again");
        for _ in 0..FAILURES {
            assert!(it.can_sign_in(now));
            it.failed(now);
        }
        assert!(!it.can_sign_in(now));
        assert!(it.can_sign_in(now + std::time::Duration::from_mins(1)));
    }
}
