//! Retained messages that a bridge sends to another broker first, so that a new broker knows the
//! last values.

use std::borrow::Cow;
use std::collections::VecDeque;

use lotmq_guest::route::{RetainedMessage, retained};

use crate::config::{End, Flow};
use crate::message::{Passing, of_qos};

/// Retained messages still to be sent to one broker.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Flows whose messages were not all read, by number.
    flows: VecDeque<usize>,
    /// Topic of the first of them behind which it goes on.
    after: Option<String>,
    /// Messages that were read and not sent. Until they are sent, nothing else goes there, because
    /// newer messages must follow them.
    page: VecDeque<Passing<'static>>,
}

impl Snapshot {
    /// All that goes from here to the broker of this number and may be retained there.
    pub(crate) fn of(flows: &[Flow], number: usize) -> Snapshot {
        let is_meant =
            |flow: &Flow| flow.from == End::Own && flow.to == End::Far(number) && flow.retain != Some(false);
        let flows = flows.iter().enumerate().filter(|(_, flow)| is_meant(flow)).map(|(index, _)| index);
        Snapshot { flows: flows.collect(), ..Snapshot::default() }
    }

    /// The next message; `None` where one has to be read first.
    pub(crate) fn first(&self) -> Option<&Passing<'static>> {
        self.page.front()
    }

    /// Takes the first message out.
    pub(crate) fn sent(&mut self) {
        self.page.pop_front();
    }

    /// Reads more, each message as `passed_on` makes it of the flow of a number; false at the end.
    pub(crate) fn read(
        &mut self,
        flows: &[Flow],
        mut passed_on: impl for<'a> FnMut(usize, &'a Passing<'_>) -> Option<Passing<'a>>,
    ) -> bool {
        let Some((index, flow)) = self.flows.front().and_then(|index| Some((*index, flows.get(*index)?)))
        else {
            return false;
        };
        let page = retained::read(&flow.filter, self.after.as_deref());
        let messages = page.messages.into_iter().map(passing);
        self.page.extend(messages.filter_map(|message| passed_on(index, &message).map(Passing::into_owned)));
        self.after = page.next_after;
        if self.after.is_none() {
            self.flows.pop_front();
        }
        true
    }
}

fn passing(message: RetainedMessage) -> Passing<'static> {
    let RetainedMessage { topic, payload, qos, properties } = message;
    let (topic, payload) = (topic.into(), payload.into());
    let properties = Cow::Owned(properties.unwrap_or_default());
    Passing { topic, payload, qos: of_qos(qos), retain: true, properties, bridges: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lotmq_guest::route::{QoS, testing};

    #[test]
    fn it_goes_through_its_flows_page_by_page() {
        let message = |number: usize| RetainedMessage {
            topic: format!("a/{number:03}"),
            payload: b"x".to_vec(),
            qos: QoS::AtLeastOnce,
            properties: None,
        };
        testing::retain((0..100).map(message).collect());
        let flow = |filter: &str, to: End, retain: Option<bool>| Flow {
            mapping: "m".to_owned(),
            from: End::Own,
            filter: filter.to_owned(),
            to,
            topic: "b/#".to_owned(),
            qos: 1,
            retain,
        };
        let flows = [
            flow("a/#", End::Far(0), None),
            flow("a/#", End::Far(1), None),
            flow("a/#", End::Far(0), Some(false)),
            flow("a/007", End::Far(0), Some(true)),
        ];
        let mut snapshot = Snapshot::of(&flows, 0);
        let mut topics = Vec::new();
        while snapshot.read(&flows, |_, message| Some(message.clone())) {
            while let Some(message) = snapshot.first() {
                assert!(message.retain && message.qos == 1);
                topics.push(message.topic.clone());
                snapshot.sent();
            }
        }
        assert_eq!(topics.len(), 101);
        assert!(topics[..100].is_sorted() && topics[100] == "a/007");
    }
}
