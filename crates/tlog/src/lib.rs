//! A transparency log without I/O: Merkle trees as in RFC 6962, section 2.1, with proofs of inclusion and consistency;
//! tiles, checkpoints, signed notes and cosignatures as in the C2SP specifications of those names. Nothing here knows what
//! the entries are, or where hashes are kept.

mod checkpoint;
mod note;
mod proof;
mod tile;
mod tree;

pub use checkpoint::Checkpoint;
pub use note::{Algorithm, Note, NoteError, Signature, Signer, Verifier};
pub use proof::{Span, consistency, inclusion, verify_consistency, verify_inclusion};
pub use tile::{TILE, Tile, in_tile};
pub use tree::{Edge, Hash, Subtree, empty, fold, leaf, parent, subtrees};
