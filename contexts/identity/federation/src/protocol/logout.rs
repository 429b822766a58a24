//! The end of a session at a program's wish (OpenID Connect RP-Initiated Logout 1.0).

use std::sync::Arc;

use accounts::session::Session;
use bytes::Bytes;
use forms::http_forms::redirect;
use forms::{signed_out_cookie, with_cookie};
use http::{Method, Request};
use kernel::{ClientId, Cx, Problem};
use serde_json::Value;

use super::{Answer, Ask, Sent, get, sent, with_query};
use crate::Federation;

/// Whether the program shows a token of exactly this session: then it speaks for it.
fn speaks_for(hint: Option<&Value>, session: &Session) -> bool {
    let says = |claim: &str, value: &str| hint.and_then(|hint| hint.get(claim)?.as_str()) == Some(value);
    says("sid", &session.id.to_string()) && says("sub", &session.user.to_string())
}

impl Federation {
    pub(crate) async fn logout(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = sent(&request)?;
        // A token that has ended is still a hint (section 2): what it says of the session does not change.
        let hint = self.signing.own_claims(get(&sent, "id_token_hint"), "JWT", &cx).await?;
        let on = self.after_logout(&sent, hint.as_deref(), &cx).await?;
        if let Some(session) = self.own_session(&cx).await? {
            let confirmed = request.method() == Method::POST && get(&sent, "answer") == "sign-out";
            if confirmed {
                self.check_ticket(&session, &sent, &cx).await?;
            } else if !speaks_for(hint.as_deref(), &session) {
                return self.ask_to_sign_out(&sent, &session, &cx).await;
            }
            self.accounts.end_session(session, &cx).await?;
        }
        let answer = match on {
            Some(on) => redirect(&on)?,
            None => Ask { title: "Signed out", text: "You are signed out here.", ..Ask::default() }.page()?,
        };
        with_cookie(answer, &signed_out_cookie(&self.settings))
    }

    /// Where the person goes on: only where the program registered it.
    async fn after_logout(&self, sent: &Sent, hint: Option<&Value>, cx: &Cx) -> Result<Option<String>, Problem> {
        let to = get(sent, "post_logout_redirect_uri");
        let hinted = hint.and_then(|hint| hint.get("aud")?.as_str());
        let named = Some(get(sent, "client_id")).filter(|named| !named.is_empty());
        if let (Some(hinted), Some(named)) = (hinted, named)
            && hinted != named
        {
            return Err(Problem::invalid_field("/client_id", "not the program that the ID token was given to"));
        }
        if to.is_empty() {
            return Ok(None);
        }
        let refused = || Problem::invalid_field("/post_logout_redirect_uri", "not one that this program registered");
        let client: ClientId = hinted.or(named).and_then(|id| id.parse().ok()).ok_or_else(refused)?;
        let client = self.client(client, cx).await?.filter(|client| client.enabled).ok_or_else(refused)?;
        if !client.post_logout_redirect_uris.iter().any(|known| known == to) {
            return Err(refused());
        }
        let state = get(sent, "state");
        Ok(Some(if state.is_empty() { to.to_owned() } else { with_query(to, &[("state", state)]) }))
    }

    async fn ask_to_sign_out(&self, sent: &Sent, session: &Session, cx: &Cx) -> Answer {
        let ticket = self.ticket(session, sent, cx).await?;
        let fields = sent.iter().filter(|(name, _)| !["answer", "ticket"].contains(&name.as_str()));
        let mut hidden: Vec<_> = fields.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        hidden.push(("ticket", &ticket));
        Ask {
            title: "Sign out?",
            text: "A program asks to sign you out here.",
            action: "/oauth/logout",
            hidden,
            answers: &[("sign-out", "Sign out")],
            ..Ask::default()
        }
        .page()
    }
}
