//! Facts about an Action for the broker (LoT reference §17), collected from the checked tree.

use std::collections::BTreeSet;

use lot_facts::{Dependency, Facts, Input, Kind, Signature, TopicFact, Trigger};

use super::TopicUse;
use super::level::Levels;
use super::regex;
use super::topic;
use super::tree::walk::{Need, PartMut};
use super::tree::{
    Action, Entry, Expression, ExpressionKind, SettingStore, ShownTimeFormat, Statement, Topic, TopicPart,
};
use crate::identifier::module_of;
use crate::limits::SHORT_WRITES_MAX;

/// Parts that a body reads of the message, or of the question to a rule, that starts it.
pub(super) struct Looks {
    /// Its payload.
    pub(super) payload: bool,
    /// Constant segment numbers of `TOPIC POSITION`, ascending, from 1.
    pub(super) topic_levels: Vec<u32>,
}

/// Fills in the facts of an Action and of every topic in it, and returns the parts that it reads.
pub(super) fn collect(action: &mut Action) -> Looks {
    let levels = Levels::of(action);
    let mut collector = Collector { facts: action.facts.clone(), levels, ..Collector::default() };
    collector.facts.bounded = !regex::take_long(&action.regexes);
    match &action.entry {
        Entry::Triggered(trigger) => collector.facts.trigger = Some(trigger.clone()),
        Entry::Callable { inputs, outputs } => {
            let inputs =
                inputs.iter().map(|input| Input { name: input.name.clone(), kind: input.kind }).collect();
            let outputs = outputs.iter().map(|output| output.name.clone()).collect();
            collector.facts.callable = Some(Signature { inputs, outputs });
        }
        Entry::Asked => {}
    }
    collector.statements(&mut action.body);
    if let Entry::Triggered(Trigger::Silence { filters, .. }) = &action.entry {
        collector.last_values(filters);
    }
    let topic_levels = std::mem::take(&mut collector.positions).into_iter().collect();
    let looks = Looks { payload: collector.payload, topic_levels };
    action.facts = collector.finish();
    looks
}

struct Collector {
    facts: Facts,
    levels: Levels,
    reads: BTreeSet<TopicFact>,
    retained_reads: BTreeSet<TopicFact>,
    writes: BTreeSet<TopicFact>,
    keeps: BTreeSet<TopicFact>,
    /// Statements that publish or keep something.
    written: usize,
    payload: bool,
    positions: BTreeSet<u32>,
    env: BTreeSet<String>,
    secrets: BTreeSet<String>,
    calls: BTreeSet<String>,
    models: BTreeSet<String>,
    scripts: BTreeSet<String>,
    modules: BTreeSet<String>,
}

impl Default for Collector {
    fn default() -> Self {
        Collector {
            facts: Facts::new(Kind::Action, ""),
            levels: Levels::default(),
            reads: BTreeSet::new(),
            retained_reads: BTreeSet::new(),
            writes: BTreeSet::new(),
            keeps: BTreeSet::new(),
            written: 0,
            payload: false,
            positions: BTreeSet::new(),
            env: BTreeSet::new(),
            secrets: BTreeSet::new(),
            calls: BTreeSet::new(),
            models: BTreeSet::new(),
            scripts: BTreeSet::new(),
            modules: BTreeSet::new(),
        }
    }
}

impl Collector {
    fn finish(self) -> Facts {
        let mut facts = self.facts;
        facts.bounded &= self.written <= SHORT_WRITES_MAX;
        facts.reads = settled(self.reads);
        facts.retained_reads = settled(self.retained_reads);
        facts.writes = settled(self.writes);
        facts.keeps = settled(self.keeps);
        facts.effects.env = !self.env.is_empty();
        facts.effects.secret = !self.secrets.is_empty();
        facts.effects.call |= !self.calls.is_empty();
        facts.env = self.env.into_iter().collect();
        facts.secrets = self.secrets.into_iter().collect();
        let named =
            |kind, names: BTreeSet<String>| names.into_iter().map(move |name| Dependency { kind, name });
        facts.depends_on =
            named(Kind::Action, self.calls.clone()).chain(named(Kind::Model, self.models)).collect();
        facts.programs.scripts = self.scripts.into_iter().collect();
        facts.programs.modules = self.modules.into_iter().collect();
        facts.calls = self.calls.into_iter().collect();
        facts
    }

    /// The payload of a silence is the topic's last value, which the broker keeps only for topics
    /// that some definition reads. A called Action may read it, too.
    fn last_values(&mut self, filters: &[String]) {
        if self.payload || !self.calls.is_empty() {
            let fact = |filter: &String| match filter.contains(['+', '#']) {
                true => TopicFact::Pattern(filter.clone()),
                false => TopicFact::Exact(filter.clone()),
            };
            self.reads.extend(filters.iter().map(fact));
        }
    }

    fn statements(&mut self, body: &mut [Statement]) {
        for statement in body {
            statement.each_part_mut(&mut |part| match part {
                PartMut::Value(value) | PartMut::Set(_, value) => self.expression(value),
                PartMut::Topic(topic, TopicUse::List) => {
                    topic.each_expression_mut(&mut |value| self.expression(value));
                    topic.fact = topic::filter_fact(topic, &self.levels);
                    self.reads.insert(topic.fact.clone());
                }
                PartMut::Topic(topic, topic_use) => {
                    let fact = self.topic(topic);
                    self.written += usize::from(matches!(topic_use, TopicUse::Publish | TopicUse::Keep));
                    match topic_use {
                        TopicUse::Read | TopicUse::List => self.reads.extend(fact),
                        TopicUse::Publish => self.writes.extend(fact),
                        TopicUse::Keep => self.keeps.extend(fact),
                    }
                }
                PartMut::Block(block, _) => self.statements(block),
                PartMut::Need(need) => self.need(need),
                PartMut::Received(..) => {}
            });
        }
    }

    fn need(&mut self, need: Need<'_>) {
        match need {
            Need::Unbounded => self.facts.bounded = false,
            Need::Payload => self.payload = true,
            Need::Properties => self.facts.effects.properties = true,
            Need::Setting(store, name) => self.setting(store, name),
            Need::Route => self.facts.effects.route = true,
            Need::Action(name) => {
                self.facts.bounded = false;
                self.calls.insert(name.to_owned());
            }
            Need::Python(function) => {
                let script = function.split_once('.').map_or(function, |(script, _)| script);
                self.scripts.insert(script.to_owned());
                self.facts.bounded = false;
                (self.facts.effects.python, self.facts.effects.suspend) = (true, true);
            }
            Need::Module(function) => {
                self.facts.bounded = false;
                self.facts.effects.call = true;
                self.modules.insert(module_of(function).to_owned());
            }
            Need::Model(name) => {
                self.facts.bounded = false;
                self.facts.effects.call = true;
                self.models.insert(name.to_owned());
            }
        }
    }

    fn setting(&mut self, store: SettingStore, name: &str) {
        let names = match store {
            SettingStore::Environment => &mut self.env,
            SettingStore::Secret => &mut self.secrets,
        };
        names.insert(name.to_owned());
    }

    /// Fills in a topic's fact and returns it, when it can be used at all.
    fn topic(&mut self, topic: &mut Topic) -> Option<TopicFact> {
        for part in &mut topic.parts {
            match part {
                TopicPart::Level(level) => {
                    self.positions.insert(*level);
                }
                TopicPart::Value(value) => self.expression(value),
                TopicPart::Rest { .. } | TopicPart::ByFilter(_) | TopicPart::Text(_) | TopicPart::Missing => {
                }
            }
        }
        let fact = topic::fact(topic, &self.levels);
        topic.fact = fact.clone().unwrap_or(TopicFact::Any);
        fact
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "whatever is not named here has no facts of its own")]
    fn expression(&mut self, node: &mut Expression) {
        match &mut node.kind {
            ExpressionKind::Payload | ExpressionKind::PayloadBytes => self.payload = true,
            ExpressionKind::TopicLevel(level) => {
                self.positions.insert(*level);
            }
            ExpressionKind::GetTopic(topic) => {
                let fact = self.topic(topic);
                self.reads.extend(fact);
                return;
            }
            ExpressionKind::TopicExists(topic) => {
                let fact = self.topic(topic);
                self.retained_reads.extend(fact);
                return;
            }
            ExpressionKind::GetEnv(name) => self.setting(SettingStore::Environment, name),
            ExpressionKind::GetSecret(name) => self.setting(SettingStore::Secret, name),
            ExpressionKind::Select(_) => {
                self.facts.bounded = false;
                (self.facts.effects.route, self.facts.effects.suspend) = (true, true);
            }
            ExpressionKind::ModuleAllows(name) => {
                self.modules.insert(name.clone());
            }
            ExpressionKind::MessageProperty(_)
            | ExpressionKind::MessageUserProperty(_)
            | ExpressionKind::Publisher(_) => {
                self.facts.effects.properties = true;
            }
            // The offset of local time comes from the interface of the clock.
            ExpressionKind::Timestamp(_)
            | ExpressionKind::LocalTimestamp(_)
            | ExpressionKind::TimestampOf { format: ShownTimeFormat::Local(_), .. } => {
                self.facts.effects.clock = true
            }
            ExpressionKind::RandomUuid
            | ExpressionKind::RandomInt { .. }
            | ExpressionKind::RandomDouble { .. } => {
                self.facts.effects.random = true;
            }
            _ => {}
        }
        node.kind.each_child_mut(&mut |child| self.expression(child));
    }
}

/// The facts in order; `Any` makes the others superfluous.
fn settled(facts: BTreeSet<TopicFact>) -> Vec<TopicFact> {
    if facts.contains(&TopicFact::Any) {
        return vec![TopicFact::Any];
    }
    facts.into_iter().collect()
}
