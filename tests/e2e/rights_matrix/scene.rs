//! Broker, rules and observers of the matrix of rights.

use lotmq_client::{
    Client, ConnectOptions, Message, PropertyId, PropertyValue, Publication, QoS, ReasonCode,
};
use lotmq_test_support::{Broker, WAIT_MAX, eventually};

use super::cases::{Case, Operation, Verdict};
use super::sources::{ACCOUNTS, Source, SourceKind};

/// Rules of the broker: group `in` may do everything below `x/`, read rules and set variables.
const RULES: &[&str] = &[
    "Writers WITH PRIORITY 100 FOR Publish TO TOPIC \"x/#\"\n    IF USER IN GROUP \"in\" THEN\n        ALLOW\n    ELSE\n        DENY\n",
    "Readers WITH PRIORITY 100 FOR Subscribe TO TOPIC \"x/#\"\n    IF USER IN GROUP \"in\" THEN\n        ALLOW\n    ELSE\n        DENY\n",
    "Mark WITH PRIORITY 5 FOR SubscribeSys TO TOPIC \"$SYS/Coreflux/Rules/#\"\n    IF USER IN GROUP \"in\" THEN\n        ALLOW\n",
    "Callers WITH PRIORITY 5 FOR CommandCall\n    IF USER IN GROUP \"in\" THEN\n        ALLOW\n",
    "Setters WITH PRIORITY 5 FOR SystemConfiguration\n    IF USER IN GROUP \"in\" THEN\n        ALLOW\n",
];

/// Topic of the text of a rule.
pub(super) const RULE_TOPIC: &str = "$SYS/Coreflux/Rules/Mark";

/// Session of a case.
pub(super) struct Subject {
    pub(super) case: Case,
    /// `None` while its Client is away.
    pub(super) client: Option<Client>,
    /// Message that the Client has received and not acknowledged.
    pub(super) held: Option<Message>,
}

/// A broker with a source of users.
pub(super) struct Scene {
    pub(super) broker: Broker,
    pub(super) source: Source,
    /// Client of `root` that publishes.
    pub(super) root: Client,
    /// Client of `root` that gets what users and guests publish.
    observer: Client,
    marks: u32,
}

impl Scene {
    pub(super) fn start(kind: SourceKind) -> Self {
        let (source, broker) = Source::start(kind);
        for rule in RULES {
            broker.command_ok(&format!("-addRule DEFINE RULE {rule}"));
        }
        broker.command_ok(
            "-addAction DEFINE ACTION Echo\nON TOPIC \"x/+/fire\" DO\n    PUBLISH TOPIC \"effect\" WITH PAYLOAD\n",
        );
        if kind.has_accounts() {
            for account in ACCOUNTS {
                broker.command_ok(&format!("-addUser {account} pw"));
            }
            broker.command_ok("-addUserToGroup allowed in");
            broker.command_ok("-addUserToGroup revoked in");
        }
        let (root, observer) = watchers(&broker);
        Self { broker, source, root, observer, marks: 0 }
    }

    /// CONNECT of a case. `is_first`: the session begins.
    pub(super) fn options(&self, case: &Case, is_first: bool) -> ConnectOptions {
        let mut options = ConnectOptions::new(case.id()).version(case.version()).clean_start(false);
        if case.is_v5 {
            options = options.session_expiry(3_600);
        }
        if case.operation.has_manual_acks() {
            options = options.manual_acks();
        }
        if case.operation == Operation::Queue && case.is_v5 {
            options = options.property(PropertyId::ReceiveMaximum, PropertyValue::TwoByte(1));
        }
        let has_will = match is_first {
            true => {
                case.operation == Operation::WillWhenDue
                    || (case.operation == Operation::WillAtConnect && case.begins_allowed())
            }
            false => case.operation == Operation::WillAtConnect,
        };
        if has_will {
            let mut will = lotmq_client::Will::new(format!("x/{}/will", case.id()), "will");
            will.qos = QoS::AtLeastOnce;
            if case.is_v5 && !case.is_live() {
                let delay = PropertyValue::FourByte(600);
                will.properties.push(PropertyId::WillDelayInterval, delay).unwrap();
            }
            options = options.will(will);
        }
        options
    }

    pub(super) fn connect(&self, case: &Case, is_first: bool) -> Client {
        let options = self.options(case, is_first);
        let client = self.source.log_in(&self.broker, case, options);
        client.unwrap_or_else(|error| panic!("{case:?}: {error}"))
    }

    /// Has Clients leave whose sessions go on without them. After that come the messages that wait.
    pub(super) fn let_leave(&mut self, subjects: &mut [Subject]) {
        for subject in subjects.iter_mut().filter(|subject| !subject.case.is_live()) {
            let client = subject.client.take().expect("it was connected");
            if subject.case.operation == Operation::WillWhenDue {
                client.abort();
            } else {
                client.disconnect().unwrap();
            }
        }
        self.await_connections(subjects);
        for Subject { case, .. } in subjects.iter().filter(|subject| !subject.case.is_live()) {
            if case.operation == Operation::Queue {
                self.publish(&format!("x/{}/in", case.id()), "queued");
            }
        }
    }

    fn await_connections(&self, subjects: &[Subject]) {
        let live = subjects.iter().filter(|subject| subject.client.is_some()).count();
        let wanted = u32::try_from(live + 2).unwrap();
        let count = || self.broker.metric("lotmq_connections").filter(|count| *count == f64::from(wanted));
        eventually("the others have left", count);
    }

    /// Takes the right of all who lose it.
    pub(super) fn revoke(&mut self, subjects: &mut [Subject]) {
        self.source.is_revoked = true;
        if self.source.kind.has_accounts() {
            self.broker.command_ok("-removeUserFromGroup revoked in");
            return;
        }
        if self.source.kind == SourceKind::Guest {
            let revoked = subjects.iter().map(|subject| subject.case);
            let revoked: Vec<_> = revoked.filter(|case| case.verdict == Verdict::Revoked).collect();
            return self.source.replace(&self.broker, &revoked);
        }
        for subject in subjects.iter_mut().filter(|subject| subject.case.verdict == Verdict::Revoked) {
            let Subject { case, client, held } = subject;
            match client {
                // A Will of a token ends with its user, or with the token.
                None if case.operation == Operation::WillWhenDue => {
                    self.broker.command_ok(&format!("-addUser {} pw", case.id()));
                }
                None => {}
                Some(client) if case.is_v5 => self.source.authenticate_again(client, case),
                // Its connection has the rights of the former token as long as it lasts. Whether
                // it may have a Will is looked at later.
                Some(_) if case.operation == Operation::WillAtConnect => {}
                Some(client) => {
                    *client = self.connect(case, false);
                    *held = None;
                }
            }
        }
    }

    /// Kills the broker and starts it again.
    pub(super) fn restart(&mut self) {
        self.broker.kill();
        self.broker.start_again();
        self.source.started(&self.broker);
        (self.root, self.observer) = watchers(&self.broker);
    }

    /// Publishes as `root`, and waits for the acknowledgement.
    pub(super) fn publish(&mut self, topic: &str, payload: &str) {
        let code = publish(&mut self.root, topic, payload);
        assert!(!code.is_failure(), "{topic}: {code}");
    }

    /// Messages that have come to the Client of a case, up to a barrier.
    pub(super) fn received(&mut self, case: &Case, client: &mut Client) -> Vec<Message> {
        let mark = self.mark();
        self.publish(&format!("open/{}", case.id()), &mark);
        let mut received = Vec::new();
        loop {
            let message = client.receive(WAIT_MAX).unwrap();
            let message = message.unwrap_or_else(|| panic!("{case:?}: the barrier comes"));
            if case.operation.has_manual_acks() {
                client.acknowledge(&message, ReasonCode::Success).unwrap();
            }
            if message.text() == mark {
                return received;
            }
            received.push(message);
        }
    }

    /// Whether the observer gets this message, which was published before or will not be.
    pub(super) fn is_observed(&mut self, (topic, payload): (&str, &str), is_awaited: bool) -> bool {
        let mark = self.mark();
        if !is_awaited {
            self.publish("done", &mark);
        }
        loop {
            let message = self.observer.receive(WAIT_MAX).unwrap();
            let Some(message) = message else { return false };
            if message.topic == topic && message.text() == payload {
                return true;
            }
            if message.text() == mark {
                return false;
            }
        }
    }

    fn mark(&mut self) -> String {
        self.marks += 1;
        format!("mark {}", self.marks)
    }
}

/// Publishes at QoS 1.
pub(super) fn publish(client: &mut Client, topic: &str, payload: &str) -> ReasonCode {
    client.publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce)).unwrap()
}

fn watchers(broker: &Broker) -> (Client, Client) {
    let mut observer = broker.root("observer");
    for filter in ["x/+/out", "x/+/will", "effect", "done"] {
        observer.subscribe_to(filter, QoS::AtLeastOnce).unwrap();
    }
    (broker.root("publisher"), observer)
}
