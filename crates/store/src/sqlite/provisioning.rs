//! The store of provisioning: enrollments and registration states.

use async_trait::async_trait;
use muster_dps::ports::{GroupDraft, IndividualDraft, NewOperation, Outcome, Page, Store, WriteMode};
use muster_model::dps::{AttestationKind, EnrollmentGroup, IndividualEnrollment, RegistrationState};
use muster_model::{
    CertificateName, DpsKey, ETag, EnrollmentGroupId, IfMatch, OperationId, RegistrationId, RequestId, Wall,
};
use muster_pki::{Certificate, Name, Sha256};
use muster_resources::{StoreError, WriteError};

use super::{Registry, enrollment_group, individual, registration};

#[async_trait]
impl Store for Registry {
    async fn individual(
        &self,
        service: DpsKey,
        id: &RegistrationId,
    ) -> Result<Option<IndividualEnrollment>, StoreError> {
        Ok(self
            .readers
            .read(|sql| individual::load(sql, &self.sealer, service, id))?)
    }

    async fn individuals(
        &self,
        service: DpsKey,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<IndividualEnrollment>, StoreError> {
        Ok(self
            .readers
            .read(|sql| individual::list(sql, &self.sealer, service, after, limit))?)
    }

    async fn put_individual(
        &self,
        request: RequestId,
        service: DpsKey,
        draft: IndividualDraft,
        mode: WriteMode,
        now: Wall,
    ) -> Result<IndividualEnrollment, WriteError> {
        self.write(move |unit| {
            unit.once(request, "put_individual", |unit| {
                individual::put(unit, service, draft, mode, now)
            })
        })
        .await
    }

    async fn delete_individual(
        &self,
        request: RequestId,
        service: DpsKey,
        id: &RegistrationId,
        if_match: IfMatch,
    ) -> Result<(), WriteError> {
        let id = id.clone();
        self.write(move |unit| {
            unit.once(request, "delete_individual", |unit| {
                individual::delete(unit, service, &id, if_match)
            })
        })
        .await
    }

    async fn disabled_individual_with(
        &self,
        service: DpsKey,
        certificate: Sha256,
    ) -> Result<Option<RegistrationId>, StoreError> {
        Ok(self
            .readers
            .read(|sql| individual::disabled_with(sql, service, certificate))?)
    }

    async fn group(
        &self,
        service: DpsKey,
        id: &EnrollmentGroupId,
    ) -> Result<Option<EnrollmentGroup>, StoreError> {
        Ok(self
            .readers
            .read(|sql| enrollment_group::load(sql, &self.sealer, service, id.folded()))?)
    }

    async fn groups(
        &self,
        service: DpsKey,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<EnrollmentGroup>, StoreError> {
        Ok(self
            .readers
            .read(|sql| enrollment_group::list(sql, &self.sealer, service, after, limit))?)
    }

    async fn put_group(
        &self,
        request: RequestId,
        service: DpsKey,
        draft: GroupDraft,
        mode: WriteMode,
        now: Wall,
    ) -> Result<EnrollmentGroup, WriteError> {
        self.write(move |unit| {
            unit.once(request, "put_enrollment_group", |unit| {
                enrollment_group::put(unit, service, draft, mode, now)
            })
        })
        .await
    }

    async fn delete_group(
        &self,
        request: RequestId,
        service: DpsKey,
        id: &EnrollmentGroupId,
        if_match: IfMatch,
    ) -> Result<(), WriteError> {
        let id = id.clone();
        self.write(move |unit| {
            unit.once(request, "delete_enrollment_group", |unit| {
                enrollment_group::delete(unit, service, &id, if_match)
            })
        })
        .await
    }

    async fn signing_certificates(
        &self,
        service: DpsKey,
        subjects: &[Name],
    ) -> Result<Vec<Certificate>, StoreError> {
        Ok(self
            .readers
            .read(|sql| enrollment_group::signing_certificates(sql, service, subjects))?)
    }

    async fn groups_of(
        &self,
        service: DpsKey,
        certificates: &[Sha256],
        references: &[CertificateName],
        limit: usize,
    ) -> Result<Vec<EnrollmentGroup>, StoreError> {
        Ok(self.readers.snapshot(|sql| {
            enrollment_group::of(sql, &self.sealer, service, certificates, references, limit)
        })?)
    }

    async fn symmetric_groups(
        &self,
        service: DpsKey,
        limit: usize,
    ) -> Result<Vec<EnrollmentGroup>, StoreError> {
        Ok(self
            .readers
            .read(|sql| enrollment_group::symmetric(sql, &self.sealer, service, limit))?)
    }

    async fn registration(
        &self,
        service: DpsKey,
        id: &RegistrationId,
    ) -> Result<Option<RegistrationState>, StoreError> {
        Ok(self
            .readers
            .read(|sql| registration::load(sql, &self.sealer, service, id))?)
    }

    async fn operation(
        &self,
        service: DpsKey,
        operation: &OperationId,
    ) -> Result<Option<RegistrationState>, StoreError> {
        Ok(self
            .readers
            .read(|sql| registration::by_operation(sql, &self.sealer, service, operation))?)
    }

    async fn registrations(
        &self,
        service: DpsKey,
        group: &EnrollmentGroupId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<RegistrationState>, StoreError> {
        Ok(self
            .readers
            .read(|sql| registration::list(sql, &self.sealer, service, group, after, limit))?)
    }

    async fn delete_registration(
        &self,
        request: RequestId,
        service: DpsKey,
        id: &RegistrationId,
        if_match: IfMatch,
    ) -> Result<(), WriteError> {
        let id = id.clone();
        self.write(move |unit| {
            unit.once(request, "delete_registration", |unit| {
                registration::delete(unit, service, &id, if_match)
            })
        })
        .await
    }

    async fn begin_operation(
        &self,
        service: DpsKey,
        operation: NewOperation,
        expected: Option<ETag>,
        now: Wall,
    ) -> Result<RegistrationState, WriteError> {
        self.write(move |unit| registration::begin(unit, service, &operation, expected, now))
            .await
    }

    async fn finish_operation(
        &self,
        service: DpsKey,
        operation: &OperationId,
        outcome: Outcome,
        now: Wall,
    ) -> Result<RegistrationState, WriteError> {
        let operation = operation.clone();
        self.write(move |unit| registration::finish(unit, service, &operation, outcome, now))
            .await
    }

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
    ) -> Result<RegistrationState, WriteError> {
        let attempt = registration::Ended {
            operation,
            id,
            group,
            attestation,
            outcome,
        };
        self.write(move |unit| {
            unit.once(request, "record_outcome", |unit| {
                registration::record(unit, service, attempt, now)
            })
        })
        .await
    }

    async fn unfinished(
        &self,
        before: Wall,
        limit: usize,
    ) -> Result<Vec<(DpsKey, NewOperation)>, StoreError> {
        Ok(self
            .readers
            .read(|sql| registration::unfinished(sql, &self.sealer, before, limit))?)
    }
}
