//! The log of changes of trust: which thing of the control plane changed at which version, the newest change of each.
//!
//! A row stays when its thing is gone, so that a reader that was away learns that it is gone. Changes of devices and
//! enrollments take a version and leave no row: nobody reads those from here.

use std::collections::HashSet;

use muster_model::{CertificateName, CertificateOwner, DpsKey, HubKey, ResourceGroupName, TrustVersion};
use muster_resources::Delta;
use rusqlite::{Connection, params};

use super::cells::Cells;
use super::unit::Meta;
use super::{certificate, hub, resource_group, service};
use crate::fault::{Fault, checked};
use crate::seal::Sealer;

const GROUP: i64 = 1;
/// Also the kind of a hub as owner and in tombstones.
pub(crate) const HUB: i64 = 2;
/// Also the kind of a provisioning service as owner and in tombstones.
pub(crate) const SERVICE: i64 = 3;
const HUB_CERTIFICATE: i64 = 4;
const SERVICE_CERTIFICATE: i64 = 5;
const OPERATOR: i64 = 6;

/// A thing of the control plane that changed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Changed<'a> {
    Certificate(CertificateOwner, &'a CertificateName),
    Group(&'a ResourceGroupName),
    Hub(HubKey),
    Operator,
    Service(DpsKey),
}

impl Changed<'_> {
    pub(crate) fn log(&self, sql: &Connection, version: TrustVersion) -> Result<(), Fault> {
        let (kind, owner, name) = match self {
            Self::Certificate(CertificateOwner::Hub(hub), name) => {
                (HUB_CERTIFICATE, hub.get(), name.folded())
            }
            Self::Certificate(CertificateOwner::Dps(dps), name) => {
                (SERVICE_CERTIFICATE, dps.get(), name.folded())
            }
            Self::Group(name) => (GROUP, 0, name.folded()),
            Self::Hub(key) => (HUB, key.get(), ""),
            Self::Operator => (OPERATOR, 0, ""),
            Self::Service(key) => (SERVICE, key.get(), ""),
        };
        sql.prepare_cached(
            "INSERT INTO trust_change (kind, owner, name, version) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (kind, owner, name) DO UPDATE SET version = excluded.version",
        )?
        .execute(params![
            kind,
            owner.cast_signed(),
            name,
            version.get().cast_signed()
        ])?;
        Ok(())
    }
}

/// Kind and key of an owner, as columns hold them.
pub(crate) fn owner_columns(owner: CertificateOwner) -> (i64, i64) {
    match owner {
        CertificateOwner::Dps(key) => (SERVICE, key.get().cast_signed()),
        CertificateOwner::Hub(key) => (HUB, key.get().cast_signed()),
    }
}

/// Reads what changed after `since`. The caller holds one snapshot of the database over all of it.
pub(crate) fn read_since(sql: &Connection, sealer: &Sealer, since: TrustVersion) -> Result<Delta, Fault> {
    let meta = Meta::load(sql)?;
    let mut delta = Delta {
        version: TrustVersion::new(meta.trust),
        ..Delta::default()
    };
    // What never changed since it was made is in the log too, by its making; a reader that begins at 0 knows nothing
    // that could be gone.
    let everything = since == TrustVersion::new(0);
    let mut gone = HashSet::new();
    let mut statement =
        sql.prepare_cached("SELECT kind, owner, name FROM trust_change WHERE version > ?1 ORDER BY version")?;
    let mut rows = statement.query([since.get().cast_signed()])?;
    let mut certificates = Vec::new();
    while let Some(row) = rows.next()? {
        let mut cells = Cells::new(row, "trust_change");
        let (kind, owner): (i64, u64) = (cells.next("kind")?, cells.number("owner")?);
        let name: String = cells.next("name")?;
        match kind {
            GROUP => {
                let name = checked("trust_change", "name", ResourceGroupName::parse(&name))?;
                let group = resource_group::load(sql, sealer, name.folded())?;
                if group.is_some() || !everything {
                    let name = group.as_ref().map_or(name, |group| group.name.clone());
                    delta.groups.push((name, group));
                }
            }
            HUB => {
                let key = HubKey::new(owner);
                let hub = hub::load(sql, sealer, key)?;
                if hub.is_none() {
                    gone.insert(CertificateOwner::Hub(key));
                }
                if hub.is_some() || !everything {
                    delta.hubs.push((key, hub));
                }
            }
            SERVICE => {
                let key = DpsKey::new(owner);
                let service = service::load(sql, sealer, key)?;
                if service.is_none() {
                    gone.insert(CertificateOwner::Dps(key));
                }
                if service.is_some() || !everything {
                    delta.services.push((key, service));
                }
            }
            HUB_CERTIFICATE | SERVICE_CERTIFICATE => {
                let owner = if kind == HUB_CERTIFICATE {
                    CertificateOwner::Hub(HubKey::new(owner))
                } else {
                    CertificateOwner::Dps(DpsKey::new(owner))
                };
                let name = checked("trust_change", "name", CertificateName::parse(&name))?;
                certificates.push((owner, name));
            }
            OPERATOR => delta.operator = meta.operator,
            other => {
                return Err(Fault::damaged(
                    "trust_change",
                    "kind",
                    &format!("kind {other} is not known"),
                ));
            }
        }
    }
    for (owner, name) in certificates {
        if gone.contains(&owner) {
            continue;
        }
        let certificate = certificate::load(sql, sealer, owner, name.folded())?;
        if certificate.is_some() || !everything {
            delta.certificates.push((owner, name, certificate));
        }
    }
    Ok(delta)
}
