//! Seals the secrets that must be readable again (keys of policies, devices and enrollments) under a master key.
//!
//! A sealed value is bound to its place: table, column and row are associated data, so that a value moved to another
//! row does not open. It names the master key that it needs, so that values under an old and a new key can stand side
//! by side while a rotation runs. Form: version (1), key id (4), nonce (12), ciphertext, tag (16).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64;
use muster_model::Random;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::fault::Fault;

const VERSION: u8 = 1;
const KEY_ID_LEN: usize = 4;

/// A key of 32 bytes that seals secrets. Neither printed nor serialised; wiped when dropped.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// Takes 32 bytes that nobody can guess.
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(withheld)")
    }
}

/// The master key, and those that came before it while anything is still sealed under them.
#[derive(Clone, Debug)]
pub struct MasterKeys {
    /// Seals and opens.
    pub current: MasterKey,
    /// Only open.
    pub previous: Vec<MasterKey>,
}

impl MasterKeys {
    /// One key and none before it.
    pub fn only(current: MasterKey) -> Self {
        Self {
            current,
            previous: Vec::new(),
        }
    }
}

/// A sealed secret as it stands in a document: base64.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Sealed(String);

/// The place of a secret: what its seal is bound to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) table: &'static str,
    pub(crate) column: &'static str,
    /// The key of the row, and which secret of the row it is.
    pub(crate) row: &'a [&'a str],
}

impl Place<'_> {
    /// Each part with its length before it, so that no two places share their bytes.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in [&self.table, &self.column].into_iter().chain(self.row) {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }
}

struct Opener {
    id: [u8; KEY_ID_LEN],
    key: LessSafeKey,
}

/// Seals under the current key, opens under any.
pub(crate) struct Sealer {
    /// The current one first; never empty.
    keys: Vec<Opener>,
    pub(crate) random: Arc<Random>,
}

impl Sealer {
    pub(crate) fn new(keys: &MasterKeys, random: Arc<Random>) -> Result<Self, Fault> {
        let keys = std::iter::once(&keys.current)
            .chain(&keys.previous)
            .map(|key| {
                let mut named = Zeroizing::new(b"muster master key id".to_vec());
                named.extend_from_slice(key.0.as_slice());
                let hash = digest(&SHA256, &named);
                let mut id = [0; KEY_ID_LEN];
                for (to, from) in id.iter_mut().zip(hash.as_ref()) {
                    *to = *from;
                }
                UnboundKey::new(&AES_256_GCM, key.0.as_slice())
                    .map(|key| Opener {
                        id,
                        key: LessSafeKey::new(key),
                    })
                    .map_err(|_| Fault::unavailable("the master key can't be used"))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { keys, random })
    }

    /// Seals `secret` for `place`.
    pub(crate) fn seal(&self, place: Place<'_>, secret: &[u8]) -> Result<Sealed, Fault> {
        let failed = || Fault::unavailable("a secret could not be sealed");
        let current = self.keys.first().ok_or_else(failed)?;
        let nonce: [u8; NONCE_LEN] = self.random.draw(|rng| {
            let mut nonce = [0; NONCE_LEN];
            rng.fill_bytes(&mut nonce);
            nonce
        });
        let mut body = Zeroizing::new(Vec::with_capacity(secret.len() + AES_256_GCM.tag_len()));
        body.extend_from_slice(secret);
        current
            .key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.bytes()),
                &mut *body,
            )
            .map_err(|_| failed())?;
        let mut sealed = vec![VERSION];
        sealed.extend_from_slice(&current.id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&body);
        Ok(Sealed(BASE64.encode(&sealed)))
    }

    /// Opens what was sealed for `place`.
    pub(crate) fn open(&self, place: Place<'_>, sealed: &Sealed) -> Result<Vec<u8>, Fault> {
        let damaged = |detail: &str| Fault::damaged(place.table, place.column, detail);
        let bytes = BASE64
            .decode(sealed.0.as_bytes())
            .map_err(|_| damaged("a sealed secret is not base64"))?;
        let Some((&VERSION, rest)) = bytes.split_first() else {
            return Err(damaged("a sealed secret has an unknown form"));
        };
        let (Some((id, rest)), true) = (rest.split_first_chunk::<KEY_ID_LEN>(), rest.len() > KEY_ID_LEN)
        else {
            return Err(damaged("a sealed secret is cut short"));
        };
        let Some((nonce, body)) = rest.split_first_chunk::<NONCE_LEN>() else {
            return Err(damaged("a sealed secret is cut short"));
        };
        let mut named = self.keys.iter().filter(|key| key.id == *id).peekable();
        if named.peek().is_none() {
            return Err(damaged(
                "a secret is sealed under a master key that was not given",
            ));
        }
        for opener in named {
            let mut body = body.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            if let Ok(opened) = opener
                .key
                .open_in_place(nonce, Aad::from(place.bytes()), &mut body)
            {
                let length = opened.len();
                body.truncate(length);
                return Ok(body);
            }
        }
        Err(damaged("a sealed secret does not open: it was damaged or moved"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place {
        table: "hub",
        column: "document",
        row: &["1", "primary"],
    };

    fn key(byte: u8) -> MasterKey {
        MasterKey::new(Zeroizing::new([byte; 32]))
    }

    fn sealer(keys: &MasterKeys) -> Sealer {
        Sealer::new(keys, Arc::new(Random::from_number(1))).unwrap()
    }

    #[test]
    fn opens_at_its_own_place_only() {
        let sealer = sealer(&MasterKeys::only(key(1)));
        let sealed = sealer.seal(PLACE, b"0123456789abcdef").unwrap();
        assert_eq!(sealer.open(PLACE, &sealed).unwrap(), b"0123456789abcdef");
        for row in [&["2", "primary"][..], &["1", "secondary"], &["1primary"]] {
            assert!(sealer.open(Place { row, ..PLACE }, &sealed).is_err());
        }
    }

    #[test]
    fn the_same_secret_is_sealed_differently_each_time() {
        let sealer = sealer(&MasterKeys::only(key(1)));
        assert_ne!(
            sealer.seal(PLACE, b"0123456789abcdef").unwrap().0,
            sealer.seal(PLACE, b"0123456789abcdef").unwrap().0
        );
    }

    #[test]
    fn every_changed_or_missing_byte_is_noticed() {
        let sealer = sealer(&MasterKeys::only(key(1)));
        let sealed = BASE64
            .decode(sealer.seal(PLACE, b"0123456789abcdef").unwrap().0.as_bytes())
            .unwrap();
        for at in 0..sealed.len() {
            let mut broken = sealed.clone();
            broken[at] ^= 1;
            assert!(
                sealer.open(PLACE, &Sealed(BASE64.encode(&broken))).is_err(),
                "{at}"
            );
            assert!(
                sealer.open(PLACE, &Sealed(BASE64.encode(&sealed[..at]))).is_err(),
                "{at}"
            );
        }
    }

    #[test]
    fn an_old_key_opens_and_a_strange_one_does_not() {
        let old = sealer(&MasterKeys::only(key(1)));
        let sealed = old.seal(PLACE, b"0123456789abcdef").unwrap();
        let both = sealer(&MasterKeys {
            current: key(2),
            previous: vec![key(1)],
        });
        assert!(both.open(PLACE, &sealed).is_ok());
        let new = sealer(&MasterKeys::only(key(2)));
        assert!(new.open(PLACE, &both.seal(PLACE, b"x").unwrap()).is_ok());
        assert!(new.open(PLACE, &sealed).is_err());
    }
}
