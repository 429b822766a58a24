//! Small segments become large ones. What is appended together is a segment; sixteen of about the same size are merged,
//! so that a fact is written three or four times in all. A name that has many facts gets segments of its own.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use crate::{
    column::Fault,
    segment::{Batch, Head},
};

/// The most facts of a segment.
pub(crate) const FULL: usize = 65_536;
/// So many segments of a size are merged.
const MANY: usize = 16;
/// So many facts of a name get a segment of their own.
const OWN: usize = 4_096;
/// The most facts that one merge takes up: what it holds in memory.
const MOST: usize = 4 * FULL;

/// Of segments of the same name (or of several), those of one size.
fn tier(facts: usize) -> u32 {
    (facts / 32).max(1).ilog(8)
}

/// The number of a segment, and how many facts it has.
type Sort = Vec<(i64, usize)>;

/// Merges segments of a scope where there are enough of one sort; tells whether there were.
pub(crate) fn step(db: &Connection, scope: i64) -> Result<bool, Fault> {
    let mut read =
        db.prepare_cached("SELECT no, name, facts FROM segments WHERE scope = ? AND facts < ? ORDER BY no")?;
    let found = read.query_map(params![scope, FULL], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let mut sorts: BTreeMap<(u32, Option<String>), Sort> = BTreeMap::new();
    for found in found {
        let (no, name, facts): (i64, Option<String>, usize) = found?;
        sorts.entry((tier(facts), name)).or_default().push((no, facts));
    }
    let total = |segments: &[(i64, usize)]| segments.iter().map(|(_, facts)| facts).sum::<usize>();
    let ready = sorts.into_values().find(|it| it.len() >= MANY || (it.len() > 1 && total(it) >= FULL));
    let Some(ready) = ready else { return Ok(false) };
    let mut taken = 0;
    let fits = |(_, facts): &(i64, usize)| {
        taken += facts;
        taken <= MOST
    };
    let chosen: Vec<i64> = ready.into_iter().take_while(fits).map(|(no, _)| no).collect();
    merge(db, scope, &chosen)?;
    Ok(true)
}

fn merge(db: &Connection, scope: i64, segments: &[i64]) -> Result<(), Fault> {
    let heads = Head::within(db, scope, i64::MIN, i64::MAX)?;
    let tx = db.unchecked_transaction()?;
    let mut all = Batch::default();
    for head in heads.iter().filter(|head| segments.contains(&head.no)) {
        all.extend(&head.read_whole(&tx)?);
        head.remove(&tx)?;
    }
    for part in parted(&all) {
        part.put(&tx, scope)?;
    }
    Ok(tx.commit()?)
}

/// In the order of instants, by name where a name has enough facts, in segments that are full but for the last.
fn parted(all: &Batch) -> Vec<Batch> {
    let mut of_name: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (place, name) in all.names.of.iter().enumerate() {
        of_name.entry(*name).or_default().push(place);
    }
    let (own, few): (Vec<_>, Vec<_>) = of_name.into_values().partition(|places| places.len() >= OWN);
    let few: Vec<usize> = few.concat();
    let mut parts = Vec::new();
    for mut places in own.into_iter().chain(Some(few)) {
        places.sort_by_key(|place| all.instants.get(*place).copied());
        parts.extend(places.chunks(FULL).map(|places| all.at(places)));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parting_loses_and_doubles_nothing(
            facts in prop::collection::vec((0_i64..1_000, 0_u8..4, 0_u32..9, prop::option::of(0_u8..3)), 1..200),
        ) {
            let mut all = Batch::default();
            for (place, (at, name, person, label)) in facts.iter().enumerate() {
                all.instants.push(*at);
                all.values.push(f64::from(*name));
                all.persons.push(*person);
                all.names.set(place, &format!("name-{name}"));
                if let Some(label) = label {
                    all.labels.entry("label".to_owned()).or_default().set(place, &format!("label-{label}"));
                }
            }
            let told = |batch: &Batch, place: usize| {
                let label = batch.labels.get("label").and_then(|texts| texts.at(place)).map(str::to_owned);
                let name = batch.names.at(place).map(str::to_owned);
                (batch.instants[place], name, batch.persons[place], label)
            };
            let (left, right) = facts.split_at(facts.len() / 2);
            let places: Vec<usize> = (0..left.len()).collect();
            let mut joined = all.at(&places);
            let places: Vec<usize> = (left.len()..left.len() + right.len()).collect();
            joined.extend(&all.at(&places));
            let parts = parted(&joined);
            let mut after: Vec<_> = parts.iter().flat_map(|it| (0..it.len()).map(|place| told(it, place))).collect();
            let mut before: Vec<_> = (0..all.len()).map(|place| told(&all, place)).collect();
            before.sort();
            after.sort();
            prop_assert_eq!(before, after);
            prop_assert!(parts.iter().all(|it| it.instants.is_sorted()));
        }
    }
}
