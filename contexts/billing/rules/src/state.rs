//! The states of a subscription, and what leads from one to another. What is not here cannot happen; the diagram in the
//! documents is made from it.

use contracts::billing::SubscriptionState as State;

use crate::Refusal;

/// What leads to another state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The trial is over, and is paid for from now on.
    TrialPasses,
    /// The trial is over, and nobody agreed to pay.
    TrialLapses,
    /// An invoice was not paid in time.
    FallsBehind,
    /// All that was overdue is paid.
    CatchesUp,
    /// The tenant pauses it.
    Pauses,
    /// The tenant resumes it.
    Resumes,
    /// It is to end with its period.
    IsCancelled,
    /// That is taken back.
    IsKept,
    /// The period is over.
    PeriodEnds,
    /// It ends at once.
    EndsNow,
}

impl Act {
    const fn words(self) -> &'static str {
        match self {
            Self::TrialPasses => "trial ends, to be paid",
            Self::TrialLapses => "trial ends, nobody agreed to pay",
            Self::FallsBehind => "an invoice is overdue",
            Self::CatchesUp => "nothing is overdue any more",
            Self::Pauses => "pause",
            Self::Resumes => "resume",
            Self::IsCancelled => "cancel at the period's end",
            Self::IsKept => "keep",
            Self::PeriodEnds => "period ends",
            Self::EndsNow => "cancel now",
        }
    }
}

/// From where, by what, to where.
pub const MOVES: [(State, Act, State); 19] = [
    (State::Trial, Act::TrialPasses, State::Active),
    (State::Trial, Act::TrialLapses, State::Ended),
    (State::Trial, Act::IsCancelled, State::Cancelled),
    (State::Trial, Act::EndsNow, State::Ended),
    (State::Active, Act::FallsBehind, State::PastDue),
    (State::Active, Act::Pauses, State::Paused),
    (State::Active, Act::IsCancelled, State::Cancelled),
    (State::Active, Act::EndsNow, State::Ended),
    (State::PastDue, Act::CatchesUp, State::Active),
    (State::PastDue, Act::IsCancelled, State::Cancelled),
    (State::PastDue, Act::EndsNow, State::Ended),
    (State::Paused, Act::Resumes, State::Active),
    (State::Paused, Act::IsCancelled, State::Cancelled),
    (State::Paused, Act::EndsNow, State::Ended),
    (State::Cancelled, Act::IsKept, State::Trial),
    (State::Cancelled, Act::IsKept, State::Active),
    (State::Cancelled, Act::IsKept, State::PastDue),
    (State::Cancelled, Act::PeriodEnds, State::Ended),
    (State::Cancelled, Act::EndsNow, State::Ended),
];

/// Refuses a move that the diagram does not have.
pub fn check(from: State, act: Act, to: State) -> Result<(), Refusal> {
    if MOVES.contains(&(from, act, to)) { Ok(()) } else { Err(Refusal::State(from)) }
}

/// The diagram, in Mermaid.
pub fn diagram() -> String {
    let head = "stateDiagram-v2\n  [*] --> Trial\n  [*] --> Active\n".to_owned();
    let moves = MOVES.iter().map(|(from, act, to)| format!("  {from:?} --> {to:?}: {}\n", act.words()));
    head + &moves.collect::<String>() + "  Ended --> [*]\n"
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_documents_have_this_diagram() {
        let text = include_str!("../../../../docs/domain/billing.md");
        let diagram = super::diagram();
        assert!(text.contains(&format!("```mermaid\n{diagram}```")), "docs/domain/billing.md must hold:\n{diagram}");
    }
}
