//! The battery of enrollments and registration states.

use muster_dps::ports::{Assigned, Outcome, WriteMode};
use muster_model::dps::{
    Attestation, AttestationKind, ProvisioningStatus, RegistrationFailure, RegistrationStatus, Substatus,
    X509Attestation,
};
use muster_model::{CertificateName, DpsKey, ETag, IfMatch, TrustVersion};
use muster_resources::WriteError;

use crate::sample::{
    assignment, certificate, client, group_draft, group_id, individual_draft, keys, operation, operation_id,
    registration_id, service, signing,
};
use crate::subject::Subject;

async fn version(subject: &Subject) -> TrustVersion {
    let newest = subject
        .resources
        .read_since(TrustVersion::new(u64::MAX >> 1))
        .await
        .unwrap();
    newest.version
}

pub(crate) async fn enrollments_obey_the_mode_of_a_write(subject: &Subject) {
    let store = &subject.dps;
    let key = service(subject, "dps-a", "0ne0000000A").await.key;
    let draft = individual_draft("Dev-1", keys());
    let put =
        |service, draft, mode| store.put_individual(subject.request(), service, draft, mode, subject.now());
    for mode in [WriteMode::Update(IfMatch::Absent), WriteMode::Put(IfMatch::Any)] {
        let missing = put(key, draft.clone(), mode).await;
        assert!(matches!(missing, Err(WriteError::Missing)), "{missing:?}");
    }
    let nowhere = put(DpsKey::new(99), draft.clone(), WriteMode::Create).await;
    assert!(matches!(nowhere, Err(WriteError::Missing)), "{nowhere:?}");
    let before = version(subject).await;
    let made = put(key, draft.clone(), WriteMode::Create).await.unwrap();
    assert!(version(subject).await > before);
    assert_eq!(
        store.individual(key, &registration_id("dEV-1")).await.unwrap(),
        Some(made.clone())
    );
    assert_eq!(
        (&made.attestation, &made.device_information),
        (&keys(), &draft.device_information)
    );
    assert_eq!(made.terms.initial_twin, draft.terms.initial_twin);
    assert_eq!(made.terms.custom_allocation, draft.terms.custom_allocation);
    let exists = put(key, draft.clone(), WriteMode::Create).await;
    assert!(matches!(exists, Err(WriteError::Exists)), "{exists:?}");
    let other = individual_draft("DEV-1", client(0));
    let changed = put(
        key,
        other.clone(),
        WriteMode::Update(IfMatch::Version(made.terms.etag)),
    )
    .await
    .unwrap();
    assert_eq!(
        changed.id.as_str(),
        "Dev-1",
        "the letters of the first writer stay"
    );
    assert_eq!(
        (changed.terms.created, &changed.attestation),
        (made.terms.created, &client(0))
    );
    assert!(changed.terms.etag > made.terms.etag && changed.terms.updated > made.terms.updated);
    for mode in [
        WriteMode::Update(IfMatch::Version(made.terms.etag)),
        WriteMode::Put(IfMatch::Foreign),
    ] {
        let stale = put(key, other.clone(), mode).await;
        assert!(matches!(stale, Err(WriteError::Stale)), "{stale:?}");
    }
    put(key, other, WriteMode::Put(IfMatch::Absent)).await.unwrap();
    let delete = |if_match| store.delete_individual(subject.request(), key, &made.id, if_match);
    let stale = delete(IfMatch::Version(made.terms.etag)).await;
    assert!(matches!(stale, Err(WriteError::Stale)), "{stale:?}");
    delete(IfMatch::Any).await.unwrap();
    let gone = delete(IfMatch::Absent).await;
    assert!(matches!(gone, Err(WriteError::Missing)), "{gone:?}");

    let made = store
        .put_group(
            subject.request(),
            key,
            group_draft("Group-1", keys()),
            WriteMode::Create,
            subject.now(),
        )
        .await
        .unwrap();
    assert_eq!(
        store.group(key, &group_id("group-1")).await.unwrap(),
        Some(made.clone())
    );
    let exists = store
        .put_group(
            subject.request(),
            key,
            group_draft("GROUP-1", keys()),
            WriteMode::Create,
            subject.now(),
        )
        .await;
    assert!(matches!(exists, Err(WriteError::Exists)), "{exists:?}");
    store
        .delete_group(
            subject.request(),
            key,
            &made.id,
            IfMatch::Version(made.terms.etag),
        )
        .await
        .unwrap();
    assert_eq!(store.group(key, &made.id).await.unwrap(), None);
}

pub(crate) async fn enrollments_are_listed_in_pages(subject: &Subject) {
    let store = &subject.dps;
    let key = service(subject, "dps-a", "0ne0000000A").await.key;
    for id in ["C", "a", "B", "d", "E"] {
        store
            .put_individual(
                subject.request(),
                key,
                individual_draft(id, keys()),
                WriteMode::Create,
                subject.now(),
            )
            .await
            .unwrap();
        store
            .put_group(
                subject.request(),
                key,
                group_draft(id, keys()),
                WriteMode::Create,
                subject.now(),
            )
            .await
            .unwrap();
    }
    let (mut individuals, mut groups) = (Vec::new(), Vec::new());
    let mut after: Option<String> = None;
    loop {
        let page = store.individuals(key, after.as_deref(), 2).await.unwrap();
        individuals.extend(page.items.iter().map(|one| one.id.to_string()));
        let other = store.groups(key, after.as_deref(), 2).await.unwrap();
        groups.extend(other.items.iter().map(|one| one.id.to_string()));
        assert_eq!(page.next, other.next);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(individuals, ["a", "B", "C", "d", "E"]);
    assert_eq!(groups, individuals);
    assert!(store.individuals(key, None, 5).await.unwrap().next.is_none());
    assert!(store.individuals(key, None, 0).await.unwrap().items.is_empty());
}

pub(crate) async fn a_disabled_enrollment_is_found_by_its_certificate(subject: &Subject) {
    let store = &subject.dps;
    let key = service(subject, "dps-a", "0ne0000000A").await.key;
    let find = |number: usize| store.disabled_individual_with(key, certificate(number).sha256());
    let put = |status, attestation| {
        let mut draft = individual_draft("Dev-1", attestation);
        draft.terms.status = status;
        store.put_individual(
            subject.request(),
            key,
            draft,
            WriteMode::Put(IfMatch::Absent),
            subject.now(),
        )
    };
    put(ProvisioningStatus::Enabled, client(0)).await.unwrap();
    assert_eq!(find(0).await.unwrap(), None);
    let both = Attestation::X509(X509Attestation::ClientCertificates {
        primary: Some(certificate(0)),
        secondary: Some(certificate(0)),
    });
    put(ProvisioningStatus::Disabled, both).await.unwrap();
    assert_eq!(find(0).await.unwrap(), Some(registration_id("dev-1")));
    assert_eq!(find(1).await.unwrap(), None);
    put(ProvisioningStatus::Disabled, client(1)).await.unwrap();
    assert_eq!(find(0).await.unwrap(), None);
    assert!(find(1).await.unwrap().is_some());
    store
        .delete_individual(subject.request(), key, &registration_id("dev-1"), IfMatch::Absent)
        .await
        .unwrap();
    assert_eq!(find(1).await.unwrap(), None);
}

pub(crate) async fn groups_are_found_by_certificate_reference_and_kind(subject: &Subject) {
    let store = &subject.dps;
    let key = service(subject, "dps-a", "0ne0000000A").await.key;
    let name = |text: &str| CertificateName::parse(text).unwrap();
    let references = Attestation::X509(X509Attestation::CaReferences {
        primary: Some(name("Root")),
        secondary: Some(name("Spare")),
    });
    for (id, attestation) in [
        ("C-sign", signing(0, Some(4))),
        ("a-sign", signing(5, Some(5))),
        ("b-same", signing(0, None)),
        ("refs", references),
        ("z-keys", keys()),
        ("Y-keys", keys()),
    ] {
        store
            .put_group(
                subject.request(),
                key,
                group_draft(id, attestation),
                WriteMode::Create,
                subject.now(),
            )
            .await
            .unwrap();
    }
    let subjects = [certificate(0).subject().clone(), certificate(4).subject().clone()];
    let mut found = store.signing_certificates(key, &subjects).await.unwrap();
    let mut expected = vec![certificate(0), certificate(4), certificate(5)];
    found.sort_by_key(muster_pki::Certificate::sha256);
    expected.sort_by_key(muster_pki::Certificate::sha256);
    assert_eq!(found, expected, "each once, two of one subject");
    assert!(
        store
            .signing_certificates(key, &[certificate(1).subject().clone()])
            .await
            .unwrap()
            .is_empty()
    );

    let of = |certificates: Vec<usize>, names: Vec<&'static str>, limit| async move {
        let certificates: Vec<_> = certificates
            .into_iter()
            .map(|number| certificate(number).sha256())
            .collect();
        let names: Vec<_> = names.into_iter().map(name).collect();
        let groups = store.groups_of(key, &certificates, &names, limit).await.unwrap();
        groups
            .iter()
            .map(|group| group.id.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(of(vec![0], vec![], 9).await, ["b-same", "C-sign"]);
    assert_eq!(
        of(vec![0, 5], vec!["ROOT", "spare"], 9).await,
        ["a-sign", "b-same", "C-sign", "refs"]
    );
    assert_eq!(of(vec![0, 5], vec!["root"], 2).await, ["a-sign", "b-same"]);
    assert!(of(vec![1], vec!["other"], 9).await.is_empty());
    let symmetric = store.symmetric_groups(key, 1).await.unwrap();
    assert_eq!(symmetric[0].id.as_str(), "Y-keys");
    assert_eq!(store.symmetric_groups(key, 9).await.unwrap().len(), 2);

    store
        .put_group(
            subject.request(),
            key,
            group_draft("C-sign", keys()),
            WriteMode::Update(IfMatch::Any),
            subject.now(),
        )
        .await
        .unwrap();
    assert_eq!(of(vec![0, 4], vec![], 9).await, ["b-same"]);
    assert_eq!(store.symmetric_groups(key, 9).await.unwrap().len(), 3);
}

pub(crate) async fn a_registration_goes_from_assigning_to_assigned(subject: &Subject) {
    let store = &subject.dps;
    let key = service(subject, "dps-a", "0ne0000000A").await.key;
    let (first, second) = (operation(1, "Dev-1"), operation(2, "DEV-1"));
    let begin = |operation, expected| store.begin_operation(key, operation, expected, subject.now());
    let early = begin(first.clone(), Some(ETag::new(1))).await;
    assert!(matches!(early, Err(WriteError::Stale)), "{early:?}");
    let began = begin(first.clone(), None).await.unwrap();
    assert_eq!(began.status, RegistrationStatus::Assigning);
    assert_eq!((&began.assignment, &began.group), (&None, &first.group));
    assert_eq!(
        begin(first.clone(), None).await.unwrap(),
        began,
        "a repeat answers what was recorded"
    );
    let both = begin(second.clone(), Some(began.etag)).await;
    assert!(
        matches!(both, Err(WriteError::Stale)),
        "one attempt at a time: {both:?}"
    );
    let outcome = Outcome::Assigned(Assigned {
        assignment: assignment(1),
        substatus: Substatus::InitialAssignment,
    });
    let finish = |number, outcome| async move {
        store
            .finish_operation(key, &operation_id(number), outcome, subject.now())
            .await
    };
    let done = finish(1, outcome.clone()).await.unwrap();
    assert_eq!(
        (done.status, &done.assignment, done.substatus),
        (
            RegistrationStatus::Assigned,
            &Some(assignment(1)),
            Some(Substatus::InitialAssignment)
        )
    );
    assert_eq!(done.created, began.created);
    assert!(done.etag > began.etag);
    assert_eq!(
        finish(1, Outcome::Disabled).await.unwrap(),
        done,
        "the first end stands"
    );
    assert_eq!(
        store.operation(key, &first.operation).await.unwrap(),
        Some(done.clone())
    );
    assert_eq!(
        store.registration(key, &registration_id("dev-1")).await.unwrap(),
        Some(done.clone())
    );

    let stale = begin(second.clone(), Some(began.etag)).await;
    assert!(matches!(stale, Err(WriteError::Stale)), "{stale:?}");
    let again = begin(second.clone(), Some(done.etag)).await.unwrap();
    assert_eq!(again.assignment, Some(assignment(1)));
    assert_eq!(again.id.as_str(), "Dev-1");
    assert_eq!(store.operation(key, &first.operation).await.unwrap(), None);
    let replaced = finish(1, outcome).await;
    assert!(matches!(replaced, Err(WriteError::Missing)), "{replaced:?}");
    let failure = RegistrationFailure {
        code: 400_208,
        message: "no hub".to_owned(),
    };
    let failed = finish(2, Outcome::Failed(failure.clone())).await.unwrap();
    assert_eq!(
        (failed.status, failed.failure, failed.assignment),
        (RegistrationStatus::Failed, Some(failure), Some(assignment(1)))
    );

    let of_group = store
        .registrations(key, &group_id("GROUP-1"), None, 5)
        .await
        .unwrap();
    assert_eq!((of_group.items.len(), of_group.next), (1, None));
    let id = registration_id("Dev-1");
    let stale = store
        .delete_registration(subject.request(), key, &id, IfMatch::Version(done.etag))
        .await;
    assert!(matches!(stale, Err(WriteError::Stale)), "{stale:?}");
    store
        .delete_registration(subject.request(), key, &id, IfMatch::Version(failed.etag))
        .await
        .unwrap();
    assert_eq!(store.registration(key, &id).await.unwrap(), None);
    let gone = store
        .delete_registration(subject.request(), key, &id, IfMatch::Absent)
        .await;
    assert!(matches!(gone, Err(WriteError::Missing)), "{gone:?}");
}

pub(crate) async fn an_attempt_that_ends_at_once_keeps_the_assignment(subject: &Subject) {
    let store = &subject.dps;
    let key = service(subject, "dps-a", "0ne0000000A").await.key;
    let record = |request, number, outcome| {
        store.record_outcome(
            request,
            key,
            operation_id(number),
            registration_id("Dev-1"),
            None,
            AttestationKind::SymmetricKey,
            outcome,
            subject.now(),
        )
    };
    let request = subject.request();
    let disabled = record(request, 1, Outcome::Disabled).await.unwrap();
    assert_eq!(
        (disabled.status, &disabled.assignment),
        (RegistrationStatus::Disabled, &None)
    );
    assert_eq!(record(request, 1, Outcome::Disabled).await.unwrap(), disabled);
    let assigned = Outcome::Assigned(Assigned {
        assignment: assignment(3),
        substatus: Substatus::ReprovisionedToInitialAssignment,
    });
    let assigned = record(subject.request(), 2, assigned).await.unwrap();
    assert_eq!(assigned.assignment, Some(assignment(3)));
    let failure = RegistrationFailure {
        code: 400_207,
        message: "no".to_owned(),
    };
    let failed = record(subject.request(), 3, Outcome::Failed(failure))
        .await
        .unwrap();
    assert_eq!(failed.assignment, Some(assignment(3)));
    assert_eq!(failed.substatus, assigned.substatus);
    let last = record(subject.request(), 4, Outcome::Disabled).await.unwrap();
    assert_eq!(
        (&last.failure, &last.assignment, last.created),
        (&None, &Some(assignment(3)), disabled.created)
    );
    assert_eq!(
        record(request, 1, Outcome::Disabled).await.unwrap(),
        disabled,
        "a late repeat changes nothing"
    );
    assert_eq!(store.operation(key, &operation_id(4)).await.unwrap(), Some(last));
    let nowhere = store
        .record_outcome(
            subject.request(),
            DpsKey::new(99),
            operation_id(5),
            registration_id("x"),
            None,
            AttestationKind::X509,
            Outcome::Disabled,
            subject.now(),
        )
        .await;
    assert!(matches!(nowhere, Err(WriteError::Missing)), "{nowhere:?}");
}

pub(crate) async fn an_attempt_that_stopped_is_found_with_all_it_needs(subject: &Subject) {
    let store = &subject.dps;
    let key = service(subject, "dps-a", "0ne0000000A").await.key;
    for (number, id) in [(1, "dev-b"), (2, "dev-a"), (3, "dev-c")] {
        store
            .begin_operation(key, operation(number, id), None, subject.now())
            .await
            .unwrap();
    }
    store
        .finish_operation(key, &operation_id(2), Outcome::Disabled, subject.now())
        .await
        .unwrap();
    let before = subject.now();
    store
        .begin_operation(key, operation(4, "dev-d"), None, before)
        .await
        .unwrap();
    let found = store.unfinished(before, 10).await.unwrap();
    let numbers: Vec<_> = found
        .iter()
        .map(|(_, operation)| operation.operation.clone())
        .collect();
    assert_eq!(numbers, [operation_id(1), operation_id(3)], "oldest first");
    assert_eq!(found[0].0, key);
    assert_eq!(
        format!("{:?}", found[0].1),
        format!("{:?}", operation(1, "dev-b"))
    );
    assert_eq!(
        found[0].1.device.authentication,
        operation(1, "dev-b").device.authentication
    );
    assert_eq!(store.unfinished(before, 1).await.unwrap().len(), 1);
}

pub(crate) async fn nothing_of_a_deleted_service_shows(subject: &Subject) {
    let store = &subject.dps;
    let old = service(subject, "dps-a", "0ne0000000A").await.key;
    let mut draft = individual_draft("Dev-1", client(0));
    draft.terms.status = ProvisioningStatus::Disabled;
    store
        .put_individual(subject.request(), old, draft, WriteMode::Create, subject.now())
        .await
        .unwrap();
    store
        .put_group(
            subject.request(),
            old,
            group_draft("Group-1", signing(0, None)),
            WriteMode::Create,
            subject.now(),
        )
        .await
        .unwrap();
    store
        .begin_operation(old, operation(1, "Dev-1"), None, subject.now())
        .await
        .unwrap();
    subject
        .resources
        .delete_service(subject.request(), old, IfMatch::Any)
        .await
        .unwrap();
    let new = service(subject, "dps-a", "0ne0000000A").await.key;
    let leaf = certificate(0);
    for key in [old, new] {
        let id = registration_id("Dev-1");
        assert_eq!(store.individual(key, &id).await.unwrap(), None);
        assert_eq!(store.registration(key, &id).await.unwrap(), None);
        assert_eq!(store.operation(key, &operation_id(1)).await.unwrap(), None);
        assert_eq!(store.group(key, &group_id("Group-1")).await.unwrap(), None);
        assert!(store.groups(key, None, 9).await.unwrap().items.is_empty());
        assert!(store.individuals(key, None, 9).await.unwrap().items.is_empty());
        assert_eq!(
            store.disabled_individual_with(key, leaf.sha256()).await.unwrap(),
            None
        );
        assert!(
            store
                .signing_certificates(key, &[leaf.subject().clone()])
                .await
                .unwrap()
                .is_empty()
        );
        assert!(
            store
                .groups_of(key, &[leaf.sha256()], &[], 9)
                .await
                .unwrap()
                .is_empty()
        );
    }
    assert!(store.unfinished(subject.now(), 9).await.unwrap().is_empty());
    let finish = store
        .finish_operation(old, &operation_id(1), Outcome::Disabled, subject.now())
        .await;
    assert!(matches!(finish, Err(WriteError::Missing)), "{finish:?}");
    while subject.resources.reap(2, 1).await.unwrap() > 0 {}
}
