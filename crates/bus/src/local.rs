//! The ports of the domains within one process: `hub::EventLog` on the log of the data directory, and change
//! notices that reach this process alone.
//!
//! A lane costs one allocation and no I/O. What is read from the disk is read on the runtime's threads for
//! blocking work, never on one that drives connections.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use muster_hub::event_log::{
    Event, EventLog, Full, Lane, LaneClosed, LogError, PartitionInfo, ReadFrom, StoredEvent, Ticket,
};
use muster_model::{HubKey, Partition, Position, TrustVersion, Wall};
use muster_resources::Changes;
use tokio::sync::watch;

use crate::log::{
    Disk, Error, From, Log, Options, PartitionKey, Record, Recovery, Refused, Retention, Watermark,
};
use crate::{metrics, stored};

/// The event log of this process's data directory.
pub struct LocalEventLog {
    log: Arc<Log>,
    retention: Mutex<HashMap<u64, Retention>>,
}

impl LocalEventLog {
    /// Opens the log of a directory that must hold one.
    ///
    /// # Errors
    ///
    /// As [`Log::open`].
    pub fn open(disk: Arc<dyn Disk>, options: Options) -> Result<(Self, Recovery), Error> {
        let (log, recovery) = Log::open(disk, options)?;
        Ok((Self::new(log), recovery))
    }

    /// Starts a new log in a directory that must hold none.
    ///
    /// # Errors
    ///
    /// As [`Log::create`].
    pub fn create(disk: Arc<dyn Disk>, options: Options, now: Wall) -> Result<Self, Error> {
        Ok(Self::new(Log::create(disk, options, now.micros())?))
    }

    fn new(log: Log) -> Self {
        Self {
            log: Arc::new(log),
            retention: Mutex::default(),
        }
    }

    /// Returns the log itself, for backups and for `doctor`.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Returns the latest wall time that any event carries.
    pub fn latest(&self) -> Wall {
        Wall::from_micros(self.log.latest())
    }

    /// Commits what was submitted, then takes nothing more; reading goes on. Blocks until it is done.
    pub fn close(&self) {
        self.log.close();
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Log) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, LogError> {
        let log = Arc::clone(&self.log);
        match tokio::task::spawn_blocking(move || work(&log)).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(log_error(&error)),
            Err(error) => Err(LogError::Unavailable(error.to_string())),
        }
    }
}

const fn key(hub: HubKey, partition: Partition) -> PartitionKey {
    PartitionKey {
        hub: hub.get(),
        partition: partition.get(),
    }
}

fn log_error(error: &Error) -> LogError {
    let text = crate::log::chain(error);
    match error {
        Error::Corrupt { .. } | Error::MissingSegment { .. } | Error::UnsupportedVersion { .. } => {
            LogError::Damaged(text)
        }
        _ => LogError::Unavailable(text),
    }
}

#[async_trait]
impl EventLog for LocalEventLog {
    fn open_lane(&self, hub: HubKey, partition: Partition) -> Box<dyn Lane> {
        Box::new(LocalLane {
            log: Arc::clone(&self.log),
            key: key(hub, partition),
            watermark: Watermark::new(),
            submitted: 0,
        })
    }

    async fn read(
        &self,
        hub: HubKey,
        partition: Partition,
        from: ReadFrom,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<StoredEvent>, LogError> {
        let from = match from {
            ReadFrom::After(position) => From::At(position.get().saturating_add(1)),
            ReadFrom::At(position) => From::At(position.get()),
            ReadFrom::Earliest => From::Earliest,
            ReadFrom::EnqueuedAfter(time) => From::EnqueuedAfter(time.micros()),
            ReadFrom::Latest => return Ok(Vec::new()),
        };
        let key = key(hub, partition);
        let records = self
            .blocking(move |log| match log.read(key, from, limit, bytes) {
                Err(Error::HubDeleted { .. }) => Ok(Vec::new()),
                other => other,
            })
            .await?;
        let mut events = Vec::with_capacity(records.len());
        for record in &records {
            events.push(stored::decode(record).ok_or_else(|| {
                let position = record.position;
                LogError::Damaged(format!(
                    "event {position} of {partition} of hub {hub} is of an unknown form"
                ))
            })?);
        }
        Ok(events)
    }

    async fn partition(&self, hub: HubKey, partition: Partition) -> Result<PartitionInfo, LogError> {
        match self.log.bounds(key(hub, partition)) {
            Ok(bounds) => Ok(PartitionInfo {
                first: Position::new(bounds.first),
                last: bounds.last.map(Position::new),
                last_enqueued: bounds.last_enqueued.map(Wall::from_micros),
                empty: bounds.first == bounds.next,
            }),
            Err(Error::HubDeleted { .. }) => Ok(PartitionInfo {
                first: Position::new(0),
                last: None,
                last_enqueued: None,
                empty: true,
            }),
            Err(error) => Err(log_error(&error)),
        }
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.log.watch()
    }

    fn retain(&self, hub: HubKey, age: Duration, bytes: Option<u64>) {
        let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        let mut retention = self.retention.lock().unwrap_or_else(PoisonError::into_inner);
        retention.insert(hub.get(), Retention { age, bytes });
    }

    async fn sweep(&self, now: Wall) -> Result<u64, LogError> {
        let retention = self
            .retention
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let swept = self
            .blocking(move |log| log.sweep(&|hub| retention.get(&hub).copied(), now.micros()))
            .await?;
        Ok(swept.bytes)
    }

    fn hubs(&self) -> Vec<HubKey> {
        self.log.hubs().into_iter().map(HubKey::new).collect()
    }

    async fn drop_hub(&self, hub: HubKey) -> Result<(), LogError> {
        self.retention
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&hub.get());
        self.blocking(move |log| log.delete_hub(hub.get())).await
    }
}

struct LocalLane {
    log: Arc<Log>,
    key: PartitionKey,
    watermark: Arc<Watermark>,
    submitted: u64,
}

impl LocalLane {
    fn taken(&mut self, taken: Result<(), Refused>, ticket: u64) -> Result<Ticket, Full> {
        match taken {
            Ok(()) => {
                self.submitted = ticket;
                Ok(Ticket(ticket))
            }
            Err(reason) => {
                metrics::refused(reason_label(reason));
                Err(Full)
            }
        }
    }
}

impl Lane for LocalLane {
    fn submit(&mut self, event: &Event) -> Result<Ticket, Full> {
        if self.watermark.failed().is_some() {
            return Err(Full);
        }
        let (targets, payload) = stored::encode(event);
        let record = Record {
            received: event.received.micros(),
            targets: &targets,
            payload: &payload,
        };
        let ticket = self.submitted + 1;
        let taken = self.log.append(self.key, &record, &self.watermark, ticket);
        self.taken(taken.map(drop), ticket)
    }

    fn submit_all(&mut self, events: &[Event]) -> Result<Ticket, Full> {
        if self.watermark.failed().is_some() {
            return Err(Full);
        }
        let encoded: Vec<_> = events
            .iter()
            .map(|event| (event.received.micros(), stored::encode(event)))
            .collect();
        let records: Vec<_> = encoded
            .iter()
            .map(|(received, (targets, payload))| Record {
                received: *received,
                targets,
                payload,
            })
            .collect();
        let ticket = self.submitted + records.len() as u64;
        let taken = self.log.append_all(self.key, &records, &self.watermark, ticket);
        self.taken(taken, ticket)
    }

    fn poll_durable(
        &mut self,
        context: &mut Context<'_>,
        beyond: Ticket,
    ) -> Poll<Result<Ticket, LaneClosed>> {
        self.watermark.poll(context, beyond.0).map(|outcome| {
            outcome
                .map(Ticket)
                .map_err(|reason| LaneClosed(reason.to_string()))
        })
    }
}

const fn reason_label(reason: Refused) -> &'static str {
    match reason {
        Refused::Closed => "closed",
        Refused::DiskFull => "disk_full",
        Refused::Full => "batch_full",
        Refused::HubDeleted => "hub_deleted",
        Refused::Poisoned => "poisoned",
        Refused::PositionsExhausted => "positions_exhausted",
        Refused::TooLarge => "too_large",
    }
}

/// Change notices that reach the watchers of this process. A notice only wakes: it carries the newest version
/// that was heard of, and never an older one after a newer.
#[derive(Debug)]
pub struct LocalChanges {
    newest: watch::Sender<TrustVersion>,
}

impl Default for LocalChanges {
    fn default() -> Self {
        Self {
            newest: watch::Sender::new(TrustVersion::default()),
        }
    }
}

impl Changes for LocalChanges {
    fn notify(&self, version: TrustVersion) {
        self.newest.send_if_modified(|newest| {
            let newer = version > *newest;
            if newer {
                *newest = version;
            }
            newer
        });
    }

    fn watch(&self) -> watch::Receiver<TrustVersion> {
        self.newest.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;
    use crate::log::{Incarnation, RealDisk};
    use crate::sim::SimDisk;

    fn options() -> Options {
        Options {
            segment_bytes: 64 << 10,
            batch_bytes: 16 << 10,
            reserve_bytes: 0,
            ..Options::new(Incarnation::from(7))
        }
    }

    #[tokio::test]
    async fn keeps_the_contract_on_a_real_disk() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Arc::new(RealDisk::open(directory.path().join("log")).unwrap());
        let log = LocalEventLog::create(disk, options(), contract::NOW).unwrap();
        contract::event_log(Arc::new(log)).await;
    }

    #[tokio::test]
    async fn keeps_the_contract_on_a_simulated_disk() {
        for seed in 0..4 {
            let disk = Arc::new(SimDisk::new(seed));
            let log = LocalEventLog::create(disk, options(), contract::NOW).unwrap();
            contract::event_log(Arc::new(log)).await;
        }
    }

    #[tokio::test]
    async fn a_poisoned_log_closes_its_lanes_and_goes_on_reading() {
        let disk = SimDisk::new(1);
        let log = LocalEventLog::create(Arc::new(disk.clone()), options(), contract::NOW).unwrap();
        let (hub, partition) = (HubKey::new(1), Partition::new(0));
        let mut lane = log.open_lane(hub, partition);
        let first = lane.submit(&contract::event("kept", contract::NOW)).unwrap();
        muster_hub::event_log::durable(lane.as_mut(), first)
            .await
            .unwrap();
        disk.set_faults(crate::sim::Faults {
            fail_sync_at: Some(disk.syncs() + 1),
            ..Default::default()
        });
        let second = lane.submit(&contract::event("unknown", contract::NOW)).unwrap();
        assert!(
            muster_hub::event_log::durable(lane.as_mut(), second)
                .await
                .is_err()
        );
        assert_eq!(lane.submit(&contract::event("late", contract::NOW)), Err(Full));
        assert_eq!(
            log.open_lane(hub, partition)
                .submit(&contract::event("late", contract::NOW)),
            Err(Full)
        );
        let read = log
            .read(hub, partition, ReadFrom::Earliest, 10, usize::MAX)
            .await
            .unwrap();
        assert_eq!(read.len(), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn many_lanes_at_once_each_learn_of_their_own_events() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Arc::new(RealDisk::open(directory.path().join("log")).unwrap());
        let log = Arc::new(LocalEventLog::create(disk, options(), contract::NOW).unwrap());
        let (hub, partition) = (HubKey::new(1), Partition::new(0));
        let senders: Vec<_> = (0..40)
            .map(|sender| {
                let log = Arc::clone(&log);
                tokio::spawn(async move {
                    let mut lane = log.open_lane(hub, partition);
                    for number in 0..50 {
                        let event = contract::event(&format!("{sender}/{number}"), contract::NOW);
                        let ticket = loop {
                            match lane.submit(&event) {
                                Ok(ticket) => break ticket,
                                Err(Full) => tokio::task::yield_now().await,
                            }
                        };
                        muster_hub::event_log::durable(lane.as_mut(), ticket)
                            .await
                            .unwrap();
                    }
                })
            })
            .collect();
        for sender in senders {
            sender.await.unwrap();
        }
        let read = log
            .read(hub, partition, ReadFrom::Earliest, usize::MAX, usize::MAX)
            .await
            .unwrap();
        assert_eq!(read.len(), 2_000);
        log.close();
        assert!(!log.log().status().poisoned);
    }

    #[tokio::test]
    async fn change_notices_wake_and_never_step_back() {
        let changes = LocalChanges::default();
        let mut watcher = changes.watch();
        changes.notify(TrustVersion::new(5));
        watcher.changed().await.unwrap();
        assert_eq!(*watcher.borrow_and_update(), TrustVersion::new(5));
        changes.notify(TrustVersion::new(3));
        changes.notify(TrustVersion::new(5));
        assert!(!watcher.has_changed().unwrap());
        assert_eq!(*changes.watch().borrow(), TrustVersion::new(5));
    }
}
