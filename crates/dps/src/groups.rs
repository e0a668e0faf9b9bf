//! Enrollment groups: the operator's verbs.
//!
//! Every verb takes a permit and asks it for the right. What is written is checked against the service's links and CA
//! certificates as they stand; a link or certificate that goes later is noticed when a device registers.

use std::sync::Arc;

use muster_model::access::DpsRights;
use muster_model::dps::{Attestation, EnrollmentGroup, GroupChange};
use muster_model::{EnrollmentGroupId, IfMatch, Random, RequestId, Wall};
use muster_resources::{Directory, DpsPermit, WriteError};

use crate::bulk::{Bulk, BulkFailure};
use crate::draft::{self, Kind};
use crate::enrollments::MAX_PAGE;
use crate::error::Error;
use crate::ports::{GroupDraft, Page, Store, WriteMode};
use crate::retry::{require, written};

/// Reads and writes enrollment groups.
pub struct Groups {
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
    random: Arc<Random>,
}

impl Groups {
    /// Makes the verbs over `store`; hubs and CA certificates are looked up in `directory`.
    pub fn new(store: Arc<dyn Store>, directory: Arc<Directory>, random: Arc<Random>) -> Self {
        Self {
            store,
            directory,
            random,
        }
    }

    /// Reads a group.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::EnrollmentMissing`], [`Error::Store`].
    pub async fn read(&self, permit: &DpsPermit, id: &EnrollmentGroupId) -> Result<EnrollmentGroup, Error> {
        require(permit, DpsRights::ENROLLMENT_READ)?;
        let service = permit.service().key;
        let found = self.store.group(service, id).await?;
        found.ok_or(Error::EnrollmentMissing)
    }

    /// Reads the attestation with its secrets.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without the right to write, [`Error::EnrollmentMissing`], [`Error::Store`].
    pub async fn attestation(
        &self,
        permit: &DpsPermit,
        id: &EnrollmentGroupId,
    ) -> Result<Attestation, Error> {
        require(permit, DpsRights::ENROLLMENT_WRITE)?;
        let found = self.store.group(permit.service().key, id).await?;
        Ok(found.ok_or(Error::EnrollmentMissing)?.attestation)
    }

    /// Lists groups behind a folded id, at most [`MAX_PAGE`].
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::Store`].
    pub async fn list(
        &self,
        permit: &DpsPermit,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<EnrollmentGroup>, Error> {
        require(permit, DpsRights::ENROLLMENT_READ)?;
        let limit = limit.clamp(1, MAX_PAGE);
        Ok(self.store.groups(permit.service().key, after, limit).await?)
    }

    /// Makes a group or overwrites it. With a demand it must be there.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::Invalid`], [`Error::EnrollmentMissing`], [`Error::Stale`], [`Error::Store`].
    pub async fn put(
        &self,
        permit: &DpsPermit,
        change: GroupChange,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<EnrollmentGroup, Error> {
        require(permit, DpsRights::ENROLLMENT_WRITE)?;
        let mode = if if_match.requires_existing() {
            WriteMode::Update(if_match)
        } else {
            WriteMode::Put(if_match)
        };
        self.write(permit, change, mode, now).await
    }

    /// Deletes a group. The registration states of its devices stay, and so do the devices on their hubs; a group higher on
    /// their path may admit them from then on.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::EnrollmentMissing`], [`Error::Stale`], [`Error::Store`].
    pub async fn delete(
        &self,
        permit: &DpsPermit,
        id: &EnrollmentGroupId,
        if_match: IfMatch,
    ) -> Result<(), Error> {
        require(permit, DpsRights::ENROLLMENT_WRITE)?;
        self.remove(permit, id, if_match).await
    }

    /// Does one thing to several groups, each by itself; answers those that did not go through.
    ///
    /// # Errors
    /// [`Error::Forbidden`]; [`Error::Invalid`] when there are too many.
    pub async fn bulk(
        &self,
        permit: &DpsPermit,
        bulk: Bulk<EnrollmentGroupId, GroupChange>,
        now: Wall,
    ) -> Result<Vec<BulkFailure<EnrollmentGroupId>>, Error> {
        require(permit, DpsRights::ENROLLMENT_WRITE)?;
        bulk.check()?;
        let mut failures = Vec::new();
        let mut note = |id: EnrollmentGroupId, outcome: Result<(), Error>| {
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
        change: GroupChange,
        mode: WriteMode,
        now: Wall,
    ) -> Result<EnrollmentGroup, Error> {
        let service = permit.service();
        let terms = draft::terms(change.terms, service, &self.directory)?;
        let leans = draft::leans_on_stored(&change.attestation);
        for _ in 0..draft::MERGE_ROUNDS {
            let stored = self.store.group(service.key, &change.id).await?;
            let attestation = draft::attestation(
                change.attestation.clone(),
                stored.as_ref().map(|one| &one.attestation),
                Kind::Group,
                service,
                &self.directory,
                &self.random,
            )?;
            let pinned = match stored {
                Some(stored) if leans => draft::pinned(mode, stored.terms.etag),
                _ => mode,
            };
            let draft = GroupDraft {
                id: change.id.clone(),
                attestation,
                terms: terms.clone(),
            };
            let request = self.random.draw(RequestId::random);
            let put = || {
                self.store
                    .put_group(request, service.key, draft.clone(), pinned, now)
            };
            match written(put).await {
                Err(WriteError::Stale) if pinned != mode => {}
                outcome => return outcome.map_err(Error::of_enrollment),
            }
        }
        Err(Error::Conflict)
    }

    async fn remove(
        &self,
        permit: &DpsPermit,
        id: &EnrollmentGroupId,
        if_match: IfMatch,
    ) -> Result<(), Error> {
        let request = self.random.draw(RequestId::random);
        let service = permit.service().key;
        let delete = || self.store.delete_group(request, service, id, if_match);
        written(delete).await.map_err(Error::of_enrollment)
    }
}
