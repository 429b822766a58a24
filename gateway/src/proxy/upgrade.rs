//! WebSockets on their way through: bytes both ways, until one side ends, nobody says anything for too long, the right to
//! be there ends, or the process does.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use routes::upstream::Running;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    Gateway,
    live::{revoked, stopping},
    visit::Admitted,
};

/// When something last went over a connection.
struct Noted<I> {
    inner: I,
    begun: Instant,
    last: Arc<AtomicU64>,
}

impl<I> Noted<I> {
    fn note(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Noted<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        self.note();
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Noted<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
        self.note();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

async fn silent(begun: Instant, last: Arc<AtomicU64>, idle: Duration) {
    loop {
        let rests = begun.elapsed().saturating_sub(Duration::from_millis(last.load(Ordering::Relaxed)));
        let Some(left) = idle.checked_sub(rests).filter(|left| !left.is_zero()) else { return };
        tokio::time::sleep(left).await;
    }
}

/// Both ends, once their handshakes are over, and whoever is let through.
pub(super) struct Tunnel {
    pub(super) client: OnUpgrade,
    pub(super) upstream: OnUpgrade,
    pub(super) idle: Duration,
    pub(super) admitted: Arc<Admitted>,
    /// Counts the server as busy, and the connection as open.
    pub(super) held: (Running, Option<crate::server::Held>),
}

impl Tunnel {
    pub(super) async fn run(self, gateway: Arc<Gateway>) {
        let (client, upstream) = match tokio::try_join!(self.client, self.upstream) {
            Ok(ends) => ends,
            Err(error) => {
                tracing::debug!(%error, "a WebSocket ended before it began");
                return;
            }
        };
        let (begun, last) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let mut client = Noted { inner: TokioIo::new(client), begun, last: Arc::clone(&last) };
        let mut upstream = TokioIo::new(upstream);
        tokio::select! {
            copied = tokio::io::copy_bidirectional(&mut client, &mut upstream) => {
                if let Err(error) = copied {
                    tracing::debug!(%error, "a WebSocket broke off");
                }
            }
            () = silent(begun, last, self.idle) => {}
            _ = revoked(Arc::clone(&gateway), self.admitted) => {}
            _ = stopping(gateway) => {}
        }
        drop(self.held);
    }
}
