//! Topics that were heard of, in bounded memory, and their tree.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use lotmq_client::Message;
use lotmq_terminal::{Colour, Paint};

use lotmq_terminal::text::printable;

/// Bytes of a payload that are kept.
const PAYLOAD_BYTES_MAX: usize = 256;

/// Characters of a payload that are shown.
const SHOWN_CHARS_MAX: usize = 60;

/// Most bytes of all topic names together.
const NAMES_BYTES_MAX: usize = 64 << 20;

/// A topic, as it was heard of.
#[derive(Debug, Default)]
pub(super) struct HeardTopic {
    /// First bytes of the last payload.
    pub(super) payload: Vec<u8>,
    /// All bytes of it.
    pub(super) bytes: usize,
    /// Messages that came while it was listened to, those that were retained before aside.
    pub(super) live: u64,
    /// Whether a retained message was there.
    pub(super) is_retained: bool,
}

impl HeardTopic {
    /// Messages per second.
    #[expect(clippy::cast_precision_loss, reason = "nobody receives 2^53 messages")]
    pub(super) fn rate(&self, elapsed: Duration) -> f64 {
        (self.live as f64 / elapsed.as_secs_f64().max(0.001) * 100.0).round() / 100.0
    }

    /// Whether the payload is longer than what is kept of it.
    pub(super) fn is_cut(&self) -> bool {
        self.bytes > self.payload.len()
    }

    /// The value in one line: text, else how long it is.
    fn shown(&self) -> String {
        let text = match std::str::from_utf8(&self.payload) {
            Ok(text) => text,
            // A cut payload may end within a character.
            Err(error) if self.is_cut() && error.error_len().is_none() => {
                std::str::from_utf8(&self.payload[..error.valid_up_to()]).unwrap_or_default()
            }
            Err(_) => return format!("({} bytes that are no text)", self.bytes),
        };
        let mut shown: String = printable(text).chars().take(SHOWN_CHARS_MAX).collect();
        if self.is_cut() || text.chars().nth(SHOWN_CHARS_MAX).is_some() {
            let _ = write!(shown, "… ({} bytes)", self.bytes);
        }
        shown
    }
}

/// All topics that were heard of, up to a bound; what comes on others is counted.
#[derive(Debug)]
pub(super) struct HeardTopics {
    known: BTreeMap<String, HeardTopic>,
    max: usize,
    names_bytes: usize,
    /// Messages that came, retained ones aside.
    pub(super) messages: u64,
    /// Messages on topics for which there was no room.
    pub(super) uncounted: u64,
}

impl HeardTopics {
    /// None so far; at most `max` will be kept.
    pub(super) fn new(max: usize) -> Self {
        Self { known: BTreeMap::new(), max, names_bytes: 0, messages: 0, uncounted: 0 }
    }

    /// Takes note of a message.
    pub(super) fn take(&mut self, message: &Message) {
        self.messages += u64::from(!message.retain);
        let has_room = self.known.len() < self.max && self.names_bytes < NAMES_BYTES_MAX;
        if !self.known.contains_key(&message.topic) {
            if !has_room {
                self.uncounted += 1;
                return;
            }
            self.names_bytes += message.topic.len();
            self.known.insert(message.topic.clone(), HeardTopic::default());
        }
        let topic = self.known.get_mut(&message.topic).expect("it was there, or has just been put there");
        let head = message.payload.get(..PAYLOAD_BYTES_MAX).unwrap_or(&message.payload);
        topic.payload.clear();
        topic.payload.extend_from_slice(head);
        topic.bytes = message.payload.len();
        topic.live += u64::from(!message.retain);
        topic.is_retained |= message.retain;
    }

    /// All topics that are kept, by name.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &HeardTopic)> {
        self.known.iter().map(|(name, topic)| (&**name, topic))
    }

    /// The tree: a line for each level, with value and rate where it is a topic.
    pub(super) fn tree(&self, elapsed: Duration, paint: Paint) -> String {
        let mut sorted: Vec<(Vec<&str>, &HeardTopic)> =
            self.known.iter().map(|(name, topic)| (name.split('/').collect(), topic)).collect();
        // Level by level: `a/b` stands before `a-b`, which the order of texts has between `a` and
        // `a/b`.
        sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut lines: Vec<(String, Option<&HeardTopic>)> = Vec::new();
        let mut before: &[&str] = &[];
        for (levels, topic) in &sorted {
            let common = before.iter().zip(levels).take_while(|(a, b)| a == b).count();
            for (depth, level) in levels.iter().enumerate().skip(common) {
                let level = if level.is_empty() { "(empty)".to_owned() } else { printable(level) };
                let topic = (depth + 1 == levels.len()).then_some(*topic);
                lines.push((format!("{:indent$}{level}", "", indent = 2 * depth), topic));
            }
            before = levels;
        }
        let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default().min(60);
        let mut tree = String::new();
        for (name, topic) in lines {
            let _ = match topic {
                None => writeln!(tree, "{name}"),
                Some(topic) => {
                    let retained = if topic.is_retained { 'R' } else { ' ' };
                    let rate = match topic.live {
                        0 => String::new(),
                        _ => format!("{:.1}/s", topic.rate(elapsed)),
                    };
                    let value = paint.text(Colour::Cyan, &topic.shown());
                    writeln!(tree, "{name:<width$}  {rate:>9} {retained} {value}")
                }
            };
        }
        tree
    }

    /// Returns the totals in a sentence.
    pub(super) fn summary(&self, elapsed: Duration) -> String {
        let mut summary = format!(
            "{} topics, {} messages in {:.1} s",
            self.known.len(),
            self.messages,
            elapsed.as_secs_f64()
        );
        if self.uncounted > 0 {
            let _ = write!(
                summary,
                "; {} messages were on further topics, which are not shown (--max)",
                self.uncounted
            );
        }
        summary
    }
}

#[cfg(test)]
mod tests {
    use lotmq_client::{PropertyBuf, QoS};

    use super::*;

    fn message(topic: &str, payload: &[u8], retain: bool) -> Message {
        Message {
            topic: topic.to_owned(),
            payload: payload.to_vec(),
            qos: QoS::AtMostOnce,
            retain,
            dup: false,
            packet_id: None,
            properties: PropertyBuf::new(),
        }
    }

    fn topics(max: usize, messages: &[(&str, &[u8], bool)]) -> HeardTopics {
        let mut topics = HeardTopics::new(max);
        for (topic, payload, retain) in messages {
            topics.take(&message(topic, payload, *retain));
        }
        topics
    }

    #[test]
    fn levels_that_topics_share_stand_once() {
        let long = "x".repeat(300);
        let topics = topics(
            10,
            &[
                ("plant/a-b/t", b"2", false),
                ("plant/a/t", b"1", true),
                ("plant/a/t", b"1.5\x1b[2J", false),
                ("plant", b"\xff\x00", false),
                ("/x", long.as_bytes(), false),
            ],
        );
        let tree = topics.tree(Duration::from_secs(2), Paint::none());
        let expected = format!(
            "(empty)\n  x          0.5/s   {}… (300 bytes)\n\
             plant        0.5/s   (2 bytes that are no text)\n\
             \x20 a\n\x20   t        0.5/s R 1.5?[2J\n\
             \x20 a-b\n\x20   t        0.5/s   2\n",
            "x".repeat(60)
        );
        assert_eq!(tree, expected);
        assert_eq!(topics.summary(Duration::from_secs(2)), "4 topics, 4 messages in 2.0 s");
    }

    #[test]
    fn topics_beyond_the_maximum_are_counted() {
        let topics =
            topics(2, &[("a", b"", false), ("b", b"", false), ("c", b"", false), ("a", b"1", false)]);
        assert_eq!((topics.all().count(), topics.messages, topics.uncounted), (2, 4, 1));
        assert!(topics.summary(Duration::from_secs(1)).contains("1 messages were on further topics"));
    }
}
