//! A root, an intermediate and devices, in the folders and under the names that the vendor's script leaves.

use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use muster_model::{Clock, Random};
use muster_pki::issue::{CertificateRequest, Issuer, Profile, Serial, Template};
use muster_pki::{Certificate, PrivateKey, Time, pfx};
use zeroize::Zeroizing;

use super::database::Database;
use super::{KeyKind, files};
use crate::cli::{Failure, Outcome, print, say};
use crate::server::clock::{SystemClock, system_random};

const ROOT_NAME: &str = "Azure IoT Hub CA Cert Test Only";
const INTERMEDIATE_NAME: &str = "Azure IoT Hub Intermediate Cert Test Only";

const ROOT: &str = "certs/azure-iot-test-only.root.ca.cert.pem";
const ROOT_KEY: &str = "private/azure-iot-test-only.root.ca.key.pem";
const INTERMEDIATE: &str = "certs/azure-iot-test-only.intermediate.cert.pem";
const INTERMEDIATE_KEY: &str = "private/azure-iot-test-only.intermediate.key.pem";
const CHAIN: &str = "certs/azure-iot-test-only.chain.ca.cert.pem";
/// The verification certificate in DER, as the tutorial on X.509 in a hub names it.
const VERIFICATION_DER: &str = "VerifyCert4.cer";

/// The folders of the script's layout; the tutorial has all but the last.
const FOLDERS: [&str; 5] = ["certs", "csr", "newcerts", "private", "intermediateCerts"];

/// Whose extension sets are written. Source: the vendor's `certGen.sh` and the group tutorial, read 2026-11.
#[derive(Clone, Copy, Debug, Default, PartialEq, ValueEnum)]
pub(crate) enum Layout {
    /// Those of the script.
    #[default]
    Script,
    /// Those of the tutorial on enrollment groups: no Netscape type, clients only, random serials.
    Tutorial,
}

impl Layout {
    fn folders(self) -> impl Iterator<Item = &'static str> {
        let all = match self {
            Self::Script => FOLDERS.len(),
            Self::Tutorial => FOLDERS.len() - 1,
        };
        FOLDERS.into_iter().take(all)
    }
}

/// What is the same for every certificate of a hierarchy.
#[derive(Args, Clone, Debug)]
pub(crate) struct HierarchyOptions {
    /// The folder in which `certs`, `private`, `csr` and `newcerts` stand.
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// The kind of new keys.
    #[arg(long, value_enum, default_value = "rsa-4096")]
    pub(crate) key: KeyKind,
    /// Days that new certificates live.
    #[arg(long, default_value = "30", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(crate) days: u32,
    /// The pass phrase of CA keys and of PFX files.
    #[arg(long, default_value = "1234")]
    pub(crate) pass_phrase: String,
    /// Whose extension sets are written.
    #[arg(long, value_enum, default_value = "script")]
    pub(crate) layout: Layout,
}

/// Makes a root, an intermediate and devices.
#[derive(Args, Debug)]
pub(crate) struct ChainArgs {
    #[command(flatten)]
    options: HierarchyOptions,
    /// The name of a device; may be given several times.
    #[arg(long = "device", value_name = "NAME")]
    devices: Vec<String>,
    /// Puts the CA certificates into the PFX files of devices too.
    #[arg(long)]
    pfx_chain: bool,
    /// Replaces a hierarchy that is there, with everything that it issued.
    #[arg(long)]
    force: bool,
}

/// Adds a device to a hierarchy that is there.
#[derive(Args, Debug)]
pub(crate) struct DeviceArgs {
    /// The device's name: its common name, and so its registration id and device id.
    name: String,
    #[command(flatten)]
    options: HierarchyOptions,
    /// Puts the CA certificates into the PFX file too.
    #[arg(long)]
    pfx_chain: bool,
    /// Signs with the root instead of the intermediate.
    #[arg(long, conflicts_with = "edge")]
    from_root: bool,
    /// Makes the CA certificate of an edge device: its common name is NAME.ca, and it may issue others.
    #[arg(long)]
    edge: bool,
}

/// Who signs a certificate of a hierarchy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Signer {
    Intermediate,
    Root,
}

/// A root with an intermediate, ready to issue.
pub(crate) struct Hierarchy {
    options: HierarchyOptions,
    random: Random,
    now: Time,
    database: Database,
    root: Issuer,
    intermediate: Issuer,
    pfx_chain: bool,
}

pub(super) fn chain(args: &ChainArgs) -> Outcome {
    let mut there = [ROOT, "index.txt", "serial"]
        .into_iter()
        .map(|name| args.options.dir.join(name))
        .filter(|path| path.exists());
    if let Some(path) = there.next()
        && !args.force
    {
        return Err(Failure::new(format!(
            "{} is there already; --force replaces the hierarchy with everything that it issued",
            path.display()
        )));
    }
    args.devices.iter().try_for_each(|name| check_name(name))?;
    if args.force {
        Database::new(args.options.dir.clone()).sweep(&FOLDERS)?;
    }
    if matches!(args.options.key, KeyKind::Rsa4096) {
        say("making RSA keys of 4096 bits takes some seconds; --key p256 is faster");
    }
    let hierarchy = Hierarchy {
        pfx_chain: args.pfx_chain,
        ..Hierarchy::create(args.options.clone())?
    };
    for certificate in [hierarchy.root.certificate(), hierarchy.intermediate.certificate()] {
        show(certificate)?;
    }
    for device in &args.devices {
        show(&hierarchy.device(device, false)?)?;
    }
    Ok(())
}

pub(super) fn device(args: &DeviceArgs) -> Outcome {
    let hierarchy = Hierarchy {
        pfx_chain: args.pfx_chain,
        ..Hierarchy::open(args.options.clone())?
    };
    let made = if args.edge {
        hierarchy.edge_device(&args.name)
    } else {
        hierarchy.device(&args.name, args.from_root)
    };
    show(&made?)
}

/// Prints what people look for in a certificate.
pub(super) fn show(certificate: &Certificate) -> Outcome {
    print(&format!(
        "{}\n  issuer  {}\n  until   {}\n  SHA-1   {}\n  SHA-256 {}",
        certificate.subject(),
        certificate.issuer(),
        certificate.not_after(),
        certificate.sha1(),
        certificate.sha256()
    ))
}

impl Hierarchy {
    /// Makes a new root and intermediate and writes them; what stands under other names stays.
    fn create(options: HierarchyOptions) -> Result<Self, Failure> {
        let random = system_random()?;
        let now = SystemClock::new().wall().to_pki();
        let until = now.plus_days(options.days);
        let database = Database::new(options.dir.clone());
        for folder in options.layout.folders() {
            let folder = options.dir.join(folder);
            fs::create_dir_all(&folder).map_err(|e| Failure::new(format!("{}: {e}", folder.display())))?;
        }
        let root_key = PrivateKey::generate(options.key.into())?;
        let root_serial = random.draw(|rng| Serial::random(rng));
        let root =
            Template::new(ROOT_NAME, root_serial, now, until, Profile::ScriptCa)?.self_signed(&root_key)?;
        let root = Issuer::new(root, root_key)?;
        let first_serial = match options.layout {
            Layout::Script => Serial::from_bytes(&[1])?,
            Layout::Tutorial => random.draw(|rng| Serial::random(rng)),
        };
        database.create(&first_serial)?;
        let key = PrivateKey::generate(options.key.into())?;
        let serial = database.take_serial(&random)?;
        let template = Template::new(INTERMEDIATE_NAME, serial, now, until, Profile::ScriptCa)?;
        let intermediate = Issuer::new(root.issue(&template, &key)?, key)?;
        let hierarchy = Self {
            options,
            random,
            now,
            database,
            root,
            intermediate,
            pfx_chain: false,
        };
        hierarchy.write_ca(&hierarchy.root, ROOT, ROOT_KEY)?;
        hierarchy.write_ca(&hierarchy.intermediate, INTERMEDIATE, INTERMEDIATE_KEY)?;
        hierarchy.write_request(
            hierarchy.intermediate.key(),
            INTERMEDIATE_NAME,
            "azure-iot-test-only.intermediate",
        )?;
        hierarchy.database.record(hierarchy.intermediate.certificate())?;
        let both = pem(&hierarchy.above(Signer::Intermediate));
        hierarchy.write(CHAIN, both.as_bytes(), files::READ_ONLY)?;
        Ok(hierarchy)
    }

    /// Opens a hierarchy that was written before.
    pub(super) fn open(options: HierarchyOptions) -> Result<Self, Failure> {
        let dir = &options.dir;
        let root = files::issuer(&dir.join(ROOT), &dir.join(ROOT_KEY), &options.pass_phrase)?;
        let intermediate = files::issuer(
            &dir.join(INTERMEDIATE),
            &dir.join(INTERMEDIATE_KEY),
            &options.pass_phrase,
        )?;
        let random = system_random()?;
        Ok(Self {
            random,
            now: SystemClock::new().wall().to_pki(),
            database: Database::new(options.dir.clone()),
            root,
            intermediate,
            options,
            pfx_chain: false,
        })
    }

    /// Issues a device certificate and writes it with its key, its chain and its PFX, under the device's name; in the
    /// script's layout also under the one name that the script has for the newest device.
    fn device(&self, name: &str, from_root: bool) -> Result<Certificate, Failure> {
        check_name(name)?;
        let profile = match self.options.layout {
            Layout::Script => Profile::ScriptLeaf,
            Layout::Tutorial => Profile::TutorialLeaf,
        };
        let signer = if from_root {
            Signer::Root
        } else {
            Signer::Intermediate
        };
        self.issue(name, profile, signer, &[name, "new-device"])
    }

    /// Issues the CA certificate of an edge device, `{name}.ca`, as [`Hierarchy::device`] issues that of a device.
    fn edge_device(&self, name: &str) -> Result<Certificate, Failure> {
        check_name(name)?;
        let name = format!("{name}.ca");
        let files = [name.as_str(), "new-edge-device"];
        self.issue(&name, Profile::ScriptCa, Signer::Intermediate, &files)
    }

    /// Issues the certificate that proves possession of the root, under the script's names and the tutorial's.
    pub(super) fn verification(&self, code: &str) -> Result<Certificate, Failure> {
        let files = ["verification-code"];
        let leaf = self.issue(code, Profile::ScriptLeaf, Signer::Root, &files)?;
        self.write(VERIFICATION_DER, leaf.der(), files::READ_ONLY)?;
        Ok(leaf)
    }

    /// Issues a certificate for a new key and writes both under each of the names; all but the first are the script's.
    fn issue(
        &self,
        common_name: &str,
        profile: Profile,
        signer: Signer,
        names: &[&str],
    ) -> Result<Certificate, Failure> {
        let key = PrivateKey::generate(self.options.key.into())?;
        let serial = self.database.take_serial(&self.random)?;
        let until = self.now.plus_days(self.options.days);
        let template = Template::new(common_name, serial, self.now, until, profile)?;
        let issuer = match signer {
            Signer::Intermediate => &self.intermediate,
            Signer::Root => &self.root,
        };
        let leaf = issuer.issue(&template, &key)?;
        let above = self.above(signer);
        let with_key: &[Certificate] = if self.pfx_chain { &above } else { &[] };
        let container = Zeroizing::new(pfx::write(&leaf, with_key, &key, &self.options.pass_phrase)?);
        let full = format!("{}{}", leaf.pem(), pem(&above));
        let kept = match self.options.layout {
            Layout::Script => names.len(),
            Layout::Tutorial => 1,
        };
        for name in names.iter().take(kept) {
            self.write_request(&key, common_name, name)?;
            for (file, bytes, mode) in [
                (
                    format!("private/{name}.key.pem"),
                    key.pkcs8_pem().as_bytes(),
                    files::READ_ONLY,
                ),
                (
                    format!("certs/{name}.cert.pem"),
                    leaf.pem().as_bytes(),
                    files::READ_ONLY,
                ),
                (
                    format!("certs/{name}-full-chain.cert.pem"),
                    full.as_bytes(),
                    files::READ_ONLY,
                ),
                (
                    format!("certs/{name}.cert.pfx"),
                    container.as_slice(),
                    files::OWNER,
                ),
            ] {
                self.write(&file, bytes, mode)?;
            }
        }
        self.database.record(&leaf)?;
        Ok(leaf)
    }

    /// The signer and what is above it.
    fn above(&self, signer: Signer) -> Vec<Certificate> {
        let root = self.root.certificate().clone();
        match signer {
            Signer::Intermediate => vec![self.intermediate.certificate().clone(), root],
            Signer::Root => vec![root],
        }
    }

    fn write(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), Failure> {
        files::write(&self.options.dir.join(name), bytes, mode)
    }

    fn write_ca(&self, ca: &Issuer, certificate: &str, key: &str) -> Result<(), Failure> {
        let sealed = self
            .random
            .draw(|rng| ca.key().encrypted_pkcs8_pem(&self.options.pass_phrase, rng))?;
        self.write(key, sealed.as_bytes(), files::PRIVATE)?;
        self.write(certificate, ca.certificate().pem().as_bytes(), files::READ_ONLY)
    }

    fn write_request(&self, key: &PrivateKey, common_name: &str, file: &str) -> Result<(), Failure> {
        let request = CertificateRequest::new(&muster_pki::issue::common_name_only(common_name)?, key)?;
        self.write(
            &format!("csr/{file}.csr.pem"),
            request.pem().as_bytes(),
            files::ORDINARY,
        )
    }
}

fn pem(certificates: &[Certificate]) -> String {
    certificates.iter().map(Certificate::pem).collect()
}

/// Refuses a name that is no file's, before anything is made.
fn check_name(name: &str) -> Result<(), Failure> {
    if name.is_empty() || name.contains(['/', '\0']) || name.starts_with('.') {
        return Err(Failure::new(format!("{name:?} can't be the name of a file")));
    }
    Ok(())
}
