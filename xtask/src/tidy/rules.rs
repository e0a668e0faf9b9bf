//! The rules, each a function from content to findings. None reads a file: that makes them easy to try.

use super::words::{self, WORDS};
use crate::metadata::Package;
use crate::source;

/// Longest source file without its tests, in lines, unless its head says why.
const LONGEST_FILE: usize = 700;
/// Longest test module at the end of a source file, in lines; longer ones go to a file of their own.
const LONGEST_TEST_MODULE: usize = 200;
/// The words with which a head gives the reason for a longer file.
const REASON_FOR_LENGTH: &str = "One file, because";
/// Packages whose examples in comments are run; elsewhere they cost more build time than they find.
const WITH_DOCTESTS: &[&str] = &["muster-model", "muster-pki"];

/// Judges one file by its name, content and run bit.
pub(super) fn file(name: &str, bytes: &[u8], executable: bool) -> Vec<String> {
    let mut findings = Vec::new();
    if executable && !bytes.starts_with(b"#!") {
        findings.push(format!("{name}: has the run bit and is no script"));
    }
    if is_captured(name) || bytes.is_empty() {
        return findings;
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return findings;
    };
    if text.contains('\0') {
        return findings;
    }
    endings(name, text, &mut findings);
    if !is_lock(name) {
        words(name, text, &mut findings);
    }
    if has_extension(name, "rs") {
        rust(name, text, &mut findings);
    }
    findings
}

/// Judges the tree by the names of its files.
pub(super) fn tree(files: &[String]) -> Vec<String> {
    let mut findings = Vec::new();
    let has = |name: &str| files.iter().any(|file| file == name);
    for page in [
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "SECURITY.md",
    ] {
        if !has(page) {
            findings.push(format!("{page}: is missing"));
        }
    }
    if !files.iter().any(|file| is_fragment(file)) {
        findings.push(
            "changes/unreleased: has no fragment; say who is affected, how to know, what to do".to_owned(),
        );
    }
    findings.extend(numbered(files, "docs/decisions/"));
    findings.extend(numbered(files, "changes/unreleased/"));
    findings
}

/// Judges what the front page must say.
pub(super) fn readme(text: &str) -> Option<String> {
    let said = text.split_whitespace().collect::<Vec<_>>().join(" ");
    (!said.contains("not affiliated with Microsoft"))
        .then(|| "README.md: does not say that the project is not affiliated with Microsoft".to_owned())
}

/// Judges what cargo builds: examples in comments, and how many programs the tests of a crate are.
pub(super) fn targets(packages: &[Package]) -> Vec<String> {
    let mut findings = Vec::new();
    for package in packages.iter().filter(|package| package.name != "muster-tests") {
        let is_library = |kind: &String| kind == "lib";
        for target in package
            .targets
            .iter()
            .filter(|target| target.kind.iter().any(is_library))
        {
            if target.doctest && !WITH_DOCTESTS.contains(&package.name.as_str()) {
                findings.push(format!("{}: set `doctest = false` under [lib]", package.name));
            }
        }
        let suites = package
            .targets
            .iter()
            .filter(|target| target.kind.iter().any(|kind| kind == "test"))
            .count();
        if suites > 1 {
            findings.push(format!(
                "{}: {suites} test programs; one is enough, with a module for each subject",
                package.name
            ));
        }
    }
    findings
}

fn endings(name: &str, text: &str, findings: &mut Vec<String>) {
    if text.contains('\r') {
        findings.push(format!(
            "{name}: has carriage returns; lines end with a line feed"
        ));
    }
    if !text.ends_with('\n') {
        findings.push(format!("{name}: does not end with a line feed"));
    }
    for (index, line) in text.lines().enumerate() {
        if line.ends_with([' ', '\t']) {
            findings.push(format!(
                "{name}:{}: white space at the end of the line",
                index + 1
            ));
        }
    }
}

fn words(name: &str, text: &str, findings: &mut Vec<String>) {
    let all: Vec<(String, &str)> = WORDS
        .iter()
        .map(|word| (word.pieces.concat(), word.why))
        .collect();
    for (index, line) in text.lines().enumerate() {
        for (word, why) in &all {
            if words::holds(line, word) {
                findings.push(format!("{name}:{}: `{word}`: {why}", index + 1));
            }
        }
        let is_prose = has_extension(name, "md") || line.contains("//");
        if is_prose && words::names_an_issue(line) {
            findings.push(format!(
                "{name}:{}: names an issue by number; say the reason itself",
                index + 1
            ));
        }
    }
}

fn rust(name: &str, text: &str, findings: &mut Vec<String>) {
    let head: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
    if head.is_empty() && !is_build_script(name) {
        findings.push(format!(
            "{name}: begins with no `//!`: what it is for, and what it does not do"
        ));
    }
    let without_tests = source::lines_without_tests(text);
    if !is_test_code(name) {
        let lines = without_tests;
        if lines > LONGEST_FILE && !head.iter().any(|line| line.contains(REASON_FOR_LENGTH)) {
            findings.push(format!(
                "{name}: {lines} lines without tests; split it, or let its head say \"{REASON_FOR_LENGTH} ...\""
            ));
        }
        let tests = text.lines().count() - without_tests;
        if tests > LONGEST_TEST_MODULE {
            findings.push(format!(
                "{name}: {tests} lines of tests; move them to a sibling `tests.rs`"
            ));
        }
    }
    for (line, test) in source::tests(text) {
        if test.starts_with("test_") || test.split('_').count() < 2 {
            findings.push(format!("{name}:{line}: `{test}` is no sentence; say what holds"));
        }
    }
    let idle = ["#[", "ignore]"].concat();
    for (index, line) in text.lines().enumerate() {
        if line.trim() == idle {
            findings.push(format!(
                "{name}:{}: a test is left out and does not say why",
                index + 1
            ));
        }
    }
}

/// Finds two files of one folder that begin with the same four digits, or with none.
fn numbered(files: &[String], folder: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let mut taken: Vec<&str> = Vec::new();
    for file in files.iter().filter(|file| has_extension(file, "md")) {
        let Some(name) = file.strip_prefix(folder) else {
            continue;
        };
        match name.split_once('-') {
            Some((number, _)) if number.len() == 4 && number.bytes().all(|digit| digit.is_ascii_digit()) => {
                if taken.contains(&number) {
                    findings.push(format!("{file}: another file has the number {number}"));
                }
                taken.push(number);
            }
            _ => findings.push(format!("{file}: is named NNNN-title.md")),
        }
    }
    findings
}

fn is_fragment(name: &str) -> bool {
    name.starts_with("changes/unreleased/") && has_extension(name, "md")
}

/// Bytes that came from elsewhere and are kept as they came.
fn is_captured(name: &str) -> bool {
    ["/data/", "/corpus/", "/testdata/", "/upgrade/"]
        .iter()
        .any(|part| name.contains(part))
}

fn is_lock(name: &str) -> bool {
    has_extension(name, "lock") || name.ends_with("package-lock.json")
}

fn is_build_script(name: &str) -> bool {
    name == "build.rs" || name.ends_with("/build.rs")
}

fn is_test_code(name: &str) -> bool {
    name.ends_with("tests.rs")
        || name
            .split('/')
            .any(|part| matches!(part, "benches" | "fuzz" | "test" | "tests"))
}

fn has_extension(name: &str, extension: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, found)| found == extension)
}
