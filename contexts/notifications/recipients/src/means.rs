//! By what somebody is told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// By what a recipient is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Means {
    /// E-mail.
    Mail,
    /// The inbox in the product.
    Inbox,
    /// A webhook endpoint.
    Webhook,
}

impl Means {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Inbox => "inbox",
            Self::Webhook => "webhook",
        }
    }

    /// The one that is written so.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Mail, Self::Inbox, Self::Webhook].into_iter().find(|it| it.name() == name)
    }
}
