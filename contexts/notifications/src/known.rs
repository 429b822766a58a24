//! What each delivery needs to know and seldom changes, kept for less than a second: a change is in force everywhere
//! within that time, and at once in the process that made it.

use std::{sync::Arc, time::Duration};

use kernel::{Cx, Problem, Scope, text::Key};
use moka::future::Cache;
use store::{Page, Store};

use crate::{
    channel::{Channel, State},
    settings::Settings,
    template::{Template, built_in, wording::Ready},
};

const FRESH: Duration = Duration::from_millis(900);
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
    settings: Cache<Scope, Arc<Settings>>,
    templates: Cache<(Scope, Key), Arc<Spoken>>,
    endpoints: Cache<Scope, Arc<Vec<Channel>>>,
}

fn cache<K: std::hash::Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static>(most: u64) -> Cache<K, V> {
    Cache::builder().max_capacity(most).time_to_live(FRESH).build()
}

impl Default for Known {
    fn default() -> Self {
        Self { settings: cache(TENANTS), templates: cache(TEMPLATES), endpoints: cache(TENANTS) }
    }
}

impl Known {
    pub(crate) async fn settings(&self, store: &Store, cx: &Cx) -> Result<Arc<Settings>, Problem> {
        if let Some(known) = self.settings.get(&cx.scope()).await {
            return Ok(known);
        }
        let held = store.at(cx).try_load::<Settings>(&Settings::ID.to_owned()).await?;
        let settings = Arc::new(held.map_or_else(|| Settings::new(None), store::Loaded::into_inner));
        self.settings.insert(cx.scope(), Arc::clone(&settings)).await;
        Ok(settings)
    }

    /// What a template says: the tenant's published version, or what the platform says.
    pub(crate) async fn template(&self, store: &Store, cx: &Cx, key: &Key) -> Result<Option<Arc<Spoken>>, Problem> {
        let name = (cx.scope(), key.clone());
        if let Some(known) = self.templates.get(&name).await {
            return Ok(Some(known));
        }
        let held = store.at(cx).try_load::<Template>(key).await?;
        let published = held.as_ref().and_then(|it| it.published()).map(|it| it.wording.clone());
        let Some(wording) = published.or_else(|| built_in::wording(key)) else { return Ok(None) };
        let spoken = Arc::new(Spoken { ready: wording.ready(&[])? });
        self.templates.insert(name, Arc::clone(&spoken)).await;
        Ok(Some(spoken))
    }

    /// The webhook endpoints of a tenant that are in use.
    pub(crate) async fn endpoints(&self, store: &Store, cx: &Cx) -> Result<Arc<Vec<Channel>>, Problem> {
        if let Some(known) = self.endpoints.get(&cx.scope()).await {
            return Ok(known);
        }
        let page = Page { limit: 200, ..Page::default() };
        let listed = store.at(cx).list::<Channel>("kind", "webhook", &page).await?;
        let used = listed.items.into_iter().map(store::Loaded::into_inner).filter(|it| it.state == State::Enabled);
        let endpoints = Arc::new(used.collect());
        self.endpoints.insert(cx.scope(), Arc::clone(&endpoints)).await;
        Ok(endpoints)
    }

    pub(crate) async fn forget_settings(&self, scope: Scope) {
        self.settings.invalidate(&scope).await;
    }

    pub(crate) async fn forget_template(&self, scope: Scope, key: &Key) {
        self.templates.invalidate(&(scope, key.clone())).await;
    }

    pub(crate) async fn forget_endpoints(&self, scope: Scope) {
        self.endpoints.invalidate(&scope).await;
    }
}
