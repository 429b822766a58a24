//! The inbox as it fills, by server-sent events (WHATWG HTML, section 9.2).
//!
//! A message comes at least once: at once where this process made it, within a second where another did. `Last-Event-ID`
//! goes on where a stream broke off; what came in its last seconds then comes once more, with the same id of the notification.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use contracts::notifications::NotificationId;
use http::{Request, Response, header};
use kernel::{Cx, Problem, ProblemKind, Scope, Timestamp, UserId, context::Body};
use store::{Page, Store};
use tokio::{sync::Notify, time::Instant};

use crate::{Notifications, inbox::MessageView, notification::Notification};

/// Streams of one person, and of this process, at a time.
const OF_A_PERSON: usize = 5;
const OF_ALL: usize = 5_000;
/// How long at most until the store is looked at again, and the credential.
const LOOK: Duration = Duration::from_millis(800);
/// How long at most nothing is sent.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The longest life of a stream; a client opens the next by itself.
const LIFE: Duration = Duration::from_hours(1);
/// How old a message is before no older one can still be on its way into the store.
const SETTLED: Duration = Duration::from_secs(5);
/// Messages that are read at once.
const BATCH: usize = 50;

#[derive(Default)]
struct Listeners {
    count: usize,
    woken: Arc<Notify>,
}

/// The streams of this process.
#[derive(Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<HashMap<(Scope, UserId), Listeners>>>);

/// A stream's place among them, given back when it ends.
struct Place {
    streams: Streams,
    whose: (Scope, UserId),
    woken: Arc<Notify>,
}

impl Streams {
    /// There is something new for a person.
    pub(crate) fn wake(&self, scope: Scope, user: UserId) {
        let streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listeners) = streams.get(&(scope, user)) {
            listeners.woken.notify_waiters();
        }
    }

    fn enter(&self, whose: (Scope, UserId)) -> Result<Place, Problem> {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = streams.values().map(|it| it.count).sum();
        let full = streams.get(&whose).map_or(0, |it| it.count) >= OF_A_PERSON || all >= OF_ALL;
        if full {
            return Err(Problem::new(
                ProblemKind::Limited,
                "notifications.too_many_streams",
                "too many streams are open",
            )
            .hint("close one, or ask for the list of the inbox instead")
            .retry_after(30));
        }
        let listeners = streams.entry(whose).or_default();
        listeners.count += 1;
        Ok(Place { streams: self.clone(), whose, woken: Arc::clone(&listeners.woken) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut streams = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listeners) = streams.get_mut(&self.whose) {
            listeners.count -= 1;
            if listeners.count == 0 {
                streams.remove(&self.whose);
            }
        }
    }
}

/// How far a stream has come.
struct Follower {
    store: Store,
    cx: Cx,
    user: UserId,
    place: Place,
    /// All up to here has been sent, and nothing can come before it any more.
    cursor: Option<String>,
    /// What has been sent beyond it.
    sent: BTreeMap<NotificationId, Timestamp>,
    ends: Instant,
    quiet_since: Instant,
}

impl Follower {
    /// What is new, one message after the other.
    async fn news(&mut self) -> Result<Vec<Bytes>, Problem> {
        let (mut pieces, mut after) = (Vec::new(), self.cursor.clone());
        let settled = self.cx.now().checked_sub(SETTLED).unwrap_or(Timestamp::UNIX_EPOCH);
        for _ in 0..BATCH {
            // One at a time: the cursor of a list is that after its last item.
            let page = Page { after: after.clone(), limit: 1, newest_first: false };
            let store = self.store.at(&self.cx);
            let listed = store.list::<Notification>("inbox", &self.user.to_string(), &page).await?;
            let Some(next) = listed.next else { break };
            after = Some(next.clone());
            let Some(message) = listed.items.first() else { continue };
            if message.created < settled {
                self.cursor = Some(next);
            }
            if self.sent.insert(message.id, message.created).is_none() {
                let json = serde_json::to_string(&MessageView::from(&**message)).map_err(Problem::internal)?;
                let id = self.cursor.as_deref().map(|it| format!("id: {it}\n")).unwrap_or_default();
                pieces.push(Bytes::from(format!("event: message\n{id}data: {json}\n\n")));
            }
        }
        self.sent.retain(|_, created| *created >= settled);
        Ok(pieces)
    }

    /// The next piece; none when the stream is over.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        loop {
            let woken = Arc::clone(&self.place.woken);
            // Asked for before the look, so that nothing falls between the two.
            let woken = woken.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            if Instant::now() >= self.ends || self.cx.still_stands().await.is_err() {
                return None;
            }
            let news = self.news().await.ok()?;
            if !news.is_empty() {
                self.quiet_since = Instant::now();
                return Some((news.concat().into(), self));
            }
            if self.quiet_since.elapsed() >= HEARTBEAT {
                self.quiet_since = Instant::now();
                return Some((Bytes::from_static(b": still here\n\n"), self));
            }
            drop(tokio::time::timeout(LOOK, woken).await);
        }
    }
}

impl Notifications {
    /// Streams the caller's inbox.
    pub(crate) async fn stream(&self, request: Request<Bytes>, cx: Cx) -> Result<Response<Body>, Problem> {
        let user = cx.user()?;
        let place = self.streams.enter((cx.scope(), user))?;
        let asked = request.headers().get("last-event-id").and_then(|it| it.to_str().ok()).filter(|it| !it.is_empty());
        let store = self.store.at(&cx);
        let page = Page { after: asked.map(str::to_owned), limit: 1, newest_first: asked.is_none() };
        // A cursor that no list gave out is refused here, and not once the answer has begun.
        let listed = store.list::<Notification>("inbox", &user.to_string(), &page).await?;
        // Without one it goes on from now: what is there already is what the list tells.
        let cursor = page.after.or(listed.next);
        let now = Instant::now();
        let (store, sent) = (self.store.clone(), BTreeMap::new());
        let follower = Follower { store, cx, user, place, cursor, sent, ends: now + LIFE, quiet_since: now };
        let hello = futures::stream::iter([Bytes::from_static(b"retry: 2000\n\n")]);
        let pieces = futures::stream::unfold(follower, Follower::next);
        Response::builder()
            .header(header::CONTENT_TYPE, "text/event-stream")
            .header("x-accel-buffering", "no")
            .body(Body::stream(futures::StreamExt::chain(hello, pieces)))
            .map_err(Problem::internal)
    }
}

#[cfg(test)]
mod tests {
    use kernel::Id;

    use super::*;

    #[test]
    fn streams_are_counted_and_given_back() {
        let (streams, scope) = (Streams::default(), Scope::Tenant(Id::from_uuid(uuid::Uuid::from_u128(1))));
        let whose = (scope, Id::from_uuid(uuid::Uuid::from_u128(2)));
        let places: Vec<_> = (0..OF_A_PERSON).map(|_| streams.enter(whose).unwrap()).collect();
        assert!(streams.enter(whose).is_err());
        drop(places);
        assert!(streams.enter(whose).is_ok() && streams.0.lock().unwrap().is_empty());
    }
}
