//! What the mails with links say.

use contracts::identity::LinkPurpose;

/// A mail, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) subject: &'static str,
    pub(crate) text: String,
    pub(crate) html: String,
}

/// What differs from one purpose to the next.
struct Words {
    subject: &'static str,
    why: &'static str,
    button: &'static str,
    otherwise: &'static str,
}

const fn words(purpose: LinkPurpose) -> Words {
    match purpose {
        LinkPurpose::Verify => Words {
            subject: "Confirm your e-mail address",
            why: "Please confirm that this e-mail address is yours.",
            button: "Confirm address",
            otherwise: "If you did not ask for this, you can ignore this message.",
        },
        LinkPurpose::Invite => Words {
            subject: "You have been invited",
            why: "You have been invited to join a team. Choose a password to accept.",
            button: "Accept invitation",
            otherwise: "If you do not know why you got this, you can ignore this message.",
        },
        LinkPurpose::Recover => Words {
            subject: "Choose a new password",
            why: "Someone, probably you, asked for a new password for your account.",
            button: "Choose a new password",
            otherwise: "If it was not you, ignore this message: your password stays as it is.",
        },
        LinkPurpose::LeaveAddress => Words {
            subject: "Your e-mail address is to change",
            why: "Someone, probably you, asked to be reached at another address. It changes once both addresses agree.",
            button: "Agree to the change",
            otherwise: "If it was not you, ignore this message and choose a new password: your address stays as it is.",
        },
        LinkPurpose::EnterAddress => Words {
            subject: "Confirm your new e-mail address",
            why: "Please confirm that you want to be reached at this address from now on.",
            button: "Confirm address",
            otherwise: "If you did not ask for this, you can ignore this message.",
        },
    }
}

const LASTS: &str = "The link works once, and only for a limited time.";

/// The mail that brings a person a link.
pub(crate) fn with_link(purpose: LinkPurpose, name: &str, link: &str) -> Mail {
    let Words { subject, why, button, otherwise } = words(purpose);
    let text = format!("Hello {name},\n\n{why}\n\n{button}:\n{link}\n\n{LASTS}\n{otherwise}\n");
    let (name, link) = (escaped(name), escaped(link));
    let html = format!(
        r#"<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{subject}</title></head>
<body style="margin:2em auto;max-width:36em;padding:0 1em;font-family:sans-serif;line-height:1.5;color:#1f2328">
<p>Hello {name},</p>
<p>{why}</p>
<p><a href="{link}" style="display:inline-block;padding:.6em 1.2em;border-radius:.3em;background:#1f4fd8;color:#fff;text-decoration:none">{button}</a></p>
<p>If the button does not work, open this address in your browser:<br><a href="{link}">{link}</a></p>
<p style="color:#59636e">{LASTS} {otherwise}</p>
</body>
</html>
"#
    );
    Mail { subject, text, html }
}

/// A text as HTML, safe in content and in quoted attributes.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_gives_the_link_as_a_button_and_as_text() {
        let link = "https://acme.example.com/verify?token=abc";
        let subjects = [LinkPurpose::Verify, LinkPurpose::Invite, LinkPurpose::Recover].map(|purpose| {
            let mail = with_link(purpose, "Ada", link);
            assert!(
                mail.text.starts_with("Hello Ada,\n") && mail.text.contains(&format!("\n{link}\n")),
                "{}",
                mail.text
            );
            assert_eq!(mail.html.matches(&format!("href=\"{link}\"")).count(), 2, "{}", mail.html);
            assert!(mail.html.contains(&format!(">{link}</a>")), "{}", mail.html);
            mail.subject
        });
        assert!(subjects[0] != subjects[1] && subjects[1] != subjects[2] && subjects[0] != subjects[2]);
    }

    #[test]
    fn what_others_wrote_is_escaped_in_html_and_left_alone_in_text() {
        let mail = with_link(LinkPurpose::Invite, "<b>O'Ada</b>", "https://x.example/?a=1&b=\"><script>");
        assert!(mail.html.contains("Hello &lt;b&gt;O&#39;Ada&lt;/b&gt;,"), "{}", mail.html);
        assert!(mail.html.contains("href=\"https://x.example/?a=1&amp;b=&quot;&gt;&lt;script&gt;\""), "{}", mail.html);
        assert!(!mail.html.contains("<script>") && mail.text.contains("Hello <b>O'Ada</b>,"));
    }
}
