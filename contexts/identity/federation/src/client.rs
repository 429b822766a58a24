//! Programs: those that people sign in to, and those that act for themselves.

use std::time::Duration;

use contracts::oauth::{ClientDeleted, ClientRegistered, ClientSecretsChanged, ClientUpdated};
use kernel::{Aggregate, ClientId, Problem, ProblemKind, ScopeKind, Term, Timestamp, text::DisplayName};
use proofs::secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use signing::jose::{Algorithm, Jwk};

use crate::scope::Scopes;

/// How a program shows that it is itself (RFC 7591, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Authentication {
    /// It cannot keep a secret: a page in a browser, a program on a person's machine. PKCE stands in.
    #[default]
    None,
    /// By a secret, in the Authorization header.
    ClientSecretBasic,
    /// By a secret, in the form.
    ClientSecretPost,
    /// By a token that it signs with a key of its own (RFC 7523).
    PrivateKeyJwt,
}

impl Authentication {
    pub(crate) const fn by_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }
}

/// Whose program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Party {
    /// The tenant's own: people are not asked whether they trust it.
    First,
    /// Somebody else's.
    Third,
}

impl From<bool> for Party {
    fn from(first: bool) -> Self {
        if first { Self::First } else { Self::Third }
    }
}

/// A secret, as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Secret {
    pub(crate) number: u32,
    hash: String,
    pub(crate) made: Timestamp,
    /// When it ends, once another has taken its place.
    pub(crate) ends: Option<Timestamp>,
}

/// By what a program has shown that it is itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Proof {
    /// By nothing: it is public.
    None,
    /// By the secret of this number.
    Secret(u32),
    /// By the key of this thumbprint.
    Key(String),
}

/// What can be told about a program, and changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Registration {
    pub(crate) name: DisplayName,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) post_logout_redirect_uris: Vec<String>,
    /// What it may ask people for.
    pub(crate) scopes: Scopes,
    /// What it may do for itself.
    pub(crate) permissions: Vec<String>,
    pub(crate) party: Party,
    pub(crate) algorithm: Algorithm,
    /// Its own public keys.
    pub(crate) keys: Vec<Jwk>,
}

/// A registered program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Client {
    pub(crate) id: ClientId,
    #[serde(flatten)]
    pub(crate) registration: Registration,
    pub(crate) authentication: Authentication,
    pub(crate) secrets: Vec<Secret>,
    /// How many secrets there have been: a number is never given twice.
    issued: u32,
    pub(crate) enabled: bool,
    pub(crate) made: Timestamp,
}

impl std::ops::Deref for Client {
    type Target = Registration;
    fn deref(&self) -> &Registration {
        &self.registration
    }
}

/// Secrets that are good at the same time: the present one and the one before it.
const SECRETS: usize = 2;

impl Client {
    pub(crate) fn register(
        id: ClientId,
        registration: Registration,
        authentication: Authentication,
        now: Timestamp,
    ) -> Result<(Self, ClientRegistered), Problem> {
        let permissions = registration.permissions.clone();
        let it = Self { id, registration, authentication, secrets: Vec::new(), issued: 0, enabled: true, made: now };
        it.check()?;
        Ok((it, ClientRegistered { client: id, permissions }))
    }

    fn check(&self) -> Result<(), Problem> {
        let places =
            [("/redirect_uris", &self.redirect_uris), ("/post_logout_redirect_uris", &self.post_logout_redirect_uris)];
        for (pointer, uris) in places {
            if uris.len() > 10 {
                return Err(Problem::invalid_field(pointer, "expected at most 10 addresses"));
            }
            if let Some(place) = uris.iter().position(|uri| !is_redirect_uri(uri)) {
                return Err(Problem::invalid_field(
                    format!("{pointer}/{place}"),
                    "expected https://… without a fragment, or http:// on loopback, of at most 512 characters",
                ));
            }
        }
        if self.authentication == Authentication::None && !self.permissions.is_empty() {
            let why = "only a program that can show that it is itself acts for itself";
            return Err(Problem::invalid_field("/permissions", why));
        }
        if self.redirect_uris.is_empty() && self.permissions.is_empty() {
            let why = "expected an address to call back, or permissions of the program's own";
            return Err(Problem::invalid_field("/redirect_uris", why));
        }
        let signs = self.authentication == Authentication::PrivateKeyJwt;
        if signs == self.keys.is_empty() || self.keys.len() > 5 {
            let why = "expected 1 to 5 public keys for private_key_jwt, and none for all else";
            return Err(Problem::invalid_field("/jwks", why));
        }
        if let Some(place) = self.keys.iter().position(|key| key.algorithm().is_none()) {
            let why = "expected a key on P-256 or Ed25519, or an RSA key of 2,048 to 4,096 bits";
            return Err(Problem::invalid_field(format!("/jwks/{place}"), why));
        }
        Ok(())
    }

    /// Puts another registration in place of the present one, and lets the program in or not.
    pub(crate) fn update(&mut self, registration: Registration, enabled: bool) -> Result<ClientUpdated, Problem> {
        (self.registration, self.enabled) = (registration, enabled);
        self.check()?;
        Ok(ClientUpdated { client: self.id, permissions: self.permissions.clone(), enabled })
    }

    fn secrets_changed(&self) -> ClientSecretsChanged {
        ClientSecretsChanged { client: self.id, secrets: self.secrets.iter().map(|it| it.number).collect() }
    }

    /// A new secret. The one before it is good for a while yet, so that all who use it can change over.
    pub(crate) fn add_secret(
        &mut self,
        secret: &str,
        overlap: Duration,
        now: Timestamp,
    ) -> Result<ClientSecretsChanged, Problem> {
        if !self.authentication.by_secret() {
            return Err(Problem::new(
                ProblemKind::Refused,
                "identity.no_secret",
                "this program does not authenticate by a secret",
            )
            .hint("register it again with token_endpoint_auth_method client_secret_basic"));
        }
        let until = now + overlap;
        for before in &mut self.secrets {
            before.ends = Some(before.ends.map_or(until, |ends| ends.min(until)));
        }
        self.secrets.retain(|before| before.ends.is_none_or(|ends| ends > now));
        self.issued += 1;
        self.secrets.push(Secret { number: self.issued, hash: secret::hash(secret), made: now, ends: None });
        let over = self.secrets.len().saturating_sub(SECRETS);
        self.secrets.drain(..over);
        Ok(self.secrets_changed())
    }

    /// Ends a secret at once.
    pub(crate) fn revoke_secret(&mut self, number: u32) -> Result<ClientSecretsChanged, Problem> {
        let before = self.secrets.len();
        self.secrets.retain(|secret| secret.number != number);
        if self.secrets.len() == before {
            return Err(Problem::not_found("secret"));
        }
        Ok(self.secrets_changed())
    }

    pub(crate) fn delete(&self) -> ClientDeleted {
        ClientDeleted { client: self.id }
    }

    /// The proof that a secret is.
    pub(crate) fn proof_of(&self, sent: &str, now: Timestamp) -> Option<Proof> {
        let good = self.secrets.iter().filter(|secret| secret.ends.is_none_or(|ends| ends > now));
        let mut found = good.filter(|secret| secret::matches(sent, &secret.hash)).map(|it| Proof::Secret(it.number));
        found.next_back()
    }

    /// Whether a proof that was given before would be good now: the program is let in, and still has that secret or key.
    pub(crate) fn accepts(&self, proof: &Proof, now: Timestamp) -> bool {
        self.enabled
            && match proof {
                Proof::None => self.authentication == Authentication::None,
                Proof::Secret(number) => {
                    self.secrets.iter().any(|it| it.number == *number && it.ends.is_none_or(|ends| ends > now))
                }
                Proof::Key(kid) => self.keys.iter().any(|key| key.thumbprint() == *kid),
            }
    }

    /// Whether it may be called back there. On loopback any port is right: a program takes what is free (RFC 8252, 7.3).
    pub(crate) fn is_called_back_at(&self, uri: &str) -> bool {
        self.redirect_uris.iter().any(|known| {
            known == uri || without_loopback_port(known).is_some_and(|known| without_loopback_port(uri) == Some(known))
        })
    }
}

/// Host and path of an http address on a loopback literal, apart from its port.
fn without_loopback_port(uri: &str) -> Option<(&'static str, &str)> {
    ["http://127.0.0.1", "http://[::1]"].into_iter().find_map(|host| {
        let rest = uri.strip_prefix(host)?;
        let (port, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let number = port.strip_prefix(':').unwrap_or(port);
        (port.is_empty() || number.parse::<u16>().is_ok()).then_some((host, path))
    })
}

/// An address that a program may register: https, or http on loopback for programs on a person's own machine.
fn is_redirect_uri(text: &str) -> bool {
    let parsed = text
        .parse::<http::Uri>()
        .ok()
        .filter(|uri| text.len() <= 512 && !text.contains(['#', '@', '\\']) && text.is_ascii() && uri.host().is_some());
    parsed.is_some_and(|uri| {
        let host = uri.host().unwrap_or_default();
        let loopback = host == "localhost" || host.ends_with(".localhost") || host == "127.0.0.1" || host == "[::1]";
        uri.scheme_str() == Some("https") || (uri.scheme_str() == Some("http") && loopback)
    })
}

impl Aggregate for Client {
    type Id = ClientId;
    const KIND: &'static str = "identity.client";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const VERSION: u16 = 2;

    fn id(&self) -> ClientId {
        self.id
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::new("all", "")]
    }

    /// The first release knew public programs only.
    fn upcast(version: u16, mut body: Value) -> Value {
        if let (1, Some(fields)) = (version, body.as_object_mut()) {
            let added = json!({
                "post_logout_redirect_uris": [], "scopes": Scopes::usual(), "permissions": [], "party": Party::Third,
                "algorithm": Algorithm::Es256, "keys": [], "authentication": Authentication::None, "secrets": [],
                "issued": 0, "enabled": true, "made": Timestamp::UNIX_EPOCH,
            });
            fields.extend(added.as_object().cloned().unwrap_or_default());
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Id;

    fn registration(uris: &[&str]) -> Registration {
        Registration {
            name: "App".parse().unwrap(),
            redirect_uris: uris.iter().map(|uri| (*uri).to_owned()).collect(),
            post_logout_redirect_uris: Vec::new(),
            scopes: Scopes::usual(),
            permissions: Vec::new(),
            party: Party::Third,
            algorithm: Algorithm::Es256,
            keys: Vec::new(),
        }
    }

    fn client(uris: &[&str], by: Authentication) -> Result<Client, Problem> {
        let id = Id::from_uuid(uuid::Uuid::max());
        Client::register(id, registration(uris), by, Timestamp::UNIX_EPOCH).map(|(client, _)| client)
    }

    #[test]
    fn nobody_is_sent_where_the_program_did_not_register() {
        for refused in
            ["http://app.example/cb", "https://a.example/#x", "javascript:alert(1)", "https://a@b.example", ""]
        {
            assert!(client(&[refused], Authentication::None).is_err(), "{refused}");
        }
        let it = client(&["https://app.example/cb", "http://127.0.0.1/cb"], Authentication::None).unwrap();
        for right in ["https://app.example/cb", "http://127.0.0.1/cb", "http://127.0.0.1:50001/cb"] {
            assert!(it.is_called_back_at(right), "{right}");
        }
        let wrong =
            ["https://app.example/cb/", "https://app.example:1/cb", "http://127.0.0.1:1/other", "http://[::1]/cb"];
        for wrong in wrong.into_iter().chain(["http://127.0.0.1:x@evil.example/cb", "http://127.0.0.1.evil.example/cb"])
        {
            assert!(!it.is_called_back_at(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_secret_goes_on_for_a_while_and_a_revoked_one_not_at_all() {
        let mut it = client(&["https://app.example/cb"], Authentication::ClientSecretBasic).unwrap();
        let at = |hours: u64| Timestamp::UNIX_EPOCH + Duration::from_hours(hours);
        it.add_secret("one", Duration::ZERO, at(0)).unwrap();
        it.add_secret("two", Duration::from_hours(24), at(1)).unwrap();
        assert_eq!(it.proof_of("one", at(2)), Some(Proof::Secret(1)));
        assert_eq!(it.proof_of("one", at(25)), None);
        assert!(it.accepts(&Proof::Secret(1), at(2)) && !it.accepts(&Proof::Secret(1), at(25)));
        it.add_secret("three", Duration::from_hours(240), at(2)).unwrap();
        assert_eq!(it.proof_of("one", at(2)), None, "two at a time");
        it.revoke_secret(2).unwrap();
        assert!(!it.accepts(&Proof::Secret(2), at(2)) && it.accepts(&Proof::Secret(3), at(999)));
        it.enabled = false;
        assert!(!it.accepts(&Proof::Secret(3), at(3)));
    }

    #[test]
    fn a_number_is_never_given_to_a_second_secret() {
        let mut it = client(&["https://app.example/cb"], Authentication::ClientSecretPost).unwrap();
        it.add_secret("one", Duration::ZERO, Timestamp::UNIX_EPOCH).unwrap();
        it.revoke_secret(1).unwrap();
        it.add_secret("two", Duration::ZERO, Timestamp::UNIX_EPOCH).unwrap();
        assert!(!it.accepts(&Proof::Secret(1), Timestamp::UNIX_EPOCH), "what the first one gave out stays void");
    }

    #[test]
    fn a_public_program_does_nothing_for_itself() {
        let mut it = client(&["https://app.example/cb"], Authentication::None).unwrap();
        assert!(it.add_secret("one", Duration::ZERO, Timestamp::UNIX_EPOCH).is_err());
        let own = Registration { permissions: vec!["users.profile.read".to_owned()], ..registration(&[]) };
        assert!(it.update(own, true).is_err());
    }

    #[test]
    fn a_program_of_the_first_release_is_still_one() {
        let body = json!({ "id": ClientId::from_uuid(uuid::Uuid::max()), "name": "App", "redirect_uris": ["https://a.example/"] });
        let it: Client = serde_json::from_value(Client::upcast(1, body)).unwrap();
        assert!(it.enabled && it.party == Party::Third && it.scopes.has("openid"));
    }
}
