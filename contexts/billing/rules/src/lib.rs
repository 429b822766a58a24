//! What billing decides, without I/O: what a plan costs, how periods follow one another, what is charged when something
//! changes or was used, and the states of a subscription.
//!
//! A **plan** has **versions**; who subscribes keeps theirs. Its **items** are charged ahead of each **period** (flat, or
//! by how many there are) or after it, for what a **meter** counted. A **stand** is what holds from one instant of a
//! period to the next change. An invoice's **lines** are made of stands, of what was **counted**, and of what of the
//! period before came to be known **late**; the same input makes the same lines. Money is rounded once a line, halves
//! away from zero; **proration** is the difference of what is left of a price at two instants, so that the parts of a
//! period sum to its whole.

mod changes;
pub mod compose;
pub mod coupon;
pub mod decimal;
pub mod meter;
pub mod period;
pub mod plan;
pub mod price;
pub mod proration;
mod refusal;
pub mod slot;
pub mod state;
pub mod subscription;
#[cfg(test)]
mod subscription_tests;

pub use compose::{Counted, PlanRef};
pub use decimal::{Price, Quantity};
pub use plan::{Plan, Terms};
pub use refusal::Refusal;
pub use slot::{SlotId, UsageSlot};
pub use subscription::{Change, Offer, Start, Subscription};
