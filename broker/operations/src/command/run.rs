//! Execution of one command, from its text to its reply.

use std::sync::Arc;
use std::time::Duration;

use lotmq_auth::Identity;
use serde_json::Value;
use tracing::{debug, info, warn};
use zeroize::Zeroizing;

use super::answer::{CommandAsker, publish_reply, publish_reply_to_asker};
use super::argument::{ArgumentValues, NO_VALUES};
use super::modules::parts;
use super::redaction::redacted;
use super::reply::{self, Done, Heading, Refusal};
use super::verb::{Call, CallerFile, Effect, Verb};
use super::{NOT_AVAILABLE, find, is_own_password};
use crate::audit::{Event, Kind, Record};
use crate::broker::Broker;
use crate::command_queue::OwnPassword;
use crate::command_queue::job::{CommandCaller, Job};
use crate::command_queue::reply::CommandReply;
use crate::command_text::{CommandText, normalized_verb};
use crate::managed::Managing as _;
use crate::sys::ChangedTopic;
use lotmq_codes::Code;
use lotmq_core::Core;
use lotmq_core::arena::Span;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::client::Client;
use lotmq_core::turn::Turn;
use lotmq_programs::HasPrograms as _;

/// Time that a command which tells what is stored waits for one that changes it. A disk that hangs
/// is no reason to tell nothing.
const CHANGE_PATIENCE: Duration = Duration::from_secs(1);

/// Outcome of a command, to be delivered to its caller.
pub(super) struct Executed {
    pub(super) reply: CommandReply,
    /// `$SYS` topics that changed, to be published before the reply.
    pub(super) changed_topics: Vec<ChangedTopic>,
    /// File for the caller alone, to be sent before the reply.
    pub(super) file: Option<CallerFile>,
    /// Whether no topic gets the reply.
    pub(super) is_silent: bool,
    /// Whether accounts changed: then sessions are looked through once the reply is out.
    pub(super) users_changed: bool,
    /// Whether the broker restarts on a restored store once the reply is out.
    pub(super) restarts: bool,
}

/// Executes a command and records it in the audit.
pub(super) fn run(broker: &Arc<Broker>, job: &Job) -> Executed {
    broker.core.counters.commands.add(1);
    let Ok(payload) = std::str::from_utf8(&job.payload) else {
        note(&broker.core, job, AuditEntry { result: Code::NotUtf8.name(), ..AuditEntry::default() });
        let refusal = Refusal::new(Code::NotUtf8, "The command is not UTF-8 text.");
        return refuse(broker, Heading::default(), refusal);
    };
    let text = CommandText::new(payload);
    let name = normalized_verb(text.verb);
    let heading = Heading { request_id: text.request_id, ..Heading::default() };
    let Some(verb) = name.as_deref().and_then(find) else {
        return run_unknown(broker, job, &text, heading);
    };
    let values;
    let mut call = Call {
        broker,
        core: &broker.core,
        hosting: &broker.hosting,
        commands: &broker.commands,
        backups: &broker.backups,
        uploads: &broker.uploads,
        logs: &broker.logs,
        net: &broker.net,
        tenant: &job.caller.tenant,
        identity: &job.caller.identity,
        verb,
        values: &NO_VALUES,
        entity: None,
        details: None,
        changed_topics: Vec::new(),
        file: None,
        job,
        restarts: false,
        users_changed: false,
    };
    let outcome = match admit(&call, &text.body) {
        Ok(parsed) => {
            values = parsed;
            call.values = &values;
            execute(&mut call)
        }
        Err(refusal) => Err(refusal),
    };
    if let Some(upload) = &job.upload {
        parts::end(&call, upload, &outcome);
    }
    if outcome.is_err() {
        call.core.counters.commands_refused.add(1);
    }
    tell(job, verb, outcome.is_ok());
    note_executed(&call, &text.body, &outcome);
    let heading = Heading {
        command: Some(verb.name),
        entity: call.entity.as_ref().map(|(entity_type, name)| (*entity_type, name.as_str())),
        ..heading
    };
    Executed {
        is_silent: outcome.as_ref().is_ok_and(|done| done.is_silent),
        file: call.file.take().filter(|_| outcome.is_ok()),
        changed_topics: std::mem::take(&mut call.changed_topics),
        users_changed: call.users_changed,
        restarts: call.restarts,
        reply: heading.reply(outcome),
    }
}

/// Refuses a command that has no verb, or one of a later version.
fn run_unknown(broker: &Broker, job: &Job, text: &CommandText<'_>, heading: Heading<'_>) -> Executed {
    let (verb, refusal) = match normalized_verb(text.verb).as_deref().and_then(not_yet) {
        Some(name) => (Some(name), reply::not_available(name)),
        None => (None, reply::unknown_command(text)),
    };
    note(&broker.core, job, AuditEntry { verb, result: refusal.code(), ..AuditEntry::default() });
    refuse(broker, Heading { command: verb, ..heading }, refusal)
}

/// Logs a command: one that looked at something and was answered is nothing to tell people of.
fn tell(job: &Job, verb: &Verb, success: bool) {
    let CommandCaller { tenant, identity, .. } = &job.caller;
    let (tenant, verb_name) = (&*tenant.name, verb.name);
    let (client_id, user) = (&*identity.client_id, identity.user_name().unwrap_or(""));
    let definition = job.caller.definition();
    let only_looks = matches!(verb.effect, Effect::Reads | Effect::TellsWhatIsStored);
    if success && only_looks {
        debug!(target: "command", tenant, client_id, definition, user, verb = verb_name, success, "command");
    } else {
        info!(target: "command", tenant, client_id, definition, user, verb = verb_name, success, "command");
    }
}

/// Spares the session that sets its own password until it has been answered; not one whose password
/// is an old one already.
pub(super) fn spared<'a>(broker: &'a Broker, job: &Job) -> Option<OwnPassword<'a>> {
    let session = job.caller.session()?;
    let CommandCaller { tenant, identity, .. } = &job.caller;
    let is_setting = is_own_password(identity, &job.payload) && tenant.users.is_current(identity);
    is_setting.then(|| broker.commands.sets_own_password(session))
}

/// Answers a command whose execution ended by a panic, a fault of ours.
pub(super) fn panicked(broker: &Broker, job: &Job) -> Executed {
    if let Some(upload) = &job.upload {
        broker.uploads.end(&upload.id);
    }
    let text = std::str::from_utf8(&job.payload).map(CommandText::new).ok();
    let verb = text.as_ref().and_then(|text| normalized_verb(text.verb)).and_then(|name| find(&name));
    note(
        &broker.core,
        job,
        AuditEntry {
            verb: verb.map(|verb| verb.name),
            result: Code::InternalError.name(),
            ..AuditEntry::default()
        },
    );
    let heading = Heading { request_id: text.and_then(|text| text.request_id), ..Heading::default() };
    let refusal = Refusal::new(Code::InternalError, "The command failed by an error of the broker.");
    refuse(broker, heading, refusal)
}

/// Refuses a command that no verb has executed.
fn refuse(broker: &Broker, heading: Heading<'_>, refusal: Refusal) -> Executed {
    broker.core.counters.commands_refused.add(1);
    Executed {
        reply: heading.reply(Err(refusal)),
        changed_topics: Vec::new(),
        file: None,
        is_silent: false,
        users_changed: false,
        restarts: false,
    }
}

/// Checks that the command may be executed now, and parses its arguments. A text is copied only for
/// a user who may give the command.
fn admit<'t>(call: &Call<'_>, body: &'t str) -> Result<ArgumentValues<'t>, Refusal> {
    // The user may have been removed, or may have lost the right, while the command waited.
    call.check_current()?;
    if let Some(failure) = call.core.store_failure().filter(|_| call.verb.effect == Effect::Stores) {
        return Err(Refusal::not_stored(failure, "Nothing has changed."));
    }
    if call.verb.effect == Effect::Stores
        && let Some(hangs) = call.commands.stored.hangs(&*call.core.log)
    {
        return Err(Refusal::of_store(&hangs, "Nothing has changed."));
    }
    ArgumentValues::parse(call.verb.arguments, body).map_err(|mistake| call.mistaken(mistake))
}

fn execute(call: &mut Call<'_>) -> Result<Done, Refusal> {
    if call.verb.effect == Effect::Stores {
        let outcome = (call.verb.execute)(call);
        if outcome.is_err() {
            // That something is there already, or is not there, may rest on a change that is being
            // stored.
            drop(call.commands.changes.lock());
        }
        return outcome;
    }
    if call.verb.effect != Effect::TellsWhatIsStored {
        return (call.verb.execute)(call);
    }
    // A change is in force before it is on the disk.
    let changes = call.commands.changes.try_lock_for(CHANGE_PATIENCE);
    let done = (call.verb.execute)(call)?;
    if changes.is_some() {
        return Ok(done);
    }
    let message = "A change is being stored; what is told of it holds when that is done.";
    Ok(done.with_warning(Code::NotStoredYet, message))
}

/// Contents of a command's record in the audit, besides its user.
#[derive(Default)]
struct AuditEntry<'a> {
    verb: Option<&'a str>,
    target: Option<&'a str>,
    result: &'a str,
    arguments: Option<&'a str>,
    details: Option<&'a Value>,
    has_changed: bool,
}

/// Kind of the record of a command: administrators' commands have one of their own. Changes of
/// others must not push those out, nor what they ask for in vain, or only look at, the former.
fn kind_of(tenant: &Tenant, identity: &Identity, has_changed: bool) -> Kind {
    let account = tenant.users.account_of(identity);
    match (account.is_some_and(|account| account.is_admin()), has_changed) {
        (true, _) => Kind::Administration,
        (false, true) => Kind::Changes,
        (false, false) => Kind::Access,
    }
}

fn note(core: &Core, job: &Job, entry: AuditEntry<'_>) {
    let CommandCaller { tenant, identity, .. } = &job.caller;
    let endpoint = identity.peer.address();
    // A guest's command is given in the name of a user who need not be there.
    let (client_id, endpoint, definition) = match job.caller.definition() {
        None => (Some(&*identity.client_id), Some(&*endpoint), None),
        Some(definition) => (None, None, Some(definition)),
    };
    let account = tenant.users.account_of(identity);
    let counts_for = match (&account, identity.user()) {
        (Some(account), _) => account.counts_for.as_deref(),
        // The user has removed their own account.
        (None, Some(_)) => Some(""),
        (None, None) => None,
    };
    let record = Record {
        user: identity.user_name(),
        counts_for: counts_for.filter(|_| entry.has_changed),
        client_id,
        endpoint,
        definition,
        verb: entry.verb,
        target: entry.target,
        result: Some(entry.result),
        arguments: entry.arguments,
        details: entry.details,
        ..Record::new(Event::Command)
    };
    let kind = kind_of(tenant, identity, entry.has_changed);
    tenant.managed().audit.command(kind, &core.counters, core.clock.wall_ms(), identity, &record);
}

/// Records a command that was executed. One that changed something is not answered before its
/// record is stored.
fn note_executed(call: &Call<'_>, body: &str, outcome: &Result<Done, Refusal>) {
    let audit = &call.tenant.managed().audit;
    if !audit.is_enabled() {
        return;
    }
    let result = outcome.as_ref().map_or_else(Refusal::code, |_| "success");
    // Text that does not fit the verb may be anything, such as a password behind a missing blank.
    let unformed = [Code::TooManyArguments, Code::ArgumentInvalid, Code::MissingArgument];
    let is_formed = unformed.iter().all(|code| code.name() != result);
    let arguments = is_formed.then(|| redacted(call.verb.arguments, body)).flatten();
    // A definition may have put a secret there.
    let masked = |text: &str| call.tenant.programs().variables.masked_whole_text(text).into_owned();
    let arguments = arguments.as_deref().map(masked);
    let named = call.entity.as_ref().filter(|_| result != Code::MissingArgument.name());
    let target = named.map(|(_, name)| masked(name));
    let entry = AuditEntry {
        verb: Some(call.verb.name),
        target: target.as_deref(),
        result,
        arguments: arguments.as_deref(),
        details: call.details.as_ref(),
        has_changed: outcome.is_ok() && matches!(call.verb.effect, Effect::Stores | Effect::MakesRoom),
    };
    let (core, commands, has_changed) = (call.core, call.commands, entry.has_changed);
    note(core, call.job, entry);
    if has_changed
        && core.store_failure().is_none()
        && commands.stored.hangs(&*core.log).is_none()
        && let Some(ticket) = audit.settle(&*core.log, &core.counters, core.clock.wall_ms())
        && let Err(error) = commands.stored.wait(&*core.log, ticket)
    {
        warn!(verb = call.verb.name, %error, "the record of a command is stored later");
    }
}

/// Canonical name of a verb that a later version brings.
fn not_yet(name: &str) -> Option<&'static str> {
    NOT_AVAILABLE.iter().find(|known| known.eq_ignore_ascii_case(name)).copied()
}

/// Answers a Client that publishes a configuration: nothing of it takes effect.
pub(crate) fn config_new(turn: &mut Turn, client: &Client) {
    let (tenant, identity) = (&client.tenant, &*client.identity());
    let endpoint = identity.peer.address();
    let record = Record {
        endpoint: Some(&endpoint),
        verb: Some("configNew"),
        result: Some(Code::NotAvailable.name()),
        ..Record::of(Event::Command, identity)
    };
    let kind = kind_of(tenant, identity, false);
    tenant.managed().audit.command(kind, &turn.core.counters, turn.wall_ms(), identity, &record);
    let heading = Heading { command: Some("ConfigNew"), request_id: None, entity: None };
    let refusal = Refusal::new(
        Code::NotAvailable,
        "Config/New is not available yet. Use lotmq.toml, environment variables or flags.",
    );
    let reply = heading.reply(Err(refusal));
    publish_reply(turn, tenant, &reply, CommandAsker { identity, session: Some(client.session_id), hops: 0 });
}

/// Answers at once that too many commands wait.
pub(crate) fn busy(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    (identity, session): (&Identity, Option<u64>),
    payload: &[u8],
) {
    let refusal =
        |_: Option<&Verb>| Refusal::new(Code::Busy, "Too many commands are waiting. Try again later.");
    let reply = refused_at_once(turn, payload, refusal);
    publish_reply(turn, tenant, &reply, CommandAsker { identity, session, hops: 0 });
}

/// Answers a Client at once that it may not give a command. Only its user's sessions get the reply.
pub(crate) fn not_allowed(turn: &mut Turn, client: &Client, payload: Span) {
    let identity = client.identity();
    let payload = Zeroizing::new(turn.arena.get(payload).to_vec());
    let refusal = |verb: Option<&Verb>| match verb {
        Some(verb) => Refusal::lacks_permission(verb),
        None => {
            Refusal::new(Code::PermissionDenied, "Permission denied: You are not allowed to give commands.")
        }
    };
    let reply = refused_at_once(turn, &payload, refusal);
    let asked = CommandAsker { identity: &identity, session: Some(client.session_id), hops: 0 };
    publish_reply_to_asker(turn, &client.tenant, &reply, asked);
}

/// Reply to a command that is refused before a command thread has it.
fn refused_at_once(
    turn: &Turn,
    payload: &[u8],
    refusal: impl FnOnce(Option<&Verb>) -> Refusal,
) -> CommandReply {
    turn.core.counters.commands.add(1);
    turn.core.counters.commands_refused.add(1);
    let text = std::str::from_utf8(payload).map(CommandText::new).ok();
    let verb = text.as_ref().and_then(|text| normalized_verb(text.verb)).and_then(|name| find(&name));
    let heading = Heading {
        command: verb.map(|verb| verb.name),
        request_id: text.and_then(|text| text.request_id),
        entity: None,
    };
    heading.reply(Err(refusal(verb)))
}
