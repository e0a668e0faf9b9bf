//! The certificates that a device presented, exactly as it sent them.
//!
//! Order and strangers are kept, for a refusal must be explained from what was really sent. The first
//! certificate is the leaf, the one whose private key the handshake proved. A certificate further on that
//! cannot be read counts for nothing but does not end the connection. Nothing here decides trust.

use std::sync::{Arc, OnceLock};

use crate::certificate::Certificate;
use crate::error::{ChainError, ParseError};
use crate::thumbprint::Sha256;

/// Most certificates that a chain may hold.
pub const MAX_CHAIN_CERTIFICATES: usize = 16;
/// Most bytes of DER that a chain may hold.
pub const MAX_CHAIN_BYTES: usize = 64 * 1024;

/// A presented chain, leaf first. Never empty. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Chain {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    leaf: Certificate,
    presented: Box<[Presented]>,
    sha256: OnceLock<Sha256>,
}

/// One certificate of a chain, at its place.
#[derive(Clone, Debug)]
pub enum Presented {
    /// A certificate that was read.
    Certificate(Certificate),
    /// Bytes that are no certificate; never the leaf.
    Unreadable {
        /// The bytes as sent.
        der: Box<[u8]>,
        /// Why they were not read.
        error: ParseError,
    },
}

impl Presented {
    /// Answers the certificate, when it could be read.
    pub fn certificate(&self) -> Option<&Certificate> {
        match self {
            Self::Certificate(certificate) => Some(certificate),
            Self::Unreadable { .. } => None,
        }
    }

    /// Answers the bytes as sent.
    pub fn der(&self) -> &[u8] {
        match self {
            Self::Certificate(certificate) => certificate.der(),
            Self::Unreadable { der, .. } => der,
        }
    }
}

impl Chain {
    /// Takes the certificates of a handshake, leaf first.
    ///
    /// # Errors
    /// [`ChainError`] when there is none, the leaf cannot be read, or they are more than
    /// [`MAX_CHAIN_CERTIFICATES`] or [`MAX_CHAIN_BYTES`].
    pub fn from_ders<'a>(ders: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, ChainError> {
        let mut presented = Vec::new();
        let mut bytes = 0_usize;
        let mut leaf = None;
        for der in ders {
            if presented.len() == MAX_CHAIN_CERTIFICATES {
                return Err(ChainError::TooMany {
                    limit: MAX_CHAIN_CERTIFICATES,
                });
            }
            bytes = bytes.saturating_add(der.len());
            if bytes > MAX_CHAIN_BYTES {
                return Err(ChainError::TooLarge {
                    limit: MAX_CHAIN_BYTES,
                });
            }
            match Certificate::from_der(der) {
                Ok(certificate) => {
                    leaf.get_or_insert_with(|| certificate.clone());
                    presented.push(Presented::Certificate(certificate));
                }
                Err(error) if presented.is_empty() => return Err(ChainError::Leaf(error)),
                Err(error) => presented.push(Presented::Unreadable {
                    der: der.into(),
                    error,
                }),
            }
        }
        Self::new(leaf, presented)
    }

    /// Takes certificates that are already read, leaf first.
    ///
    /// # Errors
    /// [`ChainError`] as for [`Chain::from_ders`].
    pub fn from_certificates(
        certificates: impl IntoIterator<Item = Certificate>,
    ) -> Result<Self, ChainError> {
        let presented: Vec<_> = certificates
            .into_iter()
            .take(MAX_CHAIN_CERTIFICATES + 1)
            .map(Presented::Certificate)
            .collect();
        if presented.len() > MAX_CHAIN_CERTIFICATES {
            return Err(ChainError::TooMany {
                limit: MAX_CHAIN_CERTIFICATES,
            });
        }
        if presented.iter().map(|one| one.der().len()).sum::<usize>() > MAX_CHAIN_BYTES {
            return Err(ChainError::TooLarge {
                limit: MAX_CHAIN_BYTES,
            });
        }
        let leaf = presented.first().and_then(Presented::certificate).cloned();
        Self::new(leaf, presented)
    }

    fn new(leaf: Option<Certificate>, presented: Vec<Presented>) -> Result<Self, ChainError> {
        let leaf = leaf.ok_or(ChainError::Empty)?;
        Ok(Self {
            inner: Arc::new(Inner {
                leaf,
                presented: presented.into(),
                sha256: OnceLock::new(),
            }),
        })
    }

    /// Answers the leaf: the certificate whose private key the handshake proved.
    pub fn leaf(&self) -> &Certificate {
        &self.inner.leaf
    }

    /// Answers everything that was presented, leaf included, in order.
    pub fn presented(&self) -> &[Presented] {
        &self.inner.presented
    }

    /// Answers the readable certificates, leaf included, in order.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.inner.presented.iter().filter_map(Presented::certificate)
    }

    /// Answers the bytes of everything that was presented, in order.
    pub fn ders(&self) -> impl Iterator<Item = &[u8]> {
        self.inner.presented.iter().map(Presented::der)
    }

    /// Answers the SHA-256 over all presented bytes, each preceded by its length (eight bytes, most
    /// significant first), so that two chains with the same digest are the same chain. Computed once.
    pub fn sha256(&self) -> Sha256 {
        *self.inner.sha256.get_or_init(|| {
            let mut all = Vec::with_capacity(self.ders().map(|der| der.len() + 8).sum());
            for der in self.ders() {
                all.extend_from_slice(&(der.len() as u64).to_be_bytes());
                all.extend_from_slice(der);
            }
            Sha256::of(&all)
        })
    }
}

impl PartialEq for Chain {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner) || self.ders().eq(other.ders())
    }
}

impl Eq for Chain {}
