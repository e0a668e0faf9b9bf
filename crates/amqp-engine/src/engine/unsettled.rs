//! Deliveries of one direction of a session that are not settled, by id.
//!
//! Ids only grow, so the deliveries stand in a row; one that is settled leaves a gap which is closed later. A range of
//! ids costs what is in the row, not what is between its ends.

use std::collections::VecDeque;
use std::ops::Range;

use super::id::is_after;

/// Entries for which room is kept while there are none.
const KEPT: usize = 16;

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) id: u32,
    /// This side's handle of the link.
    pub(super) handle: u32,
    pub(super) stage: Stage,
    /// Whether the sender settles last.
    pub(super) second: bool,
}

/// How far a delivery has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not all of it has arrived, so nothing can be said of it.
    Part,
    /// It is there.
    Whole,
    /// An outcome was told, so that only settlement is left.
    Told,
    /// It is settled, and its place is to be closed.
    Gone,
}

/// What is to be done with an entry that a walk comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Keep,
    Remove,
}

#[derive(Debug, Default)]
pub(super) struct Unsettled {
    row: VecDeque<Entry>,
    live: usize,
}

impl Unsettled {
    pub(super) const fn len(&self) -> usize {
        self.live
    }

    pub(super) fn heap(&self) -> usize {
        self.row.capacity() * size_of::<Entry>()
    }

    /// Whether `id` is too far from the oldest entry to be told from one before it.
    pub(super) fn spans_too_far(&self, id: u32) -> bool {
        self.row
            .front()
            .is_some_and(|oldest| oldest.id != id && !is_after(id, oldest.id))
    }

    /// Adds a delivery; its id is after all others.
    pub(super) fn push(&mut self, id: u32, handle: u32, second: bool, stage: Stage) {
        self.row.push_back(Entry {
            id,
            handle,
            stage,
            second,
        });
        self.live += 1;
    }

    /// Goes through the entries from `first` to `last`, in their order.
    pub(super) fn walk(&mut self, first: u32, last: u32, mut step: impl FnMut(&mut Entry) -> Step) {
        let range = self.range(first, last);
        for entry in self.row.range_mut(range) {
            if entry.stage != Stage::Gone && step(entry) == Step::Remove {
                entry.stage = Stage::Gone;
                self.live -= 1;
            }
        }
        self.tidy();
    }

    /// Removes what belongs to a link.
    pub(super) fn remove_link(&mut self, handle: u32) {
        self.row
            .retain(|entry| entry.stage != Stage::Gone && entry.handle != handle);
        self.live = self.row.len();
        self.tidy();
    }

    fn range(&self, first: u32, last: u32) -> Range<usize> {
        let Some(oldest) = self.row.front().map(|entry| entry.id) else {
            return 0..0;
        };
        if is_after(first, last) || is_after(oldest, last) {
            return 0..0;
        }
        // All ids in the row are at or after the oldest, so distances from it are in order.
        let distance = |id: u32| id.wrapping_sub(oldest);
        let start = if is_after(oldest, first) {
            0
        } else {
            self.row
                .partition_point(|entry| distance(entry.id) < distance(first))
        };
        let end = self
            .row
            .partition_point(|entry| distance(entry.id) <= distance(last));
        start..end.max(start)
    }

    fn tidy(&mut self) {
        while self.row.front().is_some_and(|entry| entry.stage == Stage::Gone) {
            self.row.pop_front();
        }
        if self.row.len() > 2 * self.live + KEPT {
            self.row.retain(|entry| entry.stage != Stage::Gone);
        }
        if self.row.is_empty() && self.row.capacity() > KEPT {
            self.row = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(unsettled: &mut Unsettled, first: u32, last: u32) -> Vec<u32> {
        let mut found = Vec::new();
        unsettled.walk(first, last, |entry| {
            found.push(entry.id);
            Step::Keep
        });
        found
    }

    #[test]
    fn ranges_meet_only_what_is_there_across_the_end_of_numbers() {
        let mut unsettled = Unsettled::default();
        for id in [u32::MAX - 1, u32::MAX, 0, 1, 5] {
            unsettled.push(id, 0, false, Stage::Whole);
        }
        assert_eq!(ids(&mut unsettled, u32::MAX, 1), [u32::MAX, 0, 1]);
        assert_eq!(
            ids(&mut unsettled, u32::MAX - 100, 100),
            [u32::MAX - 1, u32::MAX, 0, 1, 5]
        );
        assert_eq!(ids(&mut unsettled, 2, 4), [0_u32; 0]);
        assert_eq!(ids(&mut unsettled, 1, 0), [0_u32; 0], "backwards is nothing");
        assert_eq!(ids(&mut unsettled, 6, 5000), [0_u32; 0]);
    }

    #[test]
    fn what_is_settled_in_the_middle_is_not_met_again_and_gives_its_room_back() {
        let mut unsettled = Unsettled::default();
        for id in 0..1000 {
            unsettled.push(id, id % 2, false, Stage::Whole);
        }
        unsettled.walk(1, 998, |_| Step::Remove);
        assert_eq!(ids(&mut unsettled, 0, 2000), [0, 999]);
        assert!(unsettled.row.len() <= 2 * unsettled.len() + KEPT);
        unsettled.remove_link(1);
        assert_eq!(ids(&mut unsettled, 0, 2000), [0]);
        unsettled.walk(0, 0, |_| Step::Remove);
        assert_eq!((unsettled.len(), unsettled.heap()), (0, 0));
    }
}
