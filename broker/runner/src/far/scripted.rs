//! A server that does what its case says.

use std::net::{Shutdown, TcpStream};

use super::{FarSide, FarWork, GOT_MAX, read, write};

/// Connections of such a server, and what it has got of all of them.
pub(super) struct Scripted {
    far: FarSide,
    got: Vec<u8>,
    connections: Vec<FarConnection>,
}

struct FarConnection {
    stream: TcpStream,
    unsent: Vec<u8>,
    /// What came since its last answer, of which only as much is kept as the longest question.
    asked: Vec<u8>,
    has_ended: bool,
}

impl Scripted {
    pub(super) fn new(far: FarSide) -> Self {
        Self { far, got: Vec::new(), connections: Vec::new() }
    }

    fn complaint(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.got);
        if self.got.len() > GOT_MAX {
            return Some(format!("got more than {} MiB", GOT_MAX >> 20));
        }
        if let Some(wanted) = self.far.gets.as_ref().filter(|wanted| wanted.as_bytes() != self.got) {
            return Some(format!("expected to get {wanted:?}, got {text:?}"));
        }
        let part = self.far.contains.as_ref().filter(|part| !text.contains(&***part));
        part.map(|part| format!("expected to get … {part:?} …, got {text:?}"))
    }
}

impl FarWork for Scripted {
    fn accepted(&mut self, stream: TcpStream) {
        let unsent = self.far.sends.clone().into_bytes();
        self.connections.push(FarConnection { stream, unsent, asked: Vec::new(), has_ended: false });
    }

    fn goes_on(&mut self) {
        let Self { far, got, connections } = self;
        connections.retain_mut(|connection| connection.goes_on(far, got));
    }

    fn is_done(&self) -> bool {
        self.complaint().is_none()
    }

    fn judged(&mut self) -> Option<String> {
        self.complaint()
    }
}

impl FarConnection {
    /// Does what can be done; whether it is still open.
    fn goes_on(&mut self, far: &FarSide, got: &mut Vec<u8>) -> bool {
        let Some(bytes) = read(&self.stream) else { return false };
        let room = (GOT_MAX + 1).saturating_sub(got.len());
        got.extend(bytes.iter().take(room));
        bytes.iter().for_each(|byte| self.asked_more(*byte, far));
        if !write(&self.stream, &mut self.unsent) {
            return false;
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
