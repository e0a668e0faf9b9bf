//! The hubs of this server as provisioning sees them.
//!
//! `dps` and `hub` do not know each other; this adapter turns what one asks into what the other's store does. A remote
//! hub, Azure's included, will be another implementation of the same port.

use std::sync::Arc;

use async_trait::async_trait;
use muster_dps::ports::{LinkedDevice, LinkedTwin};
use muster_dps::{LinkedHub, LinkedHubError};
use muster_hub::Store;
use muster_hub::ports::{ProvisionedDevice, TwinChange};
use muster_model::twin::Twin;
use muster_model::{DeviceId, HubKey, IfMatch, OperationId, RequestId, Wall};
use muster_resources::{StoreError, WriteError};

/// Reaches the hubs of this server.
pub(crate) struct LocalHubs {
    store: Arc<dyn Store>,
}

impl LocalHubs {
    /// Writes through `store`.
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }
}

/// The two writes that one attempt makes: each needs a request id of its own, the same one at each repeat.
#[derive(Clone, Copy)]
enum Step {
    Ensure,
    Remove,
}

/// Derives the request id of a step from the operation id, whose last part is a random GUID.
fn request_id(operation: &OperationId, step: Step) -> Result<RequestId, LinkedHubError> {
    let guid = operation.as_str().rsplit('.').next().and_then(RequestId::parse);
    let mut bytes = guid
        .ok_or_else(|| LinkedHubError::Refused("the operation id has no GUID".into()))?
        .bytes();
    if matches!(step, Step::Remove) {
        bytes[0] ^= 0x80;
    }
    Ok(RequestId::from_bytes(bytes))
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed over by map_err")]
fn unavailable(error: StoreError) -> LinkedHubError {
    LinkedHubError::Unavailable(error.to_string())
}

#[async_trait]
impl LinkedHub for LocalHubs {
    async fn ensure(
        &self,
        hub: HubKey,
        operation: &OperationId,
        id: &DeviceId,
        device: &LinkedDevice,
        twin: Option<Twin>,
        now: Wall,
    ) -> Result<(), LinkedHubError> {
        let twin = match (&device.twin, twin) {
            (LinkedTwin::Migrate(_), Some(twin)) => TwinChange::Migrate(twin),
            (LinkedTwin::IfNew(initial), _) | (LinkedTwin::Migrate(initial), None) => {
                TwinChange::IfNew(initial.clone())
            }
            (LinkedTwin::Reset(initial), _) => TwinChange::Reset(initial.clone()),
        };
        let device = ProvisionedDevice {
            id: id.clone(),
            authentication: device.authentication.clone(),
            iot_edge: device.iot_edge,
            provenance: device.provenance.clone(),
            twin,
        };
        let request = request_id(operation, Step::Ensure)?;
        match self.store.ensure_device(request, hub, device, now).await {
            Ok(_) => Ok(()),
            Err(WriteError::Missing) => Err(LinkedHubError::Gone),
            Err(WriteError::Store(error)) => Err(unavailable(error)),
            Err(error @ (WriteError::Exists | WriteError::Stale)) => {
                Err(LinkedHubError::Refused(error.to_string()))
            }
        }
    }

    async fn twin(&self, hub: HubKey, id: &DeviceId) -> Result<Option<Twin>, LinkedHubError> {
        self.store.twin(hub, id).await.map_err(unavailable)
    }

    async fn remove(
        &self,
        hub: HubKey,
        operation: &OperationId,
        id: &DeviceId,
    ) -> Result<(), LinkedHubError> {
        let request = request_id(operation, Step::Remove)?;
        match self.store.delete_device(request, hub, id, IfMatch::Absent).await {
            Ok(()) | Err(WriteError::Missing) => Ok(()),
            Err(WriteError::Store(error)) => Err(unavailable(error)),
            Err(error) => Err(LinkedHubError::Refused(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests;
