//! What asks for notifications, and for another attempt.

use std::collections::BTreeSet;

use contracts::notifications::{NotificationId, TellPerson};
use kernel::{Granted, Handle, Problem, text::Key, use_case};
use permissions as may;
use recipients::means::Means;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use templates::variable::{Given, Values};
use text::{Locale, RequestId};

use crate::{
    Notifications,
    notification::{Notification, Recipient, queries::NotificationView, request::Ask},
};

/// Tells one recipient something: a person, who gets it by what they prefer; an address; or a webhook endpoint. Sent
/// again with the same `id`, it takes effect once, for as long as the notification is kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendNotification {
    /// The sender's own id for it.
    id: Option<RequestId>,
    /// Who is told.
    to: Recipient,
    /// What is said, as the key of a published template.
    template: Key,
    /// What the template is told: all and only the variables that it declares.
    #[serde(default)]
    variables: Values,
    /// The category; that of the template unless told.
    category: Option<Key>,
    /// The language; the recipient's unless told.
    locale: Option<Locale>,
    /// By what a person is told at most; by what the category is delivered unless told.
    channels: Option<BTreeSet<Means>>,
}

use_case!(SendNotification => NotificationView, "notifications.send", Tenant, may::SEND);

impl Handle<SendNotification> for Notifications {
    async fn handle(&self, it: SendNotification, cx: Granted<SendNotification>) -> Result<NotificationView, Problem> {
        let SendNotification { id, to, template, variables, category, locale, channels: means } = it;
        let id = id.map_or_else(
            || cx.new_id(),
            |id| kernel::Id::from_words(&["send", &cx.scope().to_string(), &id.to_string()]),
        );
        let ask = Ask { id, to, template, variables, category, locale, means, known: None };
        Ok((&self.request(ask, &cx).await?).into())
    }
}

impl Handle<TellPerson> for Notifications {
    async fn handle(&self, it: TellPerson, cx: Granted<TellPerson>) -> Result<(), Problem> {
        let variables = it.variables.into_iter().map(|(name, text)| (name, Given::Text(text))).collect();
        let ask = Ask {
            id: kernel::Id::from_words(&["tell", &cx.scope().to_string(), &it.id]),
            to: Recipient::User(it.user),
            template: it.template.parse().map_err(Problem::internal)?,
            variables,
            category: None,
            locale: None,
            means: None,
            known: None,
        };
        self.request(ask, &cx).await.map(drop)
    }
}

/// Delivers a notification once more: what failed, or what went to an endpoint.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayNotification {
    /// Which.
    notification: NotificationId,
}

use_case!(ReplayNotification => NotificationView, "notifications.replay", Tenant, may::SEND);

impl Handle<ReplayNotification> for Notifications {
    async fn handle(
        &self,
        it: ReplayNotification,
        cx: Granted<ReplayNotification>,
    ) -> Result<NotificationView, Problem> {
        let now = cx.real_now();
        let replayed = self.store.at(&cx).change(&it.notification, |it: &mut Notification| it.replay(now)).await?;
        Ok((&*replayed).into())
    }
}
