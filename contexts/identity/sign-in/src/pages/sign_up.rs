//! Where a company comes in: the page on the platform's own address, over the use case of the context `tenants`.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use forms::{Answer, EMAIL, Field, Form, Message, NAME, Troubles, for_form, get, http_forms::form, show};
use http::{Request, StatusCode};
use kernel::Cx;
use serde_json::json;

use crate::SignIn;

impl SignIn {
    fn sign_up_page(&self, sent: &HashMap<String, String>, troubles: &Troubles) -> Answer {
        let hint = format!(
            "Part of your address, {}. Lower-case letters, digits and hyphens; it cannot be changed later.",
            self.settings.origin("subdomain")
        );
        let fields = vec![
            Field::new("company", "Company", "text", "organization").sent(sent, troubles),
            Field::new("slug", "Subdomain", "text", "off").hint(&hint).sent(sent, troubles),
            NAME.sent(sent, troubles),
            EMAIL.hint("You get a link to confirm it and to choose a password.").sent(sent, troubles),
        ];
        let (title, text) = ("Sign up", "For you and the people of your company.");
        show(
            Form { title, text, trouble: &troubles.whole, hidden: Vec::new(), fields, act: "Sign up" },
            troubles.status(),
        )
    }

    #[expect(clippy::unused_async, reason = "endpoints are asynchronous")]
    pub(crate) async fn sign_up_form(self: Arc<Self>, _: Request<Bytes>, _: Cx) -> Answer {
        self.sign_up_page(&HashMap::new(), &Troubles::default())
    }

    pub(crate) async fn sign_up(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = form(&request)?;
        // Field by field, so that all that is wrong is told at once.
        let mut troubles = Troubles::default();
        let mut check = |field: &str, refused: Option<String>| {
            if let Some(refused) = refused {
                troubles.of(field, &forms::sentence(&refused));
            }
        };
        let refused = |of: Result<(), kernel::text::TextError>| of.err().map(|error| error.to_string());
        check("company", refused(get(&sent, "company").parse::<kernel::text::DisplayName>().map(drop)));
        check("slug", refused(get(&sent, "slug").trim().parse::<kernel::text::Slug>().map(drop)));
        check("name", refused(get(&sent, "name").parse::<kernel::text::DisplayName>().map(drop)));
        check("email", refused(get(&sent, "email").trim().parse::<kernel::text::EmailAddress>().map(drop)));
        if troubles.any() {
            return self.sign_up_page(&sent, &troubles);
        }
        let asked = json!({
            "company": get(&sent, "company"), "slug": get(&sent, "slug").trim(),
            "name": get(&sent, "name"), "email": get(&sent, "email").trim(),
        });
        match self.calls.ask("tenants.sign_up", asked, &cx).await {
            Ok(_) => {
                let text = "A link is on its way to you. Follow it to confirm your address and choose a password.";
                Message { title: "Look into your mail", text, href: "", link: "" }.show(StatusCode::OK)
            }
            Err(problem) => self.sign_up_page(&sent, &for_form(problem, &["company", "slug", "name", "email"])?),
        }
    }
}
