//! What the hosted pages are made of: fields and forms, what is wrong with what was entered, cookies, lines of the table.
//!
//! The pages work without scripts and by keyboard, and ask the same use cases as programs do. What is wrong is shown beside
//! its field, and the page begins there.

pub mod http_forms;
mod sections;
mod table;

use std::collections::{BTreeMap, HashMap};

use askama::Template;
use http::{Response, StatusCode, header};
use kernel::{Problem, ProblemKind, context::Body};

pub use look::Answer;
pub use sections::{CODE, Outcome, Section, factor_sections};
pub use table::Table;

/// One field of a form, with what is wrong with it.
#[derive(Clone)]
pub struct Field<'a> {
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
    /// One that is empty.
    pub const fn new(name: &'static str, label: &'static str, kind: &'static str, autocomplete: &'static str) -> Self {
        Self { form: "", name, label, kind, autocomplete, hint: "", value: "", trouble: "", focus: false }
    }

    /// In the form of this name.
    pub const fn at(mut self, form: &'a str) -> Self {
        self.form = form;
        self
    }

    /// Explained by a sentence.
    pub const fn hint(mut self, hint: &'a str) -> Self {
        self.hint = hint;
        self
    }

    /// As it was sent, with what was wrong; a password is typed anew.
    pub fn sent(mut self, sent: &'a HashMap<String, String>, troubles: &'a Troubles) -> Self {
        if self.kind != "password" {
            self.value = get(sent, self.name);
        }
        self.trouble = troubles.fields.get(self.name).map(String::as_str).unwrap_or_default();
        self
    }
}

/// A password to choose.
pub const NEW_PASSWORD: Field<'static> = Field::new("password", "New password", "password", "new-password")
    .hint("At least 15 characters. A few words that you remember are good.");
/// The address of whoever fills it in.
pub const EMAIL: Field<'static> = Field::new("email", "E-mail address", "email", "email");
/// The name of whoever fills it in.
pub const NAME: Field<'static> = Field::new("name", "Your name", "text", "name");

/// A page of one form.
#[derive(Template)]
#[template(path = "form.html")]
pub struct Form<'a> {
    /// What the page is called.
    pub title: &'a str,
    /// What it is for.
    pub text: &'a str,
    /// What is wrong with the whole.
    pub trouble: &'a str,
    /// What is sent along.
    pub hidden: Vec<(&'static str, &'a str)>,
    /// What is to be filled in.
    pub fields: Vec<Field<'a>>,
    /// What the button says.
    pub act: &'a str,
}

/// A page that tells something.
#[derive(Template)]
#[template(path = "message.html")]
pub struct Message<'a> {
    /// What the page is called.
    pub title: &'a str,
    /// What it tells.
    pub text: &'a str,
    /// Where it leads; nowhere where it is empty.
    pub href: &'a str,
    /// What the link says.
    pub link: &'a str,
}

impl Message<'_> {
    /// The page.
    pub fn show(&self, status: StatusCode) -> Answer {
        look::content(status, self.title, self)
    }
}

/// What was sent under a name, or nothing.
#[expect(clippy::implicit_hasher, reason = "what was sent is collected by `http_forms` alone")]
pub fn get<'a>(sent: &'a HashMap<String, String>, name: &str) -> &'a str {
    sent.get(name).map(String::as_str).unwrap_or_default()
}

/// A cookie for the whole site that no script reads.
pub fn cookie(name: &str, value: &str, seconds: u64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
}

/// Takes the session's cookie away.
pub fn signed_out_cookie(settings: &accounts::Settings) -> String {
    cookie("freehold_session", "", 0, settings.secure())
}

/// An answer that sets a cookie as well.
pub fn with_cookie(mut answer: Response<Body>, cookie: &str) -> Answer {
    answer.headers_mut().append(header::SET_COOKIE, cookie.parse().map_err(Problem::internal)?);
    Ok(answer)
}

/// What is wrong with what was entered, by field where a field is named.
#[derive(Default)]
pub struct Troubles {
    /// What no field is to blame for.
    pub whole: String,
    /// What is wrong, by field.
    pub fields: BTreeMap<String, String>,
    /// Where it is no fault of what was entered: the same may be sent again.
    pub again: Option<StatusCode>,
}

impl Troubles {
    /// Something that no field is to blame for.
    pub fn whole(text: &str) -> Self {
        Self { whole: text.to_owned(), ..Self::default() }
    }

    /// Something is wrong with a field.
    pub fn of(&mut self, field: &str, text: &str) {
        self.fields.insert(field.to_owned(), text.to_owned());
    }

    /// Whether anything is wrong.
    pub fn any(&self) -> bool {
        !self.whole.is_empty() || !self.fields.is_empty()
    }

    /// The status of the page that tells it.
    pub fn status(&self) -> StatusCode {
        let wrong = if self.any() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        self.again.unwrap_or(wrong)
    }
}

/// A text as a sentence.
pub fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// What is wrong with what was entered goes back to the form, beside its field if that is shown; all else is a problem.
pub fn for_form(problem: Problem, shown: &[&str]) -> Result<Troubles, Problem> {
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

/// The page of a form, which begins at the first field that is wrong.
pub fn show(mut form: Form<'_>, status: StatusCode) -> Answer {
    focus(&mut form.fields);
    look::content(status, form.title, &form)
}
