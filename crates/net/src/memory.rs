//! Streams in memory, for tests of gateways and for protocols inside protocols.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::chunk::Chunk;
use crate::stream::{Stream, Transport};

/// Makes two streams of which each reads what the other writes. At most `capacity` bytes (1 or more) wait
/// each way; a writer waits for room. Dropping one end without shutdown cuts the other: its reads give what
/// was written and then an unexpected end, its writes fail.
pub fn memory_pair(capacity: usize) -> (Stream, Stream) {
    let there = Arc::new(Pipe::new(capacity));
    let back = Arc::new(Pipe::new(capacity));
    let near = Memory {
        reads: Arc::clone(&back),
        writes: Arc::clone(&there),
    };
    let far = Memory {
        reads: there,
        writes: back,
    };
    (Stream::new(near), Stream::new(far))
}

/// One end of a pair.
struct Memory {
    reads: Arc<Pipe>,
    writes: Arc<Pipe>,
}

/// One direction.
struct Pipe {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    /// The writer has said that no more comes.
    ended: bool,
    /// The writer went away without saying so.
    cut: bool,
    /// Nobody will read any more.
    deaf: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for Memory {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.reads.state();
        if state.bytes.is_empty() && !state.ended && !state.cut {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut Chunk) -> Poll<io::Result<()>> {
        let mut state = self.reads.state();
        if state.bytes.is_empty() {
            if state.ended {
                return Poll::Ready(Ok(()));
            }
            if state.cut {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let (front, back) = state.bytes.as_slices();
        let count = into.append(front) + into.append(back);
        state.bytes.drain(..count);
        if let Some(writer) = state.writer.take() {
            writer.wake();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut state = self.writes.state();
        if state.deaf || state.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = self.writes.capacity - state.bytes.len();
        if room == 0 {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let before = state.bytes.len();
        let bytes = slices.iter().flat_map(|slice| slice.iter()).take(room);
        state.bytes.extend(bytes);
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(state.bytes.len() - before))
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.writes.state();
        state.ended = true;
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let mut writes = self.writes.state();
        writes.cut = !writes.ended;
        if let Some(reader) = writes.reader.take() {
            reader.wake();
        }
        drop(writes);
        let mut reads = self.reads.state();
        reads.deaf = true;
        reads.bytes = VecDeque::new();
        if let Some(writer) = reads.writer.take() {
            writer.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn carries_bytes_both_ways_and_ends_each_by_itself() {
        let (mut near, mut far) = memory_pair(1024);
        near.write(&[b"he", b"", b"llo"]).await.unwrap();
        near.shutdown().await.unwrap();
        assert_eq!(&*far.read().await.unwrap().unwrap(), b"hello");
        assert!(far.read().await.unwrap().is_none());
        far.write(&[b"answer"]).await.unwrap();
        assert_eq!(&*near.read().await.unwrap().unwrap(), b"answer");
        assert_eq!(
            near.write(&[b"x"]).await.unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
    }

    #[tokio::test]
    async fn holds_a_writer_up_until_there_is_room() {
        let (mut near, mut far) = memory_pair(4);
        let writer = tokio::spawn(async move {
            near.write(&[b"0123456789"]).await.unwrap();
            near.shutdown().await.unwrap();
        });
        let mut got = Vec::new();
        while let Some(chunk) = far.read().await.unwrap() {
            assert!(chunk.len() <= 4);
            got.extend_from_slice(&chunk);
        }
        writer.await.unwrap();
        assert_eq!(got, b"0123456789");
    }

    #[tokio::test]
    async fn a_dropped_end_cuts_the_other() {
        let (mut near, mut far) = memory_pair(16);
        near.write(&[b"last"]).await.unwrap();
        drop(near);
        assert_eq!(&*far.read().await.unwrap().unwrap(), b"last");
        assert_eq!(far.read().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(
            far.write(&[b"x"]).await.unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
    }
}
