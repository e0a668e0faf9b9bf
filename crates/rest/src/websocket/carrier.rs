//! A `net::Stream` in the shape that the WebSocket library reads from and writes to.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use muster_net::{Chunk, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The connection below the frames.
pub(crate) struct Carrier {
    stream: Stream,
    /// What HTTP had read already.
    first: Bytes,
    /// What was read and did not fit.
    rest: Option<Chunk>,
}

impl Carrier {
    pub(crate) const fn new(stream: Stream, first: Bytes, rest: Option<Chunk>) -> Self {
        Self { stream, first, rest }
    }
}

impl AsyncRead for Carrier {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let count = self.first.len().min(buf.remaining());
            buf.put_slice(&self.first.split_to(count));
            return Poll::Ready(Ok(()));
        }
        if self.rest.is_none() {
            self.rest = ready!(self.stream.poll_read(cx))?;
        }
        if let Some(mut chunk) = self.rest.take() {
            let count = chunk.len().min(buf.remaining());
            buf.put_slice(chunk.get(..count).unwrap_or_default());
            chunk.advance(count);
            if !chunk.is_empty() {
                self.rest = Some(chunk);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Carrier {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_write(cx, &[IoSlice::new(buf)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_shutdown(cx)
    }
}
