//! Which credentials make a device, and the reason of each that does not.

use std::sync::atomic::Ordering;
use std::time::Duration;

use muster_model::identity::DeviceStatus;
use muster_model::{CertificateName, CertificateOwner, ErrorCode, IfMatch, ReasonCode, SymmetricKey, Wall};
use muster_pki::Thumbprint;
use muster_pki::issue::Profile;
use muster_resources::KeySlot;
use muster_resources::testing::{NOT_AFTER, TestCa, self_signed};
use proptest::prelude::*;

use super::{HOST, NOW, World, chain, keys, request, token};
use crate::{AuthMethod, AuthScope, AuthenticationRequest, DeviceBasis, IdentityRequest};

fn reason<T: std::fmt::Debug>(outcome: Result<T, crate::Error>) -> ReasonCode {
    outcome.unwrap_err().reason().unwrap()
}

fn by_thumbprint(certificate: &muster_pki::Certificate) -> AuthenticationRequest {
    AuthenticationRequest::SelfSigned {
        primary: None,
        secondary: Some(Thumbprint::sha256(certificate.der())),
    }
}

#[tokio::test]
async fn a_device_is_known_by_either_thumbprint_whatever_its_certificate_says() {
    let world = World::new().await;
    let (first, second) = (self_signed("anything"), TestCa::root("r").leaf("else"));
    world
        .register(
            "d1",
            AuthenticationRequest::SelfSigned {
                primary: Some(Thumbprint::sha1(first.der())),
                secondary: Some(Thumbprint::sha256(second.der())),
            },
        )
        .await;
    for certificate in [first, second] {
        let digest = certificate.sha256();
        let permit = world
            .connect("d1", Some(&chain([certificate])), None)
            .await
            .unwrap();
        assert_eq!(permit.basis(), &DeviceBasis::Thumbprint { leaf: digest });
        assert_eq!(permit.auth_method(), AuthMethod::X509Thumbprint);
        assert_eq!(permit.valid_until(), Wall::from_seconds(NOT_AFTER.unix()));
    }
    let stranger = chain([self_signed("d1")]);
    assert_eq!(
        reason(world.connect("d1", Some(&stranger), None).await),
        ReasonCode::ThumbprintDiffers
    );
}

#[tokio::test]
async fn a_thumbprint_counts_only_while_the_certificate_is_valid() {
    let world = World::new().await;
    let certificate = self_signed("d1");
    world.register("d1", by_thumbprint(&certificate)).await;
    let shown = chain([certificate]);
    for (second, expected) in [
        (999, Some(ReasonCode::NotYetValid)),
        (1_000, None),
        (NOT_AFTER.unix(), None),
        (NOT_AFTER.unix() + 1, Some(ReasonCode::Expired)),
    ] {
        let outcome = world
            .connect_at("d1", Some(&shown), None, Wall::from_seconds(second))
            .await;
        assert_eq!(
            outcome.err().and_then(|error| error.reason()),
            expected,
            "{second}"
        );
    }
}

#[tokio::test]
async fn a_chain_counts_when_it_reaches_a_verified_certificate_of_the_hub() {
    let world = World::new().await;
    let root = TestCa::root("root");
    let (middle, upper) = (root.below("middle"), root.below("upper"));
    let leaf = middle.leaf("d1");
    world.upload("root", root.certificate(), true).await;
    world
        .register("d1", AuthenticationRequest::CertificateAuthority)
        .await;
    for sent in [
        vec![leaf.clone(), middle.certificate()],
        vec![leaf.clone(), middle.certificate(), root.certificate()],
        vec![
            leaf.clone(),
            root.certificate(),
            upper.certificate(),
            middle.certificate(),
        ],
    ] {
        let permit = world.connect("d1", Some(&chain(sent)), None).await.unwrap();
        let DeviceBasis::CertificateAuthority { anchor, path } = permit.basis() else {
            panic!("{:?}", permit.basis());
        };
        assert_eq!(*anchor, root.certificate().sha256());
        assert_eq!(
            path.as_ref(),
            [
                leaf.sha256(),
                middle.certificate().sha256(),
                root.certificate().sha256()
            ]
        );
        assert_eq!(permit.auth_method(), AuthMethod::X509Ca);
    }
    let alone = chain([leaf]);
    assert_eq!(
        reason(world.connect("d1", Some(&alone), None).await),
        ReasonCode::ChainIncomplete
    );
}

#[tokio::test]
async fn a_missing_intermediate_is_completed_from_the_hub() {
    let world = World::new().await;
    let root = TestCa::root("root");
    let middle = root.below("middle");
    world.upload("root", root.certificate(), true).await;
    world.upload("middle", middle.certificate(), false).await;
    world
        .register("d1", AuthenticationRequest::CertificateAuthority)
        .await;
    let permit = world
        .connect("d1", Some(&chain([middle.leaf("d1")])), None)
        .await
        .unwrap();
    assert!(matches!(permit.basis(), DeviceBasis::CertificateAuthority { path, .. } if path.len() == 3));
}

#[tokio::test]
async fn each_wrong_chain_has_its_own_reason() {
    let world = World::new().await;
    let (root, unproved, stranger) = (
        TestCa::root("root"),
        TestCa::root("unproved"),
        TestCa::root("stranger"),
    );
    let namesake = TestCa::root("root");
    world.upload("root", root.certificate(), true).await;
    world.upload("unproved", unproved.certificate(), false).await;
    world
        .register("Dev1", AuthenticationRequest::CertificateAuthority)
        .await;
    for (sent, expected) in [
        (vec![root.leaf("dev1")], ReasonCode::CommonNameDiffersInCase),
        (vec![root.leaf("dev2")], ReasonCode::CommonNameDiffers),
        (
            vec![root.issue("Dev1", Profile::ScriptCa, NOT_AFTER)],
            ReasonCode::LeafIsCa,
        ),
        (vec![unproved.leaf("Dev1")], ReasonCode::AnchorNotVerified),
        (
            vec![stranger.leaf("Dev1"), stranger.certificate()],
            ReasonCode::AnchorUnknown,
        ),
        // A public certificate of the hub, appended to a chain of one's own, lends it nothing.
        (
            vec![stranger.leaf("Dev1"), stranger.certificate(), root.certificate()],
            ReasonCode::AnchorUnknown,
        ),
        (vec![stranger.leaf("Dev1")], ReasonCode::ChainIncomplete),
        (vec![namesake.leaf("Dev1")], ReasonCode::IssuerSignatureWrong),
        (
            vec![root.issue(
                "Dev1",
                Profile::ScriptLeaf,
                muster_pki::Time::from_unix(1_600_000_000),
            )],
            ReasonCode::Expired,
        ),
    ] {
        assert_eq!(
            reason(world.connect("Dev1", Some(&chain(sent)), None).await),
            expected
        );
    }
}

#[tokio::test]
async fn what_the_hub_trusts_now_decides_not_what_it_trusted_at_the_last_request() {
    let world = World::new().await;
    let root = TestCa::root("root");
    world
        .register("d1", AuthenticationRequest::CertificateAuthority)
        .await;
    let shown = chain([root.leaf("d1")]);
    assert_eq!(
        reason(world.connect("d1", Some(&shown), None).await),
        ReasonCode::ChainIncomplete
    );
    world.upload("root", root.certificate(), true).await;
    let first = world.connect("d1", Some(&shown), None).await.unwrap();
    let again = world.connect("d1", Some(&shown), None).await.unwrap();
    assert_eq!(first.basis(), again.basis());
    assert_eq!(
        reason(
            world
                .connect_at("d1", Some(&shown), None, Wall::from_seconds(NOT_AFTER.unix() + 1))
                .await
        ),
        ReasonCode::Expired,
        "a remembered path ends with its certificates"
    );
    world
        .certificates
        .delete(
            &world.operator(),
            CertificateOwner::Hub(world.hub().key),
            &CertificateName::parse("root").unwrap(),
            IfMatch::Any,
        )
        .await
        .unwrap();
    assert_eq!(
        reason(world.connect("d1", Some(&shown), None).await),
        ReasonCode::ChainIncomplete
    );
}

#[tokio::test]
async fn a_remembered_path_serves_no_other_device() {
    let world = World::new().await;
    let root = TestCa::root("root");
    world.upload("root", root.certificate(), true).await;
    for name in ["d1", "d2"] {
        world
            .register(name, AuthenticationRequest::CertificateAuthority)
            .await;
    }
    let shown = chain([root.leaf("d1")]);
    world.connect("d1", Some(&shown), None).await.unwrap();
    assert_eq!(
        reason(world.connect("d2", Some(&shown), None).await),
        ReasonCode::CommonNameDiffers
    );
}

#[tokio::test]
async fn a_disabled_or_deleted_device_is_refused_at_its_next_request() {
    for stamps in [false, true] {
        disable_and_delete(stamps).await;
    }
}

async fn disable_and_delete(stamps: bool) {
    let world = World::new().await;
    world.registry.stamps.store(stamps, Ordering::SeqCst);
    let certificate = self_signed("d1");
    world.register("d1", by_thumbprint(&certificate)).await;
    let shown = chain([certificate.clone()]);
    let before = world.connect("d1", Some(&shown), None).await.unwrap();
    world
        .update(IdentityRequest {
            status: DeviceStatus::Disabled,
            ..request("d1", by_thumbprint(&certificate))
        })
        .await;
    assert_eq!(
        reason(world.connect("d1", Some(&shown), None).await),
        ReasonCode::DeviceDisabled
    );
    let stranger = chain([self_signed("d1")]);
    assert_eq!(
        reason(world.connect("d1", Some(&stranger), None).await),
        ReasonCode::ThumbprintDiffers,
        "a stranger does not learn the status"
    );
    world
        .identities
        .delete(&world.hub_permit(), &super::id("d1"), IfMatch::Any)
        .await
        .unwrap();
    let error = world.connect("d1", Some(&shown), None).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::DeviceNotFound);
    world.register("d1", by_thumbprint(&certificate)).await;
    let after = world.connect("d1", Some(&shown), None).await.unwrap();
    assert_ne!(after.generation(), before.generation());
}

#[tokio::test]
async fn an_identity_is_read_again_only_when_the_store_says_that_something_changed() {
    let world = World::new().await;
    let certificate = self_signed("d1");
    world.register("d1", by_thumbprint(&certificate)).await;
    let shown = chain([certificate]);
    for (stamps, reads) in [(true, 1), (false, 5)] {
        world.registry.stamps.store(stamps, Ordering::SeqCst);
        world.registry.reads.store(0, Ordering::SeqCst);
        for _ in 0..5 {
            world.connect("d1", Some(&shown), None).await.unwrap();
        }
        assert_eq!(world.registry.reads.load(Ordering::SeqCst), reads);
    }
    world.registry.stamps.store(true, Ordering::SeqCst);
    world.registry.reads.store(0, Ordering::SeqCst);
    world.register("d2", keys()).await;
    world.connect("d1", Some(&shown), None).await.unwrap();
    assert_eq!(world.registry.reads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_device_key_signs_for_its_device_only() {
    let world = World::new().await;
    world.register("Dev1", keys()).await;
    let (first, second) = (
        SymmetricKey::new(vec![1; 32]).unwrap(),
        SymmetricKey::new(vec![2; 32]).unwrap(),
    );
    let resource = format!("{HOST}/devices/Dev1");
    for (key, slot) in [(&first, KeySlot::Primary), (&second, KeySlot::Secondary)] {
        let shown = token(&resource, key, None, NOW);
        let permit = world.connect("Dev1", None, Some(&shown)).await.unwrap();
        assert_eq!(permit.basis(), &DeviceBasis::DeviceKey(slot));
        assert_eq!(permit.auth_method(), AuthMethod::Sas(AuthScope::Device));
        assert_eq!(permit.valid_until(), NOW);
    }
    let lower = token(&resource.to_lowercase(), &first, Some(""), NOW);
    assert!(world.connect("Dev1", None, Some(&lower)).await.is_ok());
    let old = NOW.minus(Duration::from_secs(301));
    for (shown, expected) in [
        (token(&resource, &first, None, old), ReasonCode::TokenExpired),
        (
            token(&format!("{HOST}/devices/Dev2"), &first, None, NOW),
            ReasonCode::AudienceWrong,
        ),
        (
            token(&resource, &SymmetricKey::new(vec![3; 32]).unwrap(), None, NOW),
            ReasonCode::TokenSignatureWrong,
        ),
    ] {
        assert_eq!(reason(world.connect("Dev1", None, Some(&shown)).await), expected);
    }
}

#[tokio::test]
async fn mixed_credentials_follow_the_table() {
    let world = World::new().await;
    let certificate = self_signed("x");
    world.register("sas", keys()).await;
    world.register("x509", by_thumbprint(&certificate)).await;
    let own_key = SymmetricKey::new(vec![1; 32]).unwrap();
    let hub = world.hub();
    let policy = |name: &str| {
        let policy = hub.policies.iter().find(|one| one.name.as_str() == name).unwrap();
        token(HOST, &policy.primary, Some(name), NOW)
    };
    let shown = chain([certificate]);

    let own = token(&format!("{HOST}/devices/sas"), &own_key, None, NOW);
    assert!(
        world.connect("sas", Some(&shown), Some(&own)).await.is_ok(),
        "the certificate is ignored"
    );
    assert_eq!(
        reason(world.connect("sas", Some(&shown), None).await),
        ReasonCode::WrongCredentialType
    );
    let own = token(&format!("{HOST}/devices/x509"), &own_key, None, NOW);
    assert_eq!(
        reason(world.connect("x509", Some(&shown), Some(&own)).await),
        ReasonCode::WrongCredentialType
    );
    let permit = world
        .connect("x509", None, Some(&policy("device")))
        .await
        .unwrap();
    assert_eq!(permit.auth_method(), AuthMethod::Sas(AuthScope::Hub));
    assert_eq!(
        reason(world.connect("x509", None, Some(&policy("service"))).await),
        ReasonCode::PolicyLacksRight
    );
    assert_eq!(
        reason(world.connect("nobody", None, Some(&policy("device"))).await),
        ReasonCode::DeviceUnknown
    );
    assert_eq!(
        reason(world.connect("x509", None, None).await),
        ReasonCode::NoCredential
    );

    world.disable_device_sas().await;
    assert_eq!(
        reason(world.connect("x509", None, Some(&policy("device"))).await),
        ReasonCode::SasDisabled
    );
    assert!(world.connect("x509", Some(&shown), None).await.is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is sent in whatever order, a device is admitted exactly when its leaf, its name and every certificate
    /// between it and the verified root are there.
    #[test]
    fn order_and_strangers_do_not_matter(
        picks in prop::collection::vec(0_usize..5, 0..6), own_name in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            let root = TestCa::root("root");
            let (upper, stranger) = (root.below("upper"), TestCa::root("root"));
            let lower = upper.below("lower");
            world.upload("root", root.certificate(), true).await;
            world.register("d1", AuthenticationRequest::CertificateAuthority).await;
            let pool = [
                lower.certificate(),
                upper.certificate(),
                root.certificate(),
                stranger.certificate(),
                stranger.leaf("d1"),
            ];
            let leaf = lower.leaf(if own_name { "d1" } else { "d2" });
            let sent = std::iter::once(leaf).chain(picks.iter().map(|pick| pool[*pick].clone()));
            let outcome = world.connect("d1", Some(&chain(sent)), None).await;
            let complete = picks.contains(&0) && picks.contains(&1);
            assert_eq!(outcome.is_ok(), complete && own_name, "{picks:?}: {outcome:?}");
        });
    }
}
