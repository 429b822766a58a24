//! A person's own account: password, address, second factor, sessions.

use std::{collections::HashMap, sync::Arc};

use accounts::{session::Session, user::User};
use bytes::Bytes;
use forms::{
    Answer, Field, NEW_PASSWORD, Outcome, Section, factor_sections, for_form, get,
    http_forms::{form, redirect},
};
use http::Request;
use kernel::{Caller, Cx, Problem};

use crate::{
    SignIn,
    me::{ChangeEmail, ChangePassword, EndAllSessions, Prove},
    totp::{BeginTotp, ConfirmTotp, DropTotp, RenewRecoveryCodes},
};

const NEW_EMAIL: Field<'static> = Field::new("email", "New e-mail address", "email", "email");
const PROOF: Field<'static> = Field::new("password", "Your password", "password", "current-password");

impl SignIn {
    /// The page for whoever is signed in; others are sent to sign in first.
    async fn account_page(&self, outcome: Outcome, cx: &Cx) -> Answer {
        let Caller::User { id, session: Some(session) } = cx.caller() else {
            return redirect("/sign-in?return_to=/account");
        };
        let user = self.store.at(cx).load::<User>(&id).await?;
        let session = self.store.at(cx).try_load::<Session>(&session).await?;
        let realm = self.accounts.realm(cx).await?;
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
