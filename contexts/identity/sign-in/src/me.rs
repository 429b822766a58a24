//! What people do about their own sign-in.

use accounts::{
    Done, link, permissions as may,
    session::{Session, reauthentication_required},
    user::{Side, User},
};
use kernel::{Caller, Granted, Handle, List, Problem, ProblemKind, SessionId, Timestamp, text::EmailAddress, use_case};
use proofs::{factor::code_refused, secret};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::{SignIn, steps::Shows};

/// A session of the caller.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SessionView {
    /// Its id.
    pub(crate) id: SessionId,
    /// When it began.
    #[schemars(with = "String")]
    pub(crate) began: Timestamp,
    /// When it ends by itself.
    #[schemars(with = "String")]
    pub(crate) ends: Timestamp,
    /// Whether it is the one that asks.
    pub(crate) current: bool,
}

/// The caller's sessions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListSessions {
    /// Go on after this cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

use_case!(ListSessions => List<SessionView>, "identity.sessions.list", Tenant, may::OWN, Tell);

impl Handle<ListSessions> for SignIn {
    async fn handle(&self, it: ListSessions, cx: Granted<ListSessions>) -> Result<List<SessionView>, Problem> {
        let user = self.store.at(&cx).load::<User>(&cx.user()?).await?;
        let page = Page { after: it.after, newest_first: true, limit: 100 };
        let listed = self.store.at(&cx).list::<Session>("user", &user.id.to_string(), &page).await?;
        let own = match cx.caller() {
            Caller::User { session, .. } => session,
            _ => None,
        };
        let view =
            |it: &Session| SessionView { id: it.id, began: it.began, ends: it.ends, current: own == Some(it.id) };
        let good = listed.items.iter().filter(|it| it.ends > cx.real_now() && user.honours(it.epoch));
        Ok(List { items: good.map(|it| view(it)).collect(), next: listed.next })
    }
}

/// Ends a session of the caller, with all tokens that programs got through it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeSession {
    /// Which.
    session: SessionId,
}

use_case!(RevokeSession => Done, "identity.sessions.revoke", Tenant, may::OWN);

impl Handle<RevokeSession> for SignIn {
    async fn handle(&self, it: RevokeSession, cx: Granted<RevokeSession>) -> Result<Done, Problem> {
        let session = self.store.at(&cx).load::<Session>(&it.session).await?;
        cx.permit(&*session).map_err(|_| Problem::not_found("session"))?;
        self.accounts.end_session(session, &cx).await?;
        Ok(Done {})
    }
}

/// Signs the caller out everywhere: all sessions end at once, this one too, with all that programs hold of them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndAllSessions {}

use_case!(EndAllSessions => Done, "identity.sessions.end_all", Tenant, may::OWN);

impl Handle<EndAllSessions> for SignIn {
    async fn handle(&self, _: EndAllSessions, cx: Granted<EndAllSessions>) -> Result<Done, Problem> {
        let user = cx.user()?;
        let end = |it: &mut User| {
            it.proofs.end_sessions();
            Ok(())
        };
        self.store.at(&cx).change(&user, end).await?;
        self.accounts.end_all_sessions(user, &cx).await?;
        Ok(Done {})
    }
}

/// Shows again who the caller is, by password or code: for 10 minutes the session may do what is sensitive.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prove {
    /// The password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<String>,
    /// Or a code: of the authenticator app, or a recovery code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
}

use_case!(Prove => Done, "identity.prove", Tenant, may::OWN);

fn proof_refused() -> Problem {
    Problem::new(ProblemKind::Refused, "identity.proof_refused", "this is not right")
        .hint("try once more, or ask for a new password")
        .field("/password", "not right")
}

impl Handle<Prove> for SignIn {
    async fn handle(&self, it: Prove, cx: Granted<Prove>) -> Result<Done, Problem> {
        let (store, now) = (self.store.at(&cx), cx.real_now());
        let Caller::User { id, session: Some(session) } = cx.caller() else { return Err(reauthentication_required()) };
        let (shows, refused) = match (&it.password, &it.code) {
            (Some(password), None) => (Shows::Password(password), proof_refused()),
            (None, Some(code)) => (Shows::Code(code), code_refused()),
            _ => return Err(Problem::invalid_field("/password", "expected a password or a code, one of them")),
        };
        let user = store.load::<User>(&id).await?;
        if !self.proves(&*user, &session.to_string(), shows, &cx).await? {
            return Err(refused);
        }
        let prove = |it: &mut Session| {
            it.prove(now);
            Ok(())
        };
        store.change(&session, prove).await?;
        Ok(Done {})
    }
}

/// Chooses a new password: all sessions end, this one too. Takes a proof of the last 10 minutes.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangePassword {
    /// The new password.
    #[schemars(length(min = 15, max = 256))]
    pub(crate) password: String,
}

use_case!(ChangePassword => Done, "identity.password.change", Tenant, may::OWN);

impl Handle<ChangePassword> for SignIn {
    async fn handle(&self, it: ChangePassword, cx: Granted<ChangePassword>) -> Result<Done, Problem> {
        self.accounts.freshly_proven(&cx).await?;
        let (id, stamp) = (cx.user()?, secret::fresh(&cx));
        let user = self.store.at(&cx).load::<User>(&id).await?;
        let hash = self.hash_for(&user, it.password, &cx).await?;
        let change = |user: &mut User| {
            user.proofs.change_password(hash.clone(), stamp.clone());
            Ok(())
        };
        self.store.at(&cx).change(&id, change).await?;
        self.risk.forget_guesses(user.email.as_str(), &cx).await?;
        self.accounts.end_all_sessions(id, &cx).await?;
        Ok(Done {})
    }
}

impl SignIn {
    /// The hash of a password that somebody who is known chooses.
    pub(crate) async fn hash_for(&self, user: &User, password: String, cx: &kernel::Cx) -> Result<String, Problem> {
        let realm = self.accounts.realm(cx).await?;
        let about = [user.email.as_str(), user.name.as_str(), realm.name.as_str()];
        self.passwords.hash(SecretString::from(password), &about, cx).await
    }
}

/// Asks to be reached at another address. Both addresses get a link; once both have agreed, it is changed. Takes a proof of
/// the last 10 minutes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeEmail {
    /// The new address.
    pub(crate) email: EmailAddress,
}

use_case!(ChangeEmail => Done, "identity.email.change", Tenant, may::OWN);

impl Handle<ChangeEmail> for SignIn {
    async fn handle(&self, it: ChangeEmail, cx: Granted<ChangeEmail>) -> Result<Done, Problem> {
        self.accounts.freshly_proven(&cx).await?;
        let (store, stamp, ends) = (self.store.at(&cx), secret::fresh(&cx), cx.real_now() + link::LASTS);
        let user = store.load::<User>(&cx.user()?).await?;
        if !self.risk.keeps_pace(risk::Paced::Mailbox, it.email.as_str()).await? {
            return Err(Problem::new(
                ProblemKind::Limited,
                "identity.mailbox_paced",
                "this mailbox got many mails lately",
            )
            .hint("look into it, or try again in an hour")
            .retry_after(3_600));
        }
        let realm = self.accounts.realm(&cx).await?;
        let leave = link::make_move(&self.store, &cx, (&realm, &user, Side::Leave), (&stamp, ends)).await?;
        let enter = link::make_move(&self.store, &cx, (&realm, &user, Side::Enter), (&stamp, ends)).await?;
        let links = |side: Side| if side == Side::Leave { leave.clone() } else { enter.clone() };
        store.change(&user.id, |user: &mut User| user.move_to(it.email.clone(), stamp.clone(), ends, links)).await?;
        Ok(Done {})
    }
}
