//! The table of the run: what came out, beside what the ledger and the page say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::cell::{BACK_END_STEPS, Fate, Row, Sdk, Step};
use super::judge::Verdict;

/// What every cell that ran came to.
pub(crate) type Verdicts = BTreeMap<(Row, Step), Verdict>;

/// The columns of the first table, in the order in which a reader thinks of them.
const COLUMNS: &[Step] = &[
    Step::Provision,
    Step::ProvisionRefused,
    Step::Send,
    Step::Reconnect,
    Step::Takeover,
    Step::Outlive,
    Step::Refused,
];

const TAKES: &str = "a string takes everything";

const HEAD: &str = "\
# Compatibility

The vendor's SDKs, unchanged and at pinned versions, against Muster: what each does over each transport with each kind of
credential. The test suite runs the cells and writes this page from what came out; it fails when the page says something
else, and when a cell departs from it. `tests/sdk` holds the programs.

- **yes**: as it must be. Where a message is sent, the same is read back: every byte of the body, every system and
  application property, every annotation.
- **no**: a known difference, with its reason below.
- **later**: the server does not have the transport yet.
- **–**: cannot exist, for the reason below.
";

/// Known differences: a cell, and why it fails.
pub(crate) struct Ledger(BTreeMap<String, String>);

impl FromIterator<(String, String)> for Ledger {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl Ledger {
    /// Reads `tests/expectations.toml`.
    pub(crate) fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("expectations.toml");
        let text = fs::read_to_string(&path).expect("the ledger");
        let table: toml::Table = text.parse().expect("a ledger in TOML");
        let entries = table
            .get("sdk")
            .and_then(toml::Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        let text = |entry: &toml::Value, name: &str| {
            let value = entry.get(name).and_then(toml::Value::as_str);
            value
                .unwrap_or_else(|| panic!("an entry of the ledger has no {name}: {entry}"))
                .to_owned()
        };
        entries
            .iter()
            .map(|entry| (text(entry, "cell"), text(entry, "reason")))
            .collect()
    }

    /// Says what is wrong with the run: what failed and is not listed, what passed and is listed, what is listed and did
    /// not run. A run of a part judges only what ran.
    pub(crate) fn judge(&self, verdicts: &Verdicts, whole: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut ran = BTreeSet::new();
        for ((row, step), verdict) in verdicts {
            let cell = row.cell(*step);
            match (verdict, self.0.contains_key(&cell)) {
                (Ok(()), true) => wrong.push(format!("{cell}: passes, and the ledger says that it fails")),
                (Err(why), false) => wrong.push(format!("{cell}: {why}")),
                _ => {}
            }
            ran.insert(cell);
        }
        if whole {
            wrong.extend(
                self.0
                    .keys()
                    .filter(|cell| !ran.contains(*cell))
                    .map(|cell| format!("{cell}: stands in the ledger and does not run")),
            );
        }
        wrong
    }
}

/// Writes the page.
pub(crate) fn page(rows: &[Row], verdicts: &Verdicts, ledger: &Ledger) -> String {
    let mut page = HEAD.to_owned();
    let mut notes = Notes::default();
    let (back_ends, devices): (Vec<Row>, Vec<Row>) = rows
        .iter()
        .copied()
        .partition(|row| row.steps() == BACK_END_STEPS);
    page.push_str("\n## Devices\n\n");
    table(&mut page, &mut notes, &devices, COLUMNS, verdicts, ledger);
    page.push_str("\n## Back ends\n\n");
    table(
        &mut page,
        &mut notes,
        &back_ends,
        BACK_END_STEPS,
        verdicts,
        ledger,
    );
    page.push_str("\n## Notes\n\n");
    for (number, note) in notes.0.iter().enumerate() {
        writeln!(page, "{}. {}.", number + 1, capitalised(note)).expect(TAKES);
    }
    page
}

/// Says where the page of this run lies, and whether the documentation says the same.
pub(crate) fn compare(page: &str) -> Option<String> {
    let fresh = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compatibility.md");
    fs::write(&fresh, page).expect("to write the page");
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compatibility.md");
    let same = fs::read_to_string(&kept).is_ok_and(|kept| kept == page);
    (!same).then(|| {
        format!(
            "docs/compatibility.md says something else than this run: cp {} docs/compatibility.md",
            fresh.display()
        )
    })
}

/// Reasons, each with the number that it got when it was first needed.
#[derive(Default)]
struct Notes(Vec<String>);

impl Notes {
    fn number(&mut self, note: &str) -> usize {
        if let Some(found) = self.0.iter().position(|known| known == note) {
            return found + 1;
        }
        self.0.push(note.to_owned());
        self.0.len()
    }
}

fn table(
    page: &mut String,
    notes: &mut Notes,
    rows: &[Row],
    columns: &[Step],
    verdicts: &Verdicts,
    ledger: &Ledger,
) {
    let mut line = |cells: Vec<String>| writeln!(page, "| {} |", cells.join(" | ")).expect(TAKES);
    let heads = ["SDK", "Transport", "Credential"].into_iter();
    line(
        heads
            .chain(columns.iter().map(|step| step.title()))
            .map(str::to_owned)
            .collect(),
    );
    line(vec!["---".to_owned(); columns.len() + 3]);
    for row in rows {
        let mut cells = vec![
            versioned(row.sdk),
            row.transport.title().to_owned(),
            row.proof.title().to_owned(),
        ];
        cells.extend(
            columns
                .iter()
                .map(|step| cell(notes, *row, *step, verdicts, ledger)),
        );
        line(cells);
    }
}

fn cell(notes: &mut Notes, row: Row, step: Step, verdicts: &Verdicts, ledger: &Ledger) -> String {
    match row.fate(step) {
        Fate::Never(reason) => format!("– ({})", notes.number(reason)),
        Fate::Pending(reason) => format!("later ({})", notes.number(reason)),
        Fate::Runs => match verdicts.get(&(row, step)) {
            Some(Ok(())) => "yes".to_owned(),
            Some(Err(_)) => match ledger.0.get(&row.cell(step)) {
                Some(reason) => format!("no ({})", notes.number(reason)),
                None => "no".to_owned(),
            },
            None => "not run".to_owned(),
        },
    }
}

/// The name of a library with the version that is pinned.
fn versioned(sdk: Sdk) -> String {
    let (list, package) = match sdk {
        Sdk::EventsNode => ("sdk/node/package.json", "@azure/event-hubs"),
        Sdk::EventsPython => ("sdk/python/requirements.txt", "azure-eventhub"),
        // Debian's; every release has another.
        Sdk::Mosquitto => return sdk.title().to_owned(),
        Sdk::NodeDevice => ("sdk/node/package.json", "azure-iot-device"),
        Sdk::Paho => ("requirements.txt", "paho-mqtt"),
        Sdk::PythonDevice => ("sdk/python/requirements.txt", "azure-iot-device"),
        Sdk::Registry => ("sdk/python/requirements.txt", "azure-iot-hub"),
        Sdk::Rhea => ("sdk/node/package.json", "rhea"),
    };
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(list)).expect("a list of packages");
    let version = if list.ends_with("json") {
        let value: Value = serde_json::from_str(&text).expect("a list in JSON");
        value["dependencies"][package].as_str().map(str::to_owned)
    } else {
        text.lines()
            .find_map(|line| line.strip_prefix(package)?.strip_prefix("=="))
            .and_then(|rest| rest.split(' ').next())
            .map(str::to_owned)
    };
    let version = version.unwrap_or_else(|| panic!("{package} is not in {list}"));
    format!("{} {version}", sdk.title())
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        // A package is spelt as it is spelt.
        Some(first) if !["azure-", "mosquitto_"].iter().any(|name| text.starts_with(name)) => {
            first.to_uppercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::cell::{Proof, Row, Sdk, Step, Transport};
    use super::{Ledger, Verdicts, page};

    const ROW: Row = Row {
        sdk: Sdk::NodeDevice,
        transport: Transport::Http,
        proof: Proof::Key,
    };

    fn verdicts(sent: Result<(), String>) -> Verdicts {
        [((ROW, Step::Provision), Ok(())), ((ROW, Step::Send), sent)].into()
    }

    fn ledger(cells: &[&str]) -> Ledger {
        cells
            .iter()
            .map(|cell| ((*cell).to_owned(), "it is so".to_owned()))
            .collect()
    }

    #[test]
    fn a_failure_needs_its_line_in_the_ledger() {
        let failed = verdicts(Err("lost".to_owned()));
        assert_eq!(
            ledger(&[]).judge(&failed, true),
            ["node-device/http/key/send: lost"]
        );
        assert!(
            ledger(&["node-device/http/key/send"])
                .judge(&failed, true)
                .is_empty()
        );
    }

    #[test]
    fn a_line_of_the_ledger_needs_its_failure() {
        let passed = verdicts(Ok(()));
        let unexpected = ledger(&["node-device/http/key/send"]).judge(&passed, true);
        assert_eq!(
            unexpected,
            ["node-device/http/key/send: passes, and the ledger says that it fails"]
        );
        let absent = ledger(&["node-device/http/key/takeover"]);
        assert_eq!(absent.judge(&passed, true).len(), 1);
        assert!(
            absent.judge(&passed, false).is_empty(),
            "a part does not run everything"
        );
    }

    #[test]
    fn the_page_shows_each_cell_with_its_reason() {
        let failed = verdicts(Err("lost".to_owned()));
        let shown = page(&[ROW], &failed, &ledger(&["node-device/http/key/send"]));
        assert!(
            shown.contains("| yes | not run | no (1) | not run | – (2) | – (3) | not run |"),
            "{shown}"
        );
        assert!(shown.contains("\n1. It is so.\n"), "{shown}");
    }
}
