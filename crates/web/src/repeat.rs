//! `Idempotency-Key`: the same key, the same answer, one effect. Answers are remembered in this process for a day; a key
//! that comes with another input is refused.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use http::request::Parts;
use kernel::{Problem, ProblemKind, problem::ProblemDocument};
use moka::future::Cache;
use serde_json::Value;

const REMEMBERED: Duration = Duration::from_hours(24);
const KEPT_BYTES: u64 = 64 << 20;

#[derive(Clone)]
struct Answer {
    /// Of the input: what is kept for a day must not be as large as what anybody may send.
    input: String,
    answer: Bytes,
}

pub(crate) struct Answers(Cache<String, Arc<Answer>>);

impl Default for Answers {
    fn default() -> Self {
        let weight =
            |key: &String, it: &Arc<Answer>| u32::try_from(key.len() + it.answer.len() + 256).unwrap_or(u32::MAX);
        Self(Cache::builder().max_capacity(KEPT_BYTES).weigher(weight).time_to_live(REMEMBERED).build())
    }
}

/// The key of a request that changes something.
pub(crate) fn key(parts: &Parts, changes: bool) -> Result<Option<String>, Problem> {
    let Some(value) = parts.headers.get("idempotency-key").filter(|_| changes) else { return Ok(None) };
    let refused = "expected 1 to 128 visible ASCII characters";
    let text = value.to_str().ok().filter(|text| (1..=128).contains(&text.len()));
    text.map(|text| Some(text.to_owned())).ok_or_else(|| Problem::invalid_field("Idempotency-Key", refused))
}

impl Answers {
    /// Runs once for a key; whoever sends it again, even at the same time, gets the first answer. Failures are not kept.
    pub(crate) async fn once(
        &self,
        key: String,
        input: &Value,
        run: impl Future<Output = Result<Bytes, Problem>>,
    ) -> Result<Bytes, Problem> {
        let digest = ring::digest::digest(&ring::digest::SHA256, input.to_string().as_bytes());
        let input = data_encoding::HEXLOWER.encode(digest.as_ref());
        let run = async { Ok::<_, Problem>(Arc::new(Answer { input: input.clone(), answer: run.await? })) };
        let kept = self.0.try_get_with(key, run).await;
        let kept = kept.map_err(|problem| Problem::from(ProblemDocument::clone(&problem.document(None))))?;
        if kept.input != input {
            return Err(Problem::new(
                ProblemKind::Refused,
                "key_reused",
                "this Idempotency-Key came with another input",
            )
            .hint("use a fresh key for each request"));
        }
        Ok(kept.answer.clone())
    }
}
