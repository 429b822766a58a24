//! The pages of links that are mailed: choosing a password, changing the address; and asking for such a link.

use std::{collections::HashMap, sync::Arc};

use accounts::{link, user::User};
use bytes::Bytes;
use contracts::identity::LinkPurpose;
use forms::{
    Answer, EMAIL, Form, Message, NEW_PASSWORD, Troubles, for_form, get,
    http_forms::{form, query, redirect},
    show,
};
use http::{Request, StatusCode};
use kernel::{Cx, Problem, ProblemKind};
use proofs::secret;
use risk::Paced;

use crate::{SignIn, device::Place};

fn no_longer_good(href: &str, link: &str) -> Answer {
    let text = "This link was used before, or is older than two days.";
    Message { title: "No longer good", text, href, link }.show(StatusCode::GONE)
}

impl SignIn {
    fn choose(sent: &HashMap<String, String>, troubles: &Troubles) -> Answer {
        let (title, text) = match get(sent, "for") {
            "recover" => ("Choose a new password", "All links that were sent before are void from now on."),
            _ => ("Welcome", "Choose a password, and you are in."),
        };
        let hidden = vec![("ticket", get(sent, "ticket")), ("for", get(sent, "for"))];
        let fields = vec![NEW_PASSWORD.sent(sent, troubles)];
        show(Form { title, text, trouble: &troubles.whole, hidden, fields, act: "Go on" }, troubles.status())
    }

    pub(crate) async fn welcome_form(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = query(&request);
        match link::open(&self.store, &cx, get(&sent, "ticket")).await {
            Ok(_) => Self::choose(&sent, &Troubles::default()),
            Err(refused) if refused.kind() == ProblemKind::Refused => no_longer_good("/recover", "Get a new one"),
            Err(other) => Err(other),
        }
    }

    pub(crate) async fn welcome(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = form(&request)?;
        let chosen = async {
            let user = link::open(&self.store, &cx, get(&sent, "ticket")).await?;
            let hash = self.hash_for(&user, get(&sent, "password").to_owned(), &cx).await?;
            let stamp = secret::fresh(&cx);
            let now = cx.real_now();
            let choose = |it: &mut User| it.choose_password(&user.proofs.stamp, hash.clone(), stamp.clone(), now);
            self.store.at(&cx).change(&user.id, choose).await.map(store::Loaded::into_inner)
        };
        match chosen.await {
            Ok(user) => {
                // Whoever knew the old password may be signed in somewhere: the epoch has ended that; this clears away.
                self.accounts.end_all_sessions(user.id, &cx).await?;
                self.risk.forget_guesses(user.email.as_str(), &cx).await?;
                // A new password does not stand in for the second factor. The code is asked for of a device that is known:
                // whoever has the mailbox gets in, whatever strangers try.
                if user.proofs.totp.needed() {
                    return self.and_knows(redirect("/sign-in")?, &user, &cx).await;
                }
                self.begin(&user, &["pwd"], "/", &cx).await
            }
            Err(problem) => Self::choose(&sent, &for_form(problem, &["password"])?),
        }
    }

    #[expect(clippy::unused_async, reason = "endpoints are asynchronous")]
    pub(crate) async fn recover_form(self: Arc<Self>, _: Request<Bytes>, _: Cx) -> Answer {
        Self::recover_page(&HashMap::new(), &Troubles::default(), StatusCode::OK)
    }

    fn recover_page(sent: &HashMap<String, String>, troubles: &Troubles, status: StatusCode) -> Answer {
        let (title, text) = ("New password", "You get a link by mail, if the address is known here.");
        let fields = vec![EMAIL.sent(sent, troubles)];
        show(Form { title, text, trouble: &troubles.whole, hidden: Vec::new(), fields, act: "Send the link" }, status)
    }

    pub(crate) async fn recover(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = form(&request)?;
        if !self.risk.keeps_pace(Paced::Source, &Place::of(&request).source).await? {
            let busy = Troubles::whole("Many links were asked for from where you are. Try again in an hour.");
            return Self::recover_page(&sent, &busy, StatusCode::TOO_MANY_REQUESTS);
        }
        if let Some(user) = self.by_email::<User>(get(&sent, "email"), &cx).await?
            && self.risk.keeps_pace(Paced::Mailbox, user.email.as_str()).await?
        {
            let (user, realm) = (self.renewed(user, &cx).await?, self.accounts.realm(&cx).await?);
            let link = link::make(&self.store, &cx, &realm, &user, LinkPurpose::Recover).await?;
            let now = cx.real_now();
            let ask = |user: &mut User| {
                let asked = user.recover(link.clone(), now).map(kernel::AnyEvent::from);
                Ok(asked.into_iter().collect::<Vec<_>>())
            };
            self.store.at(&cx).change(&user.id, ask).await?;
        }
        let text = "If the address is known here, a link is on its way.";
        Message { title: "Look into your mail", text, href: "/sign-in", link: "Back to sign-in" }.show(StatusCode::OK)
    }

    /// Following a link changes nothing yet: programs that look into mails follow links too.
    pub(crate) async fn change_address_form(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = query(&request);
        let opened = link::open_move(&self.store, &cx, get(&sent, "side"), get(&sent, "ticket")).await;
        let user = match opened {
            Ok((user, _)) => user,
            Err(refused) if refused.kind() == ProblemKind::Refused => {
                return no_longer_good("/account", "To your account");
            }
            Err(other) => return Err(other),
        };
        let to = user.moving.as_ref().map(|moving| moving.to.to_string()).unwrap_or_default();
        let text = format!("From now on you sign in with {to}, and get your mails there.");
        let hidden = vec![("ticket", get(&sent, "ticket")), ("side", get(&sent, "side"))];
        let (title, trouble, act) = ("Change your e-mail address", "", "Agree");
        show(Form { title, text: &text, trouble, hidden, fields: Vec::new(), act }, StatusCode::OK)
    }

    pub(crate) async fn change_address(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = form(&request)?;
        match self.agreed(&sent, &cx).await {
            Ok(true) => {
                let text = "Sign in with the new address from now on.";
                Message { title: "Your address is changed", text, href: "/account", link: "To your account" }
                    .show(StatusCode::OK)
            }
            Ok(false) => {
                let text = "Now follow the link that was sent to the other address.";
                Message { title: "One more to go", text, href: "", link: "" }.show(StatusCode::OK)
            }
            Err(refused) if matches!(refused.kind(), ProblemKind::Refused | ProblemKind::Conflict) => {
                let troubles = for_form(refused, &[])?;
                let message = Message {
                    title: "Nothing was changed",
                    text: &troubles.whole,
                    href: "/account",
                    link: "To your account",
                };
                message.show(StatusCode::UNPROCESSABLE_ENTITY)
            }
            Err(other) => Err(other),
        }
    }

    /// Whether both have agreed now.
    async fn agreed(&self, sent: &HashMap<String, String>, cx: &Cx) -> Result<bool, Problem> {
        let (user, side) = link::open_move(&self.store, cx, get(sent, "side"), get(sent, "ticket")).await?;
        let used = user.moving.as_ref().map(|moving| moving.stamp.clone()).unwrap_or_default();
        let (stamp, now) = (secret::fresh(cx), cx.real_now());
        let agree = |it: &mut User| it.agree(side, &used, stamp.clone(), now);
        Ok(self.store.at(cx).change(&user.id, agree).await?.moving.is_none())
    }
}
