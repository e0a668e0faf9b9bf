//! Leases on background work.

use std::time::Duration;

use async_trait::async_trait;
use muster_model::Wall;
use muster_resources::{Lease, Leases, StoreError};
use rusqlite::{OptionalExtension, params};

use super::Registry;
use super::unit::Unit;
use crate::fault::Fault;

#[async_trait]
impl Leases for Registry {
    async fn hold(
        &self,
        work: &'static str,
        holder: &str,
        span: Duration,
        now: Wall,
    ) -> Result<Option<Lease>, StoreError> {
        let holder = holder.to_owned();
        self.write(move |unit| hold(unit, work, &holder, span, now)).await
    }
}

fn hold(
    unit: &mut Unit<'_>,
    work: &str,
    holder: &str,
    span: Duration,
    now: Wall,
) -> Result<Option<Lease>, Fault> {
    let held: Option<(String, i64, i64)> = unit
        .sql
        .prepare_cached("SELECT holder, fence, until FROM lease WHERE work = ?1")?
        .query_row([work], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let fence = match held {
        // It renews even after its end: nobody else has taken it in between.
        Some((by, fence, _)) if by == holder => fence.cast_unsigned(),
        Some((_, _, until)) if now < Wall::from_micros(until) => return Ok(None),
        _ => {
            unit.meta.fence += 1;
            unit.meta.fence
        }
    };
    let until = now.plus(span);
    unit.sql
        .prepare_cached("REPLACE INTO lease (work, holder, fence, until) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![work, holder, fence.cast_signed(), until.micros()])?;
    Ok(Some(Lease { fence, until }))
}
