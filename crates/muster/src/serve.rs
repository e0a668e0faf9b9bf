//! The server put together, read top to bottom: stores, log, domains, gateway, listeners, background work, drain.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use muster_bus::local::{LocalChanges, LocalEventLog};
use muster_bus::log::{self, Incarnation, RealDisk};
use muster_bus::presence::LocalPresence;
use muster_hub::{EventLog, Presence, TellingStore};
use muster_model::{Clock, DpsName, HubName, Location, Random, ResourceGroupName, Wall};
use muster_net::{
    Binds, HandshakeFailures, Listener, Server, ServerCertificates, StreamService, Tickets, Tls, TlsSettings,
};
use muster_pki::Sha256;
use muster_resources::{
    Access, Certificates, Changes, Directory, Estate, FirstStart, Groups, Hubs, RefusalLog, Refusals, Routed,
    ServerFacts, Services, bootstrap,
};
use muster_rest::{Backend, Gateway, Warned};
use muster_store::{MasterKey, MasterKeys, Registry};
use muster_wire::host::Domain;

use crate::cli::Failure;
use crate::server::background::{self, Work};
use crate::server::backups::Backups;
use crate::server::certificates::{self, machine_names};
use crate::server::clock::{SystemClock, system_random};
use crate::server::config::{Config, MetricsListen, Names};
use crate::server::data_dir::{DataDir, DataDirLock};
use crate::server::handshakes::HandshakeRecords;
use crate::server::linked_hub::LocalHubs;
use crate::server::metrics::{MetricsService, install_recorder};
use crate::server::own_certificates::OwnCertificates;
use crate::server::readiness::Readiness;
use crate::server::tickets;

/// The life of a TLS session ticket.
const TICKET_LIFE: Duration = Duration::from_hours(24);

/// The standard port of HTTPS.
const HTTPS: u16 = 443;

/// A running server.
pub(crate) struct Running {
    server: Server,
    background: background::Background,
    event_log: Arc<LocalEventLog>,
    drain_time: Duration,
    /// What is told to whoever started it.
    pub(crate) story: Story,
    _lock: DataDirLock,
}

/// How a server can be reached.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    /// The HTTPS addresses, the configured port first.
    pub(crate) https: Vec<SocketAddr>,
    /// The addresses of the MQTT listener.
    pub(crate) mqtt: Vec<SocketAddr>,
    /// Whether the standard port could be bound; `None` when it was not tried.
    pub(crate) standard_port: Option<Result<(), String>>,
    /// The address of metrics.
    pub(crate) metrics: Option<SocketAddr>,
    /// The one subscription.
    pub(crate) subscription: String,
    /// Each hub's full name.
    pub(crate) hubs: Vec<String>,
    /// Each provisioning service's full name with its id scope.
    pub(crate) services: Vec<(String, String)>,
    /// The name that provisioning services share.
    pub(crate) global: String,
    /// Each certificate of the operator's own: its file, and what it is shown for.
    pub(crate) own_certificates: Vec<(String, String)>,
    /// Whether a second root was made.
    pub(crate) second_root: bool,
    /// What was cut off the event log at the start.
    pub(crate) torn: Option<String>,
    /// Whether this was the first start.
    pub(crate) first: bool,
}

/// Starts a server on a data directory. Must be called within the runtime; ready when it returns.
#[expect(
    clippy::too_many_lines,
    reason = "the wiring is read top to bottom, in one place"
)]
pub(crate) async fn start(data: &DataDir, config: &Config) -> Result<Running, Failure> {
    // The ground: directory, time, randomness.
    data.prepare()?;
    let lock = data.lock()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let random = Arc::new(system_random()?);
    let recorder = install_recorder();

    // What is kept.
    let master = MasterKeys::only(MasterKey::new(data.master_key(&random)?));
    let registry = Arc::new(Registry::open(
        &data.registry(),
        &master,
        Arc::clone(&random),
        Arc::clone(&clock),
    )?);
    let refusals: Arc<dyn Refusals> = Arc::new(muster_store::RefusalFile::open(
        &data.refusals(),
        muster_store::RefusalBounds {
            records: config.refusals.records,
            ..Default::default()
        },
    )?);
    let resources_store: Arc<dyn muster_resources::Store> = Arc::clone(&registry) as _;
    // A token of a live connection is taken for as long again: a device that renews late is not cut at once.
    let presence: Arc<dyn Presence> = Arc::new(LocalPresence::new(config.tokens.clock_skew.get() * 2));
    let hub_store: Arc<dyn muster_hub::Store> = Arc::new(TellingStore::new(
        Arc::clone(&registry) as _,
        Arc::clone(&presence),
    ));
    let dps_store: Arc<dyn muster_dps::Store> = Arc::clone(&registry) as _;
    let facts = resources_store.facts().await?;
    let directory = Directory::load(Arc::clone(&resources_store)).await?;
    // A finished first start has left a log: one that is gone by now must not be begun again at position 0.
    let fresh = directory.snapshot().operator().is_none();
    let (event_log, torn) = open_log(&data.log(), &facts, fresh, clock.as_ref())?;
    let events: Arc<dyn EventLog> = Arc::clone(&event_log) as _;
    let changes: Arc<dyn Changes> = Arc::new(LocalChanges::default());

    // The domains.
    let estate = Estate::new(
        Arc::clone(&resources_store),
        Arc::clone(&directory),
        Arc::clone(&changes),
        Arc::clone(&random),
    );
    let first = first_start(&estate, data, &random, clock.as_ref()).await?;
    let skew = config.tokens.clock_skew.get();
    let access = Arc::new(Access::new(
        Arc::clone(&directory),
        muster_resources::access::Config { skew },
    ));
    let refusal_log = Arc::new(RefusalLog::new(Arc::clone(&clock)));
    let domain = domain_of(config)?;
    let registrar = Arc::new(muster_dps::Registrar::new(
        Arc::clone(&dps_store),
        Arc::new(LocalHubs::new(Arc::clone(&hub_store))),
        Arc::clone(&directory),
        Arc::clone(&random),
        {
            let domain = domain.clone();
            Arc::new(move |hub: &HubName| domain.hub(hub))
        },
        muster_dps::RegistrarConfig::default(),
    ));
    let authenticator = Arc::new(muster_hub::Authenticator::new(
        Arc::clone(&hub_store),
        Arc::clone(&directory),
        muster_hub::authenticator::Config {
            skew,
            ..Default::default()
        },
    ));
    let activity = Arc::new(muster_hub::Activity::new(Arc::clone(&hub_store)));
    let explainer = Arc::new(Routed::new(
        Arc::new(muster_hub::Explainer::new(
            Arc::clone(&hub_store),
            Arc::clone(&directory),
        )),
        Arc::new(muster_dps::Explainer::new(
            Arc::clone(&dps_store),
            Arc::clone(&directory),
        )),
        Arc::new(muster_resources::Explainer::new(Arc::clone(&directory))),
    ));
    let readiness = Arc::new(Readiness::new(
        Arc::clone(&event_log),
        Arc::clone(&clock),
        facts.latest_wall,
    ));

    // The listeners, before the gateway: it names its port.
    let https = Listener::bind(&binds(config, config.listen.https_port))?;
    let https_port = https
        .local_addrs()
        .first()
        .map_or(config.listen.https_port, SocketAddr::port);
    let mqtt = Listener::bind(&binds(config, config.listen.mqtt_port)).map_err(|error| {
        Failure::new(format!(
            "MQTT: {error}; another port: --mqtt-port, or listen.mqtt_port in the configuration"
        ))
    })?;
    let standard = (config.listen.https_standard_port && https_port != HTTPS)
        .then(|| Listener::bind(&binds(config, HTTPS)).map_err(|error| error.to_string()));
    let metrics = match config.listen.metrics {
        MetricsListen::Off => None,
        MetricsListen::At(address) => Some(Listener::bind(&Binds::exactly([address]))?),
    };

    // The gateways.
    let telemetry = muster_hub::Telemetry::new(Arc::clone(&events));
    let mqtt_gateway: Arc<dyn StreamService> =
        Arc::new(muster_mqtt::Gateway::new(Arc::new(muster_mqtt::Backend {
            config: muster_mqtt::Config::default(),
            domain: domain.clone(),
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
            directory: Arc::clone(&directory),
            refusal_log: Arc::clone(&refusal_log),
            registrar: Arc::clone(&registrar),
            authenticator: Arc::clone(&authenticator),
            presence: Arc::clone(&presence),
            devices: Arc::clone(&hub_store),
            telemetry: telemetry.clone(),
            activity: Arc::clone(&activity),
        })));
    let trusted_file = data.root_certificate();
    let backend = Arc::new(Backend {
        config: muster_rest::Config {
            idle_time: config.limits.idle_time.get(),
            body_time: config.limits.body_time.get(),
        },
        domain: domain.clone(),
        https_port,
        facts: facts.clone(),
        clock: Arc::clone(&clock),
        random: Arc::clone(&random),
        directory: Arc::clone(&directory),
        access: Arc::clone(&access),
        resource_groups: Groups::new(estate.clone()),
        hubs: Hubs::new(estate.clone()),
        services: Services::new(estate.clone()),
        certificates: Certificates::new(estate.clone()),
        refusal_log: Arc::clone(&refusal_log),
        refusals: Arc::clone(&refusals),
        registrar: Arc::clone(&registrar),
        enrollments: muster_dps::Enrollments::new(
            Arc::clone(&dps_store),
            Arc::clone(&directory),
            Arc::clone(&random),
        ),
        enrollment_groups: muster_dps::Groups::new(
            Arc::clone(&dps_store),
            Arc::clone(&directory),
            Arc::clone(&random),
        ),
        registrations: muster_dps::Registrations::new(Arc::clone(&dps_store), Arc::clone(&random)),
        authenticator,
        identities: muster_hub::Identities::new(Arc::clone(&hub_store), Arc::clone(&random)),
        presence: Arc::clone(&presence),
        telemetry,
        activity: Arc::clone(&activity),
        events: muster_hub::Events::new(Arc::clone(&events), Arc::clone(&directory)),
        readiness: Arc::clone(&readiness) as _,
        mqtt: Arc::clone(&mqtt_gateway),
        maintenance: Arc::new(Backups::new(Arc::clone(&registry), Arc::clone(&event_log))),
        trusted: Arc::new(move || std::fs::read_to_string(&trusted_file)),
        warned: Warned::default(),
    });
    let gateway: Arc<dyn StreamService> = Arc::new(Gateway::new(backend));

    // TLS.
    let own = OwnCertificates::load(&config.tls.certificates, clock.wall())?;
    let shown = certificates::ensure(data, &config.names, &random, clock.wall())?;
    certificates::publish(data, own.trusted())?;
    let server_certificates = Arc::new(ServerCertificates::new(own.beside(shown.identities.clone()))?);
    let wall = wall_clock(&clock);
    let keys = tickets::load(data, &random, clock.wall())?;
    let tickets = Arc::new(Tickets::new(&keys.keys(), TICKET_LIFE, Arc::clone(&wall))?);
    let settings = TlsSettings {
        certificates: Arc::clone(&server_certificates),
        tickets: Some(Arc::clone(&tickets)),
        alpn: Vec::new(),
        wall,
    };
    let mqtt_tls = Arc::new(Tls::new(settings.clone())?);
    let tls = Arc::new(Tls::new(TlsSettings {
        alpn: vec!["http/1.1".into()],
        ..settings
    })?);
    let failures: Arc<dyn HandshakeFailures> = Arc::new(HandshakeRecords::new(
        Arc::clone(&refusal_log),
        Arc::clone(&clock),
        Arc::clone(&random),
    ));

    // Open for business.
    let server = Server::new(config.limits.of_net(), failures);
    let mut addresses = https.local_addrs().to_vec();
    let standard_port = standard
        .as_ref()
        .map(|bound| bound.as_ref().map(|_| ()).map_err(Clone::clone));
    server.serve(https, Some(&tls), &gateway);
    if let Some(Ok(listener)) = standard {
        addresses.extend_from_slice(listener.local_addrs());
        server.serve(listener, Some(&tls), &gateway);
    }
    let mqtt_addresses = mqtt.local_addrs().to_vec();
    server.serve(mqtt, Some(&mqtt_tls), &mqtt_gateway);
    let metrics_address = metrics
        .as_ref()
        .and_then(|listener| listener.local_addrs().first().copied());
    if let Some(listener) = metrics {
        let service: Arc<dyn StreamService> = Arc::new(MetricsService::new(
            recorder,
            Arc::clone(&readiness),
            Arc::clone(&refusal_log),
        ));
        server.serve(listener, None, &service);
    }
    let own_certificates = own_story(&own, &directory, &domain, &config.names, clock.wall());
    let background = background::start(Work {
        data: data.clone(),
        names: config.names.clone(),
        clock: Arc::clone(&clock),
        random,
        registry,
        resources_store,
        directory: Arc::clone(&directory),
        changes,
        event_log: events,
        refusal_log,
        refusals,
        refusal_age: config.refusals.keep.get(),
        explainer,
        activity,
        presence,
        sweeper: muster_dps::Sweeper::new(registrar),
        server_certificates,
        general: shown.identities,
        own,
        tickets,
        ticket_keys: keys,
        readiness,
    });
    let story = Story {
        https: addresses,
        mqtt: mqtt_addresses,
        standard_port,
        metrics: metrics_address,
        subscription: facts.subscription.to_string(),
        hubs: directory.hubs().iter().map(|hub| domain.hub(&hub.name)).collect(),
        services: directory
            .services()
            .iter()
            .map(|service| (domain.service(&service.name), service.id_scope.to_string()))
            .collect(),
        global: domain.global(),
        second_root: shown.second_root,
        own_certificates,
        torn,
        first,
    };
    write_endpoints(data, config, &story)?;
    Ok(Running {
        server,
        background,
        event_log,
        drain_time: config.limits.drain_time.get(),
        story,
        _lock: lock,
    })
}

impl Running {
    /// Stops: no new connections, open requests are answered, what is left after the drain time is cut, then
    /// background work ends and everything that waits is written.
    pub(crate) async fn stop(self, data: &DataDir) {
        drop(std::fs::remove_file(data.endpoints()));
        let drained = self.server.drain(self.drain_time).await;
        tracing::info!(?drained, "connections have ended");
        self.background.stop().await;
        // Commits what waits; nobody appends any more.
        self.event_log.close();
    }
}

fn domain_of(config: &Config) -> Result<Domain, Failure> {
    Ok(Domain::new(&config.names.domain)?
        .with_azure_names(config.names.azure_names)
        .with_machine_names(machine_names(&config.names)))
}

/// Says for which of the server's names each certificate of the operator's own is shown.
fn own_story(
    own: &OwnCertificates,
    directory: &Directory,
    domain: &Domain,
    names: &Names,
    now: Wall,
) -> Vec<(String, String)> {
    let mut served = vec![domain.global()];
    served.extend(directory.hubs().iter().map(|hub| domain.hub(&hub.name)));
    served.extend(directory.services().iter().map(|one| domain.service(&one.name)));
    served.extend(machine_names(names));
    own.present()
        .iter()
        .map(|one| (one.file().display().to_string(), one.told(&served, now)))
        .collect()
}

fn binds(config: &Config, port: u16) -> Binds {
    let default = Config::default().listen.addresses;
    if config.listen.addresses == default {
        // A machine without IPv6 still gets its 127.0.0.1.
        Binds::loopback(port)
    } else {
        Binds::exactly(
            config
                .listen
                .addresses
                .iter()
                .map(|address| SocketAddr::new(*address, port)),
        )
    }
}

fn wall_clock(clock: &Arc<dyn Clock>) -> muster_net::WallClock {
    let clock = Arc::clone(clock);
    Arc::new(move || Duration::from_micros(u64::try_from(clock.wall().micros()).unwrap_or(0)))
}

/// Opens the event log; makes it at the first start. The log carries the registry's life of the data, so that one
/// that was put beside another registry is refused.
fn open_log(
    folder: &Path,
    facts: &ServerFacts,
    fresh: bool,
    clock: &dyn Clock,
) -> Result<(Arc<LocalEventLog>, Option<String>), Failure> {
    let disk: Arc<dyn log::Disk> = Arc::new(
        RealDisk::open(folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?,
    );
    let options = log::Options::new(incarnation(facts));
    match LocalEventLog::open(Arc::clone(&disk), options.clone()) {
        Ok((log, recovery)) => {
            let torn = recovery.torn.map(|torn| {
                format!(
                    "{} bytes behind byte {} of segment {}",
                    torn.bytes, torn.offset, torn.segment
                )
            });
            Ok((Arc::new(log), torn))
        }
        Err(log::Error::Missing) if fresh => Ok((
            Arc::new(LocalEventLog::create(disk, options, clock.wall())?),
            None,
        )),
        Err(error) => Err(error.into()),
    }
}

/// The name of this life of the data: the subscription, which is drawn once, and the number of the life.
pub(crate) fn incarnation(facts: &ServerFacts) -> Incarnation {
    let Sha256(digest) = Sha256::of(format!("{}/{}", facts.subscription, facts.incarnation).as_bytes());
    let mut name = [0; 16];
    for (to, from) in name.iter_mut().zip(digest) {
        *to = from;
    }
    Incarnation(name)
}

async fn first_start(
    estate: &Estate,
    data: &DataDir,
    random: &Random,
    clock: &dyn Clock,
) -> Result<bool, Failure> {
    let token = match data.read_operator_token()? {
        Some(token) => token,
        None => data.new_operator_token(random)?,
    };
    let Sha256(operator) = Sha256::of(token.as_bytes());
    let first = FirstStart {
        group: ResourceGroupName::parse("muster")?,
        hub: HubName::parse("muster-hub")?,
        service: DpsName::parse("muster-dps")?,
        location: Location::parse("westus")?,
        operator,
    };
    Ok(bootstrap(estate, first, clock.wall()).await?)
}

/// Tells the command line how this server can be reached.
fn write_endpoints(data: &DataDir, config: &Config, story: &Story) -> Result<(), Failure> {
    let first = |addresses: &[SocketAddr]| addresses.first().map(ToString::to_string);
    let document = serde_json::json!({
        "https": first(&story.https),
        "mqtt": first(&story.mqtt),
        "metrics": story.metrics.map(|address| address.to_string()),
        "domain": config.names.domain,
        "subscription": story.subscription,
    });
    Ok(data.write("endpoints.json", document.to_string().as_bytes(), 0o600)?)
}

impl Story {
    /// What is printed once the server is ready.
    pub(crate) fn told(&self, data: &DataDir) -> String {
        let mut text = String::from("Muster is ready.\n\n");
        let mut line = |name: &str, value: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {name:<22} {value}");
        };
        for address in &self.https {
            line("HTTPS", &format!("https://{address}"));
        }
        match &self.standard_port {
            Some(Ok(())) | None => {}
            Some(Err(why)) => line(
                "HTTPS on port 443",
                &format!(
                    "not bound ({why}); sudo setcap cap_net_bind_service=+ep $(which muster) permits it"
                ),
            ),
        }
        for address in &self.mqtt {
            line("MQTT", &format!("mqtts://{address}"));
        }
        for hub in &self.hubs {
            line("hub", hub);
        }
        for (service, scope) in &self.services {
            line("provisioning service", &format!("{service}, ID scope {scope}"));
        }
        line("devices register at", &self.global);
        line("subscription", &self.subscription);
        line("CA to be trusted", &data.root_certificate().display().to_string());
        line("operator's token", &data.operator_token().display().to_string());
        for (file, shown_for) in &self.own_certificates {
            line("own certificate", &format!("{file}, {shown_for}"));
        }
        if let Some(address) = self.metrics {
            line("metrics", &format!("http://{address}/metrics"));
        }
        if self.second_root {
            text.push_str("\n  A name outside the earlier root's limits made a second root: clients must fetch the CA file anew.\n");
        }
        if let Some(torn) = &self.torn {
            let _ = writeln!(
                text,
                "\n  The event log ended in a batch that was never acknowledged; it was cut: {torn}"
            );
        }
        let next = if self.first {
            "muster iot dps certificate create --certificate-name my-ca --path my-ca.pem --verified true"
        } else {
            "muster iot hub monitor-events"
        };
        let _ = write!(text, "\nNext: {next}\n      muster demo shows the whole way.");
        text
    }
}
