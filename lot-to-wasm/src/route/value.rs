//! Values of settings that are written as text: numbers, booleans and words of their keys (routes
//! reference §1.2).

use lot_facts::RouteValue;

pub use lot_route_catalogue::SettingPlace;

use super::{ValueKind, find};

/// Converts a text to the value of a setting, as if it stood in the definition. For a value that is
/// known only when the route starts (`GET ENV`). Names become canonical. A text stays text for a
/// key that takes text, and for an unknown key.
///
/// # Errors
/// The values that the key takes, such as `a whole number from 1 to 65535`.
pub fn route_setting(
    kind: &str,
    place: SettingPlace<'_>,
    key: &str,
    text: &str,
) -> Result<RouteValue, String> {
    let plain = || RouteValue::Text(text.to_owned());
    let Some(kind) = find(kind) else { return Ok(plain()) };
    let key = kind.keys(place).iter().find(|known| known.name == key);
    // The client that connects reports a wrong URL, as for a URL in the definition.
    let Some(key) = key.filter(|key| key.value != ValueKind::Url) else { return Ok(plain()) };
    Ok(of_kind(text, &key.value)?.unwrap_or_else(plain))
}

/// Converts a text to a value of a kind. `None` if the topic and its placeholders remain to be
/// checked; an error with the accepted values.
pub(crate) fn of_kind(text: &str, kind: &ValueKind) -> Result<Option<RouteValue>, String> {
    let trimmed = text.trim();
    let value = match kind {
        ValueKind::Text => Some(RouteValue::Text(text.to_owned())),
        ValueKind::Int(least, most) => {
            let number = trimmed.parse().ok().filter(|number| (least..=most).contains(&number));
            let wanted = || match *most {
                i64::MAX => format!("a whole number from {least}"),
                _ => format!("a whole number from {least} to {most}"),
            };
            Some(RouteValue::Int(number.ok_or_else(wanted)?))
        }
        ValueKind::Number => {
            let number = trimmed.parse().ok().filter(|number: &f64| number.is_finite());
            Some(RouteValue::Double(number.ok_or("a number")?))
        }
        ValueKind::Bool if trimmed.eq_ignore_ascii_case("true") => Some(RouteValue::Bool(true)),
        ValueKind::Bool if trimmed.eq_ignore_ascii_case("false") => Some(RouteValue::Bool(false)),
        ValueKind::Bool => return Err("TRUE or FALSE".to_owned()),
        ValueKind::Words(words) => {
            let word = words.iter().find(|word| word.eq_ignore_ascii_case(trimmed));
            Some(RouteValue::Text(word.ok_or_else(|| one_of(words))?.clone()))
        }
        ValueKind::Character if text.chars().count() == 1 => Some(RouteValue::Text(text.to_owned())),
        ValueKind::Character => return Err("a single character".to_owned()),
        ValueKind::Url => {
            let scheme = trimmed.split_once("://").filter(|(_, rest)| !rest.is_empty());
            let is_http =
                scheme.is_some_and(|(scheme, _)| ["http", "https"].contains(&&*scheme.to_ascii_lowercase()));
            is_http.then_some(()).ok_or("a URL that begins with http:// or https://")?;
            has_port_if_any(trimmed).then_some(()).ok_or("a URL whose port is a number from 1 to 65535")?;
            Some(RouteValue::Text(trimmed.to_owned()))
        }
        ValueKind::Folder => {
            let is_step = |part: &str| matches!(part, "." | "..");
            let has_steps = text.split(['/', '\\']).any(is_step);
            (!has_steps).then_some(()).ok_or("a path below a folder, without '.' and '..'")?;
            Some(RouteValue::Text(text.to_owned()))
        }
        ValueKind::MongoAddress => match trimmed.split_once("://") {
            Some(("mongodb" | "mongodb+srv", rest)) if !rest.is_empty() => {
                Some(RouteValue::Text(trimmed.to_owned()))
            }
            Some(_) | None => {
                return Err("an address that begins with mongodb:// or mongodb+srv://".to_owned());
            }
        },
        ValueKind::Filter
        | ValueKind::Topic
        | ValueKind::Rewritten
        | ValueKind::Template
        | ValueKind::OfTopic => None,
    };
    Ok(value)
}

/// Whether the port of a URL is valid, as far as it is known before the program runs.
fn has_port_if_any(url: &str) -> bool {
    let place = url.split_once("://").map_or(url, |(_, rest)| rest);
    let place = place.split(['/', '?', '#']).next().unwrap_or_default();
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    let behind = place.rsplit_once(']').map_or(place, |(_, behind)| behind);
    match behind.split_once(':') {
        Some((_, port)) if !port.is_empty() && !port.contains('{') => {
            port.parse().is_ok_and(|port: u16| port > 0)
        }
        Some(_) | None => true,
    }
}

fn one_of(words: &[String]) -> String {
    // More than a reader takes in are left to the reference.
    const SHOWN_MAX: usize = 12;
    match words {
        [word] => word.clone(),
        words if words.len() > SHOWN_MAX => format!("one of {}, …", words[..SHOWN_MAX].join(", ")),
        words => format!("one of {}", words.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_comes_later_is_read_as_if_it_were_written() {
        use SettingPlace::{Mapping, Section, Tag};
        let read = |place, key, text| match route_setting("MODBUS_TCP", place, key, text) {
            Ok(value) => format!("{value:?}"),
            Err(wanted) => wanted,
        };
        for (place, key, text, expected) in [
            (Section("MODBUS_CONFIG"), "PORT", "1502", "Int(1502)"),
            (Section("MODBUS_CONFIG"), "PORT", "99999", "a whole number from 1 to 65535"),
            (Section("MODBUS_CONFIG"), "PORT", "", "a whole number from 1 to 65535"),
            (Section("MODBUS_CONFIG"), "HOST", "plc", "Text(\"plc\")"),
            (Section("ROUTE_CONFIG"), "BUFFER_MODE", "MEMORY", "Text(\"memory\")"),
            (Section("ROUTE_CONFIG"), "BUFFER_MODE", "tape", "one of none, memory, disk"),
            (Section("NO_SUCH"), "PORT", "x", "Text(\"x\")"),
            (Mapping, "RETAIN", "yes", "TRUE or FALSE"),
            (Tag, "WRITABLE", "False", "Bool(false)"),
        ] {
            assert_eq!(read(place, key, text), expected, "{key} {text}");
        }
    }
}
