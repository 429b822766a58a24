//! What a person has let a program of somebody else's do.

use std::{fmt, str::FromStr};

use accounts::{Done, permissions as may};
use contracts::oauth::{ConsentGiven, ConsentWithdrawn};
use kernel::{
    Aggregate, ClientId, Cx, Granted, Handle, List, Problem, Resource, ScopeKind, Term, Timestamp, UserId,
    text::DisplayName, use_case,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::{Federation, client::Client, scope::Scopes};

/// Whose consent, to which program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentId {
    /// Who gave it.
    pub user: UserId,
    /// To which program.
    pub client: ClientId,
}

impl fmt::Display for ConsentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.user, self.client)
    }
}

impl FromStr for ConsentId {
    type Err = kernel::id::IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (user, client) = text.split_once('.').unwrap_or((text, ""));
        Ok(Self { user: user.parse()?, client: client.parse()? })
    }
}

/// A person's consent to one program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Consent {
    of: ConsentId,
    /// What the program was called when the person agreed.
    program: DisplayName,
    pub(crate) scopes: Scopes,
    given: Timestamp,
}

impl Consent {
    /// Nothing is given yet.
    pub fn begin(of: ConsentId, client: &Client, now: Timestamp) -> Self {
        Self { of, program: client.name.clone(), scopes: Scopes::default(), given: now }
    }

    /// The person agrees to these too.
    pub fn give(&mut self, client: &Client, scopes: &Scopes, now: Timestamp) -> ConsentGiven {
        self.scopes = self.scopes.with(scopes);
        (self.program, self.given) = (client.name.clone(), now);
        let scopes = self.scopes.iter().map(str::to_owned).collect();
        ConsentGiven { user: self.of.user, client: self.of.client, scopes }
    }

    /// What an export of the person's data says of it.
    pub fn told(&self) -> serde_json::Value {
        serde_json::json!({ "client": self.of.client, "name": self.program, "scopes": self.scopes, "given": self.given })
    }

    pub(crate) fn withdraw(&self) -> ConsentWithdrawn {
        ConsentWithdrawn { user: self.of.user, client: self.of.client }
    }
}

impl Aggregate for Consent {
    type Id = ConsentId;
    const KIND: &'static str = "identity.consent";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> ConsentId {
        self.of.clone()
    }

    fn owner(&self) -> Option<UserId> {
        Some(self.of.user)
    }

    fn subject(&self) -> Option<UserId> {
        Some(self.of.user)
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::new("user", self.of.user.to_string()), Term::new("client", self.of.client.to_string())]
    }
}

/// The programs of others that the caller lets in, and what each may do.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListConsents {
    /// Go on after this cursor.
    after: Option<String>,
}

/// A consent.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ConsentView {
    /// The program.
    client: ClientId,
    /// What it was called when the caller agreed.
    name: DisplayName,
    /// What it may do.
    scopes: Scopes,
    /// When the caller agreed last.
    #[schemars(with = "String")]
    given: Timestamp,
}

use_case!(ListConsents => List<ConsentView>, "identity.consents.list", Tenant, may::OWN, Tell);

impl Handle<ListConsents> for Federation {
    async fn handle(&self, it: ListConsents, cx: Granted<ListConsents>) -> Result<List<ConsentView>, Problem> {
        let page = Page { after: it.after, ..Page::default() };
        let listed = self.store.at(&cx).list::<Consent>("user", &cx.user()?.to_string(), &page).await?;
        let view = |it: store::Loaded<Consent>| {
            let it = it.into_inner();
            ConsentView { client: it.of.client, name: it.program, scopes: it.scopes, given: it.given }
        };
        Ok(List { items: listed.items.into_iter().map(view).collect(), next: listed.next })
    }
}

/// Takes back what the caller let a program do: within a second all that it holds of the caller is void.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WithdrawConsent {
    /// The program.
    client: ClientId,
}

use_case!(WithdrawConsent => Done, "identity.consents.withdraw", Tenant, may::OWN, |it| Resource::one("client", it.client));

impl Handle<WithdrawConsent> for Federation {
    async fn handle(&self, it: WithdrawConsent, cx: Granted<WithdrawConsent>) -> Result<Done, Problem> {
        let of = ConsentId { user: cx.user()?, client: it.client };
        let consent = self.store.at(&cx).load::<Consent>(&of).await?;
        cx.permit(&*consent)?;
        let withdrawn = consent.withdraw();
        self.store.at(&cx).delete(consent, withdrawn).await?;
        Ok(Done {})
    }
}

impl Federation {
    pub(crate) async fn give_consent(
        &self,
        of: ConsentId,
        client: &Client,
        scopes: &Scopes,
        cx: &Cx,
    ) -> Result<(), Problem> {
        let (store, now) = (self.store.at(cx), cx.now());
        if store.try_load::<Consent>(&of).await?.is_none() {
            let mut consent = Consent::begin(of.clone(), client, now);
            let given = consent.give(client, scopes, now);
            match store.create(consent, given).await {
                // The same person agreed in another window at this moment.
                Err(problem) if problem.code() == "changed_meanwhile" => {}
                other => return other.map(drop),
            }
        }
        let give = |it: &mut Consent| Ok(it.give(client, scopes, now));
        store.change(&of, give).await.map(drop)
    }

    /// All consents of a person who goes, or to a program that is gone, end as if each had been taken back.
    pub async fn withdraw_all(&self, index: &str, whose: &str, cx: &Cx) -> Result<(), Problem> {
        let store = self.store.at(cx);
        loop {
            let listed = store.list::<Consent>(index, whose, &Page::default()).await?;
            if listed.items.is_empty() {
                return Ok(());
            }
            for consent in listed.items {
                let withdrawn = consent.withdraw();
                store.delete(consent, withdrawn).await?;
            }
        }
    }
}
