//! Metrics and health over plain HTTP on loopback.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use muster_net::{BoxFuture, Drain, HyperTimer, Peer, Stream, StreamService};
use muster_resources::RefusalLog;

use super::readiness::Readiness;

/// Installs the recorder of this process, once, and describes every metric.
pub(crate) fn install_recorder() -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new().build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another recorder of metrics is installed; /metrics will be empty");
            }
            muster_net::describe_metrics();
            muster_bus::metrics::describe();
            muster_store::metrics::describe();
            muster_resources::metrics::describe();
            muster_rest::describe_metrics();
            muster_mqtt::describe_metrics();
            handle
        })
        .clone()
}

/// Answers `/metrics`, `/healthz` and `/readyz`.
pub(crate) struct MetricsService {
    handle: PrometheusHandle,
    readiness: Arc<Readiness>,
    refusals: Arc<RefusalLog>,
}

impl MetricsService {
    /// Answers from these.
    pub(crate) fn new(
        handle: PrometheusHandle,
        readiness: Arc<Readiness>,
        refusals: Arc<RefusalLog>,
    ) -> Self {
        Self {
            handle,
            readiness,
            refusals,
        }
    }
}

fn answer(
    handle: &PrometheusHandle,
    readiness: &Readiness,
    refusals: &RefusalLog,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    use muster_rest::Readiness as _;
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => {
            #[expect(clippy::cast_precision_loss, reason = "a gauge; 2^53 refusals do not happen")]
            metrics::gauge!("muster_refusals_dropped_total").set(refusals.dropped() as f64);
            handle.run_upkeep();
            (StatusCode::OK, handle.render())
        }
        (&Method::GET, "/healthz") => (StatusCode::OK, "alive\n".to_owned()),
        (&Method::GET, "/readyz") => {
            let obstacles = readiness.obstacles();
            if obstacles.is_empty() {
                (StatusCode::OK, "ready\n".to_owned())
            } else {
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!("{}\n", obstacles.join("\n")),
                )
            }
        }
        _ => (
            StatusCode::NOT_FOUND,
            "there are /metrics, /healthz and /readyz\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    response
}

impl StreamService for MetricsService {
    fn serve(&self, stream: Stream, peer: Arc<Peer>, drain: Drain) -> BoxFuture<()> {
        let (handle, readiness) = (self.handle.clone(), Arc::clone(&self.readiness));
        let refusals = Arc::clone(&self.refusals);
        Box::pin(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let response = answer(&handle, &readiness, &refusals, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let mut connection = Box::pin(
                http1::Builder::new()
                    .timer(HyperTimer)
                    .serve_connection(stream.into_hyper(), service),
            );
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = drain.begun() => {
                    connection.as_mut().graceful_shutdown();
                    connection.as_mut().await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(peer.address = %peer.addr, %error, "a connection for metrics ended early");
            }
        })
    }
}
