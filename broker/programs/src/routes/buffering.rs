//! Buffering of a route: where messages for it wait, how many, how long, and what becomes of those
//! that find no room. Routes reference §3.5, §3.6.

use std::time::Duration;

use lot_facts::{RouteBlock, RouteFacts, RouteValue};
use lotmq_codec::QoS;
use lotmq_config::{OverloadPolicy, Routes as Defaults};

use crate::limits::{ROUTE_MAILBOX_BYTES_MAX, ROUTE_MAILBOX_MESSAGES_MAX};

/// Default of `BUFFER_MAX_BYTES`.
const OUTBOX_BYTES_MAX: u64 = 1 << 30;

/// Place where messages for a route wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BufferMode {
    /// Nowhere: they are for a far side that is there.
    None,
    /// In memory.
    Memory,
    /// In the store.
    Disk,
}

/// Policy for messages that find no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overload {
    /// Their publishers wait.
    Lossless,
    /// Their publishers wait for a short time; then they are shed.
    Balanced,
    /// They are shed.
    Realtime,
}

/// Buffering of one version of a route.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Buffering {
    pub(crate) mode: BufferMode,
    /// Most bytes that wait: as many as make it full.
    pub(crate) bytes_max: u64,
    /// Age in milliseconds at which a message is given up; `None` without an end.
    pub(crate) ttl_ms: Option<u64>,
    /// Most messages in flight to the far side, by `OVERLOAD_CAPACITY`.
    pub(crate) capacity: Option<usize>,
    /// Time for which it may be full before messages are shed that wait for a short time.
    pub(crate) patience: Duration,
    policy: OverloadPolicy,
}

impl Buffering {
    /// Buffering that a definition asks for. With a stepped clock nothing waits for a disk.
    pub(crate) fn of(said: &RouteFacts, defaults: &Defaults, is_at_once: bool) -> Self {
        let number = |name| number(said, name);
        let word = |name| said.section("ROUTE_CONFIG").and_then(|section| section.text(name));
        let mode = match word("BUFFER_MODE") {
            Some("none") => BufferMode::None,
            Some("memory") => BufferMode::Memory,
            Some(_) => BufferMode::Disk,
            None if has_outbox(said) => BufferMode::Disk,
            None => BufferMode::Memory,
        };
        let mode = if is_at_once && mode == BufferMode::Disk { BufferMode::Memory } else { mode };
        let bytes_max = number("BUFFER_MAX_BYTES").unwrap_or(OUTBOX_BYTES_MAX);
        let policy = match word("OVERLOAD_POLICY") {
            Some("lossless") => OverloadPolicy::Lossless,
            Some("balanced") => OverloadPolicy::Balanced,
            Some("realtime") => OverloadPolicy::Realtime,
            Some(_) | None => defaults.overload_policy,
        };
        Self {
            mode,
            bytes_max: match mode {
                BufferMode::Disk => bytes_max,
                BufferMode::None | BufferMode::Memory => bytes_max.min(ROUTE_MAILBOX_BYTES_MAX as u64),
            },
            ttl_ms: number("BUFFER_TTL_SEC").filter(|sec| *sec > 0).map(|sec| sec.saturating_mul(1000)),
            capacity: number("OVERLOAD_CAPACITY").and_then(|capacity| usize::try_from(capacity).ok()),
            patience: Duration::from_millis(
                number("OVERLOAD_TIMEOUT").unwrap_or(defaults.overload_timeout_ms),
            ),
            policy,
        }
    }

    /// Name of the buffer in which messages wait; `None` for the store.
    pub(crate) fn volatile(&self) -> Option<&'static str> {
        match self.mode {
            BufferMode::None => Some("none"),
            BufferMode::Memory => Some("memory"),
            BufferMode::Disk => None,
        }
    }

    /// Policy for a message of this QoS.
    pub(crate) fn overload(&self, qos: QoS) -> Overload {
        match self.policy {
            OverloadPolicy::Lossless => Overload::Lossless,
            OverloadPolicy::Balanced => Overload::Balanced,
            OverloadPolicy::Realtime => Overload::Realtime,
            OverloadPolicy::ByQos if qos == QoS::AtMostOnce => Overload::Balanced,
            OverloadPolicy::ByQos => Overload::Lossless,
        }
    }

    /// Most messages that wait in memory without being in the store.
    pub(crate) fn memory_messages_max(&self) -> usize {
        let capacity = self.capacity.filter(|_| self.mode == BufferMode::None);
        capacity.unwrap_or(ROUTE_MAILBOX_MESSAGES_MAX).min(ROUTE_MAILBOX_MESSAGES_MAX)
    }
}

/// The tag of a route, as `mapping/tag`, to which values are written that wait in memory because
/// nothing says where: whoever publishes one has an acknowledgement and may not know.
pub(crate) fn unsaid_memory(said: &RouteFacts) -> Option<String> {
    let is_said =
        said.section("ROUTE_CONFIG").is_some_and(|section| section.settings.contains_key("BUFFER_MODE"));
    if is_said || has_outbox(said) {
        return None;
    }
    let tags = said.mappings.iter().flat_map(|mapping| mapping.tags.iter().map(move |tag| (mapping, tag)));
    let is_written = |tag: &RouteBlock| {
        let may_be = tag.settings.get("WRITABLE") != Some(&RouteValue::Bool(false));
        may_be && tag.settings.contains_key("DESTINATION_TOPIC")
    };
    tags.filter(|(_, tag)| is_written(tag))
        .map(|(mapping, tag)| format!("{}/{}", mapping.name, tag.name))
        .next()
}

/// Whether messages for a route wait in the store by default. Routes with tags and without events
/// have no outbox: a late write to a machine is worse than none.
fn has_outbox(said: &RouteFacts) -> bool {
    !said.events.is_empty() || said.mappings.iter().all(|mapping| mapping.tags.is_empty())
}

fn number(said: &RouteFacts, name: &str) -> Option<u64> {
    match said.section("ROUTE_CONFIG")?.settings.get(name)? {
        RouteValue::Int(number) => u64::try_from(*number).ok(),
        RouteValue::Digits(text) => text.parse().ok(),
        RouteValue::Text(_)
        | RouteValue::Double(_)
        | RouteValue::Bool(_)
        | RouteValue::Parts(_)
        | RouteValue::Template(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn block(name: &str, settings: &[(&str, RouteValue)]) -> RouteBlock {
        let settings: BTreeMap<_, _> =
            settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        RouteBlock { name: name.to_owned(), settings, ..RouteBlock::default() }
    }

    fn bare() -> RouteFacts {
        let (sections, events, mappings, stores) = Default::default();
        RouteFacts { kind: "LOOPBACK".to_owned(), sections, events, mappings, stores }
    }

    fn route(settings: &[(&str, RouteValue)]) -> RouteFacts {
        RouteFacts { sections: vec![block("ROUTE_CONFIG", settings)], ..bare() }
    }

    fn text(word: &str) -> RouteValue {
        RouteValue::Text(word.to_owned())
    }

    #[test]
    fn unset_buffer_settings_use_the_reference_defaults() {
        let buffering = Buffering::of(&bare(), &Defaults::default(), false);
        assert_eq!((buffering.mode, buffering.bytes_max), (BufferMode::Disk, 1 << 30));
        assert_eq!((buffering.ttl_ms, buffering.capacity), (None, None));
        assert_eq!(buffering.patience, Duration::from_millis(50));
        assert_eq!(buffering.overload(QoS::AtMostOnce), Overload::Balanced);
        assert_eq!(buffering.overload(QoS::AtLeastOnce), Overload::Lossless);
        assert_eq!(buffering.overload(QoS::ExactlyOnce), Overload::Lossless);
    }

    #[test]
    fn overload_policy_of_the_route_applies_to_every_qos() {
        let said = route(&[
            ("BUFFER_MODE", text("memory")),
            ("BUFFER_MAX_BYTES", RouteValue::Int(i64::MAX)),
            ("BUFFER_TTL_SEC", RouteValue::Int(2)),
            ("OVERLOAD_POLICY", text("realtime")),
            ("OVERLOAD_TIMEOUT", RouteValue::Int(7)),
            ("OVERLOAD_CAPACITY", RouteValue::Int(3)),
        ]);
        let buffering = Buffering::of(&said, &Defaults::default(), false);
        assert_eq!((buffering.mode, buffering.bytes_max), (BufferMode::Memory, 16 << 20));
        assert_eq!((buffering.ttl_ms, buffering.capacity), (Some(2000), Some(3)));
        assert_eq!(buffering.patience, Duration::from_millis(7));
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            assert_eq!(buffering.overload(qos), Overload::Realtime);
        }
        let mut defaults = Defaults::default();
        defaults.overload_policy = OverloadPolicy::Lossless;
        let silent = Buffering::of(&bare(), &defaults, false);
        assert_eq!(silent.overload(QoS::AtMostOnce), Overload::Lossless);
    }

    #[test]
    fn tags_alone_do_not_wait_in_the_store() {
        let tagged = RouteBlock { tags: vec![block("t", &[])], ..block("m", &[]) };
        let whole = block("w", &[]);
        for (events, mappings, expected) in [
            (vec![], vec![tagged.clone()], BufferMode::Memory),
            (vec![block("e", &[])], vec![tagged], BufferMode::Disk),
            (vec![], vec![whole], BufferMode::Disk),
        ] {
            let said = RouteFacts { events, mappings, ..bare() };
            assert_eq!(Buffering::of(&said, &Defaults::default(), false).mode, expected);
        }
        let at_once = Buffering::of(&bare(), &Defaults::default(), true);
        assert_eq!(at_once.mode, BufferMode::Memory);
    }
}
