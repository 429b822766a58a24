//! What a template says, in each language that it speaks.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{Problem, ProblemKind, text::Key};
use minijinja::value::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use text::{Locale, line};

use crate::{
    engine::{Compiled, Fault},
    variable::{self, Declared, OWN, Values},
};

/// The most languages of a template.
const LOCALES: usize = 20;
/// The largest wording, in bytes of JSON. Ten versions of it must fit one aggregate.
const LARGEST: usize = 64 << 10;
/// What a problem is called where a template fails with the variables that it was given.
pub const NOT_RENDERED: &str = "notifications.not_rendered";
/// The longest rendered subject, in bytes.
const SUBJECT: usize = 300;

/// The texts of one language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Texts {
    /// The subject of a mail, the heading in the inbox.
    pub subject: String,
    /// The message as plain text.
    pub text: String,
    /// The same as HTML; without it a mail is plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
}

/// A wording: variables and texts, to be published as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wording {
    /// The category in which it is sent; people choose by categories.
    pub category: Key,
    /// What it is told when it is sent.
    #[serde(default)]
    pub variables: Declared,
    /// The texts, by language.
    pub(crate) locales: BTreeMap<Locale, Texts>,
}

/// A wording that is ready to be rendered.
#[derive(Debug)]
pub struct Ready {
    /// What it says.
    pub wording: Wording,
    compiled: Compiled,
}

/// A message in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rendered {
    /// The language that it came to.
    pub locale: Locale,
    /// The subject line.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The HTML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
}

/// What the platform tells every template.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The tenant's name.
    pub company: String,
    /// The recipient's name, where it is known.
    pub recipient: String,
    /// The link by which the recipient opts out, where that is possible.
    pub unsubscribe: String,
    /// The address of the tenant's logo, if it has one.
    pub logo: String,
    /// The colour of buttons.
    pub accent: String,
    /// That of text upon them.
    pub on_accent: String,
    /// Where the tenant's people find help, if it says so.
    pub support: String,
}

impl Surroundings {
    /// By the names in [`OWN`].
    fn values(&self) -> [(String, Value); OWN.len()] {
        let Self { company, recipient, unsubscribe, logo, accent, on_accent, support } = self;
        let values = [company, recipient, unsubscribe, logo, accent, on_accent, support];
        let mut values = values.into_iter();
        OWN.map(|name| (name.to_owned(), values.next().map(|it| Value::from(it.as_str())).unwrap_or_default()))
    }
}

impl Wording {
    fn parts<'a>(locale: &Locale, texts: &'a Texts) -> impl Iterator<Item = (String, &'static str, &'a str)> {
        let html = texts.html.as_deref().map(|html| ("html", html));
        let parts = [("subject", texts.subject.as_str()), ("text", texts.text.as_str())].into_iter().chain(html);
        parts.map(move |(part, text)| (format!("{locale}.{part}"), part, text))
    }

    /// Compiles it and tries it with its examples, so that what is unknown, missing or malformed is found now. All the
    /// faults are named. The variables of `must` are secrets without which a message is of no use: every text uses them,
    /// and no subject.
    pub fn ready(self, must: &[&str]) -> Result<Ready, Problem> {
        let mut faults = variable::faults(&self.variables);
        let size = serde_json::to_vec(&self).map_err(Problem::internal)?.len();
        if size > LARGEST || !(1..=LOCALES).contains(&self.locales.len()) {
            faults.push(("/locales".to_owned(), format!("expected 1 to {LOCALES} languages, 64 KiB in all")));
        }
        let mut compiled = Compiled::default();
        for (locale, texts) in &self.locales {
            for (name, part, text) in Self::parts(locale, texts) {
                let found = compiled.add(&name, text).and_then(|used| self.known(&used, part, must));
                if let Err(Fault(why)) = found {
                    faults.push((format!("/locales/{locale}/{part}"), why));
                }
            }
        }
        if faults.is_empty() {
            let ready = Ready { wording: self, compiled };
            let values = variable::checked(&ready.wording.variables, &variable::examples(&ready.wording.variables))?;
            for locale in ready.wording.locales.keys() {
                if let Err((part, Fault(why))) = ready.parts_of(locale, &Surroundings::default(), &values) {
                    faults.push((format!("/locales/{locale}/{part}"), why));
                }
            }
            if faults.is_empty() {
                return Ok(ready);
            }
        }
        let problem = Problem::new(ProblemKind::Refused, "notifications.template_refused", "the template has faults")
            .hint("correct the texts that are named; a preview shows what comes out");
        Err(faults.into_iter().fold(problem, |problem, (pointer, why)| problem.field(pointer, why)))
    }

    fn known(&self, used: &BTreeSet<String>, part: &str, must: &[&str]) -> Result<(), Fault> {
        let unknown = used.iter().find(|it| !self.variables.contains_key(*it) && !OWN.contains(&it.as_str()));
        if let Some(name) = unknown {
            return Err(Fault(format!("the variable {name} is not declared")));
        }
        match (part, must.iter().find(|it| used.contains(**it) == (part == "subject"))) {
            ("subject", Some(name)) => Err(Fault(format!("the variable {name} is a secret, which subjects are not"))),
            (_, Some(name)) => Err(Fault(format!("the variable {name} must be used, or the message is of no use"))),
            (_, None) => Ok(()),
        }
    }
}

impl Ready {
    fn parts_of(
        &self,
        locale: &Locale,
        around: &Surroundings,
        values: &[(String, Value)],
    ) -> Result<Rendered, (&'static str, Fault)> {
        let values = Value::from_pairs(values.iter().cloned().chain(around.values()));
        let render = |part: &'static str| {
            self.compiled.render(&format!("{locale}.{part}"), &values).map_err(|fault| (part, fault))
        };
        let html = if self.compiled.has(&format!("{locale}.html")) { Some(render("html")?) } else { None };
        Ok(Rendered {
            locale: locale.clone(),
            // One line, whatever the variables hold: nothing can add a header to a mail.
            subject: line(&render("subject")?, SUBJECT),
            text: render("text")?,
            html,
        })
    }

    /// Renders it in the first of these languages that it speaks, or else in any.
    pub fn render(&self, wanted: &[Locale], around: &Surroundings, given: &Values) -> Result<Rendered, Problem> {
        let values = variable::checked(&self.wording.variables, given)?;
        let speaks = |locale: &&Locale| self.wording.locales.contains_key(*locale);
        let locale = wanted.iter().find(speaks).or_else(|| self.wording.locales.keys().next());
        let locale = locale.ok_or_else(|| Problem::internal("a template without a language"))?;
        self.parts_of(locale, around, &values).map_err(|(part, Fault(why))| {
            let detail = format!("the {part} of the template cannot be rendered with these variables: {why}");
            Problem::new(ProblemKind::Refused, "notifications.not_rendered", detail).hint("shorten what it is told")
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wording(texts: &serde_json::Value) -> Wording {
        serde_json::from_value(json!({
            "category": "product",
            "variables": { "name": { "type": "text", "example": "Ada" } },
            "locales": texts,
        }))
        .unwrap()
    }

    fn pointers(refused: Result<Ready, Problem>) -> Vec<String> {
        refused.err().unwrap().document(None).errors.into_iter().map(|field| field.pointer).collect()
    }

    #[test]
    fn faults_are_found_when_it_is_saved() {
        let wrong = wording(&json!({
            "en": { "subject": "Hi {{ nme }}", "text": "{% if", "html": "{{ name|safe }}" },
            "de": { "subject": "Hallo", "text": "Hallo {{ name }}" },
        }));
        let expected = ["/locales/en/subject", "/locales/en/text", "/locales/en/html"];
        assert_eq!(pointers(wrong.ready(&[])), expected);
        let without = wording(&json!({ "en": { "subject": "Hi", "text": "Hi" } }));
        assert_eq!(pointers(without.ready(&["name"])), ["/locales/en/text"]);
        let open = wording(&json!({ "en": { "subject": "Hi {{ name }}", "text": "{{ name }}" } }));
        assert_eq!(pointers(open.ready(&["name"])), ["/locales/en/subject"]);
        assert_eq!(pointers(wording(&json!({})).ready(&[])), ["/locales"]);
    }

    #[test]
    fn a_subject_is_one_line_and_html_is_escaped() {
        let ready =
            wording(&json!({ "en": { "subject": "Hi {{ name }}", "text": "{{ name }}", "html": "{{ name }}" } }));
        let ready = ready.ready(&[]).unwrap();
        let given: Values = serde_json::from_value(json!({ "name": "<b>\r\nBcc: eve@example.com" })).unwrap();
        let rendered = ready.render(&[], &Surroundings::default(), &given).unwrap();
        assert_eq!(rendered.subject, "Hi <b>  Bcc: eve@example.com");
        assert_eq!(rendered.html.as_deref(), Some("&lt;b&gt;\r\nBcc: eve@example.com"));
    }

    #[test]
    fn the_nearest_language_speaks() {
        let texts = json!({ "subject": "x", "text": "x" });
        let ready = wording(&json!({ "de": texts, "pt": texts })).ready(&[]).unwrap();
        let given: Values = serde_json::from_value(json!({ "name": "Ada" })).unwrap();
        let speaks = |wanted: &str, default: &str| {
            let chain = Locale::chain(Some(&wanted.parse().unwrap()), &default.parse().unwrap());
            ready.render(&chain, &Surroundings::default(), &given).unwrap().locale.to_string()
        };
        assert_eq!((speaks("pt-BR", "de"), speaks("fr", "de-AT")), ("pt".to_owned(), "de".to_owned()));
        assert_eq!(speaks("fr", "it"), "de", "there is no English: any is better than none");
    }
}
