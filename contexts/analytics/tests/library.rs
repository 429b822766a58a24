//! Metrics, reports and dashboards: made, run, watched, looked at.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where something is not as it must be")]

mod fixture;

use std::time::Duration;

use bytes::Bytes;
use contracts::analytics::{AnomalyDetected, DashboardViewed, ReportGenerated};
use facts::{Fact, Facts};
use fixture::{Fixture, at};
use http::{Method, Request, StatusCode};
use kernel::{Caller, Cx, DefaultRole, UserId};
use serde_json::{Value, json};

const DAY: Duration = Duration::from_hours(24);

/// So many facts of a name on a day, each of another person.
async fn facts(it: &Fixture, name: &str, day: &str, many: usize, country: &str) {
    let fact = |number: usize| Fact {
        id: format!("{name}/{day}/{country}/{number}"),
        scope: it.scope,
        name: name.to_owned(),
        at: at(&format!("{day}T10:00:00Z")) + Duration::from_secs(number as u64),
        person: Some(format!("person-{number}")),
        value: 2.0,
        labels: [("country".to_owned(), country.to_owned())].into(),
    };
    it.facts.append((0..many).map(fact).collect()).await.unwrap();
}

fn own(it: &Fixture, id: UserId, role: DefaultRole) -> Cx {
    it.cx(Caller::User { id, session: None }, role)
}

async fn made(it: &Fixture, cx: Cx, noun: &str, input: Value) -> String {
    let path = format!("/v1/analytics/{noun}");
    it.ask(cx, Method::POST, &path, input).await.unwrap()["id"].as_str().unwrap().to_owned()
}

fn metric(watched: bool) -> Value {
    json!({ "name": "Visits", "definition": { "measure": "count", "name": "page.seen" }, "watched": watched })
}

#[tokio::test]
async fn a_metric_is_measured_day_by_day_and_changed_by_whom_it_belongs_to() {
    let it = Fixture::new();
    facts(&it, "page.seen", "2026-11-23", 3, "de").await;
    facts(&it, "page.left", "2026-11-23", 5, "de").await;
    let (ada, bob) = (it.person(), it.person());
    let id = made(&it, own(&it, ada, DefaultRole::Member), "metrics", metric(false)).await;
    let days = it.ask(it.member(), Method::GET, "/v1/analytics/metrics/{metric}/days", json!({ "metric": id })).await;
    assert_eq!(days.unwrap(), json!([{ "bucket": "2026-11-23T00:00:00Z", "value": 3.0 }]));
    let mut changed = metric(false);
    changed["metric"] = json!(id);
    changed["name"] = json!("Pages");
    let path = "/v1/analytics/metrics/{metric}";
    let put = async |who, role| it.ask(own(&it, who, role), Method::PUT, path, changed.clone()).await;
    assert_eq!(put(bob, DefaultRole::Member).await.unwrap_err().code(), "permission_denied");
    assert_eq!(put(ada, DefaultRole::Person).await.unwrap_err().code(), "permission_denied");
    assert_eq!(put(ada, DefaultRole::Member).await.unwrap()["name"], "Pages");
    put(bob, DefaultRole::Admin).await.unwrap();
    let only = json!({ "metric": id });
    let refused = it.ask(own(&it, bob, DefaultRole::Member), Method::DELETE, path, only.clone()).await.unwrap_err();
    assert_eq!(refused.code(), "permission_denied");
    it.ask(own(&it, ada, DefaultRole::Member), Method::DELETE, path, only.clone()).await.unwrap();
    assert_eq!(it.ask(it.member(), Method::GET, path, only).await.unwrap_err().code(), "not_found");
    let picked = json!({ "name": "x", "definition": { "measure": "count",
        "filters": [{ "field": "person", "test": { "is": "PSEUDONYM" } }] } });
    let refused = it.ask(it.member(), Method::POST, "/v1/analytics/metrics", picked).await.unwrap_err();
    assert_eq!(refused.code(), "invalid_request");
}

#[tokio::test]
async fn an_unusual_day_of_a_watched_metric_is_told_once() {
    let it = Fixture::new();
    for day in 1..=24 {
        facts(&it, "page.seen", &format!("2026-11-{day:02}"), 40 + day % 3, "de").await;
    }
    let id = made(&it, it.member(), "metrics", metric(true)).await;
    assert_eq!(it.later(Duration::from_hours(13)).await, ["analytics.metric"]);
    assert_eq!(it.events::<AnomalyDetected>().await.len(), 0, "the 24th was as usual");
    facts(&it, "page.seen", "2026-11-25", 400, "de").await;
    facts(&it, "page.seen", "2026-11-26", 500, "de").await;
    it.later(DAY).await;
    let told = it.events::<AnomalyDetected>().await;
    assert_eq!(told.len(), 1);
    let told = &told[0];
    assert_eq!((told.metric.to_string(), told.day.as_str(), told.value), (id.clone(), "2026-11-25", 400.0));
    assert!(told.low < told.expected && told.expected < told.high && told.high < told.value && told.deviations > 3.5);
    it.later(DAY).await;
    assert_eq!(it.events::<AnomalyDetected>().await.len(), 1, "it goes on, and that is no news");
    let view = it.ask(it.member(), Method::GET, "/v1/analytics/metrics/{metric}", json!({ "metric": id })).await;
    assert_eq!(view.unwrap()["unusual"], true);
    facts(&it, "page.seen", "2026-11-27", 41, "de").await;
    it.later(DAY).await;
    it.later(DAY).await;
    let told = it.events::<AnomalyDetected>().await;
    assert_eq!(told.len(), 2, "on the 28th nothing happened at all, after a day that was as usual");
    assert!(told.iter().any(|it| it.day == "2026-11-28" && it.value == 0.0));
}

fn by_country() -> Value {
    json!({ "question": { "measure": "sum", "name": "page.seen", "group_by": ["label.country"] } })
}

#[tokio::test]
async fn a_report_runs_on_its_schedule_and_what_it_said_stays() {
    let it = Fixture::new();
    facts(&it, "page.seen", "2026-11-23", 3, "=de").await;
    let report = json!({ "title": "By country", "ask": by_country(), "schedule": "daily" });
    let id = made(&it, it.member(), "reports", report).await;
    let only = json!({ "report": id });
    let answer = it.ask(it.member(), Method::GET, "/v1/analytics/reports/{report}/answer", only.clone()).await.unwrap();
    assert_eq!(answer, json!({ "rows": [{ "bucket": null, "groups": ["=de"], "value": 6.0 }] }));
    assert!(it.later(Duration::from_hours(17)).await.is_empty(), "it is five in the morning");
    assert_eq!(it.later(Duration::from_hours(1)).await, ["analytics.report"]);
    facts(&it, "page.seen", "2026-11-24", 1, "=de").await;
    let results = "/v1/analytics/reports/{report}/results";
    let listed = it.ask(it.member(), Method::GET, results, only.clone()).await.unwrap();
    let result = listed["items"][0]["id"].as_str().unwrap().to_owned();
    let told = it.events::<ReportGenerated>().await;
    assert_eq!((told.len(), told[0].result.to_string(), told[0].rows), (1, result.clone(), 1));
    let path = "/v1/analytics/results/{result}";
    let kept = it.ask(it.member(), Method::GET, path, json!({ "result": result })).await.unwrap();
    assert_eq!(kept["answer"]["rows"][0]["value"], 6.0, "as it was when it ran");
    let request = Request::get(format!("/v1/analytics/results/{result}/sheet.csv")).body(Bytes::new()).unwrap();
    let (_, headers, sheet) = it.get("/v1/analytics/results/{result}/sheet.csv", request, it.member()).await.unwrap();
    assert_eq!(sheet, "bucket,group_1,value\r\n,'=de,6\r\n", "no cell is a formula");
    assert!(headers["content-disposition"].to_str().unwrap().contains("result.csv"));
    assert_eq!(it.later(DAY).await, ["analytics.report"], "and the next morning again");
    assert_eq!(it.events::<ReportGenerated>().await.len(), 2);
    it.ask(it.member(), Method::DELETE, "/v1/analytics/reports/{report}", only).await.unwrap_err();
    it.later(DAY * 401).await;
    let gone = it.ask(it.member(), Method::GET, path, json!({ "result": result })).await.unwrap_err();
    assert_eq!(gone.code(), "not_found", "after 400 days it is gone");
}

#[tokio::test]
async fn a_funnel_tells_how_far_people_come() {
    let it = Fixture::new();
    facts(&it, "page.seen", "2026-11-22", 4, "de").await;
    facts(&it, "order.placed", "2026-11-23", 1, "de").await;
    let way = json!({ "steps": [{ "name": "page.seen" }, { "name": "order.placed" }], "within": 172_800 });
    let told = it.ask(it.member(), Method::POST, "/v1/analytics/funnels/query", way.clone()).await.unwrap();
    let expected = json!([
        { "name": "page.seen", "people": 4, "of_first": 1.0, "of_previous": 1.0, "median_seconds": null },
        { "name": "order.placed", "people": 1, "of_first": 0.25, "of_previous": 0.25, "median_seconds": 86400.0 },
    ]);
    assert_eq!(told, expected);
    let request = Request::post("/v1/analytics/funnels/query.csv").header("content-type", "application/json");
    let request = request.body(Bytes::from(way.to_string())).unwrap();
    let (_, _, sheet) = it.get("/v1/analytics/funnels/query.csv", request, it.member()).await.unwrap();
    assert!(sheet.ends_with("order.placed,1,0.25,0.25,86400\r\n"), "{sheet}");
}

#[tokio::test]
async fn a_dashboard_tells_all_its_figures_and_who_looks_is_told_once_an_hour() {
    let it = Fixture::new();
    facts(&it, "page.seen", "2026-11-22", 3, "de").await;
    facts(&it, "page.seen", "2026-11-23", 2, "fr").await;
    let shown = made(&it, it.member(), "metrics", metric(false)).await;
    let gone = made(&it, it.member(), "metrics", metric(false)).await;
    let report = made(&it, it.member(), "reports", json!({ "title": "By country", "ask": by_country() })).await;
    let way = json!({ "steps": [{ "name": "page.seen" }, { "name": "none" }], "within": 60 });
    let funnel = made(&it, it.member(), "reports", json!({ "title": "Way", "ask": { "funnel": way } })).await;
    let tiles = json!([{ "metric": shown }, { "report": report }, { "metric": gone }, { "report": funnel }]);
    let id = made(&it, it.member(), "dashboards", json!({ "title": "Week <1>", "tiles": tiles })).await;
    let admin = own(&it, it.person(), DefaultRole::Admin);
    it.ask(admin, Method::DELETE, "/v1/analytics/metrics/{metric}", json!({ "metric": gone })).await.unwrap();
    let ada = it.person();
    let look = async |days: u32| {
        let path = "/v1/analytics/dashboards/{dashboard}/figures";
        let cx = own(&it, ada, DefaultRole::Member);
        it.ask(cx, Method::GET, path, json!({ "dashboard": id, "days": days })).await
    };
    let figures = look(30).await.unwrap();
    assert_eq!(figures["tiles"][0]["answer"]["rows"][1]["value"], 2.0);
    assert_eq!(figures["tiles"][1]["answer"]["rows"][0]["groups"], json!(["de"]));
    assert_eq!(figures["tiles"][2]["answer"], Value::Null, "what was deleted leaves an empty tile");
    assert_eq!(figures["tiles"][3]["answer"]["steps"][0]["people"], 3);
    assert_eq!(look(1).await.unwrap()["tiles"][0]["answer"]["rows"], json!([]), "today alone");
    assert_eq!(look(367).await.unwrap_err().code(), "invalid_request");
    it.later(Duration::from_hours(1)).await;
    look(30).await.unwrap();
    assert_eq!(it.events::<DashboardViewed>().await.len(), 2, "of three looks, two hours are told");
    let many: Vec<Value> = (0..21).map(|_| json!({ "metric": shown })).collect();
    let refused = json!({ "title": "x", "tiles": many });
    let refused = it.ask(it.member(), Method::POST, "/v1/analytics/dashboards", refused).await.unwrap_err();
    assert_eq!(refused.code(), "invalid_request");

    let open = async |cx: Cx| {
        let request = Request::get(format!("/analytics/{id}?days=7")).body(Bytes::new()).unwrap();
        it.get("/analytics/{dashboard}", request, cx).await
    };
    let (status, headers, _) = open(it.cx(Caller::Visitor, DefaultRole::Visitor)).await.unwrap();
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert!(headers["location"].to_str().unwrap().starts_with("/sign-in?return_to=%2Fanalytics%2Fdsh_"));
    assert_eq!(open(own(&it, ada, DefaultRole::Person)).await.unwrap_err().code(), "permission_denied");
    let (_, _, page) = open(own(&it, ada, DefaultRole::Member)).await.unwrap();
    assert!(page.contains("Week &#60;1&#62;") && page.contains("<rect") && page.contains("<table"), "{page}");
    assert!(page.contains("What this tile showed was deleted.") && !page.contains("<script"));
}
