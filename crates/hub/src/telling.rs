//! A registry that tells the index of attached devices what has changed.
//!
//! It stands in front of the store, so that no verb can forget it: whoever writes, the registry's own verbs or
//! provisioning, a device that was disabled or deleted loses its connections.

use std::sync::Arc;

use async_trait::async_trait;
use muster_model::identity::{DeviceCounts, DeviceIdentity};
use muster_model::subscription::Subscriptions;
use muster_model::twin::Twin;
use muster_model::{DeviceId, GenerationId, HubKey, IfMatch, RequestId, Wall};
use muster_resources::{StoreError, WriteError};

use crate::ports::{DeviceDraft, DeviceSelector, EnsuredDevice, ProvisionedDevice, Store};
use crate::presence::Presence;

/// The registry in `store`, whose changes `presence` is told.
pub struct TellingStore {
    store: Arc<dyn Store>,
    presence: Arc<dyn Presence>,
}

impl TellingStore {
    /// Puts itself in front of `store`.
    pub const fn new(store: Arc<dyn Store>, presence: Arc<dyn Presence>) -> Self {
        Self { store, presence }
    }
}

#[async_trait]
impl Store for TellingStore {
    async fn device(&self, hub: HubKey, id: &DeviceId) -> Result<Option<DeviceIdentity>, StoreError> {
        self.store.device(hub, id).await
    }

    fn device_stamp(&self, hub: HubKey, id: &DeviceId) -> Option<u64> {
        self.store.device_stamp(hub, id)
    }

    async fn devices(
        &self,
        hub: HubKey,
        selector: DeviceSelector,
    ) -> Result<Vec<DeviceIdentity>, StoreError> {
        self.store.devices(hub, selector).await
    }

    async fn device_counts(&self, hub: HubKey) -> Result<DeviceCounts, StoreError> {
        self.store.device_counts(hub).await
    }

    async fn create_device(
        &self,
        request: RequestId,
        hub: HubKey,
        draft: DeviceDraft,
        now: Wall,
    ) -> Result<DeviceIdentity, WriteError> {
        self.store.create_device(request, hub, draft, now).await
    }

    async fn update_device(
        &self,
        request: RequestId,
        hub: HubKey,
        draft: DeviceDraft,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<DeviceIdentity, WriteError> {
        let identity = self
            .store
            .update_device(request, hub, draft, if_match, now)
            .await?;
        self.presence.changed(hub, &identity);
        Ok(identity)
    }

    async fn delete_device(
        &self,
        request: RequestId,
        hub: HubKey,
        id: &DeviceId,
        if_match: IfMatch,
    ) -> Result<(), WriteError> {
        self.store.delete_device(request, hub, id, if_match).await?;
        self.presence.gone(hub, id);
        Ok(())
    }

    async fn ensure_device(
        &self,
        request: RequestId,
        hub: HubKey,
        device: ProvisionedDevice,
        now: Wall,
    ) -> Result<EnsuredDevice, WriteError> {
        let ensured = self.store.ensure_device(request, hub, device, now).await?;
        self.presence.changed(hub, &ensured.identity);
        Ok(ensured)
    }

    async fn twin(&self, hub: HubKey, id: &DeviceId) -> Result<Option<Twin>, StoreError> {
        self.store.twin(hub, id).await
    }

    async fn note_activity(&self, seen: Vec<(HubKey, DeviceId, Wall)>) -> Result<(), StoreError> {
        self.store.note_activity(seen).await
    }

    async fn subscriptions(&self, hub: HubKey, id: &DeviceId) -> Result<Option<Subscriptions>, StoreError> {
        self.store.subscriptions(hub, id).await
    }

    async fn keep_subscriptions(
        &self,
        request: RequestId,
        hub: HubKey,
        id: &DeviceId,
        generation: GenerationId,
        subscriptions: Subscriptions,
    ) -> Result<(), WriteError> {
        self.store
            .keep_subscriptions(request, hub, id, generation, subscriptions)
            .await
    }

    async fn forget_subscriptions(
        &self,
        request: RequestId,
        hub: HubKey,
        id: &DeviceId,
        generation: GenerationId,
    ) -> Result<(), WriteError> {
        self.store
            .forget_subscriptions(request, hub, id, generation)
            .await
    }
}
