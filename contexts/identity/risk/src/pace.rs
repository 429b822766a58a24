//! How much one source may ask for that reaches others: counted in the platform's scope, over all tenants.

use std::time::Duration;

use kernel::{Aggregate, Life, Problem, ProblemKind, ScopeKind, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Risk;

/// What is paced.
#[derive(Debug, Clone, Copy)]
pub enum Paced {
    /// Mails to one mailbox that somebody who had not signed in asked for.
    Mailbox,
    /// Requests for such mails from one address of the network.
    Source,
    /// Wrong passwords and codes of strangers from one address of the network.
    Guesses,
}

impl Paced {
    const fn label(self) -> &'static str {
        match self {
            Self::Mailbox => "identity/pace/mailbox",
            Self::Source => "identity/pace/source",
            Self::Guesses => "identity/pace/guesses",
        }
    }

    /// So many within an hour.
    const fn most(self) -> u32 {
        match self {
            Self::Mailbox => 5,
            Self::Source => 30,
            Self::Guesses => 100,
        }
    }
}

const WINDOW: Duration = Duration::from_hours(1);

/// A count that begins anew after an hour.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Pace {
    id: String,
    count: u32,
    ends: Timestamp,
}

impl Pace {
    fn begin(id: String, now: Timestamp) -> Self {
        Self { id, count: 0, ends: now + WINDOW }
    }

    /// Counts one more; whether it is within bounds.
    fn one_more(&mut self, most: u32) -> bool {
        let within = self.count < most;
        self.count += u32::from(within);
        within
    }
}

impl Aggregate for Pace {
    type Id = String;
    const KIND: &'static str = "identity.pace";
    const SCOPE: ScopeKind = ScopeKind::Platform;
    const LIFE: Life = Life::Ephemeral;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn expires(&self) -> Option<Timestamp> {
        Some(self.ends)
    }
}

impl Risk {
    /// Until when a mailbox or a source has to wait, if it has used up what there is.
    pub(crate) async fn out_of_pace(&self, what: Paced, whose: &str) -> Result<Option<Timestamp>, Problem> {
        let cx = self.service.platform();
        let id = self.store.keys().scope(cx.scope()).await?.blind(what.label(), whose);
        let known = self.store.at(&cx).try_load::<Pace>(&id).await?;
        Ok(known.filter(|known| known.count >= what.most()).map(|known| known.ends))
    }

    /// Counts one more for a mailbox or a source; whether it is within bounds.
    pub async fn keeps_pace(&self, what: Paced, whose: &str) -> Result<bool, Problem> {
        let cx = self.service.platform();
        let (store, now) = (self.store.at(&cx), cx.real_now());
        let id = self.store.keys().scope(cx.scope()).await?.blind(what.label(), whose);
        let mut within = false;
        if store.try_load::<Pace>(&id).await?.is_none() {
            let mut first = Pace::begin(id.clone(), now);
            within = first.one_more(what.most());
            match store.create(first, ()).await {
                // Someone else was the first at the same moment.
                Err(raced) if raced.kind() == ProblemKind::Conflict => {}
                stored => return stored.map(|_| within),
            }
        }
        let count = |it: &mut Pace| {
            within = it.one_more(what.most());
            Ok(())
        };
        store.change(&id, count).await?;
        Ok(within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_bound_there_is_no_more_and_asking_on_changes_nothing() {
        let mut it = Pace::begin("x".to_owned(), Timestamp::UNIX_EPOCH);
        let within = (0..9).filter(|_| it.one_more(Paced::Mailbox.most())).count();
        assert_eq!((within, it.count), (5, 5));
        assert_eq!(it.expires(), Some(Timestamp::UNIX_EPOCH + WINDOW));
    }
}
