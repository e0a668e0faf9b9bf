//! Tests of the hub over a registry, a control plane and an event log in memory.

mod authenticator;
mod explain;
mod fakes;
mod identities;
mod telemetry;

use std::sync::Arc;

use muster_model::estate::Hub;
use muster_model::identity::DeviceStatus;
use muster_model::{
    CertificateName, CertificateOwner, DeviceId, DpsName, HubName, IfMatch, Json, Location, Random,
    ResourceGroupName, SasToken, SymmetricKey, Wall,
};
use muster_pki::{Certificate, Chain, Sha256};
use muster_resources::testing::{LocalChanges, MemoryStore};
use muster_resources::{
    Access, Audience, Certificates, Credential, Directory, Estate, FirstStart, HubPermit, HubRequest, Hubs,
    OperatorPermit, bootstrap, sas,
};

use self::fakes::{MemoryLog, MemoryRegistry};
use crate::authenticator::Config;
use crate::{
    AuthenticationRequest, Authenticator, DeviceCredential, DevicePermit, Error, Events, Explainer,
    Identities, IdentityRequest, Telemetry,
};

const NOW: Wall = Wall::from_seconds(1_700_000_000);
const HOST: &str = "muster-hub.azure-devices.muster.localhost";
const TOKEN: &str = "the operator's token";

struct World {
    registry: Arc<MemoryRegistry>,
    log: Arc<MemoryLog>,
    directory: Arc<Directory>,
    access: Access,
    certificates: Certificates,
    hubs: Hubs,
    authenticator: Authenticator,
    identities: Identities,
    telemetry: Telemetry,
    events: Events,
    explainer: Explainer,
}

impl World {
    async fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let directory = Directory::load(store.clone()).await.unwrap();
        let random = Arc::new(Random::from_number(1));
        let estate = Estate::new(
            store,
            Arc::clone(&directory),
            Arc::new(LocalChanges::default()),
            Arc::clone(&random),
        );
        let first = FirstStart {
            group: ResourceGroupName::parse("muster").unwrap(),
            hub: HubName::parse("muster-hub").unwrap(),
            service: DpsName::parse("muster-dps").unwrap(),
            location: Location::parse("westus").unwrap(),
            operator: Sha256::of(TOKEN.as_bytes()).0,
        };
        bootstrap(&estate, first, NOW).await.unwrap();
        let registry = Arc::new(MemoryRegistry::default());
        let log = Arc::new(MemoryLog::default());
        Self {
            access: Access::new(
                Arc::clone(&directory),
                muster_resources::access::Config::default(),
            ),
            certificates: Certificates::new(estate.clone()),
            hubs: Hubs::new(estate),
            authenticator: Authenticator::new(registry.clone(), Arc::clone(&directory), Config::default()),
            identities: Identities::new(registry.clone(), random),
            telemetry: Telemetry::new(log.clone()),
            events: Events::new(log.clone(), Arc::clone(&directory)),
            explainer: Explainer::new(registry.clone(), Arc::clone(&directory)),
            registry,
            log,
            directory,
        }
    }

    fn hub(&self) -> Arc<Hub> {
        self.directory
            .hub(&HubName::parse("muster-hub").unwrap())
            .unwrap()
    }

    fn operator(&self) -> OperatorPermit {
        self.access.operator(Credential::Bearer(TOKEN)).unwrap()
    }

    fn hub_permit(&self) -> HubPermit {
        self.access
            .hub(&self.hub(), Credential::Bearer(TOKEN), audience("/devices"), NOW)
            .unwrap()
    }

    /// A permit by one of the ready-made policies.
    fn policy_permit(&self, policy: &str) -> HubPermit {
        let hub = self.hub();
        let key = &hub
            .policies
            .iter()
            .find(|one| one.name.as_str() == policy)
            .unwrap()
            .primary;
        let token = token(HOST, key, Some(policy), NOW);
        self.access
            .hub(&hub, Credential::Sas(&token), audience("/devices"), NOW)
            .unwrap()
    }

    async fn upload(&self, name: &str, certificate: Certificate, verified: bool) {
        self.certificates
            .upload(
                &self.operator(),
                CertificateOwner::Hub(self.hub().key),
                CertificateName::parse(name).unwrap(),
                certificate,
                verified,
                IfMatch::Absent,
                NOW,
            )
            .await
            .unwrap();
    }

    async fn disable_device_sas(&self) {
        let hub = self.hub();
        let request = HubRequest {
            name: hub.name.clone(),
            group: hub.group.clone(),
            location: hub.location.clone(),
            tags: None,
            partitions: None,
            retention_days: None,
            retention_bytes: None,
            disable_device_sas: Some(true),
            document: Json::empty_object(),
            policies: Vec::new(),
        };
        self.hubs
            .put(&self.operator(), request, IfMatch::Absent, NOW)
            .await
            .unwrap();
    }

    async fn register(&self, name: &str, authentication: AuthenticationRequest) {
        self.identities
            .put(
                &self.hub_permit(),
                request(name, authentication),
                IfMatch::Absent,
                NOW,
            )
            .await
            .unwrap();
    }

    async fn update(&self, request: IdentityRequest) {
        self.identities
            .put(&self.hub_permit(), request, IfMatch::Any, NOW)
            .await
            .unwrap();
    }

    async fn connect(
        &self,
        name: &str,
        chain: Option<&Chain>,
        token: Option<&SasToken>,
    ) -> Result<DevicePermit, Error> {
        self.connect_at(name, chain, token, NOW).await
    }

    async fn connect_at(
        &self,
        name: &str,
        chain: Option<&Chain>,
        token: Option<&SasToken>,
        now: Wall,
    ) -> Result<DevicePermit, Error> {
        let path = format!("/devices/{name}/messages/events");
        let credential = DeviceCredential {
            chain,
            token,
            audience: audience(&path),
        };
        self.authenticator
            .device(&self.hub(), &id(name), credential, now)
            .await
    }
}

fn audience(path: &str) -> Audience<'_> {
    Audience { roots: &[HOST], path }
}

fn id(name: &str) -> DeviceId {
    DeviceId::parse(name).unwrap()
}

fn chain(certificates: impl IntoIterator<Item = Certificate>) -> Chain {
    Chain::from_certificates(certificates).unwrap()
}

fn request(name: &str, authentication: AuthenticationRequest) -> IdentityRequest {
    IdentityRequest {
        id: id(name),
        status: DeviceStatus::Enabled,
        status_reason: None,
        authentication,
        iot_edge: false,
    }
}

fn keys() -> AuthenticationRequest {
    AuthenticationRequest::Sas {
        primary: SymmetricKey::new(vec![1; 32]),
        secondary: SymmetricKey::new(vec![2; 32]),
    }
}

fn token(resource: &str, key: &SymmetricKey, policy: Option<&str>, expiry: Wall) -> SasToken {
    let signed_text = format!("{resource}\n{}", expiry.seconds());
    SasToken {
        signature: sas::derive_key(key, &signed_text).unwrap().bytes().to_vec(),
        signed_text,
        resource: resource.to_owned(),
        expiry,
        policy: policy.map(str::to_owned),
    }
}
