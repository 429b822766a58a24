//! Random commands against the engine and the model side by side: both must say the same.

use std::sync::Arc;

use kernel::entropy::SeededEntropy;

use super::{Base, ClaimKey, CoreKey, Draft, Engine, Outcome, Space, StoreError, Subject, cores::everything, pick};
use crate::{model::ModelEngine, port::Scan};

const STEPS: usize = 120;

pub(super) async fn agrees_with_the_model(subject: &Subject, seed: u64) {
    let entropy = SeededEntropy::new(seed);
    let model: Arc<dyn Engine> = Arc::new(ModelEngine::default());
    let space = subject.space().await;
    let mut sent: Vec<Draft> = Vec::new();
    for step in 0..STEPS {
        let draft = command(&entropy, &space, &sent, model.as_ref()).await;
        let mut fenced = draft.0.clone();
        let standing = subject.engine.base(draft.key()).await.expect("answers");
        if standing.version == fenced.base.version {
            // A refused rival's reservation may have had the core fenced, which the model knows nothing of.
            fenced.base.fence = standing.fence;
        }
        let (real, expected) = (subject.engine.commit(fenced).await, model.commit(draft.0.clone()).await);
        assert_eq!(shape(&real), shape(&expected), "seed {seed}, step {step}: {:?}", draft.0);
        sent.push(draft);
        same_view(subject, model.as_ref(), &space, seed, step).await;
    }
}

/// A creation, change, deletion, stale write, or repetition.
async fn command(entropy: &SeededEntropy, space: &Space, sent: &[Draft], model: &dyn Engine) -> Draft {
    let repeated = usize::try_from(pick(entropy, 8 * (sent.len() as u64 + 1))).unwrap_or(usize::MAX);
    if let Some(draft) = sent.get(repeated) {
        return draft.clone();
    }
    let id = format!("i{}", pick(entropy, 5));
    let key = CoreKey { space: space.clone(), kind: "test.thing".to_owned(), id: id.clone() };
    let mut base = model.base(&key).await.unwrap_or_default();
    if pick(entropy, 6) == 0 {
        base = Base { version: pick(entropy, 4), fence: 0 };
    }
    if pick(entropy, 5) == 0 {
        return Draft::delete(space, &id, base);
    }
    let mut draft = Draft::put(space, &id, base, &format!("body {}", pick(entropy, 1_000)));
    for name in ["x", "y", "z"] {
        if pick(entropy, 3) == 0 {
            draft = draft.claim(name);
        }
    }
    if pick(entropy, 2) == 0 {
        draft = draft.term("t", &pick(entropy, 3).to_string());
    }
    draft
}

fn shape(outcome: &Result<Outcome, StoreError>) -> String {
    match outcome {
        Ok(outcome) => format!("{outcome:?}"),
        Err(StoreError::Conflict) => "conflict".to_owned(),
        // Which of several held names is told first is the engine's choice.
        Err(StoreError::Taken(_)) => "taken".to_owned(),
        Err(other) => other.to_string(),
    }
}

async fn same_view(subject: &Subject, model: &dyn Engine, space: &Space, seed: u64, step: usize) {
    let at = format!("seed {seed}, step {step}");
    let (real, expected) = (subject.engine.export(space, None, 50).await, model.export(space, None, 50).await);
    assert_eq!(plain(real.expect("answers")), plain(expected.expect("answers")), "cores, {at}");
    for name in ["x", "y", "z"] {
        let claim = ClaimKey(name.to_owned());
        let (real, expected) = (subject.engine.find(space, &claim).await, model.find(space, &claim).await);
        let id = |found: Option<(CoreKey, crate::port::Core)>| found.map(|(key, _)| key.id);
        assert_eq!(id(real.expect("answers")), id(expected.expect("answers")), "holder of {name}, {at}");
    }
    let scan = Scan { newest_first: step.is_multiple_of(2), limit: 3, ..everything(space) };
    let (real, expected) = (subject.engine.scan(&scan).await, model.scan(&scan).await);
    let places = |hits: Vec<crate::port::Hit>| hits.into_iter().map(|hit| (hit.sort, hit.id)).collect::<Vec<_>>();
    assert_eq!(places(real.expect("answers")), places(expected.expect("answers")), "scan, {at}");
}

/// Without the fence, which repair may raise where the model has none; sets in one order.
fn plain(cores: Vec<(CoreKey, crate::port::Core)>) -> Vec<(String, u64, Vec<u8>, Vec<ClaimKey>)> {
    let plain = |(key, mut core): (CoreKey, crate::port::Core)| {
        core.claims.sort();
        (key.id, core.base.version, core.body, core.claims)
    };
    cores.into_iter().map(plain).collect()
}
