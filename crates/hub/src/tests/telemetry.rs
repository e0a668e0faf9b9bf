//! What is acknowledged is read back, in order and from its partition; what is not durable is not acknowledged.

use std::sync::atomic::Ordering;
use std::time::Duration;

use muster_model::message::{MAX_MESSAGE, Message, SystemProperties};
use muster_model::{ConsumerGroupName, ErrorCode, IfMatch, Partition, Wall};
use muster_pki::Thumbprint;
use muster_resources::testing::self_signed;

use super::{NOW, World, chain};
use crate::partition::partition_of;
use crate::{
    Activity, AuthMethod, AuthenticationRequest, DevicePermit, Error, ReadFrom, SECURITY_INTERFACE,
    StoredEvent,
};

async fn device(world: &World, name: &str) -> DevicePermit {
    let certificate = self_signed(name);
    let authentication = AuthenticationRequest::SelfSigned {
        primary: Some(Thumbprint::sha256(certificate.der())),
        secondary: None,
    };
    world.register(name, authentication).await;
    world
        .connect(name, Some(&chain([certificate])), None)
        .await
        .unwrap()
}

fn message(body: &str) -> Message {
    Message {
        body: body.as_bytes().to_vec(),
        ..Message::default()
    }
}

fn default_group() -> ConsumerGroupName {
    ConsumerGroupName::parse("$Default").unwrap()
}

fn bodies(events: &[(Partition, StoredEvent)]) -> Vec<String> {
    events
        .iter()
        .map(|(_, stored)| String::from_utf8(stored.event.message.body.clone()).unwrap())
        .collect()
}

#[tokio::test]
async fn messages_of_a_device_are_read_back_in_order_from_its_partition() {
    let world = World::new().await;
    let permit = device(&world, "device-01").await;
    world
        .telemetry
        .ingest(&permit, vec![message("a"), message("b")], NOW)
        .await
        .unwrap();
    world
        .telemetry
        .ingest(&permit, vec![message("c")], NOW)
        .await
        .unwrap();
    let mut reader = world
        .events
        .open(
            &world.policy_permit("service"),
            &default_group(),
            None,
            ReadFrom::Earliest,
        )
        .await
        .unwrap();
    let read = reader.next(100, 1 << 20).await.unwrap();
    assert_eq!(bodies(&read), ["a", "b", "c"]);
    for (partition, stored) in &read {
        assert_eq!(*partition, Partition::new(1));
        assert_eq!(stored.event.generation, permit.generation());
        assert_eq!(stored.event.auth, AuthMethod::X509Thumbprint);
        assert_eq!(stored.event.received, NOW);
    }
    assert!(reader.next(100, 1 << 20).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_reader_at_the_end_sees_what_comes_and_is_woken() {
    let world = World::new().await;
    let permit = device(&world, "device-01").await;
    world
        .telemetry
        .ingest(&permit, vec![message("old")], NOW)
        .await
        .unwrap();
    let mut reader = world
        .events
        .open(&world.hub_permit(), &default_group(), None, ReadFrom::Latest)
        .await
        .unwrap();
    assert!(reader.next(10, 1 << 20).await.unwrap().is_empty());
    world
        .telemetry
        .ingest(&permit, vec![message("new")], NOW)
        .await
        .unwrap();
    reader.wait().await.unwrap();
    assert_eq!(bodies(&reader.next(10, 1 << 20).await.unwrap()), ["new"]);
    assert!(reader.position(Partition::new(1)).is_some());
    assert!(reader.position(Partition::new(0)).is_none());
}

#[tokio::test]
async fn a_reader_is_permitted_for_as_long_as_its_token() {
    let world = World::new().await;
    let open = |permit| async {
        let permit: muster_resources::HubPermit = permit;
        world
            .events
            .open(&permit, &default_group(), None, ReadFrom::Latest)
            .await
            .unwrap()
    };
    let (by_policy, by_operator) = (
        open(world.policy_permit("service")).await,
        open(world.hub_permit()).await,
    );
    let later = NOW.plus(Duration::from_hours(1));
    assert!(by_policy.is_permitted(NOW));
    assert!(!by_policy.is_permitted(later));
    assert!(by_operator.is_permitted(later));
}

#[tokio::test]
async fn a_busy_partition_does_not_starve_another() {
    let world = World::new().await;
    let (busy, quiet) = (
        device(&world, "device-01").await,
        device(&world, "my-x509-device").await,
    );
    for _ in 0..10 {
        world
            .telemetry
            .ingest(&busy, vec![message("busy")], NOW)
            .await
            .unwrap();
    }
    world
        .telemetry
        .ingest(&quiet, vec![message("quiet")], NOW)
        .await
        .unwrap();
    let mut reader = world
        .events
        .open(&world.hub_permit(), &default_group(), None, ReadFrom::Earliest)
        .await
        .unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        seen.extend(bodies(&reader.next(1, 1 << 20).await.unwrap()));
    }
    seen.sort();
    assert_eq!(seen, ["busy", "quiet"]);
}

#[tokio::test]
async fn messages_of_security_agents_are_stored_and_not_shown() {
    let world = World::new().await;
    let permit = device(&world, "device-01").await;
    let secret = Message {
        system: SystemProperties {
            interface_id: Some(SECURITY_INTERFACE.to_owned()),
            ..SystemProperties::default()
        },
        ..message("secret")
    };
    world
        .telemetry
        .ingest(&permit, vec![secret, message("shown")], NOW)
        .await
        .unwrap();
    let mut reader = world
        .events
        .open(&world.hub_permit(), &default_group(), Some(1), ReadFrom::Earliest)
        .await
        .unwrap();
    assert_eq!(bodies(&reader.next(1, 1 << 20).await.unwrap()), ["shown"]);
}

#[tokio::test]
async fn readers_need_the_right_a_group_and_a_partition() {
    let world = World::new().await;
    let open = |permit: muster_resources::HubPermit, group: &str, partition| {
        let (events, group) = (world.events.clone(), ConsumerGroupName::parse(group).unwrap());
        async move {
            events
                .open(&permit, &group, partition, ReadFrom::Earliest)
                .await
                .err()
        }
    };
    let code = |error: Option<Error>| error.unwrap().code();
    assert_eq!(
        code(open(world.policy_permit("device"), "$Default", None).await),
        ErrorCode::IotHubUnauthorizedAccess
    );
    assert_eq!(
        code(open(world.hub_permit(), "nobody", None).await),
        ErrorCode::GenericNotFound
    );
    assert_eq!(
        code(open(world.hub_permit(), "$Default", Some(4)).await),
        ErrorCode::ArgumentInvalid
    );
    assert_eq!(
        world.events.partitions(&world.hub_permit()).await.unwrap().len(),
        4
    );
}

#[tokio::test]
async fn a_reader_of_a_deleted_hub_ends() {
    let world = World::new().await;
    let mut reader = world
        .events
        .open(&world.hub_permit(), &default_group(), None, ReadFrom::Earliest)
        .await
        .unwrap();
    let hub = world.hub();
    world
        .hubs
        .delete(&world.operator(), &hub.group, &hub.name, IfMatch::Any)
        .await
        .unwrap();
    assert!(matches!(reader.next(1, 1).await, Err(Error::HubGone)));
}

#[tokio::test]
async fn what_is_not_durable_is_not_acknowledged() {
    let world = World::new().await;
    let permit = device(&world, "device-01").await;
    world.log.full.store(true, Ordering::SeqCst);
    let busy = world
        .telemetry
        .ingest(&permit, vec![message("a")], NOW)
        .await
        .unwrap_err();
    assert_eq!(busy.code(), ErrorCode::ThrottlingException);
    world.log.full.store(false, Ordering::SeqCst);
    world.log.broken.store(true, Ordering::SeqCst);
    let lost = world
        .telemetry
        .ingest(&permit, vec![message("a")], NOW)
        .await
        .unwrap_err();
    assert_eq!(lost.code(), ErrorCode::ServiceUnavailable);
}

#[tokio::test]
async fn sizes_are_bounded_exactly() {
    let world = World::new().await;
    let permit = device(&world, "device-01").await;
    let sized = |body: usize, name: &str| Message {
        application: vec![(name.to_owned(), String::new())],
        body: vec![0; body],
        ..Message::default()
    };
    let ingest = |messages| world.telemetry.ingest(&permit, messages, NOW);
    ingest(vec![sized(MAX_MESSAGE - 1, "n")]).await.unwrap();
    for too_large in [
        vec![sized(MAX_MESSAGE, "n")],
        vec![sized(MAX_MESSAGE - 10, "n"), sized(10, "n")],
    ] {
        assert_eq!(
            ingest(too_large).await.unwrap_err().code(),
            ErrorCode::MessageTooLarge
        );
    }
    let with_id = |length: usize| Message {
        system: SystemProperties {
            message_id: Some("x".repeat(length)),
            ..SystemProperties::default()
        },
        ..Message::default()
    };
    ingest(vec![with_id(128)]).await.unwrap();
    assert_eq!(
        ingest(vec![with_id(129)]).await.unwrap_err().code(),
        ErrorCode::ArgumentInvalid
    );
    ingest(Vec::new()).await.unwrap();
}

#[tokio::test]
async fn activity_is_written_in_bulk_with_the_latest_time() {
    let world = World::new().await;
    let permit = device(&world, "device-01").await;
    let activity = Activity::new(world.registry.clone());
    let later = NOW.plus(Duration::from_secs(1));
    for at in [NOW, later, Wall::EPOCH] {
        activity.note(&permit, at);
    }
    assert_eq!(activity.flush().await.unwrap(), 1);
    assert_eq!(activity.flush().await.unwrap(), 0);
    let written = world.registry.activity.lock().unwrap().clone();
    assert_eq!(written, [(world.hub().key, permit.device().clone(), later)]);
}

#[tokio::test]
async fn the_partition_is_that_of_the_device_id() {
    let world = World::new().await;
    let permit = device(&world, "my-x509-device").await;
    world
        .telemetry
        .ingest(&permit, vec![message("a")], NOW)
        .await
        .unwrap();
    let partition = partition_of(permit.device(), world.hub().partitions);
    let infos = world.events.partitions(&world.hub_permit()).await.unwrap();
    for (one, info) in infos {
        assert_eq!(info.empty, one != partition);
    }
}
