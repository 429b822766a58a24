//! What templates say now, kept for less than a second: a change is in force everywhere within that time, and at once in
//! the process that made it.

use std::sync::Arc;

use cache::{Cache, IN_FORCE};
use kernel::{Cx, Problem, Scope, text::Key};
use store::Store;
use templates::{built_in, template::Template, wording::Ready};

/// Templates that are remembered at a time.
const TEMPLATES: u64 = 2_000;

/// What a template says now.
#[derive(Debug)]
pub(crate) struct Spoken {
    pub(crate) ready: Ready,
}

/// See above.
pub(crate) struct Known(Cache<(Scope, Key), Option<Arc<Spoken>>>);

impl Default for Known {
    fn default() -> Self {
        Self(Cache::new(TEMPLATES, IN_FORCE))
    }
}

impl Known {
    /// The published template of a key, or the platform's.
    pub(crate) async fn template(&self, store: &Store, cx: &Cx, key: &Key) -> Result<Option<Arc<Spoken>>, Problem> {
        let read = async {
            let held = store.at(cx).try_load::<Template>(key).await?;
            let published = held.as_ref().and_then(|it| it.published()).map(|it| it.wording.clone());
            let Some(wording) = published.or_else(|| built_in::wording(key)) else { return Ok::<_, Problem>(None) };
            Ok(Some(Arc::new(Spoken { ready: wording.ready(&[])? })))
        };
        Ok(self.0.get_or((cx.scope(), key.clone()), read).await?.as_ref().as_ref().map(Arc::clone))
    }

    pub(crate) fn forget_template(&self, scope: Scope, key: &Key) {
        self.0.forget(&(scope, key.clone()));
    }
}
