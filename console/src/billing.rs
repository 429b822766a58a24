//! What a tenant uses of which plan, what it owes for that, and how it pays.

use std::sync::Arc;

use askama::Template;
use bytes::Bytes;
use http::Request;
use jiff::tz::TimeZone;
use kernel::{Caller, Cx, Problem};
use serde_json::{Map, Value, json};

use crate::{
    Console,
    answers::{
        Answer, Sent, flag, form, get, holds, html, instant, is_told, items, money, query, redirect, segment, text,
        texts,
    },
    frame::Frame,
};

struct Plan {
    name: String,
    state: String,
    /// The present period, from and until.
    period: (String, String),
    /// Item, how many, and whether that can be changed.
    quantities: Vec<(String, u64)>,
    planned: String,
}

struct Used {
    meter: String,
    value: String,
    cost: String,
    steps: String,
}

struct Invoice {
    id: String,
    number: String,
    date: String,
    state: String,
    total: String,
    open: bool,
}

struct Method {
    id: String,
    label: String,
    gateway: String,
    preferred: bool,
}

/// What a change would make of the next invoice.
struct Preview {
    lines: Vec<(String, String)>,
    net: String,
    plan: String,
    quantities: Vec<(String, u64)>,
    when: String,
}

#[derive(Template)]
#[template(path = "billing.html")]
struct Billing {
    frame: Frame,
    plan: Option<Plan>,
    offers: Vec<(String, String, Vec<String>)>,
    used: Vec<Used>,
    preview: Option<Preview>,
    invoices: Option<Vec<Invoice>>,
    methods: Option<Vec<Method>>,
    gateways: Vec<String>,
    credits: Vec<(String, String)>,
    /// The currency in which credits can be bought.
    buys: Option<String>,
    changes: bool,
    pays: bool,
}

fn quantities(of: &Value) -> Vec<(String, u64)> {
    let all = of.get("quantities").and_then(Value::as_object).into_iter().flatten();
    all.map(|(item, many)| (item.clone(), many.as_u64().unwrap_or_default())).collect()
}

fn plan(it: &Value, zone: &TimeZone) -> Plan {
    let period = it.get("period").cloned().unwrap_or_default();
    let planned = it.get("planned").map(|it| text(it, "plan")).unwrap_or_default();
    let name = it.get("terms").map(|terms| text(terms, "name")).unwrap_or_default();
    Plan {
        name,
        state: text(it, "state").replace('_', " "),
        period: (instant(&text(&period, "start"), zone), instant(&text(&period, "end"), zone)),
        quantities: quantities(it),
        planned,
    }
}

fn used(it: &Value) -> Used {
    Used {
        meter: text(it, "meter"),
        value: text(it, "value"),
        cost: money(it, "cost"),
        steps: texts(it, "explanation").join("; "),
    }
}

fn invoice(it: &Value, zone: &TimeZone) -> Invoice {
    let state = text(it, "state");
    let late = if flag(it, "overdue") && state == "open" { "overdue".to_owned() } else { state.clone() };
    Invoice {
        id: text(it, "id"),
        number: text(it, "number"),
        date: instant(&text(it, "date"), zone),
        open: state == "open",
        state: late,
        total: money(it, "total"),
    }
}

fn method(it: &Value) -> Method {
    let (id, label) = (text(it, "id"), text(it, "label"));
    Method { id, label, gateway: text(it, "gateway"), preferred: flag(it, "preferred") }
}

fn offer(it: &Value) -> (String, String, Vec<String>) {
    let terms = it.get("terms").cloned().unwrap_or_default();
    let all = terms.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    let counted = all.iter().filter(|it| it.pointer("/charge/for").is_some_and(|kind| kind == "quantity"));
    (text(it, "plan"), text(&terms, "name"), counted.map(|it| text(it, "key")).collect())
}

fn credit(it: &Value) -> (String, String) {
    let from = match text(it, "source").as_str() {
        "bought" => "bought".to_owned(),
        "paid" => "paid beyond what was open".to_owned(),
        "credit_note" => "from a credit note".to_owned(),
        _ => text(it, "id").trim_start_matches("given/").to_owned(),
    };
    (from, money(it, "left"))
}

fn preview(it: &Value, sent: &Sent) -> Preview {
    let lines = it.get("lines").and_then(Value::as_array).cloned().unwrap_or_default();
    let subscription = it.get("subscription").cloned().unwrap_or_default();
    Preview {
        lines: lines.iter().map(|line| (text(line, "text"), money(line, "amount"))).collect(),
        net: money(it, "net"),
        plan: get(sent, "plan").to_owned(),
        quantities: quantities(&subscription),
        when: get(sent, "when").to_owned(),
    }
}

/// Plan and quantities that a form asks for: each quantity stands in a field of its item's name, after `many-`.
fn change(sent: &Sent) -> Map<String, Value> {
    let mut many = Map::new();
    for (field, value) in sent {
        if let (Some(item), Ok(count)) = (field.strip_prefix("many-"), value.parse::<u32>()) {
            many.insert(item.to_owned(), json!(count));
        }
    }
    let mut asked = Map::from_iter([("quantities".to_owned(), Value::Object(many))]);
    if !get(sent, "plan").is_empty() {
        asked.insert("plan".to_owned(), json!(get(sent, "plan")));
    }
    asked
}

impl Console {
    pub(crate) async fn billing(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        if !matches!(cx.caller(), Caller::User { .. }) {
            return redirect("/sign-in?return_to=/billing");
        }
        let sent = query(&request);
        // Back from a gateway's page, on which a way to pay was saved.
        if !get(&sent, "session").is_empty() {
            let input = json!({ "gateway": get(&sent, "gateway"), "session": get(&sent, "session") });
            return match self.calls.ask("billing.methods.take", input, &cx).await {
                Ok(_) => redirect("/billing?said=saved"),
                Err(problem) if is_told(&problem) => self.billing_page(&Sent::new(), None, Some(&problem), &cx).await,
                Err(problem) => Err(problem),
            };
        }
        self.billing_page(&sent, None, None, &cx).await
    }

    async fn billing_page(&self, sent: &Sent, shown: Option<Preview>, refused: Option<&Problem>, cx: &Cx) -> Answer {
        let (subscription, offers, usage, invoices, methods, credits) = futures::try_join!(
            self.see("billing.subscription.read", json!({}), cx),
            self.see("billing.offers.list", json!({}), cx),
            self.see("billing.usage.read", json!({}), cx),
            self.see("billing.invoices.list", json!({ "limit": 24 }), cx),
            self.see("billing.methods.list", json!({}), cx),
            self.see("billing.credits.read", json!({}), cx),
        )?;
        let zone = self.zone(cx).await?;
        let live = subscription.filter(|it| text(it, "state") != "ended");
        let listed = |of: &Option<Value>| of.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
        let grants = credits.and_then(|it| it.get("grants").and_then(Value::as_array).cloned()).unwrap_or_default();
        let page = Billing {
            frame: self.frame("/billing", sent, refused, cx).await?,
            plan: live.as_ref().map(|it| plan(it, &zone)),
            offers: offers.iter().flat_map(items).map(offer).collect(),
            used: listed(&usage).iter().map(used).collect(),
            preview: shown,
            invoices: invoices.map(|it| items(&it).iter().map(|it| invoice(it, &zone)).collect()),
            gateways: methods.as_ref().map(|it| texts(it, "gateways")).unwrap_or_default(),
            methods: methods.map(|it| items(&it).iter().map(method).collect()),
            credits: grants.iter().map(credit).collect(),
            buys: live.filter(|_| holds(cx, "billing.credit.buy")).map(|it| text(&it, "currency")),
            changes: holds(cx, "billing.subscription.manage"),
            pays: holds(cx, "billing.method.manage"),
        };
        html(&page, refused)
    }

    pub(crate) async fn billing_act(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = form(&request);
        let ask = async |name: &str, input: Value| self.calls.ask(name, input, &cx).await;
        let of_method = json!({ "method": get(&sent, "method") });
        let done = match segment(&request, 1).as_str() {
            "subscribe" => {
                let mut asked = change(&sent);
                asked.insert("currency".to_owned(), json!(get(&sent, "currency")));
                ask("billing.subscribe", Value::Object(asked)).await.map(|_| "saved")
            }
            "preview" => {
                let mut asked = change(&sent);
                asked.insert("when".to_owned(), json!(get(&sent, "when")));
                match ask("billing.subscription.preview", Value::Object(asked)).await {
                    Ok(told) => return self.billing_page(&Sent::new(), Some(preview(&told, &sent)), None, &cx).await,
                    Err(problem) => Err(problem),
                }
            }
            "change" => {
                let mut asked = change(&sent);
                asked.insert("when".to_owned(), json!(get(&sent, "when")));
                ask("billing.subscription.change", Value::Object(asked)).await.map(|_| "saved")
            }
            "cancel" => ask("billing.subscription.cancel", json!({})).await.map(|_| "cancelled"),
            "keep" => ask("billing.subscription.keep", json!({})).await.map(|_| "saved"),
            "pay" => match ask("billing.invoices.pay", json!({ "invoice": get(&sent, "invoice") })).await {
                Ok(attempt) if !text(&attempt, "action").is_empty() => return redirect(&text(&attempt, "action")),
                outcome => outcome.map(|_| "paying"),
            },
            "method" => match ask("billing.methods.set_up", json!({ "currency": get(&sent, "currency") })).await {
                Ok(page) => return redirect(&text(&page, "url")),
                Err(problem) => Err(problem),
            },
            "top-up" => {
                let amount = json!({ "amount": get(&sent, "amount"), "currency": get(&sent, "currency") });
                ask("billing.credits.top_up", json!({ "amount": amount })).await.map(|_| "ordered")
            }
            "prefer" => ask("billing.methods.prefer", of_method).await.map(|_| "saved"),
            "remove" => ask("billing.methods.remove", of_method).await.map(|_| "saved"),
            _ => Err(Problem::not_found("page")),
        };
        match done {
            Ok(said) => redirect(&format!("/billing?said={said}")),
            Err(problem) if is_told(&problem) => self.billing_page(&Sent::new(), None, Some(&problem), &cx).await,
            Err(problem) => Err(problem),
        }
    }
}
