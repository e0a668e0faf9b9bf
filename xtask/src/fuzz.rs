//! Fuzz targets: builds them on the pinned stable compiler, replays their kept corpora, and lets each run for a while, as
//! many at once as there are cores.
//!
//! The targets are a workspace of their own (`fuzz/`), because every crate below them is compiled with coverage
//! counters; their target directory is kept apart, so that the ordinary build is not disturbed. What a run finds goes
//! to the target directory; only a person moves an input into `fuzz/corpus`, so that a test never changes the tree.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;

use clap::Args;

use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::{needs, shell};

/// What the compiler needs so that libFuzzer sees edges and comparisons. All of it is stable; the last four are LLVM's
/// own options, so a change of the pinned compiler is a reason to see whether a planted fault is still found.
const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Which targets run, and for how long.
#[derive(Args)]
pub(crate) struct Options {
    /// How long each target runs, in seconds; 0 replays the corpora only
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// One target; all of them when left out
    target: Option<String>,
}

impl Options {
    /// All targets, for so many seconds each.
    pub(crate) fn every_target(seconds: u32) -> Self {
        Self {
            seconds,
            target: None,
        }
    }
}

/// Builds the targets, replays their corpora and fuzzes.
///
/// # Errors
/// When there is no such target, it does not build, or it finds an input that makes the code fail.
pub(crate) fn run(options: &Options) -> Result<()> {
    let all = targets(&shell::root().join("fuzz/fuzz_targets"))?;
    let chosen: Vec<&String> = match &options.target {
        None => all.iter().collect(),
        Some(name) => vec![
            all.iter()
                .find(|known| *known == name)
                .ok_or_else(|| Error::NoSuch {
                    kind: "fuzz target",
                    name: name.clone(),
                    known: all.join(", "),
                })?,
        ],
    };
    needs::programs(needs::FUZZ)?;
    lock()?;
    let folder = Metadata::read()?.target_directory.join("fuzz");
    // Naming the platform keeps the flags away from build scripts and procedural macros.
    let platform = platform()?;
    shell::run(
        shell::cargo()
            .args([
                "build",
                "--release",
                "--locked",
                "--bins",
                "--manifest-path",
                "fuzz/Cargo.toml",
            ])
            .args(["--target", &platform])
            .arg("--target-dir")
            .arg(&folder)
            .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}")),
    )?;
    together(&chosen, |target| one(target, &folder, &platform, options.seconds))
}

/// Runs `each` for every target, as many at once as the machine has cores. Goes on after a failure, so that one run tells
/// of all.
///
/// # Errors
/// The first failure in the order of the targets.
fn together(targets: &[&String], each: impl Fn(&str) -> Result<()> + Sync) -> Result<()> {
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let waiting = Mutex::new(targets.iter().enumerate());
    let failed = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..workers.min(targets.len()) {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((place, target)) = next else { break };
                    if let Err(error) = each(target) {
                        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                        failed.insert(place, error);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.into_values().next().map_or(Ok(()), Err)
}

/// Brings `fuzz/Cargo.lock` in line with the product's, so that what is fuzzed is what is shipped.
///
/// It is not kept in the tree: the versions are those of the root's lock file, the two crates that only the targets use
/// are pinned in their manifest, and nothing is left to choose.
///
/// # Errors
/// When a file cannot be written, or cargo cannot complete the list.
pub(crate) fn lock() -> Result<()> {
    let root = shell::root();
    let read = |name: &str| fs::read(root.join(name)).map_err(Error::file(root.join(name)));
    let product = read("Cargo.lock")?;
    let made_from = [product.as_slice(), &read("fuzz/Cargo.toml")?].concat();
    let folder = Metadata::read()?.target_directory.join("fuzz");
    let note = folder.join("lock-made-from");
    let list = root.join("fuzz/Cargo.lock");
    if list.is_file() && fs::read(&note).is_ok_and(|found| found == made_from) {
        return Ok(());
    }
    fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
    fs::write(&list, product).map_err(Error::file(&list))?;
    let mut complete = shell::cargo();
    complete.args([
        "metadata",
        "--quiet",
        "--format-version",
        "1",
        "--manifest-path",
        "fuzz/Cargo.toml",
    ]);
    shell::output(&mut complete)?;
    fs::write(&note, made_from).map_err(Error::file(&note))
}

fn one(target: &str, folder: &Path, platform: &str, seconds: u32) -> Result<()> {
    let program = folder.join(platform).join("release").join(target);
    let kept = shell::root().join("fuzz/corpus").join(target);
    let found = folder.join("corpus").join(target);
    let failures = folder.join("failures");
    for needed in [&found, &failures] {
        fs::create_dir_all(needed).map_err(Error::file(needed))?;
    }
    let mut command = shell::command(program);
    command.args([
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-max_len=65536",
        "-verbosity=0",
        "-print_final_stats=1",
    ]);
    command.arg(format!("-artifact_prefix={}/{target}-", failures.display()));
    if seconds == 0 {
        command.arg("-runs=0");
    } else {
        command.arg(format!("-max_total_time={seconds}"));
    }
    // The first folder is where new inputs are written; the second is only read.
    command.arg(&found);
    if kept.is_dir() {
        command.arg(&kept);
    }
    let log = folder.join(format!("{target}.log"));
    command.stderr(fs::File::create(&log).map_err(Error::file(&log))?);
    let outcome = shell::run(&mut command);
    let text = fs::read(&log).map_err(Error::file(&log))?;
    let text = String::from_utf8_lossy(&text);
    // One call, for others print meanwhile.
    match &outcome {
        Ok(()) => println!(
            "fuzz {target}: {} inputs in {seconds} s, none failed",
            tried(&text)
        ),
        Err(_) => println!("fuzz {target}: FAILED\n{}", failure(&text)),
    }
    outcome
}

/// Takes out of libFuzzer's long report how many inputs were tried.
fn tried(text: &str) -> &str {
    text.lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))
        .map_or("no", str::trim)
}

/// Cuts a failure out of a report: from the panic on, or the end where there was none, within a bound.
fn failure(text: &str) -> String {
    const LONGEST: usize = 100;
    let lines: Vec<&str> = text.lines().collect();
    let panic = lines.iter().position(|line| line.contains("panicked at"));
    let from = panic.unwrap_or_else(|| lines.len().saturating_sub(LONGEST));
    lines[from..]
        .iter()
        .take(LONGEST)
        .copied()
        .collect::<Vec<_>>()
        .join("\n")
}

/// Returns the names of the targets, one per file, in alphabetical order.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::file(folder))? {
        let path = entry.map_err(Error::file(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "rs")
            && let Some(name) = path.file_stem()
        {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn platform() -> Result<String> {
    let mut command = shell::command("rustc");
    let text = shell::output(command.arg("-vV"))?;
    let text = String::from_utf8_lossy(&text);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Error::NoSuch {
        kind: "line of `rustc -vV`",
        name: "host".to_owned(),
        known: text.replace('\n', ", "),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{Error, failure, targets, together, tried};

    #[test]
    fn each_source_file_is_a_target() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["token.rs", "chain.rs", "README.md"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(targets(folder.path()).unwrap(), ["chain", "token"]);
    }

    #[test]
    fn every_target_runs_and_the_first_failure_is_told() {
        let names: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        let names: Vec<&String> = names.iter().collect();
        let runs = AtomicUsize::new(0);
        let outcome = together(&names, |name| {
            runs.fetch_add(1, Ordering::Relaxed);
            match name {
                "7" | "19" => Err(Error::Findings {
                    chore: "fuzz",
                    count: name.parse().unwrap(),
                }),
                _ => Ok(()),
            }
        });
        assert_eq!(runs.into_inner(), 20);
        assert!(matches!(outcome, Err(Error::Findings { count: 7, .. })));
        assert!(together(&names, |_| Ok(())).is_ok());
        assert_eq!(tried("a\nstat::number_of_executed_units: 12\nb"), "12");
    }

    #[test]
    fn a_report_is_cut_at_the_panic_and_else_at_its_end() {
        assert_eq!(
            failure("INFO: seed\nthread panicked at a.rs\nwhy"),
            "thread panicked at a.rs\nwhy"
        );
        let long = "line\n".repeat(500);
        assert_eq!(failure(&format!("first\n{long}last")).lines().count(), 100);
        assert!(failure(&format!("first\n{long}last")).ends_with("last"));
    }

    #[test]
    fn a_missing_folder_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = targets(&folder.path().join("gone")).unwrap_err();
        assert!(error.to_string().contains("gone"));
    }
}
