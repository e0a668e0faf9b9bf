//! What an operator owns: resource groups, hubs and provisioning services.

use crate::access::{AccessPolicy, DpsRights, HubRights};
use crate::clock::Wall;
use crate::dps::AllocationPolicy;
use crate::etag::ETag;
use crate::id::{ConsumerGroupName, DpsName, HubName, IdScope, Location, PolicyName, ResourceGroupName};
use crate::json::Json;
use crate::key::{DpsKey, HubKey, PartitionCount};

/// A resource group: a name under which hubs and provisioning services stand.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceGroup {
    /// Its name, unique over the server.
    pub name: ResourceGroupName,
    /// Where it is said to be.
    pub location: Location,
    /// The operator's own tags, an object.
    pub tags: Json,
}

/// A hub.
#[derive(Clone, Debug, PartialEq)]
pub struct Hub {
    /// Its key; another hub of the same name later has another one.
    pub key: HubKey,
    /// Its name, unique over the server.
    pub name: HubName,
    /// The group it stands in.
    pub group: ResourceGroupName,
    /// Where it is said to be.
    pub location: Location,
    /// The operator's own tags, an object.
    pub tags: Json,
    /// Partitions of its built-in endpoint; fixed when it is made.
    pub partitions: PartitionCount,
    /// Days for which events are kept, 1 to 7 in Azure's tiers; more is allowed here.
    pub retention_days: u16,
    /// Bytes of events kept at most; the oldest go first. `None` means no bound by size.
    pub retention_bytes: Option<u64>,
    /// Whether devices may not use SAS tokens.
    pub disable_device_sas: bool,
    /// The management document as last written, without what the fields above hold, so that settings which nothing
    /// here understands yet come back as they were given.
    pub document: Json,
    /// Its shared access policies.
    pub policies: Vec<AccessPolicy<HubRights>>,
    /// Its consumer groups, `$Default` not among them: that one is always there.
    pub consumer_groups: Vec<ConsumerGroup>,
    /// When it was made.
    pub created: Wall,
    /// Its version.
    pub etag: ETag,
}

/// A consumer group of a hub's built-in endpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConsumerGroup {
    /// Its name.
    pub name: ConsumerGroupName,
    /// When it was made.
    pub created: Wall,
}

/// A provisioning service.
#[derive(Clone, Debug, PartialEq)]
pub struct ProvisioningService {
    /// Its key.
    pub key: DpsKey,
    /// Its name, unique over the server.
    pub name: DpsName,
    /// The group it stands in.
    pub group: ResourceGroupName,
    /// Where it is said to be.
    pub location: Location,
    /// The operator's own tags, an object.
    pub tags: Json,
    /// Tells it from others on the shared host name; never changes.
    pub id_scope: IdScope,
    /// How a hub is chosen where an enrollment does not say.
    pub allocation: AllocationPolicy,
    /// The hubs it may assign.
    pub links: Vec<HubLink>,
    /// The management document as last written, without what the fields above hold.
    pub document: Json,
    /// Its shared access policies.
    pub policies: Vec<AccessPolicy<DpsRights>>,
    /// When it was made.
    pub created: Wall,
    /// Its version.
    pub etag: ETag,
}

/// A hub that a provisioning service may assign.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HubLink {
    /// The hub, one of this server.
    pub hub: HubKey,
    /// The policy whose key the link was made with.
    pub policy: PolicyName,
    /// Where the hub is said to be.
    pub location: Location,
    /// Whether allocation may choose it when an enrollment names no hub.
    pub apply_allocation: bool,
    /// Its share under hashed allocation, 1 to 1000.
    pub weight: u16,
}
