//! What provisioning needs from a store and from the hubs it assigns. The rules of `resources::ports` hold here too:
//! three outcomes, request ids, and a trust version for each change of whom the server trusts.

use async_trait::async_trait;
use muster_model::dps::{
    Assignment, Attestation, AttestationKind, EnrollmentGroup, EnrollmentTerms, IndividualEnrollment,
    RegistrationFailure, RegistrationState, Substatus,
};
use muster_model::identity::{Authentication, Provenance};
use muster_model::twin::{InitialTwin, Twin};
use muster_model::{
    CertificateName, DeviceId, DpsKey, EnrollmentGroupId, HubKey, IfMatch, Json, OperationId, RegistrationId,
    RequestId, Wall,
};
use muster_pki::{Certificate, Name, Sha256};
use muster_resources::{StoreError, WriteError};

/// An individual enrollment as an operator wants it; `etag`, `created` and `updated` of the terms are ignored.
#[derive(Clone, Debug)]
pub struct IndividualDraft {
    /// See [`IndividualEnrollment::id`].
    pub id: RegistrationId,
    /// See [`IndividualEnrollment::device_id`].
    pub device_id: Option<DeviceId>,
    /// See [`IndividualEnrollment::device_information`].
    pub device_information: Option<Json>,
    /// See [`IndividualEnrollment::attestation`].
    pub attestation: Attestation,
    /// See [`IndividualEnrollment::terms`].
    pub terms: EnrollmentTerms,
}

/// An enrollment group as an operator wants it; `etag`, `created` and `updated` of the terms are ignored.
#[derive(Clone, Debug)]
pub struct GroupDraft {
    /// See [`EnrollmentGroup::id`].
    pub id: EnrollmentGroupId,
    /// See [`EnrollmentGroup::attestation`].
    pub attestation: Attestation,
    /// See [`EnrollmentGroup::terms`].
    pub terms: EnrollmentTerms,
}

/// Whether a write makes, changes, or does what fits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WriteMode {
    /// It must be new.
    Create,
    /// It may be new, or there already, in which case the demand must hold; with [`IfMatch::Absent`] it is overwritten.
    Put(IfMatch),
    /// It must be there, and the demand must hold.
    Update(IfMatch),
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items, in order of their folded ids.
    pub items: Vec<T>,
    /// The folded id behind which the next part begins; `None` when this was the last one.
    pub next: Option<String>,
}

/// An attempt at a registration that an enrollment admitted.
#[derive(Clone, Debug)]
pub struct NewOperation {
    /// The attempt.
    pub operation: OperationId,
    /// The registration id as the device wrote it.
    pub id: RegistrationId,
    /// The group that admitted it; `None` for an individual enrollment.
    pub group: Option<EnrollmentGroupId>,
    /// The kind of credential that admitted it.
    pub attestation: AttestationKind,
    /// SHA-256 of each certificate of the path, leaf first; empty for a symmetric key.
    pub chain: Vec<Sha256>,
    /// The hub that was chosen, with the device id there.
    pub target: Assignment,
    /// What is to be written into the hub, so that another run can finish the attempt.
    pub device: LinkedDevice,
    /// The hub and device id to be removed afterwards, when the device moves.
    pub leaves: Option<Assignment>,
    /// What the state will say once it is assigned.
    pub substatus: Substatus,
}

/// How an attempt ended without going through `assigning`, or after it.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A hub was assigned.
    Assigned(Assigned),
    /// The enrollment is disabled and the device was authenticated.
    Disabled,
    /// No hub could be assigned.
    Failed(RegistrationFailure),
}

/// A finished assignment.
#[derive(Clone, Debug)]
pub struct Assigned {
    /// The hub and the device id there.
    pub assignment: Assignment,
    /// How it came about.
    pub substatus: Substatus,
}

/// Keeps enrollments and registration states.
#[expect(
    clippy::too_many_arguments,
    reason = "an outcome is recorded in one write, with all that the state says"
)]
#[async_trait]
pub trait Store: Send + Sync {
    /// Reads an individual enrollment.
    async fn individual(
        &self,
        service: DpsKey,
        id: &RegistrationId,
    ) -> Result<Option<IndividualEnrollment>, StoreError>;

    /// Lists individual enrollments behind a folded id.
    async fn individuals(
        &self,
        service: DpsKey,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<IndividualEnrollment>, StoreError>;

    /// Writes an individual enrollment.
    ///
    /// # Errors
    /// [`WriteError::Exists`], [`WriteError::Missing`] (also when the service is gone), [`WriteError::Stale`].
    async fn put_individual(
        &self,
        request: RequestId,
        service: DpsKey,
        draft: IndividualDraft,
        mode: WriteMode,
        now: Wall,
    ) -> Result<IndividualEnrollment, WriteError>;

    /// Deletes an individual enrollment; its registration state stays.
    ///
    /// # Errors
    /// [`WriteError::Missing`], [`WriteError::Stale`].
    async fn delete_individual(
        &self,
        request: RequestId,
        service: DpsKey,
        id: &RegistrationId,
        if_match: IfMatch,
    ) -> Result<(), WriteError>;

    /// Tells whether a disabled individual enrollment holds this certificate, and which.
    async fn disabled_individual_with(
        &self,
        service: DpsKey,
        certificate: Sha256,
    ) -> Result<Option<RegistrationId>, StoreError>;

    /// Reads an enrollment group.
    async fn group(
        &self,
        service: DpsKey,
        id: &EnrollmentGroupId,
    ) -> Result<Option<EnrollmentGroup>, StoreError>;

    /// Lists enrollment groups behind a folded id.
    async fn groups(
        &self,
        service: DpsKey,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<EnrollmentGroup>, StoreError>;

    /// Writes an enrollment group.
    ///
    /// # Errors
    /// [`WriteError::Exists`], [`WriteError::Missing`] (also when the service is gone), [`WriteError::Stale`].
    async fn put_group(
        &self,
        request: RequestId,
        service: DpsKey,
        draft: GroupDraft,
        mode: WriteMode,
        now: Wall,
    ) -> Result<EnrollmentGroup, WriteError>;

    /// Deletes an enrollment group; the registration states of its devices stay.
    ///
    /// # Errors
    /// [`WriteError::Missing`], [`WriteError::Stale`].
    async fn delete_group(
        &self,
        request: RequestId,
        service: DpsKey,
        id: &EnrollmentGroupId,
        if_match: IfMatch,
    ) -> Result<(), WriteError>;

    /// Finds the signing certificates of groups, enabled and disabled, whose subject is one of `subjects`. An index
    /// answers this: groups are never scanned.
    async fn signing_certificates(
        &self,
        service: DpsKey,
        subjects: &[Name],
    ) -> Result<Vec<Certificate>, StoreError>;

    /// Finds the groups one of whose signing certificates is among `certificates`, or which refer to one of
    /// `references`, at most `limit` of them in order of their folded ids.
    async fn groups_of(
        &self,
        service: DpsKey,
        certificates: &[Sha256],
        references: &[CertificateName],
        limit: usize,
    ) -> Result<Vec<EnrollmentGroup>, StoreError>;

    /// Lists groups with symmetric keys, at most `limit` of them in order of their folded ids.
    async fn symmetric_groups(
        &self,
        service: DpsKey,
        limit: usize,
    ) -> Result<Vec<EnrollmentGroup>, StoreError>;

    /// Reads a registration state.
    async fn registration(
        &self,
        service: DpsKey,
        id: &RegistrationId,
    ) -> Result<Option<RegistrationState>, StoreError>;

    /// Reads the registration state whose newest attempt is `operation`.
    async fn operation(
        &self,
        service: DpsKey,
        operation: &OperationId,
    ) -> Result<Option<RegistrationState>, StoreError>;

    /// Lists registration states of a group behind a folded id.
    async fn registrations(
        &self,
        service: DpsKey,
        group: &EnrollmentGroupId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<RegistrationState>, StoreError>;

    /// Deletes a registration state.
    ///
    /// # Errors
    /// [`WriteError::Missing`], [`WriteError::Stale`].
    async fn delete_registration(
        &self,
        request: RequestId,
        service: DpsKey,
        id: &RegistrationId,
        if_match: IfMatch,
    ) -> Result<(), WriteError>;

    /// Records an attempt as `assigning`, with all that is needed to finish it. `expected` is the version of the state
    /// that the decision rested on (`None`: there was none). The repeat of an operation id answers what was recorded.
    ///
    /// # Errors
    /// [`WriteError::Stale`] when the state changed meanwhile or another attempt at it still goes on;
    /// [`WriteError::Missing`] when the service is gone.
    async fn begin_operation(
        &self,
        service: DpsKey,
        operation: NewOperation,
        expected: Option<muster_model::ETag>,
        now: Wall,
    ) -> Result<RegistrationState, WriteError>;

    /// Records how an attempt ended, if it is still the newest one of its registration. A repeat is harmless.
    ///
    /// # Errors
    /// [`WriteError::Missing`] when the attempt is not, or no longer, there.
    async fn finish_operation(
        &self,
        service: DpsKey,
        operation: &OperationId,
        outcome: Outcome,
        now: Wall,
    ) -> Result<RegistrationState, WriteError>;

    /// Records an attempt that ended at once (disabled, or failed to allocate): one write. Keeps the time of the first
    /// attempt and an earlier assignment.
    ///
    /// # Errors
    /// [`WriteError::Missing`] when the service is gone.
    async fn record_outcome(
        &self,
        request: RequestId,
        service: DpsKey,
        operation: OperationId,
        id: RegistrationId,
        group: Option<EnrollmentGroupId>,
        attestation: AttestationKind,
        outcome: Outcome,
        now: Wall,
    ) -> Result<RegistrationState, WriteError>;

    /// Lists attempts that began before `before` and have not ended, oldest first, for the sweeper.
    async fn unfinished(&self, before: Wall, limit: usize)
    -> Result<Vec<(DpsKey, NewOperation)>, StoreError>;
}

/// What is to be written into a hub for a device.
#[derive(Clone, Debug)]
pub struct LinkedDevice {
    /// How it is to prove who it is there.
    pub authentication: Authentication,
    /// Whether it is an edge gateway.
    pub iot_edge: bool,
    /// Where it came from.
    pub provenance: Provenance,
    /// What becomes of its twin.
    pub twin: LinkedTwin,
}

/// What becomes of a device's twin on the hub it is assigned to.
#[derive(Clone, Debug)]
pub enum LinkedTwin {
    /// A new device gets this one; that of an existing device stays.
    IfNew(InitialTwin),
    /// It is carried over from the hub that the device leaves; this one when there is none there.
    Migrate(InitialTwin),
    /// The device gets this one, whatever it had.
    Reset(InitialTwin),
}

/// A hub that could not be written to.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LinkedHubError {
    /// The hub is gone.
    #[error("the hub is gone")]
    Gone,
    /// The hub refused the link's credential; its own words.
    #[error("the hub refused the link: {0}")]
    Refused(String),
    /// It may go through later, and may have gone through.
    #[error("the hub can't be reached: {0}")]
    Unavailable(String),
}

/// A hub that devices are assigned to: one of this server, later also a remote one.
#[async_trait]
pub trait LinkedHub: Send + Sync {
    /// Makes or changes the identity of a device. `operation` makes a repeat harmless. `twin` is what
    /// [`LinkedHub::twin`] gave when the device moves with its data.
    async fn ensure(
        &self,
        hub: HubKey,
        operation: &OperationId,
        id: &DeviceId,
        device: &LinkedDevice,
        twin: Option<Twin>,
        now: Wall,
    ) -> Result<(), LinkedHubError>;

    /// Reads the twin of a device that is about to move.
    async fn twin(&self, hub: HubKey, id: &DeviceId) -> Result<Option<Twin>, LinkedHubError>;

    /// Removes a device that moved away; one that is not there is no error.
    async fn remove(&self, hub: HubKey, operation: &OperationId, id: &DeviceId)
    -> Result<(), LinkedHubError>;
}
