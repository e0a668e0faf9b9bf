//! Provisioning services: making, changing and deleting them, their policies and the hubs they are linked to.
//!
//! A link is made with a key of one of the hub's policies, as Azure wants it; only hubs of this server can be linked,
//! and only with a key that is current. What is kept is which policy it was, not the key.

use std::sync::Arc;

use muster_model::dps::AllocationPolicy;
use muster_model::estate::{Hub, HubLink, ProvisioningService};
use muster_model::{
    AccessPolicy, DpsName, DpsRights, HubName, IdScope, IfMatch, Json, Location, PolicyName,
    ResourceGroupName, SymmetricKey, Wall,
};

use crate::error::Error;
use crate::estate::{Estate, MERGE_ROUNDS, merged_with};
use crate::permit::OperatorPermit;
use crate::policy::{self, PolicyDraft};
use crate::ports::ServiceDraft;

/// Most hubs that one provisioning service is linked to. Source: DPS quotas, read 2026-11.
pub const MAX_LINKS: usize = 50;

/// The largest weight of a linked hub.
pub const MAX_WEIGHT: u16 = 1_000;

/// How often a new id scope is drawn before giving up; each is one of 2^32.
const SCOPE_TRIES: usize = 16;

/// A provisioning service as an operator writes it. What is absent keeps its value, or takes the default in a new one.
#[derive(Clone, Debug)]
pub struct ServiceRequest {
    /// Its name.
    pub name: DpsName,
    /// Its resource group.
    pub group: ResourceGroupName,
    /// Where it is said to be.
    pub location: Location,
    /// The operator's own tags, an object.
    pub tags: Option<Json>,
    /// How a hub is chosen where an enrollment does not say; hashed by default.
    pub allocation: Option<AllocationPolicy>,
    /// The whole set of links.
    pub links: Option<Vec<LinkRequest>>,
    /// The rest of the management document.
    pub document: Json,
    /// The whole set of policies; an empty one keeps what is there.
    pub policies: Vec<PolicyDraft<DpsRights>>,
}

/// A hub to be linked.
#[derive(Clone, Debug)]
pub struct LinkRequest {
    /// The hub.
    pub hub: HubName,
    /// What the operator shows for it.
    pub key: LinkKey,
    /// Where the hub is said to be; its own location where absent.
    pub location: Option<Location>,
    /// Whether allocation may choose it when an enrollment names no hub.
    pub apply_allocation: bool,
    /// Its share under hashed allocation, 1 to 1,000.
    pub weight: u16,
}

/// What an operator shows for a hub to be linked.
#[derive(Clone, Debug)]
pub enum LinkKey {
    /// A key of a policy, as it stands in a connection string.
    Given {
        /// The policy.
        policy: PolicyName,
        /// The key.
        key: SymmetricKey,
    },
    /// A masked key: the link that is there is meant.
    Masked,
}

/// The verbs over provisioning services.
#[derive(Clone)]
pub struct Services {
    estate: Estate,
}

impl Services {
    /// Makes the verbs over `estate`.
    pub const fn new(estate: Estate) -> Self {
        Self { estate }
    }

    /// Finds a provisioning service in its resource group.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is none of that name, or it stands in another group.
    pub fn find(
        &self,
        _permit: &OperatorPermit,
        group: &ResourceGroupName,
        name: &DpsName,
    ) -> Result<Arc<ProvisioningService>, Error> {
        self.lookup(group, name)
    }

    /// Makes a provisioning service or changes the one of that name; tells whether it is new.
    ///
    /// # Errors
    /// [`Error::Argument`], [`Error::GroupMissing`], [`Error::Exists`] when the name is taken in another group,
    /// [`Error::LinkedHubUnknown`], [`Error::LinkKeyWrong`], [`Error::Missing`] when a version was named and there is
    /// none, [`Error::Stale`], [`Error::Store`].
    pub async fn put(
        &self,
        _permit: &OperatorPermit,
        request: ServiceRequest,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<(Arc<ProvisioningService>, bool), Error> {
        self.write(request, if_match, now).await
    }

    /// Deletes a provisioning service with its enrollments and registrations. Devices on hubs stay.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Stale`], [`Error::Store`].
    pub async fn delete(
        &self,
        _permit: &OperatorPermit,
        group: &ResourceGroupName,
        name: &DpsName,
        if_match: IfMatch,
    ) -> Result<(), Error> {
        let service = self.lookup(group, name)?;
        self.estate
            .write("provisioning service", name, |id| {
                self.estate.store.delete_service(id, service.key, if_match)
            })
            .await
    }

    /// Answers the policies of a provisioning service with their keys.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub fn policies(
        &self,
        _permit: &OperatorPermit,
        group: &ResourceGroupName,
        name: &DpsName,
    ) -> Result<Vec<AccessPolicy<DpsRights>>, Error> {
        Ok(self.lookup(group, name)?.policies.clone())
    }

    pub(crate) async fn write(
        &self,
        request: ServiceRequest,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<(Arc<ProvisioningService>, bool), Error> {
        let directory = &self.estate.directory;
        if directory.group(&request.group).is_none() {
            return Err(Error::GroupMissing(request.group));
        }
        let name = request.name.clone();
        for _ in 0..MERGE_ROUNDS {
            let Some(known) = directory.service(&name) else {
                return self.create(request, if_match, now).await;
            };
            if known.group != request.group {
                return Err(Error::Exists {
                    what: "provisioning service",
                    name: name.to_string(),
                });
            }
            let draft = self.draft(request.clone(), Some(&known))?;
            let version = merged_with(if_match, known.etag);
            let changed = self.estate.write("provisioning service", &name, |id| {
                self.estate
                    .store
                    .update_service(id, known.key, draft.clone(), version)
            });
            match changed.await {
                Err(Error::Stale) if version != if_match => {}
                done => return done.map(|service| (Arc::new(service), false)),
            }
        }
        Err(Error::Stale)
    }

    async fn create(
        &self,
        request: ServiceRequest,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<(Arc<ProvisioningService>, bool), Error> {
        let name = request.name.clone();
        let mut draft = self.draft(request, None)?;
        let directory = &self.estate.directory;
        if if_match.requires_existing() {
            return Err(missing(&name));
        }
        for _ in 0..SCOPE_TRIES {
            let created = self
                .estate
                .write("provisioning service", &name, |id| {
                    self.estate.store.create_service(id, draft.clone(), now)
                })
                .await;
            match created {
                // The name is free, so it was the id scope that somebody else drew in the meantime.
                Err(Error::Exists { .. }) if directory.service(&name).is_none() => {
                    draft.id_scope = self.new_scope()?;
                }
                done => return done.map(|service| (Arc::new(service), true)),
            }
        }
        Err(Error::Argument("no free id scope was found".to_owned()))
    }

    fn draft(
        &self,
        request: ServiceRequest,
        known: Option<&ProvisioningService>,
    ) -> Result<ServiceDraft, Error> {
        let policies = match (request.policies.is_empty(), known) {
            (true, Some(service)) => service.policies.clone(),
            (true, None) => policy::complete(policy::service_defaults(), &self.estate.random)?,
            (false, _) => policy::complete(request.policies, &self.estate.random)?,
        };
        let links = match request.links {
            Some(links) => self.links(links, known)?,
            None => known.map(|service| service.links.clone()).unwrap_or_default(),
        };
        Ok(ServiceDraft {
            name: request.name,
            group: request.group,
            location: request.location,
            tags: request
                .tags
                .or_else(|| known.map(|service| service.tags.clone()))
                .unwrap_or_else(Json::empty_object),
            id_scope: match known {
                Some(service) => service.id_scope.clone(),
                None => self.new_scope()?,
            },
            allocation: request
                .allocation
                .or(known.map(|service| service.allocation))
                .unwrap_or_default(),
            links,
            document: request.document,
            policies,
        })
    }

    fn links(
        &self,
        requests: Vec<LinkRequest>,
        known: Option<&ProvisioningService>,
    ) -> Result<Vec<HubLink>, Error> {
        if requests.len() > MAX_LINKS {
            return Err(Error::Argument(format!(
                "a provisioning service is linked to at most {MAX_LINKS} hubs"
            )));
        }
        let mut links: Vec<HubLink> = Vec::with_capacity(requests.len());
        for request in requests {
            let hub = self
                .estate
                .directory
                .hub(&request.hub)
                .ok_or_else(|| Error::LinkedHubUnknown(request.hub.clone()))?;
            if !(1..=MAX_WEIGHT).contains(&request.weight) {
                return Err(Error::Argument(format!(
                    "the allocation weight of {} is 1 to {MAX_WEIGHT}, not {}",
                    hub.name, request.weight
                )));
            }
            if links.iter().any(|link| link.hub == hub.key) {
                return Err(Error::Argument(format!("the hub {} is linked twice", hub.name)));
            }
            links.push(HubLink {
                hub: hub.key,
                policy: linking_policy(&hub, request.key, known)?,
                location: request.location.unwrap_or_else(|| hub.location.clone()),
                apply_allocation: request.apply_allocation,
                weight: request.weight,
            });
        }
        Ok(links)
    }

    /// Draws an id scope that no service of this server has.
    fn new_scope(&self) -> Result<IdScope, Error> {
        for _ in 0..SCOPE_TRIES {
            let number = self.estate.random.draw(|rng| {
                let mut bytes = [0; 4];
                rng.fill_bytes(&mut bytes);
                u32::from_be_bytes(bytes)
            });
            let scope =
                IdScope::parse(&format!("0ne{number:08X}")).map_err(|e| Error::Argument(e.to_string()))?;
            if self.estate.directory.service_by_scope(&scope).is_none() {
                return Ok(scope);
            }
        }
        Err(Error::Argument("no free id scope was found".to_owned()))
    }

    fn lookup(&self, group: &ResourceGroupName, name: &DpsName) -> Result<Arc<ProvisioningService>, Error> {
        self.estate
            .directory
            .service(name)
            .filter(|service| service.group == *group)
            .ok_or_else(|| missing(name))
    }
}

/// Finds the policy that a link rests on: the one whose key is shown, or that of the link that is there.
fn linking_policy(hub: &Hub, key: LinkKey, known: Option<&ProvisioningService>) -> Result<PolicyName, Error> {
    match key {
        LinkKey::Masked => known
            .and_then(|service| service.links.iter().find(|link| link.hub == hub.key))
            .map(|link| link.policy.clone())
            .ok_or_else(|| Error::Argument(format!("the key of the new link to {} is masked", hub.name))),
        LinkKey::Given { policy, key } => hub
            .policies
            .iter()
            .find(|one| one.name == policy)
            .filter(|one| {
                // Both are compared, so that the time tells nothing about either.
                let (first, second) = (same_key(&one.primary, &key), same_key(&one.secondary, &key));
                first | second
            })
            .map(|one| one.name.clone())
            .ok_or_else(|| Error::LinkKeyWrong {
                hub: hub.name.clone(),
                policy,
            }),
    }
}

fn same_key(known: &SymmetricKey, shown: &SymmetricKey) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(known.bytes(), shown.bytes()).is_ok()
}

fn missing(name: &DpsName) -> Error {
    Error::Missing {
        what: "provisioning service",
        name: name.to_string(),
    }
}
