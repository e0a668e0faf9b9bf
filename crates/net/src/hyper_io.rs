//! Lets hyper serve HTTP over a [`Stream`].

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::time::{Sleep, sleep};

use crate::chunk::Chunk;
use crate::stream::Stream;

/// How long a peer may leave what waits for it untaken; at most some 100 KiB wait at once. hyper bounds only how long a
/// request may take to come: who asks and never reads the answers would keep his place for ever.
const STALL: Duration = Duration::from_mins(1);

/// A [`Stream`] in the shape that hyper reads from and writes to.
#[derive(Debug)]
pub struct HyperStream {
    stream: Stream,
    /// What was read and did not fit into hyper's buffer.
    rest: Option<Chunk>,
    /// Runs while something waits to be taken; an idle connection has none.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl HyperStream {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            rest: None,
            stalled: None,
        }
    }

    /// Ends a wait for the peer that has lasted too long.
    fn bounded<T>(&mut self, cx: &mut Context<'_>, sent: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.stalled = None;
            return sent;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALL)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Gives the stream back with what was read from it and not taken yet: after an upgrade, the first
    /// bytes of the new protocol.
    pub fn into_parts(self) -> (Stream, Option<Chunk>) {
        (self.stream, self.rest)
    }
}

impl Read for HyperStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut chunk = match self.rest.take() {
            Some(rest) => rest,
            None => match ready!(self.stream.poll_read(cx))? {
                Some(chunk) => chunk,
                None => return Poll::Ready(Ok(())),
            },
        };
        let count = chunk.len().min(buf.remaining());
        buf.put_slice(chunk.get(..count).unwrap_or_default());
        chunk.advance(count);
        if !chunk.is_empty() {
            self.rest = Some(chunk);
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for HyperStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let sent = self.stream.poll_write(cx, &[IoSlice::new(buf)]);
        self.bounded(cx, sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = self.stream.poll_write(cx, bufs);
        self.bounded(cx, sent)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = self.stream.poll_flush(cx);
        self.bounded(cx, sent)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = self.stream.poll_shutdown(cx);
        self.bounded(cx, sent)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::memory::memory_pair;

    async fn write(stream: &mut HyperStream) -> io::Result<usize> {
        poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, b"0123456789")).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_not_waited_for_without_end() {
        let (near, mut far) = memory_pair(16);
        let mut near = near.into_hyper();
        assert_eq!(write(&mut near).await.unwrap(), 10);
        assert_eq!(write(&mut near).await.unwrap(), 6);
        // Slow is not stalled: the time begins anew with whatever is taken.
        for _ in 0..10 {
            let slowly = async {
                sleep(STALL / 4 * 3).await;
                far.read().await.unwrap().unwrap().len()
            };
            let (sent, taken) = tokio::join!(write(&mut near), slowly);
            assert_eq!((sent.unwrap(), taken), (10, 16));
            assert_eq!(write(&mut near).await.unwrap(), 6);
        }
        let late = write(&mut near).await.unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }
}
