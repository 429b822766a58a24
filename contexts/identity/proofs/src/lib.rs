//! What shows who somebody is: a password, a second factor, a secret that was given out once.
//!
//! A password is stored as a hash that is slow to make, a secret of 256 random bits as one that is not; neither can be read
//! again. **Proofs** are all that one person or operator has: a new password, or an end to all sessions, raises their
//! **epoch**, and what began under an earlier one is good no more. A code of an authenticator app is taken once.

mod argon;
pub mod factor;
mod password;
mod proofs;
pub mod secret;
mod turns;

pub use password::{Hashing, Passwords};
pub use proofs::{Proofs, link_refused};
