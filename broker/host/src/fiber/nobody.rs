//! Broker side that does nothing, for guests that are asked for a description before they have
//! grants.

use std::net::IpAddr;

use super::{http_event::HttpEvent, services::FiberServices};
use crate::{Argument, LogLevel, MetricChange, NestedCall, RunContext, RunError, Services, Severity, Value};

/// Services without any value or effect: reads find nothing, and output is discarded.
pub(crate) struct BrokerOfNobody;

impl Services for BrokerOfNobody {
    fn topic_value(&self, _run: &RunContext, _topic: &str, _value: &mut Vec<u8>) -> bool {
        false
    }

    fn may_read(&self, _run: &RunContext, _topic: &str) -> bool {
        false
    }

    fn retained_exists(&self, _run: &RunContext, _topic: &str) -> bool {
        false
    }

    fn environment(&self, _run: &RunContext, _name: &str) -> Option<String> {
        None
    }

    fn set_environment(&self, _run: &RunContext, _name: &str, _value: Option<&str>) -> bool {
        false
    }

    fn secret(&self, _run: &RunContext, _name: &str) -> Option<String> {
        None
    }

    fn set_secret(&self, _run: &RunContext, _name: &str, _value: Option<&str>) -> bool {
        false
    }

    fn call_action(
        &self,
        _call: NestedCall<'_>,
        name: &str,
        _inputs: &[Argument],
    ) -> Result<Vec<Value>, RunError> {
        Err(RunError::unknown_action(name))
    }
}

impl FiberServices for BrokerOfNobody {
    fn refuses_address(&self, _address: IpAddr) -> Option<String> {
        Some("nothing connects before it is asked".to_owned())
    }

    fn refuses_listening(&self, _address: IpAddr) -> Option<String> {
        Some("nothing listens before it is asked".to_owned())
    }

    fn refuses_serial_port(&self, _device: &str) -> Option<String> {
        Some("nothing is opened before it is asked".to_owned())
    }

    fn report(&self, _run: &RunContext, _severity: Severity, _code: &str, _message: &str) {}

    fn measure(&self, _run: &RunContext, _name: &str, _change: MetricChange) -> bool {
        false
    }

    fn lost_datagrams(&self, _run: &RunContext, _count: u64) {}

    fn note_http(&self, _run: &RunContext, _event: HttpEvent) {}

    fn log(&self, _run: &RunContext, _level: LogLevel, _text: &str) {}
}
