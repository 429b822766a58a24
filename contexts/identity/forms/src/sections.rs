//! A page of several forms, such as an account.

use std::collections::HashMap;

use askama::Template;
use proofs::{Proofs, factor::otpauth};

use crate::{Answer, Field, Troubles, get};

/// One thing that can be done on a page of several.
#[derive(Default)]
pub struct Section<'a> {
    /// What is sent to say which it is.
    pub act: &'static str,
    /// What it is called.
    pub heading: &'static str,
    /// What it does.
    pub text: String,
    /// What is listed.
    pub lines: Vec<String>,
    /// What can be chosen from: values, and what is shown for them.
    pub choices: Vec<(String, String)>,
    /// What is to be filled in.
    pub fields: Vec<Field<'a>>,
    /// What the button says; without it there is nothing to send.
    pub button: &'static str,
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
pub struct Outcome {
    /// What was sent.
    pub sent: HashMap<String, String>,
    /// What was wrong with it.
    pub troubles: Troubles,
    /// What is said where it was done.
    pub notice: String,
    /// What can be seen only now: recovery codes, the link of an invitation.
    pub shown_once: Vec<String>,
}

impl Outcome {
    /// It was not done.
    pub fn failed(mut self, troubles: Troubles) -> Self {
        self.troubles = troubles;
        self
    }

    /// It was done.
    pub fn done(mut self, notice: &str, shown_once: Vec<String>) -> Self {
        (self.notice, self.shown_once) = (notice.to_owned(), shown_once);
        self.sent.clear();
        self
    }

    /// A field of the form `act`, with what was sent to that form.
    pub fn field<'a>(&'a self, act: &'static str, field: Field<'a>) -> Field<'a> {
        let field = field.at(act);
        if get(&self.sent, "act") == act { field.sent(&self.sent, &self.troubles) } else { field }
    }

    /// The page: its title, whose it is, and where it leads back to.
    pub fn show(&self, (title, who, back): (&str, &str, &str), mut sections: Vec<Section<'_>>) -> Answer {
        if !self.shown_once.is_empty() {
            let text = "Keep this now: it cannot be shown again.".to_owned();
            let lines = self.shown_once.clone();
            sections.insert(0, Section { act: "once", heading: "Shown once", text, lines, ..Section::default() });
        }
        crate::focus(sections.iter_mut().flat_map(|section| &mut section.fields));
        let (trouble, notice) = (self.troubles.whole.as_str(), self.notice.as_str());
        look::content(self.troubles.status(), title, &Account { title, who, back, trouble, notice, sections })
    }
}

/// A code of an app that is being set up.
pub const CODE: Field<'static> = Field::new("code", "Code that the app shows", "text", "one-time-code");

/// The second factor, as far as it is set up; `proof` stands in forms that need one.
pub fn factor_sections<'a>(
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
