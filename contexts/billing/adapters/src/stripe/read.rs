//! What Stripe answers.

use contracts::payments::AttemptId;
use kernel::TenantId;
use money::Money;
use serde_json::Value;

use crate::http::{text, unreadable};

use billing_gateways::{Failure, Method, Payment, Standing};

pub(crate) fn metadata<'a>(from: &'a Value, name: &str) -> Option<&'a str> {
    from.get("metadata").and_then(|it| it.get(name)).and_then(Value::as_str)
}

pub(crate) fn list(from: &Value) -> impl Iterator<Item = &Value> {
    from.get("data").and_then(Value::as_array).into_iter().flatten()
}

/// An amount of a currency in small letters.
pub(crate) fn money(amount: i64, currency: &str) -> Option<Money> {
    let whole = Money::new(amount, currency.to_uppercase().parse().ok()?);
    Some(Money::new(amount / super::factor(whole), whole.currency()))
}

pub(crate) fn amount_of(from: &Value) -> Result<Money, Failure> {
    let amount = from.get("amount").and_then(Value::as_i64);
    let currency = from.get("currency").and_then(Value::as_str);
    amount.zip(currency).and_then(|(amount, currency)| money(amount, currency)).ok_or_else(unreadable)
}

/// What a refusal by the bank that will not change says. <https://docs.stripe.com/declines/codes>
const FOR_GOOD: &[&str] = &[
    "expired_card",
    "fraudulent",
    "incorrect_number",
    "invalid_account",
    "invalid_number",
    "lost_card",
    "merchant_blacklist",
    "pickup_card",
    "restricted_card",
    "revocation_of_all_authorizations",
    "revocation_of_authorization",
    "security_violation",
    "stolen_card",
    "stop_payment_order",
    "transaction_not_allowed",
];

pub(crate) fn payment(intent: &Value) -> Result<Payment, Failure> {
    let error = |name: &str| intent.pointer(&format!("/last_payment_error/{name}")).and_then(Value::as_str);
    let standing = match intent.get("status").and_then(Value::as_str).ok_or_else(unreadable)? {
        "requires_confirmation" => Standing::Prepared,
        "processing" | "requires_capture" => Standing::Processing,
        "succeeded" => Standing::Succeeded,
        "requires_action" => {
            let url = intent.pointer("/next_action/redirect_to_url/url").and_then(Value::as_str);
            Standing::Action { url: url.map(str::to_owned) }
        }
        "canceled" => Standing::Declined { code: "canceled".to_owned(), retryable: true },
        "requires_payment_method" => {
            let code = error("decline_code").or_else(|| error("code")).unwrap_or("declined").to_owned();
            let retryable = !FOR_GOOD.contains(&code.as_str());
            // Nobody was there to confirm it with the bank.
            if code == "authentication_required" {
                Standing::Action { url: None }
            } else {
                Standing::Declined { code, retryable }
            }
        }
        _ => return Err(unreadable()),
    };
    let tenant = metadata(intent, "tenant").and_then(|it| it.parse::<TenantId>().ok());
    let attempt = metadata(intent, "attempt").and_then(|it| it.parse::<AttemptId>().ok());
    Ok(Payment { reference: text(intent, "id")?, attempt: tenant.zip(attempt), amount: amount_of(intent)?, standing })
}

pub(crate) fn method(from: &Value) -> Result<Method, Failure> {
    let kind = text(from, "type")?;
    let of = from.get(&kind).cloned().unwrap_or_default();
    let named = |name: &str| of.get(name).and_then(Value::as_str);
    let brand = named("brand").or_else(|| named("bank_code")).unwrap_or(&kind);
    let label = named("last4").map_or_else(|| brand.to_owned(), |last4| format!("{brand} •••• {last4}"));
    let number = |name: &str| of.get(name).and_then(Value::as_u64);
    let year = number("exp_year").and_then(|it| u16::try_from(it).ok());
    let expires = year.zip(number("exp_month").and_then(|it| u8::try_from(it).ok()));
    Ok(Method { token: text(from, "id")?, kind, label, expires })
}
