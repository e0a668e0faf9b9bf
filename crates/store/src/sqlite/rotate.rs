//! Replacing the master key: every secret is sealed anew under the current one.
//!
//! It goes in small steps beside the server's work. A secret names the key that it needs, so a rotation that stopped
//! halfway is simply begun again, as long as the previous key is still given.

use muster_dps::ports::NewOperation;
use muster_model::dps::{EnrollmentGroup, IndividualEnrollment};
use muster_model::estate::{Hub, ProvisioningService};
use muster_model::identity::DeviceIdentity;
use muster_resources::StoreError;
use rusqlite::params;

use super::unit::Unit;
use super::{Registry, request};
use crate::document::{Stored, decode, encode};
use crate::fault::Fault;

/// Rows in one unit of work.
const STEP: i64 = 200;

impl Registry {
    /// Seals every secret anew under the current master key; the previous ones may be thrown away afterwards. Answers
    /// how many rows it wrote.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a secret does not open under any of the keys; what was done so far stays.
    pub async fn reseal(&self) -> Result<u64, StoreError> {
        let rows = self.reseal_table::<Hub>("hub", "document").await?
            + self
                .reseal_table::<ProvisioningService>("service", "document")
                .await?
            + self
                .reseal_table::<IndividualEnrollment>("individual", "document")
                .await?
            + self
                .reseal_table::<EnrollmentGroup>("enrollment_group", "document")
                .await?
            + self
                .reseal_table::<NewOperation>("registration", "pending")
                .await?
            + self.reseal_devices().await?;
        self.write(|unit| {
            request::forget_all(unit)?;
            let sealer = unit.sealer;
            unit.meta.reseal(sealer)
        })
        .await
        .map(|()| rows)
    }

    async fn reseal_table<T: Stored>(
        &self,
        table: &'static str,
        column: &'static str,
    ) -> Result<u64, StoreError> {
        let (mut after, mut rows) = (Some(0), 0);
        while let Some(at) = after {
            let step: Result<_, StoreError> = self
                .write(move |unit| reseal_rows::<T>(unit, table, column, at))
                .await;
            let (written, next) = step?;
            rows += written;
            after = next;
        }
        Ok(rows)
    }

    async fn reseal_devices(&self) -> Result<u64, StoreError> {
        let (mut after, mut rows) = (Some((0, String::new())), 0);
        while let Some(at) = after {
            let step: Result<_, StoreError> = self.write(move |unit| reseal_identities(unit, &at)).await;
            let (written, next) = step?;
            rows += written;
            after = next;
        }
        Ok(rows)
    }
}

/// Writes up to [`STEP`] rows behind `after` anew; answers how many, and the last one unless it was the end.
fn reseal_rows<T: Stored>(
    unit: &mut Unit<'_>,
    table: &str,
    column: &str,
    after: i64,
) -> Result<(u64, Option<i64>), Fault> {
    let rows: Vec<(i64, String)> = unit
        .sql
        .prepare(&format!(
            "SELECT rowid, {column} FROM {table}
             WHERE rowid > ?1 AND {column} IS NOT NULL ORDER BY rowid LIMIT ?2"
        ))?
        .query_map([after, STEP], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut update = unit
        .sql
        .prepare(&format!("UPDATE {table} SET {column} = ?2 WHERE rowid = ?1"))?;
    for (at, text) in &rows {
        let value: T = decode(text, unit.sealer)?;
        update.execute(params![at, encode(&value, unit.sealer)?])?;
    }
    Ok((rows.len() as u64, rows.last().map(|(at, _)| *at)))
}

fn reseal_identities(
    unit: &mut Unit<'_>,
    after: &(i64, String),
) -> Result<(u64, Option<(i64, String)>), Fault> {
    let rows: Vec<(i64, String, String)> = unit
        .sql
        .prepare_cached(
            "SELECT hub, id, document FROM device WHERE (hub, id) > (?1, ?2) ORDER BY hub, id LIMIT ?3",
        )?
        .query_map(params![after.0, after.1, STEP], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<Result<_, _>>()?;
    for (hub, id, text) in &rows {
        let device: DeviceIdentity = decode(text, unit.sealer)?;
        unit.sql
            .prepare_cached("UPDATE device SET document = ?3 WHERE hub = ?1 AND id = ?2")?
            .execute(params![hub, id, encode(&device, unit.sealer)?])?;
    }
    let written = rows.len() as u64;
    Ok((written, rows.into_iter().last().map(|(hub, id, _)| (hub, id))))
}
