//! The typed store above the port: what contexts see.
#![expect(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

use std::sync::Arc;

use freehold_store::{Engine, Outbox, Page, Space, Store, Upkeep, envelope, model::ModelEngine};
use kernel::{
    Aggregate, Caller, Claim, Cx, Envelope, Event, Grants, Id, Personal, ProblemKind, Scope, ScopeKind, TenantId, Term,
    Timer, Timestamp, UserId, cx::Ambient, entropy::SystemEntropy,
};
use keys::{Keyring, Keys, model::ModelKeys};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Note {
    id: String,
    owner: UserId,
    text: String,
    count: u32,
}

impl Aggregate for Note {
    type Id = String;
    const KIND: &'static str = "test.note";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    fn id(&self) -> String {
        self.id.clone()
    }
    fn subject(&self) -> Option<UserId> {
        Some(self.owner)
    }
    fn claims(&self) -> Vec<Claim> {
        vec![Claim::new("text", &self.text)]
    }
    fn terms(&self) -> Vec<Term> {
        vec![Term::new("all", "")]
    }
    fn timers(&self) -> Vec<Timer> {
        vec![Timer { name: "wake", due: Timestamp::UNIX_EPOCH }]
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Noted {
    owner: UserId,
    text: Personal<String>,
}

impl Event for Noted {
    const TYPE: &'static str = "test.Noted.v1";
    fn person(&self) -> Option<UserId> {
        Some(self.owner)
    }
}

struct World {
    engine: Arc<ModelEngine>,
    store: Store,
    _folder: tempfile::TempDir,
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let keyring = Keyring::open(&folder.path().join("keyring"), &SystemEntropy::default()).unwrap();
    let keys = Keys::new(keyring, Arc::new(ModelKeys::default()), Arc::new(SystemEntropy::default()));
    let engine = Arc::new(ModelEngine::default());
    World { store: Store::new(engine.clone(), keys), engine, _folder: folder }
}

fn tenant(number: u128) -> Cx {
    let scope = Scope::Tenant(TenantId::from_uuid(uuid::Uuid::from_u128(number)));
    Cx::verified(scope, Caller::Visitor, Grants::default(), &Ambient::system())
}

fn note(id: &str, text: &str) -> Note {
    Note { id: id.to_owned(), owner: Id::from_uuid(uuid::Uuid::from_u128(7)), text: text.to_owned(), count: 0 }
}

#[tokio::test]
async fn the_engine_sees_no_word_of_it() {
    let (world, cx) = (world(), tenant(1));
    let it = note("a", "a secret of mine");
    let noted = Noted { owner: it.owner, text: Personal::Known(it.text.clone()) };
    world.store.at(&cx).create(it.clone(), noted).await.unwrap();
    let exported = format!("{:?}", world.engine.export(&Space::of(cx.scope()), None, 9).await.unwrap());
    let mut waiting = Vec::new();
    for partition in 0..8 {
        waiting.extend(world.engine.pending(partition, 9).await.unwrap());
    }
    let sealed = String::from_utf8(waiting[0].envelope.clone()).unwrap();
    assert!(!exported.contains("secret") && !sealed.contains("secret"), "{sealed}");
    let sealed: Envelope = serde_json::from_str(&sealed).unwrap();
    let opened = envelope::open(world.store.keys(), sealed).await.unwrap().event::<Noted>().unwrap().unwrap();
    assert_eq!(opened.text, Personal::Known("a secret of mine".to_owned()));
    let found = world.store.at(&cx).find::<Note>(&Claim::new("text", "a secret of mine")).await.unwrap().unwrap();
    assert_eq!(*found, it);
}

#[tokio::test]
async fn scopes_do_not_see_each_other() {
    let (world, left, right) = (world(), tenant(1), tenant(2));
    world.store.at(&left).create(note("a", "left"), ()).await.unwrap();
    assert!(world.store.at(&right).try_load::<Note>(&"a".to_owned()).await.unwrap().is_none());
    assert!(world.store.at(&right).find::<Note>(&Claim::new("text", "left")).await.unwrap().is_none());
    world.store.at(&right).create(note("a", "left"), ()).await.unwrap();
    let platform = Cx::verified(Scope::Platform, Caller::Visitor, Grants::default(), &Ambient::system());
    let refused = world.store.at(&platform).load::<Note>(&"a".to_owned()).await.unwrap_err();
    assert_eq!(refused.kind(), ProblemKind::Internal, "the kind of scope is part of the type");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_counts_and_a_repeated_write_counts_once() {
    let (world, cx) = (world(), tenant(1));
    world.store.at(&cx).create(note("a", "x"), ()).await.unwrap();
    let one = |it: &mut Note| {
        it.count += 1;
        Ok(())
    };
    let writers = (0..12).map(|_| {
        let (store, cx) = (world.store.clone(), cx.clone());
        tokio::spawn(async move { store.at(&cx).change(&"a".to_owned(), one).await.map(drop) })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap().unwrap();
    }
    let repeated = cx.repeatable("the same request");
    for _ in 0..3 {
        world.store.at(&repeated).change(&"a".to_owned(), one).await.unwrap();
    }
    assert_eq!(world.store.at(&cx).load::<Note>(&"a".to_owned()).await.unwrap().count, 13);
}

#[tokio::test]
async fn a_creation_and_a_change_under_one_write_key_are_two_writes() {
    let (world, cx) = (world(), tenant(1).repeatable("one reaction"));
    let store = world.store.at(&cx);
    store.create(note("a", "x"), ()).await.unwrap();
    let change = |it: &mut Note| {
        it.count += 1;
        Ok(())
    };
    store.change(&"a".to_owned(), change).await.unwrap();
    assert_eq!(store.load::<Note>(&"a".to_owned()).await.unwrap().count, 1);
}

#[tokio::test]
async fn a_taken_name_says_which_field_it_is() {
    let (world, cx) = (world(), tenant(1));
    world.store.at(&cx).create(note("a", "x"), ()).await.unwrap();
    let taken = world.store.at(&cx).create(note("b", "x"), ()).await.unwrap_err();
    assert_eq!((taken.code(), taken.document(None).errors[0].pointer.as_str()), ("already_taken", "/text"));
    let stale = world.store.at(&cx).load::<Note>(&"a".to_owned()).await.unwrap();
    world.store.at(&cx).save(stale.clone(), ()).await.unwrap();
    assert_eq!(world.store.at(&cx).save(stale, ()).await.unwrap_err().code(), "changed_meanwhile");
}

#[tokio::test]
async fn pages_join() {
    let (world, cx) = (world(), tenant(1));
    for number in 0..7 {
        world.store.at(&cx).create(note(&format!("n{number}"), &format!("t{number}")), ()).await.unwrap();
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = Page { after, limit: 3, newest_first: true };
        let listed = world.store.at(&cx).list::<Note>("all", "", &page).await.unwrap();
        seen.extend(listed.items.iter().map(|it| it.id.clone()));
        after = listed.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["n6", "n5", "n4", "n3", "n2", "n1", "n0"]);
    let forged = Page { after: Some("not a cursor".to_owned()), ..Page::default() };
    assert_eq!(world.store.at(&cx).list::<Note>("all", "", &forged).await.unwrap_err().kind(), ProblemKind::Invalid);
}

#[tokio::test]
async fn an_erased_person_leaves_no_name_and_no_timer() {
    let (world, cx) = (world(), tenant(1));
    let (mine, theirs) = (note("a", "x"), Note { owner: Id::from_uuid(uuid::Uuid::from_u128(8)), ..note("b", "x") });
    world.store.at(&cx).create(mine.clone(), ()).await.unwrap();
    world.store.keys().destroy_person(cx.scope(), mine.owner).await.unwrap();
    assert!(world.store.at(&cx).try_load::<Note>(&"a".to_owned()).await.unwrap().is_none());
    assert_eq!(world.engine.due(None, cx.now(), 9).await.unwrap(), [], "what nobody can read does not come due");
    world.store.at(&cx).create(theirs, ()).await.unwrap();
}
