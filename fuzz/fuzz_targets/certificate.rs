//! Certificates as a person or a device hands them in: PEM, DER or base64 of DER, one or many.
//!
//! Holds that reading never fails but by its own error, and that what was read is read again from its own forms.

#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_pki::Certificate;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(certificate) = Certificate::from_der(bytes) {
        assert_eq!(certificate.der(), bytes, "the bytes are kept as they came");
    }
    if let Ok(certificate) = Certificate::from_text(bytes) {
        let again = Certificate::from_text(certificate.pem().as_bytes()).expect("its own PEM is read");
        assert_eq!(again.sha256(), certificate.sha256());
    }
    // Bounded: however many are in the file, no more than the limit come out.
    if let Ok(certificates) = Certificate::all_from_text(bytes) {
        assert!(certificates.len() <= muster_pki::MAX_FILE_CERTIFICATES);
    }
});
