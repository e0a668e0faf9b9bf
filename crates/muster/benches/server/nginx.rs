//! The peer: nginx, one process on the measured core, which answers every request with an empty 204.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Fault;
use crate::child::{Child, pinned};

/// How often is looked whether it listens, and how many times.
const GLANCE: Duration = Duration::from_millis(10);
const GLANCES: usize = 500;

/// A running nginx.
pub(crate) struct Nginx(Child);

impl Nginx {
    /// Starts it under the server's own certificate; `None` where there is none to be started.
    pub(crate) fn start(data: &Path, folder: &Path) -> Result<Option<Self>, Fault> {
        let known = Command::new("nginx").arg("-v").stderr(Stdio::null()).status();
        if !known.is_ok_and(|status| status.success()) {
            return Ok(None);
        }
        // Free now; nobody else on this machine is known to take ports meanwhile.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let configuration = folder.join("nginx.conf");
        std::fs::write(&configuration, text(data, folder, address))?;
        let process = pinned("nginx")
            .arg("-e")
            .arg(folder.join("nginx.log"))
            .arg("-c")
            .arg(&configuration)
            .spawn()?;
        let child = Child::new(process, address);
        for _ in 0..GLANCES {
            if TcpStream::connect(address).is_ok() {
                return Ok(Some(Self(child)));
            }
            std::thread::sleep(GLANCE);
        }
        Err("nginx does not listen".into())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.https()
    }

    pub(crate) fn child(&self) -> &Child {
        &self.0
    }
}

/// Client certificates are asked for and not judged, as the server's handshake does it; nothing is logged and nothing
/// is stored.
fn text(data: &Path, folder: &Path, address: SocketAddr) -> String {
    let (data, folder) = (data.display(), folder.display());
    format!(
        "daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    keepalive_requests 100000000;
    keepalive_timeout 600s;
    server {{
        listen {address} ssl;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate {data}/server-ec.pem;
        ssl_certificate_key {data}/server-ec.key;
        ssl_verify_client optional_no_ca;
        ssl_verify_depth 5;
        location / {{ return 204; }}
    }}
}}
"
    )
}
