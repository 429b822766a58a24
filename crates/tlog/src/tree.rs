//! The tree: how leaves and nodes are hashed, and the right edge from which it goes on growing.

use ring::digest::{Context, SHA256};

/// A hash of the tree (SHA-256).
pub type Hash = [u8; 32];

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = Hash::default();
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The hash of a leaf; a prefix of its own keeps leaves from being taken for nodes.
pub fn leaf(data: &[u8]) -> Hash {
    sha256(&[&[0], data])
}

/// The hash of a node over its two children.
pub fn parent(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left, right])
}

/// The root of the tree that has no leaf.
pub fn empty() -> Hash {
    sha256(&[])
}

/// A complete subtree: of `2^level` leaves, the `index`th of its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subtree {
    /// How high it is; 0 for a leaf.
    pub level: u8,
    /// Which of its level, from the left.
    pub index: u64,
}

/// The complete subtrees that leaves from `low` to `high` (without) consist of, the largest first. `low` is a multiple of
/// the largest one, as it is in every range that a proof needs.
pub fn subtrees(low: u64, high: u64) -> Vec<Subtree> {
    let (mut at, mut found) = (low, Vec::new());
    while at < high {
        let level = (high - at).ilog2();
        found.push(Subtree { level: u8::try_from(level).unwrap_or(63), index: at >> level });
        at += 1 << level;
    }
    found
}

/// The root over what complete subtrees hash to, the largest first.
pub fn fold(roots: &[Hash]) -> Hash {
    roots.iter().rev().copied().reduce(|right, left| parent(&left, &right)).unwrap_or_else(empty)
}

/// The right edge of a tree: all that is needed to append and to tell the root. It has one hash for each bit that is set
/// in the size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    roots: Vec<Hash>,
}

impl Edge {
    /// The edge of a tree of this size; `None` where the number of hashes does not fit it.
    pub fn of(size: u64, roots: Vec<Hash>) -> Option<Self> {
        (usize::try_from(size.count_ones()) == Ok(roots.len())).then_some(Self { size, roots })
    }

    /// Appends a leaf by its hash.
    pub fn append(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                hash = parent(&left, &hash);
            }
        }
        self.roots.push(hash);
        self.size += 1;
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, the largest first.
    pub fn roots(&self) -> &[Hash] {
        &self.roots
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        fold(&self.roots)
    }
}

#[cfg(test)]
pub(crate) mod naive {
    //! The tree as RFC 6962, section 2.1, words it: slow, and plain to see.

    use super::{Hash, empty, parent};

    /// The largest power of two below `size`.
    fn split(size: usize) -> usize {
        1 << (size - 1).ilog2()
    }

    pub(crate) fn root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty(),
            [one] => *one,
            many => {
                let (left, right) = many.split_at(split(many.len()));
                parent(&root(left), &root(right))
            }
        }
    }

    pub(crate) fn path(at: usize, leaves: &[Hash]) -> Vec<Hash> {
        if leaves.len() <= 1 {
            return Vec::new();
        }
        let k = split(leaves.len());
        let (left, right) = leaves.split_at(k);
        let (mut found, other) = if at < k { (path(at, left), root(right)) } else { (path(at - k, right), root(left)) };
        found.push(other);
        found
    }

    pub(crate) fn since(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
        if old == leaves.len() {
            return if whole { Vec::new() } else { vec![root(leaves)] };
        }
        let k = split(leaves.len());
        let (left, right) = leaves.split_at(k);
        let (mut found, other) =
            if old <= k { (since(old, left, whole), root(right)) } else { (since(old - k, right, false), root(left)) };
        found.push(other);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    /// The leaves and roots that the tests of Certificate Transparency have (certificate-transparency-go,
    /// `merkletree_test.go`; RFC 6962 itself has no vectors).
    const LEAVES: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const ROOTS: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    #[test]
    fn published_vectors() {
        let mut edge = Edge::default();
        assert_eq!(HEXLOWER.encode(&edge.root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        for (text, root) in LEAVES.iter().zip(ROOTS) {
            edge.append(leaf(&HEXLOWER.decode(text.as_bytes()).unwrap()));
            assert_eq!(HEXLOWER.encode(&edge.root()), root, "{} leaves", edge.size());
        }
    }

    pub(crate) fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|at| leaf(&at.to_be_bytes())).collect()
    }

    proptest! {
        #[test]
        fn the_edge_tells_the_root(count in 0_usize..600) {
            let leaves = leaves(count);
            let mut edge = Edge::default();
            for leaf in &leaves {
                edge.append(*leaf);
            }
            prop_assert_eq!(edge.root(), naive::root(&leaves));
            prop_assert_eq!(Edge::of(edge.size(), edge.roots().to_vec()), Some(edge));
        }

        #[test]
        fn subtrees_cover_a_range_without_gaps(high in 0_u64..100_000) {
            let mut at = 0;
            for it in subtrees(0, high) {
                prop_assert_eq!(it.index << it.level, at);
                at += 1 << it.level;
            }
            prop_assert_eq!(at, high);
        }
    }
}
