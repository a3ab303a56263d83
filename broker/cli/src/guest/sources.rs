//! Files that this program has in itself for new guests: the SDK of the contract that it speaks,
//! and what a guest begins with.

use super::folder::{GuestLanguage, GuestType};

/// File by its path in the folder that it belongs to, with its text.
pub(super) type NamedText = (&'static str, &'static str);

macro_rules! files {
    ($folder:literal: $($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../sdk/", $folder, "/", $path)))),+]
    };
}
pub(super) use files;

macro_rules! text {
    ($path:literal) => {
        include_str!(concat!("../../../../sdk/templates/", $path))
    };
}

/// The crate `lotmq-guest`, as it is published.
pub(super) const SDK: &[NamedText] = files!(
    "rust": "Cargo.toml", "README.md", "src/lib.rs", "src/action.rs", "src/auth.rs", "src/batch.rs", "src/connection.rs", "src/double.rs", "src/double/calls.rs",
    "src/double/current_message.rs", "src/double/far_side.rs", "src/double/files.rs", "src/double/http.rs", "src/double/ingest.rs", "src/double/messages.rs", "src/double/net.rs", "src/double/principals.rs", "src/double/retained.rs", "src/testing.rs", "src/executor.rs", "src/files.rs", "src/http.rs", "src/http_failure.rs", "src/http_server.rs", "src/manifest.rs", "src/output.rs",
    "src/random.rs",
    "src/output/events.rs", "src/route.rs", "src/rule.rs", "src/schedule.rs", "src/secret.rs", "src/serial.rs", "src/template.rs", "src/udp_connection.rs", "wit/action.wit", "wit/host.wit", "wit/model.wit", "wit/rule.wit",
    "wit/types.wit", "wit/unstable-auth.wit", "wit/unstable-batches.wit", "wit/unstable-files.wit", "wit/unstable-http-server.wit", "wit/unstable-http.wit", "wit/unstable-modules.wit", "wit/unstable-route-batches.wit", "wit/unstable-route.wit", "wit/unstable-serial.wit",
);

/// Versions of what the SDK is made of, under which the examples were built; named after one of
/// them.
pub(super) const LOCK: &str = include_str!("../../../../sdk/examples/action-answer/Cargo.lock");

/// Returns the entry code that calls a guest which another tool than cargo builds: a part for its
/// language, and one for its world. Empty if there is none.
pub(super) fn entry(kind: GuestType, language: GuestLanguage) -> String {
    let (of_language, of_world) = match (language, kind) {
        (GuestLanguage::Js, GuestType::Action) => (JS_ENTRY, text!("js/action/entry.js")),
        (GuestLanguage::Js, GuestType::Rule) => (JS_ENTRY, text!("js/rule/entry.js")),
        (GuestLanguage::Js, GuestType::Route) => (JS_ENTRY, text!("js/route/entry.js")),
        (GuestLanguage::Python, GuestType::Action) => (PYTHON_ENTRY, text!("python/action/entry.py")),
        (GuestLanguage::Python, GuestType::Rule) => (PYTHON_ENTRY, text!("python/rule/entry.py")),
        (GuestLanguage::Python, GuestType::Route) => (PYTHON_ENTRY, text!("python/route/entry.py")),
        (GuestLanguage::Rust, _) | (_, GuestType::Auth) => ("", ""),
    };
    [of_language, of_world].concat()
}

const JS_ENTRY: &str = text!("js/entry.js");
const PYTHON_ENTRY: &str = text!("python/entry.py");

/// Name of the example that [`LOCK`] belongs to.
pub(super) const LOCKED: &str = "action-answer";

/// End of the names of files that are taken for something else in our own repository, and which the
/// files of a guest do not have.
pub(super) const APART: &str = ".in";

/// Name that stands in the files of a template for that of the guest.
pub(super) const PLACEHOLDER: &str = "my-guest";

/// Returns the initial files of a guest's folder; none for a type that cannot be made in the
/// language.
pub(super) fn template(kind: GuestType, language: GuestLanguage) -> Vec<NamedText> {
    let of_language: &[NamedText] = match language {
        GuestLanguage::Rust => &[],
        GuestLanguage::Js => files!("templates/js": "build.mjs", "package.json"),
        GuestLanguage::Python => files!("templates/python": "requirements.txt"),
    };
    let own: &[NamedText] = match (language, kind) {
        (GuestLanguage::Js, GuestType::Action) => files!("templates/js/action": "guest.toml", "guest.js"),
        (GuestLanguage::Js, GuestType::Rule) => files!("templates/js/rule": "guest.toml", "guest.js"),
        (GuestLanguage::Js, GuestType::Route) => files!("templates/js/route": "guest.toml", "guest.js"),
        (GuestLanguage::Python, GuestType::Action) => {
            files!("templates/python/action": "guest.toml", "guest.py")
        }
        (GuestLanguage::Python, GuestType::Rule) => files!("templates/python/rule": "guest.toml", "guest.py"),
        (GuestLanguage::Python, GuestType::Route) => {
            files!("templates/python/route": "guest.toml", "guest.py")
        }
        (GuestLanguage::Rust, GuestType::Action) => {
            files!("templates/action": "Cargo.toml.in", "guest.toml", "src/lib.rs")
        }
        (GuestLanguage::Rust, GuestType::Rule) => {
            files!("templates/rule": "Cargo.toml.in", "guest.toml", "src/lib.rs")
        }
        (GuestLanguage::Rust, GuestType::Auth) => {
            files!("templates/auth": "Cargo.toml.in", "guest.toml", "src/lib.rs")
        }
        (GuestLanguage::Rust, GuestType::Route) => {
            files!("templates/route": "Cargo.toml.in", "guest.toml", "src/lib.rs")
        }
        (_, GuestType::Auth) => return Vec::new(),
    };
    // They do the same in each language.
    let cases: &[NamedText] = match kind {
        GuestType::Action => files!("templates/action": "cases.test.toml"),
        GuestType::Rule => files!("templates/rule": "asks.lot", "cases.test.toml"),
        GuestType::Route => files!("templates/route": "line.lot", "line.far.jsonl", "cases.test.toml"),
        GuestType::Auth => files!("templates/auth": "cases.test.toml"),
    };
    [of_language, own, cases].concat()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    fn collect(folder: &Path, found: &mut BTreeSet<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else {
                found.insert(path);
            }
        }
    }

    #[test]
    fn every_file_of_the_sdk_is_here() {
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk/rust");
        let mut found = BTreeSet::new();
        collect(&sdk.join("src"), &mut found);
        collect(&sdk.join("wit"), &mut found);
        let here: BTreeSet<PathBuf> = SDK.iter().map(|(path, _)| sdk.join(path)).collect();
        assert_eq!(found.difference(&here).collect::<Vec<_>>(), Vec::<&PathBuf>::new());
    }

    #[test]
    fn a_guest_takes_less_than_40_lines() {
        for kind in [GuestType::Action, GuestType::Rule, GuestType::Route, GuestType::Auth] {
            let files = template(kind, GuestLanguage::Rust);
            let (_, source) = files.iter().find(|(path, _)| *path == "src/lib.rs").unwrap();
            let guest = source.split("#[cfg(test)]").next().unwrap();
            let lines =
                guest.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with("//"));
            let count = lines.count();
            assert!(count < 40, "{kind:?} has {count} lines");
        }
    }
}
