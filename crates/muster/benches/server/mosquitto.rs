//! The peer of MQTT: mosquitto, on the measured core, with the server's own certificate, client certificates judged, and
//! nothing stored.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Fault;
use crate::child::{Child, pinned};

/// How often is looked whether it listens, and how many times.
const GLANCE: Duration = Duration::from_millis(10);
const GLANCES: usize = 500;

/// A running mosquitto.
pub(crate) struct Mosquitto(Child);

impl Mosquitto {
    /// Starts it; `None` where there is none to be started.
    pub(crate) fn start(data: &Path, folder: &Path) -> Result<Option<Self>, Fault> {
        let program = ["mosquitto", "/usr/sbin/mosquitto"].into_iter().find(|program| {
            let mut known = Command::new(program);
            // It prints its usage and ends with 3.
            known.arg("-h").stdout(Stdio::null()).stderr(Stdio::null());
            known.status().is_ok()
        });
        let Some(program) = program else {
            return Ok(None);
        };
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let configuration = folder.join("mosquitto.conf");
        std::fs::write(&configuration, text(data, folder, address))?;
        let process = pinned(program)
            .arg("-c")
            .arg(&configuration)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let child = Child::new(process, address);
        for _ in 0..GLANCES {
            if TcpStream::connect(address).is_ok() {
                return Ok(Some(Self(child)));
            }
            std::thread::sleep(GLANCE);
        }
        Err("mosquitto does not listen".into())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.https()
    }

    pub(crate) fn child(&self) -> &Child {
        &self.0
    }
}

fn text(data: &Path, folder: &Path, address: SocketAddr) -> String {
    let (data, folder) = (data.display(), folder.display());
    format!(
        "listener {port} {ip}
user root
allow_anonymous true
persistence false
log_type none
cafile {folder}/bench-root.pem
certfile {data}/server-ec.pem
keyfile {data}/server-ec.key
require_certificate true
max_inflight_messages 0
max_queued_messages 0
",
        port = address.port(),
        ip = address.ip(),
    )
}
