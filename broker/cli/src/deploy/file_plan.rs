//! Plan of the changes by the definitions of a file, in the form of the broker's plan of a project.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use lot_to_wasm::RuleOrder;
use lotmq_client::{Client, QoS};
use lotmq_project::AddCommand;
use lotmq_server::projects::{opened_administration, replacement_fingerprint};
use serde_json::{Value, json};

/// Longest time to wait for the text of a definition, which the broker retains.
const PATIENCE: Duration = Duration::from_secs(5);

/// Kind that is asked about.
const RULE: &str = "Rule";

/// Changes that the definitions of a file would make.
pub(super) struct FilePlan {
    /// As the broker tells it of a project; scripts are not among it. A text that this user may not
    /// read is left out.
    pub(super) plan: Value,
    /// Places of the commands that change nothing.
    pub(super) unchanged: BTreeSet<usize>,
    /// Fingerprints of what the commands find, where that is known: texts in whose place theirs
    /// come, and rules before which theirs are asked.
    pub(super) replaced: BTreeMap<usize, String>,
}

/// Plans these commands on top of the `known` definitions. `of_projects` names the projects that
/// lose a definition, by the place of the command.
pub(super) fn of(
    client: &mut Client,
    commands: &[AddCommand],
    known: &[Value],
    of_projects: &BTreeMap<usize, String>,
) -> anyhow::Result<FilePlan> {
    let (mut added, mut changed, mut unchanged) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut replaced = BTreeMap::new();
    let rules = Texts::of_rules(client, commands, known)?;
    // Each finds what those before it have left.
    let mut coming = rules.clone();
    let mut sent: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for (place, command) in commands.iter().enumerate() {
        let Some((kind, name)) = command.entity() else { continue };
        let after = command.text().trim_start_matches('\n');
        let mut row = json!({ "type": kind, "name": name, "file": command.place() });
        row["fromProject"] = json!(of_projects.get(&place));
        if kind == RULE {
            row["administration"] = json!(opened_administration(after));
        }
        let is_known = known.iter().any(|entity| entity["type"] == kind && entity["name"] == name);
        let before = match (kind, is_known) {
            (_, false) => None,
            (RULE, true) => rules.text(client, name)?,
            (_, true) => retained(client, &format!("$SYS/Coreflux/{kind}s/{name}"))?,
        };
        let found = sent.get(&(kind, name)).map(|text| (*text).to_owned()).or_else(|| before.clone());
        sent.insert((kind, name), after);
        if before.is_some() == is_known && !(kind == RULE && coming.has_unread) {
            let fingerprint = replacement_fingerprint(found.as_deref(), (name, after), coming.pairs());
            replaced.insert(place, fingerprint);
        }
        if kind == RULE {
            coming.all.insert(name.to_owned(), after.to_owned());
        }
        if !is_known {
            if kind == RULE {
                row["opens"] = opened(after, &rules).into();
            }
            added.push(row);
            continue;
        }
        let before = before.as_deref().map(|text| text.trim_start_matches('\n'));
        if before.map(str::trim) == Some(after.trim()) {
            unchanged.insert(place);
            continue;
        }
        if let Some(before) = before {
            row["before"] = before.into();
            row["after"] = after.into();
        }
        changed.push(row);
    }
    let plan = json!({ "data": { "added": added, "changed": changed, "unchanged": unchanged.len() } });
    Ok(FilePlan { plan, unchanged, replaced })
}

/// Texts of the rules that are there.
#[derive(Clone, Default)]
struct Texts {
    all: BTreeMap<String, String>,
    /// Whether there are some that this user may not read.
    has_unread: bool,
}

impl Texts {
    /// All of them, where one of the commands adds a rule that may allow something; else none is
    /// needed but those that are replaced.
    fn of_rules(client: &mut Client, commands: &[AddCommand], known: &[Value]) -> anyhow::Result<Self> {
        let mut texts = Self::default();
        let mut of_rules =
            commands.iter().filter(|command| command.entity().is_some_and(|(kind, _)| kind == RULE));
        if !of_rules.any(|command| RuleOrder::of(command.text()).is_some_and(|rule| rule.allows)) {
            return Ok(texts);
        }
        let rules = known.iter().filter(|entity| entity["type"] == RULE);
        for name in rules.filter_map(|rule| rule["name"].as_str()) {
            match retained(client, &format!("$SYS/Coreflux/Rules/{name}"))? {
                Some(text) => drop(texts.all.insert(name.to_owned(), text)),
                None => texts.has_unread = true,
            }
        }
        Ok(texts)
    }

    fn text(&self, client: &mut Client, name: &str) -> anyhow::Result<Option<String>> {
        match self.all.get(name) {
            Some(text) => Ok(Some(text.clone())),
            None => retained(client, &format!("$SYS/Coreflux/Rules/{name}")),
        }
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.all.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }
}

/// Names of the rules that are there and deny what a new rule may allow, before which it is asked.
/// Of those that this user may not read nothing is known.
fn opened(text: &str, rules: &Texts) -> Vec<String> {
    let Some(new) = RuleOrder::of(text).filter(|new| new.allows) else { return Vec::new() };
    let opens = |text: &str| RuleOrder::of(text).is_some_and(|known| new.opens(&known));
    rules.pairs().filter(|(_, text)| opens(text)).map(|(name, _)| name.to_owned()).collect()
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
