//! Reads values from outside bytes, within bounds: how deep they nest, how many there are, and never more octets
//! than were given. Nothing is allocated for a size that was only announced.

use bytes::Bytes;

use super::constructor as code;
use crate::error::Error;
use crate::symbol::Symbol;
use crate::value::{Array, Described, Kind, Map, Value};

/// How deep compound and described values may nest.
pub const MAX_DEPTH: u8 = 32;
/// How many values one reader makes at most. An array of nulls costs no octets for each, so octets do not bound it.
pub const MAX_VALUES: u32 = 16_384;

/// Takes values from the front of some bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    owner: Option<&'a Bytes>,
    depth: u8,
    budget: u32,
}

/// Where a list that is being read ends, and how many fields it still has.
#[derive(Debug)]
pub(crate) struct Fields {
    left: u32,
    /// What is left of the reader's input when the list is over.
    after: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`; octets that are kept are copied, so that they hold nothing else in memory.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            owner: None,
            depth: 0,
            budget: MAX_VALUES,
        }
    }

    /// Reads `bytes`; octets that are kept share them.
    pub fn shared(bytes: &'a Bytes) -> Self {
        Self {
            rest: bytes,
            owner: Some(bytes),
            depth: 0,
            budget: MAX_VALUES,
        }
    }

    /// What has not been read.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been read.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`Error::Trailing`] if something is left.
    pub const fn finish(&self) -> Result<(), Error> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Error::Trailing)
        }
    }

    /// Reads one value of any type.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Size`], [`Error::Constructor`], [`Error::NotUtf8`], [`Error::NotAscii`] and
    /// [`Error::NotAChar`] for what is no value; [`Error::TooDeep`] and [`Error::TooMany`] for what is too much.
    pub fn value(&mut self) -> Result<Value, Error> {
        let constructor = self.octet()?;
        self.spend(1)?;
        if constructor == code::DESCRIBED {
            self.enter()?;
            let descriptor = self.value()?;
            let value = self.value()?;
            self.depth -= 1;
            return Ok(Value::Described(Box::new(Described { descriptor, value })));
        }
        self.body(constructor)
    }

    /// Passes over one value of any type without making it.
    ///
    /// # Errors
    /// As for [`value`](Self::value), but what is inside of the value is not judged.
    pub fn skip(&mut self) -> Result<(), Error> {
        let mut constructor = self.octet()?;
        self.spend(1)?;
        while constructor == code::DESCRIBED {
            self.enter()?;
            let outcome = self.skip();
            self.depth -= 1;
            outcome?;
            constructor = self.octet()?;
            self.spend(1)?;
        }
        let length = match constructor >> 4 {
            0x4 => 0,
            0x5 => 1,
            0x6 => 2,
            0x7 => 4,
            0x8 => 8,
            0x9 => 16,
            0xa | 0xc | 0xe => self.octet()?.into(),
            0xb | 0xd | 0xf => self.length()?,
            _ => return Err(Error::Constructor(constructor)),
        };
        self.take(length).map(|_| ())
    }

    fn body(&mut self, constructor: u8) -> Result<Value, Error> {
        Ok(match constructor {
            code::NULL => Value::Null,
            code::TRUE => Value::Bool(true),
            code::FALSE => Value::Bool(false),
            code::BOOL => Value::Bool(self.truth()?),
            code::UINT_0 => Value::Uint(0),
            code::UINT_SMALL => Value::Uint(self.octet()?.into()),
            code::UINT => Value::Uint(u32::from_be_bytes(self.octets()?)),
            code::ULONG_0 => Value::Ulong(0),
            code::ULONG_SMALL => Value::Ulong(self.octet()?.into()),
            code::ULONG => Value::Ulong(u64::from_be_bytes(self.octets()?)),
            code::UBYTE => Value::Ubyte(self.octet()?),
            code::USHORT => Value::Ushort(u16::from_be_bytes(self.octets()?)),
            code::BYTE => Value::Byte(i8::from_be_bytes(self.octets()?)),
            code::SHORT => Value::Short(i16::from_be_bytes(self.octets()?)),
            code::INT_SMALL => Value::Int(i8::from_be_bytes(self.octets()?).into()),
            code::INT => Value::Int(i32::from_be_bytes(self.octets()?)),
            code::LONG_SMALL => Value::Long(i8::from_be_bytes(self.octets()?).into()),
            code::LONG => Value::Long(i64::from_be_bytes(self.octets()?)),
            code::FLOAT => Value::Float(f32::from_be_bytes(self.octets()?)),
            code::DOUBLE => Value::Double(f64::from_be_bytes(self.octets()?)),
            code::DECIMAL_32 => Value::Decimal32(self.octets()?),
            code::DECIMAL_64 => Value::Decimal64(self.octets()?),
            code::DECIMAL_128 => Value::Decimal128(self.octets()?),
            code::CHAR => {
                let scalar = u32::from_be_bytes(self.octets()?);
                Value::Char(char::from_u32(scalar).ok_or(Error::NotAChar(scalar))?)
            }
            code::TIMESTAMP => Value::Timestamp(i64::from_be_bytes(self.octets()?)),
            code::UUID => Value::Uuid(self.octets()?),
            code::BINARY_8 | code::BINARY_32 => Value::Binary(self.binary_body(constructor)?),
            code::STRING_8 | code::STRING_32 => Value::String(self.text_body(constructor)?.to_owned()),
            code::SYMBOL_8 | code::SYMBOL_32 => Value::Symbol(Symbol::parse(self.text_body(constructor)?)?),
            code::LIST_0 | code::LIST_8 | code::LIST_32 => Value::List(self.list_body(constructor)?),
            code::MAP_8 | code::MAP_32 => Value::Map(self.map_body(constructor)?),
            code::ARRAY_8 | code::ARRAY_32 => Value::Array(Box::new(self.array_body(constructor)?)),
            _ => return Err(Error::Constructor(constructor)),
        })
    }

    fn list_body(&mut self, constructor: u8) -> Result<Vec<Value>, Error> {
        let fields = self.compound(constructor)?;
        self.enter()?;
        let mut items = Vec::with_capacity(self.capacity(fields.left));
        for _ in 0..fields.left {
            items.push(self.value()?);
        }
        self.depth -= 1;
        self.end_exactly(&fields)?;
        Ok(items)
    }

    fn map_body(&mut self, constructor: u8) -> Result<Map, Error> {
        let fields = self.compound(constructor)?;
        if fields.left % 2 == 1 {
            return Err(Error::OddMap);
        }
        self.enter()?;
        let mut pairs = Vec::with_capacity(self.capacity(fields.left / 2));
        for _ in 0..fields.left / 2 {
            let key = self.value()?;
            pairs.push((key, self.value()?));
        }
        self.depth -= 1;
        self.end_exactly(&fields)?;
        Ok(pairs)
    }

    fn array_body(&mut self, constructor: u8) -> Result<Array, Error> {
        let fields = self.compound(constructor)?;
        self.enter()?;
        let mut descriptors = Vec::new();
        let mut inner = self.octet()?;
        while inner == code::DESCRIBED {
            if descriptors.len() >= usize::from(MAX_DEPTH) {
                return Err(Error::TooDeep);
            }
            descriptors.push(self.value()?);
            inner = self.octet()?;
        }
        let kind = Kind::of(inner).ok_or(Error::Constructor(inner))?;
        self.spend(fields.left)?;
        let mut items = Vec::with_capacity(self.capacity(fields.left));
        for _ in 0..fields.left {
            items.push(self.body(inner)?);
        }
        self.depth -= 1;
        self.end_exactly(&fields)?;
        Array::described(descriptors, kind, items)
    }

    /// Reads the size and the count of a compound value, and checks both against what there is.
    fn compound(&mut self, constructor: u8) -> Result<Fields, Error> {
        let (size, count) = match constructor {
            code::LIST_0 => (0, 0),
            code::LIST_8 | code::MAP_8 | code::ARRAY_8 => {
                let [size, count] = self.octets()?;
                (usize::from(size).checked_sub(1), u32::from(count)).with_size()?
            }
            _ => {
                let size = self.length()?;
                let count = u32::from_be_bytes(self.octets()?);
                (size.checked_sub(4), count).with_size()?
            }
        };
        let after = self.rest.len().checked_sub(size).ok_or(Error::Truncated)?;
        Ok(Fields { left: count, after })
    }

    fn end_exactly(&self, fields: &Fields) -> Result<(), Error> {
        if self.rest.len() == fields.after {
            Ok(())
        } else {
            Err(Error::Size)
        }
    }

    /// How many items to make room for: no more than there are octets, and few at first, since each takes many
    /// times the octets that announce it.
    fn capacity(&self, count: u32) -> usize {
        usize::try_from(count)
            .unwrap_or(usize::MAX)
            .min(self.rest.len())
            .min(64)
    }

    fn enter(&mut self) -> Result<(), Error> {
        if self.depth >= MAX_DEPTH {
            return Err(Error::TooDeep);
        }
        self.depth += 1;
        Ok(())
    }

    fn spend(&mut self, values: u32) -> Result<(), Error> {
        self.budget = self.budget.checked_sub(values).ok_or(Error::TooMany)?;
        Ok(())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn octet(&mut self) -> Result<u8, Error> {
        let (first, rest) = self.rest.split_first().ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    fn octets<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (first, rest) = self.rest.split_first_chunk().ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    fn length(&mut self) -> Result<usize, Error> {
        usize::try_from(u32::from_be_bytes(self.octets()?)).map_err(|_| Error::Truncated)
    }

    fn truth(&mut self) -> Result<bool, Error> {
        match self.octet()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Error::NotABool(other)),
        }
    }

    fn variable(&mut self, constructor: u8) -> Result<&'a [u8], Error> {
        let length = if constructor >> 4 == 0xa {
            self.octet()?.into()
        } else {
            self.length()?
        };
        self.take(length)
    }

    fn binary_body(&mut self, constructor: u8) -> Result<Bytes, Error> {
        let octets = self.variable(constructor)?;
        Ok(self.keep(octets))
    }

    fn keep(&self, octets: &'a [u8]) -> Bytes {
        match self.owner {
            Some(owner) => owner.slice_ref(octets),
            None => Bytes::copy_from_slice(octets),
        }
    }

    fn text_body(&mut self, constructor: u8) -> Result<&'a str, Error> {
        std::str::from_utf8(self.variable(constructor)?).map_err(|_| Error::NotUtf8)
    }
}

/// The size of a compound value behind its count: one that does not even hold the count is no size.
trait WithSize {
    fn with_size(self) -> Result<(usize, u32), Error>;
}

impl WithSize for (Option<usize>, u32) {
    fn with_size(self) -> Result<(usize, u32), Error> {
        Ok((self.0.ok_or(Error::Size)?, self.1))
    }
}

/// Typed reading, for performatives and sections. Each function takes `null` as absent; integers may have any width
/// that holds them, and strings and symbols stand for each other, as clients mix them up.
impl<'a> Reader<'a> {
    /// Reads the descriptor of a described value: a code, or a symbol that `known` turns into one.
    pub(crate) fn descriptor(&mut self, known: fn(&str) -> Option<u64>) -> Result<u64, Error> {
        let constructor = self.octet()?;
        if constructor != code::DESCRIBED {
            return Err(Error::NotDescribed);
        }
        match self.octet()? {
            code::ULONG_0 => Ok(0),
            code::ULONG_SMALL => Ok(self.octet()?.into()),
            code::ULONG => Ok(u64::from_be_bytes(self.octets()?)),
            constructor @ (code::SYMBOL_8 | code::SYMBOL_32) => {
                let name = self.text_body(constructor)?;
                known(name).ok_or(Error::UnknownDescriptorName)
            }
            other => Err(Error::Constructor(other)),
        }
    }

    /// Counts something that is read as one value.
    pub(crate) fn charge(&mut self) -> Result<(), Error> {
        self.spend(1)
    }

    /// Whether a `null` is next; it is taken then.
    pub(crate) fn null(&mut self) -> bool {
        match self.rest.split_first() {
            Some((&code::NULL, rest)) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Opens a list whose fields are read one by one.
    pub(crate) fn fields(&mut self) -> Result<Fields, Error> {
        match self.octet()? {
            constructor @ (code::LIST_0 | code::LIST_8 | code::LIST_32) => self.compound(constructor),
            other => Err(Error::Constructor(other)),
        }
    }

    /// Ends such a list; fields behind those that are known are passed over.
    pub(crate) fn close(&mut self, fields: &Fields) -> Result<(), Error> {
        let beyond = self.rest.len().checked_sub(fields.after).ok_or(Error::Size)?;
        self.take(beyond).map(|_| ())
    }

    /// Whether a field follows that is not `null`. Fields that are missing at the end are as good as `null`.
    pub(crate) fn present(&mut self, fields: &mut Fields) -> Result<bool, Error> {
        if fields.left == 0 {
            return Ok(false);
        }
        if self.rest.len() <= fields.after {
            return Err(Error::Size);
        }
        fields.left -= 1;
        Ok(!self.null())
    }

    /// The next field, if it is there.
    pub(crate) fn field<T>(
        &mut self,
        fields: &mut Fields,
        read: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        if self.present(fields)? {
            read(self).map(Some)
        } else {
            Ok(None)
        }
    }

    /// The next field, which must be there.
    pub(crate) fn required<T>(
        &mut self,
        fields: &mut Fields,
        name: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.field(fields, read)?.ok_or(Error::MissingField(name))
    }

    /// The next field, or what the standard puts in its place.
    pub(crate) fn or<T>(
        &mut self,
        fields: &mut Fields,
        otherwise: T,
        read: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        Ok(self.field(fields, read)?.unwrap_or(otherwise))
    }

    /// Passes over the next field.
    pub(crate) fn pass(&mut self, fields: &mut Fields) -> Result<(), Error> {
        self.field(fields, Self::skip).map(|_| ())
    }

    pub(crate) fn boolean(&mut self) -> Result<bool, Error> {
        match self.octet()? {
            code::TRUE => Ok(true),
            code::FALSE => Ok(false),
            code::BOOL => self.truth(),
            other => Err(Error::Constructor(other)),
        }
    }

    /// Any integer that is not negative.
    pub(crate) fn unsigned(&mut self) -> Result<u64, Error> {
        let signed: i64 = match self.octet()? {
            code::UINT_0 | code::ULONG_0 => return Ok(0),
            code::UINT_SMALL | code::ULONG_SMALL | code::UBYTE => return Ok(self.octet()?.into()),
            code::USHORT => return Ok(u16::from_be_bytes(self.octets()?).into()),
            code::UINT => return Ok(u32::from_be_bytes(self.octets()?).into()),
            code::ULONG => return Ok(u64::from_be_bytes(self.octets()?)),
            code::BYTE | code::INT_SMALL | code::LONG_SMALL => i8::from_be_bytes(self.octets()?).into(),
            code::SHORT => i16::from_be_bytes(self.octets()?).into(),
            code::INT => i32::from_be_bytes(self.octets()?).into(),
            code::LONG => i64::from_be_bytes(self.octets()?),
            other => return Err(Error::Constructor(other)),
        };
        u64::try_from(signed).map_err(|_| Error::OutOfRange)
    }

    /// Such an integer of a narrower type.
    pub(crate) fn narrow<T: TryFrom<u64>>(&mut self) -> Result<T, Error> {
        T::try_from(self.unsigned()?).map_err(|_| Error::OutOfRange)
    }

    pub(crate) fn timestamp(&mut self) -> Result<i64, Error> {
        match self.octet()? {
            code::TIMESTAMP | code::LONG => Ok(i64::from_be_bytes(self.octets()?)),
            code::LONG_SMALL => Ok(i8::from_be_bytes(self.octets()?).into()),
            other => Err(Error::Constructor(other)),
        }
    }

    /// A string or a symbol, in place.
    pub(crate) fn text(&mut self) -> Result<&'a str, Error> {
        match self.octet()? {
            constructor @ (code::STRING_8 | code::STRING_32 | code::SYMBOL_8 | code::SYMBOL_32) => {
                self.text_body(constructor)
            }
            other => Err(Error::Constructor(other)),
        }
    }

    pub(crate) fn string(&mut self) -> Result<String, Error> {
        self.text().map(str::to_owned)
    }

    pub(crate) fn symbol(&mut self) -> Result<Symbol, Error> {
        Symbol::parse(self.text()?)
    }

    /// Octets in place; a string is taken as its octets.
    pub(crate) fn octet_slice(&mut self) -> Result<&'a [u8], Error> {
        match self.octet()? {
            constructor @ (code::BINARY_8 | code::BINARY_32 | code::STRING_8 | code::STRING_32) => {
                self.variable(constructor)
            }
            other => Err(Error::Constructor(other)),
        }
    }

    pub(crate) fn binary(&mut self) -> Result<Bytes, Error> {
        let octets = self.octet_slice()?;
        Ok(self.keep(octets))
    }

    pub(crate) fn map(&mut self) -> Result<Map, Error> {
        match self.value()? {
            Value::Map(map) => Ok(map),
            _ => Err(Error::UnexpectedType),
        }
    }

    /// One symbol, or an array or a list of them.
    pub(crate) fn symbols(&mut self) -> Result<Vec<Symbol>, Error> {
        let one = |value| match value {
            Value::Symbol(symbol) => Ok(symbol),
            Value::String(text) => Symbol::parse(&text),
            _ => Err(Error::UnexpectedType),
        };
        match self.value()? {
            Value::Array(array) => array.into_items().into_iter().map(one).collect(),
            Value::List(items) => items.into_iter().map(one).collect(),
            value => Ok(vec![one(value)?]),
        }
    }
}
