//! Resource groups.

use muster_model::estate::ResourceGroup;
use muster_model::{CertificateOwner, IfMatch, Location, ResourceGroupName};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::trust::Changed;
use super::unit::Unit;
use super::{hub, service};
use crate::document::{Stored, Text, decode, encode};
use crate::fault::{Fault, checked};
use crate::seal::Sealer;

const TABLE: &str = "resource_group";

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GroupRow {
    name: String,
    location: String,
    tags: Text,
}

impl Stored for ResourceGroup {
    type Row = GroupRow;
    const TABLE: &'static str = TABLE;

    fn to_row(&self, _: &Sealer) -> Result<GroupRow, Fault> {
        Ok(GroupRow {
            name: self.name.as_str().to_owned(),
            location: self.location.as_str().to_owned(),
            tags: Text::new(&self.tags)?,
        })
    }

    fn from_row(row: GroupRow, _: &Sealer) -> Result<Self, Fault> {
        Ok(Self {
            name: checked(TABLE, "document", ResourceGroupName::parse(&row.name))?,
            location: checked(TABLE, "document", Location::parse(&row.location))?,
            tags: row.tags.object(TABLE)?,
        })
    }
}

/// Reads a group by its folded name.
pub(crate) fn load(sql: &Connection, sealer: &Sealer, name: &str) -> Result<Option<ResourceGroup>, Fault> {
    sql.prepare_cached("SELECT document FROM resource_group WHERE name = ?1")?
        .query_row([name], |row| row.get::<_, String>(0))
        .optional()?
        .map(|text| decode(&text, sealer))
        .transpose()
}

/// Tells whether a group is there, by its folded name.
pub(crate) fn exists(sql: &Connection, name: &str) -> Result<bool, Fault> {
    Ok(sql
        .prepare_cached("SELECT 1 FROM resource_group WHERE name = ?1")?
        .exists([name])?)
}

/// Makes a group or changes it; tells whether it is new.
pub(crate) fn put(unit: &mut Unit<'_>, group: &ResourceGroup) -> Result<bool, Fault> {
    let new = !exists(unit.sql, group.name.folded())?;
    let text = encode(group, unit.sealer)?;
    unit.sql
        .prepare_cached(
            "INSERT INTO resource_group (name, document) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET document = excluded.document",
        )?
        .execute(params![group.name.folded(), text])?;
    unit.trust_changed(&Changed::Group(&group.name))?;
    Ok(new)
}

/// Deletes a group with all that stands in it.
pub(crate) fn delete(unit: &mut Unit<'_>, name: &ResourceGroupName) -> Result<(), Fault> {
    if !exists(unit.sql, name.folded())? {
        return Err(Fault::Missing);
    }
    // Services first: a link to a hub of the same group then need not be dropped by itself.
    for owner in members(unit.sql, name.folded())? {
        match owner {
            CertificateOwner::Dps(key) => service::delete(unit, key, IfMatch::Absent)?,
            CertificateOwner::Hub(key) => hub::delete(unit, key, IfMatch::Absent)?,
        }
    }
    unit.sql
        .prepare_cached("DELETE FROM resource_group WHERE name = ?1")?
        .execute([name.folded()])?;
    unit.trust_changed(&Changed::Group(name))
}

fn members(sql: &Connection, name: &str) -> Result<Vec<CertificateOwner>, Fault> {
    let mut members = Vec::new();
    for (query, wrap) in [
        (
            "SELECT key FROM service WHERE grp = ?1 ORDER BY key",
            (|key| CertificateOwner::Dps(muster_model::DpsKey::new(key))) as fn(u64) -> CertificateOwner,
        ),
        ("SELECT key FROM hub WHERE grp = ?1 ORDER BY key", |key| {
            CertificateOwner::Hub(muster_model::HubKey::new(key))
        }),
    ] {
        let mut statement = sql.prepare_cached(query)?;
        for key in statement.query_map([name], |row| row.get::<_, i64>(0))? {
            members.push(wrap(key?.cast_unsigned()));
        }
    }
    Ok(members)
}
