//! `muster ca`: the certificate that clients must trust.

use clap::Args;

use crate::cli::{DataArgs, Failure, Outcome, print};
use crate::server::data_dir::DataDir;

/// Prints the server's root certificate in PEM; with `--path`, where it lies.
#[derive(Args, Debug)]
pub(crate) struct CaArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Prints the path of the file instead of its content.
    #[arg(long)]
    path: bool,
}

pub(crate) fn run(args: &CaArgs) -> Outcome {
    let path = DataDir::new(args.data.data.clone()).root_certificate();
    let pem = std::fs::read_to_string(&path).map_err(|e| {
        Failure::new(format!(
            "{}: {e}; the first `muster serve` makes it",
            path.display()
        ))
    })?;
    if args.path {
        print(&path.display().to_string())
    } else {
        print(pem.trim_end())
    }
}
