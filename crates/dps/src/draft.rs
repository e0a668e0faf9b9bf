//! What an operator writes into an enrollment, checked, and completed by what is stored already.

use muster_model::dps::{
    AllocationPolicy, Attestation, AttestationChange, EnrollmentTerms, SlotChange, TermsChange,
    X509Attestation, X509Change,
};
use muster_model::estate::ProvisioningService;
use muster_model::twin::InitialTwin;
use muster_model::{
    CertificateName, CertificateOwner, ETag, HubName, IfMatch, Json, Random, SymmetricKey, Wall,
};
use muster_pki::Certificate;
use muster_resources::Directory;

use crate::error::Error;
use crate::ports::WriteMode;

/// Most bytes of the tags of an initial twin. Source: IoT Hub, twin size limits, read 2026-11-24.
pub const MAX_TAGS_BYTES: usize = 8 * 1024;
/// Most bytes of the desired properties of an initial twin. Source: as above.
pub const MAX_DESIRED_BYTES: usize = 32 * 1024;
/// Most bytes of the operator's notes in an individual enrollment: as much as a body may have.
pub const MAX_INFORMATION_BYTES: usize = 96 * 1024;

/// The two kinds of enrollment, as far as their rules differ.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Group,
    Individual,
}

/// How often a write that leans on what is stored is tried when others write at the same time.
pub(crate) const MERGE_ROUNDS: usize = 4;

/// Says whether completing this attestation takes anything from the stored one, so that the write must find the same.
pub(crate) fn leans_on_stored(change: &AttestationChange) -> bool {
    match change {
        AttestationChange::SymmetricKey { primary, secondary } => primary.is_none() && secondary.is_none(),
        AttestationChange::X509(
            X509Change::ClientCertificates { primary, secondary }
            | X509Change::SigningCertificates { primary, secondary },
        ) => *primary == SlotChange::Keep || *secondary == SlotChange::Keep,
        AttestationChange::Tpm { .. } | AttestationChange::X509(X509Change::CaReferences { .. }) => false,
    }
}

/// The mode of a write that leans on the stored version `etag`, whatever else its caller demands.
pub(crate) fn pinned(mode: WriteMode, etag: ETag) -> WriteMode {
    match mode {
        WriteMode::Put(IfMatch::Absent | IfMatch::Any) => WriteMode::Put(IfMatch::Version(etag)),
        WriteMode::Update(IfMatch::Absent | IfMatch::Any) => WriteMode::Update(IfMatch::Version(etag)),
        mode => mode,
    }
}

/// Checks and completes what both kinds of enrollment share.
pub(crate) fn terms(
    change: TermsChange,
    service: &ProvisioningService,
    directory: &Directory,
) -> Result<EnrollmentTerms, Error> {
    for hub in &change.hubs {
        if !is_linked(hub, service, directory) {
            return Err(Error::invalid(format!(
                "The IoT hub {hub} is not linked to this provisioning service."
            )));
        }
    }
    match change.allocation {
        Some(AllocationPolicy::Static) if distinct(&change.hubs) > 1 => {
            return Err(Error::invalid("The static allocation policy takes one IoT hub."));
        }
        Some(AllocationPolicy::Custom) if change.custom_allocation.is_none() => {
            return Err(Error::invalid(
                "The custom allocation policy needs a customAllocationDefinition.",
            ));
        }
        _ => {}
    }
    if let Some(custom) = &change.custom_allocation
        && (custom.webhook_url.trim().is_empty() || custom.api_version.trim().is_empty())
    {
        return Err(Error::invalid(
            "A customAllocationDefinition needs webhookUrl and apiVersion.",
        ));
    }
    if let Some(twin) = &change.initial_twin {
        initial_twin(twin)?;
    }
    Ok(EnrollmentTerms {
        status: change.status,
        iot_edge: change.iot_edge,
        initial_twin: change.initial_twin,
        reprovision: change.reprovision,
        allocation: change.allocation,
        hubs: change.hubs,
        custom_allocation: change.custom_allocation,
        etag: ETag::default(),
        created: Wall::EPOCH,
        updated: Wall::EPOCH,
    })
}

/// Checks the operator's notes.
pub(crate) fn information(notes: Option<&Json>) -> Result<(), Error> {
    match notes {
        Some(notes) if !notes.is_object() => {
            Err(Error::invalid("optionalDeviceInformation must be an object."))
        }
        Some(notes) if notes.as_str().len() > MAX_INFORMATION_BYTES => Err(Error::invalid(format!(
            "optionalDeviceInformation is longer than {MAX_INFORMATION_BYTES} bytes."
        ))),
        _ => Ok(()),
    }
}

fn initial_twin(twin: &InitialTwin) -> Result<(), Error> {
    for (what, document, limit) in [
        ("tags", &twin.tags, MAX_TAGS_BYTES),
        ("desired properties", &twin.desired, MAX_DESIRED_BYTES),
    ] {
        if !document.is_object() {
            return Err(Error::invalid(format!(
                "The {what} of an initial twin must be an object."
            )));
        }
        if document.as_str().len() > limit {
            return Err(Error::invalid(format!(
                "The {what} of the initial twin are longer than {limit} bytes."
            )));
        }
    }
    Ok(())
}

fn is_linked(hub: &HubName, service: &ProvisioningService, directory: &Directory) -> bool {
    directory
        .hub(hub)
        .is_some_and(|hub| service.links.iter().any(|link| link.hub == hub.key))
}

fn distinct(hubs: &[HubName]) -> usize {
    let mut seen: Vec<&HubName> = Vec::with_capacity(hubs.len());
    for hub in hubs {
        if !seen.contains(&hub) {
            seen.push(hub);
        }
    }
    seen.len()
}

/// Checks an attestation and fills its gaps from the stored one, or with new keys.
pub(crate) fn attestation(
    change: AttestationChange,
    stored: Option<&Attestation>,
    kind: Kind,
    service: &ProvisioningService,
    directory: &Directory,
    random: &Random,
) -> Result<Attestation, Error> {
    match change {
        AttestationChange::SymmetricKey { primary, secondary } => {
            Ok(symmetric_keys(primary, secondary, stored, random))
        }
        AttestationChange::Tpm { .. } if kind == Kind::Group => {
            Err(Error::invalid("An enrollment group can't use TPM attestation."))
        }
        AttestationChange::Tpm {
            endorsement_key,
            storage_root_key,
        } => {
            if endorsement_key.trim().is_empty() {
                return Err(Error::invalid("TPM attestation needs an endorsementKey."));
            }
            Ok(Attestation::Tpm {
                endorsement_key,
                storage_root_key,
            })
        }
        AttestationChange::X509(change) => {
            let stored = match stored {
                Some(Attestation::X509(stored)) => Some(stored),
                _ => None,
            };
            x509(change, stored, kind, service, directory).map(Attestation::X509)
        }
    }
}

fn symmetric_keys(
    primary: Option<SymmetricKey>,
    secondary: Option<SymmetricKey>,
    stored: Option<&Attestation>,
    random: &Random,
) -> Attestation {
    let draw = || random.draw(|rng| SymmetricKey::generate(rng, SymmetricKey::ENROLLMENT_LENGTH));
    match (primary, secondary, stored) {
        // Clients that read, change and write back never saw the keys.
        (None, None, Some(stored @ Attestation::SymmetricKey { .. })) => stored.clone(),
        (primary, secondary, _) => Attestation::SymmetricKey {
            primary: primary.unwrap_or_else(draw),
            secondary: secondary.unwrap_or_else(draw),
        },
    }
}

fn x509(
    change: X509Change,
    stored: Option<&X509Attestation>,
    kind: Kind,
    service: &ProvisioningService,
    directory: &Directory,
) -> Result<X509Attestation, Error> {
    match (change, kind) {
        (X509Change::CaReferences { primary, secondary }, _) => {
            references(primary.as_ref().into_iter().chain(&secondary), service, directory)?;
            if primary.is_none() && secondary.is_none() {
                return Err(missing());
            }
            Ok(X509Attestation::CaReferences { primary, secondary })
        }
        (X509Change::ClientCertificates { .. }, Kind::Group) => Err(Error::invalid(
            "An enrollment group takes signingCertificates or caReferences.",
        )),
        (X509Change::SigningCertificates { .. }, Kind::Individual) => Err(Error::invalid(
            "An individual enrollment takes clientCertificates.",
        )),
        (X509Change::ClientCertificates { primary, secondary }, Kind::Individual) => {
            let (first, second) = match stored {
                Some(X509Attestation::ClientCertificates { primary, secondary }) => {
                    (primary.as_ref(), secondary.as_ref())
                }
                _ => (None, None),
            };
            let (primary, secondary) = slots(primary, secondary, first, second)?;
            Ok(X509Attestation::ClientCertificates { primary, secondary })
        }
        (X509Change::SigningCertificates { primary, secondary }, Kind::Group) => {
            let (first, second) = match stored {
                Some(X509Attestation::SigningCertificates { primary, secondary }) => {
                    (primary.as_ref(), secondary.as_ref())
                }
                _ => (None, None),
            };
            let (primary, secondary) = slots(primary, secondary, first, second)?;
            Ok(X509Attestation::SigningCertificates { primary, secondary })
        }
    }
}

type TwoPlaces = (Option<Certificate>, Option<Certificate>);

fn slots(
    primary: SlotChange<Certificate>,
    secondary: SlotChange<Certificate>,
    first: Option<&Certificate>,
    second: Option<&Certificate>,
) -> Result<TwoPlaces, Error> {
    let filled = (slot(primary, first), slot(secondary, second));
    if filled.0.is_none() && filled.1.is_none() {
        return Err(missing());
    }
    Ok(filled)
}

fn slot(change: SlotChange<Certificate>, stored: Option<&Certificate>) -> Option<Certificate> {
    match change {
        SlotChange::Clear => None,
        SlotChange::Keep => stored.cloned(),
        SlotChange::Set(certificate) => Some(certificate),
    }
}

fn references<'a>(
    names: impl Iterator<Item = &'a CertificateName>,
    service: &ProvisioningService,
    directory: &Directory,
) -> Result<(), Error> {
    let trust = directory.trust(CertificateOwner::Dps(service.key));
    for name in names {
        if trust.certificate(name).is_none() {
            return Err(Error::invalid(format!(
                "This provisioning service has no CA certificate of the name {name}."
            )));
        }
    }
    Ok(())
}

/// The service's own words, which operators search for. Source: Azure CLI issue 19197, read 2026-11-24.
fn missing() -> Error {
    Error::invalid("TPM or X509 attestation is required.")
}
