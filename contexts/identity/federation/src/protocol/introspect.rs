//! What a token is good for (RFC 7662), and its end (RFC 7009).

use std::sync::Arc;

use accounts::permissions as may;
use bytes::Bytes;
use forms::http_forms::form;
use http::Request;
use kernel::Cx;
use serde_json::{Value, json};
use signing::jose::Unverified;

use super::{Answer, Failure, answered, get, program::Program, refused};
use crate::{Federation, client::Proof, grant::Grant, token::Kind};

fn inactive() -> Value {
    json!({ "active": false })
}

impl Federation {
    pub(crate) async fn introspect(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        answered(self.tell(&request, &cx).await)
    }

    /// A program is told about its own tokens; about those of others if that is a permission of its own.
    async fn tell(&self, request: &Request<Bytes>, cx: &Cx) -> Result<Value, Failure> {
        let sent = form(request)?;
        let program = self.program(request, &sent, cx).await?;
        if program.proof == Proof::None {
            return Err(refused("unauthorized_client", "a public program is told nothing"));
        }
        let told = match get(&sent, "token") {
            token if Unverified::is_one(token) => self.about_program_token(token, cx).await?,
            token => self.about_grant_token(token, cx).await?,
        };
        let Some(told) = told else { return Ok(inactive()) };
        let own = told.get("client_id").and_then(Value::as_str) == Some(program.client.id.to_string().as_str());
        let any = program.client.permissions.iter().any(|name| name == may::INTROSPECT.name());
        Ok(if own || any { told } else { inactive() })
    }

    async fn about_program_token(&self, token: &str, cx: &Cx) -> Result<Option<Value>, Failure> {
        let Some(claims) = self.program_token(token, cx).await? else { return Ok(None) };
        let client = self.client(claims.client_id, cx).await?;
        if !client.is_some_and(|client| client.accepts(&claims.via, cx.real_now())) {
            return Ok(None);
        }
        Ok(Some(json!({
            "active": true, "token_type": "Bearer", "scope": claims.scope, "client_id": claims.client_id,
            "sub": claims.sub, "iss": claims.iss, "aud": claims.aud, "iat": claims.iat, "exp": claims.exp,
            "jti": claims.jti,
        })))
    }

    async fn about_grant_token(&self, text: &str, cx: &Cx) -> Result<Option<Value>, Failure> {
        let Some(token) = self.mint(cx).await?.read(text) else { return Ok(None) };
        let Some(grant) = self.store.at(cx).try_load::<Grant>(&token.grant).await? else { return Ok(None) };
        let Some(ends) = grant.honours(token, cx.real_now()) else { return Ok(None) };
        let Some(live) = self.live(&grant, cx).await? else { return Ok(None) };
        let origin = self.accounts.realm(cx).await?.origin.clone();
        let mut told = json!({
            "active": true, "scope": live.scopes.to_string(), "client_id": grant.asked.client, "sub": grant.user,
            "iss": origin, "aud": origin, "exp": ends.as_second(), "auth_time": grant.signed_in.as_second(),
        });
        if let (Kind::Access, Some(fields)) = (token.kind, told.as_object_mut()) {
            fields.insert("token_type".to_owned(), "Bearer".into());
        }
        Ok(Some(told))
    }

    pub(crate) async fn revoke(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        answered(self.end(&request, &cx).await)
    }

    async fn end(&self, request: &Request<Bytes>, cx: &Cx) -> Result<Value, Failure> {
        let sent = form(request)?;
        let Program { client, .. } = self.program(request, &sent, cx).await?;
        let text = get(&sent, "token");
        if Unverified::is_one(text) {
            let why = "nothing of this token is stored: it ends by itself, or with the secret that gave it";
            return Err(refused("unsupported_token_type", why));
        }
        // An unknown one is no error: what was wanted is so already.
        let Some(token) = self.mint(cx).await?.read(text) else { return Ok(json!({})) };
        let store = self.store.at(cx);
        for _ in 0..3 {
            let Some(grant) = store.try_load::<Grant>(&token.grant).await? else { return Ok(json!({})) };
            if grant.asked.client != client.id {
                return Err(refused("unauthorized_client", "this token was given to another program"));
            }
            match store.delete(grant, ()).await {
                Err(problem) if problem.code() == "changed_meanwhile" => {}
                other => return Ok(other.map(|()| json!({}))?),
            }
        }
        Err(refused("temporarily_unavailable", "send it again"))
    }
}
