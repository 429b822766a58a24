//! What people change about identities, through use cases.

use contracts::{identity::LinkPurpose, tenants::ReserveSeat};
use kernel::{
    DefaultRole, Effect, Granted, Handle, Permission, Problem, ScopeKind, SessionId, Timestamp, UseCase, UserId,
    text::{DisplayName, EmailAddress},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::{Identity, link, permissions as may, realm::Realm, secret, session::Session, user::User};

/// Nothing but that it was done.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Done {}

macro_rules! use_case {
    ($name:ident -> $output:ty, $use_case:literal, $needs:ident $(, $effect:ident)?) => {
        impl UseCase for $name {
            type Output = $output;
            const NAME: &'static str = $use_case;
            const SCOPE: ScopeKind = ScopeKind::Tenant;
            const NEEDS: Permission = may::$needs;
            $(const EFFECT: Effect = Effect::$effect;)?
        }
    };
}

/// Invites a person: takes a seat and mails a link.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Invite {
    /// Where the person is reached.
    email: EmailAddress,
    /// What the person is called.
    name: DisplayName,
    /// What the person may do from the start: `member`, `admin`.
    role: InvitedRole,
}

/// The roles that an invitation can carry.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InvitedRole {
    /// Works in the tenant.
    Member,
    /// Runs its daily business.
    Admin,
}

/// A person with their roles.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RolesView {
    /// Who.
    pub(crate) user: UserId,
    /// Their roles.
    pub(crate) roles: Vec<String>,
}

impl From<&User> for RolesView {
    fn from(it: &User) -> Self {
        Self { user: it.id, roles: it.roles.iter().map(|role| role.name().to_owned()).collect() }
    }
}

use_case!(Invite -> RolesView, "identity.invite", INVITE);

impl Handle<Invite> for Identity {
    async fn handle(&self, it: Invite, cx: Granted<Invite>) -> Result<RolesView, Problem> {
        // To make someone an admin is to give a role, however they come in.
        if matches!(it.role, InvitedRole::Admin) && cx.grants().of(may::ROLES_UPDATE).is_none() {
            return Err(cx.refusal(may::ROLES_UPDATE.name()));
        }
        let id: UserId = cx.new_id();
        // First the seat, under the person's id: a crash after it leaves a reservation that ends by itself.
        self.calls.call(ReserveSeat { user: id }, &cx).await?;
        let role = match it.role {
            InvitedRole::Member => DefaultRole::Member,
            InvitedRole::Admin => DefaultRole::Admin,
        };
        let realm = self.realm(&cx).await?;
        let (user, registered) = User::invite(id, (it.email, it.name), vec![role], secret::fresh(&cx));
        let link = link::make(&self.store, &cx, &realm, &user, LinkPurpose::Invite).await?;
        let asked = user.link(LinkPurpose::Invite, link);
        let stored = self.store.at(&cx).create(user, vec![registered.into(), asked.into()]).await?;
        Ok((&*stored).into())
    }
}

/// Gives a person roles, in place of those of before.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssignRoles {
    /// Who.
    user: UserId,
    /// All the roles from now on: `member`, `admin`, `owner`.
    roles: Vec<String>,
}

use_case!(AssignRoles -> RolesView, "identity.roles.assign", ROLES_UPDATE);

impl Handle<AssignRoles> for Identity {
    async fn handle(&self, it: AssignRoles, cx: Granted<AssignRoles>) -> Result<RolesView, Problem> {
        let named = |name: &String| DefaultRole::ALL.into_iter().find(|role| role.name() == name);
        let known: Option<Vec<_>> = it.roles.iter().map(named).collect();
        let known = known.ok_or_else(|| Problem::invalid_field("/roles", "expected: member, admin, owner"))?;
        // Who gives their own away could lock everyone out.
        if cx.caller().user() == Some(it.user) && !known.contains(&DefaultRole::Owner) {
            return Err(Problem::new(
                kernel::ProblemKind::Refused,
                "identity.own_role",
                "you cannot stop being an owner yourself",
            )
            .hint("make someone else an owner, who can then change your roles"));
        }
        let changed = self.store.at(&cx).change(&it.user, |user: &mut User| user.assign(known.clone())).await?;
        Ok((&*changed).into())
    }
}

/// The roles of a person.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadRoles {
    /// Who.
    user: UserId,
}

use_case!(ReadRoles -> RolesView, "identity.roles.read", ROLES_READ, Tell);

impl Handle<ReadRoles> for Identity {
    async fn handle(&self, it: ReadRoles, cx: Granted<ReadRoles>) -> Result<RolesView, Problem> {
        Ok((&*self.store.at(&cx).load::<User>(&it.user).await?).into())
    }
}

/// A session of the caller.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SessionView {
    /// Its id.
    id: SessionId,
    /// When it began.
    #[schemars(with = "String")]
    began: Timestamp,
    /// When it ends by itself.
    #[schemars(with = "String")]
    ends: Timestamp,
    /// Whether it is the one that asks.
    current: bool,
}

/// The caller's sessions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListSessions {}

/// Sessions, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SessionList {
    items: Vec<SessionView>,
}

use_case!(ListSessions -> SessionList, "identity.sessions.list", OWN, Tell);

impl Handle<ListSessions> for Identity {
    async fn handle(&self, _: ListSessions, cx: Granted<ListSessions>) -> Result<SessionList, Problem> {
        let page = Page { newest_first: true, limit: 200, ..Page::default() };
        let listed = self.store.at(&cx).list::<Session>("user", &cx.user()?.to_string(), &page).await?;
        let own = match cx.caller() {
            kernel::Caller::User { session, .. } => session,
            _ => None,
        };
        let view =
            |it: &Session| SessionView { id: it.id, began: it.began, ends: it.ends, current: own == Some(it.id) };
        let fresh = listed.items.iter().filter(|it| it.ends > cx.now());
        Ok(SessionList { items: fresh.map(|it| view(it)).collect() })
    }
}

/// Ends a session of the caller, with all tokens that programs got through it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeSession {
    /// Which.
    session: SessionId,
}

use_case!(RevokeSession -> Done, "identity.sessions.revoke", OWN);

impl Handle<RevokeSession> for Identity {
    async fn handle(&self, it: RevokeSession, cx: Granted<RevokeSession>) -> Result<Done, Problem> {
        let session = self.store.at(&cx).load::<Session>(&it.session).await?;
        cx.permit(&*session).map_err(|_| Problem::not_found("session"))?;
        self.end_session(session, &cx).await?;
        Ok(Done {})
    }
}

/// Signs the caller out everywhere: all sessions end at once, this one too, with all that programs hold of them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndAllSessions {}

use_case!(EndAllSessions -> Done, "identity.sessions.end_all", OWN);

impl Handle<EndAllSessions> for Identity {
    async fn handle(&self, _: EndAllSessions, cx: Granted<EndAllSessions>) -> Result<Done, Problem> {
        let user = cx.user()?;
        let end = |it: &mut User| {
            it.end_sessions();
            Ok(())
        };
        self.store.at(&cx).change(&user, end).await?;
        self.end_all_sessions(user, &cx).await?;
        Ok(Done {})
    }
}

impl Identity {
    pub(crate) async fn end_session(&self, session: store::Loaded<Session>, cx: &kernel::Cx) -> Result<(), Problem> {
        // What programs got through it looks for it whenever it is used.
        self.store.at(cx).delete(session, ()).await
    }

    pub(crate) async fn end_all_sessions(&self, user: UserId, cx: &kernel::Cx) -> Result<(), Problem> {
        loop {
            let listed = self.store.at(cx).list::<Session>("user", &user.to_string(), &Page::default()).await?;
            if listed.items.is_empty() {
                return Ok(());
            }
            for session in listed.items {
                self.end_session(session, cx).await?;
            }
        }
    }

    pub(crate) async fn realm(&self, cx: &kernel::Cx) -> Result<store::Loaded<Realm>, Problem> {
        self.store.at(cx).load::<Realm>(&Realm::ID.to_owned()).await
    }
}

/// Begins to set up a second factor by an authenticator app.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeginTotp {}

/// What an authenticator app needs.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TotpSecret {
    /// The secret in base32, to type in.
    secret: String,
    /// The same as an address, to scan.
    uri: String,
}

use_case!(BeginTotp -> TotpSecret, "identity.totp.begin", OWN);

impl Handle<BeginTotp> for Identity {
    async fn handle(&self, _: BeginTotp, cx: Granted<BeginTotp>) -> Result<TotpSecret, Problem> {
        let secret = data_encoding::BASE32_NOPAD.encode(&cx.random::<20>());
        let set = |user: &mut User| user.begin_totp(secret.clone());
        let user = self.store.at(&cx).change(&cx.user()?, set).await?;
        let realm = self.realm(&cx).await?;
        let encode = |text: &str| {
            // A space is %20 here: apps take the plus sign of forms for itself.
            form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
        };
        let (issuer, account) = (encode(realm.name.as_str()), encode(user.email.as_str()));
        let uri = format!("otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}");
        Ok(TotpSecret { secret, uri })
    }
}

/// Shows that the app works: from now on its codes are asked for.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmTotp {
    /// The code that the app shows now.
    #[schemars(regex(pattern = r"^[0-9]{6}$"))]
    code: String,
}

use_case!(ConfirmTotp -> Done, "identity.totp.confirm", OWN);

impl Handle<ConfirmTotp> for Identity {
    async fn handle(&self, it: ConfirmTotp, cx: Granted<ConfirmTotp>) -> Result<Done, Problem> {
        let (id, now) = (cx.user()?, cx.now());
        let confirm = |user: &mut User| {
            Ok(user.use_code(&it.code, now)?.map(kernel::AnyEvent::from).into_iter().collect::<Vec<_>>())
        };
        self.store.at(&cx).change(&id, confirm).await?;
        Ok(Done {})
    }
}
