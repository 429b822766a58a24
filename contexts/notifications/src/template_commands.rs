//! What changes templates, and tries them.

use channels::port::{Content, Message, Target};
use contracts::notifications::TemplateUpdated;
use kernel::{Granted, Handle, Problem, ProblemKind, text::Key, use_case};
use permissions as may;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use templates::{
    built_in,
    template::Template,
    variable::Values,
    wording::{Rendered, Wording},
};
use text::Locale;

use crate::{
    Notifications,
    template_queries::{PreviewTemplate, TemplateView},
};

/// Saves what a template is to say. It is tried with the examples of its variables first; nothing is sent by it until it
/// is published. The variables and the category of the platform's own templates stay as they are.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SaveTemplate {
    /// Which.
    template: Key,
    /// What it says.
    wording: Wording,
}

use_case!(SaveTemplate => TemplateView, "notifications.templates.save", Tenant, may::TEMPLATE_UPDATE; version of Template);

impl Handle<SaveTemplate> for Notifications {
    async fn handle(&self, it: SaveTemplate, cx: Granted<SaveTemplate>) -> Result<TemplateView, Problem> {
        let SaveTemplate { template: key, mut wording } = it;
        if let Some(own) = built_in::wording(&key) {
            (wording.variables, wording.category) = (own.variables, own.category);
        }
        let wording = wording.ready(built_in::must(&key))?.wording;
        let store = self.store.at(&cx);
        if store.try_load::<Template>(&key).await?.is_none() {
            let template = Template { draft: Some(wording), ..Template::new(key) };
            return Ok((&*store.create(template, ()).await?).into());
        }
        let saved = store.change(&key, |it: &mut Template| {
            it.draft = Some(wording.clone());
            Ok(())
        });
        Ok((&*saved.await?).into())
    }
}

/// Publishes what was saved last: from now on it is what is sent.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishTemplate {
    /// Which.
    template: Key,
}

use_case!(PublishTemplate => TemplateView, "notifications.templates.publish", Tenant, may::TEMPLATE_UPDATE; version of Template);

impl Handle<PublishTemplate> for Notifications {
    async fn handle(&self, it: PublishTemplate, cx: Granted<PublishTemplate>) -> Result<TemplateView, Problem> {
        let now = cx.now();
        let changed = self.store.at(&cx).change(&it.template, |it: &mut Template| Ok(it.publish(now)?)).await?;
        self.known.forget_template(cx.scope(), &it.template);
        Ok((&*changed).into())
    }
}

/// Puts an earlier version in force again.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollBackTemplate {
    /// Which.
    template: Key,
    /// To which version.
    version: u32,
}

use_case!(RollBackTemplate => TemplateView, "notifications.templates.roll_back", Tenant, may::TEMPLATE_UPDATE; version of Template);

impl Handle<RollBackTemplate> for Notifications {
    async fn handle(&self, it: RollBackTemplate, cx: Granted<RollBackTemplate>) -> Result<TemplateView, Problem> {
        let rule = |template: &mut Template| Ok(template.roll_back(it.version)?);
        let changed = self.store.at(&cx).change(&it.template, rule).await?;
        self.known.forget_template(cx.scope(), &it.template);
        Ok((&*changed).into())
    }
}

/// Drops a template with all its versions; where the platform has one of this key, that is in force again.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DropTemplate {
    /// Which.
    template: Key,
}

use_case!(DropTemplate => (), "notifications.templates.drop", Tenant, may::TEMPLATE_UPDATE; version of Template);

impl Handle<DropTemplate> for Notifications {
    async fn handle(&self, it: DropTemplate, cx: Granted<DropTemplate>) -> Result<(), Problem> {
        let store = self.store.at(&cx);
        let template = store.load::<Template>(&it.template).await?;
        let updated = TemplateUpdated { template: it.template.to_string(), version: None };
        store.delete(template, updated).await?;
        self.known.forget_template(cx.scope(), &it.template);
        Ok(())
    }
}

/// Sends what a preview shows as a mail to the caller, at the caller's own address.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestTemplate {
    /// Which.
    template: Key,
    /// In which language.
    locale: Option<Locale>,
    /// What it is told; for what is missing here, the examples.
    #[serde(default)]
    variables: Values,
}

use_case!(TestTemplate => Rendered, "notifications.templates.test", Tenant, may::TEMPLATE_UPDATE);

impl Handle<TestTemplate> for Notifications {
    async fn handle(&self, it: TestTemplate, cx: Granted<TestTemplate>) -> Result<Rendered, Problem> {
        let person = self.recipients.person(&cx, cx.user()?).await?;
        let person = person.ok_or_else(|| Problem::not_found("address of yours"))?;
        let TestTemplate { template, locale, variables } = it;
        let preview = PreviewTemplate { template, locale, variables };
        let rendered = self.preview(preview, &cx, person.name.as_str()).await?;
        let content = Content { subject: rendered.subject.clone(), text: rendered.text.clone(), ..Content::default() };
        let content = Content { html: rendered.html.clone(), ..content };
        let message = Message { id: cx.new_id(), to: Target::Mail(person.email.clone()), content };
        let settings = self.recipients.settings(&cx).await?;
        let outcome = self.mailer(&settings, &cx).await?.deliver(&message).await;
        outcome.result.map(|()| rendered).map_err(|error| {
            Problem::new(ProblemKind::Refused, "notifications.test_not_sent", format!("the mail was not sent: {error}"))
                .hint("check the settings of the mail server")
        })
    }
}
