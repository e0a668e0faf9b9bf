//! Under which names a token may have been signed: every one that leads to the hub or the provisioning service.

use muster_model::estate::{Hub, ProvisioningService};
use muster_wire::host::Host;

use crate::backend::Backend;

/// The names that lead to a hub. Names of the machine lead to the default hub alone.
pub(crate) fn of_hub(backend: &Backend, hub: &Hub) -> Vec<String> {
    let mut names = named(
        backend,
        hub.name.folded(),
        |host| matches!(host, Host::Hub(name) if *name == hub.name),
    );
    if default_hub(backend).is_some_and(|default| default.key == hub.key) {
        names.extend(machine(backend));
    }
    names
}

/// The names that lead to a provisioning service.
pub(crate) fn of_service(backend: &Backend, service: &ProvisioningService) -> Vec<String> {
    let mut names = named(
        backend,
        service.name.folded(),
        |host| matches!(host, Host::Service(name) if *name == service.name),
    );
    names.extend(machine(backend));
    names
}

/// The hub that names of the machine lead to: the only one, else the ready-made one.
pub(crate) fn default_hub(backend: &Backend) -> Option<std::sync::Arc<Hub>> {
    match backend.directory.hubs().as_slice() {
        [only] => Some(std::sync::Arc::clone(only)),
        _ => muster_model::HubName::parse("muster-hub")
            .ok()
            .and_then(|name| backend.directory.hub(&name)),
    }
}

fn named(backend: &Backend, label: &str, leads: impl Fn(&Host) -> bool) -> Vec<String> {
    let candidates = backend
        .domain
        .suffixes()
        .into_iter()
        .map(|suffix| format!("{label}.{suffix}"));
    candidates
        .filter(|name| leads(&backend.domain.classify(name)))
        .collect()
}

fn machine(backend: &Backend) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).into();
    names.extend_from_slice(backend.domain.machine_names());
    names
}
