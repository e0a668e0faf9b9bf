//! Lets hyper serve HTTP over a [`Stream`].

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};

use crate::chunk::Chunk;
use crate::stream::Stream;

/// A [`Stream`] in the shape that hyper reads from and writes to.
#[derive(Debug)]
pub struct HyperStream {
    stream: Stream,
    /// What was read and did not fit into hyper's buffer.
    rest: Option<Chunk>,
}

impl HyperStream {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, rest: None }
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
        self.stream.poll_write(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_shutdown(cx)
    }
}
