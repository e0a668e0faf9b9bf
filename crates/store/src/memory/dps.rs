//! Enrollments and registration states in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use muster_dps::ports::{GroupDraft, IndividualDraft, NewOperation, Outcome, Page, Store, WriteMode};
use muster_model::dps::{
    Attestation, AttestationKind, EnrollmentGroup, EnrollmentTerms, IndividualEnrollment, ProvisioningStatus,
    RegistrationState, RegistrationStatus, X509Attestation,
};
use muster_model::{
    CertificateName, DpsKey, ETag, EnrollmentGroupId, IfMatch, OperationId, RegistrationId, RequestId, Wall,
};
use muster_pki::{Certificate, Name, Sha256};
use muster_resources::{StoreError, WriteError};

use super::resources::matching;
use super::{Memory, State};
use crate::fault::Fault;

impl State {
    fn require_service(&self, service: DpsKey) -> Result<(), Fault> {
        if self.services.contains_key(&service) {
            Ok(())
        } else {
            Err(Fault::Missing)
        }
    }

    /// The rows of a service that is there, in order of their folded ids.
    fn of_service<'a, T>(
        &'a self,
        map: &'a BTreeMap<(DpsKey, String), T>,
        service: DpsKey,
    ) -> impl Iterator<Item = (&'a str, &'a T)> {
        let alive = self.services.contains_key(&service);
        map.iter()
            .filter(move |((key, _), _)| *key == service && alive)
            .map(|((_, id), value)| (id.as_str(), value))
    }

    fn groups_in(&self, service: DpsKey) -> impl Iterator<Item = &EnrollmentGroup> {
        self.of_service(&self.enrollment_groups, service)
            .map(|(_, group)| group)
    }

    fn state(&self, service: DpsKey, id: &RegistrationId) -> Option<&RegistrationState> {
        self.registrations
            .get(&(service, id.folded().to_owned()))
            .filter(|_| self.services.contains_key(&service))
            .map(|(state, _)| state)
    }

    fn save_state(&mut self, state: RegistrationState, pending: Option<NewOperation>) -> RegistrationState {
        let key = (state.service, state.id.folded().to_owned());
        self.registrations.insert(key, (state.clone(), pending));
        state
    }
}

fn page<'a, T: Clone + 'a>(
    rows: impl Iterator<Item = (&'a str, &'a T)>,
    after: Option<&str>,
    limit: usize,
) -> Page<T> {
    let mut rows = rows.skip_while(|(id, _)| after.is_some_and(|after| *id <= after));
    let mut items = Vec::new();
    let mut last = None;
    for (id, item) in rows.by_ref().take(limit) {
        items.push(item.clone());
        last = Some(id.to_owned());
    }
    Page {
        items,
        next: last.filter(|_| rows.next().is_some()),
    }
}

fn admits(mode: WriteMode, there: Option<ETag>) -> Result<(), Fault> {
    let if_match = match mode {
        WriteMode::Create if there.is_some() => return Err(Fault::Exists),
        WriteMode::Create => return Ok(()),
        WriteMode::Update(_) if there.is_none() => return Err(Fault::Missing),
        WriteMode::Put(if_match) | WriteMode::Update(if_match) => if_match,
    };
    match there {
        Some(etag) => matching(etag, if_match),
        None if if_match.requires_existing() => Err(Fault::Missing),
        None => Ok(()),
    }
}

fn conclude(state: &mut RegistrationState, outcome: Outcome) {
    state.failure = None;
    match outcome {
        Outcome::Assigned(assigned) => {
            state.status = RegistrationStatus::Assigned;
            state.assignment = Some(assigned.assignment);
            state.substatus = Some(assigned.substatus);
        }
        Outcome::Disabled => state.status = RegistrationStatus::Disabled,
        Outcome::Failed(failure) => {
            state.status = RegistrationStatus::Failed;
            state.failure = Some(failure);
        }
    }
}

#[async_trait]
impl Store for Memory {
    async fn individual(
        &self,
        service: DpsKey,
        id: &RegistrationId,
    ) -> Result<Option<IndividualEnrollment>, StoreError> {
        self.read(|state| {
            state
                .of_service(&state.individuals, service)
                .find(|(key, _)| *key == id.folded())
                .map(|(_, enrollment)| enrollment.clone())
        })
        .await
    }

    async fn individuals(
        &self,
        service: DpsKey,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<IndividualEnrollment>, StoreError> {
        self.read(|state| page(state.of_service(&state.individuals, service), after, limit))
            .await
    }

    async fn put_individual(
        &self,
        request: RequestId,
        service: DpsKey,
        draft: IndividualDraft,
        mode: WriteMode,
        now: Wall,
    ) -> Result<IndividualEnrollment, WriteError> {
        self.once(request, mode != WriteMode::Create, |state| {
            state.require_service(service)?;
            let key = (service, draft.id.folded().to_owned());
            let old = state.individuals.get(&key).cloned();
            admits(mode, old.as_ref().map(|old| old.terms.etag))?;
            let enrollment = IndividualEnrollment {
                service,
                terms: EnrollmentTerms {
                    etag: state.etag(),
                    created: old.as_ref().map_or(now, |old| old.terms.created),
                    updated: now,
                    ..draft.terms
                },
                id: old.map_or(draft.id, |old| old.id),
                device_id: draft.device_id,
                device_information: draft.device_information,
                attestation: draft.attestation,
            };
            state.individuals.insert(key, enrollment.clone());
            state.trust_moved();
            Ok(enrollment)
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
        self.once(request, true, |state| {
            state.require_service(service)?;
            let key = (service, id.folded().to_owned());
            let old = state.individuals.get(&key).ok_or(Fault::Missing)?;
            matching(old.terms.etag, if_match)?;
            state.individuals.remove(&key);
            state.trust_moved();
            Ok(())
        })
        .await
    }

    async fn disabled_individual_with(
        &self,
        service: DpsKey,
        certificate: Sha256,
    ) -> Result<Option<RegistrationId>, StoreError> {
        self.read(|state| {
            state
                .of_service(&state.individuals, service)
                .map(|(_, enrollment)| enrollment)
                .filter(|enrollment| enrollment.terms.status == ProvisioningStatus::Disabled)
                .find(|enrollment| match &enrollment.attestation {
                    Attestation::X509(held @ X509Attestation::ClientCertificates { .. }) => {
                        held.certificates().any(|one| one.sha256() == certificate)
                    }
                    _ => false,
                })
                .map(|enrollment| enrollment.id.clone())
        })
        .await
    }

    async fn group(
        &self,
        service: DpsKey,
        id: &EnrollmentGroupId,
    ) -> Result<Option<EnrollmentGroup>, StoreError> {
        self.read(|state| state.groups_in(service).find(|group| group.id == *id).cloned())
            .await
    }

    async fn groups(
        &self,
        service: DpsKey,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<EnrollmentGroup>, StoreError> {
        self.read(|state| page(state.of_service(&state.enrollment_groups, service), after, limit))
            .await
    }

    async fn put_group(
        &self,
        request: RequestId,
        service: DpsKey,
        draft: GroupDraft,
        mode: WriteMode,
        now: Wall,
    ) -> Result<EnrollmentGroup, WriteError> {
        self.once(request, mode != WriteMode::Create, |state| {
            state.require_service(service)?;
            let key = (service, draft.id.folded().to_owned());
            let old = state.enrollment_groups.get(&key).cloned();
            admits(mode, old.as_ref().map(|old| old.terms.etag))?;
            let group = EnrollmentGroup {
                service,
                terms: EnrollmentTerms {
                    etag: state.etag(),
                    created: old.as_ref().map_or(now, |old| old.terms.created),
                    updated: now,
                    ..draft.terms
                },
                id: old.map_or(draft.id, |old| old.id),
                attestation: draft.attestation,
            };
            state.enrollment_groups.insert(key, group.clone());
            state.trust_moved();
            Ok(group)
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
        self.once(request, true, |state| {
            state.require_service(service)?;
            let key = (service, id.folded().to_owned());
            let old = state.enrollment_groups.get(&key).ok_or(Fault::Missing)?;
            matching(old.terms.etag, if_match)?;
            state.enrollment_groups.remove(&key);
            state.trust_moved();
            Ok(())
        })
        .await
    }

    async fn signing_certificates(
        &self,
        service: DpsKey,
        subjects: &[Name],
    ) -> Result<Vec<Certificate>, StoreError> {
        self.read(|state| {
            let mut found = BTreeMap::new();
            for group in state.groups_in(service) {
                if let Attestation::X509(x509 @ X509Attestation::SigningCertificates { .. }) =
                    &group.attestation
                {
                    for certificate in x509.certificates() {
                        if subjects.contains(certificate.subject()) {
                            found.insert(certificate.sha256(), certificate.clone());
                        }
                    }
                }
            }
            found.into_values().collect()
        })
        .await
    }

    async fn groups_of(
        &self,
        service: DpsKey,
        certificates: &[Sha256],
        references: &[CertificateName],
        limit: usize,
    ) -> Result<Vec<EnrollmentGroup>, StoreError> {
        self.read(|state| {
            state
                .groups_in(service)
                .filter(|group| match &group.attestation {
                    Attestation::X509(X509Attestation::ClientCertificates { .. }) => false,
                    Attestation::X509(x509) => {
                        x509.certificates()
                            .any(|one| certificates.contains(&one.sha256()))
                            || x509.references().any(|name| references.contains(name))
                    }
                    _ => false,
                })
                .take(limit)
                .cloned()
                .collect()
        })
        .await
    }

    async fn symmetric_groups(
        &self,
        service: DpsKey,
        limit: usize,
    ) -> Result<Vec<EnrollmentGroup>, StoreError> {
        self.read(|state| {
            state
                .groups_in(service)
                .filter(|group| group.attestation.kind() == AttestationKind::SymmetricKey)
                .take(limit)
                .cloned()
                .collect()
        })
        .await
    }

    async fn registration(
        &self,
        service: DpsKey,
        id: &RegistrationId,
    ) -> Result<Option<RegistrationState>, StoreError> {
        self.read(|state| state.state(service, id).cloned()).await
    }

    async fn operation(
        &self,
        service: DpsKey,
        operation: &OperationId,
    ) -> Result<Option<RegistrationState>, StoreError> {
        self.read(|state| {
            state
                .of_service(&state.registrations, service)
                .map(|(_, (state, _))| state)
                .find(|state| state.operation == *operation)
                .cloned()
        })
        .await
    }

    async fn registrations(
        &self,
        service: DpsKey,
        group: &EnrollmentGroupId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<RegistrationState>, StoreError> {
        self.read(|state| {
            let rows = state
                .of_service(&state.registrations, service)
                .map(|(id, (state, _))| (id, state))
                .filter(|(_, state)| state.group.as_ref() == Some(group));
            page(rows, after, limit)
        })
        .await
    }

    async fn delete_registration(
        &self,
        request: RequestId,
        service: DpsKey,
        id: &RegistrationId,
        if_match: IfMatch,
    ) -> Result<(), WriteError> {
        self.once(request, true, |state| {
            matching(state.state(service, id).ok_or(Fault::Missing)?.etag, if_match)?;
            state.registrations.remove(&(service, id.folded().to_owned()));
            Ok(())
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
        self.write(true, |state| {
            state.require_service(service)?;
            let old = state.state(service, &operation.id).cloned();
            if let Some(old) = old.as_ref().filter(|old| old.operation == operation.operation) {
                return Ok(old.clone());
            }
            let goes_on = old
                .as_ref()
                .is_some_and(|old| old.status == RegistrationStatus::Assigning);
            if goes_on || old.as_ref().map(|old| old.etag) != expected {
                return Err(Fault::Stale);
            }
            let etag = state.etag();
            let new = match old {
                Some(old) => RegistrationState {
                    operation: operation.operation.clone(),
                    status: RegistrationStatus::Assigning,
                    failure: None,
                    group: operation.group.clone(),
                    attestation: operation.attestation,
                    chain: operation.chain.clone(),
                    updated: now,
                    etag,
                    ..old
                },
                None => RegistrationState {
                    service,
                    id: operation.id.clone(),
                    operation: operation.operation.clone(),
                    status: RegistrationStatus::Assigning,
                    substatus: None,
                    assignment: None,
                    failure: None,
                    group: operation.group.clone(),
                    attestation: operation.attestation,
                    chain: operation.chain.clone(),
                    payload: None,
                    created: now,
                    updated: now,
                    etag,
                },
            };
            Ok(state.save_state(new, Some(operation)))
        })
        .await
    }

    async fn finish_operation(
        &self,
        service: DpsKey,
        operation: &OperationId,
        outcome: Outcome,
        now: Wall,
    ) -> Result<RegistrationState, WriteError> {
        self.write(false, |state| {
            let mut found = state
                .of_service(&state.registrations, service)
                .map(|(_, (state, _))| state)
                .find(|state| state.operation == *operation)
                .cloned()
                .ok_or(Fault::Missing)?;
            if found.status != RegistrationStatus::Assigning {
                return Ok(found);
            }
            conclude(&mut found, outcome);
            found.updated = now;
            found.etag = state.etag();
            Ok(state.save_state(found, None))
        })
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
        self.once(request, false, |state| {
            state.require_service(service)?;
            let mut new = state
                .state(service, &id)
                .cloned()
                .unwrap_or_else(|| RegistrationState {
                    service,
                    id,
                    operation: operation.clone(),
                    status: RegistrationStatus::Unassigned,
                    substatus: None,
                    assignment: None,
                    failure: None,
                    group: None,
                    attestation,
                    chain: Vec::new(),
                    payload: None,
                    created: now,
                    updated: now,
                    etag: ETag::default(),
                });
            new.operation = operation;
            new.group = group;
            new.attestation = attestation;
            new.updated = now;
            new.etag = state.etag();
            conclude(&mut new, outcome);
            Ok(state.save_state(new, None))
        })
        .await
    }

    async fn unfinished(
        &self,
        before: Wall,
        limit: usize,
    ) -> Result<Vec<(DpsKey, NewOperation)>, StoreError> {
        self.read(|state| {
            let mut found: Vec<_> = state
                .registrations
                .iter()
                .filter(|((service, _), _)| state.services.contains_key(service))
                .filter_map(|((service, _), (state, pending))| {
                    Some((state.updated, *service, pending.clone()?))
                })
                .filter(|(began, ..)| *began < before)
                .collect();
            found.sort_by_key(|(began, ..)| *began);
            found
                .into_iter()
                .take(limit)
                .map(|(_, service, operation)| (service, operation))
                .collect()
        })
        .await
    }
}
