//! Proxy routes: what one is, which of them a request takes, to which server it goes, and what is checked of it.
//!
//! A **route** leads requests of a shape to **upstreams**, versions of a service on one or several **servers**. A caller
//! always gets the same version while the weights stay. A server that fails is left alone for a while, and retries have a
//! budget. Routes in force are replaced as a whole, and none of them leads to a path of the platform's own.

pub mod path;
pub mod route;
pub mod table;
pub mod upstream;
mod validate;

pub use validate::Checks;
