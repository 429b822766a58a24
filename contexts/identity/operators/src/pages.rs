//! The pages of those who run the installation: claiming it, coming in by an invitation, signing in and out, the account.

use std::{collections::HashMap, sync::Arc};

use accounts::{
    link,
    operator::Operator,
    roster::Claimed,
    session::{LASTS, OperatorSession, OperatorSessionId},
};
use bytes::Bytes;
use forms::{
    Answer, EMAIL, Form, NAME, NEW_PASSWORD, Troubles, cookie, for_form, get,
    http_forms::{form, local, query, redirect},
    show, with_cookie,
};
use http::Request;
use kernel::{Cx, Problem, ProblemKind};
use proofs::secret::{self, parts};
use sign_in::{
    device::{self, Place},
    page::{SignInPage, TOO_LATE, WRONG, WRONG_CODE, not_now, with_status},
    steps::{SecondStep, Shown},
};
use store::Loaded;

use crate::{Operators, claim_token};

const COOKIE: &str = "freehold_operator";

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
    SignInPage { title: "Sign in as operator", trouble, return_to: local(return_to), step, recovers: false }.show()
}

impl Operators {
    async fn check_claim(&self, token: &str, cx: &Cx) -> Result<(), Problem> {
        let same: bool = subtle::ConstantTimeEq::ct_eq(token.as_bytes(), claim_token(&self.store).as_bytes()).into();
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
        let Some(known) = self.sign_in.by_email::<Operator>(get(sent, "email"), cx).await? else { return Err(taken) };
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
        if self.accounts.installation(cx).await?.has(operator.id) { Ok(operator) } else { Err(proofs::link_refused()) }
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
                self.risk.forget_guesses(operator.email.as_str(), &cx).await?;
                self.begin_operator(&operator, "/", &cx).await
            }
            Err(problem) => welcome_page(&sent, &for_form(problem, &["password"])?),
        }
    }

    /// Begins a session and sends its cookie. From here on the operator counts among those who can act.
    async fn begin_operator(&self, proven: &Operator, return_to: &str, cx: &Cx) -> Answer {
        let store = self.store.at(cx);
        let operator = store.change(&proven.id, |it: &mut Operator| it.proofs.proven(proven.proofs.epoch)).await?;
        if self.accounts.installation(cx).await?.awaits(operator.id) {
            let wake = |it: &mut Claimed| {
                it.operators().wake(operator.id);
                Ok(())
            };
            store.change(&Claimed::ID.to_owned(), wake).await?;
        }
        let (session, value) = OperatorSession::begin(&operator, cx);
        store.create(session, ()).await?;
        let cookie = cookie(COOKIE, &value, LASTS.as_secs(), self.settings.secure());
        self.sign_in.and_knows(with_cookie(redirect(local(return_to))?, &cookie)?, &*operator, cx).await
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
            return match self.sign_in.second_step::<Operator>(step, get(sent, "code"), from, cx).await? {
                SecondStep::TooLate => sign_in_page(return_to, "", TOO_LATE),
                SecondStep::Refused => sign_in_page(return_to, step, WRONG_CODE),
                SecondStep::Known(operator) => self.begin_operator(&operator, return_to, cx).await,
            };
        }
        match self.sign_in.first_step::<Operator>(get(sent, "email"), get(sent, "password"), from, cx).await? {
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

    pub(crate) fn operator_signed_out(&self) -> Answer {
        with_cookie(redirect("/operator/sign-in")?, &cookie(COOKIE, "", 0, self.settings.secure()))
    }
}
