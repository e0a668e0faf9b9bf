//! Runs the benches and gathers their rows into one table: goal, measured, reached or not.
//!
//! A bench is any bench target of the workspace. On its standard output each line of the form
//! `row: WHAT | GOAL | MEASURED | reached` (or `not reached`) is a row; other lines are passed on as they are.
//! A missed goal is shown, not failed: figures depend on the machine, and no test is timed.

use std::fmt::Write as _;
use std::fs;

use clap::Args;

use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::{generate, needs, shell};

/// Which benches are run.
#[derive(Args)]
pub(crate) struct Options {
    /// One bench by its name; all of them when left out
    name: Option<String>,
}

/// One figure against its goal.
#[derive(Debug, PartialEq)]
struct Figure {
    what: String,
    goal: String,
    measured: String,
    reached: bool,
}

/// Builds and runs the benches, prints the table, and keeps it in the target directory.
///
/// # Errors
/// When there is no such bench, or one does not build or ends badly.
pub(crate) fn run(options: &Options) -> Result<()> {
    needs::programs(needs::BENCH)?;
    let metadata = Metadata::read()?;
    let benches = benches(&metadata);
    let chosen: Vec<&(String, String)> = match &options.name {
        None => benches.iter().collect(),
        Some(name) => benches.iter().filter(|(_, bench)| bench == name).collect(),
    };
    if let (Some(name), []) = (&options.name, chosen.as_slice()) {
        let known = benches
            .iter()
            .map(|(_, bench)| bench.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        return Err(Error::NoSuch {
            kind: "bench",
            name: name.clone(),
            known,
        });
    }
    let binary = generate::build()?;
    let mut figures = Vec::new();
    for (package, bench) in chosen {
        println!("bench {bench} of {package}");
        let mut command = shell::cargo();
        // `cargo bench` would take the bench profile, a second one; the release profile is the only one in use.
        command.args([
            "bench",
            "--profile",
            "release",
            "--locked",
            "--package",
            package,
            "--bench",
            bench,
        ]);
        let text = shell::output(command.env("MUSTER_BIN", &binary))?;
        for line in String::from_utf8_lossy(&text).lines() {
            match figure(line) {
                Some(figure) => figures.push(figure),
                None => println!("{line}"),
            }
        }
    }
    let table = table(&machine(), &figures);
    println!("{table}");
    let path = metadata.target_directory.join("bench.md");
    fs::write(&path, table).map_err(Error::file(&path))?;
    println!("kept as {}", path.display());
    Ok(())
}

fn benches(metadata: &Metadata) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for package in &metadata.packages {
        for target in package
            .targets
            .iter()
            .filter(|target| target.kind.iter().any(|kind| kind == "bench"))
        {
            found.push((package.name.clone(), target.name.clone()));
        }
    }
    found
}

fn figure(line: &str) -> Option<Figure> {
    let fields: Vec<&str> = line.strip_prefix("row: ")?.split(" | ").map(str::trim).collect();
    let [what, goal, measured, outcome] = fields.as_slice() else {
        return None;
    };
    let reached = match *outcome {
        "reached" => true,
        "not reached" => false,
        _ => return None,
    };
    Some(Figure {
        what: (*what).to_owned(),
        goal: (*goal).to_owned(),
        measured: (*measured).to_owned(),
        reached,
    })
}

fn table(machine: &str, figures: &[Figure]) -> String {
    let mut text =
        format!("Measured on {machine}.\n\n| What | Goal | Measured | Reached |\n|---|---|---|---|\n");
    for Figure {
        what,
        goal,
        measured,
        reached,
    } in figures
    {
        let reached = if *reached { "yes" } else { "no" };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {what} | {goal} | {measured} | {reached} |");
    }
    text
}

/// Describes the machine: processor, how many of them, kernel.
fn machine() -> String {
    let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        text.lines().find_map(|line| {
            line.strip_prefix("model name")?
                .split(':')
                .nth(1)
                .map(|name| name.trim().to_owned())
        })
    });
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{}, {cores} cores, {} {}",
        processor.as_deref().unwrap_or("an unnamed processor"),
        std::env::consts::OS,
        kernel.trim()
    )
}

#[cfg(test)]
mod tests {
    use super::{Figure, figure, table};

    #[test]
    fn a_row_is_read_and_other_lines_are_not() {
        let read = figure("row: handshake | ≥ 75 % | 81 % | reached").unwrap();
        assert_eq!(
            (read.what.as_str(), read.goal.as_str(), read.reached),
            ("handshake", "≥ 75 %", true)
        );
        assert!(
            !figure("row: start | 200 ms | 230 ms | not reached")
                .unwrap()
                .reached
        );
        assert_eq!(figure("running 3 tests"), None);
        assert_eq!(figure("row: handshake | 75 %"), None);
        assert_eq!(figure("row: a | b | c | maybe"), None);
    }

    #[test]
    fn a_missed_goal_is_shown_in_the_table() {
        let figures = [Figure {
            what: "start".into(),
            goal: "200 ms".into(),
            measured: "230 ms".into(),
            reached: false,
        }];
        let text = table("a machine", &figures);
        assert!(text.ends_with("| start | 200 ms | 230 ms | no |\n"), "{text}");
    }
}
