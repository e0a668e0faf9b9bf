//! Enrollments: of one device, and of groups.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use muster_client::dps::{Kind, Provisioning};
use muster_client::identity::group_key;
use muster_wire::Secret;
use serde_json::Value;

use super::draft::{AttestationType, CaArgs, DraftArgs, RemoveArgs, SingleArgs};
use super::options::{DpsPlaneArgs, parse_bool, parse_secret};
use super::output::{self, Column};
use super::registration::{self, GroupRegistrationCommand, RegistrationCommand};
use super::{Done, Problem, connect, files};

const INDIVIDUAL_COLUMNS: &[Column] = &[
    ("RegistrationId", "/registrationId"),
    ("DeviceId", "/deviceId"),
    ("Attestation", "/attestation/type"),
    ("Status", "/provisioningStatus"),
    ("Allocation", "/allocationPolicy"),
];

const GROUP_COLUMNS: &[Column] = &[
    ("EnrollmentGroupId", "/enrollmentGroupId"),
    ("Attestation", "/attestation/type"),
    ("Status", "/provisioningStatus"),
    ("Allocation", "/allocationPolicy"),
];

const fn columns(kind: Kind) -> &'static [Column] {
    match kind {
        Kind::Group => GROUP_COLUMNS,
        Kind::Individual => INDIVIDUAL_COLUMNS,
    }
}

/// `muster iot dps enrollment`
#[derive(Debug, Subcommand)]
pub(super) enum IndividualCommand {
    /// Enrolls a device.
    #[command(
        after_help = "Examples:\n  muster iot dps enrollment create --enrollment-id my-x509-device --attestation-type x509 --certificate-path device-cert.pem\n  muster iot dps enrollment create --enrollment-id sensor-1 --attestation-type symmetricKey --device-id sensor-one"
    )]
    Create(Box<IndividualCreateArgs>),
    /// Deletes an enrollment.
    #[command(after_help = "Examples:\n  muster iot dps enrollment delete --enrollment-id my-x509-device")]
    Delete(DeleteArgs),
    /// Lists enrollments.
    #[command(after_help = "Examples:\n  muster iot dps enrollment list --output table")]
    List(ListArgs),
    /// Manages what became of the device's registration.
    #[command(subcommand)]
    Registration(RegistrationCommand),
    /// Shows an enrollment.
    #[command(
        after_help = "Examples:\n  muster iot dps enrollment show --enrollment-id sensor-1 --show-keys"
    )]
    Show(ShowArgs),
    /// Changes an enrollment.
    #[command(
        after_help = "Examples:\n  muster iot dps enrollment update --enrollment-id sensor-1 --provisioning-status disabled\n  muster iot dps enrollment update --enrollment-id my-x509-device --secondary-certificate-path next.pem"
    )]
    Update(Box<IndividualUpdateArgs>),
}

/// `muster iot dps enrollment-group`
#[derive(Debug, Subcommand)]
pub(super) enum GroupCommand {
    /// Computes the key of a device of a group.
    #[command(
        after_help = "Examples:\n  muster iot dps enrollment-group compute-device-key --enrollment-id factory --registration-id sensor-1"
    )]
    ComputeDeviceKey(ComputeKeyArgs),
    /// Enrolls every device of a CA, or of a group key.
    #[command(
        after_help = "Examples:\n  muster iot dps enrollment-group create --enrollment-id factory --certificate-path certs/azure-iot-test-only.intermediate.cert.pem\n  muster iot dps enrollment-group create --enrollment-id factory --ca-name azure-iot-test-only-root\n  muster iot dps enrollment-group create --enrollment-id by-key"
    )]
    Create(Box<GroupCreateArgs>),
    /// Deletes an enrollment group.
    #[command(after_help = "Examples:\n  muster iot dps enrollment-group delete --enrollment-id factory")]
    Delete(DeleteArgs),
    /// Lists enrollment groups.
    #[command(after_help = "Examples:\n  muster iot dps enrollment-group list --output table")]
    List(ListArgs),
    /// Manages what became of the registrations of a group's devices.
    #[command(subcommand)]
    Registration(GroupRegistrationCommand),
    /// Shows an enrollment group.
    #[command(
        after_help = "Examples:\n  muster iot dps enrollment-group show --enrollment-id by-key --show-keys"
    )]
    Show(ShowArgs),
    /// Changes an enrollment group.
    #[command(
        after_help = "Examples:\n  muster iot dps enrollment-group update --enrollment-id factory --provisioning-status disabled\n  muster iot dps enrollment-group update --enrollment-id factory --remove-certificate true --secondary-certificate-path next.pem"
    )]
    Update(Box<GroupUpdateArgs>),
}

/// Which enrollment.
#[derive(Args, Debug)]
struct IdArgs {
    /// The id of the enrollment: for one device its registration id, for a group its name.
    #[arg(long, visible_alias = "eid", value_name = "ID")]
    enrollment_id: String,
    #[command(flatten)]
    plane: DpsPlaneArgs,
}

/// Whether keys are shown.
#[derive(Args, Clone, Copy, Debug)]
struct KeysArgs {
    /// Whether keys are shown too.
    #[arg(long, visible_alias = "keys", value_parser = parse_bool, num_args = 0..=1, default_missing_value = "true", default_value_t = false, value_name = "true|false")]
    show_keys: bool,
}

#[derive(Args, Debug)]
pub(super) struct IndividualCreateArgs {
    /// How the device proves itself.
    #[arg(
        long,
        visible_alias = "at",
        value_enum,
        ignore_case = true,
        value_name = "TYPE",
        help_heading = "Attestation"
    )]
    attestation_type: Option<AttestationType>,
    #[command(flatten)]
    draft: DraftArgs,
    #[command(flatten)]
    single: SingleArgs,
    #[command(flatten)]
    id: IdArgs,
}

#[derive(Args, Debug)]
pub(super) struct GroupCreateArgs {
    /// How the devices prove themselves; told from the other flags where it is left out.
    #[arg(
        long,
        visible_alias = "at",
        value_enum,
        ignore_case = true,
        value_name = "TYPE",
        help_heading = "Attestation"
    )]
    attestation_type: Option<AttestationType>,
    #[command(flatten)]
    draft: DraftArgs,
    #[command(flatten)]
    ca: CaArgs,
    #[command(flatten)]
    id: IdArgs,
}

#[derive(Args, Debug)]
pub(super) struct IndividualUpdateArgs {
    #[command(flatten)]
    draft: DraftArgs,
    #[command(flatten)]
    single: SingleArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Args, Debug)]
pub(super) struct GroupUpdateArgs {
    #[command(flatten)]
    draft: DraftArgs,
    #[command(flatten)]
    ca: CaArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Args, Debug)]
struct ChangeArgs {
    #[command(flatten)]
    remove: RemoveArgs,
    /// The version that is changed; any otherwise.
    #[arg(long, short = 'e', default_value = "*", value_name = "ETAG")]
    etag: String,
    #[command(flatten)]
    id: IdArgs,
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
pub(super) struct ShowArgs {
    #[command(flatten)]
    keys: KeysArgs,
    #[command(flatten)]
    id: IdArgs,
}

#[derive(Args, Debug)]
pub(super) struct ListArgs {
    /// How many; -1 for all.
    #[arg(long, default_value_t = -1, value_parser = clap::value_parser!(i64).range(-1..), allow_negative_numbers = true, value_name = "COUNT")]
    top: i64,
    #[command(flatten)]
    plane: DpsPlaneArgs,
}

#[derive(Args, Debug)]
pub(super) struct ComputeKeyArgs {
    /// The device's registration id.
    #[arg(long, visible_alias = "rid", value_name = "ID")]
    registration_id: String,
    /// The group; its primary key is read from the server.
    #[arg(long, visible_alias = "eid", value_name = "ID", required_unless_present_any = ["symmetric_key", "key_file"])]
    enrollment_id: Option<String>,
    /// The group's key in base64, so that no server is asked.
    #[arg(
        long,
        visible_alias = "key",
        value_parser = parse_secret, value_name = "BASE64",
        conflicts_with = "key_file"
    )]
    symmetric_key: Option<Secret>,
    /// A file that holds the group's key in base64.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    plane: DpsPlaneArgs,
}

impl IndividualCommand {
    /// Tells whether a connection string stands in for the operator's token.
    pub(super) const fn has_login(&self) -> bool {
        let plane = match self {
            Self::Create(args) => &args.id.plane,
            Self::Delete(args) => &args.id.plane,
            Self::List(args) => &args.plane,
            Self::Registration(command) => command.plane(),
            Self::Show(args) => &args.id.plane,
            Self::Update(args) => &args.change.id.plane,
        };
        plane.login.is_given()
    }
}

impl GroupCommand {
    /// Tells whether a connection string stands in for the operator's token.
    pub(super) const fn has_login(&self) -> bool {
        let plane = match self {
            Self::ComputeDeviceKey(args) => &args.plane,
            Self::Create(args) => &args.id.plane,
            Self::Delete(args) => &args.id.plane,
            Self::List(args) => &args.plane,
            Self::Registration(command) => command.plane(),
            Self::Show(args) => &args.id.plane,
            Self::Update(args) => &args.change.id.plane,
        };
        plane.login.is_given()
    }
}

pub(super) async fn individual(command: IndividualCommand) -> Done {
    let kind = Kind::Individual;
    match command {
        IndividualCommand::Create(args) => {
            let id = &args.id.enrollment_id;
            let single = &args.single;
            let ca = CaArgs::default();
            let mut fields =
                args.draft
                    .create(kind, id, args.attestation_type, &ca, single.endorsement_key())?;
            single.put_into(&mut fields)?;
            create(kind, &args.id, Value::Object(fields)).await
        }
        IndividualCommand::Delete(args) => delete(kind, args).await,
        IndividualCommand::List(args) => list(kind, args).await,
        IndividualCommand::Registration(command) => registration::run(command).await,
        IndividualCommand::Show(args) => show(kind, args).await,
        IndividualCommand::Update(args) => {
            if args.single.endorsement_key().is_some() {
                return Err(Problem::usage("the TPM of an enrollment can't be changed"));
            }
            update(
                kind,
                &args.draft,
                &CaArgs::default(),
                Some(&args.single),
                &args.change,
            )
            .await
        }
    }
}

pub(super) async fn group(command: GroupCommand) -> Done {
    let kind = Kind::Group;
    match command {
        GroupCommand::ComputeDeviceKey(args) => compute_key(args).await,
        GroupCommand::Create(args) => {
            let id = &args.id.enrollment_id;
            let fields = args
                .draft
                .create(kind, id, args.attestation_type, &args.ca, None)?;
            create(kind, &args.id, Value::Object(fields)).await
        }
        GroupCommand::Delete(args) => delete(kind, args).await,
        GroupCommand::List(args) => list(kind, args).await,
        GroupCommand::Registration(command) => registration::run_group(command).await,
        GroupCommand::Show(args) => show(kind, args).await,
        GroupCommand::Update(args) => update(kind, &args.draft, &args.ca, None, &args.change).await,
    }
}

async fn create(kind: Kind, id: &IdArgs, document: Value) -> Done {
    let dps = connect::provisioning(&id.plane).await?;
    let value = dps
        .put_enrollment(kind, &id.enrollment_id, &document, None)
        .await?;
    output::print(&value, id.plane.common.output.output, columns(kind))
}

async fn delete(kind: Kind, args: DeleteArgs) -> Done {
    let dps = connect::provisioning(&args.id.plane).await?;
    Ok(dps
        .delete_enrollment(kind, &args.id.enrollment_id, &args.etag)
        .await?)
}

async fn list(kind: Kind, args: ListArgs) -> Done {
    let dps = connect::provisioning(&args.plane).await?;
    let most = usize::try_from(args.top).unwrap_or(usize::MAX);
    let all = dps.enrollments(kind, most).await?;
    output::print_list(all, args.plane.common.output.output, columns(kind))
}

async fn show(kind: Kind, args: ShowArgs) -> Done {
    let dps = connect::provisioning(&args.id.plane).await?;
    let mut value = dps.enrollment(kind, &args.id.enrollment_id).await?;
    if args.keys.show_keys {
        with_keys(&dps, kind, &args.id.enrollment_id, &mut value).await?;
    }
    output::print(&value, args.id.plane.common.output.output, columns(kind))
}

async fn update(
    kind: Kind,
    draft: &DraftArgs,
    ca: &CaArgs,
    single: Option<&SingleArgs>,
    change: &ChangeArgs,
) -> Done {
    let id = &change.id.enrollment_id;
    let dps = connect::provisioning(&change.id.plane).await?;
    let mut value = dps.enrollment(kind, id).await?;
    with_keys(&dps, kind, id, &mut value).await?;
    let fields = value
        .as_object_mut()
        .ok_or_else(|| Problem::new("the enrollment is not an object"))?;
    // What the version was is said by the header, and what became of the device is not the enrollment's to say.
    fields.remove("etag");
    fields.remove("registrationState");
    if let Some(attestation) = fields.get_mut("attestation") {
        draft.change_attestation(kind, attestation, ca, &change.remove)?;
    }
    draft.put_into(fields)?;
    if let Some(single) = single {
        single.put_into(fields)?;
    }
    let value = dps.put_enrollment(kind, id, &value, Some(&change.etag)).await?;
    output::print(&value, change.id.plane.common.output.output, columns(kind))
}

/// Puts the keys into an enrollment by key: reads leave them out.
async fn with_keys(dps: &Provisioning, kind: Kind, id: &str, value: &mut Value) -> Result<(), Problem> {
    if value.pointer("/attestation/type").and_then(Value::as_str) == Some("symmetricKey") {
        let attestation = dps.attestation(kind, id).await?;
        if let Some(fields) = value.as_object_mut() {
            fields.insert("attestation".into(), attestation);
        }
    }
    Ok(())
}

async fn compute_key(args: ComputeKeyArgs) -> Done {
    let group = match (&args.symmetric_key, &args.key_file, &args.enrollment_id) {
        (Some(key), _, _) => zeroize::Zeroizing::new(key.expose().to_owned()),
        (None, Some(file), _) => files::secret(file)?,
        (None, None, Some(id)) => {
            let dps = connect::provisioning(&args.plane).await?;
            let attestation = dps.attestation(Kind::Group, id).await?;
            attestation
                .pointer("/symmetricKey/primaryKey")
                .and_then(Value::as_str)
                .map(|key| zeroize::Zeroizing::new(key.to_owned()))
                .ok_or_else(|| Problem::new(format!("the group {id} is not one by key")))?
        }
        (None, None, None) => return Err(Problem::usage("--enrollment-id or --symmetric-key is missing")),
    };
    let key = group_key(&group, &args.registration_id)?;
    let text = Value::from(key.to_base64().as_str());
    output::print(&text, args.plane.common.output.output, &[("DeviceKey", "")])
}
