//! Recording proxy: forwards bytes between the guest and a real server, and records the
//! conversation.

use std::net::{Shutdown, TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lotmq_terminal::output;

use super::conversation::{Conversation, SaidTurn, Speaker};
use super::{FarWork, GOT_MAX, read, write};

/// Time without a word after which the conversation is taken to be over.
pub(super) const QUIET: Duration = Duration::from_millis(300);

/// Longest wait for the real server to accept.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Such a server.
pub(super) struct FarRecorder {
    server: String,
    file: PathBuf,
    said: Conversation,
    bytes: usize,
    connections: Vec<RecordedConnection>,
    last_word: Instant,
    failure: Option<String>,
}

/// Both sides of a connection; `None` where one has ended.
struct RecordedConnection {
    guest: Option<TcpStream>,
    server: Option<TcpStream>,
    to_guest: Vec<u8>,
    to_server: Vec<u8>,
}

impl FarRecorder {
    pub(super) fn new(server: &str, file: PathBuf) -> Self {
        let said = Conversation::default();
        let (server, last_word) = (server.to_owned(), Instant::now());
        Self { server, file, said, bytes: 0, connections: Vec::new(), last_word, failure: None }
    }

    fn connect(&self) -> anyhow::Result<TcpStream> {
        let place = self.server.to_socket_addrs()?.next().context("it has no address")?;
        let stream = TcpStream::connect_timeout(&place, CONNECT_TIME)?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    }
}

/// Writes the conversation with this server to a file, and prints its purpose; returns the error.
pub(super) fn write_down(said: &Conversation, file: &Path, (server, ways): (&str, &str)) -> Option<String> {
    if let Err(error) = std::fs::write(file, said.to_text()) {
        return Some(format!("cannot write {}: {error}", file.display()));
    }
    let turns: usize = said.0.iter().map(Vec::len).sum();
    let count = said.0.len();
    output::note(&format!(
        "recorded: {}, what {server} says: {ways}: {count}, turns: {turns}",
        file.display()
    ));
    None
}

impl FarWork for FarRecorder {
    fn accepted(&mut self, stream: TcpStream) {
        self.last_word = Instant::now();
        match self.connect() {
            Ok(server) => {
                let (guest, server) = (Some(stream), Some(server));
                let (to_guest, to_server) = (Vec::new(), Vec::new());
                self.connections.push(RecordedConnection { guest, server, to_guest, to_server });
                self.said.0.push(Vec::new());
            }
            Err(error) => {
                self.failure.get_or_insert(format!("cannot connect to {}: {error:#}", self.server));
            }
        }
    }

    fn goes_on(&mut self) {
        for (connection, turns) in self.connections.iter_mut().zip(&mut self.said.0) {
            let more = connection.goes_on(turns);
            if more.is_some() {
                self.last_word = Instant::now();
            }
            self.bytes += more.unwrap_or_default();
        }
        if self.bytes > GOT_MAX {
            self.failure.get_or_insert(format!("was told more than {} MiB", GOT_MAX >> 20));
            self.connections.clear();
        }
    }

    fn is_done(&self) -> bool {
        self.failure.is_some() || self.last_word.elapsed() > QUIET
    }

    fn judged(&mut self) -> Option<String> {
        let nobody = || {
            "nothing has connected, so that there is no conversation to record; a far side over UDP has `udp = true`"
                .to_owned()
        };
        let failure = self.failure.clone().or_else(|| self.said.0.is_empty().then(nobody));
        failure.or_else(|| write_down(&self.said, &self.file, (&self.server, "connections")))
    }
}

impl RecordedConnection {
    /// Forwards the available bytes. Returns their number, or `None` if neither side has sent any.
    fn goes_on(&mut self, turns: &mut Vec<SaidTurn>) -> Option<usize> {
        let mut said = None;
        if let Some(guest) = &self.guest {
            match read(guest) {
                Some(bytes) if bytes.is_empty() => {}
                Some(bytes) => {
                    said = Some(bytes.len());
                    note(turns, Speaker::Guest, &bytes);
                    self.to_server.extend(bytes);
                }
                None => self.guest = None,
            }
        }
        if let Some(server) = &self.server {
            match read(server) {
                Some(bytes) if bytes.is_empty() => {}
                Some(bytes) => {
                    said = Some(said.unwrap_or_default() + bytes.len());
                    note(turns, Speaker::Server, &bytes);
                    self.to_guest.extend(bytes);
                }
                // The guest ended first, so the server only followed.
                None if self.guest.is_none() => self.server = None,
                None => {
                    said = Some(said.unwrap_or_default());
                    turns.push(SaidTurn { from: Speaker::Server, bytes: Vec::new(), ends: true });
                    self.server = None;
                }
            }
        }
        if let Some(guest) = &self.guest {
            write(guest, &mut self.to_guest);
            if self.server.is_none() && self.to_guest.is_empty() {
                // Then it has ended already.
                let _ = guest.shutdown(Shutdown::Write);
            }
        }
        if let Some(server) = &self.server {
            write(server, &mut self.to_server);
            if self.guest.is_none() && self.to_server.is_empty() {
                let _ = server.shutdown(Shutdown::Write);
            }
        }
        said
    }
}

/// Appends bytes of one side to its turn, or begins a new turn.
fn note(turns: &mut Vec<SaidTurn>, from: Speaker, bytes: &[u8]) {
    match turns.last_mut().filter(|turn| turn.from == from) {
        Some(turn) => turn.bytes.extend_from_slice(bytes),
        None => turns.push(SaidTurn { from, bytes: bytes.to_vec(), ends: false }),
    }
}
