//! Addresses to which nothing is sent: mail came back, or its reader opted out of a category.

use std::collections::BTreeSet;

use kernel::{
    Aggregate, Cx, Granted, Handle, List, Problem, ScopeKind, Term, Timestamp,
    text::{EmailAddress, Key},
    use_case,
};
use permissions as may;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Loaded, Page};
use text::line;

use crate::Recipients;

/// What is known of an address. Its id is a keyed hash of the address, so that it is found without being readable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    id: String,
    address: EmailAddress,
    bounce: Option<(Timestamp, String)>,
    out: BTreeSet<Key>,
}

impl Suppression {
    /// Whether mail to it came back.
    pub fn bounced(&self) -> bool {
        self.bounce.is_some()
    }

    /// Whether its reader opted out of a category.
    pub fn opted_out(&self, category: &Key) -> bool {
        self.out.contains(category)
    }
}

impl Aggregate for Suppression {
    type Id = String;
    const KIND: &'static str = "notifications.suppression";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn terms(&self) -> Vec<Term> {
        self.bounce.iter().map(|(at, _)| Term::by_time("bounced", "", *at)).collect()
    }
}

impl Recipients {
    async fn suppression_id(&self, address: &EmailAddress, cx: &Cx) -> Result<String, Problem> {
        let key = self.store.keys().scope(cx.scope()).await?;
        Ok(key.blind("notifications/address", address.as_str()).to_lowercase())
    }

    /// What is known of an address.
    pub async fn suppression(&self, address: &EmailAddress, cx: &Cx) -> Result<Option<Suppression>, Problem> {
        let id = self.suppression_id(address, cx).await?;
        Ok(self.store.at(cx).try_load::<Suppression>(&id).await?.map(Loaded::into_inner))
    }

    async fn note(
        &self,
        address: &EmailAddress,
        cx: &Cx,
        rule: impl Fn(&mut Suppression) + Send + Sync,
    ) -> Result<(), Problem> {
        let (id, store) = (self.suppression_id(address, cx).await?, self.store.at(cx));
        if store.try_load::<Suppression>(&id).await?.is_none() {
            let mut first =
                Suppression { id: id.clone(), address: address.clone(), bounce: None, out: BTreeSet::new() };
            rule(&mut first);
            match store.create(first, ()).await {
                Err(problem) if problem.kind() == kernel::ProblemKind::Conflict => {}
                made => return made.map(drop),
            }
        }
        let rule = |it: &mut Suppression| {
            rule(it);
            Ok(())
        };
        store.change(&id, rule).await.map(drop)
    }

    /// Mail to the address came back.
    pub async fn suppress(&self, address: &EmailAddress, why: &str, cx: &Cx) -> Result<(), Problem> {
        let bounce = (cx.real_now(), line(why, 200));
        self.note(address, cx, |it| it.bounce = Some(bounce.clone())).await
    }

    /// Whoever reads mail at the address opted out of a category.
    pub async fn opt_out(&self, address: &EmailAddress, category: &Key, cx: &Cx) -> Result<(), Problem> {
        let note = |it: &mut Suppression| {
            it.out.insert(category.clone());
        };
        self.note(address, cx, note).await
    }

    /// Forgets what is known of an address.
    pub async fn forget_address(&self, address: &EmailAddress, cx: &Cx) -> Result<(), Problem> {
        let (id, store) = (self.suppression_id(address, cx).await?, self.store.at(cx));
        match store.try_load::<Suppression>(&id).await? {
            Some(held) => store.delete(held, ()).await,
            None => Ok(()),
        }
    }
}

/// An address to which no mail is sent.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SuppressionView {
    /// The address.
    address: EmailAddress,
    /// Why.
    reason: String,
    /// Since when.
    #[schemars(with = "String")]
    since: Timestamp,
}

/// The addresses to which no mail is sent because mail came back, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListSuppressions {
    /// Go on after this cursor.
    after: Option<String>,
    /// At most so many, up to 200; 50 unless told.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

use_case!(ListSuppressions => List<SuppressionView>, "notifications.suppressions.list", Tenant, may::SUPPRESSION_READ, Tell);

impl Handle<ListSuppressions> for Recipients {
    async fn handle(
        &self,
        it: ListSuppressions,
        cx: Granted<ListSuppressions>,
    ) -> Result<List<SuppressionView>, Problem> {
        let page = Page { after: it.after, limit: it.limit.map_or(0, |limit| limit as usize), newest_first: true };
        let listed = self.store.at(&cx).list::<Suppression>("bounced", "", &page).await?;
        let view = |it: &Loaded<Suppression>| {
            let (since, reason) = it.bounce.clone()?;
            Some(SuppressionView { address: it.address.clone(), reason, since })
        };
        Ok(List { items: listed.items.iter().filter_map(view).collect(), next: listed.next })
    }
}

/// Notes that mail to an address came back, or was called spam, as the mail provider told the product.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SuppressAddress {
    /// The address.
    address: EmailAddress,
    /// Why, in a few words.
    #[schemars(length(max = 200))]
    reason: String,
}

use_case!(SuppressAddress => (), "notifications.suppressions.add", Tenant, may::SUPPRESSION_UPDATE);

impl Handle<SuppressAddress> for Recipients {
    async fn handle(&self, it: SuppressAddress, cx: Granted<SuppressAddress>) -> Result<(), Problem> {
        self.suppress(&it.address, &it.reason, &cx).await
    }
}

/// Sends mail to an address again.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LiftSuppression {
    /// The address.
    address: EmailAddress,
}

use_case!(LiftSuppression => (), "notifications.suppressions.lift", Tenant, may::SUPPRESSION_UPDATE);

impl Handle<LiftSuppression> for Recipients {
    async fn handle(&self, it: LiftSuppression, cx: Granted<LiftSuppression>) -> Result<(), Problem> {
        // What its reader opted out of stays as it is.
        match self.suppression(&it.address, &cx).await? {
            Some(held) if held.bounced() => self.note(&it.address, &cx, |it| it.bounce = None).await,
            _ => Err(Problem::not_found("suppression")),
        }
    }
}
