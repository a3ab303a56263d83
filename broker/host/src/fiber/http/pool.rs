//! Connections to HTTP servers that an instance keeps, and how a request finds one.
//!
//! Invariants: a connection is given to one request at a time; one that is kept is closed when its
//! time is over, when the server closes it or sends what nobody asked for, and when there are too
//! many; a request that may have been sent is not sent again.

use super::{
    super::{
        bindings::lotmq::guest::http::HttpError,
        dial::{CONNECT_TIME_MAX, Dialer, Place},
        endpoint::Endpoint,
        http_event::HttpEvent,
        tcp::Tcp,
    },
    error::of_hyper,
    exchange::Reporter,
    request::RequestBody,
    stream::HttpStream,
};
use crate::limits::{
    HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX, HTTP_IDLE_CONNECTIONS_MAX, HTTP_IDLE_TIME, HTTP_READY_WAIT,
    HTTP_REQUEST_BYTES_MAX,
};
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    task::{JoinHandle, yield_now},
    time::{Instant, sleep_until, timeout_at},
};

/// A task that ends when nobody has it any more.
pub(super) struct OwnedTask<T>(pub(super) JoinHandle<T>);

impl<T> Drop for OwnedTask<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An open connection. Dropping it closes it.
pub(super) struct HttpConnection {
    /// Name of its endpoint.
    name: String,
    sender: SendRequest<RequestBody>,
    address: IpAddr,
    /// Task that reads and writes it.
    _driver: OwnedTask<()>,
}

/// Connections of one instance that wait for requests.
pub(in crate::fiber) struct HttpPool {
    idle: Mutex<Idle>,
    /// How long one may wait.
    idle_time: Duration,
    /// Bytes of bodies that may be on their way.
    pub(in crate::fiber) request_bytes: Arc<Semaphore>,
}

#[derive(Default)]
struct Idle {
    /// With the time when they came, the one that was used last at the end.
    connections: VecDeque<(Instant, HttpConnection)>,
    /// Task that closes expired connections, while there are any.
    closer: Option<OwnedTask<()>>,
}

/// A request on its way to a connection.
pub(in crate::fiber) struct HttpJob {
    /// Name of its endpoint.
    pub(in crate::fiber) name: String,
    pub(in crate::fiber) endpoint: Endpoint,
    pub(in crate::fiber) request: Request<RequestBody>,
    pub(in crate::fiber) dialer: Dialer,
    pub(in crate::fiber) deadline: Instant,
    pub(in crate::fiber) reporter: Reporter,
}

/// A response whose body has not been read, and its connection.
pub(super) struct HttpAnswer {
    pub(super) response: Response<Incoming>,
    pub(super) connection: HttpConnection,
}

impl Default for HttpPool {
    fn default() -> Self {
        let request_bytes = Arc::new(Semaphore::new(HTTP_REQUEST_BYTES_MAX));
        HttpPool { idle: Mutex::default(), idle_time: HTTP_IDLE_TIME, request_bytes }
    }
}

impl HttpJob {
    /// Sends the request and waits for the head of its response.
    pub(super) async fn answered(self, pool: Arc<HttpPool>) -> Result<HttpAnswer, HttpError> {
        let deadline = self.deadline;
        timeout_at(deadline, self.sent(pool)).await.unwrap_or(Err(HttpError::TimedOut))
    }

    async fn sent(mut self, pool: Arc<HttpPool>) -> Result<HttpAnswer, HttpError> {
        loop {
            let kept = pool.take(&self.name, &self.dialer).await;
            let is_new = kept.is_none();
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.connected().await?,
            };
            let mut error = match connection.sender.try_send_request(self.request).await {
                Ok(response) => return Ok(HttpAnswer { response, connection }),
                Err(error) => error,
            };
            match error.take_message() {
                Some(unsent) if !is_new => self.request = unsent,
                Some(_) | None => return Err(of_hyper(&error.into_error())),
            }
        }
    }

    async fn connected(&self) -> Result<HttpConnection, HttpError> {
        let place = Place { host: self.endpoint.host.clone(), port: self.endpoint.port };
        let deadline = self.deadline.min(Instant::now() + CONNECT_TIME_MAX);
        let connect = async {
            let stream = self.dialer.connect(&place, deadline).await?;
            Tcp::connected(stream, self.endpoint.clone()).await
        };
        let tcp = timeout_at(deadline, connect).await.map_err(|_| HttpError::TimedOut)??;
        let connection = HttpConnection::over(tcp, self.name.clone()).await?;
        self.reporter.note(HttpEvent::Connected);
        Ok(connection)
    }
}

impl HttpConnection {
    async fn over(tcp: Tcp, name: String) -> Result<Self, HttpError> {
        let address = tcp.address().map_err(|_| HttpError::Closed)?;
        let mut settings = http1::Builder::new();
        settings.max_buf_size(HTTP_HEAD_BYTES_MAX).max_headers(HTTP_HEADERS_MAX);
        let made = settings.handshake(HttpStream::new(tcp)).await;
        let (sender, driver) = made.map_err(|error| of_hyper(&error))?;
        let driver = OwnedTask(tokio::spawn(async move {
            // The request or the response reports the error.
            let _ = driver.await;
        }));
        Ok(HttpConnection { name, sender, address, _driver: driver })
    }
}

impl HttpPool {
    /// A connection to an endpoint that takes a request, and whose address is still allowed.
    async fn take(&self, name: &str, dialer: &Dialer) -> Option<HttpConnection> {
        while let Some(mut connection) = self.kept(name) {
            // Lets the driver see events that came meanwhile, such as the end.
            yield_now().await;
            let is_allowed = dialer.services.refuses_address(connection.address).is_none();
            if !is_allowed || connection.sender.is_closed() {
                continue;
            }
            let until = Instant::now() + HTTP_READY_WAIT;
            if timeout_at(until, connection.sender.ready()).await.is_ok_and(|ready| ready.is_ok()) {
                return Some(connection);
            }
        }
        None
    }

    /// The connection to an endpoint that was used last.
    fn kept(&self, name: &str) -> Option<HttpConnection> {
        let connections = &mut self.idle.lock().connections;
        let found = connections.iter().rposition(|(_, connection)| connection.name == name)?;
        connections.remove(found).map(|(_, connection)| connection)
    }

    /// Keeps a connection whose response was read to its end.
    pub(super) fn put(self: &Arc<Self>, connection: HttpConnection) {
        if connection.sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock();
        if idle.connections.len() >= HTTP_IDLE_CONNECTIONS_MAX {
            idle.connections.pop_front();
        }
        idle.connections.push_back((Instant::now(), connection));
        if idle.closer.is_none() {
            idle.closer = Some(OwnedTask(tokio::spawn(close_in_time(Arc::downgrade(self)))));
        }
    }

    /// Closes those whose time is over. Gives the time when it has to be called next, or nothing
    /// when there are none left.
    fn close_old(&self) -> Option<Instant> {
        let mut idle = self.idle.lock();
        let now = Instant::now();
        while let Some((since, _)) = idle.connections.front() {
            let until = *since + self.idle_time;
            if until > now {
                return Some(until);
            }
            idle.connections.pop_front();
        }
        // It ends now by itself.
        idle.closer = None;
        None
    }
}

async fn close_in_time(pool: Weak<HttpPool>) {
    while let Some(until) = pool.upgrade().and_then(|pool| pool.close_old()) {
        sleep_until(until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lotmq_test_support::{Answer, HttpServer, WAIT_MAX};
    use tokio::{net::TcpStream, time::sleep};

    async fn connection(server: &HttpServer) -> HttpConnection {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let tcp = Tcp::plain(stream, Endpoint::default()).unwrap();
        HttpConnection::over(tcp, "server".to_owned()).await.unwrap()
    }

    async fn has_open(server: &HttpServer, count: usize) {
        let deadline = Instant::now() + WAIT_MAX;
        while server.open() != count {
            assert!(Instant::now() < deadline, "{} connections are open, and not {count}", server.open());
            sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn connections_are_closed_when_there_are_too_many_and_when_their_time_is_over() {
        let server = HttpServer::start(|_| Answer::of(200, ""));
        let pool = Arc::new(HttpPool { idle_time: Duration::from_secs(3600), ..HttpPool::default() });
        for _ in 0..HTTP_IDLE_CONNECTIONS_MAX + 3 {
            pool.put(connection(&server).await);
        }
        has_open(&server, HTTP_IDLE_CONNECTIONS_MAX).await;
        assert!(pool.kept("other").is_none() && pool.kept("server").is_some());
        has_open(&server, HTTP_IDLE_CONNECTIONS_MAX - 1).await;
        drop(pool);
        has_open(&server, 0).await;

        let pool = Arc::new(HttpPool { idle_time: Duration::from_millis(20), ..HttpPool::default() });
        // Also when it happens again.
        for _ in 0..2 {
            let accepted = server.accepted() + 3;
            for _ in 0..3 {
                pool.put(connection(&server).await);
            }
            while server.accepted() < accepted {
                sleep(Duration::from_millis(5)).await;
            }
            has_open(&server, 0).await;
            assert!(pool.kept("server").is_none());
        }
    }
}
