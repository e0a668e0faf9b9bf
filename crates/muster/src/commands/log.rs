//! `muster log`: looks into the event log of a server that does not run, and mends it.

use std::sync::Arc;

use clap::{Args, Subcommand};
use muster_bus::log::{Options, RealDisk, inspect, repair};
use muster_model::Clock;
use muster_resources::Store;
use muster_store::{MasterKey, MasterKeys, Registry};

use crate::cli::{DataArgs, Failure, Outcome, print};
use crate::serve::incarnation;
use crate::server::clock::{SystemClock, system_random};
use crate::server::data_dir::DataDir;

/// Looks into the event log of a server that does not run.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  muster log inspect
  muster log repair")]
pub(crate) struct LogArgs {
    #[command(subcommand)]
    command: LogCommand,
    #[command(flatten)]
    data: DataArgs,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum LogCommand {
    /// Reads every byte and tells what is there and what is damaged; changes nothing. Ends with 1 when it is damaged.
    Inspect,
    /// Mends a damaged log so that the server starts: what can't be read is kept aside, nothing is thrown away.
    Repair,
}

pub(crate) fn run(args: &LogArgs) -> Outcome {
    let data = DataDir::new(args.data.data.clone());
    let lock = data.lock()?;
    let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(system_random()?));
    let master = MasterKeys::only(MasterKey::new(data.master_key(&random)?));
    let registry = Registry::open(&data.registry(), &master, random, Arc::clone(&clock) as _)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let facts = runtime.block_on(registry.facts())?;
    let folder = data.log();
    let disk =
        RealDisk::open(&folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    match args.command {
        LogCommand::Inspect => {
            let found = inspect(&disk, incarnation(&facts))?;
            print(found.to_string().trim_end())?;
            if found.is_damaged() {
                return Err(Failure::new("the log is damaged; `muster log repair` mends it"));
            }
        }
        LogCommand::Repair => {
            let done = repair(&disk, &Options::new(incarnation(&facts)), clock.wall().micros())?;
            print(done.found.to_string().trim_end())?;
            if done.kept_aside.is_empty() {
                print("nothing had to be mended")?;
            } else {
                print(&format!(
                    "mended; {} events are there; kept aside: {}",
                    done.events,
                    done.kept_aside.join(", ")
                ))?;
            }
        }
    }
    drop(lock);
    Ok(())
}
