//! `muster iot device simulate`: telemetry of one or many devices, each on a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use muster_client::device::{Device, put_properties};
use muster_client::hub::{Hub, MAX_BULK};
use muster_client::{Credential, Error};
use muster_model::Random;
use muster_model::message::Message;
use rand::RngExt;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::device::{CredentialArgs, DevicePlaneArgs, device_key, open};
use super::options::OutputArgs;
use super::output;
use super::{Done, Problem, connect};
use crate::cli::say;
use crate::server::clock::system_random;

pub(super) const EXAMPLES: &str = "Examples:
  muster iot device simulate --device-id sensor-1 --msg-count 10 --msg-interval 1
  muster iot device simulate --device-id 'sensor-{i}' --devices 50 --create --msg-count 100 --msg-interval 0
  muster iot device simulate --device-id 'device-0{i}' --devices 5 \\
      --certificate-file 'certs/{id}-full-chain.cert.pem' --key-file 'private/{id}.key.pem'";

/// Over this temperature a message carries an alert. Source: the X.509 tutorial's device program, read 2026-11.
const ALERT: i32 = 30;

#[derive(Args, Debug)]
pub(super) struct SimulateArgs {
    /// The device id; with more than one device `{i}` in it stands for 1, 2, 3, …
    #[arg(long, short = 'd', value_name = "ID")]
    device_id: String,
    /// How many devices.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "COUNT")]
    devices: u32,
    /// Makes the devices that are missing, with keys.
    #[arg(long, conflicts_with = "certificate_file")]
    create: bool,
    /// Messages of each device.
    #[arg(long, visible_alias = "mc", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..), value_name = "COUNT")]
    msg_count: u64,
    /// Seconds between two messages of a device.
    #[arg(long, visible_alias = "mi", default_value_t = 3.0, value_parser = parse_seconds, value_name = "SECONDS")]
    msg_interval: f64,
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
    /// What is spoken; this release simulates over HTTPS.
    #[arg(long, visible_alias = "proto", ignore_case = true, value_parser = ["http"], default_value = "http", value_name = "PROTOCOL")]
    protocol: String,
    #[command(flatten)]
    credential: CredentialArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    plane: DevicePlaneArgs,
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
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("must be a number from 0 to 86400".to_owned()),
    }
}

/// What every simulated device sends.
struct Script {
    count: u64,
    pause: Duration,
    data: Option<Vec<u8>>,
    template: Message,
    bar: ProgressBar,
}

/// What one device did.
#[derive(Default)]
struct Tally {
    sent: u64,
    failed: u64,
    first_error: Option<Error>,
}

pub(super) async fn run(args: SimulateArgs) -> Done {
    let mut template = Message::default();
    put_properties(&mut template, &args.properties)
        .map_err(|e| Problem::usage(format!("--properties: {e}")))?;
    if args.credential.symmetric_key.is_some() && args.devices > 1 {
        return Err(Problem::usage(
            "--symmetric-key is that of one device; the keys of several are read from the hub",
        ));
    }
    let ids = args.ids();
    let (server, host) = args.plane.place().await?;
    let credentials = credentials(&args, &ids).await?;
    let total = args.msg_count.saturating_mul(u64::from(args.devices));
    let script = Arc::new(Script {
        count: args.msg_count,
        pause: Duration::from_secs_f64(args.msg_interval),
        data: args.data.clone().map(String::into_bytes),
        template,
        bar: progress(total)?,
    });
    let clock = connect::clock();
    let begin = clock.mono();
    let mut tasks = JoinSet::new();
    for (id, credential) in ids.into_iter().zip(credentials) {
        let device = open(&server, &host, &id, credential)?;
        let script = Arc::clone(&script);
        let rng = system_random().map_err(|e| Problem::new(format!("the system's randomness: {e}")))?;
        tasks.spawn(play(device, id, script, rng));
    }
    let mut all = Tally::default();
    while let Some(ended) = tasks.join_next().await {
        let one = ended.map_err(|e| Problem::new(format!("a device ended: {e}")))?;
        all.sent += one.sent;
        all.failed += one.failed;
        all.first_error = all.first_error.or(one.first_error);
    }
    script.bar.finish_and_clear();
    let seconds = clock.mono().since(begin).as_secs_f64();
    let summary = json!({
        "hub": host,
        "devices": args.devices,
        "sent": all.sent,
        "failed": all.failed,
        "seconds": (seconds * 1000.0).round() / 1000.0,
    });
    output::print(
        &summary,
        args.output.output,
        &[
            ("Hub", "/hub"),
            ("Devices", "/devices"),
            ("Sent", "/sent"),
            ("Failed", "/failed"),
            ("Seconds", "/seconds"),
        ],
    )?;
    match all.first_error {
        Some(error) => {
            say(&format!(
                "{} of {total} messages were not sent; the first error:",
                total - all.sent
            ));
            Err(error.into())
        }
        None => Ok(()),
    }
}

fn progress(total: u64) -> Result<ProgressBar, Problem> {
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} messages, {per_sec}, {eta} left")
        .map_err(|e| Problem::new(e.to_string()))?;
    Ok(ProgressBar::new(total).with_style(style))
}

async fn credentials(args: &SimulateArgs, ids: &[String]) -> Result<Vec<Credential>, Problem> {
    if args.credential.certificate_file.is_some() {
        return ids
            .iter()
            .map(|id| {
                args.credential
                    .certificate(id)?
                    .map(Credential::Certificate)
                    .ok_or_else(|| Problem::new("no certificate is there"))
            })
            .collect();
    }
    let own = |key| Credential::Key { policy: None, key };
    if let Some(key) = args.credential.key()? {
        return Ok(vec![own(key)]);
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

async fn play(device: Device, id: String, script: Arc<Script>, rng: Random) -> Tally {
    let mut tally = Tally::default();
    for number in 0..script.count {
        if number > 0 {
            tokio::time::sleep(script.pause).await;
        }
        let message = script.message(&id, number, &rng);
        match device.send(&message).await {
            Ok(()) => tally.sent += 1,
            Err(error) => {
                tally.failed += 1;
                // A hub that refuses the device refuses its next message too.
                let hopeless = matches!(
                    &error,
                    Error::Refused {
                        status: 400..=404,
                        ..
                    }
                );
                tally.first_error.get_or_insert(error);
                if hopeless {
                    break;
                }
            }
        }
        script.bar.inc(1);
    }
    tally
}

impl Script {
    fn message(&self, id: &str, number: u64, rng: &Random) -> Message {
        let mut message = self.template.clone();
        if let Some(data) = &self.data {
            message.body.clone_from(data);
            return message;
        }
        let (temperature, humidity) =
            rng.draw(|rng| (rng.random_range(20..35_i32), rng.random_range(60..80_i32)));
        let body = json!({
            "deviceId": id,
            "messageId": number,
            "temperature": temperature,
            "humidity": humidity,
        });
        message.body = body.to_string().into_bytes();
        let alert = (temperature > ALERT).to_string();
        message.application.push(("temperatureAlert".to_owned(), alert));
        let system = &mut message.system;
        system
            .content_type
            .get_or_insert_with(|| "application/json".to_owned());
        system.content_encoding.get_or_insert_with(|| "utf-8".to_owned());
        message
    }
}
