//! Where a name leads, and the TLS connection there.
//!
//! A name under `.localhost` leads to loopback by itself, as it does in browsers and curl; the address that the caller
//! gives, if any, takes the place of every name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::Error;

/// A place that can be connected to.
#[derive(Clone)]
pub(crate) struct Link {
    /// The name in SNI, and in the server's certificate.
    pub(crate) host: String,
    /// The port that the name is reached at.
    pub(crate) port: u16,
    /// Where the name leads, when the caller says so.
    pub(crate) address: Option<SocketAddr>,
    /// The name that is looked up in place of `host`.
    pub(crate) through: Option<String>,
    pub(crate) config: Arc<ClientConfig>,
}

impl Link {
    /// Name and port, as errors tell them.
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The value of `Host` in requests that go there.
    pub(crate) fn authority(&self) -> String {
        if self.port == 443 {
            self.host.clone()
        } else {
            self.place()
        }
    }

    /// Connects, and finishes the TLS handshake.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Tls`].
    pub(crate) async fn connect(&self) -> Result<TlsStream<TcpStream>, Error> {
        let connect = |source| Error::Connect {
            host: self.place(),
            source,
        };
        let mut socket = Err(std::io::Error::from(std::io::ErrorKind::AddrNotAvailable));
        for address in self.addresses().await.map_err(connect)? {
            socket = TcpStream::connect(address).await;
            if socket.is_ok() {
                break;
            }
        }
        let socket = socket.map_err(connect)?;
        socket.set_nodelay(true).map_err(connect)?;
        let tls = |detail: String| Error::Tls {
            host: self.place(),
            detail,
        };
        let name = ServerName::try_from(bare(&self.host).to_owned()).map_err(|e| tls(e.to_string()))?;
        TlsConnector::from(Arc::clone(&self.config))
            .connect(name, socket)
            .await
            .map_err(|error| tls(error.to_string()))
    }

    async fn addresses(&self) -> std::io::Result<Vec<SocketAddr>> {
        if let Some(address) = self.address {
            return Ok(vec![address]);
        }
        let host = bare(self.through.as_deref().unwrap_or(&self.host));
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, self.port)]);
        }
        if is_localhost(host) {
            let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
            return Ok(loopback
                .into_iter()
                .map(|ip| SocketAddr::new(ip, self.port))
                .collect());
        }
        Ok(tokio::net::lookup_host((host, self.port)).await?.collect())
    }
}

/// An address without the brackets that a URL puts round it.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Tells whether a name leads to loopback by itself. Source: RFC 6761, section 6.3.
pub(crate) fn is_localhost(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_names_lead_to_loopback() {
        for name in [
            "localhost",
            "muster-hub.azure-devices.muster.localhost",
            "A.LocalHost.",
        ] {
            assert!(is_localhost(name), "{name}");
        }
        for name in ["localhost.example.com", "notlocalhost", "example.com"] {
            assert!(!is_localhost(name), "{name}");
        }
    }
}
