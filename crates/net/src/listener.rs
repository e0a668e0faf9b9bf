//! Binds addresses.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::error::Error;

/// Connections that the kernel keeps waiting while handshakes take their turn.
const BACKLOG: i32 = 1024;

/// Tries at finding one free port on several addresses.
const PORT_TRIES: usize = 16;

/// Says which addresses a listener binds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binds {
    addrs: Vec<SocketAddr>,
    /// Whether addresses that this machine does not have are left out.
    lenient: bool,
}

impl Binds {
    /// 127.0.0.1 and, where the machine has it, `::1`. Port 0 lets the kernel choose one for both.
    pub fn loopback(port: u16) -> Self {
        let addrs = vec![
            (Ipv4Addr::LOCALHOST, port).into(),
            (Ipv6Addr::LOCALHOST, port).into(),
        ];
        Self { addrs, lenient: true }
    }

    /// These addresses and no fewer. Those with port 0 get one and the same port, chosen by the kernel.
    pub fn exactly(addrs: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self {
            addrs: addrs.into_iter().collect(),
            lenient: false,
        }
    }
}

/// Bound addresses from which nothing is accepted yet; the kernel queues what comes.
#[derive(Debug)]
pub struct Listener {
    pub(crate) sockets: Vec<TcpListener>,
    addrs: Vec<SocketAddr>,
}

impl Listener {
    /// Binds all of `binds`. Must be called within the runtime.
    ///
    /// # Errors
    /// [`Error::Bind`] with the first address that cannot be bound; [`Error::NoAddress`] if none is left.
    pub fn bind(binds: &Binds) -> Result<Self, Error> {
        let shares_port = binds.addrs.iter().filter(|addr| addr.port() == 0).count() > 1;
        let tries = if shares_port { PORT_TRIES } else { 1 };
        let mut result = Err(Error::NoAddress);
        for _ in 0..tries {
            result = Self::bind_once(binds);
            match &result {
                // The port that the kernel chose for the first address is taken on another: choose again.
                Err(Error::Bind { source, .. }) if source.kind() == io::ErrorKind::AddrInUse => {}
                _ => break,
            }
        }
        result
    }

    /// The addresses that are bound, with their true ports.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    fn bind_once(binds: &Binds) -> Result<Self, Error> {
        let mut listener = Self {
            sockets: Vec::new(),
            addrs: Vec::new(),
        };
        let mut chosen = 0;
        for &wanted in &binds.addrs {
            let mut addr = wanted;
            if addr.port() == 0 {
                addr.set_port(chosen);
            }
            match open(addr) {
                Ok((socket, bound)) => {
                    if wanted.port() == 0 {
                        chosen = bound.port();
                    }
                    listener.sockets.push(socket);
                    listener.addrs.push(bound);
                }
                Err(source) if binds.lenient && is_absent(&source) => {
                    tracing::info!(%addr, "this machine does not have the address, so nothing listens there");
                }
                Err(source) => return Err(Error::Bind { addr, source }),
            }
        }
        if listener.sockets.is_empty() {
            Err(Error::NoAddress)
        } else {
            Ok(listener)
        }
    }
}

fn open(addr: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        // So that 0.0.0.0 and :: can be bound side by side.
        socket.set_only_v6(true)?;
    }
    // So that a restart is not held up by the connections of the last run.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// Whether the address, or its whole family, does not exist here.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
    ) || error.to_string().contains("Address family not supported")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn binds_one_kernel_chosen_port_on_every_address() {
        let listener = Listener::bind(&Binds::loopback(0)).unwrap();
        let port = listener.local_addrs()[0].port();
        assert_ne!(port, 0);
        assert!(listener.local_addrs().iter().all(|addr| addr.port() == port));
    }

    #[tokio::test]
    async fn names_the_address_that_is_taken() {
        let first = Listener::bind(&Binds::loopback(0)).unwrap();
        let addr = first.local_addrs()[0];
        let error = Listener::bind(&Binds::exactly([addr])).unwrap_err();
        assert!(
            matches!(error, Error::Bind { addr: taken, .. } if taken == addr),
            "{error}"
        );
    }

    #[tokio::test]
    async fn refuses_to_listen_nowhere() {
        assert!(matches!(
            Listener::bind(&Binds::exactly([])),
            Err(Error::NoAddress)
        ));
    }
}
