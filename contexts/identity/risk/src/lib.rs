//! What guessing and flooding lead to.
//!
//! Attempts on an account are counted before they are looked at, and bring pauses; whoever has shown before whose a device
//! is keeps an allowance that no stranger uses up. What one source may ask for that reaches others is counted over all
//! tenants. Nothing here tells whether an account exists.

mod attempts;
mod pace;

use accounts::Service;
use store::Store;

pub use attempts::{By, Came, Trial};
pub use pace::Paced;

/// Counts attempts and requests.
#[derive(Clone)]
pub struct Risk {
    store: Store,
    service: Service,
}

impl Risk {
    /// With what it stands on.
    pub fn new(store: Store, service: Service) -> Self {
        Self { store, service }
    }
}
