//! A far side over UDP that follows the script of its case.

use std::collections::HashMap;
use std::net::{TcpStream, UdpSocket};

use anyhow::ensure;

use super::{DATAGRAM_BYTES_MAX, FarSide, FarWork, GOT_MAX};
use crate::encoding::Encoding;
use crate::keys::Pieces;

/// Such a far side.
pub(super) struct FarDatagrams {
    socket: UdpSocket,
    /// Datagrams that get lost yet.
    loses: usize,
    answers: HashMap<Vec<u8>, Vec<u8>>,
    wanted: Option<Vec<Vec<u8>>>,
    encoding: Encoding,
    got: Vec<Vec<u8>>,
    /// Bytes of these.
    bytes: usize,
}

impl FarDatagrams {
    /// On a socket that does not block.
    pub(super) fn new(far: &FarSide, socket: UdpSocket) -> anyhow::Result<Self> {
        ensure!(
            far.sends.is_empty() && !far.ends,
            "`sends` and `ends` are for connections: over UDP it only answers"
        );
        ensure!(far.contains.is_none(), "`contains` is for connections: over UDP `gets` lists the datagrams");
        let bytes = |text: &str| far.encoding.bytes(text).map_err(anyhow::Error::msg);
        let answers = far.answers.iter().map(|(question, answer)| Ok((bytes(question)?, bytes(answer)?)));
        let wanted = match &far.gets {
            None => None,
            Some(Pieces::Several(texts)) => {
                Some(texts.iter().map(|text| bytes(text)).collect::<anyhow::Result<_>>()?)
            }
            Some(Pieces::One(text)) => {
                anyhow::bail!("over UDP `gets` is a list with a text for each datagram, as [{text:?}]")
            }
        };
        let answers = answers.collect::<anyhow::Result<_>>()?;
        let (loses, encoding) = (far.loses, far.encoding);
        Ok(Self { socket, loses, answers, wanted, encoding, got: Vec::new(), bytes: 0 })
    }

    fn shown(&self, datagrams: &[Vec<u8>]) -> String {
        let all: Vec<String> = datagrams.iter().map(|datagram| self.encoding.shown(datagram)).collect();
        format!("[{}]", all.join(", "))
    }
}

impl FarWork for FarDatagrams {
    /// Nobody connects to it.
    fn accepted(&mut self, _: TcpStream) {}

    fn goes_on(&mut self) {
        let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
        while self.bytes <= GOT_MAX {
            // An error reports an earlier answer that was not received.
            let Ok((length, from)) = self.socket.recv_from(&mut datagram) else { return };
            let datagram = datagram.get(..length).unwrap_or_default();
            if self.loses > 0 {
                self.loses -= 1;
                continue;
            }
            // One without bytes is kept as well.
            self.bytes += length.max(1);
            if let Some(answer) = self.answers.get(datagram) {
                // A datagram that cannot be sent counts as lost.
                let _ = self.socket.send_to(answer, from);
            }
            self.got.push(datagram.to_vec());
        }
    }

    fn is_done(&self) -> bool {
        self.loses == 0 && self.wanted.as_ref().is_none_or(|wanted| *wanted == self.got)
    }

    fn judged(&mut self) -> Option<String> {
        if self.bytes > GOT_MAX {
            return Some(format!("got more than {} MiB", GOT_MAX >> 20));
        }
        if self.loses > 0 {
            return Some(format!("was to lose {} datagrams more, which did not come", self.loses));
        }
        let wanted = self.wanted.as_ref().filter(|wanted| **wanted != self.got);
        wanted.map(|wanted| format!("expected to get {}, got {}", self.shown(wanted), self.shown(&self.got)))
    }
}
