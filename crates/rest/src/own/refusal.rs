//! `/muster/refusals`: why callers were refused. For the operator only.

use http::StatusCode;
use muster_model::{ErrorCode, TrackingId};
use muster_resources::RefusalQuery;
use muster_wire::refusal::{RefusalDocument, RefusalList};

use super::operator;
use crate::exchange::{Exchange, Outcome, json};
use crate::problem::Problem;
use crate::router::Surface;

/// Records of a list when the caller asks for no number.
const DEFAULT: usize = 50;

/// Most records of a list.
const MOST: usize = 1_000;

fn store(error: &muster_resources::StoreError) -> Problem {
    Problem::store(Surface::Own, error)
}

/// `GET /muster/refusals?device&registration&address&since&last`, newest first.
pub(crate) async fn list(exchange: &mut Exchange<'_>) -> Outcome {
    operator(exchange, "list refusals")?;
    let argument = |message: &str| Problem::argument(Surface::Own, message);
    let query = &exchange.query;
    let text = |name| {
        query
            .value(name)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let wanted = RefusalQuery {
        device: text("device"),
        registration: text("registration"),
        address: match text("address") {
            Some(text) => Some(
                text.parse()
                    .map_err(|_| argument("\"address\" is an IP address without a port."))?,
            ),
            None => None,
        },
        since: match text("since") {
            Some(text) => Some(
                muster_wire::time::parse_iso(&text)
                    .ok_or_else(|| argument("\"since\" is a time in ISO 8601."))?,
            ),
            None => None,
        },
        last: match text("last") {
            Some(text) => text
                .parse::<usize>()
                .map_err(|_| argument("\"last\" is a number."))?
                .clamp(1, MOST),
            None => DEFAULT,
        },
    };
    let found = exchange
        .backend
        .refusals
        .search(wanted)
        .await
        .map_err(|error| store(&error))?;
    let value = found
        .iter()
        .map(|record| RefusalDocument::from(record.as_ref()))
        .collect();
    Ok(json(StatusCode::OK, RefusalList { value }.to_json()))
}

/// `GET /muster/refusals/{trackingId}`
pub(crate) async fn get(exchange: &mut Exchange<'_>, tracking: &str) -> Outcome {
    operator(exchange, "read a refusal")?;
    let missing = || {
        Problem::new(ErrorCode::ArmResourceNotFound)
            .with_message(format!("There is no record of a refusal {tracking}."))
    };
    let tracking = TrackingId::parse(tracking).ok_or_else(missing)?;
    let found = exchange
        .backend
        .refusals
        .find(tracking)
        .await
        .map_err(|error| store(&error))?;
    let record = found.ok_or_else(missing)?;
    Ok(json(
        StatusCode::OK,
        RefusalDocument::from(record.as_ref()).to_json(),
    ))
}

/// `DELETE /muster/refusals?device=`
pub(crate) async fn forget(exchange: &mut Exchange<'_>) -> Outcome {
    operator(exchange, "forget refusals")?;
    let device = exchange.query.value("device").filter(|text| !text.is_empty());
    let device = device.ok_or_else(|| {
        Problem::argument(Surface::Own, "\"device\" must say whose refusals are forgotten.")
    })?;
    let forgotten = exchange
        .backend
        .refusals
        .forget(device)
        .await
        .map_err(|error| store(&error))?;
    Ok(json(
        StatusCode::OK,
        serde_json::json!({ "forgotten": forgotten }).to_string(),
    ))
}
