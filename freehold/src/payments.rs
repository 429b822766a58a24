//! How invoices are paid: the gateways that the configuration names.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use billing::{Gateways, Mollie, MollieSettings, Stripe, StripeSettings, gateways::Gateway};

use crate::config::Config;

pub(crate) fn gateways(config: &Config) -> Result<Gateways> {
    let (payments, mut all) = (&config.payments, Vec::<Arc<dyn Gateway>>::new());
    if let Some(key) = payments.stripe.key.clone() {
        let (url, signing) = (payments.stripe.url.clone(), payments.stripe.signing.clone());
        let stripe = Stripe::new(StripeSettings { url, key, signing }).context("Stripe cannot be connected")?;
        all.push(Arc::new(stripe));
    }
    if let Some(key) = payments.mollie.key.clone() {
        let (url, signing) = (payments.mollie.url.clone(), payments.mollie.signing.clone());
        let mollie = Mollie::new(MollieSettings { url, key, signing }).context("Mollie cannot be connected")?;
        all.push(Arc::new(mollie));
    }
    Ok(Gateways::new(all, payments.routing.clone()))
}
