//! How fast: `cargo run --release -p freehold-audit --example append -- 200000 /folder/on/the/disk`. First how many entries a
//! second one sequencer appends of what waits for it, of one tenant and of a hundred; then, while events come at a steady rate,
//! how long after its acknowledgement an event can be proved.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that a person reads")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates and shares, as a person reads them"
)]

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use events::Log;
use fixture::{Ground, event_of, tenant};
use serde_json::json;
use sqlite::SqliteEngine;

/// People and things of a tenant: nearly each event is of another thing, which is what an index suffers from most.
const OF: (usize, usize) = (1_000, 1_000_000);

/// What this process has used of processors, in seconds.
fn used() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ticks: f64 =
        stat.rsplit(')').next().unwrap().split(' ').skip(12).take(2).map(|it| it.parse::<f64>().unwrap()).sum();
    ticks / 100.0
}

fn ground(file: &Path) -> (Arc<Ground>, Arc<SqliteEngine>) {
    let engine = Arc::new(SqliteEngine::open(file).unwrap());
    (Arc::new(Ground::on(Arc::clone(&engine) as _, Arc::clone(&engine) as _)), engine)
}

async fn appends(file: &Path, count: usize, (tenants, things): (u128, usize)) {
    let (it, log) = ground(file);
    let numbers: Vec<usize> = (0..count).collect();
    for some in numbers.chunks(1_000) {
        let scope = move |number: usize| tenant(1 + number as u128 % tenants);
        log.append(some.iter().map(|number| event_of(scope(*number), *number, (OF.0, things))).collect())
            .await
            .unwrap();
    }
    let (mut sequencer, begun, before) = (it.sequencer(), Instant::now(), used());
    while sequencer.turn().await.unwrap() > 0 {}
    let each = count as f64 / begun.elapsed().as_secs_f64();
    let cpu = (used() - before) * 1e6 / count as f64;
    let size = std::fs::metadata(file).unwrap().len() as f64 / count as f64;
    println!(
        "{count} events of {things} things of {tenants} tenants: {each:.0} entries a second, {cpu:.0} us of CPU each; {size:.0} bytes each on the disk, the event's too"
    );
}

async fn lag(file: &Path, rate: usize, tenants: u128) {
    let (it, log) = ground(file);
    let follower = tokio::spawn(it.sequencer().follow());
    let (mut lags, begun, mut number) = (Vec::new(), Instant::now(), 0);
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    while begun.elapsed() < Duration::from_secs(10) {
        tick.tick().await;
        let scope = move |number: usize| tenant(1 + number as u128 % tenants);
        let due = (begun.elapsed().as_secs_f64() * rate as f64) as usize;
        log.append((number..due).map(|number| event_of(scope(number), number, OF)).collect()).await.unwrap();
        let acknowledged = Instant::now();
        it.appended.notify_waiters();
        if due > number && lags.len() * 20 < due * 100 / rate {
            let (it, last) = (Arc::clone(&it), due - 1);
            lags.push(tokio::spawn(async move {
                let entry = format!("{}-e{last:020}", last / usize::try_from(tenants).unwrap());
                while it.ask(scope(last), "/v1/audit/entries/{entry}", json!({ "entry": entry })).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                acknowledged.elapsed()
            }));
        }
        number = due;
    }
    let mut times = Vec::new();
    for lag in lags {
        times.push(lag.await.unwrap());
    }
    times.sort();
    follower.abort();
    let (half, most) = (times.get(times.len() / 2).unwrap(), times.last().unwrap());
    println!(
        "{rate} events a second of {tenants} tenants: proved {half:.1?} after the acknowledgement, {most:.1?} at most"
    );
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().unwrap().parse().unwrap();
    let folder = arguments.next().unwrap();
    let folder = tempfile::tempdir_in(folder).unwrap();
    for (tenants, things) in [(1, 100), (100, 100), (1, OF.1), (100, OF.1)] {
        let file = folder.path().join(format!("append-{tenants}-{things}.sqlite"));
        appends(&file, count, (tenants, things)).await;
        std::fs::remove_file(&file).unwrap();
    }
    for (rate, tenants) in [(500, 100), (5_000, 1), (5_000, 100), (20_000, 100)] {
        lag(&folder.path().join(format!("lag-{rate}-{tenants}.sqlite")), rate, tenants).await;
    }
}
