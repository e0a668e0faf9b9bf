//! What the built server does with a second of its processor, and what it needs to start and to wait.
//!
//! The server is the binary itself, pinned to one core with the configuration that it has by default: every write is
//! synced before it is answered. This program makes the load on another core, as a TLS client of its own with a client
//! certificate on every connection. Rates are by the processor time of the server's process, user and kernel, so that
//! they do not depend on how fast the load is made. What was acknowledged is read back and counted. nginx answers the
//! same telemetry requests, under the same certificates, in turns with the server.
//!
//! It judges nothing about correctness beyond what it needs to trust its own figures: that is what the suites are for.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

mod child;
mod estate;
mod mosquitto;
mod mqtt;
mod nginx;
mod wire;

use std::error::Error;
use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::task::LocalSet;

use crate::child::{Child, GENERATOR_CORE};
use crate::estate::Estate;
use crate::mosquitto::Mosquitto;
use crate::mqtt::Session;
use crate::nginx::Nginx;
use crate::wire::{Client, Connection};

type Fault = Box<dyn Error + Send + Sync>;

/// Turns of each measurement; the best counts, for what disturbs a turn only ever makes it slower.
const TURNS: usize = 3;

/// Devices that register at the same time.
const REGISTERING: usize = 100;
/// Registrations before the first that count.
const WARM_REGISTRATIONS: usize = 200;
/// Registrations in a turn.
const REGISTRATIONS: usize = 1_500;
const REGISTRATION_GOAL: f64 = 1_200.0;

/// Connections that send telemetry; each waits for its answer before it sends again.
const CONNECTIONS: usize = 100;
/// Messages of each connection in a turn.
const MESSAGES: usize = 300;
const TELEMETRY_GOAL: f64 = 20_000.0;
/// Least part of nginx's rate that the server's should be.
const NGINX_GOAL: f64 = 0.5;

/// Messages of each connection in a turn over MQTT, and how many of them wait for their acknowledgement at most.
const MQTT_MESSAGES: usize = 3_000;
const WINDOW: usize = 16;
const MQTT_GOAL: f64 = 100_000.0;
/// How many times mosquitto's rate the server's should be.
const MOSQUITTO_GOAL: f64 = 1.5;
/// Connections of a turn in a storm.
const STORM: usize = 1_500;
const STORM_GOAL: f64 = 3_000.0;
const STORM_PEER_GOAL: f64 = 1.6;

/// Connections that sleep, and from how many on their memory is counted.
const SLEEPERS: usize = 15_000;
const SLEEPERS_FIRST: usize = 5_000;
const SLEEPER_GOAL: f64 = 8.0;

/// Devices in the data directory that the server is started with.
const FLEET: usize = 100_000;
const STARTS: usize = 5;
const START_GOAL: Duration = Duration::from_millis(200);
const MEMORY_GOAL: f64 = 40.0;
/// Wait before the memory of a server that does nothing is read.
const SETTLING: Duration = Duration::from_secs(2);

fn main() -> Result<(), Fault> {
    child::pin(std::process::id(), GENERATOR_CORE)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, measure())
}

async fn measure() -> Result<(), Fault> {
    // Beside the build, since the folder for temporary files may be no disk at all.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let data = folder.path().join("data");
    let mut server = Child::serve(&data)?;
    let devices = WARM_REGISTRATIONS + TURNS * REGISTRATIONS;
    let estate = Rc::new(Estate::furnish(&server, &data, folder.path(), devices)?);
    registration(&server, &estate).await?;
    telemetry(&server, &estate, folder.path()).await?;
    mqtt_telemetry(&server, &estate, folder.path()).await?;
    mqtt_idle(&server, &estate, folder.path()).await?;
    fleet(&estate).await?;
    server.stop()?;
    start(&data, folder.path(), &estate).await
}

/// A new session for each device, which registers and asks once what became of it.
async fn registration(server: &Child, estate: &Rc<Estate>) -> Result<(), Fault> {
    register(estate, 0..WARM_REGISTRATIONS).await?;
    let mut best = 0.0_f64;
    for turn in 0..TURNS {
        let first = WARM_REGISTRATIONS + turn * REGISTRATIONS;
        let rate = per_second(server, register(estate, first..first + REGISTRATIONS)).await?;
        println!("registrations, turn {turn}: {rate:.0} per second of the server's processor");
        best = best.max(rate);
    }
    row(
        "Registration: new mutual TLS session, register, one poll, durable before each answer",
        &format!("≥ {REGISTRATION_GOAL} per second of server CPU"),
        &format!("{best:.0}"),
        best >= REGISTRATION_GOAL,
    );
    Ok(())
}

async fn register(estate: &Rc<Estate>, range: std::ops::Range<usize>) -> Result<usize, Fault> {
    let count = range.len();
    let waiting = Rc::new(std::cell::RefCell::new(range));
    let mut tasks = JoinSet::new();
    for _ in 0..REGISTERING {
        let (estate, waiting) = (Rc::clone(estate), Rc::clone(&waiting));
        tasks.spawn_local(async move {
            loop {
                let Some(number) = waiting.borrow_mut().next() else {
                    return Ok::<_, Fault>(());
                };
                estate.register(number).await?;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(count)
}

/// Messages over connections that stay open, in turns with nginx; then what was acknowledged is counted.
async fn telemetry(server: &Child, estate: &Rc<Estate>, folder: &Path) -> Result<(), Fault> {
    let clients: Vec<Client> = (0..CONNECTIONS)
        .map(|number| estate.client(number))
        .collect::<Result<_, _>>()?;
    let mut ours = open(&clients, server.https()).await?;
    let nginx = Nginx::start(&estate.data, folder)?;
    let mut theirs = match &nginx {
        Some(nginx) => open(&clients, nginx.address()).await?,
        None => Vec::new(),
    };
    let (mut best, mut best_peer) = (0.0_f64, 0.0_f64);
    for turn in 0..TURNS {
        let rate = per_second(server, send(&mut ours, estate)).await?;
        println!("telemetry, turn {turn}: {rate:.0} messages per second of the server's processor");
        best = best.max(rate);
        if let Some(nginx) = &nginx {
            let rate = per_second(nginx.child(), send(&mut theirs, estate)).await?;
            println!("telemetry, turn {turn}: {rate:.0} messages per second of nginx's processor");
            best_peer = best_peer.max(rate);
        }
    }
    let sent = CONNECTIONS * MESSAGES * TURNS;
    let arrived = estate.count_events(server).await?;
    row(
        "Telemetry over kept-alive HTTPS, 100 connections, synced before each 204",
        &format!("≥ {TELEMETRY_GOAL} messages per second of server CPU"),
        &format!("{best:.0}; {arrived} of {sent} acknowledged were read"),
        best >= TELEMETRY_GOAL && arrived == sent,
    );
    let what = "Telemetry, against nginx answering a fixed 204 to the same requests";
    let goal = format!("≥ {:.0} % of nginx", NGINX_GOAL * 100.0);
    if nginx.is_some() {
        let ratio = best / best_peer;
        row(
            what,
            &goal,
            &format!("{:.0} % of {best_peer:.0}", ratio * 100.0),
            ratio >= NGINX_GOAL,
        );
    } else {
        row(what, &goal, "not measured: there is no nginx", false);
    }
    Ok(())
}

async fn open(clients: &[Client], address: std::net::SocketAddr) -> Result<Vec<Connection>, Fault> {
    let mut connections = Vec::new();
    for client in clients {
        connections.push(client.connect(address).await?);
    }
    Ok(connections)
}

async fn send(connections: &mut Vec<Connection>, estate: &Rc<Estate>) -> Result<usize, Fault> {
    let mut tasks = JoinSet::new();
    for (number, mut connection) in connections.drain(..).enumerate() {
        let request = estate.telemetry(number);
        tasks.spawn_local(async move {
            for _ in 0..MESSAGES {
                connection.call(&request).await?.expect(204)?;
            }
            Ok::<_, Fault>((number, connection))
        });
    }
    let mut ended = Vec::new();
    while let Some(one) = tasks.join_next().await {
        ended.push(one??);
    }
    ended.sort_by_key(|(number, _)| *number);
    connections.extend(ended.into_iter().map(|(_, connection)| connection));
    Ok(CONNECTIONS * MESSAGES)
}

/// Messages over MQTT, and fresh connections, in turns with mosquitto; then what was acknowledged is counted.
async fn mqtt_telemetry(server: &Child, estate: &Rc<Estate>, folder: &Path) -> Result<(), Fault> {
    let before = estate.count_events(server).await?;
    let peer = Mosquitto::start(&estate.data, folder)?;
    let mut ours = open_mqtt(estate, server.mqtt()).await?;
    let mut theirs = match &peer {
        Some(peer) => open_mqtt(estate, peer.address()).await?,
        None => Vec::new(),
    };
    let (mut best, mut best_peer) = (0.0_f64, 0.0_f64);
    for turn in 0..TURNS {
        let rate = per_second(server, publish(&mut ours)).await?;
        println!("MQTT, turn {turn}: {rate:.0} messages per second of the server's processor");
        best = best.max(rate);
        if let Some(peer) = &peer {
            let rate = per_second(peer.child(), publish(&mut theirs)).await?;
            println!("MQTT, turn {turn}: {rate:.0} messages per second of mosquitto's processor");
            best_peer = best_peer.max(rate);
        }
    }
    for session in ours.into_iter().chain(theirs) {
        session.close().await?;
    }
    let sent = CONNECTIONS * MQTT_MESSAGES * TURNS;
    let arrived = estate.count_events(server).await? - before;
    row(
        "MQTT QoS 1, 256 bytes, TLS with client certificates, 100 connections, window 16, acknowledged after the sync",
        &format!("≥ {MQTT_GOAL} messages per second of server CPU"),
        &format!("{best:.0}; {arrived} of {sent} acknowledged were read"),
        best >= MQTT_GOAL && arrived == sent,
    );
    against(
        "The same, against mosquitto storing nothing",
        peer.is_some(),
        MOSQUITTO_GOAL,
        best,
        best_peer,
    );
    let (mut best, mut best_peer) = (0.0_f64, 0.0_f64);
    for turn in 0..TURNS {
        let rate = per_second(server, storm(estate, server.mqtt())).await?;
        println!("MQTT storm, turn {turn}: {rate:.0} connections per second of the server's processor");
        best = best.max(rate);
        if let Some(peer) = &peer {
            let rate = per_second(peer.child(), storm(estate, peer.address())).await?;
            println!("MQTT storm, turn {turn}: {rate:.0} connections per second of mosquitto's processor");
            best_peer = best_peer.max(rate);
        }
    }
    row(
        "MQTT storm: new mutual TLS session to CONNACK, P-256, device known by thumbprint",
        &format!("≥ {STORM_GOAL} per second of server CPU"),
        &format!("{best:.0}"),
        best >= STORM_GOAL,
    );
    against(
        "The same, against mosquitto",
        peer.is_some(),
        STORM_PEER_GOAL,
        best,
        best_peer,
    );
    Ok(())
}

/// What a sleeping connection costs: the slope of the resident memory, so that what is there once does not count.
async fn mqtt_idle(server: &Child, estate: &Rc<Estate>, folder: &Path) -> Result<(), Fault> {
    let crowd = Rc::new(estate.crowd(SLEEPERS).await?);
    let ours = slope(server, &crowd, server.mqtt()).await?;
    row(
        &format!("MQTT, {SLEEPERS} idle connections with client certificates, slope from {SLEEPERS_FIRST}"),
        &format!("≤ {SLEEPER_GOAL} KiB of server memory each"),
        &format!("{ours:.1} KiB"),
        ours <= SLEEPER_GOAL,
    );
    if let Some(peer) = Mosquitto::start(&estate.data, folder)? {
        let theirs = slope(peer.child(), &crowd, peer.address()).await?;
        println!("MQTT, idle connections of mosquitto: {theirs:.1} KiB each");
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a count of connections")]
async fn slope(
    child: &Child,
    crowd: &Rc<Vec<(String, Client)>>,
    address: std::net::SocketAddr,
) -> Result<f64, Fault> {
    let mut sessions = Vec::new();
    let mut resident = Vec::new();
    for upto in [SLEEPERS_FIRST, SLEEPERS] {
        let waiting = Rc::new(std::cell::RefCell::new(sessions.len()..upto));
        let mut tasks = JoinSet::new();
        for _ in 0..REGISTERING {
            let (crowd, waiting) = (Rc::clone(crowd), Rc::clone(&waiting));
            tasks.spawn_local(async move {
                let mut opened = Vec::new();
                loop {
                    let Some(number) = waiting.borrow_mut().next() else {
                        return Ok::<_, Fault>(opened);
                    };
                    let (id, client) = crowd.get(number).ok_or("not so many devices")?;
                    opened.push(Session::open(client, address, id).await?);
                }
            });
        }
        while let Some(opened) = tasks.join_next().await {
            sessions.extend(opened??);
        }
        tokio::time::sleep(SETTLING).await;
        resident.push(child.resident_mib()?);
    }
    let grown = resident.last().unwrap_or(&0.0) - resident.first().unwrap_or(&0.0);
    Ok(grown * 1_024.0 / (SLEEPERS - SLEEPERS_FIRST) as f64)
}

fn against(what: &str, measured: bool, goal: f64, ours: f64, theirs: f64) {
    let said = format!("≥ {goal} × mosquitto");
    if measured {
        let ratio = ours / theirs;
        row(what, &said, &format!("{ratio:.1} × {theirs:.0}"), ratio >= goal);
    } else {
        row(what, &said, "not measured: there is no mosquitto", false);
    }
}

async fn open_mqtt(estate: &Rc<Estate>, address: std::net::SocketAddr) -> Result<Vec<Session>, Fault> {
    let mut sessions = Vec::new();
    for number in 0..CONNECTIONS {
        sessions.push(Session::open(&estate.client(number)?, address, estate.id(number)?).await?);
    }
    Ok(sessions)
}

async fn publish(sessions: &mut Vec<Session>) -> Result<usize, Fault> {
    let mut tasks = JoinSet::new();
    for mut session in sessions.drain(..) {
        tasks.spawn_local(async move {
            session.publish(MQTT_MESSAGES, WINDOW).await?;
            Ok::<_, Fault>(session)
        });
    }
    while let Some(one) = tasks.join_next().await {
        sessions.push(one??);
    }
    Ok(CONNECTIONS * MQTT_MESSAGES)
}

/// Connects one device after the other, a hundred at a time, each with a full handshake.
async fn storm(estate: &Rc<Estate>, address: std::net::SocketAddr) -> Result<usize, Fault> {
    let waiting = Rc::new(std::cell::RefCell::new(0..STORM));
    let mut tasks = JoinSet::new();
    for _ in 0..REGISTERING {
        let (estate, waiting) = (Rc::clone(estate), Rc::clone(&waiting));
        tasks.spawn_local(async move {
            loop {
                let Some(number) = waiting.borrow_mut().next() else {
                    return Ok::<_, Fault>(());
                };
                let session = Session::open(&estate.client(number)?, address, estate.id(number)?).await?;
                session.close().await?;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(STORM)
}

/// Fills the registry through the bulk call.
async fn fleet(estate: &Rc<Estate>) -> Result<(), Fault> {
    let started = now();
    estate.create_devices(FLEET).await?;
    println!(
        "{FLEET} devices made by the bulk call in {:.1} s",
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Starts the server on what the other measurements left.
async fn start(data: &Path, folder: &Path, estate: &Rc<Estate>) -> Result<(), Fault> {
    let mut taken = Vec::new();
    let mut resident = 0.0_f64;
    for _ in 0..STARTS {
        let started = now();
        let mut server = Child::serve(data)?;
        taken.push(started.elapsed());
        // A server that has served somebody, so that what is made at the first call counts.
        estate.look_up(&server, FLEET / 2).await?;
        if taken.len() == STARTS {
            tokio::time::sleep(SETTLING).await;
            resident = server.resident_mib()?;
        }
        server.stop()?;
    }
    taken.sort();
    let median = taken.get(STARTS / 2).copied().unwrap_or_default();
    println!("starts: {taken:.0?}, in {}", folder.display());
    row(
        &format!("Start to ready with {FLEET} devices"),
        &format!("≤ {} ms", START_GOAL.as_millis()),
        &format!("{} ms", median.as_millis()),
        median <= START_GOAL,
    );
    row(
        &format!("Resident memory at rest with {FLEET} devices"),
        &format!("≤ {MEMORY_GOAL} MiB"),
        &format!("{resident:.1} MiB"),
        resident <= MEMORY_GOAL,
    );
    Ok(())
}

/// What `work` counts, for each second of the child's processor that it took.
#[expect(clippy::cast_precision_loss, reason = "a count of calls")]
async fn per_second(child: &Child, work: impl Future<Output = Result<usize, Fault>>) -> Result<f64, Fault> {
    let before = child.processor_time()?;
    let count = work.await?;
    let used = child.processor_time()?.saturating_sub(before);
    Ok(count as f64 / used.as_secs_f64())
}

fn row(what: &str, goal: &str, measured: &str, reached: bool) {
    let outcome = if reached { "reached" } else { "not reached" };
    println!("row: {what} | {goal} | {measured} | {outcome}");
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn now() -> Instant {
    Instant::now()
}
