//! Connection that only subscribes: publishes received messages to the broker, many per call, and
//! pings the other side when it is silent.
//!
//! Messages arrive at most once: those that the broker cannot store are lost, and reported.

use lotmq_guest::route::{Arrival, Failure, ambient, diagnostics, ingest, net};

/// Milliseconds between two signs of life.
const PING_MS: u64 = 15_000;

/// Messages that are published with one call.
const PUBLISHED_AT_ONCE: usize = 256;

/// A connection that listens, as its protocol has it.
pub trait Listener {
    /// Code of diagnostics about skipped messages.
    const CODE: &'static str;

    /// Takes bytes that are there, without waiting; whether there were any.
    ///
    /// # Errors
    /// The connection cannot go on.
    fn take(&mut self) -> Result<bool, Failure>;

    /// Takes the next received item and adds its messages to `arrivals`. Returns whether there was
    /// an item.
    ///
    /// # Errors
    /// The connection cannot go on.
    fn receive(&mut self, arrivals: &mut Vec<Arrival>) -> Result<bool, Failure>;

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// The connection cannot go on.
    fn ping(&mut self) -> Result<(), Failure>;

    /// Interest in more.
    fn readable(&self) -> net::Interest<'_>;
}

/// Publisher of the messages from a subscribed connection.
pub struct Subscriber<L> {
    listener: L,
    timeout_ms: u64,
    /// When something came last.
    heard_at: u64,
    /// Whether a sign of life was asked for since.
    is_asked: bool,
    arrivals: Vec<Arrival>,
}

impl<L: Listener> Subscriber<L> {
    /// Starts with a connection that has subscribed. It counts as lost after `timeout_ms` without
    /// an answer to a ping.
    pub fn new(listener: L, timeout_ms: u32) -> Subscriber<L> {
        let heard_at = ambient::monotonic_ms();
        Subscriber {
            listener,
            timeout_ms: timeout_ms.into(),
            heard_at,
            is_asked: false,
            arrivals: Vec::new(),
        }
    }

    /// Publishes what comes until the time is over or the host has work.
    ///
    /// # Errors
    /// The connection cannot go on, or what it has brought cannot be published.
    pub fn run(&mut self, until_ms: u32) -> Result<(), Failure> {
        let end = ambient::monotonic_ms().saturating_add(until_ms.into());
        loop {
            let has_come = self.take()?;
            let now = ambient::monotonic_ms();
            let due = self.stay_alive(now)?;
            let wait = if has_come { 0 } else { end.min(due).saturating_sub(now) };
            let wait = u32::try_from(wait).unwrap_or(u32::MAX);
            let ready = net::wait(&[net::Interest::HostWork, self.listener.readable()], wait);
            if ready.contains(&0) || now >= end {
                return Ok(());
            }
        }
    }

    /// Takes what is there; whether that was anything.
    fn take(&mut self) -> Result<bool, Failure> {
        let mut has_come = self.listener.take()?;
        while self.arrivals.len() < PUBLISHED_AT_ONCE && self.listener.receive(&mut self.arrivals)? {
            has_come = true;
        }
        if has_come {
            (self.heard_at, self.is_asked) = (ambient::monotonic_ms(), false);
        }
        self.publish()?;
        Ok(has_come)
    }

    fn publish(&mut self) -> Result<(), Failure> {
        if self.arrivals.is_empty() {
            return Ok(());
        }
        match ingest::publish(&self.arrivals) {
            Ok(()) => {}
            // One of them is not allowed. Publishing each alone finds it.
            Err(ingest::IngestError::NotAllowed) => {
                for arrival in &self.arrivals {
                    match ingest::publish(std::slice::from_ref(arrival)) {
                        Ok(()) => {}
                        Err(ingest::IngestError::NotAllowed) => {
                            left_out::<L>(&format!("cannot publish to '{}': not allowed", arrival.topic));
                        }
                        Err(error) => return Err(lost::<L>(error)),
                    }
                }
            }
            Err(error) => return Err(lost::<L>(error)),
        }
        self.arrivals.clear();
        Ok(())
    }

    /// Asks a silent connection for a sign of life; gives when to look again.
    fn stay_alive(&mut self, now: u64) -> Result<u64, Failure> {
        let silent = now.saturating_sub(self.heard_at);
        if silent >= PING_MS.saturating_add(self.timeout_ms) {
            let seconds = self.timeout_ms.div_ceil(1000);
            return Err(Failure::Reconnect(format!("it has not answered for {seconds} s")));
        }
        if silent >= PING_MS && !self.is_asked {
            self.listener.ping()?;
            self.is_asked = true;
        }
        let patience = if self.is_asked { PING_MS.saturating_add(self.timeout_ms) } else { PING_MS };
        Ok(self.heard_at.saturating_add(patience))
    }
}

/// Tells what is left out of what a connection has brought.
pub fn left_out<L: Listener>(reason: &str) {
    diagnostics::report(diagnostics::Severity::Error, L::CODE, reason, 0, 0);
}

/// Returns the failure for messages that could not be stored. They are lost, like those that arrive
/// while the route is away.
fn lost<L: Listener>(error: ingest::IngestError) -> Failure {
    let reason = format!("messages that came are lost: {}", error.name());
    left_out::<L>(&reason);
    Failure::Reconnect(reason)
}
