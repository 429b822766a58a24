//! How fast: `cargo run --release -p freehold-columnar --example volume`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that a person reads")]

use std::{collections::BTreeMap, time::Instant};

use facts::{Bucket, Fact, Facts, Measure, Query};
use freehold_columnar::ColumnarFacts;
use kernel::{Id, Scope, Timestamp, entropy::SeededEntropy};

const FACTS: u64 = 1_000_000;
const DAYS: u64 = 30;
const PERSONS: u64 = 20_000;

fn fact(dice: &SeededEntropy, scope: Scope, number: u64) -> Fact {
    let second = number * DAYS * 86_400 / FACTS;
    let at = Timestamp::from_second(1_798_761_600 + i64::try_from(second).expect("a month")).expect("this century");
    let country = match dice.next() % 4 {
        0 => "de",
        1 => "fr",
        2 => "at",
        _ => "it",
    };
    let labels = [("country".to_owned(), country.to_owned())];
    Fact {
        id: format!("evt_{number:026}"),
        scope,
        name: "page.seen".to_owned(),
        at,
        person: Some(format!("PSEUDONYM{:023}", dice.next() % PERSONS)),
        value: 1.0,
        labels: BTreeMap::from(labels),
    }
}

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let facts = ColumnarFacts::open(folder.path()).unwrap();
    let (dice, scope) = (SeededEntropy::new(1), Scope::Tenant(Id::from_uuid(uuid::Uuid::from_u128(1))));
    let started = Instant::now();
    for first in (0..FACTS).step_by(500) {
        facts.append((first..first + 500).map(|number| fact(&dice, scope, number)).collect()).await.unwrap();
    }
    let took = started.elapsed();
    let size = std::fs::metadata(folder.path().join("facts.sqlite")).unwrap().len() / 1_000_000;
    println!("append of {FACTS} facts in batches of 500: {took:?}; the file has {size} MB");
    let day = |measure| Query { bucket: Some(Bucket::Day), ..Query::new(measure) };
    let berlin = || "Europe/Berlin".to_owned();
    let country = || Some("country".to_owned());
    for (what, query, rows) in [
        ("unique persons per day (UTC)", day(Measure::Unique), 30),
        ("unique persons per day (Berlin)", Query { time_zone: berlin(), ..day(Measure::Unique) }, 31),
        ("unique persons per day and country", Query { group_by: country(), ..day(Measure::Unique) }, 120),
        ("count per day (UTC)", day(Measure::Count), 30),
        ("sum per day (UTC)", day(Measure::Sum), 30),
    ] {
        let started = Instant::now();
        let told = facts.query(scope, query).await.unwrap();
        println!("{what}: {:?}", started.elapsed());
        assert_eq!(told.len(), rows);
    }
}
