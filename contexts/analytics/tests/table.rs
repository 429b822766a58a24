//! What is recorded, of whom, and what is told of it.

mod fixture;

use std::collections::BTreeMap;

use bytes::Bytes;
use contracts::{analytics::UserActivityRecorded, users::UserErasureRequested};
use facts::{Fact, Facts, Field, Filter, Measure, Query, Test};
use fixture::{Fixture, at};
use http::{Method, Request};
use kernel::{Caller, Cx, DefaultRole, Envelope, Event, Id, OperatorId, ProblemKind, Scope, UserId};
use serde_json::{Value, json};

#[tokio::test]
async fn what_people_do_makes_them_active_once_a_day() {
    let it = Fixture::new();
    let (ada, bob) = (it.person(), it.person());
    let opened = |id: &str, at: &str| json!({ "id": id, "name": "report.opened", "at": at });
    let batch = json!([opened("1", "2026-11-22T23:30:00Z"), opened("2", "2026-11-23T08:00:00Z")]);
    assert_eq!(it.track(ada, batch.clone()).await.unwrap(), json!({ "accepted": 2 }));
    assert_eq!(it.track(ada, batch).await.unwrap(), json!({ "accepted": 2 }));
    // The same ids of another person are other events; and without `at` it is now.
    it.track(bob, json!([opened("1", "2026-11-23T09:00:00Z"), { "id": "2", "name": "report.closed" }])).await.unwrap();
    assert_eq!(it.told(Query::new(Measure::Count)).await, Some(4.0));
    let expected = json!([
        { "day": "2026-11-22", "people": 1 }, { "day": "2026-11-23", "people": 2 }, { "day": "2026-11-24", "people": 1 },
    ]);
    assert_eq!(it.active(json!({})).await.unwrap(), expected);
    let berlin = json!({ "time_zone": "Europe/Berlin", "from": "2026-11-22", "until": "2026-11-24" });
    assert_eq!(it.active(berlin).await.unwrap(), json!([{ "day": "2026-11-23", "people": 2 }]));
}

#[tokio::test]
async fn no_fact_names_a_person_and_pseudonyms_of_tenants_differ() {
    let it = Fixture::new();
    let (ada, event) = (it.person(), json!([{ "id": "1", "name": "report.opened", "labels": { "plan": "team" } }]));
    it.track(ada, event).await.unwrap();
    let pseudonym =
        async |scope| it.store.keys().person(scope, ada).await.unwrap().blind("pseudonym", &ada.to_string());
    let (here, there) = (pseudonym(it.scope).await, pseudonym(it.other).await);
    assert_ne!(here, there);
    it.facts.forget(it.scope, &there).await.unwrap();
    assert_eq!(it.told(Query::new(Measure::Unique)).await, Some(1.0));
    it.facts.forget(it.scope, &here).await.unwrap();
    assert_eq!(it.told(Query::new(Measure::Unique)).await, Some(0.0));
    let labelled = Query { filters: vec![Filter::is(Field::label("plan"), "team")], ..Query::new(Measure::Count) };
    assert_eq!(it.told(labelled).await, Some(1.0));
}

#[tokio::test]
async fn a_batch_with_a_wrong_event_is_refused_as_a_whole() {
    let it = Fixture::new();
    let good = json!({ "id": "1", "name": "report.opened", "at": "2026-11-25T12:00:00Z" });
    let labels: BTreeMap<String, String> = (0..17).map(|it| (it.to_string(), String::new())).collect();
    let cases = [
        (json!([]), "invalid_request"),
        (Value::Array(vec![good.clone(); 1_001]), "invalid_request"),
        (json!([good, { "id": "2", "name": "x", "at": "2026-11-25T12:00:01Z" }]), "analytics.event_in_the_future"),
        (json!([good, { "id": "2", "name": "x", "at": "1969-01-01T00:00:00Z" }]), "invalid_request"),
        (json!([good, { "id": "", "name": "x" }]), "invalid_request"),
        (json!([good, { "id": "x".repeat(65), "name": "x" }]), "invalid_request"),
        (json!([good, { "id": "2", "name": "identity.UserRegistered.v1" }]), "invalid_request"),
        (json!([good, { "id": "2", "name": "x", "labels": labels }]), "invalid_request"),
        (json!([good, { "id": "2", "name": "x", "person": "usr_someone" }]), "invalid_request"),
        (json!([good, { "id": "2", "name": "x", "user": it.person() }]), "invalid_request"),
        (json!([good, { "id": "2", "name": "x", "labels": { "visitor": "yes" } }]), "invalid_request"),
    ];
    for (events, code) in cases {
        let problem = it.track(it.person(), events.clone()).await.unwrap_err();
        assert_eq!(problem.code(), code, "{events}");
    }
    assert_eq!(it.told(Query::new(Measure::Count)).await, None);
    let labelled = json!([good, { "id": "2", "name": "x", "labels": labels }]);
    let document = it.track(it.person(), labelled).await.unwrap_err().document(None);
    assert_eq!(document.errors.first().unwrap().pointer, "/events/1/labels");
    it.track(it.person(), Value::Array(vec![good; 1_000])).await.unwrap();
}

#[tokio::test]
async fn a_domain_event_is_a_fact_of_the_person_who_did_it() {
    let it = Fixture::new();
    let (ada, bob, eve) = (it.person(), it.person(), it.person());
    let operator: OperatorId = it.member().new_id();
    let invited = |id: &str, actor: &str| Envelope {
        r#type: "identity.UserRegistered.v1".to_owned(),
        ..it.event(id, actor, Some(bob))
    };
    for _ in 0..2 {
        it.follow(invited("1", &ada.to_string())).await.unwrap();
    }
    // What services and operators do is about people, and no act of theirs; nor is what a visitor asks for another.
    it.follow(invited("2", &operator.to_string())).await.unwrap();
    it.follow(invited("3", "service:identity")).await.unwrap();
    let asked = Envelope { r#type: "identity.LinkRequested.v1".to_owned(), ..it.event("4", "visitor", Some(bob)) };
    it.follow(asked).await.unwrap();
    // Who signs in is a visitor until it is done.
    let signed_in =
        |id: &str| Envelope { data: json!({ "user": eve, "methods": ["pwd"] }), ..it.event(id, "visitor", None) };
    it.follow(signed_in("5")).await.unwrap();
    let activated = Envelope { r#type: "identity.UserActivated.v1".to_owned(), ..signed_in("6") };
    it.follow(activated).await.unwrap();
    it.follow(Envelope { scope: Scope::Platform, ..it.event("7", &ada.to_string(), None) }).await.unwrap();
    let recorded = Envelope { r#type: UserActivityRecorded::TYPE.to_owned(), ..it.event("8", &ada.to_string(), None) };
    it.follow(recorded).await.unwrap();
    let named = |name: &str, measure| Query { name: Some(name.to_owned()), ..Query::new(measure) };
    assert_eq!(it.told(named("identity.UserRegistered.v1", Measure::Count)).await, Some(3.0));
    assert_eq!(it.told(named("identity.UserRegistered.v1", Measure::Unique)).await, Some(1.0));
    assert_eq!(it.told(named("identity.LinkRequested.v1", Measure::Unique)).await, Some(0.0));
    assert_eq!(it.told(named("identity.UserAuthenticated.v1", Measure::Unique)).await, Some(1.0));
    assert_eq!(it.told(Query::new(Measure::Count)).await, Some(6.0));
    it.track(ada, json!([{ "id": "1", "name": "report.opened", "at": "2026-11-23T11:00:00Z" }])).await.unwrap();
    assert_eq!(it.active(json!({})).await.unwrap(), json!([{ "day": "2026-11-23", "people": 2 }]));
    let platform = it.facts.query(Scope::Platform, Query::new(Measure::Count)).await.unwrap();
    assert_eq!(platform, []);
}

#[tokio::test]
async fn an_erased_person_has_no_facts_and_a_key_that_is_gone_names_nobody() {
    let it = Fixture::new();
    let (ada, bob) = (it.person(), it.person());
    for person in [ada, bob] {
        it.track(person, json!([{ "id": "1", "name": "report.opened" }])).await.unwrap();
    }
    let export = async |cx: Cx, user: UserId| {
        let operation = it.context.internal.iter().find(|it| it.name == "analytics.person.export").unwrap();
        let told = operation.run(json!({ "user": user }), cx).await?;
        Ok::<Value, kernel::Problem>(serde_json::from_slice(&told).unwrap())
    };
    let own = |id| it.cx(Caller::User { id, session: None }, DefaultRole::Person);
    let told = json!({ "activity": [{ "from": "2026-11-24", "name": "report.opened", "count": 1.0 }] });
    assert_eq!(export(own(ada), ada).await.unwrap(), told);
    assert_eq!(export(own(bob), ada).await.unwrap_err().code(), "permission_denied");
    let reaction = it.context.reactions.iter().find(|it| it.name == "erase_person").unwrap();
    let data = serde_json::to_value(UserErasureRequested { user: ada }).unwrap();
    let envelope =
        Envelope { r#type: UserErasureRequested::TYPE.to_owned(), data, ..it.event("1", "service:users", None) };
    for _ in 0..2 {
        reaction.run(envelope.clone(), it.service()).await.unwrap();
    }
    assert_eq!(it.told(Query::new(Measure::Unique)).await, Some(1.0), "of bob alone");
    assert_eq!(it.told(Query::new(Measure::Count)).await, Some(2.0), "and the facts count as they did");
    let confirmed = it.confirmed.0.lock().unwrap().clone();
    assert!(confirmed.len() == 2 && confirmed.iter().all(|it| it.user == ada && it.context == "analytics"));
    it.store.keys().destroy_person(it.scope, ada).await.unwrap();
    let signed_in = Envelope { data: json!({ "user": ada, "methods": [] }), ..it.event("2", "visitor", None) };
    it.follow(signed_in).await.unwrap();
    assert_eq!(it.told(Query::new(Measure::Unique)).await, Some(1.0), "who is erased is nobody");
    assert_eq!(export(it.cx(Caller::Service { name: "users" }, DefaultRole::Owner), ada).await.unwrap(), json!({}));
}

#[tokio::test]
async fn being_active_is_told_once_a_day() {
    let it = Fixture::new();
    let ada = it.person();
    for id in ["1", "2"] {
        it.track(ada, json!([{ "id": id, "name": "report.opened" }])).await.unwrap();
    }
    it.later(std::time::Duration::from_hours(24)).await;
    it.track(ada, json!([{ "id": "3", "name": "report.opened" }])).await.unwrap();
    let told = it.events::<UserActivityRecorded>().await;
    let mut days: Vec<_> = told.iter().map(|it| (it.user, it.day.as_str())).collect();
    days.sort_by_key(|it| it.1);
    assert_eq!(days, [(ada, "2026-11-24"), (ada, "2026-11-25")]);
}

#[tokio::test]
async fn a_program_says_who_did_it() {
    let it = Fixture::new();
    let (ada, bob) = (it.person(), it.person());
    let key = || it.cx(Caller::ApiKey { id: Id::from_uuid(ada.uuid()) }, DefaultRole::Person);
    let events = json!({ "session": "visit-7", "events": [
        { "id": "1", "name": "order.placed", "user": ada, "value": 12.5 },
        { "id": "1", "name": "order.placed", "user": bob, "value": 7.5 },
        { "id": "1", "name": "backup.made" },
    ] });
    for _ in 0..2 {
        it.ask(key(), Method::POST, "/v1/events", events.clone()).await.unwrap();
    }
    assert_eq!(it.told(Query::new(Measure::Count)).await, Some(3.0), "ids are apart for each person and the program");
    assert_eq!(it.told(Query::new(Measure::Unique)).await, Some(2.0));
    let orders = Query { name: Some("order.placed".to_owned()), ..Query::new(Measure::Sum) };
    assert_eq!(it.told(orders).await, Some(20.0));
    let session = vec![Filter::is(Field::label("session"), "visit-7")];
    assert_eq!(it.told(Query { filters: session, ..Query::new(Measure::Count) }).await, Some(3.0));
    assert_eq!(it.events::<UserActivityRecorded>().await.len(), 2);
    // The person's own event of the same id is the same event.
    it.track(ada, json!([{ "id": "1", "name": "order.placed" }])).await.unwrap();
    assert_eq!(it.told(Query::new(Measure::Count)).await, Some(3.0));
}

#[tokio::test]
async fn visitors_count_where_the_tenant_wants_that_and_are_others_every_day() {
    let it = Fixture::new();
    let visit = async |id: &str, address: &str| {
        let body = json!({ "events": [{ "id": id, "name": "page.seen" }] }).to_string();
        let mut request = Request::post("/v1/events/visits")
            .header("content-type", "application/json")
            .header("user-agent", "Browser/1")
            .body(Bytes::from(body))
            .unwrap();
        request.extensions_mut().insert(address.parse::<std::net::SocketAddr>().unwrap());
        it.get("/v1/events/visits", request, it.cx(Caller::Visitor, DefaultRole::Visitor)).await
    };
    let refused = visit("1", "192.0.2.1:1000").await.unwrap_err();
    assert_eq!(refused.code(), "analytics.visitors_not_counted");
    let settings = json!({ "time_zone": "Europe/Berlin", "visitors": true });
    let owner = it.cx(Caller::User { id: it.person(), session: None }, DefaultRole::Owner);
    it.ask(owner, Method::PUT, "/v1/analytics/settings", settings).await.unwrap();
    for (id, address) in [("1", "192.0.2.1:1000"), ("2", "192.0.2.1:2000"), ("1", "192.0.2.2:1000")] {
        visit(id, address).await.unwrap();
    }
    assert_eq!(it.told(Query::new(Measure::Unique)).await, Some(2.0), "by address and browser");
    it.later(std::time::Duration::from_hours(24)).await;
    visit("3", "192.0.2.1:1000").await.unwrap();
    assert_eq!(it.told(Query::new(Measure::Unique)).await, Some(3.0), "another one the next day");
    assert_eq!(it.told(Query::new(Measure::Count)).await, Some(4.0));
    assert_eq!(it.active(json!({})).await.unwrap(), json!([]), "visitors are no people of the tenant");
    let visitor = Filter { field: Field::label("visitor"), test: Test::Present, not: false };
    assert_eq!(it.told(Query { filters: vec![visitor], ..Query::new(Measure::Count) }).await, Some(4.0));
}

#[tokio::test]
async fn what_is_older_than_the_tenant_wants_is_removed() {
    let it = Fixture::new();
    let day = |id: &str, day: &str| json!({ "id": id, "name": "a", "at": format!("2026-{day}T12:00:00Z") });
    it.track(it.person(), json!([day("1", "10-24"), day("2", "10-26"), day("3", "11-24")])).await.unwrap();
    let owner = || it.cx(Caller::User { id: it.person(), session: None }, DefaultRole::Owner);
    let settings = json!({ "time_zone": "UTC", "retention_days": 30 });
    let member = it.ask(it.member(), Method::PUT, "/v1/analytics/settings", settings.clone()).await.unwrap_err();
    assert_eq!(member.code(), "permission_denied");
    it.ask(owner(), Method::PUT, "/v1/analytics/settings", settings).await.unwrap();
    assert_eq!(it.later(std::time::Duration::ZERO).await, ["analytics.settings"]);
    assert_eq!(it.told(Query::new(Measure::Count)).await, Some(2.0));
    assert!(it.later(std::time::Duration::from_hours(1)).await.is_empty(), "it is looked at once a day");
    it.later(std::time::Duration::from_hours(47)).await;
    assert_eq!(it.told(Query::new(Measure::Count)).await, Some(1.0));
}

#[tokio::test]
async fn nothing_is_recorded_once_the_tenants_keys_are_destroyed() {
    let it = Fixture::new();
    it.store.keys().destroy_scope(it.scope).await.unwrap();
    let gone = it.track(it.person(), json!([{ "id": "1", "name": "report.opened" }])).await.unwrap_err();
    assert_eq!(gone.kind(), ProblemKind::Gone);
    let gone = it.follow(it.event("1", &it.person().to_string(), None)).await.unwrap_err();
    assert_eq!(gone.kind(), ProblemKind::Gone);
    assert_eq!(it.told(Query::new(Measure::Count)).await, None);
}

#[tokio::test]
async fn a_report_is_any_question_and_sees_its_tenant_only() {
    let it = Fixture::new();
    let fact = |scope, id: &str, value| Fact {
        id: id.to_owned(),
        scope,
        name: "export.done".to_owned(),
        at: at("2026-11-23T10:00:00Z"),
        person: None,
        value,
        labels: [("plan".to_owned(), "team".to_owned())].into(),
    };
    it.facts.append(vec![fact(it.scope, "1", 2.0), fact(it.scope, "2", 4.0), fact(it.other, "1", 9.0)]).await.unwrap();
    let report = async |query| it.ask(it.member(), Method::POST, "/v1/analytics/reports/query", query).await;
    let query = json!({ "measure": "average", "name": "export.done", "bucket": "week", "group_by": ["label.plan"] });
    let expected = json!([{ "bucket": "2026-11-23T00:00:00Z", "groups": ["team"], "value": 3.0 }]);
    assert_eq!(report(query).await.unwrap(), expected);
    let p95 = json!({ "measure": { "percentile": 95 }, "time_zone": "Europe/Berlin" });
    assert_eq!(report(p95).await.unwrap(), json!([{ "bucket": null, "value": 4.0 }]));
    for refused in [
        json!({}),
        json!({ "measure": "median" }),
        json!({ "measure": { "percentile": 101 } }),
        json!({ "measure": "count", "time_zone": "Mars/Olympus" }),
        json!({ "measure": "count", "scope": "platform" }),
        json!({ "measure": "count", "period": { "days": 7, "from": "2026-11-01T00:00:00Z" } }),
        json!({ "measure": "count", "period": { "days": 0 } }),
        json!({ "measure": "count", "filters": [{ "field": "person", "test": { "is": "X" } }] }),
        json!({ "measure": "count", "group_by": ["person"] }),
    ] {
        assert_eq!(report(refused.clone()).await.unwrap_err().code(), "invalid_request", "{refused}");
    }
    let earlier =
        json!({ "measure": "count", "period": { "until": "2026-11-23T00:00:00Z", "from": "2026-11-01T00:00:00Z" } });
    assert_eq!(report(earlier).await.unwrap(), json!([]));
    let someone = json!({ "measure": "count", "filters": [{ "field": "person", "test": "present" }] });
    assert_eq!(report(someone).await.unwrap(), json!([]), "whether there is a person can be told");
}

#[tokio::test]
async fn active_people_come_as_a_sheet_too() {
    let it = Fixture::new();
    it.track(it.person(), json!([{ "id": "1", "name": "a", "at": "2026-11-22T23:30:00Z" }])).await.unwrap();
    let (_, headers, sheet) = it.sheet("time_zone=Europe%2FBerlin&from=2026-11-01", it.member()).await.unwrap();
    assert_eq!(sheet, "day,people\r\n2026-11-23,1\r\n");
    assert!(headers[http::header::CONTENT_TYPE].to_str().unwrap().starts_with("text/csv"));
    for refused in
        ["from=2026-11-31", "from=2026-11-01&from=2026-11-02", "day=2026-11-01", "until=2020-01-01&from=2020-01-01"]
    {
        assert_eq!(it.sheet(refused, it.member()).await.unwrap_err().code(), "invalid_request", "{refused}");
    }
    let person = it.cx(Caller::User { id: it.person(), session: None }, DefaultRole::Person);
    assert_eq!(it.sheet("", person).await.unwrap_err().code(), "permission_denied");
}

#[tokio::test]
async fn days_are_bounded_and_reports_are_for_members() {
    let it = Fixture::new();
    let (year, more) = ("2025-11-23", "2025-11-22");
    it.active(json!({ "from": year, "until": "2026-11-24" })).await.unwrap();
    for refused in [
        json!({ "from": more, "until": "2026-11-24" }),
        json!({ "from": "2026-11-24", "until": "2026-11-24" }),
        json!({ "from": "2026-11-25" }),
        json!({ "time_zone": "nowhere" }),
    ] {
        assert_eq!(it.active(refused.clone()).await.unwrap_err().code(), "invalid_request", "{refused}");
    }
    let person = || it.cx(Caller::User { id: it.person(), session: None }, DefaultRole::Person);
    for (method, path) in [(Method::GET, "/v1/analytics/active-people"), (Method::POST, "/v1/analytics/reports/query")]
    {
        let denied = it.ask(person(), method, path, json!({})).await.unwrap_err();
        assert_eq!(denied.code(), "permission_denied", "{path}");
    }
    let visitor = it.cx(Caller::Visitor, DefaultRole::Visitor);
    let refused = it.ask(visitor, Method::POST, "/v1/events", json!({ "events": [] })).await.unwrap_err();
    assert_eq!(refused.code(), "sign_in_required");
}
