//! Bodies on their way. One from a client must keep coming; one to a client that has no end in sight ends with the right
//! to see it, or with the process.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderValue, StatusCode, header};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Sleep;
use web::{Body, Response, TooSlow};

use crate::{
    Gateway,
    visit::{Admitted, Visit},
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body that must not pause for longer than `pause`.
pub(crate) struct Paced<B> {
    inner: B,
    pause: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<B> Paced<B> {
    pub(crate) fn new(inner: B, pause: Duration) -> Self {
        Self { inner, pause, waiting: None }
    }
}

impl<B> http_body::Body for Paced<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.waiting = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let pause = self.pause;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Some(Err(TooSlow.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Why a stream ends before its sender ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum End {
    #[error("the right to see this has ended")]
    Revoked,
    #[error("this installation stops")]
    Stopping,
}

/// Waits until whoever was let in would be let in no more.
pub(crate) async fn revoked(gateway: Arc<Gateway>, admitted: Arc<Admitted>) -> End {
    while let Ok(until) = gateway.still(&admitted).await {
        tokio::time::sleep_until(until).await;
    }
    End::Revoked
}

/// Waits until the process is told to stop.
pub(crate) async fn stopping(gateway: Arc<Gateway>) -> End {
    let mut told = gateway.stopping.subscribe();
    // The sender lives as long as the gateway, which is held here.
    drop(told.wait_for(|stopping| *stopping).await);
    End::Stopping
}

/// A body that ends when its time is over.
struct Ending {
    inner: Body,
    end: BoxFuture<'static, End>,
    ended: bool,
}

impl http_body::Body for Ending {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(end) = self.end.as_mut().poll(cx) {
            self.ended = true;
            return Poll::Ready(match end {
                End::Stopping => None,
                End::Revoked => Some(Err(end.into())),
            });
        }
        Pin::new(&mut self.inner).poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Watches over an answer that has no end in sight. A stream of events ends with the process, between two of them: its
/// client comes again. Anything else would be cut off, and may go on for as long as the process waits.
pub(crate) fn live(gateway: &Arc<Gateway>, response: Response, visit: &Visit) -> Response {
    let endless = response.body().size_hint().exact().is_none() && response.status() != StatusCode::SWITCHING_PROTOCOLS;
    let Some(admitted) = visit.admitted.get().filter(|_| endless) else { return response };
    let events = HeaderValue::from_static("text/event-stream");
    let media = response.headers().get(header::CONTENT_TYPE);
    let events = media.is_some_and(|media| media.as_bytes().starts_with(events.as_bytes()));
    let (gateway, admitted) = (Arc::clone(gateway), Arc::clone(admitted));
    let end = async move {
        let revoked = revoked(Arc::clone(&gateway), admitted);
        if !events {
            return revoked.await;
        }
        tokio::select! {
            end = revoked => end,
            end = stopping(gateway) => end,
        }
    };
    response.map(|inner| Body::new(Ending { inner, end: Box::pin(end), ended: false }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_pauses_for_too_long_is_refused_and_one_that_keeps_coming_is_not() {
        let pause = Duration::from_secs(5);
        let (mut sender, slow) = http_body_util::channel::Channel::<Bytes, std::convert::Infallible>::new(1);
        let reading = tokio::spawn(Paced::new(slow, pause).collect());
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(4)).await;
            sender.send_data(Bytes::from_static(b"x")).await.unwrap();
        }
        drop(sender);
        assert_eq!(reading.await.unwrap().unwrap().to_bytes().len(), 10);
        let (_kept, silent) = http_body_util::channel::Channel::<Bytes, std::convert::Infallible>::new(1);
        let error = Paced::new(silent, pause).collect().await.unwrap_err();
        assert!(error.is::<TooSlow>());
    }
}
