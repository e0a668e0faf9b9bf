//! The binary: command line, configuration, wiring, lifecycle.

mod cli;
mod commands;
mod serve;
mod server;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cli::Cli::parse().run()
}
