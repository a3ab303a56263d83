//! Servers of a case, which the routes of its program connect to: what they send, and what they have got.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use parking_lot::Mutex;
use serde::Deserialize;

/// Most bytes that one keeps of what it gets; more is an error of the case.
const GOT_MAX: usize = 1 << 20;

/// Most connections that one has in a case; further ones are closed at once.
const CONNECTIONS_MAX: usize = 64;

/// Longest wait at the end of a case for what is on its way.
const PATIENCE: Duration = Duration::from_secs(2);

/// Period at which one looks what has come.
const LOOK: Duration = Duration::from_millis(1);

/// A server on this machine, as its case describes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FarSide {
    /// What it sends to each connection at once.
    sends: String,
    /// Answers, by the end of what it has got since its last one.
    answers: BTreeMap<String, String>,
    /// Whether it ends its direction when it has sent that.
    ends: bool,
    /// All that it gets.
    gets: Option<String>,
    /// A part of that.
    contains: Option<String>,
}

/// A server at work, until it is judged or dropped.
pub(crate) struct RunningFarSide {
    name: String,
    port: u16,
    far: FarSide,
    got: Arc<Mutex<Vec<u8>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FarSide {
    /// Starts it, at a port of this machine that is free.
    pub(crate) fn start(&self, name: &str) -> anyhow::Result<RunningFarSide> {
        anyhow::ensure!(
            !self.answers.contains_key(""),
            "far.{name}: an answer to nothing is what it `sends`"
        );
        let cannot = || format!("far.{name} cannot listen on 127.0.0.1");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).with_context(cannot)?;
        listener.set_nonblocking(true).with_context(cannot)?;
        let port = listener.local_addr().with_context(cannot)?.port();
        let (got, is_over) = (Arc::<Mutex<Vec<u8>>>::default(), Arc::<AtomicBool>::default());
        let (far, of_thread, ends) = (self.clone(), Arc::clone(&got), Arc::clone(&is_over));
        let thread = std::thread::Builder::new()
            .name(format!("far-{name}"))
            .spawn(move || serve(&far, &listener, (&of_thread, &ends)))
            .with_context(cannot)?;
        let (name, far, thread) = (name.to_owned(), self.clone(), Some(thread));
        Ok(RunningFarSide { name, port, far, got, is_over, thread })
    }
}

impl RunningFarSide {
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Says what it has not got, or got too much.
    pub(crate) fn judged(self) -> Option<String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let complaint = self.complaint()?;
            if Instant::now() > until {
                return Some(complaint);
            }
            std::thread::sleep(LOOK);
        }
    }

    fn complaint(&self) -> Option<String> {
        let got = self.got.lock();
        let (name, text) = (&self.name, String::from_utf8_lossy(&got));
        if got.len() > GOT_MAX {
            return Some(format!("far.{name} got more than {} MiB", GOT_MAX >> 20));
        }
        if let Some(wanted) = self.far.gets.as_ref().filter(|wanted| wanted.as_bytes() != &**got) {
            return Some(format!("far.{name}: expected to get {wanted:?}, got {text:?}"));
        }
        let part = self.far.contains.as_ref().filter(|part| !text.contains(&***part));
        part.map(|part| format!("far.{name}: expected to get … {part:?} …, got {text:?}"))
    }
}

impl Drop for RunningFarSide {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // It panics at nothing that it is sent, and has nothing to give back.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

struct FarConnection {
    stream: TcpStream,
    unsent: Vec<u8>,
    /// What came since its last answer, of which only as much is kept as the longest question.
    asked: Vec<u8>,
    has_ended: bool,
}

fn serve(far: &FarSide, listener: &TcpListener, (got, is_over): (&Mutex<Vec<u8>>, &AtomicBool)) {
    let mut connections: Vec<FarConnection> = Vec::new();
    let mut taken = 0;
    while !is_over.load(Ordering::Acquire) {
        if let Ok((stream, _)) = listener.accept() {
            taken += 1;
            if taken <= CONNECTIONS_MAX && stream.set_nonblocking(true).is_ok() {
                let unsent = far.sends.clone().into_bytes();
                connections.push(FarConnection { stream, unsent, asked: Vec::new(), has_ended: false });
            }
        }
        connections.retain_mut(|connection| connection.goes_on(far, got));
        std::thread::sleep(LOOK);
    }
}

impl FarConnection {
    /// Does what can be done; whether it is still open.
    fn goes_on(&mut self, far: &FarSide, got: &Mutex<Vec<u8>>) -> bool {
        let mut bytes = [0; 16 << 10];
        match self.stream.read(&mut bytes) {
            Ok(0) => return false,
            Ok(length) => {
                let read = bytes.get(..length).unwrap_or_default();
                let mut got = got.lock();
                let room = (GOT_MAX + 1).saturating_sub(got.len());
                got.extend(read.iter().take(room));
                drop(got);
                read.iter().for_each(|byte| self.asked_more(*byte, far));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
        if !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(length) => drop(self.unsent.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
        if self.unsent.is_empty() && far.ends && !std::mem::replace(&mut self.has_ended, true) {
            // Then the other side has ended before.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        true
    }

    fn asked_more(&mut self, byte: u8, far: &FarSide) {
        self.asked.push(byte);
        let longest = far.answers.keys().map(String::len).max().unwrap_or_default();
        if self.asked.len() > longest {
            self.asked.remove(0);
        }
        let answer = far.answers.iter().find(|(question, _)| self.asked.ends_with(question.as_bytes()));
        if let Some((_, answer)) = answer.filter(|_| self.unsent.len() < GOT_MAX) {
            self.unsent.extend_from_slice(answer.as_bytes());
            self.asked.clear();
        }
    }
}
