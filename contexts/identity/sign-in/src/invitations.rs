//! Invitations: people who have a link to come in by, and have not used it. Each holds a seat while its link is good.

use access::granting::covers;
use accounts::{Done, link, permissions as may, role::RoleName, user::User};
use contracts::{
    identity::LinkPurpose,
    tenants::{ReleaseSeat, ReserveSeat},
};
use kernel::{
    Cx, DefaultRole, Granted, Handle, List, Problem, Timestamp, UserId,
    text::{DisplayName, EmailAddress},
    use_case,
};
use proofs::secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Loaded, Page};

use crate::SignIn;

/// Invites a person: takes a seat and mails a link, which is good for two days.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Invite {
    /// Where the person is reached.
    email: EmailAddress,
    /// What the person is called.
    name: DisplayName,
    /// What the person may do from the start; whoever invites must hold it, and may change roles if it is not `member`.
    role: RoleName,
}

/// Somebody who is invited.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct InvitationView {
    /// Who.
    pub(crate) user: UserId,
    /// Where the link went.
    email: EmailAddress,
    /// What the person is called.
    name: DisplayName,
    /// What the person may do from the start.
    roles: Vec<RoleName>,
    /// Until when the link is good.
    #[schemars(with = "Option<String>")]
    ends: Option<Timestamp>,
}

impl From<&User> for InvitationView {
    fn from(it: &User) -> Self {
        Self {
            user: it.id,
            email: it.email.clone(),
            name: it.name.clone(),
            roles: it.roles.clone(),
            ends: it.invited_until,
        }
    }
}

use_case!(Invite => InvitationView, "identity.invite", Tenant, may::INVITE);

impl SignIn {
    /// Whoever founded the tenant and did not come in in time has nobody who could invite them again: asking for a link
    /// renews the invitation.
    pub(crate) async fn renewed(&self, user: Loaded<User>, cx: &Cx) -> Result<Loaded<User>, Problem> {
        let now = cx.real_now();
        if !user.has_lapsed(now) || !self.accounts.owners(cx).await?.is_some_and(|owners| owners.0.has(user.id)) {
            return Ok(user);
        }
        let until = now + link::LASTS;
        self.calls.call(ReserveSeat { user: user.id, until: Some(until) }, &self.service.within(cx)?).await?;
        let stamp = secret::fresh(cx);
        self.store.at(cx).change(&user.id, |it: &mut User| it.invite_again(stamp.clone(), until)).await
    }
}

impl Handle<Invite> for SignIn {
    async fn handle(&self, it: Invite, cx: Granted<Invite>) -> Result<InvitationView, Problem> {
        if it.role == RoleName::Default(DefaultRole::Owner) {
            return Err(Problem::invalid_field("/role", "make someone an owner once they have come in"));
        }
        if it.role != RoleName::Default(DefaultRole::Member) {
            // To give more than a member has is to give a role, however they come in.
            let access = self.access.basis(&cx).await?;
            if matches!(it.role, RoleName::Own(id) if !access.book.contains_key(&id)) {
                return Err(Problem::invalid_field("/role", "there is no such role"));
            }
            if cx.grants().of(may::ROLES_UPDATE).is_none() || !covers(cx.grants(), &access.grants(&[it.role])) {
                return Err(cx.refusal(may::ROLES_UPDATE.name()));
            }
        }
        let (id, until): (UserId, _) = (cx.new_id(), cx.real_now() + link::LASTS);
        // First the seat, under the person's id: a crash after it leaves a reservation that ends by itself.
        self.calls.call(ReserveSeat { user: id, until: Some(until) }, &self.service.within(&cx)?).await?;
        let invited = async {
            let realm = self.accounts.realm(&cx).await?;
            let (user, registered) = User::invite(id, (it.email, it.name), vec![it.role], secret::fresh(&cx), until);
            let link = link::make(&self.store, &cx, &realm, &user, LinkPurpose::Invite).await?;
            let asked = user.link(LinkPurpose::Invite, link);
            self.store.at(&cx).create(user, vec![registered.into(), asked.into()]).await
        };
        match invited.await {
            Ok(stored) => Ok((&*stored).into()),
            Err(refused) => {
                self.calls.call(ReleaseSeat { user: id }, &self.service.within(&cx)?).await?;
                Err(refused)
            }
        }
    }
}

/// The invitations that were not followed yet, also those whose link is good no more.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListInvitations {
    /// Go on after this cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

use_case!(ListInvitations => List<InvitationView>, "identity.invitations.list", Tenant, may::INVITE, Tell);

impl Handle<ListInvitations> for SignIn {
    async fn handle(&self, it: ListInvitations, cx: Granted<ListInvitations>) -> Result<List<InvitationView>, Problem> {
        let page = Page { after: it.after, ..Page::default() };
        let listed = self.store.at(&cx).list::<User>("invited", "", &page).await?;
        Ok(List { items: listed.items.iter().map(|it| (&**it).into()).collect(), next: listed.next })
    }
}

/// Mails a new link, good for two days; the one of before is void.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResendInvitation {
    /// Who is invited.
    user: UserId,
}

use_case!(ResendInvitation => InvitationView, "identity.invitations.resend", Tenant, may::INVITE, |it| it.user.into());

impl Handle<ResendInvitation> for SignIn {
    async fn handle(&self, it: ResendInvitation, cx: Granted<ResendInvitation>) -> Result<InvitationView, Problem> {
        let (store, until, stamp) = (self.store.at(&cx), cx.real_now() + link::LASTS, secret::fresh(&cx));
        let mut user = store.load::<User>(&it.user).await?;
        user.invite_again(stamp, until)?;
        self.calls.call(ReserveSeat { user: user.id, until: Some(until) }, &self.service.within(&cx)?).await?;
        let link = link::make(&self.store, &cx, &*self.accounts.realm(&cx).await?, &user, LinkPurpose::Invite).await?;
        let asked = user.link(LinkPurpose::Invite, link);
        Ok((&*store.save(user, asked).await?).into())
    }
}

/// Takes an invitation back: its link is void and its seat free.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeInvitation {
    /// Who is invited.
    user: UserId,
}

use_case!(RevokeInvitation => Done, "identity.invitations.revoke", Tenant, may::INVITE, |it| it.user.into());

impl Handle<RevokeInvitation> for SignIn {
    async fn handle(&self, it: RevokeInvitation, cx: Granted<RevokeInvitation>) -> Result<Done, Problem> {
        let user = self.store.at(&cx).load::<User>(&it.user).await?;
        if self.accounts.owners(&cx).await?.is_some_and(|owners| owners.0.has(it.user)) {
            return Err(cx.refusal(may::ROLES_UPDATE.name()));
        }
        let revoked = user.uninvite()?;
        self.store.at(&cx).delete(user, revoked).await?;
        // A crash before this leaves a seat that is free once the link would have ended.
        self.calls.call(ReleaseSeat { user: it.user }, &self.service.within(&cx)?).await?;
        Ok(Done {})
    }
}
