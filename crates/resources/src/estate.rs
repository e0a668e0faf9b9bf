//! The common ground of the verbs that change the control plane: write once, read back, tell the others.
//!
//! A write whose outcome is unknown is repeated once under the same request id; the store answers the repeat as it did
//! the first time. After every write that went through, this node's directory is refreshed before the caller is
//! answered, so that whoever wrote is judged by what he wrote, and the other nodes are woken.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use muster_model::estate::ResourceGroup;
use muster_model::{ETag, IfMatch, Json, Location, Random, RequestId, ResourceGroupName};

use crate::directory::Directory;
use crate::error::Error;
use crate::permit::OperatorPermit;
use crate::ports::{Changes, Store, StoreError, WriteError};

/// A write as a store gives it back.
pub(crate) type Writing<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// What every verb that writes needs.
#[derive(Clone)]
pub struct Estate {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) changes: Arc<dyn Changes>,
    pub(crate) random: Arc<Random>,
}

impl Estate {
    /// Puts together what the verbs need. `directory` must read from `store`.
    pub const fn new(
        store: Arc<dyn Store>,
        directory: Arc<Directory>,
        changes: Arc<dyn Changes>,
        random: Arc<Random>,
    ) -> Self {
        Self {
            store,
            directory,
            changes,
            random,
        }
    }

    /// The directory that the verbs keep current.
    pub const fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Replaces the operator's token by one with this SHA-256.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn replace_operator(&self, _permit: &OperatorPermit, hash: [u8; 32]) -> Result<(), Error> {
        self.put_operator(hash).await
    }

    pub(crate) async fn put_operator(&self, hash: [u8; 32]) -> Result<(), Error> {
        let id = self.request_id();
        match self.store.put_operator(id, hash).await {
            Err(StoreError::Unknown(_)) => self.store.put_operator(id, hash).await?,
            done => done?,
        }
        self.written().await
    }

    /// Draws a request id.
    pub(crate) fn request_id(&self) -> RequestId {
        self.random.draw(RequestId::random)
    }

    /// Writes, once more when the outcome is unknown, and publishes what was written.
    pub(crate) async fn write<'a, T>(
        &'a self,
        what: &'static str,
        name: &(dyn Display + Sync),
        call: impl Fn(RequestId) -> Writing<'a, T, WriteError> + Send,
    ) -> Result<T, Error> {
        let id = self.request_id();
        let mut outcome = call(id).await;
        if matches!(outcome, Err(WriteError::Store(StoreError::Unknown(_)))) {
            outcome = call(id).await;
        }
        match outcome {
            Ok(done) => {
                self.written().await?;
                tracing::info!(kind = what, name = %name, "the control plane was changed");
                Ok(done)
            }
            Err(error) => {
                // Somebody else was faster: the next look at the directory shall see what he wrote.
                if !matches!(error, WriteError::Store(_)) {
                    self.directory.refresh().await?;
                }
                Err(Error::of_write(error, what, name))
            }
        }
    }

    /// Publishes what was written.
    pub(crate) async fn written(&self) -> Result<(), Error> {
        let version = self.directory.refresh().await?;
        self.changes.notify(version);
        Ok(())
    }
}

/// How often a change is merged anew with what others wrote in between.
pub(crate) const MERGE_ROUNDS: usize = 4;

/// The version that a merged write must meet. What a request leaves out is written back as it was read: an unconditional
/// write could bring back a key that somebody replaced, or undo a lock, in between.
pub(crate) const fn merged_with(if_match: IfMatch, read: ETag) -> IfMatch {
    match if_match {
        IfMatch::Absent | IfMatch::Any => IfMatch::Version(read),
        named => named,
    }
}

/// Resource groups.
#[derive(Clone)]
pub struct Groups {
    estate: Estate,
}

impl Groups {
    /// Makes the verbs over `estate`.
    pub const fn new(estate: Estate) -> Self {
        Self { estate }
    }

    /// Makes a resource group or changes it; tells whether it is new. Without tags, those that are there stay. The
    /// location of a group never changes.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn put(
        &self,
        _permit: &OperatorPermit,
        name: ResourceGroupName,
        location: Location,
        tags: Option<Json>,
    ) -> Result<(ResourceGroup, bool), Error> {
        self.ensure(name, location, tags).await
    }

    /// Deletes a resource group with its hubs and provisioning services and everything they hold.
    ///
    /// # Errors
    /// [`Error::GroupMissing`], [`Error::Store`].
    pub async fn delete(&self, _permit: &OperatorPermit, name: &ResourceGroupName) -> Result<(), Error> {
        self.estate
            .write("resource group", name, |id| {
                self.estate.store.delete_group(id, name)
            })
            .await
            .map_err(|error| match error {
                Error::Missing { .. } => Error::GroupMissing(name.clone()),
                other => other,
            })
    }

    pub(crate) async fn ensure(
        &self,
        name: ResourceGroupName,
        location: Location,
        tags: Option<Json>,
    ) -> Result<(ResourceGroup, bool), Error> {
        let group = match self.estate.directory.group(&name) {
            Some(known) => ResourceGroup {
                tags: tags.unwrap_or_else(|| known.tags.clone()),
                ..ResourceGroup::clone(&known)
            },
            None => ResourceGroup {
                name,
                location,
                tags: tags.unwrap_or_else(Json::empty_object),
            },
        };
        let id = self.estate.request_id();
        let created = match self.estate.store.put_group(id, group.clone()).await {
            Err(StoreError::Unknown(_)) => self.estate.store.put_group(id, group.clone()).await?,
            done => done?,
        };
        self.estate.written().await?;
        Ok((group, created))
    }
}
