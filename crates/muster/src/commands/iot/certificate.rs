//! CA certificates of hubs and provisioning services: upload, proof of possession, deletion.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::options::{CommonArgs, Owner, examples, parse_bool};
use super::output::{self, Column};
use super::{Done, Problem, connect, files};

const COLUMNS: &[Column] = &[
    ("Name", "/name"),
    ("Subject", "/properties/subject"),
    ("Verified", "/properties/isVerified"),
    ("Expiry", "/properties/expiry"),
    ("Etag", "/etag"),
];

/// `muster iot hub certificate`, `muster iot dps certificate`
#[derive(Debug, Subcommand)]
pub(super) enum CertificateCommand<O: Owner> {
    /// Uploads a CA certificate.
    #[command(after_help = examples::<O>(&[
        "certificate create --name my-root --path root.pem",
        "certificate create --name my-root --path root.pem --verified true",
    ]))]
    Create(CreateArgs<O>),
    /// Deletes a CA certificate.
    #[command(after_help = examples::<O>(&["certificate delete --name my-root --etag '*'"]))]
    Delete(ChangeArgs<O>),
    /// Draws the code that the proof of possession has to carry.
    #[command(after_help = examples::<O>(&["certificate generate-verification-code --name my-root --etag '*'"]))]
    GenerateVerificationCode(ChangeArgs<O>),
    /// Lists CA certificates.
    #[command(after_help = examples::<O>(&["certificate list --output table"]))]
    List(ListArgs<O>),
    /// Shows a CA certificate.
    #[command(after_help = examples::<O>(&["certificate show --name my-root"]))]
    Show(ShowArgs<O>),
    /// Replaces a CA certificate, or decrees that possession is proved.
    #[command(after_help = examples::<O>(&[
        "certificate update --name my-root --path root.pem --etag '*'",
        "certificate update --name my-root --verified true --etag '*'",
    ]))]
    Update(UpdateArgs<O>),
    /// Proves possession with a certificate that the CA has signed and whose common name is the code.
    #[command(after_help = examples::<O>(&["certificate verify --name my-root --path verification.pem --etag '*'"]))]
    Verify(VerifyArgs<O>),
}

/// Which certificate of whom.
#[derive(Args, Debug)]
pub(super) struct PartArgs<O: Owner> {
    /// The certificate's name: letters, digits, `-`, `.` and `_`.
    #[arg(long, short = 'n', visible_alias = "certificate-name", value_name = "NAME")]
    name: String,
    #[command(flatten)]
    owner: O,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Args, Debug)]
pub(super) struct CreateArgs<O: Owner> {
    /// The file of the certificate, .pem or .cer.
    #[arg(long, short = 'p', value_name = "FILE")]
    path: PathBuf,
    /// Whether possession counts as proved from the start.
    #[arg(long, short = 'v', value_parser = parse_bool, num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    verified: Option<bool>,
    #[command(flatten)]
    part: PartArgs<O>,
}

#[derive(Args, Debug)]
pub(super) struct UpdateArgs<O: Owner> {
    /// The file of the certificate, .pem or .cer; the stored one stays without it.
    #[arg(long, short = 'p', value_name = "FILE", required_unless_present = "verified")]
    path: Option<PathBuf>,
    /// Whether possession counts as proved.
    #[arg(long, short = 'v', value_parser = parse_bool, num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    verified: Option<bool>,
    #[command(flatten)]
    change: ChangeArgs<O>,
}

#[derive(Args, Debug)]
pub(super) struct VerifyArgs<O: Owner> {
    /// The file of the verification certificate, .pem or .cer.
    #[arg(long, short = 'p', value_name = "FILE")]
    path: PathBuf,
    #[command(flatten)]
    change: ChangeArgs<O>,
}

#[derive(Args, Debug)]
pub(super) struct ChangeArgs<O: Owner> {
    /// The version that is changed, as `show` prints it; `*` for any.
    #[arg(long, short = 'e', value_name = "ETAG")]
    etag: Option<String>,
    #[command(flatten)]
    part: PartArgs<O>,
}

#[derive(Args, Debug)]
pub(super) struct ShowArgs<O: Owner> {
    #[command(flatten)]
    part: PartArgs<O>,
}

#[derive(Args, Debug)]
pub(super) struct ListArgs<O: Owner> {
    #[command(flatten)]
    owner: O,
    #[command(flatten)]
    common: CommonArgs,
}

impl<O: Owner> PartArgs<O> {
    fn print(&self, value: &Value) -> Done {
        output::print(value, self.common.output.output, COLUMNS)
    }
}

impl<O: Owner> ChangeArgs<O> {
    fn etag(&self) -> Result<&str, Problem> {
        self.etag.as_deref().ok_or_else(|| {
            Problem::usage("--etag is missing: give the one that `certificate show` prints, or '*' for any")
        })
    }
}

pub(super) async fn run<O: Owner>(command: CertificateCommand<O>) -> Done {
    match command {
        CertificateCommand::Create(args) => create(args).await,
        CertificateCommand::Delete(args) => {
            let (management, owner) = connect::owner(&args.part.owner, &args.part.common).await?;
            let etag = args.etag()?;
            Ok(management
                .delete_certificate(&owner, &args.part.name, Some(etag))
                .await?)
        }
        CertificateCommand::GenerateVerificationCode(args) => {
            let (management, owner) = connect::owner(&args.part.owner, &args.part.common).await?;
            let etag = args.etag()?;
            let value = management
                .verification_code(&owner, &args.part.name, Some(etag))
                .await?;
            output::print(
                &value,
                args.part.common.output.output,
                &[
                    ("Name", "/name"),
                    ("VerificationCode", "/properties/verificationCode"),
                    ("Etag", "/etag"),
                ],
            )
        }
        CertificateCommand::List(args) => {
            let (management, owner) = connect::owner(&args.owner, &args.common).await?;
            let answer = management.certificates(&owner).await?;
            // The vendor's command prints the answer whole; columns need its items.
            match args.common.output.output {
                output::Format::Json | output::Format::Jsonc => {
                    output::print(&answer, args.common.output.output, COLUMNS)
                }
                format => output::print_list(
                    muster_client::management::items(&answer).to_vec(),
                    format,
                    COLUMNS,
                ),
            }
        }
        CertificateCommand::Show(args) => {
            let (management, owner) = connect::owner(&args.part.owner, &args.part.common).await?;
            let value = management.certificate(&owner, &args.part.name).await?;
            args.part.print(&value)
        }
        CertificateCommand::Update(args) => update(args).await,
        CertificateCommand::Verify(args) => {
            let part = &args.change.part;
            let file = files::base64(&args.path)?;
            let etag = args.change.etag()?;
            let (management, owner) = connect::owner(&part.owner, &part.common).await?;
            let value = management.verify(&owner, &part.name, &file, Some(etag)).await?;
            part.print(&value)
        }
    }
}

async fn create<O: Owner>(args: CreateArgs<O>) -> Done {
    let part = &args.part;
    let file = files::base64(&args.path)?;
    let (management, owner) = connect::owner(&part.owner, &part.common).await?;
    let answer = management.certificates(&owner).await?;
    let taken = muster_client::management::items(&answer).iter().any(|one| {
        one.get("name")
            .and_then(Value::as_str)
            .is_some_and(|one| one.eq_ignore_ascii_case(&part.name))
    });
    if taken {
        return Err(Problem::new(format!(
            "the {} {} has a certificate named {} already; `certificate update` replaces it",
            owner.kind.noun(),
            owner.name,
            part.name
        )));
    }
    let value = management
        .put_certificate(&owner, &part.name, &file, args.verified, None)
        .await?;
    part.print(&value)
}

async fn update<O: Owner>(args: UpdateArgs<O>) -> Done {
    let part = &args.change.part;
    let given = args.path.as_deref().map(files::base64).transpose()?;
    let etag = args.change.etag()?;
    let (management, owner) = connect::owner(&part.owner, &part.common).await?;
    let file = match given {
        Some(file) => file,
        None => management
            .certificate(&owner, &part.name)
            .await?
            .pointer("/properties/certificate")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .ok_or_else(|| {
                Problem::new("the server does not show the certificate; give its file with --path")
            })?,
    };
    let value = management
        .put_certificate(&owner, &part.name, &file, args.verified, Some(etag))
        .await?;
    part.print(&value)
}
