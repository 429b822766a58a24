//! How a tenant presents itself: name, colours, logo.
//!
//! A colour is taken only together with one that is read well upon it. A logo is served as an image and nothing else. What
//! a tenant chose stands in a stylesheet of its own, never in a page.

mod branding;
mod colour;
mod logo;

use std::sync::Arc;

use bytes::Bytes;
use contracts::tenants::ReadBranding;
use http::{Method, Request, Response};
use kernel::{Context, Cx, Endpoint, Permission, Problem, ScopeKind, context::Body};
use register::{Register, permissions as may};
use store::Store;

use branding::{Brands, UpdateBranding};
use logo::ReplaceLogo;

/// Says how tenants look.
pub struct Looks {
    store: Store,
    register: Register,
    brands: Brands,
}

impl Looks {
    /// With what it stands on.
    pub fn new(store: Store, register: Register) -> Self {
        Self { store, register, brands: branding::brands() }
    }
}

/// The lines of the table.
pub fn mount(context: Context, it: &Arc<Looks>) -> Context {
    context
        .route::<ReadBranding, _>(Method::GET, "/v1/branding", it)
        .route::<UpdateBranding, _>(Method::PUT, "/v1/branding", it)
        .internal::<ReplaceLogo, _>(it)
}

fn endpoint<F, R>(
    it: &Arc<Looks>,
    (name, summary): (&'static str, &'static str),
    needs: Permission,
    serve: F,
) -> Endpoint
where
    F: Fn(Arc<Looks>, Request<Bytes>, Cx) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Response<Body>, Problem>> + Send + 'static,
{
    let it = Arc::clone(it);
    Endpoint::new(name, summary, ScopeKind::Tenant, needs, move |request, cx| serve(Arc::clone(&it), request, cx))
}

/// The logo and the stylesheet.
pub fn mount_assets(context: Context, it: &Arc<Looks>) -> Context {
    let seen = contracts::tenants::BRANDING.permission;
    let logo = ("tenants.branding.logo", "The tenant's logo");
    let logo = endpoint(it, logo, seen, async |it, request, cx| it.logo(request, cx).await);
    let put_logo = ("tenants.branding.put_logo", "Takes a logo: the bytes of a PNG, JPEG or WebP");
    let put_logo = endpoint(it, put_logo, may::BRANDING_UPDATE, async |it, request, cx| it.put_logo(request, cx).await);
    let sheet = ("tenants.branding.sheet", "The stylesheet of the tenant's pages");
    let sheet = endpoint(it, sheet, seen, async |it, request, cx| it.brand_sheet(request, cx).await);
    context
        .endpoint(Method::GET, "/v1/branding/logo", logo.produces("image/*"))
        .endpoint(Method::PUT, "/v1/branding/logo", put_logo)
        .endpoint(Method::GET, "/brand.css", sheet.produces("text/css"))
}
