//! The subscriptions of devices. A row belongs to the device of its name as it is now: it is written only for that
//! device's generation and goes in the unit of work that deletes the device, so it names no generation itself.

use std::collections::BTreeMap;

use muster_model::{Assurance, Channel, DeviceId, GenerationId, HubKey, Subscriptions};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::device;
use super::unit::Unit;
use crate::document::{Stored, decode, encode, mirror};
use crate::fault::{Fault, checked};
use crate::seal::Sealer;

const TABLE: &str = "device_subscription";

mirror! {
    #[derive(Ord, PartialOrd)]
    ChannelRow = Channel { DesiredProperties, DeviceBound, MethodRequests, TwinResponses }
}
mirror!(
    AssuranceRow = Assurance {
        AtLeastOnce,
        AtMostOnce
    }
);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SubscriptionsRow {
    channels: BTreeMap<ChannelRow, AssuranceRow>,
}

impl Stored for Subscriptions {
    type Row = SubscriptionsRow;
    const TABLE: &'static str = TABLE;

    fn to_row(&self, _: &Sealer) -> Result<SubscriptionsRow, Fault> {
        let channels = self
            .iter()
            .map(|(channel, assurance)| (channel.into(), assurance.into()))
            .collect();
        Ok(SubscriptionsRow { channels })
    }

    fn from_row(row: SubscriptionsRow, _: &Sealer) -> Result<Self, Fault> {
        let entry = |(channel, assurance): (ChannelRow, AssuranceRow)| (channel.into(), assurance.into());
        Ok(row.channels.into_iter().map(entry).collect())
    }
}

/// Reads the subscriptions of a device; nothing when the hub is gone.
pub(crate) fn load(
    sql: &Connection,
    sealer: &Sealer,
    hub: HubKey,
    id: &DeviceId,
) -> Result<Option<Subscriptions>, Fault> {
    sql.prepare_cached(
        "SELECT document FROM device_subscription
         WHERE hub = ?1 AND id = ?2 AND EXISTS (SELECT 1 FROM hub WHERE key = ?1)",
    )?
    .query_row(params![hub.get().cast_signed(), id.as_str()], |row| {
        Ok(checked(TABLE, "document", row.get::<_, String>(0)))
    })
    .optional()?
    .map(|text| decode(&text?, sealer))
    .transpose()
}

/// Writes the subscriptions of a device over those that it had.
pub(crate) fn keep(
    unit: &Unit<'_>,
    hub: HubKey,
    id: &DeviceId,
    generation: GenerationId,
    subscriptions: &Subscriptions,
) -> Result<(), Fault> {
    if device::generation(unit.sql, hub, id)? != Some(generation) {
        return Err(Fault::Missing);
    }
    unit.sql
        .prepare_cached(
            "INSERT INTO device_subscription (hub, id, document) VALUES (?1, ?2, ?3)
             ON CONFLICT (hub, id) DO UPDATE SET document = excluded.document",
        )?
        .execute(params![
            hub.get().cast_signed(),
            id.as_str(),
            encode(subscriptions, unit.sealer)?
        ])?;
    Ok(())
}

/// Removes the subscriptions of a device, if it is there and of this generation.
pub(crate) fn forget(
    unit: &Unit<'_>,
    hub: HubKey,
    id: &DeviceId,
    generation: GenerationId,
) -> Result<(), Fault> {
    match device::generation(unit.sql, hub, id)? {
        Some(there) if there == generation => delete(unit, hub, id.as_str()),
        Some(_) => Err(Fault::Missing),
        // They went with the device.
        None => Ok(()),
    }
}

pub(crate) fn delete(unit: &Unit<'_>, hub: HubKey, id: &str) -> Result<(), Fault> {
    unit.sql
        .prepare_cached("DELETE FROM device_subscription WHERE hub = ?1 AND id = ?2")?
        .execute(params![hub.get().cast_signed(), id])?;
    Ok(())
}
