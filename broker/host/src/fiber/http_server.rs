//! HTTP servers of guests: requests of their clients. Bounds: connections and open requests per
//! server, bytes of requests and answers, time; connections and bytes of all servers together
//! ([`callers`]).
//!
//! A task accepts connections. Each connection has a task of its own ([`connection`]), in which
//! `hyper` reads requests. They wait in the [`queue`] of their server until the guest takes them,
//! and for their answer as long as the guest has said.
//!
//! Invariants: a client cannot start guest code; only the driver calls it. Each whole request is
//! answered by the guest or by the host. Not here: the functions of the guest (`functions`).

mod answer;
mod callers;
mod connection;
mod open_request;
mod queue;

pub use callers::bound_http_callers;

use super::{
    bindings::lotmq::guest::http_server::ServerOptions, http::Reporter, server_tls::ServerTls,
    services::FiberServices,
};
use crate::limits::{HTTP_REQUEST_BYTES_MAX, HTTP_SERVER_BYTES_MAX, HTTP_TIME_MAX};
pub(super) use answer::{ServedAnswer, checked};
use parking_lot::Mutex;
use queue::RequestQueue;
pub(super) use queue::WaitingRequest;
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, oneshot, watch},
};

/// HTTP servers of one instance.
pub(super) struct InstanceServers {
    /// Whether the instance has ended.
    pub(super) ended: Arc<AtomicBool>,
    /// Bytes of answers that may be on their way.
    pub(super) answer_bytes: Arc<Semaphore>,
    /// Requests that the guest has taken and not dropped.
    pub(super) responders: u32,
}

impl Default for InstanceServers {
    fn default() -> Self {
        let answer_bytes = Arc::new(Semaphore::new(HTTP_SERVER_BYTES_MAX));
        InstanceServers { ended: Arc::default(), answer_bytes, responders: 0 }
    }
}

impl Drop for InstanceServers {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
    }
}

/// A server: the resource `server`. Dropping it closes its socket at once.
pub(super) struct GuestServer {
    shared: Arc<ServerShared>,
    closing: watch::Sender<bool>,
}

/// Number of the next server of this process.
static NEXT_SERVER: AtomicU64 = AtomicU64::new(0);

/// State that a server and its tasks share.
pub(super) struct ServerShared {
    number: u64,
    /// Account of its owner, in whose share of all servers it counts.
    account: u64,
    services: Arc<dyn FiberServices>,
    /// Taken out when the server ends.
    socket: Mutex<Option<TcpListener>>,
    queue: Arc<RequestQueue>,
    tls: Option<ServerTls>,
    body_bytes_max: usize,
    time: Duration,
    /// Bytes of bodies that the guest has not taken.
    body_bytes: Arc<Semaphore>,
    has_ended: Arc<AtomicBool>,
    reporter: Reporter,
}

impl Drop for GuestServer {
    fn drop(&mut self) {
        self.shared.socket.lock().take();
        // Before the waiting requests are dropped, so that they get an answer.
        self.closing.send_replace(true);
        self.shared.queue.clear();
    }
}

/// The right to answer one request: the resource `responder`.
pub(super) struct GuestResponder(pub(super) Option<oneshot::Sender<ServedAnswer>>);

/// Means with which an instance begins to serve.
pub(super) struct ServerMeans {
    pub(super) services: Arc<dyn FiberServices>,
    /// Account of its owner.
    pub(super) account: u64,
    pub(super) tls: Option<ServerTls>,
    /// Whether the instance has ended.
    pub(super) has_ended: Arc<AtomicBool>,
    pub(super) reporter: Reporter,
}

impl GuestServer {
    /// Serves at a socket that listens.
    pub(super) fn start(socket: TcpListener, options: ServerOptions, means: ServerMeans) -> Self {
        let ServerMeans { services, account, tls, has_ended, reporter } = means;
        let body_bytes_max = usize::try_from(options.body_bytes_max).unwrap_or(usize::MAX);
        let shared = Arc::new(ServerShared {
            number: NEXT_SERVER.fetch_add(1, Ordering::Relaxed),
            account,
            services,
            socket: Mutex::new(Some(socket)),
            queue: Arc::default(),
            tls,
            body_bytes_max: body_bytes_max.min(HTTP_REQUEST_BYTES_MAX),
            time: Duration::from_millis(options.timeout_ms.into()).min(HTTP_TIME_MAX),
            body_bytes: Arc::new(Semaphore::new(HTTP_SERVER_BYTES_MAX)),
            has_ended,
            reporter,
        });
        let closing = watch::Sender::new(false);
        // It ends a second after the server at the latest.
        drop(tokio::spawn(connection::accept(Arc::clone(&shared), closing.subscribe())));
        GuestServer { shared, closing }
    }

    /// Requests that wait for the guest.
    pub(super) fn queue(&self) -> &Arc<RequestQueue> {
        &self.shared.queue
    }

    /// Address at which it listens; `None` if it has ended.
    pub(super) fn local_address(&self) -> Option<io::Result<SocketAddr>> {
        self.shared.socket.lock().as_ref().map(TcpListener::local_addr)
    }
}
