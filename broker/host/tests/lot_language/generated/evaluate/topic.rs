//! Topics of reads and writes: wildcards, placeholders, what a read sees (§5.5, §6, OD-8).

use super::{Effect, Fault, Frame, Run};
use crate::generated::tree::{Topic, TopicPart};
use crate::generated::value::{Answer, Stop, Value};

/// Result of a topic operand.
pub(super) enum Place {
    Name(String),
    /// It has a wildcard for which the trigger has none.
    NoCapture,
}

/// Whether a message can have this topic.
pub(super) fn is_name(topic: &str) -> bool {
    // Control characters and non-characters are in no topic of ours (docs/decisions).
    let is_discouraged = |c: char| {
        c.is_control() || matches!(u32::from(c), 0xFDD0..=0xFDEF) || u32::from(c) & 0xFFFE == 0xFFFE
    };
    !topic.is_empty() && !topic.contains(['+', '#']) && !topic.contains(is_discouraged)
}

impl<'a> Run<'a> {
    pub(super) fn topic(&mut self, topic: &'a Topic, frame: &mut Frame<'a>) -> Answer<Place> {
        match topic {
            Topic::Literal(text) => Ok(self.literal_topic(text, frame)),
            Topic::Parts(parts) => {
                let mut name = String::new();
                for part in parts {
                    match part {
                        TopicPart::Literal(text) => match self.literal_topic(text, frame) {
                            Place::Name(text) => name.push_str(&text),
                            Place::NoCapture => return Ok(Place::NoCapture),
                        },
                        TopicPart::Variable(variable) => name.push_str(&variable_text(variable, frame)),
                        TopicPart::Position(number) => name.push_str(&self.position(*number).text()),
                        TopicPart::Payload => name.push_str(&self.payload().text()),
                    }
                }
                Ok(Place::Name(name))
            }
            Topic::Value(value) => Ok(Place::Name(self.value(value, frame)?.text())),
        }
    }

    fn literal_topic(&self, text: &str, frame: &Frame<'_>) -> Place {
        let (mut pluses, rest) = self.captures(frame.filters);
        let mut levels = Vec::new();
        for level in text.split('/') {
            match level {
                "+" if pluses.is_empty() => return Place::NoCapture,
                "+" => levels.push(pluses.remove(0)),
                "#" => match &rest {
                    Some(rest) => levels.extend(rest.iter().cloned()),
                    None => return Place::NoCapture,
                },
                other => levels.push(filled(other, frame)),
            }
        }
        Place::Name(levels.join("/"))
    }

    /// Returns the levels that the wildcards of the first matching filter took: of `+`, and of `#`.
    fn captures(&self, filters: &[String]) -> (Vec<String>, Option<Vec<String>>) {
        let Some((topic, _)) = &self.message else { return (Vec::new(), None) };
        filters.iter().find_map(|filter| matched(filter, topic)).unwrap_or_default()
    }

    pub(super) fn read(&self, place: Place) -> Answer<Value> {
        let Place::Name(topic) = place else { return Ok(Value::Empty) };
        let in_flight = self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Publish { topic: written, payload, .. } | Effect::Keep { topic: written, payload } => {
                (*written == topic).then(|| Ok(payload.clone()))
            }
            Effect::Forget { topic: written } => {
                (*written == topic).then_some(Err(Stop::Unspecified("a read after DELETE TOPIC in one run")))
            }
        });
        let in_flight = in_flight.filter(|_| self.fault != Some(Fault::WritesAreNotRead));
        if let Some(found) = in_flight {
            return found.map(|payload| Value::of_bytes(&payload));
        }
        let trigger = self.message.as_ref().filter(|(name, _)| *name == topic).map(|(_, payload)| payload);
        let stored =
            trigger.or_else(|| self.world.topics.get(&topic)).or_else(|| self.world.retained.get(&topic));
        Ok(stored.map_or(Value::Empty, |payload| Value::of_bytes(payload)))
    }

    pub(super) fn payload(&self) -> Value {
        self.message.as_ref().map_or(Value::Empty, |(_, payload)| Value::of_bytes(payload))
    }

    pub(super) fn position(&self, number: i64) -> Value {
        let Some((topic, _)) = &self.message else { return Value::Empty };
        let level = usize::try_from(number)
            .ok()
            .filter(|number| *number > 0)
            .and_then(|number| topic.split('/').nth(number - 1));
        level.map_or(Value::Empty, Value::data)
    }
}

/// Returns the levels that the wildcards of a filter took from a topic; `None` if it does not
/// match.
pub(super) fn matched(filter: &str, topic: &str) -> Option<(Vec<String>, Option<Vec<String>>)> {
    let (filter, topic): (Vec<&str>, Vec<&str>) = (filter.split('/').collect(), topic.split('/').collect());
    let mut pluses = Vec::new();
    for (index, level) in filter.iter().enumerate() {
        match (*level, topic.get(index)) {
            ("#", _) => {
                let rest = topic.get(index..).unwrap_or(&[]);
                return Some((pluses, Some(rest.iter().map(|level| (*level).to_owned()).collect())));
            }
            ("+", Some(found)) => pluses.push((*found).to_owned()),
            (level, Some(found)) if level == *found => {}
            _ => return None,
        }
    }
    (filter.len() == topic.len()).then_some((pluses, None))
}

fn variable_text(name: &str, frame: &Frame<'_>) -> String {
    frame.variables.get(name).map(Value::text).unwrap_or_default()
}

/// A level with the `{name}` of variables of the action replaced (OD-8).
fn filled(level: &str, frame: &Frame<'_>) -> String {
    let mut text = String::new();
    let mut rest = level;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        match after.split_once('}') {
            Some((name, behind)) if frame.names.contains(name) => {
                text.push_str(&variable_text(name, frame));
                rest = behind;
            }
            _ => {
                text.push('{');
                rest = after;
            }
        }
    }
    text + rest
}
