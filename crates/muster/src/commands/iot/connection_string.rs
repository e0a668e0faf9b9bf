//! Connection strings, put together from a policy's key and the names that management tells.

use clap::{Args, Subcommand, ValueEnum};
use muster_client::management::{Kind, Management, Resource, items};
use muster_wire::Secret;
use muster_wire::sas::ConnectionString;
use serde_json::{Value, json};

use super::options::{CommonArgs, DpsNameArgs, HubNameArgs};
use super::output::{self, Column};
use super::{Done, Problem, connect};

const COLUMNS: &[Column] = &[("ConnectionString", "/connectionString")];

/// `muster iot hub connection-string`
#[derive(Debug, Subcommand)]
pub(super) enum HubCommand {
    /// Shows the connection string of a hub.
    #[command(
        after_help = "Examples:\n  muster iot hub connection-string show --hub-name my-hub\n  muster iot hub connection-string show --default-eventhub --output tsv"
    )]
    Show(HubShowArgs),
}

/// `muster iot dps connection-string`
#[derive(Debug, Subcommand)]
pub(super) enum DpsCommand {
    /// Shows the connection string of a provisioning service.
    #[command(after_help = "Examples:\n  muster iot dps connection-string show --dps-name my-dps")]
    Show(DpsShowArgs),
}

/// Which key of a policy.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(super) enum KeyType {
    /// The first.
    #[default]
    Primary,
    /// The second.
    Secondary,
}

impl KeyType {
    /// The member that holds it.
    pub(super) const fn member(self) -> &'static str {
        match self {
            Self::Primary => "primaryKey",
            Self::Secondary => "secondaryKey",
        }
    }
}

/// Which policies.
#[derive(Args, Debug)]
struct PolicyArgs {
    /// The shared access policy.
    #[arg(long, visible_alias = "pn", value_name = "POLICY")]
    policy_name: Option<String>,
    /// Which of its keys.
    #[arg(long, visible_aliases = ["kt", "key"], value_enum, ignore_case = true, default_value_t, value_name = "primary|secondary")]
    key_type: KeyType,
    /// Every policy.
    #[arg(long, conflicts_with = "policy_name")]
    all: bool,
}

#[derive(Args, Debug)]
pub(super) struct HubShowArgs {
    #[command(flatten)]
    policy: PolicyArgs,
    /// The string for readers of events instead.
    #[arg(long, visible_alias = "eh")]
    default_eventhub: bool,
    #[command(flatten)]
    hub: HubNameArgs,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Args, Debug)]
pub(super) struct DpsShowArgs {
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    dps: DpsNameArgs,
    #[command(flatten)]
    common: CommonArgs,
}

pub(super) async fn hub(command: HubCommand) -> Done {
    let HubCommand::Show(args) = command;
    let (management, hub) = connect::resource(Kind::Hub, args.hub.name.as_deref(), &args.common).await?;
    let events = args.default_eventhub;
    show(
        &management,
        &hub,
        &args.policy,
        "iothubowner",
        &args.common,
        |policy, key| {
            if events {
                event_hub(&hub, policy, key)
            } else {
                of_policy(&hub, policy, key)
            }
        },
    )
    .await
}

pub(super) async fn dps(command: DpsCommand) -> Done {
    let DpsCommand::Show(args) = command;
    let (management, dps) = connect::resource(Kind::Dps, args.dps.name.as_deref(), &args.common).await?;
    let usual = "provisioningserviceowner";
    show(
        &management,
        &dps,
        &args.policy,
        usual,
        &args.common,
        |policy, key| of_policy(&dps, policy, key),
    )
    .await
}

async fn show(
    management: &Management,
    resource: &Resource,
    args: &PolicyArgs,
    usual: &str,
    common: &CommonArgs,
    string: impl Fn(&str, Secret) -> Result<Secret, Problem>,
) -> Done {
    let write = |policy: &Value| -> Result<Secret, Problem> {
        let name = policy
            .get("keyName")
            .and_then(Value::as_str)
            .ok_or_else(|| Problem::new("the server named no policy"))?;
        string(name, key(policy, args.key_type)?)
    };
    let value = if args.all {
        let answer = management.keys(resource, None).await?;
        let strings = items(&answer)
            .iter()
            .map(|policy| write(policy).map(|string| Value::from(string.expose())))
            .collect::<Result<Vec<_>, _>>()?;
        json!({ "connectionString": strings })
    } else {
        let policy = args.policy_name.as_deref().unwrap_or(usual);
        let answer = management.keys(resource, Some(policy)).await?;
        json!({ "connectionString": write(&answer)?.expose() })
    };
    output::print(&value, common.output.output, COLUMNS)
}

/// A key of a policy as management shows it.
pub(super) fn key(policy: &Value, which: KeyType) -> Result<Secret, Problem> {
    policy
        .get(which.member())
        .and_then(Value::as_str)
        .map(|key| Secret::new(key.to_owned()))
        .ok_or_else(|| Problem::new(format!("the server showed no {}", which.member())))
}

/// The connection string of a policy.
pub(super) fn of_policy(resource: &Resource, policy: &str, key: Secret) -> Result<Secret, Problem> {
    Ok(ConnectionString::of_policy(resource.host()?, policy, key).build())
}

fn event_hub(hub: &Resource, policy: &str, key: Secret) -> Result<Secret, Problem> {
    let property = |name: &str| {
        hub.document
            .pointer(&format!("/properties/eventHubEndpoints/events/{name}"))
            .and_then(Value::as_str)
            .ok_or_else(|| Problem::new(format!("the hub {} tells no {name} of its events", hub.name)))
    };
    let (endpoint, entity) = (property("endpoint")?, property("path")?);
    Ok(ConnectionString::of_event_hub(endpoint, entity, policy, key).build())
}
