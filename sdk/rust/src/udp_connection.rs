//! Datagrams for code that waits; for asynchronous code [`AsyncUdp`](super::executor::AsyncUdp).

use super::host::{
    ambient,
    net::{self, Interest, IoError, Peer},
};

/// UDP socket for blocking code. Sending and receiving suspend the guest for at most the timeout of
/// the socket.
///
/// A datagram is sent whole or not at all. Any datagram may get lost, in either direction.
#[derive(Debug)]
pub struct UdpConnection {
    udp: net::Udp,
    /// Longest wait for one datagram, in milliseconds.
    timeout_ms: u32,
}

impl UdpConnection {
    /// Opens a socket for datagrams to and from one named endpoint of the definition. `timeout_ms`
    /// applies to its look-up and to each later call.
    pub fn open(endpoint: &str, timeout_ms: u32) -> Result<UdpConnection, IoError> {
        Ok(UdpConnection { udp: net::Udp::connect(endpoint, timeout_ms)?, timeout_ms })
    }

    /// Opens a socket for datagrams from any sender, at an endpoint that the definition marks as
    /// listening.
    pub fn bind(endpoint: &str, timeout_ms: u32) -> Result<UdpConnection, IoError> {
        Ok(UdpConnection { udp: net::Udp::bind(endpoint)?, timeout_ms })
    }

    /// The socket below, for [`net::wait`].
    pub fn udp(&self) -> &net::Udp {
        &self.udp
    }

    /// Sends one datagram to the endpoint.
    pub fn send(&self, datagram: &[u8]) -> Result<(), IoError> {
        self.send_until(datagram, None, self.deadline())
    }

    /// Sends one datagram to an IP address, from a socket that was bound.
    pub fn send_to(&self, datagram: &[u8], to: &Peer) -> Result<(), IoError> {
        self.send_until(datagram, Some(to), self.deadline())
    }

    /// Returns the next datagram and its sender. Fails with `TimedOut` if none arrives in time.
    pub fn receive(&self) -> Result<(Vec<u8>, Peer), IoError> {
        self.receive_until(self.deadline())
    }

    /// The same, at a time of [`ambient::monotonic_ms`] at the latest.
    pub fn receive_until(&self, deadline_ms: u64) -> Result<(Vec<u8>, Peer), IoError> {
        loop {
            match self.udp.receive() {
                Err(IoError::WouldBlock) => wait(Interest::Receivable(&self.udp), deadline_ms)?,
                received => return received,
            }
        }
    }

    /// Sends the question up to `attempts` times. After each, waits for a datagram that `is_answer`
    /// accepts. Drops others, such as late answers to earlier questions.
    ///
    /// A question with a side effect, such as `add 5`, may take effect several times, because the
    /// answer may be lost.
    pub fn ask(
        &self,
        question: &[u8],
        attempts: u32,
        is_answer: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>, IoError> {
        let mut reason = IoError::TimedOut;
        for _ in 0..attempts {
            match self.ask_once(question, &is_answer) {
                // Nobody listens there yet, or no more: as if it had been lost.
                Err(error @ (IoError::TimedOut | IoError::Refused)) => reason = error,
                answered => return answered,
            }
        }
        Err(reason)
    }

    fn ask_once(&self, question: &[u8], is_answer: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, IoError> {
        let deadline = self.deadline();
        // `Refused` is an answer to the datagram before.
        while let Err(error) = self.send_until(question, None, deadline) {
            if !matches!(error, IoError::Refused) || ambient::monotonic_ms() >= deadline {
                return Err(error);
            }
        }
        let mut reason = IoError::TimedOut;
        loop {
            match self.receive_until(deadline) {
                Ok((answer, _)) if is_answer(&answer) => return Ok(answer),
                Ok(_) => {}
                // The rest of the time it may begin to listen.
                Err(IoError::Refused) => reason = IoError::Refused,
                Err(IoError::TimedOut) => return Err(reason),
                Err(error) => return Err(error),
            }
        }
    }

    fn send_until(&self, datagram: &[u8], to: Option<&Peer>, deadline_ms: u64) -> Result<(), IoError> {
        loop {
            match self.udp.send(datagram, to) {
                Err(IoError::WouldBlock) => wait(Interest::Sendable(&self.udp), deadline_ms)?,
                sent => return sent,
            }
        }
    }

    fn deadline(&self) -> u64 {
        ambient::monotonic_ms().saturating_add(self.timeout_ms.into())
    }
}

fn wait(interest: Interest<'_>, deadline_ms: u64) -> Result<(), IoError> {
    let left = deadline_ms.saturating_sub(ambient::monotonic_ms());
    let left = u32::try_from(left).unwrap_or(u32::MAX);
    if left == 0 || net::wait(&[interest], left).is_empty() { Err(IoError::TimedOut) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use super::*;
    use crate::testing::{listens_at, set_endpoint};

    fn far() -> (UdpSocket, UdpConnection) {
        let far = UdpSocket::bind("127.0.0.1:0").unwrap();
        far.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        set_endpoint("far", far.local_addr().unwrap());
        (far, UdpConnection::open("far", 200).unwrap())
    }

    #[test]
    fn datagrams_travel_both_ways_and_silence_times_out() {
        let (far, near) = far();
        near.send(b"one").unwrap();
        let mut bytes = [0; 10];
        let (length, from) = far.recv_from(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"one");
        assert!(matches!(near.receive(), Err(IoError::TimedOut)));
        far.send_to(b"two", from).unwrap();
        assert_eq!(near.receive().unwrap().0, b"two");
    }

    #[test]
    fn a_socket_for_anybody_answers_who_has_sent() {
        set_endpoint("traps", "127.0.0.1:0".parse().unwrap());
        let near = UdpConnection::bind("traps", 2_000).unwrap();
        let far = UdpSocket::bind("127.0.0.1:0").unwrap();
        far.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        far.send_to(b"trap", listens_at("traps").unwrap()).unwrap();
        let (trap, from) = near.receive().unwrap();
        assert_eq!((&*trap, from.port), (&b"trap"[..], far.local_addr().unwrap().port()));
        near.send_to(b"seen", &from).unwrap();
        let mut bytes = [0; 10];
        assert_eq!(far.recv(&mut bytes).unwrap(), 4);
    }

    #[test]
    fn lost_request_is_repeated_and_late_answers_are_ignored() {
        let (far, near) = far();
        let station = std::thread::spawn(move || {
            let mut bytes = [0; 10];
            let asked = [far.recv_from(&mut bytes).unwrap().0, far.recv_from(&mut bytes).unwrap().0];
            let (_, from) = far.recv_from(&mut bytes).unwrap();
            far.send_to(b"6 late", from).unwrap();
            far.send_to(b"7 21.5", from).unwrap();
            asked
        });
        let answer = near.ask(b"7 read", 3, |answer| answer.starts_with(b"7 ")).unwrap();
        assert_eq!(answer, b"7 21.5");
        assert_eq!(station.join().unwrap(), [6, 6]);
        assert!(matches!(near.ask(b"8 read", 2, |_| true), Err(IoError::TimedOut | IoError::Refused)));
    }
}
