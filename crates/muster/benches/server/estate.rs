//! What the devices of the bench are: a CA with its intermediate, an enrollment group, certificates, calls.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use muster_pki::issue::{Issuer, Profile, Serial, Template};
use muster_pki::{Certificate, NewKey, PrivateKey, Time};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::task::JoinSet;

use crate::Fault;
use crate::child::{Child, binary};
use crate::wire::{Client, Connection, request};

/// Devices in one bulk call: as many as the service takes.
const BULK: usize = 100;
/// Connections that make bulk calls.
const BULK_CALLERS: usize = 4;
const API: &str = "api-version=2021-04-12";
const DPS_API: &str = "api-version=2021-06-01";
/// What a device measures, in the form of the tutorials.
const BODY: &str = "{\"temperature\":21.742,\"humidity\":57.103,\"pressure\":1013.25,\"battery\":3.71,\
                    \"firmware\":\"1.4.2\",\"uptime\":863214,\"position\":{\"lat\":52.3731,\"lon\":4.8922},\
                    \"alarms\":[],\"sequence\":104211}";

/// A device that may register.
pub(crate) struct Device {
    id: String,
    certificate: CertificateDer<'static>,
}

/// Everything that the load is made of.
pub(crate) struct Estate {
    /// The server's data directory.
    pub(crate) data: PathBuf,
    https: std::net::SocketAddr,
    scope: String,
    token: String,
    devices: Vec<Device>,
    intermediate: Issuer,
    issuers: [CertificateDer<'static>; 2],
    key: Vec<u8>,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl Estate {
    /// Makes the certificates, and the group at the server.
    pub(crate) fn furnish(server: &Child, data: &Path, folder: &Path, devices: usize) -> Result<Self, Fault> {
        let year = Validity::now();
        let root_key = PrivateKey::generate(NewKey::EcP256)?;
        let root = year.template("Bench Root", 1, Profile::ScriptCa)?;
        let root = Issuer::new(root.self_signed(&root_key)?, root_key)?;
        let intermediate_key = PrivateKey::generate(NewKey::EcP256)?;
        let template = year.template("Bench Intermediate", 2, Profile::ScriptCa)?;
        let intermediate = Issuer::new(root.issue(&template, &intermediate_key)?, intermediate_key)?;
        // One key for all of them: making keys would take longer than the measurement.
        let key = PrivateKey::generate(NewKey::EcP256)?;
        let devices = (0..devices)
            .map(|number| {
                let id = format!("bench-device-{number:06}");
                let template = year.template(&id, number + 3, Profile::ScriptLeaf)?;
                let certificate = der(&intermediate.issue(&template, &key)?);
                Ok(Device { id, certificate })
            })
            .collect::<Result<_, Fault>>()?;

        let root_file = folder.join("bench-root.pem");
        std::fs::write(&root_file, root.certificate().pem())?;
        let upload = [
            "iot",
            "dps",
            "certificate",
            "create",
            "--name",
            "bench",
            "--verified",
            "true",
        ];
        muster(data, &upload, Some(&root_file))?;
        let group = ["iot", "dps", "enrollment-group", "create"];
        let ours = ["--enrollment-id", "bench", "--ca-name", "bench"];
        muster(data, &[&group[..], &ours[..]].concat(), None)?;
        let services = muster(data, &["iot", "dps", "list", "--output", "json"], None)?;
        let scope = find_text(&serde_json::from_slice(&services)?, "idScope").ok_or("no id scope")?;

        let mut roots = RootCertStore::empty();
        for trusted in Certificate::all_from_text(&std::fs::read(data.join("ca.pem"))?)? {
            roots.add(der(&trusted))?;
        }
        Ok(Self {
            data: data.to_owned(),
            https: server.https(),
            scope,
            token: std::fs::read_to_string(data.join("operator.token"))?
                .trim_end()
                .to_owned(),
            devices,
            issuers: [der(intermediate.certificate()), der(root.certificate())],
            intermediate,
            key: key.pkcs8_der().to_vec(),
            roots: Arc::new(roots),
            provider: Arc::new(CryptoProvider {
                // What the TLS libraries of devices offer first.
                kx_groups: vec![rustls::crypto::aws_lc_rs::kx_group::X25519],
                ..rustls::crypto::aws_lc_rs::default_provider()
            }),
        })
    }

    /// A device as a TLS client that shows its certificate and both above it.
    pub(crate) fn client(&self, number: usize) -> Result<Client, Fault> {
        self.client_of(self.device(number)?.certificate.clone())
    }

    fn client_of(&self, leaf: CertificateDer<'static>) -> Result<Client, Fault> {
        let [intermediate, root] = &self.issuers;
        let chain = vec![leaf, intermediate.clone(), root.clone()];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.clone()));
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_client_auth_cert(chain, key)?;
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Client(Arc::new(config)))
    }

    /// The id of a device.
    pub(crate) fn id(&self, number: usize) -> Result<&str, Fault> {
        Ok(&self.device(number)?.id)
    }

    /// Registers a device over a session of its own and asks once what became of it.
    pub(crate) async fn register(&self, number: usize) -> Result<(), Fault> {
        let id = &self.device(number)?.id;
        let mut connection = self.client(number)?.connect(self.https).await?;
        let path = format!("/{}/registrations/{id}", self.scope);
        let json = "Content-Type: application/json\r\n";
        let body = format!("{{\"registrationId\":\"{id}\"}}");
        let put = request("PUT", &format!("{path}/register?{DPS_API}"), json, &body);
        let begun = connection.call(&put).await?.expect(202)?;
        let operation = text_of(&begun, "operationId")?;
        let get = request("GET", &format!("{path}/operations/{operation}?{DPS_API}"), "", "");
        let done = connection.call(&get).await?.expect(200)?;
        if text_of(&done, "status")? != "assigned" {
            return Err(String::from_utf8_lossy(&done).into_owned().into());
        }
        connection.close().await
    }

    /// One message of a device, as it is written.
    pub(crate) fn telemetry(&self, number: usize) -> Vec<u8> {
        let id = self
            .devices
            .get(number)
            .map(|device| device.id.as_str())
            .unwrap_or_default();
        let headers = "Content-Type: application/json\r\niothub-app-temperatureAlert: false\r\n";
        request(
            "POST",
            &format!("/devices/{id}/messages/events?{API}"),
            headers,
            BODY,
        )
    }

    /// Reads everything that the hub has, and counts it.
    pub(crate) async fn count_events(&self, server: &Child) -> Result<usize, Fault> {
        let mut connection = self.operator(server).await?;
        let get = self.call("GET", "/muster/hubs/muster-hub/events?from=earliest", "");
        connection.count_lines(&get).await
    }

    /// Makes devices with thumbprints that nobody has, as many in a call as the service takes.
    pub(crate) async fn create_devices(self: &Rc<Self>, count: usize) -> Result<(), Fault> {
        let devices: Vec<String> = (0..count).map(bulk_device).collect();
        self.bulk(devices).await
    }

    /// Makes devices with certificates of their own, known by their thumbprints.
    pub(crate) async fn crowd(self: &Rc<Self>, count: usize) -> Result<Vec<(String, Client)>, Fault> {
        let year = Validity::now();
        let key = PrivateKey::from_pkcs8_der(&self.key)?;
        let mut crowd = Vec::with_capacity(count);
        let mut devices = Vec::with_capacity(count);
        for number in 0..count {
            let id = format!("crowd-{number:06}");
            let template = year.template(&id, 1_000_000 + number, Profile::ScriptLeaf)?;
            let certificate = self.intermediate.issue(&template, &key)?;
            devices.push(format!(
                "{{\"id\":\"{id}\",\"importMode\":\"create\",\"status\":\"enabled\",\"authentication\":{{\
                 \"type\":\"selfSigned\",\"x509Thumbprint\":{{\"primaryThumbprint\":\"{}\"}}}}}}",
                certificate.sha256()
            ));
            crowd.push((id, self.client_of(der(&certificate))?));
        }
        self.bulk(devices).await?;
        Ok(crowd)
    }

    async fn bulk(self: &Rc<Self>, devices: Vec<String>) -> Result<(), Fault> {
        let bodies: Vec<String> = devices
            .chunks(BULK)
            .map(|some| format!("[{}]", some.join(",")))
            .collect();
        let bodies = Rc::new(std::cell::RefCell::new(bodies));
        let mut tasks = JoinSet::new();
        for _ in 0..BULK_CALLERS {
            let (estate, bodies) = (Rc::clone(self), Rc::clone(&bodies));
            tasks.spawn_local(async move {
                let mut connection = Client(estate.anonymous()?).connect(estate.https).await?;
                loop {
                    let Some(body) = bodies.borrow_mut().pop() else {
                        return Ok::<_, Fault>(());
                    };
                    let post = estate.call("POST", &format!("/devices?{API}"), &body);
                    connection.call(&post).await?.expect(200)?;
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(())
    }

    /// Asks for one of those devices.
    pub(crate) async fn look_up(&self, server: &Child, number: usize) -> Result<(), Fault> {
        let mut connection = self.operator(server).await?;
        let get = self.call("GET", &format!("/devices/{}?{API}", fleet_id(number)), "");
        connection.call(&get).await?.expect(200)?;
        connection.close().await
    }

    async fn operator(&self, server: &Child) -> Result<Connection, Fault> {
        Client(self.anonymous()?).connect(server.https()).await
    }

    fn call(&self, method: &str, target: &str, body: &str) -> Vec<u8> {
        let headers = format!(
            "Authorization: Bearer {}\r\nContent-Type: application/json\r\n",
            self.token
        );
        request(method, target, &headers, body)
    }

    fn anonymous(&self) -> Result<Arc<ClientConfig>, Fault> {
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        Ok(Arc::new(config))
    }

    fn device(&self, number: usize) -> Result<&Device, Fault> {
        Ok(self.devices.get(number).ok_or("there are not so many devices")?)
    }
}

/// The span in which the certificates of the bench are valid.
struct Validity {
    from: Time,
}

impl Validity {
    #[expect(
        clippy::disallowed_methods,
        reason = "a bench sits outside what must not read the clock"
    )]
    fn now() -> Self {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let seconds = i64::try_from(since.as_secs()).unwrap_or_default();
        Self {
            from: Time::from_unix(seconds - 3_600),
        }
    }

    fn template(&self, name: &str, serial: usize, profile: Profile) -> Result<Template, Fault> {
        let serial = Serial::from_bytes(&serial.to_be_bytes())?;
        Ok(Template::new(
            name,
            serial,
            self.from,
            self.from.plus_days(30),
            profile,
        )?)
    }
}

fn der(certificate: &Certificate) -> CertificateDer<'static> {
    CertificateDer::from(certificate.der().to_vec())
}

fn fleet_id(number: usize) -> String {
    format!("fleet-{number:06}")
}

fn bulk_device(number: usize) -> String {
    let id = fleet_id(number);
    format!(
        "{{\"id\":\"{id}\",\"importMode\":\"create\",\"status\":\"enabled\",\"authentication\":{{\
         \"type\":\"selfSigned\",\"x509Thumbprint\":{{\"primaryThumbprint\":\"{number:064X}\"}}}}}}"
    )
}

/// Runs the command line against the server and returns what it printed.
fn muster(data: &Path, arguments: &[&str], path: Option<&Path>) -> Result<Vec<u8>, Fault> {
    let mut command = Command::new(binary());
    command.env("MUSTER_DATA", data).args(arguments);
    if let Some(path) = path {
        command.arg("--path").arg(path);
    }
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("muster {} failed", arguments.join(" ")).into())
    }
}

fn text_of(json: &[u8], name: &str) -> Result<String, Fault> {
    // The answer of one chunk, with the end of chunks behind it.
    let mut values = serde_json::Deserializer::from_slice(json).into_iter::<serde_json::Value>();
    let value = values.next().ok_or("an empty answer")??;
    Ok(find_text(&value, name).ok_or_else(|| format!("no {name}"))?)
}

/// The first text of a name, wherever it stands.
fn find_text(value: &serde_json::Value, name: &str) -> Option<String> {
    match value {
        serde_json::Value::Array(items) => items.iter().find_map(|item| find_text(item, name)),
        serde_json::Value::Object(fields) => fields
            .get(name)
            .and_then(|found| found.as_str().map(str::to_owned))
            .or_else(|| fields.values().find_map(|field| find_text(field, name))),
        _ => None,
    }
}
