//! Host functions of guests that wait: the interfaces of the world, on the state of an instance.
//!
//! Each file has the functions of one interface with resources; those without are here.

mod files;
mod http;
mod http_server;
mod net;
mod serial;
mod signal;

use super::{
    bindings::lotmq::guest::{
        ambient, config, diagnostics, environment, logging,
        metrics::{self, MetricError},
        state::{self, StateError},
        topic_store::{self, TopicsError},
    },
    instance::OnFiber,
    state::FiberState,
};
use crate::{
    Capability, LogLevel, MetricChange, Severity, StateRefused, TooManyTopics,
    ambient::Perceives,
    functions::{configuration, is_metric_name, is_state_key},
    limits,
};
use std::time::Duration;

impl environment::Host for FiberState {
    fn get(&mut self, name: String) -> Option<String> {
        let may = self.may_use(Capability::ReadEnvironment, &name);
        may.then(|| self.services.environment(&self.run, &name)).flatten()
    }

    fn set(&mut self, name: String, value: String) -> bool {
        let may = self.may_use(Capability::WriteEnvironment, &name) && fits(&value);
        may && self.services.set_environment(&self.run, &name, Some(&value))
    }

    fn remove(&mut self, name: String) -> bool {
        let may = self.may_use(Capability::WriteEnvironment, &name);
        may && self.services.set_environment(&self.run, &name, None)
    }

    fn get_secret(&mut self, name: String) -> Option<String> {
        let may = self.may_use(Capability::ReadSecret, &name);
        may.then(|| self.services.secret(&self.run, &name)).flatten()
    }

    fn set_secret(&mut self, name: String, value: String) -> bool {
        let may = self.may_use(Capability::WriteSecret, &name) && fits(&value);
        may && self.services.set_secret(&self.run, &name, Some(&value))
    }

    fn remove_secret(&mut self, name: String) -> bool {
        let may = self.may_use(Capability::WriteSecret, &name);
        may && self.services.set_secret(&self.run, &name, None)
    }
}

impl FiberState {
    /// Whether the grants cover a name; the server is notified of missing grants.
    pub(crate) fn may(&self, capability: Capability, name: &str) -> bool {
        let may = self.grants.cover(capability, name);
        if !may {
            self.services.not_granted(&self.run, (capability, name), None);
        }
        may
    }

    fn may_use(&self, capability: Capability, name: &str) -> bool {
        !name.is_empty() && name.len() <= limits::NAME_BYTES_MAX && self.may(capability, name)
    }

    fn may_keep_state(&self) -> bool {
        self.may(Capability::KeepState, "")
    }
}

fn fits(value: &str) -> bool {
    value.len() <= limits::ENVIRONMENT_VALUE_BYTES_MAX
}

impl ambient::Host for FiberState {
    fn now_ms(&mut self) -> i64 {
        self.services.now_ms()
    }

    fn monotonic_ms(&mut self) -> u64 {
        self.services.monotonic_ms()
    }

    fn utc_offset_seconds(&mut self, at_ms: i64) -> i32 {
        self.services.utc_offset_seconds(at_ms)
    }

    fn random(&mut self) -> u64 {
        self.services.random()
    }
}

impl topic_store::Host for FiberState {
    fn get(&mut self, topic: String) -> Option<Vec<u8>> {
        let mut value = Vec::new();
        let may = self.may(Capability::ReadTopic, &topic);
        (may && self.services.topic_value(&self.run, &topic, &mut value)).then_some(value)
    }

    fn topics(&mut self, filter: String) -> Result<Vec<String>, TopicsError> {
        if lotmq_router::topic_filter_valid(&filter).is_err() {
            return Err(TopicsError::InvalidFilter);
        }
        let is_granted = |topic: &str| self.grants.cover(Capability::ReadTopic, topic);
        let found = self.services.topics(&self.run, &filter, &is_granted);
        let found = found.map_err(|TooManyTopics| TopicsError::TooMany)?;
        let bytes: usize = found.iter().map(String::len).sum();
        if bytes > limits::LISTED_TOPICS_BYTES_MAX {
            return Err(TopicsError::TooMany);
        }
        Ok(found.into_iter().collect())
    }

    fn retained_exists(&mut self, topic: String) -> bool {
        self.may(Capability::ReadTopic, &topic) && self.services.retained_exists(&self.run, &topic)
    }
}

impl state::Host for FiberState {
    fn get(&mut self, key: String) -> Option<Vec<u8>> {
        let may = is_state_key(&key) && self.may_keep_state();
        may.then(|| self.services.state(&self.run, &key)).flatten()
    }

    fn set(&mut self, key: String, value: Vec<u8>) -> Result<(), StateError> {
        if !is_state_key(&key) {
            return Err(StateError::InvalidKey);
        }
        if value.len() > limits::STATE_VALUE_BYTES_MAX {
            return Err(StateError::TooLarge);
        }
        if !self.may_keep_state() {
            return Err(StateError::Full);
        }
        let set = self.services.set_state(&self.run, &key, Some(&value));
        set.map_err(|StateRefused::Full| StateError::Full)
    }

    fn remove(&mut self, key: String) {
        if is_state_key(&key) && self.may_keep_state() {
            // A removal needs no room.
            let _ = self.services.set_state(&self.run, &key, None);
        }
    }

    fn keys(&mut self) -> Vec<String> {
        if self.may_keep_state() { self.services.state_keys(&self.run) } else { Vec::new() }
    }
}

impl logging::Host for FiberState {
    fn log(&mut self, level: logging::Level, text: String) {
        let level = match level {
            logging::Level::Trace => LogLevel::Trace,
            logging::Level::Debug => LogLevel::Debug,
            logging::Level::Info => LogLevel::Info,
            logging::Level::Warn => LogLevel::Warn,
            logging::Level::Error => LogLevel::Error,
        };
        let text = crate::texts::line_of(&text);
        self.services.log(&self.run, level, &text);
        self.last_words = (level == LogLevel::Error).then(|| text.into_owned());
    }
}

impl FiberState {
    fn measure(&self, name: &str, change: MetricChange) -> Result<(), MetricError> {
        if !is_metric_name(name) {
            return Err(MetricError::InvalidName);
        }
        if self.services.measure(&self.run, name, change) { Ok(()) } else { Err(MetricError::LimitReached) }
    }
}

impl metrics::Host for FiberState {
    fn add(&mut self, counter: String, by: u64) -> Result<(), MetricError> {
        self.measure(&counter, MetricChange::Add(by))
    }

    fn set(&mut self, gauge: String, value: f64) -> Result<(), MetricError> {
        self.measure(&gauge, MetricChange::Set(value))
    }
}

impl config::Host for FiberState {
    fn get(&mut self) -> String {
        configuration(&self.grants)
    }
}

impl diagnostics::Host for FiberState {
    fn report(
        &mut self,
        severity: diagnostics::Severity,
        code: String,
        message: String,
        _line: u32,
        _column: u32,
    ) {
        let severity = match severity {
            diagnostics::Severity::Warning => Severity::Warning,
            diagnostics::Severity::Error => Severity::Error,
        };
        let (code, message) = crate::texts::coded_alone(&code, &message);
        self.services.report(&self.run, severity, code, &message);
    }
}

impl<T: OnFiber> Perceives for T {
    fn wall(&self) -> Duration {
        self.fiber_ref().services.ambient().wall()
    }

    fn monotonic(&self) -> Duration {
        self.fiber_ref().services.ambient().monotonic()
    }

    fn random(&self) -> u64 {
        self.fiber_ref().services.ambient().random()
    }
}
