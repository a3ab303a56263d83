//! What the definitions of a file would change, in the form in which the broker tells it of a project.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lotmq_client::{Client, QoS};
use lotmq_project::AddCommand;
use serde_json::{Value, json};

/// Longest time to wait for the text of a definition, which the broker retains.
const PATIENCE: Duration = Duration::from_secs(5);

/// What these commands would add and change of what is `known`, with the texts before and after, and which of them change nothing; scripts are not among it. A text that
/// this user may not read is left out.
pub(super) fn of(
    client: &mut Client,
    commands: &[AddCommand],
    known: &[Value],
) -> anyhow::Result<(Value, BTreeSet<usize>)> {
    let (mut added, mut changed, mut unchanged) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (place, command) in commands.iter().enumerate() {
        let Some((kind, name)) = command.entity() else { continue };
        let mut row = json!({ "type": kind, "name": name, "file": command.place() });
        if !known.iter().any(|entity| entity["type"] == kind && entity["name"] == name) {
            added.push(row);
            continue;
        }
        let before = retained(client, &format!("$SYS/Coreflux/{kind}s/{name}"))?;
        if before.as_deref().map(str::trim) == Some(command.text().trim()) {
            unchanged.insert(place);
            continue;
        }
        if let Some(before) = before {
            row["before"] = before.into();
            row["after"] = command.text().into();
        }
        changed.push(row);
    }
    let plan = json!({ "data": { "added": added, "changed": changed, "unchanged": unchanged.len() } });
    Ok((plan, unchanged))
}

/// The retained text of a topic; `None` where this user may not read it, or there is none.
fn retained(client: &mut Client, topic: &str) -> anyhow::Result<Option<String>> {
    if client.subscribe_to(topic, QoS::AtLeastOnce)?.is_failure() {
        return Ok(None);
    }
    let deadline = Instant::now() + PATIENCE;
    let mut text = None;
    while let Some(message) = client.receive(deadline.saturating_duration_since(Instant::now()))? {
        if message.topic == topic {
            text = String::from_utf8(message.payload.to_vec()).ok();
            break;
        }
    }
    client.unsubscribe(&[topic])?;
    Ok(text)
}
