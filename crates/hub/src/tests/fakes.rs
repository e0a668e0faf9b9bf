//! A registry and an event log in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use muster_model::identity::{Authentication, DeviceCounts, DeviceIdentity, DeviceStatus};
use muster_model::twin::Twin;
use muster_model::{
    DeviceId, ETag, GenerationId, HubKey, IfMatch, Partition, Position, RequestId, Subscriptions, Wall,
};
use muster_resources::{StoreError, WriteError};

use crate::event_log::{
    Event, EventLog, Full, Lane, LaneClosed, LogError, PartitionInfo, ReadFrom, StoredEvent, Ticket,
};
use crate::ports::{DeviceDraft, DeviceSelector, EnsuredDevice, ProvisionedDevice, Store};

#[derive(Default)]
pub(super) struct MemoryRegistry {
    devices: Mutex<BTreeMap<(HubKey, DeviceId), DeviceIdentity>>,
    seen: Mutex<HashMap<RequestId, Result<Option<DeviceIdentity>, WriteError>>>,
    numbers: AtomicU64,
    changes: AtomicU64,
    pub(super) stamps: AtomicBool,
    pub(super) reads: AtomicU64,
    lost_replies: AtomicU32,
    /// What somebody else changes right behind the next read.
    pub(super) after_read: Mutex<Option<Authentication>>,
    pub(super) activity: Mutex<Vec<(HubKey, DeviceId, Wall)>>,
}

impl MemoryRegistry {
    pub(super) fn lose_replies(&self, count: u32) {
        self.lost_replies.store(count, Ordering::SeqCst);
    }

    fn next(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn write(
        &self,
        request: RequestId,
        work: impl FnOnce(
            &mut BTreeMap<(HubKey, DeviceId), DeviceIdentity>,
        ) -> Result<Option<DeviceIdentity>, WriteError>,
    ) -> Result<Option<DeviceIdentity>, WriteError> {
        let mut seen = self.seen.lock().unwrap();
        let answer = seen
            .entry(request)
            .or_insert_with(|| work(&mut self.devices.lock().unwrap()))
            .clone();
        self.changes.fetch_add(1, Ordering::SeqCst);
        let lost = self
            .lost_replies
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if lost.is_ok() {
            return Err(WriteError::Store(StoreError::Unknown(
                "the reply was lost".to_owned(),
            )));
        }
        answer
    }

    fn identity(&self, hub: HubKey, draft: DeviceDraft, now: Wall) -> DeviceIdentity {
        DeviceIdentity {
            hub,
            id: draft.id,
            generation: GenerationId::new(self.next()),
            etag: ETag::new(self.next()),
            status: draft.status,
            status_reason: draft.status_reason,
            status_updated: None,
            authentication: draft.authentication,
            iot_edge: draft.iot_edge,
            provenance: None,
            created: now,
            last_activity: None,
        }
    }
}

#[async_trait]
impl Store for MemoryRegistry {
    async fn device(&self, hub: HubKey, id: &DeviceId) -> Result<Option<DeviceIdentity>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let mut devices = self.devices.lock().unwrap();
        let read = devices.get(&(hub, id.clone())).cloned();
        if let (Some(authentication), Some(device)) = (
            self.after_read.lock().unwrap().take(),
            devices.get_mut(&(hub, id.clone())),
        ) {
            device.authentication = authentication;
            device.etag = ETag::new(self.next());
            self.changes.fetch_add(1, Ordering::SeqCst);
        }
        Ok(read)
    }

    fn device_stamp(&self, _hub: HubKey, _id: &DeviceId) -> Option<u64> {
        self.stamps
            .load(Ordering::SeqCst)
            .then(|| self.changes.load(Ordering::SeqCst))
    }

    async fn devices(
        &self,
        hub: HubKey,
        selector: DeviceSelector,
    ) -> Result<Vec<DeviceIdentity>, StoreError> {
        let devices = self.devices.lock().unwrap();
        Ok(devices
            .values()
            .filter(|one| one.hub == hub && selector.after.as_ref().is_none_or(|after| one.id > *after))
            .take(selector.limit)
            .cloned()
            .collect())
    }

    async fn device_counts(&self, hub: HubKey) -> Result<DeviceCounts, StoreError> {
        let devices = self.devices.lock().unwrap();
        let of_hub = devices.values().filter(|one| one.hub == hub);
        let mut counts = DeviceCounts::default();
        for one in of_hub {
            counts.total += 1;
            match one.status {
                DeviceStatus::Disabled => counts.disabled += 1,
                DeviceStatus::Enabled => counts.enabled += 1,
            }
        }
        Ok(counts)
    }

    async fn create_device(
        &self,
        request: RequestId,
        hub: HubKey,
        draft: DeviceDraft,
        now: Wall,
    ) -> Result<DeviceIdentity, WriteError> {
        self.write(request, |devices| {
            let key = (hub, draft.id.clone());
            if devices.contains_key(&key) {
                return Err(WriteError::Exists);
            }
            let identity = self.identity(hub, draft, now);
            devices.insert(key, identity.clone());
            Ok(Some(identity))
        })
        .map(Option::unwrap)
    }

    async fn update_device(
        &self,
        request: RequestId,
        hub: HubKey,
        draft: DeviceDraft,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<DeviceIdentity, WriteError> {
        self.write(request, |devices| {
            let known = devices
                .get_mut(&(hub, draft.id.clone()))
                .ok_or(WriteError::Missing)?;
            if !if_match.allows(known.etag) {
                return Err(WriteError::Stale);
            }
            let generation = known.generation;
            *known = DeviceIdentity {
                generation,
                created: known.created,
                provenance: known.provenance.clone(),
                ..self.identity(hub, draft, now)
            };
            Ok(Some(known.clone()))
        })
        .map(Option::unwrap)
    }

    async fn delete_device(
        &self,
        request: RequestId,
        hub: HubKey,
        id: &DeviceId,
        if_match: IfMatch,
    ) -> Result<(), WriteError> {
        self.write(request, |devices| {
            let known = devices.get(&(hub, id.clone())).ok_or(WriteError::Missing)?;
            if !if_match.allows(known.etag) {
                return Err(WriteError::Stale);
            }
            devices.remove(&(hub, id.clone()));
            Ok(None)
        })
        .map(|_| ())
    }

    async fn ensure_device(
        &self,
        request: RequestId,
        hub: HubKey,
        device: ProvisionedDevice,
        now: Wall,
    ) -> Result<EnsuredDevice, WriteError> {
        let identity = self
            .write(request, |devices| {
                let draft = DeviceDraft {
                    id: device.id.clone(),
                    status: DeviceStatus::Enabled,
                    status_reason: None,
                    authentication: device.authentication,
                    iot_edge: device.iot_edge,
                };
                let mut identity = self.identity(hub, draft, now);
                identity.provenance = Some(device.provenance);
                devices.insert((hub, device.id), identity.clone());
                Ok(Some(identity))
            })?
            .unwrap();
        Ok(EnsuredDevice {
            identity,
            created: true,
        })
    }

    async fn twin(&self, _hub: HubKey, _id: &DeviceId) -> Result<Option<Twin>, StoreError> {
        Ok(None)
    }

    async fn subscriptions(&self, _hub: HubKey, _id: &DeviceId) -> Result<Option<Subscriptions>, StoreError> {
        Ok(None)
    }

    async fn keep_subscriptions(
        &self,
        _request: RequestId,
        _hub: HubKey,
        _id: &DeviceId,
        _generation: GenerationId,
        _subscriptions: Subscriptions,
    ) -> Result<(), WriteError> {
        Err(StoreError::Unavailable("nothing here subscribes".to_owned()).into())
    }

    async fn forget_subscriptions(
        &self,
        _request: RequestId,
        _hub: HubKey,
        _id: &DeviceId,
        _generation: GenerationId,
    ) -> Result<(), WriteError> {
        Err(StoreError::Unavailable("nothing here subscribes".to_owned()).into())
    }

    async fn note_activity(&self, seen: Vec<(HubKey, DeviceId, Wall)>) -> Result<(), StoreError> {
        self.activity.lock().unwrap().extend(seen);
        Ok(())
    }
}

type Partitions = BTreeMap<(HubKey, Partition), Vec<StoredEvent>>;

pub(super) struct MemoryLog {
    partitions: Arc<Mutex<Partitions>>,
    watch: tokio::sync::watch::Sender<u64>,
    pub(super) full: AtomicBool,
    pub(super) broken: AtomicBool,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self {
            partitions: Arc::default(),
            watch: tokio::sync::watch::Sender::new(0),
            full: AtomicBool::new(false),
            broken: AtomicBool::new(false),
        }
    }
}

struct MemoryLane {
    key: (HubKey, Partition),
    partitions: Arc<Mutex<Partitions>>,
    watch: tokio::sync::watch::Sender<u64>,
    full: bool,
    broken: bool,
    submitted: u64,
}

impl Lane for MemoryLane {
    fn submit(&mut self, event: &Event) -> Result<Ticket, Full> {
        if self.full {
            return Err(Full);
        }
        let mut partitions = self.partitions.lock().unwrap();
        let events = partitions.entry(self.key).or_default();
        // Positions have gaps, as the promise allows.
        let position = Position::new(events.last().map_or(0, |last| last.position.get() + 2));
        let enqueued = event.received;
        events.push(StoredEvent {
            position,
            enqueued,
            event: event.clone(),
        });
        self.submitted += 1;
        self.watch.send_modify(|count| *count += 1);
        Ok(Ticket(self.submitted))
    }

    fn submit_all(&mut self, events: &[Event]) -> Result<Ticket, Full> {
        // It is full for every record or for none.
        events
            .iter()
            .try_fold(Ticket(self.submitted), |_, event| self.submit(event))
    }

    fn poll_durable(
        &mut self,
        _context: &mut Context<'_>,
        _beyond: Ticket,
    ) -> Poll<Result<Ticket, LaneClosed>> {
        if self.broken {
            Poll::Ready(Err(LaneClosed("the disk is full".to_owned())))
        } else {
            Poll::Ready(Ok(Ticket(self.submitted)))
        }
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    fn open_lane(&self, hub: HubKey, partition: Partition) -> Box<dyn Lane> {
        Box::new(MemoryLane {
            key: (hub, partition),
            partitions: Arc::clone(&self.partitions),
            watch: self.watch.clone(),
            full: self.full.load(Ordering::SeqCst),
            broken: self.broken.load(Ordering::SeqCst),
            submitted: 0,
        })
    }

    async fn read(
        &self,
        hub: HubKey,
        partition: Partition,
        from: ReadFrom,
        limit: usize,
        _bytes: usize,
    ) -> Result<Vec<StoredEvent>, LogError> {
        let partitions = self.partitions.lock().unwrap();
        let events = partitions.get(&(hub, partition)).map_or(&[][..], Vec::as_slice);
        Ok(events
            .iter()
            .filter(|event| match from {
                ReadFrom::After(position) => event.position > position,
                ReadFrom::At(position) => event.position >= position,
                ReadFrom::Earliest => true,
                ReadFrom::EnqueuedAfter(time) => event.enqueued > time,
                ReadFrom::Latest => false,
            })
            .take(limit)
            .cloned()
            .collect())
    }

    async fn partition(&self, hub: HubKey, partition: Partition) -> Result<PartitionInfo, LogError> {
        let partitions = self.partitions.lock().unwrap();
        let last = partitions.get(&(hub, partition)).and_then(|events| events.last());
        Ok(PartitionInfo {
            first: Position::new(0),
            last: last.map(|event| event.position),
            last_enqueued: last.map(|event| event.enqueued),
            empty: last.is_none(),
        })
    }

    fn watch(&self) -> tokio::sync::watch::Receiver<u64> {
        self.watch.subscribe()
    }

    fn retain(&self, _hub: HubKey, _age: Duration, _bytes: Option<u64>) {}

    async fn sweep(&self, _now: Wall) -> Result<u64, LogError> {
        Ok(0)
    }

    fn hubs(&self) -> Vec<HubKey> {
        self.partitions
            .lock()
            .unwrap()
            .keys()
            .map(|(hub, _)| *hub)
            .collect()
    }

    async fn drop_hub(&self, hub: HubKey) -> Result<(), LogError> {
        self.partitions.lock().unwrap().retain(|(one, _), _| *one != hub);
        Ok(())
    }
}
