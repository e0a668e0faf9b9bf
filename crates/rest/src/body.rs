//! Bodies of answers, and the bounded reading of bodies of requests.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use muster_net::time::timeout;
use tokio::sync::mpsc;

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Known whole; sent with its length.
    Whole(Option<Bytes>),
    /// Known whole; sent in chunks, as Azure sends what devices are told.
    Chunked(Option<Bytes>),
    /// None, and its length is said to be 0: what a 204 of Azure looks like.
    None,
    /// Comes piece by piece until the sender is dropped.
    Pieces(mpsc::Receiver<Bytes>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match self.get_mut() {
            Self::Whole(bytes) | Self::Chunked(bytes) => bytes.take(),
            Self::None => None,
            Self::Pieces(pieces) => match pieces.poll_recv(context) {
                Poll::Ready(piece) => piece,
                Poll::Pending => return Poll::Pending,
            },
        };
        Poll::Ready(data.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) | Self::Chunked(bytes) => bytes.is_none(),
            // hyper leaves the length out of an answer whose body says that it has ended.
            Self::None | Self::Pieces(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::None => SizeHint::with_exact(0),
            Self::Chunked(_) | Self::Pieces(_) => SizeHint::default(),
        }
    }
}

/// A body of a request that was not read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The client broke off, or sent what is not HTTP.
    #[error("the body broke off: {0}")]
    Broken(#[source] hyper::Error),
    /// It did not come in time.
    #[error("the body did not come in time")]
    Slow,
    /// It is longer than the call takes.
    #[error("the body is longer than {0} bytes")]
    TooLong(usize),
}

/// Most bytes of a body that are thrown away so that its sender gets to read why it is refused.
const DISCARDED: u64 = 1 << 20;

/// How long is waited for such bytes.
const DISCARDING: Duration = Duration::from_secs(2);

/// Reads on and throws away what comes, within bounds. A connection that is closed while its client still sends is
/// reset, and the answer that was on its way is lost with it.
pub(crate) async fn discard(body: &mut Incoming) {
    // Who announces more than is thrown away is not waited for.
    if body.size_hint().lower() > DISCARDED {
        return;
    }
    let discarding = async {
        let mut seen = 0;
        while seen <= DISCARDED
            && let Some(Ok(frame)) = body.frame().await
        {
            seen += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
    };
    // Late or not: what matters is that the bounds held.
    let _ = timeout(DISCARDING, discarding).await;
}

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// [`ReadError`].
pub(crate) async fn read(body: &mut Incoming, limit: usize) -> Result<Bytes, ReadError> {
    // A length that is announced and too long is refused before anything is read.
    if body.size_hint().lower() > limit as u64 {
        return Err(ReadError::TooLong(limit));
    }
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(ReadError::Broken)?.into_data() else {
            continue;
        };
        let so_far = first.as_ref().map_or(0, Bytes::len) + rest.len();
        if so_far + data.len() > limit {
            return Err(ReadError::TooLong(limit));
        }
        match (&first, rest.is_empty()) {
            (None, _) => first = Some(data),
            (Some(_), _) => rest.extend_from_slice(&data),
        }
    }
    Ok(match first {
        None => Bytes::new(),
        Some(only) if rest.is_empty() => only,
        Some(start) => {
            let mut whole = BytesMut::with_capacity(start.len() + rest.len());
            whole.extend_from_slice(&start);
            whole.extend_from_slice(&rest);
            whole.freeze()
        }
    })
}
