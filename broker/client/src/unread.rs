//! Inbox of a client: messages that wait to be received, within bounds.

use std::collections::VecDeque;

use crate::error::ClientError;
use crate::limits::{INBOX_BYTES_MAX, INBOX_MESSAGES_MAX};
use crate::message::Message;

/// Messages that wait to be received, oldest first.
#[derive(Debug, Default)]
pub(crate) struct UnreadMessages {
    messages: VecDeque<Message>,
    /// Bytes of them.
    bytes: usize,
}

impl UnreadMessages {
    /// Adds a message.
    ///
    /// # Errors
    /// [`ClientError::InboxFull`].
    pub(crate) fn push(&mut self, message: Message) -> Result<(), ClientError> {
        let bytes = self.bytes + message.bytes();
        if self.messages.len() >= INBOX_MESSAGES_MAX {
            return Err(ClientError::InboxFull { limit: INBOX_MESSAGES_MAX, unit: "messages" });
        }
        if bytes > INBOX_BYTES_MAX && !self.messages.is_empty() {
            return Err(ClientError::InboxFull { limit: INBOX_BYTES_MAX, unit: "bytes of messages" });
        }
        self.bytes = bytes;
        self.messages.push_back(message);
        Ok(())
    }

    /// Takes the oldest message.
    pub(crate) fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.bytes();
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use lotmq_codec::{PropertyBuf, QoS};

    use super::*;

    fn message(bytes: usize) -> Message {
        let (topic, payload, properties) = (String::new(), vec![0; bytes], PropertyBuf::default());
        Message {
            topic,
            payload,
            qos: QoS::AtMostOnce,
            retain: false,
            dup: false,
            packet_id: None,
            properties,
        }
    }

    #[test]
    fn one_message_of_any_size_waits_and_others_within_the_bound() {
        let mut inbox = UnreadMessages::default();
        inbox.push(message(INBOX_BYTES_MAX + 1)).unwrap();
        assert!(matches!(inbox.push(message(1)), Err(ClientError::InboxFull { .. })));
        assert!(inbox.pop().is_some() && inbox.pop().is_none());
        inbox.push(message(INBOX_BYTES_MAX / 2)).unwrap();
        inbox.push(message(INBOX_BYTES_MAX / 2)).unwrap();
        let full = inbox.push(message(1)).unwrap_err();
        assert_eq!(full.to_string(), format!("{INBOX_BYTES_MAX} bytes of messages wait to be received"));
    }
}
