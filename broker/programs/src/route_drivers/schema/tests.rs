//! Tests of the check of settings.

use serde_json::json;

use super::*;

const SCHEMA: &str = r#"{"properties": {
    "sections": {"required": ["LINE_CONFIG"], "additionalProperties": false, "properties": {
        "LINE_CONFIG": {"type": "object", "required": ["UNIT"], "additionalProperties": false, "properties": {
            "UNIT": {"type": "integer", "minimum": 1, "maximum": 247, "description": "of the device"},
            "RATE": {"type": "number", "default": 0.5},
            "MODE": {"enum": ["rtu", "tcp"], "default": "tcp"},
            "NAME": {"type": "string", "minLength": 1, "maxLength": 3},
            "LOUD": {"type": "boolean"}}}}},
    "events": {"additionalProperties": {"required": ["QUERY"], "additionalProperties": false, "properties": {
        "QUERY": {"type": "string"}, "LIST": {"type": "array", "items": {"type": "integer"}}}}}}}"#;

fn of(line: Json, event: Json) -> Result<Json, String> {
    let sections = json!({ "LINE_CONFIG": line, "WASM_CONFIG": { "MODULE": "m" } });
    let whole = json!({ "type": "WASM", "sections": sections, "events": { "Save": event }, "mappings": {} });
    checked(SCHEMA, whole).map_err(|error| error.to_string())
}

#[test]
fn settings_are_completed_and_taken_for_what_they_say() {
    let line = json!({ "UNIT": "7", "RATE": "2.5", "MODE": "RTU", "NAME": 12, "LOUD": "TRUE", "HOST": "a" });
    let query = json!({ "template": ["a ", ""], "placeholders": ["topic"] });
    let event = json!({ "QUERY": query, "SOURCE_TOPIC": "a/#", "LIST": ["1", 2] });
    let made = of(line, event.clone()).unwrap();
    let expected = json!({ "UNIT": 7, "RATE": 2.5, "MODE": "rtu", "NAME": "12", "LOUD": true, "HOST": "a" });
    assert_eq!(made["sections"]["LINE_CONFIG"], expected);
    assert_eq!(made["events"]["Save"]["LIST"], json!([1, 2]));
    let made = of(json!({ "UNIT": 1.0, "NAME": { "secret": "S" } }), event).unwrap();
    let expected = json!({ "UNIT": 1.0, "RATE": 0.5, "MODE": "tcp", "NAME": { "secret": "S" } });
    assert_eq!(made["sections"]["LINE_CONFIG"], expected);
}

#[test]
fn a_number_has_its_digits_where_a_text_is_wanted() {
    let schema = r#"{"properties": {"OID": {"type": "string"}, "RATE": {"type": "number"}, "UNIT": {"type": ["string", "integer"]},
        "LIST": {"type": "array", "items": {"type": "string"}}}}"#;
    let digits = with_digits;
    let said = json!({ "OID": digits("1.10"), "RATE": digits("1.10"), "UNIT": digits("007"), "FREE": digits("-0.50"),
        "LIST": [digits("2.0")], "sections": { "A_CONFIG": { "PORT": digits("0502") } } });
    let made = checked(schema, said).unwrap();
    let expected = json!({ "OID": "1.10", "RATE": 1.1, "UNIT": 7, "FREE": -0.5, "LIST": ["2.0"], "sections": { "A_CONFIG": { "PORT": 502 } } });
    assert_eq!(made, expected);
    let told = checked(r#"{"properties": {"OID": {"type": "boolean"}}}"#, json!({ "OID": digits("1.10") }));
    assert_eq!(told.unwrap_err().to_string(), "OID is '1.1', which is not true or false");
}

#[test]
fn topics_of_mappings_and_tags_are_for_the_host() {
    let tags =
        json!({ "additionalProperties": { "additionalProperties": false, "properties": { "ADDRESS": {} } } });
    let mapping = json!({ "additionalProperties": false, "properties": { "tags": tags } });
    let schema = json!({ "properties": { "mappings": { "additionalProperties": mapping } } }).to_string();
    let of = |tag: Json| {
        let mappings = json!({ "Fast": { "EVERY_MS": 500, "SOURCE_TOPIC": "a", "DIRECTION": "in", "tags": { "t": tag } } });
        checked(&schema, json!({ "type": "WASM", "mappings": mappings })).map_err(|error| error.to_string())
    };
    let tag = json!({ "ADDRESS": 1, "SOURCE_TOPIC": "a/t", "DESTINATION_TOPIC": "b", "WRITABLE": true, "QOS": 1, "RETAIN": true });
    assert!(of(tag).is_ok());
    let told = of(json!({ "ADRESS": 1 })).unwrap_err();
    assert_eq!(told, "mapping Fast, tags, t: ADRESS is not known; did you mean ADDRESS?");
}

#[test]
fn texts_are_checked_against_patterns_and_secrets_are_not_printed() {
    let schema = r#"{"properties": {
        "code": {"type": "string", "pattern": "^[A-Z]{2}-\\d+$"},
        "pin": {"type": "string", "pattern": "^\\d{4}$", "writeOnly": true},
        "EVERY_MS": {"type": "integer", "minimum": 500}}}"#;
    let told = |of: Json| checked(schema, of).map(drop).map_err(|error| error.to_string());
    assert_eq!(told(json!({ "code": "AB-12", "pin": "1234", "EVERY_MS": 500 })), Ok(()));
    for (of, expected) in [
        (json!({ "code": "ab-12" }), r"code is 'ab-12', which is not a text that matches ^[A-Z]{2}-\d+$"),
        (json!({ "pin": "hunter2" }), r"pin is a secret that is not a text that matches ^\d{4}$"),
        (json!({ "pin": ["x"] }), r"pin is a secret that is not a text that matches ^\d{4}$"),
        (
            json!({ "EVERY_MS": 100 }),
            "EVERY is 100 ms, which is not a whole number from 500, in milliseconds",
        ),
    ] {
        assert_eq!(told(of).unwrap_err(), expected);
    }
    let refused = checked(r#"{"pattern": "("}"#, json!("a")).unwrap_err().to_string();
    assert_eq!(
        refused,
        "the schema of its guest has 'pattern', which is not a regular expression that can be searched: Parsing error at position 1: Opening parenthesis without closing parenthesis"
    );
}

#[test]
fn pattern_mismatch_is_reported_with_description_and_example() {
    let schema = r#"{"properties": {"code": {
        "type": "string", "pattern": "^[A-Z]{2}-\\d+$", "description": "letters of the plant, and a number", "examples": ["AB-12"]}}}"#;
    let told = checked(schema, json!({ "code": "ab" })).unwrap_err().to_string();
    let expected = r"code is 'ab', which is not a text that matches ^[A-Z]{2}-\d+$, such as 'AB-12' (letters of the plant, and a number)";
    assert_eq!(told, expected);
}

#[test]
fn one_of_several_alternatives_has_to_fit() {
    let schema = r#"{"properties": {"A_CONFIG": {
        "additionalProperties": false,
        "properties": {"USER": {"type": "string"}, "PASSWORD": {"type": "string"}, "TOKEN": {"type": "string"},
            "OID": {"anyOf": [{"type": "boolean"}, {"type": "string"}]}},
        "anyOf": [{"required": ["USER", "PASSWORD"]}, {"required": ["TOKEN"], "properties": {"TRIES": {"default": 3}}}]}}}"#;
    let of =
        |members: Json| checked(schema, json!({ "A_CONFIG": members })).map_err(|error| error.to_string());
    let both = json!({ "USER": "u", "PASSWORD": "p", "OID": with_digits("1.10") });
    let expected = json!({ "USER": "u", "PASSWORD": "p", "OID": "1.10" });
    assert_eq!(of(both).unwrap()["A_CONFIG"], expected);
    let expected = json!({ "TOKEN": "t", "TRIES": 3, "OID": true });
    assert_eq!(of(json!({ "TOKEN": "t", "OID": "true" })).unwrap()["A_CONFIG"], expected);
    for (members, told) in [
        (json!({}), "A_CONFIG: USER is missing, or A_CONFIG: TOKEN is missing"),
        (json!({ "USER": "u" }), "A_CONFIG: PASSWORD is missing, or A_CONFIG: TOKEN is missing"),
        (
            json!({ "TOKEN": "t", "OID": [] }),
            "A_CONFIG: OID is '[]', which is not true or false, or A_CONFIG: OID is '[]', which is not a text",
        ),
    ] {
        assert_eq!(of(members.clone()).unwrap_err(), told, "{members}");
    }
}

#[test]
fn alternatives_are_tried_within_a_limit_and_reported_once() {
    let refused: Vec<Json> = (0..1_000).map(|_| json!({ "type": "boolean" })).collect();
    let of = |last: Json, items: usize| {
        let alternatives = [&refused[..], &[last]].concat();
        let schema = json!({ "items": { "anyOf": alternatives } }).to_string();
        checked(&schema, vec![Json::from("x"); items].into()).map(drop).map_err(|error| error.to_string())
    };
    let string = || json!({ "type": "string" });
    assert_eq!(of(string(), 1), Ok(()));
    assert_eq!(of(string(), 10_000), Err(TOO_MUCH_WORK.to_owned()));
    let told = "0 is 'x', which is not true or false, or 0 is 'x', which is not a number";
    assert_eq!(of(json!({ "type": "number" }), 1), Err(told.to_owned()));
}

#[test]
fn invalid_route_settings_are_reported() {
    let event = || json!({ "QUERY": "q" });
    for (line, event, told) in [
        (json!({}), event(), "LINE_CONFIG: UNIT is missing"),
        (
            json!({ "UNIT": 0 }),
            event(),
            "LINE_CONFIG: UNIT is '0', which is not a whole number from 1 to 247",
        ),
        (
            json!({ "UNIT": "x" }),
            event(),
            "LINE_CONFIG: UNIT is 'x', which is not a whole number from 1 to 247",
        ),
        (
            json!({ "UNIT": 1.5 }),
            event(),
            "LINE_CONFIG: UNIT is '1.5', which is not a whole number from 1 to 247",
        ),
        (
            json!({ "UNIT": 1, "MODE": "x" }),
            event(),
            "LINE_CONFIG: MODE is 'x', which is not one of rtu, tcp",
        ),
        (json!({ "UNIT": 1, "MODEL": 1 }), event(), "LINE_CONFIG: MODEL is not known; did you mean MODE?"),
        (
            json!({ "UNIT": 1, "NAME": "long" }),
            event(),
            "LINE_CONFIG: NAME is 'long', which is not a text of at least 1 of at most 3",
        ),
        (
            json!({ "UNIT": 1, "LOUD": "so" }),
            event(),
            "LINE_CONFIG: LOUD is 'so', which is not true or false",
        ),
        (json!({ "UNIT": 1 }), json!({}), "event Save: QUERY is missing"),
        (
            json!({ "UNIT": 1 }),
            json!({ "QUERY": "q", "LIST": ["a"] }),
            "event Save, LIST: 0 is 'a', which is not a whole number",
        ),
        (
            json!({ "UNIT": 1 }),
            json!({ "QUERY": "q", "LIST": { "secret": "S" } }),
            "event Save: LIST is '{\"secret\":\"S\"}', which is not a list",
        ),
    ] {
        assert_eq!(of(line.clone(), event.clone()).unwrap_err(), told, "{line} {event}");
    }
    let whole = json!({ "sections": { "LINE_CONFG": {} } });
    let told = checked(SCHEMA, whole).unwrap_err().to_string();
    assert_eq!(
        told,
        "sections: LINE_CONFIG is missing; sections: LINE_CONFG is not known; did you mean LINE_CONFIG?"
    );
}

#[test]
fn a_schema_that_would_not_be_checked_is_refused() {
    for (schema, told) in [
        ("{", "the schema of its guest is not JSON: "),
        (
            r#"{"properties":{"a":{"items":{"format":"date"}}}}"#,
            "the schema of its guest has 'format' at /properties/a/items, which is none of ",
        ),
        (
            r#"{"additionalProperties":{"oneOf":[]}}"#,
            "the schema of its guest has 'oneOf' at /additionalProperties, ",
        ),
        ("5", "the schema of its guest is neither an object nor true or false"),
        (
            r#"{"properties":{"a":"string"}}"#,
            "the schema of its guest at /properties/a is neither an object nor true or false",
        ),
        (r#"{"type":"text"}"#, "the schema of its guest has 'type', which is not one of array, "),
        (r#"{"type":[]}"#, "the schema of its guest has 'type', which is not one of array, "),
        (r#"{"properties":[]}"#, "the schema of its guest has 'properties', which is not an object of "),
        (r#"{"required":"a"}"#, "the schema of its guest has 'required', which is not a list of names"),
        (r#"{"anyOf":[]}"#, "the schema of its guest has 'anyOf', which is not a list of schemas, one at "),
        (
            r#"{"anyOf":[{},{"oneOf":[]}]}"#,
            "the schema of its guest has 'oneOf' at /anyOf/1, which is none of ",
        ),
        (r#"{"enum":[]}"#, "the schema of its guest has 'enum', which is not a list of values, one at "),
        (r#"{"minimum":"1"}"#, "the schema of its guest has 'minimum', which is not a number"),
        (r#"{"maxLength":-1}"#, "the schema of its guest has 'maxLength', which is not a whole number "),
        (
            r#"{"properties":{"a":{"type":"integer","default":"x"}}}"#,
            "the schema of its guest has a default at /properties/a that it refuses: the configuration is 'x', which is not a whole number",
        ),
    ] {
        let error = checked(schema, json!({})).unwrap_err().to_string();
        assert!(error.starts_with(told), "{schema}: {error}");
    }
    let long = format!(r#"{{"description":"{}"}}"#, "x".repeat(ROUTE_SCHEMA_BYTES_MAX));
    let told = "the schema of its guest is longer than 262144 bytes: 262162";
    assert_eq!(read(&long).unwrap_err().to_string(), told);
    assert_eq!(checked("{}", json!({ "a": 1 })).unwrap(), json!({ "a": 1 }));
    assert_eq!(checked("true", json!({ "a": 1 })).unwrap(), json!({ "a": 1 }));
}

#[test]
fn a_pattern_is_compiled_once_and_problems_and_defaults_are_bounded() {
    let pattern = r#"{"additionalProperties":{"pattern":"(?=a)\\w{1,30}(?=b)"}}"#;
    let settings = |value: &str, count: usize| -> Json {
        (0..count).map(|number| (format!("s{number}"), Json::from(value))).collect::<Map<_, _>>().into()
    };
    let mut check = Check::new(false);
    check.value(&serde_json::from_str(pattern).unwrap(), &mut settings("aab", 12_000));
    assert_eq!((check.patterns.len(), &check.problems), (1, &Vec::new()));

    let Err(SchemaError::Settings(problems)) = checked(pattern, settings("x", 12_000)) else {
        panic!("none of them has the pattern");
    };
    assert_eq!(problems.len(), ROUTE_SCHEMA_PROBLEMS_MAX);

    let with_default = |bytes: usize| {
        let default = "d".repeat(bytes);
        json!({ "additionalProperties": { "properties": { "T": { "default": default } } } }).to_string()
    };
    let objects: Map<String, Json> = (0..1000).map(|number| (format!("e{number}"), json!({}))).collect();
    let filled = checked(&with_default(1000), objects.clone().into()).unwrap();
    assert_eq!(filled["e999"]["T"].as_str().map(str::len), Some(1000));
    let told = checked(&with_default(200_000), objects.into()).unwrap_err().to_string();
    assert_eq!(told, TOO_MUCH_WORK);
}
