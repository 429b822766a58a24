//! All that is held of a person, in one document, for the person to take away.

use std::collections::BTreeMap;

use contracts::users::{EXPORT, HOLDERS, PersonData};
use kernel::{Cx, Granted, Handle, Problem, ProblemKind, Timestamp, UserId, use_case};
use ring::digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::Page;

use crate::{Users, activity::ActivityEntry, preference::Preference, profile::UserProfile};

/// The most bytes of one document.
const MOST: usize = 8 * 1024 * 1024;

/// Gives all that the installation holds of a person. Passwords, keys and secrets are left out.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportUser {
    /// Who.
    user: UserId,
}

use_case!(ExportUser => ExportView, "users.export", Tenant, EXPORT.permission, Tell, |it| it.user.into());

/// Gives all that the installation holds of the caller. Passwords, keys and secrets are left out.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportMe {}

use_case!(ExportMe => ExportView, "users.export_me", Tenant, EXPORT.permission, Tell);

/// All that is held of a person.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ExportView {
    /// Who.
    user: UserId,
    /// When it was put together.
    #[schemars(with = "String", extend("format" = "date-time"))]
    made: Timestamp,
    /// By context, then by what it is.
    contexts: BTreeMap<String, PersonData>,
    /// `sha-256:` and the hash, in hexadecimal, of `contexts` as JSON without white space and with all keys in order.
    digest: String,
}

impl Handle<ExportUser> for Users {
    async fn handle(&self, it: ExportUser, cx: Granted<ExportUser>) -> Result<ExportView, Problem> {
        cx.permit_owner(Some(it.user))?;
        self.export(it.user, &cx).await
    }
}

impl Handle<ExportMe> for Users {
    async fn handle(&self, _: ExportMe, cx: Granted<ExportMe>) -> Result<ExportView, Problem> {
        self.export(cx.user()?, &cx).await
    }
}

impl Users {
    async fn export(&self, user: UserId, cx: &Cx) -> Result<ExportView, Problem> {
        self.store.at(cx).load::<UserProfile>(&user).await?;
        let mut contexts = BTreeMap::new();
        let mut size = 0;
        for context in HOLDERS {
            let answer = self.calls.ask(&format!("{context}.person.export"), json!({ "user": user }), cx).await;
            let mut held = match answer {
                // A context that is not part of this installation holds nothing.
                Err(absent) if absent.code() == "context_not_served" => continue,
                answer => answer?,
            };
            held.sort_all_objects();
            size += held.to_string().len();
            if size > MOST {
                return Err(Problem::new(
                    ProblemKind::Refused,
                    "users.export_too_large",
                    "more is held than one answer takes",
                )
                .hint("ask whoever runs this installation to put it together for you"));
            }
            contexts.insert(context.to_owned(), serde_json::from_value(held).map_err(Problem::internal)?);
        }
        let text = serde_json::to_vec(&contexts).map_err(Problem::internal)?;
        let hash = digest::digest(&digest::SHA256, &text);
        let digest = format!("sha-256:{}", data_encoding::HEXLOWER.encode(hash.as_ref()));
        Ok(ExportView { user, made: cx.now(), contexts, digest })
    }
}

/// Gives what this context holds of a person.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportPerson {
    /// Who.
    user: UserId,
}

use_case!(ExportPerson => PersonData, "users.person.export", Tenant, EXPORT.permission, Tell, |it| it.user.into());

impl Handle<ExportPerson> for Users {
    async fn handle(&self, it: ExportPerson, cx: Granted<ExportPerson>) -> Result<PersonData, Problem> {
        cx.permit_owner(Some(it.user))?;
        let store = self.store.at(&cx);
        let mut data = PersonData::new();
        if let Some(profile) = store.try_load::<UserProfile>(&it.user).await? {
            data.insert("profile".to_owned(), serde_json::to_value(&*profile).map_err(Problem::internal)?);
        }
        if let Some(preferences) = store.try_load::<Preference>(&it.user).await? {
            data.insert(
                "preferences".to_owned(),
                serde_json::to_value(preferences.values()).map_err(Problem::internal)?,
            );
        }
        let mut activity = Vec::new();
        let mut page = Page { limit: 200, newest_first: true, ..Page::default() };
        loop {
            let listed = store.list::<ActivityEntry>("person", &it.user.to_string(), &page).await?;
            activity.extend(listed.items.iter().map(|entry| json!({ "at": entry.at, "what": entry.words() })));
            // What is kept is bounded, but an answer is so whatever is kept.
            let Some(next) = listed.next.filter(|_| activity.len() < crate::activity::KEPT) else { break };
            page.after = Some(next);
        }
        data.insert("activity".to_owned(), Value::Array(activity));
        Ok(data)
    }
}
