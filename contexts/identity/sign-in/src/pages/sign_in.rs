//! Signing in and out, as a person of a tenant.

use std::{collections::HashMap, sync::Arc};

use accounts::{
    session::{LASTS, Session},
    user::User,
};
use askama::Template;
use bytes::Bytes;
use contracts::identity::UserAuthenticated;
use forms::{
    Answer, cookie, get,
    http_forms::{form, local, query, redirect},
    signed_out_cookie, with_cookie,
};
use http::{Request, Response, StatusCode, header};
use kernel::{Caller, Cx, Problem, ProblemKind, context::Body};

use crate::{
    SignIn,
    device::{self, Place},
    steps::{SecondStep, Shown, SignsIn},
};

/// The page for signing in, in two steps.
#[derive(Template)]
#[template(path = "sign_in.html")]
pub struct SignInPage<'a> {
    /// What it is called.
    pub title: &'a str,
    /// What went wrong.
    pub trouble: &'a str,
    /// Where to go on to.
    pub return_to: &'a str,
    /// What the second step brings along; empty in the first.
    pub step: &'a str,
    /// Whether a new password can be asked for.
    pub recovers: bool,
}

impl SignInPage<'_> {
    /// The page.
    pub fn show(&self) -> Answer {
        let status = if self.trouble.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        look::content(status, self.title, self)
    }
}

/// The answer to anything that is wrong with a sign-in: it does not tell what.
pub const WRONG: &str = "That e-mail address and password do not belong together.";
/// The answer to a code that is not good.
pub const WRONG_CODE: &str = "That code is not right, or was used before.";
/// The answer to a code that comes long after the password.
pub const TOO_LATE: &str = "That took too long. Enter your password again.";

/// A sign-in that was not looked at, since there is a pause or no place, goes back to its page; all else is a problem.
pub fn not_now(problem: &Problem) -> Option<String> {
    let minutes = problem.retry_seconds()?.div_ceil(60);
    match problem.kind() {
        ProblemKind::Limited => Some(format!("There were too many wrong attempts. Try again in {minutes} min.")),
        ProblemKind::Unavailable => Some("Many people sign in at this moment. Try again in a few seconds.".to_owned()),
        _ => None,
    }
}

/// Says so by status as well, and when to come back.
pub fn with_status(mut answer: Response<Body>, problem: &Problem) -> Answer {
    *answer.status_mut() = StatusCode::from_u16(problem.kind().status()).map_err(Problem::internal)?;
    if let Some(seconds) = problem.retry_seconds() {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    Ok(answer)
}

impl SignIn {
    fn sign_in_page(return_to: &str, step: &str, trouble: &str) -> Answer {
        SignInPage { title: "Sign in", trouble, return_to: local(return_to), step, recovers: true }.show()
    }

    #[expect(clippy::unused_async, reason = "endpoints are asynchronous")]
    pub(crate) async fn sign_in_form(self: Arc<Self>, request: Request<Bytes>, _: Cx) -> Answer {
        Self::sign_in_page(get(&query(&request), "return_to"), "", "")
    }

    pub(crate) async fn sign_in(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = form(&request)?;
        match self.try_sign_in(&sent, &Place::of(&request), &cx).await {
            Err(problem) => match not_now(&problem) {
                Some(text) => {
                    let (return_to, step) = (get(&sent, "return_to"), get(&sent, "step"));
                    with_status(Self::sign_in_page(return_to, step, &text)?, &problem)
                }
                None => Err(problem),
            },
            answer => answer,
        }
    }

    async fn try_sign_in(&self, sent: &HashMap<String, String>, from: &Place, cx: &Cx) -> Answer {
        let (return_to, step) = (get(sent, "return_to"), get(sent, "step"));
        if !step.is_empty() {
            return match self.second_step::<User>(step, get(sent, "code"), from, cx).await? {
                SecondStep::TooLate => Self::sign_in_page(return_to, "", TOO_LATE),
                SecondStep::Refused => Self::sign_in_page(return_to, step, WRONG_CODE),
                SecondStep::Known(user) => self.begin(&user, &["pwd", "otp", "mfa"], return_to, cx).await,
            };
        }
        match self.first_step::<User>(get(sent, "email"), get(sent, "password"), from, cx).await? {
            Shown::Nobody => Self::sign_in_page(return_to, "", WRONG),
            Shown::NeedsCode(step) => Self::sign_in_page(return_to, &step, ""),
            Shown::Known(user) => self.begin(&user, &["pwd"], return_to, cx).await,
        }
    }

    /// From now on the device is known as one of theirs.
    pub async fn and_knows<A: SignsIn>(&self, answer: Response<Body>, who: &A, cx: &Cx) -> Answer {
        let device = self.new_device(who, cx).await?;
        with_cookie(answer, &cookie(device::COOKIE, &device, device::LASTS.as_secs(), self.settings.secure()))
    }

    /// Begins a session and sends its cookie.
    pub(super) async fn begin(&self, proven: &User, methods: &[&str], return_to: &str, cx: &Cx) -> Answer {
        let methods: Vec<String> = methods.iter().map(|it| (*it).to_owned()).collect();
        let signed_in = |user: &mut User| {
            user.proofs.proven(proven.proofs.epoch)?;
            Ok(UserAuthenticated { user: user.id, methods: methods.clone() })
        };
        let user = self.store.at(cx).change(&proven.id, signed_in).await?;
        let (session, value) = Session::begin(&user, methods.clone(), cx);
        self.store.at(cx).create(session, ()).await?;
        let cookie = cookie("freehold_session", &value, LASTS.as_secs(), self.settings.secure());
        self.and_knows(with_cookie(redirect(local(return_to))?, &cookie)?, &*user, cx).await
    }

    pub(crate) async fn sign_out(self: Arc<Self>, _: Request<Bytes>, cx: Cx) -> Answer {
        if let Caller::User { session: Some(id), .. } = cx.caller()
            && let Some(session) = self.store.at(&cx).try_load::<Session>(&id).await?
        {
            self.accounts.end_session(session, &cx).await?;
        }
        self.signed_out()
    }

    pub(super) fn signed_out(&self) -> Answer {
        with_cookie(redirect("/sign-in")?, &signed_out_cookie(&self.settings))
    }
}
