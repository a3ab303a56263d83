//! Routes of a module that describes their settings.

use std::sync::Arc;

use lot_route_catalogue::{RouteType, module};
use lot_to_wasm::check::{Callee, Known};
use lot_to_wasm::{CompileOptions, compile};

const DESCRIPTION: &str = r#"{"type":[{"name":"LINES","section":[{"name":"LINES_CONFIG","required":true,
    "place":{"host":"HOST","port":"PORT","default_port":1,"tls":"never"},
    "keys":[{"name":"HOST","required":true},{"name":"PORT","kind":"port"},{"name":"MODE","words":["a","b"]}]}],
    "event":{"keys":[{"name":"SOURCE_TOPIC","kind":"filter","required":true},{"name":"ROUND","kind":"int","min":0,"max":9}]}}]}"#;

/// Knows the module `lines`, and its description.
struct Lines(Arc<RouteType>);

impl Known for Lines {
    fn action(&self, _name: &str) -> Callee {
        Callee::Unknown
    }

    fn route_type(&self, module: &str) -> Option<Arc<RouteType>> {
        (module == "lines").then(|| Arc::clone(&self.0))
    }
}

/// Compiles a route of a module; returns its facts and the messages.
fn compiled(module: &str, lines: &str, is_known: bool, is_stored: bool) -> (Option<String>, String) {
    let text = format!(
        "DEFINE ROUTE R WITH TYPE WASM\n    ADD WASM_CONFIG\n        WITH MODULE \"{module}\"\n    ADD LINES_CONFIG\n        WITH HOST \"h\"\n    ADD EVENT E\n        WITH SOURCE_TOPIC \"a/+\"\n{lines}"
    );
    let lines = Lines(Arc::new(module::read(DESCRIPTION.as_bytes(), "lines").expect("it is valid")));
    let known = CompileOptions { known: &lines, is_stored, ..CompileOptions::default() };
    let options = if is_known { known } else { CompileOptions { is_stored, ..CompileOptions::default() } };
    let compilation = compile(&text, &options);
    let entity = &compilation.entities[0];
    let messages: Vec<_> = entity.diagnostics.iter().map(|found| found.message.clone()).collect();
    (entity.output.as_ref().map(|output| format!("{:?}", output.facts)), messages.join("\n"))
}

#[test]
fn description_adds_errors_and_does_not_change_facts() {
    let (facts, messages) = compiled("lines", "        WITH ROUND \"3\"\n", true, false);
    assert_eq!((facts.is_some(), &*messages), (true, ""));
    assert_eq!(facts, compiled("lines", "        WITH ROUND \"3\"\n", false, false).0);
    let (refused, messages) = compiled("lines", "        WITH ROUND 12\n", true, false);
    assert_eq!(refused, None);
    assert!(messages.contains("ROUND is a whole number from 0 to 9, not `12`"), "{messages}");
    // Another module, or one that is not there, may take it.
    for (module, is_known) in [("other", true), ("lines", false)] {
        assert!(compiled(module, "        WITH ROUND 12\n", is_known, false).0.is_some());
    }
}

#[test]
fn stored_route_compiles_with_any_description() {
    let (facts, messages) = compiled("lines", "        WITH ROUND 12\n", true, true);
    assert_eq!((facts.is_some(), &*messages), (true, ""));
}
