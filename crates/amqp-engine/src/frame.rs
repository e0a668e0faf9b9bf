//! Frames: eight octets of header, then a performative, then payload; and the header of the protocol itself.

use crate::error::Error;

/// Octets of a frame's header. Source: OASIS AMQP 1.0, part 2, section 2.3, read 2026-11-25.
pub(crate) const HEADER: usize = 8;
/// Octets of the largest frame before another size was agreed, and the least that may be agreed.
pub(crate) const MIN_MAX_FRAME: u32 = 512;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    Amqp,
    Sasl,
}

/// The layer that a protocol header announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    Amqp,
    Sasl,
}

/// A frame in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: FrameKind,
    pub(crate) channel: u16,
    pub(crate) body: &'a [u8],
}

impl Layer {
    /// The octets that announce it, version 1.0.0.
    pub(crate) const fn header(self) -> [u8; 8] {
        match self {
            Self::Amqp => *b"AMQP\x00\x01\x00\x00",
            Self::Sasl => *b"AMQP\x03\x01\x00\x00",
        }
    }
}

/// The size of the frame at the front of `input`, itself included; `None` while that cannot be told.
///
/// # Errors
/// [`Error::FrameHeader`] below the size of a header, [`Error::FrameTooLarge`] above `limit`.
pub(crate) fn size(input: &[u8], limit: u32) -> Result<Option<usize>, Error> {
    let Some(octets) = input.first_chunk() else {
        return Ok(None);
    };
    let size = u32::from_be_bytes(*octets);
    if size > limit {
        return Err(Error::FrameTooLarge { size, limit });
    }
    let size = usize::try_from(size).map_err(|_| Error::FrameHeader)?;
    if size < HEADER {
        return Err(Error::FrameHeader);
    }
    Ok(Some(size))
}

/// Takes a whole frame apart.
///
/// # Errors
/// [`Error::FrameHeader`] for a kind that there is not, or a body that begins outside of the frame.
pub(crate) fn parse(frame: &[u8]) -> Result<Frame<'_>, Error> {
    let [_, _, _, _, offset, kind, high, low] = *frame.first_chunk().ok_or(Error::FrameHeader)?;
    if offset < 2 {
        return Err(Error::FrameHeader);
    }
    let body = frame.get(usize::from(offset) * 4..).ok_or(Error::FrameHeader)?;
    let kind = match kind {
        0 => FrameKind::Amqp,
        1 => FrameKind::Sasl,
        _ => return Err(Error::FrameHeader),
    };
    Ok(Frame {
        kind,
        channel: u16::from_be_bytes([high, low]),
        body,
    })
}

/// Appends a frame whose body `body` writes.
pub(crate) fn write(out: &mut Vec<u8>, kind: FrameKind, channel: u16, body: impl FnOnce(&mut Vec<u8>)) {
    let start = begin(out, kind, channel);
    body(out);
    end(out, start, 0);
}

/// Appends the header of a frame and says where it stands; [`end`] completes it.
pub(crate) fn begin(out: &mut Vec<u8>, kind: FrameKind, channel: u16) -> usize {
    let start = out.len();
    let [high, low] = channel.to_be_bytes();
    let kind = match kind {
        FrameKind::Amqp => 0,
        FrameKind::Sasl => 1,
    };
    out.extend_from_slice(&[0, 0, 0, 0, 2, kind, high, low]);
    start
}

/// Puts its size into the frame that begins at `start`; `beyond` octets of it are written elsewhere.
pub(crate) fn end(out: &mut [u8], start: usize, beyond: usize) {
    let size = u32::try_from(out.len() - start + beyond).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&size.to_be_bytes());
    }
}
