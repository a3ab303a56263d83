//! Connector to Graphite: each message becomes a line of the plaintext protocol, `path value time`.
//!
//! The protocol has no answers. A line counts as delivered when the connection has taken it.

use std::cell::RefCell;
use std::io::Write as _;

use lotmq_guest::route::{
    Abilities, Addressee, Connection, Delivery, Description, Failure, Receipt, Route, Template, ambient,
    deliver_each, failure,
};
use serde_json::Value;

lotmq_guest::manifest!("endpoint:127.0.0.1:*");

/// Longest wait for the server, in milliseconds.
const TIMEOUT_MS: u32 = 5_000;

struct Graphite;

/// Open route.
struct Open {
    connection: Connection,
    prefix: String,
    metrics: Vec<Metric>,
}

/// An event of the route.
struct Metric {
    event: String,
    path: Template,
    value: Option<Template>,
    decimals: Option<usize>,
}

thread_local! {
    static OPEN: RefCell<Option<Open>> = const { RefCell::new(None) };
}

impl Route for Graphite {
    // The settings are in `route.toml`.
    fn describe() -> Description {
        Description { configuration: "{}".to_owned(), abilities: Abilities::DELIVER }
    }

    fn open(configuration: String) -> Result<(), Failure> {
        let fatal = |reason: String| Failure::Fatal(reason);
        let settings: Value =
            serde_json::from_str(&configuration).map_err(|error| fatal(error.to_string()))?;
        let mut metrics = Vec::new();
        for (event, settings) in settings["events"].as_object().into_iter().flatten() {
            let path = template("PATH", &settings["PATH"]);
            metrics.push(Metric {
                event: event.clone(),
                path: path.ok_or_else(|| fatal(format!("event {event}: PATH is no text")))?,
                value: template("VALUE", &settings["VALUE"]),
                decimals: settings["ROUND"].as_u64().and_then(|count| usize::try_from(count).ok()),
            });
        }
        let prefix = settings["sections"]["GRAPHITE_CONFIG"]["PREFIX"].as_str().unwrap_or_default();
        let connection = Connection::open("graphite", TIMEOUT_MS).map_err(|error| failure(&error))?;
        OPEN.set(Some(Open { connection, prefix: prefix.to_owned(), metrics }));
        Ok(())
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        OPEN.with_borrow_mut(|open| {
            let open = open.as_mut().ok_or_else(|| Failure::Reconnect("it is not open".to_owned()))?;
            deliver_each(&batch, |delivery| open.write(delivery))
        })
    }
}

impl Open {
    fn write(&mut self, delivery: &Delivery) -> Result<(), Failure> {
        let Addressee::Event(event) = &delivery.to else {
            return Err(Failure::Reject("the route has events only".to_owned()));
        };
        let metric = self.metrics.iter().find(|metric| metric.event == *event);
        let metric = metric.ok_or_else(|| Failure::Reject(format!("there is no event {event}")))?;
        let line = metric.line(&self.prefix, delivery)?;
        self.connection.write_all(line.as_bytes()).map_err(|error| Failure::Reconnect(error.to_string()))
    }
}

impl Metric {
    fn line(&self, prefix: &str, delivery: &Delivery) -> Result<String, Failure> {
        let path = format!("{prefix}.{}", self.path.filled(delivery));
        if path.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
            return Err(Failure::Reject(format!("'{path}' is no path of a metric")));
        }
        let text = match &self.value {
            Some(value) => value.filled(delivery),
            None => String::from_utf8_lossy(&delivery.message.payload).into_owned(),
        };
        let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        let number = number.ok_or_else(|| Failure::Reject(format!("'{text}' is no number")))?;
        let seconds = ambient::now_ms() / 1_000;
        Ok(match self.decimals {
            Some(decimals) => format!("{path} {number:.decimals$} {seconds}\n"),
            None => format!("{path} {number} {seconds}\n"),
        })
    }
}

/// Reads a setting: a text, or the texts between its placeholders with their names.
fn template(setting: &str, said: &Value) -> Option<Template> {
    let texts = |member: &str| -> Option<Vec<String>> {
        said[member].as_array()?.iter().map(|text| Some(text.as_str()?.to_owned())).collect()
    };
    match said.as_str() {
        Some(text) => Some(Template::plain(setting, text)),
        None => Template::new(setting, texts("template")?, texts("placeholders")?),
    }
}

lotmq_guest::export_route!(Graphite);
