//! A broker's side that lets nothing pass unseen: it panics when a host function has asked it for
//! what was not granted.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use lotmq_codec::ReasonCode;
use lotmq_host::auth::{AuthServices, Login, Permission, Principal, Selector};
use lotmq_host::fiber::{FiberServices, HttpEvent};
use lotmq_host::limits::{
    AUTH_GRANTS_MAX, AUTH_GROUPS_MAX, ENVIRONMENT_VALUE_BYTES_MAX, LOG_LINES_PER_RUN_MAX, MESSAGE_BYTES_MAX,
    METRIC_NAME_BYTES_MAX, METRICS_PER_RUN_MAX, MQTT_TEXT_BYTES_MAX, REPORTS_PER_RUN_MAX,
    STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX,
};
use lotmq_host::route::{IngestedMessage, Ingesting, RetainedMessage, RouteServices};
use lotmq_host::rule::{Request, Subject};
use lotmq_host::{
    Argument, BorrowedMessage, Capability, Effect, Grants, GuestLimits, LogLevel, MetricChange,
    ModelInstance, NestedCall, Qos, RowQuery, RowsError, RunContext, RunError, RunOutput, Services, Severity,
    StateRefused, Value, python::Called,
};
use lotmq_router::{topic_filter_valid, topic_name_valid};
use parking_lot::Mutex;

/// Serial device that the operator does not allow.
pub(crate) const DENIED_DEVICE: &str = "/dev/tty";

/// Keys that a definition may have here.
const KEYS_MAX: usize = 16;

pub(crate) struct Watch {
    pub(crate) grants: Arc<Grants>,
    state: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Watch {
    pub(crate) fn new(grants: &Arc<Grants>) -> Arc<Self> {
        Arc::new(Self { grants: Arc::clone(grants), state: Mutex::default() })
    }

    /// Checks what a run has written.
    pub(crate) fn judge(&self, output: &RunOutput, limits: &GuestLimits) {
        let (mut writes, mut bytes, mut reports, mut lines, mut metrics) = (0, 0, 0, 0, 0);
        for (_, effect) in output.effects() {
            match effect {
                Effect::Publish { topic, payload, properties, .. } => {
                    self.judge_write(topic);
                    (writes, bytes) = (writes + 1, bytes + topic.len() + payload.len() + properties.len());
                }
                Effect::Keep { topic, payload } => {
                    self.judge_write(topic);
                    (writes, bytes) = (writes + 1, bytes + topic.len() + payload.len());
                }
                Effect::Forget { topic } => {
                    self.judge_write(topic);
                    writes += 1;
                }
                Effect::Report { code, message, .. } => {
                    reports += 1;
                    assert!(code.len() <= MESSAGE_BYTES_MAX && message.len() <= MESSAGE_BYTES_MAX);
                }
                Effect::Log { text, .. } => {
                    lines += 1;
                    assert!(text.len() <= MESSAGE_BYTES_MAX);
                }
                Effect::Metric { name, .. } => {
                    metrics += 1;
                    assert!((1..=METRIC_NAME_BYTES_MAX).contains(&name.len()));
                }
            }
        }
        assert!(writes <= limits.writes && bytes <= limits.write_bytes, "{writes} writes of {bytes} bytes");
        assert!(reports <= REPORTS_PER_RUN_MAX && lines <= LOG_LINES_PER_RUN_MAX);
        assert!(metrics <= METRICS_PER_RUN_MAX);
    }

    fn judge_write(&self, topic: &str) {
        assert!(topic_name_valid(topic).is_ok(), "{topic:?} was written");
        assert!(self.grants.write.covers(topic), "{topic:?} was not granted");
    }

    fn judge_name(&self, capability: Capability, name: &str, value: Option<&str>) {
        assert!(self.grants.cover(capability, name), "{name:?} was not granted");
        assert!(value.is_none_or(|value| value.len() <= ENVIRONMENT_VALUE_BYTES_MAX));
    }
}

impl Services for Watch {
    fn topic_value(&self, _run: &RunContext, topic: &str, value: &mut Vec<u8>) -> bool {
        assert!(self.grants.read.covers(topic), "{topic:?} was not granted");
        value.extend_from_slice(topic.as_bytes());
        !topic.ends_with('b')
    }
    fn may_read(&self, _run: &RunContext, _topic: &str) -> bool {
        true
    }
    fn retained_exists(&self, _run: &RunContext, topic: &str) -> bool {
        assert!(self.grants.read.covers(topic), "{topic:?} was not granted");
        true
    }
    fn environment(&self, _run: &RunContext, name: &str) -> Option<String> {
        self.judge_name(Capability::ReadEnvironment, name, None);
        Some("value".to_owned())
    }
    fn set_environment(&self, _run: &RunContext, name: &str, value: Option<&str>) -> bool {
        self.judge_name(Capability::WriteEnvironment, name, value);
        true
    }
    fn secret(&self, _run: &RunContext, name: &str) -> Option<String> {
        self.judge_name(Capability::ReadSecret, name, None);
        None
    }
    fn set_secret(&self, _run: &RunContext, name: &str, value: Option<&str>) -> bool {
        self.judge_name(Capability::WriteSecret, name, value);
        false
    }
    fn state(&self, _run: &RunContext, key: &str) -> Option<Vec<u8>> {
        self.state.lock().get(key).cloned()
    }
    fn set_state(&self, _run: &RunContext, key: &str, value: Option<&[u8]>) -> Result<(), StateRefused> {
        let mut state = self.state.lock();
        match value {
            Some(value) => {
                assert!((1..=STATE_KEY_BYTES_MAX).contains(&key.len()) && !key.contains('\0'));
                assert!(value.len() <= STATE_VALUE_BYTES_MAX);
                if state.len() == KEYS_MAX && !state.contains_key(key) {
                    return Err(StateRefused::Full);
                }
                state.insert(key.to_owned(), value.to_vec());
            }
            None => drop(state.remove(key)),
        }
        Ok(())
    }
    fn state_keys(&self, _run: &RunContext) -> Vec<String> {
        self.state.lock().keys().cloned().collect()
    }
    fn may_write(&self, _run: &RunContext, message: &BorrowedMessage<'_>) -> bool {
        message.topic != "open/b"
    }
    fn call_action(
        &self,
        _: NestedCall<'_>,
        name: &str,
        inputs: &[Argument],
    ) -> Result<Vec<Value>, RunError> {
        assert!(self.grants.actions.covers(name), "{name:?} was not granted");
        Ok(inputs.iter().map(|input| input.value.clone()).collect())
    }
    fn call_module(
        &self,
        _: NestedCall<'_>,
        name: &str,
        inputs: &[Argument],
    ) -> Result<Vec<Value>, RunError> {
        assert!(self.grants.modules.covers(name), "{name:?} was not granted");
        Ok(inputs.iter().map(|input| input.value.clone()).collect())
    }
    fn build_model(
        &self,
        _: NestedCall<'_>,
        name: &str,
        inputs: &[Argument],
    ) -> Result<ModelInstance, RunError> {
        assert!(self.grants.models.covers(name), "{name:?} was not granted");
        if inputs.is_empty() {
            return Err(RunError::new("UNKNOWN", name));
        }
        Ok(ModelInstance { payload: b"{}".to_vec(), qos: Qos::AtLeastOnce, retain: true })
    }
    fn call_python(&self, _run: &RunContext, function: &str, _arguments: &[Value]) -> Called {
        let script = function.split('.').next().unwrap_or_default();
        assert!(self.grants.scripts.covers(script), "{function:?} was not granted");
        Called::unknown(function)
    }
    fn select_rows(&self, _run: &RunContext, query: &RowQuery<'_>) -> Result<Value, RowsError> {
        assert!(self.grants.routes.covers(query.route), "{:?} was not granted", query.route);
        Err(RowsError::unknown(query.route))
    }
    fn now_ms(&self) -> i64 {
        1_000
    }
    fn monotonic_ms(&self) -> u64 {
        500
    }
}

impl RouteServices for Watch {
    fn ingest<'a>(&'a self, _run: RunContext, messages: Vec<IngestedMessage>) -> Ingesting<'a> {
        for message in &messages {
            self.judge_write(&message.topic);
        }
        Box::pin(async move {
            tokio::task::yield_now().await;
            Ok(())
        })
    }

    fn retained(
        &self,
        _run: &RunContext,
        filter: &str,
        after: Option<&str>,
        is_granted: &dyn Fn(&str) -> bool,
    ) -> (Vec<RetainedMessage>, Option<String>) {
        assert!(topic_filter_valid(filter).is_ok(), "{filter:?}");
        let message = |topic: &&str| RetainedMessage {
            topic: (*topic).to_owned(),
            payload: Vec::new(),
            qos: lotmq_host::route::Qos::AtMostOnce,
            properties: None,
        };
        let found = ["open/a", "open/b", "hidden"].iter().filter(|topic| is_granted(topic)).map(message);
        (found.collect(), after.is_none().then(|| "hidden".to_owned()))
    }
}

impl FiberServices for Watch {
    fn lost_datagrams(&self, _run: &RunContext, _count: u64) {}

    fn note_http(&self, _run: &RunContext, _event: HttpEvent) {}
    fn refuses_address(&self, address: IpAddr) -> Option<String> {
        (!address.is_loopback()).then(|| "not there".to_owned())
    }
    fn refuses_listening(&self, address: IpAddr) -> Option<String> {
        (!address.is_loopback()).then(|| "not there".to_owned())
    }
    fn refuses_serial_port(&self, device: &str) -> Option<String> {
        (device == DENIED_DEVICE).then(|| "not there".to_owned())
    }
    fn report(&self, _run: &RunContext, _severity: Severity, code: &str, message: &str) {
        assert!(code.len() <= MESSAGE_BYTES_MAX && message.len() <= MESSAGE_BYTES_MAX);
    }
    fn measure(&self, _run: &RunContext, name: &str, _change: MetricChange) -> bool {
        assert!(name.len() <= METRIC_NAME_BYTES_MAX);
        true
    }
    fn log(&self, _run: &RunContext, _level: LogLevel, text: &str) {
        assert!(text.len() <= MESSAGE_BYTES_MAX);
    }
}

impl AuthServices for Watch {
    fn revoke(&self, _run: &RunContext, _whom: &Selector, code: ReasonCode, reason: Option<&str>) -> u32 {
        assert!(code.is_failure() && reason.is_none_or(|reason| reason.len() <= MQTT_TEXT_BYTES_MAX));
        1
    }
    fn update(&self, _run: &RunContext, _whom: &Selector, principal: &Principal) -> u32 {
        assert!(!principal.user.is_empty() && principal.groups.len() <= AUTH_GROUPS_MAX);
        if let Permission::Grants(grants) = &principal.permission {
            assert!(grants.len() <= AUTH_GRANTS_MAX);
            assert!(grants.iter().all(|grant| topic_filter_valid(&grant.filter).is_ok()));
        }
        1
    }
    fn publish(&self, _run: &RunContext, message: &BorrowedMessage<'_>, _expiry: Option<u32>) -> bool {
        assert!(topic_name_valid(message.topic).is_ok());
        true
    }
}

/// User that asks a rule.
pub(crate) struct Somebody;

impl Subject for Somebody {
    fn property(&self, name: &str) -> Option<String> {
        (name == "GRANTED").then(|| "yes".to_owned())
    }
    fn in_group(&self, name: &str) -> bool {
        name == "GRANTED"
    }
}

/// A login by this connection.
pub(crate) fn login(connection: u64) -> Login {
    Login {
        connection,
        tenant: "default".to_owned(),
        listener: "mqtt".to_owned(),
        endpoint: "127.0.0.1:1".to_owned(),
        server_name: None,
        certificate: None,
        protocol_version: 5,
        client_id: "c1".to_owned(),
        clean_start: true,
        keep_alive_seconds: 0,
        session_expiry_seconds: None,
        receive_maximum: u16::MAX,
        packet_bytes_max: None,
        topic_alias_maximum: 0,
        request_response_information: false,
        request_problem_information: true,
        user: Some("ann".to_owned()),
        password: None,
        will: None,
        user_properties: Vec::new(),
    }
}

/// Returns the question to a rule, with a program as the payload.
pub(crate) fn request(program: Vec<u8>) -> Request {
    Request {
        scope: "Publish".to_owned(),
        client_id: "c1".to_owned(),
        user: None,
        endpoint: "unix".to_owned(),
        topic: Some("open/a".to_owned()),
        payload: Some(program),
    }
}
