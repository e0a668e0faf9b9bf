//! Hubs, with their policies and consumer groups in one document.

use muster_model::estate::{ConsumerGroup, Hub};
use muster_model::{
    ConsumerGroupName, HubKey, HubName, IfMatch, Location, PartitionCount, ResourceGroupName, Wall,
};
use muster_resources::HubDraft;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::policy::{self, PolicyRow};
use super::stamps::Moved;
use super::trust::{self, Changed};
use super::unit::Unit;
use super::{reap, resource_group, service};
use crate::document::{Stored, Text, decode, encode};
use crate::fault::{Fault, checked, present};
use crate::seal::Sealer;

const TABLE: &str = "hub";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HubRow {
    key: u64,
    name: String,
    group: String,
    location: String,
    tags: Text,
    partitions: u16,
    retention_days: u16,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    retention_bytes: Option<u64>,
    disable_device_sas: bool,
    document: Text,
    policies: Vec<PolicyRow>,
    consumer_groups: Vec<ConsumerGroupRow>,
    created: i64,
    etag: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ConsumerGroupRow {
    name: String,
    created: i64,
}

impl Stored for Hub {
    type Row = HubRow;
    const TABLE: &'static str = TABLE;

    fn to_row(&self, sealer: &Sealer) -> Result<HubRow, Fault> {
        Ok(HubRow {
            key: self.key.get(),
            name: self.name.as_str().to_owned(),
            group: self.group.as_str().to_owned(),
            location: self.location.as_str().to_owned(),
            tags: Text::new(&self.tags)?,
            partitions: self.partitions.get(),
            retention_days: self.retention_days,
            retention_bytes: self.retention_bytes,
            disable_device_sas: self.disable_device_sas,
            document: Text::new(&self.document)?,
            policies: policy::to_rows(TABLE, self.key.get(), &self.policies, sealer)?,
            consumer_groups: self
                .consumer_groups
                .iter()
                .map(|group| group.to_row(sealer))
                .collect::<Result<_, _>>()?,
            created: self.created.micros(),
            etag: self.etag.get(),
        })
    }

    fn from_row(row: HubRow, sealer: &Sealer) -> Result<Self, Fault> {
        Ok(Self {
            key: HubKey::new(row.key),
            name: checked(TABLE, "document", HubName::parse(&row.name))?,
            group: checked(TABLE, "document", ResourceGroupName::parse(&row.group))?,
            location: checked(TABLE, "document", Location::parse(&row.location))?,
            tags: row.tags.object(TABLE)?,
            partitions: present(
                TABLE,
                "document",
                PartitionCount::new(row.partitions),
                "a hub has 1 to 128 partitions",
            )?,
            retention_days: row.retention_days,
            retention_bytes: row.retention_bytes,
            disable_device_sas: row.disable_device_sas,
            document: row.document.json(TABLE)?,
            policies: policy::from_rows(TABLE, row.key, row.policies, sealer)?,
            consumer_groups: row
                .consumer_groups
                .into_iter()
                .map(|group| ConsumerGroup::from_row(group, sealer))
                .collect::<Result<_, _>>()?,
            created: Wall::from_micros(row.created),
            etag: muster_model::ETag::new(row.etag),
        })
    }
}

impl Stored for ConsumerGroup {
    type Row = ConsumerGroupRow;
    const TABLE: &'static str = TABLE;

    fn to_row(&self, _: &Sealer) -> Result<ConsumerGroupRow, Fault> {
        Ok(ConsumerGroupRow {
            name: self.name.as_str().to_owned(),
            created: self.created.micros(),
        })
    }

    fn from_row(row: ConsumerGroupRow, _: &Sealer) -> Result<Self, Fault> {
        Ok(Self {
            name: checked(TABLE, "document", ConsumerGroupName::parse(&row.name))?,
            created: Wall::from_micros(row.created),
        })
    }
}

pub(crate) fn load(sql: &Connection, sealer: &Sealer, key: HubKey) -> Result<Option<Hub>, Fault> {
    sql.prepare_cached("SELECT document FROM hub WHERE key = ?1")?
        .query_row([key.get().cast_signed()], |row| row.get::<_, String>(0))
        .optional()?
        .map(|text| decode(&text, sealer))
        .transpose()
}

/// Refuses when a hub is gone.
pub(crate) fn require(sql: &Connection, key: HubKey) -> Result<(), Fault> {
    let there = sql
        .prepare_cached("SELECT 1 FROM hub WHERE key = ?1")?
        .exists([key.get().cast_signed()])?;
    if there { Ok(()) } else { Err(Fault::Missing) }
}

pub(crate) fn create(unit: &mut Unit<'_>, draft: HubDraft, now: Wall) -> Result<Hub, Fault> {
    if !resource_group::exists(unit.sql, draft.group.folded())? {
        return Err(Fault::Missing);
    }
    let taken = unit
        .sql
        .prepare_cached("SELECT 1 FROM hub WHERE name = ?1")?
        .exists([draft.name.folded()])?;
    if taken {
        return Err(Fault::Exists);
    }
    let hub = Hub {
        key: unit.hub_key(),
        name: draft.name,
        group: draft.group,
        location: draft.location,
        tags: draft.tags,
        partitions: draft.partitions,
        retention_days: draft.retention_days,
        retention_bytes: draft.retention_bytes,
        disable_device_sas: draft.disable_device_sas,
        document: draft.document,
        policies: draft.policies,
        consumer_groups: Vec::new(),
        created: now,
        etag: unit.etag(),
    };
    let key = hub.key.get().cast_signed();
    unit.sql
        .prepare_cached("INSERT INTO hub (key, name, grp, document) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            key,
            hub.name.folded(),
            hub.group.folded(),
            encode(&hub, unit.sealer)?
        ])?;
    unit.sql
        .prepare_cached("INSERT INTO device_count (hub, enabled, disabled) VALUES (?1, 0, 0)")?
        .execute([key])?;
    unit.trust_changed(&Changed::Hub(hub.key))?;
    Ok(hub)
}

pub(crate) fn update(
    unit: &mut Unit<'_>,
    key: HubKey,
    draft: HubDraft,
    if_match: IfMatch,
) -> Result<Hub, Fault> {
    let old = demanded(unit, key, if_match)?;
    let hub = Hub {
        location: draft.location,
        tags: draft.tags,
        retention_days: draft.retention_days,
        retention_bytes: draft.retention_bytes,
        disable_device_sas: draft.disable_device_sas,
        document: draft.document,
        policies: draft.policies,
        etag: unit.etag(),
        ..old
    };
    save(unit, &hub)?;
    Ok(hub)
}

pub(crate) fn delete(unit: &mut Unit<'_>, key: HubKey, if_match: IfMatch) -> Result<(), Fault> {
    demanded(unit, key, if_match)?;
    service::unlink(unit, key)?;
    let number = key.get().cast_signed();
    for query in [
        "DELETE FROM device_count WHERE hub = ?1",
        "DELETE FROM hub WHERE key = ?1",
    ] {
        unit.sql.prepare_cached(query)?.execute([number])?;
    }
    unit.moved.push(Moved::Hub);
    reap::bury(unit, trust::HUB, key.get())?;
    unit.trust_changed(&Changed::Hub(key))
}

pub(crate) fn put_consumer_group(
    unit: &mut Unit<'_>,
    key: HubKey,
    name: ConsumerGroupName,
    now: Wall,
) -> Result<ConsumerGroup, Fault> {
    let mut hub = load(unit.sql, unit.sealer, key)?.ok_or(Fault::Missing)?;
    if let Some(there) = hub.consumer_groups.iter().find(|group| group.name == name) {
        return Ok(there.clone());
    }
    let group = ConsumerGroup { name, created: now };
    hub.consumer_groups.push(group.clone());
    hub.consumer_groups.sort_by(|a, b| a.name.cmp(&b.name));
    save(unit, &hub)?;
    Ok(group)
}

pub(crate) fn delete_consumer_group(
    unit: &mut Unit<'_>,
    key: HubKey,
    name: &ConsumerGroupName,
) -> Result<(), Fault> {
    let mut hub = load(unit.sql, unit.sealer, key)?.ok_or(Fault::Missing)?;
    let before = hub.consumer_groups.len();
    hub.consumer_groups.retain(|group| group.name != *name);
    if hub.consumer_groups.len() == before {
        return Err(Fault::Missing);
    }
    save(unit, &hub)
}

fn demanded(unit: &Unit<'_>, key: HubKey, if_match: IfMatch) -> Result<Hub, Fault> {
    let hub = load(unit.sql, unit.sealer, key)?.ok_or(Fault::Missing)?;
    if if_match.allows(hub.etag) {
        Ok(hub)
    } else {
        Err(Fault::Stale)
    }
}

fn save(unit: &mut Unit<'_>, hub: &Hub) -> Result<(), Fault> {
    unit.sql
        .prepare_cached("UPDATE hub SET document = ?2 WHERE key = ?1")?
        .execute(params![hub.key.get().cast_signed(), encode(hub, unit.sealer)?])?;
    unit.trust_changed(&Changed::Hub(hub.key))
}
