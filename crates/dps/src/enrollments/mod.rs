//! Individual enrollments: the operator's verbs.
//!
//! Every verb takes a permit and asks it for the right. What is written is checked against the service's links and CA
//! certificates as they stand; a link or certificate that goes later is noticed when a device registers.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use muster_model::access::DpsRights;
use muster_model::dps::{Attestation, IndividualChange, IndividualEnrollment, RegistrationState};
use muster_model::{IfMatch, Random, RegistrationId, RequestId, Wall};
use muster_resources::{Directory, DpsPermit, WriteError};

use crate::bulk::{Bulk, BulkFailure};
use crate::draft::{self, Kind};
use crate::error::Error;
use crate::ports::{IndividualDraft, Page, Store, WriteMode};
use crate::retry::{require, written};

/// Most items of one page. Source: DPS service API, query; the cap is ours.
pub const MAX_PAGE: usize = 1_000;

/// Reads and writes individual enrollments.
pub struct Enrollments {
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
    random: Arc<Random>,
}

impl Enrollments {
    /// Makes the verbs over `store`; hubs and CA certificates are looked up in `directory`.
    pub fn new(store: Arc<dyn Store>, directory: Arc<Directory>, random: Arc<Random>) -> Self {
        Self {
            store,
            directory,
            random,
        }
    }

    /// Reads an enrollment, with what became of its registration.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::EnrollmentMissing`], [`Error::Store`].
    pub async fn read(
        &self,
        permit: &DpsPermit,
        id: &RegistrationId,
    ) -> Result<(IndividualEnrollment, Option<RegistrationState>), Error> {
        require(permit, DpsRights::ENROLLMENT_READ)?;
        let service = permit.service().key;
        let found = self.store.individual(service, id).await?;
        let enrollment = found.ok_or(Error::EnrollmentMissing)?;
        let state = self.store.registration(service, id).await?;
        Ok((enrollment, state))
    }

    /// Reads the attestation with its secrets.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without the right to write, [`Error::EnrollmentMissing`], [`Error::Store`].
    pub async fn attestation(&self, permit: &DpsPermit, id: &RegistrationId) -> Result<Attestation, Error> {
        require(permit, DpsRights::ENROLLMENT_WRITE)?;
        let found = self.store.individual(permit.service().key, id).await?;
        Ok(found.ok_or(Error::EnrollmentMissing)?.attestation)
    }

    /// Lists enrollments behind a folded id, at most [`MAX_PAGE`].
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::Store`].
    pub async fn list(
        &self,
        permit: &DpsPermit,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<IndividualEnrollment>, Error> {
        require(permit, DpsRights::ENROLLMENT_READ)?;
        let limit = limit.clamp(1, MAX_PAGE);
        Ok(self.store.individuals(permit.service().key, after, limit).await?)
    }

    /// Makes an enrollment or overwrites it. With a demand it must be there.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::Invalid`], [`Error::EnrollmentMissing`], [`Error::Stale`], [`Error::Store`].
    pub async fn put(
        &self,
        permit: &DpsPermit,
        change: IndividualChange,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<IndividualEnrollment, Error> {
        require(permit, DpsRights::ENROLLMENT_WRITE)?;
        let mode = if if_match.requires_existing() {
            WriteMode::Update(if_match)
        } else {
            WriteMode::Put(if_match)
        };
        self.write(permit, change, mode, now).await
    }

    /// Deletes an enrollment. Its registration state stays, and so does the device on its hub.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::EnrollmentMissing`], [`Error::Stale`], [`Error::Store`].
    pub async fn delete(
        &self,
        permit: &DpsPermit,
        id: &RegistrationId,
        if_match: IfMatch,
    ) -> Result<(), Error> {
        require(permit, DpsRights::ENROLLMENT_WRITE)?;
        self.remove(permit, id, if_match).await
    }

    /// Does one thing to several enrollments, each by itself; answers those that did not go through.
    ///
    /// # Errors
    /// [`Error::Forbidden`]; [`Error::Invalid`] when there are too many.
    pub async fn bulk(
        &self,
        permit: &DpsPermit,
        bulk: Bulk<RegistrationId, IndividualChange>,
        now: Wall,
    ) -> Result<Vec<BulkFailure<RegistrationId>>, Error> {
        require(permit, DpsRights::ENROLLMENT_WRITE)?;
        bulk.check()?;
        let mut failures = Vec::new();
        let mut note = |id: RegistrationId, outcome: Result<(), Error>| {
            if let Err(error) = outcome {
                failures.push(BulkFailure { id, error });
            }
        };
        match bulk {
            Bulk::Create(changes) => {
                for change in changes {
                    let id = change.id.clone();
                    let outcome = self.write(permit, change, WriteMode::Create, now).await;
                    note(id, outcome.map(drop));
                }
            }
            Bulk::Delete(ids) => {
                for id in ids {
                    let outcome = self.remove(permit, &id, IfMatch::Any).await;
                    note(id, outcome);
                }
            }
            Bulk::Update(changes) => {
                for change in changes {
                    let id = change.id.clone();
                    let outcome = self
                        .write(permit, change, WriteMode::Update(IfMatch::Any), now)
                        .await;
                    note(id, outcome.map(drop));
                }
            }
            Bulk::UpdateIfMatch(changes) => {
                for (change, if_match) in changes {
                    let id = change.id.clone();
                    let outcome = self.write(permit, change, WriteMode::Update(if_match), now).await;
                    note(id, outcome.map(drop));
                }
            }
        }
        Ok(failures)
    }

    async fn write(
        &self,
        permit: &DpsPermit,
        change: IndividualChange,
        mode: WriteMode,
        now: Wall,
    ) -> Result<IndividualEnrollment, Error> {
        let service = permit.service();
        draft::information(change.device_information.as_ref())?;
        let terms = draft::terms(change.terms, service, &self.directory)?;
        let leans = draft::leans_on_stored(&change.attestation);
        for _ in 0..draft::MERGE_ROUNDS {
            let stored = self.store.individual(service.key, &change.id).await?;
            let attestation = draft::attestation(
                change.attestation.clone(),
                stored.as_ref().map(|one| &one.attestation),
                Kind::Individual,
                service,
                &self.directory,
                &self.random,
            )?;
            let pinned = match stored {
                Some(stored) if leans => draft::pinned(mode, stored.terms.etag),
                _ => mode,
            };
            let draft = IndividualDraft {
                id: change.id.clone(),
                device_id: change.device_id.clone(),
                device_information: change.device_information.clone(),
                attestation,
                terms: terms.clone(),
            };
            let request = self.random.draw(RequestId::random);
            let put = || {
                self.store
                    .put_individual(request, service.key, draft.clone(), pinned, now)
            };
            match written(put).await {
                Err(WriteError::Stale) if pinned != mode => {}
                outcome => return outcome.map_err(Error::of_enrollment),
            }
        }
        Err(Error::Conflict)
    }

    async fn remove(&self, permit: &DpsPermit, id: &RegistrationId, if_match: IfMatch) -> Result<(), Error> {
        let request = self.random.draw(RequestId::random);
        let service = permit.service().key;
        let delete = || self.store.delete_individual(request, service, id, if_match);
        written(delete).await.map_err(Error::of_enrollment)
    }
}
