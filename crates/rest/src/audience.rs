//! Under which names a token may have been signed: every one that leads to the hub or the provisioning service.

use muster_model::estate::{Hub, ProvisioningService};

use crate::backend::Backend;

/// The names that lead to a hub. Names of the machine lead to the default hub alone.
pub(crate) fn of_hub(backend: &Backend, hub: &Hub) -> Vec<String> {
    let mut names = backend.domain.names_of_hub(&hub.name);
    if backend
        .directory
        .default_hub()
        .is_some_and(|default| default.key == hub.key)
    {
        names.extend(backend.domain.names_of_machine());
    }
    names
}

/// The names that lead to a provisioning service.
pub(crate) fn of_service(backend: &Backend, service: &ProvisioningService) -> Vec<String> {
    let mut names = backend.domain.names_of_service(&service.name);
    names.extend(backend.domain.names_of_machine());
    names
}
