//! The hubs that a provisioning service assigns devices to. A change is the whole provisioning service put back.

use clap::{Args, Subcommand};
use muster_client::management::{Kind, Management, Resource};
use muster_wire::Secret;
use muster_wire::sas::ConnectionString;
use serde_json::{Map, Value};

use super::connection_string::{self, KeyType};
use super::options::{CommonArgs, DpsOwner, parse_bool, parse_secret};
use super::output::{self, Column};
use super::{Done, Problem, connect};

const COLUMNS: &[Column] = &[
    ("Name", "/name"),
    ("Location", "/location"),
    ("ApplyAllocationPolicy", "/applyAllocationPolicy"),
    ("AllocationWeight", "/allocationWeight"),
];

/// `muster iot dps linked-hub`
#[derive(Debug, Subcommand)]
pub(super) enum LinkedHubCommand {
    /// Links a hub.
    #[command(
        after_help = "Examples:\n  muster iot dps linked-hub create --dps-name my-dps --hub-name my-hub\n  muster iot dps linked-hub create --connection-string \"$CONNECTION_STRING\" --location westus"
    )]
    Create(CreateArgs),
    /// Unlinks a hub.
    #[command(after_help = "Examples:\n  muster iot dps linked-hub delete --linked-hub my-hub")]
    Delete(PartArgs),
    /// Lists linked hubs.
    #[command(after_help = "Examples:\n  muster iot dps linked-hub list --output table")]
    List(ListArgs),
    /// Shows a linked hub.
    #[command(after_help = "Examples:\n  muster iot dps linked-hub show --linked-hub my-hub")]
    Show(PartArgs),
    /// Changes how much a linked hub is given.
    #[command(
        after_help = "Examples:\n  muster iot dps linked-hub update --linked-hub my-hub --allocation-weight 2"
    )]
    Update(UpdateArgs),
}

/// How much a linked hub is given.
#[derive(Args, Debug)]
struct ShareArgs {
    /// Whether devices are assigned to it at all.
    #[arg(long, visible_alias = "aap", value_parser = parse_bool, num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    apply_allocation_policy: Option<bool>,
    /// Its share, from 1 to 1000.
    #[arg(long, visible_alias = "aw", value_parser = clap::value_parser!(u32).range(1..=1000), value_name = "WEIGHT")]
    allocation_weight: Option<u32>,
}

impl ShareArgs {
    fn put_into(&self, link: &mut Map<String, Value>) {
        if let Some(apply) = self.apply_allocation_policy {
            link.insert("applyAllocationPolicy".into(), apply.into());
        }
        if let Some(weight) = self.allocation_weight {
            link.insert("allocationWeight".into(), weight.into());
        }
    }
}

#[derive(Args, Debug)]
pub(super) struct CreateArgs {
    /// The hub; it need not be named while there is one.
    #[arg(
        long,
        visible_alias = "hn",
        value_name = "HUB",
        conflicts_with = "connection_string"
    )]
    hub_name: Option<String>,
    /// The hub's resource group; it need not be given.
    #[arg(long, visible_alias = "hrg", value_name = "GROUP")]
    hub_resource_group: Option<String>,
    /// The hub's connection string, in place of its name.
    #[arg(long, visible_alias = "cs", value_parser = parse_secret, value_name = "CONNECTION-STRING")]
    connection_string: Option<Secret>,
    /// Where the hub is said to be.
    #[arg(long, short = 'l', value_name = "LOCATION")]
    location: Option<String>,
    #[command(flatten)]
    share: ShareArgs,
    #[command(flatten)]
    dps: DpsOwner,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Args, Debug)]
pub(super) struct PartArgs {
    /// The linked hub, by its name or its full host name.
    #[arg(long, value_name = "HUB")]
    linked_hub: String,
    #[command(flatten)]
    dps: DpsOwner,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Args, Debug)]
pub(super) struct UpdateArgs {
    #[command(flatten)]
    share: ShareArgs,
    #[command(flatten)]
    part: PartArgs,
}

#[derive(Args, Debug)]
pub(super) struct ListArgs {
    #[command(flatten)]
    dps: DpsOwner,
    #[command(flatten)]
    common: CommonArgs,
}

pub(super) async fn run(command: LinkedHubCommand) -> Done {
    match command {
        LinkedHubCommand::Create(args) => create(args).await,
        LinkedHubCommand::Delete(args) => {
            let (management, mut dps) = connect::owner(&args.dps, &args.common).await?;
            let links = links_of(&mut dps)?;
            let place = place_of(links, &args.linked_hub)?;
            links.remove(place);
            put(&management, &dps).await?;
            Ok(())
        }
        LinkedHubCommand::List(args) => {
            let (_, mut dps) = connect::owner(&args.dps, &args.common).await?;
            let links = std::mem::take(links_of(&mut dps)?);
            output::print_list(links, args.common.output.output, COLUMNS)
        }
        LinkedHubCommand::Show(args) => {
            let (_, mut dps) = connect::owner(&args.dps, &args.common).await?;
            let links = links_of(&mut dps)?;
            let place = place_of(links, &args.linked_hub)?;
            output::print(&links.swap_remove(place), args.common.output.output, COLUMNS)
        }
        LinkedHubCommand::Update(args) => {
            let part = &args.part;
            let (management, mut dps) = connect::owner(&part.dps, &part.common).await?;
            let links = links_of(&mut dps)?;
            let place = place_of(links, &part.linked_hub)?;
            if let Some(Value::Object(link)) = links.get_mut(place) {
                args.share.put_into(link);
            }
            print_links(put(&management, &dps).await?, &part.common)
        }
    }
}

async fn create(args: CreateArgs) -> Done {
    let (management, mut dps) = connect::owner(&args.dps, &args.common).await?;
    let (string, location) = if let Some(string) = &args.connection_string {
        ConnectionString::parse(string.expose())
            .map_err(|e| Problem::usage(format!("--connection-string: {e}")))?;
        (string.expose().to_owned(), args.location.clone())
    } else {
        let group = args.hub_resource_group.as_deref();
        let name = args
            .hub_name
            .as_deref()
            .map(|name| name.split_once('.').map_or(name, |(label, _)| label));
        let hub = management.find(Kind::Hub, name, group).await?;
        let policy = "iothubowner";
        let keys = management.keys(&hub, Some(policy)).await?;
        let key = connection_string::key(&keys, KeyType::Primary)?;
        let string = connection_string::of_policy(&hub, policy, key)?;
        let location = args.location.clone().or_else(|| {
            let location = hub.document.get("location")?.as_str()?;
            Some(location.to_owned())
        });
        (string.expose().to_owned(), location)
    };
    let location = location
        .or_else(|| Some(dps.document.get("location")?.as_str()?.to_owned()))
        .unwrap_or_default();
    let mut link = Map::new();
    link.insert("connectionString".into(), string.into());
    link.insert("location".into(), location.into());
    args.share.put_into(&mut link);
    links_of(&mut dps)?.push(Value::Object(link));
    print_links(put(&management, &dps).await?, &args.common)
}

async fn put(management: &Management, dps: &Resource) -> Result<Value, Problem> {
    Ok(management
        .put(Kind::Dps, &dps.group, &dps.name, &dps.document)
        .await?)
}

fn print_links(mut dps: Value, common: &CommonArgs) -> Done {
    let links = dps
        .pointer_mut("/properties/iotHubs")
        .map(Value::take)
        .unwrap_or_default();
    output::print(&links, common.output.output, COLUMNS)
}

fn links_of(dps: &mut Resource) -> Result<&mut Vec<Value>, Problem> {
    let name = dps.name.clone();
    dps.document
        .pointer_mut("/properties/iotHubs")
        .and_then(Value::as_array_mut)
        .ok_or_else(|| Problem::new(format!("the provisioning service {name} tells no linked hubs")))
}

fn place_of(links: &[Value], hub: &str) -> Result<usize, Problem> {
    let fits = |link: &Value| {
        link.get("name").and_then(Value::as_str).is_some_and(|name| {
            let label = name.split_once('.').map_or(name, |(label, _)| label);
            name.eq_ignore_ascii_case(hub) || label.eq_ignore_ascii_case(hub)
        })
    };
    links
        .iter()
        .position(fits)
        .ok_or_else(|| Problem::new(format!("no hub {hub} is linked")))
}
