//! What becomes of registrations: the walk, repeats, lost replies, moves, and a model that must agree.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_model::dps::{
    AllocationPolicy, AttestationChange, CustomAllocation, IndividualChange, ProvisioningStatus,
    RegistrationStatus, ReprovisionPolicy, SlotChange, Substatus, TermsChange, X509Change,
};
use muster_model::identity::{Authentication, EnrollmentRef};
use muster_model::twin::{InitialTwin, Twin};
use muster_model::{ErrorCode, IfMatch, Json, JsonLimits, ReasonCode};
use muster_pki::{Certificate, Thumbprint};
use proptest::prelude::*;

use crate::fixtures::{Ca, NOW, World, device, hub_name, id, key, link, presenting, with_status};
use crate::testing::HubFault;
use crate::{Error, Swept};

const ENABLED: ProvisioningStatus = ProvisioningStatus::Enabled;

fn json(text: &str) -> Json {
    Json::parse_object(text, JsonLimits::BODY).unwrap()
}

async fn enroll(world: &World, text: &str, leaf: &Certificate, terms: TermsChange) {
    let change = IndividualChange {
        id: id(text),
        device_id: None,
        device_information: None,
        attestation: AttestationChange::X509(X509Change::ClientCertificates {
            primary: SlotChange::Set(leaf.clone()),
            secondary: SlotChange::Clear,
        }),
        terms,
    };
    world
        .enrollments
        .put(&world.permit(), change, IfMatch::Absent, NOW)
        .await
        .unwrap();
}

fn policy(update: bool, migrate: bool) -> TermsChange {
    TermsChange {
        reprovision: ReprovisionPolicy {
            update_hub_assignment: update,
            migrate_device_data: migrate,
        },
        initial_twin: Some(InitialTwin {
            tags: Json::empty_object(),
            desired: json(r#"{"from":"enrollment"}"#),
        }),
        ..with_status(ENABLED)
    }
}

/// An individual enrollment under `terms`, and its leaf.
async fn enrolled(terms: TermsChange) -> (World, Certificate) {
    let world = World::new().await;
    let leaf = Ca::self_signed_device("d");
    enroll(&world, "d", &leaf, terms).await;
    (world, leaf)
}

#[tokio::test]
async fn an_answered_registration_is_finished_and_can_be_polled() {
    let (world, leaf) = enrolled(with_status(ENABLED)).await;
    let operation = world.register("d", &[&leaf]).await.unwrap();
    assert_eq!(operation.refusal, None);
    let attempt = world.attempt("D", presenting(&[&leaf]));
    let operation_id = operation.id.unwrap();
    for _ in 0..2 {
        let polled = world
            .registrar
            .operation(&attempt, &operation_id, NOW)
            .await
            .unwrap();
        assert_eq!(polled.state.status, RegistrationStatus::Assigned);
        assert_eq!(polled.state.substatus, Some(Substatus::InitialAssignment));
        let assignment = polled.state.assignment.unwrap();
        assert_eq!(assignment.host_name, "hub-1.azure-devices.muster.localhost");
        assert_eq!(assignment.device_id, device("d"));
    }
    let status = world.registrar.registration_status(&attempt, NOW).await.unwrap();
    assert_eq!(status.operation, operation_id);
}

#[tokio::test]
async fn the_hub_is_given_the_leaf_that_was_shown_and_where_the_device_came_from() {
    let (world, root) = (World::new().await, Ca::root("R"));
    world.upload("root", root.certificate(), true).await;
    world.group("group", root.certificate(), ENABLED).await;
    let leaf = root.leaf("Dev");
    world.register("Dev", &[&leaf]).await.unwrap();
    let made = world.made(1, "Dev").unwrap();
    assert_eq!(
        made.device.authentication,
        Authentication::SelfSigned {
            primary: Some(Thumbprint::from(leaf.sha256())),
            secondary: None
        }
    );
    let provenance = made.device.provenance;
    assert_eq!(provenance.chain, [leaf.sha256(), root.certificate().sha256()]);
    assert!(matches!(provenance.enrollment, EnrollmentRef::Group(group) if group.as_str() == "group"));
    // Another spelling and another leaf of the same device later: the first spelling stays, the leaf follows.
    let renewed = root.leaf("DEV");
    world.register("DEV", &[&renewed]).await.unwrap();
    assert_eq!(world.hubs_of("DEV"), Vec::<u64>::new());
    assert_eq!(
        world.made(1, "Dev").unwrap().device.authentication,
        Authentication::SelfSigned {
            primary: Some(Thumbprint::from(renewed.sha256())),
            secondary: None
        }
    );
}

#[tokio::test]
async fn the_hub_is_given_the_keys_that_the_device_has() {
    let world = World::new().await;
    world.group_with_key("group", &key(3), ENABLED).await;
    let derived = crate::attestation::derive(&key(3), "d").unwrap();
    world.register_with("d", &derived).await.unwrap();
    let made = world.made(1, "d").unwrap();
    assert!(matches!(made.device.authentication, Authentication::Sas { primary, .. } if primary == derived));
}

#[tokio::test]
async fn operations_are_answered_to_their_own_device_only() {
    let (world, leaf) = enrolled(with_status(ENABLED)).await;
    let other = Ca::self_signed_device("e");
    world.individual("e", &other, ENABLED).await;
    let operation = world.register("d", &[&leaf]).await.unwrap().id.unwrap();
    let attempt = world.attempt("e", presenting(&[&other]));
    let error = world
        .registrar
        .operation(&attempt, &operation, NOW)
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::DpsRegistrationNotFound);
    let error = world
        .registrar
        .registration_status(&attempt, NOW)
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::DpsRegistrationNotFound);
    // Without its credential nobody learns even that.
    let stranger = world.attempt("d", presenting(&[&Ca::self_signed_device("d")]));
    let error = world
        .registrar
        .operation(&stranger, &operation, NOW)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Some(ReasonCode::LeafNotEnrolled));
}

#[tokio::test]
async fn a_move_carries_the_twin_and_removes_the_device_from_the_old_hub() {
    let (world, leaf) = enrolled(policy(true, true)).await;
    world.register("d", &[&leaf]).await.unwrap();
    let twin = Twin {
        reported: json(r#"{"seen":1}"#),
        ..Twin::default()
    };
    world.set_twin(1, "d", twin.clone());
    world.relink(vec![link(2, 1)]).await;
    let state = world.register("d", &[&leaf]).await.unwrap().state;
    assert_eq!(state.substatus, Some(Substatus::DeviceDataMigrated));
    assert_eq!(world.hubs_of("d"), [2]);
    assert_eq!(world.made(2, "d").unwrap().twin, twin);
}

#[tokio::test]
async fn without_migration_the_initial_twin_is_written_on_the_same_hub_too() {
    let (world, leaf) = enrolled(policy(true, false)).await;
    world.register("d", &[&leaf]).await.unwrap();
    for hub in [1, 2] {
        let twin = Twin {
            desired: json(r#"{"changed":true}"#),
            ..Twin::default()
        };
        let at = world.hubs_of("d")[0];
        world.set_twin(at, "d", twin);
        world.relink(vec![link(hub, 1)]).await;
        let state = world.register("d", &[&leaf]).await.unwrap().state;
        assert_eq!(state.substatus, Some(Substatus::DeviceDataReset));
        assert_eq!(world.hubs_of("d"), [hub]);
        assert_eq!(
            world.made(hub, "d").unwrap().twin.desired,
            json(r#"{"from":"enrollment"}"#)
        );
    }
}

#[tokio::test]
async fn never_keeps_hub_and_twin() {
    let (world, leaf) = enrolled(policy(false, false)).await;
    world.register("d", &[&leaf]).await.unwrap();
    world.relink(vec![link(2, 1)]).await;
    let state = world.register("d", &[&leaf]).await.unwrap().state;
    assert_eq!(state.substatus, Some(Substatus::ReprovisionedToInitialAssignment));
    assert_eq!(world.hubs_of("d"), [1]);
}

#[tokio::test]
async fn a_deleted_registration_begins_anew() {
    let (world, leaf) = enrolled(with_status(ENABLED)).await;
    world.register("d", &[&leaf]).await.unwrap();
    let again = world.register("d", &[&leaf]).await.unwrap().state;
    assert_eq!(again.substatus, Some(Substatus::ReprovisionedToInitialAssignment));
    world
        .registrations
        .delete(&world.permit(), &id("d"), IfMatch::Any)
        .await
        .unwrap();
    assert_eq!(world.hubs_of("d"), [1], "the device on its hub stays");
    let state = world.register("d", &[&leaf]).await.unwrap().state;
    assert_eq!(state.substatus, Some(Substatus::InitialAssignment));
}

#[tokio::test]
async fn a_disabled_device_keeps_what_its_record_said() {
    let (world, leaf) = enrolled(with_status(ENABLED)).await;
    let before = world.register("d", &[&leaf]).await.unwrap().state;
    enroll(&world, "d", &leaf, with_status(ProvisioningStatus::Disabled)).await;
    let operation = world.register("d", &[&leaf]).await.unwrap();
    assert_eq!(operation.id, None);
    assert_eq!(operation.state.status, RegistrationStatus::Disabled);
    assert_eq!(operation.state.assignment, before.assignment);
    assert_eq!(operation.state.created, before.created);
    let attempt = world.attempt("d", presenting(&[&leaf]));
    let status = world.registrar.registration_status(&attempt, NOW).await.unwrap();
    assert_eq!(status.status, RegistrationStatus::Disabled);
}

#[tokio::test]
async fn failed_allocation_is_recorded_and_polled() {
    let terms = TermsChange {
        allocation: Some(AllocationPolicy::Custom),
        custom_allocation: Some(CustomAllocation {
            webhook_url: "https://example.com/allocate".to_owned(),
            api_version: "2021-10-01".to_owned(),
        }),
        ..with_status(ENABLED)
    };
    let (world, leaf) = enrolled(terms).await;
    for code in [400_207, 400_208] {
        let operation = world.register("d", &[&leaf]).await.unwrap();
        assert_eq!(operation.refusal, Some(ReasonCode::NoHubToAssign));
        let attempt = world.attempt("d", presenting(&[&leaf]));
        let polled = world
            .registrar
            .operation(&attempt, &operation.id.unwrap(), NOW)
            .await
            .unwrap();
        assert_eq!(polled.state.status, RegistrationStatus::Failed);
        assert_eq!(polled.state.failure.unwrap().code, code);
        world.relink(Vec::new()).await;
        enroll(&world, "d", &leaf, with_status(ENABLED)).await;
    }
}

#[tokio::test]
async fn a_hub_that_refuses_or_is_gone_ends_the_attempt() {
    for (fault, code) in [(HubFault::Refused, 400_209), (HubFault::Gone, 400_208)] {
        let (world, leaf) = enrolled(with_status(ENABLED)).await;
        world.hubs.fail_next(fault);
        let state = world.register("d", &[&leaf]).await.unwrap().state;
        assert_eq!(state.status, RegistrationStatus::Failed);
        assert_eq!(state.failure.unwrap().code, code);
    }
}

#[tokio::test]
async fn an_attempt_that_a_hub_kept_waiting_is_finished_by_the_sweeper() {
    for fault in [HubFault::Unreachable, HubFault::LostReply] {
        let (world, leaf) = enrolled(with_status(ENABLED)).await;
        world.hubs.fail_next(fault);
        let operation = world.register("d", &[&leaf]).await.unwrap();
        assert_eq!(operation.state.status, RegistrationStatus::Assigning);
        // The device repeats itself, and is led to the same attempt; with another credential it has to wait.
        let again = world.register("d", &[&leaf]).await.unwrap();
        assert_eq!(again.id, operation.id);
        let young = world.sweeper.run_once(Duration::from_mins(1), NOW).await.unwrap();
        assert_eq!(young, Swept::default());
        let later = NOW.plus(Duration::from_secs(61));
        let swept = world
            .sweeper
            .run_once(Duration::from_mins(1), later)
            .await
            .unwrap();
        assert_eq!(swept.finished, 1);
        let attempt = world.attempt("d", presenting(&[&leaf]));
        let polled = world
            .registrar
            .operation(&attempt, &operation.id.unwrap(), NOW)
            .await
            .unwrap();
        assert_eq!(polled.state.status, RegistrationStatus::Assigned);
        assert_eq!(world.hubs_of("d"), [1]);
    }
}

#[tokio::test]
async fn a_move_that_stopped_half_way_loses_no_twin() {
    let (world, leaf) = enrolled(policy(true, true)).await;
    world.register("d", &[&leaf]).await.unwrap();
    let twin = Twin {
        reported: json(r#"{"seen":2}"#),
        ..Twin::default()
    };
    world.set_twin(1, "d", twin.clone());
    world.relink(vec![link(2, 1)]).await;
    // The new hub takes the device, and the reply is lost; then the old one removes it, and that reply is lost too.
    world.hubs.fail_next(HubFault::LostReply);
    let operation = world.register("d", &[&leaf]).await.unwrap();
    assert_eq!(operation.state.status, RegistrationStatus::Assigning);
    let later = NOW.plus(Duration::from_secs(2));
    world.hubs.fail_next(HubFault::Unreachable);
    assert_eq!(
        world
            .sweeper
            .run_once(Duration::ZERO, later)
            .await
            .unwrap()
            .waiting,
        1
    );
    assert_eq!(
        world
            .sweeper
            .run_once(Duration::ZERO, later)
            .await
            .unwrap()
            .finished,
        1
    );
    assert_eq!(world.hubs_of("d"), [2]);
    assert_eq!(world.made(2, "d").unwrap().twin, twin);
}

#[tokio::test]
async fn lost_replies_of_the_store_are_repeated_with_the_same_ids() {
    let (world, leaf) = enrolled(with_status(ENABLED)).await;
    world.store.lose_replies(1);
    let state = world.register("d", &[&leaf]).await.unwrap().state;
    assert_eq!(state.status, RegistrationStatus::Assigned);
    assert_eq!(state.substatus, Some(Substatus::InitialAssignment));
    // Two in a row are told to the device, which tries again.
    world.store.lose_replies(2);
    let error = world.register("d", &[&leaf]).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::DpsServiceUnavailable);
}

#[tokio::test]
async fn another_credential_has_to_wait_for_the_attempt_that_goes_on() {
    let (world, root) = (World::new().await, Ca::root("R"));
    world.upload("root", root.certificate(), true).await;
    world.group("group", root.certificate(), ENABLED).await;
    world.hubs.fail_next(HubFault::Unreachable);
    world.register("d", &[&root.leaf("d")]).await.unwrap();
    let error = world.register("d", &[&root.leaf("d")]).await.unwrap_err();
    assert!(matches!(error, Error::Conflict));
    assert_eq!(error.code(), ErrorCode::DpsConflict);
}

#[tokio::test]
async fn an_enrollment_may_name_hub_and_device() {
    let world = World::new().await;
    world.relink(vec![link(1, 1), link(2, 1)]).await;
    let leaf = Ca::self_signed_device("d");
    let change = IndividualChange {
        id: id("d"),
        device_id: Some(device("Some.Device")),
        device_information: None,
        attestation: AttestationChange::X509(X509Change::ClientCertificates {
            primary: SlotChange::Clear,
            secondary: SlotChange::Set(leaf.clone()),
        }),
        terms: TermsChange {
            allocation: Some(AllocationPolicy::Static),
            hubs: vec![hub_name(2)],
            iot_edge: true,
            ..with_status(ENABLED)
        },
    };
    world
        .enrollments
        .put(&world.permit(), change, IfMatch::Absent, NOW)
        .await
        .unwrap();
    world.register("d", &[&leaf]).await.unwrap();
    let made = world.made(2, "Some.Device").unwrap();
    assert!(made.device.iot_edge);
}

/// One step of a random history.
#[derive(Clone, Copy, Debug)]
enum Step {
    DeleteRecord,
    Disable(bool),
    LinkOnly(u64),
    Policy(bool, bool),
    Register,
    StoreLoses,
    HubLoses,
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::DeleteRecord),
        2 => any::<bool>().prop_map(Step::Disable),
        2 => (1_u64..=3).prop_map(Step::LinkOnly),
        2 => any::<(bool, bool)>().prop_map(|(update, migrate)| Step::Policy(update, migrate)),
        6 => Just(Step::Register),
        1 => Just(Step::StoreLoses),
        1 => Just(Step::HubLoses),
        1 => Just(Step::Sweep),
    ]
}

/// What should be known about the one device.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch that a step turns")]
struct Model {
    disabled: bool,
    update: bool,
    migrate: bool,
    linked: u64,
    record: Option<Record>,
    /// The hubs that have the device, with the serial number that its twin was given there.
    twins: BTreeMap<u64, u32>,
    /// A register that left its work to the sweeper.
    open: bool,
    hub_loses: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Record {
    status: RegistrationStatus,
    hub: Option<u64>,
    substatus: Option<Substatus>,
}

impl Model {
    /// Where a register leads.
    fn register(&mut self) {
        if self.disabled {
            let before = self.record.take();
            self.record = Some(Record {
                status: RegistrationStatus::Disabled,
                hub: before.as_ref().and_then(|record| record.hub),
                substatus: before.and_then(|record| record.substatus),
            });
            self.open = false;
            return;
        }
        if self.open {
            return;
        }
        let before = self.record.as_ref().and_then(|record| record.hub);
        let (hub, substatus) = match before {
            None => (self.linked, Substatus::InitialAssignment),
            Some(hub) if !self.update => (hub, Substatus::ReprovisionedToInitialAssignment),
            Some(_) if !self.migrate => (self.linked, Substatus::DeviceDataReset),
            Some(hub) if hub == self.linked => (hub, Substatus::ReprovisionedToInitialAssignment),
            Some(_) => (self.linked, Substatus::DeviceDataMigrated),
        };
        let carried = before.and_then(|hub| self.twins.get(&hub).copied());
        match substatus {
            Substatus::DeviceDataReset => {
                self.twins.insert(hub, 0);
            }
            Substatus::DeviceDataMigrated => {
                self.twins.insert(hub, carried.unwrap_or(0));
            }
            Substatus::InitialAssignment | Substatus::ReprovisionedToInitialAssignment => {
                self.twins.entry(hub).or_insert(0);
            }
        }
        if self.hub_loses {
            // The hub did the work, the reply was lost, and what follows is left to the sweeper.
            self.hub_loses = false;
            self.open = true;
        }
        if let Some(before) = before.filter(|before| *before != hub) {
            self.twins.remove(&before);
        }
        self.record = Some(Record {
            status: RegistrationStatus::Assigned,
            hub: Some(hub),
            substatus: Some(substatus),
        });
    }
}

fn run(steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (world, leaf) = enrolled(policy(true, true)).await;
        let mut model = Model {
            disabled: false,
            update: true,
            migrate: true,
            linked: 1,
            record: None,
            twins: BTreeMap::new(),
            open: false,
            hub_loses: false,
        };
        let mut serial = 0;
        for step in steps {
            match *step {
                Step::DeleteRecord => {
                    // An attempt that goes on is swept first: what it leaves behind otherwise is the hub's to keep.
                    sweep(&world, &mut model).await;
                    let outcome = world
                        .registrations
                        .delete(&world.permit(), &id("d"), IfMatch::Any)
                        .await;
                    assert_eq!(outcome.is_ok(), model.record.take().is_some());
                }
                Step::Disable(disabled) => {
                    sweep(&world, &mut model).await;
                    model.disabled = disabled;
                }
                Step::LinkOnly(hub) => {
                    model.linked = hub;
                    world.relink(vec![link(hub, 1)]).await;
                }
                Step::Policy(update, migrate) => {
                    model.update = update;
                    model.migrate = migrate;
                }
                Step::Register => {
                    let outcome = world.register("d", &[&leaf]).await;
                    assert!(outcome.is_ok(), "{outcome:?}");
                    model.register();
                }
                Step::StoreLoses => world.store.lose_replies(1),
                Step::HubLoses if !model.hub_loses && !model.open && !model.disabled => {
                    model.hub_loses = true;
                    world.hubs.fail_next(HubFault::LostReply);
                }
                Step::HubLoses => {}
                Step::Sweep => sweep(&world, &mut model).await,
            }
            if matches!(step, Step::Disable(_) | Step::Policy(..)) {
                world.store.lose_replies(0);
                let mut terms = policy(model.update, model.migrate);
                terms.status = if model.disabled {
                    ProvisioningStatus::Disabled
                } else {
                    ENABLED
                };
                enroll(&world, "d", &leaf, terms).await;
            }
            if model.open {
                continue;
            }
            // Each device's twin gets a mark of its own now and then, which moves must carry.
            let known = world.store.state("d").map(|state| Record {
                status: state.status,
                hub: state.assignment.map(|assignment| assignment.hub.get()),
                substatus: state.substatus,
            });
            assert_eq!(known, model.record);
            let hubs: Vec<u64> = model.twins.keys().copied().collect();
            assert_eq!(world.hubs_of("d"), hubs);
            for (hub, mark) in &mut model.twins {
                let twin = world.made(*hub, "d").unwrap().twin;
                assert_eq!(twin.desired_version, u64::from(*mark) + 1);
                serial += 1;
                *mark = serial;
                let marked = Twin {
                    desired_version: u64::from(serial) + 1,
                    ..twin
                };
                world.set_twin(*hub, "d", marked);
            }
        }
    });
}

async fn sweep(world: &World, model: &mut Model) {
    world.store.lose_replies(0);
    let later = NOW.plus(Duration::from_secs(10));
    let swept = world.sweeper.run_once(Duration::ZERO, later).await.unwrap();
    assert_eq!(swept.finished, usize::from(model.open));
    model.open = false;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_histories_end_where_the_model_says(steps in proptest::collection::vec(step(), 1..40)) {
        run(&steps);
    }
}
