//! The first start, hubs, provisioning services and their links.

use std::sync::Arc;

use muster_model::estate::Hub;
use muster_model::{
    AccessPolicy, ConsumerGroupName, ErrorCode, HubRights, IfMatch, Json, JsonLimits, Location,
    PartitionCount, PolicyName, Random, Rights, SymmetricKey,
};

use super::{NOW, TOKEN, World, dps_name, first_start, group_name, hub_name, hub_request, service_request};
use crate::testing::LocalChanges;
use crate::{
    Directory, Error, Estate, FirstStart, Hubs, LinkKey, LinkRequest, MAX_CONSUMER_GROUPS, PolicyDraft,
    Services, bootstrap, consumer_group_of,
};

fn link(hub: &Hub, key: LinkKey) -> LinkRequest {
    LinkRequest {
        hub: hub.name.clone(),
        key,
        location: None,
        apply_allocation: true,
        weight: 1,
    }
}

fn given(hub: &Hub, policy: &str) -> LinkKey {
    let policy = hub
        .policies
        .iter()
        .find(|one| one.name.as_str() == policy)
        .unwrap();
    LinkKey::Given {
        policy: policy.name.clone(),
        key: policy.secondary.clone(),
    }
}

/// Another node, which has not yet heard of what changes from now on.
async fn behind(world: &World) -> Estate {
    Estate::new(
        world.store.clone(),
        Directory::load(world.store.clone()).await.unwrap(),
        Arc::new(LocalChanges::default()),
        Arc::new(Random::from_number(2)),
    )
}

fn replaced<R: Rights>(policies: &[AccessPolicy<R>]) -> Vec<PolicyDraft<R>> {
    policies
        .iter()
        .map(|one| PolicyDraft {
            name: one.name.clone(),
            primary: None,
            secondary: None,
            rights: one.rights,
        })
        .collect()
}

fn keys<R: Rights>(policies: &[AccessPolicy<R>]) -> Vec<Vec<u8>> {
    policies.iter().map(|one| one.primary.bytes().to_vec()).collect()
}

#[tokio::test]
async fn what_a_change_leaves_out_does_not_undo_what_others_changed() {
    let world = World::new().await;
    let (late, operator) = (behind(&world).await, world.operator());
    let (old_hub, old_service) = (world.hub(), world.service());
    let mut locked = hub_request("muster-hub");
    locked.disable_device_sas = Some(true);
    locked.policies = replaced(&old_hub.policies);
    let (hub, _) = world
        .hubs
        .put(&operator, locked, IfMatch::Any, NOW)
        .await
        .unwrap();
    let mut rekeyed = service_request("muster-dps");
    rekeyed.links = Some(Vec::new());
    rekeyed.policies = replaced(&old_service.policies);
    let (service, _) = world
        .services
        .put(&operator, rekeyed, IfMatch::Any, NOW)
        .await
        .unwrap();
    let tags = Json::parse_object(r#"{"a":"b"}"#, JsonLimits::BODY).unwrap();
    let mut tagged = hub_request("muster-hub");
    tagged.tags = Some(tags.clone());
    let (merged, _) = Hubs::new(late.clone())
        .put(&operator, tagged, IfMatch::Absent, NOW)
        .await
        .unwrap();
    assert_eq!(merged.tags, tags);
    assert!(merged.disable_device_sas);
    assert_eq!(keys(&merged.policies), keys(&hub.policies));
    assert_ne!(keys(&merged.policies), keys(&old_hub.policies));
    let mut tagged = service_request("muster-dps");
    tagged.tags = Some(tags.clone());
    let (merged, _) = Services::new(late)
        .put(&operator, tagged, IfMatch::Any, NOW)
        .await
        .unwrap();
    assert_eq!(merged.tags, tags);
    assert!(merged.links.is_empty());
    assert_eq!(keys(&merged.policies), keys(&service.policies));
    assert_ne!(keys(&merged.policies), keys(&old_service.policies));
}

#[tokio::test]
async fn the_first_start_makes_a_linked_pair_once() {
    let world = World::new().await;
    let (hub, service) = (world.hub(), world.service());
    assert_eq!(hub.partitions, PartitionCount::DEFAULT);
    let names: Vec<_> = hub
        .policies
        .iter()
        .map(|policy| format!("{}: {}", policy.name, policy.rights))
        .collect();
    assert_eq!(
        names,
        [
            "iothubowner: RegistryWrite, ServiceConnect, DeviceConnect",
            "service: ServiceConnect",
            "device: DeviceConnect",
            "registryRead: RegistryRead",
            "registryReadWrite: RegistryWrite",
        ]
    );
    assert_eq!(service.links.len(), 1);
    assert_eq!(service.links[0].hub, hub.key);
    assert_eq!(service.id_scope.as_str().len(), 11);
    assert!(service.id_scope.as_str().starts_with("0ne"));
    assert_eq!(
        service.policies[0].rights.to_string(),
        "ServiceConfig, DeviceConnect, EnrollmentWrite"
    );

    world
        .hubs
        .delete(&world.operator(), &group_name(), &hub.name, IfMatch::Any)
        .await
        .unwrap();
    assert!(!bootstrap(&world.estate, first_start(), NOW).await.unwrap());
    assert!(
        world.directory.hub(&hub.name).is_none(),
        "what was deleted does not come back"
    );
}

#[tokio::test]
async fn a_first_start_that_was_cut_off_goes_on() {
    let world = World::empty().await;
    world
        .groups
        .ensure(group_name(), Location::parse("westus").unwrap(), None)
        .await
        .unwrap();
    world
        .hubs
        .write(hub_request("muster-hub"), IfMatch::Absent, NOW)
        .await
        .unwrap();
    let before = world.hub().key;
    assert!(bootstrap(&world.estate, first_start(), NOW).await.unwrap());
    assert_eq!(world.hub().key, before);
    assert_eq!(world.service().links.len(), 1);
}

#[tokio::test]
async fn a_replaced_token_file_replaces_the_operator() {
    let world = World::new().await;
    let other = FirstStart {
        operator: muster_pki::Sha256::of(b"new").0,
        ..first_start()
    };
    assert!(!bootstrap(&world.estate, other, NOW).await.unwrap());
    assert!(world.access.operator(crate::Credential::Bearer("new")).is_ok());
    assert!(world.access.operator(crate::Credential::Bearer(TOKEN)).is_err());
}

#[tokio::test]
async fn a_lost_reply_is_asked_again_and_two_are_told() {
    let world = World::new().await;
    let operator = world.operator();
    world.store.lose_replies(1);
    let (_, created) = world
        .hubs
        .put(&operator, hub_request("second"), IfMatch::Absent, NOW)
        .await
        .unwrap();
    assert!(created);
    assert_eq!(world.directory.hubs().len(), 2);

    world.store.lose_replies(2);
    let error = world
        .hubs
        .put(&operator, hub_request("third"), IfMatch::Absent, NOW)
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::ArmServiceUnavailable);
}

#[tokio::test]
async fn changing_a_hub_keeps_what_the_request_leaves_out() {
    let world = World::new().await;
    let (operator, before) = (world.operator(), world.hub());
    let mut request = hub_request("MUSTER-HUB");
    request.partitions = PartitionCount::new(32);
    request.tags = Some(Json::parse(r#"{"a":1}"#, JsonLimits::BODY).unwrap());
    request.retention_days = Some(7);
    let (after, created) = world
        .hubs
        .put(&operator, request, IfMatch::Version(before.etag), NOW)
        .await
        .unwrap();
    assert!(!created);
    assert_eq!((after.key, after.partitions), (before.key, before.partitions));
    assert_eq!(after.policies, before.policies);
    assert_eq!(after.retention_days, 7);
    let stale = world
        .hubs
        .put(
            &operator,
            hub_request("muster-hub"),
            IfMatch::Version(before.etag),
            NOW,
        )
        .await
        .unwrap_err();
    assert_eq!(stale.code(), ErrorCode::ArmPreconditionFailed);
}

#[tokio::test]
async fn a_given_set_of_policies_replaces_the_old_one_and_draws_missing_keys() {
    let world = World::new().await;
    let key = SymmetricKey::new(vec![7; 32]).unwrap();
    let draft = PolicyDraft {
        name: PolicyName::parse("mine").unwrap(),
        primary: Some(key.clone()),
        secondary: None,
        rights: HubRights::SERVICE_CONNECT,
    };
    let mut request = hub_request("muster-hub");
    request.policies = vec![draft.clone()];
    let (hub, _) = world
        .hubs
        .put(&world.operator(), request, IfMatch::Absent, NOW)
        .await
        .unwrap();
    assert_eq!(hub.policies.len(), 1);
    assert_eq!(hub.policies[0].primary, key);
    assert_eq!(hub.policies[0].secondary.bytes().len(), SymmetricKey::HUB_LENGTH);

    let mut twice = hub_request("muster-hub");
    twice.policies = vec![draft.clone(), draft];
    let error = world
        .hubs
        .put(&world.operator(), twice, IfMatch::Absent, NOW)
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::ArmBadRequest);
}

#[tokio::test]
async fn names_are_unique_over_all_groups_and_groups_must_be_there() {
    let world = World::new().await;
    let (operator, location) = (world.operator(), Location::parse("westus").unwrap());
    let other = muster_model::ResourceGroupName::parse("other").unwrap();
    let mut request = hub_request("muster-hub");
    request.group = other.clone();
    let missing = world
        .hubs
        .put(&operator, request.clone(), IfMatch::Absent, NOW)
        .await
        .unwrap_err();
    assert_eq!(missing.code(), ErrorCode::ArmResourceGroupNotFound);
    world
        .groups
        .put(&operator, other.clone(), location, None)
        .await
        .unwrap();
    let taken = world
        .hubs
        .put(&operator, request, IfMatch::Absent, NOW)
        .await
        .unwrap_err();
    assert_eq!(taken.code(), ErrorCode::ArmConflict);
    assert!(matches!(
        world.hubs.find(&operator, &other, &hub_name("muster-hub")),
        Err(Error::Missing { .. })
    ));
}

#[tokio::test]
async fn a_link_needs_a_hub_of_this_server_and_a_current_key() {
    let world = World::new().await;
    let (operator, hub) = (world.operator(), world.hub());
    let put = |links: Vec<LinkRequest>| {
        let mut request = service_request("muster-dps");
        request.links = Some(links);
        world.services.put(&operator, request, IfMatch::Absent, NOW)
    };
    let mut unknown = link(&hub, LinkKey::Masked);
    unknown.hub = hub_name("elsewhere");
    assert!(matches!(
        put(vec![unknown]).await,
        Err(Error::LinkedHubUnknown(_))
    ));

    let wrong = LinkKey::Given {
        policy: PolicyName::parse("iothubowner").unwrap(),
        key: SymmetricKey::new(vec![1; 32]).unwrap(),
    };
    assert!(matches!(
        put(vec![link(&hub, wrong)]).await,
        Err(Error::LinkKeyWrong { .. })
    ));
    let nobody = LinkKey::Given {
        policy: PolicyName::parse("nobody").unwrap(),
        key: hub.policies[0].primary.clone(),
    };
    assert!(matches!(
        put(vec![link(&hub, nobody)]).await,
        Err(Error::LinkKeyWrong { .. })
    ));
    let twice = vec![
        link(&hub, given(&hub, "iothubowner")),
        link(&hub, LinkKey::Masked),
    ];
    assert!(matches!(put(twice).await, Err(Error::Argument(_))));

    let (kept, _) = put(vec![link(&hub, LinkKey::Masked)]).await.unwrap();
    assert_eq!(kept.links[0].policy.as_str(), "iothubowner");
    let (changed, _) = put(vec![link(&hub, given(&hub, "registryReadWrite"))])
        .await
        .unwrap();
    assert_eq!(changed.links[0].policy.as_str(), "registryReadWrite");
    let (gone, _) = put(Vec::new()).await.unwrap();
    assert!(gone.links.is_empty());
    assert!(matches!(
        put(vec![link(&hub, LinkKey::Masked)]).await,
        Err(Error::Argument(_))
    ));
}

#[tokio::test]
async fn a_service_keeps_its_scope_links_and_keys() {
    let world = World::new().await;
    let before = world.service();
    let (after, created) = world
        .services
        .put(
            &world.operator(),
            service_request("muster-dps"),
            IfMatch::Absent,
            NOW,
        )
        .await
        .unwrap();
    assert!(!created);
    assert_eq!(after.id_scope, before.id_scope);
    assert_eq!(after.links, before.links);
    assert_eq!(after.policies, before.policies);
    assert_eq!(
        world.directory.service_by_scope(&after.id_scope).unwrap().key,
        before.key
    );
    let (second, created) = world
        .services
        .put(&world.operator(), service_request("second"), IfMatch::Absent, NOW)
        .await
        .unwrap();
    assert!(created);
    assert_ne!(second.id_scope, before.id_scope);
    world
        .services
        .delete(
            &world.operator(),
            &group_name(),
            &dps_name("second"),
            IfMatch::Absent,
        )
        .await
        .unwrap();
    assert!(world.directory.service_by_scope(&second.id_scope).is_none());
}

#[tokio::test]
async fn consumer_groups_are_bounded_and_the_default_is_always_there() {
    let world = World::new().await;
    let (operator, hub) = (world.operator(), world.hub());
    let name = |text: &str| ConsumerGroupName::parse(text).unwrap();
    let group = group_name();
    let put = |text: &str| {
        world
            .hubs
            .put_consumer_group(&operator, &group, &hub.name, name(text), NOW)
    };
    assert!(consumer_group_of(&hub, &name("$DEFAULT")).is_some());
    for number in 1..MAX_CONSUMER_GROUPS {
        put(&format!("g{number}")).await.unwrap();
    }
    assert!(matches!(put("one-more").await, Err(Error::Argument(_))));
    put("G1").await.unwrap();
    let delete = |text: &'static str| {
        let (world, operator, hub) = (&world, &operator, &hub);
        async move {
            world
                .hubs
                .delete_consumer_group(operator, &group_name(), &hub.name, &name(text))
                .await
        }
    };
    assert!(matches!(delete("$Default").await, Err(Error::Argument(_))));
    delete("g1").await.unwrap();
    assert!(matches!(delete("g1").await, Err(Error::Missing { .. })));
    put("one-more").await.unwrap();
}
