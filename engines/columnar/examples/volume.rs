//! How fast: `cargo run --release -p freehold-columnar --example volume -- 10000000 /folder/on/the/disk`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that a person reads")]

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Instant};

use facts::{Bucket, Fact, Facts, Field, Funnel, Measure, Query, Step};
use freehold_columnar::ColumnarFacts;
use kernel::{Id, Scope, Timestamp, entropy::SeededEntropy};
use rusqlite::{Connection, params};

const DAYS: u64 = 30;
const PERSONS: u64 = 200_000;
const BATCH: u64 = 100;
const WRITERS: u64 = 64;

fn scope() -> Scope {
    Scope::Tenant(Id::from_uuid(uuid::Uuid::from_u128(1)))
}

/// Half of them visits, a third carts, the rest orders; of a person at a time, in the order in which they come in.
fn fact(dice: &SeededEntropy, number: u64, of: u64) -> Fact {
    let micros = number * (DAYS * 86_400_000_000 / of) + dice.next() % 1_000_000;
    let at = Timestamp::from_microsecond(1_798_761_600_000_000 + i64::try_from(micros).unwrap()).unwrap();
    let country = ["de", "fr", "at", "it"].get(usize::try_from(dice.next() % 4).unwrap()).unwrap();
    let name = match number % 6 {
        0..3 => "page.seen",
        3..5 => "cart.filled",
        _ => "order.placed",
    };
    Fact {
        id: format!("evt_{number:026}"),
        scope: scope(),
        name: name.to_owned(),
        at,
        person: Some(format!("PSEUDONYM{:023}", dice.next() % PERSONS)),
        value: 1.0,
        labels: BTreeMap::from([("country".to_owned(), (*country).to_owned())]),
    }
}

fn batch(first: u64, of: u64) -> Vec<Fact> {
    let dice = SeededEntropy::new(first);
    (first..first + BATCH).map(|number| fact(&dice, number, of)).collect()
}

fn rate(rows: u64, took: std::time::Duration) -> String {
    format!("{} rows/s", u128::from(rows) * 1_000_000 / took.as_micros().max(1))
}

/// The same rows in groups of as many batches as there are writers, plainly: no ids are known, nothing is by column.
fn raw(folder: &Path, rows: u64) {
    let db = Connection::open(folder.join("raw.sqlite")).unwrap();
    db.pragma_update(None, "journal_mode", "WAL").unwrap();
    db.pragma_update(None, "synchronous", "FULL").unwrap();
    db.execute_batch(
        "CREATE TABLE raw (id TEXT, scope TEXT, name TEXT, at INTEGER, person TEXT, value REAL, labels TEXT)",
    )
    .unwrap();
    let mut took = std::time::Duration::ZERO;
    for first in (0..rows).step_by(usize::try_from(BATCH * WRITERS).unwrap()) {
        let group: Vec<Fact> = (0..WRITERS).flat_map(|writer| batch(first + writer * BATCH, rows)).collect();
        let started = Instant::now();
        let tx = db.unchecked_transaction().unwrap();
        for it in group {
            let labels = format!("{:?}", it.labels);
            let row =
                params![it.id, it.scope.to_string(), it.name, it.at.as_microsecond(), it.person, it.value, labels];
            tx.prepare_cached("INSERT INTO raw VALUES (?,?,?,?,?,?,?)").unwrap().execute(row).unwrap();
        }
        tx.commit().unwrap();
        took += started.elapsed();
    }
    println!("raw group commit of {rows} of the same rows: {took:?}, {}", rate(rows, took));
}

async fn ingest(facts: &Arc<ColumnarFacts>, rows: u64) {
    let started = Instant::now();
    let writers = (0..WRITERS).map(|writer| {
        let facts = Arc::clone(facts);
        tokio::spawn(async move {
            let mut first = writer * BATCH;
            while first < rows {
                facts.append(batch(first, rows)).await.unwrap();
                first += WRITERS * BATCH;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let took = started.elapsed();
    println!("ingest of {rows} in batches of {BATCH} from {WRITERS} writers: {took:?}, {}", rate(rows, took));
}

async fn questions(facts: &ColumnarFacts) {
    let day = |measure| Query { bucket: Some(Bucket::Day), ..Query::new(measure) };
    let berlin = || "Europe/Berlin".to_owned();
    let country = || vec![Field::label("country")];
    for (what, query) in [
        ("unique persons per day (UTC)", day(Measure::Unique)),
        ("unique persons per day (Berlin)", Query { time_zone: berlin(), ..day(Measure::Unique) }),
        ("unique persons per day and country", Query { group_by: country(), ..day(Measure::Unique) }),
        ("count per day of one name", Query { name: Some("order.placed".to_owned()), ..day(Measure::Count) }),
        ("median per day", day(Measure::Percentile(50))),
        ("unique persons in all", Query::new(Measure::Unique)),
    ] {
        let mut best = std::time::Duration::MAX;
        for _ in 0..3 {
            let started = Instant::now();
            assert!(!facts.query(scope(), query.clone()).await.unwrap().is_empty());
            best = best.min(started.elapsed());
        }
        println!("{what}: {best:?}");
    }
    let step = |name: &str| Step { name: name.to_owned(), filters: Vec::new() };
    let steps = vec![step("page.seen"), step("cart.filled"), step("order.placed")];
    let funnel = Funnel { steps, within: 7 * 86_400, from: None, until: None };
    let started = Instant::now();
    let told = facts.funnel(scope(), funnel).await.unwrap();
    println!(
        "funnel of three steps: {:?} {:?}",
        started.elapsed(),
        told.iter().map(|it| it.people).collect::<Vec<_>>()
    );
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let told = status.lines().filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS"));
    told.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
}

#[tokio::main]
async fn main() {
    let mut asked = std::env::args().skip(1);
    let rows: u64 = asked.next().map_or(1_000_000, |rows| rows.parse().unwrap());
    let parent = asked.next().unwrap_or_else(|| std::env::temp_dir().display().to_string());
    let folder = tempfile::tempdir_in(parent).unwrap();
    raw(folder.path(), rows.min(1_000_000));
    let facts = Arc::new(ColumnarFacts::open(folder.path()).unwrap());
    ingest(&facts, rows).await;
    println!("memory after: {}", memory());
    let again = Instant::now();
    facts.append(batch(rows - BATCH, rows)).await.unwrap();
    println!("a batch that is known: {:?}", again.elapsed());
    let size = std::fs::metadata(folder.path().join("facts.sqlite")).unwrap().len() / 1_000_000;
    println!("the file has {size} MB");
    questions(&facts).await;
    println!("memory after: {}", memory());
    let started = Instant::now();
    facts.forget(scope(), &format!("PSEUDONYM{:023}", 7)).await.unwrap();
    println!("forgetting a person: {:?}", started.elapsed());
}
