//! `cargo xtask test`: everything that a test needs, then every test there is.
//!
//! The binary is built first, so that the black-box suites start what a user would start. Fuzz targets come last:
//! their corpora are replayed and each runs some seconds.

use clap::Args;

use crate::error::Result;
use crate::{fuzz, generate, needs, shell};

/// Which tests are run.
#[derive(Args)]
pub(crate) struct Options {
    /// How long each fuzz target runs, in seconds; 0 replays the corpora only
    #[arg(long, default_value_t = 10)]
    fuzz_seconds: u32,
    /// Leave the fuzz targets out
    #[arg(long)]
    no_fuzz: bool,
    /// Further arguments for `cargo test`, such as a part of a test's name
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Installs what is missing, builds, and tests.
///
/// # Errors
/// When something needed cannot be had, does not build, or a test fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    needs::programs(needs::TEST)?;
    let strangers = needs::python("tests/.venv", &["tests/requirements.txt"])?;
    let sdks = needs::python(
        "tests/sdk/python/.venv",
        &["tests/sdk/python/build.txt", "tests/sdk/python/requirements.txt"],
    )?;
    let node = needs::node("tests/sdk/node")?;
    let binary = generate::build()?;
    shell::run(
        shell::cargo()
            .args(["test", "--release", "--locked", "--workspace", "--no-fail-fast"])
            .args(&options.arguments)
            .env("MUSTER_BIN", binary)
            .env("MUSTER_TEST_NODE", node)
            .env("MUSTER_TEST_PYTHON", strangers.join("bin/python"))
            .env("MUSTER_TEST_SDK_PYTHON", sdks.join("bin/python")),
    )?;
    if options.no_fuzz {
        return Ok(());
    }
    fuzz::run(&fuzz::Options::every_target(options.fuzz_seconds))
}
