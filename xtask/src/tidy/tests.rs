//! Each rule is tried on a file that keeps it and on one that does not.

use std::path::PathBuf;

use super::rules::{file, readme, targets, tree};
use super::words::{WORDS, holds, names_an_issue};
use crate::metadata::{Package, Target};

const GOOD: &str =
    "//! A head.\n\nfn a() {}\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn says_what_holds() {}\n}\n";

fn findings(name: &str, text: &str) -> Vec<String> {
    file(name, text.as_bytes(), false)
}

#[test]
fn a_good_file_has_no_finding() {
    assert_eq!(findings("crates/a/src/lib.rs", GOOD), Vec::<String>::new());
    assert_eq!(
        file(".ci/run", b"#!/usr/bin/env bash\n", true),
        Vec::<String>::new()
    );
}

#[test]
fn a_module_without_a_head_is_found() {
    let found = findings("crates/a/src/lib.rs", "fn a() {}\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("begins with no"), "{found:?}");
}

#[test]
fn a_long_file_needs_a_reason_and_its_tests_do_not_count() {
    let body = "fn a() {}\n".repeat(701);
    assert_eq!(findings("src/a.rs", &format!("//! Head.\n{body}")).len(), 1);
    assert!(
        findings(
            "src/a.rs",
            &format!("//! Head.\n//! One file, because it is a table.\n{body}")
        )
        .is_empty()
    );
    assert!(findings("crates/a/tests/a.rs", &format!("//! Head.\n{body}")).is_empty());
    let tests = "    fn a() {}\n".repeat(190);
    let most = "fn a() {}\n".repeat(690);
    assert!(
        findings(
            "src/a.rs",
            &format!("//! Head.\n{most}#[cfg(test)]\nmod tests {{\n{tests}}}\n")
        )
        .is_empty()
    );
    assert_eq!(
        findings(
            "src/a.rs",
            &format!("//! Head.\n#[cfg(test)]\nmod tests {{\n{tests}{tests}}}\n")
        )
        .len(),
        1
    );
}

#[test]
fn every_forbidden_word_is_found_alone_and_not_inside_another() {
    for word in WORDS {
        let word = word.pieces.concat();
        let found = findings("docs/a.md", &format!("See {word} here.\n"));
        assert!(found.iter().any(|finding| finding.contains(&word)), "{word}");
    }
    assert!(!holds("the mastodon", &["TO", "DO"].concat()));
    assert!(!holds("MASTODONS", &["TO", "DO"].concat()));
    assert!(!holds("fuzz/target/framework/", &["/wo", "rk/"].concat()));
    assert!(holds(&["in /wo", "rk/a"].concat(), &["/wo", "rk/"].concat()));
}

#[test]
fn numbers_of_a_tracker_are_found_in_prose_only() {
    assert!(names_an_issue("as issue 12 says"));
    assert!(names_an_issue("see (#12)"));
    assert!(names_an_issue(&["    /", "/ is", "sue 3"].concat()));
    assert!(!names_an_issue(
        "Source: Azure CLI issue 19197, and azure-docs issue 7"
    ));
    assert!(!names_an_issue(
        "PKCS#12, # 12, #[cfg], #123456 and an issue with 3 parts"
    ));
    assert!(!findings("docs/a.md", "See #12.\n").is_empty());
    assert!(findings("a.css", "color: #123\n").is_empty());
}

#[test]
fn endings_are_line_feeds_and_nothing_before_them() {
    assert_eq!(findings("a.md", "a\r\n").len(), 1);
    assert_eq!(findings("a.md", "a").len(), 1);
    assert_eq!(findings("a.md", "a \n").len(), 1);
    assert!(findings("crates/pki/tests/data/a.txt", "a \r\n").is_empty());
    assert!(file("a.png", b"\x89PNG\r\n", false).is_empty());
}

#[test]
fn the_run_bit_is_for_scripts() {
    assert_eq!(file("a.md", b"a\n", true).len(), 1);
}

#[test]
fn a_test_is_named_as_a_sentence_and_runs() {
    let text = "//! Head.\n#[test]\nfn works() {}\n#[test]\nfn test_of_the_thing() {}\n";
    assert_eq!(findings("crates/a/tests/a.rs", text).len(), 2);
    let idle = ["//! Head.\n#[", "ignore]\nfn holds_it_is_said() {}\n"].concat();
    assert_eq!(findings("crates/a/tests/a.rs", &idle).len(), 1);
}

#[test]
fn pages_fragments_and_numbers_are_asked_for() {
    let pages = [
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "SECURITY.md",
    ];
    let mut files: Vec<String> = pages.iter().map(|page| (*page).to_owned()).collect();
    assert_eq!(tree(&files).len(), 1);
    files.push("changes/unreleased/0001-first.md".to_owned());
    assert!(tree(&files).is_empty());
    files.extend(
        [
            "docs/decisions/0001-a.md",
            "docs/decisions/0001-b.md",
            "docs/decisions/c.md",
        ]
        .map(str::to_owned),
    );
    assert_eq!(tree(&files).len(), 2);
}

#[test]
fn the_front_page_says_whose_project_it_is_not() {
    assert_eq!(readme("This project is not affiliated\nwith Microsoft."), None);
    assert!(readme("A server.").is_some());
}

#[test]
fn one_test_program_and_no_examples_outside_of_two_crates() {
    let target = |name: &str, kind: &str, doctest| Target {
        name: name.to_owned(),
        kind: vec![kind.to_owned()],
        doctest,
    };
    let package = |name: &str, targets| Package {
        name: name.to_owned(),
        manifest_path: PathBuf::from("Cargo.toml"),
        dependencies: Vec::new(),
        targets,
        features: std::collections::BTreeMap::new(),
    };
    let good = package(
        "muster-pki",
        vec![target("pki", "lib", true), target("a", "test", false)],
    );
    assert!(targets(&[good]).is_empty());
    let bad = package(
        "muster-hub",
        vec![
            target("hub", "lib", true),
            target("a", "test", false),
            target("b", "test", false),
        ],
    );
    assert_eq!(targets(&[bad]).len(), 2);
}
