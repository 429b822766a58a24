//! The context on SQLite, while processes end and gateways fail.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a test stops where something is not as it must be"
)]

mod life;
mod payments;
mod periods;
mod refunds;
mod topping_up;
