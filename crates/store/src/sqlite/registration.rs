//! Registration states, and the attempts that go on.

use muster_dps::ports::{Assigned, LinkedDevice, LinkedTwin, NewOperation, Outcome, Page};
use muster_model::dps::{
    Assignment, AttestationKind, RegistrationFailure, RegistrationState, RegistrationStatus, Substatus,
};
use muster_model::{
    DeviceId, DpsKey, ETag, EnrollmentGroupId, HubKey, IfMatch, OperationId, RegistrationId, Wall,
};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::attestation::AttestationKindRow;
use super::credential::{AuthenticationRow, ProvenanceRow, digests_from_text, digests_to_text};
use super::individual::{one_more, page};
use super::service;
use super::twin::InitialTwinRow;
use super::unit::Unit;
use crate::document::{Stored, Text, decode, encode, mirror, some};
use crate::fault::{Fault, checked};
use crate::seal::{Place, Sealer};

const TABLE: &str = "registration";

mirror! {
    /// See [`RegistrationStatus`].
    StatusRow = RegistrationStatus { Assigned, Assigning, Disabled, Failed, Unassigned }
}
mirror! {
    /// See [`Substatus`].
    SubstatusRow = Substatus {
        DeviceDataMigrated, DeviceDataReset, InitialAssignment, ReprovisionedToInitialAssignment
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RegistrationRow {
    service: u64,
    id: String,
    operation: String,
    status: StatusRow,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    substatus: Option<SubstatusRow>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    assignment: Option<AssignmentRow>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    failure: Option<FailureRow>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    group: Option<String>,
    attestation: AttestationKindRow,
    chain: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "some")]
    payload: Option<Text>,
    created: i64,
    updated: i64,
    etag: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AssignmentRow {
    hub: u64,
    host_name: String,
    device_id: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct FailureRow {
    code: u32,
    message: String,
}

impl AssignmentRow {
    fn new(assignment: &Assignment) -> Self {
        Self {
            hub: assignment.hub.get(),
            host_name: assignment.host_name.clone(),
            device_id: assignment.device_id.as_str().to_owned(),
        }
    }

    fn read(self, column: &'static str) -> Result<Assignment, Fault> {
        Ok(Assignment {
            hub: HubKey::new(self.hub),
            host_name: self.host_name,
            device_id: checked(TABLE, column, DeviceId::parse(&self.device_id))?,
        })
    }
}

impl Stored for RegistrationState {
    type Row = RegistrationRow;
    const TABLE: &'static str = TABLE;

    fn to_row(&self, _: &Sealer) -> Result<RegistrationRow, Fault> {
        Ok(RegistrationRow {
            service: self.service.get(),
            id: self.id.as_str().to_owned(),
            operation: self.operation.as_str().to_owned(),
            status: self.status.into(),
            substatus: self.substatus.map(SubstatusRow::from),
            assignment: self.assignment.as_ref().map(AssignmentRow::new),
            failure: self.failure.as_ref().map(|failure| FailureRow {
                code: failure.code,
                message: failure.message.clone(),
            }),
            group: self.group.as_ref().map(|group| group.as_str().to_owned()),
            attestation: self.attestation.into(),
            chain: digests_to_text(&self.chain),
            payload: self.payload.as_ref().map(Text::new).transpose()?,
            created: self.created.micros(),
            updated: self.updated.micros(),
            etag: self.etag.get(),
        })
    }

    fn from_row(row: RegistrationRow, _: &Sealer) -> Result<Self, Fault> {
        Ok(Self {
            service: DpsKey::new(row.service),
            id: checked(TABLE, "document", RegistrationId::parse(&row.id))?,
            operation: checked(TABLE, "document", OperationId::parse(&row.operation))?,
            status: row.status.into(),
            substatus: row.substatus.map(Into::into),
            assignment: row
                .assignment
                .map(|assignment| assignment.read("document"))
                .transpose()?,
            failure: row.failure.map(|failure| RegistrationFailure {
                code: failure.code,
                message: failure.message,
            }),
            group: row
                .group
                .map(|group| checked(TABLE, "document", EnrollmentGroupId::parse(&group)))
                .transpose()?,
            attestation: row.attestation.into(),
            chain: digests_from_text(TABLE, "document", &row.chain)?,
            payload: row.payload.map(|text| text.json(TABLE)).transpose()?,
            created: Wall::from_micros(row.created),
            updated: Wall::from_micros(row.updated),
            etag: ETag::new(row.etag),
        })
    }
}

/// An attempt that goes on, with all that is needed to finish it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PendingRow {
    operation: String,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    group: Option<String>,
    attestation: AttestationKindRow,
    chain: Vec<String>,
    target: AssignmentRow,
    authentication: AuthenticationRow,
    iot_edge: bool,
    provenance: ProvenanceRow,
    twin: LinkedTwinRow,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    leaves: Option<AssignmentRow>,
    substatus: SubstatusRow,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum LinkedTwinRow {
    IfNew(InitialTwinRow),
    Migrate(InitialTwinRow),
    Reset(InitialTwinRow),
}

fn place<'a>(row: &'a [&'a str]) -> Place<'a> {
    Place {
        table: TABLE,
        column: "pending",
        row,
    }
}

impl Stored for NewOperation {
    type Row = PendingRow;
    const TABLE: &'static str = TABLE;
    const COLUMN: &'static str = "pending";

    fn to_row(&self, sealer: &Sealer) -> Result<PendingRow, Fault> {
        let device = &self.device;
        Ok(PendingRow {
            operation: self.operation.as_str().to_owned(),
            id: self.id.as_str().to_owned(),
            group: self.group.as_ref().map(|group| group.as_str().to_owned()),
            attestation: self.attestation.into(),
            chain: digests_to_text(&self.chain),
            target: AssignmentRow::new(&self.target),
            authentication: AuthenticationRow::new(
                &device.authentication,
                place(&[self.operation.as_str()]),
                sealer,
            )?,
            iot_edge: device.iot_edge,
            provenance: ProvenanceRow::new(&device.provenance),
            twin: match &device.twin {
                LinkedTwin::IfNew(twin) => LinkedTwinRow::IfNew(InitialTwinRow::new(twin)?),
                LinkedTwin::Migrate(twin) => LinkedTwinRow::Migrate(InitialTwinRow::new(twin)?),
                LinkedTwin::Reset(twin) => LinkedTwinRow::Reset(InitialTwinRow::new(twin)?),
            },
            leaves: self.leaves.as_ref().map(AssignmentRow::new),
            substatus: self.substatus.into(),
        })
    }

    fn from_row(row: PendingRow, sealer: &Sealer) -> Result<Self, Fault> {
        let column = Self::COLUMN;
        Ok(Self {
            operation: checked(TABLE, column, OperationId::parse(&row.operation))?,
            id: checked(TABLE, column, RegistrationId::parse(&row.id))?,
            group: row
                .group
                .map(|group| checked(TABLE, column, EnrollmentGroupId::parse(&group)))
                .transpose()?,
            attestation: row.attestation.into(),
            chain: digests_from_text(TABLE, column, &row.chain)?,
            target: row.target.read(column)?,
            device: LinkedDevice {
                authentication: row
                    .authentication
                    .read(place(&[row.operation.as_str()]), sealer)?,
                iot_edge: row.iot_edge,
                provenance: row.provenance.read(TABLE, column)?,
                twin: match row.twin {
                    LinkedTwinRow::IfNew(twin) => LinkedTwin::IfNew(twin.read(TABLE)?),
                    LinkedTwinRow::Migrate(twin) => LinkedTwin::Migrate(twin.read(TABLE)?),
                    LinkedTwinRow::Reset(twin) => LinkedTwin::Reset(twin.read(TABLE)?),
                },
            },
            leaves: row.leaves.map(|leaves| leaves.read(column)).transpose()?,
            substatus: row.substatus.into(),
        })
    }
}

pub(crate) fn load(
    sql: &Connection,
    sealer: &Sealer,
    service: DpsKey,
    id: &RegistrationId,
) -> Result<Option<RegistrationState>, Fault> {
    sql.prepare_cached(
        "SELECT document FROM registration
         WHERE service = ?1 AND id = ?2 AND EXISTS (SELECT 1 FROM service WHERE key = ?1)",
    )?
    .query_row(params![service.get().cast_signed(), id.folded()], |row| {
        row.get::<_, String>(0)
    })
    .optional()?
    .map(|text| decode(&text, sealer))
    .transpose()
}

pub(crate) fn by_operation(
    sql: &Connection,
    sealer: &Sealer,
    service: DpsKey,
    operation: &OperationId,
) -> Result<Option<RegistrationState>, Fault> {
    sql.prepare_cached(
        "SELECT document FROM registration
         WHERE operation = ?2 AND service = ?1 AND EXISTS (SELECT 1 FROM service WHERE key = ?1)",
    )?
    .query_row(params![service.get().cast_signed(), operation.as_str()], |row| {
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
    group: &EnrollmentGroupId,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<RegistrationState>, Fault> {
    let mut statement = sql.prepare_cached(
        "SELECT document FROM registration
         WHERE service = ?1 AND grp = ?2 AND id > ?3 AND EXISTS (SELECT 1 FROM service WHERE key = ?1)
         ORDER BY id LIMIT ?4",
    )?;
    let mut rows = statement.query(params![
        service.get().cast_signed(),
        group.folded(),
        after.unwrap_or_default(),
        one_more(limit)
    ])?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push(decode::<RegistrationState>(&row.get::<_, String>(0)?, sealer)?);
    }
    Ok(page(items, limit, |state| state.id.folded()))
}

pub(crate) fn unfinished(
    sql: &Connection,
    sealer: &Sealer,
    before: Wall,
    limit: usize,
) -> Result<Vec<(DpsKey, NewOperation)>, Fault> {
    let mut statement = sql.prepare_cached(
        "SELECT service, pending FROM registration
         WHERE began < ?1 AND EXISTS (SELECT 1 FROM service WHERE key = registration.service)
         ORDER BY began LIMIT ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![before.micros(), limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let service = DpsKey::new(row.get::<_, i64>(0)?.cast_unsigned());
        let pending: String = checked(TABLE, "pending", row.get(1))?;
        found.push((service, decode(&pending, sealer)?));
    }
    Ok(found)
}

pub(crate) fn delete(
    unit: &Unit<'_>,
    service: DpsKey,
    id: &RegistrationId,
    if_match: IfMatch,
) -> Result<(), Fault> {
    let old = load(unit.sql, unit.sealer, service, id)?.ok_or(Fault::Missing)?;
    if !if_match.allows(old.etag) {
        return Err(Fault::Stale);
    }
    unit.sql
        .prepare_cached("DELETE FROM registration WHERE service = ?1 AND id = ?2")?
        .execute(params![service.get().cast_signed(), id.folded()])?;
    Ok(())
}

pub(crate) fn begin(
    unit: &mut Unit<'_>,
    service: DpsKey,
    operation: &NewOperation,
    expected: Option<ETag>,
    now: Wall,
) -> Result<RegistrationState, Fault> {
    service::require(unit.sql, service)?;
    let old = load(unit.sql, unit.sealer, service, &operation.id)?;
    if let Some(old) = &old {
        if old.operation == operation.operation {
            return Ok(old.clone());
        }
        if old.status == RegistrationStatus::Assigning {
            return Err(Fault::Stale);
        }
    }
    if old.as_ref().map(|old| old.etag) != expected {
        return Err(Fault::Stale);
    }
    let state = RegistrationState {
        service,
        operation: operation.operation.clone(),
        status: RegistrationStatus::Assigning,
        substatus: old.as_ref().and_then(|old| old.substatus),
        assignment: old.as_ref().and_then(|old| old.assignment.clone()),
        failure: None,
        group: operation.group.clone(),
        attestation: operation.attestation,
        chain: operation.chain.clone(),
        payload: old.as_ref().and_then(|old| old.payload.clone()),
        created: old.as_ref().map_or(now, |old| old.created),
        id: old.map_or_else(|| operation.id.clone(), |old| old.id),
        updated: now,
        etag: unit.etag(),
    };
    save(unit, &state, Some(operation))?;
    Ok(state)
}

pub(crate) fn finish(
    unit: &mut Unit<'_>,
    service: DpsKey,
    operation: &OperationId,
    outcome: Outcome,
    now: Wall,
) -> Result<RegistrationState, Fault> {
    let old = by_operation(unit.sql, unit.sealer, service, operation)?.ok_or(Fault::Missing)?;
    if old.status != RegistrationStatus::Assigning {
        return Ok(old);
    }
    let state = ended(
        RegistrationState {
            updated: now,
            etag: unit.etag(),
            ..old
        },
        outcome,
    );
    save(unit, &state, None)?;
    Ok(state)
}

/// An attempt that ended at once.
pub(crate) struct Ended {
    pub(crate) operation: OperationId,
    pub(crate) id: RegistrationId,
    pub(crate) group: Option<EnrollmentGroupId>,
    pub(crate) attestation: AttestationKind,
    pub(crate) outcome: Outcome,
}

pub(crate) fn record(
    unit: &mut Unit<'_>,
    service: DpsKey,
    attempt: Ended,
    now: Wall,
) -> Result<RegistrationState, Fault> {
    service::require(unit.sql, service)?;
    let old = load(unit.sql, unit.sealer, service, &attempt.id)?;
    let etag = unit.etag();
    let before = match old {
        Some(old) => RegistrationState {
            operation: attempt.operation,
            group: attempt.group,
            attestation: attempt.attestation,
            updated: now,
            etag,
            ..old
        },
        None => RegistrationState {
            service,
            id: attempt.id,
            operation: attempt.operation,
            status: RegistrationStatus::Unassigned,
            substatus: None,
            assignment: None,
            failure: None,
            group: attempt.group,
            attestation: attempt.attestation,
            chain: Vec::new(),
            payload: None,
            created: now,
            updated: now,
            etag,
        },
    };
    let state = ended(before, attempt.outcome);
    save(unit, &state, None)?;
    Ok(state)
}

/// What an outcome makes of a state: an earlier assignment stays when there is no new one.
fn ended(state: RegistrationState, outcome: Outcome) -> RegistrationState {
    match outcome {
        Outcome::Assigned(Assigned {
            assignment,
            substatus,
        }) => RegistrationState {
            status: RegistrationStatus::Assigned,
            substatus: Some(substatus),
            assignment: Some(assignment),
            failure: None,
            ..state
        },
        Outcome::Disabled => RegistrationState {
            status: RegistrationStatus::Disabled,
            failure: None,
            ..state
        },
        Outcome::Failed(failure) => RegistrationState {
            status: RegistrationStatus::Failed,
            failure: Some(failure),
            ..state
        },
    }
}

fn save(unit: &Unit<'_>, state: &RegistrationState, pending: Option<&NewOperation>) -> Result<(), Fault> {
    unit.sql
        .prepare_cached(
            "INSERT INTO registration (service, id, operation, grp, began, pending, document)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (service, id) DO UPDATE SET
                 operation = excluded.operation, grp = excluded.grp, began = excluded.began,
                 pending = excluded.pending, document = excluded.document",
        )?
        .execute(params![
            state.service.get().cast_signed(),
            state.id.folded(),
            state.operation.as_str(),
            state.group.as_ref().map(EnrollmentGroupId::folded),
            pending.map(|_| state.updated.micros()),
            pending.map(|pending| encode(pending, unit.sealer)).transpose()?,
            encode(state, unit.sealer)?
        ])?;
    Ok(())
}
