//! The promises of [`LinkedHub`] as a battery that every implementation runs.
//!
//! The battery is a caller as the registrar is one: a call that ends unavailable may have gone through, and is repeated
//! under the same operation id until it is answered. What it holds to: a device is as it was asked for last, whichever
//! of its calls were repeated and whenever. Panics at the first promise that is broken.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a battery tells of a broken promise by panicking"
)]

use std::sync::Arc;

use async_trait::async_trait;
use muster_model::identity::{Authentication, EnrollmentRef, Provenance};
use muster_model::twin::{InitialTwin, Twin};
use muster_model::{
    DeviceId, DpsKey, EnrollmentGroupId, HubKey, Json, JsonLimits, OperationId, RegistrationId, Wall,
};
use muster_pki::{Sha256, Thumbprint};

use crate::ports::{LinkedDevice, LinkedHub, LinkedHubError, LinkedTwin};

/// The time at which the battery plays: 2026-01-01T00:00:00Z.
const NOW: Wall = Wall::from_seconds(1_767_225_600);
const PATIENCE: usize = 1_000;

/// A device as it stands on a hub, looked at past the port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SeenDevice {
    /// How it proves who it is.
    pub authentication: Authentication,
    /// Whether it is an edge gateway.
    pub iot_edge: bool,
    /// Where it came from.
    pub provenance: Option<Provenance>,
}

/// Looks at what a port wrote, past the port.
#[async_trait]
pub trait Look: Send + Sync {
    /// Answers a device.
    async fn device(&self, hub: HubKey, id: &DeviceId) -> Option<SeenDevice>;
}

/// An implementation under test, with hubs that the battery has for itself.
#[expect(missing_debug_implementations, reason = "ports have no text")]
pub struct Subject {
    /// The port.
    pub hubs: Arc<dyn LinkedHub>,
    /// What it wrote.
    pub look: Arc<dyn Look>,
    /// An empty hub.
    pub here: HubKey,
    /// Another one.
    pub there: HubKey,
    /// A hub that is gone.
    pub gone: HubKey,
}

/// Runs the whole battery.
pub async fn linked_hub(subject: &Subject) {
    subject.a_device_is_made_as_it_was_asked_for().await;
    subject.another_attempt_overwrites_all_but_the_twin().await;
    subject.a_twin_is_kept_carried_over_or_reset().await;
    subject.a_repeat_changes_nothing_however_late_it_comes().await;
    subject.a_device_that_moved_away_is_removed_once().await;
    subject.hubs_do_not_share_devices().await;
    subject.a_hub_that_is_gone_says_so().await;
}

fn id(text: &str) -> DeviceId {
    DeviceId::parse(text).expect("the id is a constant")
}

fn operation(number: u8) -> OperationId {
    let text = format!("5.00000000000000{number:02x}.b3602f8f-76fe-4341-9214-bb6cfb8900{number:02x}");
    OperationId::parse(&text).expect("the form of an operation id")
}

fn json(text: &str) -> Json {
    Json::parse_object(text, JsonLimits::BODY).expect("an object")
}

fn initial(mark: &str) -> InitialTwin {
    InitialTwin {
        tags: json(&format!("{{\"mark\":\"{mark}\"}}")),
        desired: Json::empty_object(),
    }
}

/// What a twin was marked with, to compare it by.
fn mark(twin: Option<Twin>) -> Option<String> {
    twin.map(|twin| twin.tags.as_str().replace(' ', ""))
}

fn marked(text: &str) -> String {
    format!("{{\"mark\":\"{text}\"}}")
}

/// A device that differs in everything from one of another letter.
fn device(letter: u8, twin: LinkedTwin) -> LinkedDevice {
    let thumbprint = Thumbprint::Sha256([letter; 32]);
    LinkedDevice {
        authentication: Authentication::SelfSigned {
            primary: Some(thumbprint),
            secondary: None,
        },
        iot_edge: letter == b'e',
        provenance: Provenance {
            service: DpsKey::new(1),
            registration: RegistrationId::parse("registration").expect("a constant"),
            enrollment: EnrollmentRef::Group(
                EnrollmentGroupId::parse(&format!("group-{}", char::from(letter))).expect("letters"),
            ),
            chain: vec![Sha256([letter; 32])],
        },
        twin,
    }
}

/// Repeats a call until it is answered.
async fn answered<T, F>(mut call: impl FnMut() -> F) -> Result<T, LinkedHubError>
where
    F: Future<Output = Result<T, LinkedHubError>>,
{
    for _ in 0..PATIENCE {
        match call().await {
            Err(LinkedHubError::Unavailable(_)) => {}
            answer => return answer,
        }
    }
    panic!("the hub never answered")
}

impl Subject {
    async fn ensure(
        &self,
        hub: HubKey,
        attempt: u8,
        id: &DeviceId,
        device: &LinkedDevice,
        carried: Option<Twin>,
    ) -> Result<(), LinkedHubError> {
        let attempt = &operation(attempt);
        answered(|| self.hubs.ensure(hub, attempt, id, device, carried.clone(), NOW)).await
    }

    /// As [`Subject::ensure`], for a call that must go through.
    async fn make(&self, hub: HubKey, attempt: u8, id: &DeviceId, device: &LinkedDevice) {
        let done = self.ensure(hub, attempt, id, device, None).await;
        assert!(done.is_ok(), "a device of a hub that is there: {done:?}");
    }

    async fn remove(&self, hub: HubKey, attempt: u8, id: &DeviceId) {
        let attempt = &operation(attempt);
        let done = answered(|| self.hubs.remove(hub, attempt, id)).await;
        assert!(done.is_ok(), "removing: {done:?}");
    }

    async fn mark(&self, hub: HubKey, id: &DeviceId) -> Option<String> {
        match answered(|| self.hubs.twin(hub, id)).await {
            Ok(twin) => mark(twin),
            Err(error) => panic!("the twin of {id}: {error}"),
        }
    }

    async fn looks_like(&self, hub: HubKey, id: &DeviceId, device: &LinkedDevice) {
        let seen = self.look.device(hub, id).await;
        let wanted = SeenDevice {
            authentication: device.authentication.clone(),
            iot_edge: device.iot_edge,
            provenance: Some(device.provenance.clone()),
        };
        assert_eq!(seen, Some(wanted), "{id} on the hub");
    }

    async fn a_device_is_made_as_it_was_asked_for(&self) {
        let made = id("Made");
        assert_eq!(self.mark(self.here, &made).await, None);
        let wanted = device(b'e', LinkedTwin::IfNew(initial("first")));
        self.make(self.here, 1, &made, &wanted).await;
        self.looks_like(self.here, &made, &wanted).await;
        assert_eq!(self.mark(self.here, &made).await, Some(marked("first")));
        // The case of a device id matters.
        assert_eq!(self.look.device(self.here, &id("made")).await, None);
    }

    async fn another_attempt_overwrites_all_but_the_twin(&self) {
        let made = id("overwritten");
        let first = device(b'a', LinkedTwin::IfNew(initial("first")));
        self.make(self.here, 10, &made, &first).await;
        let second = device(b'e', LinkedTwin::IfNew(initial("second")));
        self.make(self.here, 11, &made, &second).await;
        self.looks_like(self.here, &made, &second).await;
        assert_eq!(self.mark(self.here, &made).await, Some(marked("first")));
    }

    async fn a_twin_is_kept_carried_over_or_reset(&self) {
        let moved = id("moved");
        let twin = Twin {
            reported: json("{\"seen\":7}"),
            ..Twin::from(initial("carried"))
        };
        let migrating = device(b'a', LinkedTwin::Migrate(initial("unused")));
        let done = self
            .ensure(self.there, 20, &moved, &migrating, Some(twin.clone()))
            .await;
        assert!(done.is_ok(), "{done:?}");
        let arrived = answered(|| self.hubs.twin(self.there, &moved)).await;
        let arrived = arrived
            .ok()
            .flatten()
            .expect("the twin of a device that was made");
        assert_eq!(
            arrived.reported, twin.reported,
            "what the device reported comes along"
        );
        assert_eq!(mark(Some(arrived)), Some(marked("carried")));
        // There was nothing to carry over.
        let new = id("moved-without-a-twin");
        let migrating = device(b'b', LinkedTwin::Migrate(initial("instead")));
        self.make(self.there, 21, &new, &migrating).await;
        assert_eq!(self.mark(self.there, &new).await, Some(marked("instead")));
        let resetting = device(b'c', LinkedTwin::Reset(initial("reset")));
        self.make(self.there, 22, &moved, &resetting).await;
        assert_eq!(self.mark(self.there, &moved).await, Some(marked("reset")));
    }

    async fn a_repeat_changes_nothing_however_late_it_comes(&self) {
        let made = id("repeated");
        let first = device(b'a', LinkedTwin::Reset(initial("first")));
        self.make(self.here, 30, &made, &first).await;
        self.make(self.here, 30, &made, &first).await;
        let second = device(b'b', LinkedTwin::Reset(initial("second")));
        self.make(self.here, 31, &made, &second).await;
        self.make(self.here, 30, &made, &first).await;
        self.looks_like(self.here, &made, &second).await;
        assert_eq!(self.mark(self.here, &made).await, Some(marked("second")));
    }

    async fn a_device_that_moved_away_is_removed_once(&self) {
        let moving = id("moving");
        self.remove(self.here, 40, &moving).await;
        let wanted = device(b'a', LinkedTwin::IfNew(initial("before")));
        self.make(self.here, 41, &moving, &wanted).await;
        self.make(self.there, 42, &moving, &wanted).await;
        self.remove(self.here, 42, &moving).await;
        assert_eq!(self.look.device(self.here, &moving).await, None);
        assert_eq!(self.mark(self.here, &moving).await, None);
        // It comes back, and the reply of the attempt that removed it was lost all that time.
        let back = device(b'b', LinkedTwin::IfNew(initial("back")));
        self.make(self.here, 43, &moving, &back).await;
        self.remove(self.here, 42, &moving).await;
        self.looks_like(self.here, &moving, &back).await;
        assert_eq!(self.mark(self.here, &moving).await, Some(marked("back")));
    }

    async fn hubs_do_not_share_devices(&self) {
        let both = id("both");
        let (here, there) = (
            device(b'a', LinkedTwin::IfNew(initial("here"))),
            device(b'b', LinkedTwin::IfNew(initial("there"))),
        );
        self.make(self.here, 50, &both, &here).await;
        self.make(self.there, 51, &both, &there).await;
        self.looks_like(self.here, &both, &here).await;
        self.looks_like(self.there, &both, &there).await;
        self.remove(self.here, 52, &both).await;
        self.looks_like(self.there, &both, &there).await;
        assert_eq!(self.mark(self.there, &both).await, Some(marked("there")));
    }

    async fn a_hub_that_is_gone_says_so(&self) {
        let late = id("late");
        let wanted = device(b'a', LinkedTwin::IfNew(initial("late")));
        let done = self.ensure(self.gone, 60, &late, &wanted, None).await;
        assert!(
            matches!(done, Err(LinkedHubError::Gone)),
            "making a device on a hub that is gone: {done:?}"
        );
        // There is nothing left to remove, and no twin to carry.
        self.remove(self.gone, 61, &late).await;
        match answered(|| self.hubs.twin(self.gone, &late)).await {
            Ok(None) | Err(LinkedHubError::Gone) => {}
            other => panic!("the twin of a device of a hub that is gone: {other:?}"),
        }
    }
}
