//! A domain of a tenant's own: claimed, shown to be theirs, and looked at again from time to time.

use std::{fmt, str::FromStr, time::Duration};

use contracts::domains::{DomainFailed, DomainId, DomainVerified};
use kernel::{Aggregate, AnyEvent, Claim, Happened, Problem, ProblemKind, ScopeKind, TenantId, Term, Timer, Timestamp};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// How long a domain may stay unproven.
const PATIENCE: Duration = Duration::from_hours(7 * 24);
const FIRST_PAUSE: Duration = Duration::from_mins(1);
const LONGEST_PAUSE: Duration = Duration::from_hours(6);
/// A domain that was proven is looked at again after so long, and given up when the proof was not seen for so long: names
/// are sold, and what leads here need not be the tenant's any more.
const AGAIN: Duration = Duration::from_hours(24);
const LAPSES: Duration = Duration::from_hours(14 * 24);
/// By hand, not more often than this.
const AT_ONCE: Duration = Duration::from_secs(10);

/// A host name: DNS labels in lower case (RFC 1035, section 2.3.1; names in other scripts as they are written there,
/// `xn--…`), two at least.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct DomainName(String);

impl DomainName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `host` or lies below it.
    pub(crate) fn within(&self, host: &str) -> bool {
        self.0.strip_suffix(host).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DomainName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim().to_ascii_lowercase();
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let top = text.rsplit('.').next().unwrap_or_default();
        let fits = text.len() <= 253
            && text.split('.').count() >= 2
            && text.split('.').all(label)
            && top.bytes().any(|c| c.is_ascii_lowercase());
        if fits { Ok(Self(text)) } else { Err("expected a host name such as app.example.com") }
    }
}

impl<'de> Deserialize<'de> for DomainName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for DomainName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DomainName".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "hostname", "maxLength": 253 })
    }
}

/// Whether a domain was shown to be the tenant's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DomainState {
    /// Not yet.
    Pending,
    /// It was: it leads to the tenant.
    Verified,
    /// Not in time, or not any more.
    Failed,
}

/// What has to be seen at a domain. Two secrets, so that a server that says what it was asked for proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The host name.
    pub name: String,
    /// What is asked for: the last part of a path below `/.well-known/freehold-domain/`.
    pub token: String,
    /// What is answered there, or stands in a TXT record of `_freehold.` and the name.
    pub proof: String,
}

/// A domain that a tenant claims. Only one that was proven holds the name, so that nobody keeps others from theirs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Domain {
    pub id: DomainId,
    pub tenant: TenantId,
    pub(crate) challenge: Challenge,
    pub state: DomainState,
    pub since: Timestamp,
    pub(crate) checked: Option<Timestamp>,
    /// What was wrong when it was last looked at.
    pub problem: Option<String>,
    failures: u32,
    next: Option<Timestamp>,
    /// When the proof was last seen.
    #[serde(default)]
    proven: Option<Timestamp>,
}

impl Domain {
    pub(crate) fn new(id: DomainId, tenant: TenantId, name: &DomainName, secrets: [String; 2], now: Timestamp) -> Self {
        let [token, proof] = secrets;
        let challenge = Challenge { name: name.to_string(), token, proof };
        let (state, next) = (DomainState::Pending, Some(now + FIRST_PAUSE));
        Self { id, tenant, challenge, state, since: now, checked: None, problem: None, failures: 0, next, proven: None }
    }

    /// Whether someone may have it looked at now.
    pub(crate) fn may_check(&self, now: Timestamp) -> Result<(), Problem> {
        if self.checked.is_some_and(|checked| checked + AT_ONCE > now) {
            return Err(Problem::new(
                ProblemKind::Limited,
                "tenants.domain_checked_just_now",
                "it was looked at a moment ago",
            )
            .hint("records take a while to spread")
            .retry_after(10));
        }
        Ok(())
    }

    /// Whether its timer is due.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.next.is_some_and(|next| next <= now)
    }

    /// Until when it leads to the tenant, if the proof is not seen again.
    pub(crate) fn lapses(&self) -> Option<Timestamp> {
        self.proven.filter(|_| self.state == DomainState::Verified && self.failures > 0).map(|proven| proven + LAPSES)
    }

    /// Another tenant has shown that the domain is theirs, and this one does not any more.
    pub(crate) fn give_way(&mut self) -> Vec<AnyEvent> {
        if self.state != DomainState::Verified {
            return Vec::new();
        }
        (self.state, self.next) = (DomainState::Failed, None);
        self.problem = Some("another tenant has shown that this domain is theirs".to_owned());
        DomainFailed { tenant: self.tenant, domain: self.id }.events()
    }

    /// What was seen there.
    pub(crate) fn checked(&mut self, seen: Result<(), &str>, now: Timestamp) -> Vec<AnyEvent> {
        let before = self.state;
        (self.checked, self.problem) = (Some(now), seen.err().map(str::to_owned));
        if seen.is_ok() {
            (self.state, self.failures, self.next) = (DomainState::Verified, 0, Some(now + AGAIN));
            self.proven = Some(now);
        } else {
            self.failures += 1;
            let pause = (FIRST_PAUSE * 2_u32.saturating_pow(self.failures.min(12))).min(LONGEST_PAUSE);
            self.next = Some(now + pause);
            let lost = match before {
                DomainState::Pending => now > self.since + PATIENCE,
                DomainState::Verified => {
                    self.next = Some(now + AGAIN);
                    // One that an earlier release has proven counts from when it is first missed.
                    now >= *self.proven.get_or_insert(now) + LAPSES
                }
                DomainState::Failed => true,
            };
            if lost {
                (self.state, self.next) = (DomainState::Failed, None);
            }
        }
        let (tenant, domain) = (self.tenant, self.id);
        match (before, self.state) {
            (DomainState::Pending | DomainState::Failed, DomainState::Verified) => {
                DomainVerified { tenant, domain }.events()
            }
            (DomainState::Pending | DomainState::Verified, DomainState::Failed) => {
                DomainFailed { tenant, domain }.events()
            }
            _ => Vec::new(),
        }
    }
}

impl Aggregate for Domain {
    type Id = DomainId;
    const KIND: &'static str = "tenants.domain";
    const SCOPE: ScopeKind = ScopeKind::Platform;

    fn id(&self) -> DomainId {
        self.id
    }

    fn claims(&self) -> Vec<Claim> {
        let mut claims = vec![Claim::new("tenant_name", format!("{}/{}", self.tenant, self.challenge.name))];
        if self.state == DomainState::Verified {
            claims.push(Claim::new("name", self.challenge.name.clone()));
        }
        claims
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::new("tenant", self.tenant.to_string())]
    }

    fn timers(&self) -> Vec<Timer> {
        self.next.map(|due| Timer { name: "check", due }).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Id;

    fn fresh() -> Domain {
        let id = |bits| uuid::Uuid::from_u128(bits);
        let name = "app.example.com".parse().unwrap();
        let secrets = ["token".to_owned(), "proof".to_owned()];
        Domain::new(Id::from_uuid(id(1)), Id::from_uuid(id(2)), &name, secrets, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn host_names() {
        assert_eq!("App.Example.com".parse::<DomainName>().unwrap().as_str(), "app.example.com");
        for refused in
            ["", "com", "a..b", "-a.com", "10.0.0.1", "[::1]", "a.com:80", "a.com/", "a b.com", "a_b.com", "a.1"]
        {
            assert!(refused.parse::<DomainName>().is_err(), "{refused:?}");
        }
        let name: DomainName = "a.example.com".parse().unwrap();
        assert!(name.within("example.com") && name.within("a.example.com") && !name.within("ple.com"));
    }

    #[test]
    fn only_what_was_proven_holds_the_name() {
        let mut it = fresh();
        let claims = |it: &Domain| it.claims().iter().map(|it| it.index).collect::<Vec<_>>();
        assert_eq!(claims(&it), ["tenant_name"]);
        let mut now = Timestamp::UNIX_EPOCH;
        assert!(it.checked(Err("nothing answered"), now).is_empty());
        assert!(it.may_check(now).is_err() && it.may_check(now + AT_ONCE).is_ok());
        assert_eq!(it.checked(Ok(()), now).len(), 1);
        assert!(it.checked(Ok(()), now).is_empty(), "told once");
        assert_eq!(claims(&it), ["tenant_name", "name"]);
        for _ in 0..13 {
            now = it.timers()[0].due;
            assert!(it.is_due(now) && it.checked(Err("gone"), now).is_empty(), "a bad day is forgiven");
            assert_eq!(it.lapses(), Some(Timestamp::UNIX_EPOCH + LAPSES));
        }
        now = it.timers()[0].due;
        assert_eq!(it.checked(Err("gone"), now).len(), 1, "a fortnight is not");
        assert!(claims(&it) == ["tenant_name"] && it.timers().is_empty());
        assert_eq!(it.checked(Ok(()), now).len(), 1, "looked at by hand it can come back");
        assert!(it.give_way().len() == 1 && claims(&it) == ["tenant_name"] && it.timers().is_empty());
        assert!(it.give_way().is_empty(), "told once");
    }

    #[test]
    fn what_is_never_proven_is_given_up() {
        let mut it = fresh();
        let mut looks = 0;
        while let Some(timer) = it.timers().first() {
            let due = timer.due;
            it.checked(Err("nothing answered"), due);
            looks += 1;
        }
        assert!(it.state == DomainState::Failed && (20..60).contains(&looks), "{looks}");
    }
}
