//! A connection to the server: commands go, and replies come in their order.

use lotmq_guest::route::{Failure, net};
use route_frames::Frames;

use crate::command::encode;
use crate::config::Config;
use crate::failures;
use crate::limits::{OPEN_MS, REPLY_BYTES_MAX};
use crate::reply::{Protocol, Reply, decode};

pub(crate) struct Link {
    frames: Frames,
    protocol: Protocol,
}

impl Link {
    /// Connects, and logs in.
    pub(crate) fn open(config: &Config) -> Result<Link, Failure> {
        let frames = Frames::open("redis", config.timeout_ms.min(OPEN_MS))?;
        let mut link = Link { frames, protocol: Protocol::Resp3 };
        link.greet(config)?;
        if config.database != 0 {
            link.must(&["SELECT", &config.database.to_string()])?;
        }
        Ok(link)
    }

    /// Negotiates the newer protocol with the login, or the older one with servers before 6.0.
    fn greet(&mut self, config: &Config) -> Result<(), Failure> {
        let login = config.login.as_ref();
        let user = login.and_then(|login| login.user.as_deref()).unwrap_or("default");
        let greeting = match login {
            Some(login) => vec!["HELLO", "3", "AUTH", user, &login.password],
            None => vec!["HELLO", "3"],
        };
        match self.ask(&greeting)? {
            Reply::Error(text) if text.starts_with("ERR") || text.starts_with("NOPROTO") => {
                self.protocol = Protocol::Resp2;
                match login {
                    Some(login) => match &login.user {
                        Some(user) => self.must(&["AUTH", user, &login.password]),
                        None => self.must(&["AUTH", &login.password]),
                    },
                    // Whether it lets us in.
                    None => self.must(&["PING"]),
                }
            }
            Reply::Error(text) => Err(refused(&text)),
            _ => Ok(()),
        }
    }

    /// A command that has to pass for the connection to be of use.
    fn must(&mut self, words: &[&str]) -> Result<(), Failure> {
        match self.ask(words)? {
            Reply::Error(text) => Err(refused(&text)),
            _ => Ok(()),
        }
    }

    /// Sends a command and waits for its reply.
    pub(crate) fn ask(&mut self, words: &[&str]) -> Result<Reply, Failure> {
        let mut out = Vec::new();
        encode(&mut out, words.iter());
        self.send(&out)?;
        self.reply()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.frames.send(bytes)
    }

    /// The next reply to a command.
    pub(crate) fn reply(&mut self) -> Result<Reply, Failure> {
        loop {
            match self.received()? {
                // Push messages of the server itself, such as those about its cache.
                Some(Reply::Push(_)) => {}
                Some(reply) => return Ok(reply),
                None => self.frames.read()?,
            }
        }
    }

    /// The next reply that has come, or message of a channel.
    pub(crate) fn received(&mut self) -> Result<Option<Reply>, Failure> {
        let bytes = self.frames.bytes();
        let Some((reply, length)) = decode(self.protocol, bytes).map_err(Failure::Reconnect)? else {
            if bytes.len() > REPLY_BYTES_MAX {
                return Err(Failure::Reconnect(format!("a reply is longer than {REPLY_BYTES_MAX} bytes")));
            }
            return Ok(None);
        };
        self.frames.done(length);
        Ok(Some(reply))
    }

    /// Takes bytes that are there, without waiting; whether there were any.
    pub(crate) fn take(&mut self) -> Result<bool, Failure> {
        self.frames.take()
    }

    pub(crate) fn readable(&self) -> net::Interest<'_> {
        self.frames.readable()
    }
}

/// Why the server does not let us in: for people, unless it is busy or another one now.
fn refused(text: &str) -> Failure {
    match failures::of(text) {
        Failure::Retry(reason) | Failure::Reconnect(reason) => Failure::Reconnect(reason),
        Failure::Reject(reason) | Failure::Fatal(reason) => Failure::Fatal(reason),
    }
}
