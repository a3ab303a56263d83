//! Recording proxy over UDP: forwards datagrams between the guest and a real server, and records a
//! turn for each datagram.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;

use super::conversation::{Conversation, SaidTurn, Speaker};
use super::recorder::{QUIET, write_down};
use super::{CONNECTIONS_MAX, DATAGRAM_BYTES_MAX, FarWork, GOT_MAX};

/// Such a far side.
pub(super) struct DatagramRecorder {
    socket: UdpSocket,
    server: String,
    file: PathBuf,
    said: Conversation,
    bytes: usize,
    /// Sockets of the guest, each with one of ours to the server.
    sockets: Vec<(SocketAddr, UdpSocket)>,
    last_word: Instant,
    failure: Option<String>,
}

impl DatagramRecorder {
    pub(super) fn new(socket: UdpSocket, server: &str, file: PathBuf) -> Self {
        let (server, said, last_word) = (server.to_owned(), Conversation::default(), Instant::now());
        Self { socket, server, file, said, bytes: 0, sockets: Vec::new(), last_word, failure: None }
    }

    fn open(&self) -> anyhow::Result<UdpSocket> {
        let place = self.server.to_socket_addrs()?.next().context("it has no address")?;
        let own = match place {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = UdpSocket::bind(own)?;
        socket.connect(place)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    /// Number of the socket of the guest that has this address; `None` where there can be no more.
    fn number_of(&mut self, guest: SocketAddr) -> Option<usize> {
        let known = self.sockets.iter().position(|(known, _)| *known == guest);
        if known.is_some() || self.sockets.len() == CONNECTIONS_MAX {
            return known;
        }
        match self.open() {
            Ok(socket) => {
                self.sockets.push((guest, socket));
                self.said.0.push(Vec::new());
                Some(self.sockets.len() - 1)
            }
            Err(error) => {
                self.failure.get_or_insert(format!("cannot reach {}: {error:#}", self.server));
                None
            }
        }
    }

    fn note(&mut self, number: usize, from: Speaker, datagram: &[u8]) {
        self.last_word = Instant::now();
        // One without bytes is kept as well.
        self.bytes += datagram.len().max(1);
        if let Some(turns) = self.said.0.get_mut(number) {
            turns.push(SaidTurn { from, bytes: datagram.to_vec(), ends: false });
        }
    }
}

impl FarWork for DatagramRecorder {
    /// Nobody connects to it.
    fn accepted(&mut self, _: TcpStream) {}

    fn goes_on(&mut self) {
        let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
        // An error reports an earlier datagram that was not received.
        while self.failure.is_none()
            && let Ok((length, guest)) = self.socket.recv_from(&mut datagram)
            && let Some(number) = self.number_of(guest)
        {
            let datagram = datagram.get(..length).unwrap_or_default();
            self.note(number, Speaker::Guest, datagram);
            if let Some((_, server)) = self.sockets.get(number) {
                // A datagram that cannot be sent counts as lost.
                let _ = server.send(datagram);
            }
            if self.bytes > GOT_MAX {
                self.failure = Some(format!("was told more than {} MiB", GOT_MAX >> 20));
            }
        }
        for number in 0..self.sockets.len() {
            while let Some((guest, server)) = self.sockets.get(number)
                && self.bytes <= GOT_MAX
                && let Ok(length) = server.recv(&mut datagram)
            {
                let answer = datagram.get(..length).unwrap_or_default();
                // As above.
                let _ = self.socket.send_to(answer, guest);
                self.note(number, Speaker::Server, answer);
            }
        }
    }

    fn is_done(&self) -> bool {
        self.failure.is_some() || self.last_word.elapsed() > QUIET
    }

    fn judged(&mut self) -> Option<String> {
        let nobody = || "no datagram has come, so that there is no conversation to record".to_owned();
        let failure = self.failure.clone().or_else(|| self.said.0.is_empty().then(nobody));
        failure.or_else(|| write_down(&self.said, &self.file, (&self.server, "sockets")))
    }
}
