//! The identity registry in memory.

use async_trait::async_trait;
use muster_hub::ports::{DeviceDraft, DeviceSelector, EnsuredDevice, ProvisionedDevice, Store, TwinChange};
use muster_model::identity::{DeviceCounts, DeviceIdentity, DeviceStatus};
use muster_model::twin::Twin;
use muster_model::{DeviceId, GenerationId, HubKey, IfMatch, RequestId, Subscriptions, Wall};
use muster_resources::{StoreError, WriteError};

use super::resources::matching;
use super::{Memory, State};
use crate::fault::Fault;

impl State {
    fn device(&self, hub: HubKey, id: &DeviceId) -> Option<&DeviceIdentity> {
        self.devices
            .get(&(hub, id.clone()))
            .filter(|_| self.hubs.contains_key(&hub))
    }

    /// Writes an identity; trust moves when an existing one is let in or judged in another way.
    fn save_device(&mut self, device: &DeviceIdentity) {
        let old = self
            .devices
            .insert((device.hub, device.id.clone()), device.clone());
        if old.is_some_and(|old| old.status != device.status || old.authentication != device.authentication) {
            self.trust_moved();
        }
    }
}

#[async_trait]
impl Store for Memory {
    async fn device(&self, hub: HubKey, id: &DeviceId) -> Result<Option<DeviceIdentity>, StoreError> {
        self.read(|state| state.device(hub, id).cloned()).await
    }

    async fn devices(
        &self,
        hub: HubKey,
        selector: DeviceSelector,
    ) -> Result<Vec<DeviceIdentity>, StoreError> {
        self.read(|state| {
            state
                .devices
                .values()
                .filter(|device| device.hub == hub && state.hubs.contains_key(&hub))
                .filter(|device| selector.after.as_ref().is_none_or(|after| device.id > *after))
                .take(selector.limit)
                .cloned()
                .collect()
        })
        .await
    }

    async fn device_counts(&self, hub: HubKey) -> Result<DeviceCounts, StoreError> {
        self.read(|state| {
            let mut counts = DeviceCounts::default();
            for device in state
                .devices
                .values()
                .filter(|device| device.hub == hub && state.hubs.contains_key(&hub))
            {
                counts.total += 1;
                match device.status {
                    DeviceStatus::Disabled => counts.disabled += 1,
                    DeviceStatus::Enabled => counts.enabled += 1,
                }
            }
            counts
        })
        .await
    }

    async fn create_device(
        &self,
        request: RequestId,
        hub: HubKey,
        draft: DeviceDraft,
        now: Wall,
    ) -> Result<DeviceIdentity, WriteError> {
        self.once(request, false, |state| {
            if !state.hubs.contains_key(&hub) {
                return Err(Fault::Missing);
            }
            if state.device(hub, &draft.id).is_some() {
                return Err(Fault::Exists);
            }
            let device = DeviceIdentity {
                hub,
                id: draft.id,
                generation: state.generation(now),
                etag: state.etag(),
                status: draft.status,
                status_reason: draft.status_reason,
                status_updated: None,
                authentication: draft.authentication,
                iot_edge: draft.iot_edge,
                provenance: None,
                created: now,
                last_activity: None,
            };
            state.save_device(&device);
            Ok(device)
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
        self.once(request, true, |state| {
            let old = state.device(hub, &draft.id).ok_or(Fault::Missing)?.clone();
            matching(old.etag, if_match)?;
            let device = DeviceIdentity {
                etag: state.etag(),
                status_updated: if old.status == draft.status {
                    old.status_updated
                } else {
                    Some(now)
                },
                status: draft.status,
                status_reason: draft.status_reason,
                authentication: draft.authentication,
                iot_edge: draft.iot_edge,
                ..old
            };
            state.save_device(&device);
            Ok(device)
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
        self.once(request, true, |state| {
            matching(state.device(hub, id).ok_or(Fault::Missing)?.etag, if_match)?;
            let key = (hub, id.clone());
            state.devices.remove(&key);
            state.twins.remove(&key);
            state.device_subscriptions.remove(&key);
            state.trust_moved();
            Ok(())
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
        self.once(request, false, |state| {
            if !state.hubs.contains_key(&hub) {
                return Err(Fault::Missing);
            }
            let old = state.device(hub, &device.id).cloned();
            let created = old.is_none();
            let mut wanted = match &old {
                Some(old) => DeviceIdentity {
                    authentication: device.authentication,
                    iot_edge: device.iot_edge,
                    provenance: Some(device.provenance),
                    ..old.clone()
                },
                None => DeviceIdentity {
                    hub,
                    id: device.id,
                    generation: state.generation(now),
                    etag: state.etag(),
                    status: DeviceStatus::Enabled,
                    status_reason: None,
                    status_updated: None,
                    authentication: device.authentication,
                    iot_edge: device.iot_edge,
                    provenance: Some(device.provenance),
                    created: now,
                    last_activity: None,
                },
            };
            if wanted.status == DeviceStatus::Disabled {
                wanted.status = DeviceStatus::Enabled;
                wanted.status_reason = None;
                wanted.status_updated = Some(now);
            }
            if old.as_ref() != Some(&wanted) {
                if !created {
                    wanted.etag = state.etag();
                }
                state.save_device(&wanted);
            }
            let twin: Option<Twin> = match device.twin {
                TwinChange::IfNew(initial) => created.then(|| initial.into()),
                TwinChange::Migrate(twin) => Some(twin),
                TwinChange::Reset(initial) => Some(initial.into()),
            };
            if let Some(twin) = twin {
                state.twins.insert((hub, wanted.id.clone()), twin);
            }
            Ok(EnsuredDevice {
                identity: wanted,
                created,
            })
        })
        .await
    }

    async fn twin(&self, hub: HubKey, id: &DeviceId) -> Result<Option<Twin>, StoreError> {
        self.read(|state| {
            let there = state.device(hub, id).is_some();
            there.then(|| state.twins.get(&(hub, id.clone())).cloned().unwrap_or_default())
        })
        .await
    }

    async fn subscriptions(&self, hub: HubKey, id: &DeviceId) -> Result<Option<Subscriptions>, StoreError> {
        self.read(|state| {
            state.device(hub, id)?;
            state.device_subscriptions.get(&(hub, id.clone())).cloned()
        })
        .await
    }

    async fn keep_subscriptions(
        &self,
        request: RequestId,
        hub: HubKey,
        id: &DeviceId,
        generation: GenerationId,
        subscriptions: Subscriptions,
    ) -> Result<(), WriteError> {
        self.once(request, false, |state| {
            match state.device(hub, id) {
                Some(device) if device.generation == generation => {}
                _ => return Err(Fault::Missing),
            }
            state
                .device_subscriptions
                .insert((hub, id.clone()), subscriptions);
            Ok(())
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
        self.once(request, false, |state| {
            match state.device(hub, id) {
                Some(device) if device.generation != generation => return Err(Fault::Missing),
                Some(_) => state.device_subscriptions.remove(&(hub, id.clone())),
                None => None,
            };
            Ok(())
        })
        .await
    }

    async fn note_activity(&self, seen: Vec<(HubKey, DeviceId, Wall)>) -> Result<(), StoreError> {
        self.write(false, |state| {
            for (hub, id, at) in seen {
                if let Some(device) = state.devices.get_mut(&(hub, id)) {
                    device.last_activity = device.last_activity.max(Some(at));
                }
            }
            Ok(())
        })
        .await
    }
}
