//! Names, terms and timers as one value, for engines that keep them beside the body in one column: a repairer, which
//! holds no key, must be able to derive the lookups from the core alone.

use crate::port::{ClaimKey, Core, StoreError, TermKey, TimerKey};
use kernel::Timestamp;

type Term = (String, String, String);

/// What a core carries beside its body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// The names it holds.
    pub claims: Vec<ClaimKey>,
    /// What it is found by.
    pub terms: Vec<TermKey>,
    /// The timers it has set.
    pub timers: Vec<TimerKey>,
}

impl Parts {
    /// The stored form.
    pub fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let claims: Vec<&str> = self.claims.iter().map(|claim| claim.0.as_str()).collect();
        let terms: Vec<_> =
            self.terms.iter().map(|term| (term.index.as_str(), term.value.as_str(), term.sort.as_str())).collect();
        let timers: Vec<_> =
            self.timers.iter().map(|timer| (timer.name.as_str(), timer.due.as_microsecond())).collect();
        serde_json::to_vec(&(claims, terms, timers)).map_err(|error| StoreError::Invalid(error.to_string()))
    }

    /// From the stored form; an empty one is a core without parts.
    pub fn decode(stored: &[u8]) -> Result<Self, StoreError> {
        if stored.is_empty() {
            return Ok(Self::default());
        }
        let corrupt = |why: String| StoreError::Corrupt(why);
        let (claims, terms, timers): (Vec<String>, Vec<Term>, Vec<(String, i64)>) =
            serde_json::from_slice(stored).map_err(|error| corrupt(error.to_string()))?;
        let timer = |(name, due): (String, i64)| {
            let due = Timestamp::from_microsecond(due).map_err(|error| corrupt(error.to_string()))?;
            Ok(TimerKey { name, due })
        };
        Ok(Self {
            claims: claims.into_iter().map(ClaimKey).collect(),
            terms: terms.into_iter().map(|(index, value, sort)| TermKey { index, value, sort }).collect(),
            timers: timers.into_iter().map(timer).collect::<Result<_, StoreError>>()?,
        })
    }

    /// Those of a core.
    pub fn of(core: &Core) -> Self {
        Self { claims: core.claims.clone(), terms: core.terms.clone(), timers: core.timers.clone() }
    }
}
