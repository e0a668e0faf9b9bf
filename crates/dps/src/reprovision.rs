//! Where a device goes when it registers again, and what becomes of its twin.

use muster_model::dps::{Assignment, RegistrationFailure, ReprovisionPolicy, Substatus};
use muster_model::twin::InitialTwin;
use muster_model::{DeviceId, HubKey};

use crate::ports::LinkedTwin;

/// What is to be done for one registration.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The hub, and the device id there.
    pub(crate) hub: HubKey,
    pub(crate) device_id: DeviceId,
    /// What the device leaves behind, and is removed there.
    pub(crate) leaves: Option<Assignment>,
    pub(crate) substatus: Substatus,
    pub(crate) twin: LinkedTwin,
}

/// Applies the policy. `before` is the assignment of the earlier registration, while its hub exists; `lost` says that
/// there was one on a hub that is gone. `choose` evaluates allocation and is asked only where the policy wants it.
///
/// # Errors
/// What `choose` answers.
pub(crate) fn plan(
    before: Option<&Assignment>,
    lost: bool,
    policy: ReprovisionPolicy,
    device_id: DeviceId,
    initial: InitialTwin,
    choose: impl FnOnce() -> Result<HubKey, RegistrationFailure>,
) -> Result<Plan, RegistrationFailure> {
    let Some(before) = before else {
        // What was on the lost hub can't be carried.
        let (substatus, twin) = if lost {
            (Substatus::DeviceDataReset, LinkedTwin::Reset(initial))
        } else {
            (Substatus::InitialAssignment, LinkedTwin::IfNew(initial))
        };
        return Ok(Plan {
            hub: choose()?,
            device_id,
            leaves: None,
            substatus,
            twin,
        });
    };
    if !policy.update_hub_assignment {
        // Hub and data stay; only the credential follows the device.
        return Ok(Plan {
            hub: before.hub,
            device_id: before.device_id.clone(),
            leaves: None,
            substatus: Substatus::ReprovisionedToInitialAssignment,
            twin: LinkedTwin::IfNew(initial),
        });
    }
    let hub = choose()?;
    let moves = hub != before.hub;
    // Under a new device id a second device is made, and the old one stays where it is.
    let same_device = device_id == before.device_id;
    let leaves = (moves && same_device).then(|| before.clone());
    let (substatus, twin) = match (policy.migrate_device_data, moves) {
        (true, false) => (
            Substatus::ReprovisionedToInitialAssignment,
            LinkedTwin::IfNew(initial),
        ),
        (true, true) if same_device => (Substatus::DeviceDataMigrated, LinkedTwin::Migrate(initial)),
        (true, true) | (false, _) => (Substatus::DeviceDataReset, LinkedTwin::Reset(initial)),
    };
    Ok(Plan {
        hub,
        device_id,
        leaves,
        substatus,
        twin,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALWAYS: ReprovisionPolicy = ReprovisionPolicy {
        update_hub_assignment: true,
        migrate_device_data: true,
    };
    const RESET: ReprovisionPolicy = ReprovisionPolicy {
        update_hub_assignment: true,
        migrate_device_data: false,
    };
    const NEVER: ReprovisionPolicy = ReprovisionPolicy {
        update_hub_assignment: false,
        migrate_device_data: false,
    };

    fn device(id: &str) -> DeviceId {
        DeviceId::parse(id).unwrap()
    }

    fn on(hub: u64) -> Assignment {
        Assignment {
            hub: HubKey::new(hub),
            host_name: format!("hub-{hub}.example"),
            device_id: device("d"),
        }
    }

    fn planned(before: Option<&Assignment>, policy: ReprovisionPolicy, chosen: u64) -> Plan {
        let choose = || Ok(HubKey::new(chosen));
        plan(before, false, policy, device("d"), InitialTwin::default(), choose).unwrap()
    }

    #[test]
    fn the_first_registration_is_an_initial_assignment() {
        for policy in [ALWAYS, RESET, NEVER] {
            let plan = planned(None, policy, 1);
            assert_eq!(plan.substatus, Substatus::InitialAssignment);
            assert!(matches!(plan.twin, LinkedTwin::IfNew(_)));
            assert_eq!(plan.leaves, None);
        }
    }

    #[test]
    fn the_same_hub_keeps_the_twin() {
        let plan = planned(Some(&on(1)), ALWAYS, 1);
        assert_eq!(plan.substatus, Substatus::ReprovisionedToInitialAssignment);
        assert!(matches!(plan.twin, LinkedTwin::IfNew(_)));
        assert_eq!(plan.leaves, None);
    }

    #[test]
    fn another_hub_gets_the_twin_and_the_old_one_is_left() {
        let plan = planned(Some(&on(1)), ALWAYS, 2);
        assert_eq!(plan.substatus, Substatus::DeviceDataMigrated);
        assert!(matches!(plan.twin, LinkedTwin::Migrate(_)));
        assert_eq!(plan.leaves, Some(on(1)));
    }

    #[test]
    fn without_migration_the_twin_is_reset_on_the_same_hub_too() {
        for (chosen, leaves) in [(1, None), (2, Some(on(1)))] {
            let plan = planned(Some(&on(1)), RESET, chosen);
            assert_eq!(plan.substatus, Substatus::DeviceDataReset);
            assert!(matches!(plan.twin, LinkedTwin::Reset(_)));
            assert_eq!(plan.leaves, leaves);
        }
    }

    #[test]
    fn never_keeps_the_hub_without_asking_allocation() {
        let odd = ReprovisionPolicy {
            update_hub_assignment: false,
            migrate_device_data: true,
        };
        for policy in [NEVER, odd] {
            let before = on(1);
            let plan = plan(
                Some(&before),
                false,
                policy,
                device("other"),
                InitialTwin::default(),
                || panic!("asked"),
            )
            .unwrap();
            assert_eq!((plan.hub, &plan.device_id), (before.hub, &before.device_id));
            assert_eq!(plan.substatus, Substatus::ReprovisionedToInitialAssignment);
        }
    }

    #[test]
    fn a_new_device_id_makes_a_second_device_and_leaves_the_first() {
        for chosen in [1, 2] {
            let choose = || Ok(HubKey::new(chosen));
            let plan = plan(
                Some(&on(1)),
                false,
                ALWAYS,
                device("second"),
                InitialTwin::default(),
                choose,
            )
            .unwrap();
            assert_eq!(plan.leaves, None);
            assert_eq!(plan.device_id, device("second"));
        }
    }

    #[test]
    fn what_stood_on_a_hub_that_is_gone_is_reset() {
        let choose = || Ok(HubKey::new(2));
        let plan = plan(None, true, NEVER, device("d"), InitialTwin::default(), choose).unwrap();
        assert_eq!(plan.substatus, Substatus::DeviceDataReset);
        assert_eq!(plan.hub, HubKey::new(2));
    }
}
