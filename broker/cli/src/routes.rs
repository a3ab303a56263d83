//! `lotmq routes`: the routes of a broker, how they are connected, and what waits for them.

use clap::Args;
use lotmq_connect::ConnectArgs;
use lotmq_terminal::text::printable;
use lotmq_terminal::{Colour, Exit, Paint, output, seconds};
use serde_json::Value;

use crate::cmd::{asked, connect_within};
use crate::columns::{self, age};
use crate::pasteable::pasteable;

/// Show the routes of a broker: how they are connected and what waits for them.
///
/// As in: lotmq routes.
///
/// DELIVERED are messages that the other side has got, /S how many in a second lately, LATENCY the
/// mean time that took them, RECEIVED those that came from there, answers included, LAST the time
/// since the last of these, FAILED those that never pass or found no room, WAITING those that the
/// other side does not have yet, OLDEST the time for which the first of them has waited, DEAD those
/// that were given up and are kept (`lotmq cmd -listDeadLetters NAME`), DROPPED those that are not
/// kept because there were too many. Behind a route that is not connected stands the reason.
/// `lotmq cmd -skipWaiting NAME` takes the oldest that waits out and makes a dead letter of it.
///
/// Exit codes: 0 done, 1 the broker says no, 2 wrong usage, 3 no broker or no reply.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct RoutesArgs {
    /// Only the route of this name
    name: Option<String>,
    /// Print JSON: one object for each route, one line each
    #[arg(long)]
    json: bool,
    /// Seconds to wait for the reply
    #[arg(long, default_value_t = 15.0, value_parser = seconds)]
    timeout: f64,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

pub(crate) fn routes(args: &RoutesArgs) -> anyhow::Result<Exit> {
    let mut client = connect_within(&args.connect, args.timeout)?;
    let reply = asked(&mut client, "-listRoutes", args.timeout);
    client.disconnect().ok();
    let reply = match reply? {
        Ok(reply) => reply,
        Err(exit) => return Ok(exit),
    };
    let mut routes = reply.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
    if let Some(name) = &args.name {
        routes.retain(|route| route["name"] == **name);
        if routes.is_empty() {
            output::error(&format!("there is no route `{name}`"));
            return Ok(Exit::Failure);
        }
    }
    if args.json {
        routes.iter().try_for_each(|route| output::line(&route.to_string()))?;
        return Ok(Exit::Success);
    }
    if routes.is_empty() {
        output::note("there are no routes");
        return Ok(Exit::Success);
    }
    let table = match columns::terminal_size() {
        Some((width, _)) => table_within(&routes, width),
        None => table(&routes),
    };
    output::painted_line(&coloured_health(table.trim_end(), Paint::of_stdout()))?;
    Ok(Exit::Success)
}

/// The table with the health of each route coloured, which is the first of these words in its line.
fn coloured_health(table: &str, paint: Paint) -> String {
    let coloured = |line: &str| {
        let of = [("Red", Colour::Red), ("Yellow", Colour::Yellow), ("Green", Colour::Green)];
        // Of a narrow table it may be the last word.
        let place = |word: &str| {
            let at_end = line.strip_suffix(&format!(" {word}")).map(str::len);
            line.find(&format!(" {word} ")).or(at_end)
        };
        let places = of.iter().filter_map(|(word, colour)| Some((place(word)?, word, colour)));
        match places.min_by_key(|(at, ..)| *at) {
            Some((at, word, colour)) => {
                let (before, behind) = (&line[..=at], &line[at + 1 + word.len()..]);
                format!("{before}{}{behind}", paint.text(*colour, word))
            }
            None => line.to_owned(),
        }
    };
    table.lines().map(coloured).collect::<Vec<_>>().join("\n")
}

/// Heads of the columns of routes, of which [`row`] has the cells.
pub(crate) const HEAD: [&str; 16] = [
    "NAME",
    "TYPE",
    "CONNECTION",
    "HEALTH",
    "DELIVERED",
    "/S",
    "LATENCY",
    "RECEIVED",
    "/S",
    "LAST",
    "FAILED",
    "WAITING",
    "OLDEST",
    "DEAD",
    "DROPPED",
    "",
];

/// Columns of figures.
const FIGURES: [usize; 11] = [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14];

/// Table of routes, each column as wide as it needs to be.
pub(crate) fn table(routes: &[Value]) -> String {
    let rows: Vec<[String; 16]> = routes.iter().map(row).collect();
    columns::table(HEAD, &rows, &FIGURES)
}

/// Columns that stay at the terminal, whatever is in them: those of names and states.
const SHOWN_ALWAYS: usize = 4;

/// Table for a terminal of this width. If it is too wide, columns go that have nothing in any row;
/// then each reason stands below its route.
fn table_within(routes: &[Value], width: usize) -> String {
    let fits = |table: &str| table.lines().all(|line| line.chars().count() <= width);
    let whole = table(routes);
    if fits(&whole) {
        return whole;
    }
    let rows: Vec<[String; 16]> = routes.iter().map(row).collect();
    let reason = HEAD.len() - 1;
    let is_empty = |column: usize| rows.iter().all(|row| matches!(&*row[column], "" | "0"));
    let mut shown: Vec<usize> =
        (0..=reason).filter(|column| *column < SHOWN_ALWAYS || !is_empty(*column)).collect();
    let narrow = columns::table_of(&shown, HEAD, &rows, &FIGURES);
    if fits(&narrow) {
        return narrow;
    }
    shown.retain(|column| *column != reason);
    let narrow = columns::table_of(&shown, HEAD, &rows, &FIGURES);
    let below = |row: &[String; 16]| match &*row[reason] {
        "" => String::new(),
        text => format!("    {}\n", printable(text)),
    };
    let reasons = std::iter::once(String::new()).chain(rows.iter().map(below));
    narrow.lines().zip(reasons).map(|(line, reason)| format!("{line}\n{reason}")).collect()
}

/// Row of a route.
pub(crate) fn row(route: &Value) -> [String; 16] {
    let text = |name: &str| route[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| route[name].as_u64().unwrap_or_default().to_string();
    let time = |name: &str| route[name].as_u64().map_or_else(String::new, age);
    [
        text("name"),
        text("type"),
        text("connection"),
        text("health"),
        number("delivered"),
        rate(&route["deliveredPerSecond"]),
        latency(&route["latencyMs"]),
        number("received"),
        rate(&route["receivedPerSecond"]),
        time("lastReceivedSeconds"),
        number("failed"),
        waiting(route),
        time("oldestSeconds"),
        number("deadLetters"),
        number("deadLettersDropped"),
        pasteable(&text("reason")),
    ]
}

/// Number of messages that wait; those of memory alone end with the broker.
fn waiting(route: &Value) -> String {
    match (route["waiting"].as_u64().unwrap_or_default(), route["buffer"].as_str()) {
        (0, _) | (_, None) => route["waiting"].as_u64().unwrap_or_default().to_string(),
        (waiting, Some(buffer)) => format!("{waiting} {buffer}"),
    }
}

/// A rate; those below 10 with a digit behind the point.
fn rate(value: &Value) -> String {
    match value.as_f64().unwrap_or_default() {
        0.0 => "0".to_owned(),
        rate if rate < 10.0 => format!("{rate:.1}"),
        rate => format!("{rate:.0}"),
    }
}

/// A time of so many milliseconds; nothing where there is none.
fn latency(value: &Value) -> String {
    match value.as_u64() {
        None => String::new(),
        Some(ms) if ms < 10_000 => format!("{ms}ms"),
        Some(ms) => age(ms / 1000),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_narrow_terminal_gets_no_empty_columns_and_reasons_on_lines_of_their_own() {
        let route = |name: &str, reason: Option<&str>| json!({"name":name,"type":"MODBUS_TCP","connection":"Connected","health":"Green","delivered":7,"waiting":0,"reason":reason});
        let routes = [route("Line", None), route("Press", Some("nothing listens there (10.0.0.7:502)"))];
        assert_eq!(table_within(&routes, 200), table(&routes));
        assert_eq!(
            table_within(&routes, 100),
            "NAME   TYPE        CONNECTION  HEALTH  DELIVERED\n\
             Line   MODBUS_TCP  Connected   Green           7\n\
             Press  MODBUS_TCP  Connected   Green           7  nothing listens there (10.0.0.7:502)\n"
        );
        assert_eq!(
            table_within(&routes, 60),
            "NAME   TYPE        CONNECTION  HEALTH  DELIVERED\n\
             Line   MODBUS_TCP  Connected   Green           7\n\
             Press  MODBUS_TCP  Connected   Green           7\n\
             \x20   nothing listens there (10.0.0.7:502)\n"
        );
    }

    #[test]
    fn columns_are_as_wide_as_they_need_to_be() {
        let routes = [
            json!({"name":"Line","type":"MODBUS_TCP","connection":"Connected","health":"Green","delivered":0,"received":12345,"receivedPerSecond":80.2,"deliveredPerSecond":0.0,"latencyMs":null,"lastReceivedSeconds":0,"failed":0,"waiting":0,"oldestSeconds":null,"deadLetters":0,"deadLettersDropped":0,"reason":null}),
            json!({"name":"ToTheCloud","type":"MQTT_BRIDGE","connection":"Reconnecting","health":"Red","delivered":7,"deliveredPerSecond":0.4,"latencyMs":12,"received":0,"failed":2,"waiting":1200,"oldestSeconds":93784,"deadLetters":2,"deadLettersDropped":17,"reason":"it is stopped; -run ToTheCloud starts it"}),
        ];
        assert_eq!(
            table(&routes),
            "NAME        TYPE         CONNECTION    HEALTH  DELIVERED   /S  LATENCY  RECEIVED  /S  LAST  FAILED  WAITING  OLDEST  DEAD  DROPPED\n\
             Line        MODBUS_TCP   Connected     Green           0    0              12345  80    0s       0        0             0        0\n\
             ToTheCloud  MQTT_BRIDGE  Reconnecting  Red             7  0.4     12ms         0   0             2     1200   1d02h     2       17  it is stopped; lotmq cmd -run ToTheCloud starts it\n"
        );
    }
}
