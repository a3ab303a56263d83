//! Checks of routes to machines: invalid addresses of tags, and settings that no connector can use.
//!
//! Not here: the syntax of addresses, which the connectors also take from `lot-tags`; and values
//! from the environment, which are known when the route is opened.

use lot_facts::{RouteBlock, RouteFacts, RouteValue};
use lot_tags::modbus::{self, ModbusUnit};
use lot_tags::opcua::{self, SecurityMode, SecurityPolicy, SecuritySettings};
use lot_tags::{DataType, TagShape, s7};

use super::value_of;
use crate::diagnostic::{Draft, Sink, codes};
use crate::route::{RouteCheck, RouteType};
use crate::syntax::route::{AddBlock, RouteItem};

/// Checks a section of a type that the broker knows.
pub(super) fn in_section(kind: &RouteType, block: &AddBlock, section: &RouteBlock, sink: &mut Sink<'_>) {
    if kind.has(RouteCheck::Opcua) {
        of_opcua(block, section, sink);
    }
    let has_7_bits = section.settings.get("DATA_BITS") == Some(&RouteValue::Int(7));
    if kind.has(RouteCheck::ModbusSerial) && has_7_bits {
        refuse("DATA_BITS", "DATA_BITS is 8: characters of Modbus RTU have 8 bits", block, sink);
    }
}

/// Checks the tags of a route, when all of it was read.
pub(super) fn in_tags(kind: &RouteType, items: &[RouteItem], said: &RouteFacts, sink: &mut Sink<'_>) {
    let mut is_of_nobody = None;
    for (block, mapping, tag) in tags(items, said) {
        let shape = shape(tag);
        let address = tag.text("ADDRESS").filter(|text| !text.trim().is_empty());
        if let Some((address, shape)) = address.zip(shape)
            && let Some(reason) = address_flaw(kind, address, &shape, (mapping, tag), said)
        {
            refuse("ADDRESS", &format!("ADDRESS `{}`: {reason}", address.escape_debug()), block, sink);
        }
        let is_below_0 = |value| matches!(value, &RouteValue::Double(number) if number < 0.0);
        if tag.settings.get("DEADBAND").is_some_and(is_below_0) {
            refuse("DEADBAND", "DEADBAND is a number from 0: by how much a value changes", block, sink);
        }
        let has_unit = |block: &RouteBlock| block.settings.contains_key("SLAVE_ID");
        is_of_nobody = is_of_nobody.or((!has_unit(tag) && !has_unit(mapping)).then_some(block));
    }
    let has_none = |section: &RouteBlock| !section.settings.contains_key("SLAVE_ID");
    let section = said.section("MODBUS_CONFIG").filter(|_| kind.has(RouteCheck::ModbusSerial));
    if let Some(block) = is_of_nobody.filter(|_| section.is_some_and(has_none)) {
        let message = "a serial line has several units: a tag needs the SLAVE_ID of its own";
        let draft = Draft::error(codes::MISSING_SETTING, block.kind.span, message).unless_stored();
        sink.push(draft.suggest("add a line WITH SLAVE_ID 1 to MODBUS_CONFIG, the mapping or the tag"));
    }
}

/// Iterates over tags with their blocks, and their settings with those of the mapping.
fn tags<'a>(
    items: &'a [RouteItem],
    said: &'a RouteFacts,
) -> impl Iterator<Item = (&'a AddBlock, &'a RouteBlock, &'a RouteBlock)> {
    let mappings = items.iter().filter_map(|item| named(item, "MAPPING")).filter_map(|(block, name)| {
        let mapping = said.mapping(name)?;
        Some((block, mapping))
    });
    mappings.flat_map(|(block, mapping)| {
        let tags = block.items.iter().filter_map(|item| named(item, "TAG"));
        tags.filter_map(move |(block, name)| {
            let tag = mapping.tags.iter().find(|tag| tag.name == name)?;
            Some((block, mapping, tag))
        })
    })
}

fn named<'a>(item: &'a RouteItem, kind: &str) -> Option<(&'a AddBlock, &'a str)> {
    let RouteItem::Block(block) = item else { return None };
    let name = block.name.as_ref().filter(|_| block.kind.text.eq_ignore_ascii_case(kind))?;
    Some((block, &name.text))
}

/// Returns the shape that an address must fit; `None` while the shape is unknown.
fn shape(tag: &RouteBlock) -> Option<TagShape> {
    let is_readable = tag.settings.get("WRITABLE") == Some(&RouteValue::Bool(false));
    let length = match tag.settings.get("LENGTH") {
        None => None,
        Some(RouteValue::Int(length)) => Some(usize::try_from(*length).ok()?),
        Some(_) => return None,
    };
    Some(TagShape {
        kind: DataType::of_name(tag.text("DATA_TYPE")?)?,
        length,
        is_written: tag.settings.contains_key("DESTINATION_TOPIC") && !is_readable,
    })
}

/// Why a tag has no such address.
fn address_flaw(
    kind: &RouteType,
    address: &str,
    shape: &TagShape,
    (mapping, tag): (&RouteBlock, &RouteBlock),
    said: &RouteFacts,
) -> Option<String> {
    if kind.has(RouteCheck::Modbus) {
        let unit = [tag, mapping].into_iter().find_map(|block| block.settings.get("SLAVE_ID"));
        let is_everybody = kind.has(RouteCheck::ModbusSerial)
            && matches!(unit, Some(RouteValue::Int(number)) if *number == i64::from(modbus::EVERYBODY));
        // A section may set fewer registers, and then the connector reports the error.
        let number = if is_everybody { modbus::EVERYBODY } else { 1 };
        let unit = ModbusUnit { number, registers_max: modbus::REGISTERS_MAX };
        return modbus::place(address, tag.text("ADDRESS_TYPE"), shape, unit).err();
    }
    if kind.has(RouteCheck::S7) {
        return s7::address(address, shape).err();
    }
    if kind.has(RouteCheck::Opcua) {
        let by_path = said.section("OPCUA_CONFIG")?.settings.get("USE_BROWSE_PATH");
        let by_path = match by_path {
            None => false,
            Some(RouteValue::Bool(is)) => *is,
            Some(_) => return None,
        };
        return opcua::address_flaw(address, by_path).map(str::to_owned);
    }
    None
}

fn of_opcua(block: &AddBlock, section: &RouteBlock, sink: &mut Sink<'_>) {
    if let Some(url) = section.text("ENDPOINT_URL").filter(|url| !url.trim().is_empty()) {
        let host = url.trim().strip_prefix(opcua::SCHEME);
        if host.is_none_or(|host| host.starts_with(['/', ':']) || host.is_empty()) {
            let message =
                format!("ENDPOINT_URL is {}host:port/path, not `{}`", opcua::SCHEME, url.escape_debug());
            refuse("ENDPOINT_URL", &message, block, sink);
        }
    }
    let has_user = section.settings.contains_key("USERNAME") && section.text("USERNAME") != Some("");
    if section.settings.get("AUTH_MODE") == Some(&RouteValue::Int(1)) && !has_user {
        refuse("AUTH_MODE", "AUTH_MODE is 1, user and password, and USERNAME is missing", block, sink);
    }
    let by_path = section.settings.get("USE_BROWSE_PATH") == Some(&RouteValue::Bool(true));
    if let Some(root) = section.text("BROWSE_ROOT").filter(|_| by_path)
        && !opcua::is_root(root)
    {
        let roots = opcua::ROOTS.join(", ");
        let message = format!("BROWSE_ROOT is one of {roots}, or a node id, not `{}`", root.escape_debug());
        refuse("BROWSE_ROOT", &message, block, sink);
    }
    let asked = security(section);
    if asked.is_contradictory() {
        let message = "USE_SECURITY is TRUE, and SECURITY_POLICY or SECURITY_MODE says that there is none";
        let draft = Draft::error(codes::SETTING_VALUE, value_of(block, "USE_SECURITY"), message);
        let way = "write SECURITY_POLICY 3 with SECURITY_MODE 2, or USE_SECURITY FALSE";
        sink.push(draft.suggest(way).unless_stored());
    }
    for (key, is_asked) in [
        ("SECURITY_POLICY", asked.policy.is_some_and(|policy| policy != SecurityPolicy::None)),
        ("SECURITY_MODE", asked.mode.is_some_and(|mode| mode != SecurityMode::None)),
    ] {
        if asked.uses == Some(false) && is_asked {
            let message = format!("nothing reads {key} here: USE_SECURITY is FALSE");
            sink.push(Draft::warning(codes::IDLE_SETTING, value_of(block, key), message));
        }
    }
}

/// Returns the security settings of a section, as far as the text has them.
fn security(section: &RouteBlock) -> SecuritySettings {
    SecuritySettings {
        uses: match section.settings.get("USE_SECURITY") {
            Some(RouteValue::Bool(uses)) => Some(*uses),
            Some(_) | None => None,
        },
        policy: section.text("SECURITY_POLICY").and_then(SecurityPolicy::of),
        mode: section.text("SECURITY_MODE").and_then(SecurityMode::of),
    }
}

/// Reports the value of a key.
fn refuse(key: &str, message: &str, block: &AddBlock, sink: &mut Sink<'_>) {
    sink.push(Draft::error(codes::SETTING_VALUE, value_of(block, key), message).unless_stored());
}
