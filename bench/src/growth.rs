//! What grows with the number of tenants and what must not: the cost of a request, the start, the memory. And what a
//! tenant costs to be made.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};

use crate::{
    load::{self, Figures, Load},
    paths,
    report::{Report, Row},
    server::{self, Server, until},
    wire::{Ask, Wire},
    world::{self, Tenant},
};

/// How many sign-ups are under way at once.
const AT_ONCE: usize = 16;

/// Grows an installation to so many tenants, one after the other step, and measures at each.
pub(crate) async fn run(
    binary: &Path,
    settings: &[(&str, &str)],
    steps: &[u64],
    seconds: u64,
    report: &mut Report,
) -> Result<()> {
    let (_folder, data) = server::folder()?;
    let mut server = Server::start(binary, &data, settings)?;
    world::operator(&server).await?;
    let first = world::tenant(&server, "first").await?;
    let (mut there, mut flat) = (1, None);
    for step in steps {
        let made = sign_up(&server, there..*step).await?;
        if *step >= 100 {
            report.figure(
                &format!("tenant made, from {there} to {step}: CPU with its owner, key and mail"),
                &format!("{:.1} ms", made.as_secs_f64() * 1_000.0),
                "<= 5 ms",
                Some(made <= Duration::from_millis(5)),
            );
        }
        there = *step;
        flat = Some(measure(&server, &first, there, seconds, flat, report).await);
        let memory = server.memory()?;
        drop(server);
        server = Server::start(binary, &data, settings)?;
        let started = server.started_in;
        let bound = if there > 1_000 { Duration::from_secs(1) } else { Duration::from_millis(150) };
        report.figure(
            &format!("start to ready with {there} tenants"),
            &format!("{} ms", started.as_millis()),
            &format!("<= {} ms", bound.as_millis()),
            Some(started <= bound),
        );
        report.figure(
            &format!("memory after the load, {there} tenants"),
            &format!("{memory:.0} MiB"),
            "<= 150 MiB",
            Some(memory <= 150.0),
        );
    }
    Ok(())
}

/// The same request at this size, beside what it cost at the smallest.
async fn measure(
    server: &Server,
    tenant: &Tenant,
    there: u64,
    seconds: u64,
    smallest: Option<Result<Figures>>,
    report: &mut Report,
) -> Result<Figures> {
    let host = format!("first.localhost:{}", server.port);
    let tenant = Tenant { host, ..tenant.clone() };
    let load = Load { lasts: Duration::from_secs(seconds), ..Load::same(paths::bearer(&tenant)) };
    let measured = load::run(server, &load).await;
    let first = smallest.and_then(Result::ok);
    let name = format!("bearer request with {there} tenants");
    let row = first.map_or_else(|| Row::new(&name), |first| Row::cpu(&name, first.cpu * 1.2));
    let copy = measured.as_ref().ok().copied();
    report.measured(row, measured);
    first.or(copy).context("the smallest could not be measured")
}

/// Signs companies up and waits until each owner's mail is out; the CPU of one.
async fn sign_up(server: &Server, numbers: std::ops::Range<u64>) -> Result<Duration> {
    let (before, mails) = (server.cpu()?, server.mails());
    let count = numbers.end.saturating_sub(numbers.start);
    let next = Arc::new(std::sync::atomic::AtomicU64::new(numbers.start));
    let port = server.port;
    let workers = (0..AT_ONCE).map(|_| {
        let next = Arc::clone(&next);
        tokio::spawn(async move {
            let mut wire = Wire::open(port).await?;
            loop {
                let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if number >= numbers.end {
                    return anyhow::Ok(());
                }
                let ask: Ask = world::sign_up(&format!("localhost:{port}"), &format!("company{number}"));
                wire.ask(&ask.bytes()).await?.json()?;
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await??;
    }
    let expected = mails + usize::try_from(count)?;
    let mut last = 0;
    // As long as mails go out it is not stuck, however many there are.
    while last < expected {
        last = until("mails of sign-ups", async || {
            let now = server.mails();
            (now > last || now >= expected).then_some(now)
        })
        .await?;
    }
    let spent = server.cpu()?.saturating_sub(before);
    Ok(u32::try_from(count).map_or(spent, |count| spent / count.max(1)))
}
