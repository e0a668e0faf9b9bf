//! The battery of the subscriptions that outlive a connection.

use muster_hub::ports::TwinChange;
use muster_model::identity::DeviceIdentity;
use muster_model::twin::Twin;
use muster_model::{Assurance, Channel, GenerationId, HubKey, IfMatch, Subscriptions, TrustVersion};
use muster_resources::WriteError;

use crate::sample::{device_draft, device_id, hub, initial_twin, provisioned, thumbprint};
use crate::subject::Subject;

/// Subscriptions to these channels: the first one at least once, the others at most once.
fn to(channels: &[Channel]) -> Subscriptions {
    let assurances = [Assurance::AtLeastOnce]
        .into_iter()
        .chain(std::iter::repeat(Assurance::AtMostOnce));
    channels.iter().copied().zip(assurances).collect()
}

async fn device(subject: &Subject, key: HubKey, id: &str) -> DeviceIdentity {
    subject
        .hub
        .create_device(subject.request(), key, device_draft(id), subject.now())
        .await
        .unwrap()
}

async fn keep(subject: &Subject, device: &DeviceIdentity, kept: Subscriptions) -> Result<(), WriteError> {
    subject
        .hub
        .keep_subscriptions(subject.request(), device.hub, &device.id, device.generation, kept)
        .await
}

async fn forget(subject: &Subject, device: &DeviceIdentity) -> Result<(), WriteError> {
    subject
        .hub
        .forget_subscriptions(subject.request(), device.hub, &device.id, device.generation)
        .await
}

async fn kept(subject: &Subject, device: &DeviceIdentity) -> Option<Subscriptions> {
    subject.hub.subscriptions(device.hub, &device.id).await.unwrap()
}

pub(crate) async fn subscriptions_are_kept_replaced_and_forgotten(subject: &Subject) {
    let key = hub(subject, "hub-a").await.key;
    let (one, other) = (
        device(subject, key, "Dev").await,
        device(subject, key, "dev").await,
    );
    assert_eq!(kept(subject, &one).await, None);
    forget(subject, &one).await.unwrap();
    let all = to(&Channel::ALL);
    for wanted in [
        all.clone(),
        to(&[Channel::DeviceBound]),
        to(&[Channel::TwinResponses, Channel::DesiredProperties]),
        Subscriptions::default(),
        all.clone(),
    ] {
        keep(subject, &one, wanted.clone()).await.unwrap();
        assert_eq!(kept(subject, &one).await, Some(wanted));
    }
    assert_eq!(kept(subject, &other).await, None, "case matters");
    keep(subject, &other, Subscriptions::default()).await.unwrap();
    assert_eq!(kept(subject, &other).await, Some(Subscriptions::default()));
    forget(subject, &other).await.unwrap();
    forget(subject, &other).await.unwrap();
    assert_eq!(kept(subject, &other).await, None);
    assert_eq!(kept(subject, &one).await, Some(all));
}

pub(crate) async fn a_repeat_of_older_subscriptions_changes_nothing(subject: &Subject) {
    let store = &subject.hub;
    let key = hub(subject, "hub-a").await.key;
    let device = device(subject, key, "Dev").await;
    let (first, second) = (to(&[Channel::DeviceBound]), to(&[Channel::MethodRequests]));
    let (keeping, forgetting) = (subject.request(), subject.request());
    let keep_first = || store.keep_subscriptions(keeping, key, &device.id, device.generation, first.clone());
    let forget_first = || store.forget_subscriptions(forgetting, key, &device.id, device.generation);
    keep_first().await.unwrap();
    keep_first().await.unwrap();
    assert_eq!(kept(subject, &device).await, Some(first.clone()));
    forget_first().await.unwrap();
    keep_first().await.unwrap();
    assert_eq!(kept(subject, &device).await, None);
    keep(subject, &device, second.clone()).await.unwrap();
    forget_first().await.unwrap();
    keep_first().await.unwrap();
    assert_eq!(kept(subject, &device).await, Some(second));
}

pub(crate) async fn subscriptions_move_no_version(subject: &Subject) {
    let store = &subject.hub;
    let key = hub(subject, "hub-a").await.key;
    let device = device(subject, key, "Dev").await;
    let state = || async {
        let newest = subject
            .resources
            .read_since(TrustVersion::new(u64::MAX >> 1))
            .await
            .unwrap();
        (
            store.device(key, &device.id).await.unwrap(),
            store.twin(key, &device.id).await.unwrap(),
            store.device_stamp(key, &device.id),
            newest.version,
        )
    };
    let before = state().await;
    keep(subject, &device, to(&Channel::ALL)).await.unwrap();
    assert_eq!(state().await, before);
    forget(subject, &device).await.unwrap();
    assert_eq!(state().await, before);
}

pub(crate) async fn subscriptions_go_with_their_identity(subject: &Subject) {
    let store = &subject.hub;
    let key = hub(subject, "hub-a").await.key;
    let old = device(subject, key, "Dev").await;
    let wanted = to(&[Channel::DeviceBound, Channel::MethodRequests]);
    keep(subject, &old, wanted.clone()).await.unwrap();
    let mut draft = device_draft("Dev");
    draft.authentication = thumbprint(1);
    store
        .update_device(subject.request(), key, draft, IfMatch::Any, subject.now())
        .await
        .unwrap();
    assert_eq!(kept(subject, &old).await, Some(wanted.clone()));
    store
        .delete_device(subject.request(), key, &old.id, IfMatch::Any)
        .await
        .unwrap();
    assert_eq!(kept(subject, &old).await, None);
    let late = keep(subject, &old, wanted.clone()).await;
    assert!(matches!(late, Err(WriteError::Missing)), "{late:?}");
    forget(subject, &old).await.unwrap();

    let new = device(subject, key, "Dev").await;
    assert_eq!(
        kept(subject, &new).await,
        None,
        "the name is all that it inherits"
    );
    let late = keep(subject, &old, wanted.clone()).await;
    assert!(matches!(late, Err(WriteError::Missing)), "{late:?}");
    assert_eq!(kept(subject, &new).await, None);
    keep(subject, &new, wanted.clone()).await.unwrap();
    let late = forget(subject, &old).await;
    assert!(matches!(late, Err(WriteError::Missing)), "{late:?}");
    let late = keep(subject, &old, Subscriptions::default()).await;
    assert!(matches!(late, Err(WriteError::Missing)), "{late:?}");
    assert_eq!(kept(subject, &new).await, Some(wanted));
}

pub(crate) async fn provisioning_keeps_subscriptions_unless_the_generation_changes(subject: &Subject) {
    let store = &subject.hub;
    let key = hub(subject, "hub-a").await.key;
    let ensure = |credential, twin| async move {
        let device = provisioned("Dev", thumbprint(credential), twin);
        let done = store
            .ensure_device(subject.request(), key, device, subject.now())
            .await
            .unwrap();
        done.identity
    };
    let first = ensure(1, TwinChange::IfNew(initial_twin("first"))).await;
    assert_eq!(kept(subject, &first).await, None);
    let wanted = to(&[Channel::TwinResponses]);
    keep(subject, &first, wanted.clone()).await.unwrap();
    for (credential, twin) in [
        (1, TwinChange::IfNew(initial_twin("first"))),
        (2, TwinChange::Reset(initial_twin("second"))),
        (2, TwinChange::Migrate(Twin::default())),
    ] {
        let again = ensure(credential, twin).await;
        assert_eq!(again.generation, first.generation);
        assert_eq!(kept(subject, &again).await, Some(wanted.clone()));
    }
    store
        .delete_device(subject.request(), key, &first.id, IfMatch::Any)
        .await
        .unwrap();
    let anew = ensure(1, TwinChange::IfNew(initial_twin("first"))).await;
    assert!(anew.generation > first.generation);
    assert_eq!(kept(subject, &anew).await, None);
}

pub(crate) async fn subscriptions_go_with_their_hub(subject: &Subject) {
    let old = hub(subject, "hub-a").await.key;
    let device_of_old = device(subject, old, "Dev").await;
    let wanted = to(&[Channel::DeviceBound]);
    keep(subject, &device_of_old, wanted.clone()).await.unwrap();
    subject
        .resources
        .delete_hub(subject.request(), old, IfMatch::Any)
        .await
        .unwrap();
    assert_eq!(kept(subject, &device_of_old).await, None);
    let late = keep(subject, &device_of_old, wanted.clone()).await;
    assert!(matches!(late, Err(WriteError::Missing)), "{late:?}");
    forget(subject, &device_of_old).await.unwrap();
    let new = hub(subject, "hub-a").await.key;
    let device_of_new = device(subject, new, "Dev").await;
    assert_eq!(kept(subject, &device_of_new).await, None);
    keep(subject, &device_of_new, wanted.clone()).await.unwrap();
    while subject.resources.reap(1, 1).await.unwrap() > 0 {}
    assert_eq!(kept(subject, &device_of_old).await, None);
    assert_eq!(kept(subject, &device_of_new).await, Some(wanted));
}

pub(crate) async fn what_nobody_has_made_has_no_subscriptions(subject: &Subject) {
    let store = &subject.hub;
    let key = hub(subject, "hub-a").await.key;
    let (nobody, generation) = (device_id("nobody"), GenerationId::new(1));
    for key in [key, HubKey::new(99)] {
        assert_eq!(store.subscriptions(key, &nobody).await.unwrap(), None);
        let kept = store
            .keep_subscriptions(
                subject.request(),
                key,
                &nobody,
                generation,
                Subscriptions::default(),
            )
            .await;
        assert!(matches!(kept, Err(WriteError::Missing)), "{kept:?}");
        store
            .forget_subscriptions(subject.request(), key, &nobody, generation)
            .await
            .unwrap();
        assert_eq!(store.subscriptions(key, &nobody).await.unwrap(), None);
    }
}
