//! The platform's own templates, which a tenant overrides by publishing one of the same key.

use std::collections::BTreeMap;

use contracts::identity::LinkPurpose;
use kernel::text::Key;
use recipients::settings::SECURITY;
use text::Locale;

use crate::{
    variable::{Declared, Given, Type, Variable},
    wording::{Texts, Wording},
};

/// What differs from one link to the next.
struct Words {
    key: &'static str,
    subject: &'static str,
    why: &'static str,
    button: &'static str,
    otherwise: &'static str,
}

const VERIFY: Words = Words {
    key: "link.verify",
    subject: "Confirm your e-mail address",
    why: "Please confirm that this e-mail address is yours.",
    button: "Confirm address",
    otherwise: "If you did not ask for this, you can ignore this message.",
};
const INVITE: Words = Words {
    key: "link.invite",
    subject: "You have been invited",
    why: "You have been invited to join a team. Choose a password to accept.",
    button: "Accept invitation",
    otherwise: "If you do not know why you got this, you can ignore this message.",
};
const RECOVER: Words = Words {
    key: "link.recover",
    subject: "Choose a new password",
    why: "Someone, probably you, asked for a new password for your account.",
    button: "Choose a new password",
    otherwise: "If it was not you, ignore this message: your password stays as it is.",
};
const LEAVE_ADDRESS: Words = Words {
    key: "link.leave_address",
    subject: "Your e-mail address is to change",
    why: "Someone, probably you, asked to be reached at another address. It changes once both addresses agree.",
    button: "Agree to the change",
    otherwise: "If it was not you, ignore this message and choose a new password: your address stays as it is.",
};
const ENTER_ADDRESS: Words = Words {
    key: "link.enter_address",
    subject: "Confirm your new e-mail address",
    why: "Please confirm that you want to be reached at this address from now on.",
    button: "Confirm address",
    otherwise: "If you did not ask for this, you can ignore this message.",
};
const ALL: [&Words; 5] = [&VERIFY, &INVITE, &RECOVER, &LEAVE_ADDRESS, &ENTER_ADDRESS];

const LASTS: &str = "The link works once, and only for a limited time.";

const fn words(purpose: LinkPurpose) -> &'static Words {
    match purpose {
        LinkPurpose::Verify => &VERIFY,
        LinkPurpose::Invite => &INVITE,
        LinkPurpose::Recover => &RECOVER,
        LinkPurpose::LeaveAddress => &LEAVE_ADDRESS,
        LinkPurpose::EnterAddress => &ENTER_ADDRESS,
    }
}

/// The template that brings a person a link.
pub const fn key_of(purpose: LinkPurpose) -> &'static str {
    words(purpose).key
}

/// The keys of all of them.
pub fn keys() -> impl Iterator<Item = &'static str> {
    ALL.into_iter().map(|it| it.key)
}

/// What an override must use, so that nobody is mailed a link that is missing.
pub fn must(key: &Key) -> &'static [&'static str] {
    if keys().any(|it| it == key.as_str()) { &["link"] } else { &[] }
}

fn variables() -> Declared {
    let variable =
        |r#type, example: &str| Variable { r#type, example: Given::Text(example.to_owned()), optional: false };
    BTreeMap::from([
        ("name".to_owned(), variable(Type::Text, "Ada Lovelace")),
        ("link".to_owned(), variable(Type::Link, "https://acme.example.com/welcome?ticket=example")),
    ])
}

/// The wording of the platform, if it has this template.
pub fn wording(key: &Key) -> Option<Wording> {
    let Words { subject, why, button, otherwise, .. } = ALL.into_iter().find(|it| it.key == key.as_str())?;
    let text = format!(
        "Hello {{{{ name }}}},\n\n{why}\n\n{button}:\n{{{{ link }}}}\n\n{LASTS}\n{otherwise}\n\
         {{% if company %}}\n{{{{ company }}}}\n{{% endif %}}{{% if support %}}Need help? {{{{ support }}}}\n{{% endif %}}"
    );
    // Styles stand at the elements: many programs that show mail know no others.
    let html = format!(
        r#"<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{subject}</title></head>
<body style="margin:0;padding:24px 12px;background:#f4f6f8;color:#17212b;font-family:sans-serif;line-height:1.5">
<div style="max-width:544px;margin:0 auto;padding:28px;background:#ffffff;border:1px solid #dbe1e7;border-radius:14px">
{{% if logo %}}<p style="margin-top:0"><img src="{{{{ logo }}}}" alt="{{{{ company }}}}" height="40" style="height:40px;max-width:220px"></p>
{{% elif company %}}<p style="margin-top:0"><strong>{{{{ company }}}}</strong></p>
{{% endif %}}<p>Hello {{{{ name }}}},</p>
<p>{why}</p>
<p style="margin:24px 0"><a href="{{{{ link }}}}" style="display:inline-block;padding:10px 20px;border-radius:10px;background:{{{{ accent }}}};color:{{{{ on_accent }}}};font-weight:bold;text-decoration:none">{button}</a></p>
<p style="font-size:14px">If the button does not work, open this address in your browser:<br><a href="{{{{ link }}}}" style="color:#17212b;word-break:break-all">{{{{ link }}}}</a></p>
<p style="margin-bottom:0;font-size:14px;color:#52606d">{LASTS} {otherwise}</p>
</div>
{{% if support %}}<p style="text-align:center;font-size:14px;color:#52606d">Need help? Write to {{{{ support }}}}</p>
{{% endif %}}</body>
</html>
"#
    );
    let texts = Texts { subject: (*subject).to_owned(), text, html: Some(html) };
    let category = SECURITY.parse().ok()?;
    Some(Wording { category, variables: variables(), locales: BTreeMap::from([(Locale::english(), texts)]) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wording::Surroundings;

    #[test]
    fn each_gives_the_link_as_a_button_and_as_text_and_escapes_what_others_wrote() {
        let purposes = [LinkPurpose::Verify, LinkPurpose::Invite, LinkPurpose::Recover];
        let subjects = purposes.map(|purpose| {
            let key: Key = key_of(purpose).parse().unwrap();
            let ready = wording(&key).unwrap().ready(must(&key)).unwrap();
            let link = "https://x.example/?a=1&b=\"><script>";
            let given = BTreeMap::from([
                ("name".to_owned(), Given::Text("<b>O'Ada</b>".to_owned())),
                ("link".to_owned(), Given::Text(link.to_owned())),
            ]);
            let around = Surroundings {
                company: "<i>Acme".to_owned(),
                accent: "#102030".to_owned(),
                on_accent: "#ffffff".to_owned(),
                support: "help@acme.example".to_owned(),
                ..Surroundings::default()
            };
            let mail = ready.render(&[], &around, &given).unwrap();
            let html = mail.html.unwrap();
            assert!(mail.text.ends_with("\n<i>Acme\nNeed help? help@acme.example\n"), "{}", mail.text);
            assert!(html.contains("background:#102030;color:#ffffff") && html.contains("&lt;i&gt;Acme"), "{html}");
            assert!(mail.text.starts_with("Hello <b>O'Ada</b>,\n") && mail.text.contains(&format!("\n{link}\n")));
            assert_eq!(html.matches("href=\"https:").count(), 2, "{html}");
            assert!(
                !html.contains("<script>")
                    && !html.contains("<b>")
                    && !html.contains("<i>")
                    && html.contains("&lt;b&gt;O&#x27;Ada"),
                "{html}"
            );
            mail.subject
        });
        assert!(subjects[0] != subjects[1] && subjects[1] != subjects[2] && subjects[0] != subjects[2]);
    }
}
