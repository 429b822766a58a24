//! Who a person is, as far as the scopes go (OpenID Connect Core 1.0, sections 5.3 and 5.4).

use std::sync::Arc;

use accounts::{permissions as may, user::User};
use bytes::Bytes;
use http::{Request, StatusCode};
use kernel::{Cx, Permission};
use serde_json::{Map, Value};

use super::{Answer, json_answer};
use crate::Federation;

/// What may be told of a person.
pub(super) fn told(user: &User, allowed: impl Fn(Permission) -> bool) -> Map<String, Value> {
    let mut told = Map::new();
    if allowed(may::USERINFO_EMAIL) {
        told.insert("email".to_owned(), user.email.as_str().into());
        // Whoever can sign in has followed a link that was mailed there.
        told.insert("email_verified".to_owned(), true.into());
    }
    if allowed(may::USERINFO_NAME) {
        told.insert("name".to_owned(), user.name.as_str().into());
    }
    told
}

impl Federation {
    pub(crate) async fn userinfo(self: Arc<Self>, _: Request<Bytes>, cx: Cx) -> Answer {
        let user = self.store.at(&cx).load::<User>(&cx.user()?).await?;
        let mut told = told(&user, |permission| cx.grants().of(permission).is_some());
        told.insert("sub".to_owned(), user.id.to_string().into());
        json_answer(StatusCode::OK, &told.into())
    }
}
