//! The hosted pages of people.

mod account;
mod links;
pub mod sign_in;
mod sign_up;
