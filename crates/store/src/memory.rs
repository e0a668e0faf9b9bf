//! The ports in memory, for tests and simulations: a second implementation that shares nothing with the first, and that
//! misbehaves by seed ([`Mischief`]).
//!
//! It keeps the nouns themselves in ordered maps, so that it can be read beside the ports' words. Nothing outlives the
//! process.

mod dps;
mod hub;
mod refusals;
mod resources;

use std::any::Any;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use muster_dps::ports::NewOperation;
use muster_model::dps::{EnrollmentGroup, IndividualEnrollment, RegistrationState};
use muster_model::estate::{Hub, ProvisioningService, ResourceGroup};
use muster_model::identity::DeviceIdentity;
use muster_model::refusal::ExplainedRefusal;
use muster_model::twin::Twin;
use muster_model::{
    CaCertificate, CertificateName, CertificateOwner, DeviceId, DpsKey, ETag, GenerationId, HubKey, Random,
    RequestId, ResourceGroupName, SubscriptionId, Subscriptions, TrustVersion, Wall,
};
use muster_resources::{Lease, StoreError};

use crate::fault::Fault;

/// Microseconds from 0001-01-01 to 1970-01-01.
const MICROS_BEFORE_EPOCH: i64 = 62_135_596_800_000_000;

/// How a store in memory misbehaves. Chances are in percent; the same seed and calls give the same run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mischief {
    /// Where the run begins.
    pub seed: u64,
    /// Chance that a call lets other tasks run first, up to seven times.
    pub delay: u8,
    /// Chance that a call is refused before it did anything: [`StoreError::Unavailable`].
    pub refuse: u8,
    /// Chance that a write loses its reply after it was done: [`StoreError::Unknown`].
    pub lose_reply: u8,
    /// Chance that a write which names a version is told that it came too late, though it did not.
    pub conflict: u8,
}

/// Every port in one store in memory.
pub struct Memory {
    state: Mutex<State>,
    mischief: Mischief,
    random: Random,
}

impl Memory {
    /// Makes an empty store that behaves.
    pub fn new() -> Self {
        Self::with(Mischief::default())
    }

    /// Makes an empty store that misbehaves.
    pub fn with(mischief: Mischief) -> Self {
        Self {
            state: Mutex::new(State::default()),
            random: Random::from_number(mischief.seed),
            mischief,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn strikes(&self, chance: u8) -> bool {
        chance > 0 && self.random.draw(|rng| rng.next_u32()) % 100 < u32::from(chance)
    }

    async fn before(&self) -> Result<(), Fault> {
        if self.strikes(self.mischief.delay) {
            for _ in 0..=self.random.draw(|rng| rng.next_u32()) % 7 {
                tokio::task::yield_now().await;
            }
        }
        if self.strikes(self.mischief.refuse) {
            return Err(Fault::unavailable("mischief"));
        }
        Ok(())
    }

    async fn read<T>(&self, work: impl FnOnce(&State) -> T + Send) -> Result<T, StoreError> {
        self.before().await?;
        Ok(work(&self.lock()))
    }

    async fn write<T, E: From<Fault>>(
        &self,
        versioned: bool,
        work: impl FnOnce(&mut State) -> Result<T, Fault> + Send,
    ) -> Result<T, E> {
        self.before().await?;
        if versioned && self.strikes(self.mischief.conflict) {
            return Err(Fault::Stale.into());
        }
        let done = work(&mut self.lock())?;
        if self.strikes(self.mischief.lose_reply) {
            return Err(Fault::Store(StoreError::Unknown("mischief".to_owned())).into());
        }
        Ok(done)
    }

    /// A write that is done once for each request id.
    async fn once<T: Clone + Send + 'static, E: From<Fault>>(
        &self,
        request: RequestId,
        versioned: bool,
        work: impl FnOnce(&mut State) -> Result<T, Fault> + Send,
    ) -> Result<T, E> {
        self.write(versioned, |state| {
            if let Some(known) = state.requests.get(&request) {
                return known
                    .downcast_ref::<T>()
                    .cloned()
                    .ok_or_else(|| Fault::unavailable("the request id was used for another kind of write"));
            }
            let answer = work(state)?;
            state.requests.insert(request, Box::new(answer.clone()));
            Ok(answer)
        })
        .await
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory")
            .field("mischief", &self.mischief)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Thing {
    Certificate(CertificateOwner, CertificateName),
    Group(ResourceGroupName),
    Hub(HubKey),
    Operator,
    Service(DpsKey),
}

/// All that is kept. Work on it checks first and changes afterwards, so that a refusal leaves no trace.
#[derive(Default)]
struct State {
    subscription: Option<SubscriptionId>,
    latest_wall: Option<Wall>,
    operator: Option<[u8; 32]>,
    etag: u64,
    generation: u64,
    trust: u64,
    key: u64,
    fence: u64,
    reap_fence: u64,
    changes: BTreeMap<Thing, TrustVersion>,
    requests: HashMap<RequestId, Box<dyn Any + Send>>,
    groups: BTreeMap<ResourceGroupName, ResourceGroup>,
    hubs: BTreeMap<HubKey, Hub>,
    services: BTreeMap<DpsKey, ProvisioningService>,
    certificates: BTreeMap<(CertificateOwner, CertificateName), CaCertificate>,
    leases: BTreeMap<&'static str, (String, Lease)>,
    devices: BTreeMap<(HubKey, DeviceId), DeviceIdentity>,
    twins: BTreeMap<(HubKey, DeviceId), Twin>,
    device_subscriptions: BTreeMap<(HubKey, DeviceId), Subscriptions>,
    individuals: BTreeMap<(DpsKey, String), IndividualEnrollment>,
    enrollment_groups: BTreeMap<(DpsKey, String), EnrollmentGroup>,
    registrations: BTreeMap<(DpsKey, String), (RegistrationState, Option<NewOperation>)>,
    refusals: VecDeque<Arc<ExplainedRefusal>>,
}

impl State {
    fn etag(&mut self) -> ETag {
        self.etag += 1;
        ETag::new((1 << 40) | self.etag)
    }

    fn generation(&mut self, now: Wall) -> GenerationId {
        let ticks = u64::try_from((now.micros() + MICROS_BEFORE_EPOCH) * 10).unwrap_or(0);
        self.generation = ticks.max(self.generation + 1);
        GenerationId::new(self.generation)
    }

    fn key(&mut self) -> u64 {
        self.key += 1;
        self.key
    }

    fn trust_moved(&mut self) -> TrustVersion {
        self.trust += 1;
        TrustVersion::new(self.trust)
    }

    fn trust_changed(&mut self, thing: Thing) {
        let version = self.trust_moved();
        self.changes.insert(thing, version);
    }
}
