//! What programs need to know of the provider (OpenID Connect Discovery 1.0, RFC 8414), and its keys (RFC 7517).

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use kernel::Cx;
use serde_json::{Value, json};

use super::{Answer, json_answer};
use crate::{Federation, scope::STANDARD};

/// What anybody may know, read by any page, and used again for five minutes.
fn public(value: &Value) -> Answer {
    let mut answer = json_answer(StatusCode::OK, value)?;
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    Ok(answer)
}

impl Federation {
    pub(crate) async fn discovery(self: Arc<Self>, _: Request<Bytes>, cx: Cx) -> Answer {
        let origin = self.accounts.realm(&cx).await?.origin.clone();
        let at = |path: &str| format!("{origin}{path}");
        let signed = ["ES256", "EdDSA", "RS256"];
        let confidential = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
        let any = ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"];
        public(&json!({
            "issuer": origin,
            "authorization_endpoint": at("/oauth/authorize"),
            "token_endpoint": at("/oauth/token"),
            "userinfo_endpoint": at("/oauth/userinfo"),
            "jwks_uri": at("/oauth/jwks"),
            "introspection_endpoint": at("/oauth/introspect"),
            "revocation_endpoint": at("/oauth/revoke"),
            "end_session_endpoint": at("/oauth/logout"),
            "scopes_supported": STANDARD.map(|(scope, _)| scope),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": signed,
            "token_endpoint_auth_methods_supported": any,
            "token_endpoint_auth_signing_alg_values_supported": signed,
            "introspection_endpoint_auth_methods_supported": confidential,
            "introspection_endpoint_auth_signing_alg_values_supported": signed,
            "revocation_endpoint_auth_methods_supported": any,
            "revocation_endpoint_auth_signing_alg_values_supported": signed,
            "code_challenge_methods_supported": ["S256"],
            "prompt_values_supported": ["none", "login", "consent"],
            "claims_supported":
                ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "amr", "sid", "name", "email", "email_verified"],
            "claims_parameter_supported": false,
            "request_parameter_supported": false,
            "request_uri_parameter_supported": false,
            "authorization_response_iss_parameter_supported": true,
        }))
    }

    pub(crate) async fn jwks(self: Arc<Self>, _: Request<Bytes>, cx: Cx) -> Answer {
        let published = self.signing.published(&cx).await?;
        public(&json!({ "keys": published }))
    }
}
