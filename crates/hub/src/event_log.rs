//! The event log as the hub needs it: lanes that submit without waiting, readers that see only what is durable.
//!
//! A lane belongs to one attachment (over HTTPS: to one request) and one partition. Its tickets complete in order. A
//! failed or unknown ticket closes the lane: nothing behind it is acknowledged, and the device sends again.

use std::task::{Context, Poll};

use async_trait::async_trait;
use muster_model::message::Message;
use muster_model::{DeviceId, GenerationId, HubKey, Partition, Position, Wall};

/// An event on its way into the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// The device that sent it.
    pub device: DeviceId,
    /// Its generation at that time.
    pub generation: GenerationId,
    /// How the sender had proved who it is.
    pub auth: AuthMethod,
    /// When the hub received it.
    pub received: Wall,
    /// What kind of event it is.
    pub source: MessageSource,
    /// Where it goes, decided at ingest: bit 0 is the built-in endpoint.
    pub targets: u64,
    /// What was sent.
    pub message: Message,
}

/// Bit of [`Event::targets`] for the built-in endpoint.
pub const TARGET_BUILT_IN: u64 = 1;

/// How the sender of an event had proved who it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AuthMethod {
    /// A token, by a key of the given scope.
    Sas(AuthScope),
    /// A certificate that chains to a CA certificate of the hub.
    X509Ca,
    /// A certificate known by its thumbprint.
    X509Thumbprint,
}

/// Whose key signed a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AuthScope {
    /// The device's own.
    Device,
    /// A policy of the hub.
    Hub,
}

/// The kind of an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MessageSource {
    /// A message of a device.
    Telemetry,
}

/// An event as it is read back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredEvent {
    /// Its place in its partition.
    pub position: Position,
    /// When the log took it; never earlier than that of the event before it in its partition.
    pub enqueued: Wall,
    /// The event.
    pub event: Event,
}

/// Where a reader begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReadFrom {
    /// Behind this position.
    After(Position),
    /// At this position.
    At(Position),
    /// At the oldest event there is.
    Earliest,
    /// At the first event that was enqueued later than this.
    EnqueuedAfter(Wall),
    /// Behind the newest event there is.
    Latest,
}

/// What a partition holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PartitionInfo {
    /// The oldest position that can be read; the next one to be given when nothing is there.
    pub first: Position,
    /// The newest durable position; `None` when nothing was ever written.
    pub last: Option<Position>,
    /// When the newest one was enqueued.
    pub last_enqueued: Option<Wall>,
    /// Whether nothing can be read.
    pub empty: bool,
}

/// The place of a record among those that a lane submitted, from 1.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Ticket(pub u64);

/// The log takes nothing more at the moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the event log takes nothing more at the moment")]
pub struct Full;

/// A lane ended: what was not acknowledged by then may or may not be in the log.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the lane is closed: {0}")]
pub struct LaneClosed(pub String);

/// A log that could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// Stored bytes are not what was written.
    #[error("the event log is damaged: {0}")]
    Damaged(String),
    /// It may go through later.
    #[error("the event log can't be read now: {0}")]
    Unavailable(String),
}

/// Submits records of one attachment to one partition.
pub trait Lane: Send {
    /// Hands a record over; never waits.
    ///
    /// # Errors
    /// [`Full`] when nothing more is taken, or when the lane is closed; nothing was handed over then.
    fn submit(&mut self, event: &Event) -> Result<Ticket, Full>;

    /// Hands over records that belong together: also after a crash, either all of them are in the log or none. Never
    /// waits. Answers the ticket of the last one; none at all is no submission, and answers the ticket before.
    ///
    /// # Errors
    /// As [`Self::submit`]; nothing was handed over then.
    fn submit_all(&mut self, events: &[Event]) -> Result<Ticket, Full>;

    /// Reads the newest ticket up to which everything is durable, and arranges to be woken when it passes `beyond`.
    /// Ready when the newest one is larger than `beyond`. The lane keeps one waker.
    ///
    /// # Errors
    /// [`LaneClosed`] when nothing beyond `beyond` will be acknowledged any more.
    fn poll_durable(&mut self, context: &mut Context<'_>, beyond: Ticket)
    -> Poll<Result<Ticket, LaneClosed>>;
}

/// Waits until `ticket` is durable.
///
/// # Errors
/// [`LaneClosed`] when it will not be acknowledged.
pub async fn durable(lane: &mut dyn Lane, ticket: Ticket) -> Result<(), LaneClosed> {
    let mut seen = Ticket(ticket.0.saturating_sub(1));
    while seen < ticket {
        seen = std::future::poll_fn(|context| lane.poll_durable(context, seen)).await?;
    }
    Ok(())
}

/// Keeps the events of every hub.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Opens a lane. Costs no I/O.
    fn open_lane(&self, hub: HubKey, partition: Partition) -> Box<dyn Lane>;

    /// Reads durable events of one partition in order of position: at most `limit` of them and about `bytes` bytes.
    /// A start before the oldest event begins at the oldest. An empty answer means that nothing is there yet.
    async fn read(
        &self,
        hub: HubKey,
        partition: Partition,
        from: ReadFrom,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<StoredEvent>, LogError>;

    /// Tells what a partition holds.
    async fn partition(&self, hub: HubKey, partition: Partition) -> Result<PartitionInfo, LogError>;

    /// Watches for new durable events of any hub; the value only counts up. A reader that found nothing waits for a
    /// change and reads again.
    fn watch(&self) -> tokio::sync::watch::Receiver<u64>;

    /// Sets how long events of a hub are kept and how many bytes of them; takes effect at the next sweep.
    fn retain(&self, hub: HubKey, age: std::time::Duration, bytes: Option<u64>);

    /// Drops what retention no longer covers; tells how many bytes went.
    async fn sweep(&self, now: Wall) -> Result<u64, LogError>;

    /// The hubs that have a place in the log and were not dropped, in no order. Whoever sweeps drops those that are gone:
    /// a hub may have been deleted while nobody was there to tell the log.
    fn hubs(&self) -> Vec<HubKey>;

    /// Makes the events of a deleted hub unreadable and their space reclaimable. A repeat is harmless.
    async fn drop_hub(&self, hub: HubKey) -> Result<(), LogError>;
}
