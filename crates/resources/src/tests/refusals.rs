//! The refusal log under flood, and the explanations of this crate.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use muster_model::refusal::{ExplainedRefusal, Explanation, Protocol, Refusal, TokenClaims};
use muster_model::{ManualClock, ReasonCode, TrackingId};

use super::{NOW, World};
use crate::ports::{RefusalQuery, Refusals, StoreError};
use crate::{Explain, Explainer, RefusalLog};

fn refusal(reason: ReasonCode, target: &str) -> Refusal {
    Refusal {
        tracking: TrackingId::from_bytes([7; 16]),
        at: NOW,
        reason,
        protocol: Protocol::Https,
        address: None,
        action: "list devices",
        target: Some(target.to_owned()),
        device: None,
        registration: None,
        chain: None,
        token: None,
    }
}

#[derive(Default)]
struct Kept(Mutex<Vec<Arc<ExplainedRefusal>>>);

#[async_trait]
impl Refusals for Kept {
    async fn keep(&self, records: Vec<Arc<ExplainedRefusal>>) -> Result<(), StoreError> {
        self.0.lock().unwrap().extend(records);
        Ok(())
    }

    async fn find(&self, _tracking: TrackingId) -> Result<Option<Arc<ExplainedRefusal>>, StoreError> {
        Ok(None)
    }

    async fn search(&self, _query: RefusalQuery) -> Result<Vec<Arc<ExplainedRefusal>>, StoreError> {
        Ok(Vec::new())
    }

    async fn forget(&self, _device: &str) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn expire(&self, _before: muster_model::Wall) -> Result<u64, StoreError> {
        Ok(0)
    }
}

struct Plain;

#[async_trait]
impl Explain for Plain {
    async fn explain(&self, refusal: &Refusal) -> Explanation {
        Explanation {
            reason: refusal.reason,
            sentence: "No.".to_owned(),
            steps: Vec::new(),
            remedies: Vec::new(),
        }
    }
}

#[tokio::test]
async fn a_flood_of_one_kind_is_sampled_and_counted_and_does_not_hide_another() {
    let clock = Arc::new(ManualClock::at(NOW));
    let log = RefusalLog::new(clock.clone());
    let kept = Kept::default();
    for _ in 0..1_000 {
        log.report(refusal(ReasonCode::NoCredential, "flooded"));
    }
    log.report(refusal(ReasonCode::TokenExpired, "flooded"));
    log.report(refusal(ReasonCode::NoCredential, "another"));
    assert_eq!(log.flush(&Plain, &kept).await.unwrap(), 22);
    assert_eq!(log.dropped(), 980);
    clock.advance(Duration::from_secs(1));
    for _ in 0..100 {
        log.report(refusal(ReasonCode::NoCredential, "flooded"));
    }
    assert_eq!(log.drain(&Plain, &kept).await.unwrap(), 5);
    assert_eq!(kept.0.lock().unwrap().len(), 27);
}

#[tokio::test]
async fn a_flood_of_many_targets_is_bounded_too() {
    let log = RefusalLog::new(Arc::new(ManualClock::at(NOW)));
    for number in 0..20_000 {
        log.report(refusal(ReasonCode::HubUnknown, &format!("hub-{number}")));
    }
    assert_eq!(log.flush(&Plain, &Kept::default()).await.unwrap(), 200);
    assert_eq!(log.dropped(), 19_800);
}

#[tokio::test]
async fn what_a_stranger_wrote_is_kept_only_as_far_as_names_go() {
    let log = RefusalLog::new(Arc::new(ManualClock::at(NOW)));
    let kept = Kept::default();
    let long = "\u{e4}".repeat(32 * 1024);
    let mut huge = refusal(ReasonCode::HubUnknown, &long);
    huge.device = Some(long.clone());
    huge.registration = Some(long.clone());
    huge.token = Some(TokenClaims {
        resource: long.clone(),
        expiry: NOW,
        policy: Some(long),
    });
    log.report(huge);
    assert_eq!(log.flush(&Plain, &kept).await.unwrap(), 1);
    let kept = kept.0.lock().unwrap();
    let shown = &kept[0].refusal;
    let token = shown.token.as_ref().unwrap();
    for name in [&shown.target, &shown.device, &shown.registration, &token.policy] {
        assert!(name.as_ref().unwrap().len() <= 303);
    }
    assert!(token.resource.len() <= 1_027);
}

#[tokio::test]
async fn a_token_is_explained_with_what_it_claimed_and_what_is_there() {
    let world = World::new().await;
    let explainer = Explainer::new(Arc::clone(&world.directory));
    let mut wrong = refusal(
        ReasonCode::PolicyUnknown,
        "muster-hub.azure-devices.muster.localhost",
    );
    wrong.token = Some(TokenClaims {
        resource: "muster-hub.azure-devices.muster.localhost".to_owned(),
        expiry: NOW,
        policy: Some("nobody".to_owned()),
    });
    let explanation = explainer.explain(&wrong).await;
    assert!(
        explanation
            .sentence
            .contains("no shared access policy named nobody"),
        "{explanation:?}"
    );
    assert!(explanation.steps.iter().any(|step| step.contains("iothubowner")));
    assert_eq!(
        explanation.remedies,
        ["muster iot hub connection-string show --hub-name muster-hub"]
    );
}

#[tokio::test]
async fn every_reason_has_a_sentence() {
    let world = World::new().await;
    let explainer = Explainer::new(Arc::clone(&world.directory));
    for reason in ReasonCode::ALL {
        let explanation = explainer.explain(&refusal(*reason, "muster-hub")).await;
        assert_eq!(explanation.reason, *reason);
        assert!(
            explanation.sentence.ends_with('.'),
            "{reason}: {}",
            explanation.sentence
        );
    }
}
