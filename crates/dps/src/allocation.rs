//! Which hub a device is assigned to.
//!
//! Hashed allocation is a weighted rendezvous hash: each hub draws a number from the registration id and its own key, and
//! the largest draw, bent by the weight, wins. So a device keeps its hub as long as that hub stays eligible, and a hub
//! that comes or goes moves only the devices that it gains or loses. No list is kept and nothing is balanced by load.
//!
//! `geoLatency` is the same as `hashed`: all hubs stand in one place. `custom` would call out, which nothing here does.

use muster_model::dps::{AllocationPolicy, EnrollmentTerms, RegistrationFailure};
use muster_model::estate::{HubLink, ProvisioningService};
use muster_model::{HubKey, HubName, RegistrationId};
use muster_pki::Sha256;

/// `errorCode` of a registration that custom allocation did not decide. Source: DPS device API, read 2026-11-24.
pub(crate) const CUSTOM_ALLOCATION_FAILED: u32 = 400_207;
/// `errorCode` of a registration for which there is no hub. Source: as above.
pub(crate) const NO_HUB: u32 = 400_208;
/// `errorCode` of a registration whose hub refused the link. Source: as above.
pub(crate) const HUB_REFUSED: u32 = 400_209;

/// Chooses the hub for a registration.
///
/// `hub_of` finds the key of a hub by its name; an enrollment names hubs, and a link knows keys.
///
/// # Errors
/// The failure that the registration is to record.
pub(crate) fn choose(
    service: &ProvisioningService,
    terms: &EnrollmentTerms,
    id: &RegistrationId,
    hub_of: impl Fn(&HubName) -> Option<HubKey>,
) -> Result<HubKey, RegistrationFailure> {
    let policy = terms.allocation.unwrap_or(service.allocation);
    if policy == AllocationPolicy::Custom {
        // What the device is told is what a webhook that cannot be reached gives.
        return Err(RegistrationFailure {
            code: CUSTOM_ALLOCATION_FAILED,
            message: "Custom allocation failed: this server calls no webhook.".to_owned(),
        });
    }
    let mut eligible: Vec<&HubLink> = if terms.hubs.is_empty() {
        service
            .links
            .iter()
            .filter(|link| link.apply_allocation)
            .collect()
    } else {
        let named: Vec<HubKey> = terms.hubs.iter().filter_map(hub_of).collect();
        service
            .links
            .iter()
            .filter(|link| named.contains(&link.hub))
            .collect()
    };
    // An enrollment that names nothing under `static` may be written; it has no hub of its own, so it has none at all.
    if policy == AllocationPolicy::Static && terms.hubs.is_empty() && terms.allocation.is_some() {
        eligible.clear();
    }
    eligible
        .into_iter()
        .max_by(|a, b| {
            score(id, a)
                .total_cmp(&score(id, b))
                .then_with(|| a.hub.cmp(&b.hub))
        })
        .map(|link| link.hub)
        .ok_or_else(|| RegistrationFailure {
            code: NO_HUB,
            message: "No IoT hub is available for this device.".to_owned(),
        })
}

/// The draw of one hub for one registration: an exponential variate divided by the weight, negated so that the largest
/// wins. Shares are then proportional to weights. Source: Schindelhauer and Schomaker, "Weighted distributed hash
/// tables", the logarithmic method.
fn score(id: &RegistrationId, link: &HubLink) -> f64 {
    let mut text = Vec::with_capacity(id.folded().len() + 8);
    text.extend_from_slice(&link.hub.get().to_be_bytes());
    text.extend_from_slice(id.folded().as_bytes());
    let digest = Sha256::of(&text);
    let bits = digest
        .as_bytes()
        .iter()
        .take(4)
        .fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte));
    // In (0, 1), both ends excluded.
    let uniform = (f64::from(bits) + 0.5) / 4_294_967_296.0;
    uniform.ln() / f64::from(link.weight.clamp(1, 1_000))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::fixtures::{id, link, service, terms};

    fn shares(links: &[HubLink], devices: u32) -> HashMap<u64, u32> {
        let mut service = service();
        service.links = links.to_vec();
        let mut shares = HashMap::new();
        for n in 0..devices {
            let hub = choose(&service, &terms(), &id(&format!("device-{n}")), |_| None).unwrap();
            *shares.entry(hub.get()).or_default() += 1;
        }
        shares
    }

    #[test]
    fn weights_bias_the_share() {
        let shares = shares(&[link(1, 1), link(2, 3)], 4_000);
        assert!((900..1_100).contains(&shares[&1]), "{shares:?}");
    }

    #[test]
    fn a_new_hub_moves_only_the_devices_that_it_gains() {
        let (mut before, mut after) = (service(), service());
        before.links = vec![link(1, 1), link(2, 1)];
        after.links = vec![link(1, 1), link(2, 1), link(3, 1)];
        for n in 0..500 {
            let id = id(&format!("device-{n}"));
            let (old, new) = (
                choose(&before, &terms(), &id, |_| None).unwrap(),
                choose(&after, &terms(), &id, |_| None).unwrap(),
            );
            assert!(new == old || new == HubKey::new(3));
        }
    }

    #[test]
    fn the_case_of_the_id_does_not_matter() {
        let mut service = service();
        service.links = vec![link(1, 1), link(2, 1)];
        for n in 0..50 {
            assert_eq!(
                choose(&service, &terms(), &id(&format!("Dev-{n}")), |_| None),
                choose(&service, &terms(), &id(&format!("dEV-{n}")), |_| None),
            );
        }
    }

    #[test]
    fn a_link_that_allocation_may_not_choose_is_chosen_only_by_name() {
        let mut service = service();
        service.links = vec![HubLink {
            apply_allocation: false,
            ..link(7, 1)
        }];
        let failure = choose(&service, &terms(), &id("d"), |_| None).unwrap_err();
        assert_eq!(failure.code, NO_HUB);
        let mut named = terms();
        named.hubs = vec![HubName::parse("hub-seven").unwrap()];
        assert_eq!(
            choose(&service, &named, &id("d"), |_| Some(HubKey::new(7))),
            Ok(HubKey::new(7))
        );
    }

    #[test]
    fn a_named_hub_that_is_no_longer_linked_is_no_choice() {
        let mut named = terms();
        named.hubs = vec![HubName::parse("hub-seven").unwrap()];
        let failure = choose(&service(), &named, &id("d"), |_| Some(HubKey::new(7))).unwrap_err();
        assert_eq!(failure.code, NO_HUB);
    }

    #[test]
    fn static_without_a_hub_and_custom_fail() {
        let mut terms = terms();
        terms.allocation = Some(AllocationPolicy::Static);
        assert_eq!(
            choose(&service(), &terms, &id("d"), |_| None).unwrap_err().code,
            NO_HUB
        );
        terms.allocation = Some(AllocationPolicy::Custom);
        assert_eq!(
            choose(&service(), &terms, &id("d"), |_| None).unwrap_err().code,
            CUSTOM_ALLOCATION_FAILED
        );
    }
}
