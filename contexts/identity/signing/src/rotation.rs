//! Making signing keys, using them, and rotating them.

use std::sync::Arc;

use accounts::permissions as may;
use cache::Known;
use kernel::{
    Cx, Granted, Handle, List, Problem, ProblemKind, Resource, TenantId, Timestamp, context::Fired, use_case,
};
use proofs::secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::Loaded;

use crate::{
    Signing,
    jose::{Algorithm, Signer, Unverified, generate},
    signing_keys::{Before, SigningKey, SigningKeys, State},
};

/// What a tenant signs with at this moment.
pub struct Issuer {
    /// The origin that its tokens name.
    pub origin: String,
    signer: Signer,
}

impl Issuer {
    /// A token of a type that says these claims.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, Problem> {
        self.signer.sign(typ, claims)
    }
}

impl Signing {
    /// So many new keys of an algorithm, made off the runtime's threads; RSA keys one at a time in the whole process.
    async fn fresh(&self, algorithm: Algorithm, count: usize, now: Timestamp) -> Result<Vec<SigningKey>, Problem> {
        let busy = |_| {
            Problem::new(ProblemKind::Unavailable, "identity.busy", "keys are being made at this moment")
                .hint("try again in a few seconds")
                .retry_after(5)
        };
        let turn = match algorithm {
            Algorithm::Rs256 => Some(Arc::clone(&self.making).try_acquire_owned().map_err(busy)?),
            Algorithm::Es256 | Algorithm::EdDsa => None,
        };
        let make = move || {
            let _turn = turn;
            let one = |_| SigningKey::new(algorithm, &generate(algorithm)?, now);
            (0..count).map(one).collect::<Result<Vec<_>, _>>()
        };
        self.hashing.aside(make).await?
    }

    /// The keys of the tenant, which are made when they are first looked for.
    pub(crate) async fn signing_keys(&self, cx: &Cx) -> Result<Loaded<SigningKeys>, Problem> {
        let store = self.store.at(cx);
        if let Some(keys) = store.try_load::<SigningKeys>(&SigningKeys::ID.to_owned()).await? {
            return Ok(keys);
        }
        let now = cx.real_now();
        let mut keys = SigningKeys::begin(now);
        let mut made = self.fresh(Algorithm::Es256, 2, now).await?.into_iter();
        if let (Some(active), Some(next)) = (made.next(), made.next()) {
            keys.add(active, next, now);
        }
        match store.create(keys, ()).await {
            // Whether it is this one that was stored or another's: what is there counts.
            Ok(_) => store.load(&SigningKeys::ID.to_owned()).await,
            Err(problem) if problem.code() == "changed_meanwhile" => store.load(&SigningKeys::ID.to_owned()).await,
            Err(other) => Err(other),
        }
    }

    /// Sees to it that the tenant has keys.
    pub async fn prepare(&self, cx: &Cx) -> Result<(), Problem> {
        self.signing_keys(cx).await.map(drop)
    }

    /// Sees to it that an algorithm can be signed with.
    pub async fn ready_to_sign(&self, algorithm: Algorithm, cx: &Cx) -> Result<(), Problem> {
        if self.signing_keys(cx).await?.active(algorithm).is_some() {
            return Ok(());
        }
        let now = cx.real_now();
        let made = self.fresh(algorithm, 2, now).await?;
        let [active, next] = made.try_into().map_err(|_| Problem::internal("two keys were asked for"))?;
        let add = |keys: &mut SigningKeys| {
            keys.add(active.clone(), next.clone(), now);
            Ok(())
        };
        self.store.at(cx).change(&SigningKeys::ID.to_owned(), add).await.map(drop)
    }

    /// What signs at this moment, parsed; as new as a credential is.
    pub async fn issuer(&self, algorithm: Algorithm, cx: &Cx) -> Result<Arc<Known<Issuer>>, Problem> {
        let read = async {
            let keys = self.signing_keys(cx).await?;
            let key = keys.active(algorithm).ok_or_else(|| Problem::internal("no key of that algorithm"))?;
            Ok(Issuer { origin: self.accounts.realm(cx).await?.origin.clone(), signer: key.signer()? })
        };
        self.issuers.get_or((cx.tenant()?, algorithm), read).await
    }

    /// The claims of a token of a type that this tenant signed.
    pub async fn own_claims(&self, text: &str, typ: &'static str, cx: &Cx) -> Result<Option<Arc<Value>>, Problem> {
        let read = async { Ok::<_, Problem>(self.verified_claims(text, typ, cx).await?.map(Arc::new)) };
        Ok(self.signed.get_or((cx.tenant()?, typ, secret::hash(text)), read).await?.as_ref().as_ref().map(Arc::clone))
    }

    async fn verified_claims(&self, text: &str, typ: &str, cx: &Cx) -> Result<Option<Value>, Problem> {
        let Some(token) = Unverified::read(text) else { return Ok(None) };
        let (Some(kid), true) = (token.header.kid.clone(), token.header.typ.as_deref() == Some(typ)) else {
            return Ok(None);
        };
        let (keys, now) = (self.signing_keys(cx).await?, cx.real_now());
        let key = keys.published(now).find(|key| key.kid == kid);
        let Some(claims) = key.and_then(|key| token.verified(&key.public)) else { return Ok(None) };
        let origin = self.accounts.realm(cx).await?.origin.clone();
        Ok(Some(claims).filter(|claims| claims.get("iss").and_then(|it| it.as_str()) == Some(&origin)))
    }

    /// The public halves that are published (RFC 7517), each with its name.
    pub async fn published(&self, cx: &Cx) -> Result<Vec<Value>, Problem> {
        let keys = self.signing_keys(cx).await?;
        let mut published = Vec::new();
        for key in keys.published(cx.real_now()) {
            let mut jwk = serde_json::to_value(&key.public).map_err(Problem::internal)?;
            let about = json!({ "kid": key.kid, "use": "sig", "alg": key.algorithm });
            if let (Some(jwk), Some(about)) = (jwk.as_object_mut(), about.as_object()) {
                jwk.extend(about.clone());
            }
            published.push(jwk);
        }
        Ok(published)
    }

    async fn rotate(&self, before: Before, cx: &Cx) -> Result<Loaded<SigningKeys>, Problem> {
        let now = cx.real_now();
        let (algorithms, count) =
            (self.signing_keys(cx).await?.algorithms(), if before == Before::Trusted { 1 } else { 2 });
        let mut fresh = Vec::new();
        for algorithm in algorithms {
            fresh.extend(self.fresh(algorithm, count, now).await?);
        }
        let rotate = |keys: &mut SigningKeys| keys.rotate(fresh.clone(), before, now);
        self.store.at(cx).change(&SigningKeys::ID.to_owned(), rotate).await
    }

    async fn rotate_asked(&self, distrust: bool, cx: &Cx) -> Result<List<SigningKeyView>, Problem> {
        self.signing_keys(cx).await?.check_pause(cx.real_now())?;
        let before = if distrust { Before::Distrusted } else { Before::Trusted };
        Ok(views(&*self.rotate(before, cx).await?, cx.real_now()))
    }

    /// The period of the present keys is over.
    pub(crate) async fn rotation_due(&self, _: Fired, cx: Cx) -> Result<(), Problem> {
        if self.signing_keys(&cx).await?.is_due(cx.real_now()) {
            self.rotate(Before::Trusted, &cx).await?;
        }
        Ok(())
    }
}

/// A key that signs for the tenant. The private half is never shown.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SigningKeyView {
    /// Its name: the thumbprint (RFC 7638).
    kid: String,
    /// How it signs.
    algorithm: Algorithm,
    /// `next`, `active`, `retired`.
    state: String,
    /// When it was made.
    #[schemars(with = "String")]
    made: Timestamp,
    /// Since when it signs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    since: Option<Timestamp>,
    /// Until when it is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    until: Option<Timestamp>,
}

fn views(keys: &SigningKeys, now: Timestamp) -> List<SigningKeyView> {
    let view = |key: &SigningKey| {
        let (state, since, until) = match key.state {
            State::Next => ("next", None, None),
            State::Active { since } => ("active", Some(since), None),
            State::Retired { until } => ("retired", None, Some(until)),
        };
        let (kid, state) = (key.kid.clone(), state.to_owned());
        SigningKeyView { kid, algorithm: key.algorithm, state, made: key.made, since, until }
    };
    List { items: keys.published(now).map(view).collect(), next: None }
}

/// The keys that sign for the tenant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListSigningKeys {}

use_case!(ListSigningKeys => List<SigningKeyView>, "identity.keys.list", Tenant, may::SIGNING_UPDATE, Tell);

impl Handle<ListSigningKeys> for Signing {
    async fn handle(&self, _: ListSigningKeys, cx: Granted<ListSigningKeys>) -> Result<List<SigningKeyView>, Problem> {
        Ok(views(&*self.signing_keys(&cx).await?, cx.real_now()))
    }
}

/// Lets the next keys sign. They are rotated every 90 days without being asked. Takes a proof of the last
/// 10 minutes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateSigningKeys {
    /// Somebody else may have the keys of before: what they signed is void at once. Else it is good until it ends.
    #[serde(default)]
    distrust: bool,
}

use_case!(RotateSigningKeys => List<SigningKeyView>, "identity.keys.rotate", Tenant, may::SIGNING_UPDATE);

impl Handle<RotateSigningKeys> for Signing {
    async fn handle(
        &self,
        it: RotateSigningKeys,
        cx: Granted<RotateSigningKeys>,
    ) -> Result<List<SigningKeyView>, Problem> {
        self.accounts.freshly_proven(&cx).await?;
        self.rotate_asked(it.distrust, &cx).await
    }
}

/// The same for a tenant of the installation, by whoever runs it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateTenantKeys {
    /// Whose keys.
    tenant: TenantId,
    /// Somebody else may have the keys of before: what they signed is void at once. Else it is good until it ends.
    #[serde(default)]
    distrust: bool,
}

use_case!(
    RotateTenantKeys => List<SigningKeyView>, "identity.keys.rotate_for", Platform, may::SIGNING_UPDATE,
    |it| Resource::from(it.tenant)
);

impl Handle<RotateTenantKeys> for Signing {
    async fn handle(
        &self,
        it: RotateTenantKeys,
        cx: Granted<RotateTenantKeys>,
    ) -> Result<List<SigningKeyView>, Problem> {
        let cx = cx.within(it.tenant)?;
        // A tenant that is not there has no realm, and gets no keys.
        self.accounts.realm(&cx).await?;
        self.rotate_asked(it.distrust, &cx).await
    }
}
