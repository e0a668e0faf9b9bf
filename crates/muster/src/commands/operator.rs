//! `muster operator`: the operator's credential.

use clap::{Args, Subcommand};

use crate::cli::{DataArgs, Outcome, say};
use crate::server::clock::system_random;
use crate::server::data_dir::DataDir;

/// Manages the operator's credential.
#[derive(Args, Debug)]
pub(crate) struct OperatorArgs {
    #[command(subcommand)]
    command: OperatorCommand,
    #[command(flatten)]
    data: DataArgs,
}

#[derive(Debug, Subcommand)]
enum OperatorCommand {
    /// Draws a new token; the old one ends when the server starts the next time.
    Rotate,
}

pub(crate) fn run(args: &OperatorArgs) -> Outcome {
    let OperatorCommand::Rotate = args.command;
    let data = DataDir::new(args.data.data.clone());
    let lock = data.lock()?;
    data.check_modes()?;
    data.new_operator_token(&system_random()?)?;
    drop(lock);
    say(&format!(
        "the new token lies in {}",
        data.operator_token().display()
    ));
    Ok(())
}
