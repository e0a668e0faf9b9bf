//! Hubs: making, changing and deleting them, their policies and consumer groups.

use std::sync::Arc;

use muster_model::estate::{ConsumerGroup, Hub};
use muster_model::{
    AccessPolicy, ConsumerGroupName, HubName, HubRights, IfMatch, Json, Location, PartitionCount,
    ResourceGroupName, Wall,
};

use crate::error::Error;
use crate::estate::{Estate, MERGE_ROUNDS, merged_with};
use crate::permit::OperatorPermit;
use crate::policy::{self, PolicyDraft};
use crate::ports::HubDraft;

/// Most consumer groups of a hub, `$Default` among them. Source: IoT Hub quotas, read 2026-11.
pub const MAX_CONSUMER_GROUPS: usize = 20;

/// Longest retention of events, in days.
pub const MAX_RETENTION_DAYS: u16 = 3_650;

/// A hub as an operator writes it. What is absent keeps its value, or takes the default in a new hub.
#[derive(Clone, Debug)]
pub struct HubRequest {
    /// Its name.
    pub name: HubName,
    /// Its resource group.
    pub group: ResourceGroupName,
    /// Where it is said to be.
    pub location: Location,
    /// The operator's own tags, an object.
    pub tags: Option<Json>,
    /// Partitions of its built-in endpoint; heard only when it is made, four by default.
    pub partitions: Option<PartitionCount>,
    /// Days for which events are kept; one by default.
    pub retention_days: Option<u16>,
    /// Bytes of events kept at most; `Some(None)` lifts a bound.
    pub retention_bytes: Option<Option<u64>>,
    /// Whether devices may not use SAS tokens; they may by default.
    pub disable_device_sas: Option<bool>,
    /// The rest of the management document.
    pub document: Json,
    /// The whole set of policies; an empty one keeps what is there.
    pub policies: Vec<PolicyDraft<HubRights>>,
}

/// The verbs over hubs.
#[derive(Clone)]
pub struct Hubs {
    estate: Estate,
}

impl Hubs {
    /// Makes the verbs over `estate`.
    pub const fn new(estate: Estate) -> Self {
        Self { estate }
    }

    /// Finds a hub in its resource group.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is none of that name, or it stands in another group.
    pub fn find(
        &self,
        _permit: &OperatorPermit,
        group: &ResourceGroupName,
        name: &HubName,
    ) -> Result<Arc<Hub>, Error> {
        self.lookup(group, name)
    }

    /// Makes a hub or changes the one of that name; tells whether it is new.
    ///
    /// # Errors
    /// [`Error::Argument`], [`Error::GroupMissing`], [`Error::Exists`] when the name is taken in another group,
    /// [`Error::Missing`] when a version was named and there is none, [`Error::Stale`], [`Error::Store`].
    pub async fn put(
        &self,
        _permit: &OperatorPermit,
        request: HubRequest,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<(Arc<Hub>, bool), Error> {
        self.write(request, if_match, now).await
    }

    /// Deletes a hub with everything it holds.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Stale`], [`Error::Store`].
    pub async fn delete(
        &self,
        _permit: &OperatorPermit,
        group: &ResourceGroupName,
        name: &HubName,
        if_match: IfMatch,
    ) -> Result<(), Error> {
        let hub = self.lookup(group, name)?;
        self.estate
            .write("hub", name, |id| {
                self.estate.store.delete_hub(id, hub.key, if_match)
            })
            .await
    }

    /// Answers the policies of a hub with their keys.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub fn policies(
        &self,
        _permit: &OperatorPermit,
        group: &ResourceGroupName,
        name: &HubName,
    ) -> Result<Vec<AccessPolicy<HubRights>>, Error> {
        Ok(self.lookup(group, name)?.policies.clone())
    }

    /// Makes a consumer group; answers the one that is there when it exists.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Argument`] when there are too many, [`Error::Store`].
    pub async fn put_consumer_group(
        &self,
        _permit: &OperatorPermit,
        group: &ResourceGroupName,
        name: &HubName,
        consumer_group: ConsumerGroupName,
        now: Wall,
    ) -> Result<ConsumerGroup, Error> {
        let hub = self.lookup(group, name)?;
        if let Some(known) = consumer_group_of(&hub, &consumer_group) {
            return Ok(known);
        }
        if hub.consumer_groups.len() + 1 >= MAX_CONSUMER_GROUPS {
            return Err(Error::Argument(format!(
                "a hub has at most {MAX_CONSUMER_GROUPS} consumer groups"
            )));
        }
        self.estate
            .write("hub", name, |id| {
                self.estate
                    .store
                    .put_consumer_group(id, hub.key, consumer_group.clone(), now)
            })
            .await
    }

    /// Deletes a consumer group.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Argument`] for `$Default`, [`Error::Store`].
    pub async fn delete_consumer_group(
        &self,
        _permit: &OperatorPermit,
        group: &ResourceGroupName,
        name: &HubName,
        consumer_group: &ConsumerGroupName,
    ) -> Result<(), Error> {
        let hub = self.lookup(group, name)?;
        if is_default(consumer_group) {
            return Err(Error::Argument(
                "the consumer group $Default can't be deleted".to_owned(),
            ));
        }
        self.estate
            .write("consumer group", consumer_group, |id| {
                self.estate
                    .store
                    .delete_consumer_group(id, hub.key, consumer_group)
            })
            .await
    }

    pub(crate) async fn write(
        &self,
        request: HubRequest,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<(Arc<Hub>, bool), Error> {
        let directory = &self.estate.directory;
        if directory.group(&request.group).is_none() {
            return Err(Error::GroupMissing(request.group));
        }
        let name = request.name.clone();
        for _ in 0..MERGE_ROUNDS {
            let known = directory.hub(&name);
            if known.as_ref().is_some_and(|hub| hub.group != request.group) {
                return Err(Error::Exists {
                    what: "hub",
                    name: name.to_string(),
                });
            }
            let draft = self.draft(request.clone(), known.as_deref())?;
            let Some(known) = known else {
                if if_match.requires_existing() {
                    return Err(missing(&name));
                }
                let made = self.estate.write("hub", &name, |id| {
                    self.estate.store.create_hub(id, draft.clone(), now)
                });
                return Ok((Arc::new(made.await?), true));
            };
            let version = merged_with(if_match, known.etag);
            let changed = self.estate.write("hub", &name, |id| {
                self.estate
                    .store
                    .update_hub(id, known.key, draft.clone(), version)
            });
            match changed.await {
                Err(Error::Stale) if version != if_match => {}
                done => return done.map(|hub| (Arc::new(hub), false)),
            }
        }
        Err(Error::Stale)
    }

    fn draft(&self, request: HubRequest, known: Option<&Hub>) -> Result<HubDraft, Error> {
        let retention_days = request
            .retention_days
            .or(known.map(|hub| hub.retention_days))
            .unwrap_or(1);
        if !(1..=MAX_RETENTION_DAYS).contains(&retention_days) {
            return Err(Error::Argument(format!(
                "events are kept for 1 to {MAX_RETENTION_DAYS} days, not for {retention_days}"
            )));
        }
        let policies = match (request.policies.is_empty(), known) {
            (true, Some(hub)) => hub.policies.clone(),
            (true, None) => policy::complete(policy::hub_defaults(), &self.estate.random)?,
            (false, _) => policy::complete(request.policies, &self.estate.random)?,
        };
        Ok(HubDraft {
            name: request.name,
            group: request.group,
            location: request.location,
            tags: request
                .tags
                .or_else(|| known.map(|hub| hub.tags.clone()))
                .unwrap_or_else(Json::empty_object),
            partitions: known
                .map(|hub| hub.partitions)
                .or(request.partitions)
                .unwrap_or(PartitionCount::DEFAULT),
            retention_days,
            retention_bytes: request
                .retention_bytes
                .unwrap_or_else(|| known.and_then(|hub| hub.retention_bytes)),
            disable_device_sas: request
                .disable_device_sas
                .or(known.map(|hub| hub.disable_device_sas))
                .unwrap_or(false),
            document: request.document,
            policies,
        })
    }

    fn lookup(&self, group: &ResourceGroupName, name: &HubName) -> Result<Arc<Hub>, Error> {
        self.estate
            .directory
            .hub(name)
            .filter(|hub| hub.group == *group)
            .ok_or_else(|| missing(name))
    }
}

/// Answers a consumer group of a hub; `$Default` is always there.
pub fn consumer_group_of(hub: &Hub, name: &ConsumerGroupName) -> Option<ConsumerGroup> {
    if is_default(name) {
        return Some(ConsumerGroup {
            name: name.clone(),
            created: hub.created,
        });
    }
    hub.consumer_groups.iter().find(|one| one.name == *name).cloned()
}

fn is_default(name: &ConsumerGroupName) -> bool {
    name.folded() == "$default"
}

fn missing(name: &HubName) -> Error {
    Error::Missing {
        what: "hub",
        name: name.to_string(),
    }
}
