//! Proofs: which parts of the tree they consist of, and how whoever has nothing but hashes checks them (RFC 9162, sections
//! 2.1.3 and 2.1.4; the hashes are those of RFC 6962).

use crate::tree::{Hash, Subtree, parent, subtrees};

/// Leaves from `low` to `high` (without); its hash is one of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first leaf.
    pub low: u64,
    /// The leaf after the last.
    pub high: u64,
}

impl Span {
    /// The complete subtrees that it consists of: their hashes, folded, are its hash.
    pub fn subtrees(self) -> Vec<Subtree> {
        subtrees(self.low, self.high)
    }
}

/// The largest power of two below `size`, which is 2 or more.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// What proves that the leaf `index` is part of the tree of `size` leaves, in the order of the proof; `None` where there is no
/// such leaf.
pub fn inclusion(index: u64, size: u64) -> Option<Vec<Span>> {
    if index >= size {
        return None;
    }
    let (mut low, mut high, mut found) = (0, size, Vec::new());
    while high - low > 1 {
        let middle = low + split(high - low);
        if index < middle {
            found.push(Span { low: middle, high });
            high = middle;
        } else {
            found.push(Span { low, high: middle });
            low = middle;
        }
    }
    found.reverse();
    Some(found)
}

/// What proves that the tree of `old` leaves is the beginning of that of `new`; `None` where it cannot be. Nothing has to be
/// proved of the empty tree, nor of the same one.
pub fn consistency(old: u64, new: u64) -> Option<Vec<Span>> {
    if old > new {
        return None;
    }
    if old == 0 || old == new {
        return Some(Vec::new());
    }
    let (mut low, mut high, mut found) = (0, new, Vec::new());
    while old != high {
        let middle = low + split(high - low);
        if old <= middle {
            found.push(Span { low: middle, high });
            high = middle;
        } else {
            found.push(Span { low, high: middle });
            low = middle;
        }
    }
    // Where the old tree is complete, whoever asks has its root already.
    if low > 0 {
        found.push(Span { low, high });
    }
    found.reverse();
    Some(found)
}

/// Whether a proof of inclusion holds.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for step in proof {
        if last == 0 {
            return false;
        }
        if at % 2 == 1 || at == last {
            hash = parent(step, &hash);
            while at % 2 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = parent(&hash, step);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether a proof of consistency between two sizes with their roots holds.
pub fn verify_consistency((old, old_root): (u64, &Hash), (new, new_root): (u64, &Hash), proof: &[Hash]) -> bool {
    if old > new {
        return false;
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return proof.is_empty() && *old_root == crate::tree::empty();
    }
    let mut steps = proof.iter();
    let first = if old.is_power_of_two() { Some(old_root) } else { steps.next() };
    let Some(first) = first else { return false };
    let shift = (old - 1).trailing_ones();
    let (mut at, mut last) = ((old - 1) >> shift, (new - 1) >> shift);
    let (mut of_old, mut of_new) = (*first, *first);
    for step in steps {
        if last == 0 {
            return false;
        }
        if at % 2 == 1 || at == last {
            of_old = parent(step, &of_old);
            of_new = parent(step, &of_new);
            while at % 2 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            of_new = parent(&of_new, step);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && of_old == *old_root && of_new == *new_root
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{fold, leaf, naive};
    use proptest::prelude::*;

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|at| leaf(&at.to_be_bytes())).collect()
    }

    fn hashes(spans: &[Span], leaves: &[Hash]) -> Vec<Hash> {
        let at = |place: u64| usize::try_from(place).unwrap();
        let root =
            |it: Subtree| naive::root(leaves.get(at(it.index << it.level)..at((it.index + 1) << it.level)).unwrap());
        spans.iter().map(|span| fold(&span.subtrees().into_iter().map(root).collect::<Vec<_>>())).collect()
    }

    /// The same with one bit of one hash turned, one left out, or one more.
    fn falsified(proof: &[Hash]) -> Vec<Vec<Hash>> {
        let mut found = vec![[proof, &[Hash::default()]].concat()];
        for place in 0..proof.len() {
            let mut turned = proof.to_vec();
            turned.get_mut(place).unwrap()[7] ^= 4;
            let mut shorter = proof.to_vec();
            shorter.remove(place);
            found.extend([turned, shorter]);
        }
        found
    }

    proptest! {
        #[test]
        fn inclusion_is_as_worded_and_is_verified((size, index) in (1_u64..300).prop_flat_map(|n| (Just(n), 0..n))) {
            let leaves = leaves(size);
            let (at, root) = (usize::try_from(index).unwrap(), naive::root(&leaves));
            let proof = hashes(&inclusion(index, size).unwrap(), &leaves);
            prop_assert_eq!(&proof, &naive::path(at, &leaves));
            let leaf = leaves.get(at).unwrap();
            prop_assert!(verify_inclusion(leaf, index, size, &proof, &root));
            for wrong in falsified(&proof) {
                prop_assert!(!verify_inclusion(leaf, index, size, &wrong, &root));
            }
            prop_assert!(!verify_inclusion(&Hash::default(), index, size, &proof, &root));
            prop_assert!(!verify_inclusion(leaf, index ^ 1, size, &proof, &root));
            prop_assert!(!verify_inclusion(leaf, size, size, &proof, &root));
        }

        #[test]
        fn consistency_is_as_worded_and_is_verified((new, old) in (1_u64..300).prop_flat_map(|n| (Just(n), 0..=n))) {
            let leaves = leaves(new);
            let at = usize::try_from(old).unwrap();
            let (before, after) = (naive::root(leaves.get(..at).unwrap()), naive::root(&leaves));
            let proof = hashes(&consistency(old, new).unwrap(), &leaves);
            if old > 0 {
                prop_assert_eq!(&proof, &naive::since(at, &leaves, true));
            }
            prop_assert!(verify_consistency((old, &before), (new, &after), &proof));
            for wrong in falsified(&proof) {
                prop_assert!(!verify_consistency((old, &before), (new, &after), &wrong));
            }
            prop_assert!(!verify_consistency((old, &Hash::default()), (new, &after), &proof));
            // Of nothing, everything is the continuation.
            prop_assert!(old == 0 || !verify_consistency((old, &before), (new, &Hash::default()), &proof));
            prop_assert!(!verify_consistency((new + 1, &before), (new, &after), &proof));
        }
    }
}
