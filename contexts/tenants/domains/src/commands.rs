//! What a tenant does about its domains, and how one is looked at.

use async_trait::async_trait;
use contracts::domains::DomainId;
use kernel::{Claim, Cx, Granted, Handle, List, Problem, ProblemKind, TenantId, Timestamp, context::Fired, use_case};
use register::permissions as may;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Loaded, Page};

use crate::{
    Domains,
    domain::{Challenge, Domain, DomainName, DomainState},
};

/// The most domains of one tenant.
const MOST: usize = 20;

/// Looks whether someone controls a domain.
#[async_trait]
pub trait Control: Send + Sync + 'static {
    /// Whether the proof is seen there; else what is wrong, in words for the tenant that tell nothing of what else
    /// answers at an address.
    async fn shown(&self, challenge: &Challenge) -> Result<(), &'static str>;
}

/// Where a proof has to be seen.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ChallengeView {
    /// Serve `proof` here, as text, from a server of your own: that shows it once …
    url: String,
    /// … and put it into a TXT record of this name, which stays: it is looked at every day, and a domain whose record was
    /// not seen for 14 days leads here no more.
    record: String,
    /// The text.
    proof: String,
}

/// A domain as its tenant sees it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DomainView {
    /// Its id.
    id: DomainId,
    /// The host name.
    name: String,
    /// Whether it was shown to be the tenant's.
    state: DomainState,
    /// How to show that it is.
    challenge: ChallengeView,
    /// When it was last looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    checked: Option<Timestamp>,
    /// What was wrong then.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// When it leads to the tenant no more, if the proof is not seen again until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    lapses: Option<Timestamp>,
}

impl From<&Domain> for DomainView {
    fn from(it: &Domain) -> Self {
        let Challenge { name, token, proof } = &it.challenge;
        let challenge = ChallengeView {
            url: format!("http://{name}/.well-known/freehold-domain/{token}"),
            record: format!("_freehold.{name}"),
            proof: proof.clone(),
        };
        let (checked, problem) = (it.checked, it.problem.clone());
        Self { id: it.id, name: name.clone(), state: it.state, challenge, checked, problem, lapses: it.lapses() }
    }
}

/// Claims a domain for the tenant. It leads to the tenant once the challenge in the answer is seen there, also where it led
/// to another tenant, which does not show its own any more.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddDomain {
    /// The host name.
    name: DomainName,
}

use_case!(AddDomain => DomainView, "tenants.domains.add", Tenant, may::DOMAIN_UPDATE);

impl Handle<AddDomain> for Domains {
    async fn handle(&self, it: AddDomain, cx: Granted<AddDomain>) -> Result<DomainView, Problem> {
        if it.name.within(&self.host) {
            return Err(Problem::invalid_field("/name", "expected a name outside this installation's own"));
        }
        let (tenant, platform) = (cx.tenant()?, self.register.at_platform(&cx));
        if self.domains_of(tenant, &platform).await?.len() >= MOST {
            return Err(Problem::new(ProblemKind::Limited, "tenants.too_many_domains", "a tenant can have 20 domains")
                .hint("remove one that is not needed any more"));
        }
        let secret = |bytes: [u8; 20]| bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        let secrets = [secret(cx.random()), secret(cx.random())];
        let domain = Domain::new(cx.new_id(), tenant, &it.name, secrets, cx.real_now());
        Ok((&*self.store.at(&platform).create(domain, ()).await?).into())
    }
}

/// The tenant's domains.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListDomains {}

use_case!(ListDomains => List<DomainView>, "tenants.domains.list", Tenant, may::DOMAIN_READ, Tell);

impl Handle<ListDomains> for Domains {
    async fn handle(&self, _: ListDomains, cx: Granted<ListDomains>) -> Result<List<DomainView>, Problem> {
        let all = self.domains_of(cx.tenant()?, &self.register.at_platform(&cx)).await?;
        Ok(List { items: all.iter().map(|it| (&**it).into()).collect(), next: None })
    }
}

/// Has a domain looked at now.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyDomain {
    /// Which.
    domain: DomainId,
}

use_case!(VerifyDomain => DomainView, "tenants.domains.verify", Tenant, may::DOMAIN_UPDATE);

impl Handle<VerifyDomain> for Domains {
    async fn handle(&self, it: VerifyDomain, cx: Granted<VerifyDomain>) -> Result<DomainView, Problem> {
        let platform = self.register.at_platform(&cx);
        let domain = self.own_domain(it.domain, &cx, &platform).await?;
        domain.may_check(cx.real_now())?;
        Ok((&*self.look_at(&domain, &platform).await?).into())
    }
}

/// Gives a domain up: it leads to the tenant no more.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveDomain {
    /// Which.
    domain: DomainId,
}

use_case!(RemoveDomain => (), "tenants.domains.remove", Tenant, may::DOMAIN_UPDATE);

impl Handle<RemoveDomain> for Domains {
    async fn handle(&self, it: RemoveDomain, cx: Granted<RemoveDomain>) -> Result<(), Problem> {
        let platform = self.register.at_platform(&cx);
        let domain = self.own_domain(it.domain, &cx, &platform).await?;
        self.store.at(&platform).delete(domain, ()).await
    }
}

impl Domains {
    async fn domains_of(&self, tenant: TenantId, platform: &Cx) -> Result<Vec<Loaded<Domain>>, Problem> {
        let page = Page { limit: MOST, ..Page::default() };
        Ok(self.store.at(platform).list::<Domain>("tenant", &tenant.to_string(), &page).await?.items)
    }

    /// Domains live in the platform's scope: another tenant's is none.
    async fn own_domain(&self, id: DomainId, cx: &Cx, platform: &Cx) -> Result<Loaded<Domain>, Problem> {
        let found = self.store.at(platform).load::<Domain>(&id).await?;
        if found.tenant == cx.tenant()? { Ok(found) } else { Err(Problem::not_found("domain")) }
    }

    /// The tenant that a host name was proven to belong to.
    pub async fn tenant_of_domain(&self, name: &str, platform: &Cx) -> Result<TenantId, Problem> {
        let name: DomainName = name.parse().map_err(|_| Problem::not_found("tenant"))?;
        let found = self.store.at(platform).find::<Domain>(&Claim::new("name", name.as_str())).await?;
        found.map(|domain| domain.tenant).ok_or_else(|| Problem::not_found("tenant"))
    }

    async fn look_at(&self, domain: &Domain, platform: &Cx) -> Result<Loaded<Domain>, Problem> {
        let seen = self.control.shown(&domain.challenge).await;
        let (store, now) = (self.store.at(platform), platform.real_now());
        let look = |seen| move |it: &mut Domain| Ok(it.checked(seen, now));
        match store.change(&domain.id, look(seen)).await {
            Err(problem) if problem.code() == "already_taken" => {}
            changed => return changed,
        }
        // It was proven, and someone else has proven it before. The proof of now decides: whoever has bought the name, or
        // got its records, shows it, and whoever had it before does not any more.
        let name = Claim::new("name", domain.challenge.name.as_str());
        if let Some(holder) = store.find::<Domain>(&name).await?.filter(|holder| holder.id != domain.id) {
            if self.control.shown(&holder.challenge).await.is_ok() {
                let both = "another tenant has this domain, and shows it too: have their proof removed first";
                return store.change(&domain.id, look(Err(both))).await;
            }
            store.change(&holder.id, |it: &mut Domain| Ok(it.give_way())).await?;
        }
        store.change(&domain.id, look(seen)).await
    }

    pub(crate) async fn domain_due(&self, fired: Fired, cx: Cx) -> Result<(), Problem> {
        let id: DomainId = fired.id.parse().map_err(Problem::internal)?;
        match self.store.at(&cx).try_load::<Domain>(&id).await? {
            Some(domain) if domain.is_due(cx.real_now()) => self.look_at(&domain, &cx).await.map(drop),
            Some(_) | None => Ok(()),
        }
    }

    /// Removes all that a tenant has.
    pub async fn forget(&self, tenant: TenantId, cx: &Cx) -> Result<(), Problem> {
        let store = self.store.at(cx);
        loop {
            let listed = store.list::<Domain>("tenant", &tenant.to_string(), &Page::default()).await?;
            if listed.items.is_empty() {
                return Ok(());
            }
            for domain in listed.items {
                store.delete(domain, ()).await?;
            }
        }
    }
}

#[cfg(test)]
#[path = "commands_tests.rs"]
mod tests;
