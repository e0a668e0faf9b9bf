//! Calls that only Muster has.

pub(crate) mod backup;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod refusal;

use muster_resources::{Credential, OperatorPermit};

use crate::exchange::{Authorization, Exchange};
use crate::problem::Problem;

/// Judges the operator.
pub(crate) fn operator(exchange: &mut Exchange<'_>, action: &'static str) -> Result<OperatorPermit, Problem> {
    exchange.trail.action = action;
    let authorization = exchange.authorization()?;
    let credential = match &authorization {
        Authorization::Bearer(token) => Credential::Bearer(token),
        Authorization::Nothing => Credential::Nothing,
        Authorization::Sas(token) => Credential::Sas(token),
    };
    exchange
        .backend
        .access
        .operator(credential)
        .map_err(|error| Problem::resources(exchange.surface, &error))
}
