//! What those who administer set: features, keys, programs.

use std::sync::Arc;

use askama::Template;
use bytes::Bytes;
use http::Request;
use jiff::tz::TimeZone;
use kernel::{Caller, Condition, Cx, Problem};
use serde_json::{Value, json};

use crate::{
    Console,
    answers::{
        Answer, Sent, flag, form, get, holds, html, instant, is_told, items, query, redirect, segment, text, texts,
    },
    frame::Frame,
};

struct Feature {
    name: String,
    on: bool,
    share: String,
}

struct Key {
    id: String,
    name: String,
    may: String,
    ends: String,
}

#[derive(Template)]
#[template(path = "settings.html")]
struct Settings {
    frame: Frame,
    features: Option<Vec<Feature>>,
    switches: bool,
    keys: Option<Vec<Key>>,
    /// What the caller can give a key.
    gives: Vec<String>,
    clients: Option<Vec<(String, String)>>,
    /// A key that was made just now.
    key: String,
}

fn feature(it: &Value) -> Feature {
    let percentage = it.get("percentage").and_then(Value::as_u64).unwrap_or(100);
    let share = if percentage == 100 { "everyone".to_owned() } else { format!("{percentage} of 100") };
    Feature { name: text(it, "feature"), on: flag(it, "enabled"), share }
}

fn key(it: &Value, zone: &TimeZone) -> Key {
    let (id, name, may) = (text(it, "id"), text(it, "name"), texts(it, "permissions").join(", "));
    Key { id, name, may, ends: instant(&text(it, "ends"), zone) }
}

impl Console {
    pub(crate) async fn settings(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        if !matches!(cx.caller(), Caller::User { .. }) {
            return redirect("/sign-in?return_to=/settings");
        }
        self.settings_page(&query(&request), String::new(), None, &cx).await
    }

    async fn settings_page(&self, sent: &Sent, fresh: String, refused: Option<&Problem>, cx: &Cx) -> Answer {
        let (features, keys, clients) = futures::try_join!(
            self.see("tenants.features.list", json!({}), cx),
            self.see("identity.api_keys.list", json!({}), cx),
            self.see("identity.clients.list", json!({}), cx),
        )?;
        let zone = self.zone(cx).await?;
        let give = |(name, under): (&str, Condition)| (under == Condition::Always).then(|| name.to_owned());
        let client = |it: &Value| (text(it, "name"), text(it, "client_id"));
        let page = Settings {
            frame: self.frame("/settings", sent, refused, cx).await?,
            features: features.map(|it| items(&it).iter().map(feature).collect()),
            switches: holds(cx, "tenants.feature.update"),
            keys: keys.map(|it| items(&it).iter().map(|it| key(it, &zone)).collect()),
            gives: cx.grants().iter().filter_map(give).filter(|name| name != "identity.api_key.update").collect(),
            clients: clients.map(|it| items(&it).iter().map(client).collect()),
            key: fresh,
        };
        html(&page, refused)
    }

    pub(crate) async fn settings_act(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = form(&request);
        let count = |name: &str| get(&sent, name).parse::<u64>().unwrap_or(u64::MAX);
        let done = match segment(&request, 1).as_str() {
            "feature" => {
                let input = json!({ "feature": get(&sent, "feature"), "enabled": get(&sent, "enabled") == "on" });
                self.calls.ask("tenants.features.switch", input, &cx).await.map(|_| "saved")
            }
            "new-feature" => {
                let input =
                    json!({ "feature": get(&sent, "feature"), "enabled": true, "percentage": count("percentage") });
                self.calls.ask("tenants.features.define", input, &cx).await.map(|_| "saved")
            }
            "end-key" => {
                let input = json!({ "key": get(&sent, "key") });
                self.calls.ask("identity.api_keys.revoke", input, &cx).await.map(|_| "key-ended")
            }
            "key" => {
                let input = json!({
                    "name": get(&sent, "name"), "permissions": [get(&sent, "permission")], "days": count("days"),
                });
                match self.calls.ask("identity.api_keys.create", input, &cx).await {
                    // Shown in this answer only, so there is no address to go on to.
                    Ok(made) => return self.settings_page(&Sent::new(), text(&made, "key"), None, &cx).await,
                    Err(problem) => Err(problem),
                }
            }
            _ => Err(Problem::not_found("page")),
        };
        match done {
            Ok(said) => redirect(&format!("/settings?said={said}")),
            Err(problem) if is_told(&problem) => {
                self.settings_page(&Sent::new(), String::new(), Some(&problem), &cx).await
            }
            Err(problem) => Err(problem),
        }
    }
}
