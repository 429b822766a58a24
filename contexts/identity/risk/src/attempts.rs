//! What wrong passwords and codes lead to, for people and operators alike.
//!
//! They are counted by the address that was typed, whether anybody has it or not: nothing here tells whether an account
//! exists. Each is counted before it is looked at, so that a burst gets no more guesses than one after the other. Whoever
//! has signed in before on this device has an allowance of their own, which no stranger uses up (OWASP, device cookies).
//! All strangers together have one for the account (NIST SP 800-63B-4, section 3.2.2), and each place that they come from
//! a smaller one within it.

use std::{collections::BTreeMap, time::Duration};

use kernel::{Aggregate, Cx, Life, Problem, ProblemKind, Scope, ScopeKind, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Risk, pace::Paced};

/// Attempts from one place, or on one device, before a pause.
const FROM_ONE: u32 = 5;
/// Attempts of all strangers on one account before a pause.
const OF_STRANGERS: u32 = 100;
/// After so long without any, nothing is remembered.
const REMEMBERED: Duration = Duration::from_hours(24);
/// The most places that are told apart: more than strangers have attempts for.
const MOST: usize = 128;

/// Attempts since the last that was right.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Attempts {
    count: u32,
    paused_until: Option<Timestamp>,
}

impl Attempts {
    fn pause(&self, now: Timestamp) -> Option<Timestamp> {
        self.paused_until.filter(|until| now < *until)
    }

    /// From the last of an allowance on each brings a pause, twice as long each time, up to an hour.
    fn one_more(&mut self, allowance: u32, now: Timestamp) {
        self.count = self.count.saturating_add(1);
        if let Some(beyond) = self.count.checked_sub(allowance) {
            self.paused_until = Some(now + Duration::from_secs((30_u64 << beyond.min(7)).min(3_600)));
        }
    }

    /// One of them was no guess.
    fn one_less(&mut self) {
        (self.count, self.paused_until) = (self.count.saturating_sub(1), None);
    }
}

/// Who tries: a place of the network, or a device or session that has shown before whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// From a place of the network.
    Stranger(String),
    /// On a device, or in a session, of the person's own.
    Known(String),
}

/// An attempt on an account.
#[derive(Debug, Clone)]
pub struct Trial {
    /// Of the address, as a keyed hash.
    id: String,
    by: By,
    /// Where a stranger comes from.
    source: Option<String>,
}

/// What came of an attempt that was not wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// The password was right and a code is to come, or it was not looked at.
    NoGuess,
    /// All that is asked for was shown.
    Right,
}

/// The attempts on one address, of a tenant's people or of operators.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Guesses<const TENANT: bool> {
    id: String,
    strangers: Attempts,
    /// By place, device or session, as keyed hashes.
    each: BTreeMap<String, Attempts>,
    ends: Timestamp,
}

impl<const TENANT: bool> Guesses<TENANT> {
    fn begin(id: String, now: Timestamp) -> Self {
        Self { id, strangers: Attempts::default(), each: BTreeMap::new(), ends: now + REMEMBERED }
    }

    fn of(&mut self, whose: &str) -> &mut Attempts {
        if self.each.len() >= MOST && !self.each.contains_key(whose) {
            let least = self.each.iter().min_by_key(|(_, attempts)| attempts.count).map(|(whose, _)| whose.clone());
            least.and_then(|least| self.each.remove(&least));
        }
        self.each.entry(whose.to_owned()).or_default()
    }

    /// Counts an attempt that is about to be looked at; during a pause, its end. A pause is not made longer by whoever
    /// keeps trying.
    fn attempt(&mut self, by: &By, now: Timestamp) -> Result<(), Timestamp> {
        let (By::Stranger(whose) | By::Known(whose)) = by;
        let stranger = matches!(by, By::Stranger(_));
        let own = self.each.get(whose).and_then(|own| own.pause(now));
        let shared = self.strangers.pause(now).filter(|_| stranger);
        if let Some(until) = own.max(shared) {
            return Err(until);
        }
        self.of(whose).one_more(FROM_ONE, now);
        if stranger {
            self.strangers.one_more(OF_STRANGERS, now);
        }
        self.ends = now + REMEMBERED;
        Ok(())
    }

    /// An attempt was no guess: the password was right and a code is to come, or it was not looked at.
    fn take_back(&mut self, by: &By) {
        let (By::Stranger(whose) | By::Known(whose)) = by;
        self.of(whose).one_less();
        if matches!(by, By::Stranger(_)) {
            self.strangers.one_less();
        }
    }

    /// Somebody has shown all that is asked for: that makes up for what was wrong before, in the same place.
    fn forgive(&mut self, by: &By) {
        let (By::Stranger(whose) | By::Known(whose)) = by;
        self.each.remove(whose);
        if matches!(by, By::Stranger(_)) {
            self.strangers = Attempts::default();
        }
    }
}

impl<const TENANT: bool> Guesses<TENANT> {
    fn settle(&mut self, by: &By, came: Came) {
        match came {
            Came::NoGuess => self.take_back(by),
            Came::Right => self.forgive(by),
        }
    }
}

impl<const TENANT: bool> Aggregate for Guesses<TENANT> {
    type Id = String;
    const KIND: &'static str = "identity.guesses";
    const SCOPE: ScopeKind = if TENANT { ScopeKind::Tenant } else { ScopeKind::Platform };
    const LIFE: Life = Life::Ephemeral;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn expires(&self) -> Option<Timestamp> {
        Some(self.ends)
    }
}

pub(crate) fn paused(until: Timestamp, now: Timestamp) -> Problem {
    let left = u32::try_from(until.as_second().saturating_sub(now.as_second())).unwrap_or(1).max(1);
    let detail = "too many wrong passwords or codes came for this account";
    Problem::new(ProblemKind::Limited, "identity.paused", detail)
        .hint("wait for as long as Retry-After says, or ask for a link by mail: it works at once")
        .retry_after(left)
}

impl Risk {
    /// An attempt on whoever has an address.
    pub async fn trial(&self, email: &str, by: By, cx: &Cx) -> Result<Trial, Problem> {
        let key = self.store.keys().scope(cx.scope()).await?;
        let id = key.blind("identity/guesses", &email.trim().to_lowercase());
        let hidden = |whose: &str| key.blind("identity/guesses/by", whose);
        let (by, source) = match by {
            By::Known(whose) => (By::Known(hidden(&format!("known|{whose}"))), None),
            By::Stranger(source) => (By::Stranger(hidden(&format!("from|{source}"))), Some(source)),
        };
        Ok(Trial { id, by, source })
    }

    /// This context itself where `cx` is. Guesses are never counted under a caller's write key: one that is sent again
    /// is one more.
    fn counting(&self, cx: &Cx) -> Result<Cx, Problem> {
        match cx.scope() {
            Scope::Tenant(_) => self.service.within(cx),
            Scope::Platform => Ok(self.service.platform()),
        }
    }

    async fn change_guesses<const TENANT: bool>(
        &self,
        id: &str,
        cx: &Cx,
        mut rule: impl FnMut(&mut Guesses<TENANT>) -> Result<(), Problem> + Send,
    ) -> Result<(), Problem> {
        let (store, id) = (self.store.at(cx), id.to_owned());
        if store.try_load::<Guesses<TENANT>>(&id).await?.is_none() {
            let mut first = Guesses::begin(id.clone(), cx.real_now());
            rule(&mut first)?;
            match store.create(first, ()).await {
                // Another was the first at the same moment.
                Err(raced) if raced.kind() == ProblemKind::Conflict => {}
                stored => return stored.map(drop),
            }
        }
        store.change(&id, rule).await.map(drop)
    }

    /// Counts an attempt before it is looked at; a problem while there is a pause.
    pub async fn attempt(&self, trial: &Trial, cx: &Cx) -> Result<(), Problem> {
        let (cx, now) = (self.counting(cx)?, cx.real_now());
        if let Some(source) = &trial.source
            && let Some(until) = self.out_of_pace(Paced::Guesses, source).await?
        {
            return Err(paused(until, now));
        }
        let refused = |until| paused(until, now);
        match cx.scope() {
            Scope::Tenant(_) => {
                self.change_guesses::<true>(&trial.id, &cx, |it| it.attempt(&trial.by, now).map_err(refused)).await
            }
            Scope::Platform => {
                self.change_guesses::<false>(&trial.id, &cx, |it| it.attempt(&trial.by, now).map_err(refused)).await
            }
        }
    }

    /// The attempt was no guess, or all that is asked for was shown.
    pub async fn settle(&self, trial: &Trial, came: Came, cx: &Cx) -> Result<(), Problem> {
        let cx = self.counting(cx)?;
        match cx.scope() {
            Scope::Tenant(_) => {
                let settle = |it: &mut Guesses<true>| {
                    it.settle(&trial.by, came);
                    Ok(())
                };
                self.change_guesses(&trial.id, &cx, settle).await
            }
            Scope::Platform => {
                let settle = |it: &mut Guesses<false>| {
                    it.settle(&trial.by, came);
                    Ok(())
                };
                self.change_guesses(&trial.id, &cx, settle).await
            }
        }
    }

    /// The attempt was wrong: that counts for where it came from as well, over all accounts and tenants.
    pub async fn was_wrong(&self, trial: &Trial) -> Result<(), Problem> {
        match &trial.source {
            Some(source) => self.keeps_pace(Paced::Guesses, source).await.map(drop),
            None => Ok(()),
        }
    }

    /// A new password was chosen: guesses at the one of before are of no account.
    pub async fn forget_guesses(&self, email: &str, cx: &Cx) -> Result<(), Problem> {
        let trial = self.trial(email, By::Known(String::new()), cx).await?;
        let cx = self.counting(cx)?;
        let store = self.store.at(&cx);
        let gone = match cx.scope() {
            Scope::Tenant(_) => match store.try_load::<Guesses<true>>(&trial.id).await? {
                Some(known) => store.delete(known, ()).await,
                None => Ok(()),
            },
            Scope::Platform => match store.try_load::<Guesses<false>>(&trial.id).await? {
                Some(known) => store.delete(known, ()).await,
                None => Ok(()),
            },
        };
        // A guess at the same moment: what is left of it is an allowance that is not whole.
        gone.or_else(|problem| if problem.kind() == ProblemKind::Conflict { Ok(()) } else { Err(problem) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    fn none() -> Guesses<true> {
        Guesses::begin(String::new(), START)
    }

    fn from(place: usize) -> By {
        By::Stranger(format!("place {place}"))
    }

    #[test]
    fn a_storm_pauses_where_it_comes_from_and_a_pause_is_not_prolonged_by_it() {
        let mut it = none();
        assert!((0..FROM_ONE).all(|_| it.attempt(&from(1), START).is_ok()));
        let until = START + Duration::from_secs(30);
        assert_eq!(it.attempt(&from(1), START), Err(until));
        assert_eq!(it.attempt(&from(1), START + Duration::from_secs(29)), Err(until));
        assert!(it.attempt(&from(2), START).is_ok(), "elsewhere there is none");
        assert!(it.attempt(&from(1), until).is_ok());
        assert_eq!(it.attempt(&from(1), until), Err(until + Duration::from_mins(1)), "the next is twice as long");
        let mut now = until;
        for _ in 0..20 {
            while it.attempt(&from(1), now).is_ok() {}
            now = it.attempt(&from(1), now).unwrap_err();
        }
        assert!(it.attempt(&from(1), now).is_ok());
        assert_eq!(it.attempt(&from(1), now), Err(now + Duration::from_hours(1)), "and none longer than an hour");
    }

    #[test]
    fn strangers_from_everywhere_are_bounded_and_a_known_device_is_not_touched() {
        let (mut it, device) = (none(), By::Known("device".to_owned()));
        let guessed = (0..10_000).filter(|place| it.attempt(&from(*place), START).is_ok()).count();
        assert_eq!(guessed, usize::try_from(OF_STRANGERS).unwrap());
        assert!(it.each.len() <= MOST);
        assert!(it.attempt(&device, START).is_ok());
        it.forgive(&device);
        assert!(it.attempt(&from(1), START).is_err(), "and its owner's sign-in gives them nothing back");
        let day = (0..24 * 60)
            .filter(|minute| it.attempt(&from(*minute), START + Duration::from_mins(*minute as u64)).is_ok());
        assert!(day.count() < 40, "then about one an hour");
        assert!((0..4).all(|_| it.attempt(&device, START).is_ok()));
        it.attempt(&device, START).unwrap();
        assert!(it.attempt(&device, START).is_err(), "a stolen device has an allowance too");
    }

    #[test]
    fn what_was_right_or_no_guess_is_given_back() {
        let mut it = none();
        for _ in 0..50 {
            it.attempt(&from(1), START).unwrap();
            it.take_back(&from(1));
        }
        assert!((0..FROM_ONE).all(|_| it.attempt(&from(1), START).is_ok()));
        it.forgive(&from(1));
        assert!((0..FROM_ONE).all(|_| it.attempt(&from(1), START).is_ok()));
    }
}
