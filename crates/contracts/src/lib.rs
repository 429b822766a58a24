//! What contexts may know of each other: public events, use cases that other contexts call, and the permissions of
//! those. Data only; who emits and who serves is named in each module.

pub mod analytics;
pub mod audit;
pub mod billing;
pub mod domains;
pub mod entitlements;
pub mod events;
pub mod identity;
pub mod invoices;
pub mod lifecycle;
pub mod notifications;
pub mod oauth;
pub mod payments;
pub mod tenants;
pub mod users;
