//! Values of the type system, for the places where the standard lets anything stand.
//!
//! Widths are not kept: a `uint` that came in four octets is the same value as one that came in none. Types are:
//! an answer that must carry the peer's id in the peer's type copies the value.

use bytes::Bytes;

use crate::codec::constructor as code;
use crate::codec::{Reader, write};
use crate::error::Error;
use crate::symbol::Symbol;

/// Pairs in the order in which they came; a key may be of any type.
pub type Map = Vec<(Value, Value)>;

/// Any value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// Unsigned, 8 bits.
    Ubyte(u8),
    /// Unsigned, 16 bits.
    Ushort(u16),
    /// Unsigned, 32 bits.
    Uint(u32),
    /// Unsigned, 64 bits.
    Ulong(u64),
    /// Signed, 8 bits.
    Byte(i8),
    /// Signed, 16 bits.
    Short(i16),
    /// Signed, 32 bits.
    Int(i32),
    /// Signed, 64 bits.
    Long(i64),
    /// Binary floating point, 32 bits.
    Float(f32),
    /// Binary floating point, 64 bits.
    Double(f64),
    /// Decimal floating point, 32 bits, as it came.
    Decimal32([u8; 4]),
    /// Decimal floating point, 64 bits, as it came.
    Decimal64([u8; 8]),
    /// Decimal floating point, 128 bits, as it came.
    Decimal128([u8; 16]),
    /// One Unicode character.
    Char(char),
    /// Milliseconds since 1970 in UTC.
    Timestamp(i64),
    /// A UUID, in network order.
    Uuid([u8; 16]),
    /// Octets.
    Binary(Bytes),
    /// Text.
    String(String),
    /// A name.
    Symbol(Symbol),
    /// Values of any types.
    List(Vec<Value>),
    /// Pairs.
    Map(Map),
    /// Values of one type.
    Array(Box<Array>),
    /// A value with a descriptor, which says what it means.
    Described(Box<Described>),
}

/// A value with what it means.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// What the value means: an `ulong` or a symbol, but any type is read.
    pub descriptor: Value,
    /// The value.
    pub value: Value,
}

/// Values of one type, which stands once for all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    descriptors: Vec<Value>,
    kind: Kind,
    items: Vec<Value>,
}

/// The primitive types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `null`
    Null,
    /// `boolean`
    Bool,
    /// `ubyte`
    Ubyte,
    /// `ushort`
    Ushort,
    /// `uint`
    Uint,
    /// `ulong`
    Ulong,
    /// `byte`
    Byte,
    /// `short`
    Short,
    /// `int`
    Int,
    /// `long`
    Long,
    /// `float`
    Float,
    /// `double`
    Double,
    /// `decimal32`
    Decimal32,
    /// `decimal64`
    Decimal64,
    /// `decimal128`
    Decimal128,
    /// `char`
    Char,
    /// `timestamp`
    Timestamp,
    /// `uuid`
    Uuid,
    /// `binary`
    Binary,
    /// `string`
    String,
    /// `symbol`
    Symbol,
    /// `list`
    List,
    /// `map`
    Map,
    /// `array`
    Array,
}

impl Value {
    /// Reads one value that fills `bytes`; octets in it share them.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Constructor`], [`Error::TooDeep`] and their like for what is no value, and
    /// [`Error::Trailing`] if something follows.
    pub fn decode(bytes: &Bytes) -> Result<Self, Error> {
        let mut reader = Reader::shared(bytes);
        let value = reader.value()?;
        reader.finish()?;
        Ok(value)
    }

    /// Appends the value to `out`, in the shortest of its encodings.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write::value(out, self);
    }

    /// The primitive type; `None` if the value is described.
    pub fn kind(&self) -> Option<Kind> {
        Some(match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::Ubyte(_) => Kind::Ubyte,
            Self::Ushort(_) => Kind::Ushort,
            Self::Uint(_) => Kind::Uint,
            Self::Ulong(_) => Kind::Ulong,
            Self::Byte(_) => Kind::Byte,
            Self::Short(_) => Kind::Short,
            Self::Int(_) => Kind::Int,
            Self::Long(_) => Kind::Long,
            Self::Float(_) => Kind::Float,
            Self::Double(_) => Kind::Double,
            Self::Decimal32(_) => Kind::Decimal32,
            Self::Decimal64(_) => Kind::Decimal64,
            Self::Decimal128(_) => Kind::Decimal128,
            Self::Char(_) => Kind::Char,
            Self::Timestamp(_) => Kind::Timestamp,
            Self::Uuid(_) => Kind::Uuid,
            Self::Binary(_) => Kind::Binary,
            Self::String(_) => Kind::String,
            Self::Symbol(_) => Kind::Symbol,
            Self::List(_) => Kind::List,
            Self::Map(_) => Kind::Map,
            Self::Array(_) => Kind::Array,
            Self::Described(_) => return None,
        })
    }

    /// The text of a string or a symbol, which clients mix up.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            Self::Symbol(symbol) => Some(symbol.as_str()),
            _ => None,
        }
    }

    /// Any integer that is one of the range of `i64`; a timestamp is none.
    pub fn as_integer(&self) -> Option<i64> {
        match *self {
            Self::Ubyte(number) => Some(number.into()),
            Self::Ushort(number) => Some(number.into()),
            Self::Uint(number) => Some(number.into()),
            Self::Ulong(number) => i64::try_from(number).ok(),
            Self::Byte(number) => Some(number.into()),
            Self::Short(number) => Some(number.into()),
            Self::Int(number) => Some(number.into()),
            Self::Long(number) => Some(number),
            _ => None,
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Int(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Long(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Uint(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Ulong(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl From<Symbol> for Value {
    fn from(value: Symbol) -> Self {
        Self::Symbol(value)
    }
}

impl From<Bytes> for Value {
    fn from(value: Bytes) -> Self {
        Self::Binary(value)
    }
}

impl Array {
    /// Makes an array of plain values of the type `kind`.
    ///
    /// # Errors
    /// [`Error::MixedArray`] if one of `items` has another type.
    pub fn new(kind: Kind, items: Vec<Value>) -> Result<Self, Error> {
        Self::described(Vec::new(), kind, items)
    }

    /// Makes an array of described values: `descriptors` stand for every one, the outermost first.
    ///
    /// # Errors
    /// [`Error::MixedArray`] if one of `items` has another type.
    pub fn described(descriptors: Vec<Value>, kind: Kind, items: Vec<Value>) -> Result<Self, Error> {
        if items.iter().any(|item| item.kind() != Some(kind)) {
            return Err(Error::MixedArray);
        }
        Ok(Self {
            descriptors,
            kind,
            items,
        })
    }

    /// What every value means, the outermost descriptor first; mostly there is none.
    pub fn descriptors(&self) -> &[Value] {
        &self.descriptors
    }

    /// The type of every value, below its descriptors.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn into_items(self) -> Vec<Value> {
        self.items
    }

    /// The values, without their descriptors.
    pub fn items(&self) -> &[Value] {
        &self.items
    }
}

impl Kind {
    /// The type that a constructor makes; `None` for one that the standard does not have.
    pub(crate) const fn of(constructor: u8) -> Option<Self> {
        Some(match constructor {
            code::NULL => Self::Null,
            code::TRUE | code::FALSE | code::BOOL => Self::Bool,
            code::UBYTE => Self::Ubyte,
            code::USHORT => Self::Ushort,
            code::UINT_0 | code::UINT_SMALL | code::UINT => Self::Uint,
            code::ULONG_0 | code::ULONG_SMALL | code::ULONG => Self::Ulong,
            code::BYTE => Self::Byte,
            code::SHORT => Self::Short,
            code::INT_SMALL | code::INT => Self::Int,
            code::LONG_SMALL | code::LONG => Self::Long,
            code::FLOAT => Self::Float,
            code::DOUBLE => Self::Double,
            code::DECIMAL_32 => Self::Decimal32,
            code::DECIMAL_64 => Self::Decimal64,
            code::DECIMAL_128 => Self::Decimal128,
            code::CHAR => Self::Char,
            code::TIMESTAMP => Self::Timestamp,
            code::UUID => Self::Uuid,
            code::BINARY_8 | code::BINARY_32 => Self::Binary,
            code::STRING_8 | code::STRING_32 => Self::String,
            code::SYMBOL_8 | code::SYMBOL_32 => Self::Symbol,
            code::LIST_0 | code::LIST_8 | code::LIST_32 => Self::List,
            code::MAP_8 | code::MAP_32 => Self::Map,
            code::ARRAY_8 | code::ARRAY_32 => Self::Array,
            _ => return None,
        })
    }
}

/// Finds an entry by the text of its key, string or symbol.
pub fn find<'a>(map: &'a [(Value, Value)], key: &str) -> Option<&'a Value> {
    map.iter()
        .find(|(name, _)| name.as_text() == Some(key))
        .map(|(_, value)| value)
}
