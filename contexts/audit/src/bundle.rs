//! What is stored of a log. A **bundle** is what was appended at once. Its id is the index of its first entry: whoever
//! appends creates the one that begins where the log ends, and of two who do so one is refused. So a log has one
//! continuation only, whoever writes it and wherever they stop; all else (tiles, checkpoints) follows from the bundles.

use data_encoding::{BASE64, HEXLOWER};
use kernel::{Aggregate, ScopeKind, Term};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::value::RawValue;
use tlog::{Edge, Hash};

use crate::record::{Record, Salt, commitment};

/// The most entries of a bundle: three terms each stay within what one commit takes.
pub(crate) const MOST: usize = 256;
/// The most bytes of records of a bundle, which is well within what one commit takes.
pub(crate) const MOST_BYTES: usize = 512 << 10;
/// The index of all bundles, in their order.
pub(crate) const ALL: &str = "all";

/// An index as an id: it sorts as the number does.
pub(crate) fn padded(index: u64) -> String {
    format!("{index:016}")
}

/// A record with its salt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    #[serde(serialize_with = "as_hex", deserialize_with = "from_hex")]
    pub(crate) salt: Salt,
    pub(crate) record: Box<RawValue>,
}

fn as_hex<S: Serializer>(salt: &Salt, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&HEXLOWER.encode(salt))
}

fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Salt, D::Error> {
    let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
    let bytes = HEXLOWER.decode(text.as_bytes()).map_err(D::Error::custom)?;
    Salt::try_from(bytes.as_slice()).map_err(D::Error::custom)
}

impl Entry {
    /// What stands in the tree for it.
    pub(crate) fn commitment(&self) -> Hash {
        commitment(&self.salt, self.record.get())
    }

    /// The hash of its leaf.
    pub(crate) fn leaf(&self) -> Hash {
        tlog::leaf(&self.commitment())
    }

    /// The record, read.
    pub(crate) fn read(&self) -> Result<Record<'_>, serde_json::Error> {
        serde_json::from_str(self.record.get())
    }
}

/// Hashes as one text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hashes(pub(crate) Vec<Hash>);

impl Serialize for Hashes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(self.0.as_flattened()))
    }
}

impl<'de> Deserialize<'de> for Hashes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let bytes = BASE64.decode(text.as_bytes()).map_err(D::Error::custom)?;
        match bytes.as_chunks::<32>() {
            (hashes, []) => Ok(Self(hashes.to_vec())),
            _ => Err(D::Error::custom("expected hashes of 32 bytes")),
        }
    }
}

/// Entries that were appended at once, and what the log is from then on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Bundle {
    pub(crate) first: u64,
    /// Up to which position of the retained log all is in.
    pub(crate) reached: u64,
    /// The right edge of the tree after it.
    edge: Hashes,
    pub(crate) entries: Vec<Entry>,
    /// What it is found by: known to whoever makes it, and not stored in the body a second time.
    #[serde(skip)]
    terms: Vec<(&'static str, String)>,
}

impl Bundle {
    /// What follows on an edge, with the edge after it.
    pub(crate) fn after(mut edge: Edge, reached: u64, new: Vec<(Record<'_>, Entry)>) -> (Self, Edge) {
        let (first, mut entries, mut terms) = (edge.size(), Vec::with_capacity(new.len()), Vec::new());
        for (record, entry) in new {
            edge.append(entry.leaf());
            entries.push(entry);
            for (index, value) in [("actor", record.actor), ("action", record.action), ("resource", record.resource)] {
                terms.push((index, value.into_owned()));
            }
        }
        terms.sort();
        terms.dedup();
        (Self { first, reached, edge: Hashes(edge.roots().to_vec()), entries, terms }, edge)
    }

    /// The index after its last entry.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// The right edge of the tree after it; `None` where what is stored cannot be right.
    pub(crate) fn edge(&self) -> Option<Edge> {
        Edge::of(self.end(), self.edge.0.clone())
    }
}

impl Aggregate for Bundle {
    type Id = String;
    const KIND: &'static str = "audit.bundle";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const EVERYWHERE: bool = true;

    fn id(&self) -> String {
        padded(self.first)
    }

    fn terms(&self) -> Vec<Term> {
        let terms = self.terms.iter().map(|(index, value)| Term::new(index, value));
        std::iter::once(Term::new(ALL, "")).chain(terms).collect()
    }
}

/// The hashes of one tile. A full one of the lowest level is written once; those above grow by one hash whenever one below
/// is full. What is missing is made again from what is below.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredTile {
    pub(crate) id: String,
    pub(crate) hashes: Hashes,
}

impl StoredTile {
    pub(crate) fn id_of(level: u8, index: u64) -> String {
        format!("{level}-{}", padded(index))
    }
}

impl Aggregate for StoredTile {
    type Id = String;
    const KIND: &'static str = "audit.tile";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const EVERYWHERE: bool = true;

    fn id(&self) -> String {
        self.id.clone()
    }
}
