//! Connections of clients: accepting them, and serving each request.

use super::{
    ServerShared,
    answer::{ServedAnswer, of_host, sent_for},
    callers::{BodyRoom, Caller, Callers, OwnedServer, WholeRequest},
    open_request::OpenRequest,
    queue::WaitingRequest,
};
use crate::{
    fiber::{
        bindings::lotmq::guest::{http::Header, http_server::Request as Asked},
        endpoint::Endpoint,
        http::HttpStream,
        http_event::{HttpEvent, ServedEvent},
        tcp::Tcp,
    },
    limits::{
        HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX, HTTP_SERVER_BODY_TIME, HTTP_SERVER_GRACE,
        HTTP_SERVER_HANDSHAKE_TIME, HTTP_SERVER_HEAD_TIME, HTTP_SERVER_REQUESTS_MAX, HTTP_SERVER_SEND_TIME,
        HTTP_TARGET_BYTES_MAX,
    },
};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, StatusCode, Version,
    body::{Body as _, Bytes, Incoming},
    header::HOST,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioTimer;
use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, oneshot, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout, timeout_at},
};

/// Pause after a connection could not be accepted, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One client of a server.
struct Client {
    shared: Arc<ServerShared>,
    peer: SocketAddr,
    caller: Arc<Caller>,
    /// Places of requests that are open.
    places: Arc<Semaphore>,
    closing: watch::Receiver<bool>,
}

/// Accepts connections until the server ends, and then waits for those that are open.
pub(super) async fn accept(shared: Arc<ServerShared>, mut closing: watch::Receiver<bool>) {
    let callers = Callers::of_process();
    let called = OwnedServer { server: shared.number, account: shared.account };
    let places = Arc::new(Semaphore::new(HTTP_SERVER_REQUESTS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // A connection that was accepted is lost only where the server ends.
        let accepted = tokio::select! {
            biased;
            _ = closing.wait_for(|is_closing| *is_closing) => break,
            accepted = accepted(&shared) => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(caller) =
                    callers.enter(called, peer.ip(), || shared.services.acts_for_administrator())
                else {
                    shared.reporter.note(HttpEvent::Served(ServedEvent::TurnedAway));
                    continue;
                };
                let (shared, places, caller) = (Arc::clone(&shared), Arc::clone(&places), Arc::new(caller));
                let client = Client { shared, peer, caller, places, closing: closing.clone() };
                connections.spawn(client.stays(stream));
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
    while connections.join_next().await.is_some() {}
}

async fn accepted(shared: &ServerShared) -> io::Result<(TcpStream, SocketAddr)> {
    poll_fn(|context| match &*shared.socket.lock() {
        Some(socket) => socket.poll_accept(context),
        // The server has ended; waiting tasks learn it otherwise.
        None => Poll::Pending,
    })
    .await
}

impl Client {
    /// Serves until the connection ends or gives way.
    async fn stays(self, stream: TcpStream) {
        let (caller, reporter) = (Arc::clone(&self.caller), self.shared.reporter.clone());
        tokio::select! {
            () = self.serve(stream) => {}
            () = caller.gives_way() => reporter.note(HttpEvent::Served(ServedEvent::TurnedAway)),
        }
    }

    async fn serve(self, stream: TcpStream) {
        let Ok(Some(tcp)) = timeout(HTTP_SERVER_HANDSHAKE_TIME, self.begun(stream)).await else { return };
        let mut closing = self.closing.clone();
        let reporter = self.shared.reporter.clone();
        let client = Arc::new(self);
        let service = service_fn(move |request| {
            let client = Arc::clone(&client);
            async move { Ok::<_, Infallible>(client.answered(request).await) }
        });
        let stream = HttpStream::new(tcp).of_requests().sending_within(HTTP_SERVER_SEND_TIME);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HTTP_SERVER_HEAD_TIME)
            .max_headers(HTTP_HEADERS_MAX)
            .max_buf_size(HTTP_HEAD_BYTES_MAX)
            .serve_connection(stream, service);
        let mut connection = pin!(connection);
        tokio::select! {
            // `hyper` answers malformed requests.
            ended = connection.as_mut() => {
                if ended.is_err_and(|error| error.is_parse()) {
                    reporter.note(HttpEvent::Served(ServedEvent::Unreadable));
                }
                return;
            }
            _ = closing.wait_for(|is_closing| *is_closing) => {}
        }
        connection.as_mut().graceful_shutdown();
        // The host closes connections that take longer.
        let _ = timeout(HTTP_SERVER_GRACE, connection).await;
    }

    /// The connection, with TLS where the endpoint has it.
    async fn begun(&self, stream: TcpStream) -> Option<Tcp> {
        let mut tcp = Tcp::plain(stream, Endpoint::default()).ok()?;
        if let Some(tls) = &self.shared.tls {
            tcp.accept_tls(tls.config().await.ok()?).await.ok()?;
        }
        Some(tcp)
    }

    async fn answered(&self, request: Request<Incoming>) -> hyper::Response<Full<Bytes>> {
        let mut open = OpenRequest::came(&self.shared.reporter, request.method());
        let mut whole = None;
        let answer = self.answer(request, &mut open, &mut whole).await;
        open.answered(&answer);
        if whole.is_none() {
            self.caller.begins_anew();
        }
        answer.map(|body| Full::new(sent_for(body, whole)))
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        open: &mut OpenRequest<'_>,
        whole: &mut Option<WholeRequest>,
    ) -> ServedAnswer {
        if request.method() == Method::CONNECT {
            return of_host(StatusCode::NOT_IMPLEMENTED, "this is no proxy");
        }
        if !names_host(&request) {
            return of_host(StatusCode::BAD_REQUEST, "HTTP/1.1 wants one Host");
        }
        let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        if target > HTTP_TARGET_BYTES_MAX {
            return of_host(StatusCode::URI_TOO_LONG, "the target is too long");
        }
        let (head, body) = request.into_parts();
        let collected = timeout(HTTP_SERVER_BODY_TIME, self.collected(body, open)).await;
        let (body, room) = match collected {
            Ok(Ok(collected)) => collected,
            Ok(Err(answer)) => return answer,
            Err(_) => return of_host(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
        };
        *whole = Some(self.caller.has_whole_request());
        let Ok(_place) = self.places.try_acquire() else {
            return of_host(StatusCode::SERVICE_UNAVAILABLE, "too many requests wait");
        };
        let header = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| Header {
            name: name.as_str().to_owned(),
            value: value.as_bytes().to_vec(),
        };
        let asked = Asked {
            method: head.method.as_str().to_owned(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().map(str::to_owned),
            headers: head.headers.iter().map(header).collect(),
            body,
            peer: SocketAddr::new(self.peer.ip().to_canonical(), self.peer.port()).to_string(),
            time_left_ms: 0,
        };
        self.of_guest(asked, room, open).await
    }

    /// Hands the request over and waits for its answer.
    async fn of_guest(
        &self,
        request: Asked,
        room: Option<BodyRoom>,
        open: &mut OpenRequest<'_>,
    ) -> ServedAnswer {
        let (sender, answer) = oneshot::channel();
        let deadline = Instant::now() + self.shared.time;
        if self.has_ended() {
            return of_host(StatusCode::SERVICE_UNAVAILABLE, "the route has ended");
        }
        open.handed_over();
        self.shared.queue.put(WaitingRequest { request, deadline, answer: sender }, room);
        match timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) if self.has_ended() => of_host(StatusCode::SERVICE_UNAVAILABLE, "the route has ended"),
            Ok(Err(_)) => of_host(StatusCode::INTERNAL_SERVER_ERROR, "the route gave no answer"),
            Err(_) => of_host(StatusCode::GATEWAY_TIMEOUT, "the route took too long"),
        }
    }

    fn has_ended(&self) -> bool {
        *self.closing.borrow() || self.shared.has_ended.load(Ordering::Acquire)
    }

    /// The whole body, with the room that it takes.
    async fn collected(
        &self,
        mut body: Incoming,
        open: &mut OpenRequest<'_>,
    ) -> Result<(Vec<u8>, Option<BodyRoom>), ServedAnswer> {
        let most = self.shared.body_bytes_max;
        let too_large = || of_host(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long");
        if usize::try_from(body.size_hint().lower()).map_or(true, |length| length > most) {
            return Err(too_large());
        }
        let (mut bytes, mut room) = (Vec::new(), None::<BodyRoom>);
        while let Some(frame) = body.frame().await {
            let broken = |_| of_host(StatusCode::BAD_REQUEST, "the body did not come whole");
            // Behind the body there may be further fields, which are for nobody.
            let Ok(piece) = frame.map_err(broken)?.into_data() else { continue };
            open.received(piece.len());
            if piece.len() > most - bytes.len() {
                return Err(too_large());
            }
            let busy = || of_host(StatusCode::SERVICE_UNAVAILABLE, "too many requests wait");
            let may_exceed = || self.shared.services.acts_for_administrator();
            let further = self.caller.room(&self.shared.body_bytes, piece.len(), may_exceed);
            let further = further.await.ok_or_else(busy)?;
            match &mut room {
                Some(room) => room.merge(further),
                None => room = Some(further),
            }
            bytes.extend_from_slice(&piece);
        }
        Ok((bytes, room))
    }
}

/// Whether a request says once whom it is for, as HTTP/1.1 wants it (RFC 9112, §3.2); of older ones
/// nothing is known.
fn names_host(request: &Request<Incoming>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let count = hosts.by_ref().take(2).count();
    count == 1 || count == 0 && request.version() < Version::HTTP_11
}
