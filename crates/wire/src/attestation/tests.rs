//! Attestation: text forms of certificates, facts that are shown, gaps that are kept, and refusals.

use super::*;

pub(crate) const PEM: &str = include_str!("../../tests/data/openssl-self-signed.pem");

fn stored() -> Certificate {
    Certificate::from_text(PEM.as_bytes()).unwrap()
}

fn parse(text: &str, kind: EnrollmentKind) -> Result<AttestationInput, Error> {
    serde_json::from_str::<AttestationDocument>(text)
        .unwrap()
        .parse(kind)
}

fn change(input: AttestationInput, old: Option<&Attestation>) -> Result<AttestationChange, Error> {
    input.change(old)
}

#[test]
fn every_text_form_of_a_certificate_is_taken() {
    let der = data_encoding::BASE64.encode(stored().der());
    let twice = data_encoding::BASE64.encode(PEM.as_bytes());
    for text in [PEM, &PEM.replace('\n', "\r\n"), &der, &twice] {
        let body = serde_json::json!({
            "type": "X509", "x509": {"clientCertificates": {"primary": {"certificate": text}}}
        });
        let input = parse(&body.to_string(), EnrollmentKind::Individual).unwrap();
        assert_eq!(
            change(input, None).unwrap(),
            AttestationChange::X509(X509Change::ClientCertificates {
                primary: SlotChange::Set(stored()),
                secondary: SlotChange::Clear
            })
        );
    }
}

#[test]
fn facts_are_shown_without_the_certificate() {
    let shown = AttestationDocument::of(
        &Attestation::X509(X509Attestation::SigningCertificates {
            primary: Some(stored()),
            secondary: None,
        }),
        true,
    );
    let value = serde_json::to_value(&shown).unwrap();
    let primary = &value["x509"]["signingCertificates"]["primary"];
    assert!(primary.get("certificate").is_none());
    assert_eq!(
        primary["info"],
        serde_json::json!({
            "subjectName": "CN=device, OU=test, O=Contoso, C=US",
            "sha1Thumbprint": "D01BE9948E395D630DEB2EBA051970B3CC6EF204",
            "sha256Thumbprint": stored().sha256().to_string(),
            "issuerName": "CN=device, OU=test, O=Contoso, C=US",
            "notBeforeUtc": "2026-11-25T07:34:46Z",
            "notAfterUtc": "2126-11-01T07:34:46Z",
            "serialNumber": "0A01",
            "version": 3
        })
    );
}

#[test]
fn a_place_with_facts_alone_keeps_its_certificate_even_when_the_places_are_swapped() {
    let old = Attestation::X509(X509Attestation::ClientCertificates {
        primary: Some(stored()),
        secondary: None,
    });
    let shown = AttestationDocument::of(&old, false);
    assert_eq!(
        change(shown.parse(EnrollmentKind::Individual).unwrap(), Some(&old)).unwrap(),
        AttestationChange::X509(X509Change::ClientCertificates {
            primary: SlotChange::Keep,
            secondary: SlotChange::Clear
        })
    );

    let info = CertificateInfo::of(&stored());
    let swapped = AttestationInput::Certificates {
        kind: EnrollmentKind::Individual,
        primary: Slot::Clear,
        secondary: Slot::Keep(info.clone()),
    };
    assert_eq!(
        change(swapped, Some(&old)).unwrap(),
        AttestationChange::X509(X509Change::ClientCertificates {
            primary: SlotChange::Clear,
            secondary: SlotChange::Set(stored())
        })
    );
    let unknown = AttestationInput::Certificates {
        kind: EnrollmentKind::Individual,
        primary: Slot::Keep(info),
        secondary: Slot::Clear,
    };
    let error = change(unknown, None).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("attestation.x509.clientCertificates.primary")
    );
}

#[test]
fn keys_are_read_where_they_are_there_and_shown_only_on_demand() {
    let empty = parse(
        "{\"type\":\"symmetricKey\",\"symmetricKey\":{\"primaryKey\":\"\"}}",
        EnrollmentKind::Group,
    );
    assert_eq!(
        empty,
        Ok(AttestationInput::SymmetricKey {
            primary: None,
            secondary: None
        })
    );
    let old = Attestation::SymmetricKey {
        primary: SymmetricKey::new(vec![1; 64]).unwrap(),
        secondary: SymmetricKey::new(vec![2; 64]).unwrap(),
    };
    let shown = AttestationDocument::of(&old, true);
    let Attestation::SymmetricKey { primary, secondary } = old.clone() else {
        panic!("symmetric keys are due");
    };
    assert_eq!(
        change(shown.parse(EnrollmentKind::Group).unwrap(), None),
        Ok(AttestationChange::SymmetricKey {
            primary: Some(primary),
            secondary: Some(secondary)
        })
    );
    assert_eq!(
        serde_json::to_string(&AttestationDocument::of(&old, false)).unwrap(),
        "{\"type\":\"symmetricKey\",\"symmetricKey\":{}}"
    );
}

#[test]
fn references_name_ca_certificates() {
    let input = parse(
        "{\"type\":\"x509\",\"x509\":{\"caReferences\":{\"primary\":\"root-1\",\"secondary\":null}}}",
        EnrollmentKind::Group,
    )
    .unwrap();
    let primary = CertificateName::parse("root-1").ok();
    assert_eq!(
        change(input, None),
        Ok(AttestationChange::X509(X509Change::CaReferences {
            primary: primary.clone(),
            secondary: None
        }))
    );
    let stored = Attestation::X509(X509Attestation::CaReferences {
        primary,
        secondary: None,
    });
    assert_eq!(
        serde_json::to_string(&AttestationDocument::of(&stored, false)).unwrap(),
        "{\"type\":\"x509\",\"x509\":{\"caReferences\":{\"primary\":\"root-1\"}}}"
    );
}

#[test]
fn what_breaks_a_rule_names_its_member() {
    let individual = EnrollmentKind::Individual;
    let group = EnrollmentKind::Group;
    for (text, kind, start) in [
        ("{}", individual, "attestation.type is missing"),
        ("{\"type\":\"none\"}", individual, "attestation.type must be"),
        (
            "{\"type\":\"tpm\",\"tpm\":{\"endorsementKey\":\"AA==\"}}",
            group,
            "attestation.type must be",
        ),
        (
            "{\"type\":\"tpm\",\"tpm\":{}}",
            individual,
            "attestation.tpm.endorsementKey is missing",
        ),
        ("{\"type\":\"x509\"}", individual, "attestation.x509 is missing"),
        (
            "{\"type\":\"x509\",\"x509\":{}}",
            individual,
            "attestation.x509.clientCertificates must",
        ),
        (
            "{\"type\":\"x509\",\"x509\":{\"clientCertificates\":{\"primary\":{}}}}",
            individual,
            "attestation.x509.clientCertificates must",
        ),
        (
            "{\"type\":\"x509\",\"x509\":{\"clientCertificates\":{\"primary\":{\"certificate\":\"x\"}}}}",
            group,
            "attestation.x509 must hold signingCertificates",
        ),
        (
            "{\"type\":\"x509\",\"x509\":{\"clientCertificates\":{\"primary\":{\"certificate\":\"x\"}}}}",
            individual,
            "attestation.x509.clientCertificates.primary.certificate must",
        ),
        (
            "{\"type\":\"x509\",\"x509\":{\"caReferences\":{\"primary\":\"a/b\"}}}",
            group,
            "attestation.x509.caReferences.primary must be",
        ),
        (
            "{\"type\":\"symmetricKey\",\"symmetricKey\":{\"primaryKey\":\"c2hvcnQ=\"}}",
            individual,
            "attestation.symmetricKey.primaryKey must",
        ),
    ] {
        let error = parse(text, kind).unwrap_err().to_string();
        assert!(error.starts_with(start), "{text}: {error}");
    }
}
