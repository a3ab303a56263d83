//! Examples of guests that docs/sdk explains, for who has this program and not its repository.

use clap::ValueEnum;

use super::folder::GuestType;
use super::sources::{NamedText, files};

/// Example of a guest, in Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum GuestExample {
    /// An action that answers requests
    Answer,
    /// An action with a configuration, state, values and counters
    Scale,
    /// An action with a crate that wants random numbers
    Uuid,
    /// A rule that decides by last values, the size of payloads, a group and a quota
    Guard,
    /// A route that reads lines while it delivers others
    Lines,
    /// A route that asks over datagrams, and asks again what got lost
    Datagrams,
    /// A route that polls points of a station, writes others, and notices when the station has
    /// frozen
    Points,
}

impl GuestExample {
    /// Name in the repository.
    fn name(self) -> &'static str {
        match self {
            Self::Answer => "action-answer",
            Self::Scale => "action-scale",
            Self::Uuid => "action-uuid",
            Self::Guard => "rule-guard",
            Self::Lines => "route-lines",
            Self::Datagrams => "route-datagrams",
            Self::Points => "route-points",
        }
    }

    /// World that it is for.
    pub(super) fn kind(self) -> GuestType {
        match self {
            Self::Answer | Self::Scale | Self::Uuid => GuestType::Action,
            Self::Guard => GuestType::Rule,
            Self::Lines | Self::Datagrams | Self::Points => GuestType::Route,
        }
    }

    /// Returns the files of the example's folder.
    pub(super) fn files(self) -> &'static [NamedText] {
        match self {
            Self::Answer => {
                files!("examples/action-answer": "Cargo.toml", "Cargo.lock", "guest.toml", "cases.test.toml", "src/lib.rs")
            }
            Self::Scale => {
                files!("examples/action-scale": "Cargo.toml", "Cargo.lock", "guest.toml", "cases.test.toml", "src/lib.rs")
            }
            Self::Uuid => {
                files!("examples/action-uuid": "Cargo.toml", "Cargo.lock", "guest.toml", "cases.test.toml", "src/lib.rs")
            }
            Self::Guard => {
                files!("examples/rule-guard": "Cargo.toml", "Cargo.lock", "guest.toml", "cases.test.toml", "asks.lot", "src/lib.rs")
            }
            Self::Lines => {
                files!("examples/route-lines": "Cargo.toml", "Cargo.lock", "guest.toml", "cases.test.toml", "lines.lot", "src/lib.rs")
            }
            Self::Datagrams => {
                files!("examples/route-datagrams": "Cargo.toml", "Cargo.lock", "guest.toml", "cases.test.toml", "station.lot", "src/lib.rs")
            }
            Self::Points => {
                files!("examples/route-points": "Cargo.toml", "Cargo.lock", "guest.toml", "cases.test.toml", "station.lot", "src/lib.rs")
            }
        }
    }

    /// A text of it for a guest of this name in a folder of its own, with the SDK inside.
    pub(super) fn as_new(self, text: &str, name: &str) -> String {
        /// Path of the SDK in the repository.
        const SDK: &str = "path = \"../../rust\"";
        const WORKSPACE: &str = "[workspace]\n";
        let quoted = |name: &str| format!("\"{name}\"");
        text.replace(&quoted(self.name()), &quoted(name))
            .replace(SDK, "path = \"lotmq-guest\"")
            .replace(WORKSPACE, &format!("{WORKSPACE}exclude = [\"lotmq-guest\"]\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_has_the_sdk_within_its_folder() {
        for example in GuestExample::value_variants() {
            let text = |wanted: &str| {
                let found = example.files().iter().find(|(path, _)| *path == wanted);
                example.as_new(found.unwrap().1, "mine")
            };
            let manifest = text("Cargo.toml");
            assert!(manifest.contains("path = \"lotmq-guest\"") && !manifest.contains("../"), "{manifest}");
            assert!(manifest.contains("[workspace]\nexclude = [\"lotmq-guest\"]\n"), "{manifest}");
            for file in ["Cargo.toml", "Cargo.lock", "guest.toml"] {
                let text = text(file);
                assert!(text.contains("name = \"mine\"") && !text.contains(example.name()), "{text}");
            }
            for (file, text) in example.files().iter().filter(|(file, _)| !file.starts_with("src/")) {
                let text = example.as_new(text, "mine");
                assert!(!text.contains(example.name()), "{file}: {text}");
            }
        }
    }
}
