//! Individual enrollments, and the index of certificates that disabled ones hold.

use muster_dps::ports::{IndividualDraft, Page, WriteMode};
use muster_model::dps::{
    Attestation, EnrollmentTerms, IndividualEnrollment, ProvisioningStatus, X509Attestation,
};
use muster_model::{DeviceId, DpsKey, ETag, IfMatch, RegistrationId, Wall};
use muster_pki::Sha256;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::attestation::{AttestationRow, TermsRow};
use super::service;
use super::unit::Unit;
use crate::document::{Stored, Text, decode, encode, some};
use crate::fault::{Fault, checked};
use crate::seal::{Place, Sealer};

const TABLE: &str = "individual";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IndividualRow {
    service: u64,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    device_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "some")]
    device_information: Option<Text>,
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

impl Stored for IndividualEnrollment {
    type Row = IndividualRow;
    const TABLE: &'static str = TABLE;

    fn to_row(&self, sealer: &Sealer) -> Result<IndividualRow, Fault> {
        let service = self.service.to_string();
        let key = [service.as_str(), self.id.folded()];
        Ok(IndividualRow {
            service: self.service.get(),
            id: self.id.as_str().to_owned(),
            device_id: self.device_id.as_ref().map(|id| id.as_str().to_owned()),
            device_information: self.device_information.as_ref().map(Text::new).transpose()?,
            attestation: AttestationRow::new(&self.attestation, place(&key), sealer)?,
            terms: TermsRow::new(&self.terms)?,
        })
    }

    fn from_row(row: IndividualRow, sealer: &Sealer) -> Result<Self, Fault> {
        let id = checked(TABLE, "document", RegistrationId::parse(&row.id))?;
        let service = row.service.to_string();
        let attestation = row
            .attestation
            .read(place(&[service.as_str(), id.folded()]), sealer)?;
        Ok(Self {
            service: DpsKey::new(row.service),
            device_id: row
                .device_id
                .map(|id| checked(TABLE, "document", DeviceId::parse(&id)))
                .transpose()?,
            device_information: row.device_information.map(|text| text.json(TABLE)).transpose()?,
            attestation,
            terms: row.terms.read(TABLE)?,
            id,
        })
    }
}

pub(crate) fn load(
    sql: &Connection,
    sealer: &Sealer,
    service: DpsKey,
    id: &RegistrationId,
) -> Result<Option<IndividualEnrollment>, Fault> {
    sql.prepare_cached(
        "SELECT document FROM individual
         WHERE service = ?1 AND id = ?2 AND EXISTS (SELECT 1 FROM service WHERE key = ?1)",
    )?
    .query_row(params![service.get().cast_signed(), id.folded()], |row| {
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
) -> Result<Page<IndividualEnrollment>, Fault> {
    let mut statement = sql.prepare_cached(
        "SELECT document FROM individual
         WHERE service = ?1 AND id > ?2 AND EXISTS (SELECT 1 FROM service WHERE key = ?1)
         ORDER BY id LIMIT ?3",
    )?;
    let mut rows = statement.query(params![
        service.get().cast_signed(),
        after.unwrap_or_default(),
        one_more(limit)
    ])?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push(decode::<IndividualEnrollment>(&row.get::<_, String>(0)?, sealer)?);
    }
    Ok(page(items, limit, |item| item.id.folded()))
}

/// Tells which disabled enrollment holds this certificate; the first by id when several do.
pub(crate) fn disabled_with(
    sql: &Connection,
    service: DpsKey,
    certificate: Sha256,
) -> Result<Option<RegistrationId>, Fault> {
    sql.prepare_cached(
        "SELECT id FROM disabled_certificate
         WHERE service = ?1 AND sha256 = ?2 AND EXISTS (SELECT 1 FROM service WHERE key = ?1)
         ORDER BY id LIMIT 1",
    )?
    .query_row(
        params![service.get().cast_signed(), certificate.as_bytes()],
        |row| row.get::<_, String>(0),
    )
    .optional()?
    .map(|id| checked("disabled_certificate", "id", RegistrationId::parse(&id)))
    .transpose()
}

pub(crate) fn put(
    unit: &mut Unit<'_>,
    service: DpsKey,
    draft: IndividualDraft,
    mode: WriteMode,
    now: Wall,
) -> Result<IndividualEnrollment, Fault> {
    service::require(unit.sql, service)?;
    let old = load(unit.sql, unit.sealer, service, &draft.id)?;
    admits(mode, old.as_ref().map(|old| old.terms.etag))?;
    let enrollment = IndividualEnrollment {
        service,
        terms: EnrollmentTerms {
            etag: unit.etag(),
            created: old.as_ref().map_or(now, |old| old.terms.created),
            updated: now,
            ..draft.terms
        },
        // The letters of an id are those of the one who made it.
        id: old.map_or(draft.id, |old| old.id),
        device_id: draft.device_id,
        device_information: draft.device_information,
        attestation: draft.attestation,
    };
    let key = service.get().cast_signed();
    unit.sql
        .prepare_cached(
            "INSERT INTO individual (service, id, document) VALUES (?1, ?2, ?3)
             ON CONFLICT (service, id) DO UPDATE SET document = excluded.document",
        )?
        .execute(params![
            key,
            enrollment.id.folded(),
            encode(&enrollment, unit.sealer)?
        ])?;
    unindex(unit, service, &enrollment.id)?;
    if let (
        ProvisioningStatus::Disabled,
        Attestation::X509(held @ X509Attestation::ClientCertificates { .. }),
    ) = (enrollment.terms.status, &enrollment.attestation)
    {
        for certificate in held.certificates() {
            // Both places may hold the same certificate.
            unit.sql
                .prepare_cached(
                    "INSERT OR IGNORE INTO disabled_certificate (service, sha256, id) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![
                    key,
                    certificate.sha256().as_bytes(),
                    enrollment.id.folded()
                ])?;
        }
    }
    unit.trust_moved();
    Ok(enrollment)
}

pub(crate) fn delete(
    unit: &mut Unit<'_>,
    service: DpsKey,
    id: &RegistrationId,
    if_match: IfMatch,
) -> Result<(), Fault> {
    let old = load(unit.sql, unit.sealer, service, id)?.ok_or(Fault::Missing)?;
    if !if_match.allows(old.terms.etag) {
        return Err(Fault::Stale);
    }
    unit.sql
        .prepare_cached("DELETE FROM individual WHERE service = ?1 AND id = ?2")?
        .execute(params![service.get().cast_signed(), id.folded()])?;
    unindex(unit, service, id)?;
    unit.trust_moved();
    Ok(())
}

fn unindex(unit: &Unit<'_>, service: DpsKey, id: &RegistrationId) -> Result<(), Fault> {
    unit.sql
        .prepare_cached("DELETE FROM disabled_certificate WHERE service = ?1 AND id = ?2")?
        .execute(params![service.get().cast_signed(), id.folded()])?;
    Ok(())
}

/// Refuses a write that its mode does not admit, given the version that is there.
pub(crate) fn admits(mode: WriteMode, there: Option<ETag>) -> Result<(), Fault> {
    match (mode, there) {
        (WriteMode::Create, Some(_)) => Err(Fault::Exists),
        (WriteMode::Update(_), None) => Err(Fault::Missing),
        (WriteMode::Put(if_match), None) if if_match.requires_existing() => Err(Fault::Missing),
        (WriteMode::Create | WriteMode::Put(_), None) => Ok(()),
        (WriteMode::Put(if_match) | WriteMode::Update(if_match), Some(etag)) => {
            if if_match.allows(etag) {
                Ok(())
            } else {
                Err(Fault::Stale)
            }
        }
    }
}

/// The rows to ask for so that one can tell whether more follow.
pub(crate) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

/// Cuts what [`one_more`] brought back to a page.
pub(crate) fn page<T>(mut items: Vec<T>, limit: usize, id: impl Fn(&T) -> &str) -> Page<T> {
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|last| id(last).to_owned());
    Page { items, next }
}
