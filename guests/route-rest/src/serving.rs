//! Paths of requests that are served, and the events that they belong to (routes reference §7).

use lotmq_guest::route::{Failure, QoS};
use route_settings::Settings;

/// An event that answers requests.
#[derive(Debug)]
pub(crate) struct ServedEvent {
    pub(crate) name: String,
    pub(crate) method: String,
    path: Vec<Segment>,
    /// Topic whose value is the answer.
    pub(crate) source: Option<NamedTopic>,
    /// Topic that the body goes to.
    pub(crate) destination: Option<NamedTopic>,
    pub(crate) publishing: (QoS, bool),
}

/// Part of a path between slashes.
#[derive(Debug, PartialEq)]
enum Segment {
    Text(String),
    Parameter(String),
}

/// Topic with names of parameters in braces.
#[derive(Debug)]
pub(crate) struct NamedTopic(String);

/// Values of the parameters of a path, by name.
pub(crate) type Parameters = Vec<(String, String)>;

/// All events that answer requests.
#[derive(Debug, Default)]
pub(crate) struct Paths(Vec<ServedEvent>);

/// Match for a request.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    Event(&'a ServedEvent, Parameters),
    NoPath,
    /// The path has other methods, which are these.
    NoMethod(String),
    /// The path cannot be read, or a parameter is no part of a topic.
    Unreadable(&'static str),
}

impl Paths {
    /// Adds an event.
    pub(crate) fn add(&mut self, event: &Settings<'_>) -> Result<(), Failure> {
        let added = ServedEvent::read(event)?;
        let is_same = |other: &&ServedEvent| other.method == added.method && other.shape() == added.shape();
        if let Some(other) = self.0.iter().find(is_same) {
            let reason = format!("and METHOD are those of event '{}' as well", other.name);
            return Err(event.wrong("ENDPOINT", &reason));
        }
        self.0.push(added);
        Ok(())
    }

    pub(crate) fn event(&self, name: &str) -> Option<&ServedEvent> {
        self.0.iter().find(|event| event.name == name)
    }

    /// The event of a request. Of several paths that fit the one with the fewest parameters counts.
    pub(crate) fn find(&self, method: &str, path: &str) -> Found<'_> {
        let Some(asked) = segments(path) else { return Found::Unreadable("the path is not UTF-8") };
        let fitting = self.0.iter().filter_map(|event| Some((event, event.parameters(&asked)?)));
        let fitting: Vec<_> = fitting.collect();
        let Some(fewest) = fitting.iter().map(|(_, parameters)| parameters.len()).min() else {
            return Found::NoPath;
        };
        let mut allowed: Vec<&str> = Vec::new();
        for (event, parameters) in fitting.into_iter().filter(|(_, parameters)| parameters.len() == fewest) {
            if event.takes(method) {
                let is_level = |(_, value): &(String, String)| is_level(value);
                let mut topics = event.source.iter().chain(&event.destination);
                let is_topic = |topic: &NamedTopic| !topic.leads_below_dollar(&parameters);
                return match parameters.iter().all(is_level) && topics.all(is_topic) {
                    true => Found::Event(event, parameters),
                    false => Found::Unreadable("a part of the path cannot be a level of a topic"),
                };
            }
            allowed.extend(if event.method == "GET" { vec!["GET", "HEAD"] } else { vec![&*event.method] });
        }
        Found::NoMethod(allowed.join(", "))
    }
}

impl ServedEvent {
    fn read(event: &Settings<'_>) -> Result<ServedEvent, Failure> {
        for key in ["BODY", "HEADERS"] {
            if !event.raw(key).is_null() {
                return Err(event.wrong(key, "is of requests that the route makes, and this one it serves"));
            }
        }
        let path = path(event)?;
        let names: Vec<&str> = path.iter().filter_map(Segment::parameter).collect();
        let source = match event.text("SOURCE_PATH_TOPIC")? {
            Some(topic) => Some(topic),
            None => event.text("SOURCE_TOPIC")?,
        };
        let destination = destination(event, &names)?;
        let default = if destination.is_some() { "POST" } else { "GET" };
        let method = event.text("METHOD")?.unwrap_or_else(|| default.to_owned());
        match (&*method, &source, &destination) {
            ("GET", None, _) => return Err(event.wrong("METHOD", "is GET, which needs SOURCE_TOPIC")),
            ("GET", Some(source), _) if source.contains(['+', '#']) => {
                return Err(event.wrong("SOURCE_TOPIC", "of a GET is one topic, without wildcards"));
            }
            ("GET", ..) | (_, _, Some(_)) => {}
            (method, _, None) => {
                let reason = format!("is {method}, which needs DESTINATION_TOPIC");
                return Err(event.wrong("METHOD", &reason));
            }
        }
        let (name, publishing) = (event.name().to_owned(), event.publishing());
        let (source, destination) = (source.map(NamedTopic), destination.map(NamedTopic));
        Ok(ServedEvent { name, method, path, source, destination, publishing })
    }

    fn takes(&self, method: &str) -> bool {
        self.method == method || (self.method == "GET" && method == "HEAD")
    }

    /// The path without the names of its parameters.
    fn shape(&self) -> Vec<Option<&str>> {
        self.path.iter().map(Segment::text).collect()
    }

    /// Values of the parameters, where the path is this one.
    fn parameters(&self, asked: &[String]) -> Option<Parameters> {
        if asked.len() != self.path.len() {
            return None;
        }
        let mut parameters = Vec::new();
        for (segment, asked) in self.path.iter().zip(asked) {
            match segment {
                Segment::Text(text) if text == asked => {}
                Segment::Text(_) => return None,
                Segment::Parameter(name) => parameters.push((name.clone(), asked.clone())),
            }
        }
        Some(parameters)
    }
}

impl Segment {
    fn text(&self) -> Option<&str> {
        match self {
            Segment::Text(text) => Some(text),
            Segment::Parameter(_) => None,
        }
    }

    fn parameter(&self) -> Option<&str> {
        match self {
            Segment::Text(_) => None,
            Segment::Parameter(name) => Some(name),
        }
    }
}

impl NamedTopic {
    pub(crate) fn filled(&self, parameters: &Parameters) -> String {
        let mut topic = self.0.clone();
        for (name, value) in parameters {
            topic = topic.replace(&["{", name, "}"].concat(), value);
        }
        topic
    }

    /// Returns whether parameters lead to a topic that begins with `$`, which no `+` matches. Only
    /// the author of the route may name those. `[MQTT-4.7.2-1]`
    fn leads_below_dollar(&self, parameters: &Parameters) -> bool {
        !self.0.starts_with('$') && self.filled(parameters).starts_with('$')
    }
}

/// The path of an event: parts of text, and parameters that are whole parts.
fn path(event: &Settings<'_>) -> Result<Vec<Segment>, Failure> {
    let Some(template) = event.template("ENDPOINT") else { return Ok(vec![Segment::Text(String::new())]) };
    let mut written = template.with(|_, name| format!("\0{name}\0").into());
    if !written.starts_with('/') {
        written.insert(0, '/');
    }
    if written.contains(['?', '#']) {
        return Err(event.wrong("ENDPOINT", "of a request that is served is a path, without a query"));
    }
    let mut names: Vec<&str> = Vec::new();
    let mut segments = Vec::new();
    for part in written[1..].split('/') {
        let parameter = part.strip_prefix('\0').and_then(|part| part.strip_suffix('\0'));
        match parameter {
            Some(name) if names.contains(&name) => {
                return Err(event.wrong("ENDPOINT", &format!("has the parameter '{name}' twice")));
            }
            Some(name) if is_name(name) => {
                names.push(name);
                segments.push(Segment::Parameter(name.to_owned()));
            }
            None if !part.contains('\0') => segments.push(Segment::Text(part.to_owned())),
            Some(_) | None => {
                let reason = "has parameters such as '{id}', each of which is a whole part between slashes";
                return Err(event.wrong("ENDPOINT", reason));
            }
        }
    }
    Ok(segments)
}

/// The topic that bodies go to, which the parameters of the path fill, and nothing else.
fn destination(event: &Settings<'_>, names: &[&str]) -> Result<Option<String>, Failure> {
    let Some(template) = event.template("DESTINATION_TOPIC") else { return Ok(None) };
    let unknown = template.placeholders().iter().find(|name| !names.contains(&name.as_str()));
    if let Some(name) = unknown {
        let reason = format!("has {{{name}}}, which is no parameter of ENDPOINT");
        return Err(event.wrong("DESTINATION_TOPIC", &reason));
    }
    Ok(Some(template.with(|_, name| ["{", name, "}"].concat().into())))
}

/// Whether a placeholder is a name of its own, and none of a message.
fn is_name(text: &str) -> bool {
    let is_of_message = matches!(text, "payload" | "topic" | "timestamp");
    !is_of_message && text.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

/// Whether a text can stand between the slashes of a topic that is written to.
fn is_level(text: &str) -> bool {
    !text.is_empty() && !text.contains(['/', '+', '#', '\0'])
}

/// Parts of a path with what was escaped in them; `None` where that is not UTF-8.
fn segments(path: &str) -> Option<Vec<String>> {
    path.strip_prefix('/').unwrap_or(path).split('/').map(unescaped).collect()
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let escaped = || {
            let mut digits = rest.clone();
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let (high, low) = (digit(digits.next())?, digit(digits.next())?);
            Some((u8::try_from(high * 16 + low).ok()?, digits))
        };
        match if byte == b'%' { escaped() } else { None } {
            Some((escaped, behind)) => {
                bytes.push(escaped);
                rest = behind;
            }
            None => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use route_settings::Configuration;

    fn paths(events: &str) -> Result<Paths, String> {
        let configuration = Configuration::parse(&format!(r#"{{"events":{{{events}}}}}"#)).unwrap();
        let mut paths = Paths::default();
        for event in configuration.events() {
            paths.add(&event).map_err(|failure| format!("{failure:?}"))?;
        }
        Ok(paths)
    }

    const DEVICES: &str = r#"
        "get":{"ENDPOINT":{"template":["/dev/","/v"],"placeholders":["id"]},"SOURCE_TOPIC":"dev/+/v","SOURCE_PATH_TOPIC":"dev/{id}/v"},
        "put":{"METHOD":"PUT","ENDPOINT":{"template":["dev/","/v"],"placeholders":["id"]},"DESTINATION_TOPIC":{"template":["dev/","/set"],"placeholders":["id"]}},
        "any":{"METHOD":"PUT","ENDPOINT":{"template":["/any/","/",""],"placeholders":["first","next"]},"DESTINATION_TOPIC":{"template":["","/",""],"placeholders":["first","next"]}},
        "one":{"ENDPOINT":"/dev/one/v","SOURCE_TOPIC":"one"},
        "root":{"SOURCE_TOPIC":"root"}"#;

    #[test]
    fn requests_find_their_event() {
        let paths = paths(DEVICES).unwrap();
        for (method, path, expected) in [
            ("GET", "/dev/7/v", "get dev/7/v -"),
            ("HEAD", "/dev/7/v", "get dev/7/v -"),
            ("PUT", "/dev/a%20%C3%A4/v", "put - dev/a ä/set"),
            ("GET", "/dev/one/v", "one one -"),
            ("GET", "/dev/on%65/v", "one one -"),
            ("GET", "/", "root root -"),
            ("GET", "/dev/7/v/", "NoPath"),
            ("GET", "/dev/7", "NoPath"),
            ("POST", "/dev/7/v", "NoMethod(\"GET, HEAD, PUT\")"),
            ("PUT", "/any/$LOT/x", "Unreadable(\"a part of the path cannot be a level of a topic\")"),
            ("PUT", "/any/a/$x", "any - a/$x"),
            ("GET", "/dev//v", "Unreadable(\"a part of the path cannot be a level of a topic\")"),
            ("GET", "/dev/a%2Fb/v", "Unreadable(\"a part of the path cannot be a level of a topic\")"),
            ("PUT", "/dev/%23/v", "Unreadable(\"a part of the path cannot be a level of a topic\")"),
            ("GET", "/dev/%FF/v", "Unreadable(\"the path is not UTF-8\")"),
            ("GET", "/dev/100%/v", "get dev/100%/v -"),
        ] {
            let told = match paths.find(method, path) {
                Found::Event(event, parameters) => {
                    let filled = |topic: &Option<NamedTopic>| {
                        topic.as_ref().map_or("-".to_owned(), |topic| topic.filled(&parameters))
                    };
                    format!("{} {} {}", event.name, filled(&event.source), filled(&event.destination))
                }
                other => format!("{other:?}"),
            };
            assert_eq!(told, expected, "{method} {path}");
        }
    }

    #[test]
    fn events_that_serve_nothing_are_told() {
        for (events, expected) in [
            (r#""e":{"METHOD":"GET","DESTINATION_TOPIC":"a"}"#, "METHOD is GET, which needs SOURCE_TOPIC"),
            (r#""e":{"METHOD":"PUT","SOURCE_TOPIC":"a"}"#, "METHOD is PUT, which needs DESTINATION_TOPIC"),
            (r#""e":{"SOURCE_TOPIC":"a/#"}"#, "SOURCE_TOPIC of a GET is one topic"),
            (r#""e":{"SOURCE_TOPIC":"a","BODY":"x"}"#, "BODY is of requests that the route makes"),
            (
                r#""e":{"SOURCE_TOPIC":"a","ENDPOINT":"/x?y"}"#,
                "ENDPOINT of a request that is served is a path",
            ),
            (
                r#""e":{"SOURCE_TOPIC":"a","ENDPOINT":{"template":["/x",""],"placeholders":["id"]}}"#,
                "each of which is a whole part between slashes",
            ),
            (
                r#""e":{"SOURCE_TOPIC":"a","ENDPOINT":{"template":["/",""],"placeholders":["topic.1"]}}"#,
                "each of which is a whole part between slashes",
            ),
            (
                r#""e":{"SOURCE_TOPIC":"a","ENDPOINT":{"template":["/","/",""],"placeholders":["id","id"]}}"#,
                "ENDPOINT has the parameter 'id' twice",
            ),
            (
                r#""e":{"DESTINATION_TOPIC":{"template":["a/",""],"placeholders":["payload"]}}"#,
                "DESTINATION_TOPIC has {payload}, which is no parameter of ENDPOINT",
            ),
            (
                r#""e":{"SOURCE_TOPIC":"a","ENDPOINT":"/x"},"f":{"SOURCE_TOPIC":"b","ENDPOINT":"x"}"#,
                "f: ENDPOINT and METHOD are those of event 'e' as well",
            ),
        ] {
            let refused = paths(events).unwrap_err();
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
