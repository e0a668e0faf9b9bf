//! Registers devices: authenticates, chooses a hub, writes the device there, and remembers what became of it.
//!
//! An attempt is recorded before the hub is touched and once more when the hub has the device; what stops between the two
//! is finished by the [`Sweeper`], with the same ids, so that nothing happens twice. An answer goes out only when all of
//! it is durable.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use muster_model::dps::{Assignment, RegistrationFailure, RegistrationState, RegistrationStatus};
use muster_model::identity::{Authentication, Provenance};
use muster_model::{
    DeviceId, DpsKey, HubName, OperationId, Random, ReasonCode, RegistrationId, RequestId, TrackingId, Wall,
};
use muster_pki::{Sha256, Thumbprint};
use muster_resources::sas::DEFAULT_SKEW;
use muster_resources::{Directory, StoreError, WriteError};

use crate::allocation::{self, HUB_REFUSED, NO_HUB};
use crate::attempt::{Attempt, Operation};
use crate::attestation::{Admission, Attestation, Enrolled, Proof};
use crate::error::Error;
use crate::ports::{
    Assigned, LinkedDevice, LinkedHub, LinkedHubError, LinkedTwin, NewOperation, Outcome, Store,
};
use crate::reprovision::{self, Plan};
use crate::retry::written;

/// Makes a hub's full host name from its name, as devices are told it.
pub type HubHostName = Arc<dyn Fn(&HubName) -> String + Send + Sync>;

/// Settings of [`Registrar`].
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How many verified paths are remembered, so that a device that polls is not judged from scratch; 4,096 by default,
    /// some 300 bytes each.
    pub cached_paths: usize,
    /// How far past its expiry a device's token is still taken; five minutes by default.
    pub skew: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cached_paths: 4_096,
            skew: DEFAULT_SKEW,
        }
    }
}

/// Registers devices and answers their questions about it.
pub struct Registrar {
    attestation: Attestation,
    store: Arc<dyn Store>,
    hubs: Arc<dyn LinkedHub>,
    directory: Arc<Directory>,
    random: Arc<Random>,
    host_name: HubHostName,
}

impl Registrar {
    /// Makes the registrar over its ports.
    pub fn new(
        store: Arc<dyn Store>,
        hubs: Arc<dyn LinkedHub>,
        directory: Arc<Directory>,
        random: Arc<Random>,
        host_name: HubHostName,
        config: Config,
    ) -> Self {
        Self {
            attestation: Attestation::new(Arc::clone(&store), Arc::clone(&directory), config),
            store,
            hubs,
            directory,
            random,
            host_name,
        }
    }

    /// Registers a device. When this answers, all of it is durable; an attempt that a hub kept waiting is recorded and
    /// goes on by itself. Cancelling it leaves an attempt that the sweeper finishes.
    ///
    /// # Errors
    /// [`Error::Refused`] when the device is not let in, and then nothing was written; [`Error::Conflict`] when another
    /// attempt at the registration goes on; [`Error::ServiceMissing`]; [`Error::Store`].
    pub async fn register(&self, attempt: &Attempt, now: Wall) -> Result<Operation, Error> {
        let admission = self.attestation.judge(attempt, None, now).await?;
        let service = attempt.service.key;
        if let Some(refusal) = admission.disabled {
            let (_, state) = self.record(attempt, &admission, Outcome::Disabled, now).await?;
            return Ok(Operation {
                id: None,
                state,
                refusal: Some(refusal),
            });
        }
        let before = self.store.registration(service, &attempt.id).await?;
        if let Some(state) = &before
            && state.status == RegistrationStatus::Assigning
        {
            return Self::join(state, &admission);
        }
        let plan = match self.plan(attempt, &admission, before.as_ref()) {
            Ok(plan) => plan,
            Err(failure) => {
                let outcome = Outcome::Failed(failure);
                let (id, state) = self.record(attempt, &admission, outcome, now).await?;
                return Ok(Operation {
                    id: Some(id),
                    state,
                    refusal: Some(ReasonCode::NoHubToAssign),
                });
            }
        };
        let operation = self.operation_of(attempt, &admission, before.as_ref(), plan)?;
        let expected = before.map(|state| state.etag);
        let begin = || {
            self.store
                .begin_operation(service, operation.clone(), expected, now)
        };
        let begun = written(begin).await.map_err(|error| match error {
            WriteError::Stale | WriteError::Exists => Error::Conflict,
            WriteError::Missing => Error::ServiceMissing,
            WriteError::Store(error) => Error::Store(error),
        })?;
        let state = match self.finish(service, &operation, now).await {
            Ok(Some(state)) => state,
            Ok(None) => begun,
            Err(Error::Store(error)) => {
                // The attempt is recorded, and the sweeper has all that it needs.
                tracing::warn!(
                    registration.id = %attempt.id,
                    tracking = %attempt.tracking,
                    %error,
                    "an attempt is left to the sweeper"
                );
                begun
            }
            Err(error) => return Err(error),
        };
        Ok(Operation {
            id: Some(operation.operation),
            refusal: (state.status == RegistrationStatus::Failed).then_some(ReasonCode::NoHubToAssign),
            state,
        })
    }

    /// Judges what a device shows, and does nothing else: for protocols that let a device in before it asks for anything.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Store`].
    pub async fn authenticate(&self, attempt: &Attempt, now: Wall) -> Result<(), Error> {
        self.attestation.judge(attempt, None, now).await.map(drop)
    }

    /// Answers what became of an attempt. The device shows its credential again.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::RegistrationMissing`] when the attempt is not the newest of this registration,
    /// [`Error::Store`].
    pub async fn operation(
        &self,
        attempt: &Attempt,
        operation: &OperationId,
        now: Wall,
    ) -> Result<Operation, Error> {
        self.attestation.judge(attempt, None, now).await?;
        let found = self.store.operation(attempt.service.key, operation).await?;
        match found {
            Some(state) if state.id == attempt.id => Ok(Operation {
                id: Some(operation.clone()),
                state,
                refusal: None,
            }),
            _ => Err(Error::RegistrationMissing),
        }
    }

    /// Answers the record of a registration, also that of a device whose enrollment is disabled.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::RegistrationMissing`], [`Error::Store`].
    pub async fn registration_status(
        &self,
        attempt: &Attempt,
        now: Wall,
    ) -> Result<RegistrationState, Error> {
        self.attestation.judge(attempt, None, now).await?;
        let found = self.store.registration(attempt.service.key, &attempt.id).await?;
        found.ok_or(Error::RegistrationMissing)
    }

    /// Answers an attempt that goes on already: a device that repeats itself, with the same credential by the same
    /// enrollment, is told of it; anything else has to wait.
    fn join(state: &RegistrationState, admission: &Admission) -> Result<Operation, Error> {
        let same = state.group.as_ref() == admission.enrolled.group()
            && state.attestation == admission.proof.kind()
            && state.chain == admission.proof.chain();
        if !same {
            return Err(Error::Conflict);
        }
        Ok(Operation {
            id: Some(state.operation.clone()),
            state: state.clone(),
            refusal: None,
        })
    }

    /// Records an attempt that ends at once.
    async fn record(
        &self,
        attempt: &Attempt,
        admission: &Admission,
        outcome: Outcome,
        now: Wall,
    ) -> Result<(OperationId, RegistrationState), Error> {
        let service = attempt.service.key;
        let request = self.random.draw(RequestId::random);
        let operation = self.operation_id(service, &attempt.id)?;
        let record = || {
            self.store.record_outcome(
                request,
                service,
                operation.clone(),
                attempt.id.clone(),
                admission.enrolled.group().cloned(),
                admission.proof.kind(),
                outcome.clone(),
                now,
            )
        };
        let state = written(record).await.map_err(|error| match error {
            WriteError::Stale | WriteError::Exists => Error::Conflict,
            WriteError::Missing => Error::ServiceMissing,
            WriteError::Store(error) => Error::Store(error),
        })?;
        Ok((operation, state))
    }

    /// Decides where the device goes.
    fn plan(
        &self,
        attempt: &Attempt,
        admission: &Admission,
        before: Option<&RegistrationState>,
    ) -> Result<Plan, RegistrationFailure> {
        let terms = admission.enrolled.terms();
        let assigned = before.and_then(|state| state.assignment.as_ref());
        let standing = assigned.filter(|assigned| self.directory.hub_by_key(assigned.hub).is_some());
        let device_id =
            device_id(&admission.enrolled, attempt, before).ok_or_else(|| RegistrationFailure {
                code: NO_HUB,
                message: "The registration id can't be a device id.".to_owned(),
            })?;
        let choose = || {
            allocation::choose(&attempt.service, terms, &attempt.id, |name| {
                self.directory.hub(name).map(|hub| hub.key)
            })
        };
        reprovision::plan(
            standing,
            assigned.is_some() && standing.is_none(),
            terms.reprovision,
            device_id,
            terms.initial_twin.clone().unwrap_or_default(),
            choose,
        )
    }

    fn operation_of(
        &self,
        attempt: &Attempt,
        admission: &Admission,
        before: Option<&RegistrationState>,
        plan: Plan,
    ) -> Result<NewOperation, Error> {
        let service = attempt.service.key;
        // The hub went between the choice and now: the next attempt chooses another.
        let hub = self.directory.hub_by_key(plan.hub).ok_or(Error::Conflict)?;
        let registration = before.map_or_else(|| attempt.id.clone(), |state| state.id.clone());
        Ok(NewOperation {
            operation: self.operation_id(service, &attempt.id)?,
            id: attempt.id.clone(),
            group: admission.enrolled.group().cloned(),
            attestation: admission.proof.kind(),
            chain: admission.proof.chain(),
            target: Assignment {
                hub: plan.hub,
                host_name: (self.host_name)(&hub.name),
                device_id: plan.device_id,
            },
            device: LinkedDevice {
                authentication: authentication(&admission.proof),
                iot_edge: admission.enrolled.terms().iot_edge,
                provenance: Provenance {
                    service,
                    registration,
                    enrollment: admission.enrolled.reference(),
                    chain: admission.proof.chain(),
                },
                twin: plan.twin,
            },
            leaves: plan.leaves,
            substatus: plan.substatus,
        })
    }

    /// Writes the device into its hub and records the outcome. `None` when the hub can't be reached for now. Every step
    /// may be repeated.
    async fn finish(
        &self,
        service: DpsKey,
        operation: &NewOperation,
        now: Wall,
    ) -> Result<Option<RegistrationState>, Error> {
        let outcome = match self.write_device(operation, now).await {
            Ok(()) => Outcome::Assigned(Assigned {
                assignment: operation.target.clone(),
                substatus: operation.substatus,
            }),
            Err(LinkedHubError::Gone) => Outcome::Failed(RegistrationFailure {
                code: NO_HUB,
                message: "The assigned IoT hub is gone.".to_owned(),
            }),
            Err(LinkedHubError::Refused(words)) => Outcome::Failed(RegistrationFailure {
                code: HUB_REFUSED,
                message: words,
            }),
            Err(LinkedHubError::Unavailable(detail)) => {
                tracing::warn!(
                    registration.id = %operation.id,
                    operation = %operation.operation,
                    detail,
                    "a hub can't be reached; the attempt goes on later"
                );
                return Ok(None);
            }
        };
        let finish = || {
            self.store
                .finish_operation(service, &operation.operation, outcome.clone(), now)
        };
        written(finish).await.map(Some).map_err(|error| match error {
            // The registration was deleted meanwhile, or the service.
            WriteError::Missing | WriteError::Exists | WriteError::Stale => Error::Conflict,
            WriteError::Store(error) => Error::Store(error),
        })
    }

    async fn write_device(&self, operation: &NewOperation, now: Wall) -> Result<(), LinkedHubError> {
        let target = &operation.target;
        let carried = match (&operation.device.twin, &operation.leaves) {
            (LinkedTwin::Migrate(_), Some(left)) => match self.hubs.twin(left.hub, &left.device_id).await {
                Ok(twin) => twin,
                // There is nothing to carry from a hub that is gone.
                Err(LinkedHubError::Gone) => None,
                Err(error) => return Err(error),
            },
            _ => None,
        };
        self.hubs
            .ensure(
                target.hub,
                &operation.operation,
                &target.device_id,
                &operation.device,
                carried,
                now,
            )
            .await?;
        if let Some(left) = &operation.leaves {
            match self
                .hubs
                .remove(left.hub, &operation.operation, &left.device_id)
                .await
            {
                Ok(()) | Err(LinkedHubError::Gone) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Draws the id of an attempt. Its middle part is the same for each attempt of a device, as the service's are.
    fn operation_id(&self, service: DpsKey, id: &RegistrationId) -> Result<OperationId, Error> {
        let mut text = service.get().to_be_bytes().to_vec();
        text.extend_from_slice(id.folded().as_bytes());
        let mut middle = HEXLOWER.encode(Sha256::of(&text).as_bytes());
        middle.truncate(16);
        let unique = self.random.draw(TrackingId::random);
        let text = format!("5.{middle}.{unique}");
        OperationId::parse(&text).map_err(|error| Error::invalid(error.to_string()))
    }
}

/// The device id on the hub: the one that an individual enrollment names, else the registration id as enrolled; in a
/// group, the registration id as the device first wrote it.
fn device_id(enrolled: &Enrolled, attempt: &Attempt, before: Option<&RegistrationState>) -> Option<DeviceId> {
    let text = match enrolled {
        Enrolled::Individual(individual) => match &individual.device_id {
            Some(id) => return Some(id.clone()),
            None => individual.id.as_str(),
        },
        Enrolled::Group(_) => before.map_or(attempt.id.as_str(), |state| state.id.as_str()),
    };
    DeviceId::parse(text).ok()
}

/// How the device is to prove who it is on its hub: by the very certificate that it showed, or by its own keys.
fn authentication(proof: &Proof) -> Authentication {
    match proof {
        Proof::Certificate { leaf, .. } => Authentication::SelfSigned {
            primary: Some(Thumbprint::from(leaf.sha256())),
            secondary: None,
        },
        Proof::Keys { primary, secondary } => Authentication::Sas {
            primary: primary.clone(),
            secondary: secondary.clone(),
        },
    }
}

/// What one run of the sweeper did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Swept {
    /// Attempts that ended.
    pub finished: usize,
    /// Attempts that still wait for their hub.
    pub waiting: usize,
}

/// Finishes attempts that stopped half-way. Whoever runs it holds the lease on this work, so that two nodes do not do
/// the same twice; if they did, no harm would come of it, for every step carries the attempt's own id.
pub struct Sweeper {
    registrar: Arc<Registrar>,
}

impl Sweeper {
    /// Most attempts of one run.
    pub const BATCH: usize = 256;

    /// Makes the sweeper that works for `registrar`.
    pub fn new(registrar: Arc<Registrar>) -> Self {
        Self { registrar }
    }

    /// Finishes attempts that began longer than `grace` ago; younger ones are left to the call that began them.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails; what was done stays done.
    pub async fn run_once(&self, grace: Duration, now: Wall) -> Result<Swept, StoreError> {
        let registrar = &self.registrar;
        let unfinished = registrar.store.unfinished(now.minus(grace), Self::BATCH).await?;
        let mut swept = Swept::default();
        for (service, operation) in unfinished {
            match registrar.finish(service, &operation, now).await {
                Ok(Some(_)) => swept.finished += 1,
                Ok(None) => swept.waiting += 1,
                Err(Error::Store(error)) => return Err(error),
                // Another one came first.
                Err(_) => {}
            }
        }
        Ok(swept)
    }
}
