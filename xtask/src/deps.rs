//! Holds the architecture: which crate may use which, which foreign driver has which door, and what may not be reached.
//!
//! The tables below are the law that ARCHITECTURE.md explains, and its map is held against them; whoever needs another
//! edge changes both, with a decision record. Only direct dependencies are judged: the tables are closed, so nothing else can come in through them.
//! Test-only edges obey the same table, because a test that needs an outer crate belongs to that crate.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::error::{Error, Result};
use crate::metadata::{Metadata, Package};
use crate::{shell, source};

/// Which crates of ours each crate may use.
const MAY_USE: &[(&str, &[&str])] = &[
    (
        "muster-amqp",
        &["amqp-engine", "dps", "hub", "model", "net", "resources", "wire"],
    ),
    ("muster-amqp-engine", &[]),
    ("muster-bus", &["hub", "model", "resources"]),
    (
        "muster-client",
        &["amqp-engine", "model", "mqtt-codec", "pki", "wire"],
    ),
    ("muster-dps", &["model", "pki", "resources", "wire"]),
    ("muster-hub", &["model", "pki", "resources", "wire"]),
    ("muster-model", &["pki"]),
    (
        "muster-mqtt",
        &[
            "dps",
            "hub",
            "model",
            "mqtt-codec",
            "net",
            "pki",
            "resources",
            "wire",
        ],
    ),
    ("muster-mqtt-codec", &[]),
    ("muster-net", &["pki"]),
    (
        "muster-outlets",
        &["client", "dps", "hub", "model", "resources", "wire"],
    ),
    ("muster-pki", &[]),
    (
        "muster-portal",
        &["dps", "hub", "model", "net", "pki", "resources", "wire"],
    ),
    ("muster-resources", &["model", "pki"]),
    (
        "muster-rest",
        &["dps", "hub", "model", "net", "pki", "resources", "wire"],
    ),
    ("muster-store", &["dps", "hub", "model", "pki", "resources"]),
    ("muster-tests", &[]),
    ("muster-wire", &["model", "pki"]),
    ("xtask", &[]),
];

/// The package that wires everything and may use every crate of ours.
const WIRING: &str = "muster";

/// Foreign crates with one door: who may use them outside tests.
const DOORS: &[(&str, &[&str])] = &[
    ("async-nats", &["muster-bus"]),
    ("axum", &["muster", "muster-portal", "muster-rest"]),
    ("clap", &["muster"]),
    (
        "http",
        &["muster", "muster-client", "muster-portal", "muster-rest"],
    ),
    (
        "http-body-util",
        &["muster", "muster-client", "muster-portal", "muster-rest"],
    ),
    ("hyper", &["muster", "muster-client", "muster-net", "muster-rest"]),
    ("indicatif", &["muster"]),
    ("metrics-exporter-prometheus", &["muster"]),
    ("mimalloc", &["muster"]),
    ("p12-keystore", &["muster-pki"]),
    ("pkcs8", &["muster-pki"]),
    ("rcgen", &["muster-pki"]),
    ("reqwest", &["muster-outlets"]),
    ("rpassword", &["muster"]),
    ("rusqlite", &["muster-store"]),
    ("rustls", &["muster", "muster-client", "muster-net"]),
    ("rustls-webpki", &[]),
    ("sqlx", &["muster-store"]),
    ("tokio-postgres", &["muster-store"]),
    ("tokio-rustls", &["muster-client", "muster-net"]),
    ("tokio-tungstenite", &["muster-client", "muster-rest"]),
    ("toml", &["muster"]),
    ("tracing-subscriber", &["muster"]),
    ("x509-parser", &["muster-net", "muster-pki"]),
];

/// Packages that are not part of the product: doors are not held against them.
const OUTSIDE: &[&str] = &["muster-tests", "xtask"];

/// Names that say nothing about a crate's one reason.
const REFUSED_NAMES: &[&str] = &["common", "core", "shared", "util", "utils"];

/// The only features a crate may have: helpers for the tests of others. The product has one build.
const FEATURES: &[&str] = &["contract", "default", "testing"];

/// Crates that can be simulated, so they touch no socket, file, thread, timer or task of the machine's.
const SIMULATED: &[&str] = &[
    "muster-amqp",
    "muster-amqp-engine",
    "muster-dps",
    "muster-hub",
    "muster-model",
    "muster-mqtt",
    "muster-pki",
    "muster-portal",
    "muster-resources",
    "muster-rest",
    "muster-wire",
];

/// What a simulated crate may not name.
const MACHINE: &[&str] = &[
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::process",
    "std::thread",
    "tokio::fs",
    "tokio::net",
    "tokio::spawn",
    "tokio::task::spawn",
    "tokio::time",
];

/// Domains see of `wire` only documents, which are payloads themselves.
const DOCUMENTS_ONLY: &[&str] = &["muster-dps", "muster-hub"];

/// Judges the workspace and prints each finding with its rule.
///
/// # Errors
/// When there is a finding, or cargo or a source file cannot be read.
pub(crate) fn run() -> Result<()> {
    let metadata = Metadata::read()?;
    let mut findings = judge(&metadata.packages);
    let page = shell::root().join("ARCHITECTURE.md");
    findings.extend(judge_page(
        &fs::read_to_string(&page).map_err(Error::file(&page))?,
        &metadata.packages,
    ));
    for package in &metadata.packages {
        findings.extend(judge_sources(&package.name, package.folder())?);
    }
    for finding in &findings {
        println!("{finding}");
    }
    println!(
        "deps: {} packages, {} finding(s)",
        metadata.packages.len(),
        findings.len()
    );
    if findings.is_empty() {
        Ok(())
    } else {
        Err(Error::Findings {
            chore: "deps",
            count: findings.len(),
        })
    }
}

/// Judges names, edges, doors and features.
fn judge(packages: &[Package]) -> Vec<String> {
    let law: BTreeMap<&str, BTreeSet<String>> = MAY_USE
        .iter()
        .map(|(name, uses)| {
            (
                *name,
                uses.iter().map(|short| format!("muster-{short}")).collect(),
            )
        })
        .collect();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut findings = Vec::new();
    for package in packages {
        let name = package.name.as_str();
        if name.split('-').any(|word| REFUSED_NAMES.contains(&word)) {
            findings.push(format!(
                "{name}: the name says no reason; a crate is named for the one thing it does"
            ));
        }
        for feature in package
            .features
            .keys()
            .filter(|feature| !FEATURES.contains(&feature.as_str()))
        {
            findings.push(format!(
                "{name}: feature `{feature}`; features choose test helpers only ({})",
                FEATURES.join(", ")
            ));
        }
        let allowed = law.get(name);
        if allowed.is_none() && name != WIRING {
            findings.push(format!(
                "{name}: not in the table of edges; add a row with its one reason"
            ));
        }
        for dependency in &package.dependencies {
            let used = dependency.name.as_str();
            if let Some(allowed) = allowed
                && ours.contains(used)
                && used != name
                && !allowed.contains(used)
            {
                findings.push(format!("{name} -> {used}: this edge is not in the table"));
            }
            if let Some((_, doors)) = DOORS.iter().find(|(driver, _)| *driver == used)
                && !dependency.is_dev()
                && !OUTSIDE.contains(&name)
                && !doors.contains(&name)
            {
                findings.push(format!("{name} -> {used}: its door is {}", shown(doors)));
            }
        }
    }
    findings
}

/// Holds the map in ARCHITECTURE.md against the table: a row for each crate of the product, with the same edges.
///
/// A row is `| [`name`](crates/name) | reason | a, b |`; edges to crates that there are not yet may be left out.
fn judge_page(text: &str, packages: &[Package]) -> Vec<String> {
    let rows: BTreeMap<&str, BTreeSet<&str>> = text.lines().filter_map(row).collect();
    let ours: BTreeSet<&str> = packages
        .iter()
        .filter_map(|package| package.name.strip_prefix("muster-"))
        .collect();
    let mut findings = Vec::new();
    for (name, uses) in MAY_USE {
        let Some(short) = name.strip_prefix("muster-") else {
            continue;
        };
        if !ours.contains(short) || OUTSIDE.contains(name) {
            continue;
        }
        let expected: BTreeSet<&str> = uses.iter().copied().filter(|used| ours.contains(used)).collect();
        match rows.get(short) {
            None => findings.push(format!("ARCHITECTURE.md: the map has no row for `{short}`")),
            Some(shown) if *shown != expected => findings.push(format!(
                "ARCHITECTURE.md: the map says that `{short}` uses {shown:?}, the table says {expected:?}"
            )),
            Some(_) => {}
        }
    }
    findings
}

fn row(line: &str) -> Option<(&str, BTreeSet<&str>)> {
    let mut cells = line.strip_prefix("| [`")?.split(" | ");
    let name = cells.next()?.split_once('`')?.0;
    let uses = cells.nth(1)?.trim_end_matches(['|', ' ']);
    let uses = uses
        .split(", ")
        // What stands behind a name, such as "(documents only)", is said for readers.
        .filter_map(|used| used.split_whitespace().next())
        .filter(|used| *used != "–")
        .collect();
    Some((name, uses))
}

/// Judges what the sources of a package name.
fn judge_sources(name: &str, folder: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    let simulated = SIMULATED.contains(&name);
    let documents_only = DOCUMENTS_ONLY.contains(&name);
    if !simulated && !documents_only {
        return Ok(findings);
    }
    for path in sources(&folder.join("src"))? {
        if is_test_source(&path) {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
        for (line, code) in source::code(&text) {
            let place = || {
                format!(
                    "{name}: {}:{line}",
                    path.strip_prefix(folder).unwrap_or(&path).display()
                )
            };
            if simulated && let Some(reached) = MACHINE.iter().find(|reached| code.contains(**reached)) {
                findings.push(format!(
                    "{}: `{reached}`; this crate is simulated, its machine comes in as an argument",
                    place()
                ));
            }
            if documents_only && names_more_than_documents(code) {
                findings.push(format!("{}: a domain uses `wire::document` only", place()));
            }
        }
    }
    Ok(findings)
}

/// Finds `muster_wire::` followed by anything but `document`.
fn names_more_than_documents(code: &str) -> bool {
    code.split("muster_wire::")
        .skip(1)
        .any(|rest| !rest.starts_with("document"))
}

/// Says whether a file holds tests, or the battery that a feature lends to the tests of others.
fn is_test_source(path: &Path) -> bool {
    path.components().any(|part| {
        let part = part.as_os_str().to_string_lossy();
        matches!(part.trim_end_matches(".rs"), "contract" | "testing" | "tests")
    })
}

/// Returns the Rust files below a folder, in order.
fn sources(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::file(folder))? {
        let path = entry.map_err(Error::file(folder))?.path();
        if path.is_dir() {
            files.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn shown(doors: &[&str]) -> String {
    if doors.is_empty() {
        "the tests".to_owned()
    } else {
        doors.join(", ")
    }
}
