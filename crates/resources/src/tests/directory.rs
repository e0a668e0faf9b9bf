//! What the directory shows after writes of this node and of others.

use std::sync::Arc;

use muster_model::{CertificateOwner, IfMatch, Wall};
use proptest::prelude::*;

use super::{NOW, World, certificate_name, dps_name, group_name, hub_name, hub_request, service_request};
use crate::testing::TestCa;
use crate::{Directory, Estate};

#[tokio::test]
async fn a_write_is_seen_at_once_and_by_another_node_after_its_refresh() {
    let world = World::new().await;
    let other = Directory::load(world.store.clone()).await.unwrap();
    world
        .hubs
        .put(&world.operator(), hub_request("second"), IfMatch::Absent, NOW)
        .await
        .unwrap();
    assert!(world.directory.hub(&hub_name("SECOND")).is_some());
    assert!(other.hub(&hub_name("second")).is_none());
    let version = other.refresh().await.unwrap();
    assert_eq!(version, world.directory.trust_version());
    let found = other.hub(&hub_name("second")).unwrap();
    assert_eq!(other.hub_by_key(found.key).unwrap(), found);
}

#[tokio::test]
async fn a_name_that_is_taken_again_leads_to_the_new_hub_even_in_one_delta() {
    let world = World::new().await;
    let other = Directory::load(world.store.clone()).await.unwrap();
    let (operator, name) = (world.operator(), hub_name("muster-hub"));
    let old = world.hub();
    world
        .hubs
        .delete(&operator, &group_name(), &name, IfMatch::Absent)
        .await
        .unwrap();
    assert!(world.directory.hub(&name).is_none());
    assert!(world.service().links.is_empty(), "links to it are dropped");
    world
        .hubs
        .put(&operator, hub_request("muster-hub"), IfMatch::Absent, NOW)
        .await
        .unwrap();
    other.refresh().await.unwrap();
    for directory in [&world.directory, &other] {
        let hub = directory.hub(&name).unwrap();
        assert_ne!(hub.key, old.key);
        assert!(directory.hub_by_key(old.key).is_none());
        assert_eq!(directory.hubs().len(), 1);
    }
}

#[tokio::test]
async fn one_owners_change_shares_the_others() {
    let world = World::new().await;
    let (operator, ca) = (world.operator(), TestCa::root("a"));
    let (hub, dps) = (
        CertificateOwner::Hub(world.hub().key),
        CertificateOwner::Dps(world.service().key),
    );
    for owner in [hub, dps] {
        world
            .certificates
            .upload(
                &operator,
                owner,
                certificate_name("a"),
                ca.certificate(),
                true,
                IfMatch::Absent,
                NOW,
            )
            .await
            .unwrap();
    }
    let (hub_trust, dps_trust) = (world.directory.trust(hub), world.directory.trust(dps));
    world
        .certificates
        .delete(&operator, hub, &certificate_name("a"), IfMatch::Any)
        .await
        .unwrap();
    assert!(Arc::ptr_eq(&dps_trust, &world.directory.trust(dps)));
    let after = world.directory.trust(hub);
    assert!(after.version() > hub_trust.version());
    assert!(after.is_empty() && after.anchors().is_empty());
    assert!(
        hub_trust.is_verified(&ca.certificate().sha256()),
        "old snapshots stay as they were"
    );
}

#[tokio::test]
async fn one_certificate_under_two_names_stays_until_both_are_gone() {
    let world = World::new().await;
    let (operator, ca) = (world.operator(), TestCa::root("a"));
    let owner = CertificateOwner::Hub(world.hub().key);
    for (name, verified) in [("first", false), ("second", true)] {
        world
            .certificates
            .upload(
                &operator,
                owner,
                certificate_name(name),
                ca.certificate(),
                verified,
                IfMatch::Absent,
                NOW,
            )
            .await
            .unwrap();
    }
    let digest = ca.certificate().sha256();
    assert!(world.directory.trust(owner).is_verified(&digest));
    assert_eq!(world.directory.trust(owner).anchors().len(), 1);
    world
        .certificates
        .delete(&operator, owner, &certificate_name("second"), IfMatch::Any)
        .await
        .unwrap();
    assert!(!world.directory.trust(owner).is_verified(&digest));
    assert_eq!(world.directory.trust(owner).anchors().len(), 1);
}

#[tokio::test]
async fn the_certificates_of_a_deleted_hub_are_gone() {
    let world = World::new().await;
    let (operator, owner) = (world.operator(), CertificateOwner::Hub(world.hub().key));
    world
        .certificates
        .upload(
            &operator,
            owner,
            certificate_name("a"),
            TestCa::root("a").certificate(),
            true,
            IfMatch::Absent,
            NOW,
        )
        .await
        .unwrap();
    world.groups.delete(&operator, &group_name()).await.unwrap();
    assert!(world.directory.trust(owner).is_empty());
    assert!(world.directory.hubs().is_empty() && world.directory.services().is_empty());
    assert!(world.directory.groups().is_empty());
    assert!(world.directory.service(&dps_name("muster-dps")).is_none());
}

#[tokio::test]
async fn watchers_are_woken_with_the_version_of_the_write() {
    let world = World::new().await;
    let Estate { changes, .. } = &world.estate;
    let mut watch = changes.watch();
    watch.borrow_and_update();
    world
        .hubs
        .put(
            &world.operator(),
            hub_request("second"),
            IfMatch::Absent,
            Wall::EPOCH,
        )
        .await
        .unwrap();
    assert!(watch.has_changed().unwrap());
    assert_eq!(*watch.borrow(), world.directory.trust_version());
}

/// What a directory shows, for comparing two of them.
fn shown(directory: &Directory) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let owners = directory
        .hubs()
        .into_iter()
        .map(|hub| (CertificateOwner::Hub(hub.key), format!("{hub:?}")))
        .chain(
            directory
                .services()
                .into_iter()
                .map(|service| (CertificateOwner::Dps(service.key), format!("{service:?}"))),
        );
    for (owner, text) in owners {
        lines.push(text);
        let trust = directory.trust(owner);
        lines.push(format!("{} anchors", trust.anchors().len()));
        lines.extend(trust.certificates().map(|one| {
            let digest = one.certificate.sha256();
            format!("{} {} {}", one.name, one.verified, trust.is_verified(&digest))
        }));
    }
    lines
}

/// One change; which things it meets is decided by small numbers, so that changes meet each other.
async fn change(world: &World, what: u8, which: u8, pool: &[TestCa]) {
    let operator = world.operator();
    let (hub, service) = (
        hub_name(&format!("hub-{}", which % 2)),
        dps_name(&format!("dps-{}", which % 2)),
    );
    let owner = if which & 4 == 0 {
        world
            .directory
            .hub(&hub)
            .map(|hub| CertificateOwner::Hub(hub.key))
    } else {
        world
            .directory
            .service(&service)
            .map(|service| CertificateOwner::Dps(service.key))
    };
    let name = certificate_name(&format!("c{}", which % 3));
    // Many of these are refused (it exists, it is missing): that is part of the game.
    let _outcome = match (what % 6, owner) {
        (0, _) => world
            .hubs
            .put(&operator, hub_request(hub.as_str()), IfMatch::Absent, NOW)
            .await
            .map(|_| ()),
        (1, _) => {
            world
                .hubs
                .delete(&operator, &group_name(), &hub, IfMatch::Any)
                .await
        }
        (2, _) => world
            .services
            .put(&operator, service_request(service.as_str()), IfMatch::Absent, NOW)
            .await
            .map(|_| ()),
        (3, _) => {
            world
                .services
                .delete(&operator, &group_name(), &service, IfMatch::Any)
                .await
        }
        (4, Some(owner)) => {
            let certificate = pool[usize::from(which) % pool.len()].certificate();
            let if_match = if which & 8 == 0 {
                IfMatch::Absent
            } else {
                IfMatch::Any
            };
            world
                .certificates
                .upload(
                    &operator,
                    owner,
                    name,
                    certificate,
                    which & 16 == 0,
                    if_match,
                    NOW,
                )
                .await
                .map(|_| ())
        }
        (_, Some(owner)) => {
            world
                .certificates
                .delete(&operator, owner, &name, IfMatch::Any)
                .await
        }
        (_, None) => Ok(()),
    };
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_directory_kept_by_deltas_shows_what_one_loaded_anew_shows(
        changes in prop::collection::vec((any::<u8>(), any::<u8>(), any::<bool>()), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            let lagging = Directory::load(world.store.clone()).await.unwrap();
            let pool = [TestCa::root("a"), TestCa::root("a"), TestCa::root("b")];
            for (what, which, refresh) in changes {
                change(&world, what, which, &pool).await;
                if refresh {
                    lagging.refresh().await.unwrap();
                }
            }
            lagging.refresh().await.unwrap();
            let anew = Directory::load(world.store.clone()).await.unwrap();
            assert_eq!(shown(&world.directory), shown(&anew));
            assert_eq!(shown(&lagging), shown(&anew));
        });
    }
}
