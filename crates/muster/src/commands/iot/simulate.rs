//! `muster iot device simulate`: telemetry of one or many devices, each on a connection of its own, from one process.

mod figures;
mod fleet;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use muster_client::device::put_properties;
use muster_client::hub::{Hub, MAX_BULK};
use muster_client::identity::group_key;
use muster_client::management::Kind;
use muster_client::mqtt::LARGEST_WINDOW;
use muster_client::{Credential, Error, Protocol};
use muster_model::message::Message;
use muster_model::{IdScope, RegistrationId};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::figures::Total;
use self::fleet::{Destination, Plan, Provisioning, Seat, play};
use super::connect::{self, Session};
use super::device::{
    CredentialArgs, DevicePlaneArgs, RegistrationPlace, announce_nothing_over_https, device_key,
    only_group_by_key, stored_group_key, stored_key,
};
use super::options::{DpsOwner, OutputArgs, Owner, protocols};
use super::output;
use super::{Done, Problem};
use crate::cli::say;
use crate::server::clock::system_random;

pub(super) const EXAMPLES: &str = "Examples:
  muster iot device simulate --device-id sensor-1 --msg-count 10 --msg-interval 1
  muster iot device simulate --device-id 'sensor-{i}' --devices 50 --create --msg-count 100 --msg-interval 0
  muster iot device simulate --device-id 'sensor-{i}' --devices 10000 --create --rate 2 --ramp 30
  muster iot device simulate --device-id my-x509-device --pfx device.pfx --pass-phrase 1234 --protocol mqtt-ws
  muster iot device simulate --device-id 'device-0{i}' --devices 5 --id-scope 0ne00000012 \\
      --certificate-file 'certs/{id}-full-chain.cert.pem' --key-file 'private/{id}.key.pem'

With --id-scope each device registers first, under its id and over the same protocol, and sends to the hub that it is
assigned. The summary on stdout counts devices and messages, tells rates and how long messages took to be acknowledged,
and counts devices that gave up by the reason. The exit code is 1 when a message was not acknowledged.";

/// Open files that are not connections.
const SPARE_FILES: u64 = 64;

/// Registrations that are under way for each handshake that is: they mostly wait as the server asks.
const REGISTRATIONS: usize = 8;

/// How often the line on the terminal is drawn anew.
const GLANCE: Duration = Duration::from_millis(250);

#[derive(Args, Debug)]
pub(super) struct SimulateArgs {
    /// The device id; with more than one device `{i}` in it stands for 1, 2, 3, …
    #[arg(long, short = 'd', value_name = "ID")]
    device_id: String,
    /// How many devices.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=50_000), value_name = "COUNT")]
    devices: u32,
    /// Makes the devices that are missing, with keys.
    #[arg(long, conflicts_with_all = ["certificate", "symmetric_key", "id_scope"])]
    create: bool,
    /// Messages of each device.
    #[arg(long, visible_alias = "mc", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..), value_name = "COUNT")]
    msg_count: u64,
    /// Seconds between two messages of a device; 0 for as fast as they are acknowledged.
    #[arg(long, visible_alias = "mi", default_value_t = 3.0, value_parser = parse_seconds, value_name = "SECONDS")]
    msg_interval: f64,
    /// Messages that each device sends in a second, in place of --msg-interval.
    #[arg(long, value_parser = parse_rate, conflicts_with = "msg_interval", value_name = "RATE")]
    rate: Option<f64>,
    /// The body of every message; temperature and humidity are made up without it.
    #[arg(long, visible_alias = "da", value_name = "TEXT")]
    data: Option<String>,
    /// Properties beside the body, name=value;name=value.
    #[arg(
        long,
        short = 'p',
        visible_alias = "props",
        default_value = "",
        hide_default_value = true,
        value_name = "PAIRS"
    )]
    properties: String,
    /// What is spoken.
    #[arg(long, visible_alias = "proto", ignore_case = true, value_parser = protocols(), default_value = "mqtt", value_name = "PROTOCOL")]
    protocol: Protocol,
    /// The digital twin model that the devices announce; not over HTTPS.
    #[arg(long, visible_alias = "dtmi", value_name = "DTMI")]
    model_id: Option<String>,
    #[command(flatten)]
    scale: ScaleArgs,
    #[command(flatten)]
    provisioning: ProvisioningArgs,
    #[command(flatten)]
    credential: CredentialArgs,
    /// Says that --symmetric-key is that of a group, from which those of the devices are computed.
    #[arg(
        long,
        visible_alias = "ck",
        requires = "symmetric_key",
        help_heading = "Credential"
    )]
    compute_key: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    plane: DevicePlaneArgs,
}

/// How much at once.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Scale")]
struct ScaleArgs {
    /// Seconds over which the devices come, one after the other.
    #[arg(long, default_value_t = 0.0, value_parser = parse_seconds, value_name = "SECONDS")]
    ramp: f64,
    /// Connections that are being opened at the same time, at most.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "COUNT")]
    connecting: u32,
    /// Messages of a device that wait for their acknowledgement at the same time, at most; over HTTPS it is one.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=i64::from(LARGEST_WINDOW)), value_name = "COUNT")]
    in_flight: u16,
}

/// Where devices register before they connect.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Provisioning")]
struct ProvisioningArgs {
    /// Registers each device in this id scope first; its id is the registration id.
    #[arg(long, visible_alias = "scope", value_name = "SCOPE", conflicts_with = "name")]
    id_scope: Option<String>,
    /// The host that devices register at, for example global.azure-devices-provisioning.muster.localhost.
    #[arg(long, value_name = "HOST", requires = "id_scope")]
    provisioning_host: Option<String>,
    /// The enrollment group whose key those of the devices are computed from; read from the server.
    #[arg(long, visible_aliases = ["gid", "enrollment-group-id"], value_name = "ID", requires = "id_scope", conflicts_with_all = ["certificate", "symmetric_key"])]
    group_id: Option<String>,
    #[command(flatten)]
    dps: DpsOwner,
}

impl SimulateArgs {
    /// Tells whether a connection string stands in for the operator's token.
    pub(super) const fn has_login(&self) -> bool {
        self.plane.login.is_given()
    }

    fn ids(&self) -> Vec<String> {
        if self.devices == 1 {
            return vec![self.device_id.replace("{i}", "1")];
        }
        (1..=self.devices)
            .map(|n| {
                if self.device_id.contains("{i}") {
                    self.device_id.replace("{i}", &n.to_string())
                } else {
                    format!("{}-{n}", self.device_id)
                }
            })
            .collect()
    }

    /// Between two messages of a device.
    fn pause(&self) -> Duration {
        Duration::from_secs_f64(self.rate.map_or(self.msg_interval, f64::recip))
    }
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("must be a number from 0 to 86400".to_owned()),
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.0001..=10_000.0).contains(&rate) => Ok(rate),
        _ => Err("must be a number from 0.0001 to 10000".to_owned()),
    }
}

pub(super) async fn run(args: SimulateArgs) -> Done {
    let mut template = Message::default();
    put_properties(&mut template, &args.properties)
        .map_err(|e| Problem::usage(format!("--properties: {e}")))?;
    announce_nothing_over_https(args.protocol, args.model_id.as_deref())?;
    if args.credential.symmetric_key.is_some() && args.devices > 1 && !args.compute_key {
        return Err(Problem::usage(
            "--symmetric-key is that of one device; with --compute-key it is that of a group, and without it the keys \
             are read from the server",
        ));
    }
    let ids = args.ids();
    let destination = destination(&args).await?;
    let credentials = credentials(&args, &ids, &destination).await?;
    enough_files(u64::from(args.devices))?;
    let clock = connect::clock();
    let connecting = usize::try_from(args.scale.connecting).unwrap_or(1);
    let plan = Arc::new(Plan {
        protocol: args.protocol,
        count: args.msg_count,
        pause: args.pause(),
        window: args.scale.in_flight,
        data: args.data.clone().map(String::into_bytes),
        template,
        model_id: args.model_id.clone(),
        destination,
        begin: clock.mono(),
        clock,
        figures: figures::Figures::default(),
        connecting: Semaphore::new(connecting),
        registering: Semaphore::new(connecting.saturating_mul(REGISTRATIONS)),
    });
    let (stop, tasks) = start(&args, &plan, ids, credentials)?;
    let interrupted = watched(&plan, &args, &stop, tasks).await?;
    let total = Total {
        time: plan.clock.mono().since(plan.begin),
        devices: u64::from(args.devices),
        messages: args.msg_count.saturating_mul(u64::from(args.devices)),
        interrupted,
    };
    output::print(
        &plan.figures.summary(args.protocol.as_str(), &total),
        args.output.output,
        &[
            ("Hub", "/hub"),
            ("Devices", "/devices"),
            ("Connected", "/connected"),
            ("Sent", "/sent"),
            ("Acknowledged", "/acknowledged"),
            ("Failed", "/failed"),
            ("Connects/s", "/connectsPerSecond"),
            ("Messages/s", "/messagesPerSecond"),
            ("P50ms", "/latencyMs/p50"),
            ("P99ms", "/latencyMs/p99"),
            ("Seconds", "/seconds"),
        ],
    )?;
    let lost = plan.figures.lost(&total);
    match plan.figures.take_first_error() {
        Some(error) => {
            say(&format!(
                "{lost} of {} messages were not acknowledged; the first error:",
                total.messages
            ));
            Err(error.into())
        }
        None if lost > 0 => Err(Problem::new(format!(
            "{lost} messages were not acknowledged in time"
        ))),
        None => Ok(()),
    }
}

/// Starts every device as a task of its own.
fn start(
    args: &SimulateArgs,
    plan: &Arc<Plan>,
    ids: Vec<String>,
    credentials: Vec<Credential>,
) -> Result<(watch::Sender<bool>, JoinSet<()>), Problem> {
    let rng = Arc::new(system_random().map_err(|e| Problem::new(format!("the system's randomness: {e}")))?);
    let (stop, stopped) = watch::channel(false);
    let begin = Instant::now();
    let ramp = Duration::from_secs_f64(args.scale.ramp);
    let mut tasks = JoinSet::new();
    for (place, (id, credential)) in (0..args.devices).zip(ids.into_iter().zip(credentials)) {
        let share = |whole: Duration| whole.mul_f64(f64::from(place) / f64::from(args.devices));
        let seat = Seat {
            id,
            credential,
            rng: Arc::clone(&rng),
            start: begin + share(ramp),
            // Devices that come together do not send together.
            phase: share(plan.pause),
            stop: stopped.clone(),
        };
        tasks.spawn(play(Arc::clone(plan), seat));
    }
    Ok((stop, tasks))
}

/// Waits for the devices, tells how far they are, and ends them when the user says so; tells whether he did.
async fn watched(
    plan: &Plan,
    args: &SimulateArgs,
    stop: &watch::Sender<bool>,
    mut tasks: JoinSet<()>,
) -> Result<bool, Problem> {
    let bar = progress(args)?;
    let mut interrupted = false;
    let mut glance = tokio::time::interval(GLANCE);
    loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                Some(ended) => ended.map_err(|e| Problem::new(format!("a device ended: {e}")))?,
                None => break,
            },
            _ = glance.tick() => show(plan, args, &bar),
            signal = tokio::signal::ctrl_c() => {
                signal.map_err(|e| Problem::new(format!("the system's signals: {e}")))?;
                if interrupted {
                    // Said twice, it is meant at once.
                    break;
                }
                interrupted = true;
                stop.send_replace(true);
            }
        }
    }
    bar.finish_and_clear();
    Ok(interrupted)
}

fn progress(args: &SimulateArgs) -> Result<ProgressBar, Problem> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len} messages, {per_sec}, {msg}, {eta} left")
        .map_err(|e| Problem::new(e.to_string()))?;
    let total = args.msg_count.saturating_mul(u64::from(args.devices));
    Ok(ProgressBar::new(total).with_style(style))
}

fn show(plan: &Plan, args: &SimulateArgs, bar: &ProgressBar) {
    if bar.is_hidden() {
        return;
    }
    let (connected, acknowledged, waiting) = plan.figures.now();
    bar.set_position(acknowledged);
    bar.set_message(format!(
        "{connected}/{} connected, {waiting} waiting, p99 {:.1} ms",
        args.devices,
        plan.figures.latency(990)
    ));
}

/// Raises the number of files that this process may open, where that is needed and allowed.
fn enough_files(devices: u64) -> Done {
    let wanted = devices + SPARE_FILES;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let raised = Rlimit {
        current: limit
            .maximum
            .map_or(Some(wanted), |maximum| Some(maximum.min(wanted))),
        maximum: limit.maximum,
    };
    let allowed = setrlimit(Resource::Nofile, raised).is_ok();
    if !allowed || limit.maximum.is_some_and(|maximum| maximum < wanted) {
        return Err(Problem::new(format!(
            "{devices} devices need {wanted} open files, and this process may open {}: raise the limit (ulimit -Hn)",
            limit.maximum.unwrap_or_default()
        )));
    }
    Ok(())
}

async fn destination(args: &SimulateArgs) -> Result<Destination, Problem> {
    let Some(scope) = &args.provisioning.id_scope else {
        let (server, host) = args.plane.place().await?;
        return Ok(Destination::Hub(server, host));
    };
    let scope = IdScope::parse(scope).map_err(|e| Problem::usage(format!("--id-scope: {e}")))?;
    let host = args.provisioning.provisioning_host.as_deref();
    let (server, host) = connect::provisioning_place(host, &args.plane.server)?;
    Ok(Destination::Assigned(Box::new(Provisioning {
        place: RegistrationPlace {
            server: args.plane.mqtt.on(server),
            host,
            scope,
            service: None,
        },
        flags: args.plane.server.clone(),
        mqtt: args.plane.mqtt,
        servers: Mutex::new(BTreeMap::new()),
    })))
}

/// What each device proves itself by: what was given, else a key that the operator may read.
async fn credentials(
    args: &SimulateArgs,
    ids: &[String],
    destination: &Destination,
) -> Result<Vec<Credential>, Problem> {
    let own = |key| Credential::Key { policy: None, key };
    if args.credential.has_certificate() {
        let read = |id: &String| {
            args.credential
                .certificate(id)?
                .map(Credential::Certificate)
                .ok_or_else(|| Problem::new("no certificate is there"))
        };
        return match ids.first() {
            // One for all: opening a container takes longer than a device does to connect.
            Some(first) if args.credential.is_shared() => Ok(vec![read(first)?; ids.len()]),
            _ => ids.iter().map(read).collect(),
        };
    }
    let computed = |group: &str| -> Result<Vec<Credential>, Problem> {
        ids.iter().map(|id| Ok(own(group_key(group, id)?))).collect()
    };
    if let Some(key) = &args.credential.symmetric_key {
        if args.compute_key {
            return computed(key.expose());
        }
        return Ok(args.credential.key()?.map(own).into_iter().collect());
    }
    if let Destination::Assigned(_) = destination {
        let session = Session::open(&args.plane.server)?;
        let group = args.plane.group.group.as_deref();
        let host = session
            .host_of(Kind::Dps, args.provisioning.dps.name(), group)
            .await?;
        let dps = session.provisioning(&host)?;
        let group = args.provisioning.group_id.as_deref();
        if let ([id], None) = (ids, group) {
            let id = RegistrationId::parse(id).map_err(|e| Problem::usage(format!("--device-id: {e}")))?;
            return Ok(vec![own(stored_key(&dps, &id, None).await?)]);
        }
        let group = match group {
            Some(group) => group.to_owned(),
            None => only_group_by_key(&dps, &args.device_id).await?,
        };
        return computed(stored_group_key(&dps, &group).await?.expose());
    }
    let hub = args.plane.service().await?;
    if args.create {
        create_missing(&hub, ids).await?;
    }
    let mut credentials = Vec::with_capacity(ids.len());
    for id in ids {
        credentials.push(own(device_key(&hub, id).await?));
    }
    Ok(credentials)
}

async fn create_missing(hub: &Hub, ids: &[String]) -> Done {
    let mut missing = Vec::new();
    for id in ids {
        match hub.device(id).await {
            Ok(_) => {}
            Err(Error::Refused { status: 404, .. }) => missing.push(json!({
                "id": id,
                "importMode": "create",
                "status": "enabled",
                "authentication": { "type": "sas", "symmetricKey": {} },
            })),
            Err(error) => return Err(error.into()),
        }
    }
    if missing.len() > MAX_BULK {
        // It takes a while, and the line that moves is not there yet.
        say(&format!("{} devices are being made", missing.len()));
    }
    for some in missing.chunks(MAX_BULK) {
        let outcome = hub.bulk(some).await?;
        if outcome.get("isSuccessful").and_then(Value::as_bool) != Some(true) {
            let first = outcome.pointer("/errors/0").cloned().unwrap_or_default();
            return Err(Problem::new(format!("a device could not be made: {first}")));
        }
    }
    match missing.len() {
        0 => {}
        1 => say("one device was made"),
        made => say(&format!("{made} devices were made")),
    }
    Ok(())
}
