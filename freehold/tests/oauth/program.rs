//! Companies with their people, and programs that ask them.

use std::collections::BTreeMap;

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::site::{PASSWORD, Person, Site, unique, until};

pub(crate) const CALLBACK: &str = "https://app.example/callback";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters";

pub(crate) fn url(bytes: &[u8]) -> String {
    data_encoding::BASE64URL_NOPAD.encode(bytes)
}

pub(crate) struct Company<'a> {
    pub(crate) owner: Person<'a>,
    pub(crate) visitor: Person<'a>,
    pub(crate) email: String,
    /// The tenant's id.
    pub(crate) id: String,
}

pub(crate) async fn found<'a>(site: &'a Site, slug: &str) -> Company<'a> {
    let email = unique(slug);
    let (id, owner) = site.company(slug, "Ada Lovelace", &email).await;
    Company { owner, visitor: site.visitor(&format!("{slug}.localhost")), email, id }
}

/// A program that is registered, and how it is asked for tokens.
pub(crate) struct Program<'a> {
    pub(crate) company: &'a Company<'a>,
    pub(crate) id: String,
    pub(crate) secret: Option<String>,
}

impl<'a> Program<'a> {
    pub(crate) async fn registered(company: &'a Company<'a>, more: Value) -> Self {
        let mut asked = json!({ "name": "App", "redirect_uris": [CALLBACK] });
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = company.owner.does("POST", "/v1/clients", asked).await;
        let id = made["client_id"].as_str().unwrap().to_owned();
        Self { company, id, secret: made["client_secret"].as_str().map(str::to_owned) }
    }

    pub(crate) fn path(&self) -> String {
        format!("/v1/clients/{}", self.id)
    }

    /// Sends a person to the authorization endpoint.
    pub(crate) async fn asks(&self, person: &Person<'_>, scope: &str, prompt: &str) -> Response {
        let challenge = url(ring::digest::digest(&ring::digest::SHA256, VERIFIER.as_bytes()).as_ref());
        let query = [
            ("client_id", self.id.as_str()),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", scope),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("prompt", prompt),
        ];
        person.request("GET", &format!("/oauth/authorize?{}", encoded(&query))).send().await.unwrap()
    }

    pub(crate) async fn posts(&self, path: &str, fields: &[(&str, &str)]) -> (StatusCode, Value) {
        let request = self.company.visitor.request("POST", path);
        let mut fields = fields.to_vec();
        let request = if let Some(secret) = &self.secret {
            request.basic_auth(&self.id, Some(secret))
        } else {
            fields.push(("client_id", &self.id));
            request
        };
        let answer = request.form(&fields).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    pub(crate) async fn redeems(&self, code: &str) -> (StatusCode, Value) {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.posts("/oauth/token", &fields).await
    }

    pub(crate) async fn refreshes(&self, token: &Value) -> (StatusCode, Value) {
        let token = token["refresh_token"].as_str().unwrap();
        self.posts("/oauth/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    /// The tokens that a person who allows everything gives it.
    pub(crate) async fn granted(&self, person: &Person<'_>, scope: &str) -> Value {
        let answer = self.asks(person, scope, "").await;
        let answer = if answer.status() == StatusCode::OK { answers(person, answer, "allow").await } else { answer };
        let (status, tokens) = self.redeems(&back(&answer)["code"]).await;
        assert_eq!(status, StatusCode::OK, "{tokens}");
        tokens
    }

    pub(crate) async fn itself(&self) -> (StatusCode, Value) {
        self.posts("/oauth/token", &[("grant_type", "client_credentials")]).await
    }

    pub(crate) async fn introspects(&self, token: &str) -> Value {
        self.posts("/oauth/introspect", &[("token", token)]).await.1
    }
}

pub(crate) fn encoded(pairs: &[(&str, &str)]) -> String {
    let url = reqwest::Url::parse_with_params("http://x/", pairs).unwrap();
    url.query().unwrap().to_owned()
}

/// What a program is told at its address.
pub(crate) fn back(answer: &Response) -> BTreeMap<String, String> {
    let to = answer.headers()["location"].to_str().unwrap();
    assert!(to.starts_with(CALLBACK), "{to}");
    reqwest::Url::parse(to).unwrap().query_pairs().into_owned().collect()
}

/// Presses a button on the consent page.
pub(crate) async fn answers(person: &Person<'_>, page: Response, answer: &str) -> Response {
    let html = page.text().await.unwrap();
    let mut fields: Vec<(String, String)> = html
        .split("type=\"hidden\" name=\"")
        .skip(1)
        .map(|rest| {
            let (name, rest) = rest.split_once("\" value=\"").unwrap();
            (name.to_owned(), rest.split('"').next().unwrap().to_owned())
        })
        .collect();
    fields.push(("answer".to_owned(), answer.to_owned()));
    person.request("POST", "/oauth/authorize").form(&fields).send().await.unwrap()
}

pub(crate) fn access<'a>(of: &Person<'a>, tokens: &Value) -> Person<'a> {
    of.site.visitor(&of.host).with_token(tokens["access_token"].as_str().unwrap())
}

pub(crate) async fn ends(what: &str, person: &Person<'_>, path: &str) {
    until(what, async || {
        let (status, answer) = person.send("GET", path, Value::Null).await;
        (status == StatusCode::UNAUTHORIZED && answer["code"] == "credential_refused").then_some(())
    })
    .await;
}

pub(crate) async fn invite<'a>(company: &Company<'a>) -> (Person<'a>, String) {
    let email = unique("charles");
    let asked = json!({ "email": email, "name": "Charles", "role": "member" });
    company.owner.does("POST", "/v1/invitations", asked).await;
    let link = company.owner.site.link_for(&email).await;
    (company.visitor.follows(&link, PASSWORD).await, email)
}
