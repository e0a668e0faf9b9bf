//! `muster backup` and `muster restore`.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use http::Method;
use muster_bus::log::{Options, RealDisk, restore};
use muster_client::{Call, Http, Trust};
use muster_model::{Clock, Random};
use muster_resources::{ServerFacts, Store};
use muster_rest::Maintenance;
use muster_store::{MasterKey, MasterKeys, Registry};

use crate::cli::{DataArgs, Failure, Outcome, say};
use crate::serve::incarnation;
use crate::server::backups::Backups;
use crate::server::clock::{SystemClock, system_random};
use crate::server::data_dir::{DataDir, DataDirError};

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;

/// Writes a backup of registry and event log into a new folder, while the server runs or not.
///
/// The backup holds no key: keep `master.key` and the other `*.key` files apart from it, a restore needs them.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  muster backup /backups/2026-11-25")]
pub(crate) struct BackupArgs {
    /// The folder, which must not exist yet.
    folder: PathBuf,
    #[command(flatten)]
    data: DataArgs,
}

/// Puts a backup in place of the data of a server that does not run. What was there is kept aside.
///
/// The restored server is a new incarnation: its positions and versions can't meet those that the old one gave.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  muster restore /backups/2026-11-25")]
pub(crate) struct RestoreArgs {
    /// The folder of the backup.
    folder: PathBuf,
    #[command(flatten)]
    data: DataArgs,
}

pub(crate) fn backup(args: &BackupArgs) -> Outcome {
    let data = DataDir::new(args.data.data.clone());
    let folder = std::path::absolute(&args.folder)?;
    match data.lock() {
        Ok(lock) => {
            at_rest(&data, &folder)?;
            drop(lock);
        }
        Err(DataDirError::Taken(_)) => by_server(&data, &folder)?,
        Err(error) => return Err(error.into()),
    }
    say(&format!(
        "the backup lies in {}; keep {} apart from it",
        folder.display(),
        data.root().join("master.key").display()
    ));
    Ok(())
}

fn open_registry(data: &DataDir, folder: &Path, random: Arc<Random>) -> Result<Arc<Registry>, Failure> {
    let master = MasterKeys::only(MasterKey::new(data.master_key(&random)?));
    Ok(Arc::new(Registry::open(
        folder,
        &master,
        random,
        Arc::new(SystemClock::new()),
    )?))
}

fn facts_of(registry: &Arc<Registry>) -> Result<ServerFacts, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(runtime.block_on(registry.facts())?)
}

fn at_rest(data: &DataDir, folder: &Path) -> Outcome {
    if !data.registry().join("registry.db").exists() {
        return Err(Failure::new(format!(
            "{} holds no server's data",
            data.root().display()
        )));
    }
    let registry = open_registry(data, &data.registry(), Arc::new(system_random()?))?;
    let facts = facts_of(&registry)?;
    let disk = Arc::new(RealDisk::open(data.log())?);
    let (log, _) = muster_bus::local::LocalEventLog::open(disk, Options::new(incarnation(&facts)))?;
    Backups::new(registry, Arc::new(log))
        .backup(folder)
        .map_err(Failure::new)
}

fn by_server(data: &DataDir, folder: &Path) -> Outcome {
    let endpoints = data.read("endpoints.json")?.ok_or_else(|| {
        Failure::new("a server holds the data directory and is not ready; try again when it is")
    })?;
    let endpoints: serde_json::Value = serde_json::from_slice(&endpoints)?;
    let address: std::net::SocketAddr = endpoints["https"].as_str().unwrap_or_default().parse()?;
    let token = data
        .read_operator_token()?
        .ok_or_else(|| Failure::new("the operator's token is not there"))?;
    let trust = Trust::Roots(fs::read(data.root_certificate())?);
    let http = Http::new("localhost", address.port(), Some(address), &trust, None)?
        .with_call_time(Duration::from_hours(1));
    let call = Call::new(Method::POST, "/muster/backups")
        .header(http::header::AUTHORIZATION, &format!("Bearer {}", *token))
        .json(serde_json::json!({ "path": folder }).to_string());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let reply = runtime.block_on(http.send(&call))?;
    if reply.status == 200 {
        return Ok(());
    }
    let fault = muster_wire::fault::ReceivedFault::read(&reply.body);
    Err(Failure::new(fault.message))
}

pub(crate) fn restore_backup(args: &RestoreArgs) -> Outcome {
    let data = DataDir::new(args.data.data.clone());
    data.prepare()?;
    let lock = data.lock()?;
    let random = Arc::new(system_random()?);
    let now = SystemClock::new().wall();
    let backup_registry = args.folder.join("registry/registry.db");
    if !backup_registry.exists() {
        return Err(Failure::new(format!("{} holds no backup", args.folder.display())));
    }
    // Which life the data that is replaced had, so that the new one lies above it too.
    let above = if data.registry().join("registry.db").exists() {
        facts_of(&open_registry(&data, &data.registry(), Arc::clone(&random))?)?.incarnation
    } else {
        0
    };
    // Everything is made beside the old data; only then do the two change places.
    let draft = data.root().join("restore.new");
    match fs::remove_dir_all(&draft) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    for part in [draft.clone(), draft.join("registry"), draft.join("log")] {
        DirBuilder::new().mode(0o700).create(part)?;
    }
    fs::copy(&backup_registry, draft.join("registry/registry.db"))?;
    let old = facts_of(&open_registry(
        &data,
        &draft.join("registry"),
        Arc::clone(&random),
    )?)?;
    muster_store::begin_new_incarnation(&draft.join("registry/registry.db"), above)?;
    let new = facts_of(&open_registry(&data, &draft.join("registry"), random)?)?;
    restore(
        &RealDisk::open(args.folder.join("log"))?,
        incarnation(&old),
        &RealDisk::open(draft.join("log"))?,
        &Options::new(incarnation(&new)),
        now.micros(),
    )?;
    let aside = data.adopt_restored(&lock, &draft, now)?;
    // Positions go on from the second of the restore: one that followed within the same second would give out again
    // what this life gives out first.
    while SystemClock::new().wall().micros() / SECOND == now.micros() / SECOND {
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(lock);
    say(&format!(
        "restored as life {} of the data; what was there lies in {}",
        new.incarnation,
        aside.display()
    ));
    Ok(())
}
