//! Cuts a stream of bytes into packets.

use crate::error::Violation;

/// Longest fixed header: one byte of type and flags, four of length.
const LONGEST_HEADER: usize = 5;

/// One packet, not read yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame<'a> {
    /// The first byte: type and flags.
    pub first: u8,
    /// Everything behind the fixed header.
    pub body: &'a [u8],
}

/// Cuts a stream into packets. A packet that has come whole is lent out of the input; only one that comes in pieces is
/// kept, and no room is made for bytes that were announced and have not come.
#[derive(Debug, Default)]
pub struct Frames {
    held: Vec<u8>,
    /// Whether what is held was lent out whole and can go.
    lent: bool,
}

impl Frames {
    /// Takes the next packet from the front of `input`; `None` when the input ends within it, and then all of the input
    /// is taken. Packets of more than `limit` bytes are refused as soon as their length is known.
    ///
    /// # Errors
    /// [`Violation::Length`], [`Violation::TooLarge`]; the stream can't be read on then.
    pub fn next<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
        limit: usize,
    ) -> Result<Option<Frame<'a>>, Violation> {
        if self.lent {
            self.lent = false;
            // A packet that came in pieces may have been large, and the next one seldom is.
            self.held = Vec::new();
        }
        if self.held.is_empty() {
            if let Some((header, total)) = length(input, limit)?
                && let Some((packet, rest)) = input.split_at_checked(total)
            {
                *input = rest;
                return Ok(frame(packet, header));
            }
            self.held.extend_from_slice(input);
            *input = &[];
            return Ok(None);
        }
        // The header first, byte by byte: only then it is known how much belongs to this packet.
        while length(&self.held, limit)?.is_none() {
            let Some((byte, rest)) = input.split_first() else {
                return Ok(None);
            };
            self.held.push(*byte);
            *input = rest;
        }
        let Some((header, total)) = length(&self.held, limit)? else {
            return Ok(None);
        };
        let missing = total.saturating_sub(self.held.len()).min(input.len());
        let (now, rest) = input.split_at(missing);
        self.held.extend_from_slice(now);
        *input = rest;
        if self.held.len() < total {
            return Ok(None);
        }
        self.lent = true;
        Ok(frame(&self.held, header))
    }

    /// Whether a packet has begun and not ended.
    pub fn is_within(&self) -> bool {
        !self.lent && !self.held.is_empty()
    }
}

fn frame(packet: &[u8], header: usize) -> Option<Frame<'_>> {
    Some(Frame {
        first: *packet.first()?,
        body: packet.get(header..)?,
    })
}

/// Reads the fixed header: its length, and that of the whole packet.
fn length(bytes: &[u8], limit: usize) -> Result<Option<(usize, usize)>, Violation> {
    let mut remaining = 0_usize;
    for (place, byte) in bytes.iter().enumerate().take(LONGEST_HEADER).skip(1) {
        remaining |= usize::from(byte & 0x7f) << (7 * (place - 1));
        if byte & 0x80 == 0 {
            let header = place + 1;
            let total = header + remaining;
            return if total > limit {
                Err(Violation::TooLarge(limit))
            } else {
                Ok(Some((header, total)))
            };
        }
    }
    if bytes.len() >= LONGEST_HEADER {
        return Err(Violation::Length);
    }
    Ok(None)
}
