//! Connection to the server: sends messages, and reads the server's answers in order.

use lotmq_guest::route::{Failure, net};
use nats_protocol::{Frame, Server, decode, is_for_people};
use route_frames::Frames;

use crate::config::Config;
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
        let server = Server::of(&info, FRAME_BYTES_MAX);
        (link.payload_max, link.has_headers) = (server.payload_max, server.has_headers);
        match (config.is_secure, server.has_tls) {
            (true, true) => link.frames.start_tls()?,
            (true, false) => {
                return Err(Failure::Fatal("the server has no TLS, for which USE_TLS asks".to_owned()));
            }
            (false, true) if server.needs_tls => {
                return Err(Failure::Fatal("the server wants TLS: USE_TLS TRUE".to_owned()));
            }
            (false, _) => {}
        }
        link.send(server.greeting(&config.login, config.is_secure, is_verbose).as_bytes())?;
        loop {
            match link.frame()? {
                Frame::Pong => return Ok(link),
                Frame::Error(text) => return Err(refused(&text)),
                Frame::Ok | Frame::Info(_) | Frame::Ping | Frame::Message(_) => {}
            }
        }
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
    match is_for_people(text) {
        true => Failure::Fatal(text.to_owned()),
        false => Failure::Reconnect(text.to_owned()),
    }
}
