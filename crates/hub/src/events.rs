//! Reading what devices sent, as the NDJSON call and later the Event Hub endpoint need it.
//!
//! A reader holds one cursor for each partition that it follows. It sees only what went to the built-in endpoint, and
//! never waits for the log: [`EventReader::next`] answers what is there, [`EventReader::wait`] waits until there may be
//! more.

use std::sync::Arc;

use muster_model::{ConsumerGroupName, HubKey, HubRights, Partition, Position, Wall};
use muster_resources::{Directory, HubPermit, consumer_group_of};
use tokio::sync::watch;

use crate::error::Error;
use crate::event_log::{EventLog, PartitionInfo, ReadFrom, StoredEvent, TARGET_BUILT_IN};

/// Reads the built-in endpoint of hubs.
#[derive(Clone)]
pub struct Events {
    log: Arc<dyn EventLog>,
    directory: Arc<Directory>,
}

/// Follows partitions of one hub.
pub struct EventReader {
    log: Arc<dyn EventLog>,
    directory: Arc<Directory>,
    permit: HubPermit,
    cursors: Vec<(Partition, ReadFrom)>,
    /// Whose turn it is, so that a busy partition does not starve the others.
    turn: usize,
    watch: watch::Receiver<u64>,
}

impl Events {
    /// Makes the verbs over `log`.
    pub const fn new(log: Arc<dyn EventLog>, directory: Arc<Directory>) -> Self {
        Self { log, directory }
    }

    /// Opens a reader at `from`, for one partition or for all of them.
    ///
    /// # Errors
    /// [`Error::Refused`] without `ServiceConnect`, [`Error::ConsumerGroupMissing`], [`Error::Argument`] when there
    /// is no such partition, [`Error::Log`].
    pub async fn open(
        &self,
        permit: &HubPermit,
        group: &ConsumerGroupName,
        partition: Option<u16>,
        from: ReadFrom,
    ) -> Result<EventReader, Error> {
        permit.require(HubRights::SERVICE_CONNECT)?;
        let hub = permit.hub();
        consumer_group_of(hub, group).ok_or_else(|| Error::ConsumerGroupMissing(group.clone()))?;
        let partitions: Vec<Partition> = match partition {
            None => hub.partitions.partitions().collect(),
            Some(number) => vec![hub.partitions.partition(number).ok_or_else(|| {
                Error::Argument(format!(
                    "there is no partition {number}; there are {}",
                    hub.partitions.get()
                ))
            })?],
        };
        let watch = self.log.watch();
        let mut cursors = Vec::with_capacity(partitions.len());
        for partition in partitions {
            // "Behind the newest" is pinned now: by the time of the first read the newest would be another one.
            let from = match from {
                ReadFrom::Latest => self.behind_the_newest(hub.key, partition).await?,
                from => from,
            };
            cursors.push((partition, from));
        }
        Ok(EventReader {
            log: Arc::clone(&self.log),
            directory: Arc::clone(&self.directory),
            permit: permit.clone(),
            cursors,
            turn: 0,
            watch,
        })
    }

    /// Tells what each partition of a hub holds.
    ///
    /// # Errors
    /// [`Error::Refused`] without `ServiceConnect`, [`Error::Log`].
    pub async fn partitions(&self, permit: &HubPermit) -> Result<Vec<(Partition, PartitionInfo)>, Error> {
        permit.require(HubRights::SERVICE_CONNECT)?;
        let hub = permit.hub();
        let mut all = Vec::with_capacity(usize::from(hub.partitions.get()));
        for partition in hub.partitions.partitions() {
            all.push((partition, self.log.partition(hub.key, partition).await?));
        }
        Ok(all)
    }

    async fn behind_the_newest(&self, hub: HubKey, partition: Partition) -> Result<ReadFrom, Error> {
        let info = self.log.partition(hub, partition).await?;
        Ok(info.last.map_or(ReadFrom::At(info.first), ReadFrom::After))
    }
}

impl EventReader {
    /// Answers events that are there now, at most `limit` and about `bytes` bytes of them, each partition's in order;
    /// empty when nothing is there at this moment. Cancelling it loses nothing.
    ///
    /// # Errors
    /// [`Error::HubGone`] when the hub was deleted, [`Error::Log`].
    pub async fn next(&mut self, limit: usize, bytes: usize) -> Result<Vec<(Partition, StoredEvent)>, Error> {
        let hub = self.permit.hub().key;
        if self.directory.hub_by_key(hub).is_none() {
            return Err(Error::HubGone);
        }
        // Seen before reading: what comes during the read wakes the next wait.
        self.watch.borrow_and_update();
        for _ in 0..self.cursors.len() {
            let turn = self.turn;
            self.turn = (turn + 1) % self.cursors.len();
            let Some((partition, from)) = self.cursors.get_mut(turn) else {
                break;
            };
            loop {
                let read = self.log.read(hub, *partition, *from, limit, bytes).await?;
                let Some(last) = read.last().map(|event| event.position) else {
                    break;
                };
                *from = ReadFrom::After(last);
                let events: Vec<_> = read
                    .into_iter()
                    .filter(|stored| stored.event.targets & TARGET_BUILT_IN != 0)
                    .map(|stored| (*partition, stored))
                    .collect();
                if !events.is_empty() {
                    return Ok(events);
                }
            }
        }
        Ok(Vec::new())
    }

    /// Says whether the permit that it was opened with still stands. A reader may live for days: whoever holds one asks
    /// before each read, and every 30 seconds while it waits.
    pub fn is_permitted(&self, now: Wall) -> bool {
        self.permit.stands(&self.directory, now)
    }

    /// Waits until there may be more than the last [`EventReader::next`] saw.
    ///
    /// # Errors
    /// [`Error::HubGone`] when the log is closed.
    pub async fn wait(&mut self) -> Result<(), Error> {
        self.watch.changed().await.map_err(|_| Error::HubGone)
    }

    /// Answers behind which position of a partition it stands, when it has read any of it.
    pub fn position(&self, partition: Partition) -> Option<Position> {
        self.cursors.iter().find_map(|(one, from)| match from {
            ReadFrom::After(position) if *one == partition => Some(*position),
            _ => None,
        })
    }
}
