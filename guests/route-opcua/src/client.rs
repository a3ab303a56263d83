//! Client of one server: its session, the nodes and types of tags, polling, subscribing and
//! writing.

use std::collections::HashMap;

use lotmq_guest::route::{Failure, ambient};
use opcua_types::{AttributeId, DataValue, NodeId, StatusCode, Variant, VariantScalarTypeId};
use route_tags::{DataType, Device, Fault, Planned, Reading, Tag, Value};

use crate::address::{Address, Place};
use crate::channel::Channel;
use crate::config::Config;
use crate::limits::{NODES, SESSION_TIMEOUT_MS, SUBSCRIPTIONS_MAX, SUPERTYPES_MAX};
use crate::services;
use crate::session;
use crate::status::Trouble;
use crate::subscriptions::{Change, Subscriptions, Wanted};
use crate::values;

/// Variables of the server with its limits, part 6 annex A: nodes of a read, items of a call.
const LIMITS: [u32; 2] = [11_705, 11_714];

/// Client of one server.
pub(crate) struct Client {
    channel: Channel,
    browse_root: NodeId,
    /// `None` where tags are polled.
    subscriptions: Option<Subscriptions>,
    /// Nodes that paths lead to.
    nodes: HashMap<Place, NodeId>,
    /// Cache of written variables.
    variables: HashMap<NodeId, Variable>,
    read_nodes: usize,
    item_nodes: usize,
}

/// Properties of a variable.
#[derive(Clone, Debug)]
struct Variable {
    data_type: VariantScalarTypeId,
    is_list: bool,
    /// Its value when it was looked at.
    current: Option<Variant>,
}

impl Client {
    /// Opens a session; `periods` are those of the mappings.
    pub(crate) fn open(config: &Config, name: &str, periods: &[u64]) -> Result<Client, Failure> {
        let longest_ms = periods.iter().copied().max().unwrap_or(0);
        let mut channel = session::open(config, name, SESSION_TIMEOUT_MS.max(longest_ms.saturating_mul(4)))?;
        let limits = services::limits(&mut channel, LIMITS);
        let [read_nodes, item_nodes] = limits.map_err(|trouble| trouble.of_opening("Read"))?;
        let at_once = |limit: usize| if limit == 0 { NODES } else { limit.min(NODES) };
        let subscriptions = if config.subscribes && periods.len() <= SUBSCRIPTIONS_MAX {
            let created = Subscriptions::create(&mut channel, periods);
            created.map_err(|trouble| trouble.of_opening("CreateSubscription"))?
        } else {
            None
        };
        Ok(Client {
            channel,
            browse_root: config.browse_root.clone().unwrap_or_else(NodeId::objects_folder_id),
            subscriptions,
            nodes: HashMap::new(),
            variables: HashMap::new(),
            read_nodes: at_once(read_nodes),
            item_nodes: at_once(item_nodes),
        })
    }

    /// Ends the session.
    pub(crate) fn close(self) {
        session::close(self.channel);
    }

    /// Asks for the server's state.
    pub(crate) fn probe(&mut self) -> Result<(), Failure> {
        /// State of the server, part 5 §6.3.1.
        const STATE: u32 = 2_259;
        self.renew()?;
        let what = vec![services::value_id(&NodeId::new(0, STATE), AttributeId::Value)];
        match services::read(&mut self.channel, what) {
            Ok(_) | Err(Trouble::Refused(_)) => Ok(()),
            Err(Trouble::Lost(failure)) => Err(failure),
        }
    }

    fn renew(&mut self) -> Result<u64, Failure> {
        self.channel.renew().map_err(|trouble| trouble.of_opening("OpenSecureChannel"))
    }

    /// The node of a tag; why there is none, for people.
    fn node(&mut self, address: &Address) -> Result<Result<NodeId, String>, Trouble> {
        let path = match &address.place {
            Place::Node(node) => return Ok(Ok(node.clone())),
            Place::Path(path) => path,
        };
        if let Some(node) = self.nodes.get(&address.place) {
            return Ok(Ok(node.clone()));
        }
        let found = services::resolve(&mut self.channel, &self.browse_root, path)?;
        if let Ok(node) = &found {
            self.nodes.insert(address.place.clone(), node.clone());
        }
        Ok(found)
    }

    /// Returns the properties of a variable that are needed to write it.
    fn variable(&mut self, node: &NodeId, kind: DataType) -> Result<Variable, Trouble> {
        if let Some(known) = self.variables.get(node) {
            return Ok(known.clone());
        }
        let attributes = [AttributeId::DataType, AttributeId::ValueRank, AttributeId::Value];
        let what = attributes.iter().map(|attribute| services::value_id(node, *attribute)).collect();
        let values = services::read(&mut self.channel, what)?;
        let [data_type, rank, value] = &values[..] else { return Err(Trouble::broken("a value is missing")) };
        let status = data_type.status.unwrap_or(StatusCode::Good);
        if status.is_bad() {
            return Err(Trouble::Refused(status));
        }
        let current = value.value.clone().filter(|value| !value.is_empty());
        let of_current = current.as_ref().and_then(Variant::scalar_type_id);
        let data_type = match &data_type.value {
            Some(Variant::NodeId(named)) => self.built_in(named)?,
            _ => None,
        };
        let is_list = match &rank.value {
            Some(Variant::Int32(-1)) => false,
            Some(Variant::Int32(rank)) if *rank >= 0 => true,
            // It may be both; it is as it was.
            _ => current.as_ref().is_some_and(Variant::is_array),
        };
        let data_type = data_type.or(of_current).unwrap_or_else(|| default_type(kind));
        let known = Variable { data_type, is_list, current };
        self.variables.insert(node.clone(), known.clone());
        Ok(known)
    }

    /// The built-in type that a data type is made of; `None` where values may have several.
    fn built_in(&mut self, data_type: &NodeId) -> Result<Option<VariantScalarTypeId>, Trouble> {
        let mut next = data_type.clone();
        for _ in 0..SUPERTYPES_MAX {
            if let Some(found) = values::built_in(&next) {
                return Ok(Some(found));
            }
            match services::supertype(&mut self.channel, &next) {
                Ok(Some(above)) => next = above,
                Ok(None) | Err(Trouble::Refused(_)) => return Ok(None),
                Err(lost) => return Err(lost),
            }
        }
        Ok(None)
    }

    /// Creates items of tags that have none yet; gives those that cannot be.
    fn subscribe(&mut self, tags: &[Tag<Address>]) -> Result<Vec<Change>, Trouble> {
        let now_ms = ambient::monotonic_ms();
        let Some(subscriptions) = &self.subscriptions else { return Ok(Vec::new()) };
        let due: Vec<usize> = (0..tags.len()).filter(|tag| subscriptions.is_due(*tag, now_ms)).collect();
        let (mut wanted, mut changes) = (Vec::new(), Vec::new());
        for tag in due {
            let address = &tags[tag].address;
            match self.node(address)? {
                Ok(node) => wanted.push(Wanted { tag, node, period_ms: address.period_ms }),
                Err(reason) => changes.push((tag, Err(reason))),
            }
        }
        let Some(subscriptions) = &mut self.subscriptions else { return Ok(changes) };
        changes.iter().for_each(|(tag, _)| subscriptions.refused(*tag));
        changes.extend(subscriptions.add(&mut self.channel, &wanted, self.item_nodes)?);
        Ok(changes)
    }

    /// Returns changes from the server. Waits for at most `wait_ms`.
    fn changes(&mut self, tags: &[Tag<Address>], wait_ms: u32) -> Result<Vec<Change>, Trouble> {
        let renew_ms = self.channel.renew()?;
        let mut changes = self.subscribe(tags)?;
        let Some(subscriptions) = &mut self.subscriptions else { return Ok(changes) };
        // Changes that arrived during other work come first, before a timeout counts.
        changes.extend(subscriptions.listen(&mut self.channel)?);
        let until_ms = subscriptions.tend(&mut self.channel)?.min(subscriptions.next_due_ms()).min(renew_ms);
        if changes.is_empty() {
            let left_ms = until_ms.saturating_sub(ambient::monotonic_ms());
            self.channel.listen(wait_ms.min(u32::try_from(left_ms).unwrap_or(u32::MAX)));
            changes.extend(subscriptions.listen(&mut self.channel)?);
            subscriptions.tend(&mut self.channel)?;
        }
        Ok(changes)
    }

    fn read_nodes(&mut self, planned: &Planned<()>, tags: &[Tag<Address>]) -> Result<Vec<Reading>, Trouble> {
        self.channel.renew()?;
        let (mut asked, mut readings) = (Vec::new(), Vec::new());
        for tag in &planned.tags {
            match self.node(&tags[*tag].address)? {
                Ok(node) => asked.push((*tag, node)),
                Err(reason) => readings.push((*tag, Err(reason))),
            }
        }
        if asked.is_empty() {
            return Ok(readings);
        }
        let what = asked.iter().map(|(_, node)| services::value_id(node, AttributeId::Value)).collect();
        let values = services::read(&mut self.channel, what)?;
        let read = asked
            .iter()
            .zip(&values)
            .map(|((tag, _), data)| (*tag, values::of_data(data, tags[*tag].settings.shape.kind)));
        readings.extend(read);
        Ok(readings)
    }

    fn write_node(&mut self, tag: &Tag<Address>, value: &Value) -> Result<(), Failure> {
        let node = self.node(&tag.address).map_err(Trouble::of_write)?.map_err(Failure::Reject)?;
        let variable = self.variable(&node, tag.settings.shape.kind).map_err(Trouble::of_write)?;
        let variant = values::variant(value, variable.data_type, variable.current.as_ref());
        let data = DataValue { value: Some(variant.map_err(Failure::Reject)?), ..DataValue::null() };
        services::write(&mut self.channel, &node, data).map_err(|trouble| {
            if matches!(trouble, Trouble::Refused(StatusCode::BadTypeMismatch)) {
                // It may have become another one; the next message looks again.
                self.variables.remove(&node);
            }
            trouble.of_write()
        })
    }
}

/// Returns the tag's type, for a variable without type and value.
fn default_type(kind: DataType) -> VariantScalarTypeId {
    match kind {
        DataType::Bool => VariantScalarTypeId::Boolean,
        DataType::Int8 => VariantScalarTypeId::SByte,
        DataType::Uint8 => VariantScalarTypeId::Byte,
        DataType::Int16 => VariantScalarTypeId::Int16,
        DataType::Uint16 => VariantScalarTypeId::UInt16,
        DataType::Int32 => VariantScalarTypeId::Int32,
        DataType::Uint32 => VariantScalarTypeId::UInt32,
        DataType::Int64 => VariantScalarTypeId::Int64,
        DataType::Uint64 => VariantScalarTypeId::UInt64,
        DataType::Float32 => VariantScalarTypeId::Float,
        DataType::Float64 => VariantScalarTypeId::Double,
        DataType::Text | DataType::WideText => VariantScalarTypeId::String,
    }
}

impl Device for Client {
    type Address = Address;
    type Request = ();

    fn plan(&self, _tags: &[Tag<Address>], which: &[usize]) -> Vec<Planned<()>> {
        if self.subscriptions.is_some() {
            return Vec::new();
        }
        let parts = which.chunks(self.read_nodes);
        parts.map(|tags| Planned { tags: tags.to_vec(), request: () }).collect()
    }

    fn read(&mut self, planned: &Planned<()>, tags: &[Tag<Address>]) -> Result<Vec<Reading>, Fault> {
        Ok(self.read_nodes(planned, tags)?)
    }

    fn pushed(&mut self, tags: &[Tag<Address>], wait_ms: u32) -> Option<Result<Vec<Reading>, Failure>> {
        self.subscriptions.as_ref()?;
        let changes = match self.changes(tags, wait_ms) {
            Ok(changes) => changes,
            Err(trouble) => return Some(Err(trouble.of_opening("Publish"))),
        };
        let reading = |(tag, data): Change| {
            let kind = tags.get(tag)?.settings.shape.kind;
            Some((tag, data.and_then(|data| values::of_data(&data, kind))))
        };
        Some(Ok(changes.into_iter().filter_map(reading).collect()))
    }

    fn parse(&mut self, tag: &Tag<Address>, payload: &[u8]) -> Result<Value, Failure> {
        self.renew()?;
        let node = self.node(&tag.address).map_err(Trouble::of_write)?.map_err(Failure::Reject)?;
        let variable = self.variable(&node, tag.settings.shape.kind).map_err(Trouble::of_write)?;
        let kind = values::kind_of(variable.data_type, tag.settings.shape.kind).map_err(Failure::Reject)?;
        tag.parse_as(payload, kind, variable.is_list).map_err(Failure::Reject)
    }

    fn write(&mut self, tag: &Tag<Address>, value: &Value) -> Result<(), Failure> {
        self.write_node(tag, value)
    }
}
