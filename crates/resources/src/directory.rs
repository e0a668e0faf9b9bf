//! What exists, in memory: groups, hubs, provisioning services and their CA certificates, for everything that is asked
//! on a hot path.
//!
//! A reader takes a snapshot without waiting and sees one trust version throughout. The only writer is
//! [`Directory::refresh`], which reads what changed from the store and publishes the next snapshot; what did not change
//! is shared with the one before, so that one new certificate among ten thousand does not rebuild the others' owners.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use muster_model::estate::{Hub, ProvisioningService, ResourceGroup};
use muster_model::{
    CertificateOwner, DpsKey, DpsName, HubKey, HubName, IdScope, ResourceGroupName, TrustVersion,
};

use crate::ports::{Delta, Store, StoreError};
use crate::trust::OwnerTrust;

/// The control plane at one trust version.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    version: TrustVersion,
    operator: Option<[u8; 32]>,
    groups: Arc<BTreeMap<ResourceGroupName, Arc<ResourceGroup>>>,
    hubs: Arc<Hubs>,
    services: Arc<Services>,
    trust: Arc<BTreeMap<CertificateOwner, Arc<OwnerTrust>>>,
}

#[derive(Clone, Debug, Default)]
struct Hubs {
    keys: BTreeMap<HubKey, Arc<Hub>>,
    names: BTreeMap<HubName, Arc<Hub>>,
}

#[derive(Clone, Debug, Default)]
struct Services {
    keys: BTreeMap<DpsKey, Arc<ProvisioningService>>,
    names: BTreeMap<DpsName, Arc<ProvisioningService>>,
    scopes: BTreeMap<IdScope, Arc<ProvisioningService>>,
}

impl Snapshot {
    /// The trust version that it shows.
    pub const fn version(&self) -> TrustVersion {
        self.version
    }

    /// The SHA-256 of the operator's token; `None` before the first start is finished.
    pub const fn operator(&self) -> Option<&[u8; 32]> {
        self.operator.as_ref()
    }

    fn apply(&mut self, delta: Delta) {
        self.version = delta.version;
        if let Some(hash) = delta.operator {
            self.operator = Some(hash);
        }
        if !delta.groups.is_empty() {
            let groups = Arc::make_mut(&mut self.groups);
            for (name, group) in delta.groups {
                groups.remove(&name);
                if let Some(group) = group {
                    groups.insert(name, Arc::new(group));
                }
            }
        }
        self.apply_hubs(delta.hubs);
        self.apply_services(delta.services);
        self.apply_certificates(delta.certificates);
    }

    fn apply_hubs(&mut self, changed: Vec<(HubKey, Option<Hub>)>) {
        if changed.is_empty() {
            return;
        }
        let hubs = Arc::make_mut(&mut self.hubs);
        // What is gone goes first: its name may have been taken again in the same delta.
        for (key, hub) in &changed {
            if let Some(old) = hubs.keys.remove(key)
                && hubs.names.get(&old.name).is_some_and(|one| one.key == *key)
            {
                hubs.names.remove(&old.name);
            }
            if hub.is_none() && self.trust.contains_key(&CertificateOwner::Hub(*key)) {
                Arc::make_mut(&mut self.trust).remove(&CertificateOwner::Hub(*key));
            }
        }
        for hub in changed.into_iter().filter_map(|(_, hub)| hub).map(Arc::new) {
            hubs.names.insert(hub.name.clone(), Arc::clone(&hub));
            hubs.keys.insert(hub.key, hub);
        }
    }

    fn apply_services(&mut self, changed: Vec<(DpsKey, Option<ProvisioningService>)>) {
        if changed.is_empty() {
            return;
        }
        let services = Arc::make_mut(&mut self.services);
        for (key, service) in &changed {
            if let Some(old) = services.keys.remove(key) {
                if services.names.get(&old.name).is_some_and(|one| one.key == *key) {
                    services.names.remove(&old.name);
                }
                if services
                    .scopes
                    .get(&old.id_scope)
                    .is_some_and(|one| one.key == *key)
                {
                    services.scopes.remove(&old.id_scope);
                }
            }
            if service.is_none() && self.trust.contains_key(&CertificateOwner::Dps(*key)) {
                Arc::make_mut(&mut self.trust).remove(&CertificateOwner::Dps(*key));
            }
        }
        for service in changed
            .into_iter()
            .filter_map(|(_, service)| service)
            .map(Arc::new)
        {
            services.names.insert(service.name.clone(), Arc::clone(&service));
            services
                .scopes
                .insert(service.id_scope.clone(), Arc::clone(&service));
            services.keys.insert(service.key, service);
        }
    }

    fn apply_certificates(
        &mut self,
        changed: Vec<(
            CertificateOwner,
            muster_model::CertificateName,
            Option<muster_model::CaCertificate>,
        )>,
    ) {
        if changed.is_empty() {
            return;
        }
        let version = self.version;
        let trust = Arc::make_mut(&mut self.trust);
        for (owner, name, certificate) in changed {
            let known = match owner {
                CertificateOwner::Dps(key) => self.services.keys.contains_key(&key),
                CertificateOwner::Hub(key) => self.hubs.keys.contains_key(&key),
            };
            if known {
                Arc::make_mut(trust.entry(owner).or_default()).replace(&name, certificate, version);
            }
        }
    }
}

/// Answers what exists, from memory.
pub struct Directory {
    store: Arc<dyn Store>,
    current: ArcSwap<Snapshot>,
    refreshing: tokio::sync::Mutex<()>,
    none: Arc<OwnerTrust>,
}

impl Directory {
    /// Reads everything from the store.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be read.
    pub async fn load(store: Arc<dyn Store>) -> Result<Arc<Self>, StoreError> {
        let directory = Self {
            store,
            current: ArcSwap::default(),
            refreshing: tokio::sync::Mutex::new(()),
            none: Arc::default(),
        };
        directory.refresh().await?;
        Ok(Arc::new(directory))
    }

    /// Reads what changed since the published snapshot, publishes the next one, and answers its version. Called after
    /// each write of this node and whenever `Changes` wakes. Cancelling it leaves the published snapshot as it was.
    ///
    /// # Errors
    /// [`StoreError`] when the changes can't be read; the published snapshot stays.
    pub async fn refresh(&self) -> Result<TrustVersion, StoreError> {
        // Two refreshes at once could publish the older one last.
        let _alone = self.refreshing.lock().await;
        let current = self.current.load_full();
        let delta = self.store.read_since(current.version).await?;
        if delta.version <= current.version {
            return Ok(current.version);
        }
        let version = delta.version;
        let mut next = Snapshot::clone(&current);
        next.apply(delta);
        self.current.store(Arc::new(next));
        Ok(version)
    }

    /// Takes the published snapshot, for callers that ask more than one thing and must not see two versions.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The trust version of the published snapshot.
    pub fn trust_version(&self) -> TrustVersion {
        self.current.load().version
    }

    /// Answers the resource group of that name.
    pub fn group(&self, name: &ResourceGroupName) -> Option<Arc<ResourceGroup>> {
        self.current.load().groups.get(name).cloned()
    }

    /// Answers every resource group in the order of the names.
    pub fn groups(&self) -> Vec<Arc<ResourceGroup>> {
        self.current.load().groups.values().cloned().collect()
    }

    /// Answers the hub of that name.
    pub fn hub(&self, name: &HubName) -> Option<Arc<Hub>> {
        self.current.load().hubs.names.get(name).cloned()
    }

    /// Whether names of the machine lead to this hub.
    pub fn is_default(&self, hub: &Hub) -> bool {
        self.default_hub().is_some_and(|default| default.key == hub.key)
    }

    /// The hub that names of the machine lead to: the only one, else the ready-made one.
    pub fn default_hub(&self) -> Option<Arc<Hub>> {
        match self.hubs().as_slice() {
            [only] => Some(Arc::clone(only)),
            _ => HubName::parse("muster-hub").ok().and_then(|name| self.hub(&name)),
        }
    }

    /// Answers the hub with that key.
    pub fn hub_by_key(&self, key: HubKey) -> Option<Arc<Hub>> {
        self.current.load().hubs.keys.get(&key).cloned()
    }

    /// Answers every hub in the order of the names.
    pub fn hubs(&self) -> Vec<Arc<Hub>> {
        self.current.load().hubs.names.values().cloned().collect()
    }

    /// Answers the provisioning service of that name.
    pub fn service(&self, name: &DpsName) -> Option<Arc<ProvisioningService>> {
        self.current.load().services.names.get(name).cloned()
    }

    /// Answers the provisioning service with that key.
    pub fn service_by_key(&self, key: DpsKey) -> Option<Arc<ProvisioningService>> {
        self.current.load().services.keys.get(&key).cloned()
    }

    /// Answers the provisioning service with that id scope.
    pub fn service_by_scope(&self, scope: &IdScope) -> Option<Arc<ProvisioningService>> {
        self.current.load().services.scopes.get(scope).cloned()
    }

    /// Answers every provisioning service in the order of the names.
    pub fn services(&self) -> Vec<Arc<ProvisioningService>> {
        self.current.load().services.names.values().cloned().collect()
    }

    /// Answers the CA certificates of an owner; an empty set where there are none.
    pub fn trust(&self, owner: CertificateOwner) -> Arc<OwnerTrust> {
        self.current
            .load()
            .trust
            .get(&owner)
            .map_or_else(|| Arc::clone(&self.none), Arc::clone)
    }
}
