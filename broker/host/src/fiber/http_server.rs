//! `http-server`: requests of HTTP clients. Capability: the endpoints of the instance that serve
//! HTTP, and the local addresses that the operator allows. Bounds: connections and open requests
//! per server, taken requests per instance, bytes of requests and answers, time; connections and
//! bytes of all servers together ([`callers`]).
//!
//! A task accepts connections. Each connection has a task of its own ([`connection`]), in which
//! `hyper` reads requests. They wait in the [`queue`] of their server until the guest takes them,
//! and for their answer as long as the guest has said.
//!
//! Invariants: a client cannot start guest code; only the driver calls it. Each whole request is
//! answered by the guest or by the host.

mod answer;
mod callers;
mod connection;
mod open_request;
mod queue;

pub use callers::bound_http_callers;

use super::{
    bindings::lotmq::guest::{
        http_server::{Host, HostResponder, HostServer, Request, RespondError, Response, ServerOptions},
        net::IoError,
    },
    http::{Reporter, reporter},
    listener::{not_listening, own_address},
    net::io_error,
    signal::{self, GuestSignal},
    state::{FiberServices, FiberState, Reception},
};
use crate::limits::{HTTP_REQUEST_BYTES_MAX, HTTP_RESPONDERS_MAX, HTTP_SERVER_BYTES_MAX, HTTP_TIME_MAX};
use parking_lot::Mutex;
use queue::{RequestQueue, WaitingRequest};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, oneshot, watch},
    time::Instant,
};
use wasmtime::component::{Resource, ResourceTableError};

/// HTTP servers of one instance.
pub(super) struct InstanceServers {
    /// Whether the instance has ended.
    ended: Arc<AtomicBool>,
    /// Bytes of answers that may be on their way.
    answer_bytes: Arc<Semaphore>,
    /// Requests that the guest has taken and not dropped.
    responders: u32,
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
#[allow(unreachable_pub, reason = "the generated bindings name it in public types")]
pub struct GuestServer {
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
    socket: Mutex<Option<tokio::net::TcpListener>>,
    queue: Arc<RequestQueue>,
    tls: Option<super::ServerTls>,
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
#[allow(unreachable_pub, reason = "the generated bindings name it in public types")]
pub struct GuestResponder(Option<oneshot::Sender<answer::ServedAnswer>>);

impl Host for FiberState {}

impl HostServer for FiberState {
    fn serve(&mut self, endpoint: String, options: ServerOptions) -> Result<Resource<GuestServer>, IoError> {
        let found = self.endpoint(&endpoint)?;
        let Some(service) = found.http.clone().filter(|_| found.listens) else {
            let reason =
                format!("endpoint '{endpoint}' is none that serves HTTP (LISTEN and SERVE \"HTTP\")");
            return Err(IoError::Denied(reason));
        };
        self.check_room()?;
        let address = own_address(&found, &*self.services)?;
        let listening = super::listener::listening(address);
        let socket = listening.map_err(|error| not_listening(&found, address, &error))?;
        let reception = Reception::Http { has_tls: service.tls.is_some() };
        self.listens((&endpoint, reception), socket.local_addr());
        let body_bytes_max = usize::try_from(options.body_bytes_max).unwrap_or(usize::MAX);
        let shared = Arc::new(ServerShared {
            number: NEXT_SERVER.fetch_add(1, Ordering::Relaxed),
            account: self.memory.account(),
            services: Arc::clone(&self.services),
            socket: Mutex::new(Some(socket)),
            queue: Arc::default(),
            tls: service.tls,
            body_bytes_max: body_bytes_max.min(HTTP_REQUEST_BYTES_MAX),
            time: Duration::from_millis(options.timeout_ms.into()).min(HTTP_TIME_MAX),
            body_bytes: Arc::new(Semaphore::new(HTTP_SERVER_BYTES_MAX)),
            has_ended: Arc::clone(&self.servers.ended),
            reporter: reporter(self),
        });
        let closing = watch::Sender::new(false);
        // It ends a second after the server at the latest.
        drop(tokio::spawn(connection::accept(Arc::clone(&shared), closing.subscribe())));
        self.keep(GuestServer { shared, closing })
    }

    fn accept(
        &mut self,
        server: Resource<GuestServer>,
    ) -> Result<(Request, Resource<GuestResponder>), IoError> {
        if self.servers.responders >= HTTP_RESPONDERS_MAX {
            return Err(IoError::LimitReached);
        }
        let WaitingRequest { request, deadline, answer } =
            open_server(self, &server)?.shared.queue.take().ok_or(IoError::WouldBlock)?;
        let responder = self.table.push(GuestResponder(Some(answer))).map_err(|error| no_handle(&error))?;
        self.servers.responders += 1;
        let left = deadline.saturating_duration_since(Instant::now()).as_millis();
        let time_left_ms = u32::try_from(left).unwrap_or(u32::MAX);
        Ok((Request { time_left_ms, ..request }, responder))
    }

    fn acceptable(&mut self, server: Resource<GuestServer>) -> Result<Resource<GuestSignal>, IoError> {
        let queue = Arc::clone(&open_server(self, &server)?.shared.queue);
        signal::give(self, &queue)
    }

    fn local_port(&mut self, server: Resource<GuestServer>) -> Result<u16, IoError> {
        let socket = open_server(self, &server)?.shared.socket.lock();
        let address = socket.as_ref().ok_or(IoError::Closed)?.local_addr();
        address.map(|address| address.port()).map_err(|error| io_error(&error))
    }

    fn drop(&mut self, server: Resource<GuestServer>) -> wasmtime::Result<()> {
        self.close(server)
    }
}

impl HostResponder for FiberState {
    fn respond(
        &mut self,
        responder: Resource<GuestResponder>,
        response: Response,
    ) -> Result<(), RespondError> {
        let (account, room) = (self.memory.account(), Arc::clone(&self.servers.answer_bytes));
        let found = self.table.get_mut(&responder).map_err(|_| RespondError::Gone)?;
        if found.0.as_ref().is_none_or(oneshot::Sender::is_closed) {
            return Err(RespondError::Gone);
        }
        let answer = answer::checked(response, account, &room)?;
        let sender = found.0.take().ok_or(RespondError::Gone)?;
        sender.send(answer).map_err(|_| RespondError::Gone)
    }

    fn drop(&mut self, responder: Resource<GuestResponder>) -> wasmtime::Result<()> {
        self.table.delete(responder)?;
        self.servers.responders -= 1;
        Ok(())
    }
}

fn open_server<'a>(
    state: &'a mut FiberState,
    server: &Resource<GuestServer>,
) -> Result<&'a mut GuestServer, IoError> {
    state.table.get_mut(server).map_err(|error| no_handle(&error))
}

fn no_handle(error: &ResourceTableError) -> IoError {
    IoError::Other(error.to_string())
}
