//! `lotmq guest list`, `rollback`, `enable`, `disable`, `remove` and `logs`: what is installed in a
//! broker, what becomes of it, and what it says.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;
use lotmq_client::{Client, Message, QoS};
use lotmq_connect::{ConnectArgs, random_text};
use lotmq_host::{GAVE_UP, GRANT_MISSING};
use lotmq_terminal::{Exit, output, seconds};
use serde_json::Value;

use super::earlier_lines::EarlierLines;
use super::folder::check_name;
use super::in_time::LinesInTime;
use crate::cmd::{OUTPUT_TOPIC, asked, connect_within, exchange, is_success, render_reply, show_reply};
use crate::confirmation::is_confirmed;
use crate::interruption::Interruption;
use crate::pasteable::pasteable;
use crate::watch::{LOOK, connect_again, is_lost};
use lotmq_terminal::text::{printable, printable_lines};

/// Topic below which the broker publishes the state of modules.
pub(super) const MODULES: &str = "$SYS/Coreflux/Modules";

/// Topic below which the broker publishes the state of routes, which run modules of their world.
pub(super) const ROUTES: &str = "$SYS/Coreflux/Routes";

/// Suffix of the topic with the last error of a definition.
const ERROR: &str = "/Error";

/// Suffix of the topic with the log lines of a definition.
pub(super) const LOG: &str = "/Log";

/// List the modules of a broker.
///
/// RUNS, ERRORS and TRAPS are counted since the broker has started; the errors of a module that
/// runs routes are those of its routes. With --shipped the types of routes follow that come with
/// the broker, which need no installation; `lotmq routes` shows the routes that are of them.
///
/// Exit codes: 0 done, 1 the broker says no, 2 wrong usage, 3 no broker or no reply.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(super) struct ListArgs {
    /// Print JSON: one object for each, one line each
    #[arg(long)]
    json: bool,
    /// List the types of routes that come with the broker, too
    #[arg(long)]
    shipped: bool,
    /// Leave out what comes with the broker, as without --shipped
    #[arg(long, conflicts_with = "shipped", hide = true)]
    uploaded: bool,
    /// Seconds to wait for the reply
    #[arg(long, default_value_t = 15.0, value_parser = seconds)]
    timeout: f64,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

pub(super) fn list(args: &ListArgs) -> anyhow::Result<Exit> {
    let mut client = connect_within(&args.connect, args.timeout)?;
    let mut rows = match asked(&mut client, "-listModules", args.timeout)? {
        Ok(reply) => members(&reply),
        Err(exit) => return Ok(exit),
    };
    if args.shipped {
        let packages = match asked(&mut client, "-listAvailable", args.timeout)? {
            Ok(reply) => members(&reply),
            Err(exit) => return Ok(exit),
        };
        rows.extend(packages.into_iter().filter(is_shipped));
    }
    client.disconnect()?;
    if args.json {
        rows.iter().try_for_each(|row| output::line(&row.to_string()))?;
        return Ok(Exit::Success);
    }
    let line = |cells: [&str; 7]| {
        let [name, world, state, runs, errors, traps, version] = cells;
        format!("{name:<24} {world:<7} {state:<9} {runs:>9} {errors:>6} {traps:>6}  {version}")
            .trim_end()
            .to_owned()
    };
    output::line(&line(["NAME", "WORLD", "STATE", "RUNS", "ERRORS", "TRAPS", "VERSION"]))?;
    for row in &rows {
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
        let number = |name: &str| row.get(name).and_then(Value::as_u64).unwrap_or_default().to_string();
        let shown = if is_shipped(row) {
            line([text("package"), text("world"), "shipped", "-", "-", "-", text("version")])
        } else {
            let (calls, errors, traps) = (number("calls"), number("errors"), number("traps"));
            line([text("name"), text("world"), text("state"), &calls, &errors, &traps, text("version")])
        };
        output::line(&shown)?;
        if !text("reason").is_empty() {
            output::line(&format!("  {}", text("reason")))?;
        }
    }
    if !args.shipped {
        output::note("the types of routes that come with the broker: lotmq guest list --shipped");
    }
    Ok(Exit::Success)
}

/// Whether a broker has a module of this name; not where it does not say.
pub(super) fn is_there(client: &mut Client, name: &str, timeout: Duration) -> anyhow::Result<bool> {
    let reply = exchange(client, "-listModules", &random_text(12)?, timeout)?;
    Ok(reply.iter().flat_map(members).any(|row| row.get("name").and_then(Value::as_str) == Some(name)))
}

/// Returns the items of a listing reply.
fn members(reply: &Value) -> Vec<Value> {
    reply.get("data").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// Whether a package comes with the broker.
fn is_shipped(package: &Value) -> bool {
    package.get("kind").and_then(Value::as_str) == Some("shipped")
}

/// One module of a broker, to which something is done.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(super) struct OneModuleArgs {
    /// Name of the module
    name: String,
    /// Seconds to wait for the reply
    #[arg(long, default_value_t = 180.0, value_parser = seconds)]
    timeout: f64,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// A module of which something is to be done, also if it is another user's.
#[derive(Args, Debug)]
pub(super) struct ForcedModuleArgs {
    #[command(flatten)]
    module: OneModuleArgs,
    /// Also one of another user
    #[arg(long)]
    force: bool,
}

/// A module that is to go.
#[derive(Args, Debug)]
pub(super) struct RemoveModuleArgs {
    #[command(flatten)]
    module: OneModuleArgs,
    /// Also one that definitions use, which fail or wait then; does not ask
    #[arg(long)]
    force: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) fn remove(args: &RemoveModuleArgs) -> anyhow::Result<Exit> {
    let OneModuleArgs { name, timeout, connect, .. } = &args.module;
    check_name(name)?;
    let mut client = connect_within(connect, *timeout)?;
    let question = format!("{name} goes, with its state and the version before. Go on?");
    if !args.yes && !args.force && !is_confirmed(&question)? {
        output::error("nothing was removed: nobody has agreed to it; --yes does");
        return Ok(Exit::Failure);
    }
    let exit = match asked_with_force(&mut client, ("-removeModule", name), args.force, *timeout)? {
        Ok(reply) => message(&reply)?,
        Err(exit) => exit,
    };
    client.disconnect()?;
    Ok(exit)
}

/// The reply to a command about a module; a refusal is shown, with this tool's option in place of
/// the broker's.
fn asked_with_force(
    client: &mut Client,
    (verb, name): (&str, &str),
    force: bool,
    timeout: f64,
) -> anyhow::Result<Result<Value, Exit>> {
    let command = format!("{verb} {name}{}", if force { " -force" } else { "" });
    let Some(reply) = exchange(client, &command, &random_text(12)?, Duration::from_secs_f64(timeout))? else {
        output::error(&format!("no reply within {timeout} s"));
        return Ok(Err(Exit::NoBroker));
    };
    if is_success(&reply) {
        return Ok(Ok(reply));
    }
    Ok(Err(show_reply(&reply, &render_reply(&reply).replace(" -force", " --force"))?))
}

/// Sends a command about one module, and shows the reply of a broker that did it.
pub(super) fn command(
    verb: &str,
    args: &ForcedModuleArgs,
    show: impl FnOnce(&Value) -> anyhow::Result<Exit>,
) -> anyhow::Result<Exit> {
    let OneModuleArgs { name, timeout, connect, .. } = &args.module;
    check_name(name)?;
    let mut client = connect_within(connect, *timeout)?;
    let exit = match asked_with_force(&mut client, (verb, name), args.force, *timeout)? {
        Ok(reply) => show(&reply)?,
        Err(exit) => exit,
    };
    client.disconnect()?;
    Ok(exit)
}

/// The message of a reply.
pub(super) fn message(reply: &Value) -> anyhow::Result<Exit> {
    output::tell(&pasteable(reply.get("message").and_then(Value::as_str).unwrap_or("done")))?;
    Ok(Exit::Success)
}

/// Show what a module has to say, and the routes that run it.
///
/// That is its last error, and the last lines that it has printed or logged. With -f it also shows
/// each further error and line, as they come. Each new state, such as failed, goes to standard
/// error. Lines stand in the order of their times. With -f a connection that is lost is made again.
/// The broker keeps 200 lines of each module and route until it stops.
///
/// Exit codes: 0 done, 1 the broker says no, 2 wrong usage, 3 no broker or no reply.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(super) struct LogsArgs {
    /// Name of the module
    name: String,
    /// Go on with what comes, until Ctrl-C
    #[arg(short = 'f', long)]
    follow: bool,
    /// Show so many of the last lines of the module, and of each route that runs it; at most 200
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: u32,
    /// End after so many lines, those before included
    #[arg(short = 'C', long, requires = "follow")]
    count: Option<u64>,
    /// Print what the broker publishes, in JSON, as it is
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

pub(super) fn logs(args: &LogsArgs) -> anyhow::Result<Exit> {
    check_name(&args.name)?;
    let interruption = Interruption::catch()?;
    let mut client = connect_within(&args.connect, args.timeout)?;
    let mut told = LogOutput { left: args.count, ..LogOutput::default() };
    loop {
        let lost = match told.listen(args, &mut client, &interruption) {
            Ok(exit) => {
                client.disconnect().ok();
                return Ok(exit);
            }
            Err(error) if args.follow && is_lost(&error) => error,
            Err(error) => return Err(error),
        };
        output::note(&format!("{}; connecting again", output::chain(&lost)));
        match connect_again(&args.connect, &interruption)? {
            Some(again) => client = again,
            None => return Ok(Exit::Success),
        }
        output::note("connected again");
    }
}

/// Output of `lotmq guest logs` so far, over all its connections.
#[derive(Default)]
struct LogOutput {
    is_following: bool,
    left: Option<u64>,
    has_told: bool,
    /// When the last errors by topic were, which a new connection gives again, and how many there
    /// were by then.
    errors: HashMap<String, (Option<Timestamp>, u64)>,
    /// The last line of level error of each that speaks, by its topic: where it gives up, the text
    /// of the panic.
    last_words: HashMap<String, String>,
    /// State of the module.
    state: Option<String>,
    /// Lines that are not printed yet.
    lines: LinesInTime,
    /// Lines of before, which the broker is asked for.
    history: EarlierLines,
}

impl LogOutput {
    /// Shows what the module has to say until the connection is lost, a signal comes or there were
    /// enough lines.
    fn listen(
        &mut self,
        args: &LogsArgs,
        client: &mut Client,
        interruption: &Interruption,
    ) -> anyhow::Result<Exit> {
        let info = match asked(client, &format!("-moduleInfo {}", args.name), args.timeout)? {
            Ok(info) => info,
            Err(exit) => return Ok(exit),
        };
        let mut followed = Vec::new();
        let info = info.get("data").cloned().unwrap_or_default();
        self.history.connected();
        let new = subscribe(client, (&info, &args.name), &mut followed)?;
        self.history.ask(client, &new, args.lines)?;
        self.note_missing(&args.name, &info);
        if args.follow && !std::mem::replace(&mut self.is_following, true) {
            output::note(&format!("following {}; Ctrl-C ends", args.name));
        }
        let state = format!("{MODULES}/{}", args.name);
        // Retained messages come at once.
        let patience = Instant::now() + Duration::from_secs_f64(args.timeout.min(1.0));
        while self.left != Some(0) && !interruption.has_come() {
            let received = client.receive(LOOK);
            self.print_due(received.is_err())?;
            let Some(message) = received? else {
                if args.follow || Instant::now() < patience {
                    continue;
                }
                break;
            };
            if message.topic == state {
                let info: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
                self.note_state(&args.name, &info);
                // Routes that have come meanwhile.
                let new = subscribe(client, (&info, &args.name), &mut followed)?;
                self.history.ask(client, &new, args.lines)?;
            } else if message.topic == OUTPUT_TOPIC {
                let before = self.history.answered(&message);
                before.iter().for_each(|message| self.take(message, args.json));
            } else if !message.topic.ends_with(LOG) || self.history.is_new(&message) {
                self.take(&message, args.json);
            }
        }
        self.print_due(true)?;
        if !args.follow && !self.has_told {
            output::note("no error and no line is known; what it prints comes with -f, as it prints it");
        }
        Ok(Exit::Success)
    }

    /// Takes a message of the module as a line to be printed.
    fn take(&mut self, message: &Message, json: bool) {
        if let Some(line) = self.line(message, json) {
            self.lines.take(time_of(message), line, Instant::now());
            self.has_told = true;
        }
    }

    /// Prints the lines that have been held for long enough, or all of them.
    fn print_due(&mut self, all: bool) -> anyhow::Result<()> {
        while self.left != Some(0)
            && let Some(line) = if all { self.lines.pop() } else { self.lines.due(Instant::now()) }
        {
            output::line(&line)?;
            self.left = self.left.map(|left| left - 1);
        }
        Ok(())
    }

    /// Says on standard error what the module asks for and was not granted, which may be why it
    /// fails: once, and the first thing.
    fn note_missing(&self, name: &str, info: &Value) {
        let missing = info.get("notGranted").and_then(Value::as_array).into_iter().flatten();
        let missing: Vec<&str> = missing.filter_map(Value::as_str).collect();
        if missing.is_empty() || self.is_following {
            return;
        }
        let grants: String = missing.iter().map(|grant| format!(" -grant {}", granted(grant))).collect();
        output::note(&printable(&format!(
            "{name} asks for {}, and was not granted it; lotmq cmd -grantModule {name}{grants} grants it",
            missing.join(", ")
        )));
    }

    /// Says on standard error which state the module has come to. It begins as enabled, of which
    /// nothing is said.
    fn note_state(&mut self, name: &str, info: &Value) {
        let state = info.get("state").and_then(Value::as_str).unwrap_or("removed");
        if self.state.as_deref().unwrap_or("enabled") == state {
            return;
        }
        let more = match state {
            "failed" => {
                ": it has trapped too often; it is tried again after pauses, and a route is opened again"
            }
            "disabled" => ": lotmq guest enable starts it again",
            _ => "",
        };
        output::note(&format!("{} is {}{more}", printable(name), printable(state)));
        self.state = Some(state.to_owned());
    }

    /// A message as a line, unless it is an error that was shown before.
    fn line(&mut self, message: &Message, json: bool) -> Option<String> {
        let speaker = message.topic.rsplit_once('/').map_or("", |(speaker, _)| speaker);
        let mut line = line(message, json, self.last_words.get(speaker).map(String::as_str))?;
        if message.topic.ends_with(LOG) {
            let said: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
            if let Some(text) = said["text"].as_str().filter(|_| said["level"] == "error") {
                self.last_words.insert(speaker.to_owned(), text.to_owned());
            }
        }
        if message.topic.ends_with(ERROR) {
            let told = serde_json::from_slice::<Value>(&message.payload).unwrap_or_default();
            let count = told.get("count").and_then(Value::as_u64).unwrap_or(1);
            let at = time_of(message);
            let known = self.errors.insert(message.topic.clone(), (at, count));
            // The rest of it may be told otherwise by a broker that was started again.
            if known.as_ref().is_some_and(|(known, _)| at.is_some() && *known >= at) {
                return None;
            }
            // It comes among the lines, too, however soon another one follows.
            if !message.retain && !json && told["code"] == GRANT_MISSING {
                return None;
            }
            // Of errors that come fast, the broker tells the last one.
            let shown = known.map(|(_, before)| before).filter(|before| *before < count).unwrap_or(0);
            let missing = count.saturating_sub(shown + 1);
            if missing > 0 && !json {
                line.push_str(&format!(" ({missing} errors before it are not shown)"));
            }
        }
        Some(line)
    }
}

/// Subscribes to what a module and the routes that run it say, and to the state of the module, but
/// for what is `followed` already. Returns the topics of those that are new.
fn subscribe(
    client: &mut Client,
    (info, name): (&Value, &str),
    followed: &mut Vec<String>,
) -> anyhow::Result<Vec<String>> {
    let is_first = followed.is_empty();
    let new: Vec<String> = speakers(info, name).filter(|who| !followed.contains(who)).collect();
    for topic in new.iter().flat_map(|who| [LOG, ERROR].map(|what| format!("{who}{what}"))) {
        let granted = client.subscribe_to(&topic, QoS::AtLeastOnce)?;
        anyhow::ensure!(
            !granted.is_failure(),
            "the broker refused the subscription to {topic}: {granted}; a rule of scope SubscribeSys lets this user read it (docs/sdk/modules.md, \"Who may add one, and read its log\")"
        );
    }
    if is_first {
        // A user who may read the log alone does not get the state.
        client.subscribe_to(&format!("{MODULES}/{name}"), QoS::AtLeastOnce)?;
    }
    followed.extend(new.iter().cloned());
    Ok(new)
}

/// A grant as an argument of a shell.
fn granted(grant: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || ":/._-".contains(letter);
    if grant.chars().all(is_plain) { grant.to_owned() } else { format!("'{}'", grant.replace('\'', r"'\''")) }
}

/// When what a message tells of was.
fn time_of(message: &Message) -> Option<Timestamp> {
    let name = if message.topic.ends_with(ERROR) { "timestamp" } else { "ts" };
    let told: Value = serde_json::from_slice(&message.payload).ok()?;
    told.get(name)?.as_str()?.parse().ok()
}

/// Topics of a module, and of the routes that run it.
fn speakers<'a>(info: &'a Value, name: &str) -> impl Iterator<Item = String> + 'a {
    let used_by = info.get("usedBy").and_then(Value::as_array).into_iter().flatten();
    let routes = used_by.filter_map(|user| Some(format!("{ROUTES}/{}", user.get("name")?.as_str()?)));
    std::iter::once(format!("{MODULES}/{name}")).chain(routes)
}

/// An error without the text of a panic that is the last line before it: it stands there as a
/// whole.
fn without_last_words<'t>(error: &'t str, words: &str) -> Cow<'t, str> {
    /// Bytes of the text that an error has of a long line at least.
    const WORDS_BYTES_MIN: usize = 400;
    let parts = error.split_once(GAVE_UP).and_then(|(front, rest)| Some((front, rest.strip_prefix(": ")?)));
    let Some((front, said)) = parts else { return error.into() };
    let same = said.bytes().zip(words.bytes()).take_while(|(one, other)| one == other).count();
    if words.is_empty() || same < words.len().min(WORDS_BYTES_MIN) {
        return error.into();
    }
    let rest = &said[said.floor_char_boundary(same)..];
    format!("{front}{GAVE_UP}{rest}").into()
}

/// A message of a module in one line; `None` of a reply to a command, and of an error that was
/// taken back. `words`: the last line of level error before it.
fn line(message: &Message, json: bool, words: Option<&str>) -> Option<String> {
    let is_told = [MODULES, ROUTES].iter().any(|place| message.topic.starts_with(place));
    if !is_told || message.payload.is_empty() {
        return None;
    }
    let told = String::from_utf8_lossy(&message.payload);
    if json {
        return Some(told.into_owned());
    }
    let value: Value = serde_json::from_str(&told).unwrap_or_default();
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let of_route = message.topic.strip_prefix(ROUTES).and_then(|rest| rest.strip_prefix('/'));
    let route = of_route.and_then(|rest| rest.rsplit_once('/')).map(|(route, _)| printable(route));
    // Several may run the same module.
    let route = route.map(|route| format!("{route}: ")).unwrap_or_default();
    if message.topic.ends_with(ERROR) {
        let before = if message.retain { " (before)" } else { "" };
        let told = without_last_words(text("message"), words.unwrap_or_default());
        let (message, code) = (pasteable(&printable(&told)), printable(text("code")));
        return Some(format!("{} error {route}{message} ({code}){before}", text("timestamp")));
    }
    let suppressed = value.get("suppressed").and_then(Value::as_u64);
    let missing =
        suppressed.map(|count| format!(" ({count} lines before it are missing)")).unwrap_or_default();
    // A guest's text may be anybody's: it must not look like a line of somebody else.
    let said: Vec<String> = printable_lines(text("text")).collect();
    // A line with a code may be the broker's.
    let is_coded = value.get("code").is_some();
    let said: Vec<String> = said.into_iter().map(|it| if is_coded { pasteable(&it) } else { it }).collect();
    Some(format!("{} {:<5} {route}{}{missing}", text("ts"), text("level"), said.join("\n    ")))
}

#[cfg(test)]
mod tests {
    use lotmq_client::PropertyBuf;
    use serde_json::json;

    use super::*;

    #[test]
    fn panic_text_is_not_repeated_in_the_error() {
        let long = "x".repeat(1_000);
        let cut = format!("the guest gave up (panic or abort): {}", &long[..497]);
        for (error, words, expected) in [
            (
                "the guest gave up (panic or abort): panicked at src/lib.rs:1:2:\nno",
                "panicked at src/lib.rs:1:2:\nno",
                "the guest gave up (panic or abort)",
            ),
            (
                "event `Out`: the guest gave up (panic or abort): no clock; use another (GUEST_PANIC)",
                "no clock",
                "event `Out`: the guest gave up (panic or abort); use another (GUEST_PANIC)",
            ),
            (&cut, &long, "the guest gave up (panic or abort)"),
            ("the guest gave up (panic or abort): no", "yes", "the guest gave up (panic or abort): no"),
            ("the guest gave up (panic or abort): no", "", "the guest gave up (panic or abort): no"),
            ("what it says: no", "no", "what it says: no"),
        ] {
            assert_eq!(without_last_words(error, words), expected);
        }
    }

    #[test]
    fn route_log_lines_begin_with_the_route_name() {
        let said = |topic: &str, payload: Value| Message {
            topic: topic.to_owned(),
            payload: payload.to_string().into_bytes(),
            qos: QoS::AtLeastOnce,
            retain: false,
            dup: false,
            packet_id: None,
            properties: PropertyBuf::new(),
        };
        let text = json!({ "ts": "T", "level": "info", "text": "hello" });
        let error = json!({ "timestamp": "T", "code": "C", "message": "no" });
        for (topic, payload, expected) in [
            ("$SYS/Coreflux/Routes/Line 1/Log", &text, "T info  Line 1: hello"),
            ("$SYS/Coreflux/Modules/m/Log", &text, "T info  hello"),
            ("$SYS/Coreflux/Routes/Line 1/Error", &error, "T error Line 1: no (C)"),
            ("$SYS/Coreflux/Modules/m/Error", &error, "T error no (C)"),
        ] {
            let shown = line(&said(topic, payload.clone()), false, None);
            assert_eq!(shown.as_deref(), Some(expected), "{topic}");
        }
    }

    #[test]
    fn error_reported_by_several_topics_is_printed_once() {
        let mut told = LogOutput::default();
        let error = |timestamp: &str, count: u64, action: &str| {
            Message {
            topic: "$SYS/Coreflux/Modules/m/Error".to_owned(),
            payload: json!({ "action": action, "code": "C", "message": "m", "timestamp": timestamp, "count": count })
                .to_string()
                .into_bytes(),
            qos: QoS::AtLeastOnce,
            retain: true,
            dup: false,
            packet_id: None,
            properties: PropertyBuf::new(),
        }
        };
        assert!(told.line(&error("2026-11-25T22:11:24.553Z", 3, "m"), false).is_some());
        for (timestamp, count, is_shown) in [
            ("2026-11-25T22:11:24.553Z", 3, false),
            ("2026-11-25T22:11:24.553Z", 1, false),
            ("2026-11-25T22:11:24.554Z", 4, true),
        ] {
            let shown = told.line(&error(timestamp, count, "again"), false);
            assert_eq!(shown.is_some(), is_shown, "{timestamp} {count}");
        }
    }
}
