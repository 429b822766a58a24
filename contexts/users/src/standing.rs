//! Whether a person works here: deactivated, they can sign in no more and all that is theirs stays.

use contracts::identity::CloseAccess;
use kernel::{Granted, Handle, Problem, ProblemKind, UserId, use_case};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Users, permissions as may, profile::UserProfile, queries::ProfileView};

/// Deactivates a person: they are signed out everywhere, and sign in no more. What is theirs stays.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeactivateUser {
    /// Who: not oneself, not the last owner, and an owner only by an owner.
    user: UserId,
}

use_case!(DeactivateUser => ProfileView, "users.deactivate", Tenant, may::DEACTIVATE, |it| it.user.into());

impl Handle<DeactivateUser> for Users {
    async fn handle(&self, it: DeactivateUser, cx: Granted<DeactivateUser>) -> Result<ProfileView, Problem> {
        if cx.caller().user() == Some(it.user) {
            let detail = "you cannot deactivate your own account";
            return Err(Problem::new(ProblemKind::Refused, "users.own_account", detail)
                .hint("ask someone else who administers this tenant"));
        }
        let store = self.store.at(&cx);
        store.load::<UserProfile>(&it.user).await?;
        // First what is refused for the last owner, which identity alone decides without a race.
        self.calls.call(CloseAccess { user: it.user }, &cx).await?;
        let stored = store.change(&it.user, |profile: &mut UserProfile| Ok(profile.deactivate())).await?;
        self.view(&stored, &cx).await
    }
}

/// Lets a deactivated person sign in again, with the password and roles of before.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReactivateUser {
    /// Who.
    user: UserId,
}

use_case!(ReactivateUser => ProfileView, "users.reactivate", Tenant, may::DEACTIVATE, |it| it.user.into());

impl Handle<ReactivateUser> for Users {
    async fn handle(&self, it: ReactivateUser, cx: Granted<ReactivateUser>) -> Result<ProfileView, Problem> {
        let stored = self.store.at(&cx).change(&it.user, |profile: &mut UserProfile| Ok(profile.reactivate())).await?;
        self.view(&stored, &cx).await
    }
}
