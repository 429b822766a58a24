//! How people come in: the operator claims the installation, companies sign up, colleagues are invited.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    Broken,
    client::{Client, Told, marker, slug},
    memory::{Count, Person, Possible},
    site::Site,
};

pub(crate) const PASSWORD: &str = "correct horse battery";
/// How much there is of each resource that is used up.
pub(crate) const LIMIT: u64 = 9;

/// Waits until something is there, for two hours at most.
pub(crate) async fn until<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>, Broken>,
) -> Result<T, Broken> {
    for _ in 0..14_400 {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Err(Broken(format!("it never comes: {what}")))
}

/// Claims the installation, and defines what is used up.
pub(crate) async fn operator(site: &Arc<Site>) -> Result<Client, Broken> {
    let visitor = Client::of(site, None, "operator");
    let token = site.platform().await.0.claim_token();
    let me = [("name", "Olga"), ("email", "olga@ops.example"), ("password", PASSWORD)];
    let claimed = visitor.form("/claim", &[&[("token", token.as_str())], &me[..]].concat()).await?;
    let cookie = match claimed.cookie {
        Some(cookie) => cookie,
        None => signs_in(&visitor, "/operator/sign-in", "olga@ops.example").await?.ok_or_else(refused)?,
    };
    let operator = visitor.with_cookie(cookie);
    // What is held until it is released, and what is used up.
    let tickets = json!({ "limit": LIMIT, "soft": false });
    let credits = json!({ "limit": LIMIT, "soft": false, "per": "month" });
    for (resource, amount) in [("tickets", tickets), ("credits", credits)] {
        let defined = json!({ "enabled": true, "amount": amount });
        operator.does("PUT", &format!("/v1/common-features/{resource}"), &defined).await?;
    }
    Ok(operator)
}

/// Shows address and password; a session, unless that is refused.
pub(crate) async fn signs_in(visitor: &Client, path: &str, email: &str) -> Result<Option<String>, Broken> {
    Ok(visitor.form(path, &[("email", email), ("password", PASSWORD)]).await?.cookie)
}

fn refused() -> Broken {
    Broken("the right password is refused".to_owned())
}

/// Follows the mailed link and chooses a password; where the link was used and nobody was told, signs in by it.
async fn comes_in(visitor: &Client, email: &str) -> Result<Client, Broken> {
    let world = Arc::clone(&visitor.site.world);
    let link = until(&format!("a link for {email}"), async || Ok(world.mailbox.link(email))).await?;
    let ticket = link.split_once("ticket=").map(|(_, ticket)| ticket.to_owned());
    let ticket = ticket.ok_or_else(|| Broken(format!("a link without a ticket: {link}")))?;
    let fields = [("ticket", ticket.as_str()), ("for", "verify"), ("password", PASSWORD)];
    let answer = visitor.form("/welcome", &fields).await?;
    let cookie = match answer.cookie.filter(|_| answer.status == StatusCode::SEE_OTHER) {
        Some(cookie) => cookie,
        None => signs_in(visitor, "/sign-in", email).await?.ok_or_else(refused)?,
    };
    Ok(visitor.clone().with_cookie(cookie))
}

/// Comes in, and has a profile.
async fn arrives(site: &Arc<Site>, tenant: usize, name: &str, email: String) -> Result<Person, Broken> {
    let client = comes_in(&Client::of(site, Some(tenant), name), &email).await?;
    let me = until(&format!("the profile of {email}"), async || {
        Ok(match client.surely("GET", "/v1/me", &Value::Null).await? {
            Told::Done(me) => Some(me),
            Told::Refused(_) | Told::Unknown => None,
        })
    })
    .await?;
    let id = me.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let (words, empty) = (words(tenant, name), BTreeMap::new());
    Ok(Person {
        id,
        email,
        words,
        client,
        preferences: empty,
        title: Possible::default(),
        tracked: Count::default(),
        erased: false,
    })
}

fn words(tenant: usize, name: &str) -> String {
    format!("{} {name}", marker(tenant))
}

/// A company signs up; its id, and its owner.
pub(crate) async fn founds(site: &Arc<Site>, tenant: usize) -> Result<(String, Person), Broken> {
    let (visitor, name) = (Client::of(site, None, &format!("founder{tenant}")), format!("owner{tenant}"));
    let email = format!("{name}@mail.example");
    let asked =
        json!({ "company": words(tenant, "inc"), "slug": slug(tenant), "name": words(tenant, &name), "email": email });
    let told = visitor.does("POST", "/v1/sign-up", &asked).await?;
    let id = told.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok((id, arrives(site, tenant, &name, email).await?))
}

/// A colleague is invited; the id, where there was a seat.
pub(crate) async fn invites(owner: &Client, tenant: usize, name: &str) -> Result<Option<String>, Broken> {
    let asked = json!({ "email": format!("{name}@mail.example"), "name": words(tenant, name), "role": "member" });
    match owner.surely("POST", "/v1/invitations", &asked).await? {
        Told::Done(invited) => Ok(invited.get("user").and_then(Value::as_str).map(str::to_owned)),
        Told::Refused(code) if code == "tenants.quota_exhausted" => Ok(None),
        other => Err(Broken(format!("{name} cannot be invited: {other:?}"))),
    }
}

/// A colleague is invited and comes.
pub(crate) async fn joins(owner: &Client, tenant: usize, name: &str) -> Result<Option<Person>, Broken> {
    match invites(owner, tenant, name).await? {
        Some(id) => {
            let person = arrives(&owner.site, tenant, name, format!("{name}@mail.example")).await?;
            if person.id != id {
                return Err(Broken(format!("{name} was invited as {id} and came in as {}", person.id)));
            }
            Ok(Some(person))
        }
        None => Ok(None),
    }
}
