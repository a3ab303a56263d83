use serde_json::json;

use super::*;

fn file(text: &str) -> Option<ConfigFile> {
    Some(ConfigFile { path: PathBuf::from("lotmq.toml"), text: text.to_owned() })
}

fn environment(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn stored(text: &str) -> Overlay {
    Overlay::parse(text.as_bytes()).unwrap()
}

/// Commands reference §15 test 22: the stronger source wins, for one key, through all five.
#[test]
fn precedence_of_the_five_sources() {
    let mut sources = Sources::default();
    let port = |sources: &Sources| {
        let config = Config::load(sources.clone()).unwrap();
        (config.listener.mqtt.port, config.origin("listener.mqtt.port").to_string())
    };
    assert_eq!(port(&sources), (Port::Number(1883), "default".to_owned()));
    sources.file = file("[listener.mqtt]\nport = 1");
    assert_eq!(port(&sources), (Port::Number(1), "file lotmq.toml:2".to_owned()));
    sources.stored = stored(r#"{"Port":2}"#);
    assert_eq!(port(&sources), (Port::Number(2), "Config/New".to_owned()));
    sources.environment = environment(&[("LOTMQ_LISTENER_MQTT_PORT", "3")]);
    assert_eq!(port(&sources), (Port::Number(3), "environment LOTMQ_LISTENER_MQTT_PORT".to_owned()));
    sources.flags = vec![("--listen", "listener.mqtt.port", "4".to_owned())];
    assert_eq!(port(&sources), (Port::Number(4), "flag --listen".to_owned()));
}

#[test]
fn stored_configuration_can_be_exchanged_later() {
    let sources = Sources {
        file: file("[listener.mqtt]\nport = 1\n[log]\ndebug = true"),
        environment: environment(&[("LOTMQ_SYS_INTERVAL_SEC", "5")]),
        ..Sources::default()
    };
    let config = Config::load(sources).unwrap();
    let overlay = stored(r#"{"Port":2,"SysIntervalSec":7}"#);
    let changed = config.with_stored(&overlay).unwrap();
    assert_eq!((changed.listener.mqtt.port, changed.sys.interval_sec), (Port::Number(2), 5));
    let overridden: Vec<String> =
        changed.overrides(&overlay).iter().map(|(key, origin)| format!("{} {origin}", key.path)).collect();
    assert_eq!(overridden, ["sys.interval_sec environment LOTMQ_SYS_INTERVAL_SEC"]);

    let back = overlay.merged(stored(r#"{"Port":null}"#));
    assert_eq!(changed.with_stored(&back).unwrap().listener.mqtt.port, Port::Number(1));
    assert_eq!(config.with_stored(&Overlay::default()).unwrap(), config);
}

#[test]
fn whole_config_topic_can_be_written_back() {
    let config = Config::load(Sources { file: file("[log]\ndebug = true"), ..Sources::default() }).unwrap();
    let text = Value::Object(config.to_json()).to_string();
    let overlay = stored(&text).without_unchanged(&config);
    assert_eq!(overlay, Overlay::default());
    assert_eq!(config.to_json()["AnonymousLogin"], json!(true));
    assert_eq!(config.to_json()["BindIPForMQTT"], json!(["127.0.0.1", "::1"]));
}

#[test]
fn mistakes_are_refused_with_place_and_way_out() {
    for (text, expected) in [
        (
            "[listener.mqtt]\nprot = 1",
            "unknown key `listener.mqtt.prot` (file lotmq.toml:2); did you mean `listener.mqtt.port`?",
        ),
        (
            "[listner]\n[listner.mqtt]\nport = 1",
            "unknown key `listner.mqtt.port` (file lotmq.toml:3); did you mean `listener.mqtt.port`?",
        ),
        ("colour = 'red'", "unknown key `colour` (file lotmq.toml:1)"),
        (
            "[listener.mqtt]\nretained_messages = 1",
            "`listener.mqtt.retained_messages` (file lotmq.toml:2) is no limit of this listener; set `limits.retained_messages`, which holds for all listeners",
        ),
        (
            "[listener.ws]\nqueue_messages = 5",
            "`listener.ws.queue_messages` (file lotmq.toml:2) is no limit of this listener; set `limits.queue_messages`, which holds for all listeners",
        ),
        // A Unix socket has no addresses to count, so the key would have no effect.
        (
            "[listener.unix]\nconnections_per_address = 1",
            "`listener.unix.connections_per_address` (file lotmq.toml:2) is no limit of this listener; set `limits.connections_per_address`, which holds for all listeners",
        ),
        (
            "[listner.mqtt]\nqueue_messages = 5",
            "unknown key `listner.mqtt.queue_messages` (file lotmq.toml:2); did you mean `limits.queue_messages`?",
        ),
        (
            "[listener.mqtts]\nport = 8883",
            "`listener.mqtts.port` is 8883 (file lotmq.toml:2), which needs `tls.certificate`",
        ),
        (
            "[listener.mqtt]\nport = 70000",
            "`listener.mqtt.port` cannot be 70000 (file lotmq.toml:2): allowed are 0 to 65535",
        ),
        (
            "[limits]\nmax_packet_size = 5",
            "`limits.max_packet_size` cannot be 5 (file lotmq.toml:2): allowed are 1024 to 268435460",
        ),
        (
            "[store]\ndurability = 'maybe'",
            "`store.durability` cannot be \"maybe\" (file lotmq.toml:2): expected `fsync` or `os` or `none`",
        ),
        (
            "[tls]\ncertificate_password = 'x'",
            "key `tls.certificate_password` (file lotmq.toml:2) is not available in this version",
        ),
    ] {
        let error = Config::load(Sources { file: file(text), ..Sources::default() }).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let malformed = Config::load(Sources { file: file("port = = 1"), ..Sources::default() }).unwrap_err();
    assert!(malformed.to_string().starts_with("lotmq.toml is not valid TOML: "), "{malformed}");
    assert!(malformed.to_string().contains("line 1"), "{malformed}");
}

#[test]
fn ports_of_tls_may_be_stored_or_turned_off_without_a_certificate() {
    let config = Config::load(Sources {
        file: file("[listener.mqtts]\nport = 'off'"),
        stored: stored(r#"{"WebsocketPortTls":8443}"#),
        ..Sources::default()
    });
    assert!(config.unwrap().listeners().iter().all(|plan| plan.tls.is_none()));
}

#[test]
fn config_new_refuses_what_it_does_not_know() {
    for (text, expected) in [
        (r#"{"Prot":1}"#, "unknown key `Prot` (Config/New); did you mean `Port`?"),
        (r#"{"AuthModule":1}"#, "key `AuthModule` (Config/New) is not available in this version"),
    ] {
        assert_eq!(Overlay::parse(text.as_bytes()).unwrap_err().to_string(), expected);
    }
    assert!(matches!(Overlay::parse(b"[1]"), Err(ConfigError::JsonMalformed { .. })));
    let error = Config::default().with_stored(&stored(r#"{"Port":"many"}"#)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`listener.mqtt.port` cannot be \"many\" (Config/New): expected port, 0 to 65535, or `off`"
    );
}

#[test]
fn environment_has_short_names_and_warns_of_typos() {
    let variables = environment(&[
        ("LOTMQ_ANONYMOUS", "false"),
        ("LOTMQ_LISTENR_MQTT_PORT", "1"),
        ("LOTMQ_SECRET_KEY", "x"),
        ("PATH", "/bin"),
    ]);
    let config = Config::load(Sources { environment: variables.clone(), ..Sources::default() }).unwrap();
    assert_eq!(config.anonymous_login(), AnonymousLogin::Off);
    let typo = ("LOTMQ_LISTENR_MQTT_PORT".to_owned(), "LOTMQ_LISTENER_MQTT_PORT".to_owned());
    assert_eq!(unknown_variables(&variables), [typo]);
}

#[test]
fn a_variable_of_a_section_is_a_key_or_an_error() {
    let load = |name: &str, value: &str| {
        let variables = environment(&[(name, value)]);
        let loaded = Config::load(Sources { environment: variables.clone(), ..Sources::default() });
        (loaded.err().map(|error| error.to_string()), unknown_variables(&variables).len())
    };
    let wrong = |path: &str, name: &str, meant: &str| {
        (Some(format!("unknown key `{path}` (environment {name}); did you mean `{meant}`?")), 0)
    };
    for (name, path, meant) in [
        ("LOTMQ_AUTH_ANONYMUS", "auth.anonymus", "auth.anonymous"),
        ("LOTMQ_LISTENER_MQTT_PROT", "listener.mqtt.prot", "listener.mqtt.port"),
        ("LOTMQ_LIMITS_MESSAGE_BYTES", "limits.message_bytes", "limits.max_packet_size"),
    ] {
        assert_eq!(load(name, "1"), wrong(path, name, meant));
        assert_eq!(load(name, ""), (None, 1), "{name}: what is empty says nothing");
    }
    // Of other programs, and of services of a cluster that are called lotmq-admin or lotmq-mqtt.
    for (name, value) in [
        ("LOTMQ_TEST_REQUIRE_ALL", "1"),
        ("LOTMQ_PORT_1883_TCP_ADDR", "10.0.0.1"),
        ("LOTMQ_ADMIN_SERVICE_HOST", "10.0.0.1"),
        ("LOTMQ_ADMIN_SERVICE_PORT_HTTP", "9100"),
        ("LOTMQ_MQTT_PORT", "tcp://10.0.0.1:1883"),
        ("LOTMQ_MQTT_PORT_1883_TCP_PROTO", "tcp"),
    ] {
        assert_eq!(load(name, value), (None, 1), "{name}");
    }
}

#[test]
fn an_empty_variable_is_none() {
    let port = |variables: &[(&str, &str)]| {
        let sources = Sources {
            file: file("[listener.mqtt]\nport = 2"),
            environment: environment(variables),
            ..Sources::default()
        };
        let config = Config::load(sources).unwrap();
        (config.listener.mqtt.port, config.origin("listener.mqtt.port").to_string())
    };
    let of_file = port(&[]);
    for empty in ["LOTMQ_LISTENER_MQTT_PORT", "LOTMQ_ANONYMOUS", "LOTMQ_LISTENER_MQTTS_CERT"] {
        assert_eq!(port(&[(empty, "")]), of_file, "{empty}");
    }
}

#[test]
fn anonymous_login_is_for_loopback_until_it_is_set() {
    let login =
        |text| Config::load(Sources { file: file(text), ..Sources::default() }).unwrap().anonymous_login();
    assert_eq!(login(""), AnonymousLogin::LoopbackOnly);
    assert_eq!(login("[auth]\nanonymous = true"), AnonymousLogin::Everywhere);
    assert_eq!(login("[auth]\nanonymous = false"), AnonymousLogin::Off);
}

#[test]
fn health_port_is_bound_as_the_mqtt_listener_until_it_is_set() {
    let addresses = |text| -> Vec<String> {
        let config = Config::load(Sources { file: file(text), ..Sources::default() }).unwrap();
        config.health_addresses().iter().map(ToString::to_string).collect()
    };
    assert_eq!(addresses(""), ["127.0.0.1:9100", "[::1]:9100"]);
    assert_eq!(addresses("[listener.mqtt]\nbind = '0.0.0.0'"), ["0.0.0.0:9100"]);
    assert_eq!(addresses("[admin]\nbind = '127.0.0.1'\nhealth_port = 1"), ["127.0.0.1:1"]);
}

#[test]
fn root_password_is_read_from_either_variable_and_never_printed() {
    for (variables, expected) in [
        (environment(&[("BROKER_ROOT_PASSWORD", "old")]), Some("old")),
        (environment(&[("BROKER_ROOT_PASSWORD", "old"), ("LOTMQ_ROOT_PASSWORD", "new")]), Some("new")),
        (environment(&[("LOTMQ_ROOT_PASSWORD", "")]), None),
    ] {
        let config = Config::load(Sources { environment: variables, ..Sources::default() }).unwrap();
        assert_eq!(config.initial_root_password.as_ref().map(Secret::reveal), expected);
        assert!(!format!("{config:?}").contains("\"new\""));
    }
}

#[test]
fn names_are_unique_and_every_default_reads_back() {
    let defaults = Config::default();
    for (index, key) in KEYS.iter().enumerate() {
        for other in &KEYS[index + 1..] {
            assert!(key.path != other.path && key.variable() != other.variable());
            assert!(key.json.is_none() || key.json != other.json, "{}", key.path);
        }
        assert!(!key.doc.is_empty() && !not_yet::is_not_yet(key.path));
        let mut copy = Config::default();
        key.set(&mut copy, &key.get(&defaults)).unwrap();
        assert_eq!(copy, defaults, "{}", key.path);
    }
}

#[test]
fn a_listener_has_the_limits_of_all_until_it_sets_its_own() {
    let text = "[limits]\ntopic_levels = 7\nsend_window = 3\n[listener.mqtt]\nsend_window = 5";
    let config = Config::load(Sources { file: file(text), ..Sources::default() }).unwrap();
    let of = |name: &str| {
        let plan = config.listeners().into_iter().find(|plan| plan.name == name).unwrap();
        (plan.limits.topic_levels, plan.limits.send_window)
    };
    assert_eq!((of("mqtt"), of("ws")), ((7, 5), (7, 3)));
}

#[test]
fn reference_names_every_key() {
    let page = markdown();
    for key in KEYS.iter() {
        let (section, name) = key.path.rsplit_once('.').unwrap();
        let section =
            page.split(&format!("\n## [{section}]\n")).nth(1).unwrap().split("\n## ").next().unwrap();
        let found = if key.is_inherited { format!("`{name}`") } else { key.variable() };
        assert!(section.contains(&found), "{}", key.path);
    }
}

/// Values of the kinds that TOML has.
const OF_ANY_KIND: [&str; 17] = [
    "true",
    "1",
    "-1",
    "1.5",
    "inf",
    "nan",
    "2026-11-27",
    "''",
    "'x y'",
    "'true'",
    "'yes'",
    "'1'",
    "[]",
    "[1]",
    "['x y']",
    "[2026-11-27]",
    "{ a = 1 }",
];

/// Whether a key of the file takes such a value, be it out of its range.
fn is_of_its_kind(key: &Key, value: &str) -> bool {
    let (section, name) = key.path.rsplit_once('.').unwrap();
    let text = format!("[{section}]\n{name} = {value}\n");
    let sources = Sources { file: file(&text), ..Sources::default() };
    let mistakes = Config::mistakes(&sources);
    assert_eq!(mistakes.is_empty(), Config::load(sources).is_ok(), "{text}");
    let is_of_others = |error: &ConfigError| {
        matches!(error, ConfigError::KeyMissing { .. } | ConfigError::UnknownLoginModule { .. })
    };
    let of_key = mistakes.iter().filter(|mistake| !is_of_others(&mistake.error));
    let mut of_key = of_key.inspect(|mistake| assert_eq!(mistake.line, Some(2), "{text}: {}", mistake.error));
    of_key.all(|mistake| {
        let ConfigError::ValueInvalid { key: told, reason, .. } = &mistake.error else {
            panic!("{text}: {}", mistake.error)
        };
        assert_eq!(*told, key.path, "{text}");
        !value.starts_with('\'') && matches!(reason, ValueError::OutOfRange { .. })
    })
}

#[test]
fn no_key_takes_a_value_of_another_kind() {
    const TEXTS: &[&str] = &["'x y'", "'true'", "'yes'", "'1'"];
    let kinds: [(&str, &[&str]); 23] = [
        ("names of login modules", &["'true'", "'yes'"]),
        ("`true` or `false`", &["true"]),
        ("whole number", &["1"]),
        ("port, ", &["1"]),
        ("number with unit", &["1", "'1'"]),
        ("text of octal digits", &["'1'"]),
        ("text", &["''", "'x y'", "'true'", "'yes'", "'1'"]),
        ("path of a file", TEXTS),
        ("first levels of topics", TEXTS),
        // Lists; one text stands for its members.
        ("IP address, or several", &[]),
        ("host names", &["''", "'true'", "'yes'", "'1'", "[]"]),
        ("names", &["''", "'true'", "'yes'", "'1'", "[]"]),
        ("addresses and networks", &["''", "[]"]),
        ("addresses such as", &["''", "[]"]),
        ("absolute paths", &["''", "[]"]),
        ("origins", &["''", "[]"]),
        ("public keys", &["''", "[]"]),
        ("a table for each tenant", &[]),
        ("address such as", &[]),
        ("form of a name", &[]),
        ("name of a claim", TEXTS),
        ("claims by name or path", &["''", "'x y'", "'true'", "'yes'", "'1'", "[]", "['x y']"]),
        ("list of texts", &["''", "'x y'", "'true'", "'yes'", "'1'", "[]", "['x y']"]),
    ];
    for key in KEYS.iter() {
        let of_type = kinds.iter().find(|(kind, _)| key.type_name.starts_with(kind));
        // All others are words of their own.
        let is_word = key.type_name.starts_with('`');
        let expected = of_type.map_or(&[][..], |(_, expected)| expected);
        assert!(of_type.is_some() || is_word, "{}: {} is not in the table", key.path, key.type_name);
        let taken: Vec<&str> = OF_ANY_KIND.into_iter().filter(|value| is_of_its_kind(key, value)).collect();
        assert_eq!(taken, expected, "{}: {}", key.path, key.type_name);
    }
}

#[test]
fn out_of_range_numbers_and_misspelt_keys_are_reported_with_their_line() {
    for key in KEYS.iter() {
        let (section, name) = key.path.rsplit_once('.').unwrap();
        let refused = |name: &str, value: String| {
            let text = format!("[{section}]\n{name} = {value}\n");
            let sources = Sources { file: file(&text), ..Sources::default() };
            Config::mistakes(&sources).into_iter().next().unwrap_or_else(|| panic!("{text} is taken"))
        };
        let beyond =
            key.range.iter().flat_map(|range| [range.start().checked_sub(1), range.end().checked_add(1)]);
        for value in beyond.flatten().filter(|value| i64::try_from(*value).is_ok()) {
            let mistake = refused(name, value.to_string());
            let is_of_range = |error: &ConfigError| {
                matches!(error, ConfigError::ValueInvalid { reason: ValueError::OutOfRange { .. }, .. })
            };
            assert!(
                mistake.line == Some(2) && is_of_range(&mistake.error),
                "{}: {}",
                key.path,
                mistake.error
            );
        }
        // A letter is missing, and a word of its own is added.
        for written in [name[..name.len() - 1].to_owned(), format!("{name}_of_mine")] {
            let mistake = refused(&written, "1".to_owned());
            let ConfigError::KeyUnknown { nearest, .. } = &mistake.error else {
                panic!("{written}: {}", mistake.error)
            };
            assert!(mistake.line == Some(2) && nearest.is_some(), "{}: {}", key.path, mistake.error);
        }
    }
}

#[test]
fn sections_are_no_values_and_their_names_are_known() {
    for (text, expected) in [
        (
            "listener = 5",
            "`listener` cannot be 5 (file lotmq.toml:1): it is a section, `[listener]`, with keys of its own",
        ),
        (
            "[listener]\nmqtt = 1883",
            "`listener.mqtt` cannot be 1883 (file lotmq.toml:2): it is a section, `[listener.mqtt]`, with keys of its own",
        ),
        (
            "[[tls]]\n",
            "`[[tls]]` (file lotmq.toml:1) is a table of a list, and `[tls]` is a section, of which there is one",
        ),
        ("[listner]\n", "unknown key `listner` (file lotmq.toml:1)"),
    ] {
        let error = Config::load(Sources { file: file(text), ..Sources::default() }).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    Config::load(Sources { file: file("[listener.mqtt]\n[tls]\n"), ..Sources::default() }).unwrap();
}
