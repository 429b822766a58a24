//! Events that a reaction could not digest.

use kernel::{Envelope, Granted, Handle, List, Problem, ProblemKind, Timestamp, use_case};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EVENTS, Operations};
use crate::{DeadLetter, digest::Digested};

/// Events that were put aside, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListDeadLetters {
    /// At most so many, up to 200.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

/// An event that was put aside for one reaction.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DeadLetterView {
    /// The context and its reaction.
    reader: String,
    /// The position of the event in the log.
    position: u64,
    /// The type of the event; missing once the event was trimmed or erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<String>,
    /// The scope it happened in.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// Why, as the code of a problem.
    reason: String,
    /// When it was put aside.
    #[schemars(with = "String", extend("format" = "date-time"))]
    at: Timestamp,
}

use_case!(ListDeadLetters => List<DeadLetterView>, "operations.dead_letters.list", Platform, EVENTS, Tell);

impl Handle<ListDeadLetters> for Operations {
    async fn handle(&self, it: ListDeadLetters, _: Granted<ListDeadLetters>) -> Result<List<DeadLetterView>, Problem> {
        let limit = usize::try_from(it.limit.unwrap_or(50).clamp(1, 200)).unwrap_or(50);
        let mut items = Vec::new();
        for letter in self.log.buried(limit).await.map_err(Problem::internal)? {
            let event = self.log.at(letter.position).await.map_err(Problem::internal)?;
            let envelope = event.and_then(|event| serde_json::from_slice::<Envelope>(&event.envelope).ok());
            let (r#type, scope) = envelope.map(|it| (it.r#type, it.scope.to_string())).unzip();
            let DeadLetter { reader, position, reason, at } = letter;
            items.push(DeadLetterView { reader, position, r#type, scope, reason, at });
        }
        Ok(List { items, next: None })
    }
}

/// Has an event digested again by the reaction that it was put aside for.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayDeadLetter {
    /// The context and its reaction, as listed.
    #[schemars(length(max = 200))]
    reader: String,
    /// The position of the event, as listed.
    position: u64,
}

use_case!(ReplayDeadLetter => (), "operations.dead_letters.replay", Platform, EVENTS);

impl Handle<ReplayDeadLetter> for Operations {
    async fn handle(&self, it: ReplayDeadLetter, _: Granted<ReplayDeadLetter>) -> Result<(), Problem> {
        let missing = || Problem::not_found("dead letter").hint("take reader and position from the list");
        let (context, reaction) = it.reader.split_once('.').ok_or_else(missing)?;
        let digest = self.running()?.digests.iter().find(|it| it.context == context).ok_or_else(missing)?;
        let listed = self.log.buried(10_000).await.map_err(Problem::internal)?;
        if !listed.iter().any(|letter| letter.reader == it.reader && letter.position == it.position) {
            return Err(missing());
        }
        if let Some(event) = self.log.at(it.position).await.map_err(Problem::internal)? {
            let fails = |code: &str| {
                Problem::new(
                    ProblemKind::Refused,
                    "operations.still_refused",
                    format!("the reaction still fails: {code}"),
                )
                .hint("mend what the reason names, then replay it once more")
            };
            let sealed = serde_json::from_slice(&event.envelope).map_err(|_| fails("envelope_unreadable"))?;
            match digest.event(&sealed, Some(reaction)).await {
                Digested::Done => {}
                Digested::Refused(refused) => {
                    return Err(fails(refused.first().map_or("unknown", |(_, code)| code)));
                }
                Digested::Later(problem) => return Err(fails(problem.code())),
            }
        }
        self.log.exhume(&it.reader, it.position).await.map_err(Problem::internal)
    }
}
