//! Removing what deleted hubs and provisioning services left behind, in small steps.
//!
//! Nothing here can be seen from outside: rows of an owner that is gone are invisible from the moment it went, and its
//! key is never given again.

use rusqlite::params;

use super::trust;
use super::unit::Unit;
use crate::fault::Fault;

/// For each kind of owner: what removes up to `?2` rows of owner `?1`, and counts them.
const HUB: &[&str] = &[
    "DELETE FROM device WHERE hub = ?1 AND id IN (SELECT id FROM device WHERE hub = ?1 LIMIT ?2)",
    "DELETE FROM twin WHERE rowid IN (SELECT rowid FROM twin WHERE hub = ?1 LIMIT ?2)",
    "DELETE FROM device_subscription WHERE hub = ?1 AND id IN
         (SELECT id FROM device_subscription WHERE hub = ?1 LIMIT ?2)",
    "DELETE FROM certificate WHERE rowid IN
         (SELECT rowid FROM certificate WHERE kind = 2 AND owner = ?1 LIMIT ?2)",
    "DELETE FROM trust_change WHERE kind = 4 AND owner = ?1 AND name IN
         (SELECT name FROM trust_change WHERE kind = 4 AND owner = ?1 LIMIT ?2)",
];
const SERVICE: &[&str] = &[
    "DELETE FROM registration WHERE rowid IN (SELECT rowid FROM registration WHERE service = ?1 LIMIT ?2)",
    "DELETE FROM individual WHERE rowid IN (SELECT rowid FROM individual WHERE service = ?1 LIMIT ?2)",
    "DELETE FROM disabled_certificate WHERE service = ?1 AND (sha256, id) IN
         (SELECT sha256, id FROM disabled_certificate WHERE service = ?1 LIMIT ?2)",
    "DELETE FROM enrollment_group WHERE rowid IN
         (SELECT rowid FROM enrollment_group WHERE service = ?1 LIMIT ?2)",
    "DELETE FROM signing_certificate WHERE rowid IN
         (SELECT rowid FROM signing_certificate WHERE service = ?1 LIMIT ?2)",
    "DELETE FROM ca_reference WHERE service = ?1 AND (name, grp) IN
         (SELECT name, grp FROM ca_reference WHERE service = ?1 LIMIT ?2)",
    "DELETE FROM certificate WHERE rowid IN
         (SELECT rowid FROM certificate WHERE kind = 3 AND owner = ?1 LIMIT ?2)",
    "DELETE FROM trust_change WHERE kind = 5 AND owner = ?1 AND name IN
         (SELECT name FROM trust_change WHERE kind = 5 AND owner = ?1 LIMIT ?2)",
];

/// Notes that an owner is gone.
pub(crate) fn bury(unit: &Unit<'_>, kind: i64, key: u64) -> Result<(), Fault> {
    unit.sql
        .prepare_cached("INSERT INTO tombstone (kind, key) VALUES (?1, ?2)")?
        .execute([kind, key.cast_signed()])?;
    Ok(())
}

/// Removes up to `limit` rows; tells how many went.
pub(crate) fn reap(unit: &mut Unit<'_>, limit: usize, fence: u64) -> Result<usize, Fault> {
    if fence < unit.meta.reap_fence {
        return Err(Fault::unavailable("a newer holder of the lease reaps by now"));
    }
    unit.meta.reap_fence = fence;
    let mut removed = 0;
    while removed < limit {
        let tomb = unit
            .sql
            .prepare_cached("SELECT kind, key FROM tombstone LIMIT 1")?
            .query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?
            .next()
            .transpose()?;
        let Some((kind, key)) = tomb else { break };
        let queries = match kind {
            trust::HUB => HUB,
            trust::SERVICE => SERVICE,
            other => {
                return Err(Fault::damaged(
                    "tombstone",
                    "kind",
                    &format!("kind {other} is not known"),
                ));
            }
        };
        for query in queries {
            let left = i64::try_from(limit - removed).unwrap_or(i64::MAX);
            removed += unit.sql.prepare_cached(query)?.execute(params![key, left])?;
            if removed >= limit {
                break;
            }
        }
        if removed < limit {
            unit.sql
                .prepare_cached("DELETE FROM tombstone WHERE kind = ?1 AND key = ?2")?
                .execute([kind, key])?;
        }
    }
    Ok(removed)
}
