//! Every example of the contract's pages on certificates and tokens, through the public verbs.

use muster_model::dps::{
    AttestationChange, IndividualChange, ProvisioningStatus, RegistrationStatus, SlotChange, X509Change,
};
use muster_model::{ErrorCode, IfMatch, ReasonCode};
use muster_pki::Certificate;

use crate::fixtures::{Ca, NOW, World, group_id, id, key, name, presenting, signing, with_status};
use crate::{Error, Operation};

const ENABLED: ProvisioningStatus = ProvisioningStatus::Enabled;
const DISABLED: ProvisioningStatus = ProvisioningStatus::Disabled;

fn refused(outcome: Result<Operation, Error>) -> ReasonCode {
    outcome.unwrap_err().reason().unwrap()
}

fn admitted_by(outcome: Result<Operation, Error>) -> Option<String> {
    let state = outcome.unwrap().state;
    assert_eq!(state.status, RegistrationStatus::Assigned);
    state.group.map(|group| group.to_string())
}

/// R verified, a group on I2, and D below I2 below I1 below R.
struct Chain4 {
    world: World,
    root: Ca,
    first: Ca,
    second: Ca,
    leaf: Certificate,
}

impl Chain4 {
    async fn new() -> Self {
        let root = Ca::root("R");
        let first = root.sub("I1");
        let second = first.sub("I2");
        let leaf = second.leaf("d");
        let world = World::new().await;
        world.upload("root", root.certificate(), true).await;
        world.group("on-i2", second.certificate(), ENABLED).await;
        Self {
            world,
            root,
            first,
            second,
            leaf,
        }
    }
}

#[tokio::test]
async fn chains_are_taken_in_whatever_order_and_with_or_without_the_root() {
    let c = Chain4::new().await;
    let (i1, i2, r) = (
        c.first.certificate(),
        c.second.certificate(),
        c.root.certificate(),
    );
    for chain in [
        vec![&c.leaf, i2, i1, r],
        vec![&c.leaf, i2, i1],
        vec![&c.leaf, r, i1, i2],
        vec![&c.leaf, i1],
    ] {
        assert_eq!(
            admitted_by(c.world.register("d", &chain).await).as_deref(),
            Some("on-i2")
        );
    }
}

#[tokio::test]
async fn a_chain_that_stops_too_early_is_incomplete() {
    let c = Chain4::new().await;
    for chain in [vec![&c.leaf, c.second.certificate()], vec![&c.leaf]] {
        let outcome = c.world.register("d", &chain).await;
        let error = outcome.unwrap_err();
        assert_eq!(error.reason(), Some(ReasonCode::ChainIncomplete));
        assert_eq!(error.code(), ErrorCode::DpsCaNotFound);
        assert_eq!(
            c.world.store.state("d"),
            None,
            "nothing is written for a stranger"
        );
    }
}

#[tokio::test]
async fn an_intermediate_that_is_verified_itself_needs_nothing_above() {
    let c = Chain4::new().await;
    c.world.upload("second", c.second.certificate(), true).await;
    for chain in [vec![&c.leaf, c.second.certificate()], vec![&c.leaf]] {
        assert_eq!(
            admitted_by(c.world.register("d", &chain).await).as_deref(),
            Some("on-i2")
        );
    }
}

#[tokio::test]
async fn a_leaf_alone_is_admitted_by_a_group_on_the_verified_root_that_issued_it() {
    let (world, root) = (World::new().await, Ca::root("R"));
    world.upload("root", root.certificate(), true).await;
    world.group("on-root", root.certificate(), ENABLED).await;
    assert_eq!(
        admitted_by(world.register("d", &[&root.leaf("d")]).await).as_deref(),
        Some("on-root")
    );
}

#[tokio::test]
async fn a_group_certificate_that_chains_to_nothing_verified_grants_nothing() {
    let (world, root) = (World::new().await, Ca::root("R"));
    world.group("on-root", root.certificate(), ENABLED).await;
    let leaf = root.leaf("d");
    assert_eq!(
        refused(world.register("d", &[&leaf]).await),
        ReasonCode::AnchorNotVerified
    );
    world.upload("root", root.certificate(), false).await;
    assert_eq!(
        refused(world.register("d", &[&leaf]).await),
        ReasonCode::AnchorNotVerified
    );
    world.upload("root", root.certificate(), true).await;
    assert!(world.register("d", &[&leaf]).await.is_ok());
}

#[tokio::test]
async fn a_verified_certificate_between_leaf_and_group_is_enough() {
    let world = World::new().await;
    let root = Ca::root("R");
    let sub = root.sub("I");
    world.upload("sub", sub.certificate(), true).await;
    world.group("on-root", root.certificate(), ENABLED).await;
    assert_eq!(
        admitted_by(world.register("d", &[&sub.leaf("d")]).await).as_deref(),
        Some("on-root")
    );
}

#[tokio::test]
async fn groups_by_reference_need_the_named_certificate_to_be_there_and_verified() {
    let (world, root) = (World::new().await, Ca::root("R"));
    let leaf = root.leaf("d");
    world.upload("Root", root.certificate(), false).await;
    world.group_by_name("by-name", "ROOT", ENABLED).await;
    assert_eq!(
        refused(world.register("d", &[&leaf]).await),
        ReasonCode::AnchorNotVerified
    );
    world.upload("Root", root.certificate(), true).await;
    assert_eq!(
        admitted_by(world.register("d", &[&leaf]).await).as_deref(),
        Some("by-name")
    );
    world.withdraw("Root").await;
    assert_eq!(
        refused(world.register("d", &[&leaf]).await),
        ReasonCode::ChainIncomplete
    );
}

#[tokio::test]
async fn a_reference_that_is_not_verified_itself_is_not_saved_by_another_on_the_path() {
    let world = World::new().await;
    let root = Ca::root("R");
    let sub = root.sub("I");
    world.upload("root", root.certificate(), true).await;
    world.upload("sub", sub.certificate(), false).await;
    world.group_by_name("by-name", "sub", ENABLED).await;
    let leaf = sub.leaf("d");
    assert_eq!(
        refused(world.register("d", &[&leaf]).await),
        ReasonCode::AnchorNotVerified
    );
}

#[tokio::test]
async fn the_group_nearest_the_leaf_decides() {
    let c = Chain4::new().await;
    c.world.group("on-root", c.root.certificate(), ENABLED).await;
    let chain = [&c.leaf, c.second.certificate(), c.first.certificate()];
    assert_eq!(
        admitted_by(c.world.register("d", &chain).await).as_deref(),
        Some("on-i2")
    );
}

#[tokio::test]
async fn a_disabled_group_blocks_what_a_group_above_it_would_admit() {
    let c = Chain4::new().await;
    c.world.group("on-root", c.root.certificate(), ENABLED).await;
    c.world.group("on-i2", c.second.certificate(), DISABLED).await;
    // The root between, so that a walk in the presented order would meet the enabled group first.
    for chain in [
        vec![
            &c.leaf,
            c.root.certificate(),
            c.second.certificate(),
            c.first.certificate(),
        ],
        vec![&c.leaf, c.first.certificate()],
    ] {
        let operation = c.world.register("d", &chain).await.unwrap();
        assert_eq!(operation.refusal, Some(ReasonCode::GroupDisabled));
        assert_eq!(operation.state.status, RegistrationStatus::Disabled);
        assert_eq!(operation.id, None);
    }
    c.world
        .groups
        .delete(&c.world.permit(), &group_id("on-i2"), IfMatch::Any)
        .await
        .unwrap();
    let chain = [&c.leaf, c.second.certificate(), c.first.certificate()];
    assert_eq!(
        admitted_by(c.world.register("d", &chain).await).as_deref(),
        Some("on-root")
    );
}

#[tokio::test]
async fn a_disabled_group_answers_a_stranger_with_nothing() {
    let (world, root) = (World::new().await, Ca::root("R"));
    world.group("blocked", root.certificate(), DISABLED).await;
    assert_eq!(
        refused(world.register("d", &[&root.leaf("d")]).await),
        ReasonCode::AnchorNotVerified
    );
    assert_eq!(world.store.state("d"), None);
}

#[tokio::test]
async fn a_disabled_group_blocks_the_same_ca_in_another_certificate() {
    let world = World::new().await;
    let (old, new) = (Ca::root("Old"), Ca::root("New"));
    let sub = old.sub("I");
    let renewed = sub.again_under(&new);
    world.upload("new", new.certificate(), true).await;
    world.group("all", new.certificate(), ENABLED).await;
    let leaf = sub.leaf("d");
    assert!(world.register("d", &[&leaf, &renewed]).await.is_ok());
    world.group("blocked", sub.certificate(), DISABLED).await;
    for chain in [vec![&leaf, &renewed], vec![&leaf, sub.certificate(), &renewed]] {
        let operation = world.register("d", &chain).await.unwrap();
        assert_eq!(operation.refusal, Some(ReasonCode::GroupDisabled));
    }
}

#[tokio::test]
async fn cross_signed_paths_are_all_tried_and_the_nearest_group_decides() {
    let world = World::new().await;
    let (old, new) = (Ca::root("Old"), Ca::root("New"));
    let sub = old.sub("I");
    let renewed = sub.again_under(&new);
    world.upload("old", old.certificate(), true).await;
    world.upload("new", new.certificate(), true).await;
    world.group("on-new", new.certificate(), ENABLED).await;
    let leaf = sub.leaf("d");
    let chain = [&leaf, sub.certificate(), &renewed];
    assert_eq!(
        admitted_by(world.register("d", &chain).await).as_deref(),
        Some("on-new")
    );
    // A group that the first verified path meets does not win over a nearer one on another path.
    world.group("on-old", old.certificate(), ENABLED).await;
    world.group("on-renewed", &renewed, ENABLED).await;
    assert_eq!(
        admitted_by(world.register("d", &chain).await).as_deref(),
        Some("on-renewed")
    );
}

#[tokio::test]
async fn two_cas_of_one_name_are_told_apart_by_their_keys() {
    let world = World::new().await;
    let (one, other) = (Ca::root("Same"), Ca::root("Same"));
    world.upload("one", one.certificate(), true).await;
    world.upload("other", other.certificate(), false).await;
    world.group("on-one", one.certificate(), ENABLED).await;
    assert!(world.register("d", &[&one.leaf("d")]).await.is_ok());
    assert_eq!(
        refused(world.register("e", &[&other.leaf("e")]).await),
        ReasonCode::AnchorNotVerified
    );
    let stranger = Ca::root("Same");
    assert_eq!(
        refused(world.register("f", &[&stranger.leaf("f")]).await),
        ReasonCode::IssuerSignatureWrong
    );
}

#[tokio::test]
async fn two_hundred_cas_of_one_name_cost_no_more_than_one() {
    let world = World::new().await;
    let ours = Ca::root("Same");
    world.upload("ours", ours.certificate(), true).await;
    world.group("on-ours", ours.certificate(), ENABLED).await;
    for n in 0..200 {
        world.estate.upload(
            name(&format!("other-{n}")),
            Ca::root("Same").certificate().clone(),
            true,
        );
    }
    world.directory.refresh().await.unwrap();
    assert_eq!(
        admitted_by(world.register("d", &[&ours.leaf("d")]).await).as_deref(),
        Some("on-ours")
    );
    // A stranger of that name meets the bound instead.
    assert_eq!(
        refused(world.register("e", &[&Ca::root("Same").leaf("e")]).await),
        ReasonCode::TooManyCandidates
    );
}

#[tokio::test]
async fn a_tolerated_leaf_may_not_sign_another_name() {
    let (world, root) = (World::new().await, Ca::root("R"));
    world.upload("root", root.certificate(), true).await;
    world.group("on-root", root.certificate(), ENABLED).await;
    let forger = root.forger("forger");
    assert!(world.register("forger", &[forger.certificate()]).await.is_ok());
    assert_eq!(
        refused(
            world
                .register("victim", &[&forger.leaf("victim"), forger.certificate()])
                .await
        ),
        ReasonCode::IssuerNotCa
    );
}

#[tokio::test]
async fn a_stranger_who_appends_a_verified_certificate_gains_nothing() {
    let (world, root, own) = (World::new().await, Ca::root("R"), Ca::root("Own"));
    world.upload("root", root.certificate(), true).await;
    world.group("on-root", root.certificate(), ENABLED).await;
    let chain = [&own.leaf("d"), own.certificate(), root.certificate()];
    assert_eq!(
        refused(world.register("d", &chain).await),
        ReasonCode::AnchorUnknown
    );
}

#[tokio::test]
async fn a_disabled_group_counts_however_many_stand_on_its_certificate() {
    let (world, root) = (World::new().await, Ca::root("R"));
    world.upload("root", root.certificate(), true).await;
    for number in 0..70 {
        let name = format!("group-{number:02}");
        world.group(&name, root.certificate(), ENABLED).await;
    }
    let leaf = root.leaf("d");
    assert!(world.register("d", &[&leaf]).await.is_ok());
    world.group("last", root.certificate(), DISABLED).await;
    let operation = world.register("d", &[&leaf]).await.unwrap();
    assert_eq!(operation.refusal, Some(ReasonCode::GroupDisabled));
}

#[tokio::test]
async fn a_verified_path_without_a_group_is_not_enrolled() {
    let (world, root) = (World::new().await, Ca::root("R"));
    world.upload("root", root.certificate(), true).await;
    let error = world.register("d", &[&root.leaf("d")]).await.unwrap_err();
    assert_eq!(error.reason(), Some(ReasonCode::NoEnrollment));
    assert_eq!(error.code(), ErrorCode::DpsCaNotFound);
}

#[tokio::test]
async fn dates_of_leaf_and_issuers_count() {
    let (world, root) = (World::new().await, Ca::root("R"));
    world.upload("root", root.certificate(), true).await;
    world.group("on-root", root.certificate(), ENABLED).await;
    let ended = root.ended_sub("Ended");
    for (chain, reason) in [
        (vec![root.leaf_between("d", -9, -1)], ReasonCode::Expired),
        (vec![root.leaf_between("d", 1, 9)], ReasonCode::NotYetValid),
        (
            vec![ended.leaf("d"), ended.certificate().clone()],
            ReasonCode::IssuerExpired,
        ),
    ] {
        let chain: Vec<&Certificate> = chain.iter().collect();
        assert_eq!(refused(world.register("d", &chain).await), reason);
    }
    // Dates are asked of an individual enrollment's certificate too.
    let old = root.leaf_between("own", -9, -1);
    world.individual("own", &old, ENABLED).await;
    assert_eq!(refused(world.register("own", &[&old]).await), ReasonCode::Expired);
}

#[tokio::test]
async fn the_common_name_is_the_registration_id_without_case() {
    let world = World::new().await;
    let leaf = Ca::self_signed_device("Device-01");
    world.individual("device-01", &leaf, ENABLED).await;
    assert!(world.register("DEVICE-01", &[&leaf]).await.is_ok());
    let error = world.register("device-02", &[&leaf]).await.unwrap_err();
    assert_eq!(error.reason(), Some(ReasonCode::CommonNameDiffers));
    assert_eq!(error.code(), ErrorCode::DpsInvalidCertificate);
}

#[tokio::test]
async fn an_individual_enrollment_takes_its_leaf_and_asks_for_no_chain() {
    let (world, root) = (World::new().await, Ca::root("R"));
    let (own, other) = (root.leaf("d"), root.leaf("d"));
    world.individual("d", &own, ENABLED).await;
    assert_eq!(admitted_by(world.register("d", &[&own]).await), None);
    assert_eq!(
        admitted_by(world.register("d", &[&own, other_root().certificate()]).await),
        None
    );
    assert_eq!(
        refused(world.register("d", &[&other]).await),
        ReasonCode::LeafNotEnrolled
    );
}

fn other_root() -> Ca {
    Ca::root("Other")
}

#[tokio::test]
async fn both_certificates_of_an_individual_enrollment_are_taken() {
    let world = World::new().await;
    let (first, second) = (Ca::self_signed_device("d"), Ca::self_signed_device("d"));
    let change = IndividualChange {
        id: id("d"),
        device_id: None,
        device_information: None,
        attestation: AttestationChange::X509(X509Change::ClientCertificates {
            primary: SlotChange::Set(first.clone()),
            secondary: SlotChange::Set(second.clone()),
        }),
        terms: with_status(ENABLED),
    };
    world
        .enrollments
        .put(&world.permit(), change, IfMatch::Absent, NOW)
        .await
        .unwrap();
    for leaf in [&first, &second, &first] {
        assert_eq!(admitted_by(world.register("d", &[leaf]).await), None);
    }
}

#[tokio::test]
async fn an_individual_enrollment_that_does_not_fit_hides_the_groups() {
    let (world, root) = (World::new().await, Ca::root("R"));
    world.upload("root", root.certificate(), true).await;
    world.group("on-root", root.certificate(), ENABLED).await;
    // The root instead of the leaf was uploaded.
    world.individual("d", root.certificate(), ENABLED).await;
    assert_eq!(
        refused(world.register("d", &[&root.leaf("d"), root.certificate()]).await),
        ReasonCode::LeafNotEnrolled
    );
    world.individual_with_keys("e", &key(1), ENABLED).await;
    assert_eq!(
        refused(world.register("e", &[&root.leaf("e")]).await),
        ReasonCode::WrongAttestationType
    );
}

#[tokio::test]
async fn a_disabled_individual_enrollment_blocks_a_device_of_a_group() {
    let (world, root) = (World::new().await, Ca::root("R"));
    world.upload("root", root.certificate(), true).await;
    world.group("on-root", root.certificate(), ENABLED).await;
    let leaf = root.leaf("d");
    // With the certificate, with another one, and with keys.
    world.individual("d", &leaf, DISABLED).await;
    let by_certificate = world.register("d", &[&leaf]).await.unwrap();
    world
        .individual("d", &Ca::self_signed_device("d"), DISABLED)
        .await;
    let by_path = world.register("d", &[&leaf]).await.unwrap();
    world.individual_with_keys("d", &key(1), DISABLED).await;
    let with_keys = world.register("d", &[&leaf]).await.unwrap();
    for operation in [by_certificate, by_path, with_keys] {
        assert_eq!(operation.refusal, Some(ReasonCode::EnrollmentDisabled));
        assert_eq!(operation.state.status, RegistrationStatus::Disabled);
    }
    world
        .enrollments
        .delete(&world.permit(), &id("d"), IfMatch::Any)
        .await
        .unwrap();
    assert_eq!(
        admitted_by(world.register("d", &[&leaf]).await).as_deref(),
        Some("on-root")
    );
}

#[tokio::test]
async fn a_stranger_learns_nothing_of_a_disabled_enrollment_and_overwrites_nothing() {
    let world = World::new().await;
    world
        .individual("d", &Ca::self_signed_device("d"), DISABLED)
        .await;
    assert_eq!(
        refused(world.register("d", &[&Ca::self_signed_device("d")]).await),
        ReasonCode::LeafNotEnrolled
    );
    assert_eq!(world.store.state("d"), None);
}

#[tokio::test]
async fn a_stranger_is_answered_as_if_nothing_were_enrolled() {
    let (world, own) = (World::new().await, Ca::root("Own"));
    world
        .individual("disabled", &Ca::self_signed_device("disabled"), DISABLED)
        .await;
    world.individual_with_keys("keys", &key(1), ENABLED).await;
    world.individual_with_keys("no-keys", &key(1), DISABLED).await;
    let ended = own.ended_sub("Ended");
    let chains = |name: &str| -> Vec<Vec<Certificate>> {
        vec![
            vec![Ca::self_signed_device(name)],
            vec![own.leaf(name)],
            vec![own.leaf(name), own.certificate().clone()],
            vec![ended.leaf(name), ended.certificate().clone()],
        ]
    };
    for name in ["disabled", "keys", "no-keys"] {
        for (there, absent) in chains(name).iter().zip(chains("absent")) {
            let answer = |chain: Vec<Certificate>, name| {
                let world = &world;
                async move {
                    let chain: Vec<&Certificate> = chain.iter().collect();
                    world.register(name, &chain).await.unwrap_err().code()
                }
            };
            assert_eq!(
                answer(there.clone(), name).await,
                answer(absent, "absent").await,
                "{name}"
            );
        }
        assert_eq!(world.store.state(name), None);
    }
}

#[tokio::test]
async fn a_certificate_in_a_disabled_enrollment_is_refused_by_every_other() {
    let (world, root) = (World::new().await, Ca::root("R"));
    world.upload("root", root.certificate(), true).await;
    world.group("on-root", root.certificate(), ENABLED).await;
    let leaf = root.leaf("d");
    world.individual("elsewhere", &leaf, DISABLED).await;
    assert_eq!(
        refused(world.register("d", &[&leaf]).await),
        ReasonCode::CertificateDisabled
    );
    world.individual("d", &leaf, ENABLED).await;
    assert_eq!(
        refused(world.register("d", &[&leaf]).await),
        ReasonCode::CertificateDisabled
    );
}

#[tokio::test]
async fn an_individual_enrollment_may_refer_to_a_ca() {
    let (world, root, other) = (World::new().await, Ca::root("R"), Ca::root("S"));
    world.upload("root", root.certificate(), true).await;
    world.upload("other", other.certificate(), true).await;
    let change = IndividualChange {
        id: id("d"),
        device_id: None,
        device_information: None,
        attestation: AttestationChange::X509(X509Change::CaReferences {
            primary: Some(name("root")),
            secondary: None,
        }),
        terms: with_status(ENABLED),
    };
    world
        .enrollments
        .put(&world.permit(), change, IfMatch::Absent, NOW)
        .await
        .unwrap();
    assert_eq!(admitted_by(world.register("d", &[&root.leaf("d")]).await), None);
    assert!(world.register("d", &[&other.leaf("d")]).await.is_err());
    world.withdraw("root").await;
    assert_eq!(
        refused(world.register("d", &[&root.leaf("d")]).await),
        ReasonCode::CaReferenceMissing
    );
}

#[tokio::test]
async fn groups_are_asked_by_index_and_polls_cost_no_second_walk() {
    let c = Chain4::new().await;
    let chain = [&c.leaf, c.second.certificate(), c.first.certificate()];
    let operation = c.world.register("d", &chain).await.unwrap();
    assert_eq!(c.world.store.asked("signing_certificates"), 1);
    assert_eq!(c.world.store.asked("groups_of"), 1);
    let attempt = c.world.attempt("d", presenting(&chain));
    let polled = c
        .world
        .registrar
        .operation(&attempt, &operation.id.unwrap(), NOW)
        .await
        .unwrap();
    assert_eq!(polled.state.status, RegistrationStatus::Assigned);
    // What the cache holds is judged by the trust of the moment.
    c.world.upload("root", c.root.certificate(), false).await;
    assert_eq!(
        refused(c.world.registrar.register(&attempt, NOW).await),
        ReasonCode::AnchorNotVerified
    );
}

#[tokio::test]
async fn individual_keys_sign_tokens() {
    let world = World::new().await;
    world.individual_with_keys("d", &key(1), ENABLED).await;
    assert_eq!(admitted_by(world.register_with("d", &key(1)).await), None);
    let error = world.register_with("d", &key(2)).await.unwrap_err();
    assert_eq!(error.reason(), Some(ReasonCode::TokenSignatureWrong));
    assert_eq!(error.code(), ErrorCode::DpsUnauthorized);
}

#[tokio::test]
async fn derived_keys_sign_tokens_and_the_key_of_the_group_does_not() {
    let world = World::new().await;
    world.group_with_key("first", &key(1), ENABLED).await;
    world.group_with_key("second", &key(2), ENABLED).await;
    let derived = super::sas::derive(&key(2), "Dev").unwrap();
    assert_eq!(
        admitted_by(world.register_with("Dev", &derived).await).as_deref(),
        Some("second")
    );
    let lower = super::sas::derive(&key(2), "other").unwrap();
    assert!(world.register_with("OTHER", &lower).await.is_ok());
    assert_eq!(
        refused(world.register_with("Dev", &key(2)).await),
        ReasonCode::TokenSignatureWrong
    );
}

#[tokio::test]
async fn tokens_are_refused_for_the_wrong_device_the_wrong_time_and_the_wrong_kind() {
    let world = World::new().await;
    world.individual_with_keys("d", &key(1), ENABLED).await;
    let leaf = Ca::self_signed_device("x");
    world.individual("x", &leaf, ENABLED).await;
    let later = NOW.seconds() + 100;
    for (asked, resource, expiry, reason) in [
        (
            "d",
            "0ne000A1B2C/registrations/e",
            later,
            ReasonCode::AudienceWrong,
        ),
        (
            "d",
            "0ne000FFFFF/registrations/d",
            later,
            ReasonCode::AudienceWrong,
        ),
        (
            "d",
            "0ne000A1B2C/registrations/d",
            NOW.seconds() - 301,
            ReasonCode::TokenExpired,
        ),
        (
            "x",
            "0ne000A1B2C/registrations/x",
            later,
            ReasonCode::WrongAttestationType,
        ),
        (
            "n",
            "0ne000A1B2C/registrations/n",
            later,
            ReasonCode::NoEnrollment,
        ),
    ] {
        let attempt = world.attempt(asked, signing(resource, &key(1), expiry));
        let outcome = world.registrar.register(&attempt, NOW).await;
        assert_eq!(refused(outcome), reason, "{resource}");
    }
    for (resource, expiry) in [
        ("0NE000a1b2c/registrations/D", later),
        ("0ne000A1B2C/registrations/d", NOW.seconds() - 299),
    ] {
        let attempt = world.attempt("d", signing(resource, &key(1), expiry));
        assert!(world.registrar.register(&attempt, NOW).await.is_ok());
    }
}

#[tokio::test]
async fn disabled_symmetric_entries_answer_authenticated_devices_only() {
    let world = World::new().await;
    world.group_with_key("group", &key(1), DISABLED).await;
    let derived = super::sas::derive(&key(1), "d").unwrap();
    let operation = world.register_with("d", &derived).await.unwrap();
    assert_eq!(operation.refusal, Some(ReasonCode::GroupDisabled));
    world.individual_with_keys("e", &key(5), DISABLED).await;
    let operation = world.register_with("e", &key(5)).await.unwrap();
    assert_eq!(operation.refusal, Some(ReasonCode::EnrollmentDisabled));
    // The key that the device has from its group authenticates it too.
    let derived = super::sas::derive(&key(1), "e").unwrap();
    let operation = world.register_with("e", &derived).await.unwrap();
    assert_eq!(operation.refusal, Some(ReasonCode::EnrollmentDisabled));
    assert_eq!(
        refused(world.register_with("e", &key(9)).await),
        ReasonCode::TokenSignatureWrong
    );
}

#[tokio::test]
async fn the_search_among_symmetric_groups_is_bounded() {
    let world = World::new().await;
    for n in 0..=super::sas::MAX_SYMMETRIC_GROUPS {
        world
            .group_with_key(&format!("group-{n:05}"), &key(1), ENABLED)
            .await;
    }
    assert_eq!(
        refused(world.register_with("d", &key(2)).await),
        ReasonCode::TooManyCandidates
    );
}

#[tokio::test]
async fn nobody_is_admitted_without_a_credential() {
    let world = World::new().await;
    let mut attempt = world.attempt("d", crate::Credential::default());
    let outcome = world.registrar.register(&attempt, NOW).await;
    assert_eq!(refused(outcome), ReasonCode::NoCredential);
    attempt.credential.tpm = true;
    let outcome = world.registrar.register(&attempt, NOW).await;
    assert_eq!(refused(outcome), ReasonCode::TpmUnsupported);
}
