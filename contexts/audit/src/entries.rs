//! Entries: looked for by who did what to what and when, and proved.

use data_encoding::{BASE64, HEXLOWER};
use kernel::{Cx, Granted, Handle, List, Problem, Timestamp, use_case};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::Page;

use crate::{
    Audit,
    bundle::{ALL, Bundle, Entry, padded},
    log::{EntryId, Logs},
    operator::LogName,
    permissions::READ,
};

/// So many bundles are looked through for one answer, however few entries fit.
const LOOKED_THROUGH: usize = 20;

/// An entry of the audit log.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct EntryView {
    /// Its id: its place, and the id of its record, which is that of the event where one tells of it.
    pub(crate) id: String,
    /// Its place in the log.
    index: u64,
    /// When it was recorded.
    #[schemars(with = "String", extend("format" = "date-time"))]
    time: Timestamp,
    /// Who: an id, `visitor`, or a service.
    actor: String,
    /// Did what: a use case or endpoint, else the type of the event.
    action: String,
    /// To what.
    resource: String,
    /// The event that tells of it, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    /// The trace of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    /// What the event says. What is personal in it is sealed.
    data: Value,
}

impl EntryView {
    fn of(index: u64, entry: &Entry) -> Result<Self, Problem> {
        let record = entry.read().map_err(Problem::internal)?;
        Ok(Self {
            id: EntryId { index, record: record.id.into_owned() }.to_string(),
            index,
            time: record.time,
            actor: record.actor.into_owned(),
            action: record.action.into_owned(),
            resource: record.resource.into_owned(),
            event: record.event.map(Into::into),
            trace: record.trace.map(Into::into),
            data: serde_json::from_str(record.data.get()).map_err(Problem::internal)?,
        })
    }
}

/// What is looked for.
#[derive(Debug, Default)]
pub(crate) struct Search {
    pub(crate) actor: Option<String>,
    pub(crate) action: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) from: Option<Timestamp>,
    pub(crate) to: Option<Timestamp>,
    pub(crate) after: Option<u64>,
    pub(crate) limit: Option<u32>,
}

impl Search {
    fn fits(&self, it: &EntryView) -> bool {
        let same = |asked: &Option<String>, is: &str| asked.as_deref().is_none_or(|asked| asked == is);
        same(&self.actor, &it.actor)
            && same(&self.action, &it.action)
            && same(&self.resource, &it.resource)
            && self.from.is_none_or(|from| it.time >= from)
            && self.to.is_none_or(|to| it.time < to)
    }

    /// The rarest of what is asked for that bundles are found by.
    fn term(&self) -> (&'static str, &str) {
        let resource = self.resource.as_deref().map(|it| ("resource", it));
        let actor = || self.actor.as_deref().map(|it| ("actor", it));
        let action = || self.action.as_deref().map(|it| ("action", it));
        resource.or_else(actor).or_else(action).unwrap_or((ALL, ""))
    }
}

impl Logs {
    /// Entries that fit, the newest first.
    pub(crate) async fn search(&self, cx: &Cx, search: &Search) -> Result<List<EntryView>, Problem> {
        let limit = usize::try_from(search.limit.unwrap_or(50).clamp(1, 200)).unwrap_or(50);
        let (index, value) = search.term();
        let before = match search.after {
            Some(after) => after,
            None => self.end_at(cx, search.to).await?,
        };
        let mut page = Page { limit: 1, newest_first: true, after: None }.after_id(&padded(before));
        let (mut items, mut looked_through) = (Vec::new(), 0);
        loop {
            let listed = self.store.at(cx).list::<Bundle>(index, value, &page).await?;
            let full = listed.items.len() == page.limit;
            for bundle in listed.items.into_iter().map(store::Loaded::into_inner) {
                looked_through += 1;
                let first = bundle.first;
                for (place, entry) in bundle.entries.iter().enumerate().rev() {
                    let at = first + place as u64;
                    let view = EntryView::of(at, entry)?;
                    if at >= before || !search.fits(&view) {
                        continue;
                    }
                    items.push(view);
                    if items.len() == limit {
                        return Ok(List { items, next: (at > 0).then(|| at.to_string()) });
                    }
                }
                let passed = search.from.is_some_and(|from| older(&bundle, from));
                if first == 0 || passed {
                    return Ok(List { items, next: None });
                }
                if looked_through >= LOOKED_THROUGH {
                    return Ok(List { items, next: Some(first.to_string()) });
                }
                page = page.after_id(&padded(first));
            }
            if !full {
                return Ok(List { items, next: None });
            }
            page.limit = (page.limit * 2).min(8);
        }
    }

    /// About where the entries begin that are younger than an instant: times grow with the index, but for what several
    /// writers did within the same moment.
    async fn end_at(&self, cx: &Cx, to: Option<Timestamp>) -> Result<u64, Problem> {
        let size = self.edge(cx).await?.size();
        let Some(to) = to else { return Ok(size) };
        let (mut low, mut high) = (0, size);
        while low < high {
            let middle = low + (high - low) / 2;
            let bundle = self.bundle_at(cx, middle).await?;
            let Some(bundle) = bundle else { return Ok(size) };
            if older(&bundle, to) { low = bundle.end().max(middle + 1) } else { high = middle.min(bundle.first) }
        }
        // The bundle after it may begin with one that is older.
        Ok(low.saturating_add(crate::bundle::MOST as u64).min(size))
    }

    /// An entry with all that is needed to verify it without trusting whoever gives it.
    pub(crate) async fn prove(&self, cx: &Cx, id: &str) -> Result<Proven, Problem> {
        let missing = || Problem::not_found("entry");
        let id = EntryId::parse(id).ok_or_else(missing)?;
        let (index, entry) = self.find(cx, &id).await?.ok_or_else(missing)?;
        let edge = self.edge(cx).await?;
        let spans = tlog::inclusion(index, edge.size()).ok_or_else(|| Problem::internal("an entry beyond the end"))?;
        let proof = self.hashes(cx, spans, edge.size()).await?;
        Ok(Proven {
            entry: EntryView::of(index, &entry)?,
            record: entry.record.get().to_owned(),
            salt: HEXLOWER.encode(&entry.salt),
            leaf: BASE64.encode(&entry.commitment()),
            proof: proof.iter().map(|hash| BASE64.encode(hash)).collect(),
            checkpoint: self.signed(cx.scope(), edge.size(), edge.root())?.written(),
            key: self.verifier(cx.scope())?.written(),
        })
    }
}

/// Whether all entries of a bundle are older than an instant.
fn older(bundle: &Bundle, than: Timestamp) -> bool {
    bundle.entries.iter().all(|entry| entry.read().is_ok_and(|record| record.time < than))
}

/// An entry and its proof.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Proven {
    /// The entry.
    pub(crate) entry: EntryView,
    /// The text that the log commits to, byte for byte.
    record: String,
    /// What it was salted with, in hexadecimal.
    salt: String,
    /// What stands in the tree: HMAC-SHA256 of the record, keyed with the salt. In Base64.
    leaf: String,
    /// The hashes that lead from the leaf to the root (RFC 9162, section 2.1.3), each in Base64.
    proof: Vec<String>,
    /// The signed checkpoint that has the root (C2SP tlog-checkpoint).
    checkpoint: String,
    /// The key that verifies it (C2SP signed-note).
    key: String,
}

/// The cursor of a list of entries.
fn cursor(after: Option<&String>) -> Result<Option<u64>, Problem> {
    let refused = || Problem::invalid_field("/after", "not a cursor that a list gave out");
    after.map(|text| text.parse().map_err(|_| refused())).transpose()
}

macro_rules! search {
    ($it:ident) => {
        Search {
            after: cursor($it.after.as_ref())?,
            actor: $it.actor,
            action: $it.action,
            resource: $it.resource,
            from: $it.from,
            to: $it.to,
            limit: $it.limit,
        }
    };
}

/// Who did what to what: entries of the audit log, the newest first. Where very few of many fit, an answer may have fewer than
/// asked for, or none, and still go on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListEntries {
    /// By whom: an id, `visitor`, or a service.
    #[schemars(length(max = 200))]
    actor: Option<String>,
    /// What they did: a use case or endpoint, such as `identity.api_keys.create`.
    #[schemars(length(max = 200))]
    action: Option<String>,
    /// To what: the kind and the id, such as `identity.user/usr_…`.
    #[schemars(length(max = 400))]
    resource: Option<String>,
    /// Not before this.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    from: Option<Timestamp>,
    /// Before this.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    to: Option<Timestamp>,
    /// Go on after this cursor.
    #[schemars(length(max = 20))]
    after: Option<String>,
    /// At most so many, up to 200.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

use_case!(ListEntries => List<EntryView>, "audit.entries.list", Tenant, READ, Tell);

impl Handle<ListEntries> for Audit {
    async fn handle(&self, it: ListEntries, cx: Granted<ListEntries>) -> Result<List<EntryView>, Problem> {
        self.logs.search(&cx, &search!(it)).await
    }
}

/// The same of a tenant's log, or the platform's own, for an operator. Looking into a tenant's log is an entry of it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListEntriesOf {
    /// Whose log: a tenant's id, or `platform`.
    log: LogName,
    /// By whom.
    #[schemars(length(max = 200))]
    actor: Option<String>,
    /// What they did.
    #[schemars(length(max = 200))]
    action: Option<String>,
    /// To what.
    #[schemars(length(max = 400))]
    resource: Option<String>,
    /// Not before this.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    from: Option<Timestamp>,
    /// Before this.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    to: Option<Timestamp>,
    /// Go on after this cursor.
    #[schemars(length(max = 20))]
    after: Option<String>,
    /// At most so many, up to 200.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

use_case!(ListEntriesOf => List<EntryView>, "audit.logs.entries", Platform, READ, Tell, |it| it.log.resource());

impl Handle<ListEntriesOf> for Audit {
    async fn handle(&self, it: ListEntriesOf, cx: Granted<ListEntriesOf>) -> Result<List<EntryView>, Problem> {
        let inside = self.inside(&cx, it.log).await?;
        self.logs.search(&inside, &search!(it)).await
    }
}

/// An entry with the proof that the log has it: whoever holds a checkpoint can verify it without asking anyone.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProveEntry {
    /// Which, as listed.
    entry: String,
}

use_case!(ProveEntry => Proven, "audit.entries.prove", Tenant, READ, Tell, |it| kernel::Resource::one("entry", &it.entry));

impl Handle<ProveEntry> for Audit {
    async fn handle(&self, it: ProveEntry, cx: Granted<ProveEntry>) -> Result<Proven, Problem> {
        self.logs.prove(&cx, &it.entry).await
    }
}

/// The same of a tenant's log, or the platform's own, for an operator.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProveEntryOf {
    /// Whose log: a tenant's id, or `platform`.
    log: LogName,
    /// Which, as listed.
    entry: String,
}

use_case!(ProveEntryOf => Proven, "audit.logs.prove", Platform, READ, Tell, |it| it.log.resource());

impl Handle<ProveEntryOf> for Audit {
    async fn handle(&self, it: ProveEntryOf, cx: Granted<ProveEntryOf>) -> Result<Proven, Problem> {
        let inside = self.inside(&cx, it.log).await?;
        self.logs.prove(&inside, &it.entry).await
    }
}
