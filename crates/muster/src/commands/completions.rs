//! `muster completions`: scripts that complete commands in a shell.

use clap::{Args, CommandFactory};

use crate::cli::{Cli, Outcome};

/// Writes completions for a shell to standard output.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  muster completions bash > /etc/bash_completion.d/muster")]
pub(crate) struct CompletionsArgs {
    /// The shell.
    shell: clap_complete::Shell,
}

#[expect(clippy::unnecessary_wraps, reason = "every command ends in one form")]
pub(crate) fn run(args: &CompletionsArgs) -> Outcome {
    clap_complete::generate(
        args.shell,
        &mut Cli::command(),
        "muster",
        &mut std::io::stdout().lock(),
    );
    Ok(())
}
