//! From what is asked for to a notification: who is reached how, in which words.

use std::collections::BTreeSet;

use channels::channel::{Channel, State};
use contracts::{identity::LinkRequested, notifications::NotificationId};
use kernel::{
    Cx, Envelope, Id, Problem, ProblemKind, UserId,
    text::{EmailAddress, Key},
};
use recipients::{
    means::Means,
    plan::{self, Because, Facts, Mailbox},
    preference::Preference,
    settings::{SECURITY, Settings, Site},
    suppression::Suppression,
};
use serde_json::json;
use templates::{
    built_in,
    variable::{Given, Values},
    wording::{NOT_RENDERED, Rendered},
};
use text::Locale;

use crate::{
    Notifications,
    known::Spoken,
    notification::{Draft, Notification, Recipient, Said, When},
};

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) id: NotificationId,
    pub(crate) to: Recipient,
    pub(crate) template: Key,
    pub(crate) variables: Values,
    pub(crate) category: Option<Key>,
    pub(crate) locale: Option<Locale>,
    pub(crate) means: Option<BTreeSet<Means>>,
    /// Where the asker knows better: the address and the name.
    pub(crate) known: Option<(EmailAddress, String)>,
}

/// A recipient, as far as it matters here.
struct Reached {
    facts: Facts,
    address: Option<EmailAddress>,
    name: String,
    locale: Option<Locale>,
}

impl Ask {
    /// Where it leads: what is told as `link`.
    fn link(&self) -> Option<String> {
        match self.variables.get("link") {
            Some(Given::Text(link)) if link.starts_with("https://") || link.starts_with("http://") => {
                Some(link.clone())
            }
            _ => None,
        }
    }

    /// The same for the same ask.
    fn digest(&self) -> String {
        let asked = json!([self.to, self.template, self.variables, self.category, self.locale, self.means]);
        let digest = ring::digest::digest(&ring::digest::SHA256, asked.to_string().as_bytes());
        data_encoding::HEXLOWER.encode(digest.as_ref())
    }
}

fn id_reused() -> Problem {
    let detail = "a notification of this id asked for something else";
    Problem::new(ProblemKind::Conflict, "notifications.id_reused", detail).hint("use a fresh id for each notification")
}

impl Notifications {
    /// Makes the notification that is asked for; asked again, it is the same.
    pub(crate) async fn request(&self, ask: Ask, cx: &Cx) -> Result<Notification, Problem> {
        let (store, asked) = (self.store.at(cx), ask.digest());
        if let Some(there) = self.asked_before(&ask.id, &asked, cx).await? {
            return Ok(there);
        }
        let settings = self.recipients.settings(cx).await?;
        let spoken = self.known.template(&self.store, cx, &ask.template).await?;
        let spoken = spoken.ok_or_else(|| {
            let detail = "no template of this key is published";
            Problem::invalid_field("/template", detail).hint("publish it, or use the key of one that is published")
        })?;
        let category = ask.category.clone().unwrap_or_else(|| spoken.ready.wording.category.clone());
        let reached = self.reach(&ask, &category, &settings, cx).await?;
        let decided = plan::plan(&reached.facts);
        let optional = !Settings::is_mandatory(&category);
        let mailed = decided.get(&Means::Mail).is_some_and(|because| because.goes());
        let unsubscribe = match &reached.address {
            Some(address) if mailed && optional => {
                self.opt_out_link(&ask.to, address, &category, &settings, cx).await?
            }
            _ => None,
        };
        let rendered = speak(&spoken, &ask, &reached, (&self.site, &settings), unsubscribe.clone())?;
        let link = ask.link();
        let Rendered { subject, text, html, locale } = rendered;
        let text = match &ask.to {
            Recipient::Channel(_) => document(&ask, &subject, &text, &locale, cx),
            Recipient::User(_) | Recipient::Address(_) => text,
        };
        let secret = category.as_str() == SECURITY;
        let draft = Draft {
            content: Said { subject, text, html, link, unsubscribe, secret },
            to: ask.to,
            address: reached.address,
            template: ask.template.to_string(),
            category,
            asked: asked.clone(),
        };
        let (it, events) = Notification::request(ask.id, draft, decided, When::now(cx, &settings));
        let made = match store.create(it, events).await {
            // Someone asked for the same at the same moment, and was first.
            Err(problem) if problem.kind() == ProblemKind::Conflict => {
                return self.asked_before(&ask.id, &asked, cx).await?.ok_or(problem);
            }
            made => made?.into_inner(),
        };
        if let Some(user) = made.user().filter(|_| made.in_inbox()) {
            self.streams.wake(cx.scope(), user);
        }
        Ok(made)
    }

    /// The notification of an id, if it asked for the same.
    async fn asked_before(&self, id: &NotificationId, asked: &str, cx: &Cx) -> Result<Option<Notification>, Problem> {
        match self.store.at(cx).try_load::<Notification>(id).await? {
            Some(there) if there.draft.asked != asked => Err(id_reused()),
            there => Ok(there.map(store::Loaded::into_inner)),
        }
    }

    async fn reach(&self, ask: &Ask, category: &Key, settings: &Settings, cx: &Cx) -> Result<Reached, Problem> {
        let categories = settings.categories();
        let of = categories.get(category).ok_or_else(|| {
            Problem::invalid_field("/category", "this tenant has no such category")
                .hint("add it to the settings of notifications, or use product, transactional or security")
        })?;
        let facts = Facts {
            mandatory: Settings::is_mandatory(category),
            defaults: of.defaults.clone(),
            asked: ask.means.clone(),
            ..Facts::default()
        };
        match &ask.to {
            Recipient::User(user) => self.reach_person(ask, *user, category, facts, cx).await,
            Recipient::Address(address) => {
                let held = self.recipients.suppression(address, cx).await?;
                let out = held.as_ref().is_some_and(|it| it.opted_out(category));
                let chosen = out.then_some((Means::Mail, false)).into_iter().collect();
                // An address has no other channel: what is sent to it is sent by mail.
                let only = BTreeSet::from([Means::Mail]);
                let facts = Facts { defaults: only.clone(), chosen, offered: only, mailbox: mailbox(held), ..facts };
                Ok(Reached { facts, address: Some(address.clone()), name: String::new(), locale: None })
            }
            Recipient::Channel(channel) => {
                let channel = self.store.at(cx).load::<Channel>(channel).await?;
                channel.webhook()?;
                if channel.state != State::Enabled {
                    let detail = "nothing is sent by this channel now";
                    return Err(Problem::new(ProblemKind::Conflict, "notifications.channel_off", detail)
                        .hint("switch it on first"));
                }
                let only = BTreeSet::from([Means::Webhook]);
                let facts = Facts { offered: only.clone(), asked: Some(only), mandatory: true, ..facts };
                Ok(Reached { facts, address: None, name: String::new(), locale: None })
            }
        }
    }

    async fn reach_person(
        &self,
        ask: &Ask,
        user: UserId,
        category: &Key,
        facts: Facts,
        cx: &Cx,
    ) -> Result<Reached, Problem> {
        let person = self.recipients.person(cx, user).await?;
        let deactivated = person.as_ref().is_some_and(|it| it.deactivated) && ask.known.is_none();
        let (address, name) = match (&ask.known, person) {
            (Some((email, name)), _) => (email.clone(), name.clone()),
            (None, Some(person)) => (person.email.clone(), person.name.to_string()),
            (None, None) => return Err(Problem::not_found("person")),
        };
        let preference = self.store.at(cx).try_load::<Preference>(&user).await?;
        let preference = preference.map_or_else(|| Preference::none_of(user), store::Loaded::into_inner);
        // Whoever cannot sign in for a bounce long ago could not even recover: security is tried all the same.
        let held = if category.as_str() == SECURITY { None } else { self.recipients.suppression(&address, cx).await? };
        let facts = Facts {
            chosen: preference.chosen(category),
            offered: BTreeSet::from([Means::Mail, Means::Inbox]),
            mailbox: mailbox(held),
            deactivated,
            ..facts
        };
        Ok(Reached { facts, address: Some(address), name, locale: preference.locale })
    }

    /// A link is to be mailed.
    pub(crate) async fn link_requested(&self, envelope: Envelope, cx: Cx) -> Result<(), Problem> {
        let Some(event) = envelope.event::<LinkRequested>().transpose()? else { return Ok(()) };
        let (Some(email), Some(name), Some(link)) = (event.email.known(), event.name.known(), event.link.known())
        else {
            return Ok(());
        };
        let variables = [("name", name.to_string()), ("link", link)];
        let ask = Ask {
            id: Id::from_words(&[&envelope.id]),
            to: Recipient::User(event.user),
            template: built_in::key_of(event.purpose).parse().map_err(Problem::internal)?,
            variables: variables.map(|(name, text)| (name.to_owned(), Given::Text(text))).into(),
            category: None,
            locale: None,
            means: None,
            known: Some((email, name.to_string())),
        };
        self.request(ask, &cx).await.map(drop)
    }

    /// Something happened in the tenant: the endpoints that follow it are told, without what is personal.
    pub(crate) async fn happened(&self, envelope: Envelope, cx: Cx) -> Result<(), Problem> {
        if cx.scope().tenant().is_none() {
            return Ok(());
        }
        let endpoints = self.channels.endpoints(&cx).await?;
        let following = endpoints.iter().filter(|it| it.webhook().is_ok_and(|hook| hook.follows(&envelope.r#type)));
        for channel in following {
            let id = Id::from_words(&[&envelope.id, &channel.id.to_string()]);
            let store = self.store.at(&cx);
            if store.try_load::<Notification>(&id).await?.is_some() {
                continue;
            }
            let settings = self.recipients.settings(&cx).await?;
            let draft = Draft {
                to: Recipient::Channel(channel.id),
                address: None,
                template: envelope.r#type.clone(),
                category: "events".parse().map_err(Problem::internal)?,
                content: Said { text: report(&envelope), subject: envelope.r#type.clone(), ..Said::default() },
                asked: String::new(),
            };
            let decided = [(Means::Webhook, Because::Subscribed)].into();
            let (it, events) = Notification::request(id, draft, decided, When::now(&cx, &settings));
            store.create(it, events).await?;
        }
        Ok(())
    }
}

fn mailbox(held: Option<Suppression>) -> Mailbox {
    if held.is_some_and(|it| it.bounced()) { Mailbox::Suppressed } else { Mailbox::Open }
}

/// Renders it; where the tenant's own words for one of the platform's templates cannot be rendered, in the platform's.
fn speak(
    spoken: &Spoken,
    ask: &Ask,
    reached: &Reached,
    (site, settings): (&Site, &Settings),
    unsubscribe: Option<String>,
) -> Result<Rendered, Problem> {
    let wanted = Locale::chain(ask.locale.as_ref().or(reached.locale.as_ref()), &settings.locale);
    let around = crate::surroundings(site, settings, &reached.name, unsubscribe.unwrap_or_default());
    match (spoken.ready.render(&wanted, &around, &ask.variables), built_in::wording(&ask.template)) {
        (Err(problem), Some(own)) if problem.code() == NOT_RENDERED => {
            tracing::warn!(template = %ask.template, %problem, "a tenant's template could not be rendered");
            own.ready(&[])?.render(&wanted, &around, &ask.variables)
        }
        (rendered, _) => rendered,
    }
}

/// What an endpoint gets of a notification.
fn document(ask: &Ask, subject: &str, text: &str, locale: &Locale, cx: &Cx) -> String {
    let data = json!({
        "template": ask.template, "subject": subject, "text": text, "locale": locale, "variables": ask.variables,
    });
    json!({ "type": "notification", "timestamp": cx.now(), "data": data }).to_string()
}

/// What an endpoint gets of an event: all but what is personal.
fn report(envelope: &Envelope) -> String {
    let data = without_personal(&envelope.data);
    let Envelope { id, r#type, time, subject, scope, .. } = envelope;
    json!({ "id": id, "type": r#type, "timestamp": time, "tenant": scope.to_string(), "subject": subject, "data": data })
        .to_string()
}

fn without_personal(data: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match data {
        Value::Object(fields)
            if [kernel::event::PERSONAL, kernel::event::SEALED].iter().any(|it| fields.contains_key(*it)) =>
        {
            Value::Null
        }
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), without_personal(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(without_personal).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_personal_is_left_out_however_deep() {
        let data = json!({ "user": "usr_1", "email": { "$personal": "ada@example.com" },
            "list": [{ "name": { "$personal": "Ada" }, "sealed": { "$sealed": "x" } }] });
        let told = without_personal(&data);
        assert_eq!(told, json!({ "user": "usr_1", "email": null, "list": [{ "name": null, "sealed": null }] }));
    }
}
