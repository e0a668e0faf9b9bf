//! Consumer groups of a hub's built-in endpoint.

use muster_model::{ConsumerGroupName, ErrorCode};
use muster_resources::consumer_group_of;
use muster_wire::arm as documents;

use super::hub::find;
use super::{body, done, invalid, ok, permit, resources, scope};
use crate::exchange::{Exchange, Outcome};
use crate::problem::Problem;

fn parse(name: &str) -> Result<ConsumerGroupName, Problem> {
    ConsumerGroupName::parse(name).map_err(|error| invalid(&error))
}

/// `GET …/ConsumerGroups`
pub(crate) fn list(exchange: &mut Exchange<'_>, subscription: &str, group: &str, hub: &str) -> Outcome {
    let permit = permit(exchange, "list consumer groups", subscription)?;
    let hub = find(exchange, &permit, group, hub)?;
    let scope = scope(exchange);
    Ok(ok(&documents::consumer_group_list(
        &hub.consumer_groups,
        hub.created,
        &hub.name,
        &hub.group,
        scope,
    )))
}

/// `GET …/ConsumerGroups/{n}`
pub(crate) fn get(
    exchange: &mut Exchange<'_>,
    subscription: &str,
    group: &str,
    hub: &str,
    name: &str,
) -> Outcome {
    let permit = permit(exchange, "read a consumer group", subscription)?;
    let hub = find(exchange, &permit, group, hub)?;
    let name = parse(name)?;
    let found = consumer_group_of(&hub, &name).ok_or_else(|| {
        Problem::new(ErrorCode::ArmResourceNotFound)
            .with_message(format!("There is no consumer group {name}."))
    })?;
    Ok(ok(&documents::consumer_group(
        &found,
        &hub.name,
        &hub.group,
        scope(exchange),
    )))
}

/// `PUT …/ConsumerGroups/{n}`; the name in the path counts.
pub(crate) async fn put(
    exchange: &mut Exchange<'_>,
    subscription: &str,
    group: &str,
    hub: &str,
    name: &str,
) -> Outcome {
    let permit = permit(exchange, "make a consumer group", subscription)?;
    let hub = find(exchange, &permit, group, hub)?;
    let name = parse(name)?;
    body(exchange).await?;
    let made = exchange
        .backend
        .hubs
        .put_consumer_group(&permit, &hub.group, &hub.name, name, exchange.now)
        .await
        .map_err(|error| resources(&error))?;
    Ok(ok(&documents::consumer_group(
        &made,
        &hub.name,
        &hub.group,
        scope(exchange),
    )))
}

/// `DELETE …/ConsumerGroups/{n}`: 200, which clients insist on.
pub(crate) async fn delete(
    exchange: &mut Exchange<'_>,
    subscription: &str,
    group: &str,
    hub: &str,
    name: &str,
) -> Outcome {
    let permit = permit(exchange, "delete a consumer group", subscription)?;
    let hub = find(exchange, &permit, group, hub)?;
    let name = parse(name)?;
    exchange
        .backend
        .hubs
        .delete_consumer_group(&permit, &hub.group, &hub.name, &name)
        .await
        .map_err(|error| resources(&error))?;
    Ok(done())
}
