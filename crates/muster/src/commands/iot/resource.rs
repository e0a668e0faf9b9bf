//! Hubs and provisioning services themselves.

use clap::Args;
use muster_client::management::{Kind, Resource};
use serde_json::{Map, Value, json};

use super::connect::{self, Session};
use super::options::{CommonArgs, DpsNameArgs, HubNameArgs, OutputArgs, ServerArgs, parse_bool};
use super::output::{self, Column};
use super::{Done, Problem};

/// The group that a resource is made in when none is named.
const DEFAULT_GROUP: &str = "muster";

/// The place that a resource is made at when none is named.
const DEFAULT_LOCATION: &str = "westus";

const HUB_COLUMNS: &[Column] = &[
    ("Name", "/name"),
    ("ResourceGroup", "/resourcegroup"),
    ("Location", "/location"),
    ("State", "/properties/state"),
    ("HostName", "/properties/hostName"),
];

const DPS_COLUMNS: &[Column] = &[
    ("Name", "/name"),
    ("ResourceGroup", "/resourcegroup"),
    ("IdScope", "/properties/idScope"),
    ("AllocationPolicy", "/properties/allocationPolicy"),
    ("HostName", "/properties/serviceOperationsHostName"),
];

const fn columns(kind: Kind) -> &'static [Column] {
    match kind {
        Kind::Dps => DPS_COLUMNS,
        Kind::Hub => HUB_COLUMNS,
    }
}

/// What is common to making either.
#[derive(Args, Debug)]
struct CreateArgs {
    /// Where it is said to be.
    #[arg(long, short = 'l', value_name = "LOCATION")]
    location: Option<String>,
    /// The tier, which bounds nothing here.
    #[arg(long, default_value = "S1", value_name = "SKU")]
    sku: String,
    /// Units of the tier.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=200), value_name = "UNITS")]
    unit: u32,
    /// Tags, each as name=value.
    #[arg(long, num_args = 0.., value_name = "NAME=VALUE")]
    tags: Vec<String>,
    #[command(flatten)]
    common: CommonArgs,
}

impl CreateArgs {
    async fn make(self, kind: Kind, name: &str, properties: Value) -> Done {
        let management = Session::open(&self.common.server)?.management().await?;
        let taken = management.list(kind, None).await?.iter().any(|one| {
            one.get("name")
                .and_then(Value::as_str)
                .is_some_and(|one| one.eq_ignore_ascii_case(name))
        });
        if taken {
            // A second PUT would reset what was configured meanwhile.
            return Err(Problem::new(format!(
                "there is a {} named {name} already",
                kind.noun()
            )));
        }
        let location = self.location.as_deref().unwrap_or(DEFAULT_LOCATION);
        let document = json!({
            "location": location,
            "sku": { "name": self.sku, "capacity": self.unit },
            "tags": tags(&self.tags)?,
            "properties": properties,
        });
        let group = self.common.group.group.as_deref().unwrap_or(DEFAULT_GROUP);
        management.ensure_group(group, location).await?;
        let made = management.put(kind, group, name, &document).await?;
        output::print(&made, self.common.output.output, columns(kind))
    }
}

fn tags(pairs: &[String]) -> Result<Value, Problem> {
    let mut tags = Map::new();
    for pair in pairs.iter().filter(|pair| !pair.is_empty()) {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| Problem::usage(format!("--tags: {pair} is not of the form name=value")))?;
        tags.insert(name.to_owned(), value.into());
    }
    Ok(Value::Object(tags))
}

/// `muster iot hub create`
#[derive(Args, Debug)]
pub(super) struct HubCreateArgs {
    /// The name of the new hub.
    #[arg(long, short = 'n', visible_alias = "hub-name", value_name = "HUB")]
    name: String,
    /// Partitions of the event log, fixed from then on.
    #[arg(long, value_name = "COUNT")]
    partition_count: Option<u16>,
    /// Days that events are kept.
    #[arg(long, visible_alias = "rd", value_name = "DAYS")]
    retention_day: Option<u16>,
    #[command(flatten)]
    create: CreateArgs,
}

pub(super) async fn create_hub(args: HubCreateArgs) -> Done {
    let mut events = Map::new();
    if let Some(count) = args.partition_count {
        events.insert("partitionCount".into(), count.into());
    }
    if let Some(days) = args.retention_day {
        events.insert("retentionTimeInDays".into(), days.into());
    }
    let properties = if events.is_empty() {
        json!({})
    } else {
        json!({ "eventHubEndpoints": { "events": events } })
    };
    args.create.make(Kind::Hub, &args.name, properties).await
}

/// `muster iot dps create`
#[derive(Args, Debug)]
pub(super) struct DpsCreateArgs {
    /// The name of the new provisioning service.
    #[arg(long, short = 'n', visible_alias = "dps-name", value_name = "DPS")]
    name: String,
    /// Whether data stays in its place, which it does anyway.
    #[arg(long, visible_alias = "edr", value_parser = parse_bool, value_name = "true|false")]
    enable_data_residency: Option<bool>,
    #[command(flatten)]
    create: CreateArgs,
}

pub(super) async fn create_dps(args: DpsCreateArgs) -> Done {
    let properties = match args.enable_data_residency {
        Some(stays) => json!({ "enableDataResidency": stays }),
        None => json!({}),
    };
    args.create.make(Kind::Dps, &args.name, properties).await
}

/// `muster iot hub list`, `muster iot dps list`
#[derive(Args, Debug)]
pub(super) struct ListArgs {
    /// Only those of this resource group.
    #[arg(long = "resource-group", short = 'g', value_name = "GROUP")]
    group: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn list(kind: Kind, args: ListArgs) -> Done {
    let management = Session::open(&args.server)?.management().await?;
    let all = management.list(kind, args.group.as_deref()).await?;
    output::print_list(all, args.output.output, columns(kind))
}

/// `muster iot hub show`
#[derive(Args, Debug)]
pub(super) struct HubShowArgs {
    #[command(flatten)]
    hub: HubNameArgs,
    #[command(flatten)]
    common: CommonArgs,
}

pub(super) async fn show_hub(args: HubShowArgs) -> Done {
    show(Kind::Hub, args.hub.name.as_deref(), &args.common).await
}

/// `muster iot dps show`
#[derive(Args, Debug)]
pub(super) struct DpsShowArgs {
    #[command(flatten)]
    dps: DpsNameArgs,
    #[command(flatten)]
    common: CommonArgs,
}

pub(super) async fn show_dps(args: DpsShowArgs) -> Done {
    show(Kind::Dps, args.dps.name.as_deref(), &args.common).await
}

async fn show(kind: Kind, name: Option<&str>, common: &CommonArgs) -> Done {
    let (_, Resource { document, .. }) = connect::resource(kind, name, common).await?;
    output::print(&document, common.output.output, columns(kind))
}

/// `muster iot hub delete`
#[derive(Args, Debug)]
pub(super) struct HubDeleteArgs {
    /// The hub.
    #[arg(long, short = 'n', visible_alias = "hub-name", value_name = "HUB")]
    name: String,
    #[command(flatten)]
    common: CommonArgs,
}

pub(super) async fn delete_hub(args: HubDeleteArgs) -> Done {
    delete(Kind::Hub, &args.name, &args.common).await
}

/// `muster iot dps delete`
#[derive(Args, Debug)]
pub(super) struct DpsDeleteArgs {
    /// The provisioning service.
    #[arg(long, short = 'n', visible_alias = "dps-name", value_name = "DPS")]
    name: String,
    #[command(flatten)]
    common: CommonArgs,
}

pub(super) async fn delete_dps(args: DpsDeleteArgs) -> Done {
    delete(Kind::Dps, &args.name, &args.common).await
}

/// What is deleted has to be named, even while there is one.
async fn delete(kind: Kind, name: &str, common: &CommonArgs) -> Done {
    let (management, resource) = connect::resource(kind, Some(name), common).await?;
    Ok(management.delete(&resource).await?)
}
