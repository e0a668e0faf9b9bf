//! What the hub needs from a store. The rules of `resources::ports` hold here too: three outcomes, request ids, and a
//! trust version for each change of whom the server trusts.

use async_trait::async_trait;
use muster_model::identity::{
    Authentication, DeviceCounts, DeviceIdentity, DeviceStatus, Provenance, StatusReason,
};
use muster_model::twin::{InitialTwin, Twin};
use muster_model::{DeviceId, GenerationId, HubKey, IfMatch, RequestId, Subscriptions, Wall};
use muster_resources::{StoreError, WriteError};

/// A device identity as a caller wants it.
#[derive(Clone, Debug)]
pub struct DeviceDraft {
    /// See [`DeviceIdentity::id`].
    pub id: DeviceId,
    /// See [`DeviceIdentity::status`].
    pub status: DeviceStatus,
    /// See [`DeviceIdentity::status_reason`].
    pub status_reason: Option<StatusReason>,
    /// See [`DeviceIdentity::authentication`].
    pub authentication: Authentication,
    /// See [`DeviceIdentity::iot_edge`].
    pub iot_edge: bool,
}

/// A device identity as provisioning wants it.
#[derive(Clone, Debug)]
pub struct ProvisionedDevice {
    /// Its id on the hub.
    pub id: DeviceId,
    /// How it is to prove who it is.
    pub authentication: Authentication,
    /// Whether it is an edge gateway.
    pub iot_edge: bool,
    /// Where it came from.
    pub provenance: Provenance,
    /// What becomes of its twin.
    pub twin: TwinChange,
}

/// What provisioning does to a twin.
#[derive(Clone, Debug)]
pub enum TwinChange {
    /// A new device gets this one; that of an existing device stays.
    IfNew(InitialTwin),
    /// The device gets the documents that it had on another hub.
    Migrate(Twin),
    /// The device gets this one, whatever it had.
    Reset(InitialTwin),
}

/// What [`Store::ensure_device`] did.
#[derive(Clone, Debug)]
pub struct EnsuredDevice {
    /// The identity as it stands now.
    pub identity: DeviceIdentity,
    /// Whether it is new.
    pub created: bool,
}

/// Which devices to list.
#[derive(Clone, Debug, Default)]
pub struct DeviceSelector {
    /// Only ids behind this one, in bytewise order.
    pub after: Option<DeviceId>,
    /// At most this many.
    pub limit: usize,
}

/// Keeps the identity registry, and what belongs to each identity in it.
#[async_trait]
pub trait Store: Send + Sync {
    /// Reads an identity; `None` also when the hub is gone.
    async fn device(&self, hub: HubKey, id: &DeviceId) -> Result<Option<DeviceIdentity>, StoreError>;

    /// Answers a number that moves with every change of this identity but its last activity, its deletion and that of its
    /// hub included, and that costs no I/O: what [`Store::device`] answered after it was asked holds until it moves. It has moved before
    /// the change is acknowledged. It may move for other identities too. `None` where changes can happen that this
    /// store does not see at once, so that nothing can be remembered.
    fn device_stamp(&self, _hub: HubKey, _id: &DeviceId) -> Option<u64> {
        None
    }

    /// Lists identities in bytewise order of their ids.
    async fn devices(&self, hub: HubKey, selector: DeviceSelector)
    -> Result<Vec<DeviceIdentity>, StoreError>;

    /// Counts identities.
    async fn device_counts(&self, hub: HubKey) -> Result<DeviceCounts, StoreError>;

    /// Makes an identity with a new generation and an empty twin.
    ///
    /// # Errors
    /// [`WriteError::Exists`]; [`WriteError::Missing`] when the hub is gone.
    async fn create_device(
        &self,
        request: RequestId,
        hub: HubKey,
        draft: DeviceDraft,
        now: Wall,
    ) -> Result<DeviceIdentity, WriteError>;

    /// Changes an identity; its generation, twin and provenance stay.
    ///
    /// # Errors
    /// [`WriteError::Missing`], [`WriteError::Stale`].
    async fn update_device(
        &self,
        request: RequestId,
        hub: HubKey,
        draft: DeviceDraft,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<DeviceIdentity, WriteError>;

    /// Deletes an identity with its twin and its subscriptions.
    ///
    /// # Errors
    /// [`WriteError::Missing`], [`WriteError::Stale`].
    async fn delete_device(
        &self,
        request: RequestId,
        hub: HubKey,
        id: &DeviceId,
        if_match: IfMatch,
    ) -> Result<(), WriteError>;

    /// Makes or changes an identity for provisioning. An existing one is overwritten and enabled, and keeps its generation
    /// and its subscriptions; a repeat of the request id changes nothing and answers the same.
    ///
    /// # Errors
    /// [`WriteError::Missing`] when the hub is gone.
    async fn ensure_device(
        &self,
        request: RequestId,
        hub: HubKey,
        device: ProvisionedDevice,
        now: Wall,
    ) -> Result<EnsuredDevice, WriteError>;

    /// Reads a twin.
    async fn twin(&self, hub: HubKey, id: &DeviceId) -> Result<Option<Twin>, StoreError>;

    /// Reads the subscriptions that outlive the connections of a device. `None` when none were kept, also when device or
    /// hub are gone; empty when the device is remembered and has subscribed to nothing.
    async fn subscriptions(&self, hub: HubKey, id: &DeviceId) -> Result<Option<Subscriptions>, StoreError>;

    /// Keeps the subscriptions of a device, in place of those kept before. They belong to this generation: whoever
    /// deletes the identity or its hub removes them, and one made anew under the same id has none. No version and no
    /// stamp moves.
    ///
    /// # Errors
    /// [`WriteError::Missing`] when the device is gone or has another generation.
    async fn keep_subscriptions(
        &self,
        request: RequestId,
        hub: HubKey,
        id: &DeviceId,
        generation: GenerationId,
        subscriptions: Subscriptions,
    ) -> Result<(), WriteError>;

    /// Forgets that a device is to be remembered. What is not there is forgotten already, also when device or hub are
    /// gone. No version and no stamp moves.
    ///
    /// # Errors
    /// [`WriteError::Missing`] when the device has another generation.
    async fn forget_subscriptions(
        &self,
        request: RequestId,
        hub: HubKey,
        id: &DeviceId,
        generation: GenerationId,
    ) -> Result<(), WriteError>;

    /// Notes when devices last did something; no version moves, and what can't be written is dropped.
    async fn note_activity(&self, seen: Vec<(HubKey, DeviceId, Wall)>) -> Result<(), StoreError>;
}
