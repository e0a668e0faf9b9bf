//! A few connections that only read.
//!
//! A read runs on the thread that asks: it costs some 15 µs, less than handing it to another thread. Each connection
//! sees what was committed when its statement, or its transaction, began.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use rusqlite::Connection;

use super::open;
use crate::fault::Fault;

/// Connections that read at the same time; more callers wait for each other.
const CONNECTIONS: usize = 4;

pub(crate) struct Readers {
    pool: Vec<Mutex<Connection>>,
    next: AtomicUsize,
}

impl Readers {
    pub(crate) fn open(file: &Path) -> Result<Self, Fault> {
        let pool = (0..CONNECTIONS)
            .map(|_| open::reader(file).map(Mutex::new))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            pool,
            next: AtomicUsize::new(0),
        })
    }

    /// Runs one statement or several that need not agree with each other.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        work(&*self.free()?)
    }

    /// Runs statements that all see the same state.
    pub(crate) fn snapshot<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let connection = self.free()?;
        let transaction = connection.unchecked_transaction()?;
        let value = work(&transaction)?;
        transaction.finish()?;
        Ok(value)
    }

    /// A connection that nobody uses, else the next in turn.
    fn free(&self) -> Result<MutexGuard<'_, Connection>, Fault> {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let turn = |step: usize| self.pool.get(start.wrapping_add(step) % self.pool.len().max(1));
        for mutex in (0..self.pool.len()).filter_map(turn) {
            match mutex.try_lock() {
                Ok(guard) => return Ok(guard),
                // A panic while reading leaves nothing behind: the statement and its transaction were dropped.
                Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        let mutex = turn(0).ok_or_else(|| Fault::unavailable("no connection is open"))?;
        Ok(mutex.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
