//! `muster doctor`: checks what a server needs around it, and says how to mend what is missing.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use http::Method;
use muster_client::{Call, Http, Trust};
use muster_model::Clock;
use muster_pki::Certificate;

use crate::cli::{DataArgs, Failure, Outcome, print, say};
use crate::server::certificates::machine_names;
use crate::server::clock::SystemClock;
use crate::server::config::{Config, MetricsListen, default_path};
use crate::server::data_dir::{DataDir, DataDirError};
use crate::server::own_certificates::Own;

/// Free space below which a warning is due, in bytes.
const LITTLE_SPACE: u64 = 1 << 30;

/// Syncs that are tried.
const SYNCS: usize = 16;

/// Time below which a sync can't have reached a disk.
const IMPLAUSIBLE: Duration = Duration::from_micros(15);

/// Filesystems that live in memory. Source: Linux, statfs(2), read 2026-11.
const TMPFS: [i64; 2] = [0x0102_1994, 0x8584_58f6];

/// Checks ports, names, trust, clock, disk and durability.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  muster doctor
  sudo muster doctor --fix      writes the names into /etc/hosts")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Writes missing names into the hosts file.
    #[arg(long)]
    fix: bool,
    /// The hosts file.
    #[arg(long, default_value = "/etc/hosts", value_name = "FILE")]
    hosts: PathBuf,
}

/// How a check went.
enum Verdict {
    Good,
    Warning,
    Bad,
}

struct Finding {
    verdict: Verdict,
    subject: &'static str,
    text: String,
    mend: Option<String>,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn good(&mut self, subject: &'static str, text: impl Into<String>) {
        self.0.push(Finding {
            verdict: Verdict::Good,
            subject,
            text: text.into(),
            mend: None,
        });
    }

    fn warn(&mut self, subject: &'static str, text: impl Into<String>, mend: impl Into<String>) {
        self.0.push(Finding {
            verdict: Verdict::Warning,
            subject,
            text: text.into(),
            mend: Some(mend.into()),
        });
    }

    fn bad(&mut self, subject: &'static str, text: impl Into<String>, mend: impl Into<String>) {
        self.0.push(Finding {
            verdict: Verdict::Bad,
            subject,
            text: text.into(),
            mend: Some(mend.into()),
        });
    }
}

pub(crate) fn run(args: &DoctorArgs) -> Outcome {
    let data = DataDir::new(args.data.data.clone());
    let mut findings = Findings::default();
    let file = default_path(data.root());
    let config = match Config::load(file.exists().then_some(file.as_path())) {
        Ok(config) => {
            findings.good("configuration", "good");
            config
        }
        Err(error) => {
            findings.bad(
                "configuration",
                error.to_string(),
                format!("edit {}", file.display()),
            );
            Config::default()
        }
    };
    let running = directory(&data, &mut findings);
    let names = if running { served_names(&data) } else { None };
    if running {
        server(&data, &mut findings);
    } else {
        ports(&config, &mut findings);
    }
    trust(&data, &mut findings);
    let names = names.unwrap_or_else(|| ready_made_names(&config.names.domain));
    own_certificates(&config, &names, &mut findings);
    resolution(&names, args, &mut findings)?;
    disk(data.root(), &mut findings);
    show(&findings)
}

/// Checks the data directory; tells whether a server runs on it.
fn directory(data: &DataDir, findings: &mut Findings) -> bool {
    let root = data.root().display();
    if !data.root().exists() {
        findings.good(
            "data directory",
            format!("{root} is not there yet; the first `muster serve` makes it"),
        );
        return false;
    }
    if let Err(error) = data.check_modes() {
        findings.bad(
            "data directory",
            error.to_string(),
            "close it to others as said, then start the server",
        );
    } else {
        findings.good("data directory", format!("{root} is closed to others"));
    }
    match data.lock() {
        Ok(_) => {
            findings.good("server", "does not run");
            false
        }
        Err(DataDirError::Taken(_)) => true,
        Err(error) => {
            findings.bad(
                "data directory",
                error.to_string(),
                "run as the user that owns it",
            );
            false
        }
    }
}

fn endpoints(data: &DataDir) -> Option<serde_json::Value> {
    serde_json::from_slice(&data.read("endpoints.json").ok()??).ok()
}

fn ask(data: &DataDir, target: &str) -> Result<(u16, String), Failure> {
    let endpoints = endpoints(data).ok_or_else(|| Failure::new("the server is starting or stopping"))?;
    let address: SocketAddr = endpoints["https"].as_str().unwrap_or_default().parse()?;
    let trust = Trust::Roots(fs::read(data.root_certificate())?);
    let http = Http::new("localhost", address.port(), Some(address), &trust, None)?
        .with_call_time(Duration::from_secs(10));
    let token = data.read_operator_token()?;
    let mut call = Call::new(Method::GET, target);
    if let Some(token) = token {
        call = call.header(http::header::AUTHORIZATION, &format!("Bearer {}", *token));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let reply = runtime.block_on(http.send(&call))?;
    Ok((reply.status, String::from_utf8_lossy(&reply.body).into_owned()))
}

fn server(data: &DataDir, findings: &mut Findings) {
    match ask(data, "/readyz") {
        Ok((200, _)) => findings.good(
            "server",
            "runs and is ready; its certificate is trusted through ca.pem",
        ),
        Ok((_, obstacles)) => findings.bad("server", obstacles.trim().to_owned(), "mend what it says"),
        Err(failure) => findings.bad("server", failure.to_string(), "look at its log"),
    }
}

/// The names that the running server hands out.
fn served_names(data: &DataDir) -> Option<BTreeSet<String>> {
    let endpoints = endpoints(data)?;
    let subscription = endpoints["subscription"].as_str()?;
    let domain = endpoints["domain"].as_str()?;
    let mut names = BTreeSet::from([format!("global.azure-devices-provisioning.{domain}")]);
    for (kind, field) in [
        ("IotHubs", "hostName"),
        ("provisioningServices", "serviceOperationsHostName"),
    ] {
        let target = format!(
            "/subscriptions/{subscription}/providers/Microsoft.Devices/{kind}?api-version=2023-06-30"
        );
        let (status, body) = ask(data, &target).ok()?;
        if status != 200 {
            return None;
        }
        let list: serde_json::Value = serde_json::from_str(&body).ok()?;
        let found = list["value"].as_array()?.iter();
        names.extend(found.filter_map(|one| one["properties"][field].as_str().map(str::to_owned)));
    }
    Some(names)
}

fn ready_made_names(domain: &str) -> BTreeSet<String> {
    [
        format!("muster-hub.azure-devices.{domain}"),
        format!("muster-dps.azure-devices-provisioning.{domain}"),
        format!("global.azure-devices-provisioning.{domain}"),
    ]
    .into()
}

fn ports(config: &Config, findings: &mut Findings) {
    let address = config
        .listen
        .addresses
        .first()
        .copied()
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let mut wanted = vec![(SocketAddr::new(address, config.listen.https_port), "HTTPS", true)];
    wanted.push((SocketAddr::new(address, config.listen.mqtt_port), "MQTT", true));
    if config.listen.https_standard_port {
        wanted.push((SocketAddr::new(address, 443), "HTTPS on its standard port", false));
    }
    if let MetricsListen::At(address) = config.listen.metrics {
        wanted.push((address, "metrics", true));
    }
    for (address, what, needed) in wanted {
        match TcpListener::bind(address) {
            Ok(_) => findings.good("ports", format!("{address} is free for {what}")),
            Err(error) => {
                let text = format!("{address} can't be bound for {what}: {error}");
                let mend = if error.kind() == io::ErrorKind::PermissionDenied {
                    "sudo setcap cap_net_bind_service=+ep \"$(command -v muster)\"".to_owned()
                } else {
                    format!("see who holds it: ss -ltnp 'sport = :{}'", address.port())
                };
                if needed {
                    findings.bad("ports", text, mend);
                } else {
                    findings.warn("ports", text, mend);
                }
            }
        }
    }
}

fn trust(data: &DataDir, findings: &mut Findings) {
    let path = data.root_certificate();
    let Ok(bytes) = fs::read(&path) else { return };
    let now = SystemClock::new().wall().to_pki();
    match Certificate::from_text(&bytes) {
        Ok(root) if root.not_after() < now => {
            findings.bad("trust", "the server's root certificate has ended", "restart the server: it makes a new one");
        }
        Ok(root) => findings.good(
            "trust",
            format!(
                "clients trust {} (until {}); curl --cacert, SSL_CERT_FILE, REQUESTS_CA_BUNDLE or NODE_EXTRA_CA_CERTS \
                 take it",
                path.display(),
                root.not_after()
            ),
        ),
        Err(error) => findings.bad("trust", format!("{}: {error}", path.display()), "restore it from a backup"),
    }
}

/// Checks the certificates that the operator gave.
fn own_certificates(config: &Config, names: &BTreeSet<String>, findings: &mut Findings) {
    let now = SystemClock::new().wall();
    let mut served = machine_names(&config.names);
    served.extend(names.iter().cloned());
    for configured in &config.tls.certificates {
        let key = fs::metadata(&configured.key).map(|file| file.permissions().mode());
        if let Ok(mode) = key
            && mode & 0o077 != 0
        {
            findings.warn(
                "trust",
                format!("{} is open to others", configured.key.display()),
                format!("chmod 600 {}", configured.key.display()),
            );
        }
        match Own::load(configured, now) {
            Err(error) => findings.bad(
                "trust",
                error.to_string(),
                "edit [[tls.certificates]] or replace the file",
            ),
            Ok(own) if own.lapsed(now).is_some() => {
                findings.bad(
                    "trust",
                    own.told(&served, now),
                    "replace the file; the server reads it within ten seconds",
                );
            }
            Ok(own) if own.is_of_use(&served) => {
                findings.good(
                    "trust",
                    format!("{}, {}", own.file().display(), own.told(&served, now)),
                );
            }
            Ok(own) => findings.warn(
                "trust",
                format!("{}, {}", own.file().display(), own.told(&served, now)),
                "add its host name to names.hosts, or take a certificate for the names below",
            ),
        }
    }
}

fn resolution(names: &BTreeSet<String>, args: &DoctorArgs, findings: &mut Findings) -> Outcome {
    let leads_nowhere = |name: &&String| {
        (name.as_str(), 443_u16)
            .to_socket_addrs()
            .map_or(true, |mut addresses| addresses.next().is_none())
    };
    let missing: Vec<&String> = names.iter().filter(leads_nowhere).collect();
    if missing.is_empty() {
        findings.good("names", format!("all {} names resolve", names.len()));
        return Ok(());
    }
    let line = format!(
        "127.0.0.1 {}",
        missing.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(" ")
    );
    if args.fix {
        let mut file = OpenOptions::new()
            .append(true)
            .open(&args.hosts)
            .map_err(|error| Failure::new(format!("{}: {error}", args.hosts.display())))?;
        writeln!(file, "{line}")?;
        say(&format!(
            "{} names were written into {}",
            missing.len(),
            args.hosts.display()
        ));
        findings.good("names", "now resolve through the hosts file");
        return Ok(());
    }
    findings.warn(
        "names",
        format!(
            "{} of {} names do not resolve here; curl, browsers and muster need none of them, Python, Node and az do",
            missing.len(),
            names.len()
        ),
        format!("echo '{line}' | sudo tee -a {}   (or: sudo muster doctor --fix)", args.hosts.display()),
    );
    Ok(())
}

fn disk(root: &Path, findings: &mut Findings) {
    let place = if root.exists() {
        root
    } else {
        root.parent().filter(|p| p.exists()).unwrap_or(Path::new("."))
    };
    match rustix::fs::statvfs(place) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let text = format!("{} MiB are free", free >> 20);
            if free < LITTLE_SPACE {
                findings.warn(
                    "disk",
                    text,
                    "free some: a full disk stops the server from taking messages",
                );
            } else {
                findings.good("disk", text);
            }
        }
        Err(error) => findings.bad("disk", error.to_string(), "check the mount"),
    }
    if rustix::fs::statfs(place).is_ok_and(|stat| TMPFS.contains(&stat.f_type)) {
        findings.warn(
            "durability",
            "this file system lives in memory: nothing survives a power cut",
            "choose a data directory on a disk",
        );
        return;
    }
    match sync_time(place) {
        Ok(time) if time < IMPLAUSIBLE => findings.warn(
            "durability",
            format!(
                "a sync takes {} µs, too little for a disk to have taken it",
                time.as_micros()
            ),
            "look for a write cache that answers for the disk, or a mount option such as nobarrier",
        ),
        Ok(time) => findings.good("durability", format!("a sync takes {} µs", time.as_micros())),
        Err(error) => findings.bad(
            "durability",
            error.to_string(),
            "check the mount and the rights on it",
        ),
    }
}

/// The median time of a write with its sync.
fn sync_time(place: &Path) -> io::Result<Duration> {
    let path = place.join(format!(".muster-doctor-{}", std::process::id()));
    let clock = SystemClock::new();
    let measure = || -> io::Result<Duration> {
        let mut file: File = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&path)?;
        let mut times = Vec::with_capacity(SYNCS);
        for _ in 0..SYNCS {
            let start = clock.mono();
            file.write_all(&[0x5a; 4096])?;
            file.sync_data()?;
            times.push(clock.mono().since(start));
        }
        times.sort_unstable();
        Ok(times.get(SYNCS / 2).copied().unwrap_or_default())
    };
    let measured = measure();
    match fs::remove_file(&path) {
        Err(error) if measured.is_ok() => Err(error),
        _ => measured,
    }
}

fn show(findings: &Findings) -> Outcome {
    let mut bad = 0;
    for finding in &findings.0 {
        let mark = match finding.verdict {
            Verdict::Good => "good",
            Verdict::Warning => "warn",
            Verdict::Bad => {
                bad += 1;
                "BAD "
            }
        };
        print(&format!("{mark}  {:<14}  {}", finding.subject, finding.text))?;
        if let Some(mend) = &finding.mend {
            print(&format!("      mend it:        {mend}"))?;
        }
    }
    match bad {
        0 => Ok(()),
        1 => Err(Failure::new("one thing must be mended")),
        _ => Err(Failure::new(format!("{bad} things must be mended"))),
    }
}
