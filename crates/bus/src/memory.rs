//! `hub::EventLog` in memory, which misbehaves by seed: the second implementation that keeps the port honest.
//!
//! What it does, it does within the port's promises: it acknowledges late, refuses for being full, loses the
//! reply (the outcome is unknown, the record may be there or not), fails reads that go through a moment later,
//! and leaves gaps between positions. Nothing survives the process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use muster_hub::event_log::{
    Event, EventLog, Full, Lane, LaneClosed, LogError, PartitionInfo, ReadFrom, StoredEvent, Ticket,
};
use muster_model::{HubKey, Partition, Position, Wall};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;

/// How often the log misbehaves, each in cases of a thousand.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Misbehaviour {
    /// A submit is refused for being full.
    pub full: u32,
    /// A submit's reply is lost: the lane closes, and the record is there or not.
    pub lost_reply: u32,
    /// A record becomes durable later than the call that asks for it.
    pub late: u32,
    /// A read fails and goes through when it is repeated.
    pub unavailable: u32,
    /// A position is left out.
    pub gap: u32,
}

impl Misbehaviour {
    /// Does everything wrong that the port allows, often.
    pub const WILD: Self = Self {
        full: 100,
        lost_reply: 50,
        late: 500,
        unavailable: 150,
        gap: 100,
    };
}

/// An event log in memory; clones are the same log.
#[derive(Clone)]
pub struct MemoryEventLog {
    state: Arc<Mutex<State>>,
    commits: watch::Sender<u64>,
}

struct State {
    rng: StdRng,
    misbehaviour: Misbehaviour,
    partitions: BTreeMap<(HubKey, Partition), PartitionState>,
    retention: BTreeMap<HubKey, (Duration, Option<u64>)>,
    dropped: BTreeSet<HubKey>,
}

#[derive(Default)]
struct PartitionState {
    events: Vec<StoredEvent>,
    next: u64,
    last: Option<(Position, Wall)>,
}

impl MemoryEventLog {
    /// Makes an empty log that behaves.
    pub fn new() -> Self {
        Self::misbehaving(0, Misbehaviour::default())
    }

    /// Makes an empty log that misbehaves; the same seed and the same calls give the same run.
    pub fn misbehaving(seed: u64, misbehaviour: Misbehaviour) -> Self {
        let state = State {
            rng: StdRng::seed_from_u64(seed),
            misbehaviour,
            partitions: BTreeMap::new(),
            retention: BTreeMap::new(),
            dropped: BTreeSet::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            commits: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryEventLog {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn happens(&mut self, per_thousand: u32) -> bool {
        self.rng.random_range(0..1000) < per_thousand
    }

    fn store(&mut self, hub: HubKey, partition: Partition, event: Event) {
        if self.dropped.contains(&hub) {
            return;
        }
        let gap = if self.happens(self.misbehaviour.gap) {
            self.rng.random_range(1..5)
        } else {
            0
        };
        let partition = self.partitions.entry((hub, partition)).or_default();
        let position = Position::new(partition.next + gap);
        partition.next = position.get() + 1;
        let enqueued = partition
            .last
            .map_or(event.received, |(_, last)| last.max(event.received));
        partition.last = Some((position, enqueued));
        partition.events.push(StoredEvent {
            position,
            enqueued,
            event,
        });
    }

    fn read_fails(&mut self) -> Result<(), LogError> {
        if self.happens(self.misbehaviour.unavailable) {
            return Err(LogError::Unavailable("the log misbehaves".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl EventLog for MemoryEventLog {
    fn open_lane(&self, hub: HubKey, partition: Partition) -> Box<dyn Lane> {
        Box::new(MemoryLane {
            log: self.clone(),
            hub,
            partition,
            submitted: 0,
            durable: 0,
            pending: Vec::new(),
            closed: None,
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
        let mut state = self.lock();
        state.read_fails()?;
        let Some(partition) = state.partitions.get(&(hub, partition)) else {
            return Ok(Vec::new());
        };
        let wanted = |stored: &&StoredEvent| match from {
            ReadFrom::After(position) => stored.position > position,
            ReadFrom::At(position) => stored.position >= position,
            ReadFrom::Earliest => true,
            ReadFrom::EnqueuedAfter(time) => stored.enqueued > time,
            ReadFrom::Latest => false,
        };
        let mut left = bytes;
        let mut out = Vec::new();
        for stored in partition.events.iter().filter(wanted).take(limit) {
            if left == 0 {
                break;
            }
            left = left.saturating_sub(stored.event.message.size().max(1));
            out.push(stored.clone());
        }
        Ok(out)
    }

    async fn partition(&self, hub: HubKey, partition: Partition) -> Result<PartitionInfo, LogError> {
        let mut state = self.lock();
        state.read_fails()?;
        let fresh = PartitionState::default();
        let partition = state.partitions.get(&(hub, partition)).unwrap_or(&fresh);
        Ok(PartitionInfo {
            first: partition
                .events
                .first()
                .map_or(Position::new(partition.next), |stored| stored.position),
            last: partition.last.map(|(position, _)| position),
            last_enqueued: partition.last.map(|(_, enqueued)| enqueued),
            empty: partition.events.is_empty(),
        })
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    fn retain(&self, hub: HubKey, age: Duration, bytes: Option<u64>) {
        self.lock().retention.insert(hub, (age, bytes));
    }

    async fn sweep(&self, now: Wall) -> Result<u64, LogError> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let mut swept = 0;
        for (hub, (age, bytes)) in &state.retention {
            let size = |stored: &StoredEvent| stored.event.message.size() as u64;
            let of_hub = |key: &(HubKey, Partition)| key.0 == *hub;
            let partitions = state.partitions.iter().filter(|(key, _)| of_hub(key));
            let mut total: u64 = partitions
                .flat_map(|(_, partition)| partition.events.iter().map(size))
                .sum();
            for (_, partition) in state.partitions.iter_mut().filter(|(key, _)| of_hub(key)) {
                partition.events.retain(|stored| {
                    let gone = stored.enqueued.plus(*age) < now || bytes.is_some_and(|bytes| total > bytes);
                    if gone {
                        total -= size(stored);
                        swept += size(stored);
                    }
                    !gone
                });
            }
        }
        Ok(swept)
    }

    fn hubs(&self) -> Vec<HubKey> {
        let hubs: BTreeSet<HubKey> = self.lock().partitions.keys().map(|(hub, _)| *hub).collect();
        hubs.into_iter().collect()
    }

    async fn drop_hub(&self, hub: HubKey) -> Result<(), LogError> {
        let mut state = self.lock();
        state.read_fails()?;
        state.dropped.insert(hub);
        state.retention.remove(&hub);
        state.partitions.retain(|(of, _), _| *of != hub);
        Ok(())
    }
}

struct MemoryLane {
    log: MemoryEventLog,
    hub: HubKey,
    partition: Partition,
    submitted: u64,
    durable: u64,
    /// Records that belong together, oldest first.
    pending: Vec<Vec<Event>>,
    closed: Option<String>,
}

impl MemoryLane {
    /// Makes what is pending durable, or a part of it when the log is late.
    fn settle(&mut self) {
        let log = self.log.clone();
        let mut state = log.lock();
        let late = state.misbehaviour.late;
        let mut settled = 0;
        while settled < self.pending.len() && !state.happens(late) {
            settled += 1;
        }
        for event in self.pending.drain(..settled).flatten() {
            state.store(self.hub, self.partition, event);
            self.durable += 1;
        }
        drop(state);
        if settled > 0 {
            log.commits.send_modify(|commits| *commits += 1);
        }
    }

    fn lose_reply(&mut self, events: Vec<Event>) {
        let log = self.log.clone();
        let mut state = log.lock();
        for events in self.pending.drain(..).chain([events]) {
            // Some prefix arrived: a lane keeps its order even when it breaks, and what belongs together.
            if state.happens(300) {
                break;
            }
            for event in events {
                state.store(self.hub, self.partition, event);
            }
        }
        drop(state);
        log.commits.send_modify(|commits| *commits += 1);
        self.closed = Some("the reply was lost".to_owned());
    }
}

impl Lane for MemoryLane {
    fn submit(&mut self, event: &Event) -> Result<Ticket, Full> {
        self.submit_all(std::slice::from_ref(event))
    }

    fn submit_all(&mut self, events: &[Event]) -> Result<Ticket, Full> {
        let lost = {
            let mut state = self.log.lock();
            let Misbehaviour { full, lost_reply, .. } = state.misbehaviour;
            if self.closed.is_some() || state.dropped.contains(&self.hub) || state.happens(full) {
                return Err(Full);
            }
            state.happens(lost_reply)
        };
        self.submitted += events.len() as u64;
        if lost {
            self.lose_reply(events.to_vec());
        } else {
            self.pending.push(events.to_vec());
        }
        Ok(Ticket(self.submitted))
    }

    fn poll_durable(
        &mut self,
        context: &mut Context<'_>,
        beyond: Ticket,
    ) -> Poll<Result<Ticket, LaneClosed>> {
        self.settle();
        if self.durable > beyond.0 {
            return Poll::Ready(Ok(Ticket(self.durable)));
        }
        if let Some(reason) = &self.closed {
            return Poll::Ready(Err(LaneClosed(reason.clone())));
        }
        if !self.pending.is_empty() {
            // Late, but not without end: the next poll tries again.
            Waker::wake_by_ref(context.waker());
        }
        Poll::Pending
    }
}

impl Drop for MemoryLane {
    /// What was submitted and never asked for arrives all the same.
    fn drop(&mut self) {
        let log = self.log.clone();
        let mut state = log.lock();
        for event in self.pending.drain(..).flatten() {
            state.store(self.hub, self.partition, event);
        }
        drop(state);
        log.commits.send_modify(|commits| *commits += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;

    #[tokio::test]
    async fn keeps_the_contract() {
        contract::event_log(Arc::new(MemoryEventLog::new())).await;
    }

    #[tokio::test]
    async fn keeps_the_contract_while_it_misbehaves() {
        for seed in 0..32 {
            contract::event_log(Arc::new(MemoryEventLog::misbehaving(seed, Misbehaviour::WILD))).await;
        }
    }
}
