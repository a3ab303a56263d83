//! Crates that a guest in Rust was built with for a browser: with some of their features they
//! import what only JavaScript has (wasm-bindgen), and no component can be made of that.

use std::collections::BTreeSet;

use serde_json::Value;

/// Features with which crates are for browsers, by crate as cargo names its library. Several
/// versions of a crate may have several.
const BROWSER_FEATURES: [(&str, &[&str]); 7] = [
    ("chrono", &["wasmbind"]),
    ("getrandom", &["js", "wasm_js"]),
    ("instant", &["wasm-bindgen", "stdweb"]),
    ("jiff", &["js"]),
    ("time", &["wasm-bindgen"]),
    ("ulid", &["js"]),
    ("uuid", &["js"]),
];

/// Lists the crates for browsers in cargo's messages, and how to switch them off; `None` if there
/// are none.
pub(super) fn told(messages: &str, target: &str) -> Option<String> {
    let (mut found, mut has_bindings) = (BTreeSet::new(), false);
    for message in messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let Some(name) = message.pointer("/target/name").and_then(text).map(|name| name.replace('-', "_"))
        else {
            continue;
        };
        has_bindings |= name == "wasm_bindgen";
        let listed = message.get("features").and_then(Value::as_array).into_iter().flatten();
        let features: Vec<String> = listed.filter_map(text).collect();
        let of_browsers = BROWSER_FEATURES.iter().find(|(known, _)| *known == name);
        let of_browsers = of_browsers.map_or(&[][..], |(_, features)| features);
        for feature in of_browsers.iter().filter(|feature| features.iter().any(|has| has == *feature)) {
            let others = features.iter().filter(|other| other != feature && *other != "default");
            let others: Vec<String> = others.map(|other| format!("\"{other}\"")).collect();
            found.insert(format!(
                "{name} has feature `{feature}`: write {name} = {{ version = \"…\", default-features = false, features = [{}] }}",
                others.join(", ")
            ));
        }
    }
    if found.is_empty() && !has_bindings {
        return None;
    }
    let all: Vec<String> = found.into_iter().collect();
    let what = if all.is_empty() { String::new() } else { format!("{}; ", all.join("; ")) };
    Some(format!(
        "a crate is built for browsers and imports what no broker has (wasm-bindgen): {what}`cargo tree --target {target} -e features -i wasm-bindgen` shows who wants it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_feature_to_switch_off_is_named() {
        let artifact = |name: &str, features: &[&str]| {
            serde_json::json!({ "reason": "compiler-artifact", "target": { "name": name }, "features": features }).to_string()
        };
        let chrono = artifact("chrono", &["clock", "default", "std", "wasmbind"]);
        let messages = [chrono, artifact("wasm-bindgen", &["std"]), artifact("uuid", &["v4"])].join("\n");
        let told = told(&messages, "wasm32-unknown-unknown").unwrap();
        assert_eq!(
            told,
            "a crate is built for browsers and imports what no broker has (wasm-bindgen): chrono has feature `wasmbind`: write chrono = { version = \"…\", default-features = false, \
             features = [\"clock\", \"std\"] }; `cargo tree --target wasm32-unknown-unknown -e features -i wasm-bindgen` shows who wants it"
        );
        let others = super::told(&artifact("wasm_bindgen", &[]), "t").unwrap();
        assert!(others.contains("(wasm-bindgen): `cargo tree --target t"), "{others}");
        assert_eq!(super::told(&artifact("uuid", &["v4", "std"]), "t"), None);
        assert_eq!(super::told("no json\n{}", "t"), None);
    }
}
