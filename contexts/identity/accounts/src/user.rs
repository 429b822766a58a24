//! A person of a tenant, as far as signing in goes.

use std::time::Duration;

use contracts::identity::{
    EmailChanged, InvitationRevoked, LinkPurpose, LinkRequested, MFADisabled, MFAEnabled, RoleAssigned, UserActivated,
    UserRegistered,
};
use kernel::{
    Aggregate, AnyEvent, Claim, Personal, Problem, ProblemKind, ScopeKind, Term, Timestamp, UserId,
    text::{DisplayName, EmailAddress},
};
use proofs::{
    Proofs,
    factor::{Used, code_refused},
    link_refused,
};
use serde::{Deserialize, Serialize};

use crate::role::RoleName;

/// Where a person is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Has a link to come in by, and has not used it.
    Invited,
    /// Can sign in.
    Active,
    /// Can sign in no more.
    Deactivated,
}

/// One of the two addresses of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one of before.
    Leave,
    /// The one to come.
    Enter,
}

impl Side {
    pub(crate) const fn purpose(self) -> LinkPurpose {
        match self {
            Self::Leave => LinkPurpose::LeaveAddress,
            Self::Enter => LinkPurpose::EnterAddress,
        }
    }
}

/// A change of address that waits until both have agreed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Moving {
    /// The new address.
    pub to: EmailAddress,
    /// Part of both links.
    pub stamp: String,
    ends: Timestamp,
    left: bool,
    entered: bool,
}

/// A person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct User {
    /// Who.
    pub id: UserId,
    /// With what they sign in.
    pub email: EmailAddress,
    /// What they are called.
    pub name: DisplayName,
    /// Where they are.
    pub standing: Standing,
    /// All but that of an owner, which [`Owners`](crate::roster::Owners) tells.
    pub roles: Vec<RoleName>,
    /// What they show.
    #[serde(flatten)]
    pub proofs: Proofs,
    /// A change of address that is under way.
    #[serde(default)]
    pub moving: Option<Moving>,
    /// Until when the link of the invitation is good.
    #[serde(default)]
    pub invited_until: Option<Timestamp>,
    /// When a link was last asked for by somebody who had not signed in.
    #[serde(default)]
    recovery_asked: Option<Timestamp>,
}

/// Between two links that anybody can have mailed to a person.
const RECOVERY_PAUSE: Duration = Duration::from_mins(1);
/// The most roles of one person.
const MOST_ROLES: usize = 10;

impl User {
    /// Someone who comes in by a link.
    pub fn invite(
        id: UserId,
        (email, name): (EmailAddress, DisplayName),
        roles: Vec<RoleName>,
        stamp: String,
        until: Timestamp,
    ) -> (Self, UserRegistered) {
        let registered =
            UserRegistered { user: id, email: Personal::Known(email.clone()), name: Personal::Known(name.clone()) };
        let it = Self {
            id,
            email,
            name,
            standing: Standing::Invited,
            roles,
            proofs: Proofs::none(stamp),
            moving: None,
            invited_until: Some(until),
            recovery_asked: None,
        };
        (it, registered)
    }

    fn link_to(&self, email: &EmailAddress, purpose: LinkPurpose, link: String) -> LinkRequested {
        let (email, name) = (Personal::Known(email.clone()), Personal::Known(self.name.clone()));
        LinkRequested { user: self.id, purpose, email, name, link: Personal::Known(link) }
    }

    /// A link is to be mailed to them.
    pub fn link(&self, purpose: LinkPurpose, link: String) -> LinkRequested {
        self.link_to(&self.email, purpose, link)
    }

    /// Somebody who says to be this person asks for a new password: at most one mail a minute, and none to whom it was
    /// closed, or whose invitation has lapsed.
    pub fn recover(&mut self, link: String, now: Timestamp) -> Option<LinkRequested> {
        let again = self.recovery_asked.is_some_and(|asked| now < asked + RECOVERY_PAUSE);
        if again || self.standing == Standing::Deactivated || self.has_lapsed(now) {
            return None;
        }
        self.recovery_asked = Some(now);
        let purpose = if self.standing == Standing::Invited { LinkPurpose::Verify } else { LinkPurpose::Recover };
        Some(self.link(purpose, link))
    }

    /// The link was followed and a password chosen.
    pub fn choose_password(
        &mut self,
        used: &str,
        hash: String,
        stamp: String,
        now: Timestamp,
    ) -> Result<Vec<AnyEvent>, Problem> {
        if self.standing == Standing::Deactivated || self.has_lapsed(now) {
            return Err(link_refused());
        }
        self.proofs.choose_password(used, hash, stamp)?;
        self.invited_until = None;
        let was = std::mem::replace(&mut self.standing, Standing::Active);
        Ok(if was == Standing::Invited { vec![UserActivated { user: self.id }.into()] } else { Vec::new() })
    }

    /// Whether they can sign in at all.
    pub fn can_sign_in(&self) -> bool {
        self.standing == Standing::Active
    }

    /// Whether what began under an epoch is good now.
    pub fn honours(&self, epoch: u64) -> bool {
        self.standing == Standing::Active && self.proofs.epoch == epoch
    }

    /// A new link for an invitation that was not followed; the one of before is void.
    pub fn invite_again(&mut self, stamp: String, until: Timestamp) -> Result<(), Problem> {
        self.still_invited()?;
        (self.proofs.stamp, self.invited_until) = (stamp, Some(until));
        Ok(())
    }

    /// Takes back an invitation that was not followed.
    pub fn uninvite(&self) -> Result<InvitationRevoked, Problem> {
        self.still_invited()?;
        Ok(InvitationRevoked { user: self.id })
    }

    /// Whether the link of the invitation was not followed in time: whoever invited them has to do so again.
    pub fn has_lapsed(&self, now: Timestamp) -> bool {
        self.standing == Standing::Invited && self.invited_until.is_some_and(|until| until <= now)
    }

    fn still_invited(&self) -> Result<(), Problem> {
        if self.standing == Standing::Invited {
            return Ok(());
        }
        Err(Problem::new(ProblemKind::Conflict, "identity.invitation_over", "this person has come in already")
            .hint("deactivate them, if they are to go"))
    }

    /// Can sign in no more; all sessions and grants end at once.
    pub fn close(&mut self) {
        self.standing = Standing::Deactivated;
        self.moving = None;
        self.proofs.end_sessions();
    }

    /// As before it was closed; whoever had not come in then has a seat, and can ask for a link anew.
    pub fn reopen(&mut self) {
        if self.standing == Standing::Deactivated {
            self.standing = if self.proofs.password.is_some() { Standing::Active } else { Standing::Invited };
            self.invited_until = None;
        }
    }

    /// Gives roles in place of those of before; `all` are those with that of an owner, if it is held.
    pub fn assign(&mut self, roles: Vec<RoleName>, all: &[RoleName]) -> Result<RoleAssigned, Problem> {
        if !(1..=MOST_ROLES).contains(&all.len()) {
            return Err(Problem::invalid_field("/roles", format!("expected 1 to {MOST_ROLES} roles")));
        }
        self.roles = roles;
        Ok(RoleAssigned { user: self.id, roles: all.iter().map(ToString::to_string).collect() })
    }

    /// Takes a code of the app that was set up: from now on they are asked for, and these are the recovery codes.
    pub fn confirm_totp(&mut self, code: &str, recovery: &[String], now: Timestamp) -> Result<MFAEnabled, Problem> {
        if self.proofs.totp.needed() {
            return Err(code_refused());
        }
        match self.proofs.totp.use_code(code, now)? {
            Used::First => self.proofs.totp.renew(recovery)?,
            Used::App | Used::Recovery => return Err(code_refused()),
        }
        Ok(MFAEnabled { user: self.id, method: "totp".to_owned() })
    }

    /// Codes are asked for no more.
    pub fn drop_totp(&mut self) -> Vec<AnyEvent> {
        if self.proofs.totp.drop_it() { vec![MFADisabled { user: self.id }.into()] } else { Vec::new() }
    }

    /// Begins a change of address: a link goes to each of the two.
    pub fn move_to(
        &mut self,
        to: EmailAddress,
        stamp: String,
        ends: Timestamp,
        link: impl Fn(Side) -> String,
    ) -> Result<Vec<AnyEvent>, Problem> {
        if to == self.email {
            return Err(Problem::invalid_field("/email", "this is the address already"));
        }
        let asked = vec![
            self.link_to(&self.email, Side::Leave.purpose(), link(Side::Leave)).into(),
            self.link_to(&to, Side::Enter.purpose(), link(Side::Enter)).into(),
        ];
        self.moving = Some(Moving { to, stamp, ends, left: false, entered: false });
        Ok(asked)
    }

    /// One of the two addresses agrees; once both have, it is done, and links of before are void.
    pub fn agree(&mut self, side: Side, used: &str, stamp: String, now: Timestamp) -> Result<Vec<AnyEvent>, Problem> {
        let moving = self.moving.as_mut().filter(|it| it.stamp == used && it.ends > now).ok_or_else(link_refused)?;
        match side {
            Side::Leave => moving.left = true,
            Side::Enter => moving.entered = true,
        }
        if !(moving.left && moving.entered) {
            return Ok(Vec::new());
        }
        self.email = moving.to.clone();
        (self.moving, self.proofs.stamp) = (None, stamp);
        Ok(vec![EmailChanged { user: self.id, email: Personal::Known(self.email.clone()) }.into()])
    }
}

impl Aggregate for User {
    type Id = UserId;
    const KIND: &'static str = "identity.user";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> UserId {
        self.id
    }

    fn owner(&self) -> Option<UserId> {
        Some(self.id)
    }

    fn subject(&self) -> Option<UserId> {
        Some(self.id)
    }

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::new("email", self.email.as_str())]
    }

    fn terms(&self) -> Vec<Term> {
        let invited = (self.standing == Standing::Invited).then(|| Term::new("invited", ""));
        let own = self.roles.iter().filter(|role| matches!(role, RoleName::Own(_)));
        let own = own.map(|role| Term::new("role", role.to_string()));
        invited.into_iter().chain(own).chain([Term::new("all", "")]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{DefaultRole, Id};

    const START: Timestamp = Timestamp::UNIX_EPOCH;
    const LATER: Timestamp = Timestamp::constant(172_800, 0);

    fn ada() -> User {
        let person = ("ada@example.com".parse().unwrap(), "Ada".parse().unwrap());
        let roles = vec![RoleName::Default(DefaultRole::Member)];
        User::invite(Id::from_uuid(uuid::Uuid::max()), person, roles, "s1".to_owned(), LATER).0
    }

    fn active() -> User {
        let mut it = ada();
        assert_eq!(it.choose_password("s1", "h".to_owned(), "s2".to_owned(), START).unwrap().len(), 1);
        it
    }

    #[test]
    fn a_stranger_cannot_flood_a_mailbox() {
        let mut it = ada();
        assert!(it.recover("l".to_owned(), START).is_some());
        assert!(it.recover("l".to_owned(), START + Duration::from_secs(59)).is_none());
        assert!(it.recover("l".to_owned(), START + RECOVERY_PAUSE).is_some());
        it.standing = Standing::Deactivated;
        assert!(it.recover("l".to_owned(), START + RECOVERY_PAUSE * 5).is_none());
    }

    #[test]
    fn whoever_is_deactivated_has_nothing_left_and_comes_back_as_they_were() {
        let mut it = active();
        let before = it.proofs.epoch;
        assert!(it.honours(before) && it.can_sign_in());
        it.close();
        assert!(!it.honours(before) && !it.honours(it.proofs.epoch) && !it.can_sign_in());
        assert!(
            it.choose_password("s2", "h".to_owned(), "s3".to_owned(), START).is_err(),
            "a link does not bring them back"
        );
        it.reopen();
        assert!(it.can_sign_in() && !it.honours(before), "but what was begun stays ended");
        let mut invited = ada();
        invited.close();
        invited.reopen();
        assert!(invited.standing == Standing::Invited && invited.recover("l".to_owned(), LATER).is_some());
    }

    #[test]
    fn an_invitation_is_renewed_or_taken_back_until_it_is_followed() {
        let mut it = ada();
        it.invite_again("s2".to_owned(), LATER).unwrap();
        assert!(it.choose_password("s1", "h".to_owned(), "s3".to_owned(), START).is_err(), "the link of before");
        assert!(it.uninvite().is_ok() && it.terms().contains(&Term::new("invited", "")));
        it.choose_password("s2", "h".to_owned(), "s3".to_owned(), START).unwrap();
        assert!(it.uninvite().is_err() && it.invite_again("s4".to_owned(), LATER).is_err());
        assert!(!it.terms().contains(&Term::new("invited", "")));
    }

    #[test]
    fn whoever_has_lapsed_gets_no_link_and_none_of_before_lets_them_in() {
        let mut it = ada();
        assert!(it.recover("l".to_owned(), LATER).is_none());
        let late = it.choose_password("s1", "h".to_owned(), "s2".to_owned(), LATER);
        assert!(late.is_err() && it.standing == Standing::Invited);
        it.invite_again("s2".to_owned(), LATER + Duration::from_secs(1)).unwrap();
        assert!(it.recover("l".to_owned(), LATER).is_some());
        let mut active = active();
        assert!(active.recover("l".to_owned(), LATER).is_some(), "whoever has come in is not bound by it");
    }

    #[test]
    fn an_address_changes_once_both_have_agreed() {
        let mut it = active();
        let (to, later): (EmailAddress, _) = ("ada@new.example".parse().unwrap(), START + Duration::from_secs(9));
        let link = |side: Side| format!("{side:?}");
        assert!(it.move_to(it.email.clone(), "m".to_owned(), later, link).is_err());
        assert_eq!(it.move_to(to.clone(), "m1".to_owned(), later, link).unwrap().len(), 2);
        it.move_to(to.clone(), "m2".to_owned(), later, link).unwrap();
        let mut agree = |side, used: &str, now| it.agree(side, used, "s3".to_owned(), now);
        assert!(agree(Side::Enter, "m1", START).is_err(), "a link of a change that another replaced");
        assert!(agree(Side::Enter, "m2", later).is_err(), "too late");
        assert!(agree(Side::Enter, "m2", START).unwrap().is_empty());
        assert!(agree(Side::Enter, "m2", START).unwrap().is_empty(), "the same one twice is not both");
        assert_eq!(agree(Side::Leave, "m2", START).unwrap().len(), 1);
        assert!(agree(Side::Leave, "m2", START).is_err(), "it is over");
        assert!(it.email == to && it.choose_password("s2", "h".to_owned(), "s4".to_owned(), START).is_err());
    }

    #[test]
    fn nobody_is_left_without_a_role_or_with_ever_more() {
        let mut it = active();
        let owner = RoleName::Default(DefaultRole::Owner);
        assert!(it.assign(Vec::new(), &[]).is_err());
        assert!(it.assign(Vec::new(), &[owner; MOST_ROLES + 1]).is_err());
        assert_eq!(it.assign(Vec::new(), &[owner]).unwrap().roles, ["owner"]);
    }
}
