//! Provisioning services, with their policies and links in one document.

use muster_model::dps::AllocationPolicy;
use muster_model::estate::{HubLink, ProvisioningService};
use muster_model::{
    DpsKey, DpsName, ETag, HubKey, IdScope, IfMatch, Location, PolicyName, ResourceGroupName, Wall,
};
use muster_resources::ServiceDraft;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::policy::{self, PolicyRow};
use super::trust::{self, Changed};
use super::unit::Unit;
use super::{hub, reap, resource_group};
use crate::document::{Stored, Text, decode, encode, mirror};
use crate::fault::{Fault, checked};
use crate::seal::Sealer;

const TABLE: &str = "service";

mirror! {
    /// See [`AllocationPolicy`].
    AllocationRow = AllocationPolicy { Custom, GeoLatency, Hashed, Static }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceRow {
    key: u64,
    name: String,
    group: String,
    location: String,
    tags: Text,
    id_scope: String,
    allocation: AllocationRow,
    links: Vec<LinkRow>,
    document: Text,
    policies: Vec<PolicyRow>,
    created: i64,
    etag: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LinkRow {
    hub: u64,
    policy: String,
    location: String,
    apply_allocation: bool,
    weight: u16,
}

impl Stored for ProvisioningService {
    type Row = ServiceRow;
    const TABLE: &'static str = TABLE;

    fn to_row(&self, sealer: &Sealer) -> Result<ServiceRow, Fault> {
        Ok(ServiceRow {
            key: self.key.get(),
            name: self.name.as_str().to_owned(),
            group: self.group.as_str().to_owned(),
            location: self.location.as_str().to_owned(),
            tags: Text::new(&self.tags)?,
            id_scope: self.id_scope.as_str().to_owned(),
            allocation: self.allocation.into(),
            links: self
                .links
                .iter()
                .map(|link| LinkRow {
                    hub: link.hub.get(),
                    policy: link.policy.as_str().to_owned(),
                    location: link.location.as_str().to_owned(),
                    apply_allocation: link.apply_allocation,
                    weight: link.weight,
                })
                .collect(),
            document: Text::new(&self.document)?,
            policies: policy::to_rows(TABLE, self.key.get(), &self.policies, sealer)?,
            created: self.created.micros(),
            etag: self.etag.get(),
        })
    }

    fn from_row(row: ServiceRow, sealer: &Sealer) -> Result<Self, Fault> {
        Ok(Self {
            key: DpsKey::new(row.key),
            name: checked(TABLE, "document", DpsName::parse(&row.name))?,
            group: checked(TABLE, "document", ResourceGroupName::parse(&row.group))?,
            location: checked(TABLE, "document", Location::parse(&row.location))?,
            tags: row.tags.object(TABLE)?,
            id_scope: checked(TABLE, "document", IdScope::parse(&row.id_scope))?,
            allocation: row.allocation.into(),
            links: row
                .links
                .into_iter()
                .map(|link| {
                    Ok(HubLink {
                        hub: HubKey::new(link.hub),
                        policy: checked(TABLE, "document", PolicyName::parse(&link.policy))?,
                        location: checked(TABLE, "document", Location::parse(&link.location))?,
                        apply_allocation: link.apply_allocation,
                        weight: link.weight,
                    })
                })
                .collect::<Result<_, Fault>>()?,
            document: row.document.json(TABLE)?,
            policies: policy::from_rows(TABLE, row.key, row.policies, sealer)?,
            created: Wall::from_micros(row.created),
            etag: ETag::new(row.etag),
        })
    }
}

pub(crate) fn load(
    sql: &Connection,
    sealer: &Sealer,
    key: DpsKey,
) -> Result<Option<ProvisioningService>, Fault> {
    sql.prepare_cached("SELECT document FROM service WHERE key = ?1")?
        .query_row([key.get().cast_signed()], |row| row.get::<_, String>(0))
        .optional()?
        .map(|text| decode(&text, sealer))
        .transpose()
}

/// Refuses when a provisioning service is gone.
pub(crate) fn require(sql: &Connection, key: DpsKey) -> Result<(), Fault> {
    let there = sql
        .prepare_cached("SELECT 1 FROM service WHERE key = ?1")?
        .exists([key.get().cast_signed()])?;
    if there { Ok(()) } else { Err(Fault::Missing) }
}

pub(crate) fn create(
    unit: &mut Unit<'_>,
    draft: ServiceDraft,
    now: Wall,
) -> Result<ProvisioningService, Fault> {
    if !resource_group::exists(unit.sql, draft.group.folded())? {
        return Err(Fault::Missing);
    }
    let taken = unit
        .sql
        .prepare_cached("SELECT 1 FROM service WHERE name = ?1 OR id_scope = ?2")?
        .exists([draft.name.folded(), draft.id_scope.folded()])?;
    if taken {
        return Err(Fault::Exists);
    }
    require_hubs(unit, &draft.links)?;
    let service = ProvisioningService {
        key: unit.dps_key(),
        name: draft.name,
        group: draft.group,
        location: draft.location,
        tags: draft.tags,
        id_scope: draft.id_scope,
        allocation: draft.allocation,
        links: draft.links,
        document: draft.document,
        policies: draft.policies,
        created: now,
        etag: unit.etag(),
    };
    unit.sql
        .prepare_cached(
            "INSERT INTO service (key, name, id_scope, grp, document) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            service.key.get().cast_signed(),
            service.name.folded(),
            service.id_scope.folded(),
            service.group.folded(),
            encode(&service, unit.sealer)?
        ])?;
    index_links(unit, &service)?;
    unit.trust_changed(&Changed::Service(service.key))?;
    Ok(service)
}

pub(crate) fn update(
    unit: &mut Unit<'_>,
    key: DpsKey,
    draft: ServiceDraft,
    if_match: IfMatch,
) -> Result<ProvisioningService, Fault> {
    let old = demanded(unit, key, if_match)?;
    require_hubs(unit, &draft.links)?;
    let service = ProvisioningService {
        location: draft.location,
        tags: draft.tags,
        allocation: draft.allocation,
        links: draft.links,
        document: draft.document,
        policies: draft.policies,
        etag: unit.etag(),
        ..old
    };
    save(unit, &service)?;
    Ok(service)
}

pub(crate) fn delete(unit: &mut Unit<'_>, key: DpsKey, if_match: IfMatch) -> Result<(), Fault> {
    demanded(unit, key, if_match)?;
    let number = key.get().cast_signed();
    for query in [
        "DELETE FROM service_link WHERE service = ?1",
        "DELETE FROM service WHERE key = ?1",
    ] {
        unit.sql.prepare_cached(query)?.execute([number])?;
    }
    reap::bury(unit, trust::SERVICE, key.get())?;
    unit.trust_changed(&Changed::Service(key))
}

/// Drops every link to a hub that goes.
pub(crate) fn unlink(unit: &mut Unit<'_>, hub: HubKey) -> Result<(), Fault> {
    let linking = unit
        .sql
        .prepare_cached("SELECT service FROM service_link WHERE hub = ?1 ORDER BY service")?
        .query_map([hub.get().cast_signed()], |row| row.get::<_, i64>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    for key in linking {
        let key = DpsKey::new(key.cast_unsigned());
        let mut service = load(unit.sql, unit.sealer, key)?
            .ok_or_else(|| Fault::damaged("service_link", "service", "it names no service"))?;
        service.links.retain(|link| link.hub != hub);
        service.etag = unit.etag();
        save(unit, &service)?;
    }
    Ok(())
}

fn demanded(unit: &Unit<'_>, key: DpsKey, if_match: IfMatch) -> Result<ProvisioningService, Fault> {
    let service = load(unit.sql, unit.sealer, key)?.ok_or(Fault::Missing)?;
    if if_match.allows(service.etag) {
        Ok(service)
    } else {
        Err(Fault::Stale)
    }
}

fn require_hubs(unit: &Unit<'_>, links: &[HubLink]) -> Result<(), Fault> {
    links.iter().try_for_each(|link| hub::require(unit.sql, link.hub))
}

fn save(unit: &mut Unit<'_>, service: &ProvisioningService) -> Result<(), Fault> {
    unit.sql
        .prepare_cached("UPDATE service SET document = ?2 WHERE key = ?1")?
        .execute(params![
            service.key.get().cast_signed(),
            encode(service, unit.sealer)?
        ])?;
    index_links(unit, service)?;
    unit.trust_changed(&Changed::Service(service.key))
}

fn index_links(unit: &Unit<'_>, service: &ProvisioningService) -> Result<(), Fault> {
    let key = service.key.get().cast_signed();
    unit.sql
        .prepare_cached("DELETE FROM service_link WHERE service = ?1")?
        .execute([key])?;
    for link in &service.links {
        // One hub may stand in several links.
        unit.sql
            .prepare_cached("INSERT OR IGNORE INTO service_link (hub, service) VALUES (?1, ?2)")?
            .execute([link.hub.get().cast_signed(), key])?;
    }
    Ok(())
}
