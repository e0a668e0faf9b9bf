//! The way of a refusal from the hot path to its explained record.
//!
//! [`RefusalLog::report`] never waits: every refusal is counted, a sample of a flood is queued, and what does not fit
//! is counted as unexplained. Explaining and keeping happen in [`RefusalLog::drain`], which the binary runs beside
//! the path. Nothing here knows the rules themselves.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use muster_model::refusal::{ExplainedRefusal, Explanation, Refusal};
use muster_model::{Clock, Mono, ReasonCode};
use tokio::sync::mpsc;

use crate::metrics;
use crate::ports::{Refusals, StoreError};

/// Refusals that wait for their explanation at most.
const QUEUE: usize = 1_024;
/// Refusals that are explained and kept together.
const BATCH: usize = 64;
/// Kinds of refusals (reason and target) that are sampled each by itself; the rest shares one bucket.
const KINDS: usize = 4_096;

/// Of one kind: so many at once, and so many a second in the long run.
const KIND: Rate = Rate {
    burst: 20.0,
    per_second: 5.0,
};
/// Of all kinds together; an explanation may cost some milliseconds.
const ALL: Rate = Rate {
    burst: 200.0,
    per_second: 50.0,
};

/// Explains a refusal by running the same rules again.
#[async_trait]
pub trait Explain: Send + Sync {
    /// Explains one refusal. Never fails: what can't be looked at is said in the explanation.
    async fn explain(&self, refusal: &Refusal) -> Explanation;
}

/// Takes refusals from hot paths.
pub struct RefusalLog {
    clock: Arc<dyn Clock>,
    sender: mpsc::Sender<Refusal>,
    receiver: tokio::sync::Mutex<mpsc::Receiver<Refusal>>,
    sampler: Mutex<Sampler>,
    dropped: AtomicU64,
}

impl RefusalLog {
    /// Makes an empty log.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        Self {
            clock,
            sender,
            receiver: tokio::sync::Mutex::new(receiver),
            sampler: Mutex::default(),
            dropped: AtomicU64::new(0),
        }
    }

    /// Takes a refusal; never waits.
    pub fn report(&self, mut refusal: Refusal) {
        bound(&mut refusal);
        metrics::refused(refusal.reason, refusal.protocol);
        let wanted = self
            .sampler
            .lock()
            // A panic while sampling leaves at worst a wrong number in a bucket.
            .unwrap_or_else(PoisonError::into_inner)
            .wants(&refusal, self.clock.mono());
        if !wanted || self.sender.try_send(refusal).is_err() {
            self.lost(1);
        }
    }

    /// How many refusals since the start have no explained record, because too many came at once or the record could
    /// not be kept.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits for refusals, explains a batch of them and has it kept; answers how many it kept. The binary calls it
    /// again and again. A batch that was taken is lost when the call is cancelled.
    ///
    /// # Errors
    /// [`StoreError`] when the records could not be kept; they are counted as dropped.
    pub async fn drain(&self, explain: &dyn Explain, refusals: &dyn Refusals) -> Result<usize, StoreError> {
        let mut batch = Vec::with_capacity(BATCH);
        self.receiver.lock().await.recv_many(&mut batch, BATCH).await;
        self.keep(batch, explain, refusals).await
    }

    /// Explains and keeps what waits at this moment, without waiting for more; answers how many it kept. For tests and
    /// for the end of the server.
    ///
    /// # Errors
    /// [`StoreError`] as for [`RefusalLog::drain`].
    pub async fn flush(&self, explain: &dyn Explain, refusals: &dyn Refusals) -> Result<usize, StoreError> {
        let mut kept = 0;
        loop {
            let mut batch = Vec::new();
            {
                let mut receiver = self.receiver.lock().await;
                while batch.len() < BATCH
                    && let Ok(refusal) = receiver.try_recv()
                {
                    batch.push(refusal);
                }
            }
            if batch.is_empty() {
                return Ok(kept);
            }
            kept += self.keep(batch, explain, refusals).await?;
        }
    }

    async fn keep(
        &self,
        batch: Vec<Refusal>,
        explain: &dyn Explain,
        refusals: &dyn Refusals,
    ) -> Result<usize, StoreError> {
        let count = batch.len();
        let mut records = Vec::with_capacity(count);
        for refusal in batch {
            let explanation = explain.explain(&refusal).await;
            records.push(Arc::new(ExplainedRefusal { refusal, explanation }));
        }
        if let Err(error) = refusals.keep(records).await {
            self.lost(count as u64);
            return Err(error);
        }
        Ok(count)
    }

    fn lost(&self, count: u64) {
        self.dropped.fetch_add(count, Ordering::Relaxed);
        metrics::unexplained(count);
    }
}

/// Most bytes of each text that a refused caller wrote: every name and id of the rules is shorter, and what does not fit
/// the rules is not worth more.
const LONGEST: usize = 300;
/// Most bytes of a token's resource: a host and a path.
const LONGEST_RESOURCE: usize = 1_024;

/// Cuts what the caller wrote down to what a record needs. The sampler, the queue and the records hold thousands of
/// these, and anybody may send a `Host` of many kilobytes.
fn bound(refusal: &mut Refusal) {
    let names = [
        &mut refusal.target,
        &mut refusal.device,
        &mut refusal.registration,
    ];
    for name in names.into_iter().flatten() {
        cut(name, LONGEST);
    }
    if let Some(token) = &mut refusal.token {
        cut(&mut token.resource, LONGEST_RESOURCE);
        if let Some(policy) = &mut token.policy {
            cut(policy, LONGEST);
        }
    }
}

fn cut(text: &mut String, limit: usize) {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
        text.push('…');
        text.shrink_to_fit();
    }
}

#[derive(Clone, Copy)]
struct Rate {
    burst: f64,
    per_second: f64,
}

struct Bucket {
    level: f64,
    at: Mono,
}

impl Bucket {
    const fn full(rate: Rate, now: Mono) -> Self {
        Self {
            level: rate.burst,
            at: now,
        }
    }

    fn fill(&mut self, rate: Rate, now: Mono) {
        self.level = (self.level + now.since(self.at).as_secs_f64() * rate.per_second).min(rate.burst);
        self.at = now;
    }
}

/// Decides which refusals of a flood are explained. Bounded: targets are chosen by whoever calls.
#[derive(Default)]
struct Sampler {
    all: Option<Bucket>,
    rest: Option<Bucket>,
    kinds: HashMap<(ReasonCode, Option<String>), Bucket>,
}

impl Sampler {
    fn wants(&mut self, refusal: &Refusal, now: Mono) -> bool {
        let kind = (refusal.reason, refusal.target.clone());
        if self.kinds.len() >= KINDS && !self.kinds.contains_key(&kind) {
            // Those that are full again say nothing that a new one would not.
            self.kinds.retain(|_, bucket| {
                bucket.fill(KIND, now);
                bucket.level < KIND.burst
            });
        }
        let bucket = if self.kinds.len() < KINDS || self.kinds.contains_key(&kind) {
            self.kinds.entry(kind).or_insert_with(|| Bucket::full(KIND, now))
        } else {
            self.rest.get_or_insert_with(|| Bucket::full(KIND, now))
        };
        let all = self.all.get_or_insert_with(|| Bucket::full(ALL, now));
        bucket.fill(KIND, now);
        all.fill(ALL, now);
        if bucket.level < 1.0 || all.level < 1.0 {
            return false;
        }
        bucket.level -= 1.0;
        all.level -= 1.0;
        true
    }
}
