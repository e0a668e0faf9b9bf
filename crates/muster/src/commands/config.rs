//! `muster config`: looks at the configuration without starting anything.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use muster_model::Clock;

use crate::cli::{DataArgs, Failure, Outcome, print};
use crate::server::clock::SystemClock;
use crate::server::config::{Config, default_path};
use crate::server::own_certificates::Own;

/// Looks at the configuration.
#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
    #[command(flatten)]
    data: DataArgs,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Reads the configuration and tells everything that is wrong with it.
    Check {
        /// The file; `muster.toml` in the data directory when left out.
        file: Option<PathBuf>,
    },
}

pub(crate) fn run(args: ConfigArgs) -> Outcome {
    let ConfigCommand::Check { file } = args.command;
    let path = file.unwrap_or_else(|| default_path(&args.data.data));
    let config = Config::load(Some(&path))?;
    let now = SystemClock::new().wall();
    let problems: Vec<String> = config
        .tls
        .certificates
        .iter()
        .filter_map(|own| match Own::load(own, now) {
            Ok(own) => own.lapsed(now),
            Err(error) => Some(error.to_string()),
        })
        .map(|problem| format!("{}: tls.certificates: {problem}", path.display()))
        .collect();
    if !problems.is_empty() {
        return Err(Failure::new(problems.join("\n")));
    }
    print(&format!("{}: good", path.display()))
}
