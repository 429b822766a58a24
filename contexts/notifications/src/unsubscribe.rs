//! Opting out by a link in a mail, without signing in (RFC 8058). The link is signed: it opts one recipient out of one
//! category and does nothing else, however often it is used.

use askama::Template;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use kernel::{
    Cx, Problem, ProblemKind,
    text::{EmailAddress, Key},
};
use look::Answer;
use recipients::{means::Means, settings::Settings};
use subtle::ConstantTimeEq;

use crate::{Notifications, notification::Recipient};

/// The longest token.
const LONGEST: usize = 700;

fn refused() -> Problem {
    Problem::new(ProblemKind::Invalid, "notifications.link_refused", "this link is not whole, or not one of ours")
        .hint("open it again from the mail, or choose in the product what you want to be told")
}

impl Notifications {
    async fn signature(&self, payload: &str, cx: &Cx) -> Result<String, Problem> {
        Ok(self.store.keys().scope(cx.scope()).await?.blind("notifications/unsubscribe", payload).to_lowercase())
    }

    /// The link that opts a recipient out of a category; none where the tenant's address is not known.
    pub(crate) async fn opt_out_link(
        &self,
        to: &Recipient,
        address: &EmailAddress,
        category: &Key,
        settings: &Settings,
        cx: &Cx,
    ) -> Result<Option<String>, Problem> {
        let Some(origin) = self.site.origin(settings) else { return Ok(None) };
        let whom = match to {
            Recipient::User(user) => user.to_string(),
            _ => address.to_string(),
        };
        let payload = data_encoding::BASE64URL_NOPAD.encode(format!("{category} {whom}").as_bytes());
        let signature = self.signature(&payload, cx).await?;
        Ok(Some(format!("{origin}/unsubscribe?token={payload}.{signature}")))
    }

    /// Whom a token opts out, of what.
    async fn opened(&self, token: &str, cx: &Cx) -> Result<(Recipient, Key), Problem> {
        let (payload, sent) = token.split_once('.').filter(|_| token.len() <= LONGEST).ok_or_else(refused)?;
        let signature = self.signature(payload, cx).await?;
        if !bool::from(signature.as_bytes().ct_eq(sent.as_bytes())) {
            return Err(refused());
        }
        let text = data_encoding::BASE64URL_NOPAD.decode(payload.as_bytes()).map_err(|_| refused())?;
        let text = String::from_utf8(text).map_err(|_| refused())?;
        let (category, whom) = text.split_once(' ').ok_or_else(refused)?;
        let whom = match whom.parse() {
            Ok(user) => Recipient::User(user),
            Err(_) => Recipient::Address(whom.parse().map_err(|_| refused())?),
        };
        Ok((whom, category.parse().map_err(|_| refused())?))
    }

    /// The page of the link, which asks (programs open links too, to look at them), and what its button does, which is
    /// also what mail programs send.
    pub(crate) async fn unsubscribe(&self, request: Request<Bytes>, cx: Cx) -> Answer {
        let to_person = look::wants_pages(&request);
        look::shown(self.opts_out(request, &cx).await, to_person, &self.calls, &cx).await
    }

    async fn opts_out(&self, request: Request<Bytes>, cx: &Cx) -> Answer {
        let query = request.uri().query().unwrap_or_default();
        let token = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "token");
        let token = token.map(|(_, token)| token.into_owned()).unwrap_or_default();
        let (whom, category) = self.opened(&token, cx).await?;
        let settings = self.recipients.settings(cx).await?;
        let name = settings.categories().get(&category).map_or_else(|| category.to_string(), |it| it.name.to_string());
        if request.method() != Method::POST {
            return Page { title: "Unsubscribe", category: &name, token: Some(&token) }.show();
        }
        match whom {
            Recipient::User(user) => {
                self.recipients.choose(user, cx, |it| it.choose(&category, Means::Mail, Some(false))).await?;
            }
            Recipient::Address(address) => self.recipients.opt_out(&address, &category, cx).await?,
            Recipient::Channel(_) => return Err(refused()),
        }
        Page { title: "Unsubscribed", category: &name, token: None }.show()
    }
}

#[derive(Template)]
#[template(path = "unsubscribe.html")]
struct Page<'a> {
    title: &'a str,
    category: &'a str,
    /// Of what is still to be confirmed.
    token: Option<&'a str>,
}

impl Page<'_> {
    fn show(&self) -> Answer {
        look::content(StatusCode::OK, self.title, self)
    }
}
