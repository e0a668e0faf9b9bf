//! A root, an intermediate and devices, in the folders and under the names that the vendor's script leaves.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use muster_model::{Clock, Random};
use muster_pki::issue::{CertificateRequest, Issuer, Profile, Serial, Template};
use muster_pki::{Certificate, PrivateKey, Time, pfx};
use zeroize::Zeroizing;

use super::{KeyKind, files};
use crate::cli::{Failure, Outcome, print, say};
use crate::server::clock::{SystemClock, system_random};

const ROOT_NAME: &str = "Azure IoT Hub CA Cert Test Only";
const INTERMEDIATE_NAME: &str = "Azure IoT Hub Intermediate Cert Test Only";

const ROOT: &str = "certs/azure-iot-test-only.root.ca.cert.pem";
const ROOT_KEY: &str = "private/azure-iot-test-only.root.ca.key.pem";
const INTERMEDIATE: &str = "certs/azure-iot-test-only.intermediate.cert.pem";
const INTERMEDIATE_KEY: &str = "private/azure-iot-test-only.intermediate.key.pem";

/// Whose extension sets are written. Source: the vendor's `certGen.sh` and the group tutorial, read 2026-11.
#[derive(Clone, Copy, Debug, Default, PartialEq, ValueEnum)]
pub(crate) enum Layout {
    /// Those of the script.
    #[default]
    Script,
    /// Those of the tutorial on enrollment groups: no Netscape type, clients only, random serials.
    Tutorial,
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
    /// Replaces a hierarchy that is there.
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
    /// Signs with the root instead of the intermediate.
    #[arg(long)]
    from_root: bool,
}

/// A root with an intermediate, ready to issue.
pub(crate) struct Hierarchy {
    options: HierarchyOptions,
    random: Random,
    now: Time,
    root: Issuer,
    intermediate: Issuer,
}

pub(super) fn chain(args: &ChainArgs) -> Outcome {
    let root = args.options.dir.join(ROOT);
    if root.exists() && !args.force {
        return Err(Failure::new(format!(
            "{} is there already; --force replaces it",
            root.display()
        )));
    }
    if matches!(args.options.key, KeyKind::Rsa4096) {
        say("making RSA keys of 4096 bits takes some seconds; --key p256 is faster");
    }
    let hierarchy = Hierarchy::create(args.options.clone())?;
    for certificate in [hierarchy.root.certificate(), hierarchy.intermediate.certificate()] {
        show(certificate)?;
    }
    for device in &args.devices {
        show(&hierarchy.device(device, false)?)?;
    }
    Ok(())
}

pub(super) fn device(args: &DeviceArgs) -> Outcome {
    show(&Hierarchy::open(args.options.clone())?.device(&args.name, args.from_root)?)
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
    /// Makes a new root and intermediate and writes them, in place of what was there.
    pub(crate) fn create(options: HierarchyOptions) -> Result<Self, Failure> {
        let random = system_random()?;
        let now = SystemClock::new().wall().to_pki();
        let until = now.plus_days(options.days);
        for folder in ["certs", "csr", "newcerts", "private", "intermediateCerts"] {
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
        files::write(
            &options.dir.join("serial"),
            format!("{}\n", first_serial.hex()).as_bytes(),
            files::ORDINARY,
        )?;
        files::write(&options.dir.join("index.txt"), b"", files::ORDINARY)?;
        let key = PrivateKey::generate(options.key.into())?;
        let serial = take_serial(&options.dir)?;
        let template = Template::new(INTERMEDIATE_NAME, serial, now, until, Profile::ScriptCa)?;
        let intermediate = Issuer::new(root.issue(&template, &key)?, key)?;
        let hierarchy = Self {
            options,
            random,
            now,
            root,
            intermediate,
        };
        hierarchy.write_ca(&hierarchy.root, ROOT, ROOT_KEY)?;
        hierarchy.write_ca(&hierarchy.intermediate, INTERMEDIATE, INTERMEDIATE_KEY)?;
        hierarchy.write_request(
            hierarchy.intermediate.key(),
            INTERMEDIATE_NAME,
            "azure-iot-test-only.intermediate",
        )?;
        hierarchy.keep_copy(hierarchy.intermediate.certificate())?;
        let both = [hierarchy.intermediate.certificate(), hierarchy.root.certificate()]
            .map(Certificate::pem)
            .concat();
        hierarchy.write(
            "certs/azure-iot-test-only.chain.ca.cert.pem",
            both.as_bytes(),
            files::READ_ONLY,
        )?;
        Ok(hierarchy)
    }

    /// Opens a hierarchy that was written before.
    pub(crate) fn open(options: HierarchyOptions) -> Result<Self, Failure> {
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
            root,
            intermediate,
            options,
        })
    }

    /// The path of the root certificate.
    pub(crate) fn root_file(&self) -> PathBuf {
        self.options.dir.join(ROOT)
    }

    /// The path of the intermediate certificate.
    pub(crate) fn intermediate_file(&self) -> PathBuf {
        self.options.dir.join(INTERMEDIATE)
    }

    /// Issues a device certificate and writes it with its key, its chain and its PFX.
    pub(crate) fn device(&self, name: &str, from_root: bool) -> Result<Certificate, Failure> {
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return Err(Failure::new(format!("{name:?} can't be the name of a file")));
        }
        let key = PrivateKey::generate(self.options.key.into())?;
        let profile = match self.options.layout {
            Layout::Script => Profile::ScriptLeaf,
            Layout::Tutorial => Profile::TutorialLeaf,
        };
        let serial = take_serial(&self.options.dir)?;
        let until = self.now.plus_days(self.options.days);
        let template = Template::new(name, serial, self.now, until, profile)?;
        let issuer = if from_root { &self.root } else { &self.intermediate };
        let leaf = issuer.issue(&template, &key)?;
        let above: Vec<Certificate> = if from_root {
            vec![self.root.certificate().clone()]
        } else {
            vec![
                self.intermediate.certificate().clone(),
                self.root.certificate().clone(),
            ]
        };
        self.write(
            &format!("private/{name}.key.pem"),
            key.pkcs8_pem().as_bytes(),
            files::READ_ONLY,
        )?;
        self.write(
            &format!("certs/{name}.cert.pem"),
            leaf.pem().as_bytes(),
            files::READ_ONLY,
        )?;
        let full: String = std::iter::once(&leaf)
            .chain(&above)
            .map(Certificate::pem)
            .collect();
        self.write(
            &format!("certs/{name}-full-chain.cert.pem"),
            full.as_bytes(),
            files::READ_ONLY,
        )?;
        let container = Zeroizing::new(pfx::write(&leaf, &above, &key, &self.options.pass_phrase)?);
        self.write(&format!("certs/{name}.cert.pfx"), &container, files::OWNER)?;
        self.write_request(&key, name, name)?;
        self.keep_copy(&leaf)?;
        Ok(leaf)
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

    /// Keeps the copy that `openssl ca` leaves.
    fn keep_copy(&self, certificate: &Certificate) -> Result<(), Failure> {
        let name = format!("newcerts/{}.pem", certificate.serial_hex());
        self.write(&name, certificate.pem().as_bytes(), files::ORDINARY)
    }
}

/// Takes the next serial number of a hierarchy, and counts it up.
fn take_serial(dir: &Path) -> Result<Serial, Failure> {
    let path = dir.join("serial");
    let about = |what: &dyn std::fmt::Display| Failure::new(format!("{}: {what}", path.display()));
    let text = files::read(&path)?;
    let text = std::str::from_utf8(&text)
        .map_err(|e| about(&e))?
        .trim()
        .to_ascii_uppercase();
    let bytes = data_encoding::HEXUPPER
        .decode(text.as_bytes())
        .map_err(|e| about(&e))?;
    let serial = Serial::from_bytes(&bytes).map_err(|e| about(&e))?;
    files::write(
        &path,
        format!("{}\n", serial.next()?.hex()).as_bytes(),
        files::ORDINARY,
    )?;
    Ok(serial)
}
