//! Ways of messages through the mappings of a bridge: from which broker to which, for warnings of
//! circles (routes reference §6).

use crate::{RouteBlock, RouteFacts, RouteValue, TopicFact};

/// A broker at a side of a bridge: `None` for this one, else address and port as written in its
/// section.
pub type BridgeSide<'a> = Option<(&'a str, i64)>;

/// Way of messages through a mapping of a bridge, in one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeLeg<'a> {
    /// Name of the mapping.
    pub mapping: &'a str,
    /// Broker at which they are subscribed to.
    pub from: BridgeSide<'a>,
    /// Topic Filter there.
    pub filter: &'a str,
    /// Broker to which they are published.
    pub to: BridgeSide<'a>,
    /// Their topics there.
    pub topic: TopicFact,
}

impl RouteFacts {
    /// The ways through a bridge, as far as brokers and topics stand in its text; none of another
    /// type of routes.
    pub fn bridge_legs(&self) -> Vec<BridgeLeg<'_>> {
        let side = |name| self.section(name).and_then(side);
        let (Some(source), Some(destination)) = (side("SOURCE_CONFIG"), side("DESTINATION_CONFIG")) else {
            return Vec::new();
        };
        if self.kind != "MQTT_BRIDGE" {
            return Vec::new();
        }
        let mut legs = Vec::new();
        for mapping in &self.mappings {
            let Some(taken) = mapping.text("SOURCE_TOPIC") else { continue };
            let brought = if mapping.settings.contains_key("DESTINATION_TOPIC") {
                mapping.text("DESTINATION_TOPIC")
            } else {
                Some(taken)
            };
            let Some(brought) = brought else { continue };
            let leg = |from, filter, to, topic: &str| BridgeLeg {
                mapping: &mapping.name,
                from,
                filter: unshared(filter),
                to,
                topic: TopicFact::Pattern(unshared(topic).to_owned()),
            };
            let (out, back) = (mapping.goes("out"), mapping.goes("in"));
            if out {
                legs.push(leg(source, taken, destination, brought));
            }
            match (back, out) {
                (true, true) => legs.push(leg(destination, brought, source, taken)),
                (true, false) => legs.push(leg(destination, taken, source, brought)),
                (false, _) => {}
            }
        }
        legs
    }
}

/// The broker that a section means; `None` where its address is not in the text.
fn side(section: &RouteBlock) -> Option<BridgeSide<'_>> {
    if section.is_self() {
        return Some(None);
    }
    let port = match section.settings.get("BROKER_PORT") {
        Some(RouteValue::Int(port)) => *port,
        _ => 0,
    };
    section.text("BROKER_ADDRESS").map(|address| Some((address, port)))
}

/// The filter of a shared subscription, or the filter itself.
fn unshared(filter: &str) -> &str {
    filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/')).map_or(filter, |(_, filter)| filter)
}
