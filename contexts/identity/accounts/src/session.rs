//! Sessions: a person's, and an operator's. They end by themselves and tell nothing.

use std::time::Duration;

use kernel::{
    Aggregate, Cx, Id, Life, OperatorId, Problem, ProblemKind, ScopeKind, SessionId, Term, Timestamp, UserId, id_kind,
};
use proofs::secret;
use serde::{Deserialize, Serialize};

use crate::{operator::Operator, user::User};

id_kind!(
    /// An operator's session.
    OperatorSessionId, OperatorSessionKind, "ops"
);

/// For how long a session lasts.
pub const LASTS: Duration = Duration::from_hours(12);
/// For how long a proof is fresh enough for what is sensitive.
const FRESH: Duration = Duration::from_mins(10);

/// What whoever asks for something sensitive without a fresh proof is told.
pub fn reauthentication_required() -> Problem {
    Problem::new(
        ProblemKind::Denied,
        "identity.reauthentication_required",
        "this needs a password or code that was entered within the last 10 minutes",
    )
    .hint("send it to /v1/me/prove, or sign in again, then repeat the request")
}

/// A person's session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    /// Which.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// The person's epoch when it began.
    #[serde(default)]
    pub epoch: u64,
    secret: String,
    /// When it began.
    pub began: Timestamp,
    /// When the person last showed who they are, after it began.
    #[serde(default)]
    proven: Option<Timestamp>,
    /// When it ends by itself.
    pub ends: Timestamp,
    /// By which means the person showed who they are (RFC 8176).
    pub methods: Vec<String>,
}

impl Session {
    /// A new session, and the cookie's value.
    pub fn begin(user: &User, methods: Vec<String>, cx: &Cx) -> (Self, String) {
        let (id, secret): (SessionId, _) = (cx.new_id(), secret::fresh(cx));
        let cookie = format!("{id}.{secret}");
        let (began, ends) = (cx.real_now(), cx.real_now() + LASTS);
        let (user, epoch, secret) = (user.id, user.proofs.epoch, secret::hash(&secret));
        (Self { id, user, epoch, secret, began, proven: None, ends, methods }, cookie)
    }

    /// Whether this is its secret.
    pub fn matches(&self, secret: &str) -> bool {
        secret::matches(secret, &self.secret)
    }

    /// The person has shown once more who they are.
    pub fn prove(&mut self, now: Timestamp) {
        self.proven = Some(now);
    }

    /// Whether the person has shown a moment ago who they are.
    pub fn freshly_proven(&self, now: Timestamp) -> bool {
        now < self.proven.unwrap_or(self.began) + FRESH
    }
}

impl Aggregate for Session {
    type Id = SessionId;
    const KIND: &'static str = "identity.session";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const LIFE: Life = Life::Ephemeral;

    fn id(&self) -> SessionId {
        self.id
    }

    fn owner(&self) -> Option<UserId> {
        Some(self.user)
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::by_time("user", self.user.to_string(), self.began)]
    }

    fn expires(&self) -> Option<Timestamp> {
        Some(self.ends)
    }
}

/// An operator's session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OperatorSession {
    id: Id<OperatorSessionKind>,
    /// Whose.
    pub operator: OperatorId,
    /// The operator's epoch when it began.
    #[serde(default)]
    pub epoch: u64,
    secret: String,
    /// When it ends by itself.
    pub ends: Timestamp,
}

impl OperatorSession {
    /// A new session, and the cookie's value.
    pub fn begin(operator: &Operator, cx: &Cx) -> (Self, String) {
        let (id, secret): (OperatorSessionId, _) = (cx.new_id(), secret::fresh(cx));
        let cookie = format!("{id}.{secret}");
        let (operator, epoch, secret) = (operator.id, operator.proofs.epoch, secret::hash(&secret));
        (Self { id, operator, epoch, secret, ends: cx.real_now() + LASTS }, cookie)
    }

    /// Whether this is its secret.
    pub fn matches(&self, secret: &str) -> bool {
        secret::matches(secret, &self.secret)
    }
}

impl Aggregate for OperatorSession {
    type Id = OperatorSessionId;
    const KIND: &'static str = "identity.operator_session";
    const SCOPE: ScopeKind = ScopeKind::Platform;
    const LIFE: Life = Life::Ephemeral;

    fn id(&self) -> OperatorSessionId {
        self.id
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::new("operator", self.operator.to_string())]
    }

    fn expires(&self) -> Option<Timestamp> {
        Some(self.ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_fresh_for_ten_minutes() {
        let start = Timestamp::UNIX_EPOCH;
        let mut it = Session {
            id: Id::from_uuid(uuid::Uuid::nil()),
            user: Id::from_uuid(uuid::Uuid::nil()),
            epoch: 0,
            secret: String::new(),
            began: start,
            proven: None,
            ends: start + LASTS,
            methods: Vec::new(),
        };
        assert!(it.freshly_proven(start + Duration::from_secs(599)) && !it.freshly_proven(start + FRESH));
        it.prove(start + Duration::from_hours(1));
        assert!(
            it.freshly_proven(start + Duration::from_mins(69)) && !it.freshly_proven(start + Duration::from_mins(70))
        );
    }
}
