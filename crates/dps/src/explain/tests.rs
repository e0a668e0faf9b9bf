//! Each cause has its reason, and a command that would mend it.

use std::collections::BTreeSet;
use std::sync::Arc;

use muster_model::dps::{AllocationPolicy, ProvisioningStatus, TermsChange};
use muster_model::refusal::{Explanation, Protocol, Refusal, TokenClaims};
use muster_model::{ReasonCode, TrackingId};
use muster_resources::Explain;

use super::Explainer;
use crate::fixtures::{Ca, NOW, World, key, presenting, signing, with_status};
use crate::{Attempt, Credential};

const ENABLED: ProvisioningStatus = ProvisioningStatus::Enabled;
const DISABLED: ProvisioningStatus = ProvisioningStatus::Disabled;
const TRACKING: &str = "09090909-0909-0909-0909-090909090909";

/// Registers, expects to be refused, and has that explained; hot path and explanation must agree.
async fn explained(world: &World, id: &str, credential: Credential) -> Explanation {
    let attempt = world.attempt(id, credential);
    let reason = match world.registrar.register(&attempt, NOW).await {
        Ok(operation) => operation.refusal.expect("there is something to explain"),
        Err(error) => error.reason().unwrap(),
    };
    let explanation = explain(world, &attempt, reason).await;
    assert!(!explanation.sentence.is_empty());
    explanation
}

async fn explain(world: &World, attempt: &Attempt, reason: ReasonCode) -> Explanation {
    let refusal = Refusal {
        tracking: TrackingId::from_bytes([9; 16]),
        at: NOW,
        reason,
        protocol: Protocol::Https,
        address: None,
        action: "register",
        target: Some(attempt.service.id_scope.to_string()),
        device: None,
        registration: Some(attempt.id.to_string()),
        chain: attempt.credential.chain.clone(),
        token: attempt.credential.token.as_ref().map(|token| TokenClaims {
            resource: token.resource.clone(),
            expiry: token.expiry,
            policy: token.policy.clone(),
        }),
    };
    let explainer = Explainer::new(Arc::clone(&world.store) as _, Arc::clone(&world.directory));
    explainer.explain(&refusal).await
}

fn assert_mended_by(explanation: &Explanation, reason: ReasonCode, command: &str) {
    assert_eq!(explanation.reason, reason, "{explanation:#?}");
    let command = command.replace("TRACKING", TRACKING);
    assert!(explanation.remedies.contains(&command), "{explanation:#?}");
}

async fn with_verified_root() -> (World, Ca) {
    let (world, root) = (World::new().await, Ca::root("R"));
    world.upload("root", root.certificate(), true).await;
    world.group("on-root", root.certificate(), ENABLED).await;
    (world, root)
}

#[tokio::test]
async fn a_missing_intermediate_is_named() {
    let (world, root) = with_verified_root().await;
    let leaf = root.sub("I 1").leaf("d");
    let explanation = explained(&world, "d", presenting(&[&leaf])).await;
    assert_eq!(
        explanation.sentence,
        "The issuer of CN=d, CN=I 1, was neither presented nor is it configured."
    );
    assert_mended_by(
        &explanation,
        ReasonCode::ChainIncomplete,
        "muster explain TRACKING --chain-out d-full-chain.pem && cat I-1.pem >> d-full-chain.pem",
    );
    assert_mended_by(
        &explanation,
        ReasonCode::ChainIncomplete,
        "muster explain TRACKING --chain-out d.pem && muster iot dps enrollment create --dps-name muster-dps \
         --enrollment-id d --attestation-type x509 --certificate-path d.pem",
    );
    assert!(
        explanation
            .steps
            .iter()
            .any(|step| step.contains("root is CN=R, verified"))
    );
}

#[tokio::test]
async fn a_command_that_would_trust_a_stranger_comes_with_a_caution() {
    let (world, _root) = with_verified_root().await;
    let own = Ca::root("Own");
    let cautions = |explanation: &Explanation| -> bool {
        explanation
            .steps
            .iter()
            .any(|step| step.starts_with("Run a command"))
    };
    let stranger = explained(&world, "d", presenting(&[&own.leaf("d"), own.certificate()])).await;
    assert!(
        stranger
            .remedies
            .iter()
            .any(|command| command.contains("--verified true")),
        "{stranger:#?}"
    );
    assert!(cautions(&stranger), "{stranger:#?}");
    let forged = explained(&world, "d", presenting(&[&own.leaf("e")])).await;
    assert_eq!(forged.reason, ReasonCode::CommonNameDiffers);
    assert!(!cautions(&forged), "{forged:#?}");
}

#[tokio::test]
async fn an_anchor_that_is_not_verified_is_named_and_verified() {
    let (world, root) = (World::new().await, Ca::root("R"));
    world.upload("root", root.certificate(), false).await;
    world.group_by_name("by-name", "root", ENABLED).await;
    let explanation = explained(&world, "d", presenting(&[&root.leaf("d")])).await;
    assert_mended_by(
        &explanation,
        ReasonCode::AnchorNotVerified,
        "muster iot dps certificate update --dps-name muster-dps --certificate-name root --etag '*' --verified true",
    );
    assert_mended_by(
        &explanation,
        ReasonCode::AnchorNotVerified,
        "muster iot dps certificate generate-verification-code --dps-name muster-dps --certificate-name root --etag '*'",
    );
}

#[tokio::test]
async fn a_group_certificate_that_was_never_uploaded_is_exported_and_uploaded() {
    let (world, root) = (World::new().await, Ca::root("R"));
    world.group("on-root", root.certificate(), ENABLED).await;
    let leaf = root.leaf("d");
    let explanation = explained(&world, "d", presenting(&[&leaf, root.certificate()])).await;
    assert_mended_by(
        &explanation,
        ReasonCode::AnchorNotVerified,
        "muster explain TRACKING --chain-out R.pem --from 1 && muster iot dps certificate create --dps-name muster-dps \
         --certificate-name R --path R.pem --verified true",
    );
}

#[tokio::test]
async fn an_unknown_root_is_uploaded_and_enrolled() {
    let (world, _) = with_verified_root().await;
    let other = Ca::root("Other root");
    let leaf = other.leaf("d");
    let explanation = explained(&world, "d", presenting(&[&leaf, other.certificate()])).await;
    assert_mended_by(
        &explanation,
        ReasonCode::AnchorUnknown,
        "muster explain TRACKING --chain-out Other-root.pem --from 1 && muster iot dps certificate create --dps-name \
         muster-dps --certificate-name Other-root --path Other-root.pem --verified true && muster iot dps \
         enrollment-group create --dps-name muster-dps --enrollment-id Other-root --ca-name Other-root",
    );
}

#[tokio::test]
async fn disabled_entries_are_enabled() {
    let (world, root) = with_verified_root().await;
    let leaf = root.leaf("d");
    world.group("on-root", root.certificate(), DISABLED).await;
    assert_mended_by(
        &explained(&world, "d", presenting(&[&leaf])).await,
        ReasonCode::GroupDisabled,
        "muster iot dps enrollment-group update --dps-name muster-dps --enrollment-id on-root --provisioning-status enabled",
    );
    world.individual("d", &leaf, DISABLED).await;
    assert_mended_by(
        &explained(&world, "d", presenting(&[&leaf])).await,
        ReasonCode::EnrollmentDisabled,
        "muster iot dps enrollment update --dps-name muster-dps --enrollment-id d --provisioning-status enabled",
    );
    let other = root.leaf("e");
    world.individual("holder", &other, DISABLED).await;
    assert_mended_by(
        &explained(&world, "e", presenting(&[&other])).await,
        ReasonCode::CertificateDisabled,
        "muster iot dps enrollment delete --dps-name muster-dps --enrollment-id holder",
    );
    world.group_with_key("keys", &key(1), DISABLED).await;
    let derived = crate::attestation::derive(&key(1), "f").unwrap();
    let credential = signing("0ne000A1B2C/registrations/f", &derived, NOW.seconds() + 60);
    assert_mended_by(
        &explained(&world, "f", credential).await,
        ReasonCode::GroupDisabled,
        "muster iot dps enrollment-group update --dps-name muster-dps --enrollment-id keys --provisioning-status enabled",
    );
}

#[tokio::test]
async fn leaves_that_do_not_fit_are_enrolled_or_made_anew() {
    let (world, root) = with_verified_root().await;
    world.individual("d", root.certificate(), ENABLED).await;
    assert_mended_by(
        &explained(&world, "d", presenting(&[&root.leaf("d")])).await,
        ReasonCode::LeafNotEnrolled,
        "muster explain TRACKING --chain-out d.pem && muster iot dps enrollment update --dps-name muster-dps \
         --enrollment-id d --certificate-path d.pem",
    );
    let make = "muster cert self-signed e --cert e.pem --cert-key e.key.pem && muster iot dps enrollment create \
                --dps-name muster-dps --enrollment-id e --attestation-type x509 --certificate-path e.pem";
    let expired = explained(&world, "e", presenting(&[&root.leaf_between("e", -9, -2)])).await;
    assert_mended_by(&expired, ReasonCode::Expired, make);
    assert!(
        expired.sentence.contains("2 d 0 h before"),
        "{}",
        expired.sentence
    );
    let early = explained(&world, "e", presenting(&[&root.leaf_between("e", 3, 9)])).await;
    assert_mended_by(&early, ReasonCode::NotYetValid, make);
    assert!(early.sentence.contains("3 d 0 h after"), "{}", early.sentence);
    let differs = explained(&world, "e", presenting(&[&root.leaf("x")])).await;
    assert_mended_by(&differs, ReasonCode::CommonNameDiffers, make);
}

#[tokio::test]
async fn a_self_signed_device_lacks_an_enrollment_of_its_own() {
    let (world, _) = with_verified_root().await;
    assert_mended_by(
        &explained(&world, "d", presenting(&[&Ca::self_signed_device("d")])).await,
        ReasonCode::NoEnrollment,
        "muster explain TRACKING --chain-out d.pem && muster iot dps enrollment create --dps-name muster-dps \
         --enrollment-id d --attestation-type x509 --certificate-path d.pem",
    );
}

#[tokio::test]
async fn a_verified_ca_without_a_group_gets_one() {
    let (world, root) = (World::new().await, Ca::root("R"));
    world.upload("root", root.certificate(), true).await;
    assert_mended_by(
        &explained(&world, "d", presenting(&[&root.leaf("d")])).await,
        ReasonCode::NoEnrollment,
        "muster iot dps enrollment-group create --dps-name muster-dps --enrollment-id root --ca-name root",
    );
}

#[tokio::test]
async fn a_reference_whose_certificate_was_deleted_is_found() {
    let (world, root) = (World::new().await, Ca::root("R"));
    world.upload("root", root.certificate(), true).await;
    world.group_by_name("by-name", "root", ENABLED).await;
    world.withdraw("root").await;
    assert_mended_by(
        &explained(&world, "d", presenting(&[&root.leaf("d")])).await,
        ReasonCode::CaReferenceMissing,
        "muster iot dps certificate create --dps-name muster-dps --certificate-name root --path root.pem --verified true",
    );
}

#[tokio::test]
async fn a_forged_issuer_gets_no_command_that_would_admit_it() {
    let (world, root) = with_verified_root().await;
    let forger = root.forger("forger");
    let chain = [&forger.leaf("victim"), forger.certificate()];
    let explanation = explained(&world, "victim", presenting(&chain)).await;
    assert_eq!(explanation.reason, ReasonCode::IssuerNotCa);
    assert_eq!(explanation.remedies, Vec::<String>::new());
    let stranger = Ca::root("R");
    let explanation = explained(&world, "d", presenting(&[&stranger.leaf("d")])).await;
    assert_eq!(explanation.reason, ReasonCode::IssuerSignatureWrong);
    assert_eq!(explanation.remedies, Vec::<String>::new());
}

#[tokio::test]
async fn tokens_are_explained_from_what_they_claim() {
    let world = World::new().await;
    world.individual_with_keys("d", &key(1), ENABLED).await;
    world.individual("x", &Ca::self_signed_device("x"), ENABLED).await;
    let token = |id: &str, fill: u8, expiry: i64| {
        signing(
            &format!("0ne000A1B2C/registrations/{id}"),
            &key(fill),
            NOW.seconds() + expiry,
        )
    };
    assert_mended_by(
        &explained(&world, "d", token("d", 2, 60)).await,
        ReasonCode::TokenSignatureWrong,
        "muster iot dps enrollment show --dps-name muster-dps --enrollment-id d --show-keys",
    );
    let expired = explained(&world, "d", token("d", 1, -7_200)).await;
    assert_mended_by(
        &expired,
        ReasonCode::TokenExpired,
        "muster iot device registration create --dps-name muster-dps --registration-id d",
    );
    assert!(
        expired.sentence.contains("2 h 0 min before"),
        "{}",
        expired.sentence
    );
    let audience = explained(&world, "d", token("e", 1, 60)).await;
    assert!(
        audience
            .sentence
            .contains("should have been for 0ne000A1B2C/registrations/d")
    );
    assert_mended_by(
        &explained(&world, "x", token("x", 1, 60)).await,
        ReasonCode::WrongAttestationType,
        "muster iot dps enrollment delete --dps-name muster-dps --enrollment-id x && muster iot dps enrollment create \
         --dps-name muster-dps --enrollment-id x --attestation-type symmetrickey",
    );
    assert_mended_by(
        &explained(&world, "n", token("n", 1, 60)).await,
        ReasonCode::NoEnrollment,
        "muster iot dps enrollment create --dps-name muster-dps --enrollment-id n --attestation-type symmetrickey",
    );
    world.group_with_key("keys", &key(7), ENABLED).await;
    assert_mended_by(
        &explained(&world, "n", token("n", 7, 60)).await,
        ReasonCode::TokenSignatureWrong,
        "muster iot dps enrollment-group compute-device-key --dps-name muster-dps --enrollment-id keys --registration-id n",
    );
    let nothing = explained(&world, "d", Credential::default()).await;
    assert_eq!(nothing.reason, ReasonCode::NoCredential);
    let tpm = Credential {
        tpm: true,
        ..Credential::default()
    };
    assert_eq!(
        explained(&world, "q", tpm).await.reason,
        ReasonCode::TpmUnsupported
    );
}

#[tokio::test]
async fn a_device_without_a_hub_is_told_what_to_link() {
    let (world, root) = with_verified_root().await;
    let leaf = root.leaf("d");
    world.relink(Vec::new()).await;
    assert_mended_by(
        &explained(&world, "d", presenting(&[&leaf])).await,
        ReasonCode::NoHubToAssign,
        "muster iot dps linked-hub create --dps-name muster-dps --hub-name hub-1",
    );
    let terms = TermsChange {
        allocation: Some(AllocationPolicy::Static),
        ..with_status(ENABLED)
    };
    let attestation =
        muster_model::dps::AttestationChange::X509(muster_model::dps::X509Change::SigningCertificates {
            primary: muster_model::dps::SlotChange::Set(root.certificate().clone()),
            secondary: muster_model::dps::SlotChange::Clear,
        });
    world.group_of("on-root", attestation, terms).await;
    assert_mended_by(
        &explained(&world, "d", presenting(&[&leaf])).await,
        ReasonCode::NoHubToAssign,
        "muster iot dps enrollment-group update --dps-name muster-dps --enrollment-id on-root --allocation-policy hashed",
    );
}

#[tokio::test]
async fn what_would_be_admitted_by_now_is_said_so() {
    let (world, root) = with_verified_root().await;
    let attempt = world.attempt("d", presenting(&[&root.leaf("d")]));
    let explanation = explain(&world, &attempt, ReasonCode::AnchorUnknown).await;
    assert_eq!(explanation.reason, ReasonCode::AnchorUnknown);
    assert!(
        explanation.sentence.contains("would be admitted"),
        "{}",
        explanation.sentence
    );
    assert_eq!(explanation.remedies, Vec::<String>::new());
}

#[tokio::test]
async fn an_unknown_scope_is_left_to_the_control_plane() {
    let world = World::new().await;
    let mut attempt = world.attempt("d", Credential::default());
    let mut service = (*attempt.service).clone();
    service.id_scope = muster_model::IdScope::parse("0neFFFF").unwrap();
    attempt.service = Arc::new(service);
    let explanation = explain(&world, &attempt, ReasonCode::ScopeUnknown).await;
    assert_eq!(explanation.reason, ReasonCode::ScopeUnknown);
    let sentences: BTreeSet<&str> = explanation.remedies.iter().map(String::as_str).collect();
    assert!(sentences.contains("muster iot dps list"));
}
