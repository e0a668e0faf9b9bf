//! Batches: one delivery whose data sections are messages themselves.

use bytes::Bytes;

use super::{DATA, section, write_data};
use crate::codec::Reader;
use crate::error::Error;

/// The message format of a batch. Source: `azure-uamqp-c`, `inc/azure_uamqp_c/message_sender.h`, and what Azure's C SDK
/// sends with every event, read 2026-11-25.
pub const BATCH_FORMAT: u32 = 0x8001_3700;

/// The messages of a batch, one after the other, each as bytes to decode. After an error it is at its end.
#[derive(Clone, Debug)]
pub struct Batch {
    payload: Bytes,
}

impl Batch {
    /// Looks at the payload of a delivery of the format [`BATCH_FORMAT`].
    pub const fn new(payload: Bytes) -> Self {
        Self { payload }
    }

    fn advance(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if self.payload.is_empty() {
                return Ok(None);
            }
            let mut reader = Reader::shared(&self.payload);
            let message = if section(&mut reader)? == DATA {
                Some(reader.binary()?)
            } else {
                // What the batch says of itself repeats what its messages say.
                reader.skip()?;
                None
            };
            let rest = self.payload.slice_ref(reader.rest());
            self.payload = rest;
            if message.is_some() {
                return Ok(message);
            }
        }
    }
}

impl Iterator for Batch {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let message = self.advance();
        if message.is_err() {
            self.payload = Bytes::new();
        }
        message.transpose()
    }
}

/// Appends a batch of encoded messages to `out`.
pub fn write_batch<'a>(out: &mut Vec<u8>, messages: impl IntoIterator<Item = &'a [u8]>) {
    for message in messages {
        write_data(out, message);
    }
}
