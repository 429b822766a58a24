//! Tax: a port, and the rates that an operator sets. To whom a tenant's invoices go.

use async_trait::async_trait;
use billing_books::{
    Seller,
    tax::{Buyer, Profile, Rates, Tax, assess},
};
use kernel::{Cx, Granted, Handle, Problem, TenantId, UserId, text::Note, use_case};
use money::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Store;

use crate::Billing;
use permissions as may;

/// Tells the tax upon a supply. Asked once an invoice, and what it says stands on it.
#[async_trait]
pub trait Taxes: Send + Sync + 'static {
    /// The tax upon an amount that this buyer owes; `platform` is a context of the platform's scope.
    async fn assess(&self, profile: &Profile, base: Money, platform: &Cx) -> Result<Tax, Problem>;
}

/// The rates that an operator set.
pub struct RateTable(Store);

impl RateTable {
    /// The rates in a store.
    pub const fn new(store: Store) -> Self {
        Self(store)
    }
}

#[async_trait]
impl Taxes for RateTable {
    async fn assess(&self, profile: &Profile, base: Money, platform: &Cx) -> Result<Tax, Problem> {
        let rates = self.0.at(platform).try_load::<Rates>(&Rates::ID.to_owned()).await?;
        Ok(assess(rates.as_deref(), profile, base)?)
    }
}

/// Says where the seller is, and the rate of tax of each country where it has to charge it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetTaxRates {
    /// The rates.
    rates: Rates,
}

use_case!(SetTaxRates => Rates, "billing.tax_rates.set", Platform, may::TAX);

impl Handle<SetTaxRates> for Billing {
    async fn handle(&self, it: SetTaxRates, cx: Granted<SetTaxRates>) -> Result<Rates, Problem> {
        let told = it.rates.check()?;
        let rule = |known: &mut Rates| {
            *known = it.rates.clone();
            Ok(told.clone())
        };
        Ok(self.store.at(&cx).upsert(&Rates::ID.to_owned(), || it.rates.clone(), rule).await?.into_inner())
    }
}

/// The rates of tax.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadTaxRates {}

use_case!(ReadTaxRates => Rates, "billing.tax_rates.read", Platform, may::TAX, Tell);

impl Handle<ReadTaxRates> for Billing {
    async fn handle(&self, _: ReadTaxRates, cx: Granted<ReadTaxRates>) -> Result<Rates, Problem> {
        let rates = self.store.at(&cx).try_load::<Rates>(&Rates::ID.to_owned()).await?;
        rates.map(store::Loaded::into_inner).ok_or_else(|| Problem::not_found("table of rates"))
    }
}

/// Says who sells: the legal entity that stands on invoices, from the next one on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetSeller {
    /// Who.
    seller: Seller,
}

use_case!(SetSeller => Seller, "billing.seller.set", Platform, may::TAX);

impl Handle<SetSeller> for Billing {
    async fn handle(&self, it: SetSeller, cx: Granted<SetSeller>) -> Result<Seller, Problem> {
        let told = it.seller.check()?;
        let rule = |known: &mut Seller| {
            known.clone_from(&it.seller);
            Ok(told.clone())
        };
        Ok(self.store.at(&cx).upsert(&Seller::ID.to_owned(), || it.seller.clone(), rule).await?.into_inner())
    }
}

/// Who sells.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadSeller {}

use_case!(ReadSeller => Seller, "billing.seller.read", Platform, may::TAX, Tell);

impl Handle<ReadSeller> for Billing {
    async fn handle(&self, _: ReadSeller, cx: Granted<ReadSeller>) -> Result<Seller, Problem> {
        self.store.at(&cx).load::<Seller>(&Seller::ID.to_owned()).await.map(store::Loaded::into_inner)
    }
}

/// Says to whom the tenant's invoices go, from the next one on. A tax number is taken as it is told: whoever runs the
/// installation answers for checking it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateProfile {
    /// To whom.
    buyer: Buyer,
    /// The person who gets mail about invoices and payments; as before where nobody is named. At first, whoever founded
    /// the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contact: Option<UserId>,
}

/// To whom invoices go.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ProfileView {
    #[serde(skip_serializing_if = "Option::is_none")]
    buyer: Option<Buyer>,
    /// Why the tenant is exempted from tax.
    #[serde(skip_serializing_if = "Option::is_none")]
    exempt: Option<Note>,
    /// Who gets mail about invoices and payments.
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<UserId>,
}

impl From<Profile> for ProfileView {
    fn from(it: Profile) -> Self {
        Self { buyer: it.buyer, exempt: it.exempt, contact: it.contact }
    }
}

use_case!(UpdateProfile => ProfileView, "billing.profile.update", Tenant, may::PROFILE_UPDATE);

impl Handle<UpdateProfile> for Billing {
    async fn handle(&self, it: UpdateProfile, cx: Granted<UpdateProfile>) -> Result<ProfileView, Problem> {
        let rule = |profile: &mut Profile| {
            profile.contact = it.contact.or(profile.contact);
            Ok(profile.update(it.buyer.clone()))
        };
        Ok(self.store.at(&cx).upsert(&Profile::ID.to_owned(), Profile::default, rule).await?.into_inner().into())
    }
}

/// To whom the tenant's invoices go.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadProfile {}

use_case!(ReadProfile => ProfileView, "billing.profile.read", Tenant, may::PROFILE_READ, Tell);

impl Handle<ReadProfile> for Billing {
    async fn handle(&self, _: ReadProfile, cx: Granted<ReadProfile>) -> Result<ProfileView, Problem> {
        Ok(self.profile(&cx).await?.into())
    }
}

/// Exempts a tenant from tax, or takes that back.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExemptTenant {
    /// Which tenant.
    tenant: TenantId,
    /// Why; nothing to take it back.
    reason: Option<Note>,
}

use_case!(ExemptTenant => (), "billing.profile.exempt", Platform, may::TAX, |it| it.tenant.into());

impl Handle<ExemptTenant> for Billing {
    async fn handle(&self, it: ExemptTenant, cx: Granted<ExemptTenant>) -> Result<(), Problem> {
        let inside = self.inside(it.tenant, &cx).await?;
        let rule = |profile: &mut Profile| {
            profile.exempt.clone_from(&it.reason);
            Ok(())
        };
        self.store.at(&inside).upsert(&Profile::ID.to_owned(), Profile::default, rule).await.map(drop)
    }
}

impl Billing {
    pub(crate) async fn profile(&self, cx: &Cx) -> Result<Profile, Problem> {
        let found = self.store.at(cx).try_load::<Profile>(&Profile::ID.to_owned()).await?;
        Ok(found.map(store::Loaded::into_inner).unwrap_or_default())
    }
}
