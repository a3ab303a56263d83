//! Placeholders of routes that stand where nothing fills them, and levels that no topic has.
//! Without a report they would go out literally, or be empty.
//!
//! A filter says which messages come, and has none. Topics of a mapping take the wildcards of the
//! other side; the topic of a tag is one topic. An event of a server may only name the parameters
//! of its path (routes reference §7).

use lot_facts::{RouteBlock, RouteFacts, RouteValue, TemplatePart};
use lot_nearest::nearest;

use super::template::placeholder;
use super::{key_of, misspelt, settings, value};
use crate::diagnostic::{Draft, Sink, codes};
use crate::route::{RouteCheck, RouteType};
use crate::source::Span;
use crate::syntax::Name;
use crate::syntax::route::{AddBlock, RouteItem, Setting};

/// Note for a placeholder in a filter.
const OF_FILTER: &str = "a filter says which messages come, before there is one; it has + and #";

/// Note for a placeholder in the topics of a mapping.
const OF_MAPPING: &str = "a + or # of it takes what that of the other side matched";

/// Note for a placeholder in the name of a table.
const OF_TABLE: &str =
    "all messages of an event go to one table or index; another event, or a QUERY, is for another one";

/// Keys of a table or an index.
const TABLES: [&str; 5] = ["TABLE", "TABLE_NAME", "INDEX", "INDEX_NAME", "COLLECTION"];

/// Note for a placeholder in the topic of a tag.
const OF_TAG: &str = "what is read from a device comes with no message that could fill them";

/// Reports placeholders in the topics of a mapping: those that it publishes to take wildcards. A
/// topic that takes placeholders is none of its texts by now.
pub(super) fn in_mapping(block: &AddBlock, checked: &RouteBlock, sink: &mut Sink<'_>) {
    if checked.tags.is_empty() {
        for (setting, text, span) in topics(block, checked) {
            if !is_filled(setting, checked) {
                refuse(&setting.key, text, span, OF_MAPPING, sink);
            }
        }
        in_tables(block, checked, sink);
        if checked.goes("out") {
            levels(block, checked, sink);
        }
    } else {
        in_tag(block, checked, sink);
    }
}

/// Reports placeholders in the topics of a tag, or of a mapping with tags.
pub(super) fn in_tag(block: &AddBlock, checked: &RouteBlock, sink: &mut Sink<'_>) {
    for (setting, text, span) in topics(block, checked) {
        refuse(&setting.key, text, span, OF_TAG, sink);
    }
}

/// Reports such placeholders and levels in the events of a checked route.
pub(super) fn in_events(route_type: &RouteType, items: &[RouteItem], said: &RouteFacts, sink: &mut Sink<'_>) {
    for item in items {
        let RouteItem::Block(block @ AddBlock { kind, name: Some(name), .. }) = item else { continue };
        let Some(event) = said.event(&name.text).filter(|_| kind.text.eq_ignore_ascii_case("EVENT")) else {
            continue;
        };
        if route_type.has(RouteCheck::Http) && is_served(event, said) {
            of_path(block, event, sink);
            continue;
        }
        for (setting, text, span) in topics(block, event) {
            if !is_filled(setting, event) {
                refuse(&setting.key, text, span, OF_FILTER, sink);
            }
        }
        in_tables(block, event, sink);
        levels(block, event, sink);
    }
}

/// Reports placeholders in the names of tables that a block has.
pub(super) fn in_tables(block: &AddBlock, checked: &RouteBlock, sink: &mut Sink<'_>) {
    for (setting, text, span) in settings(block).filter_map(text_of) {
        let is_table = TABLES.contains(&&*setting.key.text.to_ascii_uppercase());
        if is_table && !is_filled(setting, checked) {
            in_table(&setting.key, text, span, sink);
        }
    }
}

/// Reports placeholders in the name of a table.
pub(super) fn in_table(key: &Name, text: &str, span: Span, sink: &mut Sink<'_>) {
    for (at, written) in braced(text) {
        let inside = &written[1..written.len() - 1];
        if placeholder(inside).is_none() && misspelt::meant(inside).is_none() {
            continue;
        }
        let place = misspelt::place(text, span, at, written).unwrap_or(span);
        let message =
            format!("{}: nothing fills `{}` there", key.text.to_ascii_uppercase(), written.escape_debug());
        sink.push(Draft::error(codes::PLACEHOLDER, place, message).unless_stored().note(OF_TABLE));
    }
}

/// Settings of a block that are topics or filters, with their texts.
fn topics<'a>(block: &'a AddBlock, checked: &RouteBlock) -> Vec<(&'a Setting, &'a str, Span)> {
    let is_topic = |setting: &&Setting| canonical(setting, checked).ends_with("TOPIC");
    settings(block).filter(is_topic).filter_map(text_of).collect()
}

/// The key of a setting, where those that types have for `SOURCE_TOPIC` are that one.
fn canonical(setting: &Setting, checked: &RouteBlock) -> String {
    let key = setting.key.text.to_ascii_uppercase();
    let is_source = ["TOPIC", "CHANNEL", "SUBJECT"].contains(&&*key) && !checked.settings.contains_key(&key);
    if is_source { "SOURCE_TOPIC".to_owned() } else { key }
}

/// Whether placeholders in a setting are filled for each message.
fn is_filled(setting: &Setting, checked: &RouteBlock) -> bool {
    matches!(checked.settings.get(&canonical(setting, checked)), Some(RouteValue::Template(_)))
}

fn text_of(setting: &Setting) -> Option<(&Setting, &str, Span)> {
    let span = setting.value.as_ref()?.span;
    Some((setting, value::written(setting)?, span))
}

/// Iterates over the texts in braces, including the braces, with their byte offsets.
fn braced(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.match_indices('{').filter_map(|(open, _)| {
        let end = text[open + 1..].find(['{', '}'])? + open + 1;
        text[end..].starts_with('}').then(|| (open, &text[open..=end]))
    })
}

fn refuse(key: &Name, text: &str, span: Span, note: &str, sink: &mut Sink<'_>) {
    for (at, written) in braced(text) {
        let inside = &written[1..written.len() - 1];
        let place = misspelt::place(text, span, at, written).unwrap_or(span);
        let message =
            format!("{}: nothing fills `{}` there", key.text.to_ascii_uppercase(), written.escape_debug());
        let is_misspelt = misspelt::meant(inside).is_some();
        let draft = match placeholder(inside) {
            // Somebody may have such topics.
            Some(Ok(TemplatePart::Field(_))) if !is_misspelt => {
                Draft::warning(codes::PLACEHOLDER, place, message)
            }
            None if !is_misspelt => continue,
            Some(_) | None => Draft::error(codes::PLACEHOLDER, place, message).unless_stored(),
        };
        sink.push(draft.note(note));
    }
}

/// Whether an event of a route that may ask and serve is one that it serves.
fn is_served(event: &RouteBlock, said: &RouteFacts) -> bool {
    let section = said.section("REST_API_CONFIG");
    let is_on = |switch: &str, place: &str| {
        section.is_some_and(|section| {
            section.settings.contains_key(place)
                && section.settings.get(switch) != Some(&RouteValue::Bool(false))
        })
    };
    let (asks, serves) = (is_on("ENABLE_CLIENT", "BASE_ADDRESS"), is_on("ENABLE_SERVER", "SERVER_PORT"));
    match event.text("SIDE") {
        Some(side) => side == "SERVER",
        None => serves && (!asks || !event.settings.contains_key("SOURCE_TOPIC")),
    }
}

/// Reports placeholders in the topics of an event of a server that are no parameter of its path.
fn of_path(block: &AddBlock, event: &RouteBlock, sink: &mut Sink<'_>) {
    let name = |part: &TemplatePart| {
        if let TemplatePart::Field(name) = part { Some(name.clone()) } else { None }
    };
    let names: Vec<String> = match event.settings.get("ENDPOINT") {
        Some(RouteValue::Template(path)) => path.iter().filter_map(name).collect(),
        None => Vec::new(),
        // Known when the route is opened.
        Some(_) => return,
    };
    for (setting, text, span) in topics(block, event) {
        for (at, written) in braced(text) {
            let inside = &written[1..written.len() - 1];
            let is_one = matches!(placeholder(inside), Some(Ok(_))) || misspelt::meant(inside).is_some();
            if !is_one || names.iter().any(|name| name == inside) {
                continue;
            }
            let place = misspelt::place(text, span, at, written).unwrap_or(span);
            let key = setting.key.text.to_ascii_uppercase();
            let message = format!("{key}: `{}` is no parameter of ENDPOINT", written.escape_debug());
            let draft = Draft::error(codes::PLACEHOLDER, place, message).unless_stored();
            let near = nearest(inside, names.iter().map(String::as_str));
            let near = near.or_else(|| names.first().filter(|_| names.len() == 1).map(String::as_str));
            sink.push(match near {
                Some(near) => draft.suggest(format!("did you mean `{{{near}}}`?")),
                None => draft.suggest("write a parameter of the path, as {id} of \"/dev/{id}\""),
            });
        }
    }
}

/// Warns of `{topic.N}` where no topic that comes has so many levels.
fn levels(block: &AddBlock, checked: &RouteBlock, sink: &mut Sink<'_>) {
    let Some(filter) = checked.text("SOURCE_TOPIC") else { return };
    let shared = filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
    let filter = shared.map_or(filter, |(_group, filter)| filter);
    let most = filter.split('/').count();
    if filter.ends_with('#') {
        return;
    }
    for (setting, text, span) in settings(block).filter_map(text_of) {
        if !is_filled(setting, checked) {
            continue;
        }
        for (at, written) in braced(text) {
            let Some(Ok(TemplatePart::TopicLevel(level))) = placeholder(&written[1..written.len() - 1])
            else {
                continue;
            };
            if usize::try_from(level).is_ok_and(|level| level <= most) {
                continue;
            }
            let place = misspelt::place(text, span, at, written).unwrap_or(span);
            let key = setting.key.text.to_ascii_uppercase();
            let levels = if most == 1 { "1 level".to_owned() } else { format!("{most} levels") };
            let message = format!("{key}: `{written}` is always empty: topics of SOURCE_TOPIC have {levels}");
            let draft = Draft::warning(codes::NO_SUCH_LEVEL, place, message);
            let source = key_of(block, "SOURCE_TOPIC").map(|setting| setting.key.span);
            let draft = match source {
                Some(source) => draft.at(source, "these"),
                None => draft,
            };
            sink.push(
                draft.suggest(format!("write a level from 1 to {most}, or a SOURCE_TOPIC that ends with #")),
            );
        }
    }
}
