//! A caller that repeats what was refused for now, or whose outcome it does not know, with the same request id: behind
//! it every write must have happened exactly once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use muster_dps::ports::{GroupDraft, IndividualDraft, NewOperation, Outcome, Page, WriteMode};
use muster_hub::ports::{DeviceDraft, DeviceSelector, EnsuredDevice, ProvisionedDevice};
use muster_model::dps::{AttestationKind, EnrollmentGroup, IndividualEnrollment, RegistrationState};
use muster_model::estate::{ConsumerGroup, Hub, ProvisioningService, ResourceGroup};
use muster_model::identity::{DeviceCounts, DeviceIdentity};
use muster_model::refusal::ExplainedRefusal;
use muster_model::twin::Twin;
use muster_model::{
    CaCertificate, CertificateName, CertificateOwner, ConsumerGroupName, DeviceId, DpsKey, ETag,
    EnrollmentGroupId, GenerationId, HubKey, IfMatch, OperationId, RegistrationId, RequestId,
    ResourceGroupName, Subscriptions, TrackingId, TrustVersion, VerificationCode, Wall,
};
use muster_pki::{Certificate, Name, Sha256};
use muster_resources::{
    CertificateDraft, Delta, HubDraft, Lease, Leases, RefusalQuery, Refusals, ServerFacts, ServiceDraft,
    StoreError, WriteError,
};

pub(crate) struct Repeating<S>(pub(crate) S);

trait Passing {
    fn passes(&self) -> bool;
}

impl Passing for StoreError {
    fn passes(&self) -> bool {
        matches!(self, Self::Unavailable(text) | Self::Unknown(text) if text == "mischief")
    }
}

impl Passing for WriteError {
    fn passes(&self) -> bool {
        matches!(self, Self::Store(error) if error.passes())
    }
}

macro_rules! repeat {
    ($call:expr) => {
        loop {
            match $call.await {
                Err(error) if error.passes() => {}
                other => return other,
            }
        }
    };
}

/// Writes the methods of a port: each repeats the call with copies of its arguments.
macro_rules! repeating {
    ($port:path { $($name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)* }) => {
        #[async_trait]
        impl<S: $port> $port for Repeating<S> {
            $(async fn $name(&self, $($arg: $type),*) -> $answer {
                repeat!(self.0.$name($(Clone::clone(&$arg)),*))
            })*
        }
    };
}

repeating! { muster_resources::Store {
    facts() -> Result<ServerFacts, StoreError>;
    remember_wall(now: Wall) -> Result<(), StoreError>;
    read_since(version: TrustVersion) -> Result<Delta, StoreError>;
    put_operator(request: RequestId, hash: [u8; 32]) -> Result<(), StoreError>;
    put_group(request: RequestId, group: ResourceGroup) -> Result<bool, StoreError>;
    delete_group(request: RequestId, name: &ResourceGroupName) -> Result<(), WriteError>;
    create_hub(request: RequestId, draft: HubDraft, now: Wall) -> Result<Hub, WriteError>;
    update_hub(request: RequestId, key: HubKey, draft: HubDraft, if_match: IfMatch) -> Result<Hub, WriteError>;
    delete_hub(request: RequestId, key: HubKey, if_match: IfMatch) -> Result<(), WriteError>;
    put_consumer_group(request: RequestId, hub: HubKey, name: ConsumerGroupName, now: Wall)
        -> Result<ConsumerGroup, WriteError>;
    delete_consumer_group(request: RequestId, hub: HubKey, name: &ConsumerGroupName) -> Result<(), WriteError>;
    create_service(request: RequestId, draft: ServiceDraft, now: Wall)
        -> Result<ProvisioningService, WriteError>;
    update_service(request: RequestId, key: DpsKey, draft: ServiceDraft, if_match: IfMatch)
        -> Result<ProvisioningService, WriteError>;
    delete_service(request: RequestId, key: DpsKey, if_match: IfMatch) -> Result<(), WriteError>;
    put_certificate(request: RequestId, draft: CertificateDraft, if_match: IfMatch, now: Wall)
        -> Result<CaCertificate, WriteError>;
    start_proof(request: RequestId, owner: CertificateOwner, name: &CertificateName, code: VerificationCode,
        if_match: IfMatch, now: Wall) -> Result<CaCertificate, WriteError>;
    finish_proof(request: RequestId, owner: CertificateOwner, name: &CertificateName, code: VerificationCode,
        if_match: IfMatch, now: Wall) -> Result<CaCertificate, WriteError>;
    delete_certificate(request: RequestId, owner: CertificateOwner, name: &CertificateName, if_match: IfMatch)
        -> Result<(), WriteError>;
    reap(limit: usize, fence: u64) -> Result<usize, StoreError>;
} }

repeating! { Leases {
    hold(work: &'static str, holder: &str, span: Duration, now: Wall) -> Result<Option<Lease>, StoreError>;
} }

repeating! { Refusals {
    keep(records: Vec<Arc<ExplainedRefusal>>) -> Result<(), StoreError>;
    find(tracking: TrackingId) -> Result<Option<Arc<ExplainedRefusal>>, StoreError>;
    search(query: RefusalQuery) -> Result<Vec<Arc<ExplainedRefusal>>, StoreError>;
    forget(device: &str) -> Result<u64, StoreError>;
    expire(before: Wall) -> Result<u64, StoreError>;
} }

repeating! { muster_hub::ports::Store {
    device(hub: HubKey, id: &DeviceId) -> Result<Option<DeviceIdentity>, StoreError>;
    devices(hub: HubKey, selector: DeviceSelector) -> Result<Vec<DeviceIdentity>, StoreError>;
    device_counts(hub: HubKey) -> Result<DeviceCounts, StoreError>;
    create_device(request: RequestId, hub: HubKey, draft: DeviceDraft, now: Wall)
        -> Result<DeviceIdentity, WriteError>;
    update_device(request: RequestId, hub: HubKey, draft: DeviceDraft, if_match: IfMatch, now: Wall)
        -> Result<DeviceIdentity, WriteError>;
    delete_device(request: RequestId, hub: HubKey, id: &DeviceId, if_match: IfMatch) -> Result<(), WriteError>;
    ensure_device(request: RequestId, hub: HubKey, device: ProvisionedDevice, now: Wall)
        -> Result<EnsuredDevice, WriteError>;
    twin(hub: HubKey, id: &DeviceId) -> Result<Option<Twin>, StoreError>;
    subscriptions(hub: HubKey, id: &DeviceId) -> Result<Option<Subscriptions>, StoreError>;
    keep_subscriptions(request: RequestId, hub: HubKey, id: &DeviceId, generation: GenerationId,
        subscriptions: Subscriptions) -> Result<(), WriteError>;
    forget_subscriptions(request: RequestId, hub: HubKey, id: &DeviceId, generation: GenerationId)
        -> Result<(), WriteError>;
    note_activity(seen: Vec<(HubKey, DeviceId, Wall)>) -> Result<(), StoreError>;
} }

repeating! { muster_dps::ports::Store {
    individual(service: DpsKey, id: &RegistrationId) -> Result<Option<IndividualEnrollment>, StoreError>;
    individuals(service: DpsKey, after: Option<&str>, limit: usize)
        -> Result<Page<IndividualEnrollment>, StoreError>;
    put_individual(request: RequestId, service: DpsKey, draft: IndividualDraft, mode: WriteMode, now: Wall)
        -> Result<IndividualEnrollment, WriteError>;
    delete_individual(request: RequestId, service: DpsKey, id: &RegistrationId, if_match: IfMatch)
        -> Result<(), WriteError>;
    disabled_individual_with(service: DpsKey, certificate: Sha256)
        -> Result<Option<RegistrationId>, StoreError>;
    group(service: DpsKey, id: &EnrollmentGroupId) -> Result<Option<EnrollmentGroup>, StoreError>;
    groups(service: DpsKey, after: Option<&str>, limit: usize) -> Result<Page<EnrollmentGroup>, StoreError>;
    put_group(request: RequestId, service: DpsKey, draft: GroupDraft, mode: WriteMode, now: Wall)
        -> Result<EnrollmentGroup, WriteError>;
    delete_group(request: RequestId, service: DpsKey, id: &EnrollmentGroupId, if_match: IfMatch)
        -> Result<(), WriteError>;
    signing_certificates(service: DpsKey, subjects: &[Name]) -> Result<Vec<Certificate>, StoreError>;
    groups_of(service: DpsKey, certificates: &[Sha256], references: &[CertificateName], limit: usize)
        -> Result<Vec<EnrollmentGroup>, StoreError>;
    symmetric_groups(service: DpsKey, limit: usize) -> Result<Vec<EnrollmentGroup>, StoreError>;
    registration(service: DpsKey, id: &RegistrationId) -> Result<Option<RegistrationState>, StoreError>;
    operation(service: DpsKey, operation: &OperationId) -> Result<Option<RegistrationState>, StoreError>;
    registrations(service: DpsKey, group: &EnrollmentGroupId, after: Option<&str>, limit: usize)
        -> Result<Page<RegistrationState>, StoreError>;
    delete_registration(request: RequestId, service: DpsKey, id: &RegistrationId, if_match: IfMatch)
        -> Result<(), WriteError>;
    begin_operation(service: DpsKey, operation: NewOperation, expected: Option<ETag>, now: Wall)
        -> Result<RegistrationState, WriteError>;
    finish_operation(service: DpsKey, operation: &OperationId, outcome: Outcome, now: Wall)
        -> Result<RegistrationState, WriteError>;
    record_outcome(request: RequestId, service: DpsKey, operation: OperationId, id: RegistrationId,
        group: Option<EnrollmentGroupId>, attestation: AttestationKind, outcome: Outcome, now: Wall)
        -> Result<RegistrationState, WriteError>;
    unfinished(before: Wall, limit: usize) -> Result<Vec<(DpsKey, NewOperation)>, StoreError>;
} }
