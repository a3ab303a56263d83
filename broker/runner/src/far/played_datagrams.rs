//! A far side over UDP that replays recorded answers, if the guest sends the recorded datagrams.

use std::net::{SocketAddr, TcpStream, UdpSocket};

use super::conversation::{Conversation, Speaker};
use super::played::shown;
use super::{DATAGRAM_BYTES_MAX, FarWork};

/// Such a far side.
pub(super) struct PlayedDatagrams {
    socket: UdpSocket,
    said: Conversation,
    /// Sockets of the guest in the order in which they were heard of first, each with the number of
    /// turns that are over.
    sockets: Vec<(SocketAddr, usize)>,
    /// First thing that was not as recorded.
    differs: Option<String>,
}

impl PlayedDatagrams {
    pub(super) fn new(socket: UdpSocket, said: Conversation) -> Self {
        Self { socket, said, sockets: Vec::new(), differs: None }
    }

    /// Takes a datagram; returns the difference if it is not the recorded one.
    fn take(&mut self, datagram: &[u8], guest: SocketAddr) -> Option<String> {
        let number = self.sockets.iter().position(|(known, _)| *known == guest).unwrap_or_else(|| {
            self.sockets.push((guest, 0));
            self.sockets.len() - 1
        });
        let Some(turns) = self.said.0.get(number) else {
            return Some(format!("got a socket more than the {} that were recorded", self.said.0.len()));
        };
        let (_, turn) = self.sockets.get_mut(number)?;
        match turns.get(*turn) {
            Some(wanted) if wanted.bytes == datagram => {}
            Some(wanted) => {
                let (wanted, got) = (shown(&wanted.bytes), shown(datagram));
                return Some(format!("expected {wanted}, got {got} of socket {}", number + 1));
            }
            None => return Some(format!("got {} behind all that was recorded", shown(datagram))),
        }
        *turn += 1;
        while let Some(answer) = turns.get(*turn).filter(|answer| answer.from == Speaker::Server) {
            // A datagram that cannot be sent counts as lost.
            let _ = self.socket.send_to(&answer.bytes, guest);
            *turn += 1;
        }
        None
    }

    fn unfinished(&self) -> Option<String> {
        let of_each = self.said.0.iter().enumerate();
        let mut missing = of_each.filter_map(|(number, turns)| {
            let turn = self.sockets.get(number).map_or(0, |(_, turn)| *turn);
            let wanted = shown(&turns.get(turn)?.bytes);
            Some(format!("expected {wanted} of socket {}, which did not come", number + 1))
        });
        missing.next()
    }
}

impl FarWork for PlayedDatagrams {
    /// Nobody connects to it.
    fn accepted(&mut self, _: TcpStream) {}

    fn goes_on(&mut self) {
        let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
        // An error reports an earlier answer that was not received.
        while self.differs.is_none()
            && let Ok((length, guest)) = self.socket.recv_from(&mut datagram)
        {
            self.differs = self.take(datagram.get(..length).unwrap_or_default(), guest);
        }
    }

    fn is_done(&self) -> bool {
        self.differs.is_some() || self.unfinished().is_none()
    }

    fn judged(&mut self) -> Option<String> {
        self.differs.take().or_else(|| self.unfinished())
    }
}
