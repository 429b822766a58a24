//! What is derived from cores: scans, timers, the feed, ends, the outbox.

use std::time::Duration;

use super::{Draft, StoreError, Subject, cores::everything, instant, told};
use crate::port::Scan;

pub(super) async fn scans_are_ordered_and_paged(subject: &Subject) {
    let space = subject.space().await;
    let order = [("1", "d"), ("1", "e"), ("2", "a"), ("3", "b"), ("3", "c")];
    for (sort, id) in order.iter().rev() {
        Draft::create(&space, id, id).term("t", sort).term("u", "").done(subject).await;
    }
    Draft::create(&space, "z", "z").term("other", "0").done(subject).await;
    let page = async |after: Option<(String, String)>, newest_first: bool, limit: usize| {
        let scan = Scan { after, newest_first, limit, ..everything(&space) };
        let hits = subject.engine.scan(&scan).await.expect("answers");
        hits.into_iter().map(|hit| (hit.sort, hit.id)).collect::<Vec<_>>()
    };
    let expected: Vec<_> = order.iter().map(|(sort, id)| ((*sort).to_owned(), (*id).to_owned())).collect();
    let reversed: Vec<_> = expected.iter().rev().cloned().collect();
    assert_eq!(page(None, false, 10).await, expected, "in the order of (sort, id)");
    assert_eq!(page(None, true, 10).await, reversed, "and the other way round");
    for (newest_first, expected) in [(false, expected), (true, reversed)] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let next = page(after.clone(), newest_first, 2).await;
            let Some(last) = next.last().cloned() else { break };
            after = Some(last);
            seen.extend(next);
            assert!(seen.len() <= expected.len(), "pages come to an end");
        }
        assert_eq!(seen, expected, "pages join without gap or overlap");
    }
}

pub(super) async fn terms_follow_the_core(subject: &Subject) {
    let space = subject.space().await;
    let hits = async || {
        let hits = subject.engine.scan(&everything(&space)).await.expect("answers");
        hits.into_iter().map(|hit| (hit.sort, hit.core.base.version)).collect::<Vec<_>>()
    };
    let one = Draft::create(&space, "a", "a").term("t", "1").done(subject).await;
    let two = Draft::put(&space, "a", one, "a").term("t", "2").done(subject).await;
    assert_eq!(hits().await, [("2".to_owned(), 2)], "the old place is left, the new one taken");
    let three = Draft::put(&space, "a", two, "a").term("other", "").done(subject).await;
    assert_eq!(hits().await, [], "a term that is dropped finds nothing");
    let four = Draft::put(&space, "a", three, "a").term("t", "1").done(subject).await;
    assert_eq!(hits().await, [("1".to_owned(), 4)], "a term that comes back finds again");
    Draft::delete(&space, "a", four).done(subject).await;
    assert_eq!(hits().await, [], "nor does a deleted core");
}

pub(super) async fn timers_follow_the_core(subject: &Subject) {
    let space = subject.space().await;
    let due = async |at: i64| {
        let due = subject.upkeep.due(Some(&space), instant(at), 10).await.expect("answers");
        due.into_iter().map(|due| (due.key.id, due.timer.name)).collect::<Vec<_>>()
    };
    let named = |id: &str, name: &str| (id.to_owned(), name.to_owned());
    let a = Draft::create(&space, "a", "a").timer("late", instant(20)).timer("soon", instant(10)).done(subject).await;
    let b = Draft::create(&space, "b", "b").timer("soon", instant(5)).done(subject).await;
    assert_eq!(due(4).await, [], "nothing is due before its time");
    assert_eq!(due(30).await, [named("b", "soon"), named("a", "soon"), named("a", "late")], "the longest due first");
    let a = Draft::put(&space, "a", a, "a").timer("late", instant(50)).done(subject).await;
    assert_eq!(due(30).await, [named("b", "soon")], "timers are those of the present version");
    Draft::delete(&space, "b", b).done(subject).await;
    Draft::put(&space, "a", a, "a").done(subject).await;
    assert_eq!(due(99).await, [], "a timer goes with its core");
}

pub(super) async fn many_timers_of_one_space_hide_no_other(subject: &Subject) {
    let (crowd, lone) = (subject.space().await, subject.space().await);
    // Long before what other checks set.
    let early = |second: i64| instant(second - 100_000_000);
    for place in 0..12 {
        let id = format!("c{place:02}");
        Draft::create(&crowd, &id, "").timer("wake", early(place)).done(subject).await;
    }
    Draft::create(&lone, "l", "").timer("wake", early(50)).done(subject).await;
    let due = subject.upkeep.due(None, early(60), 4).await.expect("answers");
    let of = |space: &super::Space| due.iter().filter(|it| it.key.space == *space).count();
    assert_eq!((of(&lone), of(&crowd)), (1, 3), "each space has its turn");
    let ids: Vec<_> = due.iter().filter(|it| it.key.space == crowd).map(|it| it.key.id.as_str()).collect();
    assert_eq!(ids, ["c00", "c01", "c02"], "and in it the longest due comes first");
    for gone in [&crowd, &lone] {
        subject.engine.erase(gone).await.expect("erases");
    }
}

pub(super) async fn the_feed_tells_every_change(subject: &Subject) {
    let space = subject.space().await;
    let a = Draft::create(&space, "a", "a").done(subject).await;
    let before = subject.engine.changed_since(&space, 0, 10).await.expect("answers");
    let cursor = before.last().map(|change| change.cursor).expect("a creation is a change");
    let b = Draft::create(&space, "b", "b").done(subject).await;
    Draft::put(&space, "a", a, "a2").done(subject).await;
    Draft::delete(&space, "b", b).done(subject).await;
    let (mut seen, mut cursor) = (Vec::new(), cursor);
    loop {
        let page = subject.engine.changed_since(&space, cursor, 1).await.expect("answers");
        let Some(change) = page.last() else { break };
        assert!(change.cursor > cursor, "cursors go forward");
        cursor = change.cursor;
        seen.push((change.key.id.clone(), change.version));
    }
    // An engine may tell only the latest change of a core, but must tell that one, deletions too.
    for latest in [("a", 2), ("b", 2)] {
        let last = seen.iter().rev().find(|(id, _)| id == latest.0).map(|(_, version)| *version);
        assert_eq!(last, Some(latest.1), "the latest change of {}", latest.0);
    }
}

pub(super) async fn ephemeral_cores_end(subject: &Subject) {
    let space = subject.space().await;
    let over = Draft::create(&space, "over", "").claim("x").term("t", "").ends(instant(10));
    over.done(subject).await;
    Draft::create(&space, "later", "").claim("y").term("t", "").ends(instant(1_000)).done(subject).await;
    Draft::create(&space, "never", "").term("t", "").done(subject).await;
    while subject.upkeep.sweep(instant(500), 100).await.expect("sweeps") > 0 {}
    let hits = subject.engine.scan(&everything(&space)).await.expect("answers");
    assert_eq!(hits.iter().map(|hit| hit.id.as_str()).collect::<Vec<_>>(), ["later", "never"]);
    Draft::create(&space, "heir", "").claim("x").done(subject).await;
    assert_eq!(subject.engine.base(over.key()).await.expect("answers").version, 0, "it leaves no tombstone");
}

pub(super) async fn events_wait_in_order(subject: &Subject) {
    let space = subject.space().await;
    let one = Draft::create(&space, "a", "1").event("1.0").event("1.1").done(subject).await;
    let two = Draft::put(&space, "a", one, "2").event("2.0").done(subject).await;
    Draft::delete(&space, "a", two).event("3.0").done(subject).await;
    assert_eq!(told(subject, &space).await, ["1.0", "1.1", "2.0", "3.0"]);
    assert!(told(subject, &space).await.is_empty(), "what was told is told once");
}

pub(super) async fn a_passed_epoch_forgets_nothing(subject: &Subject) {
    let Some(outbox) = &subject.outbox else { return };
    let space = subject.space().await;
    let draft = Draft::create(&space, "a", "1").event("kept");
    draft.done(subject).await;
    let partition = crate::port::outbox_partition(draft.key());
    let take = async |holder: &str, lasting: Duration| {
        for _ in 0..200 {
            if let Some(epoch) = outbox.lease(partition, holder, lasting).await.expect("answers") {
                return epoch;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        0
    };
    let stalled = take("stalled", Duration::from_millis(200)).await;
    let other = outbox.lease(partition, "rival", Duration::from_millis(200)).await.expect("answers");
    assert_eq!(other, None, "a lease is held by one");
    let waiting = outbox.pending(partition, 200).await.expect("answers");
    assert!(waiting.iter().any(|event| event.key == *draft.key()));
    let successor = take("successor", Duration::from_millis(200)).await;
    assert!(successor > stalled, "each holder has an epoch of its own");
    let refused = outbox.relayed(partition, stalled, &waiting).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "who stalled past the lease can forget nothing");
    assert_eq!(told(subject, &space).await, ["kept"]);
}
