//! An attempt at a delivery. Attempts at different notifications run at once; two at the same one do no harm.

use std::{net::SocketAddr, sync::Arc};

use channels::{
    channel::{Channel, Kind, State},
    port::{Carrier, DeliveryError, Message, Outcome, Target},
    smtp::Smtp,
};
use contracts::notifications::ChannelId;
use kernel::{Aggregate, Cx, Problem, ProblemKind, context::Fired};
use recipients::{means::Means, settings::Settings};
use tokio::time::Instant;

use crate::{
    MAILS, Notifications,
    notification::{Ended, Notification, Recipient},
};

impl Notifications {
    /// A delivery is due.
    pub(crate) async fn deliver(&self, fired: Fired, cx: Cx) -> Result<(), Problem> {
        let id = fired.id.parse().map_err(Problem::internal)?;
        let store = self.store.at(&cx);
        // Not there once the person was erased: then there is nobody to tell.
        let Some(notification) = store.try_load::<Notification>(&id).await? else { return Ok(()) };
        let due = Means::named(&fired.timer).and_then(|means| Some((means, notification.due(means, cx.real_now())?)));
        let Some((means, before)) = due else { return Ok(()) };
        let begun = Instant::now();
        let outcome = match means {
            Means::Mail => self.by_mail(&notification, &cx).await?,
            Means::Webhook => self.by_webhook(&notification, &cx).await?,
            // It is there already.
            Means::Inbox => Ok(()).into(),
        };
        let (took, [random], now) = (begun.elapsed(), cx.random::<1>(), cx.real_now());
        let result = outcome.result.clone();
        let ended = || Ended { before, outcome: outcome.clone(), took, random, now };
        let address = notification.draft.address.clone();
        // Mostly nobody else touched it meanwhile: then what was loaded is what is saved.
        let mut attempted = notification;
        let events = attempted.attempted(means, ended());
        match store.save(attempted, events).await {
            Err(problem) if problem.kind() == ProblemKind::Conflict => {
                store.change(&id, |it: &mut Notification| Ok(it.attempted(means, ended()))).await?;
            }
            saved => drop(saved?),
        }
        let Err(error) = result else { return Ok(()) };
        if let (DeliveryError::Bounced(why), Means::Mail, Some(address)) = (&error, means, address) {
            self.recipients.suppress(&address, why, &cx).await?;
        }
        if error != DeliveryError::Busy {
            tracing::warn!(notification = %id, channel = means.name(), attempts = before + 1, %error, "not delivered");
        }
        Ok(())
    }

    async fn by_mail(&self, it: &Notification, cx: &Cx) -> Result<Outcome, Problem> {
        let Some(address) = it.draft.address.clone() else {
            return Ok(Err(DeliveryError::Permanent("there is no address".to_owned())).into());
        };
        let settings = self.recipients.settings(cx).await?;
        let mailer = self.mailer(&settings, cx).await?;
        // The platform's server has a name to lose: no tenant floods it, and no link waits for that.
        let platforms = Arc::ptr_eq(&mailer, &self.mail);
        if platforms && !it.draft.content.secret && self.pace.take(cx.scope(), MAILS).wait.is_some() {
            return Ok(Err(DeliveryError::Busy).into());
        }
        let mut content = it.content();
        // A server of the tenant's own has a sender of its own.
        if platforms {
            (content.sender, content.reply_to) = (settings.brand.sender(), settings.brand.support.clone());
        }
        let message = Message { id: it.id, to: Target::Mail(address), content };
        Ok(mailer.deliver(&message).await)
    }

    async fn by_webhook(&self, it: &Notification, cx: &Cx) -> Result<Outcome, Problem> {
        let off = || Ok(Err(DeliveryError::Permanent("the channel is switched off or removed".to_owned())).into());
        let Recipient::Channel(id) = &it.draft.to else { return off() };
        let store = self.store.at(cx);
        let Some(channel) = store.try_load::<Channel>(id).await? else { return off() };
        let Some(endpoint) = channel.endpoint(cx.real_now()) else { return off() };
        let message = Message { id: it.id, to: Target::Webhook(endpoint), content: it.content() };
        let outcome = self.webhooks.deliver(&message).await;
        if outcome.result != Err(DeliveryError::Busy) {
            let (delivered, gone) = (outcome.result.is_ok(), matches!(outcome.result, Err(DeliveryError::Bounced(_))));
            let now = cx.real_now();
            let mut after = (*channel).clone();
            after.attempted(delivered, gone, now);
            // Most attempts change nothing of the endpoint, and need no write.
            if after != *channel {
                let rule = |it: &mut Channel| Ok(it.attempted(delivered, gone, now));
                let changed = store.change(id, rule).await?;
                if changed.state != State::Enabled {
                    tracing::warn!(channel = %id, "an endpoint is disabled: it failed for days, or is gone");
                    self.channels.forget_endpoints(cx.scope());
                }
            }
        }
        Ok(outcome)
    }

    /// Who carries this tenant's mail: a server of its own, or the platform's.
    pub(crate) async fn mailer(&self, settings: &Settings, cx: &Cx) -> Result<Arc<dyn Carrier>, Problem> {
        let Some(id) = settings.mail else { return Ok(Arc::clone(&self.mail)) };
        let channel = self.store.at(cx).try_load::<Channel>(&id).await?;
        match channel.filter(|it| it.state == State::Enabled) {
            Some(channel) => self.own_server(&id, &channel, channel.version(), cx).await,
            None => Ok(Arc::clone(&self.mail)),
        }
    }

    async fn own_server(
        &self,
        id: &ChannelId,
        channel: &Channel,
        version: u64,
        cx: &Cx,
    ) -> Result<Arc<dyn Carrier>, Problem> {
        let Kind::Smtp(server) = &channel.kind else { return Ok(Arc::clone(&self.mail)) };
        let key = format!("{}/{}/{id}/{version}", cx.scope(), Channel::KIND);
        if let Some(open) = self.servers.get(&key) {
            return Ok(Arc::clone(&**open));
        }
        let carrier: Arc<dyn Carrier> = match self.site.reach.resolve(&server.host, server.port).await {
            Ok(found) => {
                let checked = found.first().map(SocketAddr::ip);
                Arc::new(Smtp::at(&server.settings(), checked).map_err(Problem::internal)?)
            }
            Err(refused) => return Ok(Arc::new(Unreachable(refused.to_string()))),
        };
        self.servers.keep(key, Arc::clone(&carrier));
        Ok(carrier)
    }
}

/// A server that cannot be connected to just now.
struct Unreachable(String);

#[async_trait::async_trait]
impl Carrier for Unreachable {
    async fn deliver(&self, _: &Message) -> Outcome {
        Err(DeliveryError::Transient(self.0.clone())).into()
    }
}
