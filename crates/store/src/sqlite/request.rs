//! The memory of answered writes: the repeat of a request id answers as it did the first time.
//!
//! Only writes that happened are remembered. A refused one changed nothing, so its repeat is judged anew. The memory is
//! bounded by number and bytes, the oldest go first: a repeat comes within seconds or not at all. A registration's own
//! attempts need no row here; their operation id stands in the registration.

use muster_model::RequestId;
use rusqlite::{OptionalExtension, params};

use super::unit::Unit;
use crate::document::{Stored, decode, encode};
use crate::fault::{Fault, checked};

/// Answers remembered at most.
const ROWS: u64 = 65_536;
/// Bytes of answers remembered at most.
const BYTES: u64 = 64 << 20;

/// Finds the answer that this request got.
pub(crate) fn recall<T: Stored>(
    unit: &Unit<'_>,
    request: RequestId,
    verb: &'static str,
) -> Result<Option<T>, Fault> {
    let found: Option<(String, String)> = unit
        .sql
        .prepare_cached("SELECT verb, outcome FROM request WHERE id = ?1")?
        .query_row([request.bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((stored, outcome)) = found else {
        return Ok(None);
    };
    if stored != verb {
        return Err(Fault::unavailable(
            "the request id was used for another kind of write",
        ));
    }
    decode(&outcome, unit.sealer).map(Some)
}

/// Remembers an answer and forgets the oldest beyond the bounds.
pub(crate) fn remember<T: Stored>(
    unit: &mut Unit<'_>,
    request: RequestId,
    verb: &'static str,
    answer: &T,
) -> Result<(), Fault> {
    let outcome = encode(answer, unit.sealer)?;
    unit.sql
        .prepare_cached("INSERT INTO request (seq, id, verb, outcome) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            unit.meta.request_next.cast_signed(),
            request.bytes(),
            verb,
            outcome
        ])?;
    unit.meta.request_next += 1;
    unit.meta.request_bytes += outcome.len() as u64;
    while unit.meta.request_next - unit.meta.request_first > ROWS || unit.meta.request_bytes > BYTES {
        if unit.meta.request_first == unit.meta.request_next {
            break;
        }
        let bytes: Option<i64> = unit
            .sql
            .prepare_cached("DELETE FROM request WHERE seq = ?1 RETURNING octet_length(outcome)")?
            .query_row([unit.meta.request_first.cast_signed()], |row| row.get(0))
            .optional()?;
        let bytes = checked("request", "outcome", u64::try_from(bytes.unwrap_or(0)))?;
        unit.meta.request_first += 1;
        unit.meta.request_bytes = unit.meta.request_bytes.saturating_sub(bytes);
    }
    Ok(())
}

/// Forgets every answer. They are short-lived help, so a rotation of the master key need not carry them over.
pub(crate) fn forget_all(unit: &mut Unit<'_>) -> Result<(), Fault> {
    unit.sql.prepare_cached("DELETE FROM request")?.execute([])?;
    unit.meta.request_first = unit.meta.request_next;
    unit.meta.request_bytes = 0;
    Ok(())
}
