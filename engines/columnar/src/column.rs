//! How a column is written. Facts stand at the same place in every column of a segment.
//!
//! - instants: the first (8 bytes), then the distance of each to the one before, as LEB128.
//! - values: 8 bytes each; or 8 bytes for all, where they are the same.
//! - numbers: their width in bytes (1, 2 or 4), then each; or a width of 0 and one of 4 bytes, where they are the same.
//! - texts: the different ones, each after its length (2 bytes); numbers count them from 1 on, and 0 is none.
//!
//! All numbers are little-endian. A CRC-32 of each column stands beside it: what a disk spoiled is noticed, not counted.

use std::collections::HashMap;

/// Why a segment cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The file.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// What is stored is not what was written.
    #[error("a segment is damaged")]
    Damaged,
    /// What is asked cannot be answered.
    #[error("{0}")]
    Refused(facts::FactsError),
    /// Somebody reads what was removed.
    #[error("a reader still holds what was removed")]
    Busy,
    /// The file of another release.
    #[error("facts.sqlite has the form {form}, and this release reads {expected}: use the release that wrote it")]
    Form {
        /// That of the file.
        form: i64,
        /// The one that is read.
        expected: i64,
    },
}

/// A column of texts: the different ones, and for each fact the number of its own.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_field_names, reason = "the texts of a column of texts")]
pub(crate) struct Texts {
    pub(crate) texts: Vec<String>,
    pub(crate) of: Vec<u32>,
    places: HashMap<String, u32>,
}

impl Texts {
    pub(crate) fn read(texts: Vec<String>, of: Vec<u32>) -> Self {
        Self { texts, of, places: HashMap::new() }
    }

    /// Says what stands at `place`; places before it that nobody spoke of have none.
    pub(crate) fn set(&mut self, place: usize, text: &str) {
        self.of.resize(place, 0);
        let number = self.number(text);
        self.of.push(number);
    }

    /// The number of a text, a new one where it is the first.
    pub(crate) fn number(&mut self, text: &str) -> u32 {
        if self.places.len() != self.texts.len() {
            self.places = self.texts.iter().cloned().zip(1..).collect();
        }
        if let Some(number) = self.places.get(text) {
            return *number;
        }
        self.texts.push(text.to_owned());
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.places.insert(text.to_owned(), number);
        number
    }

    /// Adds another column after `before` places.
    pub(crate) fn extend(&mut self, before: usize, other: &Self) {
        let numbers: Vec<u32> = other.texts.iter().map(|text| self.number(text)).collect();
        let number = |of: &u32| (*of as usize).checked_sub(1).and_then(|of| numbers.get(of).copied()).unwrap_or(0);
        self.of.resize(before, 0);
        self.of.extend(other.of.iter().map(number));
    }

    /// The text at a place, if there is one.
    pub(crate) fn at(&self, place: usize) -> Option<&str> {
        self.text(self.of.get(place).copied().unwrap_or(0))
    }

    pub(crate) fn text(&self, number: u32) -> Option<&str> {
        self.texts.get((number as usize).checked_sub(1)?).map(String::as_str)
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
    let mut instants = Vec::with_capacity(distances.len() / 2);
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

pub(crate) fn write_texts(texts: &[String]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in texts {
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

pub(crate) fn write_numbers(numbers: &[u32]) -> Vec<u8> {
    let first = numbers.first().copied().unwrap_or(0);
    if numbers.iter().all(|it| *it == first) {
        return std::iter::once(0).chain(first.to_le_bytes()).collect();
    }
    let width = match numbers.iter().max() {
        None | Some(..=0xff) => 1,
        Some(..=0xffff) => 2,
        Some(_) => 4,
    };
    let bytes = numbers.iter().flat_map(|number| number.to_le_bytes().into_iter().take(width.into()));
    std::iter::once(width).chain(bytes).collect()
}

pub(crate) fn read_numbers(bytes: &[u8], facts: usize) -> Result<Vec<u32>, Fault> {
    match bytes.split_first() {
        Some((0, all)) => Ok(vec![u32::from_le_bytes(all.try_into().map_err(|_| Fault::Damaged)?); facts]),
        Some((1, bytes)) => Ok(bytes.iter().map(|byte| (*byte).into()).collect()),
        Some((2, bytes)) => Ok(bytes.as_chunks().0.iter().map(|it| u16::from_le_bytes(*it).into()).collect()),
        Some((4, bytes)) => Ok(bytes.as_chunks().0.iter().map(|it| u32::from_le_bytes(*it)).collect()),
        _ => Err(Fault::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            mut instants in prop::collection::vec(0..7_258_118_400_000_000_i64, 1..50),
            values in prop::collection::vec(prop_oneof![Just(1.0), -1e300..1e300], 1..50),
            texts in prop::collection::vec(".{0,40}", 0..20),
            numbers in prop::collection::vec(prop_oneof![0..300_u32, 0..70_000_u32, any::<u32>()], 1..50),
            same: u32,
        ) {
            instants.sort_unstable();
            prop_assert_eq!(read_instants(&write_instants(&instants)).unwrap(), instants);
            prop_assert_eq!(read_values(&write_values(&values), values.len()).unwrap(), values);
            prop_assert_eq!(read_texts(&write_texts(&texts)).unwrap(), texts);
            prop_assert_eq!(read_numbers(&write_numbers(&numbers), numbers.len()).unwrap(), numbers);
            let all = vec![same; 30];
            prop_assert_eq!(read_numbers(&write_numbers(&all), 30).unwrap(), all);
        }
    }

    #[test]
    fn equal_ones_take_the_room_of_one() {
        assert_eq!(write_values(&[1.0; 500]).len(), 8);
        assert_eq!(write_numbers(&[70_000; 500]).len(), 5);
    }

    #[test]
    fn cut_columns_are_refused() {
        let texts = write_texts(&["ada".to_owned(), "bob".to_owned()]);
        assert!(read_texts(&texts[..texts.len() - 1]).is_err());
        assert!(read_instants(&[0; 7]).is_err());
        assert!(read_values(&[0; 9], 2).is_err());
        assert!(read_numbers(&[], 0).is_err());
        assert!(read_numbers(&[0, 1], 2).is_err());
    }
}
