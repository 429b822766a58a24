//! What all of this context needs.

use kernel::{Cx, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Loaded;

use crate::{Identity, realm::Realm};

/// Nothing but that it was done.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Done {}

impl Identity {
    pub(crate) async fn realm(&self, cx: &Cx) -> Result<Loaded<Realm>, Problem> {
        self.store.at(cx).load::<Realm>(&Realm::ID.to_owned()).await
    }
}
