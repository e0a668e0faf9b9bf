//! Hubs in memory that remember their devices, and fail or lose replies on demand and by seed: the second implementation
//! that keeps the port honest. Nothing outlives the process.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use muster_model::twin::Twin;
use muster_model::{DeviceId, HubKey, OperationId, Random, Wall};

use super::linked_hub::{Look, SeenDevice};
use crate::ports::{LinkedDevice, LinkedHub, LinkedHubError, LinkedTwin};

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HubFault {
    /// The hub is gone.
    Gone,
    /// It does the work, and its reply is lost.
    LostReply,
    /// It refuses the link.
    Refused,
    /// It does nothing.
    Unreachable,
}

/// How hubs misbehave. Chances are in percent; the same seed and calls give the same run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mischief {
    /// Where the run begins.
    pub seed: u64,
    /// Chance that a hub can't be reached, so that nothing is done.
    pub unreachable: u8,
    /// Chance that the reply to a write is lost after it was done.
    pub lose_reply: u8,
}

/// A device on a hub.
#[derive(Clone, Debug)]
pub struct MadeDevice {
    /// The device as it was asked for.
    pub device: LinkedDevice,
    /// Its twin.
    pub twin: Twin,
}

/// Every hub there is, each empty at first.
#[derive(Debug)]
pub struct MemoryHubs {
    state: Mutex<State>,
    mischief: Mischief,
    random: Random,
}

#[derive(Debug, Default)]
struct State {
    devices: BTreeMap<(HubKey, DeviceId), MadeDevice>,
    /// What was done already, by hub, attempt and step.
    done: BTreeSet<(HubKey, String, Step)>,
    faults: VecDeque<HubFault>,
    gone: BTreeSet<HubKey>,
}

/// The writes of one attempt.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Step {
    Ensure,
    Remove,
}

impl MemoryHubs {
    /// Makes hubs that behave.
    pub fn new() -> Self {
        Self::with(Mischief::default())
    }

    /// Makes hubs that misbehave.
    pub fn with(mischief: Mischief) -> Self {
        Self {
            state: Mutex::default(),
            random: Random::from_number(mischief.seed),
            mischief,
        }
    }

    /// Lets a call fail; several faults strike one call each, in order.
    pub fn fail_next(&self, fault: HubFault) {
        self.lock().faults.push_back(fault);
    }

    /// Deletes a hub with all its devices.
    pub fn delete_hub(&self, hub: HubKey) {
        let mut state = self.lock();
        state.gone.insert(hub);
        state.devices.retain(|(known, _), _| *known != hub);
    }

    /// Answers a device.
    pub fn device(&self, hub: HubKey, id: &DeviceId) -> Option<MadeDevice> {
        self.lock().devices.get(&(hub, id.clone())).cloned()
    }

    /// Puts another twin in place of a device's; tells whether the device is there.
    pub fn set_twin(&self, hub: HubKey, id: &DeviceId, twin: Twin) -> bool {
        self.lock()
            .devices
            .get_mut(&(hub, id.clone()))
            .map(|known| known.twin = twin)
            .is_some()
    }

    /// Answers the hubs that have a device with this id, in the order of their keys.
    pub fn hubs_of(&self, id: &DeviceId) -> Vec<HubKey> {
        let state = self.lock();
        let holders = state.devices.keys().filter(|(_, known)| known == id);
        holders.map(|(hub, _)| *hub).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn strikes(&self, chance: u8) -> bool {
        chance > 0 && self.random.draw(|rng| rng.next_u32()) % 100 < u32::from(chance)
    }

    /// Does a write, unless a fault strikes before; a reply may be lost after it.
    fn write(
        &self,
        work: impl FnOnce(&mut State) -> Result<(), LinkedHubError>,
    ) -> Result<(), LinkedHubError> {
        let mut state = self.lock();
        let mut lost = self.strikes(self.mischief.lose_reply);
        match state.faults.pop_front() {
            Some(HubFault::Gone) => return Err(LinkedHubError::Gone),
            Some(HubFault::Refused) => {
                return Err(LinkedHubError::Refused("not with this key".to_owned()));
            }
            Some(HubFault::Unreachable) => return Err(cut()),
            Some(HubFault::LostReply) => lost = true,
            None if self.strikes(self.mischief.unreachable) => return Err(cut()),
            None => {}
        }
        work(&mut state)?;
        if lost {
            Err(LinkedHubError::Unavailable("the reply was lost".to_owned()))
        } else {
            Ok(())
        }
    }
}

impl Default for MemoryHubs {
    fn default() -> Self {
        Self::new()
    }
}

fn cut() -> LinkedHubError {
    LinkedHubError::Unavailable("cut".to_owned())
}

#[async_trait]
impl LinkedHub for MemoryHubs {
    async fn ensure(
        &self,
        hub: HubKey,
        operation: &OperationId,
        id: &DeviceId,
        device: &LinkedDevice,
        twin: Option<Twin>,
        _now: Wall,
    ) -> Result<(), LinkedHubError> {
        self.write(|state| {
            if state.gone.contains(&hub) {
                return Err(LinkedHubError::Gone);
            }
            if !state.done.insert((hub, operation.to_string(), Step::Ensure)) {
                return Ok(());
            }
            let key = (hub, id.clone());
            let before = state.devices.get(&key).map(|known| known.twin.clone());
            let twin = match (&device.twin, twin, before) {
                (LinkedTwin::Migrate(_), Some(carried), _) => carried,
                (LinkedTwin::IfNew(_) | LinkedTwin::Migrate(_), _, Some(known)) => known,
                (
                    LinkedTwin::IfNew(initial) | LinkedTwin::Migrate(initial) | LinkedTwin::Reset(initial),
                    _,
                    _,
                ) => Twin::from(initial.clone()),
            };
            let device = device.clone();
            state.devices.insert(key, MadeDevice { device, twin });
            Ok(())
        })
    }

    async fn twin(&self, hub: HubKey, id: &DeviceId) -> Result<Option<Twin>, LinkedHubError> {
        if self.strikes(self.mischief.unreachable) {
            return Err(cut());
        }
        Ok(self.device(hub, id).map(|known| known.twin))
    }

    async fn remove(
        &self,
        hub: HubKey,
        operation: &OperationId,
        id: &DeviceId,
    ) -> Result<(), LinkedHubError> {
        self.write(|state| {
            if state.done.insert((hub, operation.to_string(), Step::Remove)) {
                state.devices.remove(&(hub, id.clone()));
            }
            Ok(())
        })
    }
}

#[async_trait]
impl Look for MemoryHubs {
    async fn device(&self, hub: HubKey, id: &DeviceId) -> Option<SeenDevice> {
        let made = Self::device(self, hub, id)?;
        Some(SeenDevice {
            authentication: made.device.authentication,
            iot_edge: made.device.iot_edge,
            provenance: Some(made.device.provenance),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Subject, linked_hub};
    use super::*;

    fn subject(mischief: Mischief) -> Subject {
        let hubs = Arc::new(MemoryHubs::with(mischief));
        let gone = HubKey::new(3);
        hubs.delete_hub(gone);
        Subject {
            look: Arc::clone(&hubs) as _,
            hubs,
            here: HubKey::new(1),
            there: HubKey::new(2),
            gone,
        }
    }

    #[tokio::test]
    async fn hubs_in_memory_keep_the_contract() {
        linked_hub(&subject(Mischief::default())).await;
    }

    #[tokio::test]
    async fn hubs_that_misbehave_keep_the_contract() {
        for seed in 0..64 {
            linked_hub(&subject(Mischief {
                seed,
                unreachable: 25,
                lose_reply: 40,
            }))
            .await;
        }
    }
}
