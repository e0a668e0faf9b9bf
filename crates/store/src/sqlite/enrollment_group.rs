//! Enrollment groups, and the indexes by which a registering device finds its own: signing certificates by subject and
//! by digest, references by name, symmetric keys by kind.

use std::collections::BTreeSet;

use muster_dps::ports::{GroupDraft, Page, WriteMode};
use muster_model::dps::{Attestation, EnrollmentGroup, EnrollmentTerms, X509Attestation};
use muster_model::{CertificateName, DpsKey, EnrollmentGroupId, IfMatch, Wall};
use muster_pki::{Certificate, Name, Sha256};
use rusqlite::{Connection, OptionalExtension, Params, params};
use serde::{Deserialize, Serialize};

use super::attestation::{AttestationRow, TermsRow};
use super::individual::{admits, one_more, page};
use super::service;
use super::unit::Unit;
use crate::document::{Stored, decode, encode};
use crate::fault::{Fault, checked};
use crate::seal::{Place, Sealer};

const TABLE: &str = "enrollment_group";

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EnrollmentGroupRow {
    service: u64,
    id: String,
    attestation: AttestationRow,
    terms: TermsRow,
}

fn place<'a>(row: &'a [&'a str]) -> Place<'a> {
    Place {
        table: TABLE,
        column: "document",
        row,
    }
}

impl Stored for EnrollmentGroup {
    type Row = EnrollmentGroupRow;
    const TABLE: &'static str = TABLE;

    fn to_row(&self, sealer: &Sealer) -> Result<EnrollmentGroupRow, Fault> {
        let service = self.service.to_string();
        let key = [service.as_str(), self.id.folded()];
        Ok(EnrollmentGroupRow {
            service: self.service.get(),
            id: self.id.as_str().to_owned(),
            attestation: AttestationRow::new(&self.attestation, place(&key), sealer)?,
            terms: TermsRow::new(&self.terms)?,
        })
    }

    fn from_row(row: EnrollmentGroupRow, sealer: &Sealer) -> Result<Self, Fault> {
        let id = checked(TABLE, "document", EnrollmentGroupId::parse(&row.id))?;
        let service = row.service.to_string();
        let attestation = row
            .attestation
            .read(place(&[service.as_str(), id.folded()]), sealer)?;
        Ok(Self {
            service: DpsKey::new(row.service),
            attestation,
            terms: row.terms.read(TABLE)?,
            id,
        })
    }
}

/// Reads a group by its folded id.
pub(crate) fn load(
    sql: &Connection,
    sealer: &Sealer,
    service: DpsKey,
    id: &str,
) -> Result<Option<EnrollmentGroup>, Fault> {
    sql.prepare_cached(
        "SELECT document FROM enrollment_group
         WHERE service = ?1 AND id = ?2 AND EXISTS (SELECT 1 FROM service WHERE key = ?1)",
    )?
    .query_row(params![service.get().cast_signed(), id], |row| {
        row.get::<_, String>(0)
    })
    .optional()?
    .map(|text| decode(&text, sealer))
    .transpose()
}

pub(crate) fn list(
    sql: &Connection,
    sealer: &Sealer,
    service: DpsKey,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<EnrollmentGroup>, Fault> {
    let items = documents(
        sql,
        sealer,
        "SELECT document FROM enrollment_group
         WHERE service = ?1 AND id > ?2 AND EXISTS (SELECT 1 FROM service WHERE key = ?1)
         ORDER BY id LIMIT ?3",
        params![
            service.get().cast_signed(),
            after.unwrap_or_default(),
            one_more(limit)
        ],
    )?;
    Ok(page(items, limit, |group| group.id.folded()))
}

pub(crate) fn symmetric(
    sql: &Connection,
    sealer: &Sealer,
    service: DpsKey,
    limit: usize,
) -> Result<Vec<EnrollmentGroup>, Fault> {
    documents(
        sql,
        sealer,
        "SELECT document FROM enrollment_group
         WHERE service = ?1 AND symmetric = 1 AND EXISTS (SELECT 1 FROM service WHERE key = ?1)
         ORDER BY id LIMIT ?2",
        params![
            service.get().cast_signed(),
            i64::try_from(limit).unwrap_or(i64::MAX)
        ],
    )
}

/// Finds the signing certificates of these subjects, each once.
pub(crate) fn signing_certificates(
    sql: &Connection,
    service: DpsKey,
    subjects: &[Name],
) -> Result<Vec<Certificate>, Fault> {
    let mut found = Vec::new();
    let digests: BTreeSet<Sha256> = subjects.iter().map(|subject| Sha256::of(subject.der())).collect();
    for subject in digests {
        let mut statement = sql.prepare_cached(
            "SELECT der FROM signing_certificate WHERE rowid IN
                 (SELECT min(rowid) FROM signing_certificate
                  WHERE service = ?1 AND subject = ?2 AND EXISTS (SELECT 1 FROM service WHERE key = ?1)
                  GROUP BY sha256)",
        )?;
        let mut rows = statement.query(params![service.get().cast_signed(), subject.as_bytes()])?;
        while let Some(row) = rows.next()? {
            let der: Vec<u8> = row.get(0)?;
            found.push(checked(
                "signing_certificate",
                "der",
                Certificate::from_der(&der),
            )?);
        }
    }
    Ok(found)
}

/// Finds the groups that hold one of these certificates or refer to one of these names.
pub(crate) fn of(
    sql: &Connection,
    sealer: &Sealer,
    service: DpsKey,
    certificates: &[Sha256],
    references: &[CertificateName],
    limit: usize,
) -> Result<Vec<EnrollmentGroup>, Fault> {
    let key = service.get().cast_signed();
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut ids = BTreeSet::new();
    for certificate in certificates {
        ids.extend(group_ids(
            sql,
            "SELECT grp FROM signing_certificate WHERE service = ?1 AND sha256 = ?2 ORDER BY grp LIMIT ?3",
            params![key, certificate.as_bytes(), most],
        )?);
    }
    for reference in references {
        ids.extend(group_ids(
            sql,
            "SELECT grp FROM ca_reference WHERE service = ?1 AND name = ?2 ORDER BY grp LIMIT ?3",
            params![key, reference.folded(), most],
        )?);
    }
    let mut groups = Vec::new();
    for id in ids.iter().take(limit) {
        // Nothing when the service is gone.
        groups.extend(load(sql, sealer, service, id)?);
    }
    Ok(groups)
}

pub(crate) fn put(
    unit: &mut Unit<'_>,
    service: DpsKey,
    draft: GroupDraft,
    mode: WriteMode,
    now: Wall,
) -> Result<EnrollmentGroup, Fault> {
    service::require(unit.sql, service)?;
    let old = load(unit.sql, unit.sealer, service, draft.id.folded())?;
    admits(mode, old.as_ref().map(|old| old.terms.etag))?;
    let group = EnrollmentGroup {
        service,
        terms: EnrollmentTerms {
            etag: unit.etag(),
            created: old.as_ref().map_or(now, |old| old.terms.created),
            updated: now,
            ..draft.terms
        },
        id: old.map_or(draft.id, |old| old.id),
        attestation: draft.attestation,
    };
    let symmetric = matches!(group.attestation, Attestation::SymmetricKey { .. });
    unit.sql
        .prepare_cached(
            "INSERT INTO enrollment_group (service, id, symmetric, document) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (service, id)
             DO UPDATE SET symmetric = excluded.symmetric, document = excluded.document",
        )?
        .execute(params![
            service.get().cast_signed(),
            group.id.folded(),
            symmetric,
            encode(&group, unit.sealer)?
        ])?;
    unindex(unit, service, &group.id)?;
    index(unit, &group)?;
    unit.trust_moved();
    Ok(group)
}

pub(crate) fn delete(
    unit: &mut Unit<'_>,
    service: DpsKey,
    id: &EnrollmentGroupId,
    if_match: IfMatch,
) -> Result<(), Fault> {
    let old = load(unit.sql, unit.sealer, service, id.folded())?.ok_or(Fault::Missing)?;
    if !if_match.allows(old.terms.etag) {
        return Err(Fault::Stale);
    }
    unit.sql
        .prepare_cached("DELETE FROM enrollment_group WHERE service = ?1 AND id = ?2")?
        .execute(params![service.get().cast_signed(), id.folded()])?;
    unindex(unit, service, id)?;
    unit.trust_moved();
    Ok(())
}

fn unindex(unit: &Unit<'_>, service: DpsKey, id: &EnrollmentGroupId) -> Result<(), Fault> {
    for query in [
        "DELETE FROM signing_certificate WHERE service = ?1 AND grp = ?2",
        "DELETE FROM ca_reference WHERE service = ?1 AND grp = ?2",
    ] {
        unit.sql
            .prepare_cached(query)?
            .execute(params![service.get().cast_signed(), id.folded()])?;
    }
    Ok(())
}

/// Indexes a group's certificates and references. The same one may stand in both of its places.
fn index(unit: &Unit<'_>, group: &EnrollmentGroup) -> Result<(), Fault> {
    let Attestation::X509(x509) = &group.attestation else {
        return Ok(());
    };
    let service = group.service.get().cast_signed();
    if let X509Attestation::SigningCertificates { .. } = x509 {
        for certificate in x509.certificates() {
            unit.sql
                .prepare_cached(
                    "INSERT OR IGNORE INTO signing_certificate (service, subject, sha256, grp, der)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![
                    service,
                    Sha256::of(certificate.subject().der()).as_bytes(),
                    certificate.sha256().as_bytes(),
                    group.id.folded(),
                    certificate.der()
                ])?;
        }
    }
    for reference in x509.references() {
        unit.sql
            .prepare_cached("INSERT OR IGNORE INTO ca_reference (service, name, grp) VALUES (?1, ?2, ?3)")?
            .execute(params![service, reference.folded(), group.id.folded()])?;
    }
    Ok(())
}

fn group_ids(sql: &Connection, query: &str, params: impl Params) -> Result<Vec<String>, Fault> {
    Ok(sql
        .prepare_cached(query)?
        .query_map(params, |row| row.get(0))?
        .collect::<Result<_, _>>()?)
}

fn documents(
    sql: &Connection,
    sealer: &Sealer,
    query: &str,
    params: impl Params,
) -> Result<Vec<EnrollmentGroup>, Fault> {
    let mut statement = sql.prepare_cached(query)?;
    let mut rows = statement.query(params)?;
    let mut groups = Vec::new();
    while let Some(row) = rows.next()? {
        groups.push(decode(&row.get::<_, String>(0)?, sealer)?);
    }
    Ok(groups)
}
