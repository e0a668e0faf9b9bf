//! Device identities, and how many of them a hub has.

use muster_hub::ports::{DeviceDraft, DeviceSelector, EnsuredDevice, ProvisionedDevice, TwinChange};
use muster_model::identity::{DeviceCounts, DeviceIdentity, DeviceStatus, StatusReason};
use muster_model::twin::Twin;
use muster_model::{DeviceId, ETag, GenerationId, HubKey, IfMatch, Wall};
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use super::cells::Cells;
use super::credential::{AuthenticationRow, ProvenanceRow};
use super::stamps::Moved;
use super::unit::Unit;
use super::{hub, subscription, twin};
use crate::document::{self, Stored, decode, encode};
use crate::fault::{Fault, checked, present};
use crate::seal::{Place, Sealer};

const TABLE: &str = "device";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeviceRow {
    hub: u64,
    id: String,
    generation: u64,
    etag: u64,
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    status_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    status_updated: Option<i64>,
    authentication: AuthenticationRow,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    iot_edge: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    provenance: Option<ProvenanceRow>,
    created: i64,
    /// Only in the remembered answer to a request; the table has a column of its own for it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    last_activity: Option<i64>,
}

fn place<'a>(row: &'a [&'a str]) -> Place<'a> {
    Place {
        table: TABLE,
        column: "document",
        row,
    }
}

impl Stored for DeviceIdentity {
    type Row = DeviceRow;
    const TABLE: &'static str = TABLE;

    fn to_row(&self, sealer: &Sealer) -> Result<DeviceRow, Fault> {
        let hub = self.hub.to_string();
        let key = [hub.as_str(), self.id.as_str()];
        Ok(DeviceRow {
            hub: self.hub.get(),
            id: self.id.as_str().to_owned(),
            generation: self.generation.get(),
            etag: self.etag.get(),
            enabled: self.status == DeviceStatus::Enabled,
            status_reason: self
                .status_reason
                .as_ref()
                .map(|reason| reason.as_str().to_owned()),
            status_updated: self.status_updated.map(Wall::micros),
            authentication: AuthenticationRow::new(&self.authentication, place(&key), sealer)?,
            iot_edge: self.iot_edge,
            provenance: self.provenance.as_ref().map(ProvenanceRow::new),
            created: self.created.micros(),
            last_activity: self.last_activity.map(Wall::micros),
        })
    }

    fn from_row(row: DeviceRow, sealer: &Sealer) -> Result<Self, Fault> {
        let hub = row.hub.to_string();
        let key = [hub.as_str(), row.id.as_str()];
        Ok(Self {
            hub: HubKey::new(row.hub),
            id: checked(TABLE, "document", DeviceId::parse(&row.id))?,
            generation: GenerationId::new(row.generation),
            etag: ETag::new(row.etag),
            status: if row.enabled {
                DeviceStatus::Enabled
            } else {
                DeviceStatus::Disabled
            },
            status_reason: row
                .status_reason
                .map(|text| {
                    present(
                        TABLE,
                        "document",
                        StatusReason::new(text),
                        "a reason has 128 characters",
                    )
                })
                .transpose()?,
            status_updated: row.status_updated.map(Wall::from_micros),
            authentication: row.authentication.read(place(&key), sealer)?,
            iot_edge: row.iot_edge,
            provenance: row
                .provenance
                .map(|provenance| provenance.read(TABLE, "document"))
                .transpose()?,
            created: Wall::from_micros(row.created),
            last_activity: row.last_activity.map(Wall::from_micros),
        })
    }
}

/// An answer to [`ensure`], as it is remembered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EnsuredRow {
    identity: DeviceRow,
    created: bool,
}

impl Stored for EnsuredDevice {
    type Row = EnsuredRow;
    const TABLE: &'static str = "request";
    const COLUMN: &'static str = "outcome";

    fn to_row(&self, sealer: &Sealer) -> Result<EnsuredRow, Fault> {
        Ok(EnsuredRow {
            identity: self.identity.to_row(sealer)?,
            created: self.created,
        })
    }

    fn from_row(row: EnsuredRow, sealer: &Sealer) -> Result<Self, Fault> {
        Ok(Self {
            identity: DeviceIdentity::from_row(row.identity, sealer)?,
            created: row.created,
        })
    }
}

/// Reads an identity; nothing when the hub is gone.
pub(crate) fn load(
    sql: &Connection,
    sealer: &Sealer,
    hub: HubKey,
    id: &DeviceId,
) -> Result<Option<DeviceIdentity>, Fault> {
    let mut statement = sql.prepare_cached(
        "SELECT activity, document FROM device
         WHERE hub = ?1 AND id = ?2 AND EXISTS (SELECT 1 FROM hub WHERE key = ?1)",
    )?;
    let mut rows = statement.query(params![hub.get().cast_signed(), id.as_str()])?;
    rows.next()?.map(|row| read(row, sealer)).transpose()
}

/// What of a document names the generation; the rest is neither read nor opened.
#[derive(Deserialize)]
struct GenerationRow {
    generation: u64,
}

/// Reads the generation of a device; nothing when the hub is gone.
pub(crate) fn generation(
    sql: &Connection,
    hub: HubKey,
    id: &DeviceId,
) -> Result<Option<GenerationId>, Fault> {
    let mut statement = sql.prepare_cached(
        "SELECT document FROM device
         WHERE hub = ?1 AND id = ?2 AND EXISTS (SELECT 1 FROM hub WHERE key = ?1)",
    )?;
    let mut rows = statement.query(params![hub.get().cast_signed(), id.as_str()])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let text: String = Cells::new(row, TABLE).next("document")?;
    let row: GenerationRow = document::read(TABLE, "document", &text)?;
    Ok(Some(GenerationId::new(row.generation)))
}

pub(crate) fn list(
    sql: &Connection,
    sealer: &Sealer,
    hub: HubKey,
    selector: &DeviceSelector,
) -> Result<Vec<DeviceIdentity>, Fault> {
    let mut statement = sql.prepare_cached(
        "SELECT activity, document FROM device
         WHERE hub = ?1 AND id > ?2 AND EXISTS (SELECT 1 FROM hub WHERE key = ?1)
         ORDER BY id LIMIT ?3",
    )?;
    let after = selector.after.as_ref().map_or("", DeviceId::as_str);
    let limit = i64::try_from(selector.limit).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![hub.get().cast_signed(), after, limit])?;
    let mut devices = Vec::new();
    while let Some(row) = rows.next()? {
        devices.push(read(row, sealer)?);
    }
    Ok(devices)
}

pub(crate) fn counts(sql: &Connection, hub: HubKey) -> Result<DeviceCounts, Fault> {
    let mut statement = sql.prepare_cached("SELECT enabled, disabled FROM device_count WHERE hub = ?1")?;
    let mut rows = statement.query([hub.get().cast_signed()])?;
    let Some(row) = rows.next()? else {
        return Ok(DeviceCounts::default());
    };
    let mut cells = Cells::new(row, "device_count");
    let count = |value: i64, column| checked("device_count", column, u64::try_from(value));
    let enabled = count(cells.next("enabled")?, "enabled")?;
    let disabled = count(cells.next("disabled")?, "disabled")?;
    Ok(DeviceCounts {
        total: enabled + disabled,
        enabled,
        disabled,
    })
}

/// Reads the twin of a device that is there.
pub(crate) fn load_twin(
    sql: &Connection,
    sealer: &Sealer,
    hub: HubKey,
    id: &DeviceId,
) -> Result<Option<Twin>, Fault> {
    let there = sql
        .prepare_cached(
            "SELECT 1 FROM device
             WHERE hub = ?1 AND id = ?2 AND EXISTS (SELECT 1 FROM hub WHERE key = ?1)",
        )?
        .exists(params![hub.get().cast_signed(), id.as_str()])?;
    if !there {
        return Ok(None);
    }
    twin::load(sql, sealer, hub, id.as_str()).map(|twin| Some(twin.unwrap_or_default()))
}

pub(crate) fn create(
    unit: &mut Unit<'_>,
    key: HubKey,
    draft: DeviceDraft,
    now: Wall,
) -> Result<DeviceIdentity, Fault> {
    hub::require(unit.sql, key)?;
    if load(unit.sql, unit.sealer, key, &draft.id)?.is_some() {
        return Err(Fault::Exists);
    }
    let device = DeviceIdentity {
        hub: key,
        id: draft.id,
        generation: unit.generation(now),
        etag: unit.etag(),
        status: draft.status,
        status_reason: draft.status_reason,
        status_updated: None,
        authentication: draft.authentication,
        iot_edge: draft.iot_edge,
        provenance: None,
        created: now,
        last_activity: None,
    };
    insert(unit, &device)?;
    Ok(device)
}

pub(crate) fn update(
    unit: &mut Unit<'_>,
    hub: HubKey,
    draft: DeviceDraft,
    if_match: IfMatch,
    now: Wall,
) -> Result<DeviceIdentity, Fault> {
    let old = demanded(unit, hub, &draft.id, if_match)?;
    let device = DeviceIdentity {
        etag: unit.etag(),
        status: draft.status,
        status_reason: draft.status_reason,
        status_updated: if draft.status == old.status {
            old.status_updated
        } else {
            Some(now)
        },
        authentication: draft.authentication,
        iot_edge: draft.iot_edge,
        ..old.clone()
    };
    save(unit, &old, &device)?;
    Ok(device)
}

pub(crate) fn delete(
    unit: &mut Unit<'_>,
    hub: HubKey,
    id: &DeviceId,
    if_match: IfMatch,
) -> Result<(), Fault> {
    let old = demanded(unit, hub, id, if_match)?;
    unit.sql
        .prepare_cached("DELETE FROM device WHERE hub = ?1 AND id = ?2")?
        .execute(params![hub.get().cast_signed(), id.as_str()])?;
    unit.moved.push(Moved::device(hub, id.as_str()));
    twin::delete(unit, hub, id.as_str())?;
    subscription::delete(unit, hub, id.as_str())?;
    count(unit, hub, Some(old.status), None)?;
    unit.trust_moved();
    Ok(())
}

pub(crate) fn ensure(
    unit: &mut Unit<'_>,
    key: HubKey,
    wanted: ProvisionedDevice,
    now: Wall,
) -> Result<EnsuredDevice, Fault> {
    hub::require(unit.sql, key)?;
    let old = load(unit.sql, unit.sealer, key, &wanted.id)?;
    let created = old.is_none();
    let identity = if let Some(old) = old {
        let was_enabled = old.status == DeviceStatus::Enabled;
        let device = DeviceIdentity {
            status: DeviceStatus::Enabled,
            status_reason: old.status_reason.clone().filter(|_| was_enabled),
            status_updated: if was_enabled {
                old.status_updated
            } else {
                Some(now)
            },
            authentication: wanted.authentication,
            iot_edge: wanted.iot_edge,
            provenance: Some(wanted.provenance),
            ..old.clone()
        };
        if device == old {
            device
        } else {
            let device = DeviceIdentity {
                etag: unit.etag(),
                ..device
            };
            save(unit, &old, &device)?;
            device
        }
    } else {
        let device = DeviceIdentity {
            hub: key,
            id: wanted.id,
            generation: unit.generation(now),
            etag: unit.etag(),
            status: DeviceStatus::Enabled,
            status_reason: None,
            status_updated: None,
            authentication: wanted.authentication,
            iot_edge: wanted.iot_edge,
            provenance: Some(wanted.provenance),
            created: now,
            last_activity: None,
        };
        insert(unit, &device)?;
        device
    };
    match wanted.twin {
        TwinChange::IfNew(initial) if created => twin::put(unit, key, identity.id.as_str(), &initial.into())?,
        TwinChange::IfNew(_) => {}
        TwinChange::Migrate(carried) => twin::put(unit, key, identity.id.as_str(), &carried)?,
        TwinChange::Reset(initial) => twin::put(unit, key, identity.id.as_str(), &initial.into())?,
    }
    Ok(EnsuredDevice { identity, created })
}

/// Notes when a device last did something; one that is gone is passed over.
pub(crate) fn note_activity(unit: &Unit<'_>, hub: HubKey, id: &DeviceId, at: Wall) -> Result<(), Fault> {
    unit.sql
        .prepare_cached(
            "UPDATE device SET activity = ?3
             WHERE hub = ?1 AND id = ?2 AND (activity IS NULL OR activity < ?3)",
        )?
        .execute(params![hub.get().cast_signed(), id.as_str(), at.micros()])?;
    Ok(())
}

fn read(row: &Row<'_>, sealer: &Sealer) -> Result<DeviceIdentity, Fault> {
    let mut cells = Cells::new(row, TABLE);
    let activity: Option<i64> = cells.next("activity")?;
    let text: String = cells.next("document")?;
    let device: DeviceIdentity = decode(&text, sealer)?;
    Ok(DeviceIdentity {
        last_activity: activity.map(Wall::from_micros),
        ..device
    })
}

fn demanded(unit: &Unit<'_>, hub: HubKey, id: &DeviceId, if_match: IfMatch) -> Result<DeviceIdentity, Fault> {
    let device = load(unit.sql, unit.sealer, hub, id)?.ok_or(Fault::Missing)?;
    if if_match.allows(device.etag) {
        Ok(device)
    } else {
        Err(Fault::Stale)
    }
}

/// The document of the table: without the activity, which has its own column.
fn document(device: &DeviceIdentity, sealer: &Sealer) -> Result<String, Fault> {
    encode(
        &DeviceIdentity {
            last_activity: None,
            ..device.clone()
        },
        sealer,
    )
}

fn insert(unit: &mut Unit<'_>, device: &DeviceIdentity) -> Result<(), Fault> {
    unit.sql
        .prepare_cached("INSERT INTO device (hub, id, document) VALUES (?1, ?2, ?3)")?
        .execute(params![
            device.hub.get().cast_signed(),
            device.id.as_str(),
            document(device, unit.sealer)?
        ])?;
    unit.moved.push(Moved::device(device.hub, device.id.as_str()));
    count(unit, device.hub, None, Some(device.status))
}

fn save(unit: &mut Unit<'_>, old: &DeviceIdentity, device: &DeviceIdentity) -> Result<(), Fault> {
    unit.sql
        .prepare_cached("UPDATE device SET document = ?3 WHERE hub = ?1 AND id = ?2")?
        .execute(params![
            device.hub.get().cast_signed(),
            device.id.as_str(),
            document(device, unit.sealer)?
        ])?;
    unit.moved.push(Moved::device(device.hub, device.id.as_str()));
    if old.status != device.status {
        count(unit, device.hub, Some(old.status), Some(device.status))?;
    }
    if old.status != device.status || old.authentication != device.authentication {
        unit.trust_moved();
    }
    Ok(())
}

/// Moves one device from one count to another.
fn count(
    unit: &Unit<'_>,
    hub: HubKey,
    from: Option<DeviceStatus>,
    to: Option<DeviceStatus>,
) -> Result<(), Fault> {
    let step = |status| i64::from(to == Some(status)) - i64::from(from == Some(status));
    unit.sql
        .prepare_cached(
            "UPDATE device_count SET enabled = enabled + ?2, disabled = disabled + ?3 WHERE hub = ?1",
        )?
        .execute(params![
            hub.get().cast_signed(),
            step(DeviceStatus::Enabled),
            step(DeviceStatus::Disabled)
        ])?;
    Ok(())
}
