//! Who facts are of, and what becomes of that.

use std::collections::BTreeMap;

use contracts::{
    analytics::UserActivityRecorded,
    identity::{UserActivated, UserAuthenticated},
    users::{ConfirmErasure, EXPORT, PersonData, UserErasureRequested},
};
use facts::{Bucket, Fact, Field, Filter, Measure, Query, Row};
use kernel::{Cx, Envelope, Event, Granted, Handle, Problem, Scope, UserId, use_case};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Analytics, dashboard::Attention};

/// What is held of a person: how much of what they did, by name and day.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportPerson {
    /// Who.
    user: UserId,
}

use_case!(ExportPerson => PersonData, "analytics.person.export", Tenant, EXPORT.permission, Tell, |it| it.user.into());

impl Analytics {
    /// How facts name a person of the scope of `cx`: by a hash under that person's own key. With the key it is gone: who
    /// was erased has none, and facts that still carry the former one lead nowhere, not even for who knows the id.
    pub(crate) async fn pseudonym(&self, cx: &Cx, person: UserId) -> Result<Option<String>, Problem> {
        let keys = self.store.keys();
        // The tenant's key first: with it, everything is gone.
        keys.scope(cx.scope()).await?;
        match keys.person(cx.scope(), person).await {
            Ok(key) => Ok(Some(key.blind("pseudonym", &person.to_string()))),
            Err(keys::KeyError::Destroyed) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    /// Every event of a tenant is a fact: of the person who did it, else of nobody.
    pub(crate) async fn follow(&self, event: Envelope, cx: Cx) -> Result<(), Problem> {
        // That somebody was active is in the facts already.
        if event.scope == Scope::Platform || event.r#type == UserActivityRecorded::TYPE {
            return Ok(());
        }
        let person = match doer(&event)? {
            Some(person) => self.pseudonym(&cx, person).await?,
            None => None,
        };
        let (id, name, at, labels) = (event.id, event.r#type, event.time, BTreeMap::new());
        let fact = Fact { id, scope: event.scope, name, at, person, value: 1.0, labels };
        Ok(self.facts.append(vec![fact]).await?)
    }

    /// Unlinks what a person did. The facts stay, of nobody: figures of the past stay what they were, and nothing in a
    /// fact but the pseudonym is about a person (labels must not be).
    pub(crate) async fn erase_person(&self, event: UserErasureRequested, cx: Cx) -> Result<(), Problem> {
        if let Some(pseudonym) = self.pseudonym(&cx, event.user).await? {
            self.facts.forget(cx.scope(), &pseudonym).await?;
        }
        let store = self.store.at(&cx);
        if let Some(attention) = store.try_load::<Attention>(&event.user).await? {
            store.delete(attention, ()).await?;
        }
        let confirmed = ConfirmErasure { user: event.user, context: "analytics".to_owned() };
        self.calls.call(confirmed, &cx).await
    }
}

/// Who did what an event tells. Who signs in is a visitor until it is done; what services and operators do, and what
/// visitors ask for others, is nobody's act.
fn doer(event: &Envelope) -> Result<Option<UserId>, Problem> {
    if let Ok(person) = event.actor.parse() {
        return Ok(Some(person));
    }
    if let Some(signed_in) = event.event::<UserAuthenticated>() {
        return Ok(Some(signed_in?.user));
    }
    Ok(event.event::<UserActivated>().transpose()?.map(|activated| activated.user))
}

impl Handle<ExportPerson> for Analytics {
    async fn handle(&self, it: ExportPerson, cx: Granted<ExportPerson>) -> Result<PersonData, Problem> {
        cx.permit_owner(Some(it.user))?;
        let Some(pseudonym) = self.pseudonym(&cx, it.user).await? else { return Ok(PersonData::new()) };
        let settings = self.settings(&cx).await?;
        let query = Query {
            filters: vec![Filter::is(Field::Person, &pseudonym)],
            bucket: Some(Bucket::Day),
            time_zone: settings.zone_name().to_owned(),
            group_by: vec![Field::Name],
            limit: 10_000,
            ..Query::new(Measure::Count)
        };
        let most = query.limit as usize;
        let rows = match self.facts.query(cx.scope(), query.clone()).await {
            Ok(rows) if rows.len() < most => rows,
            // Of who did very much, months tell enough.
            Ok(_) | Err(facts::FactsError::Invalid { .. }) => {
                self.facts.query(cx.scope(), Query { bucket: Some(Bucket::Month), ..query }).await?
            }
            Err(other) => return Err(other.into()),
        };
        let day = |row: Row| {
            let day = row.bucket.map(|at| settings.zone().to_datetime(at).date().to_string());
            json!({ "from": day, "name": row.groups.into_iter().next().flatten(), "count": row.value })
        };
        let activity: Vec<Value> = rows.into_iter().map(day).collect();
        Ok(PersonData::from([("activity".to_owned(), Value::Array(activity))]))
    }
}
