//! The law is tried on made-up workspaces: a good one passes, and each rule finds its breach.

use std::path::PathBuf;

use super::{MAY_USE, judge, judge_page, judge_sources};
use crate::metadata::{Dependency, Package};

fn package(name: &str, uses: &[&str]) -> Package {
    Package {
        name: name.to_owned(),
        manifest_path: PathBuf::from(format!("crates/{name}/Cargo.toml")),
        dependencies: uses.iter().map(|used| dependency(used, None)).collect(),
        targets: Vec::new(),
        features: std::collections::BTreeMap::new(),
    }
}

fn dependency(name: &str, kind: Option<&str>) -> Dependency {
    Dependency {
        name: name.to_owned(),
        kind: kind.map(str::to_owned),
    }
}

#[test]
fn a_workspace_that_keeps_the_law_passes() {
    let packages = [
        package("muster-pki", &["x509-parser", "rcgen"]),
        package("muster-model", &["muster-pki", "serde"]),
        package("muster-wire", &["muster-model"]),
        package("muster-client", &["muster-wire", "muster-model", "rustls"]),
        package("muster", &["muster-pki", "muster-client", "clap"]),
    ];
    assert_eq!(judge(&packages), Vec::<String>::new());
}

#[test]
fn domains_may_not_know_each_other() {
    let packages = [package("muster-hub", &[]), package("muster-dps", &["muster-hub"])];
    assert_eq!(
        judge(&packages),
        ["muster-dps -> muster-hub: this edge is not in the table"]
    );
}

#[test]
fn client_may_not_see_a_server_crate_even_in_tests() {
    let mut client = package("muster-client", &[]);
    client.dependencies.push(dependency("muster-hub", Some("dev")));
    let findings = judge(&[package("muster-hub", &[]), client]);
    assert_eq!(
        findings,
        ["muster-client -> muster-hub: this edge is not in the table"]
    );
}

#[test]
fn driver_has_one_door_outside_of_tests() {
    let mut oracle = package("muster-pki", &[]);
    oracle.dependencies.push(dependency("rustls-webpki", Some("dev")));
    let packages = [
        oracle,
        package("muster-store", &["rusqlite"]),
        package("muster-rest", &["rusqlite"]),
    ];
    assert_eq!(
        judge(&packages),
        ["muster-rest -> rusqlite: its door is muster-store"]
    );
}

#[test]
fn crate_without_a_row_or_with_an_empty_name_is_refused() {
    let findings = judge(&[package("muster-core", &[])]);
    assert_eq!(findings.len(), 2, "{findings:?}");
}

#[test]
fn feature_that_chooses_more_than_test_helpers_is_refused() {
    let mut store = package("muster-store", &[]);
    store.features.insert("testing".to_owned(), Vec::new());
    store.features.insert("postgres".to_owned(), Vec::new());
    let findings = judge(&[store]);
    assert_eq!(findings.len(), 1);
    assert!(findings[0].contains("`postgres`"), "{findings:?}");
}

#[test]
fn map_that_says_something_else_than_the_table_is_found() {
    let packages = [
        package("muster-pki", &[]),
        package("muster-model", &[]),
        package("muster-hub", &[]),
    ];
    let page = "| [`pki`](crates/pki) | Reads | – |\n| [`model`](crates/model) | Nouns | pki |\n";
    let good = format!("{page}| [`hub`](crates/hub) | Devices | model, pki (reading only) |\n");
    assert_eq!(judge_page(&good, &packages), Vec::<String>::new());
    let bad = format!("{page}| [`hub`](crates/hub) | Devices | model |\n");
    assert_eq!(judge_page(&bad, &packages).len(), 1);
    assert_eq!(
        judge_page(page, &packages),
        ["ARCHITECTURE.md: the map has no row for `hub`"]
    );
}

#[test]
fn table_has_no_cycle() {
    // Crates that use nothing that is left are taken away until none is left.
    let mut left: Vec<_> = MAY_USE.to_vec();
    while !left.is_empty() {
        let names: Vec<String> = left.iter().map(|(name, _)| name.replace("muster-", "")).collect();
        let before = left.len();
        left.retain(|(_, uses)| uses.iter().any(|used| names.iter().any(|name| name == used)));
        assert!(left.len() < before, "these use each other: {names:?}");
    }
}

#[test]
fn domain_that_reaches_for_the_machine_or_the_wire_is_found() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("src")).unwrap();
    let text = "use muster_wire::document::Twin;\nuse muster_wire::topic;\n// tokio::spawn in a comment\n\
                tokio::spawn(task);\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
    std::fs::write(folder.path().join("src/lib.rs"), text).unwrap();
    std::fs::write(folder.path().join("src/tests.rs"), "use std::fs;\n").unwrap();
    let findings = judge_sources("muster-hub", folder.path()).unwrap();
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(
        findings[0].contains("src/lib.rs:2: a domain uses `wire::document` only"),
        "{findings:?}"
    );
    assert!(
        findings[1].contains("src/lib.rs:4: `tokio::spawn`"),
        "{findings:?}"
    );
    assert_eq!(
        judge_sources("muster-bus", folder.path()).unwrap(),
        Vec::<String>::new()
    );
}
