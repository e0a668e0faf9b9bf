//! Every normative statement of MQTT 3.1.1, by the numbers of its appendix B, and what holds it here.
//!
//! The words are ours; the standard's own stand under the number. `docs/mqtt-conformance.md` is this table for readers.
//! Source: OASIS, "MQTT Version 3.1.1", 29 October 2014, appendix B.

mod connecting;
mod messages;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// A statement and what became of it.
struct Row {
    number: &'static str,
    /// In our words.
    what: &'static str,
    how: How,
}

/// A test by its path, and the function itself, so that a name cannot outlive its test.
type Test = (&'static str, fn());

enum How {
    /// Held by tests.
    Held(&'static [Test]),
    /// The server does otherwise for a reason, and tests hold what it does.
    Otherwise(&'static str, &'static [Test]),
    /// Nothing that this server does or could do.
    Apart(&'static str),
}

/// Names tests by their modules.
macro_rules! by {
    ($($module:ident :: $test:ident),+ $(,)?) => {
        &[$((concat!(stringify!($module), "::", stringify!($test)), $module::$test as fn())),+]
    };
}

use by;

const fn row(number: &'static str, what: &'static str, how: How) -> Row {
    Row { number, what, how }
}

const CLIENT: &str = "binds clients";
const NO_QOS_2: &str = "delivery exactly once is not offered; the connection is closed, as by the vendor";
const NO_RETAIN: &str =
    "a hub retains nothing; the flag becomes the property `mqtt-retain`, as at the vendor's";
const NOTHING_QUEUED: &str = "nothing is sent at QoS 1 to a device of a hub yet, so nothing waits for it";

/// Every row, in the order of the numbers.
fn rows() -> impl Iterator<Item = &'static Row> {
    connecting::ROWS.iter().chain(messages::ROWS)
}

/// How many statements each section has, counted in the standard.
const SECTIONS: &[(&str, u32)] = &[
    ("1.5.3", 3),
    ("2.2.2", 2),
    ("2.3.1", 7),
    ("3.1.0", 2),
    ("3.1.2", 24),
    ("3.1.3", 11),
    ("3.1.4", 5),
    ("3.2.0", 1),
    ("3.2.2", 6),
    ("3.3.1", 12),
    ("3.3.2", 3),
    ("3.3.4", 1),
    ("3.3.5", 2),
    ("3.6.1", 1),
    ("3.8.1", 1),
    ("3.8.3", 4),
    ("3.8.4", 6),
    ("3.9.3", 2),
    ("3.10.1", 1),
    ("3.10.3", 2),
    ("3.10.4", 6),
    ("3.12.4", 1),
    ("3.14.1", 1),
    ("3.14.4", 3),
    ("4.1.0", 2),
    ("4.3.1", 1),
    ("4.3.2", 2),
    ("4.3.3", 2),
    ("4.4.0", 1),
    ("4.5.0", 2),
    ("4.6.0", 6),
    ("4.7.1", 3),
    ("4.7.2", 1),
    ("4.7.3", 4),
    ("4.8.0", 2),
    ("6.0.0", 4),
    ("7.0.0", 2),
];

#[test]
fn every_statement_of_the_standard_stands_in_the_table_once_and_in_order() {
    let wanted: Vec<String> = SECTIONS
        .iter()
        .flat_map(|(section, count)| (1..=*count).map(move |number| format!("{section}-{number}")))
        .collect();
    let found: Vec<&str> = rows().map(|row| row.number).collect();
    assert_eq!(found, wanted);
    for row in rows() {
        let tests = match &row.how {
            How::Held(tests) => *tests,
            How::Otherwise(why, tests) => {
                assert!(!why.is_empty(), "{}", row.number);
                *tests
            }
            How::Apart(why) => {
                assert!(!why.is_empty(), "{}", row.number);
                continue;
            }
        };
        assert!(!tests.is_empty() && !row.what.is_empty(), "{}", row.number);
        let different: BTreeSet<&str> = tests.iter().map(|(name, _)| *name).collect();
        assert_eq!(different.len(), tests.len(), "{}", row.number);
    }
}

#[test]
fn the_page_for_readers_says_what_the_table_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/mqtt-conformance.md");
    let wanted = page_text();
    if fs::read_to_string(&page).is_ok_and(|found| found == wanted) {
        return;
    }
    let written = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mqtt-conformance.md");
    fs::write(&written, wanted).expect("to write the page");
    panic!(
        "docs/mqtt-conformance.md differs from the table; what it should say is in {}",
        written.display()
    );
}

/// The table as a page.
fn page_text() -> String {
    let mut counts = [0_u32; 3];
    let mut lines = String::new();
    for row in rows() {
        let (place, said) = match &row.how {
            How::Held(tests) => (0, names(tests)),
            How::Otherwise(why, tests) => (1, format!("otherwise: {why}; {}", names(tests))),
            How::Apart(why) => (2, format!("does not apply: {why}")),
        };
        counts[place] += 1;
        writeln!(lines, "| MQTT-{} | {} | {said} |", spelled(row.number), row.what)
            .expect("a string takes everything");
    }
    let [held, otherwise, apart] = counts;
    format!(
        "# MQTT 3.1.1, statement by statement\n\n\
         Appendix B of the standard numbers what it demands. Of its {} statements {held} are held by tests, {otherwise} are\n\
         answered otherwise because devices expect an IoT hub and no general broker, and {apart} do not apply. The\n\
         statements are told in our words; tests are in `tests/tests/suite/mqtt`, which also checks that this page is\n\
         complete.\n\n\
         | Statement | What it demands | Held by |\n|---|---|---|\n{lines}",
        held + otherwise + apart
    )
}

fn names(tests: &[Test]) -> String {
    let all: Vec<String> = tests.iter().map(|(name, _)| format!("`{name}`")).collect();
    all.join(", ")
}

/// The number as the standard prints it, one slip of the pen included.
fn spelled(number: &str) -> &str {
    if number == "3.8.3-4" { "3-8.3-4" } else { number }
}
