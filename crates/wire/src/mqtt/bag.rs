//! The property bag of a message: `key=value` pairs, percent-encoded, joined by `&`.
//!
//! System properties have keys of their own that begin with `$.`; clients write the mark as it is or encoded.

use std::borrow::Cow;

use muster_model::message::{Message, SystemProperties};
use percent_encoding::percent_decode_str;

use crate::error::Error;
use crate::{sas, time};

/// The key of a message that came with the retain flag, which brokers would act on and hubs do not.
/// Source: "Communicate with an IoT hub using the MQTT protocol", read 2026-11.
const RETAINED: &str = "mqtt-retain";

/// Makes a message of a bag, a body and the retain flag.
///
/// # Errors
/// [`Error::Field`] for what is not UTF-8 or no date; what [`crate::message::check`] says of the whole.
pub fn from_bag(bag: &str, body: Vec<u8>, retain: bool) -> Result<Message, Error> {
    let mut message = Message {
        body,
        ..Message::default()
    };
    for pair in bag.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        property(&mut message, &decoded(key)?, decoded(value)?)?;
    }
    if retain {
        put(&mut message.application, RETAINED, "true".to_owned());
    }
    crate::message::check(&message)?;
    Ok(message)
}

/// Writes the bag of a message. The mark of system keys is encoded: the C SDK compares the encoded bytes (2026-08).
pub fn to_bag(message: &Message) -> String {
    let mut pairs = Vec::new();
    let mut system = message.system.clone();
    for key in KEYS {
        let value = match *key {
            "$.exp" => system.expiry.map(time::iso),
            other => slot(&mut system, other).and_then(Option::take),
        };
        if let Some(value) = value {
            pairs.push(format!("{}={}", sas::encode(key), sas::encode(&value)));
        }
    }
    for (name, value) in &message.application {
        pairs.push(format!("{}={}", sas::encode(name), sas::encode(value)));
    }
    pairs.join("&")
}

/// Keys with a meaning of their own, in the order in which they are written.
const KEYS: &[&str] = &[
    "$.mid",
    "$.cid",
    "$.uid",
    "$.to",
    "$.exp",
    "$.ct",
    "$.ce",
    "$.ifid",
    "$.sub",
    "iothub-ack",
    "iothub-creation-time-utc",
];

fn slot<'a>(system: &'a mut SystemProperties, key: &str) -> Option<&'a mut Option<String>> {
    Some(match key {
        "$.mid" => &mut system.message_id,
        "$.cid" => &mut system.correlation_id,
        "$.uid" => &mut system.user_id,
        "$.to" => &mut system.to,
        "$.ct" => &mut system.content_type,
        "$.ce" => &mut system.content_encoding,
        "$.ifid" => &mut system.interface_id,
        "$.sub" => &mut system.subject,
        "iothub-ack" => &mut system.ack,
        // The C SDK has a key of its own for it.
        "iothub-creation-time-utc" | "$.ctime" => &mut system.creation_time,
        _ => return None,
    })
}

/// Takes one property. Of a key that comes twice the last one stays.
fn property(message: &mut Message, key: &str, value: String) -> Result<(), Error> {
    match key {
        // Traces of the C SDK that no endpoint is shown.
        "" | "$.diagid" | "$.diagctx" => {}
        "$.exp" => {
            let at = time::parse_iso(&value).or_else(|| time::parse_rfc1123(&value));
            message.system.expiry =
                Some(at.ok_or_else(|| Error::field("$.exp", "must be a date in ISO 8601"))?);
        }
        _ => match slot(&mut message.system, key) {
            Some(slot) => *slot = Some(value),
            None => put(&mut message.application, key, value),
        },
    }
    Ok(())
}

/// Names of application properties count without case, as in routes.
fn put(application: &mut Vec<(String, String)>, name: &str, value: String) {
    match application
        .iter_mut()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
    {
        Some(known) => *known = (name.to_owned(), value),
        None => application.push((name.to_owned(), value)),
    }
}

fn decoded(text: &str) -> Result<String, Error> {
    percent_decode_str(text)
        .decode_utf8()
        .map(Cow::into_owned)
        .map_err(|_| Error::field("a property", "must be UTF-8"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn system_keys_are_read_with_either_mark() {
        for mark in ["%24", "$"] {
            let bag = format!(
                "{mark}.mid=m1&{mark}.cid=c&{mark}.uid=u&{mark}.ct=application%2Fjson&{mark}.ce=utf-8&{mark}.sub=part\
                 &{mark}.exp=2030-01-02T03%3A04%3A05Z&temperatureAlert=true&with%20blank=a%2Bb+c"
            );
            let message = from_bag(&bag, b"x".to_vec(), false).unwrap();
            let system = &message.system;
            assert_eq!(system.message_id.as_deref(), Some("m1"));
            assert_eq!(system.content_type.as_deref(), Some("application/json"));
            assert_eq!(system.subject.as_deref(), Some("part"));
            assert_eq!(system.expiry, time::parse_iso("2030-01-02T03:04:05Z"));
            assert_eq!(
                message.application,
                [
                    ("temperatureAlert".to_owned(), "true".to_owned()),
                    ("with blank".to_owned(), "a+b+c".to_owned())
                ]
            );
        }
    }

    #[test]
    fn absent_values_repeats_and_the_retain_flag_have_their_rules() {
        let message = from_bag("a&b=&A=2&&", Vec::new(), true).unwrap();
        assert_eq!(
            message.application,
            [
                ("A".to_owned(), "2".to_owned()),
                ("b".to_owned(), String::new()),
                ("mqtt-retain".to_owned(), "true".to_owned())
            ]
        );
    }

    #[test]
    fn what_breaks_a_rule_is_refused() {
        for bad in ["a=%ff", "$.exp=soon", "$.mid=a%20b"] {
            assert!(from_bag(bad, Vec::new(), false).is_err(), "{bad}");
        }
        assert!(from_bag("", vec![0; 262_145], false).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            mid in proptest::option::of("[A-Za-z0-9:.;-]{1,20}"),
            kind in proptest::option::of("\\PC{1,20}"),
            names in proptest::collection::btree_map("[a-z]{1,8}", "\\PC{0,20}", 0..5),
        ) {
            let message = Message {
                system: SystemProperties { message_id: mid, content_type: kind, ..Default::default() },
                application: names.into_iter().collect(),
                body: b"body".to_vec(),
            };
            prop_assert_eq!(from_bag(&to_bag(&message), b"body".to_vec(), false).unwrap(), message);
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,120}") {
            let _ = from_bag(&text, Vec::new(), false);
        }
    }
}
