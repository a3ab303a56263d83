//! What the definitions of a file would change, in the form in which the broker tells it of a project.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use lot_to_wasm::RuleOrder;
use lotmq_client::{Client, QoS};
use lotmq_project::AddCommand;
use lotmq_server::projects::text_fingerprint;
use serde_json::{Value, json};

/// Longest time to wait for the text of a definition, which the broker retains.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the definitions of a file would change.
pub(super) struct FilePlan {
    /// As the broker tells it of a project; scripts are not among it. A text that this user may not read is left out.
    pub(super) plan: Value,
    /// Which of the commands change nothing.
    pub(super) unchanged: BTreeSet<usize>,
    /// Fingerprints of the texts in whose place those of the commands come, where they are known.
    pub(super) replaced: BTreeMap<usize, String>,
}

/// What these commands would add and change of what is `known`.
pub(super) fn of(client: &mut Client, commands: &[AddCommand], known: &[Value]) -> anyhow::Result<FilePlan> {
    let (mut added, mut changed, mut unchanged) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut replaced = BTreeMap::new();
    for (place, command) in commands.iter().enumerate() {
        let Some((kind, name)) = command.entity() else { continue };
        let mut row = json!({ "type": kind, "name": name, "file": command.place() });
        if !known.iter().any(|entity| entity["type"] == kind && entity["name"] == name) {
            replaced.insert(place, text_fingerprint(None));
            if kind == "Rule" {
                row["opens"] = opened(client, command.text(), known)?.into();
            }
            added.push(row);
            continue;
        }
        let before = retained(client, &format!("$SYS/Coreflux/{kind}s/{name}"))?;
        if let Some(before) = &before {
            replaced.insert(place, text_fingerprint(Some(before)));
        }
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
    Ok(FilePlan { plan, unchanged, replaced })
}

/// Names of the rules that are there and deny what a new rule may allow, before which it is asked. Of those that this user may not read nothing is known.
fn opened(client: &mut Client, text: &str, known: &[Value]) -> anyhow::Result<Vec<String>> {
    let mut opened = Vec::new();
    let Some(new) = RuleOrder::of(text).filter(|new| new.allows) else { return Ok(opened) };
    let rules = known.iter().filter(|entity| entity["type"] == "Rule");
    for name in rules.filter_map(|rule| rule["name"].as_str()) {
        let text = retained(client, &format!("$SYS/Coreflux/Rules/{name}"))?;
        let order = text.and_then(|text| RuleOrder::of(&text));
        if order.is_some_and(|known| new.opens(&known)) {
            opened.push(name.to_owned());
        }
    }
    Ok(opened)
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
