//! How a tenant presents itself: name, colours, logo.

use bytes::Bytes;
use cache::{Cache, IN_FORCE};
use contracts::tenants::{BrandingUpdated, BrandingView, ReadBranding};
use http::{Request, Response, StatusCode, header};
use kernel::{
    Aggregate, Caller, Cx, Granted, Handle, Problem, ScopeKind, TenantId,
    context::Body,
    text::{DisplayName, EmailAddress},
    use_case,
};
use register::{permissions as may, tenant::Tenant};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Looks, colour::Colours};

/// Without its logo, which is a thing of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Branding {
    name: Option<DisplayName>,
    colours: Option<Colours>,
    support: Option<EmailAddress>,
    /// What the logo is called: another for any other logo.
    pub(crate) logo: Option<String>,
}

impl Branding {
    pub(crate) const ID: &'static str = "branding";

    fn sheet(&self) -> String {
        self.colours.map(|it| it.sheet(":root")).unwrap_or_default()
    }

    fn view(&self, company: &DisplayName) -> BrandingView {
        BrandingView {
            name: self.name.clone(),
            shown: self.name.as_ref().unwrap_or(company).clone(),
            accent: self.colours.map(|it| it.accent.text()),
            on_accent: self.colours.map(|it| it.on_accent.text()),
            support: self.support.clone(),
            logo: self.logo.as_ref().map(|name| format!("/v1/branding/logo?v={name}")),
            style: self.colours.map(|_| format!("/brand.css?v={}", tag(self.sheet().as_bytes()))),
        }
    }
}

impl Aggregate for Branding {
    type Id = String;
    const KIND: &'static str = "tenants.branding";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }
}

/// Another for any other content.
pub(crate) fn tag(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    data_encoding::HEXLOWER.encode(digest.as_ref().get(..8).unwrap_or_default())
}

/// What tenants look like, as it was a moment ago at the earliest: each of their pages asks.
pub(crate) type Brands = Cache<TenantId, BrandingView>;

pub(crate) fn brands() -> Brands {
    Cache::new(10_000, IN_FORCE)
}

impl Looks {
    async fn company(&self, cx: &Cx) -> Result<DisplayName, Problem> {
        Ok(self.store.at(&self.register.at_platform(cx)).load::<Tenant>(&cx.tenant()?).await?.name.clone())
    }

    async fn branding(&self, cx: &Cx) -> Result<Branding, Problem> {
        let found = self.store.at(cx).try_load::<Branding>(&Branding::ID.to_owned()).await?;
        Ok(found.map(store::Loaded::into_inner).unwrap_or_default())
    }

    pub(crate) async fn rebrand(
        &self,
        cx: &Cx,
        change: impl Fn(&mut Branding) + Send + Sync,
    ) -> Result<BrandingView, Problem> {
        let tenant = cx.tenant()?;
        let rule = |branding: &mut Branding| {
            change(branding);
            Ok(BrandingUpdated { tenant })
        };
        let changed = self.store.at(cx).upsert(&Branding::ID.to_owned(), Branding::default, rule).await?;
        let view = changed.view(&self.company(cx).await?);
        self.brands.forget(&tenant);
        Ok(view)
    }

    /// The stylesheet of the tenant's pages; with colours in its query, that of a preview, which changes nothing else.
    pub(crate) async fn brand_sheet(&self, request: Request<Bytes>, cx: Cx) -> Result<Response<Body>, Problem> {
        let pairs = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
        let sent: Vec<(String, String)> = pairs.into_owned().take(4).collect();
        let get = |name: &str| sent.iter().find(|it| it.0 == name).map(|it| it.1.as_str()).filter(|it| !it.is_empty());
        let sheet = match get("accent") {
            Some(accent) => Colours::parse(Some(accent), get("on_accent"))?.map(|it| it.sheet(".preview")),
            None => Some(self.branding(&cx).await?.sheet()),
        };
        let sheet = sheet.unwrap_or_default();
        let tag = tag(sheet.as_bytes());
        // Under the name of what it holds it never changes; under any other it is asked for again.
        let lasts = if get("v") == Some(&*tag) { "public, max-age=31536000, immutable" } else { "no-cache" };
        let tag = format!("\"{tag}\"");
        let known = request.headers().get(header::IF_NONE_MATCH).and_then(|it| it.to_str().ok());
        let known = known.is_some_and(|known| known.split(',').any(|it| it.trim().trim_start_matches("W/") == tag));
        let (status, body) = if known { (StatusCode::NOT_MODIFIED, String::new()) } else { (StatusCode::OK, sheet) };
        Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, "text/css; charset=utf-8")
            .header(header::CACHE_CONTROL, lasts)
            .header(header::ETAG, tag)
            .body(body.into())
            .map_err(Problem::internal)
    }
}

impl Handle<ReadBranding> for Looks {
    async fn handle(&self, _: ReadBranding, cx: Granted<ReadBranding>) -> Result<BrandingView, Problem> {
        let read = async { Ok::<_, Problem>(self.branding(&cx).await?.view(&self.company(&cx).await?)) };
        // A service keeps what it is told, often because it changed just now: it is told what is stored.
        if matches!(cx.caller(), Caller::Service { .. }) {
            return read.await;
        }
        Ok(BrandingView::clone(&**self.brands.get_or(cx.tenant()?, read).await?))
    }
}

/// Says how the tenant presents itself; what is left out is as the platform has it. The logo stays as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateBranding {
    /// What it calls itself to its people.
    name: Option<DisplayName>,
    /// The colour of buttons and links, `#rrggbb`.
    #[schemars(length(max = 7))]
    accent: Option<String>,
    /// The colour of text upon it: white or black where nothing is said, whichever is read better.
    #[schemars(length(max = 7))]
    on_accent: Option<String>,
    /// Where its people find help.
    support: Option<EmailAddress>,
}

use_case!(UpdateBranding => BrandingView, "tenants.branding.update", Tenant, may::BRANDING_UPDATE);

impl Handle<UpdateBranding> for Looks {
    async fn handle(&self, it: UpdateBranding, cx: Granted<UpdateBranding>) -> Result<BrandingView, Problem> {
        let colours = Colours::parse(it.accent.as_deref(), it.on_accent.as_deref())?;
        let change = |branding: &mut Branding| {
            let (name, support, logo) = (it.name.clone(), it.support.clone(), branding.logo.clone());
            *branding = Branding { name, colours, support, logo };
        };
        self.rebrand(&cx, change).await
    }
}
