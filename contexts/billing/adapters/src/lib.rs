//! Payment gateways that others run: an adapter for each, behind the port of `billing-gateways`.

mod http;
mod mollie;
mod stripe;

use secrecy::SecretString;

pub use mollie::Mollie;
pub use stripe::Stripe;

/// An account at a gateway.
#[derive(Debug, Clone)]
pub struct Account {
    /// Where the gateway's interface is, such as `https://api.stripe.com`.
    pub url: String,
    /// The key that opens it.
    pub key: SecretString,
    /// The secrets that sign its notices; two while one takes the place of the other.
    pub signing: Vec<SecretString>,
}
