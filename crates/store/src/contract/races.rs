//! What holds while many write at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::Barrier, task::JoinSet};

use super::{Base, ClaimKey, CoreKey, Draft, StoreError, Subject, cores::everything, told};
use crate::port::Scan;

pub(super) async fn one_of_many_gets_the_name(subject: &Subject) {
    const WRITERS: usize = 8;
    for _ in 0..5 {
        let space = subject.space().await;
        let start = Arc::new(Barrier::new(WRITERS));
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (subject, space, start) = (subject.clone(), space.clone(), Arc::clone(&start));
            writers.spawn(async move {
                let draft = Draft::create(&space, &format!("w{writer}"), "").claim("x");
                start.wait().await;
                (draft.key().id.clone(), settled(&draft, &subject).await)
            });
        }
        let mut winners = Vec::new();
        while let Some(outcome) = writers.join_next().await {
            match outcome.expect("a writer ends") {
                (id, Ok(_)) => winners.push(id),
                (_, Err(StoreError::Taken(_) | StoreError::Conflict)) => {}
                (_, Err(other)) => assert!(matches!(other, StoreError::Unavailable(_)), "{other}"),
            }
        }
        let found = subject.engine.find(&space, &ClaimKey("x".to_owned())).await.expect("answers");
        assert_eq!(winners, found.map(|(key, _)| key.id).into_iter().collect::<Vec<_>>(), "one holder, and it knows");
        let cores = subject.engine.export(&space, None, 100).await.expect("answers");
        assert_eq!(cores.len(), 1, "who lost the race left nothing");
    }
}

/// Sends until the outcome is known; a conflict on a base that never existed is a fence that was raised: read it again.
async fn settled(draft: &Draft, subject: &Subject) -> Result<super::Outcome, StoreError> {
    let mut draft = draft.clone();
    for _ in 0..50 {
        match draft.send(subject).await {
            Err(StoreError::Conflict) => {
                let base = subject.engine.base(draft.key()).await?;
                if base.version != draft.0.base.version {
                    return Err(StoreError::Conflict);
                }
                draft.0.base = base;
            }
            Err(StoreError::Unavailable(_)) => tokio::task::yield_now().await,
            other => return other,
        }
    }
    Err(StoreError::Unavailable("not settled after 50 attempts".to_owned()))
}

pub(super) async fn no_update_is_lost(subject: &Subject) {
    const WRITERS: usize = 6;
    const EACH: usize = 10;
    let space = subject.space().await;
    Draft::create(&space, "counter", "0").done(subject).await;
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (subject, space) = (subject.clone(), space.clone());
        writers.spawn(async move {
            for _ in 0..EACH {
                increment(&subject, &space).await;
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.expect("a writer ends");
    }
    let key = CoreKey { space: space.clone(), kind: "test.thing".to_owned(), id: "counter".to_owned() };
    let core = subject.engine.get(&key).await.expect("answers").expect("there");
    let count = WRITERS * EACH;
    assert_eq!(core.body, count.to_string().as_bytes(), "every acknowledged increment counts");
    assert_eq!(core.base.version, count as u64 + 1);
    let events = told(subject, &space).await;
    let versions: Vec<u64> = events.iter().filter_map(|version| version.parse().ok()).collect();
    assert_eq!(versions, (2..=count as u64 + 1).collect::<Vec<_>>(), "one event a commit, in order");
}

async fn increment(subject: &Subject, space: &super::Space) {
    let key = CoreKey { space: space.clone(), kind: "test.thing".to_owned(), id: "counter".to_owned() };
    loop {
        let core = subject.engine.get(&key).await.expect("answers").expect("there");
        let count: u64 = String::from_utf8_lossy(&core.body).parse().expect("a number was stored");
        let draft = Draft::put(space, "counter", core.base, &(count + 1).to_string());
        let draft = draft.event(&(core.base.version + 1).to_string());
        let mut outcome = draft.send(subject).await;
        while matches!(outcome, Err(StoreError::Unavailable(_))) {
            outcome = draft.send(subject).await;
        }
        match outcome {
            Ok(_) => return,
            Err(StoreError::Conflict) => {}
            Err(other) => assert!(matches!(other, StoreError::Conflict), "{other}"),
        }
    }
}

pub(super) async fn no_hit_comes_twice_while_writers_write(subject: &Subject) {
    let space = subject.space().await;
    let mut bases = BTreeMap::new();
    for at in 0..20 {
        let id = format!("i{at:02}");
        bases.insert(id.clone(), Draft::create(&space, &id, "").term("t", "m").done(subject).await);
    }
    let writer = {
        let (subject, space) = (subject.clone(), space.clone());
        tokio::spawn(async move {
            for turn in 0..3 {
                for (id, base) in &mut bases {
                    let sort = if turn % 2 == 0 { "z" } else { "a" };
                    *base = Draft::put(&space, id, *base, "").term("t", sort).done(&subject).await;
                }
            }
        })
    };
    while !writer.is_finished() {
        let (mut seen, mut after) = (BTreeSet::new(), None::<(String, String)>);
        loop {
            let scan = Scan { after: after.clone(), limit: 7, ..everything(&space) };
            let page = subject.engine.scan(&scan).await.expect("answers");
            let Some(last) = page.last() else { break };
            let places: Vec<_> = page.iter().map(|hit| (hit.sort.clone(), hit.id.clone())).collect();
            assert!(places.is_sorted(), "a page is in order");
            after = Some((last.sort.clone(), last.id.clone()));
            assert!(places.into_iter().all(|place| seen.insert(place)), "no place comes twice");
            let carried = |hit: &crate::port::Hit| hit.core.terms.iter().any(|term| term.sort == hit.sort);
            assert!(page.iter().all(carried), "each hit held the term when it was read");
        }
    }
    writer.await.expect("the writer ends");
    assert_eq!(subject.engine.scan(&everything(&space)).await.expect("answers").len(), 20, "all are found at rest");
}

pub(super) async fn events_keep_the_order_under_slow_writers(subject: &Subject) {
    const AGGREGATES: usize = 6;
    const VERSIONS: u64 = 12;
    let space = subject.space().await;
    let mut writers = JoinSet::new();
    for aggregate in 0..AGGREGATES {
        let (subject, space) = (subject.clone(), space.clone());
        writers.spawn(async move {
            let mut base = Base::default();
            for version in 1..=VERSIONS {
                let draft =
                    Draft::put(&space, &format!("g{aggregate}"), base, "").event(&format!("g{aggregate} {version}"));
                base = draft.done(&subject).await;
            }
        });
    }
    // Events are read while commits are still under way: one of a slow commit must not be overtaken or skipped.
    let mut seen = Vec::new();
    while !writers.is_empty() {
        seen.extend(told(subject, &space).await);
        while let Some(ended) = writers.try_join_next() {
            ended.expect("a writer ends");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    seen.extend(told(subject, &space).await);
    for aggregate in 0..AGGREGATES {
        let of = |text: &String| text.strip_prefix(&format!("g{aggregate} ")).and_then(|version| version.parse().ok());
        let versions: Vec<u64> = seen.iter().filter_map(of).collect();
        assert_eq!(versions, (1..=VERSIONS).collect::<Vec<_>>(), "none lost, none overtaken");
    }
}
