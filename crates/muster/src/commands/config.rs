//! `muster config`: looks at the configuration without starting anything.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::{DataArgs, Outcome, print};
use crate::server::config::{Config, default_path};

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
    Config::load(Some(&path))?;
    print(&format!("{}: good", path.display()))
}
