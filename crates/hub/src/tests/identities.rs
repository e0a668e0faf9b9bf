//! The registry's verbs: rights, versions, bulk calls, lost replies.

use muster_model::identity::{Authentication, DeviceStatus};
use muster_model::{ErrorCode, IfMatch, SymmetricKey};

use super::{NOW, World, id, keys, request};
use crate::{AuthenticationRequest, BulkItem, BulkMode, Error, IdentityRequest, MAX_BULK};

fn drawn() -> AuthenticationRequest {
    AuthenticationRequest::Sas {
        primary: None,
        secondary: None,
    }
}

fn item(name: &str, mode: BulkMode, version: IfMatch) -> BulkItem {
    BulkItem {
        mode,
        version,
        request: request(name, keys()),
    }
}

#[tokio::test]
async fn a_key_that_was_replaced_meanwhile_does_not_come_back_with_a_change_that_keeps_it() {
    let world = World::new().await;
    let permit = world.hub_permit();
    world.register("d1", keys()).await;
    let replaced = Authentication::Sas {
        primary: SymmetricKey::new(vec![8; 32]).unwrap(),
        secondary: SymmetricKey::new(vec![9; 32]).unwrap(),
    };
    *world.registry.after_read.lock().unwrap() = Some(replaced.clone());
    let disabled = IdentityRequest {
        status: DeviceStatus::Disabled,
        ..request("d1", AuthenticationRequest::Kept)
    };
    let (changed, _) = world
        .identities
        .put(&permit, disabled.clone(), IfMatch::Any, NOW)
        .await
        .unwrap();
    assert_eq!(changed.status, DeviceStatus::Disabled);
    assert_eq!(changed.authentication, replaced);
    // A version that was named is the only one that is changed.
    *world.registry.after_read.lock().unwrap() = Some(replaced);
    for version in [IfMatch::Version(changed.etag), IfMatch::Foreign] {
        let stale = world
            .identities
            .put(&permit, disabled.clone(), version, NOW)
            .await
            .unwrap_err();
        assert_eq!(stale.code(), ErrorCode::PreconditionFailed);
    }
    let nothing = world
        .identities
        .put(
            &permit,
            request("d2", AuthenticationRequest::Kept),
            IfMatch::Any,
            NOW,
        )
        .await
        .unwrap_err();
    assert_eq!(nothing.code(), ErrorCode::DeviceNotFound);
}

#[tokio::test]
async fn a_device_is_made_once_changed_by_version_and_deleted() {
    let world = World::new().await;
    let (permit, verbs) = (world.hub_permit(), &world.identities);
    let (made, created) = verbs
        .put(&permit, request("d1", drawn()), IfMatch::Absent, NOW)
        .await
        .unwrap();
    assert!(created);
    let Authentication::Sas { primary, secondary } = &made.authentication else {
        panic!("{:?}", made.authentication);
    };
    assert_eq!(primary.bytes().len(), SymmetricKey::HUB_LENGTH);
    assert_ne!(primary, secondary);
    let again = verbs
        .put(&permit, request("d1", drawn()), IfMatch::Absent, NOW)
        .await
        .unwrap_err();
    assert_eq!(again.code(), ErrorCode::DeviceAlreadyExists);
    let (changed, created) = verbs
        .put(&permit, request("d1", keys()), IfMatch::Version(made.etag), NOW)
        .await
        .unwrap();
    assert!(!created);
    assert_eq!(changed.generation, made.generation);
    let stale = verbs
        .put(&permit, request("d1", keys()), IfMatch::Version(made.etag), NOW)
        .await
        .unwrap_err();
    assert_eq!(stale.code(), ErrorCode::PreconditionFailed);
    let foreign = verbs
        .delete(&permit, &id("d1"), IfMatch::Foreign)
        .await
        .unwrap_err();
    assert_eq!(foreign.code(), ErrorCode::PreconditionFailed);
    verbs.delete(&permit, &id("d1"), IfMatch::Absent).await.unwrap();
    for error in [
        verbs.find(&permit, &id("d1")).await.unwrap_err(),
        verbs.delete(&permit, &id("d1"), IfMatch::Any).await.unwrap_err(),
        verbs
            .put(&permit, request("d1", keys()), IfMatch::Any, NOW)
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.code(), ErrorCode::DeviceNotFound);
    }
}

#[tokio::test]
async fn half_a_credential_is_refused() {
    let world = World::new().await;
    for authentication in [
        AuthenticationRequest::Sas {
            primary: SymmetricKey::new(vec![1; 32]),
            secondary: None,
        },
        AuthenticationRequest::SelfSigned {
            primary: None,
            secondary: None,
        },
    ] {
        let error = world
            .identities
            .put(
                &world.hub_permit(),
                request("d1", authentication),
                IfMatch::Absent,
                NOW,
            )
            .await
            .unwrap_err();
        assert_eq!(error.code(), ErrorCode::ArgumentInvalid);
    }
}

#[tokio::test]
async fn each_verb_asks_for_its_right() {
    let world = World::new().await;
    let (reader, service) = (
        world.policy_permit("registryRead"),
        world.policy_permit("service"),
    );
    let verbs = &world.identities;
    world.register("d1", keys()).await;
    assert!(verbs.find(&reader, &id("d1")).await.is_ok());
    assert_eq!(
        verbs
            .counts(&world.policy_permit("registryReadWrite"))
            .await
            .unwrap()
            .total,
        1
    );
    for error in [
        verbs
            .put(&reader, request("d2", keys()), IfMatch::Absent, NOW)
            .await
            .unwrap_err(),
        verbs.delete(&reader, &id("d1"), IfMatch::Any).await.unwrap_err(),
        verbs.bulk(&reader, Vec::new(), NOW).await.unwrap_err(),
        verbs.find(&service, &id("d1")).await.unwrap_err(),
        verbs.list(&service, None, 10).await.unwrap_err(),
        verbs.counts(&service).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), ErrorCode::IotHubUnauthorizedAccess);
    }
}

#[tokio::test]
async fn lists_go_on_behind_the_last_id() {
    let world = World::new().await;
    for name in ["b", "B", "a", "c"] {
        world.register(name, keys()).await;
    }
    let permit = world.hub_permit();
    let names = |after: Option<&str>, top: usize| {
        let after = after.map(id);
        let (world, permit) = (&world, &permit);
        async move {
            let listed = world.identities.list(permit, after, top).await.unwrap();
            listed.iter().map(|one| one.id.to_string()).collect::<Vec<_>>()
        }
    };
    assert_eq!(names(None, 2).await, ["B", "a"]);
    assert_eq!(names(Some("a"), 100_000).await, ["b", "c"]);
    assert_eq!(names(None, 0).await, ["B"]);
}

#[tokio::test]
async fn a_lost_reply_does_not_make_a_device_exist_already() {
    let world = World::new().await;
    world.registry.lose_replies(1);
    let (_, created) = world
        .identities
        .put(&world.hub_permit(), request("d1", keys()), IfMatch::Absent, NOW)
        .await
        .unwrap();
    assert!(created);
    world.registry.lose_replies(2);
    let error = world
        .identities
        .put(&world.hub_permit(), request("d2", keys()), IfMatch::Absent, NOW)
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::ServiceUnavailable);
}

#[tokio::test]
async fn a_bulk_call_does_each_item_by_itself() {
    let world = World::new().await;
    let permit = world.hub_permit();
    world.register("there", keys()).await;
    let etag = world.identities.find(&permit, &id("there")).await.unwrap().etag;
    let mut half = item("half", BulkMode::Create, IfMatch::Absent);
    half.request.authentication = AuthenticationRequest::SelfSigned {
        primary: None,
        secondary: None,
    };
    let failures = world
        .identities
        .bulk(
            &permit,
            vec![
                item("new", BulkMode::Create, IfMatch::Absent),
                item("other", BulkMode::CreateOrUpdate, IfMatch::Absent),
                item("missing", BulkMode::Update, IfMatch::Absent),
                item("gone", BulkMode::Delete, IfMatch::Absent),
                item("there", BulkMode::UpdateIfMatch, IfMatch::Version(etag)),
                item("twin", BulkMode::UpdateTwin, IfMatch::Absent),
                item("unnamed", BulkMode::DeleteIfMatch, IfMatch::Absent),
                half,
            ],
            NOW,
        )
        .await
        .unwrap();
    let codes: Vec<_> = failures
        .iter()
        .map(|failure| (failure.id.to_string(), failure.error.code()))
        .collect();
    assert_eq!(
        codes,
        [
            ("missing".to_owned(), ErrorCode::DeviceNotFound),
            ("gone".to_owned(), ErrorCode::DeviceNotFound),
            ("twin".to_owned(), ErrorCode::FeatureNotSupported),
            ("unnamed".to_owned(), ErrorCode::ArgumentInvalid),
            ("half".to_owned(), ErrorCode::ArgumentInvalid),
        ]
    );
    let failures = world
        .identities
        .bulk(
            &permit,
            vec![
                item("new", BulkMode::Create, IfMatch::Absent),
                item("other", BulkMode::CreateOrUpdate, IfMatch::Absent),
                item("there", BulkMode::CreateOrUpdateIfMatch, IfMatch::Version(etag)),
            ],
            NOW,
        )
        .await
        .unwrap();
    let codes: Vec<_> = failures.iter().map(|failure| failure.error.code()).collect();
    assert_eq!(
        codes,
        [ErrorCode::DeviceAlreadyExists, ErrorCode::PreconditionFailed]
    );
}

#[tokio::test]
async fn a_bulk_call_as_a_whole_is_refused_before_anything_is_done() {
    let world = World::new().await;
    let permit = world.hub_permit();
    let many = (0..=MAX_BULK)
        .map(|number| item(&format!("d{number}"), BulkMode::Create, IfMatch::Absent))
        .collect();
    let error = world.identities.bulk(&permit, many, NOW).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::TooManyDevices);
    let twice = vec![
        item("d1", BulkMode::Create, IfMatch::Absent),
        item("d1", BulkMode::Delete, IfMatch::Absent),
    ];
    let error = world.identities.bulk(&permit, twice, NOW).await.unwrap_err();
    assert!(matches!(error, Error::DefinedTwice(_)));
    assert_eq!(world.identities.counts(&permit).await.unwrap().total, 0);
}

#[tokio::test]
async fn counts_tell_enabled_from_disabled() {
    let world = World::new().await;
    world.register("d1", keys()).await;
    let disabled = IdentityRequest {
        status: DeviceStatus::Disabled,
        ..request("d2", keys())
    };
    let permit = world.hub_permit();
    world
        .identities
        .put(&permit, disabled, IfMatch::Absent, NOW)
        .await
        .unwrap();
    let counts = world.identities.counts(&permit).await.unwrap();
    assert_eq!((counts.total, counts.enabled, counts.disabled), (2, 1, 1));
}
