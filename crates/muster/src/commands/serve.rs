//! `muster serve`: starts the server.

use clap::Args;

use crate::cli::Outcome;

/// Starts the server.
#[derive(Args, Debug)]
pub(crate) struct ServeArgs {}

pub(crate) fn run(_args: ServeArgs) -> Outcome {
    Ok(())
}
