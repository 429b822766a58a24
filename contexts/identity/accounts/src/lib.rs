//! Who there is: the people of a tenant and the operators of the installation, with their sessions and links.
//!
//! A **user** is a person of one tenant. A **link** that is mailed shows that the address is theirs and lets them choose a
//! password. A **session** is a browser that is signed in. A **realm** is what signing in needs to know of the tenant: its
//! origin, which never changes. An **operator** runs the installation. A **roster** (of owners, of operators) never loses
//! the last who can act.

pub mod link;
pub mod operator;
pub mod permissions;
pub mod realm;
pub mod role;
pub mod roster;
mod service;
pub mod session;
mod settings;
pub mod user;

use kernel::{Caller, Cx, Problem, ProblemKind, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Loaded, Page, Store};

use realm::Realm;
use roster::{Claimed, Owners};
use session::{Session, reauthentication_required};

pub use service::Service;
pub use settings::Settings;

/// Nothing but that it was done.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Done {}

/// The accounts of a scope.
#[derive(Clone)]
pub struct Accounts {
    store: Store,
}

impl Accounts {
    /// Those of a store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// The realm of the tenant.
    pub async fn realm(&self, cx: &Cx) -> Result<Loaded<Realm>, Problem> {
        self.store.at(cx).load::<Realm>(&Realm::ID.to_owned()).await
    }

    /// The owners of the tenant, once it has any.
    pub async fn owners(&self, cx: &Cx) -> Result<Option<Owners>, Problem> {
        let found = self.store.at(cx).try_load::<Owners>(&Owners::ID.to_owned()).await?;
        Ok(found.map(Loaded::into_inner))
    }

    /// Who runs the installation.
    pub async fn installation(&self, cx: &Cx) -> Result<Claimed, Problem> {
        Ok(self.store.at(cx).load::<Claimed>(&Claimed::ID.to_owned()).await?.into_inner())
    }

    /// Ends a session. What programs got through it looks for it whenever it is used.
    pub async fn end_session(&self, session: Loaded<Session>, cx: &Cx) -> Result<(), Problem> {
        self.store.at(cx).delete(session, ()).await
    }

    /// Clears away what the epoch has ended.
    pub async fn end_all_sessions(&self, user: UserId, cx: &Cx) -> Result<(), Problem> {
        loop {
            let listed = self.store.at(cx).list::<Session>("user", &user.to_string(), &Page::default()).await?;
            if listed.items.is_empty() {
                return Ok(());
            }
            for session in listed.items {
                match self.end_session(session, cx).await {
                    // It was ended, or used, at the same moment: whether it is still there is looked at again.
                    Err(raced) if raced.kind() == ProblemKind::Conflict => {}
                    outcome => outcome?,
                }
            }
        }
    }

    /// What is sensitive takes a proof of the last minutes, in the session that asks.
    pub async fn freshly_proven(&self, cx: &Cx) -> Result<(), Problem> {
        let session = match cx.caller() {
            Caller::User { session: Some(id), .. } => self.store.at(cx).try_load::<Session>(&id).await?,
            _ => None,
        };
        let fresh = session.is_some_and(|it| it.freshly_proven(cx.real_now()));
        if fresh { Ok(()) } else { Err(reauthentication_required()) }
    }
}
