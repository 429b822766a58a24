//! What waits for the writer, in lanes: of each lane one is taken in turn, so that whoever has very much to write waits
//! for himself and costs each of the others one place.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tokio::sync::Semaphore;

/// The most that one flush carries, so that the first of a group does not wait for ever.
pub(crate) const GROUP: usize = 256;
/// How many may wait in one lane before its senders are held back.
pub(crate) const LANE: usize = 256;

struct Lane<J> {
    jobs: VecDeque<J>,
    /// One permit for each place that is free. Senders get them in the order in which they came.
    room: Arc<Semaphore>,
}

struct Waiting<J> {
    lanes: HashMap<String, Lane<J>>,
    /// The lanes that have something, the next one first.
    turns: VecDeque<String>,
    stopped: bool,
}

pub(crate) struct Lanes<J> {
    waiting: Mutex<Waiting<J>>,
    more: Condvar,
}

impl<J> Default for Lanes<J> {
    fn default() -> Self {
        let waiting = Waiting { lanes: HashMap::new(), turns: VecDeque::new(), stopped: false };
        Self { waiting: Mutex::new(waiting), more: Condvar::new() }
    }
}

impl<J> Waiting<J> {
    fn lane(&mut self, name: &str) -> &mut Lane<J> {
        let fresh = || Lane { jobs: VecDeque::new(), room: Arc::new(Semaphore::new(LANE)) };
        self.lanes.entry(name.to_owned()).or_insert_with(fresh)
    }

    fn next(&mut self) -> Option<J> {
        let name = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&name)?;
        let job = lane.jobs.pop_front();
        lane.room.add_permits(1);
        if !lane.jobs.is_empty() {
            self.turns.push_back(name);
        } else if Arc::strong_count(&lane.room) == 1 {
            // Nobody waits for a place either.
            self.lanes.remove(&name);
        }
        job
    }
}

impl<J> Lanes<J> {
    fn waiting(&self) -> MutexGuard<'_, Waiting<J>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a job at the end of a lane, once it has a place.
    pub(crate) async fn put(&self, lane: &str, job: J) {
        let room = Arc::clone(&self.waiting().lane(lane).room);
        // The permit stands for the place in the lane until the job is taken from it. The semaphore is never closed.
        if let Ok(place) = room.acquire().await {
            place.forget();
        }
        let mut waiting = self.waiting();
        let own = waiting.lane(lane);
        own.jobs.push_back(job);
        if own.jobs.len() == 1 {
            waiting.turns.push_back(lane.to_owned());
        }
        self.more.notify_one();
    }

    /// The next jobs, one of each lane in turn: lets them gather for a moment, then waits for the first. `None` once it was
    /// stopped and nothing is left.
    pub(crate) fn take(&self, most: usize, gather: Duration) -> Option<Vec<J>> {
        if !gather.is_zero() {
            thread::sleep(gather);
        }
        let mut waiting = self.waiting();
        while waiting.turns.is_empty() {
            if waiting.stopped {
                return None;
            }
            // Lanes of senders who went away before they had a place.
            waiting.lanes.retain(|_, lane| Arc::strong_count(&lane.room) > 1);
            waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        Some(std::iter::from_fn(|| waiting.next()).take(most).collect())
    }

    /// Nothing more will come.
    pub(crate) fn stop(&self) {
        self.waiting().stopped = true;
        self.more.notify_one();
    }

    #[cfg(test)]
    pub(crate) fn in_lane(&self, lane: &str) -> usize {
        self.waiting().lanes.get(lane).map_or(0, |lane| lane.jobs.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn filled(lanes: &Lanes<(usize, usize)>, of_each: usize, count: usize) {
        for lane in 0..count {
            for place in 0..of_each {
                lanes.put(&lane.to_string(), (lane, place)).await;
            }
        }
    }

    #[tokio::test]
    async fn each_lane_has_its_turn_and_its_own_order() {
        let lanes = Lanes::default();
        filled(&lanes, 3, 2).await;
        lanes.put("late", (9, 0)).await;
        assert_eq!(lanes.take(4, Duration::ZERO).unwrap(), [(0, 0), (1, 0), (9, 0), (0, 1)]);
        assert_eq!(lanes.take(99, Duration::ZERO).unwrap(), [(1, 1), (0, 2), (1, 2)]);
        lanes.stop();
        assert_eq!(lanes.take(1, Duration::ZERO), None);
        assert!(lanes.waiting().lanes.is_empty(), "a lane goes when nothing is in it");
    }

    #[tokio::test]
    async fn who_comes_last_waits_for_one_of_each_other_lane() {
        let lanes = Lanes::default();
        filled(&lanes, LANE, 300).await;
        lanes.put("late", (999, 0)).await;
        let first: Vec<_> = lanes.take(GROUP, Duration::ZERO).unwrap();
        assert!(first.iter().all(|(_, place)| *place == 0), "no lane has two in a group that others wait for");
        assert!(
            lanes.take(GROUP, Duration::ZERO).unwrap().contains(&(999, 0)),
            "301 lanes have their turn in two groups"
        );
    }

    #[tokio::test]
    async fn a_sender_who_went_away_leaves_no_lane_and_takes_no_place() {
        let lanes = Lanes::default();
        filled(&lanes, LANE, 1).await;
        {
            let mut sent = std::pin::pin!(lanes.put("0", (0, 999)));
            assert!(futures::poll!(sent.as_mut()).is_pending(), "the lane is full");
        }
        assert_eq!(lanes.take(1, Duration::ZERO).unwrap(), [(0, 0)]);
        lanes.put("0", (0, LANE)).await;
        assert_eq!(lanes.take(LANE, Duration::ZERO).unwrap().len(), LANE);
        assert!(lanes.waiting().lanes.is_empty());
    }
}
