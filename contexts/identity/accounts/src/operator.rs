//! Those who run the installation. The first claims it with a link that only its console shows; others come in by a link
//! that an operator hands them.

use std::time::Duration;

use kernel::{
    Aggregate, Claim, OperatorId, Problem, ScopeKind, Timestamp,
    text::{DisplayName, EmailAddress},
};
use proofs::{
    Proofs,
    factor::{Used, code_refused},
};
use serde::{Deserialize, Serialize};

/// For how long the link of an invitation is good.
pub const INVITED: Duration = Duration::from_hours(48);

/// An operator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Operator {
    /// Who.
    pub id: OperatorId,
    /// With what they sign in.
    pub email: EmailAddress,
    /// What they are called.
    pub name: DisplayName,
    /// What they show.
    #[serde(flatten)]
    pub proofs: Proofs,
}

impl Operator {
    /// Someone who comes in by a link with this stamp.
    pub fn invite(id: OperatorId, email: EmailAddress, name: DisplayName, stamp: String) -> Self {
        Self { id, email, name, proofs: Proofs::none(stamp) }
    }

    /// Whether a password was chosen yet.
    pub fn came_in(&self) -> bool {
        self.proofs.password.is_some()
    }

    /// See [`User::confirm_totp`](crate::user::User::confirm_totp).
    pub fn confirm_totp(&mut self, code: &str, recovery: &[String], now: Timestamp) -> Result<(), Problem> {
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
