//! One unit of work of the writer, and the counters that it draws from.
//!
//! Counters are read at the start of a batch and written back once, in the same transaction as all that used them. A
//! number may be skipped, never given twice.

use muster_model::{DpsKey, ETag, GenerationId, HubKey, RequestId, SubscriptionId, TrustVersion, Wall};
use rusqlite::{Connection, params};

use super::cells::Cells;
use super::request;
use super::stamps::Moved;
use super::trust::Changed;
use crate::document::Stored;
use crate::fault::{Fault, checked};
use crate::seal::{Place, Sealed, Sealer};

/// Microseconds from 0001-01-01 to 1970-01-01, both in the proleptic Gregorian calendar: 719,162 days.
const MICROS_BEFORE_EPOCH: i64 = 719_162 * 86_400 * 1_000_000;
/// Bits of an entity tag below the incarnation: a million writes a day fill them in three thousand years.
const ETAG_BITS: u32 = 40;
/// What the check of the master key seals.
const SEAL_CHECK: &[u8] = b"this registry opens with this master key";
const SEAL_PLACE: Place<'static> = Place {
    table: "meta",
    column: "seal_check",
    row: &["1"],
};

/// The one row of `meta`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Meta {
    pub(crate) subscription: String,
    pub(crate) incarnation: u64,
    pub(crate) etag: u64,
    pub(crate) generation: u64,
    pub(crate) trust: u64,
    pub(crate) hub_key: u64,
    pub(crate) dps_key: u64,
    pub(crate) fence: u64,
    pub(crate) reap_fence: u64,
    pub(crate) latest_wall: Option<i64>,
    pub(crate) operator: Option<[u8; 32]>,
    pub(crate) request_first: u64,
    pub(crate) request_next: u64,
    pub(crate) request_bytes: u64,
    pub(crate) seal_check: String,
}

impl Meta {
    /// The facts of a store that is made now.
    pub(crate) fn draw(sealer: &Sealer) -> Result<Self, Fault> {
        let guid = sealer.random.draw(RequestId::random).to_string();
        Ok(Self {
            subscription: guid,
            incarnation: 1,
            etag: 0,
            generation: 0,
            trust: 0,
            hub_key: 0,
            dps_key: 0,
            fence: 0,
            reap_fence: 0,
            latest_wall: None,
            operator: None,
            request_first: 1,
            request_next: 1,
            request_bytes: 0,
            seal_check: seal_check(sealer)?,
        })
    }

    pub(crate) fn load(sql: &Connection) -> Result<Self, Fault> {
        let mut statement = sql.prepare_cached(
            "SELECT subscription, incarnation, etag, generation, trust, hub_key, dps_key, fence, reap_fence,
                    latest_wall, operator, request_first, request_next, request_bytes, seal_check
             FROM meta WHERE id = 1",
        )?;
        let mut rows = statement.query([])?;
        let Some(row) = rows.next()? else {
            return Err(Fault::damaged("meta", "id", "the one row is missing"));
        };
        let mut cells = Cells::new(row, "meta");
        Ok(Self {
            subscription: cells.next("subscription")?,
            incarnation: cells.number("incarnation")?,
            etag: cells.number("etag")?,
            generation: cells.number("generation")?,
            trust: cells.number("trust")?,
            hub_key: cells.number("hub_key")?,
            dps_key: cells.number("dps_key")?,
            fence: cells.number("fence")?,
            reap_fence: cells.number("reap_fence")?,
            latest_wall: cells.next("latest_wall")?,
            operator: cells.next("operator")?,
            request_first: cells.number("request_first")?,
            request_next: cells.number("request_next")?,
            request_bytes: cells.number("request_bytes")?,
            seal_check: cells.next("seal_check")?,
        })
    }

    pub(crate) fn save(&self, sql: &Connection) -> Result<(), Fault> {
        sql.prepare_cached(
            "REPLACE INTO meta (id, subscription, incarnation, etag, generation, trust, hub_key, dps_key, fence,
                 reap_fence, latest_wall, operator, request_first, request_next, request_bytes, seal_check)
             VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            self.subscription,
            self.incarnation.cast_signed(),
            self.etag.cast_signed(),
            self.generation.cast_signed(),
            self.trust.cast_signed(),
            self.hub_key.cast_signed(),
            self.dps_key.cast_signed(),
            self.fence.cast_signed(),
            self.reap_fence.cast_signed(),
            self.latest_wall,
            self.operator,
            self.request_first.cast_signed(),
            self.request_next.cast_signed(),
            self.request_bytes.cast_signed(),
            self.seal_check,
        ])?;
        Ok(())
    }

    pub(crate) fn subscription(&self) -> Result<SubscriptionId, Fault> {
        checked("meta", "subscription", SubscriptionId::parse(&self.subscription))
    }

    /// Checks that the master keys are those of this store.
    ///
    /// # Errors
    /// [`Fault`] naming the column when they are not.
    pub(crate) fn check_seal(&self, sealer: &Sealer) -> Result<(), Fault> {
        let sealed: Sealed = checked("meta", "seal_check", serde_json::from_str(&self.seal_check))?;
        sealer.open(SEAL_PLACE, &sealed).map(|_| ())
    }

    /// Seals the check anew, under the current key.
    pub(crate) fn reseal(&mut self, sealer: &Sealer) -> Result<(), Fault> {
        self.seal_check = seal_check(sealer)?;
        Ok(())
    }
}

fn seal_check(sealer: &Sealer) -> Result<String, Fault> {
    serde_json::to_string(&sealer.seal(SEAL_PLACE, SEAL_CHECK)?)
        .map_err(|error| Fault::unavailable(error.to_string()))
}

/// What a unit of work works with. It runs inside a savepoint of the batch's transaction.
pub(crate) struct Unit<'a> {
    pub(crate) sql: &'a Connection,
    pub(crate) meta: &'a mut Meta,
    pub(crate) sealer: &'a Sealer,
    /// What was changed of identities; may name what was rolled back.
    pub(crate) moved: &'a mut Vec<Moved>,
}

impl Unit<'_> {
    /// The next version.
    pub(crate) fn etag(&mut self) -> ETag {
        self.meta.etag += 1;
        ETag::new((self.meta.incarnation << ETAG_BITS) | self.meta.etag)
    }

    /// The next generation: 100 ns since 0001-01-01 at `now`, but always later than the one before.
    pub(crate) fn generation(&mut self, now: Wall) -> GenerationId {
        let ticks = now
            .micros()
            .saturating_add(MICROS_BEFORE_EPOCH)
            .saturating_mul(10);
        let ticks = u64::try_from(ticks).unwrap_or(0);
        self.meta.generation = ticks.max(self.meta.generation + 1);
        GenerationId::new(self.meta.generation)
    }

    /// The key of a new hub.
    pub(crate) fn hub_key(&mut self) -> HubKey {
        self.meta.hub_key += 1;
        HubKey::new(self.meta.hub_key)
    }

    /// The key of a new provisioning service.
    pub(crate) fn dps_key(&mut self) -> DpsKey {
        self.meta.dps_key += 1;
        DpsKey::new(self.meta.dps_key)
    }

    /// Takes the next trust version for a change that nobody reads from the log of changes.
    pub(crate) fn trust_moved(&mut self) -> TrustVersion {
        self.meta.trust += 1;
        TrustVersion::new(self.meta.trust)
    }

    /// Takes the next trust version for a change of the control plane.
    pub(crate) fn trust_changed(&mut self, changed: &Changed<'_>) -> Result<(), Fault> {
        let version = self.trust_moved();
        changed.log(self.sql, version)
    }

    /// Does `work` once for each request id: its repeat answers what was answered.
    pub(crate) fn once<T: Stored>(
        &mut self,
        request: RequestId,
        verb: &'static str,
        work: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if let Some(known) = request::recall(self, request, verb)? {
            return Ok(known);
        }
        let answer = work(self)?;
        request::remember(self, request, verb, &answer)?;
        Ok(answer)
    }
}
