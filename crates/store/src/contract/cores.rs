//! What holds for one core and between spaces.

use super::{ClaimKey, Draft, Outcome, StoreError, Subject, instant, told};
use crate::port::{Base, MAX_BODY, Scan};

pub(super) async fn life_of_a_core(subject: &Subject) {
    let space = subject.space().await;
    let draft = Draft::create(&space, "a", "one");
    let key = draft.key().clone();
    assert_eq!(subject.engine.get(&key).await.expect("answers"), None, "nothing is there before it is created");
    let one = draft.done(subject).await;
    let core = subject.engine.get(&key).await.expect("answers").expect("what was committed is there");
    assert_eq!((core.base, core.body.as_slice()), (one, b"one".as_slice()));
    let two = Draft::put(&space, "a", one, "two").done(subject).await;
    let gone = Draft::delete(&space, "a", two).done(subject).await;
    assert_eq!(subject.engine.get(&key).await.expect("answers"), None, "a deleted core is not found");
    assert_eq!(subject.engine.base(&key).await.expect("answers"), gone, "the tombstone keeps its version");
    let refused = Draft::create(&space, "a", "again").send(subject).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "creation goes on from the tombstone, not from nothing");
    let again = Draft::put(&space, "a", gone, "again").done(subject).await;
    assert_eq!(again.version, 4);
    assert_eq!(subject.engine.get(&key).await.expect("answers").map(|core| core.base), Some(again));
}

pub(super) async fn a_stale_base_changes_nothing(subject: &Subject) {
    let space = subject.space().await;
    let one = Draft::create(&space, "a", "one").claim("x").event("created").done(subject).await;
    Draft::put(&space, "a", one, "two").claim("x").done(subject).await;
    let stale = Draft::put(&space, "a", one, "stale").claim("y").term("t", "").event("stale");
    assert!(matches!(stale.send(subject).await, Err(StoreError::Conflict)), "a stale base is refused");
    let fenced = Draft::put(&space, "a", Base { version: 2, fence: 99 }, "fenced");
    assert!(matches!(fenced.send(subject).await, Err(StoreError::Conflict)), "a foreign fence is refused");
    let core = subject.engine.get(stale.key()).await.expect("answers").expect("still there");
    assert_eq!(core.body, b"two");
    let found = subject.engine.find(&space, &ClaimKey("y".to_owned())).await.expect("answers");
    assert_eq!(found, None, "a refused commit takes no name");
    assert_eq!(told(subject, &space).await, ["created"], "a refused commit tells nothing");
}

pub(super) async fn the_same_commit_applies_once(subject: &Subject) {
    let space = subject.space().await;
    let draft = Draft::create(&space, "a", "one").claim("x").event("created");
    let one = draft.done(subject).await;
    assert_eq!(draft.send(subject).await.expect("answers"), Outcome::Already, "sent again");
    Draft::put(&space, "a", one, "two").claim("x").done(subject).await;
    assert_eq!(draft.send(subject).await.expect("answers"), Outcome::Already, "sent again after another commit");
    let core = subject.engine.get(draft.key()).await.expect("answers").expect("there");
    assert_eq!(core.body, b"two", "a repetition does not undo what came later");
    assert_eq!(told(subject, &space).await, ["created"], "the event is told once");
}

pub(super) async fn claims_are_held_by_one(subject: &Subject) {
    let space = subject.space().await;
    let (x, y) = (ClaimKey("x".to_owned()), ClaimKey("y".to_owned()));
    let holder = async |claim: &ClaimKey| {
        subject.engine.find(&space, claim).await.expect("answers").map(|(key, core)| (key.id, core.body))
    };
    let a = Draft::create(&space, "a", "a").claim("x").done(subject).await;
    assert_eq!(holder(&x).await, Some(("a".to_owned(), b"a".to_vec())));
    let rival = Draft::create(&space, "b", "b").claim("x");
    assert!(matches!(rival.send(subject).await, Err(StoreError::Taken(name)) if name == x), "a held name is taken");
    let a = Draft::put(&space, "a", a, "a2").claim("y").done(subject).await;
    assert_eq!((holder(&x).await, holder(&y).await.map(|it| it.0)), (None, Some("a".to_owned())), "a name was changed");
    rival.done(subject).await;
    assert_eq!(holder(&x).await.map(|it| it.0), Some("b".to_owned()), "a name that was let go is free");
    Draft::delete(&space, "a", a).done(subject).await;
    assert_eq!(holder(&y).await, None, "deleting frees the name");
    Draft::create(&space, "c", "c").claim("y").done(subject).await;
    assert_eq!(holder(&y).await.map(|it| it.0), Some("c".to_owned()));
}

pub(super) async fn a_refused_claim_changes_nothing(subject: &Subject) {
    let space = subject.space().await;
    Draft::create(&space, "a", "a").claim("x").done(subject).await;
    let b = Draft::create(&space, "b", "b").claim("free").done(subject).await;
    let refused = Draft::put(&space, "b", b, "b2").claim("also").claim("x").term("t", "").event("never");
    assert!(matches!(refused.send(subject).await, Err(StoreError::Taken(_))), "one held name refuses the whole commit");
    let core = subject.engine.get(refused.key()).await.expect("answers").expect("there");
    assert_eq!((core.body.as_slice(), core.base), (b"b".as_slice(), b));
    let holder = subject.engine.find(&space, &ClaimKey("free".to_owned())).await.expect("answers");
    assert_eq!(holder.map(|(key, _)| key.id), Some("b".to_owned()), "the names it had are still held");
    Draft::create(&space, "c", "c").claim("also").done(subject).await;
    assert!(told(subject, &space).await.is_empty());
}

pub(super) async fn spaces_are_apart(subject: &Subject) {
    let (left, right) = (subject.space().await, subject.space().await);
    for (space, body) in [(&left, "left"), (&right, "right")] {
        Draft::create(space, "a", body).claim("x").term("t", "").timer("wake", instant(1)).done(subject).await;
    }
    for (space, body) in [(&left, b"left".as_slice()), (&right, b"right".as_slice())] {
        let found = subject.engine.find(space, &ClaimKey("x".to_owned())).await.expect("answers");
        assert_eq!(found.map(|(_, core)| core.body).as_deref(), Some(body), "the same name in each space");
        let hits = subject.engine.scan(&everything(space)).await.expect("answers");
        assert_eq!(hits.iter().map(|hit| hit.core.body.as_slice()).collect::<Vec<_>>(), [body], "scan");
        let exported = subject.engine.export(space, None, 10).await.expect("answers");
        assert_eq!(exported.iter().map(|(_, core)| core.body.as_slice()).collect::<Vec<_>>(), [body], "export");
        let due = subject.upkeep.due(Some(space), instant(5), 10).await.expect("answers");
        assert_eq!(due.iter().map(|due| &due.key.space).collect::<Vec<_>>(), [space], "timers");
        let changes = subject.engine.changed_since(space, 0, 10).await.expect("answers");
        assert!(changes.iter().all(|change| change.key.space == *space) && !changes.is_empty(), "feed");
    }
}

pub(super) async fn erasing_leaves_nothing_behind(subject: &Subject) {
    let (gone, kept) = (subject.space().await, subject.space().await);
    for space in [&gone, &kept] {
        let a = Draft::create(space, "a", "a").claim("x").term("t", "").timer("wake", instant(1)).event("a");
        let base = a.done(subject).await;
        Draft::create(space, "b", "b").term("t", "").done(subject).await;
        Draft::delete(space, "a", base).done(subject).await;
        Draft::create(space, "c", "c").claim("z").term("t", "").timer("wake", instant(1)).done(subject).await;
    }
    subject.engine.erase(&gone).await.expect("erases");
    subject.engine.erase(&gone).await.expect("erasing what is erased is no error");
    assert!(subject.engine.export(&gone, None, 10).await.expect("answers").is_empty());
    assert!(subject.engine.scan(&everything(&gone)).await.expect("answers").is_empty());
    assert!(subject.upkeep.due(Some(&gone), instant(5), 10).await.expect("answers").is_empty());
    assert_eq!(subject.engine.find(&gone, &ClaimKey("z".to_owned())).await.expect("answers"), None);
    assert!(subject.engine.changed_since(&gone, 0, 10).await.expect("answers").is_empty());
    assert!(told(subject, &gone).await.is_empty(), "events of an erased space are not told");
    assert_eq!(subject.engine.export(&kept, None, 10).await.expect("answers").len(), 2, "the other space is untouched");
    assert_eq!(subject.engine.scan(&everything(&kept)).await.expect("answers").len(), 2);
}

pub(super) async fn export_and_import_are_inverse(subject: &Subject) {
    let space = subject.space().await;
    for id in ["a", "b", "c"] {
        let draft = Draft::create(&space, id, id).claim(id).term("t", id).timer("wake", instant(9)).ends(instant(99));
        let base = draft.done(subject).await;
        let mut again = draft.clone();
        again.0.base = base;
        again.0.id.bytes[0] ^= 1;
        again.done(subject).await;
    }
    let mut exported = subject.engine.export(&space, None, 2).await.expect("answers");
    let last = exported.last().map(|(key, _)| key.clone()).expect("two were exported");
    exported.extend(subject.engine.export(&space, Some(&last), 10).await.expect("answers"));
    assert_eq!(exported.iter().map(|(key, _)| key.id.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    subject.engine.erase(&space).await.expect("erases");
    for _ in 0..2 {
        for (key, core) in &exported {
            subject.engine.import(key, core.clone()).await.expect("imports, and again");
        }
    }
    assert_eq!(subject.engine.export(&space, None, 10).await.expect("answers"), exported);
    assert_eq!(subject.engine.scan(&everything(&space)).await.expect("answers").len(), 3);
    let held = subject.engine.find(&space, &ClaimKey("b".to_owned())).await.expect("answers");
    assert_eq!(held.map(|(key, _)| key.id), Some("b".to_owned()), "imported names are held");
    assert_eq!(subject.upkeep.due(Some(&space), instant(9), 10).await.expect("answers").len(), 3);
}

pub(super) async fn bounds_are_refused(subject: &Subject) {
    let mut draft = Draft::create(&subject.space().await, "a", "");
    if let crate::port::Write::Put { body, .. } = &mut draft.0.write {
        body.resize(MAX_BODY + 1, 0);
    }
    assert!(matches!(draft.send(subject).await, Err(StoreError::Invalid(_))), "a body over the bound");
}

/// A scan of all that carries the term `t`.
pub(super) fn everything(space: &super::Space) -> Scan {
    Scan {
        space: space.clone(),
        kind: "test.thing".to_owned(),
        index: "by".to_owned(),
        value: "t".to_owned(),
        after: None,
        newest_first: false,
        limit: 100,
    }
}
