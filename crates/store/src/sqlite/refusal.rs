//! Explained refusals, in a small database of their own.
//!
//! Bounded by number and bytes here and by age through [`Refusals::expire`]: the oldest go first, and how many went is
//! counted. A crash of the machine may lose the newest. The registry shares nothing with this file, so that a flood of
//! refusals can't slow a registration's commit. A damaged file is set aside and a new one begun: what it held is help,
//! not truth.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use muster_model::refusal::{ExplainedRefusal, Explanation, Protocol, Refusal, TokenClaims};
use muster_model::{ReasonCode, TrackingId, Wall};
use muster_pki::Chain;
use muster_resources::{RefusalQuery, Refusals, StoreError};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use serde::{Deserialize, Serialize};

use super::cells::Cells;
use super::open::{self, OpenError};
use crate::document::{read, write};
use crate::fault::{Fault, checked, present};
use crate::metrics;

const TABLE: &str = "refusal";
const MIGRATIONS: &[open::Migration] = &[include_str!("migrations/0001_refusals.sql")];
const CACHE_KIB: i64 = 1_024;
/// Records that one search answers at most.
const SEARCH: usize = 1_000;
/// Records that one transaction removes at most, so that a new one need not wait long.
const STEP: i64 = 1_000;
/// Different actions that are told apart when read back; the callers name far fewer.
const ACTIONS: usize = 256;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct RefusalBounds {
    /// Records at most. Default: 100,000.
    pub records: u64,
    /// Bytes of records at most, certificates included. Default: 256 MiB.
    pub bytes: u64,
}

impl Default for RefusalBounds {
    fn default() -> Self {
        Self {
            records: 100_000,
            bytes: 256 << 20,
        }
    }
}

/// Keeps explained refusals in `refusals.db`.
#[derive(Clone, Debug)]
pub struct RefusalFile {
    sql: Arc<Mutex<Connection>>,
    bounds: RefusalBounds,
}

impl RefusalFile {
    /// Opens `refusals.db` in `directory`, and makes both when they are not there. A file that can't be read is renamed
    /// to `refusals.db.damaged`, over an earlier one.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(directory: &Path, bounds: RefusalBounds) -> Result<Self, OpenError> {
        open::directory(directory)?;
        let path = directory.join("refusals.db");
        let sql = match connect(&path) {
            Err(OpenError::File { detail, .. }) if path.is_file() => {
                tracing::warn!(path = %path.display(), detail, "the record of refusals can't be read and is set aside");
                set_aside(&path)?;
                connect(&path)?
            }
            other => other?,
        };
        Ok(Self {
            sql: Arc::new(Mutex::new(sql)),
            bounds,
        })
    }

    /// Runs `work` where it may wait for the disk.
    async fn run<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    {
        let sql = Arc::clone(&self.sql);
        let done = tokio::task::spawn_blocking(move || {
            // A transaction that a panic cut was rolled back when it was dropped.
            work(&mut sql.lock().unwrap_or_else(PoisonError::into_inner))
        });
        match done.await {
            Ok(result) => Ok(result?),
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        }
    }
}

#[async_trait]
impl Refusals for RefusalFile {
    async fn keep(&self, records: Vec<Arc<ExplainedRefusal>>) -> Result<(), StoreError> {
        let (bounds, count) = (self.bounds, records.len() as u64);
        let kept = self.run(move |sql| keep(sql, &records, bounds)).await;
        metrics::refusals_lost(*kept.as_ref().unwrap_or(&count));
        kept.map(|_| ())
    }

    async fn find(&self, tracking: TrackingId) -> Result<Option<Arc<ExplainedRefusal>>, StoreError> {
        self.run(move |sql| {
            let mut statement =
                sql.prepare_cached("SELECT tracking, at, document, chain FROM refusal WHERE tracking = ?1")?;
            let mut rows = statement.query([tracking.bytes()])?;
            rows.next()?.map(from_columns).transpose()
        })
        .await
    }

    async fn search(&self, query: RefusalQuery) -> Result<Vec<Arc<ExplainedRefusal>>, StoreError> {
        self.run(move |sql| search(sql, &query)).await
    }

    async fn forget(&self, device: &str) -> Result<u64, StoreError> {
        let (device, folded) = (device.to_owned(), device.to_ascii_lowercase());
        // A registration id stands for the device until an enrollment says otherwise.
        self.remove("device = ?1 OR registration = ?2", move || {
            vec![Box::new(device.clone()), Box::new(folded.clone())]
        })
        .await
    }

    async fn expire(&self, before: Wall) -> Result<u64, StoreError> {
        self.remove("at < ?1", move || vec![Box::new(before.micros())])
            .await
    }
}

impl RefusalFile {
    /// Removes what fits `condition`, step by step.
    async fn remove<P>(&self, condition: &'static str, params: P) -> Result<u64, StoreError>
    where
        P: Fn() -> Vec<Box<dyn ToSql + Send>>,
    {
        let mut total = 0;
        loop {
            let values = params();
            let removed = self
                .run(move |sql| {
                    let transaction = sql.transaction()?;
                    let removed = remove(
                        &transaction,
                        &format!("SELECT seq FROM refusal WHERE {condition} LIMIT {STEP}"),
                        &values,
                    )?;
                    transaction.commit()?;
                    Ok(removed)
                })
                .await?;
            total += removed;
            if removed == 0 {
                return Ok(total);
            }
        }
    }
}

fn connect(path: &Path) -> Result<Connection, OpenError> {
    open::file(path)?;
    let sql = open::writer(path, open::Durability::Written, CACHE_KIB)?;
    open::migrate(path, &sql, MIGRATIONS)?;
    let probe = || -> Result<(), Fault> {
        // What is forgotten must not be readable in the file.
        sql.execute_batch("PRAGMA secure_delete = ON")?;
        // Reads a page of each tree: a torn file shows itself here, not at the first refusal.
        sql.query_row("SELECT records, bytes FROM held WHERE id = 1", [], |_| Ok(()))?;
        sql.prepare("SELECT tracking FROM refusal ORDER BY seq DESC LIMIT 1")?
            .exists([])?;
        Ok(())
    };
    probe().map_err(|fault| OpenError::fault(path, fault))?;
    Ok(sql)
}

fn set_aside(path: &Path) -> Result<(), OpenError> {
    let with = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    for suffix in ["-wal", "-shm"] {
        match std::fs::remove_file(with(suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(OpenError::file(path, &error));
            }
            _ => {}
        }
    }
    std::fs::rename(path, with(".damaged")).map_err(|error| OpenError::file(path, &error))
}

/// Inserts records and drops the oldest beyond the bounds; tells how many were dropped.
fn keep(
    sql: &mut Connection,
    records: &[Arc<ExplainedRefusal>],
    bounds: RefusalBounds,
) -> Result<u64, Fault> {
    let transaction = sql.transaction()?;
    let (mut count, mut bytes): (i64, i64) = transaction
        .prepare_cached("SELECT records, bytes FROM held WHERE id = 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for record in records {
        let facts = &record.refusal;
        let document = write(&RefusalRow::new(record))?;
        let chain = facts.chain.as_ref().map(chain_to_blob);
        let size = i64::try_from(document.len() + chain.as_ref().map_or(0, Vec::len)).unwrap_or(i64::MAX);
        // A repeat of a tracking id is the same record, brought a second time.
        let added = transaction
            .prepare_cached(
                "INSERT OR IGNORE INTO refusal
                     (tracking, at, device, registration, address, bytes, document, chain)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                facts.tracking.bytes(),
                facts.at.micros(),
                facts.device,
                facts.registration.as_ref().map(|id| id.to_ascii_lowercase()),
                facts.address.map(|address| address.ip().to_string()),
                size,
                document,
                chain
            ])?;
        if added > 0 {
            count += 1;
            bytes += size;
        }
    }
    let mut dropped = 0;
    while count.cast_unsigned() > bounds.records || bytes.cast_unsigned() > bounds.bytes {
        let size: Option<i64> = transaction
            .prepare_cached("DELETE FROM refusal WHERE seq = (SELECT min(seq) FROM refusal) RETURNING bytes")?
            .query_row([], |row| row.get(0))
            .optional()?;
        let Some(size) = size else { break };
        count -= 1;
        bytes -= size;
        dropped += 1;
    }
    transaction
        .prepare_cached("UPDATE held SET records = ?1, bytes = ?2 WHERE id = 1")?
        .execute([count, bytes])?;
    transaction.commit()?;
    Ok(dropped)
}

fn search(sql: &Connection, query: &RefusalQuery) -> Result<Vec<Arc<ExplainedRefusal>>, Fault> {
    let mut conditions = vec!["1"];
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    if let Some(device) = &query.device {
        conditions.push("device = ?");
        values.push(Box::new(device.clone()));
    }
    if let Some(registration) = &query.registration {
        conditions.push("registration = ?");
        values.push(Box::new(registration.to_ascii_lowercase()));
    }
    if let Some(address) = &query.address {
        conditions.push("address = ?");
        values.push(Box::new(address.to_string()));
    }
    if let Some(since) = &query.since {
        conditions.push("at >= ?");
        values.push(Box::new(since.micros()));
    }
    let limit = query.last.min(SEARCH);
    let mut statement = sql.prepare_cached(&format!(
        "SELECT tracking, at, document, chain FROM refusal WHERE {} ORDER BY seq DESC LIMIT {limit}",
        conditions.join(" AND ")
    ))?;
    let mut rows = statement.query(rusqlite::params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(from_columns(row)?);
    }
    Ok(found)
}

/// Removes the records that `chosen` selects and what they count.
fn remove(sql: &Connection, chosen: &str, values: &[Box<dyn ToSql + Send>]) -> Result<u64, Fault> {
    let mut statement = sql.prepare_cached(&format!(
        "DELETE FROM refusal WHERE seq IN ({chosen}) RETURNING bytes"
    ))?;
    let sizes = statement
        .query_map(rusqlite::params_from_iter(values), |row| row.get::<_, i64>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    let count = i64::try_from(sizes.len()).unwrap_or(i64::MAX);
    sql.prepare_cached("UPDATE held SET records = records - ?1, bytes = bytes - ?2 WHERE id = 1")?
        .execute([count, sizes.iter().sum()])?;
    Ok(count.cast_unsigned())
}

/// The document of a record: all but id, time and chain, which have columns of their own.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefusalRow {
    reason: String,
    protocol: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    address: Option<SocketAddr>,
    action: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    device: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    registration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    token: Option<TokenRow>,
    explained: String,
    sentence: String,
    steps: Vec<String>,
    remedies: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct TokenRow {
    resource: String,
    expiry: i64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    policy: Option<String>,
}

impl RefusalRow {
    fn new(record: &ExplainedRefusal) -> Self {
        let (facts, explanation) = (&record.refusal, &record.explanation);
        Self {
            reason: facts.reason.as_str().to_owned(),
            protocol: facts.protocol.as_str().to_owned(),
            address: facts.address,
            action: facts.action.to_owned(),
            target: facts.target.clone(),
            device: facts.device.clone(),
            registration: facts.registration.clone(),
            token: facts.token.as_ref().map(|token| TokenRow {
                resource: token.resource.clone(),
                expiry: token.expiry.micros(),
                policy: token.policy.clone(),
            }),
            explained: explanation.reason.as_str().to_owned(),
            sentence: explanation.sentence.clone(),
            steps: explanation.steps.clone(),
            remedies: explanation.remedies.clone(),
        }
    }
}

fn from_columns(row: &Row<'_>) -> Result<Arc<ExplainedRefusal>, Fault> {
    let mut cells = Cells::new(row, TABLE);
    let tracking: [u8; 16] = cells.next("tracking")?;
    let at: i64 = cells.next("at")?;
    let text: String = cells.next("document")?;
    let chain: Option<Vec<u8>> = cells.next("chain")?;
    let row: RefusalRow = read(TABLE, "document", &text)?;
    let reason = |text: &str| {
        present(
            TABLE,
            "document",
            ReasonCode::parse(text),
            "the reason code is not known",
        )
    };
    Ok(Arc::new(ExplainedRefusal {
        refusal: Refusal {
            tracking: TrackingId::from_bytes(tracking),
            at: Wall::from_micros(at),
            reason: reason(&row.reason)?,
            protocol: protocol(&row.protocol)?,
            address: row.address,
            action: action(&row.action),
            target: row.target,
            device: row.device,
            registration: row.registration,
            chain: chain.map(|blob| chain_from_blob(&blob)).transpose()?,
            token: row.token.map(|token| TokenClaims {
                resource: token.resource,
                expiry: Wall::from_micros(token.expiry),
                policy: token.policy,
            }),
        },
        explanation: Explanation {
            reason: reason(&row.explained)?,
            sentence: row.sentence,
            steps: row.steps,
            remedies: row.remedies,
        },
    }))
}

fn protocol(text: &str) -> Result<Protocol, Fault> {
    let known = [Protocol::Amqp, Protocol::Https, Protocol::Mqtt, Protocol::Tls]
        .into_iter()
        .find(|protocol| protocol.as_str() == text);
    present(TABLE, "document", known, "the protocol is not known")
}

/// Gives a stored action back as the constant that it was. Each is kept once for the life of the process; a file with
/// more different ones than any release has is answered in general words.
fn action(text: &str) -> &'static str {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(action) = known.get(text) {
        return action;
    }
    if known.len() >= ACTIONS {
        return "something else";
    }
    let action: &'static str = Box::leak(text.to_owned().into_boxed_str());
    known.insert(action);
    action
}

fn chain_to_blob(chain: &Chain) -> Vec<u8> {
    let mut blob = Vec::new();
    for der in chain.ders() {
        // A chain has 64 KiB at most.
        blob.extend_from_slice(&u32::try_from(der.len()).unwrap_or(u32::MAX).to_be_bytes());
        blob.extend_from_slice(der);
    }
    blob
}

fn chain_from_blob(blob: &[u8]) -> Result<Chain, Fault> {
    let mut ders = Vec::new();
    let mut rest = blob;
    while !rest.is_empty() {
        let parted = rest
            .split_first_chunk::<4>()
            .and_then(|(length, rest)| rest.split_at_checked(u32::from_be_bytes(*length) as usize));
        let (der, after) = present(TABLE, "chain", parted, "it ends inside a certificate")?;
        ders.push(der);
        rest = after;
    }
    checked(TABLE, "chain", Chain::from_ders(ders))
}
