//! Programs that people sign in to, and what they hold of a person: one aggregate a grant, so that a refresh token used
//! twice ends all that came of it.

use std::time::Duration;

use kernel::{
    Aggregate, ClientId, Cx, Life, Problem, ProblemKind, ScopeKind, SessionId, Term, Timestamp, UserId, id_kind,
    text::DisplayName,
};
use serde::{Deserialize, Serialize};

use crate::secret;

id_kind!(
    /// What a program holds of a person.
    GrantId, GrantKind, "gra"
);

/// A registered program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Client {
    pub(crate) id: ClientId,
    pub(crate) name: DisplayName,
    pub(crate) redirect_uris: Vec<String>,
}

impl Aggregate for Client {
    type Id = ClientId;
    const KIND: &'static str = "identity.client";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> ClientId {
        self.id
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::new("all", "")]
    }
}

/// The code is good for a minute (RFC 6749, section 4.1.2 says ten at most).
const CODE: Duration = Duration::from_mins(1);
pub(crate) const ACCESS: Duration = Duration::from_mins(15);
const REFRESH: Duration = Duration::from_hours(30 * 24);
/// A refresh whose answer was lost may be sent again for so long.
const GRACE: Duration = Duration::from_secs(10);
/// How many refresh tokens of before are known again.
const REMEMBERED: usize = 50;

/// What was asked for when the person came to sign in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) client: ClientId,
    pub(crate) redirect_uri: String,
    pub(crate) scope: String,
    pub(crate) nonce: Option<String>,
    /// PKCE by S256 (RFC 7636, section 4.2).
    pub(crate) challenge: String,
}

/// A grant: first a code, then tokens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Grant {
    id: GrantId,
    pub(crate) user: UserId,
    /// The person's epoch when the session began.
    #[serde(default)]
    pub(crate) epoch: u64,
    pub(crate) session: SessionId,
    pub(crate) asked: Asked,
    pub(crate) signed_in: Timestamp,
    pub(crate) methods: Vec<String>,
    code: String,
    redeemed: bool,
    access: Vec<(String, Timestamp)>,
    refresh: Option<String>,
    /// The refresh tokens of before, the last first, and when each was changed.
    before: Vec<(String, Timestamp)>,
    ends: Timestamp,
}

/// Tokens as they are given out.
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

/// What a refused exchange means.
pub(crate) enum Refused {
    /// Not good: nothing changes.
    Unknown,
    /// It was used before: whoever holds the other copy may have stolen it, so all of the grant ends.
    Reused,
}

impl Grant {
    pub(crate) fn begin(user: UserId, session: &crate::session::Session, asked: Asked, cx: &Cx) -> (Self, String) {
        let (id, code): (GrantId, _) = (cx.new_id(), secret::fresh(cx));
        let given = format!("{id}.{code}");
        let it = Self {
            id,
            user,
            epoch: session.epoch,
            session: session.id,
            asked,
            signed_in: session.began,
            methods: session.methods.clone(),
            code: secret::hash(&code),
            redeemed: false,
            access: Vec::new(),
            refresh: None,
            before: Vec::new(),
            ends: cx.now() + CODE,
        };
        (it, given)
    }

    fn issue(&mut self, cx: &Cx) -> Tokens {
        let now = cx.now();
        let (access, refresh) = (secret::fresh(cx), secret::fresh(cx));
        self.access.retain(|(_, ends)| *ends > now);
        self.access.push((secret::hash(&access), now + ACCESS));
        if let Some(before) = self.refresh.replace(secret::hash(&refresh)) {
            self.before.insert(0, (before, now));
            self.before.truncate(REMEMBERED);
        }
        self.ends = now + REFRESH;
        Tokens { access: format!("fha_{}.{access}", self.id), refresh: format!("fhr_{}.{refresh}", self.id) }
    }

    /// Redeems the code, once.
    pub(crate) fn redeem(
        &mut self,
        code: &str,
        asked: (&ClientId, &str),
        verifier: &str,
        cx: &Cx,
    ) -> Result<Tokens, Refused> {
        if !secret::matches(code, &self.code) {
            return Err(Refused::Unknown);
        }
        if self.redeemed {
            return Err(Refused::Reused);
        }
        let proof = secret::hash(verifier);
        let proven = (43..=128).contains(&verifier.len())
            && bool::from(subtle::ConstantTimeEq::ct_eq(proof.as_bytes(), self.asked.challenge.as_bytes()));
        if !proven || *asked.0 != self.asked.client || asked.1 != self.asked.redirect_uri || self.ends <= cx.now() {
            return Err(Refused::Unknown);
        }
        self.redeemed = true;
        Ok(self.issue(cx))
    }

    /// Gives new tokens for a refresh token, which is good once.
    pub(crate) fn rotate(&mut self, refresh: &str, client: &ClientId, cx: &Cx) -> Result<Tokens, Refused> {
        if *client != self.asked.client || self.ends <= cx.now() {
            return Err(Refused::Unknown);
        }
        if self.refresh.as_ref().is_some_and(|stored| secret::matches(refresh, stored)) {
            return Ok(self.issue(cx));
        }
        let place = self.before.iter().position(|(stored, _)| secret::matches(refresh, stored));
        match place.and_then(|place| self.before.get(place).map(|(_, changed)| (place, *changed))) {
            Some((0, changed)) if cx.now() < changed + GRACE => {
                let kept = self.before.clone();
                let tokens = self.issue(cx);
                self.before = kept;
                Ok(tokens)
            }
            Some(_) => Err(Refused::Reused),
            None => Err(Refused::Unknown),
        }
    }

    /// Whether a token is one that the grant gave out and that is good now.
    pub(crate) fn knows(&self, token: &str, now: Timestamp) -> bool {
        self.accepts(token, now).is_some() || self.refresh.as_ref().is_some_and(|it| secret::matches(token, it))
    }

    /// Until when an access token is good, if it is.
    pub(crate) fn accepts(&self, access: &str, now: Timestamp) -> Option<Timestamp> {
        self.access.iter().find(|(stored, ends)| *ends > now && secret::matches(access, stored)).map(|(_, ends)| *ends)
    }
}

/// Splits what a caller sent: `prefix_id.secret`.
pub(crate) fn parts<'a, Id: std::str::FromStr>(sent: &'a str, prefix: &str) -> Option<(Id, &'a str)> {
    let (id, secret) = sent.strip_prefix(prefix)?.split_once('.')?;
    Some((id.parse().ok()?, secret))
}

impl Aggregate for Grant {
    type Id = GrantId;
    const KIND: &'static str = "identity.grant";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const LIFE: Life = Life::Ephemeral;

    fn id(&self) -> GrantId {
        self.id
    }

    fn owner(&self) -> Option<UserId> {
        Some(self.user)
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::new("session", self.session.to_string())]
    }

    fn expires(&self) -> Option<Timestamp> {
        Some(self.ends)
    }
}

/// A redirect URI that a program may register: https, or http on loopback for programs on a person's own machine.
pub(crate) fn redirect_uri(text: &str) -> Result<(), Problem> {
    let parsed =
        text.parse::<http::Uri>().ok().filter(|uri| text.len() <= 512 && !text.contains('#') && uri.host().is_some());
    let fits = parsed.is_some_and(|uri| {
        let host = uri.host().unwrap_or_default();
        let loopback = host == "localhost" || host.ends_with(".localhost") || host == "127.0.0.1" || host == "[::1]";
        uri.scheme_str() == Some("https") || (uri.scheme_str() == Some("http") && loopback)
    });
    if fits {
        return Ok(());
    }
    Err(Problem::new(ProblemKind::Invalid, "invalid_request", "a redirect URI is not usable")
        .hint("register https addresses without a fragment, or http on loopback")
        .field("/redirect_uris", "expected https://…, or http:// on loopback"))
}
