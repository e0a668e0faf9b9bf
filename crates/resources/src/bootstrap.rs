//! The first start: a resource group, a hub and a provisioning service that is linked to it, so that an empty
//! configuration is a useful server.
//!
//! Made once: what the operator deletes later does not come back. The operator's token is stored last and marks the
//! end; a start that was cut off goes on where it stopped.

use muster_model::{DpsName, HubName, IfMatch, Json, Location, ResourceGroupName, Wall};

use crate::error::Error;
use crate::estate::{Estate, Groups};
use crate::hubs::{HubRequest, Hubs};
use crate::policy;
use crate::services::{LinkKey, LinkRequest, ServiceRequest, Services};

/// What the first start makes.
#[derive(Clone, Debug)]
pub struct FirstStart {
    /// The resource group.
    pub group: ResourceGroupName,
    /// The hub in it.
    pub hub: HubName,
    /// The provisioning service in it.
    pub service: DpsName,
    /// Where they are said to be.
    pub location: Location,
    /// The SHA-256 of the operator's token.
    pub operator: [u8; 32],
}

/// Makes what the first start makes, unless a first start was finished before; tells whether it did. When the
/// operator's token is another one than before, whoever holds the data directory replaced it, and it holds from now on.
///
/// # Errors
/// [`Error`] when something could not be made; the next call goes on from there.
pub async fn bootstrap(estate: &Estate, first: FirstStart, now: Wall) -> Result<bool, Error> {
    let known = estate.directory.snapshot().operator().copied();
    if known == Some(first.operator) {
        return Ok(false);
    }
    if known.is_none() {
        make(estate, &first, now).await?;
    }
    estate.put_operator(first.operator).await?;
    Ok(known.is_none())
}

async fn make(estate: &Estate, first: &FirstStart, now: Wall) -> Result<(), Error> {
    let directory = &estate.directory;
    if directory.group(&first.group).is_none() {
        Groups::new(estate.clone())
            .ensure(first.group.clone(), first.location.clone(), None)
            .await?;
    }
    let hub = if let Some(hub) = directory.hub(&first.hub) {
        hub
    } else {
        let request = HubRequest {
            name: first.hub.clone(),
            group: first.group.clone(),
            location: first.location.clone(),
            tags: None,
            partitions: None,
            retention_days: None,
            retention_bytes: None,
            disable_device_sas: None,
            document: Json::empty_object(),
            policies: policy::hub_defaults(),
        };
        Hubs::new(estate.clone())
            .write(request, IfMatch::Absent, now)
            .await?
            .0
    };
    if directory.service(&first.service).is_none() {
        let link = hub.policies.first().map(|owner| LinkRequest {
            hub: hub.name.clone(),
            key: LinkKey::Given {
                policy: owner.name.clone(),
                key: owner.primary.clone(),
            },
            location: None,
            apply_allocation: true,
            weight: 1,
        });
        let request = ServiceRequest {
            name: first.service.clone(),
            group: first.group.clone(),
            location: first.location.clone(),
            tags: None,
            allocation: None,
            links: Some(link.into_iter().collect()),
            document: Json::empty_object(),
            policies: policy::service_defaults(),
        };
        Services::new(estate.clone())
            .write(request, IfMatch::Absent, now)
            .await?;
    }
    Ok(())
}
