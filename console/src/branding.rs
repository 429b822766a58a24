//! How the tenant presents itself to its people: chosen by an owner, and seen before it is saved.

use std::sync::Arc;

use askama::Template;
use bytes::Bytes;
use http::Request;
use kernel::{Caller, Cx, Problem};
use serde_json::{Value, json};

use crate::{
    Console,
    answers::{Answer, Sent, form, get, holds, html, is_told, query, redirect, segment, text},
    frame::Frame,
    upload,
};

/// What is in the form.
#[derive(Default)]
struct Chosen {
    name: String,
    support: String,
    /// Whether it has a colour of its own, and which.
    coloured: bool,
    accent: String,
    on_accent: String,
}

#[derive(Template)]
#[template(path = "branding.html")]
struct Branding {
    frame: Frame,
    it: Chosen,
    /// What is shown at the top: the chosen name, or the company's.
    shown: String,
    /// What text can be on the accent.
    on_accents: Vec<(String, String)>,
    logo: Option<String>,
    /// The stylesheet of what is chosen and not saved.
    preview: String,
}

impl Chosen {
    fn stored(it: &Value) -> Self {
        let accent = text(it, "accent");
        let (name, support, on_accent) = (text(it, "name"), text(it, "support"), text(it, "on_accent"));
        Self { name, support, coloured: !accent.is_empty(), accent, on_accent }
    }

    fn sent(sent: &Sent) -> Self {
        let text = |name: &str| get(sent, name).to_owned();
        let coloured = get(sent, "coloured") == "on";
        let (accent, on_accent) = (text("accent"), text("on_accent"));
        Self { name: text("name"), support: text("support"), coloured, accent, on_accent }
    }

    /// As the use case takes it.
    fn asked(&self) -> Value {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let colour = |text: &str| given(text).filter(|_| self.coloured);
        json!({
            "name": given(&self.name), "support": given(&self.support),
            "accent": colour(&self.accent), "on_accent": colour(&self.on_accent),
        })
    }

    fn preview(&self) -> String {
        if !self.coloured {
            return String::new();
        }
        let mut fields = form_urlencoded::Serializer::new(String::new());
        fields.extend_pairs([("accent", &self.accent), ("on_accent", &self.on_accent)]);
        format!("/brand.css?{}", fields.finish())
    }

    fn on_accents(&self) -> Vec<(String, String)> {
        let known = [("", "White or black, whichever is read better"), ("#ffffff", "White"), ("#000000", "Black")];
        let known = known.map(|(value, label)| (value.to_owned(), label.to_owned()));
        let other =
            (!known.iter().any(|it| it.0 == self.on_accent)).then(|| (self.on_accent.clone(), self.on_accent.clone()));
        known.into_iter().chain(other).collect()
    }
}

impl Console {
    pub(crate) async fn branding(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        if !matches!(cx.caller(), Caller::User { .. }) {
            return redirect("/sign-in?return_to=/branding");
        }
        self.branding_page(&query(&request), None, None, &cx).await
    }

    async fn branding_page(&self, sent: &Sent, chosen: Option<Chosen>, refused: Option<&Problem>, cx: &Cx) -> Answer {
        if !holds(cx, "tenants.branding.update") {
            return Err(Problem::not_found("page"));
        }
        let stored = self.calls.ask("tenants.branding.read", json!({}), cx).await?;
        // What was refused has no colours to be seen in.
        let preview = chosen.as_ref().filter(|_| refused.is_none()).map(Chosen::preview).unwrap_or_default();
        let it = chosen.unwrap_or_else(|| Chosen::stored(&stored));
        let shown = if it.name.is_empty() { text(&stored, "shown") } else { it.name.clone() };
        let logo = Some(text(&stored, "logo")).filter(|path| !path.is_empty());
        let frame = self.frame("/branding", sent, refused, cx).await?;
        html(&Branding { frame, on_accents: it.on_accents(), it, shown, logo, preview }, refused)
    }

    pub(crate) async fn branding_act(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let replace = async |bytes: &[u8], said| {
            let input = json!({ "bytes": data_encoding::BASE64.encode(bytes) });
            self.calls.ask("tenants.branding.replace_logo", input, &cx).await.map(|_| said)
        };
        let (done, chosen) = match segment(&request, 1).as_str() {
            "save" => {
                let chosen = Chosen::sent(&form(&request));
                let done = self.calls.ask("tenants.branding.update", chosen.asked(), &cx).await.map(|_| "saved");
                (done, Some(chosen))
            }
            "preview" => {
                let chosen = Chosen::sent(&form(&request));
                return self.branding_page(&Sent::new(), Some(chosen), None, &cx).await;
            }
            "logo" => match upload::file(&request, "logo").await {
                Ok(bytes) if !bytes.is_empty() => (replace(&bytes, "logo").await, None),
                Ok(_) => (Err(Problem::invalid_field("/logo", "choose a file first")), None),
                Err(problem) => (Err(problem), None),
            },
            "remove-logo" => (replace(&[], "logo-gone").await, None),
            _ => return Err(Problem::not_found("page")),
        };
        match done {
            Ok(said) => redirect(&format!("/branding?said={said}")),
            Err(problem) if is_told(&problem) => self.branding_page(&Sent::new(), chosen, Some(&problem), &cx).await,
            Err(problem) => Err(problem),
        }
    }
}
