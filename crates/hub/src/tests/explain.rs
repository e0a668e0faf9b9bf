//! Explanations are held against the refusal of the same attempt.

use muster_model::identity::DeviceStatus;
use muster_model::refusal::{Explanation, Protocol, Refusal, TokenClaims};
use muster_model::{ReasonCode, SasToken, TrackingId};
use muster_pki::issue::Profile;
use muster_pki::{Chain, Thumbprint, Time};
use muster_resources::Explain;
use muster_resources::testing::{NOT_AFTER, TestCa, self_signed};

use super::{HOST, NOW, World, chain, keys, request, token};
use crate::{AuthenticationRequest, IdentityRequest};

fn refusal(reason: ReasonCode, device: &str, chain: Option<Chain>, token: Option<&SasToken>) -> Refusal {
    Refusal {
        tracking: TrackingId::from_bytes([7; 16]),
        at: NOW,
        reason,
        protocol: Protocol::Https,
        address: None,
        action: "send telemetry",
        target: Some(HOST.to_owned()),
        device: Some(device.to_owned()),
        registration: None,
        chain,
        token: token.map(|token| TokenClaims {
            resource: token.resource.clone(),
            expiry: token.expiry,
            policy: token.policy.clone(),
        }),
    }
}

/// Is refused as the hot path refuses, and explains that.
async fn refused(world: &World, device: &str, chain: Option<Chain>, token: Option<SasToken>) -> Explanation {
    let error = world
        .connect(device, chain.as_ref(), token.as_ref())
        .await
        .unwrap_err();
    let reason = error.reason().unwrap();
    let explanation = world
        .explainer
        .explain(&refusal(reason, device, chain, token.as_ref()))
        .await;
    assert_eq!(explanation.reason, reason, "the same rules give the same reason");
    assert!(explanation.sentence.ends_with('.'), "{}", explanation.sentence);
    explanation
}

#[tokio::test]
async fn the_same_rules_explain_what_they_refused() {
    let world = World::new().await;
    let (root, unproved, stranger) = (
        TestCa::root("root"),
        TestCa::root("unproved"),
        TestCa::root("stranger"),
    );
    world.upload("root", root.certificate(), true).await;
    world.upload("unproved", unproved.certificate(), false).await;
    world
        .register("Dev1", AuthenticationRequest::CertificateAuthority)
        .await;
    let thumbprint = |sent: &Chain| sent.leaf().sha256().to_string();
    let by_thumbprint = |sent: &Chain| {
        format!(
            "muster iot hub device-identity update --hub-name muster-hub --device-id Dev1 \
             --auth-method x509_thumbprint --primary-thumbprint {}",
            thumbprint(sent)
        )
    };

    let sent = chain([unproved.leaf("Dev1")]);
    let explained = refused(&world, "Dev1", Some(sent), None).await;
    assert_eq!(explained.reason, ReasonCode::AnchorNotVerified);
    assert_eq!(
        explained.remedies,
        [
            "muster iot hub certificate update --hub-name muster-hub --name unproved --etag '*' \
             --verified true",
            "muster iot hub certificate generate-verification-code --hub-name muster-hub --name unproved --etag '*'",
        ]
    );
    assert!(
        explained
            .steps
            .iter()
            .any(|step| step.contains("uploaded as unproved, not verified"))
    );

    let sent = chain([root.leaf("dev1")]);
    let explained = refused(&world, "Dev1", Some(sent), None).await;
    assert_eq!(explained.reason, ReasonCode::CommonNameDiffersInCase);
    assert_eq!(
        explained.remedies,
        [
            "muster iot hub device-identity create --hub-name muster-hub --device-id dev1 --auth-method x509_ca"
        ]
    );

    for (sent, reason) in [
        (
            chain([stranger.leaf("Dev1"), stranger.certificate()]),
            ReasonCode::AnchorUnknown,
        ),
        (chain([stranger.leaf("Dev1")]), ReasonCode::ChainIncomplete),
        (chain([root.leaf("Dev2")]), ReasonCode::CommonNameDiffers),
        (
            chain([root.issue("Dev1", Profile::ScriptCa, NOT_AFTER)]),
            ReasonCode::LeafIsCa,
        ),
    ] {
        let remedy = by_thumbprint(&sent);
        let explained = refused(&world, "Dev1", Some(sent), None).await;
        assert_eq!((explained.reason, explained.remedies), (reason, vec![remedy]));
    }
    for (sent, reason) in [
        (
            chain([TestCa::root("root").leaf("Dev1")]),
            ReasonCode::IssuerSignatureWrong,
        ),
        (
            chain([root.issue("Dev1", Profile::ScriptLeaf, Time::from_unix(1_600_000_000))]),
            ReasonCode::Expired,
        ),
    ] {
        let explained = refused(&world, "Dev1", Some(sent), None).await;
        assert_eq!((explained.reason, explained.remedies), (reason, Vec::new()));
    }
}

#[tokio::test]
async fn every_certificate_that_came_and_every_one_that_was_tried_stands_in_the_steps() {
    let world = World::new().await;
    let (root, other) = (TestCa::root("root"), TestCa::root("other"));
    let middle = root.below("middle");
    world.upload("other", other.certificate(), true).await;
    world
        .register("d1", AuthenticationRequest::CertificateAuthority)
        .await;
    let sent = chain([middle.leaf("d1"), middle.certificate()]);
    let explained = refused(&world, "d1", Some(sent), None).await;
    assert_eq!(explained.reason, ReasonCode::ChainIncomplete);
    let all = explained.steps.join("\n");
    for wanted in [
        "Certificate 0 of the chain is CN=d1",
        "Certificate 1 of the chain is CN=middle",
        "proves itself by a certificate of a CA",
        "As issuer of CN=d1, CN=middle",
        "has 1 CA certificates, 1 of them verified",
        "other is CN=other, verified",
    ] {
        assert!(all.contains(wanted), "{wanted} is not in\n{all}");
    }
}

#[tokio::test]
async fn registry_and_thumbprints_are_explained() {
    let world = World::new().await;
    let (known, new) = (self_signed("d1"), self_signed("d1"));
    let authentication = AuthenticationRequest::SelfSigned {
        primary: Some(Thumbprint::sha256(known.der())),
        secondary: None,
    };
    world.register("d1", authentication.clone()).await;
    let explained = refused(&world, "d1", Some(chain([new.clone()])), None).await;
    assert_eq!(explained.reason, ReasonCode::ThumbprintDiffers);
    assert_eq!(
        explained.remedies,
        [format!(
            "muster iot hub device-identity update --hub-name muster-hub --device-id d1 --primary-thumbprint {}",
            new.sha256()
        )]
    );
    let unknown = refused(&world, "d2", Some(chain([new.clone()])), None).await;
    assert_eq!(
        unknown.remedies,
        [format!(
            "muster iot hub device-identity create --hub-name muster-hub --device-id d2 \
             --auth-method x509_thumbprint --primary-thumbprint {}",
            new.sha256()
        )]
    );
    world
        .update(IdentityRequest {
            status: DeviceStatus::Disabled,
            ..request("d1", authentication)
        })
        .await;
    let disabled = refused(&world, "d1", Some(chain([known])), None).await;
    assert_eq!(
        disabled.remedies,
        ["muster iot hub device-identity update --hub-name muster-hub --device-id d1 --status enabled"]
    );
}

#[tokio::test]
async fn a_device_whose_ca_would_admit_it_is_created_for_that_ca() {
    let world = World::new().await;
    let root = TestCa::root("root");
    world.upload("root", root.certificate(), true).await;
    let explained = refused(&world, "d1", Some(chain([root.leaf("d1")])), None).await;
    assert_eq!(
        explained.remedies,
        ["muster iot hub device-identity create --hub-name muster-hub --device-id d1 --auth-method x509_ca"]
    );
}

#[tokio::test]
async fn tokens_are_explained_without_their_signature() {
    let world = World::new().await;
    world.register("d1", keys()).await;
    let key = muster_model::SymmetricKey::new(vec![9; 32]).unwrap();
    let shown = token(&format!("{HOST}/devices/d1"), &key, None, NOW);
    let explained = refused(&world, "d1", None, Some(shown.clone())).await;
    assert_eq!(explained.reason, ReasonCode::TokenSignatureWrong);
    assert_eq!(
        explained.remedies,
        ["muster iot hub device-identity connection-string show --hub-name muster-hub --device-id d1"]
    );
    let all = format!("{explained:?}");
    assert!(!all.contains(&format!("{:?}", shown.signature)));
    let explained = refused(&world, "d1", None, None).await;
    assert_eq!(explained.reason, ReasonCode::NoCredential);
}

#[tokio::test]
async fn what_was_mended_meanwhile_is_said_so() {
    let world = World::new().await;
    let root = TestCa::root("root");
    world
        .register("d1", AuthenticationRequest::CertificateAuthority)
        .await;
    let sent = chain([root.leaf("d1")]);
    world.upload("root", root.certificate(), true).await;
    let explained = world
        .explainer
        .explain(&refusal(ReasonCode::ChainIncomplete, "d1", Some(sent), None))
        .await;
    assert!(
        explained.sentence.contains("would be admitted"),
        "{}",
        explained.sentence
    );
    assert!(explained.remedies.is_empty());
}

#[tokio::test]
async fn every_reason_has_a_sentence_whatever_is_known() {
    let world = World::new().await;
    world.register("d1", keys()).await;
    for reason in ReasonCode::ALL {
        for device in ["d1", "d2", "not/a/device"] {
            for sent in [None, Some(chain([self_signed("d1")]))] {
                let explained = world
                    .explainer
                    .explain(&refusal(*reason, device, sent, None))
                    .await;
                assert!(
                    explained.sentence.ends_with('.'),
                    "{reason}: {}",
                    explained.sentence
                );
            }
        }
    }
}
