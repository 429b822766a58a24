//! What a tenant is charged, through the real program, on a test clock: the worked example of docs/domain/billing.md.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where something is not as it must be")]

mod site;

use reqwest::StatusCode;
use serde_json::{Value, json};
use site::{Person, Site, mailpit, unique, until};

/// A seat a month at a price, and calls, of which 100,000 cost nothing.
fn team(seat: &str, trial: bool) -> Value {
    let tiers = json!([
        { "up_to": "100000", "unit": "0" }, { "up_to": "1000000", "unit": "0.0004" }, { "unit": "0.0002" },
    ]);
    let trial = if trial { json!({ "days": 14, "then": "charged" }) } else { Value::Null };
    json!({ "terms": {
        "name": "Team", "cadence": { "every": 1, "unit": "month" }, "trial": trial, "features": { "sso": true },
        "items": [
            { "key": "seats", "name": "Seats", "charge": { "for": "quantity", "least": 1, "most": 500, "feature": "seats" },
              "prices": { "EUR": { "model": "per_unit", "unit": seat } } },
            { "key": "calls", "name": "API calls", "prices": { "EUR": { "model": "graduated", "tiers": tiers } },
              "charge": { "for": "usage", "meter": "api_calls", "aggregation": "sum", "alerts": ["200000"] } },
        ],
    } })
}

/// A tenant with its clock, and whoever acts for and on it.
struct Tenant<'a> {
    id: String,
    year: i16,
    owner: Person<'a>,
    operator: Person<'a>,
}

impl Tenant<'_> {
    /// An instant of the year in which all this happens.
    fn at(&self, rest: &str) -> String {
        format!("{}-{rest}:00Z", self.year)
    }

    async fn advance(&self, to: &str) {
        let asked = json!({ "to": self.at(to) });
        until(&format!("the clock shows {to}"), async || {
            let path = format!("/v1/tenants/{}/test-clock/advance", self.id);
            let (status, answer) = self.operator.send("POST", &path, asked.clone()).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
            answer["settled"].as_bool().filter(|settled| *settled)
        })
        .await;
    }

    /// The invoices, the oldest first, once there are so many and all are final.
    async fn invoices(&self, many: usize) -> Vec<Value> {
        until(&format!("{many} invoices"), async || {
            let listed = self.owner.does("GET", "/v1/invoices", Value::Null).await;
            let mut all = listed["items"].as_array().unwrap().clone();
            all.reverse();
            assert!(all.len() <= many, "too many: {all:#?}");
            (all.len() == many && all.iter().all(|it| it["number"].is_string())).then_some(all)
        })
        .await
    }

    async fn reports(&self, events: &[(&str, &str, &str)]) -> Value {
        let event = |(id, at, value): &(&str, &str, &str)| json!({ "id": id, "meter": "api_calls", "at": self.at(at), "value": value });
        let events: Vec<Value> = events.iter().map(event).collect();
        self.owner.does("POST", "/v1/usage", json!({ "events": events })).await
    }

    async fn in_state(&self, state: &str) {
        until(&format!("a subscription that is {state}"), async || {
            let it = self.owner.does("GET", "/v1/subscription", Value::Null).await;
            (it["state"] == state).then_some(())
        })
        .await;
    }

    /// Waits until a feature is worth something, and tells why.
    async fn entitled(&self, feature: &str, value: Value, why: &str) {
        until(&format!("{feature} is {value} because of {why}"), async || {
            let (_, it) = self.owner.send("POST", "/v1/entitlements/check", json!({ "feature": feature })).await;
            (it["value"] == value && it["explanation"].as_str().unwrap_or_default().contains(why)).then_some(())
        })
        .await;
    }

    async fn pays(&self, invoice: &Value, payment: &str) -> Value {
        let path = format!("/v1/tenants/{}/invoices/{}/payments/{payment}", self.id, invoice["id"].as_str().unwrap());
        self.operator.does("PUT", &path, json!({ "amount": invoice["open"] })).await
    }
}

fn euro(amount: &str) -> Value {
    json!({ "amount": amount, "currency": "EUR" })
}

/// Kind and amount of each line.
fn lines(invoice: &Value) -> Vec<(String, String)> {
    let line =
        |it: &Value| (it["kind"].as_str().unwrap().to_owned(), it["amount"]["amount"].as_str().unwrap().to_owned());
    invoice["lines"].as_array().unwrap().iter().map(line).collect()
}

fn expected(lines: &[(&str, &str)]) -> Vec<(String, String)> {
    lines.iter().map(|(kind, amount)| ((*kind).to_owned(), (*amount).to_owned())).collect()
}

async fn founded<'a>(site: &'a Site, operator: &Person<'a>) -> Tenant<'a> {
    let (id, owner) = site.company("acme", "Ada Lovelace", &unique("acme")).await;
    let now = kernel::Clock::now(&kernel::time::SystemClock);
    let year = jiff::tz::TimeZone::UTC.to_datetime(now).year() + 1;
    let tenant = Tenant { id, year, owner, operator: operator.clone() };
    let clock = json!({ "at": tenant.at("03-01T09:00") });
    operator.does("PUT", &format!("/v1/tenants/{}/test-clock", tenant.id), clock).await;
    // Summer time begins within the first period.
    tenant.owner.does("PUT", "/v1/settings", json!({ "time_zone": "Europe/Vienna", "locale": "de-AT" })).await;
    let buyer =
        json!({ "name": "Acme GmbH", "address": "Hauptstraße 1, Wien", "country": "AT", "tax_id": "ATU12345678" });
    tenant.owner.does("PUT", "/v1/billing-profile", json!({ "buyer": buyer })).await;
    tenant
}

async fn subscribes(tenant: &Tenant<'_>) {
    let ask = |plan: &str, currency: &str, seats: u32, coupon: Value| json!({ "plan": plan, "currency": currency, "quantities": { "seats": seats }, "coupon": coupon });
    let owner = &tenant.owner;
    for (asked, code) in [
        (ask("gold", "EUR", 3, Value::Null), "not_found"),
        (ask("team", "USD", 3, Value::Null), "billing.currency"),
        (ask("team", "EUR", 501, Value::Null), "billing.quantity"),
        (ask("team", "EUR", 3, json!("winter")), "not_found"),
    ] {
        owner.refused("POST", "/v1/subscription", asked, code).await;
    }
    let offers = owner.does("GET", "/v1/offers", Value::Null).await;
    assert_eq!((&offers["items"][0]["plan"], &offers["items"][0]["version"]), (&json!("team"), &json!(1)));
    let begun = owner.does("POST", "/v1/subscription", ask("team", "EUR", 3, json!("welcome"))).await;
    assert_eq!((&begun["state"], &begun["period"]["end"]), (&json!("trial"), &json!(tenant.at("03-15T09:00"))));
    owner.refused("POST", "/v1/subscription", ask("team", "EUR", 3, Value::Null), "billing.subscribed").await;
    tenant.entitled("sso", json!(true), "team plan v1").await;
    tenant.entitled("seats", json!(3), "team plan v1").await;
}

async fn uses(tenant: &Tenant<'_>) {
    let owner = &tenant.owner;
    let event = |more: Value| {
        let mut it = json!({ "id": "x", "meter": "api_calls" });
        it.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "events": [it] })
    };
    for (wrong, code) in [
        (event(json!({ "meter": "storage" })), "billing.unknown_meter"),
        (event(json!({ "value": "-1" })), "invalid_request"),
        (event(json!({ "at": tenant.at("12-31T00:00") })), "billing.usage_too_early"),
        (event(json!({ "at": tenant.at("02-01T00:00") })), "billing.usage_too_late"),
        (event(json!({ "id": "" })), "invalid_request"),
    ] {
        owner.refused("POST", "/v1/usage", wrong, code).await;
    }
    // Out of order, twice within a report, and twice over two.
    let taken = tenant
        .reports(&[("b", "03-20T10:00", "99000"), ("a", "03-16T10:00", "100000"), ("b", "03-20T10:00", "99000")])
        .await;
    assert_eq!((&taken["new"], &taken["known"]), (&json!(2), &json!(1)));
    let taken = tenant.reports(&[("a", "03-16T10:00", "100000"), ("c", "03-31T10:00", "51000")]).await;
    assert_eq!((&taken["new"], &taken["known"]), (&json!(1), &json!(1)));
    let used = owner.does("GET", "/v1/usage", Value::Null).await;
    assert_eq!((&used[0]["value"], &used[0]["cost"]), (&json!("250000"), &euro("60.00")), "{used}");
    assert!(used[0]["explanation"].to_string().contains("150000 at 0.0004 = 60"), "{used}");
}

/// Preview, change at once, and a newer version of the plan.
async fn changes(tenant: &Tenant<'_>) {
    let (owner, operator) = (&tenant.owner, &tenant.operator);
    let more = json!({ "quantities": { "seats": 5 } });
    let preview = owner.does("POST", "/v1/subscription/preview", more.clone()).await;
    let told = [("proration", "-15.70"), ("proration", "26.16"), ("usage", "60.00"), ("recurring", "60.00")];
    assert_eq!(lines(&preview), expected(&told));
    assert_eq!(owner.does("GET", "/v1/subscription", Value::Null).await["quantities"]["seats"], 3, "only told");
    owner.does("POST", "/v1/subscription/changes", more).await;
    tenant.entitled("seats", json!(5), "team plan v1").await;

    tenant.advance("04-10T08:00").await;
    let newer = operator.does("PUT", "/v1/plans/team", team("15", true)).await;
    assert_eq!(newer["version"], 2);
    assert_eq!(
        operator.does("PUT", "/v1/plans/team", team("15", true)).await["version"],
        2,
        "the same is no new version"
    );
    assert_eq!(
        owner.does("GET", "/v1/subscription", Value::Null).await["plan"]["version"],
        1,
        "who subscribed keeps theirs"
    );
    owner.does("POST", "/v1/subscription/changes", json!({ "plan": "team" })).await;
    tenant.entitled("sso", json!(true), "team plan v2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_period_is_charged_to_the_cent() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(&folder.path().join("data"), None, mail).await;
    let operator = site.operator().await;
    operator.does("PUT", "/v1/plans/team", team("12", true)).await;
    operator.does("PUT", "/v1/tax-rates", json!({ "rates": { "seller": "AT", "rates": { "AT": 2000 } } })).await;
    let coupon = json!({ "off": { "kind": "percent", "percent": 10 }, "invoices": 1, "tenants": 1 });
    operator.does("PUT", "/v1/coupons/welcome", json!({ "terms": coupon })).await;
    let tenant = founded(&site, &operator).await;
    subscribes(&tenant).await;

    // The trial: use costs nothing. Then the first period, with the coupon, which is for one invoice.
    tenant.advance("03-10T09:00").await;
    tenant.reports(&[("trial", "03-09T10:00", "500000")]).await;
    tenant.advance("03-15T09:00").await;
    let all = tenant.invoices(1).await;
    assert_eq!(lines(&all[0]), expected(&[("recurring", "36.00"), ("discount", "-3.60")]));
    assert_eq!((&all[0]["tax"]["amount"], &all[0]["total"]), (&euro("6.48"), &euro("38.88")));
    assert_eq!((&all[0]["number"], &all[0]["state"]), (&json!("TEST-000001"), &json!("open")));

    // Nobody pays in time; then somebody does.
    tenant.advance("04-01T20:00").await;
    tenant.in_state("past_due").await;
    assert_eq!(tenant.pays(&all[0], "bank-1").await["state"], "paid");
    tenant.in_state("active").await;

    uses(&tenant).await;
    changes(&tenant).await;

    // The period ends: what changed, what was used, and the next period.
    tenant.advance("04-15T08:00").await;
    let all = tenant.invoices(2).await;
    let told = [
        ("proration", "-15.70"),
        ("proration", "26.16"),
        ("proration", "-9.69"),
        ("proration", "12.11"),
        ("usage", "60.00"),
        ("recurring", "75.00"),
    ];
    assert_eq!(lines(&all[1]), expected(&told));
    assert_eq!(
        (&all[1]["net"], &all[1]["tax"]["amount"], &all[1]["total"]),
        (&euro("147.88"), &euro("29.58"), &euro("177.46"))
    );
    tenant.pays(&all[1], "bank-2").await;

    // 2,500 of its calls are known only now, and 1,000 of these were none.
    tenant.advance("04-20T09:00").await;
    tenant.reports(&[("late", "04-14T10:00", "2500")]).await;
    let path = format!("/v1/tenants/{}/usage-corrections/first", tenant.id);
    let correction = json!({ "meter": "api_calls", "at": tenant.at("04-14T10:00"), "by": "-1000", "reason": "a test" });
    operator.does("PUT", &path, correction.clone()).await;
    operator.does("PUT", &path, correction).await;
    let credits = json!({ "amount": euro("50.00") });
    operator.does("PUT", &format!("/v1/tenants/{}/credits/sorry", tenant.id), credits).await;
    tenant.advance("05-15T08:00").await;
    let all = tenant.invoices(3).await;
    assert_eq!(lines(&all[2]), expected(&[("late_usage", "0.60"), ("recurring", "75.00")]));
    assert_eq!(
        (&all[2]["total"], &all[2]["credits"], &all[2]["open"]),
        (&euro("90.72"), &euro("50.00"), &euro("40.72"))
    );

    books(&tenant, &all[2]).await;
    ends(&tenant).await;
}

/// What the ledger tells, before and after the last invoice is declared void.
async fn books(tenant: &Tenant<'_>, last: &Value) {
    let balance = async |account: &str| {
        let all = tenant.owner.does("GET", "/v1/ledger/balances", Value::Null).await;
        let found = all.as_array().unwrap().iter().find(|it| it["account"] == account).cloned();
        found.map_or("0.00".to_owned(), |it| it["balance"]["amount"].as_str().unwrap().to_owned())
    };
    let becomes = async |account: &str, amount: &str| {
        until(&format!("{account} is {amount}"), async || (balance(account).await == amount).then_some(())).await;
    };
    // 38.88 and 177.46 were paid; 255.88 net was sold, with 51.18 of tax.
    becomes("receivable", "40.72").await;
    becomes("cash", "216.34").await;
    becomes("revenue", "-255.88").await;
    becomes("tax_payable", "-51.18").await;
    becomes("customer_credits", "0.00").await;
    let path = format!("/v1/tenants/{}/invoices/{}/void", tenant.id, last["id"].as_str().unwrap());
    tenant.owner.refused("POST", &path, json!({ "reason": "mine" }), "platform_scope_required").await;
    let void = tenant.operator.does("POST", &path, json!({ "reason": "sent in error" })).await;
    assert_eq!((&void["state"], &void["number"]), (&json!("void"), &json!("TEST-000003")), "it keeps its number");
    becomes("receivable", "0.00").await;
    becomes("customer_credits", "-50.00").await;
    let credits = tenant.owner.does("GET", "/v1/credits", Value::Null).await;
    assert_eq!(credits["grants"][0]["left"], euro("50.00"));
    let series = tenant.operator.does("GET", "/v1/invoice-series", Value::Null).await;
    assert_eq!(series["items"][0]["given"], 3);
}

async fn ends(tenant: &Tenant<'_>) {
    let owner = &tenant.owner;
    owner.does("POST", "/v1/subscription/pause", json!({})).await;
    owner.refused("POST", "/v1/subscription/keep", json!({}), "billing.subscription_state").await;
    owner.does("POST", "/v1/subscription/resume", json!({})).await;
    owner.does("POST", "/v1/subscription/changes", json!({ "quantities": { "seats": 1 }, "when": "period_end" })).await;
    owner.does("POST", "/v1/subscription/cancel", json!({})).await;
    owner.does("POST", "/v1/subscription/keep", json!({})).await;
    let over = owner.does("POST", "/v1/subscription/cancel", json!({ "when": "now" })).await;
    assert_eq!(over["state"], "ended");
    until("nothing is left of the plan", async || {
        let (_, it) = owner.send("POST", "/v1/entitlements/check", json!({ "feature": "sso" })).await;
        (it["value"] != json!(true)).then_some(())
    })
    .await;
    owner.refused("POST", "/v1/usage", json!({ "events": [{ "id": "y", "meter": "api_calls" }] }), "not_found").await;
    let types = [
        "billing.SubscriptionCreated.v1",
        "billing.SubscriptionStateChanged.v1",
        "billing.PlanUpgraded.v1",
        "billing.QuantitiesChanged.v1",
        "billing.ChangeScheduled.v1",
        "billing.UsageRecorded.v1",
        "billing.UsageCorrected.v1",
        "billing.UsageThresholdReached.v1",
        "billing.InvoiceRequested.v1",
        "billing.InvoiceDrafted.v1",
        "billing.InvoiceGenerated.v1",
        "billing.InvoiceOverdue.v1",
        "billing.InvoiceSettled.v1",
        "billing.InvoiceVoided.v1",
        "billing.PaymentProcessed.v1",
        "billing.CreditsGranted.v1",
        "billing.CreditsDrawn.v1",
        "billing.CreditsReturned.v1",
        "billing.CreditLeft.v1",
        "billing.TransactionPosted.v1",
        "billing.BillingProfileUpdated.v1",
    ];
    // What happened really is told by real time.
    let since = kernel::Clock::now(&kernel::time::SystemClock) - jiff::SignedDuration::from_hours(24);
    for name in types {
        let asked = json!({ "measure": "count", "name": name, "period": { "from": since.to_string() } });
        until(&format!("the event {name}"), async || {
            let rows = owner.does("POST", "/v1/analytics/reports/query", asked.clone()).await;
            rows[0]["value"].as_f64().filter(|count| *count >= 1.0)
        })
        .await;
    }
}
