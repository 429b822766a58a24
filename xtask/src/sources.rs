//! The workspace's Rust sources as tokens, so that what they say is found in macros too, and apart from their tests.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::places;

/// The folders of the workspace that hold source of the product.
const FOLDERS: &[&str] = &["freehold", "gateway", "console", "crates", "engines", "contexts"];

/// One file.
pub(crate) struct Source {
    /// Relative to the root: `contexts/users/src/profile.rs`.
    pub(crate) path: String,
    /// What is part of the program.
    pub(crate) product: Vec<Token>,
    /// The text of its tests; all of it, for a file of tests.
    pub(crate) tests: String,
}

/// A token as far as the documents care: groups are opened, so that a file is one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Word(String),
    /// A literal text.
    Text(String),
    /// A single character of punctuation, brackets included, or another literal.
    Sign(String),
}

impl Token {
    pub(crate) fn is(&self, sign: &str) -> bool {
        matches!(self, Self::Word(it) | Self::Sign(it) if it == sign)
    }

    pub(crate) fn word(&self) -> Option<&str> {
        if let Self::Word(word) = self { Some(word) } else { None }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

/// All sources of the product.
pub(crate) fn read() -> Result<Vec<Source>> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        rust_files(&places::root().join(folder), &mut files)?;
    }
    files.sort();
    files.iter().map(|file| source(file)).collect()
}

fn source(file: &Path) -> Result<Source> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let path = file.strip_prefix(places::root()).unwrap_or(file).to_string_lossy().into_owned();
    if is_test(&path) {
        return Ok(Source { path, product: Vec::new(), tests: text });
    }
    let product = tokens(&text).with_context(|| format!("cannot read {path} as Rust"))?;
    let tests = text.split_once("#[cfg(test)]").map(|(_, tests)| tests.to_owned()).unwrap_or_default();
    Ok(Source { path, product, tests })
}

fn is_test(path: &str) -> bool {
    ["/tests/", "/benches/", "/examples/", "/contract/"].iter().any(|part| path.contains(part))
        || path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
}

/// All files of Rust below a folder, in any order.
pub(crate) fn rust_files(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && !matches!(&*name, "target" | "node_modules" | "out") {
            rust_files(&path, files)?;
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// The tokens of a text without what stands under `#[cfg(test)]`.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>> {
    let stream: TokenStream = text.parse().map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut row = Vec::new();
    flatten(stream, &mut row);
    Ok(row)
}

fn flatten(stream: TokenStream, row: &mut Vec<Token>) {
    let mut trees = stream.into_iter();
    while let Some(tree) = trees.next() {
        match tree {
            TokenTree::Group(group) => {
                if group.delimiter() == Delimiter::Bracket && only_for_tests(row, &group.stream()) {
                    row.pop();
                    skip_item(&mut trees);
                    continue;
                }
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                row.push(Token::Sign(open.to_owned()));
                flatten(group.stream(), row);
                row.push(Token::Sign(close.to_owned()));
            }
            TokenTree::Ident(word) => row.push(Token::Word(word.to_string())),
            TokenTree::Punct(sign) => row.push(Token::Sign(sign.to_string())),
            TokenTree::Literal(literal) => {
                let written = literal.to_string();
                row.push(unquoted(&written).map_or(Token::Sign(written), Token::Text));
            }
        }
    }
}

fn only_for_tests(row: &[Token], attribute: &TokenStream) -> bool {
    row.last().is_some_and(|last| last.is("#")) && attribute.to_string().replace(' ', "") == "cfg(test)"
}

/// What an attribute stands on: up to its body, or the semicolon.
fn skip_item(trees: &mut proc_macro2::token_stream::IntoIter) {
    for tree in trees {
        match tree {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return,
            TokenTree::Punct(sign) if sign.as_char() == ';' => return,
            _ => {}
        }
    }
}

/// The text of a string literal; escapes that texts for people have are the quote, the backslash, and the line's end.
fn unquoted(literal: &str) -> Option<String> {
    let inner = literal.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::new();
    let mut letters = inner.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            text.push(letter);
            continue;
        }
        match letters.next()? {
            'n' => text.push('\n'),
            '\n' => while letters.next_if(|next| next.is_whitespace()).is_some() {},
            other => text.push(other),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_left_out_and_macros_are_looked_into() {
        let text =
            "fn a() { ensure!(x, b(\"one \\\n   line\")); }\n#[cfg(test)]\nmod tests { fn hidden() {} }\nfn after() {}";
        let row = tokens(text).unwrap();
        assert!(row.contains(&Token::Text("one line".to_owned())), "{row:?}");
        assert!(!row.iter().any(|token| token.is("hidden")));
        assert!(row.iter().any(|token| token.is("after")));
    }

    #[test]
    fn files_of_tests_are_known() {
        assert!(is_test("contexts/users/src/tests.rs") && is_test("freehold/tests/journey.rs"));
        assert!(is_test("contexts/billing/books/src/invoice_tests.rs"));
        assert!(!is_test("contexts/users/src/profile.rs"));
    }
}
