//! Who gets a permit, and the reason of each refusal.

use std::time::Duration;

use muster_model::{DpsRights, ErrorCode, HubRights, IfMatch, ReasonCode, SymmetricKey};
use muster_pki::Sha256;
use proptest::prelude::*;

use super::{NOW, TOKEN, World, hub_request, token};
use crate::sas::{Audience, Case};
use crate::{Basis, Credential, KeySlot, PolicyDraft};

const ROOTS: &[&str] = &["muster-hub.azure-devices.muster.localhost", "localhost"];

fn audience(path: &str) -> Audience<'_> {
    Audience { roots: ROOTS, path }
}

#[tokio::test]
async fn only_the_operators_token_makes_an_operator() {
    let world = World::new().await;
    assert!(world.access.operator(Credential::Bearer(TOKEN)).is_ok());
    for (credential, reason) in [
        (Credential::Bearer("another"), ReasonCode::OperatorTokenWrong),
        (Credential::Bearer(""), ReasonCode::OperatorTokenWrong),
        (Credential::Nothing, ReasonCode::NoCredential),
    ] {
        let error = world.access.operator(credential).unwrap_err();
        assert_eq!(error.reason(), Some(reason));
        assert_eq!(error.code(), ErrorCode::ArmUnauthenticated);
    }
}

#[tokio::test]
async fn nobody_is_the_operator_before_the_first_start() {
    let world = World::empty().await;
    assert!(world.access.operator(Credential::Bearer("")).is_err());
}

#[tokio::test]
async fn the_operator_may_do_everything_on_a_hub_and_a_service() {
    let world = World::new().await;
    let hub = world
        .access
        .hub(&world.hub(), Credential::Bearer(TOKEN), audience("/devices"), NOW)
        .unwrap();
    assert_eq!(hub.basis(), &Basis::Operator);
    for (right, _) in HubRights::NAMED {
        hub.require(*right).unwrap();
    }
    let service = world
        .access
        .service(
            &world.service(),
            Credential::Bearer(TOKEN),
            audience("/enrollments"),
            NOW,
        )
        .unwrap();
    for (right, _) in DpsRights::NAMED {
        service.require(*right).unwrap();
    }
    let wrong = world
        .access
        .hub(&world.hub(), Credential::Bearer("x"), audience("/devices"), NOW)
        .unwrap_err();
    assert_eq!(wrong.code(), ErrorCode::IotHubUnauthorizedAccess);
}

#[tokio::test]
async fn a_permit_of_a_hub_falls_with_what_it_rests_on() {
    let world = World::new().await;
    let hub = world.hub();
    let policy = hub
        .policies
        .iter()
        .find(|one| one.name.as_str() == "service")
        .unwrap();
    let signed = token("localhost", &policy.secondary, "service", NOW);
    let by_policy = world
        .access
        .hub(&hub, Credential::Sas(&signed), audience("/devices"), NOW)
        .unwrap();
    let by_operator = world
        .access
        .hub(&hub, Credential::Bearer(TOKEN), audience("/devices"), NOW)
        .unwrap();
    let skew = world.access.skew();
    assert!(by_policy.stands(&world.directory, NOW.plus(skew)));
    assert!(!by_policy.stands(&world.directory, NOW.plus(skew + Duration::from_secs(1))));
    assert!(by_operator.stands(&world.directory, NOW.plus(Duration::from_secs(1 << 30))));
    // Another change of the hub, and a change of the key that did not sign, take nothing away.
    let mut request = hub_request("muster-hub");
    request.policies = hub
        .policies
        .iter()
        .map(|one| PolicyDraft {
            name: one.name.clone(),
            primary: None,
            secondary: Some(one.secondary.clone()),
            rights: one.rights,
        })
        .collect();
    let operator = world.operator();
    let put = |request| world.hubs.put(&operator, request, IfMatch::Any, NOW);
    put(request.clone()).await.unwrap();
    assert!(by_policy.stands(&world.directory, NOW));
    for one in &mut request.policies {
        one.secondary = None;
    }
    put(request).await.unwrap();
    assert!(!by_policy.stands(&world.directory, NOW));
    assert!(by_operator.stands(&world.directory, NOW));
    world
        .estate
        .replace_operator(&world.operator(), Sha256::of(b"the next token").0)
        .await
        .unwrap();
    assert!(!by_operator.stands(&world.directory, NOW));
}

#[tokio::test]
async fn each_wrong_token_has_its_own_reason() {
    let world = World::new().await;
    let hub = world.hub();
    let policy = hub
        .policies
        .iter()
        .find(|one| one.name.as_str() == "service")
        .unwrap();
    let ahead = NOW.plus(Duration::from_mins(1));
    let judge = |token: &muster_model::SasToken| {
        world
            .access
            .hub(&hub, Credential::Sas(token), audience("/devices/d1"), NOW)
            .map(|permit| permit.basis().clone())
            .map_err(|error| error.reason().unwrap())
    };
    let good = token(ROOTS[0], &policy.primary, "SERVICE", ahead);
    assert_eq!(
        judge(&good),
        Ok(Basis::Policy {
            name: policy.name.clone(),
            slot: KeySlot::Primary
        })
    );
    let second = token("LOCALHOST:8443", &policy.secondary, "service", ahead);
    assert!(matches!(
        judge(&second),
        Ok(Basis::Policy {
            slot: KeySlot::Secondary,
            ..
        })
    ));
    let in_grace = token(
        ROOTS[0],
        &policy.primary,
        "service",
        NOW.minus(Duration::from_mins(5)),
    );
    assert!(judge(&in_grace).is_ok());

    let other_key = SymmetricKey::new(vec![1; 32]).unwrap();
    for (bad, reason) in [
        (
            token(ROOTS[0], &policy.primary, "nobody", ahead),
            ReasonCode::PolicyUnknown,
        ),
        (
            token("other.host", &policy.primary, "service", ahead),
            ReasonCode::AudienceWrong,
        ),
        (
            token("localhost/devices/d2", &policy.primary, "service", ahead),
            ReasonCode::AudienceWrong,
        ),
        (
            token(ROOTS[0], &other_key, "service", ahead),
            ReasonCode::TokenSignatureWrong,
        ),
        (
            token(
                ROOTS[0],
                &policy.primary,
                "service",
                NOW.minus(Duration::from_secs(301)),
            ),
            ReasonCode::TokenExpired,
        ),
    ] {
        assert_eq!(judge(&bad), Err(reason));
    }
    let mut cut = good;
    cut.signature.truncate(31);
    assert_eq!(judge(&cut), Err(ReasonCode::TokenSignatureWrong));
}

#[tokio::test]
async fn a_missing_right_is_refused_by_the_permit_with_the_code_of_its_plane() {
    let world = World::new().await;
    let hub = world.hub();
    let device = hub
        .policies
        .iter()
        .find(|one| one.name.as_str() == "device")
        .unwrap();
    let shown = token(ROOTS[0], &device.primary, "device", NOW);
    let permit = world
        .access
        .hub(&hub, Credential::Sas(&shown), audience("/devices"), NOW)
        .unwrap();
    let error = permit.require(HubRights::REGISTRY_READ).unwrap_err();
    assert_eq!(error.reason(), Some(ReasonCode::PolicyLacksRight));
    assert_eq!(error.code(), ErrorCode::IotHubUnauthorizedAccess);
}

#[test]
fn a_token_covers_whole_segments_below_it() {
    for (resource, path, covered) in [
        ("localhost", "/devices/d1/messages/events", true),
        ("localhost/", "/devices/d1", true),
        ("localhost/devices", "/devices/d1", true),
        ("localhost/devices/d1", "/devices/d1/messages/events", true),
        ("localhost:8443/devices/d1", "devices/d1", true),
        ("sb://localhost/devices", "/devices", true),
        ("localhost/devices/d", "/devices/d1", false),
        ("localhost/devices/d1/messages", "/devices/d1", false),
        ("localhost/devices/D1", "/devices/d1", false),
        ("localhos", "/devices/d1", false),
        ("", "/devices/d1", false),
        ("/devices/d1", "/devices/d1", false),
        ("devices/d1", "/devices/d1", false),
    ] {
        assert_eq!(
            audience(path).is_covered_by(resource, Case::Matters),
            covered,
            "{resource} for {path}"
        );
    }
    assert!(audience("/devices/d1").is_covered_by("localhost/devices/D1", Case::Folded));
}

proptest! {
    #[test]
    fn covering_never_panics_and_is_a_prefix(
        resource in "[a-z/:.%]{0,40}", path in "[a-z/:.%]{0,40}", more in "[a-z]{1,8}",
    ) {
        if audience(&path).is_covered_by(&resource, Case::Matters) {
            let below = format!("{path}/{more}");
            prop_assert!(audience(&below).is_covered_by(&resource, Case::Matters));
        }
    }

    #[test]
    fn a_signature_of_another_key_or_text_never_counts(
        key in prop::collection::vec(any::<u8>(), 16..65),
        other in prop::collection::vec(any::<u8>(), 16..65),
        text in "[ -~]{1,60}",
    ) {
        prop_assume!(key != other);
        let (key, other) = (SymmetricKey::new(key).unwrap(), SymmetricKey::new(other).unwrap());
        let signed = token(&text, &key, "p", NOW);
        prop_assert!(crate::sas::is_signed_with(&key, &signed));
        // HMAC fills short keys with zeros: two keys that differ only there are one key.
        let padded = |key: &SymmetricKey| {
            let mut bytes = key.bytes().to_vec();
            bytes.resize(64, 0);
            bytes
        };
        prop_assert_eq!(crate::sas::is_signed_with(&other, &signed), padded(&key) == padded(&other));
        let mut changed = signed;
        changed.signed_text.push('0');
        prop_assert!(!crate::sas::is_signed_with(&key, &changed));
    }
}
