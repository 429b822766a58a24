//! A tenant: a company that uses the product.

use contracts::tenants::{TenantErased, TenantProvisioned, TenantResumed, TenantStatus, TenantSuspended, TenantView};
use kernel::{
    Aggregate, Claim, Personal, Problem, ProblemKind, ScopeKind, TenantId, Term, Timestamp, UserId,
    text::{DisplayName, EmailAddress, Note, Slug},
};
use serde::{Deserialize, Serialize};

/// A tenant. Its slug is fixed when it is provisioned: the issuer of its tokens and the origin of its passkeys hang on it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Tenant {
    id: TenantId,
    slug: Slug,
    name: DisplayName,
    owner: UserId,
    status: TenantStatus,
    reason: Option<String>,
    since: Timestamp,
}

impl Tenant {
    pub(crate) fn provision(
        id: TenantId,
        slug: Slug,
        name: DisplayName,
        owner: (UserId, EmailAddress, DisplayName),
        now: Timestamp,
    ) -> (Self, TenantProvisioned) {
        let (owner, owner_email, owner_name) = owner;
        let provisioned = TenantProvisioned {
            tenant: id,
            slug: slug.clone(),
            name: name.clone(),
            owner,
            owner_email: Personal::Known(owner_email),
            owner_name: Personal::Known(owner_name),
        };
        (Self { id, slug, name, owner, status: TenantStatus::Active, reason: None, since: now }, provisioned)
    }

    pub(crate) fn owner_id(&self) -> UserId {
        self.owner
    }

    pub(crate) fn is_erased(&self) -> bool {
        self.status == TenantStatus::Erased
    }

    fn standing(&self) -> Result<(), Problem> {
        if self.is_erased() {
            return Err(Problem::new(ProblemKind::Gone, "tenants.erased", "this tenant was erased for good")
                .hint("nothing can bring it back; found a new one"));
        }
        Ok(())
    }

    pub(crate) fn suspend(&mut self, reason: &Note, now: Timestamp) -> Result<TenantSuspended, Problem> {
        self.standing()?;
        (self.status, self.reason, self.since) = (TenantStatus::Suspended, Some(reason.to_string()), now);
        Ok(TenantSuspended { tenant: self.id, reason: reason.to_string() })
    }

    pub(crate) fn resume(&mut self, now: Timestamp) -> Result<TenantResumed, Problem> {
        self.standing()?;
        if self.status != TenantStatus::Suspended {
            return Err(Problem::new(ProblemKind::Conflict, "tenants.not_suspended", "this tenant is not suspended")
                .hint("there is nothing to resume"));
        }
        (self.status, self.reason, self.since) = (TenantStatus::Active, None, now);
        Ok(TenantResumed { tenant: self.id })
    }

    /// Says no names any more: what is kept is that there was one, and when it went.
    pub(crate) fn erase(&mut self, now: Timestamp) -> Result<TenantErased, Problem> {
        self.standing()?;
        let gone: DisplayName = "erased".parse().map_err(Problem::internal)?;
        (self.status, self.reason, self.since, self.name) = (TenantStatus::Erased, None, now, gone);
        Ok(TenantErased { tenant: self.id })
    }
}

impl Aggregate for Tenant {
    type Id = TenantId;
    const KIND: &'static str = "tenants.tenant";
    const SCOPE: ScopeKind = ScopeKind::Platform;

    fn id(&self) -> TenantId {
        self.id
    }

    /// The slug stays taken after an erasure: a successor would inherit links and cookies meant for the former.
    fn claims(&self) -> Vec<Claim> {
        vec![Claim::new("slug", self.slug.as_str())]
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::new("all", "")]
    }
}

impl From<&Tenant> for TenantView {
    fn from(it: &Tenant) -> Self {
        Self { id: it.id, slug: it.slug.clone(), name: it.name.clone(), status: it.status, reason: it.reason.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Id;

    #[test]
    fn an_erased_tenant_never_comes_back() {
        let id = |bits| uuid::Uuid::from_u128(bits);
        let owner = (Id::from_uuid(id(2)), "ada@example.com".parse().unwrap(), "Ada".parse().unwrap());
        let (mut it, _) = Tenant::provision(
            Id::from_uuid(id(1)),
            "acme".parse().unwrap(),
            "Acme".parse().unwrap(),
            owner,
            Timestamp::UNIX_EPOCH,
        );
        assert!(it.resume(Timestamp::UNIX_EPOCH).is_err(), "an active tenant cannot be resumed");
        it.suspend(&"unpaid".parse().unwrap(), Timestamp::UNIX_EPOCH).unwrap();
        it.resume(Timestamp::UNIX_EPOCH).unwrap();
        it.erase(Timestamp::UNIX_EPOCH).unwrap();
        assert!(it.resume(Timestamp::UNIX_EPOCH).is_err());
        assert!(it.suspend(&"again".parse().unwrap(), Timestamp::UNIX_EPOCH).is_err());
        assert_eq!(TenantView::from(&it).name.as_str(), "erased");
    }
}
