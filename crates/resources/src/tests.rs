//! Tests of the control plane over a store in memory.

mod access;
mod certificates;
mod directory;
mod estate;
mod refusals;

use std::sync::Arc;

use muster_model::{
    CertificateName, DpsName, HubName, Json, Location, Random, ResourceGroupName, SasToken, SymmetricKey,
    Wall,
};
use muster_pki::Sha256;

use crate::access::Config;
use crate::testing::{LocalChanges, MemoryStore};
use crate::{
    Access, Certificates, Credential, Directory, Estate, FirstStart, Groups, HubRequest, Hubs,
    OperatorPermit, ServiceRequest, Services, bootstrap,
};

pub(super) const NOW: Wall = Wall::from_seconds(1_700_000_000);
pub(super) const TOKEN: &str = "the operator's token";

/// A server after its first start.
pub(super) struct World {
    pub(super) store: Arc<MemoryStore>,
    pub(super) estate: Estate,
    pub(super) directory: Arc<Directory>,
    pub(super) access: Access,
    pub(super) groups: Groups,
    pub(super) hubs: Hubs,
    pub(super) services: Services,
    pub(super) certificates: Certificates,
}

impl World {
    pub(super) async fn new() -> Self {
        let world = Self::empty().await;
        assert!(bootstrap(&world.estate, first_start(), NOW).await.unwrap());
        world
    }

    pub(super) async fn empty() -> Self {
        let store = Arc::new(MemoryStore::new());
        let directory = Directory::load(store.clone()).await.unwrap();
        let estate = Estate::new(
            store.clone(),
            Arc::clone(&directory),
            Arc::new(LocalChanges::default()),
            Arc::new(Random::from_number(1)),
        );
        Self {
            store,
            access: Access::new(Arc::clone(&directory), Config::default()),
            groups: Groups::new(estate.clone()),
            hubs: Hubs::new(estate.clone()),
            services: Services::new(estate.clone()),
            certificates: Certificates::new(estate.clone()),
            directory,
            estate,
        }
    }

    pub(super) fn operator(&self) -> OperatorPermit {
        self.access.operator(Credential::Bearer(TOKEN)).unwrap()
    }

    pub(super) fn hub(&self) -> Arc<muster_model::estate::Hub> {
        self.directory.hub(&hub_name("muster-hub")).unwrap()
    }

    pub(super) fn service(&self) -> Arc<muster_model::estate::ProvisioningService> {
        self.directory.service(&dps_name("muster-dps")).unwrap()
    }
}

pub(super) fn first_start() -> FirstStart {
    FirstStart {
        group: group_name(),
        hub: hub_name("muster-hub"),
        service: dps_name("muster-dps"),
        location: Location::parse("westus").unwrap(),
        operator: Sha256::of(TOKEN.as_bytes()).0,
    }
}

pub(super) fn group_name() -> ResourceGroupName {
    ResourceGroupName::parse("muster").unwrap()
}

pub(super) fn hub_name(text: &str) -> HubName {
    HubName::parse(text).unwrap()
}

pub(super) fn dps_name(text: &str) -> DpsName {
    DpsName::parse(text).unwrap()
}

pub(super) fn certificate_name(text: &str) -> CertificateName {
    CertificateName::parse(text).unwrap()
}

pub(super) fn hub_request(name: &str) -> HubRequest {
    HubRequest {
        name: hub_name(name),
        group: group_name(),
        location: Location::parse("westus").unwrap(),
        tags: None,
        partitions: None,
        retention_days: None,
        retention_bytes: None,
        disable_device_sas: None,
        document: Json::empty_object(),
        policies: Vec::new(),
    }
}

pub(super) fn service_request(name: &str) -> ServiceRequest {
    ServiceRequest {
        name: dps_name(name),
        group: group_name(),
        location: Location::parse("westus").unwrap(),
        tags: None,
        allocation: None,
        links: None,
        document: Json::empty_object(),
        policies: Vec::new(),
    }
}

pub(super) fn token(resource: &str, key: &SymmetricKey, policy: &str, expiry: Wall) -> SasToken {
    let signed_text = format!("{resource}\n{}", expiry.seconds());
    let signature = crate::sas::derive_key(key, &signed_text)
        .unwrap()
        .bytes()
        .to_vec();
    SasToken {
        signed_text,
        resource: resource.to_owned(),
        signature,
        expiry,
        policy: Some(policy.to_owned()),
    }
}
