//! Those who run the installation. The first claims it with a link that only its console shows; others come in by a link
//! that an operator hands them.

use std::time::Duration;

use kernel::{
    Aggregate, Claim, OperatorId, Problem, ScopeKind, Timestamp,
    text::{DisplayName, EmailAddress},
};
use serde::{Deserialize, Serialize};

use crate::{
    factor::{Used, code_refused},
    proofs::Proofs,
};

/// For how long the link of an invitation is good.
pub(crate) const INVITED: Duration = Duration::from_hours(48);

/// An operator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Operator {
    pub(crate) id: OperatorId,
    pub(crate) email: EmailAddress,
    pub(crate) name: DisplayName,
    #[serde(flatten)]
    pub(crate) proofs: Proofs,
}

impl Operator {
    /// Someone who comes in by a link with this stamp.
    pub(crate) fn invite(id: OperatorId, email: EmailAddress, name: DisplayName, stamp: String) -> Self {
        Self { id, email, name, proofs: Proofs::none(stamp) }
    }

    /// Whether a password was chosen yet.
    pub(crate) fn came_in(&self) -> bool {
        self.proofs.password.is_some()
    }

    /// See [`User::confirm_totp`](crate::user::User::confirm_totp).
    pub(crate) fn confirm_totp(&mut self, code: &str, recovery: &[String], now: Timestamp) -> Result<(), Problem> {
        if self.proofs.totp.needed() || self.proofs.totp.use_code(code, now)? != Used::First {
            return Err(code_refused());
        }
        self.proofs.totp.renew(recovery)
    }
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
