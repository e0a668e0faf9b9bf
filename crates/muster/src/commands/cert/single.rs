//! Single certificates: self-signed devices, verification certificates, signed requests.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use muster_model::Clock;
use muster_pki::issue::{CertificateRequest, Profile, Serial, Template};
use muster_pki::{PrivateKey, pfx};
use zeroize::Zeroizing;

use super::hierarchy::{Hierarchy, HierarchyOptions, show};
use super::{KeyKind, files};
use crate::cli::{Outcome, say};
use crate::server::clock::{SystemClock, system_random};

/// Makes a self-signed device certificate.
#[derive(Args, Debug)]
pub(crate) struct SelfSignedArgs {
    /// The device's name: its common name, and so its registration id and device id.
    name: String,
    /// The certificate's file.
    #[arg(long, default_value = "device-cert.pem", value_name = "FILE")]
    cert: PathBuf,
    /// The key's file.
    #[arg(long, default_value = "device-key.pem", value_name = "FILE")]
    cert_key: PathBuf,
    /// A PFX file to write beside them.
    #[arg(long, value_name = "FILE")]
    pfx: Option<PathBuf>,
    /// The kind of the new key.
    #[arg(long, value_enum, default_value = "rsa-4096")]
    key: KeyKind,
    /// Days that the certificate lives.
    #[arg(long, default_value = "30", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    /// The pass phrase of the key and of the PFX file.
    #[arg(long, default_value = "1234")]
    pass_phrase: String,
    /// Writes the key without a pass phrase.
    #[arg(long)]
    plain_key: bool,
}

/// Where a CA certificate and its key are.
#[derive(Args, Debug)]
pub(crate) struct CaFiles {
    /// The CA certificate that signs.
    #[arg(
        long,
        default_value = "certs/azure-iot-test-only.root.ca.cert.pem",
        value_name = "FILE"
    )]
    ca: PathBuf,
    /// Its key.
    #[arg(
        long,
        default_value = "private/azure-iot-test-only.root.ca.key.pem",
        value_name = "FILE"
    )]
    ca_key: PathBuf,
    /// The pass phrase of that key.
    #[arg(long, default_value = "1234")]
    pass_phrase: String,
    /// Days that the certificate lives.
    #[arg(long, default_value = "30", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
}

/// Makes the certificate that proves possession of a CA.
#[derive(Args, Debug)]
pub(crate) struct VerificationArgs {
    /// The verification code, 48 hex digits.
    code: String,
    #[command(flatten)]
    options: HierarchyOptions,
    /// Another CA certificate than the hierarchy's root; the certificate alone is written then.
    #[arg(long, value_name = "FILE", requires = "ca_key")]
    ca: Option<PathBuf>,
    /// Its key.
    #[arg(long, value_name = "FILE", requires = "ca")]
    ca_key: Option<PathBuf>,
    /// The file, where another CA signs; a copy in DER, VerifyCert4.cer, is written beside it.
    #[arg(
        long,
        default_value = "verification-code.cert.pem",
        value_name = "FILE",
        requires = "ca"
    )]
    out: PathBuf,
}

/// What a signed request becomes.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum RequestProfile {
    /// A CA that may issue others.
    Ca,
    /// A device.
    Device,
}

/// Signs a certificate request.
#[derive(Args, Debug)]
pub(crate) struct SignArgs {
    /// The request, PEM or DER.
    #[arg(long, value_name = "FILE")]
    csr: PathBuf,
    #[command(flatten)]
    ca: CaFiles,
    /// What it becomes.
    #[arg(long = "as", value_enum, default_value = "device")]
    profile: RequestProfile,
    /// The certificate's file.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn self_signed(args: &SelfSignedArgs) -> Outcome {
    let random = system_random()?;
    let now = SystemClock::new().wall().to_pki();
    let key = PrivateKey::generate(args.key.into())?;
    let serial = random.draw(|rng| Serial::random(rng));
    let until = now.plus_days(args.days);
    let leaf = Template::new(&args.name, serial, now, until, Profile::SelfSignedDevice)?.self_signed(&key)?;
    if args.plain_key {
        files::write(&args.cert_key, key.pkcs8_pem().as_bytes(), files::OWNER)?;
    } else {
        let sealed = random.draw(|rng| key.encrypted_pkcs8_pem(&args.pass_phrase, rng))?;
        files::write(&args.cert_key, sealed.as_bytes(), files::OWNER)?;
    }
    files::write(&args.cert, leaf.pem().as_bytes(), files::ORDINARY)?;
    if let Some(file) = &args.pfx {
        let container = Zeroizing::new(pfx::write(&leaf, &[], &key, &args.pass_phrase)?);
        files::write(file, &container, files::OWNER)?;
    }
    show(&leaf)
}

/// With the hierarchy's root, leaves what the script leaves; with any other CA, the certificate alone.
pub(super) fn verification(args: &VerificationArgs) -> Outcome {
    if args.code.len() != 48 || !args.code.bytes().all(|b| b.is_ascii_hexdigit()) {
        say("the code has not the form of one (48 hex digits); it is used all the same");
    }
    let (Some(ca), Some(ca_key)) = (&args.ca, &args.ca_key) else {
        return show(&Hierarchy::open(args.options.clone())?.verification(&args.code)?);
    };
    let ca = files::issuer(ca, ca_key, &args.options.pass_phrase)?;
    let random = system_random()?;
    let now = SystemClock::new().wall().to_pki();
    // Nothing needs this key: it is thrown away.
    let key = PrivateKey::generate(args.options.key.into())?;
    let serial = random.draw(|rng| Serial::random(rng));
    let until = now.plus_days(args.options.days);
    let template = Template::new(&args.code, serial, now, until, Profile::ScriptLeaf)?;
    let leaf = ca.issue(&template, &key)?;
    files::write(&args.out, leaf.pem().as_bytes(), files::READ_ONLY)?;
    files::write(
        &args.out.with_file_name("VerifyCert4.cer"),
        leaf.der(),
        files::READ_ONLY,
    )?;
    show(&leaf)
}

pub(super) fn sign(args: &SignArgs) -> Outcome {
    let ca = files::issuer(&args.ca.ca, &args.ca.ca_key, &args.ca.pass_phrase)?;
    let request = CertificateRequest::from_text(&files::read(&args.csr)?)?;
    let random = system_random()?;
    let now = SystemClock::new().wall().to_pki();
    let template = Template {
        subject: request.subject().clone(),
        serial: random.draw(|rng| Serial::random(rng)),
        not_before: now,
        not_after: now.plus_days(args.ca.days),
        profile: match args.profile {
            RequestProfile::Ca => Profile::ScriptCa,
            RequestProfile::Device => Profile::TutorialLeaf,
        },
    };
    let certificate = ca.issue_request(&template, &request)?;
    files::write(&args.out, certificate.pem().as_bytes(), files::READ_ONLY)?;
    show(&certificate)
}
