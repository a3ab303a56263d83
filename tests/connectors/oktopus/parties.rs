//! The two parties of Oktopus: a device with obuspa, and the controller behind its mqtt-adapter.

use std::collections::VecDeque;
use std::net::SocketAddr;

use lotmq_client::{
    Client, ConnectOptions, Message, PropertyId, PropertyValue, Publication, QoS, ReasonCode,
};
use lotmq_codec::{Properties, PropertyBuf, SubscriptionOptions};
use lotmq_test_support::{WAIT_MAX, eventually};

use super::PASSWORD;

/// CONNECT as obuspa sends it: one User Property, no session expiry, no Will.
pub(super) fn agent_options(user: &str, client_id: &str, password: &str) -> ConnectOptions {
    stated(ConnectOptions::v5(client_id).user(user, password), user)
}

/// The options with this endpoint identifier in place of another one.
pub(super) fn stated(mut options: ConnectOptions, id: &str) -> ConnectOptions {
    options.properties = PropertyBuf::default();
    options.property(PropertyId::UserProperty, PropertyValue::Utf8Pair("usp-endpoint-id", id))
}

/// A device.
pub(super) struct Agent {
    pub(super) client: Client,
    id: String,
}

impl Agent {
    /// Connects until it is let in, as obuspa does after a pause.
    pub(super) fn connect(broker: SocketAddr, id: &str, client_id: &str) -> Agent {
        Agent::open(broker, &agent_options(id, client_id, PASSWORD), id)
    }

    /// Connects, and subscribes to the response topic of Oktopus' sample configuration, which is
    /// denied to a device with a password, and to the topic of its CONNACK.
    pub(super) fn open(broker: SocketAddr, options: &ConnectOptions, id: &str) -> Agent {
        let mut client = eventually("the device is let in", || Client::connect(broker, options).ok());
        let properties: Vec<_> = client.connack_properties().user_properties().collect();
        let topic = format!("oktopus/usp/v1/agent/{id}");
        assert_eq!(properties, [("subscribe-topic", &*topic)]);
        if options.user_name.is_some() {
            let denied = subscribe(&mut client, id, "oktopus/usp/v1/controller");
            assert_eq!(denied, ReasonCode::NotAuthorized);
        }
        assert_eq!(subscribe(&mut client, id, &topic), ReasonCode::Success);
        Agent { client, id: id.to_owned() }
    }

    /// Answers the next request with its own payload.
    fn answer(&mut self) {
        let request = self.client.receive(WAIT_MAX).unwrap().expect("a request");
        assert_eq!(request.topic, format!("oktopus/usp/v1/agent/{}", self.id));
        let topic = request.properties().response_topic().expect("a response topic").to_owned();
        let own = format!("oktopus/usp/v1/agent/{}", self.id);
        let answer = usp(&topic, request.payload, &own);
        assert_eq!(self.client.publish(&answer).unwrap(), ReasonCode::Success);
    }
}

/// One SUBSCRIBE with one filter at QoS 0.
fn subscribe(client: &mut Client, id: &str, filter: &str) -> ReasonCode {
    let mut properties = PropertyBuf::default();
    properties.push(PropertyId::UserProperty, PropertyValue::Utf8Pair("usp-endpoint-id", id)).unwrap();
    let filters = [(filter, SubscriptionOptions::default())];
    client.subscribe(&filters, properties.properties()).unwrap()[0]
}

/// A record of USP.
fn usp(topic: &str, payload: Vec<u8>, response_topic: &str) -> Publication {
    Publication::new(topic, payload)
        .qos(QoS::AtLeastOnce)
        .property(PropertyId::ContentType, PropertyValue::Utf8("usp.msg"))
        .property(PropertyId::ResponseTopic, PropertyValue::Utf8(response_topic))
}

/// The controller.
pub(super) struct Adapter {
    client: Client,
    statuses: VecDeque<(String, String)>,
    answers: VecDeque<Message>,
}

impl Adapter {
    /// Connects until it is let in, and subscribes to all that it reads in one SUBSCRIBE.
    pub(super) fn connect(broker: SocketAddr) -> Adapter {
        let options = ConnectOptions::v5("mqtt-adapter").user("oktopusController", PASSWORD);
        let mut client = eventually("the adapter is let in", || Client::connect(broker, &options).ok());
        let options = SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
        let filters = ["oktopus/usp/+/api/+", "oktopus/usp/+/controller/+", "oktopus/usp/+/status/+"];
        let codes = client.subscribe(&filters.map(|filter| (filter, options)), Properties::EMPTY);
        assert_eq!(codes.unwrap(), [ReasonCode::GrantedQos1; 3]);
        Adapter { client, statuses: VecDeque::new(), answers: VecDeque::new() }
    }

    /// Takes one message. It looks for parts of the topic, as the mqtt-adapter does.
    fn take(&mut self) {
        let message = self.client.receive(WAIT_MAX).unwrap().expect("a message for the controller");
        let id = message.topic.rsplit('/').next().unwrap_or_default().to_owned();
        if message.topic.contains("status") {
            self.statuses.push_back((id, message.text()));
        } else {
            self.answers.push_back(message);
        }
    }

    fn status(&mut self) -> (String, String) {
        loop {
            if let Some(status) = self.statuses.pop_front() {
                return status;
            }
            self.take();
        }
    }

    /// The next status is this one.
    pub(super) fn expect_status(&mut self, id: &str, payload: &str) {
        assert_eq!(self.status(), (id.to_owned(), payload.to_owned()));
    }

    /// The next answer of a device.
    pub(super) fn answer(&mut self) -> Message {
        while self.answers.is_empty() {
            self.take();
        }
        self.answers.pop_front().expect("it was taken")
    }

    /// Takes the answers that have come.
    pub(super) fn answers(&mut self) -> Vec<Message> {
        self.pass_barrier();
        self.answers.drain(..).collect()
    }

    /// Sends a request, and gets the answer of the device.
    pub(super) fn request(&mut self, agent: &mut Agent, payload: &str) {
        let topic = format!("oktopus/usp/v1/agent/{}", agent.id);
        let back = format!("oktopus/usp/v1/controller/{}", agent.id);
        let request = usp(&topic, payload.as_bytes().to_vec(), &back);
        assert_eq!(self.client.publish(&request).unwrap(), ReasonCode::Success);
        agent.answer();
        let answer = self.answer();
        assert_eq!(answer.topic, back);
        assert!(answer.payload == payload.as_bytes(), "another answer of {} bytes", answer.payload.len());
    }

    /// Nothing more has come.
    pub(super) fn expect_nothing(&mut self) {
        self.pass_barrier();
        assert_eq!(self.statuses, [], "a status that nobody expects");
        assert!(self.answers.is_empty());
    }

    /// Waits for a message of its own, behind all that was published before.
    fn pass_barrier(&mut self) {
        let barrier = Publication::new("oktopus/usp/v1/status/barrier", "").qos(QoS::AtLeastOnce);
        self.client.publish(&barrier).unwrap();
        let is_barrier = |(id, _): &(String, String)| id == "barrier";
        while !self.statuses.iter().any(is_barrier) {
            self.take();
        }
        self.statuses.retain(|status| !is_barrier(status));
    }
}
