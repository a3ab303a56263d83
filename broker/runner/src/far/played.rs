//! A server that replays a recorded conversation, if the guest sends the recorded bytes.

use std::io::ErrorKind;
use std::net::{Shutdown, TcpStream};
use std::path::Path;

use anyhow::Context as _;

use super::conversation::{Conversation, SaidTurn, Speaker};
use super::{FarWork, read, write};

/// Bytes around the first difference that are shown.
const SHOWN_BYTES: usize = 200;

/// Such a server.
pub(super) struct Played {
    said: Conversation,
    connections: Vec<PlayedConnection>,
    /// First thing that was not as recorded.
    differs: Option<String>,
}

struct PlayedConnection {
    stream: TcpStream,
    is_open: bool,
    /// Turns that are over.
    turn: usize,
    /// Received bytes that are not part of a turn yet.
    heard: Vec<u8>,
    unsent: Vec<u8>,
    /// Whether the server ends its direction behind that.
    ends: bool,
}

/// Reads a recorded conversation, with the `server` of the case, if it has one.
///
/// # Errors
/// There is no such recording.
pub(super) fn recorded(file: &Path, server: Option<&str>) -> anyhow::Result<Conversation> {
    let found = Conversation::read(file);
    let is_missing = found.as_ref().is_err_and(|error| {
        error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::NotFound)
    });
    match server {
        Some(server) if is_missing => found.with_context(|| {
            format!("nothing was recorded yet: lotmq guest test --record does so, of what {server} says")
        }),
        None if is_missing => found.with_context(|| {
            "nothing was recorded yet: lotmq guest test --record does so, where the far side has a `server`"
        }),
        _ => found,
    }
}

impl Played {
    pub(super) fn new(said: Conversation) -> Self {
        Self { said, connections: Vec::new(), differs: None }
    }

    fn unfinished(&self) -> Option<String> {
        if let Some(said) = self.said.0.get(self.connections.len()) {
            let whole = self.said.0.len();
            let turns = said.len();
            return Some(format!(
                "got {} of the {whole} connections that were recorded; the next one has {turns} turns",
                self.connections.len()
            ));
        }
        let of_each = self.connections.iter().zip(&self.said.0).enumerate();
        let mut missing = of_each.filter_map(|(number, (connection, turns))| {
            let turn = turns.get(connection.turn)?;
            let (wanted, got) = (shown(&turn.bytes), shown(&connection.heard));
            Some(format!("expected {wanted} on connection {}, got {got}", number + 1))
        });
        missing.next()
    }
}

impl FarWork for Played {
    fn accepted(&mut self, stream: TcpStream) {
        if self.connections.len() == self.said.0.len() {
            let said = format!("got a connection more than the {} that were recorded", self.said.0.len());
            self.differs.get_or_insert(said);
            return;
        }
        let (heard, unsent) = (Vec::new(), Vec::new());
        self.connections.push(PlayedConnection {
            stream,
            is_open: true,
            turn: 0,
            heard,
            unsent,
            ends: false,
        });
    }

    fn goes_on(&mut self) {
        for (number, (connection, turns)) in self.connections.iter_mut().zip(&self.said.0).enumerate() {
            if let Some(differs) = connection.goes_on(turns) {
                // The guest must not wait for an answer to a request that is not in the recording.
                connection.is_open = false;
                let _ = connection.stream.shutdown(Shutdown::Both);
                self.differs.get_or_insert(format!("{differs} on connection {}", number + 1));
            }
        }
    }

    fn is_done(&self) -> bool {
        self.differs.is_some() || self.unfinished().is_none()
    }

    fn judged(&mut self) -> Option<String> {
        self.differs.take().or_else(|| self.unfinished())
    }
}

impl PlayedConnection {
    /// Goes on as far as possible; returns how the guest's bytes differ from the recorded ones.
    fn goes_on(&mut self, turns: &[SaidTurn]) -> Option<String> {
        if !self.is_open {
            return None;
        }
        match read(&self.stream) {
            Some(bytes) => self.heard.extend(bytes),
            None => self.is_open = false,
        }
        while let Some(turn) = turns.get(self.turn) {
            match turn.from {
                Speaker::Server => {
                    self.unsent.extend_from_slice(&turn.bytes);
                    self.ends |= turn.ends;
                }
                Speaker::Guest => {
                    let so_far = self.heard.len().min(turn.bytes.len());
                    if self.heard.get(..so_far) != turn.bytes.get(..so_far) {
                        let (wanted, got) = (shown(&turn.bytes), shown(&self.heard));
                        return Some(format!("expected {wanted}, got {got}"));
                    }
                    if so_far < turn.bytes.len() {
                        break;
                    }
                    self.heard.drain(..so_far);
                }
            }
            self.turn += 1;
        }
        write(&self.stream, &mut self.unsent);
        if self.ends && self.unsent.is_empty() {
            // Then the guest has ended before.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        let is_over = self.turn == turns.len() && !self.heard.is_empty();
        is_over.then(|| format!("got {} behind all that was recorded", shown(&self.heard)))
    }
}

/// Bytes as a literal of Rust has them, at most so many.
pub(super) fn shown(bytes: &[u8]) -> String {
    let part = bytes.get(..SHOWN_BYTES.min(bytes.len())).unwrap_or_default();
    let cut = if part.len() < bytes.len() { " …" } else { "" };
    format!("\"{}\"{cut}", part.escape_ascii())
}
