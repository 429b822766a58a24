//! The hosted pages. They work without scripts and by keyboard, and ask the same use cases as programs do.

mod account;
mod links;
mod operators;
mod sign_in;
mod sign_up;

use std::collections::{BTreeMap, HashMap};

use askama::Template;
use http::{Response, StatusCode, header};
use kernel::{Problem, ProblemKind, context::Body};

pub(crate) use look::Answer;

/// One field of a form, with what is wrong with it.
#[derive(Clone)]
struct Field<'a> {
    /// The form it stands in, where a page has several; part of its id.
    form: &'a str,
    name: &'static str,
    label: &'static str,
    kind: &'static str,
    autocomplete: &'static str,
    hint: &'a str,
    value: &'a str,
    trouble: &'a str,
    /// Whether the page begins here: at the first field that is wrong.
    focus: bool,
}

/// Puts the focus on the first of these fields that is wrong.
fn focus<'f, 'a: 'f>(fields: impl IntoIterator<Item = &'f mut Field<'a>>) {
    if let Some(first) = fields.into_iter().find(|field| !field.trouble.is_empty()) {
        first.focus = true;
    }
}

impl<'a> Field<'a> {
    const fn new(name: &'static str, label: &'static str, kind: &'static str, autocomplete: &'static str) -> Self {
        Self { form: "", name, label, kind, autocomplete, hint: "", value: "", trouble: "", focus: false }
    }

    const fn at(mut self, form: &'a str) -> Self {
        self.form = form;
        self
    }

    const fn hint(mut self, hint: &'a str) -> Self {
        self.hint = hint;
        self
    }

    /// As it was sent, with what was wrong; a password is typed anew.
    fn sent(mut self, sent: &'a HashMap<String, String>, troubles: &'a Troubles) -> Self {
        if self.kind != "password" {
            self.value = get(sent, self.name);
        }
        self.trouble = troubles.fields.get(self.name).map(String::as_str).unwrap_or_default();
        self
    }
}

const NEW_PASSWORD: Field<'static> = Field::new("password", "New password", "password", "new-password")
    .hint("At least 15 characters. A few words that you remember are good.");
const EMAIL: Field<'static> = Field::new("email", "E-mail address", "email", "email");
const NAME: Field<'static> = Field::new("name", "Your name", "text", "name");

#[derive(Template)]
#[template(path = "form.html")]
struct Form<'a> {
    title: &'a str,
    text: &'a str,
    trouble: &'a str,
    hidden: Vec<(&'static str, &'a str)>,
    fields: Vec<Field<'a>>,
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

impl Message<'_> {
    fn show(&self, status: StatusCode) -> Answer {
        look::content(status, self.title, self)
    }
}

fn get<'a>(sent: &'a HashMap<String, String>, name: &str) -> &'a str {
    sent.get(name).map(String::as_str).unwrap_or_default()
}

fn cookie(name: &str, value: &str, seconds: u64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
}

/// Takes the session's cookie away.
pub(crate) fn signed_out_cookie(settings: &crate::Settings) -> String {
    cookie("freehold_session", "", 0, settings.secure())
}

pub(crate) fn with_cookie(mut answer: Response<Body>, cookie: &str) -> Answer {
    answer.headers_mut().append(header::SET_COOKIE, cookie.parse().map_err(Problem::internal)?);
    Ok(answer)
}

/// What is wrong with what was entered, by field where a field is named.
#[derive(Default)]
struct Troubles {
    whole: String,
    fields: BTreeMap<String, String>,
    /// Where it is no fault of what was entered: the same may be sent again.
    again: Option<StatusCode>,
}

impl Troubles {
    fn whole(text: &str) -> Self {
        Self { whole: text.to_owned(), ..Self::default() }
    }

    fn of(&mut self, field: &str, text: &str) {
        self.fields.insert(field.to_owned(), text.to_owned());
    }

    fn any(&self) -> bool {
        !self.whole.is_empty() || !self.fields.is_empty()
    }

    fn status(&self) -> StatusCode {
        let wrong = if self.any() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        self.again.unwrap_or(wrong)
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// What is wrong with what was entered goes back to the form, beside its field if that is shown; all else is a problem.
fn for_form(problem: Problem, shown: &[&str]) -> Result<Troubles, Problem> {
    use ProblemKind::{Conflict, Invalid, Limited, Refused, Unavailable};
    if !matches!(problem.kind(), Invalid | Refused | Conflict | Limited | Unavailable)
        && problem.code() != "identity.reauthentication_required"
    {
        return Err(problem);
    }
    let document = problem.document(None);
    let again = StatusCode::from_u16(problem.kind().status()).ok().filter(|_| problem.kind().retryable());
    let mut troubles = Troubles { again, ..Troubles::default() };
    for field in &document.errors {
        let name = field.pointer.trim_start_matches('/');
        if shown.contains(&name) {
            troubles.of(name, &sentence(&field.detail));
        } else {
            troubles.whole.push_str(&sentence(&field.detail));
        }
    }
    if !troubles.any() {
        troubles.whole = sentence(&document.detail);
    }
    Ok(troubles)
}

fn show(mut form: Form<'_>, status: StatusCode) -> Answer {
    focus(&mut form.fields);
    look::content(status, form.title, &form)
}
