//! `Idempotency-Key`: the same key, the same answer, one effect, for a day, also after a crash.
//!
//! What a request will draw of randomness is decided and stored before it runs, so that one that was cut short makes the
//! same ids when it is sent again: its writes carry the same commit ids, and those that landed are not made twice.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use cache::Cache;
use http::request::Parts;
use kernel::{
    Aggregate, Cx, Effect, Life, Problem, ProblemKind, Scope, ScopeKind, Timestamp, UserId, entropy::Entropy,
};
use ring::hmac;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use store::Store;

/// For how long a key is known.
const REMEMBERED: Duration = Duration::from_hours(24);
/// A larger answer is not kept: the request is run again, to the same effect.
const LARGEST: usize = 256 << 10;
/// For how long this process answers a repetition from memory.
const AT_HAND: Duration = Duration::from_secs(10);
const AT_HAND_BYTES: u64 = 16 << 20;

/// A request under a key, in a tenant's scope or the platform's.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Asked<const TENANT: bool> {
    id: String,
    /// Whose request it was: the answer is sealed under that person's key.
    by: Option<UserId>,
    /// Of the input.
    digest: String,
    seed: [u8; 32],
    begun: Timestamp,
    answer: Option<Box<RawValue>>,
    /// It has had its effect, and its answer was a secret: neither it nor what it could be made from again is here.
    #[serde(default)]
    revealed: bool,
}

impl<const TENANT: bool> Aggregate for Asked<TENANT> {
    type Id = String;
    const KIND: &'static str = "web.request";
    const SCOPE: ScopeKind = if TENANT { ScopeKind::Tenant } else { ScopeKind::Platform };
    const LIFE: Life = Life::Ephemeral;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn subject(&self) -> Option<UserId> {
        self.by
    }

    fn expires(&self) -> Option<Timestamp> {
        self.begun.checked_add(REMEMBERED).ok()
    }
}

/// Bytes that follow from a seed (HMAC-SHA256 in counter mode): the same for the same request, and a secret as the seed is.
struct Seeded {
    key: hmac::Key,
    counter: std::sync::atomic::AtomicU64,
}

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(32) {
            let count = self.counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let tag = hmac::sign(&self.key, &count.to_be_bytes());
            piece.iter_mut().zip(tag.as_ref()).for_each(|(byte, of)| *byte = *of);
        }
    }
}

fn sha256(text: &str) -> String {
    data_encoding::HEXLOWER.encode(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref())
}

fn reused() -> Problem {
    Problem::new(ProblemKind::Refused, "key_reused", "this Idempotency-Key came with another input")
        .hint("use a fresh key for each request")
}

fn answer_not_kept() -> Problem {
    let detail = "this took effect when it was first sent, and its answer showed a secret, which is not kept";
    Problem::new(ProblemKind::Conflict, "answer_not_kept", detail)
        .hint("if the answer was lost, end what it made and make another under a fresh Idempotency-Key")
}

/// The key of a request that changes something.
pub(crate) fn key(parts: &Parts, changes: bool) -> Result<Option<String>, Problem> {
    let Some(value) = parts.headers.get("idempotency-key").filter(|_| changes) else { return Ok(None) };
    let refused = "expected 1 to 128 visible ASCII characters";
    let text = value.to_str().ok().filter(|text| (1..=128).contains(&text.len()));
    text.map(|text| Some(text.to_owned())).ok_or_else(|| Problem::invalid_field("Idempotency-Key", refused))
}

struct Answer {
    digest: String,
    answer: Bytes,
}

/// Requests under keys.
pub(crate) struct Repeated {
    store: Store,
    at_hand: Cache<String, Answer>,
}

impl Repeated {
    pub(crate) fn new(store: Store) -> Self {
        let weight = |key: &String, it: &Answer| u32::try_from(key.len() + it.answer.len() + 256).unwrap_or(u32::MAX);
        let at_hand = Cache::weighed(AT_HAND_BYTES, AT_HAND, weight);
        Self { store, at_hand }
    }

    /// Runs once for a key; whoever sends it again, even at the same time, gets the first answer. A request that was
    /// refused may be mended and sent under the same key; one that failed is sent again as it was.
    pub(crate) async fn once<F, R>(
        &self,
        (operation, key, effect): (&str, &str, Effect),
        input: &Value,
        cx: &Cx,
        run: F,
    ) -> Result<Bytes, Problem>
    where
        F: FnOnce(Cx) -> R,
        R: Future<Output = Result<Bytes, Problem>>,
    {
        // With the session: what one was told, another of the same person is not.
        let id = sha256(&format!("{}|{:?}|{operation}|{key}", cx.scope(), cx.caller()));
        let digest = sha256(&input.to_string());
        let running = async {
            let answer = match cx.scope() {
                Scope::Tenant(_) => self.stored::<true, _, _>((&id, &digest), effect, cx, run).await?,
                Scope::Platform => self.stored::<false, _, _>((&id, &digest), effect, cx, run).await?,
            };
            Ok::<_, Problem>(Answer { digest: digest.clone(), answer })
        };
        let kept = self.at_hand.get_or(id.clone(), running).await?;
        if kept.digest != digest {
            return Err(reused());
        }
        Ok(kept.answer.clone())
    }

    async fn stored<const TENANT: bool, F, R>(
        &self,
        (id, digest): (&str, &str),
        effect: Effect,
        cx: &Cx,
        run: F,
    ) -> Result<Bytes, Problem>
    where
        F: FnOnce(Cx) -> R,
        R: Future<Output = Result<Bytes, Problem>>,
    {
        let asked = self.begin::<TENANT>(id, digest, cx).await?;
        if asked.digest != digest {
            return Err(reused());
        }
        if asked.revealed {
            return Err(answer_not_kept());
        }
        if let Some(answer) = &asked.answer {
            return Ok(Bytes::copy_from_slice(answer.get().as_bytes()));
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, &asked.seed);
        let entropy = Arc::new(Seeded { key, counter: std::sync::atomic::AtomicU64::new(0) });
        let store = self.store.at(cx);
        match run(cx.repeated(id, entropy, asked.begun)).await {
            Ok(answer) => {
                self.keep::<TENANT>(&asked.id, effect, &answer, cx).await?;
                Ok(answer)
            }
            Err(problem) => {
                let failed = problem.kind().retryable() || problem.kind() == ProblemKind::Internal;
                if !failed && let Some(asked) = store.try_load::<Asked<TENANT>>(&asked.id).await? {
                    store.delete(asked, ()).await?;
                }
                Err(problem)
            }
        }
    }

    async fn keep<const TENANT: bool>(
        &self,
        id: &String,
        effect: Effect,
        answer: &Bytes,
        cx: &Cx,
    ) -> Result<(), Problem> {
        if answer.len() > LARGEST && effect != Effect::Reveal {
            return Ok(());
        }
        let text = String::from_utf8(answer.to_vec()).map_err(Problem::internal)?;
        let text = RawValue::from_string(text).map_err(Problem::internal)?;
        let keep = |it: &mut Asked<TENANT>| {
            if effect == Effect::Reveal {
                // The secret follows from the seed.
                (it.revealed, it.seed) = (true, [0; 32]);
            } else {
                it.answer.get_or_insert_with(|| text.clone());
            }
            Ok(())
        };
        // It is done either way; without the answer it would be done again, to the same effect.
        if let Err(problem) = self.store.at(cx).change(id, keep).await {
            tracing::warn!(code = problem.code(), "the answer to a request under a key was not kept");
        }
        Ok(())
    }

    /// The request of a key: as it was begun before, or begun now.
    async fn begin<const TENANT: bool>(&self, id: &str, digest: &str, cx: &Cx) -> Result<Asked<TENANT>, Problem> {
        let (store, id) = (self.store.at(cx), id.to_owned());
        if let Some(known) = store.try_load::<Asked<TENANT>>(&id).await? {
            return Ok(known.into_inner());
        }
        let by = cx.caller().user().filter(|_| TENANT);
        let (seed, begun, digest) = (cx.random(), cx.real_now(), digest.to_owned());
        let fresh = Asked::<TENANT> { id: id.clone(), by, digest, seed, begun, answer: None, revealed: false };
        match store.create(fresh, ()).await {
            Ok(begun) => Ok(begun.into_inner()),
            // The same request at another process was faster.
            Err(raced) if raced.kind() == ProblemKind::Conflict => {
                store.load::<Asked<TENANT>>(&id).await.map(store::Loaded::into_inner)
            }
            Err(other) => Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use kernel::{Caller, Grants, cx::Ambient};
    use keys::{Keyring, Keys, model::ModelKeys};
    use serde_json::json;
    use store::model::ModelEngine;

    use super::*;

    struct Served {
        _folder: tempfile::TempDir,
        store: Store,
        cx: Cx,
        runs: AtomicUsize,
    }

    impl Served {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let ambient = Ambient::system();
            let keyring = Keyring::open(&folder.path().join("keyring"), &*ambient.entropy).unwrap();
            let keys = Keys::new(keyring, Arc::new(ModelKeys::default()), Arc::clone(&ambient.entropy));
            let cx = Cx::verified(Scope::Platform, Caller::Visitor, Grants::default(), &ambient);
            Self {
                _folder: folder,
                store: Store::new(Arc::new(ModelEngine::default()), keys),
                cx,
                runs: AtomicUsize::new(0),
            }
        }

        /// Sends a request that answers with what it drew, to a process.
        async fn sends(&self, to: &Repeated, effect: Effect) -> Result<Bytes, Problem> {
            let run = |cx: Cx| async move {
                self.runs.fetch_add(1, Ordering::Relaxed);
                Ok(Bytes::from(json!({ "secret": cx.random::<8>() }).to_string()))
            };
            to.once(("made.up", "key", effect), &json!({}), &self.cx, run).await
        }
    }

    #[tokio::test]
    async fn the_same_answer_for_the_same_key_whoever_is_asked() {
        let it = Served::new();
        let first = it.sends(&Repeated::new(it.store.clone()), Effect::Change).await.unwrap();
        let again = it.sends(&Repeated::new(it.store.clone()), Effect::Change).await.unwrap();
        assert_eq!((first, it.runs.load(Ordering::Relaxed)), (again, 1));
    }

    #[tokio::test]
    async fn a_secret_is_given_again_from_memory_alone_and_nothing_that_leads_to_it_is_stored() {
        let it = Served::new();
        let process = Repeated::new(it.store.clone());
        let first = it.sends(&process, Effect::Reveal).await.unwrap();
        assert_eq!(it.sends(&process, Effect::Reveal).await.unwrap(), first, "a moment later");
        let later = it.sends(&Repeated::new(it.store.clone()), Effect::Reveal).await.unwrap_err();
        assert_eq!((later.code(), it.runs.load(Ordering::Relaxed)), ("answer_not_kept", 1), "it is not done twice");
        let id = sha256(&format!("{}|{:?}|made.up|key", it.cx.scope(), it.cx.caller()));
        let kept = it.store.at(&it.cx).load::<Asked<false>>(&id).await.unwrap();
        assert!(kept.answer.is_none() && kept.seed == [0; 32]);
    }
}
