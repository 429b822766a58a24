//! The token endpoint: tokens for a code, for a refresh token, and for a program itself.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use kernel::{ClientId, Cx, Problem};
use proofs::secret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use signing::ACCESS;
use signing::jose::Algorithm;

use super::{Answer, Failure, Sent, answered, get, program::Program, refused, userinfo::told};
use crate::{
    Federation,
    authenticate::Live,
    client::Proof,
    grant::{Grant, Redemption, Refused, Turn},
    scope::{OPENID, Scopes},
    token::{Kind, Mint, Token},
};

/// What an access token of a program itself says (RFC 9068, section 2.2). Nothing of it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) sub: ClientId,
    pub(crate) aud: String,
    pub(crate) client_id: ClientId,
    pub(crate) iat: i64,
    pub(crate) exp: i64,
    pub(crate) jti: String,
    pub(crate) scope: String,
    /// By what the program showed that it is itself: once that is revoked, so is the token.
    pub(crate) via: Proof,
}

/// The type in the header of such a token.
pub(crate) const ACCESS_TYPE: &str = "at+jwt";

fn not_good() -> Failure {
    refused("invalid_grant", "not valid, used before, or too old")
}

fn seconds() -> i64 {
    i64::try_from(ACCESS.as_secs()).unwrap_or(900)
}

impl Federation {
    pub(crate) async fn token(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        answered(self.give_tokens(&request, &cx).await)
    }

    async fn give_tokens(&self, request: &Request<Bytes>, cx: &Cx) -> Result<Value, Failure> {
        let sent = forms::http_forms::form(request)?;
        let program = self.program(request, &sent, cx).await?;
        let (kind, text) = match get(&sent, "grant_type") {
            "client_credentials" => return self.for_itself(&program, get(&sent, "scope"), cx).await,
            "authorization_code" => (Kind::Code, get(&sent, "code")),
            "refresh_token" => (Kind::Refresh, get(&sent, "refresh_token")),
            _ => {
                let expected = "expected authorization_code, refresh_token or client_credentials";
                return Err(refused("unsupported_grant_type", expected));
            }
        };
        let mint = self.mint(cx).await?;
        let token = mint.read(text).filter(|token| token.kind == kind).ok_or_else(not_good)?;
        self.exchange(token, &program, &sent, &mint, cx).await
    }

    async fn exchange(
        &self,
        token: Token,
        program: &Program,
        sent: &Sent,
        mint: &Mint,
        cx: &Cx,
    ) -> Result<Value, Failure> {
        let (store, now, client) = (self.store.at(cx), cx.real_now(), program.client.id);
        // Of two that come at once the second finds what the first did.
        for _ in 0..3 {
            let mut grant = store.try_load::<Grant>(&token.grant).await?.ok_or_else(not_good)?;
            let live = self.live(&grant, cx).await?.ok_or_else(not_good)?;
            if token.kind == Kind::Refresh && !live.scopes.covers(&Scopes::parse(get(sent, "scope"))) {
                return Err(refused("invalid_scope", "more than the person granted"));
            }
            let turned = match token.kind {
                Kind::Code => {
                    let (redirect_uri, verifier) = (get(sent, "redirect_uri"), get(sent, "code_verifier"));
                    grant.redeem(&Redemption { client, redirect_uri, verifier }, now).map(|()| Turn::New)
                }
                Kind::Refresh => grant.rotate(token.generation, client, now),
                Kind::Access => Err(Refused::Unknown),
            };
            let stored = match turned {
                Err(Refused::Unknown) => return Err(not_good()),
                Ok(Turn::Same) => return self.tokens(&grant, &live, mint, cx).await,
                Ok(Turn::New) => store.save(grant, ()).await.map(Some),
                Err(Refused::Reused) => {
                    tracing::warn!(grant = %token.grant, "a code or refresh token was used twice: its grant ends");
                    store.delete(grant, ()).await.map(|()| None)
                }
            };
            match stored {
                Ok(Some(grant)) => return self.tokens(&grant, &live, mint, cx).await,
                Ok(None) => return Err(not_good()),
                Err(problem) if problem.code() == "changed_meanwhile" => {}
                Err(other) => return Err(other.into()),
            }
        }
        Err(not_good())
    }

    /// The present generation of tokens of a grant.
    async fn tokens(&self, grant: &Grant, live: &Live, mint: &Mint, cx: &Cx) -> Result<Value, Failure> {
        let (access, now) = (grant.token(Kind::Access), cx.real_now());
        let ends = grant.honours(access, now).ok_or_else(not_good)?;
        let mut answer = json!({
            "access_token": mint.text(access), "token_type": "Bearer", "expires_in": ends.as_second() - now.as_second(),
            "refresh_token": mint.text(grant.token(Kind::Refresh)), "scope": live.scopes.to_string(),
        });
        if let (true, Some(fields)) = (live.scopes.has(OPENID), answer.as_object_mut()) {
            fields.insert("id_token".to_owned(), self.id_token(grant, live, cx).await?.into());
        }
        Ok(answer)
    }

    /// OpenID Connect Core 1.0, sections 2 and 12.2.
    async fn id_token(&self, grant: &Grant, live: &Live, cx: &Cx) -> Result<String, Problem> {
        let issuer = self.signing.issuer(live.client.algorithm, cx).await?;
        let now = cx.real_now().as_second();
        let mut claims = told(&live.user, |permission| live.scopes.permit(permission.name()));
        let about = json!({
            "iss": issuer.origin, "sub": grant.user, "aud": grant.asked.client, "iat": now, "exp": now + seconds(),
            "auth_time": grant.signed_in.as_second(), "amr": grant.methods, "sid": grant.session,
        });
        claims.extend(about.as_object().cloned().unwrap_or_default());
        if let Some(nonce) = grant.asked.nonce.as_ref().filter(|_| grant.is_first()) {
            claims.insert("nonce".to_owned(), nonce.clone().into());
        }
        issuer.sign("JWT", &claims)
    }

    /// RFC 6749, section 4.4.
    async fn for_itself(&self, program: &Program, asked: &str, cx: &Cx) -> Result<Value, Failure> {
        let client = &program.client;
        if program.proof == Proof::None || client.permissions.is_empty() {
            return Err(refused("unauthorized_client", "this program has no permissions of its own"));
        }
        let own: Scopes = client.permissions.iter().cloned().collect();
        let scopes = if asked.is_empty() { own } else { Scopes::parse(asked).within(&own) };
        if scopes.is_empty() {
            return Err(refused("invalid_scope", "none of these is a permission of this program"));
        }
        let issuer = self.signing.issuer(Algorithm::Es256, cx).await?;
        let (now, scope) = (cx.real_now().as_second(), scopes.to_string());
        let claims = Claims {
            iss: issuer.origin.clone(),
            sub: client.id,
            aud: issuer.origin.clone(),
            client_id: client.id,
            iat: now,
            exp: now + seconds(),
            jti: secret::fresh(cx),
            scope: scope.clone(),
            via: program.proof.clone(),
        };
        let token = issuer.sign(ACCESS_TYPE, &claims)?;
        Ok(json!({ "access_token": token, "token_type": "Bearer", "expires_in": seconds(), "scope": scope }))
    }
}
