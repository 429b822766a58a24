//! What truly became durable, seen below the faults: the events of every commit that was applied, in their order.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use kernel::Envelope;
use store::Commit;

/// All that is known of one scope.
#[derive(Default, Clone)]
pub(crate) struct Recorded {
    /// How many events of each type were committed.
    pub(crate) types: BTreeMap<String, u64>,
    /// The ids of all events, and of each aggregate in the order of its versions.
    pub(crate) ids: BTreeSet<String>,
}

#[derive(Default)]
struct Kept {
    scopes: BTreeMap<String, Recorded>,
    commits: u64,
    /// The ids of events in the order of the log, with whose they are and the version.
    logged: Vec<(String, String, u64)>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Kept>);

impl Ledger {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A commit was applied.
    pub(crate) fn committed(&self, commit: &Commit) {
        let mut kept = self.kept();
        kept.commits += 1;
        let envelopes = commit.events.iter().filter_map(|it| serde_json::from_slice::<Envelope>(it).ok());
        for envelope in envelopes {
            let of = kept.scopes.entry(envelope.scope.to_string()).or_default();
            *of.types.entry(envelope.r#type).or_default() += 1;
            of.ids.insert(envelope.id);
        }
    }

    /// An event came into the log.
    pub(crate) fn logged(&self, envelope: &[u8]) {
        if let Ok(envelope) = serde_json::from_slice::<Envelope>(envelope) {
            let of = (envelope.id, format!("{} {}", envelope.scope, envelope.subject), envelope.sequence);
            self.kept().logged.push(of);
        }
    }

    /// How many commits there were.
    pub(crate) fn commits(&self) -> u64 {
        self.kept().commits
    }

    /// What was committed in a scope.
    pub(crate) fn of(&self, scope: &str) -> Recorded {
        self.kept().scopes.get(scope).cloned().unwrap_or_default()
    }

    /// What is wrong with the log: an event that is missing, is there twice, or stands before an older one of its
    /// aggregate. Of scopes that were erased some may be missing.
    pub(crate) fn log_is_wrong(&self, erased: &[&str]) -> Option<String> {
        let kept = self.kept();
        let (mut seen, mut newest) = (BTreeSet::new(), BTreeMap::new());
        for (id, of, version) in &kept.logged {
            if !seen.insert(id) {
                return Some(format!("the event {id} of {of} is in the log twice"));
            }
            let before = newest.entry(of).or_insert(0_u64);
            if *before > *version {
                return Some(format!("{of}: version {version} stands in the log after {before}"));
            }
            *before = *version;
        }
        let lasting = kept.scopes.iter().filter(|(scope, _)| !erased.contains(&scope.as_str()));
        let committed = lasting.flat_map(|(scope, of)| of.ids.iter().map(move |id| (scope, id)));
        let lost = committed.into_iter().find(|(_, id)| !seen.contains(id));
        lost.map(|(scope, id)| format!("the event {id} of {scope} was committed and is not in the log"))
    }
}
