//! How invoices are paid: the gateways that the configuration names.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use billing::{Account, Gateways, Mollie, Stripe, gateways::Gateway};
use secrecy::{ExposeSecret as _, SecretString};

use crate::config::Config;

/// An account, unless what opens it or signs its notices is empty, as where a variable is not set: everybody has that.
fn account(name: &str, url: &str, key: SecretString, signing: &[SecretString]) -> Result<Account> {
    let filled = signing.iter().chain([&key]).all(|it| !it.expose_secret().trim().is_empty());
    ensure!(filled, "payments.{name}: `key` or one of `signing` is empty: set it, or leave it out");
    Ok(Account { url: url.to_owned(), key, signing: signing.to_vec() })
}

pub(crate) fn gateways(config: &Config) -> Result<Gateways> {
    let (payments, mut all) = (&config.payments, Vec::<Arc<dyn Gateway>>::new());
    if let Some(key) = payments.stripe.key.clone() {
        let stripe = Stripe::new(account("stripe", &payments.stripe.url, key, &payments.stripe.signing)?);
        all.push(Arc::new(stripe.context("Stripe cannot be connected")?));
    }
    if let Some(key) = payments.mollie.key.clone() {
        let mollie = Mollie::new(account("mollie", &payments.mollie.url, key, &payments.mollie.signing)?);
        all.push(Arc::new(mollie.context("Mollie cannot be connected")?));
    }
    Ok(Gateways::new(all, payments.routing.clone()))
}

#[cfg(test)]
mod tests {
    use super::account;

    #[test]
    fn what_everybody_has_opens_nothing() {
        let made = |key: &str, signing: &[&str]| {
            let signing: Vec<_> = signing.iter().map(|it| (*it).into()).collect();
            account("stripe", "https://api.stripe.com", key.into(), &signing).is_ok()
        };
        assert!(made("sk_1", &[]) && made("sk_1", &["whsec_1", "whsec_2"]));
        assert!(!made("", &["whsec_1"]) && !made("sk_1", &["whsec_1", " "]));
    }
}
