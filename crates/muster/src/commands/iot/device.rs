//! The device's end: registering, and sending a message.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use muster_client::device::{Device, Registered, Registrar, put_properties};
use muster_client::dps::{Kind as EnrollmentKind, Provisioning};
use muster_client::identity::{group_key, symmetric_key};
use muster_client::management::Kind;
use muster_client::{ClientIdentity, Credential, Error, Protocol, Server, mqtt};
use muster_model::message::Message;
use muster_model::{IdScope, RegistrationId, SymmetricKey};
use muster_wire::Secret;
use serde_json::Value;

use super::connect::{self, Session};
use super::options::{
    CommonArgs, DpsNameArgs, GroupArgs, HubNameArgs, LoginArgs, MqttArgs, ServerBesideDataArgs, parse_bool,
    parse_secret, protocols,
};
use super::output;
use super::{Done, Problem, files};
use crate::cli::say;

pub(super) const SEND_EXAMPLES: &str = "Examples:
  muster iot device send-d2c-message --device-id device-01 --data '{\"temperature\": 30}' --props 'temperatureAlert=false'
  muster iot device send-d2c-message --device-id my-x509-device --certificate-file device-cert.pem --key-file device-key.pem --pass 1234
  muster iot device send-d2c-message --device-id my-x509-device --pfx device.pfx --pass-phrase 1234 --protocol mqtt";

/// What a message holds when nothing is said.
const PING: &str = "Ping from Muster";

/// `muster iot device registration`
#[derive(Debug, Subcommand)]
pub(super) enum RegistrationCommand {
    /// Registers a device, and waits until it has a hub.
    #[command(
        after_help = "Examples:\n  muster iot device registration create --registration-id my-x509-device --certificate-file device-cert.pem --key-file device-key.pem --pass 1234\n  muster iot device registration create --registration-id sensor-1 --group-id by-key --protocol mqtt\n  muster iot device registration create --registration-id sensor-1 --symmetric-key $GROUP_KEY --compute-key --id-scope 0ne00000012"
    )]
    Create(Box<RegisterArgs>),
}

/// What a device proves itself by.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Credential")]
pub(super) struct CredentialArgs {
    /// The certificate and those above it, in PEM; or a PFX container.
    #[arg(
        long,
        visible_aliases = ["certificate-file-path", "cp"],
        value_name = "FILE",
        group = "certificate",
        conflicts_with = "symmetric_key"
    )]
    pub(super) certificate_file: Option<PathBuf>,
    /// Its private key in PEM, where it is not in the same file.
    #[arg(long, visible_aliases = ["key-file-path", "kp"], value_name = "FILE", requires = "certificate_file")]
    pub(super) key_file: Option<PathBuf>,
    /// The certificate, those above it and the private key, in a PFX container.
    #[arg(
        long,
        value_name = "FILE",
        group = "certificate",
        conflicts_with = "symmetric_key"
    )]
    pub(super) pfx: Option<PathBuf>,
    /// The pass phrase of the key or the container.
    #[arg(
        long,
        visible_aliases = ["passphrase", "pass-phrase"],
        value_parser = parse_secret, value_name = "TEXT",
        requires = "certificate"
    )]
    pub(super) pass: Option<Secret>,
    /// The key, in base64.
    #[arg(long, visible_alias = "key", value_parser = parse_secret, value_name = "BASE64")]
    pub(super) symmetric_key: Option<Secret>,
}

impl CredentialArgs {
    /// Tells whether a certificate was given, in whatever form.
    pub(super) const fn has_certificate(&self) -> bool {
        self.certificate_file.is_some() || self.pfx.is_some()
    }

    /// Whether every device shows the same certificate: no file's name depends on the id.
    pub(super) fn is_shared(&self) -> bool {
        let files = [&self.pfx, &self.certificate_file, &self.key_file];
        files.into_iter().flatten().all(|file| filled(file, "") == *file)
    }

    /// The certificate that was given; `{id}` in a file's name stands for `id`.
    pub(super) fn certificate(&self, id: &str) -> Result<Option<ClientIdentity>, Problem> {
        let Some(file) = self.pfx.as_ref().or(self.certificate_file.as_ref()) else {
            return Ok(None);
        };
        let file = filled(file, id);
        let bytes = files::read(&file)?;
        let container = self.pfx.is_some()
            || file
                .extension()
                .is_some_and(|one| one.eq_ignore_ascii_case("pfx") || one.eq_ignore_ascii_case("p12"));
        let identity = if container {
            ClientIdentity::from_pfx(&bytes, self.pass.as_ref().map_or("", Secret::expose))
        } else {
            let key = match &self.key_file {
                Some(key) => zeroize::Zeroizing::new(files::read(&filled(key, id))?),
                None => zeroize::Zeroizing::new(bytes.clone()),
            };
            ClientIdentity::from_pem(&bytes, &key, self.pass.as_ref().map(Secret::expose))
        };
        identity
            .map(Some)
            .map_err(|e| Problem::new(format!("{}: {e}", file.display())))
    }

    /// The key that was given.
    pub(super) fn key(&self) -> Result<Option<SymmetricKey>, Problem> {
        Ok(self
            .symmetric_key
            .as_ref()
            .map(|key| symmetric_key(key.expose()))
            .transpose()?)
    }
}

fn filled(file: &Path, id: &str) -> PathBuf {
    match file.to_str() {
        Some(text) => PathBuf::from(text.replace("{id}", id)),
        None => file.to_owned(),
    }
}

#[derive(Args, Debug)]
pub(super) struct RegisterArgs {
    /// The device's registration id.
    #[arg(long, visible_alias = "rid", value_name = "ID")]
    registration_id: String,
    /// The enrollment group whose key the device's own is computed from; read from the server.
    #[arg(long, visible_aliases = ["gid", "enrollment-group-id"], value_name = "ID", conflicts_with = "certificate")]
    group_id: Option<String>,
    /// Says that --symmetric-key is that of the group, from which the device's own is computed.
    #[arg(long, visible_alias = "ck", value_parser = parse_bool, num_args = 0..=1, default_missing_value = "true", default_value_t = false, value_name = "true|false", requires = "symmetric_key")]
    compute_key: bool,
    /// The id scope; that of the provisioning service otherwise.
    #[arg(long, visible_alias = "scope", value_name = "SCOPE")]
    id_scope: Option<String>,
    /// The host that devices register at, for example global.azure-devices-provisioning.muster.localhost.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// What the allocation is to see of the device: JSON, or a file that holds it.
    #[arg(long, value_name = "JSON|FILE")]
    payload: Option<String>,
    /// What the device speaks.
    #[arg(long, visible_alias = "proto", ignore_case = true, value_parser = protocols(), default_value = "http", value_name = "PROTOCOL")]
    protocol: Protocol,
    #[command(flatten)]
    mqtt: MqttArgs,
    #[command(flatten)]
    credential: CredentialArgs,
    #[command(flatten)]
    dps: DpsNameArgs,
    #[command(flatten)]
    common: CommonArgs,
}

pub(super) async fn register(command: RegistrationCommand) -> Done {
    let RegistrationCommand::Create(args) = command;
    let id = RegistrationId::parse(&args.registration_id)
        .map_err(|e| Problem::usage(format!("--registration-id: {e}")))?;
    let payload = args
        .payload
        .as_deref()
        .map(|text| files::json("--payload", text))
        .transpose()?;
    let place = provisioning_place(&args).await?;
    let credential = registration_credential(&args, &id, &place).await?;
    let outcome = place
        .register(args.protocol, credential, &id, payload.as_ref())
        .await
        .map_err(|error| match error {
            Error::NotAccepted { .. } => {
                Problem::new(format!("{error}\nwhy: muster explain --registration {id}"))
            }
            other => other.into(),
        })?;
    output::print(
        &outcome.document,
        args.common.output.output,
        &[
            ("Status", "/status"),
            ("DeviceId", "/registrationState/deviceId"),
            ("AssignedHub", "/registrationState/assignedHub"),
            ("ErrorMessage", "/registrationState/errorMessage"),
        ],
    )?;
    if outcome.is_assigned() {
        Ok(())
    } else {
        Err(Problem::new(format!(
            "the device was not assigned: {}\nwhy: muster explain --registration {id}",
            outcome.status.status
        )))
    }
}

/// Where a device registers.
pub(super) struct RegistrationPlace {
    pub(super) server: Server,
    pub(super) host: String,
    pub(super) scope: IdScope,
    /// The service interface's name, where management told it.
    pub(super) service: Option<String>,
}

impl RegistrationPlace {
    /// Registers a device, and waits for the outcome.
    pub(super) async fn register(
        &self,
        protocol: Protocol,
        credential: Credential,
        id: &RegistrationId,
        payload: Option<&Value>,
    ) -> Result<Registered, Error> {
        if protocol == Protocol::Http {
            let resource = muster_wire::registration::sas_resource(&self.scope, id);
            let channel = self
                .server
                .channel(&self.host, resource, credential, connect::clock())?;
            return Registrar::new(channel, self.scope.clone())
                .register(id, payload)
                .await;
        }
        let scope = mqtt::Scope {
            server: &self.server,
            protocol,
            host: &self.host,
            id_scope: &self.scope,
            credential: &credential,
        };
        mqtt::register(scope, id, payload, &*connect::clock()).await
    }
}

async fn provisioning_place(args: &RegisterArgs) -> Result<RegistrationPlace, Problem> {
    let parse = |scope: &str| IdScope::parse(scope).map_err(|e| Problem::usage(format!("the id scope: {e}")));
    if let Some(scope) = &args.id_scope {
        let (server, host) = connect::provisioning_place(args.host.as_deref(), &args.common.server)?;
        return Ok(RegistrationPlace {
            server: args.mqtt.on(server),
            host,
            scope: parse(scope)?,
            service: None,
        });
    }
    let session = Session::open(&args.common.server)?;
    let group = args.common.group.group.as_deref();
    let label = args
        .dps
        .name
        .as_deref()
        .map(|name| name.split_once('.').map_or(name, |(label, _)| label));
    let dps = session.management().await?.find(Kind::Dps, label, group).await?;
    let property = |name: &str| {
        dps.property(name)
            .map(str::to_owned)
            .ok_or_else(|| Problem::new(format!("the provisioning service {} tells no {name}", dps.name)))
    };
    let (server, host) = match &args.host {
        Some(host) => connect::provisioning_place(Some(host), &args.common.server)?,
        None => (session.server().clone(), property("deviceProvisioningHostName")?),
    };
    Ok(RegistrationPlace {
        server: args.mqtt.on(server),
        host,
        scope: parse(&property("idScope")?)?,
        service: Some(dps.host()?.to_owned()),
    })
}

/// What the device proves itself by: what was given, else the key that the operator may read.
async fn registration_credential(
    args: &RegisterArgs,
    id: &RegistrationId,
    place: &RegistrationPlace,
) -> Result<Credential, Problem> {
    if let Some(identity) = args.credential.certificate(id.as_str())? {
        return Ok(Credential::Certificate(identity));
    }
    let key = match &args.credential.symmetric_key {
        Some(group) if args.compute_key => group_key(group.expose(), id.as_str())?,
        Some(own) => symmetric_key(own.expose())?,
        None => {
            let session = Session::open(&args.common.server)?;
            let host = if let Some(host) = &place.service {
                host.clone()
            } else {
                let (name, group) = (args.dps.name.as_deref(), args.common.group.group.as_deref());
                session.host_of(Kind::Dps, name, group).await?
            };
            stored_key(&session.provisioning(&host)?, id, args.group_id.as_deref()).await?
        }
    };
    Ok(Credential::Key {
        policy: Some("registration".to_owned()),
        key,
    })
}

/// The key of a device: that of its own enrollment, else computed from that of the group that was named, or of the only
/// one by key.
pub(super) async fn stored_key(
    dps: &Provisioning,
    id: &RegistrationId,
    group: Option<&str>,
) -> Result<SymmetricKey, Problem> {
    if group.is_none() {
        match dps.attestation(EnrollmentKind::Individual, id.as_str()).await {
            Ok(attestation) => {
                let key = primary_key(&attestation).ok_or_else(|| no_key("the enrollment of the device"))?;
                return Ok(symmetric_key(key)?);
            }
            Err(Error::Refused { status: 404, .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let group = match group {
        Some(group) => group.to_owned(),
        None => only_group_by_key(dps, id.as_str()).await?,
    };
    Ok(group_key(
        stored_group_key(dps, &group).await?.expose(),
        id.as_str(),
    )?)
}

/// The key of a group, from which those of its devices are computed.
pub(super) async fn stored_group_key(dps: &Provisioning, group: &str) -> Result<Secret, Problem> {
    let attestation = dps.attestation(EnrollmentKind::Group, group).await?;
    let key = primary_key(&attestation).ok_or_else(|| no_key(&format!("the group {group}")))?;
    Ok(Secret::new(key.to_owned()))
}

fn no_key(what: &str) -> Problem {
    Problem::usage(format!(
        "{what} is not one by key: give --certificate-file and --key-file, or --symmetric-key"
    ))
}

pub(super) async fn only_group_by_key(dps: &Provisioning, id: &str) -> Result<String, Problem> {
    let groups = dps.enrollments(EnrollmentKind::Group, usize::MAX).await?;
    let mut by_key = groups.iter().filter_map(|group| {
        let kind = group.pointer("/attestation/type")?.as_str()?;
        (kind == "symmetricKey").then(|| group.get("enrollmentGroupId")?.as_str())?
    });
    match (by_key.next(), by_key.next()) {
        (Some(group), None) => Ok(group.to_owned()),
        (Some(_), Some(_)) => Err(Problem::usage(
            "there is more than one group by key: name one with --group-id",
        )),
        (None, _) => Err(Problem::new(format!(
            "{id} is not enrolled by key: give --certificate-file and --key-file, or --symmetric-key"
        ))),
    }
}

fn primary_key(attestation: &Value) -> Option<&str> {
    attestation.pointer("/symmetricKey/primaryKey")?.as_str()
}

/// The hub that a device speaks to.
#[derive(Args, Clone, Debug)]
pub(super) struct DevicePlaneArgs {
    #[command(flatten)]
    pub(super) hub: HubNameArgs,
    #[command(flatten)]
    pub(super) group: GroupArgs,
    #[command(flatten)]
    pub(super) login: LoginArgs,
    #[command(flatten)]
    pub(super) server: ServerBesideDataArgs,
    #[command(flatten)]
    pub(super) mqtt: MqttArgs,
}

impl DevicePlaneArgs {
    /// Calls to the hub's service interface.
    pub(super) async fn service(&self) -> Result<muster_client::hub::Hub, Problem> {
        let login = self.login.login.as_ref();
        connect::hub_at(
            self.hub.name.as_deref(),
            self.group.group.as_deref(),
            login,
            &self.server,
        )
        .await
    }

    /// Where the hub is, and its full name.
    pub(super) async fn place(&self) -> Result<(Server, String), Problem> {
        let login = self.login.login.as_ref();
        let (server, host) = connect::hub_place(
            self.hub.name.as_deref(),
            self.group.group.as_deref(),
            login,
            &self.server,
        )
        .await?;
        Ok((self.mqtt.on(server), host))
    }
}

#[derive(Args, Debug)]
pub(super) struct SendArgs {
    /// The device id.
    #[arg(long, short = 'd', value_name = "ID")]
    device_id: String,
    /// The body of the message.
    #[arg(
        long,
        visible_alias = "da",
        value_name = "TEXT",
        conflicts_with = "data_file_path"
    )]
    data: Option<String>,
    /// A file that holds the body.
    #[arg(long, visible_alias = "dfp", value_name = "FILE")]
    data_file_path: Option<PathBuf>,
    /// Properties beside the body, name=value;name=value; `$.ct` is the content type and `$.ce` its encoding.
    #[arg(
        long,
        short = 'p',
        visible_alias = "properties",
        default_value = "",
        hide_default_value = true,
        value_name = "PAIRS"
    )]
    props: String,
    /// What the device speaks.
    #[arg(long, visible_alias = "proto", ignore_case = true, value_parser = protocols(), default_value = "http", value_name = "PROTOCOL")]
    protocol: Protocol,
    /// The digital twin model that the device announces; not over HTTPS.
    #[arg(long, visible_alias = "dtmi", value_name = "DTMI")]
    model_id: Option<String>,
    #[command(flatten)]
    credential: CredentialArgs,
    #[command(flatten)]
    plane: DevicePlaneArgs,
}

impl SendArgs {
    /// Tells whether a connection string stands in for the operator's token.
    pub(super) const fn has_login(&self) -> bool {
        self.plane.login.is_given()
    }
}

pub(super) async fn send(args: SendArgs) -> Done {
    let body = match (&args.data, &args.data_file_path) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, Some(file)) => files::read(file)?,
        (None, None) => PING.as_bytes().to_vec(),
    };
    let mut message = Message {
        body,
        ..Message::default()
    };
    put_properties(&mut message, &args.props).map_err(|e| Problem::usage(format!("--props: {e}")))?;
    announce_nothing_over_https(args.protocol, args.model_id.as_deref())?;
    let (server, host) = args.plane.place().await?;
    let credential = if let Some(identity) = args.credential.certificate(&args.device_id)? {
        Credential::Certificate(identity)
    } else {
        let key = match args.credential.key()? {
            Some(key) => key,
            None => device_key(&args.plane.service().await?, &args.device_id).await?,
        };
        Credential::Key { policy: None, key }
    };
    if args.protocol == Protocol::Http {
        open(&server, &host, &args.device_id, credential)?
            .send(&message)
            .await?;
    } else {
        let hub = mqtt::Hub {
            server: &server,
            protocol: args.protocol,
            host: &host,
            device: &args.device_id,
            model_id: args.model_id.as_deref(),
            credential: &credential,
            window: 1,
        };
        let mut device = mqtt::MqttDevice::connect(hub, &*connect::clock()).await?;
        device.send(&message).await?;
        // The hub has the message: how the connection ends changes nothing of that.
        if let Err(error) = device.disconnect().await {
            tracing::debug!(%error, "a connection did not end politely");
        }
    }
    say(&format!("{host} has the message"));
    Ok(())
}

/// Holds that a model is announced where there is a place for it: in the user name of a connection.
pub(super) fn announce_nothing_over_https(protocol: Protocol, model_id: Option<&str>) -> Done {
    if protocol == Protocol::Http && model_id.is_some() {
        return Err(Problem::usage(
            "--model-id is announced when a device connects, which it does over mqtt and mqtt-ws only",
        ));
    }
    Ok(())
}

/// A device at its hub.
pub(super) fn open(server: &Server, host: &str, id: &str, credential: Credential) -> Result<Device, Problem> {
    let resource = Device::sas_resource(host, id);
    let channel = server.channel(host, resource, credential, connect::clock())?;
    Ok(Device::new(channel, id.to_owned()))
}

/// The key of a device, which the operator may read.
pub(super) async fn device_key(hub: &muster_client::hub::Hub, id: &str) -> Result<SymmetricKey, Problem> {
    let document = hub.device(id).await?;
    let key = document
        .pointer("/authentication/symmetricKey/primaryKey")
        .and_then(Value::as_str)
        .filter(|key| !key.is_empty())
        .ok_or_else(|| {
            Problem::usage(format!(
                "the device {id} has no key of its own: give --certificate-file and --key-file"
            ))
        })?;
    Ok(symmetric_key(key)?)
}
