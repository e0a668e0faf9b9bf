//! The operator's verbs on enrollments, groups and registrations.

use muster_model::access::DpsRights;
use muster_model::dps::{
    AllocationPolicy, Attestation, AttestationChange, CustomAllocation, GroupChange, IndividualChange,
    ProvisioningStatus, SlotChange, TermsChange, X509Attestation, X509Change,
};
use muster_model::twin::InitialTwin;
use muster_model::{ETag, ErrorCode, IfMatch, Json, JsonLimits, ReasonCode};
use muster_pki::Certificate;

use crate::fixtures::{Ca, NOW, World, group_id, hub_name, id, key, link, name, with_status};
use crate::{Bulk, Error};

const ENABLED: ProvisioningStatus = ProvisioningStatus::Enabled;

fn individual(text: &str, attestation: AttestationChange) -> IndividualChange {
    IndividualChange {
        id: id(text),
        device_id: None,
        device_information: None,
        attestation,
        terms: TermsChange::default(),
    }
}

fn keys() -> AttestationChange {
    AttestationChange::SymmetricKey {
        primary: None,
        secondary: None,
    }
}

fn client(primary: SlotChange<Certificate>, secondary: SlotChange<Certificate>) -> AttestationChange {
    AttestationChange::X509(X509Change::ClientCertificates { primary, secondary })
}

fn by_name(text: &str) -> AttestationChange {
    AttestationChange::X509(X509Change::CaReferences {
        primary: Some(name(text)),
        secondary: None,
    })
}

fn tpm() -> AttestationChange {
    AttestationChange::Tpm {
        endorsement_key: "AToAAQALAAMAsgAgg3GXZ0SEs".to_owned(),
        storage_root_key: None,
    }
}

async fn put(world: &World, change: IndividualChange) -> Result<Attestation, Error> {
    let permit = world.permit();
    let written = world
        .enrollments
        .put(&permit, change, IfMatch::Absent, NOW)
        .await?;
    Ok(written.attestation)
}

async fn refused(world: &World, change: IndividualChange) {
    let error = put(world, change).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error:?}");
    assert_eq!(error.code(), ErrorCode::DpsInvalidArgument);
}

#[tokio::test]
async fn keys_are_made_once_and_kept_when_both_are_missing() {
    let world = World::new().await;
    let made = put(&world, individual("d", keys())).await.unwrap();
    let Attestation::SymmetricKey { primary, secondary } = &made else {
        panic!("{made:?}");
    };
    assert_eq!((primary.bytes().len(), secondary.bytes().len()), (64, 64));
    assert_ne!(primary, secondary);
    assert_eq!(put(&world, individual("d", keys())).await.unwrap(), made);
    let one = AttestationChange::SymmetricKey {
        primary: Some(key(4)),
        secondary: None,
    };
    let changed = put(&world, individual("d", one)).await.unwrap();
    let Attestation::SymmetricKey {
        primary,
        secondary: other,
    } = &changed
    else {
        panic!("{changed:?}");
    };
    assert_eq!(*primary, key(4));
    assert_ne!(other, secondary);
}

#[tokio::test]
async fn certificates_are_kept_set_and_cleared_by_slot() {
    let world = World::new().await;
    let (first, second) = (Ca::self_signed_device("d"), Ca::self_signed_device("d"));
    let set = |one: &Certificate| SlotChange::Set(one.clone());
    let expect = |primary: Option<&Certificate>, secondary: Option<&Certificate>| {
        Attestation::X509(X509Attestation::ClientCertificates {
            primary: primary.cloned(),
            secondary: secondary.cloned(),
        })
    };
    for (primary, secondary, stored) in [
        (set(&first), set(&second), expect(Some(&first), Some(&second))),
        (
            SlotChange::Keep,
            SlotChange::Keep,
            expect(Some(&first), Some(&second)),
        ),
        (SlotChange::Keep, SlotChange::Clear, expect(Some(&first), None)),
        (SlotChange::Clear, set(&second), expect(None, Some(&second))),
        // The same certificate twice is taken, and the common name is nobody's business here.
        (set(&second), set(&second), expect(Some(&second), Some(&second))),
    ] {
        let change = individual("other-name", client(primary, secondary));
        assert_eq!(put(&world, change).await.unwrap(), stored);
    }
    refused(
        &world,
        individual("other-name", client(SlotChange::Clear, SlotChange::Clear)),
    )
    .await;
    refused(
        &world,
        individual("new", client(SlotChange::Keep, SlotChange::Keep)),
    )
    .await;
    // Another kind of attestation takes the place of the first.
    assert!(matches!(
        put(&world, individual("other-name", keys())).await.unwrap(),
        Attestation::SymmetricKey { .. }
    ));
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_and_not_stored() {
    let world = World::new().await;
    let terms = |terms: TermsChange| IndividualChange {
        terms,
        ..individual("d", keys())
    };
    world.relink(vec![link(1, 1), link(2, 1)]).await;
    for broken in [
        terms(TermsChange {
            hubs: vec![hub_name(3)],
            ..TermsChange::default()
        }),
        terms(TermsChange {
            hubs: vec![hub_name(9)],
            ..TermsChange::default()
        }),
        terms(TermsChange {
            allocation: Some(AllocationPolicy::Static),
            hubs: vec![hub_name(1), hub_name(2)],
            ..TermsChange::default()
        }),
        terms(TermsChange {
            allocation: Some(AllocationPolicy::Custom),
            ..TermsChange::default()
        }),
        terms(TermsChange {
            custom_allocation: Some(CustomAllocation {
                webhook_url: String::new(),
                api_version: "2021-10-01".to_owned(),
            }),
            ..TermsChange::default()
        }),
        terms(TermsChange {
            initial_twin: Some(InitialTwin {
                tags: Json::parse_object(&format!("{{\"a\":\"{}\"}}", "x".repeat(8_192)), JsonLimits::BODY)
                    .unwrap(),
                ..InitialTwin::default()
            }),
            ..TermsChange::default()
        }),
        individual("d", by_name("nothing")),
        individual(
            "d",
            AttestationChange::X509(X509Change::SigningCertificates {
                primary: SlotChange::Set(Ca::root("R").certificate().clone()),
                secondary: SlotChange::Clear,
            }),
        ),
        IndividualChange {
            device_information: Some(Json::parse("[1]", JsonLimits::BODY).unwrap()),
            ..individual("d", keys())
        },
    ] {
        refused(&world, broken).await;
    }
    let outcome = world.enrollments.read(&world.permit(), &id("d")).await;
    assert!(matches!(outcome, Err(Error::EnrollmentMissing)));
    // Static without a hub, a TPM and an unverified CA certificate are stored; what comes of them is seen later.
    world.upload("root", Ca::root("R").certificate(), false).await;
    for taken in [
        terms(TermsChange {
            allocation: Some(AllocationPolicy::Static),
            ..TermsChange::default()
        }),
        individual("d", tpm()),
        individual("d", by_name("ROOT")),
    ] {
        put(&world, taken).await.unwrap();
    }
}

#[tokio::test]
async fn groups_take_signing_certificates_references_and_keys() {
    let world = World::new().await;
    let permit = world.permit();
    let group = |attestation| GroupChange {
        id: group_id("g"),
        attestation,
        terms: with_status(ENABLED),
    };
    let leaf = Ca::self_signed_device("d");
    for broken in [
        tpm(),
        client(SlotChange::Set(leaf.clone()), SlotChange::Clear),
        by_name("nothing"),
    ] {
        let outcome = world
            .groups
            .put(&permit, group(broken), IfMatch::Absent, NOW)
            .await;
        assert!(matches!(outcome, Err(Error::Invalid(_))));
    }
    let signing = AttestationChange::X509(X509Change::SigningCertificates {
        primary: SlotChange::Set(leaf),
        secondary: SlotChange::Clear,
    });
    for taken in [signing, keys()] {
        world
            .groups
            .put(&permit, group(taken), IfMatch::Absent, NOW)
            .await
            .unwrap();
    }
    let read = world.groups.read(&permit, &group_id("G")).await.unwrap();
    let secret = world.groups.attestation(&permit, &group_id("g")).await.unwrap();
    assert_eq!(read.attestation, secret);
}

#[tokio::test]
async fn versions_are_demanded_where_they_are_named() {
    let world = World::new().await;
    let permit = world.permit();
    let put = |if_match| {
        world
            .enrollments
            .put(&permit, individual("d", keys()), if_match, NOW)
    };
    assert!(matches!(put(IfMatch::Any).await, Err(Error::EnrollmentMissing)));
    let first = put(IfMatch::Absent).await.unwrap().terms.etag;
    let second = put(IfMatch::Version(first)).await.unwrap().terms.etag;
    for stale in [IfMatch::Version(first), IfMatch::Foreign] {
        let error = put(stale).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::DpsPreconditionFailed);
        let outcome = world.enrollments.delete(&permit, &id("d"), stale).await;
        assert!(matches!(outcome, Err(Error::Stale)));
    }
    put(IfMatch::Any).await.unwrap();
    assert_ne!(first, second);
    world.store.lose_replies(1);
    world
        .enrollments
        .delete(&permit, &id("d"), IfMatch::Absent)
        .await
        .unwrap();
    let outcome = world.enrollments.delete(&permit, &id("d"), IfMatch::Absent).await;
    assert_eq!(outcome.unwrap_err().code(), ErrorCode::DpsEnrollmentNotFound);
}

#[tokio::test]
async fn bulk_items_stand_each_for_itself() {
    let world = World::new().await;
    let permit = world.permit();
    let many = |names: &[&str]| {
        names
            .iter()
            .map(|text| individual(text, keys()))
            .collect::<Vec<_>>()
    };
    let failed = |failures: Vec<crate::BulkFailure<muster_model::RegistrationId>>| {
        failures
            .into_iter()
            .map(|failure| (failure.id.to_string(), failure.error.code()))
            .collect::<Vec<_>>()
    };
    let all = &world.enrollments;
    let outcome = all
        .bulk(&permit, Bulk::Create(many(&["a", "b", "A"])), NOW)
        .await
        .unwrap();
    assert_eq!(failed(outcome), [("A".to_owned(), ErrorCode::DpsConflict)]);
    let outcome = all
        .bulk(&permit, Bulk::Update(many(&["a", "c"])), NOW)
        .await
        .unwrap();
    assert_eq!(
        failed(outcome),
        [("c".to_owned(), ErrorCode::DpsEnrollmentNotFound)]
    );
    let etag = all.read(&permit, &id("a")).await.unwrap().0.terms.etag;
    let items = vec![
        (individual("a", keys()), IfMatch::Version(etag)),
        (individual("b", keys()), IfMatch::Version(ETag::new(999))),
    ];
    let outcome = all.bulk(&permit, Bulk::UpdateIfMatch(items), NOW).await.unwrap();
    assert_eq!(
        failed(outcome),
        [("b".to_owned(), ErrorCode::DpsPreconditionFailed)]
    );
    let outcome = all
        .bulk(&permit, Bulk::Delete(vec![id("a"), id("x")]), NOW)
        .await
        .unwrap();
    assert_eq!(
        failed(outcome),
        [("x".to_owned(), ErrorCode::DpsEnrollmentNotFound)]
    );
    let eleven: Vec<_> = (0..11).map(|n| id(&format!("d{n}"))).collect();
    let outcome = all.bulk(&permit, Bulk::Delete(eleven), NOW).await;
    assert!(matches!(outcome, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn lists_come_in_pages() {
    let world = World::new().await;
    let permit = world.permit();
    for text in ["c", "A", "b"] {
        put(&world, individual(text, keys())).await.unwrap();
    }
    let mut after: Option<String> = None;
    let mut seen = Vec::new();
    loop {
        let page = world
            .enrollments
            .list(&permit, after.as_deref(), 2)
            .await
            .unwrap();
        seen.extend(page.items.into_iter().map(|one| one.id.to_string()));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, ["A", "b", "c"]);
    let none = world
        .registrations
        .list(&permit, &group_id("nothing"), None, 0)
        .await
        .unwrap();
    assert_eq!(none.items, []);
}

#[tokio::test]
async fn each_verb_asks_for_its_right() {
    let world = World::new().await;
    put(&world, individual("d", keys())).await.unwrap();
    let nobody = world.permit_with(DpsRights::SERVICE_CONFIG).await;
    let reader = world.permit_with(DpsRights::ENROLLMENT_READ).await;
    let (enrollments, groups, registrations) = (&world.enrollments, &world.groups, &world.registrations);
    let forbidden = |outcome: Result<(), Error>| {
        let error = outcome.unwrap_err();
        assert_eq!(error.code(), ErrorCode::DpsForbidden);
        assert_eq!(error.reason(), Some(ReasonCode::PolicyLacksRight));
    };
    assert!(enrollments.read(&reader, &id("d")).await.is_ok());
    assert!(enrollments.list(&reader, None, 10).await.is_ok());
    forbidden(enrollments.read(&nobody, &id("d")).await.map(drop));
    forbidden(enrollments.list(&nobody, None, 10).await.map(drop));
    forbidden(groups.read(&nobody, &group_id("g")).await.map(drop));
    forbidden(groups.list(&nobody, None, 10).await.map(drop));
    let change = individual("d", keys());
    forbidden(
        enrollments
            .put(&reader, change.clone(), IfMatch::Absent, NOW)
            .await
            .map(drop),
    );
    forbidden(enrollments.delete(&reader, &id("d"), IfMatch::Any).await);
    forbidden(enrollments.attestation(&reader, &id("d")).await.map(drop));
    forbidden(
        enrollments
            .bulk(&reader, Bulk::Create(vec![change]), NOW)
            .await
            .map(drop),
    );
    forbidden(groups.delete(&reader, &group_id("g"), IfMatch::Any).await);
    forbidden(groups.attestation(&reader, &group_id("g")).await.map(drop));
    forbidden(registrations.read(&reader, &id("d")).await.map(drop));
    forbidden(
        registrations
            .list(&reader, &group_id("g"), None, 1)
            .await
            .map(drop),
    );
    let status_reader = world.permit_with(DpsRights::REGISTRATION_STATUS_READ).await;
    let outcome = registrations.read(&status_reader, &id("d")).await;
    assert!(matches!(outcome, Err(Error::RegistrationMissing)));
    forbidden(registrations.delete(&status_reader, &id("d"), IfMatch::Any).await);
}
