//! Configuration of a route guest: the settings of its definition as JSON.
//!
//! ```text
//! {"type": "LOOPBACK", "sections": {"LOOPBACK_CONFIG": {"MAX_ROWS": 10}},
//!  "events": {"Save": {…}}, "mappings": {"M": {…, "tags": {…}}}}
//! ```
//!
//! It contains environment values, except in settings that can hold a private key. It contains no
//! secrets: `{"secret": "NAME"}` names one, and `{"parts": […]}` joins texts and names. A text with
//! placeholders is `{"template": […], "placeholders": […]}`: the texts between them, and their
//! names. Their values come with each message. [`about`] is added after the check.

use std::collections::BTreeSet;

use lot_facts::{RouteBlock, RouteFacts, RoutePart, RouteValue, TemplatePart};
use serde_json::{Map, Value as Json, json};

use super::schema::{self, is_of_host};
use super::template::{ERROR_TOPIC, Names};
use super::tls_profiles::is_host_only;

/// Environment values and secrets that are not set: the route cannot start without them (commands
/// reference §10).
#[derive(Debug, PartialEq)]
pub(super) struct Missing(pub(super) Vec<String>);

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not set: {}", self.0.join(", "))
    }
}

/// Makes the configuration for [`open`](lotmq_host::route::RouteInstance::open).
pub(super) fn configuration(
    route: &RouteFacts,
    names: &impl Names,
    uuid: impl Fn() -> String,
) -> Result<Json, Missing> {
    let mut writer = Writer { names, uuid, missing: Vec::new() };
    let sections = writer.sections(&route.sections);
    let events = writer.blocks(&route.events);
    let mappings = writer.blocks(&route.mappings);
    if !writer.missing.is_empty() {
        let mut told = BTreeSet::new();
        writer.missing.retain(|name| told.insert(name.clone()));
        return Err(Missing(writer.missing));
    }
    Ok(json!({ "type": route.kind, "sections": sections, "events": events, "mappings": mappings }))
}

/// Builds member `route` of the configuration: facts about the route beside its settings. `start`
/// changes when the route begins anew, but not when it only reconnects. `probe` marks an instance
/// that probes beside the working one. `broker` is for bridges, one for each tenant and start.
pub(super) fn about(
    name: &str,
    number: Option<u64>,
    process_started_ms: u64,
    broker: Option<String>,
) -> Json {
    let start = number.map(|number| format!("{process_started_ms}-{number}"));
    let mut about = json!({ "name": name, "start": start, "probe": number.is_none() });
    if let Some(broker) = broker {
        about["broker"] = broker.into();
    }
    about
}

/// A configuration in which nothing takes time: where the clock stands still nobody waits.
pub(super) fn without_delay(mut configuration: Json) -> Json {
    if let Some(own) = configuration.pointer_mut("/sections/LOOPBACK_CONFIG").and_then(Json::as_object_mut) {
        own.remove("DELAY");
    }
    configuration
}

/// The same as far as the text says it: what values of the environment and secrets make of it is
/// left open.
pub(super) fn expected(route: &RouteFacts) -> Json {
    let uuid = || uuid::Uuid::nil().to_string();
    let mut writer = Writer { names: &NobodysNames, uuid, missing: Vec::new() };
    let sections = writer.sections(&route.sections);
    let (events, mappings) = (writer.blocks(&route.events), writer.blocks(&route.mappings));
    json!({ "type": route.kind, "sections": sections, "events": events, "mappings": mappings })
}

/// Names by which the guest of a route asks for values of its settings: of secrets, and of
/// environment values too, whose values are not known here. None of sections that only the host
/// reads.
pub(super) fn secrets_handed(route: &RouteFacts) -> BTreeSet<String> {
    fn collect(value: &Json, names: &mut BTreeSet<String>) {
        match value {
            Json::Object(members) => {
                names.extend(members.get("secret").and_then(Json::as_str).map(str::to_owned));
                members.values().for_each(|member| collect(member, names));
            }
            Json::Array(items) => items.iter().for_each(|item| collect(item, names)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
    }
    let mut configuration = expected(route);
    if let Some(sections) = configuration.pointer_mut("/sections").and_then(Json::as_object_mut) {
        sections.retain(|name, _| !is_of_host(name));
    }
    let mut names = BTreeSet::new();
    collect(&configuration, &mut names);
    names
}

/// Names none of which has a value yet.
pub(super) struct NobodysNames;

impl Names for NobodysNames {
    fn environment(&self, _: &str) -> Option<String> {
        None
    }

    fn secret(&self, _: &str) -> Option<String> {
        None
    }
}

struct Writer<'a, N, U> {
    names: &'a N,
    uuid: U,
    missing: Vec<String>,
}

impl<N: Names, U: Fn() -> String> Writer<'_, N, U> {
    fn sections(&mut self, blocks: &[RouteBlock]) -> Json {
        let mut sections = self.blocks(blocks);
        for section in sections.as_object_mut().into_iter().flat_map(Map::values_mut) {
            if let Some(settings) = section.as_object_mut() {
                settings.retain(|key, _| !is_host_only(key));
            }
        }
        sections
    }

    fn blocks(&mut self, blocks: &[RouteBlock]) -> Json {
        blocks.iter().map(|block| (block.name.clone(), self.block(block))).collect::<Map<_, _>>().into()
    }

    fn block(&mut self, block: &RouteBlock) -> Json {
        let mut members = Map::new();
        if let Some(every) = block.every_ms {
            members.insert("EVERY_MS".to_owned(), every.into());
        }
        for (key, value) in &block.settings {
            if key != ERROR_TOPIC {
                members.insert(key.clone(), self.value(value));
            }
        }
        if !block.tags.is_empty() {
            members.insert("tags".to_owned(), self.blocks(&block.tags));
        }
        members.into()
    }

    fn value(&mut self, value: &RouteValue) -> Json {
        match value {
            RouteValue::Text(text) => text.as_str().into(),
            RouteValue::Int(number) => (*number).into(),
            RouteValue::Double(number) => (*number).into(),
            RouteValue::Digits(text) => schema::with_digits(text),
            RouteValue::Bool(is) => (*is).into(),
            RouteValue::Template(parts) => self.template(parts),
            RouteValue::Parts(parts) => self.parts(parts),
        }
    }

    fn parts(&mut self, parts: &[RoutePart]) -> Json {
        let mut values: Vec<Json> = Vec::with_capacity(parts.len());
        for part in parts {
            let text = match part {
                RoutePart::Text(text) => text.clone(),
                RoutePart::RandomUuid => (self.uuid)(),
                RoutePart::Env(name) => match self.environment(name) {
                    Some(value) => value,
                    None => {
                        values.push(json!({ "secret": name }));
                        continue;
                    }
                },
                RoutePart::Secret(name) => {
                    self.needs_secret(name);
                    values.push(json!({ "secret": name }));
                    continue;
                }
            };
            match values.last_mut() {
                Some(Json::String(last)) => last.push_str(&text),
                _ => values.push(text.into()),
            }
        }
        if values.len() == 1 { values.remove(0) } else { json!({ "parts": values }) }
    }

    /// Returns a text with placeholders, or plain text if there are none. The values that it names
    /// must be set, because every message would lack them.
    fn template(&mut self, parts: &[TemplatePart]) -> Json {
        let mut texts = vec![String::new()];
        let mut placeholders = Vec::new();
        for part in parts {
            if let Some(placeholder) = part.placeholder() {
                self.needs(part);
                placeholders.push(placeholder);
                texts.push(String::new());
            } else {
                let text = self.joined(part);
                texts.last_mut().expect("it begins with one").push_str(&text);
            }
        }
        if placeholders.is_empty() {
            return texts.remove(0).into();
        }
        json!({ "template": texts, "placeholders": placeholders })
    }

    /// A part that is text when the route starts.
    fn joined(&mut self, part: &TemplatePart) -> String {
        if let TemplatePart::JoinedEnv(name) = part {
            return self.environment(name).unwrap_or_default();
        }
        if matches!(part, TemplatePart::JoinedUuid) {
            return (self.uuid)();
        }
        part.text().unwrap_or_default().to_owned()
    }

    /// Notes what is not set of what a placeholder names.
    fn needs(&mut self, part: &TemplatePart) {
        if let TemplatePart::Env(name) = part {
            self.environment(name);
        } else if let TemplatePart::Secret(name) = part {
            self.needs_secret(name);
        }
    }

    fn environment(&mut self, name: &str) -> Option<String> {
        let value = self.names.environment(name);
        if value.is_none() {
            self.missing.push(format!("environment value '{name}'"));
        }
        value
    }

    fn needs_secret(&mut self, name: &str) {
        if self.names.secret(name).is_none() {
            self.missing.push(format!("secret '{name}'"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Known;

    impl Names for Known {
        fn environment(&self, name: &str) -> Option<String> {
            (name == "HOST").then(|| "db".to_owned())
        }
        fn secret(&self, name: &str) -> Option<String> {
            (name == "PW").then(|| "hidden".to_owned())
        }
    }

    fn block(name: &str, settings: &[(&str, RouteValue)]) -> RouteBlock {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        RouteBlock { name: name.into(), settings, ..RouteBlock::default() }
    }

    fn route(section: RouteBlock) -> RouteFacts {
        let text = |text: &str| TemplatePart::Text(text.to_owned());
        let json = |path: &str| TemplatePart::Json(path.to_owned());
        let query = vec![text("f("), json("a.b"), TemplatePart::TopicLevel(2), text(")"), json("")];
        let event = block(
            "E",
            &[
                ("QUERY", RouteValue::Template(query)),
                ("BODY", RouteValue::Template(vec![text("{\"a\":"), text("1}")])),
                (ERROR_TOPIC, RouteValue::Template(vec![text("errors")])),
                ("QOS", RouteValue::Int(1)),
            ],
        );
        RouteFacts {
            kind: "T".into(),
            sections: vec![section],
            events: vec![event],
            mappings: Vec::new(),
            stores: Vec::new(),
        }
    }

    #[test]
    fn settings_from_environment_variables_stay_unresolved() {
        let env = RoutePart::Env("HOST".into());
        let section = block(
            "C",
            &[
                ("A", RouteValue::Parts(vec![env.clone()])),
                ("B", RouteValue::Parts(vec![RoutePart::Text("x-".into()), env])),
                ("D", RouteValue::Int(7)),
            ],
        );
        assert_eq!(
            expected(&route(section))["sections"],
            json!({ "C": { "A": { "secret": "HOST" }, "B": { "parts": ["x-", { "secret": "HOST" }] }, "D": 7 } })
        );
    }

    #[test]
    fn values_are_handed_over_and_secrets_are_named() {
        let env = |name: &str| RoutePart::Env(name.into());
        let secret = RoutePart::Secret("PW".into());
        let text = |text: &str| RoutePart::Text(text.into());
        let section = block(
            "C",
            &[
                ("A", RouteValue::Parts(vec![text("x-"), env("HOST"), RoutePart::RandomUuid])),
                ("B", RouteValue::Parts(vec![secret.clone()])),
                ("D", RouteValue::Parts(vec![text("pre-"), secret])),
                ("E", RouteValue::Bool(true)),
                ("F", RouteValue::Digits("1.10".into())),
                // Settings that can hold private keys.
                ("CLIENT_CERT", RouteValue::Parts(vec![env("HOST")])),
                ("CLIENT_KEY", RouteValue::Parts(vec![RoutePart::Secret("PW".into())])),
            ],
        );
        let written = configuration(&route(section), &Known, || "uuid".to_owned()).unwrap();
        assert_eq!(
            written.to_string(),
            r#"{"type":"T","sections":{"C":{"A":"x-dbuuid","B":{"secret":"PW"},"D":{"parts":["pre-",{"secret":"PW"}]},"E":true,"F":{"digits":"1.10"}}},"#
                .to_owned()
                + r#""events":{"E":{"BODY":"{\"a\":1}","QOS":1,"QUERY":{"template":["f(","",")",""],"#
                + r#""placeholders":["payload.json.a.b","topic.2","payload.json"]}}},"mappings":{}}"#
        );
        let lacking = block(
            "C",
            &[
                ("A", RouteValue::Parts(vec![env("X")])),
                ("B", RouteValue::Parts(vec![RoutePart::Secret("Y".into())])),
            ],
        );
        let missing = configuration(&route(lacking), &Known, String::new).unwrap_err();
        assert_eq!(missing.to_string(), "not set: environment value 'X', secret 'Y'");
    }
}
