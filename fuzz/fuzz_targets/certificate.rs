//! Certificates as a person or a device hands them in: PEM, DER or base64 of DER, one or many; signing requests; and
//! thumbprints as they stand in documents.
//!
//! Holds that reading never fails but by its own error, and that what was read is read again from its own forms.

#![no_main]

use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use muster_pki::issue::CertificateRequest;
use muster_pki::{Certificate, Thumbprint};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(certificate) = Certificate::from_der(bytes) {
        assert_eq!(certificate.der(), bytes, "the bytes are kept as they came");
        shown(&certificate);
    }
    if let Ok(certificate) = Certificate::from_text(bytes) {
        let again = Certificate::from_text(certificate.pem().as_bytes()).expect("its own PEM is read");
        assert_eq!(again.sha256(), certificate.sha256());
        shown(&certificate);
    }
    // Bounded: however many are in the file, no more than the limit come out.
    if let Ok(certificates) = Certificate::all_from_text(bytes) {
        assert!(certificates.len() <= muster_pki::MAX_FILE_CERTIFICATES);
    }
    if let Ok(request) = CertificateRequest::from_text(bytes) {
        let again = CertificateRequest::from_text(request.pem().as_bytes()).expect("its own PEM is read");
        assert_eq!(again.spki_der(), request.spki_der());
    }
    if let Ok(thumbprint) = std::str::from_utf8(bytes)
        .unwrap_or_default()
        .parse::<Thumbprint>()
    {
        assert_eq!(Thumbprint::from_str(&thumbprint.to_string()), Ok(thumbprint));
    }
});

/// Asks for everything that pages and documents show of a certificate.
fn shown(certificate: &Certificate) {
    let name = certificate.subject();
    assert_eq!(name, name, "a name equals itself, however odd");
    assert_eq!(name.common_name(), certificate.common_name());
    assert!(certificate.sha1().matches(certificate));
    let _ = format!("{name} {} {certificate:?}", certificate.issuer());
    let _ = format!("{} {}", certificate.not_before(), certificate.not_after());
    let _ = format!("{} {}", certificate.serial_hex(), certificate.public_key_bits());
    let _ = (certificate.key_usage(), certificate.basic_constraints());
}
