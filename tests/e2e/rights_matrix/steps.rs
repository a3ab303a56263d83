//! Steps of each operation: at the beginning of its session, and in the end.

use lotmq_client::{Client, ClientError, Message, Publication, QoS, ReasonCode};
use lotmq_codec::ServerPacket;
use lotmq_test_support::{WAIT_MAX, eventually};

use super::cases::{Case, Operation, Verdict};
use super::scene::{RULE_TOPIC, Scene, Subject, publish};
use super::sources::SourceKind;

impl Scene {
    /// Begins the session of a case, with what the operation needs of it.
    pub(super) fn prepare(&mut self, case: Case) -> Subject {
        let (id, is_allowed) = (case.id(), case.begins_allowed());
        let (mut client, mut held) = (self.connect(&case, true), None);
        let open = client.subscribe_to(&format!("open/{id}"), QoS::AtLeastOnce).unwrap();
        assert!(!open.is_failure(), "{case:?}: {open}");
        match case.operation {
            Operation::LiteralSubscription
            | Operation::WildcardSubscription
            | Operation::SharedSubscription
            | Operation::SysTopic => subscribe(&mut client, &case, is_allowed),
            Operation::Publish => send(&mut client, &case, &format!("x/{id}/out"), is_allowed),
            Operation::TopicAlias => {
                send_aliased(&mut client, &case, (&format!("x/{id}/out"), "by topic"), is_allowed)
            }
            Operation::RetainedReplay => {
                let kept = Publication::new(format!("x/{id}/kept"), "kept").retained();
                self.root.publish(&kept.qos(QoS::AtLeastOnce)).unwrap();
            }
            Operation::Queue => held = self.prepare_queue(&mut client, &case),
            Operation::TakeOver => self.prepare_take_over(&mut client, &case),
            Operation::WillAtConnect | Operation::WillWhenDue | Operation::Command | Operation::Guest => {}
        }
        Subject { case, client: Some(client), held }
    }

    /// Fills the window of a live Client, so that a message waits behind the one that this returns.
    fn prepare_queue(&mut self, client: &mut Client, case: &Case) -> Option<Message> {
        let id = case.id();
        let code = client.subscribe_to(&format!("+/{id}/in"), QoS::AtLeastOnce).unwrap();
        assert!(!code.is_failure(), "{case:?}: {code}");
        if !case.is_live() {
            return None;
        }
        self.publish(&format!("open/{id}"), "first");
        self.publish(&format!("x/{id}/in"), "queued");
        Some(first(client, case))
    }

    /// Has a Client receive a message that it does not acknowledge.
    fn prepare_take_over(&mut self, client: &mut Client, case: &Case) {
        let id = case.id();
        client.subscribe_to(&format!("+/{id}/in"), QoS::AtLeastOnce).unwrap();
        self.publish(&format!("x/{id}/in"), "sent");
        if case.begins_allowed() {
            let message = client.receive(WAIT_MAX).unwrap().expect("the message");
            assert_eq!(message.text(), "sent", "{case:?}");
        }
    }

    /// Checks a case in the end.
    pub(super) fn check(&mut self, Subject { case, client, held }: Subject) {
        let (id, is_allowed) = (case.id(), case.ends_allowed());
        match case.operation {
            Operation::WillAtConnect => self.check_will_at_connect(&case, client),
            Operation::WillWhenDue => self.check_will_when_due(&case, client),
            Operation::LiteralSubscription
            | Operation::WildcardSubscription
            | Operation::SharedSubscription => self.check_delivery(&case, client),
            Operation::TakeOver => {
                let mut second = self.connect(&case, false);
                self.assert_received(&case, &mut second, "sent");
            }
            Operation::Queue => self.check_queue(&case, client, held),
            Operation::RetainedReplay => {
                let mut client = self.back(&case, client);
                let code = client.subscribe_to(&format!("+/{id}/kept"), QoS::AtLeastOnce).unwrap();
                assert!(!code.is_failure(), "{case:?}: {code}");
                self.assert_received(&case, &mut client, "kept");
            }
            Operation::SysTopic => self.check_sys(&case, client),
            Operation::Publish => {
                let mut client = self.back(&case, client);
                send(&mut client, &case, &format!("x/{id}/out"), is_allowed);
                self.assert_observed(&case, (&format!("x/{id}/out"), "x"));
            }
            Operation::TopicAlias => self.check_alias(&case, client),
            Operation::Guest => {
                let mut client = self.back(&case, client);
                let code = publish(&mut client, &format!("x/{id}/fire"), &id);
                assert_eq!(code.is_failure(), case.is_v5 && !is_allowed, "{case:?}: {code}");
                self.assert_observed(&case, ("effect", &id));
            }
            Operation::Command => {
                let mut client = self.back(&case, client);
                let code = publish(&mut client, "$SYS/Coreflux/Command", &format!("-setEnv {id}=1"));
                assert_eq!(code.is_failure(), case.is_v5 && !is_allowed, "{case:?}: {code}");
            }
        }
    }

    /// The Client of a case, which comes back if it was away.
    fn back(&self, case: &Case, client: Option<Client>) -> Client {
        client.unwrap_or_else(|| {
            let client = self.connect(case, false);
            assert!(client.session_present(), "{case:?}");
            client
        })
    }

    #[track_caller]
    fn assert_received(&mut self, case: &Case, client: &mut Client, payload: &str) {
        let received = self.received(case, client);
        let is_received = received.iter().any(|message| message.text() == payload);
        assert_eq!(is_received, case.ends_allowed(), "{case:?}: {received:?}");
    }

    #[track_caller]
    fn assert_observed(&mut self, case: &Case, message: (&str, &str)) {
        let is_allowed = case.ends_allowed();
        assert_eq!(self.is_observed(message, is_allowed), is_allowed, "{case:?}: {message:?}");
    }

    /// A message comes, for a Client that is away while it is away.
    fn check_delivery(&mut self, case: &Case, client: Option<Client>) {
        self.publish(&format!("x/{}/in", case.id()), "event");
        let mut client = self.back(case, client);
        self.assert_received(case, &mut client, "event");
        subscribe(&mut client, case, case.ends_allowed());
    }

    fn check_queue(&mut self, case: &Case, client: Option<Client>, held: Option<Message>) {
        let mut client = self.back(case, client);
        if case.is_live() {
            let first = held.unwrap_or_else(|| first(&mut client, case));
            client.acknowledge(&first, ReasonCode::Success).unwrap();
        }
        self.assert_received(case, &mut client, "queued");
    }

    fn check_sys(&mut self, case: &Case, client: Option<Client>) {
        let mut client = self.back(case, client);
        self.received(case, &mut client);
        subscribe(&mut client, case, case.ends_allowed());
        let received = self.received(case, &mut client);
        let has_text = received.iter().any(|message| message.topic == RULE_TOPIC);
        assert_eq!(has_text, case.ends_allowed(), "{case:?}: {received:?}");
    }

    fn check_alias(&mut self, case: &Case, client: Option<Client>) {
        let (mut client, topic) = (self.back(case, client), format!("x/{}/out", case.id()));
        if !case.is_live() {
            // Topic Aliases end with their connection.
            send_aliased(&mut client, case, (&topic, "by topic"), case.ends_allowed());
        }
        send_aliased(&mut client, case, ("", "by alias"), case.ends_allowed());
        self.assert_observed(case, (&topic, "by alias"));
    }

    fn check_will_at_connect(&mut self, case: &Case, client: Option<Client>) {
        let options = self.options(case, false);
        match self.source.log_in(&self.broker, case, options) {
            Ok(_) => assert!(case.ends_allowed(), "{case:?}"),
            Err(ClientError::Refused { reason, .. }) => {
                assert_eq!((reason, case.ends_allowed()), (ReasonCode::NotAuthorized, false), "{case:?}");
            }
            Err(other) => panic!("{case:?}: {other}"),
        }
        drop(client);
    }

    fn check_will_when_due(&mut self, case: &Case, client: Option<Client>) {
        let id = case.id();
        match client {
            Some(client) => {
                let (before, name) = (self.broker.metric("lotmq_connections").unwrap(), "lotmq_connections");
                client.abort();
                eventually("it is away", || self.broker.metric(name).filter(|now| *now < before));
            }
            // An account that has taken the name has ended the session.
            None if self.source.kind == SourceKind::Token && case.verdict == Verdict::Revoked => {}
            None => drop(self.broker.command_ok(&format!("-endSession {id}"))),
        }
        self.assert_observed(case, (&format!("x/{id}/will"), "will"));
    }

    /// Checks the commands of all cases: commands are carried out after they are acknowledged.
    pub(super) fn check_commands(&self) {
        let has_accounts = self.source.kind.has_accounts();
        let of_commands = Case::all().filter(|case| case.operation == Operation::Command);
        let (done, refused): (Vec<Case>, Vec<Case>) =
            // An external user gives no commands.
            of_commands.partition(|case| case.ends_allowed() && has_accounts);
        let listed = || self.broker.command_ok("-listEnv").0.to_string();
        eventually("all commands are done", || {
            let listed = listed();
            done.iter().all(|case| listed.contains(&case.id())).then_some(())
        });
        let listed = listed();
        for case in refused {
            assert!(!listed.contains(&case.id()), "{case:?}: {listed}");
        }
    }
}

/// Message that fills the window.
fn first(client: &mut Client, case: &Case) -> Message {
    let first = client.receive(WAIT_MAX).unwrap().expect("the first message");
    assert_eq!(first.text(), "first", "{case:?}");
    first
}

/// Filter of a case.
fn filter(case: &Case) -> String {
    let id = case.id();
    if case.operation == Operation::WildcardSubscription {
        format!("x/{id}/+")
    } else if case.operation == Operation::SharedSubscription {
        format!("$share/{id}/x/{id}/in")
    } else if case.operation == Operation::SysTopic {
        RULE_TOPIC.to_owned()
    } else {
        format!("x/{id}/in")
    }
}

fn subscribe(client: &mut Client, case: &Case, is_allowed: bool) {
    let code = client.subscribe_to(&filter(case), QoS::AtLeastOnce).unwrap();
    assert_eq!(code.is_failure(), !is_allowed, "{case:?}: {code}");
}

/// Publishes; the acknowledgement of 3.1.1 has no code.
fn send(client: &mut Client, case: &Case, topic: &str, is_allowed: bool) {
    let code = publish(client, topic, "x");
    assert_eq!(code.is_failure(), case.is_v5 && !is_allowed, "{case:?}: {code}");
}

/// Publishes with Topic Alias 1, which the client of the tests does not use. Without a topic the
/// alias stands for it.
fn send_aliased(client: &mut Client, case: &Case, (topic, payload): (&str, &str), is_allowed: bool) {
    let length = u16::try_from(topic.len()).unwrap().to_be_bytes();
    let body = [&length[..], topic.as_bytes(), &[0x7F, 0xFF, 3, 0x23, 0, 1], payload.as_bytes()].concat();
    let head = [0x32, u8::try_from(body.len()).unwrap()];
    client.connection().send(&[&head[..], &body].concat()).unwrap();
    let packet = client.connection().receive(WAIT_MAX).unwrap().expect("PUBACK");
    let ServerPacket::Ack(ack) = packet.decode().unwrap() else { panic!("{case:?}: {packet:?}") };
    assert_eq!(ack.reason.is_failure(), !is_allowed, "{case:?}: {}", ack.reason);
}
