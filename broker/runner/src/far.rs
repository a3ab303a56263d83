//! Servers of a case, which the routes of its program connect to, with the data that they send and
//! receive.
//!
//! Each server has a [`FarWork`]. It plays the script of the case ([`scripted`], over UDP
//! [`datagrams`]) or a recorded conversation ([`played`], [`played_datagrams`]). A recorder
//! forwards all traffic to a real server and records it ([`recorder`], [`datagram_recorder`]).

mod conversation;
mod datagram_recorder;
mod datagrams;
mod played;
mod played_datagrams;
mod recorder;
mod scripted;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use parking_lot::Mutex;
use serde::Deserialize;

use crate::encoding::Encoding;
use crate::keys::Pieces;
use crate::test_folder::TestFolder;
use conversation::Conversation;
use datagram_recorder::DatagramRecorder;
use datagrams::FarDatagrams;
use played::Played;
use played_datagrams::PlayedDatagrams;
use recorder::FarRecorder;
use scripted::Scripted;

/// Most received bytes that a server keeps; more is an error of the case.
pub(crate) const GOT_MAX: usize = 1 << 20;

/// Most connections that one has in a case; further ones are closed at once.
const CONNECTIONS_MAX: usize = 64;

/// Longest wait at the end of a case for data on its way.
const PATIENCE: Duration = Duration::from_secs(2);

/// Period at which a server polls for data.
const LOOK: Duration = Duration::from_millis(1);

/// A server on this machine, as its case describes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FarSide {
    /// Bytes that the server sends as soon as a client connects.
    sends: String,
    /// Answers, by the end of the bytes received since the last answer.
    answers: BTreeMap<String, String>,
    /// Whether it ends its direction when it has sent that.
    ends: bool,
    /// Whether it takes datagrams in place of connections.
    udp: bool,
    /// The first datagrams, so many, get lost on their way to it.
    loses: usize,
    /// How bytes are written in all these.
    encoding: Encoding,
    /// All data that it is to receive.
    gets: Option<Pieces>,
    /// A part of that.
    contains: Option<String>,
    /// File with a recorded conversation between a real server and the guest. The far side replays
    /// the server.
    recorded: Option<String>,
    /// The real server, host and port.
    server: Option<String>,
}

/// Location of the files of a case, and whether recordings are made anew.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recordings<'a> {
    /// Folder of the file with the cases.
    pub(crate) folder: &'a Path,
    pub(crate) root: &'a TestFolder,
    pub(crate) anew: bool,
}

impl Recordings<'_> {
    /// A file that a case names.
    pub(crate) fn file(&self, named: &str) -> anyhow::Result<PathBuf> {
        self.root.file(self.folder, Path::new(named))
    }
}

/// Behaviour of a server towards its connections.
trait FarWork: Send {
    /// Takes a connection, which does not block.
    fn accepted(&mut self, stream: TcpStream);

    /// Makes as much progress as possible without blocking.
    fn goes_on(&mut self);

    /// Whether nothing more is to be expected.
    fn is_done(&self) -> bool;

    /// Ends, and returns the failure, if there is one.
    fn judged(&mut self) -> Option<String>;
}

/// A server at work, until it is judged or dropped.
pub(crate) struct RunningFarSide {
    name: String,
    port: u16,
    work: Arc<Mutex<Box<dyn FarWork>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FarSide {
    /// Starts it, at a port of this machine that is free.
    pub(crate) fn start(&self, name: &str, recordings: Recordings<'_>) -> anyhow::Result<RunningFarSide> {
        let cannot = || format!("far.{name} cannot listen on 127.0.0.1");
        let (listener, work, port) = if self.udp {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).with_context(cannot)?;
            socket.set_nonblocking(true).with_context(cannot)?;
            let port = socket.local_addr().with_context(cannot)?.port();
            (None, self.datagram_work(socket, recordings).with_context(|| format!("far.{name}"))?, port)
        } else {
            let work = self.work(recordings).with_context(|| format!("far.{name}"))?;
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).with_context(cannot)?;
            listener.set_nonblocking(true).with_context(cannot)?;
            let port = listener.local_addr().with_context(cannot)?.port();
            (Some(listener), work, port)
        };
        let (work, is_over) = (Arc::new(Mutex::new(work)), Arc::<AtomicBool>::default());
        let (of_thread, ends) = (Arc::clone(&work), Arc::clone(&is_over));
        let thread = std::thread::Builder::new()
            .name(format!("far-{name}"))
            .spawn(move || serve(listener.as_ref(), &of_thread, &ends))
            .with_context(cannot)?;
        Ok(RunningFarSide { name: name.to_owned(), port, work, is_over, thread: Some(thread) })
    }

    fn work(&self, recordings: Recordings<'_>) -> anyhow::Result<Box<dyn FarWork>> {
        let Some(recorded) = &self.recorded else {
            anyhow::ensure!(self.server.is_none(), "`server` is for a far side with `recorded`");
            anyhow::ensure!(!self.answers.contains_key(""), "an answer to nothing is what it `sends`");
            anyhow::ensure!(
                self.loses == 0,
                "`loses` is for a far side with `udp = true`: a connection loses nothing"
            );
            return Ok(Box::new(Scripted::new(self)?));
        };
        match self.recording(recorded, recordings)? {
            Recording::Anew { server, file } => Ok(Box::new(FarRecorder::new(server, file))),
            Recording::Played(said) => Ok(Box::new(Played::new(said))),
        }
    }

    fn datagram_work(
        &self,
        socket: UdpSocket,
        recordings: Recordings<'_>,
    ) -> anyhow::Result<Box<dyn FarWork>> {
        let Some(recorded) = &self.recorded else {
            anyhow::ensure!(self.server.is_none(), "`server` is for a far side with `recorded`");
            return Ok(Box::new(FarDatagrams::new(self, socket)?));
        };
        anyhow::ensure!(self.loses == 0, "what is `recorded` says all, and loses nothing");
        match self.recording(recorded, recordings)? {
            Recording::Anew { server, file } => Ok(Box::new(DatagramRecorder::new(socket, server, file))),
            Recording::Played(said) => Ok(Box::new(PlayedDatagrams::new(socket, said))),
        }
    }

    /// Opens a file with a conversation, for replay or for a new recording.
    fn recording(&self, recorded: &str, recordings: Recordings<'_>) -> anyhow::Result<Recording<'_>> {
        let says_more = !self.sends.is_empty() || !self.answers.is_empty() || self.ends;
        let wants_more = self.gets.is_some() || self.contains.is_some();
        anyhow::ensure!(
            !says_more && !wants_more,
            "what is `recorded` says all; `sends`, `answers`, `ends`, `gets` and `contains` are for a far side without"
        );
        let file = recordings.file(recorded)?;
        match &self.server {
            Some(server) if recordings.anew => Ok(Recording::Anew { server, file }),
            _ => Ok(Recording::Played(played::recorded(&file, self.server.as_deref())?)),
        }
    }
}

/// Mode of a file with a conversation: record or replay.
enum Recording<'a> {
    /// The conversation with this server is recorded to the file.
    Anew { server: &'a str, file: PathBuf },
    /// The server replays the conversation from the file.
    Played(Conversation),
}

impl RunningFarSide {
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the difference between the received and the expected data.
    pub(crate) fn judged(self) -> Option<String> {
        let until = Instant::now() + PATIENCE;
        while !self.work.lock().is_done() && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        let complaint = self.work.lock().judged();
        complaint.map(|complaint| format!("far.{}: {complaint}", self.name))
    }
}

impl Drop for RunningFarSide {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // It panics at nothing that it is sent, and has nothing to give back.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(listener: Option<&TcpListener>, work: &Mutex<Box<dyn FarWork>>, is_over: &AtomicBool) {
    let mut taken = 0;
    while !is_over.load(Ordering::Acquire) {
        if let Some(Ok((stream, _))) = listener.map(TcpListener::accept) {
            taken += 1;
            if taken <= CONNECTIONS_MAX && stream.set_nonblocking(true).is_ok() {
                work.lock().accepted(stream);
            }
        }
        work.lock().goes_on();
        std::thread::sleep(LOOK);
    }
}

/// Bytes of the longest datagram.
pub(crate) const DATAGRAM_BYTES_MAX: usize = 65_507;

/// Reads the available bytes of a connection that does not block; `None` when it has ended.
pub(crate) fn read(mut stream: &TcpStream) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 16 << 10];
    match stream.read(&mut bytes) {
        Ok(0) => None,
        Ok(length) => {
            bytes.truncate(length);
            Some(bytes)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Some(Vec::new()),
        Err(_) => None,
    }
}

/// Writes as much as such a connection takes; whether it is open.
pub(crate) fn write(mut stream: &TcpStream, unsent: &mut Vec<u8>) -> bool {
    if unsent.is_empty() {
        return true;
    }
    match stream.write(unsent) {
        Ok(length) => {
            unsent.drain(..length);
            true
        }
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}
