//! Load: so many connections, each of which asks again as soon as it was answered, for so long.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{server::Server, wire::Wire};

/// Makes the next request of a connection, from its number, how many it has made, and the last answer's body.
pub(crate) type Next = Arc<dyn Fn(usize, u64, &[u8]) -> Vec<u8> + Send + Sync>;

/// What is asked, and by how many at once.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) next: Next,
    pub(crate) connections: usize,
    /// The status of an answer that counts.
    pub(crate) expects: u16,
    pub(crate) lasts: Duration,
}

impl Load {
    /// The same request again and again.
    pub(crate) fn same(request: Vec<u8>) -> Self {
        Self::of(move |_, _, _| request.clone())
    }

    pub(crate) fn of(next: impl Fn(usize, u64, &[u8]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self { next: Arc::new(next), connections: 16, expects: 200, lasts: Duration::from_secs(3) }
    }

    pub(crate) fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    pub(crate) fn expects(mut self, status: u16) -> Self {
        self.expects = status;
        self
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// Microseconds of the server's CPU, of user and system, for each request.
    pub(crate) cpu: f64,
    pub(crate) rate: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// Loads the server, after a moment that is not counted.
pub(crate) async fn run(server: &Server, load: &Load) -> Result<Figures> {
    let warm = Load { lasts: Duration::from_millis(400), ..load.clone() };
    once(server, &warm).await?;
    once(server, load).await
}

async fn once(server: &Server, load: &Load) -> Result<Figures> {
    let (begun, before) = (Instant::now(), server.cpu()?);
    let until = begun + load.lasts;
    let connections = (0..load.connections).map(|number| {
        let (load, port) = (load.clone(), server.port);
        tokio::spawn(async move { connection(port, number, &load, until).await })
    });
    let (mut times, mut refused) = (Vec::new(), Refused::default());
    for connection in connections.collect::<Vec<_>>() {
        let (some, of_these) = connection.await??;
        times.extend(some);
        refused.add(of_these);
    }
    let (spent, cpu) = (begun.elapsed(), server.cpu()?.saturating_sub(before));
    ensure!(!times.is_empty(), "nothing was answered as expected{}", refused.told());
    ensure!(refused.count * 100 <= times.len(), "{} of {} were refused{}", refused.count, times.len(), refused.told());
    Ok(figures(&mut times, spent, cpu))
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn figures(times: &mut [Duration], spent: Duration, cpu: Duration) -> Figures {
    times.sort_unstable();
    let at = |share: usize| times.get((times.len() - 1) * share / 100).map_or(0.0, |time| time.as_secs_f64() * 1_000.0);
    let count = times.len() as f64;
    Figures { cpu: cpu.as_secs_f64() * 1e6 / count, rate: count / spent.as_secs_f64(), p50: at(50), p99: at(99) }
}

#[derive(Debug, Default)]
struct Refused {
    count: usize,
    example: Option<String>,
}

impl Refused {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.example = self.example.take().or(other.example);
    }

    fn told(&self) -> String {
        self.example.as_ref().map(|example| format!(", such as: {example}")).unwrap_or_default()
    }
}

async fn connection(port: u16, number: usize, load: &Load, until: Instant) -> Result<(Vec<Duration>, Refused)> {
    let mut wire = Wire::open(port).await.context("the server takes no connection")?;
    let (mut times, mut refused, mut last, mut made) = (Vec::new(), Refused::default(), Vec::new(), 0);
    while Instant::now() < until {
        let request = (load.next)(number, made, &last);
        made += 1;
        let sent = Instant::now();
        let reply = wire.ask(&request).await?;
        if reply.status == load.expects {
            times.push(sent.elapsed());
        } else {
            let text = String::from_utf8_lossy(&reply.body).chars().take(300).collect::<String>();
            refused.add(Refused { count: 1, example: Some(format!("{} {text}", reply.status)) });
        }
        last = reply.body;
    }
    Ok((times, refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_what_was_counted() {
        let mut times: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        let of = figures(&mut times, Duration::from_secs(2), Duration::from_millis(10));
        assert_eq!((of.cpu, of.rate, of.p50, of.p99), (100.0, 50.0, 50.0, 99.0));
    }
}
