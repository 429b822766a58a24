//! The platform's own templates, which a tenant overrides by publishing one of the same key.

use std::collections::BTreeMap;

use contracts::identity::LinkPurpose;
use kernel::text::Key;
use recipients::settings::{SECURITY, TRANSACTIONAL};
use text::Locale;

use crate::{
    variable::{Declared, Given, Type, Variable},
    wording::{Texts, Wording},
};

/// What differs from one mail to the next.
struct Words {
    key: &'static str,
    subject: &'static str,
    why: &'static str,
    button: &'static str,
    otherwise: &'static str,
    about: About,
}

/// What a mail is about, which decides what it is told and whose it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    /// A link that works once, from the tenant to a person of its own.
    Link,
    /// An invoice, from whoever runs the installation to the tenant: it has no brand of the tenant's.
    Invoice,
}

const VERIFY: Words = Words {
    key: "link.verify",
    subject: "Confirm your e-mail address",
    why: "Please confirm that this e-mail address is yours.",
    button: "Confirm address",
    otherwise: "If you did not ask for this, you can ignore this message.",
    about: About::Link,
};
const INVITE: Words = Words {
    key: "link.invite",
    subject: "You have been invited",
    why: "You have been invited to join a team. Choose a password to accept.",
    button: "Accept invitation",
    otherwise: "If you do not know why you got this, you can ignore this message.",
    about: About::Link,
};
const RECOVER: Words = Words {
    key: "link.recover",
    subject: "Choose a new password",
    why: "Someone, probably you, asked for a new password for your account.",
    button: "Choose a new password",
    otherwise: "If it was not you, ignore this message: your password stays as it is.",
    about: About::Link,
};
const LEAVE_ADDRESS: Words = Words {
    key: "link.leave_address",
    subject: "Your e-mail address is to change",
    why: "Someone, probably you, asked to be reached at another address. It changes once both addresses agree.",
    button: "Agree to the change",
    otherwise: "If it was not you, ignore this message and choose a new password: your address stays as it is.",
    about: About::Link,
};
const ENTER_ADDRESS: Words = Words {
    key: "link.enter_address",
    subject: "Confirm your new e-mail address",
    why: "Please confirm that you want to be reached at this address from now on.",
    button: "Confirm address",
    otherwise: "If you did not ask for this, you can ignore this message.",
    about: About::Link,
};
const INVOICE: Words = Words {
    key: "billing.invoice",
    subject: "Invoice {{ number }}",
    why: "Your invoice {{ number }} over {{ amount }} is ready. It is to be paid by {{ due }}. Where a way to pay is saved, it is charged by itself.",
    button: "See the invoice",
    otherwise: "",
    about: About::Invoice,
};
const RECEIPT: Words = Words {
    key: "billing.receipt",
    subject: "Receipt for invoice {{ number }}",
    why: "Invoice {{ number }} over {{ amount }} is paid. Thank you.",
    button: "See the invoice",
    otherwise: "",
    about: About::Invoice,
};
const FAILED: Words = Words {
    key: "billing.failed",
    subject: "Invoice {{ number }} could not be collected",
    why: "We could not collect invoice {{ number }} over {{ amount }}. It is tried again in some days; you can pay it now, or in another way.",
    button: "Pay the invoice",
    otherwise: "",
    about: About::Invoice,
};
const REMINDER: Words = Words {
    key: "billing.reminder",
    subject: "Reminder: invoice {{ number }} is not paid",
    why: "Invoice {{ number }} over {{ amount }}, which was to be paid by {{ due }}, is still open. Please pay it, so that your account stays in use.",
    button: "Pay the invoice",
    otherwise: "If you have paid meanwhile, you can ignore this message.",
    about: About::Invoice,
};
const SUSPENDED: Words = Words {
    key: "billing.suspended",
    subject: "Your account is suspended: invoice {{ number }} is not paid",
    why: "Invoice {{ number }} over {{ amount }} is still not paid, so your account is suspended. Nothing is lost: once the invoice is paid, all is as before.",
    button: "Pay the invoice",
    otherwise: "",
    about: About::Invoice,
};
const CONFIRM: Words = Words {
    key: "billing.confirm",
    subject: "Please confirm the payment of invoice {{ number }}",
    why: "Your bank wants you to confirm the payment of invoice {{ number }} over {{ amount }}.",
    button: "Confirm the payment",
    otherwise: "",
    about: About::Invoice,
};
const ALL: [&Words; 11] = [
    &VERIFY,
    &INVITE,
    &RECOVER,
    &LEAVE_ADDRESS,
    &ENTER_ADDRESS,
    &INVOICE,
    &RECEIPT,
    &FAILED,
    &REMINDER,
    &SUSPENDED,
    &CONFIRM,
];

const LASTS: &str = "The link works once, and only for a limited time.";
const SHOWS: &str = "Whoever has this link can see the invoice and pay it.";
const COMPANY: &str =
    "{% if company %}\n{{ company }}\n{% endif %}{% if support %}Need help? {{ support }}\n{% endif %}";
const LOGO: &str = r#"{% if logo %}<p style="margin-top:0"><img src="{{ logo }}" alt="{{ company }}" height="40" style="height:40px;max-width:220px"></p>
{% elif company %}<p style="margin-top:0"><strong>{{ company }}</strong></p>
{% endif %}"#;
const SUPPORT: &str = r#"{% if support %}<p style="text-align:center;font-size:14px;color:#52606d">Need help? Write to {{ support }}</p>
{% endif %}"#;
const BUTTON: &str = "background:{{ accent }};color:{{ on_accent }}";
const PLAIN_BUTTON: &str = "background:#1f5f8b;color:#ffffff";

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

fn variables(about: About) -> Declared {
    let variable = |name: &str, r#type, example: &str| {
        (name.to_owned(), Variable { r#type, example: Given::Text(example.to_owned()), optional: false })
    };
    match about {
        About::Link => BTreeMap::from([
            variable("name", Type::Text, "Ada Lovelace"),
            variable("link", Type::Link, "https://acme.example.com/welcome?ticket=example"),
        ]),
        About::Invoice => BTreeMap::from([
            variable("number", Type::Text, "INV-000042"),
            variable("amount", Type::Text, "EUR 38.88"),
            variable("due", Type::Text, "29 March 2027"),
            variable("link", Type::Link, "https://example.com/pay/example"),
        ]),
    }
}

/// The wording of the platform, if it has this template.
pub fn wording(key: &Key) -> Option<Wording> {
    let Words { subject, why, button, otherwise, about, .. } = ALL.into_iter().find(|it| it.key == key.as_str())?;
    let (name, notes, company, logo, support, look, category) = match about {
        About::Link => ("name", LASTS, COMPANY, LOGO, SUPPORT, BUTTON, SECURITY),
        About::Invoice => ("recipient", SHOWS, "", "", "", PLAIN_BUTTON, TRANSACTIONAL),
    };
    let text =
        format!("Hello {{{{ {name} }}}},\n\n{why}\n\n{button}:\n{{{{ link }}}}\n\n{notes}\n{otherwise}\n{company}");
    // Styles stand at the elements: many programs that show mail know no others.
    let html = format!(
        r#"<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{subject}</title></head>
<body style="margin:0;padding:24px 12px;background:#f4f6f8;color:#17212b;font-family:sans-serif;line-height:1.5">
<div style="max-width:544px;margin:0 auto;padding:28px;background:#ffffff;border:1px solid #dbe1e7;border-radius:14px">
{logo}<p>Hello {{{{ {name} }}}},</p>
<p>{why}</p>
<p style="margin:24px 0"><a href="{{{{ link }}}}" style="display:inline-block;padding:10px 20px;border-radius:10px;{look};font-weight:bold;text-decoration:none">{button}</a></p>
<p style="font-size:14px">If the button does not work, open this address in your browser:<br><a href="{{{{ link }}}}" style="color:#17212b;word-break:break-all">{{{{ link }}}}</a></p>
<p style="margin-bottom:0;font-size:14px;color:#52606d">{notes} {otherwise}</p>
</div>
{support}</body>
</html>
"#
    );
    let texts = Texts { subject: (*subject).to_owned(), text, html: Some(html) };
    let category = category.parse().ok()?;
    Some(Wording { category, variables: variables(*about), locales: BTreeMap::from([(Locale::english(), texts)]) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wording::Surroundings;

    #[test]
    fn a_mail_about_an_invoice_is_whole_and_has_no_brand_of_the_tenants() {
        for key in keys().filter(|it| it.starts_with("billing.")) {
            let key: Key = key.parse().unwrap();
            let wording = wording(&key).unwrap();
            let given = wording.variables.iter().map(|(name, it)| (name.clone(), it.example.clone())).collect();
            let around = Surroundings {
                company: "Acme".to_owned(),
                recipient: "Ada".to_owned(),
                accent: "#102030".to_owned(),
                ..Surroundings::default()
            };
            let mail = wording.ready(must(&key)).unwrap().render(&[], &around, &given).unwrap();
            assert!(mail.subject.contains("INV-000042") && mail.text.starts_with("Hello Ada,\n"), "{mail:?}");
            assert!(
                mail.text.contains("https://example.com/pay/example\n") && mail.text.contains("EUR 38.88"),
                "{mail:?}"
            );
            let html = mail.html.unwrap();
            assert!(!html.contains("Acme") && !html.contains("#102030") && html.contains("EUR 38.88"), "{html}");
        }
    }

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
