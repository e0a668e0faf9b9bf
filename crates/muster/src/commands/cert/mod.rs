//! `muster cert`: makes the certificates of the tutorials, and judges a chain.
//!
//! File names, subjects, extensions and pass phrases are those of the public scripts and tutorials, so that their later
//! steps run unchanged.

mod check;
mod database;
mod files;
mod hierarchy;
mod single;

use clap::{Args, Subcommand, ValueEnum};
use muster_pki::NewKey;

use crate::cli::Outcome;

/// Makes certificates for devices and CAs, and judges chains.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  muster cert chain --device device-01 --device device-02   root, intermediate and two devices
  muster cert self-signed my-x509-device                    device-cert.pem and device-key.pem
  muster cert device edge-01 --edge                         the CA certificate of an edge device
  muster cert verification 75B8…DDB3                        proves possession of the root
  muster cert check --chain certs/device-01-full-chain.cert.pem \\
      --anchor certs/azure-iot-test-only.root.ca.cert.pem")]
pub(crate) struct CertArgs {
    #[command(subcommand)]
    command: CertCommand,
}

#[derive(Debug, Subcommand)]
enum CertCommand {
    /// Makes a root, an intermediate and devices, in the layout of the vendor's script.
    Chain(hierarchy::ChainArgs),
    /// Judges a chain offline, by the server's own rules.
    Check(check::CheckArgs),
    /// Adds a device to a hierarchy that is there.
    Device(hierarchy::DeviceArgs),
    /// Makes a self-signed device certificate.
    SelfSigned(single::SelfSignedArgs),
    /// Signs a certificate request.
    Sign(single::SignArgs),
    /// Makes the certificate that proves possession of a CA: its common name is the code.
    Verification(single::VerificationArgs),
}

/// The kind of a new key.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum KeyKind {
    /// EC on P-256.
    P256,
    /// EC on P-384.
    P384,
    /// RSA with 2048 bits.
    #[value(name = "rsa-2048")]
    Rsa2048,
    /// RSA with 4096 bits, as the tutorials have it.
    #[value(name = "rsa-4096")]
    Rsa4096,
}

impl From<KeyKind> for NewKey {
    fn from(kind: KeyKind) -> Self {
        match kind {
            KeyKind::P256 => Self::EcP256,
            KeyKind::P384 => Self::EcP384,
            KeyKind::Rsa2048 => Self::Rsa2048,
            KeyKind::Rsa4096 => Self::Rsa4096,
        }
    }
}

pub(crate) fn run(args: CertArgs) -> Outcome {
    match args.command {
        CertCommand::Chain(args) => hierarchy::chain(&args),
        CertCommand::Check(args) => check::run(&args),
        CertCommand::Device(args) => hierarchy::device(&args),
        CertCommand::SelfSigned(args) => single::self_signed(&args),
        CertCommand::Sign(args) => single::sign(&args),
        CertCommand::Verification(args) => single::verification(&args),
    }
}
