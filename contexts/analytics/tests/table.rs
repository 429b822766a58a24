//! The context through its own table, on the model of facts.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use facts::{Bucket, Fact, Facts, Measure, Query, model::ModelFacts};
use http::{Method, Request};
use kernel::{
    Caller, Catalogue, Context, Cx, DefaultRole, Envelope, Id, OperatorId, Problem, ProblemKind, Scope, Target,
    Timestamp, UserId,
    context::{Body, Input},
    cx::Ambient,
    entropy::SystemEntropy,
    time::ManualClock,
};
use keys::{KeyError, Keyring, Keys, Wrapped, WrappedKeys};
use serde_json::{Value, json};
use store::{Store, model::ModelEngine};

#[derive(Default)]
struct Kept(Mutex<BTreeMap<String, Wrapped>>);

#[async_trait]
impl WrappedKeys for Kept {
    async fn get(&self, name: &str) -> Result<Option<Wrapped>, KeyError> {
        Ok(self.0.lock().expect("no test panics here").get(name).cloned())
    }
    async fn add(&self, name: &str, key: Vec<u8>) -> Result<Wrapped, KeyError> {
        let mut kept = self.0.lock().expect("no test panics here");
        Ok(kept.entry(name.to_owned()).or_insert(Wrapped::Key(key)).clone())
    }
    async fn destroy(&self, name: &str) -> Result<(), KeyError> {
        self.0.lock().expect("no test panics here").insert(name.to_owned(), Wrapped::Destroyed);
        Ok(())
    }
}

struct Fixture {
    _folder: tempfile::TempDir,
    store: Store,
    facts: Arc<ModelFacts>,
    context: Context,
    ambient: Ambient,
    scope: Scope,
    other: Scope,
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

impl Fixture {
    /// It is noon (UTC) on 24 November 2026.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(ManualClock::at(at("2026-11-24T12:00:00Z")));
        let ambient = Ambient::new(clock, Arc::new(SystemEntropy::default()));
        let keyring = Keyring::open(&folder.path().join("keyring"), &*ambient.entropy).expect("a keyring");
        let keys = Keys::new(keyring, Arc::new(Kept::default()), Arc::clone(&ambient.entropy));
        let store = Store::new(Arc::new(ModelEngine::default()), keys);
        let facts = Arc::new(ModelFacts::default());
        let context = freehold_analytics::context(store.clone(), Arc::clone(&facts) as _);
        let platform = Cx::verified(Scope::Platform, Caller::Visitor, kernel::Grants::default(), &ambient);
        let (scope, other) = (Scope::Tenant(platform.new_id()), Scope::Tenant(platform.new_id()));
        Self { _folder: folder, store, facts, context, ambient, scope, other }
    }

    fn cx(&self, caller: Caller, role: DefaultRole) -> Cx {
        let catalogue = Catalogue::new(self.context.permissions.iter().copied());
        Cx::verified(self.scope, caller, catalogue.grants(&[role]), &self.ambient)
    }

    fn person(&self) -> UserId {
        self.cx(Caller::Visitor, DefaultRole::Visitor).new_id()
    }

    fn target(&self, method: &Method, path: &str) -> &Target {
        let route = self.context.routes.iter().find(|it| it.method == *method && it.path == path);
        &route.expect("a route of the table").target
    }

    async fn ask(&self, cx: Cx, method: Method, path: &str, input: Value) -> Result<Value, Problem> {
        let Target::UseCase(operation) = self.target(&method, path) else { unreachable!("{path} is no use case") };
        let answer = operation.run(Input::Value(input), cx).await?;
        Ok(serde_json::from_slice(&answer).expect("an answer is JSON"))
    }

    async fn track(&self, person: UserId, events: Value) -> Result<Value, Problem> {
        let cx = self.cx(Caller::User { id: person, session: None }, DefaultRole::Person);
        self.ask(cx, Method::POST, "/v1/events", json!({ "events": events })).await
    }

    async fn active(&self, input: Value) -> Result<Value, Problem> {
        self.ask(self.member(), Method::GET, "/v1/analytics/active-people", input).await
    }

    fn member(&self) -> Cx {
        self.cx(Caller::User { id: self.person(), session: None }, DefaultRole::Member)
    }

    async fn sheet(&self, query: &str, cx: Cx) -> Result<(http::HeaderMap, String), Problem> {
        let path = "/v1/analytics/active-people.csv";
        let Target::Endpoint(endpoint) = self.target(&Method::GET, path) else { unreachable!("{path} is no endpoint") };
        let request = Request::get(format!("{path}?{query}")).body(bytes::Bytes::new()).expect("a request");
        let (parts, body) = endpoint.run(request, cx).await?.into_parts();
        let Body::Full(body) = body else { unreachable!("a sheet comes whole") };
        Ok((parts.headers, String::from_utf8(body.to_vec()).expect("a sheet is text")))
    }

    async fn follow(&self, envelope: Envelope) -> Result<(), Problem> {
        let reaction = self.context.reactions.iter().find(|it| it.name == "facts").expect("the reaction");
        assert_eq!(reaction.on, "*");
        let cx = self.cx(Caller::Service { name: "analytics" }, DefaultRole::Service);
        reaction.run(envelope, cx).await
    }

    fn event(&self, id: &str, actor: &str, person: Option<UserId>) -> Envelope {
        Envelope {
            specversion: "1.0".to_owned(),
            id: id.to_owned(),
            source: "freehold/identity".to_owned(),
            r#type: "identity.UserAuthenticated.v1".to_owned(),
            subject: "identity.user/x".to_owned(),
            time: at("2026-11-23T10:00:00Z"),
            scope: self.scope,
            sequence: 1,
            traceparent: String::new(),
            correlationid: String::new(),
            causationid: None,
            actor: actor.to_owned(),
            person,
            data: json!({}),
        }
    }

    async fn told(&self, query: Query) -> Option<f64> {
        self.facts.query(self.scope, query).await.expect("an answer").first().map(|row| row.value)
    }
}

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
    let pseudonym = async |scope| it.store.keys().scope(scope).await.unwrap().blind("pseudonym", &ada.to_string());
    let (here, there) = (pseudonym(it.scope).await, pseudonym(it.other).await);
    assert_ne!(here, there);
    it.facts.forget(it.scope, &there).await.unwrap();
    assert_eq!(it.told(Query::new(Measure::Unique)).await, Some(1.0));
    it.facts.forget(it.scope, &here).await.unwrap();
    assert_eq!(it.told(Query::new(Measure::Unique)).await, Some(0.0));
    let labelled = Query { labels: [("plan".to_owned(), "team".to_owned())].into(), ..Query::new(Measure::Count) };
    assert_eq!(it.told(labelled).await, Some(1.0));
}

#[tokio::test]
async fn a_batch_with_a_wrong_event_is_refused_as_a_whole() {
    let it = Fixture::new();
    let good = json!({ "id": "1", "name": "report.opened", "at": "2026-11-25T12:00:00Z" });
    let labels: BTreeMap<String, String> = (0..17).map(|it| (it.to_string(), String::new())).collect();
    let cases = [
        (json!([]), "invalid_request"),
        (Value::Array(vec![good.clone(); 501]), "invalid_request"),
        (json!([good, { "id": "2", "name": "x", "at": "2026-11-25T12:00:01Z" }]), "analytics.event_in_the_future"),
        (json!([good, { "id": "2", "name": "x", "at": "1969-01-01T00:00:00Z" }]), "invalid_request"),
        (json!([good, { "id": "", "name": "x" }]), "invalid_request"),
        (json!([good, { "id": "x".repeat(65), "name": "x" }]), "invalid_request"),
        (json!([good, { "id": "2", "name": "identity.UserRegistered.v1" }]), "invalid_request"),
        (json!([good, { "id": "2", "name": "x", "labels": labels }]), "invalid_request"),
        (json!([good, { "id": "2", "name": "x", "person": "usr_someone" }]), "invalid_request"),
    ];
    for (events, code) in cases {
        let problem = it.track(it.person(), events.clone()).await.unwrap_err();
        assert_eq!(problem.code(), code, "{events}");
    }
    assert_eq!(it.told(Query::new(Measure::Count)).await, None);
    let labelled = json!([good, { "id": "2", "name": "x", "labels": labels }]);
    let document = it.track(it.person(), labelled).await.unwrap_err().document(None);
    assert_eq!(document.errors.first().unwrap().pointer, "/events/1/labels");
    it.track(it.person(), Value::Array(vec![good; 500])).await.unwrap();
}

#[tokio::test]
async fn a_domain_event_is_a_fact_of_who_did_it_else_of_whom_it_is_about() {
    let it = Fixture::new();
    let (ada, bob) = (it.person(), it.person());
    let operator: OperatorId = it.member().new_id();
    for _ in 0..2 {
        it.follow(it.event("1", &ada.to_string(), Some(bob))).await.unwrap();
    }
    it.follow(it.event("2", &operator.to_string(), Some(ada))).await.unwrap();
    it.follow(it.event("3", "service:users", None)).await.unwrap();
    it.follow(Envelope { scope: Scope::Platform, ..it.event("4", &ada.to_string(), None) }).await.unwrap();
    let named = |measure| Query { name: Some("identity.UserAuthenticated.v1".to_owned()), ..Query::new(measure) };
    assert_eq!(it.told(named(Measure::Count)).await, Some(3.0));
    assert_eq!(it.told(named(Measure::Unique)).await, Some(1.0));
    it.track(ada, json!([{ "id": "1", "name": "report.opened", "at": "2026-11-23T11:00:00Z" }])).await.unwrap();
    assert_eq!(it.active(json!({})).await.unwrap(), json!([{ "day": "2026-11-23", "people": 1 }]));
    let platform = it.facts.query(Scope::Platform, Query::new(Measure::Count)).await.unwrap();
    assert_eq!(platform, []);
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
    let query = json!({ "measure": "average", "name": "export.done", "bucket": "week", "group_by": "plan" });
    let expected = json!([{ "bucket": "2026-11-23T00:00:00Z", "group": "team", "value": 3.0 }]);
    assert_eq!(report(query).await.unwrap(), expected);
    let p95 = json!({ "measure": { "percentile": 95 }, "time_zone": "Europe/Berlin" });
    assert_eq!(report(p95).await.unwrap(), json!([{ "bucket": null, "group": null, "value": 4.0 }]));
    for refused in [
        json!({}),
        json!({ "measure": "median" }),
        json!({ "measure": { "percentile": 101 } }),
        json!({ "measure": "count", "time_zone": "Mars/Olympus" }),
        json!({ "measure": "count", "scope": "platform" }),
    ] {
        assert_eq!(report(refused.clone()).await.unwrap_err().code(), "invalid_request", "{refused}");
    }
    let whole = Query { bucket: Some(Bucket::Day), ..Query::new(Measure::Sum) };
    let written = report(serde_json::to_value(whole).unwrap()).await.unwrap();
    assert_eq!(written, json!([{ "bucket": "2026-11-23T00:00:00Z", "group": null, "value": 6.0 }]));
}

#[tokio::test]
async fn active_people_come_as_a_sheet_too() {
    let it = Fixture::new();
    it.track(it.person(), json!([{ "id": "1", "name": "a", "at": "2026-11-22T23:30:00Z" }])).await.unwrap();
    let (headers, sheet) = it.sheet("time_zone=Europe%2FBerlin&from=2026-11-01", it.member()).await.unwrap();
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
    let key = it.cx(Caller::ApiKey { id: Id::from_uuid(it.person().uuid()) }, DefaultRole::Member);
    let events = json!({ "events": [{ "id": "1", "name": "a" }] });
    assert_eq!(it.ask(key, Method::POST, "/v1/events", events).await.unwrap_err().code(), "person_required");
}
