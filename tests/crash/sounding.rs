//! Probe for the subscriptions of a session: one message per filter, and a last one for a filter
//! that is always subscribed to.

use lotmq_client::{Client, ClientError, Message, Publication, QoS};
use lotmq_test_support::WAIT_MAX;

use crate::random::Random;

pub(crate) struct Sounding<'a> {
    end: &'a str,
    /// Payload of its messages: older ones may come again after a crash.
    mark: String,
}

impl<'a> Sounding<'a> {
    pub(crate) fn new(end: &'a str, random: &mut Random) -> Self {
        Self { end, mark: format!("mark {}", random.below(u64::MAX)) }
    }

    /// Publishes to every filter, then to the end.
    pub(crate) fn publish<'f>(
        &self,
        publisher: &mut Client,
        filters: impl Iterator<Item = &'f str>,
    ) -> Result<(), ClientError> {
        for filter in filters {
            publisher.publish(&Publication::new(filter, self.mark.as_str()).qos(QoS::AtLeastOnce))?;
        }
        publisher.publish(&Publication::new(self.end, self.mark.as_str()).qos(QoS::AtLeastOnce))?;
        Ok(())
    }

    pub(crate) fn is_mark(&self, message: &Message) -> bool {
        message.text() == self.mark
    }

    /// The filters whose messages the session gets.
    pub(crate) fn collect(&self, session: &mut Client) -> Result<Vec<String>, ClientError> {
        let mut came = Vec::new();
        while let Some(message) = session.receive(WAIT_MAX)?
            && !(self.is_mark(&message) && message.topic == self.end)
        {
            if self.is_mark(&message) {
                came.push(message.topic);
            }
        }
        Ok(came)
    }
}
