//! Witnesses: others, whose keys a tenant has named, who keep what they saw of the log and sign it with the time. A log that
//! showed them one past and someone else another would have two checkpoints that cannot both be proved.

use contracts::audit::{WitnessAdded, WitnessRemoved};
use kernel::{
    Aggregate, AnyEvent, Cx, Granted, Handle, List, Problem, ProblemKind, Resource, ScopeKind, Timestamp, UseCase,
    use_case,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tlog::{Algorithm, Checkpoint, Note, Signature, Verifier};

use crate::{
    Audit,
    log::Logs,
    permissions::{READ, WITNESS},
};

/// The most witnesses of a log.
const MOST: usize = 16;

/// A witness, with what it has seen last.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Witness {
    key: String,
    added: Timestamp,
    seen: Option<u64>,
    at: Option<u64>,
}

/// The witnesses of a log, and the newest checkpoint that any of them has cosigned, with the cosignatures that it has.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Witnesses {
    all: Vec<Witness>,
    note: Option<String>,
}

impl Witnesses {
    pub(crate) const ID: &'static str = "witnesses";

    fn add(&mut self, verifier: &Verifier, now: Timestamp) -> Result<Vec<AnyEvent>, Problem> {
        let key = verifier.written();
        if self.all.iter().any(|it| it.key == key) {
            return Ok(Vec::new());
        }
        let same = |it: &Witness| it.key.split('+').next() == Some(verifier.name());
        if self.all.iter().any(same) {
            return Err(Problem::new(
                ProblemKind::Conflict,
                "audit.witness_known",
                "this witness has another key here",
            )
            .hint("remove the key that it has before it gets a new one"));
        }
        if self.all.len() >= MOST {
            return Err(Problem::new(
                ProblemKind::Refused,
                "audit.too_many_witnesses",
                "a log has 16 witnesses at most",
            )
            .hint("remove one that cosigns no more"));
        }
        self.all.push(Witness { key: key.clone(), added: now, seen: None, at: None });
        Ok(vec![WitnessAdded { name: verifier.name().to_owned(), key }.into()])
    }

    fn remove(&mut self, name: &str) -> Result<Vec<AnyEvent>, Problem> {
        let at = self.all.iter().position(|it| it.key.split('+').next() == Some(name));
        let removed = self.all.remove(at.ok_or_else(|| Problem::not_found("witness"))?);
        Ok(vec![WitnessRemoved { name: name.to_owned(), key: removed.key }.into()])
    }

    /// Takes the cosignatures of a note that this log has signed, by witnesses that are known. The newest note stays; of the
    /// same one, all cosignatures.
    fn cosigned(&mut self, note: &Note, checkpoint: &Checkpoint) -> Result<usize, Problem> {
        let unknown = || {
            Problem::new(ProblemKind::Refused, "audit.cosignature_refused", "no cosignature of a witness of this log")
                .hint("add the witness's key first, and send the checkpoint with its line of signature")
        };
        let mut good: Vec<Signature> = Vec::new();
        for witness in &mut self.all {
            let Ok(verifier) = Verifier::parse(&witness.key) else { continue };
            let Ok(Some(time)) = verifier.verify(note) else { continue };
            // A witness that saw more than this is not told to have seen less.
            if witness.seen.is_none_or(|seen| seen <= checkpoint.size) {
                (witness.seen, witness.at) = (Some(checkpoint.size), Some(time));
            }
            let id = verifier.id();
            good.extend(note.signatures.iter().find(|it| it.name == verifier.name() && it.key_id == id).cloned());
        }
        if good.is_empty() {
            return Err(unknown());
        }
        let count = good.len();
        let kept = self.note.as_deref().and_then(|text| Note::parse(text).ok());
        let kept_size = kept.as_ref().and_then(|it| Checkpoint::parse(&it.text).ok()).map(|it| it.size);
        if kept_size.is_none_or(|kept| kept <= checkpoint.size) {
            let own = note.signatures.iter().filter(|it| it.name == checkpoint.origin).take(1).cloned();
            let before = kept.filter(|it| it.text == note.text).map(|it| it.signatures).unwrap_or_default();
            let before = before.into_iter().filter(|it| it.name != checkpoint.origin);
            let others = before.filter(|it| !good.iter().any(|new| new.key_id == it.key_id)).collect::<Vec<_>>();
            let signatures = own.chain(others).chain(good).collect();
            self.note = Some(Note { text: note.text.clone(), signatures }.written());
        }
        Ok(count)
    }
}

impl Aggregate for Witnesses {
    type Id = String;
    const KIND: &'static str = "audit.witnesses";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const EVERYWHERE: bool = true;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }
}

/// A witness.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct WitnessView {
    /// Its name.
    name: String,
    /// Its key (C2SP signed-note, of the type of tlog-cosignature).
    key: String,
    /// Since when it is one.
    #[schemars(with = "String", extend("format" = "date-time"))]
    added: Timestamp,
    /// How many entries the newest checkpoint has that it cosigned.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<u64>,
    /// When it did, by its own clock.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
}

impl Witness {
    fn view(&self) -> WitnessView {
        let seconds = |at: u64| i64::try_from(at).ok().and_then(|at| Timestamp::from_second(at).ok());
        WitnessView {
            name: self.key.split('+').next().unwrap_or_default().to_owned(),
            key: self.key.clone(),
            added: self.added,
            seen: self.seen,
            at: self.at.and_then(seconds),
        }
    }
}

impl Logs {
    async fn witnesses(&self, cx: &Cx) -> Result<Witnesses, Problem> {
        let stored = self.store.at(cx).try_load::<Witnesses>(&Witnesses::ID.to_owned()).await?;
        Ok(stored.map(store::Loaded::into_inner).unwrap_or_default())
    }

    /// The newest checkpoint that a witness has cosigned.
    pub(crate) async fn witnessed(&self, cx: &Cx) -> Result<Option<Note>, Problem> {
        Ok(self.witnesses(cx).await?.note.and_then(|text| Note::parse(&text).ok()))
    }

    async fn change_witnesses<U: UseCase>(
        &self,
        cx: &Granted<U>,
        mut rule: impl FnMut(&mut Witnesses) -> Result<Vec<AnyEvent>, Problem> + Send,
    ) -> Result<Witnesses, Problem> {
        let (store, id) = (self.store.at(cx), Witnesses::ID.to_owned());
        if store.try_load::<Witnesses>(&id).await?.is_none() {
            let mut fresh = Witnesses::default();
            let events = rule(&mut fresh)?;
            match store.create(fresh, events).await {
                Err(conflict) if conflict.kind() == ProblemKind::Conflict => {}
                created => return created.map(store::Loaded::into_inner),
            }
        }
        store.change(&id, rule).await.map(store::Loaded::into_inner)
    }
}

/// Names a witness of this log by its key: what it cosigns is kept and shown.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddWitness {
    /// Its key, written `name+id+key` (C2SP signed-note; the type is that of tlog-cosignature).
    #[schemars(length(max = 400))]
    key: String,
}

use_case!(AddWitness => WitnessView, "audit.witnesses.add", Tenant, WITNESS);

impl Handle<AddWitness> for Audit {
    async fn handle(&self, it: AddWitness, cx: Granted<AddWitness>) -> Result<WitnessView, Problem> {
        let verifier = Verifier::parse(&it.key).ok().filter(|it| it.algorithm() == Algorithm::Cosignature);
        let expected = "expected a key for cosignatures, written name+id+key";
        let verifier = verifier.ok_or_else(|| Problem::invalid_field("/key", expected))?;
        let now = cx.real_now();
        let all = self.logs.change_witnesses(&cx, |all| all.add(&verifier, now)).await?;
        let added = all.all.iter().find(|it| it.key == verifier.written());
        added.map(Witness::view).ok_or_else(|| Problem::not_found("witness"))
    }
}

/// The witnesses of this log.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListWitnesses {}

use_case!(ListWitnesses => List<WitnessView>, "audit.witnesses.list", Tenant, READ, Tell);

impl Handle<ListWitnesses> for Audit {
    async fn handle(&self, _: ListWitnesses, cx: Granted<ListWitnesses>) -> Result<List<WitnessView>, Problem> {
        let items = self.logs.witnesses(&cx).await?.all.iter().map(Witness::view).collect();
        Ok(List { items, next: None })
    }
}

/// Takes a witness's key away. What it has cosigned stays.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveWitness {
    /// Its name.
    #[schemars(length(max = 256))]
    witness: String,
}

use_case!(RemoveWitness => (), "audit.witnesses.remove", Tenant, WITNESS, |it| Resource::one("witness", &it.witness));

impl Handle<RemoveWitness> for Audit {
    async fn handle(&self, it: RemoveWitness, cx: Granted<RemoveWitness>) -> Result<(), Problem> {
        if self.logs.witnesses(&cx).await?.all.is_empty() {
            return Err(Problem::not_found("witness"));
        }
        self.logs.change_witnesses(&cx, |all| all.remove(&it.witness)).await.map(drop)
    }
}

/// What came of a cosignature.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Cosigned {
    /// Of how many entries.
    size: u64,
    /// How many of the note's cosignatures are by witnesses of this log.
    good: u64,
}

/// Brings the cosignature of a witness for a checkpoint of this log. It counts if the witness is known, has signed exactly
/// this, and the log had this root at that size.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CosignCheckpoint {
    /// The checkpoint as the log has signed it, with the witness's line of signature.
    #[schemars(length(max = 16_384))]
    checkpoint: String,
}

use_case!(CosignCheckpoint => Cosigned, "audit.checkpoint.cosign", Tenant, READ, Change);

impl Handle<CosignCheckpoint> for Audit {
    async fn handle(&self, it: CosignCheckpoint, cx: Granted<CosignCheckpoint>) -> Result<Cosigned, Problem> {
        let refused = |what: &'static str| Problem::invalid_field("/checkpoint", what);
        let note = Note::parse(&it.checkpoint).map_err(|_| refused("not a signed note"))?;
        let checkpoint = Checkpoint::parse(&note.text).map_err(|_| refused("not a checkpoint"))?;
        let own = self.logs.verifier(cx.scope())?;
        own.verify(&note).map_err(|_| refused("not signed by this log"))?;
        let size = self.logs.edge(&cx).await?.size();
        if checkpoint.size > size || self.logs.root(&cx, checkpoint.size).await? != checkpoint.root {
            // The log has signed what it does not hold (any more): a backup was restored, or the data was changed.
            return Err(Problem::new(
                ProblemKind::Conflict,
                "audit.forked",
                "the log is not what this checkpoint says",
            )
            .hint("keep this checkpoint: with it anyone can show that the log was rewritten"));
        }
        let mut good = 0;
        let mut rule = |all: &mut Witnesses| {
            good = all.cosigned(&note, &checkpoint)?;
            Ok(Vec::new())
        };
        if self.logs.witnesses(&cx).await?.all.is_empty() {
            rule(&mut Witnesses::default())?;
        }
        self.logs.change_witnesses(&cx, rule).await?;
        Ok(Cosigned { size: checkpoint.size, good: good as u64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlog::Signer;

    #[test]
    fn the_newest_note_keeps_all_its_cosignatures() {
        let signer = |name: &str, seed| Signer::new(name, &[seed; 32]).unwrap();
        let (log, ann, bob, eve) = (signer("log", 1), signer("ann", 2), signer("bob", 3), signer("eve", 4));
        let mut it = Witnesses::default();
        for witness in [&ann, &bob] {
            let key = witness.verifier(Algorithm::Cosignature);
            assert_eq!(it.add(&key, Timestamp::UNIX_EPOCH).unwrap().len(), 1);
            assert!(it.add(&key, Timestamp::UNIX_EPOCH).unwrap().is_empty(), "twice is once");
        }
        let mut seen = |by: &Signer, size| {
            let checkpoint = Checkpoint { origin: "log".to_owned(), size, root: [0; 32] };
            let text = checkpoint.text();
            let note = Note { signatures: vec![log.sign(&text), by.cosign(&text, 7)], text };
            let outcome = it.cosigned(&note, &checkpoint).map_err(|problem| problem.code().to_owned());
            (outcome, Note::parse(it.note.as_deref().unwrap_or_default()).map_or(0, |note| note.signatures.len()))
        };
        assert_eq!(seen(&eve, 5), (Err("audit.cosignature_refused".to_owned()), 0));
        assert_eq!(seen(&ann, 5), (Ok(1), 2));
        assert_eq!(seen(&bob, 5), (Ok(1), 3), "both have seen it");
        assert_eq!(seen(&bob, 6), (Ok(1), 2));
        assert_eq!(seen(&ann, 5), (Ok(1), 2), "an older one takes nothing back");
        assert_eq!(it.all.iter().map(|it| it.seen).collect::<Vec<_>>(), [Some(5), Some(6)]);
        let other = signer("ann", 9).verifier(Algorithm::Cosignature);
        assert!(it.add(&other, Timestamp::UNIX_EPOCH).is_err(), "a name has one key");
        it.remove("ann").unwrap();
        assert!(it.remove("ann").is_err());
    }
}
