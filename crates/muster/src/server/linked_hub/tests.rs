//! The battery of [`LinkedHub`] over both stores, and over one that misbehaves.

use muster_dps::testing::{Look, SeenDevice, Subject, linked_hub};
use muster_model::estate::ResourceGroup;
use muster_model::{
    HubName, IfMatch, Json, Location, ManualClock, PartitionCount, Random, ResourceGroupName,
};
use muster_resources::HubDraft;
use muster_store::memory::{Memory, Mischief};
use muster_store::{MasterKey, MasterKeys, Registry};

use super::*;

const NOW: Wall = Wall::from_seconds(1_767_225_600);

/// Looks at the registry itself.
struct Looking(Arc<dyn Store>);

#[async_trait]
impl Look for Looking {
    async fn device(&self, hub: HubKey, id: &DeviceId) -> Option<SeenDevice> {
        loop {
            if let Ok(found) = self.0.device(hub, id).await {
                return found.map(|identity| SeenDevice {
                    authentication: identity.authentication,
                    iot_edge: identity.iot_edge,
                    provenance: identity.provenance,
                });
            }
        }
    }
}

fn draft(name: &str) -> HubDraft {
    HubDraft {
        name: HubName::parse(name).unwrap(),
        group: ResourceGroupName::parse("muster").unwrap(),
        location: Location::parse("here").unwrap(),
        tags: Json::empty_object(),
        partitions: PartitionCount::DEFAULT,
        retention_days: 1,
        retention_bytes: None,
        disable_device_sas: false,
        document: Json::empty_object(),
        policies: Vec::new(),
    }
}

fn request(number: u8) -> RequestId {
    RequestId::from_bytes([number; 16])
}

/// Two hubs and one that is gone. A store that misbehaves is asked again under the same request id.
async fn subject<S>(store: Arc<S>) -> Subject
where
    S: Store + muster_resources::Store + 'static,
{
    let resources: Arc<dyn muster_resources::Store> = Arc::clone(&store) as _;
    let group = ResourceGroup {
        name: ResourceGroupName::parse("muster").unwrap(),
        location: Location::parse("here").unwrap(),
        tags: Json::empty_object(),
    };
    while resources.put_group(request(1), group.clone()).await.is_err() {}
    let mut hubs = Vec::new();
    for (number, name) in [(2, "hub-here"), (3, "hub-there"), (4, "hub-gone")] {
        let hub = loop {
            if let Ok(hub) = resources.create_hub(request(number), draft(name), NOW).await {
                break hub;
            }
        };
        hubs.push(hub.key);
    }
    while resources
        .delete_hub(request(5), hubs[2], IfMatch::Any)
        .await
        .is_err()
    {}
    let store: Arc<dyn Store> = store;
    Subject {
        hubs: Arc::new(LocalHubs::new(Arc::clone(&store))),
        look: Arc::new(Looking(store)),
        here: hubs[0],
        there: hubs[1],
        gone: hubs[2],
    }
}

#[tokio::test]
async fn hubs_in_memory_keep_the_contract() {
    linked_hub(&subject(Arc::new(Memory::new())).await).await;
}

#[tokio::test]
async fn hubs_in_a_store_that_misbehaves_keep_the_contract() {
    for seed in 0..16 {
        let memory = Memory::with(Mischief {
            seed,
            delay: 20,
            refuse: 20,
            lose_reply: 40,
            conflict: 0,
        });
        linked_hub(&subject(Arc::new(memory)).await).await;
    }
}

#[tokio::test]
async fn hubs_in_the_registry_keep_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let keys = MasterKeys::only(MasterKey::new(zeroize::Zeroizing::new([7; 32])));
    let registry = Registry::open(
        folder.path(),
        &keys,
        Arc::new(Random::from_number(3)),
        Arc::new(ManualClock::default()),
    )
    .unwrap();
    linked_hub(&subject(Arc::new(registry)).await).await;
}

#[test]
fn the_steps_of_one_attempt_have_request_ids_of_their_own() {
    let operation = OperationId::parse("5.506603669bd3e2bf.b3602f8f-76fe-4341-9214-bb6cfb891b8a").unwrap();
    let ensure = request_id(&operation, Step::Ensure).unwrap();
    assert_eq!(ensure.to_string(), "b3602f8f-76fe-4341-9214-bb6cfb891b8a");
    assert_ne!(ensure, request_id(&operation, Step::Remove).unwrap());
}
