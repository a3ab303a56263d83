//! Recorded conversation of a guest with a server: the turns of both sides, one JSON object on each
//! line.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lotmq_project::read_source;
use serde::{Deserialize, Serialize};

/// Side of a connection.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Speaker {
    Guest,
    Server,
}

/// Bytes that one side sent before the other side answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SaidTurn {
    pub(super) from: Speaker,
    pub(super) bytes: Vec<u8>,
    /// Whether it ended its direction behind that. Of a guest that is not written down: it may do
    /// so at any time.
    pub(super) ends: bool,
}

/// A turn as it is written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// Number of the connection, from 1, in the order in which they were opened.
    connection: usize,
    from: Speaker,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Instead of `text`, where it is no UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    ends: bool,
}

/// Turns of each connection, in the order in which these were opened.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Conversation(pub(super) Vec<Vec<SaidTurn>>);

impl Conversation {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or a line of it is no turn.
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let name = file.display().to_string();
        Self::parse(&read_source(file)?, &name)
    }

    /// Reads the text of a file of this name.
    fn parse(text: &str, name: &str) -> anyhow::Result<Self> {
        let mut connections: Vec<Vec<SaidTurn>> = Vec::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let (connection, turn) =
                Line::parse(line).with_context(|| format!("{name}, line {}", number + 1))?;
            ensure!(
                (1..=connections.len() + 1).contains(&connection),
                "{name}, line {}: connection {connection} is none of 1 to {}",
                number + 1,
                connections.len() + 1
            );
            if connection > connections.len() {
                connections.push(Vec::new());
            }
            if let Some(turns) = connections.get_mut(connection - 1) {
                turns.push(turn);
            }
        }
        Ok(Self(connections))
    }

    /// The text of a file.
    pub(super) fn to_text(&self) -> String {
        let mut written = String::new();
        for (connection, turns) in self.0.iter().enumerate() {
            for turn in turns {
                let text = std::str::from_utf8(&turn.bytes).ok().map(str::to_owned);
                let base64 = text.is_none().then(|| BASE64_STANDARD.encode(&turn.bytes));
                let text = text.filter(|text| !text.is_empty());
                let line =
                    Line { connection: connection + 1, from: turn.from, text, base64, ends: turn.ends };
                let line = serde_json::to_string(&line).unwrap_or_default();
                // A text takes everything.
                let _ = writeln!(written, "{line}");
            }
        }
        written
    }
}

impl Line {
    fn parse(text: &str) -> anyhow::Result<(usize, SaidTurn)> {
        let line: Self = serde_json::from_str(text)?;
        let bytes = match (line.text, line.base64) {
            (Some(_), Some(_)) => anyhow::bail!("`text` and `base64` are two of one"),
            (Some(text), None) => text.into_bytes(),
            (None, Some(coded)) => BASE64_STANDARD.decode(coded).context("`base64` is none")?,
            (None, None) => Vec::new(),
        };
        Ok((line.connection, SaidTurn { from: line.from, bytes, ends: line.ends }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_read_as_it_was_written() {
        let turn = |from, bytes: &[u8], ends| SaidTurn { from, bytes: bytes.to_vec(), ends };
        let (guest, server) = (Speaker::Guest, Speaker::Server);
        let said = Conversation(vec![
            vec![turn(server, b"hello\n", false), turn(guest, b"\xff\0", false), turn(server, b"", true)],
            vec![turn(guest, "\u{e4}".as_bytes(), false)],
        ]);
        assert_eq!(Conversation::parse(&said.to_text(), "x").unwrap(), said);
        let lines = "{\"connection\":1,\"from\":\"server\",\"text\":\"hello\\n\"}\n{\"connection\":1,\"from\":\"guest\",\"base64\":\"/wA=\"}\n";
        assert!(said.to_text().starts_with(lines), "{}", said.to_text());
    }

    #[test]
    fn invalid_turn_is_reported_with_its_line() {
        for (line, part) in [
            (r#"{"connection":2,"from":"guest"}"#, "line 1: connection 2 is none of 1 to 1"),
            (r#"{"connection":1,"from":"guest","text":"a","base64":"YQ=="}"#, "line 1: `text` and `base64`"),
            (r#"{"connection":1,"from":"guest","base64":"!"}"#, "line 1: `base64` is none"),
            (r#"{"connection":1,"from":"me"}"#, "line 1: unknown variant `me`"),
        ] {
            let told = format!("{:#}", Conversation::parse(line, "x").unwrap_err());
            assert!(told.contains(part), "{told}");
        }
    }
}
