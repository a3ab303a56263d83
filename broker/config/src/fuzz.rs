//! Entry point of the fuzzer: foreign text as `lotmq.toml` and as the payload of `Config/New`.
//!
//! The fuzz target and the replay of its corpus are thin wrappers round [`fuzz_config`]. Not for
//! production use: it panics by design when a configuration that was accepted does not come back
//! from its own JSON.

use std::path::PathBuf;

use serde_json::Value;

use super::{Config, ConfigError, ConfigFile, Overlay, Sources};

/// Loads `bytes` as a file and as stored JSON; every refusal has a text, and what is accepted can
/// be written back.
pub fn fuzz_config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let file = Some(ConfigFile { path: PathBuf::from("lotmq.toml"), text: text.into_owned() });
    judge(Config::load(Sources { file, ..Sources::default() }));
    match Overlay::parse(bytes) {
        Ok(stored) => {
            let again = Overlay::parse(stored.to_json_text().as_bytes());
            assert_eq!(again.expect("what we store can be read"), stored);
            judge(Config::load(Sources { stored, ..Sources::default() }));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A configuration shows itself as JSON that means the same configuration.
fn judge(loaded: Result<Config, ConfigError>) {
    let config = match loaded {
        Ok(config) => config,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let json = config.to_json();
    let shown = Value::Object(json.clone()).to_string();
    let stored = Overlay::parse(shown.as_bytes()).expect("the Config topic can be written back");
    let again = config.with_stored(&stored).expect("its values are in range");
    assert_eq!(again.to_json(), json);
    let _ = (config.mqtt_addresses(), config.health_addresses(), config.anonymous_login());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corpus_of_configurations_replays() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus/config");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 5, "the corpus is there");
        for file in files {
            let bytes = std::fs::read(file).unwrap();
            fuzz_config(&bytes);
            (0..bytes.len()).for_each(|end| fuzz_config(&bytes[..end]));
        }
    }
}
