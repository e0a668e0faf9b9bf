//! `muster cert check`: judges a chain offline by the server's own rules.
//!
//! Nothing is judged here. An estate is made in memory in which the given certificates are what an operator would have
//! configured, the domains decide as they do behind a listener, and what they say is printed. No server is asked, no
//! file but those that are named is read, and nothing is written.

mod estate;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use muster_model::{Clock, Wall};
use muster_pki::{Certificate, Chain, ChainError};
use muster_wire::time;
use serde::Serialize;

use self::estate::{Anchor, Judged, Question, judge};
use super::files;
use crate::cli::{Failure, Outcome, print};
use crate::commands::explain::plain;
use crate::server::clock::{SystemClock, system_random};

/// Judges a chain of certificates offline, by the server's own rules.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  muster cert check --chain certs/device-01-full-chain.cert.pem \\
      --anchor certs/azure-iot-test-only.root.ca.cert.pem
  muster cert check --chain device-cert.pem --as dps-individual
  muster cert check --chain chain.pem --anchor root.pem --as hub-ca --id device-01 --at 2027-01-31T09:00:00Z

Ends with 0 when the device would be admitted, with 1 when it would be refused.")]
pub(crate) struct CheckArgs {
    /// The certificates that the device presents, leaf first, in PEM; or the leaf alone in DER.
    #[arg(long, value_name = "FILE")]
    chain: PathBuf,
    /// What the operator configured; may be given several times, and a file may hold several certificates.
    #[arg(long = "anchor", value_name = "FILE", num_args = 1..)]
    anchors: Vec<PathBuf>,
    /// The time at which it is judged, as ISO 8601; now when absent.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<Wall>,
    /// Whom the device meets, and what the anchors are there.
    #[arg(long = "as", value_enum, default_value_t)]
    by: Configured,
    /// The registration id or device id; the leaf's common name when absent.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// How it is printed.
    #[arg(long, short, value_enum, ignore_case = true, default_value_t = Form::Text, value_name = "FORMAT")]
    output: Form,
}

/// Whom a device meets, and what the given certificates are there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(super) enum Configured {
    /// A provisioning service where each anchor is verified and has an enrollment group.
    #[default]
    DpsGroup,
    /// A provisioning service with an individual enrollment that holds the first two anchors; the leaf itself when none
    /// is given.
    DpsIndividual,
    /// A hub where each anchor is verified and the device is registered as signed by a CA.
    HubCa,
    /// A hub where the device is registered by the thumbprints of the first two anchors; by the leaf's when none is
    /// given.
    HubThumbprint,
}

/// How a verdict is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Form {
    /// For programs; the members are stable.
    Json,
    /// For people.
    Text,
}

/// A verdict as it is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    /// Whether the device would be let in.
    admitted: bool,
    #[serde(rename = "as")]
    by: String,
    id: String,
    at: String,
    /// The stable code of the rule that failed.
    reason: Option<&'static str>,
    sentence: String,
    /// The path that admitted the device, leaf first; of a refused one, the longest that was found.
    path: Vec<PathStep>,
    steps: Vec<String>,
}

/// A certificate of the path.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PathStep {
    subject: String,
    issuer: String,
    not_before: String,
    not_after: String,
    sha256: String,
    /// Its place in the chain that was presented; 0 is the leaf.
    #[serde(skip_serializing_if = "Option::is_none")]
    presented_at: Option<usize>,
    /// The file that configured it.
    #[serde(skip_serializing_if = "Option::is_none")]
    anchor: Option<String>,
}

pub(super) fn run(args: &CheckArgs) -> Outcome {
    let presented = files::certificates(&args.chain)?;
    let anchors = anchors(&args.anchors)?;
    let at = args.at.unwrap_or_else(|| SystemClock::new().wall());
    let verdict = verdict(args.by, args.id.as_deref(), presented, &anchors, at)?;
    match args.output {
        Form::Json => print(&serde_json::to_string_pretty(&verdict)?)?,
        Form::Text => print(&text(&verdict))?,
    }
    match verdict.reason {
        None => Ok(()),
        Some(reason) => Err(Failure::new(format!("the device would be refused: {reason}"))),
    }
}

fn moment(text: &str) -> Result<Wall, String> {
    time::parse_iso(text).ok_or_else(|| "a time is written as 2027-01-31T09:00:00Z".to_owned())
}

/// Reads what is configured; a certificate that comes twice counts once.
fn anchors(paths: &[PathBuf]) -> Result<Vec<Anchor>, Failure> {
    let mut anchors: Vec<Anchor> = Vec::new();
    for path in paths {
        for certificate in files::certificates(path)? {
            if !anchors.iter().any(|known| known.certificate == certificate) {
                anchors.push(Anchor {
                    file: path.clone(),
                    certificate,
                });
            }
        }
    }
    Ok(anchors)
}

fn verdict(
    by: Configured,
    id: Option<&str>,
    presented: Vec<Certificate>,
    anchors: &[Anchor],
    at: Wall,
) -> Result<Verdict, Failure> {
    let chain = match Chain::from_certificates(presented) {
        Ok(chain) => chain,
        // What no handshake takes has no leaf to name the device by.
        Err(error @ (ChainError::TooMany { .. } | ChainError::TooLarge { .. })) => {
            return Ok(Verdict {
                admitted: false,
                by: name_of(by),
                id: id.unwrap_or_default().to_owned(),
                at: time::iso_seconds(at),
                reason: Some(muster_model::ReasonCode::ChainTooLong.as_str()),
                sentence: format!("The TLS handshake would be ended: {error}."),
                path: Vec::new(),
                steps: Vec::new(),
            });
        }
        Err(error) => return Err(error.into()),
    };
    let id = id
        .or_else(|| chain.leaf().common_name())
        .unwrap_or(UNNAMED)
        .to_owned();
    let question = Question {
        by,
        id,
        chain,
        anchors,
        at,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let judged = runtime.block_on(judge(&question, system_random()?))?;
    Ok(question.verdict(judged))
}

/// The id of a device whose leaf names none, where the caller names none either.
const UNNAMED: &str = "unnamed-device";

impl Question<'_> {
    fn verdict(&self, judged: Judged) -> Verdict {
        Verdict {
            admitted: judged.reason.is_none(),
            by: name_of(self.by),
            id: self.id.clone(),
            at: time::iso_seconds(self.at),
            reason: judged.reason.map(muster_model::ReasonCode::as_str),
            sentence: judged.sentence,
            path: judged.path.iter().map(|one| self.path_step(one)).collect(),
            steps: judged.steps,
        }
    }

    fn path_step(&self, certificate: &Certificate) -> PathStep {
        let presented_at = self
            .chain
            .presented()
            .iter()
            .position(|one| one.certificate() == Some(certificate));
        let anchor = self
            .anchors
            .iter()
            .find(|anchor| anchor.certificate == *certificate)
            .map(|anchor| shown(&anchor.file));
        PathStep {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            not_before: certificate.not_before().to_string(),
            not_after: certificate.not_after().to_string(),
            sha256: certificate.sha256().to_string(),
            presented_at,
            anchor,
        }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn name_of(by: Configured) -> String {
    by.to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}

/// A verdict as people read it. The chain under judgement is a stranger's: what it says must not write the verdict.
fn text(verdict: &Verdict) -> String {
    let mut out = String::new();
    let word = verdict.reason.unwrap_or("admitted");
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "{word}  {} as {} at {}",
        plain(&verdict.id),
        verdict.by,
        verdict.at
    );
    let _ = writeln!(out, "  {}", plain(&verdict.sentence));
    if !verdict.path.is_empty() {
        let head = if verdict.admitted {
            "The path, leaf first:"
        } else {
            "As far as a path leads, leaf first:"
        };
        let _ = writeln!(out, "\n  {head}");
        for step in &verdict.path {
            let _ = writeln!(out, "    {}", plain(&step.subject));
            let _ = writeln!(out, "      issued by {}", plain(&step.issuer));
            let _ = writeln!(out, "      valid {} to {}", step.not_before, step.not_after);
            let _ = writeln!(out, "      SHA-256 {}", step.sha256);
            let _ = writeln!(out, "      {}", plain(&step.whence()));
        }
    }
    if !verdict.steps.is_empty() {
        let _ = writeln!(out, "\n  What was tried:");
        for step in &verdict.steps {
            let _ = writeln!(out, "    {}", plain(step));
        }
    }
    out.trim_end().to_owned()
}

impl PathStep {
    fn whence(&self) -> String {
        let presented = self
            .presented_at
            .map(|place| format!("certificate {place} of the chain"));
        let anchor = self.anchor.as_ref().map(|file| format!("anchor {file}"));
        match (presented, anchor) {
            (Some(presented), Some(anchor)) => format!("{presented}, and {anchor}"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => "configured".to_owned(),
        }
    }
}
