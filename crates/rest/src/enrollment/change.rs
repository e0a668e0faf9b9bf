//! From what was read off the wire to what the domain takes.

use muster_model::dps::{
    AttestationChange, EnrollmentTerms, GroupChange, IndividualChange, SlotChange, TermsChange, X509Change,
};
use muster_pki::Certificate;
use muster_wire::attestation::{AttestationInput, EnrollmentKind, Slot};
use muster_wire::enrollment::{GroupInput, IndividualInput};

pub(super) fn individual(input: IndividualInput) -> IndividualChange {
    IndividualChange {
        id: input.id,
        device_id: input.device_id,
        device_information: input.device_information,
        attestation: attestation(input.attestation),
        terms: terms(input.terms),
    }
}

pub(super) fn group(input: GroupInput) -> GroupChange {
    GroupChange {
        id: input.id,
        attestation: attestation(input.attestation),
        terms: terms(input.terms),
    }
}

fn attestation(input: AttestationInput) -> AttestationChange {
    match input {
        AttestationInput::CaReferences { primary, secondary } => {
            AttestationChange::X509(X509Change::CaReferences { primary, secondary })
        }
        AttestationInput::Certificates {
            kind,
            primary,
            secondary,
        } => {
            let (primary, secondary) = (slot(primary), slot(secondary));
            AttestationChange::X509(match kind {
                EnrollmentKind::Group => X509Change::SigningCertificates { primary, secondary },
                EnrollmentKind::Individual => X509Change::ClientCertificates { primary, secondary },
            })
        }
        AttestationInput::SymmetricKey { primary, secondary } => {
            AttestationChange::SymmetricKey { primary, secondary }
        }
        AttestationInput::Tpm {
            endorsement_key,
            storage_root_key,
        } => AttestationChange::Tpm {
            endorsement_key,
            storage_root_key,
        },
    }
}

fn slot(slot: Slot) -> SlotChange<Certificate> {
    match slot {
        Slot::Clear => SlotChange::Clear,
        Slot::Keep(_) => SlotChange::Keep,
        Slot::Set(certificate) => SlotChange::Set(certificate),
    }
}

fn terms(terms: EnrollmentTerms) -> TermsChange {
    TermsChange {
        status: terms.status,
        iot_edge: terms.iot_edge,
        initial_twin: terms.initial_twin,
        reprovision: terms.reprovision,
        allocation: terms.allocation,
        hubs: terms.hubs,
        custom_allocation: terms.custom_allocation,
    }
}
