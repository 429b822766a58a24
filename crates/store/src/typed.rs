//! Typed work above the port, once for all engines: aggregates are sealed and their names hashed on the way down, opened
//! and checked on the way up. There is no way to the store but through a verified context.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use kernel::{Aggregate, AnyEvent, Claim, Cx, Effect, Happened, Life, Problem, ProblemKind, Scope, Term};
use keys::{DataKey, KeyError, Keys};
use serde::{Deserialize, Serialize};

use crate::{
    Listed, Page, envelope,
    port::{
        Base, ClaimKey, Commit, CommitId, Core, CoreKey, Engine, Outcome, Scan, Space, StoreError, TermKey, TimerKey,
        Write,
    },
};

/// For how long a repeated write is known again: longer than any replay and than an `Idempotency-Key` counts.
const REMEMBERED: Duration = Duration::from_hours(7 * 24);
/// How often a rule is tried again on fresh state.
const ATTEMPTS: u32 = 40;

/// The aggregate store of a context.
#[derive(Clone)]
pub struct Store {
    engine: Arc<dyn Engine>,
    keys: Keys,
}

impl Store {
    /// A store on an engine, sealed by these keys.
    pub fn new(engine: Arc<dyn Engine>, keys: Keys) -> Self {
        Self { engine, keys }
    }

    /// The store at the scope of a verified context.
    pub fn at<'a>(&'a self, cx: &'a Cx) -> Scoped<'a> {
        Scoped { store: self, cx }
    }

    /// The keys below it.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }
}

/// An aggregate with what its next commit must name.
#[derive(Debug, Clone)]
pub struct Loaded<A> {
    aggregate: A,
    base: Base,
}

impl<A> Loaded<A> {
    /// The version, which is what `ETag` tells.
    pub fn version(&self) -> u64 {
        self.base.version
    }

    /// The aggregate alone.
    pub fn into_inner(self) -> A {
        self.aggregate
    }
}

impl<A> Deref for Loaded<A> {
    type Target = A;
    fn deref(&self) -> &A {
        &self.aggregate
    }
}

impl<A> DerefMut for Loaded<A> {
    fn deref_mut(&mut self) -> &mut A {
        &mut self.aggregate
    }
}

/// The store at one scope.
pub struct Scoped<'a> {
    store: &'a Store,
    cx: &'a Cx,
}

#[derive(Serialize, Deserialize)]
struct Body<T> {
    v: u16,
    b: T,
}

fn noun<A: Aggregate>() -> &'static str {
    A::KIND.rsplit('.').next().unwrap_or(A::KIND)
}

/// What a caller is told of a store that did not do it.
pub fn problem(error: StoreError) -> Problem {
    match error {
        StoreError::Conflict => {
            Problem::new(ProblemKind::Conflict, "changed_meanwhile", "someone else changed this at the same time")
                .hint("read it again and repeat the change")
        }
        StoreError::Unavailable(_) => {
            Problem::new(ProblemKind::Unavailable, "store_unavailable", "the store did not answer")
                .hint("send the request again with the same Idempotency-Key")
                .cause(error)
        }
        StoreError::Full(_) => Problem::new(ProblemKind::Unavailable, "storage_full", "there is no room to store this")
            .hint("whoever runs this installation has to free space where its data lies; nothing was lost")
            .cause(error),
        StoreError::Corrupt(_) => Problem::new(ProblemKind::Internal, "store_damaged", "what is stored cannot be read")
            .hint("whoever runs this installation has to stop it, run `freehold doctor`, and restore the last backup")
            .cause(error),
        StoreError::Taken(_) | StoreError::Invalid(_) => Problem::internal(error),
    }
}

impl Scoped<'_> {
    fn scope(&self) -> Scope {
        self.cx.scope()
    }

    fn key<A: Aggregate>(&self, id: &A::Id) -> Result<CoreKey, Problem> {
        if !A::EVERYWHERE && A::SCOPE != self.scope().kind() {
            return Err(Problem::internal(format!("{} lives in another kind of scope", A::KIND)));
        }
        Ok(CoreKey { space: Space::of(self.scope()), kind: A::KIND.to_owned(), id: id.to_string() })
    }

    fn claim_key<A: Aggregate>(key: &DataKey, claim: &Claim) -> ClaimKey {
        ClaimKey(key.blind(&format!("claim/{}/{}", A::KIND, claim.index), &claim.value))
    }

    fn term_value<A: Aggregate>(key: &DataKey, index: &str, value: &str) -> String {
        key.blind(&format!("term/{}/{index}", A::KIND), value)
    }

    async fn seal<A: Aggregate>(&self, key: &CoreKey, version: u64, it: &A) -> Result<Vec<u8>, Problem> {
        let plain = serde_json::to_vec(&Body { v: A::VERSION, b: it }).map_err(Problem::internal)?;
        let keys = &self.store.keys;
        let (mut header, data_key) = match it.subject() {
            None => (vec![0], keys.scope(self.scope()).await?),
            Some(person) => {
                let header = [&[1], person.uuid().as_bytes().as_slice()].concat();
                (header, keys.person(self.scope(), person).await?)
            }
        };
        header.extend(data_key.seal(&key.to_string(), &version.to_string(), &plain, keys.entropy())?);
        Ok(header)
    }

    async fn open<A: Aggregate>(&self, key: &CoreKey, core: &Core) -> Result<Loaded<A>, Problem> {
        let forged = || Problem::from(KeyError::Forged);
        let keys = &self.store.keys;
        let (data_key, sealed) = match core.body.split_first() {
            Some((0, rest)) => (keys.scope(self.scope()).await?, rest),
            Some((1, rest)) => {
                let (person, sealed) = rest.split_at_checked(16).ok_or_else(forged)?;
                let person = uuid::Uuid::from_slice(person).map_err(Problem::internal)?;
                (keys.person(self.scope(), kernel::Id::from_uuid(person)).await?, sealed)
            }
            _ => return Err(forged()),
        };
        let plain = data_key.open(&key.to_string(), &core.base.version.to_string(), sealed)?;
        let written: Body<&serde_json::value::RawValue> = serde_json::from_slice(&plain).map_err(Problem::internal)?;
        let aggregate = if written.v == A::VERSION {
            serde_json::from_str(written.b.get()).map_err(Problem::internal)?
        } else {
            let body = serde_json::from_str(written.b.get()).map_err(Problem::internal)?;
            serde_json::from_value(A::upcast(written.v, body)).map_err(Problem::internal)?
        };
        Ok(Loaded { aggregate, base: core.base })
    }

    /// The aggregate of an id, if there is one. One whose person was erased is none.
    pub async fn try_load<A: Aggregate>(&self, id: &A::Id) -> Result<Option<Loaded<A>>, Problem> {
        let key = self.key::<A>(id)?;
        let Some(core) = self.store.engine.get(&key).await.map_err(problem)? else { return Ok(None) };
        if core.expires.is_some_and(|ends| ends <= self.cx.real_now()) {
            return Ok(None);
        }
        match self.open(&key, &core).await {
            Err(gone) if gone.kind() == ProblemKind::Gone => {
                self.clear_away(key, core.base).await?;
                Ok(None)
            }
            opened => opened.map(|it| {
                if let Some(versions) = self.cx.versions() {
                    versions.is(A::KIND, &key.id, it.base.version);
                }
                Some(it)
            }),
        }
    }

    /// What an erased person left is nothing that anyone can read, but it still holds names and has timers that come due.
    async fn clear_away(&self, key: CoreKey, base: Base) -> Result<(), Problem> {
        let id = CommitId { bytes: self.cx.random(), remember: Duration::ZERO };
        let commit = Commit { id, key, base, write: Write::Delete, events: Vec::new(), at: self.cx.real_now() };
        match self.store.engine.commit(commit).await {
            // Someone else has cleared it away.
            Ok(_) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(problem(error)),
        }
    }

    /// The aggregate of an id; a problem where there is none in this scope.
    pub async fn load<A: Aggregate>(&self, id: &A::Id) -> Result<Loaded<A>, Problem> {
        self.try_load(id).await?.ok_or_else(|| Problem::not_found(noun::<A>()))
    }

    /// The aggregate that holds a name.
    pub async fn find<A: Aggregate>(&self, claim: &Claim) -> Result<Option<Loaded<A>>, Problem> {
        let data_key = self.store.keys.scope(self.scope()).await?;
        let claim = Self::claim_key::<A>(&data_key, claim);
        let found = self.store.engine.find(&Space::of(self.scope()), &claim).await.map_err(problem)?;
        let Some((key, core)) = found else { return Ok(None) };
        if core.expires.is_some_and(|ends| ends <= self.cx.real_now()) {
            return Ok(None);
        }
        match self.open(&key, &core).await {
            Err(gone) if gone.kind() == ProblemKind::Gone => {
                self.clear_away(key, core.base).await?;
                Ok(None)
            }
            opened => opened.map(Some),
        }
    }

    /// Aggregates that carry a term, in its order.
    pub async fn list<A: Aggregate>(&self, index: &str, value: &str, page: &Page) -> Result<Listed<A>, Problem> {
        let data_key = self.store.keys.scope(self.scope()).await?;
        let limit = if page.limit == 0 { 50 } else { page.limit.min(200) };
        let scan = Scan {
            space: Space::of(self.scope()),
            kind: A::KIND.to_owned(),
            index: index.to_owned(),
            value: Self::term_value::<A>(&data_key, index, value),
            after: page.after.as_deref().map(cursor).transpose()?,
            newest_first: page.newest_first,
            limit,
        };
        let hits = self.store.engine.scan(&scan).await.map_err(problem)?;
        let next = hits.last().filter(|_| hits.len() == limit).map(|hit| cursor_text(&hit.sort, &hit.id));
        let mut items = Vec::with_capacity(hits.len());
        for hit in hits {
            let key = CoreKey { space: scan.space.clone(), kind: scan.kind.clone(), id: hit.id };
            match self.open(&key, &hit.core).await {
                Ok(item) => items.push(item),
                Err(gone) if gone.kind() == ProblemKind::Gone => {}
                Err(other) => return Err(other),
            }
        }
        Ok(Listed { items, next })
    }

    /// Takes all that a list has, in order, so many at a time.
    pub async fn each<A: Aggregate>(
        &self,
        (index, value): (&str, &str),
        at_once: usize,
        mut take: impl FnMut(Loaded<A>) -> Result<(), Problem> + Send,
    ) -> Result<(), Problem> {
        let mut page = Page { limit: at_once, ..Page::default() };
        loop {
            let listed = self.list(index, value, &page).await?;
            listed.items.into_iter().try_for_each(&mut take)?;
            page.after = listed.next;
            if page.after.is_none() {
                return Ok(());
            }
        }
    }

    fn commit_id(&self, key: &CoreKey, what: &[AnyEvent], (deletes, creates): (bool, bool)) -> CommitId {
        let Some(write_key) = self.cx.write_key() else {
            return CommitId { bytes: self.cx.random(), remember: Duration::ZERO };
        };
        let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
        digest.update(write_key.0.as_bytes());
        digest.update(format!("|{key}|{deletes}|{creates}").as_bytes());
        for event in what {
            digest.update(event.r#type.as_bytes());
        }
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(digest.finish().as_ref()).for_each(|(byte, of)| *byte = *of);
        CommitId { bytes, remember: REMEMBERED }
    }

    async fn write<A: Aggregate>(&self, it: &A, deletes: bool) -> Result<(Write, Vec<ClaimKey>), Problem> {
        if deletes {
            return Ok((Write::Delete, Vec::new()));
        }
        let data_key = self.store.keys.scope(self.scope()).await?;
        let claims: Vec<ClaimKey> = it.claims().iter().map(|it| Self::claim_key::<A>(&data_key, it)).collect();
        let term = |term: Term| TermKey {
            value: Self::term_value::<A>(&data_key, term.index, &term.value),
            index: term.index.to_owned(),
            sort: term.sort,
        };
        let timers = it.timers().into_iter().map(|it| TimerKey { name: it.name.to_owned(), due: it.due }).collect();
        let terms = it.terms().into_iter().map(term).collect();
        let write = Write::Put { body: Vec::new(), claims: claims.clone(), terms, timers, expires: it.expires() };
        Ok((write, claims))
    }

    /// What somebody changes for good is known to the audit log, also where no event tells of it.
    fn or_silent<A: Aggregate>(&self, happened: Vec<AnyEvent>, deletes: bool, base: Base) -> Vec<AnyEvent> {
        let changes = self.cx.act().is_some_and(|act| act.effect != Effect::Tell);
        if !happened.is_empty() || !changes || A::LIFE == Life::Ephemeral {
            return happened;
        }
        let created = if base == Base::default() { "created" } else { "changed" };
        vec![envelope::silent(if deletes { "deleted" } else { created })]
    }

    async fn commit<A: Aggregate>(
        &self,
        it: &A,
        base: Base,
        happened: Vec<AnyEvent>,
        deletes: bool,
    ) -> Result<Base, StoreOrProblem> {
        let key = self.key::<A>(&it.id())?;
        let version = base.version + 1;
        // A conflict is looked at anew before this: by then it is known of what version the change is.
        if let Some(versions) = self.cx.versions() {
            versions.check(A::KIND, &key.id, (base != Base::default()).then_some(base.version))?;
        }
        let (mut write, claims) = self.write(it, deletes).await?;
        if let Write::Put { body, .. } = &mut write {
            *body = self.seal(&key, version, it).await?;
        }
        // A creation and a change under one write key are two writes.
        let id = self.commit_id(&key, &happened, (deletes, base == Base::default()));
        let happened = self.or_silent::<A>(happened, deletes, base);
        let mut events = Vec::with_capacity(happened.len());
        for (place, event) in happened.into_iter().enumerate() {
            let sealed = envelope::seal(&self.store.keys, self.cx, &key, version, place, event).await?;
            events.push(serde_json::to_vec(&sealed).map_err(Problem::internal)?);
        }
        let commit = Commit { id, key: key.clone(), base, write, events, at: self.cx.real_now() };
        let mut outcome = self.store.engine.commit(commit.clone()).await;
        for _ in 0..2 {
            if matches!(outcome, Err(StoreError::Unavailable(_))) {
                outcome = self.store.engine.commit(commit.clone()).await;
            }
        }
        match outcome {
            Ok(Outcome::Done) => {
                if let Some(versions) = self.cx.versions() {
                    versions.changed(A::KIND, &key.id, (!deletes).then_some(version));
                }
                Ok(Base { version, fence: base.fence })
            }
            Ok(Outcome::Already) => Ok(self.store.engine.base(&key).await.map_err(problem)?),
            Err(StoreError::Taken(name)) => {
                let place = claims.iter().position(|claim| *claim == name);
                let index = place.and_then(|place| it.claims().get(place).map(|claim| claim.index)).unwrap_or("name");
                Err(StoreOrProblem::Problem(taken(index)))
            }
            Err(StoreError::Conflict) => Err(StoreOrProblem::Conflict),
            Err(other) => Err(StoreOrProblem::Problem(problem(other))),
        }
    }

    /// Stores a new aggregate.
    pub async fn create<A: Aggregate>(&self, it: A, happened: impl Happened) -> Result<Loaded<A>, Problem> {
        let events = happened.events();
        match self.commit(&it, Base::default(), events.clone(), false).await {
            // An id with a life before this one: a tombstone, or a fence.
            Err(StoreOrProblem::Conflict) if self.try_load::<A>(&it.id()).await?.is_none() => {
                let base = self.store.engine.base(&self.key::<A>(&it.id())?).await.map_err(problem)?;
                let base = self.commit(&it, base, events, false).await?;
                Ok(Loaded { aggregate: it, base })
            }
            outcome => Ok(Loaded { base: outcome?, aggregate: it }),
        }
    }

    /// Stores a changed aggregate, unless someone else changed it since it was loaded.
    pub async fn save<A: Aggregate>(&self, it: Loaded<A>, happened: impl Happened) -> Result<Loaded<A>, Problem> {
        let base = self.commit(&it.aggregate, it.base, happened.events(), false).await?;
        Ok(Loaded { aggregate: it.aggregate, base })
    }

    /// Deletes an aggregate; its id keeps a tombstone.
    pub async fn delete<A: Aggregate>(&self, it: Loaded<A>, happened: impl Happened) -> Result<(), Problem> {
        self.commit(&it.aggregate, it.base, happened.events(), true).await?;
        Ok(())
    }

    /// Loads, decides and saves, again on fresh state when someone else was faster. The rule may run several times.
    pub async fn change<A: Aggregate, H: Happened>(
        &self,
        id: &A::Id,
        mut rule: impl FnMut(&mut A) -> Result<H, Problem> + Send,
    ) -> Result<Loaded<A>, Problem> {
        for attempt in 0..ATTEMPTS {
            let mut it = self.load::<A>(id).await?;
            let events = rule(&mut it.aggregate)?.events();
            match self.commit(&it.aggregate, it.base, events, false).await {
                Ok(base) => return Ok(Loaded { aggregate: it.aggregate, base }),
                Err(StoreOrProblem::Conflict) => {
                    // Each waits its own time, or the same ones meet again.
                    let [random] = self.cx.random::<1>();
                    let most = 1_u64 << attempt.min(6);
                    tokio::time::sleep(Duration::from_millis(u64::from(random) % most)).await;
                }
                Err(other) => return Err(other.into()),
            }
        }
        Err(problem(StoreError::Conflict))
    }

    /// The same for one that is there from the first change on.
    pub async fn upsert<A: Aggregate, H: Happened>(
        &self,
        id: &A::Id,
        fresh: impl FnOnce() -> A + Send,
        mut rule: impl FnMut(&mut A) -> Result<H, Problem> + Send,
    ) -> Result<Loaded<A>, Problem> {
        if self.try_load::<A>(id).await?.is_none() {
            let mut it = fresh();
            let happened = rule(&mut it)?.events();
            match self.create(it, happened).await {
                // Someone else was faster.
                Err(problem) if problem.code() == "changed_meanwhile" => {}
                outcome => return outcome,
            }
        }
        self.change(id, rule).await
    }

    /// Erases the scope: destroys its keys, then removes what they sealed. Repeatable.
    pub async fn erase(&self) -> Result<u64, Problem> {
        self.store.keys.destroy_scope(self.scope()).await?;
        self.store.engine.erase(&Space::of(self.scope())).await.map_err(problem)
    }
}

/// A refusal that the caller may try again on, apart from all others.
enum StoreOrProblem {
    Conflict,
    Problem(Problem),
}

impl From<Problem> for StoreOrProblem {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<KeyError> for StoreOrProblem {
    fn from(error: KeyError) -> Self {
        Self::Problem(error.into())
    }
}

impl From<StoreOrProblem> for Problem {
    fn from(error: StoreOrProblem) -> Self {
        match error {
            StoreOrProblem::Conflict => problem(StoreError::Conflict),
            StoreOrProblem::Problem(problem) => problem,
        }
    }
}

fn taken(index: &'static str) -> Problem {
    Problem::new(ProblemKind::Conflict, "already_taken", format!("this {index} is already in use"))
        .hint("choose another, or find what holds it")
        .field(format!("/{index}"), "already in use")
}

pub(crate) fn cursor_text(sort: &str, id: &str) -> String {
    data_encoding::BASE64URL_NOPAD.encode(format!("{sort}\n{id}").as_bytes())
}

fn cursor(text: &str) -> Result<(String, String), Problem> {
    let refused = || Problem::invalid_field("/after", "not a cursor that a list gave out");
    let bytes = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| refused())?;
    let text = String::from_utf8(bytes).map_err(|_| refused())?;
    text.split_once('\n').map(|(sort, id)| (sort.to_owned(), id.to_owned())).ok_or_else(refused)
}
