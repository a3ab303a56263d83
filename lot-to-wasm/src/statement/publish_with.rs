//! A message with properties: the checked form of `PUBLISH TOPIC` with some, and of `REPLY`.

use super::publish_option::{CheckedMessage, Property};
use super::{CheckedKind, Executable};
use crate::check::TopicUse;
use crate::check::tree::walk::{Need, Part, parts};
use crate::lower::{Generator, MessageRecord, refuse_unanswerable};
use crate::syntax::Position;

/// Publishes a message with properties.
#[derive(Debug, Clone)]
pub struct Checked(CheckedMessage);

impl From<CheckedMessage> for CheckedKind {
    fn from(message: CheckedMessage) -> Self {
        CheckedKind::PublishWith(Checked(message))
    }
}

impl Executable for Checked {
    parts!(|Checked(CheckedMessage { topic, value, properties, .. }), visit| {
        visit(Part::Need(Need::Properties));
        visit(Part::Topic(topic, TopicUse::Publish));
        visit(Part::Value(value));
        for property in properties {
            match property {
                Property::AllUser => {}
                Property::User { name, value } => {
                    visit(Part::Value(value));
                    visit(Part::Value(name));
                }
                Property::Single(_, value) => visit(Part::Value(value)),
            }
        }
    });

    fn lower(&self, generator: &mut Generator<'_>, at: Position) {
        let Checked(message) = self;
        let Some((end, topic)) = generator.begin_write(&message.topic, at) else { return };
        if message.is_reply {
            refuse_unanswerable(generator, &topic, end, at);
        }
        if let Some(content) = generator.content(&message.value, message.when_empty, end, at) {
            let mut record = MessageRecord::new(generator, end, at);
            record.set_flags(message.qos, message.retain);
            record.set_properties(&message.properties);
            record.publish(&topic, &content);
            generator.release_content(content);
        }
        generator.code.end();
        generator.release_topic(topic);
    }
}
