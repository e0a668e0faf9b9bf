//! What a peer presents in a handshake, and the search for paths to configured certificates.
//!
//! The input is a list of items, each a count of two bytes and as many bytes: first a byte whose bits say which items
//! are configured. Items that are one byte long stand for one of a fixed set that was made before, so that signatures
//! which are right occur. Holds that the search ends within its budget, whatever is presented, and that each path it
//! shows is a path.

#![no_main]

use std::ops::ControlFlow;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use muster_pki::issue::{Issuer, Profile, Serial, Template};
use muster_pki::verify::{
    AnchorSet, Budget, Event, Recorder, SignatureSeen, Silent, proves_possession, walk,
};
use muster_pki::{Certificate, Chain, MAX_CHAIN_BYTES, MAX_CHAIN_CERTIFICATES, NewKey, PrivateKey, Time};

/// A moment at which what was made for this target is valid.
const NOW: Time = Time::from_unix(1_767_225_600);

/// The verification code of the set.
const CODE: &str = "ABCDEF";

/// Small, so that the limits are met often.
const BUDGET: Budget = Budget {
    signatures: 8,
    candidates: 24,
    paths: 16,
    depth: 6,
};

fuzz_target!(|bytes: &[u8]| {
    let Some((&configured, rest)) = bytes.split_first() else {
        return;
    };
    let presented = items(rest);
    let anchors: AnchorSet = presented
        .iter()
        .enumerate()
        .filter(|(place, _)| configured >> (place % 8) & 1 == 1)
        .filter_map(|(_, der)| Certificate::from_der(der).ok())
        .collect();
    let Ok(chain) = Chain::from_ders(presented.iter().copied()) else {
        return;
    };
    assert!(chain.presented().len() <= MAX_CHAIN_CERTIFICATES);
    assert!(chain.ders().map(<[u8]>::len).sum::<usize>() <= MAX_CHAIN_BYTES);
    assert!(
        chain.ders().eq(presented.iter().copied()),
        "the bytes are kept as they came"
    );

    let mut shown = 0;
    let mut recorder = Recorder::new();
    let told = walk::<()>(&chain, &anchors, NOW, BUDGET, &mut recorder, |path| {
        shown += 1;
        assert!(path.len() <= BUDGET.depth);
        assert_eq!(path.leaf(), chain.leaf());
        let all: Vec<_> = path.steps().collect();
        for (place, step) in all.iter().enumerate() {
            assert!(step.certificate.is_valid_at(NOW));
            assert!(
                !all[..place]
                    .iter()
                    .any(|below| below.certificate == step.certificate)
            );
        }
        for pair in all.windows(2) {
            assert_eq!(pair[0].certificate.issuer(), pair[1].certificate.subject());
        }
        ControlFlow::Continue(())
    });
    assert!(shown <= BUDGET.paths);
    let checked = recorder
        .events()
        .iter()
        .filter(|event| {
            matches!(event, Event::Candidate { signature, .. } if *signature != SignatureSeen::NotChecked)
        })
        .count();
    // What decides has a budget, and what is checked for the listener alone has another of the same size at most.
    assert!(checked <= 2 * BUDGET.signatures as usize, "{checked} signatures");
    // Listening changes nothing.
    let silent = walk::<()>(&chain, &anchors, NOW, BUDGET, &mut Silent, |_| {
        ControlFlow::Continue(())
    });
    assert_eq!(told, silent);

    if let Some(other) = chain.certificates().nth(1) {
        let _ = proves_possession(other, chain.leaf(), CODE, NOW);
    }
});

/// Splits the input; an item of one byte stands for one that was made before.
fn items(mut rest: &[u8]) -> Vec<&[u8]> {
    let made = made();
    let mut items = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (item, next) = after.split_at(length);
        rest = next;
        items.push(match item {
            [place] => made[usize::from(*place) % made.len()].as_slice(),
            _ => item,
        });
    }
    items
}

/// Two roots that signed each other, an intermediate of either, and leaves.
fn made() -> &'static [Vec<u8>] {
    static MADE: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    MADE.get_or_init(|| {
        let key = || PrivateKey::generate(NewKey::EcP256).expect("a key can be made");
        let (one, two, middle, leaf) = (key(), key(), key(), key());
        let root = |name: &str, key: &PrivateKey| {
            let made = template(name, Profile::ScriptCa).self_signed(key);
            made.expect("it can be signed")
        };
        let issuer = |certificate: Certificate, key: &PrivateKey| {
            let key = PrivateKey::from_pkcs8_der(key.pkcs8_der()).expect("its own form is read");
            Issuer::new(certificate, key).expect("it may issue")
        };
        let (first, second) = (issuer(root("one", &one), &one), issuer(root("two", &two), &two));
        let by = |issuer: &Issuer, name: &str, profile: Profile, key: &PrivateKey| {
            let made = issuer.issue(&template(name, profile), key);
            made.expect("it can be issued")
        };
        let ca = |issuer: &Issuer, name: &str, key: &PrivateKey| by(issuer, name, Profile::ScriptCa, key);
        let device = |issuer: &Issuer, name: &str| by(issuer, name, Profile::ScriptLeaf, &leaf);
        let (low, other_low) = (ca(&first, "low", &middle), ca(&second, "low", &middle));
        let last = issuer(low.clone(), &middle);
        [
            device(&last, "leaf"),
            low,
            other_low,
            first.certificate().clone(),
            second.certificate().clone(),
            ca(&first, "two", &two),
            ca(&second, "one", &one),
            device(&first, CODE),
        ]
        .iter()
        .map(|certificate| certificate.der().to_vec())
        .collect()
    })
}

fn template(name: &str, profile: Profile) -> Template {
    let serial = Serial::from_bytes(&[7; 8]).expect("a serial number");
    Template::new(name, serial, NOW, NOW.plus_days(30), profile).expect("a template")
}
