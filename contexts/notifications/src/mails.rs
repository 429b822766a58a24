//! The mails that the platform itself writes.

use contracts::identity::LinkPurpose;

use crate::channel::Message;

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The mail that carries a link.
pub(crate) fn link(purpose: LinkPurpose, address: String, name: &str, link: &str) -> Message {
    let (subject, line, act) = match purpose {
        LinkPurpose::Verify => {
            ("Confirm your e-mail address", "confirm that this address is yours and choose a password", "Confirm")
        }
        LinkPurpose::Invite => ("You are invited", "you were invited; choose a password to come in", "Come in"),
        LinkPurpose::Recover => {
            ("Choose a new password", "someone, hopefully you, asked for a new password", "Choose a password")
        }
    };
    let text = format!(
        "Hello {name},\n\n{line}:\n\n{link}\n\nThe link is good once, and for two days. If you did not expect it, do nothing.\n"
    );
    let (name, href) = (escaped(name), escaped(link));
    let html = format!(
        "<!doctype html><html lang=\"en\"><body style=\"font:16px/1.5 sans-serif;color:#16202b\"><p>Hello {name},</p><p>{line}:</p>\
         <p><a href=\"{href}\" style=\"display:inline-block;padding:12px 20px;border-radius:8px;background:#0b5cad;color:#fff;\
         text-decoration:none\">{act}</a></p><p style=\"color:#556270\">Or open this address: {href}</p>\
         <p style=\"color:#556270\">The link is good once, and for two days. If you did not expect it, do nothing.</p></body></html>"
    );
    Message { address, subject: subject.to_owned(), text, html }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_text_and_not_markup() {
        let mail = link(LinkPurpose::Invite, "a@b.example".into(), "<b>Eve</b>", "http://x.localhost/?a=1&b=2");
        assert!(mail.html.contains("&lt;b&gt;Eve&lt;/b&gt;") && !mail.html.contains("<b>Eve"));
        assert!(mail.text.contains("http://x.localhost/?a=1&b=2"));
    }
}
