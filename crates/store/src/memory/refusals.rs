//! The record of refusals in memory: the newest thousand.

use std::sync::Arc;

use async_trait::async_trait;
use muster_model::refusal::ExplainedRefusal;
use muster_model::{TrackingId, Wall};
use muster_resources::{RefusalQuery, Refusals, StoreError};

use super::Memory;

/// Records kept at most.
const RECORDS: usize = 1_000;

#[async_trait]
impl Refusals for Memory {
    async fn keep(&self, records: Vec<Arc<ExplainedRefusal>>) -> Result<(), StoreError> {
        self.write(false, |state| {
            for record in records {
                let tracking = record.refusal.tracking;
                if state
                    .refusals
                    .iter()
                    .all(|there| there.refusal.tracking != tracking)
                {
                    state.refusals.push_back(record);
                }
            }
            while state.refusals.len() > RECORDS {
                state.refusals.pop_front();
            }
            Ok(())
        })
        .await
    }

    async fn find(&self, tracking: TrackingId) -> Result<Option<Arc<ExplainedRefusal>>, StoreError> {
        self.read(|state| {
            state
                .refusals
                .iter()
                .find(|record| record.refusal.tracking == tracking)
                .cloned()
        })
        .await
    }

    async fn search(&self, query: RefusalQuery) -> Result<Vec<Arc<ExplainedRefusal>>, StoreError> {
        self.read(|state| {
            state
                .refusals
                .iter()
                .rev()
                .filter(|record| {
                    let facts = &record.refusal;
                    query
                        .device
                        .as_ref()
                        .is_none_or(|device| facts.device.as_ref() == Some(device))
                        && query.registration.as_ref().is_none_or(|wanted| {
                            facts
                                .registration
                                .as_ref()
                                .is_some_and(|id| id.eq_ignore_ascii_case(wanted))
                        })
                        && query
                            .address
                            .is_none_or(|address| facts.address.is_some_and(|at| at.ip() == address))
                        && query.since.is_none_or(|since| facts.at >= since)
                })
                .take(query.last)
                .cloned()
                .collect()
        })
        .await
    }

    async fn forget(&self, device: &str) -> Result<u64, StoreError> {
        self.write(false, |state| {
            let before = state.refusals.len();
            state.refusals.retain(|record| {
                let facts = &record.refusal;
                facts.device.as_deref() != Some(device)
                    && !facts
                        .registration
                        .as_ref()
                        .is_some_and(|id| id.eq_ignore_ascii_case(device))
            });
            Ok((before - state.refusals.len()) as u64)
        })
        .await
    }

    async fn expire(&self, before: Wall) -> Result<u64, StoreError> {
        self.write(false, |state| {
            let count = state.refusals.len();
            state.refusals.retain(|record| record.refusal.at >= before);
            Ok((count - state.refusals.len()) as u64)
        })
        .await
    }
}
