//! The columns of a segment. Facts stand in the order of their instants, at the same place in every column.
//!
//! - `at`: the first instant (8 bytes), then the distance of each to the one before, as LEB128.
//! - `value`: 8 bytes each; or 8 bytes for all, where they are the same.
//! - `persons`, `label/<name>`: the different texts, each after its length (2 bytes). An empty person was forgotten.
//! - `person`, `is/<name>`: for each fact the number of its text, 0 for none; in 1, 2 or 4 bytes.
//!
//! All numbers are little-endian.

use std::{collections::HashMap, hash::Hash};

use rusqlite::{Connection, OptionalExtension, params};

/// Why a segment cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The file.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// What is stored is not what was written.
    #[error("a segment is damaged")]
    Damaged,
    /// Labels of a row that are no JSON.
    #[error("a row is damaged: {0}")]
    Row(#[from] serde_json::Error),
}

/// Numbers texts from 1 on in the order in which they first come; 0 stands for none.
pub(crate) struct Numbers<T>(HashMap<T, u32>);

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Hash + Eq + Ord + Clone + AsRef<str>> Numbers<T> {
    pub(crate) fn of(&mut self, text: T) -> u32 {
        let next = u32::try_from(self.0.len() + 1).unwrap_or(u32::MAX);
        *self.0.entry(text).or_insert(next)
    }

    /// The texts, in the order of their numbers.
    pub(crate) fn texts(&self) -> Vec<T> {
        let mut texts: Vec<(u32, T)> = self.0.iter().map(|(text, number)| (*number, text.clone())).collect();
        texts.sort_unstable();
        texts.into_iter().map(|(_, text)| text).collect()
    }
}

pub(crate) fn write_instants(instants: &[i64]) -> Vec<u8> {
    let mut before = instants.first().copied().unwrap_or_default();
    let mut bytes = before.to_le_bytes().to_vec();
    for at in instants {
        let mut distance = at.abs_diff(before);
        before = *at;
        while distance >= 0x80 {
            bytes.push((distance & 0x7f) as u8 | 0x80);
            distance >>= 7;
        }
        bytes.push((distance & 0x7f) as u8);
    }
    bytes
}

pub(crate) fn read_instants(bytes: &[u8]) -> Result<Vec<i64>, Fault> {
    let (first, distances) = bytes.split_first_chunk::<8>().ok_or(Fault::Damaged)?;
    let (mut at, mut distance, mut shift) = (i64::from_le_bytes(*first), 0_i64, 0_u32);
    let mut instants = Vec::with_capacity(distances.len() / 3);
    for byte in distances {
        distance |= i64::from(byte & 0x7f).checked_shl(shift).ok_or(Fault::Damaged)?;
        shift += 7;
        if byte & 0x80 == 0 {
            at = at.checked_add(distance).ok_or(Fault::Damaged)?;
            instants.push(at);
            (distance, shift) = (0, 0);
        }
    }
    Ok(instants)
}

pub(crate) fn write_values(values: &[f64]) -> Vec<u8> {
    let bits = || values.iter().map(|value| value.to_bits());
    let all_same = bits().all(|it| Some(it) == bits().next());
    bits().take(if all_same { 1 } else { values.len() }).flat_map(u64::to_le_bytes).collect()
}

pub(crate) fn read_values(bytes: &[u8], facts: usize) -> Result<Vec<f64>, Fault> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    match chunks {
        _ if !rest.is_empty() => Err(Fault::Damaged),
        [all] => Ok(vec![f64::from_le_bytes(*all); facts]),
        each => Ok(each.iter().map(|value| f64::from_le_bytes(*value)).collect()),
    }
}

pub(crate) fn write_texts<T: AsRef<str>>(texts: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in texts.iter().map(AsRef::as_ref) {
        let length = u16::try_from(text.len()).expect("texts of facts are at most 256 bytes");
        bytes.extend(length.to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

pub(crate) fn read_texts(mut bytes: &[u8]) -> Result<Vec<String>, Fault> {
    let mut texts = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let (text, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into()).ok_or(Fault::Damaged)?;
        texts.push(std::str::from_utf8(text).map_err(|_| Fault::Damaged)?.to_owned());
        bytes = rest;
    }
    if bytes.is_empty() { Ok(texts) } else { Err(Fault::Damaged) }
}

/// Numbers in as few bytes each as the largest needs; the first byte tells how many.
pub(crate) fn write_numbers(numbers: &[u32]) -> Vec<u8> {
    let width = match numbers.iter().max() {
        None | Some(..=0xff) => 1,
        Some(..=0xffff) => 2,
        Some(_) => 4,
    };
    let bytes = numbers.iter().flat_map(|number| number.to_le_bytes().into_iter().take(width.into()));
    std::iter::once(width).chain(bytes).collect()
}

pub(crate) fn read_numbers(bytes: &[u8]) -> Result<Vec<u32>, Fault> {
    match bytes.split_first() {
        Some((1, bytes)) => Ok(bytes.iter().map(|byte| (*byte).into()).collect()),
        Some((2, bytes)) => Ok(bytes.as_chunks().0.iter().map(|it| u16::from_le_bytes(*it).into()).collect()),
        Some((4, bytes)) => Ok(bytes.as_chunks().0.iter().map(|it| u32::from_le_bytes(*it)).collect()),
        _ => Err(Fault::Damaged),
    }
}

/// Stores a column in place of the one before.
pub(crate) fn put(db: &Connection, segment: i64, part: &str, data: &[u8]) -> Result<(), Fault> {
    let sql = "INSERT INTO columns (segment, part, data) VALUES (?,?,?)
               ON CONFLICT (segment, part) DO UPDATE SET data = excluded.data";
    db.prepare_cached(sql)?.execute(params![segment, part, data])?;
    Ok(())
}

/// Reads a column; none where no fact of the segment has that label.
pub(crate) fn get(db: &Connection, segment: i64, part: &str) -> Result<Option<Vec<u8>>, Fault> {
    let mut find = db.prepare_cached("SELECT data FROM columns WHERE segment = ? AND part = ?")?;
    Ok(find.query_row(params![segment, part], |row| row.get(0)).optional()?)
}

/// Reads a column that every segment has.
pub(crate) fn must(db: &Connection, segment: i64, part: &str) -> Result<Vec<u8>, Fault> {
    get(db, segment, part)?.ok_or(Fault::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn columns_read_as_they_were_written(
            mut instants in prop::collection::vec(0_i64..7_300_000_000_000_000, 1..50),
            values in prop::collection::vec(prop::num::f64::NORMAL | prop::num::f64::ZERO, 1..50),
            texts in prop::collection::vec(".{0,40}", 0..50),
            numbers in prop::collection::vec(prop_oneof![0..300_u32, 0..70_000_u32, any::<u32>()], 0..50),
        ) {
            instants.sort_unstable();
            prop_assert_eq!(read_instants(&write_instants(&instants)).unwrap(), instants);
            prop_assert_eq!(read_values(&write_values(&values), values.len()).unwrap(), values);
            prop_assert_eq!(read_texts(&write_texts(&texts)).unwrap(), texts);
            prop_assert_eq!(read_numbers(&write_numbers(&numbers)).unwrap(), numbers);
        }
    }

    #[test]
    fn equal_values_take_the_room_of_one() {
        assert_eq!(write_values(&[1.0; 500]).len(), 8);
        assert_eq!(read_values(&write_values(&[1.0; 3]), 3).unwrap(), [1.0; 3]);
    }

    #[test]
    fn cut_columns_are_refused() {
        let texts = write_texts(&["ada", "bob"]);
        assert!(read_texts(&texts[..texts.len() - 1]).is_err());
        assert!(read_instants(&[0; 7]).is_err());
        assert!(read_values(&[0; 9], 2).is_err());
        assert!(read_numbers(&[]).is_err());
    }
}
