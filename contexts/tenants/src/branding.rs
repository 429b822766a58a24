//! How a tenant presents itself: name, colours, logo.

use bytes::Bytes;
use contracts::tenants::{BrandingUpdated, BrandingView, ReadBranding, ReadSettings, SettingsView};
use http::{Request, Response, StatusCode, header};
use kernel::{
    Aggregate, Cx, Granted, Handle, Problem, ProblemKind, ScopeKind,
    context::Body,
    text::{DisplayName, EmailAddress},
    use_case,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Tenants, permissions as may};

/// The largest logo, in bytes.
const LARGEST_LOGO: usize = 128 * 1024;
/// WCAG 2.2, success criterion 1.4.3.
const CONTRAST: f64 = 4.5;

/// Without its logo, which is a thing of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Branding {
    name: Option<DisplayName>,
    /// The colour of buttons and links, and that of text upon it.
    colours: Option<(Colour, Colour)>,
    support: Option<EmailAddress>,
    /// What the logo is called: another for any other logo.
    logo: Option<String>,
}

impl Aggregate for Branding {
    type Id = String;
    const KIND: &'static str = "tenants.branding";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> String {
        "branding".to_owned()
    }
}

/// An sRGB colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Colour([u8; 3]);

impl Colour {
    fn parse(at: &str, text: &str) -> Result<Self, Problem> {
        let refused = || Problem::invalid_field(at, "expected a colour such as #1a2b3c");
        let digits = text.strip_prefix('#').filter(|it| it.len() == 6 && it.bytes().all(|c| c.is_ascii_hexdigit()));
        let number = u32::from_str_radix(digits.ok_or_else(refused)?, 16).map_err(|_| refused())?;
        let [_, red, green, blue] = number.to_be_bytes();
        Ok(Self([red, green, blue]))
    }

    fn text(self) -> String {
        let Self([red, green, blue]) = self;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }

    /// WCAG 2.2, "relative luminance".
    fn luminance(self) -> f64 {
        let linear = self.0.map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        let [red, green, blue] = linear;
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// WCAG 2.2, "contrast ratio".
    fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }
}

fn colours(accent: Option<&str>, on_accent: Option<&str>) -> Result<Option<(Colour, Colour)>, Problem> {
    let (white, black) = (Colour([255; 3]), Colour([0; 3]));
    let Some(accent) = accent else {
        let alone = |_| Err(Problem::invalid_field("/on_accent", "expected together with an accent"));
        return on_accent.map_or(Ok(None), alone);
    };
    let accent = Colour::parse("/accent", accent)?;
    let on_accent = match on_accent {
        Some(text) => Colour::parse("/on_accent", text)?,
        None if accent.contrast(white) >= accent.contrast(black) => white,
        None => black,
    };
    let contrast = accent.contrast(on_accent);
    if contrast < CONTRAST {
        let low = format!("the contrast with the accent is {contrast:.1} to 1, and must be 4.5 to 1 at least");
        return Err(Problem::invalid_field("/on_accent", low));
    }
    Ok(Some((accent, on_accent)))
}

impl From<&Branding> for BrandingView {
    fn from(it: &Branding) -> Self {
        Self {
            name: it.name.clone(),
            accent: it.colours.map(|(accent, _)| accent.text()),
            on_accent: it.colours.map(|(_, on_accent)| on_accent.text()),
            support: it.support.clone(),
            logo: it.logo.as_ref().map(|name| format!("/v1/branding/logo?v={name}")),
        }
    }
}

impl Handle<ReadBranding> for Tenants {
    async fn handle(&self, _: ReadBranding, cx: Granted<ReadBranding>) -> Result<BrandingView, Problem> {
        let found = self.store.at(&cx).try_load::<Branding>(&"branding".to_owned()).await?;
        Ok(found.map_or_else(|| (&Branding::default()).into(), |it| (&*it).into()))
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

impl Handle<UpdateBranding> for Tenants {
    async fn handle(&self, it: UpdateBranding, cx: Granted<UpdateBranding>) -> Result<BrandingView, Problem> {
        let colours = colours(it.accent.as_deref(), it.on_accent.as_deref())?;
        let tenant = cx.tenant()?;
        let rule = |branding: &mut Branding| {
            let (name, support, logo) = (it.name.clone(), it.support.clone(), branding.logo.clone());
            *branding = Branding { name, colours, support, logo };
            Ok(BrandingUpdated { tenant })
        };
        let changed = self.upsert(&cx, &"branding".to_owned(), Branding::default, rule).await?;
        Ok((&*changed).into())
    }
}

/// The bytes of a logo.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Logo {
    /// Base64.
    bytes: String,
    image: Image,
}

impl Aggregate for Logo {
    type Id = String;
    const KIND: &'static str = "tenants.logo";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> String {
        "logo".to_owned()
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

impl Tenants {
    /// Takes a logo as it is, PNG, JPEG or WebP; an empty body takes it away.
    pub(crate) async fn put_logo(&self, request: Request<Bytes>, cx: Cx) -> Result<Response<Body>, Problem> {
        let bytes = request.body();
        if bytes.len() > LARGEST_LOGO {
            return Err(Problem::new(
                ProblemKind::TooLarge,
                "tenants.logo_too_large",
                "the logo is larger than 128 KiB",
            )
            .hint("make it smaller"));
        }
        let name = match (bytes.is_empty(), Image::of(bytes)) {
            (true, _) => None,
            (false, Some(image)) => {
                let logo = Logo { bytes: data_encoding::BASE64.encode(bytes), image };
                let rule = |known: &mut Logo| {
                    *known = logo.clone();
                    Ok(())
                };
                self.upsert(&cx, &"logo".to_owned(), || logo.clone(), rule).await?;
                let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
                Some(data_encoding::HEXLOWER.encode(digest.as_ref().get(..8).unwrap_or_default()))
            }
            (false, None) => {
                return Err(Problem::new(
                    ProblemKind::Unsupported,
                    "tenants.logo_unsupported",
                    "this is no PNG, JPEG or WebP",
                )
                .hint("send the bytes of such an image as the body"));
            }
        };
        let tenant = cx.tenant()?;
        let rule = |branding: &mut Branding| {
            branding.logo.clone_from(&name);
            Ok(BrandingUpdated { tenant })
        };
        let changed = self.upsert(&cx, &"branding".to_owned(), Branding::default, rule).await?;
        let view = serde_json::to_vec(&BrandingView::from(&*changed)).map_err(Problem::internal)?;
        let response = Response::builder().status(StatusCode::OK).header(header::CONTENT_TYPE, "application/json");
        response.body(view.into()).map_err(Problem::internal)
    }

    /// The logo, as an image and nothing else: a browser that opens it runs nothing.
    pub(crate) async fn logo(&self, _: Request<Bytes>, cx: Cx) -> Result<Response<Body>, Problem> {
        let store = self.store.at(&cx);
        let shown = store.try_load::<Branding>(&"branding".to_owned()).await?.and_then(|it| it.logo.clone());
        let logo = match shown {
            Some(_) => store.try_load::<Logo>(&"logo".to_owned()).await?,
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

/// What is the same for all people of a tenant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Preferences {
    time_zone: String,
    locale: String,
}

impl Default for Preferences {
    fn default() -> Self {
        Self { time_zone: "UTC".to_owned(), locale: "en".to_owned() }
    }
}

impl Aggregate for Preferences {
    type Id = String;
    const KIND: &'static str = "tenants.settings";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> String {
        "settings".to_owned()
    }
}

impl From<&Preferences> for SettingsView {
    fn from(it: &Preferences) -> Self {
        Self { time_zone: it.time_zone.clone(), locale: it.locale.clone() }
    }
}

impl Handle<ReadSettings> for Tenants {
    async fn handle(&self, _: ReadSettings, cx: Granted<ReadSettings>) -> Result<SettingsView, Problem> {
        let found = self.store.at(&cx).try_load::<Preferences>(&"settings".to_owned()).await?;
        Ok(found.map_or_else(|| (&Preferences::default()).into(), |it| (&*it).into()))
    }
}

/// Sets the tenant's time zone and language.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateSettings {
    /// The time zone (IANA), such as `Europe/Vienna`.
    #[schemars(length(min = 1, max = 64))]
    time_zone: String,
    /// The language (BCP 47), such as `de-AT`.
    #[schemars(length(min = 2, max = 35))]
    locale: String,
}

use_case!(UpdateSettings => SettingsView, "tenants.settings.update", Tenant, may::SETTINGS_UPDATE);

/// A language, and parts of 1 to 8 letters or digits after it (RFC 5646, section 2.1).
fn is_locale(text: &str) -> bool {
    let mut parts = text.split('-');
    let language = parts.next().unwrap_or_default();
    text.len() <= 35
        && (2..=3).contains(&language.len())
        && language.bytes().all(|c| c.is_ascii_alphabetic())
        && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_alphanumeric()))
}

impl Handle<UpdateSettings> for Tenants {
    async fn handle(&self, it: UpdateSettings, cx: Granted<UpdateSettings>) -> Result<SettingsView, Problem> {
        let known = it.time_zone.len() <= 64 && jiff::tz::TimeZone::get(&it.time_zone).is_ok();
        if !known {
            return Err(Problem::invalid_field("/time_zone", "expected a time zone such as Europe/Vienna"));
        }
        if !is_locale(&it.locale) {
            return Err(Problem::invalid_field("/locale", "expected a language such as de-AT"));
        }
        let rule = |known: &mut Preferences| {
            *known = Preferences { time_zone: it.time_zone.clone(), locale: it.locale.clone() };
            Ok(())
        };
        let changed = self.upsert(&cx, &"settings".to_owned(), Preferences::default, rule).await?;
        Ok((&*changed).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_can_be_read_on_the_accent() {
        let chosen = |accent| colours(Some(accent), None).unwrap().unwrap().1.text();
        assert_eq!((chosen("#1a2b3c"), chosen("#ffee00")), ("#ffffff".to_owned(), "#000000".to_owned()));
        assert!(colours(Some("#777777"), Some("#ffffff")).is_err(), "4.48 to 1 is too little");
        assert!(colours(Some("#767676"), Some("#ffffff")).is_ok(), "4.54 to 1 is enough");
        assert!(colours(None, Some("#ffffff")).is_err() && colours(None, None).unwrap().is_none());
        for refused in ["red", "#fff", "#12345g", "#+12345", ""] {
            assert!(colours(Some(refused), None).is_err(), "{refused}");
        }
    }

    #[test]
    fn images_are_known_by_their_bytes() {
        assert_eq!(Image::of(b"\x89PNG\r\n\x1a\n..."), Some(Image::Png));
        assert_eq!(Image::of(b"RIFF1234WEBPVP8 "), Some(Image::Webp));
        for refused in [&b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..], b"GIF89a", b"", b"<html>"] {
            assert_eq!(Image::of(refused), None);
        }
    }

    #[test]
    fn locales() {
        assert!(["de", "de-AT", "zh-Hant-TW", "es-419"].into_iter().all(is_locale));
        assert!(!["", "d", "de_AT", "de-", "deutsch", "de-!"].into_iter().any(is_locale));
    }
}
