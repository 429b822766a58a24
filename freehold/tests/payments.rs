//! How invoices are paid, through the real program and a server that acts like Stripe and tells by signed notices.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where something is not as it must be")]

mod site;

use reqwest::StatusCode;
use serde_json::{Value, json};
use site::{Person, Site, mailpit, unique, until};

const SECRET: &str = "whsec_of_the_test";

/// The server that acts like Stripe, asked as its owner asks.
struct Stripe {
    url: String,
    http: reqwest::Client,
}

impl Stripe {
    async fn get(&self, path: &str) -> Value {
        let asked = self.http.get(format!("{}{path}", self.url)).bearer_auth("sk_test_12345");
        asked.send().await.unwrap().json().await.unwrap()
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Value {
        let asked = self.http.post(format!("{}{path}", self.url)).bearer_auth("sk_test_12345").form(fields);
        asked.send().await.unwrap().json().await.unwrap()
    }

    /// A card as the gateway's own fields save it.
    async fn card(&self, number: &str) -> String {
        let card = [
            ("type", "card"),
            ("card[number]", number),
            ("card[exp_month]", "12"),
            ("card[exp_year]", "2030"),
            ("card[cvc]", "123"),
        ];
        self.post("/v1/payment_methods", &card).await["id"].as_str().unwrap().to_owned()
    }

    /// Succeeded payments of a tenant, in cents.
    async fn charged(&self, tenant: &str) -> Vec<i64> {
        let listed = self.get("/v1/payment_intents?limit=100").await;
        let all = listed["data"].as_array().unwrap().iter();
        let own = all.filter(|it| it["metadata"]["tenant"] == tenant && it["status"] == "succeeded");
        own.map(|it| it["amount"].as_i64().unwrap()).collect()
    }
}

/// What the gateway calls what happens on the page to which an answer leads.
fn session_of(answer: &reqwest::Response) -> String {
    let page = reqwest::Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
    page.path_segments().unwrap().next_back().unwrap().to_owned()
}

struct Tenant<'a> {
    id: String,
    email: String,
    owner: Person<'a>,
    operator: Person<'a>,
}

impl Tenant<'_> {
    async fn advance(&self, to: &str) {
        until(&format!("the clock shows {to}"), async || {
            let path = format!("/v1/tenants/{}/test-clock/advance", self.id);
            let (status, answer) = self.operator.send("POST", &path, json!({ "to": to })).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
            answer["settled"].as_bool().filter(|settled| *settled)
        })
        .await;
    }

    /// The newest invoice, once it is in a state.
    async fn newest(&self, state: &str) -> Value {
        until(&format!("an invoice that is {state}"), async || {
            let listed = self.operator.does("GET", &format!("/v1/tenants/{}/invoices", self.id), Value::Null).await;
            (listed["items"][0]["state"] == state).then(|| listed["items"][0].clone())
        })
        .await
    }

    async fn attempts(&self) -> Vec<Value> {
        let listed = self.operator.does("GET", &format!("/v1/tenants/{}/payments", self.id), Value::Null).await;
        listed["items"].as_array().unwrap().clone()
    }

    async fn saves(&self, token: &str) {
        self.owner.does("POST", "/v1/payment-methods", json!({ "gateway": "stripe", "token": token })).await;
    }

    /// Waits until each of these events was told: by real time, since the tenant lives in another.
    async fn told(&self, types: &[&str]) {
        let since = kernel::Clock::now(&kernel::time::SystemClock) - jiff::SignedDuration::from_hours(24);
        for name in types {
            let asked = json!({ "measure": "count", "name": name, "period": { "from": since.to_string() } });
            until(&format!("the event {name}"), async || {
                let rows = self.owner.does("POST", "/v1/analytics/reports/query", asked.clone()).await;
                rows[0]["value"].as_f64().filter(|count| *count >= 1.0)
            })
            .await;
        }
    }

    /// The link in the mail of a subject.
    async fn mailed(&self, subject: &str) -> String {
        until(&format!("a mail: {subject}"), async || {
            let mail = self.operator.site.mail_to(&self.email).await;
            if !mail["Subject"].as_str()?.contains(subject) {
                return None;
            }
            mail["Text"].as_str()?.split_whitespace().find(|word| word.starts_with("http")).map(str::to_owned)
        })
        .await
    }
}

fn path_of(link: &str) -> String {
    format!("/{}", link.splitn(4, '/').nth(3).unwrap())
}

/// An installation that is paid by way of Stripe, and a tenant in January 2031.
async fn begun<'a>(site: &'a Site, stripe: &Stripe) -> Tenant<'a> {
    let hook = format!("http://localhost:{}/v1/payment-notices/stripe", site.port);
    let register = format!("{}/_config/webhooks/{}", stripe.url, site.port);
    let registered = stripe.http.post(register).form(&[("url", hook.as_str()), ("secret", SECRET)]).send().await;
    assert!(registered.unwrap().status().is_success());
    let operator = site.operator().await;
    let seats = json!({ "key": "seats", "name": "Seats", "charge": { "for": "quantity", "least": 1, "most": 50 },
        "prices": { "EUR": { "model": "per_unit", "unit": "12" } } });
    let terms = json!({ "name": "Team", "cadence": { "every": 1, "unit": "month" }, "items": [seats] });
    operator.does("PUT", "/v1/plans/team", json!({ "terms": terms })).await;
    let schedule = json!({ "schedule": { "remind_after_days": [2], "suspend_after_days": 4 } });
    operator.does("PUT", "/v1/dunning-schedule", schedule).await;
    let account = json!({ "holder": "Seller GmbH", "iban": "AT611904300234573201" });
    let seller = json!({ "name": "Seller GmbH", "address": "Hauptstraße 1, Wien", "country": "AT", "registration": "FN 1a",
        "bank_account": account });
    operator.does("PUT", "/v1/seller", json!({ "seller": seller })).await;
    let email = unique("ada");
    let (id, owner) = site.company("acme", "Ada Lovelace", &email).await;
    let buyer = json!({ "name": "Acme GmbH", "address": "Ring 2, Wien", "country": "AT" });
    owner.does("PUT", "/v1/billing-profile", json!({ "buyer": buyer })).await;
    let clock = json!({ "at": "2031-01-01T09:00:00Z" });
    operator.does("PUT", &format!("/v1/tenants/{id}/test-clock"), clock).await;
    Tenant { id, email, owner, operator }
}

async fn site_and_stripe(data: &std::path::Path) -> Option<(Site, Stripe)> {
    let (mail, url) = (mailpit()?, store::contract::server("FREEHOLD_TEST_LOCALSTRIPE")?);
    let more = [
        ("FREEHOLD_PAYMENTS__STRIPE__URL", url.clone()),
        ("FREEHOLD_PAYMENTS__STRIPE__KEY", "sk_test_12345".to_owned()),
        ("FREEHOLD_PAYMENTS__STRIPE__SIGNING", format!("[{SECRET}]")),
    ];
    let site = Site::start_with(data, None, mail, &more).await;
    Some((site, Stripe { url, http: reqwest::Client::new() }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_pays_fails_suspends_and_another_one_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let Some((site, stripe)) = site_and_stripe(&folder.path().join("data")).await else { return };
    let tenant = begun(&site, &stripe).await;

    // A card pays by itself, and the receipt comes by mail.
    tenant.saves("pm_card_visa").await;
    let listed = tenant.owner.does("GET", "/v1/payment-methods", Value::Null).await;
    assert_eq!(
        (&listed["items"][0]["label"], &listed["items"][0]["preferred"]),
        (&json!("visa •••• 4242"), &json!(true))
    );
    let seats = json!({ "plan": "team", "currency": "EUR", "quantities": { "seats": 3 } });
    tenant.owner.does("POST", "/v1/subscription", seats).await;
    tenant.newest("paid").await;
    assert_eq!(stripe.charged(&tenant.id).await, [36_00]);
    let link = tenant.mailed("Receipt for invoice TEST-000001").await;
    let page = site.visitor("localhost").text(&path_of(&link)).await;
    assert!(page.contains("This invoice is paid") && page.contains("EUR 36.00"), "{page}");
    documents(&tenant, &link).await;

    // The next one cannot be collected.
    let good = listed["items"][0]["id"].as_str().unwrap();
    tenant.owner.does("DELETE", &format!("/v1/payment-methods/{good}"), Value::Null).await;
    tenant.saves("pm_card_chargeCustomerFail").await;
    let link = suspended(&tenant).await;

    // Whoever has the link pays with another card on the gateway's page, without signing in.
    let (visitor, here) = (site.visitor("localhost"), path_of(&link));
    let page = visitor.text(&here).await;
    assert!(page.contains("Pay EUR 36.00 by visa •••• 0341") && page.contains("card declined"), "{page}");
    let (sent, _) = visitor.form(&here, &[("act", "set_up")]).await;
    assert_eq!(sent.status(), StatusCode::SEE_OTHER);
    // Whoever comes back without having saved one pays nothing.
    let (asked, session) = (tenant.attempts().await.len(), session_of(&sent));
    let left = visitor.request("GET", &format!("{here}?gateway=stripe&session={session}")).send().await.unwrap();
    assert_eq!((left.status(), tenant.attempts().await.len()), (StatusCode::SEE_OTHER, asked));
    let saved = site.http.get(sent.headers()["location"].to_str().unwrap()).send().await.unwrap();
    assert_eq!(saved.status(), StatusCode::FOUND);
    let back = visitor.request("GET", &path_of(saved.headers()["location"].to_str().unwrap())).send().await.unwrap();
    assert_eq!(back.status(), StatusCode::SEE_OTHER);
    assert_eq!(path_of(back.headers()["location"].to_str().unwrap()), here);
    tenant.newest("paid").await;
    until("all is as before", async || {
        let (status, _) = tenant.owner.send("GET", "/v1/me", Value::Null).await;
        (status == StatusCode::OK).then_some(())
    })
    .await;
    assert_eq!(stripe.charged(&tenant.id).await.len(), 2, "nobody was charged twice");
    refunds(&tenant, &stripe).await;
    buys_credits(&tenant, &stripe).await;

    let told = [
        "billing.PaymentMethodAdded.v1",
        "billing.PaymentMethodRemoved.v1",
        "billing.PaymentAttempted.v1",
        "billing.PaymentSucceeded.v1",
        "billing.PaymentDeclined.v1",
        "billing.PaymentRefunded.v1",
        "billing.DunningBegun.v1",
        "billing.DunningReminded.v1",
        "billing.DunningExhausted.v1",
        "billing.DunningEnded.v1",
    ];
    tenant.told(&told).await;

    // A link that was changed leads nowhere.
    let mut wrong = here.clone();
    // Within the signature: the tenant and the invoice are there.
    let place = here.len() - 5;
    wrong.replace_range(place..=place, if here.as_bytes()[place] == b'A' { "B" } else { "A" });
    let answer = visitor.request("GET", &wrong).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

/// The invoice as a document, for its owner and for whoever has the link.
async fn documents(tenant: &Tenant<'_>, link: &str) {
    let invoice = tenant.newest("paid").await["id"].as_str().unwrap().to_owned();
    let get = async |person: &Person<'_>, path: &str| {
        let answer = person.request("GET", path).send().await.unwrap();
        let media = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (answer.status(), media, answer.bytes().await.unwrap())
    };
    let (status, media, own) = get(&tenant.owner, &format!("/v1/invoices/{invoice}/pdf")).await;
    assert_eq!((status, media.as_str()), (StatusCode::OK, "application/pdf"));
    let visitor = tenant.owner.site.visitor("localhost");
    let (status, _, linked) = get(&visitor, &format!("{}/invoice.pdf", path_of(link))).await;
    assert!(status == StatusCode::OK && own == linked && own.starts_with(b"%PDF"), "the same for both");
    let (status, media, xml) = get(&tenant.owner, &format!("/v1/invoices/{invoice}/ubl")).await;
    assert_eq!((status, media.as_str()), (StatusCode::OK, "application/xml"));
    assert!(String::from_utf8_lossy(&xml).contains("<cbc:PayableAmount currencyID=\"EUR\">36.00<"));
}

/// A month later an invoice is declined: reminders, another attempt, and at last the suspension. The link that is mailed.
async fn suspended(tenant: &Tenant<'_>) -> String {
    tenant.advance("2031-02-01T09:00:00Z").await;
    let open = tenant.newest("open").await;
    assert_eq!(open["number"], "TEST-000002");
    tenant.mailed("Invoice TEST-000002 could not be collected").await;
    let declined = tenant.attempts().await;
    assert_eq!((&declined[0]["state"], &declined[0]["code"]), (&json!("declined"), &json!("card_declined")));
    tenant.advance("2031-02-03T10:00:00Z").await;
    tenant.mailed("Reminder: invoice TEST-000002").await;
    until("another attempt", async || (tenant.attempts().await.len() == declined.len() + 1).then_some(())).await;
    tenant.advance("2031-02-05T10:00:00Z").await;
    let link = tenant.mailed("Your account is suspended").await;
    until("nobody gets in", async || {
        let (status, problem) = tenant.owner.send("GET", "/v1/me", Value::Null).await;
        (status == StatusCode::FORBIDDEN && problem["detail"].as_str()?.contains("an invoice is not paid"))
            .then_some(())
    })
    .await;
    link
}

/// Money goes back, once, out of credits; and the books agree with the gateway.
async fn refunds(tenant: &Tenant<'_>, stripe: &Stripe) {
    let operator = &tenant.operator;
    let paid = tenant.attempts().await.into_iter().find(|it| it["state"] == "succeeded").unwrap();
    let amount = json!({ "amount": { "amount": "5.00", "currency": "EUR" } });
    operator.does("PUT", &format!("/v1/tenants/{}/credits/sorry", tenant.id), amount.clone()).await;
    let path = format!("/v1/tenants/{}/payments/{}/refunds/sorry", tenant.id, paid["id"].as_str().unwrap());
    tenant.owner.refused("PUT", &path, amount.clone(), "platform_scope_required").await;
    operator.does("PUT", &path, amount.clone()).await;
    operator.does("PUT", &path, amount).await;
    let refunds = format!("/v1/refunds?payment_intent={}", paid["reference"].as_str().unwrap());
    until("the money went back", async || {
        let payments = tenant.attempts().await;
        let own = payments.iter().find(|it| it["id"] == paid["id"]).unwrap();
        (own["refunds"][0]["done"] == true).then_some(())
    })
    .await;
    let listed = stripe.get(&refunds).await;
    assert_eq!((listed["data"].as_array().unwrap().len(), &listed["data"][0]["amount"]), (1, &json!(500)));
    let compared = operator.does("POST", "/v1/reconciliations/stripe", json!({})).await;
    assert_eq!((&compared["last"]["repaired"], &compared["last"]["unknown"]), (&json!(0), &json!(0)), "{compared}");
    until("the books agree", async || {
        let all = tenant.owner.does("GET", "/v1/ledger/balances", Value::Null).await;
        let cash = all.as_array().unwrap().iter().find(|it| it["account"] == "cash").cloned()?;
        (cash["balance"]["amount"] == "67.00").then_some(())
    })
    .await;
}

/// Credits are bought by an invoice of their own, and there once it is paid; its page says so.
async fn buys_credits(tenant: &Tenant<'_>, stripe: &Stripe) {
    let before = stripe.charged(&tenant.id).await.len();
    let amount = json!({ "amount": { "amount": "20.00", "currency": "EUR" } });
    let bought = tenant.owner.does("POST", "/v1/credits/top-ups", amount).await;
    let left = until("the credits", async || {
        let credits = tenant.owner.does("GET", "/v1/credits", Value::Null).await;
        let grants = credits["grants"].as_array().unwrap().iter();
        let left: Vec<_> = grants.filter(|it| it["source"] == "bought").map(|it| it["left"].clone()).collect();
        (!left.is_empty()).then_some(left)
    })
    .await;
    assert_eq!(left, [json!({ "amount": "20.00", "currency": "EUR" })]);
    assert_eq!(stripe.charged(&tenant.id).await.len(), before + 1);
    let page = tenant.owner.site.visitor("localhost").text(&path_of(bought["url"].as_str().unwrap())).await;
    assert!(page.contains("Prepaid credits") && page.contains("This invoice is paid"), "{page}");
    let ubl = format!("/v1/invoices/{}/ubl", bought["invoice"].as_str().unwrap());
    tenant.owner.refused("GET", &ubl, Value::Null, "billing.no_document").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bank_wants_confirmed_is_told_by_a_notice() {
    let folder = tempfile::tempdir().unwrap();
    let Some((site, stripe)) = site_and_stripe(&folder.path().join("data")).await else { return };
    let tenant = begun(&site, &stripe).await;
    tenant.saves(&stripe.card("4000002500003155").await).await;
    tenant.owner.does("POST", "/v1/subscription", json!({ "plan": "team", "currency": "EUR" })).await;
    tenant.mailed("Please confirm the payment of invoice TEST-000001").await;
    let attempt = tenant.attempts().await[0].clone();
    assert_eq!(attempt["state"], "action_required", "{attempt}");

    // What is no notice of the gateway's changes nothing.
    let reference = attempt["reference"].as_str().unwrap();
    let forged = json!({ "type": "payment_intent.succeeded", "data": { "object": { "id": reference } } }).to_string();
    let hook = site.at("localhost", "/v1/payment-notices/stripe");
    for signature in [None, Some("t=1,v1=00"), Some("nothing")] {
        let mut asked = site.http.post(&hook).body(forged.clone());
        if let Some(signature) = signature {
            asked = asked.header("stripe-signature", signature);
        }
        let answer = asked.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert!(answer.text().await.unwrap().contains("billing.notice_refused"));
    }
    assert_eq!(tenant.attempts().await[0]["state"], "action_required");

    // The bank has it; the gateway tells before it would be asked again.
    let intent = stripe.get(&format!("/v1/payment_intents/{reference}")).await;
    let secret = intent["client_secret"].as_str().unwrap();
    let fields = [("client_secret", secret), ("success", "true")];
    stripe.post(&format!("/v1/payment_intents/{reference}/_authenticate"), &fields).await;
    tenant.newest("paid").await;
    assert_eq!(stripe.charged(&tenant.id).await, [12_00]);

    // A debit from a bank account takes its time.
    let account = [
        ("type", "sepa_debit"),
        ("sepa_debit[iban]", "DE89370400440532013000"),
        ("billing_details[name]", "Ada"),
        ("billing_details[email]", "ada@example.com"),
    ];
    let account = stripe.post("/v1/payment_methods", &account).await;
    tenant.saves(account["id"].as_str().unwrap()).await;
    let methods = tenant.owner.does("GET", "/v1/payment-methods", Value::Null).await;
    for place in [1, 1] {
        let methods = tenant.owner.does("GET", "/v1/payment-methods", Value::Null).await;
        let prefer = format!("/v1/payment-methods/{}/prefer", methods["items"][place]["id"].as_str().unwrap());
        tenant.owner.does("POST", &prefer, json!({})).await;
    }
    assert_eq!(tenant.owner.does("GET", "/v1/payment-methods", Value::Null).await, methods, "as before");
    tenant.told(&["billing.PaymentActionRequired.v1", "billing.PaymentMethodPreferred.v1"]).await;
    tenant.advance("2031-02-01T09:00:00Z").await;
    tenant.newest("paid").await;
    assert_eq!(stripe.charged(&tenant.id).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_saved_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let Some((site, stripe)) = site_and_stripe(&folder.path().join("data")).await else { return };
    let tenant = begun(&site, &stripe).await;
    let add = |gateway: &str, token: &str| json!({ "gateway": gateway, "token": token });
    for (asked, code) in [
        (add("paper", "pm_card_visa"), "not_found"),
        (add("stripe", "../customers"), "invalid_request"),
        (add("stripe", "pm_card_visa_chargeDeclined"), "billing.gateway_refused"),
        (add("stripe", "pm_of_nobody"), "billing.gateway_refused"),
    ] {
        tenant.owner.refused("POST", "/v1/payment-methods", asked, code).await;
    }
    let unknown = "/v1/payment-methods/pmt_00000000000000000000000001/prefer";
    tenant.owner.refused("POST", unknown, json!({}), "not_found").await;
    let account = json!({ "holder": "S", "iban": "AT611904300234573202" });
    let wrong = json!({ "seller": { "name": "S", "address": "R", "country": "AT", "bank_account": account } });
    tenant.operator.refused("PUT", "/v1/seller", wrong, "billing.terms").await;
    let steep = json!({ "schedule": { "remind_after_days": [9], "suspend_after_days": 4 } });
    tenant.operator.refused("PUT", "/v1/dunning-schedule", steep, "billing.terms").await;
    // Somebody else's page.
    let page = tenant.owner.does("POST", "/v1/payment-methods/setup", json!({ "currency": "EUR" })).await;
    let (_, other) = site.company("globex", "Grace", &unique("grace")).await;
    let take = json!({ "gateway": "stripe", "session": page["session"] });
    other.refused("POST", "/v1/payment-methods/take", take, "billing.gateway_refused").await;
}
