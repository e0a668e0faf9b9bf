//! `muster iot hub monitor-events`: prints messages of devices as they come.
//!
//! The vendor's command reads them over AMQP; here they come as lines of JSON from a call that only Muster has.

use std::time::Duration;

use clap::{Args, ValueEnum};
use muster_client::management::Kind;
use muster_client::own::EventsQuery;
use muster_model::Wall;
use serde_json::{Map, Value, json};

use super::connect::Session;
use super::options::{CommonArgs, HubNameArgs, parse_bool};
use super::{Done, Format, Problem};
use crate::cli::{print, say};

pub(super) const EXAMPLES: &str = "Examples:
  muster iot hub monitor-events
  muster iot hub monitor-events --device-id device-01 --properties all
  muster iot hub monitor-events --enqueued-time 0 --timeout 5";

/// What is shown beside the body.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Shown {
    /// What the sender said.
    App,
    /// What the hub says about the message.
    Anno,
    /// What the protocol's own fields said.
    Sys,
    /// All of it.
    All,
}

#[derive(Args, Debug)]
pub(super) struct MonitorArgs {
    /// Only messages of this device; an asterisk at the end stands for anything.
    #[arg(long, short = 'd', value_name = "ID")]
    device_id: Option<String>,
    /// The consumer group.
    #[arg(long, visible_alias = "cg", default_value = "$Default", value_name = "NAME")]
    consumer_group: String,
    /// Begins with the messages taken after this moment, in milliseconds since 1970; from now on without it.
    #[arg(long, visible_alias = "et", value_name = "MILLISECONDS")]
    enqueued_time: Option<i64>,
    /// Ends when no message came for so many seconds; 0 for never.
    #[arg(
        long,
        short = 't',
        visible_alias = "to",
        default_value_t = 300,
        value_name = "SECONDS"
    )]
    timeout: u64,
    /// Ends after so many messages.
    #[arg(long, visible_alias = "mc", value_parser = clap::value_parser!(u64).range(1..), value_name = "COUNT")]
    message_count: Option<u64>,
    /// What is shown beside the body.
    #[arg(long, short = 'p', visible_alias = "props", value_enum, ignore_case = true, num_args = 1.., value_delimiter = ',', value_name = "WHAT")]
    properties: Vec<Shown>,
    /// Asks nothing, as this command never does.
    #[arg(long, short = 'y', hide = true, value_parser = parse_bool, num_args = 0..=1, default_missing_value = "true")]
    yes: Option<bool>,
    #[command(flatten)]
    hub: HubNameArgs,
    #[command(flatten)]
    common: CommonArgs,
}

impl MonitorArgs {
    fn shows(&self, what: Shown) -> bool {
        self.properties.contains(&Shown::All) || self.properties.contains(&what)
    }

    fn is_wanted(&self, device: &str) -> bool {
        match self.device_id.as_deref() {
            None => true,
            Some(pattern) => match pattern.strip_suffix('*') {
                Some(beginning) => device.starts_with(beginning),
                None => device == pattern,
            },
        }
    }
}

pub(super) async fn run(args: MonitorArgs) -> Done {
    let session = Session::open(&args.common.server)?;
    let group = args.common.group.group.as_deref();
    let label = args
        .hub
        .name
        .as_deref()
        .map(|name| name.split_once('.').map_or(name, |(label, _)| label));
    let hub = session.management().await?.find(Kind::Hub, label, group).await?;
    let from = args
        .enqueued_time
        .map(|millis| muster_wire::time::iso(Wall::from_millis(millis)));
    let query = EventsQuery {
        consumer_group: Some(&args.consumer_group),
        partition: None,
        from: Some(from.as_deref().unwrap_or("latest")),
        follow: true,
    };
    let mut lines = session.own()?.events(&hub.name, &query).await?;
    say(&format!("messages of the hub {}; Ctrl-C ends this", hub.name));
    let mut seen = 0_u64;
    loop {
        let next = lines.next();
        let line = if args.timeout == 0 {
            next.await?
        } else {
            // What comes piece by piece is held by the reader, so nothing is lost when the wait ends first.
            match tokio::time::timeout(Duration::from_secs(args.timeout), next).await {
                Ok(line) => line?,
                Err(_) => return Ok(()),
            }
        };
        let Some(line) = line else {
            return Err(Problem::new("the server ended the stream"));
        };
        let device = line
            .pointer("/annotations/iothub-connection-device-id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !args.is_wanted(device) {
            continue;
        }
        show(&args, device, &line)?;
        seen += 1;
        if args.message_count.is_some_and(|count| seen >= count) {
            return Ok(());
        }
    }
}

/// What is said of a sender beside its id, and the annotations that say it, the newer name last. Source: the event that
/// the vendor's tool prints, read 2026-11.
const SENDERS: [(&str, &[&str]); 3] = [
    ("module", &["iothub-connection-module-id"]),
    ("interface", &["iothub-interface-name", "dt-dataschema"]),
    ("component", &["dt-subject"]),
];

/// The protocol's own fields under the names that the vendor's tool gives them: `content_type` for `content-type`.
fn system(fields: &Value) -> Value {
    let fields = fields.as_object().into_iter().flatten();
    fields
        .map(|(name, value)| (name.replace('-', "_"), value.clone()))
        .collect()
}

fn show(args: &MonitorArgs, device: &str, line: &Value) -> Done {
    let member = |name: &str| line.get(name).cloned().unwrap_or(Value::Null);
    let text = match args.common.output.output {
        Format::None => return Ok(()),
        Format::Table | Format::Tsv => {
            let time = line
                .get("enqueuedTime")
                .and_then(Value::as_str)
                .unwrap_or_default();
            format!("{time}\t{device}\t{}", member("body"))
        }
        Format::Json | Format::Jsonc => {
            let mut event = Map::new();
            event.insert("origin".into(), device.into());
            for (name, annotations) in SENDERS {
                let told = annotations.iter().find_map(|name| {
                    line.pointer(&format!("/annotations/{name}"))
                        .and_then(Value::as_str)
                });
                event.insert(name.into(), told.unwrap_or_default().into());
            }
            event.insert("payload".into(), member("body"));
            if let Some(encoding) = line.get("bodyEncoding") {
                event.insert("payloadEncoding".into(), encoding.clone());
            }
            if args.shows(Shown::Anno) {
                event.insert("annotations".into(), member("annotations"));
            }
            let mut properties = Map::new();
            if args.shows(Shown::Sys) {
                properties.insert("system".into(), system(&member("properties")));
            }
            if args.shows(Shown::App) {
                properties.insert("application".into(), member("applicationProperties"));
            }
            if !properties.is_empty() {
                event.insert("properties".into(), properties.into());
            }
            serde_json::to_string_pretty(&json!({ "event": event }))
                .map_err(|e| Problem::new(e.to_string()))?
        }
    };
    Ok(print(&text)?)
}
