//! What a program holds of a person: one aggregate a grant, so that a code or a refresh token used twice ends all that came
//! of it.

use std::time::Duration;

use accounts::session::Session;
use kernel::{Aggregate, ClientId, Life, ScopeKind, SessionId, Term, Timestamp, UserId, id_kind};
use proofs::secret;
use serde::{Deserialize, Serialize};
use signing::ACCESS;
use subtle::ConstantTimeEq;

use crate::{
    scope::Scopes,
    token::{Kind, Token},
};

id_kind!(
    /// What a program holds of a person.
    GrantId, GrantKind, "gra"
);

/// The code is good for a minute (RFC 6749, section 4.1.2 says ten at most).
const CODE: Duration = Duration::from_mins(1);
const REFRESH: Duration = Duration::from_hours(30 * 24);
/// A refresh whose answer was lost may be sent again for so long, and is answered with the same tokens.
const GRACE: Duration = Duration::from_secs(10);
/// Of how many generations the access tokens are good at a time.
const AT_ONCE: usize = 20;

/// What was asked for when the person came to sign in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) client: ClientId,
    pub(crate) redirect_uri: String,
    pub(crate) scopes: Scopes,
    pub(crate) nonce: Option<String>,
    /// PKCE by S256 (RFC 7636, section 4.2).
    pub(crate) challenge: String,
}

/// A grant: first a code, then one generation of tokens after the other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Grant {
    id: GrantId,
    pub(crate) user: UserId,
    /// The person's epoch when the session began.
    #[serde(default)]
    pub(crate) epoch: u64,
    pub(crate) session: SessionId,
    pub(crate) asked: Asked,
    pub(crate) signed_in: Timestamp,
    pub(crate) methods: Vec<String>,
    /// The present generation of tokens; 0 until the code is redeemed.
    generation: u64,
    /// When it was given out.
    turned: Timestamp,
    /// The ends of the access tokens that are good now, by generation.
    access: Vec<(u64, Timestamp)>,
    ends: Timestamp,
}

/// What shows that a code is redeemed by the program that asked for it.
pub(crate) struct Redemption<'a> {
    pub(crate) client: ClientId,
    pub(crate) redirect_uri: &'a str,
    pub(crate) verifier: &'a str,
}

/// What a refresh token gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// A new generation, to be stored.
    New,
    /// The generation that it gave before: that answer may have been lost.
    Same,
}

/// What a refused exchange means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Not good: nothing changes.
    Unknown,
    /// It was used before: whoever holds the other copy may have stolen it, so all of the grant ends.
    Reused,
}

impl Grant {
    pub(crate) fn begin(id: GrantId, session: &Session, asked: Asked, now: Timestamp) -> Self {
        Self {
            id,
            user: session.user,
            epoch: session.epoch,
            session: session.id,
            asked,
            signed_in: session.began,
            methods: session.methods.clone(),
            generation: 0,
            turned: now,
            access: Vec::new(),
            ends: now + CODE,
        }
    }

    /// What a person is told of it when they ask for all that is held of them.
    pub fn told(&self) -> serde_json::Value {
        serde_json::json!({ "client": self.asked.client, "scopes": self.asked.scopes, "since": self.signed_in })
    }

    /// The token of a kind that belongs to the present generation.
    pub(crate) fn token(&self, kind: Kind) -> Token {
        Token { kind, grant: self.id, generation: self.generation }
    }

    /// Whether the present tokens are those that the code gave.
    pub(crate) fn is_first(&self) -> bool {
        self.generation == 1
    }

    fn turn(&mut self, now: Timestamp) {
        self.generation += 1;
        (self.turned, self.ends) = (now, now + REFRESH);
        self.access.retain(|(_, ends)| *ends > now);
        self.access.push((self.generation, now + ACCESS));
        let over = self.access.len().saturating_sub(AT_ONCE);
        self.access.drain(..over);
    }

    /// Redeems the code, once. Only who has the verifier is believed to hold a copy of it.
    pub(crate) fn redeem(&mut self, with: &Redemption<'_>, now: Timestamp) -> Result<(), Refused> {
        let proof = secret::hash(with.verifier);
        let proven = (43..=128).contains(&with.verifier.len())
            && bool::from(proof.as_bytes().ct_eq(self.asked.challenge.as_bytes()));
        if !proven || with.client != self.asked.client || with.redirect_uri != self.asked.redirect_uri {
            return Err(Refused::Unknown);
        }
        if self.generation > 0 {
            return Err(Refused::Reused);
        }
        if self.ends <= now {
            return Err(Refused::Unknown);
        }
        self.turn(now);
        Ok(())
    }

    /// Gives the next generation for a refresh token, which is good once (RFC 9700, section 4.14.2).
    pub(crate) fn rotate(&mut self, generation: u64, client: ClientId, now: Timestamp) -> Result<Turn, Refused> {
        if client != self.asked.client || self.ends <= now || generation == 0 || generation > self.generation {
            return Err(Refused::Unknown);
        }
        if generation == self.generation {
            self.turn(now);
            return Ok(Turn::New);
        }
        if generation + 1 == self.generation && now < self.turned + GRACE {
            return Ok(Turn::Same);
        }
        Err(Refused::Reused)
    }

    /// Until when a token is good, if it is.
    pub(crate) fn honours(&self, token: Token, now: Timestamp) -> Option<Timestamp> {
        let ends = match token.kind {
            Kind::Code => None,
            Kind::Access => self.access.iter().find(|(of, _)| *of == token.generation).map(|(_, ends)| *ends),
            Kind::Refresh => (token.generation == self.generation).then_some(self.ends),
        };
        ends.filter(|ends| *ends > now)
    }
}

impl Aggregate for Grant {
    type Id = GrantId;
    const KIND: &'static str = "identity.grant";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const LIFE: Life = Life::Ephemeral;

    fn id(&self) -> GrantId {
        self.id
    }

    fn owner(&self) -> Option<UserId> {
        Some(self.user)
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::new("user", self.user.to_string())]
    }

    fn expires(&self) -> Option<Timestamp> {
        Some(self.ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Id;
    use proptest::prelude::*;

    const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters";

    fn client(number: u128) -> ClientId {
        Id::from_uuid(uuid::Uuid::from_u128(number))
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn grant() -> Grant {
        Grant {
            id: Id::from_uuid(uuid::Uuid::max()),
            user: Id::from_uuid(uuid::Uuid::max()),
            epoch: 0,
            session: Id::from_uuid(uuid::Uuid::max()),
            asked: Asked {
                client: client(1),
                redirect_uri: "https://app.example/callback".to_owned(),
                scopes: Scopes::parse("openid"),
                nonce: None,
                challenge: secret::hash(VERIFIER),
            },
            signed_in: at(0),
            methods: Vec::new(),
            generation: 0,
            turned: at(0),
            access: Vec::new(),
            ends: at(60),
        }
    }

    fn with(client: ClientId, verifier: &str) -> Redemption<'_> {
        Redemption { client, redirect_uri: "https://app.example/callback", verifier }
    }

    fn redeemed() -> Grant {
        let mut it = grant();
        it.redeem(&with(client(1), VERIFIER), at(1)).unwrap();
        it
    }

    #[test]
    fn a_code_is_good_once_and_only_its_own_program_can_end_what_came_of_it() {
        let mut it = grant();
        assert_eq!(it.redeem(&with(client(2), VERIFIER), at(1)), Err(Refused::Unknown));
        assert_eq!(it.redeem(&with(client(1), &"x".repeat(43)), at(1)), Err(Refused::Unknown));
        assert_eq!(it.redeem(&with(client(1), VERIFIER), at(60)), Err(Refused::Unknown), "too late");
        it.redeem(&with(client(1), VERIFIER), at(1)).unwrap();
        assert_eq!(it.redeem(&with(client(2), VERIFIER), at(2)), Err(Refused::Unknown));
        assert_eq!(it.redeem(&with(client(1), &"x".repeat(43)), at(2)), Err(Refused::Unknown));
        assert_eq!(it.redeem(&with(client(1), VERIFIER), at(2)), Err(Refused::Reused));
    }

    #[test]
    fn a_lost_answer_is_given_again_and_a_stolen_token_ends_the_grant() {
        let mut it = redeemed();
        assert_eq!(it.rotate(1, client(1), at(100)), Ok(Turn::New));
        let given = it.token(Kind::Refresh);
        assert_eq!(it.rotate(1, client(1), at(109)), Ok(Turn::Same));
        assert_eq!(it.token(Kind::Refresh), given, "the same tokens");
        assert_eq!(it.rotate(1, client(1), at(110)), Err(Refused::Reused));
        assert_eq!(it.rotate(2, client(2), at(111)), Err(Refused::Unknown), "another program ends nothing");
        assert_eq!(it.rotate(2, client(1), at(112)), Ok(Turn::New));
        assert_eq!(it.rotate(1, client(1), at(113)), Err(Refused::Reused), "also within the grace of the next");
    }

    proptest! {
        /// However often it turned: no refresh token but the last two is ever taken, and the last is.
        #[test]
        fn nothing_is_forgotten(turns in 1_u64..200, back in 2_u64..200) {
            let mut it = redeemed();
            for turn in 1..=turns {
                prop_assert_eq!(it.rotate(turn, client(1), at(turn)), Ok(Turn::New));
            }
            let last = turns + 1;
            if back < last {
                prop_assert_eq!(it.rotate(last - back, client(1), at(turns)), Err(Refused::Reused));
            }
            prop_assert!(it.access.len() <= AT_ONCE);
            prop_assert_eq!(it.rotate(last + 1, client(1), at(turns)), Err(Refused::Unknown));
            prop_assert_eq!(it.rotate(last, client(1), at(turns)), Ok(Turn::New));
        }
    }

    #[test]
    fn an_access_token_ends_by_itself_and_a_code_is_no_access_token() {
        let mut it = redeemed();
        let (first, code) = (it.token(Kind::Access), Token { kind: Kind::Code, ..it.token(Kind::Access) });
        assert_eq!(it.honours(first, at(2)), Some(at(1) + ACCESS));
        assert_eq!(it.honours(code, at(2)), None);
        it.rotate(1, client(1), at(100)).unwrap();
        assert!(it.honours(first, at(101)).is_some(), "until its own end");
        assert!(it.honours(first, at(1) + ACCESS).is_none());
    }
}
