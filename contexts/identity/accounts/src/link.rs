//! Links that are mailed or handed over: signed, good once (by a stamp) and for a while. Nothing of them is stored.

use std::{fmt::Display, str::FromStr, time::Duration};

use contracts::identity::LinkPurpose;
use kernel::{Aggregate, Cx, Problem, Timestamp};
use proofs::link_refused;
use store::Store;

use crate::{
    operator::Operator,
    realm::Realm,
    user::{Side, User},
};

/// For how long a mailed link is good.
pub const LASTS: Duration = Duration::from_hours(48);

/// `id.ends.seal`. The kind of link is part of the seal, so that none is good for another.
async fn ticket(
    store: &Store,
    cx: &Cx,
    kind: &'static str,
    id: &(impl Display + Sync),
    ends: i64,
    stamp: &str,
) -> Result<String, Problem> {
    let key = store.keys().scope(cx.scope()).await?;
    Ok(format!("{id}.{ends}.{}", key.blind(kind, &format!("{id}|{ends}|{stamp}")).to_lowercase()))
}

/// The aggregate whose ticket it is, with the stamp that `stamp` reads from it.
async fn open_ticket<A: Aggregate<Id: FromStr>>(
    store: &Store,
    cx: &Cx,
    kind: &'static str,
    sent: &str,
    stamp: impl Fn(&A) -> Option<&str> + Send + Sync,
) -> Result<A, Problem> {
    let mut parts = sent.split('.');
    let (Some(id), Some(ends)) = (parts.next(), parts.next()) else { return Err(link_refused()) };
    let id: A::Id = id.parse().map_err(|_| link_refused())?;
    let ends: i64 = ends.parse().map_err(|_| link_refused())?;
    let found = store.at(cx).try_load::<A>(&id).await?.ok_or_else(link_refused)?.into_inner();
    let expected = ticket(store, cx, kind, &id, ends, stamp(&found).ok_or_else(link_refused)?).await?;
    let same = bool::from(subtle::ConstantTimeEq::ct_eq(expected.as_bytes(), sent.as_bytes()));
    let fresh = Timestamp::from_second(ends).is_ok_and(|ends| ends > cx.real_now());
    if same && fresh { Ok(found) } else { Err(link_refused()) }
}

const WELCOME: &str = "identity/link";

/// The link by which a person, as they stand now, chooses a password.
pub async fn make(store: &Store, cx: &Cx, realm: &Realm, user: &User, purpose: LinkPurpose) -> Result<String, Problem> {
    let ends = (cx.real_now() + LASTS).as_second();
    let ticket = ticket(store, cx, WELCOME, &user.id, ends, &user.proofs.stamp).await?;
    let why = match purpose {
        LinkPurpose::Verify => "verify",
        LinkPurpose::Invite => "invite",
        LinkPurpose::Recover => "recover",
        LinkPurpose::LeaveAddress | LinkPurpose::EnterAddress => {
            return Err(Problem::internal("a change of address has links of its own"));
        }
    };
    Ok(format!("{}/welcome?for={why}&ticket={ticket}", realm.origin))
}

/// The person whose link it is.
pub async fn open(store: &Store, cx: &Cx, sent: &str) -> Result<User, Problem> {
    open_ticket::<User>(store, cx, WELCOME, sent, |user| Some(&user.proofs.stamp)).await
}

const fn side_kind(side: Side) -> &'static str {
    match side {
        Side::Leave => "identity/leave-address",
        Side::Enter => "identity/enter-address",
    }
}

/// The link by which one side agrees to a change of address.
pub async fn make_move(
    store: &Store,
    cx: &Cx,
    (realm, user, side): (&Realm, &User, Side),
    (stamp, ends): (&str, Timestamp),
) -> Result<String, Problem> {
    let ticket = ticket(store, cx, side_kind(side), &user.id, ends.as_second(), stamp).await?;
    let side = if side == Side::Leave { "old" } else { "new" };
    Ok(format!("{}/change-address?side={side}&ticket={ticket}", realm.origin))
}

fn moving_stamp(user: &User) -> Option<&str> {
    user.moving.as_ref().map(|moving| moving.stamp.as_str())
}

/// The person whose change of address it is, and which side agrees.
pub async fn open_move(store: &Store, cx: &Cx, side: &str, sent: &str) -> Result<(User, Side), Problem> {
    let side = match side {
        "old" => Side::Leave,
        "new" => Side::Enter,
        _ => return Err(link_refused()),
    };
    Ok((open_ticket::<User>(store, cx, side_kind(side), sent, moving_stamp).await?, side))
}

const OPERATOR: &str = "identity/operator-link";

/// The link by which an operator chooses a password.
pub async fn make_operator(
    store: &Store,
    cx: &Cx,
    origin: &str,
    (operator, ends): (&Operator, Timestamp),
) -> Result<String, Problem> {
    let ticket = ticket(store, cx, OPERATOR, &operator.id, ends.as_second(), &operator.proofs.stamp).await?;
    Ok(format!("{origin}/operator/welcome?ticket={ticket}"))
}

/// The operator whose link it is.
pub async fn open_operator(store: &Store, cx: &Cx, sent: &str) -> Result<Operator, Problem> {
    open_ticket::<Operator>(store, cx, OPERATOR, sent, |operator| Some(&operator.proofs.stamp)).await
}
