//! By what a recipient is told, and why: the rule of preferences.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::means::Means;

/// Why something is, or is not, delivered by a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// Nobody can opt out of this category.
    Mandatory,
    /// The category is delivered so, and the recipient has not chosen otherwise.
    Default,
    /// The recipient chose so.
    Chosen,
    /// It was addressed to this channel.
    Addressed,
    /// The channel follows this event.
    Subscribed,
    /// The recipient opted out.
    OptedOut,
    /// The category is not delivered so, and the recipient has not chosen otherwise.
    OffByDefault,
    /// The address takes no messages.
    Suppressed,
    /// There is no address.
    Unreachable,
    /// The person works here no more.
    Deactivated,
}

impl Because {
    /// Whether it is delivered.
    pub const fn goes(self) -> bool {
        matches!(self, Self::Mandatory | Self::Default | Self::Chosen | Self::Addressed | Self::Subscribed)
    }

    /// The same in words, for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Mandatory => "nobody can opt out of this category",
            Self::Default => "this category is delivered so unless the recipient chooses otherwise",
            Self::Chosen => "the recipient chose to be told so",
            Self::Addressed => "it was addressed to this channel",
            Self::Subscribed => "this endpoint follows this event",
            Self::OptedOut => "the recipient opted out of this category",
            Self::OffByDefault => "this category is not delivered so unless the recipient chooses it",
            Self::Suppressed => "mail to this address came back, so none is sent to it",
            Self::Unreachable => "no address of the recipient is known",
            Self::Deactivated => "the recipient is deactivated",
        }
    }
}

/// What is known of a mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mailbox {
    /// None is known.
    #[default]
    Unknown,
    /// Mail to it came back.
    Suppressed,
    /// It can be written to.
    Open,
}

/// What is known of a recipient who is a person, or a bare address.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Whether nobody can opt out of the category.
    pub mandatory: bool,
    /// By what the category is delivered to those who have not chosen.
    pub defaults: BTreeSet<Means>,
    /// By what the sender wants it delivered, where it says so.
    pub asked: Option<BTreeSet<Means>>,
    /// What the recipient chose for the category.
    pub chosen: BTreeMap<Means, bool>,
    /// By what the recipient can be reached at all.
    pub offered: BTreeSet<Means>,
    /// The mail address.
    pub mailbox: Mailbox,
    /// Whether the person is deactivated.
    pub deactivated: bool,
}

/// The decision for each channel by which the recipient can be reached.
pub fn plan(facts: &Facts) -> BTreeMap<Means, Because> {
    let decide = |means: Means| {
        let expected = facts.asked.as_ref().unwrap_or(&facts.defaults).contains(&means);
        match (means, facts.mailbox) {
            _ if facts.deactivated => return Because::Deactivated,
            (Means::Mail, Mailbox::Unknown) => return Because::Unreachable,
            (Means::Mail, Mailbox::Suppressed) => return Because::Suppressed,
            _ => {}
        }
        // What the sender does not want is not delivered for being chosen.
        let wanted = facts.asked.is_none() || expected;
        match (facts.mandatory, facts.chosen.get(&means)) {
            (true, _) if expected => Because::Mandatory,
            (false, Some(false)) => Because::OptedOut,
            (false, Some(true)) if wanted => Because::Chosen,
            (false, None) if expected => Because::Default,
            _ => Because::OffByDefault,
        }
    };
    facts.offered.iter().map(|means| (*means, decide(*means))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let both = BTreeSet::from([Means::Mail, Means::Inbox]);
        Facts { defaults: both.clone(), offered: both, mailbox: Mailbox::Open, ..Facts::default() }
    }

    fn decided(facts: &Facts) -> (Because, Because) {
        let plan = plan(facts);
        (plan[&Means::Mail], plan[&Means::Inbox])
    }

    #[test]
    fn a_choice_counts_more_than_a_default_and_nothing_more_than_a_duty() {
        let no_mail = BTreeMap::from([(Means::Mail, false)]);
        assert_eq!(decided(&facts()), (Because::Default, Because::Default));
        assert_eq!(decided(&Facts { chosen: no_mail.clone(), ..facts() }), (Because::OptedOut, Because::Default));
        let duty = Facts { mandatory: true, chosen: no_mail, ..facts() };
        assert_eq!(decided(&duty), (Because::Mandatory, Because::Mandatory));
        let off = Facts { defaults: BTreeSet::new(), ..facts() };
        assert_eq!(decided(&off), (Because::OffByDefault, Because::OffByDefault));
        let chosen = Facts { chosen: BTreeMap::from([(Means::Inbox, true)]), ..off };
        assert_eq!(decided(&chosen), (Because::OffByDefault, Because::Chosen));
    }

    #[test]
    fn what_cannot_arrive_is_not_sent() {
        let bounced = Facts { mailbox: Mailbox::Suppressed, ..facts() };
        assert_eq!(decided(&bounced), (Because::Suppressed, Because::Default));
        assert_eq!(decided(&Facts { mailbox: Mailbox::Unknown, ..facts() }), (Because::Unreachable, Because::Default));
        assert_eq!(decided(&Facts { deactivated: true, ..facts() }), (Because::Deactivated, Because::Deactivated));
    }

    proptest::proptest! {
        #[test]
        fn whoever_opted_out_gets_nothing_optional(asked: Option<bool>, on_by_default: bool, inbox: bool) {
            let means = if inbox { Means::Inbox } else { Means::Mail };
            let set = |on: bool| on.then_some(means).into_iter().collect::<BTreeSet<_>>();
            let chosen = BTreeMap::from([(means, false)]);
            let it = Facts { asked: asked.map(set), defaults: set(on_by_default), chosen, ..facts() };
            proptest::prop_assert!(!plan(&it)[&means].goes());
            // A duty is not for the recipient to end: it goes wherever the sender, or the category, sends it.
            let duty = Facts { mandatory: true, ..it };
            proptest::prop_assert_eq!(plan(&duty)[&means].goes(), asked.unwrap_or(on_by_default));
        }
    }

    #[test]
    fn a_sender_narrows_and_an_opt_out_still_counts() {
        let asked = Facts { asked: Some(BTreeSet::from([Means::Mail])), ..facts() };
        assert_eq!(decided(&asked), (Because::Default, Because::OffByDefault));
        let chosen = BTreeMap::from([(Means::Mail, false), (Means::Inbox, true)]);
        assert_eq!(decided(&Facts { chosen, ..asked }), (Because::OptedOut, Because::OffByDefault));
    }
}
