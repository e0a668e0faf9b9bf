//! What runs beside the requests: explaining refusals, sweeping, flushing, renewing. Each piece has its own pace, logs
//! what fails and tries again at its next turn; none of them keeps the server from stopping.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use muster_dps::Sweeper;
use muster_hub::{Activity, EventLog, Presence};
use muster_model::{Clock, Random};
use muster_net::{ServerCertificates, ServerIdentity, Tickets};
use muster_resources::{Changes, Directory, Leases, RefusalLog, Refusals, Routed, Store};
use muster_store::Registry;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::certificates;
use super::config::Names;
use super::data_dir::DataDir;
use super::own_certificates::OwnCertificates;
use super::readiness::Readiness;
use super::tickets::{self, KeptKeys};

/// Age at which an attempt that has not ended is taken up again.
const STUCK: Duration = Duration::from_secs(15);

/// Time between looks at the certificates that the operator gave.
const LOOK: Duration = Duration::from_secs(10);

/// Time between looks at the server's own certificates: they are renewed months before their end.
const RENEW: Duration = Duration::from_hours(1);

/// Time between looks at the tokens of live connections.
const EXPIRY: Duration = Duration::from_secs(10);

/// Rows of deleted hubs and services that are removed at once.
const REAP: usize = 500;

/// Life of a lease; several turns long.
const LEASE: Duration = Duration::from_mins(1);

/// Time that background work gets to end when the server stops.
const STOP: Duration = Duration::from_secs(5);

/// Everything that background work needs.
pub(crate) struct Work {
    pub(crate) data: DataDir,
    pub(crate) names: Names,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<Random>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) resources_store: Arc<dyn Store>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) changes: Arc<dyn Changes>,
    pub(crate) event_log: Arc<dyn EventLog>,
    pub(crate) refusal_log: Arc<RefusalLog>,
    pub(crate) refusals: Arc<dyn Refusals>,
    pub(crate) refusal_age: Duration,
    pub(crate) explainer: Arc<Routed>,
    pub(crate) activity: Arc<Activity>,
    pub(crate) presence: Arc<dyn Presence>,
    pub(crate) sweeper: Sweeper,
    pub(crate) server_certificates: Arc<ServerCertificates>,
    /// The certificates that the server made.
    pub(crate) general: Vec<ServerIdentity>,
    /// Those that the operator gave.
    pub(crate) own: OwnCertificates,
    pub(crate) tickets: Arc<Tickets>,
    pub(crate) ticket_keys: KeptKeys,
    pub(crate) readiness: Arc<Readiness>,
}

/// Background work that was started.
pub(crate) struct Background {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    refusal_log: Arc<RefusalLog>,
    refusals: Arc<dyn Refusals>,
    explainer: Arc<Routed>,
    activity: Arc<Activity>,
}

/// Runs `turn` at its pace until the server stops.
async fn every<F: Future<Output = ()>>(
    pace: Duration,
    mut stop: watch::Receiver<bool>,
    mut turn: impl FnMut() -> F,
) {
    let mut ticks = interval(pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => turn().await,
            // A sender that is gone stops too.
            _ = stop.changed() => return,
        }
    }
}

fn log_failure<T, E: std::fmt::Display>(what: &'static str, outcome: Result<T, E>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::warn!(%error, "{what} failed; it is tried again at its next turn");
            None
        }
    }
}

/// Starts everything.
#[expect(
    clippy::too_many_lines,
    reason = "a list: each piece of work stands by itself"
)]
pub(crate) fn start(work: Work) -> Background {
    let Work {
        data,
        names,
        clock,
        random,
        registry,
        resources_store,
        directory,
        changes,
        event_log,
        refusal_log,
        refusals,
        refusal_age,
        explainer,
        activity,
        presence,
        sweeper,
        server_certificates,
        mut general,
        mut own,
        tickets,
        mut ticket_keys,
        readiness,
    } = work;
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();

    // Refusals are explained as they come.
    tasks.spawn({
        let (log, store, explainer) = (
            Arc::clone(&refusal_log),
            Arc::clone(&refusals),
            Arc::clone(&explainer),
        );
        let mut stop = stopped.clone();
        async move {
            loop {
                tokio::select! {
                    outcome = log.drain(explainer.as_ref(), store.as_ref()) => {
                        log_failure("keeping explained refusals", outcome);
                    }
                    _ = stop.changed() => return,
                }
            }
        }
    });
    tasks.spawn(every(Duration::from_mins(10), stopped.clone(), {
        let (store, clock) = (Arc::clone(&refusals), Arc::clone(&clock));
        move || {
            let (store, clock) = (Arc::clone(&store), Arc::clone(&clock));
            async move {
                log_failure(
                    "dropping old refusals",
                    store.expire(clock.wall().minus(refusal_age)).await,
                );
            }
        }
    }));

    // What other nodes changed is read; here a notice comes from this node alone. The pace is the promise for lost ones.
    tasks.spawn({
        let (directory, mut notices) = (Arc::clone(&directory), changes.watch());
        let (presence, mut seen) = (Arc::clone(&presence), directory.snapshot());
        let mut stop = stopped.clone();
        async move {
            loop {
                tokio::select! {
                    woken = timeout(Duration::from_millis(250), notices.changed()) => {
                        if matches!(woken, Ok(Err(_))) {
                            return;
                        }
                        log_failure("reading changes of trust", directory.refresh().await);
                        let snapshot = directory.snapshot();
                        if !Arc::ptr_eq(&snapshot, &seen) {
                            // Devices of a hub that is gone lose their connections.
                            presence.retain_hubs(&|key| directory.hub_by_key(key).is_some());
                            seen = snapshot;
                        }
                    }
                    _ = stop.changed() => return,
                }
            }
        }
    });

    // Tokens of live connections are judged again, by the wall clock and whatever steps it takes.
    tasks.spawn(every(EXPIRY, stopped.clone(), {
        let (presence, clock) = (Arc::clone(&presence), Arc::clone(&clock));
        move || {
            presence.expire(clock.wall());
            std::future::ready(())
        }
    }));

    // Events: retention as the hubs say, and nothing of hubs that are gone.
    tasks.spawn({
        let (directory, log, clock) = (Arc::clone(&directory), Arc::clone(&event_log), Arc::clone(&clock));
        every(Duration::from_secs(30), stopped.clone(), move || {
            let (directory, log, clock) = (Arc::clone(&directory), Arc::clone(&log), Arc::clone(&clock));
            async move {
                // The log is asked first, then the directory is brought up to date: a hub that the log knows is in it by
                // then, unless it was deleted.
                let logged = log.hubs();
                if log_failure("reading changes of trust", directory.refresh().await).is_none() {
                    return;
                }
                for gone in logged
                    .into_iter()
                    .filter(|key| directory.hub_by_key(*key).is_none())
                {
                    log_failure("dropping the events of a deleted hub", log.drop_hub(gone).await);
                }
                for hub in &directory.hubs() {
                    let age = Duration::from_secs(u64::from(hub.retention_days) * 86_400);
                    log.retain(hub.key, age, hub.retention_bytes);
                }
                log_failure("sweeping the event log", log.sweep(clock.wall()).await);
            }
        })
    });

    // The registry: attempts that stopped half-way, rows of what was deleted, the latest time, last activity.
    let holder = random
        .draw(|rng| muster_model::RequestId::random(rng))
        .to_string();
    tasks.spawn({
        let (clock, readiness) = (Arc::clone(&clock), Arc::clone(&readiness));
        let (registry, store) = (Arc::clone(&registry), Arc::clone(&resources_store));
        let sweeper = Arc::new(sweeper);
        every(Duration::from_secs(10), stopped.clone(), move || {
            let (clock, readiness, sweeper) =
                (Arc::clone(&clock), Arc::clone(&readiness), Arc::clone(&sweeper));
            let (registry, store, holder) = (Arc::clone(&registry), Arc::clone(&store), holder.clone());
            async move {
                let now = clock.wall();
                let remembered = store.remember_wall(now).await;
                readiness.registry_works(remembered.is_ok());
                log_failure("remembering the time", remembered);
                let lease = registry.hold("sweep", &holder, LEASE, now).await;
                let Some(Some(lease)) = log_failure("holding the lease of the sweeper", lease) else {
                    return;
                };
                log_failure("finishing registrations", sweeper.run_once(STUCK, now).await);
                log_failure("removing what was deleted", store.reap(REAP, lease.fence).await);
            }
        })
    });
    tasks.spawn(every(Duration::from_secs(5), stopped.clone(), {
        let activity = Arc::clone(&activity);
        move || {
            let activity = Arc::clone(&activity);
            async move {
                log_failure("noting activity of devices", activity.flush().await);
            }
        }
    }));

    // TLS: certificates and ticket keys.
    tasks.spawn({
        let mut stop = stopped;
        async move {
            let mut ticks = interval(LOOK);
            let mut renewed = clock.mono();
            // What was read and could not be shown yet is shown at the next turn.
            let mut changed = false;
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    _ = stop.changed() => return,
                }
                let now = clock.wall();
                changed |= own.refresh(now);
                if clock.mono().since(renewed) >= RENEW {
                    renewed = clock.mono();
                    let shown = certificates::ensure(&data, &names, &random, now);
                    if let Some(shown) = log_failure("renewing the server's certificates", shown) {
                        general = shown.identities;
                        changed = true;
                    }
                }
                if changed {
                    let published = certificates::publish(&data, own.trusted());
                    let shown = server_certificates.replace(own.beside(general.clone()));
                    let published = log_failure("publishing what clients trust", published);
                    let shown = log_failure("showing the server's certificates", shown);
                    changed = published.is_none() || shown.is_none();
                }
                if ticket_keys.is_due(now) {
                    ticket_keys.rotate(&random, now);
                    log_failure("keeping ticket keys", tickets::keep(&data, &ticket_keys));
                    log_failure("changing ticket keys", tickets.rotate(&ticket_keys.keys()));
                }
            }
        }
    });
    Background {
        stop,
        tasks,
        refusal_log,
        refusals,
        explainer,
        activity,
    }
}

impl Background {
    /// Ends the work, and writes what waits.
    pub(crate) async fn stop(mut self) {
        // Nobody listening means that everything has ended already.
        let _ = self.stop.send(true);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(STOP, ended).await.is_err() {
            tracing::warn!("background work did not end in time and is cut");
            self.tasks.shutdown().await;
        }
        log_failure("noting activity of devices", self.activity.flush().await);
        let kept = self
            .refusal_log
            .flush(self.explainer.as_ref(), self.refusals.as_ref())
            .await;
        log_failure("keeping explained refusals", kept);
    }
}
