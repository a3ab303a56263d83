//! Addresses of tags: node ids, or paths of browse names below a node.

use std::str::FromStr as _;

use lot_tags::opcua::{self, BrowseName, NodeIdentifier};
use lotmq_guest::route::Failure;
use opcua_types::{ByteString, ExpandedNodeId, Guid, NodeId, ObjectId, UAString};
use route_tags::TagSettings;

/// Address of a tag.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Address {
    pub(crate) place: Place,
    pub(crate) period_ms: u64,
}

/// Place of a variable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Node(NodeId),
    Path(Vec<BrowseName>),
}

/// Reads the address of a tag whose mapping has a period; `by_path`: it is a path.
pub(crate) fn read(settings: &TagSettings, by_path: bool, period_ms: u64) -> Result<Address, Failure> {
    let text = settings.address.as_str();
    let place = match by_path {
        true => opcua::path(text).map(Place::Path),
        false => node_id(text.trim()).map(Place::Node),
    };
    let wrong = || opcua::address_flaw(text, by_path).unwrap_or("it is no node id");
    Ok(Address { place: place.ok_or_else(|| settings.wrong(wrong()))?, period_ms })
}

/// A node id as part 6 §5.3.1.10 writes it.
pub(crate) fn node_id(text: &str) -> Option<NodeId> {
    let opcua::NodeId { namespace, id } = opcua::node_id(text)?;
    Some(match id {
        NodeIdentifier::Number(number) => NodeId::new(namespace, number),
        NodeIdentifier::Text(text) => NodeId::new(namespace, UAString::from(text)),
        NodeIdentifier::Guid(guid) => NodeId::new(namespace, Guid::from_str(guid).ok()?),
        NodeIdentifier::Bytes(bytes) => NodeId::new(namespace, ByteString::from_base64(bytes)?),
    })
}

/// A node id that may be of another server, or have a namespace by its address (part 6 §5.3.1.11).
pub(crate) fn expanded_node_id(text: &str) -> Option<ExpandedNodeId> {
    let (server_index, text) = match text.strip_prefix("svr=") {
        Some(rest) => rest.split_once(';').and_then(|(index, rest)| Some((index.parse().ok()?, rest)))?,
        None => (0, text),
    };
    let (namespace_uri, text) = match text.strip_prefix("nsu=") {
        Some(rest) => {
            let (uri, rest) = rest.split_once(';')?;
            (UAString::from(uri.replace("%3B", ";").replace("%3b", ";").replace("%25", "%")), rest)
        }
        None => (UAString::null(), text),
    };
    Some(ExpandedNodeId { node_id: node_id(text)?, namespace_uri, server_index })
}

/// The node that a path begins at, by a name of the standard or its id.
pub(crate) fn root(name: &str) -> Option<NodeId> {
    Some(match name.to_ascii_lowercase().as_str() {
        "objects" => ObjectId::ObjectsFolder.into(),
        "root" => ObjectId::RootFolder.into(),
        "types" => ObjectId::TypesFolder.into(),
        "views" => ObjectId::ViewsFolder.into(),
        _ => return node_id(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use route_settings::Configuration;

    fn address(text: &str, by_path: bool) -> Result<Address, String> {
        let text =
            format!(r#"{{"mappings":{{"M":{{"tags":{{"T":{{"ADDRESS":"{text}","DATA_TYPE":"INT"}}}}}}}}}}"#);
        let configuration = Configuration::parse(&text).unwrap();
        let mapping = configuration.mappings().next().unwrap();
        let settings = TagSettings::read(&mapping, &mapping.tags().next().unwrap()).unwrap();
        read(&settings, by_path, 100).map_err(|failure| match failure {
            Failure::Fatal(reason) => reason,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn node_ids_of_all_kinds_are_read() {
        for (text, expected) in [
            ("ns=2;s=A.B", NodeId::new(2, "A.B")),
            ("ns=2;i=5", NodeId::new(2, 5u32)),
            ("i=2258", NodeId::new(0, 2258u32)),
            (r#"ns=3;s=\"Data\".\"list\"[0]"#, NodeId::new(3, r#""Data"."list"[0]"#)),
        ] {
            assert_eq!(address(text, false).unwrap().place, Place::Node(expected), "{text}");
        }
        let guid = address("ns=1;g=72962b91-fa75-4ae6-8d28-b404dc7daf63", false).unwrap();
        assert!(matches!(guid.place, Place::Node(node) if node.is_guid()));
        let expanded = expanded_node_id("svr=1;nsu=urn:a%3Bb;s=X").unwrap();
        assert_eq!((expanded.server_index, expanded.namespace_uri.as_ref()), (1, "urn:a;b"));
        assert!(address("A.B", false).unwrap_err().contains("it is no node id"));
    }

    #[test]
    fn paths_have_steps_with_or_without_namespace() {
        let names = |text: &str| match address(text, true).unwrap().place {
            Place::Path(names) => names.iter().map(BrowseName::to_string).collect::<Vec<_>>(),
            Place::Node(_) => panic!("it is a path"),
        };
        assert_eq!(names("Line1/2:Motor/Speed"), ["Line1", "2:Motor", "Speed"]);
        assert_eq!(names("/a&/b/c"), ["a/b", "c"]);
        assert!(address("a//b", true).unwrap_err().contains("a step of the path is empty"));
    }
}
