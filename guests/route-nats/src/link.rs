//! Connection to the server: sends messages, and reads the server's answers in order.

use lotmq_guest::route::{Failure, net};
use route_frames::Frames;
use serde_json::{Map, Value as Json, json};

use crate::config::{Config, Login};
use crate::frame::{Frame, decode};
use crate::limits::{FRAME_BYTES_MAX, OPEN_MS};

pub(crate) struct Link {
    frames: Frames,
    /// Bytes of the largest message that the server takes.
    pub(crate) payload_max: usize,
    /// Whether it takes headers.
    pub(crate) has_headers: bool,
}

impl Link {
    /// Connects, and logs in. With `is_verbose` the server answers each thing that it is sent.
    pub(crate) fn open(config: &Config, is_verbose: bool) -> Result<Link, Failure> {
        let frames = Frames::open("nats", config.timeout_ms.min(OPEN_MS))?;
        let mut link = Link { frames, payload_max: 0, has_headers: false };
        let info = match link.frame()? {
            Frame::Info(info) => info,
            Frame::Error(text) => return Err(refused(&text)),
            _ => return Err(Failure::Reconnect("its first word is not INFO".to_owned())),
        };
        link.payload_max = info["max_payload"]
            .as_u64()
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(FRAME_BYTES_MAX);
        link.has_headers = info["headers"] == true;
        match (config.is_secure, info["tls_required"] == true || info["tls_available"] == true) {
            (true, true) => link.frames.start_tls()?,
            (true, false) => {
                return Err(Failure::Fatal("the server has no TLS, for which USE_TLS asks".to_owned()));
            }
            (false, true) if info["tls_required"] == true => {
                return Err(Failure::Fatal("the server wants TLS: USE_TLS TRUE".to_owned()));
            }
            (false, _) => {}
        }
        let hello = format!("CONNECT {}\r\nPING\r\n", link.greeting(config, is_verbose));
        link.send(hello.as_bytes())?;
        loop {
            match link.frame()? {
                Frame::Pong => return Ok(link),
                Frame::Error(text) => return Err(refused(&text)),
                Frame::Ok | Frame::Info(_) | Frame::Ping | Frame::Message(_) => {}
            }
        }
    }

    fn greeting(&self, config: &Config, is_verbose: bool) -> Json {
        let mut said = Map::new();
        for (name, value) in [
            ("verbose", json!(is_verbose)),
            ("pedantic", json!(false)),
            ("tls_required", json!(config.is_secure)),
            ("name", json!("lotmq")),
            ("lang", json!("rust")),
            ("version", json!(env!("CARGO_PKG_VERSION"))),
            ("protocol", json!(1)),
            ("echo", json!(true)),
            ("headers", json!(self.has_headers)),
            ("no_responders", json!(self.has_headers)),
        ] {
            said.insert(name.to_owned(), value);
        }
        match &config.login {
            Login::None => {}
            Login::User { user, password } => {
                said.insert("user".to_owned(), user.as_str().into());
                said.insert("pass".to_owned(), password.as_str().into());
            }
            Login::Token(token) => drop(said.insert("auth_token".to_owned(), token.as_str().into())),
        }
        said.into()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.frames.send(bytes)
    }

    /// The next frame; signs of life are given meanwhile.
    pub(crate) fn frame(&mut self) -> Result<Frame, Failure> {
        loop {
            match self.received()? {
                Some(frame) => return Ok(frame),
                None => self.frames.read()?,
            }
        }
    }

    /// The next frame that has come.
    pub(crate) fn received(&mut self) -> Result<Option<Frame>, Failure> {
        loop {
            let decoded = decode(self.frames.bytes(), FRAME_BYTES_MAX).map_err(Failure::Reconnect)?;
            let Some((frame, length)) = decoded else {
                return Ok(None);
            };
            self.frames.done(length);
            if frame != Frame::Ping {
                return Ok(Some(frame));
            }
            self.send(b"PONG\r\n")?;
        }
    }

    /// Takes bytes that are there, without waiting; whether there were any.
    pub(crate) fn take(&mut self) -> Result<bool, Failure> {
        self.frames.take()
    }

    pub(crate) fn readable(&self) -> net::Interest<'_> {
        self.frames.readable()
    }
}

/// Maps an error of the server to a failure of the route.
pub(crate) fn refused(text: &str) -> Failure {
    let lower = text.to_ascii_lowercase();
    let is_for_people =
        ["authorization violation", "user authentication", "invalid client", "secure connection"];
    if is_for_people.iter().any(|known| lower.starts_with(known)) {
        return Failure::Fatal(text.to_owned());
    }
    Failure::Reconnect(text.to_owned())
}
