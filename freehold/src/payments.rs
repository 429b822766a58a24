//! How invoices are paid: the gateways that the configuration names.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use billing::{Account, Gateways, Mollie, Stripe, gateways::Gateway};

use crate::config::Config;

pub(crate) fn gateways(config: &Config) -> Result<Gateways> {
    let (payments, mut all) = (&config.payments, Vec::<Arc<dyn Gateway>>::new());
    if let Some(key) = payments.stripe.key.clone() {
        let (url, signing) = (payments.stripe.url.clone(), payments.stripe.signing.clone());
        let stripe = Stripe::new(Account { url, key, signing });
        all.push(Arc::new(stripe.context("Stripe cannot be connected")?));
    }
    if let Some(key) = payments.mollie.key.clone() {
        let (url, signing) = (payments.mollie.url.clone(), payments.mollie.signing.clone());
        let mollie = Mollie::new(Account { url, key, signing });
        all.push(Arc::new(mollie.context("Mollie cannot be connected")?));
    }
    Ok(Gateways::new(all, payments.routing.clone()))
}
