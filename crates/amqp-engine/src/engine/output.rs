//! What waits to be written: small frames one after the other in one buffer, large payloads as they were given.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use crate::frame::{self, FrameKind};

/// Octets from which on a payload is not copied between frames.
const OWN_SEGMENT: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Output {
    sealed: VecDeque<Bytes>,
    tail: Vec<u8>,
    /// Octets of the tail that are written.
    written: usize,
    /// Octets that wait, in all.
    pending: usize,
    /// Counts what was added, so that it can be seen whether anything was.
    added: u64,
}

impl Output {
    pub(super) const fn pending(&self) -> usize {
        self.pending
    }

    pub(super) const fn added(&self) -> u64 {
        self.added
    }

    pub(super) fn heap(&self) -> usize {
        self.sealed.capacity() * size_of::<Bytes>()
            + self.sealed.iter().map(Bytes::len).sum::<usize>()
            + self.tail.capacity()
    }

    pub(super) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let tail = self.tail.get(self.written..).unwrap_or_default();
        self.sealed
            .iter()
            .map(|segment| &**segment)
            .chain(Some(tail))
            .filter(|slice| !slice.is_empty())
    }

    pub(super) fn advance(&mut self, count: usize) {
        let mut count = count.min(self.pending);
        self.pending -= count;
        while let Some(front) = self.sealed.front_mut() {
            if count < front.len() {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.sealed.pop_front();
        }
        self.written += count;
        if self.pending == 0 {
            // An idle connection holds no buffer.
            self.tail = Vec::new();
            self.sealed = VecDeque::new();
            self.written = 0;
        }
    }

    pub(super) fn raw(&mut self, octets: &[u8]) {
        self.tail.extend_from_slice(octets);
        self.count(octets.len());
    }

    pub(super) fn frame(&mut self, channel: u16, body: impl FnOnce(&mut Vec<u8>)) {
        let before = self.tail.len();
        frame::write(&mut self.tail, FrameKind::Amqp, channel, body);
        self.count(self.tail.len() - before);
    }

    pub(super) fn sasl(&mut self, body: impl FnOnce(&mut Vec<u8>)) {
        let before = self.tail.len();
        frame::write(&mut self.tail, FrameKind::Sasl, 0, body);
        self.count(self.tail.len() - before);
    }

    /// Writes a frame of a performative and as much of `payload` as fits into `limit` octets, and says how much that
    /// was. `performative` writes for the last frame (`true`) or for one that others follow.
    pub(super) fn transfer(
        &mut self,
        channel: u16,
        limit: usize,
        payload: &Bytes,
        performative: impl Fn(&mut Vec<u8>, bool),
    ) -> usize {
        let start = frame::begin(&mut self.tail, FrameKind::Amqp, channel);
        performative(&mut self.tail, true);
        let mut room = limit.saturating_sub(self.tail.len() - start);
        if room < payload.len() {
            // Whether others follow changes a constructor and no length.
            self.tail.truncate(start + frame::HEADER);
            performative(&mut self.tail, false);
            room = limit.saturating_sub(self.tail.len() - start);
        }
        let length = payload.len().min(room);
        frame::end(&mut self.tail, start, length);
        self.count(self.tail.len() - start);
        if length < OWN_SEGMENT {
            self.raw(payload.get(..length).unwrap_or_default());
        } else {
            let tail = Bytes::from(std::mem::take(&mut self.tail));
            self.sealed.push_back(tail.slice(self.written..));
            self.written = 0;
            self.sealed.push_back(payload.slice(..length));
            self.count(length);
        }
        length
    }

    fn count(&mut self, octets: usize) {
        self.pending += octets;
        self.added = self.added.wrapping_add(octets as u64);
    }
}
