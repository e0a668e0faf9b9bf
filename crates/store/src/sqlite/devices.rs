//! The store of the hubs: the identity registry, the twins and the subscriptions.

use async_trait::async_trait;
use muster_hub::ports::{DeviceDraft, DeviceSelector, EnsuredDevice, ProvisionedDevice, Store};
use muster_model::identity::{DeviceCounts, DeviceIdentity};
use muster_model::twin::Twin;
use muster_model::{DeviceId, GenerationId, HubKey, IfMatch, RequestId, Subscriptions, Wall};
use muster_resources::{StoreError, WriteError};

use super::{Registry, device, subscription};

/// Activity notes in one unit of work: the flush of a large fleet must not hold up other writes.
const NOTES: usize = 500;

#[async_trait]
impl Store for Registry {
    async fn device(&self, hub: HubKey, id: &DeviceId) -> Result<Option<DeviceIdentity>, StoreError> {
        Ok(self
            .readers
            .read(|sql| device::load(sql, &self.sealer, hub, id))?)
    }

    fn device_stamp(&self, hub: HubKey, id: &DeviceId) -> Option<u64> {
        self.stamps.of(hub, id.as_str())
    }

    async fn devices(
        &self,
        hub: HubKey,
        selector: DeviceSelector,
    ) -> Result<Vec<DeviceIdentity>, StoreError> {
        Ok(self
            .readers
            .read(|sql| device::list(sql, &self.sealer, hub, &selector))?)
    }

    async fn device_counts(&self, hub: HubKey) -> Result<DeviceCounts, StoreError> {
        Ok(self.readers.read(|sql| device::counts(sql, hub))?)
    }

    async fn create_device(
        &self,
        request: RequestId,
        hub: HubKey,
        draft: DeviceDraft,
        now: Wall,
    ) -> Result<DeviceIdentity, WriteError> {
        self.write(move |unit| {
            unit.once(request, "create_device", |unit| {
                device::create(unit, hub, draft, now)
            })
        })
        .await
    }

    async fn update_device(
        &self,
        request: RequestId,
        hub: HubKey,
        draft: DeviceDraft,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<DeviceIdentity, WriteError> {
        self.write(move |unit| {
            unit.once(request, "update_device", |unit| {
                device::update(unit, hub, draft, if_match, now)
            })
        })
        .await
    }

    async fn delete_device(
        &self,
        request: RequestId,
        hub: HubKey,
        id: &DeviceId,
        if_match: IfMatch,
    ) -> Result<(), WriteError> {
        let id = id.clone();
        self.write(move |unit| {
            unit.once(request, "delete_device", |unit| {
                device::delete(unit, hub, &id, if_match)
            })
        })
        .await
    }

    async fn ensure_device(
        &self,
        request: RequestId,
        hub: HubKey,
        device: ProvisionedDevice,
        now: Wall,
    ) -> Result<EnsuredDevice, WriteError> {
        self.write(move |unit| {
            unit.once(request, "ensure_device", |unit| {
                device::ensure(unit, hub, device, now)
            })
        })
        .await
    }

    async fn twin(&self, hub: HubKey, id: &DeviceId) -> Result<Option<Twin>, StoreError> {
        Ok(self
            .readers
            .snapshot(|sql| device::load_twin(sql, &self.sealer, hub, id))?)
    }

    async fn subscriptions(&self, hub: HubKey, id: &DeviceId) -> Result<Option<Subscriptions>, StoreError> {
        Ok(self
            .readers
            .read(|sql| subscription::load(sql, &self.sealer, hub, id))?)
    }

    async fn keep_subscriptions(
        &self,
        request: RequestId,
        hub: HubKey,
        id: &DeviceId,
        generation: GenerationId,
        subscriptions: Subscriptions,
    ) -> Result<(), WriteError> {
        let id = id.clone();
        self.write(move |unit| {
            unit.once(request, "keep_subscriptions", |unit| {
                subscription::keep(unit, hub, &id, generation, &subscriptions)
            })
        })
        .await
    }

    async fn forget_subscriptions(
        &self,
        request: RequestId,
        hub: HubKey,
        id: &DeviceId,
        generation: GenerationId,
    ) -> Result<(), WriteError> {
        let id = id.clone();
        self.write(move |unit| {
            unit.once(request, "forget_subscriptions", |unit| {
                subscription::forget(unit, hub, &id, generation)
            })
        })
        .await
    }

    async fn note_activity(&self, seen: Vec<(HubKey, DeviceId, Wall)>) -> Result<(), StoreError> {
        let mut seen = seen.into_iter().peekable();
        while seen.peek().is_some() {
            let notes: Vec<_> = seen.by_ref().take(NOTES).collect();
            let noted: Result<(), StoreError> = self
                .write(move |unit| {
                    notes
                        .iter()
                        .try_for_each(|(hub, id, at)| device::note_activity(unit, *hub, id, *at))
                })
                .await;
            noted?;
        }
        Ok(())
    }
}
