//! What the compiler knows of the connector of Redis against the connector, which is built for wasm and shares no code with it.

use std::collections::BTreeSet;
use std::path::Path;

/// Words in quotes of a list in a source.
fn words(file: &str, list: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = super::corpus::read(&path).expect("a readable file");
    let (_, behind) = text.split_once(list).expect("the list is there");
    let (inside, _) = behind.split_once("];").expect("the list ends");
    inside.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn commands_that_are_refused_are_those_that_the_connector_refuses() {
    let known = words("src/check/route/meaningless.rs", "const REFUSED_BY_REDIS");
    assert_eq!(known, words("../guests/route-redis/src/command.rs", "const REFUSED: "));
    assert!(known.len() > 20, "{known:?}");
}
