//! The screen of `lotmq status`: figures first, then what is not as it should be.

use std::fmt::Write as _;

use lotmq_terminal::{Colour, Paint};
use serde_json::Value;

use super::list;
use crate::columns::{age, place, size, table};
use crate::pasteable::pasteable;
use lotmq_terminal::text::printable;

/// Rows of each list; the line behind says how many more there are.
const ROWS_MAX: usize = 10;

/// The screen as text, without colours where `paint` has none.
pub(super) fn screen(condition: &Value, endpoint: &str, paint: Paint) -> String {
    let mut screen = head(condition, endpoint, paint);
    screen.push_str(&figures(condition));
    let failures: String =
        list(&condition["failures"]).iter().map(|text| format!("  {}\n", text_of(text))).collect();
    for (title, colour, body) in [
        ("FAILURES", Colour::Red, failures),
        (
            "DEFINITIONS THAT ARE STILL BEING COMPILED (messages for them wait, rules among them deny)",
            Colour::Yellow,
            compiling(&condition["coldStart"]),
        ),
        ("LISTENERS THAT ARE NOT OPEN", Colour::Red, listeners(&condition["listenersNotOpened"])),
        (
            "CERTIFICATE FILES THAT CANNOT BE USED (the former ones are in force until a restart)",
            Colour::Red,
            listeners(&condition["certificatesNotRead"]),
        ),
        ("LIMITS THAT ARE NEAR", Colour::Yellow, limits(&condition["limitsNear"])),
        ("CERTIFICATES THAT END SOON", Colour::Yellow, certificates(&condition["certificatesNear"])),
        (
            "SECRETS THAT THE KEY OF THIS BROKER DOES NOT OPEN (SECRETS_LOCKED)",
            Colour::Red,
            locked(&condition["lockedSecrets"]),
        ),
        ("LOGINS THAT WAIT AFTER WRONG PASSWORDS", Colour::Yellow, login_waits(&condition["loginWaits"])),
        (
            "ERRORS OF DEFINITIONS (of each code the last one, of routes of each message)",
            Colour::Red,
            errors(&condition["errors"]),
        ),
        (
            "WARNINGS OF DEFINITIONS (of each place the last one)",
            Colour::Yellow,
            warnings(&condition["warnings"]),
        ),
        ("DEFINITIONS THAT WAIT FOR OTHERS", Colour::Yellow, pending(&condition["pending"])),
        ("ROUTES", Colour::Cyan, routes(&condition["routes"])),
    ] {
        if !body.is_empty() {
            let _ = write!(screen, "\n{}\n{body}", paint.text(colour, title));
        }
    }
    screen
}

/// The line of `--check`, and what is wrong.
pub(super) fn check(condition: &Value, endpoint: &str, paint: Paint) -> String {
    let mut text = head(condition, endpoint, paint).trim_end().to_owned() + "\n";
    for failure in list(&condition["failures"]) {
        let _ = writeln!(text, "  {}", text_of(failure));
    }
    let compiling = compiling(&condition["coldStart"]);
    if !compiling.is_empty() {
        let _ = writeln!(text, "  still being compiled: {}", compiling.trim());
    }
    for route in super::red_routes(condition) {
        let _ = writeln!(
            text,
            "  route {} is Red: {}",
            text_of(&route["name"]),
            pasteable(&text_of(&route["reason"]))
        );
    }
    text
}

fn head(condition: &Value, endpoint: &str, paint: Paint) -> String {
    let state = condition["state"].as_str().unwrap_or_default();
    let colour = match state {
        "healthy" => Colour::Green,
        "starting" => Colour::Yellow,
        _ => Colour::Red,
    };
    let (version, state) = (text_of(&condition["version"]), paint.text(colour, state));
    let uptime = age(number(&condition["uptimeSeconds"]));
    let routes = unwell(list(&condition["routes"]), paint);
    format!("lotmq {version} at {endpoint} is {state}{routes}, up {uptime}\n\n")
}

/// Routes that are not `Green`, by their number.
fn unwell(routes: &[Value], paint: Paint) -> String {
    let count = |health: &str| routes.iter().filter(|route| route["health"] == health).count();
    let counts =
        [("Red", Colour::Red), ("Yellow", Colour::Yellow)].map(|(health, colour)| match count(health) {
            0 => None,
            count => Some(paint.text(colour, &format!("{count} {health}"))),
        });
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    if counts.is_empty() {
        return String::new();
    }
    format!(", with {} of {} routes", counts.join(" and "), routes.len())
}

/// Number of messages that wait until their delay is over, behind those that are stored.
fn delayed(messages: u64) -> String {
    if messages > 0 { format!(", {messages} delayed") } else { String::new() }
}

fn figures(condition: &Value) -> String {
    let (clients, messages) = (&condition["clients"], &condition["messages"]);
    let (store, process) = (&condition["store"], &condition["process"]);
    let rate = |name: &str| messages[name].as_f64().unwrap_or_default();
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<13}{value}");
    };
    line(
        "clients",
        format!(
            "{} connected with this one, {} sessions, {} subscriptions",
            clients["connected"], clients["sessions"], clients["subscriptions"]
        ),
    );
    line(
        "messages",
        format!(
            "{:.1}/s in, {:.1}/s out, {:.1}/s dropped (means of a minute); since the start {} in, {} out, {} dropped",
            rate("receivedPerSecond"),
            rate("sentPerSecond"),
            rate("droppedPerSecond"),
            messages["received"],
            messages["sent"],
            messages["dropped"]
        ),
    );
    let routes = list(&condition["routes"]);
    if !routes.is_empty() {
        let sum = |figure: &str| routes.iter().map(|route| number(&route[figure])).sum::<u64>();
        let (brought, delivered) = (sum("received"), sum("delivered"));
        let rate = |figure: &str| {
            routes.iter().filter_map(|route| route[figure].as_f64()).fold(0.0, |all, of| all + of)
        };
        line(
            "of routes",
            format!(
                "{:.1}/s brought, {:.1}/s delivered to other systems; since the start {brought} brought, {delivered} delivered",
                rate("receivedPerSecond"),
                rate("deliveredPerSecond")
            ),
        );
    }
    line("definitions", definitions(&condition["definitions"]));
    line(
        "store",
        format!(
            "{}, {} messages stored, {} retained",
            size(number(&store["bytes"])),
            store["storedMessages"],
            messages["retained"]
        ) + &delayed(number(&messages["delayed"]))
            + &damage(store),
    );
    let cpu = process["cpuPercent"].as_f64().unwrap_or_default();
    let private = number(&process["privateBytes"]);
    let private = if private > 0 { format!(" ({} of it private)", size(private)) } else { String::new() };
    let memory = size(number(&process["memoryBytes"]));
    line("process", format!("{memory} of memory{private}, {cpu:.1} % of a core"));
    if number(&condition["denials"]["count"]) > 0 {
        line("denied", denials(&condition["denials"]));
    }
    logins(condition).into_iter().for_each(|(name, value)| line(name, value));
    if let Some(zone) = condition["timeZone"].as_str() {
        line("time zone", printable(zone));
    }
    text
}

/// Lines about logins: those that were refused, and what each external login module answered.
fn logins(condition: &Value) -> Vec<(&'static str, String)> {
    let refused = Some(&condition["refusedLogins"]).filter(|refused| number(&refused["count"]) > 0);
    let modules = list(&condition["loginModules"]).iter().filter(|module| is_external_module(module));
    let refused = refused.map(|refused| ("logins", refused_logins(refused)));
    refused.into_iter().chain(modules.map(|module| ("module", login_module(module)))).collect()
}

/// Whether a login module is another one than the user store, which each broker has.
fn is_external_module(module: &Value) -> bool {
    module["name"] != "builtin"
}

/// Logins by a login module, by result, and its last error.
fn login_module(module: &Value) -> String {
    let [asked, allowed, denied, continued, failed] =
        ["asked", "allowed", "denied", "continued", "failed"].map(|key| number(&module[key]));
    let name = text_of(&module["name"]);
    let error = match text_of(&module["lastError"]) {
        error if module["lastError"].is_null() || error.is_empty() => String::new(),
        error => format!("; last error: {error}"),
    };
    let answers =
        module["answerMs"].as_f64().map(|ms| format!(", answers in {ms} ms on average")).unwrap_or_default();
    format!(
        "{name} was asked about {asked} logins: {allowed} allowed, {denied} denied, {continued} passed on, {failed} failed{answers}{error}"
    )
}

/// Denials by rules: their number, and the last one.
fn denials(denials: &Value) -> String {
    let last = &denials["last"];
    let user = if last["user"].is_null() { "(anonymous)".to_owned() } else { text_of(&last["user"]) };
    let (scope, topic, at) = (text_of(&last["scope"]), text_of(&last["topic"]), text_of(&last["timestamp"]));
    let what = if topic.is_empty() { scope } else { format!("{scope} {topic}") };
    format!(
        "{} since the start; the last one: {user}, {what}, {at} (lotmq watch shows who denies)",
        denials["count"]
    )
}

/// Refused logins: their number, and the last one.
fn refused_logins(refused: &Value) -> String {
    let last = &refused["last"];
    let [client, from, why, at] =
        ["clientId", "endpoint", "reason", "timestamp"].map(|key| text_of(&last[key]));
    format!(
        "{} refused since the start; the last one: client {client} from {from}, {why}, {at} (lotmq watch shows them)",
        refused["count"]
    )
}

/// Damage of the store, where there is any.
fn damage(store: &Value) -> String {
    let (rows, found) = (number(&store["quarantinedRows"]), number(&store["damagedFound"]));
    if rows + found == 0 {
        return String::new();
    }
    format!("; DAMAGED: {rows} rows put aside, {found} damaged messages found")
}

/// Definitions by kind: `2 Action (1 with errors), 1 Rule`.
fn definitions(definitions: &Value) -> String {
    let kinds = definitions.as_object().into_iter().flatten().map(|(kind, of)| {
        let failing = number(&of["withErrors"]);
        let failing = if failing > 0 { format!(" ({failing} with errors)") } else { String::new() };
        format!("{} {kind}{failing}", of["count"])
    });
    let kinds: Vec<String> = kinds.collect();
    if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") }
}

fn listeners(listeners: &Value) -> String {
    rows(listeners, "/health has them all", |listener| {
        [String::new(), text_of(&listener["listener"]), text_of(&listener["reason"])]
    })
    .map_or_else(String::new, |(rows, more)| table(["", "LISTENER", "REASON"], &rows, &[]) + &more)
}

fn limits(limits: &Value) -> String {
    rows(limits, "--json has them all", |limit| {
        [
            String::new(),
            text_of(&limit["limit"]),
            text_of(&limit["used"]),
            text_of(&limit["max"]),
            format!("{} %", limit["percent"]),
        ]
    })
    .map_or_else(String::new, |(rows, more)| {
        table(["", "LIMIT", "USED", "OF", ""], &rows, &[2, 3, 4]) + &more
    })
}

fn certificates(certificates: &Value) -> String {
    rows(certificates, "--json has them all", |of| {
        let left = if of["expired"] == true {
            "expired: clients refuse it".to_owned()
        } else {
            format!("{} days left", of["daysLeft"])
        };
        [String::new(), text_of(&of["listener"]), text_of(&of["until"]), left]
    })
    .map_or_else(String::new, |(rows, more)| table(["", "LISTENER", "GOOD UNTIL", ""], &rows, &[]) + &more)
}

fn login_waits(waits: &Value) -> String {
    rows(waits, "--json has them all", |wait| {
        let user = if wait["user"].is_null() { "(no such user)".to_owned() } else { text_of(&wait["user"]) };
        [String::new(), user, text_of(&wait["from"]), text_of(&wait["failures"]), text_of(&wait["until"])]
    })
    .map_or_else(String::new, |(rows, more)| {
        table(["", "USER", "FROM", "FAILURES", "UNTIL"], &rows, &[3]) + &more
    })
}

fn locked(names: &Value) -> String {
    rows(names, "lotmq cmd -listSecrets has all names", |name| [String::new(), text_of(name)])
        .map_or_else(String::new, |(rows, more)| table(["", "NAME"], &rows, &[]) + &more)
}

fn errors(errors: &Value) -> String {
    // Those that are over last: what is cut off are they.
    let mut sorted = list(errors).to_vec();
    sorted.sort_by_key(|error| error["over"] == true);
    rows(&sorted.into(), "--json has them all", |error| {
        let place = place(error).unwrap_or_default();
        [
            String::new(),
            text_of(&error["kind"]),
            text_of(&error["name"]),
            text_of(&error["code"]),
            place,
            text_of(&error["count"]),
            text_of(&error["timestamp"]) + if error["over"] == true { " over" } else { "" },
            text_of(&error["message"]),
        ]
    })
    .map_or_else(String::new, |(rows, more)| {
        table(["", "KIND", "NAME", "CODE", "PLACE", "COUNT", "LAST", "MESSAGE"], &rows, &[5]) + &more
    })
}

fn warnings(warnings: &Value) -> String {
    rows(warnings, "--json has them all", |warning| {
        [
            String::new(),
            text_of(&warning["kind"]),
            text_of(&warning["name"]),
            text_of(&warning["code"]),
            place(warning).unwrap_or_default(),
            text_of(&warning["count"]),
            text_of(&warning["message"]),
        ]
    })
    .map_or_else(String::new, |(rows, more)| {
        table(["", "KIND", "NAME", "CODE", "PLACE", "COUNT", "MESSAGE"], &rows, &[5]) + &more
    })
}

/// Definitions of the start whose native code is not there yet.
fn compiling(compiling: &Value) -> String {
    let names: Vec<String> = list(&compiling["names"]).iter().map(text_of).collect();
    if names.is_empty() {
        return String::new();
    }
    let more = match number(&compiling["left"]).saturating_sub(names.len() as u64) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (left, all) = (number(&compiling["left"]), number(&compiling["all"]));
    let mut text = format!("  {left} of {all}: {}{more}\n", names.join(", "));
    for retry in list(&compiling["retries"]) {
        let (name, failures) = (text_of(&retry["name"]), number(&retry["failures"]));
        let _ = writeln!(text, "  {name} has failed {failures} times: {}", text_of(&retry["reason"]));
    }
    text
}

fn pending(pending: &Value) -> String {
    rows(pending, "lotmq cmd -getPendingStatus has them all", |row| {
        let missing: Vec<String> = list(&row["missing"]).iter().map(text_of).collect();
        [String::new(), text_of(&row["kind"]), text_of(&row["name"]), missing.join(", ")]
    })
    .map_or_else(String::new, |(rows, more)| table(["", "KIND", "NAME", "WAITS FOR"], &rows, &[]) + &more)
}

fn routes(routes: &Value) -> String {
    // Those that are not well first: what is cut off are others.
    let mut sorted = list(routes).to_vec();
    sorted.sort_by_key(|route| match route["health"].as_str() {
        Some("Red") => 0,
        Some("Yellow") => 1,
        Some(_) | None => 2,
    });
    rows(&sorted.into(), "lotmq routes has them all", |route| {
        let mut cells = <[String; 17]>::default();
        cells[1..].clone_from_slice(&crate::routes::row(route));
        cells
    })
    .map_or_else(String::new, |(rows, more)| {
        let mut head = [""; 17];
        head[1..].copy_from_slice(&crate::routes::HEAD);
        table(head, &rows, &[5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]) + &more
    })
}

/// The first rows of a list, and a line that says how many more there are and who has them; `None`
/// for an empty list.
fn rows<const N: usize>(
    all: &Value,
    place: &str,
    row: impl Fn(&Value) -> [String; N],
) -> Option<(Vec<[String; N]>, String)> {
    let all = list(all);
    let rows: Vec<[String; N]> = all.iter().take(ROWS_MAX).map(row).collect();
    let left = all.len().saturating_sub(ROWS_MAX);
    let more = if left > 0 { format!("  and {left} more; {place}\n") } else { String::new() };
    (!rows.is_empty()).then_some((rows, more))
}

/// A text or number for people; nothing for `null`.
fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => printable(text),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn routes_that_are_not_well_are_not_cut_off() {
        let route = |number: usize| {
            let health = match number {
                11 => "Yellow",
                12 => "Red",
                _ => "Green",
            };
            json!({"name": format!("R{number}"), "health": health})
        };
        let table = routes(&(0..13).map(route).collect());
        let names: Vec<&str> =
            table.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(names[..3], ["R12", "R11", "R0"]);
        assert_eq!(names.len(), 11, "{table}");
    }

    #[test]
    fn errors_that_are_over_stand_behind_the_others() {
        let error = |number: usize| json!({"name": format!("E{number}"), "over": number < 9});
        let table = errors(&(0..12).map(error).collect());
        let names: Vec<&str> =
            table.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(names[..4], ["E9", "E10", "E11", "E0"]);
        assert_eq!(names.len(), 11, "{table}");
    }

    #[test]
    fn status_screen_lists_problems_after_the_figures() {
        let condition = json!({
            "version": "1.0", "uptimeSeconds": 61, "timeZone": "Europe/Berlin", "state": "failing", "failures": ["nothing can be stored"],
            "clients": {"connected": 2, "sessions": 3, "subscriptions": 4},
            "messages": {"received": 10, "sent": 20, "dropped": 0, "receivedPerSecond": 1.26, "sentPerSecond": 2.0,
                "droppedPerSecond": 0.0, "retained": 5},
            "store": {"bytes": 1_048_576, "storedMessages": 6, "quarantinedRows": 0, "damagedFound": 0},
            "process": {"memoryBytes": 2048, "privateBytes": 1024, "cpuPercent": 1.5},
            "definitions": {"Action": {"count": 2, "withErrors": 1}, "Rule": {"count": 1, "withErrors": 0}},
            "listenersNotOpened": [], "pending": [],
            "denials": {"count": 3, "last": {"user": null, "scope": "Publish", "topic": "valve/1", "timestamp": "2026-11-25T22:11:20.000Z"}},
            "loginModules": [{"name": "builtin", "asked": 1, "allowed": 1, "denied": 0, "continued": 0, "failed": 0, "lastError": null},
                {"name": "jwt", "asked": 7, "allowed": 3, "denied": 2, "continued": 1, "failed": 1, "answerMs": 12.5, "lastError": "no keys"}],
            "refusedLogins": {"count": 2, "last": {"clientId": "c1", "endpoint": "192.0.2.1:5", "reason": "not allowed", "timestamp": "2026-11-25T22:11:21.000Z"}},
            "routes": [
                {"name": "Db", "type": "POSTGRESQL", "connection": "Reconnecting", "health": "Red", "delivered": 30, "received": 0, "waiting": 12, "oldestSeconds": 75,
                    "failed": 2, "deadLetters": 1, "reason": "no such table"},
                {"name": "Up", "type": "MQTT_BRIDGE", "connection": "Connected", "health": "Green", "delivered": 40, "received": 5, "receivedPerSecond": 0.1, "lastReceivedSeconds": 13, "waiting": 0, "failed": 0, "deadLetters": 0},
            ],
            "loginWaits": [{"user": "ann", "from": "192.0.2.1", "failures": 6, "secondsLeft": 2, "until": "2026-11-25T22:11:24.553Z"},
                {"user": null, "from": "unix", "failures": 12, "secondsLeft": 1, "until": "2026-11-25T22:11:23.553Z"}],
            "limitsNear": [{"limit": "sessions", "used": 9, "max": 10, "percent": 90}],
            "errors": [{"kind": "Action", "name": "Hot", "code": "LOT602", "file": "line.lot", "line": 3, "column": 5, "count": 7,
                "timestamp": "2026-11-25T22:11:24.553Z", "message": "division by zero"},
                {"kind": "Route", "name": "Up", "code": "ROUTE_AWAY", "count": 1, "over": true,
                "timestamp": "2026-11-25T22:00:00.000Z", "message": "connection refused"}],
            "warnings": [{"kind": "Action", "name": "Hot", "code": "LOT601", "file": "line.lot", "line": 4, "column": 9, "count": 2,
                "message": "a number was compared with something else as text"}],
        });
        let expected = "\
lotmq 1.0 at 127.0.0.1:1883 is failing, with 1 Red of 2 routes, up 1m01s

clients      2 connected with this one, 3 sessions, 4 subscriptions
messages     1.3/s in, 2.0/s out, 0.0/s dropped (means of a minute); since the start 10 in, 20 out, 0 dropped
of routes    0.1/s brought, 0.0/s delivered to other systems; since the start 5 brought, 70 delivered
definitions  2 Action (1 with errors), 1 Rule
store        1.0 MiB, 6 messages stored, 5 retained
process      2.0 KiB of memory (1.0 KiB of it private), 1.5 % of a core
denied       3 since the start; the last one: (anonymous), Publish valve/1, 2026-11-25T22:11:20.000Z (lotmq watch shows who denies)
logins       2 refused since the start; the last one: client c1 from 192.0.2.1:5, not allowed, 2026-11-25T22:11:21.000Z (lotmq watch shows them)
module       jwt was asked about 7 logins: 3 allowed, 2 denied, 1 passed on, 1 failed, answers in 12.5 ms on average; last error: no keys
time zone    Europe/Berlin

FAILURES
  nothing can be stored

LIMITS THAT ARE NEAR
  LIMIT     USED  OF
  sessions     9  10  90 %

LOGINS THAT WAIT AFTER WRONG PASSWORDS
  USER            FROM       FAILURES  UNTIL
  ann             192.0.2.1         6  2026-11-25T22:11:24.553Z
  (no such user)  unix             12  2026-11-25T22:11:23.553Z

ERRORS OF DEFINITIONS (of each code the last one, of routes of each message)
  KIND    NAME  CODE        PLACE         COUNT  LAST                           MESSAGE
  Action  Hot   LOT602      line.lot:3:5      7  2026-11-25T22:11:24.553Z       division by zero
  Route   Up    ROUTE_AWAY                    1  2026-11-25T22:00:00.000Z over  connection refused

WARNINGS OF DEFINITIONS (of each place the last one)
  KIND    NAME  CODE    PLACE         COUNT  MESSAGE
  Action  Hot   LOT601  line.lot:4:9      2  a number was compared with something else as text

ROUTES
  NAME  TYPE         CONNECTION    HEALTH  DELIVERED  /S  LATENCY  RECEIVED   /S  LAST  FAILED  WAITING  OLDEST  DEAD  DROPPED
  Db    POSTGRESQL   Reconnecting  Red            30   0                  0    0             2       12   1m15s     1        0  no such table
  Up    MQTT_BRIDGE  Connected     Green          40   0                  5  0.1   13s       0        0             0        0
";
        assert_eq!(screen(&condition, "127.0.0.1:1883", Paint::none()), expected);
    }
}
