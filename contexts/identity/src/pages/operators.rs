//! The pages of those who run the installation: claiming it, coming in by an invitation, signing in and out, the account.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use http::Request;
use kernel::{Caller, Cx, Problem, ProblemKind};

use super::{
    Answer, EMAIL, Field, Form, NAME, NEW_PASSWORD, Troubles,
    account::{Outcome, Section, factor_sections},
    cookie, for_form, get, show,
    sign_in::{SignIn, TOO_LATE, WRONG, WRONG_CODE, not_now, with_status},
    with_cookie,
};
use crate::{
    Identity,
    device::{self, Place},
    http_forms::{form, local, query, redirect},
    link,
    operator::Operator,
    operator_commands::{
        BeginOperatorTotp, ChangeOperatorPassword, ConfirmOperatorTotp, DropOperatorTotp, EndOperatorSessions,
        InviteOperator, ListOperators, RemoveOperator, RenewOperatorCodes,
    },
    roster::Claimed,
    secret::{self, parts},
    session::{LASTS, OperatorSession, OperatorSessionId},
    sign_in::{SecondStep, Shown},
};
use store::Loaded;

const COOKIE: &str = "freehold_operator";
const THEIR_NAME: Field<'static> = Field::new("name", "Their name", "text", "off");
const THEIR_EMAIL: Field<'static> = Field::new("email", "Their e-mail address", "email", "off");
const PROOF: Field<'static> = Field::new("proof", "Your password, or a code", "password", "current-password");

fn claim_refused() -> Problem {
    Problem::new(
        ProblemKind::Refused,
        "identity.claim_refused",
        "this installation was claimed before, or the link is not its own",
    )
    .hint("sign in as the operator, or take the link from the start of the log")
}

fn claim_page(sent: &HashMap<String, String>, troubles: &Troubles) -> Answer {
    let fields = [NAME, EMAIL, NEW_PASSWORD].map(|field| field.sent(sent, troubles));
    let form = Form {
        title: "Claim this installation",
        text: "You become its operator. This link works once.",
        trouble: &troubles.whole,
        hidden: vec![("token", get(sent, "token"))],
        fields: fields.into(),
        act: "Become the operator",
    };
    show(form, troubles.status())
}

fn welcome_page(sent: &HashMap<String, String>, troubles: &Troubles) -> Answer {
    let form = Form {
        title: "Welcome",
        text: "Choose a password, and you run this installation with the others.",
        trouble: &troubles.whole,
        hidden: vec![("ticket", get(sent, "ticket"))],
        fields: vec![NEW_PASSWORD.sent(sent, troubles)],
        act: "Go on",
    };
    show(form, troubles.status())
}

fn sign_in_page(return_to: &str, step: &str, trouble: &str) -> Answer {
    SignIn { title: "Sign in as operator", trouble, return_to: local(return_to), step, recovers: false }.show()
}

impl Identity {
    async fn check_claim(&self, token: &str, cx: &Cx) -> Result<(), Problem> {
        let same: bool = subtle::ConstantTimeEq::ct_eq(token.as_bytes(), self.claim_token().as_bytes()).into();
        let claimed = self.store.at(cx).try_load::<Claimed>(&Claimed::ID.to_owned()).await?.is_some();
        if same && !claimed { Ok(()) } else { Err(claim_refused()) }
    }

    pub(crate) async fn claim_form(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = query(&request);
        self.check_claim(get(&sent, "token"), &cx).await?;
        claim_page(&sent, &Troubles::default())
    }

    pub(crate) async fn claim(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = form(&request)?;
        self.check_claim(get(&sent, "token"), &cx).await?;
        let operator = match self.first_operator(&sent, &cx).await {
            Ok(operator) => operator,
            Err(problem) => return claim_page(&sent, &for_form(problem, &["name", "email", "password"])?),
        };
        let store = self.store.at(&cx);
        if let Err(problem) = store.create(Claimed::by(operator.id, cx.now()), ()).await {
            // What stands there now counts, not whether it was told: an operator who has claimed is never taken back.
            match store.try_load::<Claimed>(&Claimed::ID.to_owned()).await? {
                Some(claimed) if claimed.has(operator.id) => {}
                Some(_) => {
                    // Someone was faster by a moment: there is to be no second one.
                    store.delete(operator, ()).await?;
                    return Err(claim_refused());
                }
                None => return Err(problem),
            }
        }
        self.begin_operator(&operator, "/", &cx).await
    }

    /// Whoever claims, stored before the claim is: where it was cut short in between, the same address and password go on
    /// with it, and nobody is locked out.
    async fn first_operator(&self, sent: &HashMap<String, String>, cx: &Cx) -> Result<Loaded<Operator>, Problem> {
        let fresh = self.new_operator(sent, cx).await?;
        let taken = match self.store.at(cx).create(fresh, ()).await {
            Err(problem) if problem.kind() == ProblemKind::Conflict => problem,
            outcome => return outcome,
        };
        let Some(known) = self.by_email::<Operator>(get(sent, "email"), cx).await? else { return Err(taken) };
        let (password, hash) = (get(sent, "password").to_owned(), known.proofs.password.clone());
        let same = self.passwords.verify(password.into(), hash, (cx.scope(), "claim")).await?;
        if same { Ok(known) } else { Err(taken) }
    }

    async fn new_operator(&self, sent: &HashMap<String, String>, cx: &Cx) -> Result<Operator, Problem> {
        let bad =
            |field: &str, why: kernel::text::TextError| Problem::invalid_field(format!("/{field}"), why.to_string());
        let email = get(sent, "email").trim().parse().map_err(|why| bad("email", why))?;
        let name = get(sent, "name").parse().map_err(|why| bad("name", why))?;
        let mut operator = Operator::invite(cx.new_id(), email, name, secret::fresh(cx));
        let hash = self.hash_for_operator(&operator, get(sent, "password"), cx).await?;
        operator.proofs.change_password(hash, secret::fresh(cx));
        Ok(operator)
    }

    pub(crate) async fn operator_welcome_form(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = query(&request);
        self.invited_operator(get(&sent, "ticket"), &cx).await?;
        welcome_page(&sent, &Troubles::default())
    }

    /// Whoever was invited, and not removed since.
    async fn invited_operator(&self, ticket: &str, cx: &Cx) -> Result<Operator, Problem> {
        let operator = link::open_operator(&self.store, cx, ticket).await?;
        if self.installation(cx).await?.has(operator.id) { Ok(operator) } else { Err(crate::proofs::link_refused()) }
    }

    pub(crate) async fn operator_welcome(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = form(&request)?;
        let chosen = async {
            let operator = self.invited_operator(get(&sent, "ticket"), &cx).await?;
            let hash = self.hash_for_operator(&operator, get(&sent, "password"), &cx).await?;
            let stamp = secret::fresh(&cx);
            let choose =
                |it: &mut Operator| it.proofs.choose_password(&operator.proofs.stamp, hash.clone(), stamp.clone());
            self.store.at(&cx).change(&operator.id, choose).await
        };
        match chosen.await {
            Ok(operator) => {
                self.forget_guesses(operator.email.as_str(), &cx).await?;
                self.begin_operator(&operator, "/", &cx).await
            }
            Err(problem) => welcome_page(&sent, &for_form(problem, &["password"])?),
        }
    }

    /// Begins a session and sends its cookie. From here on the operator counts among those who can act.
    async fn begin_operator(&self, proven: &Operator, return_to: &str, cx: &Cx) -> Answer {
        let store = self.store.at(cx);
        let operator = store.change(&proven.id, |it: &mut Operator| it.proofs.proven(proven.proofs.epoch)).await?;
        if self.installation(cx).await?.awaits(operator.id) {
            let wake = |it: &mut Claimed| {
                it.operators().wake(operator.id);
                Ok(())
            };
            store.change(&Claimed::ID.to_owned(), wake).await?;
        }
        let (session, value) = OperatorSession::begin(&operator, cx);
        store.create(session, ()).await?;
        let cookie = cookie(COOKIE, &value, LASTS.as_secs(), self.settings.secure());
        self.and_knows(with_cookie(redirect(local(return_to))?, &cookie)?, &*operator, cx).await
    }

    #[expect(clippy::unused_async, reason = "endpoints are asynchronous")]
    pub(crate) async fn operator_form(self: Arc<Self>, request: Request<Bytes>, _: Cx) -> Answer {
        sign_in_page(get(&query(&request), "return_to"), "", "")
    }

    pub(crate) async fn operator_sign_in(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = form(&request)?;
        match self.try_operator(&sent, &Place::of(&request), &cx).await {
            Err(problem) => match not_now(&problem) {
                Some(text) => {
                    let page = sign_in_page(get(&sent, "return_to"), get(&sent, "step"), &text)?;
                    with_status(page, &problem)
                }
                None => Err(problem),
            },
            answer => answer,
        }
    }

    async fn try_operator(&self, sent: &HashMap<String, String>, from: &Place, cx: &Cx) -> Answer {
        let (return_to, step) = (get(sent, "return_to"), get(sent, "step"));
        if !step.is_empty() {
            return match self.second_step::<Operator>(step, get(sent, "code"), from, cx).await? {
                SecondStep::TooLate => sign_in_page(return_to, "", TOO_LATE),
                SecondStep::Refused => sign_in_page(return_to, step, WRONG_CODE),
                SecondStep::Known(operator) => self.begin_operator(&operator, return_to, cx).await,
            };
        }
        match self.first_step::<Operator>(get(sent, "email"), get(sent, "password"), from, cx).await? {
            Shown::Nobody => sign_in_page(return_to, "", WRONG),
            Shown::NeedsCode(step) => sign_in_page(return_to, &step, ""),
            Shown::Known(operator) => self.begin_operator(&operator, return_to, cx).await,
        }
    }

    pub(crate) async fn operator_sign_out(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = device::cookie(&request, COOKIE).and_then(|value| parts::<OperatorSessionId>(value, ""));
        if let Some((id, secret)) = sent
            && let Some(session) = self.store.at(&cx).try_load::<OperatorSession>(&id).await?
            && session.matches(secret)
        {
            self.store.at(&cx).delete(session, ()).await?;
        }
        self.operator_signed_out()
    }

    fn operator_signed_out(&self) -> Answer {
        with_cookie(redirect("/operator/sign-in")?, &cookie(COOKIE, "", 0, self.settings.secure()))
    }

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
        let line = |it: &crate::operator_commands::OperatorView| {
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
