//! Signing in and out, as a person of a tenant.

use std::sync::Arc;

use askama::Template;
use bytes::Bytes;
use contracts::identity::UserAuthenticated;
use http::{Request, StatusCode};
use kernel::{Caller, Cx};

use super::{Answer, cookie, get, signed_out_cookie, with_cookie};
use crate::{
    Identity,
    http_forms::{form, local, query, redirect},
    session::{LASTS, Session},
    sign_in::{SecondStep, Shown},
    user::User,
};

#[derive(Template)]
#[template(path = "sign_in.html")]
pub(super) struct SignIn<'a> {
    pub(super) title: &'a str,
    pub(super) trouble: &'a str,
    pub(super) return_to: &'a str,
    pub(super) step: &'a str,
    pub(super) recovers: bool,
}

impl SignIn<'_> {
    pub(super) fn show(&self) -> Answer {
        let status = if self.trouble.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        look::content(status, self.title, self)
    }
}

/// The answer to anything that is wrong with a sign-in: it does not tell what.
pub(super) const WRONG: &str =
    "That e-mail address and password do not belong together, or the account is paused after failed attempts.";
pub(super) const WRONG_CODE: &str = "That code is not right, or was used before.";
pub(super) const TOO_LATE: &str = "That took too long. Enter your password again.";

impl Identity {
    fn sign_in_page(return_to: &str, step: &str, trouble: &str) -> Answer {
        SignIn { title: "Sign in", trouble, return_to: local(return_to), step, recovers: true }.show()
    }

    #[expect(clippy::unused_async, reason = "endpoints are asynchronous")]
    pub(crate) async fn sign_in_form(self: Arc<Self>, request: Request<Bytes>, _: Cx) -> Answer {
        Self::sign_in_page(get(&query(&request), "return_to"), "", "")
    }

    pub(crate) async fn sign_in(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = form(&request)?;
        let (return_to, step) = (get(&sent, "return_to"), get(&sent, "step"));
        if !step.is_empty() {
            return match self.second_step::<User>(step, get(&sent, "code"), &cx).await? {
                SecondStep::TooLate => Self::sign_in_page(return_to, "", TOO_LATE),
                SecondStep::Refused => Self::sign_in_page(return_to, step, WRONG_CODE),
                SecondStep::Known(user) => self.begin(&user, &["pwd", "otp", "mfa"], return_to, &cx).await,
            };
        }
        match self.first_step::<User>(get(&sent, "email"), get(&sent, "password"), &cx).await? {
            Shown::Nobody => Self::sign_in_page(return_to, "", WRONG),
            Shown::NeedsCode(step) => Self::sign_in_page(return_to, &step, ""),
            Shown::Known(user) => self.begin(&user, &["pwd"], return_to, &cx).await,
        }
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
        with_cookie(redirect(local(return_to))?, &cookie)
    }

    pub(crate) async fn sign_out(self: Arc<Self>, _: Request<Bytes>, cx: Cx) -> Answer {
        if let Caller::User { session: Some(id), .. } = cx.caller()
            && let Some(session) = self.store.at(&cx).try_load::<Session>(&id).await?
        {
            self.end_session(session, &cx).await?;
        }
        self.signed_out()
    }

    pub(super) fn signed_out(&self) -> Answer {
        with_cookie(redirect("/sign-in")?, &signed_out_cookie(&self.settings))
    }
}
