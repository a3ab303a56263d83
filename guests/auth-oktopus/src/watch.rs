//! Watch of the bucket over one connection: an ordered consumer of its stream, which brings the
//! newest value of each key and then each change (NATS ADR-8 and ADR-17).
//!
//! The watch reads the whole bucket at the start, and again every `reread_ms`. Messages of the
//! consumer have consecutive numbers. If one is lost, the connection begins anew.

use lotmq_guest::auth::{Interest, ambient};
use lotmq_guest::eprintln;
use nats_protocol::{Frame, Received};
use serde_json::{Value as Json, json};

use crate::cache::{Cache, Full};
use crate::config::Nats;
use crate::credential::{Credential, HashKey};
use crate::key;
use crate::limits::{CACHE_BYTES_MAX, HEARTBEAT_MS, SILENCE_MS, SNAPSHOT_MS};
use crate::link::Link;

/// Code of an error of JetStream: a stream of this name exists.
const STREAM_EXISTS: u64 = 10_058;

/// Subscription to the answers of JetStream.
const ANSWERS: u32 = 0;

/// The bucket in memory, and how its values are read. Outlives connections.
pub(crate) struct Kept {
    pub(crate) cache: Cache,
    pub(crate) hash_key: HashKey,
    /// Number of the last reading.
    pub(crate) reading: u32,
    /// Users whose key has changed or is gone.
    pub(crate) changed: Vec<String>,
}

/// An open watch.
pub(crate) struct Watch {
    link: Link,
    bucket: String,
    inbox: String,
    requests: u64,
    /// Number of the reading that the consumer brings.
    reading: u32,
    /// Number of the last message of the consumer.
    last: u64,
    /// Whether the reading brought the whole bucket.
    is_whole: bool,
    /// Whether an earlier reading, or this one, brought the whole bucket.
    is_current: bool,
    heard_ms: u64,
    begun_ms: u64,
}

impl Watch {
    /// Connects, creates the bucket if it is missing, and begins to read it.
    ///
    /// # Errors
    /// The reason in words.
    pub(crate) fn open(settings: &Nats, kept: &mut Kept) -> Result<Watch, String> {
        let link = Link::open(settings)?;
        let now = ambient::monotonic_ms();
        let inbox = format!("_INBOX.lotmq-{:016x}", ambient::random());
        let bucket = settings.bucket.clone();
        let mut watch = Watch {
            link,
            bucket,
            inbox,
            requests: 0,
            reading: 0,
            last: 0,
            is_whole: false,
            is_current: false,
            heard_ms: now,
            begun_ms: now,
        };
        watch.link.send(&format!("SUB {}.r.* {ANSWERS}\r\n", watch.inbox))?;
        watch.create_bucket(kept)?;
        watch.read_all(kept)?;
        Ok(watch)
    }

    /// Whether memory has the whole bucket, and the watch every change since.
    pub(crate) fn is_current(&self) -> bool {
        self.is_current
    }

    pub(crate) fn readable(&self) -> Interest<'_> {
        self.link.readable()
    }

    /// Milliseconds until [`keep_up`](Self::keep_up) has something to do.
    pub(crate) fn idle_ms(&self, reread_ms: u64) -> u64 {
        let left = |at: u64| at.saturating_sub(ambient::monotonic_ms());
        let reading = if self.is_whole { reread_ms } else { SNAPSHOT_MS + 1 };
        left(self.heard_ms + SILENCE_MS + 1).min(left(self.begun_ms + reading))
    }

    /// Handles what has come, without waiting.
    ///
    /// # Errors
    /// The connection cannot go on.
    pub(crate) fn handle_input(&mut self, kept: &mut Kept) -> Result<(), String> {
        loop {
            while let Some(frame) = self.link.received()? {
                self.handle(frame, kept)?;
            }
            if !self.link.take()? {
                return Ok(());
            }
        }
    }

    /// Checks that the watch goes on, and begins a new reading when it is due.
    ///
    /// # Errors
    /// The connection cannot go on.
    pub(crate) fn keep_up(&mut self, reread_ms: u64, kept: &mut Kept) -> Result<(), String> {
        let now = ambient::monotonic_ms();
        if now.saturating_sub(self.heard_ms) > SILENCE_MS {
            return Err(format!("nothing has come for {} s", SILENCE_MS / 1000));
        }
        let age_ms = now.saturating_sub(self.begun_ms);
        match self.is_whole {
            true if age_ms >= reread_ms => self.read_all(kept),
            false if age_ms > SNAPSHOT_MS => {
                Err(format!("the bucket was not read in {} s", SNAPSHOT_MS / 1000))
            }
            _ => Ok(()),
        }
    }

    /// Asks JetStream, and handles what comes besides its answer.
    fn ask(&mut self, kept: &mut Kept, subject: &str, body: &Json) -> Result<Json, String> {
        self.requests += 1;
        if self.is_current {
            self.link.begin_question();
        }
        let (reply, body) = (format!("{}.r.{}", self.inbox, self.requests), body.to_string());
        self.link.send(&format!("PUB $JS.API.{subject} {reply} {}\r\n{body}\r\n", body.len()))?;
        loop {
            match self.link.frame()? {
                Frame::Message(answer) if answer.subject == reply => {
                    if answer.status.as_deref() == Some("503") {
                        return Err("the server has no JetStream".to_owned());
                    }
                    return serde_json::from_slice(&answer.payload)
                        .map_err(|_| "the answer of JetStream is no JSON".to_owned());
                }
                frame => self.handle(frame, kept)?,
            }
        }
    }

    /// Makes sure that the bucket exists. One that exists keeps its settings, such as replicas.
    fn create_bucket(&mut self, kept: &mut Kept) -> Result<(), String> {
        let stream = format!("KV_{}", self.bucket);
        let info = self.ask(kept, &format!("STREAM.INFO.{stream}"), &json!({}))?;
        match info["error"]["code"].as_u64() {
            None => return Ok(()),
            Some(404) => {}
            Some(_) => return Err(refused("read the bucket", &info)),
        }
        let wanted = json!({
            "name": stream, "description": "Oktopus devices authentication",
            "subjects": [format!("$KV.{}.>", self.bucket)],
            "retention": "limits", "storage": "file", "num_replicas": 1, "discard": "new",
            "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "max_age": 0, "max_msg_size": -1,
            "max_msgs_per_subject": 1, "duplicate_window": 120_000_000_000_u64,
            "deny_delete": true, "allow_rollup_hdrs": true, "allow_direct": true,
        });
        let made = self.ask(kept, &format!("STREAM.CREATE.{stream}"), &wanted)?;
        match made["error"]["err_code"].as_u64() {
            // Another program was faster.
            None | Some(STREAM_EXISTS) => Ok(()),
            Some(_) => Err(refused("create the bucket", &made)),
        }
    }

    /// Begins a reading of the whole bucket, with a new consumer.
    fn read_all(&mut self, kept: &mut Kept) -> Result<(), String> {
        let before = self.reading;
        kept.reading = kept.reading.wrapping_add(1).max(1);
        (self.reading, self.last, self.is_whole) = (kept.reading, 0, false);
        self.begun_ms = ambient::monotonic_ms();
        let target = format!("{}.w.{}", self.inbox, self.reading);
        // The server drops the consumer that was before when nobody subscribes to it.
        let ended = if before == ANSWERS { String::new() } else { format!("UNSUB {before}\r\n") };
        self.link.send(&format!("{ended}SUB {target} {}\r\n", self.reading))?;
        let stream = format!("KV_{}", self.bucket);
        let wanted = json!({"stream_name": stream, "config": {
            "deliver_subject": target, "deliver_policy": "last_per_subject", "replay_policy": "instant",
            "filter_subject": format!("$KV.{}.>", self.bucket), "ack_policy": "none", "max_deliver": 1,
            "flow_control": true, "idle_heartbeat": HEARTBEAT_MS * 1_000_000,
            "mem_storage": true, "num_replicas": 1,
        }});
        let made = self.ask(kept, &format!("CONSUMER.CREATE.{stream}"), &wanted)?;
        match (&made["error"], made["num_pending"].as_u64()) {
            (Json::Null, Some(0)) if self.last == 0 => self.end_reading(kept),
            (Json::Null, _) => {}
            _ => return Err(refused("watch the bucket", &made)),
        }
        Ok(())
    }

    fn end_reading(&mut self, kept: &mut Kept) {
        (self.is_whole, self.is_current) = (true, true);
        for gone in kept.cache.sweep(self.reading) {
            kept.changed.extend(key::users(&gone));
        }
    }

    fn handle(&mut self, frame: Frame, kept: &mut Kept) -> Result<(), String> {
        self.heard_ms = ambient::monotonic_ms();
        match frame {
            Frame::Error(text) => Err(text),
            Frame::Message(received) if received.subscription == self.reading.to_string() => {
                self.handle_message(&received, kept)
            }
            Frame::Message(_) | Frame::Ok | Frame::Info(_) | Frame::Ping | Frame::Pong => Ok(()),
        }
    }

    fn handle_message(&mut self, received: &Received, kept: &mut Kept) -> Result<(), String> {
        let header = |name: &str| {
            let found = received.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str())
        };
        match received.status.as_deref() {
            Some(status) if status.starts_with("100") => {
                // A request of flow control, or a heartbeat.
                let stalled = header("Nats-Consumer-Stalled").map(str::to_owned);
                if let Some(subject) = received.reply.clone().or(stalled) {
                    self.link.send(&format!("PUB {subject} 0\r\n\r\n"))?;
                }
                let last = header("Nats-Last-Consumer").and_then(|last| last.parse::<u64>().ok());
                if last.is_some_and(|last| last != self.last) {
                    return Err("messages of the watch were lost".to_owned());
                }
                return Ok(());
            }
            Some(status) => return Err(format!("the watch has ended: {status}")),
            None => {}
        }
        let numbers = received.reply.as_deref().and_then(Numbers::read);
        let Numbers { consumer, pending } = numbers.ok_or("a message of the watch has no numbers")?;
        if consumer != self.last + 1 {
            return Err("messages of the watch were lost".to_owned());
        }
        self.last = consumer;
        let prefix = format!("$KV.{}.", self.bucket);
        if let Some(key) = received.subject.strip_prefix(&prefix) {
            let is_gone = matches!(header("KV-Operation"), Some("DEL" | "PURGE"))
                || header("Nats-Marker-Reason").is_some();
            self.set(key, (!is_gone).then_some(&*received.payload), kept)?;
        }
        if pending == 0 && !self.is_whole {
            self.end_reading(kept);
        }
        Ok(())
    }

    /// Sets or removes a key, as the bucket has it.
    fn set(&self, key: &str, value: Option<&[u8]>, kept: &mut Kept) -> Result<(), String> {
        let has_changed = match value {
            None => kept.cache.remove(key),
            Some(value) => {
                let credential = Credential::read(value, &kept.hash_key);
                if let Credential::Unusable(reason) = credential {
                    eprintln!("the value of key '{}' lets in nobody: {}", key.escape_debug(), reason.text());
                }
                kept.cache.put(key, credential, self.reading).map_err(|Full| {
                    format!("the bucket has more than {} MiB of keys", CACHE_BYTES_MAX / (1024 * 1024))
                })?
            }
        };
        if has_changed {
            kept.changed.extend(key::users(key));
        }
        Ok(())
    }
}

fn refused(deed: &str, answer: &Json) -> String {
    let reason = answer["error"]["description"].as_str().unwrap_or("no reason");
    format!("JetStream did not {deed}: {reason}")
}

/// Numbers of a message of a consumer, from its subject for acknowledgements:
/// `$JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE.CONSUMER_SEQUENCE.TIME.PENDING`, with domain and
/// account before the stream on newer servers.
#[derive(Debug, PartialEq)]
struct Numbers {
    consumer: u64,
    pending: u64,
}

impl Numbers {
    fn read(reply: &str) -> Option<Numbers> {
        let tokens: Vec<&str> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
        let first = if tokens.len() >= 9 { 2 } else { 0 };
        let number = |index: usize| tokens.get(first + index)?.parse().ok();
        Some(Numbers { consumer: number(4)?, pending: number(6)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_message_are_read_in_both_forms() {
        for (reply, expected) in [
            ("$JS.ACK.KV_b.c.1.9.4.1700000000.2", Some(Numbers { consumer: 4, pending: 2 })),
            ("$JS.ACK._.hash.KV_b.c.1.9.4.1700000000.0", Some(Numbers { consumer: 4, pending: 0 })),
            ("$JS.ACK.d.hash.KV_b.c.1.9.4.1700000000.0.rand", Some(Numbers { consumer: 4, pending: 0 })),
            ("$JS.ACK.KV_b.c.1.9.x.1.2", None),
            ("other", None),
        ] {
            assert_eq!(Numbers::read(reply), expected, "{reply}");
        }
    }
}
