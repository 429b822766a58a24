//! Templates: what is said, in which words and languages.
//!
//! A **template** has versions, of which one is published; the platform has some of its own, which a tenant overrides. A
//! **wording** is checked against its declared **variables** before it is taken, and rendered within bounds of work and
//! length. Nothing that was filled in can become markup.

pub mod built_in;
mod engine;
pub mod template;
pub mod variable;
pub mod wording;
