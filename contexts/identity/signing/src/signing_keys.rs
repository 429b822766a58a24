//! The keys that sign for a tenant, and how they take turns: the next is published before it signs, and those of before
//! stay published until the last token that they signed has ended.

use std::time::Duration;

use contracts::oauth::SigningKeysRotated;
use kernel::{Aggregate, Problem, ProblemKind, ScopeKind, Timer, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    ACCESS,
    jose::{Algorithm, Jwk, Signer},
};

/// After this time the next keys take over by themselves.
pub(crate) const PERIOD: Duration = Duration::from_hours(90 * 24);
/// The longest that a signed token lasts, and some time for clocks that differ.
const TRUSTED: Duration = ACCESS.saturating_add(Duration::from_mins(5));
/// Between two rotations: who repeats them makes keys that nobody uses.
const PAUSE: Duration = Duration::from_mins(1);

/// Where a key is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub(crate) enum State {
    /// Published, so that it is known when it begins to sign.
    Next,
    /// Signs.
    Active {
        /// Since when.
        since: Timestamp,
    },
    /// Signs no more; what it signed is good until it ends.
    Retired {
        /// Until when it is published.
        until: Timestamp,
    },
}

/// What becomes of the keys of before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// What they signed is good until it ends.
    Trusted,
    /// Somebody else may have them: all that they signed is void at once.
    Distrusted,
}

/// A key pair.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SigningKey {
    pub(crate) kid: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) public: Jwk,
    /// PKCS #8 in base64url. The whole body is sealed before it is stored.
    private: String,
    pub(crate) state: State,
    pub(crate) made: Timestamp,
}

impl SigningKey {
    pub(crate) fn new(algorithm: Algorithm, pkcs8: &[u8], now: Timestamp) -> Result<Self, Problem> {
        let public = Signer::parse(algorithm, pkcs8)?.public()?;
        let private = data_encoding::BASE64URL_NOPAD.encode(pkcs8);
        Ok(Self { kid: public.thumbprint(), algorithm, public, private, state: State::Next, made: now })
    }

    /// Ready to sign with.
    pub(crate) fn signer(&self) -> Result<Signer, Problem> {
        let pkcs8 = data_encoding::BASE64URL_NOPAD.decode(self.private.as_bytes()).map_err(Problem::internal)?;
        Signer::parse(self.algorithm, &pkcs8)
    }
}

/// All keys of a tenant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SigningKeys {
    keys: Vec<SigningKey>,
    turned: Timestamp,
    turns: u64,
}

impl SigningKeys {
    pub(crate) const ID: &'static str = "signing";

    pub(crate) fn begin(now: Timestamp) -> Self {
        Self { keys: Vec::new(), turned: now, turns: 0 }
    }

    /// Adds an algorithm: one key that signs and one that comes after it. One that is there stays as it is.
    pub(crate) fn add(&mut self, mut active: SigningKey, next: SigningKey, now: Timestamp) {
        if self.active(active.algorithm).is_none() {
            active.state = State::Active { since: now };
            self.keys.extend([active, next]);
        }
    }

    pub(crate) fn active(&self, algorithm: Algorithm) -> Option<&SigningKey> {
        self.keys.iter().find(|key| key.algorithm == algorithm && matches!(key.state, State::Active { .. }))
    }

    /// The algorithms that are in use.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        let active = self.keys.iter().filter(|key| matches!(key.state, State::Active { .. }));
        active.map(|key| key.algorithm).collect()
    }

    /// What is published, and believed.
    pub(crate) fn published(&self, now: Timestamp) -> impl Iterator<Item = &SigningKey> {
        self.keys.iter().filter(move |key| !matches!(key.state, State::Retired { until } if until <= now))
    }

    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.turned + PERIOD <= now
    }

    pub(crate) fn check_pause(&self, now: Timestamp) -> Result<(), Problem> {
        if self.turns > 0 && now < self.turned + PAUSE {
            return Err(Problem::new(
                ProblemKind::Refused,
                "identity.keys_rotated",
                "the keys were rotated less than a minute ago",
            )
            .hint("wait a minute; there is no need to rotate twice"));
        }
        Ok(())
    }

    /// The next keys take over. `fresh` has one new key for each algorithm in use, or two where nothing of before is trusted.
    pub(crate) fn rotate(
        &mut self,
        fresh: Vec<SigningKey>,
        before: Before,
        now: Timestamp,
    ) -> Result<SigningKeysRotated, Problem> {
        let needed = if before == Before::Trusted { 1 } else { 2 };
        for algorithm in self.algorithms() {
            if fresh.iter().filter(|key| key.algorithm == algorithm).count() != needed {
                return Err(Problem::new(
                    ProblemKind::Conflict,
                    "changed_meanwhile",
                    "an algorithm was added just now",
                )
                .hint("rotate again"));
            }
        }
        self.keys.retain(|key| !matches!(key.state, State::Retired { until } if until <= now));
        match before {
            Before::Trusted => self.keys.iter_mut().for_each(|key| {
                key.state = match key.state {
                    State::Next => State::Active { since: now },
                    State::Active { .. } => State::Retired { until: now + TRUSTED },
                    retired @ State::Retired { .. } => retired,
                }
            }),
            Before::Distrusted => self.keys.clear(),
        }
        for mut key in fresh {
            if self.active(key.algorithm).is_none() {
                key.state = State::Active { since: now };
            }
            self.keys.push(key);
        }
        (self.turned, self.turns) = (now, self.turns + 1);
        let active = self.algorithms().into_iter().filter_map(|it| self.active(it)).map(|key| key.kid.clone());
        Ok(SigningKeysRotated { active: active.collect(), trusted: before == Before::Trusted })
    }
}

impl Aggregate for SigningKeys {
    type Id = String;
    const KIND: &'static str = "identity.signing_keys";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }

    fn timers(&self) -> Vec<Timer> {
        vec![Timer { name: "rotate", due: self.turned + PERIOD }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(algorithm: Algorithm) -> SigningKey {
        SigningKey::new(algorithm, &crate::jose::generate(algorithm).unwrap(), Timestamp::UNIX_EPOCH).unwrap()
    }

    fn begun() -> SigningKeys {
        let mut it = SigningKeys::begin(Timestamp::UNIX_EPOCH);
        it.add(key(Algorithm::Es256), key(Algorithm::Es256), Timestamp::UNIX_EPOCH);
        it
    }

    fn kids(it: &SigningKeys, now: Timestamp) -> Vec<String> {
        it.published(now).map(|key| key.kid.clone()).collect()
    }

    #[test]
    fn the_next_key_was_known_before_it_signs_and_the_last_one_until_its_tokens_end() {
        let mut it = begun();
        let now = Timestamp::UNIX_EPOCH + PERIOD;
        assert!(it.is_due(now) && !it.is_due(now - Duration::from_secs(1)));
        let (before, known) = (it.active(Algorithm::Es256).unwrap().kid.clone(), kids(&it, now));
        let told = it.rotate(vec![key(Algorithm::Es256)], Before::Trusted, now).unwrap();
        assert!(known.contains(&told.active[0]) && told.active[0] != before);
        assert!(kids(&it, now + ACCESS).contains(&before));
        assert!(!kids(&it, now + TRUSTED).contains(&before));
        assert!(it.check_pause(now).is_err() && it.check_pause(now + PAUSE).is_ok());
    }

    #[test]
    fn a_stolen_key_is_believed_no_more() {
        let mut it = begun();
        let known = kids(&it, it.turned);
        it.rotate(vec![key(Algorithm::Es256), key(Algorithm::Es256)], Before::Distrusted, it.turned).unwrap();
        let now = kids(&it, it.turned);
        assert!(now.len() == 2 && known.iter().all(|kid| !now.contains(kid)));
    }

    #[test]
    fn an_algorithm_that_came_meanwhile_is_not_left_without_a_key() {
        let mut it = begun();
        let fresh = vec![key(Algorithm::Es256)];
        it.add(key(Algorithm::EdDsa), key(Algorithm::EdDsa), it.turned);
        assert!(it.rotate(fresh, Before::Trusted, it.turned).is_err());
        assert_eq!(it.algorithms(), [Algorithm::Es256, Algorithm::EdDsa]);
    }
}
