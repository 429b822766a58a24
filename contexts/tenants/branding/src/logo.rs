//! A tenant's logo: its bytes, served as an image and nothing else.

use bytes::Bytes;
use contracts::tenants::BrandingView;
use http::{Request, Response, StatusCode, header};
use kernel::{Aggregate, Cx, Granted, Handle, Problem, ProblemKind, ScopeKind, context::Body, use_case};
use register::permissions as may;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Looks,
    branding::{Branding, tag},
};

/// The largest logo, in bytes.
const LARGEST: usize = 128 * 1024;

/// The bytes of a logo.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Logo {
    /// Base64.
    bytes: String,
    image: Image,
}

impl Logo {
    const ID: &'static str = "logo";
}

impl Aggregate for Logo {
    type Id = String;
    const KIND: &'static str = "tenants.logo";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }
}

/// Kinds of images that hold no program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Image {
    Png,
    Jpeg,
    Webp,
}

impl Image {
    /// By what the bytes say, whatever the sender calls them.
    fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::Webp),
            _ => None,
        }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
        }
    }
}

/// Takes a logo; empty, it takes the logo away.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplaceLogo {
    /// The bytes of a PNG, JPEG or WebP of at most 128 KiB, as Base64.
    #[schemars(length(max = 174_764))]
    bytes: String,
}

use_case!(ReplaceLogo => BrandingView, "tenants.branding.replace_logo", Tenant, may::BRANDING_UPDATE);

impl Handle<ReplaceLogo> for Looks {
    async fn handle(&self, it: ReplaceLogo, cx: Granted<ReplaceLogo>) -> Result<BrandingView, Problem> {
        let bytes = data_encoding::BASE64.decode(it.bytes.as_bytes());
        let bytes = bytes.map_err(|_| Problem::invalid_field("/bytes", "expected Base64"))?;
        self.replace_logo(&bytes, &cx).await
    }
}

fn image(bytes: &[u8]) -> Result<Image, Problem> {
    if bytes.len() > LARGEST {
        return Err(Problem::new(ProblemKind::TooLarge, "tenants.logo_too_large", "the logo is larger than 128 KiB")
            .hint("make it smaller"));
    }
    Image::of(bytes).ok_or_else(|| {
        Problem::new(ProblemKind::Unsupported, "tenants.logo_unsupported", "this is no PNG, JPEG or WebP")
            .hint("take the bytes of such an image")
    })
}

impl Looks {
    async fn replace_logo(&self, bytes: &[u8], cx: &Cx) -> Result<BrandingView, Problem> {
        let name = if bytes.is_empty() {
            None
        } else {
            let logo = Logo { image: image(bytes)?, bytes: data_encoding::BASE64.encode(bytes) };
            let rule = |known: &mut Logo| {
                *known = logo.clone();
                Ok(())
            };
            self.store.at(cx).upsert(&Logo::ID.to_owned(), || logo.clone(), rule).await?;
            Some(tag(bytes))
        };
        self.rebrand(cx, |branding| branding.logo.clone_from(&name)).await
    }

    /// Takes a logo as it is; an empty body takes it away.
    pub(crate) async fn put_logo(&self, request: Request<Bytes>, cx: Cx) -> Result<Response<Body>, Problem> {
        let view = self.replace_logo(request.body(), &cx).await?;
        let view = serde_json::to_vec(&view).map_err(Problem::internal)?;
        let response = Response::builder().status(StatusCode::OK).header(header::CONTENT_TYPE, "application/json");
        response.body(view.into()).map_err(Problem::internal)
    }

    /// The logo, as an image and nothing else: a browser that opens it runs nothing.
    pub(crate) async fn logo(&self, _: Request<Bytes>, cx: Cx) -> Result<Response<Body>, Problem> {
        let store = self.store.at(&cx);
        let shown = store.try_load::<Branding>(&Branding::ID.to_owned()).await?.and_then(|it| it.logo.clone());
        let logo = match shown {
            Some(_) => store.try_load::<Logo>(&Logo::ID.to_owned()).await?,
            None => None,
        };
        let logo = logo.ok_or_else(|| Problem::not_found("logo"))?;
        let bytes = data_encoding::BASE64.decode(logo.bytes.as_bytes()).map_err(Problem::internal)?;
        Response::builder()
            .status(StatusCode::OK)
            .header(header::CONTENT_TYPE, logo.image.media_type())
            .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
            .header(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox")
            .header(header::CACHE_CONTROL, "public, max-age=300")
            .body(bytes.into())
            .map_err(Problem::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_known_by_their_bytes() {
        assert_eq!(Image::of(b"\x89PNG\r\n\x1a\n..."), Some(Image::Png));
        assert_eq!(Image::of(b"RIFF1234WEBPVP8 "), Some(Image::Webp));
        for refused in [&b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..], b"GIF89a", b"", b"<html>"] {
            assert_eq!(Image::of(refused), None);
        }
    }
}
