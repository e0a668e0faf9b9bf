//! Buffers that are lent while bytes are in flight and go back to a pool afterwards.
//!
//! The pool is one per process and keeps a bounded number of buffers: an idle connection holds none, so
//! the number in use follows the traffic, not the number of connections.

use std::fmt;
use std::ops::Deref;
use std::sync::{Mutex, PoisonError};

/// Buffers kept for reuse; the rest is given back to the allocator. 256 of them are 4.6 MiB.
const KEPT: usize = 256;

static POOL: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// A lent buffer with the bytes that it holds. It goes back to the pool when it is dropped.
pub struct Chunk {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Chunk {
    /// Bytes that a chunk can hold: one TLS record of the greatest size on the wire fits.
    /// Source: RFC 5246 §6.2.3 (2^14 + 2048, and 5 of header), read 2026-11-25.
    pub const CAPACITY: usize = 18_560;

    /// Borrows an empty chunk from the pool.
    pub fn lend() -> Self {
        let kept = POOL.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let buffer = kept.unwrap_or_else(|| vec![0; Self::CAPACITY].into_boxed_slice());
        Self {
            buffer,
            start: 0,
            end: 0,
        }
    }

    /// Bytes that can still be added.
    pub fn room(&self) -> usize {
        self.buffer.len() - self.end
    }

    /// The room behind the held bytes. What was written there counts once [`filled`](Self::filled) says so.
    pub fn room_mut(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// Says that `count` bytes of the room were written; counts at most the room.
    pub fn filled(&mut self, count: usize) {
        self.end += count.min(self.room());
    }

    /// Adds as much of `bytes` as there is room for, and says how much that was.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let room = self.room_mut();
        let count = bytes.len().min(room.len());
        if let (Some(to), Some(from)) = (room.get_mut(..count), bytes.get(..count)) {
            to.copy_from_slice(from);
        }
        self.end += count;
        count
    }

    /// Forgets the first `count` held bytes, or all of them when there are fewer.
    pub fn advance(&mut self, count: usize) {
        self.start += count.min(self.end - self.start);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// The held bytes, writable: what a record layer decrypts in place.
    pub(crate) fn held_mut(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.start..self.end).unwrap_or_default()
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }
}

/// Shows the length only: contents are the peers' business.
impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < KEPT {
            pool.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_appended_and_forgets_what_was_taken() {
        let mut chunk = Chunk::lend();
        assert_eq!(chunk.append(b"abcdef"), 6);
        chunk.advance(2);
        assert_eq!(&*chunk, b"cdef");
        chunk.advance(100);
        assert!(chunk.is_empty());
        assert_eq!(chunk.room(), Chunk::CAPACITY);
    }

    #[test]
    fn takes_no_more_than_it_has_room_for() {
        let mut chunk = Chunk::lend();
        let big = vec![7; Chunk::CAPACITY + 10];
        assert_eq!(chunk.append(&big), Chunk::CAPACITY);
        assert_eq!(chunk.append(b"x"), 0);
        chunk.filled(5);
        assert_eq!(chunk.len(), Chunk::CAPACITY);
    }
}
