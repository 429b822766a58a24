//! What stands around every page: where one is, where one can go, and what came of the last act.

use jiff::tz::TimeZone;
use kernel::{Cx, Problem};
use look::Brand;
use serde_json::{Value, json};

use crate::{
    Console,
    answers::{Sent, get, holds, items, shown, text, told},
};

/// What an act says of itself once it is done, by the word that the address carries.
const SAID: [(&str, &str); 21] = [
    ("saved", "Saved."),
    ("ended", "That session is over."),
    ("scheduled", "Your account is going to be erased. Until then you can call it off here."),
    ("kept", "Your account stays."),
    ("invited", "Invited. The link is on its way by mail."),
    ("resent", "The link is on its way again."),
    ("taken-back", "The invitation is taken back. Its link leads nowhere."),
    ("roles", "The roles are changed."),
    ("deactivated", "Deactivated. They are signed out everywhere."),
    ("reactivated", "Reactivated. They can sign in again."),
    ("erasing", "The erasure has begun. Each part of the platform destroys what it holds."),
    ("key-ended", "The key is over. Programs that use it stop."),
    ("logo", "That is your logo now."),
    ("logo-gone", "The logo is gone. Your name stands in its place."),
    ("cancelled", "Cancelled. The plan stays in force until the period ends."),
    ("paying", "The payment is under way. This page shows what becomes of it."),
    ("ordered", "Ordered. The credits can be used once their invoice is paid."),
    ("suspended", "Suspended. Nobody of that company can sign in."),
    ("resumed", "Resumed. All is as before."),
    ("archived", "Put away. It can be restored."),
    ("erased", "The erasure has begun. The keys are destroyed first."),
];

/// See above.
pub(crate) struct Frame {
    pub(crate) brand: Brand,
    pub(crate) theme: String,
    pub(crate) here: &'static str,
    pub(crate) links: Vec<(&'static str, &'static str)>,
    pub(crate) sign_out: &'static str,
    pub(crate) said: &'static str,
    pub(crate) trouble: String,
}

fn said(sent: &Sent) -> &'static str {
    let word = get(sent, "said");
    SAID.iter().find(|(name, _)| *name == word).map(|(_, said)| *said).unwrap_or_default()
}

impl Frame {
    /// Around the operator's pages about tenants.
    pub(crate) fn of_operator(sent: &Sent, refused: Option<&Problem>) -> Self {
        Self::of_operator_at("/operator", sent, refused)
    }

    /// Around one of the operator's pages.
    pub(crate) fn of_operator_at(here: &'static str, sent: &Sent, refused: Option<&Problem>) -> Self {
        Self {
            brand: Brand::platform(),
            theme: "system".to_owned(),
            here,
            links: vec![
                ("/operator", "Tenants"),
                ("/operator/sales", "Sales"),
                ("/operator/audit", "Audit log"),
                ("/operator/account", "Your account"),
            ],
            sign_out: "/operator/sign-out",
            said: said(sent),
            trouble: refused.map(told).unwrap_or_default(),
        }
    }
}

impl Console {
    /// `None` where the caller may not see it, or no context here serves it.
    pub(crate) async fn see(&self, name: &str, input: Value, cx: &Cx) -> Result<Option<Value>, Problem> {
        shown(self.calls.ask(name, input, cx).await)
    }

    /// Around a tenant's pages, as the person likes it.
    pub(crate) async fn frame(
        &self,
        here: &'static str,
        sent: &Sent,
        refused: Option<&Problem>,
        cx: &Cx,
    ) -> Result<Frame, Problem> {
        let preferences = self.see("users.preferences", json!({}), cx).await?.unwrap_or_default();
        let theme = items(&preferences).iter().find(|it| text(it, "key") == "theme").map(|it| text(it, "value"));
        let mut links = vec![("/home", "Home")];
        if holds(cx, "users.profile.read") {
            links.push(("/people", "People"));
        }
        if holds(cx, "tenants.feature.update") || holds(cx, "identity.api_key.update") {
            links.push(("/settings", "Settings"));
        }
        if holds(cx, "billing.subscription.read") {
            links.push(("/billing", "Billing"));
        }
        if holds(cx, "audit.entry.read") {
            links.push(("/audit", "Audit log"));
        }
        if holds(cx, "tenants.branding.update") {
            links.push(("/branding", "Branding"));
        }
        Ok(Frame {
            brand: Brand::of(&self.calls, cx).await,
            theme: theme.unwrap_or_else(|| "system".to_owned()),
            here,
            links,
            sign_out: "/sign-out",
            said: said(sent),
            trouble: refused.map(told).unwrap_or_default(),
        })
    }

    /// The time zone that the caller lives by.
    pub(crate) async fn zone(&self, cx: &Cx) -> Result<TimeZone, Problem> {
        let me = self.see("users.me", json!({}), cx).await?.unwrap_or_default();
        Ok(TimeZone::get(&text(&me, "time_zone")).unwrap_or(TimeZone::UTC))
    }

    /// How many seats are taken, in words.
    pub(crate) async fn seats(&self, cx: &Cx) -> Result<String, Problem> {
        let seats = self.see("tenants.seats.read", json!({}), cx).await?;
        let number = |seats: &Value, field: &str| crate::answers::number(seats, field);
        Ok(seats.map(|it| format!("{} of {} seats", number(&it, "used"), number(&it, "limit"))).unwrap_or_default())
    }
}
