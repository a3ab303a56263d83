//! Subscription to a running broker, which keeps the last value of each topic.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use lotmq_client::Message;
use lotmq_connect::{Following, Url, follow};
use lotmq_terminal::output::chain;
use lsp_types::MessageType;

use crate::outbox::Outbox;

/// Most topics that are remembered; later ones are not.
const TOPICS_MAX: usize = 10_000;

/// Bytes of a payload that are remembered.
const PAYLOAD_BYTES_MAX: usize = 2_048;

/// Longest wait for one message.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// Pause before another attempt to connect.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// The last value of a topic.
#[derive(Clone)]
pub(crate) struct LastValue {
    /// Its first bytes.
    payload: Vec<u8>,
    /// All of its bytes.
    length: usize,
    at: Timestamp,
    is_retained: bool,
}

/// The last values, which a thread keeps up to date as long as the process lives.
#[derive(Clone, Default)]
pub(crate) struct Live {
    values: Arc<Mutex<BTreeMap<String, LastValue>>>,
}

impl LastValue {
    fn of(message: &Message) -> Self {
        let payload = message.payload.get(..PAYLOAD_BYTES_MAX).unwrap_or(&message.payload);
        Self {
            payload: payload.to_vec(),
            length: message.payload.len(),
            at: Timestamp::now(),
            is_retained: message.retain,
        }
    }

    /// The value as text, cut where it is long.
    pub(crate) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.payload);
        if self.length > self.payload.len() { format!("{text}…") } else { text.into_owned() }
    }

    /// When it came, and how long it is.
    pub(crate) fn origin(&self) -> String {
        let time = self.at.to_zoned(TimeZone::system()).strftime("%H:%M:%S");
        let retained = if self.is_retained { ", retained" } else { "" };
        format!("{} bytes at {time}{retained}", self.length)
    }
}

impl Live {
    /// Connects and stores the received values; connects again when the connection is lost.
    pub(crate) fn start(url: Url, outbox: Outbox) -> std::io::Result<Self> {
        let live = Self::default();
        let values = live.clone();
        thread::Builder::new().name("live".to_owned()).spawn(move || {
            loop {
                if let Err(error) = values.follow(&url, outbox) {
                    outbox.log(MessageType::WARNING, &chain(&error));
                }
                thread::sleep(RETRY_PAUSE);
            }
        })?;
        Ok(live)
    }

    fn follow(&self, url: &Url, outbox: Outbox) -> anyhow::Result<()> {
        let Following { mut client, filter } = follow(url)?;
        outbox.log(MessageType::INFO, &format!("following `{filter}` on {}", url.host));
        loop {
            if let Some(message) = client.receive(WAIT_MAX)? {
                self.remember(&message);
            }
        }
    }

    fn values(&self) -> MutexGuard<'_, BTreeMap<String, LastValue>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, message: &Message) {
        let mut values = self.values();
        if values.len() < TOPICS_MAX || values.contains_key(&message.topic) {
            values.insert(message.topic.clone(), LastValue::of(message));
        }
    }

    /// Up to `count` topics that a filter, or the text that topics begin with, matches.
    pub(crate) fn matching(&self, filter: &str, count: usize) -> Vec<(String, LastValue)> {
        let values = self.values();
        if let Some(exact) = values.get(filter) {
            return vec![(filter.to_owned(), exact.clone())];
        }
        let is_prefix = filter.ends_with('/');
        let fits = |topic: &str| {
            if is_prefix { topic.starts_with(filter) } else { lotmq_router::filter_matches(filter, topic) }
        };
        let found = values.iter().filter(|(topic, _)| fits(topic)).take(count);
        found.map(|(topic, value)| (topic.clone(), value.clone())).collect()
    }

    /// Up to `count` topics that begin with a text.
    pub(crate) fn topics(&self, begin: &str, count: usize) -> Vec<(String, LastValue)> {
        let values = self.values();
        let from = values.range(begin.to_owned()..).take_while(|(topic, _)| topic.starts_with(begin));
        from.take(count).map(|(topic, value)| (topic.clone(), value.clone())).collect()
    }
}
