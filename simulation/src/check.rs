//! After a run, when nothing goes wrong any more and all has come to its end: what must hold.

use std::{collections::BTreeSet, time::Duration};

use events::Log;
use facts::Facts;
use kernel::{Clock, Scope};
use serde_json::{Value, json};
use store::{Engine, Outbox, Space, Upkeep, port::OUTBOX_PARTITIONS};

use crate::{
    Broken,
    client::{Client, Told, marker},
    memory::{Company, Count, Person},
    money::numbers_are_whole,
    site::Site,
    world::World,
};

/// Work that has an end, and a timer until then.
const SAGAS: [&str; 6] = [
    "tenants.provisioning",
    "tenants.erasure",
    "users.erasure",
    "notifications.notification",
    "notifications.fanout",
    "billing.attempt",
];

pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or(u64::MAX)
}

fn failed(error: impl std::fmt::Display) -> Broken {
    Broken(error.to_string())
}

/// What is still under way.
async fn under_way(world: &World) -> Result<Option<String>, Broken> {
    for partition in 0..OUTBOX_PARTITIONS {
        if !world.engine.pending(partition, 1).await.map_err(failed)?.is_empty() {
            return Ok(Some("events wait in the outbox".to_owned()));
        }
    }
    for (reader, position) in world.log.readers("").await.map_err(failed)? {
        if reader.contains('@') || !world.log.read(position, 1).await.map_err(failed)?.is_empty() {
            return Ok(Some(format!("{reader} has not read all")));
        }
    }
    let (now, far) = (world.clock.now(), world.clock.now() + Duration::from_hours(24 * 365));
    let timers = world.engine.due(None, far, 100_000).await.map_err(failed)?;
    let left = timers.iter().find(|due| due.timer.due <= now || SAGAS.contains(&due.key.kind.as_str()));
    Ok(left.map(|due| format!("{} has a timer {} at {}", due.key, due.timer.name, due.timer.due)))
}

/// Waits until all that was begun has come to its end, for three hours at most.
pub(crate) async fn settles(world: &World) -> Result<(), Broken> {
    let (mut quiet, mut last) = (0, String::new());
    for _ in 0..5_400 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        match under_way(world).await? {
            None => quiet += 1,
            Some(what) => (quiet, last) = (0, what),
        }
        // What is adrift is there after three seconds.
        if quiet == 3 {
            return Ok(());
        }
    }
    Err(Broken(format!("it does not come to its end: {last}")))
}

/// All that must hold of the installation.
pub(crate) async fn installation(site: &Site, operator: &Client, companies: &[Company]) -> Result<(), Broken> {
    // What still waits of a tenant that is erased goes with it.
    let erased: Vec<&str> = companies.iter().filter(|it| it.erased).map(|it| it.id.as_str()).collect();
    if let Some(wrong) = site.world.ledger.log_is_wrong(&erased) {
        return Err(Broken(wrong));
    }
    let letters = operator.reads("/v1/operations/dead-letters").await?;
    if letters.get("items").and_then(Value::as_array).is_none_or(|items| !items.is_empty()) {
        return Err(Broken(format!("events were put aside: {letters}")));
    }
    numbers_are_whole(companies).await
}

/// No engine holds a word in clear.
pub(crate) async fn nothing_in_clear(world: &World, companies: &[Company]) -> Result<(), Broken> {
    let words: Vec<String> = (0..crate::TENANTS).map(marker).collect();
    let read = |place: &str, text: &str| {
        let found = words.iter().find(|word| text.contains(word.as_str()));
        found.map_or(Ok(()), |word| Err(Broken(format!("{word:?} can be read in {place}: {text}"))))
    };
    let tenants = companies.iter().filter_map(|company| company.id.parse().ok().map(Scope::Tenant));
    for scope in [Scope::Platform].into_iter().chain(tenants) {
        for (key, core) in world.engine.export(&Space::of(scope), None, usize::MAX).await.map_err(failed)? {
            read("a core", &format!("{key} {}", String::from_utf8_lossy(&core.body)))?;
            read("the lookups of a core", &format!("{:?} {:?}", core.claims, core.terms))?;
        }
    }
    for event in world.log.read(0, usize::MAX).await.map_err(failed)? {
        read("the log", &String::from_utf8_lossy(&event.envelope))?;
    }
    Ok(())
}

impl Company {
    fn scope(&self) -> Result<Scope, Broken> {
        self.id.parse().map(Scope::Tenant).map_err(failed)
    }

    /// All that must hold of a tenant.
    pub(crate) async fn holds(&self, world: &World, operator: &Client) -> Result<(), Broken> {
        let known = operator.reads(&format!("/v1/tenants/{}", self.id)).await?;
        if self.erased {
            return self.is_gone(world, &known).await;
        }
        if text(&known, "status") != "active" {
            return Err(Broken(format!("the tenant is not active: {known}")));
        }
        self.has_its_people().await?;
        self.has_its_figures(world).await?;
        self.has_what_it_took().await?;
        self.has_its_money(world).await?;
        self.is_audited(world).await?;
        for (key, value) in &self.features {
            let listed = self.owner.client.lists("/v1/features").await?;
            let found = listed.iter().find(|it| text(it, "feature") == key);
            let found = found.and_then(|it| it.get("percentage")).unwrap_or(&Value::Null);
            if !value.may_be(found) {
                return Err(Broken(format!("the feature {key} is {found}, not {value:?}")));
            }
        }
        for (at, person) in self.people.iter().enumerate().filter(|(_, person)| !person.erased) {
            person.holds().await?;
            self.was_told(at, person).await?;
        }
        self.owner.holds().await?;
        self.forgot_the_erased().await
    }

    /// Each event of the tenant is one entry of its audit log, and the log has no gap.
    async fn is_audited(&self, world: &World) -> Result<(), Broken> {
        let entries = self.owner.client.lists("/v1/audit/entries?limit=200").await?;
        let mut missing = world.ledger.of(&self.id).ids;
        for (place, entry) in entries.iter().rev().enumerate() {
            if number(entry, "index") != place as u64 {
                return Err(Broken(format!("the audit log has at {place}: {entry}")));
            }
            let event = text(entry, "id").split_once('-').map_or("", |(_, record)| record);
            let noticed = entry.pointer("/data/times").is_some();
            if !missing.remove(event) && !noticed {
                return Err(Broken(format!("the audit log tells twice, or of nothing that was: {entry}")));
            }
        }
        match missing.first() {
            Some(event) => Err(Broken(format!("the audit log does not tell of the event {event}"))),
            None => Ok(()),
        }
    }

    async fn has_its_people(&self) -> Result<(), Broken> {
        let owner = &self.owner.client;
        let there = || self.people.iter().filter(|person| !person.erased).chain([&self.owner]);
        let listed = owner.lists("/v1/users?limit=200").await?;
        let ids: BTreeSet<&str> = listed.iter().map(|it| text(it, "id")).collect();
        if let Some(person) = there().find(|person| !ids.contains(person.id.as_str())) {
            return Err(Broken(format!("{} has no profile", person.email)));
        }
        let (known, count) = (listed.len() as u64, there().count() as u64 + self.invited);
        if known != count || ids.len() != listed.len() {
            return Err(Broken(format!("{known} profiles of {count} people")));
        }
        let seats = owner.reads("/v1/seats").await?;
        if number(&seats, "used") != count || count > self.seats {
            return Err(Broken(format!("{count} people of at most {} hold the seats {seats}", self.seats)));
        }
        for person in there() {
            let mails: BTreeSet<String> = owner
                .site
                .world
                .mailbox
                .of(&person.email)
                .into_iter()
                .filter(|(_, text)| text.contains("/welcome?"))
                .map(|(id, _)| id)
                .collect();
            if mails.len() != 1 {
                return Err(Broken(format!("{} was welcomed {} times", person.email, mails.len())));
            }
        }
        Ok(())
    }

    /// Each event is one fact of its type, and what was tracked is counted once.
    async fn has_its_figures(&self, world: &World) -> Result<(), Broken> {
        let asked = json!({ "measure": "count", "group_by": ["name"], "limit": 200 });
        let rows = self.owner.client.does("POST", "/v1/analytics/reports/query", &asked).await?;
        let counted = |name: &str| {
            let of = |row: &&Value| row.pointer("/groups/0").and_then(Value::as_str) == Some(name);
            let row = rows.as_array().and_then(|rows| rows.iter().find(of));
            row.and_then(|row| row.get("value")).and_then(Value::as_f64).unwrap_or(0.0)
        };
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let is = |name: &str, count: u64| (counted(name) - count as f64).abs() < 0.5;
        for (name, count) in &world.ledger.of(&self.id).types {
            let counted_elsewhere = ["analytics.UserActivityRecorded.v1", kernel::event::CHANGED];
            if !counted_elsewhere.contains(&name.as_str()) && !is(name, *count) {
                return Err(Broken(format!("{} facts of {count} events {name}", counted(name))));
            }
        }
        let tracked = self.people.iter().chain([&self.owner]).map(|person| person.tracked);
        let all = tracked
            .fold(Count::default(), |all, one| Count { sure: all.sure + one.sure, perhaps: all.perhaps + one.perhaps });
        let found = counted("sim.opened");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let found = found.round() as u64;
        if all.may_be(found) { Ok(()) } else { Err(Broken(format!("{found} facts were tracked, not {all:?}"))) }
    }

    async fn has_what_it_took(&self) -> Result<(), Broken> {
        let tickets = self.owner.client.reads("/v1/quotas/tickets").await?;
        if number(&tickets, "used") != self.held || self.held > number(&tickets, "limit") {
            return Err(Broken(format!("{} tickets were taken of {tickets}", self.held)));
        }
        let credits = self.owner.client.reads("/v1/quotas/credits").await?;
        if self.spent > number(&credits, "limit") {
            return Err(Broken(format!("{} credits were spent of {credits}", self.spent)));
        }
        Ok(())
    }

    /// What somebody was told is in the inbox once.
    async fn was_told(&self, at: usize, person: &Person) -> Result<(), Broken> {
        let inbox = person.client.lists("/v1/me/inbox?limit=200").await?;
        for (_, words, sure) in self.told.iter().filter(|(to, ..)| *to == at) {
            let found = inbox.iter().filter(|it| text(it, "subject") == words).count();
            if found > 1 || (*sure && found == 0) {
                return Err(Broken(format!("{words:?} is {found} times in the inbox of {}", person.email)));
            }
        }
        Ok(())
    }

    /// Of whom was erased, nobody reads a word.
    async fn forgot_the_erased(&self) -> Result<(), Broken> {
        let owner = &self.owner.client;
        let lists = [
            "/v1/users?limit=200",
            "/v1/invitations",
            "/v1/activity?limit=200",
            "/v1/notifications?limit=200",
            "/v1/erasures",
        ];
        for person in self.people.iter().filter(|person| person.erased) {
            let erasure = owner.reads(&format!("/v1/erasures/{}", person.id)).await?;
            if text(&erasure, "stage") != "done" {
                return Err(Broken(format!("{} is not erased: {erasure}", person.email)));
            }
            for list in lists {
                let listed = Value::from(owner.lists(list).await?).to_string();
                if listed.contains(&person.words) || listed.contains(&person.email) {
                    return Err(Broken(format!("{} was erased and can be read at {list}", person.email)));
                }
            }
            if person
                .client
                .perhaps("GET", "/v1/me", &Value::Null)
                .await
                .is_ok_and(|told| matches!(told, Told::Done(_)))
            {
                return Err(Broken(format!("{} was erased and is let in", person.email)));
            }
        }
        Ok(())
    }

    /// Of a tenant that was erased, nothing is left.
    async fn is_gone(&self, world: &World, known: &Value) -> Result<(), Broken> {
        let scope = self.scope()?;
        if text(known, "status") != "erased" || known.to_string().contains(&marker(self.place)) {
            return Err(Broken(format!("the tenant is not erased: {known}")));
        }
        let cores = world.engine.export(&Space::of(scope), None, usize::MAX).await.map_err(failed)?;
        if let Some((key, _)) = cores.first() {
            return Err(Broken(format!("{key} is left of an erased tenant")));
        }
        if !world.log.read_of(scope, 0, 1).await.map_err(failed)?.is_empty() {
            return Err(Broken("events are left of an erased tenant".to_owned()));
        }
        let count = serde_json::from_value(json!({ "measure": "count" })).map_err(failed)?;
        let left = world.facts.query(scope, count).await.map_err(failed)?;
        if left.iter().any(|row| row.value > 0.0) {
            return Err(Broken(format!("facts are left of an erased tenant: {left:?}")));
        }
        let key = keys::WrappedKeys::get(&world.keys, &scope.to_string()).await.map_err(failed)?;
        if key != Some(keys::Wrapped::Destroyed) {
            return Err(Broken("the key is left of an erased tenant".to_owned()));
        }
        let answer = self.owner.client.perhaps("GET", "/v1/me", &Value::Null).await?;
        match answer {
            Told::Refused(code) if code == "not_found" => Ok(()),
            other => Err(Broken(format!("an erased tenant answers {other:?}"))),
        }
    }
}

impl Person {
    /// What this person wrote is there.
    async fn holds(&self) -> Result<(), Broken> {
        let me = self.client.reads("/v1/me").await?;
        let title = me.get("title").unwrap_or(&Value::Null);
        if !self.title.may_be(title) {
            return Err(Broken(format!("the title of {} is {title}, not {:?}", self.email, self.title)));
        }
        let all = self.client.lists("/v1/me/preferences").await?;
        for (key, value) in &self.preferences {
            let found = all.iter().find(|it| text(it, "key") == key).and_then(|it| it.get("value"));
            let found = found.unwrap_or(&Value::Null);
            if !value.may_be(found) {
                return Err(Broken(format!("the preference {key} of {} is {found}, not {value:?}", self.email)));
            }
        }
        Ok(())
    }
}
