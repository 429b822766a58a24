//! The path of a request that is proxied, in one spelling only: two spellings of one path could be guarded by one route
//! and served as the other.

use std::borrow::Cow;

use kernel::{Problem, ProblemKind};

fn refused(why: &'static str) -> Problem {
    Problem::new(ProblemKind::Invalid, "path_ambiguous", why).hint("send the path as it is meant, without detours")
}

/// Decodes what needs no encoding (RFC 3986, section 6.2.2.2) and refuses what some servers read in another way than
/// others: empty and dot segments, encoded slashes, backslashes, semicolons before a dot, control characters.
pub fn plain(path: &str) -> Result<Cow<'_, str>, Problem> {
    let path = if path.contains('%') { Cow::Owned(decoded(path)?) } else { Cow::Borrowed(path) };
    let rest = path.strip_prefix('/').ok_or_else(|| refused("the path does not begin with a slash"))?;
    if path.contains('\\') {
        return Err(refused("the path has a backslash"));
    }
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        // Some servers cut parameters off before they look at the dots.
        let bare = segment.split(';').next().unwrap_or_default();
        if matches!(bare, "." | "..") || (bare.is_empty() && (segments.peek().is_some() || !segment.is_empty())) {
            return Err(refused("the path has an empty or a dot segment"));
        }
    }
    Ok(path)
}

/// A digit of a percent-encoded byte, in capitals (RFC 3986, section 6.2.2.1).
fn digit(half: u8) -> char {
    char::from_digit(u32::from(half), 16).unwrap_or('0').to_ascii_uppercase()
}

fn decoded(path: &str) -> Result<String, Problem> {
    let mut plain = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        let code = after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let code = code.ok_or_else(|| refused("the path has a per cent sign that encodes nothing"))?;
        if matches!(code, b'/' | b'\\' | 0..=31 | 127) {
            return Err(refused("the path has an encoded slash or control character"));
        }
        plain.push_str(before);
        if code.is_ascii_alphanumeric() || b"-._~".contains(&code) {
            plain.push(char::from(code));
        } else {
            plain.extend(['%', digit(code >> 4), digit(code & 15)]);
        }
        rest = after.get(2..).unwrap_or_default();
    }
    plain.push_str(rest);
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_spelling_for_one_path() {
        assert_eq!(plain("/%61dmin/%7euser/%e4").unwrap(), "/admin/~user/%E4");
        assert_eq!(plain("/a/").unwrap(), "/a/");
        for detour in [
            "/a/../b",
            "/a/./b",
            "/a//b",
            "//a",
            "/%2e%2e/b",
            "/a/%2E/b",
            "/a%2fb",
            "/a%5Cb",
            "/a\\b",
            "/a%00",
            "/a%zz",
            "/a%",
            "/..;x=1/b",
            "/;x/b",
            "/a/..",
        ] {
            assert!(plain(detour).is_err(), "{detour}");
        }
    }

    proptest! {
        #[test]
        fn what_is_plain_stays_and_has_no_detour(path in "/([a-z.%;]|%2[eEfF]|%41|/){0,24}") {
            if let Ok(once) = plain(&path) {
                prop_assert_eq!(plain(&once).unwrap(), once.clone());
                let dots = once.split('/').any(|it| it == ".." || it == ".");
                prop_assert!(!dots && !once.contains("//"));
            }
        }
    }
}
