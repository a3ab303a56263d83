//! Every operation of a session in random order, compared with a model of plain lists.

use lotmq_codec::{PacketId, ProtocolVersion, QoS, ReasonCode};
use lotmq_session::{
    InboundPublish, InflightStep, Offer, Outbound, PubrecOutcome, PubrelOutcome, Session, SessionOptions,
};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

const QUEUE_MESSAGES_MAX: u32 = 6;
const QUEUE_BYTES_MAX: u64 = 40;

#[derive(Debug, Clone)]
enum Step {
    Offer(QoS, usize),
    Enqueue(usize),
    /// An acknowledgement for the n-th message in flight, or for an identifier that may not be in
    /// use.
    Puback(usize),
    Pubrec(usize, bool),
    Pubcomp(usize),
    NextOutbound(usize),
    DropOutbound(usize),
    Publish(QoS, u16),
    Answered(u16),
    Pubrel(u16),
    Disconnect,
    Resume(u16, bool),
    Restart,
    ReleaseIdle,
}

fn qos() -> impl Strategy<Value = QoS> {
    prop::sample::select(
        &[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce][..],
    )
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0_usize..8;
    prop_oneof![
        12 => (qos(), 0_usize..20).prop_map(|(qos, bytes)| Step::Offer(qos, bytes)),
        1 => (0_usize..20).prop_map(Step::Enqueue),
        6 => which.clone().prop_map(Step::Puback),
        6 => (which.clone(), prop::bool::weighted(0.2)).prop_map(|(n, fails)| Step::Pubrec(n, fails)),
        4 => which.clone().prop_map(Step::Pubcomp),
        6 => (1_usize..5).prop_map(Step::NextOutbound),
        1 => which.prop_map(Step::DropOutbound),
        6 => (qos(), 1_u16..6).prop_map(|(qos, id)| Step::Publish(qos, id)),
        4 => (1_u16..6).prop_map(Step::Answered),
        3 => (1_u16..6).prop_map(Step::Pubrel),
        1 => Just(Step::Disconnect),
        3 => (1_u16..6, any::<bool>()).prop_map(|(maximum, is_5)| Step::Resume(maximum, is_5)),
        1 => Just(Step::Restart),
        1 => Just(Step::ReleaseIdle),
    ]
}

fn options(maximum: u16, is_5: bool) -> SessionOptions {
    let version = if is_5 { ProtocolVersion::V5 } else { ProtocolVersion::V3_1_1 };
    SessionOptions {
        send_maximum: maximum,
        receive_maximum: maximum,
        queue_messages_max: QUEUE_MESSAGES_MAX,
        queue_bytes_max: QUEUE_BYTES_MAX,
        ..SessionOptions::new(version)
    }
}

#[derive(Debug)]
struct Flight {
    packet_id: PacketId,
    message: u32,
    step: InflightStep,
    is_sent: bool,
}

impl Flight {
    fn is_unsent_publish(&self) -> bool {
        !self.is_sent && self.step != InflightStep::AwaitsPubcomp
    }
}

/// Reference model of a session, with plain lists.
#[derive(Debug)]
struct Model {
    is_connected: bool,
    options: SessionOptions,
    inflight: Vec<Flight>,
    queue: Vec<(u32, QoS, u64)>,
    /// Open QoS 2 exchanges, and whether they count.
    received: BTreeMap<u16, bool>,
    unacknowledged: usize,
    next_message: u32,
}

type Checked = Result<(), TestCaseError>;

fn pid(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

impl Model {
    fn new(options: SessionOptions) -> Self {
        Self {
            is_connected: true,
            options,
            inflight: Vec::new(),
            queue: Vec::new(),
            received: BTreeMap::new(),
            unacknowledged: 0,
            next_message: 0,
        }
    }

    fn unsent(&self) -> usize {
        self.inflight.iter().filter(|flight| flight.is_unsent_publish()).count()
    }

    fn maximum(&self) -> usize {
        self.options.send_maximum.into()
    }

    /// The n-th message in flight, or an identifier that is hardly in use.
    fn nth(&self, n: usize) -> (PacketId, Option<usize>) {
        match self.inflight.get(n) {
            Some(flight) => (flight.packet_id, Some(n)),
            None => (pid(60_000), None),
        }
    }

    fn launch(&mut self, packet_id: PacketId, message: u32, qos: QoS) -> Checked {
        prop_assert!(self.inflight.iter().all(|flight| flight.packet_id != packet_id), "identifier in use");
        let step = match qos {
            QoS::ExactlyOnce => InflightStep::AwaitsPubrec,
            QoS::AtMostOnce | QoS::AtLeastOnce => InflightStep::AwaitsPuback,
        };
        self.inflight.push(Flight { packet_id, message, step, is_sent: true });
        prop_assert!(self.inflight.len() <= self.maximum(), "window exceeded");
        Ok(())
    }

    fn offer(&mut self, session: &mut Session<u32>, qos: QoS, bytes: usize) -> Checked {
        let message = self.next_message;
        self.next_message += 1;
        let offer = session.offer(qos, bytes, || message);
        if qos == QoS::AtMostOnce {
            prop_assert_eq!(
                offer,
                if self.is_connected { Offer::SendUnacknowledged } else { Offer::Offline }
            );
        } else if self.may_send() {
            let Offer::Send(packet_id) = offer else {
                return Err(TestCaseError::fail(format!("not sent: {offer:?}")));
            };
            self.launch(packet_id, message, qos)?;
        } else {
            self.wait(offer, message, qos, bytes)?;
        }
        Ok(())
    }

    fn enqueue(&mut self, session: &mut Session<u32>, bytes: usize) -> Checked {
        let message = self.next_message;
        self.next_message += 1;
        let offer = session.enqueue(QoS::AtLeastOnce, bytes, || message);
        self.wait(offer, message, QoS::AtLeastOnce, bytes)
    }

    fn may_send(&self) -> bool {
        self.is_connected
            && self.queue.is_empty()
            && self.unsent() == 0
            && self.inflight.len() < self.maximum()
    }

    fn wait(&mut self, offer: Offer, message: u32, qos: QoS, bytes: usize) -> Checked {
        let waiting: u64 = self.queue.iter().map(|(_, _, bytes)| bytes).sum();
        let is_full =
            self.queue.len() == QUEUE_MESSAGES_MAX as usize || waiting + bytes as u64 > QUEUE_BYTES_MAX;
        if is_full {
            prop_assert!(matches!(offer, Offer::Refused(_)), "{:?}", offer);
        } else {
            prop_assert_eq!(offer, Offer::Queued);
            self.queue.push((message, qos, bytes as u64));
        }
        Ok(())
    }

    fn next_outbound(&mut self, session: &mut Session<u32>) -> Checked {
        let got = session.next_outbound();
        let (unsent, maximum, len) = (self.unsent(), self.maximum(), self.inflight.len());
        let pubrel = |f: &&mut Flight| f.step == InflightStep::AwaitsPubcomp && !f.is_sent;
        if !self.is_connected {
            prop_assert_eq!(got, None);
        } else if let Some(flight) = self.inflight.iter_mut().find(pubrel) {
            flight.is_sent = true;
            prop_assert_eq!(got, Some(Outbound::Pubrel { packet_id: flight.packet_id }));
        } else if unsent > 0 {
            let flight = self.inflight.iter_mut().find(|flight| flight.is_unsent_publish()).unwrap();
            let has_room = len - unsent < maximum;
            flight.is_sent |= has_room;
            let Flight { packet_id, message, step, .. } = *flight;
            let again = Outbound::Publish { packet_id, qos: step.qos(), message, dup: true };
            prop_assert_eq!(got, has_room.then_some(again));
        } else if len < maximum && !self.queue.is_empty() {
            let (message, qos, _) = self.queue.remove(0);
            let Some(Outbound::Publish { packet_id, .. }) = got else {
                return Err(TestCaseError::fail("nothing sent"));
            };
            prop_assert_eq!(got, Some(Outbound::Publish { packet_id, qos, message, dup: false }));
            self.launch(packet_id, message, qos)?;
        } else {
            prop_assert_eq!(got, None);
        }
        Ok(())
    }

    /// PUBACK, PUBCOMP or a drop: takes the message out if it is at one of `steps`.
    fn finish(&mut self, at: Option<usize>, steps: &[InflightStep], got: Option<Option<u32>>) -> Checked {
        match at.filter(|&at| steps.contains(&self.inflight[at].step)) {
            Some(at) => {
                let flight = self.inflight.remove(at);
                let kept = (flight.step != InflightStep::AwaitsPubcomp).then_some(flight.message);
                prop_assert_eq!(got, Some(kept));
            }
            None => prop_assert_eq!(got, None),
        }
        Ok(())
    }

    fn pubrec(&mut self, session: &mut Session<u32>, n: usize, fails: bool) -> Checked {
        let (packet_id, at) = self.nth(n);
        let reason = if fails { ReasonCode::UnspecifiedError } else { ReasonCode::Success };
        let got = session.handle_pubrec(packet_id, reason);
        match at.filter(|&at| self.inflight[at].step != InflightStep::AwaitsPuback) {
            None => prop_assert!(got.is_err()),
            Some(at) if fails => {
                let Ok(PubrecOutcome::Finished(acked)) = got else {
                    return Err(TestCaseError::fail("goes on"));
                };
                self.finish(
                    Some(at),
                    &[InflightStep::AwaitsPubrec, InflightStep::AwaitsPubcomp],
                    Some(acked.message),
                )?;
            }
            Some(at) => {
                let flight = &mut self.inflight[at];
                let message = (flight.step == InflightStep::AwaitsPubrec).then_some(flight.message);
                (flight.step, flight.is_sent) = (InflightStep::AwaitsPubcomp, true);
                prop_assert_eq!(got, Ok(PubrecOutcome::SendPubrel { message }));
            }
        }
        Ok(())
    }

    fn publish(&mut self, session: &mut Session<u32>, qos: QoS, id: u16) -> Checked {
        let unacknowledged = u32::try_from(self.unacknowledged).expect("a story has few messages");
        let got = match qos {
            QoS::AtMostOnce => Ok(InboundPublish::Deliver),
            QoS::AtLeastOnce => {
                session.judge_at_least_once(pid(id), unacknowledged).map(|()| InboundPublish::Deliver)
            }
            QoS::ExactlyOnce => session.receive_exactly_once(pid(id), unacknowledged),
        };
        let counted = self.unacknowledged + self.received.values().filter(|is_counted| **is_counted).count();
        let is_5 = self.options.version == ProtocolVersion::V5;
        let is_full = is_5 && counted >= usize::from(self.options.receive_maximum);
        let known = self.received.get(&id).copied();
        match (qos, known) {
            (QoS::AtMostOnce, _) => prop_assert_eq!(got, Ok(InboundPublish::Deliver)),
            (QoS::ExactlyOnce, Some(true)) => prop_assert_eq!(got, Ok(InboundPublish::Duplicate)),
            (QoS::AtLeastOnce, Some(_)) => prop_assert!(got.is_err()),
            _ if is_full => prop_assert!(got.is_err()),
            (QoS::AtLeastOnce, None) => {
                self.unacknowledged += 1;
                prop_assert_eq!(got, Ok(InboundPublish::Deliver));
            }
            (QoS::ExactlyOnce, _) => {
                self.received.insert(id, true);
                let expected =
                    if known.is_some() { InboundPublish::Duplicate } else { InboundPublish::Deliver };
                prop_assert_eq!(got, Ok(expected));
            }
        }
        Ok(())
    }

    fn disconnect(&mut self) {
        self.is_connected = false;
        self.unacknowledged = 0;
        self.received.values_mut().for_each(|is_counted| *is_counted = false);
        self.inflight.iter_mut().for_each(|flight| flight.is_sent = false);
    }

    fn take(&mut self, session: &mut Session<u32>, step: Step) -> Checked {
        use InflightStep::{AwaitsPuback, AwaitsPubcomp, AwaitsPubrec};
        match step {
            Step::Offer(qos, bytes) => self.offer(session, qos, bytes)?,
            Step::Enqueue(bytes) => self.enqueue(session, bytes)?,
            Step::Puback(n) => {
                let (packet_id, at) = self.nth(n);
                let got = session.handle_puback(packet_id).ok().map(|acked| acked.message);
                self.finish(at, &[AwaitsPuback], got)?;
            }
            Step::Pubrec(n, fails) => self.pubrec(session, n, fails)?,
            Step::Pubcomp(n) => {
                let (packet_id, at) = self.nth(n);
                let got = session.handle_pubcomp(packet_id).ok().map(|acked| acked.message);
                self.finish(at, &[AwaitsPubcomp], got)?;
            }
            Step::DropOutbound(n) => {
                let (packet_id, at) = self.nth(n);
                let got = session.drop_outbound(packet_id).ok().map(|acked| acked.message);
                self.finish(at, &[AwaitsPuback, AwaitsPubrec, AwaitsPubcomp], got)?;
            }
            Step::NextOutbound(times) => (0..times).try_for_each(|_| self.next_outbound(session))?,
            Step::Publish(qos, id) => self.publish(session, qos, id)?,
            Step::Answered(id) => {
                session.refuse_exactly_once(pid(id));
                if self.received.remove(&id).is_none() {
                    self.unacknowledged = self.unacknowledged.saturating_sub(1);
                }
            }
            Step::Pubrel(id) => {
                let expected =
                    self.received.remove(&id).map_or(PubrelOutcome::Unknown, |_| PubrelOutcome::Released);
                prop_assert_eq!(session.handle_pubrel(pid(id)), expected);
            }
            Step::Disconnect => {
                session.disconnect();
                self.disconnect();
            }
            Step::Resume(maximum, is_5) => {
                session.resume(options(maximum, is_5));
                self.disconnect();
                (self.is_connected, self.options) = (true, options(maximum, is_5));
            }
            Step::Restart => {
                *session = Session::import(self.options, session.export()).expect("an exported state");
                self.disconnect();
            }
            Step::ReleaseIdle => session.release_idle(),
        }
        self.compare(session)
    }

    fn compare(&self, session: &Session<u32>) -> Checked {
        session.check_invariants().map_err(TestCaseError::fail)?;
        let counts = session.counts();
        prop_assert_eq!(session.can_send(), self.may_send());
        prop_assert_eq!(counts.inflight, self.inflight.len());
        prop_assert_eq!(counts.queued, self.queue.len());
        prop_assert_eq!(counts.queued_bytes, self.queue.iter().map(|(_, _, bytes)| bytes).sum::<u64>());
        prop_assert_eq!(counts.received, self.received.len());
        let state = session.export();
        let inflight = state.inflight.iter().map(|record| (record.packet_id, record.step));
        prop_assert!(inflight.eq(self.inflight.iter().map(|flight| (flight.packet_id, flight.step))));
        prop_assert!(
            state.queue.iter().map(|queued| queued.message).eq(self.queue.iter().map(|queued| queued.0))
        );
        prop_assert!(state.received.iter().map(|id| id.get()).eq(self.received.keys().copied()));
        Ok(())
    }
}

proptest! {
    #[test]
    fn session_agrees_with_plain_lists(maximum in 1_u16..6, is_5: bool, steps in vec(step(), 1..200)) {
        let mut session = Session::new(options(maximum, is_5));
        let mut model = Model::new(options(maximum, is_5));
        for step in steps {
            model.take(&mut session, step)?;
        }
    }
}
