//! Registration states: the operator's verbs.

use std::sync::Arc;

use muster_model::access::DpsRights;
use muster_model::dps::RegistrationState;
use muster_model::{EnrollmentGroupId, IfMatch, Random, RegistrationId, RequestId};
use muster_resources::{DpsPermit, WriteError};

use crate::enrollments::MAX_PAGE;
use crate::error::Error;
use crate::ports::{Page, Store};
use crate::retry::{require, written};

/// Reads and deletes registration states.
pub struct Registrations {
    store: Arc<dyn Store>,
    random: Arc<Random>,
}

impl Registrations {
    /// Makes the verbs over `store`.
    pub fn new(store: Arc<dyn Store>, random: Arc<Random>) -> Self {
        Self { store, random }
    }

    /// Reads what became of a registration.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::RegistrationMissing`], [`Error::Store`].
    pub async fn read(&self, permit: &DpsPermit, id: &RegistrationId) -> Result<RegistrationState, Error> {
        require(permit, DpsRights::REGISTRATION_STATUS_READ)?;
        let found = self.store.registration(permit.service().key, id).await?;
        found.ok_or(Error::RegistrationMissing)
    }

    /// Lists the registration states of a group behind a folded id, at most [`MAX_PAGE`]; none for an unknown group.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::Store`].
    pub async fn list(
        &self,
        permit: &DpsPermit,
        group: &EnrollmentGroupId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<RegistrationState>, Error> {
        require(permit, DpsRights::REGISTRATION_STATUS_READ)?;
        let limit = limit.clamp(1, MAX_PAGE);
        Ok(self
            .store
            .registrations(permit.service().key, group, after, limit)
            .await?)
    }

    /// Forgets a registration: the next one is an initial assignment. The device on its hub stays.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::RegistrationMissing`], [`Error::Stale`], [`Error::Store`].
    pub async fn delete(
        &self,
        permit: &DpsPermit,
        id: &RegistrationId,
        if_match: IfMatch,
    ) -> Result<(), Error> {
        require(permit, DpsRights::REGISTRATION_STATUS_WRITE)?;
        let request = self.random.draw(RequestId::random);
        let service = permit.service().key;
        let delete = || self.store.delete_registration(request, service, id, if_match);
        written(delete).await.map_err(|error| match error {
            WriteError::Missing | WriteError::Exists => Error::RegistrationMissing,
            WriteError::Stale => Error::Stale,
            WriteError::Store(error) => Error::Store(error),
        })
    }
}
