//! Those who run the installation. The first claims it with a link that only its console shows.

use kernel::{
    Aggregate, Claim, OperatorId, ScopeKind, Timestamp,
    text::{DisplayName, EmailAddress},
};
use serde::{Deserialize, Serialize};

/// An operator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Operator {
    pub(crate) id: OperatorId,
    pub(crate) email: EmailAddress,
    pub(crate) name: DisplayName,
    pub(crate) password: String,
}

impl Aggregate for Operator {
    type Id = OperatorId;
    const KIND: &'static str = "identity.operator";
    const SCOPE: ScopeKind = ScopeKind::Platform;

    fn id(&self) -> OperatorId {
        self.id
    }

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::new("email", self.email.as_str())]
    }
}

/// That the installation was claimed: there is one, so of two who claim at once one is refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Claimed {
    pub(crate) by: OperatorId,
    pub(crate) at: Timestamp,
}

impl Claimed {
    pub(crate) const ID: &'static str = "installation";
}

impl Aggregate for Claimed {
    type Id = String;
    const KIND: &'static str = "identity.claimed";
    const SCOPE: ScopeKind = ScopeKind::Platform;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }
}
