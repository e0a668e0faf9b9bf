//! Resource groups.

use http::{Response, StatusCode};
use muster_wire::arm as documents;

use super::{
    account, body, created, done, group_name, group_of, listed, ok, permit, resources, scope, shown, wire,
};
use crate::body::Answer;
use crate::exchange::{Exchange, Outcome};

/// `GET …/resourceGroups`
pub(crate) fn list(exchange: &mut Exchange<'_>, subscription: &str) -> Outcome {
    permit(exchange, "list resource groups", subscription)?;
    let groups = exchange.backend.directory.groups();
    Ok(ok(&documents::group_list(
        groups.iter().map(AsRef::as_ref),
        scope(exchange),
    )))
}

/// `HEAD …/resourceGroups/{g}`: 204 when it exists.
pub(crate) fn head(exchange: &mut Exchange<'_>, subscription: &str, group: &str) -> Outcome {
    permit(exchange, "look for a resource group", subscription)?;
    group_of(exchange, group)?;
    let mut response = Response::new(Answer::None);
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// `GET …/resourceGroups/{g}`
pub(crate) fn get(exchange: &mut Exchange<'_>, subscription: &str, group: &str) -> Outcome {
    permit(exchange, "read a resource group", subscription)?;
    Ok(ok(&documents::group(
        &*group_of(exchange, group)?,
        scope(exchange),
    )))
}

/// `PUT …/resourceGroups/{g}`
pub(crate) async fn put(exchange: &mut Exchange<'_>, subscription: &str, group: &str) -> Outcome {
    let permit = permit(exchange, "write a resource group", subscription)?;
    let name = group_name(group)?;
    let body = body(exchange).await?;
    let group = documents::parse_group(&body, &name).map_err(|error| wire(&error))?;
    let groups = &exchange.backend.resource_groups;
    let (group, new) = groups
        .put(&permit, group.name, group.location, Some(group.tags))
        .await
        .map_err(|error| resources(&error))?;
    Ok(shown(created(new), &documents::group(&group, scope(exchange))))
}

/// `PATCH …/resourceGroups/{g}`: tags.
pub(crate) async fn patch(exchange: &mut Exchange<'_>, subscription: &str, group: &str) -> Outcome {
    let permit = permit(exchange, "write a resource group", subscription)?;
    let known = group_of(exchange, group)?;
    let tags = documents::parse_tags(&body(exchange).await?).map_err(|error| wire(&error))?;
    let groups = &exchange.backend.resource_groups;
    let (group, _) = groups
        .put(&permit, known.name.clone(), known.location.clone(), Some(tags))
        .await
        .map_err(|error| resources(&error))?;
    Ok(ok(&documents::group(&group, scope(exchange))))
}

/// `DELETE …/resourceGroups/{g}`, with all that it holds.
pub(crate) async fn delete(exchange: &mut Exchange<'_>, subscription: &str, group: &str) -> Outcome {
    let permit = permit(exchange, "delete a resource group", subscription)?;
    let known = group_of(exchange, group)?;
    exchange
        .backend
        .resource_groups
        .delete(&permit, &known.name)
        .await
        .map_err(|error| resources(&error))?;
    Ok(done())
}

/// `GET …/resourceGroups/{g}/resources`
pub(crate) fn resources_of(exchange: &mut Exchange<'_>, subscription: &str, group: &str) -> Outcome {
    permit(exchange, "list resources", subscription)?;
    let known = group_of(exchange, group)?;
    Ok(listed(account::summaries(exchange, |name| *name == known.name)))
}
