//! Routes: checks their content against the tables of its [type](crate::route), and collects the
//! facts for the broker.

mod described;
mod far;
mod hint;
mod machine;
mod meaningless;
mod misspelt;
mod statement;
mod template;
mod tls_words;
mod unfilled;
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "few expressions are known when a route starts; every other one is the error case"
)]
mod value;

use std::collections::{BTreeMap, BTreeSet};

use lot_facts::{
    Facts, Kind, RouteBlock, RouteFacts, RouteStore, RouteValue, Taker, TemplatePart, TopicFact, Trigger,
};
use lot_nearest::nearest;

use super::{Known, RouteEvent};
use crate::diagnostic::{Draft, Sink, codes};
use crate::limits::{NAME_BYTES_MAX, TAKERS_MAX};
use crate::route::{
    COMMON, Key, KeyPurpose, Mapping, Need, OF_MODULE, OTHER_BROKER, OtherSide, PLACE_OF_MODULE, RouteType,
    Section, ValueKind, all, find,
};
use crate::source::Span;
use crate::syntax::route::{AddBlock, DefineRoute, RouteItem, Setting};
use crate::syntax::{Name, Text};

/// Checks a Route; `None` when there is an error, which is reported.
pub(crate) fn route(route: &DefineRoute, known: &dyn Known, sink: &mut Sink<'_>) -> Option<Facts> {
    let kind = route.kind.as_ref().and_then(|name| type_of(name, sink));
    let Some(kind) = kind else {
        // Its parts cannot be judged, but a name that stands twice is wrong in every type.
        repeated_names(&route.items, sink);
        return None;
    };
    match described::described(kind, &route.items, known) {
        Some(of_module) if !sink.is_stored() => described_route(kind, &of_module, route, sink),
        Some(_) | None => route_of_type(kind, route, sink),
    }
}

/// Checks a Route of a module that describes its settings.
///
/// The facts are those of a Route whose module is not known. So they are the same when the broker
/// compiles the stored text before it has the module, or with another version of it.
fn described_route(
    kind: &RouteType,
    of_module: &RouteType,
    route: &DefineRoute,
    sink: &mut Sink<'_>,
) -> Option<Facts> {
    route_of_type(of_module, route, sink)?;
    let mut of_any_module = Sink::new(sink.source());
    // The description may allow what no module takes.
    route_of_type(kind, route, &mut of_any_module).or_else(|| route_of_type(kind, route, sink))
}

fn route_of_type(kind: &RouteType, route: &DefineRoute, sink: &mut Sink<'_>) -> Option<Facts> {
    let said = RouteFacts {
        kind: kind.name.clone(),
        sections: Vec::new(),
        events: Vec::new(),
        mappings: Vec::new(),
        stores: Vec::new(),
    };
    let was_read = !sink.has_errors();
    let mut checker = RouteChecker { kind, name: &route.name.text, sink, said, was_read };
    checker.items(&route.items);
    checker.required_sections(&route.name);
    checker.required_module(&route.name);
    let mut said = checker.said;
    machine::in_tags(kind, &route.items, &said, sink);
    meaningless::in_whole(kind, &route.name, &said, sink);
    meaningless::same_topics(&route.items, sink);
    if sink.has_errors() {
        return None;
    }
    unfilled::in_events(kind, &route.items, &said, sink);
    far::times(kind, &route.items, &said, sink);
    if sink.has_errors() {
        return None;
    }
    if serves(&said) {
        said.events.iter_mut().for_each(template::with_path_parameters);
    }
    share_topics(&route.items, &said, sink);
    if sink.has_errors() {
        return None;
    }
    let mut facts = Facts::new(Kind::Route, route.name.text.clone());
    let filters: Vec<String> = said.takers().map(|(_, filter)| filter.to_owned()).collect();
    facts.trigger = (!filters.is_empty()).then_some(Trigger::Topic { filters });
    facts.writes = writes(&said);
    (facts.reads, facts.retained_reads) = (reads(&said), retained_reads(kind, &said));
    facts.effects.route = true;
    (facts.env, facts.secrets) = value::named(&said);
    facts.route = Some(Box::new(said));
    Some(facts)
}

/// Moves the QOS and RETAIN of a mapping to its tags that have none.
fn defaults_of_tags(mapping: &mut RouteBlock) {
    for key in ["QOS", "RETAIN"] {
        let Some(value) = mapping.settings.remove(key) else { continue };
        for tag in &mut mapping.tags {
            tag.settings.entry(key.to_owned()).or_insert_with(|| value.clone());
        }
    }
}

/// Topics that it publishes to: answers of events, values of tags, and messages of mappings.
fn writes(said: &RouteFacts) -> Vec<TopicFact> {
    let brought = said.brought().filter_map(template::fact_of_filter);
    said.answered().filter_map(template::fact).chain(brought).collect()
}

/// Topics whose last values its guest may read: for a server those that `GET` answers with (routes
/// reference §7), for a module those of `READ_TOPIC` in its events.
fn reads(said: &RouteFacts) -> Vec<TopicFact> {
    let key = if serves(said) { "SOURCE_TOPIC" } else { "READ_TOPIC" };
    let named = said.events.iter().filter_map(|event| event.settings.get(key));
    named.filter_map(template::fact_of_filter).collect()
}

/// Topics of which its guest reads retained messages: those that a bridge carries (routes reference
/// §6).
fn retained_reads(kind: &RouteType, said: &RouteFacts) -> Vec<TopicFact> {
    let is_bridge = kind.other_side == OtherSide::Brokers;
    let filters = said.takers().filter(|_| is_bridge).map(|(_, filter)| filter);
    filters.map(|filter| TopicFact::Pattern(filter.to_owned())).collect()
}

/// Whether it is a server of HTTP requests.
fn serves(said: &RouteFacts) -> bool {
    said.section("REST_API_CONFIG").is_some_and(|section| section.settings.contains_key("SERVER_PORT"))
}

/// Returns the type that a common name of its far side means.
fn foreign_type(name: &str) -> Option<&'static str> {
    let name = name.replace('-', "_");
    let is_it = |kind: &&RouteType| kind.wrong_names.iter().any(|wrong| wrong.eq_ignore_ascii_case(&name));
    all().find(is_it).map(|kind| kind.name.as_str())
}

fn type_of(name: &Name, sink: &mut Sink<'_>) -> Option<&'static RouteType> {
    let found = find(&name.text);
    if found.is_none() {
        let names = all().flat_map(RouteType::names);
        let near = foreign_type(&name.text).or_else(|| nearest(&name.text, names));
        let message = format!("there is no route type `{}`", name.text.escape_debug());
        let draft = Draft::error(codes::UNKNOWN_ROUTE_TYPE, name.span, message);
        sink.push(draft.did_you_mean_name(name, near));
    }
    if let Some(kind) = found.filter(|kind| !kind.is_portable) {
        let message = format!("a route of type {} is not portable", kind.name);
        sink.push(Draft::warning(codes::NON_PORTABLE, name.span, message));
    }
    found
}

/// A Route while it is checked.
struct RouteChecker<'s, 'k> {
    kind: &'s RouteType,
    /// Name of the route.
    name: &'s str,
    sink: &'s mut Sink<'k>,
    said: RouteFacts,
    /// The parser has read every line, so that a missing part is really missing.
    was_read: bool,
}

/// Schema of a block: the settings that it takes, and how messages name it.
#[derive(Clone, Copy)]
struct BlockSchema<'a> {
    /// `SQL_CONFIG`, `event Save`.
    title: &'a str,
    keys: &'a [Key],
    others: Others,
    /// Whether it is polled: takes `WITH EVERY`.
    is_polled: bool,
}

/// Treatment of settings that are not among a block's own keys.
#[derive(Clone, Copy, PartialEq)]
enum Others {
    /// Nobody knows them.
    Unknown,
    /// A module defines them.
    Taken,
    /// The same, and placeholders in them are filled for each message.
    Filled,
}

impl<'s> RouteChecker<'s, '_> {
    fn items(&mut self, items: &[RouteItem]) {
        repeated_names(items, self.sink);
        for item in items {
            match item {
                RouteItem::Block(block) => self.block(block),
                RouteItem::Setting(setting) => self.misplaced(setting.key.span),
                RouteItem::Every(_, span) => self.misplaced(*span),
                RouteItem::Store { route, key, target } => self.store(route, key, target),
            }
        }
    }

    fn misplaced(&mut self, span: Span) {
        let message = "a setting outside of ADD …";
        let draft = Draft::error(codes::MISPLACED_CLAUSE, span, message);
        self.sink.push(draft.suggest("indent it below ADD …_CONFIG, ADD EVENT or ADD MAPPING"));
    }

    fn store(&mut self, route: &Name, key: &Name, table: &Text) {
        if !["TABLE", "TABLE_NAME", "INDEX_NAME", "COLLECTION"]
            .iter()
            .any(|known| key.text.eq_ignore_ascii_case(known))
        {
            let message = format!("STORE has no `{}`", key.text.escape_debug());
            let draft = Draft::error(codes::UNEXPECTED_TOKEN, key.span, message);
            self.sink.push(
                draft.expected(&["TABLE_NAME", "INDEX_NAME"]).suggest("write WITH TABLE_NAME \"table\""),
            );
        }
        unfilled::in_table(key, &table.value, table.span, self.sink);
        self.said.stores.push(RouteStore { route: route.text.clone(), table: table.value.clone() });
    }

    fn block(&mut self, block: &AddBlock) {
        let word = block.kind.text.to_ascii_uppercase();
        match word.as_str() {
            "EVENT" => self.event(block),
            "MAPPING" => self.mapping(block),
            // The parser has reported blocks outside of a mapping.
            "TAG" | "METADATA" => {}
            _ => self.section(block, word),
        }
    }

    fn event(&mut self, block: &AddBlock) {
        let Some(keys) = self.kind.event.as_deref().or(self.kind.is_open.then_some(&[])) else {
            return self.does_not_fit(block, "events");
        };
        let Some(name) = self.named(block) else { return };
        let title = format!("event {name}");
        let others = self.others(Others::Filled);
        let schema = BlockSchema { title: &title, keys, others, is_polled: false };
        let checked = self.content(block, name, schema, None);
        meaningless::in_event(self.kind, block, &checked, self.sink);
        statement::in_event(self.kind, block, &checked, self.sink);
        self.said.events.push(checked);
    }

    fn mapping(&mut self, block: &AddBlock) {
        let of_type = self.kind.mapping.as_ref();
        if of_type.is_none() && !self.kind.is_open {
            return self.does_not_fit(block, "mappings");
        }
        let Some(name) = self.named(block) else { return };
        let title = format!("mapping {name}");
        let is_polled = of_type.is_none_or(|mapping| mapping.tag.is_some());
        let has_tags = block.items.iter().any(|item| matches!(item, RouteItem::Block(_)));
        let others = self.others(if has_tags { Others::Taken } else { Others::Filled });
        let keys = of_type.map_or::<&[Key], _>(&[], |mapping| &mapping.keys);
        let mut checked =
            self.content(block, name, BlockSchema { title: &title, keys, others, is_polled }, of_type);
        if of_type.is_some_and(|mapping| mapping.tag.is_some()) {
            defaults_of_tags(&mut checked);
        }
        if of_type.is_some_and(|mapping| mapping.rewrites) {
            template::rewriting(block, &checked, self.sink);
        }
        if self.kind.is_open {
            template::brought_by_guest(block, &checked, self.sink);
        } else {
            unfilled::in_mapping(block, &checked, self.sink);
        }
        meaningless::in_event(self.kind, block, &checked, self.sink);
        statement::in_event(self.kind, block, &checked, self.sink);
        if !self.kind.is_open {
            meaningless::in_mapping(self.kind, block, &checked, self.sink);
        }
        self.topics_of_tags(block, &mut checked);
        self.said.mappings.push(checked);
    }

    fn others(&self, of_module: Others) -> Others {
        if self.kind.is_open { of_module } else { Others::Unknown }
    }

    /// Sets the topics to which the values of tags are published: below the mapping's
    /// `SOURCE_TOPIC`, else below names (routes reference §5.2).
    fn topics_of_tags(&mut self, block: &AddBlock, mapping: &mut RouteBlock) {
        if mapping.tags.is_empty() {
            return;
        }
        let prefix = match mapping.settings.get("SOURCE_TOPIC") {
            Some(RouteValue::Template(parts)) if template::is_known_at_start(parts) => parts.clone(),
            Some(RouteValue::Text(text)) => vec![TemplatePart::Text(text.clone())],
            Some(_) | None => vec![TemplatePart::Text(format!("{}/{}", self.name, mapping.name))],
        };
        if prefix.iter().filter_map(TemplatePart::text).any(|text| text.contains(['+', '#'])) {
            let message =
                "SOURCE_TOPIC of a mapping with tags is the beginning of topics, which have no wildcards";
            let span = key_of(block, "SOURCE_TOPIC").map_or(block.kind.span, |setting| setting.key.span);
            return self.sink.push(Draft::error(codes::TOPIC_NAME, span, message));
        }
        for tag in &mut mapping.tags {
            let topic = || {
                let mut topic = prefix.clone();
                match topic.last_mut() {
                    Some(TemplatePart::Text(text)) => text.push_str(&format!("/{}", tag.name)),
                    _ => topic.push(TemplatePart::Text(format!("/{}", tag.name))),
                }
                RouteValue::Template(topic)
            };
            tag.settings.entry("SOURCE_TOPIC".to_owned()).or_insert_with(topic);
        }
    }

    fn section(&mut self, block: &AddBlock, word: String) {
        let known = self.kind.sections.iter().chain(COMMON.iter()).find(|section| section.name == word);
        if let Some(name) = &block.name {
            let with_names = ["EVENT", "MAPPING"];
            if known.is_none() && nearest(&word, with_names).is_some() {
                return self.unknown_section(block, &word);
            }
            let message = format!("{word} has no name");
            let draft = Draft::error(codes::UNEXPECTED_TOKEN, name.span, message);
            return self.sink.push(draft.suggest(format!("write ADD {word}")));
        }
        let Some(section) = known else {
            if self.kind.is_open {
                let schema = BlockSchema { title: &word, keys: &[], others: Others::Taken, is_polled: false };
                let checked = self.content(block, word.clone(), schema, None);
                self.host(block, &checked);
                self.port(block, &checked);
                far::in_open_section(self.kind, block, self.sink);
                self.said.sections.push(checked);
                return;
            }
            return self.unknown_section(block, &word);
        };
        if self.said.sections.iter().any(|section| section.name == word) {
            let message = format!("{word} is defined twice");
            return self.sink.push(Draft::error(codes::DUPLICATE_BLOCK, block.kind.span, message));
        }
        let (title, keys) = (&*section.name, &*section.keys);
        // All keys of the sections that every route may have are known.
        let is_own = self.kind.sections.iter().any(|own| own.name == word);
        let others = if is_own { self.others(Others::Taken) } else { Others::Unknown };
        let schema = BlockSchema { title, keys, others, is_polled: false };
        let mut checked = self.content(block, section.name.clone(), schema, None);
        self.overload(block, &mut checked);
        if is_own {
            far::in_section(self.kind, block, &checked, self.sink);
            meaningless::in_section(self.kind, block, &checked, self.sink);
            machine::in_section(self.kind, block, &checked, self.sink);
            unfilled::in_tables(block, &checked, self.sink);
        }
        if word == OTHER_BROKER {
            meaningless::in_other_broker(block, &checked, self.sink);
        }
        self.said.sections.push(checked);
    }

    /// The host of a section that connects.
    fn host(&mut self, block: &AddBlock, section: &RouteBlock) {
        let is_empty = |key: &&str| section.text(key).is_some_and(|host| host.trim().is_empty());
        if let Some(key) = ["HOST", "SERVER"].into_iter().find(is_empty) {
            let span = value_of(block, key);
            let draft = Draft::error(codes::SETTING_VALUE, span, format!("{key} is empty"));
            self.sink.push(draft.unless_stored());
        }
    }

    /// Checks the port of a section that connects. The host uses it, for guests and modules alike.
    fn port(&mut self, block: &AddBlock, section: &RouteBlock) {
        let connects = ["HOST", "SERVER"].iter().any(|key| section.settings.contains_key(*key));
        let port = match section.settings.get("PORT") {
            Some(RouteValue::Int(number)) => number.to_string(),
            Some(RouteValue::Text(text) | RouteValue::Digits(text)) => text.clone(),
            Some(RouteValue::Double(number)) => number.to_string(),
            Some(RouteValue::Bool(is)) => is.to_string(),
            // Known when it is opened.
            Some(RouteValue::Parts(_) | RouteValue::Template(_)) | None => return,
        };
        if connects && !port.parse::<u16>().is_ok_and(|port| port > 0) {
            let message = format!("PORT is a whole number from 1 to 65535, not `{}`", port.escape_debug());
            self.sink.push(Draft::error(codes::SETTING_VALUE, value_of(block, "PORT"), message));
        }
    }

    fn unknown_section(&mut self, block: &AddBlock, word: &str) {
        let sections = self.kind.sections.iter().chain(COMMON.iter());
        let mut words: Vec<&str> = sections.map(|section| &*section.name).collect();
        words.extend((self.kind.is_open || self.kind.event.is_some()).then_some("EVENT"));
        words.extend((self.kind.is_open || self.kind.mapping.is_some()).then_some("MAPPING"));
        let near = nearest(word, words.iter().copied());
        let fallback = words.first().filter(|_| near.is_none());
        let fallback = fallback.map(|first| format!("a route of this type has ADD {first}"));
        let message = format!("a route of type {} has no {}", self.kind.name, word.escape_debug());
        let draft = Draft::error(codes::UNKNOWN_SECTION, block.kind.span, message).expected(&words);
        self.sink.push(draft.did_you_mean_name(&block.kind, near).suggest_if(fallback));
    }

    fn does_not_fit(&mut self, block: &AddBlock, what: &str) {
        let message = format!("a route of type {} has no {what}", self.kind.name);
        self.sink.push(Draft::error(codes::UNKNOWN_SECTION, block.kind.span, message));
    }

    /// The name that events, mappings and tags must have.
    fn named(&mut self, block: &AddBlock) -> Option<String> {
        let Some(name) = &block.name else {
            let word = block.kind.text.to_ascii_uppercase();
            let draft =
                Draft::error(codes::BLOCK_NAME, block.kind.span, format!("ADD {word} without a name"));
            self.sink.push(draft.suggest(format!("write ADD {word} name")));
            return None;
        };
        if name.text.is_empty() || name.text.contains(['/', '+', '#', '\0']) {
            let message =
                format!("nothing can be called `{}`: it is a level of a topic", name.text.escape_debug());
            let draft = Draft::error(codes::BLOCK_NAME, name.span, message);
            self.sink.push(draft.suggest("names have no / + # in them"));
        }
        if name.text.len() > NAME_BYTES_MAX {
            let message = format!("a name of {} bytes, the limit is {NAME_BYTES_MAX}", name.text.len());
            self.sink.push(Draft::error(codes::BLOCK_NAME, name.span, message));
        }
        Some(name.text.clone())
    }

    /// The lines of a block; tags where `of_type` has some.
    fn content(
        &mut self,
        block: &AddBlock,
        name: String,
        schema: BlockSchema<'_>,
        of_type: Option<&Mapping>,
    ) -> RouteBlock {
        let mut checked = RouteBlock { name, ..RouteBlock::default() };
        let mut places: BTreeMap<String, Span> = BTreeMap::new();
        let missing = missing_keys(block, schema);
        for item in &block.items {
            match item {
                RouteItem::Setting(setting) => {
                    if let Some((key, value)) =
                        self.setting((block, setting), schema, (&mut places, &missing))
                    {
                        checked.settings.insert(key, value);
                    }
                }
                RouteItem::Every(ms, _) if schema.is_polled => checked.every_ms = Some(*ms),
                RouteItem::Every(_, span) => self.never_polled(*span, schema),
                RouteItem::Block(inner) => checked.tags.extend(self.inner(inner, of_type)),
                // Only the parser's first level has it.
                RouteItem::Store { .. } => {}
            }
        }
        repeated_names(&block.items, self.sink);
        self.required(block, schema, &missing);
        checked
    }

    /// A block in a block: only tags are.
    fn inner(&mut self, block: &AddBlock, of_type: Option<&Mapping>) -> Option<RouteBlock> {
        let word = block.kind.text.to_ascii_uppercase();
        let keys = match of_type.map(|mapping| mapping.tag.as_deref()) {
            Some(Some(keys)) if word == "TAG" => keys,
            None | Some(None) if self.kind.is_open => &[],
            _ => {
                let message = format!("{} does not belong into this block", word.escape_debug());
                self.sink.push(Draft::error(codes::UNKNOWN_SECTION, block.kind.span, message));
                return None;
            }
        };
        let name = self.named(block)?;
        let title = format!("tag {name}");
        let others = self.others(Others::Taken);
        let schema = BlockSchema { title: &title, keys, others, is_polled: false };
        let checked = self.content(block, name, schema, None);
        if !self.kind.is_open {
            unfilled::in_tag(block, &checked, self.sink);
        }
        meaningless::in_tag(self.kind, block, &checked, self.sink);
        Some(checked)
    }

    fn setting(
        &mut self,
        (block, setting): (&AddBlock, &Setting),
        schema: BlockSchema<'_>,
        (places, missing): (&mut BTreeMap<String, Span>, &[&Key]),
    ) -> Option<(String, RouteValue)> {
        let written = &setting.key;
        let known = schema.keys.iter().find(|key| key.is_called(&written.text));
        value::warn_of_secret(setting, known, self.sink);
        let Some(key) = known else {
            let value = match schema.others {
                Others::Unknown => {
                    let place = (schema.title, schema.keys);
                    if !tls_words::tells(self.kind, place, (block, setting), self.sink) {
                        self.unknown_setting((block, written), schema, missing);
                    }
                    return None;
                }
                Others::Taken => value::any(setting, self.sink)?,
                Others::Filled => value::filled(setting, self.sink)?,
            };
            return Some((written.text.to_ascii_uppercase(), value));
        };
        if let Some(first) = places.insert(key.name.clone(), written.span) {
            let message = format!("{} is set twice in {}; the last one counts", key.name, schema.title);
            let draft = Draft::warning(codes::DUPLICATE_SETTING, written.span, message);
            self.sink.push(draft.at(first, "set here first"));
        }
        self.purpose(written, key);
        let value = value::checked((setting, key), self.sink)?;
        let is_text = matches!(key.value, ValueKind::Text | ValueKind::Folder);
        let is_empty = matches!(&value, RouteValue::Text(text) if is_text && text.trim().is_empty());
        let is_needed = match &key.need {
            Need::Always => true,
            Need::Unless(others) => !others.iter().any(|other| key_of(block, other).is_some()),
            Need::Optional => false,
        };
        if is_empty && is_needed {
            let span = setting.value.as_ref().map_or(written.span, |value| value.span);
            let message = format!("{} of {} is empty", key.name, schema.title);
            self.sink.push(Draft::error(codes::SETTING_VALUE, span, message).unless_stored());
        }
        Some((key.name.clone(), value))
    }

    /// A key that the language has and that means nothing here.
    fn purpose(&mut self, written: &Name, key: &Key) {
        match &key.purpose {
            KeyPurpose::Runs | KeyPurpose::Confirms | KeyPurpose::Tells => {}
            KeyPurpose::Nothing(reason) => {
                let message = format!("nothing reads {} here: {reason}", key.name);
                let draft = Draft::warning(codes::IDLE_SETTING, written.span, message);
                self.sink.push(draft.suggest("leave it out"));
            }
        }
    }

    fn never_polled(&mut self, span: Span, schema: BlockSchema<'_>) {
        let message = format!("Unknown setting 'EVERY' in {}", schema.title);
        self.sink.push(
            Draft::warning(codes::UNKNOWN_SETTING, span, message).note("only mappings with tags are polled"),
        );
    }

    /// Reports an unknown key. It is an error if it looks like a required key that is missing, like
    /// one that determines the handling of messages, or like one about TLS and logins.
    fn unknown_setting(
        &mut self,
        (block, name): (&AddBlock, &Name),
        schema: BlockSchema<'_>,
        missing: &[&Key],
    ) {
        let is_there = |key: &Key| settings(block).any(|setting| key.is_called(&setting.key.text));
        let near = meant_key(&name.text, schema);
        let upper = name.text.to_ascii_uppercase();
        let message = format!("Unknown setting '{}' in {}", upper.escape_debug(), schema.title);
        let draft = match near {
            Some(near) if missing.iter().any(|key| key.name == near.name) => {
                Draft::error(codes::MISSING_SETTING, name.span, message)
            }
            Some(near) if near.says_what_is_done() && !is_there(near) => {
                Draft::error(codes::UNKNOWN_SETTING, name.span, message)
                    .unless_stored()
                    .note(format!("without {} something else would be done than this line says", near.name))
            }
            Some(near) if near.is_about_security() => {
                Draft::error(codes::UNKNOWN_SETTING, name.span, message).unless_stored().note(
                    "without it the connection would be made with less protection than this line asks for",
                )
            }
            Some(_) | None => Draft::warning(codes::UNKNOWN_SETTING, name.span, message),
        };
        let elsewhere = self.block_with(&name.text).filter(|_| near.is_none());
        let elsewhere = elsewhere.map(|place| format!("write it below ADD {place}"));
        self.sink.push(draft.did_you_mean_name(name, near.map(|key| &*key.name)).suggest_if(elsewhere));
    }

    /// The block of this type that has a key.
    fn block_with(&self, key: &str) -> Option<&'s str> {
        let has = |keys: &[Key]| keys.iter().any(|known| known.is_called(key));
        let mut sections =
            self.kind.sections.iter().chain(COMMON.iter()).filter(|section| section.name != OTHER_BROKER);
        let section = sections.find(|section| has(&section.keys));
        let event = || self.kind.event.as_ref().filter(|keys| has(keys)).map(|_| "EVENT name");
        section.map(|section| &*section.name).or_else(event)
    }

    /// Reports the first setting that is missing, unless it is there with a slip in its key, which
    /// is reported at that place.
    fn required(&mut self, block: &AddBlock, schema: BlockSchema<'_>, missing: &[&Key]) {
        let misspelt: Vec<&str> = settings(block)
            .filter_map(|setting| meant_key(&setting.key.text, schema))
            .map(|key| &*key.name)
            .collect();
        let first = missing.iter().find(|key| !misspelt.contains(&&*key.name)).filter(|_| self.was_read);
        // Only one error fits at one place: the next is reported when this one is fixed.
        if let Some(key) = first {
            // With ENABLE_SERVER, the author has forgotten SERVER_PORT, not BASE_ADDRESS.
            let is_server = |setting: &Setting| setting.key.text.eq_ignore_ascii_case("ENABLE_SERVER");
            let name = match &*key.name {
                "BASE_ADDRESS" if settings(block).any(is_server) => "SERVER_PORT",
                name => name,
            };
            let message = format!("{} needs {name}", schema.title);
            let draft = Draft::error(codes::MISSING_SETTING, block.kind.span, message);
            self.sink.push(draft.suggest(format!("add a line WITH {name} …")));
        }
    }

    /// Checks that a route of type WASM names its module in the one place for it, in plain text.
    fn required_module(&mut self, name: &Name) {
        let [place, key] = PLACE_OF_MODULE;
        let is_named = |section: &RouteBlock| section.name == place && section.text(key).is_some();
        if self.kind.name != OF_MODULE || !self.was_read || self.said.sections.iter().any(is_named) {
            return;
        }
        let draft = Draft::error(codes::MISSING_SETTING, name.span, "a route of type WASM needs its module");
        self.sink.push(draft.unless_stored().suggest(format!("add ADD {place} with WITH {key} \"name\"")));
    }

    fn required_sections(&mut self, name: &Name) {
        let is_missing = |section: &&Section| {
            section.is_required && !self.said.sections.iter().any(|found| found.name == section.name)
        };
        // The errors of a refused section are already reported.
        if self.sink.has_errors() {
            return;
        }
        if let Some(section) = self.kind.sections.iter().find(is_missing) {
            let message = format!("a route of type {} needs ADD {}", self.kind.name, section.name);
            let draft = Draft::error(codes::MISSING_SETTING, name.span, message);
            self.sink.push(draft.suggest(format!("add ADD {} with its settings", section.name)));
        }
    }

    /// `OVERLOAD_CAPACITY` means nothing where nothing may be shed (routes reference §3.6).
    fn overload(&mut self, block: &AddBlock, section: &mut RouteBlock) {
        if section.text("OVERLOAD_POLICY") != Some("lossless") {
            return;
        }
        if section.settings.remove("OVERLOAD_CAPACITY").is_some() {
            let span = key_of(block, "OVERLOAD_CAPACITY").map_or(block.kind.span, |setting| setting.key.span);
            let message = "OVERLOAD_CAPACITY is ignored: with OVERLOAD_POLICY lossless nothing is shed";
            self.sink.push(Draft::warning(codes::OVERLOAD_CAPACITY, span, message));
        }
    }
}

/// The settings that stand in a block itself.
fn settings(block: &AddBlock) -> impl Iterator<Item = &Setting> {
    block.items.iter().filter_map(|item| match item {
        RouteItem::Setting(setting) => Some(setting),
        RouteItem::Block(_) | RouteItem::Every(..) | RouteItem::Store { .. } => None,
    })
}

/// The keys that a block needs and that are not written in it; one whose value is refused is there,
/// though wrong.
fn missing_keys<'a>(block: &AddBlock, schema: BlockSchema<'a>) -> Vec<&'a Key> {
    let key_of = |setting: &Setting| schema.keys.iter().find(|key| key.is_called(&setting.key.text));
    let written: BTreeSet<&str> = settings(block).filter_map(key_of).map(|key| &*key.name).collect();
    let is_missing = |key: &&Key| match &key.need {
        Need::Optional => false,
        Need::Always => !written.contains(&*key.name),
        Need::Unless(others) => {
            !written.contains(&*key.name) && !others.iter().any(|other| written.contains(&**other))
        }
    };
    schema.keys.iter().filter(is_missing).collect()
}

/// Returns the known key that an unknown one was probably meant to be.
fn meant_key<'a>(name: &str, schema: BlockSchema<'a>) -> Option<&'a Key> {
    if schema.keys.iter().any(|key| key.is_called(name)) {
        return None;
    }
    let upper = name.to_ascii_uppercase();
    if tls_words::is_one(name) {
        return tls_words::key_among(schema.keys);
    }
    if ["OVERLOAD", "OVERLOAD_MODE"].contains(&&*upper) {
        return schema.keys.iter().find(|key| key.name == "OVERLOAD_POLICY");
    }
    let names = schema.keys.iter().flat_map(Key::names);
    let near = nearest(name, names)?;
    schema.keys.iter().find(|key| key.is_called(near))
}

/// The setting of a block with this key, as written.
fn key_of<'a>(block: &'a AddBlock, key: &str) -> Option<&'a Setting> {
    settings(block).find(|setting| setting.key.text.eq_ignore_ascii_case(key))
}

/// Returns the place of the value of the setting with this key, or else of its block.
fn value_of(block: &AddBlock, key: &str) -> Span {
    key_of(block, key).map_or(block.kind.span, |setting| {
        setting.value.as_ref().map_or(setting.key.span, |value| value.span)
    })
}

/// As [`RouteBlock::filled_by_wildcard`], of an event that is not checked yet.
fn filled_by_wildcard(event: &AddBlock) -> Option<String> {
    let filter = value::written(key_of(event, "SOURCE_TOPIC").or_else(|| key_of(event, "TOPIC"))?)?;
    let texts = settings(event).filter_map(value::written);
    let mut parts = texts.filter_map(|text| template::parse(text).ok()).flatten();
    parts.find(|part| part.is_of_wildcard(filter))?.placeholder()
}

/// Reports events, mappings and tags whose name stands twice, and nothing else.
fn repeated_names(items: &[RouteItem], sink: &mut Sink<'_>) {
    let mut names: BTreeSet<(String, &str)> = BTreeSet::new();
    for item in items {
        let RouteItem::Block(AddBlock { kind, name: Some(name), .. }) = item else { continue };
        let word = kind.text.to_ascii_uppercase();
        let message = format!("{word} `{}` is defined twice", name.text);
        if !names.insert((word, &name.text)) {
            sink.push(Draft::error(codes::DUPLICATE_BLOCK, name.span, message));
        }
    }
}

/// Reports topics that are those of too many events and mappings, where there is the first too
/// much.
fn share_topics(items: &[RouteItem], said: &RouteFacts, sink: &mut Sink<'_>) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (taker, filter) in said.takers() {
        let (Taker::Event(name) | Taker::Mapping(name)) = taker else { continue };
        let count = counts.entry(filter).or_default();
        *count += 1;
        if *count != TAKERS_MAX + 1 {
            continue;
        }
        let span = items.iter().find_map(|item| {
            let RouteItem::Block(AddBlock { kind, name: Some(it), .. }) = item else { return None };
            (it.text == *name).then_some(kind.span)
        });
        let message =
            format!("more than {TAKERS_MAX} events and mappings take \"{}\"", filter.escape_debug());
        let draft = Draft::error(codes::TOO_MANY_TAKERS, span.unwrap_or_default(), message).unless_stored();
        sink.push(draft.suggest("divide them among several routes"));
    }
}

/// Events of a route by name, as `TRIGGER` sees them.
pub(crate) fn events(route: &DefineRoute) -> Vec<RouteEvent> {
    let event = |item: &RouteItem| match item {
        RouteItem::Block(block) if block.kind.text.eq_ignore_ascii_case("EVENT") => {
            let name = block.name.as_ref()?.text.clone();
            Some(RouteEvent { name, filled_by_wildcard: filled_by_wildcard(block) })
        }
        RouteItem::Block(_) | RouteItem::Setting(_) | RouteItem::Every(..) | RouteItem::Store { .. } => None,
    };
    route.items.iter().filter_map(event).collect()
}
