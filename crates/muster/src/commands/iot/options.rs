//! Flags that many commands share.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use muster_client::management::Kind;
use muster_client::{Protocol, Server};
use muster_wire::Secret;
use muster_wire::sas::ConnectionString;

use super::output::Format;

/// Where the server is.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServerArgs {
    /// The data directory of the local server.
    #[arg(
        long = "data-dir",
        visible_alias = "data",
        env = "MUSTER_DATA",
        default_value = "./muster-data",
        value_name = "DIR",
        help_heading = "Server"
    )]
    data_dir: PathBuf,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Where the server is, for commands whose `--data` is a message.
#[derive(Args, Clone, Debug)]
pub(super) struct ServerBesideDataArgs {
    /// The data directory of the local server.
    #[arg(
        long = "data-dir",
        env = "MUSTER_DATA",
        default_value = "./muster-data",
        value_name = "DIR",
        help_heading = "Server"
    )]
    data_dir: PathBuf,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Where a server is that has no data directory here.
#[derive(Args, Clone, Debug)]
pub(crate) struct PlaceArgs {
    /// The server's address, in place of that in the data directory.
    #[arg(long, value_name = "https://HOST:PORT", help_heading = "Server")]
    pub(crate) endpoint: Option<String>,
    /// The file of the certificates that are trusted, in place of that in the data directory.
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub(super) ca: Option<PathBuf>,
    /// The file of the operator's token, in place of that in the data directory.
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub(super) token_file: Option<PathBuf>,
}

/// Flags that say where the server is.
pub(crate) trait Place {
    /// The data directory.
    fn data_dir(&self) -> &Path;
    /// The rest.
    fn place(&self) -> &PlaceArgs;
}

impl Place for ServerArgs {
    fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    fn place(&self) -> &PlaceArgs {
        &self.place
    }
}

impl Place for ServerBesideDataArgs {
    fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    fn place(&self) -> &PlaceArgs {
        &self.place
    }
}

/// How the answer is printed.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct OutputArgs {
    /// How the answer is printed.
    #[arg(long, short, value_enum, ignore_case = true, default_value_t = Format::Json, value_name = "FORMAT")]
    pub(crate) output: Format,
}

/// The resource group.
#[derive(Args, Clone, Debug)]
pub(super) struct GroupArgs {
    /// The resource group; it need not be given.
    #[arg(long = "resource-group", short = 'g', value_name = "GROUP")]
    pub(super) group: Option<String>,
}

/// What every management command takes.
#[derive(Args, Clone, Debug)]
pub(super) struct CommonArgs {
    #[command(flatten)]
    pub(super) group: GroupArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    #[command(flatten)]
    pub(super) server: ServerArgs,
}

/// The hub or provisioning service that a part belongs to, where `--name` names the part.
pub(super) trait Owner: Args + std::fmt::Debug {
    /// What it is.
    const KIND: Kind;
    /// The word for it in commands.
    const WORD: &'static str;
    /// Its name, if one was given.
    fn name(&self) -> Option<&str>;
}

/// A hub, where `--name` names something else.
#[derive(Args, Clone, Debug)]
pub(super) struct HubOwner {
    /// The hub; it need not be named while there is one.
    #[arg(long, value_name = "HUB")]
    hub_name: Option<String>,
}

impl Owner for HubOwner {
    const KIND: Kind = Kind::Hub;
    const WORD: &'static str = "hub";

    fn name(&self) -> Option<&str> {
        self.hub_name.as_deref()
    }
}

/// A provisioning service, where `--name` names something else.
#[derive(Args, Clone, Debug)]
pub(super) struct DpsOwner {
    /// The provisioning service; it need not be named while there is one.
    #[arg(long, value_name = "DPS")]
    dps_name: Option<String>,
}

impl Owner for DpsOwner {
    const KIND: Kind = Kind::Dps;
    const WORD: &'static str = "dps";

    fn name(&self) -> Option<&str> {
        self.dps_name.as_deref()
    }
}

/// A hub that is itself spoken of.
#[derive(Args, Clone, Debug)]
pub(super) struct HubNameArgs {
    /// The hub, by its name or its full host name; it need not be named while there is one.
    #[arg(long = "hub-name", short = 'n', visible_alias = "name", value_name = "HUB")]
    pub(super) name: Option<String>,
}

/// A provisioning service that is itself spoken of.
#[derive(Args, Clone, Debug)]
pub(super) struct DpsNameArgs {
    /// The provisioning service, by its name or its full host name; it need not be named while there is one.
    #[arg(long = "dps-name", short = 'n', visible_alias = "name", value_name = "DPS")]
    pub(super) name: Option<String>,
}

/// A connection string in place of the operator's token.
#[derive(Args, Clone, Debug)]
pub(super) struct LoginArgs {
    /// A connection string of the hub or provisioning service; its key signs the calls, in place of the operator's token.
    #[arg(long, short = 'l', value_name = "CONNECTION-STRING", value_parser = parse_login)]
    pub(super) login: Option<ConnectionString>,
}

impl LoginArgs {
    /// Tells whether a connection string was given.
    pub(super) const fn is_given(&self) -> bool {
        self.login.is_some()
    }
}

/// What every command to a hub's service interface takes.
#[derive(Args, Clone, Debug)]
pub(super) struct HubPlaneArgs {
    #[command(flatten)]
    pub(super) hub: HubNameArgs,
    #[command(flatten)]
    pub(super) login: LoginArgs,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

/// What every command to a provisioning service's service interface takes.
#[derive(Args, Clone, Debug)]
pub(super) struct DpsPlaneArgs {
    #[command(flatten)]
    pub(super) dps: DpsNameArgs,
    #[command(flatten)]
    pub(super) login: LoginArgs,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

/// At which port MQTT is taken.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct MqttArgs {
    /// The port of MQTT, in place of that in the data directory, or of 8883.
    #[arg(long, value_name = "PORT", help_heading = "Server")]
    pub(super) mqtt_port: Option<u16>,
}

impl MqttArgs {
    /// The server, where MQTT is taken at that port.
    pub(super) fn on(self, server: Server) -> Server {
        match self.mqtt_port {
            Some(port) => server.with_mqtt_port(port),
            None => server,
        }
    }
}

/// What a device speaks, as flags name it. Those of AMQP are known, and refused by name.
pub(super) fn protocols() -> impl TypedValueParser<Value = Protocol> {
    let spoken = [Protocol::Http, Protocol::Mqtt, Protocol::MqttWs]
        .into_iter()
        .map(|protocol| PossibleValue::new(protocol.as_str()));
    let known = ["amqp", "amqp-ws"]
        .into_iter()
        .map(|name| PossibleValue::new(name).hide(true));
    PossibleValuesParser::new(spoken.chain(known)).try_map(|name| match name.to_ascii_lowercase().as_str() {
        "http" => Ok(Protocol::Http),
        "mqtt" => Ok(Protocol::Mqtt),
        "mqtt-ws" => Ok(Protocol::MqttWs),
        _ => Err("devices of this command do not speak AMQP yet; choose http, mqtt or mqtt-ws"),
    })
}

/// Reads a truth value as the vendor's command line takes it.
pub(super) fn parse_bool(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" | "t" | "y" => Ok(true),
        "false" | "no" | "off" | "0" | "f" | "n" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// Takes a secret, which is not shown from then on.
#[expect(clippy::unnecessary_wraps, reason = "the form that the parser of flags takes")]
pub(super) fn parse_secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text.to_owned()))
}

/// Reads a connection string that holds a key of a shared access policy.
fn parse_login(text: &str) -> Result<ConnectionString, String> {
    let parsed = ConnectionString::parse(text).map_err(|e| e.to_string())?;
    if parsed.host_name.is_none() {
        return Err("HostName is missing".to_owned());
    }
    if parsed.key.is_none() {
        return Err("SharedAccessKey is missing".to_owned());
    }
    if parsed.policy.is_none() {
        return Err("SharedAccessKeyName is missing: a device's own string does not open this".to_owned());
    }
    Ok(parsed)
}

/// The help text of a command under `muster iot hub` or `muster iot dps`.
pub(super) fn examples<O: Owner>(lines: &[&str]) -> String {
    let mut text = "Examples:".to_owned();
    for line in lines {
        text.push_str("\n  muster iot ");
        text.push_str(O::WORD);
        text.push(' ');
        text.push_str(line);
    }
    text
}
