//! `muster iot`: what `az iot` does, against a server of this kind or, with a connection string, against Azure.
//!
//! Nouns, verbs and flags are those of the vendor's command line. Nothing here knows the server's inside: everything
//! goes through `muster_client`, operators' calls over HTTPS, devices' over what they speak. Documents are printed as
//! the server wrote them.

mod certificate;
mod connect;
mod connection_string;
mod consumer_group;
mod device;
mod device_identity;
mod draft;
mod enrollment;
mod files;
mod linked_hub;
mod monitor;
mod options;
mod output;
mod registration;
mod resource;
mod simulate;
#[cfg(test)]
mod tests;

use std::future::Future;

use clap::error::ErrorKind;
use clap::{Args, Subcommand};
use muster_client::Error;

use crate::cli::{Failure, Outcome};

pub(crate) use connect::Session;
pub(crate) use options::ServerArgs;
pub(crate) use output::Format;

use options::{DpsOwner, HubOwner};

/// Does what `az iot` does.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  muster iot hub device-identity list
  muster iot dps enrollment-group create --enrollment-id factory --certificate-path certs/azure-iot-test-only.intermediate.cert.pem
  muster iot device registration create --registration-id device-01 \\
      --certificate-file certs/device-01-full-chain.cert.pem --key-file private/device-01.key.pem")]
pub(crate) struct IotArgs {
    #[command(subcommand)]
    command: IotCommand,
}

#[derive(Debug, Subcommand)]
enum IotCommand {
    /// Acts as a device: registers, sends telemetry.
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Manages provisioning services, and what is enrolled in them.
    #[command(subcommand)]
    Dps(DpsCommand),
    /// Manages hubs, and the devices in them.
    #[command(subcommand)]
    Hub(HubCommand),
}

impl IotCommand {
    /// Tells whether a connection string stands in for the operator's token.
    const fn has_login(&self) -> bool {
        match self {
            Self::Device(DeviceCommand::SendD2cMessage(args)) => args.has_login(),
            Self::Device(DeviceCommand::Simulate(args)) => args.has_login(),
            Self::Dps(DpsCommand::Enrollment(command)) => command.has_login(),
            Self::Dps(DpsCommand::EnrollmentGroup(command)) => command.has_login(),
            Self::Hub(HubCommand::DeviceIdentity(command)) => command.has_login(),
            Self::Device(DeviceCommand::Registration(_)) | Self::Dps(_) | Self::Hub(_) => false,
        }
    }
}

#[derive(Debug, Subcommand)]
enum DeviceCommand {
    /// Registers devices with a provisioning service.
    #[command(subcommand)]
    Registration(device::RegistrationCommand),
    /// Sends a message to a hub as a device.
    #[command(name = "send-d2c-message", after_help = device::SEND_EXAMPLES)]
    SendD2cMessage(Box<device::SendArgs>),
    /// Sends telemetry as one or many simulated devices.
    #[command(after_help = simulate::EXAMPLES)]
    Simulate(Box<simulate::SimulateArgs>),
}

#[derive(Debug, Subcommand)]
enum DpsCommand {
    /// Manages the CA certificates of a provisioning service.
    #[command(subcommand)]
    Certificate(certificate::CertificateCommand<DpsOwner>),
    /// Shows connection strings.
    #[command(subcommand, name = "connection-string")]
    ConnectionString(connection_string::DpsCommand),
    /// Makes a provisioning service.
    #[command(after_help = "Examples:\n  muster iot dps create --name my-dps --resource-group my-group")]
    Create(resource::DpsCreateArgs),
    /// Deletes a provisioning service with all that it holds.
    #[command(after_help = "Examples:\n  muster iot dps delete --name my-dps")]
    Delete(resource::DpsDeleteArgs),
    /// Manages individual enrollments.
    #[command(subcommand)]
    Enrollment(enrollment::IndividualCommand),
    /// Manages enrollment groups.
    #[command(subcommand, name = "enrollment-group")]
    EnrollmentGroup(enrollment::GroupCommand),
    /// Manages the hubs that a provisioning service assigns devices to.
    #[command(subcommand, name = "linked-hub")]
    LinkedHub(linked_hub::LinkedHubCommand),
    /// Lists provisioning services.
    #[command(after_help = "Examples:\n  muster iot dps list\n  muster iot dps list --output table")]
    List(resource::ListArgs),
    /// Shows a provisioning service.
    #[command(after_help = "Examples:\n  muster iot dps show --name my-dps")]
    Show(resource::DpsShowArgs),
}

#[derive(Debug, Subcommand)]
enum HubCommand {
    /// Manages the CA certificates of a hub.
    #[command(subcommand)]
    Certificate(certificate::CertificateCommand<HubOwner>),
    /// Shows connection strings.
    #[command(subcommand, name = "connection-string")]
    ConnectionString(connection_string::HubCommand),
    /// Manages the consumer groups of a hub.
    #[command(subcommand, name = "consumer-group")]
    ConsumerGroup(consumer_group::ConsumerGroupCommand),
    /// Makes a hub.
    #[command(
        after_help = "Examples:\n  muster iot hub create --name my-hub\n  muster iot hub create --name my-hub --resource-group my-group --partition-count 8"
    )]
    Create(resource::HubCreateArgs),
    /// Deletes a hub with all that it holds.
    #[command(after_help = "Examples:\n  muster iot hub delete --name my-hub")]
    Delete(resource::HubDeleteArgs),
    /// Manages device identities.
    #[command(subcommand, name = "device-identity")]
    DeviceIdentity(device_identity::DeviceIdentityCommand),
    /// Lists hubs.
    #[command(after_help = "Examples:\n  muster iot hub list\n  muster iot hub list --output table")]
    List(resource::ListArgs),
    /// Prints messages of devices as they come.
    #[command(name = "monitor-events", after_help = monitor::EXAMPLES)]
    MonitorEvents(monitor::MonitorArgs),
    /// Shows a hub.
    #[command(after_help = "Examples:\n  muster iot hub show --name my-hub")]
    Show(resource::HubShowArgs),
}

/// Why a command did not do its work.
#[derive(Debug)]
pub(crate) enum Problem {
    /// A call failed or was refused.
    Call(Error),
    /// Anything else.
    Other(String),
    /// The answer could not be printed.
    Output(Failure),
    /// The command was typed in a way that its grammar could not catch.
    Usage(String),
}

impl Problem {
    /// Ends a command with a sentence.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::Other(message.into())
    }

    /// Ends a command that was typed wrongly.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// Turns it into what the command line prints. Where a record explains the refusal, the command that shows it is
    /// added.
    fn into_failure(self, hints: Hints) -> Failure {
        match self {
            Self::Usage(message) => {
                clap::Error::raw(ErrorKind::ValueValidation, format!("{message}\n")).exit()
            }
            Self::Other(message) => Failure::new(message),
            Self::Output(failure) => failure,
            Self::Call(error) => {
                let hint = match &error {
                    Error::Refused {
                        status,
                        tracking_id: Some(id),
                        ..
                    } if hints.fit(*status) => format!("\nwhy: muster explain {id}"),
                    Error::NotAccepted { client, .. } if hints == Hints::Device => {
                        format!("\nwhy: muster explain --device {client}")
                    }
                    _ => String::new(),
                };
                Failure::new(format!("{error}{hint}"))
            }
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::Output(failure)
    }
}

/// Which refusals a record explains.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hints {
    /// Those of a caller's credential.
    Credential,
    /// Those of a device: that it is unknown is one of them too.
    Device,
    /// None: the server is not one of this kind, or it is records that were asked for.
    None,
}

impl Hints {
    const fn fit(self, status: u16) -> bool {
        match self {
            Self::Credential => matches!(status, 401 | 403),
            Self::Device => matches!(status, 401 | 403 | 404),
            Self::None => false,
        }
    }
}

/// How the work of a command ends.
pub(crate) type Done = Result<(), Problem>;

pub(crate) fn run(args: IotArgs) -> Outcome {
    let many = matches!(&args.command, IotCommand::Device(DeviceCommand::Simulate(_)));
    let hints = match &args.command {
        command if command.has_login() => Hints::None,
        IotCommand::Device(_) => Hints::Device,
        IotCommand::Dps(_) | IotCommand::Hub(_) => Hints::Credential,
    };
    drive(many, hints, dispatch(args.command))
}

/// Runs a command's work to its end on a runtime of its own.
pub(crate) fn drive(many: bool, hints: Hints, work: impl Future<Output = Done>) -> Outcome {
    let mut builder = if many {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let runtime = builder.enable_all().build()?;
    runtime
        .block_on(work)
        .map_err(|problem| problem.into_failure(hints))
}

async fn dispatch(command: IotCommand) -> Done {
    match command {
        IotCommand::Device(DeviceCommand::Registration(command)) => device::register(command).await,
        IotCommand::Device(DeviceCommand::SendD2cMessage(args)) => device::send(*args).await,
        IotCommand::Device(DeviceCommand::Simulate(args)) => simulate::run(*args).await,
        IotCommand::Dps(command) => dps(command).await,
        IotCommand::Hub(command) => hub(command).await,
    }
}

async fn dps(command: DpsCommand) -> Done {
    match command {
        DpsCommand::Certificate(command) => certificate::run(command).await,
        DpsCommand::ConnectionString(command) => connection_string::dps(command).await,
        DpsCommand::Create(args) => resource::create_dps(args).await,
        DpsCommand::Delete(args) => resource::delete_dps(args).await,
        DpsCommand::Enrollment(command) => enrollment::individual(command).await,
        DpsCommand::EnrollmentGroup(command) => enrollment::group(command).await,
        DpsCommand::LinkedHub(command) => linked_hub::run(command).await,
        DpsCommand::List(args) => resource::list(muster_client::management::Kind::Dps, args).await,
        DpsCommand::Show(args) => resource::show_dps(args).await,
    }
}

async fn hub(command: HubCommand) -> Done {
    match command {
        HubCommand::Certificate(command) => certificate::run(command).await,
        HubCommand::ConnectionString(command) => connection_string::hub(command).await,
        HubCommand::ConsumerGroup(command) => consumer_group::run(command).await,
        HubCommand::Create(args) => resource::create_hub(args).await,
        HubCommand::Delete(args) => resource::delete_hub(args).await,
        HubCommand::DeviceIdentity(command) => device_identity::run(command).await,
        HubCommand::List(args) => resource::list(muster_client::management::Kind::Hub, args).await,
        HubCommand::MonitorEvents(args) => monitor::run(args).await,
        HubCommand::Show(args) => resource::show_hub(args).await,
    }
}
