//! Lines that a module, and the routes that run it, have written before somebody follows them.
//!
//! The broker is asked after the subscription, so that no line is missing. A line of that moment
//! may come in the reply, and again at its topic: then it is shown once. After a lost connection
//! the reply has the lines that came meanwhile.

use std::collections::{HashMap, VecDeque};

use lotmq_client::{Client, Message, Publication, QoS};
use lotmq_connect::random_text;
use serde_json::Value;

use super::installed::{LOG, MODULES, ROUTES};
use crate::cmd::COMMAND_TOPIC;

/// Lines of each topic that are remembered: as many as the broker keeps.
const REMEMBERED_MAX: usize = 200;

/// Lines of before, by topic.
#[derive(Debug, Default)]
pub(super) struct EarlierLines {
    /// Topics of the lines that the broker was asked for, by the identifier of the request.
    asked: HashMap<String, String>,
    topics: HashMap<String, PrintedLines>,
}

/// Last lines of a topic that were shown, as the broker has published them.
#[derive(Debug, Default)]
struct PrintedLines {
    shown: VecDeque<Vec<u8>>,
    /// Those of a reply that may still come at their topic.
    early: Vec<Vec<u8>>,
}

impl EarlierLines {
    /// Begins another connection, on which nothing of the former one comes any more.
    pub(super) fn connected(&mut self) {
        self.asked.clear();
        self.topics.values_mut().for_each(|lines| lines.early.clear());
    }

    /// Asks for the last lines of those with these topics. The replies come as messages.
    ///
    /// # Errors
    /// Those of the connection.
    pub(super) fn ask(&mut self, client: &mut Client, topics: &[String], lines: u32) -> anyhow::Result<()> {
        let topics = topics.iter().filter(|_| lines > 0);
        for (topic, (kind, name)) in topics.filter_map(|topic| Some((topic, definition(topic)?))) {
            let request = random_text(12)?;
            let command = format!("-listLogLines {kind} \"{name}\" {lines} -requestId {request}");
            client.publish(&Publication::new(COMMAND_TOPIC, command).qos(QoS::AtLeastOnce))?;
            self.asked.insert(request, format!("{topic}{LOG}"));
        }
        Ok(())
    }

    /// Returns the lines of a reply that were not shown yet, as messages of their topic.
    pub(super) fn answered(&mut self, reply: &Message) -> Vec<Message> {
        let told: Value = serde_json::from_slice(&reply.payload).unwrap_or_default();
        let topic = told["requestId"].as_str().and_then(|request| self.asked.remove(request));
        let (Some(topic), Some(lines)) = (topic, told["data"].as_array()) else { return Vec::new() };
        let known = self.topics.entry(topic.clone()).or_default();
        let mut shown: Vec<Vec<u8>> = known.shown.iter().cloned().collect();
        let as_message = Message { topic, payload: Vec::new(), ..reply.clone() };
        let mut new = Vec::new();
        for line in lines.iter().take(REMEMBERED_MAX).map(|line| line.to_string().into_bytes()) {
            if take(&mut shown, &line) {
                continue;
            }
            known.early.push(line.clone());
            known.note(line.clone());
            new.push(Message { payload: line, ..as_message.clone() });
        }
        new
    }

    /// Whether a line that comes at its topic was not in a reply.
    pub(super) fn is_new(&mut self, message: &Message) -> bool {
        let known = self.topics.entry(message.topic.clone()).or_default();
        if take(&mut known.early, &message.payload) {
            return false;
        }
        known.note(message.payload.clone());
        true
    }
}

impl PrintedLines {
    fn note(&mut self, line: Vec<u8>) {
        self.shown.push_back(line);
        if self.shown.len() > REMEMBERED_MAX {
            self.shown.pop_front();
        }
    }
}

/// Removes one line of this text; false if there is none.
fn take(lines: &mut Vec<Vec<u8>>, wanted: &[u8]) -> bool {
    let found = lines.iter().position(|line| line == wanted);
    found.map(|at| lines.remove(at)).is_some()
}

/// Kind and name of the definition with this topic.
fn definition(topic: &str) -> Option<(&'static str, &str)> {
    let of = |place: &str| topic.strip_prefix(place)?.strip_prefix('/');
    of(MODULES).map(|name| ("module", name)).or_else(|| of(ROUTES).map(|name| ("route", name)))
}

#[cfg(test)]
mod tests {
    use lotmq_client::PropertyBuf;
    use serde_json::json;

    use super::*;

    const TOPIC: &str = "$SYS/Coreflux/Modules/m/Log";

    fn message(topic: &str, payload: &Value) -> Message {
        Message {
            topic: topic.to_owned(),
            payload: payload.to_string().into_bytes(),
            qos: QoS::AtLeastOnce,
            retain: false,
            dup: false,
            packet_id: None,
            properties: PropertyBuf::new(),
        }
    }

    fn line(text: &str) -> Value {
        json!({ "ts": "2026-11-25T22:11:24.553Z", "level": "info", "text": text })
    }

    fn reply(history: &mut EarlierLines, lines: &[&str]) -> Vec<String> {
        history.asked.insert("R".to_owned(), TOPIC.to_owned());
        let lines: Vec<Value> = lines.iter().map(|text| line(text)).collect();
        let new = history.answered(&message("out", &json!({ "requestId": "R", "data": lines })));
        assert!(new.iter().all(|message| message.topic == TOPIC));
        let text = |message: &Message| {
            let line: Value = serde_json::from_slice(&message.payload).unwrap();
            line["text"].as_str().unwrap().to_owned()
        };
        new.iter().map(text).collect()
    }

    #[test]
    fn log_line_in_reply_and_topic_is_printed_once() {
        let mut history = EarlierLines::default();
        let comes = |history: &mut EarlierLines, text: &str| history.is_new(&message(TOPIC, &line(text)));
        assert!(comes(&mut history, "twice"), "it comes before the reply");
        assert_eq!(reply(&mut history, &["old", "twice", "twice", "late"]), ["old", "twice", "late"]);
        assert!(!comes(&mut history, "twice") && !comes(&mut history, "late"), "both were in the reply");
        assert!(comes(&mut history, "late"), "it is written again");
        // After a lost connection the reply has what was shown, and what came meanwhile.
        history.connected();
        let again = reply(&mut history, &["old", "twice", "twice", "late", "late", "meanwhile"]);
        assert_eq!(again, ["meanwhile"]);
        assert!(comes(&mut history, "new"));
    }

    #[test]
    fn replies_to_other_requests_have_no_lines() {
        let mut history = EarlierLines::default();
        for told in [json!({ "requestId": "X", "data": [line("a")] }), json!("text"), json!({ "data": 1 })] {
            assert!(history.answered(&message("out", &told)).is_empty());
        }
        assert_eq!(definition("$SYS/Coreflux/Routes/Line 1"), Some(("route", "Line 1")));
        assert_eq!(definition("$SYS/Coreflux/Modules/m"), Some(("module", "m")));
        assert_eq!(definition("$SYS/Coreflux/Actions/m"), None);
    }
}
