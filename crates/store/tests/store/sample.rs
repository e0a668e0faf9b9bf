//! Nouns to keep.

use std::sync::LazyLock;

use muster_dps::ports::{GroupDraft, IndividualDraft, LinkedDevice, LinkedTwin, NewOperation};
use muster_hub::ports::{DeviceDraft, ProvisionedDevice, TwinChange};
use muster_model::access::{AccessPolicy, DpsRights, HubRights};
use muster_model::dps::{
    AllocationPolicy, Assignment, Attestation, AttestationKind, EnrollmentTerms, ProvisioningStatus,
    ReprovisionPolicy, Substatus, X509Attestation,
};
use muster_model::estate::{Hub, HubLink, ProvisioningService, ResourceGroup};
use muster_model::identity::{Authentication, DeviceStatus, EnrollmentRef, Provenance, StatusReason};
use muster_model::twin::InitialTwin;
use muster_model::{
    DeviceId, DpsKey, DpsName, ETag, EnrollmentGroupId, HubKey, HubName, IdScope, Json, JsonLimits, Location,
    OperationId, PartitionCount, PolicyName, RegistrationId, ResourceGroupName, SymmetricKey, Wall,
};
use muster_pki::{Certificate, Sha256};
use muster_resources::{HubDraft, ServiceDraft};

use crate::subject::Subject;

pub(crate) fn json(text: &str) -> Json {
    Json::parse(text, JsonLimits::BODY).unwrap()
}

pub(crate) fn symmetric(byte: u8) -> SymmetricKey {
    SymmetricKey::new(vec![byte; 32]).unwrap()
}

/// Certificates with these common names; the same name gives the same one within a run.
pub(crate) fn certificate(number: usize) -> Certificate {
    static MADE: LazyLock<Vec<Certificate>> = LazyLock::new(|| {
        (0..6)
            .map(|number| {
                let mut params = rcgen::CertificateParams::default();
                // Numbers 4 and 5 share a subject.
                let name = format!("store-{}", number.min(4));
                params.distinguished_name = rcgen::DistinguishedName::new();
                params.distinguished_name.push(rcgen::DnType::CommonName, name);
                let key = rcgen::KeyPair::generate().unwrap();
                Certificate::from_der(params.self_signed(&key).unwrap().der()).unwrap()
            })
            .collect()
    });
    MADE[number].clone()
}

pub(crate) fn group(name: &str) -> ResourceGroup {
    ResourceGroup {
        name: ResourceGroupName::parse(name).unwrap(),
        location: Location::parse("westus").unwrap(),
        tags: json(r#"{"b":1.50, "a":"x"}"#),
    }
}

pub(crate) fn hub_draft(name: &str) -> HubDraft {
    HubDraft {
        name: HubName::parse(name).unwrap(),
        group: ResourceGroupName::parse("plant").unwrap(),
        location: Location::parse("westus").unwrap(),
        tags: json(r#"{"line": "A"}"#),
        partitions: PartitionCount::new(8).unwrap(),
        retention_days: 3,
        retention_bytes: Some(1 << 40),
        disable_device_sas: false,
        document: json(r#"{"z":{"deep":[1,2.0,null]},"a":"é"}"#),
        policies: vec![AccessPolicy {
            name: PolicyName::parse("iothubowner").unwrap(),
            primary: symmetric(0xA1),
            secondary: symmetric(0xA2),
            rights: HubRights::REGISTRY_WRITE.with(HubRights::SERVICE_CONNECT),
        }],
    }
}

pub(crate) fn service_draft(name: &str, scope: &str, hubs: &[HubKey]) -> ServiceDraft {
    ServiceDraft {
        name: DpsName::parse(name).unwrap(),
        group: ResourceGroupName::parse("plant").unwrap(),
        location: Location::parse("westus").unwrap(),
        tags: Json::empty_object(),
        id_scope: IdScope::parse(scope).unwrap(),
        allocation: AllocationPolicy::GeoLatency,
        links: hubs
            .iter()
            .map(|hub| HubLink {
                hub: *hub,
                policy: PolicyName::parse("iothubowner").unwrap(),
                location: Location::parse("westus").unwrap(),
                apply_allocation: true,
                weight: 7,
            })
            .collect(),
        document: Json::empty_object(),
        policies: vec![AccessPolicy {
            name: PolicyName::parse("provisioningserviceowner").unwrap(),
            primary: symmetric(0xB1),
            secondary: symmetric(0xB2),
            rights: DpsRights::ENROLLMENT_WRITE,
        }],
    }
}

/// A hub in a group of its own.
pub(crate) async fn hub(subject: &Subject, name: &str) -> Hub {
    subject
        .resources
        .put_group(subject.request(), group("plant"))
        .await
        .unwrap();
    subject
        .resources
        .create_hub(subject.request(), hub_draft(name), subject.now())
        .await
        .unwrap()
}

/// A provisioning service in a group of its own.
pub(crate) async fn service(subject: &Subject, name: &str, scope: &str) -> ProvisioningService {
    subject
        .resources
        .put_group(subject.request(), group("plant"))
        .await
        .unwrap();
    subject
        .resources
        .create_service(subject.request(), service_draft(name, scope, &[]), subject.now())
        .await
        .unwrap()
}

pub(crate) fn device_id(text: &str) -> DeviceId {
    DeviceId::parse(text).unwrap()
}

pub(crate) fn registration_id(text: &str) -> RegistrationId {
    RegistrationId::parse(text).unwrap()
}

pub(crate) fn group_id(text: &str) -> EnrollmentGroupId {
    EnrollmentGroupId::parse(text).unwrap()
}

pub(crate) fn operation_id(number: u64) -> OperationId {
    OperationId::parse(&format!("5.{number:016x}.b3602f8f-76fe-4341-9214-bb6cfb891b8a")).unwrap()
}

pub(crate) fn device_draft(id: &str) -> DeviceDraft {
    DeviceDraft {
        id: device_id(id),
        status: DeviceStatus::Enabled,
        status_reason: StatusReason::new("new".to_owned()),
        authentication: Authentication::Sas {
            primary: symmetric(0xC1),
            secondary: symmetric(0xC2),
        },
        iot_edge: false,
    }
}

pub(crate) fn provenance() -> Provenance {
    Provenance {
        service: DpsKey::new(1),
        registration: registration_id("Dev-1"),
        enrollment: EnrollmentRef::Group(group_id("Group-1")),
        chain: vec![Sha256::of(b"leaf"), Sha256::of(b"issuer")],
    }
}

pub(crate) fn initial_twin(tag: &str) -> InitialTwin {
    InitialTwin {
        tags: json(&format!(r#"{{"tag":"{tag}"}}"#)),
        desired: json(r#"{"interval": 10}"#),
    }
}

pub(crate) fn thumbprint(byte: u8) -> Authentication {
    Authentication::SelfSigned {
        primary: Some(muster_pki::Thumbprint::Sha256([byte; 32])),
        secondary: None,
    }
}

pub(crate) fn provisioned(id: &str, authentication: Authentication, twin: TwinChange) -> ProvisionedDevice {
    ProvisionedDevice {
        id: device_id(id),
        authentication,
        iot_edge: true,
        provenance: provenance(),
        twin,
    }
}

pub(crate) fn terms(status: ProvisioningStatus) -> EnrollmentTerms {
    EnrollmentTerms {
        status,
        iot_edge: true,
        initial_twin: Some(initial_twin("enrolled")),
        reprovision: ReprovisionPolicy {
            update_hub_assignment: true,
            migrate_device_data: false,
        },
        allocation: Some(AllocationPolicy::Static),
        hubs: vec![HubName::parse("hub-a").unwrap()],
        custom_allocation: Some(muster_model::dps::CustomAllocation {
            webhook_url: "https://allocate.example/".to_owned(),
            api_version: "2021-10-01".to_owned(),
        }),
        etag: ETag::default(),
        created: Wall::EPOCH,
        updated: Wall::EPOCH,
    }
}

pub(crate) fn individual_draft(id: &str, attestation: Attestation) -> IndividualDraft {
    IndividualDraft {
        id: registration_id(id),
        device_id: Some(device_id("Device-X")),
        device_information: Some(json(r#"{"note": null}"#)),
        attestation,
        terms: terms(ProvisioningStatus::Enabled),
    }
}

pub(crate) fn group_draft(id: &str, attestation: Attestation) -> GroupDraft {
    GroupDraft {
        id: group_id(id),
        attestation,
        terms: terms(ProvisioningStatus::Enabled),
    }
}

pub(crate) fn keys() -> Attestation {
    Attestation::SymmetricKey {
        primary: symmetric(0xD1),
        secondary: symmetric(0xD2),
    }
}

pub(crate) fn client(primary: usize) -> Attestation {
    Attestation::X509(X509Attestation::ClientCertificates {
        primary: Some(certificate(primary)),
        secondary: None,
    })
}

pub(crate) fn signing(primary: usize, secondary: Option<usize>) -> Attestation {
    Attestation::X509(X509Attestation::SigningCertificates {
        primary: Some(certificate(primary)),
        secondary: secondary.map(certificate),
    })
}

pub(crate) fn assignment(hub: u64) -> Assignment {
    Assignment {
        hub: HubKey::new(hub),
        host_name: format!("hub-{hub}.azure-devices.localhost"),
        device_id: device_id("Dev-1"),
    }
}

pub(crate) fn operation(number: u64, id: &str) -> NewOperation {
    NewOperation {
        operation: operation_id(number),
        id: registration_id(id),
        group: Some(group_id("Group-1")),
        attestation: AttestationKind::X509,
        chain: vec![Sha256::of(b"leaf")],
        target: assignment(1),
        device: LinkedDevice {
            authentication: Authentication::Sas {
                primary: symmetric(0xE1),
                secondary: symmetric(0xE2),
            },
            iot_edge: true,
            provenance: provenance(),
            twin: LinkedTwin::Migrate(initial_twin("moved")),
        },
        leaves: Some(assignment(9)),
        substatus: Substatus::DeviceDataMigrated,
    }
}
