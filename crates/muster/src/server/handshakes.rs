//! Turns failed handshakes into refusals, so that they are explained as others are.

use std::sync::Arc;

use muster_model::refusal::{Protocol, Refusal};
use muster_model::{Clock, Random, ReasonCode, TrackingId};
use muster_net::{HandshakeCode, HandshakeFailure, HandshakeFailures};
use muster_pki::Chain;
use muster_resources::RefusalLog;

/// Reports failed handshakes to the record of refusals.
pub(crate) struct HandshakeRecords {
    log: Arc<RefusalLog>,
    clock: Arc<dyn Clock>,
    random: Arc<Random>,
}

impl HandshakeRecords {
    /// Reports to `log`.
    pub(crate) fn new(log: Arc<RefusalLog>, clock: Arc<dyn Clock>, random: Arc<Random>) -> Self {
        Self { log, clock, random }
    }
}

/// The reason of a record; `None` for what says nothing about a device: a port scanner, a full server.
fn reason(code: HandshakeCode) -> Option<ReasonCode> {
    Some(match code {
        HandshakeCode::ChainTooLarge | HandshakeCode::ChainTooLong => ReasonCode::ChainTooLong,
        HandshakeCode::LeafKeyUnusable => ReasonCode::UnsupportedAlgorithm,
        HandshakeCode::PeerAlert => ReasonCode::HandshakeServerRefused,
        HandshakeCode::PossessionNotProven => ReasonCode::ProofOfKeyWrong,
        HandshakeCode::TimedOut => ReasonCode::HandshakeTimedOut,
        HandshakeCode::AlpnUnsupported
        | HandshakeCode::NothingInCommon
        | HandshakeCode::ProtocolViolation => ReasonCode::HandshakeFailed,
        _ => return None,
    })
}

impl HandshakeFailures for HandshakeRecords {
    fn failed(&self, failure: HandshakeFailure) {
        tracing::debug!(
            peer.address = %failure.addr,
            error.code = failure.code.as_str(),
            detail = failure.detail,
            "a handshake failed"
        );
        let Some(reason) = reason(failure.code) else {
            return;
        };
        self.log.report(Refusal {
            tracking: self.random.draw(|rng| TrackingId::random(rng)),
            at: self.clock.wall(),
            reason,
            protocol: Protocol::Tls,
            address: Some(failure.addr),
            action: "connect",
            target: failure.server_name,
            device: None,
            registration: None,
            chain: Chain::from_ders(failure.chain.iter().map(|der| &der[..])).ok(),
            token: None,
        });
    }
}
