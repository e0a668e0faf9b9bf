//! Serves MQTT on a stream: reads CONNECT, answers it, and hands the connection to the session that it asks for.

use std::sync::Arc;

use muster_model::ReasonCode;
use muster_mqtt_codec::{Connack, ConnectCode, Frame, Packet, Violation, connack, connack_v5_unsupported};
use muster_net::time::timeout;
use muster_net::{BoxFuture, Drain, Peer, Presented, Stream, StreamService};

use crate::backend::Backend;
use crate::connect::{Admitted, Refused, Trail, judge};
use crate::machine::Breach;
use crate::provisioning::{self, Registrations};
use crate::pump::Pump;
use crate::{metrics, session};

/// Largest CONNECT, in bytes: a will of 64 KiB and everything else with room to spare.
const MAX_CONNECT: usize = 80 * 1024;

/// The MQTT gateway.
pub struct Gateway {
    backend: Arc<Backend>,
    registrations: Arc<Registrations>,
}

impl Gateway {
    /// Makes a gateway over what it calls.
    pub fn new(backend: Arc<Backend>) -> Self {
        Self {
            backend,
            registrations: Arc::default(),
        }
    }
}

impl StreamService for Gateway {
    fn serve(&self, stream: Stream, peer: Arc<Peer>, drain: Drain) -> BoxFuture<()> {
        let backend = Arc::clone(&self.backend);
        let registrations = Arc::clone(&self.registrations);
        Box::pin(async move {
            let mut pump = Pump::new(stream);
            let opening = Box::pin(open(&backend, &mut pump, &peer, &drain));
            let opened = timeout(backend.config.connect_time, opening).await;
            match opened {
                Ok(Some(Admitted::Device(device))) => {
                    session::serve(backend, pump, device, peer, drain).await;
                }
                Ok(Some(Admitted::Registering(registering))) => {
                    // Few at a time and soon over: what it needs is not kept for every device.
                    Box::pin(provisioning::serve(
                        backend,
                        registrations,
                        pump,
                        *registering,
                        peer,
                        drain,
                    ))
                    .await;
                }
                Ok(None) => {}
                Err(_) => {
                    tracing::debug!(peer.address = %peer.addr, "a client did not connect in time");
                    metrics::connected("late");
                }
            }
        })
    }
}

/// Reads CONNECT and judges it. Where the client is not let in, it has been told so as far as the protocol has words.
async fn open(backend: &Backend, pump: &mut Pump, peer: &Peer, drain: &Drain) -> Option<Admitted> {
    let trail = Trail::new(backend);
    loop {
        let wish = pump.packet(MAX_CONNECT, |frame| match frame.packet() {
            // Judging it takes longer than the buffer is lent.
            Ok(Packet::Connect(_)) => Ok((frame.first, frame.body.to_vec())),
            Ok(other) => Err(Breach::OutOfPlace(other.name())),
            Err(violation) => Err(violation.into()),
        });
        match wish {
            Ok(Some((first, body))) => {
                return admit(backend, pump, peer, trail, &Frame { first, body: &body }).await;
            }
            Ok(None) => {}
            Err(breach) => {
                turn_away(backend, pump, peer, &trail, &breach).await;
                return None;
            }
        }
        let filled = tokio::select! {
            () = drain.begun() => false,
            filled = pump.fill() => filled.unwrap_or(false),
        };
        if !filled {
            metrics::connected("none");
            return None;
        }
    }
}

async fn admit(
    backend: &Backend,
    pump: &mut Pump,
    peer: &Peer,
    mut trail: Trail,
    frame: &Frame<'_>,
) -> Option<Admitted> {
    // It was read once already.
    let Ok(Packet::Connect(connect)) = frame.packet() else {
        return None;
    };
    let presented = peer.presented();
    let now = backend.clock.wall();
    match judge(backend, &presented, &connect, &mut trail, now).await {
        Ok(admitted) => Some(admitted),
        Err(refused) => {
            refuse(backend, pump, peer, &presented, &trail, &refused).await;
            None
        }
    }
}

/// Answers a client that is not let in, and keeps a record of it.
pub(crate) async fn refuse(
    backend: &Backend,
    pump: &mut Pump,
    peer: &Peer,
    presented: &Presented,
    trail: &Trail,
    refused: &Refused,
) {
    let code = refused.code;
    let name = match code {
        ConnectCode::Accepted => "0",
        ConnectCode::UnacceptableLevel => "1",
        ConnectCode::IdentifierRejected => "2",
        ConnectCode::ServerUnavailable => "3",
        ConnectCode::BadUserNameOrPassword => "4",
        ConnectCode::NotAuthorized => "5",
    };
    metrics::connected(name);
    tracing::info!(
        target: "muster::access",
        {
            peer.address = %peer.addr,
            mqtt.code = name,
            error.reason = refused.reason.map(ReasonCode::as_str),
            detail = %refused.detail,
            tracking.id = %trail.tracking,
            target.name = trail.target.as_deref(),
            device.id = trail.device.as_deref(),
            registration.id = trail.registration.as_deref(),
        },
        "refused to connect"
    );
    if let Some(reason) = refused.reason {
        let at = backend.clock.wall();
        backend
            .refusal_log
            .report(trail.refusal(reason, peer, presented, at));
    }
    connack(
        &mut pump.out,
        Connack {
            session_present: false,
            code,
        },
    );
    pump.close(backend.config.write_time).await;
}

/// Ends a connection whose first packet is no CONNECT that can be judged.
async fn turn_away(backend: &Backend, pump: &mut Pump, peer: &Peer, trail: &Trail, breach: &Breach) {
    if let Breach::Protocol(Violation::Level(level)) = breach {
        let refused = Refused {
            code: ConnectCode::UnacceptableLevel,
            reason: Some(ReasonCode::ProtocolLevelUnsupported),
            detail: breach.to_string(),
        };
        if *level == 5 {
            // A client of MQTT 5 can't read the answer of 3.1.1.
            connack_v5_unsupported(&mut pump.out);
            let _ = pump.send(backend.config.write_time).await;
        }
        refuse(backend, pump, peer, &peer.presented(), trail, &refused).await;
        return;
    }
    metrics::connected("none");
    tracing::debug!(peer.address = %peer.addr, error = %breach, "a connection began with no CONNECT");
    pump.close(backend.config.write_time).await;
}
