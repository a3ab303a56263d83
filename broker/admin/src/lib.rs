//! HTTP for machines: `GET /health` and `GET /metrics`. Commands reference §9.3.
//!
//! `/metrics` is for this machine until `admin.bind` is set: whoever opens MQTT to a network has
//! not said that it may read the broker's figures.
//!
//! One thread, so that a scraper cannot slow a Client down. Bounded: so many connections
//! (`permits`), so long a head, so long a wait for it. Not here: anything that changes the broker,
//! or that needs to know who asks, and the values themselves ([`ObservedBroker`]).

mod heartbeat;
mod host;
mod limits;
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
use lotmq_config::HostNames;
use serde_json::{Map, Value};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Notify};
use tracing::{debug, warn};

use self::limits::{HTTP_CONNECTION_TIME, HTTP_HEAD_BYTES_MAX, HTTP_HEAD_TIMEOUT, HTTP_HEADERS_MAX};
use self::permits::{Permit, Permits};
use lotmq_process::limits::ROUND_SILENCE_MAX;
use lotmq_process::watchdog::{self, Watchdog, beat};

/// Broker as this port sees it: values of the moment at which somebody asks.
pub trait ObservedBroker: Send + Sync {
    /// Health of the broker. `silent` names its threads that stand still, in words.
    fn health(&self, silent: Option<String>) -> Health;

    /// All figures in the text format of Prometheus.
    fn figures(&self) -> String;
}

/// Health of a broker.
pub struct Health {
    /// Whether the answer is 200; 503 otherwise.
    pub is_well: bool,
    /// Members of the JSON object that is the answer.
    pub members: Map<String, Value>,
}

/// Settings of the health port.
pub struct AdminSetup {
    /// Most connections at once.
    pub connections_max: usize,
    /// Names by which clients may ask for it, besides addresses and `localhost`.
    pub hosts: HostNames,
    /// Whether other machines may read `/metrics`.
    pub is_public: bool,
    /// Watchdog over the threads of the broker, the port's own among them.
    pub watchdog: Arc<Watchdog>,
}

/// The health port while it is open.
pub struct Admin {
    thread: JoinHandle<()>,
    stop: Arc<Notify>,
}

impl Admin {
    /// Starts to serve on listening sockets, with a bound on connections.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        observed: Arc<dyn ObservedBroker>,
        sockets: Vec<TcpListener>,
        setup: AdminSetup,
    ) -> io::Result<Self> {
        let pulse = setup.watchdog.pulses.add("the thread of health and metrics", ROUND_SILENCE_MAX);
        let runtime = watchdog::runtime(&pulse)?;
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::spawn(beat(pulse));
                let permits = Permits::new(setup.connections_max);
                let served = Arc::new(Served { observed, setup, permits, writing_metrics: Mutex::default() });
                for socket in sockets {
                    tokio::spawn(serve(Arc::clone(&served), socket));
                }
                stopped.notified().await;
            });
        })?;
        Ok(Self { thread, stop })
    }

    /// Closes the port with everything that is open.
    pub fn stop(self) {
        self.stop.notify_one();
        if self.thread.join().is_err() {
            warn!("the admin thread ended by a panic");
        }
    }
}

/// State that all connections share.
struct Served {
    observed: Arc<dyn ObservedBroker>,
    setup: AdminSetup,
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
    if !host::is_ours(request, &served.setup.hosts) {
        return response(StatusCode::MISDIRECTED_REQUEST, TEXT, host::REFUSED);
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refusal = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match request.uri().path() {
        "/health" => {
            let silent = heartbeat::silent(&served.setup.watchdog).await;
            let Health { is_well, members } = served.observed.health(silent);
            let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            response(status, JSON, Value::Object(members).to_string())
        }
        "/metrics" if !may_read_metrics(&served.setup, peer, request) => {
            response(StatusCode::FORBIDDEN, TEXT, METRICS_REFUSED)
        }
        "/metrics" => {
            let _turn = served.writing_metrics.lock().await;
            // A request for `/health` waits for one text only, not for all texts that were
            // requested before.
            tokio::task::yield_now().await;
            response(StatusCode::OK, METRICS, served.observed.figures())
        }
        _ => response(StatusCode::NOT_FOUND, TEXT, "there are /health and /metrics\n"),
    }
}

/// Answer to clients that may not read the figures.
const METRICS_REFUSED: &str =
    "metrics are for the broker's own machine until admin.bind says on which addresses they may be read\n";

fn may_read_metrics(setup: &AdminSetup, peer: SocketAddr, request: &Request<Incoming>) -> bool {
    let is_local = || peer.ip().to_canonical().is_loopback() && !host::is_forwarded(request);
    setup.is_public || is_local()
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
