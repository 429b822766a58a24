//! The language of templates: variables, a few filters, `if` and `for`. It is a small part of what the engine knows, chosen
//! so that nothing can grow: no operator, list, assignment, macro or include, so a text is never longer than what
//! was put in times a small factor; steps and output are bounded besides. HTML is always escaped: there is no `safe`.

use std::{collections::BTreeSet, io};

use minijinja::{
    AutoEscape, Environment, ErrorKind, UndefinedBehavior, filters,
    machinery::{Token, tokenize},
    syntax::SyntaxConfig,
    value::Value,
};

/// Instructions of one rendering.
const STEPS: u64 = 20_000;
/// Bytes of one rendered text.
const OUTPUT: usize = 128 << 10;
/// Nested levels of `if` and `for`.
const DEPTH: usize = 6;
const FILTERS: [&str; 8] = ["upper", "lower", "capitalize", "title", "trim", "default", "length", "round"];

/// Why a template is refused, or fails: a sentence for whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Fault(pub(crate) String);

impl From<minijinja::Error> for Fault {
    fn from(error: minijinja::Error) -> Self {
        let line = error.line().map(|line| format!("line {line}: ")).unwrap_or_default();
        Self(match error.kind() {
            ErrorKind::OutOfFuel => "it takes too many steps".to_owned(),
            ErrorKind::WriteFailure => format!("it gives more than {} KiB", OUTPUT >> 10),
            kind => format!("{line}{}", error.detail().map_or_else(|| kind.to_string(), str::to_owned)),
        })
    }
}

/// What the name of an HTML text ends in.
const HTML: &str = ".html";

/// Texts that were compiled, by their names. A name that ends in `.html` is HTML.
#[derive(Debug)]
pub(crate) struct Compiled(Environment<'static>);

impl Default for Compiled {
    fn default() -> Self {
        let mut environment = Environment::empty();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(STEPS));
        environment.set_auto_escape_callback(|name| {
            if name.strip_suffix(HTML).is_some() { AutoEscape::Html } else { AutoEscape::None }
        });
        environment.add_filter("upper", filters::upper);
        environment.add_filter("lower", filters::lower);
        environment.add_filter("capitalize", filters::capitalize);
        environment.add_filter("title", filters::title);
        environment.add_filter("trim", filters::trim);
        environment.add_filter("default", filters::default);
        environment.add_filter("length", filters::length);
        environment.add_filter("round", filters::round);
        Self(environment)
    }
}

impl Compiled {
    /// Compiles a text that keeps to the language. The variables it uses.
    pub(crate) fn add(&mut self, name: &str, text: &str) -> Result<BTreeSet<String>, Fault> {
        within_the_language(text)?;
        self.0.add_template_owned(name.to_owned(), text.to_owned())?;
        Ok(self.0.get_template(name)?.undeclared_variables(false).into_iter().collect())
    }

    /// Whether a text of this name was compiled.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.get_template(name).is_ok()
    }

    /// Renders a text. A variable without a value is a fault.
    pub(crate) fn render(&self, name: &str, values: &Value) -> Result<String, Fault> {
        let mut output = Bounded(Vec::new());
        self.0.get_template(name)?.render_captured_to(values.clone(), &mut output)?;
        String::from_utf8(output.0).map_err(|error| Fault(error.to_string()))
    }
}

/// Takes so much and no more.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT {
            return Err(io::Error::other("too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Texts, names, constants, comparisons and parentheses: what cannot make anything longer.
const fn is_plain(token: &Token<'_>) -> bool {
    use Token::{BlockEnd, Dot, Eq, Float, Gt, Gte, Ident, Int, Lt, Lte, Ne, ParenClose, ParenOpen, Str, String};
    use Token::{TemplateData, VariableEnd, VariableStart};
    let text = matches!(token, TemplateData(_) | VariableStart | VariableEnd | BlockEnd);
    let value = matches!(token, Ident(_) | Str(_) | String(_) | Int(_) | Float(_) | Dot | ParenOpen | ParenClose);
    text || value || matches!(token, Eq | Ne | Gt | Gte | Lt | Lte)
}

/// Refuses every word of the engine's language that is not one of ours.
fn within_the_language(text: &str) -> Result<(), Fault> {
    let (mut depth, mut begins, mut piped) = (0_usize, false, false);
    for token in tokenize(text, false, SyntaxConfig::default()) {
        let (token, span) = token?;
        let refused = |what: &str| Err(Fault(format!("line {}: {what} is not part of templates", span.start_line)));
        let (was_begun, was_piped) = (std::mem::take(&mut begins), std::mem::take(&mut piped));
        match token {
            Token::BlockStart => begins = true,
            Token::Ident(word) if was_begun => match word {
                "if" | "for" => depth += 1,
                "endif" | "endfor" => depth = depth.saturating_sub(1),
                "elif" | "else" => {}
                other => return refused(&format!("{{% {other} %}}")),
            },
            Token::Pipe => piped = true,
            Token::Ident(filter) if was_piped && !FILTERS.contains(&filter) => return refused(&format!("|{filter}")),
            Token::Ident(word @ ("recursive" | "loop" | "self" | "super" | "caller")) => return refused(word),
            plain if is_plain(&plain) => {}
            other => return refused(&other.to_string()),
        }
        if depth > DEPTH {
            return Err(Fault(format!("if and for are nested more than {DEPTH} levels deep")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(name: &str, text: &str) -> Result<String, Fault> {
        let mut it = Compiled::default();
        it.add(name, text)?;
        let people: Value = ["Ada", "Grace"].into_iter().collect();
        let values = [("name", Value::from("<Ada>")), ("people", people), ("none", Value::from(""))];
        it.render(name, &Value::from_pairs(values))
    }

    #[test]
    fn what_it_can_say() {
        let text = "{% if people|length > 1 %}{% for it in people %}{{ it|upper }} {% endfor %}{% else %}-{% endif %}";
        assert_eq!(render("a.txt", text).unwrap(), "ADA GRACE ");
        assert_eq!(render("a.txt", "{{ name }}{# aside #}{% if none %}!{% endif %}").unwrap(), "<Ada>");
        assert_eq!(render("a.html", "{{ name }}").unwrap(), "&lt;Ada&gt;");
    }

    #[test]
    fn what_it_cannot_say() {
        for refused in [
            "{% set a = name %}",
            "{% include '/etc/passwd' %}",
            "{% import 'x' as y %}",
            "{% extends 'x' %}",
            "{% macro m() %}{% endmacro %}",
            "{% for it in people recursive %}{% endfor %}",
            "{{ name ~ name }}",
            "{{ name * 1000000 }}",
            "{{ [name, name] }}",
            "{{ (name, name)|upper }}",
            "{{ {'a': name} }}",
            "{{ people[0] }}",
            "{{ name|safe }}",
            "{{ name|replace('a', 'b') }}",
            "{{ range(1000000) }}",
            "{{ unknown }}",
            "{{ name",
            "{% if name %}",
        ] {
            assert!(render("a.html", refused).is_err(), "{refused}");
        }
        let deep = format!("{}{}", "{% for a in people %}".repeat(9), "{% endfor %}".repeat(9));
        assert!(render("a.txt", &deep).is_err());
    }

    #[test]
    fn steps_and_output_are_bounded() {
        let mut it = Compiled::default();
        let text = "{% for a in all %}{% for b in all %}{% for c in all %}x{% endfor %}{% endfor %}{% endfor %}";
        it.add("steps", text).unwrap();
        it.add("output", "{% for a in all %}{{ long }}{% endfor %}").unwrap();
        let all: Value = (0..100).collect();
        let values = Value::from_pairs([("all", all), ("long", Value::from("y".repeat(10_000)))]);
        assert_eq!(it.render("steps", &values), Err(Fault("it takes too many steps".to_owned())));
        assert_eq!(it.render("output", &values), Err(Fault("it gives more than 128 KiB".to_owned())));
    }
}
