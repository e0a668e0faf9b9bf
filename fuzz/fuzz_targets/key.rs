//! Private keys as files hold them: PEM, DER, under a pass phrase or not, and PFX containers.
//!
//! Holds that a file cannot ask for more work than a person waits for (libFuzzer's own time limit sees to it), and that
//! a key that was read is read again from its own forms.

#![no_main]

mod support;

use libfuzzer_sys::fuzz_target;
use muster_pki::{PrivateKey, pfx};

/// The pass phrase of the seeds.
const PASS_PHRASE: &str = "1234";

fuzz_target!(|bytes: &[u8]| {
    match support::choose(bytes, 4) {
        Some((0, input)) => read(PrivateKey::from_text(input, None).ok()),
        Some((1, input)) => read(PrivateKey::from_text(input, Some(PASS_PHRASE)).ok()),
        Some((2, input)) => read(PrivateKey::from_pkcs8_der(input).ok()),
        Some((_, input)) if !is_costly(input) => {
            if let Ok(opened) = pfx::read(input, PASS_PHRASE) {
                assert!(opened.key.belongs_to(&opened.leaf));
                let again = pfx::write(&opened.leaf, &opened.others, &opened.key, PASS_PHRASE)
                    .and_then(|written| pfx::read(&written, PASS_PHRASE))
                    .expect("its own form is read");
                assert_eq!(again.leaf, opened.leaf);
                assert_eq!(again.others.len(), opened.others.len());
            }
        }
        Some(_) | None => {}
    }
});

/// Says whether a container asks for more than 32,767 rounds, or for scrypt. The container library bounds each of its
/// bags, at about a second, and so many of them in one input would be taken for an endless loop.
fn is_costly(container: &[u8]) -> bool {
    const SCRYPT: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x04, 0x0b];
    let rounds = |pair: &[u8]| pair[0] == 0x02 && (3..=8).contains(&pair[1]);
    container.windows(2).any(rounds) || container.windows(SCRYPT.len()).any(|window| window == SCRYPT)
}

fn read(key: Option<PrivateKey>) {
    let Some(key) = key else { return };
    let again = PrivateKey::from_text(key.pkcs8_pem().as_bytes(), None).expect("its own PEM is read");
    assert_eq!(again.spki_der(), key.spki_der());
    let again = PrivateKey::from_pkcs8_der(key.pkcs8_der()).expect("its own DER is read");
    assert_eq!(again.spki_der(), key.spki_der());
}
