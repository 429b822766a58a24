//! The definition of a log: every promise of the port as a check, which every log runs.

use kernel::{
    Id, Scope, Timestamp,
    entropy::{Entropy, SystemEntropy},
};

use crate::{DeadLetter, Entry, Log};

/// Runs every check on a log that nothing else writes to; the first that fails panics with what was promised.
pub async fn run(log: &dyn Log) {
    events_are_read_in_order(log).await;
    an_id_is_written_once(log).await;
    a_scope_is_read_alone(log).await;
    readers_keep_their_place(log).await;
    what_is_put_aside_is_listed(log).await;
    erasing_a_scope_leaves_the_others(log).await;
    trimming_waits_for_readers(log).await;
    one_scope_holds_up_its_own_events_alone(log).await;
}

fn scope() -> Scope {
    let now = Timestamp::from_second(1_700_000_000).expect("an instant in range");
    Scope::Tenant(Id::from_uuid(SystemEntropy::default().uuid_v7(now)))
}

fn entry(scope: Scope, text: &str) -> Entry {
    Entry { id: format!("{scope}/{text}"), scope, envelope: format!("{scope} {text}").into_bytes() }
}

/// The texts of a scope after a position.
async fn texts(log: &dyn Log, scope: Scope, mut after: u64) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let read = log.read(after, 3).await.expect("the log is read");
        let Some(last) = read.last() else { return texts };
        assert!(read.iter().all(|event| event.position > after), "positions grow");
        assert!(read.is_sorted_by_key(|event| event.position), "events come in the order of their positions");
        after = last.position;
        let own = read.iter().map(|event| String::from_utf8_lossy(&event.envelope).into_owned());
        let own = own.filter_map(|text| text.strip_prefix(&scope.to_string()).map(|text| text.trim().to_owned()));
        texts.extend(own);
    }
}

async fn events_are_read_in_order(log: &dyn Log) {
    let (scope, head) = (scope(), log.head().await.expect("answers"));
    log.append(["a", "b", "c", "d"].map(|text| entry(scope, text)).into()).await.expect("appends");
    log.append(vec![entry(scope, "e")]).await.expect("appends");
    assert_eq!(texts(log, scope, head).await, ["a", "b", "c", "d", "e"], "pages join without gap or overlap");
    let now = log.head().await.expect("answers");
    assert!(now > head && log.read(now, 10).await.expect("answers").is_empty(), "the head is the newest event");
}

async fn an_id_is_written_once(log: &dyn Log) {
    let scope = scope();
    log.append(vec![entry(scope, "a"), entry(scope, "b")]).await.expect("appends");
    log.append(vec![entry(scope, "b"), entry(scope, "c")]).await.expect("appends");
    assert_eq!(texts(log, scope, 0).await, ["a", "b", "c"], "a relay that repeats itself writes nothing twice");
}

async fn readers_keep_their_place(log: &dyn Log) {
    assert_eq!(log.position("contract.reader").await.expect("answers"), 0, "a new reader begins at the beginning");
    log.advance("contract.reader", 7).await.expect("advances");
    log.advance("contract.other", 3).await.expect("advances");
    assert_eq!(log.position("contract.reader").await.expect("answers"), 7);
    log.advance("contract.reader@here", 5).await.expect("advances");
    let named = log.readers("contract.reader@").await.expect("answers");
    assert_eq!(named, [("contract.reader@here".to_owned(), 5)]);
    log.dismiss("contract.reader@here").await.expect("dismisses");
    assert!(log.readers("contract.reader@").await.expect("answers").is_empty());
}

async fn what_is_put_aside_is_listed(log: &dyn Log) {
    let at = Timestamp::from_second(1_800_000_000).expect("an instant in range");
    let letter = DeadLetter { reader: "contract.poison".to_owned(), position: 5, reason: "bad".to_owned(), at };
    log.bury(letter.clone()).await.expect("buries");
    log.bury(letter.clone()).await.expect("once more is no error");
    let buried = log.buried(10).await.expect("answers");
    assert_eq!(buried.iter().filter(|it| **it == letter).count(), 1);
    log.exhume(&letter.reader, letter.position).await.expect("takes it from the list");
    assert!(!log.buried(10).await.expect("answers").contains(&letter));
}

async fn erasing_a_scope_leaves_the_others(log: &dyn Log) {
    let (gone, kept) = (scope(), scope());
    log.append(vec![entry(gone, "a"), entry(kept, "b"), entry(gone, "c")]).await.expect("appends");
    log.erase(gone).await.expect("erases");
    log.erase(gone).await.expect("erasing what is erased is no error");
    assert!(texts(log, gone, 0).await.is_empty());
    assert_eq!(texts(log, kept, 0).await, ["b"]);
}

async fn a_scope_is_read_alone(log: &dyn Log) {
    let (one, other) = (scope(), scope());
    log.append(vec![entry(one, "a"), entry(other, "b"), entry(one, "c"), entry(one, "d")]).await.expect("appends");
    let first = log.read_of(one, 0, 2).await.expect("answers");
    let text = |event: &crate::Logged| String::from_utf8_lossy(&event.envelope).split(' ').nth(1).map(str::to_owned);
    assert_eq!(first.iter().filter_map(text).collect::<Vec<_>>(), ["a", "c"]);
    let after = first.last().map_or(0, |event| event.position);
    assert_eq!(log.read_of(one, after, 9).await.expect("answers").iter().filter_map(text).collect::<Vec<_>>(), ["d"]);
}

async fn trimming_waits_for_readers(log: &dyn Log) {
    let scope = scope();
    log.append(vec![entry(scope, "a"), entry(scope, "b")]).await.expect("appends");
    let head = log.head().await.expect("answers");
    for reader in ["contract.reader", "contract.other"] {
        log.advance(reader, head - 1).await.expect("advances");
    }
    log.trim(Timestamp::UNIX_EPOCH).await.expect("trims");
    assert_eq!(texts(log, scope, 0).await, ["a", "b"], "what is young stays");
    while log.trim(Timestamp::MAX).await.expect("trims") > 0 {}
    assert_eq!(texts(log, scope, 0).await, ["b"], "what a reader has not passed stays");
    log.append(vec![entry(scope, "c")]).await.expect("appends");
    assert!(log.head().await.expect("answers") > head, "a position is never given out again");
}

async fn one_scope_holds_up_its_own_events_alone(log: &dyn Log) {
    let (held, other) = (scope(), scope());
    log.append(["a", "b"].map(|text| entry(held, text)).into()).await.expect("appends");
    log.append(vec![entry(other, "a"), entry(held, "c"), entry(other, "b")]).await.expect("appends");
    let read = log.read_of(held, 0, 9).await.expect("answers");
    let (first, head) = (read.first().expect("is there").position, log.head().await.expect("answers"));
    let own = format!("contract.reader@{held}");
    for (reader, position) in [("contract.reader", head), ("contract.other", head), (own.as_str(), first)] {
        log.advance(reader, position).await.expect("advances");
    }
    while log.trim(Timestamp::MAX).await.expect("trims") > 0 {}
    assert_eq!(texts(log, held, 0).await, ["b", "c"], "what a scope that is behind has not read stays");
    assert!(texts(log, other, 0).await.is_empty(), "and it holds up no other scope's");
    log.dismiss(&own).await.expect("dismisses");
    while log.trim(Timestamp::MAX).await.expect("trims") > 0 {}
    assert!(texts(log, held, 0).await.is_empty(), "once it goes with the others again, its events go too");
}
