//! Under which names a token may have been signed: every one that leads to the hub or the provisioning service.

use muster_model::estate::{Hub, ProvisioningService};

use crate::backend::Backend;

/// The names that lead to a hub.
pub(crate) fn of_hub(backend: &Backend, hub: &Hub) -> Vec<String> {
    let is_default = backend.directory.is_default(hub);
    backend.domain.names_of_hub(&hub.name, is_default)
}

/// The names that lead to a provisioning service.
pub(crate) fn of_service(backend: &Backend, service: &ProvisioningService) -> Vec<String> {
    backend.domain.names_of_service(&service.name)
}
