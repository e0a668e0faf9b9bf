//! `POST /muster/backups`: a backup while the server runs.

use std::path::PathBuf;
use std::sync::Arc;

use http::StatusCode;
use muster_model::json::{self as rules, JsonLimits};
use serde::{Deserialize, Serialize};

use super::operator;
use crate::exchange::{Exchange, Outcome, json};
use crate::problem::Problem;
use crate::router::Surface;

/// Where the backup goes, as the request and the answer say it.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct BackupDocument {
    /// A folder on the server's machine that does not exist yet, as an absolute path.
    path: PathBuf,
}

/// Writes a backup into a folder of the server's machine; answers when it is durable.
pub(crate) async fn write(exchange: &mut Exchange<'_>) -> Outcome {
    operator(exchange, "write a backup")?;
    let body = exchange.read_body(16 * 1024).await?;
    let bad = |message: String| Problem::argument(Surface::Own, message);
    let text = std::str::from_utf8(&body).map_err(|_| bad("The body is not UTF-8.".into()))?;
    rules::check(text, JsonLimits::BODY).map_err(|error| bad(format!("The body: {error}.")))?;
    let document: BackupDocument =
        serde_json::from_str(text).map_err(|error| bad(format!("The body: {error}.")))?;
    if !document.path.is_absolute() {
        return Err(bad("An absolute path is due.".into()));
    }
    let (maintenance, folder) = (Arc::clone(&exchange.backend.maintenance), document.path.clone());
    let done = muster_net::task::spawn_blocking(exchange.drain, move || maintenance.backup(&folder)).await;
    match done {
        Ok(Ok(())) => {
            let body = serde_json::to_string(&document)
                .map_err(|e| Problem::internal(Surface::Own, e.to_string()))?;
            Ok(json(StatusCode::OK, body))
        }
        Ok(Err(sentence)) => Err(bad(sentence)),
        Err(_) => Err(Problem::unavailable(Surface::Own, "the server is stopping")),
    }
}
