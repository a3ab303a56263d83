//! Fetches a JSON Web Key Set over HTTPS: one request and no redirection.
//!
//! Invariants: a fetch ends within its time, and takes at most [`KEY_SET_BYTES_MAX`] bytes. Without
//! TLS it connects to loopback addresses alone, unless the operator allows others. The authorities
//! are read anew each time, so that a renewed file takes effect.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use lotmq_chain::{ShortServerChains, authorities, pem};
use lotmq_config::Jwt;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::key_error::KeyError;
use crate::limits::{FETCH_HEAD_BYTES_MAX, FETCH_HEADERS_MAX, KEY_SET_BYTES_MAX};
use crate::read_file::read_file;

/// Fetcher of one key set. Blocks its thread.
pub(crate) struct Fetcher {
    address: Uri,
    authorities: Option<PathBuf>,
    may_leave_machine: bool,
    time: Duration,
    runtime: tokio::runtime::Runtime,
}

impl Fetcher {
    /// A fetcher of `jwks_url`; `None` if it is not set.
    ///
    /// # Errors
    /// [`KeyError::Unreachable`] for an address that HTTP does not take, [`KeyError::Unreadable`]
    /// if the system gives no sockets.
    pub(crate) fn new(config: &Jwt) -> Result<Option<Self>, KeyError> {
        let Some(address) = &config.jwks_url else { return Ok(None) };
        let address: Uri = address.text().parse().map_err(unreachable)?;
        if address.host().is_none() {
            return Err(KeyError::Unreachable("the address has no host".to_owned()));
        }
        let is_encrypted = address.scheme_str() == Some("https");
        Ok(Some(Self {
            address,
            authorities: config.jwks_ca.clone(),
            may_leave_machine: is_encrypted || config.jwks_allow_http,
            time: Duration::from_millis(u64::from(config.jwks_timeout_ms)),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        }))
    }

    /// Fetches the bytes of the key set.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub(crate) fn fetch(&self) -> Result<Bytes, KeyError> {
        let within_time = async { timeout(self.time, self.exchange()).await };
        self.runtime.block_on(within_time).unwrap_or(Err(KeyError::TimedOut(self.time.as_millis())))
    }

    /// Ends without waiting for a name that is being resolved.
    pub(crate) fn end(self) {
        self.runtime.shutdown_background();
    }

    async fn exchange(&self) -> Result<Bytes, KeyError> {
        let is_encrypted = self.address.scheme_str() == Some("https");
        // An IPv6 address stands in brackets.
        let host = self.address.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = self.address.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
        if !is_encrypted {
            return self.ask(self.connect(host, port).await?).await;
        }
        let connector = TlsConnector::from(Arc::new(self.tls()?));
        let name = ServerName::try_from(host.to_owned()).map_err(unreachable)?;
        let stream = self.connect(host, port).await?;
        self.ask(connector.connect(name, stream).await.map_err(unreachable)?).await
    }

    /// Connects to the first address that answers.
    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, KeyError> {
        let found = tokio::net::lookup_host((host, port)).await.map_err(unreachable)?;
        let may_reach = |address: &SocketAddr| self.may_leave_machine || address.ip().is_loopback();
        let addresses: Vec<_> = found.filter(may_reach).collect();
        let mut fault = KeyError::Unreachable(format!("{host} has no address that is allowed"));
        for address in &addresses {
            // A silent address leaves time for the next one.
            let share = self.time / u32::try_from(addresses.len()).unwrap_or(u32::MAX);
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => fault = unreachable(error),
                Err(_) => fault = KeyError::TimedOut(share.as_millis()),
            }
        }
        Err(fault)
    }

    fn tls(&self) -> Result<ClientConfig, KeyError> {
        let (roots, named) = match &self.authorities {
            None => (authorities::of_system().map_err(KeyError::Authorities)?, Vec::new()),
            Some(path) => {
                let in_file = |error: String| KeyError::Authorities(format!("{}: {error}", path.display()));
                let bytes = read_file(path).map_err(|error| in_file(error.to_string()))?;
                let named = pem::certificates(&bytes).map_err(|error| in_file(error.to_string()))?;
                let mut roots = RootCertStore::empty();
                for certificate in &named {
                    roots.add(certificate.clone()).map_err(|error| in_file(error.to_string()))?;
                }
                (roots, named)
            }
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let judge = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let judge = judge.build().map_err(|error| KeyError::Authorities(error.to_string()))?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| KeyError::Authorities(error.to_string()))?;
        let builder = builder.dangerous();
        let builder = builder.with_custom_certificate_verifier(Arc::new(ShortServerChains { judge, named }));
        Ok(builder.with_no_client_auth())
    }

    /// Asks over an open connection.
    async fn ask(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Bytes, KeyError> {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(FETCH_HEAD_BYTES_MAX).max_headers(FETCH_HEADERS_MAX);
        let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
        let target = self.address.path_and_query().map_or("/", |target| target.as_str());
        let authority = self.address.authority().map_or("", |authority| authority.as_str());
        let request = Request::get(target)
            .header(HOST, authority)
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .header(USER_AGENT, "lotmq")
            .body(Empty::<Bytes>::new())
            .map_err(unreachable)?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(unreachable)?;
            if response.status() != StatusCode::OK {
                return Err(KeyError::Status(response.status().as_u16()));
            }
            let body = Limited::new(response.into_body(), KEY_SET_BYTES_MAX).collect().await;
            body.map(|body| body.to_bytes()).map_err(|error| {
                let is_too_large = error.is::<http_body_util::LengthLimitError>();
                if is_too_large { KeyError::TooLarge } else { KeyError::Unreachable(error.to_string()) }
            })
        };
        tokio::pin!(exchange);
        tokio::select! {
            asked = &mut exchange => asked,
            // The response may be complete when the connection ends.
            _ = connection => exchange.await,
        }
    }
}

fn unreachable(error: impl std::error::Error) -> KeyError {
    // Errors of `hyper` name their cause by `source` alone.
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    KeyError::Unreachable(format!("{error}{cause}"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lotmq_test_support::{Answer, Authority, HttpServer, free_address};

    use super::*;
    use crate::policy::tests::section;

    fn fetched(address: &str, others: &str) -> Result<Bytes, String> {
        let config = section(&format!("jwks_url = '{address}'\n{others}"));
        let fetcher = Fetcher::new(&config).unwrap().unwrap();
        let fetched = fetcher.fetch().map_err(|error| error.to_string());
        fetcher.end();
        fetched
    }

    fn response(head: &str, body: &[u8]) -> Answer {
        Answer::Close([format!("HTTP/1.1 {head}\r\n\r\n").as_bytes(), body].concat())
    }

    fn trusting(authority: &Path) -> String {
        format!("jwks_ca = '{}'", authority.display())
    }

    #[test]
    fn key_sets_are_fetched_over_tls() {
        let authority = Authority::new();
        let tls = Some(authority.server("own").server_config());
        let answer = |_: &_| response("200 OK\r\nContent-Length: 2", b"{}");
        let server = HttpServer::start_at(free_address(), tls, answer);
        for host in ["localhost", "127.0.0.1"] {
            let address = format!("https://{host}:{}/a/jwks?b=c", server.address.port());
            assert_eq!(fetched(&address, &trusting(&authority.file())), Ok(Bytes::from_static(b"{}")));
            let refused = fetched(&address, &trusting(&Authority::new().file())).unwrap_err();
            assert!(refused.starts_with("cannot be fetched: "), "{refused}");
            let refused = fetched(&address, "").unwrap_err();
            assert!(refused.contains("ertificate"), "{refused}");
        }
        let head = server.asked().remove(0).head;
        assert!(head.starts_with("GET /a/jwks?b=c HTTP/1.1\r\n"), "{head}");
        assert!(
            head.to_lowercase().contains(&format!("host: localhost:{}\r\n", server.address.port())),
            "{head}"
        );
        let refused = fetched("https://localhost:1/", "jwks_ca = '/nowhere/ca.pem'").unwrap_err();
        assert!(refused.contains("/nowhere/ca.pem: cannot be read"), "{refused}");
    }

    #[test]
    fn other_answers_than_a_short_200_are_failures() {
        let chunked = "200 OK\r\nTransfer-Encoding: chunked";
        let elsewhere = "302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0";
        let long = vec![b' '; KEY_SET_BYTES_MAX + 1];
        let announced = format!("200 OK\r\nContent-Length: {}", long.len());
        for (head, body, expected) in [
            ("200 OK", &b"{}"[..], Ok(&b"{}"[..])),
            (chunked, b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", Ok(b"{}")),
            (elsewhere, b"", Err("was answered with HTTP status 302")),
            ("404 Not Found\r\nContent-Length: 0", b"", Err("was answered with HTTP status 404")),
            ("500 Oops\r\nContent-Length: 0", b"", Err("was answered with HTTP status 500")),
            (&announced, &long, Err("has more than 262144 bytes")),
            ("200 OK", &long, Err("has more than 262144 bytes")),
            ("200 OK\r\nContent-Length: 9", b"{}", Err("cannot be fetched: ")),
            ("nonsense", b"", Err("cannot be fetched: ")),
        ] {
            let body = body.to_vec();
            let of_thread = head.to_owned();
            let server = HttpServer::start(move |_| response(&of_thread, &body));
            let fetched = fetched(&format!("http://{}/", server.address), "");
            match (&fetched, expected) {
                (Ok(bytes), Ok(expected)) => assert_eq!(bytes, expected, "{head}"),
                (Err(fault), Err(expected)) => assert!(fault.starts_with(expected), "{head}: {fault}"),
                (Ok(_) | Err(_), _) => panic!("{head}: {fetched:?}"),
            }
        }
    }

    #[test]
    fn a_silent_server_ends_the_fetch_in_time() {
        for begin in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"] {
            let server = HttpServer::start(move |_| Answer::Stall(begin.into()));
            let fault = fetched(&format!("http://{}/", server.address), "jwks_timeout_ms = 100");
            assert_eq!(fault, Err("was not fetched within 100 ms".to_owned()));
        }
        let fault = fetched(&format!("http://{}/", free_address()), "").unwrap_err();
        assert!(fault.starts_with("cannot be fetched: "), "{fault}");
    }

    /// A name that belongs to this machine today may belong to another one tomorrow.
    #[test]
    fn plain_connections_stay_on_this_machine() {
        let mut jwt = section("jwks_url = 'http://192.0.2.1/'\njwks_allow_http = true");
        jwt.jwks_allow_http = false;
        let fetcher = Fetcher::new(&jwt).unwrap().unwrap();
        let fault = fetcher.fetch().unwrap_err().to_string();
        assert_eq!(fault, "cannot be fetched: 192.0.2.1 has no address that is allowed");
    }
}
