//! Chores of the project, typed as `cargo xtask <chore>`; without a chore, the list of them.
//!
//! The pipeline (`.ci/run`) and a contributor type the same commands, so that neither knows a step that the other lacks.
//! This crate deliberately uses no crate of the product: it builds in seconds, also while one of them does not.
//! It reads and prints; the only files it writes are generated ones, the private Python environments and `target`.

#![expect(
    clippy::disallowed_methods,
    reason = "a chore reads the environment and measures its own duration; nothing here is simulated"
)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the terminal is where a chore reports"
)]

mod bench;
mod deny;
mod deps;
mod error;
mod fuzz;
mod generate;
mod metadata;
mod needs;
mod shell;
mod source;
mod suite;
mod tidy;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::error::Result;

/// Chores of the project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    chore: Option<Chore>,
}

#[derive(Subcommand)]
enum Chore {
    /// Run the benches and print one row each: goal, measured, reached or not
    Bench(bench::Options),
    /// Check dependencies against deny.toml: licences, sources, versions, banned crates
    Deny,
    /// Check that crates use each other, and foreign drivers, only as the architecture allows
    Deps,
    /// Replay the kept fuzz corpora and fuzz each target for some seconds
    Fuzz(fuzz::Options),
    /// Write the files that are generated from the code
    Generate(generate::Options),
    /// Install what the tests need, build the binary and run every test
    Test(suite::Options),
    /// Check what no compiler checks: module heads, sizes, words, endings
    Tidy,
}

fn main() -> ExitCode {
    let Some(chore) = Arguments::parse().chore else {
        println!("{}", Arguments::command().render_help());
        return ExitCode::SUCCESS;
    };
    match run(chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> Result<()> {
    match chore {
        Chore::Bench(options) => bench::run(&options),
        Chore::Deny => deny::run(),
        Chore::Deps => deps::run(),
        Chore::Fuzz(options) => fuzz::run(&options),
        Chore::Generate(options) => generate::run(&options),
        Chore::Test(options) => suite::run(&options),
        Chore::Tidy => tidy::run(),
    }
}
