//! The battery of explained refusals.

use std::sync::Arc;

use muster_model::refusal::{ExplainedRefusal, Explanation, Protocol, Refusal, TokenClaims};
use muster_model::{ReasonCode, TrackingId, Wall};
use muster_pki::Chain;
use muster_resources::RefusalQuery;

use crate::sample::certificate;
use crate::subject::Subject;

pub(crate) fn refusal(number: u8, device: Option<&str>, registration: Option<&str>) -> Arc<ExplainedRefusal> {
    let first = certificate(0);
    let second = certificate(1);
    Arc::new(ExplainedRefusal {
        refusal: Refusal {
            tracking: TrackingId::from_bytes([number; 16]),
            at: Wall::from_seconds(i64::from(number)),
            reason: ReasonCode::AnchorUnknown,
            protocol: Protocol::Mqtt,
            address: Some(format!("192.0.2.{number}:4711").parse().unwrap()),
            action: "register",
            target: Some("0ne0000000A".to_owned()),
            device: device.map(str::to_owned),
            registration: registration.map(str::to_owned),
            chain: Some(Chain::from_ders([first.der(), b"not a certificate", second.der()]).unwrap()),
            token: Some(TokenClaims {
                resource: "hub/devices/x".to_owned(),
                expiry: Wall::from_seconds(9),
                policy: None,
            }),
        },
        explanation: Explanation {
            reason: ReasonCode::ChainIncomplete,
            sentence: "One certificate is missing.".to_owned(),
            steps: vec!["looked at the leaf".to_owned(), "looked further".to_owned()],
            remedies: vec!["muster cert check --chain x.pem".to_owned()],
        },
    })
}

pub(crate) async fn a_refusal_is_found_as_it_was_kept(subject: &Subject) {
    let store = &subject.refusals;
    let kept = refusal(7, Some("Dev"), None);
    store
        .keep(vec![kept.clone(), refusal(8, None, None)])
        .await
        .unwrap();
    let found = store.find(kept.refusal.tracking).await.unwrap().unwrap();
    assert_eq!(format!("{found:?}"), format!("{kept:?}"));
    assert_eq!(found.refusal.chain, kept.refusal.chain);
    assert_eq!(found.explanation, kept.explanation);
    assert!(
        store
            .find(TrackingId::from_bytes([1; 16]))
            .await
            .unwrap()
            .is_none()
    );
}

pub(crate) async fn refusals_are_searched_forgotten_and_expired(subject: &Subject) {
    let store = &subject.refusals;
    let records = vec![
        refusal(1, Some("Dev"), None),
        refusal(2, Some("dev"), None),
        refusal(3, None, Some("DEV")),
        refusal(4, Some("Dev"), Some("other")),
    ];
    store.keep(records.clone()).await.unwrap();
    store.keep(records).await.unwrap();
    let search = |query| async {
        let found = store.search(query).await.unwrap();
        found
            .iter()
            .map(|record| record.refusal.at.seconds())
            .collect::<Vec<_>>()
    };
    let all = RefusalQuery {
        last: 10,
        ..RefusalQuery::default()
    };
    assert_eq!(search(all.clone()).await, [4, 3, 2, 1]);
    let last = RefusalQuery {
        last: 2,
        ..all.clone()
    };
    assert_eq!(search(last).await, [4, 3]);
    let device = RefusalQuery {
        device: Some("Dev".to_owned()),
        ..all.clone()
    };
    assert_eq!(search(device.clone()).await, [4, 1]);
    let since = RefusalQuery {
        since: Some(Wall::from_seconds(2)),
        ..device
    };
    assert_eq!(search(since).await, [4]);
    let registration = RefusalQuery {
        registration: Some("Dev".to_owned()),
        ..all.clone()
    };
    assert_eq!(search(registration).await, [3]);
    let address = RefusalQuery {
        address: Some("192.0.2.2".parse().unwrap()),
        ..all.clone()
    };
    assert_eq!(search(address).await, [2]);
    let forgotten = store.forget("Dev").await.unwrap();
    assert_eq!(search(all.clone()).await, [2]);
    store.keep(vec![refusal(9, None, None)]).await.unwrap();
    let expired = store.expire(Wall::from_seconds(9)).await.unwrap();
    assert_eq!(search(all).await, [9]);
    if subject.exact {
        assert_eq!((forgotten, expired), (3, 1));
    }
}
