//! Files of a scope's own: what is in which, what a crash leaves, what is broken, how many are open.
#![expect(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use events::{Entry, Log, Relay};
use freehold_sqlite::{HOMES, STORE, Shards, backup};
use kernel::{Id, Scope, Timestamp};
use store::{
    Base, Commit, CommitId, CoreKey, Engine, Outbox, Outcome, Space, StoreError, TimerKey, Upkeep, Write,
    port::OUTBOX_PARTITIONS,
};

fn scope(number: u128) -> Scope {
    Scope::Tenant(Id::from_uuid(uuid::Uuid::from_u128(number)))
}

fn space(number: u128) -> Space {
    Space::of(scope(number))
}

fn key(space: &Space, id: &str) -> CoreKey {
    CoreKey { space: space.clone(), kind: "test.thing".to_owned(), id: id.to_owned() }
}

/// A new core with a timer and an event.
fn creation(space: &Space, id: &str) -> Commit {
    let timers = vec![TimerKey { name: "wake".to_owned(), due: Timestamp::UNIX_EPOCH }];
    let body = format!("the body of {id}").into_bytes();
    let write = Write::Put { body, claims: Vec::new(), terms: Vec::new(), timers, expires: None };
    let id_of_commit = CommitId { bytes: [7; 16], remember: Duration::from_mins(1) };
    let events = vec![format!("{} {id}", space.as_str()).into_bytes()];
    Commit { id: id_of_commit, key: key(space, id), base: Base::default(), write, events, at: Timestamp::UNIX_EPOCH }
}

async fn created(shards: &Shards, space: &Space, id: &str) {
    assert_eq!(shards.commit(creation(space, id)).await.unwrap(), Outcome::Done);
}

/// What is in the folder of such files, by name.
fn files(data: &Path) -> BTreeMap<String, PathBuf> {
    let entries = fs::read_dir(data.join(HOMES)).unwrap().map(Result::unwrap);
    entries.map(|it| (it.file_name().to_string_lossy().into_owned(), it.path())).collect()
}

fn spaces(file: &Path) -> Vec<String> {
    let db = rusqlite::Connection::open(file).unwrap();
    let mut select = db.prepare("SELECT DISTINCT space FROM cores ORDER BY space").unwrap();
    let found = select.query_map([], |row| row.get(0)).unwrap();
    found.map(Result::unwrap).collect()
}

async fn texts(shards: &Shards) -> Vec<String> {
    let read = shards.log().read(0, 1_000).await.unwrap();
    read.into_iter().map(|event| String::from_utf8_lossy(&event.envelope).into_owned()).collect()
}

fn relay(shards: &Arc<Shards>) -> Relay {
    Relay::new(shards.clone(), shards.log(), "test".to_owned(), shards.log().appended())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_file_holds_one_scope_and_the_common_file_none_of_these() {
    let data = tempfile::tempdir().unwrap();
    let shards = Arc::new(Shards::open(data.path()).unwrap());
    for number in 1..=2 {
        shards.dedicate(&space(number)).await.unwrap();
    }
    for number in 1..=3 {
        created(&shards, &space(number), "a").await;
    }
    shards.dedicate(&space(3)).await.unwrap_err();
    assert_eq!(relay(&shards).turn().await.unwrap(), 2);
    let mut told = texts(&shards).await;
    told.sort();
    assert_eq!(told, [1, 2, 3].map(|number| format!("{} a", space(number).as_str())), "one log for all");
    drop(shards);
    let found = files(data.path());
    assert_eq!(found.len(), 2, "closed, a file has nothing beside it: {found:?}");
    for (name, file) in found {
        assert!(name.starts_with(&format!("{}.", spaces(&file).concat())), "{name}: {:?}", spaces(&file));
    }
    assert_eq!(spaces(&data.path().join(STORE)), [space(3).as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_wakes_the_relay() {
    let data = tempfile::tempdir().unwrap();
    let shards = Arc::new(Shards::open(data.path()).unwrap());
    shards.dedicate(&space(1)).await.unwrap();
    let waiting = shards.waiting();
    created(&shards, &space(1), "a").await;
    tokio::time::timeout(Duration::from_secs(20), waiting.notified()).await.unwrap();
    assert_eq!(relay(&shards).turn().await.unwrap(), 1);
    assert_eq!(relay(&shards).turn().await.unwrap(), 0, "moved once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_and_what_is_due_is_found_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let shards = Shards::open(data.path()).unwrap();
    for number in 1..=3 {
        shards.dedicate(&space(number)).await.unwrap();
        created(&shards, &space(number), "a").await;
    }
    drop(shards);
    let shards = Arc::new(Shards::open(data.path()).unwrap());
    let due = shards.due(None, Timestamp::UNIX_EPOCH, 9).await.unwrap();
    assert_eq!(due.len(), 3, "of each, unasked");
    assert_eq!(relay(&shards).turn().await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dedication_that_dies_goes_on_and_one_that_came_to_nothing_is_taken_back() {
    let data = tempfile::tempdir().unwrap();
    let one = space(1);
    let shards = Shards::open(data.path()).unwrap();
    shards.dedicate(&one).await.unwrap();
    drop(shards);
    let shards = Shards::open(data.path()).unwrap();
    shards.dedicate(&one).await.unwrap();
    created(&shards, &one, "a").await;
    drop(shards);
    // The file was made, and then the power went before the row said so.
    let store = rusqlite::Connection::open(data.path().join(STORE)).unwrap();
    store.execute("UPDATE homes SET state='planned'", []).unwrap();
    drop(store);
    let shards = Shards::open(data.path()).unwrap();
    assert!(shards.get(&key(&one, "a")).await.unwrap().is_some());
    shards.withdraw(&one).await.unwrap();
    assert!(shards.get(&key(&one, "a")).await.unwrap().is_some(), "what holds something stays");
    let two = space(2);
    shards.dedicate(&two).await.unwrap();
    shards.withdraw(&two).await.unwrap();
    created(&shards, &two, "a").await;
    assert_eq!(files(data.path()).keys().filter(|name| name.starts_with(two.as_str())).count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_dies_leaves_nothing_that_is_believed() {
    let data = tempfile::tempdir().unwrap();
    let (one, other) = (space(1), space(2));
    let shards = Shards::open(data.path()).unwrap();
    for space in [&one, &other] {
        shards.dedicate(space).await.unwrap();
        created(&shards, space, "a").await;
    }
    let left: Vec<(PathBuf, Vec<u8>)> = files(data.path())
        .into_iter()
        .filter(|(name, _)| name.starts_with(one.as_str()))
        .map(|(_, path)| (path.clone(), fs::read(path).unwrap()))
        .collect();
    assert_eq!(left.len(), 3, "the file, its write-ahead log, the index of that");
    assert_eq!(shards.erase(&one).await.unwrap(), 1);
    drop(shards);
    for (path, bytes) in &left {
        fs::write(path, bytes).unwrap();
    }
    let shards = Shards::open(data.path()).unwrap();
    assert_eq!(shards.get(&key(&one, "a")).await.unwrap(), None, "what an earlier life left is not believed");
    shards.close(&one).await.unwrap();
    drop(shards);
    // As many files were still there when it died, and as few.
    for kept in 0..=left.len() {
        for (path, bytes) in left.iter().take(kept) {
            fs::write(path, bytes).unwrap();
        }
        let shards = Shards::open(data.path()).unwrap();
        assert_eq!(shards.get(&key(&one, "a")).await.unwrap(), None);
        assert!(shards.due(None, Timestamp::UNIX_EPOCH, 9).await.unwrap().iter().all(|due| due.key.space == other));
        shards.close(&one).await.unwrap();
        assert!(files(data.path()).keys().all(|name| name.starts_with(other.as_str())), "{kept} were left");
        assert!(shards.get(&key(&other, "a")).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_late_for_an_erased_scope_is_stored_nowhere() {
    let data = tempfile::tempdir().unwrap();
    let one = space(1);
    let shards = Arc::new(Shards::open(data.path()).unwrap());
    shards.dedicate(&one).await.unwrap();
    created(&shards, &one, "a").await;
    shards.close(&one).await.unwrap();
    Log::erase(shards.log().as_ref(), scope(1)).await.unwrap();
    assert!(matches!(shards.commit(creation(&one, "late")).await, Err(StoreError::Conflict)));
    assert!(matches!(shards.log().commit(creation(&one, "late")).await, Err(StoreError::Conflict)));
    let held = Entry { id: "held by a relay".to_owned(), scope: scope(1), envelope: b"late".to_vec() };
    shards.log().append(vec![held]).await.unwrap();
    assert!(texts(&shards).await.is_empty());
    shards.dedicate(&one).await.unwrap_err();
    drop(shards);
    assert!(files(data.path()).is_empty() && spaces(&data.path().join(STORE)).is_empty());
}

/// Everything that goes on for the others, whatever one file is like.
async fn others_go_on(data: &Path, broken: &Space, other: &Space, what: &str) {
    let shards = Arc::new(Shards::open(data).unwrap());
    let refused = shards.get(&key(broken, "a")).await;
    assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{what}: {refused:?}");
    assert!(matches!(shards.commit(creation(broken, "b")).await, Err(StoreError::Corrupt(_))), "{what}");
    assert!(shards.get(&key(other, "a")).await.unwrap().is_some(), "{what}");
    created(&shards, other, what).await;
    let due = shards.due(None, Timestamp::UNIX_EPOCH, 9).await.unwrap();
    assert!(due.iter().any(|due| due.key == key(other, what)), "{what}: {due:?}");
    shards.sweep(Timestamp::UNIX_EPOCH, 9).await.unwrap();
    assert!(relay(&shards).turn().await.unwrap() > 0, "{what}");
    for partition in 0..OUTBOX_PARTITIONS {
        assert!(shards.pending(partition, 9).await.unwrap().is_empty(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_broken_missing_or_anothers_harms_its_own_scope_alone() {
    let data = tempfile::tempdir().unwrap();
    let (one, other, third) = (space(1), space(2), space(3));
    let shards = Shards::open(data.path()).unwrap();
    for space in [&one, &other, &third] {
        shards.dedicate(space).await.unwrap();
        created(&shards, space, "a").await;
    }
    drop(shards);
    let file = |space: &Space| data.path().join(HOMES).join(format!("{}.1.sqlite", space.as_str()));
    let good = fs::read(file(&one)).unwrap();
    let mut bad = good.clone();
    let page = bad.len() / 4_096 / 2 * 4_096;
    bad[page..page + 4_096].fill(0x5a);
    fs::write(file(&one), bad).unwrap();
    others_go_on(data.path(), &one, &other, "a broken page").await;
    fs::remove_file(file(&one)).unwrap();
    others_go_on(data.path(), &one, &other, "no file").await;
    assert!(!file(&one).exists(), "a file that is lost is not made again, as if there never had been anything");
    fs::copy(file(&third), file(&one)).unwrap();
    others_go_on(data.path(), &one, &other, "the file of another").await;
    // A backup of all others is good, and says what is missing.
    let to = tempfile::tempdir().unwrap();
    fs::write(file(&one), "no database at all, but long enough to be looked at ".repeat(200)).unwrap();
    let copied = backup::copy_together(data.path(), to.path(), &[]).unwrap();
    assert_eq!((copied.homes.len(), copied.left_out.len()), (2, 1));
    fs::write(file(&one), good).unwrap();
    let shards = Shards::open(data.path()).unwrap();
    assert!(shards.get(&key(&one, "a")).await.unwrap().is_some());
    shards.erase(&one).await.unwrap();
    // What is broken can be erased all the same.
    fs::write(file(&third), "nothing").unwrap();
    shards.close(&third).await.unwrap();
    assert!(!file(&third).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_has_every_file_and_a_digest_that_notices_each() {
    let (data, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let shards = Shards::open(data.path()).unwrap();
    for number in 1..=2 {
        shards.dedicate(&space(number)).await.unwrap();
        created(&shards, &space(number), "a").await;
    }
    created(&shards, &space(3), "a").await;
    let copied = backup::copy_together(data.path(), to.path(), &[]).unwrap();
    let digest = backup::digest(to.path(), &copied.homes).unwrap();
    assert_eq!((digest.aggregates, digest.events, copied.left_out.len()), (3, 3, 0));
    assert_eq!(backup::digest(data.path(), &backup::homes(&data.path().join(STORE)).unwrap()).unwrap(), digest);
    assert_ne!(backup::digest(to.path(), &copied.homes[..1]).unwrap().sha256, digest.sha256);
    assert!(copied.homes.iter().all(|name| backup::is_home(name)));
    for name in ["tenants/x.1.sqlite", "tenants/../keyring", "../tenants/ten_00000000000000000000000001.1.sqlite"] {
        assert!(!backup::is_home(name), "{name}");
    }
    let restored = Shards::open(to.path()).unwrap();
    for number in 1..=3 {
        assert!(restored.get(&key(&space(number), "a")).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounded_number_of_files_is_open() {
    let data = tempfile::tempdir().unwrap();
    let shards = Arc::new(Shards::open(data.path()).unwrap());
    let writers: Vec<_> = (1..=150_u128)
        .map(|number| {
            let shards = Arc::clone(&shards);
            tokio::spawn(async move {
                shards.dedicate(&space(number)).await.unwrap();
                for id in ["a", "b", "c"] {
                    created(&shards, &space(number), id).await;
                    assert!(shards.get(&key(&space(number), id)).await.unwrap().is_some());
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let open = || {
        let links = fs::read_dir("/proc/self/fd").unwrap().filter_map(|it| fs::read_link(it.unwrap().path()).ok());
        links.filter(|link| link.starts_with(data.path().join(HOMES))).collect::<Vec<_>>()
    };
    let files: BTreeSet<_> = open().into_iter().filter(|link| link.extension() == Some("sqlite".as_ref())).collect();
    assert!((1..=64).contains(&files.len()), "{} files are open", files.len());
    assert!(open().len() <= 64 * 8, "with {} handles", open().len());
    for number in 1..=150 {
        assert_eq!(shards.export(&space(number), None, 9).await.unwrap().len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_breaks_while_its_events_wait_holds_up_no_other() {
    let data = tempfile::tempdir().unwrap();
    let shards = Arc::new(Shards::open(data.path()).unwrap());
    for number in 1..=80 {
        shards.dedicate(&space(number)).await.unwrap();
        created(&shards, &space(number), "a").await;
    }
    // Closed by now, for the others' sake.
    let file = data.path().join(HOMES).join(format!("{}.1.sqlite", space(1).as_str()));
    let good = fs::read(&file).unwrap();
    fs::write(&file, "no database").unwrap();
    assert_eq!(relay(&shards).turn().await.unwrap(), 79);
    assert_eq!(texts(&shards).await.len(), 79);
    // Once it is whole again, and had its rest.
    fs::write(&file, good).unwrap();
    drop(shards);
    let shards = Arc::new(Shards::open(data.path()).unwrap());
    while shards.due(None, Timestamp::UNIX_EPOCH, 200).await.unwrap().len() < 80 {}
    while relay(&shards).turn().await.unwrap() > 0 {}
    assert_eq!(texts(&shards).await.len(), 80, "nothing is lost");
}
