//! Consumer groups: independent readers of a hub's events.

use clap::{Args, Subcommand};
use http::Method;

use super::options::{CommonArgs, HubOwner};
use super::output::{self, Column};
use super::{Done, connect};

const COLUMNS: &[Column] = &[("Name", "/name"), ("Created", "/properties/created")];

/// `muster iot hub consumer-group`
#[derive(Debug, Subcommand)]
pub(super) enum ConsumerGroupCommand {
    /// Makes a consumer group.
    #[command(after_help = "Examples:\n  muster iot hub consumer-group create --name analytics")]
    Create(PartArgs),
    /// Deletes a consumer group.
    #[command(after_help = "Examples:\n  muster iot hub consumer-group delete --name analytics")]
    Delete(PartArgs),
    /// Lists consumer groups.
    #[command(after_help = "Examples:\n  muster iot hub consumer-group list --output table")]
    List(ListArgs),
    /// Shows a consumer group.
    #[command(after_help = "Examples:\n  muster iot hub consumer-group show --name analytics")]
    Show(PartArgs),
}

#[derive(Args, Debug)]
pub(super) struct PartArgs {
    /// The consumer group.
    #[arg(long, short = 'n', value_name = "NAME")]
    name: String,
    #[command(flatten)]
    hub: HubOwner,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Args, Debug)]
pub(super) struct ListArgs {
    #[command(flatten)]
    hub: HubOwner,
    #[command(flatten)]
    common: CommonArgs,
}

pub(super) async fn run(command: ConsumerGroupCommand) -> Done {
    let (args, method) = match command {
        ConsumerGroupCommand::Create(args) => (args, Method::PUT),
        ConsumerGroupCommand::Delete(args) => (args, Method::DELETE),
        ConsumerGroupCommand::Show(args) => (args, Method::GET),
        ConsumerGroupCommand::List(args) => {
            let (management, hub) = connect::owner(&args.hub, &args.common).await?;
            let all = management.consumer_groups(&hub).await?;
            return output::print_list(all, args.common.output.output, COLUMNS);
        }
    };
    let (management, hub) = connect::owner(&args.hub, &args.common).await?;
    let value = management.consumer_group(&hub, &args.name, method).await?;
    if value.is_null() {
        return Ok(());
    }
    output::print(&value, args.common.output.output, COLUMNS)
}
