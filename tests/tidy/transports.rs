//! A transport is the file of its section and its row in the registry: nothing else asks for one by
//! name.

use std::collections::BTreeSet;

use crate::assert_none;
use crate::files::sources;

/// The registry, and the folder of the sections beside it.
const REGISTRY: &str = "broker/config/src/listener.rs";
const SECTIONS: &str = "broker/config/src/listener/";

/// Files that know single transports: plain TCP is where a broker is looked for, and the port that
/// is meant by a name without a transport. The demo opens that alone, a first start
/// for a local network opens TLS, and keys of tenants are refused until there are some.
const KNOWN_ELSEWHERE: &[(&str, &[&str])] = &[
    ("broker/cli/src/demo.rs", &["mqtt"]),
    ("broker/cli/src/serve.rs", &["mqtt", "ws"]),
    ("broker/cli/src/serve/lan.rs", &["mqtts", "wss"]),
    ("broker/config/src/lib.rs", &["mqtt"]),
    ("broker/config/src/not_yet.rs", &["mqtt", "mqtts", "ws", "wss"]),
    ("broker/config/src/unknown.rs", &["mqtt"]),
    ("broker/net/src/not_opened.rs", &["mqtt"]),
];

/// Names of the transports, in the order of the registry.
fn transports(registry: &str) -> Vec<&str> {
    let (_, rows) = registry.split_once("\ntransports! {\n").expect("the registry lists the transports");
    let rows = rows.lines().take_while(|line| *line != "}");
    rows.filter_map(|line| line.trim().split_once(':')).map(|(name, _)| name).collect()
}

/// Whether a text asks for the listener of this name: `listener.quic.port`, as a key or as a field.
fn asks_for(text: &str, name: &str) -> bool {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.into_iter().any(|line| line.contains(&format!("listener.{name}.")))
}

#[test]
fn a_transport_is_known_in_its_section_alone() {
    let all = sources();
    let registry = all.iter().find(|source| source.path.to_str() == Some(REGISTRY));
    let registry = registry.expect("the registry is there").text.as_str();
    let names = transports(registry);
    assert!(names.contains(&"mqtt") && names.len() > 5, "there are some: {names:?}");
    let mut found = BTreeSet::new();
    for source in all.iter().filter(|source| !source.is_test()) {
        let path = source.path.to_str().unwrap();
        if path == REGISTRY || path.starts_with(SECTIONS) {
            continue;
        }
        let text = source.text_without_tests();
        found.extend(names.iter().filter(|name| asks_for(&text, name)).map(|name| (path, *name)));
    }
    let listed: BTreeSet<(&str, &str)> = KNOWN_ELSEWHERE
        .iter()
        .flat_map(|(path, names)| names.iter().map(move |name| (*path, *name)))
        .collect();
    let new = found.difference(&listed).map(|(path, name)| {
        format!("{path} asks for the listener {name}: what it is for belongs into {SECTIONS}{name}.rs")
    });
    let gone = listed.difference(&found).map(|(path, name)| {
        format!("{path} does not ask for the listener {name}; take it out of the list of exceptions")
    });
    assert_none(&new.chain(gone).collect::<Vec<_>>());
}

#[test]
fn use_of_a_transport_is_detected() {
    assert!(asks_for("let port = config.listener.quic.port;", "quic"));
    assert!(asks_for("(\"listener.ws.port\", \"off\")", "ws"));
    assert!(!asks_for("// As `listener.ws.port`.\nlet ws = 1;", "ws"));
    assert_eq!(
        transports("x\ntransports! {\n    a: A \"A.\";\n    b: B \"B.\", without addresses;\n}\n"),
        ["a", "b"]
    );
}
