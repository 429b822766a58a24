//! The authorization endpoint (OpenID Connect Core 1.0, section 3.1.2; RFC 9700): who signs in, and whether they let the
//! program do what it asks for.

use std::{collections::BTreeMap, sync::Arc};

use accounts::{session::Session, user::User};
use bytes::Bytes;
use forms::http_forms::redirect;
use http::{Method, Request};
use kernel::{Caller, ClientId, Cx, Problem, ProblemKind};
use subtle::ConstantTimeEq;

use super::{Answer, Ask, Sent, get, sent, with_query};
use crate::{
    Federation,
    client::{Client, Party},
    consent::{Consent, ConsentId},
    grant::{Asked, Grant, GrantId},
    scope::{OPENID, Scopes},
    token::{Kind, Token},
};

/// The fields that the consent page adds to what the program sent.
const OWN_FIELDS: [&str; 2] = ["answer", "ticket"];
/// The longest value, but for texts of the program's own (`state`).
const LONGEST: usize = 2048;

/// A request of a known program that can be told what is wrong at its own address.
struct Authorization<'a> {
    sent: &'a Sent,
    client: &'a Client,
    origin: &'a str,
}

impl Authorization<'_> {
    fn get(&self, name: &str) -> &str {
        get(self.sent, name)
    }

    fn prompts(&self, wanted: &str) -> bool {
        self.get("prompt").split(' ').any(|prompt| prompt == wanted)
    }

    /// Sends the person back to the program, with the issuer against mix-ups (RFC 9207).
    fn back(&self, pairs: &[(&str, &str)]) -> Answer {
        let state = [("state", self.get("state")), ("iss", self.origin)];
        let state = state.into_iter().filter(|(_, value)| !value.is_empty());
        let pairs: Vec<_> = pairs.iter().copied().chain(state).collect();
        redirect(&with_query(self.get("redirect_uri"), &pairs))
    }

    /// What it asks for; an error as RFC 6749, section 4.1.2.1, or OpenID Connect Core 1.0, section 3.1.2.6, names it.
    fn asked(&self) -> Result<Asked, &'static str> {
        if self.sent.contains_key("request") {
            return Err("request_not_supported");
        }
        if self.sent.contains_key("request_uri") {
            return Err("request_uri_not_supported");
        }
        if self.get("response_type") != "code" {
            return Err("unsupported_response_type");
        }
        let prompts: Vec<_> = self.get("prompt").split(' ').collect();
        let too_long = |name: &str| self.get(name).len() > LONGEST;
        let challenge = self.get("code_challenge");
        if !matches!(self.get("response_mode"), "" | "query")
            || self.get("code_challenge_method") != "S256"
            || challenge.len() != 43
            || (prompts.contains(&"none") && prompts.len() > 1)
            || ["scope", "nonce", "state", "prompt"].into_iter().any(too_long)
        {
            return Err("invalid_request");
        }
        // What the program may not ask for is left out, and the answer tells what was given.
        let scopes = Scopes::parse(self.get("scope")).within(&self.client.scopes);
        if scopes.is_empty() {
            return Err("invalid_scope");
        }
        Ok(Asked {
            client: self.client.id,
            redirect_uri: self.get("redirect_uri").to_owned(),
            scopes,
            nonce: self.sent.get("nonce").cloned(),
            challenge: challenge.to_owned(),
        })
    }

    /// Whether the person has to show anew who they are.
    fn wants_sign_in(&self, session: &Session, cx: &Cx) -> bool {
        let age = cx.real_now().as_second() - session.began.as_second();
        self.prompts("login") || self.get("max_age").parse::<i64>().is_ok_and(|most| age > most)
    }

    /// To the sign-in page, and then the same request again; a wish to sign in anew is fulfilled by then.
    fn sign_in(&self) -> Answer {
        let prompt = self.get("prompt").split(' ').filter(|prompt| *prompt != "login").collect::<Vec<_>>().join(" ");
        let kept = |name: &str| name != "prompt" && name != "max_age" && !OWN_FIELDS.contains(&name);
        let again: BTreeMap<&str, &str> =
            self.sent.iter().map(|(name, value)| (name.as_str(), value.as_str())).filter(|it| kept(it.0)).collect();
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(again);
        if !prompt.is_empty() {
            query.append_pair("prompt", &prompt);
        }
        redirect(&with_query("/sign-in", &[("return_to", &format!("/oauth/authorize?{}", query.finish()))]))
    }
}

impl Federation {
    pub(crate) async fn authorize(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = sent(&request)?;
        // Whoever is not a known program at a known address is told here, and never sent anywhere.
        let client: ClientId = get(&sent, "client_id").parse().map_err(|_| Problem::not_found("client"))?;
        let client = self.store.at(&cx).load::<Client>(&client).await?;
        if !client.enabled {
            return Err(Problem::not_found("client"));
        }
        if !client.is_called_back_at(get(&sent, "redirect_uri")) {
            return Err(Problem::invalid_field("/redirect_uri", "not one that this program registered"));
        }
        let origin = self.accounts.realm(&cx).await?.origin.clone();
        let it = Authorization { sent: &sent, client: &client, origin: &origin };
        let asked = match it.asked() {
            Ok(asked) => asked,
            Err(error) => return it.back(&[("error", error)]),
        };
        let Some(session) = self.own_session(&cx).await?.filter(|session| !it.wants_sign_in(session, &cx)) else {
            return if it.prompts("none") { it.back(&[("error", "login_required")]) } else { it.sign_in() };
        };
        if client.party == Party::Third {
            let answer = if request.method() == Method::POST { get(&sent, "answer") } else { "" };
            let of = ConsentId { user: session.user, client: client.id };
            if !answer.is_empty() {
                if answer != "allow" {
                    return it.back(&[("error", "access_denied")]);
                }
                self.check_ticket(&session, &sent, &cx).await?;
                self.give_consent(of, &client, &asked.scopes, &cx).await?;
            } else if it.prompts("consent") || !self.has_consent(&of, &asked.scopes, &cx).await? {
                if it.prompts("none") {
                    return it.back(&[("error", "consent_required")]);
                }
                return self.ask_consent(&it, &session, &asked.scopes, &cx).await;
            }
        }
        let id: GrantId = cx.new_id();
        self.store.at(&cx).create(Grant::begin(id, &session, asked, cx.real_now()), ()).await?;
        let code = self.mint(&cx).await?.text(Token { kind: Kind::Code, grant: id, generation: 0 });
        it.back(&[("code", &code)])
    }

    /// The session of the browser that asks.
    pub(super) async fn own_session(&self, cx: &Cx) -> Result<Option<store::Loaded<Session>>, Problem> {
        match cx.caller() {
            Caller::User { session: Some(session), .. } => self.store.at(cx).try_load::<Session>(&session).await,
            _ => Ok(None),
        }
    }

    async fn has_consent(&self, of: &ConsentId, scopes: &Scopes, cx: &Cx) -> Result<bool, Problem> {
        let consent = self.store.at(cx).try_load::<Consent>(of).await?;
        Ok(consent.is_some_and(|consent| consent.scopes.covers(scopes)))
    }

    async fn ask_consent(&self, it: &Authorization<'_>, session: &Session, scopes: &Scopes, cx: &Cx) -> Answer {
        let user = self.store.at(cx).load::<User>(&session.user).await?;
        let ticket = self.ticket(session, it.sent, cx).await?;
        let fields = it.sent.iter().filter(|(name, _)| !OWN_FIELDS.contains(&name.as_str()));
        let mut hidden: Vec<_> = fields.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        hidden.push(("ticket", &ticket));
        let of_person = scopes.iter().filter(|scope| *scope != OPENID || scopes.len() == 1);
        let back: http::Uri = it.get("redirect_uri").parse().map_err(Problem::internal)?;
        Ask {
            title: &format!("Let {} in?", it.client.name),
            text: &format!("You are signed in as {}. {} asks to:", user.email, it.client.name),
            items: self.meanings(of_person).await?,
            note: &format!("You go on to {}. You can take this back at any time.", back.host().unwrap_or_default()),
            action: "/oauth/authorize",
            hidden,
            answers: &[("allow", "Allow"), ("deny", "Do not allow")],
        }
        .page()
    }

    /// Ties an answer to the page that was shown: to this session, and to all that the program asked for.
    pub(super) async fn ticket(&self, session: &Session, sent: &Sent, cx: &Cx) -> Result<String, Problem> {
        let shown: BTreeMap<_, _> = sent.iter().filter(|(name, _)| !OWN_FIELDS.contains(&name.as_str())).collect();
        let shown = form_urlencoded::Serializer::new(String::new()).extend_pairs(shown).finish();
        let key = self.store.keys().scope(cx.scope()).await?;
        Ok(key.blind("identity/ask", &format!("{}|{shown}", session.id)).to_lowercase())
    }

    pub(super) async fn check_ticket(&self, session: &Session, sent: &Sent, cx: &Cx) -> Result<(), Problem> {
        let expected = self.ticket(session, sent, cx).await?;
        if bool::from(expected.as_bytes().ct_eq(get(sent, "ticket").as_bytes())) {
            return Ok(());
        }
        let other = "this answer does not belong to a page that was shown in this session";
        Err(Problem::new(ProblemKind::Denied, "identity.answer_refused", other)
            .hint("go back to the program and begin again"))
    }
}
