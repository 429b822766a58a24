//! Keys for programs of the tenant's own: `fhk_…`, shown once, stored as a hash, with the permissions they were given.

use std::time::Duration;

use accounts::{
    Done, permissions as may,
    user::{Standing, User},
};
use contracts::identity::Principal;
use kernel::{
    Aggregate, ApiKeyId, Caller, Condition, Cx, Granted, Grants, Handle, List, Problem, Resource, ScopeKind, Term,
    Timestamp, UserId, text::DisplayName, use_case,
};
use proofs::secret::{self, parts, refused};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::{Access, granting::may_give};

/// The beginning of every key, by which leaked ones are recognised.
pub const PREFIX: &str = "fhk_";
const MOST_DAYS: u32 = 366;
/// How exactly the last use of a key is known: so often at most is it written down.
const COARSE: Duration = Duration::from_hours(1);

/// A key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApiKey {
    id: ApiKeyId,
    name: DisplayName,
    secret: String,
    permissions: Vec<String>,
    made: Timestamp,
    /// The person who made it: the key ends with what they can do here.
    #[serde(default)]
    by: Option<UserId>,
    ends: Timestamp,
    /// When it was last used, to the hour.
    #[serde(default)]
    used: Option<Timestamp>,
}

impl ApiKey {
    /// What an export of its maker's data says of it.
    pub fn told(&self) -> serde_json::Value {
        serde_json::json!({ "id": self.id, "name": self.name, "permissions": self.permissions, "made": self.made })
    }
}

impl Aggregate for ApiKey {
    type Id = ApiKeyId;
    const KIND: &'static str = "identity.api_key";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> ApiKeyId {
        self.id
    }

    fn terms(&self) -> Vec<Term> {
        let maker = self.by.map(|by| Term::new("maker", by.to_string()));
        maker.into_iter().chain([Term::by_time("all", "", self.made)]).collect()
    }
}

/// Makes a key for a program. It is shown in this answer only.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateApiKey {
    /// What it is for.
    name: DisplayName,
    /// The names of the permissions it gets, each of which the caller holds without a condition.
    #[schemars(length(min = 1, max = 50))]
    permissions: Vec<String>,
    /// For how many days it is good.
    #[schemars(range(min = 1, max = 366))]
    days: u32,
}

/// A new key.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct NewApiKey {
    /// Its id.
    id: ApiKeyId,
    /// The key itself: keep it now, it cannot be shown again.
    key: String,
}

use_case!(CreateApiKey => NewApiKey, "identity.api_keys.create", Tenant, may::KEYS, Reveal);

impl Handle<CreateApiKey> for Access {
    async fn handle(&self, it: CreateApiKey, cx: Granted<CreateApiKey>) -> Result<NewApiKey, Problem> {
        self.accounts.freshly_proven(&cx).await?;
        if !(1..=MOST_DAYS).contains(&it.days) {
            return Err(Problem::invalid_field("/days", "expected 1 to 366"));
        }
        if !(1..=50).contains(&it.permissions.len()) {
            return Err(Problem::invalid_field("/permissions", "expected 1 to 50 names"));
        }
        if let Some(place) = it.permissions.iter().position(|name| !may_give(&cx, name)) {
            return Err(Problem::invalid_field(
                format!("/permissions/{place}"),
                "not a permission that you can hand on",
            ));
        }
        let (id, secret): (ApiKeyId, _) = (cx.new_id(), secret::fresh(&cx));
        let made = cx.real_now();
        let ends = made + Duration::from_hours(u64::from(it.days) * 24);
        let stored = secret::hash(&secret);
        let key = ApiKey {
            id,
            name: it.name,
            secret: stored,
            permissions: it.permissions,
            made,
            by: cx.caller().user(),
            ends,
            used: None,
        };
        self.store.at(&cx).create(key, ()).await?;
        Ok(NewApiKey { id, key: format!("{PREFIX}{id}.{secret}") })
    }
}

/// The keys of the tenant's programs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListApiKeys {
    /// Go on after this cursor.
    after: Option<String>,
}

/// A key as it is listed: never the key itself.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ApiKeyView {
    id: ApiKeyId,
    name: DisplayName,
    permissions: Vec<String>,
    #[schemars(with = "String")]
    made: Timestamp,
    #[schemars(with = "String")]
    ends: Timestamp,
    /// When it was last used, to the hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    used: Option<Timestamp>,
}

use_case!(ListApiKeys => List<ApiKeyView>, "identity.api_keys.list", Tenant, may::KEYS, Tell);

impl Handle<ListApiKeys> for Access {
    async fn handle(&self, it: ListApiKeys, cx: Granted<ListApiKeys>) -> Result<List<ApiKeyView>, Problem> {
        let page = Page { after: it.after, newest_first: true, ..Page::default() };
        let listed = self.store.at(&cx).list::<ApiKey>("all", "", &page).await?;
        let view = |it: &ApiKey| ApiKeyView {
            id: it.id,
            name: it.name.clone(),
            permissions: it.permissions.clone(),
            made: it.made,
            ends: it.ends,
            used: it.used,
        };
        Ok(List { items: listed.items.iter().map(|it| view(it)).collect(), next: listed.next })
    }
}

/// Ends a key: within a second it is good nowhere any more.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeApiKey {
    /// Which.
    key: ApiKeyId,
}

use_case!(
    RevokeApiKey => Done, "identity.api_keys.revoke", Tenant, may::KEYS,
    |it| Resource::one("api_key", it.key)
);

impl Handle<RevokeApiKey> for Access {
    async fn handle(&self, it: RevokeApiKey, cx: Granted<RevokeApiKey>) -> Result<Done, Problem> {
        let key = self.store.at(&cx).load::<ApiKey>(&it.key).await?;
        self.store.at(&cx).delete(key, ()).await?;
        Ok(Done {})
    }
}

impl Access {
    /// What a key may do: what it was given, of what its tenant's people can be given at all.
    pub async fn by_api_key(&self, credential: &str, cx: &Cx) -> Result<Principal, Problem> {
        let (id, secret) = parts::<ApiKeyId>(credential, PREFIX).ok_or_else(refused)?;
        let (key, now) = (self.store.at(cx).try_load::<ApiKey>(&id).await?, cx.real_now());
        let key = key.filter(|key| key.ends > now && secret::matches(secret, &key.secret)).ok_or_else(refused)?;
        let grants = self.of_key(&key, cx).await?;
        let principal = Principal { caller: Caller::ApiKey { id }, grants, expires: key.ends };
        if key.used.is_none_or(|used| used + COARSE <= now) {
            self.used(key, cx).await;
        }
        Ok(principal)
    }

    /// What a key was given, of what its maker still holds for everything.
    async fn of_key(&self, key: &ApiKey, cx: &Cx) -> Result<Grants, Problem> {
        let maker = self.store.at(cx).try_load::<User>(&key.by.ok_or_else(refused)?).await?;
        let maker = maker.filter(|maker| maker.standing == Standing::Active).ok_or_else(refused)?;
        let held = self.grants_of(&maker, cx).await?;
        let given = |name: &str| key.permissions.iter().any(|given| given == name);
        let kept = held.iter().filter(|(name, under)| *under == Condition::Always && given(name));
        Ok(kept.map(|(name, under)| (name.to_owned(), under)).collect())
    }

    /// Writes down that a key was used; that it could not be written down does not stop its use.
    async fn used(&self, mut key: store::Loaded<ApiKey>, cx: &Cx) {
        key.used = Some(cx.real_now());
        if let Err(problem) = self.store.at(cx).save(key, ()).await
            && problem.code() != "changed_meanwhile"
        {
            tracing::warn!(code = problem.code(), "the last use of a key was not written down");
        }
    }
}
