//! Verbs of commands, and the call of one.

pub(crate) mod argument;
pub(crate) mod redaction;

use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use lotmq_auth::{Decide as _, Identity, Question, Scope};
use lotmq_changes::{Batch, Ticket};
use lotmq_definitions::Owner;
use serde_json::Value;

use self::argument::{ArgumentMistake, ArgumentValues, VerbArgument};
use super::is_own_password;
use super::reply::{Done, EntityType, Refusal, missing_argument};
use crate::backup::Backups;
use crate::broker::Broker;
use crate::command_queue::Commands;
use crate::command_queue::job::Job;
pub(crate) use crate::command_queue::work::Work;
use crate::logs::Logs;
use crate::sys::ChangedTopic;
use crate::uploads::Uploads;
use lotmq_codes::Code;
use lotmq_core::Core;
use lotmq_core::tenant::{Tenant, system_topics};
use lotmq_net::Net;
use lotmq_programs::compile::Loader;
use lotmq_programs::compile_workers::CompileFor;
use lotmq_programs::{HasPrograms as _, Hosting, authority};

/// Verb of a command. Dispatch, permission, `-help` and the reference tables derive from these
/// values.
pub(crate) struct Verb {
    /// Canonical name in camel case, without dash.
    pub(crate) name: &'static str,
    /// Arguments, from which usage, parsing and the hidden part of the audit derive.
    pub(crate) arguments: &'static [VerbArgument],
    pub(crate) permission: Permission,
    pub(crate) effect: Effect,
    /// Kind of work by which its commands occupy their threads.
    pub(crate) work: Work,
    /// One sentence for `-help <verb>`.
    pub(crate) summary: &'static str,
    /// A command that works as it is written.
    pub(crate) example: &'static str,
    pub(crate) execute: fn(&mut Call<'_>) -> Result<Done, Refusal>,
}

impl Verb {
    /// Arguments, as `-help` shows them.
    pub(crate) fn usage(&self) -> String {
        argument::usage(self.arguments)
    }

    /// Name and arguments, as `-help` shows them.
    pub(crate) fn full_usage(&self) -> String {
        format!("-{} {}", self.name, self.usage()).trim_end().to_owned()
    }
}

/// Effect of a verb on the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It changes nothing, so that it works while the disk is full or fails.
    Reads,
    /// It changes nothing, but tells what is stored, and waits for a change that is under way.
    TellsWhatIsStored,
    /// It makes room in the store: done although the disk takes nothing, and stored when that works
    /// again.
    MakesRoom,
    /// It changes something: refused while the disk takes nothing, and not answered before its
    /// record of the audit is stored.
    Stores,
}

/// Permission to execute a verb, beyond CommandCall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// Everybody who may give commands.
    CommandCall,
    /// `root` alone.
    Root,
    /// Holders of the scope.
    Scope(Scope),
    /// Holders of the scope and, in cases that the verb decides, others.
    ScopeOrOwn(Scope),
}

impl Permission {
    /// Name of the scope for `-help`; `-` when CommandCall is enough.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CommandCall => "-",
            Self::Root => "root",
            Self::Scope(scope) | Self::ScopeOrOwn(scope) => scope.name(),
        }
    }

    /// Returns the missing right for a refusal; `None` if CommandCall is enough.
    pub(crate) fn need(self) -> Option<String> {
        match self {
            Self::CommandCall => None,
            Self::Root => Some("only root may".to_owned()),
            Self::Scope(scope) | Self::ScopeOrOwn(scope) => {
                let name = scope.name();
                Some(format!("it needs {name}, which a rule FOR {name} may give to a user or a group"))
            }
        }
    }

    /// Whether the verb may be tried.
    pub(crate) fn admits(self, tenant: &Tenant, identity: &Identity) -> bool {
        match self {
            Self::CommandCall | Self::ScopeOrOwn(_) => true,
            Self::Root => identity.is_root(),
            Self::Scope(scope) => {
                tenant.permissions.decide(&Question::operation(identity, scope)).is_allowed()
            }
        }
    }
}

/// File that a command sends to its caller.
pub(crate) struct CallerFile {
    /// Topic on which a Client gets it, in base64.
    pub(crate) topic: String,
    pub(crate) bytes: Bytes,
}

/// Call of a command: its state while it is executed.
pub(crate) struct Call<'a> {
    /// The whole broker, for the `$SYS` tree alone.
    pub(super) broker: &'a Broker,
    /// Data path: log, clock, counters.
    pub(crate) core: &'a Core,
    /// Place of guests: configuration, tenants, engine, routes.
    pub(crate) hosting: &'a Arc<Hosting>,
    /// Queue of commands, with the lock of changes.
    pub(crate) commands: &'a Commands,
    pub(crate) backups: &'a Backups,
    pub(crate) uploads: &'a Uploads,
    pub(crate) logs: &'a Logs,
    pub(crate) net: &'a Net,
    pub(crate) tenant: &'a Arc<Tenant>,
    /// Identity of who gave the command.
    pub(crate) identity: &'a Identity,
    pub(crate) verb: &'static Verb,
    /// Values of the arguments of the verb.
    pub(crate) values: &'a ArgumentValues<'a>,
    /// Entity that the reply names, once the verb knows it.
    pub(crate) entity: Option<(EntityType, String)>,
    /// Further details for the audit, of bounded length.
    pub(crate) details: Option<Value>,
    /// `$SYS` topics that changed, to be published before the reply.
    pub(crate) changed_topics: Vec<ChangedTopic>,
    /// File for the caller alone, to be sent before the reply.
    pub(crate) file: Option<CallerFile>,
    /// Command as it was accepted.
    pub(super) job: &'a Job,
    /// Whether the broker restarts on a restored store once the reply is out.
    pub(crate) restarts: bool,
    /// Whether accounts changed: then sessions are looked through once the reply is out.
    pub(crate) users_changed: bool,
}

impl<'a> Call<'a> {
    /// Value of a required argument.
    pub(crate) fn text(&self, name: &str) -> &'a str {
        self.values.text(name)
    }

    /// Values of an argument of kind number, in their order.
    ///
    /// # Errors
    /// The first word that is no such number.
    pub(crate) fn numbers<N: FromStr>(&self, name: &str) -> Result<Vec<N>, Refusal> {
        self.values.numbers(self.verb.arguments, name).map_err(|mistake| self.mistaken(mistake))
    }

    /// Value of an argument of kind number; `None` if the command does not have it.
    ///
    /// # Errors
    /// If the word is no such number.
    pub(crate) fn number<N: FromStr>(&self, name: &str) -> Result<Option<N>, Refusal> {
        Ok(self.numbers(name)?.pop())
    }

    /// Value of an argument of kind Topic Filter; `None` if the command does not have it.
    ///
    /// # Errors
    /// If the word is no Topic Filter.
    pub(crate) fn topic_filter(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        self.values.topic_filter(name).map_err(|mistake| self.mistaken(mistake))
    }

    /// Compilation for whoever gave the command. It ends when their account is removed.
    pub(crate) fn compile_for(&self) -> CompileFor<'_> {
        CompileFor::user(&self.hosting.compile_workers, self.tenant, self.identity)
    }

    /// Loader of what the command brings.
    pub(crate) fn loader(&self) -> Loader<'_> {
        self.hosting.loader_for(self.compile_for()).for_owners_in(self.tenant)
    }

    /// Does work that waits for the disk on a thread of its own, as long as it goes on.
    ///
    /// # Errors
    /// When it stands still, and when too much such work does.
    pub(super) fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        Ok(self.commands.read_blocking((self.tenant, self.identity), &self.hosting.watchdog.pulses, work)?)
    }

    /// Refusal of a command with a mistake in its arguments.
    pub(crate) fn mistaken(&self, mistake: ArgumentMistake) -> Refusal {
        match mistake {
            ArgumentMistake::Words(error) => error.into(),
            ArgumentMistake::Missing(name) => missing_argument(self.verb, &name),
            ArgumentMistake::TooMany => self.too_many_arguments(),
            ArgumentMistake::Invalid(message) => Refusal::new(Code::ArgumentInvalid, message),
        }
    }

    /// Refusal of a command with too many arguments.
    pub(crate) fn too_many_arguments(&self) -> Refusal {
        let message = format!("Too many arguments. Usage: {}", self.verb.full_usage());
        Refusal::new(Code::TooManyArguments, message)
    }

    /// Sets the entity that the reply is about.
    pub(crate) fn about(&mut self, entity_type: EntityType, name: &str) {
        self.entity = Some((entity_type, name.to_owned()));
    }

    /// Owner of what the command deploys; `None` when an anonymous Client gave it.
    pub(crate) fn owner(&self) -> Option<Owner> {
        authority::owner_of(&self.tenant.users, self.identity)
    }

    /// Whether the asker may see what a definition of this owner was handed, and what a far side
    /// said to it: its owner, and who may configure the system.
    pub(crate) fn may_see_messages(&self, owner: Option<&Owner>) -> bool {
        authority::SourceReader::new(self.tenant, self.identity).sees_all_of(owner)
    }

    /// Checks that the user who gave the command exists and may give it. Called when its turn
    /// comes, and again with the lock of changes, as a program may take minutes to compile. A later
    /// user of the same name must not get its result, and a result must not follow a refusal.
    ///
    /// # Errors
    /// If the account was removed, has another password, or has lost the right.
    pub(crate) fn check_current(&self) -> Result<(), Refusal> {
        let may_call = Question::publish(self.identity, system_topics::COMMAND_TOPIC);
        let may_call = || {
            self.tenant.permissions.decide(&may_call).is_allowed()
                || is_own_password(self.identity, &self.job.payload)
        };
        let is_current = self.tenant.users.is_current(self.identity);
        if self.identity.principal.member().is_some() {
            let words = "Commands need an account of the broker, which this user does not have.";
            return Err(Refusal::new(Code::PermissionDenied, words));
        }
        if !(is_current && may_call()) {
            return Err(Refusal::permission_denied(self.verb.name));
        }
        match self.verb.permission.admits(self.tenant, self.identity) {
            true => Ok(()),
            false => Err(Refusal::lacks_permission(self.verb)),
        }
    }

    /// Makes changes durable before the reply.
    ///
    /// # Errors
    /// When they are not stored.
    pub(crate) fn commit(&self, batch: Batch) -> Result<(), Refusal> {
        if !batch.is_empty() {
            let appended = self.core.log.append(batch);
            self.tenant.programs().guests.batch_appended();
            self.await_stored(appended?)?;
        }
        Ok(())
    }

    /// Waits until a change is on the disk.
    ///
    /// # Errors
    /// When it is not stored, or the disk hangs.
    pub(crate) fn await_stored(&self, ticket: Ticket) -> Result<(), Refusal> {
        Ok(self.commands.stored.wait(&*self.core.log, ticket)?)
    }

    /// Publishes a changed retained topic of the `$SYS` tree before the reply; an empty payload
    /// clears it.
    pub(crate) fn changed(&mut self, topic: impl Into<String>, payload: impl Into<Vec<u8>>) {
        self.changed_topics.push(ChangedTopic::new(topic, payload));
    }
}
