//! Device identities of a hub.

use clap::{Args, Subcommand, ValueEnum};
use muster_client::hub::{Hub, MAX_LISTED};
use muster_wire::Secret;
use muster_wire::sas::ConnectionString;
use serde_json::{Map, Value, json};

use super::connection_string::{self, KeyType};
use super::options::{HubPlaneArgs, parse_bool, parse_secret};
use super::output::{self, Column};
use super::{Done, Problem, connect};
use crate::cli::say;

const COLUMNS: &[Column] = &[
    ("DeviceId", "/deviceId"),
    ("Status", "/status"),
    ("Authentication", "/authentication/type"),
    ("IotEdge", "/capabilities/iotEdge"),
    ("LastActivityTime", "/lastActivityTime"),
];

/// `muster iot hub device-identity`
#[derive(Debug, Subcommand)]
pub(super) enum DeviceIdentityCommand {
    /// Shows the connection string of a device.
    #[command(subcommand, name = "connection-string")]
    ConnectionString(ConnectionStringCommand),
    /// Makes a device identity.
    #[command(
        after_help = "Examples:\n  muster iot hub device-identity create --device-id device-01\n  muster iot hub device-identity create --device-id device-01 --auth-method x509_ca\n  muster iot hub device-identity create -d device-01 --am x509_thumbprint --ptp $THUMBPRINT"
    )]
    Create(Box<CreateArgs>),
    /// Deletes a device identity.
    #[command(after_help = "Examples:\n  muster iot hub device-identity delete --device-id device-01")]
    Delete(DeleteArgs),
    /// Lists device identities.
    #[command(
        after_help = "Examples:\n  muster iot hub device-identity list --output table\n  muster iot hub device-identity list --top 10"
    )]
    List(ListArgs),
    /// Shows a device identity.
    #[command(after_help = "Examples:\n  muster iot hub device-identity show --device-id device-01")]
    Show(ShowArgs),
    /// Changes a device identity.
    #[command(
        after_help = "Examples:\n  muster iot hub device-identity update --device-id device-01 --status disabled\n  muster iot hub device-identity update -d device-01 --am x509_ca"
    )]
    Update(Box<UpdateArgs>),
}

/// `muster iot hub device-identity connection-string`
#[derive(Debug, Subcommand)]
pub(super) enum ConnectionStringCommand {
    /// Shows the connection string of a device.
    #[command(
        after_help = "Examples:\n  muster iot hub device-identity connection-string show --device-id device-01"
    )]
    Show(ConnectionStringArgs),
}

/// How a device proves itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum AuthMethod {
    /// By a key of its own.
    #[value(name = "shared_private_key", aliases = ["shared-private-key", "key"])]
    SharedPrivateKey,
    /// By a certificate that leads to a CA certificate of the hub.
    #[value(name = "x509_ca", alias = "x509-ca")]
    X509Ca,
    /// By one certificate, known by its thumbprint.
    #[value(name = "x509_thumbprint", alias = "x509-thumbprint")]
    X509Thumbprint,
}

impl AuthMethod {
    const fn kind(self) -> &'static str {
        match self {
            Self::SharedPrivateKey => "sas",
            Self::X509Ca => "certificateAuthority",
            Self::X509Thumbprint => "selfSigned",
        }
    }
}

/// What may be said of a device.
#[derive(Args, Debug)]
struct AttributeArgs {
    /// How the device proves itself.
    #[arg(
        long,
        visible_alias = "am",
        value_enum,
        ignore_case = true,
        value_name = "METHOD"
    )]
    auth_method: Option<AuthMethod>,
    /// The thumbprint of its certificate, SHA-1 or SHA-256 in hex.
    #[arg(long, visible_alias = "ptp", value_name = "HEX")]
    primary_thumbprint: Option<String>,
    /// That of the next one, so that certificates can be rolled.
    #[arg(long, visible_alias = "stp", value_name = "HEX")]
    secondary_thumbprint: Option<String>,
    /// Its key, in base64; one is made otherwise.
    #[arg(long, visible_alias = "pk", value_parser = parse_secret, value_name = "BASE64")]
    primary_key: Option<Secret>,
    /// The next key, in base64; one is made otherwise.
    #[arg(long, visible_alias = "sk", value_parser = parse_secret, value_name = "BASE64")]
    secondary_key: Option<Secret>,
    /// Whether it may connect.
    #[arg(long, visible_alias = "sta", ignore_case = true, value_parser = ["enabled", "disabled"], value_name = "STATUS")]
    status: Option<String>,
    /// Why.
    #[arg(long, visible_alias = "star", value_name = "TEXT")]
    status_reason: Option<String>,
    /// Whether it is an Edge device.
    #[arg(long, visible_alias = "ee", value_parser = parse_bool, num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    edge_enabled: Option<bool>,
}

/// Which device.
#[derive(Args, Debug)]
struct DeviceArgs {
    /// The device id.
    #[arg(long, short = 'd', value_name = "ID")]
    device_id: String,
    #[command(flatten)]
    plane: HubPlaneArgs,
}

#[derive(Args, Debug)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    attributes: AttributeArgs,
}

#[derive(Args, Debug)]
pub(super) struct UpdateArgs {
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    attributes: AttributeArgs,
    /// The version that is changed; any otherwise.
    #[arg(long, short = 'e', default_value = "*", value_name = "ETAG")]
    etag: String,
}

#[derive(Args, Debug)]
pub(super) struct DeleteArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// The version that is deleted; any otherwise.
    #[arg(long, short = 'e', default_value = "*", value_name = "ETAG")]
    etag: String,
}

#[derive(Args, Debug)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Args, Debug)]
pub(super) struct ListArgs {
    /// How many; -1 for all.
    #[arg(long, default_value_t = -1, value_parser = clap::value_parser!(i64).range(-1..), allow_negative_numbers = true, value_name = "COUNT")]
    top: i64,
    /// Only those that are Edge devices, or that are not.
    #[arg(long, visible_alias = "ee", value_parser = parse_bool, num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    edge_enabled: Option<bool>,
    #[command(flatten)]
    plane: HubPlaneArgs,
}

#[derive(Args, Debug)]
pub(super) struct ConnectionStringArgs {
    /// Which of its keys.
    #[arg(
        long,
        visible_alias = "kt",
        value_enum,
        ignore_case = true,
        default_value_t,
        value_name = "primary|secondary"
    )]
    key_type: KeyType,
    #[command(flatten)]
    device: DeviceArgs,
}

impl DeviceIdentityCommand {
    /// Tells whether a connection string stands in for the operator's token.
    pub(super) const fn has_login(&self) -> bool {
        let plane = match self {
            Self::ConnectionString(ConnectionStringCommand::Show(args)) => &args.device.plane,
            Self::Create(args) => &args.device.plane,
            Self::Delete(args) => &args.device.plane,
            Self::List(args) => &args.plane,
            Self::Show(args) => &args.device.plane,
            Self::Update(args) => &args.device.plane,
        };
        plane.login.is_given()
    }
}

pub(super) async fn run(command: DeviceIdentityCommand) -> Done {
    match command {
        DeviceIdentityCommand::ConnectionString(ConnectionStringCommand::Show(args)) => {
            connection_string(args).await
        }
        DeviceIdentityCommand::Create(args) => create(*args).await,
        DeviceIdentityCommand::Delete(args) => {
            let hub = connect::hub(&args.device.plane).await?;
            Ok(hub.delete_device(&args.device.device_id, &args.etag).await?)
        }
        DeviceIdentityCommand::List(args) => list(args).await,
        DeviceIdentityCommand::Show(args) => {
            let hub = connect::hub(&args.device.plane).await?;
            print(&hub.device(&args.device.device_id).await?, &args.device.plane)
        }
        DeviceIdentityCommand::Update(args) => {
            let hub = connect::hub(&args.device.plane).await?;
            let mut document = hub.device(&args.device.device_id).await?;
            args.attributes.put_into(&mut document)?;
            let value = hub
                .put_device(&args.device.device_id, &document, Some(&args.etag))
                .await?;
            print(&value, &args.device.plane)
        }
    }
}

fn print(value: &Value, plane: &HubPlaneArgs) -> Done {
    output::print(value, plane.common.output.output, COLUMNS)
}

async fn create(args: CreateArgs) -> Done {
    let id = &args.device.device_id;
    let document = args.attributes.document(id)?;
    let hub = connect::hub(&args.device.plane).await?;
    print(&hub.put_device(id, &document, None).await?, &args.device.plane)
}

async fn list(args: ListArgs) -> Done {
    let hub = connect::hub(&args.plane).await?;
    let most = usize::try_from(args.top).unwrap_or(usize::MAX);
    let whole = !args.plane.login.is_given();
    let mut all = hub.devices(most, whole).await?;
    if !whole && all.len() == MAX_LISTED && most > MAX_LISTED {
        say(&format!(
            "only the first {MAX_LISTED} devices are shown: a hub tells no more over this call"
        ));
    }
    if let Some(edge) = args.edge_enabled {
        all.retain(|device| {
            device
                .pointer("/capabilities/iotEdge")
                .and_then(Value::as_bool)
                .unwrap_or(false)
                == edge
        });
    }
    output::print_list(all, args.plane.common.output.output, COLUMNS)
}

async fn connection_string(args: ConnectionStringArgs) -> Done {
    let hub = connect::hub(&args.device.plane).await?;
    let document = hub.device(&args.device.device_id).await?;
    let string = of_device(&hub, &document, args.key_type)?;
    output::print(
        &json!({ "connectionString": string.build().expose() }),
        args.device.plane.common.output.output,
        &[("ConnectionString", "/connectionString")],
    )
}

/// The connection string of a device, from its identity.
pub(super) fn of_device(hub: &Hub, document: &Value, which: KeyType) -> Result<ConnectionString, Problem> {
    let id = document
        .get("deviceId")
        .and_then(Value::as_str)
        .ok_or_else(|| Problem::new("the identity has no deviceId"))?;
    let kind = document.pointer("/authentication/type").and_then(Value::as_str);
    let mut string = ConnectionString {
        host_name: Some(hub.host().to_owned()),
        device_id: Some(id.to_owned()),
        ..ConnectionString::default()
    };
    match kind {
        Some("sas") => {
            let keys = document
                .pointer("/authentication/symmetricKey")
                .ok_or_else(|| Problem::new(format!("the device {id} shows no keys")))?;
            string.key = Some(connection_string::key(keys, which)?);
        }
        Some("selfSigned" | "certificateAuthority") => string.x509 = true,
        _ => return Err(Problem::new(format!("the device {id} may not connect by itself"))),
    }
    Ok(string)
}

/// A member of an identity, and what was said of it.
type Given<'a> = (&'static str, Option<&'a str>);

impl AttributeArgs {
    /// The identity of a new device.
    fn document(&self, id: &str) -> Result<Value, Problem> {
        let mut document = json!({
            "deviceId": id,
            "status": "enabled",
            "authentication": { "type": "sas", "symmetricKey": {} },
            "capabilities": { "iotEdge": false },
        });
        if self.auth_method.is_none() && self.primary_thumbprint.is_some() {
            return Err(Problem::usage(
                "--primary-thumbprint goes with --auth-method x509_thumbprint",
            ));
        }
        self.put_into(&mut document)?;
        Ok(document)
    }

    /// Puts what was said into an identity.
    fn put_into(&self, document: &mut Value) -> Result<(), Problem> {
        let Some(fields) = document.as_object_mut() else {
            return Err(Problem::new("the identity is not an object"));
        };
        // What the version was is said by the header.
        fields.remove("etag");
        if let Some(status) = &self.status {
            fields.insert("status".into(), status.to_ascii_lowercase().into());
        }
        if let Some(reason) = &self.status_reason {
            fields.insert("statusReason".into(), reason.as_str().into());
        }
        if let Some(edge) = self.edge_enabled {
            fields.insert("capabilities".into(), json!({ "iotEdge": edge }));
        }
        let stored = fields
            .get("authentication")
            .cloned()
            .unwrap_or_else(|| json!({ "type": "sas" }));
        if let Some(authentication) = self.authentication(&stored)? {
            fields.insert("authentication".into(), authentication);
        }
        Ok(())
    }

    /// How the device proves itself from now on; `None` where nothing was said about that.
    fn authentication(&self, stored: &Value) -> Result<Option<Value>, Problem> {
        let kind_of = |value: &Value| value.get("type").and_then(Value::as_str).map(str::to_owned);
        let before = kind_of(stored);
        let kind = self
            .auth_method
            .map(|method| method.kind().to_owned())
            .or_else(|| before.clone())
            .unwrap_or_default();
        let keys = [
            ("primaryKey", self.primary_key.as_ref().map(Secret::expose)),
            ("secondaryKey", self.secondary_key.as_ref().map(Secret::expose)),
        ];
        let prints = [
            ("primaryThumbprint", self.primary_thumbprint.as_deref()),
            ("secondaryThumbprint", self.secondary_thumbprint.as_deref()),
        ];
        let any = |parts: &[Given<'_>; 2]| parts.iter().any(|(_, part)| part.is_some());
        if any(&keys) && kind != "sas" {
            return Err(Problem::usage("a key goes with --auth-method shared_private_key"));
        }
        if any(&prints) && kind != "selfSigned" {
            return Err(Problem::usage(
                "a thumbprint goes with --auth-method x509_thumbprint",
            ));
        }
        let kept = before.as_deref() == Some(kind.as_str());
        if kept && !any(&keys) && !any(&prints) {
            return Ok(None);
        }
        let part = |member: &str, parts: &[Given<'_>; 2]| -> Value {
            let mut part = match stored.get(member) {
                Some(Value::Object(part)) if kept => part.clone(),
                _ => Map::new(),
            };
            for (name, given) in parts {
                if let Some(given) = given {
                    part.insert((*name).to_owned(), (*given).into());
                }
            }
            Value::Object(part)
        };
        Ok(Some(match kind.as_str() {
            "sas" => json!({ "type": kind, "symmetricKey": part("symmetricKey", &keys) }),
            "selfSigned" => {
                let prints = part("x509Thumbprint", &prints);
                if prints.as_object().is_none_or(Map::is_empty) {
                    return Err(Problem::usage(
                        "--primary-thumbprint is missing; `muster cert self-signed` makes a certificate and prints its thumbprint",
                    ));
                }
                json!({ "type": kind, "x509Thumbprint": prints })
            }
            _ => json!({ "type": kind }),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> AttributeArgs {
        AttributeArgs {
            auth_method: None,
            primary_thumbprint: None,
            secondary_thumbprint: None,
            primary_key: None,
            secondary_key: None,
            status: None,
            status_reason: None,
            edge_enabled: None,
        }
    }

    #[test]
    fn a_new_device_gets_keys_unless_something_else_is_said() {
        let document = nothing().document("d").unwrap();
        assert_eq!(
            document.get("authentication"),
            Some(&json!({"type": "sas", "symmetricKey": {}}))
        );
        let x509 = AttributeArgs {
            auth_method: Some(AuthMethod::X509Ca),
            ..nothing()
        };
        assert_eq!(
            x509.document("d").unwrap().get("authentication"),
            Some(&json!({"type": "certificateAuthority"}))
        );
    }

    #[test]
    fn one_thumbprint_is_changed_and_the_other_kept() {
        let mut document = json!({
            "deviceId": "d",
            "etag": "MA==",
            "authentication": {
                "type": "selfSigned",
                "x509Thumbprint": {"primaryThumbprint": "AA", "secondaryThumbprint": "BB"}
            }
        });
        let update = AttributeArgs {
            primary_thumbprint: Some("CC".into()),
            ..nothing()
        };
        update.put_into(&mut document).unwrap();
        assert_eq!(
            document,
            json!({
                "deviceId": "d",
                "authentication": {
                    "type": "selfSigned",
                    "x509Thumbprint": {"primaryThumbprint": "CC", "secondaryThumbprint": "BB"}
                }
            })
        );
    }

    #[test]
    fn a_thumbprint_of_a_device_with_keys_is_a_mistake() {
        let update = AttributeArgs {
            primary_thumbprint: Some("CC".into()),
            ..nothing()
        };
        let mut document = json!({"deviceId": "d", "authentication": {"type": "sas"}});
        assert!(matches!(update.put_into(&mut document), Err(Problem::Usage(_))));
    }
}
