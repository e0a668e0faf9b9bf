//! Bodies and headers of a hub: device identities, bulk calls, messages alone and in batches.
//!
//! Holds that a document and a message that were read are written and read again as the same, that a message keeps its
//! size, and that bulk calls keep their bound and name no device twice.

#![no_main]

mod support;

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use muster_model::DeviceId;
use muster_model::message::{MAX_MESSAGE, Message};
use muster_wire::device::{BulkDeviceChange, BulkDeviceResult, DeviceDocument, MAX_BULK, parse_bulk};
use muster_wire::message;

fuzz_target!(|bytes: &[u8]| {
    match support::choose(bytes, 6) {
        Some((0, body)) => device(body),
        Some((1, body)) => bulk(body),
        Some((2, body)) => single(body),
        Some((3, body)) => batch(body),
        Some((4, body)) => {
            if let Ok(read) = BulkDeviceResult::read(body) {
                assert_eq!(BulkDeviceResult::read(read.to_json().as_bytes()), Ok(read));
            }
        }
        Some((_, body)) => {
            if let Ok(list) = DeviceDocument::read_list(body) {
                let written = muster_wire::device::list_json(&list);
                assert_eq!(DeviceDocument::read_list(written.as_bytes()), Ok(list));
            }
        }
        None => {}
    }
});

fn device(body: &[u8]) {
    let Ok(document) = DeviceDocument::read(body) else {
        return;
    };
    let written = document.to_json();
    assert_eq!(DeviceDocument::read(written.as_bytes()).as_ref(), Ok(&document));
    let Some(id) = document
        .device_id
        .as_deref()
        .and_then(|id| DeviceId::parse(id).ok())
    else {
        return;
    };
    let first = DeviceDocument::parse(body, &id);
    assert_eq!(DeviceDocument::parse(written.as_bytes(), &id), first);
    if let Ok(input) = first {
        assert_eq!(input.id, id);
    }
}

fn bulk(body: &[u8]) {
    let Ok(items) = parse_bulk(body) else { return };
    assert!(items.len() <= MAX_BULK);
    let mut seen = HashSet::new();
    for item in items {
        assert!(seen.insert(item.id.clone()), "a device twice");
        match item.change {
            Ok(
                BulkDeviceChange::Create(input)
                | BulkDeviceChange::CreateOrUpdate(input)
                | BulkDeviceChange::Update(input),
            ) => assert_eq!(input.id.as_str(), item.id),
            Ok(BulkDeviceChange::Delete(id)) => assert_eq!(id.as_str(), item.id),
            Err(_) => {}
        }
    }
}

/// Lines of headers, a blank line, the body. Only what an HTTP library hands on as text is tried.
fn single(bytes: &[u8]) {
    let at = bytes.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = at.map_or((bytes, &[][..]), |at| (&bytes[..at], &bytes[at + 2..]));
    let Ok(head) = std::str::from_utf8(head) else {
        return;
    };
    let headers: Vec<_> = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(_, value)| value.bytes().all(|byte| (b' '..=b'~').contains(&byte)))
        .collect();
    if let Ok(message) = message::from_headers(headers.iter().copied(), body.to_vec()) {
        kept(&message);
        let written = message::to_headers(&message);
        let headers = written
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        assert_eq!(message::from_headers(headers, body.to_vec()), Ok(message));
    }
}

fn batch(body: &[u8]) {
    let Ok(messages) = message::from_batch(body) else {
        return;
    };
    messages.iter().for_each(kept);
    let written = message::to_batch(&messages);
    // Written in base64 it may be too long for a batch.
    if written.len() <= MAX_MESSAGE {
        assert_eq!(message::from_batch(written.as_bytes()), Ok(messages));
    }
}

fn kept(message: &Message) {
    assert!(message.size() <= MAX_MESSAGE);
    let names: HashSet<_> = message
        .application
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    assert_eq!(names.len(), message.application.len(), "a property twice");
}
