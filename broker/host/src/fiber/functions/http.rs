//! `http`: exchanges with HTTP servers. Capability: the endpoints of the instance, as for `net`,
//! and the addresses that the operator allows. Bounds: exchanges and connections per instance,
//! bytes of requests and responses, time.

use crate::{
    fiber::{
        bindings::lotmq::guest::http::{self, HostExchange, HttpError, ResponseHead},
        handles::TableHandle,
        http::{GuestExchange, HttpJob, Prepared, Reporter, prepared},
        http_event::HttpEvent,
        state::FiberState,
    },
    limits::{HTTP_EXCHANGES_MAX, HTTP_TIME_MAX},
};
use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    task::yield_now,
    time::{Instant, timeout},
};
use wasmtime::component::{Resource, ResourceTableError};

/// Turns of the thread that a request without room waits. In one of them it drops the tasks of all
/// exchanges that an instance can have dropped.
const TURNS_FOR_ROOM: u32 = 4;

impl TableHandle for http::Exchange {
    type Value = GuestExchange;
}

impl HostExchange for FiberState {
    async fn start(
        &mut self,
        endpoint: String,
        request: http::Request,
    ) -> Result<Resource<http::Exchange>, HttpError> {
        let reporter = reporter(self);
        reporter.note(HttpEvent::Requested);
        make_room(self, request.body.len()).await;
        started(self, endpoint, request).inspect_err(|error| reporter.failed(error))
    }

    async fn head(&mut self, exchange: Resource<http::Exchange>) -> Result<ResponseHead, HttpError> {
        self.waits(async |state| {
            let exchange = open_exchange(state, &exchange)?;
            poll_fn(|context| exchange.poll_head(context)).await
        })
        .await
    }

    async fn read(&mut self, exchange: Resource<http::Exchange>, max: u32) -> Result<Vec<u8>, HttpError> {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        self.waits(async |state| {
            let exchange = open_exchange(state, &exchange)?;
            poll_fn(|context| exchange.poll_read(max, context)).await
        })
        .await
    }

    fn drop(&mut self, exchange: Resource<http::Exchange>) -> wasmtime::Result<()> {
        self.table.delete(exchange)?;
        self.http.exchanges -= 1;
        Ok(())
    }
}

impl http::Host for FiberState {
    async fn wait(&mut self, exchanges: Vec<Resource<http::Exchange>>, timeout_ms: u32) -> Vec<u32> {
        let time = Duration::from_millis(timeout_ms.into());
        self.waits(async |state| {
            let ready = timeout(time, poll_fn(|context| poll_exchanges(state, &exchanges, context))).await;
            ready.unwrap_or_else(|_| state.has_waited(time))
        })
        .await
    }
}

pub(super) fn reporter(state: &FiberState) -> Reporter {
    Reporter { services: Arc::clone(&state.services), run: state.run }
}

/// Lets the tasks of exchanges that the guest has dropped end, where a body needs the room that
/// they still have.
async fn make_room(state: &mut FiberState, bytes: usize) {
    let pool = Arc::clone(&state.http.pool);
    let has_room = || pool.request_bytes.available_permits() >= bytes;
    for _ in 0..TURNS_FOR_ROOM {
        if has_room() {
            return;
        }
        state.waits(async |_| yield_now().await).await;
    }
}

fn started(
    state: &mut FiberState,
    name: String,
    request: http::Request,
) -> Result<Resource<http::Exchange>, HttpError> {
    let endpoint = state.far_endpoint(&name).map_err(HttpError::from)?;
    if state.http.exchanges >= HTTP_EXCHANGES_MAX {
        return Err(HttpError::LimitReached);
    }
    let time = Duration::from_millis(request.timeout_ms.into()).min(HTTP_TIME_MAX);
    let deadline = Instant::now() + time;
    let Prepared { request, response_bytes_max } =
        prepared(request, &endpoint, &state.http.pool.request_bytes)?;
    let dialer = state.dialer();
    let reporter = reporter(state);
    let job = HttpJob { name, endpoint, request, dialer, deadline, reporter: reporter.clone() };
    let pool = Arc::clone(&state.http.pool);
    let exchange = GuestExchange::started(pool, job, response_bytes_max, reporter);
    let resource = state.table.push(exchange).map_err(|error| no_handle(&error))?;
    state.http.exchanges += 1;
    Ok(resource)
}

fn open_exchange<'a>(
    state: &'a mut FiberState,
    exchange: &Resource<http::Exchange>,
) -> Result<&'a mut GuestExchange, HttpError> {
    state.table.get_mut(exchange).map_err(|error| no_handle(&error))
}

/// Positions of the exchanges that are ready; all are asked, so that all wake this task later. None
/// when the host has work.
fn poll_exchanges(
    state: &mut FiberState,
    exchanges: &[Resource<http::Exchange>],
    context: &mut Context<'_>,
) -> Poll<Vec<u32>> {
    let mut ready = Vec::new();
    // There are no more than it has, but a list may name one of them any number of times.
    let most = usize::try_from(HTTP_EXCHANGES_MAX).unwrap_or(usize::MAX);
    for (position, exchange) in (0_u32..).zip(exchanges.iter().take(most)) {
        let polled = open_exchange(state, exchange).map(|exchange| exchange.poll_ready(context));
        if polled.is_ok_and(|polled| polled.is_ready()) {
            ready.push(position);
        }
    }
    let has_work = state.work.poll(context).is_ready();
    if ready.is_empty() && !has_work { Poll::Pending } else { Poll::Ready(ready) }
}

fn no_handle(error: &ResourceTableError) -> HttpError {
    HttpError::Other(error.to_string())
}
