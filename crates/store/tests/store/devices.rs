//! The battery of the identity registry.

use muster_hub::ports::{DeviceSelector, TwinChange};
use muster_model::identity::{Authentication, DeviceStatus};
use muster_model::twin::Twin;
use muster_model::{HubKey, IfMatch, TrustVersion};
use muster_resources::WriteError;

use crate::sample::{
    device_draft, device_id, hub, initial_twin, json, provenance, provisioned, symmetric, thumbprint,
};
use crate::subject::Subject;

pub(crate) async fn an_identity_lives_from_creation_to_deletion(subject: &Subject) {
    let store = &subject.hub;
    let key = hub(subject, "hub-a").await.key;
    let nowhere = store
        .create_device(
            subject.request(),
            HubKey::new(99),
            device_draft("Dev"),
            subject.now(),
        )
        .await;
    assert!(matches!(nowhere, Err(WriteError::Missing)), "{nowhere:?}");
    let made = store
        .create_device(subject.request(), key, device_draft("Dev"), subject.now())
        .await
        .unwrap();
    let found = store.device(key, &device_id("Dev")).await.unwrap();
    assert_eq!(found.as_ref(), Some(&made));
    assert_eq!(
        (made.status_updated, made.last_activity, &made.provenance),
        (None, None, &None)
    );
    assert_eq!(
        store.device(key, &device_id("dev")).await.unwrap(),
        None,
        "case matters"
    );
    let twice = store
        .create_device(subject.request(), key, device_draft("Dev"), subject.now())
        .await;
    assert!(matches!(twice, Err(WriteError::Exists)), "{twice:?}");
    assert_eq!(
        store.twin(key, &device_id("Dev")).await.unwrap(),
        Some(Twin::default())
    );

    let mut draft = device_draft("Dev");
    draft.status = DeviceStatus::Disabled;
    draft.status_reason = None;
    let stale = store
        .update_device(
            subject.request(),
            key,
            draft.clone(),
            IfMatch::Foreign,
            subject.now(),
        )
        .await;
    assert!(matches!(stale, Err(WriteError::Stale)), "{stale:?}");
    let now = subject.now();
    let changed = store
        .update_device(
            subject.request(),
            key,
            draft.clone(),
            IfMatch::Version(made.etag),
            now,
        )
        .await
        .unwrap();
    assert!(changed.etag > made.etag);
    assert_eq!(
        (changed.generation, changed.status_updated),
        (made.generation, Some(now))
    );
    let same = store
        .update_device(subject.request(), key, draft, IfMatch::Any, subject.now())
        .await
        .unwrap();
    assert_eq!(
        same.status_updated,
        Some(now),
        "the status did not change a second time"
    );
    let stale = store
        .delete_device(subject.request(), key, &made.id, IfMatch::Version(changed.etag))
        .await;
    assert!(matches!(stale, Err(WriteError::Stale)), "{stale:?}");
    store
        .delete_device(subject.request(), key, &made.id, IfMatch::Version(same.etag))
        .await
        .unwrap();
    assert_eq!(store.device(key, &made.id).await.unwrap(), None);
    assert_eq!(store.twin(key, &made.id).await.unwrap(), None);
    let gone = store
        .delete_device(subject.request(), key, &made.id, IfMatch::Absent)
        .await;
    assert!(matches!(gone, Err(WriteError::Missing)), "{gone:?}");
    // The clock stands still, the generation does not.
    let again = store
        .create_device(subject.request(), key, device_draft("Dev"), made.created)
        .await
        .unwrap();
    assert!(again.generation > made.generation && again.etag > same.etag);
}

pub(crate) async fn a_repeated_request_changes_nothing(subject: &Subject) {
    let store = &subject.hub;
    let key = hub(subject, "hub-a").await.key;
    let (create, update) = (subject.request(), subject.request());
    let made = store
        .create_device(create, key, device_draft("Dev"), subject.now())
        .await
        .unwrap();
    let mut draft = device_draft("Dev");
    draft.iot_edge = true;
    let if_match = IfMatch::Version(made.etag);
    let changed = store
        .update_device(update, key, draft.clone(), if_match, subject.now())
        .await
        .unwrap();
    for _ in 0..3 {
        let repeated = store
            .create_device(create, key, device_draft("Dev"), subject.now())
            .await
            .unwrap();
        assert_eq!(repeated, made);
        let repeated = store
            .update_device(update, key, draft.clone(), if_match, subject.now())
            .await
            .unwrap();
        assert_eq!(repeated, changed);
    }
    assert_eq!(store.device(key, &made.id).await.unwrap(), Some(changed));
    assert_eq!(store.device_counts(key).await.unwrap().total, 1);
}

pub(crate) async fn provisioning_makes_overwrites_and_repeats(subject: &Subject) {
    let store = &subject.hub;
    let key = hub(subject, "hub-a").await.key;
    let id = device_id("Dev-1");
    let ensure = |request, authentication, twin| {
        let device = provisioned("Dev-1", authentication, twin);
        let now = subject.now();
        async move { store.ensure_device(request, key, device, now).await.unwrap() }
    };
    let first_request = subject.request();
    let first = ensure(
        first_request,
        thumbprint(1),
        TwinChange::IfNew(initial_twin("first")),
    )
    .await;
    assert!(first.created);
    assert_eq!(first.identity.provenance, Some(provenance()));
    let twin = store.twin(key, &id).await.unwrap().unwrap();
    assert_eq!(twin, initial_twin("first").into());

    let second = ensure(
        subject.request(),
        thumbprint(2),
        TwinChange::IfNew(initial_twin("second")),
    )
    .await;
    assert!(!second.created);
    assert_eq!(second.identity.generation, first.identity.generation);
    assert_eq!(second.identity.authentication, thumbprint(2));
    assert!(second.identity.etag > first.identity.etag);
    assert_eq!(store.twin(key, &id).await.unwrap().as_ref(), Some(&twin));

    let repeated = ensure(
        first_request,
        thumbprint(1),
        TwinChange::IfNew(initial_twin("first")),
    )
    .await;
    assert_eq!(
        (repeated.created, repeated.identity),
        (true, first.identity.clone())
    );
    assert_eq!(
        store.device(key, &id).await.unwrap(),
        Some(second.identity.clone())
    );
    let same = ensure(
        subject.request(),
        thumbprint(2),
        TwinChange::IfNew(initial_twin("x")),
    )
    .await;
    assert_eq!(same.identity, second.identity, "nothing to overwrite");

    let mut draft = device_draft("Dev-1");
    draft.status = DeviceStatus::Disabled;
    store
        .update_device(subject.request(), key, draft, IfMatch::Any, subject.now())
        .await
        .unwrap();
    let enabled = ensure(
        subject.request(),
        thumbprint(2),
        TwinChange::Reset(initial_twin("reset")),
    )
    .await;
    assert_eq!(enabled.identity.status, DeviceStatus::Enabled);
    assert_eq!(store.device_counts(key).await.unwrap().enabled, 1);
    assert_eq!(
        store.twin(key, &id).await.unwrap(),
        Some(initial_twin("reset").into())
    );
    let carried = Twin {
        reported: json(r#"{"t": 21.50}"#),
        reported_version: 9,
        desired_version: 4,
        ..Twin::default()
    };
    ensure(
        subject.request(),
        thumbprint(2),
        TwinChange::Migrate(carried.clone()),
    )
    .await;
    assert_eq!(store.twin(key, &id).await.unwrap(), Some(carried));
    ensure(
        subject.request(),
        thumbprint(2),
        TwinChange::Migrate(Twin::default()),
    )
    .await;
    assert_eq!(store.twin(key, &id).await.unwrap(), Some(Twin::default()));
    let gone = store
        .ensure_device(
            subject.request(),
            HubKey::new(77),
            provisioned("Dev-1", thumbprint(1), TwinChange::IfNew(initial_twin("x"))),
            subject.now(),
        )
        .await;
    assert!(matches!(gone, Err(WriteError::Missing)), "{gone:?}");
}

pub(crate) async fn devices_are_listed_bytewise_and_counted(subject: &Subject) {
    let store = &subject.hub;
    let (key, other) = (hub(subject, "hub-a").await.key, hub(subject, "hub-b").await.key);
    for id in ["b", "B", "a", "a1", "_", "a-b", "Z"] {
        store
            .create_device(subject.request(), key, device_draft(id), subject.now())
            .await
            .unwrap();
    }
    store
        .create_device(subject.request(), other, device_draft("c"), subject.now())
        .await
        .unwrap();
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let part = store
            .devices(key, DeviceSelector { after, limit: 3 })
            .await
            .unwrap();
        assert!(part.len() <= 3);
        let Some(last) = part.last() else { break };
        after = Some(last.id.clone());
        listed.extend(part.into_iter().map(|device| device.id.to_string()));
    }
    assert_eq!(listed, ["B", "Z", "_", "a", "a-b", "a1", "b"]);
    let mut draft = device_draft("a");
    draft.status = DeviceStatus::Disabled;
    store
        .update_device(subject.request(), key, draft, IfMatch::Any, subject.now())
        .await
        .unwrap();
    store
        .delete_device(subject.request(), key, &device_id("b"), IfMatch::Any)
        .await
        .unwrap();
    let counts = store.device_counts(key).await.unwrap();
    assert_eq!((counts.total, counts.enabled, counts.disabled), (6, 5, 1));
    assert_eq!(store.device_counts(HubKey::new(9)).await.unwrap().total, 0);
}

pub(crate) async fn trust_moves_when_a_device_is_judged_otherwise(subject: &Subject) {
    let store = &subject.hub;
    let key = hub(subject, "hub-a").await.key;
    let version = || async {
        let newest = subject
            .resources
            .read_since(TrustVersion::new(u64::MAX >> 1))
            .await
            .unwrap();
        newest.version
    };
    store
        .create_device(subject.request(), key, device_draft("Dev"), subject.now())
        .await
        .unwrap();
    let mut last = version().await;
    let mut draft = device_draft("Dev");
    for (what, moves) in [("edge", false), ("status", true), ("key", true)] {
        match what {
            "edge" => draft.iot_edge = true,
            "status" => draft.status = DeviceStatus::Disabled,
            _ => {
                draft.authentication = Authentication::Sas {
                    primary: symmetric(1),
                    secondary: symmetric(2),
                };
            }
        }
        store
            .update_device(subject.request(), key, draft.clone(), IfMatch::Any, subject.now())
            .await
            .unwrap();
        let now = version().await;
        assert_eq!(now > last, moves, "{what}");
        last = now;
    }
    store
        .delete_device(subject.request(), key, &device_id("Dev"), IfMatch::Any)
        .await
        .unwrap();
    assert!(version().await > last);
}

pub(crate) async fn the_stamp_of_an_identity_moves_with_every_change(subject: &Subject) {
    let store = &subject.hub;
    let key = hub(subject, "hub-a").await.key;
    let id = device_id("Dev");
    let Some(before) = store.device_stamp(key, &id) else {
        return;
    };
    let made = store
        .create_device(subject.request(), key, device_draft("Dev"), subject.now())
        .await
        .unwrap();
    let created = store.device_stamp(key, &id);
    assert_ne!(created, Some(before));
    store
        .note_activity(vec![(key, made.id.clone(), subject.now())])
        .await
        .unwrap();
    assert_eq!(store.device_stamp(key, &id), created, "activity is no change");
    store
        .update_device(
            subject.request(),
            key,
            device_draft("Dev"),
            IfMatch::Any,
            subject.now(),
        )
        .await
        .unwrap();
    let updated = store.device_stamp(key, &id);
    assert_ne!(updated, created);
    store
        .delete_device(subject.request(), key, &id, IfMatch::Any)
        .await
        .unwrap();
    let deleted = store.device_stamp(key, &id);
    assert_ne!(deleted, updated);
    subject
        .resources
        .delete_hub(subject.request(), key, IfMatch::Any)
        .await
        .unwrap();
    assert_ne!(
        store.device_stamp(key, &id),
        deleted,
        "a hub goes with its identities"
    );
}

pub(crate) async fn activity_moves_no_version(subject: &Subject) {
    let store = &subject.hub;
    let key = hub(subject, "hub-a").await.key;
    let made = store
        .create_device(subject.request(), key, device_draft("Dev"), subject.now())
        .await
        .unwrap();
    let (early, late) = (subject.now(), subject.now());
    let mut seen = vec![
        (key, made.id.clone(), late),
        (key, made.id.clone(), early),
        (key, device_id("nobody"), late),
        (HubKey::new(99), made.id.clone(), late),
    ];
    seen.extend((0..1_200).map(|number| (key, device_id(&format!("ghost-{number}")), late)));
    store.note_activity(seen).await.unwrap();
    let found = store.device(key, &made.id).await.unwrap().unwrap();
    assert_eq!((found.last_activity, found.etag), (Some(late), made.etag));
    let changed = store
        .update_device(
            subject.request(),
            key,
            device_draft("Dev"),
            IfMatch::Any,
            subject.now(),
        )
        .await
        .unwrap();
    assert_eq!(changed.last_activity, Some(late));
    assert_eq!(store.device(key, &made.id).await.unwrap(), Some(changed));
}

pub(crate) async fn nothing_of_a_deleted_hub_shows_under_its_name(subject: &Subject) {
    let store = &subject.hub;
    let old = hub(subject, "hub-a").await.key;
    store
        .create_device(subject.request(), old, device_draft("Dev"), subject.now())
        .await
        .unwrap();
    subject
        .resources
        .delete_hub(subject.request(), old, IfMatch::Any)
        .await
        .unwrap();
    let new = hub(subject, "hub-a").await.key;
    for key in [old, new] {
        assert_eq!(store.device(key, &device_id("Dev")).await.unwrap(), None);
        assert_eq!(store.twin(key, &device_id("Dev")).await.unwrap(), None);
        let all = DeviceSelector {
            after: None,
            limit: 10,
        };
        assert!(store.devices(key, all).await.unwrap().is_empty());
        assert_eq!(store.device_counts(key).await.unwrap().total, 0);
    }
    let gone = store
        .update_device(
            subject.request(),
            old,
            device_draft("Dev"),
            IfMatch::Any,
            subject.now(),
        )
        .await;
    assert!(matches!(gone, Err(WriteError::Missing)), "{gone:?}");
}
