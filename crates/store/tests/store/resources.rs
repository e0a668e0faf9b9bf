//! The battery of the control plane and of leases.

use std::time::Duration;

use muster_model::{
    CertificateName, CertificateOwner, ConsumerGroupName, HubKey, IfMatch, ResourceGroupName, Subscriptions,
    TrustVersion, VerificationCode, Wall,
};
use muster_resources::{CertificateDraft, StoreError, WriteError};

use crate::sample::{certificate, device_draft, group, hub, hub_draft, service, service_draft};
use crate::subject::Subject;

pub(crate) async fn a_hub_lives_from_creation_to_deletion(subject: &Subject) {
    let store = &subject.resources;
    let early = store
        .create_hub(subject.request(), hub_draft("Hub-A"), subject.now())
        .await;
    assert!(matches!(early, Err(WriteError::Missing)), "{early:?}");
    let made = hub(subject, "Hub-A").await;
    let draft = hub_draft("Hub-A");
    assert_eq!(made.name.as_str(), "Hub-A");
    assert_eq!(made.policies, draft.policies);
    assert_eq!(made.document.as_str(), draft.document.as_str());
    assert_eq!(made.retention_bytes, draft.retention_bytes);
    let twice = store
        .create_hub(subject.request(), hub_draft("hub-a"), subject.now())
        .await;
    assert!(matches!(twice, Err(WriteError::Exists)), "{twice:?}");

    let mut draft = hub_draft("other-name");
    draft.retention_days = 7;
    draft.policies.clear();
    for wrong in [IfMatch::Foreign, IfMatch::Version(muster_model::ETag::new(1))] {
        let stale = store
            .update_hub(subject.request(), made.key, draft.clone(), wrong)
            .await;
        assert!(matches!(stale, Err(WriteError::Stale)), "{stale:?}");
    }
    let changed = store
        .update_hub(
            subject.request(),
            made.key,
            draft.clone(),
            IfMatch::Version(made.etag),
        )
        .await
        .unwrap();
    assert!(changed.etag > made.etag);
    assert_eq!((changed.name.as_str(), changed.retention_days), ("Hub-A", 7));
    assert_eq!(
        (changed.partitions, changed.created),
        (made.partitions, made.created)
    );

    let name = ConsumerGroupName::parse("Reader").unwrap();
    let first = store
        .put_consumer_group(subject.request(), made.key, name.clone(), subject.now())
        .await
        .unwrap();
    let again = store
        .put_consumer_group(
            subject.request(),
            made.key,
            ConsumerGroupName::parse("reader").unwrap(),
            subject.now(),
        )
        .await
        .unwrap();
    assert_eq!(first, again);
    let delta = store.read_since(TrustVersion::new(0)).await.unwrap();
    assert_eq!(delta.hubs[0].1.as_ref().unwrap().consumer_groups, [first]);
    store
        .delete_consumer_group(subject.request(), made.key, &name)
        .await
        .unwrap();
    let gone = store
        .delete_consumer_group(subject.request(), made.key, &name)
        .await;
    assert!(matches!(gone, Err(WriteError::Missing)), "{gone:?}");

    let stale = store
        .delete_hub(subject.request(), made.key, IfMatch::Version(made.etag))
        .await;
    assert!(matches!(stale, Err(WriteError::Stale)), "{stale:?}");
    store
        .delete_hub(subject.request(), made.key, IfMatch::Version(changed.etag))
        .await
        .unwrap();
    for gone in [
        store
            .delete_hub(subject.request(), made.key, IfMatch::Absent)
            .await
            .err(),
        store
            .update_hub(subject.request(), made.key, draft, IfMatch::Any)
            .await
            .err(),
        store
            .put_consumer_group(subject.request(), made.key, name, subject.now())
            .await
            .err(),
    ] {
        assert!(matches!(gone, Some(WriteError::Missing)), "{gone:?}");
    }
}

pub(crate) async fn a_name_is_free_at_once_and_a_key_never_again(subject: &Subject) {
    let mut keys: Vec<HubKey> = Vec::new();
    let mut newest = muster_model::ETag::default();
    for _ in 0..4 {
        let made = hub(subject, "hub-a").await;
        assert!(!keys.contains(&made.key));
        assert!(made.etag > newest);
        newest = made.etag;
        keys.push(made.key);
        subject
            .resources
            .delete_hub(subject.request(), made.key, IfMatch::Absent)
            .await
            .unwrap();
    }
}

pub(crate) async fn a_repeated_request_answers_as_it_did(subject: &Subject) {
    let store = &subject.resources;
    store.put_group(subject.request(), group("plant")).await.unwrap();
    let request = subject.request();
    let first = store
        .create_hub(request, hub_draft("hub-a"), subject.now())
        .await
        .unwrap();
    let changed = store
        .update_hub(subject.request(), first.key, hub_draft("hub-a"), IfMatch::Absent)
        .await
        .unwrap();
    let repeated = store
        .create_hub(request, hub_draft("hub-a"), subject.now())
        .await
        .unwrap();
    assert_eq!(repeated, first);
    let request = subject.request();
    store
        .delete_hub(request, first.key, IfMatch::Version(changed.etag))
        .await
        .unwrap();
    store
        .delete_hub(request, first.key, IfMatch::Version(changed.etag))
        .await
        .unwrap();
    let other = store.put_group(request, group("other")).await;
    assert!(
        matches!(other, Err(StoreError::Unavailable(_))),
        "an id names one kind of write: {other:?}"
    );
    let request = subject.request();
    assert!(store.put_group(request, group("other")).await.unwrap());
    assert!(store.put_group(request, group("other")).await.unwrap());
    assert!(!store.put_group(subject.request(), group("OTHER")).await.unwrap());
}

pub(crate) async fn a_service_links_hubs_that_are_there(subject: &Subject) {
    let store = &subject.resources;
    let (a, b) = (hub(subject, "hub-a").await, hub(subject, "hub-b").await);
    let links = [a.key, b.key, a.key];
    let made = store
        .create_service(
            subject.request(),
            service_draft("dps-a", "0ne0000000A", &links),
            subject.now(),
        )
        .await
        .unwrap();
    assert_eq!(made.links.len(), 3);
    assert_eq!(
        made.policies,
        service_draft("dps-a", "0ne0000000A", &links).policies
    );
    for (name, scope) in [("DPS-A", "0ne0000000B"), ("dps-b", "0NE0000000a")] {
        let taken = store
            .create_service(subject.request(), service_draft(name, scope, &[]), subject.now())
            .await;
        assert!(matches!(taken, Err(WriteError::Exists)), "{taken:?}");
    }
    let missing = store
        .create_service(
            subject.request(),
            service_draft("dps-b", "0ne0000000B", &[HubKey::new(999)]),
            subject.now(),
        )
        .await;
    assert!(matches!(missing, Err(WriteError::Missing)), "{missing:?}");
    store
        .delete_hub(subject.request(), a.key, IfMatch::Any)
        .await
        .unwrap();
    let delta = store.read_since(TrustVersion::new(0)).await.unwrap();
    let now = delta.services[0].1.clone().unwrap();
    assert_eq!(now.links.iter().map(|link| link.hub).collect::<Vec<_>>(), [b.key]);
    assert!(now.etag > made.etag);
    let stale = store
        .update_service(
            subject.request(),
            made.key,
            service_draft("dps-a", "0ne0000000A", &[]),
            IfMatch::Version(made.etag),
        )
        .await;
    assert!(matches!(stale, Err(WriteError::Stale)), "{stale:?}");
    let changed = store
        .update_service(
            subject.request(),
            made.key,
            service_draft("dps-z", "0ne0000000Z", &[]),
            IfMatch::Version(now.etag),
        )
        .await
        .unwrap();
    assert_eq!(
        (changed.name.as_str(), changed.id_scope.as_str()),
        ("dps-a", "0ne0000000A")
    );
    store
        .delete_service(subject.request(), made.key, IfMatch::Version(changed.etag))
        .await
        .unwrap();
    service(subject, "dps-a", "0ne0000000A").await;
}

pub(crate) async fn possession_is_proved_by_the_current_code(subject: &Subject) {
    let store = &subject.resources;
    let owner = CertificateOwner::Hub(hub(subject, "hub-a").await.key);
    let name = CertificateName::parse("Root").unwrap();
    let draft = |number| CertificateDraft {
        owner,
        name: CertificateName::parse("root").unwrap(),
        certificate: certificate(number),
        verified: false,
    };
    let put =
        |number, if_match| store.put_certificate(subject.request(), draft(number), if_match, subject.now());
    let missing = put(0, IfMatch::Any).await;
    assert!(matches!(missing, Err(WriteError::Missing)), "{missing:?}");
    let first = put(0, IfMatch::Absent).await.unwrap();
    let exists = put(1, IfMatch::Absent).await;
    assert!(matches!(exists, Err(WriteError::Exists)), "{exists:?}");

    let (old, new) = (
        VerificationCode::from_bytes([1; 24]),
        VerificationCode::from_bytes([2; 24]),
    );
    store
        .start_proof(
            subject.request(),
            owner,
            &name,
            old,
            IfMatch::Absent,
            subject.now(),
        )
        .await
        .unwrap();
    let waiting = store
        .start_proof(subject.request(), owner, &name, new, IfMatch::Any, subject.now())
        .await
        .unwrap();
    assert_eq!((waiting.code, waiting.verified), (Some(new), false));
    let finish =
        |code, if_match| store.finish_proof(subject.request(), owner, &name, code, if_match, subject.now());
    for (code, if_match) in [(old, IfMatch::Any), (new, IfMatch::Version(first.etag))] {
        let stale = finish(code, if_match).await;
        assert!(matches!(stale, Err(WriteError::Stale)), "{stale:?}");
    }
    let proved = finish(new, IfMatch::Version(waiting.etag)).await.unwrap();
    assert_eq!((proved.code, proved.verified), (None, true));
    assert_eq!(proved.certificate, certificate(0));
    assert!(first.etag < waiting.etag && waiting.etag < proved.etag);
    assert!(proved.created == first.created && proved.updated > first.updated);

    let stale = put(1, IfMatch::Version(first.etag)).await;
    assert!(matches!(stale, Err(WriteError::Stale)), "{stale:?}");
    let replaced = put(1, IfMatch::Version(proved.etag)).await.unwrap();
    assert_eq!(
        (replaced.verified, replaced.certificate, replaced.created),
        (false, certificate(1), first.created)
    );
    let delete = |if_match| store.delete_certificate(subject.request(), owner, &name, if_match);
    let stale = delete(IfMatch::Version(proved.etag)).await;
    assert!(matches!(stale, Err(WriteError::Stale)), "{stale:?}");
    delete(IfMatch::Version(replaced.etag)).await.unwrap();
    let gone = delete(IfMatch::Absent).await;
    assert!(matches!(gone, Err(WriteError::Missing)), "{gone:?}");
}

pub(crate) async fn changes_are_read_since_a_version(subject: &Subject) {
    let store = &subject.resources;
    let empty = store.read_since(TrustVersion::new(0)).await.unwrap();
    assert_eq!(empty.version, TrustVersion::new(0));
    let (a, b) = (hub(subject, "hub-a").await, hub(subject, "hub-b").await);
    store.put_operator(subject.request(), [5; 32]).await.unwrap();
    let all = store.read_since(TrustVersion::new(0)).await.unwrap();
    assert!(all.version > empty.version);
    assert_eq!((all.hubs.len(), all.groups.len()), (2, 1));
    assert_eq!(all.groups[0].1, Some(group("plant")));
    assert_eq!(all.operator, Some([5; 32]));
    let nothing = store.read_since(all.version).await.unwrap();
    assert_eq!(nothing.version, all.version);
    assert!(nothing.hubs.is_empty() && nothing.operator.is_none());

    let owner = CertificateOwner::Hub(a.key);
    let draft = CertificateDraft {
        owner,
        name: CertificateName::parse("root").unwrap(),
        certificate: certificate(0),
        verified: true,
    };
    store
        .put_certificate(subject.request(), draft, IfMatch::Absent, subject.now())
        .await
        .unwrap();
    store
        .delete_hub(subject.request(), b.key, IfMatch::Any)
        .await
        .unwrap();
    let since = store.read_since(all.version).await.unwrap();
    assert_eq!(since.hubs.len(), 1);
    assert!(since.hubs[0].0 == b.key && since.hubs[0].1.is_none());
    assert_eq!(since.certificates.len(), 1);
    let found = since.certificates[0].2.as_ref().unwrap();
    assert_eq!(
        (found.owner, &found.certificate, found.verified),
        (owner, &certificate(0), true)
    );
    store
        .delete_certificate(
            subject.request(),
            owner,
            &CertificateName::parse("ROOT").unwrap(),
            IfMatch::Any,
        )
        .await
        .unwrap();
    let gone = store.read_since(since.version).await.unwrap();
    assert!(gone.certificates.len() == 1 && gone.certificates[0].2.is_none());
    let fresh = store.read_since(TrustVersion::new(0)).await.unwrap();
    assert_eq!((fresh.hubs.len(), fresh.certificates.len()), (1, 0));
    assert_eq!(fresh.version, gone.version);
}

pub(crate) async fn a_group_goes_with_all_it_holds(subject: &Subject) {
    let store = &subject.resources;
    let linked = hub(subject, "hub-a").await;
    let made = store
        .create_service(
            subject.request(),
            service_draft("dps-a", "0ne0000000A", &[linked.key]),
            subject.now(),
        )
        .await
        .unwrap();
    let before = store.read_since(TrustVersion::new(0)).await.unwrap().version;
    let name = ResourceGroupName::parse("PLANT").unwrap();
    store.delete_group(subject.request(), &name).await.unwrap();
    let gone = store.delete_group(subject.request(), &name).await;
    assert!(matches!(gone, Err(WriteError::Missing)), "{gone:?}");
    let delta = store.read_since(before).await.unwrap();
    assert!(delta.groups.len() == 1 && delta.groups[0].1.is_none());
    assert!(delta.hubs[0].0 == linked.key && delta.hubs[0].1.is_none());
    assert!(delta.services[0].0 == made.key && delta.services[0].1.is_none());
    let fresh = store.read_since(TrustVersion::new(0)).await.unwrap();
    assert!(fresh.groups.is_empty() && fresh.hubs.is_empty() && fresh.services.is_empty());
}

pub(crate) async fn rows_left_behind_are_reaped_under_a_fence(subject: &Subject) {
    let store = &subject.resources;
    let (kept, gone) = (hub(subject, "hub-a").await, hub(subject, "hub-b").await);
    for key in [kept.key, gone.key] {
        for number in 0..5 {
            let device = subject
                .hub
                .create_device(
                    subject.request(),
                    key,
                    device_draft(&format!("dev-{number}")),
                    subject.now(),
                )
                .await
                .unwrap();
            let none = Subscriptions::default();
            subject
                .hub
                .keep_subscriptions(subject.request(), key, &device.id, device.generation, none)
                .await
                .unwrap();
        }
    }
    let idle = store.reap(100, 2).await.unwrap();
    assert_eq!(idle, 0);
    store
        .delete_hub(subject.request(), gone.key, IfMatch::Any)
        .await
        .unwrap();
    let old = store.reap(100, 1).await;
    assert!(matches!(old, Err(StoreError::Unavailable(_))), "{old:?}");
    let mut total = 0;
    loop {
        let step = store.reap(3, 2).await.unwrap();
        assert!(step <= 3);
        total += step;
        if step == 0 {
            break;
        }
    }
    if subject.exact {
        assert_eq!(total, 10);
    }
    let counts = subject.hub.device_counts(kept.key).await.unwrap();
    assert_eq!(counts.total, 5);
}

pub(crate) async fn a_lease_has_one_holder_and_rising_fences(subject: &Subject) {
    let at = Wall::from_seconds;
    let hold = |holder: &'static str, now| {
        let leases = subject.leases.clone();
        async move {
            leases
                .hold("reap", holder, Duration::from_secs(10), now)
                .await
                .unwrap()
        }
    };
    let first = hold("node-a", at(100)).await.unwrap();
    assert_eq!(first.until, at(110));
    assert_eq!(hold("node-b", at(109)).await, None);
    let renewed = hold("node-a", at(105)).await.unwrap();
    assert_eq!((renewed.fence, renewed.until), (first.fence, at(115)));
    assert_eq!(hold("node-b", at(114)).await, None);
    let taken = hold("node-b", at(115)).await.unwrap();
    assert!(taken.fence > first.fence);
    assert_eq!(hold("node-a", at(116)).await, None);
}

pub(crate) async fn facts_are_drawn_once(subject: &Subject) {
    let store = &subject.resources;
    let first = store.facts().await.unwrap();
    assert_eq!((first.incarnation, first.latest_wall), (1, None));
    store.remember_wall(Wall::from_seconds(20)).await.unwrap();
    store.remember_wall(Wall::from_seconds(10)).await.unwrap();
    let second = store.facts().await.unwrap();
    assert_eq!(second.subscription, first.subscription);
    assert_eq!(second.latest_wall, Some(Wall::from_seconds(20)));
}
