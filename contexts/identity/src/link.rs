//! Links that are mailed: signed, good once (by the person's stamp) and for a while. Nothing of them is stored.

use std::time::Duration;

use contracts::identity::LinkPurpose;
use kernel::{Cx, Problem, Timestamp, UserId};
use store::Store;

use crate::{
    realm::Realm,
    user::{User, link_refused},
};

const LASTS: Duration = Duration::from_hours(48);

async fn seal(store: &Store, cx: &Cx, user: UserId, ends: i64, stamp: &str) -> Result<String, Problem> {
    let key = store.keys().scope(cx.scope()).await?;
    Ok(key.blind("identity/link", &format!("{user}|{ends}|{stamp}")).to_lowercase())
}

/// The link for a person as it stands now.
pub(crate) async fn make(
    store: &Store,
    cx: &Cx,
    realm: &Realm,
    user: &User,
    purpose: LinkPurpose,
) -> Result<String, Problem> {
    let ends = (cx.now() + LASTS).as_second();
    let seal = seal(store, cx, user.id, ends, &user.stamp).await?;
    let why = match purpose {
        LinkPurpose::Verify => "verify",
        LinkPurpose::Invite => "invite",
        LinkPurpose::Recover => "recover",
        LinkPurpose::LeaveAddress => "leave",
        LinkPurpose::EnterAddress => "enter",
    };
    Ok(format!("{}/welcome?for={why}&ticket={}.{ends}.{seal}", realm.origin, user.id))
}

/// The person whose link it is.
pub(crate) async fn open(store: &Store, cx: &Cx, ticket: &str) -> Result<User, Problem> {
    let mut parts = ticket.split('.');
    let (Some(user), Some(ends), Some(sealed), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(link_refused());
    };
    let (user, ends): (UserId, i64) =
        (user.parse().map_err(|_| link_refused())?, ends.parse().map_err(|_| link_refused())?);
    let found = store.at(cx).try_load::<User>(&user).await?.ok_or_else(link_refused)?.into_inner();
    let expected = seal(store, cx, user, ends, &found.stamp).await?;
    let same = bool::from(subtle::ConstantTimeEq::ct_eq(expected.as_bytes(), sealed.as_bytes()));
    let fresh = Timestamp::from_second(ends).is_ok_and(|ends| ends > cx.now());
    if same && fresh { Ok(found) } else { Err(link_refused()) }
}
