//! What comes in, for whoever runs the installation: figures, plans, tenants in arrears.

use std::sync::Arc;

use askama::Template;
use bytes::Bytes;
use http::Request;
use kernel::{Caller, Cx};
use serde_json::{Value, json};

use crate::{
    Console,
    answers::{Answer, html, items, money, next_page, number, query, redirect, text},
    frame::Frame,
};

struct Month {
    month: String,
    moves: [String; 4],
}

struct Figures {
    currency: String,
    /// Label and amount.
    sums: Vec<(&'static str, String)>,
    plans: Vec<(String, u64, String)>,
    months: Vec<Month>,
}

#[derive(Template)]
#[template(path = "sales.html")]
struct Sales {
    frame: Frame,
    figures: Vec<Figures>,
    /// Plan, its name, its newest version.
    plans: Vec<(String, String, u64)>,
    /// Tenant, and what it owes.
    late: Vec<(String, String)>,
    next: String,
}

fn listed<'a>(of: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    of.get(field).and_then(Value::as_array).into_iter().flatten()
}

fn figures(it: &Value) -> Figures {
    let sums = [
        ("A month, recurring (MRR)", "monthly"),
        ("A year of that (ARR)", "yearly"),
        ("Sold, net", "sold"),
        ("Outstanding", "outstanding"),
        ("Overdue", "overdue"),
    ];
    let mut words = vec![("Customers that pay", number(it, "customers").to_string())];
    words.extend(sums.map(|(label, field)| (label, money(it, field))));
    let month = |it: &Value| Month {
        month: text(it, "month"),
        moves: ["new", "expansion", "contraction", "churn"].map(|field| money(it, field)),
    };
    Figures {
        currency: text(it, "currency"),
        sums: words,
        plans: listed(it, "plans")
            .map(|it| (text(it, "plan"), number(it, "customers"), money(it, "monthly")))
            .collect(),
        months: listed(it, "months").map(month).collect(),
    }
}

impl Console {
    pub(crate) async fn sales(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        if !matches!(cx.caller(), Caller::Operator { .. }) {
            return redirect("/operator/sign-in");
        }
        let sent = query(&request);
        let asked = match sent.get("after") {
            Some(after) => json!({ "late": true, "after": after }),
            None => json!({ "late": true }),
        };
        let (told, plans, late) = futures::try_join!(
            self.see("billing.figures.read", json!({}), &cx),
            self.see("billing.plans.list", json!({}), &cx),
            self.see("billing.customers.list", asked, &cx),
        )?;
        let (told, plans, late) = (told.unwrap_or_default(), plans.unwrap_or_default(), late.unwrap_or_default());
        let owes = |it: &Value| {
            let open: Vec<String> = listed(it, "open").map(crate::answers::amount).collect();
            (text(it, "tenant"), open.join(", "))
        };
        let plan = |it: &Value| {
            (
                text(it, "plan"),
                it.get("terms").map(|terms| text(terms, "name")).unwrap_or_default(),
                number(it, "version"),
            )
        };
        let page = Sales {
            frame: Frame::of_operator_at("/operator/sales", &sent, None),
            figures: told.as_array().into_iter().flatten().map(figures).collect(),
            plans: items(&plans).iter().map(plan).collect(),
            next: next_page("/operator/sales", &late, &[]),
            late: items(&late).iter().map(owes).collect(),
        };
        html(&page, None)
    }
}
