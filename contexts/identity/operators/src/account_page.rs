//! An operator's own account, and the list of operators.

use std::{collections::HashMap, sync::Arc};

use accounts::operator::Operator;
use bytes::Bytes;
use forms::{
    Answer, Field, NEW_PASSWORD, Outcome, Section, factor_sections, for_form, get,
    http_forms::{form, redirect},
};
use http::Request;
use kernel::{Caller, Cx, Problem};

use crate::{
    Operators,
    operator_commands::{
        ChangeOperatorPassword, EndOperatorSessions, InviteOperator, ListOperators, OperatorView, RemoveOperator,
    },
    totp::{BeginOperatorTotp, ConfirmOperatorTotp, DropOperatorTotp, RenewOperatorCodes},
};

const THEIR_NAME: Field<'static> = Field::new("name", "Their name", "text", "off");
const THEIR_EMAIL: Field<'static> = Field::new("email", "Their e-mail address", "email", "off");
const PROOF: Field<'static> = Field::new("proof", "Your password, or a code", "password", "current-password");

impl Operators {
    async fn operator_account_page(&self, outcome: Outcome, cx: &Cx) -> Answer {
        let Caller::Operator { id, .. } = cx.caller() else {
            return redirect("/operator/sign-in?return_to=/operator/account");
        };
        let operator = self.store.at(cx).load::<Operator>(&id).await?;
        let others = self.calls.call(ListOperators {}, cx).await?.items;
        let field = |act, field| outcome.field(act, field);
        let mut sections = vec![Section {
            act: "password",
            heading: "Password",
            text: "A new one signs you out everywhere.".to_owned(),
            fields: vec![field("password", PROOF), field("password", NEW_PASSWORD)],
            button: "Change the password",
            ..Section::default()
        }];
        let whose = (self.settings.host.as_str(), operator.email.as_str());
        sections.extend(factor_sections(&operator.proofs, whose, &outcome, Some(&PROOF)));
        sections.push(Section {
            act: "end-all",
            heading: "Sessions",
            text: "Signs you out in all browsers.".to_owned(),
            button: "Sign out everywhere",
            ..Section::default()
        });
        let line = |it: &OperatorView| {
            let (came, factor) =
                (if it.active { "" } else { ", invited" }, if it.second_factor { ", second factor" } else { "" });
            format!("{} ({}{came}{factor})", it.name, it.email)
        };
        sections.push(Section {
            act: "invite",
            heading: "Operators",
            text: "You get a link to hand over, which is good for two days.".to_owned(),
            lines: others.iter().map(line).collect(),
            fields: vec![field("invite", THEIR_NAME), field("invite", THEIR_EMAIL), field("invite", PROOF)],
            button: "Invite an operator",
            ..Section::default()
        });
        if others.len() > 1 {
            sections.push(Section {
                act: "remove",
                heading: "Remove an operator",
                choices: others.iter().map(|it| (it.operator.to_string(), line(it))).collect(),
                fields: vec![field("remove", PROOF)],
                button: "Remove",
                ..Section::default()
            });
        }
        let who = format!("{} · {}", operator.name, operator.email);
        outcome.show(("Operator's account", &who, "/operator"), sections)
    }

    pub(crate) async fn operator_account_form(self: Arc<Self>, _: Request<Bytes>, cx: Cx) -> Answer {
        self.operator_account_page(Outcome::default(), &cx).await
    }

    pub(crate) async fn operator_account(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let outcome = Outcome { sent: form(&request)?, ..Outcome::default() };
        if !matches!(cx.caller(), Caller::Operator { .. }) {
            return redirect("/operator/sign-in?return_to=/operator/account");
        }
        match self.operator_act(&outcome.sent, &cx).await {
            Ok(None) => self.operator_signed_out(),
            Ok(Some((notice, once))) => self.operator_account_page(outcome.done(notice, once), &cx).await,
            Err(problem) => {
                let troubles = for_form(problem, &["password", "email", "name", "code", "proof"])?;
                self.operator_account_page(outcome.failed(troubles), &cx).await
            }
        }
    }

    async fn operator_act(
        &self,
        sent: &HashMap<String, String>,
        cx: &Cx,
    ) -> Result<Option<(&'static str, Vec<String>)>, Problem> {
        let calls = &self.calls;
        let text = |name: &str| get(sent, name).to_owned();
        let proof = text("proof");
        let done = |notice| Ok(Some((notice, Vec::new())));
        match get(sent, "act") {
            "password" => {
                calls.call(ChangeOperatorPassword { proof, password: text("password") }, cx).await?;
                Ok(None)
            }
            "begin-totp" => {
                calls.call(BeginOperatorTotp { proof }, cx).await?;
                done("")
            }
            "confirm-totp" => {
                let codes = calls.call(ConfirmOperatorTotp { code: text("code") }, cx).await?;
                Ok(Some(("The second factor is on. These are your recovery codes.", codes.recovery_codes)))
            }
            "codes" => {
                let codes = calls.call(RenewOperatorCodes { proof }, cx).await?;
                Ok(Some(("Your recovery codes of before are void.", codes.recovery_codes)))
            }
            "drop-totp" => {
                calls.call(DropOperatorTotp { proof }, cx).await?;
                done("The second factor is off.")
            }
            "end-all" => {
                calls.call(EndOperatorSessions {}, cx).await?;
                Ok(None)
            }
            "invite" => {
                let bad = |field: &str, why: kernel::text::TextError| {
                    Problem::invalid_field(format!("/{field}"), why.to_string())
                };
                let email = get(sent, "email").trim().parse().map_err(|why| bad("email", why))?;
                let name = get(sent, "name").parse().map_err(|why| bad("name", why))?;
                let invited = calls.call(InviteOperator { email, name, proof }, cx).await?;
                Ok(Some(("Hand this link over by a way that you trust.", vec![invited.link])))
            }
            "remove" => {
                let operator = get(sent, "which").parse().map_err(|_| Problem::not_found("operator"))?;
                calls.call(RemoveOperator { operator, proof }, cx).await?;
                done("The operator is removed.")
            }
            _ => Err(Problem::invalid_field("/act", "nothing that this page does")),
        }
    }
}
