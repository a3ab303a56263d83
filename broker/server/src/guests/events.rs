//! Triggers of a turn: collected while messages are routed, started when the turn ends.
//!
//! Definitions that their facts call bounded run at once, on this thread, in a short slice; whatever takes longer, is busy or was not promised to be
//! short goes to its mailbox and runs on an executor.

use std::sync::Arc;

use lotmq_host::{Event, Inline, Message as GuestMessage, OwnedEvent, OwnedMessage, Qos, RunOutput};

use super::Trigger;
use super::effects;
use crate::client::Client;
use crate::limits::INLINE_RUNS_MAX;
use crate::message::Message;
use crate::net::turn::Turn;
use crate::tenant::Tenant;

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct GuestEvents {
    events: Vec<GuestEvent>,
    /// Kept for its memory.
    output: RunOutput,
    /// Runs of this turn so far.
    runs: usize,
}

struct GuestEvent {
    tenant: Arc<Tenant>,
    trigger: Arc<Trigger>,
    message: Arc<Message>,
    client_id: Option<Arc<str>>,
    hops: u8,
}

impl GuestEvents {
    pub(crate) fn push(
        &mut self,
        tenant: &Arc<Tenant>,
        trigger: &Arc<Trigger>,
        message: &Arc<Message>,
        source: Option<&Arc<Client>>,
        hops: u8,
    ) {
        self.events.push(GuestEvent {
            tenant: Arc::clone(tenant),
            trigger: Arc::clone(trigger),
            message: Arc::clone(message),
            client_id: source.map(|client| Arc::clone(&client.client_id)),
            hops,
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// A new turn begins.
    pub(crate) fn turn_ended(&mut self) {
        self.runs = 0;
    }
}

impl Turn {
    /// Starts what this turn's messages trigger. What runs at once adds to the turn, events included.
    pub(crate) fn start_guests(&mut self) {
        let mut events = std::mem::take(&mut self.guest_events.events);
        for event in events.drain(..) {
            let parts = event.message.parts();
            if event.trigger.definition.fires(parts.topic, parts.payload) {
                self.start_guest(&event);
            }
        }
        // Runs may have triggered others meanwhile; otherwise the memory serves the next turn.
        if self.guest_events.events.is_empty() {
            self.guest_events.events = events;
        }
    }

    fn start_guest(&mut self, event: &GuestEvent) {
        if event.trigger.is_bounded && self.guest_events.runs < INLINE_RUNS_MAX {
            self.guest_events.runs += 1;
            if self.run_at_once(event) {
                return;
            }
        }
        self.post(event);
    }

    /// False when it must be posted instead: nothing of it has happened then.
    fn run_at_once(&mut self, event: &GuestEvent) -> bool {
        let parts = event.message.parts();
        let client_id = event.client_id.as_deref().unwrap_or("");
        let message = GuestMessage {
            topic: parts.topic,
            payload: parts.payload,
            qos: qos(parts.qos),
            retain: parts.retain,
            client_id,
        };
        let mut output = std::mem::take(&mut self.guest_events.output);
        let ran = event.trigger.runner.run_inline(&Event::Message(message), event.hops, &mut output);
        let is_finished = match ran {
            Inline::Finished(outcome) => {
                let run = effects::Run {
                    trace_id: "",
                    tenant: &event.tenant,
                    hops: event.hops,
                    trigger: Some(effects::Started { topic: parts.topic, payload: parts.payload, client_id }),
                    outcome: &outcome,
                    timing: None,
                };
                effects::carry_out(self, &event.trigger.definition, &run, &output);
                true
            }
            Inline::Post => false,
        };
        self.guest_events.output = output;
        is_finished
    }

    fn post(&mut self, event: &GuestEvent) {
        let parts = event.message.parts();
        let message = OwnedMessage {
            topic: parts.topic.into(),
            payload: event.message.payload(),
            qos: qos(parts.qos),
            retain: parts.retain,
            client_id: event.client_id.clone().unwrap_or_default(),
        };
        let event_for_host = OwnedEvent::Message(Arc::new(message));
        if let Err(error) = event.trigger.runner.post(event_for_host, event.hops, 0) {
            effects::not_taken(self, &event.tenant, &event.trigger.definition, &error, &event.message);
        }
    }
}

pub(super) fn qos(qos: lotmq_codec::QoS) -> Qos {
    match qos {
        lotmq_codec::QoS::AtMostOnce => Qos::AtMostOnce,
        lotmq_codec::QoS::AtLeastOnce => Qos::AtLeastOnce,
        lotmq_codec::QoS::ExactlyOnce => Qos::ExactlyOnce,
    }
}
