//! What the control plane needs from a store and a bus.
//!
//! Every write ends done, refused or unknown ([`StoreError::Unknown`]: it may have happened), and carries a
//! [`RequestId`] that makes its repeat harmless: a store that has seen the id answers as it did the first time. Every
//! write that changes whom the server trusts takes the next [`TrustVersion`] in the same unit of work.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use muster_model::access::{AccessPolicy, DpsRights, HubRights};
use muster_model::dps::AllocationPolicy;
use muster_model::estate::{ConsumerGroup, Hub, HubLink, ProvisioningService, ResourceGroup};
use muster_model::refusal::ExplainedRefusal;
use muster_model::{
    CaCertificate, CertificateName, CertificateOwner, ConsumerGroupName, DpsKey, DpsName, HubKey, HubName,
    IdScope, IfMatch, Json, Location, PartitionCount, RequestId, ResourceGroupName, SubscriptionId,
    TrackingId, TrustVersion, VerificationCode, Wall,
};
use muster_pki::Certificate;

/// A store that could not do its work.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// A stored row can't be read: it was damaged, or written by a newer release.
    #[error("the row in {table}, column {column}, can't be read: {detail}")]
    Damaged {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// Nothing was done; the same call may go through later.
    #[error("the store can't do it now: {0}")]
    Unavailable(String),
    /// The write may or may not have happened.
    #[error("the outcome of the write is unknown: {0}")]
    Unknown(String),
}

/// A write that did not happen, or may not have.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// Something of that name is there already.
    #[error("it exists already")]
    Exists,
    /// Nothing of that name is there.
    #[error("it does not exist")]
    Missing,
    /// It is there in another version than the caller named.
    #[error("it is there in another version")]
    Stale,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A hub as an operator wants it.
#[derive(Clone, Debug)]
pub struct HubDraft {
    /// See [`Hub::name`].
    pub name: HubName,
    /// See [`Hub::group`].
    pub group: ResourceGroupName,
    /// See [`Hub::location`].
    pub location: Location,
    /// See [`Hub::tags`].
    pub tags: Json,
    /// See [`Hub::partitions`]; ignored when a hub is changed.
    pub partitions: PartitionCount,
    /// See [`Hub::retention_days`].
    pub retention_days: u16,
    /// See [`Hub::retention_bytes`].
    pub retention_bytes: Option<u64>,
    /// See [`Hub::disable_device_sas`].
    pub disable_device_sas: bool,
    /// See [`Hub::document`].
    pub document: Json,
    /// The whole set of policies.
    pub policies: Vec<AccessPolicy<HubRights>>,
}

/// A provisioning service as an operator wants it.
#[derive(Clone, Debug)]
pub struct ServiceDraft {
    /// See [`ProvisioningService::name`].
    pub name: DpsName,
    /// See [`ProvisioningService::group`].
    pub group: ResourceGroupName,
    /// See [`ProvisioningService::location`].
    pub location: Location,
    /// See [`ProvisioningService::tags`].
    pub tags: Json,
    /// See [`ProvisioningService::id_scope`]; ignored when a service is changed.
    pub id_scope: IdScope,
    /// See [`ProvisioningService::allocation`].
    pub allocation: AllocationPolicy,
    /// The whole set of links.
    pub links: Vec<HubLink>,
    /// See [`ProvisioningService::document`].
    pub document: Json,
    /// The whole set of policies.
    pub policies: Vec<AccessPolicy<DpsRights>>,
}

/// A CA certificate as an operator uploads it.
#[derive(Clone, Debug)]
pub struct CertificateDraft {
    /// Whose it is to be.
    pub owner: CertificateOwner,
    /// Its name there.
    pub name: CertificateName,
    /// The certificate.
    pub certificate: Certificate,
    /// Whether possession of its key is taken for granted.
    pub verified: bool,
}

/// Everything of the control plane that changed after a trust version, as it stands now.
#[derive(Clone, Debug, Default)]
pub struct Delta {
    /// The newest version; what it changed is in here.
    pub version: TrustVersion,
    /// Changed groups; `None` for those that are gone.
    pub groups: Vec<(ResourceGroupName, Option<ResourceGroup>)>,
    /// Changed hubs; `None` for those that are gone.
    pub hubs: Vec<(HubKey, Option<Hub>)>,
    /// Changed provisioning services; `None` for those that are gone.
    pub services: Vec<(DpsKey, Option<ProvisioningService>)>,
    /// Changed CA certificates; `None` for those that are gone. Those of an owner that is gone need not be listed.
    pub certificates: Vec<(CertificateOwner, CertificateName, Option<CaCertificate>)>,
    /// The SHA-256 of the operator's token, when it changed.
    pub operator: Option<[u8; 32]>,
}

/// Facts of this server that are drawn once.
#[derive(Clone, Debug)]
pub struct ServerFacts {
    /// The one subscription that it shows.
    pub subscription: SubscriptionId,
    /// Which life of the data this is; a restore begins the next one.
    pub incarnation: u64,
    /// The latest wall time that any earlier run saw.
    pub latest_wall: Option<Wall>,
}

/// Keeps the control plane.
#[async_trait]
pub trait Store: Send + Sync {
    /// Reads the facts of this server; draws them at the first call of a new store.
    async fn facts(&self) -> Result<ServerFacts, StoreError>;

    /// Remembers a wall time; an earlier one than the latest is ignored.
    async fn remember_wall(&self, now: Wall) -> Result<(), StoreError>;

    /// Reads what changed after `version`; everything there is for version 0.
    async fn read_since(&self, version: TrustVersion) -> Result<Delta, StoreError>;

    /// Replaces the SHA-256 of the operator's token.
    async fn put_operator(&self, request: RequestId, hash: [u8; 32]) -> Result<(), StoreError>;

    /// Makes a resource group or changes it; tells whether it is new.
    async fn put_group(&self, request: RequestId, group: ResourceGroup) -> Result<bool, StoreError>;

    /// Deletes a resource group with its hubs and provisioning services, as [`Store::delete_hub`] does.
    ///
    /// # Errors
    /// [`WriteError::Missing`].
    async fn delete_group(&self, request: RequestId, name: &ResourceGroupName) -> Result<(), WriteError>;

    /// Makes a hub under a new key.
    ///
    /// # Errors
    /// [`WriteError::Exists`] when the name is taken, [`WriteError::Missing`] when the group is not there.
    async fn create_hub(&self, request: RequestId, draft: HubDraft, now: Wall) -> Result<Hub, WriteError>;

    /// Changes a hub. Name, group and partitions stay as they are.
    ///
    /// # Errors
    /// [`WriteError::Missing`], [`WriteError::Stale`].
    async fn update_hub(
        &self,
        request: RequestId,
        key: HubKey,
        draft: HubDraft,
        if_match: IfMatch,
    ) -> Result<Hub, WriteError>;

    /// Deletes a hub: from this moment neither its name nor anything it held can be found. Its rows are removed later
    /// by [`Store::reap`]. Links to it are dropped in the same unit of work.
    ///
    /// # Errors
    /// [`WriteError::Missing`], [`WriteError::Stale`].
    async fn delete_hub(&self, request: RequestId, key: HubKey, if_match: IfMatch) -> Result<(), WriteError>;

    /// Makes a consumer group; answers the one that is there when it exists already.
    ///
    /// # Errors
    /// [`WriteError::Missing`] when the hub is gone.
    async fn put_consumer_group(
        &self,
        request: RequestId,
        hub: HubKey,
        name: ConsumerGroupName,
        now: Wall,
    ) -> Result<ConsumerGroup, WriteError>;

    /// Deletes a consumer group.
    ///
    /// # Errors
    /// [`WriteError::Missing`].
    async fn delete_consumer_group(
        &self,
        request: RequestId,
        hub: HubKey,
        name: &ConsumerGroupName,
    ) -> Result<(), WriteError>;

    /// Makes a provisioning service under a new key.
    ///
    /// # Errors
    /// [`WriteError::Exists`] when the name or the id scope is taken, [`WriteError::Missing`] when the group or a
    /// linked hub is not there.
    async fn create_service(
        &self,
        request: RequestId,
        draft: ServiceDraft,
        now: Wall,
    ) -> Result<ProvisioningService, WriteError>;

    /// Changes a provisioning service. Name, group and id scope stay as they are.
    ///
    /// # Errors
    /// [`WriteError::Missing`], [`WriteError::Stale`].
    async fn update_service(
        &self,
        request: RequestId,
        key: DpsKey,
        draft: ServiceDraft,
        if_match: IfMatch,
    ) -> Result<ProvisioningService, WriteError>;

    /// Deletes a provisioning service as [`Store::delete_hub`] deletes a hub.
    ///
    /// # Errors
    /// [`WriteError::Missing`], [`WriteError::Stale`].
    async fn delete_service(
        &self,
        request: RequestId,
        key: DpsKey,
        if_match: IfMatch,
    ) -> Result<(), WriteError>;

    /// Uploads a CA certificate. Without a demand ([`IfMatch::Absent`]) it must be new; with one it replaces what is
    /// there, drops a waiting code, and is verified only if the draft says so.
    ///
    /// # Errors
    /// [`WriteError::Exists`], [`WriteError::Missing`] (also when the owner is gone), [`WriteError::Stale`].
    async fn put_certificate(
        &self,
        request: RequestId,
        draft: CertificateDraft,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<CaCertificate, WriteError>;

    /// Stores a verification code in place of an earlier one; keeps the verified state.
    ///
    /// # Errors
    /// [`WriteError::Missing`], [`WriteError::Stale`].
    async fn start_proof(
        &self,
        request: RequestId,
        owner: CertificateOwner,
        name: &CertificateName,
        code: VerificationCode,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<CaCertificate, WriteError>;

    /// Marks a CA certificate as verified and drops its code, if the code that was proved is still the current one.
    ///
    /// # Errors
    /// [`WriteError::Missing`], [`WriteError::Stale`] (also when the code is another one by now).
    async fn finish_proof(
        &self,
        request: RequestId,
        owner: CertificateOwner,
        name: &CertificateName,
        code: VerificationCode,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<CaCertificate, WriteError>;

    /// Deletes a CA certificate.
    ///
    /// # Errors
    /// [`WriteError::Missing`], [`WriteError::Stale`].
    async fn delete_certificate(
        &self,
        request: RequestId,
        owner: CertificateOwner,
        name: &CertificateName,
        if_match: IfMatch,
    ) -> Result<(), WriteError>;

    /// Removes up to `limit` rows that deleted hubs and services left behind; tells how many went. Zero means that
    /// nothing is left. `fence` is that of the caller's lease: an older one than was seen is refused.
    async fn reap(&self, limit: usize, fence: u64) -> Result<usize, StoreError>;
}

/// Tells the nodes of a server that trust changed. A notice only wakes: what changed is read from the store.
pub trait Changes: Send + Sync {
    /// Wakes every watcher, here and on other nodes.
    fn notify(&self, version: TrustVersion);

    /// Watches for versions; the value is the newest one that was heard of.
    fn watch(&self) -> tokio::sync::watch::Receiver<TrustVersion>;
}

/// A lease on a piece of background work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lease {
    /// Larger for each new holder; a write that names an older one is refused.
    pub fence: u64,
    /// When it ends unless it is renewed.
    pub until: Wall,
}

/// Gives background work to one node at a time.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Takes the lease on `work` for `holder`, or renews it when `holder` has it; `None` while another holds it.
    async fn hold(
        &self,
        work: &'static str,
        holder: &str,
        span: Duration,
        now: Wall,
    ) -> Result<Option<Lease>, StoreError>;
}

/// Which refusals to show; every field that is set must fit.
#[derive(Clone, Debug, Default)]
pub struct RefusalQuery {
    /// A device id, as written.
    pub device: Option<String>,
    /// A registration id, without case.
    pub registration: Option<String>,
    /// An address without its port.
    pub address: Option<std::net::IpAddr>,
    /// Only those at this time or later.
    pub since: Option<Wall>,
    /// The newest ones, at most this many.
    pub last: usize,
}

/// Keeps explained refusals: bounded in number, bytes and age, lossy under flood, and saying how much was lost.
#[async_trait]
pub trait Refusals: Send + Sync {
    /// Keeps records; drops the oldest beyond the bounds.
    async fn keep(&self, records: Vec<Arc<ExplainedRefusal>>) -> Result<(), StoreError>;

    /// Finds one by its tracking id.
    async fn find(&self, tracking: TrackingId) -> Result<Option<Arc<ExplainedRefusal>>, StoreError>;

    /// Finds the newest that fit, newest first.
    async fn search(&self, query: RefusalQuery) -> Result<Vec<Arc<ExplainedRefusal>>, StoreError>;

    /// Forgets what names this device; tells how many went.
    async fn forget(&self, device: &str) -> Result<u64, StoreError>;

    /// Forgets what is older than `before`.
    async fn expire(&self, before: Wall) -> Result<u64, StoreError>;
}
