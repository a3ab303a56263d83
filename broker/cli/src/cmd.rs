//! `lotmq cmd`: sends a `$SYS` command and shows the reply.

pub(crate) mod import;
mod render;
pub(crate) mod why;

use std::ffi::OsString;
use std::io::Read as _;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use lotmq_client::{Client, ClientError, Message, Publication, QoS, ReasonCode};
use lotmq_connect::{ConnectArgs, SessionArgs, random_text};
use lotmq_project::read_bounded;
use lotmq_server::takes_text;
use lotmq_terminal::{Exit, Misuse, output, seconds};
use serde_json::Value;

use crate::foreign::{self, VERSION_TOPIC};

pub(crate) const COMMAND_TOPIC: &str = "$SYS/Coreflux/Command";
pub(crate) const OUTPUT_TOPIC: &str = "$SYS/Coreflux/Command/Output";

/// Text behind the refusal of a command: the users who may send it.
pub(crate) const COMMANDS_NEED: &str = "that takes root, a user with AllowedSystemConfiguration, or a rule that lets this one (docs/lot/rules.md, \"Commands\")";

/// How long a reply may take before something is said.
const PATIENCE: Duration = Duration::from_secs(3);

/// Commands whose text is a program, in lower case.
const ADDS_PROGRAMS: [&str; 7] =
    ["addaction", "addmodel", "addroute", "addrule", "addpanel", "addtheme", "addpython"];

/// Options in front of a program: what may be replaced.
const REPLACING: [&str; 2] = ["-replace", "-replaceOwn"];

/// Time after which it is said again.
const PATIENCE_AGAIN: Duration = Duration::from_secs(10);

/// Longest wait for the reply to a command about a module, however often the broker says that it is
/// at it.
const MODULE_REPLY_MAX: Duration = Duration::from_secs(3600);

/// Send a command to the broker and show its reply.
///
/// As in: lotmq cmd -listEntities, or: lotmq cmd --file heater.lot -addAction. Short options come
/// before the command. One argument of the shell is one argument of the command, with its blanks
/// and quotation marks. An example is the password in lotmq cmd -changeUserPassword ada 'a long
/// one'. LoT, Python, JSON and NAME=value go to the broker as they are, and so does a command in a
/// single argument. Without -u it is sent as root. A broker on this machine gets the password in
/// LOTMQ_ROOT_PASSWORD, or else the one of a new broker. Another broker gets only the former, and
/// only through TLS.
///
/// Exit codes: 0 done, 1 the broker says no, 2 wrong usage, 3 no broker or no reply.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct CmdArgs {
    /// The command: a verb such as -addUser and its arguments
    #[arg(required = true, allow_hyphen_values = true, trailing_var_arg = true)]
    words: Vec<String>,
    /// Append the content of this file to the command; `-` is standard input
    #[arg(long)]
    file: Option<PathBuf>,
    /// Print the reply as JSON
    #[arg(long)]
    json: bool,
    /// Do not ask before -unloadProject, -rollbackProject or -removeRule takes a rule away, changes
    /// one or takes over what was added by hand
    #[arg(long)]
    yes: bool,
    /// Seconds to wait for the reply [default: 15, with what may have to prepare Python 180]
    #[arg(long, value_parser = seconds)]
    timeout: Option<f64>,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// Puts `--` before the verb of `lotmq cmd`, because verbs look like options: `-updateData` would
/// be `-u pdateData`. Our own long options behind the verb are put before it.
///
/// A verb is the first argument with one dash and at least two letters, or with two dashes and none
/// of our options.
pub(crate) fn separate_command(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is_cmd = arguments.get(1).is_some_and(|subcommand| subcommand == "cmd");
    if !is_cmd || arguments.iter().any(|argument| argument == "--") {
        return arguments;
    }
    let options = LongOptions::of_cmd();
    let Some(verb) = arguments.iter().skip(2).position(|argument| options.is_verb(argument)) else {
        return arguments;
    };
    let mut command = Vec::new();
    let mut behind = arguments.split_off(verb + 2).into_iter();
    while let Some(argument) = behind.next() {
        match options.takes_value(&argument) {
            Some(takes_value) => {
                arguments.push(argument);
                arguments.extend(takes_value.then(|| behind.next()).flatten());
            }
            None => command.push(argument),
        }
    }
    arguments.push(OsString::from("--"));
    arguments.extend(command);
    arguments
}

/// The long options of `lotmq cmd`, each with whether a value follows it.
struct LongOptions(Vec<(String, bool)>);

impl LongOptions {
    fn of_cmd() -> Self {
        let command = CmdArgs::augment_args(clap::Command::new("cmd"));
        let long = command.get_arguments().flat_map(|argument| {
            let names = argument.get_long_and_visible_aliases().unwrap_or_default();
            let takes_values = argument.get_action().takes_values();
            names.into_iter().map(move |name| (name.to_owned(), takes_values)).collect::<Vec<_>>()
        });
        Self(long.collect())
    }

    /// Whether the next argument belongs to this one; `None` if this is no long option of ours.
    fn takes_value(&self, argument: &OsString) -> Option<bool> {
        let text = argument.to_str()?.strip_prefix("--")?;
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let (_, takes_value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(*takes_value && value.is_none())
    }

    fn is_verb(&self, argument: &OsString) -> bool {
        let text = argument.to_str().unwrap_or_default();
        let name = text.trim_start_matches('-');
        match text.len() - name.len() {
            1 => name.len() > 1,
            2 => !name.is_empty() && self.takes_value(argument).is_none(),
            _ => false,
        }
    }
}

/// `agreed_command` asks about commands that take protection away.
pub(crate) fn cmd(
    args: &CmdArgs,
    agreed_command: impl Fn(&mut Client, String, Duration) -> anyhow::Result<Option<String>>,
) -> anyhow::Result<Exit> {
    args.refuse_options_behind_the_verb()?;
    args.refuse_name_of_a_file()?;
    let command = args.command()?;
    if command.trim().is_empty() {
        return Err(Misuse("no command given; `lotmq cmd -help` lists the commands".to_owned()).into());
    }
    let mut client = match args.timeout {
        Some(timeout) => connect_within(&args.connect, timeout)?,
        None => connect_to_command(&args.connect)?,
    };
    if is_silent(&command) {
        client.publish(&Publication::new(COMMAND_TOPIC, command).qos(QoS::AtLeastOnce))?;
        client.disconnect()?;
        return Ok(Exit::Success);
    }
    let timeout = Duration::from_secs_f64(args.timeout.unwrap_or_else(|| usual_timeout(&command)));
    let mut plans = 0;
    loop {
        plans += 1;
        let asked = command.clone();
        let agreed = if args.yes { Some(asked) } else { agreed_command(&mut client, asked, timeout)? };
        let Some(agreed) = agreed else {
            client.disconnect()?;
            return Ok(Exit::Failure);
        };
        let mut status = module_compiled(&agreed).map(ModuleStatus::of);
        let wait = (timeout, status.as_mut());
        let reply = exchange_in_parts(&mut client, &agreed, &random_text(12)?, wait, |_, _| Ok(()));
        let Ok(Some(reply)) = reply else {
            // With what is wrong by now, it costs nothing that the broker may be gone.
            client.disconnect().ok();
            reply.map_err(|error| explain_too_large(error, &agreed))?;
            output::error(&format!("no reply within {} s", timeout.as_secs_f64()));
            return Ok(Exit::NoBroker);
        };
        // Of a command that somebody was asked about.
        if agreed != command && is_outdated(&reply) && plans < PLANS_MAX {
            output::note(CHANGED_MEANWHILE);
            continue;
        }
        client.disconnect().ok();
        return args.show(&reply);
    }
}

/// Plans that one command looks at before it gives up, while others change what it is about.
pub(crate) const PLANS_MAX: usize = 10;

/// Said before the next plan.
pub(crate) const CHANGED_MEANWHILE: &str =
    "somebody has changed something meanwhile, and nothing was done; now it is this that would change:";

/// Whether a command was refused since something was changed behind its plan.
pub(crate) fn is_outdated(reply: &Value) -> bool {
    let errors = reply["errors"].as_array().into_iter().flatten();
    !is_success(reply) && errors.into_iter().any(|error| error["code"] == "CONFLICT")
}

/// Whether a reply says that the command was done.
pub(crate) fn is_success(reply: &Value) -> bool {
    reply["success"].as_bool().unwrap_or(false)
}

/// Shows a reply as it was rendered: what was done on standard output, a refusal as all errors.
pub(crate) fn show_reply(reply: &Value, rendered: &str) -> anyhow::Result<Exit> {
    if is_success(reply) {
        output::tell(rendered.trim_end())?;
        return Ok(Exit::Success);
    }
    output::note(rendered.trim_end());
    Ok(Exit::Failure)
}

/// An error with the way there is for a module that is longer than the broker takes in a command.
fn explain_too_large(error: anyhow::Error, command: &str) -> anyhow::Error {
    let verb = command.split_whitespace().next().unwrap_or_default().replace('-', "");
    let is_too_large = matches!(error.downcast_ref(), Some(ClientError::TooLarge { .. }));
    if !is_too_large || !verb.eq_ignore_ascii_case("addModule") {
        return error;
    }
    let told = format!(
        "{error}; a component of any length goes in parts: lotmq guest deploy --file NAME.wasm --name NAME (docs/sdk/modules.md, \"In parts\")"
    );
    error.context(told)
}

/// Whether the command is the one that has no reply (commands reference §1.7).
fn is_silent(command: &str) -> bool {
    let verb = command.split_whitespace().next().unwrap_or_default();
    verb.replace('-', "").eq_ignore_ascii_case("updateData")
}

/// Time without a reply after which a command asks what broker it is.
const JUDGED_AFTER: Duration = Duration::from_secs(1);

/// Returns the note for the user while the reply is missing.
fn at_it(command: &str, waited: Duration, timeout: Duration) -> String {
    let why = match may_prepare(command) {
        Some(Prepared::Python) => {
            "; the first script in a data directory waits until machine code of Python has been made, which is kept"
        }
        Some(Prepared::Any) => {
            "; the first script in a data directory, and the first route of a type, wait until machine code has been made for them, which is kept"
        }
        None => "",
    };
    if waited < PATIENCE_AGAIN {
        format!("the broker is at it; waiting up to {} s{why}", timeout.as_secs())
    } else {
        format!("the broker is at it for {} of up to {} s", waited.as_secs(), timeout.as_secs())
    }
}

/// Seconds to wait for the reply to a command when nothing else is said.
fn usual_timeout(command: &str) -> f64 {
    if may_prepare(command).is_some() { 180.0 } else { 15.0 }
}

/// Machine code that a command may wait for, because it is the first that needs it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Prepared {
    /// Machine code of the interpreter.
    Python,
    /// That, or machine code of routes: a project may have both.
    Any,
}

/// Returns the machine code that a command may have to wait for.
fn may_prepare(command: &str) -> Option<Prepared> {
    let verb = command.split_whitespace().next().unwrap_or_default().replace('-', "");
    let is_one_of = |known: &[&str]| known.iter().any(|known| known.eq_ignore_ascii_case(&verb));
    if is_one_of(&["addPython"]) {
        return Some(Prepared::Python);
    }
    is_one_of(&["addProject", "loadProject", "rollbackProject"]).then_some(Prepared::Any)
}

impl CmdArgs {
    /// Shows a reply. A text that whoever asks writes to a file stands alone on standard output.
    fn show(&self, reply: &Value) -> anyhow::Result<Exit> {
        if self.json {
            output::tell(&format!("{reply:#}"))?;
            return Ok(if is_success(reply) { Exit::Success } else { Exit::Failure });
        }
        let Some(text) = render::text(reply) else { return show_reply(reply, &self.render(reply)) };
        output::note(self.render(&render::without_data(reply)).trim_end());
        output::tell(text.trim_end_matches('\n'))?;
        Ok(if is_success(reply) { Exit::Success } else { Exit::Failure })
    }

    /// Refuses a short option of ours in the command, where it would go to the broker unseen. No
    /// command has options of one letter.
    fn refuse_options_behind_the_verb(&self) -> Result<(), Misuse> {
        let [verb, behind @ ..] = self.words.as_slice() else { return Ok(()) };
        let command = Self::augment_args(clap::Command::new("cmd"));
        let short: Vec<String> = command
            .get_arguments()
            .filter_map(clap::Arg::get_short)
            .map(|letter| format!("-{letter}"))
            .collect();
        match behind.iter().find(|word| short.contains(word)) {
            Some(option) => Err(Misuse(format!(
                "`{option}` stands behind the command, whose words go to the broker as they are; write it before: \
                 lotmq cmd {option} … {verb} …, or put the whole command into quotes where it belongs to it"
            ))),
            None => Ok(()),
        }
    }

    /// Refuses the name of a file where its text is meant: the broker would take it for the text.
    fn refuse_name_of_a_file(&self) -> Result<(), Misuse> {
        let ([verb, .., name], None) = (self.words.as_slice(), &self.file) else { return Ok(()) };
        let is_add = verb.trim_start_matches('-').to_ascii_lowercase().starts_with("add");
        let has_ending = [".lot", ".lotnb", ".py"].iter().any(|ending| name.ends_with(ending));
        if !is_add || !takes_text(verb) || !has_ending || name.contains(char::is_whitespace) {
            return Ok(());
        }
        Err(Misuse(format!(
            "`{name}` would be sent as the text itself; to send what stands in the file: lotmq cmd {verb} --file {name}"
        )))
    }

    /// The reply for people; the lines of its errors count in the file that was sent.
    fn render(&self, reply: &Value) -> String {
        let file = self.file.as_ref().filter(|path| path.as_os_str() != "-");
        render::reply_about(reply, file.map(|path| path.to_string_lossy()).as_deref())
    }

    fn command(&self) -> anyhow::Result<String> {
        let words = if self.file.is_some() { before_text(&self.words)? } else { self.words.clone() };
        let mut command = joined(&words)?;
        if let Some(path) = &self.file {
            command.push(' ');
            command.push_str(&read_text(path)?);
        }
        Ok(command)
    }
}

/// The words in front of the text of a file, where a command that takes LoT or Python has options
/// that say how it is added. Written with two dashes, or in other letters, they are those that the
/// broker knows; others would become a part of the text.
fn before_text(words: &[String]) -> Result<Vec<String>, Misuse> {
    let [verb, behind @ ..] = words else { return Ok(Vec::new()) };
    let name = verb.trim_start_matches('-').to_ascii_lowercase();
    if behind.is_empty() || !takes_text(verb) || !ADDS_PROGRAMS.contains(&&*name.replace('-', "")) {
        return Ok(words.to_vec());
    }
    let option = |word: &String| {
        if !word.starts_with('-') {
            return Ok(word.clone());
        }
        let known = REPLACING
            .iter()
            .find(|known| known.eq_ignore_ascii_case(&format!("-{}", word.trim_start_matches('-'))));
        known.map(|known| (*known).to_owned()).ok_or_else(|| {
            Misuse(format!(
                "`{word}` is no option of {verb}, which has {}; the text comes from --file",
                REPLACING.join(" and ")
            ))
        })
    };
    std::iter::once(Ok(verb.clone())).chain(behind.iter().map(option)).collect()
}

/// Largest packet that a broker may send to a tool that gives commands: a reply and a component in
/// one message have at most 8 MiB, a part of a backup less.
const REPLY_PACKET_BYTES_MAX: NonZeroU32 = NonZeroU32::new(16 << 20).expect("not zero");

/// Connects as [`connect_as_root`] does to give commands. It waits for the connection, and for each
/// acknowledgement, no longer than so many seconds, and takes no
/// packet that is larger than an answer.
///
/// # Errors
/// Those of [`connect_as_root`].
pub(crate) fn connect_within(connect: &ConnectArgs, timeout: f64) -> anyhow::Result<Client> {
    connect_to_command(&ConnectArgs { patience: Some(Duration::from_secs_f64(timeout)), ..connect.clone() })
}

/// Connects as [`connect_within`] does, with the usual times.
///
/// # Errors
/// Those of [`connect_as_root`].
pub(crate) fn connect_to_command(connect: &ConnectArgs) -> anyhow::Result<Client> {
    connect_as_root(&ConnectArgs { packet_bytes_max: Some(REPLY_PACKET_BYTES_MAX), ..connect.clone() })
}

/// Connects as the user of these options, else as root with the password in LOTMQ_ROOT_PASSWORD or
/// that of a new broker. These two go to this machine only, and the former elsewhere through TLS:
/// nobody sends a password in the clear without saying so.
///
/// # Errors
/// When the connection fails, or would need a password that has not been given.
pub(crate) fn connect_as_root(connect: &ConnectArgs) -> anyhow::Result<Client> {
    let mut connect = connect.clone();
    let url_user = connect.login.url.as_ref().and_then(|url| url.user.as_ref());
    if connect.login.username.is_some() || url_user.is_some() {
        return connect.connect(&SessionArgs::default());
    }
    connect.login.username = Some("root".to_owned());
    let mut whose = "the given password";
    if connect.login.password.is_none() {
        let (password, origin) = root_password(&connect)?;
        connect.login.password = Some(password);
        whose = origin;
    }
    connect.connect(&SessionArgs::default()).map_err(|error| match error.downcast_ref() {
        Some(ClientError::Refused { reason: ReasonCode::BadUserNameOrPassword, .. }) => {
            let told = format!(
                "{error}; tried as root with {whose}: give the login by -u and -P, root's password by LOTMQ_ROOT_PASSWORD, or both by a context (`lotmq context add`)"
            );
            error.context(told)
        }
        Some(_) | None => error,
    })
}

/// The password of root where none was given, and what it is.
fn root_password(connect: &ConnectArgs) -> Result<(String, &'static str), Misuse> {
    let known = std::env::var("LOTMQ_ROOT_PASSWORD").ok().filter(|text| !text.is_empty());
    let origin =
        if known.is_some() { "the password in LOTMQ_ROOT_PASSWORD" } else { "the password of a new broker" };
    if connect.stays_on_this_machine() {
        return Ok((known.unwrap_or_else(|| "coreflux".to_owned()), origin));
    }
    match known {
        Some(known) if connect.is_encrypted() => Ok((known, origin)),
        Some(_) => Err(Misuse(
            "the broker is on another machine, and LOTMQ_ROOT_PASSWORD goes there through TLS only; use TLS, or give -u and -P"
                .to_owned(),
        )),
        None => Err(Misuse("the broker is on another machine; give -u and -P".to_owned())),
    }
}

/// Most bytes of a file whose text goes into a command: what the largest packet of MQTT holds.
const COMMAND_BYTES_MAX: u64 = 256 << 20;

fn read_text(path: &Path) -> anyhow::Result<String> {
    if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    let bytes = read_bounded(path, COMMAND_BYTES_MAX)?;
    String::from_utf8(bytes).map_err(|_| {
        anyhow::anyhow!(
            "{} is no text in UTF-8; a component of WebAssembly goes to the broker with `lotmq guest deploy --file {} --name NAME`, in parts where it is long",
            path.display(),
            path.display()
        )
    })
}

/// A command of the arguments of the command line: each stays one, unless they are parts of a text.
fn joined(words: &[String]) -> Result<String, Misuse> {
    let [verb, arguments @ ..] = words else { return Ok(String::new()) };
    let name = verb.split_whitespace().next().unwrap_or_default();
    if takes_text(name) {
        return Ok(words.join(" "));
    }
    arguments.iter().try_fold(verb.clone(), |command, word| Ok(format!("{command} {}", argument(word)?)))
}

/// A word as one argument of a command, in quotation marks where it needs them.
fn argument(word: &str) -> Result<String, Misuse> {
    if !(word.is_empty() || word.starts_with('"') || word.contains(char::is_whitespace)) {
        return Ok(word.to_owned());
    }
    // The broker would take it for one that belongs to the quotation mark behind it.
    if word.ends_with('\\') {
        return Err(Misuse(format!(
            "`{word}` has to be put into quotation marks for the broker, before which no argument may end in a backslash"
        )));
    }
    Ok(quoted(word))
}

/// As one argument of a command.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\\\""))
}

/// The reply for people to a command that ended with the content of a file.
pub(crate) fn render_reply_about(reply: &Value, file: &str) -> String {
    render::reply_about(reply, Some(file))
}

/// The reply for people.
pub(crate) fn render_reply(reply: &Value) -> String {
    render::reply(reply)
}

/// Status of a module that the broker reports while it takes and compiles it. Each report restarts
/// the timeout of the reply.
pub(crate) struct ModuleStatus {
    topic: String,
    /// The last one, and when it came.
    last: Option<(Instant, String)>,
}

impl ModuleStatus {
    pub(crate) fn of(module: &str) -> Self {
        Self { topic: format!("$SYS/Coreflux/Modules/{module}/status"), last: None }
    }

    fn hear(&mut self, payload: &[u8]) {
        let status: Value = serde_json::from_slice(payload).unwrap_or(Value::Null);
        let number = |name: &str| status.get(name).and_then(Value::as_u64).unwrap_or_default();
        let told = match status.get("state").and_then(Value::as_str) {
            Some("uploading") => format!("it has {} of {} bytes", number("received"), number("total")),
            Some("compiling") => format!("it compiles the module, for {} s so far", number("seconds")),
            Some("installed") => "it has put the module in place".to_owned(),
            Some("refused") => "it has refused the module".to_owned(),
            Some(_) | None => return,
        };
        self.last = Some((Instant::now(), told));
    }

    /// Returns the last report and its age in seconds; `None` before the first.
    pub(crate) fn last_word(&self) -> Option<(&str, u64)> {
        self.last.as_ref().map(|(at, told)| (told.as_str(), at.elapsed().as_secs()))
    }
}

/// The module that a command has compiled, which takes its time and is told of.
fn module_compiled(command: &str) -> Option<&str> {
    let mut words = command.split_whitespace();
    let verb = words.next()?;
    let compiles = ["-addModule", "-grantModule", "-rollbackModule"];
    words.next().filter(|_| compiles.iter().any(|known| known.eq_ignore_ascii_case(verb)))
}

/// Sends a command and waits for the reply with this request id; `None` when none came in time.
///
/// # Errors
/// When the connection fails, or this user may not read replies.
pub(crate) fn exchange(
    client: &mut Client,
    command: &str,
    request_id: &str,
    timeout: Duration,
) -> anyhow::Result<Option<Value>> {
    exchange_in_parts(client, command, request_id, (timeout, None), |_, _| Ok(()))
}

/// Does the same for a command that announces an upload: `send` gets the reply with the targets of
/// the upload, and sends the data. Returns the last reply, which follows the upload. With a status,
/// each report of the broker restarts the timeout.
///
/// # Errors
/// As [`exchange`], and those of `send`.
pub(crate) fn exchange_in_parts(
    client: &mut Client,
    command: &str,
    request_id: &str,
    (timeout, mut status): (Duration, Option<&mut ModuleStatus>),
    mut send: impl FnMut(&mut Client, &Value) -> anyhow::Result<()>,
) -> anyhow::Result<Option<Value>> {
    let began = Instant::now();
    let granted = client.subscribe_to(OUTPUT_TOPIC, QoS::AtLeastOnce)?;
    if granted.is_failure() {
        foreign::refuse(client)?;
        bail!(
            "this user may not send commands: the broker refused the subscription to replies: {granted}; {COMMANDS_NEED}"
        );
    }
    if let Some(status) = &status {
        // For a user who may not read the status, the timeout is never restarted.
        client.subscribe_to(&status.topic, QoS::AtMostOnce)?;
    }
    let payload = format!("{command} -requestId {request_id}");
    let told = client.publish(&Publication::new(COMMAND_TOPIC, payload).qos(QoS::AtLeastOnce))?;
    check_taken(client, told)?;
    let mut deadline = began + timeout;
    let mut told_at = began + PATIENCE;
    let mut judged_at = Some(began + JUDGED_AFTER);
    loop {
        let until = deadline.min(told_at).min(judged_at.unwrap_or(deadline));
        let received = client.receive(until.saturating_duration_since(Instant::now()))?;
        // Also where other messages come without pause.
        if Instant::now() >= deadline
            && received.as_ref().is_none_or(|message| !is_reply(message, request_id))
        {
            return Ok(None);
        }
        let Some(message) = received else {
            if judged_at.take_if(|at| Instant::now() >= *at).is_some() {
                // The answer is judged below: another kind of broker takes a command for a message,
                // or drops it in silence.
                client.subscribe_to(VERSION_TOPIC, QoS::AtMostOnce)?;
                continue;
            }
            if Instant::now() >= told_at {
                let word = status.as_deref().and_then(ModuleStatus::last_word);
                output::note(&match word {
                    Some((told, _)) => format!("the broker is at it: {told}"),
                    None => at_it(command, began.elapsed(), timeout),
                });
                told_at = Instant::now() + PATIENCE_AGAIN;
            }
            continue;
        };
        foreign::judge(&message)?;
        if let Some(status) = status.as_deref_mut().filter(|status| status.topic == message.topic) {
            status.hear(&message.payload);
            deadline = (Instant::now() + timeout).min(began + MODULE_REPLY_MAX.max(timeout));
            continue;
        }
        let reply: Value = serde_json::from_slice(&message.payload).unwrap_or(Value::Null);
        let is_ours = reply.get("requestId").and_then(Value::as_str) == Some(request_id);
        // Of a command that is split (an upload of a module) the last reply counts; it has no
        // upload id.
        if is_ours && reply.pointer("/data/uploadId").is_none() {
            return Ok(Some(reply));
        }
        if is_ours {
            send(client, &reply)?;
        }
    }
}

fn is_reply(message: &Message, request_id: &str) -> bool {
    let reply: Value = serde_json::from_slice(&message.payload).unwrap_or(Value::Null);
    reply.get("requestId").and_then(Value::as_str) == Some(request_id)
}

/// Looks whether the broker has taken a command.
///
/// # Errors
/// When this user may not send commands, or there is no lotmq that takes them.
pub(crate) fn check_taken(client: &mut Client, told: ReasonCode) -> anyhow::Result<()> {
    if told.is_failure() {
        foreign::refuse(client)?;
        bail!("this user may not send commands: {told}; {COMMANDS_NEED}");
    }
    Ok(())
}

/// The reply to a command that was done; else the exit code, after having said why.
pub(crate) fn asked(client: &mut Client, command: &str, timeout: f64) -> anyhow::Result<Result<Value, Exit>> {
    let Some(reply) = exchange(client, command, &random_text(12)?, Duration::from_secs_f64(timeout))? else {
        output::error(&format!("no reply within {timeout} s"));
        return Ok(Err(Exit::NoBroker));
    };
    if is_success(&reply) {
        return Ok(Ok(reply));
    }
    Ok(Err(show_reply(&reply, &render_reply(&reply))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_compile_a_module_hear_of_it() {
        assert_eq!(module_compiled("-grantModule scale -grant read:a"), Some("scale"));
        assert_eq!(module_compiled("-addmodule scale wasm64:AA"), Some("scale"));
        assert_eq!(module_compiled("-removeModule scale"), None);
        assert_eq!(module_compiled("-grantModule"), None);
    }

    #[test]
    fn an_argument_of_the_shell_is_one_of_the_command() {
        for (words, expected) in [
            (&["-changeUserPassword", "root", "a long one"][..], r#"-changeUserPassword root "a long one""#),
            (&["-addUser", "ada", r#""so" he said"#], r#"-addUser ada "\"so\" he said""#),
            (&["-addUser", "ada", ""], r#"-addUser ada """#),
            (&["-addUser", "ada", r"back\slash"], r"-addUser ada back\slash"),
            (&["-addUser ada pw"], "-addUser ada pw"),
            (&["-addUser ada", "a b"], r#"-addUser ada "a b""#),
            (&["-runAction", "A", r#"{"a": "b c"}"#], r#"-runAction A {"a": "b c"}"#),
            (&["-addModule", "m", "-config", r#"{"a": 1}"#], r#"-addModule m -config "{\"a\": 1}""#),
            (&["-setEnv", "SITE=north hall"], "-setEnv SITE=north hall"),
            (&["-addAction -replace", "DEFINE ACTION A"], "-addAction -replace DEFINE ACTION A"),
        ] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(joined(&words).unwrap(), expected);
        }
        let refused = joined(&["-addUser".to_owned(), "ada".to_owned(), "a b\\".to_owned()]);
        assert!(refused.unwrap_err().0.contains("end in a backslash"));
    }

    #[test]
    fn options_in_front_of_a_file_are_those_of_the_verb() {
        let before = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            before_text(&words).map(|words| words.join(" ")).map_err(|Misuse(text)| text)
        };
        for (words, expected) in [
            (&["-addAction", "--replace"][..], "-addAction -replace"),
            (&["-addRule", "-REPLACEOWN"], "-addRule -replaceOwn"),
            (&["--add-model", "Name"], "--add-model Name"),
            (&["-addModule", "m", "-config", "{}"], "-addModule m -config {}"),
        ] {
            assert_eq!(before(words).as_deref(), Ok(expected));
        }
        let refused = before(&["-addRule", "--force"]).unwrap_err();
        assert!(
            refused.starts_with("`--force` is no option of -addRule, which has -replace and -replaceOwn"),
            "{refused}"
        );
    }

    #[test]
    fn wait_message_contains_the_reason_and_the_timeout() {
        let (soon, later) = (Duration::from_secs(3), Duration::from_secs(23));
        let timeout = |command| Duration::from_secs_f64(usual_timeout(command));
        let at_it = |command, waited| at_it(command, waited, timeout(command));
        assert_eq!(at_it("-listEntities", soon), "the broker is at it; waiting up to 15 s");
        let first = at_it("-addPython # Script Name: A", soon);
        assert!(first.starts_with("the broker is at it; waiting up to 180 s; the first script"), "{first}");
        let project = at_it("-addProject zip64:AA plant load", soon);
        assert!(project.contains("and the first route of a type, wait"), "{project}");
        assert_eq!(at_it("--add-python", later), "the broker is at it for 23 of up to 180 s");
    }

    /// A server that answers the exchange of one command, publishes these statuses of module m,
    /// each half a second behind the one before, and then the reply, if there is one.
    fn compiling(statuses: &'static [&str], reply: Option<&'static str>) -> std::net::SocketAddr {
        use std::io::Write as _;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // The command is what it publishes; it may ask more while it waits.
            while answer_one(&mut stream) != Some(0x40) {}
            let mut asked = stream.try_clone().unwrap();
            let answers = std::thread::spawn(move || while answer_one(&mut asked).is_some() {});
            let mut publish = |topic: &str, payload: &str| {
                let length = 2 + topic.len() + payload.len();
                let (low, high) = (u8::try_from(length % 128).unwrap(), u8::try_from(length / 128).unwrap());
                let head = [0x30, low | 0x80, high, 0, u8::try_from(topic.len()).unwrap()];
                stream.write_all(&[&head[..], topic.as_bytes(), payload.as_bytes()].concat()).unwrap();
            };
            for status in statuses {
                std::thread::sleep(Duration::from_millis(500));
                publish("$SYS/Coreflux/Modules/m/status", status);
            }
            if let Some(reply) = reply {
                publish(OUTPUT_TOPIC, reply);
            }
            // Until the other side leaves.
            answers.join().unwrap();
        });
        address
    }

    /// Reads a packet of a client and answers it. The first byte of the answer; `None` at the end.
    fn answer_one(stream: &mut std::net::TcpStream) -> Option<u8> {
        use std::io::Write as _;
        let mut first = [0; 2];
        stream.read_exact(&mut first).ok()?;
        // All that this client sends is shorter than what takes a second byte of length.
        let mut body = vec![0; usize::from(first[1])];
        stream.read_exact(&mut body).ok()?;
        let answer = match first[0] >> 4 {
            1 => vec![0x20, 2, 0, 0],
            8 => vec![0x90, 3, body[0], body[1], 1],
            3 => {
                let id = 2 + usize::from(body[1]);
                vec![0x40, 2, body[id], body[id + 1]]
            }
            _ => return None,
        };
        stream.write_all(&answer).ok()?;
        Some(answer[0])
    }

    #[test]
    fn module_upload_waits_while_the_broker_reports_progress() {
        const TIMEOUT: Duration = Duration::from_secs(2);
        const COMPILES: &str = r#"{"state":"compiling","seconds":7}"#;
        let reply = Some(r#"{"requestId":"r","success":true}"#);
        for (statuses, reply, last_word) in [
            (&[COMPILES; 6][..], reply, Some("it compiles the module, for 7 s so far")),
            (
                &[COMPILES, r#"{"state":"uploading","received":1,"total":9}"#],
                None,
                Some("it has 1 of 9 bytes"),
            ),
            (&[], None, None),
        ] {
            let options = lotmq_client::ConnectOptions::new("c");
            let mut client = Client::connect(compiling(statuses, reply), &options).unwrap();
            let (mut status, begun) = (ModuleStatus::of("m"), Instant::now());
            let wait = (TIMEOUT, Some(&mut status));
            let found = exchange_in_parts(&mut client, "-addModule m", "r", wait, |_, _| Ok(())).unwrap();
            assert_eq!(
                (found.is_some(), status.last_word().map(|(told, _)| told)),
                (reply.is_some(), last_word)
            );
            assert!(begun.elapsed() >= TIMEOUT, "it was longer than the broker is waited for");
        }
    }

    #[test]
    fn oversized_module_command_suggests_guest_deploy() {
        let refused = || anyhow::Error::from(ClientError::TooLarge { bytes: 20_000_000, limit: 16_777_216 });
        let told = explain_too_large(refused(), "-addModule big -world action wasm64:AGFz").to_string();
        assert!(told.contains("lotmq guest deploy --file NAME.wasm --name NAME"), "{told}");
        let other = explain_too_large(refused(), "-addAction DEFINE ACTION A").to_string();
        assert!(!other.contains("guest deploy"), "{other}");
    }

    #[test]
    fn command_verbs_are_separated_from_options() {
        let separated = |line: &str| -> String {
            let arguments = line.split(' ').map(OsString::from).collect();
            let words: Vec<String> =
                separate_command(arguments).iter().map(|word| word.to_string_lossy().into_owned()).collect();
            words.join(" ")
        };
        for (line, expected) in [
            ("lotmq cmd -listEntities", "lotmq cmd -- -listEntities"),
            ("lotmq cmd -updateData", "lotmq cmd -- -updateData"),
            ("lotmq cmd -u root -P x -help", "lotmq cmd -u root -P x -- -help"),
            ("lotmq cmd --json --list-routes", "lotmq cmd --json -- --list-routes"),
            ("lotmq cmd --timeout=3 -h ::1 -addUser a b", "lotmq cmd --timeout=3 -h ::1 -- -addUser a b"),
            ("lotmq cmd -addUser a b --json --timeout 3", "lotmq cmd --json --timeout 3 -- -addUser a b"),
            ("lotmq cmd --json -- -help", "lotmq cmd --json -- -help"),
            ("lotmq cmd --help", "lotmq cmd --help"),
            ("lotmq pub -t a -m -x", "lotmq pub -t a -m -x"),
        ] {
            assert_eq!(separated(line), expected);
        }
    }
}
