//! Whether the server can do its work, for `/readyz`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use muster_bus::local::LocalEventLog;
use muster_model::{Clock, Wall};

/// How far the clock may stand behind the latest time that an earlier run saw: small steps of a time service are no
/// reason to refuse work.
const TOLERANCE: Duration = Duration::from_mins(1);

/// Looks at everything that can keep the server from its work.
pub(crate) struct Readiness {
    log: Arc<LocalEventLog>,
    clock: Arc<dyn Clock>,
    latest: Option<Wall>,
    registry_fails: AtomicBool,
}

impl Readiness {
    /// Looks at `log` and `clock`; `latest` is the latest time that an earlier run saw.
    pub(crate) fn new(log: Arc<LocalEventLog>, clock: Arc<dyn Clock>, latest: Option<Wall>) -> Self {
        Self {
            log,
            clock,
            latest,
            registry_fails: AtomicBool::new(false),
        }
    }

    /// Notes whether the registry could be written the last time.
    pub(crate) fn registry_works(&self, works: bool) {
        self.registry_fails.store(!works, Ordering::Relaxed);
    }
}

impl muster_rest::Readiness for Readiness {
    fn obstacles(&self) -> Vec<String> {
        let mut obstacles = Vec::new();
        let now = self.clock.wall();
        if let Some(latest) = self.latest
            && now.plus(TOLERANCE) < latest
        {
            obstacles.push(format!(
                "the clock shows {now}, earlier than {latest}, which an earlier run saw; set it"
            ));
        }
        let health = self.log.log().status();
        if health.disk_full {
            obstacles.push("the disk is full: the event log takes nothing more. Free some space".into());
        }
        if health.poisoned {
            obstacles.push(
                "writing the event log failed; what the disk holds is unknown. Look at the disk, then start again".into(),
            );
        }
        if self.registry_fails.load(Ordering::Relaxed) {
            obstacles.push("the registry can't be written".into());
        }
        obstacles
    }
}
