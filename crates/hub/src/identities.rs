//! The identity registry: device identities as a back end or an operator makes, reads, changes and deletes them.
//!
//! Every verb takes a permit of the hub and asks it for the right that it needs. A write whose outcome is unknown is
//! repeated once under the same request id. Provisioning does not come through here: it rests on a link and not on a
//! permit, and writes by [`Store::ensure_device`].

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use muster_model::identity::{Authentication, DeviceCounts, DeviceIdentity, DeviceStatus, StatusReason};
use muster_model::{DeviceId, HubRights, IfMatch, Random, RequestId, SymmetricKey, Wall};
use muster_pki::Thumbprint;
use muster_resources::{HubPermit, StoreError, WriteError};

use crate::error::Error;
use crate::ports::{DeviceDraft, DeviceSelector, Store};

/// Most devices of one bulk call. Source: IoT Hub quotas, read 2026-11.
pub const MAX_BULK: usize = 100;
/// Most devices of one list. Source: IoT Hub quotas, read 2026-11.
pub const MAX_LIST: usize = 1_000;

/// How often a change that keeps the credential is tried against others that come in between.
const KEEP_ROUNDS: usize = 4;

/// A device identity as a caller writes it.
#[derive(Clone, Debug)]
pub struct IdentityRequest {
    /// Its id.
    pub id: DeviceId,
    /// Whether it may connect.
    pub status: DeviceStatus,
    /// The reason for the status.
    pub status_reason: Option<StatusReason>,
    /// How it is to prove who it is.
    pub authentication: AuthenticationRequest,
    /// Whether it is an edge gateway.
    pub iot_edge: bool,
}

/// How a device is to prove who it is, as a caller writes it.
#[derive(Clone, Debug)]
pub enum AuthenticationRequest {
    /// By a certificate of a verified CA.
    CertificateAuthority,
    /// As it stands already: for a change that says nothing of the credential.
    Kept,
    /// Not at all.
    None,
    /// By tokens. Two absent keys are drawn; one absent key is refused.
    Sas {
        /// The first key.
        primary: Option<SymmetricKey>,
        /// The second key.
        secondary: Option<SymmetricKey>,
    },
    /// By a certificate that is known by its thumbprint; one of the two must be there.
    SelfSigned {
        /// The first thumbprint.
        primary: Option<Thumbprint>,
        /// The second thumbprint.
        secondary: Option<Thumbprint>,
    },
}

/// What a bulk call does with one device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BulkMode {
    /// Makes it; refused when it is there.
    Create,
    /// Makes or changes it.
    CreateOrUpdate,
    /// Makes it, or changes it in the version that is named.
    CreateOrUpdateIfMatch,
    /// Deletes it.
    Delete,
    /// Deletes it in the version that is named.
    DeleteIfMatch,
    /// Changes it; refused when it is not there.
    Update,
    /// Changes it in the version that is named.
    UpdateIfMatch,
    /// Changes its twin, which is not offered yet.
    UpdateTwin,
}

/// One device of a bulk call.
#[derive(Clone, Debug)]
pub struct BulkItem {
    /// What is to be done.
    pub mode: BulkMode,
    /// The version that the modes which name one want.
    pub version: IfMatch,
    /// The device as it is to be; deleting looks at its id only.
    pub request: IdentityRequest,
}

/// One device of a bulk call for which it failed.
#[derive(Clone, Debug)]
pub struct BulkFailure {
    /// The device.
    pub id: DeviceId,
    /// What was to be done.
    pub mode: BulkMode,
    /// Why it was not.
    pub error: Error,
}

/// The verbs over device identities.
#[derive(Clone)]
pub struct Identities {
    store: Arc<dyn Store>,
    random: Arc<Random>,
}

type Writing<'a, T> = Pin<Box<dyn Future<Output = Result<T, WriteError>> + Send + 'a>>;

impl Identities {
    /// Makes the verbs over `store`.
    pub const fn new(store: Arc<dyn Store>, random: Arc<Random>) -> Self {
        Self { store, random }
    }

    /// Reads one identity.
    ///
    /// # Errors
    /// [`Error::Refused`] without `RegistryRead`, [`Error::DeviceMissing`], [`Error::Store`].
    pub async fn find(&self, permit: &HubPermit, id: &DeviceId) -> Result<DeviceIdentity, Error> {
        permit.require(HubRights::REGISTRY_READ)?;
        self.store
            .device(permit.hub().key, id)
            .await?
            .ok_or_else(|| Error::DeviceMissing(id.clone()))
    }

    /// Lists identities in bytewise order of their ids, behind `after`; at most `top` and at most [`MAX_LIST`].
    ///
    /// # Errors
    /// [`Error::Refused`] without `RegistryRead`, [`Error::Store`].
    pub async fn list(
        &self,
        permit: &HubPermit,
        after: Option<DeviceId>,
        top: usize,
    ) -> Result<Vec<DeviceIdentity>, Error> {
        permit.require(HubRights::REGISTRY_READ)?;
        let selector = DeviceSelector {
            after,
            limit: top.clamp(1, MAX_LIST),
        };
        Ok(self.store.devices(permit.hub().key, selector).await?)
    }

    /// Counts the identities of the hub.
    ///
    /// # Errors
    /// [`Error::Refused`] without `RegistryRead`, [`Error::Store`].
    pub async fn counts(&self, permit: &HubPermit) -> Result<DeviceCounts, Error> {
        permit.require(HubRights::REGISTRY_READ)?;
        Ok(self.store.device_counts(permit.hub().key).await?)
    }

    /// Makes an identity when no version is named, else changes the one that is there; tells whether it is new.
    ///
    /// # Errors
    /// [`Error::Refused`] without `RegistryWrite`, [`Error::Argument`], [`Error::DeviceExists`],
    /// [`Error::DeviceMissing`], [`Error::Stale`], [`Error::Store`].
    pub async fn put(
        &self,
        permit: &HubPermit,
        request: IdentityRequest,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<(DeviceIdentity, bool), Error> {
        permit.require(HubRights::REGISTRY_WRITE)?;
        if matches!(request.authentication, AuthenticationRequest::Kept) && if_match.requires_existing() {
            return Ok((self.put_kept(permit, &request, if_match, now).await?, false));
        }
        let draft = self.draft(request)?;
        if if_match.requires_existing() {
            Ok((self.update(permit, draft, if_match, now).await?, false))
        } else {
            Ok((self.create(permit, draft, now).await?, true))
        }
    }

    /// Deletes an identity with its twin.
    ///
    /// # Errors
    /// [`Error::Refused`] without `RegistryWrite`, [`Error::DeviceMissing`], [`Error::Stale`], [`Error::Store`].
    pub async fn delete(&self, permit: &HubPermit, id: &DeviceId, if_match: IfMatch) -> Result<(), Error> {
        permit.require(HubRights::REGISTRY_WRITE)?;
        self.write(id, |request| {
            self.store.delete_device(request, permit.hub().key, id, if_match)
        })
        .await
    }

    /// Does each item by itself, in order; answers those that failed. Nothing is done when the call itself is refused.
    ///
    /// # Errors
    /// [`Error::Refused`] without `RegistryWrite`, [`Error::TooManyDevices`], [`Error::DefinedTwice`].
    pub async fn bulk(
        &self,
        permit: &HubPermit,
        items: Vec<BulkItem>,
        now: Wall,
    ) -> Result<Vec<BulkFailure>, Error> {
        permit.require(HubRights::REGISTRY_WRITE)?;
        if items.len() > MAX_BULK {
            return Err(Error::TooManyDevices {
                count: items.len(),
                limit: MAX_BULK,
            });
        }
        let mut ids = BTreeSet::new();
        if let Some(twice) = items.iter().find(|item| !ids.insert(&item.request.id)) {
            return Err(Error::DefinedTwice(twice.request.id.clone()));
        }
        let mut failures = Vec::new();
        for item in items {
            let (id, mode) = (item.request.id.clone(), item.mode);
            if let Err(error) = self.bulk_item(permit, item, now).await {
                failures.push(BulkFailure { id, mode, error });
            }
        }
        Ok(failures)
    }

    async fn bulk_item(&self, permit: &HubPermit, item: BulkItem, now: Wall) -> Result<(), Error> {
        let BulkItem {
            mode,
            version,
            request,
        } = item;
        let named = || match version {
            IfMatch::Absent => Err(Error::Argument("the mode needs an eTag".to_owned())),
            named => Ok(named),
        };
        match mode {
            BulkMode::Create => {
                self.create(permit, self.draft(request)?, now).await?;
            }
            BulkMode::CreateOrUpdate => self.create_or_update(permit, request, IfMatch::Any, now).await?,
            BulkMode::CreateOrUpdateIfMatch => {
                let if_match = named()?;
                self.create_or_update(permit, request, if_match, now).await?;
            }
            BulkMode::Delete => self.delete(permit, &request.id, IfMatch::Any).await?,
            BulkMode::DeleteIfMatch => self.delete(permit, &request.id, named()?).await?,
            BulkMode::Update => {
                self.update(permit, self.draft(request)?, IfMatch::Any, now)
                    .await?;
            }
            BulkMode::UpdateIfMatch => {
                let if_match = named()?;
                self.update(permit, self.draft(request)?, if_match, now).await?;
            }
            BulkMode::UpdateTwin => return Err(Error::FeatureMissing("changing twins")),
        }
        Ok(())
    }

    /// Changes all but the credential. It is written back as it was read, so the write names the version that was read:
    /// a key that somebody replaced in between must not come back.
    async fn put_kept(
        &self,
        permit: &HubPermit,
        request: &IdentityRequest,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<DeviceIdentity, Error> {
        for _ in 0..KEEP_ROUNDS {
            let known = self.store.device(permit.hub().key, &request.id).await?;
            let known = known.ok_or_else(|| Error::DeviceMissing(request.id.clone()))?;
            if !if_match.allows(known.etag) {
                return Err(Error::Stale);
            }
            let draft = DeviceDraft {
                id: request.id.clone(),
                status: request.status,
                status_reason: request.status_reason.clone(),
                authentication: known.authentication,
                iot_edge: request.iot_edge,
            };
            match self
                .update(permit, draft, IfMatch::Version(known.etag), now)
                .await
            {
                Err(Error::Stale) => {}
                done => return done,
            }
        }
        Err(Error::Stale)
    }

    async fn create_or_update(
        &self,
        permit: &HubPermit,
        request: IdentityRequest,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<(), Error> {
        let draft = self.draft(request)?;
        match self.create(permit, draft.clone(), now).await {
            Err(Error::DeviceExists(_)) => self.update(permit, draft, if_match, now).await.map(|_| ()),
            done => done.map(|_| ()),
        }
    }

    async fn create(
        &self,
        permit: &HubPermit,
        draft: DeviceDraft,
        now: Wall,
    ) -> Result<DeviceIdentity, Error> {
        self.write(&draft.id, |request| {
            self.store
                .create_device(request, permit.hub().key, draft.clone(), now)
        })
        .await
        .map_err(|error| match error {
            // A device that is to be made can't be missing: it is the hub that is gone.
            Error::DeviceMissing(_) => Error::HubGone,
            other => other,
        })
    }

    async fn update(
        &self,
        permit: &HubPermit,
        draft: DeviceDraft,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<DeviceIdentity, Error> {
        self.write(&draft.id, |request| {
            self.store
                .update_device(request, permit.hub().key, draft.clone(), if_match, now)
        })
        .await
    }

    async fn write<'a, T>(
        &self,
        id: &DeviceId,
        call: impl Fn(RequestId) -> Writing<'a, T> + Send,
    ) -> Result<T, Error> {
        let request = self.random.draw(RequestId::random);
        let mut outcome = call(request).await;
        if matches!(outcome, Err(WriteError::Store(StoreError::Unknown(_)))) {
            outcome = call(request).await;
        }
        outcome.map_err(|error| Error::of_write(error, id))
    }

    fn draft(&self, request: IdentityRequest) -> Result<DeviceDraft, Error> {
        let authentication = match request.authentication {
            AuthenticationRequest::CertificateAuthority => Authentication::CertificateAuthority,
            AuthenticationRequest::Kept => {
                return Err(Error::Argument("there is no credential to keep".to_owned()));
            }
            AuthenticationRequest::None => Authentication::None,
            AuthenticationRequest::Sas {
                primary: Some(primary),
                secondary: Some(secondary),
            } => Authentication::Sas { primary, secondary },
            AuthenticationRequest::Sas {
                primary: None,
                secondary: None,
            } => Authentication::Sas {
                primary: self.key(),
                secondary: self.key(),
            },
            AuthenticationRequest::Sas { .. } => {
                return Err(Error::Argument(
                    "of the two symmetric keys one is missing".to_owned(),
                ));
            }
            AuthenticationRequest::SelfSigned {
                primary: None,
                secondary: None,
            } => return Err(Error::Argument("a thumbprint is missing".to_owned())),
            AuthenticationRequest::SelfSigned { primary, secondary } => {
                Authentication::SelfSigned { primary, secondary }
            }
        };
        Ok(DeviceDraft {
            id: request.id,
            status: request.status,
            status_reason: request.status_reason,
            authentication,
            iot_edge: request.iot_edge,
        })
    }

    fn key(&self) -> SymmetricKey {
        self.random
            .draw(|rng| SymmetricKey::generate(rng, SymmetricKey::HUB_LENGTH))
    }
}
