//! A tenant: a company that uses the product.

use contracts::tenants::{
    Isolation, TenantActivated, TenantArchived, TenantErasureRequested, TenantProvisioned, TenantRestored,
    TenantResumed, TenantStatus, TenantSuspended,
};
use kernel::{
    Aggregate, AnyEvent, Claim, Happened, Personal, Problem, ProblemKind, ScopeKind, TenantId, Term, Timestamp, UserId,
    text::{DisplayName, EmailAddress, Note, Slug},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// By so many characters of how it begins, a name is found.
pub const SEARCHED: usize = 20;
/// The longest trial, in days.
pub const LONGEST_TRIAL: u16 = 366;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    Provisioning,
    Ready,
    Erased,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Suspension {
    reason: String,
    by: SuspendedBy,
}

/// What suspended a tenant: that decides what lets it in again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SuspendedBy {
    /// Whoever runs the installation, who alone takes it back.
    Operator,
    /// The end of the trial: whoever subscribes then is let in again.
    Trial,
    /// Bills that are not paid: whoever settles them is let in again.
    Arrears,
}

/// A tenant. Its slug is fixed when it is provisioned: the issuer of its tokens and the origin of its passkeys hang on it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tenant {
    /// Which.
    pub id: TenantId,
    /// Part of its address; never changed.
    pub slug: Slug,
    /// What the company is called.
    pub name: DisplayName,
    owner: UserId,
    stage: Stage,
    isolation: Isolation,
    trial_days: u16,
    trial_ends: Option<Timestamp>,
    suspended: Option<Suspension>,
    /// Why. What it was before shows again once it is restored.
    archived: Option<String>,
    /// Nobody ever got in, so the slug may go to someone else.
    slug_freed: bool,
    since: Timestamp,
}

/// What a tenant begins with.
#[derive(Debug, Clone, Copy)]
pub struct Beginning {
    /// For how many days it is on trial; 0 for not at all.
    pub trial_days: u16,
    /// How its data is kept apart.
    pub isolation: Isolation,
}

/// What a rule says when all is already as it was asked for.
fn nothing() -> Vec<AnyEvent> {
    Vec::new()
}

impl Tenant {
    /// One that is to be set up.
    pub fn provision(
        id: TenantId,
        (slug, name): (Slug, DisplayName),
        owner: (UserId, EmailAddress, DisplayName),
        Beginning { trial_days, isolation }: Beginning,
        now: Timestamp,
    ) -> (Self, TenantProvisioned) {
        let (owner, owner_email, owner_name) = owner;
        let provisioned = TenantProvisioned {
            tenant: id,
            slug: Personal::Known(slug.clone()),
            name: Personal::Known(name.clone()),
            owner,
            owner_email: Personal::Known(owner_email),
            owner_name: Personal::Known(owner_name),
        };
        let it = Self {
            id,
            slug,
            name,
            owner,
            stage: Stage::Provisioning,
            isolation,
            trial_days: trial_days.min(LONGEST_TRIAL),
            trial_ends: None,
            suspended: None,
            archived: None,
            slug_freed: false,
            since: now,
        };
        (it, provisioned)
    }

    /// Who founded it.
    pub fn owner_id(&self) -> UserId {
        self.owner
    }

    /// How its data is kept apart.
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Where it is in its life.
    pub fn status(&self) -> TenantStatus {
        match self.stage {
            Stage::Erased => TenantStatus::Erased,
            Stage::Provisioning => TenantStatus::Provisioning,
            Stage::Ready if self.archived.is_some() => TenantStatus::Archived,
            Stage::Ready if self.suspended.is_some() => TenantStatus::Suspended,
            Stage::Ready if self.trial_ends.is_some() => TenantStatus::Trial,
            Stage::Ready => TenantStatus::Active,
        }
    }

    /// Why it is there, where somebody said so.
    pub fn reason(&self) -> Option<&str> {
        self.archived.as_deref().or(self.suspended.as_ref().map(|it| it.reason.as_str()))
    }

    /// When its trial ends, if it is on one.
    pub fn trial_ends(&self) -> Option<Timestamp> {
        self.trial_ends
    }

    /// What is not erased, and set up, can be acted on.
    fn standing(&self) -> Result<(), Problem> {
        match self.stage {
            Stage::Erased => Err(Problem::new(ProblemKind::Gone, "tenants.erased", "this tenant was erased for good")
                .hint("nothing can bring it back; found a new one")),
            Stage::Provisioning => Err(Problem::new(
                ProblemKind::Conflict,
                "tenants.being_provisioned",
                "this tenant is still being set up",
            )
            .hint("wait until it is, or erase it")),
            Stage::Ready => Ok(()),
        }
    }

    /// All that it needs is there.
    pub fn ready(&mut self, now: Timestamp) -> Vec<AnyEvent> {
        if self.stage != Stage::Provisioning {
            return nothing();
        }
        // Whole seconds: stores keep the instants of timers less finely than a clock shows them.
        let ends = now.as_second().saturating_add(i64::from(self.trial_days) * 24 * 3600);
        self.trial_ends = Timestamp::from_second(ends).ok().filter(|_| self.trial_days > 0);
        (self.stage, self.since) = (Stage::Ready, now);
        TenantActivated { tenant: self.id, trial_ends: self.trial_ends }.events()
    }

    /// Nobody can sign in from now on.
    pub fn suspend(&mut self, reason: &Note, now: Timestamp) -> Result<Vec<AnyEvent>, Problem> {
        self.standing()?;
        if self.archived.is_some() {
            return Err(Problem::new(ProblemKind::Conflict, "tenants.archived", "this tenant is archived")
                .hint("restore it first"));
        }
        if self.suspended.as_ref().is_some_and(|it| it.reason == reason.as_str()) {
            return Ok(nothing());
        }
        self.suspended = Some(Suspension { reason: reason.to_string(), by: SuspendedBy::Operator });
        self.since = now;
        Ok(TenantSuspended { tenant: self.id, reason: reason.to_string() }.events())
    }

    /// Nobody can sign in until its bills are settled. One that is not in use anyway stays as it is.
    pub fn hold(&mut self, reason: &Note, now: Timestamp) -> Vec<AnyEvent> {
        if self.standing().is_err() || self.archived.is_some() || self.suspended.is_some() {
            return nothing();
        }
        self.suspended = Some(Suspension { reason: reason.to_string(), by: SuspendedBy::Arrears });
        self.since = now;
        TenantSuspended { tenant: self.id, reason: reason.to_string() }.events()
    }

    /// Its bills are settled: as before, unless something else keeps it suspended.
    pub fn release(&mut self, now: Timestamp) -> Vec<AnyEvent> {
        if self.suspended.as_ref().is_none_or(|it| it.by != SuspendedBy::Arrears) {
            return nothing();
        }
        (self.suspended, self.since) = (None, now);
        TenantResumed { tenant: self.id }.events()
    }

    /// As before it was suspended.
    pub fn resume(&mut self, now: Timestamp) -> Result<Vec<AnyEvent>, Problem> {
        self.standing()?;
        if self.status() != TenantStatus::Suspended {
            return Err(Problem::new(ProblemKind::Conflict, "tenants.not_suspended", "this tenant is not suspended")
                .hint("there is nothing to resume"));
        }
        (self.suspended, self.since) = (None, now);
        Ok(TenantResumed { tenant: self.id }.events())
    }

    /// Put away: nobody can sign in, and all stays.
    pub fn archive(&mut self, reason: &Note, now: Timestamp) -> Result<Vec<AnyEvent>, Problem> {
        self.standing()?;
        if self.archived.is_some() {
            return Ok(nothing());
        }
        (self.archived, self.since) = (Some(reason.to_string()), now);
        Ok(TenantArchived { tenant: self.id, reason: reason.to_string() }.events())
    }

    /// As before it was put away.
    pub fn restore(&mut self, now: Timestamp) -> Result<Vec<AnyEvent>, Problem> {
        self.standing()?;
        if self.archived.take().is_none() {
            return Err(Problem::new(ProblemKind::Conflict, "tenants.not_archived", "this tenant is not archived")
                .hint("there is nothing to restore"));
        }
        self.since = now;
        Ok(TenantRestored { tenant: self.id }.events())
    }

    /// For good: no trial, and no suspension that its end has brought.
    pub fn activate(&mut self, now: Timestamp) -> Result<Vec<AnyEvent>, Problem> {
        self.standing()?;
        let waits = self.suspended.as_ref().is_some_and(|it| it.by == SuspendedBy::Trial);
        if self.trial_ends.is_none() && !waits {
            return Ok(nothing());
        }
        (self.trial_ends, self.since) = (None, now);
        let mut events = TenantActivated { tenant: self.id, trial_ends: None }.events();
        if waits {
            self.suspended = None;
            events.extend(TenantResumed { tenant: self.id }.events());
        }
        Ok(events)
    }

    /// The trial is over, unless the tenant became active meanwhile.
    pub fn end_trial(&mut self, now: Timestamp) -> Vec<AnyEvent> {
        if self.stage != Stage::Ready || self.trial_ends.take().is_none() {
            return nothing();
        }
        self.since = now;
        if self.suspended.is_some() {
            return nothing();
        }
        let reason = "the trial has ended".to_owned();
        self.suspended = Some(Suspension { reason: reason.clone(), by: SuspendedBy::Trial });
        TenantSuspended { tenant: self.id, reason }.events()
    }

    /// Says no name any more: what is kept is that there was one, and when it went.
    pub fn erase(&mut self, now: Timestamp) -> Result<Vec<AnyEvent>, Problem> {
        if self.stage == Stage::Erased {
            self.standing()?;
        }
        let gone: DisplayName = "erased".parse().map_err(Problem::internal)?;
        (self.stage, self.since, self.name) = (Stage::Erased, now, gone);
        (self.trial_ends, self.suspended, self.archived) = (None, None, None);
        Ok(TenantErasureRequested { tenant: self.id }.events())
    }

    /// It could not be set up: taken back, and the slug is free again.
    pub fn abandon(&mut self, now: Timestamp) -> Result<Vec<AnyEvent>, Problem> {
        if self.stage != Stage::Provisioning {
            return Ok(nothing());
        }
        self.slug_freed = true;
        self.erase(now)
    }
}

impl Aggregate for Tenant {
    type Id = TenantId;
    const KIND: &'static str = "tenants.tenant";
    const SCOPE: ScopeKind = ScopeKind::Platform;
    const VERSION: u16 = 4;

    fn id(&self) -> TenantId {
        self.id
    }

    /// The slug stays taken after an erasure: a successor would inherit links and cookies meant for the former.
    fn claims(&self) -> Vec<Claim> {
        if self.slug_freed { Vec::new() } else { vec![Claim::new("slug", self.slug.as_str())] }
    }

    fn terms(&self) -> Vec<Term> {
        let mut terms = vec![Term::new("all", ""), Term::new("status", self.status().name())];
        if self.stage != Stage::Erased {
            terms.extend(Term::prefixes("search", &format!("{} {}", self.name, self.slug), SEARCHED));
        }
        terms
    }

    /// The first version had one status, and no trials; the second knew one way to keep data; the third knew bills that are
    /// not paid as no reason.
    fn upcast(version: u16, mut body: Value) -> Value {
        let Some(fields) = body.as_object_mut() else { return body };
        if version == 1 {
            let status = fields.remove("status");
            let reason = fields.remove("reason").filter(|it| !it.is_null());
            let erased = status == Some(json!("erased"));
            fields.insert("stage".to_owned(), json!(if erased { "erased" } else { "ready" }));
            fields.insert("trial_days".to_owned(), json!(0));
            fields.insert("slug_freed".to_owned(), json!(false));
            if let Some(reason) = reason {
                fields.insert("suspended".to_owned(), json!({ "reason": reason, "by": SuspendedBy::Operator }));
            }
        }
        if version <= 2 {
            fields.insert("isolation".to_owned(), json!(Isolation::Pooled));
        }
        if let Some(suspended) = fields.get_mut("suspended").and_then(Value::as_object_mut)
            && let Some(by_trial) = suspended.remove("by_trial")
        {
            let by = if by_trial == json!(true) { SuspendedBy::Trial } else { SuspendedBy::Operator };
            suspended.insert("by".to_owned(), json!(by));
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TenantStatus::{Active, Archived, Erased, Provisioning, Suspended, Trial};
    use kernel::Id;

    fn fresh(trial_days: u16) -> Tenant {
        let id = |bits| uuid::Uuid::from_u128(bits);
        let owner = (Id::from_uuid(id(2)), "ada@example.com".parse().unwrap(), "Ada".parse().unwrap());
        let names = ("acme".parse().unwrap(), "Acme".parse().unwrap());
        let beginning = Beginning { trial_days, isolation: Isolation::Dedicated };
        Tenant::provision(Id::from_uuid(id(1)), names, owner, beginning, Timestamp::UNIX_EPOCH).0
    }

    fn note() -> Note {
        "because".parse().unwrap()
    }

    /// A tenant in each state, by the rules that lead there.
    fn in_state(status: TenantStatus) -> Tenant {
        let now = Timestamp::UNIX_EPOCH;
        let mut it = fresh(if status == Trial { 14 } else { 0 });
        if status != Provisioning {
            it.ready(now);
        }
        match status {
            Suspended => drop(it.suspend(&note(), now).unwrap()),
            Archived => drop(it.archive(&note(), now).unwrap()),
            Erased => drop(it.erase(now).unwrap()),
            Provisioning | Trial | Active => {}
        }
        assert_eq!(it.status(), status);
        it
    }

    type Verb = (&'static str, fn(&mut Tenant) -> Result<Vec<AnyEvent>, Problem>);

    const VERBS: [Verb; 11] = [
        ("ready", |it| Ok(it.ready(Timestamp::UNIX_EPOCH))),
        ("suspend", |it| it.suspend(&"another reason".parse().unwrap(), Timestamp::UNIX_EPOCH)),
        ("resume", |it| it.resume(Timestamp::UNIX_EPOCH)),
        ("archive", |it| it.archive(&note(), Timestamp::UNIX_EPOCH)),
        ("restore", |it| it.restore(Timestamp::UNIX_EPOCH)),
        ("activate", |it| it.activate(Timestamp::UNIX_EPOCH)),
        ("end_trial", |it| Ok(it.end_trial(Timestamp::UNIX_EPOCH))),
        ("erase", |it| it.erase(Timestamp::UNIX_EPOCH)),
        ("abandon", |it| it.abandon(Timestamp::UNIX_EPOCH)),
        ("hold", |it| Ok(it.hold(&note(), Timestamp::UNIX_EPOCH))),
        ("release", |it| Ok(it.release(Timestamp::UNIX_EPOCH))),
    ];

    /// Each transition that there is: `=` stays and says nothing, `-` is refused.
    #[test]
    fn the_table_of_transitions() {
        let table = "
            from         ready  suspend   resume archive  restore activate end_trial erase  abandon hold      release
            provisioning active -         -      -        -       -        =         erased erased  =         =
            trial        =      suspended -      archived -       active   suspended erased =       suspended =
            active       =      suspended -      archived -       =        =         erased =       suspended =
            suspended    =      suspended active archived -       =        =         erased =       =         =
            archived     =      -         -      =        active  =        =         erased =       =         =
            erased       =      -         -      -        -       -        =         -      =       =         =";
        let rows: Vec<Vec<&str>> =
            table.lines().skip(2).map(|row| row.split_whitespace().collect::<Vec<_>>()).collect();
        for (row, status) in rows.iter().zip(TenantStatus::ALL) {
            assert_eq!(row[0], status.name());
            for (expected, (verb, act)) in row[1..].iter().zip(VERBS) {
                let mut it = in_state(status);
                let found = match act(&mut it) {
                    Err(_) => "-",
                    Ok(events) if events.is_empty() => "=",
                    Ok(_) => it.status().name(),
                };
                assert_eq!(found, *expected, "{verb} of a tenant that is {}", status.name());
                if found == "=" || found == "-" {
                    assert_eq!(it.status(), status, "{verb} left another state");
                } else if found != status.name() && verb != "resume" && verb != "restore" {
                    assert!(act(&mut it).is_err() || it.status().name() == found, "{verb} twice is once");
                }
            }
        }
    }

    #[test]
    fn what_it_was_before_shows_again() {
        let now = Timestamp::UNIX_EPOCH;
        let mut it = in_state(Trial);
        it.suspend(&note(), now).unwrap();
        it.archive(&note(), now).unwrap();
        it.restore(now).unwrap();
        assert_eq!(it.status(), Suspended);
        it.resume(now).unwrap();
        assert_eq!(it.status(), Trial);
        it.end_trial(now);
        assert_eq!((it.status(), it.reason()), (Suspended, Some("the trial has ended")));
        it.activate(now).unwrap();
        assert_eq!(it.status(), Active, "whoever pays after the trial is let in again");
        it.suspend(&note(), now).unwrap();
        assert!(it.activate(now).unwrap().is_empty() && it.status() == Suspended, "an operator's suspension stays");
        assert!(it.release(now).is_empty() && it.status() == Suspended, "also where bills are settled");
        it.resume(now).unwrap();
        assert_eq!((it.hold(&note(), now).len(), it.hold(&note(), now).len(), it.status()), (1, 0, Suspended));
        assert!(it.activate(now).unwrap().is_empty() && it.status() == Suspended);
        assert_eq!((it.release(now).len(), it.status()), (1, Active));
    }

    #[test]
    fn an_erased_tenant_keeps_its_slug_and_no_name() {
        let it = in_state(Erased);
        assert_eq!((it.name.as_str(), it.claims().len(), it.terms().len()), ("erased", 1, 2));
        let mut it = in_state(Provisioning);
        it.abandon(Timestamp::UNIX_EPOCH).unwrap();
        assert!(it.claims().is_empty(), "one that never was frees its slug");
    }

    #[test]
    fn former_versions_are_still_read() {
        let body = json!({ "id": "ten_00000000000000000000000001", "slug": "acme", "name": "Acme", "status": "suspended",
            "owner": "usr_00000000000000000000000002", "reason": "unpaid", "since": "1970-01-01T00:00:00Z" });
        let it: Tenant = serde_json::from_value(Tenant::upcast(1, body)).unwrap();
        assert_eq!((it.status(), it.reason(), it.isolation()), (Suspended, Some("unpaid"), Isolation::Pooled));
        let mut body = serde_json::to_value(in_state(Trial)).unwrap();
        assert_eq!(body.as_object_mut().unwrap().remove("isolation"), Some(json!("dedicated")));
        let it: Tenant = serde_json::from_value(Tenant::upcast(2, body)).unwrap();
        assert_eq!((it.status(), it.isolation()), (Trial, Isolation::Pooled));
        let mut it = in_state(Trial);
        it.end_trial(Timestamp::UNIX_EPOCH);
        let mut body = serde_json::to_value(it).unwrap();
        body["suspended"] = json!({ "reason": "the trial has ended", "by_trial": true });
        let mut it: Tenant = serde_json::from_value(Tenant::upcast(3, body)).unwrap();
        assert_eq!((it.activate(Timestamp::UNIX_EPOCH).unwrap().len(), it.status()), (2, Active));
    }
}
