//! What each delivery needs to know and seldom changes, kept for less than a second: a change is in force everywhere
//! within that time, and at once in the process that made it.

use std::sync::Arc;

use cache::{Cache, IN_FORCE, Known as Held};
use kernel::{Cx, Problem, Scope, text::Key};
use store::{Page, Store};

use crate::{
    channel::{Channel, State},
    settings::Settings,
    template::{Template, built_in, wording::Ready},
};

/// Tenants, and templates, that are remembered at a time.
const TENANTS: u64 = 10_000;
const TEMPLATES: u64 = 2_000;

/// What a template says now.
#[derive(Debug)]
pub(crate) struct Spoken {
    pub(crate) ready: Ready,
}

/// See above.
pub(crate) struct Known {
    settings: Cache<Scope, Settings>,
    templates: Cache<(Scope, Key), Option<Arc<Spoken>>>,
    endpoints: Cache<Scope, Vec<Channel>>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            settings: Cache::new(TENANTS, IN_FORCE),
            templates: Cache::new(TEMPLATES, IN_FORCE),
            endpoints: Cache::new(TENANTS, IN_FORCE),
        }
    }
}

impl Known {
    pub(crate) async fn settings(&self, store: &Store, cx: &Cx) -> Result<Arc<Held<Settings>>, Problem> {
        let read = async {
            let held = store.at(cx).try_load::<Settings>(&Settings::ID.to_owned()).await?;
            Ok(held.map_or_else(|| Settings::new(None), store::Loaded::into_inner))
        };
        self.settings.get_or(cx.scope(), read).await
    }

    /// What a template says: the tenant's published version, or what the platform says.
    pub(crate) async fn template(&self, store: &Store, cx: &Cx, key: &Key) -> Result<Option<Arc<Spoken>>, Problem> {
        let read = async {
            let held = store.at(cx).try_load::<Template>(key).await?;
            let published = held.as_ref().and_then(|it| it.published()).map(|it| it.wording.clone());
            let Some(wording) = published.or_else(|| built_in::wording(key)) else { return Ok::<_, Problem>(None) };
            Ok(Some(Arc::new(Spoken { ready: wording.ready(&[])? })))
        };
        Ok(self.templates.get_or((cx.scope(), key.clone()), read).await?.as_ref().as_ref().map(Arc::clone))
    }

    /// The webhook endpoints of a tenant that are in use.
    pub(crate) async fn endpoints(&self, store: &Store, cx: &Cx) -> Result<Arc<Held<Vec<Channel>>>, Problem> {
        let read = async {
            let page = Page { limit: 200, ..Page::default() };
            let listed = store.at(cx).list::<Channel>("kind", "webhook", &page).await?;
            let used = listed.items.into_iter().map(store::Loaded::into_inner).filter(|it| it.state == State::Enabled);
            Ok(used.collect())
        };
        self.endpoints.get_or(cx.scope(), read).await
    }

    pub(crate) fn forget_settings(&self, scope: Scope) {
        self.settings.forget(&scope);
    }

    pub(crate) fn forget_template(&self, scope: Scope, key: &Key) {
        self.templates.forget(&(scope, key.clone()));
    }

    pub(crate) fn forget_endpoints(&self, scope: Scope) {
        self.endpoints.forget(&scope);
    }
}
