//! `-assetSchema` of the types of routes: the keys that the compiler takes, and no others.

use serde_json::Value;

use crate::broker;

/// Returns the differences of two schemas below a path: the keys that only one of them has.
fn differences(of_compiler: &Value, shown: &Value, path: &str) -> Vec<String> {
    let empty = serde_json::Map::new();
    let properties = |schema: &Value| schema["properties"].as_object().unwrap_or(&empty).clone();
    let (keys, more) = (properties(of_compiler), properties(shown));
    let mut told: Vec<String> = more
        .keys()
        .filter(|name| !keys.contains_key(*name))
        .map(|name| format!("{path}/{name} is no key"))
        .collect();
    for (name, key) in &keys {
        let (path, of_key) = (format!("{path}/{name}"), &shown["properties"][name]);
        if of_key.is_null() {
            told.push(format!("{path} is missing"));
            continue;
        }
        if !key["type"].is_null() && of_key["type"] != key["type"] {
            told.push(format!("{path} is {of_key}"));
        }
        told.extend(differences(key, of_key, &path));
        for word in key["enum"].as_array().into_iter().flatten() {
            if !of_key["enum"].as_array().unwrap().contains(word) {
                told.push(format!("{path} does not take {word}"));
            }
        }
        if !key["default"].is_null() && of_key["default"] != key["default"] {
            told.push(format!("{path} is {} by default, and not {}", of_key["default"], key["default"]));
        }
    }
    if of_compiler["additionalProperties"].is_object() {
        let (each, shown) = (&of_compiler["additionalProperties"], &shown["additionalProperties"]);
        told.extend(differences(each, shown, &format!("{path}/*")));
    }
    let required = of_compiler["required"].as_array().into_iter().flatten();
    let is_lost = |name: &&Value| !shown["required"].as_array().is_some_and(|names| names.contains(name));
    told.extend(required.filter(is_lost).map(|name| format!("{path}/{name} must be there")));
    told
}

#[test]
fn schemas_of_all_types_have_the_keys_that_the_compiler_takes_and_no_others() {
    let broker = broker();
    let listed = broker.command_ok("-listAvailable").data().clone();
    let shipped = listed.as_array().unwrap().iter().filter(|row| row["kind"] == "shipped");
    let names: Vec<&str> = shipped.map(|row| row["package"].as_str().unwrap()).collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        let (_, of_compiler) = lot_to_wasm::route_schema(name).unwrap();
        let reply = broker.slow_command(&format!("-assetSchema {name}"));
        assert_eq!(differences(&of_compiler, reply.data(), name), [""; 0], "{name}");
    }
}
