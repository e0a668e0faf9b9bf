//! Certificates that something is wrong with, made by openssl alone.

use std::fs;
use std::path::Path;

use muster_tests::{now, openssl};

/// Extensions of a CA.
pub(crate) const CA: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n";
/// Extensions of a device.
pub(crate) const DEVICE: &str = "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=clientAuth\n";

const DAY: i64 = 86_400;

/// How a certificate is to be made. Files are named after `file`: `{file}.pem`, `{file}.key`.
pub(crate) struct Odd<'a> {
    file: &'a str,
    subject: String,
    extensions: &'a str,
    issuer: Option<&'a str>,
    digest: &'a str,
    /// Days from now to the first and to the last second.
    validity: (i64, i64),
}

impl<'a> Odd<'a> {
    /// Begins with a device's certificate that is signed by itself; its file is named like its common name.
    pub(crate) fn new(common_name: &'a str) -> Self {
        Self {
            file: common_name,
            subject: format!("/CN={common_name}"),
            extensions: DEVICE,
            issuer: None,
            digest: "-sha256",
            validity: (-1, 30),
        }
    }

    /// Begins with a CA's certificate.
    pub(crate) fn ca(common_name: &'a str) -> Self {
        Self::new(common_name).extensions(CA)
    }

    /// Names the files otherwise.
    pub(crate) fn file(mut self, file: &'a str) -> Self {
        self.file = file;
        self
    }

    /// Sets the whole subject.
    pub(crate) fn subject(mut self, subject: &str) -> Self {
        subject.clone_into(&mut self.subject);
        self
    }

    /// Sets the extensions, one to a line.
    pub(crate) fn extensions(mut self, extensions: &'a str) -> Self {
        self.extensions = extensions;
        self
    }

    /// Signs with the certificate of this file name.
    pub(crate) fn by(mut self, issuer: &'a str) -> Self {
        self.issuer = Some(issuer);
        self
    }

    /// Signs with another digest.
    pub(crate) fn digest(mut self, digest: &'a str) -> Self {
        self.digest = digest;
        self
    }

    /// Sets the days from now to the first and to the last second of validity.
    pub(crate) fn validity(mut self, from: i64, to: i64) -> Self {
        self.validity = (from, to);
        self
    }

    /// Makes it, with a key of its own unless a file of that name is there.
    pub(crate) fn make(self, folder: &Path) {
        let name = self.file;
        let (key, request, certificate) = (
            format!("{name}.key"),
            format!("{name}.csr"),
            format!("{name}.pem"),
        );
        if !folder.join(&key).exists() {
            let curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
            openssl(folder, &[&["genpkey", "-out", &key], &curve[..]].concat());
        }
        openssl(
            folder,
            &[
                "req",
                "-new",
                "-key",
                &key,
                "-subj",
                &self.subject,
                "-out",
                &request,
            ],
        );
        let database = format!("{name}.db");
        fs::create_dir_all(folder.join(&database)).expect("a folder for the issuer's records");
        fs::write(folder.join(&database).join("index"), "").expect("to write the records");
        fs::write(
            folder.join(&database).join("ca.cnf"),
            format!(
                "[ca]\ndefault_ca=d\n[d]\ndatabase={database}/index\nnew_certs_dir={database}\nrand_serial=yes\n\
                 policy=p\nunique_subject=no\nemail_in_dn=no\nstring_mask=utf8only\n[p]\ncommonName=optional\n\
                 organizationName=optional\n[e]\n{}",
                self.extensions
            ),
        )
        .expect("to write the configuration");
        let config = format!("{database}/ca.cnf");
        let (from, to) = (date(self.validity.0), date(self.validity.1));
        let mut arguments = vec![
            "ca",
            "-batch",
            "-notext",
            "-config",
            &config,
            "-in",
            &request,
            "-out",
            &certificate,
            "-startdate",
            &from,
            "-enddate",
            &to,
            "-md",
            self.digest.trim_start_matches('-'),
        ];
        if !self.extensions.is_empty() {
            arguments.extend(["-extensions", "e"]);
        }
        let issuer = self
            .issuer
            .map(|issuer| (format!("{issuer}.pem"), format!("{issuer}.key")));
        match &issuer {
            Some((certificate, key)) => arguments.extend(["-cert", certificate, "-keyfile", key]),
            None => arguments.extend(["-selfsign", "-keyfile", &key]),
        }
        openssl(folder, &arguments);
    }
}

/// Writes one file with the certificates of several, in this order.
pub(crate) fn chain(folder: &Path, file: &str, parts: &[&str]) {
    let text: String = parts
        .iter()
        .map(|part| {
            fs::read_to_string(folder.join(format!("{part}.pem"))).expect("a certificate of the chain")
        })
        .collect();
    fs::write(folder.join(file), text).expect("to write the chain");
}

/// A day from now in the form that openssl reads: `YYYYMMDDHHMMSSZ`.
fn date(days: i64) -> String {
    let seconds = now().saturating_add(days.saturating_mul(DAY));
    let (day, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    // Days of the era to a date, in years that begin in March.
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let (month, of_month) = (
        if month < 10 { month + 3 } else { month - 9 },
        of_year - (153 * month + 2) / 5 + 1,
    );
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}{month:02}{of_month:02}{:02}{:02}{:02}Z",
        rest / 3_600,
        rest / 60 % 60,
        rest % 60
    )
}
