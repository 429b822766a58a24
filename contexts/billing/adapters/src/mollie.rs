//! Mollie, by its Payments and Mandates interfaces: <https://docs.mollie.com/reference/payments-api>.
//!
//! Mollie charges as soon as a payment is made, so there is nothing to prepare: the name of a payment before that says by what
//! it will be found, which is the attempt in its metadata. Within the hour for which Mollie keeps a key for idempotency a
//! repeated request makes nothing twice; after it, the customer's list of payments tells.

use ::http::{HeaderMap, Method as Verb};
use async_trait::async_trait;
use billing_gateways::{
    Charge, Failure, Gateway, Method, Notice, NoticeError, Payment, Payments, Presence, Return, Returned, Setup,
    SetupPage, Standing,
};
use contracts::payments::AttemptId;
use kernel::{TenantId, Timestamp};
use money::Money;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::{
    Account,
    http::{address, body, client, failure, lost, text, unreadable},
};

/// The most payments of a page.
const PAGE: &str = "250";

/// See the module.
pub struct Mollie {
    http: reqwest::Client,
    account: Account,
}

/// A payment before it is made: by what it will be found.
struct Name {
    customer: String,
    tenant: TenantId,
    attempt: AttemptId,
    amount: Money,
}

impl Name {
    fn written(&self) -> String {
        let Self { customer, tenant, attempt, amount } = self;
        format!("{attempt}.{tenant}.{customer}.{}.{}", amount.currency(), amount.minor())
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (attempt, tenant) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let (customer, currency, minor) = (parts.next()?.to_owned(), parts.next()?, parts.next()?);
        let amount = Money::new(minor.parse().ok()?, currency.parse().ok()?);
        Some(Self { customer, tenant, attempt, amount })
    }
}

/// Why banks refuse for good. <https://docs.mollie.com/docs/handling-errors>
const FOR_GOOD: &[&str] =
    &["card_expired", "inactive_card", "invalid_card_number", "invalid_card_type", "possible_fraud"];

fn money(from: &Value) -> Result<Money, Failure> {
    let (value, currency) = (text(from, "value")?, text(from, "currency")?);
    Money::parse(&value, currency.parse().map_err(|_| unreadable())?).map_err(|_| unreadable())
}

fn written(amount: Money) -> Value {
    json!({ "currency": amount.currency().code(), "value": amount.amount() })
}

fn told<'a>(from: &'a Value, name: &str) -> Option<&'a str> {
    from.get("metadata").and_then(|it| it.get(name)).and_then(Value::as_str)
}

fn payment(it: &Value) -> Result<Payment, Failure> {
    let declined = |code: &str| Standing::Declined { code: code.to_owned(), retryable: !FOR_GOOD.contains(&code) };
    let standing = match text(it, "status")?.as_str() {
        "open" => {
            let url = it.pointer("/_links/checkout/href").and_then(Value::as_str);
            Standing::Action { url: url.map(str::to_owned) }
        }
        "pending" | "authorized" => Standing::Processing,
        "paid" => Standing::Succeeded,
        "failed" => declined(it.pointer("/details/failureReason").and_then(Value::as_str).unwrap_or("failed")),
        over @ ("canceled" | "expired") => declined(over),
        _ => return Err(unreadable()),
    };
    let tenant = told(it, "tenant").and_then(|it| it.parse::<TenantId>().ok());
    let attempt = told(it, "attempt").and_then(|it| it.parse::<AttemptId>().ok());
    let amount = money(it.get("amount").unwrap_or(&Value::Null))?;
    Ok(Payment { reference: text(it, "id")?, attempt: tenant.zip(attempt), amount, standing })
}

fn method(mandate: &Value) -> Result<Method, Failure> {
    let detail = |name: &str| mandate.pointer(&format!("/details/{name}")).and_then(Value::as_str);
    let kind = text(mandate, "method")?;
    let account = detail("consumerAccount").map(|it| it.get(it.len().saturating_sub(4)..).unwrap_or_default());
    let number = detail("cardNumber").or(account).unwrap_or_default();
    let label = format!("{} •••• {number}", detail("cardLabel").unwrap_or(&kind).to_lowercase());
    // `2027-12-31`
    let expires = detail("cardExpiryDate").and_then(|it| {
        let mut parts = it.split('-');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    });
    Ok(Method { token: text(mandate, "id")?, kind, label, expires })
}

fn listed(page: &Value, of: &str) -> impl Iterator<Item = Value> {
    let items = page.pointer(&format!("/_embedded/{of}")).and_then(Value::as_array).cloned();
    items.unwrap_or_default().into_iter()
}

impl Mollie {
    /// An adapter for an account at Mollie.
    pub fn new(account: Account) -> Result<Self, reqwest::Error> {
        Ok(Self { http: client()?, account })
    }

    async fn send(
        &self,
        verb: Verb,
        path: &[&str],
        query: &[(&str, &str)],
        sent: Option<Value>,
        once: Option<&str>,
    ) -> Result<Value, Failure> {
        let mut url = address(&self.account.url, &[&["v2"], path].concat())?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(verb, url).bearer_auth(self.account.key.expose_secret());
        if let Some(sent) = sent {
            request = request.json(&sent);
        }
        if let Some(once) = once {
            request = request.header("idempotency-key", once);
        }
        let response = request.send().await.map_err(|error| lost(&error))?;
        let status = response.status();
        let answer = body(response).await?;
        if status.is_success() {
            return Ok(answer);
        }
        let said = |name: &str| answer.get(name).and_then(Value::as_str);
        let code = if status.as_u16() == 404 { "resource_missing" } else { said("field").unwrap_or("refused") };
        Err(failure(status, code, said("detail").unwrap_or("the gateway gave no reason")))
    }

    /// The payment of an attempt among those of its customer, the newest first.
    async fn find(&self, name: &Name) -> Result<Option<Payment>, Failure> {
        let mut query = vec![("limit", PAGE.to_owned())];
        loop {
            let given: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let page = self.send(Verb::GET, &["customers", &name.customer, "payments"], &given, None, None).await?;
            let attempt = name.attempt.to_string();
            if let Some(found) = listed(&page, "payments").find(|it| told(it, "attempt") == Some(&attempt)) {
                return payment(&found).map(Some);
            }
            match next(&page) {
                Some(from) => query = vec![("limit", PAGE.to_owned()), ("from", from)],
                None => return Ok(None),
            }
        }
    }

    async fn mandate(&self, customer: &str, token: &str) -> Result<Method, Failure> {
        let mandate = self.send(Verb::GET, &["customers", customer, "mandates", token], &[], None, None).await?;
        match mandate.get("status").and_then(Value::as_str) {
            Some("valid" | "pending") => method(&mandate),
            _ => Err(Failure::refused("invalid_mandate", "the mandate is not valid")),
        }
    }
}

/// The id with which the next page begins.
fn next(page: &Value) -> Option<String> {
    let address = page.pointer("/_links/next/href").and_then(Value::as_str)?;
    let url = reqwest::Url::parse(address).ok()?;
    url.query_pairs().find(|(name, _)| name == "from").map(|(_, from)| from.into_owned())
}

#[async_trait]
impl Gateway for Mollie {
    fn name(&self) -> &'static str {
        "mollie"
    }

    async fn customer(&self, tenant: TenantId) -> Result<String, Failure> {
        let (asked, key) = (json!({ "metadata": { "tenant": tenant } }), format!("customer/{tenant}"));
        text(&self.send(Verb::POST, &["customers"], &[], Some(asked), Some(&key)).await?, "id")
    }

    async fn attach(&self, customer: &str, token: &str) -> Result<Method, Failure> {
        self.mandate(customer, token).await
    }

    async fn detach(&self, customer: &str, token: &str) -> Result<(), Failure> {
        match self.send(Verb::DELETE, &["customers", customer, "mandates", token], &[], None, None).await {
            Err(Failure::Refused { code, .. }) if code == "resource_missing" => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// By a first payment of nothing, which makes a mandate.
    async fn setup(&self, to: &Setup) -> Result<SetupPage, Failure> {
        let asked = json!({
            "amount": written(Money::zero(to.currency)), "method": "creditcard", "sequenceType": "first",
            "customerId": to.customer, "redirectUrl": to.back, "description": "Saves a card", "metadata": { "tenant": to.tenant },
        });
        let made = self.send(Verb::POST, &["payments"], &[], Some(asked), None).await?;
        let (id, url) = (text(&made, "id")?, made.pointer("/_links/checkout/href").and_then(Value::as_str));
        let url = url.ok_or_else(unreadable)?.to_owned();
        // Its id is known only now.
        let back = format!("{}{}session={id}", to.back, if to.back.contains('?') { '&' } else { '?' });
        self.send(Verb::PATCH, &["payments", &id], &[], Some(json!({ "redirectUrl": back })), None).await?;
        Ok(SetupPage { url, reference: id })
    }

    async fn saved(&self, customer: &str, reference: &str) -> Result<Option<Method>, Failure> {
        let it = self.send(Verb::GET, &["payments", reference], &[], None, None).await?;
        if it.get("customerId").and_then(Value::as_str) != Some(customer) {
            return Err(Failure::refused("resource_missing", "the page belongs to someone else"));
        }
        match it.get("mandateId").and_then(Value::as_str).filter(|_| it.get("status").is_some_and(|it| it == "paid")) {
            Some(mandate) => self.mandate(customer, mandate).await.map(Some),
            None => Ok(None),
        }
    }

    async fn prepare(&self, charge: &Charge) -> Result<String, Failure> {
        // What is asked here moves nothing: where it fails, another gateway can still be asked.
        self.mandate(&charge.customer, &charge.method).await?;
        let Charge { attempt, tenant, amount, .. } = *charge;
        Ok(Name { customer: charge.customer.clone(), tenant, attempt, amount }.written())
    }

    async fn confirm(&self, charge: &Charge, reference: &str, _: &Presence) -> Result<Payment, Failure> {
        let Some(name) = Name::read(reference) else { return self.look(reference).await };
        if let Some(made) = self.find(&name).await? {
            return Ok(made);
        }
        let asked = json!({
            "amount": written(charge.amount), "description": charge.about, "sequenceType": "recurring",
            "customerId": charge.customer, "mandateId": charge.method,
            "metadata": { "tenant": charge.tenant, "attempt": charge.attempt },
        });
        let key = format!("attempt/{}", charge.attempt);
        payment(&self.send(Verb::POST, &["payments"], &[], Some(asked), Some(&key)).await?)
    }

    async fn look(&self, reference: &str) -> Result<Payment, Failure> {
        match Name::read(reference) {
            Some(name) => {
                let (attempt, amount) = (Some((name.tenant, name.attempt)), name.amount);
                let none = Payment { reference: reference.to_owned(), attempt, amount, standing: Standing::Prepared };
                Ok(self.find(&name).await?.unwrap_or(none))
            }
            None => payment(&self.send(Verb::GET, &["payments", reference], &[], None, None).await?),
        }
    }

    async fn cancel(&self, reference: &str) -> Result<Payment, Failure> {
        let it = self.look(reference).await?;
        let over = || Standing::Declined { code: "canceled".to_owned(), retryable: true };
        match it.standing {
            Standing::Prepared => Ok(Payment { standing: over(), ..it }),
            Standing::Action { .. } | Standing::Processing => {
                match self.send(Verb::DELETE, &["payments", &it.reference], &[], None, None).await {
                    Ok(ended) => payment(&ended),
                    // It is beyond that.
                    Err(Failure::Refused { .. }) => self.look(&it.reference).await,
                    Err(other) => Err(other),
                }
            }
            _ => Ok(it),
        }
    }

    async fn refund(&self, it: &Return) -> Result<Returned, Failure> {
        let (id, path) = (it.refund.to_string(), ["payments", it.reference.as_str(), "refunds"]);
        let known = self.send(Verb::GET, &path, &[("limit", PAGE)], None, None).await?;
        let known = listed(&known, "refunds").find(|it| told(it, "refund") == Some(&id));
        let refund = if let Some(known) = known {
            known
        } else {
            let asked = json!({ "amount": written(it.amount), "description": "Refund", "metadata": { "refund": id } });
            self.send(Verb::POST, &path, &[], Some(asked), Some(&format!("refund/{id}"))).await?
        };
        match refund.get("status").and_then(Value::as_str) {
            Some("refunded" | "processing") => Ok(Returned::Done),
            Some(over @ ("failed" | "canceled")) => Err(Failure::refused(over, "the refund failed at the bank")),
            _ => Ok(Returned::Pending),
        }
    }

    async fn since(&self, from: Timestamp, after: Option<&str>) -> Result<Payments, Failure> {
        let mut query = vec![("limit", PAGE)];
        query.extend(after.map(|after| ("from", after)));
        let page = self.send(Verb::GET, &["payments"], &query, None, None).await?;
        let young = |it: &Value| {
            let at = it.get("createdAt").and_then(Value::as_str).and_then(|at| at.parse::<Timestamp>().ok());
            at.is_none_or(|at| at >= from)
        };
        // The newest first: the first that is too old ends it.
        let mut next = next(&page);
        let mut payments = Vec::new();
        for it in listed(&page, "payments") {
            if !young(&it) {
                next = None;
                break;
            }
            payments.extend(payment(&it));
        }
        Ok(Payments { payments, next })
    }

    /// `X-Mollie-Signature: sha256=HEX`: HMAC-SHA256 over the body. <https://docs.mollie.com/reference/webhooks-new>
    fn notice(&self, headers: &HeaderMap, body: &[u8], _: Timestamp) -> Result<Notice, NoticeError> {
        let header = headers.get("x-mollie-signature").and_then(|it| it.to_str().ok()).ok_or(NoticeError::Signature)?;
        let tag = data_encoding::HEXLOWER.decode(header.trim_start_matches("sha256=").as_bytes());
        let tag = tag.map_err(|_| NoticeError::Signature)?;
        let by = |secret: &SecretString| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
            // In constant time.
            hmac::verify(&key, body, &tag).is_ok()
        };
        if !self.account.signing.iter().any(by) {
            return Err(NoticeError::Signature);
        }
        let event: Value = serde_json::from_slice(body).map_err(|_| NoticeError::Form)?;
        let id = event.get("entityId").or_else(|| event.get("id")).and_then(Value::as_str).ok_or(NoticeError::Form)?;
        // It has no time of its own: told again, it is asked for again.
        Ok(if id.starts_with("tr_") { Notice::Payment(id.to_owned()) } else { Notice::Other })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_was_written() {
        let attempt: AttemptId = kernel::Id::from_uuid(uuid::Uuid::from_u128(7));
        let amount = Money::new(12_34, "EUR".parse().unwrap());
        let tenant: TenantId = kernel::Id::from_uuid(uuid::Uuid::from_u128(8));
        let name = Name { customer: "cst_8wmqcHMN4U".to_owned(), tenant, attempt, amount }.written();
        let read = Name::read(&name).unwrap();
        assert_eq!(
            (read.customer.as_str(), read.tenant, read.attempt, read.amount),
            ("cst_8wmqcHMN4U", tenant, attempt, amount)
        );
        assert!(Name::read("tr_WDqYK6vllg").is_none());
    }

    #[test]
    fn a_notice_is_believed_by_its_signature() {
        let signing = vec!["old".to_owned().into(), "new".to_owned().into()];
        let account = Account { url: "https://api.mollie.com".to_owned(), key: "test_1".to_owned().into(), signing };
        drop(rustls::crypto::ring::default_provider().install_default());
        let mollie = Mollie::new(account).unwrap();
        let body = br#"{"resource":"event","type":"payment.paid","entityId":"tr_1"}"#;
        let told = |secret: &str, body: &[u8]| {
            let tag = hmac::sign(
                &hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
                br#"{"resource":"event","type":"payment.paid","entityId":"tr_1"}"#,
            );
            let mut headers = HeaderMap::new();
            let value = format!("sha256={}", data_encoding::HEXLOWER.encode(tag.as_ref()));
            headers.insert("x-mollie-signature", value.parse().unwrap());
            mollie.notice(&headers, body, Timestamp::UNIX_EPOCH)
        };
        assert_eq!(told("new", body), Ok(Notice::Payment("tr_1".to_owned())));
        assert_eq!(told("other", body), Err(NoticeError::Signature));
        assert_eq!(told("old", b"{}"), Err(NoticeError::Signature));
        assert_eq!(mollie.notice(&HeaderMap::new(), body, Timestamp::UNIX_EPOCH), Err(NoticeError::Signature));
    }
}
