//! The erasure of a person, step by step: ordered, begun, confirmed by every holder, the key destroyed, done. It holds no
//! personal data and is not sealed under the person's key, so it outlives them, and shows that they were erased.

use std::{collections::BTreeSet, time::Duration};

use contracts::users::{HOLDERS, UserErased, UserErasureCancelled, UserErasureDelayed, UserErasureRequested};
use kernel::{Aggregate, AnyEvent, Problem, ProblemKind, ScopeKind, Term, Timer, Timestamp, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The pauses between two reminders; the last is the one that stays.
const PAUSES: [Duration; 6] = [
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(6),
    Duration::from_hours(24),
];
/// After how many reminders someone must look.
const DELAYED: u32 = 3;

pub(crate) const BEGIN: &str = "begin";
pub(crate) const REMIND: &str = "remind";
pub(crate) const FINISH: &str = "finish";

/// Where an erasure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// Begins at an instant to come, and can be called off until then.
    Scheduled,
    /// Each context destroys what it holds.
    Running,
    /// All have confirmed; the person's key is being destroyed.
    Confirmed,
    /// Nothing is left.
    Done,
    /// Called off before it began.
    Cancelled,
}

impl Stage {
    /// The name as stored and asked for.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Confirmed => "confirmed",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The erasure of one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Erasure {
    pub(crate) user: UserId,
    pub(crate) stage: Stage,
    /// The id of whoever ordered it.
    pub(crate) ordered_by: String,
    pub(crate) ordered: Timestamp,
    pub(crate) begins: Timestamp,
    /// The contexts that have not confirmed.
    pub(crate) waiting: BTreeSet<String>,
    pub(crate) reminders: u32,
    /// When the next step is looked at again.
    next: Timestamp,
    pub(crate) ended: Option<Timestamp>,
}

impl Erasure {
    /// Orders it: it begins at once where there is no grace.
    pub(crate) fn order(user: UserId, by: String, grace: Duration, now: Timestamp) -> (Self, Vec<AnyEvent>) {
        let mut it = Self {
            user,
            stage: Stage::Cancelled,
            ordered_by: by.clone(),
            ordered: now,
            begins: now,
            waiting: BTreeSet::new(),
            reminders: 0,
            next: now,
            ended: None,
        };
        let happened = it.order_again(by, grace, now);
        (it, happened)
    }

    /// Ordered once more: one that was called off is scheduled anew, one that waits begins earlier if this one would, and
    /// one that runs goes on.
    pub(crate) fn order_again(&mut self, by: String, grace: Duration, now: Timestamp) -> Vec<AnyEvent> {
        let begins = now + grace;
        match self.stage {
            Stage::Cancelled => {
                (self.stage, self.ordered_by, self.ordered) = (Stage::Scheduled, by, now);
                (self.begins, self.ended) = (begins, None);
            }
            Stage::Scheduled if begins < self.begins => (self.begins, self.ordered_by) = (begins, by),
            _ => {}
        }
        self.begin(now)
    }

    /// Begins, if it is scheduled and its time has come.
    pub(crate) fn begin(&mut self, now: Timestamp) -> Vec<AnyEvent> {
        if self.stage != Stage::Scheduled || now < self.begins {
            return Vec::new();
        }
        self.stage = Stage::Running;
        self.waiting = HOLDERS.into_iter().map(str::to_owned).collect();
        (self.reminders, self.next) = (0, now + pause(0));
        vec![UserErasureRequested { user: self.user }.into()]
    }

    /// Calls it off; what has begun is not called off any more.
    pub(crate) fn cancel(&mut self, now: Timestamp) -> Result<Vec<AnyEvent>, Problem> {
        match self.stage {
            Stage::Cancelled => Ok(Vec::new()),
            Stage::Scheduled => {
                (self.stage, self.ended) = (Stage::Cancelled, Some(now));
                Ok(vec![UserErasureCancelled { user: self.user }.into()])
            }
            Stage::Running | Stage::Confirmed | Stage::Done => {
                Err(Problem::new(ProblemKind::Conflict, "users.erasure_begun", "this erasure has begun")
                    .hint("what was destroyed cannot be brought back"))
            }
        }
    }

    /// A context holds nothing any more.
    pub(crate) fn confirm(&mut self, context: &str, now: Timestamp) {
        if self.stage == Stage::Running && self.waiting.remove(context) && self.waiting.is_empty() {
            (self.stage, self.next) = (Stage::Confirmed, now);
        }
    }

    /// Asks again, if contexts still have not confirmed and the pause is over.
    pub(crate) fn remind(&mut self, now: Timestamp) -> Vec<AnyEvent> {
        if self.stage != Stage::Running || now < self.next {
            return Vec::new();
        }
        self.reminders = self.reminders.saturating_add(1);
        self.next = now + pause(self.reminders);
        let mut happened = vec![UserErasureRequested { user: self.user }.into()];
        if self.reminders == DELAYED {
            let waiting = self.waiting.iter().cloned().collect();
            happened.push(UserErasureDelayed { user: self.user, waiting }.into());
        }
        happened
    }

    /// The person's key was destroyed.
    pub(crate) fn finish(&mut self, now: Timestamp) -> Vec<AnyEvent> {
        if self.stage != Stage::Confirmed {
            return Vec::new();
        }
        (self.stage, self.ended) = (Stage::Done, Some(now));
        vec![UserErased { user: self.user }.into()]
    }

    /// Whether it cannot be called off any more.
    pub(crate) fn has_begun(&self) -> bool {
        !matches!(self.stage, Stage::Scheduled | Stage::Cancelled)
    }

    /// Whether someone must look why it takes so long.
    pub(crate) fn delayed(&self) -> bool {
        self.stage == Stage::Running && self.reminders >= DELAYED
    }
}

fn pause(reminders: u32) -> Duration {
    let last = PAUSES.len() - 1;
    let place = usize::try_from(reminders).map_or(last, |reminders| reminders.min(last));
    PAUSES.get(place).copied().unwrap_or(Duration::from_hours(24))
}

impl Aggregate for Erasure {
    type Id = UserId;
    const KIND: &'static str = "users.erasure";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> UserId {
        self.user
    }

    fn owner(&self) -> Option<UserId> {
        Some(self.user)
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::by_time("all", "", self.ordered), Term::by_time("stage", self.stage.name(), self.ordered)]
    }

    fn timers(&self) -> Vec<Timer> {
        match self.stage {
            Stage::Scheduled => vec![Timer { name: BEGIN, due: self.begins }],
            Stage::Running => vec![Timer { name: REMIND, due: self.next }],
            Stage::Confirmed => vec![Timer { name: FINISH, due: self.next }],
            Stage::Done | Stage::Cancelled => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use kernel::{Event, Id};
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn person() -> UserId {
        Id::from_uuid("01890000-0000-7000-8000-000000000001".parse().unwrap())
    }

    fn types(happened: &[AnyEvent]) -> Vec<&'static str> {
        happened.iter().map(|event| event.r#type).collect()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn without_grace_it_begins_at_once_and_ends_once_all_have_confirmed() {
        let (mut it, happened) = Erasure::order(person(), "usr".to_owned(), Duration::ZERO, at(0));
        assert_eq!(types(&happened), [UserErasureRequested::TYPE]);
        assert!(it.finish(at(1)).is_empty(), "nobody has confirmed");
        for holder in HOLDERS {
            assert_eq!(it.stage, Stage::Running);
            it.confirm(holder, at(1));
            it.confirm(holder, at(1));
        }
        assert_eq!(it.timers(), [Timer { name: FINISH, due: at(1) }]);
        assert_eq!(types(&it.finish(at(2))), [UserErased::TYPE]);
        assert!(it.finish(at(3)).is_empty() && it.timers().is_empty());
        assert!(it.order_again("usr".to_owned(), Duration::ZERO, at(4)).is_empty(), "what is done stays done");
        assert_eq!(it.ended, Some(at(2)));
    }

    #[test]
    fn what_waits_can_be_called_off_and_what_has_begun_cannot() {
        let (mut it, happened) = Erasure::order(person(), "usr".to_owned(), DAY * 7, at(0));
        assert!(happened.is_empty() && it.begin(at(10)).is_empty());
        assert_eq!(types(&it.cancel(at(20)).unwrap()), [UserErasureCancelled::TYPE]);
        assert!(it.cancel(at(21)).unwrap().is_empty() && it.begin(at(0) + DAY * 8).is_empty());
        // Ordered anew, then by an owner without grace: that begins it.
        assert!(it.order_again("usr".to_owned(), DAY * 7, at(30)).is_empty());
        assert_eq!(types(&it.order_again("own".to_owned(), Duration::ZERO, at(40))), [UserErasureRequested::TYPE]);
        assert_eq!(it.ordered_by, "own");
        assert_eq!(it.cancel(at(50)).unwrap_err().code(), "users.erasure_begun");
    }

    #[test]
    fn reminders_come_with_growing_pauses_and_the_third_calls_for_help() {
        let (mut it, _) = Erasure::order(person(), "usr".to_owned(), Duration::ZERO, at(0));
        it.confirm("users", at(0));
        let mut due = Vec::new();
        for _ in 0..8 {
            let Timer { name, due: next } = it.timers().remove(0);
            assert_eq!(name, REMIND);
            assert!(it.remind(next - Duration::from_secs(1)).is_empty(), "not before its time");
            let happened = it.remind(next);
            assert_eq!(types(&happened)[0], UserErasureRequested::TYPE);
            assert_eq!(happened.len() > 1, it.reminders == DELAYED);
            assert_eq!(it.delayed(), it.reminders >= DELAYED);
            due.push(next);
        }
        let pauses: Vec<_> = due.windows(2).map(|pair| pair[1].as_second() - pair[0].as_second()).collect();
        assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]) && pauses.last() == Some(&86_400), "{pauses:?}");
    }

    proptest! {
        /// Whatever comes, in whatever order and however often: the key is destroyed at most once, and only after all
        /// holders have confirmed.
        #[test]
        fn it_ends_once_and_not_before_all_have_confirmed(steps in prop::collection::vec((0_u8..9, 0_i64..100_000), 0..60)) {
            let (mut it, _) = Erasure::order(person(), "usr".to_owned(), DAY, at(0));
            let (mut now, mut ends, mut confirmed) = (0, 0, BTreeSet::new());
            for (step, later) in steps {
                now += later;
                let happened = match step {
                    0 => it.begin(at(now)),
                    1 => it.remind(at(now)),
                    2 => it.finish(at(now)),
                    3 => it.cancel(at(now)).unwrap_or_default(),
                    4 => it.order_again("usr".to_owned(), Duration::ZERO, at(now)),
                    holder => {
                        let running = it.stage == Stage::Running;
                        let holder = HOLDERS[usize::from(holder - 5) % HOLDERS.len()];
                        it.confirm(holder, at(now));
                        if running { confirmed.insert(holder); }
                        Vec::new()
                    }
                };
                if types(&happened).contains(&UserErased::TYPE) {
                    ends += 1;
                    prop_assert_eq!(confirmed.len(), HOLDERS.len());
                }
            }
            prop_assert!(ends <= 1);
        }
    }
}
