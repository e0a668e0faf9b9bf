//! Accepts connections, applies the limits and hands streams to their services.

use std::future::{Future, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::drain::{Drain, Drained, Drainer};
use crate::failures::{HandshakeCode, HandshakeFailure, HandshakeFailures};
use crate::gate::{ConnectionPlace, Gate, HandshakePlace};
use crate::limits::Limits;
use crate::listener::Listener;
use crate::metrics;
use crate::peer::Peer;
use crate::stream::Stream;
use crate::task;
use crate::tcp::Tcp;
use crate::tls::{Rejection, Tls, Witness, accept, linger};

/// A future that is held without knowing its kind.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Wait before the system is asked again for a connection that it failed to give (for want of file
/// descriptors, most often).
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Longest time that a refused peer is given to read its refusal.
const LINGER: Duration = Duration::from_secs(1);

/// Speaks a protocol on a stream. Gateways are such services; none of them knows another, and a stream may
/// come from a socket, from inside another protocol or from memory.
pub trait StreamService: Send + Sync {
    /// Speaks on `stream` until its end. When `drain` begins, the session ends as its protocol allows;
    /// one that has not ended at the drain's deadline is dropped.
    fn serve(&self, stream: Stream, peer: Arc<Peer>, drain: Drain) -> BoxFuture<()>;
}

/// Accepts on any number of listeners under one set of limits, until it is drained.
pub struct Server {
    shared: Arc<Shared>,
    drainer: Drainer,
}

/// What all connections of a server share.
struct Shared {
    limits: Limits,
    gate: Arc<Gate>,
    failures: Arc<dyn HandshakeFailures>,
}

impl Server {
    /// Makes a server that listens nowhere yet.
    pub fn new(limits: Limits, failures: Arc<dyn HandshakeFailures>) -> Self {
        let gate = Arc::new(Gate::new(&limits));
        Self {
            shared: Arc::new(Shared {
                limits,
                gate,
                failures,
            }),
            drainer: Drainer::new(),
        }
    }

    /// Starts to accept on `listener`: with TLS if given, else plainly. Must be called within the runtime.
    pub fn serve(&self, listener: Listener, tls: Option<&Arc<Tls>>, service: &Arc<dyn StreamService>) {
        for socket in listener.sockets {
            let front = Front {
                shared: Arc::clone(&self.shared),
                tls: tls.map(Arc::clone),
                service: Arc::clone(service),
                drain: self.drainer.drain(),
            };
            task::spawn(&self.drainer.drain(), accept_until_drained(socket, front));
        }
    }

    /// A token for work that ends with this server.
    pub fn drain_token(&self) -> Drain {
        self.drainer.drain()
    }

    /// Stops accepting and tells everyone to end, without waiting for it.
    pub fn begin_drain(&self) {
        self.drainer.begin();
    }

    /// Stops accepting, tells everyone to end, waits for that, and cuts what is left after `deadline`.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        self.drainer.finish(deadline).await
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("limits", &self.shared.limits)
            .finish_non_exhaustive()
    }
}

/// What the connections of one listener share.
#[derive(Clone)]
struct Front {
    shared: Arc<Shared>,
    tls: Option<Arc<Tls>>,
    service: Arc<dyn StreamService>,
    drain: Drain,
}

async fn accept_until_drained(socket: TcpListener, front: Front) {
    let ended = front.drain.clone();
    let accepting = async {
        loop {
            match socket.accept().await {
                Ok((connection, addr)) => {
                    // While there is no place, this connection waits here and all others in the kernel.
                    let place = front.shared.gate.handshake().await;
                    front.admit(connection, addr, place);
                }
                Err(error) => {
                    metrics::accept_failed();
                    tracing::warn!(%error, "the system gives no connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = ended.begun() => {}
        () = accepting => {}
    }
}

impl Front {
    /// Starts the connection's task, or closes the connection at once where a limit is reached.
    fn admit(&self, socket: TcpStream, addr: SocketAddr, handshake: HandshakePlace) {
        let open = metrics::OpenConnection::count();
        let local_addr = match socket
            .local_addr()
            .and_then(|local| socket.set_nodelay(true).map(|()| local))
        {
            Ok(local_addr) => local_addr,
            Err(error) => {
                let detail = error.to_string();
                return self.fail(
                    addr,
                    addr,
                    HandshakeCode::SocketFailed,
                    &detail,
                    &Witness::default(),
                );
            }
        };
        let Some(place) = self.shared.gate.connection() else {
            let detail = "the greatest number of connections is reached";
            return self.fail(
                addr,
                local_addr,
                HandshakeCode::ServerFull,
                detail,
                &Witness::default(),
            );
        };
        let places = (place, open);
        let front = self.clone();
        // Boxed, so that what the handshake needs is freed before the session starts: the task of an idle
        // connection is no larger than its session.
        let preparing: BoxFuture<Option<Session>> = if let Some(tls) = self.tls.clone() {
            Box::pin(front.secure(socket, addr, local_addr, tls, places, handshake))
        } else {
            drop(handshake);
            let peer = Peer::plain(addr, local_addr);
            Box::pin(ready(Some(front.session(Stream::new(Tcp(socket)), peer, places))))
        };
        task::spawn(&self.drain, async move {
            if let Some(Session { served, places }) = preparing.await {
                served.await;
                drop(places);
            }
        });
    }

    /// Does the handshake; `None` if it failed, which is then told and done with.
    async fn secure(
        self,
        socket: TcpStream,
        addr: SocketAddr,
        local_addr: SocketAddr,
        tls: Arc<Tls>,
        places: Places,
        handshake: HandshakePlace,
    ) -> Option<Session> {
        let witness = Arc::new(Witness::default());
        let Some(source) = self.shared.gate.source(addr.ip()) else {
            let detail = "too many handshakes of this address are under way";
            self.fail(addr, local_addr, HandshakeCode::AddressBusy, detail, &witness);
            return None;
        };
        let began = Instant::now();
        let deadline = began + self.shared.limits.handshake_timeout;
        let handshaking = accept(socket, addr, local_addr, &tls, &self.shared.limits, &witness);
        match tokio::time::timeout_at(deadline, handshaking).await {
            Ok(Ok((stream, peer))) => {
                drop((source, handshake));
                metrics::handshake_done(&peer, began.elapsed());
                Some(self.session(Stream::new(stream), peer, places))
            }
            Ok(Err(Rejection { code, detail, socket })) => {
                self.fail(addr, local_addr, code, &detail, &witness);
                if let Some(socket) = socket {
                    // Out of time or done, the connection ends here.
                    let _ = tokio::time::timeout(LINGER, linger(socket)).await;
                }
                None
            }
            Err(_) => {
                let detail = "the handshake was not done in time";
                self.fail(addr, local_addr, HandshakeCode::TimedOut, detail, &witness);
                None
            }
        }
    }

    fn session(&self, stream: Stream, peer: Peer, places: Places) -> Session {
        let served = self.service.serve(stream, Arc::new(peer), self.drain.clone());
        Session { served, places }
    }

    fn fail(
        &self,
        addr: SocketAddr,
        local_addr: SocketAddr,
        code: HandshakeCode,
        detail: &str,
        witness: &Witness,
    ) {
        metrics::handshake_failed(code);
        tracing::debug!(%addr, error.code = code.as_str(), detail, "a connection ended before it was served");
        let seen = witness.seen();
        self.shared.failures.failed(HandshakeFailure {
            addr,
            local_addr,
            server_name: seen.server_name,
            chain: seen.chain.unwrap_or_else(|| Arc::new([])),
            code,
            detail: detail.to_owned(),
        });
    }
}

/// What a connection holds as long as it is open.
type Places = (ConnectionPlace, metrics::OpenConnection);

/// A connection in the hands of its service.
struct Session {
    served: BoxFuture<()>,
    places: Places,
}
