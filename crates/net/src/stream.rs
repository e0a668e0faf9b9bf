//! The byte stream that gateways work on, whatever carries it.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use crate::chunk::Chunk;
use crate::hyper_io::HyperStream;

/// Carries bytes both ways: TLS or plain TCP, memory in tests, WebSocket frames in `rest`.
///
/// The polling rules are those of futures: `Pending` means that the task of `cx` is woken when it is worth
/// asking again. Reading and writing may be waited for at the same time by one task.
pub trait Transport: Send {
    /// Waits until bytes, the end or an error can be read, holding no buffer meanwhile.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Adds what has arrived to `into`, which is empty and of full capacity. `Ready` with `into` still
    /// empty means that the peer has ended its direction.
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut Chunk) -> Poll<io::Result<()>>;

    /// Takes bytes from the front of `slices` and says how many; 0 only if there are none.
    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Brings what was taken to the peer's side of the system.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Flushes, then ends our direction in the carrier's own way.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// A connection's bytes.
///
/// Reading is in two steps: [`readable`](Self::readable) waits without any buffer, then
/// [`read`](Self::read) lends a pooled chunk with what has arrived. Writing takes a list of slices, which
/// leave in as few records as fit. Dropping a stream cuts the connection; [`shutdown`](Self::shutdown)
/// ends it politely.
pub struct Stream {
    transport: Box<dyn Transport>,
}

impl Stream {
    /// Makes a stream of a carrier.
    pub fn new(transport: impl Transport + 'static) -> Self {
        Self {
            transport: Box::new(transport),
        }
    }

    /// Waits until [`read`](Self::read) has something to say. Nothing is lost if the wait is given up.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn readable(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    /// Takes what has arrived, waiting if nothing has; `None` when the peer has ended its direction.
    /// Nothing is lost if the wait is given up.
    ///
    /// # Errors
    /// The connection failed; [`io::ErrorKind::UnexpectedEof`] if a TLS peer went away without a word.
    pub async fn read(&mut self) -> io::Result<Option<Chunk>> {
        poll_fn(|cx| self.poll_read(cx)).await
    }

    /// Writes all of `slices`, one after the other. They may rest in a buffer until
    /// [`flush`](Self::flush). If the wait is given up, any part may have been written.
    ///
    /// # Errors
    /// The connection failed; [`io::ErrorKind::WriteZero`] if the carrier takes no more.
    pub async fn write(&mut self, slices: &[&[u8]]) -> io::Result<()> {
        let mut rest: Vec<IoSlice<'_>> = slices
            .iter()
            .filter(|slice| !slice.is_empty())
            .map(|slice| IoSlice::new(slice))
            .collect();
        let mut rest = rest.as_mut_slice();
        while !rest.is_empty() {
            let count = poll_fn(|cx| self.poll_write(cx, rest)).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut rest, count);
        }
        Ok(())
    }

    /// Brings all that was written on its way.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Flushes and ends our direction; the peer's may go on.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_shutdown(cx)).await
    }

    /// [`readable`](Self::readable) for code that polls.
    ///
    /// # Errors
    /// The connection failed.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.poll_readable(cx)
    }

    /// [`read`](Self::read) for code that polls.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Chunk>>> {
        ready!(self.transport.poll_readable(cx))?;
        let mut chunk = Chunk::lend();
        ready!(self.transport.poll_read(cx, &mut chunk))?;
        Poll::Ready(Ok(if chunk.is_empty() { None } else { Some(chunk) }))
    }

    /// Writes some of `slices` and says how many bytes that was.
    ///
    /// # Errors
    /// The connection failed.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.transport.poll_write(cx, slices)
    }

    /// [`flush`](Self::flush) for code that polls.
    ///
    /// # Errors
    /// The connection failed.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.poll_flush(cx)
    }

    /// [`shutdown`](Self::shutdown) for code that polls.
    ///
    /// # Errors
    /// The connection failed.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.poll_shutdown(cx)
    }

    /// Adapts the stream to what hyper reads from and writes to.
    pub fn into_hyper(self) -> HyperStream {
        HyperStream::new(self)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}
