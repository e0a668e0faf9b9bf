//! Certificates made by openssl: roots, intermediates, leaves, and what proves possession.
//!
//! All keys are P-256. Whoever needs an odd certificate calls openssl itself; here is what nearly every test needs.

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::openssl;

/// How long certificates live, in days.
const DAYS: &str = "30";
const ISSUER: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
                      subjectKeyIdentifier=hash\n";
const DEVICE: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n\
                      extendedKeyUsage=clientAuth\nsubjectKeyIdentifier=hash\n";

/// A certificate with its key, and the issuers above it.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The certificate, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// The certificate and all above it but the root, leaf first, in PEM: what a device presents.
    pub full_chain: PathBuf,
    /// The certificate of each issuer, nearest first.
    pub issuers: Vec<PathBuf>,
    folder: PathBuf,
}

impl Credential {
    /// Makes a root of its own.
    ///
    /// # Panics
    /// When openssl does not make it.
    pub fn root(folder: &Path, common_name: &str) -> Self {
        Self::make(folder, common_name, ISSUER, None)
    }

    /// Makes a device's certificate that is signed by itself.
    ///
    /// # Panics
    /// When openssl does not make it.
    pub fn self_signed(folder: &Path, common_name: &str) -> Self {
        Self::make(folder, common_name, DEVICE, None)
    }

    /// Issues an intermediate.
    ///
    /// # Panics
    /// When openssl does not issue it.
    #[must_use]
    pub fn intermediate(&self, common_name: &str) -> Self {
        Self::make(&self.folder, common_name, ISSUER, Some(self))
    }

    /// Issues a device's certificate; with a verification code as its name, also what proves possession.
    ///
    /// # Panics
    /// When openssl does not issue it.
    #[must_use]
    pub fn leaf(&self, common_name: &str) -> Self {
        Self::make(&self.folder, common_name, DEVICE, Some(self))
    }

    /// Returns the certificate as the PEM text that a request carries.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn pem(&self) -> String {
        fs::read_to_string(&self.certificate).expect("the certificate")
    }

    /// Returns the thumbprint by a hash (`sha1` or `sha256`), in upper-case digits.
    ///
    /// # Panics
    /// When openssl does not compute it.
    pub fn thumbprint(&self, hash: &str) -> String {
        let file = self.certificate.display().to_string();
        let line = openssl(
            &self.folder,
            &[
                "x509",
                "-noout",
                "-fingerprint",
                &format!("-{hash}"),
                "-in",
                &file,
            ],
        );
        line.split('=')
            .nth(1)
            .expect("a thumbprint")
            .trim()
            .replace(':', "")
    }

    fn make(folder: &Path, common_name: &str, extensions: &str, issuer: Option<&Self>) -> Self {
        let name = free_name(folder, common_name);
        let file = |ending: &str| folder.join(format!("{name}.{ending}"));
        let text = |path: &Path| path.display().to_string();
        let (certificate, key, request, extension_file) =
            (file("crt"), file("key"), file("csr"), file("ext"));
        fs::write(&extension_file, extensions).expect("to write the extensions");
        let curve = ["-pkeyopt", "ec_paramgen_curve:P-256"];
        openssl(
            folder,
            &[&["genpkey", "-algorithm", "EC", "-out", &text(&key)], &curve[..]].concat(),
        );
        let subject = subject(common_name);
        openssl(
            folder,
            &[
                "req",
                "-new",
                "-key",
                &text(&key),
                "-subj",
                &subject,
                "-out",
                &text(&request),
            ],
        );
        let (signer, signer_key) = match issuer {
            Some(issuer) => (text(&issuer.certificate), text(&issuer.key)),
            None => (String::new(), text(&key)),
        };
        let signed_by = match issuer {
            Some(_) => vec!["-CA", &signer, "-CAkey", &signer_key, "-CAcreateserial"],
            None => vec!["-signkey", &signer_key],
        };
        let (request, extension_file, output) = (text(&request), text(&extension_file), text(&certificate));
        let common = [
            "x509",
            "-req",
            "-sha256",
            "-days",
            DAYS,
            "-in",
            &request,
            "-extfile",
            &extension_file,
        ];
        openssl(folder, &[&common[..], &signed_by, &["-out", &output]].concat());
        let issuers = issuer.map_or_else(Vec::new, |issuer| {
            [
                std::slice::from_ref(&issuer.certificate),
                issuer.issuers.as_slice(),
            ]
            .concat()
        });
        let full_chain = file("full-chain.crt");
        // The last issuer is the root, which a device does not present.
        let presented = issuers.split_last().map_or(&[][..], |(_, rest)| rest);
        let chain: Vec<u8> = std::iter::once(&certificate)
            .chain(presented)
            .flat_map(|path| fs::read(path).expect("a certificate of the chain"))
            .collect();
        fs::write(&full_chain, chain).expect("to write the chain");
        Self {
            certificate,
            key,
            full_chain,
            issuers,
            folder: folder.to_path_buf(),
        }
    }
}

/// Writes a common name for openssl, whose separators lose their meaning behind a backslash.
fn subject(common_name: &str) -> String {
    let mut subject = "/CN=".to_owned();
    for character in common_name.chars() {
        if matches!(character, '/' | '+' | '\\') {
            subject.push('\\');
        }
        subject.push(character);
    }
    subject
}

/// Returns a file name that reads like the common name and is not taken: two certificates may have one name.
fn free_name(folder: &Path, common_name: &str) -> String {
    let safe: String = common_name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect();
    (1..=999)
        .map(|number| {
            if number == 1 {
                safe.clone()
            } else {
                format!("{safe}-{number}")
            }
        })
        .find(|name| !folder.join(format!("{name}.key")).exists())
        .expect("fewer than a thousand certificates of one name")
}

#[cfg(test)]
mod tests {
    use super::Credential;
    use crate::run::{openssl, try_openssl};

    #[test]
    fn a_chain_of_three_is_accepted_by_openssl() {
        let folder = tempfile::tempdir().unwrap();
        let root = Credential::root(folder.path(), "root");
        let device = root.intermediate("intermediate").leaf("device-1");
        let [intermediate, top] = device.issuers.as_slice() else {
            panic!("two issuers")
        };
        assert_eq!(top, &root.certificate);
        let path = |path: &std::path::Path| path.display().to_string();
        let (root, intermediate, leaf) = (path(top), path(intermediate), path(&device.certificate));
        let verified = openssl(
            folder.path(),
            &["verify", "-CAfile", &root, "-untrusted", &intermediate, &leaf],
        );
        assert!(verified.ends_with(": OK\n"), "{verified}");
        let chain = std::fs::read_to_string(&device.full_chain).unwrap();
        assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2);
    }

    #[test]
    fn certificates_of_one_name_stand_beside_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let first = Credential::root(folder.path(), "a/b");
        let second = Credential::root(folder.path(), "a/b");
        assert_ne!(first.thumbprint("sha256"), second.thumbprint("sha256"));
        assert_eq!(first.thumbprint("sha1").len(), 40);
        let file = second.certificate.display().to_string();
        let named = try_openssl(folder.path(), &["x509", "-noout", "-subject", "-in", &file]);
        assert!(named.succeeded("x509").contains("CN = a/b"));
    }
}
