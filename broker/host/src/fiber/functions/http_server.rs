//! `http-server`: requests of HTTP clients. Capability: the endpoints of the instance that serve
//! HTTP, and the local addresses that the operator allows. Bound: taken requests per instance.

use super::{http::reporter, signal};
use crate::{
    fiber::{
        bindings::lotmq::guest::{
            http_server::{
                self, Host, HostResponder, HostServer, Request, RespondError, Response, ServerOptions,
            },
            net::{self, IoError},
        },
        handles::TableHandle,
        http_server::{GuestResponder, GuestServer, ServerMeans, WaitingRequest, checked},
        io_error::io_error,
        listener::{listening, not_listening, own_address},
        services::Reception,
        state::FiberState,
    },
    limits::HTTP_RESPONDERS_MAX,
};
use std::sync::Arc;
use tokio::{sync::oneshot, time::Instant};
use wasmtime::component::{Resource, ResourceTableError};

impl TableHandle for http_server::Server {
    type Value = GuestServer;
}

impl TableHandle for http_server::Responder {
    type Value = GuestResponder;
}

impl Host for FiberState {}

impl HostServer for FiberState {
    fn serve(
        &mut self,
        endpoint: String,
        options: ServerOptions,
    ) -> Result<Resource<http_server::Server>, IoError> {
        let found = self.endpoint(&endpoint)?;
        let Some(service) = found.http.clone().filter(|_| found.listens) else {
            let reason =
                format!("endpoint '{endpoint}' is none that serves HTTP (LISTEN and SERVE \"HTTP\")");
            return Err(IoError::Denied(reason));
        };
        self.check_room()?;
        let address = own_address(&found, &*self.services)?;
        let socket = listening(address).map_err(|error| not_listening(&found, address, &error))?;
        let reception = Reception::Http { has_tls: service.tls.is_some() };
        self.listens(&endpoint, reception, socket.local_addr());
        let means = ServerMeans {
            services: Arc::clone(&self.services),
            account: self.memory.account(),
            tls: service.tls,
            has_ended: Arc::clone(&self.servers.ended),
            reporter: reporter(self),
        };
        self.keep(GuestServer::start(socket, options, means))
    }

    fn accept(
        &mut self,
        server: Resource<http_server::Server>,
    ) -> Result<(Request, Resource<http_server::Responder>), IoError> {
        if self.servers.responders >= HTTP_RESPONDERS_MAX {
            return Err(IoError::LimitReached);
        }
        let WaitingRequest { request, deadline, answer } =
            open_server(self, &server)?.queue().take().ok_or(IoError::WouldBlock)?;
        let responder = self.table.push(GuestResponder(Some(answer))).map_err(|error| no_handle(&error))?;
        self.servers.responders += 1;
        let left = deadline.saturating_duration_since(Instant::now()).as_millis();
        let time_left_ms = u32::try_from(left).unwrap_or(u32::MAX);
        Ok((Request { time_left_ms, ..request }, responder))
    }

    fn acceptable(
        &mut self,
        server: Resource<http_server::Server>,
    ) -> Result<Resource<net::Signal>, IoError> {
        let queue = Arc::clone(open_server(self, &server)?.queue());
        signal::give(self, &queue)
    }

    fn local_port(&mut self, server: Resource<http_server::Server>) -> Result<u16, IoError> {
        let address = open_server(self, &server)?.local_address().ok_or(IoError::Closed)?;
        address.map(|address| address.port()).map_err(|error| io_error(&error))
    }

    fn drop(&mut self, server: Resource<http_server::Server>) -> wasmtime::Result<()> {
        self.close(server)
    }
}

impl HostResponder for FiberState {
    fn respond(
        &mut self,
        responder: Resource<http_server::Responder>,
        response: Response,
    ) -> Result<(), RespondError> {
        let (account, room) = (self.memory.account(), Arc::clone(&self.servers.answer_bytes));
        let found = self.table.get_mut(&responder).map_err(|_| RespondError::Gone)?;
        if found.0.as_ref().is_none_or(oneshot::Sender::is_closed) {
            return Err(RespondError::Gone);
        }
        let answer = checked(response, account, &room)?;
        let sender = found.0.take().ok_or(RespondError::Gone)?;
        sender.send(answer).map_err(|_| RespondError::Gone)
    }

    fn drop(&mut self, responder: Resource<http_server::Responder>) -> wasmtime::Result<()> {
        self.table.delete(responder)?;
        self.servers.responders -= 1;
        Ok(())
    }
}

fn open_server<'a>(
    state: &'a mut FiberState,
    server: &Resource<http_server::Server>,
) -> Result<&'a mut GuestServer, IoError> {
    state.table.get_mut(server).map_err(|error| no_handle(&error))
}

fn no_handle(error: &ResourceTableError) -> IoError {
    IoError::Other(error.to_string())
}
