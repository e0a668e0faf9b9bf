//! Individual enrollments.

use http::StatusCode;
use muster_dps::Bulk;
use muster_model::RegistrationId;
use muster_model::dps::Attestation;
use muster_resources::DpsPermit;
use muster_wire::enrollment::{
    self as documents, BulkChange, BulkError, BulkMode, BulkResult, IndividualDocument,
};
use muster_wire::{etag, page};

use super::{answer_page, asked_page, body, permit, registration_id, wire};
use crate::exchange::{Exchange, Outcome, json, no_content};
use crate::problem::Problem;

/// `GET /enrollments/{id}`
pub(crate) async fn get(exchange: &mut Exchange<'_>, id: &str) -> Outcome {
    let permit = permit(exchange, "read an enrollment")?;
    let id = registration_id(exchange, id)?;
    let (enrollment, state) = exchange.backend.enrollments.read(&permit, &id).await?;
    let domain = &exchange.backend.domain;
    let document = IndividualDocument::of(&enrollment, state.as_ref(), false, domain);
    Ok(json(StatusCode::OK, document.to_json()))
}

/// `PUT /enrollments/{id}`; the answer shows the keys, so that a generated one reaches its owner.
pub(crate) async fn put(exchange: &mut Exchange<'_>, id: &str) -> Outcome {
    let permit = permit(exchange, "write an enrollment")?;
    let id = registration_id(exchange, id)?;
    let if_match = exchange.if_match(etag::Kind::Dps);
    let body = body(exchange).await?;
    let domain = &exchange.backend.domain;
    let input = IndividualDocument::parse(&body, &id, domain).map_err(|error| wire(&error))?;
    let stored = stored(exchange, &permit, &id).await?;
    let change = input.change(stored.as_ref()).map_err(|error| wire(&error))?;
    let written = exchange
        .backend
        .enrollments
        .put(&permit, change, if_match, exchange.now)
        .await?;
    Ok(json(
        StatusCode::OK,
        IndividualDocument::of(&written, None, true, domain).to_json(),
    ))
}

/// `DELETE /enrollments/{id}`
pub(crate) async fn delete(exchange: &mut Exchange<'_>, id: &str) -> Outcome {
    let permit = permit(exchange, "delete an enrollment")?;
    let id = registration_id(exchange, id)?;
    let if_match = exchange.if_match(etag::Kind::Dps);
    exchange
        .backend
        .enrollments
        .delete(&permit, &id, if_match)
        .await?;
    Ok(no_content())
}

/// `POST /enrollments/query`. Any text of a query means all: clients send some that are none.
pub(crate) async fn query(exchange: &mut Exchange<'_>) -> Outcome {
    let permit = permit(exchange, "list enrollments")?;
    let (after, limit) = asked_page(exchange)?;
    documents::check_query(&body(exchange).await?).map_err(|error| wire(&error))?;
    let page = exchange
        .backend
        .enrollments
        .list(&permit, after.as_deref(), limit)
        .await?;
    let json = documents::individuals_json(&page.items, &exchange.backend.domain);
    Ok(answer_page(&page, page::ENROLLMENT, json))
}

/// `POST /enrollments/{id}/attestationmechanism`: the attestation with its keys.
pub(crate) async fn attestation(exchange: &mut Exchange<'_>, id: &str) -> Outcome {
    let permit = permit(exchange, "read the keys of an enrollment")?;
    let id = registration_id(exchange, id)?;
    let attestation = exchange.backend.enrollments.attestation(&permit, &id).await?;
    Ok(json(StatusCode::OK, documents::mechanism_json(&attestation)))
}

/// `POST /enrollments`: several at once, each by itself.
pub(crate) async fn bulk(exchange: &mut Exchange<'_>) -> Outcome {
    let permit = permit(exchange, "write several enrollments")?;
    let body = body(exchange).await?;
    let call = documents::Bulk::individuals(&body, &exchange.backend.domain).map_err(|error| wire(&error))?;
    let mut failures = Vec::new();
    let (mut changes, mut deletions) = (Vec::new(), Vec::new());
    for item in call.items {
        match item.change {
            Ok(BulkChange::Delete(id)) => deletions.push(id),
            Ok(BulkChange::Put(input)) => {
                let stored = stored(exchange, &permit, &input.id).await?;
                match input.change(stored.as_ref()) {
                    Ok(change) => changes.push((change, item.if_match)),
                    Err(error) => {
                        let problem = wire(&error);
                        failures.push(BulkError::individual(&item.id, problem.code, problem.message));
                    }
                }
            }
            Err(error) => {
                let problem = wire(&error);
                failures.push(BulkError::individual(&item.id, problem.code, problem.message));
            }
        }
    }
    let without_demand = |changes: Vec<_>| changes.into_iter().map(|(change, _)| change).collect();
    let bulk = match call.mode {
        BulkMode::Create => Bulk::Create(without_demand(changes)),
        BulkMode::Delete => Bulk::Delete(deletions),
        BulkMode::Update => Bulk::Update(without_demand(changes)),
        BulkMode::UpdateIfMatchEtag => Bulk::UpdateIfMatch(changes),
    };
    for failure in exchange
        .backend
        .enrollments
        .bulk(&permit, bulk, exchange.now)
        .await?
    {
        let problem = Problem::from(failure.error);
        failures.push(BulkError::individual(
            failure.id.as_str(),
            problem.code,
            problem.message,
        ));
    }
    Ok(json(StatusCode::OK, BulkResult::of(failures).to_json()))
}

/// The attestation that is stored under an id, for what a caller names by its facts alone; `None` for a new one.
async fn stored(
    exchange: &Exchange<'_>,
    permit: &DpsPermit,
    id: &RegistrationId,
) -> Result<Option<Attestation>, Problem> {
    match exchange.backend.enrollments.read(permit, id).await {
        Ok((found, _)) => Ok(Some(found.attestation)),
        Err(muster_dps::Error::EnrollmentMissing) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
