//! A connection to the server: commands go, and replies come in their order.

use std::io::{ErrorKind, Read as _, Write as _};

use lotmq_guest::route::{Connection, Failure, IoError, failure, net};

use crate::command::encode;
use crate::config::Config;
use crate::failures;
use crate::limits::{OPEN_MS, PIECE_BYTES, REPLY_BYTES_MAX};
use crate::reply::{Protocol, Reply, decode};

pub(crate) struct Link {
    connection: Connection,
    timeout_ms: u32,
    /// What came and is not done, from `taken`.
    input: Vec<u8>,
    taken: usize,
    protocol: Protocol,
}

impl Link {
    /// Connects, and logs in.
    pub(crate) fn open(config: &Config) -> Result<Link, Failure> {
        let timeout_ms = config.timeout_ms.min(OPEN_MS);
        let connection = Connection::open("redis", timeout_ms).map_err(|error| failure(&error))?;
        let mut link =
            Link { connection, timeout_ms, input: Vec::new(), taken: 0, protocol: Protocol::Resp3 };
        link.greet(config)?;
        if config.database != 0 {
            link.must(&["SELECT", &config.database.to_string()])?;
        }
        Ok(link)
    }

    /// Agrees on the newer protocol with who is allowed in; with servers before 6.0 on the older one.
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
        self.connection.write_all(bytes).map_err(|error| self.away(&error))
    }

    /// The next reply to a command.
    pub(crate) fn reply(&mut self) -> Result<Reply, Failure> {
        loop {
            match self.received()? {
                // Of the server itself, such as what it says of its cache.
                Some(Reply::Push(_)) => {}
                Some(reply) => return Ok(reply),
                None => self.read()?,
            }
        }
    }

    /// The next reply that has come, or message of a channel.
    pub(crate) fn received(&mut self) -> Result<Option<Reply>, Failure> {
        let bytes = self.input.get(self.taken..).unwrap_or_default();
        let Some((reply, length)) = decode(self.protocol, bytes).map_err(Failure::Reconnect)? else {
            if bytes.len() > REPLY_BYTES_MAX {
                return Err(Failure::Reconnect(format!("a reply is longer than {REPLY_BYTES_MAX} bytes")));
            }
            return Ok(None);
        };
        self.taken += length;
        Ok(Some(reply))
    }

    /// Waits for bytes.
    fn read(&mut self) -> Result<(), Failure> {
        self.make_room();
        let start = self.input.len();
        self.input.resize(start + PIECE_BYTES, 0);
        let read = self.connection.read(&mut self.input[start..]);
        self.input.truncate(start + read.as_ref().copied().unwrap_or_default());
        match read {
            Ok(0) => Err(ended()),
            Ok(_) => Ok(()),
            Err(error) => Err(self.away(&error)),
        }
    }

    /// Takes bytes that are there, without waiting; whether there were any.
    pub(crate) fn take(&mut self) -> Result<bool, Failure> {
        self.make_room();
        match self.connection.tcp().read(u32::try_from(PIECE_BYTES).unwrap_or(u32::MAX)) {
            Ok(bytes) if bytes.is_empty() => Err(ended()),
            Ok(bytes) => {
                self.input.extend_from_slice(&bytes);
                Ok(true)
            }
            Err(IoError::WouldBlock) => Ok(false),
            Err(error) => Err(failure(&error)),
        }
    }

    fn make_room(&mut self) {
        self.input.drain(..self.taken);
        self.taken = 0;
    }

    pub(crate) fn readable(&self) -> net::Interest<'_> {
        net::Interest::Readable(self.connection.tcp())
    }

    fn away(&self, error: &std::io::Error) -> Failure {
        match error.kind() {
            ErrorKind::TimedOut => {
                Failure::Reconnect(format!("it has not answered for {} s", self.timeout_ms.div_ceil(1000)))
            }
            _ => Failure::Reconnect(error.to_string()),
        }
    }
}

fn ended() -> Failure {
    Failure::Reconnect("it has ended the connection".to_owned())
}

/// Why the server does not let us in: for people, unless it is busy or another one now.
fn refused(text: &str) -> Failure {
    match failures::of(text) {
        Failure::Retry(reason) | Failure::Reconnect(reason) => Failure::Reconnect(reason),
        Failure::Reject(reason) | Failure::Fatal(reason) => Failure::Fatal(reason),
    }
}
