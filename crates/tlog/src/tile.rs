//! Tiles: the hashes of a tree in pieces of 256, which never change once they are full (C2SP tlog-tiles).

use std::{fmt::Write as _, ops::Range};

use crate::tree::Subtree;

/// How many hashes a full tile has.
pub const TILE: u64 = 256;
/// Its height, in levels of the tree.
const HEIGHT: u8 = 8;

/// A tile: up to 256 hashes of one level of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// Its level; that of its hashes in the tree is eight times as high.
    pub level: u8,
    /// Which of its level, from the left.
    pub index: u64,
    /// How many hashes it has.
    pub width: u16,
}

impl Tile {
    /// The tile of a level and index in a tree of `size` leaves; `None` where it has no hash yet.
    pub fn at(level: u8, index: u64, size: u64) -> Option<Self> {
        let hashes = size.checked_shr(u32::from(level) * u32::from(HEIGHT)).unwrap_or(0);
        let begins = index.checked_mul(TILE)?;
        let width = hashes.checked_sub(begins).filter(|it| *it > 0)?.min(TILE);
        Some(Self { level, index, width: u16::try_from(width).ok()? })
    }

    /// Whether it will never change.
    pub fn is_full(self) -> bool {
        u64::from(self.width) == TILE
    }

    /// Its path below `tile/`, such as `0/x001/x234/067` or `1/000.p/5`.
    pub fn path(self) -> String {
        format!("{}/{}", self.level, self.name())
    }

    /// The path of the bundle of entries that it covers, below `tile/`.
    pub fn entries_path(self) -> String {
        format!("entries/{}", self.name())
    }

    fn name(self) -> String {
        let (mut rest, mut groups) = (self.index, Vec::new());
        loop {
            groups.push(rest % 1_000);
            rest /= 1_000;
            if rest == 0 {
                break;
            }
        }
        let mut text = String::new();
        for (place, group) in groups.iter().enumerate().rev() {
            let written = if place > 0 { write!(text, "x{group:03}/") } else { write!(text, "{group:03}") };
            written.expect("a string takes whatever is written to it");
        }
        if !self.is_full() {
            write!(text, ".p/{}", self.width).expect("a string takes whatever is written to it");
        }
        text
    }

    /// From what stands behind `tile/`; whether it is the bundle of entries that is meant, and which tile. Anything but the
    /// one form of a path is none.
    pub fn parse(path: &str) -> Option<(bool, Self)> {
        let (level, name) = path.split_once('/')?;
        let (entries, level) = if level == "entries" { (true, 0) } else { (false, level.parse::<u8>().ok()?) };
        let (number, width) = match name.split_once(".p/") {
            Some((number, width)) => (number, width.parse::<u16>().ok()?),
            None => (name, 256),
        };
        let digits = number.split('/').map(|group| group.trim_start_matches('x')).collect::<String>();
        if digits.len() > 18 || width == 0 || width > 256 || level > 7 {
            return None;
        }
        let it = Self { level, index: digits.parse().ok()?, width };
        let same = if entries { it.entries_path() } else { it.path() };
        (same == path).then_some((entries, it))
    }
}

/// The tile in which the hashes stand that a complete subtree is made from, and which of them: level and index of the tile.
pub fn in_tile(it: Subtree) -> (u8, u64, Range<usize>) {
    let (level, above) = (it.level / HEIGHT, it.level % HEIGHT);
    let first = it.index << above;
    let begins = usize::try_from(first % TILE).unwrap_or(0);
    (level, first / TILE, begins..begins + (1 << above))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::subtrees;
    use proptest::prelude::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let full = |level, index| Tile { level, index, width: 256 };
        assert_eq!(full(0, 1_234_067).path(), "0/x001/x234/067");
        assert_eq!(full(0, 5).entries_path(), "entries/005");
        assert_eq!(Tile { width: 112, ..full(1, 273) }.path(), "1/273.p/112");
        for wrong in ["0/5", "0/0005", "0/x000/005", "0/005.p/256", "0/005.p/0", "8/005", "0/001/234", "x/005", "0/+05"]
        {
            assert_eq!(Tile::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_path_and_back(level in 0_u8..8, index in 0_u64..10_000_000_000, width in 1_u16..=256) {
            let it = Tile { level, index, width };
            prop_assert_eq!(Tile::parse(&it.path()), Some((false, it)));
            let bundle = Tile { level: 0, ..it };
            prop_assert_eq!(Tile::parse(&bundle.entries_path()), Some((true, bundle)));
        }

        #[test]
        fn every_subtree_stands_in_a_tile_that_is_there(size in 1_u64..10_000_000) {
            for it in subtrees(0, size) {
                let (level, index, hashes) = in_tile(it);
                let tile = Tile::at(level, index, size).unwrap();
                prop_assert!(hashes.end <= usize::from(tile.width));
            }
        }
    }
}
