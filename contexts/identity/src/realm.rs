//! What signing in needs to know of its tenant: the origin, which never changes, and the key that signs.

use kernel::{Aggregate, Problem, ScopeKind, TenantId, text::DisplayName};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

fn url(bytes: &[u8]) -> String {
    data_encoding::BASE64URL_NOPAD.encode(bytes)
}

/// The realm of a tenant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Realm {
    pub(crate) tenant: TenantId,
    pub(crate) name: DisplayName,
    /// The issuer: scheme and host, no path.
    pub(crate) origin: String,
    signing: String,
}

impl Realm {
    pub(crate) const ID: &'static str = "realm";

    pub(crate) fn new(tenant: TenantId, name: DisplayName, origin: String) -> Result<Self, Problem> {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let signing = url(made.map_err(|_| Problem::internal("no signing key could be made"))?.as_ref());
        Ok(Self { tenant, name, origin, signing })
    }

    fn key(&self) -> Result<EcdsaKeyPair, Problem> {
        let broken = || Problem::internal("the signing key is broken");
        let bytes = data_encoding::BASE64URL_NOPAD.decode(self.signing.as_bytes()).map_err(|_| broken())?;
        let random = SystemRandom::new();
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &bytes, &random).map_err(|_| broken())
    }

    /// The public key (RFC 7517), named by its thumbprint (RFC 7638).
    pub(crate) fn jwk(&self) -> Result<Value, Problem> {
        let key = self.key()?;
        let point = key.public_key().as_ref().get(1..).unwrap_or_default();
        let (x, y) = point.split_at_checked(32).ok_or_else(|| Problem::internal("the signing key is broken"))?;
        let (x, y) = (url(x), url(y));
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let kid = url(ring::digest::digest(&ring::digest::SHA256, canonical.as_bytes()).as_ref());
        Ok(json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid, "use": "sig", "alg": "ES256" }))
    }

    /// A signed token (RFC 7519, ES256).
    pub(crate) fn sign(&self, claims: &Value) -> Result<String, Problem> {
        let kid = self.jwk()?.get("kid").cloned().unwrap_or_default();
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": kid });
        let signed = format!("{}.{}", url(header.to_string().as_bytes()), url(claims.to_string().as_bytes()));
        let signature = self.key()?.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = signature.map_err(|_| Problem::internal("the key did not sign"))?;
        Ok(format!("{signed}.{}", url(signature.as_ref())))
    }
}

impl Aggregate for Realm {
    type Id = String;
    const KIND: &'static str = "identity.realm";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }
}
