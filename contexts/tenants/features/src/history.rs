//! Who changed a feature, when, from what, to what. Written by following the events, kept for a while.

use std::{marker::PhantomData, time::Duration};

use contracts::entitlements::{FeatureEnabled, FeatureOverridden};
use kernel::{Aggregate, Cx, Envelope, Event, Life, Problem, Scope, ScopeKind, Term, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Features,
    feature::{Common, Own, Place},
};

const KEPT: Duration = Duration::from_hours(400 * 24);

/// One change of a feature.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ChangeView {
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// What changed: `definition`, or `override` by an operator.
    pub what: String,
    /// As it was; null for nothing.
    pub from: Value,
    /// As it is from then on; null for nothing.
    pub to: Value,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct FeatureChange<P: Place> {
    event: String,
    feature: String,
    pub view: ChangeView,
    #[serde(skip)]
    place: PhantomData<fn() -> P>,
}

impl<P: Place> Aggregate for FeatureChange<P> {
    type Id = String;
    const KIND: &'static str = "tenants.feature_change";
    const SCOPE: ScopeKind = P::SCOPE;
    const LIFE: Life = Life::Ephemeral;

    /// The event that told of it, so that it is written once.
    fn id(&self) -> String {
        self.event.clone()
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::by_time("feature", &*self.feature, self.view.at)]
    }

    fn expires(&self) -> Option<Timestamp> {
        Some(self.view.at + KEPT)
    }
}

impl Features {
    /// Writes down what an event tells of a feature.
    pub async fn record(&self, envelope: Envelope, cx: Cx) -> Result<(), Problem> {
        let (feature, what, from, to) = if let Some(event) = envelope.event::<FeatureEnabled>() {
            let event = event?;
            (event.feature, "definition", event.from, event.to)
        } else if let Some(event) = envelope.event::<FeatureOverridden>() {
            let event = event?;
            (event.feature, "override", event.from, event.to)
        } else {
            return Err(Problem::internal(format!("{} is no change of a feature", envelope.r#type)));
        };
        let view = ChangeView { at: envelope.time, by: envelope.actor, what: what.to_owned(), from, to };
        match cx.scope() {
            Scope::Platform => self.write_down::<Common>(envelope.id, feature, view, &cx).await,
            Scope::Tenant(_) => self.write_down::<Own>(envelope.id, feature, view, &cx).await,
        }
    }

    async fn write_down<P: Place>(
        &self,
        event: String,
        feature: String,
        view: ChangeView,
        cx: &Cx,
    ) -> Result<(), Problem> {
        let store = self.store.at(cx);
        if store.try_load::<FeatureChange<P>>(&event).await?.is_some() {
            return Ok(());
        }
        store.create(FeatureChange::<P> { event, feature, view, place: PhantomData }, ()).await.map(drop)
    }

    /// The events that [`Self::record`] knows.
    pub(crate) const RECORDED: [(&'static str, &'static str); 2] =
        [("record_definition", FeatureEnabled::TYPE), ("record_override", FeatureOverridden::TYPE)];
}
