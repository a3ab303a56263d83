//! Doubles of the interfaces that each world has, answered by [`testing`](crate::testing).

#[doc(hidden)]
pub mod config {
    pub fn get() -> String {
        crate::testing::with(|host| host.config.clone())
    }
}

#[doc(hidden)]
pub mod ambient {
    use std::time::{SystemTime, UNIX_EPOCH};

    pub fn now_ms() -> i64 {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        crate::testing::with(|host| host.time_ms).unwrap_or_else(now)
    }

    pub fn monotonic_ms() -> u64 {
        crate::testing::with(|host| match host.time_ms {
            Some(ms) => ms.max(0) as u64,
            None => host.began.elapsed().as_millis() as u64,
        })
    }

    pub fn utc_offset_seconds(_at_ms: i64) -> i32 {
        crate::testing::with(|host| host.utc_offset_seconds)
    }

    /// The same numbers in each test.
    pub fn random() -> u64 {
        crate::testing::with(|host| {
            host.random ^= host.random << 13;
            host.random ^= host.random >> 7;
            host.random ^= host.random << 17;
            host.random
        })
    }
}

#[doc(hidden)]
pub mod environment {
    use crate::testing::with;

    pub fn get(name: &str) -> Option<String> {
        with(|host| host.environment.get(name).cloned())
    }

    pub fn set(name: &str, value: &str) -> bool {
        with(|host| drop(host.environment.insert(name.to_owned(), value.to_owned())));
        true
    }

    pub fn remove(name: &str) -> bool {
        with(|host| drop(host.environment.remove(name)));
        true
    }

    pub fn get_secret(name: &str) -> Option<String> {
        with(|host| host.secrets.get(name).cloned())
    }

    pub fn set_secret(name: &str, value: &str) -> bool {
        with(|host| drop(host.secrets.insert(name.to_owned(), value.to_owned())));
        true
    }

    pub fn remove_secret(name: &str) -> bool {
        with(|host| drop(host.secrets.remove(name)));
        true
    }
}

#[doc(hidden)]
pub mod state {
    pub use super::super::bindings::lotmq::guest::state::StateError;
    use crate::testing::with;

    pub fn get(key: &str) -> Option<Vec<u8>> {
        with(|host| host.state.get(key).cloned())
    }

    pub fn set(key: &str, value: &[u8]) -> Result<(), StateError> {
        if key.is_empty() || key.len() > 256 {
            return Err(StateError::InvalidKey);
        }
        if value.len() > 64 * 1024 {
            return Err(StateError::TooLarge);
        }
        with(|host| drop(host.state.insert(key.to_owned(), value.to_vec())));
        Ok(())
    }

    pub fn remove(key: &str) {
        with(|host| drop(host.state.remove(key)));
    }

    pub fn keys() -> Vec<String> {
        with(|host| host.state.keys().cloned().collect())
    }
}

#[cfg(any(feature = "action", feature = "route", feature = "rule"))]
#[doc(hidden)]
pub mod topic_store {
    use crate::testing::with;

    pub fn get(topic: &str) -> Option<Vec<u8>> {
        with(|host| host.values.get(topic).cloned())
    }

    pub use super::super::bindings::lotmq::guest::topic_store::TopicsError;

    pub fn topics(filter: &str) -> Result<Vec<String>, TopicsError> {
        let levels: Vec<&str> = filter.split('/').collect();
        let fits = |topic: &&String| {
            let names: Vec<&str> = topic.split('/').collect();
            let is_open = levels.last() == Some(&"#");
            let count = if is_open { levels.len() - 1 } else { levels.len() };
            let is_long_enough = if is_open { names.len() >= count } else { names.len() == count };
            is_long_enough
                && levels.iter().take(count).zip(&names).all(|(level, name)| *level == "+" || level == name)
        };
        let mut found: Vec<String> = with(|host| host.values.keys().filter(fits).cloned().collect());
        found.sort();
        Ok(found)
    }

    pub fn retained_exists(topic: &str) -> bool {
        with(|host| host.values.contains_key(topic))
    }
}

#[doc(hidden)]
pub mod subject {
    use crate::testing::with;

    pub fn property(name: &str) -> Option<String> {
        with(|host| host.properties.get(name).cloned())
    }

    pub fn in_group(name: &str) -> bool {
        with(|host| host.groups.contains(name))
    }

    pub fn protocol_version() -> Option<u8> {
        Some(5)
    }
}

#[doc(hidden)]
pub mod logging {
    pub use super::super::bindings::lotmq::guest::logging::Level;

    pub fn log(_level: Level, text: &str) {
        std::println!("{text}");
        crate::testing::with(|host| host.lines.push(text.to_owned()));
    }
}

#[doc(hidden)]
pub mod metrics {
    pub use super::super::bindings::lotmq::guest::metrics::MetricError;
    use crate::testing::with;

    pub fn add(counter: &str, by: u64) -> Result<(), MetricError> {
        let name = checked(counter)?;
        with(|host| *host.metrics.entry(name).or_default() += by as f64);
        Ok(())
    }

    pub fn set(gauge: &str, value: f64) -> Result<(), MetricError> {
        let name = checked(gauge)?;
        with(|host| host.metrics.insert(name, value));
        Ok(())
    }

    fn checked(name: &str) -> Result<String, MetricError> {
        if name.is_empty() { Err(MetricError::InvalidName) } else { Ok(name.to_owned()) }
    }
}

#[doc(hidden)]
pub mod diagnostics {
    pub use super::super::bindings::lotmq::guest::diagnostics::Severity;

    pub fn report(_severity: Severity, code: &str, message: &str, _line: u32, _column: u32) {
        crate::testing::with(|host| host.lines.push(format!("{code}: {message}")));
    }
}
