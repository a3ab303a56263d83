//! Events as `lotmq watch` shows them, and how they are read from the messages that tell of them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lotmq_client::Message;
use lotmq_terminal::{Colour, Paint};
use serde_json::{Value, json};

use super::outputs::LikelyPublisher;
use super::parsed;
use crate::columns::place;
use crate::pasteable::pasteable;
use lotmq_terminal::text::printable;

/// Characters of a payload that are shown in a line.
const PAYLOAD_CHARS_MAX: usize = 120;

/// Event of one line.
#[derive(Clone, Debug)]
pub(super) struct WatchedEvent {
    at: Timestamp,
    /// `error`, `warning`, `denial`, `trace` or `value`.
    kind: &'static str,
    /// Name of the definition; of a denial the user.
    name: String,
    text: String,
    /// Whether it happened before anybody watched: the last one of its kind that the broker has
    /// kept.
    is_earlier: bool,
    /// The record as the broker told it, for machines.
    pub(super) details: Value,
}

impl WatchedEvent {
    /// The event in a line: time of this machine's zone, kind, name, text.
    pub(super) fn line(&self, paint: Paint, zone: &TimeZone) -> String {
        let time = self.at.to_zoned(zone.clone()).strftime("%H:%M:%S%.3f").to_string();
        let colour = match self.kind {
            "error" => Colour::Red,
            "denial" | "warning" => Colour::Yellow,
            "trace" => Colour::Dim,
            _ => Colour::Cyan,
        };
        let kind = paint.text(colour, &format!("{:<6}", self.kind));
        let earlier = if self.is_earlier { "earlier: " } else { "" };
        let text = printable(&self.text);
        // The text of a value or a trace is a message, not a text of the broker.
        let text = if matches!(self.kind, "error" | "warning") { pasteable(&text) } else { text };
        let guess = if self.kind == "value" && self.details["guessed"] == true { "?" } else { "" };
        let (time, name) = (paint.text(Colour::Dim, &time), printable(&self.name));
        format!("{time} {kind} {name}{guess} {earlier}{text}")
    }

    /// The event for machines.
    pub(super) fn json(&self) -> Value {
        json!({
            "time": format!("{:.3}", self.at),
            "kind": self.kind,
            "name": self.name,
            "text": self.text,
            "earlier": self.is_earlier,
            "details": self.details,
        })
    }

    /// The same as one that the broker has kept since before anybody watched.
    pub(super) fn earlier(self) -> Self {
        Self { is_earlier: true, ..self }
    }

    /// When it happened; of a value that was held back, when that ended.
    pub(super) fn at(&self) -> Timestamp {
        self.at
    }

    /// Name of the definition; of a denial the user.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Topic of a value.
    pub(super) fn topic(&self) -> &str {
        self.details["topic"].as_str().unwrap_or_default()
    }

    /// The same as the last value of its topic now, with word of values that were not shown.
    pub(super) fn behind(mut self, skipped: u64) -> Self {
        self.at = Timestamp::now();
        if skipped > 0 {
            self.text.push_str(&format!(" ({skipped} before it not shown)"));
            self.details["skipped"] = json!(skipped);
        }
        self
    }
}

/// Event of a record below `…/<kind>/<name>/Error`; `None` where it is none.
pub(super) fn error(level: &str, payload: &[u8]) -> Option<WatchedEvent> {
    let mut record = parsed(payload);
    let name = record["action"].as_str()?.to_owned();
    let place = place(&record).map_or_else(String::new, |place| format!(" at {place}"));
    let trigger = match record["trigger"]["topic"].as_str() {
        None | Some("") => String::new(),
        Some(topic) => format!("; started by {topic} = {}", cut(text(&record["trigger"]["payload"]))),
    };
    // A broker of an earlier version counts all codes together.
    let count = record["codeCount"].as_u64().or(record["count"].as_u64()).unwrap_or(1);
    let times = if count == 1 { "first time".to_owned() } else { format!("{count} times so far") };
    let said = format!("{}{place}: {} ({times}{trigger})", text(&record["code"]), text(&record["message"]));
    record["kind"] = json!(level.trim_end_matches('s'));
    Some(WatchedEvent {
        at: time(&record["timestamp"]),
        kind: "error",
        name,
        text: said,
        is_earlier: false,
        details: record,
    })
}

/// Event of a line of a module or route that is a warning; `None` for all other lines.
pub(super) fn warning(name: &str, payload: &[u8]) -> Option<WatchedEvent> {
    let line = parsed(payload);
    line["code"].as_str()?;
    Some(WatchedEvent {
        at: time(&line["ts"]),
        kind: "warning",
        name: name.to_owned(),
        text: text(&line["text"]).to_owned(),
        is_earlier: false,
        details: line,
    })
}

/// Event of a line of the log that tells what a program warns of; `None` for all other lines.
pub(super) fn program_warning(payload: &[u8]) -> Option<WatchedEvent> {
    let line = parsed(payload);
    if line["message"] != "program warned" {
        return None;
    }
    let fields = line["fields"].clone();
    let file = match text(&fields["origin"]) {
        "" | "adhoc" => String::new(),
        origin => format!("{origin}:"),
    };
    let (at, said) =
        (format!("{file}{}:{}", text(&fields["line"]), text(&fields["column"])), text(&fields["text"]));
    Some(WatchedEvent {
        at: time(&line["ts"]),
        kind: "warning",
        name: text(&fields["definition"]).to_owned(),
        text: format!("{} at {at}: {said}", text(&fields["code"])),
        is_earlier: false,
        details: fields,
    })
}

/// Event of a warning that the broker has kept, a row of `warnings` of `-brokerStatus`.
pub(super) fn kept_warning(row: &Value) -> WatchedEvent {
    let (code, message) = (text(&row["code"]), text(&row["message"]));
    let said = match place(row) {
        Some(place) => format!("{code} at {place}: {message}"),
        None => format!("{message} ({code})"),
    };
    // A lasting condition has no count of occurrences.
    let times = match row["count"].as_u64() {
        None => String::new(),
        Some(1) => " (first time)".to_owned(),
        Some(count) => format!(" ({count} times so far)"),
    };
    WatchedEvent {
        at: time(&row["timestamp"]),
        kind: "warning",
        name: text(&row["name"]).to_owned(),
        text: format!("{said}{times}"),
        is_earlier: true,
        details: row.clone(),
    }
}

/// Event of a line of the log that tells of a denial; `None` for all other lines.
pub(super) fn denial(payload: &[u8]) -> Option<WatchedEvent> {
    let line = parsed(payload);
    let what = match text(&line["message"]) {
        "denied by a rule" => "denied",
        // The subscription was granted.
        "delivery denied by a rule" => "not delivered, denied",
        _ => return None,
    };
    let fields = line["fields"].clone();
    let name = match text(&fields["user"]) {
        "" => "(anonymous)",
        user => user,
    };
    let said = format!(
        "{} {} {what} by {}, to client {}",
        text(&fields["scope"]),
        text(&fields["topic"]),
        text(&fields["by"]),
        text(&fields["client_id"])
    );
    Some(WatchedEvent {
        at: time(&line["ts"]),
        kind: "denial",
        name: name.to_owned(),
        text: said,
        is_earlier: false,
        details: fields,
    })
}

/// Event of a line of the log that tells of a connection without a login, such as one whose TLS
/// came to nothing; `None` for all other lines.
pub(super) fn refused_handshake(payload: &[u8]) -> Option<WatchedEvent> {
    let line = parsed(payload);
    if line["message"] != "handshake refused" {
        return None;
    }
    let fields = line["fields"].clone();
    let name = format!("listener {}", text(&fields["listener"]));
    let said = format!("handshake refused: {}, from {}", text(&fields["error"]), text(&fields["peer"]));
    Some(WatchedEvent {
        at: time(&line["ts"]),
        kind: "denial",
        name,
        text: said,
        is_earlier: false,
        details: fields,
    })
}

/// Event of a login that was refused; `None` for all others.
pub(super) fn refused_login(payload: &[u8]) -> Option<WatchedEvent> {
    let record = parsed(payload);
    if record["event"] != "refused" {
        return None;
    }
    let name = match text(&record["username"]) {
        "" => "(anonymous)",
        user => user,
    };
    let code = record["result"].as_u64().unwrap_or_default();
    // A broker of an earlier version does not say why.
    let reason = record["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
    let said = format!(
        "login refused with 0x{code:02x}{reason}, to client {} from {}",
        text(&record["clientId"]),
        text(&record["endpoint"])
    );
    let (at, name) = (time(&record["timestamp"]), name.to_owned());
    Some(WatchedEvent { at, kind: "denial", name, text: said, is_earlier: false, details: record })
}

/// Event of a record at the topic `Trace` of an action; `None` where it is none.
pub(super) fn trace(payload: &[u8]) -> Option<WatchedEvent> {
    let record = parsed(payload);
    let name = record["action"].as_str()?.to_owned();
    let trigger = match text(&record["trigger"]["topic"]) {
        "" => "started by no message".to_owned(),
        topic => format!("{topic} = {}", cut(text(&record["trigger"]["payload"]))),
    };
    let published = record["published"].as_array().into_iter().flatten();
    let published: Vec<String> = published
        .map(|message| format!("{} = {}", text(&message["topic"]), cut(text(&message["payload"]))))
        .collect();
    let published = if published.is_empty() { "nothing".to_owned() } else { published.join(", ") };
    let error = record["error"].as_str().map_or_else(String::new, |error| format!(": {error}"));
    let took = record["timing"]["durationMs"].as_f64().unwrap_or_default();
    // Runs of which no time is known have 0.
    let took = if took > 0.0 { format!(", {took:.1} ms") } else { String::new() };
    let said = format!("{trigger} -> {published} ({}{error}{took})", text(&record["result"]));
    let at = time(&record["timing"]["endUtc"]);
    Some(WatchedEvent { at, kind: "trace", name, text: said, is_earlier: false, details: record })
}

/// Event of a message on a topic to which a definition publishes.
pub(super) fn value(
    LikelyPublisher { names, is_guess }: &LikelyPublisher,
    message: &Message,
) -> WatchedEvent {
    let payload = message.text();
    let retained = if message.retain { " (retained)" } else { "" };
    WatchedEvent {
        at: Timestamp::now(),
        kind: "value",
        name: names.clone(),
        text: format!("{} = {}{retained}", message.topic, cut(&payload)),
        is_earlier: false,
        details: json!({ "topic": message.topic, "payload": payload, "retained": message.retain, "guessed": is_guess }),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The beginning of a payload, with a mark where there is more.
fn cut(payload: &str) -> String {
    match payload.char_indices().nth(PAYLOAD_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &payload[..end]),
        None => payload.to_owned(),
    }
}

/// Time of a record; now where it has none.
fn time(value: &Value) -> Timestamp {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(Timestamp::now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(event: Option<WatchedEvent>) -> String {
        event.unwrap().line(Paint::none(), &TimeZone::UTC)
    }

    #[test]
    fn records_of_the_broker_become_lines() {
        let record = br#"{"action":"Fail","code":"LOT602","message":"division by zero; the result is Null","line":3,"column":5,"trigger":{"topic":"in","payload":"0"},"timestamp":"2026-11-25T22:11:24.553Z","count":9,"codeCount":7}"#;
        assert_eq!(
            shown(error("Actions", record)),
            "22:11:24.553 error  Fail LOT602 at 3:5: division by zero; the result is Null (7 times so far; started by in = 0)"
        );
        let line = br#"{"ts":"2026-11-25T22:11:24.600Z","level":"warn","text":"slow (SLOW)","code":"SLOW"}"#;
        assert_eq!(shown(warning("poll", line)), "22:11:24.600 warning poll slow (SLOW)");
        let row = json!({ "kind": "Action", "name": "Hot", "code": "LOT601", "message": "odd", "line": 3, "column": 5, "count": 2,
            "timestamp": "2026-11-25T22:11:24.600Z" });
        assert_eq!(
            shown(Some(kept_warning(&row))),
            "22:11:24.600 warning Hot earlier: LOT601 at 3:5: odd (2 times so far)"
        );
        let line = br#"{"ts":"2026-11-25T22:11:24.600Z","level":"Warning","category":"lot","message":"program warned","fields":{"tenant":"default","definition":"Hot","kind":"Action","origin":"plant/hot.lot","code":"LOT601","text":"odd","line":"3","column":"5","count":"2"}}"#;
        assert_eq!(shown(program_warning(line)), "22:11:24.600 warning Hot LOT601 at plant/hot.lot:3:5: odd");
        assert!(program_warning(br#"{"message":"program failed"}"#).is_none());
        assert!(warning("poll", br#"{"ts":"x","level":"warn","text":"slow"}"#).is_none());
        let line = br#"{"ts":"2026-11-25T22:11:24.676Z","level":"Warning","category":"rules","message":"denied by a rule","fields":{"tenant":"default","user":"","client_id":"c1","scope":"Publish","topic":"valve/\u001b1","by":"rule Valves (valves.lot:3)","count":"1"}}"#;
        assert_eq!(
            shown(denial(line)),
            "22:11:24.676 denial (anonymous) Publish valve/?1 denied by rule Valves (valves.lot:3), to client c1"
        );
        let line = br#"{"ts":"2026-11-25T22:11:24.676Z","level":"Warning","category":"rules","message":"delivery denied by a rule","fields":{"user":"dashboard","client_id":"c1","scope":"Subscribe","topic":"a/b","by":"rule Rest","count":"1"}}"#;
        assert_eq!(
            shown(denial(line)),
            "22:11:24.676 denial dashboard Subscribe a/b not delivered, denied by rule Rest, to client c1"
        );
        let record = br#"{"action":"Fail","traceId":"a","trigger":{"topic":"in","payload":"7","clientId":"c"},"timing":{"startUtc":"2026-11-25T22:11:24.566Z","endUtc":"2026-11-25T22:11:24.567Z","durationMs":0.12},"published":[{"topic":"out","payload":"1"},{"topic":"7","payload":"1"}],"result":"success","error":null}"#;
        assert_eq!(
            shown(trace(record)),
            "22:11:24.567 trace  Fail in = 7 -> out = 1, 7 = 1 (success, 0.1 ms)"
        );
        assert!(denial(br#"{"message":"subscribed"}"#).is_none() && trace(b"x").is_none());
    }
}
