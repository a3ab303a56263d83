//! `lotmq status`: how a running broker is, on one screen.

mod screen;

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use lotmq_client::{Client, ClientError};
use lotmq_connect::ConnectArgs;
use lotmq_terminal::{Exit, Paint, output, seconds};
use serde_json::{Map, Value, json};

use crate::cmd::{asked, connect_within};
use crate::foreign::NotLotmq;

/// Show how a running broker is: clients, rates, definitions and their errors, routes, store, and
/// what is wrong or nearly full.
///
/// As in: lotmq status, or in a script: lotmq status --json | jq .state, or of another broker:
/// lotmq status -L mqtts://admin:secret@plant.example. Problems follow the figures: failures,
/// listeners that are not open, the last error of each code of each definition and of each message
/// of routes, with its line and count. Then follow warnings, definitions that wait for others,
/// routes, and limits of which 80 % or more are used. Rates are means of about a minute, taken
/// every ten seconds. It needs a user who may configure the system; without -u that is root, as in
/// `lotmq cmd`.
///
/// Healthy is a broker whose /health says so: its store takes what is to be stored, its threads go
/// on, and its listeners for clients are open. Errors of programs and routes that are not connected
/// change nothing about that; routes that are not Green stand beside it in the first line. The
/// error of a route that works again is marked `over` and stands behind the others.
///
/// For monitoring there is --check: one line, and exit code 1 where a route is Red, too. As in:
/// lotmq status --check || alarm.
///
/// Exit codes: 0 healthy, 1 not healthy or not reachable, with --check also where a route is Red, 2
/// wrong usage.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct StatusArgs {
    /// Print JSON: one object; of a broker that is not reachable with `state` and `reason`
    #[arg(long)]
    json: bool,
    /// Print the first line alone, and the name and reason of each route that is Red, which makes
    /// the exit code 1, too
    #[arg(long)]
    check: bool,
    /// Seconds to wait for each reply
    #[arg(long, default_value_t = 15.0, value_parser = seconds)]
    timeout: f64,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

pub(crate) fn status(args: &StatusArgs) -> anyhow::Result<Exit> {
    let condition = match ask(args) {
        Ok(Ok(condition)) => condition,
        Ok(Err(_)) => return Ok(Exit::Failure),
        Err(error) if error.is::<ClientError>() || error.is::<NotLotmq>() => {
            let reason = crate::told(&error);
            if args.json {
                output::line(&json!({ "state": "unreachable", "reason": reason }).to_string())?;
            }
            output::error(&reason);
            return Ok(Exit::Failure);
        }
        Err(error) => return Err(error),
    };
    if args.json {
        output::line(&condition.to_string())?;
    } else {
        let (endpoint, paint) = (args.connect.endpoint()?.to_string(), Paint::of_stdout());
        let screen = if args.check { screen::check } else { screen::screen };
        output::painted_line(screen(&condition, &endpoint, paint).trim_end())?;
    }
    let has_red = args.check && red_routes(&condition).next().is_some();
    Ok(if condition["state"] == "healthy" && !has_red { Exit::Success } else { Exit::Failure })
}

/// Routes that are `Red`.
fn red_routes(condition: &Value) -> impl Iterator<Item = &Value> {
    list(&condition["routes"]).iter().filter(|route| route["health"] == "Red")
}

/// Returns the broker's own status: the data of `-brokerStatus` with `definitions`, `pending` and
/// `routes`. After an error it prints the reason and returns the exit code.
fn ask(args: &StatusArgs) -> anyhow::Result<Result<Value, Exit>> {
    let mut client = connect_within(&args.connect, args.timeout)?;
    let outcome = ask_all(&mut client, args.timeout);
    client.disconnect().ok();
    outcome
}

fn ask_all(client: &mut Client, timeout: f64) -> anyhow::Result<Result<Value, Exit>> {
    let mut data = Vec::new();
    for command in ["-brokerStatus", "-listEntities", "-getPendingStatus", "-listRoutes"] {
        match asked(client, command, timeout)? {
            Ok(mut reply) => data.push(reply["data"].take()),
            Err(exit) => return Ok(Err(exit)),
        }
    }
    let [mut condition, entities, pending, routes] =
        <[Value; 4]>::try_from(data).expect("each command has a reply");
    condition["definitions"] = definitions(&entities, &condition["errors"]);
    condition["pending"] = pending;
    condition["routes"] = routes;
    Ok(Ok(condition))
}

/// Numbers of definitions by kind: all, and those with an error.
fn definitions(entities: &Value, errors: &Value) -> Value {
    let mut kinds: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for entity in list(entities) {
        kinds.entry(entity["type"].as_str().unwrap_or_default()).or_default().0 += 1;
    }
    let failing = list(errors).iter().filter(|error| error["over"] != true);
    let failing: BTreeSet<[&str; 2]> =
        failing.map(|error| ["kind", "name"].map(|key| error[key].as_str().unwrap_or_default())).collect();
    for [kind, _] in failing {
        kinds.entry(kind).or_default().1 += 1;
    }
    let rows = kinds
        .into_iter()
        .map(|(kind, (count, failing))| (kind.to_owned(), json!({ "count": count, "withErrors": failing })));
    Value::Object(rows.collect::<Map<_, _>>())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_counted_by_kind() {
        let entities = json!([{"type": "Action"}, {"type": "Action"}, {"type": "Python"}]);
        // Of one definition there may be several.
        let errors = json!([{"kind": "Action", "name": "A"}, {"kind": "Action", "name": "A"}]);
        assert_eq!(
            definitions(&entities, &errors),
            json!({"Action": {"count": 2, "withErrors": 1}, "Python": {"count": 1, "withErrors": 0}})
        );
    }
}
