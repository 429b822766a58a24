//! A person's own account: password, address, second factor, sessions.

use std::{collections::HashMap, sync::Arc};

use askama::Template;
use bytes::Bytes;
use http::Request;
use kernel::{Caller, Cx, Problem};

use super::{Answer, Field, NEW_PASSWORD, Troubles, for_form, get};
use crate::{
    Identity,
    factor::otpauth,
    http_forms::{form, redirect},
    me::{BeginTotp, ChangeEmail, ChangePassword, ConfirmTotp, DropTotp, EndAllSessions, Prove, RenewRecoveryCodes},
    proofs::Proofs,
    session::Session,
    user::User,
};

/// One thing that can be done on a page of several.
#[derive(Default)]
pub(super) struct Section<'a> {
    pub(super) act: &'static str,
    pub(super) heading: &'static str,
    pub(super) text: String,
    pub(super) lines: Vec<String>,
    pub(super) choices: Vec<(String, String)>,
    pub(super) fields: Vec<Field<'a>>,
    /// What the button says; without it there is nothing to send.
    pub(super) button: &'static str,
}

#[derive(Template)]
#[template(path = "account.html")]
struct Account<'a> {
    title: &'a str,
    who: &'a str,
    back: &'a str,
    trouble: &'a str,
    notice: &'a str,
    sections: Vec<Section<'a>>,
}

/// What was sent to a page of several forms, and what came of it.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) sent: HashMap<String, String>,
    pub(super) troubles: Troubles,
    pub(super) notice: String,
    /// What can be seen only now: recovery codes, the link of an invitation.
    pub(super) shown_once: Vec<String>,
}

impl Outcome {
    pub(super) fn failed(mut self, troubles: Troubles) -> Self {
        self.troubles = troubles;
        self
    }

    pub(super) fn done(mut self, notice: &str, shown_once: Vec<String>) -> Self {
        (self.notice, self.shown_once) = (notice.to_owned(), shown_once);
        self.sent.clear();
        self
    }

    /// A field of the form `act`, with what was sent to that form.
    pub(super) fn field<'a>(&'a self, act: &'static str, field: Field<'a>) -> Field<'a> {
        let field = field.at(act);
        if get(&self.sent, "act") == act { field.sent(&self.sent, &self.troubles) } else { field }
    }

    pub(super) fn show(&self, (title, who, back): (&str, &str, &str), mut sections: Vec<Section<'_>>) -> Answer {
        if !self.shown_once.is_empty() {
            let text = "Keep this now: it cannot be shown again.".to_owned();
            let lines = self.shown_once.clone();
            sections.insert(0, Section { act: "once", heading: "Shown once", text, lines, ..Section::default() });
        }
        super::focus(sections.iter_mut().flat_map(|section| &mut section.fields));
        let (trouble, notice) = (self.troubles.whole.as_str(), self.notice.as_str());
        look::content(self.troubles.status(), title, &Account { title, who, back, trouble, notice, sections })
    }
}

pub(super) const CODE: Field<'static> = Field::new("code", "Code that the app shows", "text", "one-time-code");

/// The second factor, as far as it is set up; `proof` stands in forms that need one.
pub(super) fn factor_sections<'a>(
    proofs: &Proofs,
    (issuer, account): (&str, &str),
    outcome: &'a Outcome,
    proof: Option<&Field<'a>>,
) -> Vec<Section<'a>> {
    let proof = |act| proof.map(|field| outcome.field(act, field.clone())).into_iter().collect::<Vec<_>>();
    if proofs.totp.needed() {
        let left = format!("An app is set up. {} recovery codes are left.", proofs.totp.left());
        return vec![
            Section {
                act: "codes",
                heading: "Second factor",
                text: left,
                fields: proof("codes"),
                button: "Make new recovery codes",
                ..Section::default()
            },
            Section {
                act: "drop-totp",
                heading: "Switch the second factor off",
                text: "From then on the password alone is enough.".to_owned(),
                fields: proof("drop-totp"),
                button: "Switch off",
                ..Section::default()
            },
        ];
    }
    if let Some(secret) = proofs.totp.pending() {
        return vec![Section {
            act: "confirm-totp",
            heading: "Second factor",
            text: "Enter this secret in your authenticator app, then the code that it shows.".to_owned(),
            lines: vec![secret.to_owned(), otpauth(issuer, account, secret)],
            fields: vec![outcome.field("confirm-totp", CODE)],
            button: "Confirm",
            ..Section::default()
        }];
    }
    vec![Section {
        act: "begin-totp",
        heading: "Second factor",
        text: "An authenticator app shows codes that are asked for beside your password.".to_owned(),
        fields: proof("begin-totp"),
        button: "Set up an app",
        ..Section::default()
    }]
}

const NEW_EMAIL: Field<'static> = Field::new("email", "New e-mail address", "email", "email");
const PROOF: Field<'static> = Field::new("password", "Your password", "password", "current-password");

impl Identity {
    /// The page for whoever is signed in; others are sent to sign in first.
    async fn account_page(&self, outcome: Outcome, cx: &Cx) -> Answer {
        let Caller::User { id, session: Some(session) } = cx.caller() else {
            return redirect("/sign-in?return_to=/account");
        };
        let user = self.store.at(cx).load::<User>(&id).await?;
        let session = self.store.at(cx).try_load::<Session>(&session).await?;
        let realm = self.realm(cx).await?;
        let moving = user.moving.as_ref().map(|moving| format!("Waits until both addresses agree: {}.", moving.to));
        let mut sections = Vec::new();
        if session.is_some_and(|it| it.freshly_proven(cx.real_now())) {
            sections.push(Section {
                act: "password",
                heading: "Password",
                text: "A new one signs you out everywhere.".to_owned(),
                fields: vec![outcome.field("password", NEW_PASSWORD)],
                button: "Change the password",
                ..Section::default()
            });
            sections.push(Section {
                act: "email",
                heading: "E-mail address",
                text: moving.unwrap_or_else(|| "Both addresses get a link, and both must agree.".to_owned()),
                fields: vec![outcome.field("email", NEW_EMAIL)],
                button: "Change the address",
                ..Section::default()
            });
            let whose = (realm.name.as_str(), user.email.as_str());
            sections.extend(factor_sections(&user.proofs, whose, &outcome, None));
        } else {
            sections.push(Section {
                act: "prove",
                heading: "Is it you?",
                text: "Enter your password again to change your password, address or second factor.".to_owned(),
                fields: vec![outcome.field("prove", PROOF)],
                button: "Go on",
                ..Section::default()
            });
        }
        sections.push(Section {
            act: "end-all",
            heading: "Sessions",
            text: "Signs you out in all browsers, and all programs that you let in.".to_owned(),
            button: "Sign out everywhere",
            ..Section::default()
        });
        let who = format!("{} · {}", user.name, user.email);
        outcome.show(("Your account", &who, "/home"), sections)
    }

    pub(crate) async fn account_form(self: Arc<Self>, _: Request<Bytes>, cx: Cx) -> Answer {
        self.account_page(Outcome::default(), &cx).await
    }

    pub(crate) async fn account(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let outcome = Outcome { sent: form(&request)?, ..Outcome::default() };
        if cx.caller().user().is_none() {
            return redirect("/sign-in?return_to=/account");
        }
        match self.account_act(&outcome.sent, &cx).await {
            Ok(None) => self.signed_out(),
            Ok(Some((notice, once))) => self.account_page(outcome.done(notice, once), &cx).await,
            Err(problem) => {
                let troubles = for_form(problem, &["password", "email", "code"])?;
                self.account_page(outcome.failed(troubles), &cx).await
            }
        }
    }

    /// What is to be said, and shown once; nothing where the session is over.
    async fn account_act(
        &self,
        sent: &HashMap<String, String>,
        cx: &Cx,
    ) -> Result<Option<(&'static str, Vec<String>)>, Problem> {
        let calls = &self.calls;
        let text = |name: &str| get(sent, name).to_owned();
        let done = |notice| Ok(Some((notice, Vec::new())));
        match get(sent, "act") {
            "prove" => {
                calls.call(Prove { password: Some(text("password")), code: None }, cx).await?;
                done("Thank you.")
            }
            "password" => {
                calls.call(ChangePassword { password: text("password") }, cx).await?;
                Ok(None)
            }
            "email" => {
                let email = get(sent, "email").trim().parse();
                let email = email
                    .map_err(|error: kernel::text::TextError| Problem::invalid_field("/email", error.to_string()))?;
                calls.call(ChangeEmail { email }, cx).await?;
                done("A link is on its way to both addresses.")
            }
            "begin-totp" => {
                calls.call(BeginTotp {}, cx).await?;
                done("")
            }
            "confirm-totp" => {
                let codes = calls.call(ConfirmTotp { code: text("code") }, cx).await?;
                Ok(Some(("The second factor is on. These are your recovery codes.", codes.recovery_codes)))
            }
            "codes" => {
                let codes = calls.call(RenewRecoveryCodes {}, cx).await?;
                Ok(Some(("Your recovery codes of before are void.", codes.recovery_codes)))
            }
            "drop-totp" => {
                calls.call(DropTotp {}, cx).await?;
                done("The second factor is off.")
            }
            "end-all" => {
                calls.call(EndAllSessions {}, cx).await?;
                Ok(None)
            }
            _ => Err(Problem::invalid_field("/act", "nothing that this page does")),
        }
    }
}
