//! Reading rows: a value of the wrong kind becomes an error that names table and column.

use rusqlite::Row;
use rusqlite::types::FromSql;

use crate::fault::{Fault, checked};

/// The cells of a row, read in the order of the query's columns.
pub(crate) struct Cells<'r, 's> {
    row: &'r Row<'s>,
    table: &'static str,
    at: usize,
}

impl<'r, 's> Cells<'r, 's> {
    pub(crate) fn new(row: &'r Row<'s>, table: &'static str) -> Self {
        Self { row, table, at: 0 }
    }

    /// The next cell; `column` names it in the error.
    pub(crate) fn next<T: FromSql>(&mut self, column: &'static str) -> Result<T, Fault> {
        let value = self.row.get(self.at);
        self.at += 1;
        checked(self.table, column, value)
    }

    /// The next cell, one of our own unsigned numbers. All 64 bits are kept.
    pub(crate) fn number(&mut self, column: &'static str) -> Result<u64, Fault> {
        self.next::<i64>(column).map(i64::cast_unsigned)
    }
}
