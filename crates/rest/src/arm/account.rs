//! What stands around the resources: the cloud's metadata, tenant, subscription, places, the provider.

use http::Response;
use muster_wire::arm as documents;
use serde_json::json;

use super::{listed, ok, permit, scope};
use crate::body::Answer;
use crate::exchange::{Exchange, Outcome};
use crate::own::operator;

/// The one tenant: clients need a GUID, and nothing hangs on which.
const TENANT: &str = "11111111-1111-1111-1111-111111111111";

/// `GET /metadata/endpoints`, which anybody may ask: tools learn here where to log in.
pub(crate) fn metadata(exchange: &mut Exchange<'_>) -> Response<Answer> {
    exchange.trail.action = "ask for the cloud's metadata";
    let base = format!("https://localhost:{}", exchange.backend.https_port);
    // Versions before 2022 answer a list of clouds, later ones the one cloud.
    let as_list = exchange
        .query
        .value("api-version")
        .is_none_or(|version| version < "2022");
    ok(&documents::metadata(&base, as_list))
}

/// `GET /tenants`
pub(crate) fn tenants(exchange: &mut Exchange<'_>) -> Outcome {
    operator(exchange, "list tenants")?;
    Ok(listed([documents::tenant(TENANT, &exchange.backend.domain)]))
}

/// `GET /subscriptions`
pub(crate) fn subscriptions(exchange: &mut Exchange<'_>) -> Outcome {
    operator(exchange, "list subscriptions")?;
    Ok(listed([documents::subscription(
        &exchange.backend.facts.subscription,
        TENANT,
    )]))
}

/// `GET /subscriptions/{s}`
pub(crate) fn subscription(exchange: &mut Exchange<'_>, subscription: &str) -> Outcome {
    permit(exchange, "read the subscription", subscription)?;
    Ok(ok(&documents::subscription(
        &exchange.backend.facts.subscription,
        TENANT,
    )))
}

/// `GET /subscriptions/{s}/locations`
pub(crate) fn locations(exchange: &mut Exchange<'_>, subscription: &str) -> Outcome {
    permit(exchange, "list places", subscription)?;
    Ok(ok(&documents::locations(&exchange.backend.facts.subscription)))
}

/// `GET /subscriptions/{s}/providers`
pub(crate) fn providers(exchange: &mut Exchange<'_>, subscription: &str) -> Outcome {
    permit(exchange, "list providers", subscription)?;
    Ok(listed([documents::provider(
        &exchange.backend.facts.subscription,
    )]))
}

/// `GET /subscriptions/{s}/providers/Microsoft.Devices`, and its registration, which is done already.
pub(crate) fn provider(exchange: &mut Exchange<'_>, subscription: &str) -> Outcome {
    permit(exchange, "read the provider", subscription)?;
    Ok(ok(&documents::provider(&exchange.backend.facts.subscription)))
}

/// `GET /subscriptions/{s}/resources`; filters are not looked at.
pub(crate) fn resources(exchange: &mut Exchange<'_>, subscription: &str) -> Outcome {
    permit(exchange, "list resources", subscription)?;
    Ok(listed(summaries(exchange, |_| true)))
}

/// Hubs and provisioning services as a list of resources shows them.
pub(super) fn summaries(
    exchange: &Exchange<'_>,
    wanted: impl Fn(&muster_model::ResourceGroupName) -> bool,
) -> Vec<serde_json::Value> {
    let (scope, directory) = (scope(exchange), &exchange.backend.directory);
    let hubs = directory.hubs();
    let hubs = hubs
        .iter()
        .filter(|hub| wanted(&hub.group))
        .map(|hub| documents::hub(hub, scope, false));
    let services = directory.services();
    let services = services
        .iter()
        .filter(|service| wanted(&service.group))
        .map(|service| {
            documents::service(
                service,
                scope,
                |key| directory.hub_by_key(key).map(|hub| hub.name.clone()),
                false,
            )
        });
    hubs.chain(services)
        .map(|whole| {
            json!({
                "id": whole["id"],
                "name": whole["name"],
                "type": whole["type"],
                "location": whole["location"],
                "sku": whole["sku"],
                "tags": whole["tags"],
            })
        })
        .collect()
}
