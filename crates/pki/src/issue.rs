//! Issuing certificates: test hierarchies as the vendor's scripts and tutorials lay them out, verification
//! certificates, and the server's own.
//!
//! The body of a certificate is written here rather than by a library, because two things must be exact: the
//! issuer's name, which is copied byte by byte from a certificate that any tool may have made, and the
//! extensions, which later steps of the tutorials show in the scripts' order and criticality. Key handling is
//! the crypto library's. Dates, serial numbers and salts are arguments.

mod extension;
mod request;

use std::net::IpAddr;

use rand::Rng;

use crate::certificate::Certificate;
use crate::der;
use crate::error::IssueError;
use crate::key::PrivateKey;
use crate::name::Name;
use crate::time::Time;

pub use request::CertificateRequest;

/// Longest common name, in characters. Source: X.520, `ub-common-name`, read 2026-11-25.
pub const MAX_COMMON_NAME: usize = 64;

/// A serial number: positive, at most 20 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// Takes big-endian bytes, leading zeros allowed.
    ///
    /// # Errors
    /// [`IssueError::Serial`] when they are zero or more than 20 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IssueError> {
        let start = bytes
            .iter()
            .position(|&byte| byte != 0)
            .ok_or(IssueError::Serial)?;
        let (_, significant) = bytes.split_at(start);
        let negative = significant.first().is_some_and(|first| first & 0x80 != 0);
        if significant.len() + usize::from(negative) > 20 {
            return Err(IssueError::Serial);
        }
        Ok(Self(significant.to_vec()))
    }

    /// Draws 16 random bytes, as the tutorials' `openssl rand -hex 16` does, with the first bit set to 01 so
    /// that every such number has the same length and is positive.
    pub fn random(rng: &mut dyn Rng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        bytes[0] = (bytes[0] & 0x3f) | 0x40;
        Self(bytes.to_vec())
    }

    /// Answers the number after this one.
    ///
    /// # Errors
    /// [`IssueError::Serial`] when it would have more than 20 bytes.
    pub fn next(&self) -> Result<Self, IssueError> {
        let mut bytes = vec![0];
        bytes.extend_from_slice(&self.0);
        for byte in bytes.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
        Self::from_bytes(&bytes)
    }

    /// Writes upper-case hex with an even number of digits, as `openssl ca` names files.
    pub fn hex(&self) -> String {
        data_encoding::HEXUPPER.encode(&self.0)
    }

    fn der(&self) -> Vec<u8> {
        let mut content = Vec::with_capacity(self.0.len() + 1);
        if self.0.first().is_some_and(|first| first & 0x80 != 0) {
            content.push(0);
        }
        content.extend_from_slice(&self.0);
        der::write(0x02, &content)
    }
}

/// Which extensions a certificate gets. Source of the sets: the vendor's `certGen.sh` with its configuration
/// files, and the tutorials on enrollment groups, on curl, and on test certificates, read 2026-11-25.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Profile {
    /// None at all: a version 1 certificate, as `openssl x509 -req -signkey` makes them.
    Bare,
    /// A root or intermediate of the script and the group tutorial.
    ScriptCa,
    /// A device or verification certificate of the script (`usr_cert`).
    ScriptLeaf,
    /// A server certificate of the script (`server_cert`).
    ScriptServer,
    /// A server certificate of the group tutorial.
    TutorialServer,
    /// A device certificate of the group tutorial: as the script's, without Netscape type and for clients
    /// only.
    TutorialLeaf,
    /// A self-signed device of the curl tutorial.
    SelfSignedDevice,
    /// The root of the tutorial on test certificates (`ca_ext`).
    HubRootCa,
    /// Its subordinate CA (`sub_ca_ext`), which may issue leaves only.
    HubSubCa,
    /// Its devices and verification certificates (`client_ext`).
    HubClient,
    /// A root for this server's own certificates, limited to these names without making the limit critical:
    /// small TLS libraries refuse critical name constraints.
    ServerRoot(ServerNames),
    /// A certificate of this server.
    Server(ServerNames),
}

/// Host names and addresses of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerNames {
    /// DNS names in ASCII; a first label of `*` is a wildcard in a server certificate. In a root, a name
    /// permits itself and all names below it.
    pub dns: Vec<String>,
    /// IP addresses, each permitted alone.
    pub ips: Vec<IpAddr>,
}

/// What is the same for every kind of certificate.
#[derive(Clone, Debug)]
pub struct Template {
    /// The subject.
    pub subject: Name,
    /// The serial number.
    pub serial: Serial,
    /// First second of validity.
    pub not_before: Time,
    /// Last second of validity.
    pub not_after: Time,
    /// The extensions.
    pub profile: Profile,
}

impl Template {
    /// Makes a template whose subject is one common name.
    ///
    /// # Errors
    /// [`IssueError::CommonName`] when it is empty or longer than [`MAX_COMMON_NAME`] characters.
    pub fn new(
        common_name: &str,
        serial: Serial,
        not_before: Time,
        not_after: Time,
        profile: Profile,
    ) -> Result<Self, IssueError> {
        Ok(Self {
            subject: common_name_only(common_name)?,
            serial,
            not_before,
            not_after,
            profile,
        })
    }

    /// Issues the certificate for the key's own public half, signed by itself.
    ///
    /// # Errors
    /// [`IssueError`] when dates or names cannot be written, or the key cannot sign.
    pub fn self_signed(&self, key: &PrivateKey) -> Result<Certificate, IssueError> {
        self.sign(key.spki_der(), &self.subject, None, key)
    }

    fn sign(
        &self,
        spki: &[u8],
        issuer_name: &Name,
        issuer: Option<&Certificate>,
        key: &PrivateKey,
    ) -> Result<Certificate, IssueError> {
        if self.not_before > self.not_after {
            return Err(self.wrong_validity());
        }
        let algorithm = key.signature_algorithm_der().to_vec();
        let mut parts = Vec::new();
        let extensions = extension::of_profile(&self.profile, spki, issuer)?;
        if !extensions.is_empty() {
            // Version 3, the only one with extensions; version 1 is written by leaving the field out.
            parts.push(der::write(0xa0, &[0x02, 0x01, 0x02]));
        }
        parts.push(self.serial.der());
        parts.push(algorithm.clone());
        parts.push(issuer_name.der().to_vec());
        parts.push(der::write_sequence(&[
            self.time(self.not_before)?,
            self.time(self.not_after)?,
        ]));
        parts.push(self.subject.der().to_vec());
        parts.push(spki.to_vec());
        if !extensions.is_empty() {
            parts.push(der::write(0xa3, &der::write_sequence(&extensions)));
        }
        let tbs = der::write_sequence(&parts);
        let signature = der::write_bits(&key.sign(&tbs)?);
        Ok(Certificate::from_der(&der::write_sequence(&[
            tbs, algorithm, signature,
        ]))?)
    }

    /// Writes a date as RFC 5280 §4.1.2.5 wants it: two-digit years to 2049, four-digit ones after.
    fn time(&self, at: Time) -> Result<Vec<u8>, IssueError> {
        let calendar = at
            .calendar()
            .filter(|calendar| (1950..=9999).contains(&calendar.year()));
        let calendar = calendar.ok_or_else(|| self.wrong_validity())?;
        let rest = format!(
            "{:02}{:02}{:02}{:02}{:02}Z",
            u8::from(calendar.month()),
            calendar.day(),
            calendar.hour(),
            calendar.minute(),
            calendar.second()
        );
        Ok(if calendar.year() < 2050 {
            der::write(0x17, format!("{:02}{rest}", calendar.year() % 100).as_bytes())
        } else {
            der::write(0x18, format!("{:04}{rest}", calendar.year()).as_bytes())
        })
    }

    fn wrong_validity(&self) -> IssueError {
        IssueError::Validity {
            not_before: self.not_before,
            not_after: self.not_after,
        }
    }
}

/// A certificate with its key, ready to issue others.
#[derive(Debug)]
pub struct Issuer {
    certificate: Certificate,
    key: PrivateKey,
}

impl Issuer {
    /// Joins a certificate and its key. The certificate may be of any kind: whether it may issue is a
    /// question of trust.
    ///
    /// # Errors
    /// [`IssueError::KeyDiffers`] when the key is another certificate's.
    pub fn new(certificate: Certificate, key: PrivateKey) -> Result<Self, IssueError> {
        if key.belongs_to(&certificate) {
            Ok(Self { certificate, key })
        } else {
            Err(IssueError::KeyDiffers)
        }
    }

    /// Answers the issuing certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Answers the issuing key.
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// Issues a certificate for this public key.
    ///
    /// # Errors
    /// [`IssueError`] when dates or names cannot be written, or the key cannot sign.
    pub fn issue(&self, template: &Template, subject_key: &PrivateKey) -> Result<Certificate, IssueError> {
        self.issue_for(template, subject_key.spki_der())
    }

    /// Issues a certificate for the key of a request. Subject and extensions come from the template, as
    /// `openssl ca` without `copy_extensions` does; the request's subject is at
    /// [`CertificateRequest::subject`].
    ///
    /// # Errors
    /// [`IssueError`] as for [`Issuer::issue`].
    pub fn issue_request(
        &self,
        template: &Template,
        request: &CertificateRequest,
    ) -> Result<Certificate, IssueError> {
        self.issue_for(template, request.spki_der())
    }

    fn issue_for(&self, template: &Template, spki: &[u8]) -> Result<Certificate, IssueError> {
        template.sign(
            spki,
            self.certificate.subject(),
            Some(&self.certificate),
            &self.key,
        )
    }
}

/// Makes the name that has one common name as `UTF8String` and nothing else.
///
/// # Errors
/// [`IssueError::CommonName`] when it is empty or longer than [`MAX_COMMON_NAME`] characters.
pub fn common_name_only(common_name: &str) -> Result<Name, IssueError> {
    let characters = common_name.chars().count();
    if !(1..=MAX_COMMON_NAME).contains(&characters) {
        return Err(IssueError::CommonName(characters));
    }
    let attribute = der::write_sequence(&[
        der::write(0x06, &[0x55, 0x04, 0x03]),
        der::write(0x0c, common_name.as_bytes()),
    ]);
    Ok(Name::from_raw(&der::write_sequence(&[der::write(
        0x31, &attribute,
    )])))
}
