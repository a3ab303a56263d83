//! Values of settings that are known when a route starts only, read as if they were written:
//! `GET ENV`, `GET SECRET`, and texts that they are joined to.

use lot_facts::{RouteBlock, RouteFacts, RoutePart, RouteValue};
use lot_to_wasm::{SettingPlace, route_setting};

use super::endpoints::setting;
use super::template::Names;

/// A value that is not what its key takes.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{block}: {key} is {wanted}, not {found}; it comes from {from}")]
pub(super) struct WrongValue {
    block: String,
    key: String,
    wanted: String,
    /// Value that was found, or that it is a secret.
    found: String,
    /// Source of the value, as the definition writes it.
    from: String,
}

/// Returns the settings of a route with their current values, converted to the types of their keys.
/// Values that are not set yet and secrets stay references.
///
/// # Errors
/// The first value with a wrong type.
pub(super) fn typed(route: &RouteFacts, names: &impl Names) -> Result<RouteFacts, WrongValue> {
    let mut route = route.clone();
    let kind = route.kind.clone();
    let read = |block: &mut RouteBlock, place: SettingPlace<'_>| {
        let later: Vec<String> = block
            .settings
            .iter()
            .filter(|(_, value)| matches!(value, RouteValue::Parts(_)))
            .map(|(key, _)| key.clone())
            .collect();
        later.into_iter().try_for_each(|key| read_setting(&kind, block, place, &key, names))
    };
    for section in &mut route.sections {
        let name = section.name.clone();
        read(section, SettingPlace::Section(&name))?;
    }
    for event in &mut route.events {
        read(event, SettingPlace::Event)?;
    }
    for mapping in &mut route.mappings {
        for tag in &mut mapping.tags {
            read(tag, SettingPlace::Tag)?;
        }
        read(mapping, SettingPlace::Mapping)?;
    }
    Ok(route)
}

fn read_setting(
    kind: &str,
    block: &mut RouteBlock,
    place: SettingPlace<'_>,
    key: &str,
    names: &impl Names,
) -> Result<(), WrongValue> {
    let Some(text) = setting(block, names, key) else { return Ok(()) };
    let Some(RouteValue::Parts(parts)) = block.settings.get(key) else { return Ok(()) };
    let is_secret = parts.iter().any(|part| matches!(part, RoutePart::Secret(_)));
    match route_setting(kind, place, key, &text) {
        Ok(RouteValue::Text(_)) if !matches!(place, SettingPlace::Section("ROUTE_CONFIG")) => {}
        Ok(_) if is_secret => {}
        Ok(value) => drop(block.settings.insert(key.to_owned(), value)),
        Err(wanted) => {
            let found =
                if is_secret { "the secret".to_owned() } else { format!("'{}'", text.escape_debug()) };
            let (block, key) = (block.name.clone(), key.to_owned());
            return Err(WrongValue { block, key, wanted, found, from: written(parts) });
        }
    }
    Ok(())
}

/// Formats the joined parts of a value as a definition writes them.
fn written(parts: &[RoutePart]) -> String {
    let part = |part: &RoutePart| match part {
        RoutePart::Text(text) => format!("\"{text}\""),
        RoutePart::Env(name) => format!("GET ENV \"{name}\""),
        RoutePart::Secret(name) => format!("GET SECRET \"{name}\""),
        RoutePart::RandomUuid => "RANDOM UUID".to_owned(),
    };
    parts.iter().map(part).collect::<Vec<_>>().join(" + ")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Site;

    impl Names for Site {
        fn environment(&self, name: &str) -> Option<String> {
            let known =
                [("PORT", "1502"), ("WORD", "abc"), ("EMPTY", ""), ("NO", "FALSE"), ("MODE", "Memory")];
            known.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        }
        fn secret(&self, name: &str) -> Option<String> {
            (name == "PORT").then(|| "hidden".to_owned())
        }
    }

    fn read(place: &str, key: &str, parts: &[RoutePart]) -> Result<RouteValue, String> {
        let settings = [(key.to_owned(), RouteValue::Parts(parts.to_vec()))].into();
        let block = RouteBlock { name: place.to_owned(), settings, ..RouteBlock::default() };
        let mut route = RouteFacts {
            kind: "MODBUS_TCP".to_owned(),
            sections: Vec::new(),
            events: Vec::new(),
            mappings: Vec::new(),
            stores: Vec::new(),
        };
        match place {
            "T" => {
                route.mappings.push(RouteBlock {
                    name: "M".into(),
                    tags: vec![block],
                    ..RouteBlock::default()
                });
            }
            _ => route.sections.push(block),
        }
        let typed = typed(&route, &Site).map_err(|wrong| wrong.to_string())?;
        let tags = typed.mappings.iter().flat_map(|mapping| &mapping.tags);
        let block = tags.chain(&typed.sections).next().unwrap();
        Ok(block.settings[key].clone())
    }

    #[test]
    fn values_are_of_the_kinds_of_their_keys() {
        let env = |name: &str| RoutePart::Env(name.to_owned());
        let parts = |name: &str| RouteValue::Parts(vec![env(name)]);
        for (place, key, name, expected) in [
            ("MODBUS_CONFIG", "PORT", "PORT", Ok(RouteValue::Int(1502))),
            ("MODBUS_CONFIG", "HOST", "WORD", Ok(parts("WORD"))),
            ("MODBUS_CONFIG", "PORT", "NOWHERE", Ok(parts("NOWHERE"))),
            (
                "MODBUS_CONFIG",
                "PORT",
                "EMPTY",
                Err(
                    "MODBUS_CONFIG: PORT is a whole number from 1 to 65535, not ''; it comes from GET ENV \"EMPTY\"",
                ),
            ),
            ("ROUTE_CONFIG", "BUFFER_MODE", "MODE", Ok(RouteValue::Text("memory".into()))),
            (
                "ROUTE_CONFIG",
                "OVERLOAD_POLICY",
                "WORD",
                Err(
                    "ROUTE_CONFIG: OVERLOAD_POLICY is one of lossless, balanced, realtime, not 'abc'; it comes from GET ENV \"WORD\"",
                ),
            ),
            ("T", "WRITABLE", "NO", Ok(RouteValue::Bool(false))),
        ] {
            assert_eq!(read(place, key, &[env(name)]), expected.map_err(str::to_owned), "{key} {name}");
        }
        let secret = RoutePart::Secret("PORT".to_owned());
        let told = read("MODBUS_CONFIG", "PORT", &[secret]).unwrap_err();
        assert!(told.contains("not the secret; it comes from GET SECRET \"PORT\""), "{told}");
    }
}
