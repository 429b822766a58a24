//! Whether a person works here: deactivated, they can sign in no more and all that is theirs stays.

use kernel::{Calls, Cx, Granted, Handle, Problem, ProblemKind, UserId, use_case};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Users, permissions as may, profile::UserProfile, queries::ProfileView};

/// Deactivates a person: within a second they are signed out everywhere and their keys are void. What is theirs stays.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeactivateUser {
    /// Who: not oneself, and no owner.
    user: UserId,
}

use_case!(DeactivateUser => ProfileView, "users.deactivate", Tenant, may::DEACTIVATE, |it| it.user.into());

impl Handle<DeactivateUser> for Users {
    async fn handle(&self, it: DeactivateUser, cx: Granted<DeactivateUser>) -> Result<ProfileView, Problem> {
        if cx.caller().user() == Some(it.user) {
            return Err(Problem::new(
                ProblemKind::Refused,
                "users.own_account",
                "you cannot deactivate your own account",
            )
            .hint("ask someone else who administers this tenant"));
        }
        self.may_act_on(it.user, &cx).await?;
        let stored = self.store.at(&cx).change(&it.user, |profile: &mut UserProfile| Ok(profile.deactivate())).await?;
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
        self.may_act_on(it.user, &cx).await?;
        let stored = self.store.at(&cx).change(&it.user, |profile: &mut UserProfile| Ok(profile.reactivate())).await?;
        self.view(&stored, &cx).await
    }
}

/// The roles of a person; none where the caller may not see any, or identity knows nobody of that id.
async fn roles(calls: &Calls, user: UserId, cx: &Cx) -> Result<Vec<String>, Problem> {
    match calls.ask("identity.roles.read", json!({ "user": user }), cx).await {
        Ok(answer) => {
            let names = answer.get("roles").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
            Ok(names.map(str::to_owned).collect())
        }
        // Whoever may not see roles has none, and asks about themselves.
        Err(problem) if matches!(problem.kind(), ProblemKind::Denied | ProblemKind::NotFound) => Ok(Vec::new()),
        Err(problem) => Err(problem),
    }
}

impl Users {
    /// Refuses an act that could leave a tenant without an owner. Since identity lets no owner give that role away, one
    /// other than this person is left once they have another role.
    pub(crate) async fn no_owner(&self, user: UserId, cx: &Cx) -> Result<Vec<String>, Problem> {
        let roles = roles(&self.calls, user, cx).await?;
        if roles.iter().any(|role| role == "owner") {
            return Err(Problem::new(ProblemKind::Refused, "users.is_owner", "this person is an owner of the tenant")
                .hint("let another owner give them another role first"));
        }
        Ok(roles)
    }

    /// The same, and that only owners act on those who administer.
    async fn may_act_on(&self, user: UserId, cx: &Cx) -> Result<(), Problem> {
        let roles = self.no_owner(user, cx).await?;
        let administers = roles.iter().any(|role| role == "admin");
        if administers && cx.grants().of(may::DEACTIVATE_ADMIN).is_none() {
            return Err(cx.refusal(may::DEACTIVATE_ADMIN.name()));
        }
        Ok(())
    }
}
