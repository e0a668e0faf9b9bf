//! Certificates for tests, ordinary ones by rcgen and odd ones by openssl.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, IsCa, KeyPair,
    SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

/// A chain with its leaf's key, which need not belong to it.
#[derive(Debug)]
pub(crate) struct Credential {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Credential {
    /// The form in which a rustls client shows it, unchecked.
    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&self.key).unwrap();
        Arc::new(CertifiedKey::new(self.chain.clone(), key))
    }

    /// The same chain with the key of another.
    pub(crate) fn with_key_of(self, other: &Self) -> Self {
        Self {
            chain: self.chain,
            key: other.key.clone_key(),
        }
    }

    pub(crate) fn with_chain(self, chain: Vec<CertificateDer<'static>>) -> Self {
        Self { chain, key: self.key }
    }
}

pub(crate) fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn key_of(pair: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(pair.serialize_der()).into()
}

/// A self-signed P-256 certificate as `params` say.
pub(crate) fn self_signed(params: &CertificateParams) -> Credential {
    let pair = KeyPair::generate().unwrap();
    Credential {
        chain: vec![params.self_signed(&pair).unwrap().der().clone()],
        key: key_of(&pair),
    }
}

/// A chain of `length` P-256 certificates, leaf first and root last.
pub(crate) fn chain(name: &str, length: usize) -> Credential {
    let ca = |name: &str| {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    };
    let mut issuer = CertifiedIssuer::self_signed(ca("root"), KeyPair::generate().unwrap()).unwrap();
    let mut chain = vec![issuer.der().clone()];
    for depth in 1..length - 1 {
        let key = KeyPair::generate().unwrap();
        issuer = CertifiedIssuer::signed_by(ca(&format!("intermediate {depth}")), key, &issuer).unwrap();
        chain.insert(0, issuer.der().clone());
    }
    let key = KeyPair::generate().unwrap();
    chain.insert(0, params(name).signed_by(&key, &issuer).unwrap().der().clone());
    Credential {
        chain,
        key: key_of(&key),
    }
}

pub(crate) fn expired() -> Credential {
    let mut params = params("expired");
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = date_time_ymd(2002, 1, 1);
    self_signed(&params)
}

pub(crate) fn with_unknown_critical_extension() -> Credential {
    let mut params = params("critical");
    let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
    extension.set_criticality(true);
    params.custom_extensions.push(extension);
    self_signed(&params)
}

pub(crate) fn with_long_serial() -> Credential {
    let mut params = params("serial");
    params.serial_number = Some(SerialNumber::from_slice(&[0x7f; 33]));
    self_signed(&params)
}

/// Runs openssl in `folder`; its words are shown if it fails.
pub(crate) fn openssl(folder: &Path, args: &str) {
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(args.split(' '))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "openssl {args}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn read(folder: &Path) -> Credential {
    Credential {
        chain: vec![CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap()],
        key: PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap(),
    }
}

/// What `openssl req -x509` makes, with `key` such as `rsa:2048` or `ec -pkeyopt ec_paramgen_curve:P-384`.
pub(crate) fn by_openssl(key: &str) -> Credential {
    let folder = tempfile::tempdir().unwrap();
    let made =
        format!("req -x509 -newkey {key} -nodes -keyout key.pem -out cert.pem -subj /CN=device -days 3");
    openssl(folder.path(), &made);
    read(folder.path())
}

/// An X.509 version 1 certificate, which has no extensions at all, with the given serial number.
pub(crate) fn v1_by_openssl(key: &str, serial: &str) -> Credential {
    let folder = tempfile::tempdir().unwrap();
    openssl(
        folder.path(),
        &format!("req -new -newkey {key} -nodes -keyout key.pem -out csr.pem -subj /CN=device"),
    );
    let sign = format!("x509 -req -in csr.pem -signkey key.pem -days 3 -set_serial {serial} -out cert.pem");
    openssl(folder.path(), &sign);
    read(folder.path())
}

pub(crate) const P256: &str = "ec -pkeyopt ec_paramgen_curve:P-256";
