//! What is sold, used and paid; and that nobody is charged twice, no payment is lost, and the books say what happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use serde_json::{Value, json};

use crate::{
    Broken,
    check::text,
    client::{Client, Told},
    memory::Company,
    site::{HOST, Site, request},
    work::sends,
    world::World,
};

/// Publishes the one plan.
pub(crate) async fn sells(operator: &Client) -> Result<(), Broken> {
    let price = |unit: &str| json!({ "EUR": { "model": "per_unit", "unit": unit } });
    let terms = json!({ "name": "Team", "cadence": { "every": 1, "unit": "month" }, "items": [
        { "key": "base", "name": "Base", "charge": { "for": "flat" }, "prices": price("12") },
        { "key": "calls", "name": "Calls", "charge": { "for": "usage", "meter": "calls", "aggregation": "sum" },
          "prices": price("0.01") },
    ] });
    operator.does("PUT", "/v1/plans/team", &json!({ "terms": terms })).await.map(drop)
}

/// Carries what the gateways tell by themselves: late, twice, in another order, or not at all.
pub(crate) async fn carries_notices(site: Arc<Site>) {
    let dice = site.world.dice("postman");
    loop {
        tokio::time::sleep(dice.millis(4_000)).await;
        let mut notices = site.world.banks.told();
        while !notices.is_empty() {
            let at = usize::try_from(dice.below(notices.len() as u64)).unwrap_or(0);
            let (gateway, reference) = notices.swap_remove(at);
            for _ in 0..dice.below(3) {
                let builder = http::Request::builder().method("POST").uri(format!("/v1/payment-notices/{gateway}"));
                let builder = builder.header("host", HOST).header("content-type", "application/json");
                let Ok(sent) = request(builder.header("signature", "model"), reference.clone()) else { return };
                let answer = site.ask(IpAddr::V4(Ipv4Addr::new(11, 0, 0, 1)), sent).await;
                let status = answer.map(|it| it.status);
                site.world.trace.tell(format_args!("{gateway} tells of {reference}: {status:?}"));
            }
        }
    }
}

/// Every number was given to one invoice, and, where no tenant is gone, none was left out.
pub(crate) async fn numbers_are_whole(companies: &[Company]) -> Result<(), Broken> {
    let (mut numbers, mut count) = (BTreeSet::new(), 0);
    for company in companies.iter().filter(|it| !it.erased) {
        for invoice in company.owner.client.lists("/v1/invoices?limit=200").await? {
            numbers.insert(text(&invoice, "number").to_owned());
            count += 1;
        }
    }
    let whole = (1..=count).map(|number| format!("INV-{number:06}")).collect::<BTreeSet<_>>();
    let gone = companies.iter().any(|it| it.erased);
    if numbers.len() != count || (!gone && numbers != whole) {
        return Err(Broken(format!("{count} invoices have the numbers {numbers:?}")));
    }
    Ok(())
}

/// An amount in cents.
fn cents(amount: &Value) -> Result<i64, Broken> {
    let amount = text(amount, "amount");
    amount.replace('.', "").parse().map_err(|_| Broken(format!("no amount: {amount:?}")))
}

fn sum<'a>(of: impl IntoIterator<Item = &'a Value>, name: &str) -> Result<i64, Broken> {
    of.into_iter().map(|it| cents(it.get(name).unwrap_or(&Value::Null))).sum()
}

/// Two sums that are the same.
fn same(what: &str, one: i64, other: i64) -> Result<(), Broken> {
    if one == other { Ok(()) } else { Err(Broken(format!("{what}: {one} and {other}"))) }
}

impl Company {
    /// Ways to pay are saved, and the plan begins.
    pub(crate) async fn subscribes(&self) -> Result<(), Broken> {
        let owner = &self.owner.client;
        let tokens =
            [("north", "good"), ("south", "good"), ("north", "poor"), ("south", "stolen"), ("north", "revoked")];
        for _ in 0..owner.dice.below(3) {
            let (gateway, token) = owner.dice.one_of(&tokens).unwrap_or(("north", "good"));
            let token = format!("{token}{}", owner.dice.below(1_000));
            owner.does("POST", "/v1/payment-methods", &json!({ "gateway": gateway, "token": token })).await?;
        }
        let asked = json!({ "plan": "team", "currency": "EUR" });
        owner.does("POST", "/v1/subscription", &asked).await.map(drop)
    }

    pub(crate) async fn uses(&mut self, number: u64) -> Result<(), Broken> {
        let owner = &self.owner.client;
        let count = 1 + owner.dice.below(4);
        let event = |place| json!({ "id": format!("{number}-{place}"), "meter": "calls", "value": "1" });
        let batch = json!({ "events": (0..count).map(event).collect::<Vec<_>>() });
        let mut told = sends(owner, "POST", "/v1/usage", &batch).await?;
        if owner.dice.in_a_thousand(300) {
            // What is sent again counts once. Refused, it says nothing about the first time.
            match owner.surely("POST", "/v1/usage", &batch).await? {
                Told::Refused(_) => {}
                again => told = again,
            }
        }
        self.used.sent(count, &told);
        Ok(())
    }

    pub(crate) async fn buys(&mut self) -> Result<(), Broken> {
        let owner = &self.owner.client;
        let amount = format!("{}.{:02}", 1 + owner.dice.below(30), owner.dice.below(100));
        let asked = json!({ "amount": { "amount": amount, "currency": "EUR" } });
        let told = sends(owner, "POST", "/v1/credits/top-ups", &asked).await?;
        self.topped_up.sent(1, &told);
        Ok(())
    }

    /// The gateways, the invoices, the wallet and the ledger say the same.
    pub(crate) async fn has_its_money(&self, world: &World) -> Result<(), Broken> {
        let owner = &self.owner.client;
        let tenant = self.id.parse().map_err(|_| Broken(format!("no tenant: {}", self.id)))?;
        let invoices = owner.lists("/v1/invoices?limit=200").await?;
        let grants = owner.reads("/v1/credits").await?;
        let grants = grants.get("grants").and_then(Value::as_array).cloned().unwrap_or_default();
        let balances = owner.reads("/v1/ledger/balances").await?;
        let balances: BTreeMap<&str, i64> = balances
            .as_array()
            .into_iter()
            .flatten()
            .map(|it| Ok((text(it, "account"), cents(it.get("balance").unwrap_or(&Value::Null))?)))
            .collect::<Result<_, Broken>>()?;
        let balance = |account: &str| balances.get(account).copied().unwrap_or(0);
        let prepaid = |it: &&Value| it.get("prepaid") == Some(&Value::Bool(true));
        if let Some(draft) = invoices.iter().find(|it| text(it, "state") == "draft") {
            return Err(Broken(format!("an invoice has no number: {draft}")));
        }
        if world.banks.moved_twice(tenant) > 0 {
            return Err(Broken("an attempt was charged twice".to_owned()));
        }
        if let Some(beyond) = grants.iter().find(|it| text(it, "source") == "paid") {
            return Err(Broken(format!("more was charged than was asked for: {beyond}")));
        }
        same("the ledger does not cancel", balances.values().sum(), 0)?;
        same("cash and what the gateways moved", balance("cash"), world.banks.balance(tenant))?;
        same("what is receivable, and open", balance("receivable"), sum(&invoices, "open")?)?;
        let bought = invoices.iter().filter(prepaid);
        same("credits ordered, and not paid", -balance("credits_ordered"), sum(bought.clone(), "open")?)?;
        same("credits owed, and left", -balance("customer_credits"), sum(&grants, "left")?)?;
        let sold = invoices.iter().filter(|it| !prepaid(it));
        same("revenue, and what was invoiced", -balance("revenue"), sum(sold, "net")?)?;
        let bought = bought.count() as u64;
        if !self.topped_up.may_be(bought) {
            return Err(Broken(format!("credits were bought {bought} times, not {:?}", self.topped_up)));
        }
        let used = owner.reads("/v1/usage").await?;
        let used = used.as_array().and_then(|all| all.first()).map_or("0", |it| text(it, "value"));
        if used.parse().is_ok_and(|used| self.used.may_be(used)) {
            return Ok(());
        }
        Err(Broken(format!("{used} were used, not {:?}", self.used)))
    }
}
