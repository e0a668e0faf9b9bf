//! Vectors worked out by hand from the standard's tables, and properties of arbitrary values and bytes.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{MAX_DEPTH, MAX_VALUES, Reader};
use crate::error::Error;
use crate::symbol::Symbol;
use crate::value::{Array, Described, Kind, Value};

fn decode(bytes: &[u8]) -> Result<Value, Error> {
    Value::decode(&Bytes::copy_from_slice(bytes))
}

fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode(&mut out);
    out
}

fn symbol(text: &'static str) -> Value {
    Value::Symbol(Symbol::from_static(text))
}

/// A value, its shortest encoding, and its other encodings.
type Vector = (Value, &'static [u8], Vec<&'static [u8]>);

fn numbers() -> Vec<Vector> {
    vec![
        (Value::Null, b"\x40", vec![]),
        (Value::Bool(true), b"\x41", vec![b"\x56\x01"]),
        (Value::Bool(false), b"\x42", vec![b"\x56\x00"]),
        (Value::Ubyte(0x7f), b"\x50\x7f", vec![]),
        (Value::Ushort(0x1234), b"\x60\x12\x34", vec![]),
        (
            Value::Uint(0),
            b"\x43",
            vec![b"\x52\x00", b"\x70\x00\x00\x00\x00"],
        ),
        (Value::Uint(0xff), b"\x52\xff", vec![b"\x70\x00\x00\x00\xff"]),
        (Value::Uint(0x100), b"\x70\x00\x00\x01\x00", vec![]),
        (
            Value::Ulong(0),
            b"\x44",
            vec![b"\x53\x00", b"\x80\x00\x00\x00\x00\x00\x00\x00\x00"],
        ),
        (
            Value::Ulong(0x14),
            b"\x53\x14",
            vec![b"\x80\x00\x00\x00\x00\x00\x00\x00\x14"],
        ),
        (
            Value::Ulong(0x0000_468c_0000_0004),
            b"\x80\x00\x00\x46\x8c\x00\x00\x00\x04",
            vec![],
        ),
        (Value::Byte(-1), b"\x51\xff", vec![]),
        (Value::Short(-2), b"\x61\xff\xfe", vec![]),
        (Value::Int(-1), b"\x54\xff", vec![b"\x71\xff\xff\xff\xff"]),
        (Value::Int(200), b"\x71\x00\x00\x00\xc8", vec![]),
        (
            Value::Long(-128),
            b"\x55\x80",
            vec![b"\x81\xff\xff\xff\xff\xff\xff\xff\x80"],
        ),
        (Value::Long(128), b"\x81\x00\x00\x00\x00\x00\x00\x00\x80", vec![]),
        (Value::Float(1.0), b"\x72\x3f\x80\x00\x00", vec![]),
        (
            Value::Double(-2.0),
            b"\x82\xc0\x00\x00\x00\x00\x00\x00\x00",
            vec![],
        ),
    ]
}

fn others() -> Vec<Vector> {
    let text = |text: &str| Value::String(text.to_owned());
    let binary = |octets: &[u8]| Value::Binary(Bytes::copy_from_slice(octets));
    vec![
        (Value::Decimal32([1, 2, 3, 4]), b"\x74\x01\x02\x03\x04", vec![]),
        (
            Value::Decimal64([7; 8]),
            b"\x84\x07\x07\x07\x07\x07\x07\x07\x07",
            vec![],
        ),
        (
            Value::Decimal128([9; 16]),
            b"\x94\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09",
            vec![],
        ),
        (Value::Char('é'), b"\x73\x00\x00\x00\xe9", vec![]),
        (
            Value::Timestamp(1_510_000_000_123),
            b"\x83\x00\x00\x01\x5f\x93\x03\x7c\x7b",
            vec![],
        ),
        (Value::Uuid(*b"0123456789abcdef"), b"\x980123456789abcdef", vec![]),
        (
            binary(b"\x01\x02"),
            b"\xa0\x02\x01\x02",
            vec![b"\xb0\x00\x00\x00\x02\x01\x02"],
        ),
        (text("hi"), b"\xa1\x02hi", vec![b"\xb1\x00\x00\x00\x02hi"]),
        (symbol("hi"), b"\xa3\x02hi", vec![b"\xb3\x00\x00\x00\x02hi"]),
        (
            Value::List(vec![]),
            b"\xc0\x01\x00",
            vec![b"\x45", b"\xd0\x00\x00\x00\x04\x00\x00\x00\x00"],
        ),
        (
            Value::List(vec![Value::Null, Value::Uint(1)]),
            b"\xc0\x04\x02\x40\x52\x01",
            vec![b"\xd0\x00\x00\x00\x07\x00\x00\x00\x02\x40\x52\x01"],
        ),
        (
            Value::Map(vec![(symbol("a"), Value::Bool(true))]),
            b"\xc1\x05\x02\xa3\x01a\x41",
            vec![b"\xd1\x00\x00\x00\x08\x00\x00\x00\x02\xa3\x01a\x41"],
        ),
        (
            Value::Described(Box::new(Described {
                descriptor: Value::Ulong(0x24),
                value: Value::List(vec![]),
            })),
            b"\x00\x53\x24\xc0\x01\x00",
            vec![b"\x00\x80\x00\x00\x00\x00\x00\x00\x00\x24\x45"],
        ),
    ]
}

#[test]
fn every_encoding_is_read_and_the_shortest_is_written() {
    for (value, shortest, others) in numbers().into_iter().chain(others()) {
        assert_eq!(encode(&value), shortest, "{value:?}");
        for bytes in others.into_iter().chain([shortest]) {
            assert_eq!(decode(bytes).as_ref(), Ok(&value), "{bytes:02x?}");
        }
    }
}

#[test]
fn arrays_are_read_in_every_width_of_their_items() {
    let array = |kind, items| Ok(Value::Array(Box::new(Array::new(kind, items).unwrap())));
    // Constructor, size, count, constructor of the items, items.
    assert_eq!(
        decode(b"\xe0\x08\x02\xa3\x02ab\x02cd"),
        array(Kind::Symbol, vec![symbol("ab"), symbol("cd")])
    );
    assert_eq!(
        decode(b"\xf0\x00\x00\x00\x07\x00\x00\x00\x02\x54\xff\x01"),
        array(Kind::Int, vec![Value::Int(-1), Value::Int(1)])
    );
    assert_eq!(
        decode(b"\xe0\x02\x03\x41"),
        array(Kind::Bool, vec![Value::Bool(true); 3]),
        "items without octets"
    );
    assert_eq!(decode(b"\xe0\x02\x00\x70"), array(Kind::Uint, vec![]));
    let described = decode(b"\xe0\x06\x02\x00\x53\x10\x50\x05\x06");
    assert_eq!(decode(b"\xe0\x07\x02\x00\x53\x10\x50\x05\x06"), {
        let items = vec![Value::Ubyte(5), Value::Ubyte(6)];
        Ok(Value::Array(Box::new(
            Array::described(vec![Value::Ulong(0x10)], Kind::Ubyte, items).unwrap(),
        )))
    });
    assert_eq!(described, Err(Error::Size), "one octet short");
    assert_eq!(
        Array::new(Kind::Int, vec![Value::Long(1)]),
        Err(Error::MixedArray)
    );
}

#[test]
fn long_compounds_take_their_long_form() {
    let list = Value::List(vec![Value::Null; 256]);
    let bytes = encode(&list);
    assert_eq!(&bytes[..9], b"\xd0\x00\x00\x01\x04\x00\x00\x01\x00");
    assert_eq!(decode(&bytes), Ok(list));
    let list = Value::List(vec![Value::String("x".repeat(251))]);
    let bytes = encode(&list);
    assert_eq!(&bytes[..3], b"\xc0\xfe\x01", "254 octets fit");
    assert_eq!(decode(&bytes), Ok(list));
    let map = Value::Map(vec![(symbol("k"), Value::String("x".repeat(300)))]);
    let bytes = encode(&map);
    assert_eq!(&bytes[..9], b"\xd1\x00\x00\x01\x38\x00\x00\x00\x02");
    assert_eq!(decode(&bytes), Ok(map));
}

#[test]
fn what_is_no_value_is_refused_by_name() {
    let refused: Vec<(&[u8], Error)> = vec![
        (b"", Error::Truncated),
        (b"\x70\x00\x00", Error::Truncated),
        (b"\xa1\x05abc", Error::Truncated),
        (b"\xb0\xff\xff\xff\xff", Error::Truncated),
        (b"\xd0\xff\xff\xff\xff\xff\xff\xff\xff", Error::Truncated),
        (b"\x40\x40", Error::Trailing),
        (b"\x01", Error::Constructor(1)),
        (b"\x3f", Error::Constructor(0x3f)),
        (b"\xc0\x00\x00", Error::Size),
        (b"\xc0\x02\x02\x40", Error::Truncated),
        (b"\xc0\x03\x01\x40\x40", Error::Size),
        (b"\xc1\x02\x01\x40", Error::OddMap),
        (b"\xa1\x01\xff", Error::NotUtf8),
        (b"\xa3\x02\xc3\xa9", Error::NotAscii),
        (b"\x73\x00\x00\xd8\x00", Error::NotAChar(0xd800)),
        (b"\x56\x02", Error::NotABool(2)),
    ];
    for (bytes, error) in refused {
        assert_eq!(decode(bytes), Err(error), "{bytes:02x?}");
    }
}

#[test]
fn nesting_and_number_of_values_are_bounded() {
    let nested = |depth: usize| {
        let mut value = Value::Null;
        for _ in 0..depth {
            value = Value::List(vec![value]);
        }
        decode(&encode(&value)).map(|_| ())
    };
    assert_eq!(nested(MAX_DEPTH.into()), Ok(()));
    assert_eq!(nested(usize::from(MAX_DEPTH) + 1), Err(Error::TooDeep));
    assert_eq!(
        decode(&[0; 10_000]),
        Err(Error::TooDeep),
        "descriptors of descriptors"
    );
    assert_eq!(Reader::new(&[0; 10_000]).skip(), Err(Error::TooDeep));
    // Four thousand million nulls in ten octets.
    assert_eq!(
        decode(b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x40"),
        Err(Error::TooMany)
    );
    let list = Value::List(vec![Value::Null; MAX_VALUES as usize]);
    assert_eq!(decode(&encode(&list)), Err(Error::TooMany));
    let list = Value::List(vec![Value::Null; MAX_VALUES as usize - 1]);
    assert_eq!(decode(&encode(&list)), Ok(list));
}

#[test]
fn octets_are_shared_with_what_they_were_read_from() {
    let bytes = Bytes::from_static(b"\xa0\x03abc");
    let Ok(Value::Binary(octets)) = Value::decode(&bytes) else {
        panic!("no octets");
    };
    assert_eq!(octets.as_ptr(), bytes[2..].as_ptr());
}

/// Any value that compares equal to itself.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    any_leaf().prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::List),
            vec((inner.clone(), inner.clone()), 0..4).prop_map(Value::Map),
            (inner.clone(), inner.clone()).prop_map(|(descriptor, value)| {
                Value::Described(Box::new(Described { descriptor, value }))
            }),
            (vec(inner.clone(), 0..2), inner, 0..4_usize).prop_filter_map(
                "an array of described values names its descriptors apart",
                |(descriptors, item, count)| {
                    let kind = item.kind()?;
                    let array = Array::described(descriptors, kind, vec![item; count]).ok()?;
                    Some(Value::Array(Box::new(array)))
                }
            ),
        ]
    })
}

fn any_leaf() -> impl Strategy<Value = Value> {
    let numbers = prop_oneof![
        any::<u8>().prop_map(Value::Ubyte),
        any::<u16>().prop_map(Value::Ushort),
        any::<u32>().prop_map(Value::Uint),
        any::<u64>().prop_map(Value::Ulong),
        any::<i8>().prop_map(Value::Byte),
        any::<i16>().prop_map(Value::Short),
        any::<i32>().prop_map(Value::Int),
        any::<i64>().prop_map(Value::Long),
        (-1000_i32..1000).prop_map(Value::Int),
        (0_u64..1000).prop_map(Value::Ulong),
        any::<f32>()
            .prop_filter("a number", |number| !number.is_nan())
            .prop_map(Value::Float),
        any::<f64>()
            .prop_filter("a number", |number| !number.is_nan())
            .prop_map(Value::Double),
    ];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        numbers,
        any::<[u8; 4]>().prop_map(Value::Decimal32),
        any::<[u8; 8]>().prop_map(Value::Decimal64),
        any::<[u8; 16]>().prop_map(Value::Decimal128),
        any::<char>().prop_map(Value::Char),
        any::<i64>().prop_map(Value::Timestamp),
        any::<[u8; 16]>().prop_map(Value::Uuid),
        vec(any::<u8>(), 0..300).prop_map(|octets| Value::Binary(octets.into())),
        ".{0,80}".prop_map(Value::String),
        "[ -~]{0,300}".prop_map(|text| Value::Symbol(Symbol::parse(&text).unwrap())),
    ]
}

proptest! {
    #[test]
    fn arbitrary_values_are_read_as_they_were_written(value in any_value()) {
        let bytes = encode(&value);
        prop_assert_eq!(decode(&bytes), Ok(value));
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(reader.skip(), Ok(()));
        prop_assert!(reader.is_empty(), "passing over takes what reading takes");
    }

    #[test]
    fn cut_values_are_refused(value in any_value(), cut in any::<prop::sample::Index>()) {
        let bytes = encode(&value);
        let cut = cut.index(bytes.len());
        prop_assert!(decode(&bytes[..cut]).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_what_is_read_is_written_alike(bytes in vec(any::<u8>(), 0..600)) {
        if let Ok(value) = decode(&bytes) {
            let again = decode(&encode(&value)).unwrap();
            // Not a number is not equal to itself.
            prop_assert_eq!(encode(&again), encode(&value));
        }
        let _ = Reader::new(&bytes).skip();
    }

    #[test]
    fn bytes_that_look_like_values_never_panic(
        value in any_value(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = encode(&value);
        for (place, octet) in changes {
            let place = place.index(bytes.len());
            bytes[place] = octet;
        }
        if let Ok(value) = decode(&bytes) {
            prop_assert!(decode(&encode(&value)).is_ok());
        }
    }
}
