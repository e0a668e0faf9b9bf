//! CA certificates of hubs and provisioning services, with the state of their proof of possession.

use data_encoding::BASE64;
use muster_model::{
    CaCertificate, CertificateName, CertificateOwner, DpsKey, ETag, HubKey, IfMatch, VerificationCode, Wall,
};
use muster_pki::Certificate;
use muster_resources::CertificateDraft;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::trust::{Changed, owner_columns};
use super::unit::Unit;
use super::{hub, service};
use crate::document::{Stored, decode, encode};
use crate::fault::{Fault, checked, present};
use crate::seal::Sealer;

const TABLE: &str = "certificate";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CertificateRow {
    owner: OwnerRow,
    name: String,
    der: String,
    verified: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    code: Option<String>,
    etag: u64,
    created: i64,
    updated: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum OwnerRow {
    Dps(u64),
    Hub(u64),
}

impl Stored for CaCertificate {
    type Row = CertificateRow;
    const TABLE: &'static str = TABLE;

    fn to_row(&self, _: &Sealer) -> Result<CertificateRow, Fault> {
        Ok(CertificateRow {
            owner: match self.owner {
                CertificateOwner::Dps(key) => OwnerRow::Dps(key.get()),
                CertificateOwner::Hub(key) => OwnerRow::Hub(key.get()),
            },
            name: self.name.as_str().to_owned(),
            der: BASE64.encode(self.certificate.der()),
            verified: self.verified,
            code: self.code.map(|code| BASE64.encode(&code.bytes())),
            etag: self.etag.get(),
            created: self.created.micros(),
            updated: self.updated.micros(),
        })
    }

    fn from_row(row: CertificateRow, _: &Sealer) -> Result<Self, Fault> {
        let code = row
            .code
            .map(|text| {
                let bytes = BASE64
                    .decode(text.as_bytes())
                    .ok()
                    .and_then(|bytes| bytes.try_into().ok());
                present(TABLE, "document", bytes, "a verification code has 24 bytes")
            })
            .transpose()?;
        Ok(Self {
            owner: match row.owner {
                OwnerRow::Dps(key) => CertificateOwner::Dps(DpsKey::new(key)),
                OwnerRow::Hub(key) => CertificateOwner::Hub(HubKey::new(key)),
            },
            name: checked(TABLE, "document", CertificateName::parse(&row.name))?,
            certificate: from_base64(TABLE, &row.der)?,
            verified: row.verified,
            code: code.map(VerificationCode::from_bytes),
            etag: ETag::new(row.etag),
            created: Wall::from_micros(row.created),
            updated: Wall::from_micros(row.updated),
        })
    }
}

/// Reads a certificate inside a document of `table`.
pub(crate) fn from_base64(table: &'static str, text: &str) -> Result<Certificate, Fault> {
    let der = checked(table, "document", BASE64.decode(text.as_bytes()))?;
    checked(table, "document", Certificate::from_der(&der))
}

/// Reads a certificate by its folded name. Whether its owner is alive is the caller's business.
pub(crate) fn load(
    sql: &Connection,
    sealer: &Sealer,
    owner: CertificateOwner,
    name: &str,
) -> Result<Option<CaCertificate>, Fault> {
    let (kind, key) = owner_columns(owner);
    sql.prepare_cached("SELECT document FROM certificate WHERE kind = ?1 AND owner = ?2 AND name = ?3")?
        .query_row(params![kind, key, name], |row| row.get::<_, String>(0))
        .optional()?
        .map(|text| decode(&text, sealer))
        .transpose()
}

pub(crate) fn put(
    unit: &mut Unit<'_>,
    draft: CertificateDraft,
    if_match: IfMatch,
    now: Wall,
) -> Result<CaCertificate, Fault> {
    require_owner(unit, draft.owner)?;
    let there = load(unit.sql, unit.sealer, draft.owner, draft.name.folded())?;
    let created = match (&there, if_match.requires_existing()) {
        (None, false) => now,
        (None, true) => return Err(Fault::Missing),
        (Some(_), false) => return Err(Fault::Exists),
        (Some(old), true) if if_match.allows(old.etag) => old.created,
        (Some(_), true) => return Err(Fault::Stale),
    };
    let certificate = CaCertificate {
        owner: draft.owner,
        name: there.map_or(draft.name, |old| old.name),
        certificate: draft.certificate,
        verified: draft.verified,
        code: None,
        etag: unit.etag(),
        created,
        updated: now,
    };
    save(unit, &certificate)?;
    Ok(certificate)
}

pub(crate) fn start_proof(
    unit: &mut Unit<'_>,
    owner: CertificateOwner,
    name: &CertificateName,
    code: VerificationCode,
    if_match: IfMatch,
    now: Wall,
) -> Result<CaCertificate, Fault> {
    let mut certificate = demanded(unit, owner, name, if_match)?;
    certificate.code = Some(code);
    certificate.etag = unit.etag();
    certificate.updated = now;
    save(unit, &certificate)?;
    Ok(certificate)
}

pub(crate) fn finish_proof(
    unit: &mut Unit<'_>,
    owner: CertificateOwner,
    name: &CertificateName,
    code: VerificationCode,
    if_match: IfMatch,
    now: Wall,
) -> Result<CaCertificate, Fault> {
    let mut certificate = demanded(unit, owner, name, if_match)?;
    if certificate.code != Some(code) {
        return Err(Fault::Stale);
    }
    certificate.code = None;
    certificate.verified = true;
    certificate.etag = unit.etag();
    certificate.updated = now;
    save(unit, &certificate)?;
    Ok(certificate)
}

pub(crate) fn delete(
    unit: &mut Unit<'_>,
    owner: CertificateOwner,
    name: &CertificateName,
    if_match: IfMatch,
) -> Result<(), Fault> {
    let certificate = demanded(unit, owner, name, if_match)?;
    let (kind, key) = owner_columns(owner);
    unit.sql
        .prepare_cached("DELETE FROM certificate WHERE kind = ?1 AND owner = ?2 AND name = ?3")?
        .execute(params![kind, key, name.folded()])?;
    unit.trust_changed(&Changed::Certificate(owner, &certificate.name))
}

fn require_owner(unit: &Unit<'_>, owner: CertificateOwner) -> Result<(), Fault> {
    match owner {
        CertificateOwner::Dps(key) => service::require(unit.sql, key),
        CertificateOwner::Hub(key) => hub::require(unit.sql, key),
    }
}

fn demanded(
    unit: &Unit<'_>,
    owner: CertificateOwner,
    name: &CertificateName,
    if_match: IfMatch,
) -> Result<CaCertificate, Fault> {
    require_owner(unit, owner)?;
    let certificate = load(unit.sql, unit.sealer, owner, name.folded())?.ok_or(Fault::Missing)?;
    if if_match.allows(certificate.etag) {
        Ok(certificate)
    } else {
        Err(Fault::Stale)
    }
}

fn save(unit: &mut Unit<'_>, certificate: &CaCertificate) -> Result<(), Fault> {
    let (kind, key) = owner_columns(certificate.owner);
    unit.sql
        .prepare_cached(
            "INSERT INTO certificate (kind, owner, name, document) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (kind, owner, name) DO UPDATE SET document = excluded.document",
        )?
        .execute(params![
            kind,
            key,
            certificate.name.folded(),
            encode(certificate, unit.sealer)?
        ])?;
    unit.trust_changed(&Changed::Certificate(certificate.owner, &certificate.name))
}
