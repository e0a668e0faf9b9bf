//! What became of the registrations of enrolled devices.

use clap::{Args, Subcommand};

use super::options::DpsPlaneArgs;
use super::output::{self, Column};
use super::{Done, connect};

const COLUMNS: &[Column] = &[
    ("RegistrationId", "/registrationId"),
    ("DeviceId", "/deviceId"),
    ("Status", "/status"),
    ("AssignedHub", "/assignedHub"),
    ("LastUpdated", "/lastUpdatedDateTimeUtc"),
];

/// `muster iot dps enrollment registration`
#[derive(Debug, Subcommand)]
pub(super) enum RegistrationCommand {
    /// Forgets a registration; the enrollment stays.
    #[command(
        after_help = "Examples:\n  muster iot dps enrollment registration delete --enrollment-id my-x509-device"
    )]
    Delete(DeleteArgs),
    /// Shows a registration.
    #[command(
        after_help = "Examples:\n  muster iot dps enrollment registration show --enrollment-id my-x509-device"
    )]
    Show(IdArgs),
}

/// `muster iot dps enrollment-group registration`
#[derive(Debug, Subcommand)]
pub(super) enum GroupRegistrationCommand {
    /// Forgets a registration; the group stays.
    #[command(
        after_help = "Examples:\n  muster iot dps enrollment-group registration delete --registration-id device-01"
    )]
    Delete(DeleteArgs),
    /// Lists the registrations of a group's devices.
    #[command(
        after_help = "Examples:\n  muster iot dps enrollment-group registration list --enrollment-id factory --output table"
    )]
    List(ListArgs),
    /// Shows a registration.
    #[command(
        after_help = "Examples:\n  muster iot dps enrollment-group registration show --registration-id device-01"
    )]
    Show(IdArgs),
}

#[derive(Args, Debug)]
pub(super) struct IdArgs {
    /// The device's registration id.
    #[arg(long, visible_aliases = ["rid", "enrollment-id", "eid"], value_name = "ID")]
    registration_id: String,
    #[command(flatten)]
    plane: DpsPlaneArgs,
}

#[derive(Args, Debug)]
pub(super) struct DeleteArgs {
    /// The version that is deleted; any otherwise.
    #[arg(long, short = 'e', default_value = "*", value_name = "ETAG")]
    etag: String,
    #[command(flatten)]
    id: IdArgs,
}

#[derive(Args, Debug)]
pub(super) struct ListArgs {
    /// The group.
    #[arg(long, visible_alias = "eid", value_name = "ID")]
    enrollment_id: String,
    /// How many; -1 for all.
    #[arg(long, default_value_t = -1, value_parser = clap::value_parser!(i64).range(-1..), allow_negative_numbers = true, value_name = "COUNT")]
    top: i64,
    #[command(flatten)]
    plane: DpsPlaneArgs,
}

impl RegistrationCommand {
    pub(super) const fn plane(&self) -> &DpsPlaneArgs {
        match self {
            Self::Delete(args) => &args.id.plane,
            Self::Show(args) => &args.plane,
        }
    }
}

impl GroupRegistrationCommand {
    pub(super) const fn plane(&self) -> &DpsPlaneArgs {
        match self {
            Self::Delete(args) => &args.id.plane,
            Self::List(args) => &args.plane,
            Self::Show(args) => &args.plane,
        }
    }
}

pub(super) async fn run(command: RegistrationCommand) -> Done {
    match command {
        RegistrationCommand::Delete(args) => delete(args).await,
        RegistrationCommand::Show(args) => show(args).await,
    }
}

pub(super) async fn run_group(command: GroupRegistrationCommand) -> Done {
    match command {
        GroupRegistrationCommand::Delete(args) => delete(args).await,
        GroupRegistrationCommand::List(args) => {
            let dps = connect::provisioning(&args.plane).await?;
            let most = usize::try_from(args.top).unwrap_or(usize::MAX);
            let all = dps.registrations(&args.enrollment_id, most).await?;
            output::print_list(all, args.plane.common.output.output, COLUMNS)
        }
        GroupRegistrationCommand::Show(args) => show(args).await,
    }
}

async fn show(args: IdArgs) -> Done {
    let dps = connect::provisioning(&args.plane).await?;
    let value = dps.registration(&args.registration_id).await?;
    output::print(&value, args.plane.common.output.output, COLUMNS)
}

async fn delete(args: DeleteArgs) -> Done {
    let dps = connect::provisioning(&args.id.plane).await?;
    Ok(dps
        .delete_registration(&args.id.registration_id, &args.etag)
        .await?)
}
