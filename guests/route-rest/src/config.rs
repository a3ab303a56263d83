//! Configuration of the definition: the server to ask and its requests, and the requests to serve.

use std::collections::BTreeMap;

use lotmq_guest::route::{
    Delivery, Failure, QoS, Template,
    http::{HttpClient, HttpRequest},
    text_of,
};
use route_settings::{Configuration, Settings};

use crate::address::{self, Base};
use crate::serving::Paths;
use crate::text::{self, Fields};

/// JSON Schema of what is known of the settings.
pub(crate) const SCHEMA: &str = r#"{"properties":{"sections":{"required":["REST_API_CONFIG"],"properties":{"REST_API_CONFIG":{"properties":{
    "TIMEOUT":{"type":"integer","minimum":1,"maximum":300000},"ENABLE_CLIENT":{"type":"boolean"},"ENABLE_SERVER":{"type":"boolean"}}}}}}}"#;

/// Default milliseconds of an exchange. From the routes reference §7.
const TIMEOUT_MS: u32 = 30_000;

/// Field of the head of a request.
pub(crate) type Field = (String, String);

/// Requests of an event.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    endpoint: Template,
    body: Option<Template>,
    headers: Option<(Template, Fields)>,
    pub(crate) answer: Option<Template>,
    pub(crate) publishing: (QoS, bool),
}

/// Configuration of a route.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) asking: Option<Asking>,
    pub(crate) serving: Option<Serving>,
    /// Whether the instance is there to probe only, beside the one that works.
    pub(crate) is_probe: bool,
}

/// The server that is asked, and the requests to it.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) base: Base,
    client: HttpClient,
    /// Fields of all requests.
    fields: Vec<Field>,
    calls: BTreeMap<String, Call>,
}

/// The requests that are served.
#[derive(Debug)]
pub(crate) struct Serving {
    /// Name of the endpoint.
    pub(crate) endpoint: &'static str,
    pub(crate) timeout_ms: u32,
    /// Token that a request must have.
    pub(crate) token: Option<String>,
    pub(crate) paths: Paths,
}

impl Config {
    pub(crate) fn parse(text: &str) -> Result<Config, Failure> {
        let configuration = Configuration::parse(text)?;
        let section = configuration.section("REST_API_CONFIG");
        let asks = is_on(&section, "ENABLE_CLIENT", "BASE_ADDRESS")?;
        let serves = is_on(&section, "ENABLE_SERVER", "SERVER_PORT")?;
        if !asks && !serves {
            return Err(Failure::Fatal(
                "REST_API_CONFIG: neither client nor server is enabled: it needs BASE_ADDRESS or SERVER_PORT"
                    .to_owned(),
            ));
        }
        let is_served = |event: &Settings<'_>| -> Result<bool, Failure> {
            Ok(match event.text("SIDE")?.as_deref() {
                Some("SERVER") if !serves => {
                    return Err(event.wrong("SIDE", "is SERVER, and nothing is served"));
                }
                Some("CLIENT") if !asks => return Err(event.wrong("SIDE", "is CLIENT, and nothing is asked")),
                Some(side) => side == "SERVER",
                None => !asks || (serves && event.raw("SOURCE_TOPIC").is_null()),
            })
        };
        let (mut calls, mut paths) = (BTreeMap::new(), Paths::default());
        for event in configuration.events() {
            if is_served(&event)? {
                paths.add(&event)?;
            } else {
                calls.insert(event.name().to_owned(), call(&event)?);
            }
        }
        let serving = serves.then(|| Serving::read(&section, paths)).transpose()?;
        let about: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        let is_probe = about["route"]["probe"].as_bool().unwrap_or(false);
        Ok(Config { asking: asks.then(|| Asking::read(&section, calls)).transpose()?, serving, is_probe })
    }
}

/// Returns whether a side is on: if its address is set, unless a setting switches it off.
fn is_on(section: &Settings<'_>, switch: &str, place: &str) -> Result<bool, Failure> {
    let has_place = !section.raw(place).is_null();
    if section.is(switch) && !has_place {
        return Err(section.wrong(switch, &format!("needs {place}")));
    }
    Ok(has_place && (section.raw(switch).is_null() || section.is(switch)))
}

fn timeout(section: &Settings<'_>) -> Result<u32, Failure> {
    let timeout = section.number("TIMEOUT").map_or(Ok(TIMEOUT_MS), u32::try_from);
    let timeout = timeout.ok().filter(|timeout| (1..=300_000).contains(timeout));
    timeout.ok_or_else(|| section.wrong("TIMEOUT", "is from 1 to 300000 milliseconds"))
}

impl Serving {
    fn read(section: &Settings<'_>, paths: Paths) -> Result<Serving, Failure> {
        let token = section.text("SERVER_TOKEN")?;
        if token.as_deref().is_some_and(|token| token.trim().is_empty()) {
            return Err(section.wrong("SERVER_TOKEN", "is empty"));
        }
        Ok(Serving { endpoint: "rest_api_server", timeout_ms: timeout(section)?, token, paths })
    }
}

impl Asking {
    fn read(section: &Settings<'_>, calls: BTreeMap<String, Call>) -> Result<Asking, Failure> {
        let address = section.needed("BASE_ADDRESS")?;
        let base = Base::parse(&address)
            .ok_or_else(|| section.wrong("BASE_ADDRESS", "is no address such as 'https://host:8080/path'"))?;
        let client = HttpClient::new("rest_api").timeout_ms(timeout(section)?);
        Ok(Asking { base, client, fields: fields(section)?, calls })
    }

    /// A request with these fields of its head.
    pub(crate) fn request<'a>(
        &self,
        method: &str,
        target: &str,
        fields: impl IntoIterator<Item = &'a Field>,
    ) -> HttpRequest {
        let request = self.client.request(method, target);
        fields.into_iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    /// A question whether the server is there.
    pub(crate) fn probe(&self) -> HttpRequest {
        self.request("HEAD", &self.base.target(""), &self.fields)
    }

    pub(crate) fn call(&self, event: &str) -> Option<&Call> {
        self.calls.get(event)
    }

    /// Returns the header fields of a request, with a default content type for its body. Fields of
    /// the event replace those of all requests with the same name.
    pub(crate) fn fields(&self, call: &Call, delivery: &Delivery, body: &[u8]) -> Vec<Field> {
        let own = call
            .headers
            .as_ref()
            .map(|(template, fields)| fields.filled(template.values(delivery)))
            .unwrap_or_default();
        let mut fields = with_own(&self.fields, own);
        if !body.is_empty() && !fields.iter().any(|(name, _)| is_content_type(name)) {
            fields.push(("content-type".to_owned(), text::content_type(body).to_owned()));
        }
        fields
    }
}

/// Fields without those of a name that one of the `own` has, and behind them these.
fn with_own(fields: &[Field], own: Vec<Field>) -> Vec<Field> {
    let is_replaced = |(name, _): &&Field| own.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    let kept: Vec<Field> = fields.iter().filter(|field| !is_replaced(field)).cloned().collect();
    kept.into_iter().chain(own).collect()
}

fn is_content_type(name: &str) -> bool {
    name.eq_ignore_ascii_case("content-type")
}

/// Fields of all requests.
fn fields(section: &Settings<'_>) -> Result<Vec<Field>, Failure> {
    let headers = section.text("HEADERS")?.unwrap_or_default();
    let fields = Fields::parse(&Template::plain("HEADERS", &headers));
    let fields = fields.map_err(|reason| section.wrong("HEADERS", &reason))?.filled(&[]);
    let login = section.text("AUTHORIZATION")?.map(|login| ("authorization".to_owned(), login));
    Ok(with_own(&fields, login.into_iter().collect()))
}

fn call(event: &Settings<'_>) -> Result<Call, Failure> {
    let body = event.template("BODY");
    let default = if body.is_some() { "POST" } else { "GET" };
    let fields = |template: Template| match Fields::parse(&template) {
        Ok(fields) => Ok((template, fields)),
        Err(reason) => Err(event.wrong("HEADERS", &reason)),
    };
    Ok(Call {
        method: event.text("METHOD")?.unwrap_or_else(|| default.to_owned()),
        endpoint: event.template("ENDPOINT").unwrap_or_else(|| Template::plain("ENDPOINT", "")),
        headers: event.template("HEADERS").map(fields).transpose()?,
        body,
        answer: event.template("DESTINATION_TOPIC"),
        publishing: event.publishing(),
    })
}

impl Call {
    /// Returns the requested target. Values cannot change the structure of the address.
    ///
    /// # Errors
    /// Rejects values that form a `.` or `..` segment in any spelling, which servers resolve to
    /// another folder (RFC 3986 §5.2.4).
    pub(crate) fn endpoint(&self, delivery: &Delivery) -> Result<String, Failure> {
        let values = self.endpoint.values(delivery);
        let value = |place: usize| values.get(place - 1).map(text_of).unwrap_or_default();
        let mut texts = self.endpoint.texts().iter();
        let mut endpoint = texts.next().map(|text| address::plain(text)).unwrap_or_default();
        for (index, text) in texts.enumerate() {
            endpoint.push_str(&address::encoded(&value(index + 1)));
            endpoint.push_str(&address::plain(text));
        }
        let path = endpoint.split(['?', '#']).next().unwrap_or_default();
        if path.split('/').any(|step| step == "." || step == "..") {
            return Err(Failure::Reject(format!(
                "ENDPOINT gives '{endpoint}', which is the address of something else"
            )));
        }
        Ok(endpoint)
    }

    /// The body: `BODY`, or the payload where the method has one.
    pub(crate) fn body(&self, delivery: &Delivery) -> Vec<u8> {
        match &self.body {
            Some(template) => text::body(template, template.values(delivery)).into_bytes(),
            None if matches!(&*self.method, "POST" | "PUT" | "PATCH") => delivery.message.payload.clone(),
            None => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVED: &str = r#""SOURCE_TOPIC":"a""#;

    fn parsed(section: &str, event: &str) -> Result<Config, String> {
        let text =
            format!(r#"{{"sections":{{"REST_API_CONFIG":{{{section}}}}},"events":{{"E":{{{event}}}}}}}"#);
        Config::parse(&text).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn a_method_is_that_of_what_there_is() {
        for (event, expected) in [("", "GET"), (r#""BODY":"x""#, "POST"), (r#""METHOD":"PATCH""#, "PATCH")] {
            let config = parsed(r#""BASE_ADDRESS":"http://h""#, event).unwrap();
            assert_eq!(config.asking.unwrap().call("E").unwrap().method, expected);
        }
    }

    #[test]
    fn a_field_of_its_own_stands_in_the_place_of_the_common_one() {
        let field = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let of = |fields: &[(&str, &str)]| fields.iter().copied().map(field).collect::<Vec<Field>>();
        let common = of(&[("X-Site", "north"), ("Accept", "a"), ("accept", "b")]);
        for (own, expected) in [
            (&[][..], &[("X-Site", "north"), ("Accept", "a"), ("accept", "b")][..]),
            (&[("x-site", "south")], &[("Accept", "a"), ("accept", "b"), ("x-site", "south")]),
            (&[("ACCEPT", "c"), ("ACCEPT", "d")], &[("X-Site", "north"), ("ACCEPT", "c"), ("ACCEPT", "d")]),
        ] {
            assert_eq!(with_own(&common, of(own)), of(expected));
        }
    }

    #[test]
    fn an_event_is_of_one_side() {
        let both = r#""BASE_ADDRESS":"http://h","SERVER_PORT":1"#;
        for (section, event, is_served) in [
            (r#""SERVER_PORT":1"#, SERVED, true),
            (both, SERVED, false),
            (both, r#""DESTINATION_TOPIC":"a""#, true),
            (both, r#""SOURCE_TOPIC":"a","SIDE":"SERVER""#, true),
        ] {
            let config = parsed(section, event).unwrap();
            let is_called = config.asking.is_some_and(|asking| asking.call("E").is_some());
            assert_eq!((is_called, config.serving.is_some()), (!is_served, true), "{section} {event}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let base = r#""BASE_ADDRESS":"http://h""#;
        for (section, event, expected) in [
            (r#""ENABLE_SERVER":true"#.to_owned(), "", "ENABLE_SERVER needs SERVER_PORT"),
            (r#""ENABLE_CLIENT":true,"SERVER_PORT":1"#.to_owned(), "", "ENABLE_CLIENT needs BASE_ADDRESS"),
            (String::new(), "", "neither client nor server is enabled"),
            (format!("{base},\"ENABLE_CLIENT\":false"), "", "neither client nor server is enabled"),
            (r#""SERVER_PORT":1,"SERVER_TOKEN":" ""#.to_owned(), SERVED, "SERVER_TOKEN is empty"),
            (
                r#""SERVER_PORT":1"#.to_owned(),
                r#""SIDE":"CLIENT""#,
                "E: SIDE is CLIENT, and nothing is asked",
            ),
            (base.to_owned(), r#""SIDE":"SERVER""#, "E: SIDE is SERVER, and nothing is served"),
            (r#""BASE_ADDRESS":"h""#.to_owned(), "", "BASE_ADDRESS is no address"),
            (format!("{base},\"TIMEOUT\":300001"), "", "TIMEOUT is from 1 to 300000"),
            (format!("{base},\"HEADERS\":\"x\""), "", "HEADERS is 'name: value; name: value'"),
            (base.to_owned(), r#""HEADERS":"x""#, "E: HEADERS is 'name: value; name: value'"),
        ] {
            let refused = parsed(&section, event).err().unwrap_or_default();
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
