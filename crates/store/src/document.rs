//! The form of a document column: `{"v":version,"d":content}`.
//!
//! A noun never derives the form it is stored in: each has a row struct beside the queries that use it, and
//! [`Stored`] leads from one to the other. A version that is newer than this release knows is refused by name, never
//! guessed at.

use muster_model::{Json, JsonLimits};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::fault::{Fault, checked};
use crate::seal::Sealer;

/// The version that this release writes.
const VERSION: u32 = 1;

/// What stored JSON must obey: what was taken once is taken back, whatever its size.
const TAKEN: JsonLimits = JsonLimits {
    bytes: usize::MAX,
    depth: 128,
};

/// A noun that a document column holds.
pub(crate) trait Stored: Sized {
    /// Its stored form.
    type Row: Serialize + DeserializeOwned;
    /// The table, for errors and seals.
    const TABLE: &'static str;
    /// The column, for errors and seals.
    const COLUMN: &'static str = "document";

    /// Makes the stored form; seals what is secret.
    fn to_row(&self, sealer: &Sealer) -> Result<Self::Row, Fault>;

    /// Reads the stored form back.
    fn from_row(row: Self::Row, sealer: &Sealer) -> Result<Self, Fault>;
}

#[derive(Serialize)]
struct Written<'a, T> {
    v: u32,
    d: &'a T,
}

#[derive(Deserialize)]
struct Read<'a> {
    v: u32,
    #[serde(borrow)]
    d: &'a RawValue,
}

/// Writes a document.
pub(crate) fn encode<T: Stored>(value: &T, sealer: &Sealer) -> Result<String, Fault> {
    write(&value.to_row(sealer)?)
}

/// Reads a document.
pub(crate) fn decode<T: Stored>(text: &str, sealer: &Sealer) -> Result<T, Fault> {
    T::from_row(read(T::TABLE, T::COLUMN, text)?, sealer)
}

/// Writes a row struct as a document.
pub(crate) fn write<R: Serialize>(row: &R) -> Result<String, Fault> {
    serde_json::to_string(&Written { v: VERSION, d: row })
        .map_err(|error| Fault::unavailable(format!("a document could not be written: {error}")))
}

/// Reads a row struct out of a document.
pub(crate) fn read<R: DeserializeOwned>(
    table: &'static str,
    column: &'static str,
    text: &str,
) -> Result<R, Fault> {
    let read: Read<'_> = checked(table, column, serde_json::from_str(text))?;
    if read.v != VERSION {
        return Err(Fault::damaged(
            table,
            column,
            &format!("it has form {}, this release knows form {VERSION}", read.v),
        ));
    }
    checked(table, column, serde_json::from_str(read.d.get()))
}

/// JSON that came from outside, inside a document: as it was written, to the letter.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text(Box<RawValue>);

impl Text {
    pub(crate) fn new(json: &Json) -> Result<Self, Fault> {
        RawValue::from_string(json.as_str().to_owned())
            .map(Self)
            .map_err(|error| Fault::unavailable(format!("a document could not be written: {error}")))
    }

    pub(crate) fn json(&self, table: &'static str) -> Result<Json, Fault> {
        checked(table, "document", Json::parse(self.0.get(), TAKEN))
    }

    pub(crate) fn object(&self, table: &'static str) -> Result<Json, Fault> {
        checked(table, "document", Json::parse_object(self.0.get(), TAKEN))
    }
}

/// Reads a member that may be absent, and may be JSON's null, which is something else.
pub(crate) fn some<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Text>, D::Error> {
    Text::deserialize(deserializer).map(Some)
}

/// Nothing to answer but that it is done.
impl Stored for () {
    type Row = ();
    const TABLE: &'static str = "request";
    const COLUMN: &'static str = "outcome";

    fn to_row(&self, _: &Sealer) -> Result<(), Fault> {
        Ok(())
    }

    fn from_row((): (), _: &Sealer) -> Result<Self, Fault> {
        Ok(())
    }
}

impl Stored for bool {
    type Row = bool;
    const TABLE: &'static str = "request";
    const COLUMN: &'static str = "outcome";

    fn to_row(&self, _: &Sealer) -> Result<bool, Fault> {
        Ok(*self)
    }

    fn from_row(row: bool, _: &Sealer) -> Result<Self, Fault> {
        Ok(row)
    }
}

/// Declares the stored form of an enum without content, with both ways between them.
macro_rules! mirror {
    ($(#[$meta:meta])* $row:ident = $noun:ty { $($variant:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub(crate) enum $row { $($variant),* }

        impl From<$noun> for $row {
            fn from(noun: $noun) -> Self {
                match noun { $(<$noun>::$variant => Self::$variant),* }
            }
        }

        impl From<$row> for $noun {
            fn from(row: $row) -> Self {
                match row { $($row::$variant => Self::$variant),* }
            }
        }
    };
}
pub(crate) use mirror;
