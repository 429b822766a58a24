//! How pages look: the colours, type and controls that all of them share, the brand of the tenant that they are shown for,
//! and the frame of a page that stands by itself (signing in, unsubscribing).
//!
//! Nothing that a tenant chose stands in a style of a page: its colours come from a stylesheet that the context `tenants`
//! serves. The policy of a page names the styles that stand in it by their hashes, so a style or script that anybody else
//! gets into a page does nothing.

mod brand;
mod frame;

use std::sync::LazyLock;

use askama::Template;
use http::{HeaderValue, Response, StatusCode, header};
use kernel::{Problem, context::Body};

pub use brand::Brand;
pub use frame::{content, shown, wants_pages};

/// Colours, spaces, type and controls.
pub const TOKENS: &str = include_str!("../templates/tokens.css");

/// What an endpoint of pages answers.
pub type Answer = Result<Response<Body>, Problem>;

/// The policy of pages with these styles in them.
pub struct Policy(LazyLock<String>);

impl Policy {
    /// `styles` are called once: what they give is what stands in the `style` elements.
    pub const fn of(policy: fn() -> String) -> Self {
        Self(LazyLock::new(policy))
    }
}

/// The text of a policy for pages with these styles (Content Security Policy Level 3, section 2.3.1).
pub fn policy(styles: &[&str]) -> String {
    let hash = |style: &&str| {
        let digest = ring::digest::digest(&ring::digest::SHA256, style.as_bytes());
        format!(" 'sha256-{}'", data_encoding::BASE64.encode(digest.as_ref()))
    };
    let hashes: String = styles.iter().map(hash).collect();
    format!(
        "default-src 'none'; style-src 'self'{hashes}; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// A page as HTTP.
pub fn page(status: StatusCode, page: &impl Template, policy: &Policy) -> Answer {
    let policy = HeaderValue::from_str(&policy.0).map_err(Problem::internal)?;
    let answer = Response::builder().status(status).header(header::CONTENT_TYPE, "text/html; charset=utf-8");
    let answer = answer.header(header::CONTENT_SECURITY_POLICY, policy);
    answer.body(page.render().map_err(Problem::internal)?.into()).map_err(Problem::internal)
}
