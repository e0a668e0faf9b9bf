//! Bytes in and out of a connection: packets are cut from what came, and what is to be sent leaves in one write.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use muster_mqtt_codec::{Frame, Frames, Violation};
use muster_net::time::timeout;
use muster_net::{Chunk, Stream};

/// Most bytes that are kept for sending between two writes; a larger buffer is given back.
const KEPT: usize = 4096;

/// The bytes of one connection.
pub(crate) struct Pump {
    stream: Stream,
    frames: Frames,
    /// What came and was not looked at yet.
    chunk: Option<Chunk>,
    /// What is to be sent.
    pub(crate) out: Vec<u8>,
}

impl Pump {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            frames: Frames::default(),
            chunk: None,
            out: Vec::new(),
        }
    }

    /// Gives the next packet of at most `limit` bytes among what has come to `read`; `None` when none is there whole.
    pub(crate) fn packet<T, E: From<Violation>>(
        &mut self,
        limit: usize,
        read: impl FnOnce(Frame<'_>) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        let Some(chunk) = &mut self.chunk else {
            return Ok(None);
        };
        let mut input = &chunk[..];
        let frame = self.frames.next(&mut input, limit)?;
        let left = input.len();
        let outcome = frame.map(read).transpose();
        let taken = chunk.len() - left;
        chunk.advance(taken);
        if chunk.is_empty() {
            // It goes back to the pool: an idle connection holds no buffer.
            self.chunk = None;
        }
        outcome
    }

    /// Whether something came that was not looked at yet.
    pub(crate) const fn has_input(&self) -> bool {
        self.chunk.is_some()
    }

    /// Waits until something can be read, holding no buffer.
    pub(crate) fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_readable(context)
    }

    /// Reads what has come; `false` at the end.
    pub(crate) async fn fill(&mut self) -> io::Result<bool> {
        self.chunk = self.stream.read().await?;
        Ok(self.chunk.is_some())
    }

    /// Whether something is to be sent.
    pub(crate) const fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// Sends what is to be sent, within `time`.
    pub(crate) async fn send(&mut self, time: Duration) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let sending = async {
            self.stream.write(&[&self.out]).await?;
            self.stream.flush().await
        };
        timeout(time, sending)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if self.out.capacity() > KEPT {
            self.out = Vec::new();
        }
        self.out.clear();
        Ok(())
    }

    /// Sends what is to be sent, and ends the connection.
    pub(crate) async fn close(&mut self, time: Duration) {
        let closing = async {
            self.send(time).await?;
            self.stream.shutdown().await
        };
        // Whether the peer still listens does not matter any more.
        let _ = timeout(time, closing).await;
    }
}
