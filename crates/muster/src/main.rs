//! The binary: command line, configuration, wiring, lifecycle.

mod cli;
mod commands;
mod serve;
mod server;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

/// Serving is thousands of small blocks a millisecond, some of which one thread takes and another gives back; the
/// system's allocator takes a seventh of a server's time for them.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::Cli::parse().run()
}
