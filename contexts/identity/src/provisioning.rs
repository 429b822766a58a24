//! Setting up a tenant: its realm, its keys, and its owner with a link to come in by.

use accounts::{
    link,
    realm::Realm,
    roster::{Owners, Roster},
    user::User,
};
use contracts::{
    identity::LinkPurpose,
    tenants::{ConfirmProvisioned, ReserveSeat, TenantProvisioned},
};
use kernel::{AnyEvent, Cx, Problem};
use proofs::secret;
use risk::Paced;

use crate::Identity;

impl Identity {
    /// A tenant is to be set up: its realm, and its owner with a link to come in by.
    pub(crate) async fn provisioned(&self, event: TenantProvisioned, cx: Cx) -> Result<(), Problem> {
        let tenant = event.tenant;
        self.set_up(event, &cx.within(tenant)?).await?;
        self.calls.call(ConfirmProvisioned { tenant, context: "identity".to_owned() }, &cx).await
    }

    async fn set_up(&self, event: TenantProvisioned, cx: &Cx) -> Result<(), Problem> {
        let (Some(email), Some(owner_name)) = (event.owner_email.known(), event.owner_name.known()) else {
            return Ok(());
        };
        let (Some(slug), Some(company)) = (event.slug.known(), event.name.known()) else { return Ok(()) };
        let store = self.store.at(cx);
        if store.try_load::<Realm>(&Realm::ID.to_owned()).await?.is_none() {
            let origin = self.settings.origin(slug.as_str());
            store.create(Realm { tenant: event.tenant, name: company, origin }, ()).await?;
        }
        self.signing.prepare(cx).await?;
        if store.try_load::<Owners>(&Owners::ID.to_owned()).await?.is_none() {
            store.create(Owners(Roster::awaiting(event.owner)), ()).await?;
        }
        if store.try_load::<User>(&event.owner).await?.is_some() {
            return Ok(());
        }
        let until = cx.real_now() + link::LASTS;
        self.calls.call(ReserveSeat { user: event.owner, until: Some(until) }, cx).await?;
        let realm = self.accounts.realm(cx).await?;
        // Whoever signs up names any mailbox: it gets only so many mails. The link can be asked for later.
        let mails = self.risk.keeps_pace(Paced::Mailbox, email.as_str()).await?;
        let (user, registered) = User::invite(event.owner, (email, owner_name), Vec::new(), secret::fresh(cx), until);
        let link = link::make(&self.store, cx, &realm, &user, LinkPurpose::Verify).await?;
        let asked = mails.then(|| user.link(LinkPurpose::Verify, link).into());
        store.create(user, [registered.into()].into_iter().chain(asked).collect::<Vec<AnyEvent>>()).await.map(drop)
    }
}
