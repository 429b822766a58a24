//! Payment gateways that others run: an adapter for each, behind the port of `billing-gateways`.

mod http;
mod mollie;
mod stripe;

pub use mollie::{Mollie, MollieSettings};
pub use stripe::{Stripe, StripeSettings};
