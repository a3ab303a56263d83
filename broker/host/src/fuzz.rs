//! Fuzz entry point: treats arbitrary bytes as an uploaded component, up to the call of wasmtime.
//!
//! The fuzz target and the replay of its corpus are thin wrappers around [`fuzz_component`]. Not
//! for production use: it panics by design when an accepted component breaks a promise.

use crate::validate::{ComponentSource, World, check, is_inert, is_ours};

const WORLDS: [World; 5] = [World::Action, World::Model, World::Rule, World::Route, World::Auth];

/// Judges `bytes` as a component of every world, as an upload and as our own; every refusal has a
/// code and a text.
pub fn fuzz_component(bytes: &[u8]) {
    for world in WORLDS {
        let own = check(bytes, world, ComponentSource::Compiler);
        match check(bytes, world, ComponentSource::Upload) {
            Ok(summary) => {
                assert_eq!(own, Ok(summary.clone()), "our own compiler may do all that an upload may");
                let allowed = |name: &String| name.starts_with("lotmq:guest/") || is_inert(name);
                assert!(summary.imports.iter().all(allowed), "{:?}", summary.imports);
                let handler = format!("{}-handler", world.name());
                assert!(summary.exports.iter().any(|export| is_ours(export, &[&handler])));
            }
            Err(refusal) => {
                assert!(!refusal.code().is_empty() && !refusal.to_string().is_empty());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corpus_of_components_replays() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus/component");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 5, "the corpus is there");
        for file in files {
            let bytes = std::fs::read(file).unwrap();
            fuzz_component(&bytes);
            (0..bytes.len()).for_each(|end| fuzz_component(&bytes[..end]));
            for index in 0..bytes.len() {
                let mut changed = bytes.clone();
                for value in [0, 1, 0x0a, 0x0b, 0x7f, 0xff] {
                    changed[index] = value;
                    fuzz_component(&changed);
                }
            }
        }
    }
}
