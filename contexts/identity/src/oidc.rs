//! The OpenID provider of a tenant: discovery, keys, authorization code with PKCE, tokens, userinfo, revocation.
//! OpenID Connect Core 1.0, RFC 6749, 7009, 7636, 8414, 9207, 9700.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use kernel::{Caller, ClientId, Cx, Problem, context::Body};
use serde_json::{Value, json};

use crate::{
    Identity,
    client::{ACCESS, Asked, Client, Grant, GrantId, Refused, Tokens, parts},
    http_forms::{form, query, redirect},
    session::Session,
    user::User,
};

type Answer = Result<Response<Body>, Problem>;

fn json_answer(status: StatusCode, value: &Value) -> Answer {
    let answer = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    answer.header(header::CACHE_CONTROL, "no-store").body(value.to_string().into()).map_err(Problem::internal)
}

/// An error in the form of RFC 6749, section 5.2.
fn oauth_error(error: &str, description: &str) -> Answer {
    let status = if error == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
    json_answer(status, &json!({ "error": error, "error_description": description }))
}

fn with_query(uri: &str, pairs: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let joint = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{joint}{query}")
}

/// What an authorization request asks for; an error as RFC 6749, section 4.1.2.1, names it.
fn asked(client: &Client, redirect_uri: &str, sent: &HashMap<String, String>) -> Result<Asked, &'static str> {
    let get = |name: &str| sent.get(name).map(String::as_str).unwrap_or_default();
    if get("response_type") != "code" {
        return Err("unsupported_response_type");
    }
    if !get("scope").split(' ').any(|scope| scope == "openid") {
        return Err("invalid_scope");
    }
    let challenge = get("code_challenge");
    if get("code_challenge_method") != "S256" || challenge.len() != 43 {
        return Err("invalid_request");
    }
    let known = ["openid", "profile", "email", "offline_access"];
    let scope: Vec<&str> = get("scope").split(' ').filter(|scope| known.contains(scope)).collect();
    Ok(Asked {
        client: client.id,
        redirect_uri: redirect_uri.to_owned(),
        scope: scope.join(" "),
        nonce: sent.get("nonce").cloned().filter(|nonce| nonce.len() <= 512),
        challenge: challenge.to_owned(),
    })
}

impl Identity {
    pub(crate) async fn discovery(self: Arc<Self>, _: Request<Bytes>, cx: Cx) -> Answer {
        let origin = self.realm(&cx).await?.origin.clone();
        let at = |path: &str| format!("{origin}{path}");
        json_answer(
            StatusCode::OK,
            &json!({
                "issuer": origin,
                "authorization_endpoint": at("/oauth/authorize"),
                "token_endpoint": at("/oauth/token"),
                "userinfo_endpoint": at("/oauth/userinfo"),
                "jwks_uri": at("/oauth/jwks"),
                "revocation_endpoint": at("/oauth/revoke"),
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "response_types_supported": ["code"],
                "response_modes_supported": ["query"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
                "token_endpoint_auth_methods_supported": ["none"],
                "code_challenge_methods_supported": ["S256"],
                "claims_supported": ["sub", "email", "email_verified", "name", "auth_time", "amr"],
                "authorization_response_iss_parameter_supported": true,
            }),
        )
    }

    pub(crate) async fn jwks(self: Arc<Self>, _: Request<Bytes>, cx: Cx) -> Answer {
        json_answer(StatusCode::OK, &json!({ "keys": [self.realm(&cx).await?.jwk()?] }))
    }

    pub(crate) async fn authorize(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = query(&request);
        let get = |name: &str| sent.get(name).map(String::as_str).unwrap_or_default();
        // Whoever is not a known program at a known address is told here, and never sent anywhere.
        let client: ClientId = get("client_id").parse().map_err(|_| Problem::not_found("client"))?;
        let client = self.store.at(&cx).load::<Client>(&client).await?;
        let redirect_uri = get("redirect_uri").to_owned();
        if !client.redirect_uris.contains(&redirect_uri) {
            return Err(Problem::invalid_field("redirect_uri", "not one that this program registered"));
        }
        let origin = self.realm(&cx).await?.origin.clone();
        let back = |pairs: &[(&str, &str)]| {
            let state = [("state", get("state")), ("iss", &origin)];
            let state = state.into_iter().filter(|(_, value)| !value.is_empty());
            redirect(&with_query(&redirect_uri, &pairs.iter().copied().chain(state).collect::<Vec<_>>()))
        };
        let asked = match asked(&client, &redirect_uri, &sent) {
            Ok(asked) => asked,
            Err(error) => return back(&[("error", error)]),
        };
        let session = match cx.caller() {
            Caller::User { session: Some(session), .. } => self.store.at(&cx).try_load::<Session>(&session).await?,
            _ => None,
        };
        let Some(session) = session.filter(|_| get("prompt") != "login") else {
            if get("prompt") == "none" {
                return back(&[("error", "login_required")]);
            }
            // Once signed in, the same request again; a wish to sign in anew is fulfilled by then.
            let again: Vec<_> = sent.iter().filter(|(name, _)| *name != "prompt").collect();
            let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(again).finish();
            return redirect(&with_query("/sign-in", &[("return_to", &format!("/oauth/authorize?{query}"))]));
        };
        let (grant, code) = Grant::begin(session.user, &session, asked, &cx);
        self.store.at(&cx).create(grant, ()).await?;
        back(&[("code", &code)])
    }

    pub(crate) async fn token(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = form(&request)?;
        let get = |name: &str| sent.get(name).map(String::as_str).unwrap_or_default();
        let Ok(client) = get("client_id").parse::<ClientId>() else {
            return oauth_error("invalid_client", "client_id names no registered program");
        };
        let (prefix, secret) = match get("grant_type") {
            "authorization_code" => ("", get("code")),
            "refresh_token" => ("fhr_", get("refresh_token")),
            _ => return oauth_error("unsupported_grant_type", "expected authorization_code or refresh_token"),
        };
        let refused = || oauth_error("invalid_grant", "not valid, used before, or too old");
        let Some((id, secret)) = parts::<GrantId>(secret, prefix) else { return refused() };
        let store = self.store.at(&cx);
        // Twice: of two that come at once the second finds what the first did.
        for _ in 0..2 {
            let Some(mut grant) = store.try_load::<Grant>(&id).await? else { return refused() };
            let given = if prefix.is_empty() {
                grant.redeem(secret, (&client, get("redirect_uri")), get("code_verifier"), &cx)
            } else {
                grant.rotate(secret, &client, &cx)
            };
            match given {
                Err(Refused::Unknown) => return refused(),
                Err(Refused::Reused) => {
                    tracing::warn!(%id, "a code or refresh token was used twice: its grant ends");
                    store.delete(grant, ()).await?;
                    return refused();
                }
                Ok(tokens) => match store.save(grant, ()).await {
                    Ok(grant) => return self.tokens(&grant, tokens, &cx).await,
                    Err(problem) if problem.code() == "changed_meanwhile" => {}
                    Err(other) => return Err(other),
                },
            }
        }
        refused()
    }

    async fn tokens(&self, grant: &Grant, tokens: Tokens, cx: &Cx) -> Answer {
        let user = self.store.at(cx).try_load::<User>(&grant.user).await?;
        let Some(user) = user.filter(|user| user.honours(grant.epoch)) else {
            return oauth_error("invalid_grant", "the person cannot sign in any more");
        };
        let realm = self.realm(cx).await?;
        let (now, seconds) = (cx.now().as_second(), ACCESS.as_secs());
        let mut claims = json!({
            "iss": realm.origin, "sub": grant.user, "aud": grant.asked.client, "iat": now,
            "exp": now + i64::try_from(seconds).unwrap_or(900), "auth_time": grant.signed_in.as_second(),
            "amr": grant.methods, "sid": grant.session,
        });
        if let (Some(nonce), Some(fields)) = (&grant.asked.nonce, claims.as_object_mut()) {
            fields.insert("nonce".to_owned(), nonce.clone().into());
        }
        if let (Some(fields), Value::Object(told)) = (claims.as_object_mut(), told(&user, &grant.asked.scope)) {
            fields.extend(told);
        }
        json_answer(
            StatusCode::OK,
            &json!({ "access_token": tokens.access, "token_type": "Bearer", "expires_in": seconds,
                "refresh_token": tokens.refresh, "id_token": realm.sign(&claims)?, "scope": grant.asked.scope }),
        )
    }

    pub(crate) async fn userinfo(self: Arc<Self>, _: Request<Bytes>, cx: Cx) -> Answer {
        let user = self.store.at(&cx).load::<User>(&cx.user()?).await?;
        let mut told = told(&user, "profile email");
        if let Some(fields) = told.as_object_mut() {
            fields.insert("sub".to_owned(), user.id.to_string().into());
        }
        json_answer(StatusCode::OK, &told)
    }

    /// Ends the grant of a token (RFC 7009): an unknown one is no error.
    pub(crate) async fn revoke(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = form(&request)?;
        let token = sent.get("token").map(String::as_str).unwrap_or_default();
        let known = parts::<GrantId>(token, "fhr_").or_else(|| parts(token, "fha_"));
        if let Some((id, secret)) = known
            && let Some(grant) = self.store.at(&cx).try_load::<Grant>(&id).await?
            && grant.knows(secret, cx.now())
        {
            self.store.at(&cx).delete(grant, ()).await?;
        }
        json_answer(StatusCode::OK, &json!({}))
    }
}

fn told(user: &User, scope: &str) -> Value {
    let has = |wanted: &str| scope.split(' ').any(|scope| scope == wanted);
    let mut told = serde_json::Map::new();
    if has("email") {
        told.insert("email".to_owned(), user.email.as_str().into());
        told.insert("email_verified".to_owned(), true.into());
    }
    if has("profile") {
        told.insert("name".to_owned(), user.name.as_str().into());
    }
    Value::Object(told)
}
