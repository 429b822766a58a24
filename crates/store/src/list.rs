//! A part of a list, as it is asked for and told.

use kernel::{List, Problem};

use crate::typed::{Loaded, cursor_text};

/// Which part of a list.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Go on after this cursor.
    pub after: Option<String>,
    /// At most so many, 200 at the most; 0 means 50.
    pub limit: usize,
    /// The newest first.
    pub newest_first: bool,
}

impl Page {
    /// The newest first, from a cursor on, as callers ask for it.
    pub fn newest(after: Option<String>, limit: Option<u32>) -> Self {
        Self { after, limit: usize::try_from(limit.unwrap_or(50)).unwrap_or(50), newest_first: true }
    }

    /// Goes on after an id, in a list that has no order but that of ids.
    pub fn after_id(mut self, id: &impl std::fmt::Display) -> Self {
        self.after = Some(cursor_text("", &id.to_string()));
        self
    }
}

/// A part of a list.
#[derive(Debug)]
pub struct Listed<A> {
    /// The items, in order.
    pub items: Vec<Loaded<A>>,
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
}

impl<A> Listed<A> {
    /// The same part, each item as it is shown.
    pub fn shown<V>(self, show: impl Fn(&A) -> Result<V, Problem>) -> Result<List<V>, Problem> {
        let items = self.items.iter().map(|it| show(it)).collect::<Result<_, Problem>>()?;
        Ok(List { items, next: self.next })
    }
}
