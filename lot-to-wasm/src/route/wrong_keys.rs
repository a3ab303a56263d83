//! Tests that each wrong value of every key of every type is reported with the name of the key.

use super::template::tests::filled;
use super::{COMMON, Key, Need, RouteType, ValueKind, all, route_template};
use crate::{CompileOptions, compile};

/// Values that a key of this kind does not take; none of texts that may be any.
fn wrong_values(kind: &ValueKind) -> Vec<String> {
    let texts: &[&str] = match kind {
        ValueKind::Text => &[],
        ValueKind::Int(_, most) => {
            let above = most.checked_add(1).map(|above| above.to_string());
            return above.into_iter().chain(["\"perhaps\"".to_owned(), "1.5".to_owned()]).collect();
        }
        ValueKind::Number => &["\"much\""],
        ValueKind::Bool => &["\"perhaps\"", "7"],
        ValueKind::Words(_) => &["\"no such word\""],
        ValueKind::Character => &["\"two\""],
        ValueKind::Url => &["\"ftp://h\"", "\"http://h:65536\"", "\"https://u:p@[::1]:x/y\""],
        ValueKind::Folder => &["\"../../etc\"", "\"a/./b\""],
        ValueKind::MongoAddress => &["\"h:27017\""],
        ValueKind::Filter => &["\"a/#/b\""],
        ValueKind::Topic => &["\"a/+\""],
        ValueKind::Rewritten => &["\"a/#/b\""],
        ValueKind::Template => &["\"{topic.0}\""],
        ValueKind::OfTopic => &["\"{topic.0}\"", "\"{payload}\""],
    };
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Places with keys in a route of a type, by the line that begins them.
fn places(kind: &RouteType) -> Vec<(String, &[Key])> {
    let section = |name: &str| format!("    ADD {name}");
    let sections =
        kind.sections.iter().chain(COMMON.iter()).map(|known| (section(&known.name), &*known.keys));
    let event = kind.event.as_deref().map(|keys| ("    ADD EVENT Example".to_owned(), keys));
    let mapping = kind.mapping.as_ref().map(|known| ("    ADD MAPPING Example".to_owned(), &*known.keys));
    let tag = kind.mapping.as_ref().and_then(|known| known.tag.as_deref());
    let tag = tag.map(|keys| ("        ADD TAG Value".to_owned(), keys));
    sections.chain(event).chain(mapping).chain(tag).collect()
}

/// A good program in which a key of a place is this line, or is missing.
fn changed(program: &str, place: &str, key: &Key, value: Option<&str>) -> String {
    let depth = place.len() - place.trim_start().len() + 4;
    let line = value.map(|value| format!("{}WITH {} {value}", " ".repeat(depth), key.name));
    let mut lines: Vec<String> = Vec::new();
    let (mut is_inside, mut was_there) = (false, false);
    for old in program.lines() {
        if old.trim_start().starts_with("ADD ") {
            is_inside = old == place;
            was_there |= is_inside;
            lines.push(old.to_owned());
            lines.extend(line.clone().filter(|_| is_inside));
            continue;
        }
        let name = old.trim_start().strip_prefix("WITH ").and_then(|rest| rest.split(' ').next());
        if !(is_inside && name.is_some_and(|name| key.is_called(name))) {
            lines.push(old.to_owned());
        }
    }
    if !was_there {
        lines.push(place.to_owned());
        lines.extend(line);
    }
    lines.join("\n") + "\n"
}

/// Whether a message has this name in it, and the program is refused. Wrong addresses only give a
/// warning, as other schemes may have a meaning elsewhere.
fn is_reported(program: &str, name: &str, kind: &ValueKind) -> bool {
    let compilation = compile(program, &CompileOptions::default());
    let entity = &compilation.entities[0];
    let is_refused = entity.output.is_none() || *kind == ValueKind::Url;
    is_refused && entity.diagnostics.iter().any(|told| told.message.contains(name))
}

#[test]
fn every_invalid_key_value_is_reported_with_the_key_name() {
    let (mut tried, mut untold) = (0, Vec::new());
    for kind in all().filter(|kind| !kind.is_open) {
        let program = filled(&route_template(&kind.name).expect("it has a template").1);
        for (place, keys) in places(kind) {
            for key in keys {
                for value in wrong_values(&key.value) {
                    tried += 1;
                    if !is_reported(&changed(&program, &place, key, Some(&value)), &key.name, &key.value) {
                        untold.push(format!("{}:{place}: {} {value}", kind.name, key.name));
                    }
                }
                // An empty place has errors about its other keys first.
                let is_missing = matches!(key.need, Need::Always) && program.contains(&format!("{place}\n"));
                let without = changed(&program, &place, key, None);
                if is_missing && !is_reported(&without, &format!("needs {}", key.name), &key.value) {
                    untold.push(format!("{}:{place}: without {}", kind.name, key.name));
                }
            }
        }
    }
    assert!(untold.is_empty(), "{tried} tried, untold:\n{}", untold.join("\n"));
}
