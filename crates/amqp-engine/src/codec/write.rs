//! Writes values, each in the shortest of its encodings.
//!
//! Compound values are written in one pass behind the short form of their size; the few that turn out too long for
//! it are moved by the octets that the long form needs.

use super::constructor as code;
use crate::symbol::Symbol;
use crate::value::{Array, Kind, Map, Value};

/// Appends a null.
pub fn null(out: &mut Vec<u8>) {
    out.push(code::NULL);
}

/// Appends a boolean.
pub fn boolean(out: &mut Vec<u8>, value: bool) {
    out.push(if value { code::TRUE } else { code::FALSE });
}

/// Appends a `ubyte`.
pub fn ubyte(out: &mut Vec<u8>, value: u8) {
    out.extend_from_slice(&[code::UBYTE, value]);
}

/// Appends a `ushort`.
pub fn ushort(out: &mut Vec<u8>, value: u16) {
    fixed(out, code::USHORT, value.to_be_bytes());
}

/// Appends a `uint`.
pub fn uint(out: &mut Vec<u8>, value: u32) {
    match u8::try_from(value) {
        Ok(0) => out.push(code::UINT_0),
        Ok(small) => out.extend_from_slice(&[code::UINT_SMALL, small]),
        Err(_) => fixed(out, code::UINT, value.to_be_bytes()),
    }
}

/// Appends a `ulong`.
pub fn ulong(out: &mut Vec<u8>, value: u64) {
    match u8::try_from(value) {
        Ok(0) => out.push(code::ULONG_0),
        Ok(small) => out.extend_from_slice(&[code::ULONG_SMALL, small]),
        Err(_) => fixed(out, code::ULONG, value.to_be_bytes()),
    }
}

/// Appends a `timestamp`, milliseconds since 1970.
pub fn timestamp(out: &mut Vec<u8>, value: i64) {
    fixed(out, code::TIMESTAMP, value.to_be_bytes());
}

/// Appends octets.
pub fn binary(out: &mut Vec<u8>, octets: &[u8]) {
    variable(out, code::BINARY_8, octets);
}

/// Appends a string.
pub fn string(out: &mut Vec<u8>, text: &str) {
    variable(out, code::STRING_8, text.as_bytes());
}

/// Appends a symbol.
pub fn symbol(out: &mut Vec<u8>, symbol: &Symbol) {
    variable(out, code::SYMBOL_8, symbol.as_str().as_bytes());
}

/// Appends a text as a symbol: one in ASCII. Other text becomes a string, which readers take as well.
pub(crate) fn symbol_text(out: &mut Vec<u8>, text: &str) {
    if text.is_ascii() {
        variable(out, code::SYMBOL_8, text.as_bytes());
    } else {
        string(out, text);
    }
}

/// Appends symbols as an array; none of them as a null.
pub fn symbols(out: &mut Vec<u8>, symbols: &[Symbol]) {
    if symbols.is_empty() {
        return null(out);
    }
    let long = symbols
        .iter()
        .any(|symbol| u8::try_from(symbol.as_str().len()).is_err());
    compound(out, code::ARRAY_8, symbols.len(), |out| {
        out.push(if long { code::SYMBOL_32 } else { code::SYMBOL_8 });
        for symbol in symbols {
            sized(out, long, symbol.as_str().as_bytes());
        }
    });
}

/// Appends a map.
pub fn map(out: &mut Vec<u8>, map: &[(Value, Value)]) {
    pairs(out, map, value);
}

/// Appends a map whose keys `write_key` writes.
pub(crate) fn pairs<K>(out: &mut Vec<u8>, pairs: &[(K, Value)], write_key: impl Fn(&mut Vec<u8>, &K)) {
    compound(out, code::MAP_8, pairs.len().saturating_mul(2), |out| {
        for (key, item) in pairs {
            write_key(out, key);
            value(out, item);
        }
    });
}

/// Appends what `write` makes of the value, or a null.
pub fn optional<T>(out: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        Some(value) => write(out, value),
        None => null(out),
    }
}

/// Appends the descriptor of what follows, in its short form: some clients read it at a fixed place.
pub fn descriptor(out: &mut Vec<u8>, code: u8) {
    out.extend_from_slice(&[code::DESCRIBED, code::ULONG_SMALL, code]);
}

/// Appends a described list of `count` fields, which `fields` writes. It never takes the form of an empty list.
pub(crate) fn described_list(
    out: &mut Vec<u8>,
    descriptor_code: u8,
    count: u8,
    fields: impl FnOnce(&mut Vec<u8>),
) {
    descriptor(out, descriptor_code);
    compound(out, code::LIST_8, count.into(), fields);
}

/// Appends any value.
pub fn value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => null(out),
        Value::Bool(truth) => boolean(out, *truth),
        Value::Ubyte(number) => ubyte(out, *number),
        Value::Ushort(number) => ushort(out, *number),
        Value::Uint(number) => uint(out, *number),
        Value::Ulong(number) => ulong(out, *number),
        Value::Byte(number) => fixed(out, code::BYTE, number.to_be_bytes()),
        Value::Short(number) => fixed(out, code::SHORT, number.to_be_bytes()),
        Value::Int(number) => match i8::try_from(*number) {
            Ok(small) => fixed(out, code::INT_SMALL, small.to_be_bytes()),
            Err(_) => fixed(out, code::INT, number.to_be_bytes()),
        },
        Value::Long(number) => match i8::try_from(*number) {
            Ok(small) => fixed(out, code::LONG_SMALL, small.to_be_bytes()),
            Err(_) => fixed(out, code::LONG, number.to_be_bytes()),
        },
        Value::Float(number) => fixed(out, code::FLOAT, number.to_be_bytes()),
        Value::Double(number) => fixed(out, code::DOUBLE, number.to_be_bytes()),
        Value::Decimal32(octets) => fixed(out, code::DECIMAL_32, *octets),
        Value::Decimal64(octets) => fixed(out, code::DECIMAL_64, *octets),
        Value::Decimal128(octets) => fixed(out, code::DECIMAL_128, *octets),
        Value::Char(char) => fixed(out, code::CHAR, u32::from(*char).to_be_bytes()),
        Value::Timestamp(time) => timestamp(out, *time),
        Value::Uuid(octets) => fixed(out, code::UUID, *octets),
        Value::Binary(octets) => binary(out, octets),
        Value::String(text) => string(out, text),
        Value::Symbol(name) => symbol(out, name),
        Value::List(items) => list(out, items),
        Value::Map(pairs) => map(out, pairs),
        Value::Array(items) => array(out, items),
        Value::Described(described) => {
            out.push(code::DESCRIBED);
            self::value(out, &described.descriptor);
            self::value(out, &described.value);
        }
    }
}

/// Appends a list of values; one without any keeps its size and count.
pub(crate) fn list(out: &mut Vec<u8>, items: &[Value]) {
    compound(out, code::LIST_8, items.len(), |out| {
        for item in items {
            value(out, item);
        }
    });
}

fn array(out: &mut Vec<u8>, array: &Array) {
    compound(out, code::ARRAY_8, array.items().len(), |out| {
        for descriptor in array.descriptors() {
            out.push(code::DESCRIBED);
            value(out, descriptor);
        }
        out.push(element(array.kind()));
        for item in array.items() {
            body(out, item);
        }
    });
}

/// The constructor of an array's items: the widest, which fits all of them.
const fn element(kind: Kind) -> u8 {
    match kind {
        Kind::Null => code::NULL,
        Kind::Bool => code::BOOL,
        Kind::Ubyte => code::UBYTE,
        Kind::Ushort => code::USHORT,
        Kind::Uint => code::UINT,
        Kind::Ulong => code::ULONG,
        Kind::Byte => code::BYTE,
        Kind::Short => code::SHORT,
        Kind::Int => code::INT,
        Kind::Long => code::LONG,
        Kind::Float => code::FLOAT,
        Kind::Double => code::DOUBLE,
        Kind::Decimal32 => code::DECIMAL_32,
        Kind::Decimal64 => code::DECIMAL_64,
        Kind::Decimal128 => code::DECIMAL_128,
        Kind::Char => code::CHAR,
        Kind::Timestamp => code::TIMESTAMP,
        Kind::Uuid => code::UUID,
        Kind::Binary => code::BINARY_32,
        Kind::String => code::STRING_32,
        Kind::Symbol => code::SYMBOL_32,
        Kind::List => code::LIST_32,
        Kind::Map => code::MAP_32,
        Kind::Array => code::ARRAY_32,
    }
}

/// Appends an array's item, in the width that [`element`] announces.
fn body(out: &mut Vec<u8>, item: &Value) {
    match item {
        Value::Bool(truth) => out.push((*truth).into()),
        Value::Uint(number) => out.extend_from_slice(&number.to_be_bytes()),
        Value::Ulong(number) => out.extend_from_slice(&number.to_be_bytes()),
        Value::Int(number) => out.extend_from_slice(&number.to_be_bytes()),
        Value::Long(number) => out.extend_from_slice(&number.to_be_bytes()),
        Value::Binary(octets) => sized(out, true, octets),
        Value::String(text) => sized(out, true, text.as_bytes()),
        Value::Symbol(name) => sized(out, true, name.as_str().as_bytes()),
        Value::List(_) | Value::Map(_) | Value::Array(_) => {
            let start = out.len();
            value(out, item);
            widen(out, start);
            out.remove(start);
        }
        // These have one width, so what stands behind the constructor is the body.
        other => {
            let start = out.len();
            value(out, other);
            out.remove(start);
        }
    }
}

fn fixed<const N: usize>(out: &mut Vec<u8>, constructor: u8, octets: [u8; N]) {
    out.push(constructor);
    out.extend_from_slice(&octets);
}

/// Appends a short or a long form; the constructor of the long one is 16 above that of the short one.
fn variable(out: &mut Vec<u8>, short: u8, octets: &[u8]) {
    let long = u8::try_from(octets.len()).is_err();
    out.push(if long { short + 0x10 } else { short });
    sized(out, long, octets);
}

fn sized(out: &mut Vec<u8>, long: bool, octets: &[u8]) {
    // No buffer of this process reaches 4 GiB: frames and messages are bounded far below.
    let length = u32::try_from(octets.len()).unwrap_or(u32::MAX).to_be_bytes();
    let [.., last] = length;
    if long {
        out.extend_from_slice(&length);
    } else {
        out.push(last);
    }
    out.extend_from_slice(octets);
}

/// Appends a list, a map or an array whose items `items` writes.
fn compound(out: &mut Vec<u8>, short: u8, count: usize, items: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    let short_count = u8::try_from(count);
    out.extend_from_slice(&[short, 1, short_count.unwrap_or(0)]);
    items(out);
    let size = out.len() - start - 2;
    match (u8::try_from(size), short_count) {
        (Ok(size), Ok(_)) => {
            if let Some(place) = out.get_mut(start + 1) {
                *place = size;
            }
        }
        _ => lengthen(out, start, short + 0x10, count),
    }
}

/// Gives the compound value that was written at `start` its long form, if it has the short one.
fn widen(out: &mut Vec<u8>, start: usize) {
    if let Some(&[short @ (code::LIST_8 | code::MAP_8 | code::ARRAY_8), _, count]) = out.get(start..start + 3)
    {
        lengthen(out, start, short + 0x10, count.into());
    }
}

fn lengthen(out: &mut Vec<u8>, start: usize, long: u8, count: usize) {
    const MORE: usize = 6;
    let end = out.len();
    out.resize(end + MORE, 0);
    out.copy_within(start + 3..end, start + 3 + MORE);
    let size = u32::try_from(end - start - 3 + 4).unwrap_or(u32::MAX);
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    if let Some(head) = out.get_mut(start..start + 9) {
        let mut octets = [0; 9];
        let parts = [&[long][..], &size.to_be_bytes(), &count.to_be_bytes()];
        for (place, octet) in octets.iter_mut().zip(parts.into_iter().flatten()) {
            *place = *octet;
        }
        head.copy_from_slice(&octets);
    }
}

/// Appends a map, or a null.
pub(crate) fn optional_map(out: &mut Vec<u8>, pairs: Option<&Map>) {
    optional(out, pairs, |out, pairs| map(out, pairs));
}
