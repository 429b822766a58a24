//! The version of the one aggregate that a request is about: what its caller has read before, and what it is now. A change
//! on top of what somebody else has changed meanwhile is refused instead of undoing it (RFC 9110, section 13.1.1).

use std::sync::{Mutex, OnceLock, PoisonError};

use crate::problem::{Problem, ProblemKind};

/// The versions that a caller takes: those it names, or any that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: whichever, as long as there is one.
    Any,
    /// One of these.
    OneOf(Vec<u64>),
}

/// What is known of the version in the course of one request.
#[derive(Debug, Default)]
pub struct Versions {
    expected: Option<IfMatch>,
    /// The kind of the aggregate, and its id where the input names it.
    about: OnceLock<(&'static str, Option<String>)>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    version: Option<u64>,
    /// This request has changed it: what it does after that is on top of its own change.
    changed: bool,
}

impl Versions {
    /// For a caller who takes these only.
    pub fn expecting(expected: Option<IfMatch>) -> Self {
        Self { expected, ..Self::default() }
    }

    /// Says which aggregate it is. The first word counts.
    pub(crate) fn about(&self, kind: &'static str, id: Option<String>) {
        drop(self.about.set((kind, id)));
    }

    fn concerns(&self, kind: &str, id: &str) -> bool {
        let about = self.about.get();
        about.is_some_and(|(of, named)| *of == kind && named.as_deref().is_none_or(|named| named == id))
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An aggregate was read, and has this version.
    pub fn is(&self, kind: &str, id: &str, version: u64) {
        if self.concerns(kind, id) {
            self.seen().version = Some(version);
        }
    }

    /// An aggregate was changed, and has this version now; none where it was deleted.
    pub fn changed(&self, kind: &str, id: &str, version: Option<u64>) {
        if self.concerns(kind, id) {
            *self.seen() = Seen { version, changed: true };
        }
    }

    /// An aggregate of this version (none where there is none yet) is about to be changed; a problem where the caller has
    /// read another.
    pub fn check(&self, kind: &str, id: &str, version: Option<u64>) -> Result<(), Problem> {
        let Some(expected) = self.expected.as_ref().filter(|_| self.concerns(kind, id)) else { return Ok(()) };
        let fits = match (expected, version) {
            (_, None) => false,
            (IfMatch::Any, Some(_)) => true,
            (IfMatch::OneOf(named), Some(version)) => named.contains(&version),
        };
        if fits || self.seen().changed {
            return Ok(());
        }
        Err(Problem::new(ProblemKind::Precondition, "changed_since_read", "this was changed since it was read")
            .hint("read it again, and send the change with the ETag of now in If-Match"))
    }

    /// The version of now, as far as it was seen.
    pub fn now(&self) -> Option<u64> {
        self.seen().version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_goes_on_top_of_what_was_read_and_of_itself() {
        let it = Versions::expecting(Some(IfMatch::OneOf(vec![3, 7])));
        assert!(it.check("a.role", "x", Some(4)).is_ok(), "before it is said what it is about");
        it.about("a.role", Some("x".to_owned()));
        assert!(it.check("a.role", "x", Some(7)).is_ok() && it.check("a.role", "x", Some(8)).is_err());
        assert!(it.check("a.role", "x", None).is_err(), "there is none");
        assert!(
            it.check("a.role", "y", Some(8)).is_ok() && it.check("a.user", "x", Some(8)).is_ok(),
            "others are not meant"
        );
        it.is("a.role", "y", 1);
        it.is("a.role", "x", 7);
        assert_eq!(it.now(), Some(7));
        it.changed("a.role", "x", Some(8));
        assert!(it.check("a.role", "x", Some(8)).is_ok() && it.now() == Some(8), "its own change");
        let any = Versions::expecting(Some(IfMatch::Any));
        any.about("a.role", None);
        assert!(any.check("a.role", "z", Some(1)).is_ok() && any.check("a.role", "z", None).is_err());
    }
}
