//! Stripe, by its Payment Intents: <https://docs.stripe.com/api/payment_intents>.
//!
//! A payment intent that was not confirmed moves no money, and one that succeeded cannot be confirmed again: these are the
//! two steps of the port. A key for idempotency is sent as well, so that within the day for which Stripe keeps it nothing
//! is made twice; nothing depends on it.

mod client;
mod notice;
mod read;

use ::http::{HeaderMap, Method as Verb};
use async_trait::async_trait;
use kernel::{TenantId, Timestamp};
use money::Money;
use secrecy::SecretString;
use serde_json::Value;

use billing_gateways::{
    Charge, Failure, Gateway, Method, Notice, NoticeError, Payment, Payments, Presence, Return, Returned, Setup,
    SetupPage, Standing,
};
use client::Client;

use crate::{Account, http::text};

/// The most payments of a page.
const PAGE: usize = 100;

/// See the module.
pub struct Stripe {
    client: Client,
    signing: Vec<SecretString>,
}

impl Stripe {
    /// An adapter for an account at Stripe.
    pub fn new(account: Account) -> Result<Self, reqwest::Error> {
        Ok(Self { client: Client::new(account.url, account.key)?, signing: account.signing })
    }

    async fn intent(&self, reference: &str) -> Result<Value, Failure> {
        self.client.send(Verb::GET, &["payment_intents", reference], &[], None).await
    }
}

/// The smallest unit in which Stripe counts a currency: that of ISO 4217 but for those that it counts by hundredths all
/// the same. <https://docs.stripe.com/currencies#special-cases>
fn factor(money: Money) -> i64 {
    if ["ISK", "UGX"].contains(&money.currency().code()) { 100 } else { 1 }
}

/// An amount as Stripe counts it.
fn counted(money: Money) -> Result<String, Failure> {
    // Of a currency with three digits, the last has to be 0.
    if money.currency().digits() == 3 && money.minor() % 10 != 0 {
        return Err(Failure::refused(
            "amount_not_charged",
            "of this currency, hundredths are the least that Stripe charges",
        ));
    }
    let amount = money.minor().checked_mul(factor(money));
    amount.map(|it| it.to_string()).ok_or_else(|| Failure::refused("amount_too_large", "the amount is too large"))
}

#[async_trait]
impl Gateway for Stripe {
    fn name(&self) -> &'static str {
        "stripe"
    }

    async fn customer(&self, tenant: TenantId) -> Result<String, Failure> {
        let tenant = tenant.to_string();
        let form = [("metadata[tenant]", tenant.as_str())];
        let made = self.client.send(Verb::POST, &["customers"], &form, Some(&format!("customer/{tenant}"))).await?;
        text(&made, "id")
    }

    async fn attach(&self, customer: &str, token: &str) -> Result<Method, Failure> {
        let path = ["payment_methods", token, "attach"];
        let attached = self.client.send(Verb::POST, &path, &[("customer", customer)], None).await?;
        read::method(&attached)
    }

    async fn detach(&self, _: &str, token: &str) -> Result<(), Failure> {
        match self.client.send(Verb::POST, &["payment_methods", token, "detach"], &[], None).await {
            // It is detached, or was never attached.
            Err(Failure::Refused { code, .. })
                if code == "resource_missing" || code == "payment_method_unexpected_state" =>
            {
                Ok(())
            }
            outcome => outcome.map(drop),
        }
    }

    async fn setup(&self, to: &Setup) -> Result<SetupPage, Failure> {
        let (tenant, back, currency) = (to.tenant.to_string(), &to.back, to.currency.code().to_lowercase());
        // Stripe puts the id of the session in the place of what stands in braces.
        let success = format!("{back}{}session={{CHECKOUT_SESSION_ID}}", if back.contains('?') { '&' } else { '?' });
        let form = [
            ("mode", "setup"),
            ("currency", currency.as_str()),
            ("customer", &to.customer),
            ("success_url", &success),
            ("cancel_url", back),
            ("metadata[tenant]", &tenant),
        ];
        let session = self.client.send(Verb::POST, &["checkout", "sessions"], &form, None).await?;
        Ok(SetupPage { url: text(&session, "url")?, reference: text(&session, "id")? })
    }

    async fn saved(&self, customer: &str, reference: &str) -> Result<Option<Method>, Failure> {
        let path = ["checkout", "sessions", reference];
        let query = [("expand[]", "setup_intent.payment_method")];
        let session = self.client.send(Verb::GET, &path, &query, None).await?;
        if session.get("customer").and_then(Value::as_str) != Some(customer) {
            return Err(Failure::refused("resource_missing", "the page belongs to someone else"));
        }
        let method = session.pointer("/setup_intent/payment_method").filter(|it| it.is_object());
        method.map(read::method).transpose()
    }

    async fn prepare(&self, charge: &Charge) -> Result<String, Failure> {
        let (amount, currency) = (counted(charge.amount)?, charge.amount.currency().code().to_lowercase());
        let (tenant, attempt) = (charge.tenant.to_string(), charge.attempt.to_string());
        let form = [
            ("amount", amount.as_str()),
            ("currency", &currency),
            ("customer", &charge.customer),
            ("payment_method", &charge.method),
            ("payment_method_types[]", &charge.kind),
            ("description", &charge.about),
            ("metadata[tenant]", &tenant),
            ("metadata[attempt]", &attempt),
        ];
        let key = format!("prepare/{attempt}");
        let intent = self.client.send(Verb::POST, &["payment_intents"], &form, Some(&key)).await?;
        text(&intent, "id")
    }

    async fn confirm(&self, _: &Charge, reference: &str, presence: &Presence) -> Result<Payment, Failure> {
        let form = match presence {
            Presence::Away => ("off_session", "true"),
            Presence::Here { back } => ("return_url", back.as_str()),
        };
        match self.client.send(Verb::POST, &["payment_intents", reference, "confirm"], &[form], None).await {
            Ok(intent) => read::payment(&intent),
            // It is further than that, or was declined: what stands there decides.
            Err(refused @ Failure::Refused { .. }) => match self.look(reference).await? {
                Payment { standing: Standing::Prepared, .. } => Err(refused),
                known => Ok(known),
            },
            Err(other) => Err(other),
        }
    }

    async fn look(&self, reference: &str) -> Result<Payment, Failure> {
        read::payment(&self.intent(reference).await?)
    }

    async fn cancel(&self, reference: &str) -> Result<Payment, Failure> {
        match self.client.send(Verb::POST, &["payment_intents", reference, "cancel"], &[], None).await {
            Ok(intent) => read::payment(&intent),
            // It is beyond that.
            Err(Failure::Refused { .. }) => self.look(reference).await,
            Err(other) => Err(other),
        }
    }

    async fn refund(&self, it: &Return) -> Result<Returned, Failure> {
        let (id, amount) = (it.refund.to_string(), counted(it.amount)?);
        // Of before the day for which a key is kept.
        let of = [("payment_intent", it.reference.as_str()), ("limit", "100")];
        let known = self.client.send(Verb::GET, &["refunds"], &of, None).await?;
        let known = read::list(&known).find(|known| read::metadata(known, "refund") == Some(&id)).cloned();
        let refund = if let Some(known) = known {
            known
        } else {
            let form = [("payment_intent", it.reference.as_str()), ("amount", &amount), ("metadata[refund]", &id)];
            self.client.send(Verb::POST, &["refunds"], &form, Some(&format!("refund/{id}"))).await?
        };
        match refund.get("status").and_then(Value::as_str) {
            Some("succeeded") => Ok(Returned::Done),
            Some("failed" | "canceled") => {
                let code = refund.get("failure_reason").and_then(Value::as_str).unwrap_or("failed");
                Err(Failure::refused(code, "the refund failed at the bank"))
            }
            _ => Ok(Returned::Pending),
        }
    }

    async fn since(&self, from: Timestamp, after: Option<&str>) -> Result<Payments, Failure> {
        let (from, limit) = (from.as_second().to_string(), PAGE.to_string());
        let mut query = vec![("created[gte]", from.as_str()), ("limit", &limit)];
        query.extend(after.map(|after| ("starting_after", after)));
        let listed = self.client.send(Verb::GET, &["payment_intents"], &query, None).await?;
        let last = read::list(&listed).last().and_then(|it| it.get("id")).and_then(Value::as_str);
        let more = listed.get("has_more").and_then(Value::as_bool).unwrap_or_default();
        let next = last.filter(|_| more).map(str::to_owned);
        // What others make with the same account may be of a kind that is not known here.
        let payments = read::list(&listed).filter_map(|it| read::payment(it).ok()).collect();
        Ok(Payments { payments, next })
    }

    fn notice(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Notice, NoticeError> {
        notice::verify(&self.signing, headers, body, now)?;
        notice::read(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_are_counted_as_stripe_counts() {
        for (amount, currency, is) in
            [("12.30", "EUR", "1230"), ("500", "JPY", "500"), ("500", "ISK", "50000"), ("1.230", "KWD", "1230")]
        {
            let money = Money::parse(amount, currency.parse().unwrap()).unwrap();
            assert_eq!(counted(money).unwrap(), is, "{amount} {currency}");
            assert_eq!(read::money(is.parse().unwrap(), &currency.to_lowercase()).unwrap(), money);
        }
        let odd = Money::parse("1.234", "KWD".parse().unwrap()).unwrap();
        assert!(matches!(counted(odd), Err(Failure::Refused { .. })));
    }
}
