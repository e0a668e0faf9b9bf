//! Twins. A device that has no row here has the empty twin: most devices of most fleets, for most of their lives.

use muster_model::HubKey;
use muster_model::twin::{InitialTwin, Twin};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::unit::Unit;
use crate::document::{Stored, Text, decode, encode};
use crate::fault::Fault;
use crate::seal::Sealer;

const TABLE: &str = "twin";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TwinRow {
    tags: Text,
    desired: Text,
    desired_version: u64,
    reported: Text,
    reported_version: u64,
}

impl Stored for Twin {
    type Row = TwinRow;
    const TABLE: &'static str = TABLE;

    fn to_row(&self, _: &Sealer) -> Result<TwinRow, Fault> {
        Ok(TwinRow {
            tags: Text::new(&self.tags)?,
            desired: Text::new(&self.desired)?,
            desired_version: self.desired_version,
            reported: Text::new(&self.reported)?,
            reported_version: self.reported_version,
        })
    }

    fn from_row(row: TwinRow, _: &Sealer) -> Result<Self, Fault> {
        Ok(Self {
            tags: row.tags.object(TABLE)?,
            desired: row.desired.object(TABLE)?,
            desired_version: row.desired_version,
            reported: row.reported.object(TABLE)?,
            reported_version: row.reported_version,
        })
    }
}

/// An initial twin inside a document of another table.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct InitialTwinRow {
    tags: Text,
    desired: Text,
}

impl InitialTwinRow {
    pub(crate) fn new(twin: &InitialTwin) -> Result<Self, Fault> {
        Ok(Self {
            tags: Text::new(&twin.tags)?,
            desired: Text::new(&twin.desired)?,
        })
    }

    pub(crate) fn read(&self, table: &'static str) -> Result<InitialTwin, Fault> {
        Ok(InitialTwin {
            tags: self.tags.object(table)?,
            desired: self.desired.object(table)?,
        })
    }
}

/// Reads the row of a device's twin.
pub(crate) fn load(sql: &Connection, sealer: &Sealer, hub: HubKey, id: &str) -> Result<Option<Twin>, Fault> {
    sql.prepare_cached("SELECT document FROM twin WHERE hub = ?1 AND id = ?2")?
        .query_row(params![hub.get().cast_signed(), id], |row| {
            row.get::<_, String>(0)
        })
        .optional()?
        .map(|text| decode(&text, sealer))
        .transpose()
}

/// Writes a device's twin over what it had.
pub(crate) fn put(unit: &Unit<'_>, hub: HubKey, id: &str, twin: &Twin) -> Result<(), Fault> {
    if *twin == Twin::default() {
        return delete(unit, hub, id);
    }
    unit.sql
        .prepare_cached(
            "INSERT INTO twin (hub, id, document) VALUES (?1, ?2, ?3)
             ON CONFLICT (hub, id) DO UPDATE SET document = excluded.document",
        )?
        .execute(params![hub.get().cast_signed(), id, encode(twin, unit.sealer)?])?;
    Ok(())
}

pub(crate) fn delete(unit: &Unit<'_>, hub: HubKey, id: &str) -> Result<(), Fault> {
    unit.sql
        .prepare_cached("DELETE FROM twin WHERE hub = ?1 AND id = ?2")?
        .execute(params![hub.get().cast_signed(), id])?;
    Ok(())
}
