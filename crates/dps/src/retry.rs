//! Two habits of every verb: asking the permit, and repeating a write whose outcome is unknown.

use std::future::Future;

use muster_model::access::DpsRights;
use muster_resources::{DpsPermit, StoreError, WriteError};

use crate::error::Error;

/// Demands rights of a permit.
pub(crate) fn require(permit: &DpsPermit, needed: DpsRights) -> Result<(), Error> {
    if permit.rights().contains(needed) {
        Ok(())
    } else {
        Err(Error::Forbidden { needed })
    }
}

/// Makes a write, and makes it once more when its outcome is unknown. Both must carry the same request id, so that the
/// repeat is harmless.
pub(crate) async fn written<T, F>(mut write: impl FnMut() -> F) -> Result<T, WriteError>
where
    F: Future<Output = Result<T, WriteError>>,
{
    match write().await {
        Err(WriteError::Store(StoreError::Unknown(_))) => write().await,
        outcome => outcome,
    }
}
