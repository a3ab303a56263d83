use serde_json::json;

use super::*;

/// Reads a description with further members of its type.
fn of_type(members: &Json) -> Result<RouteType, String> {
    let mut kind = json!({ "name": "LINES", "description": "lines" });
    let members = members.as_object().unwrap().clone();
    kind.as_object_mut().unwrap().extend(members);
    read_json(&json!({ "type": [kind] }))
}

fn read_json(file: &Json) -> Result<RouteType, String> {
    read(file.to_string().as_bytes(), "lines").map_err(|error| error.to_string())
}

fn of_section(section: &Json) -> Result<RouteType, String> {
    of_type(&json!({ "section": [section] }))
}

#[test]
fn description_of_a_module_becomes_a_type_and_a_schema_that_refuses_other_settings() {
    let section = json!({
        "name": "LINES_CONFIG", "required": true,
        "place": { "host": "HOST", "port": "PORT", "default_port": 2003, "tls": "never" },
        "keys": [
            { "name": "HOST", "required": true }, { "name": "PORT", "kind": "port" },
            { "name": "TOKEN", "secret": true }, { "include": "tls" },
        ],
    });
    let kind = of_section(&section).unwrap();
    assert_eq!(kind.module.as_deref(), Some("lines"));
    let names: Vec<&str> = kind.sections.iter().map(|section| section.name.as_str()).collect();
    assert_eq!(names, [OWN_SECTION, "LINES_CONFIG"]);
    let schema = kind.schema();
    let sections = &schema["properties"]["sections"];
    assert_eq!(sections["required"], json!(["LINES_CONFIG"]));
    let block = &sections["properties"]["LINES_CONFIG"];
    assert_eq!(block["additionalProperties"], json!(false));
    assert_eq!(block["required"], json!(["HOST"]));
    let port = json!({ "type": "integer", "minimum": 1, "maximum": 65_535, "default": 2003 });
    assert_eq!(block["properties"]["PORT"], port);
    assert_eq!(block["properties"]["TOKEN"], json!({ "type": "string", "writeOnly": true }));
    assert!(block["properties"]["CLIENT_KEY_PATH"].is_object(), "{block}");
}

#[test]
fn invalid_description_is_refused_with_its_place() {
    let host = json!({ "name": "HOST" });
    let place = json!({ "host": "HOST", "port": "PORT", "default_port": 1, "tls": "never" });
    for (section, expected) in [
        (
            json!({ "name": "A_CONFIG", "keys": [{ "kind": "int" }] }),
            "LINES: A_CONFIG: a key has neither `name` nor `include`",
        ),
        (
            json!({ "name": "A_CONFIG", "keys": [{ "include": "x" }] }),
            "LINES: A_CONFIG: there is no list `x` of keys to include",
        ),
        (json!({ "name": "A_CONFIG", "keys": [host, host] }), "LINES: A_CONFIG: the name HOST stands twice"),
        (
            json!({ "name": "A_CONFIG", "keys": [{ "name": "N", "kind": "int" }] }),
            "LINES: A_CONFIG: N: a key of kind `int` needs `min`",
        ),
        (
            json!({ "name": "A_CONFIG", "keys": [{ "name": "N", "kind": "int", "min": 3, "max": 2 }] }),
            "LINES: A_CONFIG: N: `max` is below `min`",
        ),
        (
            json!({ "name": "A_CONFIG", "keys": [{ "name": "P", "kind": "port", "default": 70_000 }] }),
            "LINES: A_CONFIG: P: `default` is no value of the key",
        ),
        (
            json!({ "name": "A_CONFIG", "keys": [{ "name": "N", "unless": ["M"] }] }),
            "LINES: A_CONFIG: N: `unless` names M, which is no key of it",
        ),
        (
            json!({ "name": "A_CONFIG", "place": place }),
            "LINES: A_CONFIG: `place` names HOST, which is no key of it",
        ),
        (
            json!({ "name": "A_CONFIG", "place": { "host": "HOST", "default_port": 1, "tls": "never" }, "keys": [host] }),
            "LINES: A_CONFIG: `place` names keys that do not belong together",
        ),
        (json!({ "name": "lines" }), "LINES: section 'lines' is no name"),
        (json!({ "name": "LINES" }), "LINES: section 'LINES' has a name that ends with _CONFIG"),
        (json!({ "name": "ROUTE_CONFIG" }), "LINES: section ROUTE_CONFIG is the broker's, in every type"),
        (json!({ "name": "WASM_CONFIG" }), "LINES: section WASM_CONFIG is the broker's, in every type"),
    ] {
        let error = of_section(&section).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    assert_eq!(read_json(&json!({ "type": [] })).unwrap_err(), "route.toml: a module has 1 type, not 0");
    let twice = json!({ "section": [{ "name": "A_CONFIG" }, { "name": "A_CONFIG" }] });
    assert_eq!(of_type(&twice).unwrap_err(), "LINES: the section A_CONFIG stands twice");
    let unknown = of_type(&json!({ "colour": 1 })).unwrap_err();
    assert!(unknown.starts_with("route.toml: unknown field `colour`"), "{unknown}");
}

#[test]
fn description_cannot_take_the_name_or_the_privileges_of_our_types() {
    for name in ["KAFKA", "WASM", "MQTT_BRIDGE", "MODBUS", "ADS"] {
        let error = read_json(&json!({ "type": [{ "name": name }] })).unwrap_err();
        assert!(error.contains("the name is that of type"), "{name}: {error}");
    }
    for wrong_name in all().flat_map(|kind| &kind.wrong_names).filter(|name| is_name(name).is_ok()) {
        assert!(is_free(wrong_name).is_err(), "{wrong_name}");
    }
    for (key, value) in [
        ("checks", json!(["sql"])),
        ("aliases", json!(["KAFKA"])),
        ("wrong_names", json!(["KAFKA"])),
        ("other_side", json!("disk")),
        ("open", json!(true)),
        ("schemes", json!(["mysql"])),
        ("instances", json!(64)),
    ] {
        let error = of_type(&json!({ key: value })).unwrap_err();
        assert_eq!(error, format!("LINES: `{key}` is for the types that lotmq has in itself"));
    }
    let servers = json!({ "name": "A_CONFIG", "keys": [{ "name": "SERVERS" }],
        "place": { "servers": "SERVERS", "default_port": 1, "tls": "never" } });
    let error = of_section(&servers).unwrap_err();
    assert_eq!(error, "LINES: `servers` is for the types that lotmq has in itself");
}

#[test]
fn description_cannot_name_a_place_that_the_text_of_a_route_does_not_name() {
    let section = |keys: Json, tls: &str| {
        let place = json!({ "host": "TARGET", "port": "PORT", "default_port": 1, "tls": tls });
        of_section(&json!({ "name": "A_CONFIG", "place": place, "keys": keys }))
    };
    let (target, port) = (json!({ "name": "TARGET" }), json!({ "name": "PORT", "kind": "port" }));
    assert!(section(json!([target, port]), "at-once").is_ok());
    for (key, expected) in [
        (json!({ "name": "TARGET", "default": "10.0.0.1" }), "TARGET: the broker reads it"),
        (json!({ "name": "HOST" }), "HOST: it names a place beside that of `place`"),
        (json!({ "name": "ALLOW_HOSTS" }), "ALLOW_HOSTS: it names a place beside that of `place`"),
        (json!({ "name": "LISTEN" }), "LISTEN: it names a place beside that of `place`"),
        (json!({ "name": "X", "also": ["ALLOW_HOSTS"] }), "X: `also` has the name of a setting"),
        (json!({ "name": "USE_TLS", "kind": "bool", "default": true }), "USE_TLS: the broker reads it"),
        (
            json!({ "name": "TRUST_SERVER_CERTIFICATE", "kind": "bool", "default": true }),
            "TRUST_SERVER_CERTIFICATE: the broker reads it",
        ),
    ] {
        let keys = match key["name"] == "TARGET" {
            true => json!([key, port]),
            false => json!([target, port, key]),
        };
        let error = section(keys, "at-once").unwrap_err();
        assert!(error.starts_with(&format!("LINES: A_CONFIG: {expected}")), "{error}");
    }
    let error = section(json!([target, port, { "name": "USE_TLS", "kind": "bool" }]), "never").unwrap_err();
    assert_eq!(error, "LINES: A_CONFIG: USE_TLS: `tls` of `place` is `never`");
    // The host without a `place` is read from the text as well.
    let plain = json!({ "name": "A_CONFIG", "keys": [{ "name": "HOST", "default": "10.0.0.1" }] });
    assert!(of_section(&plain).unwrap_err().contains("HOST: the broker reads it"));
}

#[test]
fn keys_of_topics_are_those_of_every_module() {
    let event = |key: Json| of_type(&json!({ "event": { "keys": [key] } }));
    assert!(event(json!({ "name": "SOURCE_TOPIC", "kind": "filter" })).is_ok());
    for (key, expected) in [
        (
            json!({ "name": "SOURCE_TOPIC" }),
            "LINES: EVENT: SOURCE_TOPIC: the broker reads it, and it is `filter`",
        ),
        (
            json!({ "name": "X", "also": ["SOURCE_TOPIC"] }),
            "LINES: EVENT: X: the broker reads SOURCE_TOPIC itself",
        ),
        (
            json!({ "name": "SOURCE_TOPIC", "kind": "filter", "default": "#" }),
            "LINES: EVENT: SOURCE_TOPIC: the broker reads it, and has another default",
        ),
        (
            json!({ "name": "QOS", "kind": "int", "min": 0, "max": 3 }),
            "LINES: EVENT: QOS: the broker reads it, and it is `int` from 0 to 2",
        ),
    ] {
        assert_eq!(event(key).unwrap_err(), expected);
    }
    let mapping = |rewrites: bool| {
        of_type(&json!({ "mapping": { "rewrites": rewrites, "keys": [
        { "name": "DIRECTION", "words": ["out", "in"] }, { "name": "DESTINATION_TOPIC", "kind": "rewritten" },
    ], "tag": [{ "include": "tag-type" }, { "include": "tag" }] } }))
    };
    assert!(mapping(true).is_ok(), "{:?}", mapping(true));
    let expected = "LINES: MAPPING: a mapping of a module has `rewrites = true`";
    assert_eq!(mapping(false).unwrap_err(), expected);
}

#[test]
fn hostile_description_is_refused_within_bounds() {
    let keys = |keys: Vec<Json>| of_section(&json!({ "name": "A_CONFIG", "keys": keys })).unwrap_err();
    let many = (0..=DESCRIBED_KEYS_MAX).map(|at| json!({ "name": format!("K{at}") })).collect();
    assert_eq!(keys(many), "LINES: A_CONFIG: it has 129 keys, limit 128");
    assert_eq!(
        keys(vec![json!({ "include": "tls" }); 2_000]),
        "LINES: A_CONFIG: it has 16000 keys, limit 128"
    );
    let sections: Vec<Json> = (0..17).map(|at| json!({ "name": format!("S{at}_CONFIG") })).collect();
    assert_eq!(of_type(&json!({ "section": sections })).unwrap_err(), "LINES: it has 17 sections, limit 16");
    for (key, expected) in [
        (
            json!({ "name": "K", "hint": "\u{1b}[2Jgone" }),
            "K: `hint` has the character '\\u{1b}', which it cannot have",
        ),
        (json!({ "name": "K", "hint": "a\n    ADD EVENT X" }), "K: `hint` has the character '\\n'"),
        (json!({ "name": "K", "hint": "a,b" }), "K: `hint` has the character ','"),
        (json!({ "name": "K", "words": ["a|b"] }), "K: the word 'a|b' has the character '|'"),
        (json!({ "name": "K", "default": "\u{202e}x" }), "K: a text has the character"),
        (json!({ "name": "K", "hint": "x".repeat(513) }), "K: `hint` has 513 bytes, limit 512"),
        (json!({ "name": "K", "words": vec!["w"; 65] }), "K: `words` has 65 entries, limit 64"),
        (json!({ "name": "K\u{1b}[31m" }), "key 'K\\u{1b}[31m' is no name"),
    ] {
        let error = keys(vec![key]);
        assert!(error.starts_with(&format!("LINES: A_CONFIG: {expected}")), "{error}");
    }
    let deep = "[".repeat(30_000) + &"]".repeat(30_000);
    let deep = format!(r#"{{"type":[{{"name":"X","event":{{"keys":[{{"name":"K","default":{deep}}}]}}}}]}}"#);
    let error = read(deep.as_bytes(), "x").unwrap_err().to_string();
    assert!(error.starts_with("route.toml: recursion limit exceeded"), "{error}");
    let error = read(br#"{"type":[{"name":"X","name":"Y"}]}"#, "x").unwrap_err().to_string();
    assert!(error.starts_with("route.toml: duplicate field `name`"), "{error}");
    let error = read(&vec![b' '; DESCRIPTION_BYTES_MAX + 1], "x").unwrap_err().to_string();
    assert_eq!(error, "route.toml: it has 65537 bytes as JSON, limit 65536");
    let field = "\u{1b}".repeat(2_000);
    let error = read_json(&json!({ "type": [{ "name": "X", field: 1 }] })).unwrap_err();
    assert!(error.len() < 4_000 && !error.contains('\u{1b}'), "{error}");
}
