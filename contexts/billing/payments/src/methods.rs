//! The ways to pay that a tenant saved. Cards and accounts are told to the gateways alone, on their pages or in their
//! fields; what comes here is their name of it.

use billing_books::{Invoice, Methods, invoice::InvoiceState, methods::Saved};
use billing_gateways::{Method, Reference, Setup};
use contracts::{billing::InvoiceId, payments::MethodId, tenants::ResolveTenant};
use kernel::{Aggregate, Cx, Granted, Handle, Problem, text::Key, use_case};
use money::Currency;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Loaded;

use crate::{Payments, gateways::problem};
use permissions as may;

/// Where a gateway's page leads back to.
const BACK: &str = "/billing";

/// A way to pay.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MethodView {
    id: MethodId,
    gateway: String,
    /// `card`, `sepa_debit`, …
    kind: String,
    /// What people know it by.
    label: String,
    /// The last year and month in which it can be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<(u16, u8)>,
    /// Whether invoices are charged to it.
    preferred: bool,
}

/// The ways to pay, the preferred one first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MethodsView {
    items: Vec<MethodView>,
    /// The gateways at which one can be saved.
    gateways: Vec<String>,
}

/// The tenant's ways to pay.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListMethods {}

use_case!(ListMethods => MethodsView, "billing.methods.list", Tenant, may::METHOD_READ, Tell);

/// Begins to save a way to pay on a page of the gateway's, to which it answers the address.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetUpMethod {
    /// At which gateway; by the rules of the installation where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gateway: Option<Key>,
    /// The currency that is to be paid.
    currency: Currency,
}

/// Where a way to pay is saved.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SetupView {
    gateway: String,
    /// The gateway's page.
    url: String,
    /// What the gateway calls what happens there.
    session: String,
}

use_case!(SetUpMethod => SetupView, "billing.methods.set_up", Tenant, may::METHOD_MANAGE);

/// Takes what was saved on the gateway's page. The gateway tells by itself as well; whoever is first takes it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TakeMethod {
    /// At which gateway.
    gateway: Key,
    /// What it calls what happened there.
    session: Reference,
}

use_case!(TakeMethod => MethodsView, "billing.methods.take", Tenant, may::METHOD_MANAGE);

/// Saves a way to pay that the gateway's own fields made, by the gateway's name of it (`pm_…` of Stripe's). Invoices that
/// are to be paid are charged to it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddMethod {
    /// At which gateway.
    gateway: Key,
    /// Its name of it.
    token: Reference,
}

use_case!(AddMethod => MethodsView, "billing.methods.add", Tenant, may::METHOD_MANAGE);

/// Charges invoices to another of the ways to pay, from now on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreferMethod {
    /// Which.
    method: MethodId,
}

use_case!(PreferMethod => MethodsView, "billing.methods.prefer", Tenant, may::METHOD_MANAGE);

/// Forgets a way to pay, here and at the gateway.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveMethod {
    /// Which.
    method: MethodId,
}

use_case!(RemoveMethod => MethodsView, "billing.methods.remove", Tenant, may::METHOD_MANAGE);

impl Payments {
    pub(crate) async fn methods(&self, cx: &Cx) -> Result<Methods, Problem> {
        let found = self.store.at(cx).try_load::<Methods>(&Methods::ID.to_owned()).await?;
        Ok(found.map(store::Loaded::into_inner).unwrap_or_default())
    }

    fn methods_view(&self, it: &Methods) -> MethodsView {
        let view = |(place, saved): (usize, &Saved)| {
            let Method { kind, label, expires, .. } = saved.method.clone();
            MethodView { id: saved.id, gateway: saved.gateway.clone(), kind, label, expires, preferred: place == 0 }
        };
        let items = it.all().iter().enumerate().map(view).collect();
        MethodsView { items, gateways: self.gateways.names().map(str::to_owned).collect() }
    }

    /// The gateway's name of the tenant, which it is told where it has none.
    pub(crate) async fn customer(&self, gateway: &str, cx: &Cx) -> Result<String, Problem> {
        let known = self.methods(cx).await?;
        if let Some(known) = known.customer(gateway) {
            return Ok(known.to_owned());
        }
        let made = self.gateways.named(gateway)?.customer(cx.tenant()?).await.map_err(problem)?;
        let rule = |it: &mut Methods| {
            it.known_as(gateway, &made);
            Ok(())
        };
        let kept = self.store.at(cx).upsert(&Methods::ID.to_owned(), Methods::default, rule).await?;
        Ok(kept.customer(gateway).unwrap_or(&made).to_owned())
    }

    /// Takes the method that was saved on a gateway's page, if one was.
    pub(crate) async fn take(
        &self,
        gateway: &str,
        session: &Reference,
        cx: &Cx,
    ) -> Result<Option<MethodsView>, Problem> {
        let gateway = self.gateways.named(gateway)?;
        let customer = self.customer(gateway.name(), cx).await?;
        match gateway.saved(&customer, session.as_str()).await.map_err(problem)? {
            Some(method) => self.keep_method(gateway.name(), method, cx).await.map(Some),
            None => Ok(None),
        }
    }

    /// Keeps a method that the gateway keeps.
    async fn keep_method(&self, gateway: &str, method: Method, cx: &Cx) -> Result<MethodsView, Problem> {
        let (id, at) = (cx.new_id(), cx.real_now());
        let saved = Saved { id, gateway: gateway.to_owned(), method, at };
        let rule = |it: &mut Methods| Ok(it.add(saved.clone())?);
        let kept = self.store.at(cx).upsert(&Methods::ID.to_owned(), Methods::default, rule).await?;
        Ok(self.methods_view(&kept))
    }

    /// The invoices that are to be paid.
    pub(crate) async fn open_invoices(&self, cx: &Cx) -> Result<Vec<InvoiceId>, Problem> {
        let mut open = Vec::new();
        let keep = |it: Loaded<Invoice>| {
            open.extend((it.state() == InvoiceState::Open).then(|| it.id()));
            Ok(())
        };
        self.store.at(cx).each(("open", ""), 100, keep).await?;
        Ok(open)
    }
}

impl Handle<ListMethods> for Payments {
    async fn handle(&self, _: ListMethods, cx: Granted<ListMethods>) -> Result<MethodsView, Problem> {
        Ok(self.methods_view(&self.methods(&cx).await?))
    }
}

impl Handle<SetUpMethod> for Payments {
    async fn handle(&self, it: SetUpMethod, cx: Granted<SetUpMethod>) -> Result<SetupView, Problem> {
        let country = self.profile(&cx).await?.buyer.map(|buyer| buyer.country);
        let gateway = match &it.gateway {
            Some(named) => self.gateways.named(named.as_str())?,
            None => self.gateways.offered(it.currency, country)?,
        };
        let (tenant, customer) = (cx.tenant()?, self.customer(gateway.name(), &cx).await?);
        let resolved = self
            .calls
            .call(ResolveTenant { name: tenant.to_string() }, &self.services.at_platform("billing", &cx))
            .await?;
        let back = format!("{}{BACK}?gateway={}", resolved.origin, gateway.name());
        let page = gateway.setup(&Setup { tenant, customer, currency: it.currency, back }).await.map_err(problem)?;
        Ok(SetupView { gateway: gateway.name().to_owned(), url: page.url, session: page.reference })
    }
}

impl Handle<TakeMethod> for Payments {
    async fn handle(&self, it: TakeMethod, cx: Granted<TakeMethod>) -> Result<MethodsView, Problem> {
        match self.take(it.gateway.as_str(), &it.session, &cx).await? {
            Some(view) => Ok(view),
            None => Ok(self.methods_view(&self.methods(&cx).await?)),
        }
    }
}

impl Handle<AddMethod> for Payments {
    async fn handle(&self, it: AddMethod, cx: Granted<AddMethod>) -> Result<MethodsView, Problem> {
        let gateway = self.gateways.named(it.gateway.as_str())?;
        let customer = self.customer(gateway.name(), &cx).await?;
        let method = gateway.attach(&customer, it.token.as_str()).await.map_err(problem)?;
        self.keep_method(gateway.name(), method, &cx).await
    }
}

impl Handle<PreferMethod> for Payments {
    async fn handle(&self, it: PreferMethod, cx: Granted<PreferMethod>) -> Result<MethodsView, Problem> {
        let rule = |methods: &mut Methods| Ok(methods.prefer(it.method)?);
        let kept = self.store.at(&cx).upsert(&Methods::ID.to_owned(), Methods::default, rule).await?;
        Ok(self.methods_view(&kept))
    }
}

impl Handle<RemoveMethod> for Payments {
    async fn handle(&self, it: RemoveMethod, cx: Granted<RemoveMethod>) -> Result<MethodsView, Problem> {
        // At the gateway first: what is forgotten here could not be found there any more. One that is not connected any more
        // charges nothing.
        if let Some(by) = self.methods(&cx).await?.by(it.method)
            && let Some(gateway) = self.gateways.get(&by.gateway)
        {
            gateway.detach(&by.customer, &by.token).await.map_err(problem)?;
        }
        let rule = |methods: &mut Methods| Ok(methods.remove(it.method)?);
        let kept = self.store.at(&cx).upsert(&Methods::ID.to_owned(), Methods::default, rule).await?;
        Ok(self.methods_view(&kept))
    }
}
