//! Funnels: facts go by in the order of their instants, and of each person is kept how far they came.

use facts::{Funnel, Reached};
use kernel::Scope;
use rusqlite::Connection;

use crate::{
    column::Fault,
    mask::Mask,
    schema,
    segment::{Head, Parts},
    tally::time,
};

/// The bytes that what is kept of persons may take.
const MOST_BYTES: usize = 256 << 20;
/// Not reached.
const NEVER: i64 = i64::MIN;

/// A fact that is a step: when, whose, and of which steps (a bit each).
type Event = (i64, u32, u16);

/// How far persons came.
#[expect(clippy::struct_field_names, reason = "the ways of all persons, which is what it is about")]
struct Ways {
    steps: usize,
    window: i64,
    /// For each person's number, their place in `ways` from 1 on; 0 before they took the first step.
    places: Vec<u32>,
    ways: Vec<i64>,
}

/// Answers a funnel that was checked, as of one instant.
pub(crate) fn answer(db: &Connection, scope: Scope, funnel: &Funnel) -> Result<Vec<Reached>, Fault> {
    let db = db.unchecked_transaction()?;
    let mut ways = Ways { steps: funnel.steps.len(), window: funnel.window(), places: Vec::new(), ways: Vec::new() };
    let Some(scope) = schema::number(&db, scope)? else { return Ok(ways.reached()) };
    let (from, until) = time(funnel.from, funnel.until);
    let mask = |step: &facts::Step| Mask::new(&db, scope, step.all_filters(), (from, until));
    let masks = funnel.steps.iter().map(mask).collect::<Result<Vec<_>, _>>()?;
    let mut waiting: Vec<Event> = Vec::new();
    for head in Head::within(&db, scope, from, until)? {
        // Segments come by their first instants: what lies before that of this one is complete.
        ways.pass(&mut waiting, head.first)?;
        let asking: Vec<_> = masks.iter().enumerate().filter(|(_, mask)| mask.may_pass(&head)).collect();
        if asking.is_empty() {
            continue;
        }
        let mut parts = Parts { instants: true, persons: true, ..Parts::default() };
        for (_, mask) in &asking {
            mask.needs(&head, &mut parts);
        }
        let batch = head.read(&db, &parts)?;
        let passing: Vec<_> = asking.iter().map(|(step, mask)| (1_u16 << step, mask.passing(&head, &batch))).collect();
        for (place, (at, person)) in batch.instants.iter().zip(&batch.persons).enumerate() {
            let steps = passing.iter().filter(|(_, passing)| passing.has(place)).fold(0, |all, (bit, _)| all | bit);
            if steps != 0 && *person != 0 {
                waiting.push((*at, *person, steps));
            }
        }
    }
    ways.pass(&mut waiting, i64::MAX)?;
    Ok(ways.reached())
}

impl Ways {
    /// Of a way: when its person last did a step; then for each step the latest start of a chain that ends in it, that
    /// of chains that end before that last instant, and how long it took when the step was first reached.
    const fn width(&self) -> usize {
        1 + 3 * self.steps
    }

    /// Takes the events before an instant, in their order.
    fn pass(&mut self, waiting: &mut Vec<Event>, before: i64) -> Result<(), Fault> {
        waiting.sort_by_key(|(at, _, _)| *at);
        let passed = waiting.partition_point(|(at, _, _)| *at < before);
        waiting.drain(..passed).for_each(|event| self.take(event));
        if self.ways.len() * 8 + self.places.len() * 4 + waiting.len() * 16 > MOST_BYTES {
            let detail = "the answer takes too much memory: filter, or ask for a shorter time";
            return Err(Fault::Refused(facts::FactsError::invalid("/steps", detail)));
        }
        Ok(())
    }

    /// The place of a person's way; a new one where this is a first step.
    fn place(&mut self, person: u32, first: bool) -> Option<usize> {
        let person = person as usize;
        if self.places.len() <= person {
            self.places.resize(person + 1, 0);
        }
        let width = self.width();
        let place = self.places.get_mut(person)?;
        if *place == 0 {
            if !first {
                return None;
            }
            self.ways.resize(self.ways.len() + width, NEVER);
            *place = u32::try_from(self.ways.len() / width).ok()?;
        }
        Some((*place as usize - 1) * width)
    }

    fn take(&mut self, (at, person, steps): Event) {
        let (count, window) = (self.steps, self.window);
        let Some(place) = self.place(person, steps & 1 != 0) else { return };
        let Some((last, rest)) = self.ways.get_mut(place..).and_then(<[i64]>::split_first_mut) else { return };
        let Some((now, rest)) = rest.split_at_mut_checked(count) else { return };
        let Some((earlier, rest)) = rest.split_at_mut_checked(count) else { return };
        if *last != at {
            earlier.copy_from_slice(now);
            *last = at;
        }
        // The chain that a step ends goes on from one that ended earlier, not at the same instant.
        let starts = std::iter::once(at).chain(earlier.iter().copied());
        for (step, ((now, took), start)) in now.iter_mut().zip(rest).zip(starts).enumerate() {
            if steps & (1 << step) != 0 && start != NEVER && at - start <= window {
                *now = start.max(*now);
                if *took == NEVER {
                    *took = at - start;
                }
            }
        }
    }

    fn reached(&self) -> Vec<Reached> {
        let told = |step: usize| {
            let took = self.ways.iter().skip(1 + 2 * self.steps + step).step_by(self.width());
            let took: Vec<i64> = took.copied().filter(|took| *took != NEVER).collect();
            Reached::new(took.len() as u64, if step == 0 { Vec::new() } else { took })
        };
        (0..self.steps).map(told).collect()
    }
}
