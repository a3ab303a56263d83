//! The bucket as the guest asks it: connects again after a failure, and says when it is away.
//!
//! Invariant: nobody is let in by a value that NATS may have changed meanwhile. While the server is
//! away, each question has the answer [`Asked::Away`].

use lotmq_guest::auth::{Interest, ambient, metrics, net};
use lotmq_guest::{eprintln, println};

use crate::cache::Cache;
use crate::config::Nats;
use crate::credential::Credential;
use crate::watch::{Kept, Watch};

pub(crate) struct Bucket {
    settings: Nats,
    kept: Kept,
    watch: Option<Watch>,
    /// When the next attempt to connect is due.
    retry_at_ms: u64,
    /// Whether the log says that the bucket was read.
    is_told: bool,
    /// Reason of the last failure, so that it is logged once.
    failure: String,
}

/// Answer to a question about a key.
pub(crate) enum Asked<'a> {
    /// The server is away, for this reason.
    Away(&'a str),
    /// There is no such key.
    Absent,
    Found(&'a Credential),
}

impl Bucket {
    pub(crate) fn new(settings: Nats) -> Bucket {
        let mut hash_key = [0; 32];
        for part in hash_key.chunks_mut(8) {
            part.copy_from_slice(&ambient::random().to_le_bytes());
        }
        let kept = Kept { cache: Cache::default(), hash_key, reading: 0, changed: Vec::new() };
        let failure = "it was not read yet".to_owned();
        Bucket { settings, kept, watch: None, retry_at_ms: 0, is_told: false, failure }
    }

    /// Handles what has come, without waiting. Returns the users whose key has changed or is gone.
    pub(crate) fn take_input(&mut self) -> Vec<String> {
        let outcome = self.watch.as_mut().map_or(Ok(()), |watch| watch.handle_input(&mut self.kept));
        self.settle(outcome)
    }

    /// Handles what has come, connects if an attempt is due, and reads the bucket again if that is
    /// due. Waits for answers of the server, `timeout_ms` at most.
    pub(crate) fn refresh(&mut self) -> Vec<String> {
        let reread_ms = self.settings.reread_ms;
        let outcome = match &mut self.watch {
            Some(watch) => {
                let handled = watch.handle_input(&mut self.kept);
                handled.and_then(|()| watch.keep_up(reread_ms, &mut self.kept))
            }
            None if ambient::monotonic_ms() < self.retry_at_ms => Ok(()),
            None => self.connect(),
        };
        self.settle(outcome)
    }

    fn settle(&mut self, outcome: Result<(), String>) -> Vec<String> {
        if let Err(reason) = outcome {
            self.watch = None;
            self.is_told = false;
            self.retry_at_ms = ambient::monotonic_ms() + self.settings.retry_ms;
            if reason != self.failure {
                eprintln!("NATS is away, logins are refused: {reason}");
                self.failure = reason;
            }
        }
        if self.is_current() && !self.is_told {
            (self.is_told, self.failure) = (true, String::new());
            println!("bucket '{}' has {} keys", self.settings.bucket, self.kept.cache.len());
        }
        self.count();
        std::mem::take(&mut self.kept.changed)
    }

    /// Whether there is a connection.
    pub(crate) fn is_connected(&self) -> bool {
        self.watch.is_some()
    }

    /// Whether the bucket can be asked.
    pub(crate) fn is_current(&self) -> bool {
        self.watch.as_ref().is_some_and(Watch::is_current)
    }

    fn connect(&mut self) -> Result<(), String> {
        self.watch = Some(Watch::open(&self.settings, &mut self.kept)?);
        Ok(())
    }

    /// Waits until there is something to handle, the host has work, or the time is over.
    pub(crate) fn wait(&self, until_ms: u32) {
        let now = ambient::monotonic_ms();
        let (due_ms, readable) = match &self.watch {
            Some(watch) => (watch.idle_ms(self.settings.reread_ms), Some(watch.readable())),
            None => (self.retry_at_ms.saturating_sub(now), None),
        };
        let interests: Vec<Interest<'_>> = readable.into_iter().chain([Interest::HostWork]).collect();
        net::wait(&interests, until_ms.min(u32::try_from(due_ms).unwrap_or(u32::MAX)));
    }

    pub(crate) fn ask(&self, key: &str) -> Asked<'_> {
        match (self.is_current(), self.kept.cache.get(key)) {
            (false, _) => Asked::Away(&self.failure),
            (true, None) => Asked::Absent,
            (true, Some(credential)) => Asked::Found(credential),
        }
    }

    /// Whether a password is the one of a credential.
    pub(crate) fn verifies(&self, credential: &Credential, password: &[u8]) -> bool {
        credential.verifies(password, &self.kept.hash_key)
    }

    fn count(&self) {
        let connected = if self.is_current() { 1.0 } else { 0.0 };
        // Without a figure nothing else goes wrong.
        let _ = metrics::set("nats_connected", connected);
        let _ = metrics::set("nats_keys", self.kept.cache.len() as f64);
    }
}
