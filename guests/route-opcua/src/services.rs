//! Services that a session has: reading and writing attributes, browsing.

use std::str::FromStr as _;

use lot_tags::opcua::BrowseName;
use opcua_core::ResponseMessage;
use opcua_types::{
    AttributeId, BrowseDescription, BrowseDirection, BrowseNextRequest, BrowseRequest, BrowseResult,
    ByteString, DataValue, DateTime, NodeId, NumericRange, QualifiedName, ReadRequest, ReadValueId,
    ReferenceDescription, ReferenceTypeId, StatusCode, TimestampsToReturn, ViewDescription, WriteRequest,
    WriteValue,
};

use crate::channel::{Channel, unexpected};
use crate::limits::REFERENCES_MAX;
use crate::status::{Trouble, heeded};

/// The value of an attribute as it is asked for.
pub(crate) fn value_id(node: &NodeId, attribute: AttributeId) -> ReadValueId {
    ReadValueId {
        node_id: node.clone(),
        attribute_id: attribute as u32,
        index_range: NumericRange::None,
        data_encoding: QualifiedName::null(),
    }
}

/// Reads attributes; as many values as were asked for.
pub(crate) fn read(channel: &mut Channel, what: Vec<ReadValueId>) -> Result<Vec<DataValue>, Trouble> {
    let count = what.len();
    let request = ReadRequest {
        request_header: channel.header(),
        max_age: 0.0,
        timestamps_to_return: TimestampsToReturn::Neither,
        nodes_to_read: Some(what),
    };
    match channel.ask(request)? {
        ResponseMessage::Read(response) => all(response.results, count),
        other => Err(unexpected(&other)),
    }
}

/// Writes a value.
pub(crate) fn write(channel: &mut Channel, node: &NodeId, value: DataValue) -> Result<(), Trouble> {
    let request = WriteRequest {
        request_header: channel.header(),
        nodes_to_write: Some(vec![WriteValue {
            node_id: node.clone(),
            attribute_id: AttributeId::Value as u32,
            index_range: NumericRange::None,
            value,
        }]),
    };
    match channel.ask(request)? {
        ResponseMessage::Write(response) => all(response.results, 1)?.into_iter().try_for_each(heeded),
        other => Err(unexpected(&other)),
    }
}

/// The node that a path of browse names leads to.
pub(crate) fn resolve(
    channel: &mut Channel,
    root: &NodeId,
    path: &[BrowseName],
) -> Result<Result<NodeId, String>, Trouble> {
    let mut node = root.clone();
    for name in path {
        let matches = |reference: &ReferenceDescription| {
            let found = &reference.browse_name;
            found.name.as_ref() == name.text
                && name.namespace.is_none_or(|index| index == found.namespace_index)
        };
        let references =
            match browse(channel, &node, ReferenceTypeId::HierarchicalReferences, BrowseDirection::Forward) {
                Ok(references) => references,
                Err(Trouble::Refused(status)) => return Ok(Err(crate::status::named(status))),
                Err(lost) => return Err(lost),
            };
        let mut found: Vec<NodeId> = Vec::new();
        for next in references.into_iter().filter(matches).map(|found| found.node_id.node_id) {
            // Several references may lead to the same node.
            if !found.contains(&next) {
                found.push(next);
            }
        }
        match (found.pop(), found.is_empty()) {
            (Some(next), true) => node = next,
            (Some(_), false) => {
                return Ok(Err(format!(
                    "BadTooManyMatches: '{name}' is more than once below {node}, in several namespaces"
                )));
            }
            (None, _) => return Ok(Err(format!("BadNoMatch: there is no '{name}' below {node}"))),
        }
    }
    Ok(Ok(node))
}

/// The node that a node is a subtype of.
pub(crate) fn supertype(channel: &mut Channel, of: &NodeId) -> Result<Option<NodeId>, Trouble> {
    let found = browse(channel, of, ReferenceTypeId::HasSubtype, BrowseDirection::Inverse)?;
    Ok(found.into_iter().next().map(|found| found.node_id.node_id))
}

/// References of a node of a type and its subtypes.
fn browse(
    channel: &mut Channel,
    node: &NodeId,
    reference_type: ReferenceTypeId,
    direction: BrowseDirection,
) -> Result<Vec<ReferenceDescription>, Trouble> {
    /// Result mask bit of a reference's browse name: part 4 §5.8.2.
    const BROWSE_NAME: u32 = 8;
    let request = BrowseRequest {
        request_header: channel.header(),
        view: ViewDescription { view_id: NodeId::null(), timestamp: DateTime::null(), view_version: 0 },
        requested_max_references_per_node: 0,
        nodes_to_browse: Some(vec![BrowseDescription {
            node_id: node.clone(),
            browse_direction: direction,
            reference_type_id: reference_type.into(),
            include_subtypes: true,
            node_class_mask: 0,
            result_mask: BROWSE_NAME,
        }]),
    };
    let mut results = match channel.ask(request)? {
        ResponseMessage::Browse(response) => all(response.results, 1)?,
        other => return Err(unexpected(&other)),
    };
    let mut references = Vec::new();
    while let Some(BrowseResult { status_code, continuation_point, references: more }) = results.pop() {
        heeded(status_code)?;
        references.extend(more.unwrap_or_default());
        if references.len() > REFERENCES_MAX {
            return Err(Trouble::Refused(StatusCode::BadTooManyMatches));
        }
        if !continuation_point.is_null_or_empty() {
            results = go_on(channel, continuation_point)?;
        }
    }
    Ok(references)
}

fn go_on(channel: &mut Channel, from: ByteString) -> Result<Vec<BrowseResult>, Trouble> {
    let request = BrowseNextRequest {
        request_header: channel.header(),
        release_continuation_points: false,
        continuation_points: Some(vec![from]),
    };
    match channel.ask(request)? {
        ResponseMessage::BrowseNext(response) => all(response.results, 1),
        other => Err(unexpected(&other)),
    }
}

/// Results, of which there must be as many as were asked for.
pub(crate) fn all<T>(results: Option<Vec<T>>, count: usize) -> Result<Vec<T>, Trouble> {
    let results = results.unwrap_or_default();
    if results.len() != count {
        return Err(Trouble::broken(format!(
            "the server gives {} results where {count} were asked for",
            results.len()
        )));
    }
    Ok(results)
}

/// Reads the server's limits of nodes per request from its variables (part 5 §6.3.11); 0 means
/// unknown.
pub(crate) fn limits<const N: usize>(
    channel: &mut Channel,
    variables: [u32; N],
) -> Result<[usize; N], Trouble> {
    let what = variables.iter().map(|id| value_id(&NodeId::new(0, *id), AttributeId::Value)).collect();
    let values = match read(channel, what) {
        Ok(values) => values,
        Err(Trouble::Refused(_)) => return Ok([0; N]),
        Err(lost) => return Err(lost),
    };
    let number = |value: &DataValue| {
        let text = value.value.as_ref().filter(|value| value.is_numeric()).map(ToString::to_string);
        text.and_then(|text| usize::from_str(&text).ok()).unwrap_or(0)
    };
    Ok(std::array::from_fn(|at| values.get(at).map_or(0, number)))
}
