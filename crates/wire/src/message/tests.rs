//! Messages over HTTPS: headers, batches, bounds, and what a client writes read back.

use proptest::prelude::*;

use super::*;

#[test]
fn headers_become_properties_whatever_their_case() {
    let message = from_headers(
        [
            ("IoTHub-MessageId", "m-1"),
            ("iothub-correlationid", "c"),
            ("IoTHub-To", "/devices/d/messages/events"),
            ("iothub-app-temperatureAlert", "true"),
            ("IoTHub-App-level", "a b: /x"),
            ("iothub-expiry", "2030-01-01T00:00:00Z"),
            ("iothub-app-iothub-creation-time-utc", "2020-01-01T00:00:00Z"),
            ("dt-subject", "thermostat1"),
            ("content-type", "application/json"),
            ("content-encoding", "utf-8"),
            ("authorization", "SharedAccessSignature x"),
            ("host", "h"),
        ],
        b"{}".to_vec(),
    )
    .unwrap();
    assert_eq!(message.system.message_id.as_deref(), Some("m-1"));
    assert_eq!(message.system.correlation_id.as_deref(), Some("c"));
    assert_eq!(message.system.content_type.as_deref(), Some("application/json"));
    assert_eq!(message.system.content_encoding.as_deref(), Some("utf-8"));
    assert_eq!(message.system.subject.as_deref(), Some("thermostat1"));
    assert_eq!(
        message.system.creation_time.as_deref(),
        Some("2020-01-01T00:00:00Z")
    );
    assert_eq!(message.system.expiry, Some(Wall::from_seconds(1_893_456_000)));
    assert_eq!(
        message.application,
        [
            ("temperatureAlert".to_owned(), "true".to_owned()),
            ("level".to_owned(), "a b: /x".to_owned())
        ]
    );
}

#[test]
fn own_content_headers_win_over_those_of_http() {
    let message = from_headers(
        [
            ("iothub-contenttype", "text/plain"),
            ("content-type", "application/json"),
        ],
        Vec::new(),
    )
    .unwrap();
    assert_eq!(message.system.content_type.as_deref(), Some("text/plain"));
}

#[test]
fn headers_that_break_a_rule_are_refused() {
    let refuse = |headers: &[(&'static str, &'static str)]| {
        from_headers(headers.iter().copied(), Vec::new())
            .unwrap_err()
            .to_string()
    };
    assert!(refuse(&[("iothub-app-a b", "x")]).starts_with("a property name"));
    assert!(refuse(&[("iothub-app-", "x")]).starts_with("a property name"));
    assert!(refuse(&[("iothub-app-a", "é")]).starts_with("a property value"));
    assert_eq!(
        refuse(&[("iothub-app-a", "1"), ("iothub-app-A", "2")]),
        "the property A stands twice"
    );
    assert_eq!(
        refuse(&[("iothub-messageid", "1"), ("IoTHub-MessageId", "2")]),
        "iothub-messageid stands twice"
    );
    assert!(refuse(&[("iothub-messageid", "a/b")]).starts_with("message-id must"));
    assert!(refuse(&[("iothub-expiry", "soon")]).starts_with("iothub-expiry must"));
}

#[test]
fn a_message_ends_at_its_documented_size() {
    assert!(from_headers([], vec![0; MAX_MESSAGE]).is_ok());
    assert!(matches!(
        from_headers([], vec![0; MAX_MESSAGE + 1]),
        Err(Error::TooLarge {
            limit: MAX_MESSAGE,
            ..
        })
    ));
    assert!(from_headers([("iothub-app-ab", "c")], vec![0; MAX_MESSAGE - 2]).is_err());
}

#[test]
fn batches_of_both_sdks_are_read() {
    assert!(is_batch(Some(
        "application/vnd.microsoft.iothub.json; charset=utf-8"
    )));
    let batch = from_batch(
        b"[{\"body\": \"aGVsbG8=\", \"properties\":{\"iothub-app-Key\":\"v\",\"iothub-messageid\":\"1\"}} ,\
           {\"body\":\"plain\",\"base64Encoded\":false},{\"body\":\"\"}] ",
    )
    .unwrap();
    assert_eq!(batch[0].body, b"hello");
    assert_eq!(batch[0].application, [("Key".to_owned(), "v".to_owned())]);
    assert_eq!(batch[0].system.message_id.as_deref(), Some("1"));
    assert_eq!(batch[1].body, b"plain");
    assert_eq!(batch[2].body, b"");
}

#[test]
fn a_batch_is_refused_as_a_whole() {
    for body in [
        "{}",
        "[{}]",
        "[{\"body\":\"%\"}]",
        "[{\"body\":1}]",
        "[{\"body\":\"\",\"properties\":{\"iothub-app-a\":[]}}]",
        "[{\"body\":\"\"},{\"body\":\"\",\"properties\":{\"iothub-app-a b\":\"\"}}]",
    ] {
        assert!(from_batch(body.as_bytes()).is_err(), "{body}");
    }
    assert!(matches!(
        from_batch(&vec![b' '; MAX_MESSAGE + 1]),
        Err(Error::TooLarge { .. })
    ));
    let many = format!("[{}]", vec!["{\"body\":\"\"}"; 1001].join(","));
    assert!(matches!(from_batch(many.as_bytes()), Err(Error::Field { .. })));
}

proptest! {
    #[test]
    fn what_a_client_writes_is_read_back(
        body in prop::collection::vec(any::<u8>(), 0..100),
        names in prop::collection::btree_set("[a-z0-9!#$%&'*+.^_`|~-]{1,12}", 0..5),
        value in "[ -~]{0,20}",
        id in prop::option::of("[A-Za-z0-9:;@-]{0,20}"),
        seconds in prop::option::of(0_i64..4_000_000_000),
    ) {
        let message = Message {
            system: SystemProperties {
                message_id: id,
                correlation_id: Some(value.clone()),
                expiry: seconds.map(Wall::from_seconds),
                ..SystemProperties::default()
            },
            application: names
                .into_iter()
                .filter(|name| name != "iothub-creation-time-utc")
                .map(|name| (name, value.clone()))
                .collect(),
            body,
        };
        let headers = to_headers(&message);
        let read = from_headers(
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())),
            message.body.clone(),
        );
        prop_assert_eq!(read.as_ref(), Ok(&message));
        prop_assert_eq!(from_batch(to_batch(std::slice::from_ref(&message)).as_bytes()), Ok(vec![message]));
    }

    #[test]
    fn arbitrary_headers_never_panic(name in "\\PC{0,30}", value in "\\PC{0,30}") {
        let _ = from_headers([(name.as_str(), value.as_str())], Vec::new());
        let _ = from_headers([(format!("iothub-app-{name}").as_str(), value.as_str())], Vec::new());
    }

    #[test]
    fn arbitrary_batches_never_panic(body in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = from_batch(&body);
    }
}
