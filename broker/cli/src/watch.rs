//! `lotmq watch`: what happens in a broker, as it happens: errors of programs, denials, traces, and
//! what definitions publish.
//!
//! Everything comes as messages below `$SYS`, and on the topics that programs name; the broker
//! keeps nothing for it but the traces that are armed here, which end by themselves. A lost
//! connection is made again, with all of that.

mod event;
mod order;
mod outputs;
mod throttle;
mod traces;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;
use lotmq_client::{
    Client, ClientError, Message, PropertyBuf, QoS, ReasonCode, RetainHandling, SubscriptionOptions,
};
use lotmq_connect::{ConnectArgs, random_text};
use lotmq_terminal::{Exit, Paint, output};
use serde_json::Value;

use crate::cmd::{asked, connect_as_root, exchange};
use crate::foreign;
use crate::interruption::Interruption;
use event::WatchedEvent;
use order::EventOrder;
use outputs::Outputs;
use throttle::HeldValues;
use traces::Traces;

/// Longest wait until a signal, a value that is held back or a trace that ends is looked after.
pub(crate) const LOOK: Duration = Duration::from_millis(100);

/// Pause before another attempt to connect.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Seconds to wait for the reply to a command.
const REPLY_SEC: f64 = 15.0;

/// Lines of the log that are warnings: what programs warn of, and denials.
const WARNINGS: &str = "$SYS/Coreflux/Log/Warning";

/// Show live what goes wrong and what definitions do, one line for each event: time, kind, name,
/// text.
///
/// As in: lotmq watch, or of two definitions: lotmq watch Overheat ShiftReport, or in a script:
/// lotmq watch --only errors,denials --json. Kinds are: errors of programs, with code, line and
/// column in the definition, count, and what started the run, and their warnings; denials, which
/// are publishes and subscriptions that rules refused and logins that were; traces, each run of an
/// action with its trigger, what it published and how long it took; values, what comes on the
/// topics to which definitions publish, whoever sent it, of each topic at most one a second and the
/// last one; a ? stands behind the names of definitions whose topics it may be one of, where none
/// names it.
///
/// With names only these definitions are shown, and their actions are traced until the end
/// (`-actionTrace`). Without, traces are shown of those that somebody else has armed. Denials are
/// not of one definition: with names they are shown with --only denials. The last error of each
/// definition and the last warning of each place come first, marked as earlier. A connection that
/// is lost is made again. Lines are in the order of their times, for which each waits a third of a
/// second. It needs a user who may configure the system; without -u that is root, as in
/// `lotmq cmd`.
///
/// Exit codes: 0 ended by Ctrl-C or --count, 1 there is no such definition or the broker says no, 2
/// wrong usage, 3 no broker.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct WatchArgs {
    /// Names of definitions: actions, models, rules, routes, modules
    names: Vec<String>,
    /// Show these kinds only, with commas between them
    #[arg(long, value_delimiter = ',', value_name = "KINDS")]
    only: Vec<Kind>,
    /// End after this many events
    #[arg(short = 'C', long)]
    count: Option<u64>,
    /// Print JSON: one object for each event, one line each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// Kind of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Errors and warnings of programs
    Errors,
    /// Refusals by rules and logins
    Denials,
    /// Runs of actions
    Traces,
    /// Messages that definitions publish
    Values,
}

pub(crate) fn watch(args: &WatchArgs) -> anyhow::Result<Exit> {
    let interruption = Interruption::catch()?;
    let mut client = connect_as_root(&args.connect)?;
    foreign::refuse(&mut client)?;
    let mut watch = Watch::new(args);
    if let Err(exit) = watch.check_names(&mut client)? {
        return Ok(exit);
    }
    loop {
        let ended = watch.follow(&mut client, &interruption);
        watch.show_all()?;
        let lost = match ended {
            Ok(exit) => {
                watch.traces.end(&mut client);
                client.disconnect().ok();
                return Ok(exit);
            }
            Err(error) if is_lost(&error) => error,
            Err(error) => {
                watch.traces.end(&mut client);
                return Err(error);
            }
        };
        output::note(&format!("{}; connecting again", output::chain(&lost)));
        match connect_again(&args.connect, &interruption)? {
            Some(again) => client = again,
            None => return Ok(Exit::Success),
        }
        output::note("connected again");
    }
}

/// Whether a connection is at its end, or none came about, so that another one may do better.
pub(crate) fn is_lost(error: &anyhow::Error) -> bool {
    error.downcast_ref::<ClientError>().is_some_and(|error| {
        let is_busy = |reason| [ReasonCode::ServerUnavailable, ReasonCode::ServerBusy].contains(&reason);
        if let ClientError::Refused { reason, .. } = error {
            return is_busy(*reason);
        }
        let is_cut_off = matches!(
            error,
            ClientError::Unreachable { .. } | ClientError::Timeout { .. } | ClientError::Io(_)
        );
        is_cut_off || error.is_closed()
    })
}

/// State of a watch: its subscriptions, and the events shown so far.
struct Watch<'a> {
    args: &'a WatchArgs,
    outputs: Outputs,
    throttle: HeldValues,
    order: EventOrder,
    traces: Traces,
    /// Last errors that were shown, by topic, so that a new connection does not show them again.
    errors: HashMap<String, Vec<u8>>,
    /// How many warnings of a place there were, by its definition and itself, when they were last
    /// shown as kept ones.
    warnings: HashMap<String, u64>,
    left: Option<u64>,
    paint: Paint,
    zone: TimeZone,
}

impl<'a> Watch<'a> {
    fn new(args: &'a WatchArgs) -> Self {
        Self {
            args,
            outputs: Outputs::default(),
            throttle: HeldValues::default(),
            order: EventOrder::default(),
            traces: Traces::default(),
            errors: HashMap::new(),
            warnings: HashMap::new(),
            left: args.count,
            paint: Paint::of_stdout(),
            zone: TimeZone::system(),
        }
    }

    fn wants(&self, kind: Kind) -> bool {
        match self.args.only.as_slice() {
            [] => kind != Kind::Denials || self.args.names.is_empty(),
            only => only.contains(&kind),
        }
    }

    fn is_named(&self, name: &str) -> bool {
        self.args.names.is_empty() || self.args.names.iter().any(|known| known == name)
    }

    /// Looks whether all names are those of definitions, and which of them are actions. Else the
    /// exit code, after having said why.
    fn check_names(&mut self, client: &mut Client) -> anyhow::Result<Result<(), Exit>> {
        if self.args.names.is_empty() {
            return Ok(Ok(()));
        }
        let entities = match asked(client, "-listEntities", REPLY_SEC)? {
            Ok(reply) => reply["data"].as_array().cloned().unwrap_or_default(),
            Err(exit) => return Ok(Err(exit)),
        };
        for name in &self.args.names {
            let mut of_name = entities.iter().filter(|entity| entity["name"] == **name).peekable();
            if of_name.peek().is_none() {
                output::error(&format!(
                    "there is no definition `{name}`; `lotmq cmd -listEntities` lists them"
                ));
                return Ok(Err(Exit::Failure));
            }
            if of_name.any(|entity| entity["type"] == "Action") && self.wants(Kind::Traces) {
                self.traces.want(name);
            }
        }
        Ok(Ok(()))
    }

    /// Shows what comes until the connection is lost, a signal comes or there were enough events.
    fn follow(&mut self, client: &mut Client, interruption: &Interruption) -> anyhow::Result<Exit> {
        if let Err(exit) = self.traces.arm(client)? {
            return Ok(exit);
        }
        self.take_kept_warnings(client)?;
        if !self.subscribe(client)? {
            return Ok(Exit::Failure);
        }
        while !interruption.has_come() && self.left != Some(0) {
            let message = client.receive(LOOK)?;
            if let Some(message) = message {
                self.take(client, &message)?;
            }
            let now = Instant::now();
            for value in self.throttle.due(now) {
                self.order.add(now, value);
            }
            for event in self.order.due(now) {
                self.show(&event)?;
            }
            self.traces.renew(client)?;
        }
        Ok(Exit::Success)
    }

    /// Takes the warnings that the broker has kept: their lines are not retained.
    fn take_kept_warnings(&mut self, client: &mut Client) -> anyhow::Result<()> {
        if !self.wants(Kind::Errors) {
            return Ok(());
        }
        let timeout = Duration::from_secs_f64(REPLY_SEC);
        let reply = match exchange(client, "-brokerStatus", &random_text(12)?, timeout) {
            Ok(reply) => reply.unwrap_or_default(),
            Err(error) if is_lost(&error) => return Err(error),
            // A user who may not ask may not subscribe either.
            Err(_) => return Ok(()),
        };
        for row in reply["data"]["warnings"].as_array().into_iter().flatten() {
            let name = row["name"].as_str().unwrap_or_default();
            let place = format!("{} {name} {} {}:{}", row["kind"], row["code"], row["line"], row["column"]);
            let count = row["count"].as_u64().unwrap_or(1);
            if self.is_named(name) && self.warnings.insert(place, count) != Some(count) {
                self.order.add(Instant::now(), event::kept_warning(row));
            }
        }
        Ok(())
    }

    /// Subscribes to what tells of the wanted kinds. Whether the broker let us.
    fn subscribe(&mut self, client: &mut Client) -> anyhow::Result<bool> {
        self.outputs.forget_subscriptions();
        let mut filters = Vec::new();
        for (kind, of_kind) in [
            (
                Kind::Errors,
                &[
                    "$SYS/Coreflux/+/+/Error",
                    WARNINGS,
                    "$SYS/Coreflux/Modules/+/Log",
                    "$SYS/Coreflux/Routes/+/Log",
                ][..],
            ),
            (
                Kind::Denials,
                &[
                    WARNINGS,
                    "$SYS/Coreflux/Log/Info",
                    "$SYS/Coreflux/Log/Debug",
                    "$SYS/Coreflux/Comms/Logins",
                ],
            ),
            (Kind::Traces, &["$SYS/Coreflux/Actions/+/Trace"]),
            // Sources: their facts say where they publish.
            (Kind::Values, &["$SYS/Coreflux/Actions/+", "$SYS/Coreflux/Models/+", "$SYS/Coreflux/Routes/+"]),
        ] {
            if self.wants(kind) {
                // Two kinds read the warnings of the log.
                let are_new = of_kind.iter().filter(|filter| !filters.contains(*filter));
                filters.extend(are_new.copied().collect::<Vec<_>>());
            }
        }
        for (filter, code) in filters.iter().zip(subscribe(client, &filters)?) {
            if code.is_failure() {
                let need = "it needs root, or a user with AllowedSystemConfiguration";
                output::error(&format!("the broker refused the subscription to `{filter}`: {code}; {need}"));
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn take(&mut self, client: &mut Client, message: &Message) -> anyhow::Result<()> {
        let Some(system) = message.topic.strip_prefix("$SYS/Coreflux/") else {
            return self.value(message);
        };
        let levels: Vec<&str> = system.split('/').collect();
        match levels[..] {
            ["Log", _] => {
                let line = &message.payload;
                let denial = || event::denial(line).or_else(|| event::refused_handshake(line));
                self.show_if(self.wants(Kind::Denials).then(denial).flatten())?;
                let warning = event::program_warning(line).filter(|warning| self.is_named(warning.name()));
                self.show_if(warning.filter(|_| self.wants(Kind::Errors)))
            }
            ["Comms", "Logins"] => self.show_if(event::refused_login(&message.payload)),
            ["Actions", name, "Trace"] if self.is_named(name) => self.show_if(event::trace(&message.payload)),
            [_, name, "Log"] if self.is_named(name) => self.show_if(event::warning(name, &message.payload)),
            [kind, name, "Error"] if self.is_named(name) => {
                if message.payload.is_empty() {
                    self.errors.remove(&message.topic);
                    return Ok(());
                }
                if self.errors.get(&message.topic) == Some(&message.payload) {
                    return Ok(());
                }
                self.errors.insert(message.topic.clone(), message.payload.clone());
                let error = event::error(kind, &message.payload);
                self.show_if(if message.retain { error.map(WatchedEvent::earlier) } else { error })
            }
            ["Actions" | "Models" | "Routes", name] if self.is_named(name) => {
                let wanted = self.outputs.define(&message.topic, name, &message.text());
                let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
                for (filter, code) in wanted.iter().zip(subscribe(client, &wanted)?) {
                    if code.is_failure() {
                        output::note(&format!("the broker refused the subscription to `{filter}`: {code}"));
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn value(&mut self, message: &Message) -> anyhow::Result<()> {
        let Some(publisher) = self.outputs.publisher(&message.topic) else { return Ok(()) };
        let value = event::value(&publisher, message);
        let value = self.throttle.admit(Instant::now(), value);
        self.show_if(value)
    }

    /// Shows an event as soon as what happened before it has been.
    fn show_if(&mut self, event: Option<WatchedEvent>) -> anyhow::Result<()> {
        event.into_iter().for_each(|event| self.order.add(Instant::now(), event));
        Ok(())
    }

    /// Shows what still waits for its place in the order.
    fn show_all(&mut self) -> anyhow::Result<()> {
        self.order.all().iter().try_for_each(|event| self.show(event))
    }

    fn show(&mut self, event: &WatchedEvent) -> anyhow::Result<()> {
        if self.left == Some(0) {
            return Ok(());
        }
        self.left = self.left.map(|left| left - 1);
        if self.args.json {
            output::line(&event.json().to_string())?;
        } else {
            output::painted_line(&event.line(self.paint, &self.zone))?;
        }
        Ok(())
    }
}

/// Connects as soon as that works; `None` when a signal came before.
pub(crate) fn connect_again(
    connect: &ConnectArgs,
    interruption: &Interruption,
) -> anyhow::Result<Option<Client>> {
    loop {
        let next = Instant::now() + RETRY_PAUSE;
        while Instant::now() < next {
            if interruption.has_come() {
                return Ok(None);
            }
            std::thread::sleep(LOOK);
        }
        match connect_as_root(connect) {
            Ok(client) => return Ok(Some(client)),
            Err(error) if is_lost(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Subscribes to these filters, retained messages included; the answers in their order.
fn subscribe(client: &mut Client, filters: &[&str]) -> anyhow::Result<Vec<ReasonCode>> {
    let options = SubscriptionOptions {
        qos: QoS::AtMostOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    };
    if filters.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: Vec<(&str, SubscriptionOptions)> = filters.iter().map(|filter| (*filter, options)).collect();
    Ok(client.subscribe(&wanted, PropertyBuf::new().properties())?)
}

/// JSON, or null where it is none.
fn parsed(payload: &[u8]) -> Value {
    serde_json::from_slice(payload).unwrap_or(Value::Null)
}
