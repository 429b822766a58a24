//! The hosted pages: sign-in, the links that are mailed, recovery, sign-out; and those of operators.

use std::{collections::HashMap, sync::Arc, time::Duration};

use askama::Template;
use bytes::Bytes;
use contracts::identity::{LinkPurpose, UserAuthenticated};
use http::{Request, Response, StatusCode, header};
use kernel::{Caller, Claim, Cx, Problem, ProblemKind, UserId, context::Body, text::EmailAddress};
use secrecy::SecretString;

use crate::{
    Identity,
    http_forms::{form, local, page, query, redirect},
    link,
    operator::{Claimed, Operator},
    secret,
    session::{LASTS, OperatorSession, Session},
    user::User,
};

type Answer = Result<Response<Body>, Problem>;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    at: &'a str,
    trouble: &'a str,
    return_to: &'a str,
    step: &'a str,
    recovers: bool,
}

struct Field {
    name: &'static str,
    label: &'static str,
    kind: &'static str,
    autocomplete: &'static str,
}

const PASSWORD: Field = Field {
    name: "password",
    label: "New password, at least 10 characters",
    kind: "password",
    autocomplete: "new-password",
};
const EMAIL: Field = Field { name: "email", label: "E-mail address", kind: "email", autocomplete: "email" };
const NAME: Field = Field { name: "name", label: "Your name", kind: "text", autocomplete: "name" };

#[derive(Template)]
#[template(path = "welcome.html")]
struct Ask<'a> {
    title: &'a str,
    text: &'a str,
    trouble: &'a str,
    hidden: Vec<(&'static str, &'a str)>,
    fields: &'a [Field],
    act: &'a str,
}

#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    title: &'a str,
    text: &'a str,
    href: &'a str,
    link: &'a str,
}

/// The answer to anything that is wrong with a sign-in: it does not tell what.
const WRONG: &str =
    "That e-mail address and password do not belong together, or the account is paused after failed attempts.";
/// For how long the second step waits.
const STEP: Duration = Duration::from_mins(5);

/// Takes the session's cookie away.
pub(crate) fn signed_out_cookie(settings: &crate::Settings) -> String {
    cookie("freehold_session", "", 0, settings.secure())
}

fn get<'a>(sent: &'a HashMap<String, String>, name: &str) -> &'a str {
    sent.get(name).map(String::as_str).unwrap_or_default()
}

fn cookie(name: &str, value: &str, seconds: u64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
}

pub(crate) fn with_cookie(mut answer: Response<Body>, cookie: &str) -> Answer {
    answer.headers_mut().insert(header::SET_COOKIE, cookie.parse().map_err(Problem::internal)?);
    Ok(answer)
}

/// What is wrong with what was entered goes back to the form; all else is a problem.
fn for_form(problem: Problem) -> Result<String, Problem> {
    if matches!(
        problem.kind(),
        ProblemKind::Invalid | ProblemKind::Refused | ProblemKind::Conflict | ProblemKind::Unavailable
    ) {
        let document = problem.document(None);
        let fields =
            document.errors.iter().map(|field| format!("{}: {}.", field.pointer.trim_start_matches('/'), field.detail));
        let fields: Vec<_> = fields.collect();
        return Ok(if fields.is_empty() { format!("{}.", document.detail) } else { fields.join(" ") });
    }
    Err(problem)
}

impl Identity {
    async fn sign_in_page(&self, cx: &Cx, return_to: &str, step: &str, trouble: &str) -> Answer {
        let realm = self.realm(cx).await?;
        let status = if trouble.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        page(status, &SignIn { at: realm.name.as_str(), trouble, return_to: local(return_to), step, recovers: true })
    }

    pub(crate) async fn sign_in_form(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = query(&request);
        self.sign_in_page(&cx, get(&sent, "return_to"), "", "").await
    }

    async fn step(&self, user: &User, ends: i64, cx: &Cx) -> Result<String, Problem> {
        let key = self.store.keys().scope(cx.scope()).await?;
        Ok(format!("{}.{ends}.{}", user.id, key.blind("identity/step", &format!("{}|{ends}|{}", user.id, user.stamp))))
    }

    /// The person who has shown the password a moment ago.
    async fn in_second_step(&self, step: &str, cx: &Cx) -> Result<Option<User>, Problem> {
        let mut parts = step.split('.');
        let (Some(Ok(id)), Some(Ok(ends))) =
            (parts.next().map(str::parse::<UserId>), parts.next().map(str::parse::<i64>))
        else {
            return Ok(None);
        };
        let Some(user) = self.store.at(cx).try_load::<User>(&id).await? else { return Ok(None) };
        let expected = self.step(&user, ends, cx).await?;
        let same: bool = subtle::ConstantTimeEq::ct_eq(expected.as_bytes(), step.as_bytes()).into();
        Ok((same && ends > cx.now().as_second()).then(|| user.into_inner()))
    }

    pub(crate) async fn sign_in(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = form(&request)?;
        let (return_to, now) = (get(&sent, "return_to"), cx.now());
        if !get(&sent, "step").is_empty() {
            let Some(user) = self.in_second_step(get(&sent, "step"), &cx).await? else {
                return self.sign_in_page(&cx, return_to, "", "That took too long. Enter your password again.").await;
            };
            let code = get(&sent, "code");
            let mut taken = false;
            // Deciding and counting are one commit, so that a burst of guesses is counted guess by guess.
            let used = |user: &mut User| {
                taken = user.can_sign_in(now) && user.use_code(code, now).is_ok();
                if !taken {
                    user.failed(now);
                }
                Ok(())
            };
            self.store.at(&cx).change(&user.id, used).await?;
            if !taken {
                return self
                    .sign_in_page(&cx, return_to, get(&sent, "step"), "That code is not right, or was used before.")
                    .await;
            }
            return self.begin(&user, &["pwd", "otp", "mfa"], return_to, &cx).await;
        }
        let found = match get(&sent, "email").trim().parse::<EmailAddress>() {
            Ok(email) => self.store.at(&cx).find::<User>(&Claim::new("email", email.as_str())).await?,
            Err(_) => None,
        };
        let allowed = found.as_ref().filter(|user| user.can_sign_in(now));
        let hash = allowed.and_then(|user| user.password.clone());
        let right = self.passwords.verify(SecretString::from(get(&sent, "password")), hash).await?;
        let Some(user) = found.filter(|_| right) else {
            if let Some(user) = self.by_email(get(&sent, "email"), &cx).await? {
                self.failed(&user, &cx).await?;
            }
            return self.sign_in_page(&cx, return_to, "", WRONG).await;
        };
        if user.needs_code() {
            let step = self.step(&user, (now + STEP).as_second(), &cx).await?;
            return self.sign_in_page(&cx, return_to, &step, "").await;
        }
        self.begin(&user, &["pwd"], return_to, &cx).await
    }

    async fn by_email(&self, email: &str, cx: &Cx) -> Result<Option<User>, Problem> {
        let Ok(email) = email.trim().parse::<EmailAddress>() else { return Ok(None) };
        let found = self.store.at(cx).find::<User>(&Claim::new("email", email.as_str())).await?;
        Ok(found.map(store::Loaded::into_inner))
    }

    async fn failed(&self, user: &User, cx: &Cx) -> Result<(), Problem> {
        let now = cx.now();
        let failed = |user: &mut User| {
            user.failed(now);
            Ok(())
        };
        self.store.at(cx).change(&user.id, failed).await.map(drop)
    }

    /// Begins a session and sends its cookie.
    async fn begin(&self, proven: &User, methods: &[&str], return_to: &str, cx: &Cx) -> Answer {
        let methods: Vec<String> = methods.iter().map(|it| (*it).to_owned()).collect();
        let signed_in = |user: &mut User| {
            user.signed_in(proven.epoch)?;
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
        with_cookie(redirect("/sign-in")?, &signed_out_cookie(&self.settings))
    }

    fn choose(sent: &HashMap<String, String>, trouble: &str) -> Answer {
        let (title, text) = match get(sent, "for") {
            "recover" => ("Choose a new password", "All links that were sent before are void from now on."),
            _ => ("Welcome", "Choose a password, and you are in."),
        };
        let hidden = vec![("ticket", get(sent, "ticket")), ("for", get(sent, "for"))];
        let status = if trouble.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        page(status, &Ask { title, text, trouble, hidden, fields: &[PASSWORD], act: "Go on" })
    }

    pub(crate) async fn welcome_form(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = query(&request);
        match link::open(&self.store, &cx, get(&sent, "ticket")).await {
            Ok(_) => Self::choose(&sent, ""),
            Err(refused) if refused.kind() == ProblemKind::Refused => {
                let text = "This link was used before, or is older than two days.";
                page(
                    StatusCode::GONE,
                    &Message { title: "No longer good", text, href: "/recover", link: "Get a new one" },
                )
            }
            Err(other) => Err(other),
        }
    }

    pub(crate) async fn welcome(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = form(&request)?;
        let chosen = async {
            let user = link::open(&self.store, &cx, get(&sent, "ticket")).await?;
            let hash = self.passwords.hash(SecretString::from(get(&sent, "password")), &cx).await?;
            let stamp = secret::fresh(&cx);
            let choose = |it: &mut User| it.choose_password(&user.stamp, hash.clone(), stamp.clone());
            self.store.at(&cx).change(&user.id, choose).await.map(store::Loaded::into_inner)
        };
        let chosen = chosen.await;
        if let Ok(user) = &chosen {
            // Whoever knew the old password may be signed in somewhere.
            self.end_all_sessions(user.id, &cx).await?;
        }
        match chosen {
            // A new password does not stand in for the second factor.
            Ok(user) if user.needs_code() => redirect("/sign-in"),
            Ok(user) => self.begin(&user, &["pwd"], "/", &cx).await,
            Err(problem) => Self::choose(&sent, &for_form(problem)?),
        }
    }

    #[expect(clippy::unused_async, reason = "endpoints are asynchronous")]
    pub(crate) async fn recover_form(self: Arc<Self>, _: Request<Bytes>, _: Cx) -> Answer {
        let text = "You get a link by mail, if the address is known here.";
        page(
            StatusCode::OK,
            &Ask {
                title: "New password",
                text,
                trouble: "",
                hidden: Vec::new(),
                fields: &[EMAIL],
                act: "Send the link",
            },
        )
    }

    pub(crate) async fn recover(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = form(&request)?;
        if let Some(user) = self.by_email(get(&sent, "email"), &cx).await? {
            let realm = self.realm(&cx).await?;
            let link = link::make(&self.store, &cx, &realm, &user, LinkPurpose::Recover).await?;
            let now = cx.now();
            let ask = |user: &mut User| {
                let asked = user.recover(link.clone(), now).map(kernel::AnyEvent::from);
                Ok(asked.into_iter().collect::<Vec<_>>())
            };
            self.store.at(&cx).change(&user.id, ask).await?;
        }
        let text = "If the address is known here, a link is on its way.";
        page(StatusCode::OK, &Message { title: "Look into your mail", text, href: "/sign-in", link: "Back to sign-in" })
    }

    // --- Those who run the installation ---

    fn claim_page(token: &str, trouble: &str) -> Answer {
        let ask = Ask {
            title: "Claim this installation",
            text: "You become its operator. This link works once.",
            trouble,
            hidden: vec![("token", token)],
            fields: &[NAME, EMAIL, PASSWORD],
            act: "Become the operator",
        };
        page(if trouble.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY }, &ask)
    }

    fn claim_refused() -> Problem {
        Problem::new(
            ProblemKind::Refused,
            "identity.claim_refused",
            "this installation was claimed before, or the link is not its own",
        )
        .hint("sign in as the operator, or take the link from the start of the log")
    }

    async fn check_claim(&self, token: &str, cx: &Cx) -> Result<(), Problem> {
        let same: bool = subtle::ConstantTimeEq::ct_eq(token.as_bytes(), self.claim_token().as_bytes()).into();
        let claimed = self.store.at(cx).try_load::<Claimed>(&Claimed::ID.to_owned()).await?.is_some();
        if same && !claimed { Ok(()) } else { Err(Self::claim_refused()) }
    }

    pub(crate) async fn claim_form(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = query(&request);
        self.check_claim(get(&sent, "token"), &cx).await?;
        Self::claim_page(get(&sent, "token"), "")
    }

    pub(crate) async fn claim(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = form(&request)?;
        let token = get(&sent, "token");
        self.check_claim(token, &cx).await?;
        let made = async {
            let bad = |field: &str| Problem::invalid_field(format!("/{field}"), "not valid");
            let email = get(&sent, "email").trim().parse().map_err(|_| bad("email"))?;
            let name = get(&sent, "name").parse().map_err(|_| bad("name"))?;
            let password = self.passwords.hash(SecretString::from(get(&sent, "password")), &cx).await?;
            Ok::<_, Problem>(Operator { id: cx.new_id(), email, name, password })
        };
        let operator = match made.await {
            Ok(operator) => operator,
            Err(problem) => return Self::claim_page(token, &for_form(problem)?),
        };
        // The operator first: after a crash in between, the link works again and nobody is locked out.
        let operator = self.store.at(&cx).create(operator, ()).await?;
        let claimed = Claimed { by: operator.id, at: cx.now() };
        if self.store.at(&cx).create(claimed, ()).await.is_err() {
            // Someone was faster by a moment: there is to be no second one.
            self.store.at(&cx).delete(operator, ()).await?;
            return Err(Self::claim_refused());
        }
        self.begin_operator(&operator, &cx).await
    }

    async fn begin_operator(&self, operator: &Operator, cx: &Cx) -> Answer {
        let (session, value) = OperatorSession::begin(operator.id, cx);
        self.store.at(cx).create(session, ()).await?;
        with_cookie(redirect("/")?, &cookie("freehold_operator", &value, LASTS.as_secs(), self.settings.secure()))
    }

    fn operator_page(trouble: &str) -> Answer {
        let status = if trouble.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        page(status, &SignIn { at: "this installation", trouble, return_to: "/", step: "", recovers: false })
    }

    #[expect(clippy::unused_async, reason = "endpoints are asynchronous")]
    pub(crate) async fn operator_form(self: Arc<Self>, _: Request<Bytes>, _: Cx) -> Answer {
        Self::operator_page("")
    }

    pub(crate) async fn operator_sign_in(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = form(&request)?;
        let found = match get(&sent, "email").trim().parse::<EmailAddress>() {
            Ok(email) => self.store.at(&cx).find::<Operator>(&Claim::new("email", email.as_str())).await?,
            Err(_) => None,
        };
        let hash = found.as_ref().map(|operator| operator.password.clone());
        let right = self.passwords.verify(SecretString::from(get(&sent, "password")), hash).await?;
        match found.filter(|_| right) {
            Some(operator) => self.begin_operator(&operator, &cx).await,
            None => Self::operator_page(WRONG),
        }
    }
}
