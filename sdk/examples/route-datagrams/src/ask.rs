//! Questions and answers over datagrams, of which any may get lost: what has no answer in time is asked again, so often and no more.

use lotmq_guest::route::{Interest, IoError, ambient, net};

/// A socket that is for one place, which answers what it is asked.
pub struct UdpConnection {
    socket: net::Udp,
    /// Longest wait for the answer to one datagram, in milliseconds.
    timeout_ms: u32,
    /// How often the same is asked again.
    retries: u32,
}

impl UdpConnection {
    /// Opens a socket for an endpoint. All questions together, the first and the repeated ones, take `(retries + 1) * timeout_ms` at most.
    pub fn open(endpoint: &str, timeout_ms: u32, retries: u32) -> Result<Self, IoError> {
        Ok(Self { socket: net::Udp::connect(endpoint, timeout_ms)?, timeout_ms, retries })
    }

    /// Asks, and waits for a datagram which `is_answer` takes for the answer. Others are dropped: an answer that came late, to what was asked before.
    ///
    /// What has an effect when it comes, such as `add 5`, may have it twice: the answer may be what got lost.
    pub fn ask(&self, question: &[u8], is_answer: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, IoError> {
        let mut reason = IoError::TimedOut;
        for _ in 0..=self.retries {
            match self.ask_once(question, &is_answer) {
                Ok(answer) => return Ok(answer),
                // Nobody listens there yet, or no more: as if it had been lost.
                Err(error @ (IoError::TimedOut | IoError::Refused)) => reason = error,
                Err(error) => return Err(error),
            }
        }
        Err(reason)
    }

    fn ask_once(&self, question: &[u8], is_answer: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, IoError> {
        let until = ambient::monotonic_ms() + u64::from(self.timeout_ms);
        let mut reason = IoError::TimedOut;
        let mut is_sent = false;
        loop {
            let left = until.saturating_sub(ambient::monotonic_ms());
            let Some(left) = u32::try_from(left).ok().filter(|left| *left > 0) else { return Err(reason) };
            if !is_sent {
                match self.socket.send(question, None) {
                    Ok(()) => is_sent = true,
                    Err(IoError::WouldBlock) => {
                        net::wait(&[Interest::Sendable(&self.socket)], left);
                        continue;
                    }
                    // Of the datagram before.
                    Err(IoError::Refused) => continue,
                    Err(error) => return Err(error),
                }
            }
            net::wait(&[Interest::Receivable(&self.socket)], left);
            match self.socket.receive() {
                Ok((answer, _)) if is_answer(&answer) => return Ok(answer),
                Ok(_) | Err(IoError::WouldBlock) => {}
                // The rest of the time it may begin to listen.
                Err(IoError::Refused) => reason = IoError::Refused,
                Err(error) => return Err(error),
            }
        }
    }
}
