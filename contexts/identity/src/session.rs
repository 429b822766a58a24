//! Sessions: a person's, and an operator's. They end by themselves and tell nothing.

use std::time::Duration;

use kernel::{Aggregate, Cx, Id, Life, OperatorId, ScopeKind, SessionId, Term, Timestamp, UserId, id_kind};
use serde::{Deserialize, Serialize};

use crate::{secret, user::User};

id_kind!(
    /// An operator's session.
    OperatorSessionId, OperatorSessionKind, "ops"
);

/// For how long a session lasts.
pub(crate) const LASTS: Duration = Duration::from_hours(12);

/// A person's session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) user: UserId,
    /// The person's epoch when it began.
    #[serde(default)]
    pub(crate) epoch: u64,
    secret: String,
    pub(crate) began: Timestamp,
    pub(crate) ends: Timestamp,
    /// By which means the person showed who they are (RFC 8176).
    pub(crate) methods: Vec<String>,
}

impl Session {
    /// A new session, and the cookie's value.
    pub(crate) fn begin(user: &User, methods: Vec<String>, cx: &Cx) -> (Self, String) {
        let (id, secret): (SessionId, _) = (cx.new_id(), secret::fresh(cx));
        let cookie = format!("{id}.{secret}");
        let ends = cx.real_now() + LASTS;
        let (user, epoch, secret) = (user.id, user.epoch, secret::hash(&secret));
        (Self { id, user, epoch, secret, began: cx.real_now(), ends, methods }, cookie)
    }

    pub(crate) fn matches(&self, secret: &str) -> bool {
        secret::matches(secret, &self.secret)
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
pub(crate) struct OperatorSession {
    id: Id<OperatorSessionKind>,
    pub(crate) operator: OperatorId,
    secret: String,
    pub(crate) ends: Timestamp,
}

impl OperatorSession {
    pub(crate) fn begin(operator: OperatorId, cx: &Cx) -> (Self, String) {
        let (id, secret): (OperatorSessionId, _) = (cx.new_id(), secret::fresh(cx));
        let cookie = format!("{id}.{secret}");
        (Self { id, operator, secret: secret::hash(&secret), ends: cx.real_now() + LASTS }, cookie)
    }

    pub(crate) fn matches(&self, secret: &str) -> bool {
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

    fn expires(&self) -> Option<Timestamp> {
        Some(self.ends)
    }
}
