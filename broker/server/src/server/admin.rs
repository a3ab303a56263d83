//! HTTP for machines: `GET /health` and `GET /metrics`. Commands reference §9.3.
//!
//! `/metrics` is for this machine until `admin.bind` is set: whoever opens MQTT to a network has
//! not said that it may read the broker's figures.
//!
//! One thread, so that a scraper cannot slow a Client down. Bounded: so many connections
//! (`permits`), so long a head, so long a wait for it. Not here: anything that changes the broker,
//! or that needs to know who asks.

mod heartbeat;
mod host;
pub(crate) mod metrics;
mod permits;

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Notify};
use tracing::{debug, warn};

use self::permits::{Permit, Permits};
use crate::guests::late_code::Compiling;
use crate::limits::{HTTP_CONNECTION_TIME, HTTP_HEAD_BYTES_MAX, HTTP_HEAD_TIMEOUT, HTTP_HEADERS_MAX};
use crate::management::broker::Broker;
use crate::management::sys::{failures, state};
use lotmq_process::limits::ROUND_SILENCE_MAX;
use lotmq_process::watchdog::{self, beat};

/// The health port while it is open.
pub(crate) struct Admin {
    thread: JoinHandle<()>,
    stop: Arc<Notify>,
}

impl Admin {
    /// Starts to serve on listening sockets, with a bound on connections.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(
        broker: &Arc<Broker>,
        sockets: Vec<TcpListener>,
        connections_max: usize,
    ) -> io::Result<Self> {
        let pulse = broker.watchdog.pulses.add("the thread of health and metrics", ROUND_SILENCE_MAX);
        let runtime = watchdog::runtime(&pulse)?;
        let stop = Arc::new(Notify::new());
        let (broker, stopped) = (Arc::clone(broker), Arc::clone(&stop));
        let thread = std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::spawn(beat(pulse));
                let permits = Permits::new(connections_max);
                let served = Arc::new(Served { permits, broker, writing_metrics: Mutex::default() });
                for socket in sockets {
                    tokio::spawn(serve(Arc::clone(&served), socket));
                }
                stopped.notified().await;
            });
        })?;
        Ok(Self { thread, stop })
    }

    /// Closes the port with everything that is open.
    pub(crate) fn stop(self) {
        self.stop.notify_one();
        if self.thread.join().is_err() {
            warn!("the admin thread ended by a panic");
        }
    }
}

/// State that all connections share.
struct Served {
    broker: Arc<Broker>,
    permits: Arc<Permits>,
    /// Held while the text of `/metrics` is written: for one connection at a time, in the order in
    /// which they ask, and others are served between two.
    writing_metrics: Mutex<()>,
}

/// Accepts connections for ever.
async fn serve(served: Arc<Served>, socket: TcpListener) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(socket)?;
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                debug!(%error, "accept failed");
                tokio::time::sleep(HTTP_HEAD_TIMEOUT / 100).await;
                continue;
            }
        };
        let permit = served.permits.take(peer.ip());
        tokio::spawn(converse(Arc::clone(&served), stream, peer, permit));
    }
}

/// Answers the requests of one connection until it ends, has lived long enough, or another one
/// needs its permit.
async fn converse(served: Arc<Served>, stream: TcpStream, peer: SocketAddr, permit: Permit) {
    let service = service_fn(|request| answer(&served, peer, &permit, request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP_HEAD_TIMEOUT)
        .max_headers(HTTP_HEADERS_MAX)
        .max_buf_size(HTTP_HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let ended = async {
        tokio::select! {
            ended = connection => ended,
            // Unanswered requests are lost: the connection was idle for longer than all others.
            () = permit.end.notified() => Ok(()),
        }
    };
    match tokio::time::timeout(HTTP_CONNECTION_TIME, ended).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%peer, %error, "http connection failed"),
        Err(_) => debug!(%peer, "http connection took too long"),
    }
}

async fn answer(
    served: &Served,
    peer: SocketAddr,
    permit: &Permit,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut answer = answer_of(served, peer, &request).await;
    if permit.is_asked() {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(answer)
}

async fn answer_of(served: &Served, peer: SocketAddr, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if !host::is_ours(request, &served.broker.config.admin.hosts) {
        return response(StatusCode::MISDIRECTED_REQUEST, TEXT, host::REFUSED);
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refusal = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match request.uri().path() {
        "/health" => health(&served.broker, heartbeat::silent(&served.broker).await),
        "/metrics" if !may_read_metrics(&served.broker, peer, request) => {
            response(StatusCode::FORBIDDEN, TEXT, METRICS_REFUSED)
        }
        "/metrics" => {
            let _turn = served.writing_metrics.lock().await;
            // A request for `/health` waits for one text only, not for all texts that were
            // requested before.
            tokio::task::yield_now().await;
            response(StatusCode::OK, METRICS, metrics::text(&served.broker))
        }
        _ => response(StatusCode::NOT_FOUND, TEXT, "there are /health and /metrics\n"),
    }
}

/// Answer to clients that may not read the figures.
const METRICS_REFUSED: &str =
    "metrics are for the broker's own machine until admin.bind says on which addresses they may be read\n";

fn may_read_metrics(broker: &Broker, peer: SocketAddr, request: &Request<Incoming>) -> bool {
    let is_local = || peer.ip().to_canonical().is_loopback() && !host::is_forwarded(request);
    broker.config.admin.bind.is_some() || is_local()
}

/// Answers `/health`: 503 while nothing can be stored, when a part of the broker has ended or
/// stands still, when a listener for clients could not be opened, and while definitions of the
/// start are still being compiled.
fn health(broker: &Broker, silent: Option<String>) -> Response<Full<Bytes>> {
    let failures = failures(broker, silent);
    let compiling = Compiling::now(broker);
    let is_well = failures.is_empty() && compiling.is_none();
    let mut body = Map::new();
    body.insert("status".to_owned(), state(&failures, compiling.is_some()).into());
    let told = compiling.as_ref().map(ToString::to_string);
    if let Some(reason) = failures.into_iter().next().or(told) {
        body.insert("reason".to_owned(), reason.into());
    }
    if let Some(compiling) = compiling {
        body.insert("compiling".to_owned(), compiling.to_json());
    }
    if !broker.quarantined.is_empty() {
        body.insert("quarantined_rows".to_owned(), broker.quarantined.len().into());
    }
    let damaged = broker.log.metrics().damaged();
    if damaged > 0 {
        body.insert("damaged_found".to_owned(), damaged.into());
    }
    let not_opened = broker.net.not_opened.lock();
    if !not_opened.is_empty() {
        let listeners =
            not_opened.iter().map(|it| json!({ "listener": it.listener, "reason": it.reason })).collect();
        body.insert("listeners_not_opened".to_owned(), Value::Array(listeners));
    }
    let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    response(status, JSON, Value::Object(body).to_string())
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// Content type of the text format of Prometheus.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

fn response(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Opens the sockets of the health port.
pub(crate) fn bind(address: SocketAddr) -> io::Result<(SocketAddr, TcpListener)> {
    let socket = crate::net::listening_socket::bind(address)?;
    Ok((socket.local_addr()?, socket))
}
