//! Erasing a person across all contexts: who may order it, and the steps from the order to the end. Each step is
//! repeatable, and a timer takes it up again where a process ended in between.

use std::time::Duration;

use contracts::{
    identity::CloseAccess,
    users::{ConfirmErasure, HOLDERS, UserErasureRequested},
};
use kernel::{
    Aggregate, Cx, Granted, Handle, List, Problem, ProblemKind, Timestamp, UserId, context::Fired, text::EmailAddress,
    use_case,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::{
    Users,
    activity::ActivityEntry,
    erasure::{BEGIN, Erasure, FINISH, REMIND, Stage},
    permissions as may,
    preference::Preference,
    profile::UserProfile,
};

/// The longest that an erasure can be put off.
const MOST_DAYS: u16 = 90;

/// Erases a person for good: all contexts destroy what they hold of them, and then their key, without which what is left in
/// logs and backups cannot be read. An owner orders it for others, a person for themselves. The last owner stays.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EraseUser {
    /// Who.
    user: UserId,
    /// The address of that person, so that nobody is erased by a slip.
    confirm: EmailAddress,
    /// After how many days it begins, up to 90; until then it can be called off. At once unless told; for oneself, the
    /// installation says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 90))]
    after_days: Option<u16>,
}

use_case!(EraseUser => ErasureView, "users.erase", Tenant, may::ERASE, |it| it.user.into());

/// The erasure of a person, as far as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ErasureView {
    /// Who.
    user: UserId,
    /// Where it is.
    stage: Stage,
    /// The id of whoever ordered it.
    ordered_by: String,
    /// When it was ordered.
    #[schemars(with = "String", extend("format" = "date-time"))]
    ordered: Timestamp,
    /// When it begins, or began.
    #[schemars(with = "String", extend("format" = "date-time"))]
    begins: Timestamp,
    /// The contexts that still hold something.
    waiting: Vec<String>,
    /// How often they were reminded.
    reminders: u32,
    /// Whether someone must look why it takes so long.
    delayed: bool,
    /// When it was done or called off.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    ended: Option<Timestamp>,
}

impl From<&Erasure> for ErasureView {
    fn from(it: &Erasure) -> Self {
        Self {
            user: it.user,
            stage: it.stage,
            ordered_by: it.ordered_by.clone(),
            ordered: it.ordered,
            begins: it.begins,
            waiting: it.waiting.iter().cloned().collect(),
            reminders: it.reminders,
            delayed: it.delayed(),
            ended: it.ended,
        }
    }
}

impl Handle<EraseUser> for Users {
    async fn handle(&self, it: EraseUser, cx: Granted<EraseUser>) -> Result<ErasureView, Problem> {
        cx.permit_owner(Some(it.user))?;
        let grace = self.grace(&it, &cx)?;
        let store = self.store.at(&cx);
        let (by, now) = (cx.caller().to_string(), cx.real_now());
        let known = store.try_load::<Erasure>(&it.user).await?;
        if let Some(begun) = known.as_ref().filter(|known| known.has_begun()) {
            return Ok((&**begun).into());
        }
        let profile = store.load::<UserProfile>(&it.user).await?;
        if profile.email != it.confirm {
            return Err(Problem::invalid_field("/confirm", "not the address of this person"));
        }
        if grace.is_zero() {
            self.calls.call(CloseAccess { user: it.user }, &cx).await?;
        }
        let ordered = if known.is_some() {
            store.change(&it.user, |known: &mut Erasure| Ok(known.order_again(by.clone(), grace, now))).await?
        } else {
            let (erasure, happened) = Erasure::order(it.user, by, grace, now);
            store.create(erasure, happened).await?
        };
        Ok((&*ordered).into())
    }
}

/// Erasures, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListErasures {
    /// Only those at this stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stage: Option<Stage>,
    /// Go on after this cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    /// At most so many, up to 200; 50 unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

use_case!(ListErasures => List<ErasureView>, "users.erasures.list", Tenant, may::ERASURE_READ, Tell);

impl Handle<ListErasures> for Users {
    async fn handle(&self, it: ListErasures, cx: Granted<ListErasures>) -> Result<List<ErasureView>, Problem> {
        let store = self.store.at(&cx);
        if let Some(only) = cx.only_of()? {
            let own = store.try_load::<Erasure>(&only).await?;
            let own = own.filter(|own| it.stage.is_none_or(|stage| own.stage == stage));
            return Ok(List { items: own.iter().map(|it| (&**it).into()).collect(), next: None });
        }
        let page = Page { after: it.after, limit: it.limit.map_or(0, |limit| limit as usize), newest_first: true };
        let (index, value) = it.stage.map_or(("all", ""), |stage| ("stage", stage.name()));
        let listed = store.list::<Erasure>(index, value, &page).await?;
        Ok(List { items: listed.items.iter().map(|it| (&**it).into()).collect(), next: listed.next })
    }
}

/// How far the erasure of a person is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetErasure {
    /// Who.
    user: UserId,
}

use_case!(GetErasure => ErasureView, "users.erasures.get", Tenant, may::ERASURE_READ, Tell, |it| it.user.into());

impl Handle<GetErasure> for Users {
    async fn handle(&self, it: GetErasure, cx: Granted<GetErasure>) -> Result<ErasureView, Problem> {
        cx.permit_owner(Some(it.user))?;
        Ok((&*self.store.at(&cx).load::<Erasure>(&it.user).await?).into())
    }
}

/// Calls the erasure of a person off, while it has not begun.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelErasure {
    /// Who.
    user: UserId,
}

use_case!(CancelErasure => ErasureView, "users.erasures.cancel", Tenant, may::ERASE, |it| it.user.into());

impl Handle<CancelErasure> for Users {
    async fn handle(&self, it: CancelErasure, cx: Granted<CancelErasure>) -> Result<ErasureView, Problem> {
        cx.permit_owner(Some(it.user))?;
        let now = cx.real_now();
        let cancelled = self.store.at(&cx).change(&it.user, |known: &mut Erasure| known.cancel(now)).await?;
        Ok((&*cancelled).into())
    }
}

/// Erases again whom a backup from before their erasure brought back: their key is gone, and what they left (a seat, an
/// address) goes as it went the first time.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EraseAgain {
    /// Who.
    user: UserId,
}

use_case!(EraseAgain => ErasureView, "users.erase_again", Tenant, may::ERASE_AGAIN, |it| it.user.into());

impl Handle<EraseAgain> for Users {
    async fn handle(&self, it: EraseAgain, cx: Granted<EraseAgain>) -> Result<ErasureView, Problem> {
        let (store, by, now) = (self.store.at(&cx), cx.caller().to_string(), cx.real_now());
        let ordered = if store.try_load::<Erasure>(&it.user).await?.is_some() {
            let order = |known: &mut Erasure| Ok(known.order_again(by.clone(), Duration::ZERO, now));
            store.change(&it.user, order).await?
        } else {
            let (erasure, happened) = Erasure::order(it.user, by, Duration::ZERO, now);
            store.create(erasure, happened).await?
        };
        Ok((&*ordered).into())
    }
}

impl Handle<ConfirmErasure> for Users {
    async fn handle(&self, it: ConfirmErasure, cx: Granted<ConfirmErasure>) -> Result<(), Problem> {
        if !HOLDERS.contains(&it.context.as_str()) {
            return Err(Problem::invalid_field("/context", "not a context that holds anything of a person"));
        }
        self.confirmed(it.user, &it.context, &cx).await
    }
}

impl Users {
    fn grace(&self, it: &EraseUser, cx: &Cx) -> Result<Duration, Problem> {
        if it.after_days.is_some_and(|days| days > MOST_DAYS) {
            return Err(Problem::invalid_field("/after_days", "expected at most 90"));
        }
        let days = |days: u16| Duration::from_hours(u64::from(days) * 24);
        // Whoever found a browser signed in must not erase its person at once.
        let own = if cx.caller().user() == Some(it.user) { self.settings.own_grace } else { Duration::ZERO };
        Ok(it.after_days.map_or(own, days).max(own))
    }

    /// A context holds nothing any more; after the last one, the key goes.
    async fn confirmed(&self, user: UserId, context: &str, cx: &Cx) -> Result<(), Problem> {
        let now = cx.real_now();
        let confirm = |it: &mut Erasure| {
            it.confirm(context, now);
            Ok(())
        };
        let stored = self.store.at(cx).change(&user, confirm).await?;
        if stored.stage == Stage::Confirmed { self.finish(user, cx).await } else { Ok(()) }
    }

    async fn finish(&self, user: UserId, cx: &Cx) -> Result<(), Problem> {
        self.store.keys().destroy_person(cx.scope(), user).await?;
        let now = cx.real_now();
        self.store.at(cx).change(&user, |it: &mut Erasure| Ok(it.finish(now))).await.map(drop)
    }

    /// Its time has come; where access cannot be closed, since this is the last owner by now, it is called off.
    async fn begin(&self, user: UserId, cx: &Cx) -> Result<(), Problem> {
        let (store, now) = (self.store.at(cx), cx.real_now());
        if store.load::<Erasure>(&user).await?.stage != Stage::Scheduled {
            return Ok(());
        }
        match self.calls.call(CloseAccess { user }, cx).await {
            Err(refused) if refused.kind() == ProblemKind::Refused => {
                store.change(&user, |it: &mut Erasure| it.cancel(now)).await.map(drop)
            }
            // Nobody is left whose access could be closed.
            Err(problem) if problem.kind() != ProblemKind::NotFound => Err(problem),
            _ => store.change(&user, |it: &mut Erasure| Ok(it.begin(now))).await.map(drop),
        }
    }

    /// The next step of an erasure has come due.
    pub(crate) async fn erasure_due(&self, fired: Fired, cx: Cx) -> Result<(), Problem> {
        let (user, now) = (fired.id.parse::<UserId>().map_err(Problem::internal)?, cx.real_now());
        let store = self.store.at(&cx);
        match fired.timer.as_str() {
            BEGIN => self.begin(user, &cx).await,
            REMIND => {
                let stored = store.change(&user, |it: &mut Erasure| Ok(it.remind(now))).await?;
                if stored.delayed() {
                    tracing::warn!(tenant = %cx.scope(), %user, waiting = ?stored.waiting, "an erasure does not get on");
                }
                Ok(())
            }
            FINISH if store.load::<Erasure>(&user).await?.stage == Stage::Confirmed => self.finish(user, &cx).await,
            _ => Ok(()),
        }
    }

    /// Destroys what this context holds of a person, and says so.
    pub(crate) async fn forget(&self, event: UserErasureRequested, cx: Cx) -> Result<(), Problem> {
        self.remove_all(event.user, &cx).await?;
        self.confirmed(event.user, "users", &cx).await
    }

    /// Destroys what this context holds of a person.
    pub(crate) async fn remove_all(&self, user: UserId, cx: &Cx) -> Result<(), Problem> {
        self.remove::<UserProfile>(&user, cx).await?;
        self.remove::<Preference>(&user, cx).await?;
        let (store, person) = (self.store.at(cx), user.to_string());
        let mut page = Page { limit: 200, ..Page::default() };
        loop {
            let listed = store.list::<ActivityEntry>("person", &person, &page).await?;
            for entry in listed.items {
                gone(store.delete(entry, ()).await)?;
            }
            let Some(next) = listed.next else { return Ok(()) };
            page.after = Some(next);
        }
    }

    async fn remove<A: Aggregate>(&self, id: &A::Id, cx: &Cx) -> Result<(), Problem> {
        let store = self.store.at(cx);
        let Some(held) = store.try_load::<A>(id).await? else { return Ok(()) };
        store.delete(held, ()).await
    }
}

/// Something that someone else has removed is removed.
fn gone(outcome: Result<(), Problem>) -> Result<(), Problem> {
    outcome.or_else(|problem| if problem.kind() == ProblemKind::Conflict { Ok(()) } else { Err(problem) })
}
