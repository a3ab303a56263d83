//! A server that follows the script of its case.

use std::net::{Shutdown, TcpStream};

use super::{FarSide, FarWork, GOT_MAX, read, write};
use crate::encoding::Encoding;
use crate::keys::Pieces;

/// Connections of such a server, and the data received on all of them.
pub(super) struct Scripted {
    script: FarScript,
    got: Vec<u8>,
    connections: Vec<FarConnection>,
}

/// Script of a far side, as bytes.
struct FarScript {
    sends: Vec<u8>,
    /// Questions with their answers.
    answers: Vec<(Vec<u8>, Vec<u8>)>,
    ends: bool,
    gets: Option<Vec<u8>>,
    contains: Option<Vec<u8>>,
    encoding: Encoding,
}

struct FarConnection {
    stream: TcpStream,
    unsent: Vec<u8>,
    /// Bytes received since the last answer, cut to the length of the longest question.
    asked: Vec<u8>,
    has_ended: bool,
}

impl Scripted {
    pub(super) fn new(far: &FarSide) -> anyhow::Result<Self> {
        let bytes = |text: &str| far.encoding.bytes(text).map_err(anyhow::Error::msg);
        let gets = match &far.gets {
            None => None,
            Some(Pieces::One(text)) => Some(bytes(text)?),
            Some(Pieces::Several(_)) => {
                anyhow::bail!("`gets` is a text; a list is of datagrams, with `udp = true`")
            }
        };
        let answers = far.answers.iter().map(|(question, answer)| Ok((bytes(question)?, bytes(answer)?)));
        let script = FarScript {
            sends: bytes(&far.sends)?,
            answers: answers.collect::<anyhow::Result<_>>()?,
            ends: far.ends,
            gets,
            contains: far.contains.as_deref().map(bytes).transpose()?,
            encoding: far.encoding,
        };
        Ok(Self { script, got: Vec::new(), connections: Vec::new() })
    }

    fn complaint(&self) -> Option<String> {
        let FarScript { gets, contains, encoding, .. } = &self.script;
        let got = encoding.shown(&self.got);
        if self.got.len() > GOT_MAX {
            return Some(format!("got more than {} MiB", GOT_MAX >> 20));
        }
        if let Some(wanted) = gets.as_ref().filter(|wanted| **wanted != self.got) {
            return Some(format!("expected to get {}, got {got}", encoding.shown(wanted)));
        }
        let is_in = |part: &[u8]| part.is_empty() || self.got.windows(part.len()).any(|bytes| bytes == part);
        let part = contains.as_ref().filter(|part| !is_in(part));
        part.map(|part| format!("expected to get … {} …, got {got}", encoding.shown(part)))
    }
}

impl FarWork for Scripted {
    fn accepted(&mut self, stream: TcpStream) {
        let unsent = self.script.sends.clone();
        self.connections.push(FarConnection { stream, unsent, asked: Vec::new(), has_ended: false });
    }

    fn goes_on(&mut self) {
        let Self { script, got, connections } = self;
        connections.retain_mut(|connection| connection.goes_on(script, got));
    }

    fn is_done(&self) -> bool {
        self.complaint().is_none()
    }

    fn judged(&mut self) -> Option<String> {
        self.complaint()
    }
}

impl FarConnection {
    /// Makes as much progress as possible; returns whether the connection is still open.
    fn goes_on(&mut self, script: &FarScript, got: &mut Vec<u8>) -> bool {
        let Some(bytes) = read(&self.stream) else { return false };
        let room = (GOT_MAX + 1).saturating_sub(got.len());
        got.extend(bytes.iter().take(room));
        bytes.iter().for_each(|byte| self.asked_more(*byte, script));
        if !write(&self.stream, &mut self.unsent) {
            return false;
        }
        if self.unsent.is_empty() && script.ends && !std::mem::replace(&mut self.has_ended, true) {
            // Then the other side has ended before.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        true
    }

    fn asked_more(&mut self, byte: u8, script: &FarScript) {
        self.asked.push(byte);
        let longest = script.answers.iter().map(|(question, _)| question.len()).max().unwrap_or_default();
        if self.asked.len() > longest {
            self.asked.remove(0);
        }
        let answer = script.answers.iter().find(|(question, _)| self.asked.ends_with(question));
        if let Some((_, answer)) = answer.filter(|_| self.unsent.len() < GOT_MAX) {
            self.unsent.extend_from_slice(answer);
            self.asked.clear();
        }
    }
}
